// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * What a key may be used for.
 *
 * @since 1
 */
type KeyUsage = 'encrypt' | 'decrypt' | 'sign' | 'verify' | 'deriveKey' | 'deriveBits' | 'wrapKey' | 'unwrapKey';

/**
 * Whether a key is shared, or which half of a pair it is.
 *
 * @since 1
 */
type KeyType = 'secret' | 'public' | 'private';

/**
 * How a key is written outside of a CryptoKey.
 *
 * @since 1
 */
type KeyFormat = 'raw' | 'spki' | 'pkcs8' | 'jwk';

/**
 * SHA-1, SHA-256, SHA-384 or SHA-512.
 *
 * @since 1
 */
type HashAlgorithmIdentifier = string | Algorithm;

/**
 * The name of an algorithm alone, or with its parameters.
 *
 * @since 1
 */
type AlgorithmIdentifier = string | Algorithm;

/**
 * An algorithm by its name; letters may be of any case.
 *
 * @since 1
 */
interface Algorithm {
  /**
   * HMAC, RSASSA-PKCS1-v1_5, RSA-PSS, RSA-OAEP, ECDSA, ECDH, Ed25519, X25519, AES-GCM, AES-CBC, AES-CTR, AES-KW, HKDF,
   * PBKDF2, or a hash.
   *
   * @since 1
   */
  name: string;
}

/**
 * What a key is for, as `CryptoKey.algorithm` tells it; what an algorithm does not have is absent.
 *
 * @since 1
 */
interface KeyAlgorithm {
  /**
   * The algorithm's name as the standard writes it.
   *
   * @since 1
   */
  name: string;

  /**
   * The hash of HMAC and RSA keys.
   *
   * @since 1
   */
  hash?: KeyAlgorithm;

  /**
   * How many bits an HMAC or AES key has.
   *
   * @since 1
   */
  length?: number;

  /**
   * The curve of ECDSA and ECDH keys.
   *
   * @since 1
   */
  namedCurve?: string;

  /**
   * How many bits the modulus of an RSA key has.
   *
   * @since 1
   */
  modulusLength?: number;

  /**
   * The public exponent of an RSA key, its most significant byte first.
   *
   * @since 1
   */
  publicExponent?: Uint8Array<ArrayBuffer>;
}

/**
 * How a key is made or imported; which members there must be depends on the name.
 *
 * @since 1
 */
interface KeyAlgorithmParams extends Algorithm {
  /**
   * For HMAC and RSA keys.
   *
   * @since 1
   */
  hash?: HashAlgorithmIdentifier | undefined;

  /**
   * For AES keys 128, 192 or 256 bits; for HMAC keys any number, by default as the hash takes at a time.
   *
   * @since 1
   */
  length?: number | undefined;

  /**
   * For ECDSA and ECDH keys: P-256, P-384 or P-521.
   *
   * @since 1
   */
  namedCurve?: string | undefined;

  /**
   * For new RSA keys, from 512 to 8192 in steps of 128 bits.
   *
   * @since 1
   */
  modulusLength?: number | undefined;

  /**
   * For new RSA keys 65537 or 3, the most significant byte first.
   *
   * @since 1
   */
  publicExponent?: Uint8Array | undefined;
}

/**
 * How `sign` and `verify` work.
 *
 * @since 1
 */
interface SignatureAlgorithmParams extends Algorithm {
  /**
   * Of ECDSA; other algorithms take that of the key.
   *
   * @since 1
   */
  hash?: HashAlgorithmIdentifier | undefined;

  /**
   * Of RSA-PSS, in bytes: mostly as long as the hash.
   *
   * @since 1
   */
  saltLength?: number | undefined;
}

/**
 * How `encrypt`, `decrypt`, `wrapKey` and `unwrapKey` work.
 *
 * @since 1
 */
interface CipherAlgorithmParams extends Algorithm {
  /**
   * Of AES-GCM any bytes that no other message with this key has, mostly 12; of AES-CBC 16 unpredictable bytes.
   *
   * @since 1
   */
  iv?: ArrayBuffer | ArrayBufferView | undefined;

