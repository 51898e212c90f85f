// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Metrics of scripts on Envoy's admin page.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { paths } from '../bundler/toolchain/paths.ts';
import { fairlead, RawSocket, request, waitFor, withEnvoy, type Envoy, type TrafficOptions } from './harness.ts';

/** Where Envoy puts what modules define. */
const prefix = 'dynamicmodulescustom.';

const traffic = (top: string, hooks: string): TrafficOptions => ({
  filters: [fairlead({ inline: `import { counter, gauge, histogram, shared } from "fairlead";\n${top}\nexport default {${hooks}};` })],
});

/** Lines of the page for Prometheus, `name{labels} value`, of one filter. */
async function metrics(envoy: Envoy): Promise<Record<string, number>> {
  const page = await envoy.admin('/stats?format=prometheus&usedonly');
  const start = `envoy_${prefix.replace('.', '_')}`;
  const lines = page.split('\n').flatMap((line) => (line.startsWith(`${start}test_`) ? [line.slice(start.length)] : []));
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]));
}

const own = `const denied = counter("denied", ["reason"]), plain = counter("plain");
  const open = gauge("open"), took = histogram("took", ["kind"]);`;
const hooks = `onRequest(request) {
    denied.add({ reason: request.path.slice(1) });
    plain.add(undefined, 5);
    open.add(3);
    open.add(-1);
    took.record(7, { kind: "x" });
  }`;

test('counters, gauges and histograms of a script are Envoy\'s, with their labels (F089)', async () => {
  await withEnvoy(traffic(own, hooks), async (envoy) => {
    await request(envoy, '/a');
    await request(envoy, '/b');
    await request(envoy, '/b');
    await waitFor('the metrics', async () => (await metrics(envoy))['test_plain{}'] === 15);
    const found = await metrics(envoy);
    expect(found).toMatchObject({ 'test_denied{reason="a"}': 1, 'test_denied{reason="b"}': 2, 'test_plain{}': 15, 'test_open{}': 6 });
    await waitFor('the histogram', async () => (await metrics(envoy))['test_took_count{kind="x"}'] === 3, 10_000);
    expect((await envoy.stats(`${prefix}test.plain`))[`${prefix}test.plain`]).toBe(15);
  });
});

test('a reload keeps the value, adds names, and is refused when a name has other labels (F089)', async () => {
  const count = 'onRequest() { a.add(); }';
  await withEnvoy({ ...traffic('const a = counter("a");', count), dynamic: true, errorsExpected: true }, async (envoy) => {
    await request(envoy);
    const value = async (name: string): Promise<number> => (await metrics(envoy))[`test_${name}{}`] ?? 0;
    await waitFor('the first', async () => (await value('a')) === 1);
    const more = 'const a = counter("a"), b = counter("b");';
    expect(await envoy.update(traffic(more, 'onRequest() { a.add(); b.add(); }'))).toMatchObject({ accepted: true });
    await waitFor('the new name', async () => {
      await request(envoy);
      return (await value('b')) > 0;
    });
    const seen = await value('a');
    expect(seen).toBeGreaterThan(1);
    const { accepted, entries } = await envoy.update(traffic('const a = counter("a", ["x"]);', 'onRequest() { a.add({ x: 1 }); }'));
    expect(accepted).toBe(false);
    expect(entries.some(({ message }) => message.includes('E_METRIC_CONFLICT'))).toBe(true);
    await request(envoy);
    await waitFor('the running one', async () => (await value('a')) > seen);
  });
});

test('what is counted for every script is what the README lists, and each is moved (F088)', async () => {
  const source = `onRequest(request) {
      if (request.path === "/hold") return new Promise(() => {});
      if (request.path === "/throw") throw new Error("x");
      for (let i = 0; i < 100000; i++);
      shared.get("a");
      for (let i = 0; i < 3; i++) { shared.set("k" + i, "x".repeat(800)); shared.get("k" + i); }
    }`;
  const filter = traffic('', source);
  const [config] = filter.filters ?? [];
  const { value } = (config as { typed_config: { filter_config: { value: { inline?: string } } } }).typed_config.filter_config;
  const script = value.inline ?? '';
  delete value.inline;
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-metrics-'));
  const file = join(folder, 'filter.js');
  writeFileSync(file, script);
  Object.assign(value, { file, watch: true, limits: { shared_kb: 2 } });
  await withEnvoy({ ...filter, errorsExpected: true }, async (envoy) => {
    await request(envoy, '/');
    await request(envoy, '/throw');
    // They are told when the stream ends, but not each time.
    await waitFor('the numbers', async () => {
      await request(envoy, '/');
      return ((await metrics(envoy))['test_script_executions{}'] ?? 0) > 2;
    });
    for (const [text, moved] of [['export', 'reload_failures'], [`${script}\nexport const more = 1;`, 'generation']] as const) {
      writeFileSync(file, text);
      await waitFor(moved, async () => {
        await request(envoy, '/');
        return ((await metrics(envoy))[`test_script_${moved}{}`] ?? 0) > 0;
      });
    }
    const held = RawSocket.connect(envoy);
    (await held).write('GET /hold HTTP/1.1\r\nhost: a\r\n\r\n');
    await waitFor('a held stream', async () => (await metrics(envoy))['test_script_held_streams{}'] === 1);
    const found = Object.entries(await metrics(envoy)).filter(([name]) => name.startsWith('test_script_'));
    expect(found.filter(([, moved]) => moved === 0)).toEqual([]);
    const names = found.map(([name]) => name.replace('test_script_', '').replace(/"[^"]*"/, '').replace(/=|\{\}/g, '')).sort();
    const readme = readFileSync(join(paths.repoRoot, 'README.md'), 'utf8');
    expect(names).toEqual([...readme.matchAll(/^\| `<filter_name>\.script\.([\w{}]+)` \|/gm)].map(([, name]) => name).sort());
    (await held).end();
    await waitFor('its end', async () => (await metrics(envoy))['test_script_held_streams{}'] === 0);
  }).finally(() => rmSync(folder, { recursive: true }));
});

test('streams that are held are counted as long as they wait, however they end (F088)', async () => {
  const source = `async onRequest(request) {
      if (request.path === "/none") return;
      if (request.path === "/forever") await new Promise(() => {});
      await sleep(50);
      if (request.path === "/throw") throw new Error("x");
      if (request.path === "/reply") return new Response("y");
    },
    async onResponse() { await sleep(50); }`;
  const filter = fairlead({
    inline: `import { sleep } from "fairlead";\nexport default {${source}};`,
    limits: { wait_ms: 300 },
  });
  await withEnvoy({ filters: [filter], errorsExpected: true }, async (envoy) => {
    const held = async (): Promise<number | undefined> => (await metrics(envoy))['test_script_held_streams{}'];
    await request(envoy, '/none');
    const all = Promise.all(['/pass', '/pass', '/throw', '/reply', '/forever'].map((path) => request(envoy, path)));
    await waitFor('held streams', async () => ((await held()) ?? 0) >= 1);
    await all;
    expect(await held()).toBe(0);
  });
});
