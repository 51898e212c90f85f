// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Crypto, SubtleCrypto and CryptoKey (https://w3c.github.io/webcrypto/). Everything is done at once, under
// the CPU limit of the script that asks; SubtleCrypto gives its results by promises all the same.
//
// Octets that are read out of a script's dictionary are copied, for reading the next member may run
// code of the script. The data of a call is looked at last, when no code of the script runs any more.

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <openssl/crypto.h>

#include "filter-cc/runtime.h"
#include "filter-cc/webcrypto.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

using webcrypto::Algorithm;
using webcrypto::Octets;
using webcrypto::CipherParams;
using webcrypto::Curve;
using webcrypto::Hash;
using webcrypto::Key;
using webcrypto::View;

// --- Usages ---

namespace usage {
constexpr uint16_t Encrypt = 1;
constexpr uint16_t Decrypt = 2;
constexpr uint16_t Sign = 4;
constexpr uint16_t Verify = 8;
constexpr uint16_t DeriveKey = 16;
constexpr uint16_t DeriveBits = 32;
constexpr uint16_t WrapKey = 64;
constexpr uint16_t UnwrapKey = 128;
constexpr uint16_t Cipher = Encrypt | Decrypt | WrapKey | UnwrapKey;
constexpr uint16_t Derive = DeriveKey | DeriveBits;
}  // namespace usage

/** In the order of their bits. */
constexpr const char* kUsageNames[] = {"encrypt",   "decrypt",    "sign",    "verify",
                                       "deriveKey", "deriveBits", "wrapKey", "unwrapKey"};

/** What an algorithm's keys are for; secret ones are like private ones. */
struct AlgorithmRow {
  std::string_view name;
  uint16_t privateUsages;
  uint16_t publicUsages;
};

/** In the order of Algorithm. */
constexpr AlgorithmRow kAlgorithms[] = {
    {"HMAC", usage::Sign | usage::Verify, 0},
    {"RSASSA-PKCS1-v1_5", usage::Sign, usage::Verify},
    {"RSA-PSS", usage::Sign, usage::Verify},
    {"RSA-OAEP", usage::Decrypt | usage::UnwrapKey, usage::Encrypt | usage::WrapKey},
    {"ECDSA", usage::Sign, usage::Verify},
    {"ECDH", usage::Derive, 0},
    {"Ed25519", usage::Sign, usage::Verify},
    {"X25519", usage::Derive, 0},
    {"AES-GCM", usage::Cipher, 0},
    {"AES-CBC", usage::Cipher, 0},
    {"AES-CTR", usage::Cipher, 0},
    {"AES-KW", usage::WrapKey | usage::UnwrapKey, 0},
    {"HKDF", usage::Derive, 0},
    {"PBKDF2", usage::Derive, 0},
};
static_assert(std::size(kAlgorithms) == static_cast<size_t>(Algorithm::Pbkdf2) + 1);

const AlgorithmRow& rowOf(Algorithm algorithm) {
  return kAlgorithms[static_cast<size_t>(algorithm)];
}

bool isDerivation(Algorithm algorithm) {
  return algorithm == Algorithm::Hkdf || algorithm == Algorithm::Pbkdf2;
}

constexpr uint32_t kMinRsaBits = 512;
/** Of longer keys a signature takes a third of a second, in which nobody can stop it. */
constexpr uint32_t kMaxRsaBits = 8192;

constexpr Hash kHashes[] = {Hash::Sha1, Hash::Sha256, Hash::Sha384, Hash::Sha512};
constexpr Curve kCurves[] = {Curve::P256, Curve::P384, Curve::P521};

// --- CryptoKey ---

/** Behind a CryptoKey. Owner: the object. */
class KeyData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::CryptoKey;
  static constexpr const char* kName = "CryptoKey";

  KeyData(const js::Runtime& engine, Key material, bool extractable, uint16_t usages)
      : key(std::move(material)), extractable(extractable), usages(usages), charge_(engine) {}

  void mark(JSRuntime* runtime, JS_MarkFunc* markValue) override {
    JS_MarkValue(runtime, algorithmObject, markValue);
    JS_MarkValue(runtime, usagesObject, markValue);
  }
  void finalize(JSRuntime* runtime) override {
    JS_FreeValueRT(runtime, algorithmObject);
    JS_FreeValueRT(runtime, usagesObject);
    delete this;
  }
  /** False: there is no room for it. */
  bool charge() {
    // Of a pair the most that its numbers take.
    constexpr size_t kPairBytes = 8192;
    return charge_.set(sizeof(KeyData) + key.secret.size() + (key.pair != nullptr ? kPairBytes : 0));
  }

  const Key key;
  const bool extractable;
  const uint16_t usages;
  // Made when they are first read.
  JSValue algorithmObject = JS_UNDEFINED;
  JSValue usagesObject = JS_UNDEFINED;

private:
  js::Charge charge_;
};

/** Behind `crypto`. Owner: the object. */
class CryptoData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::Crypto;
  static constexpr const char* kName = "Crypto";

  void mark(JSRuntime* runtime, JS_MarkFunc* markValue) override {
    JS_MarkValue(runtime, subtle, markValue);
  }
  void finalize(JSRuntime* runtime) override {
    JS_FreeValueRT(runtime, subtle);
    delete this;
  }

  // Made when it is first read.
  JSValue subtle = JS_UNDEFINED;
};

/** Behind `crypto.subtle`: nothing. */
class SubtleData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::SubtleCrypto;
  static constexpr const char* kName = "SubtleCrypto";
};

using Crypto_Self = CryptoData;
using SubtleCrypto_Self = SubtleData;
using CryptoKey_Self = KeyData;

// --- Reading what a script gives; false: an exception is pending ---

bool equalsIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [&](char x, char y) { return lower(x) == lower(y); });
}

bool read(const Call& call, JSValueConst object, const char* name, js::Value& out) {
  out = JS_IsObject(object) ? js::Value(call.ctx, JS_GetPropertyStr(call.ctx, object, name))
                            : js::Value();
  return !out.isException();
}

bool missing(const Call& call, const char* name, const char* what) {
  call.fail(ErrorCode::E_OPTION, {name, what});
  return false;
}

bool readText(const Call& call, JSValueConst object, const char* name,
              std::optional<std::string>& out) {
  js::Value value;
  if (!read(call, object, name, value))
    return false;
  if (value.isUndefined())
    return true;
  const js::Utf8 text(call.ctx, value.get());
  if (text)
    out = text.view();
  return static_cast<bool>(text);
}

bool copyBytes(JSValueConst value, Octets& out) {
  std::span<uint8_t> bytes;
  if (js::bytesOf(value, bytes) != js::BytesState::Found)
    return false;
  out.assign(bytes.begin(), bytes.end());
  return true;
}

constexpr const char* kBytes = "an ArrayBuffer or a view of one";

