// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/webcrypto.h"

#include <algorithm>
#include <array>

#include <openssl/aes.h>
#include <openssl/bn.h>
#include <openssl/bytestring.h>
#include <openssl/cipher.h>
#include <openssl/curve25519.h>
#include <openssl/digest.h>
#include <openssl/ec.h>
#include <openssl/ec_key.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hkdf.h>
#include <openssl/hmac.h>
#include <openssl/mem.h>
#include <openssl/nid.h>
#include <openssl/rsa.h>

namespace fairlead::webcrypto {
namespace {

constexpr size_t kAesBlockBytes = 16;
constexpr size_t kOkpBytes = 32;

/** What failed is told by the result; BoringSSL's own account of it is dropped. */
class Errors {
public:
  Errors() = default;
  ~Errors() { ERR_clear_error(); }
  Errors(const Errors&) = delete;
  Errors& operator=(const Errors&) = delete;
};

const EVP_MD* mdOf(Hash hash) {
  switch (hash) {
  case Hash::Sha1:
    return EVP_sha1();
  case Hash::Sha256:
    return EVP_sha256();
  case Hash::Sha384:
    return EVP_sha384();
  case Hash::Sha512:
    return EVP_sha512();
  }
  return nullptr;
}

const EC_GROUP* groupOf(Curve curve) {
  switch (curve) {
  case Curve::P256:
    return EC_group_p256();
  case Curve::P384:
    return EC_group_p384();
  case Curve::P521:
    return EC_group_p521();
  }
  return nullptr;
}

size_t fieldBytes(Curve curve) { return (EC_GROUP_get_degree(groupOf(curve)) + 7) / 8; }

const EVP_PKEY_ALG* pairAlgorithm(const Key& key) {
  if (isRsa(key.algorithm))
    return EVP_pkey_rsa();
  if (key.algorithm == Algorithm::Ed25519)
    return EVP_pkey_ed25519();
  if (key.algorithm == Algorithm::X25519)
    return EVP_pkey_x25519();
  switch (key.curve) {
  case Curve::P256:
    return EVP_pkey_ec_p256();
  case Curve::P384:
    return EVP_pkey_ec_p384();
  case Curve::P521:
    return EVP_pkey_ec_p521();
  }
  return nullptr;
}

/** What `write` puts into a CBB; empty when it fails. */
template <class Write> Octets written(Write&& write) {
  bssl::ScopedCBB cbb;
  if (!CBB_init(cbb.get(), 256) || !write(cbb.get()) || !CBB_flush(cbb.get()))
    return {};
  return {CBB_data(cbb.get()), CBB_data(cbb.get()) + CBB_len(cbb.get())};
}

bssl::UniquePtr<BIGNUM> number(View bytes) {
  return bssl::UniquePtr<BIGNUM>(BN_bin2bn(bytes.data(), bytes.size(), nullptr));
}

Octets bytesOf(const BIGNUM* value, size_t length) {
  Octets bytes(length);
  return BN_bn2bin_padded(bytes.data(), length, value) ? bytes : Octets();
}

Octets bytesOf(const BIGNUM* value) { return bytesOf(value, BN_num_bytes(value)); }

// --- Base64url, as JSON Web Keys have it: without padding ---

std::string encodeText(View bytes) {
  size_t length = 0;
  EVP_EncodedLength(&length, bytes.size());
  std::string text(length, '\0');
  text.resize(EVP_EncodeBlock(reinterpret_cast<uint8_t*>(text.data()), bytes.data(), bytes.size()));
  text.erase(text.find_last_not_of('=') + 1);
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

std::optional<Octets> decodeText(const std::optional<std::string>& from) {
  if (!from || from->find_first_of("+/=") != std::string::npos)
    return std::nullopt;
  std::string text = *from;
  std::replace(text.begin(), text.end(), '-', '+');
  std::replace(text.begin(), text.end(), '_', '/');
  text.append((4 - text.size() % 4) % 4, '=');
  Octets bytes(text.size());
  size_t length = 0;
  if (!EVP_DecodeBase64(bytes.data(), &length, bytes.size(),
                        reinterpret_cast<const uint8_t*>(text.data()), text.size()))
    return std::nullopt;
  bytes.resize(length);
  return bytes;
}

/** The same with a length that must be met. */
std::optional<Octets> decodeText(const std::optional<std::string>& from, size_t length) {
  std::optional<Octets> bytes = decodeText(from);
  return bytes && bytes->size() == length ? bytes : std::nullopt;
}

// --- Parts of keys ---

RSA* rsaOf(const Key& key) { return EVP_PKEY_get0_RSA(key.pair.get()); }
EC_KEY* ecOf(const Key& key) { return EVP_PKEY_get0_EC_KEY(key.pair.get()); }

bool setPair(Key& key, Key::Type type, bssl::UniquePtr<EVP_PKEY> pair) {
  key.type = type;
  key.pair = std::move(pair);
  return key.pair != nullptr;
}

bool setRsa(Key& key, Key::Type type, bssl::UniquePtr<RSA> rsa) {
  bssl::UniquePtr<EVP_PKEY> pair(EVP_PKEY_new());
  return rsa != nullptr && pair != nullptr && EVP_PKEY_set1_RSA(pair.get(), rsa.get()) &&
         setPair(key, type, std::move(pair));
}

bool setEc(Key& key, Key::Type type, bssl::UniquePtr<EC_KEY> ec) {
  bssl::UniquePtr<EVP_PKEY> pair(EVP_PKEY_new());
  return ec != nullptr && pair != nullptr && EVP_PKEY_set1_EC_KEY(pair.get(), ec.get()) &&
         setPair(key, type, std::move(pair));
}

bssl::UniquePtr<EC_KEY> newEc(Curve curve) {
  bssl::UniquePtr<EC_KEY> ec(EC_KEY_new());
  return ec != nullptr && EC_KEY_set_group(ec.get(), groupOf(curve)) ? std::move(ec) : nullptr;
}

bool importRsaJwk(Key& key, const Jwk& jwk) {
  const std::optional<Octets> n = decodeText(jwk.n);
  const std::optional<Octets> e = decodeText(jwk.e);
  if (!n || !e)
    return false;
  if (!jwk.d)
    return setRsa(key, Key::Type::Public,
                  bssl::UniquePtr<RSA>(RSA_new_public_key(number(*n).get(), number(*e).get())));
  bssl::UniquePtr<BIGNUM> parts[6];
  const std::optional<std::string>* texts[] = {&jwk.d, &jwk.p, &jwk.q, &jwk.dp, &jwk.dq, &jwk.qi};
  for (size_t i = 0; i < std::size(parts); ++i) {
    const std::optional<Octets> bytes = decodeText(*texts[i]);
    if (!bytes)
      return false;
    parts[i] = number(*bytes);
  }
  return setRsa(key, Key::Type::Private,
                bssl::UniquePtr<RSA>(RSA_new_private_key(
                    number(*n).get(), number(*e).get(), parts[0].get(), parts[1].get(),
                    parts[2].get(), parts[3].get(), parts[4].get(), parts[5].get())));
}

bool importEcJwk(Key& key, const Jwk& jwk) {
  const size_t length = fieldBytes(key.curve);
  const std::optional<Octets> x = decodeText(jwk.x, length);
  const std::optional<Octets> y = decodeText(jwk.y, length);
  bssl::UniquePtr<EC_KEY> ec = newEc(key.curve);
  if (!x || !y || ec == nullptr ||
      !EC_KEY_set_public_key_affine_coordinates(ec.get(), number(*x).get(), number(*y).get()))
    return false;
  if (!jwk.d)
    return setEc(key, Key::Type::Public, std::move(ec));
  const std::optional<Octets> d = decodeText(jwk.d, length);
  return d && EC_KEY_set_private_key(ec.get(), number(*d).get()) && EC_KEY_check_key(ec.get()) &&
         setEc(key, Key::Type::Private, std::move(ec));
}

Octets okpPublic(const Key& key) {
  Octets bytes(kOkpBytes);
  size_t length = bytes.size();
  EVP_PKEY_get_raw_public_key(key.pair.get(), bytes.data(), &length);
  return bytes;
}

bool importOkpJwk(Key& key, const Jwk& jwk) {
  const std::optional<Octets> x = decodeText(jwk.x, kOkpBytes);
  if (!x)
    return false;
  if (!jwk.d)
    return importRaw(key, *x);
  const std::optional<Octets> d = decodeText(jwk.d, kOkpBytes);
  return d &&
         setPair(key, Key::Type::Private,
                 bssl::UniquePtr<EVP_PKEY>(EVP_PKEY_from_raw_private_key(pairAlgorithm(key), d->data(),
                                                                         d->size()))) &&
         okpPublic(key) == *x;
}

/** Sets up a digest of RSA with its padding, or of Ed25519, to sign or to verify. */
template <class Init>
bool beginSignature(const Key& key, size_t saltBytes, EVP_MD_CTX* md, Init init) {
  EVP_PKEY_CTX* context = nullptr;
  const EVP_MD* hash = key.algorithm == Algorithm::Ed25519 ? nullptr : mdOf(key.hash);
  if (!init(md, &context, hash, nullptr, key.pair.get()))
    return false;
  return key.algorithm != Algorithm::RsaPss ||
         (EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) &&
          EVP_PKEY_CTX_set_rsa_pss_saltlen(context, static_cast<int>(saltBytes)));
}

const EVP_CIPHER* cipherOf(const Key& key) {
  const size_t bits = key.secret.size() * 8;
  switch (key.algorithm) {
  case Algorithm::AesGcm:
    return bits == 128 ? EVP_aes_128_gcm() : bits == 192 ? EVP_aes_192_gcm() : EVP_aes_256_gcm();
  case Algorithm::AesCbc:
    return bits == 128 ? EVP_aes_128_cbc() : bits == 192 ? EVP_aes_192_cbc() : EVP_aes_256_cbc();
  default:
    return bits == 128 ? EVP_aes_128_ctr() : bits == 192 ? EVP_aes_192_ctr() : EVP_aes_256_ctr();
  }
}

/** Runs `data` through a cipher that is set up, and appends what comes out. */
bool through(EVP_CIPHER_CTX* cipher, View data, Octets& out) {
  const size_t before = out.size();
  out.resize(before + data.size() + kAesBlockBytes);
  size_t length = 0;
  size_t rest = 0;
  if (!EVP_CipherUpdate_ex(cipher, out.data() + before, &length, out.size() - before, data.data(),
                           data.size()) ||
      !EVP_CipherFinal_ex2(cipher, out.data() + before + length, &rest,
                           out.size() - before - length))
    return false;
  out.resize(before + length + rest);
  return true;
}

bool throughGcm(const Key& key, const CipherParams& params, bool encrypting, View data, Octets& out) {
  bssl::ScopedEVP_CIPHER_CTX cipher;
  const View tag = encrypting ? View() : data.last(params.tagBytes);
  if (!encrypting)
    data = data.first(data.size() - params.tagBytes);
  if (!EVP_CipherInit_ex(cipher.get(), cipherOf(key), nullptr, nullptr, nullptr, encrypting) ||
      !EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_IVLEN,
                           static_cast<int>(params.iv.size()), nullptr) ||
      !EVP_CipherInit_ex(cipher.get(), nullptr, nullptr, key.secret.data(), params.iv.data(),
                         encrypting) ||
      (!encrypting && !EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_SET_TAG,
                                           static_cast<int>(tag.size()),
                                           const_cast<uint8_t*>(tag.data()))) ||
      !EVP_CipherUpdateAAD(cipher.get(), params.additionalData.data(),
                           params.additionalData.size()) ||
      !through(cipher.get(), data, out))
    return false;
  if (!encrypting)
    return true;
  const size_t end = out.size();
  out.resize(end + params.tagBytes);
  return EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_AEAD_GET_TAG, static_cast<int>(params.tagBytes),
                             out.data() + end) != 0;
}

