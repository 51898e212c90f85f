// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// TextEncoder and TextDecoder (https://encoding.spec.whatwg.org/#api), and UTF-8 for others.

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "filter-cc/encoding.h"
#include "filter-cc/runtime.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/** What stands at a place of would-be UTF-8. */
struct Sequence {
  enum class Kind : uint8_t {
    WellFormed,
    IllFormed,  // a maximal part, which counts as one error
    Cut,        // well-formed so far, and the text ends
  };
  Kind kind;
  size_t length;
};

Sequence sequenceAt(std::string_view text, size_t at) {
  const auto byteAt = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byteAt(at);
  if (lead < 0x80)
    return {Sequence::Kind::WellFormed, 1};
  // The bounds of the second byte keep out overlong forms, surrogates, and all above U+10FFFF.
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  size_t length;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    low = lead == 0xE0 ? 0xA0 : low;
    high = lead == 0xED ? 0x9F : high;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    low = lead == 0xF0 ? 0x90 : low;
    high = lead == 0xF4 ? 0x8F : high;
  } else {
    return {Sequence::Kind::IllFormed, 1};
  }
  for (size_t i = 1; i < length; ++i) {
    if (at + i == text.size())
      return {Sequence::Kind::Cut, i};
    if (byteAt(at + i) < low || byteAt(at + i) > high)
      return {Sequence::Kind::IllFormed, i};
    low = 0x80;
    high = 0xBF;
  }
  return {Sequence::Kind::WellFormed, length};
}

