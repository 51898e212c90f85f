// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/** The value below which `share` of the values lie, between neighbours in proportion. */
export function quantile(values: ArrayLike<number>, share: number): number {
  if (values.length === 0) throw new RangeError('no values');
  const ordered = Float64Array.from(values).sort();
  const at = share * (ordered.length - 1);
  const low = ordered[Math.floor(at)] ?? NaN;
  const high = ordered[Math.ceil(at)] ?? NaN;
  return low + (high - low) * (at - Math.floor(at));
}

/** The middle value. */
export function median(values: ArrayLike<number>): number {
  return quantile(values, 0.5);
}

/** The mean of the lowest tenth of the values, of one at least: what an idle machine would show. */
export function quietest(values: readonly number[]): number {
  const ordered = [...values].sort((a, b) => a - b);
  const tenth = ordered.slice(0, Math.max(1, Math.round(ordered.length / 10)));
  return tenth.reduce((sum, value) => sum + value, 0) / tenth.length;
}

/** What stands at the same place of two lists, subtracted. */
export function differences(values: readonly number[], others: readonly number[]): number[] {
  if (values.length !== others.length) throw new RangeError(`${values.length} values and ${others.length}`);
  return values.map((value, index) => value - (others[index] ?? NaN));
}

/** An estimate, and the bounds that hold it with 95 % confidence. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

const resamples = 2_000;

/**
 * The ratio of the medians of two lists whose places belong together, as what was measured in one block does, with a
 * bootstrap interval over those places.
 */
export function medianRatio(values: readonly number[], others: readonly number[], random: () => number): Estimate {
  const count = differences(values, others).length;
  const ratios = new Float64Array(resamples);
  const numerators = new Float64Array(count);
  const denominators = new Float64Array(count);
  for (let resample = 0; resample < resamples; resample++) {
    for (let index = 0; index < count; index++) {
      const drawn = Math.floor(random() * count);
      numerators[index] = values[drawn] ?? NaN;
      denominators[index] = others[drawn] ?? NaN;
    }
    ratios[resample] = median(numerators) / median(denominators);
  }
  return { value: median(values) / median(others), low: quantile(ratios, 0.025), high: quantile(ratios, 0.975) };
}

/** Puts a list into random order. */
export function shuffled<T>(list: readonly T[], random: () => number): T[] {
  const result = [...list];
  for (let last = result.length - 1; last > 0; last--) {
    const other = Math.floor(random() * (last + 1));
    [result[last], result[other]] = [result[other] as T, result[last] as T];
  }
  return result;
}

/** Numbers from 0 to 1 that a seed determines: the same results give the same report. */
export function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    // A linear congruential generator: its high bits, which count here, are good enough for drawing and shuffling.
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
