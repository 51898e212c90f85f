// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * A span of Envoy's tracer: that of the exchange, or a child that the script has begun.
 *
 * Without a tracer in Envoy's config, and for a child that has been finished, it has no ids and does nothing. Spans of a
 * trace that is not sampled are there, and dropped by the tracer. The words are Envoy's; what becomes of
 * them is the tracer's: `log` makes an annotation of Zipkin.
 *
 * Each `fetch` has a child of the exchange's span, named `async CLUSTER egress`, with the tags `component`,
 * `upstream_cluster`, `http.method`, `http.url`, `http.status_code`, and `error` for 5xx and failures, which have their code
 * in `error.type`. Its request carries `traceparent` and `b3`, and the `tracestate` that the exchange came with, in the
 * place of any that the script has given; of Zipkin, whose ids of spans Envoy does not tell, with the id of the exchange's
 * span. No header is written for tracers whose ids are not those of the W3C.
 *
 * All that a stream has its tracer keep is at most 64 KiB, at 32 bytes for each call and 1 KiB for each child.
 *
 * @since 1
 */
export interface Span {
  /**
   * The id of the trace, as the tracer writes it; undefined without a tracer.
   *
   * @phase Hooks
   * @since 1
   * @example
   * request.headers.set("x-trace-id", ctx.span.traceId ?? "none");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly traceId: string | undefined;

  /**
   * The id of the span; undefined without a tracer, of Zipkin's spans, and once a child is finished.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info("span", ctx.span.spanId);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly spanId: string | undefined;

  /**
   * Whether the trace is recorded.
   *
   * Envoy does not tell it to filters, so it is what the script has set, else what the request's trace headers say when the
   * trace is theirs, else what Envoy has noted in `x-request-id`, and undefined where none of these says anything. A tracer
   * with a sampler of its own, or `use_request_id_for_trace_sampling: false`, may have decided otherwise. Set it to decide
   * for the span and for children begun later, those of `fetch` included.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (request.path?.startsWith("/health")) ctx.span.sampled = false;
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_ARGUMENT when it is set to something other than a boolean
   * @throws E_WRONG_PHASE when it is set in `onLog`
   */
  get sampled(): boolean | undefined;
  set sampled(value: boolean);

  /**
   * Gives the span a tag.
   *
   * @phase RequestHeaders|ResponseHeaders
   * @since 1
   * @example
   * ctx.span.setTag("cache.hit", true);
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_WRONG_PHASE in `onLog`: Envoy has ended its span by then
   * @throws E_ARGUMENT for a value that is not a string, a number or a boolean
   * @throws E_SPAN_LIMIT when the stream has its tracer keep too much
   */
  setTag(key: string, value: string | number | boolean): void;

  /**
   * Notes an event, with the time of the call.
   *
   * @phase RequestHeaders|ResponseHeaders
   * @since 1
   * @example
   * ctx.span.log("token verified");
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_WRONG_PHASE in `onLog`: Envoy has ended its span by then
   * @throws E_SPAN_LIMIT when the stream has its tracer keep too much
   */
  log(event: string): void;

  /**
   * Names what the span is about.
   *
   * @phase RequestHeaders|ResponseHeaders
   * @since 1
   * @example
   * ctx.span.setOperation("checkout");
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_WRONG_PHASE in `onLog`: Envoy has ended its span by then
   * @throws E_SPAN_LIMIT when the stream has its tracer keep too much
   */
  setOperation(operation: string): void;

  /**
   * A value that travels with the trace; undefined where the tracer keeps none, as Envoy's Zipkin and OpenTelemetry.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.span.getBaggage("tenant"));
   * @throws E_DEAD_HANDLE after the stream
   */
  getBaggage(key: string): string | undefined;

  /**
   * Sets a value that travels with the trace, where the tracer keeps such.
   *
   * @phase RequestHeaders|ResponseHeaders
   * @since 1
   * @example
   * ctx.span.setBaggage("tenant", "blue");
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_WRONG_PHASE in `onLog`: Envoy has ended its span by then
   * @throws E_SPAN_LIMIT when the stream has its tracer keep too much
   */
  setBaggage(key: string, value: string): void;

  /**
   * Begins a child of the span. It ends with `finish()`, at the latest with the stream.
   *
   * @phase RequestHeaders|ResponseHeaders
   * @since 1
   * @example
   * const span = ctx.span.spawnChild("verify token");
   * try {
   *   await fetch("http://auth/verify");
   * } finally {
   *   span.finish();
   * }
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_WRONG_PHASE in `onLog`: Envoy has ended its span by then
   * @throws E_SPAN_LIMIT when the stream has its tracer keep too much
   */
  spawnChild(operation: string): Span;

  /**
   * Ends a child. On `ctx.span` it does nothing: Envoy ends that one itself.
   *
   * @phase Hooks
   * @since 1
   * @example
   * ctx.span.spawnChild("parse").finish();
   * @throws E_DEAD_HANDLE after the stream
   */
  finish(): void;
}