/** Where ASCII ends, from `at` on. */
size_t skipAscii(std::string_view text, size_t at) {
  for (; at + sizeof(uint64_t) <= text.size(); at += sizeof(uint64_t)) {
    uint64_t eight;
    std::memcpy(&eight, text.data() + at, sizeof eight);
    if ((eight & 0x8080'8080'8080'8080) != 0)
      break;
  }
  while (at < text.size() && static_cast<uint8_t>(text[at]) < 0x80)
    ++at;
  return at;
}

/** Where well-formed UTF-8 ends, from `at` on. */
size_t skipWellFormed(std::string_view text, size_t at) {
  const auto byteAt = [&](size_t index) { return static_cast<uint8_t>(text[index]); };
  const auto continues = [&](size_t index) { return (byteAt(index) & 0xC0) == 0x80; };
  for (at = skipAscii(text, at); at < text.size(); at = skipAscii(text, at)) {
    // Most letters of most alphabets, which come one after the other.
    while (at + 3 <= text.size()) {
      const uint8_t lead = byteAt(at);
      if (lead >= 0xC2 && lead <= 0xDF && continues(at + 1))
        at += 2;
      else if (lead > 0xE0 && lead <= 0xEF && lead != 0xED && continues(at + 1) && continues(at + 2))
        at += 3;
      else
        break;
    }
    if (at == text.size() || byteAt(at) < 0x80)
      continue;
    const Sequence sequence = sequenceAt(text, at);
    if (sequence.kind != Sequence::Kind::WellFormed)
      break;
    at += sequence.length;
  }
  return at;
}

enum class Encoding : uint8_t { Utf8, Utf16Le, Windows1252 };

constexpr std::string_view encodingName(Encoding encoding) {
  switch (encoding) {
  case Encoding::Utf8:
    return "utf-8";
  case Encoding::Utf16Le:
    return "utf-16le";
  case Encoding::Windows1252:
    return "windows-1252";
  }
  return {};
}

struct Label {
  std::string_view name;
  Encoding encoding;
};

// https://encoding.spec.whatwg.org/#names-and-labels
constexpr Label kLabels[] = {
    {"utf-8", Encoding::Utf8},
    {"utf8", Encoding::Utf8},
    {"unicode-1-1-utf-8", Encoding::Utf8},
    {"unicode11utf8", Encoding::Utf8},
    {"unicode20utf8", Encoding::Utf8},
    {"x-unicode20utf8", Encoding::Utf8},
    {"utf-16le", Encoding::Utf16Le},
    {"utf-16", Encoding::Utf16Le},
    {"csunicode", Encoding::Utf16Le},
    {"iso-10646-ucs-2", Encoding::Utf16Le},
    {"ucs-2", Encoding::Utf16Le},
    {"unicode", Encoding::Utf16Le},
    {"unicodefeff", Encoding::Utf16Le},
    {"windows-1252", Encoding::Windows1252},
    {"latin1", Encoding::Windows1252},
    {"iso-8859-1", Encoding::Windows1252},
    {"ascii", Encoding::Windows1252},
    {"us-ascii", Encoding::Windows1252},
    {"ansi_x3.4-1968", Encoding::Windows1252},
    {"cp1252", Encoding::Windows1252},
    {"x-cp1252", Encoding::Windows1252},
    {"cp819", Encoding::Windows1252},
    {"ibm819", Encoding::Windows1252},
    {"csisolatin1", Encoding::Windows1252},
    {"iso-ir-100", Encoding::Windows1252},
    {"iso8859-1", Encoding::Windows1252},
    {"iso88591", Encoding::Windows1252},
    {"iso_8859-1", Encoding::Windows1252},
    {"iso_8859-1:1987", Encoding::Windows1252},
    {"l1", Encoding::Windows1252},
};

std::optional<Encoding> encodingOf(std::string_view label) {
  constexpr std::string_view kBlanks = "\t\n\f\r ";
  const size_t first = label.find_first_not_of(kBlanks);
  if (first == std::string_view::npos)
    return std::nullopt;
  label = label.substr(first, label.find_last_not_of(kBlanks) - first + 1);
  const auto matches = [&](const Label& known) {
    return std::equal(label.begin(), label.end(), known.name.begin(), known.name.end(),
                      [](char given, char lower) {
                        return (given >= 'A' && given <= 'Z' ? given - 'A' + 'a' : given) == lower;
                      });
  };
  const auto* found = std::find_if(std::begin(kLabels), std::end(kLabels), matches);
  return found == std::end(kLabels) ? std::nullopt : std::optional(found->encoding);
}

/** What windows-1252 has at 0x80 to 0x9F; all else of it is Latin-1. */
constexpr char16_t kWindows1252[] = {
    0x20AC, 0x0081, 0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0x008D, 0x017D, 0x008F, 0x0090, 0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0x009D, 0x017E, 0x0178,
};
static_assert(std::size(kWindows1252) == 0x20);

/** A member of a Web IDL dictionary. False: an exception is pending. */
bool readFlag(JSContext* ctx, JSValueConst dictionary, const char* name, bool& flag) {
  const js::Value member(ctx, JS_GetPropertyStr(ctx, dictionary, name));
  if (member.isException())
    return false;
  flag = !member.isUndefined() && JS_ToBool(ctx, member.get()) > 0;
  return true;
}

/** Whether argument `index` is a Web IDL dictionary: an object, or nothing. */
bool checkDictionary(const Call& call, JSValueConst value, size_t index) {
  if (JS_IsObject(value) || JS_IsUndefined(value) || JS_IsNull(value))
    return true;
  bind::throwArgument(call, index, "an object");
  return false;
}

/** Long work in pieces: a script that has met its limits is stopped when it runs on, so the rest is left out. */
class Pieces {
public:
  explicit Pieces(js::Entry* entry) : entry_(entry) {}

  bool mayGoOn(size_t at) {
    if (at < due_)
      return true;
    due_ = at + kPieceBytes;
    return entry_ == nullptr || entry_->mayGoOn();
  }

private:
  static constexpr size_t kPieceBytes = 65'536;

  js::Entry* entry_;
  size_t due_ = kPieceBytes;
};

class TextEncoderData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::TextEncoder;
  static constexpr const char* kName = "TextEncoder";
};

using TextEncoder_Self = TextEncoderData;

Outcome<JSValue> TextEncoder_new(Call& call) {
  return bind::wrap(call.runtime, HostClass::TextEncoder, new TextEncoderData, call.receiver);
}

Outcome<std::string_view> TextEncoder_encoding(Call&, TextEncoderData&) {
  return encodingName(Encoding::Utf8);
}

Outcome<JSValue> TextEncoder_encode(Call& call, TextEncoderData&,
                                    std::optional<std::string_view> text) {
  const std::string_view bytes = text.value_or("");
  return JS_NewUint8ArrayCopy(call.ctx, reinterpret_cast<const uint8_t*>(bytes.data()),
                              bytes.size());
}

/** The memory of a Uint8Array that may be written to. False: an exception is pending. */
bool writableBytes(const Call& call, JSValueConst target, size_t index, std::span<uint8_t>& bytes) {
  if (JS_GetTypedArrayType(target) != JS_TYPED_ARRAY_UINT8) {
    bind::throwArgument(call, index, "a Uint8Array");
    return false;
  }
  if (js::bytesOf(target, bytes) != js::BytesState::Found) {
    bind::throwArgument(call, index, "a Uint8Array whose buffer is not detached");
    return false;
  }
  const js::Value buffer(call.ctx, JS_GetTypedArrayBuffer(call.ctx, target, nullptr, nullptr,
                                                          nullptr));
  if (buffer.isException())
    return false;
  if (JS_IsImmutableArrayBuffer(buffer.get()) > 0) {
    bind::throwArgument(call, index, "a Uint8Array whose buffer is not immutable");
    return false;
  }
  return true;
}

Outcome<JSValue> TextEncoder_encodeInto(Call& call, TextEncoderData&, JSValueConst source,
                                        JSValueConst target) {
  // The text first: its toString() may detach the target.
  const js::Utf8 text(call.ctx, source);
  std::span<uint8_t> room;
  if (!text || !writableBytes(call, target, 1, room))
    return Thrown{};
  const std::string_view bytes = text.view();
  size_t written = std::min(bytes.size(), room.size());
  const auto continues = [&](size_t at) {
    return (static_cast<uint8_t>(bytes[at]) & 0xC0) == 0x80;
  };
  while (written > 0 && written < bytes.size() && continues(written))
    --written;
  if (written > 0)
    std::memcpy(room.data(), bytes.data(), written);
  // In UTF-16 a character has one unit, or two when UTF-8 gives it four bytes.
  size_t read = 0;
  for (size_t at = 0; at < written; ++at)
    read += continues(at) ? 0 : static_cast<uint8_t>(bytes[at]) >= 0xF0 ? 2 : 1;

  js::Value result(call.ctx, JS_NewObject(call.ctx));
  if (result.isException() ||
      JS_DefinePropertyValueStr(call.ctx, result.get(), "read",
                                JS_NewNumber(call.ctx, static_cast<double>(read)),
                                JS_PROP_C_W_E) < 0 ||
      JS_DefinePropertyValueStr(call.ctx, result.get(), "written",
                                JS_NewNumber(call.ctx, static_cast<double>(written)),
                                JS_PROP_C_W_E) < 0)
    return Thrown{};
  return result;
}

/** Behind a TextDecoder object. Owner: the object. */
class TextDecoderData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::TextDecoder;
  static constexpr const char* kName = "TextDecoder";

  TextDecoderData(Encoding encoding, bool fatal, bool ignoreBOM)
      : encoding(encoding), fatal(fatal), ignoreBOM(ignoreBOM) {}

  /**
   * The text of `bytes`, and of what an earlier call has kept, as UTF-8: a view of `bytes` where
   * possible, else of `store`. With `more` to come, a character that is cut at the end is kept.
   * Nothing: the bytes are ill-formed and `fatal` is set.
   */
  std::optional<std::string_view> decode(std::string_view bytes, bool more, std::string& store,
                                         Pieces pieces);

  const Encoding encoding;
  const bool fatal;
  const bool ignoreBOM;

private:
  std::string_view joinKept(std::string_view bytes, std::string& joined);
  std::optional<std::string_view> decodeUtf8(std::string_view bytes, bool more, std::string& store,
                                             Pieces pieces);
  std::optional<std::string_view> decodeUtf16(std::string_view bytes, bool more, std::string& store,
                                              Pieces pieces);
  static std::string_view decodeWindows1252(std::string_view bytes, std::string& store,
                                            Pieces pieces);

  /** The begin of a character whose end has not come yet. */
  std::string kept_;
  /** The last call said that more comes. */
  bool continued_ = false;
  /** The first character of the text has been seen, be it a byte order mark or not. */
  bool begun_ = false;
};

