// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The module "fairlead:native": what builtins/*.ts import. Its contract is builtins/native.d.ts.

#include "filter-cc/compression.h"
#include "filter-cc/console.h"
#include "filter-cc/events.h"
#include "filter-cc/host.h"
#include "filter-cc/runtime.h"
#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

constexpr double kNsPerMs = 1e6;

JSValue now(JSContext* ctx, JSValueConst, int, JSValueConst*) {
  return JS_NewFloat64(ctx, static_cast<double>(host::monotonicNs()) / kNsPerMs);
}

JSValue setTimer(JSContext* ctx, JSValueConst, int, JSValueConst* argv) {
  return bind::barrier(ctx, "setTimer", [&]() -> JSValue {
    const Call call{ctx, Runtime::from(ctx), "AbortSignal.timeout", JS_UNDEFINED};
    double delayMs = 0;
    if (JS_ToFloat64(ctx, &delayMs, argv[1]) < 0)
      return JS_EXCEPTION;
    Stream* stream = call.stream();
    if (stream == nullptr) {
      call.fail(call.runtime.streamIsGone() ? ErrorCode::E_STREAM_ENDED : ErrorCode::E_NO_STREAM);
      return JS_EXCEPTION;
    }
    // Nothing fires after the end.
    if (stream->ended())
      return JS_NewInt32(ctx, 0);
    const uint32_t id = stream->addTimer(call, delayMs, js::Value::dup(ctx, argv[0]), {});
    return id == 0 ? JS_EXCEPTION : JS_NewUint32(ctx, id);
  });
}

JSValue hostError(JSContext* ctx, JSValueConst, int argc, JSValueConst* argv) {
  return bind::barrier(ctx, "hostError", [&]() -> JSValue {
    constexpr int kMaxArgs = 4;
    std::string texts[kMaxArgs];
    for (int i = 0; i < argc && i < kMaxArgs; ++i) {
      const js::Utf8 text(ctx, argv[i]);
      if (!text)
        return JS_EXCEPTION;
      texts[i] = text.view();
    }
    return newError(ctx, errorCodeOf(texts[0]), {texts[1], texts[2], texts[3]});
  });
}

JSValue streams(JSContext* ctx, JSValueConst, int, JSValueConst*) {
  return bind::barrier(ctx, "streams", [&] {
    return JS_DupValue(ctx, Runtime::from(ctx).builtin(Builtin::Streams));
  });
}

constexpr JSCFunctionListEntry kNatives[] = {
    bind::functionEntry("now", 0, now),
    bind::functionEntry("setTimer", 2, setTimer),
    bind::functionEntry("hostError", 1, hostError),
    bind::functionEntry("streams", 0, streams),
};

}  // namespace

std::span<const char* const> nativeNames() {
  static constexpr const char* kNames[] = {"now",      "setTimer",      "hostError",
                                           "classOf",  "describeError", "entriesOf", "membersOf",
                                           "intrinsics", "newDomException", "reportException",
                                           "streams",  "newCodec",      "runCodec"};
  return kNames;
}

bool defineNativeExports(Runtime& runtime, JSValueConst exports) {
  JSContext* ctx = runtime.ctx();
  js::Value intrinsics = js::newIntrinsics(ctx);
  return !intrinsics.isException() &&
         JS_SetPropertyFunctionList(ctx, exports, kNatives, std::size(kNatives)) == 0 &&
         JS_DefinePropertyValueStr(ctx, exports, "intrinsics", intrinsics.release(),
                                   JS_PROP_C_W_E) >= 0 &&
         defineEventNatives(runtime, exports) && defineConsoleNatives(runtime, exports) &&
         defineCompressionNatives(runtime, exports);
}

}  // namespace fairlead
