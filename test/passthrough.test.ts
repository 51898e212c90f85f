// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// A body passes through untouched, whatever the hooks do meanwhile.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  echo,
  fairlead,
  Http2Client,
  patternBytes,
  RawSocket,
  request,
  sha256,
  startUpstream,
  waitFor,
  withEnvoy,
  withUpstream,
  type Echo,
  type Envoy,
  type Upstream,
} from './harness.ts';

let upstream: Upstream;
let upstream2: Upstream;
beforeAll(async () => {
  upstream = await startUpstream();
  upstream2 = await startUpstream({ http2: true });
});
afterAll(async () => {
  await upstream.close();
  await upstream2.close();
});

const bufferLimitBytes = 65_536;
const sizes = [0, 1, 65_535, 65_536, 65_537, 5 * 1024 * 1024];

const filters: Record<string, string> = {
  'no hooks': `export default {};`,
  'hooks that do nothing': `export default { onRequest() {}, onResponse() {}, onLog() {} };`,
  'hooks that edit headers': `export default {
    onRequest(request) { request.headers.set("x-a", "1"); request.headers.delete("x-b"); },
    onResponse(response) { response.headers.append("x-a", "1"); },
  };`,
  'a request hook that waits 200 ms': `import { sleep } from "fairlead";
    export default { async onRequest() { await sleep(200); } };`,
  'a response hook that waits 200 ms': `import { sleep } from "fairlead";
    export default { async onResponse() { await sleep(200); } };`,
  'both hooks waiting, then editing': `import { sleep } from "fairlead";
    export default {
      async onRequest(request) { await sleep(100); request.headers.set("x-a", "1"); },
      async onResponse(response) { await sleep(100); response.headers.set("x-a", "1"); },
    };`,
  'a request hook that settles in a microtask': `export default {
    async onRequest() { await null; },
    async onResponse() { await null; },
  };`,
  'a hook that fetches': `export default {
      async onRequest(request) { request.headers.set("x-got", String((await fetch("http://side/?bytes=100000")).status)); },
      async onResponse(response) { response.headers.set("x-got", String((await fetch("http://side/")).status)); },
    };`,
};

describe.each(Object.entries(filters))('with %s', (_, source) => {
  async function withFilter(target: Upstream, use: (envoy: Envoy) => Promise<void>): Promise<void> {
    const filter = fairlead({ inline: source, clusters: ['side'] });
    const clusters = { upstream: target, side: upstream };
    await withEnvoy({ filters: [filter], clusters, bufferLimitBytes }, use);
  }

  test.each([
    ['a content-length', {}],
    ['chunks', { chunkBytes: 7_000 }],
  ])('request bodies of every size arrive whole, sent with %s', async (_, framing) => {
    await withFilter(upstream, async (envoy) => {
      for (const size of sizes) {
        const body = patternBytes(size);
        const answer = await request(envoy, '/', { body, ...framing });
        expect(answer).toMatchObject({ status: 200 });
        expect([size, answer.json<Echo>()]).toMatchObject([size, { bodyLength: size, bodySha256: sha256(body) }]);
      }
    });
  });

  test.each([
    ['a content-length', ''],
    ['chunks', '&chunked'],
  ])('response bodies of every size arrive whole, sent with %s', async (_, suffix) => {
    await withFilter(upstream, async (envoy) => {
      for (const size of sizes) {
        const answer = await request(envoy, `/?bytes=${size}${suffix}`);
        expect([size, answer.status, sha256(answer.body)]).toEqual([size, 200, sha256(patternBytes(size))]);
        expect(answer.headers.has('content-length')).toBe(suffix === '');
      }
    });
  });

  test('both ways at once over one HTTP/2 connection', async () => {
    await withFilter(upstream2, async (envoy) => {
      const client = await Http2Client.connect(envoy);
      await Promise.all(
        sizes.map(async (size, index) => {
          const body = patternBytes(size, index + 2);
          const sent = await client.request('/', { body });
          expect(sent.json<Echo>()).toMatchObject({ bodyLength: size, bodySha256: sha256(body) });
          const got = await client.request(`/?bytes=${size}`, { body });
          expect(sha256(got.body)).toBe(sha256(patternBytes(size)));
        }),
      );
      await client.close();
    });
  });
});

