// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The Compression standard.

/**
 * A format of packed bytes: `gzip` (RFC 1952), `deflate` (that of HTTP: RFC 1950) or `deflate-raw` (RFC 1951).
 *
 * @since 1
 */
type CompressionFormat = 'gzip' | 'deflate' | 'deflate-raw';

/**
 * Packs bytes.
 *
 * @see https://compression.spec.whatwg.org/#compression-stream
 * @since 1
 */
interface CompressionStream {
  /**
   * The side that gives packed bytes, most of them at the end.
   *
   * @see https://compression.spec.whatwg.org/#compression-stream
   * @phase Always
   * @since 1
   * @example
   * const packed = new Response("a").body?.pipeThrough(new CompressionStream("gzip"));
   */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;

  /**
   * The side that takes bytes. A chunk of anything else makes both sides fail.
   *
   * @see https://compression.spec.whatwg.org/#compression-stream
   * @phase Always
   * @since 1
   * @example
   * await new CompressionStream("gzip").writable.abort();
   * @throws E_COMPRESSION for a chunk that is no BufferSource
   */
  readonly writable: WritableStream<ArrayBuffer | ArrayBufferView>;
}

declare var CompressionStream: {
  readonly prototype: CompressionStream;

  /**
   * A pair of streams from bytes to packed ones. A message that passes is packed anew with
   * `request.setBody(await new Response(stream).bytes())`.
   *
   * @see https://compression.spec.whatwg.org/#dom-compressionstream-compressionstream
   * @phase Always
   * @since 1
   * @example
   * const packed = await new Response(new Response("a").body?.pipeThrough(new CompressionStream("gzip"))).bytes();
   * @throws E_ARGUMENT for another format
   */
  new (format: CompressionFormat): CompressionStream;
};

/**
 * Unpacks bytes. Few packed bytes can become very many: they are made as they are read, so that whoever collects them
 * (`text()` of a `Response`, …) ends at `body_kb`.
 *
 * @see https://compression.spec.whatwg.org/#decompression-stream
 * @since 1
 */
interface DecompressionStream {
  /**
   * The side that gives what was packed.
   *
   * @see https://compression.spec.whatwg.org/#decompression-stream
   * @phase Always
   * @since 1
   * @example
   * const text = await new Response(new Response("…").body?.pipeThrough(new DecompressionStream("gzip"))).text();
   * @throws E_COMPRESSION for data of another format, damaged or cut, or with something behind it, be it more of the same
   */
  readonly readable: ReadableStream<Uint8Array<ArrayBuffer>>;

  /**
   * The side that takes packed bytes, in chunks of any size.
   *
   * @see https://compression.spec.whatwg.org/#decompression-stream
   * @phase Always
   * @since 1
   * @example
   * await new DecompressionStream("gzip").writable.abort();
   * @throws E_COMPRESSION for a chunk that is no BufferSource
   */
  readonly writable: WritableStream<ArrayBuffer | ArrayBufferView>;
}

declare var DecompressionStream: {
  readonly prototype: DecompressionStream;

  /**
   * A pair of streams from packed bytes to what they were.
   *
   * @see https://compression.spec.whatwg.org/#dom-decompressionstream-decompressionstream
   * @phase Always
   * @since 1
   * @example
   * const unpacked = new Response("…").body?.pipeThrough(new DecompressionStream("gzip"));
   * @throws E_ARGUMENT for another format
   */
  new (format: CompressionFormat): DecompressionStream;
};
