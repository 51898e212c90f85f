// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// One HTTP exchange: the state machine between Envoy's events and the script's hooks, and the only
// place that answers Envoy.
//
//             hook returns                     promise settles
//  headers ──► value ─────────► apply, Continue
//         └──► pending promise ► held ─────────► apply, continueMessage / sendResponse
//                                │  body frames stay in Envoy (StopIterationAndWatermark)
//                                │  trailers: StopIteration
//                                └  stream ends: onComplete
//
// A message's hooks run one after the other: headers, chunks, trailers. What has come meanwhile waits,
// and goes on when no hook has to see any of it (passOn).
//
// Thread: the worker that owns the exchange. Lifetime: reference counted, because Envoy may destroy
// its filter inside a call that we made; the last reference gives the memory back to the host.

#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "filter-cc/bind.h"
#include "filter-cc/body.h"
#include "filter-cc/console.h"
#include "filter-cc/facts.h"
#include "filter-cc/headers.h"
#include "filter-cc/host.h"
#include "filter-cc/message.h"
#include "filter-cc/retry.h"
#include "filter-cc/runtime.h"
#include "filter-cc/script.h"
#include "filter-cc/tracing.h"
#include "quickjs/engine.h"

namespace fairlead {

/** What ended a hook badly: one row each in the table of failures. */
enum class Cause : uint8_t { Throw, Stack, Cpu, Memory, Wait, Load, Body };

/** `throw` for Cause::Throw, as it stands in metrics and in response code details. */
std::string_view causeName(Cause cause);

/** Fixed limits of one stream; the next one throws. */
inline constexpr uint32_t kMaxTimers = 64;
inline constexpr uint32_t kMaxLogLines = 100;
inline constexpr uint32_t kMaxHeaderWrites = 256;
inline constexpr uint32_t kMaxMetadataWrites = 64;
inline constexpr uint32_t kMaxResponseFlags = 16;
/** A producer waits when this much of what it gave has not been sent. */
inline constexpr size_t kMaxUnsentBytes = size_t{64} * 1024;
/** Of a reply not more than that is sent in one event: Envoy tells that its buffer is full in another. */
inline constexpr size_t kMaxSentAtOnceBytes = size_t{256} * 1024;
inline constexpr uint32_t kCallsPerFetchInFlight = 10;
/** What a script has the tracer keep, children included. */
inline constexpr size_t kMaxSpanBytes = size_t{64} * 1024;
/** An answer that says it is no longer than this is given when it is whole. */
inline constexpr size_t kShortFetchBodyBytes = size_t{16} * 1024;

/** Behind `ctx`. Owner: the stream. */
class ContextData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::Context;
  static constexpr const char* kName = "Context";
  explicit ContextData(Stream& stream) : stream(stream) {}
  void finalize(JSRuntime*) override {}
  Stream& stream;
};

/** An answer that Envoy or another filter has made. */
struct LocalReply {
  uint32_t status = 0;
  std::string details;
};

/** A timer of the script, or the end of a fetch's patience. */
struct Timer {
  uint64_t dueNs = 0;
  uint32_t id = 0;
  /** A function to call, or a promise to fulfil (sleep), or undefined (the fetch of `fetchId`). */
  js::Value target;
  std::vector<js::Value> arguments;
  uint32_t fetchId = 0;
  /** Of an interval: the time from one call to the next. */
  uint64_t periodNs = 0;
  /** The asynchronous context that it was started in. */
  js::Value context;
};

/** What a script sends piece by piece: its reply, or the body of a call. */
struct Outgoing {
  explicit Outgoing(const js::Runtime& engine) : charge(engine) {}

  std::string unsent;
  js::Charge charge;
  /** All that the producer has given. */
  size_t givenBytes = 0;
  /** The producer has given all. */
  bool complete = false;
  /** The end has been sent. */
  bool sent = false;
  /** A function that stops the producer. */
  js::Value stop;
  /** A promise that the producer waits for. */
  js::Value room;
};

/** A reply that is sent piece by piece. */
struct OutgoingReply : Outgoing {
  using Outgoing::Outgoing;
  uint32_t status = 200;
  HeaderList headers;
  bool begun = false;
  size_t sentAtOnceBytes = 0;
  /** The producer has failed. */
  std::optional<Error> failure;
};

