// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Command, CommanderError, InvalidArgumentError } from 'commander';
import { ensure } from '../bundler/toolchain/ensure.ts';
import { paths } from '../bundler/toolchain/paths.ts';
import { SetupError } from '../bundler/toolchain/process.ts';
import { EnvoyStartError, rejectionReason } from '../test/harness.ts';
import { BehaviourError } from './cells.ts';
import { qemuHint, qemuVersion } from './instructions.ts';
import { measure, type Plan } from './measure.ts';
import { plot } from './plot.ts';
import { profileNames, type ProfileName } from './profiles.ts';
import { withResult } from './readme.ts';
import { Report, toText } from './report.ts';
import { toJson, type Method, type Result } from './result.ts';

const fullMethod: Method = {
  connections: 16,
  requestsPerChunk: 2_000,
  blocks: 180,
  counts: 5,
  requestsPerCount: 400,
  warmUp: 200,
};

const shortMethod: Method = { ...fullMethod, blocks: 20, counts: 2 };

/** A command line that was understood. */
export interface Request {
  readonly plan: Plan;
  /** Measure nothing: bench/README.md is to show the raw result of that name. */
  readonly report: boolean;
  /** Name of the raw result in bench/results. */
  readonly name: string;
}

/** What a wrong command line ends with, by convention. */
const usageExitCode = 2;

/** Runs `npm run bench`. Returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  let request: Request;
  try {
    request = parse(args);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageExitCode;
    throw error;
  }
  const { plan, name, report } = request;
  const file = resultFile(name);
  if (report) {
    if (!existsSync(file)) throw new SetupError(`there is no ${file}; 'npm run bench -- --name ${name}' makes it`);
    publish(name, new Report(JSON.parse(readFileSync(file, 'utf8')) as Result));
    return 0;
  }
  await ensure({ release: true, wasm: true, envoy: true, bench: true });
  if (qemuVersion() === null) {
    if (plan.method.blocks === 0) throw new SetupError(qemuHint);
    console.error(qemuHint);
  }
  let result: Result;
  try {
    result = await measure(plan);
  } catch (error) {
    if (error instanceof BehaviourError) throw new SetupError(error.message);
    if (!(error instanceof EnvoyStartError)) throw error;
    // Envoy's own line repeats the configuration; what is wrong with it comes last.
    throw new SetupError(`Envoy does not start: …${rejectionReason(error.log).message.slice(-shownReason)}`);
  }
  mkdirSync(benchFolder('results'), { recursive: true });
  writeFileSync(file, toJson(result));
  console.log(`\n${new Report(result).tables().map(toText).join('\n\n')}\n\n${file}`);
  return 0;
}

const shownReason = 500;

/** Puts a result into bench/README.md and draws its plot beside the raw result. */
function publish(name: string, report: Report): void {
  const page = benchFolder('README.md');
  writeFileSync(page, withResult(readFileSync(page, 'utf8'), name, report));
  writeFileSync(benchFolder('results', `${name}.svg`), plot(report));
}

function resultFile(name: string): string {
  return benchFolder('results', `${name}.json`);
}

function benchFolder(...names: string[]): string {
  return join(paths.repoRoot, 'bench', ...names);
}

/** Reads a command line. Throws a CommanderError, after having told the reader, when there is nothing to run. */
export function parse(args: readonly string[]): Request {
  const command = new Command('npm run bench --')
    .description('Races fairlead against no filter, a native module and Lua in a stock Envoy')
    .option('--short', 'less of it: two minutes instead of ten')
    .option('--only <profiles>', `of ${profileNames.join(',')} only these`, profilesIn)
    .option('--instructions', 'count instructions, time nothing')
    .option('--library <folder>', 'race the libfairlead.so in that folder as well, as "other"', libraryIn)
    .option('--name <name>', 'of the raw result in bench/results', nameIn, 'local')
    .option('--report', 'measure nothing: show the result called <name> in bench/README.md')
    .helpOption('--help', 'print this')
    .showHelpAfterError()
    .allowExcessArguments(false)
    .exitOverride();
  command.parse(args, { from: 'user' });
  const { short, only, instructions, library, name, report } = command.opts<{
    short?: boolean;
    only?: readonly ProfileName[];
    instructions?: boolean;
    library?: string;
    name: string;
    report?: boolean;
  }>();
  const method = short ? shortMethod : fullMethod;
  return {
    plan: { profiles: only ?? profileNames, method: instructions ? { ...method, blocks: 0 } : method, otherLibrary: library },
    report: report === true,
    name,
  };
}

function profilesIn(text: string): ProfileName[] {
  const wanted = text.split(',');
  const unknown = wanted.filter((name) => !profileNames.some((profile) => profile === name));
  if (unknown.length > 0) throw new InvalidArgumentError(`'${unknown.join(',')}' is none of ${profileNames.join(', ')}.`);
  return profileNames.filter((profile) => wanted.includes(profile));
}

function libraryIn(folder: string): string {
  const file = resolve(folder, 'libfairlead.so');
  if (!existsSync(file)) throw new InvalidArgumentError(`There is no ${file}.`);
  return file;
}

function nameIn(text: string): string {
  if (!/^[\w.-]+$/.test(text)) throw new InvalidArgumentError('It may have letters, digits, dots, dashes and underscores.');
  return text;
}
