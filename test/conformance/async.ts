// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { Case } from './case.ts';

const ok = { status: 200 };
const storages = `
      const a = (globalThis.a ??= new AsyncLocalStorage());
      const b = (globalThis.b ??= new AsyncLocalStorage());`;

export const async_: readonly Case[] = [
  {
    title: 'a storage gives its value through calls, awaits, promises, microtasks and timers, and none outside (W26)',
    hooks: `async onRequest(request) {${storages}
      const seen = [];
      const see = (where) => seen.push(where + ":" + a.getStore());
      const given = a.run(1, (x, y) => { see("sync"); return x + y; }, 2, 3);
      see("outside");
      await a.run("x", async () => {
        see("first");
        await null;
        see("await");
        await sleep(5);
        see("sleep");
        await new Promise((resolve) => setTimeout(() => { see("timer"); resolve(); }, 5));
        await Promise.resolve().then(() => see("then"));
        await Promise.reject(1).catch(() => see("catch")).finally(() => see("finally"));
        await new Promise((resolve) => queueMicrotask(() => { see("microtask"); resolve(); }));
        for await (const _ of (async function* () { yield 1; see("generator"); })()) see("loop");
        await { then(resolve) { see("thenable"); resolve(); } };
      });
      see("after");
      let turns = 0;
      await new Promise((resolve) => a.run("i", () => {
        const interval = setInterval(() => { see("interval"); if (++turns === 2) { clearInterval(interval); resolve(); } }, 5);
      }));
      request.headers.set("x-given", String(given));
      request.headers.set("x-seen", seen.join());
    }`,
    exchanges: [
      {
        want: {
          client: ok,
          upstream: {
            headers: {
              'x-given': '5',
              'x-seen':
                'sync:1,outside:undefined,first:x,await:x,sleep:x,timer:x,then:x,catch:x,finally:x,microtask:x,loop:x,' +
                'generator:x,thenable:x,after:undefined,interval:i,interval:i',
            },
          },
        },
      },
    ],
  },
  {
    title: 'who settles a promise does not give its value to those who wait, and storages do not see each other (W26)',
    hooks: `async onRequest(request) {${storages}
      let settle;
      const shared = new Promise((resolve) => { settle = resolve; });
      const seen = [];
      const waits = [1, 2].map((n) => a.run(n, () => b.run(n * 10, async () => {
        await shared;
        seen.push(a.getStore() + "/" + b.getStore());
        await a.run("in", async () => { await null; seen.push(a.getStore() + "/" + b.getStore()); });
        seen.push(a.getStore() + "/" + b.exit(() => b.getStore()));
      })));
      a.run("settler", settle);
      await Promise.all(waits);
      request.headers.set("x-seen", seen.join());
      request.headers.set("x-after", String(a.getStore()));
    }`,
    exchanges: [
      {
        want: {
          client: ok,
          upstream: { headers: { 'x-seen': '1/10,2/20,in/10,in/20,1/undefined,2/undefined', 'x-after': 'undefined' } },
        },
      },
    ],
  },
  {
    title: 'bind and snapshot keep the values of where they were called; what throws restores the ones before (W26)',
    hooks: `async onRequest(request) {${storages}
      const seen = [];
      const bound = a.run("bound", () => AsyncLocalStorage.bind(function (x) { return [this.y, x, a.getStore()].join("-"); }));
      const snapshot = a.run("shot", () => b.run("b", () => AsyncLocalStorage.snapshot()));
      seen.push(bound.call({ y: 1 }, 2));
      seen.push(a.run("other", () => snapshot((x) => [x, a.getStore(), b.getStore()].join("-"), 3)));
      try { a.run("gone", () => { throw new Error("out"); }); } catch (error) { seen.push(error.message + a.getStore()); }
      for (const wrong of [() => a.run(1), () => a.run(1, 2), () => a.exit({}), () => AsyncLocalStorage.bind(), () => snapshot(),
                           () => AsyncLocalStorage(), () => a.getStore.call({})])
        try { wrong(); seen.push("no error"); } catch (error) { seen.push(error.name); }
      request.headers.set("x-seen", seen.join());
    }`,
    exchanges: [
      {
        want: {
          client: ok,
          upstream: {
            headers: {
              'x-seen':
                '1-2-bound,3-shot-b,outundefined,TypeError,TypeError,TypeError,TypeError,TypeError,TypeError,TypeError',
            },
          },
        },
      },
    ],
  },
];
