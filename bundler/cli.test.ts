// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test, vi } from 'vitest';

import { main } from './commands.ts';
import { exchange } from './exchange.ts';
import { makePackageForTest } from './package-for-test.ts';
import { paths } from './toolchain/paths.ts';

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A `fairlead` that runs in `folder`, with a folder for temporary files of its own. */
class Cli {
  readonly child: ChildProcess;
  readonly temporary: string;
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';

  constructor(folder: string, args: readonly string[]) {
    this.temporary = join(folder, 'temporary');
    mkdirSync(this.temporary, { recursive: true });
    this.child = spawn(process.execPath, [join(paths.toolchain, 'bin.mjs'), ...args], {
      cwd: folder,
      env: { ...process.env, TMPDIR: this.temporary },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text));
    this.child.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text));
    this.ended = once(this.child, 'close').then(([code]) => ({
      code: code as number | null,
      stdout: this.stdout,
      stderr: this.stderr,
    }));
    onTestFinished(async () => {
      // A test that failed may leave both; the Envoy does not go with a killed parent.
      this.child.kill('SIGKILL');
      for (const id of this.envoys()) process.kill(id, 'SIGKILL');
      await this.ended;
    });
  }

  /** Waits until it has printed what matches; throws what it printed when it ended before. */
  async printed(pattern: RegExp): Promise<RegExpExecArray> {
    return await vi.waitUntil(
      () => {
        const found = pattern.exec(this.stdout);
        if (!found && this.child.exitCode !== null) throw new Error(`it ended:\n${this.stdout}\n${this.stderr}`);
        return found;
      },
      { timeout: 25_000, interval: 20 },
    );
  }

  /** The Envoys that it started and that still run, by their ids. */
  envoys(): number[] {
    return readdirSync('/proc')
      .map(Number)
      .filter((id) => id > 0 && commandLine(id).some((part) => part.startsWith(this.temporary)));
  }

  /** Files it has not removed, but for tsx's cache. */
  leftFiles(): string[] {
    return readdirSync(this.temporary).filter((name) => !name.startsWith('tsx-') && name !== 'node-compile-cache');
  }
}

function commandLine(processId: number): string[] {
  try {
    return readFileSync(`/proc/${processId}/cmdline`, 'utf8').split('\0');
  } catch {
    return [];
  }
}

function run(args: readonly string[], files: Readonly<Record<string, string>> = {}): Promise<Ended> {
  return new Cli(makePackageForTest(files), args).ended;
}

const filter = `import { defineFilter } from "fairlead";
export default defineFilter({
  onRequest(request) {
    console.info("seen", request.path);
    if (request.path === "/answer") return new Response("own", { status: 418 });
    request.headers.set("x-added", "by the filter");
  },
  onResponse(response) { response.headers.set("x-back", "too"); },
});
`;

const addressPattern = /runs in Envoy at http:\/\/127\.0\.0\.1:(\d+)/;

/** Runs a command line in this process: quick, for those that start nothing. */
async function runHere(args: readonly string[]): Promise<Ended> {
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    const spy = vi.spyOn(process[name], 'write').mockImplementation((text) => {
      texts[name] += String(text);
      return true;
    });
    onTestFinished(() => {
      spy.mockRestore();
    });
  }
  return { code: await main(args), ...texts };
}

describe('a wrong command line ends with code 2 and what is known', () => {
  test.each([
    [['bild'], "unknown command 'bild'", ['build [options] <filter.ts>', 'inline', 'start']],
    [['build', 'a.ts', '--minifi'], "unknown option '--minifi'", ['--no-minify', '--no-check', '-o, --output <file>']],
    [['build'], "missing required argument 'filter.ts'", ['Usage: fairlead build']],
    [['build', 'a.ts', 'b.ts'], 'too many arguments', ['Usage: fairlead build']],
    [['build', 'a.ts', '-o'], "option '-o, --output <file>' argument missing", ['Usage: fairlead build']],
    [['build', 'a.ts', '-o', ''], 'It must not be empty', ['Usage: fairlead build']],
    [['run', 'a.ts', '--port', '65536'], 'It must be a whole number from 0 to 65535', ['--port <number>']],
    [['run', 'a.ts', '--once'], "unknown option '--once'", ['--port <number>']],
    [['inline', 'a.ts', '--indent', '-1'], 'It must be a whole number from 0 to 80', ['--indent <columns>']],
    [['--verbose'], "unknown option '--verbose'", ['Commands:']],
    [[], 'Usage: fairlead', ['Commands:']],
  ])('%j', async (args, problem, known) => {
    const { code, stdout, stderr } = await runHere(args);
    expect(code).toBe(2);
    expect(stdout).toBe('');
    for (const text of [problem, ...known]) expect(stderr).toContain(text);
    expect(stderr).not.toMatch(/^ +at /m);
  });

  test('the process ends with that code', async () => {
    expect(await run(['bild'])).toMatchObject({ code: 2, stdout: '' });
  });

  test('asking for help or the version is not wrong', async () => {
    const help = await runHere(['run', '--help']);
    expect(help).toMatchObject({ code: 0, stderr: '' });
    expect(help.stdout).toContain('--port <number>');
  });

  test('the version is that of the package', async () => {
    const { version } = JSON.parse(readFileSync(join(paths.repoRoot, 'package.json'), 'utf8')) as { version: string };
    expect(await runHere(['--version'])).toEqual({ code: 0, stdout: `${version}\n`, stderr: '' });
  });
});

