// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { CalloutDescription } from '../../bundler/emulator.ts';
import type { Case } from './case.ts';

const clusters = { clusters: { auth: 'auth', other: 'other', closed: 'closed', empty: 'empty', nobody: 'nobody' } };

/** One call, told to the upstream: status and body, or the error. */
const tell = (init: string): string => `async onRequest(request) {
  let told;
  try {
    const answer = await fetch("http://" + request.path.slice(1)${init});
    told = [answer.status, answer.ok, answer.type, answer.url, answer.redirected, await answer.text()].join(" ");
  } catch (error) { told = [error.name, error.code].join(" "); }
  request.headers.set("x-told", told);
}`;

function told(title: string, host: string, answer: CalloutDescription | undefined, text: string): Case {
  const timesOut = text.endsWith('E_FETCH_TIMEOUT');
  return {
    title,
    hooks: tell(timesOut ? ', { timeoutMs: 100 }' : ''),
    more: clusters,
    cutsCalls: timesOut,
    exchanges: [
      {
        request: { path: `/${host}/a` },
        ...(answer !== undefined && { clusters: { [host]: [answer] } }),
        want: { client: { status: 200 }, upstream: { headers: { 'x-told': text } } },
      },
    ],
  };
}

const unavailable = 'upstream connect error or disconnect/reset before headers. reset reason:';