std::optional<std::string_view> TextDecoderData::decode(std::string_view bytes, bool more,
                                                        std::string& store, Pieces pieces) {
  if (!continued_) {
    kept_.clear();
    begun_ = false;
  }
  continued_ = more;
  std::optional<std::string_view> text;
  switch (encoding) {
  case Encoding::Utf8:
    text = decodeUtf8(bytes, more, store, pieces);
    break;
  case Encoding::Utf16Le:
    text = decodeUtf16(bytes, more, store, pieces);
    break;
  case Encoding::Windows1252:
    return decodeWindows1252(bytes, store, pieces);
  }
  if (!text) {
    continued_ = false;  // what follows is another text
    return text;
  }
  if (!text->empty() && !begun_) {
    begun_ = true;
    if (!ignoreBOM && text->starts_with(kByteOrderMark))
      text->remove_prefix(kByteOrderMark.size());
  }
  return text;
}

std::string_view TextDecoderData::joinKept(std::string_view bytes, std::string& joined) {
  if (kept_.empty())
    return bytes;
  joined = std::move(kept_);
  kept_.clear();
  joined += bytes;
  return joined;
}

std::optional<std::string_view> TextDecoderData::decodeUtf8(std::string_view bytes, bool more,
                                                            std::string& store, Pieces pieces) {
  std::string joined;
  const std::string_view text = joinKept(bytes, joined);
  std::string mended;
  size_t copied = 0;
  size_t end = text.size();
  for (size_t at = skipWellFormed(text, 0); at < text.size(); at = skipWellFormed(text, copied)) {
    const Sequence sequence = sequenceAt(text, at);
    const bool isCut = sequence.kind == Sequence::Kind::Cut && more;
    if (isCut)
      kept_ = text.substr(at);
    if (isCut || !pieces.mayGoOn(at)) {
      end = at;
      break;
    }
    if (fatal)
      return std::nullopt;
    mended.append(text, copied, at - copied).append(kReplacement);
    copied = at + sequence.length;
  }
  if (copied == 0 && joined.empty())
    return text.substr(0, end);
  if (copied == 0) {
    joined.resize(end);
    store = std::move(joined);
  } else {
    store = std::move(mended.append(text, copied, end - copied));
  }
  return store;
}

