// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/retry.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
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

std::optional<uint32_t> numberOf(std::string_view text) {
  uint32_t number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && rest == end ? std::optional(number) : std::nullopt;
}

/** An HTTP date in any of the three forms that RFC 9110 has a recipient know, as seconds since 1970. */
std::optional<int64_t> parseHttpDate(std::string_view text) {
  constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
  constexpr size_t kMaxWords = 8;
  std::array<std::string_view, kMaxWords + 1> words;
  size_t count = 0;
  while (!text.empty() && count < words.size()) {
    const size_t end = std::min(text.find_first_of(" ,-:"), text.size());
    if (end > 0)
      words[count++] = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  // `Sun, 06 Nov 1994 08:49:37 GMT` and `Sunday, 06-Nov-94 08:49:37 GMT`, or `Sun Nov  6 08:49:37 1994`.
  const bool isUnix = count == kMaxWords - 1;
  if (!isUnix && (count != kMaxWords || words[7] != "GMT"))
    return std::nullopt;
  const std::string_view monthName = words[isUnix ? 1 : 2];
  const size_t month = monthName.size() == 3 ? kMonths.find(monthName) : std::string_view::npos;
  std::array<uint32_t, 5> numbers{};
  const size_t places[] = {isUnix ? 2U : 1U, isUnix ? 6U : 3U, isUnix ? 3U : 4U, isUnix ? 4U : 5U,
                           isUnix ? 5U : 6U};
  for (size_t i = 0; i < numbers.size(); ++i) {
    const std::optional<uint32_t> number = numberOf(words[places[i]]);
    if (!number)
      return std::nullopt;
    numbers[i] = *number;
  }
  auto [day, year, hour, minute, second] = numbers;
  // Two digits are of the years from 1970 on.
  if (year < 100)
    year += year < 70 ? 2000 : 1900;
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(year)),
                                         std::chrono::month(static_cast<unsigned>(month / 3 + 1)),
                                         std::chrono::day(day)};
  if (month == std::string_view::npos || month % 3 != 0 || year > 9999 || !date.ok() || hour > 23 || minute > 59 || second > 60)
    return std::nullopt;
  constexpr int64_t kSecondsPerDay = 86'400;
  return std::chrono::sys_days(date).time_since_epoch().count() * kSecondsPerDay +
         int64_t{hour} * 3600 + int64_t{minute} * 60 + second;
}

/** How long `retry-after` asks to wait, in seconds or until a date; nothing where it says neither. */
std::optional<uint64_t> retryAfterMs(std::string_view value) {
  constexpr int64_t kMsPerSecond = 1000;
  constexpr uint32_t kMaxSeconds = kMaxMs / kMsPerSecond;
  if (!value.empty() && value.find_first_not_of("0123456789") == std::string_view::npos)
    return uint64_t{std::min(numberOf(value).value_or(kMaxSeconds), kMaxSeconds)} * kMsPerSecond;
  const std::optional<int64_t> date = parseHttpDate(value);
  if (!date)
    return std::nullopt;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const int64_t nowMs = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  return static_cast<uint64_t>(std::clamp<int64_t>(*date * kMsPerSecond - nowMs, 0, kMaxMs));
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
  if (const std::optional<uint64_t> ms = retryAfterMs(retryAfter))
    pauseNs = std::max(pauseNs, std::min(*ms, uint64_t{retry.policy().maxIntervalMs}) * kNsPerMs);
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