describe('fairlead build', () => {
  test('writes the file and prints the sizes', async () => {
    const folder = makePackageForTest({ 'filter.ts': filter });
    const { code, stdout } = await new Cli(folder, ['build', 'filter.ts', '-o', 'out.qjb']).ended;
    expect(code).toBe(0);
    const sizes = new Map([...stdout.matchAll(/^ {2}(\w[\w ]*?) +(\d+) bytes$/gm)].map(([, name, bytes]) => [name, Number(bytes)]));
    expect([...sizes.keys()]).toEqual(['source', 'bundle', 'bytecode', 'source map']);
    expect(sizes.get('source')).toBe(filter.length);
    const written = readFileSync(join(folder, 'out.qjb')).length;
    expect((sizes.get('bytecode') ?? 0) + (sizes.get('source map') ?? 0)).toBe(written);
  });

  test('names the file after the filter when it is not told', async () => {
    const folder = makePackageForTest({ 'src/auth.ts': 'export default {};\n' });
    expect(await new Cli(folder, ['build', 'src/auth.ts']).ended).toMatchObject({ code: 0 });
    expect(existsSync(join(folder, 'auth.qjb'))).toBe(true);
  });

  test('tells mistakes in the filter with code 1, without a stack, and writes nothing', async () => {
    const folder = makePackageForTest({ 'filter.ts': 'const a: number = "";\nexport default { a };\n' });
    const { code, stdout, stderr } = await new Cli(folder, ['build', 'filter.ts', '-o', 'out.qjb']).ended;
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toContain(
      "filter.ts:1:7: error TS2322: Type 'string' is not assignable to type 'number'.\n  const a: number = \"\";\n        ^\n",
    );
    expect(stderr).not.toMatch(/^ +at /m);
    expect(existsSync(join(folder, 'out.qjb'))).toBe(false);
  });

  test('does not check types when told so', async () => {
    const files = { 'filter.ts': 'const a: number = "";\nexport default { a };\n' };
    expect(await run(['build', 'filter.ts', '--no-check'], files)).toMatchObject({ code: 0 });
  });

  test('tells a file it cannot write', async () => {
    const { code, stderr } = await run(['build', 'filter.ts', '-o', 'no/out.qjb'], { 'filter.ts': filter });
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error E_BUILD_FILE: cannot write no\/out\.qjb: ENOENT/m);
  });
});

describe('fairlead inline', () => {
  test('prints nothing but the block', async () => {
    const { code, stdout } = await run(['inline', 'filter.ts', '--indent', '6'], { 'filter.ts': filter });
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ {6}inline: \|-\n( {8}.+\n)+$/);
    expect(stdout).toContain('from"fairlead"');
  });
});

