// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * A parsed URL. Setting a part changes the URL; a value that is not allowed there is ignored, as the standard has it.
 *
 * There are no object URLs. A text of more than 2 MiB is no URL, and no part of one.
 *
 * @see https://url.spec.whatwg.org/#url-class
 * @since 1
 */
interface URL {
  /**
   * The whole URL, serialized. Setting it parses anew.
   *
   * @see https://url.spec.whatwg.org/#dom-url-href
   * @phase Always
   * @since 1
   * @example
   * new URL("HTTP://Example.com:80/a/../b").href === "http://example.com/b";
   * @throws E_URL when it is set to what is no URL; the old one stays
   */
  href: string;

  /**
   * Scheme, host and port: `https://example.com`; the text `null` for schemes without such.
   *
   * @see https://url.spec.whatwg.org/#dom-url-origin
   * @phase Always
   * @since 1
   * @example
   * const isOwn = new URL(request.url).origin === "https://example.com";
   */
  readonly origin: string;

  /**
   * The scheme with its colon: `https:`. A special scheme can become another special one only.
   *
   * @see https://url.spec.whatwg.org/#dom-url-protocol
   * @phase Always
   * @since 1
   * @example
   * const url = new URL("http://example.com/");
   * url.protocol = "https";
   */
  protocol: string;

  /**
   * The user name, percent-encoded; empty when there is none.
   *
   * @see https://url.spec.whatwg.org/#dom-url-username
   * @phase Always
   * @since 1
   * @example
   * new URL("http://ann:secret@example.com/").username === "ann";
   */
  username: string;

  /**
   * The password, percent-encoded; empty when there is none.
   *
   * @see https://url.spec.whatwg.org/#dom-url-password
   * @phase Always
   * @since 1
   * @example
   * new URL("http://ann:secret@example.com/").password === "secret";
   */
  password: string;

  /**
   * Host and port: `example.com:8443`; without the port when it is the scheme's own.
   *
   * @see https://url.spec.whatwg.org/#dom-url-host
   * @phase Always
   * @since 1
   * @example
   * new URL("https://example.com:8443/").host === "example.com:8443";
   */
  host: string;

  /**
   * The host: a name in ASCII, an IPv4 address, or an IPv6 address in brackets.
   *
   * @see https://url.spec.whatwg.org/#dom-url-hostname
   * @phase Always
   * @since 1
   * @example
   * new URL("https://bücher.example/").hostname === "xn--bcher-kva.example";
   */
  hostname: string;

  /**
   * The port in digits; empty when it is the scheme's own. Setting it to the empty text removes it.
   *
   * @see https://url.spec.whatwg.org/#dom-url-port
   * @phase Always
   * @since 1
   * @example
   * new URL("https://example.com:443/").port === "";
   */
  port: string;

  /**
   * The path, percent-encoded: `/a/b%20c`.
   *
   * @see https://url.spec.whatwg.org/#dom-url-pathname
   * @phase Always
   * @since 1
   * @example
   * const [, first] = new URL(request.url).pathname.split("/");
   */
  pathname: string;

  /**
   * The query with its question mark: `?a=1`; empty when there is none or nothing behind the mark.
   *
   * @see https://url.spec.whatwg.org/#dom-url-search
   * @phase Always
   * @since 1
   * @example
   * const url = new URL("https://example.com/");
   * url.search = "a=1";
   */
  search: string;

  /**
   * The pairs of the query; always the same object. It and the URL follow each other.
   *
   * @see https://url.spec.whatwg.org/#dom-url-searchparams
   * @phase Always
   * @since 1
   * @example
   * const url = new URL(request.url);
   * url.searchParams.delete("utm_source");
   */
  readonly searchParams: URLSearchParams;

  /**
   * The fragment with its mark: `#top`; empty when there is none or nothing behind the mark.
   *
   * @see https://url.spec.whatwg.org/#dom-url-hash
   * @phase Always
   * @since 1
   * @example
   * new URL("https://example.com/#top").hash === "#top";
   */
  hash: string;

  /**
   * The same as `href`.
   *
   * @see https://url.spec.whatwg.org/#URL-stringification-behavior
   * @phase Always
   * @since 1
   * @example
   * console.info("asked for", String(new URL(request.url)));
   */
  toString(): string;

  /**
   * The same as `href`: what JSON.stringify writes.
   *
   * @see https://url.spec.whatwg.org/#dom-url-tojson
   * @phase Always
   * @since 1
   * @example
   * JSON.stringify({ at: new URL("http://example.com") }) === '{"at":"http://example.com/"}';
   */
  toJSON(): string;
}

declare var URL: {
  readonly prototype: URL;

  /**
   * Parses a URL; one that is not absolute is taken relative to `base`.
   *
   * @see https://url.spec.whatwg.org/#dom-url-url
   * @phase Always
   * @since 1
   * @example
   * new URL("../b", "https://example.com/a/c").href === "https://example.com/b";
   * @throws E_URL for what is no URL
   */
  new (url: string | URL, base?: string | URL): URL;

  /**
   * Whether `new URL` would take it.
   *
   * @see https://url.spec.whatwg.org/#dom-url-canparse
   * @phase Always
   * @since 1
   * @example
   * URL.canParse("not a url") === false;
   */
  canParse(url: string | URL, base?: string | URL): boolean;

  /**
   * The same as `new URL`, but null for what is no URL.
   *
   * @see https://url.spec.whatwg.org/#dom-url-parse
   * @phase Always
   * @since 1
   * @example
   * const referer = URL.parse(request.headers.get("referer") ?? "")?.hostname;
   */
  parse(url: string | URL, base?: string | URL): URL | null;
};

