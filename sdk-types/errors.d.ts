// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * The codes that scripts see in `error.code`. They are stable; messages are not. One row each in host_errors.def.
 *
 * @since 1
 */
export type HostErrorCode =
  // Handles, phases, calls
  | 'E_DEAD_HANDLE'
  | 'E_STREAM_ENDED'
  | 'E_NO_STREAM'
  | 'E_WRONG_PHASE'
  | 'E_ILLEGAL_INVOCATION'
  | 'E_ILLEGAL_CONSTRUCTOR'
  | 'E_MISSING_ARGUMENT'
  | 'E_ARGUMENT'
  | 'E_RANGE'
  | 'E_OPTION'
  | 'E_OPTION_NAME'
  | 'E_DYNAMIC_IMPORT'
  | 'E_INTERNAL'
  // Headers and messages
  | 'E_HEADERS_SENT'
  | 'E_HEADER_NAME'
  | 'E_HEADER_VALUE'
  | 'E_EMPTY_VALUE'
  | 'E_FRAMING_HEADER'
  | 'E_HEADER_LIMIT'
  | 'E_IMMUTABLE'
  | 'E_STATUS'
  | 'E_NULL_BODY_STATUS'
  | 'E_METHOD'
  | 'E_TARGET'
  | 'E_NOT_LIVE'
  | 'E_URL'
  | 'E_URL_PATTERN'
  | 'E_BODY_USED'
  | 'E_BODY_UNAVAILABLE'
  | 'E_BODY_ENCODED'
  | 'E_BODY_ENDLESS'
  | 'E_NO_TRAILERS'
  | 'E_BODY_CHUNK'
  | 'E_BODY_LIMIT'
  | 'E_FORM'
  | 'E_FORM_LIMIT'
  // fetch, timers
  | 'E_FETCH_CLUSTER_NOT_ALLOWED'
  | 'E_FETCH_CLUSTER_UNKNOWN'
  | 'E_FETCH_NO_HOST'
  | 'E_FETCH_RESET'
  | 'E_FETCH_REQUEST'
  | 'E_FETCH_REDIRECT'
  | 'E_FETCH_RETRY'
  | 'E_FETCH_KEEPALIVE'
  | 'E_FETCH_KEEPALIVE_LIMIT'
  | 'E_FETCH_LIMIT'
  | 'E_FETCH_TIMEOUT'
  | 'E_ABORTED'
  | 'E_TIMER_LIMIT'
  // What streams share
  | 'E_SHARED_LIMIT'
  | 'E_SHARED_TYPE'
  | 'E_SECRET'
  | 'E_SECRET_PENDING'
  | 'E_RUNTIME_KEY'
  | 'E_METRIC'
  | 'E_METRIC_LABELS'
  // Encodings
  | 'E_ENCODING'
  | 'E_DECODE'
  | 'E_COMPRESSION'
  // Facts, metadata, routing
  | 'E_ATTRIBUTE'
  | 'E_METADATA_NAMESPACE'
  | 'E_METADATA_VALUE'
  | 'E_METADATA_LIMIT'
  | 'E_FILTER_STATE'
  | 'E_SPAN_LIMIT'
  | 'E_UPSTREAM_HOST'
  | 'E_SOCKET_OPTION'
  | 'E_ENVOY_RELEASE'
  | 'E_CLUSTER_HEADER'
  // Cryptography
  | 'E_CRYPTO_ALGORITHM'
  | 'E_CRYPTO_KEY'
  | 'E_CRYPTO_USAGES'
  | 'E_CRYPTO_DATA'
  | 'E_CRYPTO_OPERATION'
  | 'E_TYPE_MISMATCH'
  | 'E_QUOTA'
  // structuredClone
  | 'E_DATA_CLONE'
  // What a hook gives back
  | 'E_RETURN_VALUE'
  | 'E_RETURN_REQUEST'
  | 'E_RETURN_FETCHED';

/**
 * What fairlead throws: an error of the class that the standards name (TypeError, RangeError, DOMException, …), with a
 * code. Errors of the language and of other code have no such member.
 *
 * @since 1
 * @example
 * import type { HostError } from "fairlead";
 *
 * try {
 *   await fetch("http://auth/verify", { timeoutMs: 100 });
 * } catch (error) {
 *   if ((error as HostError).code !== "E_FETCH_TIMEOUT") throw error;
 *   console.warn("auth is slow");
 * }
 */
export interface HostError extends Error {
  /**
   * Which row of host_errors.def it is.
   *
   * @phase Always
   * @since 1
   * @example
   * import type { HostError } from "fairlead";
   *
   * const isTimeout = (error: HostError) => error.code === "E_FETCH_TIMEOUT";
   */
  readonly code: HostErrorCode;
}
