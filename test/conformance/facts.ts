// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { Case } from './case.ts';

const ok = { status: 200 };
const route = { name: 'named', metadata: { ns: { text: 'é', number: -1.5, flag: true, list: ['a', 1, true] } } };

export const facts: readonly Case[] = [
  {
    title: 'attributes are read by name; what is not known yet or has no text is undefined (F050)',
    hooks: `onRequest(request, { attributes: a }) {
        const names = ["request.path", "request.url_path", "request.query", "request.host", "request.scheme", "request.method",
          "request.referer", "request.useragent", "request.protocol", "response.code", "xds.route_name"];
        request.headers.set("x-facts", names.map((name) => a[name] ?? "-").join("|"));
        request.path = "/changed";
        request.headers.set("x-changed", [a["request.path"], a["request.query"] ?? "-", "request.path" in a, Object.keys(a).includes("health_check")].join("|"));
      },
      onResponse(response, { attributes: a }) {
        response.status = 201;
        response.headers.set("x-facts", [a["response.code"], a["xds.route_name"]].join("|"));
      },
      onLog({ attributes: a }) { console.info(a["response.code"]); }`,
    exchanges: [
      {
        facts: { route },
        request: { path: '/a/b?c=d', headers: { referer: 'http://here/' } },
        upstream: { status: 202 },
        want: {
          client: { status: 201, headers: { 'x-facts': '202|named' } },
          upstream: {
            path: '/changed',
            headers: {
              'x-facts': '/a/b?c=d|/a/b|c=d|example.com|http|GET|http://here/|-|HTTP/1.1|-|named',
              'x-changed': '/changed|-|true|true',
            },
          },
        },
      },
    ],
    log: ['info 201'],
  },
  {
    title: 'metadata of the route is read, that of the exchange read and written (F047, F048, F072, F083)',
    hooks: `onRequest(request, { metadata: m, route }) {
      const of = (use) => { try { return use() ?? "-"; } catch (error) { return error.code; } };
      const keys = ["text", "number", "flag", "list", "absent"];
      console.info(JSON.stringify([keys.map((key) => route.metadata.get("ns", key) ?? null), route.metadata.keys("ns").sort(), route.metadata.namespaces()]));
      m.set("mine", "a", "é"); m.set("mine", "b", 0); m.set("mine", "c", false); m.set("mine", "d", ["x", 2, true]);
      console.info(JSON.stringify([["a", "b", "c", "d", "e"].map((key) => m.get("mine", key) ?? null), m.keys("mine").sort(), m.get("ns", "text") ?? null]));
      console.info(JSON.stringify([of(() => m.set("other", "a", 1)), of(() => m.set("mine", "e", 5n)), of(() => route.metadata.set("mine", "a", 1)), m.keys("other")]));
      let count = 0;
      try { for (; count < 100; count++) m.set("mine", "a", count); } catch (error) { console.info(4 + count, error.code, m.get("mine", "a")); }
    }`,
    more: { metadata: ['mine'] },
    exchanges: [{ facts: { route }, want: { client: ok } }],
    log: [
      'info [["é",-1.5,true,["a",1,true],null],["flag","list","number","text"],["ns"]]',
      'info [["é",0,false,["x",2,true],null],["a","b","c","d"],null]',
      'info ["E_METADATA_NAMESPACE","E_METADATA_VALUE","E_METADATA_VALUE",[]]',
      'info 64 E_METADATA_LIMIT 59',
    ],
  },
  {
    title: 'filter state holds text and bytes from one hook to the next (F049)',
    hooks: `onRequest(request, { filterState: f }) { f.set("text", "é"); f.set("bytes", new Uint8Array([0, 255])); f.set("empty", ""); },
      onResponse(response, { filterState: f }) {
        console.info(JSON.stringify([f.get("text"), [...f.getBytes("bytes")], f.get("empty"), f.get("absent") ?? null, f.getBytes("absent") ?? null]));
      }`,
    exchanges: [{ want: { client: ok } }],
    log: ['info ["é",[0,255],"",null,null]'],
  },
  {
    title: 'options of sockets are numbers and bytes of either connection (F050)',
    hooks: `onRequest(request, ctx) {
      const of = (use) => { try { return use() ?? null; } catch (error) { return error.code; } };
      const [SOL_SOCKET, SO_KEEPALIVE, TCP, TCP_KEEPIDLE] = [1, 9, 6, 4];
      const get = (...key) => { const value = ctx.socketOption(...key); return value instanceof Uint8Array ? [...value] : (value ?? null); };
      console.info(JSON.stringify([get("upstream", TCP, TCP_KEEPIDLE), get("downstream", SOL_SOCKET, SO_KEEPALIVE)]));
      ctx.setSocketOption("upstream", TCP, TCP_KEEPIDLE, 1000);
      ctx.setSocketOption("upstream", TCP, TCP_KEEPIDLE, 1001);
      ctx.setSocketOption("upstream", SOL_SOCKET, SO_KEEPALIVE, new Uint8Array([1, 0, 0, 0]));
      ctx.setSocketOption("downstream", SOL_SOCKET, SO_KEEPALIVE, 1);
      console.info(JSON.stringify([of(() => ctx.setSocketOption("downstream", -1, 2, 3)), of(() => ctx.setSocketOption("upstream", 1, 26, 1)),
        of(() => ctx.setSocketOption("sideways", 1, 9, 1)), of(() => ctx.setSocketOption("upstream", 1, 9, 2 ** 31))]));
      console.info(JSON.stringify([get("upstream", TCP, TCP_KEEPIDLE), get("upstream", SOL_SOCKET, SO_KEEPALIVE), get("downstream", -1, 2)]));
    },
    onResponse(response, ctx) {
      try { ctx.setSocketOption("upstream", 1, 9, 1); } catch (error) { console.info(error.code); }
      ctx.setSocketOption("downstream", 1, 9, 0);
    },
    onLog(ctx) { console.info(ctx.socketOption("upstream", 6, 4), ctx.socketOption("downstream", 1, 9)); }`,
    exchanges: [{ want: { client: ok } }],
    log: [
      'info [null,null]',
      'info ["E_SOCKET_OPTION","E_SOCKET_OPTION","E_ARGUMENT","E_ARGUMENT"]',
      'info [1001,[1,0,0,0],null]',
      'info E_HEADERS_SENT',
      'info 1001 0',
    ],
  },
  {
    title: 'an answer of Envoy or of another filter is told with its reason (F027)',
    hooks: `onResponse(response, { localReply }) { console.info(localReply.status, localReply.details !== ""); },
      onLog({ localReply }) { console.info(localReply.status); }`,
    exchanges: [{ upstream: { kind: 'localReply', status: 418, body: 'tea' }, want: { client: { status: 418, body: 'tea' } } }],
    log: ['info 418 true', 'info 418'],
  },
  {
    title: 'there is none for an answer of the upstream, nor for one of the filter (F027)',
    hooks: `onRequest({ path }) { if (path === "/own") return new Response("own"); },
      onLog({ localReply, request }) { console.info(request.path, localReply); }`,
    exchanges: [{ request: { path: '/own' }, want: { client: { status: 200, body: 'own' } } }, { want: { client: ok } }],
    log: ['info /own null', 'info / null'],
  },
  {
    title: 'without a tracer a span has no ids and does nothing (F091)',
    hooks: `async onRequest(request, { span }) {
      const child = span.spawnChild("a");
      child.setTag("b", 1); child.log("c"); child.finish(); child.finish(); child.setOperation("d");
      span.sampled = true; span.setBaggage("e", "f"); span.finish();
      await fetch("http://auth/", { headers: { traceparent: "own" } });
      console.info(JSON.stringify([span, child].map((s) => [s.traceId, s.spanId, s.sampled, s.getBaggage("e")].map((value) => value ?? null))));
    }`,
    more: { clusters: ['auth'] },
    exchanges: [
      {
        clusters: { auth: [{ status: 200 }] },
        want: { client: ok, callouts: [{ cluster: 'auth', headers: { traceparent: 'own', b3: null } }] },
      },
    ],
    log: ['info [[null,null,null,null],[null,null,null,null]]'],
  },
  {
    title: 'with a tracer spans have ids, children of their own, and calls carry those of the trace (F091)',
    hooks: `async onRequest(request, { span }) {
      const child = span.spawnChild("a");
      const shapes = [span.traceId, span.spanId, child.spanId].map((id) => /^[0-9a-f]{16,32}$/.test(id));
      request.headers.set("x-shapes", [...shapes, child.traceId === span.traceId, child.spanId !== span.spanId].join());
      child.finish();
      request.headers.set("x-after", [child.spanId, child.traceId, span.getBaggage("a")].map((value) => value ?? "none").join());
      const sampled = [span.sampled];
      span.sampled = false;
      sampled.push(span.sampled, span.spawnChild("b").sampled);
      request.headers.set("x-sampled", sampled.map((value) => value ?? "none").join());
      await fetch("http://auth/", { headers: { b3: "own", "x-b3-sampled": "1", "x-b3-traceid": "own" } });
    }`,
    more: { clusters: ['auth'] },
    exchanges: [
      {
        facts: { traced: true },
        clusters: { auth: [{ status: 200 }] },
        want: {
          client: ok,
          upstream: {
            headers: { 'x-shapes': 'true,true,true,true,true', 'x-after': 'none,none,none', 'x-sampled': 'none,false,false' },
          },
          callouts: [{ cluster: 'auth', headers: { traceparent: '00-TRACE-SPAN-00', b3: 'TRACE-SPAN-0', 'x-b3-sampled': null, 'x-b3-traceid': null } }],
        },
      },
    ],
  },
  {
    title: 'parts of an exchange that is over are dead (F081)',
    hooks: `onRequest(request, ctx) {
      const codes = [];
      const uses = [([a]) => a["request.path"], ([, c]) => c.id, ([, , m]) => m.get("a", "b"), ([, , , f]) => f.get("a"), ([, , , , r]) => r.name];
      for (const use of uses) { try { if (globalThis.kept) use(kept); } catch (error) { codes.push(error.code); } }
      globalThis.kept = [ctx.attributes, ctx.connection, ctx.metadata, ctx.filterState, ctx.route];
      request.headers.set("x-codes", codes.join() || "none");
    }`,
    exchanges: ['none', Array(5).fill('E_DEAD_HANDLE').join()].map((codes) => ({
      want: { client: ok, upstream: { headers: { 'x-codes': codes } } },
    })),
  },
];
