// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Envoy's rules in memory: the host of the C++ unit tests and of the emulator in fairlead.wasm.
//
//   client ──► Exchange: [ our filter: FakeStream + Stream ] ──► upstream
//                 ▲                                                  │
//                 └────────────── response hooks ◄───────────────────┘
//
// It is as strict as Envoy and stricter than that where the core makes a promise: what the core may
// not do is kept as a violation, and tests assert that there are none. Views that it hands out are
// overwritten when they expire. Time is virtual.
//
// It leaves out what belongs to the connection manager and the router: headers that Envoy adds by
// itself (date, server, x-request-id, …), routes, retries.
//
// Thread: one for each FakeEnvoy; another thread can have another, as workers have their dispatchers.

#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "filter-cc/headers.h"
#include "filter-cc/host.h"
#include "filter-cc/script.h"

namespace fairlead {

class Exchange;
class FakeStream;
class RouteConfig;
class Stream;

/** The releases of Envoy whose rules differ. */
enum class EnvoyRelease : uint8_t {
  /** Destroys a filter inside the call that ended its stream; shows us our own streamed replies. */
  V1_38,
  /** Destroys a filter inside the call that ended its stream. */
  V1_39,
  /** Destroys a filter when all calls have returned. */
  V1_40,
};

/** One line of the proxy's log. */
struct LogLine {
  LogLevel level;
  std::string message;
  std::string file;
  uint32_t line;
};

/** Bytes that are overwritten when they expire, so that whoever kept a view of them sees it. */
class Loans {
public:
  Loans() = default;
  Loans(const Loans&) = delete;
  Loans& operator=(const Loans&) = delete;
  ~Loans() { expire(); }

  /** Copies `bytes`. Valid until: expire(). */
  std::string_view lend(std::string_view bytes);
  void expire();

private:
  struct Block {
    std::unique_ptr<char[]> bytes;
    size_t size;
  };
  std::vector<Block> blocks_;
};

/**
 * A header map as Envoy keeps it: ordered, names in lower case, several lines under a name. The
 * names that Envoy has a slot for hold one line: adding joins the values with a comma.
 */
class FakeHeaderMap {
public:
  explicit FakeHeaderMap(HeaderMap kind) : kind_(kind) {}
  FakeHeaderMap(HeaderMap kind, const HeaderList& lines);

  const HeaderList& lines() const { return lines_; }
  /** The first value; nothing when the name is absent. */
  std::optional<std::string_view> first(std::string_view name) const;

  void add(std::string_view name, std::string_view value);
  /** Removes and adds, so the line moves to the end. */
  void set(std::string_view name, std::string_view value);
  /** Changes the first value where it stands; adds it when there is none. */
  void setInPlace(std::string_view name, std::string_view value);
  void remove(std::string_view name);

private:
  HeaderMap kind_;
  HeaderList lines_;
};

// --- Callouts ---

/** What a callout asks for. */
struct CalloutRequest {
  std::string cluster;
  HeaderList headers;
  std::string body;
};

/** How a callout goes on. */
struct CalloutAnswer {
  enum class End : uint8_t {
    Complete,
    /** The connection breaks after what has been answered. */
    Reset,
    /** Nothing more comes. */
    Silent,
  };

  CalloutStart start = CalloutStart::Started;
  /** `:status` first; without it nothing is answered, and `end` says what happens instead. */
  HeaderList headers;
  std::vector<std::string> frames;
  /** What the answer ends with. */
  std::optional<HeaderList> trailers;
  End end = End::Complete;
  uint64_t delayMs = 0;
  /** Before each frame and the end. */
  uint64_t frameDelayMs = 0;

