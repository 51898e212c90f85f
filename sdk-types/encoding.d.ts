// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * Writes text as UTF-8.
 *
 * @see https://encoding.spec.whatwg.org/#interface-textencoder
 * @since 1
 */
interface TextEncoder {
  /**
   * Always `utf-8`.
   *
   * @see https://encoding.spec.whatwg.org/#dom-textencoder-encoding
   * @phase Always
   * @since 1
   * @example
   * new TextEncoder().encoding === "utf-8";
   */
  readonly encoding: string;

  /**
   * The text in UTF-8; a lone surrogate becomes U+FFFD.
   *
   * @see https://encoding.spec.whatwg.org/#dom-textencoder-encode
   * @phase Always
   * @since 1
   * @example
   * const bytes = new TextEncoder().encode("grüezi");
   */
  encode(input?: string): Uint8Array<ArrayBuffer>;

  /**
   * Writes as many whole characters into `destination` as have room there.
   *
   * @see https://encoding.spec.whatwg.org/#dom-textencoder-encodeinto
   * @phase Always
   * @since 1
   * @example
   * const { read, written } = new TextEncoder().encodeInto("grüezi", new Uint8Array(4));
   * @throws E_ARGUMENT when `destination` is not a Uint8Array, or its buffer is detached or immutable
   */
  encodeInto(source: string, destination: Uint8Array): TextEncoderEncodeIntoResult;
}

/**
 * What `encodeInto` has done.
 *
 * @since 1
 */
interface TextEncoderEncodeIntoResult {
  /**
   * How much of the text was written, in UTF-16 units, as `length` and `slice` count them.
   *
   * @since 1
   */
  read: number;

  /**
   * How many bytes were written.
   *
   * @since 1
   */
  written: number;
}

declare var TextEncoder: {
  readonly prototype: TextEncoder;

  /**
   * An encoder of UTF-8; it remembers nothing between calls.
   *
   * @see https://encoding.spec.whatwg.org/#dom-textencoder
   * @phase Always
   * @since 1
   * @example
   * const encoder = new TextEncoder();
   */
  new (): TextEncoder;
};

/**
 * How a TextDecoder works.
 *
 * @since 1
 */
interface TextDecoderOptions {
  /**
   * Whether ill-formed bytes are an error; by default false, and each ill-formed part becomes U+FFFD.
   *
   * @since 1
   */
  fatal?: boolean | undefined;

  /**
   * Whether a byte order mark at the begin is kept; by default false, and it is dropped.
   *
   * @since 1
   */
  ignoreBOM?: boolean | undefined;
}

/**
 * How one call of `decode` works.
 *
 * @since 1
 */
interface TextDecodeOptions {
  /**
   * Whether more of the same text comes with the next call; by default false. A character that is cut at the end is kept
   * for it.
   *
   * @since 1
   */
  stream?: boolean | undefined;
}

/**
 * Reads text from bytes.
 *
 * @see https://encoding.spec.whatwg.org/#interface-textdecoder
 * @since 1
 */
interface TextDecoder {
  /**
   * The name of the encoding: `utf-8`, `utf-16le` or `windows-1252`.
   *
   * @see https://encoding.spec.whatwg.org/#dom-textdecoder-encoding
   * @phase Always
   * @since 1
   * @example
   * new TextDecoder("latin1").encoding === "windows-1252";
   */
  readonly encoding: string;

  /**
   * Whether ill-formed bytes are an error.
   *
   * @see https://encoding.spec.whatwg.org/#dom-textdecoder-fatal
   * @phase Always
   * @since 1
   * @example
   * new TextDecoder("utf-8", { fatal: true }).fatal === true;
   */
  readonly fatal: boolean;

  /**
   * Whether a byte order mark at the begin is kept.
   *
   * @see https://encoding.spec.whatwg.org/#dom-textdecoder-ignorebom
   * @phase Always
   * @since 1
   * @example
   * new TextDecoder().ignoreBOM === false;
   */
  readonly ignoreBOM: boolean;

  /**
   * The text of some bytes, and of what an earlier call with `stream` has kept. Without bytes: of that alone.
   *
   * Unlike the standard, which takes a detached buffer for an empty one, this refuses it.
   *
   * @see https://encoding.spec.whatwg.org/#dom-textdecoder-decode
   * @phase Always
   * @since 1
   * @example
   * const decoder = new TextDecoder();
   * const text = decoder.decode(new Uint8Array([0xc3]), { stream: true }) + decoder.decode(new Uint8Array([0xa9]));
   * @throws E_ARGUMENT when `input` is no ArrayBuffer or view of one, or detached, and when `options` is no object
   * @throws E_DECODE for ill-formed bytes when `fatal` is set
   */
  decode(input?: ArrayBuffer | ArrayBufferView, options?: TextDecodeOptions): string;
}

declare var TextDecoder: {
  readonly prototype: TextDecoder;

  /**
   * A decoder for a label of utf-8 (the default), utf-16le or windows-1252, as the standard lists them: `latin1` too.
   *
   * @see https://encoding.spec.whatwg.org/#dom-textdecoder
   * @phase Always
   * @since 1
   * @example
   * const decoder = new TextDecoder("utf-16le", { fatal: true });
   * @throws E_ENCODING for any other label
   * @throws E_ARGUMENT when `options` is no object
   */
  new (label?: string, options?: TextDecoderOptions): TextDecoder;
};
