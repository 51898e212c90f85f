// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The Keeper with threads that stand for workers. What ThreadSanitizer sees in them is half of
// their worth.

#include "filter-cc/keeper.h"

#include <csignal>
#include <ctime>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace fairlead {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;
constexpr uint64_t kNsPerHour = 3'600'000 * kNsPerMs;

uint64_t nowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

/** Keeps the processor busy, as short as no sleep can be. */
void spin(uint64_t ns) {
  const uint64_t untilNs = nowNs() + ns;
  while (nowNs() < untilNs) {
  }
}

/** What is woken in place of a stream's worker. */
class Sleeper {
public:
  Sleeper() : entry_(wake, this) {}
  ~Sleeper() { Keeper::instance().clear(entry_); }

  void set(uint64_t deadlineNs) { Keeper::instance().set(entry_, deadlineNs); }
  void clear() { Keeper::instance().clear(entry_); }

  /** Waits for wake number `count`, and gives the time it came. */
  uint64_t waitFor(size_t count) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return wakesNs_.size() >= count; });
    return wakesNs_[count - 1];
  }
  size_t wakes() {
    const std::lock_guard lock(mutex_);
    return wakesNs_.size();
  }

private:
  static void wake(void* target) {
    auto& sleeper = *static_cast<Sleeper*>(target);
    const std::lock_guard lock(sleeper.mutex_);
    sleeper.wakesNs_.push_back(nowNs());
    sleeper.changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<uint64_t> wakesNs_;
  Keeper::Entry entry_;
};

TEST(KeeperTest, WakesOnceAtTheDeadlineAndNotBefore) {
  // F096
  Sleeper sleeper;
  const uint64_t deadlineNs = nowNs() + 20 * kNsPerMs;
  sleeper.set(deadlineNs);
  EXPECT_GE(sleeper.waitFor(1), deadlineNs);
  // A later one of somebody else has come, and no second one of ours.
  Sleeper later;
  later.set(nowNs() + kNsPerMs);
  later.waitFor(1);
  EXPECT_EQ(sleeper.wakes(), 1U);
}

TEST(KeeperTest, ALaterCallReplacesTheDeadlineInBothDirections) {
  Sleeper nearer;
  nearer.set(nowNs() + kNsPerHour);
  nearer.set(nowNs() + kNsPerMs);
  nearer.waitFor(1);

  Sleeper farther;
  Sleeper witness;
  const uint64_t firstNs = nowNs() + 5 * kNsPerMs;
  farther.set(firstNs);
  farther.set(firstNs + kNsPerHour);
  witness.set(firstNs + kNsPerMs);
  witness.waitFor(1);
  EXPECT_EQ(farther.wakes(), 0U);
}

TEST(KeeperTest, WakesInTheOrderOfDeadlinesWhateverTheOrderOfCalls) {
  std::array<Sleeper, 5> sleepers;
  const uint64_t beginNs = nowNs() + 50 * kNsPerMs;
  for (const size_t place : {3U, 0U, 4U, 1U, 2U})
    sleepers[place].set(beginNs + place);
  for (Sleeper& sleeper : sleepers)
    sleeper.waitFor(1);
  for (size_t i = 1; i < sleepers.size(); ++i)
    EXPECT_GE(sleepers[i].waitFor(1), sleepers[i - 1].waitFor(1)) << i;
}

TEST(KeeperTest, WhatHasBeenClearedDoesNotWake) {
  Sleeper cleared;
  Sleeper witness;
  const uint64_t deadlineNs = nowNs() + 5 * kNsPerMs;
  cleared.set(deadlineNs);
  witness.set(deadlineNs + 1);
  cleared.clear();
  witness.waitFor(1);
  EXPECT_EQ(cleared.wakes(), 0U);
}

