// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// fetch (https://fetch.spec.whatwg.org/#fetch-method) over Envoy's clusters. A call is recorded while
// the script runs and sent when it has returned; its events come back as continuations.

#include <algorithm>
#include <charconv>
#include <cmath>

#include "ada.h"
#include "filter-cc/events.h"
#include "filter-cc/keepalive.h"
#include "filter-cc/message.h"
#include "filter-cc/runtime.h"
#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

constexpr uint32_t kMaxRedirects = 5;
constexpr double kMaxTimeoutMs = 3'600'000;
constexpr uint64_t kNsPerMs = 1'000'000;

using globals_Self = void;

bool isRedirect(uint32_t status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/** Points a fetch at a URL. False: the config allows no cluster for its host. */
bool aim(const Config& config, Fetch& fetch, const ada::url_aggregator& url) {
  fetch.url = url.get_href();
  fetch.host = url.get_host();
  fetch.path = std::string(url.get_pathname()) + std::string(url.get_search());
  std::string_view scheme = url.get_protocol();
  scheme.remove_suffix(1);
  fetch.scheme = scheme;
  auto cluster = config.clusters.find(url.get_hostname());
  if (cluster == config.clusters.end())
    cluster = config.clusters.find(fetch.host);
  if (cluster == config.clusters.end())
    return false;
  fetch.cluster = cluster->second;
  return true;
}

std::string allowedHosts(const Config& config) {
  std::string hosts;
  for (const auto& [host, cluster] : config.clusters)
    hosts.append(hosts.empty() ? "" : ", ").append(host);
  return hosts.empty() ? "none" : hosts;
}

/** What a call sends as its headers. Valid until: they change. */
std::vector<HeaderField> fieldsOf(const Fetch& fetch) {
  std::vector<HeaderField> fields = {{":method", fetch.method},
                                     {":scheme", fetch.scheme},
                                     {":authority", fetch.host},
                                     {":path", fetch.path}};
  for (const auto& [name, value] : fetch.headers) {
    if (!value.empty())
      fields.push_back({name, value});
  }
  return fields;
}

js::Value rejectedNow(JSContext* ctx) {
  const js::Value reason(ctx, JS_GetException(ctx));
  js::Value promise = js::newPromise(ctx);
  if (!promise.isException())
    js::settlePromise(ctx, promise.get(), reason.get(), true);
  return promise;
}

/** The native listener on a fetch's signal: gets the reason; `data` is the stream's id. */
JSValue onFetchAborted(JSContext* ctx, JSValueConst, int argc, JSValueConst* argv, int magic,
                       JSValueConst* data) {
  return bind::barrier(ctx, "fetch", [&] {
    int64_t id = 0;
    JS_ToBigInt64(ctx, &id, data[0]);
    if (Stream* stream = Runtime::from(ctx).findStream(static_cast<uint64_t>(id)))
      stream->cancelFetch(static_cast<uint32_t>(magic), argc > 0 ? argv[0] : JS_UNDEFINED);
    return JS_UNDEFINED;
  });
}

/** Whether a call, and what it sends, may be repeated. */
bool mayRepeat(const Call& call, const RequestData& request, const RetryPolicy& policy) {
  if (request.body.stream.isObject()) {
    throwError(call.ctx, ErrorCode::E_FETCH_RETRY, {"a body that is a stream cannot be sent again"});
    return false;
  }
  constexpr std::string_view kIdempotent[] = {"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"};
  if (!policy.idempotent && std::find(std::begin(kIdempotent), std::end(kIdempotent), request.method) ==
                                std::end(kIdempotent)) {
    throwError(call.ctx, ErrorCode::E_FETCH_RETRY,
               {request.method + " is not idempotent; say `idempotent: true` where this call is"});
    return false;
  }
  return true;
}

/** Whether a call can be made without a script that waits for it. */
bool mayOutlive(const Call& call, const RequestData& request, const Fetch& fetch) {
  const char* why = request.body.stream.isObject()          ? "a body that is a stream ends with its exchange"
                    : fetch.body.size() > kMaxKeepaliveBytes ? "the body is larger than 64 KiB"
                    : fetch.retry != nullptr                 ? "such a call is not retried"
                                                             : nullptr;
  if (why != nullptr)
    throwError(call.ctx, ErrorCode::E_FETCH_KEEPALIVE, {why});
  return why == nullptr;
}

/** The answer of a call that has been handed over. */
js::Value accepted(const Call& call, Stream& stream, Fetch& fetch) {
  constexpr uint32_t kAccepted = 202;
  js::Value promise = js::newPromise(call.ctx);
  if (promise.isException())
    return promise;
  if (!stream.handOver(fetch)) {
    const uint32_t limit = stream.config().config.limits.keepalives;
    throwError(call.ctx, ErrorCode::E_FETCH_KEEPALIVE_LIMIT, {std::to_string(limit)});
    return rejectedNow(call.ctx);
  }
  auto data = std::make_unique<ResponseData>();
  data->status = kAccepted;
  const js::Value response = newResponse(call.runtime, std::move(data));
  if (response.isException())
    return {call.ctx, JS_EXCEPTION};
  js::settlePromise(call.ctx, promise.get(), response.get(), false);
  return promise;
}

/** Checks everything about a call that can be checked before it is sent. */
bool prepare(const Call& call, Stream& stream, JSValueConst input, JSValueConst init, bool outlives,
             RequestData& request, Fetch& fetch) {
  JSContext* ctx = call.ctx;
  const Config& config = stream.config().config;
  if (!buildRequest(call, input, init, request))
    return false;
  const js::Value timeout = call.runtime.member(init, Member::TimeoutMs);
  if (timeout.isException())
    return false;
  fetch.timeoutMs = config.limits.waitMs;
  if (!timeout.isUndefined()) {
    double ms = 0;
    if (JS_ToFloat64(ctx, &ms, timeout.get()) < 0)
      return false;
    if (!(ms >= 1 && ms <= kMaxTimeoutMs)) {
      call.fail(ErrorCode::E_OPTION, {"timeoutMs", "from 1 to 3600000"});
      return false;
    }
    fetch.timeoutMs = static_cast<uint32_t>(ms);
  }
  const js::Value retry = call.runtime.member(init, Member::Retry);
  std::unique_ptr<RetryPolicy> policy;
  if (retry.isException() || (!retry.isUndefined() && !readRetry(call, retry.get(), policy)) ||
      (policy != nullptr && !mayRepeat(call, request, *policy)))
    return false;
  const auto url = ada::parse<ada::url_aggregator>(request.url);
  if (!url) {
    call.fail(ErrorCode::E_URL, {request.url});
    return false;
  }
  if (url->get_protocol() != "http:" && url->get_protocol() != "https:") {
    call.fail(ErrorCode::E_URL, {request.url + " (neither http nor https)"});
    return false;
  }
  if (!aim(config, fetch, *url)) {
    throwError(ctx, ErrorCode::E_FETCH_CLUSTER_NOT_ALLOWED,
               {url->get_host(), allowedHosts(config)});
    return false;
  }
  const uint32_t limit = config.limits.fetches;
  if (!outlives && stream.fetchesInFlight() >= limit) {
    throwError(ctx, ErrorCode::E_FETCH_LIMIT, {std::to_string(limit), "at once (limits.fetches)"});
    return false;
  }
  if (stream.fetchesStarted() >= stream.maxFetches()) {
    throwError(ctx, ErrorCode::E_FETCH_LIMIT,
               {std::to_string(stream.maxFetches()),
                "in one stream (ten times limits.fetches)"});
    return false;
  }
  fetch.method = request.method;
  fetch.redirect = request.redirect;
  if (HeadersData* headers = headersOf(call.runtime, request))
    fetch.headers = headers->lines();
  // The URL names the host, and Envoy frames the message.
  std::erase_if(fetch.headers, [](const auto& line) {
    // A gRPC server wants to hear that its client takes trailers.
    const bool takesTrailers = line.first == "te" && line.second == "trailers";
    return line.first == "host" || (isHopHeader(line.first) && !takesTrailers);
  });
  if (!request.body.stream.isObject() && request.body.source != nullptr)
    fetch.body = request.body.source->bytes();
  if (policy != nullptr) {
    fetch.retry = std::make_unique<Retry>(*policy, call.runtime.retryLoad(fetch.cluster),
                                          host::monotonicNs() + fetch.timeoutMs * kNsPerMs);
  }
  return true;
}

Outcome<JSValue> globals_fetch(Call& call, JSValueConst input, JSValueConst init) {
  JSContext* ctx = call.ctx;
  Stream* stream = call.stream();
  const js::Value keepalive = call.runtime.member(init, Member::Keepalive);
  if (keepalive.isException())
    return rejectedNow(ctx);
  const bool outlives = JS_ToBool(ctx, keepalive.get()) > 0;
  // Once the stream has ended, nothing could come back: a retry loop must not spin.
  if (stream == nullptr || (stream->ended() && !outlives))
    return js::newPromise(ctx);
  auto fetch = std::make_unique<Fetch>();
  RequestData request;
  const bool prepared = prepare(call, *stream, input, init, outlives, request, *fetch) &&
                        (!outlives || mayOutlive(call, request, *fetch));
  js::Value signal = std::move(request.signal);
  if (!prepared)
    return rejectedNow(ctx);
  if (signal.isObject() && isAborted(call.runtime, signal.get())) {
    JS_Throw(ctx, abortReason(call.runtime, signal.get()).release());
    return rejectedNow(ctx);
  }
  if (outlives)
    return accepted(call, *stream, *fetch);
  const uint32_t id = stream->addFetch(call, std::move(fetch));
  if (id == 0)
    return Thrown{};
  js::Value promise = stream->fetchPromise(id);
  if (request.body.stream.isObject() && !stream->addUpload(id, request.body.stream.get())) {
    const js::Value reason(ctx, JS_GetException(ctx));
    stream->cancelFetch(id, reason.get());
    return promise;
  }
  if (signal.isObject()) {
    const js::Value streamId(ctx, JS_NewBigUint64(ctx, stream->id()));
    JSValueConst data[] = {streamId.get()};
    const js::Value listener(
        ctx, JS_NewCFunctionData(ctx, onFetchAborted, 1, static_cast<int>(id), 1, data));
    js::Value forget;
    if (listener.isException() || !onAbort(call.runtime, signal.get(), listener.get(), &forget))
      return Thrown{};
    stream->forgetSignalOf(id, std::move(forget));
  }
  return promise;
}

#define HOST_fetch
#include "filter-cc/bind_rows.h"

}  // namespace

