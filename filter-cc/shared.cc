// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/shared.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <map>
#include <utility>

#include "filter-cc/host.h"

namespace fairlead {
namespace {

size_t sizeOf(std::string_view key, const SharedValue& value) {
  return SharedStore::kEntryBytes + key.size() + value.payload.size();
}

uint64_t expiryOf(uint64_t ttlNs) { return ttlNs == 0 ? 0 : host::monotonicNs() + ttlNs; }

/** Readers meet it; what they do at once comes in no order. */
template <class Value> std::atomic_ref<Value> atomic(Value& value) {
  return std::atomic_ref<Value>(value);
}

}  // namespace

/** Lets nobody change a shard. */
class SharedStore::ReadLock {
public:
  explicit ReadLock(std::span<Stripe> stripes) : stripe_(stripes[thisThread() % stripes.size()]) {
    stripe_.mutex.lock();
  }
  ~ReadLock() { stripe_.mutex.unlock(); }
  ReadLock(const ReadLock&) = delete;
  ReadLock& operator=(const ReadLock&) = delete;

  Stripe& stripe() const { return stripe_; }

private:
  static size_t thisThread() {
    static std::atomic<size_t> threads{0};
    thread_local const size_t number = threads.fetch_add(1, std::memory_order_relaxed);
    return number;
  }

