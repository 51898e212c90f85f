// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { expect, it } from 'vitest';

import { GoogleTestReader, type SuiteResult } from './googletest.ts';

function read(text: string): SuiteResult[] {
  const suites: SuiteResult[] = [];
  const reader = new GoogleTestReader((suite) => suites.push(suite));
  for (const line of text.split('\n')) reader.line(line);
  reader.end();
  return suites;
}

const begin = (name: string): string => `[ RUN      ] ${name}\n`;

it('counts what passed, failed and was skipped in each suite and keeps what failed tests printed', () => {
  const suites = read(
    `[----------] 3 tests from A\n${begin('A.One')}noise\n[       OK ] A.One (3 ms)\n` +
      `${begin('A.Two')}a_test.cc:7: Failure\nwrong\n[  FAILED  ] A.Two (4 ms)\n` +
      `${begin('A.Three')}[  SKIPPED ] A.Three (0 ms)\n[----------] 3 tests from A (7 ms total)\n` +
      `${begin('P/B.Of/1')}[  FAILED  ] P/B.Of/1, where GetParam() = 1 (2 ms)\n` +
      '[==========] 4 tests from 2 test suites ran. (9 ms total)\n[  FAILED  ] A.Two\n',
  );
  expect(suites).toEqual([
    {
      ...{ name: 'A', passed: 1, failed: 1, skipped: 1, elapsedMs: 7, failures: 'A.Two\n  a_test.cc:7: Failure\n  wrong\n' },
      tests: [
        { name: 'A.One', passed: true },
        { name: 'A.Two', passed: false },
        { name: 'A.Three', passed: false },
      ],
    },
    {
      ...{ name: 'P/B', passed: 0, failed: 1, skipped: 0, elapsedMs: 2, failures: 'P/B.Of/1\n' },
      tests: [{ name: 'P/B.Of/1', passed: false }],
    },
  ]);
});

it('counts a test in which the program ended as failed, with what was printed', () => {
  expect(read(`${begin('A.One')}[       OK ] A.One (1 ms)\n${begin('A.Two')}Assertion failed`)).toEqual([
    {
      ...{ name: 'A', passed: 1, failed: 1, skipped: 0, elapsedMs: 1, failures: 'A.Two\n  Assertion failed\n' },
      tests: [
        { name: 'A.One', passed: true },
        { name: 'A.Two', passed: false },
      ],
    },
  ]);
});

it('tells a suite as soon as the next one begins', () => {
  const told: string[] = [];
  const reader = new GoogleTestReader(({ name }) => told.push(name));
  for (const line of ['[ RUN      ] A.One', '[       OK ] A.One (1 ms)', '[ RUN      ] B.One']) reader.line(line);
  expect(told).toEqual(['A']);
});

it('tells nothing of a program that ran no test', () => {
  expect(read('[==========] Running 0 tests from 0 test suites.\n')).toEqual([]);
});
