// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// npm packages as they are: bundled by `fairlead build`, run in a real Envoy, in the emulator and in Node, with equal
// results. The programs are in packages/.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Emulator, type Filter } from '../bundler/emulator.ts';
import { build } from '../bundler/index.ts';
import { fairlead, request, startEnvoy, startRefusing, startUpstream, type Envoy, type Upstream } from './harness.ts';

/** Where a program finds each server that it calls. */
type Servers = Readonly<Record<'keys' | 'silent' | 'closed', string>>;

// JavaScript, for some of the packages have no types.
const { keySet, programs } = (await import(new URL('./packages/programs.js', import.meta.url).href)) as {
  keySet: unknown;
  programs: Readonly<Record<string, (servers: Servers) => unknown>>;
};

/** Name, what its program must give, and how often it must have asked for keys. */
const wanted: Readonly<Record<string, readonly [name: string, result: unknown, fetches?: number]>> = {
  P01: [
    'jose signs and verifies with a secret',
    ['TUyOnJUfaph9Mgk0_yaFeD5ucM60-i7AqYpXrlk2sOU', 1, 'ERR_JWS_SIGNATURE_VERIFICATION_FAILED', 'ERR_JWT_EXPIRED'],
  ],
  P02: ['jose signs and verifies with new pairs', ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA']],
  P03: ['jose decodes without verifying', [1, 'HS256']],
  // A hundred tokens make one fetch, a token with a strange key another.
  P04: ['jose with keys of a server', [100, 'ERR_JWKS_NO_MATCHING_KEY', 'ERR_JWKS_TIMEOUT', true], 2],
  P09: ['cookie', ['1', ' x', true, 's=v%201; Max-Age=60; Path=/; HttpOnly; SameSite=Lax']],
  P10: ['path-to-regexp', ['a b', ['x', 'y'], '/u/%C3%A9', false]],
  P11: [
    'hono routes, reads and answers',
    [
      [200, '{"id":"7","q":"a&b"}', 'hono'],
      [201, '5', 'hono'],
      [200, '{"x":"y z"}', 'hono'],
      [404, '404 Not Found', 'hono'],
      [500, 'boom', 'hono'],
    ],
  ],
  P12: [
    'hono with cors, etag and jwt',
    [
      [200, 'hi', '"c22b5f9178342609428d6f51b2c5af4c0bde6a42"'],
      [304, '', '"c22b5f9178342609428d6f51b2c5af4c0bde6a42"'],
      [204, '', 'https://site.example', 'GET,POST'],
      [200, '{"sub":"ann","exp":4102444800}'],
      401,
    ],
  ],
  P13: ['lru-cache', ['c,a', true, 1]],
  P14: ['uuid', [true, true, '9342d47a-1bab-5709-9869-c840b2eac501', 1000]],
  P18: ['date-fns', ['2026-02-28', 28, 'Tue 24 Nov 2026 10:00']],
  P19: ['dayjs', ['2026-03-01 01:00', -1]],
  P23: ['ua-parser-js', ['iOS', '17.4', 'Mobile Safari', 'mobile']],
  P24: ['isbot', [true, false, true]],
  P25: ['qs', [{ a: { b: ['1', '2'] }, c: '😀' }, true, 'a[b][0]=1&a[b][1]=2']],
  P27: ['negotiator', ['application/json, text/html', 'de', 'gzip, br']],
  P28: ['@msgpack/msgpack', [29, { a: [1, -1, 2 ** 40], s: 'é', u: [1, 2], n: null }]],
  P30: ['jmespath', { ids: [1, 3], max: 3 }],
  P31: [
    'fast-json-patch',
    [
      [
        { op: 'remove', path: '/l/1' },
        { op: 'replace', path: '/x', value: 2 },
      ],
      { x: 2, l: [1] },
    ],
  ],
  P35: [
    '@noble/hashes',
    [
      'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      '342e519ce0ad6c03a36b98eeb3f1d130db4813b9df4d1160eda488d712dc78ee',
      '6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85',
    ],
  ],
  P38: ['deepmerge', [{ b: 1, l: [1, 2], c: 2 }, true]],
};

// RSA keys are made, and the bundle has many packages.
const limits = { cpu_ms: 10_000, stream_cpu_ms: 60_000, load_ms: 10_000, memory_mb: 64 };

const clusters = { keys: 'keys', silent: 'silent', closed: 'closed' };
/** What the emulator has in place of the servers. */
const answers = { keys: [{ body: JSON.stringify(keySet) }], silent: [{ kind: 'silent' }], closed: [{ kind: 'refused' }] } as const;

let folder: string;
let keys: Upstream;
let silent: Upstream;
let closed: Awaited<ReturnType<typeof startRefusing>>;
let envoy: Envoy;
let emulator: Emulator;
let filter: Filter;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fairlead-packages-'));
  const { bytes } = await build({ entry: fileURLToPath(new URL('./packages/filter.js', import.meta.url)), check: false });
  const file = join(folder, 'packages.qjb');
  await writeFile(file, bytes);
  [keys, silent, closed] = await Promise.all([
    startUpstream({ handler: (exchange) => exchange.respondJson(keySet) }),
    startUpstream({ handler: () => undefined }),
    startRefusing(),
  ]);
  const targets = { keys: { port: keys.port }, silent: { port: silent.port }, closed: { port: closed.port } };
  envoy = await startEnvoy({ filters: [fairlead({ file, limits, clusters })], clusters: targets });
  emulator = await Emulator.load();
  filter = await emulator.filter({ bytecode: bytes, limits, clusters });
});
afterAll(async () => {
  await emulator?.close();
  await envoy?.stop();
  await Promise.all([keys?.close(), silent?.close(), closed?.close()]);
  await rm(folder, { recursive: true, force: true });
});

