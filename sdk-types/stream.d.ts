// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { Attributes, Connection, LocalReplyResult, TimingResult } from './facts.js';
import type { FilterState, Metadata } from './metadata.js';
import type { RuntimeKeys } from './runtime_keys.js';
import type { Secrets } from './secrets.js';
import type { Cluster, Route, UpstreamHostOptions } from './routing.js';
import type { Span } from './tracing.js';

import type { Chunk, ChunkResult } from './body.js';

/**
 * Which of an exchange's two connections, in Envoy's words.
 *
 * @since 1
 */
export type SocketDirection = 'upstream' | 'downstream';

/**
 * What a hook gives back: nothing lets the message go on, a Response answers in its place.
 *
 * @since 1
 */
export type HookResult = Response | null | undefined | void;

/**
 * What `configure` learns about where it runs. It is equal on all workers.
 *
 * @since 1
 */
export interface Environment {
  /**
   * The `filter_name` of the filter in Envoy's config.
   *
   * @phase Load
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter({ configure: (config, env) => console.info("loading", env.filterName) });
   */
  readonly filterName: string;

  /**
   * The version of fairlead.
   *
   * @phase Load
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter({ configure: (config, env) => console.info("fairlead", env.version) });
   */
  readonly version: string;

  /**
   * Whether Envoy only checks its config (`envoy --mode validate`) and will not serve.
   *
   * @phase Load
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter({
   *   configure(config, env) {
   *     if (!env.validating) console.info("starting with", config);
   *   },
   * });
   */
  readonly validating: boolean;
}

/**
 * One HTTP exchange: the same object in all hooks of it. Kept beyond the exchange, every member throws E_DEAD_HANDLE.
 *
 * @since 1
 */
export interface Context<Config = unknown, State extends object = Record<string, unknown>, Settings = unknown> {
  /**
   * The request, live: the same object that `onRequest` gets.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.request.method, ctx.request.path);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly request: IncomingRequest;

  /**
   * The response, live: the same object that `onResponse` gets; null until its headers are there.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.response?.status ?? "no answer");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly response: IncomingResponse | null;

  /**
   * What the filter wants to remember of this exchange; an empty object at first, another one can be put in its place.
   *
   * Every member may be missing: `onResponse` can come without `onRequest`, when an earlier filter has answered.
   *
   * @phase Hooks
   * @since 1
   * @example
   * ctx.state["user"] = "ann";
   * @throws E_DEAD_HANDLE after the stream
   */
  state: Partial<State>;

  /**
   * The `config` object of the filter in Envoy's config, frozen with all that it holds; `{}` when there is none.
   *
   * @phase Hooks
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter<{ realm: string }>({
   *   onRequest: (request, ctx) => request.headers.set("x-realm", ctx.config.realm),
   * });
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly config: Config;

  /**
   * What `configure` returned; undefined without that hook. It is shared by the exchanges of a worker.
   *
   * @phase Hooks
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter({
   *   configure: (config: { hosts: string[] }) => new Set(config.hosts),
   *   onRequest(request, ctx) {
   *     if (!ctx.settings.has(request.host ?? "")) return new Response("unknown host\n", { status: 421 });
   *   },
   * });
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly settings: Settings;

  /**
   * Is aborted when the exchange ends, before `onLog`; the reason is an AbortError with the code E_ABORTED.
   *
   * @phase Hooks
   * @since 1
   * @example
   * ctx.signal.addEventListener("abort", () => console.info("the client has gone"), { once: true });
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly signal: AbortSignal;

  /**
   * What Envoy knows of this exchange, by its own names: `ctx.attributes["request.path"]`.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (ctx.attributes["connection.mtls"]) console.info(ctx.attributes["connection.subject_peer_certificate"]);
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_ATTRIBUTE by a name that is no attribute
   */
  readonly attributes: Attributes;

