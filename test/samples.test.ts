// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Each sample as its readers would use it: built by the bundler, loaded by Envoy from a .qjb file.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { build } from '../bundler/index.ts';
import { paths } from '../bundler/toolchain/paths.ts';
import {
  fairlead,
  request,
  startEnvoy,
  startUpstream,
  type Answer,
  type ClusterTarget,
  type Echo,
  type Envoy,
  type Handler,
  type HeaderPair,
  type JsonObject,
  type Upstream,
} from './harness.ts';

const samplesFolder = join(paths.repoRoot, 'samples');

interface Running {
  envoy: Envoy;
  upstream: Upstream;
}

/** Starts the sample for the tests around this call. What comes back is filled when they run. */
function runSample(
  name: string,
  options: { handler?: Handler; clusters?: () => Promise<Record<string, ClusterTarget>>; config?: JsonObject } = {},
): Running {
  const running: Partial<Running> = {};
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-samples-'));
  beforeAll(async () => {
    const file = join(folder, `${name}.qjb`);
    await build({ entry: join(samplesFolder, `${name}.ts`), output: file });
    running.upstream = await startUpstream(options.handler === undefined ? {} : { handler: options.handler });
    running.envoy = await startEnvoy({
      filters: [fairlead({ file, ...options.config }, name)],
      clusters: { upstream: running.upstream, ...(await options.clusters?.()) },
    });
  });
  afterAll(async () => {
    expect(await running.envoy?.stop()).toBe(0);
    await running.upstream?.close();
    rmSync(folder, { recursive: true });
  });
  return running as Running;
}

/** The values of a header as the upstream saw them. */
function seen(answer: Answer, name: string): string[] {
  return answer
    .json<Echo>()
    .headers.filter(([key]) => key.toLowerCase() === name)
    .map(([, value]) => value);
}

test('every sample is tested here, and the first one fits on the first screen', () => {
  const files = readdirSync(samplesFolder).filter((file) => file.endsWith('.ts'));
  expect(files.toSorted()).toEqual(['add-header.ts', 'auth.ts']);
  const lines = readFileSync(join(samplesFolder, 'add-header.ts'), 'utf8').trimEnd().split('\n');
  expect(lines.length).toBeLessThanOrEqual(12);
});

describe('add-header', () => {
  const running = runSample('add-header', {
    handler: async (exchange) => {
      const { method, path, headers, bodyLength, bodySha256 } = await exchange.whole;
      exchange.respond(
        200,
        [['x-powered-by', 'secret engine']],
        JSON.stringify({ method, path, headers: headers.pairs, bodyLength, bodySha256 }),
      );
    },
  });

  test('tells the upstream the tenant, whatever the client says', async () => {
    const answer = await request(running.envoy, '/', {
      headers: [
        ['host', 'shop.example.com'],
        ['x-tenant', 'other'],
      ],
    });
    expect(answer.status).toBe(200);
    expect(seen(answer, 'x-tenant')).toEqual(['shop']);
  });

  test('tells the browser to stay with TLS, and not what the upstream runs on', async () => {
    const answer = await request(running.envoy);
    expect(answer.headers.all('strict-transport-security')).toEqual(['max-age=31536000']);
    expect(answer.headers.has('x-powered-by')).toBe(false);
  });
});

describe('auth', () => {
  let auth: Upstream;
  const running = runSample('auth', {
    clusters: async () => {
      auth = await startUpstream({
        handler: (exchange) => {
          const token = exchange.received.headers.get('authorization')?.replace('Bearer ', '');
          if (token === 'ada') exchange.respond(200, [['x-user', 'Ada']]);
          else if (token === 'reset') exchange.reset();
          else if (token !== 'silent') exchange.respond(401);
        },
      });
      return { auth };
    },
    config: { clusters: ['auth'] },
  });
  afterAll(async () => {
    await auth.close();
  });

  const withToken = (token: string, more: HeaderPair[] = []): Promise<Answer> =>
    request(running.envoy, '/orders', { headers: [['authorization', `Bearer ${token}`], ...more] });

  test('asks for a token first, without a call', async () => {
    const calls = auth.requests.length;
    const answer = await request(running.envoy);
    expect([answer.status, answer.text()]).toEqual([401, 'sign in first\n']);
    expect(answer.headers.get('www-authenticate')).toBe('Bearer');
    expect(auth.requests.length).toBe(calls);
  });

  test('asks the cluster about the token, and tells the upstream whose it is', async () => {
    const answer = await withToken('ada', [['x-user', 'root']]);
    expect(answer.status).toBe(200);
    expect(answer.json<Echo>().path).toBe('/orders');
    expect(seen(answer, 'x-user')).toEqual(['Ada']);
    expect(auth.requests.at(-1)).toMatchObject({ method: 'GET', path: '/verify' });
    expect(auth.requests.at(-1)?.headers.all('authorization')).toEqual(['Bearer ada']);
  });

  test('lets no other token pass', async () => {
    const before = running.upstream.requests.length;
    const answer = await withToken('stolen');
    expect([answer.status, answer.text()]).toEqual([403, 'not allowed\n']);
    expect(running.upstream.requests.length).toBe(before);
  });

  test.each(['reset', 'silent'])('lets nobody pass while the cluster cannot tell: %s', async (token) => {
    const before = running.upstream.requests.length;
    const answer = await withToken(token);
    expect([answer.status, answer.text()]).toEqual([503, "try again later\n"]);
    expect(running.upstream.requests.length).toBe(before);
  });
});

test('the README begins with the sample itself, in twelve lines', () => {
  const readme = readFileSync(join(paths.repoRoot, 'README.md'), 'utf8');
  const shown = /^```ts\n([^]*?)^```$/m.exec(readme)?.[1];
  expect(shown).toBe(readFileSync(join(samplesFolder, 'add-header.ts'), 'utf8'));
  expect(shown?.trimEnd().split('\n').length).toBeLessThanOrEqual(12);
});
