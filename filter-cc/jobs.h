// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What a config does without an exchange: the functions that its script has given to every().
//
// Thread: main, but for the destructors. A config can be dropped by any thread, when nothing of it runs.

#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "filter-cc/host.h"

namespace fairlead {

struct FilterConfig;
inline constexpr size_t kMaxJobs = 16;

/** A function of every(), and how often it runs. */
class Job final : public Background {
public:
  /** Owner: the config, which outlives it. */
  Job(const FilterConfig& config, size_t index, uint64_t intervalNs);
  ~Job() override;
  Job(const Job&) = delete;
  Job& operator=(const Job&) = delete;

  /** Lets it run: for the first time at once, in an event of its own. */
  void start(HostConfig& host);
  /** Ends it for good, with its calls. */
  void stop();
  void onWake() override;
  void onCalloutHeaders(uint64_t calloutId, std::span<const HeaderField> headers,
                        bool endStream) override;
  void onCalloutData(uint64_t calloutId, std::span<const std::string_view> pieces,
                     bool endStream) override;
  void onCalloutComplete(uint64_t calloutId) override;
  void onCalloutReset(uint64_t calloutId) override;

private:
  class Run;

  /** Tells it to what runs now, if anything does. */
  template <class Event> void tellRun(Event&& event);
  void begin();
  void arm();

  const FilterConfig& config_;
  const size_t index_;
  const uint64_t intervalNs_;
  std::unique_ptr<HostJob> host_;
  Run* run_ = nullptr;
  /** When the next run is due, and when the present one wants to be woken; 0: not. */
  uint64_t nextNs_ = 0;
  uint64_t wakeNs_ = 0;
};

}  // namespace fairlead
