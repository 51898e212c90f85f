// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The parts of `ctx` that are objects of their own: windows on what Envoy knows of the exchange.
//
// Each is made on first use, and holds nothing but its stream: what it tells is asked of the host at
// that moment.

#pragma once

#include "filter-cc/bind.h"
#include "filter-cc/host.h"
#include "quickjs/engine.h"

namespace fairlead {

/** The parts. There is metadata of five sources, in the order of MetadataSource. */
enum class Part : uint8_t {
  Metadata,
  RouteMetadata,
  ClusterMetadata,
  HostMetadata,
  LocalityMetadata,
  Attributes,
  Connection,
  FilterState,
  Route,
  Cluster,
  RuntimeKeys,
  Secrets,
  Span,
  Count,
};

/** Behind a part. Owner: the stream. */
template <HostClass Class, bind::Name Name> class PartData final : public NativeData {
public:
  static constexpr HostClass kClass = Class;
  static constexpr const char* kName = Name.chars;
  PartData(Stream& stream, Part part) : stream(stream), part(part) {}
  void finalize(JSRuntime*) override {}
  Stream& stream;
  const Part part;
};

using AttributesData = PartData<HostClass::Attributes, "Attributes">;
using ConnectionData = PartData<HostClass::Connection, "Connection">;
using MetadataData = PartData<HostClass::Metadata, "Metadata">;
using FilterStateData = PartData<HostClass::FilterState, "FilterState">;
using RouteData = PartData<HostClass::Route, "Route">;
using ClusterData = PartData<HostClass::Cluster, "Cluster">;
using RuntimeKeysData = PartData<HostClass::RuntimeKeys, "RuntimeKeys">;
using SecretsData = PartData<HostClass::Secrets, "Secrets">;

/** Reads of `ctx.attributes` by name. */
extern const JSClassExoticMethods kAttributesMethods;

/** Counts one write of metadata, filter state or a socket option; false with an exception pending past the cap. */
bool countFactWrite(const Call& call, Stream& stream);

/** What `ctx.timing` is: undefined where the proxy does not tell; an exception out of memory. */
js::Value timingObject(JSContext* ctx, HostStream& host);

}  // namespace fairlead
