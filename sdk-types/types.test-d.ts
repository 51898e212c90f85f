// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What the types must accept, and what they must refuse and why: `// fails TS1234: part of the message` stands above a
// line with that error. Read by types.test.ts.

import { counter, defineFilter, every, gauge, histogram, once, shared, sleep } from 'fairlead';
import type { Chunk, Context, Filter, HostError, HostErrorCode, HostsResult, JobContext, LocalReplyResult, MetadataValueResult, Secret, TimingResult } from 'fairlead';

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function is<A, B>(same: Same<A, B>): void;
declare const request: IncomingRequest;
declare const response: IncomingResponse;
declare const ctx: Context;

// --- Facts, metadata, routing ---

is<(typeof ctx.attributes)['request.path'], string | undefined>(true);
is<(typeof ctx.attributes)['response.code'], number | undefined>(true);
is<(typeof ctx.attributes)['connection.mtls'], boolean | undefined>(true);
// fails TS2551: Property 'request.pth' does not exist
ctx.attributes['request.pth'];
// fails TS2540: Cannot assign to '"request.path"'
ctx.attributes['request.path'] = '/';
is<typeof ctx.connection.mtls, boolean>(true);
is<typeof ctx.connection.peerSubject, string | undefined>(true);
is<typeof ctx.timing, TimingResult | undefined>(true);
is<typeof ctx.localReply, LocalReplyResult | null>(true);
ctx.metadata.set('test', 'key', { list: [1, 'a', true, null], absent: undefined });
// fails TS2345: Argument of type '5n' is not assignable
ctx.metadata.set('test', 'key', 5n);
is<ReturnType<typeof ctx.metadata.get>, MetadataValueResult | undefined>(true);
// fails TS2339: Property 'set' does not exist
ctx.route.metadata.set('test', 'key', 1);
ctx.filterState.set('key', new Uint8Array(2));
// fails TS2345: Argument of type 'number' is not assignable
ctx.filterState.set('key', 5);
is<typeof ctx.route.name, string | undefined>(true);
is<ReturnType<typeof ctx.cluster.hosts>, HostsResult | undefined>(true);
ctx.setUpstreamHost('10.0.0.1:80', { strict: true });
ctx.setSocketOption('upstream', 1, 36, 7);
ctx.setSocketOption('downstream', 6, 13, new Uint8Array(4));
const socketOption: number | Uint8Array | undefined = ctx.socketOption('upstream', 1, 36);
is<typeof ctx.span.traceId, string | undefined>(true);
ctx.span.setTag('count', 3);
ctx.span.sampled = false;
// fails TS2345: Argument of type 'null' is not assignable
ctx.span.setTag('count', null);
// fails TS2540: Cannot assign to 'spanId'
ctx.span.spawnChild('a').spanId = 'b';
// fails TS2561: 'strickt' does not exist
ctx.setUpstreamHost('10.0.0.1:80', { strickt: true });
request.cluster = 'blue';
request.cluster = null;
// fails TS2322: Type 'number' is not assignable to type 'string'
request.cluster = 5;
// fails TS2540: Cannot assign to 'cluster'
new Request('http://a/').cluster = 'blue';

// --- Compression ---

is<CompressionStream['readable'], ReadableStream<Uint8Array<ArrayBuffer>>>(true);
new Response(new Response('a').body?.pipeThrough(new DecompressionStream('gzip')));
// fails TS2345: Argument of type '"br"' is not assignable
new CompressionStream('br');

// --- Forms ---

is<ReturnType<FormData['get']>, string | File | null>(true);
is<Awaited<ReturnType<typeof request.formData>>, FormData>(true);
new Response(new FormData());
request.setBody(new Blob(['a', new Uint8Array(1)], { type: 'a/b' }));
is<File extends Blob ? true : false, true>(true);
new FormData().append('a', new Blob(), 'b');
// fails TS2345: Argument of type 'number' is not assignable
new FormData().append('a', 1);
// fails TS2322: is not assignable to type '"transparent" | "native"
new Blob([], { endings: 'unix' });

// --- URLPattern ---

