// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// For each error that a script can see the smallest script that meets it, and whose documentation must say so.

import type { CalloutDescription, ExchangeDescription } from '../../bundler/emulator.ts';
import type { Script } from '../conformance/hosts.ts';

/** A way to an error. */
export interface Provocation {
  readonly code: string;
  /** The member that throws, by the name of its declaration; absent for what any member can throw. */
  readonly member?: string;
  /** The body of a hook; it sees `request`, `response` and `ctx` as far as they are there. */
  readonly run: string;
  /** Stands above the filter. */
  readonly top?: string;
  /** `run` is not a hook's body, but stands above the filter itself. */
  readonly caughtAtTop?: boolean;
  /** Default: onRequest. */
  readonly hook?: 'configure' | 'onRequest' | 'onRequestChunk' | 'onResponse' | 'onResponseChunk' | 'onLog';
  /** No script can catch it: it is how the hook ends. */
  readonly endsHook?: boolean;
  /** How the cluster `auth` answers. */
  readonly auth?: CalloutDescription;
  /** Default: one exchange with a plain request. */
  readonly exchanges?: readonly ExchangeDescription[];
}

const fetchAuth = 'await fetch("http://auth/");';
const aesKey =
  'const iv = new Uint8Array(12); const key = await crypto.subtle.importKey("raw", new Uint8Array(16), "AES-GCM", false, ["decrypt"]);';
/** The first exchange leaves its objects behind, the second uses them. */
const twice: readonly ExchangeDescription[] = [{}, {}];
const upload: readonly ExchangeDescription[] = [{ request: { method: 'POST', body: 'a' } }];
/** Runs what refuses a tunnel, and lets the request go as what it is. */
const asConnect = (run: string): string => `request.method = "CONNECT"; try { ${run} } finally { request.method = "POST"; }`;

