// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// One description of filters and exchanges, run before a real Envoy and in the emulator. What came of it is brought into
// one form: without what the connection manager and the router do by themselves, which the emulator leaves out.

import {
  type Bytes,
  type CalloutDescription,
  Emulator,
  type ExchangeDescription,
  type FilterDescription,
  type HeaderLines,
  type HeadersDescription,
} from '../../bundler/emulator.ts';
import {
  directRoute,
  Exchange,
  fairlead,
  HeaderList,
  lua,
  perRoute,
  placeOf,
  request,
  request2,
  sha256,
  startEnvoy,
  startRefusing,
  startUpstream,
  type ClusterTarget,
  type HeaderPair,
  type JsonObject,
  type TrafficOptions,
} from '../harness.ts';

/** A filter and the exchanges that pass through it, one after the other. */
export interface Script {
  readonly filter: FilterDescription;
  readonly exchanges: readonly ExchangeDescription[];
  /** Client and upstream speak HTTP/2: gRPC and trailers need it. */
  readonly http2?: boolean;
}

/** A message at one end. In names, values and bodies a character stands for a byte. */
export interface Message {
  readonly headers: HeaderLines;
  readonly body: string;
  readonly trailers: HeaderLines;
}

/** What came of an exchange; null where nothing arrived whole. */
export interface Outcome {
  readonly client: (Message & { readonly status: number }) | null;
  readonly upstream: (Message & { readonly method: string; readonly path: string; readonly host: string | null }) | null;
  readonly callouts: readonly (Message & { readonly cluster: string; readonly method: string; readonly path: string })[];
}

/** A line of the filter, without its name before it. */
export interface Line {
  readonly level: string;
  readonly text: string;
  readonly file: string;
  readonly line: number;
}

/** What came of a Script. */
export interface Result {
  readonly outcomes: readonly Outcome[];
  readonly log: readonly Line[];
}

/** A body beyond this is told by its length and its hash: upstreams keep no more of it. */
const longestBody = 131_072;

/** What Envoy adds to a message or takes from it on the wire. */
const ambient = new Set([
  ...['date', 'server', 'connection', 'keep-alive', 'transfer-encoding', 'x-forwarded-proto', 'x-envoy-internal'],
  ...['x-forwarded-for', 'x-envoy-upstream-service-time', 'host'],
]);

/** Ids of traces and spans are random, and those of traces long or short. */
function withoutIds(value: string): string {
  return value.replace(/\b([0-9a-f]{32}|[0-9a-f]{16})-[0-9a-f]{16}\b/, 'TRACE-SPAN');
}

function plain(headers: HeaderLines): HeaderLines {
  return (
    headers
      .filter(([name]) => !name.startsWith(':') && !ambient.has(name))
      // HTTP/1 gives it to a message without a body that has none.
      .filter(([name, value]) => name !== 'content-length' || value !== '0')
      .map(([name, value]) => [name, name === 'traceparent' || name === 'b3' ? withoutIds(value) : value])
  );
}

function textOf(bytes: Uint8Array): string {
  return bytes.length > longestBody ? `${bytes.length} bytes ${sha256(bytes)}` : Buffer.from(bytes).toString('latin1');
}

/** Calls to different clusters arrive in no fixed order. */
function byCluster<T extends { readonly cluster: string }>(callouts: readonly T[]): T[] {
  return [...callouts].sort((a, b) => (a.cluster < b.cluster ? -1 : a.cluster > b.cluster ? 1 : 0));
}

/** The lines of a filter, at levels that Envoy writes by default. */
function linesOf(filterName: string, entries: readonly { level: string; message: string; file: string; line: number }[]): Line[] {
  return entries.flatMap(({ level, message, file, line }) => {
    const isIts = message.startsWith(`${filterName}: `) && level !== 'trace' && level !== 'debug';
    if (!isIts) return [];
    const entry = { level: level === 'warning' ? 'warn' : level, text: message.slice(filterName.length + 2), file, line };
    if (!file.endsWith('.cc')) return [entry];
    // Envoy before 1.40 shows a file of its own; the library puts the script's place behind what does not say it anyway.
    const place = placeOf({ message, file, line });
    const behind = ` (${place.file}:${place.line})`;
    const text = entry.text.endsWith(behind) ? entry.text.slice(0, -behind.length) : entry.text;
    return [{ ...entry, ...place, text }];
  });
}

