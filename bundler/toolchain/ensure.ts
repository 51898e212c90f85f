// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { bundleBuiltins } from './builtins.ts';
import { prepareEngine } from './engine.ts';
import { fetchPin, isUnpacked, readPins } from './fetch.ts';
import { defaultEnvoyVersion, paths } from './paths.ts';
import { run, SetupError } from './process.ts';
import { step, type Report } from './progress.ts';

/** What is to be there when set-up has ended. */
export interface Wanted {
  /** What BUILD.bazel reads: third-party sources, the edited engine, the bundled built-ins. Any build below has it. */
  readonly sources?: boolean;
  /** build/release/libfairlead.so */
  readonly release?: boolean;
  /** build/wasm/fairlead.wasm */
  readonly wasm?: boolean;
  /** With `release`, what the bench needs besides it in build/release: the native filter, the instruction counter. */
  readonly bench?: boolean;
  /** build/release/faults/libfairlead.so, whose memory a test can make run out. */
  readonly faults?: boolean;
  /** build/asan/fairlead_tests; needs the machine's g++ and GoogleTest. */
  readonly asan?: boolean;
  /** build/tsan/fairlead_tests; as asan. */
  readonly tsan?: boolean;
  /** build/third-party/wpt-url: the Web platform tests' data on URLs. */
  readonly testData?: boolean;
  /** True: an Envoy to run, the pinned one unless ENVOY_BIN names another. Versions: those pinned releases. */
  readonly envoy?: boolean | readonly string[];
}

const sourcePins = ['quickjs-ng', 'ada', 'boringssl', 'pycryptodome', 'zlib'];
const toolPins = ['zig', 'cmake', 'ninja'];
const testDataPins = ['wpt-url'];

const allPresets = ['release', 'wasm', 'asan', 'tsan'] as const;
type Preset = (typeof allPresets)[number];

/** Targets of the release build that it leaves out unless they are named. */
const benchTargets = ['bench_native', 'bench_instructions'];

/**
 * Fetches and builds what is wanted and not there yet, and what is out of date. With nothing to do it ends in well under
 * a second. Throws a SetupError when it cannot.
 */
export async function ensure(wanted: Wanted): Promise<void> {
  const presets = allPresets.filter((preset) => wanted[preset]);
  const extra = [...(wanted.bench ? benchTargets : []), ...(wanted.faults ? ['fairlead_faults'] : [])];
  const builds = presets.length > 0;
  const sources = builds || wanted.sources === true;
  const unlock = await lock();
  try {
    await fetchAll([
      ...(builds ? toolPins : []),
      ...(sources ? sourcePins : []),
      ...(wanted.testData ? testDataPins : []),
      ...envoyPins(wanted.envoy),
    ]);
    if (sources) {
      prepareEngine();
      await bundleBuiltins();
    }
    if (builds) await build(presets, extra);
  } finally {
    unlock();
  }
}

function envoyPins(envoy: Wanted['envoy']): string[] {
  if (!envoy) return [];
  if (envoy !== true) return envoy.map((version) => `envoy-${version}`);
  const own = process.env['ENVOY_BIN'];
  if (!own) return [`envoy-${defaultEnvoyVersion}`];
  if (!existsSync(own)) throw new SetupError(`ENVOY_BIN names ${own}, which is not there`);
  return [];
}

async function fetchAll(names: readonly string[]): Promise<void> {
  const pins = readPins();
  const missing = names.flatMap((name) => {
    const pin = pins[name];
    if (pin === undefined) {
      throw new SetupError(`nothing is pinned as '${name}'; there is ${Object.keys(pins).join(', ')}`);
    }
    return isUnpacked(name, pin) ? [] : [{ name, pin }];
  });
  if (missing.length === 0) return;
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new SetupError(`fairlead builds on x86-64 Linux; this is ${process.arch} ${process.platform}`);
  }
  await step('checking for Python and pip', () =>
    run('python3', ['-m', 'pip', '--version'], { log: join(paths.logs, 'pip.log') }).catch((error: unknown) => {
      throw new SetupError(`Python 3 with pip is needed: 'python3 -m pip --version' must work.\n${String(error)}`);
    }),
  );
  let done = 0;
  await step(`fetching ${missing.map(({ name }) => name).join(', ')}`, (report) =>
    Promise.all(
      missing.map(async ({ name, pin }) => {
        await fetchPin(name, pin);
        report(`${++done}/${missing.length}`);
      }),
    ),
  );
}

