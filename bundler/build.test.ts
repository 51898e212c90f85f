// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { chmodSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { build, bundle, type Bundle, type BuildOptions, type BuildResult, type Shortening } from './build.ts';
import { FairleadError, formatDiagnostic } from './diagnostics.ts';
import { makePackageForTest } from './package-for-test.ts';

const filter = 'import { defineFilter } from "fairlead";\nexport default defineFilter({});\n';

type Files = Readonly<Record<string, string>>;

function bundleOf(files: Files, entry = 'filter.ts', shortening: Shortening = 'syntax'): Promise<Bundle> {
  return bundle({ entry: join(makePackageForTest(files), entry), check: false, shortening, onStep: () => {} });
}

function buildOf(files: Files, options: Partial<BuildOptions> = {}): Promise<BuildResult> {
  return build({ ...options, entry: join(makePackageForTest(files), options.entry ?? 'filter.ts') });
}

/** What is wrong, one `file:line:column code message` each; the file as seen from its package. */
async function findingsOf(files: Files, options: Partial<BuildOptions> = {}): Promise<string[]> {
  const folder = makePackageForTest(files);
  const error = await build({ ...options, entry: join(folder, options.entry ?? 'filter.ts') }).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!(error instanceof FairleadError)) throw new Error('the build did not fail', { cause: error });
  return error.diagnostics.map(({ place, code, message }) => {
    const where = place ? `${place.file.replace(`${folder}/`, '')}:${place.line}:${place.column} ` : '';
    return `${where}${code} ${message}`;
  });
}

describe('F109: equal input gives equal bytes', () => {
  const files = {
    'package.json': '{"name":"p"}',
    'src/filter.ts': 'import { defineFilter } from "fairlead";\nimport { a } from "./a.ts";\nimport { b } from "b";\nexport default defineFilter({ onRequest(r) { r.headers.set("x", a() + b); } });\n',
    'src/a.ts': 'export function a(): string { return "á".repeat(2); }\n',
    'node_modules/b/package.json': '{"name":"b","version":"1.0.0","main":"b.js","types":"b.d.ts"}',
    'node_modules/b/b.js': 'exports.b = "b";\n',
    'node_modules/b/b.d.ts': 'export const b: string;\n',
  };

  test('in another folder too, and no part of the file knows its folder', async () => {
    const folders = [makePackageForTest(files), makePackageForTest(files)];
    const [first, second] = await Promise.all(folders.map((folder) => build({ entry: join(folder, 'src/filter.ts') })));
    expect(Buffer.from(first?.bytes ?? []).equals(second?.bytes ?? Buffer.of())).toBe(true);
    expect(first?.bytes.length).toBeGreaterThan(100);
    for (const folder of folders) expect(Buffer.from(first?.bytes ?? []).includes(folder)).toBe(false);
  });

  test.each<Shortening>(['none', 'syntax', 'names'])('the module and its source map are equal as well: %s', async (shortening) => {
    const [first, second] = await Promise.all([
      bundleOf(files, 'src/filter.ts', shortening),
      bundleOf(files, 'src/filter.ts', shortening),
    ]);
    expect(first.javascript).toBe(second.javascript);
    expect(first.sourceMap).toBe(second.sourceMap);
    const { sources, sourcesContent } = JSON.parse(first.sourceMap) as { sources: string[]; sourcesContent?: string[] };
    expect(sourcesContent).toBeUndefined();
    expect(sources.toSorted()).toEqual(['node_modules/b/b.js', 'src/a.ts', 'src/filter.ts']);
  });

  test('other input gives other bytes', async () => {
    const [first, second] = await Promise.all([
      buildOf({ 'filter.ts': 'export default {}' }),
      buildOf({ 'filter.ts': 'export default { onLog() {} }' }),
    ]);
    expect(Buffer.from(first.bytes).equals(second.bytes)).toBe(false);
  });
});

