// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Cycles between a script's objects and ours, one test for each way to make one: gone when the
// stream has ended, or after a collection, and at the latest with the Runtime, which aborts a test
// build when anything of it is left.

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "filter-cc/host_fake.h"
#include "filter-cc/runtime.h"
#include "filter-cc/stream.h"

namespace fairlead {
namespace {

/** When what a stream has left must be gone. */
enum class GoneBy : uint8_t { StreamEnd, Collection };

struct Cycle {
  const char* name;
  GoneBy goneBy;
  /** The body of `async onRequest(request, ctx)`. */
  const char* hook;
  /** Stands above the filter. */
  const char* top = "";
};

void PrintTo(const Cycle& cycle, std::ostream* out) { *out << cycle.hook; }

constexpr Cycle kCycles[] = {
    // --- The stream's own objects ---
    {"StateHoldsItsContext", GoneBy::StreamEnd, "ctx.state.ctx = ctx;"},
    {"StateHoldsAllHandles", GoneBy::StreamEnd,
     "Object.assign(ctx.state, { ctx, request, headers: request.headers, signal: ctx.signal });"},
    {"StateHoldsItself", GoneBy::Collection, "ctx.state.self = ctx.state;"},
    {"StateIsAFunctionOverItsStream", GoneBy::StreamEnd,
     "ctx.state = () => [request.headers.get('a'), ctx.state];"},
    {"StateHoldsAClosureOverState", GoneBy::Collection,
     "const state = ctx.state; state.read = () => [state, request, request.headers, ctx];"},
    {"StateHoldsAProxyOfAHandle", GoneBy::StreamEnd,
     "ctx.state.proxy = new Proxy(request, { get: () => ctx.state });"},
    {"RequestHoldsItself", GoneBy::Collection, "request.self = request;"},
    {"HeadersHoldTheirRequest", GoneBy::StreamEnd, "request.headers.request = request;"},
    {"RequestHoldsItsHeadersTwice", GoneBy::Collection,
     "request.own = request.headers; request.headers.request = request;"},
    {"RequestHoldsStateThatHoldsIt", GoneBy::Collection,
     "ctx.state.request = request; request.state = ctx.state;"},
    {"LiveHeadersHoldTheirIterator", GoneBy::Collection,
     "const i = request.headers.entries(); i.next(); request.headers.i = i;"},
    {"SignalHoldsAListenerOverItself", GoneBy::Collection,
     "const signal = ctx.signal; signal.addEventListener('abort', () => [signal, request, ctx]);"},
    {"SignalHoldsItsOnabort", GoneBy::Collection,
     "const signal = ctx.signal; signal.onabort = () => { signal.seen = request; };"},
    {"HandlesAreKeptByTheModule", GoneBy::StreamEnd,
     "kept = [request, request.headers, ctx, ctx.state, ctx.signal, ctx.config];", "let kept;"},
    {"SettingsAndConfigAreHeldByState", GoneBy::StreamEnd,
     "Object.assign(ctx.state, { settings: ctx.settings, config: ctx.config });"},

    // --- Promises, timers, fetches ---
    {"AHookThatNeverSettles", GoneBy::Collection, "await new Promise(() => {}); return request;"},
    {"AHookThatWaitsForItself", GoneBy::Collection,
     "ctx.state.me = (async () => { await null; await ctx.state.me; })(); await ctx.state.me;"},
    {"ATimerHoldsItsStream", GoneBy::StreamEnd,
     "setTimeout(function again() { ctx.state.again = again; }, 60000, request, ctx);"},
    {"APromiseOfATimerCapturesItself", GoneBy::Collection,
     "const p = sleep(60000); p.catch(() => [p, request, ctx]); p.self = p;"},
    {"APromiseMadeAfterTheEndCapturesItself", GoneBy::Collection,
     "try { await sleep(60000); } finally { const p = sleep(1); p.self = p; p.then(() => p); }"},
    {"APromiseOfAFetchHoldsItsAnswerThatHoldsIt", GoneBy::Collection,
     "const p = fetch('http://auth/'); const answer = await p; answer.promise = p;"},
    {"AnAnswersStreamHoldsItsAnswer", GoneBy::Collection,
     "const answer = await fetch('http://auth/'); answer.body.answer = answer;"},
    {"AStreamThatIsABodyHoldsItsMessage", GoneBy::Collection,
     "const body = new ReadableStream({ pull() { return [made, request]; } });"
     "const made = new Response(body); made.own = made.body;"},
    {"ABodyIsReadThatNeverEnds", GoneBy::Collection,
     "const made = new Response(new ReadableStream({ pull() { return [made, p]; } }));"
     "const p = made.text(); p.then(() => [p, made]);"},
    {"AnUploadThatIsOpenAtTheEndHoldsItsFetch", GoneBy::Collection,
     "const p = fetch('http://silent/', { method: 'POST', body: (async function* () {"
     "yield 'a'; await sleep(60000); yield p; })() }); p.catch(() => p); await sleep(60000);"},
    {"AFetchThatIsOpenAtTheEndCapturesItself", GoneBy::Collection,
     "const p = fetch('http://silent/'); p.catch(() => [p, request]); p.request = request;"
     "request.p = p; await sleep(60000);"},
    {"ABodyThatIsReadAtTheEndHoldsItsResponse", GoneBy::Collection,
     "const answer = await fetch('http://half/'); const text = answer.text();"
     "text.answer = answer; answer.t = text; await text;"},
    {"AFetchFollowsASignalThatHoldsIt", GoneBy::Collection,
     "const c = new AbortController(); const p = fetch('http://silent/', { signal: c.signal });"
     "c.signal.p = p; p.c = c; p.catch(() => c); await sleep(60000);"},
    {"ATimeoutSignalHoldsAListenerOverItself", GoneBy::Collection,
     "const s = AbortSignal.timeout(60000); s.onabort = () => [s, ctx]; s.ctx = ctx;"},
    {"AnErrorHoldsItsStreamAndItself", GoneBy::Collection,
     "const e = new Error('x'); throw Object.assign(e, { e, request, ctx });"},
    {"AnUnhandledRejectionHoldsItsPromise", GoneBy::Collection,
     "const e = new Error('x'); e.promise = Promise.reject(e); e.request = request;"},
    {"AReplyHoldsItself", GoneBy::Collection,
     "const r = new Response('x'); r.headers.r = r; r.ctx = ctx; return r;"},

    // --- Objects of the Web ---
    {"ResponseHoldsHeadersThatHoldIt", GoneBy::Collection,
     "const r = new Response('x'); r.headers.r = r;"},
    {"RequestHoldsHeadersThatHoldIt", GoneBy::Collection,
     "const q = new Request('http://auth/'); q.headers.q = q;"},
    {"RequestHoldsASignalThatHoldsIt", GoneBy::Collection,
     "const { signal } = new AbortController(); const q = new Request('http://auth/', { signal });"
     "q.signal.q = q;"},
    {"ClonesHoldEachOther", GoneBy::Collection,
     "const r = new Response('x'); const s = r.clone(); r.headers.s = s; s.headers.r = r;"},
    {"HeadersHoldTheirIterator", GoneBy::Collection,
     "const h = new Headers({ a: '1' }); h.i = h.entries(); h.i.next();"},
    {"UrlHoldsParamsThatHoldIt", GoneBy::Collection,
     "const u = new URL('http://a/?b=1'); u.searchParams.u = u;"},
    {"ParamsHoldTheirIterator", GoneBy::Collection,
     "const p = new URLSearchParams('a=1'); p.i = p[Symbol.iterator](); p.i.next();"},
    {"EncodersHoldThemselves", GoneBy::Collection,
     "const d = new TextDecoder(); d.d = d; const e = new TextEncoder(); e.e = e;"},
    {"EventTargetHoldsAListenerOverItself", GoneBy::Collection,
     "const t = new EventTarget(); t.addEventListener('x', () => t);"
     "t.addEventListener('x', { handleEvent() { return [t, this]; } }, { signal: ctx.signal });"},
    {"EventHoldsItsTargetThatHoldsIt", GoneBy::Collection,
     "const t = new EventTarget(); t.event = new Event('x'); t.dispatchEvent(t.event);"},
    {"SignalsFollowEachOther", GoneBy::Collection,
     "const c = new AbortController(); const any = AbortSignal.any([c.signal, ctx.signal]);"
     "any.c = c; c.signal.any = any; any.addEventListener('abort', () => any);"},
    {"AReasonHoldsItsSignal", GoneBy::Collection,
     "const c = new AbortController(); c.signal.addEventListener('abort', () => c);"
     "c.abort({ c, request });"},
    {"SubclassesHoldThemselves", GoneBy::Collection,
     "class H extends Headers { me = this; } class R extends Response { me = this; }"
     "class Q extends Request { me = this; } class U extends URL { me = this; }"
     "class P extends URLSearchParams { me = this; } class T extends EventTarget { me = this; }"
     "new H(); new R(); new Q('http://a/'); new U('http://a/'); new P(); new T();"},
    {"TheConsoleIsShownCycles", GoneBy::Collection,
     "console.group(ctx); console.time('t'); console.count('c');"
     "const cycle = { request, ctx }; cycle.cycle = cycle; console.info(cycle, [cycle]);"},

    // --- What lives as long as the Runtime; cut off here, a part of it stays each time ---
    {"GlobalsAndClassesHoldThemselves", GoneBy::StreamEnd,
     "globalThis.me = globalThis; Headers.me = Headers; AbortSignal.me = AbortController;"
     "AbortController.prototype.me = AbortSignal; console.me = console; URL.prototype.me = URL;"},
    {"ASharedPromiseHoldsTheLastStream", GoneBy::Collection,
     "last = { request, ctx, before: new Promise((r) => { release?.(last); release = r; }) };",
     "let last, release;"},
};

class CycleTest : public testing::TestWithParam<Cycle> {
protected:
  void SetUp() override {
    const std::string source = "import { sleep } from 'fairlead';\n" + std::string(GetParam().top) +
                               R"(
      export default {
        configure(config, env) { const s = { config, env }; s.self = s; return s; },
        async onRequest(request, ctx) {)" + GetParam().hook + R"(},
        onLog(ctx) { ctx.state; },
      };)";
    Config config = *parseConfig("cycles", source);
    config.clusters = {{"auth", "auth"}, {"silent", "silent"}, {"half", "half"}};
    // Sanitizers and collections make scripts many times slower.
    config.limits.cpuMs = config.limits.streamCpuMs = config.limits.loadMs = 60'000;
    config.limits.waitMs = 1'000'000;
    auto script = Script::load(config);
    ASSERT_TRUE(script) << script.error().message << " in line " << script.error().line;
    config_.reset(new FilterConfig{config, *script});
    envoy_.setCluster("auth", [](const CalloutRequest&) { return CalloutAnswer::of(200, "body"); });
    envoy_.setCluster("silent", [](const CalloutRequest&) { return CalloutAnswer::silent(); });
    envoy_.setCluster("half", [](const CalloutRequest&) {
      // Without a length it is given at its headers.
      CalloutAnswer answer = CalloutAnswer::of(200, "half");
      answer.headers = {{":status", "200"}};
      answer.end = CalloutAnswer::End::Silent;
      return answer;
    });
  }