/** Every script has its own name, so that its lines can be told from those of others. */
const nameOf = (i: number): string => `script-${i}`;

// --- The emulator ---

/** Runs scripts in the emulator. */
export async function runInEmulator(scripts: readonly Script[]): Promise<Result[]> {
  const emulator = await Emulator.load();
  const results: Result[] = [];
  for (const [i, { filter: description, exchanges }] of scripts.entries()) {
    const filter = await emulator.filter({ filterName: nameOf(i), ...description });
    const log = [...filter.log];
    const outcomes: Outcome[] = [];
    for (const exchange of exchanges) {
      const { client, upstream, callouts, violations, ...rest } = await filter.exchange(exchange);
      if (violations.length > 0) throw new Error(`script ${i}: ${violations.join('; ')}`);
      const whole = client?.ended === true && !client.reset;
      const message = (of: { headers: HeaderLines; body: Uint8Array; trailers?: HeaderLines | undefined }): Message => ({
        headers: plain(of.headers),
        body: textOf(of.body),
        trailers: of.trailers ?? [],
      });
      outcomes.push({
        client: whole ? { status: client.status, ...message(client) } : null,
        upstream: upstream?.ended
          ? {
              method: upstream.header(':method') ?? '',
              path: upstream.header(':path') ?? '',
              host: upstream.header(':authority'),
              ...message(upstream),
            }
          : null,
        callouts: byCluster(callouts)
          // Nobody sees a call that does not start or finds nobody.
          .filter(({ started, cluster }) => started && cluster !== 'closed')
          .map((callout) => {
            const headers = new Map(callout.headers);
            const target = { method: headers.get(':method') ?? '', path: headers.get(':path') ?? '' };
            return { cluster: callout.cluster, ...target, ...message(callout) };
          }),
      });
      log.push(...rest.log);
    }
    await filter.free();
    results.push({ outcomes, log: linesOf(nameOf(i), log) });
  }
  await emulator.close();
  return results;
}

// --- A real Envoy ---

/** The clusters that answer as described; `closed` refuses connections, `empty` has no host, all others are unknown. */
const answering = ['auth', 'other', 'grpc'];

