// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Runtimes between threads: workers that park and take them, others that free what is parked,
// configs that come and go meanwhile. What ThreadSanitizer sees in these tests is half of their
// worth.

#include "filter-cc/runtime.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "filter-cc/host_fake.h"
#include "filter-cc/stream.h"

namespace fairlead {
namespace {

using List = std::vector<std::string>;

constexpr uint32_t kWorkers = 4;
constexpr FakeEnvoyOptions kEnvoy = {.concurrency = kWorkers, .logLevel = LogLevel::Off};

/** Counts the streams of its Runtime; says which config it got. */
constexpr std::string_view kCounts = R"(
  import { sleep } from "fairlead";
  let streams = 0;
  export default {
    configure(config) { return { name: config.name }; },
    async onRequest(request, ctx) {
      const n = ++streams;
      await sleep(1);
      if (request.path === "/throw") throw new Error("asked for");
      request.headers.set("x-n", n + ctx.settings.name);
    },
    onLog(ctx) { ctx.state.ended = true; },
  };)";

std::shared_ptr<FilterConfig> make(const std::string& filterName, const std::string& name,
                                   std::string_view source = kCounts) {
  Config config = *parseConfig(filterName, source);
  config.configJson = "{\"name\": \"" + name + "\"}";
  // Sanitizers make scripts many times slower.
  config.limits.cpuMs = config.limits.streamCpuMs = config.limits.loadMs = 60'000;
  auto script = Script::load(config);
  if (!script) {
    ADD_FAILURE() << script.error().message;
    return nullptr;
  }
  return std::make_shared<FilterConfig>(FilterConfig{config, *script});
}

/** What the upstream sees of one stream on a worker: `x-n`, or the status of the reply. */
std::string serve(FakeEnvoy& envoy, const FilterConfig& config, uint32_t worker,
                  const std::string& path = "/") {
  Exchange exchange(envoy, config, {.workerIndex = worker});
  exchange.requestHeaders(
      {{":authority", "a"}, {":path", path}, {":method", "GET"}, {":scheme", "http"}});
  envoy.advance(1);
  return exchange.atUpstream().header("x-n").value_or(
      std::to_string(exchange.atClient().status()));
}

/** Runs `work` on threads that each stand for a worker, with a dispatcher of its own. */
template <class Work> std::vector<std::thread> startWorkers(Work work) {
  std::vector<std::thread> workers;
  for (uint32_t worker = 0; worker < kWorkers; ++worker) {
    workers.emplace_back([work, worker] {
      FakeEnvoy envoy(kEnvoy);
      work(envoy, worker);
      EXPECT_EQ(envoy.finish(), List());
    });
  }
  return workers;
}

void join(std::vector<std::thread>& threads) {
  for (std::thread& thread : threads)
    thread.join();
}

TEST(RuntimeTest, AParkedRuntimeCanBeTakenAndFreedOnAnotherThread) {
  // F118, R31
  FakeEnvoy envoy(kEnvoy);
  const auto config = make("auth", "a");
  EXPECT_EQ(serve(envoy, *config, 0), "1a");
  EXPECT_EQ(serve(envoy, *config, 0), "2a");
  WorkerSlot& slot = config->script->slot(0);
  std::thread([&] {
    Runtime* taken = slot.parked.exchange(nullptr, std::memory_order_acquire);
    EXPECT_NE(taken, nullptr);
    delete taken;
  }).join();
  EXPECT_EQ(serve(envoy, *config, 0), "1a");
}

TEST(RuntimeTest, ARuntimeInUseIsInNobodysReach) {
  FakeEnvoy envoy(kEnvoy);
  const auto config = make("auth", "a");
  WorkerSlot& slot = config->script->slot(0);
  Exchange held(envoy, *config);
  held.requestHeaders(
      {{":authority", "a"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}});
  EXPECT_NE(slot.active, nullptr);
  std::thread([&] { EXPECT_EQ(slot.parked.exchange(nullptr), nullptr); }).join();
  held.clientLeaves();
  EXPECT_EQ(slot.active, nullptr);
  EXPECT_NE(slot.parked.load(), nullptr);
}

TEST(RuntimeTest, WorkersServeManyScriptsWhileAnotherThreadTakesWhatTheyPark) {
  // R37
  constexpr size_t kStreams = 60;
  FakeEnvoy envoy(kEnvoy);
  const std::vector configs = {make("a", "a"), make("b", "b"), make("c", "c")};
  std::atomic<bool> done = false;
  std::atomic<uint64_t> freed = 0;
  std::thread keeper([&] {
    for (uint64_t turn = 0; !done; ++turn) {
      WorkerSlot& slot = configs[turn % configs.size()]->script->slot(turn / 3 % kWorkers);
      Runtime* taken = slot.parked.exchange(nullptr, std::memory_order_acquire);
      if (taken == nullptr)
        continue;
      // Idle, or looked at and put back.
      if (turn % 7 != 0)
        taken = slot.parked.exchange(taken, std::memory_order_acq_rel);
      freed += taken != nullptr;
      delete taken;
    }
  });
  auto workers = startWorkers([&](FakeEnvoy& own, uint32_t worker) {
    for (size_t i = 0; i < kStreams; ++i) {
      const FilterConfig& config = *configs[(i + worker) % configs.size()];
      const bool throws = i % 5 == 4;
      const std::string seen = serve(own, config, worker, throws ? "/throw" : "/");
      EXPECT_EQ(throws ? seen : seen.substr(seen.size() - 1),
                throws ? "500" : config.config.filterName);
    }
  });
  join(workers);
  done = true;
  keeper.join();
  EXPECT_GT(freed, 0U);
  for (const auto& config : configs) {
    for (uint32_t worker = 0; worker < kWorkers; ++worker)
      EXPECT_EQ(config->script->slot(worker).active, nullptr);
  }
}

TEST(RuntimeTest, ConfigsOfOneScriptComeAndGoOnTheMainThreadWhileItsStreamsLive) {
  // R37, F066
  constexpr size_t kRounds = 20;
  FakeEnvoy envoy(kEnvoy);
  const auto config = make("auth", "first");
  std::atomic<bool> done = false;
  std::atomic<size_t> streams = 0;
  auto workers = startWorkers([&](FakeEnvoy& own, uint32_t worker) {
    while (!done) {
      const std::string seen = serve(own, *config, worker);
      EXPECT_TRUE(seen.ends_with("first")) << seen;
      ++streams;
    }
  });
  for (size_t round = 0; round < kRounds; ++round) {
    const auto other = make("auth", "other" + std::to_string(round));
    EXPECT_EQ(other->script, config->script);
  }
  while (streams < kWorkers)
    std::this_thread::yield();
  done = true;
  join(workers);
}

TEST(RuntimeTest, TheLastStreamOfAConfigFreesTheRuntimesOfAllWorkersOnItsThread) {
  // R37
  constexpr size_t kRounds = 8;
  FakeEnvoy envoy(kEnvoy);
  for (size_t round = 0; round < kRounds; ++round) {
    // A script of its own, which goes with its config.
    auto config = make("auth", "a", std::string(kCounts) + "// " + std::to_string(round));
    const std::weak_ptr<Script> script = config->script;
    // The proxy's filters share the config; the listener drops it at once.
    auto workers = startWorkers([config](FakeEnvoy& own, uint32_t worker) {
      EXPECT_EQ(serve(own, *config, worker), "1a");
      EXPECT_EQ(serve(own, *config, worker), "2a");
    });
    config.reset();
    join(workers);
    workers.clear();
    EXPECT_TRUE(script.expired());
  }
}

TEST(RuntimeIdleTest, WhatIsNotUsedIsFreedAndWhatIsUsedStays) {
  // F077
  FakeEnvoy envoy;
  const auto load = [](const std::string& name, const std::string& idle) {
    Config config = *parseConfig(name, "{\"inline\": \"let n = 0; export default { onRequest() { return new Response(String(++n)); } };\"" + idle + "}");
    auto script = Script::load(config);
    EXPECT_TRUE(script) << script.error().message;
    return std::make_shared<FilterConfig>(FilterConfig{config, *script});
  };
  const auto told = [&](const FilterConfig& config) {
    ExchangePlan plan;
    plan.request.headers = {{":authority", "a"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}};
    return runExchange(envoy, config, plan).client.body;
  };
  const auto used = load("used", ", \"idle_s\": 3");
  const auto idle = load("idle", ", \"idle_s\": 3");
  const auto patient = load("patient", "");
  EXPECT_EQ(told(*used) + told(*idle) + told(*patient), "111");
  for (int second = 0; second < 8; ++second) {
    envoy.advance(1'000);
    EXPECT_EQ(told(*used), std::to_string(second + 2));
  }
  EXPECT_EQ(idle->script->slot(0).parked.load(), nullptr);
  EXPECT_FALSE(idle->script->slot(0).used);
  EXPECT_NE(patient->script->slot(0).parked.load(), nullptr);
  EXPECT_EQ(told(*idle) + told(*patient), "12");
  EXPECT_EQ(envoy.finish(), std::vector<std::string>());
}

TEST(RuntimeIdleTest, AParkedOneIsKeptUntilItsTimeIsOver) {
  // F077
  FakeEnvoy envoy;
  Config config = *parseConfig("kept", R"({"inline": "export default { onRequest() {} };", "idle_s": 2})");
  auto script = Script::load(config);
  ASSERT_TRUE(script);
  auto entered = Runtime::enter(**script, 0);
  ASSERT_TRUE(entered);
  // One that streams use is none of its business.
  envoy.advance(5'000);
  Runtime::leave(*entered);
  envoy.advance(2'000);
  EXPECT_NE((*script)->slot(0).parked.load(), nullptr);
  envoy.advance(1'000);
  EXPECT_EQ((*script)->slot(0).parked.load(), nullptr);
}

}  // namespace
}  // namespace fairlead