  static CalloutAnswer of(uint32_t status, std::string body = {}, uint64_t delayMs = 0);
  static CalloutAnswer failure(CalloutStart start);
  /** Nobody listens: Envoy answers with 503 itself. */
  static CalloutAnswer refused();
  /** The connection ends before the answer begins: Envoy answers with 503 itself. */
  static CalloutAnswer disconnected();
  static CalloutAnswer silent();
};

/**
 * Answers the calls to one cluster; nothing = the test sends the events by hand. It runs inside
 * startCallout, where Envoy runs the upstream filters of the cluster; a filter there that answers
 * at once makes the start fail with CannotCreateRequest.
 */
using CalloutHandler = std::function<std::optional<CalloutAnswer>(const CalloutRequest&)>;

/** One call of an exchange. */
struct Callout {
  uint64_t id;
  CalloutRequest request;
  /** Events can still come. */
  bool open;
  /** The filter cancelled it. */
  bool reset;
  /** What comes when the body has been sent. */
  std::shared_ptr<const CalloutAnswer> answer;
};

// --- The process ---

struct FakeEnvoyOptions {
  EnvoyRelease release = EnvoyRelease::V1_40;
  uint32_t concurrency = 1;
  bool validating = false;
  LogLevel logLevel = LogLevel::Info;
};

/**
 * The proxy's process: clock, events, log, clusters. While one exists it answers the functions of
 * namespace host on its thread; without one there is a single worker, no log, and the clock stands
 * still.
 */
class FakeEnvoy final : public HostConfig {
public:
  explicit FakeEnvoy(const FakeEnvoyOptions& options = FakeEnvoyOptions());
  ~FakeEnvoy() override;
  FakeEnvoy(const FakeEnvoy&) = delete;
  FakeEnvoy& operator=(const FakeEnvoy&) = delete;

  static FakeEnvoy* current() { return current_; }
  const FakeEnvoyOptions& options() const { return options_; }

  // --- Time ---

  uint64_t nowNs() const { return nowNs_; }
  /** Lets time pass; whatever falls due happens, in order. */
  void advance(uint64_t ms);
  /**
   * Goes to the next event and lets it happen, with the wakes of jobs that come before it; false when
   * there is none.
   */
  bool runNext();
  /** When the next event is; nothing when there is none. */
  std::optional<uint64_t> nextNs() const;
  /** Calls `work` for each second that advance() lets pass. */
  void eachSecond(void (*work)());
  /** Makes something happen later, in an event of its own. */
  void post(uint64_t delayMs, std::function<void()> event);
  /** Null when that exchange is gone: events name exchanges by their ids. */
  Exchange* find(uint64_t exchangeId) const;

  // --- Clusters ---

  /** Makes a cluster known; `handler` answers the calls to it. */
  void setCluster(std::string name, CalloutHandler handler);
  void clearClusters() { clusters_.clear(); }

  // --- Configs ---

  void setRuntime(std::string key, RuntimeValue value) { runtime_[std::move(key)] = value; }
  /** Delivers a secret; of an unknown one a config cannot be made. Empty: it has not come yet. */
  void setSecret(std::string name, std::string value) { secrets_[std::move(name)] = std::move(value); }
  std::optional<RuntimeValue> runtime(std::string_view key) const {
    const auto found = runtime_.find(key);
    return found == runtime_.end() ? std::nullopt : std::optional(found->second);
  }

  std::unique_ptr<HostJob> newJob(Background& job) override;
  size_t subscribeSecret(std::string_view name, std::string_view configSource) override;
  size_t defineMetric(MetricKind kind, const std::string& name,
                      std::span<const std::string_view> labels) override;
  /** The calls that configs have made without an exchange, each returned once. */
  std::vector<CalloutRequest> takeJobCallouts() { return std::exchange(jobCallouts_, {}); }
  /** Values by `name label=value`; of a histogram the sum. Only what was updated is there. */
  const std::map<std::string, uint64_t>& metrics() const { return metrics_; }

  // --- Log, violations ---

