// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// ctx.span before the tracers of a real Envoy, and a collector that gets what they send.

import { describe, expect, test } from 'vitest';
import {
  fairlead,
  request,
  startUpstream,
  waitFor,
  withEnvoy,
  type Envoy,
  type Exchange,
  type HeaderPair,
  type JsonObject,
  type Upstream,
} from './harness.ts';

const limits = { cpu_ms: 1000, stream_cpu_ms: 5000 };

/** A span as Zipkin's API has it, as far as it is looked at. */
interface ZipkinSpan {
  readonly traceId: string;
  readonly id: string;
  readonly parentId?: string;
  readonly name?: string;
  readonly tags?: Readonly<Record<string, string>>;
  readonly annotations?: readonly { readonly value: string }[];
}

const zipkin: JsonObject = {
  name: 'envoy.tracers.zipkin',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.config.trace.v3.ZipkinConfig',
    collector_cluster: 'collector',
    collector_endpoint: '/api/v2/spans',
    collector_endpoint_version: 'HTTP_JSON',
  },
};

const openTelemetry: JsonObject = {
  name: 'envoy.tracers.opentelemetry',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig',
    http_service: { http_uri: { uri: 'http://collector/v1/traces', cluster: 'collector', timeout: '1s' } },
    service_name: 'edge',
  },
};

// Each span is sent as soon as it has ended.
const runtime = { 'tracing.zipkin.min_flush_spans': 1, 'tracing.opentelemetry.min_flush_spans': 1 };

interface World {
  readonly envoy: Envoy;
  /** What the tracer has sent. */
  readonly bodies: readonly Buffer[];
  readonly auth: Upstream;
  readonly upstream: Upstream;
  /** Zipkin's spans of a trace, once there are so many. */
  spansOf(traceId: string, count: number): Promise<ZipkinSpan[]>;
  /** The lines of the filter. */
  lines(): Promise<string[]>;
}

/** Runs hooks in an Envoy with a tracer; `auth` answers with the status that the path names, or 200, and `/silent` never. */
async function withTracer(
  hooks: string,
  provider: JsonObject | undefined,
  use: (world: World) => Promise<void>,
  randomSampling = 100,
): Promise<void> {
  const bodies: Buffer[] = [];
  const collect = async (exchange: Exchange): Promise<void> => {
    bodies.push((await exchange.whole).body);
    exchange.respond(200, [], '');
  };
  const verify = (exchange: Exchange): void => {
    const { path } = exchange.received;
    if (path !== '/silent') exchange.respond(Number(/\d{3}$/.exec(path)?.[0] ?? 200), [['location', '/there']], 'ok');
  };
  const servers = await Promise.all([startUpstream({ handler: collect }), startUpstream({ handler: verify }), startUpstream()]);
  const [collector, auth, upstream] = servers;
  const filter = fairlead({ inline: `export default { ${hooks} }`, clusters: ['auth'], limits });
  const options = {
    clusters: { collector, auth, upstream },
    filters: [filter],
    connectionManager:
      provider === undefined ? {} : { tracing: { provider, random_sampling: { value: randomSampling } } },
    settings: { layered_runtime: { layers: [{ name: 'static', static_layer: runtime }] } },
  };
  try {
    await withEnvoy(options, async (envoy) => {
      const all = (): ZipkinSpan[] => bodies.flatMap((body) => JSON.parse(body.toString()) as ZipkinSpan[]);
      await use({
        envoy,
        bodies,
        auth,
        upstream,
        spansOf: async (traceId, count) =>
          await waitFor(`${count} spans of ${traceId}`, () => {
            const found = all().filter((span) => span.traceId === traceId);
            return found.length >= count && found;
          }),
        lines: async () => {
          await envoy.idle();
          return envoy.logs().flatMap(({ message }) => (message.startsWith('test: ') ? [message] : []));
        },
      });
    });
  } finally {
    await Promise.all(servers.map((server) => server.close()));
  }
}

const traceId = '463ac35c9f6413ad48485a3953bb6124';
const clientSpanId = 'a2fb4a1d1a96d312';

/** What a client sends that takes part in a trace already. */
const b3 = (sampled: '0' | '1'): HeaderPair[] => [
  ['x-b3-traceid', traceId],
  ['x-b3-spanid', clientSpanId],
  ['x-b3-sampled', sampled],
];

/** The headers of a call that are about its trace. */
function traceHeaders({ requests }: Upstream, at = 0): Record<string, string> {
  const pairs = requests[at]?.headers.pairs ?? [];
  return Object.fromEntries(pairs.filter(([name]) => /^(traceparent|tracestate|b3|x-b3-.*)$/.test(name)));
}

