// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// A random driver: streams of a script that does what their headers say, in any order of events
// that a proxy can bring, with refused memory, spent CPU time, calls that fail, clients that leave
// and configs that go, also inside calls of the core. What must hold is asserted after each step.
//
// A failure names its seed: FAIRLEAD_SEED=<seed> runs that one alone.

#include <gtest/gtest.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include <algorithm>
#include <array>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "filter-cc/host_fake.h"
#include "filter-cc/runtime.h"
#include "filter-cc/stream.h"

namespace fairlead {
namespace {

using List = std::vector<std::string>;

constexpr uint32_t kWorkers = 2;
constexpr uint32_t kWaitMs = 200;
constexpr int kFetches = 4;
constexpr uint64_t kNsPerMs = 1'000'000;

/** Does the steps that `x-request` and `x-response` name. What must not be is logged as BROKEN. */
constexpr std::string_view kScript = R"(
  import { sleep } from "fairlead";
  let gate, open;
  const ended = [];
  const shared = new Map();
  const broken = (what) => console.error("BROKEN " + what);
  const url = (ctx) => "http://auth/" + (ctx.request.path ?? "");

  const steps = {
    // Synchronous.
    set(message) { message.headers.set("x-set", "1"); message.headers.delete("x-none"); },
    read(message) {
      for (const [name, value] of message.headers) if (name === value) broken(name);
    },
    state(message, ctx) { (ctx.state.seen ??= []).push(message, ctx.signal, ctx.request.url); },
    spin() { for (let i = 0; i < 5000; i++); },
    garbage() { for (let i = 0; i < 50; i++) { const o = { a: [i, "x" + i] }; o.self = o; } },
    fill() { const all = []; for (let i = 0; i < 200; i++) all.push("x".repeat(100) + i); },
    recurse(message) { const f = (n) => n + f(n + 1); try { f(0); } catch {} },
    deep() { const f = (n) => n + f(n + 1); f(0); },
    throws() { throw new TypeError("asked for"); },
    throwsNothing() { throw null; },
    reply() { return new Response("reply", { status: 403, headers: { "x-reply": "1" } }); },
    emptyReply() { return new Response(null, { status: 204 }); },
    same(message) { return message; },
    bad() { return { answer: 42 }; },
    timer(message, ctx) {
      setTimeout(() => { ctx.state.timer = message.headers.get("x-set"); }, 7);
    },
    timerThrows() { setTimeout(() => { throw new Error("in a timer"); }, 3); },
    timerSpins() { setTimeout(steps.spin, 4); },
    timerSets(message) {
      setTimeout(() => {
        try { message.headers.set("x-late", "1"); }
        catch ({ code }) { if (code !== "E_HEADERS_SENT") broken("a late write threw " + code); }
      }, 2);
    },
    floating(message, ctx) { sleep(5).then(() => fetch(url(ctx))).catch(() => {}); },
    rejects() { Promise.reject(new Error("unhandled")); },
    listen(message, ctx) {
      ctx.signal.addEventListener("abort", () => { ctx.state.aborted = message.headers.get("a"); });
    },
    listenThrows(message, ctx) { ctx.signal.onabort = () => { throw new Error("in onabort"); }; },
    opens() { open?.("open"); gate = open = undefined; },
    shows(message, ctx) { console.info(message, ctx.state); },

    // Asynchronous.
    tick: () => Promise.resolve(),
    now: () => sleep(0),
    sleep: () => sleep(5),
    long: () => sleep(10000),
    never: () => new Promise(() => {}),
    gate: () => gate ??= new Promise((resolve) => { open = resolve; }),
    replyLater: () => sleep(3).then(() => Response.json({ later: true })),
    throwLater: () => sleep(2).then(() => { throw new Error("later"); }),
    spinLater: () => sleep(2).then(steps.spin),
    then: () => ({ then(resolve) { sleep(1).then(resolve); } }),
    async fetch(message, ctx) { ctx.state.status = (await fetch(url(ctx))).status; },
    async text(message, ctx) {
      const answer = await fetch(url(ctx), { method: "POST", body: "body" });
      const copy = answer.clone();
      if (await answer.text() !== await copy.text()) broken("a clone has another text");
    },
    async unread(message, ctx) { ctx.state.answer = await fetch(url(ctx)); },
    async both(message, ctx) {
      await Promise.allSettled([fetch(url(ctx)), fetch(url(ctx)), sleep(2)]);
    },
    async race(message, ctx) { await Promise.race([fetch(url(ctx)), sleep(4)]); },
    async timesOut(message, ctx) { await fetch(url(ctx), { timeoutMs: 6 }).catch(() => {}); },
    async timesOutOften(message, ctx) {
      for (let i = 0; i < 6; i++) await fetch(url(ctx), { timeoutMs: 1 }).catch(() => {});
    },
    async aborts(message, ctx) {
      const controller = new AbortController();
      const answer = fetch(url(ctx), { signal: controller.signal });
      await sleep(2);
      controller.abort(new Error("aborted"));
      await answer.catch(() => {});
    },
    async abortsAtOnce(message, ctx) {
      const controller = new AbortController();
      const answer = fetch(url(ctx), { signal: AbortSignal.any([controller.signal, ctx.signal]) });
      controller.abort();
      await answer.then(() => broken("it was aborted"), () => {});
    },
    async inThen(message, ctx) {
      await fetch(url(ctx)).then(() => fetch(url(ctx))).finally(() => sleep(1)).catch(() => {});
    },
    async retries(message, ctx) {
      for (let i = 0; i < 5; i++) {
        try { await fetch(url(ctx)); return; } catch { await sleep(2); }
      }
    },
    async elsewhere() { await fetch("http://unknown/").catch(() => {}); },
    async cached(message, ctx) {
      const key = ctx.request.path;
      if (!shared.has(key)) shared.set(key, fetch(url(ctx)).then((answer) => answer.text()));
      try { await shared.get(key); } finally { shared.delete(key); }
    },
    async cleansUp(message, ctx) {
      try { await sleep(50); }
      finally { ctx.state.last = message.headers.get("x-set"); await sleep(1); }
    },
  };

