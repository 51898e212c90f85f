// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What the core needs from a proxy, and nothing else. Knows no JavaScript.
//
// Two implementations link against the core: envoy_abi.cc (a stock Envoy) and host_fake.cc (Envoy's
// rules in memory: unit tests, the emulator in fairlead.wasm). The process-wide part is a handful of
// free functions chosen by the linker; the part that belongs to one HTTP exchange is an interface.
//
// Thread: unless a function says otherwise, only the worker that owns the stream.
// Valid until: every std::string_view that comes out of a host lives until the current hook returns
// or until the next write to the same map, whichever is first. Copy at once.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace fairlead {

struct FilterConfig;

/** Levels of the proxy's log, in its own order. */
enum class LogLevel : uint8_t { Trace, Debug, Info, Warn, Error, Critical, Off };

/** The four header maps of an exchange, in the order of Envoy's enum. */
enum class HeaderMap : uint8_t { Request, RequestTrailers, Response, ResponseTrailers };

/** Which way a message travels: towards the upstream, or back to the client. */
enum class Direction : uint8_t { Request, Response };

/** What a header hook answers. The values are Envoy's. */
enum class HeadersStatus : uint8_t { Continue = 0, StopIteration = 1 };

/** What a body hook answers. The values are Envoy's. */
enum class BodyStatus : uint8_t {
  Continue = 0,
  StopIterationAndBuffer = 1,
  StopIterationAndWatermark = 2,
  StopIterationNoBuffer = 3,
};

/** What a trailer hook answers. The values are Envoy's. */
enum class TrailersStatus : uint8_t { Continue = 0, StopIteration = 1 };

/** Where bytes of a body are: in what a body hook was given, or in what earlier stops have held back. */
enum class BodyPart : uint8_t { Received, Buffered };

/** How the start of a callout went. Anything but Started means that no event will follow. */
enum class CalloutStart : uint8_t {
  Started,
  MissingRequiredHeaders,
  ClusterNotFound,
  DuplicateCalloutId,
  CannotCreateRequest,
};

/** The kinds of metrics. */
enum class MetricKind : uint8_t { Counter, Gauge, Histogram };

/** What an update does: Add to counters and gauges, Subtract and Set to gauges, Record to histograms. */
enum class MetricChange : uint8_t { Add, Subtract, Set, Record };

/** One line of a header map. Names are lower case when they come from a host. */
struct HeaderField {
  std::string_view name;
  std::string_view value;
};

/** The result of a header look-up: one value, and how many there are under that name. */
struct HeaderLookup {
  std::string_view value;
  size_t count = 0;
};

/** What has been seen of a file that is watched. */
struct FileNews {
  /** A writer has closed it, or a file or a link was put in its place or in that of a folder it is in. */
  bool replaced = false;
  /** Somebody is writing to it. */
  bool beingWritten = false;
  /** Not all that happens to it is seen: it has to be asked for again, and to be looked at. */
  bool blind = true;
};

/** What goes on in a config without an exchange: what its HostJob tells. Thread: main. */
class Background {
public:
  virtual ~Background() = default;
  /** The clock has come to where HostJob::wakeAt asked for, or is past it. */
  virtual void onWake() = 0;
  // Of calls of the config, which need not be its own.
  virtual void onCalloutHeaders(uint64_t, std::span<const HeaderField>, bool /*endStream*/) {}
  virtual void onCalloutData(uint64_t, std::span<const std::string_view>, bool /*endStream*/) {}
  virtual void onCalloutComplete(uint64_t) {}
  virtual void onCalloutReset(uint64_t) {}
};

/**
 * The proxy's side of a job, which belongs to a config and to no exchange.
 * Thread: main, but for the destructor. Requires: after the destructor no event comes.
 */
