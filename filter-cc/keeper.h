// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The one thread of our own: it wakes streams at their time, for Envoy gives a filter no timers.
//
// Thread: any, unless said otherwise. The thread starts with the first deadline, blocks all signals,
// and ends with the process; the Keeper is never destroyed.

#pragma once

#include <pthread.h>

#include <cstdint>
#include <set>
#include <utility>

namespace fairlead {

class Keeper {
public:
  /** Posts a wake to the stream's worker. Called with the Keeper's lock held: it must not block. */
  using Wake = void (*)(void* target);

  /** A stream's place. Owner: the stream. Requires: clear() before it goes. */
  class Entry {
  public:
    Entry(Wake wake, void* target) : wake_(wake), target_(target) {}

  private:
    friend class Keeper;
    const Wake wake_;
    void* const target_;
    uint64_t deadlineNs_ = 0;
  };

  static Keeper& instance();

  /** Wakes once at or soon after `deadlineNs` (CLOCK_MONOTONIC), instead of any earlier deadline. */
  void set(Entry& entry, uint64_t deadlineNs);
  /** After this no wake of the entry is under way or will come. */
  void clear(Entry& entry);

private:
  Keeper();
  static void* threadMain(void* keeper);
  void start();
  void run();

  pthread_mutex_t mutex_;
  pthread_cond_t changed_;
  bool started_ = false;
  std::set<std::pair<uint64_t, Entry*>> due_;
};

}  // namespace fairlead
