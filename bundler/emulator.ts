// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Filters without Envoy: fairlead.wasm runs the same core and the same engine over Envoy's rules in memory. An exchange
// is described as data, so that one description can be put before a real Envoy as well.
//
// The core runs in a thread of its own, whose stack is large enough for every stack_kb a config may ask for.
//
// What the connection manager and the router do by themselves is left out: headers that they add (date, server,
// x-request-id, x-forwarded-proto, …), routes, retries. Time is virtual: it passes by itself while an exchange waits.

import { Worker } from 'node:worker_threads';

import { type EngineError, load } from './compiler.ts';

/** Bytes of a body; text is sent as UTF-8. */
export type Bytes = string | Uint8Array;

/** Header lines as `[name, value]`, in order. In values a character stands for a byte. */
export type HeaderLines = readonly (readonly [name: string, value: string])[];

/**
 * Header lines, or an object of them; a list of values makes several lines. Blanks around a value do not arrive: they are
 * no part of it.
 */
export type HeadersDescription = HeaderLines | Readonly<Record<string, string | readonly string[]>>;

interface MessageDescription {
  readonly headers?: HeadersDescription;
  /**
   * A list is sent as so many frames. Default: no body. None arrives of an answer to HEAD, and of a 204 or 304, which
   * still have the headers of theirs. `content-length` is added as HTTP/1 clients and servers do,
   * unless `headers` name it or `transfer-encoding`, or trailers follow.
   */
  readonly body?: Bytes | readonly Bytes[];
  readonly trailers?: HeadersDescription;
  /** The end comes with the last frame, as HTTP/2 can; else in an empty one of its own. Default: false. */
  readonly endWithLastFrame?: boolean;
}

/** What the client sends. */
export interface RequestDescription extends MessageDescription {
  /** Default: GET. */
  readonly method?: string;
  /** With the query. Default: `/`. */
  readonly path?: string;
  /** `:authority`. Default: `example.com`. */
  readonly host?: string;
  /** Default: http. */
  readonly scheme?: 'http' | 'https';
}

/** An answer of a server. */
export interface AnswerDescription extends MessageDescription {
  readonly kind?: 'answer';
  /** Default: 200. */
  readonly status?: number;
  /** From the end of the request to the answer's headers. Default: 0. */
  readonly delayMs?: number;
}

/** What stands behind the filter. */
export type UpstreamDescription =
  | (AnswerDescription & {
      /** Answers when the request's headers have come, not its end. Default: false. */
      readonly early?: boolean;
    })
  /** Envoy answers itself, as a `direct_response` route does. */
  | { readonly kind: 'localReply'; readonly status: number; readonly body?: Bytes }
  /** A filter before ours answers: `onRequest` never runs. */
  | { readonly kind: 'earlierReply'; readonly status: number; readonly body?: Bytes }
  /** The connection ends before the answer begins. */
  | { readonly kind: 'disconnect'; readonly delayMs?: number }
  | { readonly kind: 'silent' };

interface CalloutMatch {
  /** Only calls of this method. */
  readonly method?: string;
  /** Only calls of this path, with its query. */
  readonly path?: string;
  /** Only so many calls; the next ones get a later entry. */
  readonly times?: number;
}

interface CalloutAnswer {
  readonly status?: number;
  readonly headers?: HeadersDescription;
  readonly body?: Bytes | readonly Bytes[];
  readonly trailers?: HeadersDescription;
  readonly delayMs?: number;
  /** Before each frame, and before the end. Default: 0. */
  readonly frameDelayMs?: number;
}

/** What a call of `fetch` gets. */
export type CalloutDescription = CalloutMatch &
  (
    | (CalloutAnswer & {
        /** `reset`: the connection breaks after what has been answered. */
        readonly kind?: 'answer' | 'reset';
      })
    | {
        /**
         * `refused`: nobody listens. `disconnect`: the connection ends before the answer begins. `silent`: nothing ever
         * comes. `noHost`: the cluster has no host.
         */
        readonly kind: 'refused' | 'disconnect' | 'silent' | 'noHost';
        readonly delayMs?: number;
      }
  );

/** What JSON can say: a value of metadata. */
export type MetadataValue = string | number | boolean | null | readonly MetadataValue[] | { readonly [key: string]: MetadataValue };

/** Metadata: by namespace, then by key. */
export type MetadataDescription = Readonly<Record<string, Readonly<Record<string, MetadataValue>>>>;