is<ReturnType<URLPattern['exec']>, URLPatternResult | null>(true);
new URLPattern({ pathname: '/:a' }, { ignoreCase: true });
new URLPattern('/a', 'http://b', { ignoreCase: true });
// fails TS2353: 'path' does not exist
new URLPattern({ path: '/:a' });

// --- Hooks ---

export default defineFilter<{ realm: string }, { user: string }>({
  async onRequest(request, ctx) {
    is<typeof request, IncomingRequest>(true);
    is<typeof ctx.config, { realm: string }>(true);
    is<typeof ctx.state.user, string | undefined>(true);
    is<typeof ctx.response, IncomingResponse | null>(true);
    ctx.state = { user: 'ann' };
    await sleep(1);
    if (request.method === 'POST') return new Response(null, { status: 405 });
    if (request.method === 'PUT') return Response.json({ ok: false }, { status: 405 });
    return;
  },
  onResponse(response, ctx) {
    is<typeof response, IncomingResponse>(true);
    // fails TS2540: Cannot assign to 'config'
    ctx.config = { realm: 'x' };
    // fails TS2322: Type 'number' is not assignable to type 'string'
    ctx.state.user = 5;
    // fails TS2551: Property 'usr' does not exist
    ctx.state.usr;
    return response;
  },
  onLog(ctx) {
    is<typeof ctx.signal, AbortSignal>(true);
  },
});

const inferred = defineFilter({
  configure(config: { paths: string[] }, env) {
    is<typeof env.validating, boolean>(true);
    return { patterns: config.paths.map((path) => new RegExp(path)) };
  },
  onRequest(request, ctx) {
    is<typeof ctx.config, { paths: string[] }>(true);
    is<typeof ctx.settings, { patterns: RegExp[] }>(true);
    ctx.state['anything'] = 1;
    is<(typeof ctx.state)[string], unknown>(true);
  },
});
is<typeof inferred, Filter<{ paths: string[] }, Record<string, unknown>, { patterns: RegExp[] }>>(true);

defineFilter({
  async configure() {
    return 5;
  },
  onLog: (ctx) => is<typeof ctx.settings, number>(true),
});
defineFilter({});
defineFilter({ onRequest: () => null, onResponse: async () => {} });

interface State {
  visits: number;
}
defineFilter<unknown, State>({ onLog: (ctx) => is<typeof ctx.state, Partial<State>>(true) });

// fails TS2561: 'onRequst' does not exist in type 'Filter
defineFilter({ onRequst() {} });
// fails TS2353: 'onChunk' does not exist in type 'Filter
defineFilter({ onChunk() {} });
defineFilter({
  onRequestChunk(chunk, ctx) {
    is<typeof chunk, Chunk>(true);
    is<typeof chunk.data, Uint8Array<ArrayBuffer>>(true);
    // fails TS2540: Cannot assign to 'last'
    chunk.last = true;
    return ctx.request.path === null ? null : chunk.text();
  },
  onResponseChunk: async (chunk) => chunk.data,
  onRequestTrailers: (trailers) => trailers.set('a', 'b'),
  async onResponseTrailers(trailers) {
    is<typeof trailers, Headers>(true);
  },
});
// fails TS2322: Type 'number' is not assignable
defineFilter({ onRequestChunk: () => 5 });
// fails TS2322: Type 'string' is not assignable
defineFilter({ onRequestTrailers: () => 'no' });
// fails TS2322: Type 'string' is not assignable
defineFilter({ onRequest: () => 'no' });
// fails TS2322: Type 'Promise<number>' is not assignable
defineFilter({ onResponse: async () => 5 });
// fails TS2322: is not assignable to type 'HookResult
defineFilter({ onRequest: (request) => request });
// fails TS2322: Type 'number' is not assignable
defineFilter({ onRequest: 5 });
// fails TS2559: has no properties in common with type 'Filter
defineFilter('onRequest');
// fails TS2554: Expected 1 arguments, but got 0
defineFilter();
// fails TS2344: does not satisfy the constraint 'object'
defineFilter<unknown, number>({});
// fails TS2339: Property 'restart' does not exist
defineFilter({ onRequest: (request, ctx) => void ctx.restart });
// fails TS18046: 'ctx.config' is of type 'unknown'
defineFilter({ onRequest: (request, ctx) => void ctx.config.realm });
// fails TS18047: 'ctx.response' is possibly 'null'
defineFilter({ onLog: (ctx) => void ctx.response.status });
// fails TS18047: 'request.path' is possibly 'null'
defineFilter({ onRequest: (request) => void request.path.length });
// fails TS2305: has no exported member 'cron'
import { cron } from 'fairlead';

