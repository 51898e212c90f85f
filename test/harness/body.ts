// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { createHash } from 'node:crypto';

/**
 * `length` bytes in which every position differs from its neighbours and blocks never repeat, so that a lost,
 * doubled or moved piece changes the hash. The same `seed` gives the same bytes.
 */
export function patternBytes(length: number, seed = 1): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = (seed * 2_654_435_761) >>> 0 || 1;
  for (let i = 0; i < length; i++) {
    state ^= (state << 13) >>> 0;
    state ^= state >>> 17;
    state = (state ^ (state << 5)) >>> 0;
    bytes[i] = state & 0xff;
  }
  return bytes;
}

/** SHA-256 as lower-case hex. */
export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}
