// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** Reads something that only grows while Envoy works. */
export type Meter = () => number;

/** The run time, in nanoseconds, that the kernel has given to all threads of a process. */
export function cpuMeter(pid: number): Meter {
  return () => {
    let sum = 0;
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      sum += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]);
    }
    return sum;
  };
}

/** The instructions that instructions.c has counted into its file, over all threads. */
export function instructionMeter(countersFile: string): Meter {
  return () => {
    const bytes = readFileSync(countersFile);
    const counters = new BigUint64Array(bytes.buffer, bytes.byteOffset, bytes.length / BigUint64Array.BYTES_PER_ELEMENT);
    return Number(counters.reduce((sum, counter) => sum + counter, 0n));
  };
}

const pollMs = 2;

/**
 * Reads a meter once it stands still: Envoy works off the end of a request after its answer, and the kernel adds up the
 * time of a running thread only now and then.
 */
export async function settled(meter: Meter): Promise<number> {
  for (let last = meter(); ; ) {
    await delay(pollMs);
    const now = meter();
    if (now === last) return now;
    last = now;
  }
}