  const std::vector<LogLine>& log() const { return log_; }
  void clearLog() { log_.clear(); }
  void write(LogLine line) { log_.push_back(std::move(line)); }
  /** All that the core did against the rules so far. */
  const std::vector<std::string>& violations() const { return violations_; }
  /** Takes them, with what is still alive that should not be. Requires: all exchanges are gone. */
  std::vector<std::string> finish();

private:
  friend class Exchange;
  friend class FakeStream;
  friend class FakeJob;

  /** One call from Envoy into filters. When the outermost ends, destroyed filters really go. */
  class Turn {
  public:
    explicit Turn(FakeEnvoy& envoy) : envoy_(envoy) { ++envoy_.depth_; }
    ~Turn();
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

  private:
    FakeEnvoy& envoy_;
  };

  using Events = std::multimap<uint64_t, std::function<void()>>;

  void updateMetric(MetricKind kind, MetricChange change, size_t metricId,
                    std::span<const std::string_view> labels, uint64_t value);
  /** The list with the next event; null when there is none. */
  Events* earliest();
  void runFirst(Events& events);
  Events::iterator postAt(uint64_t timeNs, std::function<void()> event);
  void violate(std::string what) { violations_.push_back(std::move(what)); }
  static thread_local FakeEnvoy* current_;

  FakeEnvoyOptions options_;
  void (*work_)() = nullptr;
  uint64_t workedNs_ = 0;
  uint64_t nowNs_;
  Events events_;
  /** Wakes of jobs: they come again and again, so nobody waits for the last of them. */
  Events jobWakes_;
  std::map<std::string, CalloutHandler, std::less<>> clusters_;
  std::vector<CalloutRequest> jobCallouts_;
  std::map<std::string, RuntimeValue, std::less<>> runtime_;
  std::map<std::string, std::string, std::less<>> secrets_;
  /** Names, by id less one. */
  std::vector<std::string> subscribed_;
  struct MetricName {
    MetricKind kind;
    std::string name;
    std::vector<std::string> labels;
  };
  /** By id - 1. */
  std::vector<MetricName> metricNames_;
  std::map<std::string, uint64_t> metrics_;
  std::vector<LogLine> log_;
  std::vector<std::string> violations_;
  std::map<uint64_t, Exchange*> exchanges_;
  uint64_t nextExchangeId_ = 1;
  size_t filtersAlive_ = 0;
  size_t depth_ = 0;
  /** Exchanges that have frames to deliver, and those whose filter goes at the end of the turn. */
  std::deque<uint64_t> toDeliver_;
  std::deque<uint64_t> toDestroy_;
};

// --- One exchange ---

/** What came out at one end of the chain. */
struct Received {
  HeaderList headers;
  std::string body;
  std::optional<HeaderList> trailers;
  /** How often headers arrived: more than once is a message sent twice. */
  uint32_t starts = 0;
  /** The message came to its end. */
  bool ended = false;
  /** It was broken off. */
  bool reset = false;

  /** `:status` as a number, 0 without one. */
  uint32_t status() const;
  /** The values of one name, joined with ", "; nothing when the name is absent. */
  std::optional<std::string> header(std::string_view name) const;
};

/** What a core calls, for counting. */
enum class HostCall : uint8_t {
  Header,
  Headers,
  SetHeader,
  AddHeader,
  RemoveHeader,
  BodySize,
  Body,
  DrainBody,
  AppendBody,
  RaiseBufferLimit,
  ContinueMessage,
  SendResponse,
  SendResponseHeaders,
  SendResponseData,
  CanBeginResponse,
  ResetStream,
  EndConnection,
  AddResponseFlag,
  StartCallout,
  SendCalloutData,
  ResetCallout,
  WakeAt,
  UpdateMetric,
  Attribute,
  Metadata,
  SetMetadata,
  FilterState,
  SetFilterState,
  ClearRouteCache,
  Cluster,
  SetUpstreamHost,
  SocketOption,
  SetSocketOption,
  Tracing,
  WorkerIndex,
  Release,
  Count,
};

/** One hook, as a probe sees it: the core has answered, Envoy has not acted yet. */
struct HookCall {
  enum class Kind : uint8_t { Headers, Body, Trailers, Wake, Callout, LocalReply, Client, Complete };
  Kind kind;
  Direction direction = Direction::Request;
  bool endStream = false;
  // The core's answer, by kind. A probe may change it.
  HeadersStatus headers = HeadersStatus::Continue;
  BodyStatus body = BodyStatus::Continue;
  TrailersStatus trailers = TrailersStatus::Continue;
};

/** What a tracer has of a span. */
struct FakeSpan {
  std::string id;
  /** Empty for the span of the exchange. */
  std::string parentId;
  std::string operation;
  std::vector<std::pair<std::string, std::string>> tags;
  std::vector<std::string> events;
  bool sampled = true;
  /** Of a child. */
  bool finished = false;
};

/** What Envoy knows of an exchange beside its messages: route, cluster, connection, metadata. */
struct ExchangeFacts {
  using Values = std::map<std::string, MetadataValue, std::less<>>;
  using Namespaces = std::map<std::string, Values, std::less<>>;

