// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * What a whole body can be made from. A string is sent as UTF-8; an ArrayBuffer or a view of one is copied at once. The
 * type of a Blob and the boundary of a FormData are the `content-type`, unless another one is given.
 *
 * @since 1
 */
type WholeBodyInit = string | ArrayBuffer | ArrayBufferView | Blob | FormData | URLSearchParams;

/**
 * What a body can be made from: what it is as a whole, or what brings it.
 *
 * A ReadableStream or an async iterable, such as what an async generator gives, is read while it is sent: its pieces
 * are bytes or strings, and it waits when the other side does.
 *
 * @since 1
 */
type BodyInit = WholeBodyInit | ReadableStream<Uint8Array | string> | AsyncIterable<Uint8Array | string>;

/**
 * What names a request: an absolute URL, or a Request.
 *
 * @since 1
 */
type RequestInfo = string | Request;

/**
 * What to do with an answer that points elsewhere: follow it, take it as an error, or give it as it is.
 *
 * @since 1
 */
type RequestRedirect = 'follow' | 'error' | 'manual';

/**
 * How an answer came about: `default` was made by a script, `basic` was fetched, `error` is Response.error().
 *
 * @since 1
 */
type ResponseType = 'basic' | 'default' | 'error';

/**
 * Members of a request that is made. Those of the standard that are not here are ignored.
 *
 * @see https://fetch.spec.whatwg.org/#requestinit
 * @since 1
 */
interface RequestInit {
  /**
   * The method, by default that of the Request it is made from, or `GET`. `get`, `post` and the like become upper case.
   *
   * @since 1
   */
  method?: string | undefined;

  /**
   * The header lines, in the place of those of the Request it is made from.
   *
   * @since 1
   */
  headers?: HeadersInit | undefined;

  /**
   * The body; none for GET and HEAD. Gives a `content-type`, unless there is one: `text/plain;charset=UTF-8` for a string,
   * `application/x-www-form-urlencoded;charset=UTF-8` for URLSearchParams.
   *
   * @since 1
   */
  body?: BodyInit | null | undefined;

  /**
   * What the standard wants beside a body that is a stream; it makes no difference here.
   *
   * @since 1
   */
  duplex?: 'half' | undefined;

  /**
   * Ends the call when it is aborted; null for none.
   *
   * @since 1
   */
  signal?: AbortSignal | null | undefined;

  /**
   * What to do with a redirect, by default `follow`.
   *
   * @since 1
   */
  redirect?: RequestRedirect | undefined;
}

/**
 * Members of a response that is made.
 *
 * @see https://fetch.spec.whatwg.org/#responseinit
 * @since 1
 */
interface ResponseInit {
  /**
   * The status, from 200 to 599; by default 200.
   *
   * @since 1
   */
  status?: number | undefined;

  /**
   * The reason phrase, by default empty. Envoy does not send it.
   *
   * @since 1
   */
  statusText?: string | undefined;

  /**
   * The header lines.
   *
   * @since 1
   */
  headers?: HeadersInit | undefined;

  /**
   * One word that Envoy's access log shows as `%RESPONSE_CODE_DETAILS%` when a hook returns this response; by default
   * `fairlead_reply`. Of a response that is sent piece by piece Envoy keeps none.
   *
   * @since 1
   */
  details?: string | undefined;
}

/**
 * A request: one that a script makes, or the one that passes through Envoy (see IncomingRequest).
 *
 * @see https://fetch.spec.whatwg.org/#request-class
 * @since 1
 */
