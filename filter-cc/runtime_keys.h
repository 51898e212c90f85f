// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Keys of Envoy's runtime that a config names: the main thread reads them, for on a worker Envoy tells
// the default alone, and workers see what it has read last.
//
// Thread: main, unless said otherwise.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "filter-cc/host.h"
#include "filter-cc/shared.h"

namespace fairlead {

inline constexpr size_t kMaxRuntimeKeys = 64;
/** Before it, Envoy tells a filter none. */
inline constexpr uint32_t kFirstRuntimeRelease = 40;
/** From one look at them to the next. */
inline constexpr uint64_t kRuntimePeriodNs = 1'000'000'000;

class RuntimeKeys final : public Background {
public:
  explicit RuntimeKeys(const std::vector<std::string>& names);

  /** Reads them, and begins to look again and again. */
  void start(HostConfig& host);
  /** False: the config does not name it. `value` is nothing where Envoy has none. Thread: any. */
  bool get(std::string_view name, std::optional<RuntimeValue>& value) const;
  void onWake() override;

private:
  std::unique_ptr<HostJob> host_;
  mutable Mutex mutex_;
  /** The values under the lock. */
  std::map<std::string, std::optional<RuntimeValue>, std::less<>> values_;
};

}  // namespace fairlead