describe('a hook that waits', () => {
  test('pushes back on a sender instead of refusing its body, and holds little meanwhile (F013, R16)', async () => {
    const source = `import { sleep } from "fairlead";
      export default { async onRequest() { await sleep(300); } };`;
    const body = patternBytes(5 * 1024 * 1024);
    await withEnvoy(
      { filters: [fairlead({ inline: source })], clusters: { upstream }, bufferLimitBytes },
      async (envoy) => {
        const pending = request(envoy, '/', { body });
        await waitFor('the stream to be held', async () => (await envoy.gauge('downstream_rq_active')) === 1);
        const before = upstream.requests.length;
        await waitFor(
          'the sender to be stopped',
          async () => (await envoy.gauge('downstream_flow_control_paused_reading_total')) > 0,
        );
        expect(upstream.requests).toHaveLength(before);
        expect((await pending).json<Echo>()).toMatchObject({ bodySha256: sha256(body) });
      },
    );
  });

  test('lets trailers follow the body, in both directions', async () => {
    const source = `import { sleep } from "fairlead";
      export default { async onRequest() { await sleep(50); }, async onResponse() { await sleep(50); } };`;
    const handler: typeof echo = async (exchange) => {
      const { bodySha256 } = await exchange.whole;
      exchange.respond(200, [], bodySha256, [['x-end', 'yes']]);
    };
    await withUpstream({ handler, http2: true }, async (trailing) => {
      await withEnvoy({ filters: [fairlead({ inline: source })], clusters: { upstream: trailing } }, async (envoy) => {
        const client = await Http2Client.connect(envoy);
        for (const size of [0, 1, 50_000]) {
          const body = patternBytes(size);
          const answer = await client.request('/', { method: 'POST', body, trailers: [['x-sent', 'at the end']] });
          expect(answer.text()).toBe(sha256(body));
          expect(answer.trailers.get('x-end')).toBe('yes');
          expect(trailing.requests.at(-1)?.trailers.get('x-sent')).toBe('at the end');
        }
        await client.close();
      });
    });
  });

  test('does not hold a stream that needs no body: gRPC-like ping-pong flows message by message (F016)', async () => {
    const source = `export default {
      onRequest(request) { request.headers.set("x-a", "1"); },
      onResponse(response) { response.headers.set("x-a", "1"); },
    };`;
    const pingPong = await startUpstream({ http2: true, handler: (exchange) => exchange.pingPong() });
    try {
      await withEnvoy({ filters: [fairlead({ inline: source })], clusters: { upstream: pingPong } }, async (envoy) => {
        const client = await Http2Client.connect(envoy);
        const stream = client.open('/chat', { method: 'POST', keepOpen: true });
        for (let round = 0; round < 1_000; round++) {
          const message = `message ${round};`;
          const back = new Promise<string>((resolve) =>
            stream.once('data', (piece: Buffer) => resolve(piece.toString())),
          );
          stream.write(message);
          expect(await back).toBe(message);
        }
        stream.end();
        await new Promise((resolve) => stream.once('close', resolve));
        await client.close();
      });
    } finally {
      await pingPong.close();
    }
  });

  test('does not hold events that a server sends one by one (F016)', async () => {
    const source = `export default { onRequest() {}, onResponse(response) { response.headers.set("x-a", "1"); } };`;
    let seen = (): void => {};
    const events = await startUpstream({
      handler: async (exchange) => {
        exchange.start(200, [['content-type', 'text/event-stream']]);
        for (let i = 0; i < 50; i++) {
          // The next one is not sent before the client has this one.
          const arrived = new Promise<void>((resolve) => (seen = resolve));
          await exchange.write(`data: ${i}\n\n`);
          await arrived;
        }
        exchange.finish();
      },
    });
    try {
      await withEnvoy({ filters: [fairlead({ inline: source })], clusters: { upstream: events } }, async (envoy) => {
        const socket = await RawSocket.connect(envoy);
        socket.write('GET /events HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
        for (let i = 0; i < 50; i++) {
          expect(await socket.until(`data: ${i}\n\n`)).not.toContain(`data: ${i + 1}\n`);
          seen();
        }
        await socket.closed;
      });
    } finally {
      await events.close();
    }
  });
});
