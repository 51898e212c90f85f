// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Configs whose file changes, over the fake: when it is loaded, who runs by what, and what is freed when.

#include "filter-cc/reload.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "filter-cc/host_fake.h"
#include "filter-cc/runtime.h"

namespace fairlead {
namespace {

using List = std::vector<std::string>;
constexpr uint64_t kPeriodMs = kFilePeriodNs / 1'000'000;

class ReloadTest : public testing::Test {
protected:
  ReloadTest() : file_(testing::TempDir() + "reload_test.js") { put(telling("1")); }
  ~ReloadTest() override { std::remove(file_.c_str()); }

  static std::string telling(const std::string& version) {
    return "export default { onRequest() { return new Response('" + version + "'); } };";
  }
  void put(const std::string& content) const {
    std::ofstream(file_ + ".new", std::ios::binary) << content;
    ASSERT_EQ(std::rename((file_ + ".new").c_str(), file_.c_str()), 0);
  }
  std::unique_ptr<LiveConfig> load() {
    auto made = LiveConfig::create("test", R"({"watch": true, "file": ")" + file_ + R"("})", envoy_);
    EXPECT_TRUE(made) << made.error().message;
    return *std::move(made);
  }
  /** Lets the file be looked at twice: it counts when it has not changed meanwhile. */
  void look() { envoy_.advance(2 * kPeriodMs); }

  std::string told(const FilterConfig& config, uint32_t worker = 0) {
    ExchangePlan plan;
    plan.request.headers = {{":authority", "a"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}};
    plan.options.workerIndex = worker;
    return runExchange(envoy_, config, plan).client.body;
  }
  std::string told(LiveConfig& live, uint32_t worker = 0) {
    const LiveConfig::Ref current = live.current(worker);
    return told(*current, worker);
  }

  List takeErrors() {
    List lines;
    for (const LogLine& line : envoy_.log()) {
      if (line.level >= LogLevel::Error)
        lines.push_back(line.message);
    }
    envoy_.clearLog();
    return lines;
  }

  void TearDown() override {
    EXPECT_EQ(takeErrors(), List());
    EXPECT_EQ(envoy_.finish(), List());
  }

  const std::string file_;
  FakeEnvoy envoy_{FakeEnvoyOptions{.concurrency = 2}};
};

TEST_F(ReloadTest, AChangeIsLoadedWhenItHasLastedForAPeriod) {
  // F062
  const auto live = load();
  put(telling("2"));
  envoy_.advance(kPeriodMs);
  EXPECT_EQ(told(*live), "1");
  // It changes again before it counts.
  put(telling("three"));
  envoy_.advance(kPeriodMs);
  EXPECT_EQ(told(*live), "1");
  envoy_.advance(kPeriodMs);
  EXPECT_EQ(told(*live), "three");
}

TEST_F(ReloadTest, AStreamKeepsItsGenerationUntilItGoes) {
  // F063
  const auto live = load();
  std::weak_ptr<Script> old;
  {
    const LiveConfig::Ref first = live->current(0);
    old = (*first).script;
    put(telling("2"));
    look();
    EXPECT_EQ(told(*live), "2");
    EXPECT_EQ(told(*first), "1");
    EXPECT_FALSE(old.expired());
  }
  EXPECT_TRUE(old.expired());
}

TEST_F(ReloadTest, WorkersThatHaveARuntimeGetOneOfTheNextGeneration) {
  // F066
  const auto live = load();
  EXPECT_EQ(told(*live, 1), "1");
  put("globalThis.loads = (globalThis.loads ?? 0) + 1; export default { onRequest() { return new Response(String(loads)); } };");
  look();
  Script& script = *live->newest().script;
  EXPECT_EQ(script.slot(0).parked.load(), nullptr);
  EXPECT_NE(script.slot(1).parked.load(), nullptr);
  EXPECT_EQ(told(*live, 1), "1");
}

TEST_F(ReloadTest, WhatIsParkedOfAnOldGenerationIsFreedAtOnce) {
  // F065
  const auto live = load();
  EXPECT_EQ(told(*live, 0), "1");
  EXPECT_EQ(told(*live, 1), "1");
  // The workers have taken no stream since, and so hold the old one still.
  const std::shared_ptr<Script> old = live->newest().script;
  put(telling("2"));
  look();
  EXPECT_EQ(old->slot(0).parked.load(), nullptr);
  EXPECT_EQ(old->slot(1).parked.load(), nullptr);
  // And what a late stream leaves is not kept.
  auto entered = Runtime::enter(*old, 0);
  ASSERT_TRUE(entered);
  Runtime::leave(*entered);
  EXPECT_EQ(old->slot(0).parked.load(), nullptr);
}

TEST_F(ReloadTest, ABadFileIsRefusedOnceAndAGoodOneCounts) {
  // F064
  const auto live = load();
  put("export default {");
  look();
  const List errors = takeErrors();
  ASSERT_EQ(errors.size(), 1U);
  EXPECT_NE(errors[0].find("test: E_SCRIPT_SYNTAX"), std::string::npos) << errors[0];
  EXPECT_NE(errors[0].find("generation 1 stays live"), std::string::npos) << errors[0];
  look();
  EXPECT_EQ(told(*live), "1");
  EXPECT_EQ(envoy_.metrics().at("test.script.reload_failures"), 1U);
  put(telling("2"));
  look();
  EXPECT_EQ(told(*live), "2");
  EXPECT_EQ(envoy_.metrics().at("test.script.generation"), 2U);
}

TEST_F(ReloadTest, ACallOfAJobEndsWithItsGeneration) {
  // F097
  envoy_.setCluster("keys", [](const CalloutRequest&) { return std::nullopt; });
  const std::string job = "import { every } from 'fairlead'; every(1, async () => { await fetch('http://keys/'); });";
  put(job + telling("1"));
  auto made = LiveConfig::create("test", R"({"clusters": ["keys"], "watch": true, "file": ")" + file_ + R"("})", envoy_);
  ASSERT_TRUE(made) << made.error().message;
  envoy_.advance(1);
  EXPECT_EQ(envoy_.takeJobCallouts().size(), 1U);
  put(telling("2"));
  look();
  // No answer comes, and nothing waits for one: TearDown would see it.
  envoy_.advance(5'000);
  EXPECT_EQ(told(**made), "2");
  EXPECT_EQ(envoy_.takeJobCallouts().size(), 0U);
}

TEST_F(ReloadTest, AScriptThatOtherConfigsHaveTooIsNotTakenFromThem) {
  // F057, F065
  const auto live = load();
  auto other = LiveConfig::create("test", R"({"file": ")" + file_ + R"("})", envoy_);
  ASSERT_TRUE(other) << other.error().message;
  EXPECT_EQ((*other)->newest().script, live->newest().script);
  EXPECT_EQ(told(**other), "1");
  put(telling("2"));
  look();
  EXPECT_FALSE((*other)->newest().script->isSuperseded());
  EXPECT_NE((*other)->newest().script->slot(0).parked.load(), nullptr);
}

}  // namespace
}  // namespace fairlead
