// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The bodies and trailers of the two messages that pass: reads of the whole, other bodies in their
// place, chunk hooks and trailer hooks. See body.h for who has which bytes.

#include <algorithm>
#include <charconv>

#include "filter-cc/body.h"
#include "filter-cc/encoding.h"
#include "filter-cc/runtime.h"
#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

using Chunk_Self = ChunkData;

std::string joined(std::span<const std::string_view> pieces) {
  std::string all;
  size_t size = 0;
  for (const std::string_view piece : pieces)
    size += piece.size();
  all.reserve(size);
  for (const std::string_view piece : pieces)
    all += piece;
  return all;
}

/** A Uint8Array of pieces, each copied once. */
js::Value newBytes(JSContext* ctx, std::span<const std::string_view> pieces) {
  size_t size = 0;
  for (const std::string_view piece : pieces)
    size += piece.size();
  auto* bytes = static_cast<uint8_t*>(js_malloc(ctx, std::max<size_t>(size, 1)));
  if (bytes == nullptr)
    return {ctx, JS_EXCEPTION};
  size_t filled = 0;
  for (const std::string_view piece : pieces) {
    std::copy(piece.begin(), piece.end(), bytes + filled);
    filled += piece.size();
  }
  // With a size of 0 it frees.
  const auto resize = [](JSRuntime* runtime, void*, void* memory, size_t length) {
    return js_realloc_rt(runtime, memory, length);
  };
  return {ctx, JS_NewUint8Array(ctx, bytes, size, resize, nullptr, false)};
}

Outcome<JSValue> Chunk_data(Call& call, ChunkData& self) {
  if (self.data.isUndefined()) {
    js::Value data = newBytes(call.ctx, self.stream.chunkPieces(self));
    if (data.isException())
      return Thrown{};
    self.data = std::move(data);
  }
  return self.data.dup();
}

Outcome<bool> Chunk_last(Call&, ChunkData& self) { return self.last; }

Outcome<std::string_view> Chunk_text(Call&, ChunkData& self) {
  if (!self.text) {
    std::string all = std::exchange(self.body.cut, {}) + joined(self.stream.chunkPieces(self));
    if (!self.last) {
      const size_t cut = cutUtf8(all);
      self.body.cut = all.substr(all.size() - cut);
      all.resize(all.size() - cut);
    }
    std::string mended;
    self.text = mendUtf8(all, mended);
  }
  return std::string_view(*self.text);
}

#define HOST_body
#include "filter-cc/bind_rows.h"

constexpr HeaderMap headersOf(Direction direction) {
  return direction == Direction::Request ? HeaderMap::Request : HeaderMap::Response;
}

constexpr HeaderMap trailersOf(Direction direction) {
  return direction == Direction::Request ? HeaderMap::RequestTrailers : HeaderMap::ResponseTrailers;
}

constexpr Hook chunkHook(Direction direction) {
  return direction == Direction::Request ? Hook::OnRequestChunk : Hook::OnResponseChunk;
}

constexpr Hook trailersHook(Direction direction) {
  return direction == Direction::Request ? Hook::OnRequestTrailers : Hook::OnResponseTrailers;
}

const char* nameOf(Direction direction) {
  return direction == Direction::Request ? "request" : "response";
}

const char* headersHookName(Direction direction) {
  return direction == Direction::Request ? "onRequest" : "onResponse";
}

bool isNullBodyStatus(std::string_view status) {
  return status.starts_with('1') || status == "204" || status == "205" || status == "304";
}

/** Sets a flag until the end of the block, however that comes. */
class Inside {
public:
  explicit Inside(bool& flag) : flag_(flag) { flag_ = true; }
  ~Inside() { flag_ = false; }
  Inside(const Inside&) = delete;
  Inside& operator=(const Inside&) = delete;

private:
  bool& flag_;
};

}  // namespace

JSValue defineChunk(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Chunk, kRows, ChunkData::kName);
}