export const provocations: readonly Provocation[] = [
  // Handles, phases, calls
  { code: 'E_DEAD_HANDLE', member: 'Context.request', exchanges: twice, run: 'if (globalThis.kept) kept.request; globalThis.kept = ctx;' },
  {
    code: 'E_DEAD_HANDLE',
    member: 'Headers.get',
    exchanges: twice,
    run: 'if (globalThis.kept) kept.get("a"); globalThis.kept = request.headers;',
  },
  { code: 'E_DEAD_HANDLE', member: 'Request.url', exchanges: twice, run: 'if (globalThis.kept) kept.url; globalThis.kept = request;' },
  { code: 'E_STREAM_ENDED', member: 'Headers.set', hook: 'onLog', run: 'ctx.response.headers.set("a", "b");' },
  { code: 'E_NO_STREAM', member: 'globals.setTimeout', hook: 'configure', run: 'setTimeout(() => {});' },
  { code: 'E_NO_STREAM', member: 'globals.clearTimeout', hook: 'configure', run: 'clearTimeout(1);' },
  { code: 'E_NO_STREAM', member: 'globals.fetch', hook: 'configure', run: 'fetch("http://auth/");' },
  { code: 'E_NO_STREAM', member: 'fairlead.sleep', hook: 'configure', run: 'sleep(1);' },
  { code: 'E_NO_STREAM', member: 'AbortSignal:timeout', hook: 'configure', run: 'AbortSignal.timeout(1);' },
  { code: 'E_ILLEGAL_INVOCATION', run: 'Headers.prototype.get.call({}, "a");' },
  { code: 'E_ILLEGAL_INVOCATION', run: 'EventTarget.prototype.dispatchEvent.call({}, new Event("a"));' },
  { code: 'E_ILLEGAL_INVOCATION', run: 'new Headers().keys().next.call({});' },
  { code: 'E_ILLEGAL_CONSTRUCTOR', run: 'new AbortSignal();' },
  { code: 'E_DYNAMIC_IMPORT', run: 'await import("fairlead");' },
  { code: 'E_MISSING_ARGUMENT', run: 'new Headers().get();' },
  { code: 'E_MISSING_ARGUMENT', run: 'new Event();' },
  { code: 'E_ARGUMENT', member: 'Headers.forEach', run: 'new Headers().forEach(1);' },
  { code: 'E_ARGUMENT', member: 'Headers.get', run: 'new Headers().get("\u0100");' },
  { code: 'E_ARGUMENT', member: 'Request()', run: 'new Request("http://auth/", 1);' },
  { code: 'E_ARGUMENT', member: 'globals.setTimeout', run: 'setTimeout("code()");' },
  { code: 'E_ARGUMENT', member: 'TextEncoder.encodeInto', run: 'new TextEncoder().encodeInto("a", []);' },
  { code: 'E_ARGUMENT', member: 'TextDecoder.decode', run: 'new TextDecoder().decode([]);' },
  { code: 'E_ARGUMENT', member: 'URLSearchParams()', run: 'new URLSearchParams([["a"]]);' },
  { code: 'E_ARGUMENT', member: 'EventTarget.dispatchEvent', run: 'new EventTarget().dispatchEvent({});' },
  { code: 'E_ARGUMENT', member: 'AbortSignal:timeout', run: 'AbortSignal.timeout(-1);' },
  { code: 'E_ARGUMENT', member: 'AbortSignal:any', run: 'AbortSignal.any(1);' },
  { code: 'E_ARGUMENT', member: 'fairlead.defineFilter', run: 'defineFilter(1);' },
  { code: 'E_RANGE', member: 'fairlead.sleep', run: 'sleep(-1);' },
  { code: 'E_RANGE', member: 'Response:redirect', run: 'Response.redirect("http://a/", 200);' },
  {
    code: 'E_OPTION_NAME',
    member: 'globals.fetch',
    run: 'await fetch("http://auth/", { retry: { numRetry: 1 } });',
  },
  { code: 'E_OPTION', member: 'globals.fetch', run: 'await fetch("http://auth/", { timeoutMs: 0 });' },
  { code: 'E_OPTION', member: 'Request()', run: 'new Request("http://auth/", { body: "x" });' },
  { code: 'E_OPTION', member: 'EventTarget.addEventListener', run: 'new EventTarget().addEventListener("a", () => {}, { signal: 1 });' },

  // Headers and messages
  { code: 'E_HEADERS_SENT', member: 'Headers.set', hook: 'onResponse', run: 'ctx.request.headers.set("a", "b");' },
  { code: 'E_HEADERS_SENT', member: 'Request.method', hook: 'onResponse', run: 'ctx.request.method = "PUT";' },
  { code: 'E_HEADER_NAME', member: 'Headers.get', run: 'new Headers().get("a b");' },
  { code: 'E_HEADER_NAME', member: 'Headers.append', run: 'request.headers.append("a b", "c");' },
  { code: 'E_HEADER_VALUE', member: 'Headers.set', run: 'request.headers.set("a", "b\\nc");' },
  { code: 'E_EMPTY_VALUE', member: 'Headers.set', run: 'request.headers.set("a", "");' },
  { code: 'E_FRAMING_HEADER', member: 'Headers.delete', run: 'request.headers.delete("content-length");' },
  { code: 'E_HEADER_LIMIT', member: 'Headers.append', run: 'for (let i = 0; i < 257; i++) request.headers.append("a", "b");' },
  { code: 'E_IMMUTABLE', member: 'Headers.set', run: 'Response.error().headers.set("a", "b");' },
  { code: 'E_STATUS', member: 'Response()', run: 'new Response(null, { status: 99 });' },
  { code: 'E_STATUS', member: 'Response.status', hook: 'onResponse', run: 'response.status = 600;' },
  { code: 'E_NULL_BODY_STATUS', member: 'Response()', run: 'new Response("a", { status: 204 });' },
  { code: 'E_METHOD', member: 'Request()', run: 'new Request("http://auth/", { method: "CONNECT" });' },
  { code: 'E_METHOD', member: 'Request.method', run: 'request.method = "a b";' },
  { code: 'E_TARGET', member: 'Request.path', run: 'request.path = "a";' },
  { code: 'E_TARGET', member: 'Request.host', run: 'request.host = "a b";' },
  { code: 'E_TARGET', member: 'Request.scheme', run: 'request.scheme = "ftp";' },
  { code: 'E_NOT_LIVE', member: 'Request.path', run: 'new Request("http://auth/").path = "/";' },
  { code: 'E_NOT_LIVE', member: 'Response.status', run: 'new Response().status = 201;' },
  { code: 'E_URL', member: 'URL()', run: 'new URL("a");' },
  { code: 'E_URL', member: 'Request()', run: 'new Request("a");' },
  { code: 'E_URL', member: 'Response:redirect', run: 'Response.redirect("http://");' },
  { code: 'E_URL_PATTERN', member: 'URLPattern()', run: 'new URLPattern("(");' },
  { code: 'E_RANGE', member: 'URLPattern()', run: 'new URLPattern({ hash: "a".repeat(8193) });' },
  { code: 'E_ARGUMENT', member: 'URLPattern.exec', run: 'new URLPattern({}).exec({}, "http://a");' },
  { code: 'E_BODY_USED', member: 'Response.text', run: 'const used = new Response("a"); await used.text(); await used.text();' },
  { code: 'E_BODY_USED', member: 'Response.clone', run: 'const used = new Response("a"); await used.text(); used.clone();' },
  { code: 'E_BODY_UNAVAILABLE', member: 'Request.text', hook: 'onResponse', exchanges: upload, run: 'await ctx.request.text();' },
  { code: 'E_BODY_USED', member: 'Request.text', exchanges: upload, run: 'await request.text(); await request.text();' },
  {
    code: 'E_BODY_ENCODED',
    member: 'Request.json',
    exchanges: [{ request: { method: 'POST', headers: { 'content-encoding': 'gzip' }, body: 'a' } }],
    run: 'await request.json();',
  },
  { code: 'E_BODY_ENDLESS', member: 'Request.bytes', exchanges: upload, run: asConnect('await request.bytes();') },
  { code: 'E_BODY_ENDLESS', member: 'Request.setBody', exchanges: upload, run: asConnect('request.setBody("a");') },
  {
    code: 'E_BODY_LIMIT',
    member: 'Request.text',
    exchanges: [{ request: { method: 'POST', body: 'a'.repeat(1_048_577) } }],
    run: 'await request.text();',
  },
  { code: 'E_HEADERS_SENT', member: 'Request.setBody', hook: 'onResponse', run: 'ctx.request.setBody("a");' },
  { code: 'E_STREAM_ENDED', member: 'Response.setJson', hook: 'onLog', run: 'ctx.response.setJson(1);' },
  { code: 'E_NULL_BODY_STATUS', member: 'Response.setBody', hook: 'onResponse', exchanges: [{ upstream: { status: 204 } }], run: 'response.setBody("a");' },
  { code: 'E_OPTION', member: 'Request.setBody', run: 'request.setBody({});' },
  { code: 'E_ARGUMENT', member: 'Request.setJson', run: 'request.setJson(undefined);' },
  { code: 'E_NOT_LIVE', member: 'Request.setBody', run: 'new Request("http://auth/").setBody("a");' },
  { code: 'E_NOT_LIVE', member: 'Response.skipChunks', run: 'new Response().skipChunks();' },
  { code: 'E_NOT_LIVE', member: 'Response.trailers', run: 'new Response().trailers;' },
  { code: 'E_NO_TRAILERS', member: 'Headers.set', run: 'request.trailers.set("a", "b");' },
  { code: 'E_NO_TRAILERS', member: 'Request.trailers', run: 'request.trailers.append("a", "b");' },
  {
    code: 'E_DEAD_HANDLE',
    member: 'Chunk.data',
    hook: 'onRequestChunk',
    exchanges: [{ request: { method: 'POST', body: ['a', 'b'] } }],
    run: 'if (chunk.last) kept.data; else globalThis.kept ??= chunk;',
  },
  { code: 'E_RETURN_VALUE', member: 'Filter.onRequestChunk', endsHook: true, hook: 'onRequestChunk', exchanges: upload, run: 'return 1;' },
  {
    code: 'E_HEADERS_SENT',
    member: 'Filter.onResponseChunk',
    endsHook: true,
    hook: 'onResponseChunk',
    exchanges: [{ upstream: { body: 'a' } }],
    run: 'return new Response();',
  },
  {
    code: 'E_BODY_UNAVAILABLE',
    member: 'Response.clone',
    hook: 'onResponse',
    exchanges: [{ upstream: { body: 'a' } }],
    run: 'response.clone();',
  },
  { code: 'E_OPTION', member: 'Request.setBody', run: 'request.setBody(new ReadableStream());' },
  { code: 'E_BODY_USED', member: 'Response()', run: 'const body = new ReadableStream(); body.getReader(); new Response(body);' },
  { code: 'E_BODY_CHUNK', member: 'Response.text', run: 'await new Response(ReadableStream.from([1])).text();' },
  { code: 'E_OPTION', member: 'Response()', run: 'new Response(null, { details: "a b" });' },
  { code: 'E_ARGUMENT', member: 'Context.addResponseFlag', run: 'ctx.addResponseFlag("a b");' },
  { code: 'E_RANGE', member: 'Context.addResponseFlag', run: 'for (let i = 0; i < 17; i++) ctx.addResponseFlag("A" + i);' },
  { code: 'E_STREAM_ENDED', member: 'Context.reset', hook: 'onLog', run: 'ctx.reset();' },
  { code: 'E_STREAM_ENDED', member: 'Context.endConnection', hook: 'onLog', run: 'ctx.endConnection();' },
  { code: 'E_ENCODING', member: 'TextDecoderStream()', run: 'new TextDecoderStream("words");' },
  {
    code: 'E_BODY_LIMIT',
    member: 'globals.fetch',
    auth: { body: 'a'.repeat(1_048_577) },
    run: `await (${fetchAuth.slice(0, -1)}).text();`,
  },

  { code: 'E_FORM', member: 'Request.formData', exchanges: upload, run: 'await request.formData();' },
  { code: 'E_FORM', member: 'Response.formData', run: 'await new Response("a").formData();' },
  {
    code: 'E_FORM_LIMIT',
    member: 'Response.formData',
    run: 'await new Response(new URLSearchParams({ ["a".repeat(1025)]: "" })).formData();',
  },
  {
    code: 'E_BODY_ENCODED',
    member: 'Request.formData',
    exchanges: [{ request: { method: 'POST', headers: { 'content-encoding': 'gzip' }, body: 'a' } }],
    run: 'await request.formData();',
  },
  { code: 'E_ARGUMENT', member: 'Blob()', run: 'new Blob("a");' },
  { code: 'E_ARGUMENT', member: 'File()', run: 'new File("a", "b");' },
  { code: 'E_ARGUMENT', member: 'FormData()', run: 'new FormData({});' },
  { code: 'E_ARGUMENT', member: 'FormData.append', run: 'new FormData().append("a", "b", "c");' },
  { code: 'E_OPTION', member: 'Blob()', run: 'new Blob([], { endings: "a" });' },

  // fetch, timers
  { code: 'E_FETCH_CLUSTER_NOT_ALLOWED', member: 'globals.fetch', run: 'await fetch("http://elsewhere/");' },
  { code: 'E_FETCH_CLUSTER_UNKNOWN', member: 'globals.fetch', run: 'await fetch("http://unknown/");' },
  {
    code: 'E_FETCH_NO_HOST',
    member: 'globals.fetch',
    exchanges: [{ clusters: { empty: [{ kind: 'noHost' }] } }],
    run: 'await fetch("http://empty/");',
  },
  { code: 'E_FETCH_RESET', member: 'globals.fetch', auth: { kind: 'reset', body: 'a' }, run: `await (${fetchAuth.slice(0, -1)}).text();` },
  { code: 'E_FETCH_REDIRECT', member: 'globals.fetch', auth: { status: 302, headers: { location: '/' } }, run: fetchAuth },
  { code: 'E_FETCH_RETRY', member: 'globals.fetch', run: 'await fetch("http://auth/", { method: "POST", retry: 1 });' },
  { code: 'E_DEAD_HANDLE', member: 'Secrets.get', exchanges: twice, run: 'globalThis.kept?.get("a"); globalThis.kept = ctx.secrets;' },
  { code: 'E_DEAD_HANDLE', member: 'RuntimeKeys.get', exchanges: twice, run: 'globalThis.kept?.get("a", 1); globalThis.kept = ctx.runtime;' },
  { code: 'E_RUNTIME_KEY', member: 'RuntimeKeys.get', run: 'ctx.runtime.get("none", 1);' },
  { code: 'E_SECRET', member: 'Secrets.get', run: 'ctx.secrets.get("none");' },
  { code: 'E_FETCH_KEEPALIVE', member: 'globals.fetch', run: 'await fetch("http://auth/", { keepalive: true, retry: 1 });' },
  {
    code: 'E_FETCH_KEEPALIVE_LIMIT',
    member: 'globals.fetch',
    auth: { delayMs: 300 },
    // The others have arrived when the last call is answered.
    run: `const calls = Array.from({ length: 65 }, () => fetch("http://auth/", { keepalive: true }));
      calls[64].catch(() => {}); ${fetchAuth} await calls[64];`,
  },
  {
    code: 'E_FETCH_LIMIT',
    member: 'globals.fetch',
    auth: {},
    run: `for (let i = 0; i < 17; i++) if (i === 16) ${fetchAuth} else fetch("http://auth/");`,
  },
  { code: 'E_FETCH_TIMEOUT', member: 'globals.fetch', auth: { kind: 'silent' }, run: 'await fetch("http://auth/", { timeoutMs: 100 });' },
  { code: 'E_ABORTED', member: 'fairlead.sleep', exchanges: [{ clientLeavesAtMs: 500 }], run: 'await sleep(10000);' },
  {
    code: 'E_ABORTED',
    member: 'globals.fetch',
    exchanges: [{ clientLeavesAtMs: 500, clusters: { auth: [{ kind: 'silent' }] } }],
    run: fetchAuth,
  },
  { code: 'E_TIMER_LIMIT', member: 'globals.setTimeout', run: 'for (let i = 0; i < 65; i++) setTimeout(() => {});' },
  { code: 'E_TIMER_LIMIT', member: 'fairlead.sleep', run: 'for (let i = 0; i < 65; i++) sleep(1);' },

  { code: 'E_TIMER_LIMIT', member: 'globals.setInterval', run: 'for (let i = 0; i < 65; i++) setInterval(() => {});' },
  { code: 'E_NO_STREAM', member: 'globals.setInterval', hook: 'configure', run: 'setInterval(() => {});' },
  { code: 'E_NO_STREAM', member: 'globals.clearInterval', hook: 'configure', run: 'clearInterval(1);' },

  // What streams share
  { code: 'E_NO_STREAM', member: 'shared.set', hook: 'configure', run: 'shared.set("a", 1);' },
  { code: 'E_NO_STREAM', member: 'shared.get', hook: 'configure', run: 'shared.get("a");' },
  { code: 'E_ARGUMENT', member: 'shared.set', run: 'shared.set("a", () => {});' },
  { code: 'E_ARGUMENT', member: 'shared.cas', run: 'shared.cas("a", undefined, Symbol());' },
  { code: 'E_OPTION', member: 'shared.set', run: 'shared.set("a", 1, { ttlMs: 0 });' },
  { code: 'E_OPTION_NAME', member: 'shared.set', run: 'shared.set("a", 1, { ttl: 5 });' },
  { code: 'E_OPTION_NAME', member: 'shared.incr', run: 'shared.incr("a", 1, { ttlms: 5 });' },
  { code: 'E_OPTION_NAME', member: 'shared.cas', run: 'shared.cas("a", undefined, 1, { ttlMS: 5 });' },
  { code: 'E_OPTION_NAME', member: 'shared.take', run: 'shared.take("a", { perSecond: 1, bursts: 5 });' },
  { code: 'E_ARGUMENT', member: 'shared.incr', run: 'shared.incr("a", 1, 500);' },
  { code: 'E_ARGUMENT', member: 'shared.set', run: 'shared.set("a", 1, null);' },
  { code: 'E_RANGE', member: 'shared.incr', run: 'shared.incr("a", NaN);' },
  { code: 'E_SHARED_TYPE', member: 'shared.incr', run: 'shared.set("a", "1"); shared.incr("a");' },
  { code: 'E_SHARED_LIMIT', member: 'shared.set', run: 'shared.set("a", "a".repeat(1_048_576));' },
  { code: 'E_SHARED_LIMIT', member: 'shared.cas', run: 'shared.cas("a", undefined, "a".repeat(1_048_576));' },
  { code: 'E_SHARED_LIMIT', member: 'shared.incr', run: 'shared.incr("a".repeat(1_048_576));' },

  // Metrics
  { code: 'E_WRONG_PHASE', member: 'fairlead.counter', run: 'counter("a");' },
  { code: 'E_WRONG_PHASE', member: 'fairlead.gauge', hook: 'configure', run: 'gauge("a");' },
  { code: 'E_WRONG_PHASE', member: 'fairlead.histogram', hook: 'onLog', run: 'histogram("a");' },
  { code: 'E_METRIC_LABELS', member: 'Counter.add', top: 'const a = counter("a", ["x"]);', run: 'a.add({ y: 1 });' },
  { code: 'E_METRIC_LABELS', member: 'Gauge.set', top: 'const b = gauge("b", ["x"]);', run: 'b.set(1);' },
  { code: 'E_METRIC_LABELS', member: 'Gauge.add', top: 'const c = gauge("c");', run: 'c.add(1, { y: 1 });' },
  { code: 'E_METRIC_LABELS', member: 'Histogram.record', top: 'const d = histogram("d", ["x"]);', run: 'd.record(1, { x: 1, y: 1 });' },
  { code: 'E_RANGE', member: 'Counter.add', top: 'const e = counter("e");', run: 'e.add(undefined, -1);' },
  { code: 'E_RANGE', member: 'Gauge.set', top: 'const f = gauge("f");', run: 'f.set(NaN);' },
  { code: 'E_NO_STREAM', member: 'Counter.add', top: 'const g = counter("g");', hook: 'configure', run: 'g.add();' },
  { code: 'E_METRIC', member: 'fairlead.counter', caughtAtTop: true, run: 'counter("a-b");' },
  { code: 'E_METRIC', member: 'fairlead.gauge', caughtAtTop: true, run: 'counter("h"); gauge("h");' },
  { code: 'E_METRIC', member: 'fairlead.histogram', caughtAtTop: true, run: 'histogram("i", ["x", "x"]);' },
  { code: 'E_ARGUMENT', member: 'fairlead.counter', caughtAtTop: true, run: 'counter("j", "x");' },

  // Encodings
  { code: 'E_ENCODING', member: 'TextDecoder()', run: 'new TextDecoder("a");' },
  { code: 'E_DECODE', member: 'TextDecoder.decode', run: 'new TextDecoder("utf-8", { fatal: true }).decode(new Uint8Array([255]));' },
  { code: 'E_ARGUMENT', member: 'CompressionStream()', run: 'new CompressionStream("br");' },
  { code: 'E_ARGUMENT', member: 'DecompressionStream()', run: 'new DecompressionStream("br");' },
  {
    code: 'E_COMPRESSION',
    member: 'DecompressionStream.readable',
    run: 'await new Response(new Response("a").body.pipeThrough(new DecompressionStream("gzip"))).text();',
  },
  {
    code: 'E_COMPRESSION',
    member: 'CompressionStream.writable',
    run: 'const { readable, writable } = new CompressionStream("gzip"); readable.getReader().read().catch(() => {}); await writable.getWriter().write("a");',
  },

  // Facts, metadata, routing
  { code: 'E_DEAD_HANDLE', member: 'Metadata.get', exchanges: twice, run: 'globalThis.kept?.get("a", "b"); globalThis.kept = ctx.metadata;' },
  {
    code: 'E_DEAD_HANDLE',
    member: 'Attributes.request.path',
    exchanges: twice,
    run: 'globalThis.kept?.["request.path"]; globalThis.kept = ctx.attributes;',
  },
  { code: 'E_ATTRIBUTE', member: 'Context.attributes', run: 'ctx.attributes["request.pth"];' },
  { code: 'E_METADATA_NAMESPACE', member: 'Metadata.set', run: 'ctx.metadata.set("envoy.lb", "a", "b");' },
  { code: 'E_METADATA_VALUE', member: 'Metadata.set', run: 'ctx.metadata.set("a", "b", () => {});' },
  { code: 'E_METADATA_VALUE', member: 'Metadata.set', run: 'ctx.route.metadata.set("a", "b", 1);' },
  { code: 'E_METADATA_LIMIT', member: 'Metadata.set', run: 'for (let i = 0; i < 65; i++) ctx.metadata.set("a", "b", i);' },
  { code: 'E_METADATA_LIMIT', member: 'FilterState.set', run: 'for (let i = 0; i < 65; i++) ctx.filterState.set("a" + i, "b");' },
  { code: 'E_FILTER_STATE', member: 'FilterState.set', run: 'ctx.filterState.set("a", "b".repeat(65_537));' },
  { code: 'E_FILTER_STATE', member: 'FilterState.setTyped', run: 'ctx.filterState.setTyped("a", "b");' },
  { code: 'E_ARGUMENT', member: 'FilterState.set', run: 'ctx.filterState.set("a", 1);' },
  { code: 'E_RANGE', member: 'Cluster.hosts', run: 'ctx.cluster.hosts(-1);' },
  { code: 'E_UPSTREAM_HOST', member: 'Context.setUpstreamHost', run: 'ctx.setUpstreamHost("127.0.0.1");' },
  { code: 'E_UPSTREAM_HOST', member: 'Context.setUpstreamHost', run: 'ctx.setUpstreamHost("localhost:80");' },
  { code: 'E_OPTION_NAME', member: 'Context.setUpstreamHost', run: 'ctx.setUpstreamHost("127.0.0.1:80", { strickt: true });' },
  { code: 'E_ARGUMENT', member: 'Context.setUpstreamHost', run: 'ctx.setUpstreamHost("127.0.0.1:80", true);' },
  { code: 'E_WRONG_PHASE', member: 'Context.clearRouteCache', hook: 'onResponse', run: 'ctx.clearRouteCache();' },
  { code: 'E_WRONG_PHASE', member: 'Context.setUpstreamHost', hook: 'onLog', run: 'ctx.setUpstreamHost("127.0.0.1:80");' },
  { code: 'E_ARGUMENT', member: 'Context.socketOption', run: 'ctx.socketOption("both", 1, 2);' },
  { code: 'E_ARGUMENT', member: 'Context.setSocketOption', run: 'ctx.setSocketOption("upstream", 1, 2, "3");' },
  { code: 'E_WRONG_PHASE', member: 'Context.setSocketOption', hook: 'onLog', run: 'ctx.setSocketOption("downstream", 1, 2, 3);' },
  { code: 'E_HEADERS_SENT', member: 'Context.setSocketOption', hook: 'onResponse', run: 'ctx.setSocketOption("upstream", 1, 2, 3);' },
  { code: 'E_SOCKET_OPTION', member: 'Context.setSocketOption', run: 'ctx.setSocketOption("downstream", -1, 2, 3);' },
  { code: 'E_SOCKET_OPTION', member: 'Context.setSocketOption', run: 'ctx.setSocketOption("upstream", 1, 26, new Uint8Array(16));' },
  {
    code: 'E_METADATA_LIMIT',
    member: 'Context.setSocketOption',
    run: 'for (let i = 0; i < 65; i++) ctx.setSocketOption("upstream", 1, 36, i);',
  },
  { code: 'E_DEAD_HANDLE', member: 'Span.setTag', exchanges: twice, run: 'globalThis.kept?.setTag("a", "b"); globalThis.kept = ctx.span;' },
  { code: 'E_ARGUMENT', member: 'Span.setTag', run: 'ctx.span.setTag("a", {});' },
  { code: 'E_ARGUMENT', member: 'Span.sampled', run: 'ctx.span.sampled = 1;' },
  { code: 'E_WRONG_PHASE', member: 'Span.sampled', hook: 'onLog', run: 'ctx.span.sampled = true;' },
  { code: 'E_WRONG_PHASE', member: 'Span.spawnChild', hook: 'onLog', run: 'ctx.span.spawnChild("a");' },
  { code: 'E_SPAN_LIMIT', member: 'Span.setTag', run: 'ctx.span.setTag("a", "b".repeat(65_536));' },
  { code: 'E_SPAN_LIMIT', member: 'Span.log', run: 'for (let i = 0; i < 3; i++) ctx.span.log("b".repeat(30_000));' },
  { code: 'E_SPAN_LIMIT', member: 'Span.setOperation', run: 'ctx.span.setOperation("b".repeat(65_536));' },
  { code: 'E_SPAN_LIMIT', member: 'Span.setBaggage', run: 'ctx.span.setBaggage("a", "b".repeat(65_536));' },
  { code: 'E_SPAN_LIMIT', member: 'Span.spawnChild', run: 'for (let i = 0; i < 64; i++) ctx.span.spawnChild("a");' },
  { code: 'E_CLUSTER_HEADER', member: 'Request.cluster', run: 'request.cluster = "a";' },

  // Cryptography
  { code: 'E_CRYPTO_ALGORITHM', member: 'SubtleCrypto.digest', run: 'await crypto.subtle.digest("MD5", new Uint8Array());' },
  { code: 'E_CRYPTO_ALGORITHM', member: 'SubtleCrypto.generateKey', run: 'await crypto.subtle.generateKey("HKDF", true, []);' },
  { code: 'E_CRYPTO_KEY', member: 'SubtleCrypto.sign', run: `${aesKey} await crypto.subtle.sign("HMAC", key, new Uint8Array());` },
  { code: 'E_CRYPTO_KEY', member: 'SubtleCrypto.encrypt', run: `${aesKey} await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, iv);` },
  { code: 'E_CRYPTO_KEY', member: 'SubtleCrypto.exportKey', run: `${aesKey} await crypto.subtle.exportKey("raw", key);` },
  {
    code: 'E_CRYPTO_USAGES',
    member: 'SubtleCrypto.importKey',
    run: 'await crypto.subtle.importKey("raw", new Uint8Array(16), "AES-GCM", true, ["sign"]);',
  },
  { code: 'E_CRYPTO_USAGES', member: 'SubtleCrypto.generateKey', run: 'await crypto.subtle.generateKey("Ed25519", true, ["verify"]);' },
  {
    code: 'E_CRYPTO_DATA',
    member: 'SubtleCrypto.importKey',
    run: 'await crypto.subtle.importKey("raw", new Uint8Array(15), "AES-GCM", true, ["encrypt"]);',
  },
  { code: 'E_CRYPTO_OPERATION', member: 'SubtleCrypto.decrypt', run: `${aesKey} await crypto.subtle.decrypt({ name: "AES-GCM", iv }, key, iv);` },
  { code: 'E_TYPE_MISMATCH', member: 'Crypto.getRandomValues', run: 'crypto.getRandomValues(new Float32Array(1));' },
  { code: 'E_QUOTA', member: 'Crypto.getRandomValues', run: 'crypto.getRandomValues(new Uint8Array(65537));' },
  { code: 'E_ILLEGAL_CONSTRUCTOR', run: 'new CryptoKey();' },
  { code: 'E_ARGUMENT', member: 'Crypto.getRandomValues', run: 'crypto.getRandomValues([]);' },
  {
    code: 'E_ARGUMENT',
    member: 'SubtleCrypto.timingSafeEqual',
    run: 'crypto.subtle.timingSafeEqual(new Uint8Array(1), new Uint8Array(2));',
  },
  { code: 'E_ARGUMENT', member: 'SubtleCrypto.digest', run: 'await crypto.subtle.digest("SHA-256", "text");' },
  { code: 'E_OPTION', member: 'SubtleCrypto.encrypt', run: `${aesKey} await crypto.subtle.encrypt("AES-GCM", key, iv);` },

  // structuredClone
  { code: 'E_DATA_CLONE', member: 'globals.structuredClone', run: 'structuredClone([{ a: () => 1 }]);' },
  { code: 'E_DATA_CLONE', member: 'globals.structuredClone', run: 'structuredClone({ request });' },
  { code: 'E_DATA_CLONE', member: 'globals.structuredClone', run: 'structuredClone(ctx.signal);' },
  { code: 'E_ARGUMENT', member: 'globals.structuredClone', run: 'structuredClone(1, 2);' },

  // What a hook gives back
  { code: 'E_RETURN_VALUE', member: 'Filter.onRequest', endsHook: true, run: 'return 1;' },
  { code: 'E_RETURN_VALUE', member: 'Filter.onResponse', endsHook: true, hook: 'onResponse', run: 'return 1;' },
  { code: 'E_RETURN_REQUEST', member: 'Filter.onRequest', endsHook: true, run: 'return request;' },
  { code: 'E_RETURN_REQUEST', member: 'Filter.onResponse', endsHook: true, hook: 'onResponse', run: 'return ctx.request;' },
  {
    code: 'E_RETURN_FETCHED',
    member: 'Filter.onRequest',
    endsHook: true,
    auth: { body: ['a', 'b'], frameDelayMs: 500 },
    run: `return ${fetchAuth}`,
  },
  {
    code: 'E_RETURN_FETCHED',
    member: 'Filter.onResponse',
    endsHook: true,
    hook: 'onResponse',
    auth: { body: ['a', 'b'], frameDelayMs: 500 },
    run: `return ${fetchAuth}`,
  },
];

