// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { main, parse } from './main.ts';
import { profileNames } from './profiles.ts';

describe('the command line of the bench', () => {
  let said: string;
  beforeEach(() => {
    said = '';
    for (const stream of [process.stdout, process.stderr]) {
      vi.spyOn(stream, 'write').mockImplementation((text) => {
        said += String(text);
        return true;
      });
    }
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  test('without options measures every profile in five rounds of 20,000 requests at least, and counts (F119)', () => {
    const { plan, name, report } = parse([]);
    expect(plan.profiles).toEqual(profileNames);
    expect(plan.method.blocks * plan.method.requestsPerChunk).toBeGreaterThanOrEqual(5 * 20_000);
    expect(plan.method.counts).toBeGreaterThan(0);
    expect(plan.otherLibrary).toBeUndefined();
    expect(name).toBe('local');
    expect(report).toBe(false);
  });

  test('with --short measures less of everything in the same way (F119)', () => {
    const { method } = parse(['--short']).plan;
    const full = parse([]).plan.method;
    expect(method.blocks).toBeLessThan(full.blocks);
    expect(method.counts).toBeLessThan(full.counts);
    expect({ ...method, blocks: full.blocks, counts: full.counts }).toEqual(full);
  });

  test('takes profiles in their own order, and --instructions to time nothing (F119)', () => {
    const { plan } = parse(['--instructions', '--only', 'p4,p1']);
    expect(plan.profiles).toEqual(['p1', 'p4']);
    expect(plan.method.blocks).toBe(0);
    expect(plan.method.counts).toBeGreaterThan(0);
  });

  test('takes a folder with a libfairlead.so as another variant (F119)', () => {
    const folder = mkdtempSync(join(tmpdir(), 'fairlead-bench-'));
    try {
      writeFileSync(join(folder, 'libfairlead.so'), '');
      expect(parse(['--library', folder]).plan.otherLibrary).toBe(join(folder, 'libfairlead.so'));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test.each([
    [['--fast'], 'commander.unknownOption'],
    [['p1'], 'commander.excessArguments'],
    [['--only', 'p1,p9'], 'commander.invalidArgument'],
    [['--only'], 'commander.optionMissingArgument'],
    [['--library', '/nowhere'], 'commander.invalidArgument'],
    [['--name', '../escape'], 'commander.invalidArgument'],
  ])('refuses %j with exit code 2 before it builds anything, and says how it is used (F119)', async (args, code) => {
    expect(() => parse(args)).toThrow(expect.objectContaining({ code }) as Error);
    expect(await main(args)).toBe(2);
    expect(said).toContain('Usage: npm run bench --');
  });

  test("ends with Envoy's reason, and no stack, when the other library cannot be loaded (F119)", async () => {
    const folder = mkdtempSync(join(tmpdir(), 'fairlead-bench-'));
    try {
      writeFileSync(join(folder, 'libfairlead.so'), 'no library');
      const run = main(['--short', '--only', 'p0', '--library', folder]);
      await expect(run).rejects.toThrow(
        expect.objectContaining({ name: 'SetupError', message: expect.stringContaining(folder) as string }) as Error,
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('prints its help with exit code 0 (F119)', async () => {
    expect(await main(['--help'])).toBe(0);
    expect(said).toContain('--instructions');
  });
});