  /**
   * Of AES-GCM: bytes that are protected, but not part of the message.
   *
   * @since 1
   */
  additionalData?: ArrayBuffer | ArrayBufferView | undefined;

  /**
   * Of AES-GCM in bits, 128 by default.
   *
   * @since 1
   */
  tagLength?: number | undefined;

  /**
   * Of AES-CTR: the first block, 16 bytes.
   *
   * @since 1
   */
  counter?: ArrayBuffer | ArrayBufferView | undefined;

  /**
   * Of AES-CTR: how many bits at the end of a block count.
   *
   * @since 1
   */
  length?: number | undefined;

  /**
   * Of RSA-OAEP: bytes that both sides must know.
   *
   * @since 1
   */
  label?: ArrayBuffer | ArrayBufferView | undefined;
}

/**
 * How `deriveBits` and `deriveKey` work.
 *
 * @since 1
 */
interface DerivationAlgorithmParams extends Algorithm {
  /**
   * Of ECDH and X25519: the key of the other side.
   *
   * @since 1
   */
  public?: CryptoKey | undefined;

  /**
   * Of HKDF and PBKDF2.
   *
   * @since 1
   */
  hash?: HashAlgorithmIdentifier | undefined;

  /**
   * Of HKDF and PBKDF2.
   *
   * @since 1
   */
  salt?: ArrayBuffer | ArrayBufferView | undefined;

  /**
   * Of HKDF: what the bits are for.
   *
   * @since 1
   */
  info?: ArrayBuffer | ArrayBufferView | undefined;

  /**
   * Of PBKDF2; the limit on CPU time bounds it.
   *
   * @since 1
   */
  iterations?: number | undefined;
}

/**
 * A key as JSON (RFC 7517); numbers and bytes are base64url.
 *
 * @since 1
 */
interface JsonWebKey {
  /**
   * RSA, EC, OKP or oct.
   *
   * @since 1
   */
  kty?: string;

  /**
   * `sig` or `enc`.
   *
   * @since 1
   */
  use?: string;

  /**
   * Usages that it allows.
   *
   * @since 1
   */
  key_ops?: string[];

  /**
   * Whether it may be exported again.
   *
   * @since 1
   */
  ext?: boolean;

  /**
   * What it is for, as RS256.
   *
   * @since 1
   */
  alg?: string;

  /**
   * The curve.
   *
   * @since 1
   */
  crv?: string;

  /**
   * Of a point, or the public key of OKP.
   *
   * @since 1
   */
  x?: string;

  /**
   * Of a point.
   *
   * @since 1
   */
  y?: string;

  /**
   * The private part.
   *
   * @since 1
   */
  d?: string;

  /**
   * The modulus of RSA.
   *
   * @since 1
   */
  n?: string;

  /**
   * The public exponent of RSA.
   *
   * @since 1
   */
  e?: string;

  /**
   * The first prime of RSA.
   *
   * @since 1
   */
  p?: string;

  /**
   * The second prime of RSA.
   *
   * @since 1
   */
  q?: string;

  /**
   * `d` modulo `p - 1`.
   *
   * @since 1
   */
  dp?: string;

  /**
   * `d` modulo `q - 1`.
   *
   * @since 1
   */
  dq?: string;

  /**
   * The inverse of `q` modulo `p`.
   *
   * @since 1
   */
  qi?: string;

  /**
   * A secret key.
   *
   * @since 1
   */
  k?: string;
}

/**
 * Both halves of a new key.
 *
 * @since 1
 */
interface CryptoKeyPair {
  /**
   * For everybody; it can always be exported.
   *
   * @since 1
   */
  publicKey: CryptoKey;

  /**
   * For its owner alone.
   *
   * @since 1
   */
  privateKey: CryptoKey;
}

/**
 * What `generateKey` makes for an algorithm of that name.
 *
 * @since 1
 */
type GeneratedKey<Name extends string> = string extends Name
  ? CryptoKey | CryptoKeyPair
  : Uppercase<Name> extends 'HMAC' | `AES-${string}`
    ? CryptoKey
    : CryptoKeyPair;