/** One fetch, from the script's call to the last byte of its answer. */
struct Fetch {
  enum class State : uint8_t {
    Recorded,   // the script asked; nothing has been sent
    AwaitHeaders,
    AwaitBody,  // bytes are coming; of a long answer the promise has been fulfilled
    Paused,     // waits for its next try; a callout that is still open gets reset
    Done,       // settled; a callout that is still open gets reset
  };
  uint32_t id = 0;
  State state = State::Recorded;
  /** The proxy's name for the call; 0: none is open. */
  uint64_t calloutId = 0;
  std::string cluster;
  std::string url;
  std::string scheme;
  std::string host;
  std::string path;
  std::string method;
  std::string redirect;
  HeaderList headers;
  std::string body;
  /** Of a body that comes from a stream, and cannot be sent twice. */
  std::unique_ptr<Outgoing> upload;
  uint32_t timeoutMs = 0;
  uint32_t redirects = 0;
  /** Until the answer is given, where it may be tried again. */
  std::unique_ptr<Retry> retry;
  /** Its span, when the exchange is traced. */
  HostSpan* span = nullptr;
  js::Value promise;
  /** A function that takes our listener from the signal, where there is one. */
  js::Value forgetSignal;
  std::shared_ptr<BodySource> answer;
  /** Of the answer; those of its Response, once they have come. */
  std::shared_ptr<HeaderList> trailers;
  /** An answer that is given when it is whole. */
  std::unique_ptr<ResponseData> response;
};

class Stream {
public:
  Stream(HostStream& host, const FilterConfig& config);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  // --- Events, from the host. It holds a reference during each: any can end the exchange. ---

  HeadersStatus onHeaders(Direction direction, bool endStream);
  /** Runs a job of every() instead; whether that is done. */
  bool onJob(size_t index);
  BodyStatus onBody(Direction direction, bool endStream);
  TrailersStatus onTrailers(Direction direction);
  void onCalloutHeaders(uint64_t calloutId, std::span<const HeaderField> headers, bool endStream);
  void onCalloutData(uint64_t calloutId, std::span<const std::string_view> pieces, bool endStream);
  void onCalloutTrailers(uint64_t calloutId, std::span<const HeaderField> trailers);
  void onCalloutComplete(uint64_t calloutId);
  void onCalloutReset(uint64_t calloutId);
  /** What goes to the client has to wait, or may go on. */
  void onClientFull(bool full);
  /** The time of wakeAt has come. */
  void onWake();
  /** The host answers by itself: for us, for another filter, or because it has to. */
  void onLocalReply(uint32_t status, std::string_view details);
  /** The exchange is over; its data can still be read. */
  void onComplete() {
    if (!ended_)
      complete();
  }

  // --- References; the host holds the first ---

  void ref() { ++references_; }
  void unref() {
    if (--references_ == 0)
      host_.release();
  }

  // --- For the bindings ---

  uint64_t id() const { return id_; }
  HostStream& host() { return host_; }
  const FilterConfig& config() const { return *config_; }
  Runtime& runtime() { return *runtime_; }
  /** Whether the script is on the stack: nothing that may nest is allowed then. */
  bool scriptRuns() const { return runtime_ != nullptr && runtime_->engine().entry() != nullptr; }
  /** The phase a continuation of this stream runs in. */
  uint8_t phase() const { return phase_; }
  /** The exchange is over: nothing asynchronous can be started. */
  bool ended() const { return ended_; }
  /** False of the trailers of a message that has none, or whose end has not come. */
  bool exists(HeaderMap map) const {
    return map == HeaderMap::Request || map == HeaderMap::Response ||
           hooks_[map == HeaderMap::RequestTrailers ? 0 : 1].trailersCame;
  }
  /** Whether the headers of a map can still be changed. */
  bool writable(HeaderMap map) const;
  /** Counts one header write. */
  bool countHeaderWrite() { return headerWrites_++ < kMaxHeaderWrites; }
  // The script's writes. Requires: as HostStream's, and writable(map).
  void setHeader(HeaderMap map, std::string_view name, std::string_view value);
  void addHeader(HeaderMap map, std::string_view name, std::string_view value);
  void removeHeader(HeaderMap map, std::string_view name);
  /** Counts one write of metadata, filter state or a socket option; false past the cap. */
  bool countMetadataWrite() { return rare().metadataWrites++ < kMaxMetadataWrites; }
  /** Has the route chosen anew. Requires: writable(Request). */
  void clearRouteCache();
  /** Names the cluster, or with an empty name none. Requires: writable(Request), a cluster_header. */
  void chooseCluster(std::string_view name);
  /** The answer that somebody else has made; null when there is none. */
  const LocalReply* localReply() const { return localReply_ ? &*localReply_ : nullptr; }
  /** Counts one log line; false past the cap. */
  bool countLogLine() { return logLines_++ < kMaxLogLines; }
  ConsoleState& console() { return rare().console; }
  /** It waits, or has waited, for a value of `once`. */
  void waitOnce() { rare().waitsOnce = true; }
  /** Counts one custom flag; false past the cap. */
  bool countResponseFlag() { return rare().responseFlags++ < kMaxResponseFlags; }
  // Done when the script has returned.
  void resetLater();
  void endConnectionLater();
  /** Whether there is a response: the upstream's, or one that somebody else has made. */
  bool responseSeen() const {
    return responseSeen_ || (ended_ && host_.header(HeaderMap::Response, ":status", 0));
  }
  /** Whether a message came with anything after its headers. */
  bool hasBody(Direction direction) const { return hooks_[static_cast<size_t>(direction)].hasBody; }

