// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// `ctx`, and defineFilter.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>

#include "filter-cc/options.h"
#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

using Context_Self = ContextData;
using fairlead_Self = void;

JSValue dup(const Call& call, JSValueConst value) { return JS_DupValue(call.ctx, value); }

Outcome<JSValue> Context_request(Call& call, ContextData& self) {
  return dup(call, self.stream.requestObject());
}

Outcome<JSValue> Context_response(Call& call, ContextData& self) {
  // Absent until there is one, so that ctx.response?.status can be asked anywhere.
  return self.stream.responseSeen() ? dup(call, self.stream.responseObject()) : JS_NULL;
}

Outcome<JSValue> Context_state(Call& call, ContextData& self) {
  js::Value& state = self.stream.state();
  if (state.isUndefined())
    state = js::Value(call.ctx, JS_NewObject(call.ctx));
  return dup(call, state.get());
}

Outcome<void> Context_set_state(Call& call, ContextData& self, JSValueConst value) {
  self.stream.state() = js::Value::dup(call.ctx, value);
  return {};
}

Outcome<JSValue> Context_config(Call& call, ContextData& self) {
  return dup(call, self.stream.configValue().get());
}

Outcome<JSValue> Context_settings(Call& call, ContextData& self) {
  return dup(call, self.stream.settingsValue().get());
}

Outcome<JSValue> Context_signal(Call& call, ContextData& self) {
  return dup(call, self.stream.signalObject());
}

Outcome<JSValue> Context_attributes(Call& call, ContextData& self) {
  return dup(call, self.stream.partObject(Part::Attributes));
}

Outcome<JSValue> Context_connection(Call& call, ContextData& self) {
  return dup(call, self.stream.partObject(Part::Connection));
}

Outcome<JSValue> Context_timing(Call& call, ContextData& self) {
  return timingObject(call.ctx, self.stream.host());
}

Outcome<JSValue> Context_localReply(Call& call, ContextData& self) {
  const LocalReply* reply = self.stream.localReply();
  if (reply == nullptr)
    return JS_NULL;
  js::Value object(call.ctx, JS_NewObject(call.ctx));
  if (object.isException() ||
      JS_SetPropertyStr(call.ctx, object.get(), "status",
                        JS_NewUint32(call.ctx, reply->status)) < 0 ||
      JS_SetPropertyStr(call.ctx, object.get(), "details",
                        js::newUtf8(call.ctx, reply->details).release()) < 0)
    return Thrown{};
  return object;
}

Outcome<JSValue> Context_metadata(Call& call, ContextData& self) {
  return dup(call, self.stream.partObject(Part::Metadata));
}

Outcome<JSValue> Context_filterState(Call& call, ContextData& self) {
  return dup(call, self.stream.partObject(Part::FilterState));
}

Outcome<JSValue> Context_route(Call& call, ContextData& self) {
  return dup(call, self.stream.partObject(Part::Route));
}

Outcome<JSValue> Context_cluster(Call& call, ContextData& self) {
  return dup(call, self.stream.partObject(Part::Cluster));
}

Outcome<JSValue> Context_runtime(Call& call, ContextData& self) {
  return dup(call, self.stream.partObject(Part::RuntimeKeys));
}

Outcome<JSValue> Context_secrets(Call& call, ContextData& self) {
  return dup(call, self.stream.partObject(Part::Secrets));
}

Outcome<JSValue> Context_span(Call& call, ContextData& self) {
  return dup(call, self.stream.partObject(Part::Span));
}

bool isInt32(double number) {
  return std::trunc(number) == number && number >= INT32_MIN && number <= INT32_MAX;
}

/** Whether the request can still be sent elsewhere; else an exception is pending. */
bool canRoute(const Call& call, Stream& stream) {
  if (stream.writable(HeaderMap::Request))
    return true;
  call.fail(ErrorCode::E_HEADERS_SENT, {"request", "onRequest"});
  return false;
}

Outcome<void> Context_clearRouteCache(Call& call, ContextData& self) {
  if (host::release() < kFirstReroutingRelease)
    return call.fail(ErrorCode::E_ENVOY_RELEASE, {std::to_string(kFirstReroutingRelease)});
  if (!canRoute(call, self.stream))
    return Thrown{};
  self.stream.clearRouteCache();
  return {};
}

/** `host:port`, with a port that can be one; the host is looked at by Envoy. */
bool hasPort(std::string_view address) {
  const size_t colon = address.rfind(':');
  uint16_t port = 0;
  if (colon == std::string_view::npos)
    return false;
  const char* end = address.data() + address.size();
  const auto [rest, error] = std::from_chars(address.data() + colon + 1, end, port);
  return error == std::errc() && rest == end && port != 0;
}

Outcome<void> Context_setUpstreamHost(Call& call, ContextData& self, std::string_view address,
                                      JSValueConst options) {
  constexpr std::string_view kNames[] = {"strict"};
  js::Value strict;
  if (!readOptions(call, options, 1, kNames, {&strict, 1}) || !canRoute(call, self.stream))
    return Thrown{};
  if (!hasPort(address) ||
      !self.stream.host().setUpstreamHost(address, JS_ToBool(call.ctx, strict.get()) > 0))
    return call.fail(ErrorCode::E_UPSTREAM_HOST, {address});
  return {};
}

