// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * One call for all streams that want the same: gives the value under `key`, and calls `fn` for it only when there is none
 * that is fresh and no other stream is getting it.
 *
 * A value stays fresh for `ttlMs` milliseconds, at least 0 (0: only those share it that wait at the same time); each worker
 * keeps its own, up to 1000 keys a script. All who wait get the value, or the reason when `fn` throws or rejects; a failure
 * is not kept. `fn` runs as part of one stream, with its `fetch`, timers and limits: when that stream ends first, the next
 * one that waits calls its own `fn`. (A promise in a module variable would leave the others waiting for ever.) The value is
 * the same object for all, so it should be plain data: not a `Response`, whose body can be read once.
 *
 * When the waiting stream itself ends, its promise is rejected with an AbortError; after the end it never settles. Waiting
 * counts against the config's `wait_ms`.
 *
 * @phase Hooks
 * @since 1
 * @example
 * const keys = await once("jwks", 60_000, async () => {
 *   const answer = await fetch("http://auth/jwks.json");
 *   return answer.json();
 * });
 * @throws E_NO_STREAM at load
 * @throws E_RANGE for a negative time, or one that is not a number
 * @throws E_ARGUMENT when `fn` is not a function
 */
export function once<T>(key: string, ttlMs: number, fn: () => T | PromiseLike<T>): Promise<T>;