describe('fairlead dev', () => {
  test('a saved change is live within a second, each request is shown, and Ctrl-C leaves nothing behind (F111)', async () => {
    const source = (text: string): string =>
      `import { word } from "./word.ts";\nexport default {\n  onRequest(request: Request) {\n    if (request.url.endsWith("/throw")) throw new Error("no");\n    return new Response(${text});\n  },\n};\n`;
    const folder = makePackageForTest({ 'src/filter.ts': source('word'), 'src/word.ts': 'export const word: string = "one";\n' });
    const cli = new Cli(folder, ['dev', 'src/filter.ts']);
    const port = Number((await cli.printed(addressPattern))[1]);
    await cli.printed(/Ctrl-C ends it/);
    const told = async (path = '/'): Promise<string> => (await exchange(port, { method: 'GET', path, headers: {} })).body;
    const waitFor = async (text: string): Promise<void> => {
      await vi.waitUntil(async () => (await told()) === text, { timeout: 5_000, interval: 20 });
    };
    expect(await told('/first')).toBe('one');
    await cli.printed(/^GET \/first → 200 \S+ \d+ ms$/m);

    writeFileSync(join(folder, 'src/word.ts'), 'export const word: string = "two";\n');
    await waitFor('two');
    expect(cli.stderr).toMatch(/built in \d+ ms/);
    expect(cli.stderr).toContain('generation 2');

    // What cannot be built changes nothing, and is told with its place.
    writeFileSync(join(folder, 'src/filter.ts'), source('word + other').replace('import', 'import { other } from "./other.ts";\nimport'));
    await vi.waitUntil(() => cli.stderr.includes('E_BUILD_IMPORT'));
    expect(await told()).toBe('two');
    // The file that was missing makes it right.
    writeFileSync(join(folder, 'src/other.ts'), 'export const other: number = "+";\n');
    await waitFor('two+');
    // Types are told after the build, which they do not stop.
    await vi.waitUntil(() => cli.stderr.includes('src/other.ts:1:14: error TS2322'), { timeout: 10_000 });

    await told('/throw');
    await vi.waitUntil(() => /throw new Error\("no"\);\n +\^/.test(cli.stderr));
    cli.child.kill('SIGINT');
    expect((await cli.ended).code).toBe(0);
    expect(cli.envoys()).toEqual([]);
    expect(cli.leftFiles()).toEqual([]);
  });

  test('what compiles but cannot be loaded leaves the filter that runs, and the log says why (F111, F064)', async () => {
    const folder = makePackageForTest({ 'filter.ts': filter });
    const cli = new Cli(folder, ['dev', 'filter.ts', '--no-check']);
    const port = Number((await cli.printed(addressPattern))[1]);
    await cli.printed(/Ctrl-C ends it/);
    writeFileSync(join(folder, 'filter.ts'), 'throw new Error("not today");\nexport default {};\n');
    await vi.waitUntil(() => cli.stderr.includes('generation 1 stays live'), { timeout: 5_000 });
    expect(cli.stderr).toMatch(/E_SCRIPT_THROW.*not today/);
    expect(cli.stderr).toContain('throw new Error("not today");\n');
    expect(await exchange(port, { method: 'GET', path: '/answer', headers: {} })).toMatchObject({ status: 418, body: 'own' });
    cli.child.kill('SIGTERM');
    expect((await cli.ended).code).toBe(0);
    expect(cli.leftFiles()).toEqual([]);
  });
});

describe('fairlead run', () => {
  test('answers through the filter, shows its log, and leaves nothing behind on Ctrl-C', async () => {
    const cli = new Cli(makePackageForTest({ 'filter.ts': filter }), ['run', 'filter.ts']);
    const port = Number((await cli.printed(addressPattern))[1]);
    await cli.printed(/Ctrl-C ends it/);
    const answer = await exchange(port, { method: 'POST', path: '/there?x=1', headers: { 'x-mine': '1' }, body: 'hello' });
    expect(answer.status).toBe(200);
    expect(answer.headers).toContainEqual(['x-back', 'too']);
    const seen = JSON.parse(answer.body) as { headers: string[] };
    expect(seen).toMatchObject({ upstream: 'upstream', method: 'POST', path: '/there?x=1', body: 'hello', bodyBytes: 5 });
    expect(seen.headers).toEqual(expect.arrayContaining(['x-added: by the filter', 'x-mine: 1']));
    expect(await exchange(port, { method: 'GET', path: '/answer', headers: {} })).toMatchObject({ status: 418, body: 'own' });
    await vi.waitUntil(() => /^\[info\] .*seen \/answer/m.test(cli.stderr));

    expect(cli.envoys()).toHaveLength(1);
    expect(cli.leftFiles()).toHaveLength(1);
    cli.child.kill('SIGINT');
    expect((await cli.ended).code).toBe(0);
    expect(cli.envoys()).toEqual([]);
    expect(cli.leftFiles()).toEqual([]);
  });

  test('F087: a stack in the log names the lines of TypeScript, out of a bundle made small', async () => {
    const files = {
      'src/filter.ts': 'import { check } from "./lib/check.ts";\n\nexport default {\n  async onRequest() { await null; check(); },\n};\n',
      'src/lib/check.ts': 'interface Unused { a: string }\n\nexport function check(): void {\n  throw new TypeError("no");\n}\n',
    };
    const cli = new Cli(makePackageForTest(files), ['run', 'src/filter.ts']);
    const port = Number((await cli.printed(addressPattern))[1]);
    expect((await exchange(port, { method: 'GET', path: '/', headers: {} })).status).toBe(500);
    await vi.waitUntil(() => cli.stderr.includes('TypeError: no'));
    expect(cli.stderr).toMatch(/^\[error\] filter: .*TypeError: no.* check \(src\/lib\/check\.ts:4:\d+\).* onRequest \(src\/filter\.ts:4:\d+\)$/m);
  });

  test.each(['SIGTERM', 'SIGHUP'] as const)('%s ends it as well', async (signal) => {
    const cli = new Cli(makePackageForTest({ 'filter.ts': filter }), ['run', 'filter.ts']);
    await cli.printed(/Ctrl-C ends it/);
    cli.child.kill(signal);
    expect((await cli.ended).code).toBe(0);
    expect(cli.envoys()).toEqual([]);
    expect(cli.leftFiles()).toEqual([]);
  });

  test('an Envoy that goes away is told', async () => {
    const cli = new Cli(makePackageForTest({ 'filter.ts': filter }), ['run', 'filter.ts']);
    await cli.printed(/Ctrl-C ends it/);
    for (const id of cli.envoys()) process.kill(id, 'SIGKILL');
    const { code, stderr } = await cli.ended;
    expect(code).toBe(1);
    expect(stderr).toContain('error E_RUN_ENVOY: Envoy ended with SIGKILL');
    expect(cli.leftFiles()).toEqual([]);
  });

  test('a filter that Envoy refuses is told with the reason, and leaves nothing behind', async () => {
    const cli = new Cli(makePackageForTest({ 'filter.ts': 'throw new Error("not today");\nexport default {};\n' }), [
      'run',
      'filter.ts',
    ]);
    const { code, stderr } = await cli.ended;
    expect(code).toBe(1);
    expect(stderr).toMatch(/error E_RUN_ENVOY: Envoy ended with code 1/);
    expect(stderr).toContain('not today');
    expect(stderr).not.toContain('runs in Envoy');
    expect(cli.envoys()).toEqual([]);
    expect(cli.leftFiles()).toEqual([]);
  });

  test('a port that is taken is told', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await once(holder, 'listening');
    onTestFinished(() => void holder.close());
    const { port } = holder.address() as AddressInfo;
    const { code, stderr } = await run(['run', 'filter.ts', '--port', String(port)], { 'filter.ts': filter });
    expect(code).toBe(1);
    expect(stderr).toMatch(/error E_RUN_ENVOY: Envoy ended with code 1/);
    expect(stderr).toContain(`127.0.0.1:${port}`);
  });

  test('the clusters a filter names are there to be called', async () => {
    const text = 'export default { async onRequest(r: Request) { const a = await fetch("http://keys/all"); r.headers.set("x-keys", String(a.status)); } };\n';
    const cli = new Cli(makePackageForTest({ 'filter.ts': text }), ['run', 'filter.ts', '--no-check']);
    const port = Number((await cli.printed(addressPattern))[1]);
    const { body } = await exchange(port, { method: 'GET', path: '/', headers: {} });
    expect((JSON.parse(body) as { headers: string[] }).headers).toContain('x-keys: 200');
  });
});

