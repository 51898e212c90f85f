// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// A stock Envoy behind host.h, and the event hooks that Envoy calls.
//
// Every hook is a barrier: no C++ exception leaves it, and a stream whose hook threw is answered as
// its failure policy says, never passed on. Every hook that can end its stream holds a reference, for
// Envoy 1.38 and 1.39 destroy a filter inside our own calls.

#include "filter-cc/envoy_abi.h"

#include <ctime>

#include <exception>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "filter-cc/errors.h"
#include "filter-cc/host.h"
#include "filter-cc/keeper.h"
#include "filter-cc/script.h"
#include "filter-cc/stream.h"

namespace fairlead {
namespace {

using ModuleBuffer = envoy_dynamic_module_type_module_buffer;
using EnvoyBuffer = envoy_dynamic_module_type_envoy_buffer;
using ModuleHeader = envoy_dynamic_module_type_module_http_header;
using EnvoyHeader = envoy_dynamic_module_type_envoy_http_header;

/** What a client sees when there is not even a stream to ask for its policy. */
constexpr uint32_t kStandInStatus = 500;
constexpr std::string_view kStandInDetails = "fairlead_no_filter";

ModuleBuffer toModule(std::string_view text) { return {text.data(), text.size()}; }
std::string_view toView(const EnvoyBuffer& buffer) { return {buffer.ptr, buffer.length}; }

std::vector<ModuleHeader> toModule(std::span<const HeaderField> fields) {
  std::vector<ModuleHeader> headers;
  headers.reserve(fields.size());
  for (const HeaderField& field : fields)
    headers.push_back(
        {field.name.data(), field.name.size(), field.value.data(), field.value.size()});
  return headers;
}

std::vector<ModuleBuffer> toModule(std::span<const std::string_view> texts) {
  std::vector<ModuleBuffer> buffers;
  buffers.reserve(texts.size());
  for (const std::string_view text : texts)
    buffers.push_back(toModule(text));
  return buffers;
}

/** Envoy's filter config while it is made. */
class EnvoyConfig final : public HostConfig {
public:
  explicit EnvoyConfig(void* envoy) : envoy_(envoy) {}

  size_t defineMetric(MetricKind kind, const std::string& name,
                      std::span<const std::string_view> labels) override {
    std::vector<ModuleBuffer> names = toModule(labels);
    size_t id = 0;
    const auto define = kind == MetricKind::Counter
                            ? envoy_dynamic_module_callback_http_filter_config_define_counter
                        : kind == MetricKind::Gauge
                            ? envoy_dynamic_module_callback_http_filter_config_define_gauge
                            : envoy_dynamic_module_callback_http_filter_config_define_histogram;
    define(envoy_, toModule(name), names.data(), names.size(), &id);
    return id;
  }

private:
  void* envoy_;
};

/** Answers 500 for a stream that cannot be asked for its policy any more. */
void answerStandIn(void* envoy) noexcept {
  envoy_dynamic_module_callback_http_send_response(envoy, kStandInStatus, nullptr, 0, {nullptr, 0},
                                                   toModule(kStandInDetails));
}

/** Which worker this thread is: Envoy tells only for a filter that is alive. */
uint32_t workerIndexOf(void* envoy) {
  static thread_local const uint32_t index =
      envoy_dynamic_module_callback_http_filter_get_worker_index(envoy);
  return index;
}

class EnvoyStream final : public HostStream {
public:
  EnvoyStream(void* envoy, const FilterConfig& config)
      : envoy_(envoy), workerIndex_(workerIndexOf(envoy)), stream_(*this, config) {}

  ~EnvoyStream() override { onDestroy(); }

  Stream& stream() { return stream_; }

  /** Envoy's filter is gone: from here on nothing may be asked of it. */
  void onDestroy() {
    if (scheduler_ != nullptr) {
      Keeper::instance().clear(*wake_);
      envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler_);
      scheduler_ = nullptr;
    }
    envoy_ = nullptr;
  }

