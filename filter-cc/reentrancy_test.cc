// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Every call of ours that can end its own stream, under the rules of each release of Envoy. Before
// 1.40 the filter is destroyed inside that call: under the address sanitizer, whoever then touches
// it without holding a reference is found.

#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include "filter-cc/host_fake.h"
#include "filter-cc/stream.h"

namespace fairlead {
namespace {

using List = std::vector<std::string>;

/** What stands behind the filter while a stream ends. */
enum class Behind : uint8_t {
  /** The upstream answers, to its end. */
  Answer,
  /** The upstream begins an answer and does not end it. */
  Half,
  /** The router answers inside the call that lets the request through. */
  Router,
};

struct Ending {
  const char* name;
  /** Hooks of a filter, in which `bad` tells the stream that is to end. */
  const char* hooks;
  /** What the client gets; 0: the response is broken off. */
  uint32_t status;
  Behind behind = Behind::Answer;
  /** Part of the one error in the log. */
  const char* error = nullptr;
};

constexpr Ending kEndings[] = {
    {"AReplyOfTheResponseHook",
     R"(onResponse(response, ctx) { if (bad(ctx.request)) return new Response("no", { status: 403 }); })",
     403},
    {"AReplyForAThrowOfTheResponseHook",
     R"(onResponse(response, ctx) { if (bad(ctx.request)) throw new Error("x"); })", 500,
     Behind::Answer, "E_THROWN"},
    {"AReplyAfterATimer",
     R"(async onRequest(request) { await sleep(5); if (bad(request)) return new Response("no", { status: 403 }); })",
     403},
    {"AReplyAfterATimerOfTheResponseHook",
     R"(async onResponse(response, ctx) { await sleep(5); if (bad(ctx.request)) return new Response("no", { status: 403 }); })",
     403},
    {"AReplyAtTheHeadersOfACall",
     R"(async onRequest(request) { await fetch("http://auth/"); if (bad(request)) return new Response("no", { status: 403 }); })",
     403},
    {"AReplyAtTheEndOfACall",
     R"(async onRequest(request) { await (await fetch("http://auth/")).text(); if (bad(request)) return new Response("no", { status: 403 }); })",
     403},
    {"AReplyAtTheResetOfACall",
     R"(async onRequest(request) { if (bad(request)) return fetch("http://broken/").catch(() => new Response("no", { status: 403 })); })",
     403},
    {"AReplyWhenACallIsTooLarge",
     R"(async onRequest(request) { if (bad(request)) return (await fetch("http://large/")).text().catch(() => new Response("no", { status: 403 })); })",
     403},
    {"AReplyWhenACallCannotStart",
     R"(async onResponse(response, ctx) {
       if (bad(ctx.request)) return fetch("http://unknown/").catch(() => new Response("no", { status: 403 }));
     })",
     403},
    {"AReplyWhenARedirectIsNotAllowed",
     R"(async onRequest(request) { if (bad(request)) return fetch("http://away/").catch(() => new Response("no", { status: 403 })); })",
     403},
    {"AReplyWhenACallIsAborted",
     R"(async onRequest(request) {
       if (!bad(request)) return;
       const control = new AbortController();
       setTimeout(() => control.abort(), 5);
       return fetch("http://silent/", { signal: control.signal }).catch(() => new Response("no", { status: 403 }));
     })",
     403},
    {"AReplyWhenACallTimesOut",
     R"(async onRequest(request) {
       if (bad(request)) return fetch("http://silent/", { timeoutMs: 5 }).catch(() => new Response("no", { status: 403 }));
     })",
     403},
    {"AContinueAfterATimerThatTheRouterAnswers", R"(async onRequest() { await sleep(5); })", 503,
     Behind::Router},
    {"AContinueAfterACallThatTheRouterAnswers",
     R"(async onRequest() { await (await fetch("http://auth/")).text(); })", 503, Behind::Router},
    {"AContinueThatSendsTheWholeResponse", R"(async onResponse() { await sleep(5); })", 200},
    {"AContinueAfterACallThatSendsTheWholeResponse",
     R"(async onResponse() { await fetch("http://auth/"); })", 200},
    {"ARunawayTimerAfterTheResponseHasLeft",
     R"(onResponse(response, ctx) { if (bad(ctx.request)) setTimeout(() => { for (;;); }, 5); })", 0,
     Behind::Half, "E_CPU_LIMIT"},
    {"AHeapThatFillsAfterTheResponseHasLeft",
     R"(onResponse(response, ctx) {
       if (bad(ctx.request)) setTimeout(() => { const all = []; for (;;) all.push(new Uint8Array(100000)); }, 5);
     })",
     0, Behind::Half, "E_MEMORY_LIMIT"},
    {"TheWaitLimitOfTheRequestHook",
     R"(onRequest(request) { if (bad(request)) return new Promise(() => {}); })", 504, Behind::Answer,
     "E_WAIT_LIMIT"},
    {"TheWaitLimitOfTheResponseHook",
     R"(onResponse(response, ctx) { if (bad(ctx.request)) return new Promise(() => {}); })", 504,
     Behind::Answer, "E_WAIT_LIMIT"},
    {"ALoopInTheResponseHook", R"(onResponse(response, ctx) { if (bad(ctx.request)) for (;;); })", 500,
     Behind::Answer, "E_CPU_LIMIT"},
    {"ALoopAfterATimer", R"(async onRequest(request) { await sleep(5); if (bad(request)) for (;;); })",
     500, Behind::Answer, "E_CPU_LIMIT"},
    {"ALoopAfterACall",
     R"(async onRequest(request) { await fetch("http://auth/"); if (bad(request)) for (;;); })", 500,
     Behind::Answer, "E_CPU_LIMIT"},
    {"AHeapThatFillsInTheResponseHook",
     R"(onResponse(response, ctx) { if (bad(ctx.request)) { const all = []; for (;;) all.push(new Uint8Array(100000)); } })",
     500, Behind::Answer, "E_MEMORY_LIMIT"},
};

