// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * What header lines can be made from: another Headers, an object of names and values, or pairs.
 *
 * @since 1
 */
type HeadersInit = Headers | Record<string, string> | Iterable<readonly [string, string]>;

/**
 * Header lines, by name without regard to case.
 *
 * `request.headers` and `response.headers` of a message that passes through Envoy are live: they read and write Envoy's
 * own map. There, `host` stands for `:authority`, other names with a colon do not show, the headers that frame a message
 * (`content-length`, `transfer-encoding`, `connection`, `keep-alive`, `te`, `upgrade`) cannot be written, and a value
 * cannot be empty. A stream may write 256 headers. Once the stream has ended, every member throws E_DEAD_HANDLE.
 *
 * Values are byte strings: each character stands for one byte, and none is above U+00FF.
 *
 * @see https://fetch.spec.whatwg.org/#headers-class
 * @since 1
 */
interface Headers {
  /**
   * Adds a line, beside those of that name that are there.
   *
   * On a live request `host` is replaced instead: a request has one.
   *
   * @see https://fetch.spec.whatwg.org/#dom-headers-append
   * @phase Always
   * @since 1
   * @example
   * response.headers.append("set-cookie", "seen=1; Path=/");
   * @throws E_HEADER_NAME for a name that is not a token
   * @throws E_HEADER_VALUE for a value with CR, LF or NUL
   * @throws E_ARGUMENT for a character above U+00FF
   * @throws E_IMMUTABLE for the headers of a fetched answer
   * @throws E_FRAMING_HEADER for a live message's framing header
   * @throws E_EMPTY_VALUE for an empty value on a live message
   * @throws E_HEADERS_SENT when the live headers have left
   * @throws E_NO_TRAILERS for trailers of a message that has none, or whose trailers have not come
   * @throws E_STREAM_ENDED in a live message's `onLog`
   * @throws E_HEADER_LIMIT for the 257th write in one stream
   * @throws E_DEAD_HANDLE after the stream
   */
  append(name: string, value: string): void;

  /**
   * Removes all lines of a name; does nothing when there is none.
   *
   * @see https://fetch.spec.whatwg.org/#dom-headers-delete
   * @phase Always
   * @since 1
   * @example
   * response.headers.delete("x-powered-by");
   * @throws E_HEADER_NAME for a name that is not a token
   * @throws E_ARGUMENT for a character above U+00FF
   * @throws E_IMMUTABLE for the headers of a fetched answer
   * @throws E_FRAMING_HEADER for a live message's framing header, and for `host` of a live request
   * @throws E_HEADERS_SENT when the live headers have left
   * @throws E_NO_TRAILERS for trailers of a message that has none, or whose trailers have not come
   * @throws E_STREAM_ENDED in a live message's `onLog`
   * @throws E_HEADER_LIMIT for the 257th write in one stream
   * @throws E_DEAD_HANDLE after the stream
   */
  delete(name: string): void;

  /**
   * The values of a name, joined with `, `; null when there is no such line. An empty value is `""`.
   *
   * @see https://fetch.spec.whatwg.org/#dom-headers-get
   * @phase Always
   * @since 1
   * @example
   * const token = request.headers.get("authorization");
   * if (token === null) console.info("nobody signed in");
   * @throws E_HEADER_NAME for a name that is not a token
   * @throws E_ARGUMENT for a character above U+00FF
   * @throws E_DEAD_HANDLE after the stream
   */
  get(name: string): string | null;

  /**
   * The values of all `set-cookie` lines, each by itself; an empty list when there is none.
   *
   * @see https://fetch.spec.whatwg.org/#dom-headers-getsetcookie
   * @phase Always
   * @since 1
   * @example
   * const isTracked = response.headers.getSetCookie().some((cookie) => cookie.startsWith("track="));
   * @throws E_DEAD_HANDLE after the stream
   */
  getSetCookie(): string[];

