// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Packed bodies: read, edited and packed again, before a real Envoy and in the emulator; and what a client can do to an
// Envoy by sending them.

import { constants, createDeflateRaw, deflateRawSync, deflateSync, gunzipSync, gzipSync, inflateSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runInEmulator, runInEnvoy, type Script } from './conformance/hosts.ts';
import { fairlead, request, startEnvoy, type Envoy } from './harness.ts';

const formats = {
  gzip: { pack: gzipSync, unpack: gunzipSync },
  deflate: { pack: deflateSync, unpack: inflateSync },
};
const json = { items: Array.from({ length: 2000 }, (_, id) => ({ id, secret: `s${id}` })), name: 'ünï' };
const edited = { items: json.items.map(({ id }) => ({ id })), name: 'ünï' };

/** The same with zeros in place of its checksum. */
function withoutSum(packed: Buffer): Buffer {
  return packed.fill(0, packed.length - 8, packed.length - 4);
}

/** What is not what its header says, and a bomb of 2 MB beyond body_kb. */
const wrong: readonly (readonly [format: string, body: Buffer])[] = [
  ['deflate', gzipSync('{}')],
  ['gzip', gzipSync('{"a":1}').subarray(0, 20)],
  ['gzip', Buffer.concat([gzipSync('{}'), gzipSync('{}')])],
  ['gzip', withoutSum(gzipSync('{"a":1}'))],
  ['gzip', gzipSync(Buffer.alloc(3_000_000))],
];

const editing: Script = {
  filter: {
    inline: `export default {
      async onResponse(response) {
        const format = response.headers.get("content-encoding");
        if (format === null) return;
        const unpacked = new Response(response.body.pipeThrough(new DecompressionStream(format)));
        const value = await unpacked.json().catch((error) => ({ error: error.code ?? error.name }));
        if (value.error) { response.headers.set("x-error", value.error); return; }
        for (const item of value.items) delete item.secret;
        const packed = Response.json(value).body.pipeThrough(new CompressionStream(format));
        response.setBody(await new Response(packed).bytes());
      },
    };`,
    limits: { cpu_ms: 5000, stream_cpu_ms: 10_000, memory_mb: 32 },
  },
  exchanges: [
    ...Object.entries(formats).map(([name, { pack }]) => ({
      upstream: { headers: { 'content-encoding': name, 'content-type': 'application/json' }, body: pack(JSON.stringify(json)) },
    })),
    ...wrong.map(([format, body]) => ({ upstream: { headers: { 'content-encoding': format }, body } })),
  ],
};

describe('a packed response', () => {
  test('is edited and packed again, and is the same in Envoy and in the emulator (F019, W23)', async () => {
    const [real] = await runInEnvoy([editing]);
    const [fake] = await runInEmulator([editing]);
    const names = Object.entries(formats);
    for (const [i, [name, { unpack }]] of names.entries()) {
      const { client } = real?.outcomes[i] ?? {};
      expect(client?.status).toBe(200);
      expect(Object.fromEntries(client?.headers ?? [])).toMatchObject({ 'content-encoding': name, 'content-type': 'application/json' });
      const body = Buffer.from(client?.body ?? '', 'latin1');
      expect(Object.fromEntries(client?.headers ?? [])['content-length']).toBe(String(body.length));
      expect(JSON.parse(unpack(body).toString())).toEqual(edited);
    }
    expect(fake).toEqual(real);
  });

  test('that is damaged, cut, or larger than body_kb goes on as it came, and the script is told (F019, H206)', async () => {
    const [real] = await runInEnvoy([editing]);
    const [fake] = await runInEmulator([editing]);
    const clients = real?.outcomes.slice(Object.keys(formats).length).map(({ client }) => client) ?? [];
    const codes = clients.map((client) => Object.fromEntries(client?.headers ?? [])['x-error']);
    expect(codes).toEqual([...Array<string>(4).fill('E_COMPRESSION'), 'E_BODY_LIMIT']);
    expect(clients.map((client) => client?.body)).toEqual(wrong.map(([, body]) => body.toString('latin1')));
    expect(fake).toEqual(real);
  });
});

describe('a bomb in a request', () => {
  const script = `
    const unpacked = (request) => request.body.pipeThrough(new DecompressionStream("deflate-raw"));
    const ways = {
      "/collect": async (request) => new Response(await new Response(unpacked(request)).text().catch((error) => error.code)),
      async "/walk"(request) { for await (const piece of unpacked(request)) piece; },
      async "/keep"(request) { const all = []; for await (const piece of unpacked(request)) all.push(piece); },
      "/": () => new Response("served"),
    };
    export default { onRequest: (request) => ways[request.path](request) };`;
  let envoy: Envoy;
  let bomb: Buffer;
  beforeAll(async () => {
    envoy = await startEnvoy({
      filters: [fairlead({ inline: script, limits: { cpu_ms: 2000, stream_cpu_ms: 4000, memory_mb: 64, body_kb: 16_384 } })],
    });
    // What is flushed whole refers to nothing before it: ten thousand times a mebibyte.
    const packer = createDeflateRaw({ level: 9 });
    const piece = await new Promise<Buffer>((resolve) => {
      const parts: Buffer[] = [];
      packer.on('data', (part: Buffer) => parts.push(part));
      packer.write(Buffer.alloc(1_048_576));
      packer.flush(constants.Z_FULL_FLUSH, () => resolve(Buffer.concat(parts)));
    });
    bomb = Buffer.concat([...Array<Buffer>(10_240).fill(piece), deflateRawSync('')]);
  });
  afterAll(() => envoy?.stop());

  test('of ten gigabytes stops at body_kb, at the CPU limit and at the memory limit, and others are served (F019, H206)', async () => {
    expect(bomb.length).toBeLessThan(12_000_000);
    const send = (path: string): ReturnType<typeof request> => request(envoy, path, { body: bomb });
    const collected = await send('/collect');
    expect([collected.status, collected.body.toString()]).toEqual([200, 'E_BODY_LIMIT']);
    const faults = [
      ['/walk', 'E_CPU_LIMIT'],
      ['/keep', 'E_MEMORY_LIMIT'],
    ] as const;
    for (const [path, code] of faults) {
      expect((await send(path)).status).toBe(500);
      await envoy.log.waitFor(({ message }) => message.includes(code));
      expect((await request(envoy, '/')).body.toString()).toBe('served');
    }
  });
});
