// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/retry.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <string>

#include "filter-cc/options.h"
#include "filter-cc/runtime.h"
#include "filter-cc/stream.h"

namespace fairlead {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr uint32_t kMaxRetries = 10;
constexpr uint32_t kMaxMs = 3'600'000;
// As in Envoy: retries are at most a fifth of what is under way, but a few are always allowed.
constexpr uint32_t kCallsPerRetry = 5;
constexpr uint32_t kMinRetries = 3;

/** A member that is a whole number; false with an exception pending. */
bool readWhole(const Call& call, const std::string& name, JSValueConst value, uint32_t min,
               uint32_t max, uint32_t& out) {
  double number = 0;
  if (JS_ToFloat64(call.ctx, &number, value) < 0)
    return false;
  if (!(number >= min && number <= max) || number != std::floor(number)) {
    call.fail(ErrorCode::E_OPTION, {name, "a whole number from " + std::to_string(min) + " to " +
                                              std::to_string(max)});
    return false;
  }
  out = static_cast<uint32_t>(number);
  return true;
}

void cover(RetryPolicy& policy, uint32_t first, uint32_t last) {
  for (uint32_t status = first; status <= last; ++status)
    policy.onStatus.set(status - RetryPolicy::kFirstStatus);
}

bool readCause(const Call& call, JSValueConst value, RetryPolicy& policy) {
  if (JS_IsNumber(value)) {
    uint32_t status = 0;
    if (!readWhole(call, "retry.retryOn", value, RetryPolicy::kFirstStatus,
                   RetryPolicy::kLastStatus, status))
      return false;
    cover(policy, status, status);
    return true;
  }
  const js::Utf8 cause(call.ctx, value);
  if (!cause)
    return false;
  if (cause.view() == "reset") {
    policy.onReset = true;
  } else if (cause.view() == "timeout") {
    policy.onTimeout = true;
  } else if (cause.view() == "gateway-error") {
    cover(policy, 502, 504);
  } else if (cause.view() == "5xx") {
    cover(policy, 500, RetryPolicy::kLastStatus);
  } else {
    call.fail(ErrorCode::E_OPTION,
              {"retry.retryOn", "a list of reset, timeout, gateway-error, 5xx and statuses from 400 to 599"});
    return false;
  }
  return true;
}

bool readCauses(const Call& call, JSValueConst value, RetryPolicy& policy) {
  int64_t length = 0;
  if (!JS_IsArray(value)) {
    call.fail(ErrorCode::E_OPTION, {"retry.retryOn", "a list"});
    return false;
  }
  if (JS_GetLength(call.ctx, value, &length) < 0)
    return false;
  for (int64_t i = 0; i < length; ++i) {
    const js::Value cause(call.ctx, JS_GetPropertyInt64(call.ctx, value, i));
    if (cause.isException() || !readCause(call, cause.get(), policy))
      return false;
  }
  return true;
}

bool readMember(const Call& call, std::string_view name, JSValueConst value, RetryPolicy& policy) {
  const std::string path = "retry." + std::string(name);
  if (name == "numRetries")
    return readWhole(call, path, value, 0, kMaxRetries, policy.numRetries);
  if (name == "perTryTimeoutMs")
    return readWhole(call, path, value, 1, kMaxMs, policy.perTryTimeoutMs);
  if (name == "baseIntervalMs")
    return readWhole(call, path, value, 1, kMaxMs, policy.baseIntervalMs);
  if (name == "maxIntervalMs")
    return readWhole(call, path, value, 1, kMaxMs, policy.maxIntervalMs);
  if (name == "retryOn")
    return readCauses(call, value, policy);
  const int flag = JS_ToBool(call.ctx, value);
  policy.idempotent = flag > 0;
  return flag >= 0;
}

bool readPolicy(const Call& call, JSValueConst option, RetryPolicy& policy) {
  constexpr std::string_view kNames[] = {"numRetries",     "perTryTimeoutMs", "baseIntervalMs",
                                         "maxIntervalMs",  "retryOn",         "idempotent"};
  js::Value values[std::size(kNames)];
  if (!readMembers(call, option, "retry", kNames, values))
    return false;
  for (size_t i = 0; i < std::size(kNames); ++i) {
    if (!values[i].isUndefined() && !readMember(call, kNames[i], values[i].get(), policy))
      return false;
  }
  return true;
}

}  // namespace

