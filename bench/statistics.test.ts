// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { describe, expect, test } from 'vitest';
import { differences, median, medianRatio, quantile, quietest, seeded, shuffled } from './statistics.ts';

describe('the statistics of the bench', () => {
  test('interpolate quantiles between neighbours, whatever the order, and have none of nothing (F119)', () => {
    expect(quantile([40, 10, 30, 20], 0)).toBe(10);
    expect(quantile([40, 10, 30, 20], 1)).toBe(40);
    expect(quantile([40, 10, 30, 20], 0.5)).toBe(25);
    expect(quantile([40, 10, 30, 20], 0.9)).toBeCloseTo(37);
    expect(median([10, 9, 100])).toBe(10);
    expect(() => median([])).toThrow(RangeError);
  });

  test('take the quietest tenth as the mean of the lowest tenth, of one value at least (F119)', () => {
    const twenty = Array.from({ length: 20 }, (_, index) => 100 - index);
    expect(quietest(twenty)).toBe(81.5);
    expect(quietest([7, 3, 5])).toBe(3);
  });

  test('subtract what was measured in the same block, and refuse lists of different lengths (F119)', () => {
    expect(differences([5, 7], [1, 9])).toEqual([4, -2]);
    expect(() => differences([1], [1, 2])).toThrow(RangeError);
  });

  test('give the ratio of medians with an interval that holds the truth and narrows with more blocks (F119)', () => {
    const noise = seeded(7);
    const sample = (count: number, middle: number): number[] => Array.from({ length: count }, () => middle + noise() - 0.5);
    const few = medianRatio(sample(10, 3), sample(10, 6), seeded(1));
    const many = medianRatio(sample(400, 3), sample(400, 6), seeded(1));
    for (const { value, low, high } of [few, many]) {
      expect(low).toBeLessThanOrEqual(value);
      expect(high).toBeGreaterThanOrEqual(value);
      expect(low).toBeLessThan(0.5);
      expect(high).toBeGreaterThan(0.5);
    }
    expect(many.high - many.low).toBeLessThan((few.high - few.low) / 2);
  });

  test('keep pairs together: noise that both share leaves an exact ratio exact (F119)', () => {
    const shared = [1, 5, 2, 8, 3, 13, 21];
    const { value, low, high } = medianRatio(shared.map((us) => us * 3), shared, seeded(1));
    expect([value, low, high]).toEqual([3, 3, 3]);
  });

  test('draw the same from the same seed, so that a report can be made again (F119)', () => {
    const list = Array.from({ length: 50 }, (_, index) => index);
    const once = shuffled(list, seeded(3));
    expect(shuffled(list, seeded(3))).toEqual(once);
    expect(shuffled(list, seeded(4))).not.toEqual(once);
    expect(once).not.toEqual(list);
    expect([...once].sort((a, b) => a - b)).toEqual(list);
  });

  test('draw every number between 0 and 1 alike (F119)', () => {
    const random = seeded(1);
    const tenths = new Array<number>(10).fill(0);
    for (let draw = 0; draw < 10_000; draw++) {
      const tenth = Math.floor(random() * 10);
      tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    }
    for (const count of tenths) expect(Math.abs(count - 1_000)).toBeLessThan(150);
  });
});
