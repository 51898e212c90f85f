// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The Streams standard, and the encoding streams. What they throw beside the script's own errors are TypeErrors and
// RangeErrors without a code.

/**
 * How much a stream holds before it asks its source to wait.
 *
 * @since 1
 */
interface QueuingStrategy<T = any> {
  /**
   * From which size on what is held is enough; by default 1, for a byte stream and the readable side of a
   * TransformStream 0.
   *
   * @since 1
   */
  highWaterMark?: number | undefined;

  /**
   * The size of a chunk; by default 1 for each.
   *
   * @since 1
   */
  size?: ((chunk: T) => number) | undefined;
}

/**
 * What a strategy is made of.
 *
 * @since 1
 */
interface QueuingStrategyInit {
  /**
   * From which size on what is held is enough.
   *
   * @since 1
   */
  highWaterMark: number;
}

/**
 * Where the chunks of a ReadableStream come from.
 *
 * @since 1
 */
interface UnderlyingSource<R = any> {
  /**
   * Absent: chunks are any values.
   *
   * @since 1
   */
  type?: undefined;

  /**
   * Called at once; the stream asks for chunks when what it gives has settled.
   *
   * @since 1
   */
  start?: ((controller: ReadableStreamDefaultController<R>) => unknown) | undefined;

  /**
   * Called when the stream wants more; not again until what it gives has settled.
   *
   * @since 1
   */
  pull?: ((controller: ReadableStreamDefaultController<R>) => void | PromiseLike<void>) | undefined;

  /**
   * Called when nobody wants the rest.
   *
   * @since 1
   */
  cancel?: ((reason: unknown) => void | PromiseLike<void>) | undefined;
}

/**
 * Where the bytes of a ReadableStream come from.
 *
 * @since 1
 */
interface UnderlyingByteSource {
  /**
   * Chunks are bytes, and can be read into a buffer of the reader.
   *
   * @since 1
   */
  type: 'bytes';

  /**
   * The size of the buffers that are made for readers without one, so that `byobRequest` is always there.
   *
   * @since 1
   */
  autoAllocateChunkSize?: number | undefined;

  /**
   * Called at once; the stream asks for bytes when what it gives has settled.
   *
   * @since 1
   */
  start?: ((controller: ReadableByteStreamController) => unknown) | undefined;

  /**
   * Called when the stream wants more; not again until what it gives has settled.
   *
   * @since 1
   */
  pull?: ((controller: ReadableByteStreamController) => void | PromiseLike<void>) | undefined;

  /**
   * Called when nobody wants the rest.
   *
   * @since 1
   */
  cancel?: ((reason: unknown) => void | PromiseLike<void>) | undefined;
}

/**
 * Where the chunks of a WritableStream go.
 *
 * @since 1
 */
interface UnderlyingSink<W = any> {
  /**
   * Reserved by the standard.
   *
   * @since 1
   */
  type?: undefined;

  /**
   * Called at once; the first chunk comes when what it gives has settled.
   *
   * @since 1
   */
  start?: ((controller: WritableStreamDefaultController) => unknown) | undefined;

  /**
   * Takes a chunk; the next one comes when what it gives has settled.
   *
   * @since 1
   */
  write?: ((chunk: W, controller: WritableStreamDefaultController) => void | PromiseLike<void>) | undefined;

  /**
   * Called behind the last chunk.
   *
   * @since 1
   */
  close?: (() => void | PromiseLike<void>) | undefined;

  /**
   * Called when the writer gives up.
   *
   * @since 1
   */
  abort?: ((reason: unknown) => void | PromiseLike<void>) | undefined;
}

/**
 * What happens between the two sides of a TransformStream.
 *
 * @since 1
 */
interface Transformer<I = any, O = any> {
  /**
   * Reserved by the standard.
   *
   * @since 1
   */
  readableType?: undefined;

  /**
   * Reserved by the standard.
   *
   * @since 1
   */
  writableType?: undefined;

  /**
   * Called at once; the first chunk comes when what it gives has settled.
   *
   * @since 1
   */
  start?: ((controller: TransformStreamDefaultController<O>) => unknown) | undefined;

  /**
   * Takes a chunk and enqueues what becomes of it; by default the chunk itself.
   *
   * @since 1
   */
  transform?: ((chunk: I, controller: TransformStreamDefaultController<O>) => void | PromiseLike<void>) | undefined;

  /**
   * Called behind the last chunk: enqueues what is still held.
   *
   * @since 1
   */
  flush?: ((controller: TransformStreamDefaultController<O>) => void | PromiseLike<void>) | undefined;

