// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Scripts that loop, recurse, grow, never settle or throw: the client gets the policy's answer in bounded
// time, Envoy says once what happened and where, and the next request to the same worker is served.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { paths } from '../bundler/toolchain/paths.ts';
import {
  expectRefused,
  fairlead,
  formatLogEntry,
  grpcUnary,
  Http2Client,
  request,
  startUpstream,
  waitFor,
  withEnvoy,
  type Envoy,
  type Fault,
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

const limits = { cpu_ms: 20, memory_mb: 16, stack_kb: 256 };
/** cpu_ms, what the design adds to it, and what a busy two-core machine may add to that. */
const boundedMs = 20 + 50 + 150;

async function withFilter<T>(source: string, use: (envoy: Envoy) => Promise<T>, config: JsonObject = {}): Promise<T> {
  const filters = [fairlead({ inline: source, limits, ...config })];
  return await withEnvoy({ filters, clusters: { upstream }, errorsExpected: true }, use);
}

/** A filter whose `hook` runs `body` for the path `/fault` and nothing otherwise. */
function faulty(hook: string, body: string): string {
  const parameters = hook.includes('Response') ? 'response, ctx' : 'request, ctx';
  return `export default { ${hook}(${parameters}) {
    if (ctx.request.path !== "/fault") return;
    ${body}
  } };`;
}

/** Meets the fault once, checks answer, time and log line, and that the worker serves the next request. */
async function expectFault(
  source: string,
  codes: RegExp,
  config: JsonObject = {},
  limitMs = boundedMs,
): Promise<Fault> {
  return await withFilter(
    source,
    async (envoy) => {
      expect(await request(envoy, '/before')).toMatchObject({ status: 200 });
      const startMs = performance.now();
      expect(await request(envoy, '/fault')).toMatchObject({ status: 500 });
      expect(performance.now() - startMs).toBeLessThan(limitMs);
      expect(await request(envoy, '/after')).toMatchObject({ status: 200 });
      await envoy.idle();
      const fault = await envoy.log.fault();
      expect(envoy.log.errors().map(formatLogEntry)).toHaveLength(1);
      expect(fault.filterName).toBe('test');
      expect(fault.code).toMatch(new RegExp(`^(${codes.source})$`));
      expect([fault.text, fault.line]).toEqual([fault.text, expect.any(Number)]);
      return fault;
    },
    config,
  );
}

describe('a script that does not end (F068)', () => {
  const loops: Record<string, string> = {
    'a plain loop (H101)': `while (true) {}`,
    'a loop in nested try, catch and finally (H101)': `
      for (;;) { try { try { while (true) {} } catch { console.error("caught"); } finally { console.error("finally ran"); } }
      catch { console.error("caught"); } finally { console.error("finally ran"); } }`,
    'an async function with a catch (H102)': `return (async () => { while (true) {} })().catch(() => console.error("caught"));`,
    'a generator (H102)': `const endless = function* () { while (true) {} }; [...endless()];`,
    'an iterator (H102)': `const endless = function* () { for (;;) yield 1; }; for (const x of endless()) void x;`,
    'a getter (H102)': `({ get x() { while (true) {} } }).x;`,
    'toString (H102)': '`${{ toString() { while (true) {} } }}`;',
    'a conversion in a host call (H102)': `ctx.request.headers.set("x-a", { toString() { while (true) {} } });`,
    'a proxy trap (H102)': `new Proxy({}, { get() { while (true) {} } }).x;`,
    'a sort comparator (H102)': `[3, 1, 2].sort(() => { while (true) {} });`,
    'a class static block (H102)': `class Endless { static { while (true) {} } }`,
    'a callback of forEach (H102)': `ctx.request.headers.forEach(() => { while (true) {} });`,
    'an exponential regular expression (H103)': `/(a+)+$/.test("a".repeat(40) + "b");`,
    'a polynomial regular expression (H103)': `/(x+x+)+y/.test("x".repeat(5_000));`,
    'a chain of awaits (H104)': `return (async () => { for (;;) await 0; })();`,
    'a promise that queues itself (H104)': `const again = () => Promise.resolve().then(again); return again();`,
    'a thenable that calls back at once (H105)': `return (async () => {
      const endless = { then(resolve) { resolve(endless); } };
      await endless;
    })();`,
    'an async iterator (H105)': `return (async () => {
      for await (const x of { [Symbol.asyncIterator]: () => ({ next: async () => ({ done: false }) }) }) void x;
    })();`,
  };

  test.each(Object.entries(loops))('%s is stopped in onRequest', async (_, body) => {
    await expectFault(faulty('onRequest', body), /E_CPU_LIMIT/);
  });

  test.each([
    ['onResponse', `while (true) {}`],
    ['async onResponse', `for (;;) await 0;`],
    ['async onResponse', `await null; while (true) {}`],
    ['async onRequest', `await null; while (true) {}`],
  ])('is stopped in %s: %s', async (hook, body) => {
    await expectFault(faulty(hook, body), /E_CPU_LIMIT/);
  });

  test('never runs its catch or finally (H101)', async () => {
    const source = faulty('onRequest', loops['a loop in nested try, catch and finally (H101)'] ?? '');
    await withFilter(source, async (envoy) => {
      await request(envoy, '/fault');
      await envoy.idle();
      expect(envoy.logs().filter(({ message }) => /caught|finally ran/.test(message))).toEqual([]);
    });
  });

  test('is stopped when it queues a million microtasks (H104)', async () => {
    await expectFault(
      faulty('onRequest', `for (let i = 0; i < 1e6; i++) queueMicrotask(() => {});`),
      /E_CPU_LIMIT|E_MEMORY_LIMIT/,
    );
  });

  test("in a timer's callback fails the stream that waits (H102)", async () => {
    const source = `import { sleep } from "fairlead";
      export default { async onRequest(request) {
        if (request.path !== "/fault") return;
        setTimeout(() => { while (true) {} }, 1);
        await sleep(10_000);
      } };`;
    await expectFault(source, /E_CPU_LIMIT/);
  });

  test('in onLog harms nobody', async () => {
    const source = `export default { onLog(ctx) { if (ctx.request.path === "/fault") while (true) {} } };`;
    await withFilter(source, async (envoy) => {
      expect(await request(envoy, '/fault')).toMatchObject({ status: 200 });
      const fault = await envoy.log.fault();
      expect(fault).toMatchObject({ code: 'E_CPU_LIMIT', text: expect.stringContaining('onLog') as string });
      expect(await request(envoy, '/after')).toMatchObject({ status: 200 });
    });
  });

  test('delays other streams of its worker by no more than its limit (F075)', async () => {
    const source = faulty('onRequest', 'while (true) {}');
    await withFilter(source, async (envoy) => {
      const client = await Http2Client.connect(envoy);
      await client.request('/warm');
      const startMs = performance.now();
      const answers = await Promise.all(
        ['/fault', '/quick', '/quick'].map(async (path) => (await client.request(path)).status),
      );
      expect(answers).toEqual([500, 200, 200]);
      expect(performance.now() - startMs).toBeLessThan(boundedMs);
      await client.close();
    });
  });

  test('is stopped time after time, and each time the next request is served', async () => {
    await withFilter(faulty('onRequest', 'while (true) {}'), async (envoy) => {
      for (let i = 0; i < 5; i++) {
        expect(await request(envoy, '/fault')).toMatchObject({ status: 500 });
        expect(await request(envoy, '/after')).toMatchObject({ status: 200 });
      }
    });
  });

  test('does not take waiting streams with it', async () => {
    const source = `import { sleep } from "fairlead";
      export default { async onRequest(request) {
        if (request.path === "/fault") while (true) {}
        if (request.path === "/wait") { await sleep(150); request.headers.set("x-waited", "1"); }
      } };`;
    await withFilter(source, async (envoy) => {
      const waiting = request(envoy, '/wait');
      await waitFor('a held stream', async () => (await envoy.gauge('downstream_rq_active')) === 1);
      expect(await request(envoy, '/fault')).toMatchObject({ status: 500 });
      const answer = await waiting;
      expect(answer).toMatchObject({ status: 200 });
      expect(answer.text()).toContain('x-waited');
    });
  });

  test('is also bounded over all entries of its stream (H108)', async () => {
    const source = `import { sleep } from "fairlead";
      export default { async onRequest(request) {
        if (request.path !== "/fault") return;
        for (;;) { const end = Date.now() + 8; while (Date.now() < end); await sleep(0); }
      } };`;
    await expectFault(source, /E_CPU_LIMIT/, { limits: { ...limits, stream_cpu_ms: 60 } }, 1_500);
  });
});

describe('a built-in that takes long (F069)', () => {
  // What the filter makes while it loads, and what a request then calls with it.
  const rows: Record<string, [make: string, call: string][]> = {
    'BigInt (H109)': [
      ['200_000n', '(7n ** input).toString()'],
      ['(1n << 500_000n) - 1n', 'for (;;) input * input'],
      ['[(1n << 1_000_000n) - 1n, (1n << 500_000n) - 1n]', 'for (;;) input[0] / input[1]'],
      ['(1n << 999_999n) - 1n', 'for (;;) { input << 1n; input >> 1n; -input; input & 1n; }'],
      ['"9".repeat(300_000)', 'BigInt(input)'],
    ],
    'JSON.parse (H110)': [
      ['"[" + "1,".repeat(2_000_000) + "1]"', 'JSON.parse(input)'],
      ['"[" + `{"a":["b"]},`.repeat(300_000) + "1]"', 'JSON.parse(input)'],
      ['"[" + "1,".repeat(1_000_000) + "1]"', 'JSON.parse(input, (key, value) => value)'],
      ['" ".repeat(4e7)', 'for (;;) try { JSON.parse(input); } catch {}'],
      [String.raw`'"' + "\\u0041".repeat(4_000_000) + '"'`, 'for (;;) JSON.parse(input)'],
    ],
    'JSON.stringify (H111)': [
      ['Array.from({ length: 500_000 }, (_, i) => i + 0.5)', 'JSON.stringify(input)'],
      ['Array.from({ length: 200_000 }, (_, i) => ({ i }))', 'JSON.stringify(input, null, 4)'],
      ['"\\n".repeat(10_000_000)', 'JSON.stringify(input)'],
      ['Array.from({ length: 50_000 }, (_, i) => "k" + i)', 'JSON.stringify({}, input)'],
      ['new Array(3_000_000)', 'JSON.stringify(input)'],
    ],
    'sorts (H112)': [
      ['Array.from({ length: 500_000 }, (_, i) => (i * 7_919) % 500_009)', 'input.slice().sort()'],
      ['Array.from({ length: 500_000 }, (_, i) => (i * 7_919) % 500_009)', 'input.toSorted()'],
      ['Array.from({ length: 500_000 }, (_, i) => i)', 'input.toSorted(() => Math.random() - 0.5)'],
      ['null', 'Array.prototype.sort.call({ length: 2 ** 53 - 1 })'],
      ['new Float64Array(1_000_000).map((_, i) => (i * 7_919) % 1_000_003)', 'input.toSorted()'],
    ],
    'strings that are changed (H113)': [
      ['"ab".repeat(2_000_000)', 'input.replaceAll("a", "b")'],
      ['"ab".repeat(500_000)', 'input.split("")'],
      ['Array.from({ length: 1_000_000 }, () => "x")', 'for (;;) input.join()'],
      ['"a\\u0301".repeat(500_000)', 'input.normalize()'],
      ['"\\u0301\\u0327".repeat(100_000)', 'input.normalize("NFD")'],
      ['null', '"x".repeat(6e7)'],
    ],
    'strings that are searched (H114)': ['indexOf', 'includes', 'lastIndexOf', 'split'].map((name) => [
      '["a".repeat(200_000), "a".repeat(100_000) + "b"]',
      `input[0].${name}(input[1])`,
    ]),
    'objects with a length alone (H115)': ['reverse', 'join', 'copyWithin', 'fill', 'slice', 'splice'].map((name) => [
      '{ length: 2 ** 53 - 1 }',
      `Array.prototype.${name}.call({ ...input }, 0, ${name === 'slice' ? 2 ** 32 - 1 : 1})`,
    ]),
    'arrays that are filled (H116)': [
      ['null', 'new Array(3_000_000).fill(0)'],
      ['null', 'Array.from({ length: 10_000_000 })'],
      ['Array.from({ length: 1_000_000 }, (_, i) => i)', 'for (;;) [...input]'],
      ['Array.from({ length: 60_000 }, (_, i) => i)', 'for (;;) Math.max(...input)'],
      ['Array.from({ length: 1_000_000 }, (_, i) => i)', 'for (;;) input.reverse()'],
    ],
    'characters, bytes and clones (H117)': [
      ['"\\u00e9".repeat(1_000_000)', 'for (;;) encodeURIComponent(input)'],
      ['"\\u00e9".repeat(2_000_000)', 'for (;;) input.toLocaleUpperCase()'],
      ['"\\u0100".repeat(1_000_000)', '(input + "1").localeCompare(input + "2")'],
      ['new Float64Array(1_000_000)', 'new Uint8Array(8_000_000).set(input); new Float32Array(input)'],
      ['new Uint8Array(8_000_000).map((_, i) => i * 7_919)', 'for (;;) input.slice().sort()'],
      ['new Uint8Array(8_000_000)', 'for (;;) { input.toReversed(); input.indexOf(1); }'],
      ['Array.from({ length: 200_000 }, (_, i) => ({ i }))', 'structuredClone(input)'],
      ['new Map(Array.from({ length: 200_000 }, (_, i) => [i, [i]]))', 'structuredClone(input)'],
    ],
    'calls of the host with 8 MB (H119)': [
      ['"x".repeat(8_000_000)', 'for (;;) atob(btoa(input))'],
      ['new Uint8Array(8_000_000)', 'for (;;) Uint8Array.fromBase64(input.toBase64())'],
      ['new Uint8Array(8_000_000)', 'for (;;) Uint8Array.fromHex(input.toHex())'],
      ['new Uint8Array(8_000_000)', 'for (;;) crypto.subtle.digest("SHA-256", input)'],
      ['new Uint8Array(8_000_000)', 'for (;;) structuredClone(input)'],
      ['"x".repeat(8_000_000)', 'for (;;) new TextEncoder().encode(input)'],
      ['new Uint8Array(8_000_000).fill(195)', 'for (;;) new TextDecoder().decode(input)'],
      ['"\\u0100".repeat(4_000_000)', 'for (;;) new TextEncoder().encode(input)'],
      ['"http://a/?" + "\\u00e9".repeat(1_000_000)', 'for (;;) new URL(input)'],
      ['"http://a/" + "a/../".repeat(400_000)', 'for (;;) new URL(input)'],
      ['"http://a/?" + "x".repeat(8_000_000)', 'for (;;) URL.canParse(input)'],
      ['"a=b&".repeat(200_000)', 'for (;;) new URLSearchParams(input)'],
      ['"%41".repeat(2_000_000)', 'for (;;) new URLSearchParams(input)'],
      ['Array.from({ length: 4_000 }, (_, i) => ["x-" + i, "y".repeat(2_000)])', 'for (;;) [...new Headers(input)]'],
      ['"x".repeat(8_000_000)', 'for (;;) new Headers({ a: input }).get("a")'],
      ['"x".repeat(8_000_000)', 'for (;;) new Request("http://a/", { method: "POST", body: input })'],
      ['"x".repeat(8_000_000)', 'for (;;) new Response(input).text()'],
      ['"x".repeat(8_000_000)', 'for (;;) new Blob([input, input]).slice(1)'],
      ['new Uint8Array(8_000_000).fill(195)', 'for (;;) new TextDecoder("utf-16").decode(input)'],
      ['new Uint8Array(8_000_000).fill(195)', 'for (;;) new TextDecoder("latin1").decode(input)'],
      ['new Uint8Array(8_000_000).fill(195)', 'for (;;) new Response(input).text()'],
      ['"\\ud800".repeat(2_000_000)', 'for (;;) new TextEncoder().encode(input)'],
    ],
  };

  test.each(Object.entries(rows))('%s is stopped within the limit, and the runtime goes on', async (_, calls) => {
    const late: unknown[] = [];
    for (const [make, call] of calls) {
      const source = `const input = ${make};
        export default { onRequest(request) {
          if (request.path === "/fault") { ${call}; }
        } };`;
      await withFilter(
        source,
        async (envoy) => {
          const { status } = await request(envoy, '/fault');
          await envoy.idle();
          expect([call, (await envoy.log.fault()).code]).toEqual([call, 'E_CPU_LIMIT']);
          // By the script's own account, for the clock of a busy machine counts others too.
          const metric = Object.entries(await envoy.stats('')).find(([name]) => name.endsWith('script.cpu_us'));
          const usedMs = (metric?.[1] ?? 0) / 1_000;
          if (status !== 500 || usedMs < limits.cpu_ms || usedMs > limits.cpu_ms + 50) late.push([call, status, usedMs]);
          expect(await request(envoy, '/after')).toMatchObject({ status: 200 });
        },
        { limits: { ...limits, memory_mb: 192, load_ms: 10_000 } },
      );
    }
    expect(late).toEqual([]);
  });
});

describe('a script that grows (F070)', () => {
  const growths: Record<string, string> = {
    'strings doubled for ever (H120)': `let text = "x"; for (;;) text += text + Math.random();`,
    'a huge repeat (H120)': `const all = []; for (;;) all.push("x".repeat(2 ** 29 - 1).toUpperCase());`,
    'ArrayBuffers of a megabyte (H120)': `const all = []; for (;;) all.push(new ArrayBuffer(1 << 20));`,
    'arrays of numbers (H120)': `const all = []; for (let i = 0; ; i++) all.push(Array.from({ length: 1_000 }, (_, j) => i + j + 0.5));`,
    'closures in a Map (H120)': `const all = new Map(); for (let i = 0; ; i++) { const big = [i, i, i]; all.set(i, () => big); }`,
    'out of memory, caught and tried again (H118)': `const all = [];
      for (;;) try { for (;;) all.push(new ArrayBuffer(1 << 20)); } catch { continue; }`,
    'a response body (H120)': `return new Response("x".repeat(2 ** 26) + Math.random());`,
  };

  test.each(Object.entries(growths))('%s fails by policy, and the runtime is rebuilt', async (_, body) => {
    // A string may meet the engine's own bound on its length before it fills the heap.
    const codes = /E_MEMORY_LIMIT|E_THROWN/;
    await expectFault(faulty('onRequest', body), codes, { limits: { ...limits, cpu_ms: 5_000 } }, 5_000);
  });

  test('after an await fails by policy too', async () => {
    const body = `return (async () => { await null; const all = []; for (;;) all.push(new ArrayBuffer(1 << 20)); })();`;
    await expectFault(faulty('onResponse', body), /E_MEMORY_LIMIT/, { limits: { ...limits, cpu_ms: 5_000 } }, 5_000);
  });

  test("ends its runtime's other streams by policy, and new ones get a new runtime", async () => {
    const source = `import { sleep } from "fairlead";
      let served = 0;
      export default { async onRequest(request) {
        served++;
        if (request.path === "/wait") await sleep(10_000);
        if (request.path === "/fault") { const all = []; for (;;) all.push(new ArrayBuffer(1 << 20)); }
        return new Response(String(served));
      } };`;
    await withFilter(source, async (envoy) => {
      const waiting = request(envoy, '/wait');
      await waitFor('a held stream', async () => (await envoy.gauge('downstream_rq_active')) === 1);
      expect(await request(envoy, '/fault')).toMatchObject({ status: 500 });
      expect(await waiting).toMatchObject({ status: 500 });
      expect((await request(envoy)).text()).toBe('1');
    });
  });

  test('to a large live heap leaves 1,000 more streams served or failed by policy (H120)', async () => {
    const source = `
      const kept = [];
      export default { onRequest(request) {
        if (request.path === "/grow") for (let i = 0; i < 13; i++) kept.push(new Uint8Array(1 << 20).fill(i));
        return new Response("x".repeat(100) + kept.length);
      } };`;
    await withFilter(
      source,
      async (envoy) => {
        await request(envoy, '/grow');
        const client = await Http2Client.connect(envoy);
        const answers = await Promise.all(Array.from({ length: 1_000 }, async () => await client.request('/')));
        expect(answers.filter(({ status }) => status !== 200 && status !== 500)).toEqual([]);
        expect(await request(envoy)).toMatchObject({ status: 200 });
        await client.close();
      },
      { limits: { ...limits, cpu_ms: 1_000 } },
    );
  });
});

describe('a script that recurses (F071)', () => {
  const recursions: Record<string, string> = {
    'into itself (H121)': `const f = () => f() + 1; f();`,
    'mutually (H121)': `const a = () => b() + 1, b = () => a() + 1; a();`,
    'through toJSON (H121)': `const o = { toJSON() { return JSON.stringify(o); } }; JSON.stringify(o);`,
    'through Symbol.toPrimitive (H121)': 'const o = { [Symbol.toPrimitive]() { return `${o}`; } }; `${o}`;',
    'through a replace callback (H121)': `const f = () => "a".replace("a", f); f();`,
    'through a getter (H121)': `const o = { get x() { return this.x; } }; o.x;`,
    "through a host call's callback (H121)": `const f = () => ctx.request.headers.forEach(f); f();`,
    'through nested proxies (H121)': `let p = {}; for (let i = 0; i < 50_000; i++) p = new Proxy(p, {}); p.x;`,
    'through nested JSON (H110)': `JSON.parse("[".repeat(100_000));`,
  };
  const roomy = { limits: { ...limits, cpu_ms: 1_000 } };

  test.each(Object.entries(recursions))('%s gets a RangeError that it can catch', async (_, body) => {
    const source = `export default { onRequest(request, ctx) {
      try { ${body} } catch (error) { return new Response(error.name); }
      return new Response("no error");
    } };`;
    await withFilter(
      source,
      async (envoy) => {
        expect((await request(envoy)).text()).toBe('RangeError');
        await envoy.idle();
        expect(envoy.log.faults()).toEqual([]);
      },
      roomy,
    );
  });

  test.each(Object.entries(recursions).slice(0, 7))('%s fails by policy when it does not', async (_, body) => {
    await expectFault(faulty('onRequest', body), /E_STACK_LIMIT/, roomy);
  });

  test('in an async hook fails by policy as well (H121)', async () => {
    await expectFault(faulty('async onResponse', `await null; const f = () => f() + 1; f();`), /E_STACK_LIMIT/, roomy);
  });
});

describe('a script that makes code', () => {
  test('finds every way to Function closed, and regular expressions open (H122, F078)', async () => {
    const source = `
      const ways = {
        eval: () => eval("1"), indirect: () => (0, eval)("1"), global: () => Function("return 1")(),
        arrow: () => (() => {}).constructor("return 1")(),
        async: () => (async () => {}).constructor("return 1")(),
        generator: () => (function* () {}).constructor("yield 1")(),
        asyncGenerator: () => (async function* () {}).constructor("yield 1")(),
        reflect: () => Reflect.construct((() => {}).constructor, ["return 1"])(),
        array: () => Array.prototype.map.constructor("return 1")(),
        timer: () => setTimeout("1", 1),
      };
      export default { async onRequest() {
        const result = {};
        for (const [name, way] of Object.entries(ways)) {
          try { result[name] = "made " + typeof (await way()); } catch (error) { result[name] = error.name; }
        }
        try { result.import = "made " + typeof (await import("fairlead")); } catch (error) { result.import = error.name; }
        result.regexp = new RegExp("a+").test("caat");
        return Response.json(result);
      } };`;
    await withFilter(source, async (envoy) => {
      const seen = (await request(envoy)).json<Record<string, unknown>>();
      const { regexp, eval: direct, indirect, ...rest } = seen;
      expect(regexp).toBe(true);
      // Without the name `eval` a call of it is a ReferenceError; either way there is no code.
      for (const name of [direct, indirect]) expect(['TypeError', 'ReferenceError', 'EvalError']).toContain(name);
      expect(Object.keys(rest)).toHaveLength(9);
      for (const [way, name] of Object.entries(rest)) expect([way, name]).toEqual([way, 'TypeError']);
    });
  });
});

describe('a script that looks around', () => {
  const language = `AggregateError Array ArrayBuffer AsyncDisposableStack BigInt BigInt64Array BigUint64Array Boolean DataView Date
    DisposableStack Error EvalError Float16Array Float32Array Float64Array Function Infinity Int16Array Int32Array Int8Array
    Iterator JSON Map Math NaN Number Object Promise Proxy RangeError ReferenceError Reflect RegExp Set String SuppressedError
    Symbol SyntaxError TypeError URIError Uint16Array Uint32Array Uint8Array Uint8ClampedArray WeakMap WeakSet decodeURI
    decodeURIComponent encodeURI encodeURIComponent escape eval globalThis isFinite isNaN parseFloat parseInt undefined unescape`;
  /** What the engine brings beyond the language. */
  const engine = 'InternalError atob btoa queueMicrotask';

  test('sees the globals that are declared and no others (F079, F105)', async () => {
    const folder = join(paths.repoRoot, 'sdk-types');
    const declared = readdirSync(folder)
      .filter((file) => file.endsWith('.d.ts'))
      .flatMap((file) => [...readFileSync(join(folder, file), 'utf8').matchAll(/^(?:declare| ) (?:var|function) (\w+)/gm)])
      .map(([, name]) => name ?? '');
    expect(declared).toContain('fetch');
    const source = `export default { onRequest() {
      const all = [];
      for (let object = globalThis; object !== Object.prototype; object = Object.getPrototypeOf(object)) all.push(...Reflect.ownKeys(object));
      return Response.json(all.map(String));
    } };`;
    await withFilter(source, async (envoy) => {
      const names = (await request(envoy)).json<string[]>().filter((name) => name !== 'Symbol(Symbol.toStringTag)');
      const expected = `${language} ${engine} ${declared.join(' ')}`.split(/\s+/);
      expect(names.sort()).toEqual([...new Set(expected)].sort());
    });
  });
});

describe('a script that throws', () => {
  const values: Record<string, string> = {
    'an Error': `new Error("made to fail")`,
    'a TypeError': `new TypeError("made to fail")`,
    'a subclass': `new (class Own extends Error { name = "Own"; })("made to fail")`,
    'an Error with a cause': `new Error("made to fail", { cause: new Error("why") })`,
    'an AggregateError': `new AggregateError([new Error("inner")], "made to fail")`,
    'a DOMException': `new DOMException("made to fail", "DataError")`,
    'a string': `"made to fail"`,
    'an empty string': `""`,
    'a number': `42`,
    'a BigInt': `42n`,
    'a boolean': `false`,
    null: `null`,
    undefined: `undefined`,
    'a symbol': `Symbol("made to fail")`,
    'an object': `({ message: "made to fail" })`,
    'an object without prototype': `Object.create(null)`,
    'an array': `[1, 2]`,
    'a function': `() => {}`,
    'a Response': `new Response("made to fail", { status: 418 })`,
    'a revoked proxy (H124)': `(() => { const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); return proxy; })()`,
    'an Error with a throwing getter (H124)': `Object.defineProperty(new Error("x"), "message", { get() { throw 1; } })`,
    'an Error with a message of 10 MB (H124)': `new Error("m".repeat(1e7))`,
    'an Error with line breaks and controls (H124)': `new Error("one\\ntwo\\r\\n[error][forged] \\x1b[31m\\0")`,
  };

  describe.each(['onRequest', 'onResponse'])('in %s', (hook) => {
    test.each(Object.entries(values))(
      "%s: the policy's answer and one log line with its place (R35)",
      async (_, value) => {
        const generous = { limits: { ...limits, memory_mb: 64, cpu_ms: 200 } };
        const fault = await expectFault(faulty(hook, `\nthrow ${value};`), /E_\w+/, generous);
        expect(fault.text.length).toBeLessThan(16_384);
        expect(fault.line).toBe(4);
      },
    );
  });

  describe.each(['onRequest', 'onResponse'])('after an await in %s', (hook) => {
    const some = ['an Error', 'a string', 'undefined', 'null', 'a revoked proxy (H124)'];
    test.each(some)('%s: the same', async (name) => {
      const body = `\nawait null; throw ${values[name]};`;
      const fault = await expectFault(faulty(`async ${hook}`, body), /E_\w+/);
      expect(fault.line).toBe(4);
    });
  });

  test.each(Object.entries(values).slice(0, 8))(
    'in onLog, %s: the answer stands and one line says it (R35)',
    async (_, value) => {
      const source = `export default { onLog(ctx) {
      if (ctx.request.path === "/fault") throw ${value};
    } };`;
      await withFilter(source, async (envoy) => {
        expect(await request(envoy, '/fault')).toMatchObject({ status: 200 });
        expect(await request(envoy, '/after')).toMatchObject({ status: 200 });
        expect((await envoy.log.fault()).line).toBe(2);
        expect(envoy.log.errors()).toHaveLength(1);
      });
    },
  );

  test('keeps its message on one line and cannot forge another (F086, H124)', async () => {
    const source = faulty('onRequest', `throw ${values['an Error with line breaks and controls (H124)']};`);
    await withFilter(source, async (envoy) => {
      await request(envoy, '/fault');
      const entry = await envoy.waitForLog(({ message }) => message.includes('forged'));
      expect(entry.logger).not.toBe('forged');
      const first = entry.message.split('\n')[0] ?? '';
      expect(first).toContain('forged');
      expect([...entry.message].filter((c) => c !== '\n' && c < ' ')).toEqual([]);
    });
  });

  test('gets the status of on_error, in both hooks, with and without a body, over HTTP/1 and HTTP/2', async () => {
    for (const hook of ['onRequest', 'onResponse']) {
      await withFilter(
        faulty(hook, `throw new Error("made to fail");`),
        async (envoy) => {
          expect(await request(envoy, '/fault')).toMatchObject({ status: 503 });
          expect(await request(envoy, '/fault', { body: 'x'.repeat(100_000), chunkBytes: 1_000 })).toMatchObject({
            status: 503,
          });
          const client = await Http2Client.connect(envoy);
          expect(await client.request('/fault', { body: '12345' })).toMatchObject({ status: 503 });
          expect(await client.request('/after')).toMatchObject({ status: 200 });
          await client.close();
        },
        { on_error: { status: 503 } },
      );
    }
  });

  test('tells the client nothing of the error', async () => {
    await withFilter(faulty('onRequest', `throw new Error("secret detail");`), async (envoy) => {
      const answer = await request(envoy, '/fault');
      expect(answer.text() + JSON.stringify(answer.headers.pairs)).not.toMatch(/secret|inline|onRequest/);
    });
  });

  test('is logged with its stack when the error has one (F087)', async () => {
    const source = `
      const inner = () => { throw new Error("deep"); };
      const outer = () => inner();
      export default { onRequest(request, ctx) { if (request.path === "/fault") outer(); } };`;
    await withFilter(source, async (envoy) => {
      await request(envoy, '/fault');
      const entry = await envoy.waitForLog(({ message }) => message.includes('deep'));
      expect(entry.message).toMatch(/inner[^]*:2:\d+[^]*outer[^]*:3:\d+[^]*onRequest[^]*:4:\d+/);
    });
  });

  test('is logged a hundred times with one stack and a count (F087)', async () => {
    const source = `
      const inner = () => { throw new Error("again"); };
      export default { onRequest(request, ctx) { if (request.path === "/fault") inner();
        if (request.path === "/late") Promise.reject(new Error("again")); } };`;
    await withFilter(source, async (envoy) => {
      for (let i = 0; i < 100; i++) await request(envoy, '/fault');
      for (let i = 0; i < 2; i++) await request(envoy, '/late');
      const faults = await waitFor('a line for each', () => {
        const lines = envoy.log.faults();
        return lines.length === 102 && lines;
      });
      expect(faults.map(({ code }) => code)).toEqual([...Array(100).fill('E_THROWN'), ...Array(2).fill('E_UNHANDLED_REJECTION')]);
      expect(faults.map(({ text }) => /\[(\d+) times/.exec(text)?.[1] ?? 'stack')).toEqual([
        ...['stack', ...Array.from({ length: 99 }, (_, i) => String(i + 2))],
        ...['stack', '2'],
      ]);
      expect(faults.filter(({ text }) => text.includes('at inner'))).toHaveLength(1);
    });
  });

  test('answers gRPC callers with a status of theirs, for each kind of fault (F023, R25)', async () => {
    const source = `export default { onRequest(request) {
      if (request.path === "/a.A/Throw") throw new Error("x");
      if (request.path === "/a.A/Loop") while (true) {}
      if (request.path === "/a.A/Wait") return new Promise(() => {});
      if (request.path === "/a.A/Grow") { const all = []; for (;;) all.push(new ArrayBuffer(1 << 20)); }
    } };`;
    await withFilter(
      source,
      async (envoy) => {
        const status = async (name: string): Promise<unknown> => {
          const result = await grpcUnary(envoy, `/a.A/${name}`);
          return [name, result.httpStatus, result.status];
        };
        expect(await status('Throw')).toEqual(['Throw', 200, 13]);
        expect(await status('Loop')).toEqual(['Loop', 200, 13]);
        expect(await status('Wait')).toEqual(['Wait', 200, 4]);
        expect(await status('Grow')).toEqual(['Grow', 200, 13]);
      },
      { limits: { ...limits, wait_ms: 50 } },
    );
  });
});

describe('while Envoy accepts its config', () => {
  const endless: Record<string, [string, RegExp]> = {
    'a top level that loops (H107)': [`while (true) {}\nexport default {};`, /E_LOAD_LIMIT/],
    'a top level that awaits for ever (H107)': [
      `await new Promise(() => {});\nexport default {};`,
      /E_TOP_LEVEL_PENDING/,
    ],
    'a top level that chains awaits (H107)': [`for (;;) await 0;\nexport default {};`, /E_LOAD_LIMIT/],
    'a configure() that loops (H107)': [`export default { configure() { for (;;); } };`, /E_LOAD_LIMIT/],
    'a configure() that awaits for ever (H107)': [
      `export default { async configure() { await new Promise(() => {}); } };`,
      /E_TOP_LEVEL_PENDING/,
    ],
    'a top level that grows': [
      `const all = []; for (;;) all.push(new ArrayBuffer(1 << 20));\nexport default {};`,
      /E_MEMORY_LIMIT|E_LOAD_LIMIT/,
    ],
    'a top level that recurses': [`const f = () => f() + 1; f();\nexport default {};`, /E_STACK_LIMIT|E_SCRIPT_THROW/],
  };

  test.each(Object.entries(endless))(
    '%s is refused in bounded time, and validate says the same',
    async (_, [inline, code]) => {
      const options = { filters: [fairlead({ inline, limits: { load_ms: 100 } })] };
      const startMs = performance.now();
      expect((await expectRefused(options)).code).toMatch(new RegExp(`^(${code.source})$`));
      expect(performance.now() - startMs).toBeLessThan(5_000);
    },
  );
});
