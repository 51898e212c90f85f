// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Request and Response (https://fetch.spec.whatwg.org/#request-class, #response-class), and the
// windows on the two messages that pass through Envoy.

#include "filter-cc/message.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "ada.h"
#include "filter-cc/encoding.h"
#include "filter-cc/events.h"
#include "filter-cc/forms.h"
#include "filter-cc/runtime.h"
#include "filter-cc/stream.h"
#include "filter-cc/streams.h"
#include "filter-cc/url.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

constexpr uint32_t kMinStatus = 200;
constexpr uint32_t kMaxStatus = 599;

bool isNullBodyStatus(uint32_t status) { return status == 204 || status == 205 || status == 304; }

/** A body's bytes in the form a reader asked for. */
js::Value formed(JSContext* ctx, const std::string& bytes, BodyForm form,
                 const std::string& contentType) {
  const auto* data = reinterpret_cast<const uint8_t*>(bytes.data());
  switch (form) {
  case BodyForm::Bytes:
    return {ctx, JS_NewUint8ArrayCopy(ctx, data, bytes.size())};
  case BodyForm::ArrayBuffer:
    return {ctx, JS_NewArrayBufferCopy(ctx, data, bytes.size())};
  case BodyForm::Blob:
    return newBlob(Runtime::from(ctx), bytes, contentType);
  case BodyForm::FormData:
    return parseForm(ctx, bytes, contentType);
  case BodyForm::Text:
  case BodyForm::Json:
    break;
  }
  std::string mended;
  const std::string_view text = decodeUtf8(bytes, mended, Runtime::from(ctx).engine().entry());
  if (form == BodyForm::Text)
    return js::newUtf8(ctx, text);
  // The parser reads the byte behind the text, which must be 0.
  const std::string terminated(text);
  return {ctx, JS_ParseJSON(ctx, terminated.c_str(), terminated.size(), "body")};
}

void settleFormed(JSContext* ctx, JSValueConst promise, const std::string& bytes, BodyForm form,
                  const std::string& contentType) {
  js::Value value = formed(ctx, bytes, form, contentType);
  const bool failed = value.isException();
  if (failed)
    value = js::Value(ctx, JS_GetException(ctx));
  js::settlePromise(ctx, promise, value.get(), failed);
}

}  // namespace

js::Value rejectedPromise(JSContext* ctx) {
  const js::Value reason(ctx, JS_GetException(ctx));
  js::Value promise = js::newPromise(ctx);
  if (!promise.isException())
    js::settlePromise(ctx, promise.get(), reason.get(), true);
  return promise;
}

// --- Bodies ---

std::shared_ptr<BodySource> BodySource::of(const js::Runtime& engine, std::string bytes) {
  auto source = std::allocate_shared<BodySource>(RecyclingAllocator<BodySource>(), engine);
  if (source->charge_.set(bytes.size()))
    source->bytes_ = std::move(bytes);
  source->state_ = State::Complete;
  return source;
}

std::shared_ptr<BodySource> BodySource::open(const js::Runtime& engine, uint64_t streamId,
                                             uint32_t fetchId) {
  auto source = std::make_shared<BodySource>(engine);
  source->streamId_ = streamId;
  source->fetchId_ = fetchId;
  return source;
}

void BodySource::append(std::string_view bytes) {
  if (charge_.set(bytes_.size() + bytes.size()))
    bytes_ += bytes;
}

void BodySource::complete() {
  state_ = State::Complete;
  for (Reader& reader : std::exchange(readers_, {}))
    settleFormed(reader.promise.context(), reader.promise.get(), bytes_, reader.form,
                 reader.contentType);
  wake();
}

void BodySource::fail(JSValueConst reason, Failure failure) {
  state_ = State::Failed;
  failure_ = std::move(failure);
  bytes_.clear();
  for (Reader& reader : std::exchange(readers_, {}))
    js::settlePromise(reader.promise.context(), reader.promise.get(), reason, true);
  if (const js::Value more = std::move(more_); more.isObject())
    js::settlePromise(more.context(), more.get(), reason, true);
}

void BodySource::abandon() {
  readers_.clear();
  more_.reset();
  if (state_ == State::Open) {
    state_ = State::Failed;
    failure_ = {ErrorCode::E_ABORTED, "body", {}};
  }
}

void BodySource::abandon(JSRuntime* engine) {
  for (Reader& reader : readers_)
    JS_FreeValueRT(engine, reader.promise.release());
  JS_FreeValueRT(engine, more_.release());
}

void BodySource::mark(JSRuntime* engine, JS_MarkFunc* markFunction) {
  for (const Reader& reader : readers_)
    JS_MarkValue(engine, reader.promise.get(), markFunction);
  JS_MarkValue(engine, more_.get(), markFunction);
}

js::Value BodySource::next(JSContext* ctx, size_t& offset) {
  constexpr size_t kMaxPieceBytes = size_t{64} * 1024;
  if (state_ == State::Failed)
    return {ctx, throwError(ctx, failure_.code, {failure_.first, failure_.second})};
  if (offset < bytes_.size()) {
    const size_t size = std::min(kMaxPieceBytes, bytes_.size() - offset);
    js::Value piece(ctx, JS_NewUint8ArrayCopy(
                             ctx, reinterpret_cast<const uint8_t*>(bytes_.data()) + offset, size));
    offset += size;
    if (offset == bytes_.size() && !shared_) {
      bytes_ = {};
      offset = 0;
      (void)charge_.set(0);
    }
    return piece;
  }
  if (state_ == State::Complete)
    return {ctx, JS_NULL};
  if (!more_.isObject())
    more_ = js::newPromise(ctx);
  return more_.dup();
}

