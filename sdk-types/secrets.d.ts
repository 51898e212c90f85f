// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * A secret at one moment. It shows itself only where it is asked to: the console, `JSON.stringify`, and what makes a
 * string of it get its name. It can be kept longer than the stream.
 *
 * @since 1
 */
export interface Secret {
  /**
   * The secret as text: all of the file, a line break at its end too.
   *
   * @phase Always
   * @since 1
   * @example
   * request.headers.set("x-api-key", ctx.secrets.get("api-key").text().trim());
   */
  text(): string;

  /**
   * The secret as bytes, in an array of its own.
   *
   * @phase Always
   * @since 1
   * @example
   * const key = await crypto.subtle.importKey("raw", ctx.secrets.get("hmac").bytes(), { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
   */
  bytes(): Uint8Array<ArrayBuffer>;

  /**
   * A mask: `[secret api-key]`.
   *
   * @phase Always
   * @since 1
   * @example
   * `${ctx.secrets.get("api-key")}` === "[secret api-key]";
   */
  toString(): string;

  /**
   * A mask: `[secret api-key]`.
   *
   * @phase Always
   * @since 1
   * @example
   * JSON.stringify({ key: ctx.secrets.get("api-key") }) === '{"key":"[secret api-key]"}';
   */
  toJSON(): string;
}

/**
 * The secrets that the filter's config names under `secrets`: up to 64, of 64 KiB each.
 *
 * The config holds a secret, as `{ "inline": text }`, names a file of it, as `{ "file": path }`, or, from Envoy 1.40 on, a
 * generic secret that Envoy has or gets from a control plane, as `{ "sds": { "name": name, "sds_config": ConfigSource } }`
 * with the fields of Envoy's SdsSecretConfig; without `sds_config` it is one of the bootstrap's. A file is read when the
 * config is taken, which is refused when that fails, and again within half a second after it has changed. When it cannot
 * be read then, the last good secret stays, and one line in the log says why. Replace a file by renaming a new one.
 *
 * @since 1
 */
export interface Secrets {
  /**
   * The secret of that name as it is now.
   *
   * @phase Hooks
   * @since 1
   * @example
   * const key = ctx.secrets.get("api-key");
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_SECRET when the config names none so
   * @throws E_SECRET_PENDING when it is one of Envoy's, which has not received it yet
   */
  get(name: string): Secret;
}
