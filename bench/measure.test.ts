// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The whole bench at its smallest: everything real, and nobody asks how fast it was.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from 'vitest';
import { paths } from '../bundler/toolchain/paths.ts';
import { cellsOf, checkBehaviour, startCells } from './cells.ts';
import { qemuVersion } from './instructions.ts';
import { bytecodeFile, compileFilters, measure, withUpstreams } from './measure.ts';
import { cpuMeter } from './meters.ts';
import { profileNames, type ProfileName } from './profiles.ts';
import { Report } from './report.ts';
import type { Method, Result } from './result.ts';
import type { Parts } from './variants.ts';

const method: Method = { connections: 4, requestsPerChunk: 20, blocks: 3, counts: 2, requestsPerCount: 40, warmUp: 40 };
const qemu = qemuVersion();
const cellNames = ['none', ...profileNames.flatMap((profile) => ['native', 'lua', 'fairlead', 'other'].map((name) => `${name} ${profile}`))];

const affinity = (): string => /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';

describe('a whole run with another library beside ours', () => {
  const allCores = affinity();
  let result: Result;
  beforeAll(async () => {
    result = await measure({ profiles: profileNames, method, otherLibrary: paths.soPath });
  }, 120_000);

  test('times every variant at every profile in every block (F119)', () => {
    expect(result.cells.map(({ name }) => name)).toEqual(cellNames);
    for (const { name, cpuUs, wallUs, p50Us, p99Us } of result.cells) {
      for (const values of [cpuUs, wallUs, p50Us, p99Us]) {
        expect(values, name).toHaveLength(method.blocks);
        for (const value of values) expect(value, name).toBeGreaterThan(0);
      }
      for (const [index, p50] of p50Us.entries()) expect(p99Us[index]).toBeGreaterThanOrEqual(p50);
    }
  });

  test('counts the instructions of each where qemu is installed (F119)', () => {
    const report = new Report(result);
    for (const { name, variant, instructions } of result.cells) {
      expect(instructions, name).toHaveLength(qemu === null ? 0 : method.counts);
      // Work repeats; only Lua and the engine collect garbage in between.
      const [first = 0, second = 0] = instructions;
      if (variant === 'none' || variant === 'native') expect(Math.abs(first - second), name).toBeLessThanOrEqual(first * 0.05);
    }
    for (const profile of profileNames) {
      const { kiloInstructions } = report.cost('native', profile);
      if (qemu === null) expect(kiloInstructions).toBeNull();
      // Any work costs some, and less than two requests.
      else expect(kiloInstructions, profile).toBeGreaterThan(1);
      expect(kiloInstructions ?? 0, profile).toBeLessThan(150);
    }
  });

  test('says where, when and of what it was measured (F119)', () => {
    expect(Date.parse(result.measuredAt)).toBeLessThanOrEqual(Date.now());
    expect(result.machine.cores).toBeGreaterThan(1);
    expect(result.machine.cpu).not.toBe('');
    expect(result.machine.kernel).toMatch(/^\d+\./);
    expect(result.versions).toMatchObject({
      envoy: expect.stringMatching(/^\d+\.\d+\.\d+$/) as string,
      commit: expect.stringMatching(/^[0-9a-f]{40}$/) as string,
      contract: expect.any(Number) as number,
      other: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
      qemu,
    });
    expect(result.method).toEqual(method);
  });

  test('leaves this process on all of its cores again (F119)', () => {
    expect(affinity()).toBe(allCores);
  });
});

describe('behaviour before speed', () => {
  /** Starts the cells of one profile with a filter of another, and compares. */
  async function compare(profile: ProfileName, filter: ProfileName): Promise<void> {
    const parts: Parts = { bytecodeFile: () => bytecodeFile(filter), otherLibrary: undefined };
    const cells = cellsOf([profile], parts);
    await withUpstreams(async (upstreams) => {
      const envoy = await startCells(cells, parts, upstreams, {});
      try {
        await checkBehaviour(cells, envoy, upstreams);
      } finally {
        await envoy.stop();
      }
    });
  }

  beforeAll(async () => {
    await compileFilters(profileNames);
  });

  test.each(profileNames)('a filter that does the work of %s is let through (F119)', async (profile) => {
    await expect(compare(profile, profile)).resolves.toBeUndefined();
  });

  test.each([
    ['p0', 'p1'],
    ['p1', 'p0'],
    ['p1', 'p2'],
    ['p2', 'p1'],
    ['p4', 'p0'],
    ['p5', 'p0'],
    ['p0', 'p5'],
  ] as const)('a filter that should do the work of %s and does that of %s ends the run by its name (F119)', async (profile, filter) => {
    await expect(compare(profile, filter)).rejects.toThrow(
      expect.objectContaining({ name: 'BehaviourError', cell: `fairlead ${profile}` }) as Error,
    );
  });
});

describe('the CPU meter', () => {
  test('shows what a process has used, of all its threads (F119)', () => {
    const meter = cpuMeter(process.pid);
    const before = meter();
    const start = process.cpuUsage();
    const usedUs = (): number => {
      const { user, system } = process.cpuUsage(start);
      return user + system;
    };
    while (usedUs() < 100_000) Math.sqrt(usedUs());
    const after = meter();
    const grownMs = (after - before) / 1e6;
    expect(grownMs).toBeGreaterThan(90);
    expect(grownMs).toBeLessThan(usedUs() / 1000 + 10);
  });
});