std::optional<std::string_view> TextDecoderData::decodeUtf16(std::string_view bytes, bool more,
                                                             std::string& store, Pieces pieces) {
  std::string joined;
  const std::string_view text = joinKept(bytes, joined);
  const auto unitAt = [&](size_t at) {
    return static_cast<char32_t>(static_cast<uint8_t>(text[at]) |
                                 static_cast<uint8_t>(text[at + 1]) << 8);
  };
  store.clear();
  store.reserve(text.size());
  for (size_t at = 0; at < text.size() && pieces.mayGoOn(at);) {
    const bool whole = at + 1 < text.size();
    const char32_t unit = whole ? unitAt(at) : 0;
    const bool high = unit >= 0xD800 && unit < 0xDC00;
    if (!whole || (high && at + 3 >= text.size())) {
      if (more) {
        kept_ = text.substr(at);
        break;
      }
      // However much of a pair is there, it is one error.
      if (fatal)
        return std::nullopt;
      store += kReplacement;
      break;
    }
    at += 2;
    if (unit < 0xD800 || unit > 0xDFFF) {
      js::appendUtf8(store, unit);
      continue;
    }
    const char32_t low = high ? unitAt(at) : 0;
    if (low >= 0xDC00 && low <= 0xDFFF) {
      js::appendUtf8(store, 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00));
      at += 2;
      continue;
    }
    if (fatal)
      return std::nullopt;
    store += kReplacement;
  }
  return store;
}

std::string_view TextDecoderData::decodeWindows1252(std::string_view bytes, std::string& store,
                                                    Pieces pieces) {
  if (skipAscii(bytes, 0) == bytes.size())
    return bytes;
  store.clear();
  store.reserve(bytes.size() + bytes.size() / 4);
  for (size_t at = 0; at < bytes.size() && pieces.mayGoOn(at); ++at) {
    const auto byte = static_cast<uint8_t>(bytes[at]);
    js::appendUtf8(store, byte >= 0x80 && byte <= 0x9F ? kWindows1252[byte - 0x80] : byte);
  }
  return store;
}