  // In api_body.cc.
  /**
   * Begins a read of the body, for which the message waits. Null: an exception is pending.
   * Requires: hasBody(direction).
   */
  std::shared_ptr<BodySource> openBody(const Call& call, Direction direction);
  /** Nobody reads it further. */
  void leaveBody(Direction direction);
  /** Whether the body can be read in that form; false with an exception pending. */
  bool mayReadAs(const Call& call, Direction direction, BodyForm form);
  /** What is held of one body at most. */
  size_t bodyLimitBytes() const { return size_t{config_->config.limits.bodyKb} * 1024; }
  /** Puts another body in the place of what came; null for none. False with an exception pending. */
  bool setBody(const Call& call, Direction direction, std::shared_ptr<BodySource> source);
  /** The script gave the response a status: whether that has no body. */
  void setNullBody(bool isNull);
  /** Shows no more chunks to the hook. */
  void skipChunks(Direction direction) { bodyRun(direction).skipsChunks = true; }
  /** The bytes of a chunk. Valid until: the script returns. */
  std::vector<std::string_view> chunkPieces(const ChunkData& chunk);
  /** The `trailers` of a message; an exception when memory runs out. */
  JSValueConst trailersObject(Direction direction);

  /** The script's objects of this stream, made on first use. Owner: the stream. */
  JSValueConst requestObject();
  JSValueConst responseObject();
  JSValueConst contextObject();
  /** What is behind the `headers` of the two messages; null out of memory. Requires: the message's object. */
  HeadersData* requestHeaders();
  HeadersData* responseHeaders();
  JSValueConst signalObject();
  JSValueConst partObject(Part part);
  js::Value& state() { return state_; }
  /** One line in Envoy's log, with the filter's name and the request's id. */
  void log(LogLevel level, std::string_view text, std::string_view file, uint32_t line);
  const js::Value& configValue() const;
  const js::Value& settingsValue() const;

  /** Starts a timer; 0 with an exception pending when there are too many. */
  uint32_t addTimer(const Call& call, double delayMs, js::Value target,
                    std::vector<js::Value> arguments, uint32_t fetchId = 0,
                    bool repeats = false);
  void removeTimer(uint32_t timerId);

  /** Records a fetch; it is sent when the script has returned. 0 with an exception pending. */
  uint32_t addFetch(const Call& call, std::unique_ptr<Fetch> fetch);
  js::Value fetchPromise(uint32_t fetchId);
  /** What takes the fetch's listener from its signal; called when the fetch has settled. */
  void forgetSignalOf(uint32_t fetchId, js::Value forget);
  /** Gives a call to the main thread, to outlive the stream. False: there are too many. */
  bool handOver(Fetch& fetch);
  /** Rejects a fetch with `reason` and cancels its call. */
  void cancelFetch(uint32_t fetchId, JSValueConst reason);
  /** Has a fetch send a stream as its body. False: an exception is pending. */
  bool addUpload(uint32_t fetchId, JSValueConst stream);
  /**
   * A producer's next piece, its end, its failure; of the reply where `fetchId` is 0. Gives a
   * promise of room where there is none.
   */
  js::Value takePiece(uint32_t fetchId, std::span<const uint8_t> piece);
  void endPieces(uint32_t fetchId);
  void failPieces(uint32_t fetchId, JSValueConst reason);
  /** Fetches in flight, and all there have been. */
  uint32_t fetchesInFlight();
  uint32_t fetchesStarted() const { return fetchesStarted_; }
  /** How many there may be in all: a stream may make this many times as many as may be in flight. */
  uint32_t maxFetches() const { return config_->config.limits.fetches * kCallsPerFetchInFlight; }

