// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Scripts that change on disk while Envoy runs: when the new one is live, who gets it, and what a bad one does.

import { execFileSync } from 'node:child_process';
import { appendFile, mkdir, open, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { build } from '../bundler/index.ts';
import {
  expectRefused,
  fairlead,
  keepAliveAgent,
  load,
  put,
  request,
  validate,
  waitFor,
  withEnvoy,
  withFolder,
  withUpstream,
  type Envoy,
  type EnvoyOptions,
  type Exchange,
  type JsonObject,
} from './harness.ts';

/** Answers with `version`. */
const telling = (version: number | string): string =>
  `export default { onRequest() { return new Response(${JSON.stringify(String(version))}); } };\n`;

async function bytecodeOf(source: string): Promise<Uint8Array> {
  let bytes: Uint8Array = new Uint8Array();
  await withFolder(async (folder) => {
    const entry = join(folder, 'filter.js');
    await writeFile(entry, source);
    ({ bytes } = await build({ entry, check: false }));
  });
  return bytes;
}

const watching = (file: string, more: JsonObject = {}): JsonObject => fairlead({ file, watch: true, ...more });

const told = async (envoy: Envoy, path = '/'): Promise<string> => (await request(envoy, path)).text();

async function waitForVersion(envoy: Envoy, version: number | string): Promise<void> {
  await waitFor(`version ${version}`, async () => (await told(envoy)) === String(version));
}

const scriptMetric = async (envoy: Envoy, name: string): Promise<number | undefined> =>
  (await envoy.stats(`dynamicmodulescustom.test.script.${name}`))[`dynamicmodulescustom.test.script.${name}`];

/** Runs `use` with an Envoy whose filter watches a file that says "1". */
async function withWatched(
  options: EnvoyOptions & { errorsExpected?: boolean; more?: JsonObject; source?: string },
  use: (envoy: Envoy, file: string) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const file = join(folder, 'filter.js');
    await writeFile(file, options.source ?? telling(1));
    await withEnvoy({ ...options, filters: [watching(file, options.more)] }, async (envoy) => await use(envoy, file));
  });
}

test('a file that is renamed over, written in place, or deleted and written again is live by itself (F062)', async () => {
  await withWatched({ concurrency: 2 }, async (envoy, file) => {
    expect(await told(envoy)).toBe('1');
    await put(file, telling(2));
    await waitForVersion(envoy, 2);
    await writeFile(file, telling(3));
    await waitForVersion(envoy, 3);
    await rm(file);
    await writeFile(file, telling(4));
    await waitForVersion(envoy, 4);
    // A file in the place of another without any event of its own: the name is made to lead elsewhere.
    await rename(file, `${file}.old`);
    await writeFile(`${file}.other`, telling(5));
    await symlink(`${file}.other`, file);
    await waitForVersion(envoy, 5);
    await writeFile(`${file}.other`, telling(6));
    await waitForVersion(envoy, 6);
  });
});

test('a link that is swapped, as Kubernetes does it with a volume, brings all its files at once (F062)', async () => {
  await withFolder(async (folder) => {
    // ..data is a link to a folder, the files are links into it.
    const publish = async (version: number): Promise<void> => {
      const name = `..${version}`;
      await mkdir(join(folder, name));
      for (const file of ['a.js', 'b.js']) await writeFile(join(folder, name, file), telling(`${file} ${version}`));
      await symlink(name, join(folder, '..data_tmp'));
      await rename(join(folder, '..data_tmp'), join(folder, '..data'));
    };
    await publish(1);
    for (const file of ['a.js', 'b.js']) await symlink(`..data/${file}`, join(folder, file));
    const routes = { a: [watching(join(folder, 'a.js'))], b: [watching(join(folder, 'b.js'))] };
    await withEnvoy({ filters: routes.a, listeners: { other: { filters: routes.b } } }, async (envoy) => {
      const both = async (): Promise<string[]> => [
        await told(envoy),
        (await request({ port: envoy.portOf('other') }, '/')).text(),
      ];
      for (const version of [1, 2, 3]) {
        if (version > 1) await publish(version);
        const wanted = [`a.js ${version}`, `b.js ${version}`].join();
        await waitFor(wanted, async () => (await both()).join() === wanted);
        await rm(join(folder, `..${version - 1}`), { recursive: true, force: true });
      }
    });
  });
});

