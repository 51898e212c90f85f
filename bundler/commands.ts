// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { readFileSync } from 'node:fs';
import { basename, extname, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

import { Command, CommanderError, Option } from 'commander';

import { build, type BuildResult, bundle, sourceFiles } from './build.ts';
import type { Manifest } from './compiler.ts';
import { demonstrate, demoRequests } from './demo.ts';
import { rebuildOnChange } from './dev.ts';
import { type Diagnostic, failure, FairleadError, formatDiagnostic, formatExcerpt, placeIn, shortPath } from './diagnostics.ts';
import { Echo } from './echo.ts';
import { Envoy } from './envoy.ts';
import { inlineYaml } from './inline.ts';
import { type CommandName, type CommandRow, commands, options, type OptionValues } from './options.ts';

const firstSample = fileURLToPath(new URL('../samples/add-header.ts', import.meta.url));

/** A wrong command line, as by convention. */
const usageExitCode = 2;

type Action = (entry: string | undefined, values: OptionValues) => Promise<void>;

const actions: Record<CommandName, Action> = {
  build: buildFile,
  run: (entry, values) => serve(entry ?? firstSample, values, []),
  dev: (entry, values) => serve(entry ?? firstSample, values, [], true),
  inline: printInline,
  start: (entry, values) => serve(entry ?? firstSample, values, demoRequests),
};

/** Runs one command line; the program's name is not part of it. Gives the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const program = new Command('fairlead')
    .description('Small TypeScript programs inside a stock Envoy, as an HTTP filter')
    .version(packageVersion(), '--version', 'print the version')
    .helpOption('--help', 'print this')
    .helpCommand(false)
    .showHelpAfterError()
    .exitOverride();
  for (const name of Object.keys(commands) as CommandName[]) {
    const row: CommandRow = commands[name];
    const command = program.command(name).description(row.summary).argument(row.argument);
    for (const optionName of row.options) command.addOption(optionOf(optionName));
    command.action((entry: string | undefined, values: OptionValues) => actions[name](entry, values));
  }
  try {
    await program.parseAsync(args, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageExitCode;
    if (!(error instanceof FairleadError)) throw error;
    process.stderr.write(`${error.message}\n`);
    return 1;
  }
}

function optionOf(name: keyof OptionValues): Option {
  const { flags, summary, parse, standard } = options[name];
  const option = new Option(flags, summary);
  if (parse !== null) option.argParser<unknown>(parse);
  if (standard !== null) option.default(standard);
  return option;
}

function packageVersion(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}

async function buildFile(entry: string | undefined, { output, check, minify }: OptionValues): Promise<void> {
  if (entry === undefined) throw failure('E_BUILD_OPTION', 'the file of the filter is missing');
  const target = output ?? `${basename(entry, extname(entry))}.qjb`;
  const { sizes, warnings } = await build({ entry, output: target, check, minify, onStep: printStep });
  printFindings(warnings);
  const rows = [
    ['source', sizes.source],
    ['bundle', sizes.bundle],
    ['bytecode', sizes.bytecode],
    ['source map', sizes.map],
  ] as const;
  const table = rows.map(([name, bytes]) => `  ${name.padEnd(12)}${String(bytes).padStart(9)} bytes\n`).join('');
  process.stdout.write(`${target}\n${table}`);
}

async function printInline(entry: string | undefined, { indent, check }: OptionValues): Promise<void> {
  if (entry === undefined) throw failure('E_BUILD_OPTION', 'the file of the filter is missing');
  const { javascript, warnings } = await bundle({ entry, check, shortening: 'names', onStep: printStep });
  printFindings(warnings);
  process.stdout.write(inlineYaml(javascript, indent));
}

type Requests = typeof demoRequests;

/**
 * Runs a filter in Envoy, sends it the requests, and stays until a signal comes. With `dev` the filter follows its sources,
 * and each request is shown.
 */
async function serve(entry: string, values: OptionValues, requests: Requests, dev = false): Promise<void> {
  const { check, minify, port, once } = values;
  const signal = nextSignal();
  const first = await build({ entry, check, minify, onStep: printStep });
  const { bytes, manifest, warnings } = first;
  printFindings(warnings);
  const stops: Array<() => Promise<void>> = [];
  try {
    const startEcho = async (name: string): Promise<Echo> => {
      const echo = await Echo.start(name);
      stops.unshift(() => echo.stop());
      return echo;
    };
    const upstream = await startEcho('upstream');
    const clusters = new Map<string, Echo>();
    for (const name of manifest.clusters) clusters.set(name, await startEcho(name));

    printStep('starting Envoy');
    const envoy = await Envoy.start({
      bytecode: bytes,
      filterName: manifest.name,
      upstreamPort: upstream.port,
      clusterPorts: new Map([...clusters].map(([name, echo]) => [name, echo.port])),
      port,
      onLog: (line) => process.stderr.write(dev ? withExcerpt(line, entry, manifest) : `${line}\n`),
      ...(dev && { onRequest: (line) => process.stdout.write(`${line}\n`) }),
    });
    stops.unshift(() => envoy.stop());
    if (dev) stops.unshift(await followSources(entry, values, first, envoy));

    process.stdout.write(`\n${shortPath(resolve(entry))} runs in Envoy at http://127.0.0.1:${envoy.port}\n\n`);
    for (const request of requests) {
      process.stdout.write(`${await demonstrate(request, envoy.port, upstream, clusters)}\n`);
    }
    if (once) return;
    if (dev) process.stdout.write('It follows its sources: what you save is live at once.\n');
    process.stdout.write(`It stays up: curl -i http://127.0.0.1:${envoy.port}/hello   Ctrl-C ends it.\n`);
    signal.serving = true;
    const reason = await Promise.race([signal.came, envoy.ended()]);
    if (reason !== undefined) throw failure('E_RUN_ENVOY', `Envoy ${reason}`);
  } finally {
    for (const stop of stops) await stop();
  }
}

/** Puts each new build into Envoy. */
async function followSources(entry: string, { check, minify }: OptionValues, first: BuildResult, envoy: Envoy): Promise<() => Promise<void>> {
  let live = first;
  return await rebuildOnChange({
    entry,
    minify,
    check,
    first,
    onBuilt: (result, tookMs) => {
      printStep(`built in ${Math.round(tookMs)} ms`);
      const added = result.manifest.clusters.filter((name) => !live.manifest.clusters.includes(name));
      if (added.length > 0) process.stderr.write(`fairlead: calls to ${added.join(', ')} need a new Envoy: start "dev" again\n`);
      live = result;
      void envoy.replace(result.bytes);
    },
    onFindings: printFindings,
  });
}

/** A line of Envoy's log, and what stands at the place in the sources that it names. */
function withExcerpt(line: string, entry: string, manifest: Manifest): string {
  const [, name = '', row, column] = /\(([^\s():]+):(\d+):(\d+)\)/.exec(line) ?? [];
  const at = manifest.sources.indexOf(name);
  const file = at < 0 ? undefined : sourceFiles(entry, manifest)[at];
  return file === undefined ? `${line}\n` : `${line}\n${formatExcerpt(placeIn(file, Number(row), Number(column)))}\n`;
}

/**
 * While `serving` is false, a signal ends the process at once, by way of its 'exit' event, on which everything that was
 * started goes. After that the first one fulfils `came`, and one more ends the process at once again.
 */
function nextSignal(): { serving: boolean; readonly came: Promise<undefined> } {
  const numbers = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;
  let resolve: (value: undefined) => void;
  const came = new Promise<undefined>((fulfil) => (resolve = fulfil));
  const state = { serving: false, came };
  for (const [name, number] of Object.entries(numbers)) {
    process.on(name, () => {
      if (!state.serving) process.exit(128 + number);
      state.serving = false;
      resolve(undefined);
    });
  }
  return state;
}

function printStep(step: string): void {
  process.stderr.write(`fairlead: ${step} …\n`);
}

function printFindings(findings: readonly Diagnostic[]): void {
  for (const finding of findings) process.stderr.write(`${formatDiagnostic(finding)}\n`);
}
