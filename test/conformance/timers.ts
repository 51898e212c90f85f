// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { Case } from './case.ts';

const ok = { status: 200 };

export const timers: readonly Case[] = [
  {
    title: 'timers run by their times, equal ones in the order in which they were started (W14)',
    hooks: `async onRequest(request) {
      const order = [];
      setTimeout((...more) => order.push(...more), 40, "third", "and");
      setTimeout(() => order.push("second"), 20);
      setTimeout(() => order.push("first"));
      setTimeout(() => order.push("after"), 20);
      const gone = setTimeout(() => order.push("never"), 10);
      clearTimeout(gone);
      queueMicrotask(() => order.push("now"));
      await sleep(80);
      request.headers.set("x-order", order.join());
    }`,
    exchanges: [{ want: { client: ok, upstream: { headers: { 'x-order': 'now,first,second,after,third,and' } } } }],
  },
  {
    title: 'microtasks run before timers, and between them (W14)',
    hooks: `async onRequest(request) {
      const order = [];
      setTimeout(() => { order.push("a"); Promise.resolve().then(() => order.push("after a")); });
      setTimeout(() => order.push("b"));
      Promise.resolve().then(() => order.push("then"));
      order.push("sync");
      await sleep(20);
      request.headers.set("x-order", order.join());
    }`,
    exchanges: [{ want: { client: ok, upstream: { headers: { 'x-order': 'sync,then,a,after a,b' } } } }],
  },
  {
    title: 'sleep holds the message in both directions (F029)',
    hooks: `async onRequest(request) { await sleep(10); request.headers.set("x-a", "1"); },
      async onResponse(response) { await sleep(10); response.headers.set("x-b", "2"); }`,
    exchanges: [{ want: { client: { status: 200, headers: { 'x-b': '2' } }, upstream: { headers: { 'x-a': '1' } } } }],
  },
  {
    title: 'an interval goes on until it is ended, also by its own function (W27)',
    hooks: `async onRequest(request) {
      const order = [];
      let turns = 0;
      const own = setInterval((name) => { order.push(name + ++turns); if (turns === 3) clearInterval(own); }, 20, "a");
      clearTimeout(setInterval(() => order.push("never"), 10));
      await sleep(200);
      request.headers.set("x-order", order.join());
    }`,
    exchanges: [{ want: { client: ok, upstream: { headers: { 'x-order': 'a1,a2,a3' } } } }],
  },
  {
    title: 'an interval that throws is told each time, and goes on (W27, F036)',
    hooks: `async onRequest() {
      let turns = 0;
      await new Promise((resolve) => {
        const timer = setInterval(() => {
          if (++turns === 3) { clearInterval(timer); resolve(); }
          throw new Error("turn");
        }, 10);
      });
    }`,
    exchanges: [{ want: { client: ok } }],
    log: ['error E_THROWN', 'error E_THROWN', 'error E_THROWN'],
  },
  {
    title: 'an interval ends with its stream (W27, F035)',
    hooks: `onRequest() { setInterval(() => console.warn("late"), 1); return new Response("now"); }`,
    exchanges: [{ want: { client: { status: 200, body: 'now' } } }],
  },
  {
    title: 'what a timer throws is told, and the exchange goes on (W14, F036)',
    hooks: `async onRequest() { setTimeout(() => { throw new Error("in a timer"); }); await sleep(20); }`,
    exchanges: [{ want: { client: ok } }],
    log: ['error E_THROWN'],
  },
  {
    title: 'a signal with a time limit is aborted (W16)',
    hooks: `async onRequest(request) {
      const signal = AbortSignal.any([AbortSignal.timeout(10), new AbortController().signal]);
      const events = [];
      signal.onabort = (event) => events.push(event.type, event.target === signal);
      await sleep(40);
      request.headers.set("x-told", [signal.aborted, signal.reason.name, ...events].join());
    }`,
    exchanges: [{ want: { client: ok, upstream: { headers: { 'x-told': 'true,TimeoutError,abort,true' } } } }],
  },
  {
    title: 'the clock and random numbers answer (F112)',
    hooks: `onRequest() {
      const times = [Date.now(), new Event("a").timeStamp];
      return Response.json([times.every((time) => time > 0), Math.random() !== Math.random(), new Date().getTimezoneOffset()]);
    }`,
    exchanges: [{ want: { client: { status: 200, body: '[true,true,0]' } } }],
  },
];
