// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';

import { ensure } from './ensure.ts';
import { GoogleTestReader } from './googletest.ts';
import { defaultEnvoyVersion, envoyVersions, paths } from './paths.ts';
import { runForCode, tailOf } from './process.ts';
import { seconds } from './progress.ts';
import { coveragePage, cppResult, cppTests, promisedRows, tableOfRows, type TestResult } from './rows.ts';

/** What the C++ unit tests want from the machine; `.ci/run` installs it. */
const aptLine = 'apt-get install -y --no-install-recommends g++ libgtest-dev';

interface Count {
  passed: number;
  failed: number;
  skipped: number;
  /** The tests that can show a row of docs/features.md. */
  results: TestResult[];
}

/** One run of the C++ unit tests. */
interface UnitTestRun {
  /** Stands behind the names of its suites. */
  readonly name: string;
  readonly preset: 'asan' | 'tsan';
  readonly env: Readonly<Record<string, string>>;
  readonly args?: readonly string[];
}

const asanEnv = { ASAN_OPTIONS: 'detect_stack_use_after_return=1', UBSAN_OPTIONS: 'print_stacktrace=1' };
const unitTestRuns: readonly UnitTestRun[] = [
  { name: 'asan', preset: 'asan', env: asanEnv },
  // The engine collects at every few objects it makes. Not in what fills a heap or a stack, or counts time.
  {
    name: 'gcstress',
    preset: 'asan',
    env: { ...asanEnv, FAIRLEAD_COLLECT_EVERY: '7' },
    args: ['--gtest_filter=-CpuTest.*:MemoryLimitTest.*:StackTest.*:UnhandledTest.*:CollectorTest.Runs*'],
  },
  // A race ends the program, so that the test it is found in is known.
  { name: 'tsan', preset: 'tsan', env: { TSAN_OPTIONS: 'halt_on_error=1' } },
];

/**
 * Sets up, then runs every test: C++ unit tests, type checks, vitest with each Envoy release. One line a suite; the last
 * line counts. Arguments go to vitest, which then runs alone (`npm test -- test/headers.test.ts`) and with the default
 * release, unless they name projects (`--project 'envoy-*'`). Returns the exit code.
 */