  /**
   * Called when either side is given up.
   *
   * @since 1
   */
  cancel?: ((reason: unknown) => void | PromiseLike<void>) | undefined;
}

/**
 * What `pipeThrough` takes: a TransformStream, or two streams that belong together.
 *
 * @since 1
 */
interface ReadableWritablePair<R = any, W = any> {
  /**
   * What comes out.
   *
   * @since 1
   */
  readable: ReadableStream<R>;

  /**
   * What goes in.
   *
   * @since 1
   */
  writable: WritableStream<W>;
}

/**
 * How a pipe passes on that a side has ended.
 *
 * @since 1
 */
interface StreamPipeOptions {
  /**
   * Whether an error of the source leaves the destination as it is; by default false.
   *
   * @since 1
   */
  preventAbort?: boolean | undefined;

  /**
   * Whether an error of the destination leaves the source as it is; by default false.
   *
   * @since 1
   */
  preventCancel?: boolean | undefined;

  /**
   * Whether the end of the source leaves the destination open; by default false.
   *
   * @since 1
   */
  preventClose?: boolean | undefined;

  /**
   * Ends the pipe when it is aborted.
   *
   * @since 1
   */
  signal?: AbortSignal | undefined;
}

/**
 * What `read` gives: a chunk, or that there is none any more.
 *
 * @since 1
 */
type ReadableStreamReadResult<T> = { done: false; value: T } | { done: true; value: T | undefined };

/**
 * Which reader `getReader` makes.
 *
 * @since 1
 */
interface ReadableStreamGetReaderOptions {
  /**
   * `byob` for one that reads into a buffer of the caller; of byte streams only.
   *
   * @since 1
   */
  mode?: 'byob' | undefined;
}

/**
 * How an iteration ends.
 *
 * @since 1
 */
interface ReadableStreamIteratorOptions {
  /**
   * Whether the stream stays as it is when the loop is left early; by default it is cancelled.
   *
   * @since 1
   */
  preventCancel?: boolean | undefined;
}

/**
 * How a buffer is filled.
 *
 * @since 1
 */
interface ReadableStreamReadOptions {
  /**
   * How many elements must be there before `read` gives them; by default 1.
   *
   * @since 1
   */
  min?: number | undefined;
}

/**
 * Chunks that are read one by one, as they come. `for await (const chunk of stream)` reads them all.
 *
 * @see https://streams.spec.whatwg.org/#rs-class
 * @since 1
 */
interface ReadableStream<R = any> {
  /**
   * Whether a reader holds the stream.
   *
   * @see https://streams.spec.whatwg.org/#rs-locked
   * @phase Always
   * @since 1
   * @example
   * const isRead = new Response("a").body?.locked ?? false;
   */
  readonly locked: boolean;

  /**
   * Gives the rest up and tells the source. That of a fetched body cancels its call.
   *
   * @see https://streams.spec.whatwg.org/#rs-cancel
   * @phase Always
   * @since 1
   * @example
   * await new Response("a").body?.cancel();
   */
  cancel(reason?: unknown): Promise<void>;

  /**
   * A reader; until it lets go nobody else can read. With `mode: "byob"` the reader of a byte stream, a
   * ReadableStreamBYOBReader.
   *
   * @see https://streams.spec.whatwg.org/#rs-get-reader
   * @phase Always
   * @since 1
   * @example
   * const reader = new ReadableStream<string>().getReader();
   * reader.releaseLock();
   */
  getReader(options?: ReadableStreamGetReaderOptions): ReadableStreamDefaultReader<R>;

  /**
   * What comes of the stream behind a transform. A slow reader makes the source wait.
   *
   * @see https://streams.spec.whatwg.org/#rs-pipe-through
   * @phase Always
   * @since 1
   * @example
   * const answer = await fetch("http://files/list");
   * const text = answer.body?.pipeThrough(new TextDecoderStream());
   */
  pipeThrough<T>(transform: ReadableWritablePair<T, R>, options?: StreamPipeOptions): ReadableStream<T>;

  /**
   * Writes all chunks to a WritableStream; settles with the end.
   *
   * @see https://streams.spec.whatwg.org/#rs-pipe-to
   * @phase Always
   * @since 1
   * @example
   * await new ReadableStream<string>({ start: (it) => it.close() }).pipeTo(new WritableStream());
   */
  pipeTo(destination: WritableStream<R>, options?: StreamPipeOptions): Promise<void>;

