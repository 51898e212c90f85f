// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What Envoy knows of an exchange: ctx.attributes, ctx.connection, ctx.timing, ctx.localReply.

#include <algorithm>
#include <iterator>
#include <type_traits>

#include "filter-cc/facts.h"
#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

using Connection_Self = ConnectionData;

// --- ctx.attributes: an object without members of its own, whose names are those of the rows ---

template <Attribute Id, class Kind> JSValue readAttribute(JSContext* ctx, HostStream& host) {
  if constexpr (std::is_same_v<Kind, bind::results::Number>) {
    const std::optional<uint64_t> value = host.attributeNumber(Id);
    return value ? JS_NewNumber(ctx, static_cast<double>(*value)) : JS_UNDEFINED;
  } else if constexpr (std::is_same_v<Kind, bind::results::Bool>) {
    const std::optional<bool> value = host.attributeFlag(Id);
    return value ? JS_NewBool(ctx, *value) : JS_UNDEFINED;
  } else {
    const std::optional<std::string_view> value = host.attributeText(Id);
    return value ? Kind::convert(ctx, *value) : JS_UNDEFINED;
  }
}

struct AttributeRow {
  std::string_view name;
  JSValue (*read)(JSContext*, HostStream&);
  /** The first minor release of Envoy that tells it. */
  uint32_t release;
};

#define HOST_CONTRACT(version)
#define HOST_OBJECT(...)
#define HOST_GET(...)
#define HOST_ATTRIBUTE(cls, name, type, id, release, since)                                        \
  {name, readAttribute<Attribute::id, bind::results::type>, release},
#define HOST_facts
constexpr AttributeRow kAttributes[] = {
#include "sdk-types/host_api.def"
};
#undef HOST_CONTRACT
#undef HOST_OBJECT
#undef HOST_GET
#undef HOST_ATTRIBUTE

/** Undefined where this Envoy does not tell it: an older one would log an error. */
JSValue read(JSContext* ctx, HostStream& host, const AttributeRow& row) {
  return row.release > host::release() ? JS_UNDEFINED : row.read(ctx, host);
}

/** Whether a name has a meaning for any object, or for whoever is handed an unknown one. */
bool isCommonName(JSContext* ctx, JSValueConst object, JSAtom name, std::string_view text) {
  const js::Value prototype(ctx, JS_GetPrototype(ctx, object));
  return text == "then" || text == "toJSON" || JS_HasProperty(ctx, prototype.get(), name) > 0;
}

/** 1: it is one, and in `descriptor`; 0: it is none; -1: an exception is pending. */
int findAttribute(JSContext* ctx, JSPropertyDescriptor* descriptor, JSValueConst object,
                  JSAtom atom) {
  const js::Value name(ctx, JS_AtomToValue(ctx, atom));
  if (!name.isString())
    return name.isException() ? -1 : 0;
  const js::Utf8 text(ctx, name.get());
  if (!text)
    return -1;
  const Call call{ctx, Runtime::from(ctx), "ctx.attributes", object};
  const auto* row = std::find_if(std::begin(kAttributes), std::end(kAttributes),
                                 [&](const AttributeRow& row) { return row.name == text.view(); });
  if (row == std::end(kAttributes)) {
    if (isCommonName(ctx, object, atom, text.view()))
      return 0;
    throwError(ctx, ErrorCode::E_ATTRIBUTE, {text.view()});
    return -1;
  }
  auto* self = static_cast<AttributesData*>(
      bind::unwrap(call, object, HostClass::Attributes, AttributesData::kName));
  if (self == nullptr)
    return -1;
  if (descriptor == nullptr)
    return 1;
  const JSValue value = read(ctx, self->stream.host(), *row);
  if (JS_IsException(value))
    return -1;
  // Configurable, for it can change.
  descriptor->flags = JS_PROP_ENUMERABLE | JS_PROP_CONFIGURABLE;
  descriptor->value = value;
  descriptor->getter = JS_UNDEFINED;
  descriptor->setter = JS_UNDEFINED;
  return 1;
}

/** The engine's hook: no C++ exception may reach its frames. */
int getAttribute(JSContext* ctx, JSPropertyDescriptor* descriptor, JSValueConst object,
                 JSAtom atom) {
  int found = -1;
  const JSValue stopped = bind::barrier(ctx, "ctx.attributes", [&]() -> JSValue {
    found = findAttribute(ctx, descriptor, object, atom);
    return JS_UNDEFINED;
  });
  return JS_IsException(stopped) ? -1 : found;
}

int attributeNames(JSContext* ctx, JSPropertyEnum** names, uint32_t* count, JSValueConst) {
  constexpr size_t kBytes = std::size(kAttributes) * sizeof(JSPropertyEnum);
  auto* list = static_cast<JSPropertyEnum*>(js_mallocz(ctx, kBytes));
  if (list == nullptr)
    return -1;
  for (size_t i = 0; i < std::size(kAttributes); ++i)
    list[i].atom = JS_NewAtomLen(ctx, kAttributes[i].name.data(), kAttributes[i].name.size());
  *names = list;
  *count = static_cast<uint32_t>(std::size(kAttributes));
  return 0;
}

int refuseDelete(JSContext*, JSValueConst, JSAtom) { return 0; }

