// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/stream.h"

#include <algorithm>
#include <charconv>
#include <type_traits>
#include <utility>

#include "filter-cc/events.h"
#include "filter-cc/runtime.h"

namespace fairlead {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;

Cause causeOf(js::Fault fault) {
  switch (fault) {
  case js::Fault::Stack:
    return Cause::Stack;
  case js::Fault::Cpu:
    return Cause::Cpu;
  case js::Fault::Memory:
    return Cause::Memory;
  default:
    return Cause::Throw;
  }
}

/** The gRPC status that says what an HTTP status says; never 0. */
uint32_t grpcStatus(uint32_t httpStatus) {
  switch (httpStatus) {
  case 400:
    return 13;  // INTERNAL, as gRPC's own mapping has it
  case 401:
    return 16;  // UNAUTHENTICATED
  case 403:
    return 7;  // PERMISSION_DENIED
  case 404:
    return 12;  // UNIMPLEMENTED
  case 413:
    return 8;  // RESOURCE_EXHAUSTED
  case 429:
  case 502:
  case 503:
    return 14;  // UNAVAILABLE
  case 500:
    return 13;  // INTERNAL
  case 504:
    return 4;  // DEADLINE_EXCEEDED
  default:
    return 2;  // UNKNOWN
  }
}

std::string_view describeReturn(JSValueConst value) {
  if (JS_IsString(value))
    return "a string";
  if (JS_IsNumber(value))
    return "a number";
  if (JS_IsBool(value))
    return "a boolean";
  return JS_IsObject(value) ? "an object that is not a Response" : "a value that is not a Response";
}

}  // namespace

std::string_view causeName(Cause cause) {
  switch (cause) {
  case Cause::Throw:
    return "throw";
  case Cause::Stack:
    return "stack";
  case Cause::Cpu:
    return "cpu";
  case Cause::Memory:
    return "memory";
  case Cause::Wait:
    return "wait";
  case Cause::Load:
    return "load";
  case Cause::Body:
    return "body";
  }
  return "";
}

Stream::Stream(HostStream& host, const FilterConfig& config)
    : host_(host), config_(&config), context_(*this) {
  run(Direction::Response).hook = Hook::OnResponse;
}

Stream::~Stream() {
  if (runtime_ != nullptr)
    detach();
}

// --- Header hooks ---

namespace {

Hook headersHook(Direction direction) {
  return direction == Direction::Request ? Hook::OnRequest : Hook::OnResponse;
}

}  // namespace

HeadersStatus Stream::onHeaders(Direction direction, bool endStream) {
  if (!routed_) {
    routed_ = true;
    if (const FilterConfig* routes = host_.routeConfig(*config_))
      config_ = routes;
  }
  if (direction == Direction::Response) {
    responseSeen_ = true;
    phase_ = phase::ResponseHeaders;
    // Somebody else has answered while our request hook waited: its outcome is of no use.
    HookRun& request = run(Direction::Request);
    if (request.state == HookState::Held && !request.sent)
      request.state = HookState::Done;
    // Envoy 1.38 shows us our own streamed reply.
    if (replied_)
      return HeadersStatus::Continue;
  }
  if (direction == Direction::Request && !config_->config.clusterHeader.empty())
    dropClusterHeader();
  HookRun& hook = run(direction);
  hook.hasBody = !endStream;
  hook.ended = endStream;
  if (!config_->script->hasHook(headersHook(direction)) || failed_ || ended_) {
    hook.state = HookState::Done;
    hook.left = hook.sent = true;
    if (hook.hasBody && hasBodyHooks(direction) && !failed_ && !ended_)
      passOn(direction, At::Headers);
    return HeadersStatus::Continue;
  }
  hook.state = HookState::Running;
  if (attach())
    callHook(direction);
  return finishHook(direction);
}

bool Stream::attach() {
  if (runtime_ == nullptr && !enterRuntime())
    return false;
  return settings_ != nullptr && !runtime_->dead();
}

bool Stream::enterRuntime() {
  if (failed_)
    return false;  // it could not be loaded a moment ago
  Result<Runtime*> entered = Runtime::enter(*config_->script, host_.workerIndex());
  if (!entered) {
    fail(Cause::Load, std::move(entered).error());
    return false;
  }
  runtime_ = *entered;
  id_ = runtime_->addStream(*this);
  Result<const Runtime::Settings*> settings = runtime_->settings(*config_);
  if (!settings) {
    fail(Cause::Load, std::move(settings).error());
    return false;
  }
  settings_ = *settings;
  return true;
}

void Stream::detach() {
  if (rare_ != nullptr) {
    for (const Rare::ChildSpan& child : rare_->childSpans)
      child.data->finish();
    for (const std::unique_ptr<Fetch>& fetch : rare_->fetches)
      finishFetchSpan(*fetch);
    finishSpans();
  }
  killHandles();
  if (id_ != 0)
    runtime_->removeStream(id_);
  Runtime::leave(std::exchange(runtime_, nullptr));
}

js::Budget Stream::budget() const {
  const Limits& limits = config_->config.limits;
  const uint64_t totalNs = limits.streamCpuMs * kNsPerMs;
  return {limits.cpuMs * kNsPerMs, totalNs - std::min(totalNs, cpuUsedNs_)};
}