/** AES-CTR, both ways. Only `counterBits` of a block count; BoringSSL counts with all of it. */
bool throughCtr(const Key& key, const CipherParams& params, View data, Octets& out) {
  std::array<uint8_t, kAesBlockBytes> block;
  std::copy_n(params.iv.begin(), block.size(), block.begin());
  // How often the counter can go up before it is zero again; beyond the data's size it does not matter.
  uint64_t left = UINT64_MAX;
  if (params.counterBits < 64) {
    uint64_t low = 0;
    for (size_t i = 8; i < block.size(); ++i)
      low = low << 8 | block[i];
    const uint64_t mask = (uint64_t{1} << params.counterBits) - 1;
    const uint64_t blocks = (data.size() + kAesBlockBytes - 1) / kAesBlockBytes;
    if (blocks > mask + 1)
      return false;
    left = mask + 1 - (low & mask);
  }
  const auto run = [&](View part) {
    bssl::ScopedEVP_CIPHER_CTX cipher;
    return EVP_CipherInit_ex(cipher.get(), cipherOf(key), nullptr, key.secret.data(), block.data(),
                             1) &&
           through(cipher.get(), part, out);
  };
  const size_t first = left < data.size() / kAesBlockBytes + 1 ? left * kAesBlockBytes : data.size();
  if (!run(data.first(std::min(first, data.size()))))
    return false;
  if (first >= data.size())
    return true;
  for (uint32_t bit = 0; bit < params.counterBits; ++bit)
    block[block.size() - 1 - bit / 8] &= static_cast<uint8_t>(~(1U << bit % 8));
  return run(data.subspan(first));
}

