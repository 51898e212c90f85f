// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// A config whose script is loaded anew when its file changes. Each time a new generation takes the place
// of the old one: new streams get it, those that run keep the one they began with.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "filter-cc/host.h"
#include "filter-cc/metrics.h"
#include "filter-cc/script.h"
#include "filter-cc/shared.h"
#include "quickjs/result.h"

namespace fairlead {

/** From one look at the file to the next, where nothing tells of changes. */
inline constexpr uint64_t kFilePeriodNs = 500'000'000;

/** What a proxy's filter config is. Thread: main, unless said otherwise. */
class LiveConfig final : public Background {
  /** A generation on one worker; it and each of its streams there is a user. */
  struct Held {
    std::shared_ptr<const FilterConfig> config;
    uint32_t users;
  };

public:
  /** The generation that a stream runs by, for as long as it lives. Thread: the worker. */
  class Ref {
  public:
    Ref(const FilterConfig& config, Held* held) : config_(config), held_(held) {
      if (held_ != nullptr)
        ++held_->users;
    }
    ~Ref() { drop(held_); }
    Ref(const Ref&) = delete;
    Ref& operator=(const Ref&) = delete;
    const FilterConfig& operator*() const { return config_; }

  private:
    const FilterConfig& config_;
    Held* const held_;
  };

  /** As FilterConfig::create. `host` stays as long as this. */
  static Result<std::unique_ptr<LiveConfig>> create(std::string_view filterName, std::string_view bytes,
                                                    HostConfig& host);
  /** Thread: any. Requires: no stream is left. */
  ~LiveConfig() override;
  LiveConfig(const LiveConfig&) = delete;
  LiveConfig& operator=(const LiveConfig&) = delete;

  /** What a new stream runs by. Thread: the worker. */
  Ref current(uint32_t workerIndex) {
    if (slots_ == nullptr)
      return {*generation_, nullptr};
    Slot& slot = slots_[workerIndex];
    const FilterConfig* newest = newest_.load(std::memory_order_acquire);
    if (slot.held == nullptr || slot.held->config.get() != newest)
      renew(slot);
    return {*slot.held->config, slot.held};
  }
  /** The newest generation. */
  const FilterConfig& newest() const { return *generation_; }

  void onWake() override;

private:
  /** A worker's place. */
  struct alignas(64) Slot {
    Held* held = nullptr;
  };

  LiveConfig(std::unique_ptr<FilterConfig> first, HostConfig& host);
  static void drop(Held* held) {
    if (held != nullptr && --held->users == 0)
      delete held;
  }
  void renew(Slot& slot);
  void reload();
  void publish(std::shared_ptr<FilterConfig> next);
  void refuse(Error error);
  /** False: the proxy counts by streams alone. */
  bool updateMetric(ScriptMetric metric, uint64_t value);

  HostConfig& host_;
  /** What a worker copies, it copies under the lock. */
  std::shared_ptr<FilterConfig> generation_;
  std::atomic<const FilterConfig*> newest_;
  Mutex mutex_;
  std::unique_ptr<Slot[]> slots_;
  uint32_t slotCount_ = 0;
  std::unique_ptr<HostJob> job_;
  /** The file as it was when it was last loaded, or refused, and when it was last looked at. */
  FileStamp judged_;
  FileStamp seen_;
  /** When it was first seen so. */
  uint64_t seenNs_ = 0;
};

}  // namespace fairlead
