// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * Writes an error to the log as if nobody had caught it: with its stack in terms of the source, at level error.
 *
 * The exchange goes on. It counts as one line of the log.
 *
 * @see https://html.spec.whatwg.org/multipage/webappapis.html#dom-reporterror
 * @phase Always
 * @since 1
 * @example
 * try {
 *   JSON.parse(request.headers.get("x-context") ?? "{}");
 * } catch (error) {
 *   reportError(error);
 * }
 */
declare function reportError(error: unknown): void;

/**
 * A clock that never goes back.
 *
 * @since 1
 */
interface Performance {
  /**
   * Milliseconds since `timeOrigin`, with parts of them; the same clock on all workers.
   *
   * @see https://w3c.github.io/hr-time/#dom-performance-now
   * @phase Always
   * @since 1
   * @example
   * const begin = performance.now();
   * console.debug("took", performance.now() - begin, "ms");
   */
  now(): number;

  /**
   * Where `now()` is 0, in milliseconds since 1970; it stays when the machine's time is set.
   *
   * @see https://w3c.github.io/hr-time/#dom-performance-timeorigin
   * @phase Always
   * @since 1
   * @example
   * const date = new Date(performance.timeOrigin + performance.now());
   */
  readonly timeOrigin: number;
}

/**
 * The clock for measuring how long something takes.
 *
 * @phase Always
 * @since 1
 * @example
 * ctx.state["begin"] = performance.now();
 */
declare var performance: Performance;

/**
 * What the script runs in.
 *
 * @since 1
 */
interface Navigator {
  /**
   * `fairlead/` and the version.
   *
   * @see https://html.spec.whatwg.org/multipage/system-state.html#dom-navigator-useragent
   * @phase Always
   * @since 1
   * @example
   * await fetch("http://auth/", { headers: { "user-agent": navigator.userAgent } });
   */
  readonly userAgent: string;
}

/**
 * What the script runs in.
 *
 * @phase Always
 * @since 1
 * @example
 * console.info(navigator.userAgent);
 */
declare var navigator: Navigator;

/**
 * The global object, as `globalThis`.
 *
 * @see https://html.spec.whatwg.org/multipage/window-object.html#dom-self
 * @phase Always
 * @since 1
 * @example
 * if ("crypto" in self) console.info("there is a crypto");
 */
declare var self: typeof globalThis;