for (const [row, [name, result, fetches = 0]] of Object.entries(wanted)) {
  test(`${name} gives the same in Envoy, in the emulator and in Node (${row}, F107)`, async () => {
    const before = keys.requests.length;
    const real = await request(envoy, `/${row}`);
    const between = keys.requests.length;
    const { client, callouts } = await filter.exchange({ request: { path: `/${row}` }, clusters: answers });
    const at = ({ port }: { port: number }): string => `http://127.0.0.1:${port}/`;
    const inNode = await programs[row]?.({ keys: at(keys), silent: at(silent), closed: at(closed) });
    const got = {
      Envoy: [real.status, real.text(), between - before],
      emulator: [client?.status, client?.text(), callouts.filter(({ cluster }) => cluster === 'keys').length],
      Node: [200, JSON.stringify(inNode), keys.requests.length - between],
    };
    const all = [200, JSON.stringify(result), fetches];
    expect(got).toEqual({ Envoy: all, emulator: all, Node: all });
  });
}

test('hono answers a request that passes, in Envoy and in the emulator (P11, W07, W24)', async () => {
  const form = { 'content-type': 'multipart/form-data; boundary=b' };
  const cases = [
    [{ path: '/live/users/7?q=a%26b' }, [200, '{"id":"7","q":"a&b"}']],
    [{ path: '/live/sum', method: 'POST', body: '{"a":2,"b":3}' }, [201, '5']],
    [
      { path: '/live/form', method: 'POST', headers: form, body: '--b\r\nContent-Disposition: form-data; name="x"\r\n\r\ny\r\n--b--' },
      [200, '{"x":"y"}'],
    ],
    [{ path: '/live/nowhere' }, [404, '404 Not Found']],
    [{ path: '/live/throws' }, [500, 'boom']],
  ] as const;
  for (const [asked, result] of cases) {
    const { path, ...rest } = asked;
    const headers = 'headers' in rest ? Object.entries(rest.headers) : [];
    const real = await request(envoy, path, { ...rest, headers });
    const { client } = await filter.exchange({ request: asked });
    expect([real.status, real.text(), real.headers.get('x-served-by')]).toEqual([...result, 'hono']);
    expect([client?.status, client?.text(), client?.header('x-served-by')]).toEqual([...result, 'hono']);
  }
});
