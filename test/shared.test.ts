// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The store of all workers in a real Envoy. What a script can do with it on one worker is in conformance/shared.ts.

import { expect, test } from 'vitest';
import { fairlead, Http2Client, request, waitFor, withEnvoy, type Envoy, type TrafficOptions } from './harness.ts';

const workers = 2;

/** Answers how often this worker has seen a request, and how often all have. */
const counting = `import { shared } from "fairlead";
let own = 0;
export default {
  onRequest(request) {
    if (request.path === "/size") return new Response(String(shared.keys().length));
    return Response.json([++own, shared.incr("all")]);
  } };`;

const traffic = (source: string, more: object = {}): TrafficOptions => ({ filters: [fairlead({ inline: source, ...more })] });

/** Connections until both workers have one; Envoy gives each to some worker. */
async function onBothWorkers<T>(envoy: Envoy, use: (clients: readonly Http2Client[]) => Promise<T>): Promise<T> {
  const clients: Http2Client[] = [];
  try {
    await waitFor('a connection on each worker', async () => {
      clients.push(await Http2Client.connect(envoy));
      const stats = await envoy.stats('listener.');
      const busy = Object.entries(stats).filter(([name, value]) => /worker_\d+\.downstream_cx_active$/.test(name) && value > 0);
      return busy.length === workers;
    });
    return await use(clients);
  } finally {
    for (const client of clients) await client.close();
  }
}

test('module variables are of one worker, the store is of all (F093, F094)', async () => {
  await withEnvoy({ ...traffic(counting), concurrency: workers }, async (envoy) => {
    await onBothWorkers(envoy, async (clients) => {
      const counts: number[][] = [];
      for (let i = 0; i < 4 * clients.length; i++) {
        const answer = await clients[i % clients.length]?.request('/');
        counts.push(answer?.json<number[]>() ?? []);
      }
      expect(counts.map(([, all]) => all)).toEqual(counts.map((_, i) => i + 1));
      // Each worker has counted to a part of it.
      const own = counts.map(([count = 0]) => count);
      expect(own.filter((count) => count === 1)).toHaveLength(workers);
      expect(Math.max(...own)).toBeLessThan(counts.length);
    });
  });
});

test('the store survives a reload of another script, and is of one filter name (F095)', async () => {
  const named = (name: string, source: string): TrafficOptions => ({ filters: [fairlead({ inline: source }, name)] });
  const next = counting.replace('let own = 0', 'let own = 100');
  await withEnvoy({ ...named('one', counting), dynamic: true }, async (envoy) => {
    const ask = async (): Promise<number[]> => (await request(envoy)).json<number[]>();
    expect(await ask()).toEqual([1, 1]);
    expect(await ask()).toEqual([2, 2]);
    expect(await envoy.update(named('one', next))).toMatchObject({ accepted: true });
    expect(await waitFor('the new script', async () => {
      const [own = 0, all = 0] = await ask();
      return own > 100 && [own, all];
    })).toEqual([101, expect.any(Number)]);
    const [, all = 0] = await ask();
    expect(all).toBeGreaterThan(3);
    expect(await envoy.update(named('other', next))).toMatchObject({ accepted: true });
    await waitFor('the other filter', async () => {
      const [, count = 0] = await ask();
      return count < all;
    });
  });
});

test('a smaller size takes effect with the config, and what is there is cut to it (F094, F095)', async () => {
  const filling = counting.replace('return Response', 'for (let i = 0; i < 100; i++) shared.set("k" + i, "x".repeat(500)); return Response');
  const sizeOf = async (envoy: Envoy): Promise<number> => Number((await request(envoy, '/size')).text());
  await withEnvoy({ ...traffic(filling), dynamic: true }, async (envoy) => {
    await request(envoy);
    expect(await sizeOf(envoy)).toBe(101);
    expect(await envoy.update(traffic(filling, { limits: { shared_kb: 10 } }))).toMatchObject({ accepted: true });
    expect(await waitFor('the smaller store', async () => {
      const size = await sizeOf(envoy);
      return size < 101 && size;
    })).toBeLessThan(20);
  });
});