describe('F109: what is wrong is told with its place', () => {
  test('a type error', async () => {
    const files = { 'filter.ts': `${filter}const n: number = "text";\n` };
    expect(await findingsOf(files)).toEqual(["filter.ts:3:7 TS2322 Type 'string' is not assignable to type 'number'."]);
  });

  test('a type error in an imported file, but not when types are not checked', async () => {
    const files = { 'filter.ts': 'import "./a.ts";\nexport default {};\n', 'a.ts': 'export {};\n\n  nope();\n' };
    expect(await findingsOf(files)).toEqual(["a.ts:3:3 TS2304 Cannot find name 'nope'."]);
    expect((await buildOf(files, { check: false })).bytes.length).toBeGreaterThan(100);
  });

  test('an import that leads nowhere', async () => {
    expect(await findingsOf({ 'filter.ts': 'import a from "./a.ts";\nimport b from "bee";\nexport default { a, b };\n' })).toEqual([
      'filter.ts:1:15 E_BUILD_IMPORT cannot find "./a.ts"',
      'filter.ts:2:15 E_BUILD_IMPORT cannot find "bee"',
    ]);
  });

  test('an import of a name that is not exported', async () => {
    const files = { 'filter.ts': 'import { b } from "./a.ts";\nexport default { b };\n', 'a.ts': 'export const a = 1;\n' };
    expect(await findingsOf(files)).toEqual([
      'filter.ts:1:10 E_BUILD_IMPORT No matching export in "a.ts" for import "b"',
    ]);
  });

  test.each(['node:fs', 'fs', 'fs/promises', 'node:test'])('an import of a module of Node.js: %s', async (name) => {
    expect(await findingsOf({ 'filter.ts': `import x from "${name}";\nexport default { x };\n` })).toEqual([
      `filter.ts:1:15 E_BUILD_NODE_MODULE "${name}" is a module of Node.js, which a filter does not have`,
    ]);
  });

  test('AsyncLocalStorage is what node:async_hooks has, and all of it (W26)', async () => {
    const filter = (name: string, module: string): Record<string, string> => ({
      'filter.js': `import { ${name} as x } from "${module}";\nexport default { onLog() { x; } };\n`,
    });
    for (const module of ['node:async_hooks', 'async_hooks']) {
      const { javascript, manifest } = await bundleOf(filter('AsyncLocalStorage', module), 'filter.js');
      expect(javascript).toContain('globalThis');
      expect(manifest.sources).toEqual(['filter.js']);
      expect(await findingsOf(filter('AsyncResource', module), { entry: 'filter.js' })).toEqual([
        'filter.js:1:10 E_BUILD_IMPORT No matching export in "fairlead:node:async_hooks" for import "AsyncResource"',
      ]);
    }
  });

  test('an import of a module of Node.js deep in a package', async () => {
    const files = {
      'filter.ts': 'import "deep";\nexport default {};\n',
      'node_modules/deep/package.json': '{"name":"deep","main":"i.js"}',
      'node_modules/deep/i.js': '\nconst c = require("crypto");\nexports.c = c;\n',
    };
    expect(await findingsOf(files)).toEqual([
      'node_modules/deep/i.js:2:19 E_BUILD_NODE_MODULE "crypto" is a module of Node.js, which a filter does not have',
    ]);
  });

  test('source that is not TypeScript', async () => {
    expect(await findingsOf({ 'filter.ts': 'export default {\n  onRequest( {\n};\n' })).toEqual([
      'filter.ts:3:2 E_BUILD_SYNTAX Expected ")" but found ";"',
    ]);
  });

  test('source that only the engine refuses, at its place in TypeScript', async () => {
    const files = {
      'filter.ts': 'import { broken } from "./broken.js";\nexport default { broken };\n',
      'broken.js': '// A comment that the bundle does not have.\n\nexport const broken =\n    /a(/;\n',
    };
    expect(await findingsOf(files, { check: false })).toEqual([expect.stringMatching(/^broken\.js:4:5 E_BUILD_SYNTAX /)]);
  });

  test('an import of what fairlead does not have, without types', async () => {
    const files = { 'filter.ts': '\nimport { nope } from "fairlead";\nexport default { nope };\n' };
    expect(await findingsOf(files, { check: false })).toEqual([expect.stringMatching(/^filter\.ts:2:\d+ E_BUILD_IMPORT .*nope/)]);
    const other = { 'filter.ts': '\nimport { nope } from "fairlead/more";\nexport default { nope };\n' };
    expect(await findingsOf(other, { check: false })).toEqual([
      expect.stringMatching(/^filter\.ts:2:\d+ E_BUILD_IMPORT .*fairlead\/more/),
    ]);
  });

  test('H404: a file without a default export, and CommonJS', async () => {
    expect(await findingsOf({ 'filter.ts': 'export const filter = {};\n' })).toEqual([
      'filter.ts:1:1 E_BUILD_EXPORT there is no default export',
    ]);
    expect(await findingsOf({ 'filter.js': '"use strict";\nmodule.exports = {};\n' }, { entry: 'filter.js' })).toEqual([
      'filter.js:2:1 E_BUILD_EXPORT a filter must be an ES module, this is CommonJS',
    ]);
  });

  test('a file that is not there, and a folder', async () => {
    expect(await findingsOf({}, { entry: 'no.ts' })).toEqual([expect.stringMatching(/^E_BUILD_FILE there is no file .*no\.ts$/)]);
    expect(await findingsOf({}, { entry: '.' })).toEqual([expect.stringMatching(/^E_BUILD_FILE .* is not a file$/)]);
  });

  test('all look alike: place, code, the line, a caret', async () => {
    const sources = ['const a: number = "";', 'import "./nope.ts";', 'export const r = ;'];
    for (const source of sources) {
      const error = await buildOf({ 'filter.ts': `${source}\nexport default {};\n` }).catch((reason: unknown) => reason);
      const [first] = error instanceof FairleadError ? error.diagnostics : [];
      expect(first && formatDiagnostic(first)).toMatch(/^\S+filter\.ts:1:\d+: error \w+: .+\n {2}[^\n]+\n {2} *\^+(\n|$)/);
      expect(formatDiagnostic(first ?? { severity: 'error', code: '', message: '' })).toContain(`\n  ${source}\n`);
    }
  });
});