  Stripe& stripe_;
};

/** Lets nobody else look at a shard. */
class SharedStore::WriteLock {
public:
  explicit WriteLock(std::span<Stripe> stripes) : stripes_(stripes) {
    for (Stripe& stripe : stripes_)
      stripe.mutex.lock();
  }
  ~WriteLock() {
    for (Stripe& stripe : stripes_)
      stripe.mutex.unlock();
  }
  WriteLock(const WriteLock&) = delete;
  WriteLock& operator=(const WriteLock&) = delete;

private:
  const std::span<Stripe> stripes_;
};

bool SharedValue::operator==(const SharedValue& other) const {
  if (kind != other.kind)
    return false;
  if (kind == Kind::Number)
    return number == other.number || (std::isnan(number) && std::isnan(other.number));
  return payload == other.payload;
}

SharedStore::SharedStore(size_t threads)
    : stripeCount_(std::clamp<size_t>(threads, 1, kMaxStripes)) {}

std::shared_ptr<SharedStore> SharedStore::of(const std::string& filterName) {
  // Never destroyed: at process exit nothing of ours is. Thread: main.
  static auto& stores = *new std::map<std::string, std::weak_ptr<SharedStore>>();
  std::erase_if(stores, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<SharedStore>& known = stores[filterName];
  std::shared_ptr<SharedStore> store = known.lock();
  if (store == nullptr) {
    store = std::make_shared<SharedStore>(host::concurrency());
    known = store;
  }
  return store;
}

SharedStore::Shard& SharedStore::shardOf(std::string_view key) {
  // Not the low bits: the shard's own table goes by those.
  constexpr int kShift = sizeof(size_t) * 8 - 3;
  static_assert(size_t{1} << 3 == kShards);
  const size_t hash = std::hash<std::string_view>()(key) * static_cast<size_t>(0x9E3779B97F4A7C15);
  return shards_[hash >> kShift];
}

bool SharedStore::isOver(const Entry& entry) {
  return entry.expiresNs != 0 && entry.expiresNs <= host::monotonicNs();
}

SharedStore::Entry* SharedStore::find(Shard& shard, std::string_view key) {
  const auto found = shard.byKey.find(key);
  if (found == shard.byKey.end())
    return nullptr;
  return isOver(*found->second) ? nullptr : &*found->second;
}

SharedStore::Entry* SharedStore::take(Shard& shard, std::string_view key) {
  const auto found = shard.byKey.find(key);
  if (found == shard.byKey.end())
    return nullptr;
  Entry* entry = find(shard, key);
  if (entry == nullptr)
    remove(shard, found->second);
  return entry;
}

void SharedStore::touch(Entry& entry) const {
  const uint64_t now = age_.load(std::memory_order_relaxed) + 1;
  // As long as nothing new comes, what is read again and again is not written.
  if (atomic(entry.usedAt).load(std::memory_order_relaxed) != now)
    atomic(entry.usedAt).store(now, std::memory_order_relaxed);
}

void SharedStore::remove(Shard& shard, Entries::iterator entry) {
  bytes_.fetch_sub(sizeOf(entry->key, entry->value), std::memory_order_relaxed);
  shard.byKey.erase(entry->key);
  shard.entries.erase(entry);
}

bool SharedStore::reserve(size_t bytes, size_t instead) {
  if (bytes <= instead) {
    if (bytes < instead)
      bytes_.fetch_sub(instead - bytes, std::memory_order_relaxed);
    return true;
  }
  const size_t more = bytes - instead;
  size_t used = bytes_.load(std::memory_order_relaxed);
  do {
    if (more > limitBytes_.load(std::memory_order_relaxed) ||
        used > limitBytes_.load(std::memory_order_relaxed) - more)
      return false;
  } while (!bytes_.compare_exchange_weak(used, used + more, std::memory_order_relaxed));
  return true;
}

bool SharedStore::evictOldest() {
  Shard* oldest = nullptr;
  uint64_t usedAt = UINT64_MAX;
  for (Shard& shard : shards_) {
    const WriteLock lock(stripesOf(shard));
    Entries& entries = shard.entries;
    // Each use moves an entry once at most.
    while (!entries.empty() && entries.back().usedAt != entries.back().listedAt) {
      entries.back().listedAt = entries.back().usedAt;
      entries.splice(entries.begin(), entries, std::prev(entries.end()));
    }
    if (!entries.empty() && entries.back().usedAt < usedAt) {
      oldest = &shard;
      usedAt = entries.back().usedAt;
    }
  }
  if (oldest == nullptr)
    return false;
  // Others may have been here meanwhile: then its oldest is a newer one, or there is none.
  const WriteLock lock(stripesOf(*oldest));
  if (!oldest->entries.empty()) {
    const auto last = std::prev(oldest->entries.end());
    oldest->evictions += isOver(*last) ? 0 : 1;
    remove(*oldest, last);
  }
  return true;
}

void SharedStore::setLimit(size_t limitBytes) {
  limitBytes_.store(limitBytes, std::memory_order_relaxed);
  while (bytes() > limitBytes && evictOldest()) {
  }
}

template <class Change> void SharedStore::withRoom(std::string_view key, Change&& change) {
  Shard& shard = shardOf(key);
  do {
    const WriteLock lock(stripesOf(shard));
    if (change(shard))
      return;
  } while (evictOldest());
}

void SharedStore::put(Shard& shard, std::string_view key, Entry* old, SharedValue& value,
                      uint64_t expiresNs) {
  if (old != nullptr) {
    // What was there is freed by the caller, without the lock.
    std::swap(old->value, value);
    old->expiresNs = expiresNs;
    touch(*old);
    return;
  }
  const uint64_t now = age_.fetch_add(2, std::memory_order_relaxed) + 2;
  shard.entries.push_front({std::string(key), std::move(value), expiresNs, now, now});
  shard.byKey.emplace(shard.entries.front().key, shard.entries.begin());
}

std::optional<SharedValue> SharedStore::get(std::string_view key) {
  Shard& shard = shardOf(key);
  const ReadLock lock(stripesOf(shard));
  Entry* entry = find(shard, key);
  if (entry == nullptr) {
    ++lock.stripe().misses;
    return std::nullopt;
  }
  ++lock.stripe().hits;
  touch(*entry);
  const SharedValue& value = entry->value;
  return SharedValue{value.kind, atomic(entry->value.number).load(std::memory_order_relaxed),
                     value.payload};
}

template <class Fits>
SharedStore::Cas SharedStore::replace(std::string_view key, std::optional<SharedValue> value,
                                      uint64_t ttlNs, Fits&& fits) {
  const size_t bytes = value ? sizeOf(key, *value) : 0;
  if (bytes > limitBytes_.load(std::memory_order_relaxed))
    return Cas::TooLarge;
  const uint64_t expiresNs = expiryOf(ttlNs);
  Cas result = Cas::TooLarge;
  withRoom(key, [&](Shard& shard) {
    Entry* old = take(shard, key);
    if (!fits(old == nullptr ? nullptr : &old->value)) {
      result = Cas::Different;
      return true;
    }
    if (value && !reserve(bytes, old == nullptr ? 0 : sizeOf(key, old->value)))
      return false;
    if (value)
      put(shard, key, old, *value, expiresNs);
    else if (old != nullptr)
      remove(shard, shard.byKey.find(key)->second);
    result = Cas::Done;
    return true;
  });
  return result;
}

bool SharedStore::set(std::string_view key, SharedValue value, uint64_t ttlNs) {
  return replace(key, std::move(value), ttlNs, [](const SharedValue*) { return true; }) ==
         Cas::Done;
}

SharedStore::Cas SharedStore::cas(std::string_view key, const std::optional<SharedValue>& expected,
                                  std::optional<SharedValue> value, uint64_t ttlNs) {
  return replace(key, std::move(value), ttlNs, [&](const SharedValue* there) {
    return there == nullptr ? !expected : expected && *there == *expected;
  });
}

bool SharedStore::erase(std::string_view key) {
  Shard& shard = shardOf(key);
  const WriteLock lock(stripesOf(shard));
  if (take(shard, key) == nullptr)
    return false;
  remove(shard, shard.byKey.find(key)->second);
  return true;
}

SharedStore::Incr SharedStore::incr(std::string_view key, double by, uint64_t ttlNs, double& sum) {
  const auto step = [&](Entry& entry) {
    if (entry.value.kind != SharedValue::Kind::Number)
      return Incr::NotANumber;
    touch(entry);
    sum = atomic(entry.value.number).fetch_add(by, std::memory_order_relaxed) + by;
    return Incr::Done;
  };
  Shard& shard = shardOf(key);
  {
    const ReadLock lock(stripesOf(shard));
    if (Entry* entry = find(shard, key))
      return step(*entry);
  }
  SharedValue first = SharedValue::of(by);
  const size_t bytes = sizeOf(key, first);
  if (bytes > limitBytes_.load(std::memory_order_relaxed))
    return Incr::TooLarge;
  Incr result = Incr::TooLarge;
  withRoom(key, [&](Shard&) {
    if (Entry* entry = take(shard, key)) {
      result = step(*entry);
      return true;
    }
    if (!reserve(bytes, 0))
      return false;
    put(shard, key, nullptr, first, expiryOf(ttlNs));
    sum = by;
    result = Incr::Done;
    return true;
  });
  return result;
}

std::vector<std::string> SharedStore::keys(std::string_view prefix) {
  std::vector<std::string> found;
  const uint64_t nowNs = host::monotonicNs();
  for (Shard& shard : shards_) {
    const WriteLock lock(stripesOf(shard));
    for (auto entry = shard.entries.begin(); entry != shard.entries.end();) {
      const auto next = std::next(entry);
      if (entry->expiresNs != 0 && entry->expiresNs <= nowNs)
        remove(shard, entry);
      else if (entry->key.starts_with(prefix))
        found.push_back(entry->key);
      entry = next;
    }
  }
  std::sort(found.begin(), found.end());
  return found;
}

SharedStore::Counts SharedStore::takeCounts() {
  Counts counts{};
  for (Shard& shard : shards_) {
    const WriteLock lock(stripesOf(shard));
    for (Stripe& stripe : stripesOf(shard)) {
      counts.hits += std::exchange(stripe.hits, 0);
      counts.misses += std::exchange(stripe.misses, 0);
    }
    counts.evictions += std::exchange(shard.evictions, 0);
  }
  return counts;
}

}  // namespace fairlead
