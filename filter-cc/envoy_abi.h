// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Our own declarations of the part of Envoy's dynamic-module C ABI that we use; names, layouts and
// meaning are Envoy's. Callbacks that the oldest supported release (1.38) lacks are weak: test before
// use. Only envoy_abi.cc includes this.

#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

/** Bytes of Envoy's. Valid until: the hook returns, or a setter touches the object they come from. */
struct envoy_dynamic_module_type_envoy_buffer {
  const char* ptr;
  size_t length;
};
/** Bytes of ours, copied during the call. */
struct envoy_dynamic_module_type_module_buffer {
  const char* ptr;
  size_t length;
};
struct envoy_dynamic_module_type_envoy_http_header {
  const char* key_ptr;
  size_t key_length;
  const char* value_ptr;
  size_t value_length;
};
struct envoy_dynamic_module_type_module_http_header {
  const char* key_ptr;
  size_t key_length;
  const char* value_ptr;
  size_t value_length;
};
static_assert(sizeof(envoy_dynamic_module_type_envoy_buffer) == 2 * sizeof(void*));
static_assert(sizeof(envoy_dynamic_module_type_envoy_http_header) == 4 * sizeof(void*));

using envoy_dynamic_module_type_http_filter_config_envoy_ptr = void*;
using envoy_dynamic_module_type_http_filter_config_module_ptr = const void*;
using envoy_dynamic_module_type_http_filter_envoy_ptr = void*;
using envoy_dynamic_module_type_http_filter_module_ptr = const void*;
using envoy_dynamic_module_type_http_filter_scheduler_module_ptr = void*;
using envoy_dynamic_module_type_http_filter_config_scheduler_module_ptr = void*;

// Enums are int-sized; the values are those of filter-cc/host.h unless written here.
using envoy_dynamic_module_type_http_header_type = int;
using envoy_dynamic_module_type_http_body_type = int;
using envoy_dynamic_module_type_log_level = int;
using envoy_dynamic_module_type_metrics_result = int;
using envoy_dynamic_module_type_attribute_id = int;
using envoy_dynamic_module_type_http_callout_init_result = int;
using envoy_dynamic_module_type_http_callout_result = int;
using envoy_dynamic_module_type_http_stream_reset_reason = int;
using envoy_dynamic_module_type_http_filter_stream_reset_reason = int;
using envoy_dynamic_module_type_attribute_id = int;
using envoy_dynamic_module_type_metadata_source = int;
using envoy_dynamic_module_type_socket_option_state = int;
using envoy_dynamic_module_type_socket_direction = int;
using envoy_dynamic_module_type_on_http_filter_request_headers_status = int;
using envoy_dynamic_module_type_on_http_filter_request_body_status = int;
using envoy_dynamic_module_type_on_http_filter_request_trailers_status = int;
using envoy_dynamic_module_type_on_http_filter_response_headers_status = int;
using envoy_dynamic_module_type_on_http_filter_response_body_status = int;
using envoy_dynamic_module_type_on_http_filter_response_trailers_status = int;

// --- Callbacks: Envoy has them, we call them ---

void envoy_dynamic_module_callback_log(envoy_dynamic_module_type_log_level level,
                                       envoy_dynamic_module_type_module_buffer message);
/** Since 1.40. */
__attribute__((weak)) void
envoy_dynamic_module_callback_log_v2(envoy_dynamic_module_type_log_level level,
                                     envoy_dynamic_module_type_module_buffer message,
                                     envoy_dynamic_module_type_module_buffer source_file,
                                     uint32_t source_line);
bool envoy_dynamic_module_callback_log_enabled(envoy_dynamic_module_type_log_level level);
uint32_t envoy_dynamic_module_callback_get_concurrency(void);
bool envoy_dynamic_module_callback_is_validation_mode(void);
/** Since 1.40, as the next. */
__attribute__((weak)) bool
envoy_dynamic_module_callback_get_runtime_bool(envoy_dynamic_module_type_module_buffer key,
                                               bool default_value);