  /** Beside those that follow from the messages. */
  std::map<Attribute, std::variant<std::string, uint64_t, bool>> attributes;
  /** By MetadataSource. */
  std::array<Namespaces, 5> metadata;
  std::map<std::string, std::string, std::less<>> filterState;
  std::optional<std::string> cluster;
  HostCount hosts;
  /** In the order in which they were first set. */
  std::vector<std::pair<SocketOption, SocketOptionValue>> socketOptions;
  /** The exchange has a span. */
  bool traced = false;
};

struct ExchangeOptions {
  uint32_t workerIndex = 0;
  /** Of each direction; 0 = none. Envoy's default is 1 MiB. */
  uint64_t bufferLimitBytes = uint64_t{1024} * 1024;
  /** A filter before ours holds the response: its end ends the exchange at releaseResponse() only. */
  bool holdResponse = false;
  /** The client leaves before the first event that comes after so many hooks. */
  uint32_t clientLeavesAfterHooks = UINT32_MAX;
  /** The same, for a reload: another generation takes the place of the exchange's. */
  uint32_t reloadsAfterHooks = UINT32_MAX;
  ExchangeFacts facts = {};
  /** The filter is in a cluster's chain: there is no client to begin a response to. */
  bool inCluster = false;
  /** What the route says of the filter; null: nothing. */
  const RouteConfig* route = nullptr;
};

/**
 * One request through the chain, driven step by step. Each step is one event of Envoy; what the
 * filter's hooks hold back waits here. Frames that back-pressure keeps out are delivered when the
 * filter lets go.
 * Requires: the FakeEnvoy and the FilterConfig outlive it.
 */
class Exchange {
public:
  Exchange(FakeEnvoy& envoy, const FilterConfig& config, const ExchangeOptions& options = {});
  /** The client leaves, if the exchange is not over. */
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  // --- What the client does ---

  void requestHeaders(const HeaderList& headers, bool endStream = true);
  void requestData(std::string bytes, bool endStream = false);
  void requestTrailers(const HeaderList& trailers);
  void clientLeaves();
  /** One of its buffers is full, or has room again: what is sent meanwhile is held. */
  void clientPauses(bool pauses);

  /** Lets the client leave if its time has come, and reloads; false when the client is gone. */
  bool clientStays();

  // --- What the upstream does ---

  void responseHeaders(const HeaderList& headers, bool endStream = true);
  void responseData(std::string bytes, bool endStream = false);
  void responseTrailers(const HeaderList& trailers);
  /** The connection to the upstream breaks. */
  void upstreamDisconnects();

  // --- What Envoy and other filters do ---

  /** A reply made by somebody else; our response hooks see it. */
  void localReply(uint32_t status, std::string_view body, std::string_view details);
  /** A filter before ours answers: our request hook never runs. */
  void earlierReply(const HeaderList& requestHeaders, uint32_t status, std::string_view body,
                    std::string_view details);