interface Request {
  /**
   * The method: `GET`.
   *
   * @see https://fetch.spec.whatwg.org/#dom-request-method
   * @phase Always
   * @since 1
   * @example
   * const isRead = request.method === "GET" || request.method === "HEAD";
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly method: string;

  /**
   * The absolute URL. That of a live request is put together from scheme, host and path as they are now, which may not
   * be a URL that `new URL` takes; CONNECT has `http://authority/`.
   *
   * @see https://fetch.spec.whatwg.org/#dom-request-url
   * @phase Always
   * @since 1
   * @example
   * const page = new URL(request.url).searchParams.get("page");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly url: string;

  /**
   * Path and query as they stand on the wire, `/a?b=1`; null when there is none, as with CONNECT.
   *
   * @phase Always
   * @since 1
   * @example
   * const isAdmin = request.path?.startsWith("/admin/") ?? false;
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly path: string | null;

  /**
   * Host and port as the client named them, `shop.example.com:8443`; null when there is none.
   *
   * @phase Always
   * @since 1
   * @example
   * const tenant = request.host?.split(".")[0] ?? "none";
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly host: string | null;

  /**
   * `http` or `https`; null when there is none.
   *
   * @phase Always
   * @since 1
   * @example
   * const isSecure = request.scheme === "https";
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly scheme: string | null;

  /**
   * The cluster that the filter has chosen; null when it has chosen none.
   *
   * @phase Always
   * @since 1
   * @example
   * console.info(request.cluster ?? "as the route says");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly cluster: string | null;

  /**
   * The header lines; always the same object.
   *
   * @see https://fetch.spec.whatwg.org/#dom-request-headers
   * @phase Always
   * @since 1
   * @example
   * const language = request.headers.get("accept-language");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly headers: Headers;

  /**
   * What `fetch` does with a redirect.
   *
   * @see https://fetch.spec.whatwg.org/#dom-request-redirect
   * @phase Always
   * @since 1
   * @example
   * new Request("http://auth/").redirect === "follow";
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly redirect: RequestRedirect;

  /**
   * Ends the request when it is aborted. That of a live request is `ctx.signal`.
   *
   * @see https://fetch.spec.whatwg.org/#dom-request-signal
   * @phase Always
   * @since 1
   * @example
   * const answer = await fetch("http://auth/", { signal: request.signal });
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly signal: AbortSignal;

  /**
   * The body as a stream of bytes; null when there is none. Always the same object. When it has been looked at, the
   * readers read it to its end.
   *
   * From the first read on a live request is held as it is by `bytes()`, and fails as that does; when the reader is
   * cancelled, it goes on with what still comes. What is read of it goes on too, unless `setBody` puts another body in its
   * place.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-body
   * @phase Always
   * @since 1
   * @example
   * const stream = new Request("http://auth/", { method: "POST", body: "hi" }).body;
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | null;

  /**
   * Whether the body has been read, or is being read.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-bodyused
   * @phase Always
   * @since 1
   * @example
   * if (!request.bodyUsed) console.debug("nobody has read it");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly bodyUsed: boolean;

  /**
   * A request of its own with the same members; both have the body.
   *
   * @see https://fetch.spec.whatwg.org/#dom-request-clone
   * @phase Always
   * @since 1
   * @example
   * const copy = new Request("http://auth/").clone();
   * @throws E_BODY_USED when the body has been read
   * @throws E_BODY_UNAVAILABLE for a live request with a body
   * @throws E_DEAD_HANDLE after the stream
   */
  clone(): Request;

  /**
   * The body as text: UTF-8, each ill-formed part as U+FFFD, without a byte order mark. Empty when there is no body.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-text
   * @phase Always
   * @since 1
   * @example
   * const text = await new Request("http://auth/", { method: "POST", body: "hi" }).text();
   * @throws E_BODY_USED when the body has been read; by the promise, as all that follow
   * @throws E_BODY_CHUNK for a stream that gives something else than bytes and strings
   * @throws E_BODY_UNAVAILABLE for a live one when `onRequest` has settled
   * @throws E_BODY_ENCODED for a live one with a `content-encoding`: read its `bytes()`
   * @throws E_BODY_ENDLESS for a live one that is a tunnel or an upgrade
   * @throws E_BODY_LIMIT for more than `body_kb`
   * @throws E_ABORTED when the exchange ends before the body
   * @throws E_DEAD_HANDLE after the stream
   */
  text(): Promise<string>;

  /**
   * The body as JSON; a SyntaxError when it is none.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-json
   * @phase Always
   * @since 1
   * @example
   * const value = await new Request("http://auth/", { method: "POST", body: "[1]" }).json();
   * @throws E_BODY_USED when the body has been read; by the promise, as all that follow
   * @throws E_BODY_CHUNK for a stream that gives something else than bytes and strings
   * @throws E_BODY_UNAVAILABLE for a live one when `onRequest` has settled
   * @throws E_BODY_ENCODED for a live one with a `content-encoding`: read its `bytes()`
   * @throws E_BODY_ENDLESS for a live one that is a tunnel or an upgrade
   * @throws E_BODY_LIMIT for more than `body_kb`
   * @throws E_ABORTED when the exchange ends before the body
   * @throws E_DEAD_HANDLE after the stream
   */
  json(): Promise<unknown>;

