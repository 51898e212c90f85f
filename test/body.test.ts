// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Bodies and trailers that a script reads, replaces and changes piece by piece, over HTTP/1.1 and HTTP/2.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  Answer,
  fairlead,
  Http2Client,
  patternBytes,
  request,
  request2,
  sha256,
  startEnvoy,
  startUpstream,
  type Echo,
  type Envoy,
  type HeaderPair,
  type JsonObject,
  type Received,
  type TrafficOptions,
  type Upstream,
} from './harness.ts';

const bufferLimitBytes = 32_768;
const roomy = { cpu_ms: 1000, stream_cpu_ms: 20_000, memory_mb: 64, body_kb: 8192 };
const protocols = ['HTTP/1.1', 'HTTP/2'] as const;
type Protocol = (typeof protocols)[number];

/** Filters of this file by name; each has a listener for each protocol. */
const filters: Record<string, { hooks: string; config?: JsonObject; traffic?: TrafficOptions }> = {};

let upstreams: Record<Protocol, Upstream>;
let envoy: Envoy;

/** Answers `?bytes=N` pattern bytes, chunked with `&chunked`, with trailers where the protocol has them. */
const startServer = (http2: boolean): Promise<Upstream> =>
  startUpstream({
    http2,
    handler: async (exchange) => {
      const query = new URL(exchange.received.path, 'http://upstream').searchParams;
      if (!query.has('early')) await exchange.whole;
      const status = Number(query.get('status') ?? 200);
      const body = patternBytes(Number(query.get('bytes') ?? 2), 3);
      const length: HeaderPair[] = query.has('chunked') || !query.has('bytes') ? [] : [['content-length', String(body.length)]];
      if (query.has('trailers')) exchange.respond(status, [], body, [['x-end', 'upstream'], ['grpc-status', '0']]);
      else if (status === 204 || status === 304) exchange.respond(status, [['x-kept', '1']]);
      else {
        exchange.start(status, length);
        for (let at = 0; at < body.length; at += 65_536) await exchange.write(body.subarray(at, at + 65_536));
        exchange.finish();
      }
    },
  });

const sum = '(bytes) => { let n = 0; for (const byte of bytes) n = (n * 31 + byte) % 1000003; return String(n); }';
function sumOf(bytes: Uint8Array): string {
  let n = 0;
  for (const byte of bytes) n = (n * 31 + byte) % 1_000_003;
  return String(n);
}

const listenerOf = (name: string, protocol: Protocol): string => `${name}-${protocol === 'HTTP/2' ? 'h2' : 'h1'}`;

function define(name: string, hooks: string, config: JsonObject = {}, traffic: TrafficOptions = {}): string {
  filters[name] = { hooks, config, traffic };
  return name;
}

interface Ask {
  readonly method?: string;
  readonly headers?: readonly HeaderPair[];
  readonly body?: Uint8Array;
  /** Without `content-length`. */
  readonly chunked?: boolean;
  readonly trailers?: readonly HeaderPair[];
}

/** An exchange through a filter: what the client got, and what the upstream did, if anything. */
async function ask(
  filter: string,
  protocol: Protocol,
  path: string,
  { method, headers = [], body, chunked = false, trailers }: Ask = {},
): Promise<{ answer: Answer; received: Received | undefined }> {
  const upstream = upstreams[protocol];
  const before = upstream.requests.length;
  const target = { port: envoy.portOf(listenerOf(filter, protocol)) };
  const length: HeaderPair[] = body === undefined || chunked ? [] : [['content-length', String(body.length)]];
  const common = { ...(method !== undefined && { method }), ...(body !== undefined && { body }) };
  const answer =
    protocol === 'HTTP/2'
      ? await request2(target, path, { ...common, headers: [...headers, ...length], ...(trailers && { trailers }) })
      : await request(target, path, { ...common, headers, ...(chunked && { chunkBytes: 7_000 }) });
  return { answer, received: upstream.requests[before] };
}

