// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * What happens to parts of a cloned value.
 *
 * @since 1
 */
interface StructuredCloneOptions {
  /**
   * ArrayBuffers that go over to the clone: afterwards they are detached.
   *
   * @since 1
   */
  transfer?: Iterable<ArrayBuffer> | undefined;
}

/**
 * A deep copy: of plain objects, arrays, Map, Set, Date, RegExp, errors, ArrayBuffers and views of them, Blob and File
 * (whose bytes the copy shares), also where they refer to each other in a circle.
 *
 * Unlike the standard, which goes down into each member before it comes to the next one, this copies level by level: that
 * shows only in the order in which getters are called.
 *
 * @see https://html.spec.whatwg.org/multipage/structured-data.html#dom-structuredclone
 * @phase Always
 * @since 1
 * @example
 * const mine = structuredClone(ctx.config);
 * @throws E_DATA_CLONE for functions, symbols, promises, weak collections, and what belongs to fairlead, as a Request
 * @throws E_ARGUMENT when `options` is no object, or `transfer` is not iterable
 */
declare function structuredClone<T>(value: T, options?: StructuredCloneOptions): T;
