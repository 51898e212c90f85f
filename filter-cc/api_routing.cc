// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// ctx.route and ctx.cluster: where the request goes.

#include <cmath>

#include "filter-cc/facts.h"
#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

using Route_Self = RouteData;
using Cluster_Self = ClusterData;

JSValue part(const Call& call, Stream& stream, Part part) {
  return JS_DupValue(call.ctx, stream.partObject(part));
}

Outcome<std::optional<std::string_view>> Route_name(Call&, RouteData& self) {
  return self.stream.host().attributeText(Attribute::XdsRouteName);
}

Outcome<std::optional<std::string_view>> Route_virtualHost(Call&, RouteData& self) {
  // Before, Envoy gives another name.
  constexpr uint32_t kFirst = 40;
  return host::release() < kFirst
             ? std::nullopt
             : self.stream.host().attributeText(Attribute::XdsVirtualHostName);
}

Outcome<JSValue> Route_metadata(Call& call, RouteData& self) {
  return part(call, self.stream, Part::RouteMetadata);
}

Outcome<std::optional<std::string_view>> Cluster_name(Call&, ClusterData& self) {
  return self.stream.host().clusterName();
}

Outcome<JSValue> Cluster_hosts(Call& call, ClusterData& self, std::optional<double> priority) {
  constexpr double kMaxPriority = 127;
  const double level = priority.value_or(0);
  if (!(level >= 0 && level <= kMaxPriority) || level != std::floor(level))
    return call.fail(ErrorCode::E_RANGE, {"a priority is a whole number from 0 to 127"});
  const std::optional<HostCount> count =
      self.stream.host().hostCount(static_cast<uint32_t>(level));
  if (!count)
    return JS_UNDEFINED;
  const auto number = [&](size_t value) {
    return JS_NewNumber(call.ctx, static_cast<double>(value));
  };
  js::Value object(call.ctx, JS_NewObject(call.ctx));
  if (object.isException() ||
      JS_SetPropertyStr(call.ctx, object.get(), "total", number(count->total)) < 0 ||
      JS_SetPropertyStr(call.ctx, object.get(), "healthy", number(count->healthy)) < 0 ||
      JS_SetPropertyStr(call.ctx, object.get(), "degraded", number(count->degraded)) < 0)
    return Thrown{};
  return object;
}

Outcome<JSValue> Cluster_metadata(Call& call, ClusterData& self) {
  return part(call, self.stream, Part::ClusterMetadata);
}

Outcome<JSValue> Cluster_hostMetadata(Call& call, ClusterData& self) {
  return part(call, self.stream, Part::HostMetadata);
}

Outcome<JSValue> Cluster_localityMetadata(Call& call, ClusterData& self) {
  return part(call, self.stream, Part::LocalityMetadata);
}

#define HOST_routing
#include "filter-cc/bind_rows.h"

}  // namespace

JSValue defineRoute(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Route, kRows, RouteData::kName);
}

JSValue defineCluster(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Cluster, kRows, ClusterData::kName);
}

}  // namespace fairlead
