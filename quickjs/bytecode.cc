// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "quickjs/bytecode.h"

#include <algorithm>
#include <cstring>

#include "engine_id.h"
#include "quickjs/engine.h"

// The hash functions of a third party, built from its unmodified source.
extern "C" {
struct hash_state;
int SHA256_init(hash_state** state);
int SHA256_destroy(hash_state* state);
int SHA256_update(hash_state* state, const uint8_t* bytes, size_t length);
int SHA256_digest(const hash_state* state, uint8_t* digest, size_t digestBytes);
}

namespace fairlead {

namespace {

// Not text, and damaged by every transfer that takes it for text.
constexpr std::array<uint8_t, 8> kMagic = {0x89, 'Q', 'J', 'B', '\r', '\n', 0x1A, '\n'};
constexpr uint32_t kContainerVersion = 1;
constexpr size_t kEngineIdBytes = 64;
constexpr size_t kContainerVersionAt = 8;
constexpr size_t kContractVersionAt = 12;
constexpr size_t kContractHashAt = 16;
constexpr size_t kEngineIdAt = 24;
constexpr size_t kPayloadSizeAt = 88;
constexpr size_t kHashAt = 96;
constexpr size_t kHeaderBytes = 128;
constexpr size_t kSectionHeaderBytes = 8;
constexpr size_t kMaxManifestBytes = 64 * 1024;

static_assert(sizeof(FAIRLEAD_ENGINE_ID) <= kEngineIdBytes);

enum class Section : uint32_t { Manifest = 1, Bytecode = 2, SourceMap = 3 };

std::string nameOf(uint32_t section) {
  switch (static_cast<Section>(section)) {
  case Section::Manifest:
    return "manifest";
  case Section::Bytecode:
    return "bytecode";
  case Section::SourceMap:
    return "source map";
  }
  return "unknown section " + std::to_string(section);
}

template <class Integer> void store(uint8_t* at, Integer value) {
  for (size_t i = 0; i < sizeof(Integer); ++i) at[i] = static_cast<uint8_t>(value >> (8 * i));
}

template <class Integer> Integer load(const uint8_t* at) {
  Integer value = 0;
  for (size_t i = 0; i < sizeof(Integer); ++i) value |= static_cast<Integer>(at[i]) << (8 * i);
  return value;
}

Error refuse(const char* code, std::string message) {
  return {.code = code, .message = std::move(message)};
}

std::array<uint8_t, 32> hashOf(std::span<const uint8_t> container) {
  return sha256({container.first(kHashAt), container.subspan(kHeaderBytes)});
}

void appendSection(std::vector<uint8_t>& out, Section section, const void* bytes, size_t size) {
  const size_t at = out.size();
  out.resize(at + kSectionHeaderBytes + size);
  store(&out[at], static_cast<uint32_t>(section));
  store(&out[at + 4], static_cast<uint32_t>(size));
  if (size != 0) std::memcpy(&out[at + kSectionHeaderBytes], bytes, size);
}

std::string_view textOf(std::span<const uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The engine id of a container; nothing if the field is not padded text.
std::optional<std::string_view> readEngineId(std::span<const uint8_t> container) {
  const std::string_view field = textOf(container.subspan(kEngineIdAt, kEngineIdBytes));
  const std::string_view id = field.substr(0, field.find('\0'));
  const bool printable =
      std::all_of(id.begin(), id.end(), [](char c) { return c > ' ' && c <= '~'; });
  if (!printable || field.find_first_not_of('\0', id.size()) != field.npos) return std::nullopt;
  return id;
}

Result<void> readSections(std::span<const uint8_t> payload, BytecodeView& view) {
  const auto damaged = [](std::string message) {
    return refuse("E_BYTECODE_SECTION", std::move(message));
  };
  uint32_t last = 0;
  bool hasManifest = false;
  bool hasBytecode = false;
  while (!payload.empty()) {
    if (payload.size() < kSectionHeaderBytes) {
      return damaged("the part after the section " + nameOf(last) + " is too short for a section");
    }
    const auto kind = load<uint32_t>(payload.data());
    const auto size = load<uint32_t>(payload.data() + 4);
    const std::string name = nameOf(kind);
    if (kind < static_cast<uint32_t>(Section::Manifest) ||
        kind > static_cast<uint32_t>(Section::SourceMap)) {
      return damaged("it has an " + name);
    }
    if (kind == last) return damaged("the section " + name + " is there twice");
    if (kind < last) return damaged("the section " + name + " is out of order");
    last = kind;
    payload = payload.subspan(kSectionHeaderBytes);
    if (size > payload.size()) {
      return damaged("the section " + name + " says " + std::to_string(size) + " bytes, but " +
                     std::to_string(payload.size()) + " are left");
    }
    const auto bytes = payload.first(size);
    payload = payload.subspan(size);
    switch (static_cast<Section>(kind)) {
    case Section::Manifest:
      hasManifest = true;
      view.manifestJson = textOf(bytes);
      break;
    case Section::Bytecode:
      hasBytecode = true;
      view.bytecode = bytes;
      break;
    case Section::SourceMap:
      view.sourceMap = textOf(bytes);
      break;
    }
  }
  if (!hasManifest) return damaged("it has no manifest");
  if (!hasBytecode || view.bytecode.empty()) return damaged("it has no bytecode");
  return {};
}

// --- Manifest ---

void appendJsonString(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      constexpr char kDigits[] = "0123456789abcdef";
      out += "\\u00";
      out += kDigits[c >> 4];
      out += kDigits[c & 0xF];
    } else {
      out += c;
    }
  }
  out += '"';
}

void appendJsonList(std::string& out, const std::vector<std::string>& list) {
  out += '[';
  for (const std::string& text : list) {
    if (&text != &list.front()) out += ',';
    appendJsonString(out, text);
  }
  out += ']';
}

std::string toJson(const Manifest& manifest) {
  std::string out = "{\"name\":";
  appendJsonString(out, manifest.name);
  out += ",\"clusters\":";
  appendJsonList(out, manifest.clusters);
  out += ",\"sources\":";
  appendJsonList(out, manifest.sources);
  return out + '}';
}

std::optional<std::string> readString(JSContext* ctx, JSValueConst value) {
  if (!JS_IsString(value)) return std::nullopt;
  const js::Utf8 text(ctx, value);
  if (!text) return std::nullopt;
  const auto isControl = [](unsigned char c) { return c < 0x20 || c == 0x7F; };
  if (std::any_of(text.view().begin(), text.view().end(), isControl)) return std::nullopt;
  return std::string(text.view());
}

std::optional<std::vector<std::string>> readList(JSContext* ctx, JSValueConst value) {
  int64_t length = 0;
  if (!JS_IsArray(value) || JS_GetLength(ctx, value, &length) < 0) return std::nullopt;
  std::vector<std::string> list;
  for (int64_t i = 0; i < length; ++i) {
    const js::Value item(ctx, JS_GetPropertyInt64(ctx, value, i));
    auto text = readString(ctx, item.get());
    if (!text) return std::nullopt;
    list.push_back(*std::move(text));
  }
  return list;
}

} // namespace

