// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/keeper.h"

#include <csignal>
#include <ctime>

#include "filter-cc/host.h"

namespace fairlead {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

class Lock {
public:
  explicit Lock(pthread_mutex_t& mutex) : mutex_(mutex) { pthread_mutex_lock(&mutex_); }
  ~Lock() { pthread_mutex_unlock(&mutex_); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;

private:
  pthread_mutex_t& mutex_;
};

uint64_t nowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

Keeper& Keeper::instance() {
  // Left to the process: nothing tells a module when the last worker has stopped.
  static Keeper* const keeper = new Keeper;
  return *keeper;
}

Keeper::Keeper() {
  pthread_mutex_init(&mutex_, nullptr);
  // The standard library's condition variable would wait by the wall clock, which can jump.
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(&changed_, &attributes);
  pthread_condattr_destroy(&attributes);
}

void Keeper::start() {
  // Envoy's main thread handles the signals.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  started_ = pthread_create(&thread, nullptr, threadMain, this) == 0;
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (started_)
    pthread_detach(thread);
  else
    host::log(LogLevel::Critical, "fairlead: no thread could be made; timers do not fire", {}, 0);
}

void Keeper::set(Entry& entry, uint64_t deadlineNs) {
  const Lock lock(mutex_);
  if (!started_)
    start();
  if (entry.deadlineNs_ != 0)
    due_.erase({entry.deadlineNs_, &entry});
  entry.deadlineNs_ = deadlineNs;
  const bool first = due_.empty() || deadlineNs < due_.begin()->first;
  due_.insert({deadlineNs, &entry});
  if (first)
    pthread_cond_signal(&changed_);
}

void Keeper::clear(Entry& entry) {
  const Lock lock(mutex_);
  if (entry.deadlineNs_ == 0)
    return;
  due_.erase({entry.deadlineNs_, &entry});
  entry.deadlineNs_ = 0;
}

void* Keeper::threadMain(void* keeper) {
  pthread_setname_np(pthread_self(), "fairlead");
  static_cast<Keeper*>(keeper)->run();
  return nullptr;
}

void Keeper::run() {
  const Lock lock(mutex_);
  for (;;) {
    if (due_.empty()) {
      pthread_cond_wait(&changed_, &mutex_);
      continue;
    }
    const auto [deadlineNs, entry] = *due_.begin();
    if (deadlineNs > nowNs()) {
      const timespec until = {static_cast<time_t>(deadlineNs / kNsPerSecond),
                              static_cast<long>(deadlineNs % kNsPerSecond)};
      pthread_cond_timedwait(&changed_, &mutex_, &until);
      continue;
    }
    due_.erase(due_.begin());
    entry->deadlineNs_ = 0;
    // Under the lock: the stream's end waits for it in clear(), so its worker is still there.
    entry->wake_(entry->target_);
  }
}

}  // namespace fairlead
