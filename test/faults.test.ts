// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Memory that runs out inside the library: each C++ allocation that a request or a config makes fails once, and once with
// all that follow it. Envoy lives, the request is not let through unfiltered, and the next one is served.

import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { paths } from '../bundler/toolchain/paths.ts';
import {
  fairlead,
  Http2Client,
  request,
  startUpstream,
  withEnvoy,
  type Envoy,
  type EnvoyOptions,
  type JsonObject,
  type Upstream,
} from './harness.ts';

/** The numbers that test/faults.cc reads and counts. */
class Faults {
  readonly #file: number;
  readonly path: string;

  constructor(path: string) {
    this.path = path;
    this.#file = openSync(path, 'r+');
  }

  /** Counts from 0 again; the allocations from number `first` to before `end` are to fail. */
  arm(first: number, end: number): void {
    writeSync(this.#file, new BigUint64Array([0n, BigInt(first), BigInt(end), 0n]), 0, undefined, 0);
  }

  /** For a process that has not begun yet. */
  reset(): void {
    writeSync(this.#file, new BigUint64Array(5), 0, undefined, 0);
  }

  read(): { allocations: number; hits: number; live: number } {
    const words = new BigUint64Array(5);
    readSync(this.#file, words, 0, words.byteLength, 0);
    return { allocations: Number(words[0]), hits: Number(words[3]), live: Number(words[4]) };
  }

  close(): void {
    closeSync(this.#file);
  }
}

let folder: string;
let faults: Faults;
let upstream: Upstream;
let side: Upstream;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fairlead-faults-'));
  const path = join(folder, 'faults');
  await writeFile(path, Buffer.alloc(40));
  faults = new Faults(path);
  upstream = await startUpstream({
    http2: true,
    handler: async (exchange) => {
      const { headers } = await exchange.whole;
      exchange.respond(200, [['x-was', headers.get('x-filtered') ?? 'nothing']], 'body', [['x-end', 'yes']]);
    },
  });
  side = await startUpstream({ handler: (exchange) => exchange.respond(200, [['x-a', 'b']], 'side') });
});
beforeEach(() => {
  faults.reset();
});
afterAll(async () => {
  faults.close();
  await Promise.all([upstream.close(), side.close()]);
  await rm(folder, { recursive: true, force: true });
});

/** Runs through every hook of the library: headers, bodies, trailers, timers, calls, the end. */
const source = `import { sleep } from "fairlead";
  const early = {
    async onRequest(request, ctx) {
      ctx.state.path = request.path;
      if (request.path === "/grow") { const all = []; for (;;) all.push(new ArrayBuffer(1 << 20)); }
      console.warn("asked for", request.path);
      const [answer] = await Promise.all([fetch("http://side/x", { headers: { "x-q": "1" } }), sleep(1)]);
      request.headers.set("x-filtered", (await answer.text()) + [...request.headers].length);
      if (request.headers.has("x-deny")) return new Response("no", { status: 403, headers: { "x-own": "1" } });
    },
    async onResponse(response, ctx) {
      setTimeout(() => {}, 1);
      await (await fetch("http://side/y")).json().catch(() => 0);
      response.headers.set("x-filtered", response.headers.get("x-was") + ctx.state.path);
    },
    onLog(ctx) { if (ctx.response?.status === 200) ctx.signal; },
  };
  export default early;`;

function options(config: JsonObject = {}): EnvoyOptions & { errorsExpected: boolean } {
  return {
    filters: [fairlead({ inline: source, clusters: ['side'], limits: { cpu_ms: 1_000, stream_cpu_ms: 10_000, memory_mb: 4 }, ...config })],
    clusters: { upstream, side },
    libraryFolder: paths.faultsFolder,
    environment: { FAULTS_FILE: faults.path },
    errorsExpected: true,
    logLevel: 'warning',
  };
}

interface Outcome {
  /** 0: the stream was reset. */
  status: number;
  filtered: string | null;
}

/** One exchange with body and trailers both ways. */
async function exchange(client: Http2Client, deny: boolean): Promise<Outcome> {
  const asked = client.request('/p', {
    method: 'POST',
    body: '12345',
    headers: deny ? [['x-deny', '1']] : [],
    trailers: [['x-sent', 'yes']],
  });
  return await asked.then(
    (answer) => ({ status: answer.status, filtered: answer.headers.get('x-filtered') }),
    () => ({ status: 0, filtered: null }),
  );
}


interface Sweep<T> {
  /** All that follow the one that fails fail, too. */
  forEver: boolean;
  /** Runs before each `act`, with enough memory. */
  prepare?: () => Promise<unknown>;
  act: () => Promise<T>;
  /** Looks at what came of `act` when an allocation failed. */
  check: (outcome: T, what: string) => Promise<void>;
}

/** Fails each allocation of what `act` does, one at a time. In the end Envoy serves and the library holds what it held. */
async function sweep<T>(envoy: Envoy, { forEver, prepare, act, check }: Sweep<T>): Promise<void> {
  const once = async (first: number, end: number): Promise<T> => {
    await prepare?.();
    await envoy.idle();
    faults.arm(first, end);
    const outcome = await act();
    await envoy.idle();
    return outcome;
  };
  // What is made once is made by now.
  for (let i = 0; i < 3; i++) await once(0, 0);
  const { allocations } = faults.read();
  await prepare?.();
  await envoy.idle();
  const { live } = faults.read();
  let reached = 0;
  for (let number = allocations; number >= 1; number--) {
    const outcome = await once(number, forEver ? Number.MAX_SAFE_INTEGER : number + 1);
    if (faults.read().hits > 0) reached++;
    faults.arm(0, 0);
    await check(outcome, `allocation ${number} of ${allocations}`);
    await envoy.idle();
  }
  await prepare?.();
  await envoy.idle();
  console.log(`${allocations} allocations, ${reached} of them failed`);
  expect(allocations).toBeGreaterThan(30);
  // Calls and timers do not end in the same order each time.
  expect(reached).toBeGreaterThan(allocations * 0.9);
  expect(faults.read().live).toBe(live);
  expect(await envoy.admin('/ready')).toBe('LIVE\n');
}

/** The hooks whose exceptions were stopped. */
function stopped(envoy: Envoy): string[] {
  return [...new Set(envoy.logs().flatMap(({ message }) => /^http_filter_\w+$/.exec(message) ?? []))];
}

describe('an exchange', () => {
  /** Fails closed or is not harmed, and the next one is served. */
  async function sweepExchange(envoy: Envoy, deny: boolean, forEver: boolean, prepare?: Sweep<Outcome>['prepare']): Promise<void> {
    const client = await Http2Client.connect(envoy);
    const expectGood = ({ status, filtered }: Outcome, what: string): void => {
      expect([what, status]).toEqual([what, deny ? 403 : 200]);
      if (!deny) expect(filtered).toMatch(/^side\d+\/p$/);
    };
    let seen = 0;
    await sweep(envoy, {
      forEver,
      ...(prepare === undefined ? {} : { prepare }),
      act: async () => await exchange(client, deny),
      check: async (outcome, what) => {
        if (outcome.status !== 0 && outcome.status !== 500) expectGood(outcome, what);
        for (const { headers } of upstream.requests.slice(seen)) {
          expect([what, headers.has('x-filtered')]).toEqual([what, true]);
        }
        seen = upstream.requests.length;
        expectGood(await exchange(client, deny), `after ${what}`);
      },
    });
    await client.close();
  }

  const answers = [
    ['the upstream answers', false],
    ['the filter answers', true],
  ] as const;

  test.each(answers)('that %s fails closed when any one of its allocations fails, and harms no other (F074, H606)', async (_, deny) => {
    await withEnvoy(options(), async (envoy) => {
      await sweepExchange(envoy, deny, false);
    });
  });

  test.each(answers)('that %s fails closed when memory is gone from any moment on, and harms no other (F074, H606)', async (_, deny) => {
    await withEnvoy(options(), async (envoy) => {
      await sweepExchange(envoy, deny, true);
      // Bodies, trailers and destroy ask for no memory.
      const hooks = ['new', 'request_headers', 'http_stream_headers', 'http_stream_data', 'stream_complete'];
      expect(stopped(envoy)).toEqual(expect.arrayContaining(hooks.map((hook) => `http_filter_${hook}`)));
      expect(stopped(envoy).includes('http_filter_response_headers')).toBe(!deny);
    });
  });

  test('that is the first of a new runtime fails closed when any one of its allocations fails (F074, H606)', async () => {
    await withEnvoy(options(), async (envoy) => {
      const prepare = async (): Promise<void> => {
        expect((await request(envoy, '/grow')).status).toBe(500);
      };
      await sweepExchange(envoy, true, false, prepare);
    });
  });
});

describe('a config', () => {
  test('is refused, and the old one serves, when any one of its allocations fails (F055, F074, H606)', async () => {
    const answering = (text: string): JsonObject => ({
      inline: `import { sleep } from "fairlead"; export default {
        configure: (config) => new Map(Object.entries(config)),
        async onRequest(request, ctx) { await sleep(1); return new Response("${text} " + ctx.settings.get("name")); },
      };`,
      config: { name: text },
    });
    await withEnvoy({ ...options(answering('0')), dynamic: true }, async (envoy) => {
      let round = 0;
      const serving = async (): Promise<string> => (await request(envoy)).text();
      await sweep(envoy, {
        forEver: false,
        prepare: serving,
        act: async () => await envoy.update({ filters: options(answering(`${++round}`)).filters ?? [] }),
        check: async ({ accepted }, what) => {
          // Three were accepted before the first fault.
          expect([what, accepted, await serving()]).toEqual([what, false, '3 3']);
        },
      });
      expect(stopped(envoy)).toEqual(['http_filter_config_new']);
    });
  });
});
