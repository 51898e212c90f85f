// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The state machine of a stream over the fake, under the rules of each release of Envoy: what
// upstream and client see, in which order, and that the core breaks no rule of its host.

#include "filter-cc/stream.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <string>
#include <vector>

#include "filter-cc/host_fake.h"
#include "filter-cc/runtime.h"

namespace fairlead {
namespace {

using List = std::vector<std::string>;
using Upstream = UpstreamBehavior::Kind;

std::string jsonString(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      json += '\\';
    if (c == '\n')
      json += "\\n";
    else
      json += c;
  }
  return json + '"';
}

HeaderList getRequest(std::string path = "/") {
  return {{":authority", "example.com"},
          {":path", std::move(path)},
          {":method", "GET"},
          {":scheme", "http"}};
}

class StreamTest : public testing::TestWithParam<EnvoyRelease> {
protected:
  /** Makes a filter of hooks; `more` are further keys of the config. */
  void load(std::string_view hooks, const std::string& more = "") {
    config_ = make("export default {\n" + std::string(hooks) + "\n};", more);
  }

  std::unique_ptr<FilterConfig> make(const std::string& source, const std::string& more = "") {
    const std::string imported = "import { once, sleep } from 'fairlead';\n" + source;
    std::string json = "{\"inline\": " + jsonString(imported);
    json += ", \"clusters\": [\"auth\", \"other\"]";
    // Sanitizers make scripts many times slower: only a test of the CPU limit says what it is.
    std::string rest = more;
    const std::string time = "\"cpu_ms\": 500, \"stream_cpu_ms\": 5000";
    constexpr std::string_view kLimits = "\"limits\": {";
    if (const size_t at = rest.find(kLimits); at == std::string::npos)
      rest += std::string(rest.empty() ? "" : ", ") + std::string(kLimits) + time + "}";
    else if (rest.find("cpu_ms") == std::string::npos)
      rest.insert(at + kLimits.size(), time + ", ");
    json += ", " + rest + "}";
    Result<std::unique_ptr<FilterConfig>> made = FilterConfig::create("test", json);
    if (!made) {
      ADD_FAILURE() << made.error().code << ": " << made.error().message << " at line "
                    << made.error().line;
      return nullptr;
    }
    return *std::move(made);
  }

  /** GET / through the filter; the upstream answers 200 "upstream". */
  ExchangePlan plan() {
    ExchangePlan plan;
    plan.request.headers = getRequest();
    plan.upstream.response.headers = {{":status", "200"}, {"content-length", "8"}};
    plan.upstream.response.frames = {"upstream"};
    return plan;
  }

  ExchangeResult run() { return run(plan()); }
  ExchangeResult run(const ExchangePlan& plan) {
    ExchangeResult result = runExchange(envoy_, *config_, plan);
    EXPECT_TRUE(result.complete) << "the exchange waits for ever";
    return result;
  }

  /** Lines of the log from `level` on; each is returned once. */
  List takeLog(LogLevel level = LogLevel::Error) {
    List lines;
    for (const LogLine& line : envoy_.log()) {
      if (line.level >= level)
        lines.push_back(line.message);
    }
    envoy_.clearLog();
    return lines;
  }

  /** Asserts that there is one error in the log, and that it says all of `parts`. */
  void expectError(const List& parts) {
    const List errors = takeLog();
    ASSERT_EQ(errors.size(), 1U) << testing::PrintToString(errors);
    for (const std::string& part : parts)
      EXPECT_NE(errors[0].find(part), std::string::npos) << errors[0];
  }

  void TearDown() override {
    EXPECT_EQ(takeLog(), List());
    config_.reset();
    EXPECT_EQ(envoy_.finish(), List());
  }

  /** Answers calls to `auth` with 200 and the path. */
  void answerAuth(uint64_t delayMs = 10) {
    envoy_.setCluster("auth", [delayMs](const CalloutRequest& request) {
      std::string path;
      for (const auto& [name, value] : request.headers)
        path = name == ":path" ? value : path;
      return CalloutAnswer::of(200, path, delayMs);
    });
  }

  FakeEnvoy envoy_{FakeEnvoyOptions{.release = GetParam()}};
  std::unique_ptr<FilterConfig> config_;
};

std::string releaseName(const testing::TestParamInfo<EnvoyRelease>& info) {
  switch (info.param) {
  case EnvoyRelease::V1_38:
    return "Envoy138";
  case EnvoyRelease::V1_39:
    return "Envoy139";
  default:
    return "Envoy140";
  }
}

INSTANTIATE_TEST_SUITE_P(Releases, StreamTest,
                         testing::Values(EnvoyRelease::V1_38, EnvoyRelease::V1_39,
                                         EnvoyRelease::V1_40),
                         releaseName);

// --- Hooks, headers ---

TEST_P(StreamTest, SynchronousHooksChangeBothMessagesAndLetThemGoOn) {
  load(R"(
    onRequest(request, ctx) {
      request.headers.set("x-req", request.method);
      ctx.state.path = request.path;
    },
    onResponse(response, ctx) { response.headers.set("x-res", ctx.state.path + response.status); },
    onLog(ctx) { console.info(ctx.state.path, ctx.response.status); })");
  ExchangePlan plan = this->plan();
  plan.request.headers = getRequest("/p");
  const ExchangeResult result = run(plan);
  EXPECT_EQ(result.upstream.headers.back(),
            std::make_pair(std::string("x-req"), std::string("GET")));
  EXPECT_EQ(result.client.header("x-res"), "/p200");
  EXPECT_EQ(result.client.body, "upstream");
  EXPECT_EQ(result.elapsedNs, 0U);
  const List lines = takeLog(LogLevel::Info);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("/p 200"), std::string::npos) << lines[0];
}

TEST_P(StreamTest, AsynchronousHooksHoldTheirMessageUntilTheySettle) {
  // F029
  load(R"(
    async onRequest(request) { await sleep(50); request.headers.set("x-req", "late"); },
    async onResponse(response) { await sleep(20); response.headers.set("x-res", "late"); })");
  const ExchangeResult result = run();
  EXPECT_EQ(result.upstream.headers.back().second, "late");
  EXPECT_EQ(result.client.header("x-res"), "late");
  EXPECT_EQ(result.client.body, "upstream");
  EXPECT_EQ(result.elapsedNs, 70'000'000U);
  EXPECT_EQ(result.upstream.starts, 1U);
}

TEST_P(StreamTest, WaitingStreamsDoNotWaitForEachOther) {
  // F029
  load(R"(async onRequest() { await sleep(200); })");
  const uint64_t startNs = envoy_.nowNs();
  std::vector<std::unique_ptr<Exchange>> exchanges;
  for (int i = 0; i < 100; ++i) {
    exchanges.push_back(std::make_unique<Exchange>(envoy_, *config_));
    exchanges.back()->requestHeaders(getRequest());
  }
  while (envoy_.runNext()) {
  }
  EXPECT_EQ(envoy_.nowNs() - startNs, 200'000'000U);
  for (const auto& exchange : exchanges)
    EXPECT_TRUE(exchange->atUpstream().ended);
}

TEST_P(StreamTest, BodiesAndTrailersWaitWithTheirHeadersAndArriveWholeAndInOrder) {
  // R13, R16: nothing is lost, doubled, or answered with 413 while a hook waits.
  load(R"(
    async onRequest(request) { await sleep(200); request.headers.set("x-req", "1"); },
    async onResponse(response) { await sleep(200); response.headers.set("x-res", "1"); })");
  constexpr size_t kFrame = 16 * 1024;
  constexpr size_t kLimit = 64 * 1024;
  for (const size_t size : {size_t{0}, size_t{1}, kFrame, size_t{5} * 1024 * 1024}) {
    for (const bool trailers : {false, true}) {
      for (const bool endWithLastFrame : {false, true}) {
        Message body;
        for (size_t at = 0; at < size; at += kFrame)
          body.frames.push_back(
              std::string(std::min(kFrame, size - at), static_cast<char>('a' + at / kFrame % 26)));
        if (trailers)
          body.trailers = HeaderList({{"t", "1"}});
        body.endWithLastFrame = endWithLastFrame;
        std::string whole;
        for (const std::string& frame : body.frames)
          whole += frame;

        ExchangePlan plan = this->plan();
        plan.options.bufferLimitBytes = kLimit;
        plan.request = body;
        plan.request.headers = getRequest();
        plan.upstream.response = body;
        plan.upstream.response.headers = {{":status", "200"}};
        const ExchangeResult result = run(plan);
        EXPECT_EQ(result.upstream.headers.back().first, "x-req");
        EXPECT_TRUE(result.upstream.body == whole);
        EXPECT_EQ(result.upstream.trailers.has_value(), trailers);
        EXPECT_EQ(result.client.header("x-res"), "1");
        EXPECT_TRUE(result.client.body == whole);
        EXPECT_EQ(result.client.trailers.has_value(), trailers);
        EXPECT_TRUE(result.upstream.ended && result.client.ended);
      }
    }
  }
}

