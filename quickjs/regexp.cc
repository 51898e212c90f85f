// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "quickjs/regexp.h"

#include "libregexp.h"
#include "quickjs/engine.h"

namespace fairlead::js {
namespace {

constexpr int kUtf16 = 1;

/// The next character of well-formed UTF-8.
char32_t nextOf(std::string_view text, size_t& at) {
  const auto byte = [&] { return static_cast<uint8_t>(at < text.size() ? text[at++] : 0); };
  const uint8_t lead = byte();
  if (lead < 0x80)
    return lead;
  const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  char32_t character = lead & (0x3F >> more);
  for (int i = 0; i < more; ++i)
    character = character << 6 | (byte() & 0x3F);
  return character;
}

/// UTF-8 of code units; of text that was well-formed, cut between characters.
std::string utf8Of(const uint16_t* from, const uint16_t* to) {
  std::string out;
  while (from < to) {
    char32_t character = *from++;
    if (character >= 0xD800 && character < 0xDC00 && from < to)
      character = 0x10000 + ((character & 0x3FF) << 10) + (*from++ & 0x3FF);
    appendUtf8(out, character);
  }
  return out;
}

}  // namespace

std::optional<RegExp> RegExp::compile(JSContext* ctx, std::string_view pattern, bool ignoreCase) {
  // The parser reads the byte behind the text, which must be 0.
  const std::string terminated(pattern);
  char error[64];
  int length = 0;
  const int flags = LRE_FLAG_UNICODE_SETS | (ignoreCase ? LRE_FLAG_IGNORECASE : 0);
  uint8_t* code = lre_compile(&length, error, sizeof error, terminated.c_str(), terminated.size(),
                              flags, ctx);
  if (code == nullptr)
    return std::nullopt;
  RegExp made;
  made.code_ = Memory(code, Free{JS_GetRuntime(ctx)});
  return made;
}

bool RegExp::run(JSContext* ctx, std::string_view text, Match& match) const noexcept {
  if (code_ == nullptr)
    return false;
  JSRuntime* runtime = JS_GetRuntime(ctx);
  const auto allocate = [&](size_t bytes) {
    return Memory(static_cast<uint8_t*>(js_malloc_rt(runtime, bytes + 1)), Free{runtime});
  };
  // UTF-16 has at most as many units as UTF-8 has bytes.
  match.units = allocate(text.size() * sizeof(uint16_t));
  match.captures =
      allocate(static_cast<size_t>(lre_get_alloc_count(code_.get())) * sizeof(uint8_t*));
  if (match.units == nullptr || match.captures == nullptr)
    return false;
  auto* units = reinterpret_cast<uint16_t*>(match.units.get());
  int count = 0;
  for (size_t at = 0; at < text.size();) {
    const char32_t character = nextOf(text, at);
    if (character >= 0x10000) {
      units[count++] = static_cast<uint16_t>(0xD800 + ((character - 0x10000) >> 10));
      units[count++] = static_cast<uint16_t>(0xDC00 + (character & 0x3FF));
    } else {
      units[count++] = static_cast<uint16_t>(character);
    }
  }
  return lre_exec(reinterpret_cast<uint8_t**>(match.captures.get()), code_.get(),
                  match.units.get(), 0, count, kUtf16, ctx) == 1;
}

std::optional<RegExp::Groups> RegExp::search(JSContext* ctx, std::string_view text) const {
  Match match;
  if (!run(ctx, text, match))
    return std::nullopt;
  auto* const* captures = reinterpret_cast<uint16_t**>(match.captures.get());
  Groups groups;
  for (int i = 1; i < lre_get_capture_count(code_.get()); ++i) {
    const uint16_t* from = captures[2 * i];
    const uint16_t* to = captures[2 * i + 1];
    groups.push_back(from == nullptr || to == nullptr ? std::nullopt
                                                      : std::optional(utf8Of(from, to)));
  }
  return groups;
}

bool RegExp::matches(JSContext* ctx, std::string_view text) const noexcept {
  Match match;
  return run(ctx, text, match);
}

}  // namespace fairlead::js
