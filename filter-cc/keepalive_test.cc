// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Calls that outlive their exchange, over the fake: what the script is told, and what becomes of them.

#include "filter-cc/keepalive.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "filter-cc/host_fake.h"
#include "filter-cc/stream.h"

namespace fairlead {
namespace {

using List = std::vector<std::string>;

class KeepaliveTest : public testing::TestWithParam<EnvoyRelease> {
protected:
  void load(const std::string& hooks, const std::string& limits = "") {
    const std::string source = R"(import { sleep } from "fairlead";
      const outcome = (call) => call.then((answer) => answer.status + " " + answer.type, (error) => error.code);
      const audit = (body = "seen", more = {}) => fetch("http://audit/log", { method: "POST", body, keepalive: true, ...more });
      export default {)" + hooks + "};";
    std::string json = R"({"clusters": ["audit", "unknown"], "limits": {"cpu_ms": 1000, "stream_cpu_ms": 5000)" +
                       limits + R"(}, "inline": ")";
    for (const char c : source)
      json += c == '\n' ? "\\n" : c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    Result<std::unique_ptr<FilterConfig>> made = FilterConfig::create("test", json + "\"}", &envoy_);
    ASSERT_TRUE(made) << made.error().message << " at line " << made.error().line;
    config_ = *std::move(made);
  }

  static HeaderList request() {
    return {{":authority", "example.com"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}};
  }

  ExchangeResult run(const ExchangeOptions& options = {}) {
    ExchangePlan plan;
    plan.request.headers = request();
    plan.upstream.response.headers = {{":status", "200"}};
    plan.options = options;
    ExchangeResult result = runExchange(envoy_, *config_, plan);
    EXPECT_TRUE(result.complete) << "the exchange waits for ever";
    return result;
  }
  /** What the body of an async function gives, as the upstream is told it. */
  std::string told(const std::string& body, const std::string& limits = "") {
    load("async onRequest(request, ctx) { request.headers.set('x-told', String(await (async () => {" + body +
             "})())); }",
         limits);
    return run().upstream.header("x-told").value_or("nothing");
  }