  /** A hook has thrown: nobody knows what the stream is at, so it ends, and nothing of it goes on. */
  void failClosed() noexcept {
    failedClosed_ = true;
    if (envoy_ != nullptr && !answered_)
      answerStandIn(envoy_);
  }
  bool failedClosed() const { return failedClosed_; }

  std::optional<HeaderLookup> header(HeaderMap map, std::string_view name, size_t index) override {
    EnvoyBuffer value{nullptr, 0};
    size_t count = 0;
    if (envoy_ == nullptr ||
        !envoy_dynamic_module_callback_http_get_header(envoy_, static_cast<int>(map),
                                                       toModule(name), &value, index, &count))
      return std::nullopt;
    return HeaderLookup{toView(value), count};
  }

  bool headers(HeaderMap map, std::vector<HeaderField>& out) override {
    out.clear();
    if (envoy_ == nullptr)
      return false;
    const int type = static_cast<int>(map);
    std::vector<EnvoyHeader> headers(
        envoy_dynamic_module_callback_http_get_headers_size(envoy_, type));
    if (headers.empty() ||
        !envoy_dynamic_module_callback_http_get_headers(envoy_, type, headers.data()))
      return false;
    out.reserve(headers.size());
    for (const EnvoyHeader& header : headers)
      out.push_back({{header.key_ptr, header.key_length}, {header.value_ptr, header.value_length}});
    return true;
  }

  void setHeader(HeaderMap map, std::string_view name, std::string_view value) override {
    if (envoy_ != nullptr)
      envoy_dynamic_module_callback_http_set_header(envoy_, static_cast<int>(map), toModule(name),
                                                    toModule(value));
  }

  void addHeader(HeaderMap map, std::string_view name, std::string_view value) override {
    if (envoy_ != nullptr)
      envoy_dynamic_module_callback_http_add_header(envoy_, static_cast<int>(map), toModule(name),
                                                    toModule(value));
  }

  void removeHeader(HeaderMap map, std::string_view name) override { setHeader(map, name, {}); }

  void continueMessage(Direction direction) override {
    if (envoy_ == nullptr)
      return;
    if (direction == Direction::Request)
      envoy_dynamic_module_callback_http_filter_continue_decoding(envoy_);
    else
      envoy_dynamic_module_callback_http_filter_continue_encoding(envoy_);
  }

  void sendResponse(uint32_t status, std::span<const HeaderField> headers, std::string_view body,
                    std::string_view details) override {
    if (envoy_ == nullptr)
      return;
    std::vector<ModuleHeader> fields = toModule(headers);
    answered_ = true;
    envoy_dynamic_module_callback_http_send_response(envoy_, status, fields.data(), fields.size(),
                                                     toModule(body), toModule(details));
  }

  void sendResponseHeaders(std::span<const HeaderField> headers, bool endStream) override {
    if (envoy_ == nullptr)
      return;
    std::vector<ModuleHeader> fields = toModule(headers);
    answered_ = true;
    envoy_dynamic_module_callback_http_send_response_headers(envoy_, fields.data(), fields.size(),
                                                             endStream);
  }

  void resetStream(std::string_view details) override {
    constexpr int kLocalReset = 0;
    if (envoy_ != nullptr)
      envoy_dynamic_module_callback_http_filter_reset_stream(envoy_, kLocalReset,
                                                             toModule(details));
  }

  CalloutStart startCallout(std::string_view cluster, std::span<const HeaderField> headers,
                            std::string_view body, uint64_t& calloutId) override {
    if (envoy_ == nullptr)
      return CalloutStart::CannotCreateRequest;
    std::vector<ModuleHeader> fields = toModule(headers);
    // Our own timers end a call that takes too long, and say so; Envoy's would look like an answer.
    constexpr uint64_t kNoTimeout = 0;
    return static_cast<CalloutStart>(envoy_dynamic_module_callback_http_filter_start_http_stream(
        envoy_, &calloutId, toModule(cluster), fields.data(), fields.size(), toModule(body), true,
        kNoTimeout));
  }

  void resetCallout(uint64_t calloutId) override {
    if (envoy_ != nullptr)
      envoy_dynamic_module_callback_http_filter_reset_http_stream(envoy_, calloutId);
  }