bool readBytes(const Call& call, JSValueConst object, const char* name, bool required, Octets& out) {
  js::Value value;
  if (!read(call, object, name, value))
    return false;
  if (value.isUndefined() && !required)
    return true;
  return copyBytes(value.get(), out) || missing(call, name, kBytes);
}

/** `[EnforceRange]` of a type with that greatest value. */
bool readNumber(const Call& call, JSValueConst object, const char* name, uint32_t max,
                std::optional<uint32_t>& out) {
  js::Value value;
  double number = 0;
  if (!read(call, object, name, value))
    return false;
  if (value.isUndefined())
    return true;
  if (JS_ToFloat64(call.ctx, &number, value.get()) < 0)
    return false;
  number = std::trunc(number);
  if (!(number >= 0 && number <= max))
    return missing(call, name, ("a number from 0 to " + std::to_string(max)).c_str());
  out = static_cast<uint32_t>(number);
  return true;
}

bool readNumber(const Call& call, JSValueConst object, const char* name, uint32_t max, uint32_t& out) {
  std::optional<uint32_t> number;
  if (!readNumber(call, object, name, max, number))
    return false;
  if (!number)
    return missing(call, name, "a number");
  out = *number;
  return true;
}

/** The name of an AlgorithmIdentifier. */
bool readName(const Call& call, JSValueConst identifier, std::string& out) {
  std::optional<std::string> name;
  if (JS_IsObject(identifier)) {
    if (!readText(call, identifier, "name", name))
      return false;
    if (!name)
      return missing(call, "name", "the name of an algorithm");
    out = std::move(*name);
    return true;
  }
  const js::Utf8 text(call.ctx, identifier);
  if (text)
    out = text.view();
  return static_cast<bool>(text);
}

bool unsupported(const Call& call, std::string_view name) {
  call.fail(ErrorCode::E_CRYPTO_ALGORITHM, {'"' + std::string(name.substr(0, 40)) + '"'});
  return false;
}

Thrown notSupported(const Call& call, Algorithm algorithm) {
  unsupported(call, rowOf(algorithm).name);
  return {};
}

bool toHash(const Call& call, JSValueConst identifier, Hash& out) {
  std::string name;
  if (!readName(call, identifier, name))
    return false;
  for (const Hash hash : kHashes) {
    if (equalsIgnoringCase(name, webcrypto::hashName(hash))) {
      out = hash;
      return true;
    }
  }
  return unsupported(call, name);
}

bool readHash(const Call& call, JSValueConst object, Hash& out) {
  js::Value value;
  if (!read(call, object, "hash", value))
    return false;
  return value.isUndefined() ? missing(call, "hash", "a hash algorithm")
                             : toHash(call, value.get(), out);
}

bool readCurve(const Call& call, JSValueConst object, Curve& out) {
  std::optional<std::string> name;
  if (!readText(call, object, "namedCurve", name))
    return false;
  if (!name)
    return missing(call, "namedCurve", "the name of a curve");
  for (const Curve curve : kCurves) {
    if (*name == webcrypto::curveName(curve)) {
      out = curve;
      return true;
    }
  }
  return unsupported(call, *name);
}

/** What a call can want of an algorithm. */
enum class Operation : uint8_t { Sign, Encrypt, Wrap, Derive, Generate, Import };

bool supports(Algorithm algorithm, Operation operation) {
  const AlgorithmRow& row = rowOf(algorithm);
  const uint16_t usages = row.privateUsages | row.publicUsages;
  switch (operation) {
  case Operation::Sign:
    return (usages & usage::Sign) != 0;
  case Operation::Encrypt:
    return (usages & usage::Encrypt) != 0;
  case Operation::Wrap:
    return (usages & usage::WrapKey) != 0;
  case Operation::Derive:
    return (usages & usage::DeriveBits) != 0;
  case Operation::Generate:
    return !isDerivation(algorithm);
  case Operation::Import:
    return true;
  }
  return false;
}

/** Finds an algorithm that can do `operation`. */
bool toAlgorithm(const Call& call, JSValueConst identifier, Operation operation, Algorithm& out) {
  std::string name;
  if (!readName(call, identifier, name))
    return false;
  for (size_t i = 0; i < std::size(kAlgorithms); ++i) {
    const auto algorithm = static_cast<Algorithm>(i);
    if (equalsIgnoringCase(name, kAlgorithms[i].name) && supports(algorithm, operation)) {
      out = algorithm;
      return true;
    }
  }
  return unsupported(call, name);
}

bool toUsages(const Call& call, JSValueConst list, size_t argument, uint16_t& out) {
  const js::Iteration outcome = js::iterate(call.ctx, list, [&](JSValueConst item) {
    const js::Utf8 text(call.ctx, item);
    if (!text)
      return false;
    const auto* end = std::end(kUsageNames);
    const auto* found = std::find(std::begin(kUsageNames), end, text.view());
    if (found == end) {
      bind::throwArgument(call, argument, "a list of key usages");
      return false;
    }
    out |= static_cast<uint16_t>(1 << (found - std::begin(kUsageNames)));
    return true;
  });
  if (outcome == js::Iteration::NotIterable)
    bind::throwArgument(call, argument, "a list of key usages");
  return outcome == js::Iteration::Done;
}

/** The key behind an argument; null with an exception pending. */
KeyData* toKey(const Call& call, JSValueConst value, size_t argument) {
  auto* key = static_cast<KeyData*>(bind::tryUnwrap(call.runtime, value, HostClass::CryptoKey));
  if (key == nullptr)
    bind::throwArgument(call, argument, "a CryptoKey");
  return key;
}

/** Whether a key is made for an algorithm and may be used so. */
bool allows(const Call& call, const KeyData& key, Algorithm algorithm, uint16_t wanted,
            const char* name) {
  if (key.key.algorithm != algorithm) {
    call.fail(ErrorCode::E_CRYPTO_KEY, {"a key of " + std::string(rowOf(key.key.algorithm).name)});
    return false;
  }
  if ((key.usages & wanted) == 0) {
    call.fail(ErrorCode::E_CRYPTO_KEY, {"a key without the usage " + std::string(name)});
    return false;
  }
  return true;
}

/** The bytes of a call's data. Valid until: code of the script runs. */
bool toData(const Call& call, JSValueConst value, size_t argument, View& out) {
  std::span<uint8_t> bytes;
  if (js::bytesOf(value, bytes) != js::BytesState::Found) {
    bind::throwArgument(call, argument, kBytes);
    return false;
  }
  out = bytes;
  return true;
}

// --- Results ---

/** Whether the script may go on; looks at the clock, for nothing else does while BoringSSL works. */
bool mayGoOn(const Call& call) {
  js::Entry* entry = call.runtime.engine().entry();
  return entry == nullptr || entry->mayGoOn();
}

