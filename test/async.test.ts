// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Waiting hooks, fetch and timers in a real Envoy with one worker.

import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  clusterRoute,
  directRoute,
  echo,
  envoyMinor,
  fairlead,
  hang,
  Http2Client,
  request,
  request2,
  reset,
  startRefusing,
  startUpstream,
  waitFor,
  withEnvoy,
  withUpstream,
  type ClusterTarget,
  type Echo,
  type Envoy,
  type Handler,
  type HeaderPair,
  type JsonObject,
  type Upstream,
} from './harness.ts';

let upstream: Upstream;
beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(async () => {
  await upstream.close();
});

/** Helpers that the scripts here share: outcomes of throwing calls and of promises, as data. */
const prelude = `
  import { sleep } from "fairlead";
  const told = (error) => ({ name: error?.name, code: error?.code });
  const outcome = async (promise) => { try { return { value: await promise }; } catch (error) { return told(error); } };
  const attempt = (action) => { try { return { value: action() }; } catch (error) { return told(error); } };`;

interface Setting {
  clusters?: Record<string, ClusterTarget>;
  config?: JsonObject;
  errorsExpected?: boolean;
}

/** Runs a filter that may reach all of `clusters`, in front of the echo upstream. */
async function withFilter<T>(source: string, setting: Setting, use: (envoy: Envoy) => Promise<T>): Promise<T> {
  const { clusters = {}, config = {}, errorsExpected = false } = setting;
  const names = Object.keys(clusters);
  const filter = fairlead({ inline: prelude + source, ...(names.length > 0 ? { clusters: names } : {}), ...config });
  return await withEnvoy({ filters: [filter], clusters: { upstream, ...clusters }, errorsExpected }, use);
}

/** What the body of an async `onRequest` evaluates to. */
async function evaluate<T>(body: string, setting: Setting = {}): Promise<T> {
  const source = `export default { async onRequest(request, ctx) { return Response.json(await (async () => { ${body} })()); } };`;
  return await withFilter(source, setting, async (envoy) => (await request(envoy)).json<T>());
}

/** Answers after as many milliseconds as the path says: `/100`. */
const slow: Handler = async (exchange) => {
  await delay(Number(exchange.received.path.slice(1)));
  exchange.respond(200, [], exchange.received.path);
};

describe('a waiting hook', () => {
  test('holds its stream and not the worker: 100 waits of 200 ms take less than 400 ms (F029)', async () => {
    const source = `export default {
      async onRequest(request) { if (request.path !== "/quick") { await sleep(200); return new Response(request.path); } },
    };`;
    await withFilter(source, {}, async (envoy) => {
      await request(envoy, '/quick');
      const client = await Http2Client.connect(envoy);
      const startMs = performance.now();
      const waiting = Array.from({ length: 100 }, async (_, i) => await client.request(`/${i}`));
      const quick = await request(envoy, '/quick');
      const quickMs = performance.now() - startMs;
      const answers = await Promise.all(waiting);
      const elapsedMs = performance.now() - startMs;
      expect(answers.map((answer) => answer.text())).toEqual(answers.map((_, i) => `/${i}`));
      expect(quick.status).toBe(200);
      expect(quickMs).toBeLessThan(190);
      expect(elapsedMs).toBeGreaterThanOrEqual(199);
      expect(elapsedMs).toBeLessThan(400);
      await client.close();
    });
  });

  test('may wait in either direction, on anything that settles (F029)', async () => {
    const source = `
      const deferred = Promise.withResolvers();
      export default {
        async onRequest(request) {
          await null;
          await sleep(1);
          await new Promise((resolve) => setTimeout(resolve, 1));
          await { then: (resolve) => resolve() };
          for await (const value of [1, sleep(1)]) void value;
          request.headers.set("x-waited", "request");
        },
        async onResponse(response) {
          await Promise.all([sleep(1), sleep(2)]);
          response.headers.set("x-waited", "response");
        },
      };`;
    await withFilter(source, {}, async (envoy) => {
      for (const answer of [await request(envoy, '/', { body: '12345' }), await request2(envoy)]) {
        expect(answer.json<Echo>().headers).toContainEqual(['x-waited', 'request']);
        expect(answer.headers.get('x-waited')).toBe('response');
      }
    });
  });

  test('keeps state and handles of its own stream across waits (F046)', async () => {
    const source = `export default {
      async onRequest(request, ctx) {
        ctx.state.path = request.path;
        await sleep(Math.random() * 30);
        request.headers.set("x-state", ctx.state.path);
      },
      async onResponse(response, ctx) {
        await sleep(Math.random() * 30);
        response.headers.set("x-state", ctx.state.path + " " + ctx.request.path);
      },
      onLog(ctx) { if (ctx.state.path !== ctx.request.path) console.error("another stream's state"); },
    };`;
    await withFilter(source, {}, async (envoy) => {
      const client = await Http2Client.connect(envoy);
      const answers = await Promise.all(Array.from({ length: 1_000 }, async (_, i) => await client.request(`/${i}`)));
      answers.forEach((answer, i) => {
        expect(answer.json<Echo>().headers).toContainEqual(['x-state', `/${i}`]);
        expect(answer.headers.get('x-state')).toBe(`/${i} /${i}`);
      });
      await client.close();
    });
  });

  test('that shares a promise with other streams goes on under its own stream (F046)', async () => {
    const source = `
      let shared;
      export default {
        async onRequest(request, ctx) {
          const own = request.path;
          shared ??= fetch("http://side/100");
          const first = await shared;
          const second = await fetch("http://side/1", { headers: { "x-owner": own } });
          await sleep(1);
          console.warn("owner", own, request.path);
          request.headers.set("x-owner", own + " " + ctx.request.path + " " + first.status + second.status);
        },
      };`;
    await withUpstream({ handler: slow }, async (side) => {
      await withFilter(source, { clusters: { side } }, async (envoy) => {
        const client = await Http2Client.connect(envoy);
        const paths = Array.from({ length: 100 }, (_, i) => `/${i}`);
        const answers = await Promise.all(paths.map(async (path) => await client.request(path)));
        answers.forEach((answer, i) => {
          expect(answer.json<Echo>().headers).toContainEqual(['x-owner', `/${i} /${i} 200200`]);
        });
        const owners = side.requests.flatMap(({ headers }) => headers.all('x-owner'));
        expect(owners.sort()).toEqual([...paths].sort());
        await client.close();
      });
    });
  });
});