  void TearDown() override {
    // Its runtimes go with it, and find out whether anything of them is left.
    config_.reset();
    EXPECT_EQ(envoy_.finish(), std::vector<std::string>());
  }

  /** One stream, whose client leaves if nobody answers. */
  void runStream() {
    Exchange exchange(envoy_, *config_);
    exchange.requestHeaders(
        {{":authority", "a"}, {":path", "/"}, {":method", "GET"}, {":scheme", "http"}});
    envoy_.advance(10);
    exchange.clientLeaves();
    envoy_.advance(100);
  }

  Runtime& runtime() { return *config_->script->slot(0).parked.load(); }
  size_t heapBytes() { return runtime().engine().heapBytes(); }
  void collect() { JS_RunGC(runtime().engine().raw()); }

  FakeEnvoy envoy_;
  std::unique_ptr<FilterConfig> config_;
};

TEST_P(CycleTest, IsGoneInTime) {
  // R04, R27
  constexpr int kStreams = 20;
  // Classes, shapes and atoms are made at first use, and the tables of them grow by leaps.
  for (int i = 0; i < kStreams; ++i)
    runStream();
  collect();
  const size_t before = heapBytes();
  for (int i = 0; i < kStreams; ++i)
    runStream();
  // Less than one small object a stream.
  constexpr size_t kSlackBytes = kStreams * 16;
  if (GetParam().goneBy == GoneBy::StreamEnd) {
    EXPECT_LE(heapBytes(), before + kSlackBytes);
  } else if (std::getenv("FAIRLEAD_COLLECT_EVERY") == nullptr) {
    // It is a cycle: without the collector it stays.
    EXPECT_GT(heapBytes(), before + kSlackBytes);
  }
  collect();
  EXPECT_LE(heapBytes(), before + kSlackBytes);
}

INSTANTIATE_TEST_SUITE_P(Kinds, CycleTest, testing::ValuesIn(kCycles),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace fairlead
