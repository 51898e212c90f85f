// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { join } from 'node:path';

import { expect, test } from 'vitest';

import { type Diagnostic, FairleadError, formatDiagnostic, fromEsbuild, throwErrors } from './diagnostics.ts';

const file = join(process.cwd(), 'src', 'filter.ts');

function at(column: number, lineText: string, length = 1): Diagnostic {
  return { severity: 'error', code: 'E_BUILD_SYNTAX', message: 'no', place: { file, line: 7, column, length, lineText } };
}

test('a finding is its place, its code, its line and a caret below its column', () => {
  expect(formatDiagnostic({ ...at(5, 'let é = 1;', 1), hints: ['Do this.'] })).toBe(
    ['src/filter.ts:7:5: error E_BUILD_SYNTAX: no', '  let é = 1;', '      ^', '  Do this.'].join('\n'),
  );
});

test('a finding without a place has its code and message', () => {
  expect(formatDiagnostic({ severity: 'warning', code: 'TS1', message: 'hm' })).toBe('warning TS1: hm');
});

test('the caret stands below its column when tabs come before it', () => {
  expect(formatDiagnostic(at(3, '\t\tfoo(1)', 3)).split('\n').slice(1)).toEqual(['  \t\tfoo(1)', '  \t\t^^^']);
});

test('of a long line the part around the finding is shown', () => {
  const [, line = '', caret = ''] = formatDiagnostic(at(501, `${'a'.repeat(500)}BAD${'c'.repeat(500)}`, 3)).split('\n');
  expect(line.length).toBeLessThan(110);
  expect(line).toMatch(/^ {2}…a+BADc+…$/);
  expect(line.slice(caret.indexOf('^'), caret.lastIndexOf('^') + 1)).toBe('BAD');
});

test('a finding that ends past its line is marked up to the end of the line', () => {
  expect(formatDiagnostic(at(2, 'abc', 40)).split('\n')[2]).toBe('   ^^');
});

test('esbuild counts bytes, a finding counts characters', () => {
  const lineText = 'const é = "😀", x = ;';
  const before = 'const é = "😀", x = ';
  const found = fromEsbuild(
    {
      id: '',
      pluginName: '',
      text: 'Unexpected ";"',
      location: { file: 'a.ts', namespace: '', line: 1, column: Buffer.byteLength(before), length: 1, lineText, suggestion: '' },
      notes: [],
      detail: undefined,
    },
    'error',
    '/somewhere',
  );
  expect(found).toMatchObject({ code: 'E_BUILD_SYNTAX', place: { file: '/somewhere/a.ts', column: before.length + 1 } });
});

test('an error carries all errors, its code is that of the first, and warnings alone are none', () => {
  const warning: Diagnostic = { severity: 'warning', code: 'W', message: 'w' };
  const other: Diagnostic = { severity: 'error', code: 'TS2304', message: 'other' };
  expect(throwErrors([warning])).toEqual([warning]);
  let thrown: unknown;
  try {
    throwErrors([warning, at(1, 'x'), other]);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(FairleadError);
  expect(thrown).toMatchObject({ code: 'E_BUILD_SYNTAX', diagnostics: [{ code: 'E_BUILD_SYNTAX' }, { code: 'TS2304' }] });
});