__attribute__((weak)) double
envoy_dynamic_module_callback_get_runtime_number(envoy_dynamic_module_type_module_buffer key,
                                                 double default_value);

bool envoy_dynamic_module_callback_http_get_header(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_http_header_type header_type,
    envoy_dynamic_module_type_module_buffer key, envoy_dynamic_module_type_envoy_buffer* result_buffer,
    size_t index, size_t* optional_size);
size_t envoy_dynamic_module_callback_http_get_headers_size(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_http_header_type header_type);
bool envoy_dynamic_module_callback_http_get_headers(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_http_header_type header_type,
    envoy_dynamic_module_type_envoy_http_header* result_headers);
bool envoy_dynamic_module_callback_http_add_header(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_http_header_type header_type,
    envoy_dynamic_module_type_module_buffer key, envoy_dynamic_module_type_module_buffer value);
/** An empty value removes. */
bool envoy_dynamic_module_callback_http_set_header(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_http_header_type header_type,
    envoy_dynamic_module_type_module_buffer key, envoy_dynamic_module_type_module_buffer value);

size_t envoy_dynamic_module_callback_http_get_body_size(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_http_body_type body_type);
size_t envoy_dynamic_module_callback_http_get_body_chunks_size(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_http_body_type body_type);
bool envoy_dynamic_module_callback_http_get_body_chunks(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_http_body_type body_type,
    envoy_dynamic_module_type_envoy_buffer* result_buffer_vector);
bool envoy_dynamic_module_callback_http_append_body(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_http_body_type body_type,
    envoy_dynamic_module_type_module_buffer data);
bool envoy_dynamic_module_callback_http_drain_body(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_http_body_type body_type, size_t number_of_bytes);
bool envoy_dynamic_module_callback_http_received_buffered_request_body(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter);
bool envoy_dynamic_module_callback_http_received_buffered_response_body(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter);
/** 0: none. */
uint64_t envoy_dynamic_module_callback_http_get_buffer_limit(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter);
void envoy_dynamic_module_callback_http_set_buffer_limit(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter, uint64_t limit);

void envoy_dynamic_module_callback_http_send_response(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter, uint32_t status_code,
    envoy_dynamic_module_type_module_http_header* headers_vector, size_t headers_vector_size,
    envoy_dynamic_module_type_module_buffer body, envoy_dynamic_module_type_module_buffer details);
void envoy_dynamic_module_callback_http_send_response_headers(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_module_http_header* headers_vector, size_t headers_vector_size,
    bool end_stream);
void envoy_dynamic_module_callback_http_send_response_data(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_module_buffer data, bool end_stream);
void envoy_dynamic_module_callback_http_add_custom_flag(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_module_buffer flag);
bool envoy_dynamic_module_callback_http_filter_get_attribute_string(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_attribute_id attribute_id,
    envoy_dynamic_module_type_envoy_buffer* result);

void envoy_dynamic_module_callback_http_filter_continue_decoding(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter);
void envoy_dynamic_module_callback_http_filter_continue_encoding(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter);
void envoy_dynamic_module_callback_http_filter_reset_stream(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_http_filter_stream_reset_reason reason,
    envoy_dynamic_module_type_module_buffer details);
void envoy_dynamic_module_callback_http_filter_send_go_away_and_close(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter, bool graceful);
uint32_t envoy_dynamic_module_callback_http_filter_get_worker_index(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter);

envoy_dynamic_module_type_http_filter_scheduler_module_ptr
envoy_dynamic_module_callback_http_filter_scheduler_new(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter);
void envoy_dynamic_module_callback_http_filter_scheduler_commit(
    envoy_dynamic_module_type_http_filter_scheduler_module_ptr scheduler, uint64_t event_id);
void envoy_dynamic_module_callback_http_filter_scheduler_delete(
    envoy_dynamic_module_type_http_filter_scheduler_module_ptr scheduler);