TEST_P(StreamTest, AHeldMessageIsNotBufferedBeyondTheLimitAndOneFrame) {
  load(R"(async onRequest() { await sleep(10); })");
  Exchange exchange(envoy_, *config_, {.bufferLimitBytes = 64 * 1024});
  exchange.requestHeaders(getRequest(), false);
  for (int i = 0; i < 100; ++i)
    exchange.requestData(std::string(16 * 1024, 'x'));
  exchange.requestData("", true);
  EXPECT_LE(exchange.heldBytes(Direction::Request), size_t{80} * 1024);
  EXPECT_GT(exchange.waitingFrames(Direction::Request), 90U);
  envoy_.advance(10);
  EXPECT_EQ(exchange.atUpstream().body.size(), size_t{1600} * 1024);
  EXPECT_TRUE(exchange.atUpstream().ended);
}

TEST_P(StreamTest, IteratingAHundredHeadersCostsOneHostCall) {
  // F002
  load(R"(onRequest(request) { let n = 0; for (const [k, v] of request.headers) n += v.length;
            request.headers.set("x-n", String(n)); })");
  HeaderList headers = getRequest();
  for (int i = 0; i < 100; ++i)
    headers.emplace_back("x-" + std::to_string(i), "v");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(headers);
  // The host is one of them.
  EXPECT_EQ(exchange.atUpstream().header("x-n"), "111");
  EXPECT_EQ(exchange.count(HostCall::Headers), 1U);
  EXPECT_EQ(exchange.count(HostCall::Header), 0U);
}

TEST_P(StreamTest, AResponseHookWithoutARequestHookSeesTheRequestAndAnEmptyState) {
  // F002, R21: a filter before ours has answered.
  load(R"(
    onRequest(request, ctx) { ctx.state.ran = true; },
    onResponse(response, ctx) {
      response.headers.set("x-path", ctx.request.path + Object.keys(ctx.state).length);
    })");
  ExchangePlan plan = this->plan();
  plan.upstream.kind = Upstream::EarlierReply;
  plan.upstream.response.headers = {{":status", "401"}};
  plan.request.headers = getRequest("/early");
  const ExchangeResult result = run(plan);
  EXPECT_EQ(result.client.status(), 401U);
  EXPECT_EQ(result.client.header("x-path"), "/early0");
  EXPECT_EQ(result.upstream.starts, 0U);
}

TEST_P(StreamTest, AReplyThatTheRouterMakesInsideContinueIsSeenByOnResponse) {
  // R11
  load(R"(
    async onRequest(request, ctx) { await sleep(5); ctx.state.waited = "yes"; },
    async onResponse(response, ctx) {
      await sleep(5);
      response.headers.set("x-waited", ctx.state.waited);
    },
    onLog(ctx) { console.info("log", ctx.response.status); })");
  ExchangePlan plan = this->plan();
  plan.upstream.kind = Upstream::LocalReply;
  plan.upstream.response.headers = {{":status", "503"}};
  const ExchangeResult result = run(plan);
  EXPECT_EQ(result.client.status(), 503U);
  EXPECT_EQ(result.client.header("x-waited"), "yes");
  EXPECT_EQ(result.client.body, "upstream");
  EXPECT_EQ(takeLog(LogLevel::Info).size(), 1U);
}

TEST_P(StreamTest, HeadersCannotBeWrittenOnceTheyHaveLeft) {
  load(R"(
    onRequest(request, ctx) {
      const log = (name) => setTimeout(() => {
        try { request.headers.set("late", "1"); } catch (e) { console.info(name, e.code); }
      }, 10);
      log("request");
    },
    onResponse(response, ctx) {
      try { ctx.request.headers.set("late", "1"); } catch (e) { console.info("response", e.code); }
    })");
  ExchangePlan plan = this->plan();
  plan.upstream.delayMs = 50;
  run(plan);
  const List lines = takeLog(LogLevel::Info);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_NE(lines[0].find("request E_HEADERS_SENT"), std::string::npos) << lines[0];
  EXPECT_NE(lines[1].find("response E_HEADERS_SENT"), std::string::npos) << lines[1];
}

// --- Replies ---

TEST_P(StreamTest, AReturnedResponseAnswersFromEitherHookAtOnceOrLater) {
  // F020, F021, F022
  const char* wait[] = {"", "await sleep(5);"};
  for (const char* waiting : wait) {
    for (const bool request : {true, false}) {
      load(std::string("async ") + (request ? "onRequest" : "onResponse") + "() { " + waiting + R"(
             const headers = new Headers({ "x-one": "1" });
             headers.append("set-cookie", "a=1");
             headers.append("set-cookie", "b=2");
             return new Response(new Uint8Array([0, 1, 255]), { status: 451, headers });
           },)" +
           (request ? "onResponse(response) { response.headers.set('x-res', '1'); }," : "") + R"(
           onLog(ctx) { console.info("status", ctx.response.status); })");
      ExchangePlan plan = this->plan();
      plan.request.frames = {"some", "body"};
      plan.upstream.response.frames = {std::string(1024 * 1024, 'x')};
      const ExchangeResult result = run(plan);
      EXPECT_EQ(result.client.status(), 451U);
      EXPECT_EQ(result.client.header("x-one"), "1");
      EXPECT_EQ(std::count(result.client.headers.begin(), result.client.headers.end(),
                           std::make_pair(std::string("set-cookie"), std::string("a=1"))),
                1);
      EXPECT_EQ(result.client.header("set-cookie"), "a=1, b=2");
      EXPECT_EQ(result.client.body, std::string("\0\1\xff", 3));
      EXPECT_EQ(result.client.header("content-length"), "3");
      EXPECT_FALSE(result.client.header("x-res").has_value());
      EXPECT_EQ(result.client.starts, 1U);
      EXPECT_EQ(result.upstream.starts, request ? 0U : 1U);
      EXPECT_EQ(result.details, "fairlead_reply");
      const List lines = takeLog(LogLevel::Info);
      ASSERT_EQ(lines.size(), 1U);
      EXPECT_NE(lines[0].find("status 451"), std::string::npos) << lines[0];
    }
  }
}

TEST_P(StreamTest, GivingBackTheResponseItselfMeansGoOn) {
  load(
      R"(async onResponse(response) {
        await sleep(1);
        response.headers.set("a", "1");
        return response;
      })");
  const ExchangeResult result = run();
  EXPECT_EQ(result.client.status(), 200U);
  EXPECT_EQ(result.client.header("a"), "1");
  EXPECT_EQ(result.client.body, "upstream");
}

TEST_P(StreamTest, AnotherReturnValueIsAnErrorWithItsCode) {
  answerAuth();
  struct Case {
    const char* body;
    const char* code;
  };
  for (const Case& wrong :
       {Case{"return 'text';", "E_RETURN_VALUE"}, Case{"return 7;", "E_RETURN_VALUE"},
        Case{"return {};", "E_RETURN_VALUE"}, Case{"return request;", "E_RETURN_REQUEST"},
        Case{"return new Request('http://auth/');", "E_RETURN_REQUEST"},
        Case{"return Response.error();", "E_RETURN_VALUE"},
        Case{"const r = new Response('x'); await r.text(); return r;", "E_BODY_USED"},
        Case{"return fetch('http://auth/');", "E_RETURN_FETCHED"}}) {
    load(std::string("async onRequest(request) { ") + wrong.body + " }");
    const ExchangeResult result = run();
    EXPECT_EQ(result.client.status(), 500U) << wrong.body;
    EXPECT_EQ(result.upstream.starts, 0U);
    expectError({wrong.code, "onRequest"});
  }
}

TEST_P(StreamTest, GrpcCallersGetTheStatusInGrpc) {
  // F023, R25
  struct Case {
    const char* hook;
    const char* status;
    const char* message;
    bool error;
  };
  for (const Case& expected :
       {Case{"onRequest() { return new Response('no entry', { status: 403 }); }", "7", "no entry",
             false},
        Case{"async onResponse() { await sleep(1); return new Response(null, { status: 401 }); }",
             "16", nullptr, false},
        Case{"onRequest() { throw new Error('x'); }", "13", nullptr, true},
        Case{"async onRequest() { await new Promise(() => {}); }", "4", nullptr, true},
        Case{"async onResponse() { await sleep(1); throw new Error('x'); }", "13", nullptr,
             true}}) {
    load(expected.hook);
    ExchangePlan plan = this->plan();
    plan.request.headers.emplace_back("content-type", "application/grpc");
    plan.request.frames = {"frame"};
    const ExchangeResult result = run(plan);
    EXPECT_EQ(result.client.status(), 200U) << expected.hook;
    EXPECT_EQ(result.client.header("grpc-status"), expected.status) << expected.hook;
    EXPECT_EQ(result.client.header("grpc-message"),
              expected.message == nullptr ? std::nullopt
                                          : std::optional<std::string>(expected.message));
    EXPECT_EQ(result.client.body, "");
    EXPECT_EQ(result.client.starts, 1U);
    EXPECT_TRUE(result.client.ended);
    EXPECT_EQ(takeLog().size(), expected.error ? 1U : 0U);
  }
}

TEST_P(StreamTest, AReplyOfEnvoyWhileTheRequestHookWaitsMakesItsOutcomeUseless) {
  for (const char* outcome : {"", "request.headers.set('late', '1');",
                              "return new Response('mine');", "throw new Error('late');"}) {
    load(std::string("async onRequest(request) { await sleep(20); try {") + outcome +
         "} finally { console.info('done'); } }, async onResponse() { await sleep(100); }");
    Exchange exchange(envoy_, *config_);
    exchange.requestHeaders(getRequest());
    exchange.localReply(408, "too late", "request_timeout");
    EXPECT_FALSE(exchange.complete());
    envoy_.advance(200);
    EXPECT_EQ(exchange.atClient().status(), 408U) << outcome;
    EXPECT_EQ(exchange.atClient().body, "too late");
    EXPECT_EQ(exchange.atUpstream().starts, 0U);
    EXPECT_EQ(takeLog(LogLevel::Info).size(), 1U) << outcome;
  }
}