std::optional<Octets> throughOaep(const Key& key, const CipherParams& params, bool encrypting,
                                 View data) {
  bssl::UniquePtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(key.pair.get(), nullptr));
  if (context == nullptr ||
      !(encrypting ? EVP_PKEY_encrypt_init : EVP_PKEY_decrypt_init)(context.get()) ||
      !EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) ||
      !EVP_PKEY_CTX_set_rsa_oaep_md(context.get(), mdOf(key.hash)) ||
      !EVP_PKEY_CTX_set_rsa_mgf1_md(context.get(), mdOf(key.hash)))
    return std::nullopt;
  if (!params.iv.empty()) {
    // The context takes the label over.
    auto* label = static_cast<uint8_t*>(OPENSSL_memdup(params.iv.data(), params.iv.size()));
    if (label == nullptr ||
        !EVP_PKEY_CTX_set0_rsa_oaep_label(context.get(), label, params.iv.size())) {
      OPENSSL_free(label);
      return std::nullopt;
    }
  }
  Octets out(RSA_size(rsaOf(key)));
  size_t length = out.size();
  if (!(encrypting ? EVP_PKEY_encrypt : EVP_PKEY_decrypt)(context.get(), out.data(), &length,
                                                          data.data(), data.size()))
    return std::nullopt;
  out.resize(length);
  return out;
}