/**
 * A key for the functions of `crypto.subtle`.
 *
 * @see https://w3c.github.io/webcrypto/#cryptokey-interface
 * @since 1
 */
interface CryptoKey {
  /**
   * Whether it is shared, or which half of a pair it is.
   *
   * @see https://w3c.github.io/webcrypto/#dfn-CryptoKey-type
   * @phase Always
   * @since 1
   * @example
   * const isPrivate = (key: CryptoKey) => key.type === "private";
   */
  readonly type: KeyType;

  /**
   * Whether `exportKey` and `wrapKey` give it away.
   *
   * @see https://w3c.github.io/webcrypto/#dfn-CryptoKey-extractable
   * @phase Always
   * @since 1
   * @example
   * const mayLeave = (key: CryptoKey) => key.extractable;
   */
  readonly extractable: boolean;

  /**
   * What it is for.
   *
   * @see https://w3c.github.io/webcrypto/#dfn-CryptoKey-algorithm
   * @phase Always
   * @since 1
   * @example
   * const isHmac = (key: CryptoKey) => key.algorithm.name === "HMAC";
   */
  readonly algorithm: KeyAlgorithm;

  /**
   * What may be done with it.
   *
   * @see https://w3c.github.io/webcrypto/#dfn-CryptoKey-usages
   * @phase Always
   * @since 1
   * @example
   * const canSign = (key: CryptoKey) => key.usages.includes("sign");
   */
  readonly usages: KeyUsage[];
}

declare var CryptoKey: {
  readonly prototype: CryptoKey;
};

/**
 * Ciphers, signatures, digests and keys. All is done at once and counts as CPU time of the script; results come by
 * promise, and so do errors.
 *
 * @see https://w3c.github.io/webcrypto/#subtlecrypto-interface
 * @since 1
 */
interface SubtleCrypto {
  /**
   * Encrypts with RSA-OAEP, AES-GCM (the tag stands at the end), AES-CBC or AES-CTR.
   *
   * @see https://w3c.github.io/webcrypto/#SubtleCrypto-method-encrypt
   * @phase Always
   * @since 1
   * @example
   * const seal = (key: CryptoKey, iv: Uint8Array, data: Uint8Array) => crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, data);
   * @throws E_CRYPTO_ALGORITHM for another algorithm
   * @throws E_CRYPTO_KEY when the key is of another algorithm or may not be used so
   * @throws E_CRYPTO_OPERATION for an `iv`, `counter`, `tagLength` or `data` of a length that cannot be
   * @throws E_ARGUMENT for what is no key or no bytes
   * @throws E_OPTION when a parameter is missing or of another type
   */
  encrypt(
    algorithm: CipherAlgorithmParams,
    key: CryptoKey,
    data: ArrayBuffer | ArrayBufferView,
  ): Promise<ArrayBuffer>;

  /**
   * Undoes `encrypt`.
   *
   * @see https://w3c.github.io/webcrypto/#SubtleCrypto-method-decrypt
   * @phase Always
   * @since 1
   * @example
   * const open = (key: CryptoKey, iv: Uint8Array, data: Uint8Array) => crypto.subtle.decrypt({ name: "AES-GCM", iv }, key, data);
   * @throws E_CRYPTO_OPERATION when the data was not encrypted so, or was changed
   * @throws E_CRYPTO_ALGORITHM for another algorithm
   * @throws E_CRYPTO_KEY when the key is of another algorithm or may not be used so
   * @throws E_ARGUMENT for what is no key or no bytes
   * @throws E_OPTION when a parameter is missing or of another type
   */
  decrypt(
    algorithm: CipherAlgorithmParams,
    key: CryptoKey,
    data: ArrayBuffer | ArrayBufferView,
  ): Promise<ArrayBuffer>;