class HostJob {
public:
  virtual ~HostJob() = default;
  /** Asks for Background::onWake, as HostStream::wakeAt does; another call takes its place. Thread: any. */
  virtual void wakeAt(uint64_t deadlineNs) = 0;
  /** Asks for Background::onWake also when the file at `path` may have changed; instead of any other file. */
  virtual void watchFile(const std::string& path) = 0;
  /** What has been seen of it since the last call. */
  virtual FileNews fileNews() = 0;
  // As those of HostStream. Events go to the Background.
  virtual CalloutStart startCallout(std::string_view cluster, std::span<const HeaderField> headers,
                                    std::string_view body, bool endStream, uint64_t& calloutId) = 0;
  virtual bool sendCalloutData(uint64_t calloutId, std::string_view bytes, bool endStream) = 0;
  virtual void resetCallout(uint64_t calloutId) = 0;
  virtual bool updateMetric(MetricKind kind, MetricChange change, size_t metricId,
                            std::span<const std::string_view> labels, uint64_t value) = 0;
  /** A secret that HostConfig::subscribeSecret gave this id; empty until it has come. Thread: any of the proxy's. */
  virtual std::string secret(size_t id) = 0;
};

/** The proxy's side of a config. Thread: main. Valid until: the config goes. */
class HostConfig {
public:
  virtual ~HostConfig() = default;
  /** Owner: the job. */
  virtual std::unique_ptr<HostJob> newJob(Background& job) = 0;
  /**
   * An id of the metric for updates, which give as many label values as there are labels.
   * Requires: the config is being made.
   */
  virtual size_t defineMetric(MetricKind kind, const std::string& name,
                              std::span<const std::string_view> labels) = 0;
  /**
   * An id of a generic secret of the proxy. `configSource` is JSON of where it comes from; empty for one
   * that the proxy's own configuration holds. 0: the proxy has none such, or none at all.
   */
  virtual size_t subscribeSecret(std::string_view name, std::string_view configSource) = 0;
};

/** Facts of an exchange that the proxy has under a number; the values are Envoy's. See HOST_ATTRIBUTE. */
enum class Attribute : uint8_t {
  RequestPath = 0,
  RequestUrlPath = 1,
  RequestHost = 2,
  RequestScheme = 3,
  RequestMethod = 4,
  RequestReferer = 6,
  RequestUserAgent = 7,
  RequestId = 9,
  RequestProtocol = 10,
  RequestQuery = 11,
  RequestSize = 13,
  RequestTotalSize = 14,
  ResponseCode = 15,
  ResponseCodeDetails = 16,
  ResponseFlags = 17,
  ResponseGrpcStatus = 18,
  ResponseSize = 21,
  ResponseTotalSize = 22,
  SourceAddress = 24,
  SourcePort = 25,
  DestinationAddress = 26,
  DestinationPort = 27,
  ConnectionId = 28,
  ConnectionMtls = 29,
  ConnectionRequestedServerName = 30,
  ConnectionTlsVersion = 31,
  ConnectionSubjectLocalCertificate = 32,
  ConnectionSubjectPeerCertificate = 33,
  ConnectionDnsSanLocalCertificate = 34,
  ConnectionDnsSanPeerCertificate = 35,
  ConnectionUriSanLocalCertificate = 36,
  ConnectionUriSanPeerCertificate = 37,
  ConnectionSha256PeerCertificateDigest = 38,
  ConnectionTransportFailureReason = 39,
  ConnectionTerminationDetails = 40,
  UpstreamAddress = 41,
  UpstreamPort = 42,
  UpstreamTlsVersion = 43,
  UpstreamSubjectLocalCertificate = 44,
  UpstreamSubjectPeerCertificate = 45,
  UpstreamDnsSanLocalCertificate = 46,
  UpstreamDnsSanPeerCertificate = 47,
  UpstreamUriSanLocalCertificate = 48,
  UpstreamUriSanPeerCertificate = 49,
  UpstreamSha256PeerCertificateDigest = 50,
  UpstreamLocalAddress = 51,
  UpstreamTransportFailureReason = 52,
  UpstreamRequestAttemptCount = 53,
  XdsClusterName = 57,
  XdsListenerDirection = 59,
  XdsRouteName = 61,
  XdsVirtualHostName = 63,
  XdsFilterChainName = 66,
  HealthCheck = 67,
  UpstreamRequestedServerName = 68,
  XdsVirtualClusterName = 69,
  UpstreamProtocol = 70,
};

/** Whose metadata: of the exchange, or of what it was routed to. The values are Envoy's. */
enum class MetadataSource : uint8_t { Dynamic, Route, Cluster, Host, HostLocality };

