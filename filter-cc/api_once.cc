// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// once: one call for all streams of a Runtime that want the same.

#include <algorithm>
#include <cmath>

#include "filter-cc/host.h"
#include "filter-cc/once.h"
#include "filter-cc/runtime.h"
#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

constexpr double kNsPerMs = 1e6;

using fairlead_Self = void;

Outcome<JSValue> fairlead_once(Call& call, std::string_view key, double ttlMs, JSValueConst make) {
  if (std::isnan(ttlMs) || ttlMs < 0)
    return call.fail(ErrorCode::E_RANGE, {"the time must be 0 or more milliseconds"});
  Stream* stream = call.stream();
  if (stream == nullptr || stream->ended())
    return js::newPromise(call.ctx);
  return call.runtime.once().ask(call, *stream, key, ttlMs, make);
}

#define HOST_once
#include "filter-cc/bind_rows.h"

/** The native reaction on what `make` gave; `data` is the key and the flight. */
JSValue onMade(JSContext* ctx, JSValueConst, int argc, JSValueConst* argv, int rejected,
               JSValueConst* data) {
  return bind::barrier(ctx, "once", [&] {
    const js::Utf8 key(ctx, data[0]);
    int64_t flight = 0;
    JS_ToBigInt64(ctx, &flight, data[1]);
    if (key)
      Runtime::from(ctx).once().settle(ctx, key.view(), static_cast<uint64_t>(flight),
                                       argc > 0 ? argv[0] : JS_UNDEFINED, rejected != 0);
    return JS_UNDEFINED;
  });
}

/** A job of the next in line; `argv` is the key and the flight. */
JSValue startNext(JSContext* ctx, int, JSValueConst* argv) {
  return bind::barrier(ctx, "once", [&] {
    const js::Utf8 key(ctx, argv[0]);
    int64_t flight = 0;
    JS_ToBigInt64(ctx, &flight, argv[1]);
    const bool started = key && Runtime::from(ctx).once().start(ctx, std::string(key.view()),
                                                                static_cast<uint64_t>(flight));
    return started ? JS_UNDEFINED : JS_EXCEPTION;
  });
}

}  // namespace

bool defineOnceExports(Runtime& runtime, JSValueConst exports) {
  return bind::defineRows(runtime.ctx(), exports, kRows, "fairlead", bind::Place::Prototype);
}

js::Value OnceTable::ask(const Call& call, Stream& stream, std::string_view key, double ttlMs,
                         JSValueConst make) {
  JSContext* ctx = call.ctx;
  js::Value promise = js::newPromise(ctx);
  if (promise.isException())
    return promise;
  const uint64_t nowNs = host::monotonicNs();
  const std::string name(key);
  auto at = entries_.find(name);
  if (at != entries_.end() && at->second.waiters.empty() && nowNs < at->second.freshUntilNs) {
    js::settlePromise(ctx, promise.get(), at->second.value.get(), false);
    return promise;
  }
  if (at == entries_.end()) {
    makeRoom(nowNs);
    at = entries_.try_emplace(name).first;
  }
  Entry& entry = at->second;
  constexpr double kMaxTtlMs = 1e12;
  entry.waiters.push_back({stream.id(), static_cast<uint64_t>(std::min(ttlMs, kMaxTtlMs) * kNsPerMs),
                           promise.dup(), js::Value::dup(ctx, make)});
  stream.waitOnce();
  if (entry.waiters.size() == 1) {
    entry.value.reset();
    entry.flight = ++flights_;
    if (!start(ctx, name, entry.flight))
      return {ctx, JS_EXCEPTION};
  }
  return promise;
}