  /**
   * Signs with HMAC, RSASSA-PKCS1-v1_5, RSA-PSS, ECDSA (both numbers one after the other) or Ed25519.
   *
   * @see https://w3c.github.io/webcrypto/#SubtleCrypto-method-sign
   * @phase Always
   * @since 1
   * @example
   * const sign = (key: CryptoKey, data: Uint8Array) => crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key, data);
   * @throws E_CRYPTO_ALGORITHM for another algorithm
   * @throws E_CRYPTO_KEY when the key is of another algorithm or may not be used so
   * @throws E_CRYPTO_OPERATION when an RSA key is too short for the hash and the salt
   * @throws E_ARGUMENT for what is no key or no bytes
   * @throws E_OPTION when a parameter is missing or of another type
   */
  sign(
    algorithm: string | SignatureAlgorithmParams,
    key: CryptoKey,
    data: ArrayBuffer | ArrayBufferView,
  ): Promise<ArrayBuffer>;

  /**
   * Whether a signature is that of these data.
   *
   * @see https://w3c.github.io/webcrypto/#SubtleCrypto-method-verify
   * @phase Always
   * @since 1
   * @example
   * const holds = (key: CryptoKey, signature: Uint8Array, data: Uint8Array) => crypto.subtle.verify("HMAC", key, signature, data);
   * @throws E_CRYPTO_ALGORITHM for another algorithm
   * @throws E_CRYPTO_KEY when the key is of another algorithm or may not be used so
   * @throws E_ARGUMENT for what is no key or no bytes
   * @throws E_OPTION when a parameter is missing or of another type
   */
  verify(
    algorithm: string | SignatureAlgorithmParams,
    key: CryptoKey,
    signature: ArrayBuffer | ArrayBufferView,
    data: ArrayBuffer | ArrayBufferView,
  ): Promise<boolean>;

  /**
   * The hash of some bytes.
   *
   * @see https://w3c.github.io/webcrypto/#SubtleCrypto-method-digest
   * @phase Always
   * @since 1
   * @example
   * const hash = async (text: string) => new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text)));
   * @throws E_CRYPTO_ALGORITHM for what is no hash
   * @throws E_ARGUMENT for what is no bytes
   * @throws E_OPTION when an object without `name` is given
   */
  digest(algorithm: HashAlgorithmIdentifier, data: ArrayBuffer | ArrayBufferView): Promise<ArrayBuffer>;

  /**
   * Makes a key, or of RSA, ECDSA, ECDH, Ed25519 and X25519 a pair. New RSA keys take long: see `limits.cpu_ms`.
   *
   * @see https://w3c.github.io/webcrypto/#SubtleCrypto-method-generateKey
   * @phase Always
   * @since 1
   * @example
   * const pair = () => crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
   * @throws E_CRYPTO_ALGORITHM for another algorithm or curve
   * @throws E_CRYPTO_USAGES for a usage that such a key cannot have, or none
   * @throws E_CRYPTO_OPERATION for a length or exponent that cannot be
   * @throws E_ARGUMENT when `keyUsages` is no list of usages
   * @throws E_OPTION when a parameter is missing or of another type
   */
  generateKey<const Name extends string>(
    algorithm: Name | (KeyAlgorithmParams & { name: Name }),
    extractable: boolean,
    keyUsages: readonly KeyUsage[],
  ): Promise<GeneratedKey<Name>>;

  /**
   * Makes an AES or HMAC key out of another one, with ECDH, X25519, HKDF or PBKDF2.
   *
   * @see https://w3c.github.io/webcrypto/#SubtleCrypto-method-deriveKey
   * @phase Always
   * @since 1
   * @example
   * const derive = (key: CryptoKey, salt: Uint8Array) =>
   *   crypto.subtle.deriveKey({ name: "HKDF", hash: "SHA-256", salt, info: new Uint8Array() }, key, { name: "AES-GCM", length: 256 }, false, ["encrypt"]);
   * @throws E_CRYPTO_ALGORITHM for another algorithm or hash
   * @throws E_CRYPTO_KEY when the key is of another algorithm or may not be used so
   * @throws E_CRYPTO_USAGES for a usage that such a key cannot have, or none
   * @throws E_CRYPTO_OPERATION for a length that cannot be, or no iterations
   * @throws E_ARGUMENT for what is no key, or no list of usages
   * @throws E_OPTION when a parameter is missing or of another type
   */
  deriveKey(
    algorithm: DerivationAlgorithmParams,
    baseKey: CryptoKey,
    derivedKeyType: string | KeyAlgorithmParams,
    extractable: boolean,
    keyUsages: readonly KeyUsage[],
  ): Promise<CryptoKey>;

