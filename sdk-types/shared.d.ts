// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * What `shared` can hold. A string is kept as well-formed Unicode, bytes come back as a `Uint8Array`, and whatever is left
 * (arrays, plain objects, booleans, null) is what JSON makes of it.
 *
 * @since 1
 */
export type SharedValue =
  | string
  | number
  | boolean
  | null
  | ArrayBuffer
  | ArrayBufferView
  | readonly unknown[]
  | { readonly [key: string]: unknown };

/**
 * How a value is kept.
 *
 * @since 1
 */
export interface SharedOptions {
  /**
   * The value is gone after so many milliseconds, more than 0. Without it the value stays.
   *
   * @since 1
   */
  ttlMs?: number;
}

/**
 * How a bucket of tokens fills, and what is asked of it.
 *
 * @since 1
 */
export interface TakeOptions {
  /**
   * Tokens that come in each second, more than 0 and at most 1,000,000; 0.1 is six a minute.
   *
   * @since 1
   */
  perSecond: number;

  /**
   * Tokens that the bucket holds, at most 1,000,000,000; by default those of one second, at least 1.
   *
   * @since 1
   */
  burst?: number;

  /**
   * Tokens to take, more than 0 and at most `burst`; by default 1.
   *
   * @since 1
   */
  tokens?: number;
}

/**
 * What `shared.take` gives.
 *
 * @since 1
 */
export interface TakeResult {
  /**
   * Whether the tokens were there and have been taken.
   *
   * @since 1
   */
  taken: boolean;

  /**
   * Whole tokens that are left.
   *
   * @since 1
   */
  remaining: number;

  /**
   * Milliseconds until there are enough; 0 when they were taken.
   *
   * @since 1
   */
  retryAfterMs: number;
}

/**
 * One store for all workers, for all filters of one name; it survives a reload. Values are copies: what a script does to
 * the object that it set, or got, changes nothing here.
 *
 * The store has a size, `shared_kb` of the config's limits; when it is full, what was used longest ago goes. So a value can
 * be gone at any time, and each worker's next request finds what another one has set.
 *
 * @since 1
 */
export interface Shared {
  /**
   * A copy of the value under `key`; undefined when there is none, or its time is over.
   *
   * @phase Hooks
   * @since 1
   * @example
   * const limit = (shared.get("limit") as number | undefined) ?? 100;
   * @throws E_NO_STREAM at load
   */
  get(key: string): unknown;

  /**
   * Keeps a copy of `value` under `key`, in the place of what is there.
   *
   * @phase Hooks
   * @since 1
   * @example
   * shared.set("flags", { beta: true }, { ttlMs: 60_000 });
   * @throws E_NO_STREAM at load
   * @throws E_ARGUMENT for undefined, a function or a symbol, and options that are no object
   * @throws E_OPTION for a `ttlMs` that is not more than 0
   * @throws E_OPTION_NAME for an option of another name
   * @throws E_SHARED_LIMIT when key and value are larger than the whole store
   */
  set(key: string, value: SharedValue, options?: SharedOptions): void;

  /**
   * Takes a value away; tells whether there was one.
   *
   * @phase Hooks
   * @since 1
   * @example
   * shared.delete("flags");
   * @throws E_NO_STREAM at load
   */
  delete(key: string): boolean;

  /**
   * Adds `by`, by default 1, to the number under `key` and gives the sum; no step of any worker is lost.
   *
   * Where there is no number yet, it begins at 0 and lives for `ttlMs`; one that is there keeps its time. So with `ttlMs`
   * it counts what happens in a window of that length.
   *
   * @phase Hooks
   * @since 1
   * @example
   * const client = request.headers.get("x-client") ?? "nobody";
   * if (shared.incr(`seen ${client}`, 1, { ttlMs: 1000 }) > 100) return new Response("slow down\n", { status: 429 });
   * @throws E_NO_STREAM at load
   * @throws E_RANGE for a step that is not finite
   * @throws E_ARGUMENT for options that are no object
   * @throws E_OPTION for a `ttlMs` that is not more than 0
   * @throws E_OPTION_NAME for an option of another name
   * @throws E_SHARED_TYPE when something other than a number is there
   * @throws E_SHARED_LIMIT when the key is larger than the whole store
   */
  incr(key: string, by?: number, options?: SharedOptions): number;

  /**
   * Sets `value` if `expected` is there, in one step for all workers; tells whether it did.
   *
   * `undefined` stands for no value: as `expected` it must be absent, as `value` it is taken away. Objects are equal when
   * their JSON is, members in the same order.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (shared.cas("leader", undefined, request.url, { ttlMs: 5000 })) console.info("this stream leads");
   * @throws E_NO_STREAM at load
   * @throws E_ARGUMENT for a function or a symbol, and options that are no object
   * @throws E_OPTION for a `ttlMs` that is not more than 0
   * @throws E_OPTION_NAME for an option of another name
   * @throws E_SHARED_LIMIT when key and value are larger than the whole store
   */
  cas(key: string, expected: SharedValue | undefined, value: SharedValue | undefined, options?: SharedOptions): boolean;

  /**
   * The keys that begin with `prefix`, by default all, in order. It looks at all of them: not for each request.
   *
   * @phase Hooks
   * @since 1
   * @example
   * for (const key of shared.keys("seen ")) console.info(key, shared.get(key));
   * @throws E_NO_STREAM at load
   */
  keys(prefix?: string): string[];

  /**
   * Takes tokens out of a bucket that fills steadily, in one step for all workers: a limit on a rate. The bucket of a key
   * is full when it is first asked for. With fewer tokens in it than asked for, none are taken.
   *
   * The store keeps it as a number under `key` until it is full again.
   *
   * @phase Hooks
   * @since 1
   * @example
   * const { taken, retryAfterMs } = shared.take(`client ${ctx.connection.remoteAddress}`, { perSecond: 5, burst: 20 });
   * if (!taken) {
   *   const headers = { "retry-after": String(Math.ceil(retryAfterMs / 1000)) };
   *   return new Response("slow down\n", { status: 429, headers });
   * }
   * @throws E_NO_STREAM at load
   * @throws E_ARGUMENT when `rate` is not an object
   * @throws E_OPTION for a number of `rate` that is out of its range
   * @throws E_OPTION_NAME for a member of `rate` of another name
   * @throws E_SHARED_TYPE when something other than a number is under `key`
   * @throws E_SHARED_LIMIT when the key is larger than the whole store
   */
  take(key: string, rate: TakeOptions): TakeResult;
}

/**
 * What all workers share. A module variable is each worker's own.
 *
 * @phase Always
 * @since 1
 * @example
 * import { shared } from "fairlead";
 *
 * export default {
 *   onLog() {
 *     shared.incr("requests");
 *   },
 * };
 */
export const shared: Shared;