/** Which option is meant; nothing with an exception pending. */
std::optional<SocketOption> readSocketOption(const Call& call, std::string_view direction,
                                             double level, double name) {
  const bool isUpstream = direction == "upstream";
  const char* const kNumber = "an integer of 32 bits";
  if (!isUpstream && direction != "downstream")
    bind::throwArgument(call, 0, "\"upstream\" or \"downstream\"");
  else if (!isInt32(level))
    bind::throwArgument(call, 1, kNumber);
  else if (!isInt32(name))
    bind::throwArgument(call, 2, kNumber);
  else
    return SocketOption{isUpstream ? SocketDirection::Upstream : SocketDirection::Downstream,
                        static_cast<int32_t>(level), static_cast<int32_t>(name)};
  return std::nullopt;
}

std::optional<SocketOptionValue> readSocketOptionValue(const Call& call, JSValueConst value) {
  constexpr size_t kMaxBytes = 256;
  double number = 0;
  std::span<uint8_t> bytes;
  if (JS_IsNumber(value) && JS_ToFloat64(call.ctx, &number, value) == 0 && isInt32(number))
    return static_cast<int32_t>(number);
  if (js::bytesOf(value, bytes) == js::BytesState::Found && !bytes.empty() &&
      bytes.size() <= kMaxBytes)
    return std::string(bytes.begin(), bytes.end());
  bind::throwArgument(call, 3, "an integer of 32 bits, or 1 to 256 bytes");
  return std::nullopt;
}

/** Linux's options of packet filters, whose values are addresses and descriptors of this process. */
bool isPacketFilter(const SocketOption& option) {
  constexpr int32_t kSocketLevel = 1;
  constexpr int32_t kNames[] = {26, 50, 51, 52};
  return option.level == kSocketLevel &&
         std::find(std::begin(kNames), std::end(kNames), option.name) != std::end(kNames);
}

Outcome<JSValue> Context_socketOption(Call& call, ContextData& self, std::string_view direction,
                                      double level, double name) {
  const std::optional<SocketOption> option = readSocketOption(call, direction, level, name);
  if (!option)
    return Thrown{};
  const std::optional<SocketOptionValue> value = self.stream.host().socketOption(*option);
  if (!value)
    return JS_UNDEFINED;
  if (const int32_t* number = std::get_if<int32_t>(&*value))
    return JS_NewInt32(call.ctx, *number);
  const auto& bytes = std::get<std::string>(*value);
  return JS_NewUint8ArrayCopy(call.ctx, reinterpret_cast<const uint8_t*>(bytes.data()),
                              bytes.size());
}

Outcome<void> Context_setSocketOption(Call& call, ContextData& self, std::string_view direction,
                                      double level, double name, JSValueConst given) {
  const std::optional<SocketOption> option = readSocketOption(call, direction, level, name);
  if (!option)
    return Thrown{};
  const std::optional<SocketOptionValue> value = readSocketOptionValue(call, given);
  if (!value)
    return Thrown{};
  if (isPacketFilter(*option))
    return call.fail(ErrorCode::E_SOCKET_OPTION, {"a filter of packets cannot be set"});
  HostStream& host = self.stream.host();
  if (option->direction == SocketDirection::Upstream) {
    if (!canRoute(call, self.stream))
      return Thrown{};
    if (!host.canBeginResponse())
      return call.fail(ErrorCode::E_SOCKET_OPTION,
                       {"among the filters of a cluster the connection has been chosen"});
  }
  if (!countFactWrite(call, self.stream))
    return Thrown{};
  if (!host.setSocketOption(*option, *value))
    return call.fail(ErrorCode::E_SOCKET_OPTION, {"the system refuses it"});
  return {};
}

Outcome<void> Context_addResponseFlag(Call& call, ContextData& self, std::string_view flag) {
  if (!isLogWord(flag)) {
    bind::throwArgument(call, 0, "printable ASCII without blanks");
    return Thrown{};
  }
  if (!self.stream.countResponseFlag())
    return call.fail(ErrorCode::E_RANGE, {"more than " + std::to_string(kMaxResponseFlags) +
                                          " flags in one stream"});
  self.stream.host().addResponseFlag(flag);
  return {};
}

Outcome<void> Context_reset(Call& call, ContextData& self) {
  if (self.stream.ended())
    return call.fail(ErrorCode::E_STREAM_ENDED);
  self.stream.resetLater();
  return {};
}

Outcome<void> Context_endConnection(Call& call, ContextData& self) {
  if (self.stream.ended())
    return call.fail(ErrorCode::E_STREAM_ENDED);
  self.stream.endConnectionLater();
  return {};
}

/** Gives the filter back; a name for its type. The Runtime checks the hooks of any default export. */
Outcome<JSValue> fairlead_defineFilter(Call& call, JSValueConst filter) {
  return dup(call, filter);
}

#define HOST_stream
#include "filter-cc/bind_rows.h"

}  // namespace

JSValue defineContext(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Context, kRows, ContextData::kName);
}

bool defineStreamExports(Runtime& runtime, JSValueConst exports) {
  return bind::defineRows(runtime.ctx(), exports, kRows, "fairlead", bind::Place::Prototype);
}

}  // namespace fairlead