BodyRun& Stream::bodyRun(Direction direction) {
  std::unique_ptr<BodyRun>& body = run(direction).body;
  if (body == nullptr)
    body = std::make_unique<BodyRun>(*this, direction);
  return *body;
}

bool Stream::hasBodyHooks(Direction direction) const {
  return config_->script->hasEither(chunkHook(direction), trailersHook(direction));
}

bool Stream::wantsChunks(Direction direction) const {
  const HookRun& hook = hooks_[static_cast<size_t>(direction)];
  return config_->script->hasHook(chunkHook(direction)) && !hook.body->skipsChunks &&
         !hook.body->chunksDone;
}

// --- Reads of the whole ---

namespace {

/** Whether nobody can say that a message ends: it is a tunnel. */
bool isEndless(HostStream& host, Direction direction) {
  const std::optional<HeaderLookup> method = host.header(HeaderMap::Request, ":method", 0);
  const bool connect = method && method->value == "CONNECT";
  if (direction == Direction::Request)
    return connect || host.header(HeaderMap::Request, "upgrade", 0).has_value();
  const std::optional<HeaderLookup> status = host.header(HeaderMap::Response, ":status", 0);
  return status && (status->value == "101" || (connect && status->value.starts_with('2')));
}

std::optional<uint64_t> contentLength(HostStream& host, HeaderMap map) {
  const std::optional<HeaderLookup> field = host.header(map, "content-length", 0);
  uint64_t length = 0;
  if (!field)
    return std::nullopt;
  const char* end = field->value.data() + field->value.size();
  if (std::from_chars(field->value.data(), end, length).ptr != end)
    return std::nullopt;
  return length;
}

}  // namespace

bool Stream::mayReadAs(const Call& call, Direction direction, BodyForm form) {
  if (form == BodyForm::Bytes || form == BodyForm::ArrayBuffer || form == BodyForm::Blob)
    return true;
  const std::optional<HeaderLookup> encoding =
      host_.header(headersOf(direction), "content-encoding", 0);
  if (!encoding || lowerCase(encoding->value) == "identity")
    return true;
  call.fail(ErrorCode::E_BODY_ENCODED, {std::string(encoding->value)});
  return false;
}

std::shared_ptr<BodySource> Stream::openBody(const Call& call, Direction direction) {
  HookRun& hook = run(direction);
  const auto refuse = [&](ErrorCode code, std::string_view first = {}) {
    call.fail(code, {first});
    return nullptr;
  };
  // Once the stream has ended, nothing can come: a retry loop must not spin.
  if (ended_)
    return BodySource::open(runtime_->engine());
  if (isOver() || hook.left || hook.state == HookState::Done)
    return refuse(ErrorCode::E_BODY_UNAVAILABLE,
                  std::string("the body has gone on; it can be read until ") +
                      headersHookName(direction) + " has settled");
  if (isEndless(host_, direction))
    return refuse(ErrorCode::E_BODY_ENDLESS);
  BodyRun& body = bodyRun(direction);
  const std::optional<uint64_t> length = contentLength(host_, headersOf(direction));
  if (length && *length > bodyLimitBytes()) {
    body.tooLarge = true;
    return refuse(ErrorCode::E_BODY_LIMIT, std::to_string(config_->config.limits.bodyKb));
  }
  body.source = BodySource::open(runtime_->engine());
  // What is there already is taken when the script has returned.
  runtime_->recordAction(*this);
  return body.source;
}

void Stream::leaveBody(Direction direction) {
  const HookRun& hook = run(direction);
  if (hook.body == nullptr || !hook.body->isRead())
    return;
  hook.body->source->complete();
  runtime_->recordAction(*this);
}