/** Runs `body` and gives what comes of it by a promise: of exceptions too, but not of a stop. */
template <class Body> Outcome<JSValue> promised(const Call& call, Body&& body) {
  js::Value promise = js::newPromise(call.ctx);
  if (promise.isException() || !mayGoOn(call))
    return promise;
  js::Value result(call.ctx, Outcome<JSValue>(body()).value);
  const bool failed = result.isException();
  if (failed) {
    result = js::Value(call.ctx, JS_GetException(call.ctx));
    if (JS_IsUncatchableError(result.get()))
      return JS_Throw(call.ctx, result.release());
  }
  js::settlePromise(call.ctx, promise.get(), result.get(), failed);
  mayGoOn(call);
  return promise;
}

Thrown operationFailed(const Call& call) { return call.fail(ErrorCode::E_CRYPTO_OPERATION); }

Outcome<JSValue> newBuffer(const Call& call, const std::optional<Octets>& bytes) {
  if (!bytes)
    return operationFailed(call);
  return JS_NewArrayBufferCopy(call.ctx, bytes->data(), bytes->size());
}

js::Value newText(const Call& call, std::string_view text) { return js::newUtf8(call.ctx, text); }

bool set(const Call& call, const js::Value& object, const char* name, js::Value value) {
  return !object.isException() && !value.isException() &&
         JS_DefinePropertyValueStr(call.ctx, object.get(), name, value.release(), JS_PROP_C_W_E) >= 0;
}

js::Value newUsages(const Call& call, uint16_t usages) {
  js::Value list(call.ctx, JS_NewArray(call.ctx));
  uint32_t count = 0;
  for (size_t i = 0; i < std::size(kUsageNames); ++i) {
    if ((usages >> i & 1) != 0 &&
        (list.isException() ||
         JS_DefinePropertyValueUint32(call.ctx, list.get(), count++,
                                      newText(call, kUsageNames[i]).release(), JS_PROP_C_W_E) < 0))
      return {call.ctx, JS_EXCEPTION};
  }
  return list;
}

js::Value newKey(const Call& call, Key key, bool extractable, uint16_t usages) {
  auto* data = new KeyData(call.runtime.engine(), std::move(key), extractable, usages);
  js::Value object = bind::wrap(call.runtime, HostClass::CryptoKey, data);
  if (!object.isException() && !data->charge())
    return {call.ctx, JS_ThrowOutOfMemory(call.ctx)};
  return object;
}

/** The usages that one half of a pair can have; a secret key has no halves. */
uint16_t usagesOf(const Key& key) {
  const AlgorithmRow& row = rowOf(key.algorithm);
  return key.type == Key::Type::Public ? row.publicUsages : row.privateUsages;
}

Thrown badUsages(const Call& call, const char* what) {
  return call.fail(ErrorCode::E_CRYPTO_USAGES, {what});
}

constexpr const char* kWrongUsage = "one of the usages is not of this kind of key";
constexpr const char* kNoUsage = "a secret or private key needs a usage";

Outcome<JSValue> newCheckedKey(const Call& call, Key key, bool extractable, uint16_t usages) {
  if ((usages & ~usagesOf(key)) != 0)
    return badUsages(call, kWrongUsage);
  if (usages == 0 && key.type != Key::Type::Public)
    return badUsages(call, kNoUsage);
  if (extractable && isDerivation(key.algorithm))
    return badUsages(call, "such a key cannot be extractable");
  return newKey(call, std::move(key), extractable || key.type == Key::Type::Public, usages);
}

// --- JSON Web Keys ---

constexpr std::pair<const char*, std::optional<std::string> webcrypto::Jwk::*> kJwkMembers[] = {
    {"kty", &webcrypto::Jwk::kty}, {"alg", &webcrypto::Jwk::alg}, {"crv", &webcrypto::Jwk::crv},
    {"x", &webcrypto::Jwk::x},     {"y", &webcrypto::Jwk::y},     {"d", &webcrypto::Jwk::d},
    {"n", &webcrypto::Jwk::n},     {"e", &webcrypto::Jwk::e},     {"p", &webcrypto::Jwk::p},
    {"q", &webcrypto::Jwk::q},     {"dp", &webcrypto::Jwk::dp},   {"dq", &webcrypto::Jwk::dq},
    {"qi", &webcrypto::Jwk::qi},   {"k", &webcrypto::Jwk::k},
};

/** `alg` of a key (RFC 7518); empty for what has none. */
std::string jwkAlgorithm(const Key& key) {
  const std::string bits(webcrypto::hashName(key.hash).substr(4));
  const std::string aes = 'A' + std::to_string(key.secret.size() * 8);
  switch (key.algorithm) {
  case Algorithm::Hmac:
    return "HS" + bits;
  case Algorithm::RsassaPkcs1:
    return "RS" + bits;
  case Algorithm::RsaPss:
    return "PS" + bits;
  case Algorithm::RsaOaep:
    return bits == "1" ? "RSA-OAEP" : "RSA-OAEP-" + bits;
  case Algorithm::AesGcm:
    return aes + "GCM";
  case Algorithm::AesCbc:
    return aes + "CBC";
  case Algorithm::AesCtr:
    return aes + "CTR";
  case Algorithm::AesKw:
    return aes + "KW";
  default:
    return {};
  }
}

js::Value newJwk(const Call& call, const KeyData& data) {
  const webcrypto::Jwk jwk = webcrypto::exportJwk(data.key);
  js::Value object(call.ctx, JS_NewObject(call.ctx));
  const std::string alg = jwkAlgorithm(data.key);
  bool done = set(call, object, "key_ops", newUsages(call, data.usages)) &&
              set(call, object, "ext", {call.ctx, JS_NewBool(call.ctx, data.extractable)}) &&
              (alg.empty() || set(call, object, "alg", newText(call, alg)));
  for (const auto& [name, member] : kJwkMembers) {
    if (done && jwk.*member)
      done = set(call, object, name, newText(call, *(jwk.*member)));
  }
  return done ? std::move(object) : js::Value(call.ctx, JS_EXCEPTION);
}

Thrown badData(const Call& call, const char* what) {
  return call.fail(ErrorCode::E_CRYPTO_DATA, {what});
}

