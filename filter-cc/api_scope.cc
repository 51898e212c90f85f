// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What a global scope has by itself: self, performance, navigator, reportError.

#include <chrono>
#include <utility>

#include "filter-cc/console.h"
#include "filter-cc/host.h"
#include "filter-cc/runtime.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

using globals_Self = void;
using performance_Self = void;
using navigator_Self = void;

/** Of the clock that also stamps events. */
double nowMs() {
  constexpr double kNsPerMs = 1e6;
  return static_cast<double>(host::monotonicNs()) / kNsPerMs;
}

Outcome<double> performance_now(Call&) { return nowMs(); }

Outcome<double> performance_timeOrigin(Call&) {
  using Ms = std::chrono::duration<double, std::milli>;
  // Once: when the wall clock is set, this stays.
  static const double originMs = Ms(std::chrono::system_clock::now().time_since_epoch()).count() - nowMs();
  return originMs;
}

Outcome<std::string_view> navigator_userAgent(Call&) {
  return std::string_view("fairlead/" FAIRLEAD_VERSION);
}

Outcome<void> globals_reportError(Call& call, JSValueConst value) {
  if (!countLogLine(call.runtime))
    return {};
  js::Fault fault;
  Error error = js::describeError(call.ctx, value, fault);
  if (error.file.empty()) {
    for (const js::Caller& caller : js::callers(call.ctx, 1)) {
      error.file = caller.file;
      error.line = caller.line;
      error.column = caller.column;
    }
  }
  call.runtime.script().mapPositions(error);
  writeLogLine(call.runtime, LogLevel::Error, formatError(error), error.file, error.line);
  return {};
}

#define HOST_scope
#include "filter-cc/bind_rows.h"

JSValue defineObject(Runtime& runtime, std::string_view cls, const char* tag) {
  js::Value object(runtime.ctx(), JS_NewObject(runtime.ctx()));
  if (object.isException() ||
      !bind::defineRows(runtime.ctx(), object.get(), kRows, cls, bind::Place::Prototype) ||
      !js::setTag(runtime.ctx(), object.get(), tag))
    return JS_EXCEPTION;
  return object.release();
}

}  // namespace

JSValue definePerformance(Runtime& runtime) {
  return defineObject(runtime, "performance", "Performance");
}

JSValue defineNavigator(Runtime& runtime) { return defineObject(runtime, "navigator", "Navigator"); }

JSValue defineSelf(Runtime& runtime) { return JS_GetGlobalObject(runtime.ctx()); }

bool defineScopeGlobals(Runtime& runtime, JSValueConst global) {
  return bind::defineRows(runtime.ctx(), global, kRows, "globals", bind::Place::Prototype);
}

}  // namespace fairlead