/** Gives back what a read has taken whose reader does not want the rest. */
void Stream::putBackLeft(Direction direction) {
  const HookRun& hook = run(direction);
  BodyRun& body = *hook.body;
  if (ended_ || body.source == nullptr || body.isRead() || inputEnded(hook))
    return;
  putBack(direction, body.source->bytes());
  body.source.reset();
}

void Stream::collectBody(Direction direction, BodyPart part) {
  HookRun& hook = run(direction);
  const std::shared_ptr<BodySource> source = hook.body->source;
  const size_t size = source->bytes().size() + host_.bodySize(direction, part);
  if (size > bodyLimitBytes()) {
    refuseBody(direction, part);
    return;
  }
  std::vector<std::string_view> pieces;
  host_.body(direction, part, pieces);
  source->append(joined(pieces));
  if (source->bytes().size() != size) {
    // There is no memory for it, which an entry finds out; the bytes stay where they are.
    runtime_->run(*this, budget(), [] {}, [](js::Entry&) {});
    return;
  }
  host_.drainBody(direction, part, host_.bodySize(direction, part));
  if (inputEnded(hook))
    completeBody(direction);
  else if (source->isWaitedFor() && canRunScript())
    runtime_->run(*this, budget(), [&] { source->wake(); }, [](js::Entry&) {});
  putBackLeft(direction);
}

void Stream::completeBody(Direction direction) {
  const std::shared_ptr<BodySource> source = run(direction).body->source;
  if (!canRunScript())
    return;
  runtime_->run(
      *this, budget(),
      [&] {
        source->complete();
        // A reply may wait for it.
        runtime_->recordAction(*this);
      },
      [](js::Entry&) {});
}

void Stream::refuseBody(Direction direction, BodyPart part) {
  BodyRun& body = *run(direction).body;
  body.tooLarge = true;
  const std::shared_ptr<BodySource> source = std::move(body.source);
  if (!source->bytes().empty()) {
    putBack(direction, source->bytes());
    if (part == BodyPart::Received)
      joinReceived(direction);
  }
  if (!canRunScript())
    return;
  const std::string limit = std::to_string(config_->config.limits.bodyKb);
  const std::string member = std::string(nameOf(direction)) + " body";
  runtime_->run(
      *this, budget(),
      [&] {
        JSContext* ctx = runtime_->ctx();
        const js::Value error(ctx, newError(ctx, ErrorCode::E_BODY_LIMIT, {member, limit}));
        source->fail(error.get(), {ErrorCode::E_BODY_LIMIT, member, limit});
        runtime_->recordAction(*this);
      },
      [](js::Entry&) {});
}

bool Stream::waitsForBody(const HookRun& hook) const {
  if (hook.body == nullptr || !hook.body->isRead() || !hook.settled || hook.rejected)
    return false;
  return !hook.value.isObject() ||
         JS_IsStrictEqual(runtime_->ctx(), hook.value.get(), responseObject_.get());
}

void Stream::abortReads(JSValueConst reason) {
  for (HookRun& hook : hooks_) {
    if (hook.body != nullptr && hook.body->isRead())
      hook.body->source->fail(reason, {ErrorCode::E_ABORTED, "body", {}});
  }
}

// --- Other bodies ---

bool Stream::setBody(const Call& call, Direction direction, std::shared_ptr<BodySource> source) {
  const HookRun& hook = run(direction);
  const HeaderMap map = headersOf(direction);
  if (!writable(map)) {
    call.fail(ended_ ? ErrorCode::E_STREAM_ENDED : ErrorCode::E_HEADERS_SENT,
              {std::string(nameOf(direction)) + " headers", headersHookName(direction)});
    return false;
  }
  if (isEndless(host_, direction)) {
    call.fail(ErrorCode::E_BODY_ENDLESS);
    return false;
  }
  if (source == nullptr)
    source = BodySource::of(runtime_->engine(), {});
  if (direction == Direction::Response) {
    const std::optional<HeaderLookup> status = host_.header(map, ":status", 0);
    if (status && isNullBodyStatus(status->value)) {
      const std::string text(status->value);
      if (source->bytes().empty())
        return true;
      call.fail(ErrorCode::E_NULL_BODY_STATUS, {text});
      return false;
    }
    const std::optional<HeaderLookup> method = host_.header(HeaderMap::Request, ":method", 0);
    // Its headers speak of the body that GET would have.
    if (method && method->value == "HEAD")
      return true;
  }
  const std::string length = std::to_string(source->bytes().size());
  if (hook.hasBody || length != "0" || host_.header(map, "content-length", 0))
    setHeader(map, "content-length", length);
  if (host_.header(map, "transfer-encoding", 0))
    removeHeader(map, "transfer-encoding");
  bodyRun(direction).replacement = std::move(source);
  return true;
}