  /**
   * The client's connection: addresses and TLS.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.connection.remoteAddress);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly connection: Connection;

  /**
   * Points in the life of this exchange up to now. Since Envoy 1.40; undefined before.
   *
   * @phase Hooks
   * @since 1
   * @example
   * const { startUnixMs, firstUpstreamByteReceivedMs } = ctx.timing ?? {};
   * console.info(startUnixMs, firstUpstreamByteReceivedMs);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly timing: TimingResult | undefined;

  /**
   * The answer that Envoy or another filter has made in place of the upstream; null when there is none. This filter's own
   * is not told.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (ctx.localReply?.details === "route_not_found") console.warn("no route for", ctx.request.path);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly localReply: LocalReplyResult | null;

  /**
   * The dynamic metadata of this exchange: what filters tell each other and access logs.
   *
   * @phase Hooks
   * @since 1
   * @example
   * ctx.metadata.set("auth", "user", "ann");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly metadata: Metadata;

  /**
   * The filter state of this exchange: objects that filters leave for each other.
   *
   * @phase Hooks
   * @since 1
   * @example
   * ctx.filterState.set("example.user", "ann");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly filterState: FilterState;

  /**
   * The route that the request takes.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.route.name);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly route: Route;

  /**
   * The cluster that the request goes to.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.cluster.name, ctx.cluster.hosts()?.healthy);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly cluster: Cluster;

  /**
   * Envoy's runtime, under the keys that the filter's config names.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (ctx.runtime.get("example.enabled", true) === false) return;
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly runtime: RuntimeKeys;

  /**
   * The secrets that the filter's config names.
   *
   * @phase Hooks
   * @since 1
   * @example
   * request.headers.set("x-api-key", ctx.secrets.get("api-key").text());
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly secrets: Secrets;

  /**
   * The span that Envoy's tracer has made for the exchange. Without a tracer it has no ids, and does nothing.
   *
   * @phase Hooks
   * @since 1
   * @example
   * ctx.span.setTag("tenant", request.headers.get("x-tenant") ?? "none");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly span: Span;

  /**
   * Has Envoy choose the route anew, by the request as it is now.
   *
   * Without it a request whose path, host or headers have been changed goes where it would have gone before. In a cluster's
   * upstream filters it does nothing. Since Envoy 1.39: before, it would end Envoy there.
   *
   * @phase RequestHeaders
   * @since 1
   * @example
   * request.path = "/v2" + (request.path ?? "/");
   * ctx.clearRouteCache();
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_WRONG_PHASE outside of `onRequest`
   * @throws E_ENVOY_RELEASE before Envoy 1.39
   * @throws E_HEADERS_SENT when the request has left
   */
  clearRouteCache(): void;

  /**
   * Asks for one host of the cluster, by its address and port.
   *
   * Without `strict` Envoy takes another host when that one is not there or not healthy.
   *
   * @phase RequestHeaders
   * @since 1
   * @example
   * ctx.setUpstreamHost("10.0.0.7:8080", { strict: true });
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_WRONG_PHASE outside of `onRequest`
   * @throws E_HEADERS_SENT when the request has left
   * @throws E_UPSTREAM_HOST for what is no IP address with a port
   * @throws E_ARGUMENT for options that are not an object
   * @throws E_OPTION_NAME for an option of another name
   */
  setUpstreamHost(address: string, options?: UpstreamHostOptions): void;

  /**
   * What this filter has set with `setSocketOption` in this exchange; undefined where it has set nothing. Envoy does not
   * ask the system.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (ctx.socketOption("upstream", 1, 36) === undefined) ctx.setSocketOption("upstream", 1, 36, 7);
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_ARGUMENT for another direction, and for numbers that are not integers of 32 bits
   */
  socketOption(direction: SocketDirection, level: number, name: number): number | Uint8Array | undefined;

  /**
   * Sets an option of a connection's socket, by the numbers that the system of this Envoy gives to its level and name:
   * on Linux level 1 is `SOL_SOCKET`, 6 is TCP, 0 is IP, and 41 is IPv6.
   *
   * `downstream` is the client's connection, which is there: the option holds at once, and for its later requests too.
   * `upstream` is the one that the request will be sent by. Its socket gets the option before it is bound (Envoy's state
   * `prebind`), so Envoy shares such a connection only among requests with the same options; one that the system refuses
   * there shows as a connection that fails. A number is the system's `int`, anything else is given as its bytes.
   *
   * @phase RequestHeaders|ResponseHeaders
   * @since 1
   * @example
   * const SOL_SOCKET = 1;
   * const SO_MARK = 36;
   * ctx.setSocketOption("upstream", SOL_SOCKET, SO_MARK, request.path?.startsWith("/bulk") ? 2 : 1);
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_WRONG_PHASE in `onLog`
   * @throws E_ARGUMENT for another direction, numbers that are not integers of 32 bits, and no or more than 256 bytes
   * @throws E_HEADERS_SENT when the request has left and the option is of the upstream
   * @throws E_SOCKET_OPTION when the system refuses it, for packet filters, and for the upstream among a cluster's filters
   * @throws E_METADATA_LIMIT for the 65th write of metadata, filter state and socket options in one stream
   */
  setSocketOption(direction: SocketDirection, level: number, name: number, value: number | ArrayBuffer | ArrayBufferView): void;