/** Runs scripts before one real Envoy, each with a listener of its own. */
export async function runInEnvoy(scripts: readonly Script[]): Promise<Result[]> {
  let current: ExchangeDescription = {};
  let callouts: Outcome['callouts'][number][] = [];
  const seen: { upstream: Outcome['upstream'] } = { upstream: null };

  const upstreamHandler = async (exchange: Exchange): Promise<void> => {
    const { received } = exchange;
    const whole = exchange.whole.then(({ headers, body, bodyLength, bodySha256, trailers }) => {
      seen.upstream = {
        method: received.method,
        path: received.path,
        host: headers.get('host') ?? headers.get(':authority'),
        // By which Envoy's router hands a trace on.
        headers: plain(headers.pairs).filter(([name]) => name !== 'traceparent' && name !== 'tracestate'),
        body: bodyLength > longestBody ? `${bodyLength} bytes ${bodySha256}` : textOf(body),
        trailers: trailers.pairs,
      };
    });
    const { kind = 'answer', ...upstream } = current.upstream ?? {};
    if (kind !== 'answer' && kind !== 'disconnect') throw new Error(`${kind} does not reach an upstream`);
    if (!('early' in upstream && upstream.early)) await whole;
    await delay('delayMs' in upstream ? upstream.delayMs : undefined);
    if (kind === 'disconnect') exchange.reset();
    else await answer(exchange, upstream as AnswerDescription);
  };

  const clusterHandler =
    (cluster: string) =>
    async (exchange: Exchange): Promise<void> => {
      const { method, path, headers, body } = await exchange.whole;
      callouts.push({ cluster, method, path, headers: plain(headers.pairs), body: textOf(body), trailers: [] });
      const descriptions = current.clusters?.[cluster];
      if (descriptions === undefined) throw new Error(`${cluster} is called, but not described`);
      const earlier = callouts.filter((callout) => callout.cluster === cluster);
      const found = choose(descriptions, earlier);
      await delay(found.delayMs);
      if (found.kind === 'silent') return;
      if (found.kind === 'disconnect') exchange.reset();
      else if (found.kind === 'reset') await answer(exchange, found, true);
      else if (found.kind === undefined || found.kind === 'answer') await answer(exchange, found);
      else throw new Error(`${cluster} cannot be ${found.kind}`);
    };

  const servers = await Promise.all([
    startUpstream({ handler: upstreamHandler }),
    startUpstream({ handler: upstreamHandler, http2: true }),
    ...answering.map((name) => startUpstream({ handler: clusterHandler(name), http2: name === 'grpc' })),
  ]);
  const closed = await startRefusing();
  const [upstream, upstream2, ...others] = servers;
  const clusters: Record<string, ClusterTarget> = {
    upstream: { port: upstream?.port ?? 0 },
    upstream2: { port: upstream2?.port ?? 0, http2: true },
    closed: { port: closed.port },
    empty: {},
  };
  for (const [i, name] of answering.entries()) clusters[name] = { port: others[i]?.port ?? 0, http2: name === 'grpc' };

  const listeners = Object.fromEntries(scripts.map((script, i) => [nameOf(i), trafficOf(script, nameOf(i))]));
  const envoy = await startEnvoy({ clusters, listeners });
  try {
    const results: Outcome[][] = [];
    for (const [i, { exchanges, http2 = false }] of scripts.entries()) {
      const outcomes: Outcome[] = [];
      for (const exchange of exchanges) {
        current = exchange;
        callouts = [];
        seen.upstream = null;
        const client = await send({ port: envoy.portOf(nameOf(i)) }, exchange, http2);
        await envoy.idle(nameOf(i));
        outcomes.push({ client, upstream: seen.upstream, callouts: byCluster(callouts) });
      }
      results.push(outcomes);
    }
    const code = await envoy.stop();
    if (code !== 0) throw new Error(`Envoy ended with ${code}`);
    return results.map((outcomes, i) => ({ outcomes, log: linesOf(nameOf(i), envoy.logs()) }));
  } finally {
    await envoy.stop();
    await Promise.all([...servers.map((server) => server.close()), closed.close()]);
  }
}

async function delay(ms: number | undefined): Promise<void> {
  if (ms !== undefined && ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
}

/** Nobody gets its spans: without a request id Envoy samples none. */
const tracer: JsonObject = {
  name: 'envoy.tracers.opentelemetry',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.config.trace.v3.OpenTelemetryConfig',
    http_service: { http_uri: { uri: 'http://closed/v1/traces', cluster: 'closed', timeout: '1s' } },
  },
};

/** The listener of a script. */
function trafficOf({ filter, exchanges, http2 = false }: Script, name: string): TrafficOptions {
  const { filterName: _, inline, bytecode, ...keys } = filter;
  const config = { ...keys, ...(inline !== undefined && { inline }) } as JsonObject;
  if (bytecode !== undefined) config['bytecode'] = Buffer.from(bytecode).toString('base64');
  const { route: described, traced } = exchanges[0]?.facts ?? {};
  const { name: routeName, metadata, config: said } = described ?? {};
  const route: JsonObject = {
    ...(routeName !== undefined && { name: routeName }),
    ...(metadata !== undefined && { metadata: { filter_metadata: metadata as JsonObject } }),
    ...(said !== undefined && { typed_per_filter_config: perRoute(said as JsonObject, name) }),
    match: { prefix: '/' },
    route: { cluster: http2 ? 'upstream2' : 'upstream', timeout: '0s' },
  };
  const replies = exchanges.flatMap(({ upstream }) =>
    upstream?.kind === 'localReply' || upstream?.kind === 'earlierReply' ? [upstream] : [],
  );
  const [reply] = replies;
  if (reply !== undefined && exchanges.length !== 1) throw new Error(`${name}: a reply of Envoy stands for all exchanges`);
  const body = String(reply?.body ?? '');
  const answering = `function envoy_on_request(h) h:respond({[":status"] = "${reply?.status}"}, ${JSON.stringify(body)}) end`;
  return {
    filters: [...(reply?.kind === 'earlierReply' ? [lua(answering)] : []), fairlead(config, name)],
    routes: [reply?.kind === 'localReply' ? directRoute('/', reply.status, body) : route],
    connectionManager: { generate_request_id: false, ...(traced === true && { tracing: { provider: tracer } }) },
    suppressEnvoyHeaders: true,
  };
}

