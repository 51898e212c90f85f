// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * Lines in Envoy's log, each with file and line of the script.
 *
 * Values are shown down to depth 4, cycles marked, URLs, messages and blobs by what they are, on one line of at most
 * 8 KiB, control characters escaped. A stream may write 100 lines; how many more there were is said once. Nothing is
 * formatted for a level that Envoy does not log. In a first argument, `%s %d %i %f %o %O %c %%` stand for what follows.
 *
 * @see https://console.spec.whatwg.org
 * @since 1
 */
interface Console {
  /**
   * A line of level info.
   *
   * @see https://console.spec.whatwg.org/#log
   * @phase Always
   * @since 1
   * @example
   * console.log("%s took %d ms", request.path, 12);
   */
  log(...data: unknown[]): void;

  /**
   * A line of level info.
   *
   * @see https://console.spec.whatwg.org/#info
   * @phase Always
   * @since 1
   * @example
   * console.info("user", { name: "ann" });
   */
  info(...data: unknown[]): void;

  /**
   * A line of level warning.
   *
   * @see https://console.spec.whatwg.org/#warn
   * @phase Always
   * @since 1
   * @example
   * console.warn("no x-request-id");
   */
  warn(...data: unknown[]): void;

  /**
   * A line of level error. An Error is shown with its stack.
   *
   * @see https://console.spec.whatwg.org/#error
   * @phase Always
   * @since 1
   * @example
   * console.error("cannot verify:", new Error("no answer"));
   */
  error(...data: unknown[]): void;

  /**
   * A line of level debug.
   *
   * @see https://console.spec.whatwg.org/#debug
   * @phase Always
   * @since 1
   * @example
   * console.debug([...request.headers]);
   */
  debug(...data: unknown[]): void;

  /**
   * A line of level trace that ends with where the script is, at most 10 calls deep.
   *
   * @see https://console.spec.whatwg.org/#trace
   * @phase Always
   * @since 1
   * @example
   * console.trace("who calls this?");
   */
  trace(...data: unknown[]): void;

  /**
   * A line of level error, if `condition` does not hold.
   *
   * @see https://console.spec.whatwg.org/#assert
   * @phase Always
   * @since 1
   * @example
   * console.assert(request.host !== null, "a request without a host");
   */
  assert(condition?: unknown, ...data: unknown[]): void;

  /**
   * A line of level info with one value, a string in quotes. `depth` is how deep to go, null for all the way.
   *
   * @see https://console.spec.whatwg.org/#dir
   * @phase Always
   * @since 1
   * @example
   * console.dir({ a: { b: { c: 1 } } }, { depth: 1 });
   */
  dir(item?: unknown, options?: { depth?: number | null | undefined } | null): void;

  /**
   * A line of level info with the rows and columns of a list of objects; `columns` says which, and in which order.
   *
   * @see https://console.spec.whatwg.org/#table
   * @phase Always
   * @since 1
   * @example
   * console.table([{ host: "a", weight: 1 }, { host: "b", weight: 2 }], ["host"]);
   */
  table(data?: unknown, columns?: readonly string[]): void;

  /**
   * Counts its calls for a label, by default `default`, and writes a line of level info: `label: 2`.
   *
   * What is counted belongs to the stream. There may be 100 labels.
   *
   * @see https://console.spec.whatwg.org/#count
   * @phase Always
   * @since 1
   * @example
   * console.count("cache misses");
   */
  count(label?: unknown): void;

  /**
   * Lets the count of a label begin anew; a warning when there is none.
   *
   * @see https://console.spec.whatwg.org/#countreset
   * @phase Always
   * @since 1
   * @example
   * console.count("cache misses");
   * console.countReset("cache misses");
   */
  countReset(label?: unknown): void;

  /**
   * Writes a line as `info` does, if there is anything to write, and moves the lines that follow to the right.
   *
   * @see https://console.spec.whatwg.org/#group
   * @phase Always
   * @since 1
   * @example
   * console.group("headers of", request.path);
   * console.groupEnd();
   */
  group(...data: unknown[]): void;

  /**
   * The same as `group`: a log cannot be folded.
   *
   * @see https://console.spec.whatwg.org/#groupcollapsed
   * @phase Always
   * @since 1
   * @example
   * console.groupCollapsed("details");
   * console.groupEnd();
   */
  groupCollapsed(...data: unknown[]): void;

  /**
   * Ends the last group; does nothing when there is none.
   *
   * @see https://console.spec.whatwg.org/#groupend
   * @phase Always
   * @since 1
   * @example
   * console.group("details");
   * console.groupEnd();
   */
  groupEnd(): void;

  /**
   * Starts a timer under a label, by default `default`; a warning when it runs already. There may be 100.
   *
   * @see https://console.spec.whatwg.org/#time
   * @phase Always
   * @since 1
   * @example
   * console.time("verify");
   */
  time(label?: unknown): void;

  /**
   * Writes a line of level info with what a timer shows, `label: 1.234 ms`, and values behind it.
   *
   * @see https://console.spec.whatwg.org/#timelog
   * @phase Always
   * @since 1
   * @example
   * console.time("verify");
   * console.timeLog("verify", "half way");
   */
  timeLog(label?: unknown, ...data: unknown[]): void;

  /**
   * Does what `timeLog` does, and ends the timer.
   *
   * @see https://console.spec.whatwg.org/#timeend
   * @phase Always
   * @since 1
   * @example
   * console.time("verify");
   * console.timeEnd("verify");
   */
  timeEnd(label?: unknown): void;
}

/**
 * The console of a filter: Envoy's log.
 *
 * @phase Always
 * @since 1
 * @example
 * console.info("hello");
 */
declare var console: Console;