  /**
   * The bytes of the body.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-bytes
   * @phase Always
   * @since 1
   * @example
   * const size = (await new Request("http://auth/").bytes()).length;
   * @throws E_BODY_USED when the body has been read; by the promise, as all that follow
   * @throws E_BODY_CHUNK for a stream that gives something else than bytes and strings
   * @throws E_BODY_UNAVAILABLE for a live one when `onRequest` has settled
   * @throws E_BODY_ENDLESS for a live one that is a tunnel or an upgrade
   * @throws E_BODY_LIMIT for more than `body_kb`
   * @throws E_ABORTED when the exchange ends before the body
   * @throws E_DEAD_HANDLE after the stream
   */
  bytes(): Promise<Uint8Array<ArrayBuffer>>;

  /**
   * The bytes of the body, as an ArrayBuffer.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-arraybuffer
   * @phase Always
   * @since 1
   * @example
   * const buffer = await new Request("http://auth/").arrayBuffer();
   * @throws E_BODY_USED when the body has been read; by the promise, as all that follow
   * @throws E_BODY_CHUNK for a stream that gives something else than bytes and strings
   * @throws E_BODY_UNAVAILABLE for a live one when `onRequest` has settled
   * @throws E_BODY_ENDLESS for a live one that is a tunnel or an upgrade
   * @throws E_BODY_LIMIT for more than `body_kb`
   * @throws E_ABORTED when the exchange ends before the body
   * @throws E_DEAD_HANDLE after the stream
   */
  arrayBuffer(): Promise<ArrayBuffer>;

  /**
   * The bytes of the body, with its `content-type`.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-blob
   * @phase Always
   * @since 1
   * @example
   * const { size, type } = await new Request("http://auth/").blob();
   * @throws E_BODY_USED when the body has been read; by the promise, as all that follow
   * @throws E_BODY_CHUNK for a stream that gives something else than bytes and strings
   * @throws E_BODY_UNAVAILABLE for a live one when `onRequest` has settled
   * @throws E_BODY_ENDLESS for a live one that is a tunnel or an upgrade
   * @throws E_BODY_LIMIT for more than `body_kb`
   * @throws E_ABORTED when the exchange ends before the body
   * @throws E_DEAD_HANDLE after the stream
   */
  blob(): Promise<Blob>;

  /**
   * The body as a form, by its `content-type`: `application/x-www-form-urlencoded` or `multipart/form-data`.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-formdata
   * @phase Always
   * @since 1
   * @example
   * const form = await request.formData();
   * const user = form.get("user");
   * @throws E_BODY_USED when the body has been read; by the promise, as all that follow
   * @throws E_BODY_CHUNK for a stream that gives something else than bytes and strings
   * @throws E_BODY_UNAVAILABLE for a live one when `onRequest` has settled
   * @throws E_BODY_ENDLESS for a live one that is a tunnel or an upgrade
   * @throws E_BODY_LIMIT for more than `body_kb`
   * @throws E_ABORTED when the exchange ends before the body
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_BODY_ENCODED for a live one with a `content-encoding`: unpack its stream first
   * @throws E_FORM for another type, a boundary that is none, or parts that are none or cut
   * @throws E_FORM_LIMIT for more than 1000 parts, a name of more than 1024 bytes, 8 KiB of headers in a part
   */
  formData(): Promise<FormData>;
}

declare var Request: {
  readonly prototype: Request;

  /**
   * A request that a script makes, for `fetch`.
   *
   * @see https://fetch.spec.whatwg.org/#dom-request
   * @phase Always
   * @since 1
   * @example
   * const request = new Request("http://auth/verify", { method: "POST", body: "token=7" });
   * @throws E_ARGUMENT for an `init` that is not an object
   * @throws E_URL for a URL that is not absolute or holds credentials
   * @throws E_METHOD for CONNECT, TRACE, TRACK, and what is no method
   * @throws E_OPTION for a member of `init` that has no such value, and a body of GET or HEAD
   * @throws E_HEADER_NAME for a name that is not a token
   * @throws E_HEADER_VALUE for a value with CR, LF or NUL
   * @throws E_BODY_USED for a Request or stream that has been read, or that a reader holds
   * @throws E_BODY_UNAVAILABLE for a live request with a body
   */
  new (input: RequestInfo | URL, init?: RequestInit): Request;
};

/**
 * The request that passes through Envoy. It is live: what is set here is what the upstream gets.
 *
 * It can be written until `onRequest` has settled, and its body can be read till then: the headers wait for it, up to
 * `body_kb`. A longer one ends the exchange with 413, unless the error is caught: then it passes untouched. Kept beyond the
 * exchange, every member throws E_DEAD_HANDLE.
 *
 * @since 1
 */
