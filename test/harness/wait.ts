// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { setTimeout as delay } from 'node:timers/promises';

/** How often a condition that has no event of its own is looked at. */
const pollMs = 5;

/**
 * Waits until `probe` gives something other than `undefined` or `false`, and returns it.
 * A probe that throws ends the wait at once: it is a failure, not a "not yet".
 *
 * @throws Error naming `what` when `timeoutMs` (default 5,000) is over.
 */
export async function waitFor<T>(
  what: string,
  probe: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 5_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await delay(pollMs);
  }
}

/**
 * Fails with a message naming `what` when `promise` does not settle within `timeoutMs`.
 * The promise itself goes on; the caller ends what is behind it.
 */
export async function within<T>(what: string, timeoutMs: number, promise: Promise<T>): Promise<T> {
  const timer = new AbortController();
  const late = delay(timeoutMs, undefined, { signal: timer.signal }).then(() => {
    throw new Error(`waited ${timeoutMs} ms for ${what}`);
  });
  // Once the race is won the timer is cancelled; that rejection is expected and nobody's business.
  late.catch(() => undefined);
  try {
    return await Promise.race([promise, late]);
  } finally {
    timer.abort();
  }
}
