// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Calls that outlive their exchange: those of fetch with `keepalive`. They belong to a config, and the
// main thread makes them; no script hears of their answers.
//
// Thread: main, unless said otherwise; the destructor any, when nothing of the config runs.

#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "filter-cc/config.h"
#include "filter-cc/headers.h"
#include "filter-cc/host.h"
#include "filter-cc/metrics.h"
#include "filter-cc/shared.h"

namespace fairlead {

/** Of one call; what https://fetch.spec.whatwg.org allows. */
inline constexpr size_t kMaxKeepaliveBytes = size_t{64} * 1024;

struct KeepaliveCall {
  std::string cluster;
  /** With the pseudo-headers. */
  HeaderList headers;
  std::string body;
  uint64_t timeoutNs = 0;
};

class KeepaliveCalls final : public Background {
public:
  KeepaliveCalls(const Config& config, const MetricIds& metricIds)
      : filterName_(config.filterName), limit_(config.limits.keepalives),
        errorsId_(metricIds.ofScript[static_cast<size_t>(ScriptMetric::Errors)]) {}
  ~KeepaliveCalls() override;

  void start(HostConfig& host) { host_ = host.newJob(*this); }
  /** Hands a call over. False: as many as the config allows are under way. Thread: any. */
  bool add(KeepaliveCall call);

  void onWake() override;
  void onCalloutHeaders(uint64_t calloutId, std::span<const HeaderField> headers,
                        bool endStream) override;
  void onCalloutData(uint64_t calloutId, std::span<const std::string_view> pieces,
                     bool endStream) override;
  void onCalloutComplete(uint64_t calloutId) override;
  void onCalloutReset(uint64_t calloutId) override;

private:
  struct Running {
    std::string cluster;
    uint64_t deadlineNs = 0;
    uint64_t calloutId = 0;
    std::string status;
    bool done = false;
  };

  void startCall(Running& running, const KeepaliveCall& call);
  Running* find(uint64_t calloutId);
  void finish(Running& running);
  void fail(Running& running, std::string_view why);
  /** Its answer is complete. */
  void judge(Running& running);
  /** Forgets what is done, unless that is being looked at. */
  void sweep();
  /** Asks for a wake when there is something to start, or the first call's time is over. */
  void arm();

  const std::string filterName_;
  const uint32_t limit_;
  const size_t errorsId_;
  std::unique_ptr<HostJob> host_;
  std::list<Running> running_;
  /** Goes through `running_`; events of a call can come while it is being started. */
  bool busy_ = false;

  Mutex mutex_;
  // Under the lock:
  std::vector<KeepaliveCall> waiting_;
  size_t inFlight_ = 0;
  std::optional<uint64_t> nextDeadlineNs_;
};

}  // namespace fairlead