describe('fetch', () => {
  test('reaches an allowed cluster with each method and kind of body (F030, W09)', async () => {
    await withUpstream({}, async (side) => {
      const seen = await evaluate<Record<string, Echo>>(
        `const ask = async (path, init) => (await fetch("http://side" + path, init)).json();
         const result = {};
         for (const method of ["GET", "DELETE", "OPTIONS", "post", "PATCH", "PUT", "REPORT"]) {
           result[method] = await ask("/" + method + "?a=b%20c#fragment", { method });
         }
         const bodies = {
           string: "h\\u00e9", bytes: new Uint8Array([0, 255, 10]), buffer: new Uint8Array([1, 2]).buffer,
           view: new Uint16Array([1, 2, 3]).subarray(1), params: new URLSearchParams({ a: "b c" }), empty: "",
         };
         for (const [kind, body] of Object.entries(bodies)) result[kind] = await ask("/", { method: "POST", body });
         result.request = await ask("/", undefined);
         const made = new Request("http://side/made", { method: "PUT", body: "x", headers: { "x-a": "b" } });
         result.object = await (await fetch(made)).json();
         result.url = await (await fetch(new URL("http://side/by-url"))).json();
         return result;`,
        { clusters: { side } },
      );
      for (const method of ['GET', 'DELETE', 'OPTIONS', 'PATCH', 'PUT', 'REPORT']) {
        expect(seen[method]).toMatchObject({ method, path: `/${method}?a=b%20c`, bodyLength: 0 });
      }
      expect(seen['post']).toMatchObject({ method: 'POST' });
      const lengths = { string: 3, bytes: 3, buffer: 2, view: 4, params: 5, empty: 0 };
      for (const [kind, bodyLength] of Object.entries(lengths)) {
        expect([kind, seen[kind]?.bodyLength, seen[kind]?.method]).toEqual([kind, bodyLength, 'POST']);
      }
      const type = (kind: string): string | undefined =>
        seen[kind]?.headers.find(([name]) => name === 'content-type')?.[1]?.toLowerCase();
      expect(type('string')).toBe('text/plain;charset=utf-8');
      expect(type('params')).toBe('application/x-www-form-urlencoded;charset=utf-8');
      expect(type('bytes')).toBeUndefined();
      expect(seen['object']).toMatchObject({ method: 'PUT', path: '/made', bodyLength: 1 });
      expect(seen['object']?.headers).toContainEqual(['x-a', 'b']);
      expect(seen['url']).toMatchObject({ path: '/by-url' });
      expect(side.requests.map(({ headers }) => headers.get('host'))).toEqual(side.requests.map(() => 'side'));
    });
  });

  test('sends no header that the script did not set, but those of the hop (F030)', async () => {
    await withUpstream({}, async (side) => {
      await evaluate(`return (await fetch("http://side/")).status;`, { clusters: { side } });
      const names = side.requests[0]?.headers.pairs.map(([name]) => name.toLowerCase()) ?? [];
      const hop = /^(host|x-forwarded-|x-envoy-|x-request-id|transfer-encoding|content-length|traceparent)/;
      expect(names.filter((name) => !hop.test(name))).toEqual([]);
    });
  });

  test('lets go of an answer that Envoy makes itself when the request goes on (F029, F021)', async () => {
    const source = `import { sleep } from "fairlead"; export default {
      async onRequest() { await sleep(5); },
      async onResponse(response) { await sleep(5); response.headers.set("x-seen", String(response.status)); } };`;
    const routes = [directRoute('/direct', 203, 'of the route'), clusterRoute('/', 'empty')];
    await withEnvoy({ filters: [fairlead({ inline: source })], clusters: { empty: {} }, routes }, async (envoy) => {
      for (const [path, status, text] of [
        ['/direct', 203, 'of the route'],
        ['/', 503, 'no healthy upstream'],
      ] as const) {
        const answer = await request(envoy, path);
        expect([answer.status, answer.headers.get('x-seen'), answer.text()]).toEqual([status, String(status), text]);
      }
    });
  });

  test('never leaves a client without an end when a chunk hook holds such an answer (F012)', async () => {
    const source = `import { sleep } from "fairlead"; export default {
      async onRequest() { await sleep(5); }, async onResponseChunk(chunk) { await sleep(5); return chunk.text().toUpperCase(); } };`;
    await withEnvoy({ filters: [fairlead({ inline: source })], routes: [directRoute('/', 200, 'of the route')] }, async (envoy) => {
      const told = await request(envoy).then(
        (answer) => answer.text(),
        () => 'reset',
      );
      // Before 1.39 Envoy cannot continue it.
      expect(told).toBe(envoyMinor < 39 ? 'reset' : 'OF THE ROUTE');
    });
  });

  test("strips what belongs to the first hop when a script passes its request's headers on", async () => {
    const source = `export default {
      async onRequest(request) {
        const answer = await fetch("http://side/", { method: "POST", headers: request.headers, body: "abc" });
        return Response.json(await answer.json());
      },
    };`;
    await withUpstream({}, async (side) => {
      await withFilter(source, { clusters: { side } }, async (envoy) => {
        const headers: HeaderPair[] = [
          ['host', 'front.example'],
          ['x-keep', '1'],
          ['te', 'gzip'],
          ['cookie', 'a=b'],
        ];
        const seen = (await request(envoy, '/', { headers, body: '1234567890' })).json<Echo>();
        const all = Object.fromEntries(seen.headers);
        expect(seen).toMatchObject({ bodyLength: 3 });
        expect(all).toMatchObject({ host: 'side', 'x-keep': '1', cookie: 'a=b' });
        expect(all['te']).toBeUndefined();
        expect(all['content-length'] ?? '3').toBe('3');
      });
    });
  });

  test('gives a Response of the Web: status, headers, text, json, bytes, once (F030, W08)', async () => {
    const handler: Handler = (exchange) =>
      exchange.respond(
        Number(exchange.received.path.slice(1)),
        [
          ['set-cookie', 'a=1'],
          ['set-cookie', 'b=2'],
          ['x-a', '1'],
          ['content-type', 'application/json'],
        ],
        '{"a":"\u00e9"}',
      );
    await withUpstream({ handler }, async (side) => {
      const seen = await evaluate<Record<string, unknown>>(
        `const get = (status = 200) => fetch("http://side/" + status);
         const first = await get();
         const json = await first.json();
         const bytes = await (await get()).bytes();
         return {
           json, used: first.bodyUsed, again: await outcome(first.text()),
           text: await (await get()).text(), bytes: [bytes instanceof Uint8Array, bytes.length],
           buffer: (await (await get()).arrayBuffer()).byteLength,
           good: [first instanceof Response, first.ok, first.status, first.url, first.redirected, first.type],
           bad: [(await get(404)).ok, (await get(500)).status],
           cookies: first.headers.getSetCookie(), header: first.headers.get("X-A"),
           immutable: attempt(() => first.headers.set("x-a", "2")),
         };`,
        { clusters: { side } },
      );
      expect(seen).toEqual({
        json: { a: '\u00e9' },
        used: true,
        again: { name: 'TypeError', code: 'E_BODY_USED' },
        text: '{"a":"\u00e9"}',
        bytes: [true, 10],
        buffer: 10,
        good: [true, true, 200, 'http://side/200', false, 'basic'],
        bad: [false, 500],
        cookies: ['a=1', 'b=2'],
        header: '1',
        immutable: { name: 'TypeError', code: 'E_IMMUTABLE' },
      });
    });
  });

  test('maps hosts to clusters when the config says so, and sends the host as authority (F030, F080)', async () => {
    await withUpstream({}, async (side) => {
      const source = `export default { async onRequest() {
        const answers = await Promise.all(["http://idp.example.com/a", "https://IDP.example.com:8443/b"].map((url) => fetch(url)));
        return Response.json({
          hosts: (await Promise.all(answers.map((a) => a.json()))).map((e) => e.headers.find(([n]) => n === "host")[1]),
          clusterName: await outcome(fetch("http://outbound/")),
        });
      } };`;
      const filter = fairlead({ inline: prelude + source, clusters: { 'idp.example.com': 'outbound|443||idp' } });
      const clusters = { upstream, 'outbound|443||idp': side };
      await withEnvoy({ filters: [filter], clusters }, async (envoy) => {
        expect((await request(envoy)).json()).toEqual({
          hosts: ['idp.example.com', 'idp.example.com:8443'],
          clusterName: { name: 'TypeError', code: 'E_FETCH_CLUSTER_NOT_ALLOWED' },
        });
      });
    });
  });

  test('works before, between and after other actions, in both hooks, in every order (F034)', async () => {
    const steps: Record<string, string> = {
      fetch: `ctx.state.got = await (await fetch("http://side/x")).text();`,
      header: `message.headers.set("x-set", "1");`,
      wait: `await sleep(1);`,
    };
    const orders = [
      ['fetch', 'header', 'wait'],
      ['fetch', 'wait', 'header'],
      ['header', 'fetch', 'wait'],
      ['header', 'wait', 'fetch'],
      ['wait', 'fetch', 'header'],
      ['wait', 'header', 'fetch'],
    ];
    const body = (order: readonly string[]): string => order.map((name) => steps[name]).join('\n');
    await withUpstream({ handler: (exchange) => exchange.respond(200, [], 'side') }, async (side) => {
      for (const order of orders) {
        for (const hook of ['onRequest', 'onResponse']) {
          for (const reply of ['', `return new Response(ctx.state.got, { status: 418 });`]) {
            const source = `export default { async ${hook}(message, ctx) { ${body(order)} ${reply} } };`;
            await withFilter(source, { clusters: { side } }, async (envoy) => {
              const answer = await request(envoy, '/', { body: '12345' });
              if (reply !== '') {
                expect([answer.status, answer.text()]).toEqual([418, 'side']);
              } else if (hook === 'onRequest') {
                expect(answer.json<Echo>()).toMatchObject({ bodyLength: 5 });
                expect(answer.json<Echo>().headers).toContainEqual(['x-set', '1']);
              } else {
                expect(answer.headers.get('x-set')).toBe('1');
              }
            });
          }
        }
      }
    });
  });

  test('runs in parallel: three calls of 100 ms take less than 150 ms (F031)', async () => {
    await withUpstream({ handler: slow }, async (side) => {
      const source = `export default { async onRequest() {
        const all = await Promise.all([100, 100, 100].map(async (ms) => (await fetch("http://side/" + ms)).text()));
        const any = await (await Promise.any([Promise.reject(1), fetch("http://side/1"), fetch("http://side/50")])).text();
        const settled = await Promise.allSettled([fetch("http://side/1"), fetch("http://elsewhere/")]);
        const startMs = Date.now();
        await Promise.all([100, 100, 100].map((ms) => fetch("http://side/" + ms)));
        return Response.json({ all, any, settled: settled.map((s) => s.status), elapsedMs: Date.now() - startMs });
      } };`;
      await withFilter(source, { clusters: { side } }, async (envoy) => {
        const seen = (await request(envoy)).json<Record<string, unknown>>();
        expect(seen).toMatchObject({ all: ['/100', '/100', '/100'], any: '/1', settled: ['fulfilled', 'rejected'] });
        expect(seen['elapsedMs']).toBeGreaterThanOrEqual(95);
        expect(seen['elapsedMs']).toBeLessThan(150);
      });
    });
  });

  test('cancels the loser of a race when told to, and the upstream sees it (F031, F032)', async () => {
    await withUpstream({ handler: (x) => (x.received.path === '/hang' ? undefined : echo(x)) }, async (side) => {
      const seen = await evaluate<unknown>(
        `const controller = new AbortController();
         const loser = fetch("http://side/hang", { signal: controller.signal });
         const winner = await Promise.race([loser, fetch("http://side/quick")]);
         controller.abort();
         const custom = new AbortController();
         custom.abort(new RangeError("mine"));
         return {
           winner: winner.status, loser: await outcome(loser),
           before: await outcome(fetch("http://side/never", { signal: custom.signal })),
           timed: await outcome(fetch("http://side/hang", { signal: AbortSignal.timeout(20) })),
         };`,
        { clusters: { side } },
      );
      expect(seen).toEqual({
        winner: 200,
        loser: { name: 'AbortError', code: 20 },
        before: { name: 'RangeError' },
        timed: { name: 'TimeoutError', code: 23 },
      });
      await waitFor(
        'both hanging calls to be cancelled',
        () => side.requests.filter(({ cancelled }) => cancelled).length === 2,
      );
      expect(side.requests.map(({ path }) => path)).not.toContain('/never');
    });
  });

  test('gives up after timeoutMs, and the upstream sees the reset (F032)', async () => {
    await withUpstream({ handler: hang }, async (side) => {
      const source = `export default { async onRequest() {
        const startMs = Date.now();
        const result = await outcome(fetch("http://side/", { timeoutMs: 50 }));
        return Response.json({ result, elapsedMs: Date.now() - startMs });
      } };`;
      await withFilter(source, { clusters: { side } }, async (envoy) => {
        const seen = (await request(envoy)).json<Record<string, unknown>>();
        expect(seen['result']).toEqual({ name: 'TimeoutError', code: 'E_FETCH_TIMEOUT' });
        expect(seen['elapsedMs']).toBeGreaterThanOrEqual(49);
        expect(seen['elapsedMs']).toBeLessThan(80);
        await side.arrived(({ cancelled }) => cancelled);
        const active = 'cluster.side.upstream_rq_active';
        await waitFor('the call to be let go', async () => (await envoy.stats(active))[active] === 0);
      });
    });
  });

  test('without timeoutMs may take what is left of wait_ms, not longer', async () => {
    await withUpstream({ handler: hang }, async (side) => {
      const source = `export default { async onRequest() {
        await sleep(50);
        const result = await outcome(fetch("http://side/"));
        return Response.json(result);
      } };`;
      const setting = { clusters: { side }, config: { limits: { wait_ms: 150 } }, errorsExpected: true };
      await withFilter(source, setting, async (envoy) => {
        const startMs = performance.now();
        const answer = await request(envoy);
        expect(performance.now() - startMs).toBeLessThan(250);
        // Either the call's limit or the stream's is first; both answer, and the call is gone.
        if (answer.status === 200) expect(answer.json()).toEqual({ name: 'TimeoutError', code: 'E_FETCH_TIMEOUT' });
        else expect(answer.status).toBe(504);
        await side.arrived(({ cancelled }) => cancelled);
      });
    });
  });

  test("says what went wrong, and gives Envoy's own 503 as a Response (F033, R09, R24)", async () => {
    const refusing = await startRefusing();
    const resetting = await startUpstream({ handler: reset });
    const cutting = await startUpstream({
      handler: async (exchange) => {
        exchange.start(200, [['content-length', '100']]);
        await exchange.write('half');
        exchange.reset();
      },
    });
    const large = await startUpstream();
    try {
      const clusters = { refusing, resetting, cutting, large, hostless: {} };
      const source = `export default { async onRequest() {
        const ask = (url, init) => outcome((async () => {
          const answer = await fetch(url, init);
          return [answer.status, (await answer.bytes()).length];
        })());
        return Response.json({
          notAllowed: await ask("http://elsewhere/"), unknown: await ask("http://ghost/"), hostless: await ask("http://hostless/"),
          refused: await ask("http://refusing/"), reset: await ask("http://resetting/"), cut: await ask("http://cutting/"),
          fits: await ask("http://large/?bytes=1048576"), tooLarge: await ask("http://large/?bytes=1048577"),
          tooLargeChunked: await ask("http://large/?bytes=2000000&chunked"),
          badUrl: await ask("not a url"), badMethod: await ask("http://large/", { method: "A B" }),
          badHeader: await ask("http://large/", { headers: { "x-a": "a\\r\\nb: c" } }),
          bodyOnGet: await ask("http://large/", { method: "GET", body: "x" }),
          credentials: await ask("http://user:secret@large/"),
          scheme: await ask("ftp://large/"),
          unknownOption: await ask("http://large/", { timeout_ms: 5 }),
          badTimeout: await ask("http://large/", { timeoutMs: -1 }),
        });
      } };`;
      const names = [...Object.keys(clusters), 'ghost'];
      const filter = fairlead({ inline: prelude + source, clusters: names });
      await withEnvoy({ filters: [filter], clusters: { upstream, ...clusters } }, async (envoy) => {
        const seen = (await request(envoy)).json<Record<string, unknown>>();
        const typeError = (code: string): unknown => ({ name: 'TypeError', code });
        expect(seen['notAllowed']).toEqual(typeError('E_FETCH_CLUSTER_NOT_ALLOWED'));
        expect(seen['unknown']).toEqual(typeError('E_FETCH_CLUSTER_UNKNOWN'));
        expect(seen['hostless']).toEqual(typeError('E_FETCH_NO_HOST'));
        expect(seen['refused']).toMatchObject({ value: [503, expect.any(Number)] });
        expect(seen['reset']).toMatchObject({ value: [503, expect.any(Number)] });
        expect(seen['cut']).toEqual(typeError('E_FETCH_RESET'));
        expect(seen['fits']).toEqual({ value: [200, 1_048_576] });
        expect(seen['tooLarge']).toEqual({ name: 'RangeError', code: 'E_BODY_LIMIT' });
        expect(seen['tooLargeChunked']).toEqual({ name: 'RangeError', code: 'E_BODY_LIMIT' });
        expect(seen['badUrl']).toEqual(typeError('E_URL'));
        expect(seen['badMethod']).toEqual(typeError('E_METHOD'));
        expect(seen['badHeader']).toEqual(typeError('E_HEADER_VALUE'));
        for (const key of ['bodyOnGet', 'credentials', 'scheme', 'badTimeout']) {
          expect([key, seen[key]]).toEqual([
            key,
            expect.objectContaining({ code: expect.stringMatching(/^E_/) as string }),
          ]);
        }
        // The standard ignores members it does not know.
        expect(seen['unknownOption']).toMatchObject({ value: [200, expect.any(Number)] });
        expect(large.requests.every(({ headers }) => !headers.has('b'))).toBe(true);
      });
    } finally {
      await Promise.all([refusing.close(), resetting.close(), cutting.close(), large.close()]);
    }
  });

  test('reaches nothing without a list of clusters (F080)', async () => {
    const seen = await evaluate<unknown>(
      `return [await outcome(fetch("http://upstream/")), await outcome(fetch("http://" + ["up", "stream"].join("")))];`,
    );
    const refused = { name: 'TypeError', code: 'E_FETCH_CLUSTER_NOT_ALLOWED' };
    expect(seen).toEqual([refused, refused]);
  });

  test('has a cap on calls in flight and in all (F072, H106)', async () => {
    await withUpstream({ handler: slow }, async (side) => {
      const seen = await evaluate<Record<string, unknown>>(
        `const many = await Promise.all(Array.from({ length: 6 }, () => outcome(fetch("http://side/20"))));
         let total = many.filter((o) => "value" in o).length;
         let last;
         for (;;) { last = await outcome(fetch("http://side/1")); if (!("value" in last)) break; total++; }
         return { flight: many.map((o) => o.code ?? "ok"), total, last };`,
        { clusters: { side }, config: { limits: { fetches: 4 } } },
      );
      expect(seen).toEqual({
        flight: ['ok', 'ok', 'ok', 'ok', 'E_FETCH_LIMIT', 'E_FETCH_LIMIT'],
        total: 40,
        last: { name: 'RangeError', code: 'E_FETCH_LIMIT' },
      });
      expect(side.requests).toHaveLength(40);
    });
  });

  test('is not to be returned as it is: the error says to go on instead', async () => {
    await withUpstream({}, async (side) => {
      const source = `export default { onRequest() { return fetch("http://side/"); } };`;
      await withFilter(source, { clusters: { side }, errorsExpected: true }, async (envoy) => {
        expect(await request(envoy)).toMatchObject({ status: 500 });
        expect(await envoy.log.fault()).toMatchObject({ code: 'E_RETURN_FETCHED' });
      });
    });
  });

  test('follows redirects to allowed clusters only, at most five times (W09)', async () => {
    const handler: Handler = (exchange) => {
      const { path } = exchange.received;
      const hops = Number(/^\/hop(\d+)$/.exec(path)?.[1] ?? 0);
      if (path === '/away') exchange.respond(302, [['location', 'http://elsewhere/x']]);
      else if (hops > 0) exchange.respond(307, [['location', `/hop${hops - 1}`]]);
      else exchange.respond(200, [], exchange.received.headers.has('authorization') ? 'with' : 'without');
    };
    await withUpstream({ handler }, async (side) => {
      await withUpstream({ handler: (x) => x.respond(302, [['location', 'http://side/hop0']]) }, async (other) => {
        const seen = await evaluate<Record<string, unknown>>(
          `const headers = { authorization: "secret" };
           const text = async (url, init) => {
             const answer = await fetch(url, { headers, ...init });
             return [answer.status, answer.redirected, answer.url, await answer.text()];
           };
           return {
             five: await text("http://side/hop5"), six: await outcome(text("http://side/hop6")),
             away: await outcome(text("http://side/away")),
             manual: (await text("http://side/hop2", { redirect: "manual" })).slice(0, 2),
             error: await outcome(text("http://side/hop1", { redirect: "error" })), cross: await text("http://other/"),
           };`,
          { clusters: { side, other } },
        );
        expect(seen['five']).toEqual([200, true, 'http://side/hop0', 'with']);
        expect(seen['six']).toEqual({ name: 'TypeError', code: 'E_FETCH_REDIRECT' });
        expect(seen['away']).toEqual({ name: 'TypeError', code: 'E_FETCH_CLUSTER_NOT_ALLOWED' });
        expect(seen['manual']).toEqual([307, false]);
        expect(seen['error']).toEqual({ name: 'TypeError', code: 'E_FETCH_REDIRECT' });
        expect(seen['cross']).toEqual([200, true, 'http://side/hop0', 'without']);
      });
    });
  });

  test('and timers belong to streams: the top level cannot use them', async () => {
    const source = `
      const early = [
        attempt(() => setTimeout(() => {}, 1)),
        await outcome((async () => fetch("http://side/"))()),
        await outcome((async () => sleep(1))()),
      ];
      export default { onRequest() { return Response.json(early); } };`;
    await withUpstream({}, async (side) => {
      await withFilter(source, { clusters: { side } }, async (envoy) => {
        const seen = (await request(envoy)).json<{ code: string }[]>();
        expect(seen.map(({ code }) => code)).toEqual(['E_NO_STREAM', 'E_NO_STREAM', 'E_NO_STREAM']);
        expect(side.requests).toHaveLength(0);
      });
    });
  });
});

