// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Calls that are made anew, over the fake: when, how often, and what the script gets in the end.

#include "filter-cc/retry.h"

#include <gtest/gtest.h>

#include <ctime>
#include <memory>
#include <string>
#include <vector>

#include "filter-cc/host_fake.h"
#include "filter-cc/stream.h"

namespace fairlead {
namespace {

using List = std::vector<std::string>;

class RetryTest : public testing::TestWithParam<EnvoyRelease> {
protected:
  /** A filter that tells the upstream in `x-told` what the body of an async function gives. */
  void load(const std::string& body, const std::string& limits = "") {
    const std::string source = R"(import { sleep } from "fairlead"; export default { async onRequest(request, ctx) {
      const outcome = (call) => call.then((answer) => answer.text().then((text) => answer.status + " " + text),
                                          (error) => typeof error.code === "string" ? error.code : error.name);
      request.headers.set("x-told", String(await (async () => {)" +
                               body + "})())); } };";
    std::string json = R"({"clusters": ["auth", "other"])" + limits + R"(, "inline": ")";
    for (const char c : source)
      json += c == '\n' ? "\\n" : c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
    Result<std::unique_ptr<FilterConfig>> made = FilterConfig::create("test", json + "\"}");
    ASSERT_TRUE(made) << made.error().message << " at line " << made.error().line;
    config_ = *std::move(made);
  }

  ExchangeResult run(const ExchangeOptions& options = {}) {
    ExchangePlan plan;
    plan.request.headers = {{":authority", "example.com"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}};
    plan.upstream.response.headers = {{":status", "200"}};
    plan.options = options;
    ExchangeResult result = runExchange(envoy_, *config_, plan);
    EXPECT_TRUE(result.complete) << "the exchange waits for ever";
    return result;
  }
  std::string told() { return run().upstream.header("x-told").value_or("nothing"); }

  /** The cluster `auth` gives these answers one after the other; the last again and again. */
  void answer(std::vector<CalloutAnswer> answers) {
    calls_ = 0;
    envoy_.setCluster("auth", [this, answers](const CalloutRequest& request) {
      last_ = request;
      return answers[std::min(calls_++, answers.size() - 1)];
    });
  }

  static CalloutAnswer resetBefore() {
    CalloutAnswer answer;
    answer.end = CalloutAnswer::End::Reset;
    return answer;
  }

  void TearDown() override {
    config_.reset();
    EXPECT_EQ(envoy_.finish(), List());
  }

  FakeEnvoy envoy_{FakeEnvoyOptions{.release = GetParam()}};
  std::unique_ptr<FilterConfig> config_;
  size_t calls_ = 0;
  CalloutRequest last_;
};

INSTANTIATE_TEST_SUITE_P(Releases, RetryTest,
                         testing::Values(EnvoyRelease::V1_38, EnvoyRelease::V1_39, EnvoyRelease::V1_40),
                         [](const auto& info) {
                           return "Envoy1" + std::to_string(38 + static_cast<int>(info.param));
                         });

const CalloutAnswer kBusy = CalloutAnswer::of(503, "busy", 5);
const CalloutAnswer kGood = CalloutAnswer::of(200, "good", 5);

TEST_P(RetryTest, ANumberIsHowManyTriesFollowTheFirst) {
  // F037
  answer({kBusy, kBusy, kGood});
  load(R"(return outcome(fetch("http://auth/", { method: "PUT", body: "again", retry: 2 }));)");
  EXPECT_EQ(told(), "200 good");
  EXPECT_EQ(calls_, 3U);
  EXPECT_EQ(last_.body, "again");
  answer({kBusy, kBusy, kGood});
  load(R"(return outcome(fetch("http://auth/", { retry: 1 }));)");
  EXPECT_EQ(told(), "503 busy");
  EXPECT_EQ(calls_, 2U);
  answer({kBusy, kGood});
  load(R"(return outcome(fetch("http://auth/", { retry: 0 }));)");
  EXPECT_EQ(told(), "503 busy");
  EXPECT_EQ(calls_, 1U);
}

TEST_P(RetryTest, OnlyTheCausesThatAreNamedAreRetried) {
  // F037
  CalloutAnswer cut = CalloutAnswer::of(200, "half", 5);
  cut.headers.emplace_back("content-length", "100");
  cut.end = CalloutAnswer::End::Reset;
  struct Case {
    const char* retry;
    CalloutAnswer first;
    const char* told;
  };
  const std::vector<Case> cases = {
      {"{ numRetries: 1 }", resetBefore(), "200 good"},
      {"{ numRetries: 1 }", cut, "200 good"},
      {"{ numRetries: 1 }", CalloutAnswer::failure(CalloutStart::CannotCreateRequest), "200 good"},
      {"{ numRetries: 1 }", CalloutAnswer::failure(CalloutStart::MissingRequiredHeaders), "E_FETCH_REQUEST"},
      {"{ numRetries: 1 }", CalloutAnswer::of(500, "no", 5), "500 no"},
      {"{ numRetries: 1 }", CalloutAnswer::of(502, "no", 5), "200 good"},
      {"{ numRetries: 1 }", CalloutAnswer::of(429, "no", 5), "429 no"},
      {"{ numRetries: 1, retryOn: ['5xx'] }", CalloutAnswer::of(500, "no", 5), "200 good"},
      {"{ numRetries: 1, retryOn: ['5xx'] }", resetBefore(), "E_FETCH_RESET"},
      {"{ numRetries: 1, retryOn: ['5xx'] }", CalloutAnswer::of(499, "no", 5), "499 no"},
      {"{ numRetries: 1, retryOn: [429, 400, 599] }", CalloutAnswer::of(429, "no", 5), "200 good"},
      {"{ numRetries: 1, retryOn: [429] }", kBusy, "503 busy"},
      {"{ numRetries: 1, retryOn: ['gateway-error'] }", CalloutAnswer::of(504, "no", 5), "200 good"},
      {"{ numRetries: 1, retryOn: ['gateway-error'] }", CalloutAnswer::of(505, "no", 5), "505 no"},
      {"{ numRetries: 1, perTryTimeoutMs: 50 }", CalloutAnswer::silent(), "200 good"},
      {"{ numRetries: 1, perTryTimeoutMs: 50, retryOn: ['reset'] }", CalloutAnswer::silent(), "E_FETCH_TIMEOUT"},
      {"undefined", kBusy, "503 busy"},
  };
  for (const Case& expected : cases) {
    answer({expected.first, kGood});
    load(std::string("return outcome(fetch('http://auth/', { retry: ") + expected.retry + " }));");
    EXPECT_EQ(told(), expected.told) << expected.retry;
  }
}

TEST_P(RetryTest, APolicyThatMakesNoSenseIsRefusedAtOnce) {
  // F037
  answer({kBusy});
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"{ retry: 11 }", "E_OPTION"},
      {"{ retry: 1.5 }", "E_OPTION"},
      {"{ retry: 'twice' }", "E_OPTION"},
      {"{ retry: { attempts: 2 } }", "E_OPTION_NAME"},
      {"{ retry: { numRetries: 2, retryOn: ['4xx'] } }", "E_OPTION"},
      {"{ retry: { numRetries: 2, retryOn: [399] } }", "E_OPTION"},
      {"{ retry: { numRetries: 2, retryOn: [600] } }", "E_OPTION"},
      {"{ retry: { numRetries: 2, baseIntervalMs: 20, maxIntervalMs: 19 } }", "E_OPTION"},
      {"{ method: 'POST', retry: 1 }", "E_FETCH_RETRY"},
      {"{ method: 'PATCH', retry: { numRetries: 1 } }", "E_FETCH_RETRY"},
      {"{ method: 'PUT', body: new Response('a').body, retry: 1 }", "E_FETCH_RETRY"},
      {"{ method: 'POST', body: new Response('a').body, retry: { numRetries: 1, idempotent: true } }", "E_FETCH_RETRY"},
  };
  for (const auto& [init, code] : cases) {
    load(std::string("return outcome(fetch('http://auth/', ") + init + "));");
    EXPECT_EQ(told(), code) << init;
  }
  EXPECT_EQ(calls_, 0U);
  answer({kBusy, kGood});
  load("return outcome(fetch('http://auth/', { method: 'POST', body: 'a', retry: { numRetries: 1, idempotent: true } }));");
  EXPECT_EQ(told(), "200 good");
  EXPECT_EQ(last_.body, "a");
}

TEST_P(RetryTest, PausesDoubleUpToTheLongestAndHaveAnyLengthBelow) {
  // F037
  RetryPolicy policy;
  policy.baseIntervalMs = 20;
  policy.maxIntervalMs = 50;
  const std::pair<uint32_t, uint64_t> longest[] = {{0, 20}, {1, 40}, {2, 50}, {9, 50}};
  for (const auto& [made, ms] : longest) {
    uint64_t least = UINT64_MAX;
    uint64_t most = 0;
    for (int i = 0; i < 1'000; ++i) {
      least = std::min(least, policy.backOffNs(made));
      most = std::max(most, policy.backOffNs(made));
    }
    EXPECT_LE(most, ms * 1'000'000) << made;
    EXPECT_GT(most, ms * 900'000) << made;
    EXPECT_LT(least, ms * 100'000) << made;
  }
}

TEST_P(RetryTest, RetryAfterIsHeededUpToTheLongestPause) {
  // F037
  const auto elapsedMs = [&](const char* retryAfter) {
    CalloutAnswer busy = kBusy;
    busy.headers.emplace_back("retry-after", retryAfter);
    answer({busy, kGood});
    const ExchangeResult result = run();
    EXPECT_EQ(result.upstream.header("x-told"), "200 good");
    return result.elapsedNs / 1'000'000;
  };
  load("return outcome(fetch('http://auth/', { retry: { numRetries: 1, baseIntervalMs: 1, maxIntervalMs: 2000 } }));");
  EXPECT_GE(elapsedMs("1"), 1'010U);
  EXPECT_LE(elapsedMs("1"), 1'022U);
  EXPECT_GE(elapsedMs("3600"), 2'010U);
  EXPECT_LE(elapsedMs("18446744073709551615"), 2'022U);
  EXPECT_LE(elapsedMs("Wed, 21 Oct 2015 07:28:00 GMT"), 22U);
}

TEST_P(RetryTest, RetryAfterIsADateInEachOfItsForms) {
  // F037
  const auto elapsedMs = [&](const std::string& retryAfter) {
    CalloutAnswer busy = kBusy;
    busy.headers.emplace_back("retry-after", retryAfter);
    answer({busy, kGood});
    return run().elapsedNs / 1'000'000;
  };
  load("return outcome(fetch('http://auth/', { retry: { numRetries: 1, baseIntervalMs: 1, maxIntervalMs: 8000 } }));");
  // A date says whole seconds, and the clock goes on while the test runs.
  const std::time_t then = std::time(nullptr) + 7;
  for (const char* form : {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"}) {
    char date[64];
    ASSERT_GT(std::strftime(date, sizeof date, form, std::gmtime(&then)), 0U);
    const uint64_t waitedMs = elapsedMs(date);
    EXPECT_GT(waitedMs, 1'000U) << date;
    EXPECT_LE(waitedMs, 7'022U) << date;
  }
  EXPECT_GE(elapsedMs("Fri, 31 Dec 2100 23:59:60 GMT"), 8'000U);
  for (const char* none : {"Fri, 31 Dec 2100 23:59:59 CET", "Fri, 31 Dec 2100 24:00:00 GMT", "Mon, 31 Feb 2100 23:59:59 GMT",
                           "Fri, 31 Dez 2100 23:59:59 GMT", "Fri, 31 anF 2100 23:59:59 GMT", "Fri, 31 Dec 2100 23:59 GMT",
                           "Fri, 31 Dec 2100 23:59:59 GMT 1", "Fri, 31 Dec 99999 23:59:59 GMT", "31 Dec 2100", "soon", "-1", "1.5",
                           ",,,,,,,", "4294967296 s"})
    EXPECT_LE(elapsedMs(none), 22U) << none;
}

TEST_P(RetryTest, TheWholeCallKeepsToItsTime) {
  // F037, F032
  answer({CalloutAnswer::silent()});
  load("return outcome(fetch('http://auth/', { timeoutMs: 100, retry: { numRetries: 10, perTryTimeoutMs: 40, baseIntervalMs: 1 } }));");
  const ExchangeResult result = run();
  EXPECT_EQ(result.upstream.header("x-told"), "E_FETCH_TIMEOUT");
  EXPECT_LE(result.elapsedNs, 100'000'000U);
  EXPECT_EQ(calls_, 3U);
  // A pause that would outlast it is none: the answer that is there is given.
  CalloutAnswer busy = kBusy;
  busy.headers.emplace_back("retry-after", "1");
  answer({busy, kGood});
  load("return outcome(fetch('http://auth/', { timeoutMs: 500, retry: { numRetries: 1, maxIntervalMs: 1000 } }));");
  EXPECT_EQ(told(), "503 busy");
}

TEST_P(RetryTest, ASignalAndTheEndOfTheStreamEndAPause) {
  // F037, F035
  CalloutAnswer busy = kBusy;
  busy.headers.emplace_back("retry-after", "1");
  answer({busy, kGood});
  load(R"(const control = new AbortController();
    setTimeout(() => control.abort(), 50);
    const first = await outcome(fetch("http://auth/", { signal: control.signal, retry: { numRetries: 1, maxIntervalMs: 1000 } }));
    await sleep(2000);
    return first;)");
  EXPECT_EQ(told(), "AbortError");
  EXPECT_EQ(calls_, 1U);

  answer({busy, kGood});
  load(R"(console.info(await outcome(fetch("http://auth/", { retry: { numRetries: 1, maxIntervalMs: 1000 } })));)");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders({{":authority", "a"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}});
  envoy_.advance(50);
  exchange.clientLeaves();
  envoy_.advance(5'000);
  EXPECT_EQ(calls_, 1U);
  ASSERT_EQ(envoy_.log().size(), 1U);
  EXPECT_NE(envoy_.log()[0].message.find("E_ABORTED"), std::string::npos);
}

TEST_P(RetryTest, RetriesCountAmongTheCallsOfAStream) {
  // F037: ten times limits.fetches.
  answer({kBusy});
  load(R"(const told = [];
    for (let i = 0; i < 3; i++) told.push(await outcome(fetch("http://auth/", { retry: 5 })));
    return told.join();)",
       R"(, "limits": {"fetches": 1})");
  EXPECT_EQ(told(), "503 busy,503 busy,E_FETCH_LIMIT");
  EXPECT_EQ(calls_, 10U);
}

TEST_P(RetryTest, AClusterThatIsDownGetsAFewRetriesAtATimeAndNotEachCallAgain) {
  // F037: at most three, or a fifth of the calls under way.
  for (const auto& [calls, retried] : {std::pair<size_t, size_t>{3, 3}, {4, 3}, {19, 3}, {20, 4}, {100, 20}}) {
    answer({kBusy});
    load("const calls = Array.from({ length: " + std::to_string(calls) +
             " }, () => outcome(fetch('http://auth/', { retry: 1 })));"
             "const told = await Promise.all(calls); return told.every((one) => one === '503 busy');",
         R"(, "limits": {"fetches": 100, "cpu_ms": 10000, "stream_cpu_ms": 10000})");
    EXPECT_EQ(told(), "true");
    EXPECT_EQ(calls_, calls + retried) << calls;
    // All have been given back.
    answer({kBusy, kGood});
    EXPECT_EQ(told(), "false");
  }
}

TEST_P(RetryTest, ATryThatHasBeenGivenUpIsReset) {
  // F037: its late answer belongs to nobody.
  answer({CalloutAnswer::of(200, "late", 60), kGood});
  load("return outcome(fetch('http://auth/', { retry: { numRetries: 1, perTryTimeoutMs: 50, baseIntervalMs: 100 } }));");
  EXPECT_EQ(told(), "200 good");
  EXPECT_EQ(calls_, 2U);
}

TEST_P(RetryTest, EachTryHasASpanOfItsOwn) {
  // F037, F091
  answer({kBusy, kGood});
  load("return outcome(fetch('http://auth/', { retry: 1 }));");
  ExchangeOptions options;
  options.facts.traced = true;
  const ExchangeResult result = run(options);
  ASSERT_EQ(result.spans.size(), 3U);
  std::string statuses;
  for (const auto& span : result.spans) {
    for (const auto& [key, value] : span.tags) {
      if (key == "http.status_code")
        statuses += value + " ";
    }
  }
  EXPECT_EQ(statuses, "503 200 ");
}

}  // namespace
}  // namespace fairlead
