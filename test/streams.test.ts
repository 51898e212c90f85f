// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Replies that are sent piece by piece, bodies of calls and of their answers as streams, resets, and what access logs
// show of a reply, in a real Envoy.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  fairlead,
  Http2Client,
  RawSocket,
  request,
  request2,
  sha256,
  startEnvoy,
  startUpstream,
  upstreamChain,
  waitFor,
  withEnvoy,
  type Envoy,
  type Exchange,
  type Upstream,
} from './harness.ts';

const bufferLimitBytes = 65_536;
const limits = { cpu_ms: 2000, stream_cpu_ms: 20_000, memory_mb: 4 };

/** What each path does. */
const script = `
import { sleep } from "fairlead";

async function* events(count, ms) {
  for (let i = 0; i < count; i++) { yield "data: " + i + "\\n\\n"; await sleep(ms); }
}

const piece = new Uint8Array(65536).fill(97);
async function* pieces(count) {
  let given = 0;
  try { for (; given < count; given++) yield piece; } finally { console.info("gave", given < count ? "a part" : "all"); }
}

const upper = () => new TransformStream({
  transform: (text, controller) => controller.enqueue(text.toUpperCase()),
});

const paths = {
  "/events": () => new Response(events(100, 10), { headers: { "content-type": "text/event-stream" } }),
  "/more": () => new Response(pieces(2000)),
  "/pieces": () => new Response(pieces(320)),
  "/fails": () => new Response((async function* () { yield "a"; await sleep(1); throw new Error("late"); })()),
  "/relay": async () => {
    const answer = await fetch("http://source/");
    return new Response(answer.body, answer);
  },
  "/lines": async () => {
    const answer = await fetch("http://source/");
    return new Response(answer.body.pipeThrough(new TextDecoderStream()).pipeThrough(upper()));
  },
  "/cut": async () => {
    const reader = (await fetch("http://source/cut")).body.getReader();
    const { value } = await reader.read();
    await fetch("http://source/seen");
    const code = await reader.read().then(() => "no error", (error) => error.code);
    return new Response(value.length + " " + code);
  },
  "/leave": async () => {
    for await (const chunk of (await fetch("http://source/")).body) return new Response("left after " + chunk.length);
  },
  "/echo": (request) => new Response(request.body.pipeThrough(new TextDecoderStream()).pipeThrough(upper())),
  "/upload": async () => {
    const answer = await fetch("http://source/upload", { method: "POST", body: events(5, 10) });
    return new Response(await answer.text());
  },
  "/reset": (request, ctx) => ctx.reset(),
  "/reset-later": async (request, ctx) => { await sleep(5); ctx.reset(); await sleep(1000); },
  "/end": (request, ctx) => { ctx.endConnection(); return new Response("bye"); },
  "/details": (request, ctx) => {
    ctx.addResponseFlag("CACHED");
    ctx.addResponseFlag("TENANT_7");
    return new Response("no", { status: 403, details: "tenant_blocked" });
  },
};

export default {
  onRequest: (request, ctx) => paths[request.path]?.(request, ctx),
  onResponse(response) {
    if (response.headers.has("x-replace")) return new Response(events(3, 1), { status: 203 });
  },
};`;

/** How the cluster \`source\` answers its next request. */
let source: (exchange: Exchange) => void | Promise<void>;
let sources: Upstream;
let upstream: Upstream;
let envoy: Envoy;

beforeAll(async () => {
  sources = await startUpstream({ handler: (exchange) => source(exchange) });
  upstream = await startUpstream({ handler: (exchange) => exchange.respond(200, [['x-replace', '1']], 'upstream') });
  envoy = await startEnvoy({
    filters: [fairlead({ inline: script, clusters: ['source'], limits })],
    clusters: { source: { port: sources.port }, upstream: { port: upstream.port } },
    accessLog: '%REQ(:PATH)% %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %CUSTOM_FLAGS%',
    bufferLimitBytes,
    // How much Envoy holds for a stream that nobody reads.
    connectionManager: { http2_protocol_options: { initial_stream_window_size: bufferLimitBytes } },
  });
});
afterAll(async () => {
  await envoy?.stop();
  await Promise.all([sources, upstream].map((server) => server?.close()));
});

/** Resident memory of Envoy in bytes. */
async function memory(): Promise<number> {
  const { allocated } = JSON.parse(await envoy.admin('/memory')) as { allocated: string };
  return Number(allocated);
}