// --- Messages ---

is<typeof request.path, string | null>(true);
request.method = 'GET';
request.path = '/a';
request.host = 'a';
request.scheme = 'https';
response.status = 204;
request.setBody(new Uint8Array(3));
is<typeof request.body, ReadableStream<Uint8Array<ArrayBuffer>> | null>(true);
// fails TS2345: is not assignable to parameter of type 'WholeBodyInit | null'
request.setBody(new ReadableStream<Uint8Array>());
response.setBody(null);
response.setJson({ a: 1 });
// fails TS2353: 'a' does not exist in type 'ArrayBuffer
request.setBody({ a: 1 });
// fails TS2339: Property 'setBody' does not exist on type 'Request'
new Request('http://auth/').setBody('a');
const plain: Request = request;
is<typeof plain.host, string | null>(true);
const copy: Response = response;
new Request(request, {
  method: 'POST',
  body: new Uint8Array(3),
  signal: null,
  redirect: 'manual',
  headers: request.headers,
});
new Request(new URL('http://a/'), { body: new URLSearchParams('a=1'), headers: [['a', 'b']] });
new Response('x', { status: 200, headers: new Map([['a', 'b']]) });
new Response(new ArrayBuffer(1), { headers: { a: 'b' } });
new Response(undefined, undefined);

// fails TS2540: Cannot assign to 'path' because it is a read-only property
plain.path = '/b';
// fails TS2540: Cannot assign to 'method' because it is a read-only property
plain.method = 'PUT';
// fails TS2540: Cannot assign to 'status' because it is a read-only property
copy.status = 200;
// fails TS2540: Cannot assign to 'url' because it is a read-only property
request.url = 'http://a/';
// fails TS2540: Cannot assign to 'headers' because it is a read-only property
request.headers = new Headers();
// fails TS2322: Type 'null' is not assignable to type 'string'
request.path = null;
// fails TS2322: Type '"ftp"' is not assignable to type '"http" | "https"'
request.scheme = 'ftp';
// fails TS2322: Type 'string' is not assignable to type 'number'
response.status = '200';
// fails TS2353: 'error' does not exist in type 'ArrayBuffer
new Response({ error: 'x' });
// fails TS2353: 'statusCode' does not exist in type 'ResponseInit'
new Response('x', { statusCode: 200 });
// fails TS2322: Type '"never"' is not assignable to type 'RequestRedirect
new Request('http://a/', { redirect: 'never' });
// fails TS2554: Expected 1-2 arguments, but got 0
new Request();
// fails TS2571: Object is of type 'unknown'
(await copy.json()).user;

// --- Headers ---

is<ReturnType<Headers['get']>, string | null>(true);
for (const [name, value] of request.headers) is<[typeof name, typeof value], [string, string]>(true);
const record: Record<string, string> = Object.fromEntries(request.headers);
new Headers(record).getSetCookie().map((cookie) => cookie.length);
// fails TS2345: Argument of type 'number' is not assignable to parameter of type 'string'
request.headers.set('a', 5);
// fails TS2554: Expected 2 arguments, but got 1
request.headers.append('a');
// fails TS2322: Type '[string]' is not assignable to type 'string'
new Headers([['a']]);
// fails TS2322: Type 'number' is not assignable to type 'string'
new Headers({ a: 5 });
// fails TS2339: Property 'getAll' does not exist
request.headers.getAll('a');

// --- fetch, timers ---

