// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// From a TypeScript filter to one .qjb file. Equal input gives equal bytes, on any machine and in any folder: all paths
// are relative to the folder of the package.

import { randomUUID } from 'node:crypto';
import { existsSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, extname, join, relative, resolve } from 'node:path';

import { originalPositionFor, TraceMap } from '@jridgewell/trace-mapping';
import * as esbuild from 'esbuild';

import { compile, type EngineError, type Manifest } from './compiler.ts';
import {
  type BuildCode,
  type Diagnostic,
  failure,
  FairleadError,
  fromEsbuild,
  type Place,
  placeIn,
  throwErrors,
} from './diagnostics.ts';

/** What `build` is asked for. */
export interface BuildOptions {
  /** The file that has the filter as its default export: TypeScript or JavaScript. */
  readonly entry: string;
  /** Where to write the .qjb file. Without it nothing is written: the bytes are in the result. */
  readonly output?: string;
  /** Whether TypeScript checks the types first. Default: true. */
  readonly check?: boolean;
  /** Whether the code is made smaller. Names stay as they are, so stacks can be read. Default: true. */
  readonly minify?: boolean;
  /** Is told each step before it begins. */
  readonly onStep?: (step: string) => void;
}

/** What `build` gives. */
export interface BuildResult {
  /** The .qjb file. */
  readonly bytes: Uint8Array;
  /** What the file says about itself. */
  readonly manifest: Manifest;
  /** Bytes of all source files, of the bundled module, of the .qjb file without its source map, and of that map. */
  readonly sizes: { readonly source: number; readonly bundle: number; readonly bytecode: number; readonly map: number };
  readonly warnings: readonly Diagnostic[];
}

/** How much esbuild shortens. Local names are worth keeping in bytecode: it grows little, its source map shrinks more. */
export type Shortening = 'none' | 'syntax' | 'names';

export interface BundleOptions {
  readonly entry: string;
  readonly check: boolean;
  readonly shortening: Shortening;
  readonly onStep: (step: string) => void;
}

/** A filter as one ES module. */
export interface Bundle {
  readonly javascript: string;
  /** JSON, without the sources' text. */
  readonly sourceMap: string;
  /** The folder that the paths in map and manifest start from. */
  readonly folder: string;
  readonly manifest: Manifest;
  readonly sourceBytes: number;
  readonly warnings: readonly Diagnostic[];
}

const knownOptions: { readonly [Name in keyof Required<BuildOptions>]: 'string' | 'boolean' | 'function' } = {
  entry: 'string',
  output: 'string',
  check: 'boolean',
  minify: 'boolean',
  onStep: 'function',
};

/**
 * Type-checks, bundles and compiles a filter.
 *
 * @throws FairleadError for everything that is wrong with options, types, source or imports, with places.
 * @example
 * const { sizes } = await build({ entry: 'src/auth.ts', output: 'auth.qjb' });
 */
export async function build(options: BuildOptions): Promise<BuildResult> {
  checkOptions(options);
  const { entry, output, check = true, minify = true, onStep = (): void => {} } = options;
  const bundled = await bundle({ entry, check, shortening: minify ? 'syntax' : 'none', onStep });
  onStep('compiling');
  const { javascript, sourceMap, manifest, sourceBytes, warnings } = bundled;
  const compiled = await compile({ source: javascript, moduleName: `${manifest.name}.js`, manifest, sourceMap });
  if (!compiled.ok) throw new FairleadError([fromEngine(compiled.error, bundled)]);
  const { bytes } = compiled;
  if (output !== undefined) await writeWhole(output, bytes);
  const map = Buffer.byteLength(sourceMap);
  const sizes = { source: sourceBytes, bundle: Buffer.byteLength(javascript), bytecode: bytes.length - map, map };
  return { bytes, manifest, sizes, warnings };
}

/** Callers in plain JavaScript get no help from types. */
function checkOptions(options: BuildOptions): void {
  const known: Readonly<Record<string, string>> = knownOptions;
  for (const [name, value] of Object.entries(options)) {
    const type = known[name];
    if (type === undefined) {
      throw failure('E_BUILD_OPTION', `unknown option "${name}"; known are ${Object.keys(known).join(', ')}`);
    }
    if (value !== undefined && typeof value !== type) {
      throw failure('E_BUILD_OPTION', `option "${name}" must be a ${type}, got ${typeof value}`);
    }
  }
  if (!options.entry) throw failure('E_BUILD_OPTION', 'option "entry" is missing: it names the file of the filter');
}