std::string_view engineId() { return FAIRLEAD_ENGINE_ID; }

bool hasBytecodeMagic(std::span<const uint8_t> bytes) {
  return bytes.size() >= kMagic.size() && std::equal(kMagic.begin(), kMagic.end(), bytes.begin());
}

std::vector<uint8_t> writeBytecode(const BytecodeParts& parts) {
  std::vector<uint8_t> out(kHeaderBytes);
  std::copy(kMagic.begin(), kMagic.end(), out.begin());
  store(&out[kContainerVersionAt], kContainerVersion);
  store(&out[kContractVersionAt], parts.contractVersion);
  store(&out[kContractHashAt], parts.contractHash);
  std::memcpy(&out[kEngineIdAt], engineId().data(), engineId().size());

  const std::string manifest = toJson(parts.manifest);
  appendSection(out, Section::Manifest, manifest.data(), manifest.size());
  appendSection(out, Section::Bytecode, parts.bytecode.data(), parts.bytecode.size());
  if (parts.sourceMap) {
    appendSection(out, Section::SourceMap, parts.sourceMap->data(), parts.sourceMap->size());
  }
  store(&out[kPayloadSizeAt], static_cast<uint64_t>(out.size() - kHeaderBytes));
  const auto hash = hashOf(out);
  std::copy(hash.begin(), hash.end(), &out[kHashAt]);
  return out;
}

