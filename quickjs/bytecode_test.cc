// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "quickjs/bytecode.h"

#include <gtest/gtest.h>

#include "quickjs/engine.h"

namespace fairlead {
namespace {

using Bytes = std::vector<uint8_t>;

constexpr uint32_t kContract = 3;
constexpr size_t kHeaderBytes = 128;

Bytes text(std::string_view string) { return {string.begin(), string.end()}; }

const Manifest& manifest() {
  static const Manifest manifest{"auth", {"idp", "keys"}, {"src/auth.ts", "src/jwt.ts"}};
  return manifest;
}

/// A container around real bytecode.
Bytes makeContainer(std::optional<std::string_view> sourceMap = "{\"version\":3}") {
  const auto bytecode = js::compile("export default { onRequest() {} };", "filter.js", {});
  EXPECT_TRUE(bytecode);
  return writeBytecode({.manifest = manifest(),
                        .bytecode = *bytecode,
                        .sourceMap = sourceMap,
                        .contractVersion = kContract,
                        .contractHash = 0x1122334455667788});
}

std::string codeOf(const Bytes& bytes, uint32_t contract = kContract) {
  const auto view = parseBytecode(bytes, contract);
  return view ? "accepted" : view.error().code;
}

std::string messageOf(const Bytes& bytes, uint32_t contract = kContract) {
  const auto view = parseBytecode(bytes, contract);
  return view ? "accepted" : view.error().message;
}

void store32(Bytes& bytes, size_t at, uint32_t value) {
  for (int i = 0; i < 4; ++i) bytes[at + i] = static_cast<uint8_t>(value >> (8 * i));
}

/// Makes size and hash of a container right again after an edit.
Bytes resealed(Bytes bytes) {
  store32(bytes, 88, static_cast<uint32_t>(bytes.size() - kHeaderBytes));
  const std::span<const uint8_t> all(bytes);
  const auto hash = sha256({all.first(96), all.subspan(kHeaderBytes)});
  std::copy(hash.begin(), hash.end(), bytes.begin() + 96);
  return bytes;
}

struct Section {
  uint32_t kind;
  Bytes bytes;
  /// What the length field says, if it lies.
  std::optional<uint32_t> size = std::nullopt;
};

/// A container with these sections and a right hash.
Bytes withSections(const std::vector<Section>& sections) {
  Bytes bytes = makeContainer();
  bytes.resize(kHeaderBytes);
  for (const Section& section : sections) {
    const size_t at = bytes.size();
    bytes.resize(at + 8);
    store32(bytes, at, section.kind);
    store32(bytes, at + 4, section.size.value_or(static_cast<uint32_t>(section.bytes.size())));
    bytes.insert(bytes.end(), section.bytes.begin(), section.bytes.end());
  }
  return resealed(std::move(bytes));
}

TEST(BytecodeTest, GivesBackWhatWasWritten) {
  const Bytes bytes = makeContainer();
  const auto view = parseBytecode(bytes, kContract);
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->engineId, engineId());
  EXPECT_EQ(view->contractVersion, kContract);
  EXPECT_EQ(view->contractHash, 0x1122334455667788u);
  EXPECT_EQ(view->sourceMap, "{\"version\":3}");
  const auto read = parseManifest(view->manifestJson);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->name, "auth");
  EXPECT_EQ(read->clusters, manifest().clusters);
  EXPECT_EQ(read->sources, manifest().sources);

  const auto runtime = js::Runtime::create();
  const auto context = js::Context::create(*runtime, js::Context::Kind::Filter);
  EXPECT_TRUE(context->load(view->bytecode, {1'000'000'000, 1'000'000'000}));
}

TEST(BytecodeTest, IsTheSameForTheSameInput) { EXPECT_EQ(makeContainer(), makeContainer()); }

TEST(BytecodeTest, TellsAnAbsentSourceMapFromAnEmptyOne) {
  const Bytes without = makeContainer(std::nullopt);
  EXPECT_EQ(parseBytecode(without, kContract)->sourceMap, std::nullopt);
  const Bytes empty = makeContainer("");
  EXPECT_EQ(parseBytecode(empty, kContract)->sourceMap, "");
}

TEST(BytecodeTest, KnowsItsOwnByTheMagic) {
  EXPECT_TRUE(hasBytecodeMagic(makeContainer()));
  EXPECT_FALSE(hasBytecodeMagic(text("export default {}")));
  EXPECT_FALSE(hasBytecodeMagic(text("\x89QJB")));
  EXPECT_FALSE(hasBytecodeMagic({}));
}

