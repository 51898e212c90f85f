// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import { compile } from './compiler.ts';
import {
  type CalloutDescription,
  Emulator,
  type ExchangeDescription,
  type ExchangeResult,
  type Filter,
  type FilterDescription,
  FilterError,
  type UpstreamDescription,
} from './emulator.ts';

let emulator: Emulator;

beforeAll(async () => {
  emulator = await Emulator.load();
});

afterAll(async () => {
  await emulator.close();
});

/** A filter from the members of its default export. */
function filterOf(hooks: string, more: FilterDescription = {}): Promise<Filter> {
  const inline = `import { sleep } from 'fairlead';\nexport default {\n${hooks}\n};`;
  return emulator.filter({ inline, ...more });
}

/** Runs an exchange that comes to its end without a breach of the host's rules. */
async function run(filter: Filter, description?: ExchangeDescription): Promise<ExchangeResult> {
  const result = await filter.exchange(description);
  expect(result.violations).toEqual([]);
  expect(result.complete).toBe(true);
  return result;
}

async function refusalOf(description: FilterDescription | string): Promise<FilterError> {
  const error: unknown = await emulator.filter(description).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof FilterError)) throw new Error('the filter was not refused', { cause: error });
  return error;
}

describe('F112: an exchange', () => {
  test('shows what upstream and client got, and what the filter logged', async () => {
    const filter = await filterOf(`
      onRequest(request, ctx) { request.headers.set("x-path", request.path); ctx.state.seen = request.headers.get("x-two"); },
      onResponse(response, ctx) { response.headers.set("x-seen", ctx.state.seen); },
      onLog(ctx) { console.warn("done", ctx.response.status); }`);
    const { upstream, client, log, elapsedMs } = await run(filter, {
      request: { method: 'POST', path: '/p?q=1', headers: { 'X-Two': ['1', '2'] }, body: 'hé' },
      upstream: { status: 201, headers: [['x-up', '1']], body: ['one', new Uint8Array([0, 255])], delayMs: 30 },
    });
    expect(upstream?.headers).toEqual([
      [':authority', 'example.com'],
      [':path', '/p?q=1'],
      [':method', 'POST'],
      [':scheme', 'http'],
      ['x-two', '1'],
      ['x-two', '2'],
      ['content-length', '3'],
      ['x-path', '/p?q=1'],
    ]);
    expect(upstream?.text()).toBe('hé');
    expect(client?.status).toBe(201);
    expect(client?.header('X-Seen')).toBe('1, 2');
    expect(client?.header('content-length')).toBe('5');
    expect(client?.header('x-none')).toBeNull();
    expect([...(client?.body ?? [])]).toEqual([...Buffer.from('one'), 0, 255]);
    expect(client).toMatchObject({ ended: true, reset: false });
    expect(elapsedMs).toBe(30);
    expect(log).toEqual([{ level: 'warn', message: 'test: done 201', file: 'inline', line: 6 }]);
  });

  test('keeps what the script keeps for the next exchange of the same filter only', async () => {
    const inline = 'let n = 0; export default { onRequest(r) { r.headers.set("x-n", String(++n)); } };';
    const first = await emulator.filter({ inline });
    const second = await emulator.filter({ inline, filterName: 'second' });
    const counts: unknown[] = [];
    for (const filter of [first, first, second, first]) counts.push((await run(filter)).upstream?.header('x-n'));
    expect(counts).toEqual(['1', '2', '1', '3']);
  });

  test('has bodies of chosen frames, with their end in the last one or after it, and trailers', async () => {
    const filter = await filterOf('async onRequest() { await sleep(5); }, async onResponse() { await sleep(5); }');
    for (const endWithLastFrame of [false, true]) {
      const message = { body: ['a', '', 'bc'], endWithLastFrame };
      const { upstream, client } = await run(filter, { request: message, upstream: message });
      expect([upstream?.text(), client?.text()]).toEqual(['abc', 'abc']);
    }
    const message = { body: 'a', trailers: { 'x-t': '1' } };
    const { upstream, client } = await run(filter, { request: message, upstream: message });
    expect(upstream?.trailers).toEqual([['x-t', '1']]);
    expect(client?.trailers).toEqual([['x-t', '1']]);
    expect(client?.header('content-length')).toBeNull();
  });

  test.each<[UpstreamDescription, number, boolean]>([
    [{ status: 204, early: true }, 204, true],
    [{ kind: 'localReply', status: 503, body: 'no' }, 503, true],
    [{ kind: 'earlierReply', status: 401 }, 401, false],
    [{ kind: 'disconnect', delayMs: 5 }, 503, true],
  ])('ends as the upstream %j makes it', async (upstream, status, reached) => {
    const filter = await filterOf('onResponse(response) { response.headers.set("x-hook", "1"); }');
    const result = await run(filter, { upstream });
    expect(result.client?.status).toBe(status);
    expect(result.client?.header('x-hook')).toBe('1');
    expect(result.upstream !== undefined).toBe(reached);
  });

  test('that waits for what never comes says so', async () => {
    const filter = await filterOf('onLog() { console.info("over"); }');
    const result = await filter.exchange({ upstream: { kind: 'silent' } });
    expect(result.complete).toBe(false);
    expect(result.client).toBeUndefined();
    expect(result.log).toHaveLength(1);
  });

  test('ends when the client leaves', async () => {
    const filter = await filterOf(
      'async onRequest() { try { await sleep(100); } catch (e) { console.info(e.name); } }',
    );
    const { elapsedMs, log, upstream } = await run(filter, { clientLeavesAtMs: 40 });
    expect(elapsedMs).toBe(40);
    expect(log.map(({ message }) => message)).toEqual(['test: AbortError']);
    expect(upstream).toBeUndefined();
  });

  test('that is described wrongly is refused with the place', async () => {
    const filter = await filterOf('');
    const wrong: unknown[] = [
      [{ clientLeavesAtMs: 'soon' }, 'clientLeavesAtMs'],
      [{ upstream: { kind: 'odd' } }, 'upstream.kind'],
      [{ clusters: { auth: [{ kind: 'odd' }] } }, 'clusters.auth[0].kind'],
      [{ request: { headers: [['a', 'Ā']] } }, 'request.headers[4][1]'],
    ];
    for (const [description, place] of wrong as [ExchangeDescription, string][]) {
      await expect(filter.exchange(description)).rejects.toMatchObject({
        code: 'E_EMULATOR_REQUEST',
        message: expect.stringContaining(place) as unknown,
      });
    }
    await filter.free();
    await expect(filter.exchange()).rejects.toMatchObject({ code: 'E_EMULATOR_REQUEST' });
  });
});

