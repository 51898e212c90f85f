// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The core's side of the Streams standard; see builtins/streams.ts. Then what a script sends piece by
// piece: its reply, and the bodies of its calls.

#include "filter-cc/streams.h"

#include <array>
#include <utility>

#include "filter-cc/runtime.h"
#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

js::Value callExport(Runtime& runtime, const char* name, std::span<JSValueConst> arguments) {
  return runtime.callBuiltin(Builtin::Streams, name, arguments);
}

js::Value callExport(Runtime& runtime, const char* name, JSValueConst argument) {
  return callExport(runtime, name, std::span(&argument, 1));
}

int stateOf(Runtime& runtime, JSValueConst value) {
  const js::Value state = callExport(runtime, "stateOf", value);
  int32_t bits = 0;
  if (state.isException())
    JS_FreeValue(runtime.ctx(), JS_GetException(runtime.ctx()));
  else
    JS_ToInt32(runtime.ctx(), &bits, state.get());
  return bits;
}

/** A function of the core with C++ behind it. */
js::Value functionOn(JSContext* ctx, JSCFunctionData* function, int length, JSValueConst object) {
  return {ctx, JS_NewCFunctionData(ctx, function, length, 0, 1, &object)};
}

template <class Data> Data& dataOf(JSContext* ctx, JSValueConst* data) {
  // No script can reach these objects, so there is nothing else behind them.
  return *static_cast<Data*>(bind::tryUnwrap(Runtime::from(ctx), data[0], Data::kClass));
}

// --- From a body to a stream ---

/** How far a stream has read a body. */
class BodyReader final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::BodyReader;
  explicit BodyReader(std::shared_ptr<BodySource> source) : source(std::move(source)) {}
  BodyReader(uint64_t streamId, Direction direction) : streamId(streamId), direction(direction) {}

  /** Of a message that passes: null before the first read. */
  std::shared_ptr<BodySource> source;
  size_t offset = 0;
  const uint64_t streamId = 0;
  const Direction direction = Direction::Request;
};

/** Begins to read a message that passes. Null where there is nothing yet: `result` says what to give. */
std::shared_ptr<BodySource> openMessage(JSContext* ctx, const BodyReader& reader, JSValue& result) {
  Runtime& runtime = Runtime::from(ctx);
  const Call call{ctx, runtime, "body", JS_UNDEFINED};
  Stream* stream = runtime.findStream(reader.streamId);
  if (stream == nullptr) {
    call.fail(ErrorCode::E_DEAD_HANDLE);
    result = JS_EXCEPTION;
    return nullptr;
  }
  if (stream->ended()) {
    result = js::newPromise(ctx).release();
    return nullptr;
  }
  std::shared_ptr<BodySource> source = stream->openBody(call, reader.direction);
  if (source == nullptr)
    result = JS_EXCEPTION;
  else
    source->share();  // what is read goes on
  return source;
}

JSValue readerNext(JSContext* ctx, JSValueConst, int, JSValueConst*, int, JSValueConst* data) {
  return bind::barrier(ctx, "body", [&] {
    auto& reader = dataOf<BodyReader>(ctx, data);
    JSValue nothing = JS_UNDEFINED;
    if (reader.source == nullptr)
      reader.source = openMessage(ctx, reader, nothing);
    return reader.source == nullptr ? nothing : reader.source->next(ctx, reader.offset).release();
  });
}

JSValue readerCancel(JSContext* ctx, JSValueConst, int argc, JSValueConst* argv, int,
                     JSValueConst* data) {
  return bind::barrier(ctx, "body", [&] {
    Runtime& runtime = Runtime::from(ctx);
    const auto& reader = dataOf<BodyReader>(ctx, data);
    if (reader.streamId == 0)
      reader.source->cancel(runtime, argc > 0 ? argv[0] : JS_UNDEFINED);
    else if (Stream* stream = runtime.findStream(reader.streamId); stream != nullptr)
      stream->leaveBody(reader.direction);
    return JS_UNDEFINED;
  });
}

