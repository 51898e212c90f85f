// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Forms as they pass: read from requests, however these are cut, and sent on; compared with what Node reads and writes.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runInEmulator, runInEnvoy, type Script } from './conformance/hosts.ts';
import { fairlead, RawSocket, request, startEnvoy, startUpstream, type Envoy, type Upstream } from './harness.ts';

/** What a filter tells of a form, and the code of its error. */
const telling = `
  async function shown(form) {
    const all = [];
    for (const [name, value] of form) {
      all.push(typeof value === "string" ? [name, value] : [name, value.name, value.type, [...(await value.bytes())]]);
    }
    return all;
  }`;

async function shown(form: FormData): Promise<unknown[]> {
  const all: unknown[] = [];
  for (const [name, value] of form) {
    const file = value as unknown as File;
    all.push(typeof value === 'string' ? [name, value] : [name, file.name, file.type, [...new Uint8Array(await file.arrayBuffer())]]);
  }
  return all;
}

/** Numbers that look random, the same in each run. */
function* numbers(seed: number): Generator<number, never> {
  for (let state = seed; ; ) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    yield state >> 8;
  }
}

const texts = ['', 'a', 'ü', '€ \u{1f600}', '"', '%22', 'a=b&c', '--', '\r\n', '\r\n--x', 'a;b', "it's", ' ', 'x'.repeat(300)];

/** A form of up to six values that are awkward. */
function formOf(seed: number): FormData {
  const random = numbers(seed);
  const below = (limit: number): number => random.next().value % limit;
  const text = (): string => texts[below(texts.length)] ?? '';
  const form = new FormData();
  for (let left = below(7); left > 0; left--) {
    const bytes = Uint8Array.from({ length: below(50) }, () => [13, 10, 45, 0, 255, 97][below(6)] ?? 0);
    // Node drops a file without a name.
    if (below(2) === 0) form.append(text(), new Blob([bytes], { type: ['', 'a/b', 'text/plain'][below(3)] ?? '' }), `f${text().replaceAll(/[\r\n]/g, '')}`);
    else form.append(text(), text());
  }
  return form;
}

const encodings = {
  multipart: (form: FormData) => new Response(form),
  pairs: (form: FormData) =>
    new Response(new URLSearchParams([...form].map(([name, value]): [string, string] => [name, typeof value === 'string' ? value : 'file']))),
};

async function typeAndBytes(message: Response): Promise<{ type: string; bytes: Buffer }> {
  return { type: message.headers.get('content-type') ?? '', bytes: Buffer.from(await message.arrayBuffer()) };
}

let envoy: Envoy;
let upstream: Upstream;
beforeAll(async () => {
  upstream = await startUpstream({ handler: (exchange) => exchange.respond(200, [], 'done') });
  envoy = await startEnvoy({
    filters: [
      fairlead({
        inline: `${telling}
          const ways = {
            "/tell": async (request) => Response.json(await shown(await request.formData())),
            async "/edit"(request) {
              const form = await request.formData();
              form.delete("secret");
              form.append("seen", new File(["ü"], "é.txt", { type: "text/x" }));
              request.setBody(form);
            },
            async "/call"(request) {
              const form = new FormData();
              form.set("a", new Blob([new Uint8Array([0, 255])]), "b");
              const calls = [
                fetch("http://upstream/form", { method: "POST", body: form }),
                fetch("http://upstream/blob", { method: "POST", body: new Blob(["x"], { type: "a/b" }) }),
              ];
              return new Response((await Promise.all(calls)).map(({ status }) => status).join());
            },
            "/answer": () => {
              const form = new FormData();
              form.append("a", "b");
              return new Response(form);
            },
          };
          export default { onRequest: (request) => ways[request.path](request) };`,
        clusters: ['upstream'],
        limits: { cpu_ms: 2000, stream_cpu_ms: 5000, memory_mb: 32 },
      }),
    ],
    clusters: { upstream: { port: upstream.port } },
  });
});
afterAll(async () => {
  await envoy?.stop();
  await upstream?.close();
});

const post = (path: string, type: string, bytes: Buffer, chunkBytes?: number): ReturnType<typeof request> =>
  request(envoy, path, { body: bytes, headers: [['content-type', type]], ...(chunkBytes !== undefined && { chunkBytes }) });

