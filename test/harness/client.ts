// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { once } from 'node:events';
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { connect as http2Connect, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { waitFor, within } from './wait.ts';

/** Something that listens on 127.0.0.1: an Envoy, an upstream. */
export interface Target {
  port: number;
}

/** Name and value, in the order and with the repetitions of the wire. */
export type HeaderPair = [name: string, value: string];

/** A header list as it came, with look-ups that ignore case. */
export class HeaderList {
  readonly pairs: readonly HeaderPair[];

  constructor(pairs: readonly HeaderPair[]) {
    this.pairs = pairs;
  }

  /** From Node's flat list of alternating names and values. */
  static fromRaw(raw: readonly string[]): HeaderList {
    const pairs: HeaderPair[] = [];
    for (let i = 0; i + 1 < raw.length; i += 2) pairs.push([raw[i] ?? '', raw[i + 1] ?? '']);
    return new HeaderList(pairs);
  }

  /** Every value of `name`, in order. */
  all(name: string): string[] {
    const wanted = name.toLowerCase();
    return this.pairs.filter(([key]) => key.toLowerCase() === wanted).map(([, value]) => value);
  }

  /** The only value of `name`, `null` when absent; several are an error in the test. */
  get(name: string): string | null {
    const values = this.all(name);
    if (values.length > 1) throw new Error(`${values.length} headers named ${name}: ${values.join(' | ')}`);
    return values[0] ?? null;
  }

  has(name: string): boolean {
    return this.all(name).length > 0;
  }
}

/** A complete response. */
export class Answer {
  readonly status: number;
  readonly headers: HeaderList;
  readonly body: Buffer;
  readonly trailers: HeaderList;

  constructor(status: number, headers: HeaderList, body: Buffer, trailers: HeaderList) {
    this.status = status;
    this.headers = headers;
    this.body = body;
    this.trailers = trailers;
  }

  text(): string {
    return this.body.toString('utf8');
  }

  json<T>(): T {
    return JSON.parse(this.text()) as T;
  }
}

export interface RequestOptions {
  method?: string;
  /** Sent in this order; `host` is added in front when missing. Values are byte strings. */
  headers?: readonly HeaderPair[];
  body?: string | Uint8Array;
  /** Send the body in chunks of this many bytes, without a `content-length`. */
  chunkBytes?: number;
  /** A connection of its own by default; a keep-alive agent to share one. */
  agent?: Agent;
  /** Breaks the request off and closes its connection. */
  signal?: AbortSignal;
  timeoutMs?: number;
}

const defaultTimeoutMs = 20_000;

/** An agent that keeps at most `connections` connections and reuses them. */
export function keepAliveAgent(connections = 1): Agent {
  return new Agent({ keepAlive: true, maxSockets: connections });
}

/** One HTTP/1.1 request; `path` goes out as it is. Rejects when no complete response arrives. */
export async function request(target: Target, path = '/', options: RequestOptions = {}): Promise<Answer> {
  const { body, chunkBytes, method = body === undefined ? 'GET' : 'POST' } = options;
  const headers = [...(options.headers ?? [])];
  const has = (name: string): boolean => new HeaderList(headers).has(name);
  if (!has('host')) headers.unshift(['host', `127.0.0.1:${target.port}`]);
  const bytes = body === undefined ? undefined : Buffer.from(body);
  if (bytes !== undefined && chunkBytes === undefined && !has('content-length')) {
    headers.push(['content-length', String(bytes.length)]);
  }
  if (chunkBytes !== undefined) headers.push(['transfer-encoding', 'chunked']);
  const outgoing = httpRequest({
    host: '127.0.0.1',
    port: target.port,
    path,
    method,
    // Node takes a flat list for what must keep its order and repetitions.
    headers: headers.flat() as unknown as Record<string, string>,
    agent: options.agent ?? false,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
  const timeoutMs = options.timeoutMs ?? defaultTimeoutMs;
  outgoing.setTimeout(timeoutMs, () => {
    outgoing.destroy(new Error(`no answer to ${method} ${path} within ${timeoutMs} ms`));
  });
  const response = new Promise<IncomingMessage>((resolve, reject) => {
    outgoing.on('response', resolve);
    outgoing.on('error', reject);
  });
  if (bytes !== undefined) {
    const step = chunkBytes ?? Math.max(bytes.length, 1);
    for (let at = 0; at < bytes.length; at += step) outgoing.write(bytes.subarray(at, at + step));
  }
  outgoing.end();
  const incoming = await response;
  const pieces: Buffer[] = [];
  for await (const piece of incoming) pieces.push(piece as Buffer);
  return new Answer(
    incoming.statusCode ?? 0,
    HeaderList.fromRaw(incoming.rawHeaders),
    Buffer.concat(pieces),
    HeaderList.fromRaw(incoming.rawTrailers),
  );
}

export interface Http2RequestOptions {
  method?: string;
  headers?: readonly HeaderPair[];
  body?: string | Uint8Array;
  trailers?: readonly HeaderPair[];
  /** Leaves the request body open for the caller of `open` to write and end. */
  keepOpen?: boolean;
}

/** A cleartext HTTP/2 connection with prior knowledge. */
export class Http2Client {
  #session: ClientHttp2Session;

  private constructor(session: ClientHttp2Session) {
    this.#session = session;
    // A failing connection fails each of its streams, which is where it is reported.
    session.on('error', () => undefined);
  }

  static async connect(target: Target): Promise<Http2Client> {
    const session = http2Connect(`http://127.0.0.1:${target.port}`);
    await within('an HTTP/2 connection', defaultTimeoutMs, once(session, 'connect'));
    return new Http2Client(session);
  }

  /** Starts a stream and leaves it to the caller, for tests that break off or read slowly. */
  open(path: string, options: Http2RequestOptions = {}): ClientHttp2Stream {
    const { method = options.body === undefined ? 'GET' : 'POST', trailers } = options;
    const fields: Record<string, string | string[]> = { ':method': method, ':path': path };
    for (const [name, value] of options.headers ?? []) {
      const known = fields[name];
      fields[name] = known === undefined ? value : [known, value].flat();
    }
    const stream = this.#session.request(fields, {
      endStream: options.body === undefined && trailers === undefined && options.keepOpen !== true,
      waitForTrailers: trailers !== undefined,
    });
    if (trailers !== undefined) {
      stream.on('wantTrailers', () => stream.sendTrailers(Object.fromEntries(trailers)));
    }
    if (options.body !== undefined || trailers !== undefined) stream.end(options.body);
    return stream;
  }

  /** One request and its complete response. `:status` is not among the headers. */
  async request(path: string, options: Http2RequestOptions = {}): Promise<Answer> {
    const stream = this.open(path, options);
    let headers = new HeaderList([]);
    let trailers = new HeaderList([]);
    const pieces: Buffer[] = [];
    stream.on('response', (_, __, raw?: unknown) => (headers = HeaderList.fromRaw(raw as string[])));
    stream.on('trailers', (_, __, raw?: unknown) => (trailers = HeaderList.fromRaw(raw as string[])));
    stream.on('data', (piece: Buffer) => pieces.push(piece));
    await within(`the answer to ${path}`, defaultTimeoutMs, once(stream, 'close'));
    if (stream.rstCode !== 0) throw new Error(`HTTP/2 stream reset with code ${stream.rstCode}`);
    const status = Number(headers.get(':status'));
    const plain = headers.pairs.filter(([name]) => !name.startsWith(':'));
    return new Answer(status, new HeaderList(plain), Buffer.concat(pieces), trailers);
  }

  /** Resolves when the other side wants no more streams and the connection has ended. */
  async goneAway(): Promise<void> {
    const goAway = once(this.#session, 'goaway');
    const closed = once(this.#session, 'close');
    await within('GOAWAY', defaultTimeoutMs, goAway);
    await within('an HTTP/2 connection to end', defaultTimeoutMs, closed);
  }

  async close(): Promise<void> {
    const closed = once(this.#session, 'close');
    this.#session.close();
    await within('an HTTP/2 connection to close', defaultTimeoutMs, closed);
  }
}

/** One HTTP/2 request on a connection of its own. */
export async function request2(target: Target, path = '/', options: Http2RequestOptions = {}): Promise<Answer> {
  const client = await Http2Client.connect(target);
  try {
    return await client.request(path, options);
  } finally {
    await client.close();
  }
}

/** A TCP connection whose bytes are the caller's business. */
export class RawSocket {
  #socket: Socket;
  #received: Buffer[] = [];
  /** Resolves with all that was received once the connection has closed. */
  readonly closed: Promise<Buffer>;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (piece: Buffer) => this.#received.push(piece));
    // A reset is an ordinary end here: the test looks at what came before it.
    socket.on('error', () => undefined);
    this.closed = once(socket, 'close').then(() => this.received());
  }

  static async connect(target: Target): Promise<RawSocket> {
    const socket = connect(target.port, '127.0.0.1');
    await within('a TCP connection', defaultTimeoutMs, once(socket, 'connect'));
    socket.setNoDelay(true);
    return new RawSocket(socket);
  }

  /** Everything received so far. */
  received(): Buffer {
    return Buffer.concat(this.#received);
  }

  /** Sends a string of bytes (code units 0 to 255) or a buffer. */
  write(data: string | Uint8Array): void {
    this.#socket.write(typeof data === 'string' ? Buffer.from(data, 'latin1') : data);
  }

  /** Waits until `marker` has been received; returns everything so far as a byte string. */
  async until(marker: string, timeoutMs = defaultTimeoutMs): Promise<string> {
    return await waitFor(
      JSON.stringify(marker),
      () => {
        const text = this.received().toString('latin1');
        if (text.includes(marker)) return text;
        if (this.#socket.closed) throw new Error(`closed before ${JSON.stringify(marker)}:\n${text}`);
        return undefined;
      },
      timeoutMs,
    );
  }

  /** Half-closes: no more bytes will be sent. */
  end(): void {
    this.#socket.end();
  }

  /** Closes at once with a reset. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }
}

/** Sends `bytes` on a fresh connection and returns all that came until the other side closed. */
export async function rawExchange(target: Target, bytes: string | Uint8Array): Promise<string> {
  const socket = await RawSocket.connect(target);
  socket.write(bytes);
  const all = await within('the connection to close', defaultTimeoutMs, socket.closed);
  return all.toString('latin1');
}