  /**
   * Bits out of a key, with ECDH, X25519, HKDF or PBKDF2. Without a length, or null: all that ECDH or X25519 agree on.
   *
   * @see https://w3c.github.io/webcrypto/#SubtleCrypto-method-deriveBits
   * @phase Always
   * @since 1
   * @example
   * const stretch = (key: CryptoKey, salt: Uint8Array) =>
   *   crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt, iterations: 1000 }, key, 256);
   * @throws E_CRYPTO_ALGORITHM for another algorithm or hash
   * @throws E_CRYPTO_KEY when the key is of another algorithm or may not be used so
   * @throws E_CRYPTO_OPERATION for a length that cannot be, or no iterations
   * @throws E_ARGUMENT for what is no key
   * @throws E_OPTION when a parameter is missing or of another type
   */
  deriveBits(algorithm: DerivationAlgorithmParams, baseKey: CryptoKey, length?: number | null): Promise<ArrayBuffer>;

  /**
   * A key from outside: secret and public ones as `raw`, pairs as `spki` or `pkcs8`, all but HKDF and PBKDF2 as `jwk`.
   *
   * @see https://w3c.github.io/webcrypto/#SubtleCrypto-method-importKey
   * @phase Always
   * @since 1
   * @example
   * const read = (jwk: JsonWebKey) =>
   *   crypto.subtle.importKey("jwk", jwk, { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }, false, ["verify"]);
   * @throws E_CRYPTO_DATA for what is no such key, and for RSA keys of more than 8192 bits
   * @throws E_CRYPTO_ALGORITHM for another algorithm, curve or hash, and when its keys do not come in this format
   * @throws E_CRYPTO_USAGES for a usage that such a key cannot have, or none
   * @throws E_ARGUMENT for another format, for key data of another type, and when `keyUsages` is no list of usages
   * @throws E_OPTION when a parameter is missing or of another type
   */
  importKey(
    format: KeyFormat,
    keyData: JsonWebKey | ArrayBuffer | ArrayBufferView,
    algorithm: string | KeyAlgorithmParams,
    extractable: boolean,
    keyUsages: readonly KeyUsage[],
  ): Promise<CryptoKey>;

  /**
   * A key for the outside: an object for `jwk`, else bytes.
   *
   * @see https://w3c.github.io/webcrypto/#SubtleCrypto-method-exportKey
   * @phase Always
   * @since 1
   * @example
   * const show = (key: CryptoKey) => crypto.subtle.exportKey("jwk", key);
   * @throws E_CRYPTO_KEY for a key that is not extractable, or the other half of a pair
   * @throws E_CRYPTO_ALGORITHM when keys of this algorithm do not come in this format
   * @throws E_ARGUMENT for another format, or what is no key
   */
  exportKey<Format extends KeyFormat>(
    format: Format,
    key: CryptoKey,
  ): Promise<Format extends 'jwk' ? JsonWebKey : ArrayBuffer>;

  /**
   * Exports a key and encrypts it with another one, as `encrypt` does or with AES-KW.
   *
   * @see https://w3c.github.io/webcrypto/#SubtleCrypto-method-wrapKey
   * @phase Always
   * @since 1
   * @example
   * const wrap = (key: CryptoKey, by: CryptoKey) => crypto.subtle.wrapKey("raw", key, by, "AES-KW");
   * @throws E_CRYPTO_KEY for a key that is not extractable, or cannot wrap
   * @throws E_CRYPTO_ALGORITHM for another algorithm, and when the key does not come in this format
   * @throws E_CRYPTO_OPERATION for parameters or a key of a length that cannot be
   * @throws E_ARGUMENT for another format, or what is no key
   * @throws E_OPTION when a parameter is missing or of another type
   */
  wrapKey(
    format: KeyFormat,
    key: CryptoKey,
    wrappingKey: CryptoKey,
    wrapAlgorithm: string | CipherAlgorithmParams,
  ): Promise<ArrayBuffer>;