envoy_dynamic_module_type_http_callout_init_result
envoy_dynamic_module_callback_http_filter_start_http_stream(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter, uint64_t* stream_id_out,
    envoy_dynamic_module_type_module_buffer cluster_name,
    envoy_dynamic_module_type_module_http_header* headers, size_t headers_size,
    envoy_dynamic_module_type_module_buffer body, bool end_stream, uint64_t timeout_milliseconds);
void envoy_dynamic_module_callback_http_filter_reset_http_stream(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter, uint64_t stream_id);
bool envoy_dynamic_module_callback_http_stream_send_data(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter, uint64_t stream_id,
    envoy_dynamic_module_type_module_buffer data, bool end_stream);

/** Null when no route, virtual host or weighted cluster has one for the filter. */
const void* envoy_dynamic_module_callback_get_most_specific_route_config(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter);

// Without a stream, for the jobs of a config; on the main thread.
envoy_dynamic_module_type_http_filter_config_scheduler_module_ptr
envoy_dynamic_module_callback_http_filter_config_scheduler_new(
    envoy_dynamic_module_type_http_filter_config_envoy_ptr config);
/** Thread: any. */
void envoy_dynamic_module_callback_http_filter_config_scheduler_commit(
    envoy_dynamic_module_type_http_filter_config_scheduler_module_ptr scheduler, uint64_t event_id);
/** Thread: any. */
void envoy_dynamic_module_callback_http_filter_config_scheduler_delete(
    envoy_dynamic_module_type_http_filter_config_scheduler_module_ptr scheduler);
envoy_dynamic_module_type_http_callout_init_result
envoy_dynamic_module_callback_http_filter_config_start_http_stream(
    envoy_dynamic_module_type_http_filter_config_envoy_ptr config, uint64_t* stream_id_out,
    envoy_dynamic_module_type_module_buffer cluster_name,
    envoy_dynamic_module_type_module_http_header* headers, size_t headers_size,
    envoy_dynamic_module_type_module_buffer body, bool end_stream, uint64_t timeout_milliseconds);
void envoy_dynamic_module_callback_http_filter_config_reset_http_stream(
    envoy_dynamic_module_type_http_filter_config_envoy_ptr config, uint64_t stream_id);
bool envoy_dynamic_module_callback_http_filter_config_stream_send_data(
    envoy_dynamic_module_type_http_filter_config_envoy_ptr config, uint64_t stream_id,
    envoy_dynamic_module_type_module_buffer data, bool end_stream);
// Since 1.39.
#define FAIRLEAD_CONFIG_METRIC                                                                     \
  envoy_dynamic_module_type_http_filter_config_envoy_ptr config, size_t id,                        \
      envoy_dynamic_module_type_module_buffer *label_values, size_t label_values_length,           \
      uint64_t value
__attribute__((weak)) envoy_dynamic_module_type_metrics_result
envoy_dynamic_module_callback_http_filter_config_increment_counter(FAIRLEAD_CONFIG_METRIC);
__attribute__((weak)) envoy_dynamic_module_type_metrics_result
envoy_dynamic_module_callback_http_filter_config_increment_gauge(FAIRLEAD_CONFIG_METRIC);
__attribute__((weak)) envoy_dynamic_module_type_metrics_result
envoy_dynamic_module_callback_http_filter_config_decrement_gauge(FAIRLEAD_CONFIG_METRIC);
__attribute__((weak)) envoy_dynamic_module_type_metrics_result
envoy_dynamic_module_callback_http_filter_config_set_gauge(FAIRLEAD_CONFIG_METRIC);
__attribute__((weak)) envoy_dynamic_module_type_metrics_result
envoy_dynamic_module_callback_http_filter_config_record_histogram_value(FAIRLEAD_CONFIG_METRIC);
#undef FAIRLEAD_CONFIG_METRIC

/** Since 1.40, as the next. Only while a config is made. 0: there is no such secret. */
__attribute__((weak)) size_t envoy_dynamic_module_callback_http_filter_config_generic_secret_subscribe(
    envoy_dynamic_module_type_http_filter_config_envoy_ptr config,
    envoy_dynamic_module_type_module_buffer name,
    envoy_dynamic_module_type_module_buffer sds_config_source);