int refuseDefine(JSContext* ctx, JSValueConst, JSAtom, JSValueConst, JSValueConst, JSValueConst,
                 int flags) {
  if ((flags & (JS_PROP_THROW | JS_PROP_THROW_STRICT)) == 0)
    return 0;
  JS_ThrowTypeError(ctx, "attributes are read-only");
  return -1;
}

// --- ctx.connection ---

/** An attribute of the connection, in the words of this object. */
std::optional<std::string_view> text(ConnectionData& self, Attribute attribute,
                                     uint32_t release = 38) {
  return release > host::release() ? std::nullopt : self.stream.host().attributeText(attribute);
}

Outcome<std::optional<double>> Connection_id(Call&, ConnectionData& self) {
  const std::optional<uint64_t> id = self.stream.host().attributeNumber(Attribute::ConnectionId);
  return id ? std::optional(static_cast<double>(*id)) : std::nullopt;
}
Outcome<std::optional<std::string_view>> Connection_remoteAddress(Call&, ConnectionData& self) {
  return text(self, Attribute::SourceAddress);
}
Outcome<std::optional<std::string_view>> Connection_directRemoteAddress(Call&,
                                                                        ConnectionData& self) {
  return self.stream.host().directRemoteAddress();
}
Outcome<std::optional<std::string_view>> Connection_localAddress(Call&, ConnectionData& self) {
  return text(self, Attribute::DestinationAddress);
}
Outcome<std::optional<std::string_view>> Connection_tlsVersion(Call&, ConnectionData& self) {
  return text(self, Attribute::ConnectionTlsVersion);
}
Outcome<std::optional<std::string_view>> Connection_serverName(Call&, ConnectionData& self) {
  constexpr uint32_t kFirst = 39;
  return text(self, Attribute::ConnectionRequestedServerName, kFirst);
}
Outcome<bool> Connection_mtls(Call&, ConnectionData& self) {
  return self.stream.host().attributeFlag(Attribute::ConnectionMtls).value_or(false);
}
Outcome<std::optional<std::string_view>> Connection_peerSubject(Call&, ConnectionData& self) {
  return text(self, Attribute::ConnectionSubjectPeerCertificate);
}
Outcome<std::optional<std::string_view>> Connection_peerDnsSan(Call&, ConnectionData& self) {
  return text(self, Attribute::ConnectionDnsSanPeerCertificate);
}
Outcome<std::optional<std::string_view>> Connection_peerUriSan(Call&, ConnectionData& self) {
  return text(self, Attribute::ConnectionUriSanPeerCertificate);
}
Outcome<std::optional<std::string_view>> Connection_peerSha256(Call&, ConnectionData& self) {
  return text(self, Attribute::ConnectionSha256PeerCertificateDigest);
}

#define HOST_facts
#include "filter-cc/bind_rows.h"

// --- ctx.timing ---

/** In the order of TimePoint. */
constexpr const char* kTimePointNames[] = {"startUnixMs",
                                           "downstreamConnectionBeginMs",
                                           "downstreamHandshakeStartMs",
                                           "downstreamHandshakeCompleteMs",
                                           "lastDownstreamHeaderReceivedMs",
                                           "lastDownstreamByteReceivedMs",
                                           "upstreamConnectStartMs",
                                           "upstreamConnectCompleteMs",
                                           "upstreamHandshakeCompleteMs",
                                           "firstUpstreamByteSentMs",
                                           "lastUpstreamByteSentMs",
                                           "firstUpstreamByteReceivedMs",
                                           "firstUpstreamBodyByteReceivedMs",
                                           "lastUpstreamByteReceivedMs",
                                           "firstDownstreamByteSentMs",
                                           "lastDownstreamByteSentMs",
                                           "lastDownstreamAckReceivedMs",
                                           "requestCompleteMs",
                                           "downstreamConnectionEndMs"};
static_assert(std::size(kTimePointNames) == std::tuple_size_v<Timing>);

}  // namespace

const JSClassExoticMethods kAttributesMethods = {getAttribute, attributeNames, refuseDelete,
                                                 refuseDefine,  nullptr,        nullptr,
                                                 nullptr};

JSValue defineAttributes(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Attributes, kRows, AttributesData::kName);
}

JSValue defineConnection(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Connection, kRows, ConnectionData::kName);
}

bool countFactWrite(const Call& call, Stream& stream) {
  if (stream.countMetadataWrite())
    return true;
  call.fail(ErrorCode::E_METADATA_LIMIT, {std::to_string(kMaxMetadataWrites)});
  return false;
}

js::Value timingObject(JSContext* ctx, HostStream& host) {
  Timing timing;
  if (!host.timing(timing))
    return {};
  js::Value object(ctx, JS_NewObject(ctx));
  for (size_t i = 0; i < timing.size() && !object.isException(); ++i) {
    constexpr double kNsPerMs = 1e6;
    if (timing[i] &&
        JS_SetPropertyStr(ctx, object.get(), kTimePointNames[i],
                          JS_NewNumber(ctx, static_cast<double>(*timing[i]) / kNsPerMs)) < 0)
      return {ctx, JS_EXCEPTION};
  }
  return object;
}

}  // namespace fairlead