// --- From a stream to a sink ---

JSValue sinkWrite(JSContext* ctx, JSValueConst, int argc, JSValueConst* argv, int,
                  JSValueConst* data) {
  return bind::barrier(ctx, "body", [&]() -> JSValue {
    auto& sink = dataOf<BodySink>(ctx, data);
    JSValueConst piece = argc > 0 ? argv[0] : JS_UNDEFINED;
    if (JS_IsString(piece)) {
      const js::Utf8 text(ctx, piece);
      if (!text)
        return JS_EXCEPTION;
      const auto* bytes = reinterpret_cast<const uint8_t*>(text.view().data());
      return sink.write(ctx, {bytes, text.view().size()}).release();
    }
    std::span<uint8_t> bytes;
    if (js::bytesOf(piece, bytes) != js::BytesState::Found)
      return throwError(ctx, ErrorCode::E_BODY_CHUNK, {});
    return sink.write(ctx, bytes).release();
  });
}

JSValue sinkEnd(JSContext* ctx, JSValueConst, int, JSValueConst*, int, JSValueConst* data) {
  return bind::barrier(ctx, "body", [&] {
    dataOf<BodySink>(ctx, data).end(ctx);
    return JS_UNDEFINED;
  });
}

JSValue sinkFail(JSContext* ctx, JSValueConst, int argc, JSValueConst* argv, int,
                 JSValueConst* data) {
  return bind::barrier(ctx, "body", [&] {
    dataOf<BodySink>(ctx, data).fail(ctx, argc > 0 ? argv[0] : JS_UNDEFINED);
    return JS_UNDEFINED;
  });
}

/** Holds the pieces until all are there. */
class Collector final : public BodySink {
public:
  Collector(std::shared_ptr<BodySource> source, std::string member, size_t limitBytes)
      : source_(std::move(source)), member_(std::move(member)), limitBytes_(limitBytes) {}

  js::Value write(JSContext* ctx, std::span<const uint8_t> piece) override {
    if (source_->bytes().size() + piece.size() > limitBytes_)
      return {ctx, throwError(ctx, ErrorCode::E_BODY_LIMIT,
                              {member_, std::to_string(limitBytes_ / 1024)})};
    source_->append({reinterpret_cast<const char*>(piece.data()), piece.size()});
    return {};
  }
  void end(JSContext*) override { source_->complete(); }
  void fail(JSContext*, JSValueConst reason) override {
    source_->fail(reason, {ErrorCode::E_ABORTED, member_, {}});
  }
  // Nobody else in the heap holds the source.
  void mark(JSRuntime* engine, JS_MarkFunc* markFunction) override {
    source_->mark(engine, markFunction);
  }
  void finalize(JSRuntime* engine) override {
    source_->abandon(engine);
    delete this;
  }

private:
  std::shared_ptr<BodySource> source_;
  std::string member_;
  size_t limitBytes_;
};

}  // namespace

JSValue defineBodySink(Runtime& runtime) { return bind::defineHidden(runtime, HostClass::BodySink); }
JSValue defineBodyReader(Runtime& runtime) {
  return bind::defineHidden(runtime, HostClass::BodyReader);
}

bool isStreamObject(Runtime& runtime, JSValueConst object) {
  if (!runtime.hasBuiltin(Builtin::Streams))
    return false;
  const js::Value answer = callExport(runtime, "isStreamObject", object);
  if (!answer.isException())
    return JS_ToBool(runtime.ctx(), answer.get()) > 0;
  JS_FreeValue(runtime.ctx(), JS_GetException(runtime.ctx()));
  return true;
}

bool isStream(Runtime& runtime, JSValueConst value) {
  return JS_IsObject(value) && runtime.hasBuiltin(Builtin::Streams) && stateOf(runtime, value) != 0;
}

