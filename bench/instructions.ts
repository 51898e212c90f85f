// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { paths } from '../bundler/toolchain/paths.ts';
import { checkBehaviour, startCells, timedRequest, type Cell, type Upstreams } from './cells.ts';
import { Connections } from './generator.ts';
import { instructionMeter, settled } from './meters.ts';
import type { Parts } from './variants.ts';

/** How the machine gets what is missing. */
export const qemuHint = "without qemu-x86_64 no instructions are counted; 'apt-get install qemu-user' brings it";

/** Version of the qemu-user here that takes plugins; `null` without one. */
export function qemuVersion(): string | null {
  const help = spawnSync('qemu-x86_64', ['--help'], { encoding: 'utf8' });
  if (help.status !== 0 || !help.stdout.includes('-plugin')) return null;
  const { stdout } = spawnSync('qemu-x86_64', ['--version'], { encoding: 'utf8' });
  return /version (\S+)/.exec(stdout)?.[1] ?? 'unknown';
}

/** How much is counted. */
export interface CountOptions {
  readonly connections: number;
  /** Requests per cell before the count, which fill caches and pools. */
  readonly warmUp: number;
  /** Requests per count. */
  readonly requestsPerCount: number;
  /** Counts per cell. */
  readonly counts: number;
  readonly onProgress: (text: string) => void;
}

/** User-mode instructions per request: by cell, one number a count. */
export type InstructionCounts = Readonly<Record<string, readonly number[]>>;

/** Runs the cells in an Envoy under qemu, and counts what each request takes. */
export async function countInstructions(
  cells: readonly Cell[],
  parts: Parts,
  upstreams: Upstreams,
  { connections, warmUp, requestsPerCount, counts, onProgress }: CountOptions,
): Promise<InstructionCounts> {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-bench-'));
  const countersFile = join(folder, 'counters');
  const meter = instructionMeter(countersFile);
  const plugin = `${join(paths.buildDir, 'release', 'libbench_instructions.so')},counters=${countersFile}`;
  try {
    onProgress('starting Envoy under qemu');
    const envoy = await startCells(cells, parts, upstreams, {
      command: ['qemu-x86_64', '-plugin', plugin],
      startLimitMs: emulatedStartLimitMs,
    });
    try {
      await checkBehaviour(cells, envoy, upstreams);
      const found: Record<string, number[]> = {};
      for (const [index, { name }] of cells.entries()) {
        onProgress(`${name} (${index + 1}/${cells.length})`);
        const client = await Connections.open(envoy.portOf(name), connections);
        await client.run(timedRequest, warmUp);
        found[name] = [];
        for (let count = 0; count < counts; count++) {
          const before = await settled(meter);
          await client.run(timedRequest, requestsPerCount);
          found[name].push(((await settled(meter)) - before) / requestsPerCount);
        }
        client.close();
      }
      return found;
    } finally {
      await envoy.stop();
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const emulatedStartLimitMs = 120_000;