TEST_P(StreamTest, AnUpstreamThatBreaksWhileTheResponseHookWaitsEndsTheStream) {
  load(
      R"(async onResponse() {
        try { await sleep(100); } catch (e) { console.info(e.name); }
      })");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(getRequest());
  exchange.responseHeaders({{":status", "200"}}, false);
  exchange.responseData("half");
  exchange.upstreamDisconnects();
  EXPECT_TRUE(exchange.atClient().reset);
  EXPECT_EQ(exchange.atClient().starts, 0U);
  const List lines = takeLog(LogLevel::Info);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("AbortError"), std::string::npos) << lines[0];
}

// --- fetch ---

TEST_P(StreamTest, AFetchGivesTheAnswer) {
  envoy_.setCluster("auth", [](const CalloutRequest& request) {
    EXPECT_EQ(request.body, "question");
    const auto has = [&](const char* name, const char* value) {
      return std::find(request.headers.begin(), request.headers.end(),
                       std::make_pair(std::string(name), std::string(value))) !=
             request.headers.end();
    };
    EXPECT_TRUE(has(":method", "POST"));
    EXPECT_TRUE(has(":path", "/verify?x=1"));
    EXPECT_TRUE(has(":authority", "auth"));
    EXPECT_TRUE(has("x-a", "1"));
    CalloutAnswer answer = CalloutAnswer::of(201, "one", 10);
    answer.headers.emplace_back("x-user", "u");
    answer.frames.push_back("two");
    answer.frameDelayMs = 10;
    return answer;
  });
  load(R"(async onRequest(request) {
    const answer = await fetch("http://auth/verify?x=1", {
      method: "POST", body: "question", headers: { "x-a": "1" },
    });
    const user = answer.headers.get("x-user");
    request.headers.set("x-answer", [answer.status, user, await answer.text()].join());
  })");
  const ExchangeResult result = run();
  EXPECT_EQ(result.upstream.header("x-answer"), "201,u,onetwo");
  EXPECT_EQ(result.elapsedNs, 40'000'000U);
  EXPECT_EQ(result.callouts.size(), 1U);
}

TEST_P(StreamTest, ParallelFetchesTakeAsLongAsTheSlowest) {
  answerAuth(30);
  load(R"(async onRequest(request) {
    const answers = await Promise.all(["/a", "/b", "/c"].map((p) => fetch("http://auth" + p)));
    request.headers.set("x-answer", (await Promise.all(answers.map((a) => a.text()))).join());
  })");
  const ExchangeResult result = run();
  EXPECT_EQ(result.upstream.header("x-answer"), "/a,/b,/c");
  EXPECT_EQ(result.elapsedNs, 30'000'000U);
}

TEST_P(StreamTest, EachWayAFetchFailsHasItsCodeAndSettlesOnce) {
  // R09, F033
  struct Case {
    const char* url;
    CalloutAnswer answer;
    const char* outcome;
  };
  CalloutAnswer cut = CalloutAnswer::of(200, "half", 5);
  cut.end = CalloutAnswer::End::Reset;
  CalloutAnswer resetBefore;
  resetBefore.end = CalloutAnswer::End::Reset;
  CalloutAnswer tooMuch = CalloutAnswer::of(200, std::string(1024 * 1024, 'x'), 5);
  tooMuch.frames.push_back("x");
  const std::vector<Case> cases = {
      {"http://auth/", CalloutAnswer::of(503, "busy", 5), "503 busy"},
      {"http://auth/", CalloutAnswer::failure(CalloutStart::CannotCreateRequest),
       "E_FETCH_NO_HOST"},
      {"http://auth/", CalloutAnswer::failure(CalloutStart::MissingRequiredHeaders),
       "E_FETCH_REQUEST"},
      {"http://auth/", CalloutAnswer::failure(CalloutStart::DuplicateCalloutId), "E_FETCH_REQUEST"},
      {"http://auth/", CalloutAnswer::failure(CalloutStart::ClusterNotFound),
       "E_FETCH_CLUSTER_UNKNOWN"},
      {"http://other/", CalloutAnswer::of(200), "E_FETCH_CLUSTER_UNKNOWN"},
      {"http://third/", CalloutAnswer::of(200), "E_FETCH_CLUSTER_NOT_ALLOWED"},
      {"http://auth/", CalloutAnswer::silent(), "E_FETCH_TIMEOUT TimeoutError"},
      {"http://auth/", resetBefore, "E_FETCH_RESET"},
      {"http://auth/", cut, "E_FETCH_RESET"},
      {"http://auth/", tooMuch, "E_BODY_LIMIT"},
  };
  for (const Case& expected : cases) {
    envoy_.setCluster("auth", [&](const CalloutRequest&) { return expected.answer; });
    load(std::string(R"(async onRequest(request) {
      let settled = 0, outcome;
      const call = fetch(")") +
         expected.url + R"(", { timeoutMs: 100 });
      call.then(() => settled++, () => settled++);
      try { const answer = await call; outcome = answer.status + " " + await answer.text(); }
      catch (e) { outcome = e.code + " " + e.name; }
      await sleep(200);
      request.headers.set("x-outcome", settled + " " + outcome);
    })");
    const ExchangeResult result = run();
    const std::string outcome = result.upstream.header("x-outcome").value_or("none");
    EXPECT_EQ(outcome.rfind(std::string("1 ") + expected.outcome, 0), 0U)
        << outcome << " for " << expected.outcome;
  }
}

TEST_P(StreamTest, ATimedOutOrAbortedCallIsResetAtTheHost) {
  envoy_.setCluster("auth", [](const CalloutRequest&) { return CalloutAnswer::silent(); });
  load(R"(async onRequest(request) {
    const control = new AbortController();
    const first = fetch("http://auth/", { timeoutMs: 20 }).catch((e) => e.name);
    const second = fetch("http://auth/", { signal: control.signal }).catch((e) => e.name);
    setTimeout(() => control.abort(), 10);
    request.headers.set("x-names", (await Promise.all([first, second])).join());
  })");
  const ExchangeResult result = run();
  EXPECT_EQ(result.upstream.header("x-names"), "TimeoutError,AbortError");
  ASSERT_EQ(result.callouts.size(), 2U);
  EXPECT_TRUE(result.callouts[0].reset);
  EXPECT_TRUE(result.callouts[1].reset);
}

TEST_P(StreamTest, AbortingInsideAThenOfTheSameCallSettlesOnce) {
  // R11
  envoy_.setCluster("auth", [](const CalloutRequest&) {
    return CalloutAnswer::of(200, std::string(kShortFetchBodyBytes + 1, 'x'), 10);
  });
  load(R"(async onRequest(request) {
    const control = new AbortController();
    let settled = 0;
    const call = fetch("http://auth/x", { signal: control.signal });
    const done = call.then(() => { settled++; control.abort(); control.abort(); }, () => settled++);
    await done;
    const body = await (await call).text().catch((e) => e.name);
    await sleep(50);
    request.headers.set("x-settled", settled + body);
  })");
  const ExchangeResult result = run();
  EXPECT_EQ(result.upstream.header("x-settled"), "1AbortError");
}

TEST_P(StreamTest, AShortAnswerIsGivenWholeSoThatItsCallIsNotBrokenOff) {
  // F030: the stream ends at once when the script has the answer.
  for (const size_t bytes : {size_t{1}, kShortFetchBodyBytes, kShortFetchBodyBytes + 1}) {
    envoy_.setCluster("auth", [bytes](const CalloutRequest&) {
      CalloutAnswer answer = CalloutAnswer::of(200, std::string(bytes, 'x'), 10);
      answer.frameDelayMs = 5;
      return answer;
    });
    load(R"(async onRequest() {
      const { status } = await fetch("http://auth/");
      return new Response(null, { status });
    })");
    const ExchangeResult result = run();
    EXPECT_EQ(result.client.status(), 200U);
    // The frame and the end are 5 ms apart each.
    EXPECT_EQ(result.elapsedNs, bytes > kShortFetchBodyBytes ? 10'000'000U : 20'000'000U) << bytes;
  }
}

TEST_P(StreamTest, OurOwnFilterCanRunInsideTheStartOfItsCall) {
  // R10: it is in the cluster's upstream chain as well, on the same worker and runtime.
  load(R"(async onRequest(request) {
    if (request.path === "/inner") { request.headers.set("x-inner", "1"); return; }
    const answer = await fetch("http://auth/inner");
    request.headers.set("x-body", await answer.text());
  })");
  envoy_.setCluster("auth", [&](const CalloutRequest& request) {
    Exchange inner(envoy_, *config_);
    inner.requestHeaders(request.headers);
    EXPECT_EQ(inner.atUpstream().header("x-inner"), "1");
    inner.responseHeaders({{":status", "200"}});
    return CalloutAnswer::of(200, "outer");
  });
  const ExchangeResult result = run();
  EXPECT_EQ(result.upstream.header("x-body"), "outer");
}