bool defineFetchGlobals(Runtime& runtime, JSValueConst global) {
  return bind::defineRows(runtime.ctx(), global, kRows, "globals", bind::Place::Prototype);
}

// --- The stream's side ---

uint32_t Stream::addFetch(const Call& call, std::unique_ptr<Fetch> fetch) {
  fetch->promise = js::newPromise(call.ctx);
  if (fetch->promise.isException())
    return 0;
  fetch->id = nextId_++;
  ++fetchesStarted_;
  addTimer(call, fetch->timeoutMs, {}, {}, fetch->id);
  rare().fetches.push_back(std::move(fetch));
  runtime_->recordAction(*this);
  return rare().fetches.back()->id;
}

uint32_t Stream::fetchesInFlight() {
  return static_cast<uint32_t>(
      std::count_if(rare().fetches.begin(), rare().fetches.end(),
                    [](const auto& fetch) { return fetch->state != Fetch::State::Done; }));
}

Fetch* Stream::fetchById(uint32_t id) {
  if (rare_ == nullptr)
    return nullptr;
  const auto found = std::find_if(rare().fetches.begin(), rare().fetches.end(), [&](const auto& fetch) {
    return fetch->id == id && fetch->state != Fetch::State::Done;
  });
  return found == rare().fetches.end() ? nullptr : found->get();
}