  /**
   * Adds a word to what Envoy's access log shows as `%CUSTOM_FLAGS%`; at most 16 in one exchange.
   *
   * @phase Hooks
   * @since 1
   * @example
   * ctx.addResponseFlag("CACHED");
   * @throws E_ARGUMENT for what is not one word of printable ASCII, at most 128 bytes
   * @throws E_RANGE for the 17th flag
   * @throws E_DEAD_HANDLE after the stream
   */
  addResponseFlag(flag: string): void;

  /**
   * Breaks the exchange off when the script has returned: the client sees its stream reset over HTTP/2, its connection
   * closed over HTTP/1, and the upstream the same.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (request.headers.has("x-attack")) ctx.reset();
   * @throws E_STREAM_ENDED in `onLog`
   * @throws E_DEAD_HANDLE after the stream
   */
  reset(): void;

  /**
   * Has the client's connection end when its exchanges are over: over HTTP/2 by GOAWAY, over HTTP/1 by
   * `connection: close`.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (request.headers.has("x-rebalance")) ctx.endConnection();
   * @throws E_STREAM_ENDED in `onLog`
   * @throws E_DEAD_HANDLE after the stream
   */
  endConnection(): void;
}

/**
 * The hooks of a filter, all of them optional. Another name is an error: Envoy refuses the config.
 *
 * `this` is the filter object. A hook may be async; while it waits, the message is held, other exchanges go on, and the
 * config's `wait_ms` runs. A hook that throws, or whose promise is rejected, is answered as the config's `on_error` says.
 *
 * @since 1
 */
export interface Filter<Config = unknown, State extends object = Record<string, unknown>, Settings = unknown> {
  /**
   * Prepares what all exchanges need: compiled tables, regular expressions. What it returns is `ctx.settings`.
   *
   * Runs when Envoy reads its config, and once on each worker. A throw makes Envoy refuse the config. It may await only
   * what settles by itself: there is no exchange here, and so no timer and no `fetch`.
   *
   * @phase Load
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter({
   *   configure(config: { paths?: string[] }) {
   *     if (config.paths === undefined) throw new Error("config.paths is missing");
   *     return config.paths.map((path) => new RegExp(path));
   *   },
   * });
   */
  configure?(config: Config, env: Environment): Settings | Promise<Settings>;

  /**
   * The request's headers are there; the upstream has seen nothing. A returned Response answers the client.
   *
   * @phase RequestHeaders
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter({
   *   onRequest(request) {
   *     if (!request.headers.has("authorization")) return new Response("sign in first\n", { status: 401 });
   *     request.headers.set("x-seen", "1");
   *   },
   * });
   * @throws E_RETURN_VALUE when it returns something else
   * @throws E_RETURN_REQUEST when it returns a Request
   * @throws E_RETURN_FETCHED when it returns the answer of a fetch that has a body
   */
  onRequest?(
    request: IncomingRequest,
    ctx: Context<Config, State, Settings>,
  ): HookResult | Promise<HookResult>;

  /**
   * A piece of the request's body is there, once `onRequest` has settled: see Chunk for when. What it returns passes, takes
   * its place or answers (see ChunkResult). While it waits, the sender is stopped; pieces keep their order.
   *
   * A message whose chunks a hook sees goes on without `content-length`; `skipChunks()` in `onRequest` keeps it. Messages
   * without a body have no chunks.
   *
   * @phase RequestHeaders
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter({
   *   onRequestChunk: (chunk) => (chunk.text().includes("forbidden") ? new Response("no\n", { status: 403 }) : undefined),
   * });
   * @throws E_RETURN_VALUE when it returns something else
   * @throws E_HEADERS_SENT when it returns a Response and the answer has begun
   */
  onRequestChunk?(
    chunk: Chunk,
    ctx: Context<Config, State, Settings>,
  ): ChunkResult | Promise<ChunkResult>;