export async function runTests(vitestArgs: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<number> {
  const total: Count = { passed: 0, failed: 0, skipped: 0, results: [] };
  const add = (count: Count): void => {
    for (const key of ['passed', 'failed', 'skipped'] as const) total[key] += count[key];
    total.results.push(...count.results);
  };
  const onlyVitest = vitestArgs.length > 0;
  const hasCompiler = onlyVitest || machineCanCompileTests();
  const defaultRelease = onlyVitest && !vitestArgs.some((arg) => arg.startsWith('--project'));
  const ownEnvoy = Boolean(process.env['ENVOY_BIN']);
  const envoy = defaultRelease || ownEnvoy ? true : envoyVersions;
  const sanitized = hasCompiler && !onlyVitest;
  await ensure({ release: true, wasm: true, bench: true, faults: true, asan: sanitized, tsan: sanitized, testData: true, envoy });
  if (!onlyVitest) {
    // Side by side: each is one thread for the most part, and none is told by a clock how it did.
    for (const count of await Promise.all((hasCompiler ? unitTestRuns : []).map(runUnitTests))) add(count);
    for (const project of typeScriptProjects()) add(await checkTypes(project));
  }
  const projects = defaultRelease && !ownEnvoy ? ['--project=once', `--project=envoy-${defaultEnvoyVersion}`] : [];
  add(await runVitest([...projects, ...vitestArgs], env));
  if (!onlyVitest) add(checkRows(total.results, total.failed === 0));
  const skipped = total.skipped > 0 ? `, ${total.skipped} skipped` : '';
  console.log(`\n${total.passed} passed, ${total.failed} failed${skipped}`);
  if (!hasCompiler) {
    console.log(`\nThe C++ unit tests were not run: the machine has no C++ compiler or no GoogleTest. As root:\n${aptLine}`);
    return 1;
  }
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

function machineCanCompileTests(): boolean {
  const probe = spawnSync('g++', ['-fsyntax-only', '-x', 'c++', '-'], { input: '#include <gtest/gtest.h>\n' });
  return probe.status === 0;
}

async function runUnitTests({ name: runName, preset, env, args = [] }: UnitTestRun): Promise<Count> {
  const log = join(paths.logs, `unit-tests-${runName}.log`);
  const count: Count = { passed: 0, failed: 0, skipped: 0, results: [] };
  const known = ['quickjs', 'filter-cc'].flatMap((folder) =>
    readdirSync(join(paths.repoRoot, folder))
      .filter((file) => file.endsWith('_test.cc'))
      .flatMap((file) => cppTests(`${folder}/${file}`, readFileSync(join(paths.repoRoot, folder, file), 'utf8'))),
  );
  const reader = new GoogleTestReader(({ name, passed, failed, skipped, elapsedMs, failures, tests }) => {
    suiteLine(`C++ ${runName} ${name}`, passed + failed + skipped, failed, elapsedMs);
    if (failed > 0) console.log(failures);
    count.results.push(...tests.map((test) => cppResult(test.name, test.passed, known)));
    count.passed += passed;
    count.failed += failed;
    count.skipped += skipped;
  });
  const code = await runForCode(paths.unitTests(preset), ['--gtest_color=no', ...args], {
    cwd: paths.repoRoot,
    log,
    env,
    onLine: (line) => {
      reader.line(line);
    },
  });
  reader.end();
  // A leak is found after all tests have ended, and fails none of them.
  if (code !== 0 && count.failed === 0) {
    console.log(tailOf(log));
    suiteLine(`C++ ${runName} ended with ${code}`, 1, 1, 0);
    count.failed = 1;
  }
  return count;
}

/** Every folder with a tsconfig.json: the root, and those one or two levels down that have other types in reach. */
function typeScriptProjects(): string[] {
  const isFolder = (name: string): boolean => !/^(build|node_modules|\..*)$/.test(name);
  const below = (folder: string): string[] =>
    readdirSync(join(paths.repoRoot, folder), { withFileTypes: true })
      .filter((entry) => entry.isDirectory() && isFolder(entry.name))
      .map((entry) => join(folder, entry.name));
  const folders = ['.', ...below('.'), ...below('.').flatMap(below)];
  return folders.filter((folder) => existsSync(join(paths.repoRoot, folder, 'tsconfig.json')));
}

async function checkTypes(project: string): Promise<Count> {
  const began = performance.now();
  const name = project === '.' ? 'types' : `types of ${project}`;
  const log = join(paths.logs, `${name.replaceAll(/[ /]/g, '-')}.log`);
  const tsc = join(paths.repoRoot, 'node_modules', 'typescript', 'bin', 'tsc');
  const code = await runForCode(process.execPath, [tsc, '--noEmit', '--project', join(paths.repoRoot, project)], {
    cwd: paths.repoRoot,
    log,
  });
  const failed = code === 0 ? 0 : 1;
  if (failed > 0) console.log(readFileSync(log, 'utf8').trimEnd());
  suiteLine(name, 1, failed, performance.now() - began);
  return { passed: 1 - failed, failed, skipped: 0, results: [] };
}

/**
 * Holds docs/features.md to the tests: prints which show each of its rows. With all tests `passed` it holds docs/coverage.md
 * to them too.
 */
function checkRows(results: readonly TestResult[], passed: boolean): Count {
  const promised = promisedRows(readFileSync(join(paths.repoRoot, 'docs', 'features.md'), 'utf8'));
  const { table, faults } = tableOfRows(promised, results);
  console.log(`\nRows of docs/features.md, how many tests show each, and where:\n\n${table}`);
  const coverage = join(paths.repoRoot, 'docs', 'coverage.md');
  const page = coveragePage(promised, results);
  if (passed && faults.length === 0 && (!existsSync(coverage) || readFileSync(coverage, 'utf8') !== page)) {
    writeFileSync(coverage, page);
    faults.push('docs/coverage.md was not what the tests show; it has been written anew, to be committed');
  }
  if (faults.length > 0) console.log(`\n${faults.join('\n')}`);
  return { passed: 0, failed: faults.length, skipped: 0, results: [] };
}

/** The part of vitest's JSON report that is read here. */
interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: ReadonlyArray<{
    readonly name: string;
    readonly status: string;
    readonly assertionResults: ReadonlyArray<{ readonly fullName: string; readonly status: string }>;
  }>;
}

async function runVitest(args: readonly string[], env: Readonly<Record<string, string>>): Promise<Count> {
  const reportFile = join(paths.logs, 'vitest.json');
  rmSync(reportFile, { force: true });
  const vitest = join(paths.repoRoot, 'node_modules', 'vitest', 'vitest.mjs');
  const child = spawn(
    process.execPath,
    [vitest, 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${reportFile}`, ...args],
    { cwd: paths.repoRoot, env: { ...process.env, ...env }, stdio: ['ignore', 'inherit', 'inherit'] },
  );
  const code = await new Promise<number>((resolve) => {
    child.on('close', (exitCode) => {
      resolve(exitCode ?? 1);
    });
  });
  if (!existsSync(reportFile)) return { passed: 0, failed: 1, skipped: 0, results: [] };
  const report = JSON.parse(readFileSync(reportFile, 'utf8')) as VitestReport;
  // A file that cannot be loaded, or an error outside all tests, fails the run without failing a test.
  const brokenFiles = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  const failed = report.numFailedTests + brokenFiles.length;
  return {
    passed: report.numPassedTests,
    failed: code !== 0 && failed === 0 ? 1 : failed,
    skipped: report.numPendingTests + report.numTodoTests,
    results: report.testResults.flatMap(({ name, assertionResults }) =>
      assertionResults.map(({ fullName, status }) => ({
        file: relative(paths.repoRoot, name),
        title: fullName,
        passed: status === 'passed',
      })),
    ),
  };
}

/** One line of the report, in the form of vitest's own. */
function suiteLine(name: string, tests: number, failed: number, elapsedMs: number): void {
  const failures = failed > 0 ? ` | ${failed} failed` : '';
  console.log(` ${failed > 0 ? '❯' : '✓'} ${name} (${tests} ${tests === 1 ? 'test' : 'tests'}${failures}) ${seconds(elapsedMs)}`);
}