js::Value streamOf(Runtime& runtime, JSValueConst value) {
  return callExport(runtime, "streamOf", value);
}

StreamState streamState(Runtime& runtime, JSValueConst stream) {
  constexpr int kLocked = 2;
  constexpr int kDisturbed = 4;
  const int state = stateOf(runtime, stream);
  return {(state & kLocked) != 0, (state & kDisturbed) != 0};
}

namespace {

js::Value streamOfReader(Runtime& runtime, std::unique_ptr<BodyReader> data) {
  JSContext* ctx = runtime.ctx();
  const js::Value reader = bind::wrap(runtime, HostClass::BodyReader, data.release());
  if (reader.isException())
    return {ctx, JS_EXCEPTION};
  const js::Value next = functionOn(ctx, readerNext, 0, reader.get());
  const js::Value cancel = functionOn(ctx, readerCancel, 1, reader.get());
  if (next.isException() || cancel.isException())
    return {ctx, JS_EXCEPTION};
  JSValueConst arguments[] = {next.get(), cancel.get()};
  return callExport(runtime, "bodyStream", arguments);
}

}  // namespace

js::Value streamOfBody(Runtime& runtime, std::shared_ptr<BodySource> source) {
  return streamOfReader(runtime, std::make_unique<BodyReader>(std::move(source)));
}

js::Value streamOfMessage(Runtime& runtime, uint64_t streamId, Direction direction) {
  return streamOfReader(runtime, std::make_unique<BodyReader>(streamId, direction));
}

js::Value usedStream(Runtime& runtime) {
  return callExport(runtime, "usedStream", std::span<JSValueConst>());
}

bool teeStream(Runtime& runtime, JSValueConst stream, js::Value& one, js::Value& other) {
  JSContext* ctx = runtime.ctx();
  const js::Value both = callExport(runtime, "teed", stream);
  if (both.isException())
    return false;
  one = js::Value(ctx, JS_GetPropertyUint32(ctx, both.get(), 0));
  other = js::Value(ctx, JS_GetPropertyUint32(ctx, both.get(), 1));
  return !one.isException() && !other.isException();
}

js::Value handOver(Runtime& runtime, JSValueConst stream) {
  return callExport(runtime, "handedOver", stream);
}

void discardStream(Runtime& runtime, JSValueConst stream) {
  if (callExport(runtime, "discard", stream).isException())
    JS_FreeValue(runtime.ctx(), JS_GetException(runtime.ctx()));
}

js::Value pumpStream(Runtime& runtime, JSValueConst stream, std::unique_ptr<BodySink> sink) {
  JSContext* ctx = runtime.ctx();
  const js::Value object = bind::wrap(runtime, HostClass::BodySink, sink.release());
  if (object.isException())
    return {ctx, JS_EXCEPTION};
  const std::array functions = {functionOn(ctx, sinkWrite, 1, object.get()),
                                functionOn(ctx, sinkEnd, 0, object.get()),
                                functionOn(ctx, sinkFail, 1, object.get())};
  JSValueConst arguments[] = {stream, functions[0].get(), functions[1].get(), functions[2].get()};
  for (JSValueConst argument : arguments) {
    if (JS_IsException(argument))
      return {ctx, JS_EXCEPTION};
  }
  return callExport(runtime, "pump", arguments);
}

std::shared_ptr<BodySource> collectStream(const Call& call, JSValueConst stream) {
  auto source = std::make_shared<BodySource>(call.runtime.engine());
  // While a script loads, memory_mb alone is the limit.
  const size_t limitBytes = call.stream() == nullptr ? SIZE_MAX : call.stream()->bodyLimitBytes();
  auto sink = std::make_unique<Collector>(source, call.member, limitBytes);
  if (pumpStream(call.runtime, stream, std::move(sink)).isException())
    return nullptr;
  return source;
}

// --- The stream's side ---

