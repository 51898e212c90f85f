// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The part of the WebAssembly API that Node.js has and @types/node leaves out.

declare namespace WebAssembly {
  interface Memory {
    /** Replaced when the memory grows: never keep it over a call. */
    readonly buffer: ArrayBuffer;
  }
  interface Instance {
    readonly exports: Record<string, unknown>;
  }
  class RuntimeError extends Error {}
  function compile(bytes: Uint8Array): Promise<Module>;
  function instantiate(module: Module, imports: object): Promise<Instance>;
}