  function play(names, message, ctx) {
    while (names.length > 0) {
      const result = steps[names.shift()](message, ctx);
      if (result instanceof Promise) {
        return result.then((value) =>
          value instanceof Response ? value : play(names, message, ctx));
      }
      if (result !== undefined) return result;
    }
  }
  const program = (ctx, name) => (ctx.request.headers.get(name) ?? "").split(" ").filter(Boolean);

  export default {
    configure(config) { return { name: config.name }; },
    onRequest(request, ctx) {
      if (request.headers.has("x-check")) {
        // The test asks when no stream of those before is there any more.
        for (const [name, use] of ended.splice(0)) {
          try { use(); broken(name + " outlived its stream"); }
          catch ({ code }) { if (code !== "E_DEAD_HANDLE") broken(name + " threw " + code); }
        }
        return;
      }
      return play(program(ctx, "x-request"), request, ctx);
    },
    onResponse(response, ctx) { return play(program(ctx, "x-response"), response, ctx); },
    onLog(ctx) {
      const { request, response } = ctx;
      const { headers } = request;
      ended.push(["request", () => request.path], ["headers", () => headers.get("a")],
                 ["iteration", () => [...headers]], ["context", () => ctx.state]);
      if (response) ended.push(["response", () => response.status]);
      if (program(ctx, "x-log").includes("throws")) throw new Error("in onLog");
      if (program(ctx, "x-log").includes("spin")) steps.spin();
    },
  };)";

/** Names of the steps above; what is named twice is chosen twice as often. */
constexpr std::string_view kSteps[] = {
    "set",       "read",     "state",    "spin",       "garbage",      "fill",      "recurse",
    "deep",      "throws",   "reply",    "emptyReply", "throwsNothing", "same",     "bad",
    "timer",     "floating", "rejects",  "timerThrows", "timerSpins",  "listen",    "opens",
    "shows",     "tick",     "now",      "sleep",      "listenThrows", "sleep",     "long",
    "never",     "gate",     "gate",     "replyLater", "throwLater",   "spinLater", "then",
    "fetch",     "fetch",    "fetch",    "text",       "text",         "unread",    "both",
    "race",      "timesOut", "aborts",   "inThen",     "abortsAtOnce", "retries",   "elsewhere",
    "cached",    "cached",   "cleansUp", "timerSets",  "timesOutOften"};

class Driver {
public:
  Driver(EnvoyRelease release, uint64_t seed)
      : random_(seed), envoy_({.release = release, .concurrency = kWorkers}) {
    envoy_.setCluster("auth", [this](const CalloutRequest&) { return answerCall(); });
    changeConfig();
  }

