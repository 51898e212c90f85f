// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import {
  createServer as createHttp2Server,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import { connect, createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { HeaderList, type HeaderPair } from './client.ts';
import { patternBytes } from './body.ts';
import { waitFor } from './wait.ts';

type NodeRequest = IncomingMessage | Http2ServerRequest;
type NodeResponse = ServerResponse | Http2ServerResponse;

/** A request as an upstream received it. */
export interface Received {
  method: string;
  path: string;
  /** In the order of the wire; over HTTP/2 with pseudo-headers. */
  headers: HeaderList;
  trailers: HeaderList;
  /** Bytes of body so far, and their hash once `end` is known. */
  bodyLength: number;
  bodySha256: string;
  /** The body itself when it is short. */
  body: Buffer;
  /** `complete` when the whole request arrived, `aborted` when it was broken off; `null` until then. */
  end: 'complete' | 'aborted' | null;
  /** The client gave up before the response was complete. */
  cancelled: boolean;
}

/** What an upstream answers. Runs when the headers are here; `whole` waits for the body. */
export type Handler = (exchange: Exchange) => void | Promise<void>;

/** One request at an upstream. */
export class Exchange {
  readonly received: Received;
  /** Resolves when the whole request body has arrived. */
  readonly whole: Promise<Received>;
  #request: NodeRequest;
  #response: NodeResponse;
  #socket: Socket;

  constructor(request: NodeRequest, response: NodeResponse) {
    this.#request = request;
    this.#response = response;
    this.#socket = request.socket;
    // It answers what its handler says, and nothing else.
    response.sendDate = false;
    const received: Received = {
      method: request.method ?? '',
      path: request.url ?? '',
      headers: HeaderList.fromRaw(request.rawHeaders),
      trailers: new HeaderList([]),
      bodyLength: 0,
      bodySha256: '',
      body: Buffer.alloc(0),
      end: null,
      cancelled: false,
    };
    this.received = received;
    const hash = createHash('sha256');
    const head: Buffer[] = [];
    request.on('data', (piece: Buffer) => {
      if (received.bodyLength < keptBodyBytes) head.push(piece);
      received.bodyLength += piece.length;
      hash.update(piece);
    });
    response.on('close', () => {
      received.end ??= 'aborted';
      received.cancelled = !response.writableFinished;
    });
    // Reported as `end: "aborted"`.
    request.on('error', () => undefined);
    this.whole = new Promise((resolve) => {
      request.on('end', () => {
        received.end = 'complete';
        received.bodySha256 = hash.digest('hex');
        received.body = Buffer.concat(head).subarray(0, keptBodyBytes);
        received.trailers = HeaderList.fromRaw(request.rawTrailers);
        resolve(received);
      });
    });
  }

  /** Sends a complete response with these headers and, over HTTP/2, trailers. */
  respond(
    status: number,
    headers: readonly HeaderPair[] = [],
    body: string | Uint8Array = '',
    trailers: readonly HeaderPair[] = [],
  ): void {
    this.start(status, headers);
    this.finish(body, trailers);
  }

  respondJson(value: unknown, status = 200): void {
    this.respond(status, [['content-type', 'application/json']], JSON.stringify(value));
  }

  /** Sends status and headers and leaves the body open. */
  start(status: number, headers: readonly HeaderPair[] = []): void {
    const response = this.#response as ServerResponse;
    response.statusCode = status;
    const grouped = new Map<string, string[]>();
    for (const [name, value] of headers) grouped.set(name, [...(grouped.get(name) ?? []), value]);
    for (const [name, values] of grouped) {
      response.setHeader(name, values.length === 1 ? (values[0] ?? '') : values);
    }
    response.flushHeaders();
  }

  /** Sends a piece of body; resolves when the connection takes more. */
  async write(piece: string | Uint8Array): Promise<void> {
    const response = this.#response as ServerResponse;
    if (response.write(piece) || response.destroyed) return;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        response.off('drain', go).off('close', go);
        resolve();
      };
      response.on('drain', go).on('close', go);
    });
  }

  finish(body: string | Uint8Array = '', trailers: readonly HeaderPair[] = []): void {
    if (trailers.length > 0) (this.#response as ServerResponse).addTrailers(Object.fromEntries(trailers));
    (this.#response as ServerResponse).end(body);
  }

  /** Answers 200 and sends every piece of the request body back as it arrives. */
  pingPong(): void {
    this.start(200);
    this.#request.on('data', (piece: Buffer) => (this.#response as ServerResponse).write(piece));
    this.#request.on('end', () => this.finish());
  }

  /** Closes the connection behind what has been sent; HTTP/1 only. */
  hangUp(): void {
    this.#socket.end();
  }

  /** Breaks the connection off with a reset. */
  reset(): void {
    if ('stream' in this.#response) this.#response.stream.close(2);
    else this.#socket.resetAndDestroy();
  }
}

const keptBodyBytes = 131_072;

/** An HTTP server on a free port of 127.0.0.1 that remembers what it was asked. */
export interface Upstream {
  readonly port: number;
  readonly http2: boolean;
  /** In order of arrival; entries go on filling while their bodies arrive. */
  readonly requests: Received[];
  /** Waits until `count` requests have arrived, or until `predicate` holds for one of them. */
  arrived(wanted: number | ((received: Received) => boolean), timeoutMs?: number): Promise<Received>;
  close(): Promise<void>;
}

export interface UpstreamOptions {
  /** `echo` by default. */
  handler?: Handler;
  http2?: boolean;
}

/** What `echo` answers in JSON. */
export interface Echo {
  method: string;
  path: string;
  headers: HeaderPair[];
  bodyLength: number;
  bodySha256: string;
}

/**
 * Answers what it received: method, path, header list, body length and hash. The query can ask for more:
 * `?status=N` sets the status, `?bytes=N` answers N pattern bytes instead of JSON, `&chunked` without a
 * `content-length`.
 */
export const echo: Handler = async (exchange) => {
  const { method, path, headers, bodyLength, bodySha256 } = await exchange.whole;
  const query = new URL(path, 'http://upstream').searchParams;
  const status = Number(query.get('status') ?? 200);
  const bytes = query.get('bytes');
  if (bytes === null) {
    const seen: Echo = { method, path, headers: [...headers.pairs], bodyLength, bodySha256 };
    exchange.respondJson(seen, status);
    return;
  }
  const body = patternBytes(Number(bytes));
  const length: HeaderPair[] = query.has('chunked') ? [] : [['content-length', String(body.length)]];
  exchange.start(status, [['content-type', 'application/octet-stream'], ...length]);
  for (let at = 0; at < body.length; at += 65_536) await exchange.write(body.subarray(at, at + 65_536));
  exchange.finish();
};

/** Never answers. */
export const hang: Handler = () => undefined;

/** Breaks the connection off as soon as the headers are here. */
export const reset: Handler = (exchange) => exchange.reset();

/** Starts an upstream on a free port. */
export async function startUpstream(options: UpstreamOptions = {}): Promise<Upstream> {
  const { handler = echo, http2 = false } = options;
  const requests: Received[] = [];
  const onRequest = (incoming: NodeRequest, response: NodeResponse): void => {
    const exchange = new Exchange(incoming, response);
    requests.push(exchange.received);
    void Promise.resolve(handler(exchange)).catch((error: unknown) => {
      // A broken handler must show in the test that used it.
      exchange.respond(599, [], `upstream handler: ${String(error)}`);
    });
  };
  const sockets = new Set<Socket>();
  const sessions = new Set<ServerHttp2Session>();
  const server: Server = http2
    ? createHttp2Server(onRequest).on('session', (session) => {
        sessions.add(session);
        session.on('error', () => undefined).on('close', () => sessions.delete(session));
      })
    : createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, onRequest);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket));
  });
  const port = await listen(server);
  return {
    port,
    http2,
    requests,
    arrived: async (wanted, timeoutMs) => {
      const what = typeof wanted === 'number' ? `request ${wanted} at the upstream` : 'a request at the upstream';
      return await waitFor(
        what,
        () => (typeof wanted === 'number' ? requests[wanted - 1] : requests.find(wanted)),
        timeoutMs,
      );
    },
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      for (const session of sessions) session.destroy();
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}

async function listen(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

/** Starts upstreams for `use` and closes them, whatever happens. */
export async function withUpstream<T>(options: UpstreamOptions, use: (upstream: Upstream) => Promise<T>): Promise<T> {
  const upstream = await startUpstream(options);
  try {
    return await use(upstream);
  } finally {
    await upstream.close();
  }
}

/**
 * A port on which every connection is refused, held so that nobody else can get it: it is the local end of
 * an established connection, so the kernel neither listens there nor gives it away.
 */
export async function startRefusing(): Promise<{ port: number; close(): Promise<void> }> {
  const server = createTcpServer();
  const port = await listen(server);
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const holder = connect(port, '127.0.0.1');
  await once(holder, 'connect');
  const [peer] = await accepted;
  peer.on('error', () => undefined);
  return {
    port: (holder.address() as AddressInfo).port,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      holder.destroy();
      peer.destroy();
      await closed;
    },
  };
}
