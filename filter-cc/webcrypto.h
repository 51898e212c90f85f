// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The algorithms of the Web Cryptography API (https://w3c.github.io/webcrypto/) over BoringSSL. Knows
// no JavaScript: what a script may ask for is decided in api_crypto.cc, what comes of it here.
//
// Thread: any, one at a time for each key.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <openssl/evp.h>

namespace fairlead::webcrypto {

using Octets = std::vector<uint8_t>;
using View = std::span<const uint8_t>;

enum class Hash : uint8_t { Sha1, Sha256, Sha384, Sha512 };

enum class Algorithm : uint8_t {
  Hmac,
  RsassaPkcs1,
  RsaPss,
  RsaOaep,
  Ecdsa,
  Ecdh,
  Ed25519,
  X25519,
  AesGcm,
  AesCbc,
  AesCtr,
  AesKw,
  Hkdf,
  Pbkdf2,
};

enum class Curve : uint8_t { P256, P384, P521 };

/** `SHA-256`, and so on. */
std::string_view hashName(Hash hash);
size_t hashBytes(Hash hash);
/** How many bytes of a message the hash takes at a time: the length of a new HMAC key. */
size_t blockBytes(Hash hash);
std::string_view curveName(Curve curve);
bool isRsa(Algorithm algorithm);
bool isEc(Algorithm algorithm);
/** Ed25519 and X25519. */
bool isOkp(Algorithm algorithm);
bool isAes(Algorithm algorithm);

/** What a CryptoKey holds. Which of `secret` and `pair` there is follows from the algorithm. */
struct Key {
  enum class Type : uint8_t { Secret, Public, Private };

  Algorithm algorithm = Algorithm::Hmac;
  Type type = Type::Secret;
  /** Of HMAC and RSA keys. */
  Hash hash = Hash::Sha256;
  /** Of ECDSA and ECDH keys. */
  Curve curve = Curve::P256;
  Octets secret;
  bssl::UniquePtr<EVP_PKEY> pair;
};

/** The members of a JSON Web Key (RFC 7517) that are text, as they stand. */
struct Jwk {
  std::optional<std::string> kty, alg, crv, x, y, d, n, e, p, q, dp, dq, qi, k;
};

/** Asked now and then by what takes long; false: give up. */
using MayGoOn = std::function<bool()>;

// Where an optional is empty, or a bool false, the operation failed: an OperationError, or of imports
// a DataError.

Octets digest(Hash hash, View data);

// --- Making keys: `key` says what for, and gets the material ---

bool generateRsa(Key& key, uint32_t bits, uint64_t exponent, const MayGoOn& mayGoOn);
/** Of EC and OKP keys. */
bool generatePair(Key& key);
bool importRaw(Key& key, View data);
bool importSpki(Key& key, View data);
bool importPkcs8(Key& key, View data);
/** The type of `key` follows from whether there is a `d`. */
bool importJwk(Key& key, const Jwk& jwk);

/** The public half of a private key. */
bssl::UniquePtr<EVP_PKEY> publicHalf(const Key& key);

/** What `CryptoKey.algorithm` tells of an RSA key. */
struct RsaFacts {
  uint32_t bits;
  Octets exponent;
};
RsaFacts rsaFacts(const Key& key);

Octets exportRaw(const Key& key);
Octets exportSpki(const Key& key);
Octets exportPkcs8(const Key& key);
/** All but `alg`, which is the caller's. */
Jwk exportJwk(const Key& key);

// --- Using keys ---

/** `hash` of ECDSA comes with the call, that of other keys is theirs; `saltBytes` is of RSA-PSS. */
std::optional<Octets> sign(const Key& key, Hash hash, size_t saltBytes, View data);
bool verify(const Key& key, Hash hash, size_t saltBytes, View signature, View data);

struct CipherParams {
  /** Of AES-GCM and AES-CBC; the first counter block of AES-CTR; the label of RSA-OAEP. */
  Octets iv;
  /** Of AES-GCM. */
  Octets additionalData;
  size_t tagBytes = 16;
  /** How many bits at the end of AES-CTR's block count. */
  uint32_t counterBits = 0;
};
std::optional<Octets> encrypt(const Key& key, const CipherParams& params, View data);
std::optional<Octets> decrypt(const Key& key, const CipherParams& params, View data);
/** AES-KW. */
std::optional<Octets> wrap(const Key& key, View data);
std::optional<Octets> unwrap(const Key& key, View data);

/** What ECDH or X25519 agree on. */
std::optional<Octets> agree(const Key& key, const Key& peer);
std::optional<Octets> hkdf(const Key& key, Hash hash, View salt, View info, size_t bytes,
                           const MayGoOn& mayGoOn);
std::optional<Octets> pbkdf2(const Key& key, Hash hash, View salt, uint32_t iterations, size_t bytes,
                            const MayGoOn& mayGoOn);

/** Takes a time that depends on the lengths alone. */
bool equal(View a, View b);

}  // namespace fairlead::webcrypto