TEST_P(StreamTest, RedirectsAreFollowedToAllowedClustersOnly) {
  envoy_.setCluster("auth", [](const CalloutRequest& request) {
    std::string path;
    for (const auto& [name, value] : request.headers)
      path = name == ":path" ? value : path;
    CalloutAnswer answer = CalloutAnswer::of(path == "/end" ? 200 : 302, path, 5);
    if (path == "/start")
      answer.headers.emplace_back("location", "/middle");
    if (path == "/middle")
      answer.headers.emplace_back("location", "http://auth/end");
    if (path == "/out")
      answer.headers.emplace_back("location", "http://elsewhere/");
    if (path == "/loop")
      answer.headers.emplace_back("location", "/loop");
    return answer;
  });
  load(R"(async onRequest(request) {
    const outcomes = [];
    for (const path of ["/start", "/out", "/loop"]) {
      try {
        const a = await fetch("http://auth" + path);
        outcomes.push(a.url + a.redirected + await a.text());
      } catch (e) { outcomes.push(e.code); }
    }
    const manual = await fetch("http://auth/start", { redirect: "manual" });
    request.headers.set("x-outcome", [...outcomes, manual.status].join());
  })");
  const ExchangeResult result = run();
  EXPECT_EQ(result.upstream.header("x-outcome"),
            "http://auth/endtrue/end,E_FETCH_CLUSTER_NOT_ALLOWED,E_FETCH_REDIRECT,302");
}

// --- Limits of one stream ---

TEST_P(StreamTest, TheTimerAfterTheLastOneThrows) {
  load(R"(onRequest(request) {
    let n = 0, code;
    try { for (;;) { setTimeout(() => {}, 1000); n++; } } catch (e) { code = e.code; }
    request.headers.set("x-n", n + code);
  })");
  EXPECT_EQ(run().upstream.header("x-n"), "64E_TIMER_LIMIT");
}

TEST_P(StreamTest, TheHeaderWriteAfterTheLastOneThrows) {
  load(R"(onRequest(request) {
    let n = 0;
    try { for (;;) { request.headers.set("x-n", String(++n)); } }
    catch (e) { console.info(n, e.code); }
  })");
  EXPECT_EQ(run().upstream.header("x-n"), "256");
  const List lines = takeLog(LogLevel::Info);
  ASSERT_EQ(lines.size(), 1U);
  EXPECT_NE(lines[0].find("257 E_HEADER_LIMIT"), std::string::npos) << lines[0];
}

TEST_P(StreamTest, LogLinesOverTheLimitAreCountedAndDropped) {
  load(R"(onRequest() { for (let i = 0; i < 150; i++) console.info(i); })");
  run();
  const List lines = takeLog(LogLevel::Info);
  ASSERT_EQ(lines.size(), 101U);
  EXPECT_NE(lines.back().find("50 log lines dropped"), std::string::npos) << lines.back();
}

TEST_P(StreamTest, FetchesAreLimitedInFlightAndInAll) {
  answerAuth();
  load(R"(async onRequest(request) {
    const outcomes = new Map();
    const count = (key) => outcomes.set(key, (outcomes.get(key) ?? 0) + 1);
    const one = () => fetch("http://auth/").then((a) => a.text())
      .then(() => count("ok"), (e) => count(e.code));
    await Promise.all([one(), one(), one()]);
    for (let i = 0; i < 30; i++) await one();
    request.headers.set("x-outcome", JSON.stringify([...outcomes]));
  })",
       R"("limits": {"fetches": 2})");
  EXPECT_EQ(run().upstream.header("x-outcome"), R"([["E_FETCH_LIMIT",13],["ok",20]])");
}

TEST_P(StreamTest, TheTimeAMessageIsHeldIsLimited) {
  // §5 wait: the late outcome is of no use, and the next request is served.
  load(R"(
    async onRequest(request, ctx) {
      if (request.path !== "/slow") return;
      await new Promise((r) => setTimeout(r, 150));
      return new Response("late");
    },
    async onResponse(response, ctx) {
      if (ctx.request.path === "/response") await new Promise(() => {});
    })",
       R"("limits": {"wait_ms": 100}, "on_error": {"wait_status": 503})");
  ExchangePlan plan = this->plan();
  for (const char* path : {"/slow", "/response"}) {
    plan.request.headers = getRequest(path);
    const ExchangeResult result = run(plan);
    EXPECT_EQ(result.client.status(), 503U) << path;
    EXPECT_EQ(result.details, "fairlead_wait");
    EXPECT_EQ(result.elapsedNs, 100'000'000U);
    expectError({"E_WAIT_LIMIT"});
  }
  EXPECT_EQ(run().client.status(), 200U);
}

// --- Faults ---

struct FaultCase {
  const char* code;
  const char* statement;
};

constexpr FaultCase kFaults[] = {
    {"E_THROWN", "throw new Error('x');"},
    {"E_THROWN", "throw 'text';"},
    {"E_THROWN", "throw null;"},
    {"E_THROWN", "throw undefined;"},
    {"E_THROWN", "throw { toString() { throw 1; } };"},
    {"E_THROWN",
     "throw Object.defineProperty(new Error('x'), 'message', { get() { for (;;); } });"},
    {"E_CPU_LIMIT", "for (;;);"},
    {"E_CPU_LIMIT", "for (;;) { try { for (;;); } catch {} finally { for (;;); } }"},
    {"E_CPU_LIMIT", "const f = () => Promise.resolve().then(f); return f();"},
    {"E_STACK_LIMIT", "const f = () => f() + 1; f();"},
    {"E_MEMORY_LIMIT", "const a = []; for (;;) a.push(new Uint8Array(100000));"},
    {"E_MEMORY_LIMIT",
     "const a = []; for (;;) try { for (;;) a.push('x'.repeat(100000) + a.length); } catch {}"},
};

TEST_P(StreamTest, AFaultInEitherHookAnswersByPolicyAndTheNextRequestIsServed) {
  const std::string more =
      R"("limits": {"cpu_ms": 50, "memory_mb": 4}, "on_error": {"status": 502})";
  for (const FaultCase& fault : kFaults) {
    for (const char* hook : {"onRequest", "onResponse"}) {
      for (const char* when : {"sync", "async", "later"}) {
        const bool isAsync = when != std::string("sync");
        load(std::string(isAsync ? "async " : "") + hook + R"((message, ctx) {
          if (ctx.request.path !== "/bad") return;
          )" + (when == std::string("later") ? "await sleep(5);\n" : "\n") +
                 fault.statement + " }",
             more);
        const std::string name = std::string(hook) + " " + when + " " + fault.statement;
        ExchangePlan plan = this->plan();
        plan.request.headers = getRequest("/bad");
        plan.request.frames = {"body"};
        const ExchangeResult result = run(plan);
        EXPECT_EQ(result.client.status(), 502U) << name;
        EXPECT_EQ(result.client.body, "") << name;
        EXPECT_EQ(result.client.starts, 1U) << name;
        EXPECT_EQ(result.upstream.starts, hook == std::string("onRequest") ? 0U : 1U) << name;
        const List errors = takeLog();
        ASSERT_EQ(errors.size(), 1U) << name << testing::PrintToString(errors);
        EXPECT_NE(errors[0].find(fault.code), std::string::npos) << name << ": " << errors[0];
        EXPECT_EQ(run().client.status(), 200U) << name;
      }
    }
  }
}

TEST_P(StreamTest, AFaultThatFailsOpenLetsTheMessageGoOnAsItCame) {
  // F073
  const std::string more =
      R"("limits": {"cpu_ms": 50, "memory_mb": 4, "wait_ms": 40}, "on_error": {"mode": "open"})";
  std::vector<FaultCase> faults(std::begin(kFaults), std::end(kFaults));
  faults.push_back({"E_WAIT_LIMIT", "await new Promise(() => {});"});
  const HeaderList extra = {{"x-keep", "1"}, {"x-twice", "a"}, {"X-Twice", "b"}, {"x-gone", "2"}};
  for (const FaultCase& fault : faults) {
    for (const bool isRequest : {true, false}) {
      for (const char* when : {"sync", "async", "later"}) {
        const bool isWait = fault.code == std::string("E_WAIT_LIMIT");
        const bool isAsync = isWait || when != std::string("sync");
        load(std::string(isAsync ? "async " : "") + (isRequest ? "onRequest" : "onResponse") +
                 R"((message, ctx) {
          if (ctx.request.path !== "/bad") return;
          message.headers.set("x-new", "script");
          message.headers.append("x-new", "more");
          message.headers.delete("x-gone");
          message.headers.set("X-TWICE", "script");
          message.headers.set("x-twice", "again");
          if (message === ctx.request) {
            message.path = "/other";
            message.method = "PUT";
            message.host = "other.example";
          } else {
            message.status = 204;
          })" + (when == std::string("later") ? "await sleep(5);\n" : "\n") +
                 fault.statement + "},\n" + (isRequest ? "onResponse" : "onLog") +
                 "() { console.info('next hook'); }",
             more);
        const std::string name =
            std::string(isRequest ? "request " : "response ") + when + " " + fault.statement;
        ExchangePlan plan = this->plan();
        plan.request.headers = getRequest("/bad");
        plan.request.frames = {"body"};
        HeaderList& headers = isRequest ? plan.request.headers : plan.upstream.response.headers;
        headers.insert(headers.end(), extra.begin(), extra.end());
        const ExchangeResult result = run(plan);
        const Received& received = isRequest ? result.upstream : result.client;
        EXPECT_EQ(result.client.status(), 200U) << name;
        EXPECT_EQ(result.client.body, "upstream") << name;
        EXPECT_EQ(result.upstream.body, "body") << name;
        EXPECT_EQ(result.upstream.header(":path"), "/bad") << name;
        EXPECT_EQ(result.upstream.header(":method"), "GET") << name;
        EXPECT_EQ(result.upstream.header(":authority"), "example.com") << name;
        EXPECT_EQ(received.header("x-new"), std::nullopt) << name;
        EXPECT_EQ(received.header("x-keep"), "1") << name;
        EXPECT_EQ(received.header("x-gone"), "2") << name;
        List twice;
        for (const auto& [key, value] : received.headers) {
          if (key == "x-twice")
            twice.push_back(value);
        }
        EXPECT_EQ(twice, List({"a", "b"})) << name;
        const List lines = takeLog(LogLevel::Info);
        // After a fault of the request no hook but onLog is called.
        const bool logsToo = !isRequest && fault.code != std::string("E_MEMORY_LIMIT");
        ASSERT_EQ(lines.size(), logsToo ? 2U : 1U) << name << testing::PrintToString(lines);
        EXPECT_NE(lines[0].find(fault.code), std::string::npos) << name << ": " << lines[0];
        EXPECT_EQ(run().client.status(), 200U) << name;
        takeLog(LogLevel::Info);
      }
    }
  }
}