/** Where the request goes. */
export interface RouteDescription {
  readonly name?: string;
  readonly virtualHost?: string;
  readonly metadata?: MetadataDescription;
  /**
   * What it says of the filter in its `typed_per_filter_config`: `disabled`, `config`, `script`, `limits`, `on_error`. Equal
   * ones are one route: module variables of its own script go on.
   */
  readonly config?: Readonly<Record<string, MetadataValue>>;
}

/** The cluster that the route chooses. */
export interface ClusterDescription {
  readonly name: string;
  readonly metadata?: MetadataDescription;
  /** Metadata of the host that takes the request, and of its locality. */
  readonly hostMetadata?: MetadataDescription;
  readonly localityMetadata?: MetadataDescription;
  /** How many hosts it has; all are healthy when only `total` is there. Default: one. */
  readonly hosts?: { readonly total: number; readonly healthy?: number; readonly degraded?: number };
}

/** What Envoy knows of an exchange beside its messages. */
export interface FactsDescription {
  /** `ctx.attributes` that do not follow from the messages, by their names. */
  readonly attributes?: Readonly<Record<string, string | number | boolean>>;
  readonly route?: RouteDescription;
  readonly cluster?: ClusterDescription;
  /** What earlier filters left in the dynamic metadata, and in the filter state. */
  readonly metadata?: MetadataDescription;
  readonly filterState?: Readonly<Record<string, string>>;
  /** The exchange has a span of a tracer. Default: false. */
  readonly traced?: boolean;
}

/** One exchange. */
export interface ExchangeDescription {
  readonly facts?: FactsDescription;
  readonly request?: RequestDescription;
  /** Default: 200 without a body. */
  readonly upstream?: UpstreamDescription;
  /**
   * What the clusters answer, by name; the first entry that fits a call counts, 404 without one. A cluster that is not
   * there is one that Envoy does not know.
   */
  readonly clusters?: Readonly<Record<string, readonly CalloutDescription[]>>;
  /** The client gives up this long after its request. */
  readonly clientLeavesAtMs?: number;
  /** The client gives up before the first event that comes after so many hooks: see `ExchangeResult.hooks`. */
  readonly clientLeavesAfterHooks?: number;
  /** After so many hooks another generation takes the place of the filter's, as a reload does; this exchange keeps its own. */
  readonly reloadsAfterHooks?: number;
  /** The call of `fetch` with this index, counted from 0, gets this and not what `clusters` say. */
  readonly failingCall?: CalloutDescription & { readonly index: number };
  /** What Envoy buffers in each direction; 0 is no limit. Default: 1 MiB. */
  readonly bufferLimitBytes?: number;
}

/** One line of Envoy's log, with the place in the script. */
export interface LogLine {
  readonly level: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'critical';
  readonly message: string;
  readonly file: string;
  readonly line: number;
}

/** One call that the filter made. */
export interface Callout {
  readonly cluster: string;
  readonly headers: HeaderLines;
  readonly body: Uint8Array;
  /** False: the start failed. */
  readonly started: boolean;
  /** The filter cancelled it. */
  readonly reset: boolean;
}

/** What came of an exchange. */
export interface ExchangeResult {
  /** False: it waited for something that never came. */
  readonly complete: boolean;
  /** By the virtual clock. */
  readonly elapsedMs: number;
  /** How often Envoy called the filter: for headers, data, trailers, a callout's events, a timer, the end. */
  readonly hooks: number;
  /** Response code details of the reply that ended it, if there was one. */
  readonly details: string;
  /** What the upstream got; absent when nothing reached it. */
  readonly upstream?: ReceivedMessage;
  /** What the client got; absent when nothing reached it. */
  readonly client?: ReceivedMessage;
  readonly callouts: readonly Callout[];
  /** The dynamic metadata at the end, by namespace and key. */
  readonly metadata: MetadataDescription;
  /** The filter state at the end. */
  readonly filterState: Readonly<Record<string, string>>;
  /** Of an exchange that is traced: its own span first, then children in the order of their beginning. */
  readonly spans: readonly SpanResult[];
  /** The address that the filter gave to `ctx.setUpstreamHost`; null when it gave none. */
  readonly upstreamHost: string | null;
  /** What the filter gave to `ctx.setSocketOption`, the last value of each, in the order in which they were first set. */
  readonly socketOptions: readonly SocketOptionResult[];
  readonly log: readonly LogLine[];
  /** What fairlead did against the rules of its host: always empty, else please report it. */
  readonly violations: readonly string[];
}

/** What a tracer has of a span. */
export interface SpanResult {
  readonly id: string;
  /** Null for the span of the exchange. */
  readonly parentId: string | null;
  readonly operation: string;
  /** In the order in which they were set. */
  readonly tags: readonly (readonly [string, string])[];
  readonly events: readonly string[];
  readonly sampled: boolean;
}