/**
 * The pairs of a query or of form data, in their order; a name may come more than once.
 *
 * @see https://url.spec.whatwg.org/#interface-urlsearchparams
 * @since 1
 */
interface URLSearchParams {
  /**
   * How many pairs there are.
   *
   * @see https://url.spec.whatwg.org/#dom-urlsearchparams-size
   * @phase Always
   * @since 1
   * @example
   * new URLSearchParams("a=1&a=2").size === 2;
   */
  readonly size: number;

  /**
   * Adds a pair at the end.
   *
   * @see https://url.spec.whatwg.org/#dom-urlsearchparams-append
   * @phase Always
   * @since 1
   * @example
   * const params = new URLSearchParams();
   * params.append("tag", "new");
   */
  append(name: string, value: string): void;

  /**
   * Removes the pairs of that name; with a value, those that have both.
   *
   * @see https://url.spec.whatwg.org/#dom-urlsearchparams-delete
   * @phase Always
   * @since 1
   * @example
   * const params = new URLSearchParams("tag=new&tag=old");
   * params.delete("tag", "old");
   */
  delete(name: string, value?: string): void;

  /**
   * The value of the first pair of that name; null when there is none.
   *
   * @see https://url.spec.whatwg.org/#dom-urlsearchparams-get
   * @phase Always
   * @since 1
   * @example
   * const page = Number(new URL(request.url).searchParams.get("page") ?? 1);
   */
  get(name: string): string | null;

  /**
   * The values of all pairs of that name; an empty list when there is none.
   *
   * @see https://url.spec.whatwg.org/#dom-urlsearchparams-getall
   * @phase Always
   * @since 1
   * @example
   * const tags = new URLSearchParams("tag=new&tag=old").getAll("tag");
   */
  getAll(name: string): string[];

  /**
   * Whether there is a pair of that name; with a value, one that has both.
   *
   * @see https://url.spec.whatwg.org/#dom-urlsearchparams-has
   * @phase Always
   * @since 1
   * @example
   * const isDebug = new URL(request.url).searchParams.has("debug", "1");
   */
  has(name: string, value?: string): boolean;

  /**
   * Gives the first pair of that name another value and removes the others; adds one when there is none.
   *
   * @see https://url.spec.whatwg.org/#dom-urlsearchparams-set
   * @phase Always
   * @since 1
   * @example
   * const params = new URLSearchParams("page=1&sort=up");
   * params.set("page", "2");
   */
  set(name: string, value: string): void;

  /**
   * Sorts by name, in the order of UTF-16 code units; pairs of one name keep their order.
   *
   * @see https://url.spec.whatwg.org/#dom-urlsearchparams-sort
   * @phase Always
   * @since 1
   * @example
   * const url = new URL(request.url);
   * url.searchParams.sort();
   */
  sort(): void;

  /**
   * Calls `callback` with value, name and this object for each pair.
   *
   * Changes that `callback` makes are seen: it is called for the pair that then has the next place.
   *
   * @phase Always
   * @since 1
   * @example
   * new URLSearchParams("a=1").forEach((value, name) => console.debug(name, value));
   * @throws E_ARGUMENT when `callback` is not a function
   */
  forEach(callback: (value: string, name: string, params: URLSearchParams) => void, thisArg?: unknown): void;

  /**
   * The names, in their order. Changes made meanwhile are seen.
   *
   * @phase Always
   * @since 1
   * @example
   * const names = new Set(new URLSearchParams("a=1&b=2").keys());
   */
  keys(): IteratorObject<string, undefined>;

  /**
   * The values, in their order. Changes made meanwhile are seen.
   *
   * @phase Always
   * @since 1
   * @example
   * const values = [...new URLSearchParams("a=1&b=2").values()];
   */
  values(): IteratorObject<string, undefined>;

  /**
   * The pairs, in their order. Changes made meanwhile are seen.
   *
   * @phase Always
   * @since 1
   * @example
   * const record = Object.fromEntries(new URLSearchParams("a=1&b=2").entries());
   */
  entries(): IteratorObject<[string, string], undefined>;

  /**
   * The pairs as form data: `a=1&b=x+y`, without a question mark.
   *
   * @see https://url.spec.whatwg.org/#urlsearchparams-stringification-behavior
   * @phase Always
   * @since 1
   * @example
   * new URLSearchParams({ q: "x y" }).toString() === "q=x+y";
   */
  toString(): string;

  /**
   * The same as `entries()`: what `for (const [name, value] of params)` walks.
   *
   * @phase Always
   * @since 1
   * @example
   * for (const [name, value] of new URL(request.url).searchParams) console.debug(name, value);
   */
  [Symbol.iterator](): IteratorObject<[string, string], undefined>;
}

declare var URLSearchParams: {
  readonly prototype: URLSearchParams;

  /**
   * Pairs from a query, whose leading question mark does not count, from pairs, or from an object.
   *
   * @see https://url.spec.whatwg.org/#dom-urlsearchparams-urlsearchparams
   * @phase Always
   * @since 1
   * @example
   * const form = new URLSearchParams({ grant_type: "client_credentials" });
   * @throws E_ARGUMENT for a list whose items are not pairs
   */
  new (init?: string | Record<string, string> | Iterable<readonly [string, string]>): URLSearchParams;
};
