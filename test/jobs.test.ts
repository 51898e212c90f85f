// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Jobs of every() in a real Envoy. How they run and fail in all detail is in filter-cc/jobs_test.cc.

import { expect, test } from 'vitest';
import { fairlead, hang, request, waitFor, withEnvoy, withUpstream, type Envoy, type TrafficOptions } from './harness.ts';

const traffic = (source: string, more: object = {}): TrafficOptions => ({
  filters: [fairlead({ inline: `import { counter, every, shared } from "fairlead";\n${source}`, ...more })],
});

/** Answers with a value of the store. */
const answering = 'export default { onRequest(request) { return Response.json(shared.get(request.path.slice(1)) ?? null); } };';

const stored = async (envoy: Envoy, key: string): Promise<unknown> => (await request(envoy, `/${key}`)).json();

test('a job fetches before there is any request, and all workers see what it found (F097, W27)', async () => {
  await withUpstream({ handler: (exchange) => exchange.respondJson({ keys: [1, 2] }) }, async (upstream) => {
    const source = `every(0.1, async ({ config }) => {
        const answer = await fetch("http://keys/list");
        shared.set("keys", (await answer.json()).keys.concat(config.last));
        shared.incr("runs");
      });\n${answering}`;
    const options = { ...traffic(source, { clusters: ['keys'], config: { last: 3 } }), clusters: { keys: upstream } };
    await withEnvoy({ ...options, concurrency: 2 }, async (envoy) => {
      await waitFor('the keys', async () => (await stored(envoy, 'keys')) !== null);
      expect(await stored(envoy, 'keys')).toEqual([1, 2, 3]);
      const seen = Number(await stored(envoy, 'runs'));
      await waitFor('further runs', async () => Number(await stored(envoy, 'runs')) > seen + 2);
      // One run after another, not one on each worker.
      const before = upstream.requests.length;
      await waitFor('a few more', () => upstream.requests.length > before + 3);
      expect(upstream.requests.length - Number(await stored(envoy, 'runs'))).toBeLessThanOrEqual(2);
    });
  });
});

test('jobs end when their config has drained, and those of the next one begin at once (F097)', async () => {
  const counting = (key: string): TrafficOptions => traffic(`every(0.1, () => { shared.incr("${key}"); });\n${answering}`);
  await withEnvoy({ ...counting('old'), dynamic: true, drainTimeS: 1 }, async (envoy) => {
    await waitFor('the first', async () => Number(await stored(envoy, 'old')) > 1);
    expect(await envoy.update(counting('new'))).toMatchObject({ accepted: true });
    await waitFor('the second', async () => Number(await stored(envoy, 'new')) > 1);
    let last = -1;
    // A quarter of a second's worth of the second without any of the first.
    await waitFor('the end of the first', async () => {
      const before = last;
      last = Number(await stored(envoy, 'old'));
      const now = Number(await stored(envoy, 'new'));
      await waitFor('three more of the second', async () => Number(await stored(envoy, 'new')) > now + 3);
      return last === before;
    });
  });
});

test('a config with a call of a job open can go, and Envoy can stop with one (F097, F074)', async () => {
  await withUpstream({ handler: hang }, async (upstream) => {
    const source = (key: string): TrafficOptions => ({
      ...traffic(`every(5, async () => { shared.set("${key}", true); await fetch("http://keys/"); });\n${answering}`, { clusters: ['keys'] }),
      clusters: { keys: upstream },
    });
    await withEnvoy({ ...source('old'), dynamic: true }, async (envoy) => {
      await upstream.arrived(1);
      expect(await envoy.update(source('new'))).toMatchObject({ accepted: true });
      await upstream.arrived(2);
      expect(await stored(envoy, 'new')).toBe(true);
    });
  });
});

test('a config with calls with keepalive open can go, and Envoy can stop with some (F040, F074)', async () => {
  await withUpstream({ handler: hang }, async (upstream) => {
    const options = (body: string): TrafficOptions => ({
      ...traffic(`export default { onLog() { fetch("http://audit/", { method: "POST", body: "${body}", keepalive: true }); } };`, { clusters: ['audit'] }),
      clusters: { audit: upstream },
    });
    await withEnvoy({ ...options('old'), dynamic: true, drainTimeS: 1, errorsExpected: true }, async (envoy) => {
      await request(envoy);
      await upstream.arrived(1);
      expect(await envoy.update(options('new'))).toMatchObject({ accepted: true });
      await request(envoy);
      await upstream.arrived(2);
      // The calls of the old one are cut when it goes.
      await waitFor('the end of the first', async () => (await envoy.stats('cluster.audit.'))['cluster.audit.upstream_rq_active'] === 1);
    });
  });
});

test('what fails in a job is logged with its place in the script, and requests go on (F097, F087)', async () => {
  const source = `every(0.1, async () => {\n  await null;\n  throw new Error("out of keys");\n});\n${answering}`;
  await withEnvoy({ ...traffic(source), errorsExpected: true }, async (envoy) => {
    expect(await envoy.log.fault()).toMatchObject({ code: 'E_THROWN', line: 4 });
    await waitFor('the next', () => envoy.log.faults().length > 1);
    expect((await request(envoy, '/none')).status).toBe(200);
  });
});