  void wakeAt(uint64_t deadlineNs) override {
    if (deadlineNs == 0) {
      if (wake_)
        Keeper::instance().clear(*wake_);
      return;
    }
    if (scheduler_ == nullptr) {
      if (envoy_ == nullptr)
        return;
      scheduler_ = envoy_dynamic_module_callback_http_filter_scheduler_new(envoy_);
      wake_.emplace(postWake, scheduler_);
    }
    Keeper::instance().set(*wake_, deadlineNs);
  }

  bool updateMetric(MetricKind kind, MetricChange change, size_t metricId,
                    std::span<const std::string_view> labels, uint64_t value) override {
    if (envoy_ == nullptr)
      return false;
    std::vector<ModuleBuffer> values = toModule(labels);
    const auto update = [&](auto* function) {
      function(envoy_, metricId, values.data(), values.size(), value);
    };
    switch (change) {
    case MetricChange::Add:
      update(kind == MetricKind::Counter
                 ? envoy_dynamic_module_callback_http_filter_increment_counter
                 : envoy_dynamic_module_callback_http_filter_increment_gauge);
      break;
    case MetricChange::Subtract:
      update(envoy_dynamic_module_callback_http_filter_decrement_gauge);
      break;
    case MetricChange::Set:
      update(envoy_dynamic_module_callback_http_filter_set_gauge);
      break;
    case MetricChange::Record:
      update(envoy_dynamic_module_callback_http_filter_record_histogram_value);
      break;
    }
    return true;
  }

  uint32_t workerIndex() override { return workerIndex_; }

  void release() override { delete this; }

private:
  static void postWake(void* scheduler) {
    envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler, 0);
  }

  void* envoy_;
  const uint32_t workerIndex_;
  bool answered_ = false;
  bool failedClosed_ = false;
  void* scheduler_ = nullptr;
  std::optional<Keeper::Entry> wake_;
  Stream stream_;
};

/** Stands for a filter that could not be made: Envoy before 1.40 crashes on a null one. */
constexpr char kStandIn = 0;

EnvoyStream* streamOf(const void* filter) {
  return filter == &kStandIn ? nullptr : static_cast<EnvoyStream*>(const_cast<void*>(filter));
}

void logCritical(std::string_view text) noexcept {
  envoy_dynamic_module_callback_log(static_cast<int>(LogLevel::Critical), toModule(text));
}

/** Runs a hook's body; what it throws is logged, and `failed` gives the hook's answer. */
template <class Body, class Failed>
auto barrier(const char* hook, Body&& body, Failed&& failed) noexcept {
  try {
    return body();
  } catch (const std::exception& exception) {
    logCritical("fairlead: E_INTERNAL: an exception was stopped");
    logCritical(hook);
    logCritical(exception.what());
  } catch (...) {
    logCritical("fairlead: E_INTERNAL: an unknown exception was stopped");
    logCritical(hook);
  }
  return failed();
}

/** A hook that returns nothing. */
template <class Body> void barrier(const char* hook, Body&& body) noexcept {
  barrier(hook, body, [] {});
}

/** A data-path hook: `event` runs on the stream; without one, and after a throw, it fails closed. */
template <class Event>
int onData(const char* hook, void* envoy, const void* filter, int stop, Event&& event) noexcept {
  EnvoyStream* host = streamOf(filter);
  if (host == nullptr) {
    answerStandIn(envoy);
    return stop;
  }
  if (host->failedClosed())
    return stop;
  const StreamRef keep(host->stream());
  return barrier(
      hook, [&] { return static_cast<int>(event(host->stream())); },
      [&] {
        host->failClosed();
        return stop;
      });
}

/** An event that needs no answer; what it throws ends the stream. */
template <class Event> void onEvent(const char* hook, const void* filter, Event&& event) noexcept {
  EnvoyStream* host = streamOf(filter);
  if (host == nullptr || host->failedClosed())
    return;
  const StreamRef keep(host->stream());
  barrier(hook, [&] { event(host->stream()); }, [&] { host->failClosed(); });
}