void PrintTo(const Ending& ending, std::ostream* out) { *out << ending.name; }

/** A full heap ends every stream of its runtime, and no script runs in it any more. */
bool fillsTheHeap(const Ending& ending) {
  return ending.error != nullptr && ending.error == std::string("E_MEMORY_LIMIT");
}

std::string jsonString(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      json += '\\';
    json += c == '\n' ? ' ' : c;
  }
  return json + '"';
}

HeaderList requestTo(const char* path) {
  return {
      {":authority", "example.com"}, {":path", path}, {":method", "POST"}, {":scheme", "http"}};
}

class ReentrancyTest : public testing::TestWithParam<std::tuple<EnvoyRelease, Ending>> {
protected:
  ReentrancyTest() {
    CalloutAnswer broken;
    broken.end = CalloutAnswer::End::Reset;
    CalloutAnswer large = CalloutAnswer::of(200, std::string(1024 * 1024, 'x'), 1);
    large.frames.push_back("x");
    CalloutAnswer away = CalloutAnswer::of(302, "", 1);
    away.headers.emplace_back("location", "http://elsewhere/");
    const auto answer = [&](const char* cluster, const CalloutAnswer& how) {
      envoy_.setCluster(cluster, [how](const CalloutRequest&) { return how; });
    };
    answer("auth", CalloutAnswer::of(200, "body", 1));
    answer("broken", broken);
    answer("large", large);
    answer("away", away);
    answer("silent", CalloutAnswer::silent());
  }

  /** The hooks of a case; the path `/outer` calls a cluster that has this filter in its own chain. */
  void load(std::string_view hooks) {
    const std::string source = "import { sleep } from 'fairlead';\n"
                               "const bad = (request) => request.path === '/bad';\n"
                               "const own = {\n" +
                               std::string(hooks) + R"(};
      export default {
        onRequest(request, ctx) {
          if (request.path === "/outer") return fetch("http://self/")
            .then((answer) => answer.text()).then((text) => new Response(text, { status: 418 }));
          return own.onRequest?.(request, ctx);
        },
        onResponse(response, ctx) { return own.onResponse?.(response, ctx); },
        onLog(ctx) { console.info("log", ctx.request.path); },
      };)";
    config_ = make(source, 50);
    patient_ = make(source, 1000);
    // One script, so one runtime.
    ASSERT_EQ(config_->script, patient_->script);
  }

  std::unique_ptr<FilterConfig> make(const std::string& source, uint32_t waitMs) {
    Result<std::unique_ptr<FilterConfig>> made = FilterConfig::create(
        "test", R"({"clusters": ["auth", "broken", "large", "away", "silent", "unknown", "self"],
                    "inline": )" + jsonString(source) + R"(, "limits": {"cpu_ms": 300, "memory_mb": 4,
                    "wait_ms": )" + std::to_string(waitMs) + "}}");
    EXPECT_TRUE(made.ok()) << made.error().code << ": " << made.error().message;
    return made.ok() ? *std::move(made) : nullptr;
  }

  bool nests() const { return std::get<EnvoyRelease>(GetParam()) != EnvoyRelease::V1_40; }

  /** Lines of the log from `level` on that say `part`. */
  size_t logged(LogLevel level, std::string_view part) const {
    size_t count = 0;
    for (const LogLine& line : envoy_.log())
      count += line.level == level && line.message.find(part) != std::string::npos ? 1 : 0;
    return count;
  }

  /** Sends a request and lets what is behind the filter answer it. */
  void begin(Exchange& exchange, const HeaderList& headers, Behind behind) {
    const auto respond = [this, behind](uint64_t id) {
      if (Exchange* found = envoy_.find(id)) {
        found->responseHeaders({{":status", "200"}}, false);
        found->responseData("upstream", behind != Behind::Half);
      }
    };
    if (behind == Behind::Router)
      exchange.onUpstreamHeaders = [](Exchange& routed) { routed.localReply(503, "busy", "router"); };
    else
      exchange.onUpstreamEnd = [this, respond](Exchange& answered) {
        envoy_.post(1, [respond, id = answered.id()] { respond(id); });
      };
    exchange.requestHeaders(headers, false);
    exchange.requestData("body", true);
  }

  /** Lets happen what is still to happen. */
  void finish() {
    while (envoy_.runNext()) {
    }
  }

  void TearDown() override {
    config_.reset();
    patient_.reset();
    EXPECT_EQ(envoy_.finish(), List());
  }

  FakeEnvoy envoy_{FakeEnvoyOptions{.release = std::get<EnvoyRelease>(GetParam())}};
  std::unique_ptr<FilterConfig> config_;
  /** The same with a longer wait_ms. */
  std::unique_ptr<FilterConfig> patient_;
};