const wholeRead = define(
  'whole-read',
  `async onRequest(request) {
      const bytes = await request.bytes();
      request.headers.set("x-sum", sum(bytes)); request.headers.set("x-size", String(bytes.length));
    },
    async onResponse(response) {
      const bytes = new Uint8Array(await response.arrayBuffer());
      response.headers.set("x-sum", sum(bytes)); response.headers.set("x-size", String(bytes.length));
    }`,
);
const replacing = define(
  'replacing',
  `async onRequest(request) {
      if (request.headers.has("x-read")) await request.bytes();
      if (request.headers.has("x-wait")) await sleep(20);
      request.setBody(pattern(Number(request.headers.get("x-size"))));
    },
    async onResponse(response, ctx) {
      const { headers } = ctx.request;
      if (headers.has("x-read")) await response.bytes();
      if (headers.has("x-wait")) await sleep(20);
      response.setBody(pattern(Number(headers.get("x-size"))));
    }`,
);
const bodiless = define(
  'bodiless',
  `onResponse(response) {
    try { response.setBody("more"); } catch (error) { response.headers.set("x-code", error.code); }
  }`,
);
const limited = define(
  'limited',
  `async onRequest(request) { if (request.path.includes("request")) await request.text(); },
   async onResponse(response, ctx) { if (ctx.request.path.includes("response")) await response.text(); }`,
  { limits: { ...roomy, body_kb: 64 } },
);
const limitedOpen = define('limited-open', filters['limited']?.hooks ?? '', {
  limits: { ...roomy, body_kb: 64 },
  on_error: { mode: 'open' },
});
const caught = define(
  'caught',
  `async onRequest(request) {
    try { await request.text(); } catch (error) { await sleep(10); request.headers.set("x-code", error.code); }
  }`,
  { limits: { ...roomy, body_kb: 64 } },
);
const upperCase = 'chunk.data.map((byte) => byte >= 97 && byte <= 122 ? byte - 32 : byte)';
const chunked = define(
  'chunked',
  `onRequestChunk: (chunk) => ${upperCase}, onResponseChunk: (chunk) => ${upperCase}`,
);
const chunkedLater = define(
  'chunked-later',
  `async onRequest() { await sleep(20); }, async onResponse() { await sleep(20); },
   async onRequestChunk(chunk) { await sleep(1); return ${upperCase}; },
   async onResponseChunk(chunk) { await sleep(1); return ${upperCase}; }`,
);
const tails = define(
  'tails',
  `async onRequest() { await sleep(20); }, async onResponse() { await sleep(20); },
   onRequestChunk: (chunk) => chunk.last ? chunk.text() + "!" : undefined,
   async onResponseChunk(chunk) { await null; return chunk.last ? chunk.text() + "!" : undefined; }`,
);
const dropping = define('dropping', 'onRequestChunk: () => null, async onResponseChunk() { await sleep(1); return null; }');
const trailing = define(
  'trailing',
  `onRequest(request, ctx) {
      ctx.state.seen = [];
      try { request.trailers.set("x-a", "1"); } catch (error) { ctx.state.seen.push(error.code); }
    },
    onRequestChunk(chunk, ctx) { if (chunk.last) ctx.state.seen.push("last"); },
    async onRequestTrailers(trailers, ctx) {
      await sleep(5);
      ctx.state.seen.push(trailers === ctx.request.trailers, trailers.get("x-end"));
      trailers.set("x-end", ctx.state.seen.join()); trailers.delete("x-gone");
    },
    onResponseTrailers(trailers) { trailers.set("x-end", trailers.get("x-end") + "+"); trailers.append("x-more", "1"); }`,
);
const replying = define(
  'replying',
  `async onRequestChunk(chunk, ctx) {
      if (ctx.request.path === "/chunk") return new Response("chunk", { status: 403 });
      if (ctx.request.path === "/later") { await sleep(5); return new Response("later", { status: 403 }); }
    },
    async onRequestTrailers(trailers, ctx) {
      if (ctx.request.path === "/trailers") return new Response("trailers", { status: 403 });
    },
    onResponseChunk(chunk, ctx) { if (ctx.request.path === "/late") return new Response("late"); }`,
);
const orderings = define(
  'orderings',
  `async onRequest(request) { await steps(request, request.path.slice(1).split("?")[0]); },
   async onResponse(response, ctx) { await steps(response, ctx.request.path.slice(1).split("?")[0]); }`,
  { clusters: ['upstream'] },
);

