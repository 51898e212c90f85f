// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The Streams standard (https://streams.spec.whatwg.org), by web-streams-polyfill, and what the core needs of it.
//
// Unlike other builtins this one reads globals, for the polyfill does: a script that has replaced them before it first
// touches a stream has streams made of the replacements. What the core calls here is prepared for any outcome.

import { intrinsics } from 'fairlead:native';
import {
  ByteLengthQueuingStrategy,
  CountQueuingStrategy,
  ReadableByteStreamController,
  ReadableStream,
  ReadableStreamBYOBReader,
  ReadableStreamBYOBRequest,
  ReadableStreamDefaultController,
  ReadableStreamDefaultReader,
  TransformStream,
  TransformStreamDefaultController,
  WritableStream,
  WritableStreamDefaultController,
  WritableStreamDefaultWriter,
} from 'web-streams-polyfill';

/** What this file uses of the core's TextEncoder and TextDecoder. */
declare const TextEncoder: new () => { readonly encoding: string; encode(text: string): Uint8Array };
declare const TextDecoder: new (
  label?: unknown,
  options?: unknown,
) => {
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  decode(bytes?: unknown, options?: { stream: boolean }): string;
};

const { apply, defineProperty, getOwnPropertyDescriptor } = intrinsics.Reflect;

// A draft of the standard had it.
delete (WritableStreamDefaultController.prototype as { abortReason?: unknown }).abortReason;

// --- TextEncoderStream, TextDecoderStream: https://encoding.spec.whatwg.org/#interface-textencoderstream ---

/** Whether a code unit is the first half of a pair. */
function isHighSurrogate(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return code >= 0xd800 && code <= 0xdbff;
}

class TextEncoderStream {
  readonly #encoder = new TextEncoder();
  readonly #transform: TransformStream<unknown, Uint8Array>;

  constructor() {
    let half = '';
    this.#transform = new TransformStream({
      transform: (chunk, controller) => {
        const text = half + chunk;
        half = isHighSurrogate(text, text.length - 1) ? text.slice(-1) : '';
        const whole = half === '' ? text : text.slice(0, -1);
        if (whole !== '') controller.enqueue(this.#encoder.encode(whole));
      },
      flush: (controller) => {
        if (half !== '') controller.enqueue(this.#encoder.encode(half));
      },
    });
  }

  get encoding(): string {
    return this.#encoder.encoding;
  }

  get readable(): ReadableStream<Uint8Array> {
    return this.#transform.readable;
  }

  get writable(): WritableStream<unknown> {
    return this.#transform.writable;
  }
}

class TextDecoderStream {
  readonly #decoder: InstanceType<typeof TextDecoder>;
  readonly #transform: TransformStream<unknown, string>;

  constructor(label: unknown = undefined, options: unknown = undefined) {
    const decoder = new TextDecoder(label, options);
    const give = (text: string, controller: TransformStreamDefaultController<string>): void => {
      if (text !== '') controller.enqueue(text);
    };
    this.#decoder = decoder;
    this.#transform = new TransformStream({
      transform: (chunk, controller) => give(decoder.decode(chunk, { stream: true }), controller),
      flush: (controller) => give(decoder.decode(), controller),
    });
  }

  get encoding(): string {
    return this.#decoder.encoding;
  }

  get fatal(): boolean {
    return this.#decoder.fatal;
  }

  get ignoreBOM(): boolean {
    return this.#decoder.ignoreBOM;
  }

  get readable(): ReadableStream<string> {
    return this.#transform.readable;
  }

  get writable(): WritableStream<unknown> {
    return this.#transform.writable;
  }
}

for (const { prototype } of [TextEncoderStream, TextDecoderStream]) {
  for (const key of ['encoding', 'fatal', 'ignoreBOM', 'readable', 'writable']) {
    const property = getOwnPropertyDescriptor(prototype, key);
    if (property !== undefined) defineProperty(prototype, key, { ...property, enumerable: true });
  }
}

// The minifier has renamed the classes.
const classes = {
  ByteLengthQueuingStrategy,
  CountQueuingStrategy,
  ReadableByteStreamController,
  ReadableStream,
  ReadableStreamBYOBReader,
  ReadableStreamBYOBRequest,
  ReadableStreamDefaultController,
  ReadableStreamDefaultReader,
  TextDecoderStream,
  TextEncoderStream,
  TransformStream,
  TransformStreamDefaultController,
  WritableStream,
  WritableStreamDefaultController,
  WritableStreamDefaultWriter,
};
for (const [name, constructor] of Object.entries(classes)) {
  defineProperty(constructor, 'name', { value: name });
  defineProperty(constructor.prototype, intrinsics.toStringTag, { value: name, configurable: true });
}