void Stream::callHook(Direction direction) {
  std::optional<Error> failure;
  js::Fault fault = js::Fault::None;
  JSContext* ctx = runtime_->ctx();
  js::Value result;
  runtime_->countExecution(*this);
  runtime_->run(
      *this, budget(),
      [&] {
        const Hook hook = run(direction).hook;
        JSValueConst arguments[2];
        int count = 0;
        if (runtime_->takes(hook, 0))
          arguments[count++] = hookArgument(direction);
        if (runtime_->takes(hook, 1))
          arguments[count++] = contextObject();
        const bool made = std::none_of(arguments, arguments + count,
                                       [](JSValueConst value) { return JS_IsException(value); });
        result = js::Value(ctx, made ? JS_Call(ctx, runtime_->hook(hook), runtime_->filter(), count,
                                               arguments)
                                     : JS_EXCEPTION);
        if (!result.isException() && result.isObject() && !js::isPromise(result.get()))
          result = adoptThenable(std::move(result));
        if (result.isException())
          failure = js::takeException(ctx, fault);
      },
      [&](js::Entry& entry) {
        // A fault reaches fail() by its owner, which can be another stream.
        const js::Fault entryFault = entry.fault();
        const bool ours = entryFault != js::Fault::None &&
                          (entryFault == js::Fault::Memory || entry.faultOwner() == id_);
        if (!ours && !failure)
          takeHookResult(direction, std::move(result));
        else if (ours && failure)
          entry.setFaultPlace(std::move(*failure));
        // Nothing of the runtime may be held past this: the fault's answer can end the stream, and
        // the runtime with it.
        result.reset();
      });
  if (failure && fault != js::Fault::Cpu && fault != js::Fault::Memory)
    fail(causeOf(fault), std::move(*failure));
}

JSValueConst Stream::hookArgument(Direction direction) {
  switch (run(direction).hook) {
  case Hook::OnRequest:
    return requestObject();
  case Hook::OnResponse:
    return responseObject();
  case Hook::OnRequestChunk:
  case Hook::OnResponseChunk:
    return chunkObject(direction);
  case Hook::Every:
    return jobContext();
  default:
    return trailersObject(direction);
  }
}

js::Value Stream::adoptThenable(js::Value value) {
  JSContext* ctx = runtime_->ctx();
  if (bind::tryUnwrap(*runtime_, value.get(), HostClass::Response) != nullptr)
    return value;
  const js::Value then(ctx, JS_GetPropertyStr(ctx, value.get(), "then"));
  if (then.isException())
    return {ctx, JS_EXCEPTION};
  if (!then.isFunction())
    return value;
  return js::promiseOf(ctx, value.get());
}

void Stream::takeHookResult(Direction direction, js::Value result) {
  if (!js::isPromise(result.get())) {
    run(direction).settled = true;
    run(direction).value = std::move(result);
    return;
  }
  JSContext* ctx = runtime_->ctx();
  switch (js::promiseState(ctx, result.get())) {
  case JS_PROMISE_FULFILLED:
    settle(direction, js::promiseResult(ctx, result.get()), false);
    break;
  case JS_PROMISE_REJECTED:
    js::markHandled(ctx, result.get());
    settle(direction, std::move(result), true);
    break;
  default:
    watch(direction, std::move(result));
    break;
  }
}

namespace {

/** The native reaction on a hook's promise; `data` is the stream's id and the promise. */
JSValue onHookSettled(JSContext* ctx, JSValueConst, int argc, JSValueConst* argv, int magic,
                      JSValueConst* data) {
  return bind::barrier(ctx, "hook", [&] {
    int64_t id = 0;
    JS_ToBigInt64(ctx, &id, data[0]);
    if (Stream* stream = Runtime::from(ctx).findStream(static_cast<uint64_t>(id))) {
      const bool rejected = (magic & 1) != 0;
      const auto direction = static_cast<Direction>(magic >> 1);
      // A rejection keeps the promise: it knows where the throw was.
      JSValueConst value = rejected ? data[1] : argc > 0 ? argv[0] : JS_UNDEFINED;
      stream->settle(direction, js::Value::dup(ctx, value), rejected);
    }
    return JS_UNDEFINED;
  });
}

}  // namespace

void Stream::watch(Direction direction, js::Value promise) {
  JSContext* ctx = runtime_->ctx();
  const js::Value id(ctx, JS_NewBigUint64(ctx, id_));
  JSValueConst data[] = {id.get(), promise.get()};
  const int magic = static_cast<int>(direction) << 1;
  const js::Value fulfilled(ctx, JS_NewCFunctionData(ctx, onHookSettled, 1, magic, 1, data));
  const js::Value rejected(ctx, JS_NewCFunctionData(ctx, onHookSettled, 1, magic | 1, 2, data));
  // Out of memory ends the entry with a fault; nothing is left to do here.
  if (!fulfilled.isException() && !rejected.isException())
    (void)js::promiseThen(ctx, promise.get(), fulfilled.get(), rejected.get());
}

void Stream::settle(Direction direction, js::Value value, bool rejected) {
  HookRun& hook = run(direction);
  if (hook.settled || hook.state == HookState::Done)
    return;
  hook.settled = true;
  hook.rejected = rejected;
  hook.value = std::move(value);
  if (hook.state == HookState::Held)
    runtime_->recordAction(*this);
}

