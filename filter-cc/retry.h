// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// When a fetch is made anew, in the words of Envoy's retry policy, and how many may be at a time.
//
// Thread: the worker of the Runtime.

#pragma once

#include <bitset>
#include <cstdint>
#include <memory>

#include "filter-cc/bind.h"

namespace fairlead {

/** The option `retry` of a fetch. */
struct RetryPolicy {
  static constexpr uint32_t kFirstStatus = 400;
  static constexpr uint32_t kLastStatus = 599;

  uint32_t numRetries = 0;
  /** 0: as long as the whole call. */
  uint32_t perTryTimeoutMs = 0;
  uint32_t baseIntervalMs = 25;
  /** 0: ten times baseIntervalMs. */
  uint32_t maxIntervalMs = 0;
  bool idempotent = false;
  // The causes.
  bool onReset = false;
  bool onTimeout = false;
  std::bitset<kLastStatus - kFirstStatus + 1> onStatus;

  bool covers(uint32_t status) const {
    return status >= kFirstStatus && status <= kLastStatus && onStatus[status - kFirstStatus];
  }
  /** How long to wait before retry number `made`, from 0: of a range that doubles, any time. */
  uint64_t backOffNs(uint32_t made) const;
};

/** Reads the option; `policy` stays empty where nothing is to be retried. False: an exception is pending. */
bool readRetry(const Call& call, JSValueConst option, std::unique_ptr<RetryPolicy>& policy);

/** The calls to one cluster in one Runtime that may be retried, and those that are a retry now. */
struct RetryLoad {
  uint32_t calls = 0;
  uint32_t retries = 0;
};

/** A call's retries. */
class Retry {
public:
  Retry(const RetryPolicy& policy, std::shared_ptr<RetryLoad> load, uint64_t deadlineNs);
  ~Retry();
  Retry(const Retry&) = delete;
  Retry& operator=(const Retry&) = delete;

  const RetryPolicy& policy() const { return policy_; }
  /** Whether one more can begin after a pause, within the policy, the call's time and the load. */
  bool mayBegin(uint64_t nowNs, uint64_t pauseNs) const;
  void begin();
  uint32_t made() const { return made_; }

  /** The timer of the present try, or of the pause before it; 0: none. */
  uint32_t timerId = 0;

private:
  const RetryPolicy policy_;
  const std::shared_ptr<RetryLoad> load_;
  const uint64_t deadlineNs_;
  uint32_t made_ = 0;
};

}  // namespace fairlead
