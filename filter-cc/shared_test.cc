// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The store that streams share. What ThreadSanitizer sees in the tests with threads is half of their
// worth.

#include "filter-cc/shared.h"

#include <gtest/gtest.h>

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "filter-cc/host_fake.h"

namespace fairlead {
namespace {

using Kind = SharedValue::Kind;

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr size_t kLarge = size_t{1024} * 1024;

SharedValue text(std::string_view value) { return SharedValue::of(Kind::String, value); }

std::optional<std::string> read(SharedStore& store, std::string_view key) {
  const auto value = store.get(key);
  return value ? std::optional(value->payload) : std::nullopt;
}

/** Runs `body` on as many threads, all at once. */
template <class Body> void onThreads(int count, Body&& body) {
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([&, i] {
      ++ready;
      while (ready < count)
        std::this_thread::yield();
      body(i);
    });
  }
  for (std::thread& thread : threads)
    thread.join();
}

TEST(SharedStoreTest, KeepsWhatWasSetLast) {
  // F094
  SharedStore store(4);
  store.setLimit(kLarge);
  EXPECT_EQ(read(store, "a"), std::nullopt);
  EXPECT_TRUE(store.set("a", text("1"), 0));
  EXPECT_TRUE(store.set("a", text("2"), 0));
  EXPECT_TRUE(store.set("", text("empty"), 0));
  EXPECT_EQ(read(store, "a"), "2");
  EXPECT_EQ(read(store, ""), "empty");
  EXPECT_TRUE(store.erase("a"));
  EXPECT_FALSE(store.erase("a"));
  EXPECT_EQ(read(store, "a"), std::nullopt);
  const SharedStore::Counts counts = store.takeCounts();
  EXPECT_EQ(counts.hits, 2U);
  EXPECT_EQ(counts.misses, 2U);
  EXPECT_EQ(store.takeCounts().hits, 0U);
}

TEST(SharedStoreTest, ForgetsAValueWhenItsTimeIsOver) {
  // F094
  FakeEnvoy envoy;
  SharedStore store(4);
  store.setLimit(kLarge);
  EXPECT_TRUE(store.set("a", text("1"), 20 * kNsPerMs));
  EXPECT_TRUE(store.set("b", text("1"), 20 * kNsPerMs));
  envoy.advance(19);
  EXPECT_EQ(read(store, "a"), "1");
  EXPECT_EQ(store.keys(""), (std::vector<std::string>{"a", "b"}));
  envoy.advance(1);
  EXPECT_EQ(read(store, "a"), std::nullopt);
  EXPECT_EQ(store.keys(""), std::vector<std::string>());
  EXPECT_EQ(store.bytes(), 0U);
  // A value without a time takes the place of one that has one.
  EXPECT_TRUE(store.set("a", text("1"), 20 * kNsPerMs));
  EXPECT_TRUE(store.set("a", text("2"), 0));
  envoy.advance(100);
  EXPECT_EQ(read(store, "a"), "2");
}

TEST(SharedStoreTest, ANumberKeepsTheTimeItWasMadeWith) {
  // F094
  FakeEnvoy envoy;
  SharedStore store(4);
  store.setLimit(kLarge);
  double sum = 0;
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(store.incr("window", 1, 100 * kNsPerMs, sum), SharedStore::Incr::Done);
    EXPECT_EQ(sum, i);
    envoy.advance(30);
  }
  envoy.advance(10);
  EXPECT_EQ(store.incr("window", 1, 100 * kNsPerMs, sum), SharedStore::Incr::Done);
  EXPECT_EQ(sum, 1);
  EXPECT_TRUE(store.set("text", text("1"), 0));
  EXPECT_EQ(store.incr("text", 1, 0, sum), SharedStore::Incr::NotANumber);
  EXPECT_EQ(read(store, "text"), "1");
}

TEST(SharedStoreTest, SetsAValueOnlyInThePlaceOfTheExpectedOne) {
  // F094
  using Cas = SharedStore::Cas;
  SharedStore store(4);
  store.setLimit(kLarge);
  EXPECT_EQ(store.cas("a", text("1"), text("2"), 0), Cas::Different);
  EXPECT_EQ(store.cas("a", std::nullopt, text("1"), 0), Cas::Done);
  EXPECT_EQ(store.cas("a", std::nullopt, text("2"), 0), Cas::Different);
  EXPECT_EQ(store.cas("a", SharedValue::of(1), text("2"), 0), Cas::Different);
  EXPECT_EQ(store.cas("a", SharedValue::of(Kind::Json, "1"), text("2"), 0), Cas::Different);
  EXPECT_EQ(store.cas("a", text("1"), text("2"), 0), Cas::Done);
  EXPECT_EQ(read(store, "a"), "2");
  EXPECT_EQ(store.cas("a", text("1"), std::nullopt, 0), Cas::Different);
  EXPECT_EQ(store.cas("a", text("2"), std::nullopt, 0), Cas::Done);
  EXPECT_EQ(read(store, "a"), std::nullopt);
  EXPECT_EQ(store.bytes(), 0U);
}

TEST(SharedStoreTest, GivesTheKeysOfAPrefixInOrder) {
  // F094
  SharedStore store(4);
  store.setLimit(kLarge);
  for (const char* key : {"b2", "a", "b", "b1", "c"})
    EXPECT_TRUE(store.set(key, text(""), 0));
  EXPECT_EQ(store.keys("b"), (std::vector<std::string>{"b", "b1", "b2"}));
  EXPECT_EQ(store.keys("d"), std::vector<std::string>());
}

