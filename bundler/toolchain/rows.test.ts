// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { expect, it } from 'vitest';

import { coveragePage, cppResult, cppTests, promisedRows, rowsIn, tableOfRows, type TestResult } from './rows.ts';

const passed = (title: string, file = 'a.test.ts'): TestResult => ({ file, title, passed: true });
const failed = (title: string, file = 'a.test.ts'): TestResult => ({ file, title, passed: false });

it('finds the rows that a title names, each once, and no other words', () => {
  expect(rowsIn('reads headers over H2 (F002, R22) as F0 says in F002 of XF003 and F0044')).toEqual(['F002', 'R22']);
});

it('takes the first cells of tables for promises', () => {
  expect(promisedRows('# F001\n\n| row | what |\n|---|---|\n| F002 | like F003 |\n|H101| x |\ntext | F004 |\n')).toEqual(['F002', 'H101']);
});

it('reads the rows of C++ tests from the comments where they begin', () => {
  const tests = cppTests(
    'a_test.cc',
    'TEST(A, One) {  // F001 R02\n  run();  // F009\n}\n' +
      'TEST_F(B, Two) {\n  // F003, F004: both\n  // and R05.\n  run();\n  // F008\n}\n' +
      'TEST_P(C,\n       Three) {\n  run();\n}\n// F007\n',
  );
  expect(tests).toEqual([
    { file: 'a_test.cc', name: 'A.One', rows: ['F001', 'R02'] },
    { file: 'a_test.cc', name: 'B.Two', rows: ['F003', 'F004', 'R05'] },
    { file: 'a_test.cc', name: 'C.Three', rows: [] },
  ]);
  expect(cppResult('B.Two', true, tests)).toEqual({ file: 'a_test.cc', title: 'B.Two (F003, F004, R05)', passed: true });
  expect(cppResult('Some/A.One/Envoy138', false, tests)).toEqual({
    file: 'a_test.cc',
    title: 'A.One (F001, R02)',
    passed: false,
  });
});

it('counts the tests of each row once, whatever they ran with, and names their files', () => {
  const results = [passed('one (F001)'), passed('one (F001)'), passed('two (F001, F002)', 'b.test.ts')];
  expect(tableOfRows(['F001', 'F002'], results)).toEqual({
    table: 'F001    2  a.test.ts b.test.ts\nF002    1  b.test.ts',
    faults: [],
  });
});

it('finds rows without a test, with a failed one, promised twice, and tests of no row', () => {
  const results = [passed('one (F001)'), failed('one (F001)'), passed('two (F009)'), passed('three (F004)')];
  expect(tableOfRows(['F001', 'F002', 'F004', 'F004'], results).faults).toEqual([
    'F004 is promised twice',
    'F001 is shown by a test that failed',
    'F002 is shown by no test',
    "a.test.ts: 'two (F009)' names F009, which docs/features.md does not have",
  ]);
});

it('writes a page of the rows with links to the files that show them, each file once', () => {
  const results = [passed('one (F001)'), passed('two (F001, F002)'), passed('three (F001)', 'test/b.test.ts')];
  expect(coveragePage(['F001', 'F002'], results)).toContain(
    '| F001 | [a.test.ts](../a.test.ts) [test/b.test.ts](../test/b.test.ts) |\n| F002 | [a.test.ts](../a.test.ts) |\n',
  );
});