async function build(presets: readonly Preset[], extraReleaseTargets: readonly string[]): Promise<void> {
  // The release build compiles the built-ins, which every core embeds; meanwhile the others compile their engine.
  const names = presets.join(', ');
  await step(`building the engine (${names})`, (report) =>
    buildAll([{ preset: 'release', target: 'builtins' }, ...presets.map((preset) => ({ preset, target: 'fairlead_engine' }))], report),
  );
  await step(`building the filter (${names})`, (report) =>
    buildAll(
      [
        ...presets.map((preset) => ({ preset, target: 'all' })),
        ...extraReleaseTargets.map((target): BuildJob => ({ preset: 'release', target })),
      ],
      report,
    ),
  );
}

interface BuildJob {
  readonly preset: Preset;
  readonly target: string;
}

/** Builds several presets side by side: each has one long compilation, the engine's, which would leave cores idle. */
async function buildAll(jobs: readonly BuildJob[], report: Report): Promise<void> {
  const targets = new Map<Preset, string[]>();
  for (const { preset, target } of jobs) targets.set(preset, [...(targets.get(preset) ?? []), target]);
  const state = new Map<Preset, string>();
  const results = await Promise.allSettled(
    [...targets].map(async ([preset, names]) => {
      await configure(preset);
      await run(paths.ninja, ['-C', join(paths.buildDir, preset), `-j${availableParallelism()}`, ...names], {
        log: join(paths.logs, `build-${preset}.log`),
        onLine: (line) => {
          const count = /^\[(\d+\/\d+)\]/.exec(line)?.[1];
          if (count === undefined) return;
          state.set(preset, `${preset} ${count}`);
          report([...state.values()].join('  '));
        },
      });
    }),
  );
  const failure = results.find((result) => result.status === 'rejected');
  if (failure) throw failure.reason;
}

/** Runs CMake's first step where it has not been run; afterwards ninja itself sees to changed CMake files. */
async function configure(preset: Preset): Promise<void> {
  const folder = join(paths.buildDir, preset);
  const stamp = join(folder, 'fairlead-preset.sha256');
  const hash = createHash('sha256');
  for (const file of ['CMakePresets.json', 'bundler/toolchain/zig.cmake', 'bundler/toolchain/pins.json']) {
    hash.update(readFileSync(join(paths.repoRoot, file)));
  }
  const digest = hash.digest('hex');
  if (existsSync(join(folder, 'build.ninja')) && existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
  await run(paths.cmake, ['--preset', preset, '--fresh'], {
    cwd: paths.repoRoot,
    log: join(paths.logs, `configure-${preset}.log`),
  });
  writeFileSync(stamp, digest);
}

/**
 * Lets one set-up at a time work on this build folder. The lock is a name in Linux's abstract socket space, which goes
 * with the process that holds it however that ends. Returns how to let go of it.
 */
async function lock(): Promise<() => void> {
  const name = `\0fairlead-${createHash('sha256').update(paths.buildDir).digest('hex').slice(0, 32)}`;
  const tryOnce = (): Promise<(() => void) | undefined> =>
    new Promise((resolve, reject) => {
      const server = createServer();
      server.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'EADDRINUSE') resolve(undefined);
        else reject(error);
      });
      server.listen(name, () => {
        server.unref();
        resolve(() => server.close());
      });
    });
  return (await tryOnce()) ?? step('waiting for another set-up to end', async () => {
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, 200));
      const held = await tryOnce();
      if (held) return held;
    }
  });
}
