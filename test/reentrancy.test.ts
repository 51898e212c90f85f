// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Every call of the library that can end its own stream, in a real Envoy. Before 1.40 Envoy destroys the filter inside
// that call. A stream of the library under test cannot be touched once it is freed (test/faults.cc): who does so crashes.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { paths } from '../bundler/toolchain/paths.ts';
import {
  clusterRoute,
  directRoute,
  fairlead,
  Http2Client,
  request,
  startEnvoy,
  startUpstream,
  upstreamChain,
  waitFor,
  withEnvoy,
  withUpstream,
  type Envoy,
  type Handler,
  type HeaderPair,
  type JsonObject,
  type Upstream,
} from './harness.ts';

interface Ending {
  /** The hooks' bodies. */
  readonly request?: string;
  readonly response?: string;
  /** What the client gets; 0: the stream is reset. */
  readonly status: number;
  /** `router`: Envoy answers inside the call that lets the request through. `half`: the upstream does not end its answer. */
  readonly behind?: 'router' | 'half';
  readonly grpc?: boolean;
  readonly fault?: string;
}

const no = `new Response("no", { status: 403 })`;
const grow = `const all = []; for (;;) all.push(new Uint8Array(100_000));`;
const endings: Record<string, Ending> = {
  'a reply to a gRPC caller': { request: `return ${no};`, status: 200, grpc: true },
  'a reply to a gRPC caller for a throw': { request: `await null; throw new Error("x");`, status: 200, grpc: true, fault: 'E_THROWN' },
  'a reply of the response hook': { response: `return ${no};`, status: 403 },
  'a reply for a throw of the response hook': { response: `throw new Error("x");`, status: 500, fault: 'E_THROWN' },
  'a reply after a timer': { request: `await sleep(5); return ${no};`, status: 403 },
  'a reply after a timer of the response hook': { response: `await sleep(5); return ${no};`, status: 403 },
  'a reply at the headers of a call': { request: `await fetch("http://auth/"); return ${no};`, status: 403 },
  'a reply at the end of a call': { request: `await (await fetch("http://auth/")).text(); return ${no};`, status: 403 },
  'a reply at the reset of a call': { request: `return (await fetch("http://auth/cut")).text().catch(() => ${no});`, status: 403 },
  'a reply when a call is too large': {
    request: `return (await fetch("http://auth/large")).text().catch(() => ${no});`,
    status: 403,
  },
  'a reply when a call cannot start': { response: `return fetch("http://unknown/").catch(() => ${no});`, status: 403 },
  'a reply when a redirect is not allowed': { request: `return fetch("http://auth/away").catch(() => ${no});`, status: 403 },
  'a reply when a call is aborted': {
    request: `const control = new AbortController();
      setTimeout(() => control.abort(), 5);
      return fetch("http://auth/silent", { signal: control.signal }).catch(() => ${no});`,
    status: 403,
  },
  'a reply when a call times out': {
    request: `return fetch("http://auth/silent", { timeoutMs: 5 }).catch(() => ${no});`,
    status: 403,
  },
  'a continue after a timer that the router answers': { request: `await sleep(5);`, status: 503, behind: 'router' },
  'a continue after a call that the router answers': {
    request: `await (await fetch("http://auth/")).text();`,
    status: 503,
    behind: 'router',
  },
  'a continue that sends the whole response': { response: `await sleep(5);`, status: 200 },
  'a continue after a call that sends the whole response': { response: `await fetch("http://auth/");`, status: 200 },
  'a runaway timer after the response has left': {
    response: `setTimeout(() => { for (;;); }, 5);`,
    status: 0,
    behind: 'half',
    fault: 'E_CPU_LIMIT',
  },
  'a heap that fills after the response has left': {
    response: `setTimeout(() => { ${grow} }, 5);`,
    status: 0,
    behind: 'half',
    fault: 'E_MEMORY_LIMIT',
  },
  'the wait limit of the request hook': { request: `await new Promise(() => {});`, status: 504, fault: 'E_WAIT_LIMIT' },
  'the wait limit of the response hook': { response: `await new Promise(() => {});`, status: 504, fault: 'E_WAIT_LIMIT' },
  'a loop in the response hook': { response: `for (;;);`, status: 500, fault: 'E_CPU_LIMIT' },
  'a loop after a timer': { request: `await sleep(5); for (;;);`, status: 500, fault: 'E_CPU_LIMIT' },
  'a loop after a call': { request: `await fetch("http://auth/"); for (;;);`, status: 500, fault: 'E_CPU_LIMIT' },
  'a heap that fills in the response hook': { response: grow, status: 500, fault: 'E_MEMORY_LIMIT' },
};
const names = Object.keys(endings);