TEST(KeeperTest, ItsThreadHasItsNameAndBlocksAllSignalsAndTheCallerBlocksNoneMore) {
  // F118: Envoy's main thread is to get the signals.
  struct Seen {
    std::mutex mutex;
    std::condition_variable changed;
    sigset_t blocked;
    std::string name;
    bool done = false;
  } seen;
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  Keeper::Entry entry(
      [](void* target) {
        auto& seen = *static_cast<Seen*>(target);
        const std::lock_guard lock(seen.mutex);
        pthread_sigmask(SIG_SETMASK, nullptr, &seen.blocked);
        char name[16] = "";
        pthread_getname_np(pthread_self(), name, sizeof(name));
        seen.name = name;
        seen.done = true;
        seen.changed.notify_all();
      },
      &seen);
  Keeper::instance().set(entry, nowNs());
  {
    std::unique_lock lock(seen.mutex);
    seen.changed.wait(lock, [&] { return seen.done; });
  }
  Keeper::instance().clear(entry);
  EXPECT_EQ(seen.name, "fairlead");
  for (const int signal : {SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGCHLD, SIGPIPE, SIGPROF})
    EXPECT_EQ(sigismember(&seen.blocked, signal), 1) << signal;
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int signal = 1; signal < NSIG; ++signal)
    EXPECT_EQ(sigismember(&before, signal), sigismember(&after, signal)) << signal;
}