  // In api_tracing.cc.
  /** Counts what the tracer is to keep; false past the cap. */
  bool countSpanBytes(size_t bytes);
  /** A child of `parent` for the script; an exception when memory runs out. Owner: the stream. */
  JSValueConst spawnSpan(SpanData& parent, std::string_view operation);
  /** Ends a child when no script is on the stack any more. */
  void finishSpan(HostSpan& child);
  /** Whether the trace is recorded, as far as it can be told. */
  std::optional<bool> sampled();
  void setSampled(bool sampled) { rare().sampled = sampled; }

  /** Changes metric number `index` of the script's own. */
  void updateMetric(size_t index, MetricKind kind, MetricChange change,
                    std::span<const std::string_view> labels, uint64_t value);
  /** Counts up, or sets, what is counted without the script. False: nobody hears it any more. */
  bool count(ScriptMetric metric, uint64_t value, std::string_view label = {});

  // --- For the Runtime ---

  /** Does what was recorded while the script ran. Requires: no script on the stack. */
  void act();
  /** Logs the pending exception of code that no hook waits for. Requires: an open Entry. */
  void reportException();
  /**
   * Takes the exchange out of the script's hands: one log line, then what `on_error` says: an answer,
   * or on with the message as it came. With a `status` it is answered in either mode.
   */
  void fail(Cause cause, Error error, uint32_t status = 0);
  /** The same for a script that overran its CPU time, stopped at `place`. */
  void failCpu(Error place);
  void addCpu(uint64_t ns) { cpuUsedNs_ += ns; }
  /** A hook's promise has settled with `value`; where rejected, `value` is the promise. */
  void settle(Direction direction, js::Value value, bool rejected);
  /** Already in the Runtime's list of streams to act on. */
  bool queuedToAct = false;

private:
  /** What one direction's hook is at. */
  enum class HookState : uint8_t {
    Idle,      // not called yet
    Running,   // inside the hook of the host
    Held,      // the host waits for the promise
    Done,
  };

  struct HookRun {
    HookState state = HookState::Idle;
    /** The hook that `state` is about. */
    Hook hook = Hook::OnRequest;
    /** The proxy's count of held streams has it. */
    bool countedHeld = false;
    /** The promise settled (or the function returned) with `value`. */
    bool settled = false;
    bool rejected = false;
    js::Value value;
    bool hasBody = false;
    /** All of the body has come. */
    bool ended = false;
    bool trailersCame = false;
    /** The headers cannot be written any more. */
    bool left = false;
    /** The headers have gone on. */
    bool sent = false;
    /** A body or trailer hook of the host runs, which will answer for this direction. */
    bool inEvent = false;
    /** When wait_ms is over. */
    uint64_t waitUntilNs = 0;
    std::unique_ptr<BodyRun> body;
  };

  /** From where a message goes on. */
  enum class At : uint8_t { Headers, Body, Trailers, Later };

  /** The lines of a name before the script wrote to it for the first time. */
  struct SavedHeader {
    HeaderMap map;
    std::string name;
    std::vector<std::string> values;
  };

  /** What most streams never have, so that those neither make nor unmake it. */
  struct Rare {
    ConsoleState console;
    js::Value signal;
    js::Value abortSignal;
    /** What a job of every() is called with. */
    js::Value jobContext;
    size_t jobIndex = 0;
    std::vector<Timer> timers;
    std::vector<std::unique_ptr<Fetch>> fetches;
    bool waitsOnce = false;
    // Parts of `ctx`, by their numbers.
    struct PartObject {
      HostClass cls;
      std::unique_ptr<NativeData> data;
      js::Value object;
    };
    std::vector<std::optional<PartObject>> parts;
    uint32_t metadataWrites = 0;
    struct ChildSpan {
      std::unique_ptr<SpanData> data;
      js::Value object;
    };
    std::vector<ChildSpan> childSpans;
    // To be ended when no script is on the stack.
    std::vector<HostSpan*> finishedSpans;
    size_t spanBytes = 0;
    // What the script has said.
    std::optional<bool> sampled;
    bool routeCleared = false;
    std::unique_ptr<OutgoingReply> reply;
    /** The client can take more of the reply. */
    bool clientAsks = false;
    uint32_t responseFlags = 0;
    bool wantsReset = false;
    bool wantsConnectionEnd = false;
    // For `on_error: open` alone.
    std::vector<SavedHeader> saved;
  };
  Rare& rare() {
    if (rare_ == nullptr)
      rare_ = std::make_unique<Rare>();
    return *rare_;
  }