std::optional<Octets> crypt(const Key& key, const CipherParams& params, bool encrypting, View data) {
  const Errors errors;
  if (key.algorithm == Algorithm::RsaOaep)
    return throughOaep(key, params, encrypting, data);
  Octets out;
  bool done = false;
  if (key.algorithm == Algorithm::AesGcm) {
    done = (encrypting || data.size() >= params.tagBytes) &&
           throughGcm(key, params, encrypting, data, out);
  } else if (key.algorithm == Algorithm::AesCtr) {
    done = throughCtr(key, params, data, out);
  } else {
    bssl::ScopedEVP_CIPHER_CTX cipher;
    done = EVP_CipherInit_ex(cipher.get(), cipherOf(key), nullptr, key.secret.data(),
                             params.iv.data(), encrypting) &&
           through(cipher.get(), data, out);
  }
  return done ? std::optional(std::move(out)) : std::nullopt;
}

}  // namespace

std::string_view hashName(Hash hash) {
  constexpr std::string_view kNames[] = {"SHA-1", "SHA-256", "SHA-384", "SHA-512"};
  return kNames[static_cast<size_t>(hash)];
}

size_t hashBytes(Hash hash) { return EVP_MD_size(mdOf(hash)); }

size_t blockBytes(Hash hash) { return EVP_MD_block_size(mdOf(hash)); }