describe('F109: a global that a filter does not have is an error', () => {
  test.each([
    ['document', 'document.title;', "filter.ts:1:1 TS2584 Cannot find name 'document'."],
    ['process', 'process.env;', "filter.ts:1:1 TS2591 Cannot find name 'process'."],
    ['WeakRef', 'new WeakRef({});', "filter.ts:1:5 TS2304 Cannot find name 'WeakRef'."],
    ['SharedArrayBuffer', 'new SharedArrayBuffer(1);', "filter.ts:1:5 TS2583 Cannot find name 'SharedArrayBuffer'."],
    ['Temporal', 'Temporal.Now;', "filter.ts:1:1 TS2304 Cannot find name 'Temporal'."],
    ['Intl', 'new Intl.NumberFormat();', 'filter.ts:1:5 E_BUILD_GLOBAL there is no Intl in a filter'],
    ['eval', '\n  eval("1");', 'filter.ts:2:3 E_BUILD_GLOBAL a filter cannot generate code: eval always throws'],
    ['Function', 'new Function("1");', 'filter.ts:1:5 E_BUILD_GLOBAL a filter cannot generate code: Function always throws'],
  ])('%s', async (_, use, expected) => {
    const findings = await findingsOf({ 'filter.ts': `${use}\nexport default {};\n` });
    expect(findings).toEqual([expected]);
  });

  test('whatever libraries and types the tsconfig.json of the project names', async () => {
    const files = {
      'filter.ts': 'document.title;\nexport default {};\n',
      'tsconfig.json': '{ "compilerOptions": { "lib": ["dom", "esnext"], "types": ["node"] } }',
    };
    expect(await findingsOf(files)).toEqual([expect.stringContaining('filter.ts:1:1 TS2584')]);
  });

  test('but a name of its own, a property and instanceof are not', async () => {
    const text = [
      'const Intl = { eval: 1 };',
      'const known: unknown = Intl.eval;',
      'export default { isFunction: known instanceof Function };',
    ].join('\n');
    expect((await buildOf({ 'filter.ts': text })).warnings).toEqual([]);
  });
});