/** The first description that fits the last call. */
function choose(
  descriptions: readonly CalloutDescription[],
  calls: readonly { readonly method: string; readonly path: string }[],
): CalloutDescription {
  const left = descriptions.map(({ times = Infinity }) => times);
  let found: CalloutDescription = { status: 404 };
  for (const call of calls) {
    const at = descriptions.findIndex(
      ({ method, path }, i) =>
        (method === undefined || method === call.method) && (path === undefined || path === call.path) && left[i] !== 0,
    );
    found = descriptions[at] ?? { status: 404 };
    left[at] = (left[at] ?? 0) - 1;
  }
  return found;
}

function pairsOf(headers: HeadersDescription = []): HeaderPair[] {
  if (Array.isArray(headers)) return (headers as HeaderLines).map(([name, value]) => [name, value]);
  return Object.entries(headers as Readonly<Record<string, string | readonly string[]>>).flatMap(([name, values]) =>
    [values].flat().map((value): HeaderPair => [name, value]),
  );
}

function framesOf(body: Bytes | readonly Bytes[] = []): Buffer[] {
  const frames = typeof body === 'string' || body instanceof Uint8Array ? [body] : body;
  return frames.map((frame) => Buffer.from(frame as string));
}

/** What both upstreams and clusters can answer. */
interface AnswerDescription {
  readonly status?: number;
  readonly headers?: HeadersDescription;
  readonly body?: Bytes | readonly Bytes[];
  readonly trailers?: HeadersDescription;
  readonly frameDelayMs?: number;
}

/** Answers as described; with `broken` the connection breaks where the answer would end. */
async function answer(exchange: Exchange, description: AnswerDescription, broken = false): Promise<void> {
  const { status = 200, headers, body, trailers, frameDelayMs } = description;
  const frames = framesOf(body);
  const pairs = pairsOf(headers);
  const size = frames.reduce((sum, frame) => sum + frame.length, 0);
  const isFramed = new HeaderList(pairs).has('content-length') || trailers !== undefined || status === 204 || status === 304;
  // A broken answer promises more than comes.
  if (!isFramed) pairs.push(['content-length', String(broken ? size + 1 : size)]);
  if (frames.length <= 1 && !broken && frameDelayMs === undefined) {
    exchange.respond(status, pairs, frames[0] ?? '', pairsOf(trailers));
    return;
  }
  exchange.start(status, pairs);
  for (const frame of frames) {
    await delay(frameDelayMs);
    await exchange.write(frame);
  }
  await delay(frameDelayMs);
  // A reset could overtake what has been sent.
  if (broken) exchange.hangUp();
  else exchange.finish('', pairsOf(trailers));
}

/** What the client gets; null when the answer breaks off. */
async function send(target: { port: number }, exchange: ExchangeDescription, http2: boolean): Promise<Outcome['client']> {
  const { method = 'GET', path = '/', host = 'example.com', headers, body, trailers } = exchange.request ?? {};
  const frames = framesOf(body);
  const bytes = body === undefined ? undefined : Buffer.concat(frames);
  const signal = exchange.clientLeavesAtMs === undefined ? undefined : AbortSignal.timeout(exchange.clientLeavesAtMs);
  const pairs = pairsOf(headers);
  const options = { method, ...(bytes !== undefined && { body: bytes }) };
  const size: HeaderPair[] = bytes === undefined || trailers !== undefined ? [] : [['content-length', String(bytes.length)]];
  const asked = http2
    ? request2(target, path, {
        ...options,
        headers: [[':authority', host], ...pairs, ...size],
        ...(trailers !== undefined && { trailers: pairsOf(trailers) }),
      })
    : request(target, path, { ...options, headers: [['host', host], ...pairs], ...(signal !== undefined && { signal }) });
  try {
    const got = await asked;
    return {
      status: got.status,
      headers: plain(got.headers.pairs),
      body: textOf(got.body),
      trailers: got.trailers.pairs,
    };
  } catch (error) {
    if (signal?.aborted || (error as NodeJS.ErrnoException).code === 'ECONNRESET') return null;
    throw error;
  }
}