interface IncomingRequest extends Request {
  /**
   * The method. It can be set: the upstream gets another one than the client has sent.
   *
   * @phase Always
   * @since 1
   * @example
   * if (request.method === "HEAD") request.method = "GET";
   * @throws E_METHOD for what is no method
   * @throws E_NOT_LIVE when it is set on a request that a script made
   * @throws E_HEADERS_SENT when `onRequest` has settled
   * @throws E_STREAM_ENDED in `onLog`
   * @throws E_HEADER_LIMIT for the 257th write in one stream
   * @throws E_DEAD_HANDLE after the stream
   */
  method: string;

  /**
   * Path and query, `/a?b=1`; null when there is none. It can be set to what begins with `/`, and to `*`. Envoy has
   * chosen its route before.
   *
   * @phase Always
   * @since 1
   * @example
   * if (request.path === "/old") request.path = "/new";
   * @throws E_TARGET for a path with blanks or control characters, or that begins otherwise
   * @throws E_NOT_LIVE when it is set on a request that a script made
   * @throws E_HEADERS_SENT when `onRequest` has settled
   * @throws E_STREAM_ENDED in `onLog`
   * @throws E_HEADER_LIMIT for the 257th write in one stream
   * @throws E_DEAD_HANDLE after the stream
   */
  get path(): string | null;
  set path(value: string);

  /**
   * Host and port, `shop.example.com:8443`; null when there is none. It can be set.
   *
   * @phase Always
   * @since 1
   * @example
   * request.host = "backend.internal";
   * @throws E_TARGET for what is no host
   * @throws E_NOT_LIVE when it is set on a request that a script made
   * @throws E_HEADERS_SENT when `onRequest` has settled
   * @throws E_STREAM_ENDED in `onLog`
   * @throws E_HEADER_LIMIT for the 257th write in one stream
   * @throws E_DEAD_HANDLE after the stream
   */
  get host(): string | null;
  set host(value: string);

  /**
   * `http` or `https`; null when there is none. It can be set to one of the two.
   *
   * @phase Always
   * @since 1
   * @example
   * request.scheme = "https";
   * @throws E_TARGET for another scheme
   * @throws E_NOT_LIVE when it is set on a request that a script made
   * @throws E_HEADERS_SENT when `onRequest` has settled
   * @throws E_STREAM_ENDED in `onLog`
   * @throws E_HEADER_LIMIT for the 257th write in one stream
   * @throws E_DEAD_HANDLE after the stream
   */
  get scheme(): string | null;
  set scheme(value: 'http' | 'https');

  /**
   * The cluster that the filter has chosen; null when it has chosen none.
   *
   * It is written to the request header that the config names in `cluster_header`, by which routes with that
   * `cluster_header` choose; the route is chosen anew. What a client sends in that header is dropped before. A cluster
   * that Envoy does not know gives its 503 and a line in its log. Since Envoy 1.39.
   *
   * @phase Always
   * @since 1
   * @example
   * request.cluster = request.headers.get("cookie")?.includes("beta=1") ? "beta" : "stable";
   * @throws E_CLUSTER_HEADER when the config has no `cluster_header`
   * @throws E_TARGET for an empty name, or one with blanks
   * @throws E_ARGUMENT for a name with a character above U+00FF
   * @throws E_NOT_LIVE when it is set on a request that a script made
   * @throws E_HEADERS_SENT when `onRequest` has settled
   * @throws E_STREAM_ENDED in `onLog`
   * @throws E_HEADER_LIMIT for the 257th write in one stream
   * @throws E_DEAD_HANDLE after the stream
   */
  get cluster(): string | null;
  set cluster(value: string | null);

  /**
   * The trailers, live; always the same object. They are empty until they have come, and can be written in
   * `onRequestTrailers`. Envoy cannot add trailers to a message without.
   *
   * @phase Always
   * @since 1
   * @example
   * const status = request.trailers.get("grpc-status");
   * @throws E_NOT_LIVE on a request that a script made or fetched
   * @throws E_NO_TRAILERS when they are written and there are none
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly trailers: Headers;

  /**
   * Puts another body in the place of the one that came, or gives a body to a request without; null for an empty one.
   * `content-length` follows; all other headers stay as they are, `content-type` and `content-encoding` too. A request of
   * any method can get one.
   *
   * The request goes on when its old body has come to its end; what has not been read of it is dropped. The body counts as
   * read. `onRequestChunk` sees the new one as one chunk.
   *
   * @phase Always
   * @since 1
   * @example
   * request.setBody("hello\n");
   * @throws E_OPTION for what is none of WholeBodyInit: of a stream, give `await new Response(stream).bytes()`
   * @throws E_HEADERS_SENT when `onRequest` has settled
   * @throws E_BODY_ENDLESS for a tunnel or an upgrade
   * @throws E_STREAM_ENDED in `onLog`
   * @throws E_NOT_LIVE on a request that a script made or fetched
   * @throws E_DEAD_HANDLE after the stream
   */
  setBody(body: WholeBodyInit | null): void;

