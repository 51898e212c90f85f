// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/events.h"

#include <gtest/gtest.h>

#include "filter-cc/answering_test.h"
#include "filter-cc/runtime.h"

namespace fairlead {
namespace {

class EventsTest : public testing::Test {
protected:
  void load(const std::string& source) { config_ = filterOfModule("auth", source); }
  /** One request through `onRequest`, given as a function's body; ends when it is answered. */
  void run(const std::string& onRequest) {
    load("export default {\n  async onRequest(request, ctx) {\n" + onRequest + "\n  }\n}");
    if (config_ == nullptr)
      return;
    Exchange exchange(envoy_, *config_);
    exchange.requestHeaders(
        {{":method", "GET"}, {":path", "/"}, {":authority", "a"}, {":scheme", "http"}});
    while (exchange.held(Direction::Request) && envoy_.runNext()) {
    }
    status_ = exchange.atClient().status();
  }
  std::vector<std::string> lines() {
    std::vector<std::string> texts;
    for (const LogLine& line : envoy_.log())
      texts.push_back(line.message);
    return texts;
  }

  FakeEnvoy envoy_;
  std::unique_ptr<FilterConfig> config_;
  uint32_t status_ = 0;
};

TEST_F(EventsTest, WhatAListenerThrowsIsLoggedWithItsPlaceAndTheHookGoesOnW17) {
  run("const target = new EventTarget();\n"
      "target.addEventListener('a', function listener() {\n"
      "  throw new TypeError('boom'); });\n"
      "target.addEventListener('a', () => { throw null });\n"
      "target.addEventListener('a', () => console.log('last'));\n"
      "target.dispatchEvent(new Event('a'));");
  const auto& log = envoy_.log();
  ASSERT_EQ(log.size(), 3u);
  EXPECT_EQ(log[0].level, LogLevel::Error);
  EXPECT_EQ(log[0].file, "inline");
  EXPECT_EQ(log[0].line, 5u);
  EXPECT_EQ(log[0].message.substr(0, 82),
            "auth: E_LISTENER_THROW: an event listener threw: E_THROWN: TypeError: boom (inline")
      << log[0].message;
  EXPECT_NE(log[0].message.find("at listener (inline:5:"), std::string::npos) << log[0].message;
  EXPECT_EQ(log[0].message.find("fairlead:"), std::string::npos) << log[0].message;
  EXPECT_NE(log[1].message.find("null was thrown"), std::string::npos) << log[1].message;
  EXPECT_EQ(log[2].message, "auth: last");
  EXPECT_EQ(status_, 0u);
}

TEST_F(EventsTest, ListenersThatThrowEndlesslyShareTheCapOfLogLinesH128) {
  run("const target = new EventTarget();\n"
      "target.addEventListener('a', () => { throw new Error('again') });\n"
      "for (let i = 0; i < 1000; i++) target.dispatchEvent(new Event('a'));");
  ASSERT_EQ(envoy_.log().size(), 101u);
  EXPECT_EQ(envoy_.log()[100].message, "auth: 900 log lines dropped");
}

TEST_F(EventsTest, AnErrorOfABuiltinHasThePlaceOfTheCallThatCausedItR35) {
  run("\n  new Event();");
  ASSERT_EQ(envoy_.log().size(), 1u);
  EXPECT_EQ(envoy_.log()[0].line, 4u);
  EXPECT_EQ(envoy_.log()[0].message.substr(0, 63),
            "auth: E_MISSING_ARGUMENT: TypeError: Event: argument 1 is missi")
      << envoy_.log()[0].message;
  EXPECT_EQ(envoy_.log()[0].message.find("fairlead:"), std::string::npos)
      << envoy_.log()[0].message;
  EXPECT_EQ(envoy_.log()[0].message.find("(native)"), std::string::npos)
      << envoy_.log()[0].message;
  EXPECT_EQ(status_, 500u);
}

TEST_F(EventsTest, TheStreamsSignalIsAbortedWhenTheStreamEndsW16) {
  run("ctx.signal.addEventListener('abort', (event) => {\n"
      "  const { reason } = event.target;\n"
      "  console.log(event.target === ctx.signal, reason instanceof DOMException, reason.name, "
      "reason.code);\n"
      "});\n"
      "console.log(ctx.signal.aborted);");
  EXPECT_EQ(lines(), (std::vector<std::string>{"auth: false",
                                               "auth: true true AbortError E_ABORTED"}));
}

TEST_F(EventsTest, AListenerThatNeverEndsIsStoppedLikeAnyCodeH121) {
  load("export default { onRequest() { const target = new EventTarget();\n"
       "target.addEventListener('a', () => { for (;;) ; });\n"
       "target.addEventListener('a', () => console.log('never'));\n"
       "target.dispatchEvent(new Event('a')); } }");
  config_->config.limits.cpuMs = 20;
  Exchange exchange(envoy_, *config_);
  exchange.requestHeaders(
      {{":method", "GET"}, {":path", "/"}, {":authority", "a"}, {":scheme", "http"}});
  EXPECT_EQ(exchange.atClient().status(), 500u);
  ASSERT_EQ(envoy_.log().size(), 1u);
  EXPECT_NE(envoy_.log()[0].message.find("E_CPU_LIMIT"), std::string::npos);
}

TEST_F(EventsTest, ATimeoutSignalIsAbortedOnTimeAndNeedsAStreamW16) {
  run("const signal = AbortSignal.timeout(250);\n"
      "await new Promise((resolve) => { signal.onabort = resolve });\n"
      "console.log(signal.reason.name, signal.reason.code);");
  EXPECT_EQ(lines(), (std::vector<std::string>{"auth: TimeoutError 23"}));
  const uint64_t before = envoy_.nowNs();
  envoy_.clearLog();
  load("let code; try { AbortSignal.timeout(1) } catch (e) { code = e.code }\n"
       "console.log(code); export default { onRequest() {} }");
  EXPECT_EQ(lines(), (std::vector<std::string>{"auth: E_NO_STREAM"}));
  EXPECT_EQ(envoy_.nowNs(), before);
}

/** The core's functions, in a world whose script has replaced what they could trip over. */
class SignalTest : public EventsTest {
protected:
  SignalTest() {
    load("for (const name of ['aborted', 'reason', 'addEventListener', 'signal', 'abort'])\n"
         "  Object.defineProperty(Object.prototype, name, { get() { throw new Error(name) } });\n"
         "Object.defineProperty(AbortSignal.prototype, 'aborted', { get() { throw new "
         "Error('aborted') } });\n"
         "export default { onRequest() {} }");
    auto runtime = Runtime::create(*config_->script);
    EXPECT_TRUE(runtime.ok());
    runtime_ = std::move(*runtime);
    entry_.emplace(runtime_->engine(), js::Budget{UINT64_MAX, UINT64_MAX}, 0);
  }
  JSContext* ctx() { return runtime_->ctx(); }
  void call(const js::Value& function, JSValueConst argument = JS_UNDEFINED) {
    const js::Value result(ctx(), JS_Call(ctx(), function.get(), JS_UNDEFINED, 1, &argument));
    EXPECT_FALSE(result.isException());
  }
  /** A function that adds its argument, as text, to calls_. */
  js::Value recorder() {
    calls_.clear();
    return js::Value(ctx(), JS_NewCFunction(
                                ctx(),
                                [](JSContext* ctx, JSValueConst, int, JSValueConst* argv) {
                                  calls_.emplace_back(js::Utf8(ctx, argv[0]).view());
                                  return JS_UNDEFINED;
                                },
                                "recorder", 1));
  }