/** Fills `key` from a JSON Web Key that a script gives. */
bool readJwk(const Call& call, JSValueConst object, bool extractable, uint16_t usages, Key& key) {
  webcrypto::Jwk jwk;
  js::Charge copies(call.runtime.engine());
  for (const auto& [name, member] : kJwkMembers) {
    if (!readText(call, object, name, jwk.*member))
      return false;
    if (jwk.*member && !copies.set(copies.bytes() + (jwk.*member)->size())) {
      JS_ThrowOutOfMemory(call.ctx);
      return false;
    }
  }
  std::optional<std::string> use;
  js::Value operations;
  js::Value ext;
  js::Value more;
  if (!readText(call, object, "use", use) || !read(call, object, "key_ops", operations) ||
      !read(call, object, "ext", ext) || !read(call, object, "oth", more))
    return false;
  uint16_t named = 0;
  bool twice = false;
  if (!operations.isUndefined()) {
    const js::Iteration outcome = js::iterate(call.ctx, operations.get(), [&](JSValueConst item) {
      const js::Utf8 text(call.ctx, item);
      if (!text)
        return false;
      // Others are for those who know them.
      for (size_t i = 0; i < std::size(kUsageNames); ++i) {
        if (text.view() == kUsageNames[i]) {
          twice = twice || (named >> i & 1) != 0;
          named |= static_cast<uint16_t>(1 << i);
        }
      }
      return true;
    });
    if (outcome == js::Iteration::NotIterable)
      missing(call, "key_ops", "a list of key usages");
    if (outcome != js::Iteration::Done)
      return false;
  }
  const uint16_t signing = usage::Sign | usage::Verify;
  const bool signs = (rowOf(key.algorithm).privateUsages & usage::Sign) != 0;
  const char* problem = nullptr;
  if (!operations.isUndefined() && (twice || (usages & ~named) != 0))
    problem = "key_ops does not allow this use";
  else if (use && usages != 0 && *use != (signs ? "sig" : "enc"))
    problem = "use does not allow this use";
  else if (use && !operations.isUndefined() &&
           (*use == "sig" ? (named & ~signing) != 0 : (named & signing) != 0))
    problem = "use and key_ops contradict each other";
  else if (!ext.isUndefined() && JS_ToBool(call.ctx, ext.get()) == 0 && extractable)
    problem = "ext does not allow an extractable key";
  else if (!more.isUndefined() && webcrypto::isRsa(key.algorithm))
    problem = "keys of more than two primes are not supported";
  else if (!webcrypto::importJwk(key, jwk))
    problem = "it is not a JSON Web Key of this algorithm";
  const std::string alg = jwkAlgorithm(key);
  if (problem == nullptr && jwk.alg) {
    const bool fits = key.algorithm == Algorithm::Ed25519
                          ? *jwk.alg == "EdDSA" || *jwk.alg == "Ed25519"
                          : alg.empty() || alg == *jwk.alg;
    const bool fitsCurve =
        key.algorithm != Algorithm::Ecdsa ||
        *jwk.alg == (key.curve == Curve::P256 ? "ES256" : key.curve == Curve::P384 ? "ES384" : "ES512");
    if (!fits || !fitsCurve)
      problem = "alg is that of another algorithm";
  }
  if (problem != nullptr)
    badData(call, problem);
  return problem == nullptr;
}

// --- Formats ---

enum class Format : uint8_t { Raw, Spki, Pkcs8, Jwk };

bool toFormat(const Call& call, JSValueConst value, Format& out) {
  constexpr std::string_view kNames[] = {"raw", "spki", "pkcs8", "jwk"};
  const js::Utf8 text(call.ctx, value);
  if (!text)
    return false;
  const auto* found = std::find(std::begin(kNames), std::end(kNames), text.view());
  if (found == std::end(kNames)) {
    bind::throwArgument(call, 0, R"("raw", "spki", "pkcs8" or "jwk")");
    return false;
  }
  out = static_cast<Format>(found - std::begin(kNames));
  return true;
}

/** Whether keys of an algorithm come in a format. */
bool comesIn(Algorithm algorithm, Format format) {
  const bool isPair =
      webcrypto::isRsa(algorithm) || webcrypto::isEc(algorithm) || webcrypto::isOkp(algorithm);
  switch (format) {
  case Format::Raw:
    return !webcrypto::isRsa(algorithm);
  case Format::Jwk:
    return !isDerivation(algorithm);
  case Format::Spki:
  case Format::Pkcs8:
    return isPair;
  }
  return false;
}

/** What importKey and its kin want of a key. */
struct Wanted {
  Key key;
  /** Of HMAC and AES keys, in bits. */
  std::optional<uint32_t> length;
  bool extractable = false;
  uint16_t usages = 0;
};

/** Reads the parameters of importKey. */
bool toWanted(const Call& call, JSValueConst identifier, Wanted& out) {
  const Algorithm algorithm = out.key.algorithm;
  if ((algorithm == Algorithm::Hmac || webcrypto::isRsa(algorithm)) &&
      !readHash(call, identifier, out.key.hash))
    return false;
  if (algorithm == Algorithm::Hmac &&
      !readNumber(call, identifier, "length", UINT32_MAX, out.length))
    return false;
  return !webcrypto::isEc(algorithm) || readCurve(call, identifier, out.key.curve);
}

/** Makes a key of `data`, or for JSON Web Keys of `object`. */
Outcome<JSValue> importAs(const Call& call, Format format, View data, JSValueConst object,
                          Wanted wanted) {
  Key& key = wanted.key;
  if (!comesIn(key.algorithm, format))
    return notSupported(call, key.algorithm);
  const bool isPublic = format == Format::Spki || (format == Format::Raw &&
                                                   (webcrypto::isEc(key.algorithm) ||
                                                    webcrypto::isOkp(key.algorithm)));
  const AlgorithmRow& row = rowOf(key.algorithm);
  const uint16_t possible = isPublic                ? row.publicUsages
                            : format == Format::Jwk ? row.publicUsages | row.privateUsages
                                                    : row.privateUsages;
  if ((wanted.usages & ~possible) != 0)
    return badUsages(call, kWrongUsage);
  bool done = false;
  switch (format) {
  case Format::Raw:
    done = webcrypto::importRaw(key, data);
    break;
  case Format::Spki:
    done = webcrypto::importSpki(key, data);
    break;
  case Format::Pkcs8:
    done = webcrypto::importPkcs8(key, data);
    break;
  case Format::Jwk:
    if (!readJwk(call, object, wanted.extractable, wanted.usages, key))
      return Thrown{};
    done = true;
    break;
  }
  if (!done)
    return badData(call, "the bytes are no key of this algorithm in this format");
  if (webcrypto::isRsa(key.algorithm) && webcrypto::rsaFacts(key).bits > kMaxRsaBits)
    return badData(call, "an RSA key has at most 8192 bits");
  if (key.algorithm == Algorithm::Hmac) {
    const size_t bits = key.secret.size() * 8;
    if (bits == 0 || (wanted.length && (*wanted.length > bits || *wanted.length + 8 <= bits)))
      return badData(call, "the key is not as long as it should be");
    if (wanted.length && *wanted.length % 8 != 0)
      key.secret.back() &= static_cast<uint8_t>(0xFF << (8 - *wanted.length % 8));
  }
  return newCheckedKey(call, std::move(key), wanted.extractable, wanted.usages);
}