/** An option that a filter has set on a connection of its exchange. */
export interface SocketOptionResult {
  readonly direction: 'upstream' | 'downstream';
  readonly level: number;
  readonly name: number;
  readonly value: number | Uint8Array;
}

/** A message as it arrived at one end. */
export class ReceivedMessage {
  readonly headers: HeaderLines;
  readonly body: Uint8Array;
  readonly trailers: HeaderLines | undefined;
  /** It came to its end. */
  readonly ended: boolean;
  /** It was broken off. */
  readonly reset: boolean;

  constructor({ headers, body, trailers, ended, reset }: MessageJson) {
    this.headers = headers;
    this.body = Buffer.from(body, 'latin1');
    this.trailers = trailers ?? undefined;
    this.ended = ended;
    this.reset = reset;
  }

  /** The status of a response. */
  get status(): number {
    return Number(this.header(':status'));
  }

  /** The values of a header joined with `, `; null when it is not there. */
  header(name: string): string | null {
    const values = this.headers.filter(([key]) => key === name.toLowerCase()).map(([, value]) => value);
    return values.length > 0 ? values.join(', ') : null;
  }

  /** The body as UTF-8. */
  text(): string {
    return new TextDecoder().decode(this.body);
  }
}

/** A filter's config as Envoy has it, with one of `inline` and `bytecode`. */
export interface FilterDescription {
  /** Default: `test`. */
  readonly filterName?: string;
  /** JavaScript, one ES module. */
  readonly inline?: string;
  /** A .qjb file. */
  readonly bytecode?: Uint8Array;
  /** Further keys of the config: `config`, `clusters`, `limits`, `on_error`. */
  readonly [key: string]: unknown;
}

/** What Envoy's own configuration gives to filters. */
export interface EnvoyDescription {
  /** Generic secrets, by their names. */
  readonly secrets?: Readonly<Record<string, Bytes>>;
  /** Values of the runtime, by their keys. */
  readonly runtime?: Readonly<Record<string, number | boolean>>;
}

/** Why a filter was refused: what Envoy's log would say. Lines and columns count from 1, 0 is unknown. */
export class FilterError extends Error {
  override name = 'FilterError';
  readonly code: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;

  constructor({ code, message, file, line, column }: EngineError) {
    super(`${file === '' ? '' : `${file}:${line}:${column}: `}${code}: ${message}`);
    this.code = code;
    this.file = file;
    this.line = line;
    this.column = column;
  }
}

/** A call of an export of fairlead.wasm, as emulator-worker.mjs takes it. */
interface WorkerCall {
  readonly name: 'fairlead_filter_new' | 'fairlead_filter_free' | 'fairlead_exchange' | 'fairlead_provide';
  /** Goes before the request. */
  readonly handle?: number;
  /** JSON. */
  readonly request?: string;
}

/** Its answer: JSON, or why the instance is of no more use. */
type WorkerReply = { readonly ok: boolean; readonly json: string } | { readonly broken: string };

interface MessageJson {
  readonly starts: number;
  readonly ended: boolean;
  readonly reset: boolean;
  readonly headers: HeaderLines;
  readonly body: string;
  readonly trailers: HeaderLines | null;
}

interface ExchangeJson extends Omit<ExchangeResult, 'upstream' | 'client' | 'callouts' | 'socketOptions'> {
  readonly upstream: MessageJson;
  readonly client: MessageJson;
  readonly callouts: readonly (Omit<Callout, 'body'> & { readonly body: string })[];
  readonly socketOptions: readonly (Omit<SocketOptionResult, 'value'> & { readonly value: number | string })[];
}

/**
 * An Envoy in memory, with one worker.
 *
 * @example
 * const emulator = await Emulator.load();
 * const filter = await emulator.filter({ inline: 'export default { onRequest() { return new Response("hello"); } }' });
 * const { client } = await filter.exchange({ request: { path: '/' } });
 * client?.text(); // "hello"
 */