void BodySource::wake() {
  if (const js::Value more = std::move(more_); more.isObject())
    js::settlePromise(more.context(), more.get(), JS_UNDEFINED, false);
}

void BodySource::cancel(Runtime& runtime, JSValueConst reason) {
  if (shared_)
    return;
  if (Stream* stream = runtime.findStream(streamId_); stream != nullptr && state_ == State::Open)
    stream->cancelFetch(fetchId_, reason);
  bytes_ = {};
  (void)charge_.set(0);
}

bool isBodyTaken(Runtime& runtime, const Body& body) {
  if (body.used || !body.stream.isObject())
    return body.used;
  const StreamState state = streamState(runtime, body.stream.get());
  return state.locked || state.disturbed;
}

js::Value BodySource::read(const Call& call, BodyForm form, std::string contentType) {
  JSContext* ctx = call.ctx;
  if (state_ == State::Failed) {
    throwError(ctx, failure_.code, {failure_.first, failure_.second});
    return rejectedPromise(ctx);
  }
  js::Value promise = js::newPromise(ctx);
  if (promise.isException())
    return promise;
  if (state_ == State::Complete)
    settleFormed(ctx, promise.get(), bytes_, form, contentType);
  else
    readers_.push_back({promise.dup(), form, std::move(contentType)});
  return promise;
}

bool extractBody(const Call& call, JSValueConst init, ExtractedBody& out) {
  if (JS_IsUndefined(init) || JS_IsNull(init))
    return true;
  if (std::optional<std::string> form = searchParamsText(call.runtime, init)) {
    out.usualType = "application/x-www-form-urlencoded;charset=UTF-8";
    out.source = BodySource::of(call.runtime.engine(), std::move(*form));
    return true;
  }
  if (!JS_IsObject(init)) {
    const js::Utf8 text(call.ctx, init);
    if (!text)
      return false;
    out.usualType = "text/plain;charset=UTF-8";
    out.source = BodySource::of(call.runtime.engine(), std::string(text.view()));
    return true;
  }
  if (const BlobData* blob = blobOf(call.runtime, init)) {
    out.ownType = blob->type;
    out.source = BodySource::of(call.runtime.engine(), std::string(blob->view()));
    return true;
  }
  if (std::string form; formText(call.runtime, init, form, out.ownType)) {
    out.needsType = true;
    out.source = BodySource::of(call.runtime.engine(), std::move(form));
    return true;
  }
  bind::kinds::Bytes bytes;
  if (!JS_IsArrayBuffer(init) && JS_GetTypedArrayType(init) < 0 && !JS_IsDataView(init)) {
    out.stream = streamOf(call.runtime, init);
    if (out.stream.isException())
      return false;
    if (!out.stream.isObject()) {
      // The standard would send "[object Object]".
      call.fail(ErrorCode::E_OPTION,
                {"body", "a string, bytes, an ArrayBuffer, Blob, FormData, URLSearchParams, a "
                         "ReadableStream or an async iterable; use Response.json or JSON.stringify for objects"});
      return false;
    }
    const StreamState state = streamState(call.runtime, out.stream.get());
    if (state.locked || state.disturbed)
      call.fail(ErrorCode::E_BODY_USED);
    return !state.locked && !state.disturbed;
  }
  if (!bytes.convert(call, init, 0))
    return false;
  const std::span<const uint8_t> view = bytes.get();
  out.source =
      BodySource::of(call.runtime.engine(),
                     std::string(reinterpret_cast<const char*>(view.data()), view.size()));
  return true;
}

bool isLogWord(std::string_view text) {
  return !text.empty() && text.size() <= kMaxLogWordBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 0x20 && c < 0x7f; });
}

bool isTarget(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
  });
}