  static inline std::vector<std::string> calls_;
  std::unique_ptr<Runtime> runtime_;
  std::optional<js::Entry> entry_;
};

TEST_F(SignalTest, TheCoreMakesReadsAndAbortsSignals) {
  js::Value abort;
  const js::Value signal = newStreamSignal(*runtime_, abort);
  ASSERT_TRUE(signal.isObject());
  ASSERT_TRUE(abort.isFunction());
  EXPECT_TRUE(isAbortSignal(*runtime_, signal.get()));
  EXPECT_FALSE(isAbortSignal(*runtime_, abort.get()));
  EXPECT_FALSE(isAbortSignal(*runtime_, JS_UNDEFINED));
  EXPECT_FALSE(isAborted(*runtime_, signal.get()));
  EXPECT_TRUE(abortReason(*runtime_, signal.get()).isUndefined());
  const js::Value follower = followSignal(*runtime_, signal.get());
  call(abort, JS_NewInt32(ctx(), 7));
  EXPECT_TRUE(isAborted(*runtime_, signal.get()));
  EXPECT_TRUE(isAborted(*runtime_, follower.get()));
  EXPECT_EQ(JS_VALUE_GET_INT(abortReason(*runtime_, follower.get()).get()), 7);
}

TEST_F(SignalTest, AnAlgorithmOfTheCoreRunsOnceAndCanBeTakenBack) {
  js::Value abort;
  const js::Value signal = newStreamSignal(*runtime_, abort);
  const js::Value function = recorder();
  js::Value remove;
  ASSERT_TRUE(onAbort(*runtime_, signal.get(), function.get()));
  ASSERT_TRUE(onAbort(*runtime_, signal.get(), function.get(), &remove));
  call(remove);
  call(abort, JS_NewInt32(ctx(), 1));
  call(abort, JS_NewInt32(ctx(), 2));
  EXPECT_EQ(calls_, (std::vector<std::string>{"1"}));
  ASSERT_TRUE(onAbort(*runtime_, signal.get(), function.get()));
  EXPECT_EQ(calls_.size(), 1u);
}

}  // namespace
}  // namespace fairlead