describe('Zipkin', () => {
  test('gets tag, event and operation of the exchange, a child of the script, and one span for each fetch under it (F091)', async () => {
    const hooks = `async onRequest(request, { span }) {
      span.setTag("tenant", "blue"); span.setTag("count", 3); span.setTag("hit", true);
      span.log("began");
      span.setOperation("checkout");
      const child = span.spawnChild("verify");
      child.setTag("step", "one");
      await Promise.all([fetch("http://auth/a?b=c"), fetch("http://auth/status/503", { method: "POST", body: "x" })]);
      child.finish();
      child.setTag("late", "never");
      const open = span.spawnChild("open to the end");
      console.info(JSON.stringify([span.traceId, span.spanId ?? null, open.traceId, span.sampled, span.getBaggage("a") ?? null]));
    }`;
    await withTracer(hooks, zipkin, async ({ envoy, spansOf, auth, upstream, lines }) => {
      const answer = await request(envoy, '/', { headers: b3('1') });
      expect(answer.status).toBe(200);
      const spans = await spansOf(traceId, 5);
      expect(spans).toHaveLength(5);
      const named = (name: string): ZipkinSpan[] => spans.filter((span) => span.name === name);
      const [own] = named('checkout');
      expect(own?.tags).toMatchObject({ tenant: 'blue', count: '3', hit: 'true' });
      expect(own?.annotations?.map(({ value }) => value)).toContain('began');
      const [child] = named('verify');
      expect([child?.parentId, child?.tags?.['step'], child?.tags?.['late']]).toEqual([own?.id, 'one', undefined]);
      expect(named('open to the end').map(({ parentId }) => parentId)).toEqual([own?.id]);
      const calls = named('async auth egress');
      expect(calls.map(({ parentId }) => parentId)).toEqual([own?.id, own?.id]);
      const tags = calls.map((call) => call.tags ?? {}).sort((a, b) => ((a['http.url'] ?? '') < (b['http.url'] ?? '') ? -1 : 1));
      const common = { component: 'proxy', upstream_cluster: 'auth' };
      expect(tags).toMatchObject([
        { ...common, 'http.method': 'GET', 'http.url': 'http://auth/a?b=c', 'http.status_code': '200' },
        { ...common, 'http.method': 'POST', 'http.url': 'http://auth/status/503', 'http.status_code': '503', error: 'true' },
      ]);
      expect(tags[0]).not.toHaveProperty('error');
      // Zipkin does not tell the ids of spans, so a callee goes on with the span of the exchange.
      const headers = { b3: `${traceId}-${own?.id}-1`, traceparent: `00-${traceId}-${own?.id}-01` };
      expect([0, 1].map((at) => traceHeaders(auth, at))).toEqual([headers, headers]);
      expect(traceHeaders(upstream)['x-b3-traceid']).toBe(traceId);
      const [line = ''] = await lines();
      expect(line).toContain(`[trace_id=${traceId}] ["${traceId}",null,"${traceId}",true,null]`);
    });
  });

  test('gets a failed fetch with its code, and one span for a call that is sent elsewhere (F091)', async () => {
    const hooks = `async onRequest() {
      await fetch("http://auth/silent", { timeoutMs: 20 }).catch(() => {});
      await fetch("http://auth/moved/302");
    }`;
    await withTracer(hooks, zipkin, async ({ envoy, auth, spansOf }) => {
      await request(envoy, '/', { headers: b3('1') });
      const spans = await spansOf(traceId, 3);
      const calls = spans.filter(({ name }) => name === 'async auth egress').map(({ tags }) => tags ?? {});
      expect(calls).toHaveLength(2);
      const of = (url: string): Readonly<Record<string, string>> => calls.find((tags) => tags['http.url'] === url) ?? {};
      expect(of('http://auth/silent')).toMatchObject({ error: 'true', 'error.type': 'E_FETCH_TIMEOUT' });
      expect(of('http://auth/moved/302')).toMatchObject({ 'http.status_code': '200' });
      expect(of('http://auth/moved/302')).not.toHaveProperty('error');
      expect(auth.requests.map(({ path }) => path)).toEqual(['/silent', '/moved/302', '/there']);
      expect(traceHeaders(auth, 2)).toEqual(traceHeaders(auth, 1));
    });
  });

  test('gets nothing of a trace that is not sampled, or that the script takes out; calls say so to whom they call (F091)', async () => {
    const hooks = `async onRequest(request, { span }) {
      if (request.path === "/out") span.sampled = false;
      span.spawnChild("child").finish();
      await fetch("http://auth/", { headers: request.headers });
      console.info(JSON.stringify([span.sampled, typeof span.traceId]));
    }`;
    await withTracer(hooks, zipkin, async ({ envoy, auth, bodies, spansOf, lines }) => {
      await request(envoy, '/', { headers: b3('0') });
      await request(envoy, '/out', { headers: b3('1') });
      const last = 'b'.repeat(32);
      await request(envoy, '/', { headers: [['x-b3-traceid', last], ['x-b3-spanid', clientSpanId], ['x-b3-sampled', '1']] });
      await spansOf(last, 3);
      expect(bodies.map(String).filter((body) => body.includes(traceId))).toEqual([]);
      const flags = [0, 1, 2].map((at) => traceHeaders(auth, at));
      expect(flags.map(({ b3 = '', traceparent = '' }) => [b3.at(-1), traceparent.slice(-2)])).toEqual([['0', '00'], ['0', '00'], ['1', '01']]);
      // Those of the client, copied by the script, have gone.
      expect(flags.flatMap((headers) => Object.keys(headers).filter((name) => name.startsWith('x-b3-')))).toEqual([]);
      expect((await lines()).map((line) => /\[(true|false),"\w+"\]/.exec(line)?.[0])).toEqual(['[false,"string"]', '[false,"string"]', '[true,"string"]']);
    });
  });

  test('begins a trace, of which Envoy has noted in the request id whether it is recorded (F091)', async () => {
    const hooks = `async onRequest(request, { span }) { await fetch("http://auth/"); console.info(JSON.stringify([span.traceId, span.sampled])); },
      onLog({ span }) { console.info(JSON.stringify([span.traceId, "logged"])); }`;
    for (const sampled of [true, false]) {
      await withTracer(
        hooks,
        zipkin,
        async ({ envoy, auth, lines }) => {
          await request(envoy, '/');
          const [told = '', logged = ''] = await lines();
          const [, id = ''] = /\["([0-9a-f]{16})",(?:true|false)\]/.exec(told) ?? [];
          expect(told).toContain(`["${id}",${sampled}]`);
          expect(logged).toContain(`["${id}","logged"]`);
          expect(traceHeaders(auth)['traceparent']).toMatch(new RegExp(`^00-0{16}${id}-${id}-0${sampled ? 1 : 0}$`));
        },
        sampled ? 100 : 0,
      );
    }
  });
});