Fetch* Stream::fetchByCallout(uint64_t calloutId) {
  if (rare_ == nullptr)
    return nullptr;
  const auto found = std::find_if(rare().fetches.begin(), rare().fetches.end(), [&](const auto& fetch) {
    return fetch->calloutId == calloutId && (fetch->state == Fetch::State::AwaitHeaders ||
                                             fetch->state == Fetch::State::AwaitBody);
  });
  return found == rare().fetches.end() ? nullptr : found->get();
}

js::Value Stream::fetchPromise(uint32_t fetchId) {
  Fetch* fetch = fetchById(fetchId);
  return fetch == nullptr ? js::Value() : fetch->promise.dup();
}

void Stream::actOnFetches() {
  if (actingOnFetches_)
    return;  // a call that nests; the outer loop sees what it left
  actingOnFetches_ = true;
  // An exception ends the stream, which has no use for the flag then.
  // Starting and resetting can nest, and so add to the list; nothing is taken from it meanwhile.
  for (size_t i = 0; !ended_ && i < rare().fetches.size(); ++i) {
    Fetch& fetch = *rare().fetches[i];
    if (fetch.state == Fetch::State::Recorded)
      startFetch(fetch);
    if (!ended_ && fetch.upload != nullptr)
      actOnUpload(fetch);
    const bool given = fetch.state == Fetch::State::Done || fetch.state == Fetch::State::Paused;
    if (!ended_ && given && fetch.calloutId != 0)
      host_.resetCallout(std::exchange(fetch.calloutId, 0));
  }
  actingOnFetches_ = false;
  if (!ended_)
    std::erase_if(rare().fetches,
                  [](const auto& fetch) { return fetch->state == Fetch::State::Done; });
}