const helpers = `const sum = ${sum};
  const pattern = (length) => {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < Math.min(length, 4099); i++) bytes[i] = i * 7 + (i >> 8);
    for (let i = 4099; i < length; i *= 2) bytes.copyWithin(i, 0, i);
    return bytes;
  };
  async function steps(message, letters) {
    for (const letter of letters) {
      if (letter === "f") await (await fetch("http://upstream/?bytes=3")).text();
      if (letter === "b") message.headers.set("x-read", sum(await message.bytes()));
      if (letter === "h") message.headers.set("x-set", "1");
      if (letter === "w") await sleep(2);
    }
  }`;
function pattern(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => (i % 4099) * 7 + ((i % 4099) >> 8)));
}

beforeAll(async () => {
  upstreams = { 'HTTP/1.1': await startServer(false), 'HTTP/2': await startServer(true) };
  const listeners = Object.fromEntries(
    Object.entries(filters).flatMap(([name, { hooks, config, traffic }]) =>
      protocols.map((protocol): [string, TrafficOptions] => [
        listenerOf(name, protocol),
        {
          filters: [fairlead({ inline: `import { sleep } from "fairlead";\n${helpers}\nexport default {\n${hooks}\n};`, limits: roomy, ...config }, listenerOf(name, protocol))],
          routes: [{ match: { prefix: '/' }, route: { cluster: protocol === 'HTTP/2' ? 'upstream2' : 'upstream', timeout: '0s' } }],
          bufferLimitBytes,
          ...traffic,
        },
      ]),
    ),
  );
  const clusters = {
    upstream: { port: upstreams['HTTP/1.1'].port },
    upstream2: { port: upstreams['HTTP/2'].port, http2: true },
  };
  envoy = await startEnvoy({ clusters, listeners, bufferLimitBytes });
});
afterAll(async () => {
  expect(await envoy.stop()).toBe(0);
  await Promise.all(protocols.map((protocol) => upstreams[protocol].close()));
});

