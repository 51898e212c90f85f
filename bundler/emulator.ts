// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Filters without Envoy: fairlead.wasm runs the same core and the same engine over Envoy's rules in memory. An exchange
// is described as data, so that one description can be put before a real Envoy as well.
//
// What the connection manager and the router do by themselves is left out: headers that they add (date, server,
// x-request-id, x-forwarded-proto, …), routes, retries. Time is virtual: it passes by itself while an exchange waits.

import { type CompilerExports, type EngineError, instantiate, load } from './compiler.ts';

/** Bytes of a body; text is sent as UTF-8. */
export type Bytes = string | Uint8Array;

/** Header lines as `[name, value]`, in order. In values a character stands for a byte. */
export type HeaderLines = readonly (readonly [name: string, value: string])[];

/** Header lines, or an object of them; a list of values makes several lines. */
export type HeadersDescription = HeaderLines | Readonly<Record<string, string | readonly string[]>>;

interface MessageDescription {
  readonly headers?: HeadersDescription;
  /**
   * A list is sent as so many frames. Default: no body. `content-length` is added as HTTP/1 clients and servers do,
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
  /** The answer ends with trailers. */
  readonly trailers?: boolean;
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

/** One exchange. */
export interface ExchangeDescription {
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
  /** Response code details of the reply that ended it, if there was one. */
  readonly details: string;
  /** What the upstream got; absent when nothing reached it. */
  readonly upstream?: ReceivedMessage;
  /** What the client got; absent when nothing reached it. */
  readonly client?: ReceivedMessage;
  readonly callouts: readonly Callout[];
  readonly log: readonly LogLine[];
  /** What fairlead did against the rules of its host: always empty, else please report it. */
  readonly violations: readonly string[];
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

interface EmulatorExports extends CompilerExports {
  fairlead_filter_new(requestPointer: number, requestLength: number): number;
  fairlead_filter_free(handle: number): void;
  fairlead_exchange(handle: number, requestPointer: number, requestLength: number): number;
}

interface MessageJson {
  readonly starts: number;
  readonly ended: boolean;
  readonly reset: boolean;
  readonly headers: HeaderLines;
  readonly body: string;
  readonly trailers: HeaderLines | null;
}

interface ExchangeJson extends Omit<ExchangeResult, 'upstream' | 'client' | 'callouts'> {
  readonly upstream: MessageJson;
  readonly client: MessageJson;
  readonly callouts: readonly (Omit<Callout, 'body'> & { readonly body: string })[];
}

/**
 * An Envoy in memory, with one worker.
 *
 * @example
 * const emulator = await Emulator.load();
 * const filter = emulator.filter({ inline: 'export default { onRequest() { return new Response("hello"); } }' });
 * filter.exchange({ request: { path: '/' } }).client?.text(); // "hello"
 */
export class Emulator {
  readonly #exports: EmulatorExports;

  private constructor(exports: EmulatorExports) {
    this.#exports = exports;
  }

  /** Loads fairlead.wasm, by default the one that set-up has built. */
  static async load(wasmPath?: string): Promise<Emulator> {
    return new Emulator((await instantiate(await load(wasmPath))) as EmulatorExports);
  }

  /**
   * Makes a filter from its config, or from the bare text that a config may be.
   *
   * @throws FilterError when Envoy would refuse the config.
   */
  filter(description: FilterDescription | string): Filter {
    const { filterName = 'test', bytecode, ...rest } = typeof description === 'string' ? {} : description;
    const config = bytecode === undefined ? rest : { ...rest, bytecode: Buffer.from(bytecode).toString('base64') };
    const request = { filterName, config: typeof description === 'string' ? description : config };
    const { handle, log } = this.#call<{ handle: number; log: LogLine[] }>(request, (pointer, length) =>
      this.#exports.fairlead_filter_new(pointer, length),
    );
    return new Filter(
      log,
      (exchange) =>
        this.#call<ExchangeJson>(exchange, (pointer, length) =>
          this.#exports.fairlead_exchange(handle, pointer, length),
        ),
      () => this.#exports.fairlead_filter_free(handle),
    );
  }

  /** Hands a request over, reads the block that comes back and gives both back. */
  #call<Result>(request: unknown, run: (pointer: number, length: number) => number): Result {
    const exports = this.#exports;
    const bytes = new TextEncoder().encode(JSON.stringify(request));
    const pointer = exports.fairlead_alloc(bytes.length);
    if (pointer === 0) throw new RangeError('the emulator has no memory left');
    new Uint8Array(exports.memory.buffer, pointer, bytes.length).set(bytes);
    const block = run(pointer, bytes.length);
    exports.fairlead_free(pointer);
    if (block === 0) throw new RangeError('the emulator has no memory left');
    const head = new DataView(exports.memory.buffer, block, 8);
    const payload = new Uint8Array(exports.memory.buffer, block + 8, head.getUint32(4, true));
    const isOk = head.getUint32(0, true) === 1;
    const json: unknown = JSON.parse(new TextDecoder().decode(payload));
    exports.fairlead_free(block);
    if (!isOk) throw new FilterError(json as EngineError);
    return json as Result;
  }
}

/** A filter in the emulator; what its script keeps stays from one exchange to the next. */
export class Filter {
  /** What the script's top level and `configure` logged. */
  readonly log: readonly LogLine[];
  readonly #exchange: (request: object) => ExchangeJson;
  readonly #free: () => void;

  /** @internal Made by Emulator.filter. */
  constructor(log: readonly LogLine[], exchange: (request: object) => ExchangeJson, free: () => void) {
    this.log = log;
    this.#exchange = exchange;
    this.#free = free;
  }

  /** Runs one exchange to its end. */
  exchange({ request, upstream, clusters, clientLeavesAtMs, bufferLimitBytes }: ExchangeDescription = {}): ExchangeResult {
    const result = this.#exchange({
      request: requestJson(request ?? {}),
      upstream: upstreamJson(upstream ?? {}),
      clusters: Object.fromEntries(
        Object.entries(clusters ?? {}).map(([name, answers]) => [name, answers.map((answer) => calloutJson(answer))]),
      ),
      clientLeavesAtMs,
      bufferLimitBytes: bufferLimitBytes ?? 1024 * 1024,
    });
    const { upstream: atUpstream, client: atClient, ...rest } = result;
    return {
      ...rest,
      ...(hasArrived(atUpstream) && { upstream: new ReceivedMessage(atUpstream) }),
      ...(hasArrived(atClient) && { client: new ReceivedMessage(atClient) }),
      callouts: result.callouts.map((callout) => ({ ...callout, body: Buffer.from(callout.body, 'latin1') })),
    };
  }

  /** Gives the filter's memory back; it cannot be used afterwards. */
  free(): void {
    this.#free();
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
  if (isLines(headers)) return headers;
  return Object.entries(headers).flatMap(([name, values]) =>
    [values].flat().map((value): readonly [string, string] => [name, value]),
  );
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

function calloutJson(callout: CalloutDescription): object {
  const { method, path, times, kind = 'answer', delayMs = 0 } = callout;
  const { status, headers, body, trailers = false, frameDelayMs = 0 } = callout as CalloutAnswer;
  const answer = answerJson({ ...(status && { status }), ...(headers && { headers }), ...(body && { body }) });
  return { ...answer, method, path, times, kind, trailers, delayMs, frameDelayMs };
}
