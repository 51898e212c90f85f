// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/host_fake.h"

#include <algorithm>
#include <cstdio>
#include <charconv>
#include <cstring>
#include <utility>

#include "filter-cc/route.h"
#include "filter-cc/stream.h"

#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define FAIRLEAD_ASAN
#endif
#endif
#ifdef __SANITIZE_ADDRESS__
#define FAIRLEAD_ASAN
#endif

namespace fairlead {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;
/** Not 0, which stands for "none" in places. */
constexpr uint64_t kStartNs = uint64_t{1'000'000} * kNsPerMs;
/** Longer than any wait_ms. */
constexpr uint64_t kMaxExchangeNs = uint64_t{7'200'000} * kNsPerMs;

/**
 * Names that Envoy keeps one line of, by map, as a stock 1.40.0 does: sent twice by a peer or added
 * twice by a filter, their values come out joined.
 */
constexpr std::string_view kSlotsOfBoth =
    " :path :method :scheme :authority :protocol :status cache-control connection "
    "content-encoding content-length content-type keep-alive proxy-connection "
    "transfer-encoding upgrade via x-envoy-attempt-count x-envoy-decorator-operation "
    "x-request-id ";
constexpr std::string_view kSlotsOfRequests =
    " accept accept-encoding access-control-request-headers access-control-request-method "
    "authorization expect grpc-accept-encoding grpc-timeout if-match if-modified-since "
    "if-none-match if-range origin pragma referer te user-agent x-client-trace-id "
    "x-envoy-downstream-service-cluster x-envoy-expected-rq-timeout-ms "
    "x-envoy-external-address x-envoy-internal x-envoy-original-path "
    "x-forwarded-client-cert x-forwarded-for x-forwarded-host x-forwarded-port "
    "x-forwarded-proto ";
constexpr std::string_view kSlotsOfResponses =
    " access-control-allow-credentials access-control-allow-headers "
    "access-control-allow-methods access-control-allow-origin "
    "access-control-expose-headers access-control-max-age age date etag expires "
    "grpc-message grpc-status last-modified location proxy-status server vary "
    "x-envoy-degraded x-envoy-immediate-health-check-fail x-envoy-ratelimited "
    "x-envoy-upstream-canary x-envoy-upstream-service-time ";
constexpr std::string_view kSlotsOfResponseTrailers = " grpc-message grpc-status ";

bool hasSlot(HeaderMap map, std::string_view name) {
  const std::string word = " " + std::string(name) + " ";
  const auto isIn = [&](std::string_view names) { return names.find(word) != names.npos; };
  switch (map) {
  case HeaderMap::Request:
    return isIn(kSlotsOfBoth) || isIn(kSlotsOfRequests);
  case HeaderMap::Response:
    return isIn(kSlotsOfBoth) || isIn(kSlotsOfResponses);
  case HeaderMap::ResponseTrailers:
    return isIn(kSlotsOfResponseTrailers);
  default:
    return false;
  }
}

/** What Envoy makes of an HTTP status for a gRPC caller. */
uint32_t envoyGrpcStatus(uint32_t httpStatus) {
  switch (httpStatus) {
  case 400:
    return 13;
  case 401:
    return 16;
  case 403:
    return 7;
  case 404:
    return 12;
  case 429:
  case 502:
  case 503:
  case 504:
    return 14;
  default:
    return 2;
  }
}

std::string percentEncoded(std::string_view text) {
  constexpr char kHex[] = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '%') {
      encoded += c;
    } else {
      encoded += '%';
      encoded += kHex[byte >> 4];
      encoded += kHex[byte & 15];
    }
  }
  return encoded;
}

bool isGrpcType(std::string_view type) {
  constexpr std::string_view kGrpc = "application/grpc";
  return type.starts_with(kGrpc) && (type.size() == kGrpc.size() || type[kGrpc.size()] == '+');
}

/** Whether an answer has no body, whatever its sender would send: it ends with its headers. */
bool isBodiless(const std::optional<std::string_view>& method, uint32_t status) {
  return method == "HEAD" || status == 204 || status == 304;
}