/** What exportKey and wrapKey give: the bytes, or for JSON Web Keys an object. */
Outcome<JSValue> exportAs(const Call& call, Format format, const KeyData& data) {
  const Key& key = data.key;
  if (isDerivation(key.algorithm) || !comesIn(key.algorithm, format))
    return notSupported(call, key.algorithm);
  if (!data.extractable)
    return call.fail(ErrorCode::E_CRYPTO_KEY, {"a key that is not extractable"});
  const Key::Type type = format == Format::Spki    ? Key::Type::Public
                         : format == Format::Pkcs8 ? Key::Type::Private
                         : format == Format::Raw && key.type != Key::Type::Secret
                             ? Key::Type::Public
                             : key.type;
  if (type != key.type)
    return call.fail(ErrorCode::E_CRYPTO_KEY, {"the other half of a key pair"});
  switch (format) {
  case Format::Raw:
    return newBuffer(call, webcrypto::exportRaw(key));
  case Format::Spki:
    return newBuffer(call, webcrypto::exportSpki(key));
  case Format::Pkcs8:
    return newBuffer(call, webcrypto::exportPkcs8(key));
  case Format::Jwk:
    break;
  }
  return newJwk(call, data);
}

// --- Ciphers ---

bool toCipherParams(const Call& call, JSValueConst identifier, Algorithm algorithm,
                    CipherParams& out) {
  if (algorithm == Algorithm::RsaOaep)
    return readBytes(call, identifier, "label", false, out.iv);
  if (algorithm == Algorithm::AesKw)
    return true;
  const bool isCtr = algorithm == Algorithm::AesCtr;
  if (!readBytes(call, identifier, isCtr ? "counter" : "iv", true, out.iv))
    return false;
  std::optional<uint32_t> tagBits;
  if (algorithm == Algorithm::AesGcm &&
      (!readBytes(call, identifier, "additionalData", false, out.additionalData) ||
       !readNumber(call, identifier, "tagLength", UINT8_MAX, tagBits)))
    return false;
  if (isCtr && !readNumber(call, identifier, "length", UINT8_MAX, out.counterBits))
    return false;
  constexpr uint32_t kTagBits[] = {32, 64, 96, 104, 112, 120, 128};
  constexpr size_t kAesBlockBytes = 16;
  constexpr uint32_t kMaxCounterBits = 128;
  const bool valid = algorithm == Algorithm::AesGcm
                         ? !out.iv.empty() && (!tagBits || std::count(std::begin(kTagBits),
                                                                      std::end(kTagBits), *tagBits))
                         : out.iv.size() == kAesBlockBytes &&
                               (!isCtr || (out.counterBits > 0 && out.counterBits <= kMaxCounterBits));
  if (tagBits)
    out.tagBytes = *tagBits / 8;
  if (!valid)
    operationFailed(call);
  return valid;
}

Outcome<JSValue> crypt(const Call& call, JSValueConst identifier, JSValueConst keyValue,
                       JSValueConst dataValue, uint16_t wanted, const char* name) {
  return promised(call, [&]() -> Outcome<JSValue> {
    Algorithm algorithm;
    CipherParams params;
    View data;
    KeyData* key = nullptr;
    if (!toAlgorithm(call, identifier, Operation::Encrypt, algorithm) ||
        !toCipherParams(call, identifier, algorithm, params) ||
        (key = toKey(call, keyValue, 1)) == nullptr || !toData(call, dataValue, 2, data) ||
        !allows(call, *key, algorithm, wanted, name))
      return Thrown{};
    return newBuffer(call, wanted == usage::Encrypt ? webcrypto::encrypt(key->key, params, data)
                                                    : webcrypto::decrypt(key->key, params, data));
  });
}

// --- Signatures ---

/** What sign and verify read of their algorithm. */
struct SignatureParams {
  Algorithm algorithm;
  Hash hash = Hash::Sha256;
  uint32_t saltBytes = 0;
};

bool toSignatureParams(const Call& call, JSValueConst identifier, SignatureParams& out) {
  return toAlgorithm(call, identifier, Operation::Sign, out.algorithm) &&
         (out.algorithm != Algorithm::Ecdsa || readHash(call, identifier, out.hash)) &&
         (out.algorithm != Algorithm::RsaPss ||
          readNumber(call, identifier, "saltLength", INT32_MAX, out.saltBytes));
}

// --- Derivation ---

struct DerivationParams {
  Algorithm algorithm;
  Hash hash = Hash::Sha256;
  Octets salt;
  Octets info;
  uint32_t iterations = 0;
  js::Value peer;
};

bool toDerivationParams(const Call& call, JSValueConst identifier, DerivationParams& out) {
  if (!toAlgorithm(call, identifier, Operation::Derive, out.algorithm))
    return false;
  if (!isDerivation(out.algorithm))
    return read(call, identifier, "public", out.peer) &&
           (bind::tryUnwrap(call.runtime, out.peer.get(), HostClass::CryptoKey) != nullptr ||
            missing(call, "public", "a CryptoKey"));
  return readHash(call, identifier, out.hash) &&
         readBytes(call, identifier, "salt", true, out.salt) &&
         (out.algorithm == Algorithm::Hkdf
              ? readBytes(call, identifier, "info", true, out.info)
              : readNumber(call, identifier, "iterations", UINT32_MAX, out.iterations));
}

/** Derives so many bits; without a number as many as there are. False: an exception is pending. */
bool derive(const Call& call, const DerivationParams& params, const Key& key,
            std::optional<uint32_t> bits, Octets& out) {
  std::optional<Octets> derived;
  if (isDerivation(params.algorithm)) {
    const auto goOn = [&] { return mayGoOn(call); };
    // HKDF gives little in any case.
    js::Charge room(call.runtime.engine());
    if (params.algorithm == Algorithm::Pbkdf2 && !room.set(bits.value_or(0) / 8)) {
      JS_ThrowOutOfMemory(call.ctx);
      return false;
    }
    if (bits && *bits % 8 == 0 && (params.algorithm == Algorithm::Hkdf || params.iterations > 0))
      derived = params.algorithm == Algorithm::Hkdf
                    ? webcrypto::hkdf(key, params.hash, params.salt, params.info, *bits / 8, goOn)
                    : webcrypto::pbkdf2(key, params.hash, params.salt, params.iterations, *bits / 8,
                                        goOn);
  } else {
    const auto* peer = static_cast<KeyData*>(
        bind::tryUnwrap(call.runtime, params.peer.get(), HostClass::CryptoKey));
    if (peer->key.type != Key::Type::Public || key.type != Key::Type::Private ||
        peer->key.algorithm != key.algorithm || peer->key.curve != key.curve) {
      call.fail(ErrorCode::E_CRYPTO_KEY, {"keys that are no private and public key of one curve"});
      return false;
    }
    derived = webcrypto::agree(key, peer->key);
    if (derived && bits) {
      const size_t length = (size_t{*bits} + 7) / 8;
      if (length > derived->size()) {
        derived.reset();
      } else {
        derived->resize(length);
        if (*bits % 8 != 0)
          derived->back() &= static_cast<uint8_t>(0xFF << (8 - *bits % 8));
      }
    }
  }
  if (!derived) {
    operationFailed(call);
    return false;
  }
  out = std::move(*derived);
  return true;
}

// --- Making keys ---