  /**
   * Whether there is a line of that name, be its value empty or not.
   *
   * @see https://fetch.spec.whatwg.org/#dom-headers-has
   * @phase Always
   * @since 1
   * @example
   * if (!request.headers.has("x-request-id")) console.warn("a request without an id");
   * @throws E_HEADER_NAME for a name that is not a token
   * @throws E_ARGUMENT for a character above U+00FF
   * @throws E_DEAD_HANDLE after the stream
   */
  has(name: string): boolean;

  /**
   * Makes one line of that name, in the place of all that are there. Blanks around the value are dropped.
   *
   * @see https://fetch.spec.whatwg.org/#dom-headers-set
   * @phase Always
   * @since 1
   * @example
   * request.headers.set("x-tenant", "shop");
   * @throws E_HEADER_NAME for a name that is not a token
   * @throws E_HEADER_VALUE for a value with CR, LF or NUL
   * @throws E_ARGUMENT for a character above U+00FF
   * @throws E_IMMUTABLE for the headers of a fetched answer
   * @throws E_FRAMING_HEADER for a live message's framing header
   * @throws E_EMPTY_VALUE for an empty value on a live message
   * @throws E_HEADERS_SENT when the live headers have left
   * @throws E_NO_TRAILERS for trailers of a message that has none, or whose trailers have not come
   * @throws E_STREAM_ENDED in a live message's `onLog`
   * @throws E_HEADER_LIMIT for the 257th write in one stream
   * @throws E_DEAD_HANDLE after the stream
   */
  set(name: string, value: string): void;

  /**
   * Calls `callback` with value, name and these headers, in the order of the iteration.
   *
   * Changes that `callback` makes are seen: it is called for the line that then has the next place.
   *
   * @phase Always
   * @since 1
   * @example
   * request.headers.forEach((value, name) => console.debug(name, value));
   * @throws E_ARGUMENT when `callback` is not a function
   * @throws E_DEAD_HANDLE after the stream
   */
  forEach(callback: (value: string, name: string, headers: Headers) => void, thisArg?: unknown): void;

  /**
   * The names, in lower case and sorted; `set-cookie` once for each of its lines.
   *
   * @phase Always
   * @since 1
   * @example
   * const names = [...request.headers.keys()];
   * @throws E_DEAD_HANDLE after the stream
   */
  keys(): IteratorObject<string, undefined>;

  /**
   * The values, in the order of their names; those of one name joined with `, `, but each `set-cookie` by itself.
   *
   * @phase Always
   * @since 1
   * @example
   * const values = [...request.headers.values()];
   * @throws E_DEAD_HANDLE after the stream
   */
  values(): IteratorObject<string, undefined>;

  /**
   * Names and values together, as `keys()` and `values()` give them.
   *
   * @phase Always
   * @since 1
   * @example
   * const lines = Object.fromEntries(request.headers.entries());
   * @throws E_DEAD_HANDLE after the stream
   */
  entries(): IteratorObject<[string, string], undefined>;

  /**
   * The same as `entries()`: what `for (const [name, value] of headers)` walks.
   *
   * @phase Always
   * @since 1
   * @example
   * for (const [name, value] of request.headers) console.debug(name, value);
   * @throws E_DEAD_HANDLE after the stream
   */
  [Symbol.iterator](): IteratorObject<[string, string], undefined>;
}

declare var Headers: {
  readonly prototype: Headers;

  /**
   * Header lines of their own, which belong to no message yet.
   *
   * @see https://fetch.spec.whatwg.org/#dom-headers
   * @phase Always
   * @since 1
   * @example
   * const headers = new Headers({ "content-type": "application/json" });
   * @throws E_ARGUMENT for an init that is none of HeadersInit, or a character above U+00FF
   * @throws E_HEADER_NAME for a name that is not a token
   * @throws E_HEADER_VALUE for a value with CR, LF or NUL
   */
  new (init?: HeadersInit): Headers;
};
