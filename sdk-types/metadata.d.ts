// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * A value of metadata: what JSON can say.
 *
 * @since 1
 */
export type MetadataValueResult = string | number | boolean | null | readonly MetadataValueResult[];

/**
 * A value that can be written to metadata; objects and null from Envoy 1.40 on.
 *
 * @since 1
 */
export type MetadataValueInit =
  | string
  | number
  | boolean
  | null
  | readonly MetadataValueInit[]
  | { readonly [key: string]: MetadataValueInit | undefined };

/**
 * The message that is kept beside the values of a namespace.
 *
 * @since 1
 */
export interface TypedMetadataResult {
  /**
   * The type of the message: `type.googleapis.com/…`.
   *
   * @since 1
   */
  readonly typeUrl: string;

  /**
   * The message in its binary form.
   *
   * @since 1
   */
  readonly value: Uint8Array<ArrayBuffer>;
}

/**
 * Metadata: values by namespace and key. That of the exchange (`ctx.metadata`) can be written; filters behind this one
 * and access logs see it.
 *
 * @since 1
 */
export interface Metadata {
  /**
   * The value of a key; undefined when it is absent.
   *
   * Envoy tells text, numbers, booleans and lists of those. An object or null cannot be told from an absent value, and is
   * null in a list. The first look at a key that holds one, a number or a boolean may leave lines in Envoy's log.
   *
   * @phase Hooks
   * @since 1
   * @example
   * const user = ctx.metadata.get("envoy.filters.http.jwt_authn", "sub");
   * if (typeof user === "string") request.headers.set("x-user", user);
   * @throws E_DEAD_HANDLE after the stream
   */
  get(ns: string, key: string): MetadataValueResult | undefined;

  /**
   * Puts a value under a key of the dynamic metadata, in the place of the one that was there. It cannot be taken away again.
   *
   * The namespace is the filter's name, or one of those that the config lists under `metadata`. Envoy before 1.40 holds
   * text, numbers, booleans and lists of those, and puts a list only where nothing was. An object is taken as
   * `JSON.stringify` takes it. There is no telling of metadata when `on_error` lets the message go on as it came.
   *
   * @phase Hooks
   * @since 1
   * @example
   * ctx.metadata.set("auth", "user", "ann");
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_METADATA_NAMESPACE for a namespace that is not the filter's
   * @throws E_METADATA_VALUE for a value that metadata or this Envoy cannot hold, and on metadata of the config
   * @throws E_METADATA_LIMIT when the stream has written too often
   */
  set(ns: string, key: string, value: MetadataValueInit): void;

  /**
   * The keys of a namespace, in no order.
   *
   * @phase Hooks
   * @since 1
   * @example
   * for (const key of ctx.metadata.keys("auth")) console.info(key, ctx.metadata.get("auth", key));
   * @throws E_DEAD_HANDLE after the stream
   */
  keys(ns: string): string[];

  /**
   * The namespaces, in no order.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.debug(ctx.metadata.namespaces());
   * @throws E_DEAD_HANDLE after the stream
   */
  namespaces(): string[];

  /**
   * The message of a namespace, for values that are more than JSON; undefined when there is none. Since Envoy 1.40.
   *
   * @phase Hooks
   * @since 1
   * @example
   * const message = ctx.metadata.getTyped("envoy.filters.http.ext_authz");
   * console.info(message?.typeUrl, message?.value.length);
   * @throws E_DEAD_HANDLE after the stream
   */
  getTyped(ns: string): TypedMetadataResult | undefined;
}

/**
 * Objects that filters leave for each other, by key: text or bytes, or an object of a type that Envoy has for the key.
 *
 * @since 1
 */
export interface FilterState {
  /**
   * The object under a key in its serialized form, as text; undefined when there is none.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.filterState.get("envoy.network.upstream_server_name"));
   * @throws E_DEAD_HANDLE after the stream
   */
  get(key: string): string | undefined;

  /**
   * The same as bytes.
   *
   * @phase Hooks
   * @since 1
   * @example
   * const token = ctx.filterState.getBytes("example.token");
   * if (token !== undefined && token.length !== 32) console.warn("odd token");
   * @throws E_DEAD_HANDLE after the stream
   */
  getBytes(key: string): Uint8Array<ArrayBuffer> | undefined;

  /**
   * Leaves text (as UTF-8) or bytes under a key, for the filters behind this one. Envoy 1.38 keeps the first value of a key.
   *
   * @phase Hooks
   * @since 1
   * @example
   * ctx.filterState.set("example.user", "ann");
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_ARGUMENT for a value that is neither a string nor bytes
   * @throws E_FILTER_STATE when the value is too large, or Envoy keeps the value that is there
   * @throws E_METADATA_LIMIT when the stream has written too often
   */
  set(key: string, value: string | ArrayBuffer | ArrayBufferView): void;

  /**
   * Makes the object of the type that Envoy has for a key from its serialized form, and leaves it there.
   *
   * @phase Hooks
   * @since 1
   * @example
   * ctx.filterState.setTyped("envoy.network.upstream_server_name", "backend.example");
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_ARGUMENT for a value that is neither a string nor bytes
   * @throws E_FILTER_STATE when Envoy has no type for the key, or the type does not take the value
   * @throws E_METADATA_LIMIT when the stream has written too often
   */
  setTyped(key: string, value: string | ArrayBuffer | ArrayBufferView): void;
}
