// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What `once` keeps: values that the streams of one Runtime share, each made by one of them while the
// others wait.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "filter-cc/bind.h"

namespace fairlead {

/** Keys with a value; beyond, the one that would go stale first is forgotten. */
inline constexpr size_t kMaxOnceKeys = 1000;

/**
 * One entry a key: a value that is still fresh, or the streams that wait for it in their order. The
 * first of those makes it; when that one leaves, the next does.
 */
class OnceTable {
public:
  /** A promise of the value under `key`; calls `make` when nobody else is making it. */
  js::Value ask(const Call& call, Stream& stream, std::string_view key, double ttlMs,
                JSValueConst make);
  /**
   * The stream waits no more: its promises reject with `reason`, or stay pending when that is
   * undefined. A value that it was making is made by the next in line, in a job of that stream.
   */
  void leave(JSContext* ctx, uint64_t streamId, JSValueConst reason);
  /** `value` has come of a call of `make`, the `flight`th of all; where rejected it is the reason. */
  void settle(JSContext* ctx, std::string_view key, uint64_t flight, JSValueConst value,
              bool rejected);
  /** Has the first in line make the value. False: the script was stopped, an exception is pending. */
  [[nodiscard]] bool start(JSContext* ctx, const std::string& key, uint64_t flight);

private:
  struct Waiter {
    uint64_t streamId;
    uint64_t ttlNs;
    js::Value promise;
    js::Value make;
  };
  struct Entry {
    js::Value value;
    uint64_t freshUntilNs = 0;
    /** Which call of `make` is under way; what an earlier one gives comes too late. */
    uint64_t flight = 0;
    std::vector<Waiter> waiters;
  };

  void makeRoom(uint64_t nowNs);

  std::map<std::string, Entry, std::less<>> entries_;
  uint64_t flights_ = 0;
};

}  // namespace fairlead