describe('fairlead start', () => {
  test('shows what the filter did and ends when told so', async () => {
    const cli = new Cli(makePackageForTest({ 'filter.ts': filter }), ['start', 'filter.ts', '--once']);
    const { code, stdout } = await cli.ended;
    expect(code).toBe(0);
    expect(stdout).toMatch(/^GET \/hello\n {2}client sent +GET \/hello\n/m);
    expect(stdout).toMatch(/^ {2}filter, request +\+ x-added: by the filter\n {2}filter, response +\+ x-back: too\n {2}client got +200\n/m);
    expect(stdout.match(/\+ x-added/g)).toHaveLength(3);
    expect(cli.envoys()).toEqual([]);
    expect(cli.leftFiles()).toEqual([]);
  });

  test('shows an answer that the filter gave itself', async () => {
    const files = { 'filter.ts': 'export default { onRequest: () => new Response("stop\\n", { status: 403 }) };\n' };
    const { code, stdout } = await run(['start', 'filter.ts', '--once'], files);
    expect(code).toBe(0);
    expect(stdout).toMatch(/filter, request +did not pass it on: the upstream saw nothing\n {2}client got +403\n/);
    expect(stdout).toMatch(/^ +stop$/m);
  });

  test('a signal while a request hangs leaves nothing behind either', async () => {
    const files = { 'filter.ts': 'export default { onRequest: () => new Promise<void>(() => {}) };\n' };
    const cli = new Cli(makePackageForTest(files), ['start', 'filter.ts']);
    await cli.printed(addressPattern);
    expect(cli.envoys()).toHaveLength(1);
    cli.child.kill('SIGINT');
    expect((await cli.ended).code).toBe(130);
    expect(cli.leftFiles()).toEqual([]);
    await vi.waitUntil(() => cli.envoys().length === 0);
  });

  test('stays up with its address', async () => {
    const cli = new Cli(makePackageForTest({}), ['start']);
    const port = Number((await cli.printed(/It stays up: curl -i http:\/\/127\.0\.0\.1:(\d+)\//))[1]);
    expect((await exchange(port, { method: 'GET', path: '/', headers: {} })).status).toBe(200);
    cli.child.kill('SIGINT');
    expect((await cli.ended).code).toBe(0);
  });
});