is<ReturnType<typeof fetch>, Promise<Response>>(true);
const answer = await fetch('http://a/', { method: 'POST', body: 'x', timeoutMs: 5, signal: ctx.signal });
is<Awaited<ReturnType<typeof answer.bytes>>, Uint8Array<ArrayBuffer>>(true);
await fetch(new URL('http://a/'));
await fetch(request);
setTimeout((a, b) => is<[typeof a, typeof b], [number, string]>(true), 5, 1, 'x');
clearTimeout(setTimeout(() => {}));
is<ReturnType<typeof sleep>, Promise<void>>(true);
const onceKeys = once('keys', 60_000, async () => ({ kid: 'a' }));
is<typeof onceKeys, Promise<{ kid: string }>>(true);
const onceNumber = once('number', 0, () => 1);
is<typeof onceNumber, Promise<number>>(true);
await fetch('http://a/', { retry: 2 });
is<Awaited<ReturnType<typeof fetch>>, Response>(true);
await fetch('http://a/', { keepalive: true });
await fetch('http://a/', { method: 'POST', retry: { numRetries: 1, retryOn: ['5xx', 429], idempotent: true } });
// fails TS2322: Type '"4xx"' is not assignable to type
fetch('http://a/', { retry: { retryOn: ['4xx'] } });
// fails TS2353: 'attempts' does not exist in type 'FetchRetry'
fetch('http://a/', { retry: { attempts: 2 } });
// fails TS2561: 'timeout' does not exist in type 'FetchInit'
fetch('http://a/', { timeout: 5 });
// fails TS2322: Type 'string' is not assignable to type 'number'
fetch('http://a/', { timeoutMs: '5' });
// fails TS2353: 'timeoutMs' does not exist in type 'RequestInit'
new Request('http://a/', { timeoutMs: 5 });
// fails TS2345: Argument of type 'string' is not assignable to parameter of type '(
setTimeout('code()', 5);
// fails TS2554: Expected 1 arguments, but got 0
sleep();
const runtimeNumber = ctx.runtime.get('a', 5);
is<typeof runtimeNumber, number | boolean>(true);
// fails TS2554: Expected 2 arguments, but got 1
ctx.runtime.get('a');
is<ReturnType<typeof ctx.secrets.get>, Secret>(true);
is<ReturnType<Secret['bytes']>, Uint8Array<ArrayBuffer>>(true);
// fails TS2554: Expected 1 arguments, but got 0
ctx.secrets.get();
// fails TS2322: Type 'Secret' is not assignable to type 'string'
const noSecret: string = ctx.secrets.get('a');
every(0.5, () => {});
every(60, async ({ config, settings, signal }: JobContext<{ url: string }, number>) => {
  is<typeof config, { url: string }>(true);
  is<typeof settings, number>(true);
  await fetch(config.url, { signal });
});
// fails TS2345: Argument of type 'string' is not assignable
every('60', () => {});
// fails TS2339: Property 'request' does not exist
every(60, ({ request }) => {});
setInterval((a) => is<typeof a, number>(true), 5, 1);
clearInterval(setInterval(() => {}));
// fails TS2345: Argument of type 'string' is not assignable to parameter of type '(
setInterval('code()', 5);

// --- What all workers share ---

is<ReturnType<typeof shared.get>, unknown>(true);
is<ReturnType<typeof shared.incr>, number>(true);
is<ReturnType<typeof shared.keys>, string[]>(true);
shared.set('a', new Uint8Array(1), { ttlMs: 5 });
shared.set('a', [{ b: null }]);
is<ReturnType<typeof shared.take>['taken'], boolean>(true);
shared.take('a', { perSecond: 1, burst: 2, tokens: 1 });
// fails TS2345: Property 'perSecond' is missing
shared.take('a', { burst: 2 });
shared.cas('a', undefined, 1);
shared.cas('a', 1, undefined, { ttlMs: 5 });
// fails TS2345: Argument of type '() => void' is not assignable to parameter of type 'SharedValue'
shared.set('a', () => {});
// fails TS2345: Argument of type 'undefined' is not assignable to parameter of type 'SharedValue'
shared.set('a', undefined);
// fails TS2353: 'ttl' does not exist in type 'SharedOptions'
shared.set('a', 1, { ttl: 5 });
// fails TS2345: Argument of type 'string' is not assignable to parameter of type 'number'
shared.incr('a', '1');