export {
  ByteLengthQueuingStrategy,
  CountQueuingStrategy,
  ReadableByteStreamController,
  ReadableStream,
  ReadableStreamBYOBReader,
  ReadableStreamBYOBRequest,
  ReadableStreamDefaultController,
  ReadableStreamDefaultReader,
  TextDecoderStream,
  TextEncoderStream,
  TransformStream,
  TransformStreamDefaultController,
  WritableStream,
  WritableStreamDefaultController,
  WritableStreamDefaultWriter,
};

// --- For the core; see streams.h ---

// A script can replace the methods.
const { cancel: cancelStream, getReader, pipeThrough, tee } = ReadableStream.prototype;
const { cancel, read } = ReadableStreamDefaultReader.prototype;
const { get: lockedOf } = getOwnPropertyDescriptor(ReadableStream.prototype, 'locked')!;
const encoder = new TextEncoder();

const { isPrototypeOf } = Object.prototype;
const prototypes = Object.values(classes).map(({ prototype }) => prototype);

type AnyStream = ReadableStream<unknown>;

/** Counts the objects of a class of another builtin among those that are made here. */
export function addPrototype(prototype: object): void {
  prototypes[prototypes.length] = prototype as (typeof prototypes)[number];
}

/** Whether an object is one of those that are made here. */
export function isStreamObject(value: unknown): boolean {
  for (const prototype of prototypes) if (apply(isPrototypeOf, prototype, [value])) return true;
  return false;
}

/** 0 for what is no stream, else 1, and 2 when it is locked, 4 when something has been read of it. */
export function stateOf(value: unknown): number {
  try {
    const isLocked = apply(lockedOf!, value, []) as boolean;
    return 1 + (isLocked ? 2 : 0) + ((value as { _disturbed: boolean })._disturbed ? 4 : 0);
  } catch {
    return 0;
  }
}

/** A stream as it is, one of what an async iterable gives, and undefined for other values. */
export function streamOf(value: object): AnyStream | undefined {
  if (stateOf(value) !== 0) return value as AnyStream;
  const iterable = value as Partial<AsyncIterable<unknown>>;
  if (typeof iterable[Symbol.asyncIterator] !== 'function') return undefined;
  const iterator = iterable[Symbol.asyncIterator]!();
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value: piece } = await iterator.next();
        if (done === true) controller.close();
        else controller.enqueue(typeof piece === 'string' ? encoder.encode(piece) : piece);
      },
      async cancel(reason) {
        await iterator.return?.(reason);
      },
    },
    { highWaterMark: 0 },
  );
}

/** The stream of a body in the core: `next` gives bytes, null at the end, or a promise: ask again when it has settled. */
export function bodyStream(
  next: () => Uint8Array<ArrayBuffer> | Promise<void> | null,
  cancelBody: (reason: unknown) => void,
): AnyStream {
  return new ReadableStream(
    {
      type: 'bytes',
      async pull(controller) {
        let piece = next();
        while (piece !== null && !('byteLength' in piece)) {
          await piece;
          piece = next();
        }
        if (piece !== null) {
          controller.enqueue(piece);
        } else {
          controller.close();
          controller.byobRequest?.respond(0);
        }
      },
      cancel: cancelBody,
    },
    { highWaterMark: 0 },
  );
}

/** A stream that is read, with nothing left in it. */
export function usedStream(): AnyStream {
  const stream = new ReadableStream({
    start(controller) {
      controller.close();
    },
  });
  apply(read, apply(getReader, stream, []), []);
  return stream;
}

/** Two streams of the same, for a message and its clone. */
export function teed(stream: AnyStream): [AnyStream, AnyStream] {
  return apply(tee, stream, []);
}

/** The stream under another name: who has the old one can read it no more. */
export function handedOver(stream: AnyStream): AnyStream {
  return apply(pipeThrough, stream, [new TransformStream() as never]);
}

/**
 * Reads a stream: `write` takes each piece and may give a promise of when the next shall come; `end` or `fail` is the
 * last to be called. Gives the function that stops it, after which none is called.
 */
export function pump(
  stream: AnyStream,
  write: (piece: unknown) => Promise<void> | undefined,
  end: () => void,
  fail: (reason: unknown) => void,
): (reason: unknown) => void {
  const reader = apply(getReader, stream, []) as ReadableStreamDefaultReader<unknown>;
  let isStopped = false;
  const stop = (reason: unknown): void => {
    isStopped = true;
    apply(cancel, reader, [reason]).catch(() => {});
  };
  const run = async (): Promise<void> => {
    for (;;) {
      const { done, value } = await apply(read, reader, []);
      if (isStopped) return;
      if (done) return end();
      await write(value);
      if (isStopped) return;
    }
  };
  run().catch((reason: unknown) => {
    if (isStopped) return;
    stop(reason);
    fail(reason);
  });
  return stop;
}

/** Tells the source of a stream that nobody wants it. */
export function discard(stream: AnyStream): void {
  apply(cancelStream, stream, [undefined]).catch(() => {});
}
