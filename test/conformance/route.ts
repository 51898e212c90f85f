// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { Case } from './case.ts';

const ok = { status: 200 };

export const route: readonly Case[] = [
  {
    title: 'the config of a route is laid over that of the filter, and configure() gets both together (F056)',
    hooks: `configure(config) { return JSON.stringify(config.deep) + Object.keys(config).sort(); },
      onRequest(request, { config, settings }) { request.headers.set("x-told", [config.deep.a, config.list, Object.isFrozen(config.deep), settings].join("|")); }`,
    more: { config: { deep: { a: 1, b: 2 }, list: [1, 2], gone: true } },
    exchanges: [
      {
        facts: { route: { config: { config: { deep: { b: null, c: [{ d: null }] }, list: ['é'], gone: null } } } },
        want: {
          client: ok,
          upstream: { headers: { 'x-told': '1|é|true|{"a":1,"c":[{"d":null}]}deep,list' } },
        },
      },
    ],
  },
  {
    title: 'a route leaves the filter out (F056)',
    hooks: 'onRequest(request) { request.headers.set("x-told", "1"); }, onLog() { console.info("log"); }',
    exchanges: [
      { facts: { route: { config: { disabled: true } } }, want: { client: ok, upstream: { headers: { 'x-told': null } } } },
    ],
  },
  {
    title: 'a script of a route stands in the place of the filter\'s, with module variables of its own (F056)',
    hooks: 'onRequest() { return new Response("filter"); }',
    more: { config: { at: 'filter' } },
    exchanges: [1, 2].map((n) => ({
      facts: {
        route: {
          config: { script: { inline: 'let n = 0; export default { onResponse(response, ctx) { response.headers.set("x-n", ctx.config.at + ++n); } };' } },
        },
      },
      want: { client: { status: 200, headers: { 'x-n': `filter${n}` } } },
    })),
  },
  {
    title: "a route's limits and on_error are its own (F056, F073)",
    hooks: 'async onRequest(request) { request.headers.set("x-told", String((await request.text()).length)); }',
    more: { limits: { body_kb: 2 } },
    exchanges: [
      {
        facts: { route: { config: { limits: { body_kb: 1 }, on_error: { mode: 'open' } } } },
        request: { method: 'POST', body: 'a'.repeat(1_500) },
        want: { client: { status: 413 }, upstream: null },
      },
    ],
    log: ['error E_BODY_LIMIT'],
  },
];