/** A value of metadata: what JSON can say. */
struct MetadataValue {
  enum class Kind : uint8_t { Null, Text, Number, Flag, List, Object };
  Kind kind = Kind::Null;
  std::string text;
  double number = 0;
  bool flag = false;
  /** Of a list and of an object. */
  std::vector<MetadataValue> items;
  /** Of an object, one for each item. */
  std::vector<std::string> keys;
};

/** What became of a write to the filter state. */
enum class FilterStateWrite : uint8_t {
  Done,
  /** This proxy keeps the value that is there. */
  Exists,
  /** No type is known under that key, or it does not take the value; or the key belongs to another life span. */
  Refused,
};

/** A span of the proxy's tracer. Owner: the proxy; of a child, whoever spawned it, until finishSpan. */
class HostSpan;

/** Before it, Envoy ends when a filter of a cluster's upstream chain clears the route. */
inline constexpr uint32_t kFirstReroutingRelease = 39;

/** Hosts of a cluster at one priority. */
struct HostCount {
  size_t total = 0;
  size_t healthy = 0;
  size_t degraded = 0;
};

/** Which of the two connections of an exchange. The values are Envoy's. */
enum class SocketDirection : uint8_t { Upstream, Downstream };

/** An option of a connection's socket, by the system's numbers. */
struct SocketOption {
  SocketDirection direction;
  int32_t level;
  int32_t name;
  bool operator==(const SocketOption&) const = default;
};
/** Its value: the system's int, or bytes. */
using SocketOptionValue = std::variant<int32_t, std::string>;

/** Points in the life of an exchange, in the order of Envoy's struct. */
enum class TimePoint : uint8_t {
  StartUnix,
  DownstreamConnectionBegin,
  DownstreamHandshakeStart,
  DownstreamHandshakeComplete,
  LastDownstreamHeaderReceived,
  LastDownstreamByteReceived,
  UpstreamConnectStart,
  UpstreamConnectComplete,
  UpstreamHandshakeComplete,
  FirstUpstreamByteSent,
  LastUpstreamByteSent,
  FirstUpstreamByteReceived,
  FirstUpstreamBodyByteReceived,
  LastUpstreamByteReceived,
  FirstDownstreamByteSent,
  LastDownstreamByteSent,
  LastDownstreamAckReceived,
  RequestComplete,
  DownstreamConnectionEnd,
  Count,
};
/** Nanoseconds; the first since 1970, the others since the request began. Those of a kept connection are below 0. */
using Timing = std::array<std::optional<int64_t>, static_cast<size_t>(TimePoint::Count)>;

/**
 * The proxy's side of one HTTP exchange.
 *
 * Owner: the host. It outlives the Stream that uses it.
 * No member runs JavaScript. Those marked "may nest" can run other hooks of this filter before they
 * return, and may end the stream: call them only when no script is on the stack, and look at the
 * stream's state afterwards.
 */
class HostStream {
public:
  virtual ~HostStream() = default;

  /**
   * What the route says of the filter, laid over `filter`; null when it says nothing. Valid until: the exchange
   * goes. Requires: headers are here.
   */
  virtual const FilterConfig* routeConfig(const FilterConfig& /*filter*/) { return nullptr; }

  /** Value number `index` under `name`; nothing when the map or the name is absent. */
  virtual std::optional<HeaderLookup> header(HeaderMap map, std::string_view name,
                                             size_t index) = 0;
  /** Replaces `out` by all lines of a map, in order; false when the map does not exist. */
  virtual bool headers(HeaderMap map, std::vector<HeaderField>& out) = 0;
  /** Leaves exactly one line under `name`. Requires: a checked name, a checked, non-empty value. */
  virtual void setHeader(HeaderMap map, std::string_view name, std::string_view value) = 0;
  /** Adds one line under `name`. Requires: as setHeader. */
  virtual void addHeader(HeaderMap map, std::string_view name, std::string_view value) = 0;
  /** Removes all lines under `name`; silent when there are none. */
  virtual void removeHeader(HeaderMap map, std::string_view name) = 0;

  // Received: inside a body hook of that direction, and empty at all other times. Where what was
  // received is what other filters have held back, it is not Buffered too.

