// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// every: declared while the top level runs, called by the main thread.

#include <cmath>

#include "filter-cc/jobs.h"
#include "filter-cc/runtime.h"
#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

using fairlead_Self = void;

Outcome<void> fairlead_every(Call& call, double seconds, JSValueConst job) {
  constexpr double kMinSeconds = 0.1;
  constexpr double kMaxSeconds = 86'400;
  constexpr double kNsPerSecond = 1e9;
  if (!call.runtime.declaring())
    return call.fail(ErrorCode::E_WRONG_PHASE, {"configure()"});
  if (!(seconds >= kMinSeconds && seconds <= kMaxSeconds))
    return call.fail(ErrorCode::E_RANGE, {"the interval must be from 0.1 to 86400 seconds"});
  std::vector<Runtime::JobFunction>& jobs = call.runtime.jobs();
  if (jobs.size() == kMaxJobs)
    return call.fail(ErrorCode::E_RANGE, {"there are too many jobs"});
  Runtime::JobFunction& added = jobs.emplace_back(
      Runtime::JobFunction{js::Value::dup(call.ctx, job), static_cast<uint64_t>(seconds * kNsPerSecond), {}});
  const js::Caller place = js::placeOf(call.ctx, job);
  added.place.file = place.file;
  added.place.line = place.line;
  added.place.column = place.column;
  return {};
}

#define HOST_jobs
#include "filter-cc/bind_rows.h"

}  // namespace

bool defineJobExports(Runtime& runtime, JSValueConst exports) {
  return bind::defineRows(runtime.ctx(), exports, kRows, "fairlead", bind::Place::Prototype);
}

bool Stream::onJob(size_t index) {
  phase_ = phase::Job;
  HookRun& run = hooks_[static_cast<size_t>(Direction::Request)];
  run.hook = Hook::Every;
  run.ended = true;
  run.state = HookState::Running;
  rare().jobIndex = index;
  if (attach()) {
    runtime_->selectJob(index);
    callHook(Direction::Request);
  }
  return finishHook(Direction::Request) == HeadersStatus::Continue;
}

JSValueConst Stream::jobContext() {
  JSContext* ctx = runtime_->ctx();
  js::Value context(ctx, JS_NewObject(ctx));
  const std::pair<const char*, JSValueConst> members[] = {
      {"config", settings_->config.get()},
      {"settings", settings_->settings.get()},
      {"signal", signalObject()},
      {"runtime", partObject(Part::RuntimeKeys)},
      {"secrets", partObject(Part::Secrets)},
  };
  for (const auto& [name, value] : members) {
    if (context.isException() || JS_IsException(value) ||
        JS_DefinePropertyValueStr(ctx, context.get(), name, JS_DupValue(ctx, value), JS_PROP_C_W_E) <
            0)
      return JS_EXCEPTION;
  }
  rare().jobContext = std::move(context);
  return rare().jobContext.get();
}

}  // namespace fairlead
