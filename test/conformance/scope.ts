// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { Case } from './case.ts';

const ok = { status: 200 };

export const scope: readonly Case[] = [
  {
    title: 'self is the global object, and navigator says what runs the script (W18)',
    hooks: `onRequest() {
      return Response.json([self === globalThis, self.self === self, navigator.userAgent, String(navigator), String(performance)]);
    }`,
    exchanges: [
      { want: { client: { status: 200, body: '[true,true,"fairlead/0.0.0","[object Navigator]","[object Performance]"]' } } },
    ],
  },
  {
    title: 'performance.now goes on with the time, on the clock of events, from timeOrigin (W18, F096)',
    hooks: `async onRequest(request) {
      const origin = performance.timeOrigin;
      const begin = performance.now();
      const { timeStamp } = new Event("a");
      await sleep(50);
      const took = performance.now() - begin;
      const told = [took >= 50, took < 1000, timeStamp >= begin, timeStamp <= performance.now(), performance.timeOrigin === origin];
      request.headers.set("x-told", told.join());
    }`,
    exchanges: [{ want: { client: ok, upstream: { headers: { 'x-told': 'true,true,true,true,true' } } } }],
  },
  {
    title: 'an error that is reported is logged, and the exchange goes on (W14)',
    hooks: `onRequest(request) {
      reportError(new RangeError("told"));
      reportError("text");
      reportError(Object.assign(new Error("own"), { code: "E_OWN" }));
      request.headers.set("x-told", String(self.reportError(undefined)));
    }`,
    exchanges: [{ want: { client: ok, upstream: { headers: { 'x-told': 'undefined' } } } }],
    log: ['error E_THROWN', 'error E_THROWN', 'error E_OWN', 'error E_THROWN'],
  },
  {
    title: 'errors can be reported while a script loads (W14)',
    hooks: `configure() { reportError(new Error("at load")); }`,
    exchanges: [{ want: { client: ok } }],
    log: ['error E_THROWN'],
  },
  {
    title: 'a regular expression with the flag v takes what classes refuse outside of them (W19)',
    hooks: `onRequest() {
      const seen = ["a-b", "a/b", "a--b", "a::b", "&&", "[[a-z]--b]", "[(]", "[a&&&b]", "[/]"].map((pattern) => {
        try { return new RegExp(pattern, "v").test("a-b a/b a--b a::b && c"); } catch (error) { return error.name; }
      });
      return Response.json(seen);
    }`,
    exchanges: [
      {
        want: {
          client: { status: 200, body: '[true,true,true,true,true,true,"SyntaxError","SyntaxError","SyntaxError"]' },
        },
      },
    ],
  },
];
