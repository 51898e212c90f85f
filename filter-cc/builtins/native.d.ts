// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What the core gives to the parts of the script's world that are written in TypeScript. Nobody else can import it.
//
// A builtin is read when a script first touches it, and by then the script may have replaced anything it can reach:
// Array.prototype.push, Map, Symbol, a setter on Object.prototype. So a builtin uses syntax, its own classes and what
// stands here. It reads no global, calls no inherited method, adds to no array, reads no property that may be absent,
// and writes no template literal: for that the engine calls String.prototype.concat.

declare module 'fairlead:native' {
  /** Milliseconds of a clock that never goes back. */
  export function now(): number;

  /**
   * Calls `fn` after `delayMs` in the stream whose code runs now, if that still lives.
   *
   * @throws E_NO_STREAM at load, E_TIMER_LIMIT.
   */
  export function setTimer(fn: () => void, delayMs: number): number;

  /** The error of a row of host_errors.def, its blanks filled with `args`. */
  export function hostError(code: string, ...args: string[]): unknown;

  /** A DOMException, whatever the script has made of the global. */
  export function newDomException(name: string, message: string): unknown;

  /** Logs what a listener threw; the script goes on. */
  export function reportException(error: unknown): void;

  /** What the engine calls the kind of an object: `Map`, `Error`, `Proxy`, `Uint8Array`, `Headers`, … */
  export function classOf(object: object): string;

  /** `Name: message at f (file:line:column) < …` of an error, without running code of the script. */
  export function describeError(error: object): string;

  /**
   * How many entries an object of the host holds, then names and values of the first hundred in turn; undefined for
   * an object that holds none.
   */
  export function entriesOf(object: object): readonly [count: number, ...entries: unknown[]] | undefined;

  /** Names of members and values in turn, which tell what an object of the host is; else undefined. */
  export function membersOf(object: object): readonly unknown[] | undefined;

  /** The exports of builtins/streams.ts. */
  export function streams(): {
    readonly ReadableStream: typeof import('web-streams-polyfill').ReadableStream;
    readonly WritableStream: typeof import('web-streams-polyfill').WritableStream;
    addPrototype(prototype: object): void;
  };

  /** What packs (or unpacks) `gzip`, `deflate` or `deflate-raw`; undefined for another format. */
  export function newCodec(format: string, unpacks: boolean): object | undefined;

  /**
   * The next piece of what a chunk becomes, which is given anew until nothing is left: null. Then, when all chunks
   * have been given, the same without a chunk for the end. It looks at the CPU limit.
   *
   * @throws E_COMPRESSION for data that is not of the format, or a chunk that is no BufferSource.
   */
  export function runCodec(codec: object, chunk?: unknown): Uint8Array | null;

  /** The engine's own functions, made anew. Methods and getters take their receiver through `apply`. */
  export const intrinsics: {
    readonly Reflect: Pick<
      typeof Reflect,
      | 'apply'
      | 'construct'
      | 'defineProperty'
      | 'getOwnPropertyDescriptor'
      | 'getPrototypeOf'
      | 'ownKeys'
      | 'setPrototypeOf'
    >;
    readonly global: { readonly parseInt: typeof parseInt; readonly parseFloat: typeof parseFloat };
    readonly String: Pick<string, 'concat' | 'indexOf' | 'slice' | 'valueOf'>;
    readonly Number: Pick<number, 'valueOf'>;
    readonly Boolean: Pick<boolean, 'valueOf'>;
    readonly BigInt: Pick<bigint, 'valueOf'>;
    readonly Symbol: Pick<symbol, 'toString' | 'valueOf'>;
    readonly Date: Pick<Date, 'getTime' | 'toISOString'>;
    /** Only its getters are of use: they are read with getOwnPropertyDescriptor. */
    readonly RegExp: object;
    readonly Map: Pick<Map<unknown, unknown>, 'entries'>;
    readonly MapIterator: Pick<MapIterator<[unknown, unknown]>, 'next'>;
    readonly Set: Pick<Set<unknown>, 'values'>;
    readonly SetIterator: Pick<SetIterator<unknown>, 'next'>;
    readonly TypedArray: object;
    readonly ArrayBuffer: object;
    readonly toStringTag: typeof Symbol.toStringTag;
  };
}
