// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * What Envoy's runtime says under the keys that the filter's config names in `runtime`, up to 64: numbers and booleans,
 * from Envoy 1.40 on; before it such a config is refused. A value that is changed in Envoy is seen by all workers within
 * two seconds, without a reload.
 *
 * @since 1
 */
export interface RuntimeKeys {
  /**
   * The value of a key, or `fallback` where the runtime has none, or one that is neither a number nor a boolean. The
   * emulator has none.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (Math.random() * 100 < Number(ctx.runtime.get("example.percent", 0))) console.info("sampled");
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_RUNTIME_KEY when the config names none so
   */
  get<Fallback>(key: string, fallback: Fallback): number | boolean | Fallback;
}
