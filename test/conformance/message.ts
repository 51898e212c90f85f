// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { patternBytes, sha256 } from '../harness.ts';
import type { Case } from './case.ts';

const ok = { status: 200 };

const large = patternBytes(3_000_000);
const largeTold = `${large.length} bytes ${sha256(large)}`;

export const message: readonly Case[] = [
  {
    title: 'method, path, host and scheme can be read and written (F004)',
    hooks: `onRequest(request) {
      request.headers.set("x-seen", [request.method, request.path, request.host, request.scheme, request.url].join(" "));
      request.method = "PATCH";
      request.path = "/new?x=2";
      request.host = "new.test";
    }`,
    exchanges: [
      {
        request: { method: 'POST', path: '/old?x=1', host: 'old.test:8080', body: 'a' },
        want: {
          client: ok,
          upstream: {
            method: 'PATCH',
            path: '/new?x=2',
            host: 'new.test',
            headers: { 'x-seen': 'POST /old?x=1 old.test:8080 http http://old.test:8080/old?x=1' },
            body: 'a',
          },
        },
      },
    ],
  },
  {
    title: 'the status of a response can be read and written (F004)',
    hooks: `onResponse(response) {
      response.headers.set("x-seen", [response.status, response.ok, response.statusText, response.type].join());
      response.status = 410;
    }`,
    exchanges: [
      {
        upstream: { status: 404, body: 'gone' },
        want: { client: { status: 410, headers: { 'x-seen': '404,false,,default' }, body: 'gone' } },
      },
    ],
  },
  {
    title: 'a Response of onRequest answers, and the upstream sees nothing (F020, F022)',
    hooks: `onRequest: () => new Response("sign in", { status: 401, headers: [["www-authenticate", "Basic"], ["set-cookie", "a=1"], ["set-cookie", "b=2"]] }),
      onResponse(response) { response.headers.set("x-never", "1"); },
      onLog(ctx) { console.info(ctx.response?.status); }`,
    exchanges: [
      {
        want: {
          client: {
            status: 401,
            headers: {
              'www-authenticate': 'Basic',
              'set-cookie': ['a=1', 'b=2'],
              'content-type': 'text/plain;charset=UTF-8',
              'content-length': '7',
              'x-never': null,
            },
            body: 'sign in',
          },
          upstream: null,
        },
      },
    ],
    log: ['info 401'],
  },
  {
    title: 'a Response without a body has no content-type and no length (F020)',
    hooks: `onRequest: (request) => new Response(null, { status: Number(request.path.slice(1)) })`,
    exchanges: [200, 204, 304, 403].map((status) => ({
      request: { path: `/${status}` },
      want: { client: { status, headers: { 'content-type': null }, body: '' }, upstream: null },
    })),
  },
  {
    title: 'HEAD gets the headers of the answer alone (F020, F010)',
    hooks: `onRequest: () => new Response("twelve bytes", { headers: { "x-a": "b" } })`,
    exchanges: [
      {
        request: { method: 'HEAD' },
        want: { client: { status: 200, headers: { 'x-a': 'b' }, body: '' }, upstream: null },
      },
    ],
  },
  {
    title: 'a Response takes text, bytes, JSON and forms (F020, W08)',
    hooks: `onRequest({ path }) {
      if (path === "/bytes") return new Response(new Uint8Array([0, 128, 255]));
      if (path === "/json") return Response.json({ a: [1, "é"] }, { status: 201 });
      if (path === "/form") return new Response(new URLSearchParams({ q: "x y" }));
      if (path === "/redirect") return Response.redirect("http://other.test/a", 307);
      return new Response("é");
    }`,
    exchanges: [
      { request: { path: '/' }, want: { client: { status: 200, body: '\u00c3\u00a9', headers: { 'content-length': '2' } } } },
      // Envoy gives a reply that has a body and no type its own.
      { request: { path: '/bytes' }, want: { client: { status: 200, body: '\u0000\u0080\u00ff' } } },
      {
        request: { path: '/json' },
        want: { client: { status: 201, body: '{"a":[1,"\u00c3\u00a9"]}', headers: { 'content-type': 'application/json' } } },
      },
      {
        request: { path: '/form' },
        want: { client: { status: 200, body: 'q=x+y', headers: { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' } } },
      },
      { request: { path: '/redirect' }, want: { client: { status: 307, body: '', headers: { location: 'http://other.test/a' } } } },
    ],
  },
  {
    title: 'a Response of onResponse takes the place of the upstream’s (F021)',
    hooks: `onResponse: (response) => response.status < 500 ? response : new Response("sorry", { status: 502, headers: {
      "x-was": String(response.status) } })`,
    exchanges: [
      {
        upstream: { status: 503, headers: { 'x-up': '1' }, body: 'long story' },
        want: { client: { status: 502, headers: { 'x-was': '503', 'x-up': null, 'content-length': '5' }, body: 'sorry' } },
      },
      { upstream: { status: 200, body: 'fine' }, want: { client: { status: 200, body: 'fine' } } },
    ],
  },
  {
    title: 'answers of Envoy and of other filters pass onResponse (F001)',
    hooks: `onRequest(request, ctx) { ctx.state.seen = true; },
      onResponse(response, ctx) { response.headers.set("x-hook", [response.status, ctx.state.seen].join()); }`,
    exchanges: [
      {
        upstream: { kind: 'localReply', status: 503, body: 'closed' },
        want: { client: { status: 503, headers: { 'x-hook': '503,true' }, body: 'closed' }, upstream: null },
      },
    ],
  },
  {
    title: 'an answer before onRequest passes onResponse alone (F001)',
    hooks: `onRequest() { console.info("never"); },
      onResponse(response, ctx) { response.headers.set("x-hook", [response.status, ctx.request.path].join()); }`,
    exchanges: [
      {
        request: { path: '/early' },
        upstream: { kind: 'earlierReply', status: 403, body: 'no' },
        want: { client: { status: 403, headers: { 'x-hook': '403,/early' }, body: 'no' }, upstream: null },
      },
    ],
  },
  {
    title: 'an upstream that breaks off is Envoy’s 503 (F001)',
    hooks: `onResponse(response) { response.headers.set("x-hook", String(response.status)); }`,
    exchanges: [
      {
        upstream: { kind: 'disconnect' },
        want: {
          client: {
            status: 503,
            headers: { 'x-hook': '503', 'content-type': 'text/plain' },
            body: 'upstream connect error or disconnect/reset before headers. reset reason: connection termination',
          },
        },
      },
    ],
  },
  {
    title: 'bodies pass whole while hooks wait, whatever their frames (F013, F015)',
    hooks: `async onRequest() { await sleep(10); }, async onResponse() { await sleep(10); }`,
    exchanges: [
      {
        request: { method: 'POST', body: ['one', 'two', 'three'] },
        upstream: { body: ['four', 'five', 'six'] },
        want: { client: { status: 200, body: 'fourfivesix' }, upstream: { body: 'onetwothree' } },
      },
      {
        request: { method: 'POST', body: 'a'.repeat(60_000) },
        upstream: { body: 'b'.repeat(60_000) },
        want: { client: { status: 200, body: 'b'.repeat(60_000) }, upstream: { body: 'a'.repeat(60_000) } },
      },
    ],
  },
  {
    title: 'an answer that comes before the request’s end passes (F001)',
    hooks: `onResponse(response) { response.headers.set("x-hook", "1"); }`,
    exchanges: [
      {
        request: { method: 'POST', body: 'asked' },
        upstream: { status: 202, early: true, body: 'early' },
        want: { client: { status: 202, headers: { 'x-hook': '1' }, body: 'early' } },
      },
    ],
  },
  {
    title: 'trailers pass in both directions (F013)',
    http2: true,
    hooks: `async onRequest() { await sleep(5); }, async onResponse() { await sleep(5); }`,
    exchanges: [
      {
        request: { method: 'POST', body: 'asked', trailers: { 'x-in': '1' } },
        upstream: { body: 'answered', trailers: { 'x-out': '2' } },
        want: {
          client: { status: 200, body: 'answered', trailers: { 'x-out': '2' } },
          upstream: { body: 'asked', trailers: { 'x-in': '1' } },
        },
      },
    ],
  },
  {
    title: 'a body larger than any buffer passes while hooks wait (F013)',
    hooks: `async onRequest() { await sleep(30); }, async onResponse() { await sleep(30); }`,
    exchanges: [
      {
        request: { method: 'POST', body: large },
        upstream: { body: large },
        want: { client: { status: 200, body: largeTold }, upstream: { body: largeTold } },
      },
    ],
  },
  {
    title: 'what has no body stays without one (F010)',
    hooks: `async onResponse(response) { await sleep(1); response.headers.set("x-hook", String(response.status)); }`,
    exchanges: [
      {
        request: { method: 'HEAD' },
        upstream: { headers: { 'content-length': '7' } },
        want: { client: { status: 200, headers: { 'x-hook': '200', 'content-length': '7' }, body: '' } },
      },
      { upstream: { status: 204 }, want: { client: { status: 204, headers: { 'x-hook': '204' }, body: '' } } },
      {
        upstream: { status: 304, headers: { etag: '"a"' } },
        want: { client: { status: 304, headers: { 'x-hook': '304', etag: '"a"' }, body: '' } },
      },
    ],
  },
  {
    title: 'HEAD has no body, whatever the upstream would answer (F010)',
    hooks: `onResponse(response) { response.headers.set("x-hook", "1"); }`,
    exchanges: [
      {
        request: { method: 'HEAD' },
        upstream: { body: 'seven b' },
        want: { client: { status: 200, headers: { 'x-hook': '1', 'content-length': '7' }, body: '' } },
      },
    ],
  },
  {
    title: 'an empty body is not the same as none (F020)',
    hooks: `onRequest: ({ path }) => new Response(path === "/empty" ? "" : path === "/bytes" ? new Uint8Array(0) : undefined)`,
    exchanges: ['/empty', '/bytes', '/none'].map((path) => ({
      request: { path },
      want: { client: { status: 200, headers: { 'content-type': null }, body: '' }, upstream: null },
    })),
  },
  {
    title: 'framing headers of a Response do not frame it (F020, R18)',
    hooks: `onRequest: () => new Response("four", { headers: {
      "content-length": "99", "transfer-encoding": "chunked", connection: "close", "x-empty": "", "content-type": "text/x" } })`,
    exchanges: [
      {
        want: {
          client: { status: 200, headers: { 'content-length': '4', 'content-type': 'text/x' }, body: 'four' },
          upstream: null,
        },
      },
    ],
  },
  {
    title: 'a large reply arrives whole (F020)',
    hooks: `onRequest: () => new Response("0123456789".repeat(100000))`,
    exchanges: [
      {
        want: { client: { status: 200, body: `1000000 bytes ${sha256(Buffer.from('0123456789'.repeat(100_000)))}` } },
      },
    ],
  },
  {
    title: 'a reply from onResponse may have no body where the upstream had one, and the reverse (F021)',
    hooks: `onResponse: async (response) => { await sleep(1);
      return response.status === 200 ? new Response(null, { status: 204 }) : Response.json({ was: response.status }); }`,
    exchanges: [
      { upstream: { status: 200, body: ['long', 'body'] }, want: { client: { status: 204, headers: { 'content-type': null }, body: '' } } },
      { upstream: { status: 404 }, want: { client: { status: 200, headers: { 'content-length': '11' }, body: '{"was":404}' } } },
      { request: { method: 'HEAD' }, upstream: { status: 404 }, want: { client: { status: 200, body: '' } } },
    ],
  },
  {
    title: 'an answer of Envoy can be replaced (F021)',
    hooks: `onResponse: async (response) => { await sleep(1); return new Response("was " + response.status, { status: 299 }); }`,
    exchanges: [
      {
        upstream: { kind: 'localReply', status: 404, body: 'direct' },
        want: { client: { status: 299, body: 'was 404' }, upstream: null },
      },
    ],
  },
  {
    title: 'an answer of an earlier filter can be replaced (F021)',
    hooks: `onResponse: (response) => new Response("was " + response.status, { status: 299, headers: { "x-a": "b" } })`,
    exchanges: [
      {
        upstream: { kind: 'earlierReply', status: 401, body: 'lua' },
        want: { client: { status: 299, headers: { 'x-a': 'b' }, body: 'was 401' }, upstream: null },
      },
    ],
  },
  {
    title: 'an upstream that breaks off while the response is held is told apart from an answer (F001)',
    hooks: `async onRequest(request) { await sleep(5); }, onLog(ctx) { console.info(ctx.response.status, ctx.request.path); }`,
    exchanges: [{ request: { path: '/a' }, upstream: { kind: 'disconnect', delayMs: 5 }, want: { client: { status: 503 } } }],
    log: ['info 503 /a'],
  },
  {
    title: 'one-line names of responses are joined, others stay lines (F002)',
    hooks: `onResponse({ headers }) {
      headers.append("vary", "c"); headers.append("x-a", "3"); headers.append("via", "f");
      console.info(headers.get("vary"), headers.get("x-a"), headers.get("via"), headers.get("etag"));
    }`,
    exchanges: [
      {
        upstream: {
          headers: [
            ['vary', 'a'],
            ['vary', 'b'],
            ['x-a', '1'],
            ['x-a', '2'],
            ['via', 'e'],
            ['etag', '"x"'],
          ],
        },
        want: { client: { status: 200, headers: { vary: 'a,b,c', 'x-a': ['1', '2', '3'], via: 'e,f', etag: '"x"' } } },
      },
    ],
    log: ['info a,b,c 1, 2, 3 e,f "x"'],
  },
  {
    title: 'the path is kept as it stands on the wire (F004)',
    hooks: `onRequest(request) { request.headers.set("x-path", request.path); request.headers.set("x-url", request.url); }`,
    exchanges: ['/a%20b%2Fc', '//double//', '/../up/./x', '/q?a=b?c&d=%zz', '/%C3%A9', '/;m=1,2/(x)'].map((path) => ({
      request: { path },
      want: { client: ok, upstream: { path, headers: { 'x-path': path, 'x-url': `http://example.com${path}` } } },
    })),
  },
  {
    title: 'blanks around values are gone before a filter sees them (F002)',
    hooks: `onRequest({ headers }) { headers.set("x-seen", JSON.stringify(headers.get("x-blank"))); },
      onResponse({ headers }) { headers.set("x-seen", JSON.stringify(headers.get("x-blank"))); }`,
    exchanges: [
      {
        request: { headers: { 'x-blank': '  a b\t ' } },
        upstream: { headers: { 'x-blank': ' \t c  d ' } },
        want: {
          client: { status: 200, headers: { 'x-seen': '"c  d"' } },
          upstream: { headers: { 'x-seen': '"a b"' } },
        },
      },
    ],
  },
  {
    title: 'an answer before the request’s end may replace it (F021)',
    hooks: `onResponse: (response) => new Response("instead of " + response.status, { status: 418 })`,
    exchanges: [
      {
        request: { method: 'POST', body: 'a'.repeat(1000) },
        upstream: { status: 202, early: true, body: 'early' },
        want: { client: { status: 418, body: 'instead of 202' } },
      },
    ],
  },
  {
    title: 'a reply while the request’s body is still on its way (F020)',
    hooks: `async onRequest({ path }) { if (path === "/wait") await sleep(20); return new Response("no thanks", { status: 413 }); }`,
    exchanges: ['/now', '/wait'].map((path) => ({
      request: { method: 'POST', path, body: 'a'.repeat(30_000) },
      want: { client: { status: 413, body: 'no thanks' }, upstream: null },
    })),
  },
  {
    title: 'names of any letter case in a Response go out in lower case, cookies stay lines (F020, F002)',
    hooks: `onRequest() {
      const headers = new Headers({ "X-Upper": "a", "set-cookie": "a=1" });
      headers.append("Set-Cookie", "b=2"); headers.append("x-upper", "b"); headers.append("Vary", "c"); headers.append("vary", "d");
      return new Response(null, { headers });
    }`,
    exchanges: [
      {
        want: {
          client: { status: 200, headers: { 'x-upper': ['a', 'b'], 'set-cookie': ['a=1', 'b=2'], vary: 'c,d' } },
          upstream: null,
        },
      },
    ],
  },
  {
    title: 'a status without a body takes the body from a response that has one (F004, R18)',
    hooks: `onResponse(response) { response.status = 205; }`,
    exchanges: [{ upstream: { status: 200, body: 'gone' }, want: { client: { status: 205, body: '' } } }],
  },
  {
    title: 'each kind of answer reaches onLog (F022)',
    hooks: `onRequest({ path }) { if (path === "/reply") return new Response("a", { status: 202, headers: { "x-a": "b" } });
      if (path === "/throw") throw 1; },
      onResponse({ headers }) { if (headers.has("x-replace")) return new Response("b", { status: 203 }); },
      onLog(ctx) { console.info(ctx.request.path, ctx.response.status, ctx.response.headers.get("x-a")); }`,
    exchanges: [
      { request: { path: '/reply' }, want: { client: { status: 202 } } },
      { request: { path: '/throw' }, want: { client: { status: 500 } } },
      { request: { path: '/replace' }, upstream: { headers: { 'x-replace': '1' } }, want: { client: { status: 203 } } },
      { request: { path: '/pass' }, upstream: { headers: { 'x-a': 'up' } }, want: { client: { status: 200 } } },
      { request: { path: '/broken' }, upstream: { kind: 'disconnect' }, want: { client: { status: 503 } } },
    ],
    log: [
      'info /reply 202 b',
      'error E_THROWN',
      'info /throw 500 null',
      'info /replace 203 null',
      'info /pass 200 up',
      'info /broken 503 null',
    ],
  },
];
