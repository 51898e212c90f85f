// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/source_map.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "quickjs/engine.h"

namespace fairlead {
namespace {

// More than any bundle has. A map beyond this is not used.
constexpr size_t kMaxMappings = 4'000'000;
constexpr size_t kMaxHeapBytes = size_t{256} * 1024 * 1024;
constexpr int64_t kMaxNumber = 0x7FFFFFFF;
// A mapping that says: from here on, nothing of any source.
constexpr uint32_t kNoSource = UINT32_MAX;

int digitOf(char c) {
  if (c >= 'A' && c <= 'Z')
    return c - 'A';
  if (c >= 'a' && c <= 'z')
    return c - 'a' + 26;
  if (c >= '0' && c <= '9')
    return c - '0' + 52;
  return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/** Cuts one base64 VLQ number off the front. */
std::optional<int64_t> takeNumber(std::string_view& text) {
  uint64_t bits = 0;
  for (unsigned shift = 0; shift < 35; shift += 5) {
    const int digit = text.empty() ? -1 : digitOf(text.front());
    if (digit < 0)
      return std::nullopt;
    text.remove_prefix(1);
    bits |= static_cast<uint64_t>(digit & 31) << shift;
    if ((digit & 32) == 0) {
      const auto value = static_cast<int64_t>(bits >> 1);
      return (bits & 1) != 0 ? -value : value;
    }
  }
  return std::nullopt;
}

/** Adds a difference; false when a position cannot have the sum. */
bool add(int64_t& sum, std::optional<int64_t> difference) {
  sum += difference.value_or(kMaxNumber + 1);
  return sum >= 0 && sum <= kMaxNumber;
}

js::Value property(const js::Value& object, const char* name) {
  return {object.context(), JS_GetPropertyStr(object.context(), object.get(), name)};
}

std::optional<std::string> textOf(const js::Value& value) {
  if (!value.isString())
    return std::nullopt;
  const js::Utf8 text(value.context(), value.get());
  return text ? std::optional(std::string(text.view())) : std::nullopt;
}

}  // namespace

SourceMap::SourceMap(std::string json) : json_(std::move(json)) {}

void SourceMap::map(std::string& file, uint32_t& line, uint32_t& column) const {
  std::call_once(decoded_, [this] { decode(); });
  if (line == 0)
    return;
  const auto position = std::tuple(line - 1, std::max(column, 1U) - 1);
  const auto after = std::upper_bound(mappings_.begin(), mappings_.end(), position,
                                      [](const auto& wanted, const Mapping& mapping) {
                                        return wanted < std::tuple(mapping.line, mapping.column);
                                      });
  if (after == mappings_.begin())
    return;
  const Mapping& found = *std::prev(after);
  if (found.line != line - 1 || found.source == kNoSource || sources_[found.source].empty())
    return;
  file = sources_[found.source];
  line = found.originalLine + 1;
  column = found.originalColumn + 1;
}

void SourceMap::decode() const {
  const std::string json = std::exchange(json_, {});
  const auto runtime = js::Runtime::create();
  const auto context =
      runtime == nullptr ? nullptr : js::Context::create(*runtime, js::Context::Kind::Filter);
  if (context == nullptr)
    return;
  runtime->setMemoryLimit(kMaxHeapBytes);
  JSContext* ctx = context->raw();

  const auto map = js::parseJson(ctx, json, "source map");
  if (!map || !map->isObject())
    return;
  double version = 0;
  const js::Value number = property(*map, "version");
  if (!JS_IsNumber(number.get()) || JS_ToFloat64(ctx, &version, number.get()) < 0 || version != 3)
    return;

  const js::Value sources = property(*map, "sources");
  const std::string root = textOf(property(*map, "sourceRoot")).value_or("");
  const std::string folder = root.empty() || root.ends_with('/') ? root : root + '/';
  int64_t count = 0;
  if (!JS_IsArray(sources.get()) || JS_GetLength(ctx, sources.get(), &count) < 0)
    return;
  for (int64_t i = 0; i < count; ++i) {
    // A source may be null: it is there, but has no name.
    const auto name = textOf({ctx, JS_GetPropertyInt64(ctx, sources.get(), i)});
    sources_.push_back(name ? folder + *name : "");
  }

  const auto text = textOf(property(*map, "mappings"));
  if (!text || !decodeMappings(*text)) {
    mappings_ = {};
    sources_ = {};
  }
}

bool SourceMap::decodeMappings(std::string_view text) const {
  int64_t source = 0;
  int64_t originalLine = 0;
  int64_t originalColumn = 0;
  int64_t name = 0;
  for (uint32_t line = 0; !text.empty(); ++line) {
    int64_t column = 0;
    while (!text.empty() && text.front() != ';') {
      if (text.front() == ',') {
        text.remove_prefix(1);
        continue;
      }
      if (!add(column, takeNumber(text)) || mappings_.size() == kMaxMappings)
        return false;
      Mapping mapping{line, static_cast<uint32_t>(column), kNoSource, 0, 0};
      const auto more = [&text] {
        return !text.empty() && text.front() != ',' && text.front() != ';';
      };
      if (more()) {
        if (!add(source, takeNumber(text)) || !add(originalLine, takeNumber(text)) ||
            !add(originalColumn, takeNumber(text)) || (more() && !add(name, takeNumber(text))) ||
            more() || static_cast<size_t>(source) >= sources_.size())
          return false;
        mapping.source = static_cast<uint32_t>(source);
        mapping.originalLine = static_cast<uint32_t>(originalLine);
        mapping.originalColumn = static_cast<uint32_t>(originalColumn);
      }
      mappings_.push_back(mapping);
    }
    if (!text.empty())
      text.remove_prefix(1);
  }
  // Most producers write a line's mappings in order; the format does not ask for it.
  const auto position = [](const Mapping& mapping) {
    return std::tuple(mapping.line, mapping.column);
  };
  std::ranges::stable_sort(mappings_, {}, position);
  mappings_.shrink_to_fit();
  return true;
}

}  // namespace fairlead
