// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The Web's own classes inside a filter, in a real Envoy and in the emulator. The cases are in webapi/, one file a stem.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Emulator } from '../bundler/emulator.ts';
import { build } from '../bundler/index.ts';
import { paths } from '../bundler/toolchain/paths.ts';
import { fairlead, request, startEnvoy, type Envoy } from './harness.ts';

// All cases of a file run in one hook.
const limits = { cpu_ms: 10_000, stream_cpu_ms: 10_000, memory_mb: 64, body_kb: 512 };

let folder: string;
let bytecode: Uint8Array;
let envoy: Envoy;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fairlead-webapi-'));
  const entry = fileURLToPath(new URL('./webapi/filter.js', import.meta.url));
  ({ bytes: bytecode } = await build({ entry, check: false }));
  const file = join(folder, 'webapi.qjb');
  await writeFile(file, bytecode);
  envoy = await startEnvoy({ filters: [fairlead({ file, limits })] });
});
afterAll(async () => {
  await envoy?.stop();
  await rm(folder, { recursive: true, force: true });
});

const stems = [
  { file: 'url', title: 'URL and URLSearchParams do what the URL standard says', rows: 'W04, W05', atLeast: 400 },
  { file: 'encoding', title: 'TextEncoder and TextDecoder do what the Encoding standard says', rows: 'W02, W03', atLeast: 400 },
  { file: 'codecs', title: 'base64, hex and UTF-8 do what their standards say', rows: 'F100, W11', atLeast: 250 },
  { file: 'clone', title: 'structuredClone does what the HTML standard says', rows: 'W15, W24', atLeast: 100 },
  { file: 'crypto', title: 'crypto does what the Web Cryptography API says', rows: 'F098, F099, W12, W13, W20, H126', atLeast: 200 },
  {
    file: 'streams',
    title: 'streams and bodies do what the Streams, Encoding and Fetch standards say',
    rows: 'W07, W08, W10, W21, W22',
    atLeast: 200,
  },
  { file: 'urlpattern', title: 'URLPattern does what the URL Pattern standard says', rows: 'W25', atLeast: 80 },
  { file: 'forms', title: 'Blob, File and FormData do what the File API, XHR and Fetch standards say', rows: 'W24', atLeast: 150 },
  { file: 'compression', title: 'compression streams do what the Compression standard says', rows: 'W23, H206', atLeast: 200 },
];

function expectAllChecked({ count, failures }: { count: number; failures: string[] }, atLeast: number): void {
  expect(failures).toEqual([]);
  expect(count).toBeGreaterThan(atLeast);
}

for (const { file, title, rows, atLeast } of stems) {
  test(`${title}, in Envoy (${rows})`, async () => {
    const answer = await request(envoy, `/${file}`);
    expect(answer.status).toBe(200);
    expectAllChecked(answer.json(), atLeast);
  });

  test(`${title}, in the emulator (${rows}, F112)`, async () => {
    const emulator = await Emulator.load();
    const filter = await emulator.filter({ bytecode, limits });
    const { client } = await filter.exchange({ request: { path: `/${file}` } });
    await emulator.close();
    expect(client?.status).toBe(200);
    expectAllChecked(JSON.parse(client?.text() ?? ''), atLeast);
  });
}

/**
 * The Web platform tests' data on URLs, of 2023: how many cases each file has at least, and those that the standard has
 * changed since: ASCII domains with xn-- labels that stand for nothing pass, `^` in a path and the last space of an opaque
 * path are encoded.
 */
const urlData = [
  { file: 'urltestdata', form: 'urltestdata', atLeast: 800, changed: { named: /xn--|\^/i, count: 10 } },
  { file: 'setters_tests', form: 'setters_tests', atLeast: 250, changed: { named: /xn--|\^|space/, count: 11 } },
  { file: 'toascii', form: 'toascii', atLeast: 35, changed: { named: /^$/, count: 0 } },
  { file: 'IdnaTestV2', form: 'toascii', atLeast: 1700, changed: { named: /^$/, count: 0 } },
];

for (const { file, form, atLeast, changed } of urlData) {
  test(`URL does what ${file}.json of the Web platform tests says, in Envoy and in the emulator (W04, F101, F112)`, async () => {
    const body = await readFile(join(paths.thirdParty, 'wpt-url', `${file}.json`));
    const answer = await request(envoy, `/url-data/${form}`, { body });
    const emulator = await Emulator.load();
    const filter = await emulator.filter({ bytecode, limits });
    const { client } = await filter.exchange({ request: { method: 'POST', path: `/url-data/${form}`, body } });
    await emulator.close();
    for (const { count, failures } of [answer.json(), JSON.parse(client?.text() ?? '')]) {
      expect(failures.filter(({ name }: { name: string[] }) => !changed.named.test(name.join(' ')))).toEqual([]);
      expect(failures).toHaveLength(changed.count);
      expect(count).toBeGreaterThan(atLeast);
    }
  });
}

test('the cases of streams hold in Node too (W10, W21, W22)', async () => {
  const load = (file: string): Promise<any> => import(new URL(`./webapi/${file}`, import.meta.url).href);
  const { streams } = await load('streams.js');
  const { 'encoding streams have their brands, and refuse symbols': _, ...inNode } = streams;
  expectAllChecked(await (await load('checks.js')).runAll(inNode), 200);
});

test('the cases of forms hold in Node too (W24)', async () => {
  const load = (file: string): Promise<any> => import(new URL(`./webapi/${file}`, import.meta.url).href);
  const { forms } = await load('forms.js');
  // This Node leaves a carriage return, reads no epilogue, and drops a question mark.
  const otherwise = ['line ends', 'parts are read', 'pairs are read'];
  const inNode = Object.fromEntries(Object.entries(forms).filter(([title]) => !otherwise.some((part) => title.includes(part))));
  expectAllChecked(await (await load('checks.js')).runAll(inNode), 100);
});

test('the cases of compression hold in Node too (W23)', async () => {
  const load = (file: string): Promise<any> => import(new URL(`./webapi/${file}`, import.meta.url).href);
  const { compression } = await load('compression.js');
  // This Node takes what is cut and what stands behind the end.
  const otherwise = ['ends too early', 'behind the end', 'damaged', 'waits for a reader', 'leaves one side', 'every view', 'another format'];
  const inNode = Object.fromEntries(Object.entries(compression).filter(([title]) => !otherwise.some((part) => title.includes(part))));
  expectAllChecked(await (await load('checks.js')).runAll(inNode), 50);
});
