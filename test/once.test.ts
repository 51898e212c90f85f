// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// `once` in a real Envoy with one worker: many streams wait for one call, which is made by the first in line.

import { describe, expect, test } from 'vitest';
import {
  fairlead,
  Http2Client,
  waitFor,
  withEnvoy,
  withUpstream,
  type Answer,
  type Envoy,
  type Exchange,
  type JsonObject,
  type LogLevel,
  type Upstream,
} from './harness.ts';

/** Asks the side cluster for a value, as the stream that it is; then goes on by itself. */
const sharing = `
  import { once, sleep } from "fairlead";
  export default {
    async onRequest(request, ctx) {
      const own = request.path;
      if (own === "/free") return new Response("free");
      try {
        const value = await once("key", ctx.config.ttlMs, async () => {
          const answer = await fetch("http://side/value", { headers: { "x-maker": own } });
          if (ctx.config.fail) throw new Error(await answer.text());
          return { text: await answer.text() };
        });
        console.warn("has", own, request.path);
        if (own.startsWith("/never")) await new Promise(() => {});
        await fetch("http://side/own", { headers: { "x-owner": own } });
        await sleep(1);
        return new Response(value.text + " " + own + " " + request.path);
      } catch (error) {
        console.warn("caught", error.name, error.code, own);
        return new Response(error.message, { status: 599 });
      }
    },
  };`;

/** A side upstream whose values wait until the test gives them; everything else is answered at once. */
class Side {
  readonly waiting: Exchange[] = [];
  #upstream: Upstream | undefined;