describe.each(protocols)('over %s', (protocol) => {
  test.each([0, 1, 65_536, 1_000_000])('a body of %d bytes is read whole, and its headers wait for it (F008, R16)', async (size) => {
    for (const chunked of [false, true]) {
      const body = patternBytes(size, 5);
      const back = patternBytes(size, 3);
      const { answer, received } = await ask(wholeRead, protocol, `/?bytes=${size}${chunked ? '&chunked' : ''}`, { body, chunked });
      expect([answer.status, answer.headers.get('x-size'), answer.headers.get('x-sum')]).toEqual([200, String(size), sumOf(back)]);
      expect(sha256(answer.body)).toBe(sha256(back));
      expect([received?.headers.get('x-size'), received?.headers.get('x-sum')]).toEqual([String(size), sumOf(body)]);
      expect([received?.bodySha256, received?.end]).toEqual([sha256(body), 'complete']);
    }
  });

  test.each([0, 1, 16_384, 5 * 1024 * 1024])(
    'another body of %d bytes takes the place of what came, with its length (F009, F010, R13, R18)',
    async (size) => {
      const wanted = pattern(size);
      for (const more of [[], ['x-read'], ['x-wait'], ['x-read', 'x-wait']]) {
        for (const body of [undefined, patternBytes(0), patternBytes(100), patternBytes(200_000)]) {
          for (const chunked of [false, true]) {
            const headers: HeaderPair[] = [['x-size', String(size)], ...more.map((name): HeaderPair => [name, '1'])];
            const path = `/?bytes=${body?.length ?? 0}${chunked ? '&chunked' : ''}`;
            const { answer, received } = await ask(replacing, protocol, path, {
              headers,
              chunked: chunked && body !== undefined,
              ...(body && { body, method: 'PUT' }),
            });
            const what = [size, more, body?.length, chunked];
            expect([what, answer.status, answer.headers.get('content-length')]).toEqual([what, 200, String(size)]);
            expect([what, sha256(answer.body)]).toEqual([what, sha256(wanted)]);
            expect([what, received?.bodySha256, received?.end]).toEqual([what, sha256(wanted), 'complete']);
            if (size > 0 || body !== undefined) expect(received?.headers.get('content-length')).toBe(String(size));
          }
        }
      }
    },
  );

  test('answers to HEAD, 204 and 304 stay without a body (F010, R18)', async () => {
    for (const status of [204, 304]) {
      const { answer } = await ask(bodiless, protocol, `/?status=${status}`);
      expect([answer.status, answer.headers.get('x-code'), answer.headers.get('x-kept'), answer.body.length]).toEqual([status, 'E_NULL_BODY_STATUS', '1', 0]);
    }
    const { answer } = await ask(bodiless, protocol, '/?bytes=100', { method: 'HEAD' });
    expect([answer.status, answer.headers.get('content-length'), answer.body.length]).toEqual([200, '100', 0]);
  });

  test.each([limited, limitedOpen])('a body over body_kb ends in 413 or 502, one byte less passes: %s (F014, F073)', async (filter) => {
    for (const chunked of [false, true]) {
      for (const size of [65_536, 65_537]) {
        const body = patternBytes(size);
        const upload = await ask(filter, protocol, '/request', { body, chunked });
        const download = await ask(filter, protocol, `/response?bytes=${size}${chunked ? '&chunked' : ''}`);
        if (size === 65_536) {
          expect([upload.answer.status, upload.received?.bodySha256]).toEqual([200, sha256(body)]);
          expect([download.answer.status, sha256(download.answer.body)]).toEqual([200, sha256(patternBytes(size, 3))]);
        } else {
          expect([upload.answer.status, upload.received]).toEqual([413, undefined]);
          expect([download.answer.status, download.answer.body.length]).toEqual([502, 0]);
        }
      }
    }
  });

  test('a limit that is caught lets the body pass untouched (F014)', async () => {
    for (const chunked of [false, true]) {
      const body = patternBytes(300_000);
      const { received } = await ask(caught, protocol, '/', { body, chunked });
      expect([received?.headers.get('x-code'), received?.bodySha256, received?.end]).toEqual(['E_BODY_LIMIT', sha256(body), 'complete']);
    }
  });

  test.each([chunked, chunkedLater])('chunks are changed, in order: %s (F011, F012)', async (filter) => {
    const upper = (bytes: Buffer): Buffer => Buffer.from(bytes.map((byte) => (byte >= 97 && byte <= 122 ? byte - 32 : byte)));
    for (const size of [1, 5, 100_000, 1_000_000]) {
      const body = patternBytes(size);
      const { answer, received } = await ask(filter, protocol, `/?bytes=${size}`, { body });
      expect([size, sha256(answer.body)]).toEqual([size, sha256(upper(patternBytes(size, 3)))]);
      expect([size, received?.bodySha256, received?.headers.has('content-length')]).toEqual([size, sha256(upper(body)), false]);
    }
  });

  test('a small body does not lose what is added at its end (F011)', async () => {
    for (const chunked of [false, true]) {
      const { answer, received } = await ask(tails, protocol, `/?bytes=5${chunked ? '&chunked' : ''}`, { body: Buffer.from('hello'), chunked });
      expect(received?.body.toString()).toBe('hello!');
      expect(answer.body.length).toBeGreaterThan(5);
      expect(answer.body.toString().endsWith('!')).toBe(true);
    }
  });

  test('dropping every chunk leaves an empty body that ends (F011)', async () => {
    const { answer, received } = await ask(dropping, protocol, '/?bytes=100000', { body: patternBytes(100_000) });
    expect([answer.status, answer.body.length, received?.bodyLength, received?.end]).toEqual([200, 0, 0, 'complete']);
  });

  test('a chunk hook answers, at once or later, until the answer has begun (F020, F022)', async () => {
    for (const name of ['chunk', 'later']) {
      const { answer, received } = await ask(replying, protocol, `/${name}`, { body: patternBytes(10) });
      expect([answer.status, answer.text(), received?.bodyLength ?? 0]).toEqual([403, name, 0]);
    }
    await expect(ask(replying, protocol, '/late')).rejects.toThrow();
  });

  test('calls, reads, waits and header writes work in any order (F034)', async () => {
    const orders = ['fbh', 'fhb', 'bfh', 'bhf', 'hfb', 'hbf', 'wfbh', 'fwbh', 'fbwh', 'bwfh', 'hwbf', 'wbwfwh'];
    for (const order of orders) {
      const body = patternBytes(50_000);
      const { answer, received } = await ask(orderings, protocol, `/${order}?bytes=50000`, { body });
      const own = upstreams[protocol].requests.filter(({ path }) => path.startsWith(`/${order}?`)).at(-1);
      expect([order, own?.headers.get('x-read'), own?.headers.get('x-set'), own?.bodySha256]).toEqual([order, sumOf(body), '1', sha256(body)]);
      expect(received).toBeDefined();
      const back = patternBytes(50_000, 3);
      expect([order, answer.headers.get('x-read'), answer.headers.get('x-set'), sha256(answer.body)]).toEqual([order, sumOf(back), '1', sha256(back)]);
    }
  });
});