  /**
   * The same with a value as JSON. `content-type` becomes `application/json`, unless it says JSON already.
   *
   * @phase Always
   * @since 1
   * @example
   * const order = (await request.json()) as { total: number };
   * request.setJson({ ...order, currency: "EUR" });
   * @throws E_ARGUMENT for a value that JSON cannot hold, as undefined
   * @throws E_HEADERS_SENT when `onRequest` has settled
   * @throws E_BODY_ENDLESS for a tunnel or an upgrade
   * @throws E_STREAM_ENDED in `onLog`
   * @throws E_NOT_LIVE on a request that a script made or fetched
   * @throws E_DEAD_HANDLE after the stream
   */
  setJson(value: unknown): void;

  /**
   * Shows no more chunks to `onRequestChunk`: the rest of the body passes untouched. In `onRequest` it also keeps
   * `content-length`.
   *
   * @phase Always
   * @since 1
   * @example
   * if (request.headers.get("content-type") !== "text/html") request.skipChunks();
   * @throws E_NOT_LIVE on a request that a script made or fetched
   * @throws E_DEAD_HANDLE after the stream
   */
  skipChunks(): void;
}

/**
 * A response: one that a script makes or has fetched, or the one that passes through Envoy (see IncomingResponse).
 *
 * @see https://fetch.spec.whatwg.org/#response-class
 * @since 1
 */
interface Response {
  /**
   * The trailers of a fetched answer, to read; empty until its body has ended.
   *
   * @phase Always
   * @since 1
   * @example
   * const answer = await fetch("http://grpc/pkg.Service/Method", { method: "POST", body: new Uint8Array(5) });
   * const bytes = await answer.bytes();
   * const status = answer.trailers.get("grpc-status") ?? answer.headers.get("grpc-status");
   * @throws E_NOT_LIVE on a response that a script made
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly trailers: Headers;

  /**
   * The status: `200`; 0 for Response.error().
   *
   * @see https://fetch.spec.whatwg.org/#dom-response-status
   * @phase Always
   * @since 1
   * @example
   * const isError = response.status >= 500;
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly status: number;

  /**
   * Whether the status is from 200 to 299.
   *
   * @see https://fetch.spec.whatwg.org/#dom-response-ok
   * @phase Always
   * @since 1
   * @example
   * if (!response.ok) console.warn("upstream said", response.status);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly ok: boolean;

  /**
   * The reason phrase that a script gave; empty for all others, since Envoy has none.
   *
   * @see https://fetch.spec.whatwg.org/#dom-response-statustext
   * @phase Always
   * @since 1
   * @example
   * new Response(null, { statusText: "Fine" }).statusText === "Fine";
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly statusText: string;

  /**
   * The header lines; always the same object. Those of a fetched answer cannot be written.
   *
   * @see https://fetch.spec.whatwg.org/#dom-response-headers
   * @phase Always
   * @since 1
   * @example
   * response.headers.set("cache-control", "no-store");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly headers: Headers;

  /**
   * Whether it is the answer to another URL than was asked for.
   *
   * @see https://fetch.spec.whatwg.org/#dom-response-redirected
   * @phase Always
   * @since 1
   * @example
   * const moved = (await fetch("http://auth/")).redirected;
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly redirected: boolean;

  /**
   * How it came about.
   *
   * @see https://fetch.spec.whatwg.org/#dom-response-type
   * @phase Always
   * @since 1
   * @example
   * new Response().type === "default";
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly type: ResponseType;

  /**
   * The URL that answered, without a fragment; empty when it was not fetched.
   *
   * @see https://fetch.spec.whatwg.org/#dom-response-url
   * @phase Always
   * @since 1
   * @example
   * console.debug("answered by", (await fetch("http://auth/")).url);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly url: string;

  /**
   * The body as a stream of bytes; null when there is none. Always the same object. When it has been looked at, the
   * readers read it to its end.
   *
   * From the first read on a live response is held as it is by `bytes()`, and fails as that does; when the reader is
   * cancelled, it goes on with what still comes. What is read of it goes on too, unless `setBody` puts another body in its
   * place. Of an answer that is fetched, what has been read is no longer held; cancelling its reader cancels the call.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-body
   * @phase Always
   * @since 1
   * @example
   * const answer = await fetch("http://files/large");
   * if (answer.body !== null) for await (const chunk of answer.body) console.debug(chunk.length);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly body: ReadableStream<Uint8Array<ArrayBuffer>> | null;

  /**
   * Whether the body has been read, or is being read.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-bodyused
   * @phase Always
   * @since 1
   * @example
   * new Response("hi").bodyUsed === false;
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly bodyUsed: boolean;

  /**
   * A response of its own with the same members; both have the body.
   *
   * @see https://fetch.spec.whatwg.org/#dom-response-clone
   * @phase Always
   * @since 1
   * @example
   * const answer = await fetch("http://auth/");
   * const [text, bytes] = await Promise.all([answer.clone().text(), answer.bytes()]);
   * @throws E_BODY_USED when the body has been read
   * @throws E_BODY_UNAVAILABLE for a live response with a body
   * @throws E_DEAD_HANDLE after the stream
   */
  clone(): Response;