TEST(BytecodeTest, RefusesWhatIsNoContainer) { // H501
  EXPECT_EQ(codeOf(text("\x7f"
                        "ELF\x02\x01\x01")),
            "E_BYTECODE_MAGIC");
  EXPECT_EQ(codeOf(text("PK\x03\x04")), "E_BYTECODE_MAGIC");
  EXPECT_EQ(codeOf(text("export default { onRequest() {} };")), "E_BYTECODE_MAGIC");
  EXPECT_EQ(codeOf(Bytes(1000, 0)), "E_BYTECODE_MAGIC");
  Bytes random(4096);
  ASSERT_TRUE(js::fillRandom(random));
  random[0] = 0;
  EXPECT_EQ(codeOf(random), "E_BYTECODE_MAGIC");
}

TEST(BytecodeTest, RefusesEveryTruncation) { // H501
  const Bytes whole = makeContainer();
  for (size_t length = 0; length < whole.size(); ++length) {
    ASSERT_EQ(codeOf(Bytes(whole.begin(), whole.begin() + static_cast<long>(length))),
              "E_BYTECODE_TRUNCATED")
        << length;
  }
}

TEST(BytecodeTest, RefusesTrailingBytes) {
  Bytes bytes = makeContainer();
  bytes.push_back(0);
  EXPECT_EQ(codeOf(bytes), "E_BYTECODE_TRAILING");
}

TEST(BytecodeTest, RefusesEveryFlippedByte) { // H502
  const Bytes whole = makeContainer();
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const uint8_t mask : {0x01, 0x80, 0xFF}) {
      Bytes flipped = whole;
      flipped[at] ^= mask;
      ASSERT_NE(codeOf(flipped), "accepted") << at;
    }
  }
}

TEST(BytecodeTest, NamesBothEnginesOfAForeignFile) { // H504
  Bytes bytes = makeContainer();
  std::fill(bytes.begin() + 24, bytes.begin() + 88, uint8_t{0});
  const std::string_view other = "0.18.0-0123456789abcdef";
  std::copy(other.begin(), other.end(), bytes.begin() + 24);
  bytes = resealed(std::move(bytes));
  EXPECT_EQ(codeOf(bytes), "E_BYTECODE_ENGINE");
  EXPECT_NE(messageOf(bytes).find(other), std::string::npos);
  EXPECT_NE(messageOf(bytes).find(engineId()), std::string::npos);
}

TEST(BytecodeTest, RefusesADamagedEngineId) {
  for (const size_t at : {size_t{25}, size_t{80}}) {
    Bytes bytes = makeContainer();
    bytes[at] = '\n';
    EXPECT_EQ(codeOf(resealed(bytes)), "E_BYTECODE_ENGINE");
    EXPECT_EQ(messageOf(resealed(bytes)).find('\n'), std::string::npos);
  }
  Bytes behind = makeContainer();
  behind[87] = 'x';
  EXPECT_EQ(codeOf(resealed(behind)), "E_BYTECODE_ENGINE");
}

TEST(BytecodeTest, RefusesANewerContractAndRunsAnOlderOne) { // F108 H504
  const Bytes bytes = makeContainer();
  EXPECT_EQ(codeOf(bytes, kContract - 1), "E_BYTECODE_CONTRACT");
  EXPECT_NE(messageOf(bytes, kContract - 1).find("contract 3"), std::string::npos);
  EXPECT_EQ(codeOf(bytes, kContract), "accepted");
  EXPECT_EQ(codeOf(bytes, kContract + 1), "accepted");
}

TEST(BytecodeTest, RefusesAnotherContainerVersionAndByteOrder) { // H504
  Bytes bytes = makeContainer();
  store32(bytes, 8, 2);
  EXPECT_EQ(codeOf(resealed(bytes)), "E_BYTECODE_VERSION");
  store32(bytes, 8, 0x01000000);
  EXPECT_EQ(codeOf(resealed(bytes)), "E_BYTECODE_VERSION");
}

TEST(BytecodeTest, RefusesAWrongHash) {
  Bytes bytes = makeContainer();
  bytes.back() ^= 1;
  EXPECT_EQ(codeOf(bytes), "E_BYTECODE_HASH");
  bytes = makeContainer();
  bytes[96] ^= 1;
  EXPECT_EQ(codeOf(bytes), "E_BYTECODE_HASH");
  bytes = makeContainer();
  bytes[16] ^= 1;
  EXPECT_EQ(codeOf(bytes), "E_BYTECODE_HASH") << "the header is covered too";
}

