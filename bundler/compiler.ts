// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The engine's own compiler, which is the filter's core built for WebAssembly. It also writes the container: nothing
// here knows the layout of a .qjb file.

import { readFile } from 'node:fs/promises';

import { failure, type FairleadError, shortPath } from './diagnostics.ts';
import { paths } from './toolchain/paths.ts';

/** What a .qjb file says about itself. */
export interface Manifest {
  readonly name: string;
  /** Clusters that the filter wants to reach with fetch. */
  readonly clusters: readonly string[];
  /** Source files, relative to the folder of the package. */
  readonly sources: readonly string[];
}

export interface CompileRequest {
  /** One ES module; nothing but "fairlead" is imported. */
  readonly source: string;
  /** Becomes part of the bytecode: equal input needs an equal name. */
  readonly moduleName: string;
  readonly manifest: Manifest;
  /** JSON; goes into the container as it is. */
  readonly sourceMap?: string;
}

/** What the engine has against a module. Lines and columns count from 1, 0 is unknown. */
export interface EngineError {
  readonly code: string;
  readonly message: string;
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly stack: string;
}

export type CompileResult =
  | { readonly ok: true; readonly bytes: Uint8Array }
  | { readonly ok: false; readonly error: EngineError };

interface CompilerExports {
  readonly memory: WebAssembly.Memory;
  fairlead_alloc(size: number): number;
  fairlead_free(pointer: number): void;
  fairlead_compile(requestPointer: number, requestLength: number): number;
}

let loading: Promise<WebAssembly.Module> | undefined;

/** Compiles a module to the bytes of a .qjb file. Throws a FairleadError only when there is no working compiler. */
export async function compile(request: CompileRequest): Promise<CompileResult> {
  loading ??= load();
  const module = await loading.catch((error: unknown) => {
    loading = undefined;
    throw error;
  });
  try {
    return run(await instantiate(module), request);
  } catch (error) {
    // The stack of the process ran out before the engine's own limit.
    if (error instanceof RangeError) return { ok: false, error: tooDeep(request) };
    if (!(error instanceof WebAssembly.RuntimeError)) throw error;
    throw failure('E_BUILD_COMPILER', `the compiler broke: ${error.message}`, {
      hints: ['This is a fault of fairlead: please report it together with the filter.'],
    });
  }
}

/** Reads and compiles fairlead.wasm. */
export async function load(wasmPath: string = paths.wasmPath): Promise<WebAssembly.Module> {
  let bytes: Buffer;
  try {
    bytes = await readFile(wasmPath);
  } catch {
    throw failure('E_BUILD_COMPILER', `there is no ${shortPath(wasmPath)}`, {
      hints: ['Run "npm run build" in the folder of fairlead first.'],
    });
  }
  return WebAssembly.compile(bytes);
}

/** An instance serves one compilation: its memory goes with it, and nothing of one module can reach another. */
async function instantiate(module: WebAssembly.Module): Promise<CompilerExports> {
  const { WASI } = await importWasi();
  const wasi = new WASI({ version: 'preview1' });
  const instance = await WebAssembly.instantiate(module, wasi.getImportObject());
  wasi.initialize(instance);
  return instance.exports as unknown as CompilerExports;
}

/** Node warns on standard error when its WASI module is loaded; that says nothing to a user of the bundler. */
async function importWasi(): Promise<typeof import('node:wasi')> {
  const { emitWarning } = process;
  process.emitWarning = (): void => {};
  try {
    return await import('node:wasi');
  } finally {
    process.emitWarning = emitWarning;
  }
}

function run(exports: CompilerExports, request: CompileRequest): CompileResult {
  const bytes = new TextEncoder().encode(JSON.stringify(request));
  const pointer = exports.fairlead_alloc(bytes.length);
  if (pointer === 0) throw outOfMemory(bytes.length);
  new Uint8Array(exports.memory.buffer, pointer, bytes.length).set(bytes);
  const result = exports.fairlead_compile(pointer, bytes.length);
  if (result === 0) throw outOfMemory(bytes.length);
  const head = new DataView(exports.memory.buffer, result, 8);
  const ok = head.getUint32(0, true) === 1;
  const payload = new Uint8Array(exports.memory.buffer, result + 8, head.getUint32(4, true)).slice();
  if (ok) return { ok, bytes: payload };
  return { ok, error: JSON.parse(new TextDecoder().decode(payload)) as EngineError };
}

function tooDeep({ moduleName }: CompileRequest): EngineError {
  return { code: 'E_STACK_LIMIT', message: 'the source is nested too deep', file: moduleName, line: 0, column: 0, stack: '' };
}

function outOfMemory(requestBytes: number): FairleadError {
  return failure('E_BUILD_COMPILER', `the compiler has not enough memory for a filter of ${requestBytes} bytes`);
}
