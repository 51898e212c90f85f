// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The floor: what each profile costs as C++ written by hand against Envoy's ABI. The filter's name is the profile's.

#include <cstdint>
#include <string_view>

#include "filter-cc/envoy_abi.h"

#define BENCH_EXPORT extern "C" __attribute__((visibility("default")))

// Only a floor answers with one whole call; fairlead itself streams.
extern "C" envoy_dynamic_module_type_http_callout_init_result
envoy_dynamic_module_callback_http_filter_http_callout(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter, uint64_t* callout_id_out,
    envoy_dynamic_module_type_module_buffer cluster_name,
    envoy_dynamic_module_type_module_http_header* headers, size_t headers_size,
    envoy_dynamic_module_type_module_buffer body, uint64_t timeout_milliseconds);

namespace {

using EnvoyBuffer = envoy_dynamic_module_type_envoy_buffer;
using EnvoyHeader = envoy_dynamic_module_type_envoy_http_header;
using ModuleBuffer = envoy_dynamic_module_type_module_buffer;
using ModuleHeader = envoy_dynamic_module_type_module_http_header;

constexpr int kRequestHeaders = 0;
constexpr int kResponseHeaders = 2;
constexpr int kContinue = 0;
constexpr int kStopIteration = 1;
constexpr int kCalloutSucceeded = 0;
constexpr uint64_t kCalloutTimeoutMs = 5000;

enum class Profile : uint8_t { NoOp, Request, RequestAndResponse, Answer, Ask };

struct Config {
  Profile profile;
};

constexpr struct {
  std::string_view name;
  Config config;
} kConfigs[] = {
    {"p0", {Profile::NoOp}},
    {"p1", {Profile::Request}},
    {"p2", {Profile::RequestAndResponse}},
    {"p4", {Profile::Answer}},
    {"p5", {Profile::Ask}},
};

struct Filter {
  void* envoy;
  Profile profile;
};

constexpr ModuleBuffer toModule(std::string_view text) { return {text.data(), text.size()}; }

constexpr ModuleHeader header(std::string_view name, std::string_view value) {
  return {name.data(), name.size(), value.data(), value.size()};
}

std::string_view get(void* envoy, int map, std::string_view name, std::string_view fallback) {
  EnvoyBuffer value{nullptr, 0};
  if (!envoy_dynamic_module_callback_http_get_header(envoy, map, toModule(name), &value, 0, nullptr))
    return fallback;
  return {value.ptr, value.length};
}

void set(void* envoy, int map, std::string_view name, std::string_view value) {
  envoy_dynamic_module_callback_http_set_header(envoy, map, toModule(name), toModule(value));
}

void changeRequest(void* envoy) {
  const std::string_view user = get(envoy, kRequestHeaders, "x-user", "nobody");
  const std::string_view site = get(envoy, kRequestHeaders, "x-site", "none");
  const bool gold = get(envoy, kRequestHeaders, "x-plan", "") == "gold";
  // The views stay good: no setter touches the headers they were read from.
  set(envoy, kRequestHeaders, "x-who", user);
  set(envoy, kRequestHeaders, "x-pool", gold ? "first" : site);
  set(envoy, kRequestHeaders, "x-secret", "");
}

void changeResponse(void* envoy) {
  set(envoy, kResponseHeaders, "x-kind", get(envoy, kResponseHeaders, "content-type", "none"));
}

void forbid(void* envoy) {
  ModuleHeader headers[] = {header("content-type", "text/plain;charset=UTF-8")};
  envoy_dynamic_module_callback_http_send_response(envoy, 403, headers, 1, toModule("no entry\n"),
                                                   {nullptr, 0});
}

int ask(void* envoy) {
  ModuleHeader headers[] = {header(":method", "GET"), header(":path", "/check"),
                            header(":authority", "ask")};
  uint64_t id = 0;
  const int started = envoy_dynamic_module_callback_http_filter_http_callout(
      envoy, &id, toModule("ask"), headers, 3, {nullptr, 0}, kCalloutTimeoutMs);
  if (started != kCalloutSucceeded)
    forbid(envoy);
  return kStopIteration;
}

}  // namespace

BENCH_EXPORT const char* envoy_dynamic_module_on_program_init(void) { return "v0.2.0"; }

