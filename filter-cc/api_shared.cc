// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// shared: from values of the script to those of the store, and back.

#include <algorithm>
#include <cmath>
#include <iterator>
#include <optional>
#include <utility>

#include "filter-cc/options.h"
#include "filter-cc/runtime.h"
#include "filter-cc/shared.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

using Kind = SharedValue::Kind;
using shared_Self = void;
using fairlead_Self = void;

SharedStore& storeOf(const Call& call) {
  call.runtime.countShared();
  return call.runtime.script().shared();
}

/** A copy of `value`; nothing with an exception pending. Runs the script's `toJSON`. */
std::optional<SharedValue> toShared(const Call& call, JSValueConst value, size_t index) {
  JSContext* ctx = call.ctx;
  if (JS_IsNumber(value)) {
    double number = 0;
    JS_ToFloat64(ctx, &number, value);
    return SharedValue::of(number);
  }
  std::span<uint8_t> bytes;
  if (js::bytesOf(value, bytes) == js::BytesState::Found)
    return SharedValue::of(Kind::Bytes, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  const bool isString = JS_IsString(value);
  const js::Value json(ctx, isString ? JS_DupValue(ctx, value)
                                     : JS_JSONStringify(ctx, value, JS_UNDEFINED, JS_UNDEFINED));
  if (json.isException())
    return std::nullopt;
  if (!json.isString()) {
    bind::throwArgument(call, index, "a string, a number, bytes, or what JSON can hold");
    return std::nullopt;
  }
  const js::Utf8 text(ctx, json.get());
  if (!text)
    return std::nullopt;
  return SharedValue::of(isString ? Kind::String : Kind::Json, text.view());
}

js::Value fromShared(JSContext* ctx, const SharedValue& value) {
  switch (value.kind) {
  case Kind::Number:
    return {ctx, JS_NewNumber(ctx, value.number)};
  case Kind::String:
    return js::newUtf8(ctx, value.payload);
  case Kind::Bytes:
    return {ctx, JS_NewUint8ArrayCopy(ctx, reinterpret_cast<const uint8_t*>(value.payload.data()),
                                      value.payload.size())};
  case Kind::Json:
    break;
  }
  return {ctx, JS_ParseJSON(ctx, value.payload.c_str(), value.payload.size(), "shared")};
}

/** `ttlMs` of the options that argument `index` is, 0 without one. False: an exception is pending. */
bool readTtl(const Call& call, JSValueConst options, size_t index, uint64_t& ttlNs) {
  constexpr std::string_view kNames[] = {"ttlMs"};
  js::Value ttl;
  double ms = 0;
  ttlNs = 0;
  if (!readOptions(call, options, index, kNames, {&ttl, 1}))
    return false;
  if (ttl.isUndefined())
    return true;
  if (JS_ToFloat64(call.ctx, &ms, ttl.get()) < 0)
    return false;
  if (!(ms > 0)) {
    call.fail(ErrorCode::E_OPTION, {"ttlMs", "more than 0"});
    return false;
  }
  constexpr double kMaxTtlMs = 1e12;
  constexpr double kNsPerMs = 1e6;
  ttlNs = std::max<uint64_t>(1, static_cast<uint64_t>(std::min(ms, kMaxTtlMs) * kNsPerMs));
  return true;
}

Thrown tooLarge(const Call& call, std::string_view key) {
  return call.fail(ErrorCode::E_SHARED_LIMIT, {key.substr(0, 100)});
}

Outcome<JSValue> shared_get(Call& call, std::string_view key) {
  const std::optional<SharedValue> value = storeOf(call).get(key);
  if (!value)
    return JS_UNDEFINED;
  return fromShared(call.ctx, *value);
}

Outcome<void> shared_set(Call& call, std::string_view key, JSValueConst value,
                         JSValueConst options) {
  uint64_t ttlNs = 0;
  if (!readTtl(call, options, 2, ttlNs))
    return Thrown{};
  std::optional<SharedValue> copy = toShared(call, value, 1);
  if (!copy)
    return Thrown{};
  if (!storeOf(call).set(key, *std::move(copy), ttlNs))
    return tooLarge(call, key);
  return {};
}

Outcome<bool> shared_delete(Call& call, std::string_view key) { return storeOf(call).erase(key); }

Outcome<double> shared_incr(Call& call, std::string_view key, std::optional<double> by,
                            JSValueConst options) {
  uint64_t ttlNs = 0;
  if (!readTtl(call, options, 2, ttlNs))
    return Thrown{};
  if (by && !std::isfinite(*by))
    return call.fail(ErrorCode::E_RANGE, {"the step must be a finite number"});
  double sum = 0;
  switch (storeOf(call).incr(key, by.value_or(1), ttlNs, sum)) {
  case SharedStore::Incr::Done:
    return sum;
  case SharedStore::Incr::NotANumber:
    return call.fail(ErrorCode::E_SHARED_TYPE, {key.substr(0, 100)});
  case SharedStore::Incr::TooLarge:
    break;
  }
  return tooLarge(call, key);
}

Outcome<bool> shared_cas(Call& call, std::string_view key, JSValueConst expected,
                         JSValueConst value, JSValueConst options) {
  uint64_t ttlNs = 0;
  if (!readTtl(call, options, 3, ttlNs))
    return Thrown{};
  std::optional<SharedValue> sides[2];
  const JSValueConst given[] = {expected, value};
  for (size_t i = 0; i < 2; ++i) {
    if (!JS_IsUndefined(given[i]) && !(sides[i] = toShared(call, given[i], i + 1)))
      return Thrown{};
  }
  const SharedStore::Cas result = storeOf(call).cas(key, sides[0], std::move(sides[1]), ttlNs);
  if (result == SharedStore::Cas::TooLarge)
    return tooLarge(call, key);
  return result == SharedStore::Cas::Done;
}

Outcome<JSValue> shared_keys(Call& call, std::optional<std::string_view> prefix) {
  JSContext* ctx = call.ctx;
  js::Value list(ctx, JS_NewArray(ctx));
  uint32_t length = 0;
  for (const std::string& key : storeOf(call).keys(prefix.value_or(""))) {
    js::Value text = js::newUtf8(ctx, key);
    if (list.isException() || text.isException() ||
        JS_DefinePropertyValueUint32(ctx, list.get(), length++, text.release(), JS_PROP_C_W_E) < 0)
      return Thrown{};
  }
  return list;
}

/** How fast a bucket fills, and what is asked of it; times in microseconds. */
struct TokenRate {
  double usPerToken = 0;
  double burst = 0;
  double tokens = 1;
};

/** A member of a rate. False: an exception is pending. */
bool readRate(const Call& call, const js::Value& member, std::string_view name,
              std::string_view must, double most, double& number) {
  if (member.isUndefined() && number > 0)
    return true;
  if (JS_ToFloat64(call.ctx, &number, member.get()) < 0)
    return false;
  if (number > 0 && number <= most)
    return true;
  call.fail(ErrorCode::E_OPTION, {name, must});
  return false;
}

std::optional<TokenRate> readTokenRate(const Call& call, JSValueConst given) {
  TokenRate rate;
  double perSecond = 0;
  constexpr std::string_view kNames[] = {"perSecond", "burst", "tokens"};
  js::Value values[std::size(kNames)];
  if (!readOptions(call, given, 1, kNames, values) ||
      !readRate(call, values[0], kNames[0], "more than 0, at most 1000000", 1e6, perSecond))
    return std::nullopt;
  rate.burst = std::max(1.0, std::ceil(perSecond));
  if (!readRate(call, values[1], kNames[1], "more than 0, at most 1000000000", 1e9, rate.burst) ||
      !readRate(call, values[2], kNames[2], "more than 0, at most the burst", rate.burst,
                rate.tokens))
    return std::nullopt;
  constexpr double kUsPerSecond = 1e6;
  rate.usPerToken = kUsPerSecond / perSecond;
  return rate;
}

js::Value takeResult(JSContext* ctx, bool taken, double remaining, double retryAfterMs) {
  js::Value result(ctx, JS_NewObject(ctx));
  if (result.isException() ||
      JS_DefinePropertyValueStr(ctx, result.get(), "taken", JS_NewBool(ctx, taken),
                                JS_PROP_C_W_E) < 0 ||
      JS_DefinePropertyValueStr(ctx, result.get(), "remaining", JS_NewNumber(ctx, remaining),
                                JS_PROP_C_W_E) < 0 ||
      JS_DefinePropertyValueStr(ctx, result.get(), "retryAfterMs",
                                JS_NewNumber(ctx, retryAfterMs), JS_PROP_C_W_E) < 0)
    return {ctx, JS_EXCEPTION};
  return result;
}

/**
 * A token bucket, as the generic cell rate algorithm keeps one: a single number, the time at which it
 * will be full again.
 */
Outcome<JSValue> shared_take(Call& call, std::string_view key, JSValueConst given) {
  constexpr double kNsPerUs = 1e3;
  constexpr double kUsPerMs = 1e3;
  const std::optional<TokenRate> rate = readTokenRate(call, given);
  if (!rate)
    return Thrown{};
  SharedStore& store = storeOf(call);
  const double fillUs = rate->burst * rate->usPerToken;
  for (;;) {
    const std::optional<SharedValue> before = store.get(key);
    if (before && before->kind != Kind::Number)
      return call.fail(ErrorCode::E_SHARED_TYPE, {key.substr(0, 100)});
    const double nowUs = std::floor(static_cast<double>(host::monotonicNs()) / kNsPerUs);
    // Of another rate, or of something else, it counts as an empty bucket at most.
    const double fullUs = before ? std::clamp(before->number, nowUs, nowUs + fillUs) : nowUs;
    const double nextUs = fullUs + rate->tokens * rate->usPerToken;
    const double waitUs = nextUs - fillUs - nowUs;
    const bool taken = waitUs <= 0;
    const double leftUs = fillUs - ((taken ? nextUs : fullUs) - nowUs);
    // A token that is full but for the rounding of its time is full.
    const double remaining = std::floor(leftUs / rate->usPerToken + 1e-6);
    if (!taken)
      return takeResult(call.ctx, false, remaining, std::ceil(waitUs / kUsPerMs));
    switch (store.cas(key, before, SharedValue::of(nextUs),
                      static_cast<uint64_t>((nextUs - nowUs + 1) * kNsPerUs))) {
    case SharedStore::Cas::Done:
      return takeResult(call.ctx, true, remaining, 0);
    case SharedStore::Cas::Different:
      continue;
    case SharedStore::Cas::TooLarge:
      return tooLarge(call, key);
    }
  }
}

Outcome<JSValue> fairlead_shared(Call& call);

#define HOST_shared
#include "filter-cc/bind_rows.h"

Outcome<JSValue> fairlead_shared(Call& call) {
  js::Value object(call.ctx, JS_NewObject(call.ctx));
  if (object.isException() ||
      !bind::defineRows(call.ctx, object.get(), kRows, "shared", bind::Place::Prototype) ||
      !js::setTag(call.ctx, object.get(), "shared"))
    return Thrown{};
  return object;
}

}  // namespace

bool defineSharedExports(Runtime& runtime, JSValueConst exports) {
  return bind::defineRows(runtime.ctx(), exports, kRows, "fairlead", bind::Place::Prototype);
}

}  // namespace fairlead