TEST_P(StreamTest, AFaultThatFailsOpenAfterTheHeadersHaveLeftChangesNothing) {
  // F073: what a hook had finished stays; a runtime that is gone ends nobody's exchange.
  load(R"(async onRequest(request) {
    request.headers.set("x-script", "1");
    if (request.path === "/bad") setTimeout(() => { for (;;); }, 5);
    if (request.path === "/hog") setTimeout(() => {
      const a = []; for (;;) a.push(new Uint8Array(100000));
    }, 5);
  })",
       R"("limits": {"cpu_ms": 50, "memory_mb": 4}, "on_error": {"mode": "open"})");
  for (const char* path : {"/bad", "/hog"}) {
    ExchangePlan plan = this->plan();
    plan.upstream.delayMs = 50;
    Exchange bystander(envoy_, *config_);
    bystander.requestHeaders(getRequest("/good"));
    plan.request.headers = getRequest(path);
    const ExchangeResult result = run(plan);
    EXPECT_EQ(result.client.status(), 200U) << path;
    EXPECT_EQ(result.upstream.header("x-script"), "1") << path;
    EXPECT_FALSE(bystander.atClient().reset);
    EXPECT_EQ(bystander.atClient().starts, 0U);
    const List errors = takeLog();
    ASSERT_FALSE(errors.empty());
    EXPECT_NE(errors[0].find(path == std::string("/bad") ? "E_CPU_LIMIT" : "E_MEMORY_LIMIT"),
              std::string::npos)
        << errors[0];
  }
}

TEST_P(StreamTest, AFaultOfOnLogIsLoggedAndNothingElse) {
  for (const FaultCase& fault : kFaults) {
    if (fault.statement == kFaults[8].statement)
      continue;
    load(std::string("onLog(ctx) { if (ctx.request.path === '/bad') {") + fault.statement + "} }",
         R"("limits": {"cpu_ms": 50, "memory_mb": 4})");
    ExchangePlan plan = this->plan();
    plan.request.headers = getRequest("/bad");
    const ExchangeResult result = run(plan);
    EXPECT_EQ(result.client.status(), 200U) << fault.statement;
    EXPECT_EQ(result.client.body, "upstream");
    const List errors = takeLog();
    ASSERT_EQ(errors.size(), 1U) << fault.statement << testing::PrintToString(errors);
    EXPECT_NE(errors[0].find(fault.code), std::string::npos) << errors[0];
    EXPECT_EQ(run().client.status(), 200U) << fault.statement;
  }
}

TEST_P(StreamTest, AFaultIsLoggedWithFileLineAndColumn) {
  // R35
  load("onRequest() {\n  throw new TypeError('bad');\n}");
  run();
  ASSERT_FALSE(envoy_.log().empty());
  EXPECT_EQ(envoy_.log().front().file, "inline");
  EXPECT_EQ(envoy_.log().front().line, 4U);
  expectError({"test: ", "TypeError: bad", "inline:4:"});
}

TEST_P(StreamTest, AnInterruptedAsyncHookFailsItsStreamThoughItsPromiseStaysPending) {
  // R32
  load(R"(async onRequest() { await sleep(5); for (;;); })", R"("limits": {"cpu_ms": 5})");
  const ExchangeResult result = run();
  EXPECT_EQ(result.client.status(), 500U);
  EXPECT_EQ(result.elapsedNs, 5'000'000U);
  EXPECT_EQ(result.details, "fairlead_cpu");
  expectError({"E_CPU_LIMIT"});
}

TEST_P(StreamTest, TheJobsOfAStreamThatWasStoppedDoNotRun) {
  load(R"(onRequest(request) {
    if (request.path !== "/bad") return;
    for (let i = 0; i < 3; i++) Promise.resolve().then(() => console.info("ran"));
    for (;;);
  })",
       R"("limits": {"cpu_ms": 5})");
  ExchangePlan plan = this->plan();
  plan.request.headers = getRequest("/bad");
  EXPECT_EQ(run(plan).client.status(), 500U);
  EXPECT_EQ(run().client.status(), 200U);
  const List lines = takeLog(LogLevel::Info);
  ASSERT_EQ(lines.size(), 1U) << testing::PrintToString(lines);
  EXPECT_NE(lines[0].find("E_CPU_LIMIT"), std::string::npos) << lines[0];
}

TEST_P(StreamTest, TheCpuTimeOfAWholeStreamIsLimited) {
  load(R"(async onRequest() {
    for (let i = 0; i < 1000; i++) {
      const end = Date.now() + 4;
      while (Date.now() < end);
      await sleep(1);
    }
  })",
       R"("limits": {"cpu_ms": 1000, "stream_cpu_ms": 40})");
  const ExchangeResult result = run();
  EXPECT_EQ(result.client.status(), 500U);
  expectError({"stream_cpu_ms"});
}

TEST_P(StreamTest, AFaultOfMemoryEndsTheOtherStreamsOfTheRuntimeByPolicy) {
  load(R"(async onRequest(request) {
    if (request.path === "/wait") await sleep(100);
    if (request.path === "/bad") { const a = []; for (;;) a.push(new Uint8Array(100000)); }
  },
  onLog() { console.info("log"); })",
       R"("limits": {"memory_mb": 4})");
  Exchange waiting(envoy_, *config_);
  waiting.requestHeaders(getRequest("/wait"));
  Exchange bad(envoy_, *config_);
  bad.requestHeaders(getRequest("/bad"));
  EXPECT_EQ(bad.atClient().status(), 500U);
  EXPECT_EQ(waiting.atClient().status(), 500U);
  for (const std::string& error : takeLog())
    EXPECT_NE(error.find("E_MEMORY_LIMIT"), std::string::npos) << error;
  EXPECT_EQ(run().client.status(), 200U);
  EXPECT_EQ(takeLog(LogLevel::Info).size(), 1U);
}

TEST_P(StreamTest, AFaultOfCpuLetsTheOtherStreamsOfTheRuntimeGoOn) {
  config_ = make(R"(
    let runtime = Math.random();
    export default {
      async onRequest(request) {
        if (request.path === "/wait") await sleep(100);
        if (request.path === "/bad") for (;;);
        request.headers.set("x-runtime", String(runtime));
      },
    };)",
                 R"("limits": {"cpu_ms": 5})");
  Exchange first(envoy_, *config_);
  first.requestHeaders(getRequest("/wait"));
  Exchange bad(envoy_, *config_);
  bad.requestHeaders(getRequest("/bad"));
  EXPECT_EQ(bad.atClient().status(), 500U);
  expectError({"E_CPU_LIMIT"});
  Exchange next(envoy_, *config_);
  next.requestHeaders(getRequest());
  envoy_.advance(100);
  EXPECT_TRUE(first.atUpstream().ended);
  EXPECT_TRUE(next.atUpstream().ended);
  // New streams get a new runtime.
  EXPECT_NE(first.atUpstream().header("x-runtime"), next.atUpstream().header("x-runtime"));
}

TEST_P(StreamTest, ARuntimeThatKeepsOverrunningIsRebuiltAtMostOnceASecond) {
  config_ = make(R"(
    let runtime = Math.random();
    export default {
      onRequest(request) {
        request.headers.set("x-runtime", String(runtime));
        if (request.path === "/bad") for (;;);
      },
    };)",
                 R"("limits": {"cpu_ms": 5})");
  const auto runtimeOf = [&] { return run().upstream.header("x-runtime").value_or(""); };
  ExchangePlan bad = plan();
  bad.request.headers = getRequest("/bad");
  List seen;
  for (int i = 0; i < 3; ++i) {
    run(bad);
    seen.push_back(runtimeOf());
  }
  envoy_.advance(1000);
  run(bad);
  seen.push_back(runtimeOf());
  EXPECT_EQ(seen[0], seen[1]);
  EXPECT_EQ(seen[1], seen[2]);
  EXPECT_NE(seen[2], seen[3]);
  EXPECT_EQ(takeLog().size(), 4U);
}

