// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { within } from '../test/harness.ts';

/** Connections of a client that sends its next request when an answer is complete: a closed loop. */
export class Connections {
  #sockets: Socket[];
  /** Takes what arrives, by the connection's place, while a run is under way. */
  #onData: (index: number, piece: Buffer) => void = () => undefined;
  #onEnd: (error: Error) => void = () => undefined;

  private constructor(sockets: Socket[]) {
    this.#sockets = sockets;
    for (const [index, socket] of sockets.entries()) {
      socket.on('data', (piece: Buffer) => this.#onData(index, piece));
      socket.on('error', (error) => this.#onEnd(error));
      socket.on('close', () => this.#onEnd(new Error('Envoy closed a connection')));
    }
  }

  static async open(port: number, count: number): Promise<Connections> {
    const sockets = Array.from({ length: count }, () => connect({ port, host: '127.0.0.1', noDelay: true }));
    await Promise.all(sockets.map((socket) => once(socket, 'connect')));
    return new Connections(sockets);
  }

  /**
   * Sends `request` that many times and waits for all answers. Each answer must have the first one's status and length.
   * Gives the time each one took, in microseconds.
   */
  async run(request: Uint8Array, count: number): Promise<Float64Array> {
    const latenciesUs = new Float64Array(count);
    const sentAtMs = new Float64Array(this.#sockets.length);
    const received = this.#sockets.map((): Buffer => nothing);
    let sent = 0;
    let answered = 0;
    let first: Buffer | undefined;
    const all = new Promise<void>((resolve, reject) => {
      const send = (index: number): void => {
        if (sent === count) return;
        sent++;
        sentAtMs[index] = performance.now();
        this.#sockets[index]?.write(request);
      };
      this.#onEnd = reject;
      this.#onData = (index, piece) => {
        const before = received[index] as Buffer;
        const answer = before.length === 0 ? piece : Buffer.concat([before, piece]);
        received[index] = answer;
        first ??= whole(answer);
        if (first === undefined) return;
        if (answer.length < first.length && whole(answer) === undefined) return;
        if (answer.length !== first.length || answer.compare(first, 0, statusBytes, 0, statusBytes) !== 0) {
          reject(new Error(`unequal answers:\n${first.toString('latin1')}\n${answer.toString('latin1')}`));
          return;
        }
        received[index] = nothing;
        latenciesUs[answered++] = (performance.now() - (sentAtMs[index] as number)) * 1000;
        if (answered === count) resolve();
        else send(index);
      };
      for (const index of this.#sockets.keys()) send(index);
    });
    await within(`${count} answers`, runLimitMs, all);
    return latenciesUs;
  }

  close(): void {
    this.#onEnd = () => undefined;
    for (const socket of this.#sockets) socket.destroy();
  }
}

const runLimitMs = 120_000;
const nothing = Buffer.alloc(0);
const statusBytes = 'HTTP/1.1 200'.length;

/** The bytes of an answer when it is complete. Requires: it has a content-length. */
function whole(received: Buffer): Buffer | undefined {
  const headEnd = received.indexOf('\r\n\r\n');
  if (headEnd < 0) return undefined;
  const head = received.toString('latin1', 0, headEnd + 2);
  const length = /\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer without content-length:\n${head}`);
  return received.length < headEnd + 4 + Number(length) ? undefined : received;
}

/** An upstream that says 200 to every request head, as fast as Node can. */
export class QuickUpstream {
  #server: Server;
  #sockets = new Set<Socket>();
  /** Gets the text of each request head while it is set. */
  onRequest: ((head: string) => void) | undefined;

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket: Socket) => {
      socket.setNoDelay(true);
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket)).on('error', () => undefined);
      let rest = '';
      socket.on('data', (piece: Buffer) => {
        const heads = (rest + piece.toString('latin1')).split('\r\n\r\n');
        rest = heads.pop() ?? '';
        for (const head of heads) {
          this.onRequest?.(head);
          socket.write('HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok\n');
        }
      });
    });
  }

  static async start(): Promise<QuickUpstream> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new QuickUpstream(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