  /** What holds the response lets go of it. */
  void releaseResponse();

  /** Wakes the filter, asked for or not: one that comes late looks like that. */
  void wake();

  // --- Callouts by hand ---

  const std::vector<Callout>& callouts() const { return callouts_; }
  // Each does nothing when the call is not open any more.
  void calloutHeaders(uint64_t calloutId, const HeaderList& headers, bool endStream = false);
  void calloutData(uint64_t calloutId, const std::vector<std::string>& pieces,
                   bool endStream = false);
  void calloutTrailers(uint64_t calloutId, const HeaderList& trailers);
  void calloutComplete(uint64_t calloutId);
  void calloutReset(uint64_t calloutId);

  // --- Where it stands ---

  const Received& atUpstream() const { return atUpstream_; }
  const Received& atClient() const { return atClient_; }
  /** The stream is over. */
  bool complete() const { return complete_; }
  /** A hook of that direction has stopped the message. */
  bool held(Direction direction) const { return flow(direction).stopped; }
  /** Frames that back-pressure keeps out. */
  size_t waitingFrames(Direction direction) const { return flow(direction).inbound.size(); }
  /** Bytes that the hooks made Envoy hold, and the most of them at any time. */
  size_t heldBytes(Direction direction) const;
  size_t mostHeldBytes(Direction direction) const { return flow(direction).mostHeldBytes; }
  uint32_t count(HostCall call) const { return counts_[static_cast<size_t>(call)]; }
  /** How many hooks were called. */
  uint32_t hooks() const { return hooks_; }
  /** Details of the reply that ended the exchange, ours or Envoy's. */
  const std::string& details() const { return details_; }
  const std::vector<std::string>& customFlags() const { return customFlags_; }
  bool connectionEnds() const { return connectionEnds_; }
  uint64_t id() const { return id_; }

  /** What it knows by now, the filter's writes included. */
  const ExchangeFacts& facts() const { return facts_; }
  const std::deque<FakeSpan>& spans() const { return spans_; }
  /** The host that the filter asked for. */
  const std::optional<std::string>& upstreamHost() const { return upstreamHost_; }

  /** The core's side. Null once Envoy has destroyed the filter. */
  Stream* stream();
  HostStream* host();

  // --- Wires ---

  /** Called, nested, when request headers reach the upstream, and when the request has ended. */
  std::function<void(Exchange&)> onUpstreamHeaders;
  std::function<void(Exchange&)> onUpstreamEnd;
  /** Sees each hook from inside, while the filter is alive. */
  std::function<void(Exchange&, HookCall&)> probeForTest;

private:
  friend class FakeEnvoy;
  friend class FakeStream;

  enum class Piece : uint8_t { Headers, Data, Trailers };
  struct Frame {
    Piece piece;
    HeaderList headers;
    std::string data;
    bool endStream;
  };

  /** One direction of the chain, as Envoy's filter manager keeps it. */
  struct Flow {
    std::deque<Frame> inbound;
    bool headersForwarded = false;
    bool trailersForwarded = false;
    bool trailersSeen = false;
    bool endSeen = false;
    /** A hook answered with a stop. */
    bool stopped = false;
    /** The last stop asked for back-pressure instead of an error when too much is held. */
    bool streaming = false;
    /** Somebody has answered: nothing of this direction goes on. */
    bool aborted = false;
    /** Hooks of this direction are not called: it is our own reply. */
    bool suppressed = false;
    /** What the body hook that runs was given. */
    std::string* received = nullptr;
    std::optional<std::string> buffered;
    size_t mostHeldBytes = 0;
  };

  struct Reply {
    /** What whoever replies asks for; a gRPC client sees 200. */
    uint32_t status;
    HeaderList headers;
    std::string body;
    std::string details;
  };

  /** A hook that runs now. */
  struct Running {
    HookCall::Kind kind;
    Direction direction;
  };