export const fetch: readonly Case[] = [
  {
    title: 'fetch sends method, path, headers and body, and gives the answer (F030)',
    hooks: `async onRequest(request) {
      const answer = await fetch("http://auth:81/verify?a=1", {
        method: "PUT", body: "token", headers: { "x-token": "é", "content-type": "text/x" },
      });
      request.headers.set("x-status", String(answer.status));
      request.headers.set("x-user", answer.headers.get("x-user"));
      request.headers.set("x-body", JSON.stringify(await answer.json()));
    }`,
    more: clusters,
    exchanges: [
      {
        clusters: {
          auth: [
            {
              status: 201,
              headers: [
                ['x-user', 'ann'],
                ['x-user', 'bob'],
              ],
              body: '{"a":1}',
            },
          ],
        },
        want: {
          client: { status: 200 },
          upstream: { headers: { 'x-status': '201', 'x-user': 'ann, bob', 'x-body': '{"a":1}' } },
          callouts: [
            {
              cluster: 'auth',
              method: 'PUT',
              path: '/verify?a=1',
              headers: { 'x-token': '\u00e9', 'content-type': 'text/x' },
              body: 'token',
            },
          ],
        },
      },
    ],
  },
  {
    title: 'fetch types its body and drops headers of the hop (F030, W09)',
    hooks: `async onRequest() {
      await fetch("http://auth/1", { method: "POST", body: new URLSearchParams({ q: "x y" }) });
      await fetch("http://auth/2", { method: "POST", body: new Uint8Array([0, 255]) });
      await fetch("http://auth/3", { headers: { host: "evil", connection: "x-a", te: "gzip", "x-a": "1" } });
      await fetch(new Request("http://auth/4", { method: "DELETE", headers: { "x-b": "2" } }));
      await fetch("http://auth/5", { method: "HEAD" });
    }`,
    more: clusters,
    exchanges: [
      {
        clusters: { auth: [{ body: 'x' }] },
        want: {
          client: { status: 200 },
          callouts: [
            { cluster: 'auth', path: '/1', headers: { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' }, body: 'q=x+y' },
            { cluster: 'auth', path: '/2', headers: { 'content-type': null }, body: '\u0000\u00ff' },
            { cluster: 'auth', path: '/3', method: 'GET', headers: { te: null, 'x-a': '1' } },
            { cluster: 'auth', path: '/4', method: 'DELETE', headers: { 'x-b': '2' } },
            { cluster: 'auth', path: '/5', method: 'HEAD' },
          ],
        },
      },
    ],
  },
  told('an error status is an answer (F033)', 'auth', { status: 503, body: 'busy' }, '503 false basic http://auth/a false busy'),
  told('an answer comes in pieces (F030)', 'auth', { body: ['a', 'b', 'c'], frameDelayMs: 5 }, '200 true basic http://auth/a false abc'),
  told('an empty answer has an empty text (F030)', 'auth', { status: 204 }, '204 true basic http://auth/a false'),
  told('a call of which nothing comes times out (F032)', 'auth', { kind: 'silent' }, 'TimeoutError E_FETCH_TIMEOUT'),
  told('a call whose body is late times out (F032)', 'auth', { body: 'a', frameDelayMs: 1000 }, 'TimeoutError E_FETCH_TIMEOUT'),
  told('an answer that breaks off is a reset (F033)', 'auth', { kind: 'reset', body: 'half' }, 'TypeError E_FETCH_RESET'),
  told(
    'a connection that ends before the answer is Envoy’s 503 (F033, R24)',
    'auth',
    { kind: 'disconnect' },
    `503 false basic http://auth/a false ${unavailable} connection termination`,
  ),
  told('a cluster without hosts is an error (F033, R24)', 'empty', { kind: 'noHost' }, 'TypeError E_FETCH_NO_HOST'),
  told('a cluster that Envoy does not know is an error (F033)', 'nobody', undefined, 'TypeError E_FETCH_CLUSTER_UNKNOWN'),
  told('a host that the config does not list is an error (F080)', 'elsewhere', undefined, 'TypeError E_FETCH_CLUSTER_NOT_ALLOWED'),
  {
    title: 'a call with keepalive is taken at once, and arrives (F040)',
    hooks: `async onRequest(request) {
        const told = [];
        const call = async (init) => {
          try { const answer = await fetch("http://auth/audit", { method: "POST", keepalive: true, ...init }); told.push(answer.status + answer.type + answer.url + (await answer.text())); }
          catch (error) { told.push(error.code); }
        };
        await call({ body: "x".repeat(65536) });
        await call({ body: "x".repeat(65537) });
        request.headers.set("x-told", told.join(", "));
      }`,
    more: clusters,
    exchanges: [
      {
        request: { path: '/a' },
        clusters: { auth: [{ body: 'thanks' }] },
        // Another thread makes the call: it has arrived by then.
        upstream: { delayMs: 200 },
        want: {
          client: { status: 200 },
          upstream: { headers: { 'x-told': '202default, E_FETCH_KEEPALIVE' } },
          callouts: [{ cluster: 'auth', method: 'POST', path: '/audit' }],
        },
      },
    ],
  },
  {
    title: 'a call is made anew as often as its policy says, and of a method or body that allows it (F037)',
    hooks: `async onRequest(request) {
      const told = [];
      const call = async (path, init) => {
        try { const answer = await fetch("http://auth" + path, init); told.push(answer.status + " " + (await answer.text())); }
        catch (error) { told.push(error.code); }
      };
      await call("/two", { method: "PUT", body: "b", retry: 2 });
      await call("/one", { retry: 1 });
      await call("/500", { retry: 1 });
      await call("/500", { retry: { numRetries: 1, retryOn: ["5xx"] } });
      await call("/cut", { retry: { numRetries: 1, retryOn: ["reset"], maxIntervalMs: 100 } });
      await call("/silent", { retry: { numRetries: 1, perTryTimeoutMs: 200 } });
      await call("/post", { method: "POST", body: "b", retry: 1 });
      await call("/post", { method: "POST", body: "b", retry: { numRetries: 1, idempotent: true } });
      request.headers.set("x-told", told.join(", "));
    }`,
    more: clusters,
    exchanges: [
      {
        clusters: {
          auth: [
            { path: '/two', times: 2, status: 503 },
            { path: '/two', body: 'third' },
            { path: '/one', times: 2, status: 503, body: 'busy' },
            { path: '/500', times: 2, status: 500, body: 'no' },
            { path: '/500', body: 'after' },
            { path: '/cut', times: 1, kind: 'reset', headers: { 'content-length': '8' }, body: 'half' },
            { path: '/cut', body: 'whole' },
            { path: '/silent', times: 1, kind: 'silent' },
            { path: '/silent', body: 'spoken' },
            { path: '/post', times: 1, status: 502 },
            { path: '/post', body: 'posted' },
          ],
        },
        want: {
          client: { status: 200 },
          upstream: { headers: { 'x-told': '200 third, 503 busy, 500 no, 200 after, 200 whole, 200 spoken, E_FETCH_RETRY, 200 posted' } },
          callouts: [
            ...Array.from({ length: 3 }, () => ({ cluster: 'auth', method: 'PUT', path: '/two', body: 'b' })),
            ...['/one', '/one', '/500', '/500', '/500', '/cut', '/cut', '/silent', '/silent'].map((path) => ({ cluster: 'auth', path })),
            ...Array.from({ length: 2 }, () => ({ cluster: 'auth', method: 'POST', path: '/post', body: 'b' })),
          ],
        },
      },
    ],
  },
  {
    title: 'redirects are followed, refused or shown, and credentials stay (F030)',
    hooks: `async onRequest(request) {
      const told = [];
      for (const redirect of ["follow", "manual", "error"]) {
        try {
          const answer = await fetch("http://auth/a", { method: "POST", body: "b", redirect, headers: {
            authorization: "secret", "x-a": "1" } });
          told.push(answer.status, answer.redirected, answer.url, await answer.text());
        } catch (error) { told.push(error.code); }
      }
      request.headers.set("x-told", told.join(" "));
    }`,
    more: clusters,
    exchanges: [
      {
        clusters: {
          auth: [{ status: 302, headers: { location: 'http://other/b' }, body: 'moved' }],
          other: [{ body: 'here' }],
        },
        want: {
          client: { status: 200 },
          upstream: { headers: { 'x-told': '200 true http://other/b here 302 false http://auth/a moved E_FETCH_REDIRECT' } },
          callouts: [
            { cluster: 'auth', method: 'POST', headers: { authorization: 'secret' }, body: 'b' },
            { cluster: 'auth', method: 'POST' },
            { cluster: 'auth', method: 'POST' },
            { cluster: 'other', method: 'GET', path: '/b', headers: { authorization: null, 'x-a': '1', 'content-length': null }, body: '' },
          ],
        },
      },
    ],
  },
  {
    title: 'calls side by side settle in the order of their answers (F031)',
    cutsCalls: true,
    hooks: `async onRequest(request) {
      const order = [];
      const call = async (host) => { const answer = await fetch("http://" + host + "/"); order.push(await answer.text()); return host; };
      const all = await Promise.all([call("auth"), call("other")]);
      const first = await Promise.race([call("auth"), call("other")]);
      request.headers.set("x-told", [...order.slice(0, 2), ...all, first].join());
    }`,
    more: clusters,
    exchanges: [
      {
        clusters: { auth: [{ body: 'slow', delayMs: 700 }], other: [{ body: 'quick' }] },
        want: { client: { status: 200 }, upstream: { headers: { 'x-told': 'quick,slow,auth,other,other' } } },
      },
    ],
  },
  {
    title: 'a call can be taken back (F032, W16)',
    cutsCalls: true,
    hooks: `async onRequest(request) {
      const controller = new AbortController();
      setTimeout(() => controller.abort(new RangeError("enough")), 20);
      const told = [];
      for (const signal of [() => controller.signal, () => AbortSignal.timeout(20), () => AbortSignal.abort()]) {
        try { await fetch("http://auth/", { signal: signal() }); } catch (error) { told.push(error.name); }
      }
      request.headers.set("x-told", told.join());
    }`,
    more: clusters,
    exchanges: [
      {
        clusters: { auth: [{ kind: 'silent' }] },
        want: { client: { status: 200 }, upstream: { headers: { 'x-told': 'RangeError,TimeoutError,AbortError' } } },
      },
    ],
  },
  {
    title: 'a fetched answer can be given to the client, from either hook (F020, F021)',
    hooks: `async onRequest(request) {
        if (request.path !== "/in") return;
        const answer = await fetch("http://auth/");
        return new Response(await answer.bytes(), answer);
      },
      async onResponse(response) {
        const answer = await fetch("http://other/");
        return new Response("was " + response.status + ", is " + await answer.text(), { status: answer.status });
      }`,
    more: clusters,
    exchanges: [
      {
        request: { path: '/in' },
        clusters: { auth: [{ status: 403, headers: { 'x-why': 'no' }, body: 'denied' }] },
        want: { client: { status: 403, headers: { 'x-why': 'no' }, body: 'denied' }, upstream: null },
      },
      {
        upstream: { status: 200, body: 'original' },
        clusters: { other: [{ status: 202, body: 'replaced' }] },
        want: { client: { status: 202, body: 'was 200, is replaced' } },
      },
    ],
  },
  {
    title: 'headers of a fetched answer are read-only, its body is read once (W08, F030)',
    hooks: `async onRequest(request) {
      const answer = await fetch("http://auth/");
      const told = [];
      try { answer.headers.set("a", "b"); } catch (error) { told.push(error.code); }
      const copy = answer.clone();
      told.push(await answer.text(), answer.bodyUsed, await copy.text());
      try { await answer.text(); } catch (error) { told.push(error.code); }
      request.headers.set("x-told", told.join());
    }`,
    more: clusters,
    exchanges: [
      {
        clusters: { auth: [{ body: 'once' }] },
        want: { client: { status: 200 }, upstream: { headers: { 'x-told': 'E_IMMUTABLE,once,true,once,E_BODY_USED' } } },
      },
    ],
  },
  {
    title: 'a method and a path choose the answer, so often as it says (F112)',
    hooks: `async onRequest(request) {
      const told = [];
      for (const [method, path] of [["GET", "/a"], ["POST", "/a"], ["GET", "/b"], ["GET", "/b"]]) {
        told.push(await (await fetch("http://auth" + path, { method })).text());
      }
      request.headers.set("x-told", told.join());
    }`,
    more: clusters,
    exchanges: [
      {
        clusters: { auth: [{ path: '/b', times: 1, body: 'b once' }, { method: 'POST', body: 'post' }, { body: 'rest' }] },
        want: { client: { status: 200 }, upstream: { headers: { 'x-told': 'rest,post,b once,rest' } } },
      },
    ],
  },
  told(
    'no connection is Envoy’s 503 (F033, R24)',
    'closed',
    { kind: 'refused' },
    `503 false basic http://closed/a false ${unavailable} remote connection failure`,
  ),
  {
    title: 'answers without bodies, and HEAD (F030)',
    hooks: `async onRequest(request) {
      const told = [];
      for (const [method, path] of [["GET", "/204"], ["GET", "/304"], ["HEAD", "/200"], ["GET", "/trailers"]]) {
        const answer = await fetch("http://auth" + path, { method });
        told.push(answer.status, JSON.stringify(await answer.text()), answer.headers.get("content-length"));
      }
      request.headers.set("x-told", told.join());
    }`,
    more: clusters,
    exchanges: [
      {
        clusters: {
          auth: [
            { path: '/204', status: 204 },
            { path: '/304', status: 304 },
            { path: '/200', body: 'seven b' },
            { path: '/trailers', body: 'with', trailers: { 'x-end': '1' } },
          ],
        },
        want: { client: { status: 200 }, upstream: { headers: { 'x-told': '204,"",,304,"",,200,"",7,200,"with",' } } },
      },
    ],
  },
  {
    title: 'a fetched answer has its trailers once its body has ended, for good and only to read (F038)',
    hooks: `async onRequest(request) {
      const told = [];
      const see = ({ trailers }) => told.push([...trailers].map((line) => line.join("=")).join("&") || "none");
      for (const path of ["/with", "/long", "/without", "/bare"]) {
        const answer = await fetch("http://grpc" + path);
        if (path === "/long") see(answer);
        await answer.bytes();
        see(answer);
        try { answer.trailers.set("x-a", "1"); } catch (error) { told.push(error.name); }
        globalThis.kept = answer;
      }
      try { new Response().trailers; } catch (error) { told.push(error.code); }
      request.headers.set("x-told", told.join());
    },
    onResponse(response) { response.headers.set("x-kept", String([...kept.trailers].length)); }`,
    more: { clusters: ['grpc'] },
    exchanges: [
      {
        clusters: {
          grpc: [
            { path: '/with', body: 'with', trailers: { 'x-end': '1', 'grpc-status': '0' } },
            { path: '/long', body: ['a'.repeat(40_000), 'b'.repeat(40_000)], trailers: { 'x-end': '2' }, frameDelayMs: 20 },
            { path: '/without', body: 'without' },
            { path: '/bare', trailers: { 'x-end': '3' } },
          ],
        },
        want: {
          client: { status: 200, headers: { 'x-kept': '1' } },
          upstream: {
            headers: {
              'x-told':
                'grpc-status=0&x-end=1,TypeError,none,x-end=2,TypeError,none,TypeError,x-end=3,TypeError,E_NOT_LIVE',
            },
          },
        },
      },
    ],
  },
  {
    title: 'a gRPC method is called with a message, and its status is data: in trailers, or in headers alone (F039)',
    hooks: `async onRequest(request) {
      const call = async (method, message) => {
        const body = new Uint8Array(5 + message.length);
        new DataView(body.buffer).setUint32(1, message.length);
        body.set(message, 5);
        const headers = { "content-type": "application/grpc", te: "trailers", "grpc-timeout": "500m" };
        const answer = await fetch("http://grpc/echo.Echo/" + method, { method: "POST", headers, body, timeoutMs: 500 });
        const bytes = await answer.bytes();
        const from = answer.headers.has("grpc-status") ? answer.headers : answer.trailers;
        return [answer.status, from.get("grpc-status"), from.get("grpc-message"), new TextDecoder().decode(bytes.subarray(5))].join("/");
      };
      const told = [await call("Say", new TextEncoder().encode("hello")), await call("Miss", new Uint8Array())];
      try { await call("Hang", new Uint8Array()); } catch (error) { told.push(error.code); }
      request.headers.set("x-told", told.join());
    }`,
    more: { clusters: ['grpc'] },
    exchanges: [
      {
        clusters: {
          grpc: [
            {
              path: '/echo.Echo/Say',
              headers: { 'content-type': 'application/grpc' },
              body: '\0\0\0\0\x02hi',
              trailers: { 'grpc-status': '0', 'grpc-message': 'fine' },
            },
            {
              path: '/echo.Echo/Miss',
              headers: { 'content-type': 'application/grpc', 'grpc-status': '5', 'grpc-message': 'no such thing' },
            },
            { path: '/echo.Echo/Hang', kind: 'silent' },
          ],
        },
        want: {
          client: { status: 200 },
          upstream: { headers: { 'x-told': '200/0/fine/hi,200/5/no such thing/,E_FETCH_TIMEOUT' } },
          callouts: [
            { cluster: 'grpc', path: '/echo.Echo/Say', headers: { te: 'trailers', 'grpc-timeout': '500m' }, body: '\0\0\0\0\x05hello' },
            { cluster: 'grpc', path: '/echo.Echo/Miss', body: '\0\0\0\0\0' },
            { cluster: 'grpc', path: '/echo.Echo/Hang' },
          ],
        },
      },
    ],
  },
  {
    title: 'redirects: 307 keeps the body, 303 drops it, five are too many (F030)',
    hooks: `async onRequest(request) {
      const told = [];
      for (const path of ["/307", "/303", "/loop", "/bad", "/elsewhere"]) {
        try {
          const answer = await fetch("http://auth" + path, { method: "POST", body: "b", headers: {
            "content-type": "text/x", cookie: "c=1" } });
          told.push(answer.status, answer.url, await answer.text());
        } catch (error) { told.push(error.code); }
      }
      request.headers.set("x-told", told.join(" "));
    }`,
    more: clusters,
    exchanges: [
      {
        clusters: {
          auth: [
            { path: '/307', status: 307, headers: { location: '/end?a=1#f' } },
            { path: '/303', status: 303, headers: { location: 'end' } },
            { path: '/loop', status: 301, headers: { location: '/loop' } },
            { path: '/bad', status: 302, headers: { location: 'http://[' } },
            { path: '/elsewhere', status: 302, headers: { location: 'http://evil.test/' } },
            { method: 'POST', path: '/end?a=1', body: 'posted' },
            { method: 'GET', path: '/end', body: 'got' },
          ],
        },
        want: {
          client: { status: 200 },
          upstream: {
            headers: {
              'x-told':
                '200 http://auth/end?a=1 posted 200 http://auth/end got E_FETCH_REDIRECT E_FETCH_REDIRECT E_FETCH_CLUSTER_NOT_ALLOWED',
            },
          },
        },
      },
    ],
  },
  {
    title: 'a client that leaves ends the calls of its exchange (F035)',
    cutsCalls: true,
    hooks: `async onRequest() {
        try { await fetch("http://auth/"); } catch (error) { console.info(error.name, error.code); }
      },
      onLog() { fetch("http://auth/late").then(() => console.info("never"), () => console.info("nor")); console.info("log"); }`,
    more: clusters,
    exchanges: [
      {
        clusters: { auth: [{ kind: 'silent' }] },
        clientLeavesAtMs: 500,
        want: { client: null, upstream: null },
      },
    ],
    log: ['info AbortError E_ABORTED', 'info log'],
  },
  {
    title: 'the body of an answer is read piece by piece, as values or into a buffer (F038, W10)',
    hooks: `async onRequest(request) {
      const told = [];
      let text = "";
      for await (const chunk of (await fetch("http://auth/")).body) text += String.fromCharCode(...chunk);
      told.push(text);
      const reader = (await fetch("http://auth/")).body.getReader({ mode: "byob" });
      told.push(String.fromCharCode(...(await reader.read(new Uint8Array(1))).value));
      await reader.cancel();
      const answer = await fetch("http://auth/");
      const copy = answer.clone();
      told.push(await answer.text(), await new Response(copy.body).text(), answer.bodyUsed);
      request.headers.set("x-told", told.join());
    }`,
    more: clusters,
    exchanges: [
      {
        clusters: { auth: [{ body: ['a', 'b', 'c'], frameDelayMs: 5 }] },
        want: { client: { status: 200 }, upstream: { headers: { 'x-told': 'abc,a,abc,abc,true' } } },
      },
    ],
  },
  {
    title: 'the body of a call can be a stream or a generator (F038, W09)',
    hooks: `async onRequest() {
      const body = (async function* () { yield "a"; await sleep(5); yield new Uint8Array([98]); })();
      await fetch("http://auth/generator", { method: "POST", body });
      const { readable, writable } = new TextEncoderStream();
      const writer = writable.getWriter();
      const call = fetch("http://auth/stream", { method: "PUT", body: readable, headers: { "x-a": "b" } });
      await writer.write("c");
      await sleep(5);
      await writer.close();
      const answer = await call;
      await fetch(new Request("http://auth/relay", { method: "POST", body: answer.body }));
    }`,
    more: clusters,
    exchanges: [
      {
        clusters: { auth: [{ body: 'x' }] },
        want: {
          client: { status: 200 },
          callouts: [
            { cluster: 'auth', path: '/generator', method: 'POST', body: 'ab', headers: { 'content-type': null } },
            { cluster: 'auth', path: '/stream', method: 'PUT', body: 'c', headers: { 'x-a': 'b' } },
            { cluster: 'auth', path: '/relay', method: 'POST', body: 'x' },
          ],
        },
      },
    ],
  },
  {
    title: 'a body that fails ends its call, and rejects it with what was thrown (F038)',
    cutsCalls: true,
    hooks: `async onRequest(request) {
      const body = (async function* () { yield "a"; await sleep(5); throw new RangeError("no more"); })();
      const told = await fetch("http://auth/", { method: "POST", body }).catch((error) => error.name + " " + error.message);
      request.headers.set("x-told", told);
    }`,
    more: clusters,
    exchanges: [
      {
        clusters: { auth: [{ body: 'x' }] },
        want: { client: { status: 200 }, upstream: { headers: { 'x-told': 'RangeError no more' } } },
      },
    ],
  },
  {
    title: 'a large answer arrives whole, one that is too large does not (F030, F033)',
    hooks: `async onRequest(request) {
      const told = [];
      for (const size of [1048576, 1048577]) {
        const answer = await fetch("http://auth/" + size);
        told.push(await answer.bytes().then((bytes) => bytes.length, (error) => error.code));
      }
      request.headers.set("x-told", told.join());
    }`,
    more: clusters,
    exchanges: [
      {
        clusters: { auth: [{ path: '/1048576', body: 'x'.repeat(1_048_576) }, { body: 'x'.repeat(1_048_577) }] },
        want: { client: { status: 200 }, upstream: { headers: { 'x-told': '1048576,E_BODY_LIMIT' } } },
      },
    ],
  },
];