describe('a client that leaves', () => {
  const fiveSteps = `
    const counts = { started: 0, finished: 0, aborted: 0, errors: {}, signals: 0, readable: 0 };
    export default {
      async onRequest(request, ctx) {
        if (request.path === "/counts") return Response.json(counts);
        counts.started++;
        const at = Number(request.headers.get("x-step"));
        ctx.signal.addEventListener("abort", () => { counts.signals++; });
        try {
          for (let step = 0; step < 5; step++) {
            await (step === at ? (step % 2 ? sleep(60_000) : fetch("http://side/hang")) : sleep(1));
          }
        } catch (error) {
          const what = error.name;
          counts.errors[what] = (counts.errors[what] ?? 0) + 1;
          if (ctx.signal.aborted) counts.aborted++;
          throw error;
        } finally {
          counts.finished++;
          if (request.headers.get("x-step") === String(at)) counts.readable++;
        }
      },
    };`;

  test('at each await of a filter: pending promises reject once and finally runs (F035, R08, H601)', async () => {
    await withUpstream({ handler: hang }, async (side) => {
      await withFilter(fiveSteps, { clusters: { side } }, async (envoy) => {
        const total = 50;
        const client = await Http2Client.connect(envoy);
        const streams = Array.from({ length: total }, (_, i) => {
          const stream = client.open('/wait', { headers: [['x-step', String(i % 5)]] });
          stream.on('error', () => undefined);
          return stream;
        });
        await waitFor('all streams to be held', async () => (await envoy.gauge('downstream_rq_active')) === total);
        // Even steps wait for a call: 0, 2, 4.
        await side.arrived((total / 5) * 3);
        for (const stream of streams) stream.close(8);
        await envoy.idle();
        const counts = (await client.request('/counts')).json<Record<string, unknown>>();
        expect(counts).toEqual({
          started: total,
          finished: total,
          aborted: total,
          errors: { AbortError: total },
          signals: total,
          readable: total,
        });
        await waitFor('the calls to be cancelled', () => side.requests.every(({ cancelled }) => cancelled));
        await client.close();
      });
    });
  });

  test("ends the response hook's wait as well, and onLog runs after it (F035)", async () => {
    const source = `
      const seen = [];
      export default {
        onRequest(request) { if (request.path === "/seen") return Response.json(seen); },
        async onResponse(response, ctx) {
          if (ctx.request.path !== "/wait") return;
          try { await sleep(60_000); } finally { seen.push("finally " + response.status); }
        },
        onLog(ctx) { if (ctx.request.path === "/wait") seen.push("log"); },
      };`;
    await withFilter(source, {}, async (envoy) => {
      const leave = new AbortController();
      const pending = request(envoy, '/wait', { signal: leave.signal });
      await upstream.arrived(({ path, end }) => path === '/wait' && end === 'complete');
      await waitFor(
        'the answer to be held',
        async () =>
          (await envoy.stats('cluster.upstream.upstream_rq_completed'))['cluster.upstream.upstream_rq_completed'] === 1,
      );
      leave.abort();
      await expect(pending).rejects.toThrow('abort');
      await envoy.idle();
      expect((await request(envoy, '/seen')).json()).toEqual(['finally 200', 'log']);
    });
  });

  test('costs no CPU even when its script retries for ever (F035)', async () => {
    const source = `
      let rounds = 0;
      export default {
        async onRequest(request) {
          if (request.path === "/rounds") return new Response(String(rounds));
          for (;;) { rounds++; try { await fetch("http://side/hang"); } catch { await sleep(1); } }
        },
      };`;
    await withUpstream({ handler: hang }, async (side) => {
      await withFilter(source, { clusters: { side } }, async (envoy) => {
        const leave = new AbortController();
        const pending = request(envoy, '/', { signal: leave.signal });
        await side.arrived(1);
        leave.abort();
        await expect(pending).rejects.toThrow('abort');
        await envoy.idle();
        const rounds = async (): Promise<string> => (await request(envoy, '/rounds')).text();
        const before = await rounds();
        const ticks = await cpuTicks(envoy.pid);
        // A spinning script would use the whole of this time.
        await delay(300);
        expect(await rounds()).toBe(before);
        expect(side.requests).toHaveLength(1);
        expect((await cpuTicks(envoy.pid)) - ticks).toBeLessThan(10);
      });
    });
  });

  test('leaves calls with keepalive behind, each once, from hooks and from onLog (F040)', async () => {
    const source = `
      const audit = (body) => fetch("http://side/audit", { method: "POST", body, keepalive: true });
      export default {
        async onRequest() { await audit("came"); await sleep(10000); },
        onLog() { audit("left"); },
      };`;
    const answers: (() => void)[] = [];
    const bodies: string[] = [];
    const late: Handler = async (exchange) => {
      bodies.push((await exchange.whole).body.toString());
      await new Promise<void>((resolve) => answers.push(resolve));
      exchange.respond(200, [], 'thanks');
    };
    await withUpstream({ handler: late }, async (side) => {
      await withFilter(source, { clusters: { side } }, async (envoy) => {
        const leave = new AbortController();
        const pending = request(envoy, '/', { signal: leave.signal });
        await side.arrived(1);
        leave.abort();
        await expect(pending).rejects.toThrow('abort');
        await envoy.idle();
        await side.arrived(2);
        await waitFor('their bodies', () => bodies.length === 2);
        expect(bodies.sort()).toEqual(['came', 'left']);
        for (const answer of answers) answer();
        await waitFor('the calls to end', async () => (await envoy.stats('cluster.side.'))['cluster.side.upstream_rq_active'] === 0);
        expect((await envoy.stats('cluster.side.'))['cluster.side.upstream_rq_200']).toBe(2);
      });
    });
  });

  test('has as many calls with keepalive in flight as its config allows, of all workers, and no more (F040)', async () => {
    const source = `export default { async onRequest(request) {
      return Response.json(await outcome(fetch("http://side/", { keepalive: true }).then((answer) => answer.status)));
    } };`;
    await withUpstream({ handler: hang }, async (side) => {
      await withFilter(source, { clusters: { side }, config: { limits: { keepalives: 2 } }, errorsExpected: true }, async (envoy) => {
        const ask = async (): Promise<unknown> => (await request(envoy)).json();
        expect(await ask()).toEqual({ value: 202 });
        expect(await ask()).toEqual({ value: 202 });
        expect(await ask()).toEqual({ name: 'RangeError', code: 'E_FETCH_KEEPALIVE_LIMIT' });
        await side.arrived(2);
      });
    });
  });

  test('logs and counts a call with keepalive that fails (F040, F088)', async () => {
    const source = 'export default { onLog() { fetch("http://closed/", { keepalive: true }); } };';
    const closed = await startRefusing();
    try {
      await withFilter(source, { clusters: { closed }, errorsExpected: true }, async (envoy) => {
        await request(envoy);
        expect(await envoy.log.fault()).toMatchObject({ code: 'E_KEEPALIVE_FAILED' });
      });
    } finally {
      await closed.close();
    }
  });

  test('leaves handles that say so when they are used later (F081, R07)', async () => {
    const source = `
      let kept;
      const use = (action) => { try { return String(action()); } catch (error) { return error.name + " " + error.code; } };
      export default {
        onRequest(request, ctx) {
          if (kept === undefined) {
            kept = { request, headers: request.headers, ctx, iterator: request.headers.entries() };
            return;
          }
          return Response.json({
            get: use(() => kept.headers.get("x-secret")), set: use(() => kept.headers.set("x-a", "b")),
            iterate: use(() => [...kept.headers].length), next: use(() => kept.iterator.next().value),
            path: use(() => kept.request.path), setPath: use(() => { kept.request.path = "/x"; }),
            url: use(() => kept.request.url), request: use(() => kept.ctx.request), response: use(() => kept.ctx.response),
          });
        },
      };`;
    await withFilter(source, {}, async (envoy) => {
      await request(envoy, '/first', { headers: [['x-secret', 'hidden']] });
      await envoy.idle();
      const answer = await request(envoy, '/second', { headers: [['x-secret', 'other']] });
      const seen = answer.json<Record<string, string>>();
      const members = ['get', 'set', 'iterate', 'next', 'path', 'setPath', 'url'];
      expect(members.map((key) => [key, seen[key]])).toEqual(members.map((key) => [key, 'TypeError E_DEAD_HANDLE']));
      for (const key of ['request', 'response']) expect(seen[key]).not.toMatch(/first|hidden|object Request/);
      expect(answer.text()).not.toContain('hidden');
    });
  });

  test('leaves 200 kinds of kept handle, each of them a typed error in the next stream (F081, R05)', async () => {
    // Twenty things to do with a handle, each through ten ways to have kept it.
    const source = `
      const uses = {
        get: (h) => h.headers.get("x-secret"), has: (h) => h.headers.has("x-secret"), cookies: (h) => h.headers.getSetCookie(),
        set: (h) => h.headers.set("x-a", "b"), append: (h) => h.headers.append("x-a", "b"), remove: (h) => h.headers.delete("x-a"),
        keys: (h) => [...h.headers.keys()], values: (h) => [...h.headers.values()], entries: (h) => [...h.headers.entries()],
        spread: (h) => [...h.headers], each: (h) => h.headers.forEach(() => {}), copy: (h) => new Headers(h.headers),
        path: (h) => h.request.path, method: (h) => h.request.method, host: (h) => h.request.host, scheme: (h) => h.request.scheme,
        url: (h) => h.request.url, write: (h) => { h.request.path = "/x"; }, state: (h) => h.ctx.state, config: (h) => h.ctx.config,
      };
      class Holder { #kept; constructor(kept) { this.#kept = kept; } get kept() { return this.#kept; } }
      const key = {};
      const ways = {
        variable: (h) => () => h, array: (h) => { const a = [h]; return () => a[0]; },
        map: (h) => { const m = new Map([[1, h]]); return () => m.get(1); },
        set: (h) => { const s = new Set([h]); return () => [...s][0]; },
        weakMap: (h) => { const w = new WeakMap([[key, h]]); return () => w.get(key); },
        private: (h) => { const own = new Holder(h); return () => own.kept; },
        symbol: (h) => { const s = Symbol(); const o = { [s]: h }; return () => o[s]; },
        bound: (h) => (function () { return this; }).bind(h), generator: (h) => { const g = (function* () { for (;;) yield h; })(); return () => g.next().value; },
        proxy: (h) => () => ({ request: h.request, headers: h.headers, ctx: h.ctx, __proto__: h }),
      };
      let kept;
      const use = (action) => { try { return "used " + JSON.stringify(action()); } catch (error) { return error.name + " " + error.code; } };
      export default {
        onRequest(request, ctx) {
          if (kept === undefined) {
            kept = Object.entries(ways).map(([name, way]) => [name, way({ request, headers: request.headers, ctx })]);
            return;
          }
          const outcomes = kept.flatMap(([way, read]) =>
            Object.entries(uses).map(([name, action]) => [way + " " + name, use(() => action({ __proto__: null, ...read(), request: read().request, headers: read().headers, ctx: read().ctx }))]));
          return Response.json(outcomes);
        },
      };`;
    await withFilter(source, {}, async (envoy) => {
      await request(envoy, '/first', { headers: [['x-secret', 'hidden-bytes'], ['cookie', 'a=hidden-bytes']] });
      await envoy.idle();
      const answer = await request(envoy, '/second', { headers: [['x-secret', 'other']] });
      const outcomes = answer.json<[string, string][]>();
      expect(outcomes).toHaveLength(200);
      expect(outcomes.filter(([, outcome]) => outcome !== 'TypeError E_DEAD_HANDLE')).toEqual([]);
      expect(answer.text()).not.toMatch(/hidden|first/);
    });
  });

  test('half-closes without ending its stream (H601)', async () => {
    const source = `export default { async onRequest(request) { await sleep(20); request.headers.set("x-waited", "1"); } };`;
    await withFilter(source, {}, async (envoy) => {
      const client = await Http2Client.connect(envoy);
      const answer = await client.request('/half', { body: '' });
      expect(answer.json<Echo>().headers).toContainEqual(['x-waited', '1']);
      await client.close();
    });
  });
});