HeadersStatus Stream::finishHook(Direction direction) {
  HookRun& hook = run(direction);
  // `sent` after a fault: `on_error: open` let it go.
  const auto status = [&] {
    return hook.sent ? HeadersStatus::Continue : HeadersStatus::StopIteration;
  };
  if (isOver()) {
    hook.state = HookState::Done;
    return status();
  }
  if (!hook.settled || waitsForBody(hook)) {
    hold(hook);
    return HeadersStatus::StopIteration;
  }
  // Most hooks give nothing.
  if (!hook.rejected && hook.value.isUndefined())
    hook.state = HookState::Done;
  else if (!applySettled(direction))
    return status();
  hook.left = true;
  if (hook.body == nullptr && !hasBodyHooks(direction))
    hook.sent = true;
  else
    passOn(direction, At::Headers);
  return status();
}

void Stream::hold(HookRun& hook) {
  hook.state = HookState::Held;
  constexpr uint32_t kFirstSeparateRelease = 39;
  if (continuesRequest_ && host::release() < kFirstSeparateRelease)
    stuckIn_ = hook.hook;
  countHeld(hook, true);
  hook.waitUntilNs = host::monotonicNs() + config_->config.limits.waitMs * kNsPerMs;
  armWake();
}

void Stream::countHeld(HookRun& hook, bool held) {
  if (hook.countedHeld == held)
    return;
  const size_t id = config_->metricIds.ofScript[static_cast<size_t>(ScriptMetric::HeldStreams)];
  if (id == 0)
    return;
  host_.updateMetric(MetricKind::Gauge, held ? MetricChange::Add : MetricChange::Subtract, id, {}, 1);
  hook.countedHeld = held;
}

bool Stream::applySettled(Direction direction) {
  HookRun& hook = run(direction);
  countHeld(hook, false);
  // Sending can end the stream; what is sent lives in the runtime.
  const Runtime::Stay stay(*runtime_);
  const js::Value value = std::move(hook.value);
  const auto failed = [&](Cause cause, Error error) {
    fail(cause, std::move(error));
    hook.state = HookState::Done;
    return false;
  };
  if (hook.rejected) {
    js::Fault fault = js::Fault::None;
    Error error = js::describeRejection(runtime_->ctx(), value.get(), fault);
    if (hook.body != nullptr && hook.body->tooLarge &&
        error.code == errorName(ErrorCode::E_BODY_LIMIT)) {
      constexpr uint32_t kPayloadTooLarge = 413;
      constexpr uint32_t kBadGateway = 502;
      fail(Cause::Body, std::move(error),
           direction == Direction::Request ? kPayloadTooLarge : kBadGateway);
      return false;
    }
    return failed(causeOf(fault), std::move(error));
  }
  if (hook.hook == Hook::OnRequestChunk || hook.hook == Hook::OnResponseChunk) {
    const bool applied = applyChunk(direction, value.get());
    if (applied)
      hook.state = HookState::Done;
    if (applied || ended_)
      return !ended_;
  }
  // Giving back the response itself means: go on.
  if (value.isUndefined() || value.isNull() || hook.hook == Hook::Every ||
      (hook.hook == Hook::OnResponse &&
       JS_IsStrictEqual(runtime_->ctx(), value.get(), responseObject_.get()))) {
    hook.state = HookState::Done;
    return true;
  }
  Result<ResponseData*> response = checkReply(value.get(), hookName(hook.hook));
  if (!response)
    return failed(Cause::Throw, std::move(response).error());
  if (run(Direction::Response).left)
    return failed(Cause::Throw, makeError(ErrorCode::E_HEADERS_SENT,
                                          {hookName(hook.hook), "response headers", "onResponse"}));
  if ((*response)->body.stream.isObject()) {
    sendStream(direction, value.dup(), **response);
    return false;
  }
  hook.state = HookState::Done;
  sendReply(**response);
  return false;
}

Result<ResponseData*> Stream::checkReply(JSValueConst value, std::string_view hook) {
  for (const HostClass cls : {HostClass::Response, HostClass::Request}) {
    if (bind::isDead(*runtime_, value, cls))
      return makeError(ErrorCode::E_DEAD_HANDLE, {hook});
  }
  auto* response =
      static_cast<ResponseData*>(bind::tryUnwrap(*runtime_, value, HostClass::Response));
  if (response == nullptr && bind::tryUnwrap(*runtime_, value, HostClass::Request) != nullptr)
    return makeError(ErrorCode::E_RETURN_REQUEST, {hook});
  if (response == nullptr || response->stream != nullptr)
    return makeError(ErrorCode::E_RETURN_VALUE, {hook, describeReturn(value)});
  if (response->status < 200)
    return makeError(ErrorCode::E_RETURN_VALUE, {hook, "Response.error()"});
  if (isBodyTaken(*runtime_, response->body))
    return makeError(ErrorCode::E_BODY_USED, {hook});
  // Also when all of its body is here: whether that is so depends on the answer.
  if (response->body.source != nullptr && response->body.source->isFetched())
    return makeError(ErrorCode::E_RETURN_FETCHED, {hook});
  return response;
}