  get upstream(): Upstream {
    if (this.#upstream === undefined) throw new Error('not started');
    return this.#upstream;
  }

  /** Who made the calls for the value, in order. */
  get makers(): string[] {
    return this.upstream.requests.flatMap(({ headers }) => headers.all('x-maker'));
  }

  async use<T>(body: () => Promise<T>): Promise<T> {
    const handler = (exchange: Exchange): void => {
      if (exchange.received.path === '/value') this.waiting.push(exchange);
      else exchange.respond(200);
    };
    return await withUpstream({ handler }, async (upstream) => {
      this.#upstream = upstream;
      return await body();
    });
  }

  /** The call number `index` for the value, once it has come. */
  async call(index: number): Promise<Exchange> {
    return await waitFor(`call ${index + 1} for the value`, () => this.waiting[index]);
  }
}

async function withSharing<T>(
  config: JsonObject,
  use: (envoy: Envoy, side: Side, client: Http2Client) => Promise<T>,
  settings: JsonObject = {},
  source = sharing,
): Promise<T> {
  const side = new Side();
  return await side.use(async () => {
    const filter = fairlead({ inline: source, config, clusters: ['side'], ...settings });
    const options = {
      filters: [filter],
      clusters: { side: side.upstream },
      connectionManager: { preserve_external_request_id: true },
      errorsExpected: true,
    };
    return await withEnvoy(options, async (envoy) => {
      const client = await Http2Client.connect(envoy);
      try {
        return await use(envoy, side, client);
      } finally {
        await client.close();
      }
    });
  });
}

/** A request that names itself: its path is its request id too. */
async function ask(client: Http2Client, name: string): Promise<Answer> {
  return await client.request(`/${name}`, { headers: [['x-request-id', name]] });
}

const active = async (envoy: Envoy, count: number): Promise<void> => {
  await waitFor(`${count} streams`, async () => (await envoy.gauge('downstream_rq_active')) === count);
};

/** `count` or more log lines of one level that begin with `test: `, from there to their place; in order. */
async function logged(envoy: Envoy, level: LogLevel, count: number): Promise<string[]> {
  return await waitFor(`${count} log lines`, () => {
    const own = envoy.logs().filter((entry) => entry.level === level);
    const texts = own.flatMap(({ message }) => /^test: ([^(]*)/.exec(message)?.[1]?.trim() ?? []);
    return texts.length >= count && texts;
  });
}

const names = (count: number, prefix = 'id'): string[] => Array.from({ length: count }, (_, i) => `${prefix}-${i}`);

describe('once', () => {
  test('calls once for 100 streams, which then go on under their own ids (F046)', async () => {
    await withSharing({ ttlMs: 0 }, async (envoy, side, client) => {
      const all = names(100);
      const answers = all.map(async (name) => (await ask(client, name)).text());
      const call = await side.call(0);
      await active(envoy, all.length);
      call.respond(200, [], 'value');
      expect(await Promise.all(answers)).toEqual(all.map((name) => `value /${name} /${name}`));
      expect(side.makers).toEqual(['/id-0']);
      expect(side.upstream.requests.flatMap(({ headers }) => headers.all('x-owner')).sort()).toEqual(
        all.map((name) => `/${name}`).sort(),
      );
      expect((await logged(envoy, 'warning', all.length)).sort()).toEqual(all.map((name) => `[${name}] has /${name} /${name}`).sort());
    });
  });

  test('leaves each stream its own wait_ms after the shared value (F046, F072)', async () => {
    await withSharing(
      { ttlMs: 0 },
      async (envoy, side, client) => {
        const all = [...names(20, 'never'), ...names(20)];
        const answers = all.map(async (name) => (await ask(client, name)).status);
        (await side.call(0)).respond(200, [], 'value');
        expect(await Promise.all(answers)).toEqual(all.map((name) => (name.startsWith('never') ? 504 : 200)));
        const late = (await logged(envoy, 'error', 20)).map((line) => line.replace(/:.*/s, ''));
        expect(late.sort()).toEqual(names(20, 'never').map((name) => `[${name}] E_WAIT_LIMIT`).sort());
      },
      { limits: { wait_ms: 2_000 } },
    );
  });

  test('hands the call to the next in line when its maker leaves, time after time (F046, F035)', async () => {
    await withSharing({ ttlMs: 0 }, async (envoy, side, client) => {
      const leavers = names(3, 'leaver').map((name) => client.open(`/${name}`, { headers: [['x-request-id', name]] }));
      await side.call(0);
      await active(envoy, leavers.length);
      const all = names(97);
      const answers = all.map(async (name) => (await ask(client, name)).text());
      await active(envoy, 100);
      for (const [index, leaver] of leavers.entries()) {
        const left = await side.call(index);
        leaver.close(8);
        await waitFor("the end of the maker's call", () => left.received.cancelled);
      }
      (await side.call(leavers.length)).respond(200, [], 'value');
      expect(await Promise.all(answers)).toEqual(all.map((name) => `value /${name} /${name}`));
      expect(side.makers).toEqual(['/leaver-0', '/leaver-1', '/leaver-2', '/id-0']);
      const ended = (await logged(envoy, 'warning', 100)).filter((line) => line.includes('caught'));
      expect(ended).toEqual([0, 1, 2].map((i) => `[leaver-${i}] caught AbortError E_ABORTED /leaver-${i}`));
    });
  });

  test('goes on undisturbed when one that waits leaves (F046, F035)', async () => {
    await withSharing({ ttlMs: 0 }, async (envoy, side, client) => {
      const maker = ask(client, 'maker');
      const call = await side.call(0);
      const leaver = client.open('/leaver', { headers: [['x-request-id', 'leaver']] });
      await active(envoy, 2);
      const last = ask(client, 'last');
      await active(envoy, 3);
      leaver.close(8);
      await active(envoy, 2);
      call.respond(200, [], 'value');
      expect((await maker).text()).toBe('value /maker /maker');
      expect((await last).text()).toBe('value /last /last');
      expect(side.makers).toEqual(['/maker']);
    });
  });

  test('hands the call on when its maker meets a limit, which fails the maker alone (F046, F072)', async () => {
    const source = `
      import { once } from "fairlead";
      export default { async onRequest(request) {
        const own = request.path;
        const value = await once("key", 0, async () => {
          const answer = await fetch("http://side/value", { headers: { "x-maker": own } });
          if (own === "/loops") for (;;);
          return answer.text();
        });
        return new Response(value + " " + own);
      } };`;
    await withSharing(
      {},
      async (envoy, side, client) => {
        const loops = ask(client, 'loops');
        const first = await side.call(0);
        const all = names(10);
        const answers = all.map(async (name) => (await ask(client, name)).text());
        await active(envoy, 11);
        first.respond(200, [], 'lost');
        expect((await loops).status).toBe(500);
        (await side.call(1)).respond(200, [], 'value');
        expect(await Promise.all(answers)).toEqual(all.map((name) => `value /${name}`));
        expect(side.makers).toEqual(['/loops', '/id-0']);
        const stopped = (await logged(envoy, 'error', 1)).map((line) => line.replace(/:.*/s, ''));
        expect(stopped).toEqual(['[loops] E_CPU_LIMIT']);
      },
      {},
      source,
    );
  });

  test('gives a failure to all that wait and keeps it for nobody (F046)', async () => {
    await withSharing({ ttlMs: 60_000, fail: true }, async (envoy, side, client) => {
      for (const [round, reason] of ['first', 'second'].entries()) {
        const answers = names(20).map(async (name) => await ask(client, name));
        const call = await side.call(round);
        await active(envoy, 20);
        call.respond(200, [], reason);
        for (const answer of await Promise.all(answers)) {
          expect([answer.status, answer.text()]).toEqual([599, reason]);
        }
      }
      expect(side.makers).toHaveLength(2);
    });
  });

  test('gives the failure of a call to all that wait, and the next one calls again (F046, F033)', async () => {
    await withSharing({ ttlMs: 60_000 }, async (envoy, side, client) => {
      const answers = names(20).map(async (name) => (await ask(client, name)).status);
      const call = await side.call(0);
      await active(envoy, 20);
      call.start(200, [['content-length', '100']]);
      call.reset();
      expect(await Promise.all(answers)).toEqual(names(20).map(() => 599));
      const codes = (await logged(envoy, 'warning', 20)).map((line) => /caught TypeError (\w+)/.exec(line)?.[1]);
      expect(new Set(codes)).toEqual(new Set(['E_FETCH_RESET']));
      const again = ask(client, 'again');
      (await side.call(1)).respond(200, [], 'value');
      expect((await again).text()).toBe('value /again /again');
    });
  });

  test('keeps a value while it is fresh, and calls again when it is stale (F046)', async () => {
    const ttlMs = 600;
    await withSharing({ ttlMs }, async (_, side, client) => {
      const first = ask(client, 'first');
      const call = await side.call(0);
      const givenMs = performance.now();
      call.respond(200, [], 'old');
      expect((await first).text()).toBe('old /first /first');
      const staleMs = performance.now() + ttlMs;
      let fresh = 0;
      for (;;) {
        const askedMs = performance.now();
        const next = ask(client, 'next');
        const made = await Promise.race([next, side.call(1).then(() => undefined)]);
        if (made === undefined) {
          // The value is never younger than the moment before it was given.
          expect(performance.now() - givenMs).toBeGreaterThanOrEqual(ttlMs);
          (await side.call(1)).respond(200, [], 'new');
          expect((await next).text()).toBe('new /next /next');
          break;
        }
        expect(made.text()).toBe('old /next /next');
        expect(askedMs).toBeLessThan(staleMs);
        fresh++;
      }
      expect(fresh).toBeGreaterThan(0);
      expect((await ask(client, 'last')).text()).toBe('new /last /last');
      expect(side.makers).toEqual(['/first', '/next']);
    });
  });

  test('keeps nothing for a time of 0 (F046)', async () => {
    await withSharing({ ttlMs: 0 }, async (_, side, client) => {
      for (const [round, value] of ['one', 'two'].entries()) {
        const answer = ask(client, value);
        (await side.call(round)).respond(200, [], value);
        expect((await answer).text()).toBe(`${value} /${value} /${value}`);
      }
      expect(side.makers).toEqual(['/one', '/two']);
    });
  });

  test('makes values of different keys at the same time (F046)', async () => {
    const source = sharing.replace('once("key"', 'once(own');
    await withSharing(
      { ttlMs: 0 },
      async (envoy, side, client) => {
        const all = names(3);
        const answers = all.map(async (name) => (await ask(client, name)).text());
        await side.call(2);
        await active(envoy, 3);
        for (const call of side.waiting) call.respond(200, [], call.received.headers.get('x-maker') ?? '');
        expect(await Promise.all(answers)).toEqual(all.map((name) => `/${name} /${name} /${name}`));
      },
      {},
      source,
    );
  });
});