std::string_view curveName(Curve curve) {
  constexpr std::string_view kNames[] = {"P-256", "P-384", "P-521"};
  return kNames[static_cast<size_t>(curve)];
}

bool isRsa(Algorithm algorithm) {
  return algorithm == Algorithm::RsassaPkcs1 || algorithm == Algorithm::RsaPss ||
         algorithm == Algorithm::RsaOaep;
}

bool isEc(Algorithm algorithm) {
  return algorithm == Algorithm::Ecdsa || algorithm == Algorithm::Ecdh;
}

bool isOkp(Algorithm algorithm) {
  return algorithm == Algorithm::Ed25519 || algorithm == Algorithm::X25519;
}

bool isAes(Algorithm algorithm) {
  return algorithm == Algorithm::AesGcm || algorithm == Algorithm::AesCbc ||
         algorithm == Algorithm::AesCtr || algorithm == Algorithm::AesKw;
}

Octets digest(Hash hash, View data) {
  Octets out(hashBytes(hash));
  EVP_Digest(data.data(), data.size(), out.data(), nullptr, mdOf(hash), nullptr);
  return out;
}

// --- Making keys ---

bool generateRsa(Key& key, uint32_t bits, uint64_t exponent, const MayGoOn& mayGoOn) {
  const Errors errors;
  bssl::UniquePtr<RSA> rsa(RSA_new());
  bssl::UniquePtr<BIGNUM> e(BN_new());
  if (rsa == nullptr || e == nullptr || !BN_set_u64(e.get(), exponent))
    return false;
  BN_GENCB progress;
  BN_GENCB_set(
      &progress,
      [](int, int, BN_GENCB* self) {
        return static_cast<int>((*static_cast<const MayGoOn*>(BN_GENCB_get_arg(self)))());
      },
      const_cast<MayGoOn*>(&mayGoOn));
  return RSA_generate_key_ex(rsa.get(), static_cast<int>(bits), e.get(), &progress) &&
         RSA_bits(rsa.get()) == bits && setRsa(key, Key::Type::Private, std::move(rsa));
}

bool generatePair(Key& key) {
  const Errors errors;
  return setPair(key, Key::Type::Private,
                 bssl::UniquePtr<EVP_PKEY>(EVP_PKEY_generate_from_alg(pairAlgorithm(key))));
}

bool importRaw(Key& key, View data) {
  const Errors errors;
  if (isOkp(key.algorithm))
    return setPair(key, Key::Type::Public,
                   bssl::UniquePtr<EVP_PKEY>(EVP_PKEY_from_raw_public_key(
                       pairAlgorithm(key), data.data(), data.size())));
  if (isEc(key.algorithm)) {
    bssl::UniquePtr<EC_KEY> ec = newEc(key.curve);
    return ec != nullptr && EC_KEY_oct2key(ec.get(), data.data(), data.size(), nullptr) &&
           setEc(key, Key::Type::Public, std::move(ec));
  }
  const size_t bits = data.size() * 8;
  if (isAes(key.algorithm) && bits != 128 && bits != 192 && bits != 256)
    return false;
  key.secret.assign(data.begin(), data.end());
  return true;
}

bool importSpki(Key& key, View data) {
  const Errors errors;
  const EVP_PKEY_ALG* algorithms[] = {pairAlgorithm(key)};
  return setPair(key, Key::Type::Public,
                 bssl::UniquePtr<EVP_PKEY>(EVP_PKEY_from_subject_public_key_info(
                     data.data(), data.size(), algorithms, 1)));
}