void Stream::setNullBody(bool isNull) {
  if (isNull || run(Direction::Response).body != nullptr)
    bodyRun(Direction::Response).isNull = isNull;
}

void Stream::beginBody(Direction direction) {
  HookRun& hook = run(direction);
  BodyRun& body = *hook.body;
  body.begun = true;
  if (body.isNull) {
    body.replacement = BodySource::of(runtime_->engine(), {});
    removeHeader(headersOf(direction), "content-length");
  }
  std::shared_ptr<BodySource> carrier = std::move(body.source);
  if (body.replacement != nullptr) {
    carrier = std::move(body.replacement);
    body.dropsRest = !inputEnded(hook);
    for (const BodyPart from : {BodyPart::Received, BodyPart::Buffered})
      host_.drainBody(direction, from, host_.bodySize(direction, from));
  }
  if (carrier != nullptr)
    putBack(direction, carrier->bytes());
  else if (!hook.hasBody)
    body.chunksDone = true;
  // What a chunk hook makes of a body has a length that nobody knows yet.
  if (wantsChunks(direction) && host_.header(headersOf(direction), "content-length", 0))
    removeHeader(headersOf(direction), "content-length");
}

// --- Bodies as they pass ---

BodyStatus Stream::bodyStatus(Direction direction) {
  if (ended_ || replied_ || (failed_ && !failsOpen()))
    return BodyStatus::StopIterationNoBuffer;
  const HookRun& hook = run(direction);
  const bool waits = hook.state == HookState::Held || (hook.body->dropsRest && !inputEnded(hook));
  return waits ? BodyStatus::StopIterationAndWatermark : BodyStatus::Continue;
}

BodyStatus Stream::onBodyPiece(Direction direction) {
  HookRun& hook = run(direction);
  BodyRun& body = *hook.body;
  if (body.dropsRest) {
    host_.drainBody(direction, BodyPart::Received, host_.bodySize(direction, BodyPart::Received));
    if (!hook.ended)
      return BodyStatus::StopIterationAndWatermark;
  }
  if (isOver())
    return bodyStatus(direction);
  const Inside inside(hook.inEvent);
  if (hook.state == HookState::Held) {
    if (!body.isRead())
      return BodyStatus::StopIterationAndWatermark;
    collectBody(direction, BodyPart::Received);
    if (isOver() || hook.state != HookState::Held || !hook.settled || waitsForBody(hook))
      return bodyStatus(direction);
    if (!applySettled(direction))
      return bodyStatus(direction);
    hook.left = true;
  }
  passOn(direction, At::Body);
  return bodyStatus(direction);
}

TrailersStatus Stream::onBodyTrailers(Direction direction) {
  HookRun& hook = run(direction);
  const auto status = [&] {
    return bodyStatus(direction) == BodyStatus::Continue ? TrailersStatus::Continue
                                                         : TrailersStatus::StopIteration;
  };
  if (isOver())
    return status();
  const Inside inside(hook.inEvent);
  if (hook.state == HookState::Held) {
    if (!hook.body->isRead())
      return TrailersStatus::StopIteration;
    completeBody(direction);
    if (isOver() || hook.state != HookState::Held || !hook.settled || waitsForBody(hook))
      return status();
    if (!applySettled(direction))
      return status();
    hook.left = true;
  }
  passOn(direction, At::Trailers);
  return status();
}

