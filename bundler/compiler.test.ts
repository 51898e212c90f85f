// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { CompileFlags, EvalFlags, QuickJS } from 'quickjs-wasi';
import { describe, expect, test } from 'vitest';

import { compile, type CompileRequest } from './compiler.ts';
import { makePackageForTest } from './package-for-test.ts';
import { paths } from './toolchain/paths.ts';

/** Modules that use much of the language between them. */
const corpus: Readonly<Record<string, string>> = {
  empty: '',
  filter: 'import { defineFilter } from "fairlead";\nexport default defineFilter({ onRequest(r) { r.headers.set("a", "b"); } });',
  classes: 'class A { #x = 1; static { A.y = 2; } get x() { return this.#x; } static async *z() { yield* [1]; } }\nexport default A;',
  generators: 'export function* g(a, b = 2, ...c) { try { yield a; } finally { yield c; } }\nexport const { d, ...e } = { d: 1 };',
  async: 'export default async (i) => { for await (const x of i) await x?.y?.[1] ?? 2; using r = i; };\nawait 1;',
  regexps: 'export const r = [/a(?<n>b)\\k<n>/dgimsuy, /[\\p{L}--[a-z]]/v, /(?<=x)y/, new RegExp("a")];',
  numbers: 'export const n = [1n, 0xffffffffffffffffn, 1e300, -0, NaN, 0.1, 1 << 31, 123456789012345];',
  templates: 'export const t = (a) => `x${a}y${`z${a}`}` + String.raw`\\u00e9${a}`;',
  texts: 'export const s = ["é", "😀", "\\ud800", "\\u0000", "long ".repeat(3)];\nexport const ключ = 1;',
  control: 'label: for (const a in {}) { switch (a) { case 1: continue label; default: break label; } }\nexport {};',
};

const quickjsWasm = readFileSync(fileURLToPath(import.meta.resolve('quickjs-wasi/quickjs.wasm')));

/** Bytecode as another build of the same engine release writes it. */
async function otherBytecode(source: string, moduleName: string): Promise<Buffer> {
  using vm = await QuickJS.create({
    wasm: quickjsWasm,
    moduleLoader: { load: () => 'export const defineFilter = (filter) => filter;' },
  });
  return Buffer.from(vm.compile(source, moduleName, EvalFlags.TYPE_MODULE, CompileFlags.STRIP_SOURCE));
}

/** Bytecode of each module from the engine in the native build; its tool names every module `fairlead:builtin`. */
function nativeBytecode(modules: Readonly<Record<string, string>>): Record<string, Buffer> {
  const files = Object.fromEntries(Object.entries(modules).map(([name, source]) => [`${name}.js`, source]));
  const folder = makePackageForTest(files);
  return Object.fromEntries(
    Object.keys(modules).map((name) => {
      const list = join(folder, `${name}.inc`);
      const args = [list, '--module=fairlead:defineFilter', `builtin=${join(folder, `${name}.js`)}`];
      execFileSync(join(paths.buildDir, 'release', 'builtins_compiler'), args);
      const numbers = /kBuiltin0\[\] = \{([\d,\s]*)\}/.exec(readFileSync(list, 'utf8'))?.[1] ?? '';
      return [name, Buffer.from(numbers.split(',').slice(0, -1).map(Number))];
    }),
  );
}

function requestFor(source: string, more: Partial<CompileRequest> = {}): CompileRequest {
  return { source, moduleName: 'filter.js', manifest: { name: 'filter', clusters: [], sources: ['filter.ts'] }, ...more };
}

async function bytesOf(request: CompileRequest): Promise<Buffer> {
  const result = await compile(request);
  if (!result.ok) throw new Error(`${result.error.code}: ${result.error.message}`);
  return Buffer.from(result.bytes);
}

describe('the bytecode is byte for byte', () => {
  test.each(Object.entries(corpus))('that of another build of the same engine release: %s', async (_, source) => {
    const other = await otherBytecode(source, 'filter.js');
    expect(other.length).toBeGreaterThan(20);
    expect((await bytesOf(requestFor(source))).includes(other)).toBe(true);
  });

  test('that of the native build', async () => {
    const native = nativeBytecode(corpus);
    for (const [name, source] of Object.entries(corpus)) {
      expect(native[name]?.length, name).toBeGreaterThan(20);
      expect((await bytesOf(requestFor(source, { moduleName: 'fairlead:builtin' }))).includes(native[name] ?? 'missing'), name).toBe(true);
    }
  });
});

describe('the compiler', () => {
  test('gives equal bytes for an equal request, whatever it compiled before', async () => {
    const first = await bytesOf(requestFor(corpus['classes'] ?? ''));
    await compile(requestFor('export default ('));
    await bytesOf(requestFor(corpus['texts'] ?? ''));
    expect((await bytesOf(requestFor(corpus['classes'] ?? ''))).equals(first)).toBe(true);
  });

  test('keeps source map and manifest, and no source', async () => {
    const map = '{"version":3,"sources":["é.ts"],"names":[],"mappings":""}';
    const manifest = { name: 'naïve', clusters: ['auth', 'keys'], sources: ['src/é.ts'] };
    const bytes = await bytesOf(requestFor('export default "kept"; /* gone */', { sourceMap: map, manifest }));
    for (const text of [map, 'naïve', 'auth', 'keys', 'src/é.ts', 'kept']) expect(bytes.includes(text)).toBe(true);
    expect(bytes.includes('gone')).toBe(false);
    expect((await bytesOf(requestFor('', {}))).includes('"mappings"')).toBe(false);
  });

  test('tells where a module is wrong', async () => {
    const result = await compile(requestFor('export default {};\n\n  let a = ;\n'));
    expect(result).toMatchObject({ ok: false, error: { code: 'E_SYNTAX', file: 'filter.js', line: 3, column: 11 } });
  });

  test('tells an import of anything but fairlead', async () => {
    const result = await compile(requestFor('import x from "left-pad";\nexport default x;\n'));
    expect(result).toMatchObject({ ok: false, error: { code: 'E_UNKNOWN_IMPORT', message: expect.stringContaining('left-pad') as string } });
  });

  test('takes modules of several megabytes, and nesting without end', async () => {
    const large = await bytesOf(requestFor(`export default ${JSON.stringify('x'.repeat(6 << 20))};`));
    expect(large.length).toBeGreaterThan(6 << 20);
    const nested = await compile(requestFor(`export default ${'['.repeat(100_000)}${']'.repeat(100_000)};`));
    expect(nested).toMatchObject({ ok: false });
  });
});