test('trailers are read, changed and deleted behind the last chunk (F005, F128)', async () => {
  const trailers: HeaderPair[] = [
    ['x-end', 'client'],
    ['x-gone', '1'],
  ];
  for (const size of [0, 1, 100_000]) {
    const body = patternBytes(size);
    const { answer, received } = await ask(trailing, 'HTTP/2', `/?trailers&bytes=${size}`, { method: 'POST', body, chunked: true, trailers });
    expect([size, received?.bodySha256, received?.trailers.pairs]).toEqual([size, sha256(body), [['x-end', 'E_NO_TRAILERS,last,true,client']]]);
    expect([size, sha256(answer.body)]).toEqual([size, sha256(patternBytes(size, 3))]);
    expect(['x-end', 'x-more', 'grpc-status'].map((name) => answer.trailers.get(name))).toEqual(['upstream+', '1', '0']);
  }
  const { answer } = await ask(replying, 'HTTP/2', '/trailers', { method: 'POST', body: patternBytes(10), chunked: true, trailers });
  expect([answer.status, answer.text()]).toEqual([403, 'trailers']);
});

test('a chunk hook that waits stops its sender: 100 MB pass in order, and memory stays within a few buffers (F012)', async () => {
  const limit = 1024 * 1024;
  const upstream = await startUpstream();
  const inline = `import { sleep } from "fairlead"; export default {
    async onRequestChunk(chunk) { const data = chunk.data; await sleep(5); return data; } };`;
  const own = await startEnvoy({ filters: [fairlead({ inline, limits: roomy })], clusters: { upstream }, bufferLimitBytes: limit });
  const allocated = async (): Promise<number> => Number((JSON.parse(await own.admin('/memory')) as { allocated: string }).allocated);
  const small = Buffer.from('warm');
  expect((await request(own, '/', { body: small })).json<Echo>().bodySha256).toBe(sha256(small));
  const before = await allocated();
  const body = patternBytes(100 * 1024 * 1024);
  const wanted = sha256(body);
  let done = false;
  const sent = request(own, '/', { body, timeoutMs: 100_000 }).finally(() => (done = true));
  let most = 0;
  while (!done) most = Math.max(most, (await allocated()) - before);
  expect((await sent).json<Echo>()).toMatchObject({ bodyLength: body.length, bodySha256: wanted });
  expect(await own.gauge('downstream_flow_control_paused_reading_total')).toBeGreaterThan(0);
  expect(most).toBeGreaterThan(limit / 2);
  // Envoy's own buffers to both sides among them.
  expect(most).toBeLessThan(4 * limit);
  expect(await own.stop()).toBe(0);
  await upstream.close();
}, 120_000);

test('an HTTP/2 stream flows through a chunk hook piece by piece, both ways (F011, F016)', async () => {
  const pingPong = await startUpstream({ http2: true, handler: (exchange) => exchange.pingPong() });
  const inline = `import { sleep } from "fairlead"; export default {
    onRequestChunk: (chunk) => chunk.text().toUpperCase(), async onResponseChunk(chunk) { await null; return chunk.text() + "."; } };`;
  const own = await startEnvoy({ filters: [fairlead({ inline })], clusters: { upstream: pingPong } });
  const client = await Http2Client.connect(own);
  const stream = client.open('/chat', { method: 'POST', keepOpen: true });
  for (let round = 0; round < 100; round++) {
    const back = new Promise<string>((resolve) => stream.once('data', (piece: Buffer) => resolve(piece.toString())));
    stream.write(`message ${round};`);
    expect(await back).toBe(`MESSAGE ${round};.`);
  }
  stream.end();
  await new Promise((resolve) => stream.once('close', resolve));
  await client.close();
  expect(await own.stop()).toBe(0);
  await pingPong.close();
});