TEST(KeeperTest, ClearedEntriesAreNeverTouchedAgainWhileManyWorkersSetAndClear) {
  // R37: a wake after clear() would read freed memory, or meet a dead dispatcher in Envoy.
  constexpr size_t kWorkers = 4;
  constexpr size_t kRounds = 500;
  struct Target {
    bool cleared = false;  // only a wake under way could read it while clear() runs
    bool touchedLate = false;
    uint32_t wakes = 0;
  };
  const auto wake = [](void* target) {
    auto& woken = *static_cast<Target*>(target);
    spin(5'000);
    woken.touchedLate = woken.cleared;
    ++woken.wakes;
  };
  std::atomic<uint64_t> touchedLate = 0;
  std::atomic<uint64_t> woken = 0;
  std::atomic<uint64_t> wokenTwice = 0;
  const auto work = [&](size_t worker) {
    std::mt19937 random(static_cast<uint32_t>(worker));
    for (size_t round = 0; round < kRounds; ++round) {
      auto target = std::make_unique<Target>();
      auto entry = std::make_unique<Keeper::Entry>(+wake, target.get());
      // Around the time that clear() comes; once or twice.
      for (uint32_t sets = 1 + random() % 2; sets > 0; --sets) {
        Keeper::instance().set(*entry, nowNs() + random() % 50'000);
        spin(random() % 50'000);
      }
      Keeper::instance().clear(*entry);
      // Without a lock: nobody else may look at it any more.
      target->cleared = true;
      spin(1'000);
      touchedLate += target->touchedLate;
      woken += target->wakes > 0;
      wokenTwice += target->wakes > 2;
    }
  };
  std::vector<std::thread> workers;
  for (size_t worker = 0; worker < kWorkers; ++worker)
    workers.emplace_back(work, worker);
  for (std::thread& worker : workers)
    worker.join();
  EXPECT_EQ(touchedLate, 0U);
  EXPECT_EQ(wokenTwice, 0U);
  // Some came in time and some did not: else the race was never run.
  EXPECT_GT(woken, 0U);
  EXPECT_LT(woken, kWorkers * kRounds);
}

TEST(KeeperTest, NoWakeIsLostWhileManyWorkersSetTheirDeadlines) {
  constexpr size_t kWorkers = 4;
  constexpr size_t kRounds = 300;
  const auto work = [&](size_t worker) {
    std::mt19937 random(static_cast<uint32_t>(worker));
    Sleeper sleeper;
    Sleeper idle;
    idle.set(nowNs() + kNsPerHour);
    for (size_t round = 1; round <= kRounds; ++round) {
      const uint64_t deadlineNs = nowNs() + random() % 100'000;
      sleeper.set(deadlineNs);
      // A worker that waited for a lost wake would wait for ever.
      EXPECT_GE(sleeper.waitFor(round), deadlineNs);
    }
    EXPECT_EQ(sleeper.wakes(), kRounds);
    EXPECT_EQ(idle.wakes(), 0U);
  };
  std::vector<std::thread> workers;
  for (size_t worker = 0; worker < kWorkers; ++worker)
    workers.emplace_back(work, worker);
  for (std::thread& worker : workers)
    worker.join();
}

/** Waits for news of a file. */
class Watcher {
public:
  explicit Watcher(const std::string& path) : watch_(wake, this) { Keeper::instance().watch(watch_, path); }
  ~Watcher() { Keeper::instance().unwatch(watch_); }

  /** The news that come after the next wake. */
  FileNews next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return woken_; });
    woken_ = false;
    lock.unlock();
    return Keeper::instance().look(watch_);
  }
  bool woken() {
    const std::lock_guard lock(mutex_);
    return woken_;
  }

private:
  static void wake(void* target) {
    auto& watcher = *static_cast<Watcher*>(target);
    const std::lock_guard lock(watcher.mutex_);
    watcher.woken_ = true;
    watcher.changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  bool woken_ = false;
  Keeper::Watch watch_;
};

/** A folder that goes with its files. */
class Folder {
public:
  Folder() { std::filesystem::create_directories(path_); }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

private:
  const std::string path_ = testing::TempDir() + "keeper_test_" + std::to_string(getpid());
};

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

TEST(KeeperTest, TellsOfAFileThatIsReplacedAndOfOneThatIsWrittenWhenItIsClosed) {
  // F062
  const Folder folder;
  const std::string path = folder / "a";
  write(path, "1");
  Watcher watcher(path);
  write(folder / "b", "2");
  ASSERT_EQ(std::rename((folder / "b").c_str(), path.c_str()), 0);
  FileNews news = watcher.next();
  while (!news.replaced)
    news = watcher.next();
  EXPECT_FALSE(news.beingWritten);
  EXPECT_FALSE(news.blind);

  std::ofstream out(path);
  out << "3" << std::flush;
  // Somebody else's file makes it look, and it sees that this one is being written.
  write(folder / "c", "");
  ASSERT_EQ(std::rename((folder / "c").c_str(), (folder / "d").c_str()), 0);
  while (!news.beingWritten)
    news = watcher.next();
  out.close();
  while (news.beingWritten)
    news = watcher.next();
  EXPECT_TRUE(news.replaced);
}

TEST(KeeperTest, SeesTheFolderOfWhatALinkLeadsTo) {
  // F062
  const Folder folder;
  std::filesystem::create_directories(folder / "real");
  write(folder / "real/a", "1");
  std::filesystem::create_symlink("real/a", folder / "a");
  Watcher watcher(folder / "a");
  write(folder / "real/a", "2");
  EXPECT_TRUE(watcher.next().replaced);
}

TEST(KeeperTest, IsBlindToAFolderThatIsNotThereAndSaysSo) {
  // F066
  const Folder folder;
  Watcher absent(folder / "none/a");
  Keeper::Watch watch([](void*) {}, nullptr);
  Keeper::instance().watch(watch, folder / "none/a");
  EXPECT_TRUE(Keeper::instance().look(watch).blind);
  std::filesystem::create_directories(folder / "none");
  Keeper::instance().watch(watch, folder / "none/a");
  EXPECT_FALSE(Keeper::instance().look(watch).blind);
  Watcher there(folder / "none/a");
  std::filesystem::remove_all(folder / "none");
  while (!there.next().blind) {
  }
  Keeper::instance().unwatch(watch);
  EXPECT_FALSE(absent.woken());
}

TEST(KeeperTest, FilesAreWatchedAndForgottenByManyThreadsAtOnce) {
  // F062, F118
  const Folder folder;
  const std::string path = folder / "a";
  std::atomic<bool> over{false};
  std::thread writer([&] {
    while (!over)
      write(path, "x");
  });
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i)
    threads.emplace_back([&] {
      for (int j = 0; j < 20; ++j) {
        Watcher watcher(path);
        watcher.next();
      }
    });
  for (std::thread& thread : threads)
    thread.join();
  over = true;
  writer.join();
}

}  // namespace
}  // namespace fairlead