/** Codes that no script can bring about in this version, and why. */
export const unprovoked: Readonly<Record<string, string>> = {
  E_INTERNAL: 'a defect of fairlead itself',
  E_ENVOY_RELEASE: 'only an older Envoy lacks something: see routing.test.ts',
  E_SECRET_PENDING: 'only from Envoy 1.40 on: see secrets.test.ts',
  E_FETCH_REQUEST: 'fairlead gives every call what Envoy requires',
};

const parameters = {
  configure: 'config, env',
  onRequest: 'request, ctx',
  onRequestChunk: 'chunk, ctx',
  onResponse: 'response, ctx',
  onResponseChunk: 'chunk, ctx',
  onLog: 'ctx',
};

/** A filter whose hook tells what it caught: constructor, name and code, in a line of the log. */
export function scriptOf({ run, top = '', caughtAtTop = false, hook = 'onRequest', endsHook = false, auth, exchanges = [{}] }: Provocation): Script {
  const told = 'JSON.stringify([error.constructor.name, error.name, error.code])';
  const caught = `console.info(${told});`;
  const body = endsHook ? run : `try { ${run} } catch (error) { ${caught} }`;
  // onLog and configure cannot wait.
  if (caughtAtTop) return scriptOf({ code: '', run: 'console.info(told);', endsHook: true, hook: 'onRequest', top: `let told; try { ${run} } catch (error) { told = ${told}; }` });
  const isAsync = hook === 'onRequest' || hook === 'onResponse';
  const inline = `import { counter, defineFilter, gauge, histogram, shared, sleep } from 'fairlead';
${top}
export default { ${isAsync ? 'async ' : ''}${hook}(${parameters[hook]}) { ${body} } };`;
  return {
    // The time of a busy machine counts as CPU time in the emulator.
    filter: { inline, metadata: ['a'], clusters: ['auth', 'unknown', 'empty'], limits: { cpu_ms: 1000, stream_cpu_ms: 10_000 } },
    exchanges: exchanges.map((exchange) => (auth === undefined ? exchange : { ...exchange, clusters: { auth: [auth] } })),
  };
}