/** Shows to the hooks what has come, in order. False: the message stays where it is. */
bool Stream::passOn(Direction direction, At at) {
  HookRun& hook = run(direction);
  if (hook.body == nullptr && hook.hasBody && hasBodyHooks(direction))
    bodyRun(direction);
  if (hook.body != nullptr) {
    BodyRun& body = *hook.body;
    if (!body.begun)
      beginBody(direction);
    if (wantsChunks(direction) && !showChunk(direction, at))
      return false;
    if (hook.trailersCame && !body.trailersDone) {
      body.trailersDone = true;
      if (config_->script->hasHook(trailersHook(direction)) &&
          !callBodyHook(direction, trailersHook(direction), at))
        return false;
    }
    body.passed = 0;
    if (body.dropsRest && !inputEnded(hook))
      return false;
  }
  hook.sent = true;
  return !ended_;
}

bool Stream::showChunk(Direction direction, At at) {
  HookRun& hook = run(direction);
  BodyRun& body = *hook.body;
  body.part = BodyPart::Buffered;
  if (at == At::Body) {
    if (host_.bodySize(direction, BodyPart::Buffered) == 0)
      body.part = BodyPart::Received;
    else
      joinReceived(direction);
  }
  body.chunkBytes = host_.bodySize(direction, body.part) - body.passed;
  body.chunk.last = inputEnded(hook) || body.dropsRest;
  if (body.chunkBytes == 0 && !body.chunk.last)
    return true;
  body.chunksDone = body.chunk.last;
  return callBodyHook(direction, chunkHook(direction), at);
}

bool Stream::callBodyHook(Direction direction, Hook which, At at) {
  HookRun& hook = run(direction);
  hook.hook = which;
  hook.state = HookState::Running;
  hook.settled = hook.rejected = false;
  if (attach())
    callHook(direction);
  if (isOver()) {
    hook.state = HookState::Done;
    return false;
  }
  if (!hook.settled) {
    // Envoy puts what a body hook was given behind what it holds.
    if (at == At::Body)
      hook.body->part = BodyPart::Buffered;
    hold(hook);
    return false;
  }
  return applySettled(direction);
}