// --- Metrics ---

const denied = counter('denied', ['reason', 'route']);
denied.add({ reason: 'missing', route: 5 });
denied.add({ reason: 'missing', route: true }, 2);
counter('plain').add();
counter('plain').add(undefined, 2);
gauge('open').set(1);
gauge('open', ['a']).add(-1, { a: 'b' });
histogram('ms', ['a']).record(1.5, { a: 'b' });
// fails TS2345: Property 'route' is missing
denied.add({ reason: 'missing' });
// fails TS2353: 'other' does not exist in type
denied.add({ reason: 'missing', route: 'a', other: 'b' });
// fails TS2554: Expected 1-2 arguments, but got 0
gauge('open').set();
// fails TS2339: Property 'set' does not exist on type 'Counter
denied.set(1);
// fails TS2345: Argument of type 'string' is not assignable to parameter of type 'readonly
counter('a', 'b');

// --- The scope ---

is<typeof self, typeof globalThis>(true);
is<ReturnType<typeof performance.now>, number>(true);
is<typeof navigator.userAgent, string>(true);
reportError('anything');
// fails TS2540: Cannot assign to 'timeOrigin' because it is a read-only property
performance.timeOrigin = 1;
// fails TS2339: Property 'mark' does not exist
performance.mark('a');

// --- Cryptography ---

const hmac = await crypto.subtle.generateKey({ name: 'HMAC', hash: 'SHA-256' }, true, ['sign', 'verify']);
is<typeof hmac, CryptoKey>(true);
const pair = await crypto.subtle.generateKey('Ed25519', false, ['sign', 'verify']);
is<typeof pair, CryptoKeyPair>(true);
is<Awaited<ReturnType<typeof crypto.subtle.digest>>, ArrayBuffer>(true);
const jwk = await crypto.subtle.exportKey('jwk', hmac);
is<typeof jwk, JsonWebKey>(true);
const spki = await crypto.subtle.exportKey('spki', pair.publicKey);
is<typeof spki, ArrayBuffer>(true);
is<ReturnType<typeof crypto.getRandomValues<Uint16Array>>, Uint16Array>(true);
// fails TS2820: Type '"signs"' is not assignable to type 'KeyUsage'
crypto.subtle.importKey('jwk', jwk, 'Ed25519', false, ['signs']);
// fails TS2345: Argument of type '"pem"' is not assignable to parameter of type 'KeyFormat'
crypto.subtle.exportKey('pem', hmac);
// fails TS2345: Argument of type 'string' is not assignable to parameter of type 'ArrayBuffer
crypto.subtle.digest('SHA-256', 'text');
// fails TS2339: Property 'privateKey' does not exist on type 'CryptoKey'
hmac.privateKey;
// fails TS2540: Cannot assign to 'extractable' because it is a read-only property
hmac.extractable = false;

// --- URL, encoding, events ---

is<URL['searchParams'], URLSearchParams>(true);
is<ReturnType<typeof URL.parse>, URL | null>(true);
new URLSearchParams({ a: 'b' });
new URLSearchParams([['a', 'b']]);
new URLSearchParams(new URLSearchParams());
new URLSearchParams().has('a', 'b');
new URL('a', new URL('http://b/')).port = '80';
// fails TS2540: Cannot assign to 'origin' because it is a read-only property
new URL('http://a/').origin = 'x';
// fails TS2554: Expected 1-2 arguments, but got 0
new URL();
// fails TS2339: Property 'createObjectURL' does not exist
URL.createObjectURL;
// fails TS2345: Argument of type 'number' is not assignable to parameter of type 'string'
new URLSearchParams().set('a', 1);

const storage = new AsyncLocalStorage<{ id: number }>();
is<ReturnType<typeof storage.getStore>, { id: number } | undefined>(true);
storage.run({ id: 1 }, (a: number, b: string) => a + b.length, 1, 'b').toFixed();
AsyncLocalStorage.bind((a: number) => `${a}`)(1).at(0);
AsyncLocalStorage.snapshot()((a: number) => a, 1).toFixed();
// fails TS2322: Type 'string' is not assignable to type 'number'
storage.run({ id: 'a' }, () => {});
// fails TS2345: Argument of type 'string' is not assignable to parameter of type 'number'
storage.exit((a: number) => a, 'a');
// fails TS2339: Property 'enterWith' does not exist
storage.enterWith({ id: 1 });