test('a folder that goes and comes back is seen, and the script serves on meanwhile (F062, F064)', async () => {
  await withFolder(async (folder) => {
    const file = join(folder, 'deployed', 'filter.js');
    await mkdir(dirname(file));
    await writeFile(file, telling(1));
    await withEnvoy({ filters: [watching(file)], errorsExpected: true }, async (envoy) => {
      await rm(dirname(file), { recursive: true });
      expect((await envoy.log.fault()).code).toBe('E_CONFIG_FILE');
      expect(await told(envoy)).toBe('1');
      await mkdir(dirname(file));
      await writeFile(file, telling(2));
      await waitForVersion(envoy, 2);
      // And from then on events tell again.
      await put(file, telling(3));
      await waitForVersion(envoy, 3);
    });
  });
});

test('a hundred scripts that change at once are all live (F062)', async () => {
  await withFolder(async (folder) => {
    const count = 100;
    const name = (i: number): string => join(folder, `${i}.js`);
    const source = (i: number, version: number): string =>
      `export default { onRequest(request) { request.headers.append("x-told", "${i}.${version}"); } };`;
    for (let i = 0; i < count; i++) await writeFile(name(i), source(i, 1));
    const filters = Array.from({ length: count }, (_, i) => fairlead({ file: name(i), watch: true }, `f${i}`));
    filters.push(fairlead(`export default { onRequest(request) { return new Response(request.headers.get("x-told")); } };`, 'last'));
    await withEnvoy({ filters }, async (envoy) => {
      const wanted = (version: number): string => Array.from({ length: count }, (_, i) => `${i}.${version}`).join(', ');
      expect(await told(envoy)).toBe(wanted(1));
      await Promise.all(Array.from({ length: count }, async (_, i) => await put(name(i), source(i, 2))));
      await waitFor('all of them', async () => (await told(envoy)) === wanted(2), 10_000);
    });
  });
});

test('a file is not loaded while somebody writes to it, however long that takes (F062)', async () => {
  await withWatched({}, async (envoy, file) => {
    // Half of it is a script too.
    const handle = await open(file, 'w');
    await handle.writeFile(telling('half'));
    const until = performance.now() + 1_500;
    while (performance.now() < until) expect(await told(envoy)).toBe('1');
    await handle.writeFile('// and the rest\n');
    await handle.close();
    await waitForVersion(envoy, 'half');
  });
});