bool Stream::applyChunk(Direction direction, JSValueConst value) {
  BodyRun& body = *run(direction).body;
  closeChunk(body);
  std::span<uint8_t> bytes;
  if (JS_IsUndefined(value)) {
    if (body.part == BodyPart::Buffered)
      body.passed += body.chunkBytes;
  } else if (JS_IsNull(value)) {
    replaceChunk(direction, {});
  } else if (JS_IsString(value)) {
    const js::Utf8 text(runtime_->ctx(), value);
    if (!text)
      return false;
    replaceChunk(direction, text.view());
  } else if (js::bytesOf(value, bytes) == js::BytesState::Found) {
    replaceChunk(direction, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  } else {
    return false;
  }
  return true;
}

void Stream::replaceChunk(Direction direction, std::string_view bytes) {
  BodyRun& body = *run(direction).body;
  body.changed = true;
  const BodyPart part = body.part;
  // Envoy takes bytes from the front and adds them at the end. Each piece is let go before the next is
  // copied: all of a buffer twice, beside the script's own copy, would be the most memory of all.
  const auto take = [&](size_t count) -> std::string {
    if (count == 0)
      return {};
    std::vector<std::string_view> pieces;
    host_.body(direction, part, pieces);
    std::string taken;
    taken.reserve(count);
    for (const std::string_view piece : pieces)
      taken += piece.substr(0, count - taken.size());
    host_.drainBody(direction, part, taken.size());
    return taken;
  };
  const std::string before = take(body.passed);
  host_.drainBody(direction, part, body.chunkBytes);
  const size_t rest = host_.bodySize(direction, part);
  const std::string behind = take(rest);
  for (const std::string_view piece : {std::string_view(before), bytes, std::string_view(behind)}) {
    // Elsewhere what goes over the limit is what stops the sender.
    if (body.dropsRest)
      putBack(direction, piece);
    else if (!piece.empty())
      host_.appendBody(direction, part, piece);
  }
  if (part == BodyPart::Buffered)
    body.passed += bytes.size();
}

/** Adds bytes to what Envoy holds, which must neither refuse the message nor stop its sender for them. */
void Stream::putBack(Direction direction, std::string_view bytes) {
  host_.raiseBufferLimit(host_.bodySize(direction, BodyPart::Buffered) + bytes.size());
  host_.appendBody(direction, BodyPart::Buffered, bytes);
}

/** Moves what a body hook was given behind what Envoy holds. */
void Stream::joinReceived(Direction direction) {
  std::vector<std::string_view> pieces;
  host_.body(direction, BodyPart::Received, pieces);
  const std::string received = joined(pieces);
  host_.drainBody(direction, BodyPart::Received, received.size());
  putBack(direction, received);
}

bool Stream::restoreBody(Direction direction, bool hookRuns) {
  HookRun& hook = run(direction);
  BodyRun& body = *hook.body;
  const bool ofChunks = hook.hook == chunkHook(direction);
  // Part of it has gone on as the script has made it, and the rest would not fit.
  const bool isCut = body.changed && (hookRuns ? ofChunks : wantsChunks(direction));
  if (!body.begun && hookRuns && body.source != nullptr)
    putBack(direction, body.source->bytes());
  if (hookRuns) {
    if (body.source != nullptr)
      body.source->abandon();
    body.source.reset();
    body.replacement.reset();
  }
  return !isCut;
}

// --- The script's objects ---

std::vector<std::string_view> Stream::chunkPieces(const ChunkData& chunk) {
  const BodyRun& body = chunk.body;
  std::vector<std::string_view> pieces;
  host_.body(chunk.direction, body.part, pieces);
  size_t skip = body.part == BodyPart::Buffered ? body.passed : 0;
  size_t left = body.chunkBytes;
  for (std::string_view& piece : pieces) {
    const size_t skipped = std::min(skip, piece.size());
    piece = piece.substr(skipped, left);
    skip -= skipped;
    left -= piece.size();
  }
  return pieces;
}

JSValueConst Stream::chunkObject(Direction direction) {
  BodyRun& body = *run(direction).body;
  body.chunkObject = runtime_->lend(HostClass::Chunk, body.chunk);
  return body.chunkObject.get();
}

void Stream::closeChunk(BodyRun& body) {
  // The begin of a character belongs to who reads text.
  if (!body.chunk.text)
    body.cut.clear();
  if (!body.chunkObject.isUndefined())
    runtime_->giveBack(HostClass::Chunk, std::move(body.chunkObject));
  body.chunk.data.reset();
  body.chunk.text.reset();
}

JSValueConst Stream::trailersObject(Direction direction) {
  BodyRun& body = bodyRun(direction);
  if (body.trailersObject.isUndefined()) {
    body.trailers.emplace(*this, trailersOf(direction));
    body.trailersObject = runtime_->lend(HostClass::Headers, *body.trailers);
  }
  return body.trailersObject.get();
}

void Stream::killBodies() {
  for (HookRun& hook : hooks_) {
    if (hook.body == nullptr)
      continue;
    BodyRun& body = *hook.body;
    closeChunk(body);
    if (!body.trailersObject.isUndefined())
      runtime_->giveBack(HostClass::Headers, std::move(body.trailersObject));
    if (body.source != nullptr)
      body.source->abandon();
    body.source.reset();
    body.replacement.reset();
  }
}

}  // namespace fairlead
