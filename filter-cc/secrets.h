// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The secrets of a config: text that it holds, files that are looked at again and again, and those that
// Envoy has.
//
// Thread: main, unless said otherwise.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "filter-cc/config.h"
#include "filter-cc/files.h"
#include "filter-cc/host.h"
#include "filter-cc/shared.h"
#include "quickjs/result.h"

namespace fairlead {

inline constexpr size_t kMaxSecrets = 64;
inline constexpr size_t kMaxSecretBytes = size_t{64} * 1024;
/** From one look at the files to the next. */
inline constexpr uint64_t kSecretPeriodNs = 500'000'000;
/** Before it, Envoy gives a filter none. */
inline constexpr uint32_t kFirstSdsRelease = 40;

class ConfigSecrets final : public Background {
public:
  /** Reads the files. Code: E_SECRET_FILE. */
  static Result<std::unique_ptr<ConfigSecrets>> read(const Config& config);

  /**
   * Asks Envoy for its own, and begins to look at the files. A config that is only `validated` asks for
   * those that the bootstrap has. Code: E_SECRET_SDS.
   */
  Result<void> start(HostConfig& host, bool validated);
  /** Null when the config names none so; empty when Envoy has not got it yet. Thread: any. */
  std::shared_ptr<const std::string> get(std::string_view name) const;
  void onWake() override;

private:
  struct Secret {
    SecretSource source;
    /** Of one that Envoy has. */
    size_t id = 0;
    FileStamp stamp;
    /** Why the file cannot be read now. */
    std::string failure;
    /** Under the lock. */
    std::shared_ptr<const std::string> value;
  };

  std::string filterName_;
  std::map<std::string, Secret, std::less<>> secrets_;
  std::unique_ptr<HostJob> host_;
  mutable Mutex mutex_;
};

}  // namespace fairlead
