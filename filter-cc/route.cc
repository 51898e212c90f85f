// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/route.h"

#include <algorithm>
#include <string>
#include <utility>

#include "filter-cc/errors.h"
#include "filter-cc/host.h"

namespace fairlead {

Result<std::unique_ptr<RouteConfig>> RouteConfig::create(std::string_view filterName, std::string_view bytes) {
  auto overrides = parseRouteConfig(filterName, bytes);
  if (!overrides)
    return std::move(overrides).error();
  std::unique_ptr<RouteConfig> made(new RouteConfig(*std::move(overrides)));
  if (!made->overrides_.hasScript)
    return made;
  auto script = Script::load(made->overrides_.values, Script::Configure::Later);
  if (!script)
    return std::move(script).error();
  // Both need the filter's config, which Envoy makes later.
  if (!(*script)->metrics().empty())
    return makeError(ErrorCode::E_ROUTE_SCRIPT, {"metrics"});
  if (!(*script)->jobs().empty())
    return makeError(ErrorCode::E_ROUTE_SCRIPT, {"jobs of every()"});
  made->script_ = *std::move(script);
  return made;
}

std::shared_ptr<const FilterConfig> RouteConfig::over(const FilterConfig& filter) const {
  const Lock lock(mutex_);
  for (const Made& made : made_) {
    if (made.filterId == filter.id)
      return made.config;
  }
  std::erase_if(made_, [](const Made& made) { return made.filterLife.expired(); });
  made_.push_back({filter.id, filter.life, lay(filter)});
  return made_.back().config;
}

std::shared_ptr<const FilterConfig> RouteConfig::lay(const FilterConfig& filter) const {
  auto config = std::make_shared<FilterConfig>(FilterConfig{filter.config, filter.script});
  const std::string capped = overrides_.layOver(config->config);
  if (!capped.empty() && !std::exchange(warned_, true))
    host::log(LogLevel::Warn,
              filter.config.filterName + ": a route's " + capped + " is above the filter's, which counts", {}, 0);
  if (overrides_.disabled)
    config->script = Script::none();
  else if (script_ != nullptr)
    config->script = Script::adapted(*script_, *filter.script, config->config);
  else
    config->metricIds.own = filter.metricIds.own;
  config->metricIds.ofScript = filter.metricIds.ofScript;
  config->runtimeKeys = filter.runtimeKeys;
  config->secrets = filter.secrets;
  config->keepalive = filter.keepalive;
  config->reloads = filter.reloads;
  return config;
}

}  // namespace fairlead