bool normalizeMethod(const Call& call, std::string_view method, std::string& out) {
  if (!isHeaderName(method)) {
    call.fail(ErrorCode::E_METHOD, {method});
    return false;
  }
  out = method;
  std::string upper(method);
  std::transform(upper.begin(), upper.end(), upper.begin(),
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
  for (const std::string_view known : {"DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT"}) {
    if (upper == known)
      out = known;
  }
  return true;
}

// --- Data ---

void RequestData::mark(JSRuntime* runtime, JS_MarkFunc* markFunction) {
  JS_MarkValue(runtime, headers.get(), markFunction);
  JS_MarkValue(runtime, signal.get(), markFunction);
  JS_MarkValue(runtime, body.stream.get(), markFunction);
}

void RequestData::finalize(JSRuntime* engine) {
  if (stream != nullptr)
    return;
  JS_FreeValueRT(engine, headers.release());
  JS_FreeValueRT(engine, signal.release());
  JS_FreeValueRT(engine, body.stream.release());
  delete this;
}

void ResponseData::mark(JSRuntime* runtime, JS_MarkFunc* markFunction) {
  JS_MarkValue(runtime, headers.get(), markFunction);
  JS_MarkValue(runtime, body.stream.get(), markFunction);
}

void ResponseData::finalize(JSRuntime* engine) {
  if (stream != nullptr)
    return;
  JS_FreeValueRT(engine, headers.release());
  JS_FreeValueRT(engine, body.stream.release());
  delete this;
}

namespace {

template <class Message> HeadersData* ownHeaders(Runtime& runtime, Message& message) {
  if (message.headers.isObject())
    return static_cast<HeadersData*>(
        bind::tryUnwrap(runtime, message.headers.get(), HostClass::Headers));
  if (message.ownHeaders == nullptr)
    message.ownHeaders = std::make_unique<HeadersData>();
  return message.ownHeaders.get();
}

template <class Message> js::Value headersObjectOf(Runtime& runtime, Message& message) {
  HeadersData* data = headersOf(runtime, message);
  if (data == nullptr)
    return {runtime.ctx(), JS_EXCEPTION};
  if (message.headers.isUndefined()) {
    js::Value object = newHeaders(runtime, message.ownHeaders.release());
    if (object.isException())
      return object;
    message.headers = std::move(object);
  }
  return message.headers.dup();
}

}  // namespace

HeadersData* headersOf(Runtime& runtime, RequestData& request) {
  return request.stream != nullptr ? request.stream->requestHeaders()
                                   : ownHeaders(runtime, request);
}

HeadersData* headersOf(Runtime& runtime, ResponseData& response) {
  if (response.stream != nullptr)
    return response.stream->responseHeaders();
  HeadersData* headers = ownHeaders(runtime, response);
  if (headers != nullptr && !response.usualType.empty())
    headers->add(runtime.engine(), "content-type", std::exchange(response.usualType, {}));
  return headers;
}

js::Value headersObject(Runtime& runtime, RequestData& request) {
  return headersObjectOf(runtime, request);
}

js::Value headersObject(Runtime& runtime, ResponseData& response) {
  return headersObjectOf(runtime, response);
}

js::Value newResponse(Runtime& runtime, std::unique_ptr<ResponseData> data) {
  return bind::wrap(runtime, HostClass::Response, data.release());
}

namespace {

std::string_view liveField(const RequestData& request, std::string_view name) {
  const std::optional<HeaderLookup> field =
      request.stream->host().header(HeaderMap::Request, name, 0);
  return field ? field->value : std::string_view();
}

}  // namespace

std::string methodOf(const RequestData& request) {
  return request.stream == nullptr ? request.method : std::string(liveField(request, ":method"));
}

uint32_t statusOf(const ResponseData& response) {
  if (response.stream == nullptr)
    return response.status;
  const std::optional<HeaderLookup> field =
      response.stream->host().header(HeaderMap::Response, ":status", 0);
  uint32_t status = 0;
  if (field)
    std::from_chars(field->value.data(), field->value.data() + field->value.size(), status);
  return status;
}

std::string urlOf(const RequestData& request) {
  if (request.stream == nullptr)
    return request.url;
  const std::string authority(liveField(request, ":authority"));
  std::string scheme(liveField(request, ":scheme"));
  if (scheme.empty())
    scheme = "http";
  const std::string_view path = liveField(request, ":path");
  // CONNECT has no path, OPTIONS may have "*".
  std::string url = scheme + "://" + authority;
  if (!path.starts_with('/'))
    url += '/';
  return url.append(path == "*" ? std::string_view() : path);
}

// --- new Request ---

namespace {

bool copyRequest(const Call& call, RequestData& from, RequestData& to) {
  to.method = methodOf(from);
  to.url = urlOf(from);
  to.redirect = from.stream == nullptr ? from.redirect : "follow";
  to.signal = from.signal.dup();
  HeadersData* source = headersOf(call.runtime, from);
  HeadersData* target = headersOf(call.runtime, to);
  if (source == nullptr || target == nullptr)
    return false;
  target->assign(call.runtime.engine(), source->lines());
  return true;
}

/** Takes what `body` may give to another message; a live body cannot be given. */
template <class Message>
bool takeBody(const Call& call, Message& from, Direction direction, Body& to, bool consume) {
  if (isBodyTaken(call.runtime, from.body)) {
    call.fail(ErrorCode::E_BODY_USED);
    return false;
  }
  if (from.stream != nullptr && from.stream->hasBody(direction)) {
    call.fail(ErrorCode::E_BODY_UNAVAILABLE,
              {"the body of a message that passes through Envoy cannot be shared; give its bytes()"});
    return false;
  }
  if (from.body.stream.isObject()) {
    if (!consume)
      return teeStream(call.runtime, from.body.stream.get(), from.body.stream, to.stream);
    to.stream = handOver(call.runtime, from.body.stream.get());
    return !to.stream.isException();
  }
  to.source = from.body.source;
  if (from.body.source != nullptr && !consume)
    from.body.source->share();
  from.body.used = consume && from.body.source != nullptr;
  return true;
}

}  // namespace

bool buildRequest(const Call& call, JSValueConst input, JSValueConst init, RequestData& request) {
  JSContext* ctx = call.ctx;
  Runtime& runtime = call.runtime;
  if (!JS_IsObject(init) && !JS_IsUndefined(init) && !JS_IsNull(init)) {
    bind::throwArgument(call, 1, "an object");
    return false;
  }
  const js::Value bodyInit = call.runtime.member(init, Member::Body);
  const js::Value headersInit = call.runtime.member(init, Member::Headers);
  const js::Value methodInit = call.runtime.member(init, Member::Method);
  const js::Value redirectInit = call.runtime.member(init, Member::Redirect);
  const js::Value signalInit = call.runtime.member(init, Member::Signal);
  for (const js::Value* value : {&bodyInit, &headersInit, &methodInit, &redirectInit, &signalInit}) {
    if (value->isException())
      return false;
  }

  auto* source = static_cast<RequestData*>(bind::tryUnwrap(runtime, input, HostClass::Request));
  if (source != nullptr) {
    if (!copyRequest(call, *source, request))
      return false;
  } else if (bind::isDead(runtime, input, HostClass::Request)) {
    call.fail(ErrorCode::E_DEAD_HANDLE);
    return false;
  } else {
    const js::Utf8 text(ctx, input);
    if (!text)
      return false;
    const bool isTooLong = text.view().size() > kMaxUrlBytes;
    const auto url = ada::parse<ada::url_aggregator>(isTooLong ? std::string_view() : text.view());
    if (!url || url->has_credentials()) {
      call.fail(ErrorCode::E_URL, {text.view()});
      return false;
    }
    request.method = "GET";
    request.url = url->get_href();
    request.redirect = "follow";
  }

  if (!methodInit.isUndefined()) {
    bind::kinds::ByteString method;
    if (!method.convert(call, methodInit.get(), 1) ||
        !normalizeMethod(call, method.get(), request.method))
      return false;
    if (request.method == "CONNECT" || request.method == "TRACE" || request.method == "TRACK") {
      call.fail(ErrorCode::E_METHOD, {request.method});
      return false;
    }
  }
  if (!redirectInit.isUndefined()) {
    const js::Utf8 redirect(ctx, redirectInit.get());
    if (!redirect)
      return false;
    request.redirect = redirect.view();
    if (request.redirect != "follow" && request.redirect != "error" && request.redirect != "manual") {
      call.fail(ErrorCode::E_OPTION, {"redirect", "follow, error or manual"});
      return false;
    }
  }
  if (signalInit.isNull()) {
    request.signal.reset();
  } else if (!signalInit.isUndefined()) {
    if (!isAbortSignal(runtime, signalInit.get())) {
      if (!JS_HasException(ctx))
        call.fail(ErrorCode::E_OPTION, {"signal", "an AbortSignal"});
      return false;
    }
    request.signal = signalInit.dup();
  }
  HeadersData* headers = headersOf(runtime, request);
  if (headers == nullptr)
    return false;
  if (!headersInit.isUndefined()) {
    headers->assign(runtime.engine(), {});
    if (!headers->fill(call, headersInit.get()))
      return false;
  }
  if (bodyInit.isUndefined() || bodyInit.isNull()) {
    if (source != nullptr && bodyInit.isUndefined() &&
        !takeBody(call, *source, Direction::Request, request.body, true))
      return false;
  } else {
    ExtractedBody extracted;
    if (!extractBody(call, bodyInit.get(), extracted))
      return false;
    request.body = {std::move(extracted.source), false, std::move(extracted.stream)};
    if (!extracted.contentType().empty() && !headers->has("content-type"))
      headers->add(runtime.engine(), "content-type", extracted.contentType());
  }
  if (!request.body.isAbsent() && (request.method == "GET" || request.method == "HEAD")) {
    call.fail(ErrorCode::E_OPTION, {"body", "absent for " + request.method});
    return false;
  }
  return true;
}

namespace {

using Request_Self = RequestData;
using Response_Self = ResponseData;

/** A value as JSON. False: an exception is pending. */
bool stringify(const Call& call, JSValueConst value, std::string& text) {
  const js::Value json(call.ctx, JS_JSONStringify(call.ctx, value, JS_UNDEFINED, JS_UNDEFINED));
  if (json.isException())
    return false;
  if (!json.isString()) {
    bind::throwArgument(call, 0, "a value that JSON can hold");
    return false;
  }
  const js::Utf8 utf8(call.ctx, json.get());
  text = utf8.view();
  return static_cast<bool>(utf8);
}

// --- Readers, for both classes ---

/** What a message says its body is, where that matters to the form. */
template <class Message>
std::string contentTypeOf(const Call& call, Message& message, BodyForm form) {
  if (form != BodyForm::Blob && form != BodyForm::FormData)
    return {};
  const HeadersData* headers = headersOf(call.runtime, message);
  if (headers == nullptr)
    return {};
  return std::string(headers->get(call, "content-type").value_or(""));
}

template <class Message>
Outcome<JSValue> readBody(Call& call, Message& message, Direction direction, BodyForm form) {
  if (isBodyTaken(call.runtime, message.body)) {
    call.fail(ErrorCode::E_BODY_USED);
    return rejectedPromise(call.ctx);
  }
  const bool isLive = message.stream != nullptr && message.stream->hasBody(direction);
  if (isLive && !message.stream->mayReadAs(call, direction, form))
    return rejectedPromise(call.ctx);
  std::string type = contentTypeOf(call, message, form);
  if (message.body.stream.isObject()) {
    const auto whole = collectStream(call, message.body.stream.get());
    return whole == nullptr ? rejectedPromise(call.ctx)
                            : whole->read(call, form, std::move(type));
  }
  if (isLive) {
    const std::shared_ptr<BodySource> source = message.stream->openBody(call, direction);
    if (source == nullptr)
      return rejectedPromise(call.ctx);
    message.body.used = !message.stream->ended();
    return source->read(call, form, std::move(type));
  }
  if (message.body.source == nullptr)
    return BodySource::of(call.runtime.engine(), {})->read(call, form, std::move(type));
  message.body.used = true;
  return message.body.source->read(call, form, std::move(type));
}

Outcome<JSValue> Request_text(Call& call, RequestData& self) {
  return readBody(call, self, Direction::Request, BodyForm::Text);
}
Outcome<JSValue> Request_json(Call& call, RequestData& self) {
  return readBody(call, self, Direction::Request, BodyForm::Json);
}
Outcome<JSValue> Request_bytes(Call& call, RequestData& self) {
  return readBody(call, self, Direction::Request, BodyForm::Bytes);
}
Outcome<JSValue> Request_arrayBuffer(Call& call, RequestData& self) {
  return readBody(call, self, Direction::Request, BodyForm::ArrayBuffer);
}
Outcome<JSValue> Request_blob(Call& call, RequestData& self) {
  return readBody(call, self, Direction::Request, BodyForm::Blob);
}
Outcome<JSValue> Request_formData(Call& call, RequestData& self) {
  return readBody(call, self, Direction::Request, BodyForm::FormData);
}
Outcome<JSValue> Response_text(Call& call, ResponseData& self) {
  return readBody(call, self, Direction::Response, BodyForm::Text);
}
Outcome<JSValue> Response_json(Call& call, ResponseData& self) {
  return readBody(call, self, Direction::Response, BodyForm::Json);
}
Outcome<JSValue> Response_bytes(Call& call, ResponseData& self) {
  return readBody(call, self, Direction::Response, BodyForm::Bytes);
}
Outcome<JSValue> Response_arrayBuffer(Call& call, ResponseData& self) {
  return readBody(call, self, Direction::Response, BodyForm::ArrayBuffer);
}
Outcome<JSValue> Response_blob(Call& call, ResponseData& self) {
  return readBody(call, self, Direction::Response, BodyForm::Blob);
}
Outcome<JSValue> Response_formData(Call& call, ResponseData& self) {
  return readBody(call, self, Direction::Response, BodyForm::FormData);
}

// --- Bodies and trailers of live messages, for both classes ---

template <class Message>
Outcome<void> setBody(Call& call, Message& message, Direction direction, JSValueConst init) {
  if (message.stream == nullptr)
    return call.fail(ErrorCode::E_NOT_LIVE);
  ExtractedBody body;
  if (!extractBody(call, init, body))
    return Thrown{};
  if (body.stream.isObject())
    return call.fail(ErrorCode::E_OPTION,
                     {"body", "whole, as its length is sent first: await new Response(stream).bytes()"});
  if (!message.stream->setBody(call, direction, std::move(body.source)))
    return Thrown{};
  if (body.needsType)
    message.stream->setHeader(
        direction == Direction::Request ? HeaderMap::Request : HeaderMap::Response, "content-type",
        body.contentType());
  message.body.used = true;
  return {};
}

/** Whether a content type says JSON. */
bool isJsonType(std::string_view type) {
  const std::string essence = lowerCase(trimHeaderValue(type.substr(0, type.find(';'))));
  return essence == "application/json" || essence == "text/json" || essence.ends_with("+json");
}

template <class Message>
Outcome<void> setJson(Call& call, Message& message, Direction direction, JSValueConst value) {
  if (message.stream == nullptr)
    return call.fail(ErrorCode::E_NOT_LIVE);
  std::string text;
  if (!stringify(call, value, text) ||
      !message.stream->setBody(call, direction, BodySource::of(call.runtime.engine(), text)))
    return Thrown{};
  message.body.used = true;
  const HeaderMap map = direction == Direction::Request ? HeaderMap::Request : HeaderMap::Response;
  const std::optional<HeaderLookup> type = message.stream->host().header(map, "content-type", 0);
  if (!type || !isJsonType(type->value))
    message.stream->setHeader(map, "content-type", "application/json");
  return {};
}

template <class Message>
Outcome<void> skipChunks(Call& call, Message& message, Direction direction) {
  if (message.stream == nullptr)
    return call.fail(ErrorCode::E_NOT_LIVE);
  message.stream->skipChunks(direction);
  return {};
}

template <class Message>
Outcome<JSValue> trailersOf(Call& call, Message& message, Direction direction) {
  if (message.stream == nullptr)
    return call.fail(ErrorCode::E_NOT_LIVE);
  return JS_DupValue(call.ctx, message.stream->trailersObject(direction));
}

Outcome<void> Request_setBody(Call& call, RequestData& self, JSValueConst body) {
  return setBody(call, self, Direction::Request, body);
}
Outcome<void> Request_setJson(Call& call, RequestData& self, JSValueConst value) {
  return setJson(call, self, Direction::Request, value);
}
Outcome<void> Request_skipChunks(Call& call, RequestData& self) {
  return skipChunks(call, self, Direction::Request);
}
Outcome<JSValue> Request_trailers(Call& call, RequestData& self) {
  return trailersOf(call, self, Direction::Request);
}
Outcome<void> Response_setBody(Call& call, ResponseData& self, JSValueConst body) {
  return setBody(call, self, Direction::Response, body);
}
Outcome<void> Response_setJson(Call& call, ResponseData& self, JSValueConst value) {
  return setJson(call, self, Direction::Response, value);
}
Outcome<void> Response_skipChunks(Call& call, ResponseData& self) {
  return skipChunks(call, self, Direction::Response);
}
Outcome<JSValue> Response_trailers(Call& call, ResponseData& self) {
  if (self.trailers != nullptr) {
    auto data = std::make_unique<HeadersData>();
    data->assign(call.runtime.engine(), *self.trailers);
    data->freeze();
    return newHeaders(call.runtime, data.release());
  }
  return trailersOf(call, self, Direction::Response);
}

template <class Message>
Outcome<JSValue> bodyOf(Call& call, Message& message, Direction direction) {
  Body& body = message.body;
  const bool isLive = message.stream != nullptr && message.stream->hasBody(direction);
  if (!isLive && body.isAbsent())
    return JS_NULL;
  if (!body.stream.isObject()) {
    js::Value stream =
        body.used ? usedStream(call.runtime)
        : isLive  ? streamOfMessage(call.runtime, message.stream->id(), direction)
                  : streamOfBody(call.runtime, body.source);
    if (stream.isException())
      return Thrown{};
    body.stream = std::move(stream);
  }
  return body.stream.dup();
}

Outcome<JSValue> Request_body(Call& call, RequestData& self) {
  return bodyOf(call, self, Direction::Request);
}
Outcome<JSValue> Response_body(Call& call, ResponseData& self) {
  return bodyOf(call, self, Direction::Response);
}

bool isBodyUsed(Runtime& runtime, const Body& body) {
  return body.used ||
         (body.stream.isObject() && streamState(runtime, body.stream.get()).disturbed);
}

Outcome<bool> Request_bodyUsed(Call& call, RequestData& self) {
  return isBodyUsed(call.runtime, self.body);
}
Outcome<bool> Response_bodyUsed(Call& call, ResponseData& self) {
  return isBodyUsed(call.runtime, self.body);
}

// --- Request ---

Outcome<JSValue> Request_new(Call& call, JSValueConst input, JSValueConst init) {
  auto data = std::make_unique<RequestData>();
  if (!buildRequest(call, input, init, *data))
    return Thrown{};
  // The standard's request has a signal of its own that follows the given one.
  if (data->signal.isObject())
    data->signal = followSignal(call.runtime, data->signal.get());
  if (data->signal.isException())
    return Thrown{};
  return bind::wrap(call.runtime, HostClass::Request, data.release(), call.receiver);
}

/** Writes a pseudo-header of the live request, which its stream must still allow. */
/** False, with an exception pending, when a field of the request cannot be written. */
bool mayWrite(const Call& call, RequestData& self) {
  if (self.stream == nullptr)
    call.fail(ErrorCode::E_NOT_LIVE);
  else if (!self.stream->writable(HeaderMap::Request))
    call.fail(self.stream->ended() ? ErrorCode::E_STREAM_ENDED : ErrorCode::E_HEADERS_SENT,
              {"request headers", "onRequest"});
  else if (!self.stream->countHeaderWrite())
    call.fail(ErrorCode::E_HEADER_LIMIT, {std::to_string(kMaxHeaderWrites)});
  else
    return true;
  return false;
}

Outcome<void> setField(const Call& call, RequestData& self, std::string_view name,
                       std::string_view value) {
  if (!mayWrite(call, self))
    return Thrown{};
  self.stream->setHeader(HeaderMap::Request, name, value);
  return {};
}

Outcome<std::string_view> Request_method(Call& call, RequestData& self) {
  return self.stream == nullptr ? call.keep(self.method) : liveField(self, ":method");
}

Outcome<void> Request_set_method(Call& call, RequestData& self, std::string_view method) {
  std::string normalized;
  if (!normalizeMethod(call, method, normalized))
    return Thrown{};
  return setField(call, self, ":method", normalized);
}

Outcome<std::string_view> Request_url(Call& call, RequestData& self) {
  return call.keep(urlOf(self));
}

/** A pseudo-header of the live request: null when it is absent. */
JSValue fieldOrNull(const Call& call, RequestData& self, std::string_view name) {
  const std::optional<HeaderLookup> field = self.stream->host().header(HeaderMap::Request, name, 0);
  return field ? js::newByteString(call.ctx, field->value).release() : JS_NULL;
}

Outcome<JSValue> Request_path(Call& call, RequestData& self) {
  if (self.stream != nullptr)
    return fieldOrNull(call, self, ":path");
  const auto url = ada::parse<ada::url_aggregator>(self.url);
  return js::newUtf8(call.ctx, std::string(url->get_pathname()) + std::string(url->get_search()));
}

Outcome<void> Request_set_path(Call& call, RequestData& self, JSValueConst value) {
  bind::kinds::ByteString path;
  if (!path.convert(call, value, 0))
    return Thrown{};
  if (!isTarget(path.get()) || (path.get().front() != '/' && path.get() != "*"))
    return call.fail(ErrorCode::E_TARGET, {path.get(), "path"});
  return setField(call, self, ":path", path.get());
}

Outcome<JSValue> Request_host(Call& call, RequestData& self) {
  if (self.stream != nullptr)
    return fieldOrNull(call, self, ":authority");
  return js::newUtf8(call.ctx, ada::parse<ada::url_aggregator>(self.url)->get_host());
}

Outcome<void> Request_set_host(Call& call, RequestData& self, JSValueConst value) {
  bind::kinds::ByteString host;
  if (!host.convert(call, value, 0))
    return Thrown{};
  if (!isTarget(host.get()) || host.get().find_first_of("/?#@\\") != std::string_view::npos)
    return call.fail(ErrorCode::E_TARGET, {host.get(), "host"});
  return setField(call, self, ":authority", host.get());
}

Outcome<JSValue> Request_scheme(Call& call, RequestData& self) {
  if (self.stream != nullptr)
    return fieldOrNull(call, self, ":scheme");
  std::string_view protocol = ada::parse<ada::url_aggregator>(self.url)->get_protocol();
  protocol.remove_suffix(1);
  return js::newUtf8(call.ctx, protocol);
}

Outcome<void> Request_set_scheme(Call& call, RequestData& self, JSValueConst value) {
  bind::kinds::ByteString scheme;
  if (!scheme.convert(call, value, 0))
    return Thrown{};
  if (scheme.get() != "http" && scheme.get() != "https")
    return call.fail(ErrorCode::E_TARGET, {scheme.get(), "scheme: http or https"});
  return setField(call, self, ":scheme", scheme.get());
}

Outcome<JSValue> Request_cluster(Call& call, RequestData& self) {
  if (self.stream == nullptr || self.stream->config().config.clusterHeader.empty())
    return JS_NULL;
  return fieldOrNull(call, self, self.stream->config().config.clusterHeader);
}

Outcome<void> Request_set_cluster(Call& call, RequestData& self, JSValueConst value) {
  bind::kinds::ByteString name;
  if (!JS_IsNull(value) && !name.convert(call, value, 0))
    return Thrown{};
  const std::string_view cluster = JS_IsNull(value) ? std::string_view() : name.get();
  if (!JS_IsNull(value) && !isTarget(cluster))
    return call.fail(ErrorCode::E_TARGET, {cluster, "name of a cluster"});
  if (self.stream != nullptr && self.stream->config().config.clusterHeader.empty())
    return call.fail(ErrorCode::E_CLUSTER_HEADER);
  if (!mayWrite(call, self))
    return Thrown{};
  self.stream->chooseCluster(cluster);
  return {};
}

Outcome<JSValue> Request_headers(Call& call, RequestData& self) {
  return headersObject(call.runtime, self);
}

Outcome<std::string_view> Request_redirect(Call&, RequestData& self) {
  return self.stream == nullptr ? std::string_view(self.redirect) : "follow";
}

Outcome<JSValue> Request_signal(Call& call, RequestData& self) {
  if (self.stream != nullptr)
    return JS_DupValue(call.ctx, self.stream->signalObject());
  if (self.signal.isUndefined()) {
    js::Value abort;
    self.signal = newStreamSignal(call.runtime, abort);
  }
  return self.signal.dup();
}

Outcome<JSValue> Request_clone(Call& call, RequestData& self) {
  auto data = std::make_unique<RequestData>();
  if (!copyRequest(call, self, *data) ||
      !takeBody(call, self, Direction::Request, data->body, false))
    return Thrown{};
  return bind::wrap(call.runtime, HostClass::Request, data.release());
}

// --- Response ---

/** Fetch's "initialize a response". */
bool initialize(const Call& call, ResponseData& response, ExtractedBody body, JSValueConst init) {
  JSContext* ctx = call.ctx;
  if (!JS_IsObject(init) && !JS_IsUndefined(init) && !JS_IsNull(init)) {
    bind::throwArgument(call, 1, "an object");
    return false;
  }
  const js::Value status = call.runtime.member(init, Member::Status);
  const js::Value statusText = call.runtime.member(init, Member::StatusText);
  const js::Value details = call.runtime.member(init, Member::Details);
  const js::Value headersInit = call.runtime.member(init, Member::Headers);
  if (JS_IsObject(init))
    call.runtime.lastInit().of(ctx, init);
  if (details.isException() || status.isException() || statusText.isException() ||
      headersInit.isException())
    return false;
  if (!status.isUndefined()) {
    double number = 0;
    if (JS_ToFloat64(ctx, &number, status.get()) < 0)
      return false;
    if (!(number >= kMinStatus && number <= kMaxStatus)) {
      const js::Utf8 text(ctx, status.get());
      call.fail(ErrorCode::E_STATUS, {text ? text.view() : std::string_view(), "200", "599"});
      return false;
    }
    response.status = static_cast<uint32_t>(number);
  }
  if (!statusText.isUndefined()) {
    bind::kinds::ByteString text;
    if (!text.convert(call, statusText.get(), 1))
      return false;
    if (!isHeaderValue(text.get())) {
      call.fail(ErrorCode::E_OPTION, {"statusText", "a reason phrase"});
      return false;
    }
    response.statusText = text.get();
  }
  if (!details.isUndefined()) {
    const js::Utf8 text(ctx, details.get());
    if (!text)
      return false;
    if (!isLogWord(text.view())) {
      call.fail(ErrorCode::E_OPTION, {"details", "printable ASCII without blanks, at most " +
                                                     std::to_string(kMaxLogWordBytes) + " bytes"});
      return false;
    }
    response.details = text.view();
  }
  if (!headersInit.isUndefined()) {
    HeadersData* headers = headersOf(call.runtime, response);
    if (headers == nullptr || !headers->fill(call, headersInit.get()))
      return false;
  }
  if (body.source == nullptr && !body.stream.isObject())
    return true;
  if (isNullBodyStatus(response.status)) {
    call.fail(ErrorCode::E_NULL_BODY_STATUS, {std::to_string(response.status)});
    return false;
  }
  response.body = {std::move(body.source), false, std::move(body.stream)};
  if (headersInit.isUndefined() && body.ownType.empty()) {
    response.usualType = body.usualType;
    return true;
  }
  HeadersData* headers = headersOf(call.runtime, response);
  if (headers == nullptr)
    return false;
  if (!body.contentType().empty() && !headers->has("content-type"))
    headers->add(call.runtime.engine(), "content-type", body.contentType());
  return true;
}

Outcome<JSValue> Response_new(Call& call, JSValueConst body, JSValueConst init) {
  auto data = std::make_unique<ResponseData>();
  ExtractedBody extracted;
  if (!extractBody(call, body, extracted) || !initialize(call, *data, std::move(extracted), init))
    return Thrown{};
  return bind::wrap(call.runtime, HostClass::Response, data.release(), call.receiver);
}

Outcome<JSValue> Response_json(Call& call, JSValueConst value, JSValueConst init) {
  std::string text;
  if (!stringify(call, value, text))
    return Thrown{};
  auto data = std::make_unique<ResponseData>();
  ExtractedBody body;
  body.source = BodySource::of(call.runtime.engine(), std::move(text));
  body.usualType = "application/json";
  if (!initialize(call, *data, std::move(body), init))
    return Thrown{};
  return newResponse(call.runtime, std::move(data));
}

Outcome<JSValue> Response_redirect(Call& call, std::string_view location,
                                   std::optional<double> status) {
  const auto url = ada::parse<ada::url_aggregator>(location);
  if (!url)
    return call.fail(ErrorCode::E_URL, {location});
  const double code = status.value_or(302);
  if (code != 301 && code != 302 && code != 303 && code != 307 && code != 308)
    return call.fail(ErrorCode::E_RANGE, {"the status must be 301, 302, 303, 307 or 308"});
  auto data = std::make_unique<ResponseData>();
  data->status = static_cast<uint32_t>(code);
  HeadersData* headers = headersOf(call.runtime, *data);
  if (headers == nullptr || !headers->append(call, "location", url->get_href()))
    return Thrown{};
  headers->freeze();
  return newResponse(call.runtime, std::move(data));
}

Outcome<JSValue> Response_error(Call& call) {
  auto data = std::make_unique<ResponseData>();
  data->status = 0;
  data->type = "error";
  if (HeadersData* headers = headersOf(call.runtime, *data))
    headers->freeze();
  return newResponse(call.runtime, std::move(data));
}

Outcome<double> Response_status(Call&, ResponseData& self) { return statusOf(self); }

Outcome<void> Response_set_status(Call& call, ResponseData& self, double status) {
  if (!(status >= kMinStatus && status <= kMaxStatus) || status != std::floor(status)) {
    const js::Value number(call.ctx, JS_NewNumber(call.ctx, status));
    const js::Utf8 text(call.ctx, number.get());
    return call.fail(ErrorCode::E_STATUS, {text.view(), "200", "599"});
  }
  if (self.stream == nullptr)
    return call.fail(ErrorCode::E_NOT_LIVE);
  if (!self.stream->writable(HeaderMap::Response))
    return call.fail(self.stream->ended() ? ErrorCode::E_STREAM_ENDED : ErrorCode::E_HEADERS_SENT,
                     {"response headers", "onResponse"});
  if (!self.stream->countHeaderWrite())
    return call.fail(ErrorCode::E_HEADER_LIMIT, {std::to_string(kMaxHeaderWrites)});
  self.stream->setHeader(HeaderMap::Response, ":status",
                         std::to_string(static_cast<uint32_t>(status)));
  self.stream->setNullBody(isNullBodyStatus(static_cast<uint32_t>(status)));
  return {};
}

Outcome<bool> Response_ok(Call&, ResponseData& self) {
  const uint32_t status = statusOf(self);
  return status >= 200 && status <= 299;
}
Outcome<std::string_view> Response_statusText(Call&, ResponseData& self) {
  return std::string_view(self.statusText);
}
Outcome<bool> Response_redirected(Call&, ResponseData& self) { return self.redirected; }
Outcome<std::string_view> Response_type(Call&, ResponseData& self) {
  return std::string_view(self.type);
}
Outcome<std::string_view> Response_url(Call&, ResponseData& self) {
  return std::string_view(self.url);
}

Outcome<JSValue> Response_headers(Call& call, ResponseData& self) {
  return headersObject(call.runtime, self);
}

Outcome<JSValue> Response_clone(Call& call, ResponseData& self) {
  auto data = std::make_unique<ResponseData>();
  data->status = statusOf(self);
  data->statusText = self.statusText;
  data->url = self.url;
  data->type = self.type;
  data->redirected = self.redirected;
  HeadersData* from = headersOf(call.runtime, self);
  HeadersData* to = headersOf(call.runtime, *data);
  if (from == nullptr || to == nullptr ||
      !takeBody(call, self, Direction::Response, data->body, false))
    return Thrown{};
  to->assign(call.runtime.engine(), from->lines());
  return newResponse(call.runtime, std::move(data));
}

#define HOST_message
#include "filter-cc/bind_rows.h"

}  // namespace

JSValue defineRequest(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Request, kRows, RequestData::kName);
}

JSValue defineResponse(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Response, kRows, ResponseData::kName);
}

}  // namespace fairlead
