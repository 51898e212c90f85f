// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { Case } from './case.ts';

const ok = { status: 200 };

export const headers: readonly Case[] = [
  {
    title: 'header hooks write both directions (F001)',
    hooks: `onRequest(request) { request.headers.set("x-in", "1"); },
      onResponse(response) { response.headers.set("x-out", "2"); }`,
    exchanges: [
      {
        request: { method: 'POST', path: '/p?q=1', body: 'asked' },
        upstream: { status: 201, body: 'answered' },
        want: {
          client: { status: 201, headers: { 'x-out': '2', 'content-length': '8' }, body: 'answered' },
          upstream: { method: 'POST', path: '/p?q=1', host: 'example.com', headers: { 'x-in': '1' }, body: 'asked' },
        },
      },
    ],
  },
  {
    title: 'a filter without hooks changes nothing (F001)',
    hooks: '',
    exchanges: [
      {
        request: {
          headers: [
            ['X-Mixed', 'Case'],
            ['x-empty', ''],
          ],
        },
        upstream: { status: 404, headers: { 'x-a': '1' }, body: 'none' },
        want: {
          client: { status: 404, headers: { 'x-a': '1' }, body: 'none' },
          upstream: { method: 'GET', headers: { 'x-mixed': 'Case', 'x-empty': '' }, body: '' },
        },
      },
    ],
  },
  {
    title: 'repeated names are joined, absent and empty are told apart (F002, R22)',
    hooks: `onRequest({ headers }) {
      return Response.json([headers.get("X-Multi"), headers.get("x-empty"), headers.get("x-none"), headers.has("X-EMPTY"),
        headers.has("x-none")]);
    }`,
    exchanges: [
      {
        request: {
          headers: [
            ['x-multi', '1'],
            ['x-other', 'o'],
            ['X-Multi', '2, 3'],
            ['x-empty', ''],
          ],
        },
        want: { client: { status: 200, body: '["1, 2, 3","",null,true,false]' }, upstream: null },
      },
    ],
  },
  {
    title: 'names that Envoy keeps one line of are joined by it (F002)',
    hooks: `onRequest({ headers }) {
      headers.append("accept", "c");
      headers.append("x-plain", "c");
      return Response.json([headers.get("accept"), headers.get("x-plain"), [...headers].filter(([name]) => name === "accept")]);
    }`,
    exchanges: [
      {
        request: {
          headers: [
            ['accept', 'a'],
            ['accept', 'b'],
            ['x-plain', 'a'],
            ['x-plain', 'b'],
          ],
        },
        want: { client: { status: 200, body: '["a,b,c","a, b, c",[["accept","a,b,c"]]]' } },
      },
    ],
  },
  {
    title: 'set replaces all lines of a name, append adds one, delete takes all (F003, R22)',
    hooks: `onRequest({ headers }) {
      headers.set("x-set", "new");
      headers.append("x-add", "2");
      headers.delete("x-gone");
      headers.append("x-fresh", "1");
      headers.delete("x-never");
    }`,
    exchanges: [
      {
        request: {
          headers: [
            ['x-set', '1'],
            ['x-add', '1'],
            ['x-gone', '1'],
            ['x-set', '2'],
            ['x-gone', '2'],
          ],
        },
        want: {
          client: ok,
          upstream: { headers: { 'x-set': 'new', 'x-add': ['1', '2'], 'x-gone': null, 'x-fresh': '1', 'x-never': null } },
        },
      },
    ],
  },
  {
    title: 'iteration is sorted, joined and leaves cookies apart (F002)',
    hooks: `onResponse(response) {
      const own = ([name]) => /^(x-|set-cookie)/.test(name);
      console.info(JSON.stringify([...response.headers].filter(own)));
      console.info(JSON.stringify([...response.headers.keys()].filter((name) => own([name]))));
      console.info(JSON.stringify(response.headers.getSetCookie()));
    }`,
    exchanges: [
      {
        upstream: {
          headers: [
            ['x-b', '1'],
            ['x-b', '3'],
            ['set-cookie', 'a=1'],
            ['set-cookie', 'b=2, c'],
            ['x-a', '2'],
          ],
        },
        want: { client: { status: 200, headers: { 'set-cookie': ['a=1', 'b=2, c'], 'x-b': ['1', '3'] } } },
      },
    ],
    log: [
      'info [["set-cookie","a=1"],["set-cookie","b=2, c"],["x-a","2"],["x-b","1, 3"]]',
      'info ["set-cookie","set-cookie","x-a","x-b"]',
      'info ["a=1","b=2, c"]',
    ],
  },
  {
    title: 'iteration sees what is written meanwhile (F003)',
    hooks: `onRequest({ headers }) {
      const seen = [];
      for (const [name, value] of headers) {
        if (!name.startsWith("x-a")) continue;
        seen.push(name + value);
        if (name === "x-a1") headers.set("x-a3", "new");
        if (name === "x-a2") headers.delete("x-a1");
      }
      return Response.json(seen);
    }`,
    exchanges: [
      {
        request: { headers: { 'x-a1': '1', 'x-a2': '2' } },
        want: { client: { status: 200, body: '["x-a11","x-a22"]' } },
      },
    ],
  },
  {
    title: 'values are byte strings in both directions (F006)',
    // A server of Node writes them as UTF-8 over HTTP/1.
    http2: true,
    hooks: `onRequest(request) {
        const value = request.headers.get("x-bytes");
        request.headers.set("x-codes", [...value].map((c) => c.charCodeAt(0)).join());
        request.headers.set("x-back", value);
        request.headers.set("x-made", "\\u00e9\\u00ff\\u0080");
      },
      onResponse(response) { response.headers.set("x-made", response.headers.get("x-up") + "\\u00ff"); }`,
    exchanges: [
      {
        request: { headers: { 'x-bytes': 'a\u00e9\u00ff\u0080z' } },
        upstream: { headers: { 'x-up': '\u00fc' } },
        want: {
          client: { status: 200, headers: { 'x-made': '\u00fc\u00ff' } },
          upstream: { headers: { 'x-codes': '97,233,255,128,122', 'x-back': 'a\u00e9\u00ff\u0080z', 'x-made': '\u00e9\u00ff\u0080' } },
        },
      },
    ],
  },
  {
    title: 'blanks around a value are dropped, inside it they stay (F003)',
    hooks: `onRequest({ headers }) { headers.set("x-a", "  b \\t c\\t "); }`,
    exchanges: [{ want: { client: ok, upstream: { headers: { 'x-a': 'b \t c' } } } }],
  },
  {
    title: 'host is the authority (F004)',
    hooks: `onRequest(request) {
      request.headers.set("x-seen", [request.headers.get("host"), [...request.headers].some(([name]) => name.startsWith(":")),
        request.host].join());
      request.headers.set("host", "other.test:81");
      request.headers.set("x-now", request.host);
    }`,
    exchanges: [
      {
        request: { host: 'shop.test:80' },
        want: {
          client: ok,
          upstream: { host: 'other.test:81', headers: { 'x-seen': 'shop.test:80,false,shop.test:80', 'x-now': 'other.test:81' } },
        },
      },
    ],
  },
  {
    title: 'refused writes change nothing and carry a code (F007, R23)',
    hooks: `onRequest({ headers }) {
      const codes = [["a b", "1"], ["x-a", "1\\r\\n2"], ["x-a", "\\u0100"], ["x-a", ""], ["content-length", "5"], ["connection", "close"]].map(([name, value]) => {
        try { headers.set(name, value); } catch (error) { return error.code; }
      });
      headers.set("x-codes", codes.join());
    }`,
    exchanges: [
      {
        request: { method: 'PUT', body: 'abc' },
        want: {
          client: ok,
          upstream: {
            headers: {
              'x-codes': 'E_HEADER_NAME,E_HEADER_VALUE,E_ARGUMENT,E_EMPTY_VALUE,E_FRAMING_HEADER,E_FRAMING_HEADER',
              'x-a': null,
              'content-length': '3',
            },
            body: 'abc',
          },
        },
      },
    ],
  },
];
