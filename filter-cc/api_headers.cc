// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Headers (https://fetch.spec.whatwg.org/#headers-class), over a list or over Envoy's map.

#include <algorithm>
#include <array>

#include "filter-cc/headers.h"
#include "filter-cc/pair_iterator.h"
#include "filter-cc/runtime.h"
#include "filter-cc/stream.h"
#include "filter-cc/web_idl.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

constexpr std::array<bool, 256> tokenBytes() {
  std::array<bool, 256> table{};
  for (unsigned c = '0'; c <= '9'; ++c)
    table[c] = true;
  for (unsigned c = 'a'; c <= 'z'; ++c)
    table[c] = table[c - 'a' + 'A'] = true;
  for (const char c : {'!', '#', '$', '%', '&', '\'', '*', '+', '-', '.', '^', '_', '`', '|', '~'})
    table[static_cast<unsigned char>(c)] = true;
  return table;
}
constexpr std::array<bool, 256> kTokenBytes = tokenBytes();

char lowerAscii(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equalsIgnoreCase(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) {
           return lowerAscii(x) == lowerAscii(y);
         });
}

/** What stands in messages for a map, and the hook that can write it. */
struct MapName {
  const char* name;
  const char* hook;
};

/** In the order of HeaderMap. */
constexpr MapName kMapNames[] = {{"request headers", "onRequest"},
                                 {"request trailers", "onRequestTrailers"},
                                 {"response headers", "onResponse"},
                                 {"response trailers", "onResponseTrailers"}};

/** What a script calls `host` is `:authority` in Envoy's request map. */
std::string_view wireName(HeaderMap map, std::string_view name) {
  return map == HeaderMap::Request && equalsIgnoreCase(name, "host") ? ":authority" : name;
}

}  // namespace

bool isHeaderName(std::string_view name) {
  // Names are short and good: looking at all of one is quicker than stopping at each byte.
  bool good = !name.empty();
  for (const char c : name)
    good &= kTokenBytes[static_cast<unsigned char>(c)];
  return good;
}

bool isHeaderValue(std::string_view value) {
  // Hardly a value has a control byte, and whether one has is quicker to see than which.
  bool hasLow = false;
  for (const char c : value)
    hasLow |= static_cast<unsigned char>(c) <= '\r';
  return !hasLow || value.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

bool isFramingHeader(std::string_view name) {
  switch (name.size()) {
  case 2:
    return equalsIgnoreCase(name, "te");
  case 7:
    return equalsIgnoreCase(name, "upgrade");
  case 10:
    return equalsIgnoreCase(name, "connection") || equalsIgnoreCase(name, "keep-alive");
  case 14:
    return equalsIgnoreCase(name, "content-length");
  case 17:
    return equalsIgnoreCase(name, "transfer-encoding");
  default:
    return false;
  }
}

bool isHopHeader(std::string_view name) {
  return isFramingHeader(name) || equalsIgnoreCase(name, "proxy-connection") ||
         equalsIgnoreCase(name, "trailer");
}

std::string_view trimHeaderValue(std::string_view value) {
  const auto isBlank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!value.empty() && isBlank(value.front()))
    value.remove_prefix(1);
  while (!value.empty() && isBlank(value.back()))
    value.remove_suffix(1);
  return value;
}

std::string lowerCase(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(), lowerAscii);
  return lower;
}

void HeadersData::finalize(JSRuntime*) {
  if (!isLive())
    delete this;
}

HeaderList HeadersData::lines() const {
  if (!isLive())
    return list_;
  std::vector<HeaderField> fields;
  HeaderList lines;
  if (!stream_->host().headers(map_, fields))
    return lines;
  lines.reserve(fields.size());
  for (const HeaderField& field : fields) {
    if (field.name == ":authority")
      lines.emplace_back("host", field.value);
    else if (!field.name.starts_with(':'))
      lines.emplace_back(field.name, field.value);
  }
  return lines;
}

