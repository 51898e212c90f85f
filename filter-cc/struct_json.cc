// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/struct_json.h"

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>

namespace fairlead {
namespace {

// Wire types.
constexpr uint32_t kVarint = 0;
constexpr uint32_t kFixed64 = 1;
constexpr uint32_t kLengthDelimited = 2;

/** Reads one message field by field; what is no field makes it fail. */
class Message {
public:
  explicit Message(std::string_view bytes) : rest_(bytes) {}

  /** False at the end, and where it fails. */
  bool next() {
    uint64_t key = 0;
    if (rest_.empty() || !varint(key))
      return false;
    number = static_cast<uint32_t>(key >> 3);
    type = static_cast<uint32_t>(key & 7);
    switch (type) {
    case kVarint:
      return varint(value);
    case kFixed64:
      return take(8);
    case kLengthDelimited: {
      uint64_t size = 0;
      return varint(size) && take(size);
    }
    default:
      return fail();
    }
  }
  bool failed() const { return failed_; }

  uint32_t number = 0;
  uint32_t type = 0;
  uint64_t value = 0;
  std::string_view bytes;

private:
  bool fail() {
    failed_ = true;
    return false;
  }
  bool take(uint64_t size) {
    if (size > rest_.size())
      return fail();
    bytes = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }
  bool varint(uint64_t& result) {
    result = 0;
    for (int shift = 0; shift < 64 && !rest_.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(rest_.front());
      rest_.remove_prefix(1);
      result |= uint64_t{byte & 0x7FU} << shift;
      if ((byte & 0x80U) == 0)
        return true;
    }
    return fail();
  }

  std::string_view rest_;
  bool failed_ = false;
};

void writeText(std::string_view text, std::string& json) {
  json += '"';
  for (const char c : text) {
    constexpr char kDigits[] = "0123456789abcdef";
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (static_cast<uint8_t>(c) < 0x20) {
      json.append("\\u00").append(1, kDigits[c >> 4]).append(1, kDigits[c & 15]);
    } else {
      json += c;
    }
  }
  json += '"';
}

bool writeNumber(std::string_view bytes, std::string& json) {
  double number = 0;
  std::memcpy(&number, bytes.data(), sizeof number);
  if (!std::isfinite(number))
    return false;
  // The standard library's shortest form would bring 100 KiB of tables with it.
  char text[32];
  const int size = std::snprintf(text, sizeof text, "%.17g", number);
  json.append(text, static_cast<size_t>(size));
  return true;
}

bool writeStruct(std::string_view bytes, std::string& json, int depth);

bool writeList(std::string_view bytes, std::string& json, int depth);

bool writeValue(std::string_view bytes, std::string& json, int depth) {
  Message value(bytes);
  // None of the kinds: the same as null.
  std::string text = "null";
  while (value.next()) {
    text.clear();
    bool fits = true;
    switch (value.number) {
    case 1:
      fits = value.type == kVarint;
      text = "null";
      break;
    case 2:
      fits = value.type == kFixed64 && writeNumber(value.bytes, text);
      break;
    case 3:
      fits = value.type == kLengthDelimited;
      if (fits)
        writeText(value.bytes, text);
      break;
    case 4:
      fits = value.type == kVarint;
      text = value.value != 0 ? "true" : "false";
      break;
    case 5:
      fits = value.type == kLengthDelimited && writeStruct(value.bytes, text, depth + 1);
      break;
    case 6:
      fits = value.type == kLengthDelimited && writeList(value.bytes, text, depth + 1);
      break;
    default:
      return false;
    }
    if (!fits)
      return false;
  }
  json += text;
  return !value.failed();
}

bool writeList(std::string_view bytes, std::string& json, int depth) {
  if (depth > kMaxStructDepth)
    return false;
  json += '[';
  Message list(bytes);
  while (list.next()) {
    if (list.number != 1 || list.type != kLengthDelimited)
      return false;
    if (json.back() != '[')
      json += ',';
    if (!writeValue(list.bytes, json, depth))
      return false;
  }
  json += ']';
  return !list.failed();
}

bool writeStruct(std::string_view bytes, std::string& json, int depth) {
  if (depth > kMaxStructDepth)
    return false;
  json += '{';
  Message fields(bytes);
  while (fields.next()) {
    if (fields.number != 1 || fields.type != kLengthDelimited)
      return false;
    std::string_view key;
    std::string_view value;
    Message entry(fields.bytes);
    while (entry.next()) {
      if (entry.number > 2 || entry.type != kLengthDelimited)
        return false;
      (entry.number == 1 ? key : value) = entry.bytes;
    }
    if (entry.failed())
      return false;
    if (json.back() != '{')
      json += ',';
    writeText(key, json);
    json += ':';
    if (!writeValue(value, json, depth))
      return false;
  }
  json += '}';
  return !fields.failed();
}

}  // namespace

std::optional<std::string> structToJson(std::string_view bytes) {
  std::string json;
  if (bytes.empty() || !writeStruct(bytes, json, 0))
    return std::nullopt;
  return json;
}

}  // namespace fairlead
