// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// ctx.span: the span that Envoy's tracer has made for the exchange, its children, and those of calls.
//
// Whether a trace is recorded is Envoy's to know, and not told to filters. It makes spans of a trace
// that is not, and drops them; so do we, without asking.

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "filter-cc/stream.h"
#include "filter-cc/tracing.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

using Span_Self = SpanData;

/** What a tag, and a child, takes beside its texts. */
constexpr size_t kTagBytes = 32;
constexpr size_t kChildBytes = 1024;
/** Digits of ids in `traceparent`; a trace may have one as short as a span. */
constexpr size_t kTraceIdSize = 32;
constexpr size_t kSpanIdSize = 16;

bool mayKeep(const Call& call, Stream& stream, size_t bytes) {
  if (stream.countSpanBytes(bytes))
    return true;
  call.fail(ErrorCode::E_SPAN_LIMIT, {std::to_string(kMaxSpanBytes / 1024)});
  return false;
}

Outcome<std::optional<std::string_view>> Span_traceId(Call&, SpanData& self) {
  HostSpan* span = self.span();
  return span == nullptr ? std::nullopt : self.stream.host().traceId(*span);
}

Outcome<std::optional<std::string_view>> Span_spanId(Call&, SpanData& self) {
  HostSpan* span = self.span();
  return span == nullptr ? std::nullopt : self.stream.host().spanId(*span);
}

Outcome<JSValue> Span_sampled(Call& call, SpanData& self) {
  const std::optional<bool> sampled = self.sampled();
  return sampled ? JS_NewBool(call.ctx, *sampled) : JS_UNDEFINED;
}

Outcome<void> Span_set_sampled(Call& call, SpanData& self, JSValueConst value) {
  if (!JS_IsBool(value)) {
    bind::throwArgument(call, 0, "a boolean");
    return Thrown{};
  }
  if (!bind::checkPhase(call, phase::RequestHeaders | phase::ResponseHeaders))
    return Thrown{};
  self.setSampled(JS_ToBool(call.ctx, value) > 0);
  return {};
}

Outcome<void> Span_setTag(Call& call, SpanData& self, std::string_view key, JSValueConst value) {
  if (!JS_IsString(value) && !JS_IsNumber(value) && !JS_IsBool(value)) {
    bind::throwArgument(call, 1, "a string, a number or a boolean");
    return Thrown{};
  }
  const js::Utf8 text(call.ctx, value);
  if (!text || !mayKeep(call, self.stream, key.size() + text.view().size() + kTagBytes))
    return Thrown{};
  if (HostSpan* span = self.span())
    self.stream.host().setSpanTag(*span, key, text.view());
  return {};
}

Outcome<void> Span_log(Call& call, SpanData& self, std::string_view event) {
  if (!mayKeep(call, self.stream, event.size() + kTagBytes))
    return Thrown{};
  if (HostSpan* span = self.span())
    self.stream.host().logToSpan(*span, event);
  return {};
}

Outcome<void> Span_setOperation(Call& call, SpanData& self, std::string_view operation) {
  if (!mayKeep(call, self.stream, operation.size() + kTagBytes))
    return Thrown{};
  if (HostSpan* span = self.span())
    self.stream.host().setSpanOperation(*span, operation);
  return {};
}

Outcome<std::optional<std::string_view>> Span_getBaggage(Call&, SpanData& self,
                                                         std::string_view key) {
  HostSpan* span = self.span();
  return span == nullptr ? std::nullopt : self.stream.host().spanBaggage(*span, key);
}

Outcome<void> Span_setBaggage(Call& call, SpanData& self, std::string_view key,
                              std::string_view value) {
  if (!mayKeep(call, self.stream, key.size() + value.size() + kTagBytes))
    return Thrown{};
  if (HostSpan* span = self.span())
    self.stream.host().setSpanBaggage(*span, key, value);
  return {};
}

Outcome<JSValue> Span_spawnChild(Call& call, SpanData& self, std::string_view operation) {
  if (!mayKeep(call, self.stream, operation.size() + kChildBytes))
    return Thrown{};
  return JS_DupValue(call.ctx, self.stream.spawnSpan(self, operation));
}

Outcome<void> Span_finish(Call&, SpanData& self) {
  self.finish();
  return {};
}

