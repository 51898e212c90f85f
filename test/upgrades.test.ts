// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// WebSockets and CONNECT tunnels: exchanges whose messages have no end until one side leaves.

import { once } from 'node:events';
import { createServer as createHttpServer, type IncomingMessage, type Server as HttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { WebSocket, WebSocketServer } from 'ws';
import { fairlead, patternBytes, RawSocket, readFault, startEnvoy, waitFor, within, type Envoy, type TrafficOptions } from './harness.ts';

const filters = {
  headers: `onRequest(request, ctx) { ctx.state.kind = request.headers.get("upgrade") ?? request.method; },
    onResponse(response, ctx) { ctx.state.status = response.status; },
    onLog(ctx) { console.info("over", ctx.state.kind, ctx.state.status); }`,
  chunks: `onRequestChunk(chunk, ctx) { ctx.state.up = (ctx.state.up ?? 0) + chunk.data.length; },
    onResponseChunk(chunk, ctx) { ctx.state.down = (ctx.state.down ?? 0) + chunk.data.length; },
    onLog(ctx) { console.info("seen", ctx.state.up, ctx.state.down); }`,
  waiting: `async onRequest() { await sleep(1); },
    async onResponse() { await sleep(1); },
    async onRequestChunk() { await null; },
    async onResponseChunk(chunk) { if (chunk.data.length % 7 === 0) await sleep(1); }`,
  changing: `onResponseChunk: (chunk) => chunk.data.map((byte) => byte >= 97 && byte <= 122 ? byte - 32 : byte)`,
  refusing: `onRequest: () => new Response("not here", { status: 403 })`,
  reading: `async onRequest(request) { await request.text().catch((error) => console.info("request", error.code)); },
    async onResponse(response) { await response.text().catch((error) => console.info("response", error.code)); }`,
  failing: `async onRequest(request) { await request.text(); }`,
};
type Filter = keyof typeof filters;

let webServer: HttpServer;
let webSockets: WebSocketServer;
let tcpServer: Server;
const sockets = new Set<Socket>();
let envoy: Envoy;

/** Listens on a free port, and remembers its connections. */
async function listen(server: Server): Promise<number> {
  server.on('connection', (socket: Socket) => sockets.add(socket.on('error', () => undefined)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

beforeAll(async () => {
  webServer = createHttpServer();
  webSockets = new WebSocketServer({ server: webServer });
  // One with the path /leave goes at the first message, without a word.
  webSockets.on('connection', (socket: WebSocket, request: IncomingMessage) =>
    socket.on('message', (data, binary) => (request.url === '/leave' ? socket.terminate() : socket.send(data, { binary }))),
  );
  tcpServer = createServer((socket) => socket.pipe(socket));
  const clusters = { upstream: { port: await listen(webServer) }, tunnel: { port: await listen(tcpServer) } };
  const traffic = (filter: Filter): TrafficOptions => ({
    filters: [fairlead({ inline: `import { sleep } from "fairlead"; export default { ${filters[filter]} };` })],
    clusters,
    routes: [
      {
        match: { connect_matcher: {} },
        route: { cluster: 'tunnel', upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: {} }] },
      },
      { match: { prefix: '/' }, route: { cluster: 'upstream' } },
    ],
    connectionManager: { upgrade_configs: [{ upgrade_type: 'websocket' }, { upgrade_type: 'CONNECT' }] },
  });
  const listeners = Object.fromEntries(Object.keys(filters).map((name) => [name, traffic(name as Filter)]));
  envoy = await startEnvoy({ clusters, listeners });
});
afterAll(async () => {
  await envoy?.stop();
  for (const socket of sockets) socket.destroy();
  webServer?.close();
  tcpServer?.close();
});

/** A WebSocket through a filter, open. */
async function open(filter: Filter, path = '/'): Promise<WebSocket> {
  const socket = new WebSocket(`ws://127.0.0.1:${envoy.portOf(filter)}${path}`);
  socket.on('error', () => undefined);
  await within('a WebSocket to open', 5_000, once(socket, 'open'));
  return socket;
}

async function echoed(socket: WebSocket, message: string | Uint8Array): Promise<Buffer> {
  socket.send(message);
  const [data] = (await within('a message to come back', 5_000, once(socket, 'message'))) as [Buffer];
  return data;
}

async function close(socket: WebSocket): Promise<void> {
  socket.close();
  await within('a WebSocket to close', 5_000, once(socket, 'close'));
}

/** A CONNECT tunnel through a filter, with the head of the answer. */
async function tunnel(filter: Filter): Promise<{ socket: RawSocket; head: string }> {
  const socket = await RawSocket.connect({ port: envoy.portOf(filter) });
  socket.write('CONNECT far.example:443 HTTP/1.1\r\nhost: far.example:443\r\n\r\n');
  return { socket, head: await socket.until('\r\n\r\n') };
}

/** The log lines of one listener's script. */
const logged = (text: string): number => envoy.logs().filter(({ message }) => message.includes(text)).length;

describe.each<Filter>(['headers', 'chunks', 'waiting'])('with a filter that has hooks of the kind "%s"', (filter) => {
  test('a thousand WebSocket frames come back one by one, and as many at once (F017)', async () => {
    const socket = await open(filter);
    for (let n = 0; n < 1_000; n++) expect((await echoed(socket, `frame ${n}`)).toString()).toBe(`frame ${n}`);

    const received: Buffer[] = [];
    socket.on('message', (data: Buffer) => received.push(data));
    const sent = Array.from({ length: 1_000 }, (_, n) => patternBytes(n % 100 === 0 ? 70_000 : n, n));
    for (const frame of sent) socket.send(frame);
    await waitFor('all frames to come back', () => received.length === sent.length, 20_000);
    expect(received.findIndex((frame, n) => !frame.equals(sent[n] ?? frame))).toBe(-1);
    await close(socket);
    await envoy.idle(filter);
  });

  test('a CONNECT tunnel carries bytes both ways (F017)', async () => {
    const { socket, head } = await tunnel(filter);
    expect(head).toMatch(/^HTTP\/1\.1 200 /);
    const bytes = patternBytes(1_000_000);
    socket.write(bytes);
    await waitFor('the bytes to come back', () => socket.received().length >= head.length + bytes.length, 20_000);
    expect(socket.received().subarray(head.length).equals(bytes)).toBe(true);
    socket.end();
    await within('the tunnel to close', 5_000, socket.closed);
    await envoy.idle(filter);
  });
});

test('what a chunk hook makes of the bytes of a frame is what the client gets (F011, F017)', async () => {
  const socket = await open('changing');
  expect((await echoed(socket, 'Shout!')).toString()).toBe('SHOUT!');
  await close(socket);

  const { socket: raw, head } = await tunnel('changing');
  raw.write('through the tunnel');
  expect((await raw.until('TUNNEL')).slice(head.length)).toBe('THROUGH THE TUNNEL');
  raw.end();
  await within('the tunnel to close', 5_000, raw.closed);
});

test('chunk hooks see each byte of an upgraded connection once, frame headers included (F017)', async () => {
  const socket = await open('chunks');
  await echoed(socket, 'x'.repeat(100));
  socket.terminate();
  // A masked frame has six bytes of header, its echo two.
  await envoy.waitForLog(({ message }) => message.includes('seen 106 102'));
});

test('an upgraded exchange ends when either side leaves, and onLog runs (F017)', async () => {
  const before = logged('over websocket 101');
  const polite = await open('headers');
  await close(polite);
  await waitFor('onLog after a handshake of closing', () => logged('over websocket 101') === before + 1);
  const cut = await open('headers');
  expect(await envoy.gauge('downstream_rq_active', 'headers')).toBe(1);
  cut.terminate();
  await waitFor('onLog after the client left', () => logged('over websocket 101') === before + 2);

  const left = await open('headers', '/leave');
  left.send('go');
  await within('the connection to close', 5_000, once(left, 'close'));
  await waitFor('onLog after the upstream left', () => logged('over websocket 101') === before + 3);

  const { socket } = await tunnel('headers');
  socket.reset();
  await envoy.waitForLog(({ message }) => message.includes('over CONNECT 200'));
  await envoy.idle('headers');
});

test('a filter answers the request for an upgrade or a tunnel itself (F017, F020)', async () => {
  const before = webSockets.clients.size;
  const socket = new WebSocket(`ws://127.0.0.1:${envoy.portOf('refusing')}`);
  const [, answer] = (await within('the answer', 5_000, once(socket, 'unexpected-response'))) as [unknown, IncomingMessage];
  expect(answer.statusCode).toBe(403);
  expect(Buffer.concat(await answer.toArray()).toString()).toBe('not here');
  expect(webSockets.clients.size).toBe(before);

  const { socket: raw, head } = await tunnel('refusing');
  expect(head).toMatch(/^HTTP\/1\.1 403 /);
  raw.end();
  await within('the connection to close', 5_000, raw.closed);
});

test('reading all of what has no end is refused at once, and holds nothing up (F008, F017)', async () => {
  const socket = await open('reading');
  expect((await echoed(socket, 'still here')).toString()).toBe('still here');
  await close(socket);
  const { socket: raw } = await tunnel('reading');
  raw.write('still here');
  await raw.until('still here');
  raw.end();
  await within('the tunnel to close', 5_000, raw.closed);
  await waitFor('both refusals of both', () => logged('request E_BODY_ENDLESS') === 2 && logged('response E_BODY_ENDLESS') === 2);

  const failed = new WebSocket(`ws://127.0.0.1:${envoy.portOf('failing')}`);
  const [, answer] = (await within('the answer', 5_000, once(failed, 'unexpected-response'))) as [unknown, IncomingMessage];
  expect(answer.statusCode).toBe(500);
  answer.resume();
  await envoy.waitForLog((entry) => readFault(entry)?.code === 'E_BODY_ENDLESS');
});