  Flow& flow(Direction direction) { return flows_[static_cast<size_t>(direction)]; }
  const Flow& flow(Direction direction) const { return flows_[static_cast<size_t>(direction)]; }
  Received& sink(Direction direction) {
    return direction == Direction::Request ? atUpstream_ : atClient_;
  }
  std::optional<FakeHeaderMap>& map(HeaderMap which) { return maps_[static_cast<size_t>(which)]; }

  void step(Direction direction, Frame frame);
  void readRequest(const HeaderList& headers);
  void deliver(Direction direction);
  void deliverFrame(Direction direction, Frame frame);
  void deliverHeaders(Direction direction, const Frame& frame);
  void deliverData(Direction direction, Frame& frame);
  void deliverTrailers(Direction direction, const Frame& frame);
  bool flows(Direction direction) const { return !complete_ && !flow(direction).aborted; }
  bool paused(Direction direction) const;
  void forwardHeaders(Direction direction, bool endStream);
  void forwardData(Direction direction, std::string data, bool endStream);
  void forwardTrailers(Direction direction);
  void atEnd(Direction direction);
  void continueChain(Direction direction);
  void hold(Direction direction, const Frame& frame, BodyStatus status);

  /** Calls a hook of the core inside a turn; false when there is no filter any more. */
  template <class Body> bool hook(HookCall& call, Body&& body);
  bool inHookOf(Direction direction) const;

  Reply makeReply(uint32_t status, const HeaderList& headers, std::string_view body,
                  std::string_view details, std::optional<uint32_t> grpcStatus) const;
  void reply(Reply reply, bool ours);
  void finishPreparedReply();
  void resetDownstream();
  void end();
  void destroyFilter();

  Callout* openCallout(uint64_t calloutId);
  void playAnswer(uint64_t calloutId, std::shared_ptr<const CalloutAnswer> answer, size_t step);
  void runCalloutStep(uint64_t calloutId, const CalloutAnswer& answer, size_t step);

  // What FakeStream passes on.
  void countCall(HostCall call) { ++counts_[static_cast<size_t>(call)]; }
  bool mayCall(const char* what);
  bool mayNest(const char* what);
  bool mayWrite(HeaderMap which, const char* what, std::string_view name, std::string_view value);
  std::optional<HeaderLookup> header(HeaderMap which, std::string_view name, size_t index);
  bool headers(HeaderMap which, std::vector<HeaderField>& out);
  void setHeader(HeaderMap which, std::string_view name, std::string_view value);
  void addHeader(HeaderMap which, std::string_view name, std::string_view value);
  void removeHeader(HeaderMap which, std::string_view name);
  const std::string* bodyPart(Direction direction, BodyPart part) const;
  bool mayWriteBody(Direction direction, const char* what);
  void body(Direction direction, BodyPart part, std::vector<std::string_view>& out);
  void drainBody(Direction direction, BodyPart part, size_t bytes);
  void appendBody(Direction direction, BodyPart part, std::string_view bytes);
  void continueMessage(Direction direction);
  void sendResponse(uint32_t status, std::span<const HeaderField> headers, std::string_view body,
                    std::string_view details);
  void sendResponseHeaders(std::span<const HeaderField> headers, bool endStream);
  void sendResponseData(std::string_view bytes, bool endStream);
  bool canBeginResponse() const { return !options_.inCluster; }
  void resetStream(std::string_view details);
  void endConnection();
  void addResponseFlag(std::string_view flag);
  CalloutStart startCallout(std::string_view cluster, std::span<const HeaderField> headers,
                            std::string_view body, bool endStream, uint64_t& calloutId);
  bool sendCalloutData(uint64_t calloutId, std::string_view bytes, bool endStream);
  void resetCallout(uint64_t calloutId);
  void wakeAt(uint64_t deadlineNs);
  std::optional<std::string_view> attributeText(Attribute attribute);
  std::optional<uint64_t> attributeNumber(Attribute attribute);
  std::optional<std::string> requestText(Attribute attribute) const;
  FilterStateWrite setFilterState(std::string_view key, std::string_view value, bool typed);
  bool setUpstreamHost(std::string_view address);
  std::optional<SocketOptionValue> socketOption(const SocketOption& option) const;
  bool setSocketOption(const SocketOption& option, const SocketOptionValue& value);