bool importPkcs8(Key& key, View data) {
  const Errors errors;
  const EVP_PKEY_ALG* algorithms[] = {pairAlgorithm(key)};
  return setPair(key, Key::Type::Private,
                 bssl::UniquePtr<EVP_PKEY>(
                     EVP_PKEY_from_private_key_info(data.data(), data.size(), algorithms, 1)));
}

bool importJwk(Key& key, const Jwk& jwk) {
  const Errors errors;
  const std::string_view kty = isRsa(key.algorithm)   ? "RSA"
                               : isEc(key.algorithm)  ? "EC"
                               : isOkp(key.algorithm) ? "OKP"
                                                      : "oct";
  if (jwk.kty != kty)
    return false;
  if (isRsa(key.algorithm))
    return importRsaJwk(key, jwk);
  if (isEc(key.algorithm))
    return jwk.crv == curveName(key.curve) && importEcJwk(key, jwk);
  if (isOkp(key.algorithm))
    return jwk.crv == (key.algorithm == Algorithm::Ed25519 ? "Ed25519" : "X25519") &&
           importOkpJwk(key, jwk);
  const std::optional<Octets> secret = decodeText(jwk.k);
  return secret && importRaw(key, *secret);
}

bssl::UniquePtr<EVP_PKEY> publicHalf(const Key& key) {
  const Errors errors;
  Key half;
  half.algorithm = key.algorithm;
  half.curve = key.curve;
  importSpki(half, exportSpki(key));
  return std::move(half.pair);
}

RsaFacts rsaFacts(const Key& key) {
  return {RSA_bits(rsaOf(key)), bytesOf(RSA_get0_e(rsaOf(key)))};
}

Octets exportRaw(const Key& key) {
  const Errors errors;
  if (isOkp(key.algorithm))
    return okpPublic(key);
  if (!isEc(key.algorithm))
    return key.secret;
  return written([&](CBB* out) {
    return EC_POINT_point2cbb(out, groupOf(key.curve), EC_KEY_get0_public_key(ecOf(key)),
                              POINT_CONVERSION_UNCOMPRESSED, nullptr);
  });
}

Octets exportSpki(const Key& key) {
  const Errors errors;
  return written([&](CBB* out) { return EVP_marshal_public_key(out, key.pair.get()); });
}

Octets exportPkcs8(const Key& key) {
  const Errors errors;
  return written([&](CBB* out) { return EVP_marshal_private_key(out, key.pair.get()); });
}

Jwk exportJwk(const Key& key) {
  const Errors errors;
  Jwk jwk;
  const bool isPrivate = key.type == Key::Type::Private;
  if (isRsa(key.algorithm)) {
    const RSA* rsa = rsaOf(key);
    jwk.kty = "RSA";
    jwk.n = encodeText(bytesOf(RSA_get0_n(rsa)));
    jwk.e = encodeText(bytesOf(RSA_get0_e(rsa)));
    if (isPrivate) {
      jwk.d = encodeText(bytesOf(RSA_get0_d(rsa)));
      jwk.p = encodeText(bytesOf(RSA_get0_p(rsa)));
      jwk.q = encodeText(bytesOf(RSA_get0_q(rsa)));
      jwk.dp = encodeText(bytesOf(RSA_get0_dmp1(rsa)));
      jwk.dq = encodeText(bytesOf(RSA_get0_dmq1(rsa)));
      jwk.qi = encodeText(bytesOf(RSA_get0_iqmp(rsa)));
    }
  } else if (isEc(key.algorithm)) {
    const size_t length = fieldBytes(key.curve);
    const Octets point = exportRaw(key);
    jwk.kty = "EC";
    jwk.crv = curveName(key.curve);
    jwk.x = encodeText(View(point).subspan(1, length));
    jwk.y = encodeText(View(point).subspan(1 + length));
    if (isPrivate)
      jwk.d = encodeText(bytesOf(EC_KEY_get0_private_key(ecOf(key)), length));
  } else if (isOkp(key.algorithm)) {
    jwk.kty = "OKP";
    jwk.crv = key.algorithm == Algorithm::Ed25519 ? "Ed25519" : "X25519";
    jwk.x = encodeText(okpPublic(key));
    if (isPrivate) {
      Octets d(kOkpBytes);
      size_t length = d.size();
      EVP_PKEY_get_raw_private_key(key.pair.get(), d.data(), &length);
      jwk.d = encodeText(d);
    }
  } else {
    jwk.kty = "oct";
    jwk.k = encodeText(key.secret);
  }
  return jwk;
}