  /**
   * The body as text: UTF-8, each ill-formed part as U+FFFD, without a byte order mark. Empty when there is no body.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-text
   * @phase Always
   * @since 1
   * @example
   * const text = await (await fetch("http://auth/")).text();
   * @throws E_BODY_USED when the body has been read; by the promise, as all that follow
   * @throws E_BODY_CHUNK for a stream that gives something else than bytes and strings
   * @throws E_BODY_UNAVAILABLE for a live one when `onResponse` has settled
   * @throws E_BODY_ENCODED for a live one with a `content-encoding`: read its `bytes()`
   * @throws E_BODY_ENDLESS for a live one that is a tunnel or an upgrade
   * @throws E_BODY_LIMIT for more than `body_kb`
   * @throws E_ABORTED when the exchange ends before the body
   * @throws E_FETCH_RESET when the call ended before the body was complete
   * @throws E_FETCH_TIMEOUT when its `timeoutMs` were over
   * @throws E_DEAD_HANDLE after the stream
   */
  text(): Promise<string>;

  /**
   * The body as JSON; a SyntaxError when it is none.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-json
   * @phase Always
   * @since 1
   * @example
   * const claims = (await (await fetch("http://auth/claims")).json()) as { user: string };
   * @throws E_BODY_USED when the body has been read; by the promise, as all that follow
   * @throws E_BODY_CHUNK for a stream that gives something else than bytes and strings
   * @throws E_BODY_UNAVAILABLE for a live one when `onResponse` has settled
   * @throws E_BODY_ENCODED for a live one with a `content-encoding`: read its `bytes()`
   * @throws E_BODY_ENDLESS for a live one that is a tunnel or an upgrade
   * @throws E_BODY_LIMIT for more than `body_kb`
   * @throws E_ABORTED when the exchange ends before the body
   * @throws E_FETCH_RESET when the call ended before the body was complete
   * @throws E_FETCH_TIMEOUT when its `timeoutMs` were over
   * @throws E_DEAD_HANDLE after the stream
   */
  json(): Promise<unknown>;

  /**
   * The bytes of the body.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-bytes
   * @phase Always
   * @since 1
   * @example
   * const size = (await (await fetch("http://files/logo")).bytes()).length;
   * @throws E_BODY_USED when the body has been read; by the promise, as all that follow
   * @throws E_BODY_CHUNK for a stream that gives something else than bytes and strings
   * @throws E_BODY_UNAVAILABLE for a live one when `onResponse` has settled
   * @throws E_BODY_ENDLESS for a live one that is a tunnel or an upgrade
   * @throws E_BODY_LIMIT for more than `body_kb`
   * @throws E_ABORTED when the exchange ends before the body
   * @throws E_FETCH_RESET when the call ended before the body was complete
   * @throws E_FETCH_TIMEOUT when its `timeoutMs` were over
   * @throws E_DEAD_HANDLE after the stream
   */
  bytes(): Promise<Uint8Array<ArrayBuffer>>;