/** One script for both chains: a case runs in the chain that the request names. */
const source = `import { sleep } from "fairlead";
  const request = { ${names.map((name, at) => `${at}: async () => { ${endings[name]?.request ?? ''} }`).join(',\n')} };
  const response = { ${names.map((name, at) => `${at}: async () => { ${endings[name]?.response ?? ''} }`).join(',\n')} };
  const run = (table, of, ctx) => of.headers.get("x-chain") === ctx.config.chain ? table[of.headers.get("x-case")]?.() : undefined;
  export default {
    onRequest: (of, ctx) => run(request, of, ctx),
    onResponse: (_, ctx) => run(response, ctx.request, ctx),
    onLog(ctx) { console.warn("log", ctx.config.chain, ctx.request.headers.get("x-id")); },
  };`;

const handler: Handler = async (exchange) => {
  const { path, headers } = await exchange.whole;
  if (path === '/cut') {
    // Without a length: an answer that says it is short is given when it is whole.
    exchange.start(200, []);
    await exchange.write('half');
    exchange.reset();
  } else if (path === '/large') exchange.respond(200, [], Buffer.alloc(1_048_577));
  else if (path === '/away') exchange.respond(302, [['location', 'http://elsewhere/']]);
  else if (path === '/half') {
    exchange.start(200, []);
    await exchange.write('half');
  } else if (path !== '/silent') exchange.respond(200, [], `for ${headers.get('x-id') ?? 'nobody'}`);
};

let upstream: Upstream;
let envoy: Envoy;
let client: Http2Client;
let lastId = 0;

/** An Envoy with the filter in the downstream chain and, if so wanted, in those of its clusters: one worker, one runtime. */
function runEnvoy(chains: 'one chain' | 'both chains'): void {
  beforeAll(async () => {
    upstream = await startUpstream({ handler });
    const limits = { cpu_ms: 50, memory_mb: 4, wait_ms: 100 };
    const filter = (chain: string): JsonObject =>
      fairlead({ inline: source, clusters: ['auth', 'unknown'], config: { chain }, limits });
    const settings = chains === 'both chains' ? upstreamChain([filter('upstream')]) : {};
    envoy = await startEnvoy({
      filters: [filter('downstream')],
      clusters: { upstream: { port: upstream.port, settings }, auth: { port: upstream.port, settings } },
      routes: [directRoute('/router', 503, 'busy'), clusterRoute('/', 'upstream')],
      libraryFolder: paths.faultsFolder,
    });
    client = await Http2Client.connect(envoy);
  });
  afterAll(async () => {
    try {
      await client.close();
    } finally {
      // A crash shows here, with the end of Envoy's log.
      expect(await envoy.stop()).toBe(0);
      await upstream.close();
    }
  });
}

interface Outcome {
  id: string;
  /** 0: the stream was reset. */
  status: number;
  grpcStatus: string | null;
}

async function ask(chain: string, name: string): Promise<Outcome> {
  const { behind, grpc } = endings[name] ?? {};
  const id = `id-${++lastId}`;
  const headers: HeaderPair[] = [
    ['x-chain', chain],
    ['x-case', String(names.indexOf(name))],
    ['x-id', id],
    ...(grpc === true ? ([['content-type', 'application/grpc'], ['te', 'trailers']] as HeaderPair[]) : []),
  ];
  const asked = client.request(`/${behind ?? ''}`, { method: 'POST', body: 'body', headers });
  return await asked.then(
    (answer) => ({ id, status: answer.status, grpcStatus: answer.headers.get('grpc-status') }),
    () => ({ id, status: 0, grpcStatus: null }),
  );
}

/** How often onLog ran in a chain for a request. */
const logged = (chain: string, id: string): number =>
  envoy.logs().filter(({ message }) => new RegExp(`log ${chain} ${id}\\b`).test(message)).length;

describe('a stream that ends inside a call of its own filter', () => {
  runEnvoy('one chain');
  test.each(names)('ends once and leaves the next one alone: %s (R10, R11, R12)', async (name) => {
    const { status, grpc, fault } = endings[name] as Ending;
    const faultsBefore = envoy.log.faults().length;
    const outcome = await ask('downstream', name);
    expect(outcome.status).toBe(status);
    if (grpc === true) expect(outcome.grpcStatus).toBe(fault === undefined ? '7' : '13');
    await envoy.idle();
    // No script runs in a heap that is full.
    expect(logged('downstream', outcome.id)).toBe(fault === 'E_MEMORY_LIMIT' ? 0 : 1);
    expect(envoy.log.faults().slice(faultsBefore).map(({ code }) => code)).toEqual(fault === undefined ? [] : [fault]);
    expect((await ask('nowhere', '')).status).toBe(200);
  });
});