describe('a reply of a stream', () => {
  test('arrives event by event over HTTP/1 and HTTP/2 (F025)', async () => {
    const socket = await RawSocket.connect(envoy);
    socket.write('GET /events HTTP/1.1\r\nhost: a\r\n\r\n');
    // The last one comes about a second later.
    expect(await socket.until('data: 0\n\n')).not.toContain('data: 99');
    const all = await socket.until('data: 99\n\n');
    expect(all.match(/data: \d+/g)).toEqual(Array.from({ length: 100 }, (_, i) => `data: ${i}`));
    expect(all).toContain('content-type: text/event-stream');
    socket.end();
    await socket.closed;

    const client = await Http2Client.connect(envoy);
    const stream = client.open('/events');
    const chunks: string[] = [];
    for await (const chunk of stream) chunks.push(String(chunk));
    expect(chunks.length).toBeGreaterThan(20);
    expect(chunks.join('').match(/data:/g)).toHaveLength(100);
    await client.close();
  });

  test('arrives whole when it is larger than every buffer (F025)', async () => {
    const http1 = await request(envoy, '/pieces');
    expect([http1.status, http1.body.length]).toEqual([200, 320 * 65_536]);
    expect((await request2(envoy, '/pieces')).body.length).toBe(320 * 65_536);
  });

  test('waits for a client that reads no more, and ends with it (F018, F025)', async () => {
    const client = await Http2Client.connect(envoy);
    // What the first one leaves in Envoy's and the engine's pools is not of a stream that waits.
    await client.request('/pieces');
    const before = await memory();
    const stream = client.open('/more');
    await waitFor('the first bytes', () => stream.readableLength > 0);
    // Nobody reads more, and the producer never waits by itself.
    const count = envoy.log.entries.length;
    await request(envoy, '/events');
    expect((await memory()) - before).toBeLessThan(4 * bufferLimitBytes);
    stream.close(8);
    await envoy.log.waitFor((entry) => entry.message.includes('gave a part') && envoy.log.entries.indexOf(entry) >= count);
    await client.close();
  });

  test('that fails later resets its stream, and the next request is served (F025, F073)', async () => {
    await expect(request2(envoy, '/fails')).rejects.toThrow('NGHTTP2_INTERNAL_ERROR');
    await expect(request(envoy, '/fails')).rejects.toThrow('aborted');
    expect((await request(envoy, '/details')).status).toBe(403);
    expect((await envoy.log.fault()).code).toBe('E_THROWN');
  });

  test('is whole before it goes when it takes the place of a response (F021, F025)', async () => {
    const answer = await request(envoy, '/other');
    expect([answer.status, answer.headers.get('content-length'), answer.text()]).toEqual([
      203,
      '27',
      'data: 0\n\ndata: 1\n\ndata: 2\n\n',
    ]);
  });

  test('is whole before it goes in a cluster of its own, where Envoy cannot begin one (F025, F074)', async () => {
    const inner = `import { sleep } from "fairlead";
      export default {
        async onRequest(request) {
          if (request.path === "/later") await sleep(20);
          return new Response((async function* () { yield "a"; await sleep(5); yield "b"; })());
        },
      };`;
    const clusters = { upstream: { port: upstream.port, settings: upstreamChain([fairlead({ inline: inner })]) } };
    await withEnvoy({ clusters }, async (outer) => {
      for (const path of ['/now', '/later']) {
        const answer = await request(outer, path);
        expect([answer.status, answer.headers.get('content-length'), answer.text()]).toEqual([200, '2', 'ab']);
      }
    });
  });
});

