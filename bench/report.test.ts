// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { paths } from '../bundler/toolchain/paths.ts';
import { plot } from './plot.ts';
import { shownResult, withResult } from './readme.ts';
import { Report, toMarkdown, toText } from './report.ts';
import { toJson, type CellResult, type Result } from './result.ts';

/** A cell with these numbers in its two blocks and one count. */
function cell(variant: CellResult['variant'], cpuUs: number[], instructions: number[]): CellResult {
  const profile = variant === 'none' ? null : 'p1';
  const name = profile === null ? variant : `${variant} ${profile}`;
  return { name, variant, profile, cpuUs, wallUs: cpuUs, p50Us: cpuUs, p99Us: cpuUs, instructions };
}

/** One block is twice as noisy as the other. */
const result: Result = {
  measuredAt: '2026-01-02T03:04:05.000Z',
  machine: { cpu: 'A <CPU>', cores: 2, memoryMb: 4096, kernel: '6.1' },
  versions: {
    envoy: '1.40.0',
    commit: '0123456789abcdef0123456789abcdef01234567',
    dirty: false,
    contract: 1,
    node: 'v20.0.0',
    qemu: '7.2',
    other: null,
  },
  method: { connections: 16, requestsPerChunk: 2_000, blocks: 2, counts: 1, requestsPerCount: 400, warmUp: 200 },
  cells: [
    cell('none', [20, 40], [80_000]),
    cell('native', [24, 48], [90_000]),
    cell('lua', [30, 60], [105_000]),
    cell('fairlead', [25, 50], [93_000]),
  ],
};

const report = new Report(result);

describe('the report of a result', () => {
  test('has medians of differences within blocks, with the quietest in brackets (F119)', () => {
    expect(report.cost('native', 'p1')).toEqual({ cpuUs: 6, quietCpuUs: 4, kiloInstructions: 10 });
    expect(report.cost('fairlead', 'p1')).toEqual({ cpuUs: 7.5, quietCpuUs: 5, kiloInstructions: 13 });
    expect(report.cpuRatio('fairlead', 'lua', 'p1')?.value).toBe(0.5);
  });

  test('says of each target whether it holds, or that the noise does not tell (F119)', () => {
    const verdicts = report.tables().at(-1)?.rows;
    expect(verdicts?.map(([, target, measured, verdict]) => [target, measured, verdict])).toEqual([
      ['≤ 3.5', '3.00', 'pass'],
      ['≤ 0.6', '0.50', 'pass'],
    ]);
    const withFairlead = (cpuUs: number[], instructions: number): (string | undefined)[] | undefined => {
      const cells = [...result.cells.slice(0, 3), cell('fairlead', cpuUs, [instructions])];
      return new Report({ ...result, cells }).tables().at(-1)?.rows.map((row) => row.at(-1));
    };
    expect(withFairlead([27, 54], 93_501)).toEqual(['FAIL', 'FAIL']);
    // In one block less of what Lua takes than the target and in the other more; the middle on either side.
    expect(withFairlead([25, 60], 93_500)).toEqual(['pass', 'undecided']);
    expect(withFairlead([29, 44], 93_500)).toEqual(['pass', 'undecided']);
  });

  test('leaves out what was not measured: no table and no verdict stand for it (F119)', () => {
    const uncounted = new Report({ ...result, cells: result.cells.map((each) => ({ ...each, instructions: [] })) });
    expect(uncounted.tables().map(({ title }) => title.split(' ')[0])).toEqual(['CPU', 'Targets']);
    expect(uncounted.tables().at(-1)?.rows).toHaveLength(1);
    const untimed = new Report({ ...result, cells: result.cells.map((each) => ({ ...each, cpuUs: [] })) });
    expect(untimed.tables().map(({ title }) => title.split(' ')[0])).toEqual(['Instructions', 'Targets']);
  });

  test('compares another build with this one when it took part (F119)', () => {
    const both = new Report({ ...result, cells: [...result.cells, cell('other', [25.5, 51], [93_190])] });
    const [cpu, instructions] = both.tables();
    expect(cpu?.head.at(-1)).toBe('other ÷ fairlead');
    expect(cpu?.rows[0]?.at(-1)).toMatch(/^1\.10 /);
    expect(instructions?.head.at(-1)).toBe('other − fairlead');
    expect(instructions?.rows[0]?.at(-1)).toBe('0.19');
  });

  test('is lined up for a terminal, and a table in Markdown (F119)', () => {
    const table = { title: 'T', head: ['a', 'bbb'], rows: [['cc', '1'], ['d', '22']] };
    expect(toText(table)).toBe('T\na   bbb\ncc    1\nd    22');
    expect(toMarkdown(table)).toBe('**T**\n\n| a | bbb |\n| --- | ---: |\n| cc | 1 |\n| d | 22 |');
  });

  test('is drawn with bars as long as the numbers (F119)', () => {
    const lengths = [...plot(report).matchAll(/<rect x="\d+" y="\d+" width="(\d+)"/g)].map((match) => Number(match[1]));
    // Native, Lua and fairlead are 6, 15 and 7.5 µs over no filter.
    const [native = NaN, lua = NaN, fairlead = NaN] = lengths;
    expect(lengths).toHaveLength(3);
    expect(native / lua).toBeCloseTo(6 / 15);
    expect(fairlead / lua).toBeCloseTo(7.5 / 15);
  });

  test('can be made again from the JSON that was written (F119)', () => {
    const read = JSON.parse(toJson(result)) as Result;
    expect(read).toEqual(result);
    expect(toJson(result).split('\n').filter((line) => line.includes('"cpuUs"'))).toHaveLength(result.cells.length);
  });
});

describe('bench/README.md', () => {
  const page = readFileSync(join(paths.repoRoot, 'bench', 'README.md'), 'utf8');
  const name = shownResult(page);
  const results = join(paths.repoRoot, 'bench', 'results');
  const shown = new Report(JSON.parse(readFileSync(join(results, `${name}.json`), 'utf8')) as Result);

  test('shows what the raw result it names says, to the letter (F119)', () => {
    expect(withResult(page, name, shown)).toBe(page);
    expect(withResult(page, 'x', report)).not.toBe(page);
  });

  test('shows the plot of that result (F119)', () => {
    expect(readFileSync(join(results, `${name}.svg`), 'utf8')).toBe(plot(shown));
    expect(page).toContain(`(results/${name}.svg)`);
  });
});
