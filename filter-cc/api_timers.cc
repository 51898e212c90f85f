// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// setTimeout, setInterval, their clears, sleep: timers of one stream, gone with it.

#include <algorithm>
#include <cmath>

#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

constexpr double kNsPerMs = 1e6;
/** The longest delay of the HTML standard: 2^31 - 1 ms. */
constexpr double kMaxDelayMs = 2147483647;
/** Of an interval. */
constexpr double kMinPeriodMs = 1;

using globals_Self = void;
using fairlead_Self = void;

/** What an asynchronous call gives once its stream has ended: a promise that never settles. */
js::Value neverSettles(const Call& call) { return js::newPromise(call.ctx); }

Outcome<double> startTimer(Call& call, JSValueConst callback, std::optional<double> delayMs,
                           std::span<JSValueConst> arguments, bool repeats) {
  Stream* stream = call.stream();
  if (stream == nullptr || stream->ended()) {
    return call.fail(ErrorCode::E_STREAM_ENDED);
  }
  std::vector<js::Value> held;
  for (JSValueConst argument : arguments)
    held.push_back(js::Value::dup(call.ctx, argument));
  const uint32_t id = stream->addTimer(call, delayMs.value_or(0),
                                       js::Value::dup(call.ctx, callback), std::move(held), 0, repeats);
  if (id == 0)
    return Thrown{};
  return id;
}

Outcome<double> globals_setTimeout(Call& call, JSValueConst callback, std::optional<double> delayMs,
                                   std::span<JSValueConst> arguments) {
  return startTimer(call, callback, delayMs, arguments, false);
}

Outcome<double> globals_setInterval(Call& call, JSValueConst callback,
                                    std::optional<double> delayMs,
                                    std::span<JSValueConst> arguments) {
  return startTimer(call, callback, delayMs, arguments, true);
}

Outcome<void> globals_clearTimeout(Call& call, std::optional<double> id) {
  Stream* stream = call.stream();
  if (stream != nullptr && id && *id > 0 && *id <= UINT32_MAX)
    stream->removeTimer(static_cast<uint32_t>(*id));
  return {};
}

Outcome<void> globals_clearInterval(Call& call, std::optional<double> id) {
  return globals_clearTimeout(call, id);
}

Outcome<JSValue> fairlead_sleep(Call& call, double delayMs) {
  if (std::isnan(delayMs) || delayMs < 0)
    return call.fail(ErrorCode::E_RANGE, {"the time must be 0 or more milliseconds"});
  Stream* stream = call.stream();
  if (stream == nullptr || stream->ended())
    return neverSettles(call);
  js::Value promise = js::newPromise(call.ctx);
  if (promise.isException() || stream->addTimer(call, delayMs, promise.dup(), {}) == 0)
    return Thrown{};
  return promise;
}

#define HOST_timers
#include "filter-cc/bind_rows.h"

}  // namespace

bool defineTimerGlobals(Runtime& runtime, JSValueConst global) {
  return bind::defineRows(runtime.ctx(), global, kRows, "globals", bind::Place::Prototype);
}

bool defineTimerExports(Runtime& runtime, JSValueConst exports) {
  return bind::defineRows(runtime.ctx(), exports, kRows, "fairlead", bind::Place::Prototype);
}

// --- The stream's side ---

uint32_t Stream::addTimer(const Call& call, double delayMs, js::Value target,
                          std::vector<js::Value> arguments, uint32_t fetchId, bool repeats) {
  const auto ofScript = [](const Timer& timer) { return timer.fetchId == 0; };
  const auto count = std::count_if(rare().timers.begin(), rare().timers.end(), ofScript);
  if (fetchId == 0 && static_cast<uint32_t>(count) >= kMaxTimers) {
    call.fail(ErrorCode::E_TIMER_LIMIT, {std::to_string(kMaxTimers)});
    return 0;
  }
  const double ms = std::isnan(delayMs) ? 0 : std::clamp(delayMs, 0.0, kMaxDelayMs);
  Timer timer;
  const double delayNs = (repeats ? std::max(ms, kMinPeriodMs) : ms) * kNsPerMs;
  timer.dueNs = host::monotonicNs() + static_cast<uint64_t>(delayNs);
  if (repeats)
    timer.periodNs = static_cast<uint64_t>(delayNs);
  timer.id = nextId_++;
  timer.target = std::move(target);
  timer.arguments = std::move(arguments);
  timer.fetchId = fetchId;
  timer.context = js::Value::dup(call.ctx, js::asyncContext(call.ctx));
  rare().timers.push_back(std::move(timer));
  armWake();
  return rare().timers.back().id;
}

void Stream::removeTimer(uint32_t timerId) {
  std::erase_if(rare().timers,
                [&](const Timer& timer) { return timer.id == timerId && timer.fetchId == 0; });
}

void Stream::fireTimers(uint64_t nowNs) {
  if (rare_ == nullptr)
    return;
  // Timers that a callback starts wait for the next wake, even with a delay of 0.
  const uint32_t firstNew = nextId_;
  while (canRunScript()) {
    auto next = rare().timers.end();
    for (auto timer = rare().timers.begin(); timer != rare().timers.end(); ++timer) {
      if (timer->dueNs <= nowNs && timer->id < firstNew &&
          (next == rare().timers.end() || timer->dueNs < next->dueNs))
        next = timer;
    }
    if (next == rare().timers.end())
      return;
    Timer timer;
    if (next->periodNs == 0) {
      timer = std::move(*next);
      rare().timers.erase(next);
    } else {
      // It stays, so that its own function can end it; turns that were missed are not made up for.
      next->dueNs = nowNs + next->periodNs;
      timer.target = next->target.dup();
      timer.context = next->context.dup();
      for (const js::Value& argument : next->arguments)
        timer.arguments.push_back(argument.dup());
    }
    runtime_->run(
        *this, budget(),
        [&] {
          JSContext* ctx = runtime_->ctx();
          if (timer.fetchId != 0) {
            onFetchTimer(timer.fetchId, timer.id);
          } else if (js::isPromise(timer.target.get())) {
            js::settlePromise(ctx, timer.target.get(), JS_UNDEFINED, false);
          } else {
            std::vector<JSValueConst> arguments;
            for (const js::Value& argument : timer.arguments)
              arguments.push_back(argument.get());
            const js::AsyncContextScope scope(ctx, timer.context.get());
            const js::Value result(ctx, JS_Call(ctx, timer.target.get(), JS_UNDEFINED,
                                                static_cast<int>(arguments.size()),
                                                arguments.data()));
            if (result.isException())
              reportException();
          }
          // Freed while the runtime is still ours.
          timer = Timer{};
        },
        [](js::Entry&) {});
  }
}

void Stream::abortTimers(JSValueConst reason) {
  std::vector<Timer> timers = std::move(rare().timers);
  rare().timers.clear();
  for (Timer& timer : timers) {
    if (!js::isPromise(timer.target.get()))
      continue;
    js::markHandled(runtime_->ctx(), timer.target.get());
    js::settlePromise(runtime_->ctx(), timer.target.get(), reason, true);
  }
}

}  // namespace fairlead