  void violate(const std::string& what);

  FakeEnvoy& envoy_;
  const ExchangeOptions options_;
  Script& script_;
  bool reloaded_ = false;
  const uint64_t id_;
  FakeStream* filter_;
  std::array<Flow, 2> flows_;
  std::array<std::optional<FakeHeaderMap>, 4> maps_;
  std::array<Loans, 4> loans_;
  std::array<Loans, 2> bodyLoans_;
  uint64_t bufferLimitBytes_ = options_.bufferLimitBytes;
  std::vector<Running> running_;
  std::vector<Callout> callouts_;
  uint64_t nextCalloutId_ = 1;
  std::array<uint32_t, static_cast<size_t>(HostCall::Count)> counts_{};
  uint32_t hooks_ = 0;
  Received atUpstream_;
  Received atClient_;
  std::optional<Reply> prepared_;
  std::string details_;
  ExchangeFacts facts_;
  /** That of the exchange is the first. */
  std::deque<FakeSpan> spans_;
  /** Of what the tracer has told: the next call takes it back. */
  Loans traceLoans_;
  /** Of the response that came last, before our filter wrote to it. */
  std::optional<uint64_t> responseCode_;
  std::optional<std::string> upstreamHost_;
  std::vector<std::string> customFlags_;
  bool connectionEnds_ = false;
  /** The wake that was asked for. */
  std::optional<FakeEnvoy::Events::iterator> wakeEvent_;
  bool upstreamEnded_ = false;
  bool isHead_ = false;
  bool isGrpc_ = false;
  /** Replies that took the place of the response. */
  uint32_t replies_ = 0;
  bool replied_ = false;
  /** The reply took the place of a response on its way, behind the filters' backs. */
  bool bypassesFilters_ = false;
  bool complete_ = false;
  /** stream_complete has returned: Envoy answers nothing any more. */
  bool torn_ = false;
};

// --- A whole exchange at once ---

/** A message as it travels: headers, frames of the body, trailers. */
struct Message {
  HeaderList headers;
  std::vector<std::string> frames;
  std::optional<HeaderList> trailers;
  /** The end comes with the last frame, as HTTP/2 can; else in an empty one of its own. */
  bool endWithLastFrame = false;
};

/** What stands behind the filter. */
struct UpstreamBehavior {
  enum class Kind : uint8_t {
    Answer,
    /** Envoy answers in the router, inside the call that lets the request through. */
    LocalReply,
    /** Somebody before our filter answers: our request hook never runs. */
    EarlierReply,
    /** The connection ends before the answer begins. */
    Disconnect,
    Silent,
  };
  Kind kind = Kind::Answer;
  /** Of Answer. For the replies: `:status` and the body count. */
  Message response;
  uint64_t delayMs = 0;
  /** Answers when the request's headers have come, not its end. */
  bool early = false;
};

struct ExchangePlan {
  Message request;
  UpstreamBehavior upstream;
  /** The client gives up this long after the request. */
  std::optional<uint64_t> clientLeavesAtMs;
  ExchangeOptions options;
};

struct ExchangeResult {
  /** False: the exchange waits for something that never comes. */
  bool complete = false;
  Received upstream;
  Received client;
  std::vector<Callout> callouts;
  std::string details;
  ExchangeFacts facts;
  std::deque<FakeSpan> spans;
  std::optional<std::string> upstreamHost;
  uint64_t elapsedNs = 0;
  /** How many hooks were called. */
  uint32_t hooks = 0;
};

/** Runs an exchange to its end; time passes as needed. */
ExchangeResult runExchange(FakeEnvoy& envoy, const FilterConfig& config, const ExchangePlan& plan);

}  // namespace fairlead