std::vector<HeaderField> Stream::replyHeaders(ResponseData& response) {
  std::vector<HeaderField> fields;
  if (const HeadersData* headers = headersOf(*runtime_, response)) {
    fields.reserve(headers->list().size());
    for (const auto& [name, value] : headers->list()) {
      // Envoy makes the framing, and cannot tell an empty value from an absent header.
      if (!value.empty() && !isHopHeader(name))
        fields.push_back({name, value});
    }
  }
  return fields;
}

void Stream::sendReply(ResponseData& response) {
  const BodySource* source = response.body.source.get();
  const std::string_view body = source == nullptr ? std::string_view() : source->bytes();
  const std::string_view details =
      response.details.empty() ? std::string_view("fairlead_reply") : response.details;
  if (response.usualType.empty()) {
    sendReply(response.status, replyHeaders(response), body, details);
    return;
  }
  // No header but that of its body: there is no list of them.
  const HeaderField type{"content-type", response.usualType};
  sendReply(response.status, {&type, 1}, body, details);
}

// --- Bodies and trailers: they wait while the headers do ---

BodyStatus Stream::onBody(Direction direction, bool endStream) {
  HookRun& hook = run(direction);
  hook.ended = endStream;
  if (hook.body != nullptr)
    return onBodyPiece(direction);
  if (hook.state == HookState::Held)
    return BodyStatus::StopIterationAndWatermark;
  if (direction == Direction::Request && answered())
    return BodyStatus::StopIterationNoBuffer;
  return BodyStatus::Continue;
}

TrailersStatus Stream::onTrailers(Direction direction) {
  HookRun& hook = run(direction);
  hook.trailersCame = true;
  if (hook.body != nullptr)
    return onBodyTrailers(direction);
  const bool held = hook.state == HookState::Held;
  return held || (direction == Direction::Request && answered()) ? TrailersStatus::StopIteration : TrailersStatus::Continue;
}

// --- Doing what was recorded ---

void Stream::act() {
  if (rare_ != nullptr && !ended_ && std::exchange(rare_->wantsReset, false)) {
    host_.resetStream("fairlead_reset");
    return;
  }
  for (const Direction direction : {Direction::Request, Direction::Response}) {
    HookRun& hook = run(direction);
    if (hook.inEvent)
      continue;  // it goes on when that event is answered
    if (hook.state == HookState::Held && hook.body != nullptr) {
      if (hook.body->isRead())
        collectBody(direction, BodyPart::Buffered);
      else
        putBackLeft(direction);
    }
    if (hook.state != HookState::Held || !hook.settled || waitsForBody(hook))
      continue;
    if (applySettled(direction)) {
      hook.left = true;
      if (passOn(direction, At::Later))
        goOn(direction);
    }
  }
  if (rare_ == nullptr)
    return;
  actOnReply();
  actOnFetches();
  finishSpans();
  if (!ended_ && std::exchange(rare_->wantsConnectionEnd, false))
    host_.endConnection();
}

void Stream::goOn(Direction direction) {
  if (direction == Direction::Response && stuckIn_) {
    if (*stuckIn_ == Hook::OnResponse)
      resendResponse();
    else
      host_.resetStream("fairlead_stuck");  // its headers have left
    return;
  }
  // An answer that Envoy makes at once passes its hooks inside the call.
  continuesRequest_ = direction == Direction::Request;
  host_.continueMessage(direction);
  continuesRequest_ = false;
}

void Stream::resendResponse() {
  uint32_t status = 0;
  HeaderList lines;
  std::vector<HeaderField> fields;
  host_.headers(HeaderMap::Response, fields);
  for (const HeaderField& field : fields) {
    if (field.name == ":status")
      std::from_chars(field.value.data(), field.value.data() + field.value.size(), status);
    else if (!field.value.empty() && !isHopHeader(field.name))
      lines.emplace_back(field.name, field.value);
  }
  std::string body;
  std::vector<std::string_view> pieces;
  host_.body(Direction::Response, BodyPart::Buffered, pieces);
  for (const std::string_view piece : pieces)
    body += piece;
  fields.clear();
  for (const auto& [name, value] : lines)
    fields.push_back({name, value});
  const std::string details = localReply() == nullptr ? "fairlead_resent" : localReply()->details;
  sendReply(status, fields, body, details);
}

void Stream::resetLater() {
  rare().wantsReset = true;
  runtime_->recordAction(*this);
}

void Stream::endConnectionLater() {
  rare().wantsConnectionEnd = true;
  runtime_->recordAction(*this);
}

bool Stream::isGrpcRequest() {
  const std::optional<HeaderLookup> type = host_.header(HeaderMap::Request, "content-type", 0);
  constexpr std::string_view kGrpc = "application/grpc";
  return type && type->value.starts_with(kGrpc) &&
         (type->value.size() == kGrpc.size() || type->value[kGrpc.size()] == '+' ||
          type->value[kGrpc.size()] == ';');
}