  /**
   * Two streams of the same chunks, in the place of this one. What one has read is held for the other.
   *
   * @see https://streams.spec.whatwg.org/#rs-tee
   * @phase Always
   * @since 1
   * @example
   * const [one, other] = new ReadableStream<string>().tee();
   */
  tee(): [ReadableStream<R>, ReadableStream<R>];

  /**
   * Iterates over the chunks.
   *
   * @see https://streams.spec.whatwg.org/#rs-asynciterator
   * @phase Always
   * @since 1
   * @example
   * const stream = new Response("a").body;
   * if (stream !== null) for await (const chunk of stream.values()) console.debug(chunk.length);
   */
  values(options?: ReadableStreamIteratorOptions): AsyncIterableIterator<R>;

  /**
   * The same as `values()`: what `for await (const chunk of stream)` walks.
   *
   * @see https://streams.spec.whatwg.org/#rs-asynciterator
   * @phase Always
   * @since 1
   * @example
   * const stream = new Response("a").body;
   * if (stream !== null) for await (const chunk of stream) console.debug(chunk.length);
   */
  [Symbol.asyncIterator](options?: ReadableStreamIteratorOptions): AsyncIterableIterator<R>;
}

declare var ReadableStream: {
  readonly prototype: ReadableStream;

  /**
   * A stream of what a source gives.
   *
   * @see https://streams.spec.whatwg.org/#rs-constructor
   * @phase Always
   * @since 1
   * @example
   * const numbers = new ReadableStream<number>({
   *   start(controller) {
   *     controller.enqueue(1);
   *     controller.close();
   *   },
   * });
   */
  new <R = any>(source?: UnderlyingSource<R>, strategy?: QueuingStrategy<R>): ReadableStream<R>;

  /**
   * A stream of bytes: `type` is `bytes`.
   *
   * @see https://streams.spec.whatwg.org/#rs-constructor
   * @phase Always
   * @since 1
   * @example
   * const bytes = new ReadableStream({ type: "bytes", pull: (controller) => controller.enqueue(new Uint8Array(8)) });
   */
  new (source?: UnderlyingByteSource, strategy?: QueuingStrategy<ArrayBufferView>): ReadableStream<Uint8Array<ArrayBuffer>>;

  /**
   * A stream of what an iterable gives; cancelling it ends the iteration.
   *
   * @see https://streams.spec.whatwg.org/#rs-from
   * @phase Always
   * @since 1
   * @example
   * const letters = ReadableStream.from(["a", "b"]);
   */
  from<R>(iterable: Iterable<R> | AsyncIterable<R>): ReadableStream<R>;
};

/**
 * Reads the chunks of a stream, which is locked until it lets go.
 *
 * @see https://streams.spec.whatwg.org/#default-reader-class
 * @since 1
 */
interface ReadableStreamDefaultReader<R = any> {
  /**
   * Settles when the stream has ended or failed, or the reader has let go.
   *
   * @see https://streams.spec.whatwg.org/#generic-reader-closed
   * @phase Always
   * @since 1
   * @example
   * await ReadableStream.from([]).getReader().closed;
   */
  readonly closed: Promise<undefined>;

  /**
   * Gives the rest of the stream up.
   *
   * @see https://streams.spec.whatwg.org/#generic-reader-cancel
   * @phase Always
   * @since 1
   * @example
   * await ReadableStream.from(["a"]).getReader().cancel();
   */
  cancel(reason?: unknown): Promise<void>;

  /**
   * The next chunk.
   *
   * @see https://streams.spec.whatwg.org/#default-reader-read
   * @phase Always
   * @since 1
   * @example
   * const { done, value } = await ReadableStream.from(["a"]).getReader().read();
   */
  read(): Promise<ReadableStreamReadResult<R>>;

  /**
   * Lets go of the stream; reads that wait are rejected with a TypeError.
   *
   * @see https://streams.spec.whatwg.org/#default-reader-release-lock
   * @phase Always
   * @since 1
   * @example
   * ReadableStream.from(["a"]).getReader().releaseLock();
   */
  releaseLock(): void;
}

declare var ReadableStreamDefaultReader: {
  readonly prototype: ReadableStreamDefaultReader;

  /**
   * A reader of the stream, as `getReader()` gives it.
   *
   * @see https://streams.spec.whatwg.org/#default-reader-constructor
   * @phase Always
   * @since 1
   * @example
   * const reader = new ReadableStreamDefaultReader(ReadableStream.from(["a"]));
   */
  new <R = any>(stream: ReadableStream<R>): ReadableStreamDefaultReader<R>;
};