BENCH_EXPORT const void* envoy_dynamic_module_on_http_filter_config_new(void*, EnvoyBuffer name,
                                                                        EnvoyBuffer) {
  for (const auto& known : kConfigs) {
    if (known.name == std::string_view(name.ptr, name.length))
      return &known.config;
  }
  return nullptr;
}

BENCH_EXPORT void envoy_dynamic_module_on_http_filter_config_destroy(const void*) {}

BENCH_EXPORT const void* envoy_dynamic_module_on_http_filter_new(const void* config, void* envoy) {
  return new Filter{envoy, static_cast<const Config*>(config)->profile};
}

BENCH_EXPORT void envoy_dynamic_module_on_http_filter_stream_complete(void*, const void*) {}

BENCH_EXPORT void envoy_dynamic_module_on_http_filter_destroy(const void* filter) {
  delete static_cast<const Filter*>(filter);
}

BENCH_EXPORT int envoy_dynamic_module_on_http_filter_request_headers(void* envoy, const void* filter,
                                                                     bool) {
  switch (static_cast<const Filter*>(filter)->profile) {
  case Profile::NoOp:
    return kContinue;
  case Profile::Request:
  case Profile::RequestAndResponse:
    changeRequest(envoy);
    return kContinue;
  case Profile::Answer:
    forbid(envoy);
    return kStopIteration;
  case Profile::Ask:
    return ask(envoy);
  }
  return kStopIteration;
}

BENCH_EXPORT int envoy_dynamic_module_on_http_filter_request_body(void*, const void*, bool) {
  return kContinue;
}

BENCH_EXPORT int envoy_dynamic_module_on_http_filter_request_trailers(void*, const void*) {
  return kContinue;
}

BENCH_EXPORT int envoy_dynamic_module_on_http_filter_response_headers(void* envoy,
                                                                      const void* filter, bool) {
  if (static_cast<const Filter*>(filter)->profile == Profile::RequestAndResponse)
    changeResponse(envoy);
  return kContinue;
}

BENCH_EXPORT int envoy_dynamic_module_on_http_filter_response_body(void*, const void*, bool) {
  return kContinue;
}

BENCH_EXPORT int envoy_dynamic_module_on_http_filter_response_trailers(void*, const void*) {
  return kContinue;
}

BENCH_EXPORT void envoy_dynamic_module_on_http_filter_http_callout_done(
    void* envoy, const void*, uint64_t, int result, EnvoyHeader* headers, size_t headers_size,
    EnvoyBuffer*, size_t) {
  bool allowed = false;
  for (size_t i = 0; result == kCalloutSucceeded && i < headers_size; ++i) {
    if (std::string_view(headers[i].key_ptr, headers[i].key_length) == ":status")
      allowed = std::string_view(headers[i].value_ptr, headers[i].value_length) == "200";
  }
  if (allowed)
    envoy_dynamic_module_callback_http_filter_continue_decoding(envoy);
  else
    forbid(envoy);
}

// Envoy wants these to be there.

BENCH_EXPORT void envoy_dynamic_module_on_http_filter_scheduled(void*, const void*, uint64_t) {}

BENCH_EXPORT void envoy_dynamic_module_on_http_filter_http_stream_headers(void*, const void*,
                                                                          uint64_t, EnvoyHeader*,
                                                                          size_t, bool) {}

BENCH_EXPORT void envoy_dynamic_module_on_http_filter_http_stream_data(void*, const void*, uint64_t,
                                                                       const EnvoyBuffer*, size_t,
                                                                       bool) {}

BENCH_EXPORT void envoy_dynamic_module_on_http_filter_http_stream_trailers(void*, const void*,
                                                                           uint64_t, EnvoyHeader*,
                                                                           size_t) {}

BENCH_EXPORT void envoy_dynamic_module_on_http_filter_http_stream_complete(void*, const void*,
                                                                           uint64_t) {}

BENCH_EXPORT void envoy_dynamic_module_on_http_filter_http_stream_reset(void*, const void*, uint64_t,
                                                                        int) {}

BENCH_EXPORT void
envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(void*,
                                                                                 const void*) {}

BENCH_EXPORT void
envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(void*, const void*) {
}