/** How many bits an AES or HMAC key has. False: an exception is pending. */
bool secretBits(const Call& call, JSValueConst identifier, const Key& key,
                std::optional<uint32_t>& bits) {
  if (isDerivation(key.algorithm))
    return true;
  if (!readNumber(call, identifier, "length", UINT32_MAX, bits))
    return false;
  if (key.algorithm == Algorithm::Hmac) {
    if (!bits)
      bits = static_cast<uint32_t>(webcrypto::blockBytes(key.hash) * 8);
    if (*bits == 0)
      operationFailed(call);
    return *bits != 0;
  }
  if (!bits)
    return missing(call, "length", "128, 192 or 256");
  const bool valid = *bits == 128 || *bits == 192 || *bits == 256;
  if (!valid)
    operationFailed(call);
  return valid;
}

Outcome<JSValue> generateSecret(const Call& call, JSValueConst identifier, Wanted wanted) {
  Key& key = wanted.key;
  if (key.algorithm == Algorithm::Hmac && !readHash(call, identifier, key.hash))
    return Thrown{};
  std::optional<uint32_t> bits;
  if (!secretBits(call, identifier, key, bits))
    return Thrown{};
  if ((wanted.usages & ~rowOf(key.algorithm).privateUsages) != 0)
    return badUsages(call, kWrongUsage);
  const size_t bytes = (size_t{*bits} + 7) / 8;
  js::Charge room(call.runtime.engine());
  if (!room.set(bytes))
    return JS_ThrowOutOfMemory(call.ctx);
  key.secret.resize(bytes);
  if (!js::fillRandom(key.secret))
    return operationFailed(call);
  if (*bits % 8 != 0)
    key.secret.back() &= static_cast<uint8_t>(0xFF << (8 - *bits % 8));
  return newCheckedKey(call, std::move(key), wanted.extractable, wanted.usages);
}

Outcome<JSValue> generatePair(const Call& call, JSValueConst identifier, Wanted wanted) {
  Key& key = wanted.key;
  const AlgorithmRow& row = rowOf(key.algorithm);
  uint32_t bits = 0;
  uint64_t exponent = 0;
  if (webcrypto::isRsa(key.algorithm)) {
    Octets big;
    if (!readNumber(call, identifier, "modulusLength", UINT32_MAX, bits) ||
        !readBytes(call, identifier, "publicExponent", true, big) ||
        !readHash(call, identifier, key.hash))
      return Thrown{};
    for (const uint8_t byte : big)
      exponent = exponent > UINT32_MAX ? exponent : exponent << 8 | byte;
  } else if (webcrypto::isEc(key.algorithm) && !readCurve(call, identifier, key.curve)) {
    return Thrown{};
  }
  if ((wanted.usages & ~(row.privateUsages | row.publicUsages)) != 0)
    return badUsages(call, kWrongUsage);
  if ((wanted.usages & row.privateUsages) == 0)
    return badUsages(call, kNoUsage);
  const bool made =
      webcrypto::isRsa(key.algorithm)
          ? bits >= kMinRsaBits && bits <= kMaxRsaBits && (exponent == 3 || exponent == 65'537) &&
                webcrypto::generateRsa(key, bits, exponent, [&] { return mayGoOn(call); })
          : webcrypto::generatePair(key);
  if (!made)
    return operationFailed(call);
  Key half{.algorithm = key.algorithm,
           .type = Key::Type::Public,
           .hash = key.hash,
           .curve = key.curve,
           .secret = {},
           .pair = webcrypto::publicHalf(key)};
  const js::Value pair(call.ctx, JS_NewObject(call.ctx));
  const uint16_t usages = wanted.usages;
  if (!set(call, pair, "publicKey", newKey(call, std::move(half), true, usages & row.publicUsages)) ||
      !set(call, pair, "privateKey",
           newKey(call, std::move(key), wanted.extractable, usages & row.privateUsages)))
    return Thrown{};
  return pair.dup();
}

// --- Crypto ---

Outcome<JSValue> Crypto_subtle(Call& call, CryptoData& self) {
  if (JS_IsUndefined(self.subtle)) {
    js::Value subtle = bind::wrap(call.runtime, HostClass::SubtleCrypto, new SubtleData);
    if (subtle.isException())
      return Thrown{};
    self.subtle = subtle.release();
  }
  return JS_DupValue(call.ctx, self.subtle);
}

Outcome<JSValue> Crypto_getRandomValues(Call& call, CryptoData&, JSValueConst array) {
  constexpr size_t kMaxBytes = 65'536;
  std::span<uint8_t> bytes;
  const js::BytesState state = js::bytesOf(array, bytes);
  switch (JS_GetTypedArrayType(array)) {
  case JS_TYPED_ARRAY_UINT8C:
  case JS_TYPED_ARRAY_INT8:
  case JS_TYPED_ARRAY_UINT8:
  case JS_TYPED_ARRAY_INT16:
  case JS_TYPED_ARRAY_UINT16:
  case JS_TYPED_ARRAY_INT32:
  case JS_TYPED_ARRAY_UINT32:
  case JS_TYPED_ARRAY_BIG_INT64:
  case JS_TYPED_ARRAY_BIG_UINT64:
    break;
  default:
    if (state == js::BytesState::NotBytes || JS_IsArrayBuffer(array)) {
      bind::throwArgument(call, 0, "a typed array of integers");
      return Thrown{};
    }
    return call.fail(ErrorCode::E_TYPE_MISMATCH, {"a typed array of integers"});
  }
  if (bytes.size() > kMaxBytes)
    return call.fail(ErrorCode::E_QUOTA, {std::to_string(kMaxBytes) + " bytes"});
  if (state == js::BytesState::Found && !js::fillRandom(bytes))
    return operationFailed(call);
  return JS_DupValue(call.ctx, array);
}

Outcome<std::string_view> Crypto_randomUUID(Call& call, CryptoData&) {
  std::array<uint8_t, 16> bytes;
  if (!js::fillRandom(bytes))
    return operationFailed(call);
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3F) | 0x80);
  std::string text;
  for (size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10)
      text += '-';
    constexpr char kDigits[] = "0123456789abcdef";
    text += kDigits[bytes[i] >> 4];
    text += kDigits[bytes[i] & 0x0F];
  }
  return call.keep(std::move(text));
}

// --- SubtleCrypto ---

Outcome<JSValue> SubtleCrypto_digest(Call& call, SubtleData&, JSValueConst identifier,
                                     JSValueConst dataValue) {
  return promised(call, [&]() -> Outcome<JSValue> {
    Hash hash;
    View data;
    if (!toHash(call, identifier, hash) || !toData(call, dataValue, 1, data))
      return Thrown{};
    return newBuffer(call, webcrypto::digest(hash, data));
  });
}