__attribute__((weak)) bool envoy_dynamic_module_callback_http_filter_config_get_generic_secret(
    envoy_dynamic_module_type_http_filter_config_envoy_ptr config, size_t id,
    envoy_dynamic_module_type_envoy_buffer* result);

// Only while a config is made. Ids count from 1 for each kind, with and without labels.
envoy_dynamic_module_type_metrics_result
envoy_dynamic_module_callback_http_filter_config_define_counter(
    envoy_dynamic_module_type_http_filter_config_envoy_ptr config,
    envoy_dynamic_module_type_module_buffer name,
    envoy_dynamic_module_type_module_buffer* label_names, size_t label_names_length,
    size_t* counter_id_ptr);
envoy_dynamic_module_type_metrics_result
envoy_dynamic_module_callback_http_filter_config_define_gauge(
    envoy_dynamic_module_type_http_filter_config_envoy_ptr config,
    envoy_dynamic_module_type_module_buffer name,
    envoy_dynamic_module_type_module_buffer* label_names, size_t label_names_length,
    size_t* gauge_id_ptr);
envoy_dynamic_module_type_metrics_result
envoy_dynamic_module_callback_http_filter_config_define_histogram(
    envoy_dynamic_module_type_http_filter_config_envoy_ptr config,
    envoy_dynamic_module_type_module_buffer name,
    envoy_dynamic_module_type_module_buffer* label_names, size_t label_names_length,
    size_t* histogram_id_ptr);
envoy_dynamic_module_type_metrics_result
envoy_dynamic_module_callback_http_filter_increment_counter(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter, size_t id,
    envoy_dynamic_module_type_module_buffer* label_values, size_t label_values_length,
    uint64_t value);
envoy_dynamic_module_type_metrics_result
envoy_dynamic_module_callback_http_filter_increment_gauge(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter, size_t id,
    envoy_dynamic_module_type_module_buffer* label_values, size_t label_values_length,
    uint64_t value);
envoy_dynamic_module_type_metrics_result
envoy_dynamic_module_callback_http_filter_decrement_gauge(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter, size_t id,
    envoy_dynamic_module_type_module_buffer* label_values, size_t label_values_length,
    uint64_t value);
envoy_dynamic_module_type_metrics_result envoy_dynamic_module_callback_http_filter_set_gauge(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter, size_t id,
    envoy_dynamic_module_type_module_buffer* label_values, size_t label_values_length,
    uint64_t value);
envoy_dynamic_module_type_metrics_result
envoy_dynamic_module_callback_http_filter_record_histogram_value(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter, size_t id,
    envoy_dynamic_module_type_module_buffer* label_values, size_t label_values_length,
    uint64_t value);

// --- Facts, metadata, filter state, routing ---

/** 1.40's; all but the first count from the request's start. */
struct envoy_dynamic_module_type_timing_info_v2 {
  int64_t values_ns[19];
  bool has_value[19];
};
static_assert(sizeof(envoy_dynamic_module_type_timing_info_v2) == 176);

bool envoy_dynamic_module_callback_http_filter_get_attribute_string(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_attribute_id attribute_id,
    envoy_dynamic_module_type_envoy_buffer* result);
bool envoy_dynamic_module_callback_http_filter_get_attribute_int(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_attribute_id attribute_id, uint64_t* result);
bool envoy_dynamic_module_callback_http_filter_get_attribute_bool(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_attribute_id attribute_id, bool* result);
/** Since 1.40. */
__attribute__((weak)) void envoy_dynamic_module_callback_http_get_timing_info(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_timing_info_v2* timing_out);
/** Since 1.40. */
__attribute__((weak)) bool envoy_dynamic_module_callback_http_get_downstream_direct_remote_address(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_envoy_buffer* result);

#define FAIRLEAD_SOCKET_OPTION                                                                     \
  envoy_dynamic_module_type_http_filter_envoy_ptr filter, int64_t level, int64_t name,             \
      envoy_dynamic_module_type_socket_option_state state,                                         \
      envoy_dynamic_module_type_socket_direction direction