bool Stream::handOver(Fetch& fetch) {
  ++fetchesStarted_;
  traceFetch(fetch);
  KeepaliveCall call{fetch.cluster, {}, std::move(fetch.body), fetch.timeoutMs * kNsPerMs};
  for (const HeaderField& field : fieldsOf(fetch))
    call.headers.emplace_back(field.name, field.value);
  const bool added = config_->keepalive != nullptr && config_->keepalive->add(std::move(call));
  if (!added)
    tagFailure(fetch, ErrorCode::E_FETCH_KEEPALIVE_LIMIT);
  finishFetchSpan(fetch);
  return added;
}

void Stream::startFetch(Fetch& fetch) {
  traceFetch(fetch);
  const std::vector<HeaderField> fields = fieldsOf(fetch);
  fetch.state = Fetch::State::AwaitHeaders;
  if (fetch.retry != nullptr && fetch.retry->policy().perTryTimeoutMs > 0)
    startTryTimer(fetch, fetch.retry->policy().perTryTimeoutMs);
  const CalloutStart start =
      host_.startCallout(fetch.cluster, fields, fetch.body, fetch.upload == nullptr, fetch.calloutId);
  if (ended_)
    return;  // the end of the stream came inside the call
  switch (start) {
  case CalloutStart::Started:
    return;
  case CalloutStart::ClusterNotFound:
    rejectFetch(fetch, ErrorCode::E_FETCH_CLUSTER_UNKNOWN, fetch.cluster);
    return;
  case CalloutStart::CannotCreateRequest:
    rejectFetch(fetch, ErrorCode::E_FETCH_NO_HOST, fetch.cluster);
    return;
  case CalloutStart::MissingRequiredHeaders:
    rejectFetch(fetch, ErrorCode::E_FETCH_REQUEST, fetch.url, "a required header is missing");
    return;
  case CalloutStart::DuplicateCalloutId:
    rejectFetch(fetch, ErrorCode::E_FETCH_REQUEST, fetch.url, "its id is taken");
    return;
  }
}

void Stream::forgetSignalOf(uint32_t fetchId, js::Value forget) {
  if (Fetch* fetch = fetchById(fetchId))
    fetch->forgetSignal = std::move(forget);
}