TEST(SharedStoreTest, WhatWasUsedLongestAgoMakesRoomForOthers) {
  // F094, F095
  SharedStore store(4);
  constexpr int kEntries = 50;
  constexpr size_t kEntry = SharedStore::kEntryBytes + 2 + 100;
  store.setLimit(kEntries * kEntry);
  const auto keyOf = [](int i) { return std::to_string(i + 100).substr(1); };
  const std::string value(100, 'x');
  for (int i = 0; i < kEntries; ++i)
    EXPECT_TRUE(store.set(keyOf(i), text(value), 0));
  EXPECT_EQ(store.bytes(), kEntries * kEntry);
  // All but the last ten are read again.
  for (int i = 0; i < kEntries - 10; ++i)
    EXPECT_TRUE(read(store, keyOf(i)));
  for (int i = 50; i < 60; ++i)
    EXPECT_TRUE(store.set(keyOf(i), text(value), 0));
  for (int i = 0; i < 60; ++i)
    EXPECT_EQ(read(store, keyOf(i)).has_value(), i < 40 || i >= 50) << i;
  EXPECT_EQ(store.bytes(), kEntries * kEntry);
  EXPECT_EQ(store.takeCounts().evictions, 10U);
  // A larger value needs the room of several; too large a one leaves all as it is.
  EXPECT_FALSE(store.set("large", text(std::string(kEntries * kEntry, 'x')), 0));
  EXPECT_EQ(store.takeCounts().evictions, 0U);
  EXPECT_TRUE(store.set("large", text(std::string(3 * kEntry - SharedStore::kEntryBytes - 5, 'x')), 0));
  EXPECT_EQ(store.takeCounts().evictions, 3U);
  store.setLimit(kEntry);
  EXPECT_LE(store.bytes(), kEntry);
  store.setLimit(0);
  EXPECT_EQ(store.bytes(), 0U);
  EXPECT_FALSE(store.set("a", text(""), 0));
}

TEST(SharedStoreTest, WhatMakesRoomWhenItsTimeIsOverIsNoEviction) {
  // F094, F088
  FakeEnvoy envoy;
  SharedStore store(4);
  store.setLimit(2 * (SharedStore::kEntryBytes + 2));
  EXPECT_TRUE(store.set("a", text("1"), 10 * kNsPerMs));
  EXPECT_TRUE(store.set("b", text("1"), 20 * kNsPerMs));
  envoy.advance(10);
  EXPECT_EQ(read(store, "a"), std::nullopt);
  EXPECT_TRUE(store.set("c", text("1"), 0));
  EXPECT_EQ(store.takeCounts().evictions, 0U);
  EXPECT_EQ(read(store, "b"), "1");
  EXPECT_TRUE(store.set("d", text("1"), 0));
  EXPECT_EQ(store.takeCounts().evictions, 1U);
}

TEST(SharedStoreTest, IsOneForAllOfAName) {
  // F095
  const auto first = SharedStore::of("one");
  EXPECT_EQ(first, SharedStore::of("one"));
  EXPECT_NE(first, SharedStore::of("other"));
}

TEST(SharedStoreTest, NoStepOfEightThreadsIsLost) {
  // F094
  SharedStore store(4);
  store.setLimit(kLarge);
  constexpr int kSteps = 100'000;
  onThreads(8, [&](int) {
    double sum = 0;
    for (int i = 0; i < kSteps; ++i)
      ASSERT_EQ(store.incr("sum", 1, 0, sum), SharedStore::Incr::Done);
  });
  EXPECT_EQ(store.get("sum")->number, 8.0 * kSteps);
}

TEST(SharedStoreTest, NoThreadSeesAHalfValueNorMoreThanFits) {
  // F094
  SharedStore store(4);
  constexpr size_t kLimit = 20 * (SharedStore::kEntryBytes + 2'000);
  store.setLimit(kLimit);
  std::atomic<int> taken{0};
  onThreads(8, [&](int thread) {
    const auto own = static_cast<char>('a' + thread);
    double sum = 0;
    for (int i = 0; i < 5'000; ++i) {
      const std::string key = std::to_string(i % 40);
      EXPECT_TRUE(store.set(key, text(std::string(1'000 + 100 * thread, own)), 0));
      if (const auto value = store.get(std::to_string((i + 1) % 40))) {
        // Of one thread, from the first byte to the last.
        const std::string& bytes = value->payload;
        EXPECT_EQ(bytes.find_first_not_of(bytes.front()), std::string::npos);
        EXPECT_EQ(bytes.size(), 1'000U + 100U * static_cast<size_t>(bytes.front() - 'a'));
      }
      EXPECT_LE(store.bytes(), kLimit);
      if (i % 100 == 0)
        store.keys("1");
      if (store.cas("lock", std::nullopt, text("held"), 0) == SharedStore::Cas::Done) {
        ++taken;
        store.erase("lock");
      }
      (void)store.incr("number", 1, 0, sum);
    }
  });
  EXPECT_GT(taken, 0);
  EXPECT_GT(store.takeCounts().evictions, 0U);
  for (const std::string& key : store.keys(""))
    store.erase(key);
  EXPECT_EQ(store.bytes(), 0U);
}

}  // namespace
}  // namespace fairlead