  void run(size_t steps) {
    for (size_t i = 0; i < steps && !testing::Test::HasFailure(); ++i) {
      SCOPED_TRACE("step " + std::to_string(i));
      step();
      checkRules();
    }
    finish();
  }

  size_t streams() const { return streams_; }

private:
  /** One stream, with what both ends have sent. */
  struct Live {
    std::shared_ptr<const FilterConfig> config;
    std::unique_ptr<Exchange> exchange;
    std::string requestBody;
    std::string responseBody;
    bool requestEnded = false;
    bool responseBegun = false;
    bool responseEnded = false;
    /** The exchange goes on when its response has ended. */
    bool responseIsHeld = false;
    /** How far the answer of each call by hand has come. */
    std::vector<uint8_t> callSteps;
  };

  uint64_t below(uint64_t bound) { return random_() % bound; }
  bool oneIn(uint64_t bound) { return below(bound) == 0; }

  std::string someSteps() {
    std::string names;
    for (uint64_t left = below(4); left > 0; --left)
      names.append(names.empty() ? "" : " ").append(kSteps[below(std::size(kSteps))]);
    return names;
  }

  // --- Steps ---

  void step() {
    const uint64_t choice = below(100);
    Live* live = live_.empty() ? nullptr : live_[below(live_.size())].get();
    if (choice < 14 || live == nullptr)
      return begin(false);
    if (choice < 22)
      return sendRequest(*live);
    if (choice < 36)
      return sendResponse(*live);
    if (choice < 52)
      return answerByHand(*live);
    if (choice < 66)
      return advance(below(12));
    if (choice < 70)
      return live->exchange->wake();
    if (choice < 74)
      return live->exchange->clientLeaves();
    if (choice < 76)
      return live->exchange->localReply(503, "local", "somebody");
    if (choice < 78)
      return disconnect(*live);
    if (choice < 82)
      return spendCpu(*live);
    if (choice < 84)
      return refuseMemory();
    if (choice < 86)
      return collect();
    if (choice < 87)
      return takeParked();
    if (choice < 88)
      return supersede();
    if (choice < 89)
      return changeConfig();
    if (choice < 91)
      return begin(true);
    if (choice < 94)
      return live->exchange->releaseResponse();
    return drop();
  }

