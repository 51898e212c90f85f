// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Behind `ctx.span` and its children: spans of Envoy's tracer.

#pragma once

#include <optional>

#include "filter-cc/bind.h"
#include "filter-cc/facts.h"
#include "filter-cc/host.h"

namespace fairlead {

/** A span as a script sees it. Where there is no tracer it has no span, and does nothing. Owner: the stream. */
class SpanData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::Span;
  static constexpr const char* kName = "Span";
  /** The span of the exchange. */
  SpanData(Stream& stream, Part) : stream(stream), isChild_(false) {}
  /** A child; `span` is null where the proxy made none. */
  SpanData(Stream& stream, HostSpan* span, std::optional<bool> sampled)
      : stream(stream), isChild_(true), child_(span), sampled_(sampled) {}
  void finalize(JSRuntime*) override {}

  /** Null: none, or finished. Asked anew each time, for Envoy's own span is Envoy's to end. */
  HostSpan* span() const;
  std::optional<bool> sampled() const;
  void setSampled(bool sampled);
  /** Ends a child; that of the exchange is ended by the proxy. */
  void finish();

  Stream& stream;

private:
  const bool isChild_;
  HostSpan* child_ = nullptr;
  /** Of a child. */
  std::optional<bool> sampled_;
};

}  // namespace fairlead