namespace {

/** Brings pieces to a stream of Envoy. */
class StreamSink final : public BodySink {
public:
  StreamSink(uint64_t streamId, uint32_t fetchId) : streamId_(streamId), fetchId_(fetchId) {}

  js::Value write(JSContext* ctx, std::span<const uint8_t> piece) override {
    Stream* stream = Runtime::from(ctx).findStream(streamId_);
    return stream == nullptr ? js::newPromise(ctx) : stream->takePiece(fetchId_, piece);
  }
  void end(JSContext* ctx) override {
    if (Stream* stream = Runtime::from(ctx).findStream(streamId_))
      stream->endPieces(fetchId_);
  }
  void fail(JSContext* ctx, JSValueConst reason) override {
    if (Stream* stream = Runtime::from(ctx).findStream(streamId_))
      stream->failPieces(fetchId_, reason);
  }

private:
  uint64_t streamId_;
  uint32_t fetchId_;
};

/** Puts off a hook's reply until its body is all there. */
class ReplySink final : public BodySink {
public:
  ReplySink(const js::Runtime& engine, uint64_t streamId, Direction direction, js::Value response,
            ResponseData& data)
      : body_(std::make_shared<BodySource>(engine)), streamId_(streamId), direction_(direction),
        response_(std::move(response)), data_(data) {}

  js::Value write(JSContext* ctx, std::span<const uint8_t> piece) override {
    const Stream* stream = Runtime::from(ctx).findStream(streamId_);
    if (stream == nullptr)
      return js::newPromise(ctx);
    const size_t limitBytes = stream->bodyLimitBytes();
    if (body_->bytes().size() + piece.size() > limitBytes)
      return {ctx, throwError(ctx, ErrorCode::E_BODY_LIMIT,
                              {"Response", std::to_string(limitBytes / 1024)})};
    body_->append({reinterpret_cast<const char*>(piece.data()), piece.size()});
    return {};
  }
  void end(JSContext* ctx) override {
    body_->complete();
    data_.body = {body_, false, {}};
    if (Stream* stream = Runtime::from(ctx).findStream(streamId_))
      stream->settle(direction_, response_.dup(), false);
  }
  void fail(JSContext* ctx, JSValueConst reason) override {
    js::Value promise = js::newPromise(ctx);
    if (promise.isException())
      return;
    js::markHandled(ctx, promise.get());
    js::settlePromise(ctx, promise.get(), reason, true);
    if (Stream* stream = Runtime::from(ctx).findStream(streamId_))
      stream->settle(direction_, std::move(promise), true);
  }
  void mark(JSRuntime* engine, JS_MarkFunc* markFunction) override {
    JS_MarkValue(engine, response_.get(), markFunction);
  }
  void finalize(JSRuntime* engine) override {
    JS_FreeValueRT(engine, response_.release());
    delete this;
  }

private:
  std::shared_ptr<BodySource> body_;
  uint64_t streamId_;
  Direction direction_;
  // Behind it is data_.
  js::Value response_;
  ResponseData& data_;
};

}  // namespace

void Stream::sendStream(Direction direction, js::Value value, ResponseData& response) {
  // Running or held until there is an answer: a producer that fails before is a failure of the hook.
  HookRun& hook = run(direction);
  hook.settled = false;
  const std::optional<HeaderLookup> method = host_.header(HeaderMap::Request, ":method", 0);
  if (method && method->value == "HEAD") {
    runtime_->run(*this, budget(),
                  [&] { discardStream(*runtime_, response.body.stream.get()); },
                  [](js::Entry&) {});
    if (ended_ || failed_)
      return;
    hook.state = HookState::Done;
    sendReply(response);
  } else if (direction == Direction::Response || isGrpcRequest() || !host_.canBeginResponse()) {
    collectReply(direction, std::move(value), response);
  } else {
    startStream(response);
  }
}

