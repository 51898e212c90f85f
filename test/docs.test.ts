// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What the documents name must be there: a renamed function or a moved file fails here, not at the reader's.

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { paths } from '../bundler/toolchain/paths.ts';

const folders = ['filter-cc', 'quickjs', 'sdk-types', 'bundler', 'test'];
const files = folders.flatMap((folder) =>
  readdirSync(join(paths.repoRoot, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(cc|c|h|def|ts|mjs|edit)$/.test(name) && name !== 'docs.test.ts')
    .map((name) => join(folder, name)),
);
const words = new Set(files.flatMap((name) => readFileSync(join(paths.repoRoot, name), 'utf8').match(/\w+/g) ?? []));

const text = readFileSync(join(paths.repoRoot, 'docs/design.md'), 'utf8');
// Drawings are no prose, and the measured table has a test of its own.
const prose = text.replace(/^ *```[^]*?^ *```$|^<!-- measured [^]*?^<!-- end -->$/gm, '');
const named = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, name = '']) => name);

test('docs/design.md names files that exist', () => {
  const fileNames = named.filter((name) => /^[\w./-]+(\/|\.(cc|h|def|ts|md))$/.test(name));
  const exists = (name: string): boolean =>
    existsSync(join(paths.repoRoot, name)) || files.some((file) => file.endsWith(`/${name}`));
  expect(fileNames.length).toBeGreaterThan(10);
  expect(fileNames.filter((name) => !exists(name))).toEqual([]);
});

test('docs/design.md names functions, types and codes that exist', () => {
  const identifiers = named.filter((name) => /^\w+(::\w+)*(\(\))?$/.test(name));
  expect(identifiers.length).toBeGreaterThan(50);
  expect(identifiers.filter((name) => (name.match(/\w+/g) ?? []).some((word) => !words.has(word)))).toEqual([]);
});

test('docs/design.md links to documents that exist', () => {
  const links = [...prose.matchAll(/\]\(([^)#:]+)\)/g)].map(([, link = '']) => link);
  expect(links.length).toBeGreaterThan(0);
  expect(links.filter((link) => !existsSync(join(paths.repoRoot, 'docs', link)))).toEqual([]);
});
