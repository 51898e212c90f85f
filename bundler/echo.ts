// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { headerLines, type HeaderLines } from './exchange.ts';

/** A request as an upstream saw it, and what it answered. */
export interface SeenExchange {
  readonly method: string;
  readonly path: string;
  readonly headers: HeaderLines;
  readonly bodyBytes: number;
  readonly answer: { readonly status: number; readonly headers: HeaderLines };
}

/** More of a body than this is counted, not repeated. */
const echoedBytes = 4096;

/** How many exchanges are remembered. */
const remembered = 100;

/** An HTTP server that answers with what it saw. Stands in for the upstream and for the clusters a filter calls. */
export class Echo {
  /** The last exchanges, oldest first. */
  readonly seen: SeenExchange[] = [];

  readonly #name: string;
  readonly #server: Server;

  private constructor(name: string) {
    this.#name = name;
    this.#server = createServer((request, response) => {
      const pieces: Buffer[] = [];
      let kept = 0;
      let bodyBytes = 0;
      request.on('data', (piece: Buffer) => {
        bodyBytes += piece.length;
        if (kept < echoedBytes) pieces.push(piece.subarray(0, echoedBytes - kept));
        kept = Math.min(echoedBytes, bodyBytes);
      });
      request.on('end', () => {
        const { method, path, headers } = describe(request);
        const text = Buffer.concat(pieces).toString();
        const lines = headers.map(([name, value]) => `${name}: ${value}`);
        const saw = { upstream: this.#name, method, path, headers: lines, bodyBytes, body: text };
        const body = `${JSON.stringify(saw, null, 2)}\n`;
        response.setHeader('content-type', 'application/json');
        response.setHeader('content-length', Buffer.byteLength(body));
        response.setHeader('date', new Date().toUTCString());
        const answerHeaders = Object.entries(response.getHeaders()).map(([name, value]) => [name, String(value)] as const);
        this.seen.push({ method, path, headers, bodyBytes, answer: { status: 200, headers: answerHeaders } });
        if (this.seen.length > remembered) this.seen.shift();
        response.end(body);
      });
    });
  }

  /** Starts one on a free port of this machine. `name` shows in its answers. */
  static async start(name: string): Promise<Echo> {
    const echo = new Echo(name);
    await new Promise<void>((resolve, reject) => {
      echo.#server.once('error', reject).listen(0, '127.0.0.1', resolve);
    });
    return echo;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }
}

function describe(request: IncomingMessage): { method: string; path: string; headers: HeaderLines } {
  return { method: request.method ?? '', path: request.url ?? '', headers: headerLines(request.rawHeaders) };
}