is<ReturnType<TextEncoder['encode']>, Uint8Array<ArrayBuffer>>(true);
new TextDecoder('utf-8', { fatal: true }).decode(new DataView(new ArrayBuffer(1)), { stream: true });
// fails TS2345: Argument of type 'number[]' is not assignable to parameter of type 'ArrayBuffer
new TextDecoder().decode([1]);
// fails TS2345: is not assignable to parameter of type 'Uint8Array
new TextEncoder().encodeInto('a', new Uint16Array(1));

class Cache extends EventTarget {}
new Cache().addEventListener('x', { handleEvent: (event) => is<typeof event, Event>(true) }, { signal: ctx.signal });
ctx.signal.onabort = function () {
  is<typeof this, AbortSignal>(true);
};
AbortSignal.any([AbortSignal.timeout(5), new AbortController().signal]).throwIfAborted();
// fails TS2351: This expression is not constructable
new AbortSignal();
// fails TS2339: Property 'bubbles' does not exist
new Event('x').bubbles;

// --- The engine ---

queueMicrotask(() => {});
is<ReturnType<typeof atob>, string>(true);
is<typeof DOMException.ABORT_ERR, 20>(true);
is<DOMException['TIMEOUT_ERR'], 23>(true);
// fails TS2345: Argument of type 'string' is not assignable to parameter of type '() => void'
queueMicrotask('code()');
// fails TS2345: is not assignable to parameter of type 'string'
btoa(new Uint8Array(1));
// fails TS2339: Property 'NO_SUCH_ERR' does not exist
DOMException.NO_SUCH_ERR;

// --- Errors ---

const wrong: HostError = Object.assign(new Error(), { code: 'E_URL' as const });
if (wrong.code === 'E_FETCH_TIMEOUT') console.warn(wrong.message);
// fails TS2322: Type '"E_NOPE"' is not assignable to type 'HostErrorCode'
const code: HostErrorCode = 'E_NOPE';
// fails TS2322: Type '"E_CONFIG_KEY"' is not assignable to type 'HostErrorCode'
const configCode: HostErrorCode = 'E_CONFIG_KEY';

// --- Streams ---

is<typeof request.body, ReadableStream<Uint8Array<ArrayBuffer>> | null>(true);
new Response(ReadableStream.from(['a']));
new Response(
  (async function* () {
    yield 'a';
    yield new Uint8Array(1);
  })(),
  { details: 'made_by_hand' },
);
new Request('http://auth/', { method: 'POST', body: new Response('a').body, duplex: 'half' });
is<ReturnType<ReadableStream<string>['tee']>, [ReadableStream<string>, ReadableStream<string>]>(true);
const upper = new TransformStream<string, number>({ transform: (text, controller) => controller.enqueue(text.length) });
const lengths = ReadableStream.from(['a']).pipeThrough(upper);
is<typeof lengths, ReadableStream<number>>(true);
// fails TS2345: Argument of type 'number' is not assignable
new ReadableStream<string>({ start: (controller) => controller.enqueue(1) });
// fails TS2345: Argument of type 'ReadableStream<number>' is not assignable
new Response(lengths);
// fails TS2345: Argument of type 'string[]' is not assignable
new Response(['a']);
// fails TS2322: Type 'number' is not assignable to type 'string'
new Response(null, { details: 1 });
// fails TS2540: Cannot assign to 'body' because it is a read-only property
request.body = null;

// --- What is not there ---

// fails TS2584: Cannot find name 'document'
document;
// fails TS2591: Cannot find name 'process'
process;
// fails TS2591: Cannot find name 'Buffer'
Buffer;
// fails TS2304: Cannot find name 'WebSocket'
WebSocket;
// fails TS2339: Property 'profile' does not exist
console.profile();