void Stream::leaveSignal(Fetch& fetch) {
  if (!fetch.forgetSignal.isFunction())
    return;
  JSContext* ctx = runtime_->ctx();
  const js::Value forget = std::move(fetch.forgetSignal);
  const js::Value result(ctx, JS_Call(ctx, forget.get(), JS_UNDEFINED, 0, nullptr));
  if (result.isException())
    JS_FreeValue(ctx, JS_GetException(ctx));
}

void Stream::endFetch(Fetch& fetch) {
  fetch.state = Fetch::State::Done;
  finishFetchSpan(fetch);
  fetch.retry.reset();
  std::erase_if(rare().timers, [&](const Timer& timer) { return timer.fetchId == fetch.id; });
}

void Stream::settleFetchBadly(Fetch& fetch, JSValueConst reason, Failure failure) {
  // The script has its Response: the body will not come.
  const bool answered = fetch.promise.isUndefined();
  tagFailure(fetch, failure.code);
  endFetch(fetch);
  fetch.response.reset();
  leaveSignal(fetch);
  if (fetch.upload != nullptr)
    stopProducer(*fetch.upload, reason);
  // What arrives later finds the fetch done; its callout is reset when the script has returned.
  if (fetch.calloutId != 0)
    runtime_->recordAction(*this);
  if (answered)
    fetch.answer->fail(reason, std::move(failure));
  else
    js::settlePromise(runtime_->ctx(), fetch.promise.get(), reason, true);
  fetch.promise.reset();
}

void Stream::rejectFetch(Fetch& fetch, ErrorCode code, std::string_view first,
                         std::string_view second) {
  if (!canRunScript()) {
    endFetch(fetch);
    return;
  }
  runtime_->run(
      *this, budget(),
      [&] {
        const bool covered = code == ErrorCode::E_FETCH_RESET || code == ErrorCode::E_FETCH_NO_HOST;
        if (covered && fetch.retry != nullptr && fetch.retry->policy().onReset) {
          if (const auto pauseNs = pauseBeforeRetry(fetch, {})) {
            tagFailure(fetch, code);
            pauseFetch(fetch, *pauseNs);
            return;
          }
        }
        const js::Value error(runtime_->ctx(), newError(runtime_->ctx(), code, {first, second}));
        settleFetchBadly(fetch, error.get(), {code, std::string(first), std::string(second)});
      },
      [](js::Entry&) {});
}

void Stream::cancelFetch(uint32_t fetchId, JSValueConst reason) {
  if (Fetch* fetch = fetchById(fetchId))
    settleFetchBadly(*fetch, reason, {ErrorCode::E_ABORTED, "fetch", {}});
}

void Stream::onFetchTimer(uint32_t fetchId, uint32_t timerId) {
  Fetch* fetch = fetchById(fetchId);
  if (fetch == nullptr)
    return;
  if (fetch->retry != nullptr && fetch->retry->timerId == timerId)
    onTryTimer(*fetch);
  else
    failOnTime(*fetch, fetch->timeoutMs);
}

void Stream::failOnTime(Fetch& fetch, uint32_t ms) {
  JSContext* ctx = runtime_->ctx();
  const std::string text = std::to_string(ms);
  const js::Value error(ctx, newError(ctx, ErrorCode::E_FETCH_TIMEOUT, {fetch.cluster, text}));
  settleFetchBadly(fetch, error.get(), {ErrorCode::E_FETCH_TIMEOUT, fetch.cluster, text});
}

void Stream::abortFetches(JSValueConst reason) {
  for (const std::unique_ptr<Fetch>& fetch : rare().fetches) {
    if (fetch->state != Fetch::State::Done) {
      // Envoy cancels the calls of a stream that ends by itself.
      fetch->calloutId = 0;
      js::markHandled(runtime_->ctx(), fetch->promise.get());
      settleFetchBadly(*fetch, reason, {ErrorCode::E_ABORTED, "fetch", {}});
    }
  }
}