bool readRetry(const Call& call, JSValueConst option, std::unique_ptr<RetryPolicy>& policy) {
  RetryPolicy read;
  if (JS_IsNumber(option)) {
    if (!readWhole(call, "retry", option, 0, kMaxRetries, read.numRetries))
      return false;
  } else if (!JS_IsObject(option)) {
    call.fail(ErrorCode::E_OPTION, {"retry", "a number or an object"});
    return false;
  } else if (!readPolicy(call, option, read)) {
    return false;
  }
  if (read.maxIntervalMs == 0) {
    read.maxIntervalMs = std::min(read.baseIntervalMs * 10, kMaxMs);
  } else if (read.maxIntervalMs < read.baseIntervalMs) {
    call.fail(ErrorCode::E_OPTION, {"retry.maxIntervalMs", "no less than baseIntervalMs"});
    return false;
  }
  if (!read.onReset && !read.onTimeout && read.onStatus.none()) {
    read.onReset = true;
    read.onTimeout = true;
    cover(read, 502, 504);
  }
  if (read.numRetries > 0)
    policy = std::make_unique<RetryPolicy>(read);
  return true;
}

uint64_t RetryPolicy::backOffNs(uint32_t made) const {
  const uint64_t longest =
      std::min(uint64_t{baseIntervalMs} << made, uint64_t{maxIntervalMs}) * kNsPerMs;
  uint64_t random = 0;
  // Where there is no chance the longest pause does no harm.
  if (!js::fillRandom({reinterpret_cast<uint8_t*>(&random), sizeof random}))
    return longest;
  return random % (longest + 1);
}

Retry::Retry(const RetryPolicy& policy, std::shared_ptr<RetryLoad> load, uint64_t deadlineNs)
    : policy_(policy), load_(std::move(load)), deadlineNs_(deadlineNs) {
  ++load_->calls;
}

Retry::~Retry() {
  --load_->calls;
  if (made_ > 0)
    --load_->retries;
}

bool Retry::mayBegin(uint64_t nowNs, uint64_t pauseNs) const {
  const uint32_t others = load_->retries - (made_ > 0 ? 1 : 0);
  return made_ < policy_.numRetries && nowNs + pauseNs < deadlineNs_ &&
         others < std::max(kMinRetries, load_->calls / kCallsPerRetry);
}

void Retry::begin() {
  if (made_++ == 0)
    ++load_->retries;
}

// --- The stream's side ---

std::optional<uint64_t> Stream::pauseBeforeRetry(const Fetch& fetch, std::string_view retryAfter) const {
  const Retry& retry = *fetch.retry;
  if (fetchesStarted_ >= maxFetches())
    return std::nullopt;
  uint64_t pauseNs = retry.policy().backOffNs(retry.made());
  uint64_t seconds = 0;
  const char* end = retryAfter.data() + retryAfter.size();
  if (!retryAfter.empty() && std::from_chars(retryAfter.data(), end, seconds).ptr == end) {
    const uint64_t ms = std::min(seconds, uint64_t{kMaxMs} / 1000) * 1000;
    pauseNs = std::max(pauseNs, std::min(ms, uint64_t{retry.policy().maxIntervalMs}) * kNsPerMs);
  }
  return retry.mayBegin(host::monotonicNs(), pauseNs) ? std::optional(pauseNs) : std::nullopt;
}

void Stream::pauseFetch(Fetch& fetch, uint64_t pauseNs) {
  ++fetchesStarted_;
  fetch.retry->begin();
  fetch.state = Fetch::State::Paused;
  fetch.answer.reset();
  fetch.response.reset();
  finishFetchSpan(fetch);
  startTryTimer(fetch, static_cast<double>(pauseNs) / kNsPerMs);
  // Resets what there is of the try.
  runtime_->recordAction(*this);
}

void Stream::startTryTimer(Fetch& fetch, double ms) {
  std::erase_if(rare().timers, [&](const Timer& timer) { return timer.id == fetch.retry->timerId; });
  const Call call{runtime_->ctx(), *runtime_, "fetch", JS_UNDEFINED};
  fetch.retry->timerId = addTimer(call, ms, {}, {}, fetch.id);
}

void Stream::endRetries(Fetch& fetch) {
  if (fetch.retry == nullptr)
    return;
  std::erase_if(rare().timers, [&](const Timer& timer) { return timer.id == fetch.retry->timerId; });
  fetch.retry.reset();
}

void Stream::onTryTimer(Fetch& fetch) {
  fetch.retry->timerId = 0;
  if (fetch.state == Fetch::State::Paused) {
    fetch.state = Fetch::State::Recorded;
    runtime_->recordAction(*this);
    return;
  }
  tagFailure(fetch, ErrorCode::E_FETCH_TIMEOUT);
  const auto pauseNs = fetch.retry->policy().onTimeout ? pauseBeforeRetry(fetch, {}) : std::nullopt;
  if (pauseNs)
    pauseFetch(fetch, *pauseNs);
  else
    failOnTime(fetch, fetch.retry->policy().perTryTimeoutMs);
}

}  // namespace fairlead