Outcome<JSValue> SubtleCrypto_sign(Call& call, SubtleData&, JSValueConst identifier,
                                   JSValueConst keyValue, JSValueConst dataValue) {
  return promised(call, [&]() -> Outcome<JSValue> {
    SignatureParams params;
    View data;
    KeyData* key = nullptr;
    if (!toSignatureParams(call, identifier, params) ||
        (key = toKey(call, keyValue, 1)) == nullptr || !toData(call, dataValue, 2, data) ||
        !allows(call, *key, params.algorithm, usage::Sign, "sign"))
      return Thrown{};
    return newBuffer(call, webcrypto::sign(key->key, params.hash, params.saltBytes, data));
  });
}

Outcome<JSValue> SubtleCrypto_verify(Call& call, SubtleData&, JSValueConst identifier,
                                     JSValueConst keyValue, JSValueConst signatureValue,
                                     JSValueConst dataValue) {
  return promised(call, [&]() -> Outcome<JSValue> {
    SignatureParams params;
    View signature;
    View data;
    KeyData* key = nullptr;
    if (!toSignatureParams(call, identifier, params) ||
        (key = toKey(call, keyValue, 1)) == nullptr || !toData(call, signatureValue, 2, signature) ||
        !toData(call, dataValue, 3, data) ||
        !allows(call, *key, params.algorithm, usage::Verify, "verify"))
      return Thrown{};
    return JS_NewBool(call.ctx, webcrypto::verify(key->key, params.hash, params.saltBytes,
                                                  signature, data));
  });
}

Outcome<JSValue> SubtleCrypto_encrypt(Call& call, SubtleData&, JSValueConst identifier,
                                      JSValueConst key, JSValueConst data) {
  return crypt(call, identifier, key, data, usage::Encrypt, "encrypt");
}

Outcome<JSValue> SubtleCrypto_decrypt(Call& call, SubtleData&, JSValueConst identifier,
                                      JSValueConst key, JSValueConst data) {
  return crypt(call, identifier, key, data, usage::Decrypt, "decrypt");
}

Outcome<JSValue> SubtleCrypto_generateKey(Call& call, SubtleData&, JSValueConst identifier,
                                          bool extractable, JSValueConst usages) {
  return promised(call, [&]() -> Outcome<JSValue> {
    Wanted wanted;
    wanted.extractable = extractable;
    if (!toAlgorithm(call, identifier, Operation::Generate, wanted.key.algorithm) ||
        !toUsages(call, usages, 2, wanted.usages))
      return Thrown{};
    const bool isSecret =
        wanted.key.algorithm == Algorithm::Hmac || webcrypto::isAes(wanted.key.algorithm);
    return isSecret ? generateSecret(call, identifier, std::move(wanted))
                    : generatePair(call, identifier, std::move(wanted));
  });
}

Outcome<JSValue> SubtleCrypto_importKey(Call& call, SubtleData&, JSValueConst formatValue,
                                        JSValueConst keyData, JSValueConst identifier,
                                        bool extractable, JSValueConst usages) {
  return promised(call, [&]() -> Outcome<JSValue> {
    Format format;
    Wanted wanted;
    wanted.extractable = extractable;
    View data;
    if (!toFormat(call, formatValue, format) ||
        !toAlgorithm(call, identifier, Operation::Import, wanted.key.algorithm) ||
        !toWanted(call, identifier, wanted) || !toUsages(call, usages, 4, wanted.usages))
      return Thrown{};
    if (format != Format::Jwk) {
      if (!toData(call, keyData, 1, data))
        return Thrown{};
    } else if (!JS_IsObject(keyData) || copyBytes(keyData, wanted.key.secret)) {
      bind::throwArgument(call, 1, "a JSON Web Key");
      return Thrown{};
    }
    return importAs(call, format, data, keyData, std::move(wanted));
  });
}

Outcome<JSValue> SubtleCrypto_exportKey(Call& call, SubtleData&, JSValueConst formatValue,
                                        JSValueConst keyValue) {
  return promised(call, [&]() -> Outcome<JSValue> {
    Format format;
    if (!toFormat(call, formatValue, format))
      return Thrown{};
    KeyData* key = toKey(call, keyValue, 1);
    if (key == nullptr)
      return Thrown{};
    return exportAs(call, format, *key);
  });
}

Outcome<JSValue> SubtleCrypto_deriveBits(Call& call, SubtleData&, JSValueConst identifier,
                                         JSValueConst keyValue, JSValueConst lengthValue) {
  return promised(call, [&]() -> Outcome<JSValue> {
    DerivationParams params;
    KeyData* key = nullptr;
    Octets out;
    std::optional<uint32_t> bits;
    if (!JS_IsNull(lengthValue) && !JS_IsUndefined(lengthValue)) {
      uint32_t number = 0;
      if (JS_ToUint32(call.ctx, &number, lengthValue) < 0)
        return Thrown{};
      bits = number;
    }
    if (!toDerivationParams(call, identifier, params) ||
        (key = toKey(call, keyValue, 1)) == nullptr ||
        !allows(call, *key, params.algorithm, usage::DeriveBits, "deriveBits") ||
        !derive(call, params, key->key, bits, out))
      return Thrown{};
    return newBuffer(call, out);
  });
}

Outcome<JSValue> SubtleCrypto_deriveKey(Call& call, SubtleData&, JSValueConst identifier,
                                        JSValueConst keyValue, JSValueConst derivedType,
                                        bool extractable, JSValueConst usages) {
  return promised(call, [&]() -> Outcome<JSValue> {
    DerivationParams params;
    Wanted wanted;
    wanted.extractable = extractable;
    KeyData* key = nullptr;
    std::optional<uint32_t> bits;
    Octets derived;
    if (!toDerivationParams(call, identifier, params) ||
        !toAlgorithm(call, derivedType, Operation::Import, wanted.key.algorithm) ||
        !toWanted(call, derivedType, wanted) || !toUsages(call, usages, 4, wanted.usages) ||
        (key = toKey(call, keyValue, 1)) == nullptr ||
        !allows(call, *key, params.algorithm, usage::DeriveKey, "deriveKey"))
      return Thrown{};
    if (webcrypto::isRsa(wanted.key.algorithm) || webcrypto::isEc(wanted.key.algorithm) ||
        webcrypto::isOkp(wanted.key.algorithm))
      return notSupported(call, wanted.key.algorithm);
    if (!secretBits(call, derivedType, wanted.key, bits) ||
        !derive(call, params, key->key, bits, derived))
      return Thrown{};
    wanted.length = bits;
    return importAs(call, Format::Raw, derived, JS_UNDEFINED, std::move(wanted));
  });
}