async function cpuTicks(pid: number): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).replace(/^.*\) /s, '').split(' ');
  // utime and stime; the name in brackets and what comes before it are cut off.
  return Number(fields[11]) + Number(fields[12]);
}

describe('promises that nobody awaits', () => {
  test('are reported once with their place when they reject, and do not hold the hook (F036, R02)', async () => {
    const source = `
      // Line 7 of the whole script is the first of this text.
      export default {
        async onRequest(request) {
          Promise.reject(new RangeError("floating"));
          sleep(60_000);
          request.headers.set("x-on", "1");
        },
      };`;
    await withFilter(source, { errorsExpected: true }, async (envoy) => {
      const startMs = performance.now();
      for (let i = 0; i < 3; i++) {
        expect((await request(envoy)).json<Echo>().headers).toContainEqual(['x-on', '1']);
      }
      expect(performance.now() - startMs).toBeLessThan(2_000);
      const line = (prelude + source).split('\n').findIndex((text) => text.includes('"floating"')) + 1;
      await envoy.idle();
      const faults = envoy.log.faults();
      expect(faults).toHaveLength(3);
      for (const fault of faults) {
        expect(fault).toMatchObject({ code: 'E_UNHANDLED_REJECTION', line });
        expect(fault.text).toContain('floating');
      }
    });
  });

  test('are not reported when they are handled later in the same turn (F036)', async () => {
    const source = `export default {
      async onRequest(request) {
        const early = Promise.reject(new Error("early"));
        await null;
        try { await early; } catch { request.headers.set("x-caught", "1"); }
        const late = fetch("http://elsewhere/");
        const [result] = await Promise.allSettled([late]);
        request.headers.set("x-late", result.status);
      },
    };`;
    await withFilter(source, {}, async (envoy) => {
      const all = Object.fromEntries((await request(envoy)).json<Echo>().headers);
      expect(all).toMatchObject({ 'x-caught': '1', 'x-late': 'rejected' });
      await envoy.idle();
      expect(envoy.log.errors()).toEqual([]);
    });
  });
});