std::string nameOf(const testing::TestParamInfo<std::tuple<EnvoyRelease, Ending>>& info) {
  constexpr const char* kReleases[] = {"Envoy138", "Envoy139", "Envoy140"};
  return std::string(std::get<Ending>(info.param).name) + "_" +
         kReleases[static_cast<size_t>(std::get<EnvoyRelease>(info.param))];
}

INSTANTIATE_TEST_SUITE_P(Endings, ReentrancyTest,
                         testing::Combine(testing::Values(EnvoyRelease::V1_38, EnvoyRelease::V1_39,
                                                          EnvoyRelease::V1_40),
                                          testing::ValuesIn(kEndings)),
                         nameOf);

TEST_P(ReentrancyTest, EndsTheStreamOnceAndServesTheNext) {  // R10 R11 R12
  const Ending& ending = std::get<Ending>(GetParam());
  load(ending.hooks);
  int hooksThatOutliveTheStream = 0;
  {
    Exchange exchange(envoy_, *config_);
    // A probe is called while the filter is alive: not after a hook in which it was destroyed.
    exchange.probeForTest = [&](Exchange& probed, HookCall& call) {
      if (probed.complete() && call.kind != HookCall::Kind::Complete)
        ++hooksThatOutliveTheStream;
    };
    begin(exchange, requestTo("/bad"), ending.behind);
    finish();
    EXPECT_TRUE(exchange.complete());
    EXPECT_EQ(exchange.atClient().reset, ending.status == 0);
    EXPECT_LE(exchange.atClient().starts, 1U);
    if (ending.status != 0) {
      EXPECT_EQ(exchange.atClient().status(), ending.status);
    }
  }
  // The stream did end inside a hook of its own: this is what the case is about.
  EXPECT_EQ(hooksThatOutliveTheStream > 0, !nests());
  EXPECT_EQ(logged(LogLevel::Info, "log /bad"), fillsTheHeap(ending) ? 0U : 1U);
  EXPECT_EQ(logged(LogLevel::Error, ""), ending.error == nullptr ? 0U : 1U);
  EXPECT_EQ(logged(LogLevel::Error, ending.error == nullptr ? "" : ending.error),
            ending.error == nullptr ? 0U : 1U);
  Exchange next(envoy_, *config_);
  begin(next, requestTo("/next"), Behind::Answer);
  finish();
  EXPECT_EQ(next.atClient().status(), 200U);
  EXPECT_EQ(next.atClient().body, "upstream");
  EXPECT_EQ(logged(LogLevel::Info, "log /next"), 1U);
}

TEST_P(ReentrancyTest, EndsTheStreamThatBeganInsideTheStartOfAnotherOnesCall) {  // R10 R11 R12
  const Ending& ending = std::get<Ending>(GetParam());
  load(ending.hooks);
  std::unique_ptr<Exchange> inner;
  constexpr uint64_t kUntilTheInnerOneHasEndedMs = 100;
  envoy_.setCluster("self", [&](const CalloutRequest&) {
    inner = std::make_unique<Exchange>(envoy_, *config_);
    begin(*inner, requestTo("/bad"), ending.behind);
    return CalloutAnswer::of(200, "inner done", kUntilTheInnerOneHasEndedMs);
  });
  Exchange outer(envoy_, *patient_);
  begin(outer, requestTo("/outer"), Behind::Answer);
  finish();
  ASSERT_NE(inner, nullptr);
  EXPECT_TRUE(inner->complete());
  EXPECT_EQ(inner->atClient().status(), ending.status == 0 ? 200U : ending.status);
  inner.reset();
  const bool full = fillsTheHeap(ending);
  EXPECT_EQ(outer.atClient().status(), full ? 500U : 418U);
  EXPECT_EQ(outer.atClient().body, full ? "" : "inner done");
  EXPECT_EQ(logged(LogLevel::Info, "log /bad"), full ? 0U : 1U);
  EXPECT_EQ(logged(LogLevel::Info, "log /outer"), full ? 0U : 1U);
}

}  // namespace
}  // namespace fairlead
