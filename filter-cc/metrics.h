// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Metrics: what a script declares at its top level, and what every script has without asking.
//
// Names are made known to the proxy with each config; updates come from streams. What changes with
// each stream is added up on the worker, and handed over at most ten times a second: when the worker has
// no more streams of the script, or many have passed.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "filter-cc/host.h"
#include "quickjs/result.h"

namespace fairlead {

/** A metric as it is declared. */
struct MetricShape {
  MetricKind kind;
  std::string name;
  std::vector<std::string> labels;
  bool operator==(const MetricShape&) const = default;
};

/** `counter` for MetricKind::Counter. */
std::string_view metricKindName(MetricKind kind);

/** Metrics that one script may declare. */
inline constexpr size_t kMaxMetrics = 256;

/** What is counted for every script, under `<filter name>.script.`; see kScriptMetrics. */
enum class ScriptMetric : uint8_t {
  Executions,
  Errors,
  CpuMicros,
  HeapBytes,
  SharedHits,
  SharedMisses,
  SharedEvictions,
  SharedBytes,
  HeldStreams,
  // Of configs that reload:
  Generation,
  ReloadFailures,
  Count,
};

/** The proxy's ids of one config's metrics; 0: it has none such. */
struct MetricIds {
  std::array<size_t, static_cast<size_t>(ScriptMetric::Count)> ofScript{};
  struct Own {
    size_t id;
    /** The metric, where the id is that of a family. */
    std::optional<MetricShape> inFamily{};
  };
  /** In the order of the script's declarations. */
  std::vector<Own> own;
  // Of configs that reload:
  /** The family of each kind, which takes what later generations declare: a proxy takes new names only with a config. */
  std::array<size_t, 3> families{};
  /** Those that have an id of their own. */
  std::map<std::string, size_t> byName{};

  /** Those of a script that a later generation has. */
  MetricIds forDeclared(const std::vector<MetricShape>& declared) const;
};

/** Makes all metrics of a config known. Thread: main. */
MetricIds defineMetrics(HostConfig& host, std::string_view filterName,
                        const std::vector<MetricShape>& declared, bool reloads);

MetricKind kindOf(ScriptMetric metric);

/** The names that scripts of one filter name have in use, for as long as one of them lives. */
class MetricNames {
public:
  /** Thread: main. */
  static std::shared_ptr<MetricNames> of(const std::string& filterName);
  /** Takes the names; code E_METRIC_CONFLICT, and none taken, when one is there in another shape. */
  Result<void> add(const std::vector<MetricShape>& declared);

private:
  std::map<std::string, MetricShape> known_;
};

}  // namespace fairlead