/**
 * Reads a byte stream into buffers that the caller brings.
 *
 * @see https://streams.spec.whatwg.org/#byob-reader-class
 * @since 1
 */
interface ReadableStreamBYOBReader {
  /**
   * Settles when the stream has ended or failed, or the reader has let go.
   *
   * @see https://streams.spec.whatwg.org/#generic-reader-closed
   * @phase Always
   * @since 1
   * @example
   * const bytes = new ReadableStream({ type: "bytes", start: (it) => it.close() });
   * await new ReadableStreamBYOBReader(bytes).closed;
   */
  readonly closed: Promise<undefined>;

  /**
   * Gives the rest of the stream up.
   *
   * @see https://streams.spec.whatwg.org/#generic-reader-cancel
   * @phase Always
   * @since 1
   * @example
   * await new ReadableStreamBYOBReader(new ReadableStream({ type: "bytes" })).cancel();
   */
  cancel(reason?: unknown): Promise<void>;

  /**
   * Fills the buffer, which is transferred: the filled one comes with the answer, as large as what was read.
   *
   * @see https://streams.spec.whatwg.org/#byob-reader-read
   * @phase Always
   * @since 1
   * @example
   * const bytes = new ReadableStream({ type: "bytes", start: (it) => it.enqueue(new Uint8Array(8)) });
   * const { value } = await new ReadableStreamBYOBReader(bytes).read(new Uint8Array(4));
   */
  read<T extends ArrayBufferView>(view: T, options?: ReadableStreamReadOptions): Promise<ReadableStreamReadResult<T>>;

  /**
   * Lets go of the stream; reads that wait are rejected with a TypeError.
   *
   * @see https://streams.spec.whatwg.org/#byob-reader-release-lock
   * @phase Always
   * @since 1
   * @example
   * new ReadableStreamBYOBReader(new ReadableStream({ type: "bytes" })).releaseLock();
   */
  releaseLock(): void;
}

declare var ReadableStreamBYOBReader: {
  readonly prototype: ReadableStreamBYOBReader;

  /**
   * A reader of a byte stream, as `getReader({ mode: "byob" })` gives it.
   *
   * @see https://streams.spec.whatwg.org/#byob-reader-constructor
   * @phase Always
   * @since 1
   * @example
   * const reader = new ReadableStreamBYOBReader(new ReadableStream({ type: "bytes" }));
   */
  new (stream: ReadableStream): ReadableStreamBYOBReader;
};

/**
 * With which a source fills its stream.
 *
 * @see https://streams.spec.whatwg.org/#rs-default-controller-class
 * @since 1
 */
interface ReadableStreamDefaultController<R = any> {
  /**
   * How much more is wanted; 0 or less when it is enough, null when the stream has failed.
   *
   * @see https://streams.spec.whatwg.org/#rs-default-controller-desired-size
   * @phase Always
   * @since 1
   * @example
   * new ReadableStream({ pull: (controller) => console.debug(controller.desiredSize) });
   */
  readonly desiredSize: number | null;

  /**
   * Ends the stream; what is held can still be read.
   *
   * @see https://streams.spec.whatwg.org/#rs-default-controller-close
   * @phase Always
   * @since 1
   * @example
   * new ReadableStream({ start: (controller) => controller.close() });
   */
  close(): void;

  /**
   * Gives the stream a chunk.
   *
   * @see https://streams.spec.whatwg.org/#rs-default-controller-enqueue
   * @phase Always
   * @since 1
   * @example
   * new ReadableStream<string>({ start: (controller) => controller.enqueue("a") });
   */
  enqueue(chunk?: R): void;

  /**
   * Makes the stream fail; what is held is lost.
   *
   * @see https://streams.spec.whatwg.org/#rs-default-controller-error
   * @phase Always
   * @since 1
   * @example
   * new ReadableStream({ start: (controller) => controller.error(new Error("broken")) });
   */
  error(reason?: unknown): void;
}

declare var ReadableStreamDefaultController: {
  readonly prototype: ReadableStreamDefaultController;
};

/**
 * With which a source fills its byte stream.
 *
 * @see https://streams.spec.whatwg.org/#rbs-controller-class
 * @since 1
 */
interface ReadableByteStreamController {
  /**
   * The buffer of a reader that waits; null when there is none.
   *
   * @see https://streams.spec.whatwg.org/#rbs-controller-byob-request
   * @phase Always
   * @since 1
   * @example
   * new ReadableStream({ type: "bytes", pull: (controller) => controller.byobRequest?.respond(1) });
   */
  readonly byobRequest: ReadableStreamBYOBRequest | null;

