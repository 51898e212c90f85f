// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What a route, a virtual host or a weighted cluster says of a filter: it is laid over the filter's own
// config, and the streams on it run by both together.

#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "filter-cc/config.h"
#include "filter-cc/script.h"
#include "filter-cc/shared.h"
#include "quickjs/result.h"

namespace fairlead {

class RouteConfig {
public:
  /**
   * Parses it, and runs the top level of a script of its own; configure() runs at first use, for what it is
   * laid over comes later. Thread: main. Codes: those of parseRouteConfig and of Script::load, E_ROUTE_SCRIPT.
   */
  static Result<std::unique_ptr<RouteConfig>> create(std::string_view filterName, std::string_view bytes);

  /**
   * The config of streams on this route: that of the filter with this laid over it, made when it is first asked
   * for. Thread: any.
   */
  std::shared_ptr<const FilterConfig> over(const FilterConfig& filter) const;

private:
  /** For one config of a filter; one more for each listener that uses the route, and after a reload. */
  struct Made {
    uint64_t filterId;
    /** Of the filter's config; when it has gone, nobody will ask again. */
    std::weak_ptr<const void> filterLife;
    std::shared_ptr<const FilterConfig> config;
  };

  explicit RouteConfig(RouteOverrides overrides) : overrides_(std::move(overrides)) {}
  std::shared_ptr<const FilterConfig> lay(const FilterConfig& filter) const;

  const RouteOverrides overrides_;
  /** Of its own script; null where it has none. */
  std::shared_ptr<Script> script_;
  mutable Mutex mutex_;
  // Under the lock:
  mutable std::vector<Made> made_;
  mutable bool warned_ = false;
};

}  // namespace fairlead