describe('F112: mocked clusters', () => {
  const hooks = `async onRequest(request) {
    let outcome;
    try {
      const answer = await fetch("http://auth/a?b=1", { method: "POST", body: "question", timeoutMs: 50 });
      outcome = answer.status + " " + await answer.text();
    } catch (error) { outcome = error.code; }
    request.headers.set("x-outcome", outcome);
  }`;

  test.each<[CalloutDescription[], string]>([
    [[{ body: ['one', 'two'], delayMs: 10, frameDelayMs: 5 }], '200 onetwo'],
    [[{ status: 403, trailers: { 'x-t': '1' }, body: 'no' }], '403 no'],
    [[{ method: 'GET', body: 'get' }, { path: '/a', body: 'no query' }, { path: '/a?b=1', body: 'it' }], '200 it'],
    [[{ times: 0, body: 'never' }, { times: 1, body: 'once' }], '200 once'],
    [[], '404'],
    [[{ delayMs: 60, body: 'late' }], 'E_FETCH_TIMEOUT'],
    [[{ kind: 'silent' }], 'E_FETCH_TIMEOUT'],
    [[{ kind: 'noHost' }], 'E_FETCH_NO_HOST'],
    [[{ kind: 'reset', body: 'half' }], 'E_FETCH_RESET'],
    [[{ kind: 'refused' }], '503 upstream connect error or disconnect/reset before headers. reset reason: remote connection failure'],
    [[{ kind: 'disconnect' }], '503 upstream connect error or disconnect/reset before headers. reset reason: connection termination'],
  ])('answer as described: %j', async (auth, outcome) => {
    const filter = await filterOf(hooks, { clusters: ['auth'] });
    const { upstream, callouts } = await run(filter, { clusters: { auth } });
    expect(upstream?.header('x-outcome')).toBe(outcome);
    expect(callouts).toHaveLength(1);
    expect(callouts[0]).toMatchObject({ cluster: 'auth', started: auth[0]?.kind !== 'noHost' });
    expect(Buffer.from(callouts[0]?.body ?? []).toString()).toBe('question');
  });

  test('a cluster that is not described is unknown to Envoy', async () => {
    const filter = await filterOf(hooks, { clusters: ['auth'] });
    await run(filter, { clusters: { auth: [{}] } });
    const { upstream } = await run(filter, { clusters: { other: [{}] } });
    expect(upstream?.header('x-outcome')).toBe('E_FETCH_CLUSTER_UNKNOWN');
  });
});

