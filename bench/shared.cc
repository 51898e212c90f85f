// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The shared store on one to four threads, as far as there are cores: a thousand keys, values of 100
// bytes. What an operation takes, and how many times the work of one thread all of them do.

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "filter-cc/host.h"
#include "filter-cc/shared.h"

namespace fairlead::host {
uint64_t monotonicNs() {
  return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}
}  // namespace fairlead::host

namespace {

using fairlead::SharedStore;
using fairlead::SharedValue;

constexpr int kOperations = 1'000'000;
constexpr int kKeys = 1'000;

/** What a thread does with a store, `kOperations` times. */
struct Work {
  const char* title;
  void (*run)(SharedStore& store, const std::vector<std::string>& keys, uint32_t seed);
};

/** One write to `kReads` reads. */
template <uint32_t kReads>
void readAndWrite(SharedStore& store, const std::vector<std::string>& keys, uint32_t seed) {
  const std::string value(100, 'x');
  for (uint32_t i = 0; i < kOperations; ++i) {
    seed = seed * 1664525 + 1013904223;
    const std::string& key = keys[(seed >> 8) % kKeys];
    if (i % (kReads + 1) == kReads)
      (void)store.set(key, SharedValue::of(SharedValue::Kind::String, value), 0);
    else
      (void)store.get(key);
  }
}

void stepMany(SharedStore& store, const std::vector<std::string>& keys, uint32_t seed) {
  double sum = 0;
  for (int i = 0; i < kOperations; ++i) {
    seed = seed * 1664525 + 1013904223;
    (void)store.incr(keys[(seed >> 8) % kKeys], 1, 0, sum);
  }
}

void stepOne(SharedStore& store, const std::vector<std::string>& keys, uint32_t) {
  double sum = 0;
  for (int i = 0; i < kOperations; ++i)
    (void)store.incr(keys.front(), 1, 0, sum);
}

constexpr Work kWorks[] = {
    {"reads", readAndWrite<UINT32_MAX - 1>},
    {"99 % reads", readAndWrite<99>},
    {"90 % reads", readAndWrite<9>},
    {"steps of a thousand counters", stepMany},
    {"steps of one counter", stepOne},
};

/** Nanoseconds that an operation takes each of the threads. */
double measure(const Work& work, int threadCount, const std::vector<std::string>& keys) {
  SharedStore store(static_cast<size_t>(threadCount));
  store.setLimit(size_t{16} * 1024 * 1024);
  for (const std::string& key : keys) {
    if (work.run == stepMany || work.run == stepOne)
      (void)store.set(key, SharedValue::of(0), 0);
    else
      (void)store.set(key, SharedValue::of(SharedValue::Kind::String, std::string(100, 'x')), 0);
  }
  std::atomic<int> ready{0};
  std::vector<std::thread> threads;
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < threadCount; ++i) {
    threads.emplace_back([&, i] {
      ++ready;
      while (ready < threadCount) {
      }
      work.run(store, keys, static_cast<uint32_t>(i));
    });
  }
  for (std::thread& thread : threads)
    thread.join();
  const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  return took.count() / kOperations;
}

}  // namespace

int main() {
  std::vector<std::string> keys;
  for (int i = 0; i < kKeys; ++i)
    keys.push_back("key-" + std::to_string(i));
  const int cores = static_cast<int>(std::thread::hardware_concurrency());
  std::printf("%-30s", "ns per operation");
  for (int threads = 1; threads <= std::min(cores, 4); threads *= 2)
    std::printf("  %2d threads (speed-up)", threads);
  std::printf("\n");
  for (const Work& work : kWorks) {
    std::printf("%-30s", work.title);
    double alone = 0;
    for (int threads = 1; threads <= std::min(cores, 4); threads *= 2) {
      const double took = measure(work, threads, keys);
      alone = threads == 1 ? took : alone;
      std::printf("  %10.1f (%5.2f)    ", took, threads * alone / took);
    }
    std::printf("\n");
  }
}
