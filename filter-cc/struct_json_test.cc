// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// google.protobuf.Struct on the wire, as JSON text.

#include "filter-cc/struct_json.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <random>
#include <string>

namespace fairlead {
namespace {

std::string varint(uint64_t value) {
  std::string bytes;
  for (; value >= 0x80; value >>= 7)
    bytes += static_cast<char>(value | 0x80);
  return bytes + static_cast<char>(value);
}
std::string field(uint32_t number, const std::string& bytes) {
  return varint(number << 3 | 2) + varint(bytes.size()) + bytes;
}
std::string number(double value) {
  std::string bytes(sizeof value, '\0');
  std::memcpy(bytes.data(), &value, sizeof value);
  return varint(2 << 3 | 1) + bytes;
}
const std::string kNull = varint(1 << 3) + varint(0);
std::string flag(bool value) { return varint(4 << 3) + varint(value ? 1 : 0); }
std::string member(const std::string& key, const std::string& value) {
  return field(1, field(1, key) + field(2, value));
}

TEST(StructJsonTest, EveryKindOfValueIsItsJson) {
  // F056
  const std::string list = field(6, field(1, number(1)) + field(1, field(3, "x")) + field(1, field(6, "")));
  EXPECT_EQ(structToJson(member("n", number(-1.5)) + member("s", field(3, "a\"\\\n\x1f\xc3\xa9")) + member("t", flag(true)) +
                         member("f", flag(false)) + member("0", kNull) + member("l", list) +
                         member("o", field(5, member("", field(5, ""))))),
            R"({"n":-1.5,"s":"a\"\\\u000a\u001fé","t":true,"f":false,"0":null,"l":[1,"x",[]],"o":{"":{}}})");
}

TEST(StructJsonTest, WhatIsNoStructIsNothing) {
  // F056, F074
  EXPECT_EQ(structToJson(""), std::nullopt);
  EXPECT_EQ(structToJson("{\"a\": 1}"), std::nullopt);
  EXPECT_EQ(structToJson(field(2, "")), std::nullopt);
  EXPECT_EQ(structToJson(member("a", number(1)).substr(0, 8)), std::nullopt);
  EXPECT_EQ(structToJson(member("a", number(1.0 / 0.0))), std::nullopt);
  EXPECT_EQ(structToJson(std::string(20, '\xff')), std::nullopt);
}

TEST(StructJsonTest, DepthIsBounded) {
  // F056, F074
  const auto nested = [](int depth) {
    std::string bytes = member("a", kNull);
    for (int i = 0; i < depth; ++i)
      bytes = member("a", field(5, bytes));
    return structToJson(bytes);
  };
  EXPECT_NE(nested(kMaxStructDepth), std::nullopt);
  EXPECT_EQ(nested(kMaxStructDepth + 1), std::nullopt);
}

TEST(StructJsonTest, AnyBytesAreReadWithoutHarm) {
  // F074
  std::mt19937 random(1);
  const std::string good = member("a", field(6, field(1, number(1)) + field(1, field(5, member("b", flag(true))))));
  for (int i = 0; i < 20'000; ++i) {
    std::string bytes = good;
    for (int j = 0; j < 3; ++j)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    bytes.resize(random() % (bytes.size() + 1));
    (void)structToJson(bytes);
  }
}

}  // namespace
}  // namespace fairlead