/** The end of a stream, however it came. */
void endStream(const char* hook, EnvoyStream& host) noexcept {
  barrier(hook, [&] { host.stream().onComplete(); });
}

constexpr int kStopHeaders = static_cast<int>(HeadersStatus::StopIteration);
constexpr int kStopBody = static_cast<int>(BodyStatus::StopIterationNoBuffer);
constexpr int kStopTrailers = static_cast<int>(TrailersStatus::StopIteration);

}  // namespace

// --- host.h, the process ---

namespace host {

void log(LogLevel level, std::string_view message, std::string_view file, uint32_t line) {
  if (envoy_dynamic_module_callback_log_v2 != nullptr) {
    envoy_dynamic_module_callback_log_v2(static_cast<int>(level), toModule(message), toModule(file),
                                         line);
    return;
  }
  std::string text(message);
  // The first place in a line is taken for its own.
  const std::string before = std::string(file) + ':';
  const std::string place = before + std::to_string(line);
  const size_t said = text.find(place);
  if (!file.empty() && (said == std::string::npos || text.find(before) != said))
    text.append(" (").append(place).append(")");
  envoy_dynamic_module_callback_log(static_cast<int>(level), toModule(text));
}

bool logEnabled(LogLevel level) {
  return envoy_dynamic_module_callback_log_enabled(static_cast<int>(level));
}

uint64_t monotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

uint32_t concurrency() { return envoy_dynamic_module_callback_get_concurrency(); }

bool validating() { return envoy_dynamic_module_callback_is_validation_mode(); }

}  // namespace host
}  // namespace fairlead

// --- Event hooks ---

#define FAIRLEAD_EXPORT extern "C" __attribute__((visibility("default")))

using namespace fairlead;

FAIRLEAD_EXPORT const char* envoy_dynamic_module_on_program_init(void) {
  // Envoy warns when this is not its own version; what each release has is found out symbol by symbol.
  return envoy_dynamic_module_callback_log_v2 != nullptr ? "v0.2.0" : "v0.1.0";
}

