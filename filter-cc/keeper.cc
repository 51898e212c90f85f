// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/keeper.h"

#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string_view>

namespace fairlead {
namespace {

constexpr uint64_t kNsPerSecond = 1'000'000'000;

uint64_t nowNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kNsPerSecond + static_cast<uint64_t>(now.tv_nsec);
}

struct FolderAndName {
  std::string folder;
  std::string name;
};

FolderAndName split(const std::string& path) {
  const size_t slash = path.rfind('/');
  if (slash == std::string::npos)
    return {".", path};
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

Keeper& Keeper::instance() {
  // Left to the process: nothing tells a module when the last worker has stopped.
  static Keeper* const keeper = new Keeper;
  return *keeper;
}

void Keeper::start() {
  if (interrupts_ < 0)
    interrupts_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
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

void Keeper::interrupt() {
  const uint64_t one = 1;
  // It fails when it has been done often already, and then once is enough.
  if (interrupts_ >= 0 && write(interrupts_, &one, sizeof one) < 0)
    return;
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
    interrupt();
}

void Keeper::eachSecond(void (*work)()) {
  const Lock lock(mutex_);
  if (work_ != nullptr)
    return;
  work_ = work;
  workNs_ = nowNs() + kNsPerSecond;
  if (!started_)
    start();
  interrupt();
}

uint64_t Keeper::workDue() {
  void (*work)() = nullptr;
  {
    const Lock lock(mutex_);
    if (work_ == nullptr || workNs_ > nowNs())
      return workNs_;
    work = work_;
    workNs_ = nowNs() + kNsPerSecond;
  }
  work();
  const Lock lock(mutex_);
  return workNs_;
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
}

void Keeper::run() {
  // Without a descriptor for interrupts it looks for itself.
  constexpr uint64_t kLookNs = kNsPerSecond / 100;
  for (;;) {
    std::array<pollfd, 2> sources{};
    const uint64_t workNs = workDue();
    uint64_t deadlineNs = 0;
    {
      const Lock lock(mutex_);
      deadlineNs = wakeDue();
      if (workNs != 0 && (deadlineNs == 0 || workNs < deadlineNs))
        deadlineNs = workNs;
      sources[0] = {interrupts_, POLLIN, 0};
      sources[1] = {fileEvents_, POLLIN, 0};
    }
    const uint64_t now = nowNs();
    uint64_t waitNs = deadlineNs > now ? deadlineNs - now : 0;
    if (interrupts_ < 0)
      waitNs = deadlineNs == 0 ? kLookNs : std::min(waitNs, kLookNs);
    const timespec wait = {static_cast<time_t>(waitNs / kNsPerSecond),
                           static_cast<long>(waitNs % kNsPerSecond)};
    const bool forEver = deadlineNs == 0 && interrupts_ >= 0;
    if (ppoll(sources.data(), sources.size(), forEver ? nullptr : &wait, nullptr) <= 0)
      continue;
    uint64_t count = 0;
    if (sources[0].revents != 0 && read(interrupts_, &count, sizeof count) < 0)
      continue;
    if (sources[1].revents != 0)
      readFileEvents();
  }
}

uint64_t Keeper::wakeDue() {
  while (!due_.empty()) {
    const auto [deadlineNs, entry] = *due_.begin();
    if (deadlineNs > nowNs())
      return deadlineNs;
    due_.erase(due_.begin());
    entry->deadlineNs_ = 0;
    // Under the lock: the stream's end waits for it in clear(), so its worker is still there.
    entry->wake_(entry->target_);
  }
  return 0;
}

// --- Files ---

void Keeper::watch(Watch& watch, const std::string& path) {
  // What the path leads to is looked up before the lock is taken: disks can be slow.
  std::vector<FolderAndName> places = {split(path)};
  if (char* real = realpath(path.c_str(), nullptr)) {
    if (path != real)
      places.push_back(split(real));
    std::free(real);
  }
  const Lock lock(mutex_);
  if (fileEvents_ < 0) {
    fileEvents_ = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (!started_)
      start();
    interrupt();
  }
  forget(watch);
  watch.news_.blind = false;
  for (FolderAndName& place : places) {
    constexpr uint32_t kEvents = IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO |
                                 IN_CREATE | IN_DELETE | IN_ONLYDIR;
    const int folder = fileEvents_ < 0 ? -1 : inotify_add_watch(fileEvents_, place.folder.c_str(), kEvents);
    if (folder < 0)
      watch.news_.blind = true;
    else
      folders_[folder].push_back({&watch, std::move(place.name)});
  }
  closeFolders();
}

FileNews Keeper::look(Watch& watch) {
  const Lock lock(mutex_);
  watch.told_ = false;
  const FileNews news = watch.news_;
  watch.news_.replaced = false;
  return news;
}

void Keeper::unwatch(Watch& watch) {
  const Lock lock(mutex_);
  forget(watch);
  closeFolders();
}

void Keeper::forget(const Watch& watch) {
  for (auto& [folder, watchers] : folders_)
    std::erase_if(watchers, [&](const Watcher& watcher) { return watcher.watch == &watch; });
}

void Keeper::closeFolders() {
  std::erase_if(folders_, [this](const auto& entry) {
    if (entry.second.empty())
      inotify_rm_watch(fileEvents_, entry.first);
    return entry.second.empty();
  });
}

void Keeper::tell(Watch& watch) {
  if (watch.told_)
    return;
  watch.told_ = true;
  watch.wake_(watch.target_);
}

void Keeper::readFileEvents() {
  alignas(inotify_event) std::array<char, 16 * 1024> buffer{};
  const ssize_t size = read(fileEvents_, buffer.data(), buffer.size());
  const Lock lock(mutex_);
  for (ssize_t at = 0; at < size;) {
    inotify_event event{};
    std::memcpy(&event, buffer.data() + at, sizeof event);
    onFileEvent(event.wd, event.mask, event.len == 0 ? "" : buffer.data() + at + sizeof event);
    at += static_cast<ssize_t>(sizeof event + event.len);
  }
}

void Keeper::onFileEvent(int folder, uint32_t mask, std::string_view name) {
  if ((mask & IN_Q_OVERFLOW) != 0) {
    // What was lost nobody knows: all have to look.
    for (auto& [unused, watchers] : folders_) {
      for (const Watcher& watcher : watchers) {
        watcher.watch->news_.beingWritten = false;
        tell(*watcher.watch);
      }
    }
    return;
  }
  const auto found = folders_.find(folder);
  if (found == folders_.end())
    return;
  const bool gone = (mask & IN_IGNORED) != 0;
  for (const Watcher& watcher : found->second) {
    FileNews& news = watcher.watch->news_;
    const bool named = watcher.name == name;
    if (named && (mask & IN_MODIFY) != 0) {
      // Its writer tells when it is done: by closing it.
      news.beingWritten = true;
      continue;
    }
    // A file of another name counts where a link leads over it.
    if (!named && (mask & (IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB)) != 0)
      continue;
    if (named && (mask & IN_ATTRIB) == 0)
      news.beingWritten = false;
    news.replaced |= (mask & (IN_CLOSE_WRITE | IN_MOVED_TO)) != 0;
    news.blind |= gone;
    tell(*watcher.watch);
  }
  if (gone)
    folders_.erase(found);
}

}  // namespace fairlead
