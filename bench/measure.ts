// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from '../bundler/index.ts';
import { paths } from '../bundler/toolchain/paths.ts';
import { SetupError } from '../bundler/toolchain/process.ts';
import { step } from '../bundler/toolchain/progress.ts';
import { startUpstream } from '../test/harness.ts';
import { cellsOf, type Upstreams } from './cells.ts';
import { QuickUpstream } from './generator.ts';
import { countInstructions, qemuVersion, type InstructionCounts } from './instructions.ts';
import type { ProfileName } from './profiles.ts';
import { race, type Laps } from './race.ts';
import { theseVersions, thisMachine, type Method, type Result } from './result.ts';
import type { Parts } from './variants.ts';

/** What is to be measured. */
export interface Plan {
  readonly profiles: readonly ProfileName[];
  /** How much; nothing of what is zero. */
  readonly method: Method;
  /** Another libfairlead.so that joins the race. */
  readonly otherLibrary: string | undefined;
}

/** Measures. Requires: `ensure({ release: true, wasm: true, envoy: true, bench: true })`. */
export async function measure({ profiles, method, otherLibrary }: Plan): Promise<Result> {
  const parts: Parts = { bytecodeFile, otherLibrary };
  const cells = cellsOf(profiles, parts);
  const measuredAt = new Date().toISOString();
  const qemu = method.counts > 0 ? qemuVersion() : null;
  const versions = theseVersions(qemu, otherLibrary);
  await compileFilters(profiles);
  return await withUpstreams(async (upstreams) => {
    let laps: Readonly<Record<string, Laps>> = {};
    let counts: InstructionCounts = {};
    if (method.blocks > 0) {
      laps = await step('timing', (onProgress) =>
        onSeparateCores((command) => race(cells, parts, upstreams, { ...method, command, random: Math.random, onProgress })),
      );
    }
    if (qemu !== null) {
      counts = await step('counting instructions', (onProgress) =>
        countInstructions(cells, parts, upstreams, { ...method, onProgress }),
      );
    }
    const noLaps: Laps = { cpuUs: [], wallUs: [], p50Us: [], p99Us: [] };
    return {
      measuredAt,
      machine: thisMachine(),
      versions,
      method,
      cells: cells.map((cell) => ({ ...cell, ...(laps[cell.name] ?? noLaps), instructions: counts[cell.name] ?? [] })),
    };
  });
}

/** Builds the profiles' filters into `bytecodeFile`. */
export async function compileFilters(profiles: readonly ProfileName[]): Promise<void> {
  mkdirSync(bytecodeFolder, { recursive: true });
  await step('compiling the filters', async (report) => {
    for (const profile of profiles) {
      report(profile);
      await build({ entry: join(paths.repoRoot, 'bench', 'filters', `${profile}.ts`), output: bytecodeFile(profile) });
    }
  });
}

const bytecodeFolder = join(paths.buildDir, 'bench');

/** Where a profile's filter is once it is compiled. */
export function bytecodeFile(profile: ProfileName): string {
  return join(bytecodeFolder, `${profile}.qjb`);
}

/** Starts what stands behind Envoy for `use` and closes it, whatever happens. */
export async function withUpstreams<T>(use: (upstreams: Upstreams) => Promise<T>): Promise<T> {
  const ask = await QuickUpstream.start();
  const upstream = await startUpstream({
    handler: (exchange) => exchange.respond(200, [['content-type', 'text/plain'], ['content-length', '6']], 'hello\n'),
  });
  try {
    return await use({ ask, upstream });
  } finally {
    await ask.close();
    await upstream.close();
  }
}

/** Keeps this process, which makes the load, on one core while `use` runs; gives it the command that puts Envoy on another. */
async function onSeparateCores<T>(use: (command: readonly string[]) => Promise<T>): Promise<T> {
  const all = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '';
  const [envoyCore, loadCore] = all.split(',').flatMap((range) => {
    const [first = NaN, last = first] = range.split('-').map(Number);
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
  if (envoyCore === undefined || loadCore === undefined) {
    throw new SetupError('timing needs two cores: one for Envoy, one for the load; --instructions counts on one as well');
  }
  const stayOn = (cores: string): void => {
    const { status, stderr, error } = spawnSync('taskset', ['--all-tasks', '--cpu-list', '--pid', cores, String(process.pid)]);
    if (status !== 0) throw new SetupError(`taskset (of util-linux) does not work: ${error?.message ?? String(stderr)}`);
  };
  stayOn(String(loadCore));
  try {
    return await use(['taskset', '--cpu-list', String(envoyCore)]);
  } finally {
    stayOn(all);
  }
}