#define HOST_tracing
#include "filter-cc/bind_rows.h"

}  // namespace

JSValue defineSpan(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Span, kRows, SpanData::kName);
}

HostSpan* SpanData::span() const { return isChild_ ? child_ : stream.host().activeSpan(); }

std::optional<bool> SpanData::sampled() const { return isChild_ ? sampled_ : stream.sampled(); }

void SpanData::setSampled(bool sampled) {
  HostSpan* own = span();
  if (own == nullptr)
    return;
  stream.host().setSpanSampled(*own, sampled);
  if (isChild_)
    sampled_ = sampled;
  else
    stream.setSampled(sampled);
}

void SpanData::finish() {
  if (child_ != nullptr)
    stream.finishSpan(*std::exchange(child_, nullptr));
  sampled_.reset();
}

// --- The stream's side ---

bool Stream::countSpanBytes(size_t bytes) {
  size_t& used = rare().spanBytes;
  if (bytes > kMaxSpanBytes - used)
    return false;
  used += bytes;
  return true;
}

JSValueConst Stream::spawnSpan(SpanData& parent, std::string_view operation) {
  HostSpan* span = parent.span();
  HostSpan* child = span == nullptr ? nullptr : host_.spawnSpan(*span, operation);
  auto data = std::make_unique<SpanData>(
      *this, child, child == nullptr ? std::nullopt : parent.sampled());
  js::Value object = runtime_->lend(HostClass::Span, *data);
  Rare::ChildSpan& made = rare().childSpans.emplace_back();
  made.data = std::move(data);
  made.object = std::move(object);
  return made.object.get();
}

void Stream::finishSpan(HostSpan& child) {
  rare().finishedSpans.push_back(&child);
  // The end of the stream looks by itself.
  if (canRunScript())
    runtime_->recordAction(*this);
}

void Stream::finishSpans() {
  for (HostSpan* span : std::exchange(rare_->finishedSpans, {}))
    host_.finishSpan(*span);
}

namespace {

/** Whether `id`, of 16 or 32 digits, is that of the trace. */
bool isOfTrace(std::string_view id, std::string_view traceId) {
  return !traceId.empty() && id.size() >= traceId.size() && id.ends_with(traceId);
}

/** Where a request came from in its trace. */
struct TraceContext {
  std::string spanId;
  std::optional<bool> sampled;
};

/** What the request's headers say of the trace; nothing when they are about another one. */
std::optional<TraceContext> requestTrace(HostStream& host, std::string_view traceId) {
  const auto header = [&](std::string_view name) {
    const std::optional<HeaderLookup> found = host.header(HeaderMap::Request, name, 0);
    return std::string(found ? found->value : std::string_view());
  };
  constexpr size_t kTraceIdAt = 3;
  constexpr size_t kSpanIdAt = 36;
  constexpr size_t kFlagAt = 54;
  constexpr std::string_view kOddDigits = "13579bdf";
  const std::string traceparent = header("traceparent");
  if (traceparent.size() > kFlagAt &&
      isOfTrace(std::string_view(traceparent).substr(kTraceIdAt, kTraceIdSize), traceId))
    return TraceContext{traceparent.substr(kSpanIdAt, kSpanIdSize),
                        kOddDigits.find(traceparent[kFlagAt]) != std::string_view::npos};
  std::string b3 = header("b3");
  if (b3.empty())
    b3 = header("x-b3-traceid") + "-" + header("x-b3-spanid") + "-" + header("x-b3-sampled");
  // trace-span-flag, and perhaps the parent behind it.
  const size_t first = b3.find('-');
  if (first == std::string::npos || !isOfTrace(std::string_view(b3).substr(0, first), traceId))
    return std::nullopt;
  const size_t second = std::min(b3.find('-', first + 1), b3.size());
  TraceContext context{b3.substr(first + 1, second - first - 1), std::nullopt};
  if (second + 1 < b3.size())
    context.sampled = b3[second + 1] != '0';
  return context;
}

/** How Envoy notes the decision in an id of its own; nothing of another one. */
std::optional<bool> notedIn(std::string_view requestId) {
  constexpr size_t kUuidSize = 36;
  constexpr size_t kNoteAt = 14;
  if (requestId.size() != kUuidSize)
    return std::nullopt;
  switch (requestId[kNoteAt]) {
  case '4':
    return false;
  case '9':
  case 'a':
  case 'b':
    return true;
  default:
    return std::nullopt;
  }
}

/** Those by which a trace goes on: ours replace what a script has copied from the request. */
bool isTraceHeader(std::string_view name) {
  return name == "traceparent" || name == "tracestate" || name == "b3" || name.starts_with("x-b3-");
}

/** Other ids are those of a tracer that has headers of its own. */
bool hasW3cIds(std::string_view traceId, std::string_view spanId) {
  return (traceId.size() == kSpanIdSize || traceId.size() == kTraceIdSize) &&
         spanId.size() == kSpanIdSize;
}

}  // namespace