export class Emulator {
  readonly #worker: Worker;
  /** In the order of their calls. */
  readonly #pending: { resolve: (json: string) => void; reject: (error: Error) => void }[] = [];
  #broken: Error | undefined;

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.on('message', (reply: WorkerReply) => this.#onReply(reply));
    worker.on('error', (error) => this.#break(error));
    worker.on('exit', () => this.#break(new Error('the emulator is closed')));
    // An idle emulator keeps no process alive.
    worker.unref();
  }

  /** Loads fairlead.wasm, by default the one that set-up has built. */
  static async load(wasmPath?: string): Promise<Emulator> {
    const module = await load(wasmPath);
    const script = new URL('./emulator-worker.mjs', import.meta.url);
    return new Emulator(new Worker(script, { workerData: module, resourceLimits: { stackSizeMb: 64 } }));
  }

  /**
   * Gives Envoy secrets and keys of its runtime. What was given before stays; what has the same name is replaced.
   *
   * A config finds a secret by `{ sds: { name } }`, and is refused without it. Filters that are there see the new values:
   * for that the virtual clock goes on by a second, in which they look at the runtime.
   */
  async provide({ secrets = {}, runtime = {} }: EnvoyDescription): Promise<void> {
    const bytes = Object.entries(secrets).map(([name, value]) => [name, latin1(value)]);
    const request = JSON.stringify({ secrets: Object.fromEntries(bytes), runtime });
    await this.#call({ name: 'fairlead_provide', request });
  }

  /**
   * Makes a filter from its config, or from the bare text that a config may be.
   *
   * @throws FilterError when Envoy would refuse the config.
   */
  async filter(description: FilterDescription | string): Promise<Filter> {
    const { filterName = 'test', bytecode, ...rest } = typeof description === 'string' ? {} : description;
    const keys = bytecode === undefined ? rest : { ...rest, bytecode: Buffer.from(bytecode).toString('base64') };
    const request = JSON.stringify({ filterName, config: typeof description === 'string' ? description : keys });
    const json = await this.#call({ name: 'fairlead_filter_new', request });
    const { handle, log } = JSON.parse(json) as { handle: number; log: LogLine[] };
    return new Filter(
      log,
      async (exchange) =>
        JSON.parse(
          await this.#call({ name: 'fairlead_exchange', handle, request: JSON.stringify(exchange) }),
        ) as ExchangeJson,
      async () => {
        await this.#call({ name: 'fairlead_filter_free', handle });
      },
    );
  }

  /** Ends the thread. An emulator that is only forgotten ends with the process. */
  async close(): Promise<void> {
    await this.#worker.terminate();
  }

  #call(call: WorkerCall): Promise<string> {
    if (this.#broken !== undefined) return Promise.reject(this.#broken);
    return new Promise((resolve, reject) => {
      if (this.#pending.push({ resolve, reject }) === 1) this.#worker.ref();
      this.#worker.postMessage(call);
    });
  }

  #onReply(reply: WorkerReply): void {
    if ('broken' in reply) {
      this.#break(new Error(`the emulator broke: ${reply.broken}`));
      return;
    }
    const call = this.#pending.shift();
    if (this.#pending.length === 0) this.#worker.unref();
    if (reply.ok) call?.resolve(reply.json);
    else call?.reject(new FilterError(JSON.parse(reply.json) as EngineError));
  }

  #break(error: Error): void {
    this.#broken ??= error;
    void this.#worker.terminate();
    for (const { reject } of this.#pending.splice(0)) reject(this.#broken);
  }
}

/** A filter in the emulator; what its script keeps stays from one exchange to the next. */
export class Filter {
  /** What the script's top level and `configure` logged. */
  readonly log: readonly LogLine[];
  readonly #exchange: (request: object) => Promise<ExchangeJson>;
  readonly #free: () => Promise<void>;

  /** @internal Made by Emulator.filter. */
  constructor(log: readonly LogLine[], exchange: (request: object) => Promise<ExchangeJson>, free: () => Promise<void>) {
    this.log = log;
    this.#exchange = exchange;
    this.#free = free;
  }

  /** Runs one exchange to its end. */
  async exchange(description: ExchangeDescription = {}): Promise<ExchangeResult> {
    const { request, upstream, clusters, facts, clientLeavesAtMs, clientLeavesAfterHooks, reloadsAfterHooks, failingCall, bufferLimitBytes } =
      description;
    const answers = Object.entries(clusters ?? {}).map(([name, list]) => [name, list.map((answer) => calloutJson(answer))]);
    const result = await this.#exchange({
      request: requestJson(request ?? {}),
      upstream: upstreamJson(upstream ?? {}),
      clusters: Object.fromEntries(answers),
      facts: factsJson(facts ?? {}),
      routeConfig: facts?.route?.config,
      clientLeavesAtMs,
      clientLeavesAfterHooks,
      reloadsAfterHooks,
      failingCall: failingCall && { ...calloutJson(failingCall), index: failingCall.index },
      bufferLimitBytes: bufferLimitBytes ?? 1024 * 1024,
    });
    const { upstream: atUpstream, client: atClient, ...rest } = result;
    return {
      ...rest,
      ...(hasArrived(atUpstream) && { upstream: new ReceivedMessage(atUpstream) }),
      ...(hasArrived(atClient) && { client: new ReceivedMessage(atClient) }),
      callouts: result.callouts.map((callout) => ({ ...callout, body: Buffer.from(callout.body, 'latin1') })),
      socketOptions: result.socketOptions.map(({ value, ...option }) => ({
        ...option,
        value: typeof value === 'string' ? Buffer.from(value, 'latin1') : value,
      })),
    };
  }

  /** Gives the filter's memory back; it cannot be used afterwards. */
  async free(): Promise<void> {
    await this.#free();
  }
}

function hasArrived({ starts }: MessageJson): boolean {
  return starts > 0;
}

// Below: from descriptions to what wasm_exports.cc reads. Strings there have one character a byte.

function latin1(bytes: Bytes): string {
  return Buffer.from(bytes).toString('latin1');
}

function frames(body: Bytes | readonly Bytes[] = []): string[] {
  return (typeof body === 'string' || body instanceof Uint8Array ? [body] : body).map(latin1);
}

function lines(headers: HeadersDescription = []): HeaderLines {
  const all = isLines(headers)
    ? headers
    : Object.entries(headers).flatMap(([name, values]) => [values].flat().map((value) => [name, value] as const));
  return all.map(([name, value]) => [name, value.replace(/^[ \t]+|[ \t]+$/g, '')]);
}

function isLines(headers: HeadersDescription): headers is HeaderLines {
  return Array.isArray(headers);
}

function messageJson(
  pseudo: HeaderLines,
  { headers, body, trailers, endWithLastFrame }: MessageDescription,
  hasLength: boolean,
): object {
  const own = lines(headers);
  const sent = frames(body);
  const framed = own.some(([name]) => /^(content-length|transfer-encoding)$/i.test(name)) || trailers !== undefined;
  const size = sent.reduce((sum, frame) => sum + frame.length, 0);
  const length: HeaderLines = framed || !hasLength ? [] : [['content-length', String(size)]];
  return {
    headers: [...pseudo, ...own, ...length],
    frames: sent,
    trailers: trailers && lines(trailers),
    endWithLastFrame: endWithLastFrame ?? false,
  };
}

function requestJson({ method = 'GET', path = '/', host = 'example.com', scheme = 'http', ...message }: RequestDescription): object {
  const pseudo: HeaderLines = [
    [':authority', host],
    [':path', path],
    [':method', method],
    [':scheme', scheme],
  ];
  return messageJson(pseudo, message, message.body !== undefined);
}

function answerJson({ status = 200, ...message }: MessageDescription & { readonly status?: number }): object {
  return messageJson([[':status', String(status)]], message, status !== 204 && status !== 304);
}

function upstreamJson(upstream: UpstreamDescription): object {
  const { kind = 'answer' } = upstream;
  const delayMs = 'delayMs' in upstream ? upstream.delayMs : undefined;
  const early = 'early' in upstream ? upstream.early : undefined;
  const message = kind === 'disconnect' || kind === 'silent' ? {} : (upstream as AnswerDescription);
  return { ...answerJson(message), kind, delayMs: delayMs ?? 0, early: early ?? false };
}

function factsJson({ attributes, route, cluster, metadata, filterState, traced }: FactsDescription): object {
  const { total, healthy = total, degraded = 0 } = cluster?.hosts ?? { total: 1 };
  return {
    attributes: {
      ...(route?.name !== undefined && { 'xds.route_name': route.name }),
      ...(route?.virtualHost !== undefined && { 'xds.virtual_host_name': route.virtualHost }),
      ...(cluster !== undefined && { 'xds.cluster_name': cluster.name }),
      ...attributes,
    },
    metadata: [metadata, route?.metadata, cluster?.metadata, cluster?.hostMetadata, cluster?.localityMetadata].map((of) => of ?? {}),
    filterState: filterState ?? {},
    traced: traced ?? false,
    ...(cluster && { cluster: { name: cluster.name, total, healthy, degraded } }),
  };
}

function calloutJson(callout: CalloutDescription): object {
  const { method, path, times, kind = 'answer', delayMs = 0 } = callout;
  const { status, headers, body, trailers, frameDelayMs = 0 } = callout as CalloutAnswer;
  const message = { ...(headers && { headers }), ...(body && { body }), ...(trailers && { trailers }) };
  const answer = answerJson({ ...(status && { status }), ...message });
  return { ...answer, method, path, times, kind, delayMs, frameDelayMs };
}