  /**
   * How many bytes more are wanted; 0 or less when it is enough, null when the stream has failed.
   *
   * @see https://streams.spec.whatwg.org/#rbs-controller-desired-size
   * @phase Always
   * @since 1
   * @example
   * new ReadableStream({ type: "bytes", pull: (controller) => console.debug(controller.desiredSize) });
   */
  readonly desiredSize: number | null;

  /**
   * Ends the stream; what is held can still be read.
   *
   * @see https://streams.spec.whatwg.org/#rbs-controller-close
   * @phase Always
   * @since 1
   * @example
   * new ReadableStream({ type: "bytes", start: (controller) => controller.close() });
   */
  close(): void;

  /**
   * Gives the stream bytes; the buffer is transferred.
   *
   * @see https://streams.spec.whatwg.org/#rbs-controller-enqueue
   * @phase Always
   * @since 1
   * @example
   * new ReadableStream({ type: "bytes", start: (controller) => controller.enqueue(new Uint8Array(2)) });
   */
  enqueue(chunk: ArrayBufferView): void;

  /**
   * Makes the stream fail; what is held is lost.
   *
   * @see https://streams.spec.whatwg.org/#rbs-controller-error
   * @phase Always
   * @since 1
   * @example
   * new ReadableStream({ type: "bytes", start: (controller) => controller.error(new Error("broken")) });
   */
  error(reason?: unknown): void;
}

declare var ReadableByteStreamController: {
  readonly prototype: ReadableByteStreamController;
};

/**
 * A buffer that a reader of a byte stream has brought.
 *
 * @see https://streams.spec.whatwg.org/#rs-byob-request-class
 * @since 1
 */
interface ReadableStreamBYOBRequest {
  /**
   * Where the bytes go; null when they are there.
   *
   * @see https://streams.spec.whatwg.org/#rs-byob-request-view
   * @phase Always
   * @since 1
   * @example
   * new ReadableStream({ type: "bytes", pull: (controller) => console.debug(controller.byobRequest?.view) });
   */
  readonly view: ArrayBufferView | null;

  /**
   * So many bytes have been written into the view.
   *
   * @see https://streams.spec.whatwg.org/#rs-byob-request-respond
   * @phase Always
   * @since 1
   * @example
   * new ReadableStream({ type: "bytes", pull: (controller) => controller.byobRequest?.respond(1) });
   */
  respond(bytesWritten: number): void;

  /**
   * The bytes are in another view of the same memory.
   *
   * @see https://streams.spec.whatwg.org/#rs-byob-request-respond-with-new-view
   * @phase Always
   * @since 1
   * @example
   * new ReadableStream({
   *   type: "bytes",
   *   pull(controller) {
   *     const view = controller.byobRequest?.view;
   *     if (view) controller.byobRequest?.respondWithNewView(new Uint8Array(view.buffer, view.byteOffset, 1));
   *   },
   * });
   */
  respondWithNewView(view: ArrayBufferView): void;
}

declare var ReadableStreamBYOBRequest: {
  readonly prototype: ReadableStreamBYOBRequest;
};

/**
 * Takes chunks one by one.
 *
 * @see https://streams.spec.whatwg.org/#ws-class
 * @since 1
 */
interface WritableStream<W = any> {
  /**
   * Whether a writer holds the stream.
   *
   * @see https://streams.spec.whatwg.org/#ws-locked
   * @phase Always
   * @since 1
   * @example
   * const isWritten = new WritableStream().locked;
   */
  readonly locked: boolean;

  /**
   * Gives up: what is held is lost, and the sink is told.
   *
   * @see https://streams.spec.whatwg.org/#ws-abort
   * @phase Always
   * @since 1
   * @example
   * await new WritableStream().abort();
   */
  abort(reason?: unknown): Promise<void>;

  /**
   * Ends the stream behind what has been written.
   *
   * @see https://streams.spec.whatwg.org/#ws-close
   * @phase Always
   * @since 1
   * @example
   * await new WritableStream().close();
   */
  close(): Promise<void>;

  /**
   * A writer; until it lets go nobody else can write.
   *
   * @see https://streams.spec.whatwg.org/#ws-get-writer
   * @phase Always
   * @since 1
   * @example
   * const writer = new WritableStream<string>().getWriter();
   */
  getWriter(): WritableStreamDefaultWriter<W>;
}

