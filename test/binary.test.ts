// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What libfairlead.so asks of the machine and of Envoy that load it.

import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { paths } from '../bundler/toolchain/paths.ts';
import { libraryFolder } from './harness.ts';
import { readSharedLibrary, type DynamicSymbol, type SharedLibrary } from './harness/elf.ts';

const hookPrefix = 'envoy_dynamic_module_on_';
const callbackPrefix = 'envoy_dynamic_module_callback_';
const newestGlibc = '2.28';
// Half a megabyte of it is cryptography.
const sizeLimitBytes = 3584 * 1024;

/** `GLIBC_2.17` before `GLIBC_2.4`: by number, not by letter. */
function compareVersions(a: string, b: string): number {
  const numbers = (version: string): number[] =>
    version
      .replace(/^GLIBC_/, '')
      .split('.')
      .map(Number);
  const [left, right] = [numbers(a), numbers(b)];
  for (let i = 0; i < Math.max(left.length, right.length); i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

function names(symbols: readonly DynamicSymbol[]): string[] {
  return symbols.map(({ name }) => name).sort();
}

/** Whether the stock Envoy exports `name`: only then may it be linked strongly. */
async function exportedByEnvoy(): Promise<Set<string>> {
  const envoy = readSharedLibrary(await readFile(paths.envoyBinary()));
  return new Set(names(envoy.symbols.filter(({ defined }) => defined)));
}

describe('libfairlead.so', () => {
  let library: SharedLibrary;
  beforeAll(async () => {
    library = readSharedLibrary(await readFile(join(libraryFolder, 'libfairlead.so')));
  });

  test("exports Envoy's event hooks and nothing else (F115)", () => {
    const exported = names(library.symbols.filter(({ defined }) => defined));
    expect(exported.filter((name) => !name.startsWith(hookPrefix))).toEqual([]);
    expect(exported).toContain(`${hookPrefix}program_init`);
    expect(exported).toContain(`${hookPrefix}http_filter_config_new`);
    expect(exported).toContain(`${hookPrefix}http_filter_request_headers`);
    expect(new Set(exported).size).toBe(exported.length);
  });

  test("needs Envoy's callbacks, libc, libm and the loader; all else is weak (F115)", async () => {
    // Parts of glibc, some of which newer releases have merged into libc.so.6.
    const ofGlibc = /^(libc\.so\.6|libm\.so\.6|libpthread\.so\.0|libdl\.so\.2|ld-linux-[\w-]+\.so\.\d)$/;
    expect(library.needed.filter((name) => !ofGlibc.test(name))).toEqual([]);
    const wanted = library.symbols.filter(({ defined, weak }) => !defined && !weak);
    const callbacks = wanted.filter(({ name }) => name.startsWith(callbackPrefix));
    const exported = await exportedByEnvoy();
    expect(names(callbacks).filter((name) => !exported.has(name))).toEqual([]);
    // Everything else is versioned by glibc, in a library that is named above.
    const others = wanted.filter(({ name }) => !name.startsWith(callbackPrefix));
    expect(others.filter(({ version }) => version === undefined || !version.startsWith('GLIBC_'))).toEqual([]);
    expect(callbacks.length).toBeGreaterThan(5);
    expect(others.length).toBeGreaterThan(5);
  });

  test('is stripped', () => {
    expect(library.sectionNames.filter((name) => name === '.symtab' || name.startsWith('.debug'))).toEqual([]);
  });
});

// Other builds have the glibc and the size that the machine's compiler gives them.
describe('the release build', () => {
  test(`needs no glibc newer than ${newestGlibc} (F115)`, async () => {
    const library = readSharedLibrary(await readFile(paths.soPath));
    const versions = [...library.versionNeeds.values()].flat();
    expect(versions.filter((version) => !version.startsWith('GLIBC_'))).toEqual([]);
    const newest = versions.sort(compareVersions).at(-1) ?? 'none';
    console.log(`newest glibc version needed: ${newest} (at most GLIBC_${newestGlibc})`);
    expect(compareVersions(newest, newestGlibc)).toBeLessThanOrEqual(0);
  });

  test('is no larger than 3.5 MiB', async () => {
    const { size } = await stat(paths.soPath);
    console.log(`size of libfairlead.so: ${size} bytes (at most ${sizeLimitBytes})`);
    expect(size).toBeLessThanOrEqual(sizeLimitBytes);
  });
});

describe('the reader of shared libraries', () => {
  test('agrees with what is known of Envoy itself', async () => {
    const envoy = readSharedLibrary(await readFile(paths.envoyBinary()));
    const callback = envoy.symbols.find(({ name }) => name === `${callbackPrefix}log`);
    expect(callback).toMatchObject({ defined: true, weak: false });
    expect(envoy.needed).toContain('libc.so.6');
    const newest = [...envoy.versionNeeds.values()]
      .flat()
      .filter((v) => v.startsWith('GLIBC_'))
      .sort(compareVersions)
      .at(-1);
    expect(newest).toBe('GLIBC_2.30');
  });

  test('refuses what is no shared library', () => {
    expect(() => readSharedLibrary(Buffer.from('#!/bin/sh\n'))).toThrow('not a 64-bit');
  });

  test('orders versions by number', () => {
    expect(['GLIBC_2.2.5', 'GLIBC_2.17', 'GLIBC_2.4', 'GLIBC_2.28'].sort(compareVersions).at(-1)).toBe('GLIBC_2.28');
    expect(compareVersions('GLIBC_2.35', newestGlibc)).toBeGreaterThan(0);
  });
});
