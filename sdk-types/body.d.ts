// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { HookResult } from './stream.js';

/**
 * A piece of a body on its way, as a chunk hook gets it. Where a body is cut says nothing: each run, each network cuts it
 * elsewhere. When its hook has settled, every member throws E_DEAD_HANDLE.
 *
 * @since 1
 */
export interface Chunk {
  /**
   * The bytes: a copy of the script's own, made when this is first read; always the same object. Changing them changes
   * nothing until the hook returns them.
   *
   * @phase Hooks
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter<unknown, { bytes: number }>({
   *   onRequestChunk(chunk, ctx) {
   *     ctx.state.bytes = (ctx.state.bytes ?? 0) + chunk.data.length;
   *   },
   * });
   * @throws E_DEAD_HANDLE when the hook has settled
   */
  readonly data: Uint8Array<ArrayBuffer>;

  /**
   * Whether nothing of the body follows. The last chunk is often empty. A body with trailers has one too, before them.
   *
   * @phase Hooks
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter({
   *   onResponseChunk: (chunk) => (chunk.last ? chunk.text() + "<!-- end -->" : undefined),
   * });
   * @throws E_DEAD_HANDLE when the hook has settled
   */
  readonly last: boolean;

  /**
   * The bytes as text: UTF-8, each ill-formed part as U+FFFD. A character that the cut goes through belongs to the text of
   * the next chunk: texts put together are the text of the whole, if it is asked of each chunk.
   *
   * @phase Hooks
   * @since 1
   * @example
   * import { defineFilter } from "fairlead";
   *
   * export default defineFilter({ onResponseChunk: (chunk) => chunk.text().toUpperCase() });
   * @throws E_DEAD_HANDLE when the hook has settled
   */
  text(): string;
}

/**
 * What a chunk hook gives back: nothing lets the piece pass, a string or bytes take its place, null drops it. A Response
 * answers the client; one from `onResponseChunk` is E_HEADERS_SENT.
 *
 * @since 1
 */
export type ChunkResult = HookResult | string | ArrayBuffer | ArrayBufferView;