void Stream::onCalloutHeaders(uint64_t calloutId, std::span<const HeaderField> headers,
                              bool endStream) {
  Fetch* fetch = fetchByCallout(calloutId);
  if (fetch == nullptr || !canRunScript() || fetch->state != Fetch::State::AwaitHeaders)
    return;
  uint32_t status = 0;
  std::string_view location;
  std::string_view retryAfter;
  std::optional<size_t> bodyBytes;
  HeaderList lines;
  for (const HeaderField& field : headers) {
    if (field.name == ":status")
      std::from_chars(field.value.data(), field.value.data() + field.value.size(), status);
    else if (!field.name.starts_with(':'))
      lines.emplace_back(field.name, field.value);
    if (field.name == "location") {
      location = field.value;
    } else if (field.name == "retry-after") {
      retryAfter = field.value;
    } else if (field.name == "content-length") {
      size_t length = 0;
      const char* end = field.value.data() + field.value.size();
      if (std::from_chars(field.value.data(), end, length).ptr == end)
        bodyBytes = length;
    }
  }
  if (status < 200)
    return;  // an informational answer: the final one follows
  tagAnswer(*fetch, status);
  const bool follow = isRedirect(status) && !location.empty() && fetch->redirect != "manual";
  if (follow) {
    redirectFetch(*fetch, status, std::string(location));
    return;
  }
  if (fetch->retry != nullptr && fetch->retry->policy().covers(status)) {
    if (const auto pauseNs = pauseBeforeRetry(*fetch, retryAfter)) {
      // It may have ended: there is nothing to reset then.
      if (endStream)
        fetch->calloutId = 0;
      runtime_->run(*this, budget(), [&] { pauseFetch(*fetch, *pauseNs); }, [](js::Entry&) {});
      return;
    }
  }
  fetch->answer = BodySource::open(runtime_->engine(), id_, fetch->id);
  auto data = std::make_unique<ResponseData>();
  data->status = status;
  data->url = fetch->url.substr(0, fetch->url.find('#'));
  data->type = "basic";
  data->redirected = fetch->redirects > 0;
  data->body.source = fetch->answer;
  data->trailers = fetch->trailers = std::make_shared<HeaderList>();
  if (HeadersData* own = headersOf(*runtime_, *data)) {
    own->assign(runtime_->engine(), std::move(lines));
    own->freeze();
  }
  fetch->state = Fetch::State::AwaitBody;
  // A stream that goes on at the headers may end before the rest has come, and the connection of a
  // call that is broken off is lost: what is short is waited for.
  if (!endStream && bodyBytes && *bodyBytes <= kShortFetchBodyBytes) {
    fetch->response = std::move(data);
    return;
  }
  runtime_->run(
      *this, budget(),
      [&] {
        giveAnswer(*fetch, std::move(data));
        if (endStream)
          completeFetch(*fetch);
      },
      [](js::Entry&) {});
}

void Stream::giveAnswer(Fetch& fetch, std::unique_ptr<ResponseData> data) {
  endRetries(fetch);
  const js::Value response = newResponse(*runtime_, std::move(data));
  const js::Value promise = std::move(fetch.promise);
  if (!response.isException())
    js::settlePromise(runtime_->ctx(), promise.get(), response.get(), false);
}

void Stream::completeFetch(Fetch& fetch) {
  // The callout's own end follows, or is this: there is nothing left to reset but a body on its way.
  if (fetch.upload == nullptr || fetch.upload->sent)
    fetch.calloutId = 0;
  endFetch(fetch);
  leaveSignal(fetch);
  if (fetch.upload != nullptr)
    stopProducer(*fetch.upload, JS_UNDEFINED);
  if (fetch.response != nullptr)
    giveAnswer(fetch, std::move(fetch.response));
  fetch.answer->complete();
  runtime_->recordAction(*this);
}