TEST(BytecodeTest, NamesTheSectionThatIsWrong) { // H502
  const Section first{1, text("{}")};
  const Section second{2, text("code")};
  const Section third{3, text("map")};
  ASSERT_EQ(codeOf(withSections({first, second, third})), "accepted");
  ASSERT_EQ(codeOf(withSections({first, second})), "accepted");

  const std::pair<std::vector<Section>, const char*> cases[] = {
      {{}, "no manifest"},
      {{second}, "no manifest"},
      {{first}, "no bytecode"},
      {{first, {2, {}}}, "no bytecode"},
      {{first, first, second}, "manifest is there twice"},
      {{first, second, second}, "bytecode is there twice"},
      {{first, second, third, third}, "source map is there twice"},
      {{second, first}, "manifest is out of order"},
      {{first, third, second}, "bytecode is out of order"},
      {{{0, {}}, first, second}, "unknown section 0"},
      {{first, second, {4, {}}}, "unknown section 4"},
      {{first, second, {0xFFFFFFFF, {}}}, "unknown section 4294967295"},
      {{first, {2, text("code"), 5}}, "bytecode says 5 bytes, but 4 are left"},
      {{{1, text("{}"), 0xFFFFFFFF}, second}, "manifest says 4294967295 bytes"},
      {{first, {2, text("code"), 0}}, "too short"},
      {{first, {2, text("codecodecode"), 4}}, "unknown section"},
      // Sections cannot overlap: each begins where the one before ends. A length that reaches into
      // the next one swallows it.
      {{{1, text("{}"), 10}, second}, "too short"},
  };
  for (const auto& [sections, expected] : cases) {
    const Bytes bytes = withSections(sections);
    EXPECT_EQ(codeOf(bytes), "E_BYTECODE_SECTION") << expected;
    EXPECT_NE(messageOf(bytes).find(expected), std::string::npos) << messageOf(bytes);
  }
}

TEST(BytecodeTest, RefusesPayloadSizesThatLie) { // H502
  for (const uint32_t size : {0u, 1u, 0x7FFFFFFFu, 0xFFFFFFFFu}) {
    Bytes bytes = makeContainer();
    store32(bytes, 88, size);
    EXPECT_NE(codeOf(bytes), "accepted");
    store32(bytes, 92, 0xFFFFFFFF);
    EXPECT_EQ(codeOf(bytes), "E_BYTECODE_TRUNCATED");
  }
}

TEST(ManifestTest, CarriesAnyPrintableText) {
  const Manifest odd{"q\"uo\\te\xC3\xA9", {"outbound|443||idp"}, {"a/../b.ts", ""}};
  const Bytes bytes =
      writeBytecode({.manifest = odd, .bytecode = text("code"), .sourceMap = std::nullopt});
  const auto read = parseManifest(parseBytecode(bytes, 0)->manifestJson);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->name, odd.name);
  EXPECT_EQ(read->clusters, odd.clusters);
  EXPECT_EQ(read->sources, odd.sources);
}

TEST(ManifestTest, RefusesWhatIsNotOne) { // H505
  for (const std::string& json : {
           std::string(),
           std::string("[]"),
           std::string("null"),
           std::string("{}"),
           std::string(R"({"name":"a","clusters":[]})"),
           std::string(R"({"name":1,"clusters":[],"sources":[]})"),
           std::string(R"({"name":"a","clusters":"b","sources":[]})"),
           std::string(R"({"name":"a","clusters":[1],"sources":[]})"),
           std::string(R"({"name":"a","clusters":{"length":1,"0":"x"},"sources":[]})"),
           std::string(R"({"name":"a","clusters":[],"sources":[],"more":1})"),
           std::string(R"({"name":"a\u0007","clusters":[],"sources":[]})"),
           std::string(R"({"name":"a","clusters":[],"sources":["b\nc"]})"),
           std::string(R"({"name":"a","clusters":[],"sources":[]} x)"),
           R"({"name":")" + std::string(1 << 20, 'a') + R"(","clusters":[],"sources":[]})",
       }) {
    const auto read = parseManifest(json);
    ASSERT_FALSE(read) << json.substr(0, 60);
    EXPECT_EQ(read.error().code, "E_BYTECODE_MANIFEST");
    EXPECT_LT(read.error().message.size(), 400u);
  }
}

TEST(ManifestTest, WithControlCharactersIsRefusedNotMisread) {
  const Manifest odd{"a\nb", {}, {}};
  const Bytes bytes =
      writeBytecode({.manifest = odd, .bytecode = text("code"), .sourceMap = std::nullopt});
  EXPECT_EQ(parseManifest(parseBytecode(bytes, 0)->manifestJson).error().code,
            "E_BYTECODE_MANIFEST");
}

TEST(Sha256Test, GivesTheKnownDigests) {
  const auto hex = [](const std::array<uint8_t, 32>& digest) {
    std::string out;
    for (const uint8_t byte : digest) {
      char two[3];
      snprintf(two, sizeof(two), "%02x", byte);
      out += two;
    }
    return out;
  };
  EXPECT_EQ(hex(sha256(Bytes())),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(hex(sha256(text("abc"))),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(hex(sha256(Bytes(1'000'000, 'a'))),
            "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
  const Bytes a = text("a");
  const Bytes bc = text("bc");
  EXPECT_EQ(sha256({a, bc}), sha256(text("abc")));
}

} // namespace
} // namespace fairlead