  bool attach();
  bool enterRuntime();
  void complete();
  /** Requires: a runtime. */
  void detach();
  js::Budget budget() const;
  void callHook(Direction direction);
  /** What `await` makes of an object with a `then`: a promise. Other values come back unchanged. */
  js::Value adoptThenable(js::Value value);
  void takeHookResult(Direction direction, js::Value result);
  void watch(Direction direction, js::Value promise);
  void hold(HookRun& hook);
  /** Lets a message go on that was held. */
  void goOn(Direction direction);
  /** Sends what Envoy holds of the response as a reply. */
  void resendResponse();
  void countHeld(HookRun& hook, bool held);
  HeadersStatus finishHook(Direction direction);
  bool applySettled(Direction direction);
  Result<ResponseData*> checkReply(JSValueConst value, std::string_view hook);
  std::vector<HeaderField> replyHeaders(ResponseData& response);
  void sendReply(ResponseData& response);
  /** The same for a body that is a stream: now, or when it is all there. */
  void sendStream(Direction direction, js::Value value, ResponseData& response);
  bool isGrpcRequest();
  void sendReply(uint32_t status, std::span<const HeaderField> headers, std::string_view body,
                 std::string_view details);
  bool failsOpen() const { return config_->config.onError.mode == OnError::Mode::Open; }
  /** The script has no more part in the message. */
  bool isOver() const { return ended_ || failed_ || replied_; }
  /** Nothing of the request goes on: it has been answered, or its stream reset. */
  bool answered() const { return replied_ || (failed_ && !failsOpen()); }
  /** The header that chooses the cluster is ours alone: a client's goes, and with it the route it chose. */
  void dropClusterHeader();
  void saveHeader(HeaderMap map, std::string_view name);
  void restoreHeaders(HeaderMap map);
  void goOnAsItCame(std::string_view details);
  Hook hookNow() const;
  /** The header map that the direction's hook is about. */
  HeaderMap mapNow(Direction direction) const;
  JSValueConst hookArgument(Direction direction);
  bool canRunScript() const { return !ended_ && runtime_ != nullptr && !runtime_->dead(); }
  JSValueConst jobContext();
  void armWake();
  void abortPending();
  void runLogHook();
  void killHandles();
  HookRun& run(Direction direction) { return hooks_[static_cast<size_t>(direction)]; }
  bool replyGoesOn() const {
    return rare_ != nullptr && rare_->reply != nullptr && rare_->reply->begun && !rare_->reply->sent;
  }