TEST_P(StreamTest, AThrowInATimerIsLoggedAndTheStreamGoesOn) {
  load(
      R"(async onRequest() {
        setTimeout(() => { throw new Error("in timer"); }, 5);
        await sleep(10);
      })");
  EXPECT_EQ(run().client.status(), 200U);
  expectError({"in timer", "inline:"});
}

TEST_P(StreamTest, AnUnhandledRejectionIsReportedOnceForEachStream) {
  // R02
  load(R"(onRequest(request) { Promise.reject(new Error("nobody " + request.path)); })");
  for (int i = 0; i < 50; ++i) {
    ExchangePlan plan = this->plan();
    plan.request.headers = getRequest("/" + std::to_string(i));
    EXPECT_EQ(run(plan).client.status(), 200U);
    expectError({"E_UNHANDLED_REJECTION", "nobody /" + std::to_string(i)});
  }
}

TEST_P(StreamTest, AFaultAfterTheReplyIsLoggedOnly) {
  load(R"(onRequest() {
    Promise.resolve().then(() => { throw new Error("after"); });
    return new Response("mine");
  })");
  const ExchangeResult result = run();
  EXPECT_EQ(result.client.status(), 200U);
  EXPECT_EQ(result.client.body, "mine");
  expectError({"after"});
}

TEST_P(StreamTest, ARunawayTimerAfterTheResponseHasLeftBreaksTheStream) {
  load(R"(onResponse() { setTimeout(() => { for (;;); }, 5); })", R"("limits": {"cpu_ms": 5})");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(getRequest());
  exchange.responseHeaders({{":status", "200"}}, false);
  exchange.responseData("some");
  envoy_.advance(10);
  EXPECT_TRUE(exchange.atClient().reset);
  EXPECT_TRUE(exchange.complete());
  expectError({"E_CPU_LIMIT"});
}

TEST_P(StreamTest, AFailingConfigureOnAWorkerAnswersByPolicyAndLeavesOnLogUsable) {
  // The second config of one script fails in a runtime that has served the first.
  const std::string source = R"(
    let calls = 0;
    export default {
      configure(config) { if (++calls > 1) throw new Error("only once"); return config.name; },
      onRequest() {},
      onLog(ctx) { console.info("config", JSON.stringify(ctx.config), ctx.settings); },
    };)";
  auto first = make(source, R"("config": {"name": "a"})");
  auto second = make(source, R"("config": {"name": "b"})");
  ASSERT_EQ(first->script, second->script);
  config_ = std::move(first);
  EXPECT_EQ(run().client.status(), 200U);
  takeLog();
  const ExchangeResult result = runExchange(envoy_, *second, plan());
  EXPECT_EQ(result.client.status(), 500U);
  EXPECT_EQ(result.details, "fairlead_load");
  EXPECT_GE(takeLog().size(), 1U);
  // F073
  auto open = make(source, R"("config": {"name": "c"}, "on_error": {"mode": "open"})");
  EXPECT_EQ(runExchange(envoy_, *open, plan()).client.body, "upstream");
  expectError({"E_CONFIGURE_THROW"});
}

// --- The end of a stream ---

/** Five steps, each of which can be the one that the client leaves at. */
constexpr std::string_view kFiveSteps = R"(
  let begun = 0, finished = 0;
  export default {
    async onRequest(request, ctx) {
      begun++;
      let aborted = 0, step = 0;
      ctx.signal.addEventListener("abort", () => aborted++);
      try {
        await sleep(10); step++;
        await fetch("http://auth/a"); step++;
        await (await fetch("http://auth/b")).text(); step++;
        await Promise.all([sleep(10), fetch("http://auth/c")]); step++;
        await Promise.race([sleep(10), new Promise(() => {})]); step++;
      } catch (error) {
        console.info("caught", error.name, aborted, ctx.signal.aborted);
        throw error;
      } finally {
        finished++;
        console.info("finally", step, request.path, request.headers.get("x-a"));
      }
    },
    onLog(ctx) { console.info("log", begun, finished, ctx.request.path); },
  };)";

TEST_P(StreamTest, AClientThatLeavesAtAnyAwaitRunsFinallyWithReadableHandles) {
  // F035, R08
  CalloutAnswer answer = CalloutAnswer::of(200, "body", 5);
  answer.frameDelayMs = 2;
  envoy_.setCluster("auth", [&](const CalloutRequest&) { return answer; });
  config_ = make(std::string(kFiveSteps));
  int begun = 0;
  for (uint64_t leavesAtMs = 0; leavesAtMs <= 60; ++leavesAtMs) {
    ExchangePlan plan = this->plan();
    plan.request.headers.emplace_back("x-a", "1");
    plan.upstream.delayMs = 1000;
    plan.clientLeavesAtMs = leavesAtMs;
    const ExchangeResult result = run(plan);
    EXPECT_TRUE(result.client.reset);
    EXPECT_EQ(result.elapsedNs, leavesAtMs * 1'000'000);
    ++begun;
    const List lines = takeLog(LogLevel::Info);
    ASSERT_GE(lines.size(), 2U) << leavesAtMs;
    const std::string counts = "log " + std::to_string(begun) + " " + std::to_string(begun) + " /";
    EXPECT_NE(lines.back().find(counts), std::string::npos) << leavesAtMs << lines.back();
    const bool done = result.upstream.starts > 0;
    if (done) {
      EXPECT_EQ(lines.size(), 2U) << leavesAtMs;
    } else {
      ASSERT_EQ(lines.size(), 3U) << leavesAtMs << testing::PrintToString(lines);
      EXPECT_NE(lines[0].find("caught AbortError 1 true"), std::string::npos) << lines[0];
      EXPECT_NE(lines[1].find(" / 1"), std::string::npos) << lines[1];
    }
  }
}

/** What can end an exchange from outside while the script waits. */
enum class Interruption : uint8_t { ClientLeaves, LocalReply, UpstreamBreaks };

TEST_P(StreamTest, WhateverEndsAnExchangeBetweenAnyTwoEventsEndsItOnce) {
  // R08, R11, R12, F113
  CalloutAnswer answer = CalloutAnswer::of(200, "one");
  answer.frames.push_back("two");
  envoy_.setCluster("auth", [&](const CalloutRequest&) { return answer; });
  load(R"(
    async onRequest(request, ctx) {
      ctx.state.begun = 1;
      try {
        await sleep(1);
        await (await fetch("http://auth/")).text();
        request.headers.set("x-a", "1");
      } finally { ctx.state.ended = (ctx.state.ended ?? 0) + 1; }
    },
    async onResponse(response, ctx) {
      ctx.state.begun = (ctx.state.begun ?? 0) + 1;
      try {
        await Promise.all([sleep(1), fetch("http://auth/").then((a) => a.text())]);
        response.headers.set("x-b", "1");
      } finally { ctx.state.ended = (ctx.state.ended ?? 0) + 1; }
    },
    onLog(ctx) { console.info("log", ctx.state.begun - ctx.state.ended); })");
  for (const Interruption interruption :
       {Interruption::ClientLeaves, Interruption::LocalReply, Interruption::UpstreamBreaks}) {
    bool finished = false;
    for (int events = 0; !finished; ++events) {
      ASSERT_LT(events, 100);
      Exchange exchange(envoy_, *config_);
      exchange.onUpstreamEnd = [&](Exchange& answered) {
        envoy_.post(1, [this, id = answered.id()] {
          if (Exchange* found = envoy_.find(id)) {
            found->responseHeaders({{":status", "200"}}, false);
            found->responseData("upstream");
            envoy_.post(1, [this, id] {
              if (Exchange* still = envoy_.find(id))
                still->responseData("", true);
            });
          }
        });
      };
      exchange.requestHeaders(getRequest(), false);
      exchange.requestData("body");
      exchange.requestData("", true);
      for (int i = 0; i < events && envoy_.runNext(); ++i) {
      }
      finished = exchange.complete();
      switch (interruption) {
      case Interruption::ClientLeaves:
        exchange.clientLeaves();
        break;
      case Interruption::LocalReply:
        exchange.localReply(503, "local", "somebody");
        break;
      case Interruption::UpstreamBreaks:
        exchange.upstreamDisconnects();
        break;
      }
      while (envoy_.runNext()) {
      }
      const std::string where = std::to_string(static_cast<int>(interruption)) + " after " +
                                std::to_string(events);
      EXPECT_TRUE(exchange.complete()) << where;
      EXPECT_LE(exchange.atClient().starts, 1U) << where;
      EXPECT_LE(exchange.atUpstream().starts, 1U) << where;
      if (finished) {
        EXPECT_EQ(exchange.atClient().body, "upstream");
        EXPECT_EQ(exchange.atClient().header("x-b"), "1");
        EXPECT_EQ(exchange.atUpstream().body, "body");
      }
      const List lines = takeLog(LogLevel::Info);
      ASSERT_EQ(lines.size(), 1U) << where << testing::PrintToString(lines);
      EXPECT_NE(lines[0].find("log 0"), std::string::npos) << where << lines[0];
    }
  }
}

