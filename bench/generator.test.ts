// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { describe, expect, test } from 'vitest';
import { Connections, QuickUpstream } from './generator.ts';

const get = Buffer.from('GET / HTTP/1.1\r\nhost: a\r\n\r\n');
const answer = 'HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok';

/** Serves each request head by `serve`, which knows how many came before. */
async function withServer(serve: (socket: Socket, index: number) => void, use: (port: number) => Promise<void>): Promise<void> {
  let count = 0;
  const server = createServer((socket) => {
    socket.on('error', () => undefined).on('data', (piece: Buffer) => {
      // Requests are not pipelined, so a piece is one.
      expect(piece.equals(get)).toBe(true);
      serve(socket, count++);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  try {
    await use((server.address() as AddressInfo).port);
  } finally {
    server.close();
  }
}

async function run(port: number, count: number): Promise<Float64Array> {
  const client = await Connections.open(port, 3);
  try {
    return await client.run(get, count);
  } finally {
    client.close();
  }
}

describe('the load of the bench', () => {
  test('sends exactly as many requests as it is told, one at a time on each connection, run after run (F119)', async () => {
    const upstream = await QuickUpstream.start();
    const heads: string[] = [];
    upstream.onRequest = (head) => heads.push(head);
    const client = await Connections.open(upstream.port, 3);
    expect(await client.run(get, 2)).toHaveLength(2);
    expect(heads).toHaveLength(2);
    const latenciesUs = await client.run(get, 50);
    expect(heads).toHaveLength(52);
    expect(new Set(heads)).toEqual(new Set(['GET / HTTP/1.1\r\nhost: a']));
    expect(Math.min(...latenciesUs)).toBeGreaterThan(0);
    client.close();
    await upstream.close();
  });

  test('waits for the whole of an answer that comes in pieces (F119)', async () => {
    const serve = (socket: Socket): void => {
      socket.setNoDelay(true);
      socket.write(answer.slice(0, 20), () => socket.write(answer.slice(20)));
    };
    await withServer(serve, async (port) => {
      expect(await run(port, 20)).toHaveLength(20);
    });
  });

  test.each([
    ['has another status', answer.replace('200', '503')],
    ['is longer', `${answer}!`],
    ['is shorter', answer.replace('2\r\n\r\nok', '1\r\n\r\nk')],
  ])('stops at an answer that %s (F119)', async (_, odd) => {
    await withServer((socket, index) => socket.write(index === 10 ? odd : answer), async (port) => {
      await expect(run(port, 20)).rejects.toThrow(odd);
    });
  });

  test('stops when a connection is closed under it (F119)', async () => {
    await withServer((socket, index) => (index === 10 ? socket.end() : socket.write(answer)), async (port) => {
      await expect(run(port, 20)).rejects.toThrow('closed a connection');
    });
  });
});