std::optional<bool> Stream::sampled() {
  HostSpan* span = host_.activeSpan();
  if (span == nullptr)
    return std::nullopt;
  if (rare_ != nullptr && rare_->sampled)
    return rare_->sampled;
  const std::string traceId(host_.traceId(*span).value_or(""));
  if (const auto context = requestTrace(host_, traceId); context && context->sampled)
    return context->sampled;
  const std::optional<HeaderLookup> id = host_.header(HeaderMap::Request, "x-request-id", 0);
  return id ? notedIn(id->value) : std::nullopt;
}

void Stream::traceFetch(Fetch& fetch) {
  HostSpan* parent = host_.activeSpan();
  if (parent == nullptr)
    return;
  // A redirect goes on with the span of its call.
  if (fetch.span == nullptr) {
    fetch.span = host_.spawnSpan(*parent, "async " + fetch.cluster + " egress");
    if (fetch.span == nullptr)
      return;
    host_.setSpanTag(*fetch.span, "component", "proxy");
    host_.setSpanTag(*fetch.span, "upstream_cluster", fetch.cluster);
    host_.setSpanTag(*fetch.span, "http.method", fetch.method);
    constexpr size_t kMaxUrlBytes = 256;
    const std::string url = fetch.scheme + "://" + fetch.host + fetch.path;
    host_.setSpanTag(*fetch.span, "http.url", std::string_view(url).substr(0, kMaxUrlBytes));
  }
  std::string traceId(host_.traceId(*fetch.span).value_or(""));
  std::string spanId(host_.spanId(*fetch.span).value_or(""));
  // Zipkin in Envoy does not tell. The span of the exchange then stands for that of the call: it has
  // the id of the client's, or, where the trace begins here, that of the trace.
  if (spanId.empty()) {
    const std::optional<TraceContext> context = requestTrace(host_, traceId);
    spanId = context ? context->spanId
                     : traceId.substr(traceId.size() - std::min(traceId.size(), kSpanIdSize));
  }
  if (!hasW3cIds(traceId, spanId))
    return;
  std::erase_if(fetch.headers, [](const auto& line) { return isTraceHeader(line.first); });
  const std::string_view flag = sampled().value_or(true) ? "1" : "0";
  fetch.headers.emplace_back("b3", traceId + "-" + spanId + "-" + std::string(flag));
  traceId.insert(0, kTraceIdSize - traceId.size(), '0');
  fetch.headers.emplace_back("traceparent",
                             "00-" + traceId + "-" + spanId + "-0" + std::string(flag));
  const std::optional<HeaderLookup> came = host_.header(HeaderMap::Request, "traceparent", 0);
  if (!came || came->value.find(traceId) == std::string_view::npos)
    return;
  if (const auto state = host_.header(HeaderMap::Request, "tracestate", 0))
    fetch.headers.emplace_back("tracestate", std::string(state->value));
}

void Stream::tagAnswer(Fetch& fetch, uint32_t status) {
  if (fetch.span == nullptr)
    return;
  host_.setSpanTag(*fetch.span, "http.status_code", std::to_string(status));
  if (status >= 500)
    host_.setSpanTag(*fetch.span, "error", "true");
}

void Stream::tagFailure(Fetch& fetch, ErrorCode code) {
  if (fetch.span == nullptr)
    return;
  host_.setSpanTag(*fetch.span, "error", "true");
  host_.setSpanTag(*fetch.span, "error.type", errorName(code));
}

void Stream::finishFetchSpan(Fetch& fetch) {
  if (fetch.span != nullptr)
    finishSpan(*std::exchange(fetch.span, nullptr));
}

}  // namespace fairlead