Result<BytecodeView> parseBytecode(std::span<const uint8_t> bytes, uint32_t contractVersion) {
  const size_t compared = std::min(bytes.size(), kMagic.size());
  if (!std::equal(bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(compared),
                  kMagic.begin())) {
    return refuse("E_BYTECODE_MAGIC", "this is not a fairlead bytecode file (.qjb)");
  }
  const auto truncated = [&](uint64_t wanted) {
    return refuse("E_BYTECODE_TRUNCATED", "the file is cut off: it has " +
                                              std::to_string(bytes.size()) + " bytes of " +
                                              std::to_string(wanted));
  };
  if (bytes.size() < kHeaderBytes) return truncated(kHeaderBytes);

  const auto container = load<uint32_t>(&bytes[kContainerVersionAt]);
  if (container != kContainerVersion) {
    return refuse("E_BYTECODE_VERSION",
                  "the file has container version " + std::to_string(container) +
                      ", this build reads version " + std::to_string(kContainerVersion) +
                      ": build the filter again");
  }
  const auto id = readEngineId(bytes);
  if (id != engineId()) {
    return refuse("E_BYTECODE_ENGINE", "the file was built for engine " +
                                           (id ? std::string(*id) : "with a damaged name") +
                                           ", this build has " + std::string(engineId()) +
                                           ": build the filter again with the matching fairlead");
  }
  BytecodeView view;
  view.engineId = *id;
  view.contractVersion = load<uint32_t>(&bytes[kContractVersionAt]);
  view.contractHash = load<uint64_t>(&bytes[kContractHashAt]);
  if (view.contractVersion > contractVersion) {
    return refuse("E_BYTECODE_CONTRACT", "the filter wants contract " +
                                             std::to_string(view.contractVersion) +
                                             ", this build serves up to " +
                                             std::to_string(contractVersion) + ": update fairlead");
  }
  const auto payloadSize = load<uint64_t>(&bytes[kPayloadSizeAt]);
  const uint64_t present = bytes.size() - kHeaderBytes;
  if (payloadSize > present) {
    return truncated(payloadSize > UINT64_MAX - kHeaderBytes ? UINT64_MAX
                                                             : payloadSize + kHeaderBytes);
  }
  if (payloadSize < present) {
    return refuse("E_BYTECODE_TRAILING", "the file goes on for " +
                                             std::to_string(present - payloadSize) +
                                             " bytes after its end");
  }
  const auto hash = hashOf(bytes);
  if (!std::equal(hash.begin(), hash.end(), &bytes[kHashAt])) {
    return refuse("E_BYTECODE_HASH", "the file is damaged: its hash does not match its content");
  }
  if (auto sections = readSections(bytes.subspan(kHeaderBytes), view); !sections) {
    Error error = std::move(sections).error();
    error.message = "the file is damaged: " + error.message;
    return error;
  }
  return view;
}

Result<Manifest> parseManifest(std::string_view json) {
  const auto refused = [](std::string message) {
    return refuse("E_BYTECODE_MANIFEST", "the manifest " + std::move(message));
  };
  if (json.size() > kMaxManifestBytes) {
    return refused("has " + std::to_string(json.size()) + " bytes, more than " +
                   std::to_string(kMaxManifestBytes));
  }
  const auto runtime = js::Runtime::create();
  const auto context =
      runtime ? js::Context::create(*runtime, js::Context::Kind::Compiler) : nullptr;
  if (context == nullptr) return js::describeFault(js::Fault::Memory);
  JSContext* ctx = context->raw();
  const auto parsed = js::parseJson(ctx, json, "manifest");
  if (!parsed) return refused("is not JSON: " + parsed.error().message);

  JSPropertyEnum* keys = nullptr;
  uint32_t count = 0;
  if (!parsed->isObject() ||
      JS_GetOwnPropertyNames(ctx, &keys, &count, parsed->get(), JS_GPN_STRING_MASK) < 0) {
    return refused("is not an object");
  }
  JS_FreePropertyEnum(ctx, keys, count);
  const auto member = [&](const char* key) {
    return js::Value(ctx, JS_GetPropertyStr(ctx, parsed->get(), key));
  };
  auto name = readString(ctx, member("name").get());
  auto clusters = readList(ctx, member("clusters").get());
  auto sources = readList(ctx, member("sources").get());
  if (!name || !clusters || !sources || count != 3) {
    return refused("is not {name, clusters, sources} with one string and two lists of strings, "
                   "free of control characters");
  }
  return Manifest{*std::move(name), *std::move(clusters), *std::move(sources)};
}

std::array<uint8_t, 32> sha256(std::initializer_list<std::span<const uint8_t>> pieces) {
  std::array<uint8_t, 32> digest{};
  hash_state* state = nullptr;
  // Fails only for want of a few bytes of memory; then no hash will match.
  if (SHA256_init(&state) != 0) return digest;
  for (const auto piece : pieces) SHA256_update(state, piece.data(), piece.size());
  SHA256_digest(state, digest.data(), digest.size());
  SHA256_destroy(state);
  return digest;
}

} // namespace fairlead