void Stream::sendReply(uint32_t status, std::span<const HeaderField> headers, std::string_view body,
                       std::string_view details) {
  replied_ = true;
  if (!isGrpcRequest()) {
    host_.sendResponse(status, headers, body, details);
    return;
  }
  // A gRPC caller reads grpc-status only, and Envoy says 0 unless there is one. The rest is Envoy's:
  // it makes the body the grpc-message. A reply by hand would crash it in an upstream chain.
  const std::string code = std::to_string(grpcStatus(status));
  std::vector<HeaderField> fields(headers.begin(), headers.end());
  const auto isStatus = [](const HeaderField& field) { return field.name == "grpc-status"; };
  const bool ownStatus = std::any_of(fields.begin(), fields.end(), isStatus);
  if (!ownStatus)
    fields.push_back({"grpc-status", code});
  constexpr size_t kMaxMessageBytes = 1024;
  host_.sendResponse(status, fields, ownStatus ? std::string_view() : body.substr(0, kMaxMessageBytes),
                     details);
}

// --- Routing, and answers of others ---

void Stream::dropClusterHeader() {
  const std::string& name = config_->config.clusterHeader;
  if (!host_.header(HeaderMap::Request, name, 0))
    return;
  host_.removeHeader(HeaderMap::Request, name);
  host_.clearRouteCache();
}

void Stream::clearRouteCache() {
  rare().routeCleared = true;
  host_.clearRouteCache();
}

void Stream::chooseCluster(std::string_view name) {
  if (name.empty())
    removeHeader(HeaderMap::Request, config_->config.clusterHeader);
  else
    setHeader(HeaderMap::Request, config_->config.clusterHeader, name);
  clearRouteCache();
}

void Stream::onLocalReply(uint32_t status, std::string_view details) {
  const Script& script = *config_->script;
  if (answered() || ended_)
    return;
  if (script.hasHook(Hook::OnResponse) || script.hasHook(Hook::OnLog))
    localReply_ = {status, std::string(details)};
  if (config_->config.clusterHeader.empty() || details != "cluster_not_found")
    return;
  const std::optional<HeaderLookup> chosen =
      host_.header(HeaderMap::Request, config_->config.clusterHeader, 0);
  if (chosen && countLogLine())
    log(LogLevel::Warn,
        std::string(errorName(ErrorCode::E_CLUSTER_UNKNOWN)) + ": " +
            errorMessage(ErrorCode::E_CLUSTER_UNKNOWN, {chosen->value}),
        {}, 0);
}

// --- Failures ---

void Stream::fail(Cause cause, Error error, uint32_t status) {
  // Another job may have begun since.
  if (runtime_ != nullptr && phase_ == phase::Job)
    runtime_->selectJob(rare().jobIndex);
  if (runtime_ != nullptr) {
    runtime_->placeAtHook(hookNow(), error);
    runtime_->countRepeats(error);
  }
  config_->script->mapPositions(error);
  count(ScriptMetric::Errors, 1, causeName(cause));
  if (countLogLine())
    log(LogLevel::Error, formatError(error), error.file, error.line);
  // Of a reply that is sent piece by piece the rest is missing.
  const bool breaksReply = replyGoesOn();
  if (ended_ || failed_ || (replied_ && !breaksReply))
    return;
  failed_ = true;
  for (HookRun& hook : hooks_) {
    countHeld(hook, false);
    if (hook.body != nullptr)
      closeChunk(*hook.body);
  }
  const std::string details = "fairlead_" + std::string(causeName(cause));
  if (failsOpen() && status == 0 && !breaksReply) {
    goOnAsItCame(details);
    return;
  }
  for (HookRun& hook : hooks_)
    hook.state = HookState::Done;
  if (run(Direction::Response).sent || breaksReply) {
    host_.resetStream(details);
    return;
  }
  const OnError& onError = config_->config.onError;
  if (status == 0)
    status = cause == Cause::Wait ? onError.waitStatus : onError.status;
  sendReply(status, {}, {}, details);
}

void Stream::goOnAsItCame(std::string_view details) {
  const StreamRef keep(*this);
  for (const Direction direction : {Direction::Request, Direction::Response}) {
    HookRun& hook = run(direction);
    const HookState state = std::exchange(hook.state, HookState::Done);
    const bool runs = state == HookState::Running || state == HookState::Held;
    if (hook.body != nullptr && !ended_ && !restoreBody(direction, runs)) {
      host_.resetStream(details);
      return;
    }
    if (!runs)
      continue;
    restoreHeaders(mapNow(direction));
    hook.left = hook.sent = true;
    if (state == HookState::Held && !hook.inEvent)
      host_.continueMessage(direction);
  }
}

HeaderMap Stream::mapNow(Direction direction) const {
  switch (hooks_[static_cast<size_t>(direction)].hook) {
  case Hook::OnRequestTrailers:
    return HeaderMap::RequestTrailers;
  case Hook::OnResponseTrailers:
    return HeaderMap::ResponseTrailers;
  default:
    return direction == Direction::Request ? HeaderMap::Request : HeaderMap::Response;
  }
}

void Stream::reportException() {
  js::Fault fault = js::Fault::None;
  Error error = js::takeException(runtime_->ctx(), fault);
  if (fault == js::Fault::Cpu || fault == js::Fault::Memory)
    return;  // the entry reports those
  count(ScriptMetric::Errors, 1, causeName(causeOf(fault)));
  runtime_->countRepeats(error);
  config_->script->mapPositions(error);
  if (countLogLine())
    log(LogLevel::Error, formatError(error), error.file, error.line);
}