describe('the tsconfig.json near the filter counts', () => {
  const loose = 'function first(list) { return list[0]; }\nexport default { first };\n';

  test('types are strict without one, and as it says with one', async () => {
    expect(await findingsOf({ 'filter.ts': loose })).toEqual([expect.stringContaining('filter.ts:1:16 TS7006')]);
    const files = { 'filter.ts': loose, 'tsconfig.json': '{ "compilerOptions": { "strict": false } }' };
    expect((await buildOf(files)).bytes.length).toBeGreaterThan(100);
  });

  test('options that write files, and files that it lists, are of no concern', async () => {
    const config = { compilerOptions: { composite: true, declaration: true, outDir: 'out' }, include: ['nothing/here'] };
    const files = { 'filter.ts': 'export default {};\n', 'tsconfig.json': JSON.stringify(config) };
    const folder = makePackageForTest(files);
    await build({ entry: join(folder, 'filter.ts') });
    expect(readdirSync(folder).toSorted()).toEqual(['filter.ts', 'package.json', 'tsconfig.json']);
  });

  test('a mistake in it is told with its place', async () => {
    const textOf = (options: string): Files => ({ 'filter.ts': 'export default {};\n', 'tsconfig.json': options });
    expect(await findingsOf(textOf('{ "compilerOptions": {\n  "strict": "yes" } }'))).toEqual([
      expect.stringContaining('tsconfig.json:2:13 TS5024'),
    ]);
    expect(await findingsOf(textOf('{\n  "compilerOptions" {} }'))).toEqual([
      expect.stringMatching(/^tsconfig\.json:2:\d+ /),
    ]);
    expect(await findingsOf(textOf('{\n  "extends": "./none.json" }'))).toEqual([expect.stringMatching(/TS\d+ .*none\.json/)]);
  });
});

