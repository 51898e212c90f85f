// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The shared store on one to four threads: nine reads of ten, a thousand keys, values of 100 bytes;
// and a counter that all threads step. One line each: operations in a microsecond, and how they
// compare to one thread's.

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

constexpr int kOperations = 2'000'000;
constexpr int kKeys = 1'000;

void readAndWrite(SharedStore& store, const std::vector<std::string>& keys, uint32_t seed) {
  const std::string value(100, 'x');
  for (int i = 0; i < kOperations; ++i) {
    seed = seed * 1664525 + 1013904223;
    const std::string& key = keys[(seed >> 8) % kKeys];
    if (i % 10 == 0)
      (void)store.set(key, SharedValue::of(SharedValue::Kind::String, value), 0);
    else
      (void)store.get(key);
  }
}

void count(SharedStore& store) {
  double sum = 0;
  for (int i = 0; i < kOperations; ++i)
    (void)store.incr("sum", 1, 0, sum);
}

/** Operations in a microsecond, of all threads together. */
template <class Work> double measure(int threadCount, Work&& work) {
  const auto begin = std::chrono::steady_clock::now();
  std::vector<std::thread> threads;
  for (int i = 0; i < threadCount; ++i)
    threads.emplace_back([&, i] { work(static_cast<uint32_t>(i)); });
  for (std::thread& thread : threads)
    thread.join();
  const std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
  return double{kOperations} * threadCount / took.count();
}

}  // namespace

int main() {
  SharedStore store;
  store.setLimit(size_t{16} * 1024 * 1024);
  std::vector<std::string> keys;
  for (int i = 0; i < kKeys; ++i)
    keys.push_back("key-" + std::to_string(i));
  readAndWrite(store, keys, 0);
  std::printf("%u cores\n", std::thread::hardware_concurrency());
  double alone = 0;
  double aloneCounting = 0;
  for (const int threads : {1, 2, 4}) {
    const double mixed = measure(threads, [&](uint32_t i) { readAndWrite(store, keys, i); });
    const double counting = measure(threads, [&](uint32_t) { count(store); });
    alone = threads == 1 ? mixed : alone;
    aloneCounting = threads == 1 ? counting : aloneCounting;
    std::printf("%d threads: %6.2f reads and writes a µs (%.2f times one thread), %6.2f steps of one "
                "counter (%.2f times)\n",
                threads, mixed, mixed / alone, counting, counting / aloneCounting);
  }
}
