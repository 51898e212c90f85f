// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/shared.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "filter-cc/host.h"

namespace fairlead {
namespace {

class Lock {
public:
  explicit Lock(Mutex& mutex) : mutex_(mutex) { mutex_.lock(); }
  ~Lock() { mutex_.unlock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

private:
  Mutex& mutex_;
};

size_t sizeOf(std::string_view key, const SharedValue& value) {
  return SharedStore::kEntryBytes + key.size() +
         (value.payload == nullptr ? 0 : value.payload->size());
}

uint64_t expiryOf(uint64_t ttlNs) { return ttlNs == 0 ? 0 : host::monotonicNs() + ttlNs; }

}  // namespace

bool SharedValue::operator==(const SharedValue& other) const {
  if (kind != other.kind)
    return false;
  if (kind == Kind::Number)
    return number == other.number || (std::isnan(number) && std::isnan(other.number));
  return *payload == *other.payload;
}

std::shared_ptr<SharedStore> SharedStore::of(const std::string& filterName) {
  // Never destroyed: at process exit nothing of ours is. Thread: main.
  static auto& stores = *new std::map<std::string, std::weak_ptr<SharedStore>>();
  std::erase_if(stores, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<SharedStore>& known = stores[filterName];
  std::shared_ptr<SharedStore> store = known.lock();
  if (store == nullptr) {
    store = std::make_shared<SharedStore>();
    known = store;
  }
  return store;
}

SharedStore::Shard& SharedStore::shardOf(std::string_view key) {
  // Not the low bits: the shard's own table goes by those.
  constexpr int kShift = sizeof(size_t) * 8 - 4;
  static_assert(size_t{1} << 4 == kShards);
  const size_t hash = std::hash<std::string_view>()(key) * static_cast<size_t>(0x9E3779B97F4A7C15);
  return shards_[hash >> kShift];
}

SharedStore::Entries::iterator SharedStore::find(Shard& shard, std::string_view key) {
  const auto found = shard.byKey.find(key);
  if (found == shard.byKey.end())
    return shard.entries.end();
  const auto entry = found->second;
  if (entry->expiresNs != 0 && entry->expiresNs <= host::monotonicNs()) {
    remove(shard, entry);
    return shard.entries.end();
  }
  entry->usedAt = age_.load(std::memory_order_relaxed);
  shard.entries.splice(shard.entries.begin(), shard.entries, entry);
  return entry;
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
    const Lock lock(shard.mutex);
    if (!shard.entries.empty() && shard.entries.back().usedAt < usedAt) {
      oldest = &shard;
      usedAt = shard.entries.back().usedAt;
    }
  }
  if (oldest == nullptr)
    return false;
  // Others may have been here meanwhile: then its oldest is a newer one, or there is none.
  const Lock lock(oldest->mutex);
  if (!oldest->entries.empty()) {
    remove(*oldest, std::prev(oldest->entries.end()));
    ++oldest->evictions;
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
    const Lock lock(shard.mutex);
    if (change(shard))
      return;
  } while (evictOldest());
}

void SharedStore::put(Shard& shard, std::string_view key, Entries::iterator old, SharedValue value,
                      uint64_t expiresNs) {
  const uint64_t usedAt = age_.fetch_add(1, std::memory_order_relaxed) + 1;
  if (old != shard.entries.end()) {
    old->value = std::move(value);
    old->expiresNs = expiresNs;
    old->usedAt = usedAt;
    return;
  }
  shard.entries.push_front({std::string(key), std::move(value), expiresNs, usedAt});
  shard.byKey.emplace(shard.entries.front().key, shard.entries.begin());
}

std::optional<SharedValue> SharedStore::get(std::string_view key) {
  Shard& shard = shardOf(key);
  const Lock lock(shard.mutex);
  const auto entry = find(shard, key);
  if (entry == shard.entries.end()) {
    ++shard.misses;
    return std::nullopt;
  }
  ++shard.hits;
  return entry->value;
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
    const auto old = find(shard, key);
    const bool isThere = old != shard.entries.end();
    if (!fits(isThere ? &old->value : nullptr)) {
      result = Cas::Different;
      return true;
    }
    if (value && !reserve(bytes, isThere ? sizeOf(key, old->value) : 0))
      return false;
    if (value)
      put(shard, key, old, *std::move(value), expiresNs);
    else if (isThere)
      remove(shard, old);
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
  const Lock lock(shard.mutex);
  const auto entry = find(shard, key);
  if (entry == shard.entries.end())
    return false;
  remove(shard, entry);
  return true;
}


SharedStore::Incr SharedStore::incr(std::string_view key, double by, uint64_t ttlNs, double& sum) {
  const SharedValue first = SharedValue::of(by);
  if (sizeOf(key, first) > limitBytes_.load(std::memory_order_relaxed))
    return Incr::TooLarge;
  Incr result = Incr::TooLarge;
  withRoom(key, [&](Shard& shard) {
    const auto entry = find(shard, key);
    if (entry == shard.entries.end()) {
      if (!reserve(sizeOf(key, first), 0))
        return false;
      put(shard, key, entry, first, expiryOf(ttlNs));
      sum = by;
    } else if (entry->value.kind != SharedValue::Kind::Number) {
      result = Incr::NotANumber;
      return true;
    } else {
      sum = entry->value.number += by;
    }
    result = Incr::Done;
    return true;
  });
  return result;
}

std::vector<std::string> SharedStore::keys(std::string_view prefix) {
  std::vector<std::string> found;
  const uint64_t nowNs = host::monotonicNs();
  for (Shard& shard : shards_) {
    const Lock lock(shard.mutex);
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
    const Lock lock(shard.mutex);
    counts.hits += std::exchange(shard.hits, 0);
    counts.misses += std::exchange(shard.misses, 0);
    counts.evictions += std::exchange(shard.evictions, 0);
  }
  return counts;
}

}  // namespace fairlead