declare var WritableStream: {
  readonly prototype: WritableStream;

  /**
   * A stream into a sink.
   *
   * @see https://streams.spec.whatwg.org/#ws-constructor
   * @phase Always
   * @since 1
   * @example
   * const log = new WritableStream<string>({ write: (text) => console.info(text) });
   */
  new <W = any>(sink?: UnderlyingSink<W>, strategy?: QueuingStrategy<W>): WritableStream<W>;
};

/**
 * Writes to a stream, which is locked until it lets go.
 *
 * @see https://streams.spec.whatwg.org/#default-writer-class
 * @since 1
 */
interface WritableStreamDefaultWriter<W = any> {
  /**
   * Settles when the stream has ended or failed, or the writer has let go.
   *
   * @see https://streams.spec.whatwg.org/#default-writer-closed
   * @phase Always
   * @since 1
   * @example
   * const writer = new WritableStream().getWriter();
   * void writer.close();
   * await writer.closed;
   */
  readonly closed: Promise<undefined>;

  /**
   * How much more is wanted; 0 or less when it is enough, null when the stream has failed.
   *
   * @see https://streams.spec.whatwg.org/#default-writer-desired-size
   * @phase Always
   * @since 1
   * @example
   * const room = new WritableStream().getWriter().desiredSize;
   */
  readonly desiredSize: number | null;

  /**
   * Settles when the stream wants more.
   *
   * @see https://streams.spec.whatwg.org/#default-writer-ready
   * @phase Always
   * @since 1
   * @example
   * await new WritableStream().getWriter().ready;
   */
  readonly ready: Promise<undefined>;

  /**
   * Gives the stream up.
   *
   * @see https://streams.spec.whatwg.org/#default-writer-abort
   * @phase Always
   * @since 1
   * @example
   * await new WritableStream().getWriter().abort();
   */
  abort(reason?: unknown): Promise<void>;

  /**
   * Ends the stream behind what has been written.
   *
   * @see https://streams.spec.whatwg.org/#default-writer-close
   * @phase Always
   * @since 1
   * @example
   * await new WritableStream().getWriter().close();
   */
  close(): Promise<void>;

  /**
   * Lets go of the stream.
   *
   * @see https://streams.spec.whatwg.org/#default-writer-release-lock
   * @phase Always
   * @since 1
   * @example
   * new WritableStream().getWriter().releaseLock();
   */
  releaseLock(): void;

  /**
   * Writes a chunk; settles when the sink has taken it.
   *
   * @see https://streams.spec.whatwg.org/#default-writer-write
   * @phase Always
   * @since 1
   * @example
   * await new WritableStream<string>().getWriter().write("a");
   */
  write(chunk?: W): Promise<void>;
}

declare var WritableStreamDefaultWriter: {
  readonly prototype: WritableStreamDefaultWriter;

  /**
   * A writer of the stream, as `getWriter()` gives it.
   *
   * @see https://streams.spec.whatwg.org/#default-writer-constructor
   * @phase Always
   * @since 1
   * @example
   * const writer = new WritableStreamDefaultWriter(new WritableStream());
   */
  new <W = any>(stream: WritableStream<W>): WritableStreamDefaultWriter<W>;
};

/**
 * With which a sink speaks to its stream.
 *
 * @see https://streams.spec.whatwg.org/#ws-default-controller-class
 * @since 1
 */
interface WritableStreamDefaultController {
  /**
   * Is aborted when the writer gives up.
   *
   * @see https://streams.spec.whatwg.org/#ws-default-controller-signal
   * @phase Always
   * @since 1
   * @example
   * new WritableStream({ start: (controller) => console.debug(controller.signal.aborted) });
   */
  readonly signal: AbortSignal;

  /**
   * Makes the stream fail.
   *
   * @see https://streams.spec.whatwg.org/#ws-default-controller-error
   * @phase Always
   * @since 1
   * @example
   * new WritableStream({ start: (controller) => controller.error(new Error("full")) });
   */
  error(reason?: unknown): void;
}

declare var WritableStreamDefaultController: {
  readonly prototype: WritableStreamDefaultController;
};

/**
 * Two streams: what is written to one can be read, changed, from the other.
 *
 * @see https://streams.spec.whatwg.org/#ts-class
 * @since 1
 */
interface TransformStream<I = any, O = any> {
  /**
   * The side that is read.
   *
   * @see https://streams.spec.whatwg.org/#ts-readable
   * @phase Always
   * @since 1
   * @example
   * const { readable } = new TransformStream<string, string>();
   */
  readonly readable: ReadableStream<O>;