test('where the kernel tells nothing of files, a change is live by looking (F066)', async () => {
  const command = ['unshare', '--user', '--map-root-user', 'sh', '-c', 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$0" "$@"'];
  await withWatched({ command }, async (envoy, file) => {
    const open = execFileSync('sh', ['-c', `readlink /proc/${envoy.pid}/fd/*`], { encoding: 'utf8' });
    expect(open).not.toContain('inotify');
    await put(file, telling(2));
    await waitForVersion(envoy, 2);
    await waitFor('the gauge', async () => (await scriptMetric(envoy, 'generation')) === 2);
  });
});

test('a stream ends on the generation that it began with, new ones get the new one (F063, F089)', async () => {
  const source = (version: number): string => `const version = ${version};
    export default {
      async onRequest(request) { await fetch("http://gate/"); request.headers.set("x-version", String(version)); },
      onResponse(response) { response.headers.set("x-version", String(version)); },
      onLog(ctx) { console.info("over with", version, ctx.request.path); },
    };`;
  const waiting: Exchange[] = [];
  await withUpstream({}, async (upstream) => {
    await withUpstream({ handler: (exchange) => void waiting.push(exchange) }, async (gate) => {
      const options = { clusters: { upstream, gate }, more: { clusters: ['gate'] }, source: source(1) };
      await withWatched(options, async (envoy, file) => {
        const old = request(envoy, '/old');
        await waitFor('its call', () => waiting.length === 1);
        await put(file, source(2));
        await envoy.waitForLog((entry) => entry.message.includes('generation 2 of file'));
        const young = request(envoy, '/young');
        await waitFor('the next call', () => waiting.length === 2);
        for (const exchange of waiting) exchange.respond(200, [], '');
        for (const [answer, version] of [[await old, '1'], [await young, '2']] as const) {
          expect(answer.headers.get('x-version')).toBe(version);
          expect(answer.json<{ headers: [string, string][] }>().headers).toContainEqual(['x-version', version]);
        }
        await envoy.waitForLog((entry) => entry.message.includes('over with 1 /old'));
        await envoy.waitForLog((entry) => entry.message.includes('over with 2 /young'));
      });
    });
  });
});

test('a bad file changes nothing: one line says why, a counter counts, a good one is live again (F064, F088)', async () => {
  const good = await bytecodeOf(telling('bytecode'));
  const damaged = (at: number): Uint8Array => good.map((byte, i) => (i === at ? byte ^ 1 : byte));
  const cases: [what: string, content: string | Uint8Array, code: string][] = [
    ['a syntax error', 'export default {\n  onRequest( {', 'E_SCRIPT_SYNTAX'],
    ['a throw at the top level', 'throw new Error("no");', 'E_SCRIPT_THROW'],
    ['a configure() that throws', 'export default { configure() { throw new Error("no"); } };', 'E_CONFIGURE_THROW'],
    ['no default export', 'export const a = 1;', 'E_SCRIPT_EXPORT'],
    ['a file of another engine', damaged(12), 'E_BYTECODE'],
    ['a file that is cut off', good.slice(0, good.length - 1), 'E_BYTECODE'],
    ['a damaged file', damaged(good.length - 2), 'E_BYTECODE'],
    ['an empty file', '', 'E_CONFIG_FILE'],
  ];
  await withWatched({ errorsExpected: true }, async (envoy, file) => {
    let failures = 0;
    const refuses = async (what: string, code: string): Promise<void> => {
      const fault = await waitFor(what, () => envoy.log.faults()[failures]);
      expect(fault.code, what).toMatch(new RegExp(`^${code}`));
      expect(fault.text, what).toContain('generation 1 stays live');
      expect(fault.file ?? file, what).toContain(file);
      failures++;
      expect(await told(envoy), what).toBe('1');
      await waitFor('the counter', async () => {
        await told(envoy);
        return (await scriptMetric(envoy, 'reload_failures')) === failures;
      });
    };
    for (const [what, content, code] of cases) {
      await put(file, content);
      await refuses(what, code);
    }
    await rm(file);
    await refuses('no file', 'E_CONFIG_FILE');
    await mkdir(file);
    await refuses('a folder', 'E_CONFIG_FILE');
    await rm(file, { recursive: true });
    await symlink(file, file);
    await refuses('a link to itself', 'E_CONFIG_FILE');
    await rm(file);
    execFileSync('mkfifo', [file]);
    await refuses('a pipe', 'E_CONFIG_FILE');
    await put(file, good);
    await waitForVersion(envoy, 'bytecode');
    expect(envoy.log.faults()).toHaveLength(failures);
  });
});

test('a file that is only touched, or comes back as it was, is no new generation (F064)', async () => {
  await withWatched({}, async (envoy, file) => {
    await put(file, telling(1));
    await put(file, telling(2));
    await waitForVersion(envoy, 2);
    await waitFor('the gauge', async () => (await scriptMetric(envoy, 'generation')) === 2);
  });
});

test('reloads under load cost no request, no connection and no memory (F065, H412)', async () => {
  const reloads = 1_000;
  const measured = 200;
  const source = (version: number): string => `const version = "${version}"; let seen = 0;
    export default {
      async onRequest(request, ctx) { ctx.state.version = version; await null; seen++; request.headers.set("x-version", version); },
      onResponse(response, ctx) { response.headers.set("x-version", version + (ctx.state.version === version ? "" : " mixed")); },
    };`;
  const residentKb = async (envoy: Envoy): Promise<number> =>
    Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${envoy.pid}/status`, 'utf8'))?.[1]);
  await withWatched({ concurrency: 2, source: source(0) }, async (envoy, file) => {
    let version = 0;
    let early = 0;
    const stop = new AbortController();
    const deploys = (async () => {
      const agent = keepAliveAgent(1);
      while (version < reloads) {
        await put(file, source(++version));
        await waitFor(`version ${version}`, async () => (await request(envoy, '/', { agent })).headers.get('x-version') === String(version));
        if (version === measured) early = await residentKb(envoy);
      }
      agent.destroy();
      stop.abort();
    })();
    const connections = 8;
    let rounds = 0;
    while (!stop.signal.aborted) {
      const result = await load(envoy, {
        connections,
        requests: 1_000,
        check: (answer) =>
          answer.status === 200 && /^\d+$/.test(answer.headers.get('x-version') ?? '') ? undefined : `${answer.status} ${answer.headers.get('x-version')}`,
      });
      expect(result.complaints).toEqual([]);
      rounds++;
    }
    await deploys;
    expect(rounds).toBeGreaterThan(0);
    // Every connection was closed by its client.
    expect(await envoy.gauge('downstream_cx_total')).toBe(rounds * connections + 1);
    expect(await residentKb(envoy)).toBeLessThan(early * 1.05);
    expect(await scriptMetric(envoy, 'generation')).toBe(reloads + 1);
    expect(await scriptMetric(envoy, 'reload_failures') ?? 0).toBe(0);
  });
}, 120_000);

test('metrics go on across reloads; a new one is in the family of its kind, another shape is refused (F089)', async () => {
  const source = (declared: string, used: string): string => `import { counter, gauge, histogram } from "fairlead";
    ${declared}
    export default { onRequest() { ${used}; return new Response("ok"); } };`;
  const first = source('const denied = counter("denied", ["reason"]);', 'denied.add({ reason: "a" })');
  await withWatched({ source: first, errorsExpected: true }, async (envoy, file) => {
    const stats = async (): Promise<Record<string, number>> => await envoy.stats('dynamicmodulescustom.test.');
    const denied = 'dynamicmodulescustom.test.denied.reason.a';
    await told(envoy);
    await waitFor('the first', async () => (await stats())[denied] === 1);
    await put(file, source(
      'const seen = counter("seen"), level = gauge("level", ["kind", "of"]), denied = counter("denied", ["reason"]), took = histogram("took");',
      'denied.add({ reason: "a" }, 1_000); seen.add({}, 3); level.set(7, { kind: "x", of: "y" }); took.record(5)',
    ));
    await waitFor('all', async () => {
      await told(envoy);
      return Object.entries(await stats()).some(([name, value]) => name.includes('later_gauge') && value === 7);
    });
    const now = await stats();
    expect((now[denied] ?? 0) % 1_000).toBeGreaterThan(0);
    expect(now[denied]).toBeGreaterThan(1_000);
    expect(Object.keys(now).filter((name) => name.includes('.later_')).sort()).toEqual([
      'dynamicmodulescustom.test.later_counter.metric.seen.labels.',
      'dynamicmodulescustom.test.later_gauge.metric.level.labels.kind=x,of=y',
    ]);
    await put(file, source('const denied = counter("denied", ["reason", "who"]);', ''));
    expect((await envoy.log.fault()).code).toBe('E_METRIC_CONFLICT');
  });
});

test('jobs of every() end with their generation (F097)', async () => {
  const source = (version: number): string => `import { every, shared } from "fairlead";
    every(0.1, () => { shared.incr("runs-${version}"); });
    export default { onRequest() { return new Response(["1", "2"].map((v) => shared.get("runs-" + v) ?? 0).join(" ")); } };`;
  await withWatched({ source: source(1) }, async (envoy, file) => {
    const runs = async (): Promise<number[]> => (await told(envoy)).split(' ').map(Number);
    await waitFor('the old job', async () => (await runs())[0]! > 1);
    await put(file, source(2));
    await waitFor('the new job', async () => (await runs())[1]! > 0);
    const [before = 0, since = 0] = await runs();
    await waitFor('more of the new job', async () => (await runs())[1]! > since + 5);
    expect((await runs())[0]).toBe(before);
  });
});

test('only a file can be watched, and validation watches nothing (F055, F058)', async () => {
  const refused = async (config: JsonObject): Promise<string> => (await expectRefused({ filters: [fairlead(config)] })).code;
  expect(await refused({ inline: telling(1), watch: true })).toBe('E_CONFIG_VALUE');
  expect(await refused({ inline: telling(1), watch: 'yes' })).toBe('E_CONFIG_TYPE');
  await withFolder(async (folder) => {
    const file = join(folder, 'filter.js');
    await writeFile(file, telling(1));
    expect((await validate({ filters: [watching(file)] })).exitCode).toBe(0);
    await appendFile(file, 'syntax error');
    expect((await validate({ filters: [watching(file)] })).exitCode).toBe(1);
  });
});