  void answer(const CalloutAnswer& answer) {
    envoy_.setCluster("audit", [answer](const CalloutRequest&) { return answer; });
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
  uint64_t failures() const {
    const auto found = envoy_.metrics().find("test.script.errors cause=keepalive");
    return found == envoy_.metrics().end() ? 0 : found->second;
  }

  void TearDown() override {
    EXPECT_EQ(takeErrors(), List());
    config_.reset();
    EXPECT_EQ(envoy_.finish(), List());
  }

  FakeEnvoy envoy_{FakeEnvoyOptions{.release = GetParam()}};
  std::unique_ptr<FilterConfig> config_;
};

INSTANTIATE_TEST_SUITE_P(Releases, KeepaliveTest,
                         testing::Values(EnvoyRelease::V1_38, EnvoyRelease::V1_39, EnvoyRelease::V1_40),
                         [](const auto& info) {
                           return "Envoy1" + std::to_string(38 + static_cast<int>(info.param));
                         });

const CalloutAnswer kGood = CalloutAnswer::of(200, "thanks", 50);

TEST_P(KeepaliveTest, TheScriptIsToldAtOnceThatTheCallWasTakenAndTheCallArrives) {
  // F040
  answer(kGood);
  load("async onRequest(request) { request.headers.set('x-told', await outcome(audit())); }");
  const ExchangeResult result = run();
  EXPECT_EQ(result.upstream.header("x-told"), "202 default");
  EXPECT_EQ(result.elapsedNs, 0U);
  ASSERT_EQ(result.callouts.size(), 1U);
  EXPECT_EQ(result.callouts[0].request.cluster, "audit");
  EXPECT_EQ(result.callouts[0].request.body, "seen");
}

TEST_P(KeepaliveTest, OnLogMayCallAndTheClientMayBeGone) {
  // F040, F035
  answer(kGood);
  load("async onRequest() { try { await sleep(1000); } catch {} }, onLog() { audit('gone'); fetch('http://audit/'); }");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(request());
  exchange.clientLeaves();
  envoy_.advance(100);
  const std::vector<CalloutRequest> calls = envoy_.takeJobCallouts();
  ASSERT_EQ(calls.size(), 1U);
  EXPECT_EQ(calls[0].body, "gone");
  EXPECT_TRUE(exchange.callouts().empty());
}

TEST_P(KeepaliveTest, AConfigHasSoManyInFlightAndNoMore) {
  // F040: two streams share the count, and what has ended makes room.
  answer(kGood);
  load("async onRequest(request) { const told = []; for (let i = 0; i < 3; i++) told.push(await outcome(audit()));"
       " request.headers.set('x-told', told.join()); }",
       R"(, "keepalives": 4)");
  EXPECT_EQ(run().upstream.header("x-told"), "202 default,202 default,202 default");
  EXPECT_EQ(run().upstream.header("x-told"), "202 default,E_FETCH_KEEPALIVE_LIMIT,E_FETCH_KEEPALIVE_LIMIT");
  envoy_.advance(49);
  EXPECT_EQ(run().upstream.header("x-told"), "E_FETCH_KEEPALIVE_LIMIT,E_FETCH_KEEPALIVE_LIMIT,E_FETCH_KEEPALIVE_LIMIT");
  envoy_.advance(1);
  EXPECT_EQ(run().upstream.header("x-told"), "202 default,202 default,202 default");
  EXPECT_EQ(told("return outcome(audit());", R"(, "keepalives": 0)"), "E_FETCH_KEEPALIVE_LIMIT");
}

TEST_P(KeepaliveTest, WhatCannotBeSentBehindAnExchangeIsRefusedAtOnce) {
  // F040
  answer(kGood);
  EXPECT_EQ(told("return outcome(audit('x'.repeat(65536)));"), "202 default");
  EXPECT_EQ(told("return outcome(audit('x'.repeat(65537)));"), "E_FETCH_KEEPALIVE");
  EXPECT_EQ(told("return outcome(audit(new Response('a').body));"), "E_FETCH_KEEPALIVE");
  EXPECT_EQ(told("return outcome(audit('a', { method: 'PUT', retry: 1 }));"), "E_FETCH_KEEPALIVE");
  EXPECT_EQ(told("return outcome(fetch('http://else/', { keepalive: true }));"), "E_FETCH_CLUSTER_NOT_ALLOWED");
  EXPECT_EQ(told("return outcome(audit('a', { signal: AbortSignal.abort() }));"), "20");
}

TEST_P(KeepaliveTest, CallsOfAStreamAreCountedButNotThoseInFlight) {
  // F040: ten times limits.fetches in all.
  answer(kGood);
  EXPECT_EQ(told("const told = []; for (let i = 0; i < 11; i++) told.push(await outcome(audit())); return told.slice(9).join();",
                 R"(, "fetches": 1)"),
            "202 default,E_FETCH_LIMIT");
}

TEST_P(KeepaliveTest, EachFailureIsLoggedAndCountedOnce) {
  // F040, F088
  CalloutAnswer reset;
  reset.end = CalloutAnswer::End::Reset;
  CalloutAnswer cut = CalloutAnswer::of(200, "half", 5);
  cut.end = CalloutAnswer::End::Reset;
  CalloutAnswer endless = CalloutAnswer::of(200, "half", 5);
  endless.end = CalloutAnswer::End::Silent;
  const std::pair<CalloutAnswer, const char*> cases[] = {
      {CalloutAnswer::of(503, "no", 5), "was answered with status 503"},
      {CalloutAnswer::of(400, "", 5), "was answered with status 400"},
      {reset, "was reset before its answer was complete"},
      {cut, "was reset before its answer was complete"},
      {CalloutAnswer::silent(), "was not answered in time"},
      {endless, "was not answered in time"},
  };
  uint64_t expected = 0;
  for (const auto& [given, why] : cases) {
    answer(given);
    load("onLog() { audit('seen', { timeoutMs: 1000 }); }");
    run();
    envoy_.advance(1'000);
    EXPECT_EQ(takeErrors(), List{std::string("test: E_KEEPALIVE_FAILED: a call with keepalive to audit ") + why});
    EXPECT_EQ(failures(), ++expected);
    envoy_.advance(60'000);
  }
  load("onLog() { fetch('http://unknown/', { keepalive: true }); }");
  run();
  EXPECT_EQ(takeErrors(), List{"test: E_KEEPALIVE_FAILED: a call with keepalive to unknown found no such cluster"});
  EXPECT_EQ(failures(), ++expected);
  answer(CalloutAnswer::of(399, "", 5));
  load("onLog() { audit(); }");
  run();
  envoy_.advance(60'000);
  EXPECT_EQ(failures(), expected);
}

TEST_P(KeepaliveTest, ACallThatIsLateDoesNotHoldUpOthers) {
  // F040: each has its own time.
  answer(CalloutAnswer::silent());
  load("onLog() { for (const timeoutMs of [2000, 1000, 3000]) audit('a', { timeoutMs }); }");
  run();
  for (int calls = 0; calls < 3; ++calls) {
    envoy_.advance(999);
    EXPECT_EQ(takeErrors().size(), 0U);
    envoy_.advance(1);
    EXPECT_EQ(takeErrors().size(), 1U);
  }
}

TEST_P(KeepaliveTest, AConfigCanGoWithCallsWaitingAndInFlight) {
  // F040, F074
  answer(kGood);
  load("onLog() { audit(); }");
  run();
  config_.reset();
  envoy_.advance(1'000);
  load("onLog() { audit(); }");
  {
    Exchange exchange(envoy_, *config_);
    exchange.requestHeaders(request());
    exchange.clientLeaves();
  }
  config_.reset();
  envoy_.advance(1'000);
}

TEST_P(KeepaliveTest, TheCallHasASpanThatItsRequestNames) {
  // F040, F091
  answer(kGood);
  load("async onRequest() { await audit(); }, onLog() { audit(); }");
  ExchangeOptions options;
  options.facts.traced = true;
  const ExchangeResult result = run(options);
  ASSERT_EQ(result.callouts.size(), 2U);
  for (const Callout& call : result.callouts) {
    const auto& headers = call.request.headers;
    EXPECT_TRUE(std::any_of(headers.begin(), headers.end(),
                            [](const auto& line) { return line.first == "traceparent"; }));
  }
}

}  // namespace
}  // namespace fairlead