/** Type-checks a filter if asked to, and makes one ES module of it and all it imports. */
export async function bundle({ entry, check, shortening, onStep }: BundleOptions): Promise<Bundle> {
  const file = findEntry(entry);
  const folder = packageFolder(file);
  onStep('bundling');
  const { javascript, sourceMap, inputs, exported, isCommonJs, warnings } = await runEsbuild(file, folder, shortening);
  // Names in brackets are esbuild's own inventions, such as a module that a package wants left out of browsers.
  const sources = Object.keys(inputs).filter((name) => !/^([(<]|fairlead:)/.test(name)).sort();

  onStep(check ? 'checking types' : 'reading sources');
  // TypeScript takes longer to load than most filters to build: not before esbuild is content.
  const { findCommonJs, namedHosts } = await import('./syntax.ts');
  if (isCommonJs || !exported) {
    const at = isCommonJs ? findCommonJs({ file, text: readFileSync(file, 'utf8') }) : undefined;
    const place = placeIn(file, at?.line ?? 1, at?.column ?? 1);
    const message = isCommonJs ? 'a filter must be an ES module, this is CommonJS' : 'there is no default export';
    throw failure('E_BUILD_EXPORT', message, {
      place: { ...place, length: at?.length ?? 1 },
      hints: ['Export the filter: export default defineFilter({ onRequest(request) { … } });'],
    });
  }
  if (check) {
    const { typeCheck } = await import('./typecheck.ts');
    warnings.push(...throwErrors(typeCheck(file)));
  }
  const own = sources
    .filter((name) => /\.[cm]?[jt]sx?$/.test(name))
    .map((name) => resolve(folder, name))
    .filter((path) => !path.includes('/node_modules/'));
  const clusters = namedHosts(own.map((path) => ({ file: path, text: readFileSync(path, 'utf8') })));
  const name = basename(file, extname(file));
  return {
    javascript,
    sourceMap,
    folder,
    manifest: { name, clusters, sources },
    sourceBytes: sources.reduce((sum, source) => sum + (inputs[source]?.bytes ?? 0), 0),
    warnings,
  };
}

function findEntry(entry: string): string {
  if (!existsSync(entry)) throw failure('E_BUILD_FILE', `there is no file ${entry}`);
  if (!statSync(entry).isFile()) throw failure('E_BUILD_FILE', `${entry} is not a file`);
  // esbuild names files by their real paths.
  return realpathSync(resolve(entry));
}

/** The files that a filter is made of, by their absolute paths: those of a manifest, or the entry alone. */
export function sourceFiles(entry: string, manifest?: Manifest): string[] {
  const file = findEntry(entry);
  const folder = packageFolder(file);
  return manifest?.sources.map((source) => resolve(folder, source)) ?? [file];
}

/** The nearest folder with a package.json, else the folder of the file. */
function packageFolder(file: string): string {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'package.json'))) return folder;
    if (folder === dirname(folder)) return dirname(file);
  }
}

interface Bundled {
  readonly javascript: string;
  readonly sourceMap: string;
  readonly inputs: esbuild.Metafile['inputs'];
  readonly exported: boolean;
  readonly isCommonJs: boolean;
  readonly warnings: Diagnostic[];
}

async function runEsbuild(file: string, folder: string, shortening: Shortening): Promise<Bundled> {
  const output = 'filter.js';
  const result = await esbuild
    .build({
      absWorkingDir: folder,
      entryPoints: [file],
      outfile: join(folder, output),
      write: false,
      metafile: true,
      logLevel: 'silent',
      bundle: true,
      format: 'esm',
      platform: 'browser',
      target: 'es2023',
      // Newer syntax that the engine has itself.
      supported: { using: true, 'regexp-set-notation': true },
      conditions: ['workerd', 'worker', 'edge-light', 'browser'],
      external: ['fairlead'],
      plugins: [asyncHooks],
      define: { 'process.env.NODE_ENV': '"production"' },
      minifySyntax: shortening !== 'none',
      minifyWhitespace: shortening !== 'none',
      minifyIdentifiers: shortening === 'names',
      legalComments: 'none',
      sourcemap: 'external',
      sourcesContent: false,
    })
    .catch((error: unknown) => {
      if (!isBuildFailure(error)) throw error;
      throwErrors(error.errors.map((message) => fromEsbuild(message, 'error', folder)));
      throw error;
    });
  const textOf = (ending: string): string =>
    result.outputFiles.find(({ path }) => path.endsWith(ending))?.text ?? '';
  const { inputs, outputs } = result.metafile;
  return {
    javascript: textOf('.js'),
    sourceMap: textOf('.js.map'),
    inputs,
    exported: outputs[output]?.exports.includes('default') ?? false,
    isCommonJs: inputs[relative(folder, file)]?.format === 'cjs',
    warnings: result.warnings.map((message) => fromEsbuild(message, 'warning', folder)),
  };
}

/** The one module of Node.js of which a filter has a part, as frameworks import it: AsyncLocalStorage. */
const asyncHooks: esbuild.Plugin = {
  name: 'node:async_hooks',
  setup(build) {
    build.onResolve({ filter: /^(node:)?async_hooks$/ }, () => ({ path: 'node:async_hooks', namespace: 'fairlead' }));
    build.onLoad({ filter: /.*/, namespace: 'fairlead' }, () => ({ contents: 'export const { AsyncLocalStorage } = globalThis;' }));
  },
};

function isBuildFailure(error: unknown): error is esbuild.BuildFailure {
  return error instanceof Error && 'errors' in error && Array.isArray(error.errors);
}

/** A mistake has one code, whoever finds it. */
const codesOfEngine: Readonly<Record<string, BuildCode>> = {
  E_SYNTAX: 'E_BUILD_SYNTAX',
  E_UNKNOWN_IMPORT: 'E_BUILD_IMPORT',
};

/** What the engine has against the bundle, told at the place in the source that it comes from. */
function fromEngine(error: EngineError, { folder, sourceMap }: Bundle): Diagnostic {
  const place = error.line > 0 ? placeInSource(error, folder, sourceMap) : undefined;
  const code = codesOfEngine[error.code] ?? error.code;
  return { severity: 'error', code, message: error.message, ...(place && { place }) };
}

function placeInSource({ line, column }: EngineError, folder: string, sourceMap: string): Place | undefined {
  const found = originalPositionFor(new TraceMap(sourceMap), { line, column: Math.max(0, column - 1) });
  return found.source === null ? undefined : placeIn(resolve(folder, found.source), found.line, found.column + 1);
}

/** Whoever watches the file sees the old one or the new one, never a part. */
export async function writeWhole(file: string, bytes: Uint8Array): Promise<void> {
  const fresh = `${file}.${randomUUID()}`;
  try {
    await writeFile(fresh, bytes);
    await rename(fresh, file);
  } catch (error) {
    await rm(fresh, { force: true });
    throw failure('E_BUILD_FILE', `cannot write ${file}: ${error instanceof Error ? error.message : String(error)}`);
  }
}
