// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { Case } from './case.ts';

const ok = { status: 200 };

export const shared: readonly Case[] = [
  {
    title: 'a value comes back as it was set, whatever it is (F094, W28)',
    hooks: `onRequest() {
      const values = ["", "\\u00e4\\u{1f600}\\0", 0, -0, 1.5, NaN, Infinity, true, null, [1, [2]], { a: { b: "c" }, __proto__: null }];
      return Response.json(values.map((value) => {
        shared.set("a", value);
        const got = shared.get("a");
        return [typeof got, JSON.stringify(got) === JSON.stringify(value), typeof value !== "number" || Object.is(got, value)];
      }));
    }`,
    exchanges: [
      {
        want: {
          client: {
            status: 200,
            body: JSON.stringify([
              ...['string', 'string', ...Array<string>(5).fill('number')].map((type) => [type, true, true]),
              ...['boolean', 'object', 'object', 'object'].map((type) => [type, true, true]),
            ]),
          },
        },
      },
    ],
  },
  {
    title: 'bytes come back as bytes, of buffers and of parts of them (F094, W28)',
    hooks: `onRequest() {
      const bytes = new Uint8Array([0, 1, 255, 128]);
      const got = [bytes, bytes.buffer, bytes.subarray(1, 3), new DataView(bytes.buffer, 2)].map((value) => {
        shared.set("a", value);
        const copy = shared.get("a");
        return [copy.constructor.name, ...copy].join();
      });
      return Response.json(got);
    }`,
    exchanges: [
      {
        want: {
          client: {
            status: 200,
            body: '["Uint8Array,0,1,255,128","Uint8Array,0,1,255,128","Uint8Array,1,255","Uint8Array,255,128"]',
          },
        },
      },
    ],
  },
  {
    title: 'a value is a copy: later changes of the object do not reach it, and stay from one exchange to the next (F094)',
    hooks: `onRequest(request) {
      const before = shared.get("object");
      const object = before ?? { list: [] };
      object.list.push(request.path);
      if (before === undefined) shared.set("object", object);
      object.list.push("later");
      const bytes = new Uint8Array([1]);
      shared.set("bytes", bytes);
      bytes[0] = 2;
      return Response.json([shared.get("object"), shared.get("bytes")[0], shared.get("object") === shared.get("object")]);
    }`,
    exchanges: [
      { request: { path: '/1' }, want: { client: { status: 200, body: '[{"list":["/1"]},1,false]' } } },
      { request: { path: '/2' }, want: { client: { status: 200, body: '[{"list":["/1"]},1,false]' } } },
    ],
  },
  {
    title: 'keys are counted, listed, and taken away (F094, W28)',
    hooks: `onRequest() {
      const told = [shared.get("a"), shared.delete("a"), shared.keys()];
      told.push(shared.incr("b"), shared.incr("b", 4), shared.incr("b", -0.5), shared.get("b"));
      shared.set("a", "x");
      shared.set("ab", "y");
      told.push(shared.keys(), shared.keys("a"), shared.delete("a"), shared.keys("a"));
      return Response.json(told);
    }`,
    exchanges: [
      {
        want: {
          client: { status: 200, body: '[null,false,[],1,5,4.5,4.5,["a","ab","b"],["a","ab"],true,["ab"]]' },
        },
      },
    ],
  },
  {
    title: 'a value is replaced only where the expected one is (F094, W28)',
    hooks: `onRequest() {
      return Response.json([
        shared.cas("a", 1, 2), shared.cas("a", undefined, 1), shared.cas("a", undefined, 2), shared.cas("a", "1", 2),
        shared.cas("a", 1, { b: [1] }), shared.cas("a", { b: [2] }, 3), shared.cas("a", { b: [1] }, undefined), shared.keys(),
      ]);
    }`,
    exchanges: [{ want: { client: { status: 200, body: '[false,true,false,false,true,false,true,[]]' } } }],
  },
  {
    title: 'a value is gone when its time is over, and a counter begins anew (F094)',
    hooks: `async onRequest(request) {
      shared.set("a", 1, { ttlMs: 100 });
      shared.set("b", 1, {});
      const told = [shared.get("a"), shared.incr("n", 1, { ttlMs: 100 }), shared.incr("n", 1, { ttlMs: 1000 })];
      await sleep(150);
      told.push(shared.get("a"), shared.get("b"), shared.incr("n"), shared.keys());
      request.headers.set("x-told", JSON.stringify(told));
    }`,
    exchanges: [{ want: { client: ok, upstream: { headers: { 'x-told': '[1,1,2,null,1,1,["b","n"]]' } } } }],
  },
  {
    title: 'a store that is full forgets what was used longest ago (F094)',
    more: { limits: { shared_kb: 2 } },
    hooks: `onRequest() {
      for (let i = 0; i < 20; i++) { shared.set("k" + i, "x".repeat(300)); shared.get("k0"); }
      return Response.json([shared.get("k0")?.length, shared.get("k1"), shared.get("k19")?.length, shared.keys().length]);
    }`,
    exchanges: [{ want: { client: { status: 200, body: '[300,null,300,4]' } } }],
  },
  {
    title: 'onLog and timers can write (F094)',
    hooks: `async onRequest(request) {
      setTimeout(() => shared.set("timer", "t"));
      await sleep(20);
      request.headers.set("x-told", String([shared.get("timer"), shared.get("log")]));
    },
    onLog() { shared.incr("log"); }`,
    exchanges: [
      { want: { client: ok, upstream: { headers: { 'x-told': 't,' } } } },
      { want: { client: ok, upstream: { headers: { 'x-told': 't,1' } } } },
    ],
  },
  {
    title: 'what a value throws while it is turned into JSON is thrown, and nothing is set (F094)',
    hooks: `onRequest() {
      const failing = [{ toJSON() { throw new RangeError("no"); } }, { get a() { throw new RangeError("no"); } }, 1n];
      const cycle = {}; cycle.cycle = cycle;
      return Response.json([...failing, cycle].map((value) => {
        try { shared.set("a", value); } catch (error) { return [error.name, shared.get("a")]; }
      }));
    }`,
    exchanges: [
      {
        want: { client: { status: 200, body: '[["RangeError",null],["RangeError",null],["TypeError",null],["TypeError",null]]' } },
      },
    ],
  },
  {
    title: 'a bucket gives its tokens, says how long it takes to fill, and fills (W28)',
    hooks: `async onRequest() {
      const rate = { perSecond: 5, burst: 3 };
      const seen = [];
      for (let i = 0; i < 4; i++) seen.push(shared.take("a", rate));
      const { taken, remaining, retryAfterMs } = seen.pop();
      seen.push([taken, remaining, retryAfterMs > 0 && retryAfterMs <= 200]);
      await sleep(retryAfterMs);
      seen.push(shared.take("a", rate).taken, shared.take("b", rate).taken);
      seen.push(shared.take("c", { perSecond: 1, tokens: 1 }).remaining, shared.take("c", { perSecond: 1 }).taken);
      seen.push(shared.take("d", { perSecond: 0.5, burst: 10, tokens: 4 }).remaining, shared.take("d", { perSecond: 0.5, burst: 10, tokens: 6 }).remaining);
      seen.push(Math.ceil(shared.take("d", { perSecond: 0.5, burst: 10, tokens: 2 }).retryAfterMs / 1000));
      return Response.json(seen);
    }`,
    exchanges: [
      {
        want: {
          client: {
            status: 200,
            body: JSON.stringify([
              ...[2, 1, 0].map((remaining) => ({ taken: true, remaining, retryAfterMs: 0 })),
              [false, 0, true],
              ...[true, true, 0, false, 6, 0, 4],
            ]),
          },
        },
      },
    ],
  },
  {
    title: 'a rate out of range is refused, and so is a key of something else (W28)',
    hooks: `onRequest() {
      shared.set("text", "1");
      const rates = [{}, { perSecond: 0 }, { perSecond: 1e6 + 1 }, { perSecond: NaN }, { perSecond: 1, burst: 0 },
        { perSecond: 1, burst: 2, tokens: 2.5 }, { perSecond: 1, tokens: -1 }, 1, undefined];
      const codes = rates.map((rate) => { try { return shared.take("a", rate).taken; } catch (error) { return error.code; } });
      for (const key of ["text", "free"]) try { codes.push(shared.take(key, { perSecond: 1e6 }).taken); } catch (error) { codes.push(error.code); }
      return Response.json([codes, shared.get("a")]);
    }`,
    exchanges: [
      {
        want: {
          client: {
            status: 200,
            body: JSON.stringify([
              [...Array<string>(7).fill('E_OPTION'), 'E_ARGUMENT', 'E_ARGUMENT', 'E_SHARED_TYPE', true],
              null,
            ]),
          },
        },
      },
    ],
  },
];
