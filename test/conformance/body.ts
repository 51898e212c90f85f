// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { Case } from './case.ts';

const post = { method: 'POST', body: 'hello' };

export const body: readonly Case[] = [
  {
    title: 'a body is read whole in each form, once, and goes on (F008)',
    hooks: `async onRequest(request) {
        const forms = { "/text": "text", "/json": "json", "/bytes": "bytes", "/buffer": "arrayBuffer" };
        const value = await request[forms[request.path]]();
        request.headers.set("x-value", JSON.stringify(value.byteLength ?? value));
        request.headers.set("x-again", [request.bodyUsed, await request.text().catch((error) => error.code)].join());
      },
      async onResponse(response) { response.headers.set("x-value", (await response.text()).toUpperCase()); }`,
    exchanges: [
      ['/text', 'hé', '"hé"'],
      ['/json', '{"a":[1]}', '{"a":[1]}'],
      ['/bytes', 'hé', '3'],
      ['/buffer', 'hello', '5'],
    ].map(([path = '', text = '', value = '']) => ({
      request: { method: 'POST', path, body: text },
      upstream: { body: 'ok' },
      want: {
        client: { status: 200, headers: { 'x-value': 'OK' }, body: 'ok' },
        upstream: { headers: { 'x-value': value, 'x-again': 'true,E_BODY_USED' }, body: Buffer.from(text).toString('latin1') },
      },
    })),
  },
  {
    title: 'messages without a body have an empty one, and JSON that is none is a SyntaxError (F008, F073)',
    hooks: `async onRequest(request) {
      if (request.method === "POST") await request.json();
      request.headers.set("x-text", JSON.stringify([await request.text(), request.bodyUsed]));
    }`,
    exchanges: [
      { want: { client: { status: 200 }, upstream: { headers: { 'x-text': '["",false]' } } } },
      { request: { method: 'POST', body: '{' }, want: { client: { status: 500, body: '' }, upstream: null } },
    ],
    log: ['error E_THROWN'],
  },
  {
    title: 'what cannot be read as text says so (F008)',
    hooks: `async onRequest(request) {
        request.headers.set("x-code", await request.text().catch((error) => error.code));
        request.headers.set("x-size", String((await request.bytes()).length));
      },
      async onResponse(response, ctx) { response.headers.set("x-code", await ctx.request.text().catch((error) => error.code)); }`,
    exchanges: [
      {
        request: { ...post, headers: { 'content-encoding': 'br' } },
        want: {
          client: { status: 200, headers: { 'x-code': 'E_BODY_USED' } },
          upstream: { headers: { 'x-code': 'E_BODY_ENCODED', 'x-size': '5' }, body: 'hello' },
        },
      },
    ],
  },
  {
    title: 'a body over body_kb is answered with 413 or 502, in open mode too; caught, it passes (F014, F073)',
    hooks: `async onRequest(request) {
        if (request.path === "/caught") try { await request.text(); } catch (error) { request.headers.set("x-code", error.code); }
        else await request.text();
      },
      async onResponse(response, ctx) { if (ctx.request.path === "/response") await response.text(); }`,
    more: { limits: { body_kb: 1 }, on_error: { mode: 'open' } },
    exchanges: [
      { request: { ...post, body: 'a'.repeat(1024) }, want: { client: { status: 200 }, upstream: { body: 'a'.repeat(1024) } } },
      { request: { ...post, body: 'a'.repeat(1025) }, want: { client: { status: 413, body: '' }, upstream: null } },
      { request: { path: '/response' }, upstream: { body: 'a'.repeat(1025) }, want: { client: { status: 502, body: '' } } },
      {
        request: { ...post, path: '/caught', body: 'a'.repeat(1025) },
        want: { client: { status: 200 }, upstream: { headers: { 'x-code': 'E_BODY_LIMIT' }, body: 'a'.repeat(1025) } },
      },
    ],
    log: ['error E_BODY_LIMIT', 'error E_BODY_LIMIT'],
  },
  {
    title: 'a body is read piece by piece, by a reader, a pipe or a call, and goes on (F008, F018, W10)',
    hooks: `async onRequest(request) {
        const paths = {
          "/pieces": async () => {
            let size = 0;
            for await (const piece of request.body) size += piece.length;
            return size;
          },
          "/pipe": async () => {
            let text = "";
            for await (const part of request.body.pipeThrough(new TextDecoderStream())) text += part;
            return text.toUpperCase();
          },
          "/left": async () => {
            for await (const piece of request.body) break;
            return request.bodyUsed;
          },
          "/call": async () => (await fetch("http://auth/", { method: "POST", body: request.body })).status,
        };
        request.headers.set("x-value", String(await paths[request.path]()));
        request.headers.set("x-again", [request.bodyUsed, await request.text().catch((error) => error.code)].join());
      }`,
    more: { clusters: ['auth'] },
    exchanges: [
      ['/pieces', '5'],
      ['/pipe', 'HELLO'],
      ['/left', 'true'],
      ['/call', '200'],
    ].map(([path = '', value = '']) => ({
      request: { ...post, path },
      clusters: { auth: [{ body: 'x' }] },
      want: {
        client: { status: 200 },
        upstream: { headers: { 'x-value': value, 'x-again': 'true,E_BODY_USED' }, body: 'hello' },
        callouts: path === '/call' ? [{ cluster: 'auth', path: '/', method: 'POST', body: 'hello' }] : [],
      },
    })),
  },
  {
    title: 'a reply is made of the body of the message it answers (F018, F020, F021)',
    hooks: `onRequest: (request) => (request.path === "/echo" ? new Response(request.body, { status: 201 }) : undefined),
      onResponse: (response) => new Response(response.body.pipeThrough(new TextDecoderStream()), { status: 202 })`,
    exchanges: [
      { request: { ...post, path: '/echo' }, want: { client: { status: 201, body: 'hello' }, upstream: null } },
      { request: post, upstream: { body: 'answer' }, want: { client: { status: 202, body: 'answer' }, upstream: { body: 'hello' } } },
    ],
  },
  {
    title: 'a body is read whole, and a reply that comes piece by piece is made of it (F008, F021, F025)',
    hooks: `async onRequest(request) {
        if (request.path !== "/request") return;
        const text = await request.text();
        return new Response((async function* () { yield text; await sleep(5); yield text.toUpperCase(); })());
      },
      async onResponse(response) {
        const whole = await response.bytes();
        return new Response((async function* () { for (const byte of whole) { await sleep(1); yield String(byte); } })());
      }`,
    exchanges: [
      { request: { ...post, path: '/request' }, want: { client: { status: 200, body: 'helloHELLO' }, upstream: null } },
      { request: post, upstream: { body: 'ab' }, want: { client: { status: 200, body: '9798' }, upstream: { body: 'hello' } } },
    ],
  },
  {
    title: 'another body brings its length and no other header (F009, F010, R18)',
    hooks: `async onRequest(request) {
        if (request.path === "/read") request.setBody(await request.text() + "!");
        else if (request.path === "/json") request.setJson({ a: 1 });
        else if (request.path === "/empty") request.setBody(null);
        else request.setBody(new Uint8Array([110, 101, 119]));
      },
      async onResponse(response) { await sleep(1); response.setBody("answer"); }`,
    exchanges: (
      [
        ['/read', post, 'hello!', 'text/plain'],
        ['/json', post, '{"a":1}', 'application/json'],
        ['/empty', post, '', 'text/plain'],
        ['/new', post, 'new', 'text/plain'],
        ['/new', { method: 'GET' }, 'new', 'text/plain'],
      ] as const
    ).map(([path, request, text, type]) => ({
      request: { ...request, path, headers: { 'content-type': 'text/plain', 'x-kept': '1' } },
      upstream: { headers: { etag: '"1"' }, body: 'old' },
      want: {
        client: { status: 200, headers: { 'content-length': '6', etag: '"1"' }, body: 'answer' },
        upstream: { headers: { 'content-type': type, 'x-kept': '1' }, body: text },
      },
    })),
  },
  {
    title: 'answers to HEAD, 204 and 304 stay without a body (F010, R18)',
    hooks: `onResponse(response, ctx) {
      if (ctx.request.path === "/none") response.status = 204;
      else try { response.setBody("more"); } catch (error) { response.headers.set("x-code", error.code); }
    }`,
    exchanges: [
      { upstream: { status: 204 }, want: { client: { status: 204, headers: { 'x-code': 'E_NULL_BODY_STATUS' }, body: '' } } },
      { upstream: { status: 304 }, want: { client: { status: 304, headers: { 'x-code': 'E_NULL_BODY_STATUS' }, body: '' } } },
      {
        request: { method: 'HEAD' },
        upstream: { headers: { 'content-length': '3' } },
        want: { client: { status: 200, headers: { 'x-code': null, 'content-length': '3' }, body: '' } },
      },
      {
        request: { path: '/none' },
        upstream: { body: 'gone' },
        want: { client: { status: 204, headers: { 'content-length': null }, body: '' } },
      },
    ],
  },
  {
    title: 'chunks pass, are replaced or dropped, at once or later; their text is never cut (F011, F012)',
    hooks: `async onRequest(request) { if (request.headers.has("x-wait")) await sleep(2); },
      async onRequestChunk(chunk, ctx) {
        if (ctx.request.headers.has("x-wait")) await sleep(1);
        switch (ctx.request.path) {
          case "/upper": return chunk.text().toUpperCase();
          case "/bytes": return chunk.data.map((byte) => byte + 1);
          case "/tail": return chunk.last ? chunk.text() + "!" : undefined;
          case "/drop": return null;
        }
      }`,
    exchanges: [
      ['/upper', 'STRASSE'],
      ['/bytes', 'tusb\u00c4\u00a0f'],
      ['/tail', 'stra\u00c3\u009fe!'],
      ['/drop', ''],
      ['/pass', 'stra\u00c3\u009fe'],
    ].flatMap(([path = '', text = '']) =>
      [{}, { 'x-wait': '1' }].map((headers) => ({
        request: { method: 'POST', path, headers, body: ['s', 'tra', Buffer.from([0xc3]), Buffer.from([0x9f]), 'e'] },
        want: { client: { status: 200 }, upstream: { headers: { 'content-length': null }, body: text } },
      })),
    ),
  },
  {
    title: 'a whole read is one chunk, and skipped chunks are not shown (F011)',
    hooks: `async onRequest(request, ctx) {
        ctx.state.seen = [];
        if (request.path === "/skip") request.skipChunks(); else await request.text();
      },
      onRequestChunk(chunk, ctx) { ctx.state.seen.push(chunk.text(), chunk.last); },
      onResponse(response, ctx) { response.headers.set("x-seen", JSON.stringify(ctx.state.seen)); }`,
    exchanges: [
      { request: post, want: { client: { status: 200, headers: { 'x-seen': '["hello",true]' } }, upstream: { body: 'hello' } } },
      {
        request: { ...post, path: '/skip' },
        want: { client: { status: 200, headers: { 'x-seen': '[]' } }, upstream: { headers: { 'content-length': '5' }, body: 'hello' } },
      },
    ],
  },
  {
    title: 'a kept chunk refuses every use, and its bytes are the script\'s own (F015, R05)',
    hooks: `onRequestChunk(chunk, ctx) {
        if (ctx.request.path !== "/use") { if (!globalThis.kept) { globalThis.kept = chunk; globalThis.bytes = chunk.data; } return; }
        ctx.state.told ??= [() => kept.data, () => kept.last, () => kept.text()].map((use) => {
          try { use(); return "open"; } catch (error) { return error.code; } });
      },
      onResponse(response, ctx) { response.headers.set("x-told", [...(ctx.state.told ?? ["none"]), String.fromCharCode(...(globalThis.bytes ?? []))].join()); }`,
    exchanges: [
      { request: { ...post, body: 'k' }, want: { client: { status: 200 } } },
      {
        request: { ...post, path: '/use', body: 'other' },
        want: { client: { status: 200, headers: { 'x-told': 'E_DEAD_HANDLE,E_DEAD_HANDLE,E_DEAD_HANDLE,k' } } },
      },
    ],
  },
  {
    title: 'trailers are read, changed and deleted behind the last chunk; none can be made (F005, F128)',
    http2: true,
    hooks: `onRequest(request, ctx) {
        ctx.state.seen = [];
        try { request.trailers.set("x-a", "1"); } catch (error) { ctx.state.seen.push(error.code); }
      },
      onRequestChunk(chunk, ctx) { if (chunk.last) ctx.state.seen.push("last"); },
      async onRequestTrailers(trailers, ctx) {
        await sleep(1);
        ctx.state.seen.push(trailers === ctx.request.trailers, trailers.get("x-end"));
        trailers.set("x-end", ctx.state.seen.join()); trailers.delete("x-gone");
      },
      onResponseTrailers(trailers) { trailers.append("x-more", trailers.get("grpc-status")); }`,
    exchanges: [
      {
        request: { ...post, trailers: { 'x-end': 'client', 'x-gone': '1' } },
        upstream: { body: 'ok', trailers: { 'grpc-status': '0' } },
        want: {
          client: { status: 200, body: 'ok', trailers: { 'grpc-status': '0', 'x-more': '0' } },
          upstream: { body: 'hello', trailers: { 'x-end': 'E_NO_TRAILERS,last,true,client' } },
        },
      },
    ],
  },
  {
    title: 'a chunk hook answers the request, at once or later (F020)',
    hooks: `async onRequestChunk(chunk, ctx) {
      if (ctx.request.path === "/later") await sleep(1);
      return new Response(ctx.request.path, { status: 403 });
    }`,
    exchanges: ['/now', '/later'].map((path) => ({
      request: { ...post, path },
      want: { client: { status: 403, body: path }, upstream: null },
    })),
  },
  {
    title: 'a hook that fails in open mode gives back what it took of the body (F073)',
    hooks: `async onRequest(request) { await request.text(); request.setBody("other"); request.headers.set("x-a", "1"); throw new Error("a"); },
      async onResponse(response) { response.setBody("other"); await sleep(1); throw new Error("b"); }`,
    more: { on_error: { mode: 'open' } },
    exchanges: [
      { request: post, upstream: { body: 'ok' }, want: { client: { status: 200, body: 'ok' }, upstream: { headers: { 'x-a': null, 'content-length': '5' }, body: 'hello' } } },
    ],
    log: ['error E_THROWN'],
  },
];
