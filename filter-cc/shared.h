// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What the streams of one filter name share: one store for all workers, which survives reloads.
//
// Thread: any. A store is cut into shards. Who reads one, or steps a number in it, takes that lock of
// the shard which belongs to its thread, and so writes nothing that other threads look at; who
// changes one takes all of its locks. No script runs and no value is converted under a lock.

#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#if !defined(__wasi__)
#include <mutex>
#endif

namespace fairlead {

#if defined(__wasi__)
/** WebAssembly has one thread, and its library no locks. */
struct Mutex {
  void lock() {}
  void unlock() {}
};
#else
using Mutex = std::mutex;
#endif

/** Holds a Mutex to the end of the scope. */
class Lock {
public:
  explicit Lock(Mutex& mutex) : mutex_(mutex) { mutex_.lock(); }
  ~Lock() { mutex_.unlock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

private:
  Mutex& mutex_;
};

/** A value of a script, outside of every heap. */
struct SharedValue {
  enum class Kind : uint8_t { Number, String, Bytes, Json };
  Kind kind = Kind::Number;
  double number = 0;
  /** Of all but Number: UTF-8, bytes, or JSON text. */
  std::string payload;

  static SharedValue of(double number) { return {Kind::Number, number, {}}; }
  static SharedValue of(Kind kind, std::string_view payload) {
    return {kind, 0, std::string(payload)};
  }
  /** The same kind and the same content; NaN is equal to itself. */
  bool operator==(const SharedValue& other) const;
};

class SharedStore {
public:
  /** The store of that filter name, new when nobody holds it any more. */
  static std::shared_ptr<SharedStore> of(const std::string& filterName);

  /** For as many threads that use it often; more take turns. */
  explicit SharedStore(size_t threads);
  SharedStore(const SharedStore&) = delete;
  SharedStore& operator=(const SharedStore&) = delete;

  /** Room for keys, values and kEntryBytes each; what was used longest ago goes when it is smaller. */
  void setLimit(size_t limitBytes);

  std::optional<SharedValue> get(std::string_view key);
  /** False: it alone is larger than the store. A `ttlNs` of 0 keeps it. */
  [[nodiscard]] bool set(std::string_view key, SharedValue value, uint64_t ttlNs);
  /** Whether there was one. */
  bool erase(std::string_view key);

  enum class Incr : uint8_t { Done, NotANumber, TooLarge };
  /** Adds to a number, or puts one there that lives for `ttlNs`; an older one keeps its time. */
  [[nodiscard]] Incr incr(std::string_view key, double by, uint64_t ttlNs, double& sum);

  enum class Cas : uint8_t { Done, Different, TooLarge };
  /** Sets `value` if `expected` is there; nothing stands for no value, on both sides. */
  [[nodiscard]] Cas cas(std::string_view key, const std::optional<SharedValue>& expected,
                        std::optional<SharedValue> value, uint64_t ttlNs);

  /** All that begin with `prefix`, in order. */
  std::vector<std::string> keys(std::string_view prefix);

  /** What it has room for in use, never more than the limit. */
  size_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  /** What has happened since the last call. */
  struct Counts {
    uint64_t hits;
    uint64_t misses;
    /** Values that went before their time for others. */
    uint64_t evictions;
  };
  Counts takeCounts();

  /** What an entry takes beside its key and its value. */
  static constexpr size_t kEntryBytes = 160;

private:
  struct Entry {
    std::string key;
    SharedValue value;
    /** 0: never. */
    uint64_t expiresNs;
    /** See age_. Readers set it, so that it is read and written as an atomic. */
    uint64_t usedAt;
    /** What `usedAt` was when the entry took its place in the list. */
    uint64_t listedAt;
  };
  using Entries = std::list<Entry>;

  static constexpr size_t kMaxStripes = 8;
  struct alignas(64) Stripe {
    Mutex mutex;
    uint64_t hits = 0;
    uint64_t misses = 0;
  };
  struct Shard {
    /** One lock for each thread; those of threads that there are not stay unused. */
    std::array<Stripe, kMaxStripes> stripes;
    /** Begins with what was listed last; what has been used since moves when it is to be evicted. */
    Entries entries;
    /** Its keys are those of the entries. */
    std::unordered_map<std::string_view, Entries::iterator> byKey;
    uint64_t evictions = 0;
  };
  class ReadLock;
  class WriteLock;

  Shard& shardOf(std::string_view key);
  static bool isOver(const Entry& entry);
  /** Null: there is none, or its time is over. Requires: a lock. */
  static Entry* find(Shard& shard, std::string_view key);
  void touch(Entry& entry) const;
  // Requires: a WriteLock.
  /** find(), which also removes an entry whose time is over. */
  Entry* take(Shard& shard, std::string_view key);
  void remove(Shard& shard, Entries::iterator entry);
  bool reserve(size_t bytes, size_t instead);
  /** Makes room in one of the shards. Requires: no lock is held. */
  bool evictOldest();
  /**
   * Runs `change` under the key's lock until it is content with the room that there is; between two
   * attempts something is evicted, as long as there is anything.
   */
  template <class Change> void withRoom(std::string_view key, Change&& change);
  /** Puts `value`, or nothing, in the place of what is there, if that fits. */
  template <class Fits>
  Cas replace(std::string_view key, std::optional<SharedValue> value, uint64_t ttlNs, Fits&& fits);
  void put(Shard& shard, std::string_view key, Entry* old, SharedValue& value, uint64_t expiresNs);

  std::span<Stripe> stripesOf(Shard& shard) const { return {shard.stripes.data(), stripeCount_}; }

  static constexpr size_t kShards = 8;
  const size_t stripeCount_;
  std::array<Shard, kShards> shards_;
  std::atomic<size_t> bytes_{0};
  std::atomic<size_t> limitBytes_{0};
  /** Steps by two with each new entry, so that what was used in between can be told without a clock. */
  std::atomic<uint64_t> age_{0};
};

}  // namespace fairlead
