// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Scripts that are configured and not used, or not any more: they cost no runtime.

import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';
import { directRoute, fairlead, perRoute, request, startEnvoy, waitFor, withEnvoy, type Envoy, type JsonObject } from './harness.ts';

const residentMb = async (envoy: Envoy): Promise<number> =>
  Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${envoy.pid}/status`, 'utf8'))?.[1]) / 1024;
const told = async (envoy: Envoy, path: string): Promise<string> => (await request(envoy, path)).text();

test('a script that nothing uses gives its memory back and begins anew, one that is used does not (F077)', async () => {
  const source = `let n = 0, held = []; export default { onRequest(request) {
    if (request.path === "/large") held.push(new Uint8Array(40 << 20).fill(1));
    return new Response(String(++n));
  } };`;
  const filters = [fairlead({ inline: source, idle_s: 1, limits: { memory_mb: 64 } })];
  const other = { other: { filters: [fairlead({ inline: `/* other */${source}`, idle_s: 1 }, 'other')] } };
  await withEnvoy({ filters, listeners: other }, async (envoy) => {
    // Of Envoy's allocator: it does not give all that is free back to the system.
    const usedMb = async (): Promise<number> => Number((JSON.parse(await envoy.admin('/memory')) as { allocated: string }).allocated) / 2 ** 20;
    const before = await usedMb();
    expect([await told(envoy, '/'), await told(envoy, '/large')]).toEqual(['1', '2']);
    expect(await usedMb()).toBeGreaterThan(before + 30);
    let asked = 0;
    await waitFor('the memory', async () => {
      expect((await request({ port: envoy.portOf('other') }, '/')).text()).toBe(String(++asked));
      return (await usedMb()) < before + 20;
    }, 10_000);
    expect(await told(envoy, '/')).toBe('1');
  });
});

test('of 200 scripts that routes have, those that are used cost memory (F057, F077)', async () => {
  const count = 200;
  const routes = Array.from({ length: count }, (_, i): JsonObject => {
    const inline = `const own = ${i}; export default { onRequest() { return new Response(String(own)); } };`;
    return { ...directRoute(`/${i}/`, 200, ''), typed_per_filter_config: perRoute({ script: { inline } }) };
  });
  const envoy = await startEnvoy({ filters: [fairlead('export default {};')], routes: [...routes, directRoute('/', 200, '')] });
  try {
    const grown = async (first: number, last: number): Promise<number> => {
      const before = await residentMb(envoy);
      for (let i = first; i < last; i++) expect(await told(envoy, `/${i}/`)).toBe(String(i));
      return (await residentMb(envoy)) - before;
    };
    await grown(0, 5);
    const few = await grown(5, 10);
    const many = await grown(10, count);
    console.log(`MiB for 5 more scripts: ${few.toFixed(1)}, for 190 more: ${many.toFixed(1)}`);
    // A runtime is 0.2 MiB and more.
    expect(many).toBeGreaterThan(190 * 0.1);
    expect(few).toBeLessThan(many / 4);
  } finally {
    await envoy.stop();
  }
});