  /**
   * Undoes `wrapKey`.
   *
   * @see https://w3c.github.io/webcrypto/#SubtleCrypto-method-unwrapKey
   * @phase Always
   * @since 1
   * @example
   * const unwrap = (bytes: Uint8Array, by: CryptoKey) =>
   *   crypto.subtle.unwrapKey("raw", bytes, by, "AES-KW", "AES-GCM", false, ["decrypt"]);
   * @throws E_CRYPTO_OPERATION when the bytes were not wrapped so, or were changed
   * @throws E_CRYPTO_DATA when what was wrapped is no such key
   * @throws E_CRYPTO_KEY for a key that cannot unwrap
   * @throws E_CRYPTO_ALGORITHM for another algorithm, and when its keys do not come in this format
   * @throws E_CRYPTO_USAGES for a usage that such a key cannot have, or none
   * @throws E_ARGUMENT for another format, what is no key or no bytes, and when `keyUsages` is no list of usages
   * @throws E_OPTION when a parameter is missing or of another type
   */
  unwrapKey(
    format: KeyFormat,
    wrappedKey: ArrayBuffer | ArrayBufferView,
    unwrappingKey: CryptoKey,
    unwrapAlgorithm: string | CipherAlgorithmParams,
    unwrappedKeyAlgorithm: string | KeyAlgorithmParams,
    extractable: boolean,
    keyUsages: readonly KeyUsage[],
  ): Promise<CryptoKey>;

  /**
   * Whether bytes are equal, in a time that does not tell where they differ. It is not of the standard; others have it
   * under this name.
   *
   * @phase Always
   * @since 1
   * @example
   * const isToken = (given: Uint8Array, token: Uint8Array) =>
   *   given.length === token.length && crypto.subtle.timingSafeEqual(given, token);
   * @throws E_ARGUMENT when one is longer than the other, for that cannot be hidden, and for what is no bytes
   */
  timingSafeEqual(a: ArrayBuffer | ArrayBufferView, b: ArrayBuffer | ArrayBufferView): boolean;
}

declare var SubtleCrypto: {
  readonly prototype: SubtleCrypto;
};

/**
 * Randomness, and the way to all else.
 *
 * @see https://w3c.github.io/webcrypto/#crypto-interface
 * @since 1
 */
interface Crypto {
  /**
   * Ciphers, signatures, digests and keys.
   *
   * @see https://w3c.github.io/webcrypto/#Crypto-attribute-subtle
   * @phase Always
   * @since 1
   * @example
   * const { subtle } = crypto;
   */
  readonly subtle: SubtleCrypto;

  /**
   * Fills an array of integers, of at most 65,536 bytes, with random bits, and returns it.
   *
   * @see https://w3c.github.io/webcrypto/#Crypto-method-getRandomValues
   * @phase Always
   * @since 1
   * @example
   * const nonce = crypto.getRandomValues(new Uint8Array(12));
   * @throws E_QUOTA for a larger array
   * @throws E_TYPE_MISMATCH for an array of other numbers
   * @throws E_ARGUMENT for what is no such array
   */
  getRandomValues<T extends ArrayBufferView>(array: T): T;

  /**
   * A new random UUID (RFC 9562, version 4).
   *
   * @see https://w3c.github.io/webcrypto/#Crypto-method-randomUUID
   * @phase Always
   * @since 1
   * @example
   * request.headers.set("x-request-id", crypto.randomUUID());
   */
  randomUUID(): `${string}-${string}-${string}-${string}-${string}`;
}

declare var Crypto: {
  readonly prototype: Crypto;
};

/**
 * Randomness, and through `subtle` ciphers, signatures, digests and keys.
 *
 * @see https://w3c.github.io/webcrypto/#crypto-interface
 * @since 1
 */
declare var crypto: Crypto;