  /**
   * The bytes of the body, as an ArrayBuffer.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-arraybuffer
   * @phase Always
   * @since 1
   * @example
   * const view = new DataView(await (await fetch("http://files/index")).arrayBuffer());
   * @throws E_BODY_USED when the body has been read; by the promise, as all that follow
   * @throws E_BODY_CHUNK for a stream that gives something else than bytes and strings
   * @throws E_BODY_UNAVAILABLE for a live one when `onResponse` has settled
   * @throws E_BODY_ENDLESS for a live one that is a tunnel or an upgrade
   * @throws E_BODY_LIMIT for more than `body_kb`
   * @throws E_ABORTED when the exchange ends before the body
   * @throws E_FETCH_RESET when the call ended before the body was complete
   * @throws E_FETCH_TIMEOUT when its `timeoutMs` were over
   * @throws E_DEAD_HANDLE after the stream
   */
  arrayBuffer(): Promise<ArrayBuffer>;

  /**
   * The bytes of the body, with its `content-type`.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-blob
   * @phase Always
   * @since 1
   * @example
   * const { size, type } = await (await fetch("http://files/logo")).blob();
   * @throws E_BODY_USED when the body has been read; by the promise, as all that follow
   * @throws E_BODY_CHUNK for a stream that gives something else than bytes and strings
   * @throws E_BODY_UNAVAILABLE for a live one when `onResponse` has settled
   * @throws E_BODY_ENDLESS for a live one that is a tunnel or an upgrade
   * @throws E_BODY_LIMIT for more than `body_kb`
   * @throws E_ABORTED when the exchange ends before the body
   * @throws E_FETCH_RESET when the call ended before the body was complete
   * @throws E_FETCH_TIMEOUT when its `timeoutMs` were over
   * @throws E_DEAD_HANDLE after the stream
   */
  blob(): Promise<Blob>;

  /**
   * The body as a form, by its `content-type`: `application/x-www-form-urlencoded` or `multipart/form-data`.
   *
   * @see https://fetch.spec.whatwg.org/#dom-body-formdata
   * @phase Always
   * @since 1
   * @example
   * const form = await response.formData();
   * const user = form.get("user");
   * @throws E_BODY_USED when the body has been read; by the promise, as all that follow
   * @throws E_BODY_CHUNK for a stream that gives something else than bytes and strings
   * @throws E_BODY_UNAVAILABLE for a live one when `onResponse` has settled
   * @throws E_BODY_ENDLESS for a live one that is a tunnel or an upgrade
   * @throws E_BODY_LIMIT for more than `body_kb`
   * @throws E_ABORTED when the exchange ends before the body
   * @throws E_FETCH_RESET when the call ended before the body was complete
   * @throws E_FETCH_TIMEOUT when its `timeoutMs` were over
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_BODY_ENCODED for a live one with a `content-encoding`: unpack its stream first
   * @throws E_FORM for another type, a boundary that is none, or parts that are none or cut
   * @throws E_FORM_LIMIT for more than 1000 parts, a name of more than 1024 bytes, 8 KiB of headers in a part
   */
  formData(): Promise<FormData>;
}

declare var Response: {
  readonly prototype: Response;

  /**
   * A response that a script makes: returned by a hook, it is the answer.
   *
   * @see https://fetch.spec.whatwg.org/#dom-response
   * @phase Always
   * @since 1
   * @example
   * const answer = new Response("sign in first\n", { status: 401, headers: { "www-authenticate": "Bearer" } });
   * @throws E_ARGUMENT for an `init` that is not an object
   * @throws E_OPTION for a body that is none of BodyInit, a `statusText` with a line end, `details` that are not one word
   * @throws E_BODY_USED for a stream that has been read, or that a reader holds
   * @throws E_STATUS for a status that is not from 200 to 599
   * @throws E_NULL_BODY_STATUS for a body with status 204, 205 or 304
   * @throws E_HEADER_NAME for a name that is not a token
   * @throws E_HEADER_VALUE for a value with CR, LF or NUL
   */
  new (body?: BodyInit | null, init?: ResponseInit): Response;

  /**
   * A response with a value as JSON, of type `application/json` unless `init` says otherwise.
   *
   * @see https://fetch.spec.whatwg.org/#dom-response-json
   * @phase Always
   * @since 1
   * @example
   * const answer = Response.json({ error: "unknown tenant" }, { status: 404 });
   * @throws E_ARGUMENT for a value that JSON cannot hold, as undefined, and an `init` that is not an object
   * @throws E_OPTION for a `statusText` with a line end
   * @throws E_STATUS for a status that is not from 200 to 599
   * @throws E_NULL_BODY_STATUS for status 204, 205 or 304
   * @throws E_HEADER_NAME for a name that is not a token
   * @throws E_HEADER_VALUE for a value with CR, LF or NUL
   */
  json(data: unknown, init?: ResponseInit): Response;

  /**
   * A response that sends the client to another absolute URL; by default with status 302.
   *
   * @see https://fetch.spec.whatwg.org/#dom-response-redirect
   * @phase Always
   * @since 1
   * @example
   * const answer = Response.redirect("https://example.com/login", 303);
   * @throws E_URL for a URL that is not absolute
   * @throws E_RANGE for a status other than 301, 302, 303, 307, 308
   */
  redirect(url: string | URL, status?: number): Response;

  /**
   * What stands for a network error; a hook cannot return it.
   *
   * @see https://fetch.spec.whatwg.org/#dom-response-error
   * @phase Always
   * @since 1
   * @example
   * Response.error().type === "error";
   */
  error(): Response;
};