void Stream::failCpu(Error place) {
  const Limits& limits = config_->config.limits;
  const bool total = budget().remainingStreamCpuNs == 0;
  place.code = errorName(ErrorCode::E_CPU_LIMIT);
  place.message = errorMessage(
      ErrorCode::E_CPU_LIMIT,
      {hookName(hookNow()), total ? "stream_cpu_ms (" + std::to_string(limits.streamCpuMs) + " ms)"
                        : "cpu_ms (" + std::to_string(limits.cpuMs) +
                              " ms, or the jobs of one entry)"});
  fail(Cause::Cpu, std::move(place));
}

Hook Stream::hookNow() const {
  if (phase_ == phase::Log)
    return Hook::OnLog;
  if (phase_ == phase::Job)
    return Hook::Every;
  const auto& [request, response] = hooks_;
  const bool requestRuns = request.state == HookState::Running || request.state == HookState::Held;
  const bool responseRuns =
      response.state == HookState::Running || response.state == HookState::Held;
  if (requestRuns != responseRuns)
    return requestRuns ? request.hook : response.hook;
  return phase_ == phase::RequestHeaders ? request.hook : response.hook;
}

void Stream::log(LogLevel level, std::string_view text, std::string_view file, uint32_t line) {
  std::string message = config_->config.filterName + ": ";
  // A client may have chosen the id: only what reads as one is shown.
  constexpr size_t kMaxIdBytes = 128;
  const std::optional<HeaderLookup> id = host_.header(HeaderMap::Request, "x-request-id", 0);
  if (id && id->value.size() <= kMaxIdBytes && isHeaderName(id->value))
    message.append("[").append(id->value).append("] ");
  if (HostSpan* span = host_.activeSpan()) {
    if (const auto traceId = host_.traceId(*span))
      message.append("[trace_id=").append(*traceId).append("] ");
    if (const auto spanId = host_.spanId(*span))
      message.append("[span_id=").append(*spanId).append("] ");
  }
  message += text;
  host::log(level, message, file, line);
}

// --- Metrics ---

void Stream::updateMetric(size_t index, MetricKind kind, MetricChange change,
                          std::span<const std::string_view> labels, uint64_t value) {
  if (index >= config_->metricIds.own.size())
    return;
  const MetricIds::Own& own = config_->metricIds.own[index];
  if (!own.inFamily) {
    host_.updateMetric(kind, change, own.id, labels, value);
    return;
  }
  std::string text;
  for (size_t i = 0; i < labels.size(); ++i)
    text.append(i == 0 ? "" : ",").append(own.inFamily->labels[i]).append("=").append(labels[i]);
  const std::string_view inFamily[] = {own.inFamily->name, text};
  host_.updateMetric(kind, change, own.id, inFamily, value);
}

bool Stream::count(ScriptMetric metric, uint64_t value, std::string_view label) {
  const size_t id = config_->metricIds.ofScript[static_cast<size_t>(metric)];
  const MetricKind kind = kindOf(metric);
  const MetricChange change = kind == MetricKind::Gauge ? MetricChange::Set : MetricChange::Add;
  return id != 0 && host_.updateMetric(kind, change, id, {&label, label.empty() ? size_t{0} : 1},
                                       value);
}

// --- Header writes ---

void Stream::setHeader(HeaderMap map, std::string_view name, std::string_view value) {
  if (failsOpen())
    saveHeader(map, name);
  host_.setHeader(map, name, value);
}

void Stream::addHeader(HeaderMap map, std::string_view name, std::string_view value) {
  if (failsOpen())
    saveHeader(map, name);
  host_.addHeader(map, name, value);
}

void Stream::removeHeader(HeaderMap map, std::string_view name) {
  if (failsOpen())
    saveHeader(map, name);
  host_.removeHeader(map, name);
}

void Stream::saveHeader(HeaderMap map, std::string_view name) {
  std::string key = lowerCase(name);
  for (const SavedHeader& saved : rare().saved) {
    if (saved.map == map && saved.name == key)
      return;
  }
  SavedHeader& saved = rare().saved.emplace_back(SavedHeader{map, std::move(key), {}});
  for (size_t i = 0;; ++i) {
    const std::optional<HeaderLookup> line = host_.header(map, name, i);
    if (!line)
      break;
    saved.values.emplace_back(line->value);
  }
}

void Stream::restoreHeaders(HeaderMap map) {
  if (rare_ == nullptr)
    return;
  for (SavedHeader& saved : rare().saved) {
    if (saved.map != map)
      continue;
    // Envoy takes an empty value for a removal, so those cannot be given back.
    std::erase_if(saved.values, [](const std::string& value) { return value.empty(); });
    if (saved.values.empty()) {
      host_.removeHeader(map, saved.name);
      continue;
    }
    host_.setHeader(map, saved.name, saved.values.front());
    for (size_t i = 1; i < saved.values.size(); ++i)
      host_.addHeader(map, saved.name, saved.values[i]);
  }
  rare().saved.clear();
  if (map == HeaderMap::Request && rare().routeCleared)
    host_.clearRouteCache();
}

// --- Time ---