describe('timers', () => {
  test('fire in order, not early, can be cleared, and pass arguments (F096, W14)', async () => {
    const seen = await evaluate<Record<string, unknown>>(
      `const order = [], lateMs = [];
       const startMs = Date.now();
       const timer = (ms) => new Promise((resolve) => setTimeout((a, b) => {
         order.push(a + b); lateMs.push(Date.now() - startMs - ms); resolve();
       }, ms, ms, 0));
       const cleared = setTimeout(() => order.push("cleared"), 5);
       clearTimeout(cleared); clearTimeout(undefined); clearTimeout(987654);
       const done = [50, 10, 30, 0, 20].map(timer);
       await Promise.all(done);
       await sleep(5);
       return { order, lateMs, kind: typeof cleared, string: attempt(() => setTimeout("code", 1)) };`,
    );
    expect(seen['order']).toEqual([0, 10, 20, 30, 50]);
    for (const late of seen['lateMs'] as number[]) {
      expect(late).toBeGreaterThanOrEqual(-1);
      expect(late).toBeLessThan(30);
    }
    expect(seen['kind']).toBe('number');
    expect(seen['string']).toMatchObject({ name: 'TypeError' });
  });

  test('end with their stream (F096)', async () => {
    const source = `
      let fired = 0;
      export default {
        async onRequest(request) {
          if (request.path === "/fired") { await sleep(60); return new Response(String(fired)); }
          setTimeout(() => fired++, 20);
        },
      };`;
    await withFilter(source, {}, async (envoy) => {
      await request(envoy);
      await envoy.idle();
      expect((await request(envoy, '/fired')).text()).toBe('0');
    });
  });

  test('have a cap per stream, also when they re-arm (F072, H106)', async () => {
    const seen = await evaluate<unknown>(
      `let made = 0;
       const last = attempt(() => { for (;;) { setTimeout(() => {}, 60_000); made++; } });
       return { made, last };`,
    );
    expect(seen).toEqual({ made: 64, last: { name: 'RangeError', code: 'E_TIMER_LIMIT' } });
  });

  test('by the hundred in parallel streams are all served (F096)', async () => {
    const source = `export default {
      async onRequest(request) { await sleep(Number(request.path.slice(1))); return new Response("done"); },
    };`;
    await withFilter(source, {}, async (envoy) => {
      const client = await Http2Client.connect(envoy);
      const startMs = performance.now();
      const ends = await Promise.all(
        Array.from({ length: 500 }, async (_, i) => {
          const wantedMs = 10 + (i % 20) * 10;
          const answer = await client.request(`/${wantedMs}`);
          return { text: answer.text(), earlyMs: wantedMs - (performance.now() - startMs) };
        }),
      );
      for (const { text, earlyMs } of ends) {
        expect(text).toBe('done');
        expect(earlyMs).toBeLessThan(1);
      }
      await client.close();
    });
  });
});