using TextDecoder_Self = TextDecoderData;

Outcome<JSValue> TextDecoder_new(Call& call, std::optional<std::string_view> label,
                                 JSValueConst options) {
  bool fatal = false;
  bool ignoreBOM = false;
  if (!checkDictionary(call, options, 1) ||
      (JS_IsObject(options) && (!readFlag(call.ctx, options, "fatal", fatal) ||
                                !readFlag(call.ctx, options, "ignoreBOM", ignoreBOM))))
    return Thrown{};
  const std::optional<Encoding> encoding = encodingOf(label.value_or("utf-8"));
  if (!encoding)
    return call.fail(ErrorCode::E_ENCODING, {'"' + std::string(label->substr(0, 40)) + '"'});
  return bind::wrap(call.runtime, HostClass::TextDecoder,
                    new TextDecoderData(*encoding, fatal, ignoreBOM), call.receiver);
}

Outcome<std::string_view> TextDecoder_encoding(Call&, TextDecoderData& self) {
  return encodingName(self.encoding);
}

Outcome<bool> TextDecoder_fatal(Call&, TextDecoderData& self) { return self.fatal; }

Outcome<bool> TextDecoder_ignoreBOM(Call&, TextDecoderData& self) { return self.ignoreBOM; }

Outcome<std::string_view> TextDecoder_decode(Call& call, TextDecoderData& self, JSValueConst input,
                                             JSValueConst options) {
  std::span<uint8_t> bytes;
  if (!JS_IsUndefined(input) && js::bytesOf(input, bytes) == js::BytesState::NotBytes) {
    bind::throwArgument(call, 0, "an ArrayBuffer or a view of one");
    return Thrown{};
  }
  bool more = false;
  if (!checkDictionary(call, options, 1) ||
      (JS_IsObject(options) && !readFlag(call.ctx, options, "stream", more)))
    return Thrown{};
  // Again, for reading the options may have moved or detached the buffer.
  if (!JS_IsUndefined(input) && js::bytesOf(input, bytes) != js::BytesState::Found) {
    bind::throwArgument(call, 0, "a buffer that is not detached");
    return Thrown{};
  }
  std::string store;
  const std::optional<std::string_view> text =
      self.decode({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, more, store,
                  Pieces(call.runtime.engine().entry()));
  if (!text)
    return call.fail(ErrorCode::E_DECODE, {encodingName(self.encoding)});
  if (store.empty())
    return *text;
  const auto skipped = static_cast<size_t>(text->data() - store.data());
  return call.keep(std::move(store)).substr(skipped);
}

#define HOST_encoding
#include "filter-cc/bind_rows.h"

}  // namespace

size_t cutUtf8(std::string_view bytes) {
  constexpr size_t kLongestCut = 3;
  for (size_t length = 1; length <= std::min(kLongestCut, bytes.size()); ++length) {
    const size_t at = bytes.size() - length;
    const bool continues = (static_cast<uint8_t>(bytes[at]) & 0xC0) == 0x80;
    if (!continues)
      return sequenceAt(bytes, at).kind == Sequence::Kind::Cut ? length : 0;
  }
  return 0;
}

std::string_view mendUtf8(std::string_view bytes, std::string& mended, js::Entry* entry) {
  size_t at = skipWellFormed(bytes, 0);
  if (at == bytes.size())
    return bytes;
  mended.clear();
  size_t copied = 0;
  Pieces pieces(entry);
  for (; at < bytes.size(); at = skipWellFormed(bytes, copied)) {
    if (!pieces.mayGoOn(at))
      return mended;
    mended.append(bytes, copied, at - copied).append(kReplacement);
    copied = at + sequenceAt(bytes, at).length;
  }
  return mended.append(bytes, copied);
}

std::string_view decodeUtf8(std::string_view bytes, std::string& mended, js::Entry* entry) {
  if (bytes.starts_with(kByteOrderMark))
    bytes.remove_prefix(kByteOrderMark.size());
  return mendUtf8(bytes, mended, entry);
}

JSValue defineTextEncoder(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::TextEncoder, kRows, TextEncoderData::kName);
}

JSValue defineTextDecoder(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::TextDecoder, kRows, TextDecoderData::kName);
}

}  // namespace fairlead