void Stream::armWake() {
  uint64_t earliest = 0;
  const auto consider = [&](uint64_t dueNs) {
    if (earliest == 0 || dueNs < earliest)
      earliest = dueNs;
  };
  for (const HookRun& hook : hooks_) {
    if (hook.state == HookState::Held)
      consider(hook.waitUntilNs);
  }
  // Those of a dead runtime never fire: they would be due for ever.
  if (rare_ != nullptr && canRunScript()) {
    for (const Timer& timer : rare_->timers)
      consider(timer.dueNs);
    if (rare_->clientAsks)
      consider(host::monotonicNs());
  }
  // A wake that comes too early is cheaper than moving it for each timer that goes.
  if (earliest == 0 || ended_ || (wakeAtNs_ != 0 && wakeAtNs_ <= earliest))
    return;
  host_.wakeAt(earliest);
  wakeAtNs_ = earliest;
}

void Stream::onWake() {
  wakeAtNs_ = 0;
  const uint64_t now = host::monotonicNs();
  if (rare_ != nullptr && rare_->reply != nullptr)
    rare_->reply->sentAtOnceBytes = 0;
  fireTimers(now);
  if (!ended_ && rare_ != nullptr && std::exchange(rare_->clientAsks, false))
    actOnReply();
  for (const Direction direction : {Direction::Request, Direction::Response}) {
    HookRun& hook = run(direction);
    if (ended_ || hook.state != HookState::Held || now < hook.waitUntilNs)
      continue;
    Error error = makeError(ErrorCode::E_WAIT_LIMIT,
                            {hookName(hook.hook),
                             std::to_string(config_->config.limits.waitMs)});
    fail(Cause::Wait, std::move(error));
  }
  armWake();
}

// --- The end ---

void Stream::complete() {
  ended_ = true;
  for (HookRun& hook : hooks_) {
    countHeld(hook, false);
    hook.state = HookState::Done;
    hook.value.reset();
  }
  if (wakeAtNs_ != 0)
    host_.wakeAt(0);
  if (runtime_ != nullptr && !runtime_->dead())
    abortPending();
  if (config_->script->hasHook(Hook::OnLog) && phase_ != phase::Job)
    runLogHook();
  if (runtime_ != nullptr && runtime_->isLastStream())
    runtime_->report(*this);
  if (logLines_ > kMaxLogLines)
    log(LogLevel::Warn, std::to_string(logLines_ - kMaxLogLines) + " log lines dropped", {}, 0);
  if (runtime_ != nullptr)
    detach();
}

void Stream::abortPending() {
  const bool reads = std::any_of(hooks_.begin(), hooks_.end(), [](const HookRun& hook) {
    return hook.body != nullptr && hook.body->isRead();
  });
  if (rare_ == nullptr && !reads)
    return;
  const Rare& rare = this->rare();
  if (rare.abortSignal.isUndefined() && rare.timers.empty() && rare.fetches.empty() &&
      !rare.waitsOnce && !reads && rare.reply == nullptr)
    return;
  runtime_->run(
      *this, budget(),
      [&] {
        JSContext* ctx = runtime_->ctx();
        js::Value reason;
        if (!rare.abortSignal.isUndefined()) {
          const js::Value result(ctx,
                                 JS_Call(ctx, rare.abortSignal.get(), JS_UNDEFINED, 0, nullptr));
          if (result.isException())
            JS_FreeValue(ctx, JS_GetException(ctx));
          reason = js::Value(ctx, JS_GetPropertyStr(ctx, rare.signal.get(), "reason"));
        } else {
          reason = js::Value(ctx, newError(ctx, ErrorCode::E_ABORTED, {"the stream has ended"}));
        }
        abortTimers(reason.get());
        abortFetches(reason.get());
        abortReads(reason.get());
        if (rare.reply != nullptr)
          stopProducer(*rare.reply, reason.get());
        if (rare.waitsOnce)
          runtime_->once().leave(ctx, id_, reason.get());
      },
      [](js::Entry&) {});
}

void Stream::runLogHook() {
  phase_ = phase::Log;
  if (!attach())
    return;
  std::optional<Error> failure;
  js::Fault fault = js::Fault::None;
  JSContext* ctx = runtime_->ctx();
  runtime_->countExecution(*this);
  runtime_->run(
      *this, budget(),
      [&] {
        JSValueConst arguments[] = {
            runtime_->takes(Hook::OnLog, 0) ? contextObject() : JS_UNDEFINED};
        const js::Value result(ctx, JS_IsException(arguments[0])
                                        ? JS_EXCEPTION
                                        : JS_Call(ctx, runtime_->hook(Hook::OnLog),
                                                  runtime_->filter(), 1, arguments));
        if (result.isException())
          failure = js::takeException(ctx, fault);
      },
      [](js::Entry&) {});
  if (failure && fault != js::Fault::Cpu && fault != js::Fault::Memory)
    fail(causeOf(fault), std::move(*failure));
}