  /**
   * The side that is written.
   *
   * @see https://streams.spec.whatwg.org/#ts-writable
   * @phase Always
   * @since 1
   * @example
   * const { writable } = new TransformStream<string, string>();
   */
  readonly writable: WritableStream<I>;
}

declare var TransformStream: {
  readonly prototype: TransformStream;

  /**
   * A pair of streams with a transformer between them, by default one that changes nothing.
   *
   * @see https://streams.spec.whatwg.org/#ts-constructor
   * @phase Always
   * @since 1
   * @example
   * const upper = new TransformStream<string, string>({
   *   transform: (text, controller) => controller.enqueue(text.toUpperCase()),
   * });
   */
  new <I = any, O = any>(
    transformer?: Transformer<I, O>,
    writableStrategy?: QueuingStrategy<I>,
    readableStrategy?: QueuingStrategy<O>,
  ): TransformStream<I, O>;
};

/**
 * With which a transformer fills the readable side.
 *
 * @see https://streams.spec.whatwg.org/#ts-default-controller-class
 * @since 1
 */
interface TransformStreamDefaultController<O = any> {
  /**
   * How much more the readable side wants; null when it has failed.
   *
   * @see https://streams.spec.whatwg.org/#ts-default-controller-desired-size
   * @phase Always
   * @since 1
   * @example
   * new TransformStream({ transform: (chunk, controller) => console.debug(controller.desiredSize) });
   */
  readonly desiredSize: number | null;

  /**
   * Gives the readable side a chunk.
   *
   * @see https://streams.spec.whatwg.org/#ts-default-controller-enqueue
   * @phase Always
   * @since 1
   * @example
   * new TransformStream<string, string>({ transform: (text, controller) => controller.enqueue(text + "\n") });
   */
  enqueue(chunk?: O): void;

  /**
   * Makes both sides fail.
   *
   * @see https://streams.spec.whatwg.org/#ts-default-controller-error
   * @phase Always
   * @since 1
   * @example
   * new TransformStream({ transform: (chunk, controller) => controller.error(new Error("odd")) });
   */
  error(reason?: unknown): void;

  /**
   * Ends the readable side and refuses further writes.
   *
   * @see https://streams.spec.whatwg.org/#ts-default-controller-terminate
   * @phase Always
   * @since 1
   * @example
   * new TransformStream({ transform: (chunk, controller) => controller.terminate() });
   */
  terminate(): void;
}

declare var TransformStreamDefaultController: {
  readonly prototype: TransformStreamDefaultController;
};

/**
 * Counts bytes: the size of a chunk is its `byteLength`.
 *
 * @see https://streams.spec.whatwg.org/#blqs-class
 * @since 1
 */
interface ByteLengthQueuingStrategy {
  /**
   * From which size on what is held is enough.
   *
   * @see https://streams.spec.whatwg.org/#blqs-high-water-mark
   * @phase Always
   * @since 1
   * @example
   * const most = new ByteLengthQueuingStrategy({ highWaterMark: 4 }).highWaterMark;
   */
  readonly highWaterMark: number;

  /**
   * The size of a chunk.
   *
   * @see https://streams.spec.whatwg.org/#blqs-size
   * @phase Always
   * @since 1
   * @example
   * const { size } = new ByteLengthQueuingStrategy({ highWaterMark: 4 });
   */
  readonly size: (chunk: ArrayBufferView) => number;
}

declare var ByteLengthQueuingStrategy: {
  readonly prototype: ByteLengthQueuingStrategy;

  /**
   * A strategy with that bound.
   *
   * @see https://streams.spec.whatwg.org/#blqs-constructor
   * @phase Always
   * @since 1
   * @example
   * new ReadableStream({}, new ByteLengthQueuingStrategy({ highWaterMark: 4 }));
   */
  new (init: QueuingStrategyInit): ByteLengthQueuingStrategy;
};

/**
 * Counts chunks: the size of each is 1.
 *
 * @see https://streams.spec.whatwg.org/#cqs-class
 * @since 1
 */
interface CountQueuingStrategy {
  /**
   * From which size on what is held is enough.
   *
   * @see https://streams.spec.whatwg.org/#cqs-high-water-mark
   * @phase Always
   * @since 1
   * @example
   * const most = new CountQueuingStrategy({ highWaterMark: 4 }).highWaterMark;
   */
  readonly highWaterMark: number;