describe('wait_ms', () => {
  test('answers 504 when a promise never settles, for both hooks, within 50 ms of the limit (F072)', async () => {
    const sources = [
      `export default { async onRequest() { await new Promise(() => {}); } };`,
      `export default { onRequest() { return new Promise(() => {}); } };`,
      `export default { async onResponse() { await new Promise(() => {}); } };`,
      `export default { async onRequest() { for (;;) await sleep(10); } };`,
    ];
    for (const source of sources) {
      const setting = { config: { limits: { wait_ms: 200 } }, errorsExpected: true };
      await withFilter(source, setting, async (envoy) => {
        const startMs = performance.now();
        const answer = await request(envoy, '/', { body: '12345' });
        const elapsedMs = performance.now() - startMs;
        expect(answer).toMatchObject({ status: 504 });
        expect(elapsedMs).toBeGreaterThanOrEqual(199);
        expect(elapsedMs).toBeLessThan(260);
        const fault = await envoy.log.fault();
        expect(fault.code).toBe('E_WAIT_LIMIT');
        expect(fault.text).toMatch(/^on(Request|Response) waited longer than wait_ms \(200 ms\)/);
        expect(envoy.log.faults()).toHaveLength(1);
      });
    }
  });

  test('takes its status from on_error', async () => {
    const config = { limits: { wait_ms: 20 }, on_error: { wait_status: 418, status: 599 } };
    const source = `export default { onRequest() { return new Promise(() => {}); } };`;
    await withFilter(source, { config, errorsExpected: true }, async (envoy) => {
      expect(await request(envoy)).toMatchObject({ status: 418 });
    });
  });

  test('counts only the waiting of scripts, not a slow upstream or client (H210)', async () => {
    const source = `export default { async onRequest() { await sleep(1); }, async onResponse() { await sleep(1); } };`;
    await withUpstream({ handler: slow }, async (late) => {
      const filter = fairlead({ inline: prelude + source, limits: { wait_ms: 100 } });
      await withEnvoy({ filters: [filter], clusters: { upstream: late } }, async (envoy) => {
        expect(await request(envoy, '/300')).toMatchObject({ status: 200 });
      });
    });
  });
});
