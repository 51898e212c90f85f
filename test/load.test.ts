// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Many requests at once, with clients that leave: nobody gets another's answer and nothing is left behind.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { setTimeout as delay } from 'node:timers/promises';
import {
  fairlead,
  load,
  startEnvoy,
  startUpstream,
  waitFor,
  type Answer,
  type Echo,
  type Envoy,
  type Handler,
  type LoadOptions,
  type Upstream,
} from './harness.ts';

const requests = 2_000;
const connections = 64;

const source = `export default {
  async onRequest(request, ctx) {
    const answer = await fetch("http://auth/verify?for=" + request.path.slice(1), { headers: { "x-for": request.path } });
    ctx.state.user = await answer.text();
    request.headers.set("x-user", ctx.state.user);
  },
  async onResponse(response, ctx) {
    const again = await fetch("http://auth/audit?for=" + ctx.request.path.slice(1));
    response.headers.set("x-user", ctx.state.user + " " + (await again.text()));
  },
};`;

/** Answers who asked, after 0 to 9 milliseconds. */
const verify: Handler = async (exchange) => {
  const who = /for=(\d+)/.exec(exchange.received.path)?.[1] ?? 'nobody';
  await delay(Number(who) % 10);
  exchange.respond(200, [], `user-${who}`);
};

function check(answer: Answer, index: number): string | undefined {
  const user = `user-${index}`;
  if (answer.status !== 200) return `status ${answer.status}: ${answer.text()}`;
  if (answer.headers.get('x-user') !== `${user} ${user}`) return `response of ${String(answer.headers.get('x-user'))}`;
  const seen = answer.json<Echo>();
  if (seen.path !== `/${index}`) return `path ${seen.path}`;
  const sent = seen.headers.find(([name]) => name === 'x-user')?.[1];
  return sent === user ? undefined : `request of ${String(sent)}`;
}

/** Every second client leaves, at moments spread over the life of a request. */
const halfLeave: LoadOptions = {
  connections,
  requests,
  prepare: (index) => ({ path: `/${index}` }),
  leaveAfterMs: (index) => (index % 2 === 0 ? undefined : (index >> 1) % 25),
  check,
};

describe('2,000 requests over 64 connections, each awaiting fetches, half of the clients leaving', () => {
  let upstream: Upstream;
  let auth: Upstream;
  beforeAll(async () => {
    upstream = await startUpstream();
    auth = await startUpstream({ handler: verify });
  });
  afterAll(async () => {
    await upstream.close();
    await auth.close();
  });

  const start = async (concurrency: number): Promise<Envoy> => {
    const filters = [fairlead({ inline: source, clusters: ['auth'] })];
    return await startEnvoy({ filters, clusters: { upstream, auth }, concurrency });
  };

  test.each([1, 2])(
    'give no wrong answer, no error line and leave no stream, with %d worker(s)',
    async (concurrency) => {
      const envoy = await start(concurrency);
      try {
        const result = await load(envoy, halfLeave);
        expect(result).toMatchObject({ wrong: 0, failed: 0, complaints: [] });
        expect(result.right + result.left).toBe(requests);
        expect(result.right).toBeGreaterThanOrEqual(requests / 2);
        // The load is only what it claims to be when clients did leave early.
        expect(result.left).toBeGreaterThan(requests / 8);
        await envoy.idle();
        expect(await envoy.gauge('downstream_rq_active')).toBe(0);
        for (const cluster of ['auth', 'upstream']) {
          const name = `cluster.${cluster}.upstream_rq_active`;
          await waitFor(`${name} to become 0`, async () => (await envoy.stats(name))[name] === 0);
        }
      } finally {
        expect(await envoy.stop()).toBe(0);
      }
      expect(envoy.log.errors()).toEqual([]);
    },
  );

  test.each([1, 2])(
    'let Envoy end with exit code 0 on SIGTERM in the middle of them, with %d worker(s)',
    async (concurrency) => {
      const envoy = await start(concurrency);
      let answered = 0;
      const running = load(envoy, {
        ...halfLeave,
        // What is cut off by the end of Envoy is no failure of it; a wrong answer still is one.
        check: (answer, index) => {
          answered++;
          return check(answer, index);
        },
      });
      try {
        await waitFor('the load to be under way', () => answered > requests / 10);
        expect(await envoy.gauge('downstream_rq_active')).toBeGreaterThan(0);
      } finally {
        expect(await envoy.stop()).toBe(0);
      }
      const result = await running;
      expect(result.wrong).toBe(0);
      expect(result.failed).toBeGreaterThan(0);
      expect(envoy.log.errors()).toEqual([]);
    },
  );
});
