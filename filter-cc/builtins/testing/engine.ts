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
const wasm = await WebAssembly.compile(readFileSync(fileURLToPath(import.meta.resolve('quickjs-wasi/quickjs.wasm'))));
const errors = Object.fromEntries(
  Array.from(
    readFileSync(join(folder, '../../sdk-types/host_errors.def'), 'utf8').matchAll(
      /^HOST_ERROR\((\w+), (\w+), "(.*)"\)$/gm,
    ),
    ([, code, cls, message]) => [code, { cls, message }],
  ),
);

type BuiltinName = 'events' | 'console';

/** A module as the build makes it. */
async function bundle(name: BuiltinName): Promise<string> {
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

const sources = { events: await bundle('events'), console: await bundle('console') };

/** What each exports. */
const exportNames = {
  events:
    'Event, EventTarget, AbortController, AbortSignal, createSignal, followSignal, isAbortSignal, signalAborted, ' +
    'signalReason, onAbort',
  console: 'format, dir, table',
};

const native = `
// Taken now: scripts under test replace what they can reach.
const { TypeError, Error, DOMException } = globalThis;
const { create, getOwnPropertyDescriptor, getOwnPropertyDescriptors, getPrototypeOf, defineProperty } = Object;
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
  if (row.cls !== 'TypeError' && row.cls !== 'AbortError') throw new Error(code + ' is a ' + row.cls);
  const message = apply(replace, row.message, [/\\{(\\d)\\}/g, (_, index) => {
    if (args[index] === undefined) throw new Error(code + ' has a blank {' + index + '} that nothing fills');
    return args[index];
  }]);
  const error = row.cls === 'TypeError' ? new TypeError(message) : new DOMException(message, row.cls);
  return defineProperty(error, 'code', { __proto__: null, value: code, writable: true, configurable: true });
};
export const newDomException = (name, message) => new DOMException(message, name);

// What the test sees of the core: host.reported, host.timers, host.now, host.entries, host.members.
export const reportException = (error) => { host.reported[host.reported.length] = error; };
export const setTimer = (fn, delayMs) => {
  if (host.atLoad) throw hostError('E_NO_STREAM', 'AbortSignal.timeout');
  host.timers[host.timers.length] = { fn, delayMs };
  return host.timers.length;
};
export const now = () => host.now;
const host = { reported: [], timers: [], now: 0, entries: new Map(), members: new Map(), atLoad: false };
const { get } = host.entries;
export const entriesOf = (object) => apply(get, host.entries, [object]);
export const membersOf = (object) => apply(get, host.members, [object]);
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
  readonly #builtin: BuiltinName;

  private constructor(vm: QuickJS, builtin: BuiltinName) {
    this.#vm = vm;
    this.#builtin = builtin;
  }

  static async create(builtin: BuiltinName): Promise<Engine> {
    const vm = await QuickJS.create({
      wasm,
      intrinsics: Intrinsics.ALL & ~(Intrinsics.WEAK_REF | Intrinsics.PERFORMANCE),
      moduleLoader: { load: (name: string) => (name === 'fairlead:native' ? native : sources[builtin]) },
    });
    const classOf = vm.newFunction('classOf', (object) =>
      vm.newString(object?.isProxy === true ? 'Proxy' : (object?.className ?? '')),
    );
    vm.setProp(vm.global, 'classOf', classOf);
    classOf.dispose();
    const engine = new Engine(vm, builtin);
    // The core has its part of the world before any script runs.
    engine.before(`import 'fairlead:native'`);
    return engine;
  }

  /** Runs a module that does not touch the builtin. */
  before(source: string): void {
    const promise = this.#vm.evalCode(source, 'test.js', EvalFlags.TYPE_MODULE);
    this.#vm.executePendingJobs();
    this.#vm.setProp(this.#vm.global, 'outcome', promise);
    const fulfilled = promise.promiseState === 1;
    promise.dispose();
    if (!fulfilled) throw new Error(`the script failed: ${this.#failure()}`);
  }

  /**
   * What the body of a function returns. The exports of the builtin are in scope; `host` is what a test sees of the
   * core.
   */
  run<T = unknown>(body: string): T {
    this.before(`
      import * as builtin from 'fairlead:${this.#builtin}';
      const { ${exportNames[this.#builtin]} } = builtin;
      globalThis.result = (() => { ${body} })();`);
    const result = this.#vm.global.getProp('result');
    try {
      return this.#vm.dump(result) as T;
    } finally {
      result.dispose();
    }
  }

  /** Bytes of the heap now; nothing is collected but what reference counts free. */
  heapBytes(): number {
    return this.#vm.getMemoryUsage().memoryUsedSize;
  }

  /** Frees cycles. */
  collect(): void {
    this.#vm.runGC();
  }

  dispose(): void {
    this.#vm.dispose();
  }

  #failure(): string {
    const script = 'outcome.catch((e) => { globalThis.result = e instanceof Error ? e + "\\n" + e.stack : e })';
    this.#vm.evalCode(script).dispose();
    this.#vm.executePendingJobs();
    const result = this.#vm.global.getProp('result');
    const failure = String(this.#vm.dump(result));
    result.dispose();
    return failure;
  }
}