bool isPseudoName(std::string_view name) {
  constexpr std::string_view kNames[] = {":authority", ":method", ":path", ":scheme", ":status"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

HeaderList copyOf(std::span<const HeaderField> fields) {
  HeaderList list;
  for (const HeaderField& field : fields)
    list.emplace_back(lowerCase(field.name), field.value);
  return list;
}

std::string_view nameOf(Direction direction) {
  return direction == Direction::Request ? "Request" : "Response";
}

constexpr HeaderMap headersOf(Direction direction) {
  return direction == Direction::Request ? HeaderMap::Request : HeaderMap::Response;
}
constexpr HeaderMap trailersOf(Direction direction) {
  return direction == Direction::Request ? HeaderMap::RequestTrailers : HeaderMap::ResponseTrailers;
}

}  // namespace

// --- Views that die ---

std::string_view Loans::lend(std::string_view bytes) {
  Block block{std::make_unique<char[]>(std::max<size_t>(bytes.size(), 1)), bytes.size()};
  if (!bytes.empty())
    std::memcpy(block.bytes.get(), bytes.data(), bytes.size());
  const std::string_view view(block.bytes.get(), bytes.size());
  blocks_.push_back(std::move(block));
  return view;
}

void Loans::expire() {
  for (Block& block : blocks_) {
    std::memset(block.bytes.get(), 0xdd, block.size);
#ifndef FAIRLEAD_ASAN
    // Kept for a while, so that the next block does not bring the same bytes to the same place. The
    // address sanitizer sees more when the memory is gone.
    constexpr size_t kMaxKept = 64;
    // Never destroyed: WebAssembly has no destructors of threads.
    static thread_local auto& graves = *new std::deque<std::unique_ptr<char[]>>;
    graves.push_back(std::move(block.bytes));
    if (graves.size() > kMaxKept)
      graves.pop_front();
#endif
  }
  blocks_.clear();
}

// --- Header maps ---

FakeHeaderMap::FakeHeaderMap(HeaderMap kind, const HeaderList& lines) : kind_(kind) {
  for (const auto& [name, value] : lines)
    add(name, value);
}

std::optional<std::string_view> FakeHeaderMap::first(std::string_view name) const {
  const std::string lower = lowerCase(name);
  for (const auto& [key, value] : lines_) {
    if (key == lower)
      return value;
  }
  return std::nullopt;
}

void FakeHeaderMap::add(std::string_view name, std::string_view value) {
  const std::string lower = lowerCase(name);
  const auto isIt = [&](const auto& line) { return line.first == lower; };
  const auto line = std::find_if(lines_.begin(), lines_.end(), isIt);
  if (line != lines_.end() && hasSlot(kind_, lower)) {
    if (!line->second.empty())
      line->second += ',';
    line->second += value;
    return;
  }
  const auto isPlain = [](const auto& other) { return !other.first.starts_with(':'); };
  const auto place = lower.starts_with(':') ? std::find_if(lines_.begin(), lines_.end(), isPlain)
                                            : lines_.end();
  lines_.emplace(place, lower, value);
}

void FakeHeaderMap::set(std::string_view name, std::string_view value) {
  remove(name);
  add(name, value);
}

void FakeHeaderMap::setInPlace(std::string_view name, std::string_view value) {
  for (auto& [key, old] : lines_) {
    if (key == name) {
      old = value;
      return;
    }
  }
  add(name, value);
}

void FakeHeaderMap::remove(std::string_view name) {
  const std::string lower = lowerCase(name);
  std::erase_if(lines_, [&](const auto& line) { return line.first == lower; });
}

// --- Callouts ---

CalloutAnswer CalloutAnswer::of(uint32_t status, std::string body, uint64_t delayMs) {
  CalloutAnswer answer;
  answer.headers = {{":status", std::to_string(status)},
                    {"content-length", std::to_string(body.size())}};
  if (!body.empty())
    answer.frames.push_back(std::move(body));
  answer.delayMs = delayMs;
  return answer;
}

CalloutAnswer CalloutAnswer::failure(CalloutStart start) {
  CalloutAnswer answer;
  answer.start = start;
  return answer;
}

CalloutAnswer CalloutAnswer::refused() {
  CalloutAnswer answer = of(503, "upstream connect error or disconnect/reset before headers. reset "
                                 "reason: remote connection failure");
  answer.headers.emplace_back("content-type", "text/plain");
  return answer;
}

CalloutAnswer CalloutAnswer::disconnected() {
  CalloutAnswer answer = of(503, "upstream connect error or disconnect/reset before headers. reset "
                                 "reason: connection termination");
  answer.headers.emplace_back("content-type", "text/plain");
  return answer;
}

CalloutAnswer CalloutAnswer::silent() {
  CalloutAnswer answer;
  answer.end = End::Silent;
  return answer;
}

// --- Spans ---

constexpr std::string_view kTraceId = "4bf92f3577b34da6a3ce929d0e0e4736";

std::string spanIdOf(size_t index) {
  char id[17];
  std::snprintf(id, sizeof id, "00f067aa0ba9%04zx", index + 1);
  return id;
}

// --- What the core sees of Envoy ---

/** Envoy's filter object: the core's host, with the core's Stream inside. Owner: the Stream. */
class FakeStream final : public HostStream {
public:
  FakeStream(FakeEnvoy& envoy, Exchange& exchange, const FilterConfig& config)
      : envoy_(envoy), exchange_(&exchange), stream_(*this, config) {
    ++envoy_.filtersAlive_;
  }

  Stream& stream() { return stream_; }
  /** Envoy destroys the filter: from now on there is nobody to call. */
  void forget() { exchange_ = nullptr; }

  const FilterConfig* routeConfig(const FilterConfig& filter) override {
    if (exchange_ == nullptr || exchange_->options_.route == nullptr)
      return nullptr;
    routeConfig_ = exchange_->options_.route->over(filter);
    return routeConfig_.get();
  }

  std::optional<HeaderLookup> header(HeaderMap map, std::string_view name, size_t index) override {
    Exchange* exchange = enter(HostCall::Header, "header");
    return exchange == nullptr ? std::nullopt : exchange->header(map, name, index);
  }

  bool headers(HeaderMap map, std::vector<HeaderField>& out) override {
    out.clear();
    Exchange* exchange = enter(HostCall::Headers, "headers");
    return exchange != nullptr && exchange->headers(map, out);
  }

  void setHeader(HeaderMap map, std::string_view name, std::string_view value) override {
    if (Exchange* exchange = enter(HostCall::SetHeader, "setHeader"))
      exchange->setHeader(map, name, value);
  }

  void addHeader(HeaderMap map, std::string_view name, std::string_view value) override {
    if (Exchange* exchange = enter(HostCall::AddHeader, "addHeader"))
      exchange->addHeader(map, name, value);
  }

  void removeHeader(HeaderMap map, std::string_view name) override {
    if (Exchange* exchange = enter(HostCall::RemoveHeader, "removeHeader"))
      exchange->removeHeader(map, name);
  }

  size_t bodySize(Direction direction, BodyPart part) override {
    Exchange* exchange = enter(HostCall::BodySize, "bodySize");
    const std::string* bytes = exchange == nullptr ? nullptr : exchange->bodyPart(direction, part);
    return bytes == nullptr ? 0 : bytes->size();
  }

  void body(Direction direction, BodyPart part, std::vector<std::string_view>& out) override {
    out.clear();
    if (Exchange* exchange = enter(HostCall::Body, "body"))
      exchange->body(direction, part, out);
  }

  void drainBody(Direction direction, BodyPart part, size_t bytes) override {
    if (Exchange* exchange = enter(HostCall::DrainBody, "drainBody"))
      exchange->drainBody(direction, part, bytes);
  }

  void raiseBufferLimit(size_t bytes) override {
    Exchange* exchange = enter(HostCall::RaiseBufferLimit, "raiseBufferLimit");
    if (exchange != nullptr && exchange->bufferLimitBytes_ != 0)
      exchange->bufferLimitBytes_ = std::max<uint64_t>(exchange->bufferLimitBytes_, bytes);
  }

  // Below, this object may be gone when the exchange returns.

  void appendBody(Direction direction, BodyPart part, std::string_view bytes) override {
    if (Exchange* exchange = enter(HostCall::AppendBody, "appendBody"))
      exchange->appendBody(direction, part, bytes);
  }

  void continueMessage(Direction direction) override {
    if (Exchange* exchange = enter(HostCall::ContinueMessage, "continueMessage"))
      exchange->continueMessage(direction);
  }

  void sendResponse(uint32_t status, std::span<const HeaderField> headers, std::string_view body,
                    std::string_view details) override {
    if (Exchange* exchange = enter(HostCall::SendResponse, "sendResponse"))
      exchange->sendResponse(status, headers, body, details);
  }

  void sendResponseHeaders(std::span<const HeaderField> headers, bool endStream) override {
    if (Exchange* exchange = enter(HostCall::SendResponseHeaders, "sendResponseHeaders"))
      exchange->sendResponseHeaders(headers, endStream);
  }

  void sendResponseData(std::string_view bytes, bool endStream) override {
    if (Exchange* exchange = enter(HostCall::SendResponseData, "sendResponseData"))
      exchange->sendResponseData(bytes, endStream);
  }

  bool canBeginResponse() override {
    Exchange* exchange = enter(HostCall::CanBeginResponse, "canBeginResponse");
    return exchange != nullptr && exchange->canBeginResponse();
  }

  void resetStream(std::string_view details) override {
    if (Exchange* exchange = enter(HostCall::ResetStream, "resetStream"))
      exchange->resetStream(details);
  }

  void endConnection() override {
    if (Exchange* exchange = enter(HostCall::EndConnection, "endConnection"))
      exchange->endConnection();
  }

  void addResponseFlag(std::string_view flag) override {
    if (Exchange* exchange = enter(HostCall::AddResponseFlag, "addResponseFlag"))
      exchange->addResponseFlag(flag);
  }

  CalloutStart startCallout(std::string_view cluster, std::span<const HeaderField> headers,
                            std::string_view body, bool endStream, uint64_t& calloutId) override {
    calloutId = 0;
    Exchange* exchange = enter(HostCall::StartCallout, "startCallout");
    return exchange == nullptr
               ? CalloutStart::CannotCreateRequest
               : exchange->startCallout(cluster, headers, body, endStream, calloutId);
  }

  bool sendCalloutData(uint64_t calloutId, std::string_view bytes, bool endStream) override {
    Exchange* exchange = enter(HostCall::SendCalloutData, "sendCalloutData");
    return exchange != nullptr && exchange->sendCalloutData(calloutId, bytes, endStream);
  }

  void resetCallout(uint64_t calloutId) override {
    if (Exchange* exchange = enter(HostCall::ResetCallout, "resetCallout"))
      exchange->resetCallout(calloutId);
  }

  void wakeAt(uint64_t deadlineNs) override {
    if (Exchange* exchange = enter(HostCall::WakeAt, "wakeAt"))
      exchange->wakeAt(deadlineNs);
  }

  bool updateMetric(MetricKind kind, MetricChange change, size_t metricId,
                    std::span<const std::string_view> labels, uint64_t value) override {
    Exchange* exchange = enter(HostCall::UpdateMetric, "updateMetric");
    if (exchange != nullptr)
      envoy_.updateMetric(kind, change, metricId, labels, value);
    return exchange != nullptr;
  }

  std::optional<std::string_view> attributeText(Attribute attribute) override {
    Exchange* exchange = enter(HostCall::Attribute, "attributeText");
    return exchange == nullptr ? std::nullopt : exchange->attributeText(attribute);
  }

  std::optional<uint64_t> attributeNumber(Attribute attribute) override {
    Exchange* exchange = enter(HostCall::Attribute, "attributeNumber");
    return exchange == nullptr ? std::nullopt : exchange->attributeNumber(attribute);
  }

  std::optional<bool> attributeFlag(Attribute attribute) override {
    Exchange* exchange = enter(HostCall::Attribute, "attributeFlag");
    if (exchange == nullptr)
      return std::nullopt;
    const auto found = exchange->facts_.attributes.find(attribute);
    if (found != exchange->facts_.attributes.end())
      return std::get<bool>(found->second);
    return attribute == Attribute::HealthCheck ? std::optional(false) : std::nullopt;
  }

  bool timing(Timing& out) override {
    if (enter(HostCall::Attribute, "timing") == nullptr || host::release() < 40)
      return false;
    out[static_cast<size_t>(TimePoint::StartUnix)] = static_cast<int64_t>(kStartNs);
    return true;
  }

  std::optional<std::string_view> directRemoteAddress() override {
    Exchange* exchange = enter(HostCall::Attribute, "directRemoteAddress");
    return exchange == nullptr || host::release() < 40
               ? std::nullopt
               : exchange->attributeText(Attribute::SourceAddress);
  }

  std::optional<MetadataValue> metadata(MetadataSource source, std::string_view ns,
                                        std::string_view key) override {
    const ExchangeFacts::Values* values = valuesOf(source, ns);
    if (values == nullptr)
      return std::nullopt;
    const auto found = values->find(key);
    using Kind = MetadataValue::Kind;
    if (found == values->end() || found->second.kind == Kind::Object ||
        found->second.kind == Kind::Null)
      return std::nullopt;
    MetadataValue value = found->second;
    for (MetadataValue& item : value.items) {
      if (item.kind == Kind::Object || item.kind == Kind::List)
        item = MetadataValue();
    }
    return value;
  }

  std::vector<std::string> metadataKeys(MetadataSource source, std::string_view ns) override {
    std::vector<std::string> names;
    if (const ExchangeFacts::Values* values = valuesOf(source, ns)) {
      for (const auto& [name, value] : *values)
        names.push_back(name);
    }
    return names;
  }

  std::vector<std::string> metadataNamespaces(MetadataSource source) override {
    std::vector<std::string> names;
    if (const Exchange* exchange = enter(HostCall::Metadata, "metadataNamespaces")) {
      for (const auto& [name, values] : exchange->facts_.metadata[static_cast<size_t>(source)])
        names.push_back(name);
    }
    return names;
  }

  std::optional<std::pair<std::string_view, std::string_view>>
  typedMetadata(MetadataSource, std::string_view) override {
    enter(HostCall::Metadata, "typedMetadata");
    return std::nullopt;
  }

  bool setMetadata(std::string_view ns, std::string_view key, const MetadataValue& value) override {
    Exchange* exchange = enter(HostCall::SetMetadata, "setMetadata");
    using Kind = MetadataValue::Kind;
    const auto isFlat = [](const MetadataValue& item) {
      return item.kind == Kind::Text || item.kind == Kind::Number || item.kind == Kind::Flag;
    };
    if (exchange == nullptr)
      return true;
    ExchangeFacts::Values& values = exchange->facts_.metadata[0][std::string(ns)];
    // Before 1.40 a list is appended to, so it cannot replace anything.
    const bool fits = isFlat(value) || host::release() >= 40 ||
                      (value.kind == Kind::List && !value.items.empty() && !values.contains(key) &&
                       std::all_of(value.items.begin(), value.items.end(), isFlat));
    if (fits)
      values.insert_or_assign(std::string(key), value);
    return fits;
  }

  std::optional<std::string_view> filterState(std::string_view key) override {
    Exchange* exchange = enter(HostCall::FilterState, "filterState");
    if (exchange == nullptr)
      return std::nullopt;
    const auto found = exchange->facts_.filterState.find(key);
    return found == exchange->facts_.filterState.end()
               ? std::nullopt
               : std::optional(exchange->loans_[0].lend(found->second));
  }

  FilterStateWrite setFilterState(std::string_view key, std::string_view value,
                                  bool typed) override {
    Exchange* exchange = enter(HostCall::SetFilterState, "setFilterState");
    return exchange == nullptr ? FilterStateWrite::Refused
                               : exchange->setFilterState(key, value, typed);
  }

  void clearRouteCache() override { enter(HostCall::ClearRouteCache, "clearRouteCache"); }

  std::optional<std::string_view> clusterName() override {
    Exchange* exchange = enter(HostCall::Cluster, "clusterName");
    return exchange == nullptr || !exchange->facts_.cluster
               ? std::nullopt
               : std::optional(exchange->loans_[0].lend(*exchange->facts_.cluster));
  }

  std::optional<HostCount> hostCount(uint32_t priority) override {
    const Exchange* exchange = enter(HostCall::Cluster, "hostCount");
    if (exchange == nullptr || !exchange->facts_.cluster || priority > 0)
      return std::nullopt;
    return exchange->facts_.hosts;
  }

  bool setUpstreamHost(std::string_view address, bool) override {
    Exchange* exchange = enter(HostCall::SetUpstreamHost, "setUpstreamHost");
    return exchange == nullptr || exchange->setUpstreamHost(address);
  }

  std::optional<SocketOptionValue> socketOption(const SocketOption& option) override {
    const Exchange* exchange = enter(HostCall::SocketOption, "socketOption");
    return exchange == nullptr ? std::nullopt : exchange->socketOption(option);
  }

  bool setSocketOption(const SocketOption& option, const SocketOptionValue& value) override {
    Exchange* exchange = enter(HostCall::SetSocketOption, "setSocketOption");
    return exchange != nullptr && exchange->setSocketOption(option, value);
  }

  // The core holds a span as a pointer to what it does not know; here that is a FakeSpan.

  HostSpan* activeSpan() override {
    Exchange* exchange = enter(HostCall::Tracing, "activeSpan");
    return exchange == nullptr || exchange->spans_.empty() ? nullptr
                                                           : toHost(exchange->spans_.front());
  }

  HostSpan* spawnSpan(HostSpan& parent, std::string_view operation) override {
    Exchange* exchange = enter(HostCall::Tracing, "spawnSpan");
    if (exchange == nullptr)
      return nullptr;
    const FakeSpan& from = live(parent, "spawnSpan");
    return toHost(exchange->spans_.emplace_back(
        FakeSpan{spanIdOf(exchange->spans_.size()), from.id, std::string(operation), {}, {},
                 from.sampled, false}));
  }

  void finishSpan(HostSpan& child) override {
    enter(HostCall::Tracing, "finishSpan");
    if (stream_.scriptRuns())
      envoy_.violate("finishSpan: called while a script is on the stack");
    live(child, "finishSpan").finished = true;
  }

  void setSpanTag(HostSpan& span, std::string_view key, std::string_view value) override {
    enter(HostCall::Tracing, "setSpanTag");
    live(span, "setSpanTag").tags.emplace_back(key, value);
  }

  void logToSpan(HostSpan& span, std::string_view event) override {
    enter(HostCall::Tracing, "logToSpan");
    live(span, "logToSpan").events.emplace_back(event);
  }

  void setSpanOperation(HostSpan& span, std::string_view operation) override {
    enter(HostCall::Tracing, "setSpanOperation");
    live(span, "setSpanOperation").operation = operation;
  }

  void setSpanSampled(HostSpan& span, bool sampled) override {
    enter(HostCall::Tracing, "setSpanSampled");
    live(span, "setSpanSampled").sampled = sampled;
  }

  // As the tracers of a stock Envoy: they keep none.
  std::optional<std::string_view> spanBaggage(HostSpan& span, std::string_view) override {
    enter(HostCall::Tracing, "spanBaggage");
    live(span, "spanBaggage");
    return std::nullopt;
  }

  void setSpanBaggage(HostSpan& span, std::string_view, std::string_view) override {
    enter(HostCall::Tracing, "setSpanBaggage");
    live(span, "setSpanBaggage");
  }

  std::optional<std::string_view> traceId(HostSpan& span) override {
    live(span, "traceId");
    return tell("traceId", kTraceId);
  }

  std::optional<std::string_view> spanId(HostSpan& span) override {
    return tell("spanId", live(span, "spanId").id);
  }

  uint32_t workerIndex() override {
    Exchange* exchange = enter(HostCall::WorkerIndex, "workerIndex");
    return exchange == nullptr ? 0 : exchange->options_.workerIndex;
  }

  void release() override {
    if (exchange_ != nullptr) {
      exchange_->countCall(HostCall::Release);
      exchange_->violate("release: Envoy still holds the filter");
      exchange_->filter_ = nullptr;
    }
    --envoy_.filtersAlive_;
    delete this;
  }

private:
  ~FakeStream() override = default;

  static HostSpan* toHost(FakeSpan& span) { return reinterpret_cast<HostSpan*>(&span); }

  FakeSpan& live(HostSpan& span, const char* what) {
    auto& found = reinterpret_cast<FakeSpan&>(span);
    if (found.finished)
      envoy_.violate(std::string(what) + ": the span has been finished");
    return found;
  }

  std::optional<std::string_view> tell(const char* what, std::string_view text) {
    Exchange* exchange = enter(HostCall::Tracing, what);
    if (exchange == nullptr)
      return std::nullopt;
    exchange->traceLoans_.expire();
    return exchange->traceLoans_.lend(text);
  }

  Exchange* enter(HostCall call, const char* what) {
    if (exchange_ == nullptr)
      envoy_.violate(std::string(what) + ": called after Envoy had destroyed the filter");
    else
      exchange_->countCall(call);
    return exchange_;
  }

  const ExchangeFacts::Values* valuesOf(MetadataSource source, std::string_view ns) {
    const Exchange* exchange = enter(HostCall::Metadata, "metadata");
    if (exchange == nullptr)
      return nullptr;
    const auto& namespaces = exchange->facts_.metadata[static_cast<size_t>(source)];
    const auto found = namespaces.find(ns);
    return found == namespaces.end() ? nullptr : &found->second;
  }

  FakeEnvoy& envoy_;
  Exchange* exchange_;
  std::shared_ptr<const FilterConfig> routeConfig_;
  Stream stream_;
};

// --- The process ---

thread_local FakeEnvoy* FakeEnvoy::current_ = nullptr;

FakeEnvoy::FakeEnvoy(const FakeEnvoyOptions& options) : options_(options), nowNs_(kStartNs) {
  current_ = this;
}

FakeEnvoy::~FakeEnvoy() {
  if (current_ == this)
    current_ = nullptr;
}

FakeEnvoy::Turn::~Turn() {
  while (envoy_.depth_ == 1) {
    std::deque<uint64_t>& queue = envoy_.toDestroy_.empty() ? envoy_.toDeliver_ : envoy_.toDestroy_;
    if (queue.empty())
      break;
    const bool destroys = &queue == &envoy_.toDestroy_;
    Exchange* exchange = envoy_.find(queue.front());
    queue.pop_front();
    if (exchange == nullptr)
      continue;
    if (destroys) {
      exchange->destroyFilter();
      continue;
    }
    exchange->deliver(Direction::Request);
    exchange->deliver(Direction::Response);
  }
  --envoy_.depth_;
}

Exchange* FakeEnvoy::find(uint64_t exchangeId) const {
  const auto found = exchanges_.find(exchangeId);
  return found == exchanges_.end() ? nullptr : found->second;
}

void FakeEnvoy::advance(uint64_t ms) {
  const uint64_t endNs = nowNs_ + ms * kNsPerMs;
  for (Events* next = earliest(); next != nullptr && next->begin()->first <= endNs;
       next = earliest())
    runFirst(*next);
  nowNs_ = endNs;
  constexpr uint64_t kNsPerSecond = 1000 * kNsPerMs;
  for (; work_ != nullptr && nowNs_ - workedNs_ >= kNsPerSecond; workedNs_ += kNsPerSecond)
    work_();
}

void FakeEnvoy::eachSecond(void (*work)()) {
  if (work_ == nullptr)
    workedNs_ = nowNs_;
  work_ = work;
}

FakeEnvoy::Events* FakeEnvoy::earliest() {
  if (!jobWakes_.empty() &&
      (events_.empty() || jobWakes_.begin()->first <= events_.begin()->first))
    return &jobWakes_;
  return events_.empty() ? nullptr : &events_;
}

void FakeEnvoy::runFirst(Events& events) {
  auto event = events.extract(events.begin());
  nowNs_ = std::max(nowNs_, event.key());
  event.mapped()();
}

std::optional<uint64_t> FakeEnvoy::nextNs() const {
  return events_.empty() ? std::nullopt : std::optional(events_.begin()->first);
}

bool FakeEnvoy::runNext() {
  if (events_.empty())
    return false;
  runFirst(*earliest());
  return true;
}

void FakeEnvoy::post(uint64_t delayMs, std::function<void()> event) {
  postAt(nowNs_ + delayMs * kNsPerMs, std::move(event));
}

FakeEnvoy::Events::iterator FakeEnvoy::postAt(uint64_t timeNs, std::function<void()> event) {
  return events_.emplace(std::max(timeNs, nowNs_), std::move(event));
}

/** A job's calls are answered whole, in one event. */
class FakeJob final : public HostJob {
public:
  FakeJob(FakeEnvoy& envoy, Background& job) : envoy_(envoy), job_(job) {}
  ~FakeJob() override {
    *alive_ = false;
    wakeAt(0);
  }

  void wakeAt(uint64_t deadlineNs) override {
    if (wake_)
      envoy_.jobWakes_.erase(*std::exchange(wake_, std::nullopt));
    if (deadlineNs == 0)
      return;
    wake_ = envoy_.jobWakes_.emplace(std::max(deadlineNs, envoy_.nowNs_), [this] {
      wake_.reset();
      const FakeEnvoy::Turn turn(envoy_);
      job_.onWake();
    });
  }

  CalloutStart startCallout(std::string_view cluster, std::span<const HeaderField> headers,
                            std::string_view body, bool endStream, uint64_t& calloutId) override {
    const auto handler = envoy_.clusters_.find(cluster);
    if (handler == envoy_.clusters_.end())
      return CalloutStart::ClusterNotFound;
    calloutId = ++lastCalloutId_;
    calls_[calloutId] = {std::string(cluster), copyOf(headers), std::string(body)};
    if (endStream)
      ask(calloutId, handler->second);
    return CalloutStart::Started;
  }

  std::string secret(size_t id) override { return envoy_.secrets_[envoy_.subscribed_[id - 1]]; }

  // It sees no files.
  void watchFile(const std::string&) override {}
  FileNews fileNews() override { return {}; }

  bool sendCalloutData(uint64_t calloutId, std::string_view bytes, bool endStream) override {
    const auto call = calls_.find(calloutId);
    if (call == calls_.end())
      return false;
    call->second.body += bytes;
    if (endStream)
      ask(calloutId, envoy_.clusters_.find(call->second.cluster)->second);
    return true;
  }

  void resetCallout(uint64_t calloutId) override { calls_.erase(calloutId); }

  bool updateMetric(MetricKind kind, MetricChange change, size_t metricId,
                    std::span<const std::string_view> labels, uint64_t value) override {
    envoy_.updateMetric(kind, change, metricId, labels, value);
    return true;
  }

private:
  void ask(uint64_t calloutId, const CalloutHandler& handler) {
    envoy_.jobCallouts_.push_back(calls_[calloutId]);
    const std::optional<CalloutAnswer> answer = handler(calls_[calloutId]);
    if (!answer)
      return;
    envoy_.jobWakes_.emplace(envoy_.nowNs_ + answer->delayMs * kNsPerMs,
                             [this, alive = alive_, calloutId, answer = *answer] {
                               if (*alive && calls_.erase(calloutId) != 0)
                                 play(calloutId, answer);
                             });
  }

  void play(uint64_t calloutId, const CalloutAnswer& answer) {
    const FakeEnvoy::Turn turn(envoy_);
    Loans loans;
    std::vector<HeaderField> fields;
    for (const auto& [name, value] : answer.headers)
      fields.push_back({loans.lend(name), loans.lend(value)});
    const bool completes = answer.end == CalloutAnswer::End::Complete;
    if (!fields.empty())
      job_.onCalloutHeaders(calloutId, fields, completes && answer.frames.empty());
    for (const std::string& frame : answer.frames) {
      const std::string_view piece = loans.lend(frame);
      job_.onCalloutData(calloutId, {&piece, 1}, false);
    }
    if (completes)
      job_.onCalloutComplete(calloutId);
    else if (answer.end == CalloutAnswer::End::Reset)
      job_.onCalloutReset(calloutId);
  }

  FakeEnvoy& envoy_;
  Background& job_;
  std::optional<FakeEnvoy::Events::iterator> wake_;
  std::map<uint64_t, CalloutRequest> calls_;
  uint64_t lastCalloutId_ = 0;
  /** Outlives this in the events that are still to come. */
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

size_t FakeEnvoy::subscribeSecret(std::string_view name, std::string_view configSource) {
  if (configSource.empty() && secrets_.find(name) == secrets_.end())
    return 0;
  subscribed_.emplace_back(name);
  return subscribed_.size();
}

std::unique_ptr<HostJob> FakeEnvoy::newJob(Background& job) {
  return std::make_unique<FakeJob>(*this, job);
}

size_t FakeEnvoy::defineMetric(MetricKind kind, const std::string& name,
                               std::span<const std::string_view> labels) {
  metricNames_.push_back({kind, name, {labels.begin(), labels.end()}});
  return metricNames_.size();
}

void FakeEnvoy::updateMetric(MetricKind kind, MetricChange change, size_t metricId,
                             std::span<const std::string_view> labels, uint64_t value) {
  if (metricId == 0 || metricId > metricNames_.size() ||
      metricNames_[metricId - 1].kind != kind ||
      metricNames_[metricId - 1].labels.size() != labels.size()) {
    violate("updateMetric: there is no such metric");
    return;
  }
  std::string text = metricNames_[metricId - 1].name;
  for (size_t i = 0; i < labels.size(); ++i)
    text.append(" ").append(metricNames_[metricId - 1].labels[i]).append("=").append(labels[i]);
  uint64_t& now = metrics_[text];
  switch (change) {
  case MetricChange::Add:
  case MetricChange::Record:
    now += value;
    break;
  case MetricChange::Subtract:
    now -= value;
    break;
  case MetricChange::Set:
    now = value;
    break;
  }
}

void FakeEnvoy::setCluster(std::string name, CalloutHandler handler) {
  clusters_.insert_or_assign(std::move(name), std::move(handler));
}

std::vector<std::string> FakeEnvoy::finish() {
  if (!exchanges_.empty())
    violate("finish: an exchange is still there");
  if (filtersAlive_ != 0)
    violate("release: " + std::to_string(filtersAlive_) + " filters were never given back");
  return std::exchange(violations_, {});
}

namespace host {

void log(LogLevel level, std::string_view message, std::string_view file, uint32_t line) {
  if (FakeEnvoy* envoy = FakeEnvoy::current(); envoy != nullptr && logEnabled(level))
    envoy->write({level, std::string(message), std::string(file), line});
}

bool logEnabled(LogLevel level) {
  const FakeEnvoy* envoy = FakeEnvoy::current();
  return envoy != nullptr && level != LogLevel::Off && level >= envoy->options().logLevel;
}

uint64_t monotonicNs() {
  const FakeEnvoy* envoy = FakeEnvoy::current();
  return envoy == nullptr ? kStartNs : envoy->nowNs();
}

uint32_t release() {
  const FakeEnvoy* envoy = FakeEnvoy::current();
  return 38 + static_cast<uint32_t>(envoy == nullptr ? EnvoyRelease::V1_40
                                                     : envoy->options().release);
}

std::optional<RuntimeValue> runtimeValue(std::string_view key) {
  const FakeEnvoy* envoy = FakeEnvoy::current();
  return envoy == nullptr ? std::nullopt : envoy->runtime(key);
}

uint32_t concurrency() {
  const FakeEnvoy* envoy = FakeEnvoy::current();
  return envoy == nullptr ? 1 : envoy->options().concurrency;
}

bool validating() {
  const FakeEnvoy* envoy = FakeEnvoy::current();
  return envoy != nullptr && envoy->options().validating;
}

void eachSecond(void (*work)()) {
  if (FakeEnvoy* envoy = FakeEnvoy::current())
    envoy->eachSecond(work);
}

}  // namespace host

// --- What arrives at the ends ---

uint32_t Received::status() const {
  uint32_t status = 0;
  if (const auto text = header(":status"))
    std::from_chars(text->data(), text->data() + text->size(), status);
  return status;
}

std::optional<std::string> Received::header(std::string_view name) const {
  std::optional<std::string> joined;
  for (const auto& [key, value] : headers) {
    if (key == name)
      joined = joined ? *joined + ", " + value : value;
  }
  return joined;
}

// --- An exchange ---

Exchange::Exchange(FakeEnvoy& envoy, const FilterConfig& config, const ExchangeOptions& options)
    : envoy_(envoy), options_(options), script_(*config.script), id_(envoy.nextExchangeId_++),
      filter_(new FakeStream(envoy, *this, config)), facts_(options.facts) {
  if (facts_.traced)
    spans_.push_back({spanIdOf(0), "", "ingress", {}, {}, true, false});
  envoy_.exchanges_.emplace(id_, this);
}

Exchange::~Exchange() {
  clientLeaves();
  destroyFilter();
  envoy_.exchanges_.erase(id_);
}

Stream* Exchange::stream() { return filter_ == nullptr ? nullptr : &filter_->stream(); }
HostStream* Exchange::host() { return filter_; }

size_t Exchange::heldBytes(Direction direction) const {
  return flow(direction).buffered ? flow(direction).buffered->size() : 0;
}

void Exchange::violate(const std::string& what) { envoy_.violate(what); }

// --- Steps ---

void Exchange::requestHeaders(const HeaderList& headers, bool endStream) {
  step(Direction::Request, {Piece::Headers, headers, {}, endStream});
}

void Exchange::requestData(std::string bytes, bool endStream) {
  step(Direction::Request, {Piece::Data, {}, std::move(bytes), endStream});
}

void Exchange::requestTrailers(const HeaderList& trailers) {
  step(Direction::Request, {Piece::Trailers, trailers, {}, true});
}

void Exchange::responseHeaders(const HeaderList& headers, bool endStream) {
  step(Direction::Response, {Piece::Headers, headers, {}, endStream});
}

void Exchange::responseData(std::string bytes, bool endStream) {
  step(Direction::Response, {Piece::Data, {}, std::move(bytes), endStream});
}

void Exchange::responseTrailers(const HeaderList& trailers) {
  step(Direction::Response, {Piece::Trailers, trailers, {}, true});
}

void Exchange::step(Direction direction, Frame frame) {
  if (running_.empty() && !clientStays())
    return;
  const FakeEnvoy::Turn turn(envoy_);
  if (direction == Direction::Response) {
    if (replies_ > 0)
      return;
    upstreamEnded_ = upstreamEnded_ || frame.endStream;
  }
  if (!flows(direction))
    return;
  flow(direction).inbound.push_back(std::move(frame));
  // What happens while a hook runs waits: Envoy's events do not nest.
  if (running_.empty())
    deliver(direction);
  else
    envoy_.toDeliver_.push_back(id_);
}

void Exchange::clientPauses(bool pauses) {
  const FakeEnvoy::Turn turn(envoy_);
  HookCall call{HookCall::Kind::Client};
  hook(call, [&](Stream& stream) { stream.onClientFull(pauses); });
}

void Exchange::clientLeaves() {
  const FakeEnvoy::Turn turn(envoy_);
  if (!complete_)
    atClient_.reset = true;
  end();
}

bool Exchange::clientStays() {
  if (!reloaded_ && hooks_ >= options_.reloadsAfterHooks) {
    reloaded_ = true;
    script_.claim();
    script_.release();
  }
  if (!complete_ && hooks_ >= options_.clientLeavesAfterHooks)
    clientLeaves();
  return !complete_;
}

void Exchange::upstreamDisconnects() {
  const FakeEnvoy::Turn turn(envoy_);
  if (complete_ || replies_ > 0 || upstreamEnded_)
    return;
  upstreamEnded_ = true;
  if (map(HeaderMap::Response))
    resetDownstream();
  else
    localReply(503, CalloutAnswer::disconnected().frames.front(),
               "upstream_reset_before_response_started{connection_termination}");
}

void Exchange::localReply(uint32_t status, std::string_view body, std::string_view details) {
  reply(makeReply(status, {}, body, details, std::nullopt), false);
}

void Exchange::earlierReply(const HeaderList& requestHeaders, uint32_t status,
                            std::string_view body, std::string_view details) {
  readRequest(requestHeaders);
  localReply(status, body, details);
}

// --- The chain: what hooks answer, and what follows from it ---

bool Exchange::paused(Direction direction) const {
  const Flow& flow = this->flow(direction);
  return flow.stopped && flow.streaming && bufferLimitBytes_ != 0 &&
         heldBytes(direction) > bufferLimitBytes_;
}

void Exchange::deliver(Direction direction) {
  const FakeEnvoy::Turn turn(envoy_);
  Flow& flow = this->flow(direction);
  while (flows(direction) && !flow.inbound.empty() && !paused(direction)) {
    Frame frame = std::move(flow.inbound.front());
    flow.inbound.pop_front();
    deliverFrame(direction, std::move(frame));
  }
  if (!flows(direction))
    flow.inbound.clear();
}

void Exchange::deliverFrame(Direction direction, Frame frame) {
  switch (frame.piece) {
  case Piece::Headers:
    deliverHeaders(direction, frame);
    break;
  case Piece::Data:
    deliverData(direction, frame);
    break;
  case Piece::Trailers:
    deliverTrailers(direction, frame);
    break;
  }
  if (running_.empty())
    finishPreparedReply();
}

template <class Body> bool Exchange::hook(HookCall& call, Body&& body) {
  if (filter_ == nullptr)
    return false;
  const FakeEnvoy::Turn turn(envoy_);
  const StreamRef keep(filter_->stream());
  running_.push_back({call.kind, call.direction});
  ++hooks_;
  body(*keep);
  if (filter_ != nullptr && filter_->stream().scriptRuns())
    violate("a hook returned with the script on the stack");
  if (filter_ != nullptr && probeForTest)
    probeForTest(*this, call);
  running_.pop_back();
  for (Loans& loans : loans_)
    loans.expire();
  for (Loans& loans : bodyLoans_)
    loans.expire();
  return true;
}

bool Exchange::inHookOf(Direction direction) const {
  return std::any_of(running_.begin(), running_.end(), [&](const Running& hook) {
    return hook.direction == direction &&
           (hook.kind == HookCall::Kind::Headers || hook.kind == HookCall::Kind::Body ||
            hook.kind == HookCall::Kind::Trailers);
  });
}

void Exchange::readRequest(const HeaderList& headers) {
  FakeHeaderMap& request = map(HeaderMap::Request).emplace(HeaderMap::Request, headers);
  isHead_ = request.first(":method") == "HEAD";
  const auto type = request.first("content-type");
  isGrpc_ = type && isGrpcType(*type);
}

void Exchange::deliverHeaders(Direction direction, const Frame& frame) {
  if (direction == Direction::Request)
    readRequest(frame.headers);
  else
    map(HeaderMap::Response).emplace(HeaderMap::Response, frame.headers);
  if (direction == Direction::Response)
    responseCode_ = Received{frame.headers, {}, {}}.status();
  flow(direction).endSeen = frame.endStream;
  HookCall call{HookCall::Kind::Headers, direction, frame.endStream};
  const uint32_t replies = replies_;
  if (!flow(direction).suppressed) {
    hook(call,
         [&](Stream& stream) { call.headers = stream.onHeaders(direction, frame.endStream); });
  }
  if (!flows(direction) || (direction == Direction::Response && replies != replies_))
    return;
  if (call.headers != HeadersStatus::Continue) {
    flow(direction).stopped = true;
    return;
  }
  const bool hasBody = flow(direction).buffered.has_value();
  if (hasBody && !frame.endStream)
    violate("appendBody: bytes stay behind when the headers of a message with a body go on");
  forwardHeaders(direction, frame.endStream && !hasBody);
  if (hasBody && flows(direction))
    forwardData(direction, *std::exchange(flow(direction).buffered, std::nullopt), frame.endStream);
}

void Exchange::deliverData(Direction direction, Frame& frame) {
  flow(direction).endSeen = frame.endStream;
  HookCall call{HookCall::Kind::Body, direction, frame.endStream};
  const uint32_t replies = replies_;
  if (!flow(direction).suppressed) {
    flow(direction).received = &frame.data;
    hook(call, [&](Stream& stream) { call.body = stream.onBody(direction, frame.endStream); });
    flow(direction).received = nullptr;
  }
  if (!flows(direction) || (direction == Direction::Response && replies != replies_))
    return;
  if (call.body != BodyStatus::Continue) {
    hold(direction, frame, call.body);
    return;
  }
  if (!flow(direction).stopped) {
    forwardData(direction, frame.data, frame.endStream);
    return;
  }
  // With what is held, and after the headers if those are held too.
  flow(direction).buffered = flow(direction).buffered.value_or("") + frame.data;
  continueChain(direction);
}

void Exchange::hold(Direction direction, const Frame& frame, BodyStatus status) {
  Flow& flow = this->flow(direction);
  flow.stopped = true;
  if (status == BodyStatus::StopIterationNoBuffer) {
    // The frame is dropped, but not the end of the message.
    if (frame.endStream && !flow.buffered)
      flow.buffered = "";
    return;
  }
  flow.streaming = status == BodyStatus::StopIterationAndWatermark;
  flow.buffered = flow.buffered.value_or("") + frame.data;
  flow.mostHeldBytes = std::max(flow.mostHeldBytes, flow.buffered->size());
  if (flow.streaming || bufferLimitBytes_ == 0 || flow.buffered->size() <= bufferLimitBytes_)
    return;
  if (direction == Direction::Request)
    localReply(413, "Payload Too Large", "request_payload_too_large");
  else
    localReply(500, "Internal Server Error", "response_payload_too_large");
}

void Exchange::deliverTrailers(Direction direction, const Frame& frame) {
  const HeaderMap which = trailersOf(direction);
  map(which).emplace(which, frame.headers);
  flow(direction).trailersSeen = true;
  HookCall call{HookCall::Kind::Trailers, direction, true};
  const uint32_t replies = replies_;
  if (!flow(direction).suppressed)
    hook(call, [&](Stream& stream) { call.trailers = stream.onTrailers(direction); });
  if (!flows(direction) || (direction == Direction::Response && replies != replies_))
    return;
  if (call.trailers == TrailersStatus::StopIteration)
    flow(direction).stopped = true;
  else if (flow(direction).stopped)
    continueChain(direction);
  else
    forwardTrailers(direction);
}

void Exchange::continueChain(Direction direction) {
  Flow& flow = this->flow(direction);
  flow.stopped = false;
  if (!flow.headersForwarded)
    forwardHeaders(direction, flow.endSeen && !flow.buffered && !flow.trailersSeen);
  if (flows(direction) && flow.buffered) {
    // What was held is not shown to our hook again.
    std::string data = *std::exchange(flow.buffered, std::nullopt);
    forwardData(direction, std::move(data), flow.endSeen && !flow.trailersSeen);
  }
  if (flows(direction) && flow.trailersSeen)
    forwardTrailers(direction);
  // The sender may go on: in an event of its own.
  envoy_.toDeliver_.push_back(id_);
}

void Exchange::forwardHeaders(Direction direction, bool endStream) {
  flow(direction).headersForwarded = true;
  Received& to = sink(direction);
  ++to.starts;
  to.headers = map(headersOf(direction))->lines();
  if (direction == Direction::Request && onUpstreamHeaders)
    onUpstreamHeaders(*this);
  if (endStream && flows(direction))
    atEnd(direction);
}

void Exchange::forwardData(Direction direction, std::string data, bool endStream) {
  if (direction == Direction::Request || !isHead_)
    sink(direction).body += data;
  if (endStream)
    atEnd(direction);
}

void Exchange::forwardTrailers(Direction direction) {
  if (std::exchange(flow(direction).trailersForwarded, true))
    return;
  sink(direction).trailers = map(trailersOf(direction))->lines();
  atEnd(direction);
}

void Exchange::atEnd(Direction direction) {
  sink(direction).ended = true;
  if (direction == Direction::Request) {
    if (onUpstreamEnd)
      onUpstreamEnd(*this);
  } else if (!options_.holdResponse || bypassesFilters_) {
    end();
  }
}

void Exchange::releaseResponse() {
  const FakeEnvoy::Turn turn(envoy_);
  if (atClient_.ended)
    end();
}

// --- Replies ---

Exchange::Reply Exchange::makeReply(uint32_t status, const HeaderList& headers,
                                    std::string_view body, std::string_view details,
                                    std::optional<uint32_t> grpcStatus) const {
  FakeHeaderMap map(HeaderMap::Response, {{":status", std::to_string(status)}});
  for (const auto& [name, value] : headers)
    map.add(name, value);
  Reply reply{status, {}, std::string(body), std::string(details)};
  if (isGrpc_) {
    map.setInPlace(":status", "200");
    map.setInPlace("content-type", "application/grpc");
    if (!map.first("grpc-status"))
      map.add("grpc-status", std::to_string(grpcStatus.value_or(envoyGrpcStatus(status))));
    if (!body.empty() && !isHead_)
      map.setInPlace("grpc-message", percentEncoded(body));
    map.remove("content-length");
    reply.body.clear();
  } else if (body.empty()) {
    map.remove("content-length");
    map.remove("content-type");
  } else {
    map.setInPlace("content-length", std::to_string(body.size()));
    if (!map.first("content-type"))
      map.add("content-type", "text/plain");
  }
  reply.headers = map.lines();
  return reply;
}

void Exchange::reply(Reply reply, bool ours) {
  const FakeEnvoy::Turn turn(envoy_);
  if (complete_)
    return;
  HookCall call{HookCall::Kind::LocalReply, Direction::Response};
  hook(call, [&](Stream& stream) { stream.onLocalReply(reply.status, reply.details); });
  details_ = reply.details;
  flow(Direction::Request).aborted = true;
  if (atClient_.starts > 0) {
    resetDownstream();
    return;
  }
  const uint32_t number = ++replies_;
  // A response that is on its way through the filters is replaced behind their backs.
  const bool inChain = map(HeaderMap::Response).has_value();
  Flow& flow = this->flow(Direction::Response);
  const size_t mostHeldBytes = flow.mostHeldBytes;
  flow = Flow{};
  flow.mostHeldBytes = mostHeldBytes;
  flow.suppressed = ours || inChain;
  bypassesFilters_ = inChain;
  const bool headersOnly = reply.body.empty() || isHead_;
  deliverFrame(Direction::Response, {Piece::Headers, std::move(reply.headers), {}, headersOnly});
  if (!headersOnly && !complete_ && number == replies_)
    deliverFrame(Direction::Response, {Piece::Data, {}, std::move(reply.body), true});
}

void Exchange::finishPreparedReply() {
  if (prepared_)
    reply(*std::exchange(prepared_, std::nullopt), true);
}

void Exchange::resetDownstream() {
  atClient_.reset = true;
  end();
}

void Exchange::end() {
  if (std::exchange(complete_, true))
    return;
  atUpstream_.reset = atUpstream_.starts > 0 && !(atUpstream_.ended && upstreamEnded_);
  HookCall call{HookCall::Kind::Complete};
  hook(call, [](Stream& stream) { stream.onComplete(); });
  torn_ = true;
  for (const FakeSpan& span : spans_) {
    if (!span.parentId.empty() && !span.finished)
      violate("a child span outlives its exchange: " + span.operation);
  }
  if (envoy_.options_.release == EnvoyRelease::V1_40)
    envoy_.toDestroy_.push_back(id_);
  else
    destroyFilter();
}

void Exchange::destroyFilter() {
  wakeAt(0);
  FakeStream* filter = std::exchange(filter_, nullptr);
  if (filter == nullptr)
    return;
  // Calls that are still open are cancelled without a word.
  for (Callout& callout : callouts_)
    callout.open = false;
  filter->forget();
  filter->stream().unref();
}

// --- What the core calls ---

bool Exchange::mayNest(const char* what) {
  if (filter_->stream().scriptRuns())
    violate(std::string(what) + ": called with the script on the stack");
  if (!running_.empty() && running_.back().kind == HookCall::Kind::Client)
    violate(std::string(what) + ": called while the client's buffer tells how full it is");
  if (!complete_)
    return true;
  violate(std::string(what) + ": called after the stream had ended");
  return false;
}

bool Exchange::mayWrite(HeaderMap which, const char* what, std::string_view name,
                        std::string_view value) {
  const std::string where = std::string(what) + "(" + std::string(name) + "): ";
  if (!isHeaderName(name) && !isPseudoName(name))
    violate(where + "not a header name");
  if (!isHeaderValue(value))
    violate(where + "a value with CR, LF or NUL");
  if (torn_ || !map(which)) {
    violate(where + "that map does not exist");
    return false;
  }
  const bool ofRequest = which == HeaderMap::Request || which == HeaderMap::RequestTrailers;
  const Flow& flow = this->flow(ofRequest ? Direction::Request : Direction::Response);
  const bool isTrailer = which == HeaderMap::RequestTrailers ||
                         which == HeaderMap::ResponseTrailers;
  if (isTrailer ? flow.trailersForwarded : flow.headersForwarded)
    violate(where + "the message has left");
  loans_[static_cast<size_t>(which)].expire();
  return true;
}

std::optional<HeaderLookup> Exchange::header(HeaderMap which, std::string_view name, size_t index) {
  if (torn_ || !map(which))
    return std::nullopt;
  const std::string lower = lowerCase(name);
  std::optional<std::string_view> found;
  size_t count = 0;
  for (const auto& [key, value] : map(which)->lines()) {
    if (key == lower && count++ == index)
      found = value;
  }
  if (!found)
    return std::nullopt;
  return HeaderLookup{loans_[static_cast<size_t>(which)].lend(*found), count};
}

bool Exchange::headers(HeaderMap which, std::vector<HeaderField>& out) {
  if (torn_ || !map(which))
    return false;
  std::string all;
  for (const auto& [name, value] : map(which)->lines())
    all.append(name).append(value);
  const char* at = loans_[static_cast<size_t>(which)].lend(all).data();
  for (const auto& [name, value] : map(which)->lines()) {
    out.push_back({{at, name.size()}, {at + name.size(), value.size()}});
    at += name.size() + value.size();
  }
  return true;
}

void Exchange::setHeader(HeaderMap which, std::string_view name, std::string_view value) {
  // The bytes may be views of the very map.
  const std::string ownName(name);
  const std::string ownValue(value);
  if (!mayWrite(which, "setHeader", ownName, ownValue))
    return;
  if (ownValue.empty()) {
    violate("setHeader(" + ownName + "): an empty value removes the header");
    map(which)->remove(ownName);
  } else {
    map(which)->set(ownName, ownValue);
  }
}

void Exchange::addHeader(HeaderMap which, std::string_view name, std::string_view value) {
  const std::string ownName(name);
  const std::string ownValue(value);
  if (!mayWrite(which, "addHeader", ownName, ownValue))
    return;
  if (ownValue.empty())
    violate("addHeader(" + ownName + "): Envoy refuses an empty value");
  else
    map(which)->add(ownName, ownValue);
}

void Exchange::removeHeader(HeaderMap which, std::string_view name) {
  const std::string ownName(name);
  if (mayWrite(which, "removeHeader", ownName, {}))
    map(which)->remove(ownName);
}

const std::string* Exchange::bodyPart(Direction direction, BodyPart part) const {
  const Flow& flow = this->flow(direction);
  if (torn_)
    return nullptr;
  if (part == BodyPart::Received)
    return flow.received;
  return flow.buffered ? &*flow.buffered : nullptr;
}

void Exchange::body(Direction direction, BodyPart part, std::vector<std::string_view>& out) {
  const std::string* bytes = bodyPart(direction, part);
  if (bytes == nullptr || bytes->empty())
    return;
  // In pieces, as Envoy has it.
  Loans& loans = bodyLoans_[static_cast<size_t>(direction)];
  const std::string_view all(*bytes);
  const size_t middle = all.size() / 2;
  if (middle > 0)
    out.push_back(loans.lend(all.substr(0, middle)));
  out.push_back(loans.lend(all.substr(middle)));
}

bool Exchange::mayWriteBody(Direction direction, const char* what) {
  if (!mayNest(what))
    return false;
  bodyLoans_[static_cast<size_t>(direction)].expire();
  return true;
}

void Exchange::drainBody(Direction direction, BodyPart part, size_t bytes) {
  if (!mayWriteBody(direction, "drainBody") || bytes == 0)
    return;
  Flow& flow = this->flow(direction);
  std::string* from = part == BodyPart::Received ? flow.received
                      : flow.buffered            ? &*flow.buffered
                                                 : nullptr;
  if (from == nullptr || bytes > from->size()) {
    violate("drainBody: more than there is");
    return;
  }
  from->erase(0, bytes);
  // The sender may go on: in an event of its own.
  envoy_.toDeliver_.push_back(id_);
}

void Exchange::appendBody(Direction direction, BodyPart part, std::string_view bytes) {
  const std::string own(bytes);
  if (!mayWriteBody(direction, "appendBody") || own.empty())
    return;
  const FakeEnvoy::Turn turn(envoy_);
  Flow& flow = this->flow(direction);
  if (part == BodyPart::Received) {
    if (flow.received == nullptr)
      violate("appendBody: nothing is being received");
    else
      *flow.received += own;
    return;
  }
  if (!flow.stopped && !inHookOf(direction)) {
    violate("appendBody: nothing is held");
    return;
  }
  if (flow.trailersSeen && !flow.stopped) {
    forwardData(direction, own, false);
    return;
  }
  flow.streaming = true;
  flow.buffered = flow.buffered.value_or("") + own;
  flow.mostHeldBytes = std::max(flow.mostHeldBytes, flow.buffered->size());
}

void Exchange::continueMessage(Direction direction) {
  const std::string what = "continueMessage(" + std::string(nameOf(direction)) + ")";
  if (!mayNest(what.c_str()))
    return;
  const FakeEnvoy::Turn turn(envoy_);
  if (inHookOf(direction)) {
    violate(what + ": called inside a hook of that direction");
    if (flows(direction) && !flow(direction).headersForwarded)
      continueChain(direction);
    return;
  }
  if (!flow(direction).stopped) {
    violate(what + ": nothing is held");
    return;
  }
  if (flows(direction))
    continueChain(direction);
  else
    flow(direction).stopped = false;
}

void Exchange::sendResponse(uint32_t status, std::span<const HeaderField> headers,
                            std::string_view body, std::string_view details) {
  if (!mayNest("sendResponse"))
    return;
  for (const HeaderField& field : headers) {
    if (!isHeaderName(field.name) || !isHeaderValue(field.value))
      violate("sendResponse(" + std::string(field.name) + "): not a header");
  }
  if (std::exchange(replied_, true))
    violate("sendResponse: a second reply");
  const std::string_view why = details.empty() ? "dynamic_module" : details;
  Reply made = makeReply(status, copyOf(headers), body, why, 0);
  if (!inHookOf(Direction::Request)) {
    reply(std::move(made), true);
    return;
  }
  // Envoy sends it when the hook has returned; the first one counts.
  flow(Direction::Request).aborted = true;
  if (!prepared_)
    prepared_ = std::move(made);
}

void Exchange::sendResponseHeaders(std::span<const HeaderField> headers, bool endStream) {
  if (!mayNest("sendResponseHeaders"))
    return;
  for (const HeaderField& field : headers) {
    if ((!isHeaderName(field.name) && field.name != ":status") || !isHeaderValue(field.value))
      violate("sendResponseHeaders(" + std::string(field.name) + "): not a header");
  }
  if (std::exchange(replied_, true))
    violate("sendResponseHeaders: a second reply");
  if (!canBeginResponse())
    violate("sendResponseHeaders: there is no client, and Envoy would crash");
  if (map(HeaderMap::Response))
    violate("sendResponseHeaders: a response is on its way");
  if (headers.empty() || headers.front().name != ":status") {
    violate("sendResponseHeaders: :status must come first");
    return;
  }
  if (atClient_.starts > 0) {
    violate("sendResponseHeaders: the response has begun");
    return;
  }
  const FakeEnvoy::Turn turn(envoy_);
  ++replies_;
  flow(Direction::Response) = Flow{};
  flow(Direction::Response).suppressed = envoy_.options_.release != EnvoyRelease::V1_38;
  deliverFrame(Direction::Response, {Piece::Headers, copyOf(headers), {}, endStream});
}

void Exchange::sendResponseData(std::string_view bytes, bool endStream) {
  if (!mayNest("sendResponseData"))
    return;
  if (!replied_ || atClient_.starts == 0 || flow(Direction::Response).endSeen) {
    violate("sendResponseData: no response has been begun, or it has ended");
    return;
  }
  const FakeEnvoy::Turn turn(envoy_);
  deliverFrame(Direction::Response, {Piece::Data, {}, std::string(bytes), endStream});
}

void Exchange::endConnection() {
  if (mayNest("endConnection"))
    connectionEnds_ = true;
}

void Exchange::addResponseFlag(std::string_view flag) {
  if (flag.empty() || flag.find_first_of(" \t\r\n") != std::string_view::npos)
    violate("addResponseFlag: a flag with blanks");
  customFlags_.emplace_back(flag);
}

void Exchange::resetStream(std::string_view details) {
  if (!mayNest("resetStream"))
    return;
  const FakeEnvoy::Turn turn(envoy_);
  details_ = details;
  resetDownstream();
}

CalloutStart Exchange::startCallout(std::string_view cluster, std::span<const HeaderField> headers,
                                    std::string_view body, bool endStream, uint64_t& calloutId) {
  if (!mayNest("startCallout"))
    return CalloutStart::CannotCreateRequest;
  const FakeEnvoy::Turn turn(envoy_);
  CalloutRequest request{std::string(cluster), copyOf(headers), std::string(body)};
  for (const HeaderField& field : headers) {
    if ((!isHeaderName(field.name) && !isPseudoName(field.name)) || !isHeaderValue(field.value))
      violate("startCallout(" + std::string(field.name) + "): not a header");
  }
  callouts_.push_back({0, request, false, false, nullptr});
  const auto handler = envoy_.clusters_.find(cluster);
  if (handler == envoy_.clusters_.end())
    return CalloutStart::ClusterNotFound;
  const auto has = [&](std::string_view name) {
    return std::any_of(request.headers.begin(), request.headers.end(),
                       [&](const auto& line) { return line.first == name; });
  };
  if (!has(":method") || !has(":path") || !(has(":authority") || has("host")))
    return CalloutStart::MissingRequiredHeaders;
  const size_t index = callouts_.size() - 1;
  std::optional<CalloutAnswer> answer = handler->second(request);
  if (answer && answer->start != CalloutStart::Started)
    return answer->start;
  if (answer && isBodiless(FakeHeaderMap(HeaderMap::Request, request.headers).first(":method"),
                           Received{answer->headers, {}, {}}.status())) {
    answer->frames.clear();
    answer->trailers.reset();
  }
  calloutId = nextCalloutId_++;
  callouts_[index].id = calloutId;
  callouts_[index].open = true;
  if (answer) {
    auto whole = std::make_shared<const CalloutAnswer>(std::move(*answer));
    // An upstream answers when it has the whole request.
    if (endStream)
      playAnswer(calloutId, std::move(whole), 0);
    else
      callouts_[index].answer = std::move(whole);
  }
  return CalloutStart::Started;
}

bool Exchange::sendCalloutData(uint64_t calloutId, std::string_view bytes, bool endStream) {
  if (!mayNest("sendCalloutData"))
    return false;
  Callout* callout = openCallout(calloutId);
  if (callout == nullptr)
    return false;
  const FakeEnvoy::Turn turn(envoy_);
  callout->request.body += bytes;
  if (endStream && callout->answer != nullptr)
    playAnswer(calloutId, std::exchange(callout->answer, nullptr), 0);
  return true;
}

void Exchange::resetCallout(uint64_t calloutId) {
  if (filter_->stream().scriptRuns())
    violate("resetCallout: called with the script on the stack");
  Callout* callout = torn_ ? nullptr : openCallout(calloutId);
  if (callout == nullptr)
    return;
  callout->reset = true;
  calloutReset(calloutId);
}

std::optional<std::string> Exchange::requestText(Attribute attribute) const {
  const auto& request = maps_[static_cast<size_t>(HeaderMap::Request)];
  const auto first = [&](std::string_view name) -> std::optional<std::string> {
    const auto value = request ? request->first(name) : std::nullopt;
    return value ? std::optional<std::string>(*value) : std::nullopt;
  };
  const std::string path = first(":path").value_or("");
  const size_t query = path.find('?');
  switch (attribute) {
  case Attribute::RequestPath:
    return first(":path");
  case Attribute::RequestUrlPath:
    return path.empty() ? std::nullopt : std::optional(path.substr(0, query));
  case Attribute::RequestQuery:
    return query == std::string::npos ? std::nullopt : std::optional(path.substr(query + 1));
  case Attribute::RequestHost:
    return first(":authority");
  case Attribute::RequestScheme:
    return first(":scheme");
  case Attribute::RequestMethod:
    return first(":method");
  case Attribute::RequestReferer:
    return first("referer");
  case Attribute::RequestUserAgent:
    return first("user-agent");
  case Attribute::RequestId:
    return first("x-request-id");
  case Attribute::RequestProtocol:
    return "HTTP/1.1";
  case Attribute::ResponseCodeDetails:
    if (!details_.empty())
      return details_;
    return responseCode_ ? std::optional("via_upstream") : std::nullopt;
  default:
    return std::nullopt;
  }
}

std::optional<std::string_view> Exchange::attributeText(Attribute attribute) {
  const auto found = facts_.attributes.find(attribute);
  const std::optional<std::string> text = found == facts_.attributes.end()
                                              ? requestText(attribute)
                                              : std::get<std::string>(found->second);
  return text && !text->empty() ? std::optional(loans_[0].lend(*text)) : std::nullopt;
}

std::optional<uint64_t> Exchange::attributeNumber(Attribute attribute) {
  const auto found = facts_.attributes.find(attribute);
  if (found != facts_.attributes.end())
    return std::get<uint64_t>(found->second);
  if (attribute == Attribute::ResponseCode)
    return atClient_.starts > 0 ? atClient_.status() : responseCode_;
  return std::nullopt;
}

FilterStateWrite Exchange::setFilterState(std::string_view key, std::string_view value,
                                          bool typed) {
  const auto found = facts_.filterState.find(key);
  // Types are those of Envoy's extensions, of which there are none here.
  if (typed)
    return FilterStateWrite::Refused;
  if (found != facts_.filterState.end() && envoy_.options_.release == EnvoyRelease::V1_38)
    return FilterStateWrite::Exists;
  facts_.filterState.insert_or_assign(std::string(key), std::string(value));
  return FilterStateWrite::Done;
}

bool Exchange::setUpstreamHost(std::string_view address) {
  // An IPv4 address, or an IPv6 one in brackets, with a port behind.
  const std::string_view host = address.substr(0, address.rfind(':'));
  const auto isOf = [](std::string_view text, std::string_view characters) {
    return !text.empty() && text.find_first_not_of(characters) == std::string_view::npos;
  };
  const bool fits = isOf(host, "0123456789.") ||
                    (host.starts_with('[') && host.ends_with(']') &&
                     isOf(host.substr(1, host.size() - 2), "0123456789abcdefABCDEF:."));
  if (fits)
    upstreamHost_ = address;
  return fits;
}

std::optional<SocketOptionValue> Exchange::socketOption(const SocketOption& option) const {
  const auto& options = facts_.socketOptions;
  const auto isIt = [&](const auto& set) { return set.first == option; };
  const auto found = std::find_if(options.begin(), options.end(), isIt);
  return found == options.end() ? std::nullopt : std::optional(found->second);
}

bool Exchange::setSocketOption(const SocketOption& option, const SocketOptionValue& value) {
  if (option.direction == SocketDirection::Upstream) {
    if (options_.inCluster || flow(Direction::Request).headersForwarded)
      violate("setSocketOption: the connection to the upstream has been chosen");
  } else if (option.level < 0 || option.name < 0) {
    // As the system does for one that it does not know.
    return false;
  }
  auto& options = facts_.socketOptions;
  const auto isIt = [&](const auto& set) { return set.first == option; };
  const auto found = std::find_if(options.begin(), options.end(), isIt);
  if (found == options.end())
    options.emplace_back(option, value);
  else
    found->second = value;
  return true;
}

void Exchange::wakeAt(uint64_t deadlineNs) {
  if (wakeEvent_)
    envoy_.events_.erase(*std::exchange(wakeEvent_, std::nullopt));
  if (deadlineNs == 0 || complete_)
    return;
  wakeEvent_ = envoy_.postAt(deadlineNs, [this] {
    wakeEvent_.reset();
    wake();
  });
}

void Exchange::wake() {
  if (complete_)
    return;
  HookCall call{HookCall::Kind::Wake};
  hook(call, [](Stream& stream) { stream.onWake(); });
}

// --- Events of callouts ---

Callout* Exchange::openCallout(uint64_t calloutId) {
  for (Callout& callout : callouts_) {
    if (callout.id == calloutId && callout.open)
      return &callout;
  }
  return nullptr;
}

void Exchange::calloutHeaders(uint64_t calloutId, const HeaderList& headers, bool endStream) {
  if (openCallout(calloutId) == nullptr)
    return;
  Loans loans;
  std::vector<HeaderField> fields;
  for (const auto& [name, value] : headers)
    fields.push_back({loans.lend(name), loans.lend(value)});
  HookCall call{HookCall::Kind::Callout};
  hook(call, [&](Stream& stream) { stream.onCalloutHeaders(calloutId, fields, endStream); });
}

void Exchange::calloutData(uint64_t calloutId, const std::vector<std::string>& pieces,
                           bool endStream) {
  if (openCallout(calloutId) == nullptr)
    return;
  Loans loans;
  std::vector<std::string_view> views;
  for (const std::string& piece : pieces)
    views.push_back(loans.lend(piece));
  HookCall call{HookCall::Kind::Callout};
  hook(call, [&](Stream& stream) { stream.onCalloutData(calloutId, views, endStream); });
}

void Exchange::calloutTrailers(uint64_t calloutId, const HeaderList& trailers) {
  if (openCallout(calloutId) == nullptr)
    return;
  Loans loans;
  std::vector<HeaderField> fields;
  for (const auto& [name, value] : trailers)
    fields.push_back({loans.lend(name), loans.lend(value)});
  HookCall call{HookCall::Kind::Callout};
  hook(call, [&](Stream& stream) { stream.onCalloutTrailers(calloutId, fields); });
}

void Exchange::calloutComplete(uint64_t calloutId) {
  Callout* callout = openCallout(calloutId);
  if (callout == nullptr)
    return;
  callout->open = false;
  HookCall call{HookCall::Kind::Callout};
  hook(call, [&](Stream& stream) { stream.onCalloutComplete(calloutId); });
}

void Exchange::calloutReset(uint64_t calloutId) {
  Callout* callout = openCallout(calloutId);
  if (callout == nullptr)
    return;
  callout->open = false;
  HookCall call{HookCall::Kind::Callout};
  hook(call, [&](Stream& stream) { stream.onCalloutReset(calloutId); });
}

void Exchange::playAnswer(uint64_t calloutId, std::shared_ptr<const CalloutAnswer> answer,
                          size_t step) {
  const uint64_t delayMs = step == 0 ? answer->delayMs : answer->frameDelayMs;
  envoy_.post(delayMs, [&envoy = envoy_, id = id_, calloutId, answer, step] {
    Exchange* exchange = envoy.find(id);
    if (exchange == nullptr)
      return;
    const FakeEnvoy::Turn turn(envoy);
    exchange->runCalloutStep(calloutId, *answer, step);
    if (step <= answer->frames.size() && exchange->openCallout(calloutId) != nullptr)
      exchange->playAnswer(calloutId, answer, step + 1);
  });
}

void Exchange::runCalloutStep(uint64_t calloutId, const CalloutAnswer& answer, size_t step) {
  const size_t frames = answer.frames.size();
  const bool completes = answer.end == CalloutAnswer::End::Complete;
  if (step == 0) {
    if (!answer.headers.empty())
      calloutHeaders(calloutId, answer.headers, frames == 0 && !answer.trailers && completes);
  } else if (step <= frames) {
    calloutData(calloutId, {answer.frames[step - 1]}, false);
  } else if (answer.end == CalloutAnswer::End::Reset) {
    calloutReset(calloutId);
  } else if (completes) {
    if (answer.trailers)
      calloutTrailers(calloutId, *answer.trailers);
    else if (frames > 0)
      calloutData(calloutId, {}, true);
    calloutComplete(calloutId);
  }
}

// --- A whole exchange at once ---

namespace {

void sendResponseMessage(Exchange& exchange, const Message& message) {
  const bool headersOnly = message.frames.empty() && !message.trailers;
  exchange.responseHeaders(message.headers, headersOnly);
  for (size_t i = 0; i < message.frames.size(); ++i) {
    const bool isLast = i + 1 == message.frames.size();
    exchange.responseData(message.frames[i],
                          isLast && message.endWithLastFrame && !message.trailers);
  }
  if (message.trailers)
    exchange.responseTrailers(*message.trailers);
  else if (!headersOnly && !message.endWithLastFrame)
    exchange.responseData({}, true);
}

void sendRequestMessage(Exchange& exchange, const Message& message) {
  const bool headersOnly = message.frames.empty() && !message.trailers;
  exchange.requestHeaders(message.headers, headersOnly);
  for (size_t i = 0; i < message.frames.size(); ++i) {
    const bool isLast = i + 1 == message.frames.size();
    exchange.requestData(message.frames[i],
                         isLast && message.endWithLastFrame && !message.trailers);
  }
  if (message.trailers)
    exchange.requestTrailers(*message.trailers);
  else if (!headersOnly && !message.endWithLastFrame)
    exchange.requestData({}, true);
}

std::string joined(const std::vector<std::string>& frames) {
  std::string all;
  for (const std::string& frame : frames)
    all += frame;
  return all;
}

}  // namespace

ExchangeResult runExchange(FakeEnvoy& envoy, const FilterConfig& config, const ExchangePlan& plan) {
  using Kind = UpstreamBehavior::Kind;
  const UpstreamBehavior& upstream = plan.upstream;
  const Received reply{upstream.response.headers, joined(upstream.response.frames), {}};
  const uint64_t startNs = envoy.nowNs();
  (void)envoy.takeJobCallouts();

  Exchange exchange(envoy, config, plan.options);
  if (plan.clientLeavesAtMs) {
    envoy.post(*plan.clientLeavesAtMs, [&envoy, id = exchange.id()] {
      if (Exchange* found = envoy.find(id))
        found->clientLeaves();
    });
  }
  const auto answer = [&envoy, &upstream](Exchange& answered) {
    envoy.post(upstream.delayMs, [&envoy, &upstream, id = answered.id()] {
      Exchange* found = envoy.find(id);
      if (found == nullptr)
        return;
      const HeaderList& headers = upstream.response.headers;
      const uint32_t status = Received{headers, {}, {}}.status();
      if (upstream.kind == Kind::Disconnect)
        found->upstreamDisconnects();
      else if (isBodiless(found->atUpstream().header(":method"), status))
        found->responseHeaders(headers, true);
      else
        sendResponseMessage(*found, upstream.response);
    });
  };
  if (upstream.kind == Kind::LocalReply) {
    exchange.onUpstreamHeaders = [&reply](Exchange& answered) {
      answered.localReply(reply.status(), reply.body, "direct_response");
    };
  } else if (upstream.kind != Kind::Silent) {
    (upstream.early ? exchange.onUpstreamHeaders : exchange.onUpstreamEnd) = answer;
  }

  if (upstream.kind == Kind::EarlierReply)
    exchange.earlierReply(plan.request.headers, reply.status(), reply.body, "earlier_filter");
  else
    sendRequestMessage(exchange, plan.request);
  while (exchange.clientStays() && envoy.nextNs().value_or(UINT64_MAX) <= startNs + kMaxExchangeNs)
    envoy.runNext();

  ExchangeResult result;
  result.complete = exchange.complete();
  result.elapsedNs = envoy.nowNs() - startNs;
  result.hooks = exchange.hooks();
  exchange.clientLeaves();
  result.upstream = exchange.atUpstream();
  result.client = exchange.atClient();
  result.callouts = exchange.callouts();
  // What it has left to be done behind it.
  envoy.advance(0);
  for (CalloutRequest& request : envoy.takeJobCallouts())
    result.callouts.push_back({1, std::move(request), false, false, nullptr});
  result.details = exchange.details();
  result.facts = exchange.facts();
  result.spans = exchange.spans();
  result.upstreamHost = exchange.upstreamHost();
  return result;
}

}  // namespace fairlead