// --- Using keys ---

std::optional<Octets> sign(const Key& key, Hash hash, size_t saltBytes, View data) {
  const Errors errors;
  if (key.algorithm == Algorithm::Hmac) {
    Octets out(hashBytes(key.hash));
    return HMAC(mdOf(key.hash), key.secret.data(), key.secret.size(), data.data(), data.size(),
                out.data(), nullptr) == nullptr
               ? std::nullopt
               : std::optional(std::move(out));
  }
  if (key.algorithm == Algorithm::Ecdsa) {
    const Octets hashed = digest(hash, data);
    Octets out(ECDSA_size_p1363(ecOf(key)));
    size_t length = 0;
    if (!ECDSA_sign_p1363(hashed.data(), hashed.size(), out.data(), &length, out.size(), ecOf(key)))
      return std::nullopt;
    return out;
  }
  bssl::ScopedEVP_MD_CTX md;
  Octets out(EVP_PKEY_size(key.pair.get()));
  size_t length = out.size();
  if (!beginSignature(key, saltBytes, md.get(), EVP_DigestSignInit) ||
      !EVP_DigestSign(md.get(), out.data(), &length, data.data(), data.size()))
    return std::nullopt;
  out.resize(length);
  return out;
}

bool verify(const Key& key, Hash hash, size_t saltBytes, View signature, View data) {
  const Errors errors;
  if (key.algorithm == Algorithm::Hmac) {
    const std::optional<Octets> expected = sign(key, hash, saltBytes, data);
    return expected && equal(*expected, signature);
  }
  if (key.algorithm == Algorithm::Ecdsa) {
    const Octets hashed = digest(hash, data);
    return ECDSA_verify_p1363(hashed.data(), hashed.size(), signature.data(), signature.size(),
                              ecOf(key)) != 0;
  }
  bssl::ScopedEVP_MD_CTX md;
  return beginSignature(key, saltBytes, md.get(), EVP_DigestVerifyInit) &&
         EVP_DigestVerify(md.get(), signature.data(), signature.size(), data.data(), data.size());
}

std::optional<Octets> encrypt(const Key& key, const CipherParams& params, View data) {
  return crypt(key, params, true, data);
}

std::optional<Octets> decrypt(const Key& key, const CipherParams& params, View data) {
  return crypt(key, params, false, data);
}

std::optional<Octets> wrap(const Key& key, View data) {
  AES_KEY schedule;
  Octets out(data.size() + 8);
  if (data.size() % 8 != 0 || data.size() < 16 ||
      AES_set_encrypt_key(key.secret.data(), static_cast<unsigned>(key.secret.size() * 8),
                          &schedule) != 0 ||
      AES_wrap_key(&schedule, nullptr, out.data(), data.data(), data.size()) < 0)
    return std::nullopt;
  return out;
}

std::optional<Octets> unwrap(const Key& key, View data) {
  if (data.size() % 8 != 0 || data.size() < 24)
    return std::nullopt;
  AES_KEY schedule;
  Octets out(data.size() - 8);
  if (AES_set_decrypt_key(key.secret.data(), static_cast<unsigned>(key.secret.size() * 8),
                          &schedule) != 0 ||
      AES_unwrap_key(&schedule, nullptr, out.data(), data.data(), data.size()) < 0)
    return std::nullopt;
  return out;
}