void Stream::collectReply(Direction direction, js::Value value, ResponseData& response) {
  HookRun& hook = run(direction);
  std::optional<Error> failure;
  runtime_->run(
      *this, budget(),
      [&] {
        auto sink = std::make_unique<ReplySink>(runtime_->engine(), id_, direction,
                                                std::move(value), response);
        js::Fault fault = js::Fault::None;
        if (pumpStream(*runtime_, response.body.stream.get(), std::move(sink)).isException())
          failure = js::takeException(runtime_->ctx(), fault);
      },
      [](js::Entry&) {});
  if (failure)
    fail(Cause::Throw, std::move(*failure));
  if (hook.state != HookState::Running)
    return;
  // Inside the hook of the host, where what has settled is for its answer to say.
  if (hook.settled) {
    applySettled(direction);
    return;
  }
  hold(hook);
}

void Stream::startStream(ResponseData& response) {
  auto reply = std::make_unique<OutgoingReply>(runtime_->engine());
  reply->status = response.status;
  for (const HeaderField& field : replyHeaders(response))
    reply->headers.emplace_back(field.name, field.value);
  rare().reply = std::move(reply);
  runtime_->run(
      *this, budget(),
      [&] {
        js::Value stop = pumpStream(*runtime_, response.body.stream.get(),
                                    std::make_unique<StreamSink>(id_, 0));
        js::Fault fault = js::Fault::None;
        if (stop.isException())
          rare().reply->failure = js::takeException(runtime_->ctx(), fault);
        else
          rare().reply->stop = std::move(stop);
      },
      [](js::Entry&) {});
  actOnReply();
}

bool Stream::addUpload(uint32_t fetchId, JSValueConst stream) {
  Fetch* fetch = fetchById(fetchId);
  fetch->upload = std::make_unique<Outgoing>(runtime_->engine());
  fetch->upload->stop =
      pumpStream(*runtime_, stream, std::make_unique<StreamSink>(id_, fetchId));
  return !fetch->upload->stop.isException();
}

Outgoing* Stream::outgoingOf(uint32_t fetchId) {
  if (rare_ == nullptr || ended_)
    return nullptr;
  if (fetchId == 0)
    return rare_->reply.get();
  Fetch* fetch = fetchById(fetchId);
  return fetch == nullptr ? nullptr : fetch->upload.get();
}

js::Value Stream::takePiece(uint32_t fetchId, std::span<const uint8_t> piece) {
  Outgoing* outgoing = outgoingOf(fetchId);
  if (outgoing == nullptr)
    return js::newPromise(runtime_->ctx());
  outgoing->givenBytes += piece.size();
  // An upstream cannot make us wait, so what it has not taken may all be in Envoy's memory.
  if (fetchId != 0 && outgoing->givenBytes > bodyLimitBytes())
    return {runtime_->ctx(), throwError(runtime_->ctx(), ErrorCode::E_BODY_LIMIT,
                                        {"fetch", std::to_string(bodyLimitBytes() / 1024)})};
  if (!outgoing->charge.set(outgoing->unsent.size() + piece.size()))
    return {};
  outgoing->unsent.append(reinterpret_cast<const char*>(piece.data()), piece.size());
  runtime_->recordAction(*this);
  if (outgoing->unsent.size() < kMaxUnsentBytes && (fetchId != 0 || clientFull_ == 0))
    return {};
  outgoing->room = js::newPromise(runtime_->ctx());
  return outgoing->room.dup();
}

void Stream::endPieces(uint32_t fetchId) {
  if (Outgoing* outgoing = outgoingOf(fetchId)) {
    outgoing->complete = true;
    outgoing->stop.reset();
    runtime_->recordAction(*this);
  }
}

void Stream::failPieces(uint32_t fetchId, JSValueConst reason) {
  Outgoing* outgoing = outgoingOf(fetchId);
  if (outgoing == nullptr)
    return;
  outgoing->stop.reset();
  if (fetchId == 0) {
    js::Fault fault = js::Fault::None;
    rare_->reply->failure = js::describeError(runtime_->ctx(), reason, fault);
    runtime_->recordAction(*this);
  } else {
    cancelFetch(fetchId, reason);
  }
}