  // In api_body.cc.
  BodyRun& bodyRun(Direction direction);
  bool hasBodyHooks(Direction direction) const;
  bool wantsChunks(Direction direction) const;
  BodyStatus onBodyPiece(Direction direction);
  TrailersStatus onBodyTrailers(Direction direction);
  /** All of a body has come. */
  static bool inputEnded(const HookRun& hook) { return hook.ended || hook.trailersCame; }
  BodyStatus bodyStatus(Direction direction);
  void collectBody(Direction direction, BodyPart part);
  void completeBody(Direction direction);
  void refuseBody(Direction direction, BodyPart part);
  void putBackLeft(Direction direction);
  bool waitsForBody(const HookRun& hook) const;
  bool passOn(Direction direction, At at);
  void beginBody(Direction direction);
  bool callBodyHook(Direction direction, Hook hook, At at);
  bool showChunk(Direction direction, At at);
  bool applyChunk(Direction direction, JSValueConst value);
  void replaceChunk(Direction direction, std::string_view bytes);
  void joinReceived(Direction direction);
  void putBack(Direction direction, std::string_view bytes);
  void closeChunk(BodyRun& body);
  JSValueConst chunkObject(Direction direction);
  bool restoreBody(Direction direction, bool hookRuns);
  void abortReads(JSValueConst reason);
  void killBodies();
  // In api_streams.cc.
  void startStream(ResponseData& response);
  void collectReply(Direction direction, js::Value value, ResponseData& response);
  void actOnReply();
  void actOnUpload(Fetch& fetch);
  void giveRoom(Outgoing& outgoing);
  void stopProducer(Outgoing& outgoing, JSValueConst reason);
  Outgoing* outgoingOf(uint32_t fetchId);
  // In api_fetch.cc.
  Fetch* fetchById(uint32_t id);
  Fetch* fetchByCallout(uint64_t calloutId);
  void actOnFetches();
  void startFetch(Fetch& fetch);
  void giveAnswer(Fetch& fetch, std::unique_ptr<ResponseData> data);
  void completeFetch(Fetch& fetch);
  void endFetch(Fetch& fetch);
  void leaveSignal(Fetch& fetch);
  void settleFetchBadly(Fetch& fetch, JSValueConst reason, Failure failure);
  void rejectFetch(Fetch& fetch, ErrorCode code, std::string_view first,
                   std::string_view second = {});
  void redirectFetch(Fetch& fetch, uint32_t status, const std::string& location);
  void onFetchTimer(uint32_t fetchId, uint32_t timerId);
  void failOnTime(Fetch& fetch, uint32_t ms);
  void abortFetches(JSValueConst reason);
  // In retry.cc.
  /** How long a fetch that has failed waits for its next try; nothing where there is none. */
  std::optional<uint64_t> pauseBeforeRetry(const Fetch& fetch, std::string_view retryAfter) const;
  /** Requires: an open Entry. */
  void pauseFetch(Fetch& fetch, uint64_t pauseNs);
  void startTryTimer(Fetch& fetch, double ms);
  void onTryTimer(Fetch& fetch);
  void endRetries(Fetch& fetch);
  // In api_tracing.cc.
  /** Begins the span of a call, and gives its request the headers by which the trace goes on. */
  void traceFetch(Fetch& fetch);
  void tagAnswer(Fetch& fetch, uint32_t status);
  void tagFailure(Fetch& fetch, ErrorCode code);
  void finishFetchSpan(Fetch& fetch);
  void finishSpans();
  // In api_timers.cc.
  void fireTimers(uint64_t nowNs);
  void abortTimers(JSValueConst reason);

  HostStream& host_;
  /** The filter's, or that of its route over it; chosen with the first headers. */
  const FilterConfig* config_;
  bool routed_ = false;
  Runtime* runtime_ = nullptr;
  uint64_t id_ = 0;
  uint32_t references_ = 1;
  uint32_t headerWrites_ = 0;
  uint32_t logLines_ = 0;
  uint32_t fetchesStarted_ = 0;
  uint32_t nextId_ = 1;
  uint8_t phase_ = phase::RequestHeaders;
  bool responseSeen_ = false;
  /** The host lets the request go on, inside a call of ours. */
  bool continuesRequest_ = false;
  /**
   * The hook that held the response inside that call. Before 1.39 Envoy keeps one flag for both
   * directions, which says at the end of the call that nothing is held: it would never go on.
   */
  std::optional<Hook> stuckIn_;
  bool replied_ = false;
  bool failed_ = false;
  bool ended_ = false;
  bool actingOnFetches_ = false;
  /** How many of its buffers, the stream's and the connection's, are full. */
  uint32_t clientFull_ = 0;
  uint64_t cpuUsedNs_ = 0;
  uint64_t wakeAtNs_ = 0;
  const Runtime::Settings* settings_ = nullptr;
  std::array<HookRun, 2> hooks_;
  // Each made when the script first sees it.
  std::optional<RequestData> request_;
  std::optional<ResponseData> response_;
  std::optional<HeadersData> requestHeaders_;
  std::optional<HeadersData> responseHeaders_;
  ContextData context_;
  js::Value requestObject_;
  js::Value responseObject_;
  js::Value contextObject_;
  js::Value state_;
  std::optional<LocalReply> localReply_;
  std::unique_ptr<Rare> rare_;
};

/** Keeps a stream while somebody still looks at it. */
class StreamRef {
public:
  explicit StreamRef(Stream& stream) : stream_(stream) { stream_.ref(); }
  ~StreamRef() { stream_.unref(); }
  StreamRef(const StreamRef&) = delete;
  StreamRef& operator=(const StreamRef&) = delete;
  Stream& operator*() const { return stream_; }
  Stream* operator->() const { return &stream_; }

private:
  Stream& stream_;
};

}  // namespace fairlead