describe('the body of an answer', () => {
  const part = Buffer.alloc(65_536, 'b');

  test('passes piece by piece through a script with a small heap (F018, F025, F038)', async () => {
    const parts = 320;
    let reached: () => void = () => undefined;
    let received = 0;
    source = async (exchange) => {
      exchange.start(200, [['x-source', '1']]);
      for (let i = 1; i <= parts; i++) {
        const arrived = new Promise<void>((resolve) => (reached = () => received >= i * part.length && resolve()));
        await exchange.write(part);
        reached();
        await arrived;
      }
      exchange.finish();
    };
    const client = await Http2Client.connect(envoy);
    const stream = client.open('/relay');
    const hash: Buffer[] = [];
    stream.on('data', (chunk: Buffer) => {
      hash.push(chunk);
      received += chunk.length;
      reached();
    });
    await waitFor('the whole answer', () => stream.closed, 20_000);
    expect(received).toBe(parts * part.length);
    expect(sha256(Buffer.concat(hash))).toBe(sha256(Buffer.alloc(parts * part.length, 'b')));
    await client.close();
  });

  test('is transformed on its way (F018, W21, W22)', async () => {
    source = async (exchange) => {
      exchange.start(200);
      for (const byte of Buffer.from('é€ and so on')) await exchange.write(Buffer.from([byte]));
      exchange.finish();
    };
    expect((await request(envoy, '/lines')).text()).toBe('É€ AND SO ON');
  });

  test('that a script leaves early is a call that is cancelled (F032, F038)', async () => {
    source = async (exchange) => {
      exchange.start(200);
      await exchange.write('part');
    };
    expect((await request(envoy, '/leave')).text()).toBe('left after 4');
    await waitFor('the end of the call', () => sources.requests.at(-1)?.cancelled);
  });

  test('that breaks off makes its stream fail (F033, F038)', async () => {
    let half: Exchange | undefined;
    source = async (exchange) => {
      if (exchange.received.path === '/seen') {
        exchange.respond(200);
        half?.reset();
        return;
      }
      half = exchange;
      exchange.start(200);
      await exchange.write('half');
    };
    expect((await request(envoy, '/cut')).text()).toBe('4 E_FETCH_RESET');
  });

  test('that a slow client does not take is broken off at its limit, and with it the reply (F038, F072)', async () => {
    source = async (exchange) => {
      exchange.start(200);
      for (let i = 0; i < 1000 && exchange.received.cancelled === false; i++) await exchange.write(part);
      exchange.finish();
    };
    const client = await Http2Client.connect(envoy);
    const stream = client.open('/relay');
    stream.on('error', () => undefined);
    await waitFor('the end of the call', () => sources.requests.at(-1)?.cancelled);
    stream.resume();
    await waitFor('the end of the stream', () => stream.closed);
    expect(stream.rstCode).not.toBe(0);
    await envoy.log.waitFor((entry) => entry.level === 'error' && entry.message.includes('E_BODY_LIMIT'));
    await client.close();
  });
});

test('a reply is made of the body of its request, which comes slowly (F018, F020)', async () => {
  const socket = await RawSocket.connect(envoy);
  socket.write('POST /echo HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n');
  for (const byte of Buffer.from('é€ and so on')) {
    socket.write(Buffer.concat([Buffer.from('1\r\n'), Buffer.from([byte]), Buffer.from('\r\n')]));
    // Envoy has an event for each.
    await envoy.admin('/ready');
  }
  socket.write('0\r\n\r\n');
  expect(Buffer.from(await socket.until('SO ON'), 'latin1').toString()).toContain('É€ AND SO ON');
  socket.end();
  await socket.closed;
});

test('a call sends what a generator gives, piece by piece (F038, W09)', async () => {
  source = async (exchange) => {
    const { body, headers } = await exchange.whole;
    exchange.respond(200, [], `${headers.get('transfer-encoding')} ${String(body)}`);
  };
  const wanted = Array.from({ length: 5 }, (_, i) => `data: ${i}\n\n`).join('');
  expect((await request(envoy, '/upload')).text()).toBe(`chunked ${wanted}`);
});

describe('the end of an exchange', () => {
  test.each(['/reset', '/reset-later'])('by reset closes an HTTP/1 connection and resets an HTTP/2 stream: %s (F026)', async (path) => {
    const socket = await RawSocket.connect(envoy);
    socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`);
    expect((await socket.closed).length).toBe(0);
    const client = await Http2Client.connect(envoy);
    await expect(client.request(path)).rejects.toThrow('NGHTTP2_INTERNAL_ERROR');
    // The connection is as good as before.
    expect((await client.request('/details')).status).toBe(403);
    await client.close();
  });

  test('ends the connection behind the answer when the script wants it (F026)', async () => {
    const socket = await RawSocket.connect(envoy);
    socket.write('GET /end HTTP/1.1\r\nhost: a\r\n\r\n');
    const all = (await socket.closed).toString();
    expect(all).toContain('connection: close');
    expect(all).toMatch(/\r\n\r\nbye$/);
    const client = await Http2Client.connect(envoy);
    const goAway = client.goneAway();
    expect((await client.request('/end')).text()).toBe('bye');
    await goAway;
  });

  test('shows its details and flags in the access log (F024)', async () => {
    const isOurs = (line: string): boolean => line.startsWith('/details');
    const before = (await envoy.accessLog(0)).filter(isOurs).length;
    await request(envoy, '/details');
    const lines = await waitFor('the line', async () => {
      const found = (await envoy.accessLog(0)).filter(isOurs);
      return found.length > before && found;
    });
    expect(lines.at(-1)).toBe('/details 403 tenant_blocked CACHED,TENANT_7');
  });
});