describe('a form in a request', () => {
  test.each(Object.entries(encodings))('is what Node reads of it, cut or whole: %s (W24, H202)', async (_, encode) => {
    for (let seed = 1; seed <= 30; seed++) {
      const { type, bytes } = await typeAndBytes(encode(formOf(seed)));
      const wanted = await shown(await new Response(bytes, { headers: { 'content-type': type } }).formData());
      for (const chunkBytes of [undefined, 1 + (seed % 40)]) {
        const answer = await post('/tell', type, bytes, chunkBytes);
        expect([seed, answer.status, answer.json()]).toEqual([seed, 200, wanted]);
      }
    }
  });

  test('is the same when each byte comes by itself (W24, H202)', async () => {
    const form = new FormData();
    form.append('ü', '\r\n--x');
    form.append('f', new Blob(['\r\n--\r\n']), 'ä"');
    const { type, bytes } = await typeAndBytes(new Response(form));
    const wanted = await shown(await new Response(bytes, { headers: { 'content-type': type } }).formData());
    const socket = await RawSocket.connect(envoy);
    socket.write(`POST /tell HTTP/1.1\r\nhost: a\r\ncontent-type: ${type}\r\ncontent-length: ${bytes.length}\r\nconnection: close\r\n\r\n`);
    for (const byte of bytes) socket.write(Buffer.from([byte]));
    const answer = (await socket.closed).toString('latin1');
    expect(JSON.parse(Buffer.from(answer.slice(answer.indexOf('\r\n\r\n') + 4), 'latin1').toString())).toEqual(wanted);
  });

  test('is edited and goes on with its own boundary (W24, F009)', async () => {
    const form = new FormData();
    form.append('user', 'ann');
    form.append('secret', 'x');
    form.append('photo', new Blob([new Uint8Array([255, 216, 13, 10])], { type: 'image/jpeg' }), 'p.jpg');
    const { type, bytes } = await typeAndBytes(new Response(form));
    expect((await post('/edit', type, bytes)).status).toBe(200);
    const received = upstream.requests.at(-1);
    const newType = received?.headers.get('content-type') ?? '';
    expect(newType).toMatch(/^multipart\/form-data; boundary=----fairlead[0-9a-f]{32}$/);
    expect(received?.headers.get('content-length')).toBe(String(received?.body.length));
    const message = new Response(Buffer.from(received?.body ?? ''), { headers: { 'content-type': newType } });
    expect(await shown(await message.formData())).toEqual([
      ['user', 'ann'],
      ['photo', 'p.jpg', 'image/jpeg', [255, 216, 13, 10]],
      ['seen', 'é.txt', 'text/x', [195, 188]],
    ]);
  });
});

describe('a form and a Blob that a script makes', () => {
  test('are bodies of calls and answers (W24, F030)', async () => {
    const before = upstream.requests.length;
    expect((await request(envoy, '/call')).body.toString()).toBe('200,200');
    const [first, second] = upstream.requests.slice(before).sort((a, b) => (a.path < b.path ? 1 : -1));
    const type = first?.headers.get('content-type') ?? '';
    const form = await new Response(Buffer.from(first?.body ?? ''), { headers: { 'content-type': type } }).formData();
    expect(await shown(form)).toEqual([['a', 'b', 'application/octet-stream', [0, 255]]]);
    expect([second?.headers.get('content-type'), Buffer.from(second?.body ?? '').toString()]).toEqual(['a/b', 'x']);

    const answer = await request(envoy, '/answer');
    const answered = new Response(answer.body, { headers: { 'content-type': answer.headers.get('content-type') ?? '' } });
    expect(await shown(await answered.formData())).toEqual([['a', 'b']]);
  });
});

test('forms are read, refused and limited alike in Envoy and in the emulator (W24)', async () => {
  const part = '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\nx\r\n';
  const bodies = [
    ['multipart/form-data; boundary=b', `${part}--b--\r\n`],
    ['multipart/form-data; boundary=b', part],
    ['multipart/form-data', `${part}--b--\r\n`],
    ['text/plain', 'a=b'],
    ['application/x-www-form-urlencoded', 'a=%ff+&b'],
    ['multipart/form-data; boundary=b', `${part.repeat(1000)}--b--`],
    ['multipart/form-data; boundary=b', `${part.repeat(1001)}--b--`],
    ['application/x-www-form-urlencoded', Array(1001).fill('a').join('&')],
  ] as const;
  const script: Script = {
    filter: {
      inline: `${telling}
        export default { onRequest: async (request) => Response.json(await request.formData().then(shown, ({ code }) => code)) };`,
      limits: { cpu_ms: 2000, stream_cpu_ms: 5000 },
    },
    exchanges: bodies.map(([type, body]) => ({ request: { method: 'POST', headers: { 'content-type': type }, body } })),
  };
  const [real] = await runInEnvoy([script]);
  const [fake] = await runInEmulator([script]);
  const answers = real?.outcomes.map(({ client }) => JSON.parse(Buffer.from(client?.body ?? '', 'latin1').toString()) as unknown);
  expect(answers).toEqual([
    [['a', 'x']],
    'E_FORM',
    'E_FORM',
    'E_FORM',
    [
      ['a', '\ufffd '],
      ['b', ''],
    ],
    Array(1000).fill(['a', 'x']),
    'E_FORM_LIMIT',
    'E_FORM_LIMIT',
  ]);
  expect(fake).toEqual(real);
});