TEST_P(StreamTest, ARetryLoopDoesNotSpinOnceTheClientHasGone) {
  // F035
  envoy_.setCluster("auth", [](const CalloutRequest&) {
    return CalloutAnswer::failure(CalloutStart::CannotCreateRequest);
  });
  load(R"(async onRequest() {
    for (;;) { try { await fetch("http://auth/"); } catch { await sleep(100).catch(() => {}); } }
  })",
       R"("limits": {"fetches": 1000})");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(getRequest());
  envoy_.advance(1000);
  EXPECT_EQ(exchange.callouts().size(), 11U);
  exchange.clientLeaves();
  int events = 0;
  while (envoy_.runNext())
    ++events;
  EXPECT_EQ(exchange.callouts().size(), 11U);
  EXPECT_LE(events, 2);
}

TEST_P(StreamTest, AfterTheEndAsynchronousCallsNeverSettleAndSynchronousOnesThrow) {
  // §3.9
  answerAuth();
  load(R"(async onRequest(request, ctx) {
    try { await sleep(1000); } catch {}
    const code = (f) => { try { f(); return "ok"; } catch (e) { return e.code; } };
    const set = code(() => request.headers.set("a", "1"));
    console.info(set, code(() => setTimeout(() => {}, 1)), code(() => request.path));
    sleep(1).then(() => console.info("woke"), () => console.info("rejected"));
    fetch("http://auth/").then(() => console.info("answered"), () => console.info("rejected"));
  })");
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(getRequest());
  envoy_.advance(10);
  exchange.clientLeaves();
  envoy_.advance(5000);
  const List lines = takeLog(LogLevel::Info);
  ASSERT_EQ(lines.size(), 1U) << testing::PrintToString(lines);
  EXPECT_NE(lines[0].find("E_STREAM_ENDED ok"), std::string::npos) << lines[0];
  EXPECT_TRUE(exchange.callouts().empty());
}

TEST_P(StreamTest, HandlesThatOutliveTheirStreamAreDead) {
  // R07
  config_ = make(R"(
    let kept;
    export default {
      onRequest(request, ctx) {
        const code = (f) => { try { f(); return "ok"; } catch (e) { return e.code; } };
        if (kept) {
          const [oldRequest, oldHeaders, oldContext] = kept;
          request.headers.set("x-codes", [
            code(() => oldRequest.path), code(() => { oldRequest.path = "/"; }),
            code(() => oldRequest.headers), code(() => oldHeaders.get("a")),
            code(() => [...oldHeaders]), code(() => oldHeaders.set("a", "1")),
            code(() => oldContext.state), code(() => oldContext.request),
            code(() => oldContext.signal),
          ].join());
        }
        kept = [request, request.headers, ctx];
      },
    };)");
  EXPECT_EQ(run().client.status(), 200U);
  const std::string codes = run().upstream.header("x-codes").value_or("");
  EXPECT_EQ(codes,
            "E_DEAD_HANDLE,E_DEAD_HANDLE,E_DEAD_HANDLE,E_DEAD_HANDLE,E_DEAD_HANDLE,E_DEAD_HANDLE,"
            "E_DEAD_HANDLE,E_DEAD_HANDLE,E_DEAD_HANDLE");
}

TEST_P(StreamTest, FinallyAndOnLogThatRunAwayAreContained) {
  load(R"(
    async onRequest() { try { await sleep(1000); } finally { for (;;); } },
    onLog() { console.info("log"); for (;;); })",
       R"("limits": {"cpu_ms": 5})");
  ExchangePlan plan = this->plan();
  plan.clientLeavesAtMs = 10;
  run(plan);
  EXPECT_EQ(takeLog(LogLevel::Info).size(), 3U);
}

TEST_P(StreamTest, TheEndOfAStreamLeavesNothingBehind) {
  // R01: what one stream leaves in the job queue does not run in the next.
  config_ = make(R"(
    let ran = 0;
    export default {
      onRequest(request) {
        request.headers.set("x-ran", String(ran));
        if (request.path !== "/a") return;
        for (let i = 0; i < 1000; i++) new Promise(() => {}).then(() => ran++);
        for (let i = 0; i < 50; i++) sleep(1000).then(() => ran++, () => {});
        setTimeout(() => { ran++; }, 50);
      },
    };)");
  ExchangePlan plan = this->plan();
  plan.request.headers = getRequest("/a");
  run(plan);
  envoy_.advance(5000);
  EXPECT_EQ(run().upstream.header("x-ran"), "0");
}

// --- Several streams in one runtime ---

TEST_P(StreamTest, TwoStreamsCanWaitForOnePromiseAndEachGoesOnAsItself) {
  // §3.7
  config_ = make(R"(
    let gate, open;
    export default {
      async onRequest(request, ctx) {
        if (request.path === "/open") { await sleep(5); open("go"); return; }
        gate ??= new Promise((resolve) => { open = resolve; });
        const word = await gate;
        request.headers.set("x-word", word + request.path);
        console.info("as", ctx.request.path);
        await sleep(10);
        if (request.path === "/b") throw new Error("of b");
      },
    };)");
  std::vector<std::unique_ptr<Exchange>> exchanges;
  for (const char* path : {"/a", "/b", "/c"}) {
    exchanges.push_back(std::make_unique<Exchange>(envoy_, *config_));
    HeaderList headers = getRequest(path);
    headers.emplace_back("x-request-id", path + 1);
    exchanges.back()->requestHeaders(headers);
  }
  Exchange opener(envoy_, *config_);
  opener.requestHeaders(getRequest("/open"));
  envoy_.advance(20);
  EXPECT_EQ(exchanges[0]->atUpstream().header("x-word"), "go/a");
  EXPECT_EQ(exchanges[2]->atUpstream().header("x-word"), "go/c");
  EXPECT_EQ(exchanges[1]->atClient().status(), 500U);
  EXPECT_EQ(exchanges[1]->atUpstream().starts, 0U);
  EXPECT_TRUE(opener.atUpstream().ended);
  List own;
  for (const LogLine& line : envoy_.log())
    own.push_back(line.message.substr(0, line.message.find(']') + 1));
  // Lines are logged for the stream whose code runs.
  EXPECT_EQ(own, List({"test: [a]", "test: [b]", "test: [c]", "test: [b]"}));
  expectError({"of b"});
}

TEST_P(StreamTest, AFaultInASharedPromiseEndsOnlyItsOwner) {
  // §3.7
  config_ = make(R"(
    let gate, open;
    export default {
      async onRequest(request) {
        if (request.path === "/open") { open(); return; }
        gate ??= new Promise((resolve) => { open = resolve; });
        await gate;
        if (request.path === "/bad") for (;;);
        request.headers.set("x-after", "1");
      },
    };)",
                 R"("limits": {"cpu_ms": 5})");
  Exchange bad(envoy_, *config_);
  bad.requestHeaders(getRequest("/bad"));
  Exchange good(envoy_, *config_);
  good.requestHeaders(getRequest("/good"));
  Exchange opener(envoy_, *config_);
  opener.requestHeaders(getRequest("/open"));
  EXPECT_EQ(bad.atClient().status(), 500U);
  EXPECT_EQ(good.atUpstream().header("x-after"), "1");
  EXPECT_TRUE(opener.atUpstream().ended);
  expectError({"E_CPU_LIMIT"});
}

TEST_P(StreamTest, WhatFollowsAFaultRunsUnderTheCpuLimitToo) {
  // H101: each stream's code loops once the gate opens; load_ms is no limit of theirs.
  config_ = make(R"(
    let gate, open;
    export default {
      async onRequest(request) {
        if (request.path === "/open") { open(); return; }
        gate ??= new Promise((resolve) => { open = resolve; });
        await gate;
        for (;;);
      },
    };)",
                 R"("limits": {"cpu_ms": 5, "load_ms": 60000})");
  Exchange first(envoy_, *config_);
  first.requestHeaders(getRequest("/first"));
  Exchange second(envoy_, *config_);
  second.requestHeaders(getRequest("/second"));
  const std::clock_t begin = std::clock();
  Exchange opener(envoy_, *config_);
  opener.requestHeaders(getRequest("/open"));
  EXPECT_LT((std::clock() - begin) / CLOCKS_PER_SEC, 10);
  EXPECT_EQ(first.atClient().status(), 500U);
  EXPECT_EQ(second.atClient().status(), 500U);
  EXPECT_TRUE(opener.atUpstream().ended);
  EXPECT_EQ(takeLog().size(), 2U);
}

TEST_P(StreamTest, WhatAStreamLeavesWaitingIsNoUnhandledRejectionF036) {
  answerAuth();
  load(R"(onRequest() {
    (async () => { await sleep(60000); })();
    (async () => { await fetch("http://auth/"); })();
    sleep(60000).then(() => {});
  })");
  EXPECT_EQ(run().client.status(), 200U);
  EXPECT_EQ(takeLog(), List());
}

TEST_P(StreamTest, APromiseOfAStreamThatHasEndedSettlesNobody) {
  config_ = make(R"(
    let open;
    export default {
      async onRequest(request) {
        if (request.path === "/open") { open(new Response("stale")); return; }
        return new Promise((resolve) => { open = resolve; });
      },
      onLog(ctx) { console.info(ctx.request.path); },
    };)");
  {
    Exchange gone(envoy_, *config_);
    gone.requestHeaders(getRequest("/wait"));
    gone.clientLeaves();
  }
  ExchangePlan plan = this->plan();
  plan.request.headers = getRequest("/open");
  EXPECT_EQ(run(plan).client.body, "upstream");
  EXPECT_EQ(takeLog(LogLevel::Info).size(), 2U);
}