bool envoy_dynamic_module_callback_http_set_socket_option_int(FAIRLEAD_SOCKET_OPTION,
                                                              int64_t value);
bool envoy_dynamic_module_callback_http_set_socket_option_bytes(
    FAIRLEAD_SOCKET_OPTION, envoy_dynamic_module_type_module_buffer value);
#undef FAIRLEAD_SOCKET_OPTION

#define FAIRLEAD_METADATA_KEY                                                                      \
  envoy_dynamic_module_type_http_filter_envoy_ptr filter,                                          \
      envoy_dynamic_module_type_metadata_source metadata_source,                                   \
      envoy_dynamic_module_type_module_buffer ns, envoy_dynamic_module_type_module_buffer key
bool envoy_dynamic_module_callback_http_get_metadata_number(FAIRLEAD_METADATA_KEY, double* result);
bool envoy_dynamic_module_callback_http_get_metadata_string(
    FAIRLEAD_METADATA_KEY, envoy_dynamic_module_type_envoy_buffer* result);
bool envoy_dynamic_module_callback_http_get_metadata_bool(FAIRLEAD_METADATA_KEY, bool* result);
bool envoy_dynamic_module_callback_http_get_metadata_list_size(FAIRLEAD_METADATA_KEY, size_t* result);
bool envoy_dynamic_module_callback_http_get_metadata_list_number(FAIRLEAD_METADATA_KEY, size_t index,
                                                                 double* result);
bool envoy_dynamic_module_callback_http_get_metadata_list_string(
    FAIRLEAD_METADATA_KEY, size_t index, envoy_dynamic_module_type_envoy_buffer* result);
bool envoy_dynamic_module_callback_http_get_metadata_list_bool(FAIRLEAD_METADATA_KEY, size_t index,
                                                               bool* result);
#undef FAIRLEAD_METADATA_KEY
size_t envoy_dynamic_module_callback_http_get_metadata_keys_count(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_metadata_source metadata_source,
    envoy_dynamic_module_type_module_buffer ns);
bool envoy_dynamic_module_callback_http_get_metadata_keys(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_metadata_source metadata_source,
    envoy_dynamic_module_type_module_buffer ns, envoy_dynamic_module_type_envoy_buffer* result);
size_t envoy_dynamic_module_callback_http_get_metadata_namespaces_count(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_metadata_source metadata_source);
bool envoy_dynamic_module_callback_http_get_metadata_namespaces(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_metadata_source metadata_source,
    envoy_dynamic_module_type_envoy_buffer* result);
/** Since 1.40. */
__attribute__((weak)) bool envoy_dynamic_module_callback_http_get_typed_metadata(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_metadata_source metadata_source,
    envoy_dynamic_module_type_module_buffer ns, envoy_dynamic_module_type_envoy_buffer* type_url,
    envoy_dynamic_module_type_envoy_buffer* value);
void envoy_dynamic_module_callback_http_set_dynamic_metadata_number(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_module_buffer ns, envoy_dynamic_module_type_module_buffer key,
    double value);
void envoy_dynamic_module_callback_http_set_dynamic_metadata_string(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_module_buffer ns, envoy_dynamic_module_type_module_buffer key,
    envoy_dynamic_module_type_module_buffer value);
void envoy_dynamic_module_callback_http_set_dynamic_metadata_bool(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_module_buffer ns, envoy_dynamic_module_type_module_buffer key,
    bool value);
/** Since 1.40: merges a serialized google.protobuf.Struct. */
__attribute__((weak)) void envoy_dynamic_module_callback_http_set_dynamic_metadata_struct(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_module_buffer ns,
    envoy_dynamic_module_type_module_buffer serialized_struct);
// These append, and make the list.
bool envoy_dynamic_module_callback_http_add_dynamic_metadata_list_number(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_module_buffer ns, envoy_dynamic_module_type_module_buffer key,
    double value);