bool OnceTable::start(JSContext* ctx, const std::string& key, uint64_t flight) {
  const auto at = entries_.find(key);
  if (at == entries_.end() || at->second.flight != flight || at->second.waiters.empty())
    return true;
  const js::Value make = at->second.waiters.front().make.dup();
  // From here on the script may have changed the table.
  js::Value made(ctx, JS_Call(ctx, make.get(), JS_UNDEFINED, 0, nullptr));
  if (made.isObject() && !js::isPromise(made.get()))
    made = js::promiseOf(ctx, made.get());
  if (made.isException()) {
    js::Value reason(ctx, JS_GetException(ctx));
    if (JS_IsUncatchableError(reason.get())) {
      // The value comes from the next in line, once the fault has been dealt with.
      JS_Throw(ctx, reason.release());
      return false;
    }
    settle(ctx, key, flight, reason.get(), true);
    return true;
  }
  if (!js::isPromise(made.get())) {
    settle(ctx, key, flight, made.get(), false);
    return true;
  }
  const js::Value name = js::newUtf8(ctx, key);
  const js::Value number(ctx, JS_NewBigUint64(ctx, flight));
  JSValueConst data[] = {name.get(), number.get()};
  const js::Value fulfilled(ctx, JS_NewCFunctionData(ctx, onMade, 1, 0, 2, data));
  const js::Value rejected(ctx, JS_NewCFunctionData(ctx, onMade, 1, 1, 2, data));
  // Out of memory ends the entry with a fault; nothing is left to do here.
  if (!fulfilled.isException() && !rejected.isException())
    (void)js::promiseThen(ctx, made.get(), fulfilled.get(), rejected.get());
  return true;
}

void OnceTable::settle(JSContext* ctx, std::string_view key, uint64_t flight, JSValueConst value,
                       bool rejected) {
  const auto at = entries_.find(key);
  if (at == entries_.end() || at->second.flight != flight || at->second.waiters.empty())
    return;
  const std::vector<Waiter> waiters = std::exchange(at->second.waiters, {});
  if (rejected || waiters.front().ttlNs == 0) {
    entries_.erase(at);
  } else {
    at->second.value = js::Value::dup(ctx, value);
    at->second.freshUntilNs = host::monotonicNs() + waiters.front().ttlNs;
  }
  for (const Waiter& waiter : waiters)
    js::settlePromise(ctx, waiter.promise.get(), value, rejected);
}

void OnceTable::leave(JSContext* ctx, uint64_t streamId, JSValueConst reason) {
  for (auto at = entries_.begin(); at != entries_.end();) {
    Entry& entry = at->second;
    const bool made = !entry.waiters.empty() && entry.waiters.front().streamId == streamId;
    std::erase_if(entry.waiters, [&](Waiter& waiter) {
      if (waiter.streamId != streamId)
        return false;
      if (!JS_IsUndefined(reason)) {
        js::markHandled(ctx, waiter.promise.get());
        js::settlePromise(ctx, waiter.promise.get(), reason, true);
      }
      return true;
    });
    if (!made) {
      ++at;
    } else if (entry.waiters.empty()) {
      at = entries_.erase(at);
    } else {
      entry.flight = ++flights_;
      const js::Value name = js::newUtf8(ctx, at->first);
      const js::Value number(ctx, JS_NewBigUint64(ctx, entry.flight));
      JSValueConst arguments[] = {name.get(), number.get()};
      if (!name.isException() && !number.isException())
        js::enqueueJob(ctx, entry.waiters.front().streamId, startNext, arguments);
      ++at;
    }
  }
}

void OnceTable::makeRoom(uint64_t nowNs) {
  if (entries_.size() < kMaxOnceKeys)
    return;
  std::erase_if(entries_, [&](const auto& pair) {
    return pair.second.waiters.empty() && pair.second.freshUntilNs <= nowNs;
  });
  if (entries_.size() < kMaxOnceKeys)
    return;
  auto first = entries_.end();
  for (auto at = entries_.begin(); at != entries_.end(); ++at) {
    if (at->second.waiters.empty() &&
        (first == entries_.end() || at->second.freshUntilNs < first->second.freshUntilNs))
      first = at;
  }
  if (first != entries_.end())
    entries_.erase(first);
}

}  // namespace fairlead