void Stream::killHandles() {
  if (contextObject_.isObject())
    runtime_->giveBack(HostClass::Context, std::move(contextObject_));
  if (request_) {
    runtime_->giveBack(HostClass::Request, std::move(requestObject_));
    runtime_->giveBack(HostClass::Headers, std::move(request_->headers));
    request_->signal.reset();
    request_->body.stream.reset();
  }
  if (response_) {
    runtime_->giveBack(HostClass::Response, std::move(responseObject_));
    runtime_->giveBack(HostClass::Headers, std::move(response_->headers));
    response_->body.stream.reset();
  }
  for (HookRun& hook : hooks_)
    hook.value.reset();
  killBodies();
  state_.reset();
  if (rare_ == nullptr)
    return;
  for (auto& part : rare_->parts) {
    if (part)
      runtime_->giveBack(part->cls, std::move(part->object));
  }
  rare_->reply.reset();
  for (Rare::ChildSpan& child : rare_->childSpans)
    runtime_->giveBack(HostClass::Span, std::move(child.object));
  rare_->signal.reset();
  rare_->abortSignal.reset();
  rare_->jobContext.reset();
  rare_->timers.clear();
  for (const std::unique_ptr<Fetch>& fetch : rare_->fetches) {
    fetch->promise.reset();
    fetch->forgetSignal.reset();
    fetch->upload.reset();
    if (fetch->answer != nullptr)
      fetch->answer->abandon();
    fetch->answer.reset();
    fetch->response.reset();
  }
}

// --- The script's objects ---

bool Stream::writable(HeaderMap map) const {
  if (ended_ || failed_ || replied_)
    return false;
  if (map == HeaderMap::Request)
    return !hooks_[static_cast<size_t>(Direction::Request)].left && !responseSeen_;
  if (map == HeaderMap::Response)
    return responseSeen_ && !hooks_[static_cast<size_t>(Direction::Response)].left;
  const Direction direction =
      map == HeaderMap::RequestTrailers ? Direction::Request : Direction::Response;
  const HookState state = hooks_[static_cast<size_t>(direction)].state;
  return mapNow(direction) == map && (state == HookState::Running || state == HookState::Held);
}

JSValueConst Stream::requestObject() {
  if (requestObject_.isUndefined()) {
    request_.emplace(*this);
    requestObject_ = runtime_->lend(HostClass::Request, *request_);
  }
  return requestObject_.get();
}

JSValueConst Stream::responseObject() {
  if (responseObject_.isUndefined()) {
    response_.emplace(*this);
    responseObject_ = runtime_->lend(HostClass::Response, *response_);
  }
  return responseObject_.get();
}

JSValueConst Stream::contextObject() {
  if (contextObject_.isUndefined())
    contextObject_ = runtime_->lend(HostClass::Context, context_);
  return contextObject_.get();
}

HeadersData* Stream::requestHeaders() {
  if (request_->headers.isUndefined()) {
    requestHeaders_.emplace(*this, HeaderMap::Request);
    request_->headers = runtime_->lend(HostClass::Headers, *requestHeaders_);
  }
  return request_->headers.isException() ? nullptr : &*requestHeaders_;
}

HeadersData* Stream::responseHeaders() {
  if (response_->headers.isUndefined()) {
    responseHeaders_.emplace(*this, HeaderMap::Response);
    response_->headers = runtime_->lend(HostClass::Headers, *responseHeaders_);
  }
  return response_->headers.isException() ? nullptr : &*responseHeaders_;
}

namespace {

std::pair<HostClass, std::unique_ptr<NativeData>> newPart(Stream& stream, Part part) {
  const auto make = [&]<class Data>(std::type_identity<Data>) {
    return std::pair(Data::kClass, std::unique_ptr<NativeData>(std::make_unique<Data>(stream, part)));
  };
  switch (part) {
  case Part::Attributes:
    return make(std::type_identity<AttributesData>());
  case Part::Connection:
    return make(std::type_identity<ConnectionData>());
  case Part::FilterState:
    return make(std::type_identity<FilterStateData>());
  case Part::Route:
    return make(std::type_identity<RouteData>());
  case Part::Cluster:
    return make(std::type_identity<ClusterData>());
  case Part::RuntimeKeys:
    return make(std::type_identity<RuntimeKeysData>());
  case Part::Secrets:
    return make(std::type_identity<SecretsData>());
  case Part::Span:
    return make(std::type_identity<SpanData>());
  default:
    return make(std::type_identity<MetadataData>());
  }
}

}  // namespace

JSValueConst Stream::partObject(Part part) {
  auto& parts = rare().parts;
  parts.resize(static_cast<size_t>(Part::Count));
  auto& slot = parts[static_cast<size_t>(part)];
  if (!slot) {
    auto [cls, data] = newPart(*this, part);
    js::Value object = runtime_->lend(cls, *data);
    if (object.isException())
      return JS_EXCEPTION;
    slot.emplace(Rare::PartObject{cls, std::move(data), std::move(object)});
  }
  return slot->object.get();
}

JSValueConst Stream::signalObject() {
  if (rare().signal.isUndefined()) {
    rare().signal = newStreamSignal(*runtime_, rare().abortSignal);
    // Asked for in onLog only: the stream is over already.
    if (ended_ && !rare().abortSignal.isUndefined()) {
      JSContext* ctx = runtime_->ctx();
      const js::Value result(ctx, JS_Call(ctx, rare().abortSignal.get(), JS_UNDEFINED, 0, nullptr));
      if (result.isException())
        return JS_EXCEPTION;
    }
  }
  return rare().signal.get();
}

const js::Value& Stream::configValue() const { return settings_->config; }
const js::Value& Stream::settingsValue() const { return settings_->settings; }

}  // namespace fairlead