test('a stream that another one wakes or fails ends once, inside that one\'s hook (R10, R11, R12)', async () => {
  const inline = `
    let wake;
    export default {
      async onRequest(request) {
        if (request.path === "/wait") {
          await new Promise((resolve) => { wake = resolve; });
          return new Response("woken", { status: 403 });
        }
        if (request.path === "/wake") wake();
        if (request.path === "/grow") { ${grow} }
      },
      onLog(ctx) { console.warn("log", ctx.request.path); },
    };`;
  const options = { filters: [fairlead({ inline, limits: { memory_mb: 4, cpu_ms: 1_000 } })], libraryFolder: paths.faultsFolder };
  await withEnvoy({ ...options, errorsExpected: true }, async (own) => {
    for (const [path, woken, waker] of [['/wake', 403, 200], ['/grow', 500, 500]] as const) {
      // A connection of its own: Envoy ends no stream of the one that it reads from before it has read.
      const held = await Http2Client.connect(own);
      const waiting = held.request('/wait');
      const connection = await Http2Client.connect(own);
      await waitFor('a held stream', async () => (await own.gauge('downstream_rq_active')) === 1);
      expect((await connection.request(path)).status).toBe(waker);
      expect((await waiting).status).toBe(woken);
      expect((await connection.request('/next')).status).toBe(200);
      await Promise.all([held.close(), connection.close()]);
    }
    await own.idle();
    const logged = own.logs().filter(({ message }) => /log \/(wait|wake|next)\b/.test(message));
    // A full heap runs no onLog.
    expect(logged).toHaveLength(4);
  });
});

describe.each(['downstream', 'upstream'])('a stream that ends in the %s one of two chains with the same filter', (chain) => {
  runEnvoy('both chains');
  test.each(names)('ends once and leaves the next one alone: %s (R10, R11, R12)', async (name) => {
    const { status, fault } = endings[name] as Ending;
    const outcome = await ask(chain, name);
    // The chains share a runtime: a heap that fills ends the exchange in both, and the one that is first decides how.
    const full = fault === 'E_MEMORY_LIMIT';
    expect(outcome.status).toBeOneOf(full ? [status, 0] : [status]);
    await envoy.idle();
    expect(logged('downstream', outcome.id)).toBe(full ? 0 : 1);
    // Envoy does not tell a filter of an upstream chain that its stream is over before it destroys it.
    expect(logged('upstream', outcome.id)).toBe(0);
    expect((await ask('nowhere', '')).status).toBe(200);
  });
});

describe('a filter in an upstream chain', () => {
  const counting = `import { sleep } from "fairlead";
    const counts = { started: 0, finished: 0, logged: 0, seen: 0 };
    const wait = async (ctx) => {
      counts.started++;
      try { await Promise.race([fetch("http://side/silent"), sleep(60_000)]); }
      finally { counts.finished++; if (ctx.request.headers.get("x-wait")) counts.seen++; }
    };
    export default {
      onRequest(request, ctx) {
        if (request.path === "/counts") return Response.json(counts);
        if (ctx.config.upstream && request.headers.get("x-wait") === "request") return wait(ctx);
      },
      onResponse(response, ctx) { if (ctx.config.upstream && ctx.request.headers.get("x-wait") === "response") return wait(ctx); },
      onLog(ctx) { if (ctx.config.upstream) { counts.logged++; if (ctx.request.headers.get("x-wait")) counts.seen++; } },
    };`;

  test.each(['request', 'response'])('ends when the client leaves while its %s hook waits (F035, R12)', async (hook) => {
    await withUpstream({ handler }, async (side) => {
      const filter = (upstream: boolean): JsonObject => fairlead({ inline: counting, clusters: ['side'], config: { upstream } });
      const options = {
        filters: [filter(false)],
        clusters: { upstream: { port: side.port, settings: upstreamChain([filter(true)]) }, side },
        libraryFolder: paths.faultsFolder,
      };
      await withEnvoy(options, async (waiting) => {
        const total = 20;
        const connection = await Http2Client.connect(waiting);
        const streams = Array.from({ length: total }, () => {
          const stream = connection.open('/', { headers: [['x-wait', hook]] });
          stream.on('error', () => undefined);
          return stream;
        });
        await side.arrived(total);
        for (const stream of streams) stream.close(8);
        await waiting.idle();
        const counts = (await connection.request('/counts')).json();
        expect(counts).toEqual({ started: total, finished: total, logged: total, seen: 0 });
        await connection.close();
      });
    });
  });

  test('with nothing but onLog runs it once for each stream, with nothing to read (F022, R12)', async () => {
    const inline = `export default { onLog(ctx) { console.warn("log", ctx.request.path, ctx.response?.status); } };`;
    await withUpstream({}, async (plain) => {
      const clusters = { upstream: { port: plain.port, settings: upstreamChain([fairlead(inline)]) } };
      await withEnvoy({ clusters, libraryFolder: paths.faultsFolder }, async (logging) => {
        for (let i = 0; i < 3; i++) expect(await request(logging)).toMatchObject({ status: 200 });
        await logging.idle();
        const lines = logging.logs().filter(({ message }) => message.includes('log null'));
        expect(lines).toHaveLength(3);
      });
    });
  });
});