  /** Bytes that are there. */
  virtual size_t bodySize(Direction direction, BodyPart part) = 0;
  /** Replaces `out` by views of them, in order. Valid until: the hook returns, or they are written. */
  virtual void body(Direction direction, BodyPart part, std::vector<std::string_view>& out) = 0;
  /** Removes bytes at the front. */
  virtual void drainBody(Direction direction, BodyPart part, size_t bytes) = 0;
  /**
   * Adds bytes at the end. Buffered bytes go on with the message, or, inside a trailer hook of one
   * that is not held, at once: may nest. Requires: the message is held, or a hook of it runs.
   */
  virtual void appendBody(Direction direction, BodyPart part, std::string_view bytes) = 0;
  /** Lets the stream hold so much without being refused. */
  virtual void raiseBufferLimit(size_t bytes) = 0;

  /** Lets a held message go on. May nest. Requires: not inside a hook of that direction. */
  virtual void continueMessage(Direction direction) = 0;
  /** Answers the client; Envoy adds content-length. May nest. */
  virtual void sendResponse(uint32_t status, std::span<const HeaderField> headers,
                            std::string_view body, std::string_view details) = 0;
  /**
   * Begins (or, with `endStream`, makes) a response piece by piece; `:status` comes first. May nest.
   * Requires: the request's hook, or later while the request is held.
   */
  virtual void sendResponseHeaders(std::span<const HeaderField> headers, bool endStream) = 0;
  /** The next piece of such a response; Stream::onClientFull says when to wait. May nest. */
  virtual void sendResponseData(std::string_view bytes, bool endStream) = 0;
  /** Whether there is a client: a filter in a cluster's chain cannot begin a response. */
  virtual bool canBeginResponse() = 0;

  /** Ends the stream without an answer. May nest. */
  virtual void resetStream(std::string_view details) = 0;
  /** The client's connection ends when its exchanges are over. May nest. */
  virtual void endConnection() = 0;
  /** Adds to what access logs show as custom flags. Requires: no blanks. */
  virtual void addResponseFlag(std::string_view flag) = 0;

  /**
   * Starts a call to a cluster; events arrive at Stream::onCallout…. Without `endStream` the body goes
   * on with sendCalloutData. May nest.
   */
  virtual CalloutStart startCallout(std::string_view cluster, std::span<const HeaderField> headers,
                                    std::string_view body, bool endStream,
                                    uint64_t& calloutId) = 0;
  /** The next piece of a call's body. False: the call takes no more. May nest. */
  virtual bool sendCalloutData(uint64_t calloutId, std::string_view bytes, bool endStream) = 0;
  /** Cancels a call. Its reset event may arrive before this returns. May nest. */
  virtual void resetCallout(uint64_t calloutId) = 0;

  /**
   * Asks for Stream::onWake at or soon after `deadlineNs` (host::monotonicNs). One wake per stream:
   * a later call replaces the earlier one, and 0 takes it back.
   */
  virtual void wakeAt(uint64_t deadlineNs) = 0;

  /** Changes a metric that the stream's config has defined. False: the proxy is gone already. */
  virtual bool updateMetric(MetricKind kind, MetricChange change, size_t metricId,
                            std::span<const std::string_view> labels, uint64_t value) = 0;

  // --- Facts. Nothing where this proxy, or this exchange, has none. Requires: an attribute of that
  // type, and of this proxy's release (host::release): others are logged as errors. ---

  /** Also nothing where the text is empty: Envoy has names and addresses that are so. */
  virtual std::optional<std::string_view> attributeText(Attribute attribute) = 0;
  virtual std::optional<uint64_t> attributeNumber(Attribute attribute) = 0;
  virtual std::optional<bool> attributeFlag(Attribute attribute) = 0;
  /** False where the proxy does not tell. */
  virtual bool timing(Timing& out) = 0;
  /** Address and port of the peer, whatever headers say. */
  virtual std::optional<std::string_view> directRemoteAddress() = 0;

  // --- Metadata and filter state ---

  /** Objects and null cannot be read: they are as if absent. */
  virtual std::optional<MetadataValue> metadata(MetadataSource source, std::string_view ns,
                                                std::string_view key) = 0;
  /** Names of the values in a namespace. */
  virtual std::vector<std::string> metadataKeys(MetadataSource source, std::string_view ns) = 0;
  virtual std::vector<std::string> metadataNamespaces(MetadataSource source) = 0;
  /** The message that is kept beside the values of a namespace: its type and its bytes. */
  virtual std::optional<std::pair<std::string_view, std::string_view>>
  typedMetadata(MetadataSource source, std::string_view ns) = 0;
  /**
   * Replaces a value of the dynamic metadata. False: this proxy cannot hold such a value, or cannot
   * put it in the place of the one that is there.
   */
  virtual bool setMetadata(std::string_view ns, std::string_view key,
                           const MetadataValue& value) = 0;
  /** The object under `key`, in its serialized form. */
  virtual std::optional<std::string_view> filterState(std::string_view key) = 0;
  /** Bytes, or with `typed` an object of the type that is registered under that key. */
  virtual FilterStateWrite setFilterState(std::string_view key, std::string_view value,
                                          bool typed) = 0;

