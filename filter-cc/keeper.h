// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The one thread of our own: it wakes streams at their time, for Envoy gives a filter no timers, and
// those who wait for a file when that has changed.
//
// Thread: any, unless said otherwise. The thread starts with the first deadline or file, blocks all
// signals, and ends with the process; the Keeper is never destroyed.

#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "filter-cc/host.h"
#include "filter-cc/shared.h"

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

  /** A file that somebody waits for. Owner: who that is. Requires: unwatch() before it goes. */
  class Watch {
  public:
    Watch(Wake wake, void* target) : wake_(wake), target_(target) {}

  private:
    friend class Keeper;
    const Wake wake_;
    void* const target_;
    FileNews news_;
    /** A wake is under way that nobody has answered with a look. */
    bool told_ = false;
  };

  static Keeper& instance();

  /** Wakes once at or soon after `deadlineNs` (CLOCK_MONOTONIC), instead of any earlier deadline. */
  void set(Entry& entry, uint64_t deadlineNs);
  /** After this no wake of the entry is under way or will come. */
  void clear(Entry& entry);

  /**
   * Wakes when the file at `path` may have changed, instead of any other file. What can be seen is what
   * happens in the folder of the path, and in that of the file it leads to.
   */
  void watch(Watch& watch, const std::string& path);
  /** What has been seen since the last look. */
  FileNews look(Watch& watch);
  /** Calls `work` once a second from now on, on its thread; only the first call counts. */
  void eachSecond(void (*work)());
  /** After this no wake of the watch is under way or will come. */
  void unwatch(Watch& watch);

private:
  /** Who waits for a name in a folder. */
  struct Watcher {
    Watch* watch;
    std::string name;
  };
  Keeper() = default;
  static void* threadMain(void* keeper);
  void start();
  void interrupt();
  [[noreturn]] void run();
  /** Wakes what is due; gives the next deadline, 0 when there is none. */
  uint64_t wakeDue();
  /** Does what is due once a second, without the lock; gives when it is due next, 0 when there is nothing to do. */
  uint64_t workDue();
  void readFileEvents();
  void onFileEvent(int folder, uint32_t mask, std::string_view name);
  static void tell(Watch& watch);
  void forget(const Watch& watch);
  /** Stops looking at folders that nobody waits for any more. */
  void closeFolders();

  Mutex mutex_;
  bool started_ = false;
  /** Counts what run() has to look at anew. */
  int interrupts_ = -1;
  /** The kernel's file events; below 0: it gives us none. */
  int fileEvents_ = -1;
  void (*work_)() = nullptr;
  uint64_t workNs_ = 0;
  std::set<std::pair<uint64_t, Entry*>> due_;
  /** By the kernel's number of the folder. */
  std::map<int, std::vector<Watcher>> folders_;
};

}  // namespace fairlead