  /**
   * The size of a chunk.
   *
   * @see https://streams.spec.whatwg.org/#cqs-size
   * @phase Always
   * @since 1
   * @example
   * const { size } = new CountQueuingStrategy({ highWaterMark: 4 });
   */
  readonly size: (chunk?: unknown) => number;
}

declare var CountQueuingStrategy: {
  readonly prototype: CountQueuingStrategy;

  /**
   * A strategy with that bound.
   *
   * @see https://streams.spec.whatwg.org/#cqs-constructor
   * @phase Always
   * @since 1
   * @example
   * new ReadableStream({}, new CountQueuingStrategy({ highWaterMark: 4 }));
   */
  new (init: QueuingStrategyInit): CountQueuingStrategy;
};

/**
 * Makes UTF-8 of text. A surrogate pair that is cut between chunks becomes one character.
 *
 * @see https://encoding.spec.whatwg.org/#interface-textencoderstream
 * @since 1
 */
interface TextEncoderStream {
  /**
   * `utf-8`.
   *
   * @see https://encoding.spec.whatwg.org/#dom-textencoder-encoding
   * @phase Always
   * @since 1
   * @example
   * new TextEncoderStream().encoding === "utf-8";
   */
  readonly encoding: string;

  /**
   * The side that gives bytes.
   *
   * @see https://encoding.spec.whatwg.org/#interface-textencoderstream
   * @phase Always
   * @since 1
   * @example
   * const bytes = ReadableStream.from(["a"]).pipeThrough(new TextEncoderStream());
   */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;

  /**
   * The side that takes text.
   *
   * @see https://encoding.spec.whatwg.org/#interface-textencoderstream
   * @phase Always
   * @since 1
   * @example
   * await new TextEncoderStream().writable.abort();
   */
  readonly writable: WritableStream<string>;
}

declare var TextEncoderStream: {
  readonly prototype: TextEncoderStream;

  /**
   * A pair of streams from text to bytes.
   *
   * @see https://encoding.spec.whatwg.org/#dom-textencoderstream
   * @phase Always
   * @since 1
   * @example
   * const bytes = ReadableStream.from(["é"]).pipeThrough(new TextEncoderStream());
   */
  new (): TextEncoderStream;
};

/**
 * Makes text of bytes. A character that is cut between chunks is put together.
 *
 * @see https://encoding.spec.whatwg.org/#interface-textdecoderstream
 * @since 1
 */
interface TextDecoderStream {
  /**
   * Name of the encoding: `utf-8`, `utf-16le`, `windows-1252`.
   *
   * @see https://encoding.spec.whatwg.org/#dom-textdecoder-encoding
   * @phase Always
   * @since 1
   * @example
   * new TextDecoderStream("latin1").encoding === "windows-1252";
   */
  readonly encoding: string;

  /**
   * Whether ill-formed bytes make the streams fail.
   *
   * @see https://encoding.spec.whatwg.org/#dom-textdecoder-fatal
   * @phase Always
   * @since 1
   * @example
   * new TextDecoderStream("utf-8", { fatal: true }).fatal;
   */
  readonly fatal: boolean;

  /**
   * Whether a byte order mark is kept.
   *
   * @see https://encoding.spec.whatwg.org/#dom-textdecoder-ignorebom
   * @phase Always
   * @since 1
   * @example
   * new TextDecoderStream().ignoreBOM;
   */
  readonly ignoreBOM: boolean;

  /**
   * The side that gives text.
   *
   * @see https://encoding.spec.whatwg.org/#interface-textdecoderstream
   * @phase Always
   * @since 1
   * @example
   * const text = new Response("a").body?.pipeThrough(new TextDecoderStream());
   */
  readonly readable: ReadableStream<string>;

  /**
   * The side that takes bytes.
   *
   * @see https://encoding.spec.whatwg.org/#interface-textdecoderstream
   * @phase Always
   * @since 1
   * @example
   * await new TextDecoderStream().writable.abort();
   */
  readonly writable: WritableStream<ArrayBuffer | ArrayBufferView>;
}

declare var TextDecoderStream: {
  readonly prototype: TextDecoderStream;

  /**
   * A pair of streams from bytes to text, by default of UTF-8.
   *
   * @see https://encoding.spec.whatwg.org/#dom-textdecoderstream
   * @phase Always
   * @since 1
   * @example
   * const text = new Response("a").body?.pipeThrough(new TextDecoderStream());
   * @throws E_ENCODING for an encoding that is not known
   */
  new (label?: string, options?: TextDecoderOptions): TextDecoderStream;
};