  /**
   * The request's trailers are there, behind the last chunk. They can be written until this has settled.
   *
   * HTTP/1 trailers reach a filter only where Envoy's config enables them.
   *
   * @phase RequestHeaders
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter({
   *   onRequestTrailers(trailers) {
   *     trailers.delete("x-internal");
   *   },
   * });
   * @throws E_RETURN_VALUE when it returns something else
   * @throws E_HEADERS_SENT when it returns a Response and the answer has begun
   */
  onRequestTrailers?(
    trailers: Headers,
    ctx: Context<Config, State, Settings>,
  ): HookResult | Promise<HookResult>;

  /**
   * The response's headers are there; the client has seen nothing. A returned Response takes the response's place.
   *
   * Also runs for answers of Envoy and of other filters, perhaps without `onRequest` before. Returning the same
   * `response` lets it go on.
   *
   * @phase ResponseHeaders
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter({
   *   onResponse(response) {
   *     response.headers.set("strict-transport-security", "max-age=31536000");
   *   },
   * });
   * @throws E_RETURN_VALUE when it returns something else
   * @throws E_RETURN_REQUEST when it returns a Request
   * @throws E_RETURN_FETCHED when it returns the answer of a fetch that has a body
   */
  onResponse?(
    response: IncomingResponse,
    ctx: Context<Config, State, Settings>,
  ): HookResult | Promise<HookResult>;

  /**
   * A piece of the response's body is there, once `onResponse` has settled: see Chunk for when. What it returns passes or takes
   * its place (see ChunkResult). While it waits, the sender is stopped; pieces keep their order.
   *
   * A message whose chunks a hook sees goes on without `content-length`; `skipChunks()` in `onResponse` keeps it. Messages
   * without a body have no chunks.
   *
   * @phase ResponseHeaders
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter({
   *   onResponseChunk: (chunk) => chunk.text().replaceAll("http://", "https://"),
   * });
   * @throws E_RETURN_VALUE when it returns something else
   * @throws E_HEADERS_SENT when it returns a Response: the answer has begun
   */
  onResponseChunk?(
    chunk: Chunk,
    ctx: Context<Config, State, Settings>,
  ): ChunkResult | Promise<ChunkResult>;

  /**
   * The response's trailers are there, behind the last chunk. They can be written until this has settled.
   *
   * HTTP/1 trailers reach a filter only where Envoy's config enables them.
   *
   * @phase ResponseHeaders
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter({
   *   onResponseTrailers(trailers) {
   *     trailers.delete("x-internal");
   *   },
   * });
   * @throws E_RETURN_VALUE when it returns something else
   * @throws E_HEADERS_SENT when it returns a Response: the answer has begun
   */
  onResponseTrailers?(
    trailers: Headers,
    ctx: Context<Config, State, Settings>,
  ): HookResult | Promise<HookResult>;

  /**
   * The exchange is over, however it ended: the last time that everything can be read. What it returns is ignored, and
   * nothing is waited for.
   *
   * @phase Log
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter({
   *   onLog(ctx) {
   *     console.info(ctx.request.path, ctx.response?.status);
   *   },
   * });
   */
  onLog?(ctx: Context<Config, State, Settings>): void;
}

/**
 * Gives a filter its types: `export default defineFilter({ … })`. It returns what it is given.
 *
 * `Config` is the `config` object of Envoy's config, `State` is `ctx.state`. `Settings` follows from `configure`: when
 * `Config` is left to its annotation there, all three are known without being named.
 *
 * @phase Always
 * @since 1
 * @example
 * import { defineFilter } from "fairlead";
 *
 * export default defineFilter<{ realm: string }, { user: string }>({
 *   onRequest(request, ctx) {
 *     ctx.state.user = request.headers.get("x-user") ?? "nobody";
 *     request.headers.set("x-realm", ctx.config.realm);
 *   },
 *   onResponse(response, ctx) {
 *     response.headers.set("x-served-for", ctx.state.user ?? "nobody");
 *   },
 * });
 * @throws E_ARGUMENT for what is not an object
 */
export function defineFilter<Config = unknown, State extends object = Record<string, unknown>, Settings = unknown>(
  filter: Filter<Config, State, Settings>,
): Filter<Config, State, Settings>;
