// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The core's side of Event, EventTarget, AbortController and AbortSignal; see builtins/events.ts.

#include <iterator>

#include "filter-cc/console.h"
#include "filter-cc/events.h"
#include "filter-cc/runtime.h"

namespace fairlead {
namespace {

js::Value callExport(Runtime& runtime, const char* name, std::span<JSValueConst> arguments) {
  return runtime.callBuiltin(Builtin::Events, name, arguments);
}

js::Value callExport(Runtime& runtime, const char* name, JSValueConst argument) {
  return callExport(runtime, name, std::span(&argument, 1));
}

// --- What builtins/events.ts imports ---

JSValue newDomException(JSContext* ctx, JSValueConst, int, JSValueConst* argv) {
  return bind::barrier(ctx, "DOMException", [&]() -> JSValue {
    const js::Utf8 name(ctx, argv[0]);
    const js::Utf8 message(ctx, argv[1]);
    if (!name || !message)
      return JS_EXCEPTION;
    JS_ThrowDOMException(ctx, std::string(name.view()).c_str(), "%s",
                         std::string(message.view()).c_str());
    return JS_GetException(ctx);
  });
}

JSValue reportException(JSContext* ctx, JSValueConst, int, JSValueConst* argv) {
  return bind::barrier(ctx, "reportException", [&]() -> JSValue {
    Runtime& runtime = Runtime::from(ctx);
    if (!countLogLine(runtime))
      return JS_UNDEFINED;
    js::Fault fault;
    Error error = js::describeError(ctx, argv[0], fault);
    runtime.script().mapPositions(error);
    error.message =
        errorMessage(ErrorCode::E_LISTENER_THROW, {error.code + ": " + error.message});
    error.code = errorName(ErrorCode::E_LISTENER_THROW);
    writeLogLine(runtime, LogLevel::Error, formatError(error), error.file, error.line);
    return JS_UNDEFINED;
  });
}

constexpr JSCFunctionListEntry kNatives[] = {
    bind::functionEntry("newDomException", 2, newDomException),
    bind::functionEntry("reportException", 1, reportException),
};

}  // namespace

js::Value newStreamSignal(Runtime& runtime, js::Value& abort) {
  JSContext* ctx = runtime.ctx();
  const js::Value made = callExport(runtime, "createSignal", std::span<JSValueConst>());
  if (made.isException())
    return {ctx, JS_EXCEPTION};
  abort = js::Value(ctx, JS_GetPropertyStr(ctx, made.get(), "abort"));
  return {ctx, JS_GetPropertyStr(ctx, made.get(), "signal")};
}

js::Value followSignal(Runtime& runtime, JSValueConst signal) {
  return callExport(runtime, "followSignal", signal);
}

bool isAbortSignal(Runtime& runtime, JSValueConst value) {
  return JS_ToBool(runtime.ctx(), callExport(runtime, "isAbortSignal", value).get()) > 0;
}

bool isAborted(Runtime& runtime, JSValueConst signal) {
  return JS_ToBool(runtime.ctx(), callExport(runtime, "signalAborted", signal).get()) > 0;
}

js::Value abortReason(Runtime& runtime, JSValueConst signal) {
  return callExport(runtime, "signalReason", signal);
}

bool onAbort(Runtime& runtime, JSValueConst signal, JSValueConst function, js::Value* remove) {
  JSValueConst arguments[] = {signal, function};
  js::Value undo = callExport(runtime, "onAbort", arguments);
  const bool done = !undo.isException();
  if (done && remove != nullptr)
    *remove = std::move(undo);
  return done;
}

bool isEventObject(Runtime& runtime, JSValueConst object) {
  return runtime.hasBuiltin(Builtin::Events) &&
         JS_ToBool(runtime.ctx(), callExport(runtime, "isEventObject", object).get()) > 0;
}

bool defineEventNatives(Runtime& runtime, JSValueConst exports) {
  return JS_SetPropertyFunctionList(runtime.ctx(), exports, kNatives, std::size(kNatives)) == 0;
}

}  // namespace fairlead