describe('OpenTelemetry', () => {
  test('gets tags, a child and the span of a fetch; a call carries the trace and state of the request (F091)', async () => {
    const hooks = `async onRequest(request, { span }) {
      span.setTag("tenant", "blue-tenant");
      const child = span.spawnChild("verify-step");
      await fetch("http://auth/");
      child.finish();
      console.info(JSON.stringify([span.traceId, span.spanId, span.sampled]));
    }`;
    await withTracer(hooks, openTelemetry, async ({ envoy, auth, bodies, lines }) => {
      const headers: HeaderPair[] = [['traceparent', `00-${traceId}-${clientSpanId}-01`], ['tracestate', 'vendor=1']];
      await request(envoy, '/', { headers });
      const { traceparent = '', tracestate, b3: single } = traceHeaders(auth);
      const [, id = ''] = new RegExp(`^00-${traceId}-([0-9a-f]{16})-01$`).exec(traceparent) ?? [];
      expect(id).not.toBe('');
      expect([tracestate, single]).toEqual(['vendor=1', `${traceId}-${id}-1`]);
      // Protobuf keeps texts and ids as they are.
      const sent = await waitFor('the spans', () => {
        const whole = Buffer.concat(bodies);
        const wanted = ['blue-tenant', 'verify-step', 'async auth egress', Buffer.from(id, 'hex')];
        return wanted.every((text) => whole.includes(text)) && whole;
      });
      expect(sent.includes(Buffer.from(traceId, 'hex'))).toBe(true);
      const [line = ''] = await lines();
      const [, own = ''] = /\[span_id=([0-9a-f]{16})\]/.exec(line) ?? [];
      expect(line).toContain(`[trace_id=${traceId}] [span_id=${own}] ["${traceId}","${own}",true]`);
      expect(sent.includes(Buffer.from(own, 'hex'))).toBe(true);
    });
  });
});

describe('without a tracer', () => {
  test('a span has no ids and does nothing; calls and log lines have nothing of a trace (F091)', async () => {
    const hooks = `async onRequest(request, { span }) {
      span.setTag("a", 1); span.log("b"); span.setOperation("c"); span.setBaggage("d", "e"); span.sampled = true;
      const child = span.spawnChild("f");
      child.setTag("a", 1); child.finish(); span.finish();
      await fetch("http://auth/", { headers: { traceparent: "kept" } });
      console.info(JSON.stringify([span.traceId, span.spanId, span.sampled, span.getBaggage("d"), child.spanId].map((value) => value ?? null)));
    }`;
    await withTracer(hooks, undefined, async ({ envoy, auth, lines }) => {
      expect((await request(envoy, '/')).status).toBe(200);
      expect(traceHeaders(auth)).toEqual({ traceparent: 'kept' });
      const [line = ''] = await lines();
      expect(line).toMatch(/^test: \[[\w-]+\] \[null,null,null,null,null\]/);
    });
  });
});
