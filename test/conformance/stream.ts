// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { Case } from './case.ts';

const ok = { status: 200 };

export const stream: readonly Case[] = [
  {
    title: 'ctx holds one exchange: its messages, its state, its config (F046, F054)',
    hooks: `configure(config, env) { return { name: env.filterName.slice(0, 6), hosts: new Set(config.hosts) }; },
      onRequest(request, ctx) {
        ctx.state.path = request.path;
        request.headers.set("x-ctx", [ctx.request === request, ctx.response, ctx.settings.name, ctx.settings.hosts.has("b"),
          Object.isFrozen(ctx.config.hosts)].join());
      },
      onResponse(response, ctx) { response.headers.set("x-ctx", [ctx.response === response, ctx.state.path, ctx.request.path].join()); },
      onLog(ctx) { console.info(ctx.state.path, ctx.response.status, ctx.signal.aborted); }`,
    more: { config: { hosts: ['a', 'b'] } },
    exchanges: [
      {
        request: { path: '/one' },
        want: {
          client: { status: 200, headers: { 'x-ctx': 'true,/one,/one' } },
          upstream: { headers: { 'x-ctx': 'true,,script,true,true' } },
        },
      },
      { request: { path: '/two' }, want: { client: { status: 200, headers: { 'x-ctx': 'true,/two,/two' } } } },
    ],
    log: ['info /one 200 true', 'info /two 200 true'],
  },
  {
    title: 'what a module keeps stays from one exchange to the next (F057)',
    hooks: `onRequest(request) { globalThis.n = (globalThis.n ?? 0) + 1; request.headers.set("x-n", String(n)); }`,
    exchanges: ['1', '2', '3'].map((n) => ({ want: { client: ok, upstream: { headers: { 'x-n': n } } } })),
  },
  {
    title: 'handles of an exchange that is over refuse every use (F081, R07)',
    hooks: `onRequest(request, ctx) {
      const codes = [];
      for (const use of [(c) => c.request, (c) => c.state, (c, r) => r.url, (c, r) => r.method = "A", (c, r, h) => h.get("a"),
        (c, r, h) => [...h], (c, r, h, i) => i.next()]) {
        try { if (globalThis.kept) use(...kept); } catch (error) { codes.push(error.code); }
      }
      globalThis.kept = [ctx, request, request.headers, request.headers.keys()];
      request.headers.set("x-codes", codes.join() || "none");
    }`,
    exchanges: ['none', Array(7).fill('E_DEAD_HANDLE').join()].map((codes) => ({
      want: { client: ok, upstream: { headers: { 'x-codes': codes } } },
    })),
  },
  {
    title: 'a hook that throws is answered with the status of on_error (F073, R35)',
    hooks: `async onRequest({ path }) {
        if (path === "/sync") throw new TypeError("a");
        await sleep(1);
        if (path === "/async") throw "text";
        if (path === "/null") throw null;
        if (path === "/reject") return Promise.reject(new Error("b"));
      },
      onResponse({ headers }) { if (headers.has("x-bad")) throw new RangeError("c"); }`,
    more: { on_error: { status: 555 } },
    exchanges: [
      ...['/sync', '/async', '/null', '/reject'].map((path) => ({
        request: { path },
        want: { client: { status: 555, body: '' }, upstream: null },
      })),
      { upstream: { headers: { 'x-bad': '1' }, body: 'body' }, want: { client: { status: 555, headers: { 'x-bad': null }, body: '' } } },
      { want: { client: ok } },
    ],
    log: ['error E_THROWN', 'error E_THROWN', 'error E_THROWN', 'error E_THROWN', 'error E_THROWN'],
  },
  {
    title: 'limits end the exchange that meets them and no other (F068, F070, F071, F072)',
    hooks: `async onRequest({ path }) {
      if (path === "/cpu") for (;;);
      if (path === "/stack") { const deeper = () => deeper() + 1; deeper(); }
      if (path === "/memory") { const all = []; for (;;) all.push(new Uint8Array(100000)); }
      if (path === "/wait") await new Promise(() => {});
    }`,
    more: { limits: { cpu_ms: 100, memory_mb: 8, wait_ms: 100 }, on_error: { status: 500, wait_status: 504 } },
    exchanges: [
      ...['/cpu', '/stack', '/memory'].map((path) => ({ request: { path }, want: { client: { status: 500 }, upstream: null } })),
      { request: { path: '/wait' }, want: { client: { status: 504 }, upstream: null } },
      { request: { path: '/fine' }, want: { client: ok } },
    ],
    log: ['error E_CPU_LIMIT', 'error E_STACK_LIMIT', 'error E_MEMORY_LIMIT', 'error E_WAIT_LIMIT'],
  },
  {
    title: 'a hook that gives back what it may not is an error (F073)',
    hooks: `onRequest: (request) => ({ "/value": 5, "/request": request, "/null": null })[request.path]`,
    exchanges: [
      { request: { path: '/value' }, want: { client: { status: 500 }, upstream: null } },
      { request: { path: '/request' }, want: { client: { status: 500 }, upstream: null } },
      { request: { path: '/null' }, want: { client: ok } },
    ],
    log: ['error E_RETURN_VALUE', 'error E_RETURN_REQUEST'],
  },
  {
    title: 'a promise that nobody handles is told once and delays nothing (F036)',
    hooks: `onRequest(request) { Promise.reject(new Error("floating")); request.headers.set("x-a", "1"); }`,
    exchanges: [{ want: { client: ok, upstream: { headers: { 'x-a': '1' } } } }],
    log: ['error E_UNHANDLED_REJECTION'],
  },
  {
    title: 'a throw in onLog is told and nothing else (F073)',
    hooks: `onLog() { throw new Error("late"); }`,
    exchanges: [{ upstream: { body: 'a' }, want: { client: { status: 200, body: 'a' } } }],
    log: ['error E_THROWN'],
  },
  {
    title: 'a client that leaves ends what the filter waits for (F035)',
    hooks: `async onRequest(request, ctx) {
        ctx.signal.addEventListener("abort", () => console.info("aborted", ctx.signal.reason.name));
        try { await sleep(5000); } catch (error) { console.info("sleep", error.name, error.code, request.path);
          } finally { console.info("finally"); }
      },
      onLog(ctx) { console.info("log", ctx.request.path, ctx.response); }`,
    exchanges: [{ request: { path: '/left' }, clientLeavesAtMs: 500, want: { client: null, upstream: null } }],
    log: ['info aborted AbortError', 'info sleep AbortError E_ABORTED /left', 'info finally', 'info log /left null'],
  },
  {
    title: 'gRPC callers get replies and errors as gRPC statuses (F023, R25)',
    http2: true,
    hooks: `onRequest({ path }) {
      if (path === "/deny") return new Response("not you", { status: 403 });
      if (path === "/own") return new Response("é%", { status: 200, headers: { "grpc-status": "9" } });
      if (path === "/throw") throw new Error("a");
    }`,
    exchanges: [
      ['/deny', '7', 'not you'],
      ['/own', '9', null],
      ['/throw', '13', null],
    ].map(([path, status, text]) => ({
      request: { method: 'POST', path: path ?? '', headers: { 'content-type': 'application/grpc', te: 'trailers' }, body: '\0\0\0\0\0' },
      want: {
        client: {
          status: 200,
          headers: { 'content-type': 'application/grpc', 'grpc-status': status ?? null, 'grpc-message': text ?? null },
          body: '',
        },
        upstream: null,
      },
    })),
    log: ['error E_THROWN'],
  },
  {
    title: 'gRPC messages and trailers pass a filter that waits (F016, F039)',
    http2: true,
    hooks: `async onRequest(request) { await sleep(5); request.headers.set("x-a", "1"); }, async onResponse(response) { await sleep(5);
      response.headers.set("x-b", "2"); }`,
    exchanges: [
      {
        request: { method: 'POST', headers: { 'content-type': 'application/grpc', te: 'trailers' }, body: '\0\0\0\0\u0003abc' },
        upstream: { headers: { 'content-type': 'application/grpc' }, body: '\0\0\0\0\u0002ok', trailers: { 'grpc-status': '0' } },
        want: {
          client: { status: 200, headers: { 'x-b': '2' }, body: '\0\0\0\0\u0002ok', trailers: { 'grpc-status': '0' } },
          upstream: { headers: { 'x-a': '1', te: 'trailers' }, body: '\0\0\0\0\u0003abc' },
        },
      },
    ],
  },
  {
    title: 'code generation is off, through every door (F078)',
    hooks: `async onRequest() {
      const doors = [
        () => eval("1"), () => (0, eval)("1"), () => new Function("return 1")(), () => Function("return 1")(),
        () => (() => {}).constructor("return 1")(), () => (async () => {}).constructor("return 1")(),
        () => (function* () {}).constructor("return 1")(), () => (async function* () {}).constructor("return 1")(),
        () => setTimeout("1"), () => import("fairlead"), () => Reflect.construct(Function, ["return 1"])(),
      ];
      const told = [];
      for (const door of doors) try { await door(); told.push("open"); } catch (error) { told.push(error.name); }
      return Response.json(told);
    }`,
    exchanges: [{ want: { client: { status: 200, body: JSON.stringify(Array(11).fill('TypeError')) } } }],
  },
  {
    title: 'each status has its gRPC status (F023)',
    http2: true,
    hooks: `onRequest: ({ path }) => new Response(null, { status: Number(path.slice(1)) })`,
    exchanges: [
      [400, '13'],
      [401, '16'],
      [403, '7'],
      [404, '12'],
      [413, '8'],
      [429, '14'],
      [500, '13'],
      [503, '14'],
      [504, '4'],
      [200, '2'],
      [418, '2'],
    ].map(([status, grpc]) => ({
      request: { method: 'POST', path: `/${status}`, headers: { 'content-type': 'application/grpc+proto', te: 'trailers' } },
      want: { client: { status: 200, headers: { 'grpc-status': String(grpc) }, body: '' }, upstream: null },
    })),
  },
  {
    title: 'what only looks like gRPC is answered as HTTP (F023)',
    http2: true,
    hooks: `onRequest: () => new Response("no", { status: 403 })`,
    exchanges: ['application/grpc-web', 'application/grpcx', 'text/plain'].map((type) => ({
      request: { method: 'POST', headers: { 'content-type': type } },
      want: { client: { status: 403, headers: { 'grpc-status': null }, body: 'no' } },
    })),
  },
  {
    title: 'a gRPC answer can be replaced and can fail in onResponse (F021, F023)',
    http2: true,
    hooks: `onResponse(response) {
      if (response.headers.has("x-throw")) throw new Error("a");
      if (response.headers.has("x-deny")) return new Response("denied", { status: 403 });
    }`,
    exchanges: [
      ...[
        ['x-throw', '13'],
        ['x-deny', '7'],
      ].map(([name = '', status = '']) => ({
        request: { method: 'POST', headers: { 'content-type': 'application/grpc', te: 'trailers' }, body: '\0\0\0\0\0' },
        upstream: { headers: { 'content-type': 'application/grpc', [name]: '1' }, body: '\0\0\0\0\0', trailers: { 'grpc-status': '0' } },
        want: { client: { status: 200, headers: { 'grpc-status': status }, body: '' } },
      })),
      {
        request: { method: 'POST', headers: { 'content-type': 'application/grpc', te: 'trailers' }, body: '\0\0\0\0\0' },
        upstream: { headers: { 'content-type': 'application/grpc', 'grpc-status': '5', 'grpc-message': 'none' } },
        want: { client: { status: 200, headers: { 'grpc-status': '5', 'grpc-message': 'none' }, body: '' } },
      },
    ],
    log: ['error E_THROWN'],
  },
  {
    title: 'a response that waits too long, or whose hook loops, fails (F068, F072)',
    hooks: `async onResponse({ headers }) {
      if (headers.get("x-do") === "wait") await new Promise(() => {});
      if (headers.get("x-do") === "loop") for (;;);
    }`,
    more: { limits: { cpu_ms: 20, wait_ms: 100 } },
    exchanges: [
      { upstream: { headers: { 'x-do': 'wait' }, body: 'held' }, want: { client: { status: 504, headers: { 'x-do': null }, body: '' } } },
      { upstream: { headers: { 'x-do': 'loop' }, body: 'held' }, want: { client: { status: 500, headers: { 'x-do': null }, body: '' } } },
      { upstream: { body: 'fine' }, want: { client: { status: 200, body: 'fine' } } },
    ],
    log: ['error E_WAIT_LIMIT', 'error E_CPU_LIMIT'],
  },
  {
    title: 'odd things that a hook can give back (F073)',
    hooks: `async onRequest({ path }, ctx) {
      if (path === "/error") return Response.error();
      if (path === "/thenable") return { then: (resolve) => resolve(new Response("then", { status: 202 })) };
      if (path === "/used") { const response = new Response("used"); await response.text(); return response; }
      if (path === "/twice") return (globalThis.twice ??= new Response("twice"));
      if (path === "/subclass") return new (class Mine extends Response {})("mine");
      if (path === "/undefined") return undefined;
    }`,
    exchanges: [
      { request: { path: '/error' }, want: { client: { status: 500 }, upstream: null } },
      { request: { path: '/thenable' }, want: { client: { status: 202, body: 'then' }, upstream: null } },
      { request: { path: '/used' }, want: { client: { status: 500 }, upstream: null } },
      { request: { path: '/twice' }, want: { client: { status: 200, body: 'twice' }, upstream: null } },
      { request: { path: '/twice' }, want: { client: { status: 200, body: 'twice' }, upstream: null } },
      { request: { path: '/subclass' }, want: { client: { status: 200, body: 'mine' }, upstream: null } },
      { request: { path: '/undefined' }, want: { client: { status: 200 } } },
    ],
    log: ['error E_RETURN_VALUE', 'error E_BODY_USED'],
  },
  {
    title: 'a reply of Envoy to a gRPC caller passes onResponse (F001, F023)',
    http2: true,
    hooks: `onResponse(response) { response.headers.set("x-hook", [response.status, response.headers.get("grpc-status")].join()); }`,
    exchanges: [
      {
        request: { method: 'POST', headers: { 'content-type': 'application/grpc', te: 'trailers' } },
        upstream: { kind: 'localReply', status: 503, body: 'closed' },
        want: {
          client: { status: 200, headers: { 'x-hook': '200,14', 'grpc-status': '14', 'grpc-message': 'closed' }, body: '' },
          upstream: null,
        },
      },
    ],
  },
  {
    title: 'a reply of an earlier filter to a gRPC caller passes onResponse (F001, F023)',
    http2: true,
    hooks: `onResponse(response) { response.headers.set("x-hook", [response.status, response.headers.get("grpc-status")].join()); }`,
    exchanges: [
      {
        request: { method: 'POST', headers: { 'content-type': 'application/grpc', te: 'trailers' } },
        upstream: { kind: 'earlierReply', status: 403, body: 'no' },
        want: {
          client: { status: 200, headers: { 'x-hook': '200,7', 'grpc-status': '7', 'grpc-message': 'no' }, body: '' },
          upstream: null,
        },
      },
    ],
  },
  {
    title: 'a client that leaves while the response is held (F035)',
    hooks: `async onResponse(response, ctx) { try { await sleep(5000);
      } finally { console.info("finally", response.status, ctx.signal.aborted); } },
      onLog(ctx) { console.info("log", ctx.response.status); }`,
    exchanges: [{ upstream: { body: 'held' }, clientLeavesAtMs: 500, want: { client: null } }],
    log: ['info finally 200 true', 'info log 200'],
  },
  {
    title: 'an error is told with its stack, its cause and its place (F087)',
    hooks: `onRequest() {
      function inner() { throw new RangeError("deep"); }
      try { inner(); } catch (error) { console.error(error); }
      throw new Error("outer", { cause: "a cause" });
    }`,
    exchanges: [{ want: { client: { status: 500 } } }],
    log: ['error RangeError: deep at inner (inline:4:36) < at onRequest (inline:5:13)', 'error E_THROWN'],
  },
  {
    title: 'the caps of a stream hold, and only there (F072)',
    hooks: `async onRequest(request) {
      const codes = [];
      const provoke = async (run) => { try { await run(); } catch (error) { codes.push(error.code); } };
      await provoke(() => { for (let i = 0; i < 65; i++) setTimeout(() => {}, 1000); });
      const calls = await Promise.allSettled(Array.from({ length: 4 }, () => fetch("http://auth/")));
      codes.push(...calls.map(({ reason }) => reason?.code ?? "sent"));
      await provoke(() => { for (let i = 0; i < 257; i++) request.headers.append("x-n", "1"); });
      return Response.json(codes);
    }`,
    more: { clusters: ['auth'], limits: { fetches: 3 } },
    exchanges: [1, 2].map(() => ({
      clusters: { auth: [{}] },
      want: { client: { status: 200, body: '["E_TIMER_LIMIT","sent","sent","sent","E_FETCH_LIMIT","E_HEADER_LIMIT"]' }, upstream: null },
    })),
  },
  {
    title: 'a stream or generator is a reply, from either side (F020, F021, F025)',
    hooks: `async onRequest(request) {
      const letters = async function* () { yield "a"; await sleep(5); yield new Uint8Array([98]); };
      if (request.path === "/generator") return new Response(letters(), { status: 201, headers: { "x-a": "b" } });
      if (request.path === "/stream") return new Response(ReadableStream.from(letters()));
      if (request.path === "/empty") return new Response(ReadableStream.from([]));
    },
    onResponse(response) {
      return new Response((async function* () { yield "c"; await sleep(5); yield "d"; })(), { status: 202 });
    }`,
    exchanges: [
      {
        request: { path: '/generator' },
        want: { client: { status: 201, headers: { 'x-a': 'b', 'content-length': null }, body: 'ab' }, upstream: null },
      },
      { request: { path: '/stream' }, want: { client: { status: 200, body: 'ab' } } },
      { request: { path: '/empty' }, want: { client: { status: 200, body: '' } } },
      { request: { path: '/generator', method: 'HEAD' }, want: { client: { status: 201, headers: { 'x-a': 'b' }, body: '' } } },
      { upstream: { body: 'x' }, want: { client: { status: 202, headers: { 'content-length': '2' }, body: 'cd' } } },
    ],
  },
  {
    title: 'a producer that fails is a failure of its hook, or breaks the reply off (F025, F073)',
    hooks: `onRequest(request) {
      return new Response((async function* () {
        if (request.path === "/late") { yield "a"; await sleep(5); }
        throw new Error("no more");
      })());
    }`,
    exchanges: [
      { want: { client: { status: 500, body: '' } } },
      { request: { path: '/late' }, want: { client: null } },
    ],
    log: ['error E_THROWN', 'error E_THROWN'],
  },
  {
    title: 'a client that leaves ends what gives its reply (F025, F035)',
    hooks: `onRequest(request) {
      return new Response((async function* () {
        try { for (let i = 0; i < 1000; i++) { yield "a"; await sleep(100); } } finally { console.info("over", request.path); }
      })());
    },
    onLog(ctx) { console.info("log"); }`,
    exchanges: [{ clientLeavesAtMs: 500, want: { client: null } }],
    log: ['info over /', 'info log'],
  },
  {
    title: 'an exchange can be reset, at once or later (F026)',
    hooks: `async onRequest(request, ctx) {
      if (request.path === "/later") await sleep(5);
      if (request.path !== "/response") ctx.reset();
    },
    onResponse(response, ctx) { ctx.reset(); }`,
    exchanges: ['/', '/later', '/response'].map((path) => ({ request: { path }, want: { client: null } })),
  },
];