// --- once ---

TEST_P(StreamTest, OnceCallsForAllThatWaitAndKeepsTheValueWhileItIsFresh) {
  // F046
  answerAuth();
  config_ = make(R"(
    let calls = 0;
    export default {
      async onRequest(request) {
        const value = await once("key", 1000, async () => {
          const answer = await fetch("http://auth" + request.path);
          return { path: await answer.text(), call: ++calls };
        });
        request.headers.set("x-value", `${value.path} ${value.call}`);
      },
    };)");
  std::vector<std::unique_ptr<Exchange>> exchanges;
  for (const char* path : {"/a", "/b", "/c"}) {
    exchanges.push_back(std::make_unique<Exchange>(envoy_, *config_));
    exchanges.back()->requestHeaders(getRequest(path));
  }
  envoy_.advance(15);
  for (const auto& exchange : exchanges)
    EXPECT_EQ(exchange->atUpstream().header("x-value"), "/a 1");
  ExchangePlan plan = this->plan();
  plan.request.headers = getRequest("/d");
  EXPECT_EQ(run(plan).upstream.header("x-value"), "/a 1");
  envoy_.advance(1000);
  EXPECT_EQ(run(plan).upstream.header("x-value"), "/d 2");
}

TEST_P(StreamTest, WhenTheOneThatMakesAValueOfOnceLeavesTheNextInLineMakesItAsItself) {
  // F046
  config_ = make(R"(
    export default {
      async onRequest(request, ctx) {
        try {
          const value = await once("key", 0, async () => {
            console.info("makes", ctx.request.path);
            await sleep(100);
            if (ctx.request.path === "/b") for (;;);
            return ctx.request.path;
          });
          request.headers.set("x-value", value);
        } catch (error) {
          console.info("caught", error.name, ctx.request.path);
        }
      },
    };)",
                 R"("limits": {"cpu_ms": 50})");
  std::vector<std::unique_ptr<Exchange>> exchanges;
  for (const char* path : {"/a", "/b", "/c", "/d"}) {
    exchanges.push_back(std::make_unique<Exchange>(envoy_, *config_));
    HeaderList headers = getRequest(path);
    headers.emplace_back("x-request-id", path + 1);
    exchanges.back()->requestHeaders(headers);
  }
  envoy_.advance(50);
  exchanges[3]->clientLeaves();
  exchanges[0]->clientLeaves();
  // Now /b makes it; it is stopped by its own limit, and /c makes it.
  envoy_.advance(120);
  EXPECT_EQ(exchanges[1]->atClient().status(), 500U);
  EXPECT_EQ(exchanges[2]->atUpstream().starts, 0U);
  envoy_.advance(120);
  EXPECT_EQ(exchanges[2]->atUpstream().header("x-value"), "/c");
  List lines;
  for (const LogLine& line : envoy_.log()) {
    if (line.level == LogLevel::Info)
      lines.push_back(line.message);
  }
  EXPECT_EQ(lines, List({"test: [a] makes /a", "test: [d] caught AbortError /d",
                         "test: [a] caught AbortError /a", "test: [b] makes /b",
                         "test: [c] makes /c"}));
  expectError({"[b]", "E_CPU_LIMIT"});
}

TEST_P(StreamTest, AFailureUnderOnceReachesAllThatWaitAndIsNotKept) {
  config_ = make(R"(
    let calls = 0;
    const kinds = [
      () => { throw new Error("sync"); },
      async () => { await sleep(5); throw new Error("async"); },
      () => ({ then(resolve) { resolve("thenable"); } }),
      () => "value",
      () => Promise.resolve(undefined),
    ];
    export default {
      async onRequest(request) {
        let text;
        try {
          text = String(await once("key", 0, () => kinds[calls++ % kinds.length]()));
        } catch (error) {
          text = error.message;
        }
        request.headers.set("x-text", text);
      },
    };)");
  for (const char* text : {"sync", "async", "thenable", "value", "undefined", "sync"})
    EXPECT_EQ(run().upstream.header("x-text"), text);
  Exchange first(envoy_, *config_);
  first.requestHeaders(getRequest());
  Exchange second(envoy_, *config_);
  second.requestHeaders(getRequest());
  envoy_.advance(10);
  EXPECT_EQ(first.atUpstream().header("x-text"), "async");
  EXPECT_EQ(second.atUpstream().header("x-text"), "async");
}

TEST_P(StreamTest, OnceForgetsWhatGoesStaleFirstWhenThereAreTooManyKeys) {
  load(R"(async onRequest(request) {
    const keep = (key, ttlMs) => once(key, ttlMs, () => key + request.path);
    await keep("long", 100000);
    await keep("short", 10);
    for (let i = 0; i < 998; ++i) await keep("key" + i, 1000 + i);
    await keep("one more", 5000);
    request.headers.set("x-short", await keep("short", 10));
    request.headers.set("x-long", await keep("long", 100000));
    request.headers.set("x-key0", await keep("key0", 1000));
    request.headers.set("x-key500", await keep("key500", 1000));
  })");
  EXPECT_EQ(run().upstream.header("x-short"), "short/");
  ExchangePlan plan = this->plan();
  plan.request.headers = getRequest("/2");
  const ExchangeResult result = run(plan);
  EXPECT_EQ(result.upstream.header("x-long"), "long/");
  EXPECT_EQ(result.upstream.header("x-key500"), "key500/");
}

TEST_P(StreamTest, OnceChecksItsArgumentsAndHasNoStreamAtLoad) {
  load(R"(async onRequest(request) {
    const codes = [];
    for (const call of [() => once("k", -1, () => 1), () => once("k", NaN, () => 1),
                        () => once("k", 1, 2), () => once("k", 1)]) {
      try { await call(); } catch (error) { codes.push(error.code); }
    }
    request.headers.set("x-codes", codes.join());
  })");
  EXPECT_EQ(run().upstream.header("x-codes"), "E_RANGE,E_RANGE,E_ARGUMENT,E_MISSING_ARGUMENT");
  Result<std::unique_ptr<FilterConfig>> refused = FilterConfig::create(
      "test", "{\"inline\": \"import { once } from 'fairlead'; once('k', 1, () => 1); "
              "export default {};\"}");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, "E_NO_STREAM");
}

TEST_P(StreamTest, WorkersHaveRuntimesOfTheirOwn) {
  config_.reset();
  FakeEnvoy envoy({.release = GetParam(), .concurrency = 2});
  config_ = make(
      R"(let n = 0;
      export default { onRequest(request) { request.headers.set("x-n", String(++n)); } };)");
  List counts;
  for (const uint32_t worker : {0U, 0U, 1U, 0U, 1U}) {
    Exchange exchange(envoy, *config_, {.workerIndex = worker});
    exchange.requestHeaders(getRequest());
    counts.push_back(exchange.atUpstream().header("x-n").value_or(""));
  }
  EXPECT_EQ(counts, List({"1", "2", "1", "3", "2"}));
  config_.reset();
  EXPECT_EQ(envoy.finish(), List());
}

// --- Config ---

TEST_P(StreamTest, ConfigIsFrozenAndSettingsAreWhatConfigureGave) {
  config_ = make(R"(
    let configured = 0;
    export default {
      async configure(config, env) {
        await null;
        configured++;
        return { table: new Map(Object.entries(config.users)), env };
      },
      onRequest(request, ctx) {
        let frozen = Object.isFrozen(ctx.config) && Object.isFrozen(ctx.config.users);
        request.headers.set("x-user", ctx.settings.table.get(request.path) + configured + frozen);
        request.headers.set("x-env", JSON.stringify(ctx.settings.env));
      },
    };)",
                 R"("config": {"users": {"/a": "ann"}})");
  ExchangePlan plan = this->plan();
  plan.request.headers = getRequest("/a");
  EXPECT_EQ(run(plan).upstream.header("x-user"), "ann1true");
  const ExchangeResult again = run(plan);
  EXPECT_EQ(again.upstream.header("x-user"), "ann1true");
  EXPECT_NE(again.upstream.header("x-env").value_or("").find(R"("filterName":"test")"),
            std::string::npos);
}

TEST_P(StreamTest, TwoConfigsOfOneScriptShareARuntimeButNotTheirSettings) {
  const std::string source = R"(
    let n = 0;
    export default {
      configure(config) { return config.name.toUpperCase(); },
      onRequest(request, ctx) {
        request.headers.set("x-is", ctx.config.name + ctx.settings + (++n));
      },
    };)";
  config_ = make(source, R"("config": {"name": "a"})");
  const auto other = make(source, R"("config": {"name": "b"}, "on_error": {"status": 503})");
  EXPECT_EQ(config_->script, other->script);
  EXPECT_EQ(run().upstream.header("x-is"), "aA1");
  EXPECT_EQ(runExchange(envoy_, *other, plan()).upstream.header("x-is"), "bB2");
  EXPECT_EQ(run().upstream.header("x-is"), "aA3");
}

}  // namespace
}  // namespace fairlead
