// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// counter, gauge, histogram: declared while the top level runs, updated from streams.

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "filter-cc/metrics.h"
#include "filter-cc/runtime.h"
#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

/** Behind a metric object: which of the script's metrics it is. */
template <HostClass Class> class MetricData final : public NativeData {
public:
  static constexpr HostClass kClass = Class;
  static constexpr const char* kName = Class == HostClass::Counter ? "Counter"
                                       : Class == HostClass::Gauge ? "Gauge"
                                                                   : "Histogram";
  explicit MetricData(size_t index) : index(index) {}
  const size_t index;
};

using Counter_Self = MetricData<HostClass::Counter>;
using Gauge_Self = MetricData<HostClass::Gauge>;
using Histogram_Self = MetricData<HostClass::Histogram>;
using fairlead_Self = void;

bool isMetricName(std::string_view name) {
  constexpr size_t kMaxBytes = 100;
  const auto isLetter = [](char c) {
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  return !name.empty() && name.size() <= kMaxBytes && isLetter(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return isLetter(c) || (c >= '0' && c <= '9'); });
}

/** The list of names that `labels` is. False: an exception is pending. */
bool readLabelNames(const Call& call, JSValueConst labels, std::vector<std::string>& names) {
  JSContext* ctx = call.ctx;
  if (JS_IsUndefined(labels))
    return true;
  if (!JS_IsArray(labels)) {
    bind::throwArgument(call, 1, "a list of names");
    return false;
  }
  bool ok = true;
  const auto visit = [&](JSValueConst item) {
    const js::Utf8 name(ctx, item);
    if (!name)
      return ok = false;
    if (!isMetricName(name.view()) ||
        std::find(names.begin(), names.end(), name.view()) != names.end()) {
      call.fail(ErrorCode::E_METRIC, {"a label is named twice, or not with letters, digits and _"});
      return ok = false;
    }
    names.emplace_back(name.view());
    return true;
  };
  return js::iterate(ctx, labels, visit) == js::Iteration::Done && ok;
}

template <class Data>
Outcome<JSValue> declare(Call& call, MetricKind kind, std::string_view name, JSValueConst labels) {
  MetricShape shape{kind, std::string(name), {}};
  if (!call.runtime.declaring())
    return call.fail(ErrorCode::E_WRONG_PHASE, {"configure()"});
  if (!isMetricName(name))
    return call.fail(ErrorCode::E_METRIC, {"the name must be of letters, digits and _"});
  if (!readLabelNames(call, labels, shape.labels))
    return Thrown{};
  std::vector<MetricShape>& metrics = call.runtime.metrics();
  const auto same = std::find_if(metrics.begin(), metrics.end(),
                                 [&](const MetricShape& other) { return other.name == name; });
  if (same != metrics.end() && *same != shape)
    return call.fail(ErrorCode::E_METRIC, {"the name is declared twice, with another kind or labels"});
  if (same == metrics.end() && metrics.size() == kMaxMetrics)
    return call.fail(ErrorCode::E_METRIC, {"there are too many metrics"});
  const auto index = static_cast<size_t>(same - metrics.begin());
  if (same == metrics.end())
    metrics.push_back(std::move(shape));
  return bind::wrap(call.runtime, Data::kClass, new Data(index));
}

/** A value for each label, in their order. False: an exception is pending. */
bool readLabels(const Call& call, const MetricShape& shape, JSValueConst given,
                std::vector<std::string>& values) {
  JSContext* ctx = call.ctx;
  const auto wrong = [&] {
    std::string list;
    for (const std::string& label : shape.labels)
      list.append(list.empty() ? "" : ", ").append(label);
    call.fail(ErrorCode::E_METRIC_LABELS, {shape.name, list.empty() ? "none" : list});
    return false;
  };
  if (JS_IsUndefined(given))
    return shape.labels.empty() || wrong();
  if (!JS_IsObject(given))
    return wrong();
  JSPropertyEnum* properties = nullptr;
  uint32_t count = 0;
  if (JS_GetOwnPropertyNames(ctx, &properties, &count, given,
                             JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0)
    return false;
  JS_FreePropertyEnum(ctx, properties, count);
  if (count != shape.labels.size())
    return wrong();
  for (const std::string& label : shape.labels) {
    const js::Value value(ctx, JS_GetPropertyStr(ctx, given, label.c_str()));
    if (value.isException())
      return false;
    if (value.isUndefined())
      return wrong();
    const js::Utf8 text(ctx, value.get());
    if (!text)
      return false;
    values.emplace_back(text.view());
  }
  return true;
}

/** Rounds to what Envoy can hold; nothing with an exception pending. */
std::optional<uint64_t> toWhole(const Call& call, double value) {
  constexpr double kMax = 9007199254740991;
  const double whole = std::round(value);
  if (whole >= 0 && whole <= kMax)
    return static_cast<uint64_t>(whole);
  call.fail(ErrorCode::E_RANGE, {"the value must be from 0 to 2^53 - 1"});
  return std::nullopt;
}

Outcome<void> update(Call& call, size_t index, MetricChange change, double value,
                     JSValueConst labels) {
  Stream* stream = call.stream();
  if (stream == nullptr)
    return call.fail(ErrorCode::E_STREAM_ENDED);
  const MetricShape& shape = call.runtime.metrics()[index];
  std::vector<std::string> values;
  if (!readLabels(call, shape, labels, values))
    return Thrown{};
  const std::optional<uint64_t> whole = toWhole(call, value);
  if (!whole)
    return Thrown{};
  const std::vector<std::string_view> views(values.begin(), values.end());
  stream->updateMetric(index, shape.kind, change, views, *whole);
  return {};
}

Outcome<JSValue> fairlead_counter(Call& call, std::string_view name, JSValueConst labels) {
  return declare<Counter_Self>(call, MetricKind::Counter, name, labels);
}
Outcome<JSValue> fairlead_gauge(Call& call, std::string_view name, JSValueConst labels) {
  return declare<Gauge_Self>(call, MetricKind::Gauge, name, labels);
}
Outcome<JSValue> fairlead_histogram(Call& call, std::string_view name, JSValueConst labels) {
  return declare<Histogram_Self>(call, MetricKind::Histogram, name, labels);
}

Outcome<void> Counter_add(Call& call, Counter_Self& self, JSValueConst labels,
                          std::optional<double> n) {
  return update(call, self.index, MetricChange::Add, n.value_or(1), labels);
}
Outcome<void> Gauge_set(Call& call, Gauge_Self& self, double value, JSValueConst labels) {
  return update(call, self.index, MetricChange::Set, value, labels);
}
Outcome<void> Gauge_add(Call& call, Gauge_Self& self, double n, JSValueConst labels) {
  return update(call, self.index, n < 0 ? MetricChange::Subtract : MetricChange::Add, std::fabs(n),
                labels);
}
Outcome<void> Histogram_record(Call& call, Histogram_Self& self, double value,
                               JSValueConst labels) {
  return update(call, self.index, MetricChange::Record, value, labels);
}

#define HOST_metrics
#include "filter-cc/bind_rows.h"

}  // namespace

JSValue defineCounter(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Counter, kRows, "Counter");
}
JSValue defineGauge(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Gauge, kRows, "Gauge");
}
JSValue defineHistogram(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Histogram, kRows, "Histogram");
}

bool defineMetricExports(Runtime& runtime, JSValueConst exports) {
  return bind::defineRows(runtime.ctx(), exports, kRows, "fairlead", bind::Place::Prototype);
}

}  // namespace fairlead