bool envoy_dynamic_module_callback_http_add_dynamic_metadata_list_string(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_module_buffer ns, envoy_dynamic_module_type_module_buffer key,
    envoy_dynamic_module_type_module_buffer value);
bool envoy_dynamic_module_callback_http_add_dynamic_metadata_list_bool(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_module_buffer ns, envoy_dynamic_module_type_module_buffer key,
    bool value);

bool envoy_dynamic_module_callback_http_set_filter_state_bytes(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_module_buffer key, envoy_dynamic_module_type_module_buffer value);
bool envoy_dynamic_module_callback_http_set_filter_state_typed(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_module_buffer key, envoy_dynamic_module_type_module_buffer value);
bool envoy_dynamic_module_callback_http_get_filter_state_typed(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_module_buffer key, envoy_dynamic_module_type_envoy_buffer* result);

void envoy_dynamic_module_callback_http_clear_route_cache(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter);
bool envoy_dynamic_module_callback_http_get_cluster_name(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_envoy_buffer* result);
bool envoy_dynamic_module_callback_http_get_cluster_host_count(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter, uint32_t priority, size_t* total_count,
    size_t* healthy_count, size_t* degraded_count);
bool envoy_dynamic_module_callback_http_set_upstream_override_host(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_module_buffer host, bool strict);
/** Since 1.39. */
__attribute__((weak)) uint64_t envoy_dynamic_module_callback_http_get_upstream_connection_id(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter);

// --- Tracing. Texts live until the next of these calls on the thread. ---

using envoy_dynamic_module_type_span_envoy_ptr = void*;
using envoy_dynamic_module_type_child_span_module_ptr = void*;

/** Null: not traced. */
envoy_dynamic_module_type_span_envoy_ptr envoy_dynamic_module_callback_http_get_active_span(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter);
envoy_dynamic_module_type_child_span_module_ptr envoy_dynamic_module_callback_http_span_spawn_child(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_span_envoy_ptr span,
    envoy_dynamic_module_type_module_buffer operation_name);
/** Frees it, too. */
void envoy_dynamic_module_callback_http_child_span_finish(
    envoy_dynamic_module_type_child_span_module_ptr span);
// A child can stand for a span.
void envoy_dynamic_module_callback_http_span_set_tag(envoy_dynamic_module_type_span_envoy_ptr span,
                                                     envoy_dynamic_module_type_module_buffer key,
                                                     envoy_dynamic_module_type_module_buffer value);
void envoy_dynamic_module_callback_http_span_log(
    envoy_dynamic_module_type_http_filter_envoy_ptr filter,
    envoy_dynamic_module_type_span_envoy_ptr span, envoy_dynamic_module_type_module_buffer event);
void envoy_dynamic_module_callback_http_span_set_operation(
    envoy_dynamic_module_type_span_envoy_ptr span,
    envoy_dynamic_module_type_module_buffer operation);
void envoy_dynamic_module_callback_http_span_set_sampled(
    envoy_dynamic_module_type_span_envoy_ptr span, bool sampled);
bool envoy_dynamic_module_callback_http_span_get_baggage(
    envoy_dynamic_module_type_span_envoy_ptr span, envoy_dynamic_module_type_module_buffer key,
    envoy_dynamic_module_type_envoy_buffer* result);
void envoy_dynamic_module_callback_http_span_set_baggage(
    envoy_dynamic_module_type_span_envoy_ptr span, envoy_dynamic_module_type_module_buffer key,
    envoy_dynamic_module_type_module_buffer value);
bool envoy_dynamic_module_callback_http_span_get_trace_id(
    envoy_dynamic_module_type_span_envoy_ptr span, envoy_dynamic_module_type_envoy_buffer* result);
bool envoy_dynamic_module_callback_http_span_get_span_id(
    envoy_dynamic_module_type_span_envoy_ptr span, envoy_dynamic_module_type_envoy_buffer* result);

// The event hooks that Envoy calls are defined in envoy_abi.cc, in Envoy's order.

}  // extern "C"