FAIRLEAD_EXPORT const void* envoy_dynamic_module_on_http_filter_config_new(void* envoy,
                                                                           EnvoyBuffer name,
                                                                           EnvoyBuffer config) {
  return barrier(
      "http_filter_config_new",
      [&]() -> const void* {
        EnvoyConfig host(envoy);
        Result<std::unique_ptr<FilterConfig>> made =
            FilterConfig::create(toView(name), toView(config), &host);
        if (made)
          return made->release();
        const Error& error = made.error();
        host::log(LogLevel::Critical,
                  "fairlead: " + std::string(toView(name)) + ": " + formatError(error), error.file,
                  error.line);
        return nullptr;
      },
      []() -> const void* { return nullptr; });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_config_destroy(const void* config) {
  barrier("http_filter_config_destroy", [&] { delete static_cast<const FilterConfig*>(config); });
}

FAIRLEAD_EXPORT const void* envoy_dynamic_module_on_http_filter_new(const void* config,
                                                                    void* envoy) {
  return barrier(
      "http_filter_new",
      [&]() -> const void* {
        return new EnvoyStream(envoy, *static_cast<const FilterConfig*>(config));
      },
      []() -> const void* { return &kStandIn; });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_stream_complete(void*, const void* filter) {
  if (EnvoyStream* host = streamOf(filter))
    endStream("http_filter_stream_complete", *host);
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_destroy(const void* filter) {
  EnvoyStream* host = streamOf(filter);
  if (host == nullptr)
    return;
  // A filter in a cluster's upstream chain gets no stream_complete. What its callbacks would reach
  // may be gone by now, so its end finds nothing to read.
  host->onDestroy();
  endStream("http_filter_destroy", *host);
  host->stream().unref();
}

FAIRLEAD_EXPORT int envoy_dynamic_module_on_http_filter_request_headers(void* envoy,
                                                                        const void* filter,
                                                                        bool end_of_stream) {
  return onData("http_filter_request_headers", envoy, filter, kStopHeaders, [&](Stream& stream) {
    return stream.onHeaders(Direction::Request, end_of_stream);
  });
}

FAIRLEAD_EXPORT int envoy_dynamic_module_on_http_filter_request_body(void* envoy, const void* filter,
                                                                     bool end_of_stream) {
  return onData("http_filter_request_body", envoy, filter, kStopBody, [&](Stream& stream) {
    return stream.onBody(Direction::Request, end_of_stream);
  });
}

FAIRLEAD_EXPORT int envoy_dynamic_module_on_http_filter_request_trailers(void* envoy,
                                                                         const void* filter) {
  return onData("http_filter_request_trailers", envoy, filter, kStopTrailers,
                [](Stream& stream) { return stream.onTrailers(Direction::Request); });
}

FAIRLEAD_EXPORT int envoy_dynamic_module_on_http_filter_response_headers(void* envoy,
                                                                         const void* filter,
                                                                         bool end_of_stream) {
  return onData("http_filter_response_headers", envoy, filter, kStopHeaders, [&](Stream& stream) {
    return stream.onHeaders(Direction::Response, end_of_stream);
  });
}

FAIRLEAD_EXPORT int envoy_dynamic_module_on_http_filter_response_body(void* envoy,
                                                                      const void* filter,
                                                                      bool end_of_stream) {
  return onData("http_filter_response_body", envoy, filter, kStopBody, [&](Stream& stream) {
    return stream.onBody(Direction::Response, end_of_stream);
  });
}

FAIRLEAD_EXPORT int envoy_dynamic_module_on_http_filter_response_trailers(void* envoy,
                                                                          const void* filter) {
  return onData("http_filter_response_trailers", envoy, filter, kStopTrailers,
                [](Stream& stream) { return stream.onTrailers(Direction::Response); });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_scheduled(void*, const void* filter,
                                                                   uint64_t) {
  onEvent("http_filter_scheduled", filter, [](Stream& stream) { stream.onWake(); });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_http_callout_done(
    void*, const void*, uint64_t, int, EnvoyHeader*, size_t, EnvoyBuffer*, size_t) {
  // All our calls are streams.
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_http_stream_headers(
    void*, const void* filter, uint64_t stream_id, EnvoyHeader* headers, size_t headers_size,
    bool end_stream) {
  onEvent("http_filter_http_stream_headers", filter, [&](Stream& stream) {
    std::vector<HeaderField> fields;
    fields.reserve(headers_size);
    for (size_t i = 0; i < headers_size; ++i)
      fields.push_back({{headers[i].key_ptr, headers[i].key_length},
                        {headers[i].value_ptr, headers[i].value_length}});
    stream.onCalloutHeaders(stream_id, fields, end_stream);
  });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_http_stream_data(
    void*, const void* filter, uint64_t stream_id, const EnvoyBuffer* data, size_t data_count,
    bool end_stream) {
  onEvent("http_filter_http_stream_data", filter, [&](Stream& stream) {
    std::vector<std::string_view> pieces;
    pieces.reserve(data_count);
    for (size_t i = 0; i < data_count; ++i)
      pieces.push_back(toView(data[i]));
    stream.onCalloutData(stream_id, pieces, end_stream);
  });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_http_stream_trailers(void*, const void*,
                                                                              uint64_t, EnvoyHeader*,
                                                                              size_t) {
  // The end follows; a fetched answer does not show its trailers.
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_http_stream_complete(void*,
                                                                              const void* filter,
                                                                              uint64_t stream_id) {
  onEvent("http_filter_http_stream_complete", filter,
          [&](Stream& stream) { stream.onCalloutComplete(stream_id); });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_http_stream_reset(void*, const void* filter,
                                                                           uint64_t stream_id, int) {
  onEvent("http_filter_http_stream_reset", filter,
          [&](Stream& stream) { stream.onCalloutReset(stream_id); });
}

FAIRLEAD_EXPORT void
envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(void*,
                                                                                 const void*) {
  // Nothing of ours writes to the client piece by piece.
}

FAIRLEAD_EXPORT void
envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(void*, const void*) {
}
