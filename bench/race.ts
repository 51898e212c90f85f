// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { checkBehaviour, startCells, timedRequest, type Cell, type Upstreams } from './cells.ts';
import { Connections } from './generator.ts';
import { cpuMeter, settled } from './meters.ts';
import { quantile, shuffled } from './statistics.ts';
import type { Parts } from './variants.ts';

/** How long the race is. */
export interface RaceOptions {
  readonly connections: number;
  readonly requestsPerChunk: number;
  /** In each block every cell has one chunk, in random order; blocks follow each other. */
  readonly blocks: number;
  /** Command and arguments that hold Envoy to its core. */
  readonly command: readonly string[];
  readonly random: () => number;
  readonly onProgress: (text: string) => void;
}

/** What was measured of a cell, one number a block. */
export interface Laps {
  readonly cpuUs: number[];
  readonly wallUs: number[];
  readonly p50Us: number[];
  readonly p99Us: number[];
}

/** Lets the cells race in one Envoy: all per request, but for the percentiles of the latency. */
export async function race(
  cells: readonly Cell[],
  parts: Parts,
  upstreams: Upstreams,
  { connections, requestsPerChunk, blocks, command, random, onProgress }: RaceOptions,
): Promise<Readonly<Record<string, Laps>>> {
  onProgress('starting Envoy');
  const envoy = await startCells(cells, parts, upstreams, { command });
  const clients = new Map<string, Connections>();
  try {
    onProgress('comparing behaviour');
    await checkBehaviour(cells, envoy, upstreams);
    const meter = cpuMeter(envoy.pid);
    const laps: Record<string, Laps> = {};
    for (const { name } of cells) {
      onProgress(`warming up ${name}`);
      const client = await Connections.open(envoy.portOf(name), connections);
      clients.set(name, client);
      await client.run(timedRequest, requestsPerChunk);
      laps[name] = { cpuUs: [], wallUs: [], p50Us: [], p99Us: [] };
    }
    for (let block = 1; block <= blocks; block++) {
      onProgress(`block ${block}/${blocks}`);
      for (const [name, client] of shuffled([...clients], random)) {
        const before = await settled(meter);
        const beganMs = performance.now();
        const latenciesUs = await client.run(timedRequest, requestsPerChunk);
        const wallUs = (performance.now() - beganMs) * 1000;
        const lap = laps[name] as Laps;
        lap.cpuUs.push(((await settled(meter)) - before) / 1000 / requestsPerChunk);
        lap.wallUs.push(wallUs / requestsPerChunk);
        lap.p50Us.push(quantile(latenciesUs, 0.5));
        lap.p99Us.push(quantile(latenciesUs, 0.99));
      }
    }
    return laps;
  } finally {
    for (const client of clients.values()) client.close();
    await envoy.stop();
  }
}
