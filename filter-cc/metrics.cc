// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/metrics.h"

#include <iterator>

#include "filter-cc/errors.h"

namespace fairlead {
namespace {

struct ScriptMetricRow {
  MetricKind kind;
  std::string_view name;
  /** Empty: none. */
  std::string_view label;
};

/** In the order of ScriptMetric. */
constexpr ScriptMetricRow kScriptMetrics[] = {
    {MetricKind::Counter, "executions", ""},
    {MetricKind::Counter, "errors", "cause"},
    {MetricKind::Counter, "cpu_us", ""},
    {MetricKind::Gauge, "heap_bytes", "worker"},
    {MetricKind::Counter, "shared_hits", ""},
    {MetricKind::Counter, "shared_misses", ""},
    {MetricKind::Counter, "shared_evictions", ""},
    {MetricKind::Gauge, "shared_bytes", ""},
    {MetricKind::Gauge, "held_streams", ""},
    {MetricKind::Gauge, "generation", ""},
    {MetricKind::Counter, "reload_failures", ""},
};
static_assert(std::size(kScriptMetrics) == static_cast<size_t>(ScriptMetric::Count));

std::string shown(const MetricShape& shape) {
  std::string text = std::string(metricKindName(shape.kind)) + "(" + shape.name;
  for (const std::string& label : shape.labels)
    text += ", " + label;
  return text + ")";
}

}  // namespace

std::string_view metricKindName(MetricKind kind) {
  constexpr std::string_view kNames[] = {"counter", "gauge", "histogram"};
  return kNames[static_cast<size_t>(kind)];
}

MetricKind kindOf(ScriptMetric metric) { return kScriptMetrics[static_cast<size_t>(metric)].kind; }

MetricIds defineMetrics(HostConfig& host, std::string_view filterName,
                        const std::vector<MetricShape>& declared, bool reloads) {
  const std::string prefix = filterName.empty() ? "" : std::string(filterName) + '.';
  MetricIds ids;
  const size_t count = static_cast<size_t>(reloads ? ScriptMetric::Count : ScriptMetric::Generation);
  for (size_t i = 0; i < count; ++i) {
    const ScriptMetricRow& row = kScriptMetrics[i];
    const std::span<const std::string_view> labels(&row.label, row.label.empty() ? 0 : 1);
    ids.ofScript[i] =
        host.defineMetric(row.kind, prefix + "script." + std::string(row.name), labels);
  }
  for (const MetricShape& shape : declared) {
    const std::vector<std::string_view> labels(shape.labels.begin(), shape.labels.end());
    const size_t id = host.defineMetric(shape.kind, prefix + shape.name, labels);
    ids.own.push_back({id});
    if (reloads)
      ids.byName.emplace(shape.name, id);
  }
  for (size_t i = 0; reloads && i < ids.families.size(); ++i) {
    const auto kind = static_cast<MetricKind>(i);
    constexpr std::string_view kLabels[] = {"metric", "labels"};
    ids.families[i] =
        host.defineMetric(kind, prefix + "later_" + std::string(metricKindName(kind)), kLabels);
  }
  return ids;
}

MetricIds MetricIds::forDeclared(const std::vector<MetricShape>& declared) const {
  MetricIds ids = *this;
  ids.own.clear();
  for (const MetricShape& shape : declared) {
    const auto known = byName.find(shape.name);
    if (known != byName.end())
      ids.own.push_back({known->second});
    else
      ids.own.push_back({families[static_cast<size_t>(shape.kind)], shape});
  }
  return ids;
}

std::shared_ptr<MetricNames> MetricNames::of(const std::string& filterName) {
  // Never destroyed: at process exit nothing of ours is.
  static auto& all = *new std::map<std::string, std::weak_ptr<MetricNames>>();
  std::erase_if(all, [](const auto& entry) { return entry.second.expired(); });
  std::weak_ptr<MetricNames>& known = all[filterName];
  std::shared_ptr<MetricNames> names = known.lock();
  if (names == nullptr) {
    names = std::make_shared<MetricNames>();
    known = names;
  }
  return names;
}

Result<void> MetricNames::add(const std::vector<MetricShape>& declared) {
  for (const MetricShape& shape : declared) {
    const auto known = known_.find(shape.name);
    if (known != known_.end() && known->second != shape)
      return makeError(ErrorCode::E_METRIC_CONFLICT, {shown(shape), shown(known->second)});
  }
  for (const MetricShape& shape : declared)
    known_.emplace(shape.name, shape);
  return {};
}

}  // namespace fairlead