HeaderList HeadersData::sortedAndCombined() const {
  HeaderList all = lines();
  std::stable_sort(all.begin(), all.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  HeaderList combined;
  for (auto& [name, value] : all) {
    if (!combined.empty() && combined.back().first == name && name != "set-cookie")
      combined.back().second.append(", ").append(value);
    else
      combined.emplace_back(std::move(name), std::move(value));
  }
  return combined;
}

const HeaderList& HeadersData::iterated(size_t index) {
  if (index == 0 || iteratedVersion_ != version_) {
    iterated_ = sortedAndCombined();
    iteratedVersion_ = version_;
  }
  return iterated_;
}

std::optional<std::string_view> HeadersData::get(const Call& call, std::string_view name) const {
  if (isLive()) {
    const std::string_view wire = wireName(map_, name);
    const std::optional<HeaderLookup> first = stream_->host().header(map_, wire, 0);
    if (!first)
      return std::nullopt;
    return first->count == 1 ? first->value : join(call, wire, *first);
  }
  return getListed(call, name);
}

std::string_view HeadersData::join(const Call& call, std::string_view wire,
                                   const HeaderLookup& first) const {
  std::string joined(first.value);
  for (size_t i = 1; i < first.count; ++i) {
    const std::optional<HeaderLookup> next = stream_->host().header(map_, wire, i);
    if (next)
      joined.append(", ").append(next->value);
  }
  return call.keep(std::move(joined));
}

std::optional<std::string_view> HeadersData::getListed(const Call& call, std::string_view name) const {
  std::optional<std::string> joined;
  for (const auto& [key, value] : list_) {
    if (!equalsIgnoreCase(key, name))
      continue;
    if (joined)
      joined->append(", ").append(value);
    else
      joined = value;
  }
  if (!joined)
    return std::nullopt;
  return call.keep(std::move(*joined));
}

bool HeadersData::has(std::string_view name) const {
  if (isLive())
    return stream_->host().header(map_, wireName(map_, name), 0).has_value();
  return std::any_of(list_.begin(), list_.end(),
                     [&](const auto& line) { return equalsIgnoreCase(line.first, name); });
}

std::vector<std::string> HeadersData::getSetCookie() const {
  std::vector<std::string> cookies;
  for (auto& [name, value] : lines()) {
    if (name == "set-cookie")
      cookies.push_back(std::move(value));
  }
  return cookies;
}

bool HeadersData::checkWrite(const Call& call, std::string_view name,
                             const std::string_view* value) {
  if (!isHeaderName(name)) {
    call.fail(ErrorCode::E_HEADER_NAME, {name});
    return false;
  }
  if (value != nullptr && !isHeaderValue(*value)) {
    call.fail(ErrorCode::E_HEADER_VALUE, {name});
    return false;
  }
  if (immutable_) {
    call.fail(ErrorCode::E_IMMUTABLE);
    return false;
  }
  if (!isLive())
    return true;
  if (isFramingHeader(name)) {
    call.fail(ErrorCode::E_FRAMING_HEADER, {name});
    return false;
  }
  if (value != nullptr && value->empty()) {
    call.fail(ErrorCode::E_EMPTY_VALUE, {name});
    return false;
  }
  const auto& [mapName, hook] = kMapNames[static_cast<size_t>(map_)];
  if (!stream_->ended() && !stream_->exists(map_)) {
    call.fail(ErrorCode::E_NO_TRAILERS, {map_ == HeaderMap::RequestTrailers ? "request" : "response"});
    return false;
  }
  if (!stream_->writable(map_)) {
    call.fail(stream_->ended() ? ErrorCode::E_STREAM_ENDED : ErrorCode::E_HEADERS_SENT,
              {mapName, hook});
    return false;
  }
  if (!stream_->countHeaderWrite()) {
    call.fail(ErrorCode::E_HEADER_LIMIT, {std::to_string(kMaxHeaderWrites)});
    return false;
  }
  return true;
}

void HeadersData::charge(const js::Runtime& engine, size_t bytes) {
  if (!charge_)
    charge_.emplace(engine);
  bytes_ = bytes;
  if (!charge_->set(bytes))
    list_.clear();
}

void HeadersData::add(const js::Runtime& engine, std::string_view name, std::string_view value) {
  list_.emplace_back(name, value);
  charge(engine, bytes_ + sizeof(list_[0]) + name.size() + value.size());
}

void HeadersData::assign(const js::Runtime& engine, HeaderList lines) {
  list_ = std::move(lines);
  recount(engine);
}

void HeadersData::recount(const js::Runtime& engine) {
  size_t bytes = 0;
  for (const auto& [name, value] : list_)
    bytes += sizeof(list_[0]) + name.size() + value.size();
  charge(engine, bytes);
}

bool HeadersData::set(const Call& call, std::string_view name, std::string_view value) {
  value = trimHeaderValue(value);
  if (!checkWrite(call, name, &value))
    return false;
  ++version_;
  if (isLive()) {
    stream_->setHeader(map_, wireName(map_, name), value);
    return true;
  }
  const auto matches = [&](const auto& line) { return equalsIgnoreCase(line.first, name); };
  const auto first = std::find_if(list_.begin(), list_.end(), matches);
  if (first == list_.end()) {
    add(call.runtime.engine(), lowerCase(name), value);
    return true;
  }
  first->second = value;
  list_.erase(std::remove_if(first + 1, list_.end(), matches), list_.end());
  recount(call.runtime.engine());
  return true;
}

bool HeadersData::append(const Call& call, std::string_view name, std::string_view value) {
  value = trimHeaderValue(value);
  if (!checkWrite(call, name, &value))
    return false;
  ++version_;
  if (!isLive())
    add(call.runtime.engine(), lowerCase(name), value);
  else if (const std::string_view wire = wireName(map_, name); wire == ":authority")
    stream_->setHeader(map_, wire, value);  // a request has one host
  else
    stream_->addHeader(map_, wire, value);
  return true;
}

bool HeadersData::remove(const Call& call, std::string_view name) {
  if (!checkWrite(call, name, nullptr))
    return false;
  ++version_;
  if (!isLive()) {
    std::erase_if(list_, [&](const auto& line) { return equalsIgnoreCase(line.first, name); });
    recount(call.runtime.engine());
    return true;
  }
  const std::string_view wire = wireName(map_, name);
  if (wire == ":authority") {
    call.fail(ErrorCode::E_FRAMING_HEADER, {name});
    return false;
  }
  stream_->removeHeader(map_, wire);
  return true;
}

bool HeadersData::fill(const Call& call, JSValueConst init) {
  if (JS_IsUndefined(init))
    return true;
  if (auto* other = static_cast<HeadersData*>(
          bind::tryUnwrap(call.runtime, init, HostClass::Headers))) {
    for (const auto& [name, value] : other->lines()) {
      if (!append(call, name, value))
        return false;
    }
    return true;
  }
  return forEachInitPair(call, init, "a Headers object, an object of strings, or pairs",
                         [&](JSValueConst name, JSValueConst value) {
                           bind::kinds::ByteString nameBytes;
                           bind::kinds::ByteString valueBytes;
                           return nameBytes.convert(call, name, 0) &&
                                  valueBytes.convert(call, value, 0) &&
                                  append(call, nameBytes.get(), valueBytes.get());
                         });
}

namespace {

using Headers_Self = HeadersData;

Outcome<JSValue> Headers_new(Call& call, JSValueConst init) {
  auto data = std::make_unique<HeadersData>();
  if (!data->fill(call, init))
    return Thrown{};
  return bind::wrap(call.runtime, HostClass::Headers, data.release(), call.receiver);
}

bool checkName(const Call& call, std::string_view name) {
  if (isHeaderName(name))
    return true;
  call.fail(ErrorCode::E_HEADER_NAME, {name});
  return false;
}

Outcome<void> Headers_append(Call& call, HeadersData& self, std::string_view name,
                             std::string_view value) {
  if (!self.append(call, name, value))
    return Thrown{};
  return {};
}

Outcome<void> Headers_delete(Call& call, HeadersData& self, std::string_view name) {
  if (!self.remove(call, name))
    return Thrown{};
  return {};
}

Outcome<std::optional<std::string_view>> Headers_get(Call& call, HeadersData& self,
                                                     std::string_view name) {
  if (!checkName(call, name))
    return Thrown{};
  return self.get(call, name);
}

Outcome<JSValue> Headers_getSetCookie(Call& call, HeadersData& self) {
  js::Value array(call.ctx, JS_NewArray(call.ctx));
  uint32_t index = 0;
  for (const std::string& cookie : self.getSetCookie()) {
    js::Value text = js::newByteString(call.ctx, cookie);
    if (array.isException() || text.isException() ||
        JS_DefinePropertyValueUint32(call.ctx, array.get(), index++, text.release(),
                                     JS_PROP_C_W_E) < 0)
      return Thrown{};
  }
  return array;
}

Outcome<bool> Headers_has(Call& call, HeadersData& self, std::string_view name) {
  if (!checkName(call, name))
    return Thrown{};
  return self.has(name);
}

Outcome<void> Headers_set(Call& call, HeadersData& self, std::string_view name,
                          std::string_view value) {
  if (!self.set(call, name, value))
    return Thrown{};
  return {};
}

bool headerPairAt(JSContext* ctx, JSValueConst iterable, size_t index, js::Value& key,
                  js::Value& value) {
  Runtime& runtime = Runtime::from(ctx);
  auto* data =
      static_cast<HeadersData*>(bind::tryUnwrap(runtime, iterable, HostClass::Headers));
  if (data == nullptr) {
    // The stream has ended since the iteration began.
    key = js::Value(ctx, throwError(ctx, ErrorCode::E_DEAD_HANDLE, {"Headers Iterator"}));
    return true;
  }
  const HeaderList& pairs = data->iterated(index);
  if (index >= pairs.size())
    return false;
  key = js::newByteString(ctx, pairs[index].first);
  value = js::newByteString(ctx, pairs[index].second);
  return true;
}

using Pairs = PairMembers<HeadersData, headerPairAt, "Headers Iterator">;
constexpr auto* Headers_forEach = Pairs::forEach;
constexpr auto* Headers_keys = Pairs::keys;
constexpr auto* Headers_values = Pairs::values;
constexpr auto* Headers_entries = Pairs::entries;

#define HOST_headers
#include "filter-cc/bind_rows.h"

}  // namespace

JSValue defineHeaders(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Headers, kRows, HeadersData::kName);
}

js::Value newHeaders(Runtime& runtime, HeadersData* data) {
  return bind::wrap(runtime, HostClass::Headers, data);
}

}  // namespace fairlead