void Stream::onCalloutData(uint64_t calloutId, std::span<const std::string_view> pieces,
                           bool endStream) {
  Fetch* fetch = fetchByCallout(calloutId);
  if (fetch == nullptr || !canRunScript() || fetch->state != Fetch::State::AwaitBody)
    return;
  for (const std::string_view piece : pieces) {
    if (fetch->answer->bytes().size() + piece.size() > bodyLimitBytes()) {
      rejectFetch(*fetch, ErrorCode::E_BODY_LIMIT, "fetch",
                  std::to_string(bodyLimitBytes() / 1024));
      return;
    }
    fetch->answer->append(piece);
  }
  if (endStream)
    onCalloutComplete(calloutId);
  else if (fetch->answer->isWaitedFor())
    runtime_->run(*this, budget(), [&] { fetch->answer->wake(); }, [](js::Entry&) {});
}

void Stream::onCalloutTrailers(uint64_t calloutId, std::span<const HeaderField> trailers) {
  Fetch* fetch = fetchByCallout(calloutId);
  if (fetch == nullptr || !canRunScript() || fetch->state != Fetch::State::AwaitBody)
    return;
  for (const HeaderField& field : trailers)
    fetch->trailers->emplace_back(field.name, field.value);
}

void Stream::onCalloutComplete(uint64_t calloutId) {
  Fetch* fetch = fetchByCallout(calloutId);
  if (fetch == nullptr || !canRunScript() || fetch->state != Fetch::State::AwaitBody)
    return;
  runtime_->run(*this, budget(), [&] { completeFetch(*fetch); }, [](js::Entry&) {});
}

void Stream::onCalloutReset(uint64_t calloutId) {
  Fetch* fetch = fetchByCallout(calloutId);
  if (fetch == nullptr || !canRunScript())
    return;
  fetch->calloutId = 0;
  rejectFetch(*fetch, ErrorCode::E_FETCH_RESET, fetch->cluster);
}

void Stream::redirectFetch(Fetch& fetch, uint32_t status, const std::string& location) {
  const auto from = ada::parse<ada::url_aggregator>(fetch.url);
  const auto to = ada::parse<ada::url_aggregator>(location, &*from);
  if (fetch.redirect == "error") {
    rejectFetch(fetch, ErrorCode::E_FETCH_REDIRECT, "the answer is a redirect to " + location);
    return;
  }
  if (!to) {
    rejectFetch(fetch, ErrorCode::E_FETCH_REDIRECT, "the redirect's location is not a URL");
    return;
  }
  if (fetch.redirects == kMaxRedirects) {
    rejectFetch(fetch, ErrorCode::E_FETCH_REDIRECT, "more than 5 redirects");
    return;
  }
  const bool toGet = (status == 303 && fetch.method != "HEAD") ||
                     ((status == 301 || status == 302) && fetch.method == "POST");
  if (fetch.upload != nullptr && !toGet) {
    rejectFetch(fetch, ErrorCode::E_FETCH_REDIRECT, "a body that is a stream cannot be sent again");
    return;
  }
  const std::string oldHost = fetch.host;
  if (!aim(config_->config, fetch, *to)) {
    rejectFetch(fetch, ErrorCode::E_FETCH_CLUSTER_NOT_ALLOWED, to->get_host(),
                allowedHosts(config_->config));
    return;
  }
  ++fetch.redirects;
  if (toGet && fetch.method != "GET") {
    fetch.method = "GET";
    fetch.body.clear();
    if (fetch.upload != nullptr) {
      runtime_->run(*this, budget(), [&] { stopProducer(*fetch.upload, JS_UNDEFINED); },
                    [](js::Entry&) {});
      if (ended_ || fetch.state == Fetch::State::Done)
        return;
      fetch.upload.reset();
    }
    std::erase_if(fetch.headers,
                  [](const auto& line) { return line.first.starts_with("content-"); });
  }
  if (fetch.host != oldHost) {
    std::erase_if(fetch.headers, [](const auto& line) {
      return line.first == "authorization" || line.first == "cookie" ||
             line.first == "proxy-authorization";
    });
  }
  // The old call is of no use; the rest of its answer is not waited for.
  const uint64_t oldCallout = std::exchange(fetch.calloutId, 0);
  fetch.state = Fetch::State::Recorded;
  host_.resetCallout(oldCallout);
  if (!ended_)
    actOnFetches();
}

}  // namespace fairlead