/**
 * The response that passes through Envoy. It is live: what is set here is what the client gets.
 *
 * It can be written until `onResponse` has settled, and its body can be read till then: the headers wait for it, up to
 * `body_kb`. A longer one ends the exchange with 502, unless the error is caught: then it passes untouched. Kept beyond the
 * exchange, every member throws E_DEAD_HANDLE.
 *
 * @since 1
 */
interface IncomingResponse extends Response {
  /**
   * The status. It can be set, from 200 to 599.
   *
   * @phase Always
   * @since 1
   * @example
   * if (response.status === 404) response.status = 410;
   * @throws E_STATUS for what is not a whole number from 200 to 599
   * @throws E_NOT_LIVE when it is set on a response that a script made
   * @throws E_HEADERS_SENT when `onResponse` has settled
   * @throws E_STREAM_ENDED in `onLog`
   * @throws E_HEADER_LIMIT for the 257th write in one stream
   * @throws E_DEAD_HANDLE after the stream
   */
  status: number;

  /**
   * The trailers, live; always the same object. They are empty until they have come, and can be written in
   * `onResponseTrailers`. Envoy cannot add trailers to a message without.
   *
   * @phase Always
   * @since 1
   * @example
   * const status = response.trailers.get("grpc-status");
   * @throws E_NOT_LIVE on a response that a script made
   * @throws E_NO_TRAILERS when they are written and there are none
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly trailers: Headers;

  /**
   * Puts another body in the place of the one that came, or gives a body to a response without; null for an empty one.
   * `content-length` follows, all other headers stay as they are, `content-type` and `content-encoding` too. The answer to HEAD stays as it is.
   *
   * The response goes on when its old body has come to its end; what has not been read of it is dropped. The body counts as
   * read. `onResponseChunk` sees the new one as one chunk.
   *
   * @phase Always
   * @since 1
   * @example
   * response.setBody("hello\n");
   * @throws E_OPTION for what is none of WholeBodyInit: of a stream, give `await new Response(stream).bytes()`
   * @throws E_HEADERS_SENT when `onResponse` has settled
   * @throws E_BODY_ENDLESS for a tunnel or an upgrade
   * @throws E_NULL_BODY_STATUS for a body with status 204, 205 or 304
   * @throws E_STREAM_ENDED in `onLog`
   * @throws E_NOT_LIVE on a response that a script made
   * @throws E_DEAD_HANDLE after the stream
   */
  setBody(body: WholeBodyInit | null): void;

  /**
   * The same with a value as JSON. `content-type` becomes `application/json`, unless it says JSON already.
   *
   * @phase Always
   * @since 1
   * @example
   * const order = (await response.json()) as { total: number };
   * response.setJson({ ...order, currency: "EUR" });
   * @throws E_ARGUMENT for a value that JSON cannot hold, as undefined
   * @throws E_HEADERS_SENT when `onResponse` has settled
   * @throws E_BODY_ENDLESS for a tunnel or an upgrade
   * @throws E_NULL_BODY_STATUS for status 204, 205 or 304
   * @throws E_STREAM_ENDED in `onLog`
   * @throws E_NOT_LIVE on a response that a script made
   * @throws E_DEAD_HANDLE after the stream
   */
  setJson(value: unknown): void;

  /**
   * Shows no more chunks to `onResponseChunk`: the rest of the body passes untouched. In `onResponse` it also keeps
   * `content-length`.
   *
   * @phase Always
   * @since 1
   * @example
   * if (response.headers.get("content-type") !== "text/html") response.skipChunks();
   * @throws E_NOT_LIVE on a response that a script made
   * @throws E_DEAD_HANDLE after the stream
   */
  skipChunks(): void;
}
