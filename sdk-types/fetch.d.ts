// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * When a call is made anew, and how often: the words are those of Envoy's retry policy.
 *
 * @since 1
 * @example
 * const retry: FetchRetry = { numRetries: 3, retryOn: ["5xx", "reset", 429], perTryTimeoutMs: 100 };
 */
interface FetchRetry {
  /**
   * How many tries may follow the first: from 0 to 10; by default 0.
   *
   * @since 1
   */
  numRetries?: number | undefined;

  /**
   * Which failures are followed by another try: a status from 400 to 599, or one of these words. By default `reset`,
   * `timeout` and `gateway-error`.
   *
   * - `reset`: the call has ended without the answer that is to be given, or no host of the cluster could take it.
   * - `timeout`: `perTryTimeoutMs` are over.
   * - `gateway-error`: status 502, 503 or 504. When nobody listens, or a connection ends early, Envoy answers with 503.
   * - `5xx`: any status from 500.
   *
   * @since 1
   */
  retryOn?: readonly (number | "reset" | "timeout" | "gateway-error" | "5xx")[] | undefined;

  /**
   * How long one try may take until its answer is given, in milliseconds: from 1 to 3600000; by default as long as all of
   * them together, `timeoutMs`.
   *
   * @since 1
   */
  perTryTimeoutMs?: number | undefined;

  /**
   * The longest pause before the first retry, in milliseconds, from 1 to 3600000; by default 25. It doubles with each
   * retry; a pause takes any time below.
   *
   * @since 1
   */
  baseIntervalMs?: number | undefined;

  /**
   * The longest pause of all, in milliseconds, also where `retry-after` asks for more, in seconds or by a date; by
   * default ten times `baseIntervalMs`.
   *
   * @since 1
   */
  maxIntervalMs?: number | undefined;

  /**
   * The call may arrive more than once, whatever its method is. GET, HEAD, OPTIONS, PUT and DELETE may without it.
   *
   * @since 1
   */
  idempotent?: boolean | undefined;
}

/**
 * What `fetch` takes beside the members of RequestInit.
 *
 * @since 1
 */
interface FetchInit extends RequestInit {
  /**
   * How long to wait for the complete answer, in milliseconds: from 1 to 3600000; by default the config's `wait_ms`.
   *
   * @since 1
   */
  timeoutMs?: number | undefined;

  /**
   * Has a call that fails made anew: a number stands for `{ numRetries }`. All tries together take `timeoutMs` at most,
   * and each is one of the calls that a stream may make. When nothing is left of either, or too many calls to a cluster
   * are retries already (more than three, and more than a fifth of those that may be), what has come is given.
   *
   * @since 1
   */
  retry?: number | FetchRetry | undefined;

  /**
   * Lets the call outlive the stream, and does not wait for it: `fetch` gives a Response with status 202 as soon as the
   * call has been handed over to Envoy's main thread, and no script hears of its answer. So it may be made in `onLog`.
   * What cannot be answered is logged and counted (`errors{cause="keepalive"}`), and so is a status from 400.
   *
   * Such a call is not redirected and not retried; a signal ends it only before it begins; its body is a string or bytes,
   * up to 64 KiB. It counts among the calls of the stream, but not among those in flight: those of a config are limited
   * by `limits.keepalives`. When the config goes, its calls end. Envoy before 1.39 does not count what fails.
   *
   * @since 1
   */
  keepalive?: boolean | undefined;
}

/**
 * Calls a cluster of Envoy and gives its answer when the headers are there, or, where `content-length` says that it is
 * no longer than 16 KiB, when it is whole.
 *
 * The host of the URL names the cluster: it must be among the `clusters` of the filter's config. Scheme and port do not
 * choose it. The call starts when the script has returned to its first `await`; Envoy's own time limit is off. An answer
 * with an error status is an answer: look at `ok`. Redirects are followed 5 times, to allowed clusters only, without
 * credentials to another host. `host` and the headers of a hop are not sent.
 *
 * Of the body of an answer at most `body_kb` are held: what is read piece by piece can be longer, but nothing makes the
 * upstream wait. A body that is a stream may give as much, and cannot be sent again after a redirect.
 *
 * When the stream ends, a waiting call is rejected with an AbortError; a call made after that never settles, but for one
 * with `keepalive`.
 *
 * @see https://fetch.spec.whatwg.org/#fetch-method
 * @phase Hooks
 * @since 1
 * @example
 * const answer = await fetch("http://auth/verify", { headers: { "x-token": "7" }, timeoutMs: 200 });
 * if (!answer.ok) console.warn("auth said", answer.status, await answer.text());
 * @throws E_NO_STREAM at load
 * @throws E_ARGUMENT for an `init` that is not an object
 * @throws E_URL for a URL that is not absolute or holds credentials; by the promise, as all that follow
 * @throws E_OPTION for a member of `init` that has no such value
 * @throws E_OPTION_NAME for a member of `retry` of another name
 * @throws E_METHOD for CONNECT, TRACE, TRACK, and what is no method
 * @throws E_HEADER_NAME for a name that is not a token
 * @throws E_HEADER_VALUE for a value with CR, LF or NUL
 * @throws E_BODY_USED for a Request whose body has been read
 * @throws E_FETCH_CLUSTER_NOT_ALLOWED when the config does not allow the URL's host
 * @throws E_FETCH_CLUSTER_UNKNOWN when Envoy has no such cluster
 * @throws E_FETCH_NO_HOST when no host of the cluster could take the call
 * @throws E_FETCH_REQUEST when Envoy refuses the request
 * @throws E_FETCH_RESET when the call ends before the answer is complete
 * @throws E_FETCH_REDIRECT for a redirect that cannot or shall not be followed
 * @throws E_FETCH_RETRY for `retry` with a body that is a stream, or with a method that is not idempotent
 * @throws E_FETCH_KEEPALIVE for `keepalive` with a body that is a stream or larger than 64 KiB, or with `retry`
 * @throws E_FETCH_KEEPALIVE_LIMIT for more calls with `keepalive` at once than `limits.keepalives`
 * @throws E_FETCH_LIMIT for more calls at once than `limits.fetches`, or ten times as many in one stream
 * @throws E_FETCH_TIMEOUT when `timeoutMs` are over; a DOMException of the name TimeoutError
 * @throws E_ABORTED when the stream ends before; a DOMException of the name AbortError
 * @throws E_BODY_LIMIT for an answer of which too much is held, and a stream that gives too much
 */
declare function fetch(input: RequestInfo | URL, init?: FetchInit): Promise<Response>;