describe('what is built', () => {
  test('the manifest names the filter, the clusters it fetches from and its sources', async () => {
    const files = {
      'src/auth.ts': 'import { ask } from "./ask.ts";\nexport default { ask };\n',
      'src/ask.ts': 'export const ask = () => fetch("http://auth/verify");\n',
    };
    const { manifest } = await bundleOf(files, 'src/auth.ts');
    expect(manifest).toEqual({ name: 'auth', clusters: ['auth'], sources: ['src/ask.ts', 'src/auth.ts'] });
  });

  test('sizes are those of the sources, the module, the bytecode file and the map in it', async () => {
    const folder = makePackageForTest({ 'filter.js': 'export default {\n  onLog() {},\n};\n' });
    const entry = join(folder, 'filter.js');
    const { bytes, sizes } = await build({ entry });
    const { javascript, sourceMap } = await bundle({ entry, check: true, shortening: 'syntax', onStep: () => {} });
    expect(sizes).toEqual({
      source: Buffer.byteLength(readFileSync(entry)),
      bundle: javascript.length,
      bytecode: bytes.length - sourceMap.length,
      map: sourceMap.length,
    });
    expect(Buffer.from(bytes).includes(sourceMap)).toBe(true);
  });

  test('code is made smaller, but names stay for the stacks', async () => {
    const files = { 'filter.ts': 'export default { onLog() { longFunctionName(1); } };\nfunction longFunctionName(someNumber: number) { return someNumber + 1 + 1; }\n' };
    const [plain, syntax, names] = await Promise.all(
      (['none', 'syntax', 'names'] as const).map((shortening) => bundleOf(files, 'filter.ts', shortening)),
    );
    expect(plain?.javascript).toContain('\n  longFunctionName(1);\n');
    expect(syntax?.javascript).toContain('longFunctionName(1)');
    expect(syntax?.javascript).not.toContain('\n  ');
    expect(names?.javascript).not.toContain('longFunctionName');
  });

  test('packages give what they have for edge runtimes, in their production form', async () => {
    const files = {
      'filter.ts': 'import { world } from "pkg";\nexport default { world };\n',
      'node_modules/pkg/package.json': '{"name":"pkg","exports":{"node":"./node.js","workerd":"./edge.js","default":"./other.js"}}',
      'node_modules/pkg/edge.js': 'export const world = process.env.NODE_ENV === "production" ? "edge" : "dev";\n',
      'node_modules/pkg/node.js': 'export const world = "node";\n',
      'node_modules/pkg/other.js': 'export const world = "other";\n',
    };
    expect((await bundleOf(files)).javascript).toContain('"edge"');
    expect((await bundleOf(files)).javascript).not.toMatch(/node|other|dev/);
  });

  test('a module that a package leaves out of browsers is no source', async () => {
    const files = {
      'filter.ts': 'import "pkg";\nexport default {};\n',
      'node_modules/pkg/package.json': '{"name":"pkg","main":"i.js","browser":{"crypto":false}}',
      'node_modules/pkg/i.js': 'exports.c = require("crypto");\n',
    };
    expect((await bundleOf(files)).manifest.sources).toEqual(['filter.ts', 'node_modules/pkg/i.js']);
  });

  test('warnings do not stop it', async () => {
    const { warnings } = await buildOf({ 'filter.ts': 'export default { odd: (x: unknown) => x === -0 };\n' }, { check: false });
    expect(warnings.map(({ severity, code, place }) => `${severity} ${code} ${place?.line}:${place?.column}`)).toEqual([
      'warning E_BUILD_BUNDLE 1:45',
    ]);
  });
});

describe('the file', () => {
  test('is written whole, over an older one', async () => {
    const folder = makePackageForTest({ 'filter.ts': 'export default {};\n', 'out.qjb': 'older' });
    const { bytes } = await build({ entry: join(folder, 'filter.ts'), output: join(folder, 'out.qjb') });
    expect(readFileSync(join(folder, 'out.qjb')).equals(bytes)).toBe(true);
    expect(readdirSync(folder).toSorted()).toEqual(['filter.ts', 'out.qjb', 'package.json']);
  });

  test('leaves nothing behind where it cannot be written', async () => {
    const folder = makePackageForTest({ 'filter.ts': 'export default {};\n' });
    mkdirSync(join(folder, 'out.qjb'));
    chmodSync(join(folder, 'out.qjb'), 0o700);
    const failed = build({ entry: join(folder, 'filter.ts'), output: join(folder, 'out.qjb') });
    await expect(failed).rejects.toMatchObject({ code: 'E_BUILD_FILE' });
    const missing = build({ entry: join(folder, 'filter.ts'), output: join(folder, 'no', 'out.qjb') });
    await expect(missing).rejects.toMatchObject({ code: 'E_BUILD_FILE' });
    expect(readdirSync(folder).toSorted()).toEqual(['filter.ts', 'out.qjb', 'package.json']);
  });
});

describe('an option that is not known, missing or of another type is refused', () => {
  test.each([
    [{ entry: 'a.ts', minified: true }, 'unknown option "minified"; known are entry, output, check, minify, onStep'],
    [{ entry: 'a.ts', check: 'no' }, 'option "check" must be a boolean, got string'],
    [{}, 'option "entry" is missing: it names the file of the filter'],
  ])('%o', async (options, message) => {
    const failed = build(options as unknown as BuildOptions);
    await expect(failed).rejects.toMatchObject({ code: 'E_BUILD_OPTION', diagnostics: [{ message }] });
  });
});