void Stream::giveRoom(Outgoing& outgoing) {
  if (!outgoing.room.isObject() || !canRunScript())
    return;
  const js::Value room = std::move(outgoing.room);
  runtime_->run(*this, budget(),
                [&] { js::settlePromise(runtime_->ctx(), room.get(), JS_UNDEFINED, false); },
                [](js::Entry&) {});
}

void Stream::stopProducer(Outgoing& outgoing, JSValueConst reason) {
  if (!outgoing.stop.isFunction())
    return;
  JSContext* ctx = runtime_->ctx();
  const js::Value stop = std::move(outgoing.stop);
  const js::Value result(ctx, JS_Call(ctx, stop.get(), JS_UNDEFINED, 1, &reason));
  if (result.isException())
    JS_FreeValue(ctx, JS_GetException(ctx));
}

void Stream::actOnReply() {
  if (ended_ || failed_ || rare_->reply == nullptr || rare_->reply->sent)
    return;
  OutgoingReply& reply = *rare_->reply;
  if (reply.failure) {
    fail(Cause::Throw, std::move(*reply.failure));
    return;
  }
  if (!reply.begun) {
    HookRun& hook = run(Direction::Request);
    // What is sent may be made of what the request still brings, and that comes while its hook waits.
    if (hook.body != nullptr && hook.body->isRead()) {
      if (hook.state == HookState::Running)
        hold(hook);
      return;
    }
    reply.begun = true;
    replied_ = true;
    hook.state = HookState::Done;
    const std::string status = std::to_string(reply.status);
    std::vector<HeaderField> fields = {{":status", status}};
    for (const auto& [name, value] : reply.headers)
      fields.push_back({name, value});
    host_.sendResponseHeaders(fields, false);
  }
  // Sending can end the stream, and with it the reply; or bring more.
  const auto goesOn = [&] { return !ended_ && !failed_ && !reply.sent && clientFull_ == 0; };
  while (goesOn() && reply.sentAtOnceBytes < kMaxSentAtOnceBytes &&
         (reply.complete || !reply.unsent.empty())) {
    const std::string piece = std::exchange(reply.unsent, {});
    (void)reply.charge.set(0);
    reply.sent = reply.complete;
    reply.sentAtOnceBytes += piece.size();
    host_.sendResponseData(piece, reply.sent);
  }
  if (!goesOn())
    return;
  if (reply.sentAtOnceBytes < kMaxSentAtOnceBytes) {
    giveRoom(reply);
  } else {
    rare_->clientAsks = true;
    armWake();
  }
}

void Stream::onClientFull(bool full) {
  if (full)
    ++clientFull_;
  else if (clientFull_ != 0)
    --clientFull_;
  // Envoy crashes when the stream ends inside of this event: on with it in one of its own.
  if (clientFull_ == 0 && replyGoesOn()) {
    rare_->clientAsks = true;
    armWake();
  }
}

void Stream::actOnUpload(Fetch& fetch) {
  while (!ended_ && fetch.state != Fetch::State::Done && fetch.calloutId != 0 &&
         !fetch.upload->sent && (fetch.upload->complete || !fetch.upload->unsent.empty())) {
    Outgoing& upload = *fetch.upload;
    const std::string piece = std::exchange(upload.unsent, {});
    (void)upload.charge.set(0);
    upload.sent = upload.complete;
    if (!host_.sendCalloutData(fetch.calloutId, piece, upload.sent))
      return;  // it has its answer, or will be told of its end
  }
  // A redirect that came inside of sending has dropped it.
  if (!ended_ && fetch.state != Fetch::State::Done && fetch.upload != nullptr)
    giveRoom(*fetch.upload);
}

}  // namespace fairlead