  // --- Routing ---

  /**
   * Chooses the route anew, by the request as it is now. Requires: host::release() is
   * kFirstReroutingRelease or later.
   */
  virtual void clearRouteCache() = 0;
  virtual std::optional<std::string_view> clusterName() = 0;
  virtual std::optional<HostCount> hostCount(uint32_t priority) = 0;
  /** Asks for this host of the cluster, `IP:port`; false when there is no IP address. */
  virtual bool setUpstreamHost(std::string_view address, bool strict) = 0;

  // --- Options of sockets ---

  /** What setSocketOption has set; the proxy does not ask the system. */
  virtual std::optional<SocketOptionValue> socketOption(const SocketOption& option) = 0;
  /**
   * Sets it on the client's connection, or on the one that the request will be sent by: only such
   * connections are shared as have the same options. False: there is no client's connection, or the system
   * refuses. Requires: of the upstream, the request has not left.
   */
  virtual bool setSocketOption(const SocketOption& option, const SocketOptionValue& value) = 0;

  // --- Tracing. Texts are valid until the next of these calls. ---

  /** The span of the exchange; null when it is not traced. Valid until: the exchange is over. */
  virtual HostSpan* activeSpan() = 0;
  /** Null when the proxy makes none. */
  virtual HostSpan* spawnSpan(HostSpan& parent, std::string_view operation) = 0;
  /** Ends a child. May nest: a tracer may send what it has. Requires: no use of the span afterwards. */
  virtual void finishSpan(HostSpan& child) = 0;
  virtual void setSpanTag(HostSpan& span, std::string_view key, std::string_view value) = 0;
  virtual void logToSpan(HostSpan& span, std::string_view event) = 0;
  virtual void setSpanOperation(HostSpan& span, std::string_view operation) = 0;
  virtual void setSpanSampled(HostSpan& span, bool sampled) = 0;
  /** Nothing where the tracer keeps no baggage, too. */
  virtual std::optional<std::string_view> spanBaggage(HostSpan& span, std::string_view key) = 0;
  virtual void setSpanBaggage(HostSpan& span, std::string_view key, std::string_view value) = 0;
  virtual std::optional<std::string_view> traceId(HostSpan& span) = 0;
  virtual std::optional<std::string_view> spanId(HostSpan& span) = 0;

  /** Which worker this stream is on, from 0. */
  virtual uint32_t workerIndex() = 0;

  /** The Stream is of no more use to anybody: give its memory back. Called once, by the core. */
  virtual void release() = 0;
};

/** A value of the proxy's runtime: a number, or a flag that is 0 or 1. */
struct RuntimeValue {
  bool isFlag = false;
  double number = 0;
};

/** The proxy's process. Thread: any, unless said otherwise. */
namespace host {

/** One line in the proxy's log; `file` and `line` are the script's, empty and 0 when unknown. */
void log(LogLevel level, std::string_view message, std::string_view file, uint32_t line);
/** Whether a line at that level would be written; cheap. */
bool logEnabled(LogLevel level);
/** Nanoseconds of a clock that never goes back. */
uint64_t monotonicNs();
/** Which release of Envoy 1 this is or plays, as far as its interface tells: 38, 39, 40. */
uint32_t release();
/** Number of workers. Thread: main. */
uint32_t concurrency();
/** Nothing where the proxy has none, or none that is a number or a flag. Thread: main. */
std::optional<RuntimeValue> runtimeValue(std::string_view key);
/** Whether the proxy only checks its configuration. Thread: main. */
bool validating();

/** Calls `work` once a second from now on, on a thread that no request waits for; asked twice, it is the same. Thread: any. */
void eachSecond(void (*work)());

}  // namespace host
}  // namespace fairlead