std::optional<Octets> agree(const Key& key, const Key& peer) {
  const Errors errors;
  bssl::UniquePtr<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(key.pair.get(), nullptr));
  size_t length = 0;
  if (context == nullptr || !EVP_PKEY_derive_init(context.get()) ||
      !EVP_PKEY_derive_set_peer(context.get(), peer.pair.get()) ||
      !EVP_PKEY_derive(context.get(), nullptr, &length))
    return std::nullopt;
  Octets out(length);
  if (!EVP_PKEY_derive(context.get(), out.data(), &length))
    return std::nullopt;
  out.resize(length);
  return out;
}

// BoringSSL's own derivations cannot be stopped, and a script chooses how many steps there are and how
// long each takes.

std::optional<Octets> hkdf(const Key& key, Hash hash, View salt, View info, size_t bytes,
                           const MayGoOn& mayGoOn) {
  const Errors errors;
  const size_t length = hashBytes(hash);
  std::array<uint8_t, EVP_MAX_MD_SIZE> last;
  size_t extracted = 0;
  bssl::ScopedHMAC_CTX keyed;
  bssl::ScopedHMAC_CTX hmac;
  if (bytes > 255 * length ||
      !HKDF_extract(last.data(), &extracted, mdOf(hash), key.secret.data(), key.secret.size(),
                    salt.data(), salt.size()) ||
      !HMAC_Init_ex(keyed.get(), last.data(), extracted, mdOf(hash), nullptr))
    return std::nullopt;
  Octets out;
  for (uint8_t index = 1; out.size() < bytes; ++index) {
    if (!mayGoOn() || !HMAC_CTX_copy_ex(hmac.get(), keyed.get()) ||
        !HMAC_Update(hmac.get(), last.data(), index == 1 ? 0 : length) ||
        !HMAC_Update(hmac.get(), info.data(), info.size()) ||
        !HMAC_Update(hmac.get(), &index, sizeof index) ||
        !HMAC_Final(hmac.get(), last.data(), nullptr))
      return std::nullopt;
    out.insert(out.end(), last.begin(), last.begin() + std::min(length, bytes - out.size()));
  }
  return out;
}

std::optional<Octets> pbkdf2(const Key& key, Hash hash, View salt, uint32_t iterations, size_t bytes,
                            const MayGoOn& mayGoOn) {
  const Errors errors;
  constexpr uint32_t kAskEvery = 1024;
  bssl::ScopedHMAC_CTX keyed;
  bssl::ScopedHMAC_CTX hmac;
  if (!HMAC_Init_ex(keyed.get(), key.secret.data(), key.secret.size(), mdOf(hash), nullptr))
    return std::nullopt;
  Octets out;
  std::array<uint8_t, EVP_MAX_MD_SIZE> last;
  std::array<uint8_t, EVP_MAX_MD_SIZE> block;
  const size_t length = hashBytes(hash);
  for (uint32_t index = 1; out.size() < bytes; ++index) {
    const uint8_t number[] = {static_cast<uint8_t>(index >> 24), static_cast<uint8_t>(index >> 16),
                              static_cast<uint8_t>(index >> 8), static_cast<uint8_t>(index)};
    for (uint32_t i = 0; i < iterations; ++i) {
      if (i % kAskEvery == 0 && !mayGoOn())
        return std::nullopt;
      if (!HMAC_CTX_copy_ex(hmac.get(), keyed.get()) ||
          !(i == 0 ? HMAC_Update(hmac.get(), salt.data(), salt.size()) &&
                         HMAC_Update(hmac.get(), number, sizeof number)
                   : HMAC_Update(hmac.get(), last.data(), length)) ||
          !HMAC_Final(hmac.get(), last.data(), nullptr))
        return std::nullopt;
      for (size_t at = 0; at < length; ++at)
        block[at] = i == 0 ? last[at] : block[at] ^ last[at];
    }
    out.insert(out.end(), block.begin(), block.begin() + std::min(length, bytes - out.size()));
  }
  return out;
}

bool equal(View a, View b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace fairlead::webcrypto
