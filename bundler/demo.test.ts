// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { expect, test } from 'vitest';

import { differences } from './demo.ts';

test('added, removed and changed headers are told apart', () => {
  const before = [['a', '1'], ['gone', 'x'], ['same', 's']] as const;
  const after = [['a', '2'], ['same', 's'], ['new', 'n']] as const;
  expect(differences(before, after)).toEqual(['~ a: 1 → 2', '- gone: x', '+ new: n']);
});

test('another value under the same name is a change, an equal list is not', () => {
  expect(differences([['c', '1']], [['c', '1'], ['c', '2']])).toEqual(['~ c: 1 → 1 | 2']);
  expect(differences([['c', '1'], ['c', '2']], [['c', '1'], ['c', '2']])).toEqual([]);
});

test('an empty value is not an absent one', () => {
  expect(differences([], [['e', '']])).toEqual(['+ e: ']);
});

test('lines of a single connection are not the work of a filter', () => {
  expect(differences([['connection', 'close']], [['x-forwarded-proto', 'http'], ['keep-alive', 'timeout=5']])).toEqual([]);
});
