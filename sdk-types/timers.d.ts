// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * Waits `ms` milliseconds, at least 0; the worker goes on with other streams.
 *
 * When the stream ends before that, the promise is rejected with an AbortError; after the end it never settles. Waiting
 * counts against the config's `wait_ms`.
 *
 * @phase Hooks
 * @since 1
 * @example
 * await sleep(50);
 * @throws E_NO_STREAM at load
 * @throws E_RANGE for a negative time, or one that is not a number
 * @throws E_TIMER_LIMIT for more than 64 timers at once in one stream
 * @throws E_ABORTED when the stream ends before; by the promise, a DOMException of the name AbortError
 */
export function sleep(ms: number): Promise<void>;

declare global {
  /**
   * Calls `callback` with `args` after `delayMs` milliseconds, by default 0, unless the stream ends before.
   *
   * A filter does not wait for it: when the message has gone on, the stream may end at any time. What `callback` throws
   * is an unhandled error of the stream. Gives a number for `clearTimeout`. Code in a string is refused.
   *
   * @see https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#dom-settimeout
   * @phase Hooks
   * @since 1
   * @example
   * const timer = setTimeout((path) => console.warn("still busy with", path), 1000, request.path);
   * clearTimeout(timer);
   * @throws E_NO_STREAM at load
   * @throws E_STREAM_ENDED after the stream
   * @throws E_ARGUMENT when `callback` is not a function
   * @throws E_TIMER_LIMIT for more than 64 timers at once in one stream
   */
  function setTimeout<Args extends unknown[]>(
    callback: (...args: Args) => unknown,
    delayMs?: number,
    ...args: Args
  ): number;

  /**
   * Takes a timer back; does nothing when it has run, or when there is none of that number in the stream.
   *
   * @see https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#dom-cleartimeout
   * @phase Hooks
   * @since 1
   * @example
   * const timer = setTimeout(() => console.warn("slow"), 1000);
   * clearTimeout(timer);
   * @throws E_NO_STREAM at load
   */
  function clearTimeout(id?: number): void;

  /**
   * Calls `callback` with `args` every `delayMs` milliseconds, at least 1, until the stream ends.
   *
   * A turn that comes late is not made up for. Otherwise as `setTimeout`.
   *
   * @see https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#dom-setinterval
   * @phase Hooks
   * @since 1
   * @example
   * const timer = setInterval(() => console.info("still busy"), 1000);
   * clearInterval(timer);
   * @throws E_NO_STREAM at load
   * @throws E_STREAM_ENDED after the stream
   * @throws E_ARGUMENT when `callback` is not a function
   * @throws E_TIMER_LIMIT for more than 64 timers at once in one stream
   */
  function setInterval<Args extends unknown[]>(
    callback: (...args: Args) => unknown,
    delayMs?: number,
    ...args: Args
  ): number;

  /**
   * Ends an interval, as `clearTimeout` does; the numbers of both are the same.
   *
   * @see https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#dom-clearinterval
   * @phase Hooks
   * @since 1
   * @example
   * const timer = setInterval(() => console.info("once"), 1000);
   * setTimeout(() => clearInterval(timer), 1500);
   * @throws E_NO_STREAM at load
   */
  function clearInterval(id?: number): void;
}
