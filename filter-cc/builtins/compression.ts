// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The Compression standard (https://compression.spec.whatwg.org) over the core's zlib.
//
// As builtins/streams.ts it reads globals. A chunk of a few kilobytes can become gigabytes, so unlike the standard's
// transform this one waits, within a chunk, for a reader that is far behind: what nobody reads is not made.

import { hostError, intrinsics, newCodec, runCodec, streams } from 'fairlead:native';
import type {
  ReadableStream,
  ReadableStreamDefaultController,
  WritableStream,
  WritableStreamDefaultController,
} from 'web-streams-polyfill';

const { ReadableStream: Readable, WritableStream: Writable, addPrototype } = streams();
const { defineProperty, getOwnPropertyDescriptor } = intrinsics.Reflect;

/** How many pieces may wait for the reader. */
const maxPiecesAhead = 32;

interface Pair {
  readonly readable: ReadableStream<Uint8Array>;
  readonly writable: WritableStream<unknown>;
}

function newPair(name: string, unpacks: boolean, args: readonly unknown[]): Pair {
  if (args.length === 0) throw hostError('E_MISSING_ARGUMENT', name, '1');
  const codec = newCodec(args[0] as string, unpacks);
  if (codec === undefined) throw hostError('E_ARGUMENT', name, '1', 'gzip, deflate or deflate-raw');

  let output!: ReadableStreamDefaultController<Uint8Array>;
  let input!: WritableStreamDefaultController;
  /** A read waits for a piece. */
  let isWanted = false;
  /** One side has failed or left. */
  let isOver = false;
  let wake = (): void => {};
  const demand = async (): Promise<void> => {
    while (!isWanted && !isOver) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
  };
  const leave = (): void => {
    isOver = true;
    wake();
  };
  /** Gives all that a chunk becomes; without one, what is left at the end. */
  const give = async (chunk?: unknown): Promise<void> => {
    try {
      for (let piece; !isOver && (piece = runCodec(codec, chunk)) !== null; ) {
        isWanted = false;
        output.enqueue(piece);
        if (output.desiredSize! <= -maxPiecesAhead) await demand();
      }
    } catch (error) {
      leave();
      output.error(error);
      throw error;
    }
  };
  return {
    readable: new Readable<Uint8Array>(
      {
        start(controller) {
          output = controller;
        },
        pull() {
          isWanted = true;
          wake();
        },
        cancel(reason) {
          leave();
          input.error(reason);
        },
      },
      { highWaterMark: 0 },
    ),
    writable: new Writable<unknown>({
      start(controller) {
        input = controller;
      },
      async write(chunk) {
        await demand();
        // What is undefined would be the end.
        await give(chunk === undefined ? null : chunk);
      },
      async close() {
        await give();
        if (!isOver) output.close();
      },
      abort(reason) {
        leave();
        output.error(reason);
      },
    }),
  };
}

class CompressionStream {
  readonly #pair: Pair;

  // Of its one argument absent is not undefined.
  constructor(format: string);
  constructor(...args: [string]) {
    this.#pair = newPair('CompressionStream', false, args);
  }

  get readable(): ReadableStream<Uint8Array> {
    return this.#pair.readable;
  }

  get writable(): WritableStream<unknown> {
    return this.#pair.writable;
  }
}

class DecompressionStream {
  readonly #pair: Pair;

  constructor(format: string);
  constructor(...args: [string]) {
    this.#pair = newPair('DecompressionStream', true, args);
  }

  get readable(): ReadableStream<Uint8Array> {
    return this.#pair.readable;
  }

  get writable(): WritableStream<unknown> {
    return this.#pair.writable;
  }
}

/** What the minifier and the syntax of classes leave to do. */
function finish(constructor: { readonly prototype: object }, name: string): void {
  const { prototype } = constructor;
  defineProperty(constructor, 'name', { value: name, configurable: true });
  defineProperty(constructor, 'length', { value: 1, configurable: true });
  defineProperty(prototype, intrinsics.toStringTag, { value: name, configurable: true });
  defineProperty(prototype, 'readable', { ...getOwnPropertyDescriptor(prototype, 'readable'), enumerable: true });
  defineProperty(prototype, 'writable', { ...getOwnPropertyDescriptor(prototype, 'writable'), enumerable: true });
  addPrototype(prototype);
}

finish(CompressionStream, 'CompressionStream');
finish(DecompressionStream, 'DecompressionStream');

export { CompressionStream, DecompressionStream };