describe('a filter', () => {
  test('runs from a .qjb file as it does from its source', async () => {
    const source = 'export default { onRequest() { return new Response("hello", { status: 418 }); } };';
    const manifest = { name: 'hello', clusters: [], sources: [] };
    const compiled = await compile({ source, moduleName: 'hello.js', manifest });
    if (!compiled.ok) throw new Error(compiled.error.message);
    for (const description of [source, { inline: source }, { bytecode: compiled.bytes }]) {
      const { client, details } = await run(await emulator.filter(description));
      expect(client?.status).toBe(418);
      expect(client?.text()).toBe('hello');
      expect(details).toBe('fairlead_reply');
    }
  });

  test('gets its config, and what it logs at load is kept', async () => {
    const filter = await filterOf(
      'configure(config) { console.info("configured", config.name); }, onRequest(r, ctx) { r.headers.set("x-n", ctx.config.name); }',
      { config: { name: 'n' }, filterName: 'named' },
    );
    expect(filter.log.map(({ message }) => message)).toEqual(['named: configured n']);
    expect((await run(filter)).upstream?.header('x-n')).toBe('n');
  });

  test('that Envoy would refuse is refused with code and place', async () => {
    expect(await refusalOf('export default {\n  onRequest( }')).toMatchObject({ code: 'E_SCRIPT_SYNTAX', file: 'inline', line: 2 });
    expect(await refusalOf({ inline: 'export default {}', limit: {} })).toMatchObject({ code: 'E_CONFIG_KEY' });
    expect(await refusalOf({ bytecode: new Uint8Array(200) })).toMatchObject({ code: 'E_BYTECODE_MAGIC' });
    expect(await refusalOf({ inline: 'throw new Error("top");' })).toMatchObject({ line: 1, name: 'FilterError' });
  });

  test.each([
    ['for (;;);', 500, 'E_CPU_LIMIT'],
    ['const f = () => f() + 1; f();', 500, 'E_STACK_LIMIT'],
    ['JSON.parse("[".repeat(1e6));', 500, 'E_STACK_LIMIT'],
    ['const a = []; for (;;) a.push(new Uint8Array(1e5));', 500, 'E_MEMORY_LIMIT'],
    ['throw null;', 500, 'E_THROWN'],
    ['await new Promise(() => {});', 504, 'E_WAIT_LIMIT'],
  ])('is contained: %s', async (statement, status, code) => {
    const filter = await filterOf(`async onRequest(request) { if (request.path === "/bad") { ${statement} } }`, {
      limits: { memory_mb: 8 },
    });
    const { client, log } = await run(filter, { request: { path: '/bad' } });
    expect(client?.status).toBe(status);
    expect(log.map(({ message }) => message)).toEqual([expect.stringContaining(code)]);
    expect((await run(filter)).client?.status).toBe(200);
  });

  test('can catch its own deep recursion, whatever stack it has', async () => {
    for (const stack_kb of [64, 512, 4096]) {
      const filter = await filterOf(
        `onRequest(request) {
          let depth = 0;
          const deeper = () => { depth++; deeper(); };
          try { deeper(); } catch (error) { request.headers.set("x-caught", error.name); }
        }`,
        // The time of a busy machine counts as CPU time in the emulator, and a deep stack takes a while.
        { limits: { stack_kb, cpu_ms: 1000 } },
      );
      expect((await run(filter)).upstream?.header('x-caught')).toBe('RangeError');
    }
  });
});

describe('F052, F112: what Envoy gives to filters', () => {
  const hooks = `onRequest(request, ctx) {
    return Response.json([ctx.secrets.get("key").text(), ...["number", "flag", "none"].map((key) => ctx.runtime.get(key, "default"))]);
  }`;
  const config = { secrets: { key: { sds: { name: 'envoys' } } }, runtime: ['number', 'flag', 'none'] };

  test('reaches them, also when it is changed', async () => {
    const own = await Emulator.load();
    await own.provide({ secrets: { envoys: 'é', other: new Uint8Array([0xff]) }, runtime: { number: -1.5 } });
    const filter = await own.filter({ inline: `export default { ${hooks} }`, ...config });
    const told = async (): Promise<unknown> => JSON.parse((await run(filter)).client!.text());
    expect(await told()).toEqual(['é', -1.5, 'default', 'default']);
    await own.provide({ runtime: { number: 2, flag: true } });
    expect(await told()).toEqual(['é', 2, true, 'default']);
    await own.provide({ secrets: { envoys: 'new' } });
    expect(await told()).toEqual(['new', 2, true, 'default']);
    await own.close();
  });

  test('is missed where it is absent', async () => {
    expect(await refusalOf({ inline: 'export default {}', ...config })).toMatchObject({ code: 'E_SECRET_SDS' });
    const filter = await filterOf('onRequest(request, { runtime }) { return new Response(runtime.get("number", "none")); }', {
      runtime: ['number'],
    });
    expect((await run(filter)).client?.text()).toBe('none');
    await expect(emulator.provide({ runtime: { number: 'text' as unknown as number } })).rejects.toMatchObject({
      message: expect.stringContaining('runtime.number must be a number or a boolean') as string,
    });
  });
});

test('F112: 1,000 cases, each with a filter of its own, take less than 10 s', async () => {
  const start = performance.now();
  for (let i = 0; i < 1000; i++) {
    const filter = await filterOf(`async onRequest(request) { await sleep(1000); request.headers.set("x-i", "${i}"); }`);
    expect((await run(filter)).upstream?.header('x-i')).toBe(String(i));
    await filter.free();
  }
  expect(performance.now() - start).toBeLessThan(10_000);
});

test('a closed emulator refuses calls', async () => {
  const own = await Emulator.load();
  const filter = await own.filter('export default {}');
  await own.close();
  await expect(filter.exchange()).rejects.toThrow('the emulator is closed');
  await expect(own.filter('export default {}')).rejects.toThrow('the emulator is closed');
});