  /** Lets time pass. A core that wakes itself for ever would never come to its end. */
  void advance(uint64_t ms) {
    const uint64_t endNs = envoy_.nowNs() + ms * kNsPerMs;
    for (int events = 0; envoy_.nextNs().value_or(UINT64_MAX) <= endNs; ++events) {
      ASSERT_LT(events, 10'000);
      envoy_.runNext();
    }
    envoy_.advance((endNs - envoy_.nowNs()) / kNsPerMs);
  }

  void begin(bool check) {
    constexpr size_t kMostStreams = 12;
    // A stream that begins inside a call of another may be one too many.
    if (live_.size() >= kMostStreams && !check)
      return;
    auto live = std::make_unique<Live>();
    live->config = config_;
    live->responseIsHeld = oneIn(3);
    live->exchange = std::make_unique<Exchange>(
        envoy_, *config_,
        ExchangeOptions{.workerIndex = static_cast<uint32_t>(below(kWorkers)),
                        .bufferLimitBytes = oneIn(3) ? 64U : 1024U * 1024,
                        .holdResponse = live->responseIsHeld});
    HeaderList headers = {{":authority", "example.com"},
                          {":path", "/" + std::to_string(below(4))},
                          {":method", oneIn(8) ? "HEAD" : "GET"},
                          {":scheme", "http"}};
    if (check)
      headers.emplace_back("x-check", "1");
    else if (oneIn(6))
      headers.emplace_back("content-type", "application/grpc");
    for (const char* name : {"x-request", "x-response"}) {
      if (std::string names = someSteps(); !names.empty() && !check)
        headers.emplace_back(name, names);
    }
    if (!check && oneIn(8))
      headers.emplace_back("x-log", oneIn(2) ? "throws" : "spin");
    live->requestEnded = oneIn(2);
    ++streams_;
    const bool early = !check && oneIn(20);
    Live& begun = *live;
    live_.push_back(std::move(live));
    if (!check && oneIn(10)) {
      // The router answers inside the call that lets the request through.
      begun.exchange->onUpstreamHeaders = [](Exchange& exchange) {
        exchange.localReply(503, "no route", "router");
      };
    }
    if (early)
      begun.exchange->earlierReply(headers, 401, "early", "an earlier filter");
    else
      begun.exchange->requestHeaders(headers, begun.requestEnded);
  }

  void sendRequest(Live& live) {
    if (live.requestEnded)
      return;
    if (oneIn(4)) {
      live.requestEnded = true;
      return live.exchange->requestTrailers({{"t", "1"}});
    }
    const std::string bytes(below(100), static_cast<char>('a' + below(26)));
    live.requestBody += bytes;
    live.requestEnded = oneIn(3);
    live.exchange->requestData(bytes, live.requestEnded);
  }

  void sendResponse(Live& live) {
    if (live.exchange->atUpstream().starts == 0 || live.responseEnded)
      return;
    if (!live.responseBegun) {
      live.responseBegun = true;
      live.responseEnded = oneIn(3);
      return live.exchange->responseHeaders({{":status", "200"}, {"x-up", "1"}},
                                            live.responseEnded);
    }
    if (oneIn(5)) {
      live.responseEnded = true;
      return live.exchange->responseTrailers({{"t", "1"}});
    }
    const std::string bytes(below(100), static_cast<char>('a' + below(26)));
    live.responseBody += bytes;
    live.responseEnded = oneIn(2);
    live.exchange->responseData(bytes, live.responseEnded);
  }

  static void disconnect(Live& live) {
    if (live.exchange->atUpstream().starts > 0)
      live.exchange->upstreamDisconnects();
  }

  void spendCpu(Live& live) {
    if (Stream* stream = live.exchange->stream())
      stream->addCpu(UINT32_MAX * kNsPerMs);
  }

  Runtime* someRuntime() { return config_->script->slot(below(kWorkers)).active; }

  void refuseMemory() {
    if (Runtime* runtime = someRuntime())
      runtime->engine().setMemoryLimit(runtime->engine().heapBytes() + below(20'000));
  }

  void collect() {
    if (Runtime* runtime = someRuntime())
      JS_RunGC(runtime->engine().raw());
  }

  /** Another generation is live: nothing of the old one is kept for later streams. */
  void supersede() {
    config_->script->claim();
    config_->script->release();
  }

  void takeParked() { delete config_->script->slot(below(kWorkers)).parked.exchange(nullptr); }

  void changeConfig() {
    // Now and then another Script; else a config of the same one.
    Config config = *parseConfig(oneIn(3) ? "other" : "driver", kScript);
    config.configJson = "{\"name\": \"" + std::to_string(below(3)) + "\"}";
    config.clusters = {{"auth", "auth"}, {"unknown", "unknown"}};
    // CPU time that passes is none of what a seed repeats: here it is only spent by spendCpu.
    config.limits.cpuMs = config.limits.streamCpuMs = config.limits.loadMs = 600'000;
    config.limits.waitMs = kWaitMs;
    config.limits.fetches = kFetches;
    config.limits.memoryMb = 4;
    auto script = Script::load(config);
    ASSERT_TRUE(script) << script.error().message << " in line " << script.error().line;
    config_ = std::make_shared<FilterConfig>(FilterConfig{config, *script});
  }

  void drop() {
    std::erase_if(live_, [](const auto& live) { return live->exchange->complete(); });
  }

  // --- Calls ---

  /** Runs inside a call of the core, with nothing of a script on the stack. */
  std::optional<CalloutAnswer> answerCall() {
    if (mayNest_ && oneIn(6)) {
      mayNest_ = oneIn(3);
      Exchange& exchange = *live_[below(live_.size())]->exchange;
      if (oneIn(2))
        begin(false);
      else if (oneIn(2) || exchange.callouts().empty())
        exchange.clientLeaves();
      else
        exchange.calloutReset(exchange.callouts()[below(exchange.callouts().size())].id);
      mayNest_ = true;
    }
    switch (below(8)) {
    case 0:
      return CalloutAnswer::failure(CalloutStart::CannotCreateRequest);
    case 1:
      return CalloutAnswer::failure(CalloutStart::DuplicateCalloutId);
    case 2:
      return CalloutAnswer::of(200, "answer", below(10));
    case 3:
      return CalloutAnswer::refused();
    case 4: {
      CalloutAnswer answer = CalloutAnswer::of(302);
      answer.headers.emplace_back("location", oneIn(4) ? "http://nobody/" : "/again");
      return answer;
    }
    case 5: {
      CalloutAnswer answer = CalloutAnswer::of(200, "half");
      answer.end = CalloutAnswer::End::Reset;
      answer.frameDelayMs = below(5);
      return answer;
    }
    default:
      return std::nullopt;
    }
  }

  void answerByHand(Live& live) {
    Exchange& exchange = *live.exchange;
    std::vector<size_t> open;
    for (size_t i = 0; i < exchange.callouts().size(); ++i) {
      if (exchange.callouts()[i].open)
        open.push_back(i);
    }
    if (open.empty())
      return;
    const size_t index = open[below(open.size())];
    live.callSteps.resize(exchange.callouts().size());
    const uint64_t id = exchange.callouts()[index].id;
    enum : uint8_t { Nothing, Headers, Ended };
    uint8_t& done = live.callSteps[index];
    if (oneIn(6))
      return exchange.calloutReset(id);
    if (done == Nothing) {
      if (oneIn(8))
        return exchange.calloutHeaders(id, {{":status", "103"}});
      done = oneIn(4) ? Ended : Headers;
      const bool endStream = done == Ended;
      return exchange.calloutHeaders(id, {{":status", "200"}, {"a", "b"}}, endStream);
    }
    if (done == Headers && !oneIn(4)) {
      done = oneIn(3) ? Ended : Headers;
      const bool endStream = done == Ended;
      return exchange.calloutData(id, {std::string(below(50), 'x'), "y"}, endStream);
    }
    exchange.calloutComplete(id);
  }

  // --- Rules ---

  void checkRules() {
    EXPECT_EQ(envoy_.violations(), List());
    for (const LogLine& line : envoy_.log()) {
      EXPECT_EQ(line.message.find("BROKEN"), std::string::npos) << line.message;
      EXPECT_EQ(line.message.find("E_INTERNAL"), std::string::npos) << line.message;
    }
    envoy_.clearLog();
    for (const auto& live : live_)
      checkMessages(*live);
  }

  static void checkMessages(const Live& live) {
    const Exchange& exchange = *live.exchange;
    const Received& upstream = exchange.atUpstream();
    const Received& client = exchange.atClient();
    EXPECT_LE(upstream.starts, 1U);
    EXPECT_LE(client.starts, 1U);
    EXPECT_TRUE(live.requestBody.starts_with(upstream.body)) << upstream.body;
    if (upstream.ended) {
      EXPECT_TRUE(live.requestEnded);
      EXPECT_EQ(upstream.body, live.requestBody);
    }
    // The upstream's answer, whole, or somebody else's.
    if (client.header("x-up")) {
      EXPECT_TRUE(live.responseBody.starts_with(client.body)) << client.body;
      EXPECT_TRUE(!client.ended || live.responseEnded);
    }
    const bool over = client.ended || client.reset;
    EXPECT_TRUE(exchange.complete() == over || (over && live.responseIsHeld));
    const auto isOpen = [](const Callout& callout) { return callout.open; };
    const auto& calls = exchange.callouts();
    EXPECT_LE(std::count_if(calls.begin(), calls.end(), isOpen), kFetches)
        << "a call that nobody waits for was not reset";
  }

  /** Lets everything come to its end, and looks at what is left. */
  void finish() {
    if (testing::Test::HasFailure())
      return;
    SCOPED_TRACE("at the end");
    mayNest_ = false;
    // Either hook may wait so long.
    advance(2 * kWaitMs + 1);
    checkRules();
    std::vector<std::shared_ptr<Script>> scripts = {config_->script};
    for (const auto& live : live_) {
      const Exchange& exchange = *live->exchange;
      EXPECT_TRUE(exchange.complete() || exchange.atClient().ended ||
                  (!exchange.held(Direction::Request) && !exchange.held(Direction::Response)))
          << "a stream waits for ever";
      scripts.push_back(live->config->script);
    }
    for (const auto& live : live_)
      live->exchange->clientLeaves();
    checkRules();
    for (const auto& script : scripts) {
      for (uint32_t worker = 0; worker < kWorkers; ++worker)
        EXPECT_EQ(script->slot(worker).active, nullptr) << "a runtime was not given back";
    }
    live_.clear();
    begin(true);
    checkRules();
    live_.clear();
    config_.reset();
    EXPECT_EQ(envoy_.finish(), List());
  }

  std::mt19937_64 random_;
  FakeEnvoy envoy_;
  std::shared_ptr<const FilterConfig> config_;
  std::vector<std::unique_ptr<Live>> live_;
  size_t streams_ = 0;
  bool mayNest_ = true;
};

class DriverTest : public testing::TestWithParam<EnvoyRelease> {};

TEST_P(DriverTest, NoOrderOfEventsBreaksARuleOfTheHostOrLeavesAStreamOrARuntimeBehind) {
  // F113, R08, R09, R12, H601, H602
  constexpr uint64_t kSeeds = 20;
  constexpr size_t kTurns = 600;
  const char* only = std::getenv("FAIRLEAD_SEED");
  const uint64_t first = only == nullptr ? 1 : std::strtoull(only, nullptr, 10);
  const uint64_t last = only == nullptr ? kSeeds : first;
  size_t streams = 0;
  for (uint64_t seed = first; seed <= last && !HasFailure(); ++seed) {
    const std::string name = "FAIRLEAD_SEED=" + std::to_string(seed);
    SCOPED_TRACE(name);
    // Also for a crash, which tells no trace.
    std::cout << name << std::endl;
    Driver driver(GetParam(), seed);
    driver.run(kTurns);
    streams += driver.streams();
  }
#ifdef __SANITIZE_ADDRESS__
  EXPECT_EQ(__lsan_do_recoverable_leak_check(), 0);
#endif
  EXPECT_GT(streams, (last - first + 1) * kTurns / 20);
}

TEST_P(DriverTest, AStreamWhoseRuntimeIsDeadDoesNotWakeItselfForEver) {
  // It has a timer, and a filter before ours holds the reply that it got.
  FakeEnvoy envoy({.release = GetParam()});
  Config config = *parseConfig("driver", R"(export default {
    onRequest() {
      setTimeout(() => {}, 5);
      const all = [];
      for (;;) all.push("x".repeat(1000) + all.length);
    },
  };)");
  config.limits.memoryMb = 2;
  config.limits.cpuMs = config.limits.streamCpuMs = 600'000;
  auto script = Script::load(config);
  ASSERT_TRUE(script);
  const FilterConfig filter{config, *script};
  Exchange exchange(envoy, filter, {.holdResponse = true});
  exchange.requestHeaders(
      {{":authority", "a"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}});
  EXPECT_EQ(exchange.atClient().status(), 500U);
  EXPECT_FALSE(exchange.complete());
  for (int events = 0; envoy.runNext(); ++events)
    ASSERT_LT(events, 10);
  exchange.releaseResponse();
  EXPECT_EQ(envoy.violations(), List());
}

INSTANTIATE_TEST_SUITE_P(Releases, DriverTest,
                         testing::Values(EnvoyRelease::V1_38, EnvoyRelease::V1_39,
                                         EnvoyRelease::V1_40),
                         [](const testing::TestParamInfo<EnvoyRelease>& info) {
                           return "Envoy1" + std::to_string(38 + static_cast<int>(info.param));
                         });

}  // namespace
}  // namespace fairlead