Outcome<JSValue> SubtleCrypto_wrapKey(Call& call, SubtleData&, JSValueConst formatValue,
                                      JSValueConst keyValue, JSValueConst wrappingKeyValue,
                                      JSValueConst identifier) {
  return promised(call, [&]() -> Outcome<JSValue> {
    Format format;
    Algorithm algorithm;
    CipherParams params;
    KeyData* key = nullptr;
    KeyData* wrappingKey = nullptr;
    if (!toFormat(call, formatValue, format) ||
        !toAlgorithm(call, identifier, Operation::Wrap, algorithm) ||
        !toCipherParams(call, identifier, algorithm, params) ||
        (key = toKey(call, keyValue, 1)) == nullptr ||
        (wrappingKey = toKey(call, wrappingKeyValue, 2)) == nullptr ||
        !allows(call, *wrappingKey, algorithm, usage::WrapKey, "wrapKey"))
      return Thrown{};
    js::Value exported(call.ctx, exportAs(call, format, *key).value);
    Octets bytes;
    if (exported.isException())
      return Thrown{};
    if (format == Format::Jwk) {
      const js::Value json(call.ctx,
                           JS_JSONStringify(call.ctx, exported.get(), JS_UNDEFINED, JS_UNDEFINED));
      if (json.isException())
        return Thrown{};
      const js::Utf8 text(call.ctx, json.get());
      if (!text)
        return Thrown{};
      bytes.assign(text.view().begin(), text.view().end());
    } else {
      copyBytes(exported.get(), bytes);
    }
    return newBuffer(call, algorithm == Algorithm::AesKw
                               ? webcrypto::wrap(wrappingKey->key, bytes)
                               : webcrypto::encrypt(wrappingKey->key, params, bytes));
  });
}

Outcome<JSValue> SubtleCrypto_unwrapKey(Call& call, SubtleData&, JSValueConst formatValue,
                                        JSValueConst dataValue, JSValueConst unwrappingKeyValue,
                                        JSValueConst identifier, JSValueConst keyIdentifier,
                                        bool extractable, JSValueConst usages) {
  return promised(call, [&]() -> Outcome<JSValue> {
    Format format;
    Algorithm algorithm;
    CipherParams params;
    Wanted wanted;
    wanted.extractable = extractable;
    View data;
    KeyData* key = nullptr;
    if (!toFormat(call, formatValue, format) ||
        !toAlgorithm(call, identifier, Operation::Wrap, algorithm) ||
        !toCipherParams(call, identifier, algorithm, params) ||
        !toAlgorithm(call, keyIdentifier, Operation::Import, wanted.key.algorithm) ||
        !toWanted(call, keyIdentifier, wanted) || !toUsages(call, usages, 6, wanted.usages) ||
        (key = toKey(call, unwrappingKeyValue, 2)) == nullptr || !toData(call, dataValue, 1, data) ||
        !allows(call, *key, algorithm, usage::UnwrapKey, "unwrapKey"))
      return Thrown{};
    const std::optional<Octets> bytes = algorithm == Algorithm::AesKw
                                           ? webcrypto::unwrap(key->key, data)
                                           : webcrypto::decrypt(key->key, params, data);
    if (!bytes)
      return operationFailed(call);
    js::Value object;
    if (format == Format::Jwk) {
      // The parser reads the byte behind the text, which must be 0.
      const std::string text(bytes->begin(), bytes->end());
      object = js::Value(call.ctx, JS_ParseJSON(call.ctx, text.c_str(), text.size(), "key"));
      if (object.isException()) {
        const js::Value reason(call.ctx, JS_GetException(call.ctx));
        return badData(call, "it is not a JSON Web Key of this algorithm");
      }
    }
    return importAs(call, format, *bytes, object.get(), std::move(wanted));
  });
}

Outcome<bool> SubtleCrypto_timingSafeEqual(Call& call, SubtleData&, View a, View b) {
  if (a.size() != b.size()) {
    call.fail(ErrorCode::E_ARGUMENT, {"2", "as long as the first"});
    return Thrown{};
  }
  return webcrypto::equal(a, b);
}

// --- CryptoKey ---

Outcome<std::string_view> CryptoKey_type(Call&, KeyData& self) {
  constexpr std::string_view kNames[] = {"secret", "public", "private"};
  return kNames[static_cast<size_t>(self.key.type)];
}

Outcome<bool> CryptoKey_extractable(Call&, KeyData& self) { return self.extractable; }

js::Value newAlgorithm(const Call& call, const Key& key) {
  js::Value object(call.ctx, JS_NewObject(call.ctx));
  const auto number = [&](uint32_t value) {
    return js::Value(call.ctx, JS_NewUint32(call.ctx, value));
  };
  bool done = set(call, object, "name", newText(call, rowOf(key.algorithm).name));
  if (done && (key.algorithm == Algorithm::Hmac || webcrypto::isRsa(key.algorithm))) {
    js::Value hash(call.ctx, JS_NewObject(call.ctx));
    done = set(call, hash, "name", newText(call, webcrypto::hashName(key.hash))) &&
           set(call, object, "hash", std::move(hash));
  }
  if (done && (key.algorithm == Algorithm::Hmac || webcrypto::isAes(key.algorithm)))
    done = set(call, object, "length", number(static_cast<uint32_t>(key.secret.size() * 8)));
  if (done && webcrypto::isEc(key.algorithm))
    done = set(call, object, "namedCurve", newText(call, webcrypto::curveName(key.curve)));
  if (done && webcrypto::isRsa(key.algorithm)) {
    const webcrypto::RsaFacts facts = webcrypto::rsaFacts(key);
    done = set(call, object, "modulusLength", number(facts.bits)) &&
           set(call, object, "publicExponent",
               {call.ctx, JS_NewUint8ArrayCopy(call.ctx, facts.exponent.data(),
                                               facts.exponent.size())});
  }
  return done ? std::move(object) : js::Value(call.ctx, JS_EXCEPTION);
}

/** Keeps what a getter gives at first for every later time. */
Outcome<JSValue> kept(const Call& call, JSValue& place, js::Value made) {
  if (made.isException())
    return Thrown{};
  place = made.release();
  return JS_DupValue(call.ctx, place);
}

Outcome<JSValue> CryptoKey_algorithm(Call& call, KeyData& self) {
  if (!JS_IsUndefined(self.algorithmObject))
    return JS_DupValue(call.ctx, self.algorithmObject);
  return kept(call, self.algorithmObject, newAlgorithm(call, self.key));
}

Outcome<JSValue> CryptoKey_usages(Call& call, KeyData& self) {
  if (!JS_IsUndefined(self.usagesObject))
    return JS_DupValue(call.ctx, self.usagesObject);
  return kept(call, self.usagesObject, newUsages(call, self.usages));
}

#define HOST_crypto
#include "filter-cc/bind_rows.h"

}  // namespace

JSValue defineCrypto(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Crypto, kRows, CryptoData::kName);
}

JSValue defineSubtleCrypto(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::SubtleCrypto, kRows, SubtleData::kName);
}

JSValue defineCryptoKey(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::CryptoKey, kRows, KeyData::kName);
}

JSValue newCrypto(Runtime& runtime) {
  return bind::wrap(runtime, HostClass::Crypto, new CryptoData).release();
}

}  // namespace fairlead
