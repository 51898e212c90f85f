// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The builtins in the engine alone: quickjs-wasi is another build of the engine that fairlead embeds. What the core
// gives to builtins (../native.d.ts) is played by a few lines of JavaScript here.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { build } from 'esbuild';
import { EvalFlags, Intrinsics, QuickJS } from 'quickjs-wasi';

const folder = fileURLToPath(new URL('..', import.meta.url));
const wasm = readFileSync(fileURLToPath(import.meta.resolve('quickjs-wasi/quickjs.wasm')));
const errors = Object.fromEntries(
  Array.from(
    readFileSync(join(folder, '../../sdk-types/host_errors.def'), 'utf8').matchAll(
      /^HOST_ERROR\((\w+), (\w+), "(.*)"\)$/gm,
    ),
    ([, code, cls, message]) => [code, { cls, message }],
  ),
);

/** A module as the build makes it. */
async function bundle(name: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(folder, `${name}.ts`)],
    write: false,
    bundle: true,
    format: 'esm',
    minify: true,
    target: 'es2023',
    external: ['fairlead:native'],
  });
  return outputFiles[0]?.text ?? '';
}

const native = `
// Taken now: scripts under test replace what they can reach.
const { TypeError, Error, DOMException } = globalThis;
const { create, getOwnPropertyDescriptor, getOwnPropertyDescriptors, getPrototypeOf, assign } = Object;
const { replace } = String.prototype;
const { apply } = Reflect;
const copy = (object) => create(null, getOwnPropertyDescriptors(object));
const prototype = (object) => copy(getPrototypeOf(object));
export const intrinsics = {
  Reflect: copy(Reflect),
  global: { parseInt, parseFloat },
  String: copy(String.prototype),
  Number: copy(Number.prototype),
  Boolean: copy(Boolean.prototype),
  BigInt: copy(BigInt.prototype),
  Symbol: copy(Symbol.prototype),
  Date: copy(Date.prototype),
  RegExp: copy(RegExp.prototype),
  Map: copy(Map.prototype),
  MapIterator: prototype(new Map().entries()),
  Set: copy(Set.prototype),
  SetIterator: prototype(new Set().values()),
  TypedArray: prototype(Uint8Array.prototype),
  ArrayBuffer: copy(ArrayBuffer.prototype),
  toStringTag: Symbol.toStringTag,
};

const errors = ${JSON.stringify(errors)};
export const hostError = (code, ...args) => {
  const row = errors[code];
  if (row.cls !== 'TypeError') throw new Error(code + ' is no TypeError');
  const message = apply(replace, row.message, [/\\{(\\d)\\}/g, (_, index) => {
    if (args[index] === undefined) throw new Error(code + ' has a blank {' + index + '} that nothing fills');
    return args[index];
  }]);
  return assign(new TypeError(message), { code });
};
export const newDomException = (name, message) => new DOMException(message, name);

// What the test sees of the core: host.reported, host.timers, host.now, host.entries.
export const reportException = (error) => { host.reported[host.reported.length] = error; };
export const setTimer = (fn, delayMs) => {
  if (host.atLoad) throw hostError('E_NO_STREAM', 'AbortSignal.timeout');
  host.timers[host.timers.length] = { fn, delayMs };
  return host.timers.length;
};
export const now = () => host.now;
const host = { reported: [], timers: [], now: 0, entries: new Map(), atLoad: false };
const { get } = host.entries;
export const entriesOf = (object) => apply(get, host.entries, [object]);
export const classOf = globalThis.classOf;
delete globalThis.classOf;
export const describeError = (error) => {
  const read = (key) => getOwnPropertyDescriptor(error, key)?.value;
  return (classOf(error) === 'Error' ? 'Error' : 'DOMException') + ': ' + read('message') + ' at test (test.ts:1:1)';
};
globalThis.host = host;
`;

/** A fresh world with one builtin at hand. */
export class Engine {
  readonly #vm: QuickJS;
  readonly #builtin: string;

  private constructor(vm: QuickJS, builtin: string) {
    this.#vm = vm;
    this.#builtin = builtin;
  }

  static async create(builtin: 'events' | 'console'): Promise<Engine> {
    const source = await bundle(builtin);
    const vm = await QuickJS.create({
      wasm,
      intrinsics: Intrinsics.ALL & ~(Intrinsics.WEAK_REF | Intrinsics.PERFORMANCE),
      moduleLoader: { load: (name) => (name === 'fairlead:native' ? native : source) },
    });
    const classOf = vm.newFunction('classOf', (object) => vm.newString(object?.isProxy === true ? 'Proxy' : (object?.className ?? '')));
    vm.setProp(vm.global, 'classOf', classOf);
    classOf.dispose();
    const engine = new Engine(vm, builtin);
    // The core has its own part of the world before any script runs.
    engine.#runModule(`import 'fairlead:native'`);
    return engine;
  }

  /** Runs a script that has not touched the builtin yet. */
  before(script: string): void {
    this.#runModule(script);
  }

  /**
   * The value of a function's body, as JSON would have it. The exports of the builtin are in scope; `host` is what the
   * test sees of the core.
   */
  run<T = unknown>(body: string): T {
    this.#runModule(
      `import * as builtin from '${this.#builtin}';
       const { ${this.#builtin === 'events' ? eventNames : consoleNames} } = builtin;
       globalThis.result = (() => { ${body} })();`,
    );
    const result = this.#vm.global.getProp('result');
    try {
      return this.#vm.dump(result) as T;
    } finally {
      result.dispose();
    }
  }

  /** Bytes of the engine's heap after a collection. */
  heapBytes(): number {
    this.#vm.runGC();
    return this.#vm.getMemoryUsage().memoryUsedSize;
  }

  dispose(): void {
    this.#vm.dispose();
  }

  #runModule(source: string): void {
    const promise = this.#vm.evalCode(source, 'test.js', EvalFlags.TYPE_MODULE);
    this.#vm.executePendingJobs();
    try {
      if (promise.promiseState !== 1) throw new Error(`the script failed: ${this.#failureOf(promise)}`);
    } finally {
      promise.dispose();
    }
  }

  #failureOf(promise: ReturnType<QuickJS['evalCode']>): string {
    const message = this.#vm.newFunction('fail', (reason) => {
      failure = reason?.isError === true ? reason.toString() : String(reason === undefined ? reason : this.#vm.dump(reason));
      return this.#vm.undefined;
    });
    let failure = 'it is pending';
    this.#vm.setProp(this.#vm.global, 'fail', message);
    this.#vm.setProp(this.#vm.global, 'failed', promise);
    this.#vm.evalCode('failed.catch((e) => fail(e instanceof Error ? `${e}\\n${e.stack}` : e))').dispose();
    this.#vm.executePendingJobs();
    message.dispose();
    return failure;
  }
}

const eventNames =
  'Event, EventTarget, AbortController, AbortSignal, createSignal, followSignal, isAbortSignal, signalAborted, signalReason, onAbort';
const consoleNames = 'format, dir, table';
