// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// URL and URLSearchParams (https://url.spec.whatwg.org/#api) over ada's parser.

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "ada.h"

#include "filter-cc/encoding.h"
#include "filter-cc/pair_iterator.h"
#include "filter-cc/runtime.h"
#include "filter-cc/url.h"
#include "filter-cc/web_idl.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

class URLData;

/** Behind a URLSearchParams object. Owner: the object. */
class URLSearchParamsData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::URLSearchParams;
  static constexpr const char* kName = "URLSearchParams";

  explicit URLSearchParamsData(Runtime& runtime) : charge_(runtime.engine()) {}
  ~URLSearchParamsData() override;

  const ada::url_search_params& pairs() const { return pairs_; }
  ada::url_search_params& pairs() { return pairs_; }

  /** Replaces the pairs by those of a query, whose leading `?` does not count. False: no memory. */
  bool parse(const Call& call, std::string_view query);
  bool append(const Call& call, std::string_view name, std::string_view value);
  /** To be called after every other change. False: no memory. */
  bool changed(const Call& call);

  /** Whose query this is; null for one of its own. Owner: its object. */
  URLData* url = nullptr;

private:
  static constexpr size_t kPairBytes = sizeof(std::pair<std::string, std::string>);

  bool charge(const Call& call, size_t bytes);

  ada::url_search_params pairs_;
  js::Charge charge_;
};

/** Behind a URL object. Owner: the object. */
class URLData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::URL;
  static constexpr const char* kName = "URL";

  URLData(Runtime& runtime, ada::url_aggregator parsed)
      : engine_(runtime.engine().raw()), url_(std::move(parsed)), charge_(runtime.engine()) {}
  ~URLData() override;
  void mark(JSRuntime* engine, JS_MarkFunc* markFunction) override {
    JS_MarkValue(engine, paramsObject_, markFunction);
  }

  /** The URL as it is now. */
  ada::url_aggregator& url() {
    if (staleQuery_)
      writeQuery();
    return url_;
  }
  /** To be called after each change of url(). False: no memory. */
  bool changed(const Call& call);
  /** The pairs have changed. The query follows when somebody looks: pairs come one by one. */
  void setQueryStale(bool stale) { staleQuery_ = stale; }

  /** The `searchParams` object, made on first use; JS_EXCEPTION out of memory. */
  JSValueConst paramsObject(const Call& call);

  /** Behind the `searchParams` object; null until it is made. */
  URLSearchParamsData* params = nullptr;

private:
  void writeQuery();

  // The context may have gone before the last objects; the engine goes after them.
  JSRuntime* engine_;
  JSValue paramsObject_ = JS_UNDEFINED;
  ada::url_aggregator url_;
  bool staleQuery_ = false;
  js::Charge charge_;
};

// A URL keeps its params object; the way back is a plain pointer. A collection frees either first.

URLSearchParamsData::~URLSearchParamsData() {
  if (url != nullptr)
    url->params = nullptr;
}

URLData::~URLData() {
  if (params != nullptr)
    params->url = nullptr;
  JS_FreeValueRT(engine_, paramsObject_);
}

bool URLSearchParamsData::charge(const Call& call, size_t bytes) {
  if (charge_.set(bytes))
    return true;
  JS_ThrowOutOfMemory(call.ctx);
  return false;
}

bool URLSearchParamsData::parse(const Call& call, std::string_view query) {
  // Asked first: a query of two million pairs is short, the pairs are not.
  const auto most = static_cast<size_t>(std::count(query.begin(), query.end(), '&')) + 1;
  if (!charge(call, most * kPairBytes + query.size()))
    return false;
  pairs_.reset(query);
  // Percent-decoding can give bytes that are not UTF-8.
  std::string name;
  std::string value;
  const auto isIllFormed = [&](const auto& pair) {
    return mendUtf8(pair.first, name).data() != pair.first.data() ||
           mendUtf8(pair.second, value).data() != pair.second.data();
  };
  if (std::any_of(pairs_.begin(), pairs_.end(), isIllFormed)) {
    ada::url_search_params mended;
    for (const auto& pair : pairs_)
      mended.append(mendUtf8(pair.first, name), mendUtf8(pair.second, value));
    pairs_ = std::move(mended);
  }
  return changed(call);
}

bool URLSearchParamsData::append(const Call& call, std::string_view name, std::string_view value) {
  if (!charge(call, charge_.bytes() + kPairBytes + name.size() + value.size()))
    return false;
  pairs_.append(name, value);
  if (url != nullptr)
    url->setQueryStale(true);
  return true;
}

bool URLSearchParamsData::changed(const Call& call) {
  if (url != nullptr)
    url->setQueryStale(true);
  size_t bytes = 0;
  for (const auto& pair : pairs_)
    bytes += kPairBytes + pair.first.size() + pair.second.size();
  return charge(call, bytes);
}

bool URLData::changed(const Call& call) {
  if (charge_.set(url_.get_href_size()))
    return true;
  JS_ThrowOutOfMemory(call.ctx);
  return false;
}

void URLData::writeQuery() {
  staleQuery_ = false;
  url_.set_search(params->pairs().to_string());
  // Too much is an end of the script all the same, but not here, where a part of the URL is read.
  (void)charge_.set(url_.get_href_size());
}

JSValueConst URLData::paramsObject(const Call& call) {
  if (params != nullptr)
    return paramsObject_;
  auto data = std::make_unique<URLSearchParamsData>(call.runtime);
  if (!data->parse(call, url_.get_search()))
    return JS_EXCEPTION;
  URLSearchParamsData* made = data.get();
  js::Value object = bind::wrap(call.runtime, HostClass::URLSearchParams, data.release());
  if (object.isException())
    return JS_EXCEPTION;
  made->url = this;
  params = made;
  paramsObject_ = object.release();
  return paramsObject_;
}

/** For messages: the text in quotes, at most so much of it as people read. */
std::string quoted(std::string_view text) {
  constexpr size_t kShownBytes = 80;
  if (text.size() <= kShownBytes)
    return '"' + std::string(text) + '"';
  size_t end = kShownBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
    --end;  // not inside a character
  return '"' + std::string(text.substr(0, end)) + "…\"";
}

Thrown failUrl(const Call& call, std::string_view input, std::optional<std::string_view> base) {
  std::string text = quoted(input);
  if (base)
    text += " with the base " + quoted(*base);
  return call.fail(ErrorCode::E_URL, {text});
}

bool isTooLong(std::string_view input) { return input.size() > kMaxUrlBytes; }

ada::result<ada::url_aggregator> parseUrl(std::string_view input,
                                          std::optional<std::string_view> base) {
  if (isTooLong(input) || (base && isTooLong(*base)))
    return tl::unexpected(ada::errors::type_error);
  if (!base)
    return ada::parse<ada::url_aggregator>(input);
  const auto parsedBase = ada::parse<ada::url_aggregator>(*base);
  return parsedBase ? ada::parse<ada::url_aggregator>(input, &*parsedBase) : parsedBase;
}

using URL_Self = URLData;

/** A new URL object; `newTarget` as bind::wrap takes it. */
Outcome<JSValue> newUrl(const Call& call, ada::url_aggregator parsed, JSValueConst newTarget) {
  auto data = std::make_unique<URLData>(call.runtime, std::move(parsed));
  if (!data->changed(call))
    return Thrown{};
  return bind::wrap(call.runtime, HostClass::URL, data.release(), newTarget);
}

Outcome<JSValue> URL_new(Call& call, std::string_view input, std::optional<std::string_view> base) {
  auto url = parseUrl(input, base);
  if (!url)
    return failUrl(call, input, base);
  return newUrl(call, std::move(*url), call.receiver);
}

Outcome<bool> URL_canParse(Call&, std::string_view input, std::optional<std::string_view> base) {
  return !isTooLong(input) && !(base && isTooLong(*base)) && ada::can_parse(input, base ? &*base : nullptr);
}

Outcome<JSValue> URL_parse(Call& call, std::string_view input,
                           std::optional<std::string_view> base) {
  auto url = parseUrl(input, base);
  if (!url)
    return JS_NULL;
  return newUrl(call, std::move(*url), JS_UNDEFINED);
}

Outcome<void> done(bool succeeded) {
  if (!succeeded)
    return Thrown{};
  return {};
}

/** After the URL got another query: the pairs become those of `query`. */
Outcome<void> setQuery(const Call& call, URLData& self, std::string_view query) {
  if (self.params == nullptr)
    return done(self.changed(call));
  const bool parsed = self.params->parse(call, query);
  // These pairs came from the query, which may say the same in other words.
  self.setQueryStale(false);
  return done(parsed && self.changed(call));
}

Outcome<std::string_view> URL_href(Call&, URLData& self) { return self.url().get_href(); }

Outcome<void> URL_set_href(Call& call, URLData& self, std::string_view value) {
  if (isTooLong(value) || !self.url().set_href(value))
    return failUrl(call, value, std::nullopt);
  return setQuery(call, self, self.url().get_search());
}

Outcome<std::string_view> URL_origin(Call& call, URLData& self) {
  return call.keep(self.url().get_origin());
}

Outcome<std::string_view> URL_protocol(Call&, URLData& self) { return self.url().get_protocol(); }

Outcome<void> URL_set_protocol(Call& call, URLData& self, std::string_view value) {
  self.url().set_protocol(value);
  return done(self.changed(call));
}

Outcome<std::string_view> URL_username(Call&, URLData& self) { return self.url().get_username(); }

Outcome<void> URL_set_username(Call& call, URLData& self, std::string_view value) {
  self.url().set_username(value);
  return done(self.changed(call));
}

Outcome<std::string_view> URL_password(Call&, URLData& self) { return self.url().get_password(); }

Outcome<void> URL_set_password(Call& call, URLData& self, std::string_view value) {
  self.url().set_password(value);
  return done(self.changed(call));
}

Outcome<std::string_view> URL_host(Call&, URLData& self) { return self.url().get_host(); }

Outcome<void> URL_set_host(Call& call, URLData& self, std::string_view value) {
  self.url().set_host(value);
  return done(self.changed(call));
}

Outcome<std::string_view> URL_hostname(Call&, URLData& self) { return self.url().get_hostname(); }

Outcome<void> URL_set_hostname(Call& call, URLData& self, std::string_view value) {
  self.url().set_hostname(value);
  return done(self.changed(call));
}

Outcome<std::string_view> URL_port(Call&, URLData& self) { return self.url().get_port(); }

Outcome<void> URL_set_port(Call& call, URLData& self, std::string_view value) {
  self.url().set_port(value);
  return done(self.changed(call));
}

Outcome<std::string_view> URL_pathname(Call&, URLData& self) { return self.url().get_pathname(); }

Outcome<void> URL_set_pathname(Call& call, URLData& self, std::string_view value) {
  if (!isTooLong(value))
    self.url().set_pathname(value);
  return done(self.changed(call));
}

Outcome<std::string_view> URL_search(Call&, URLData& self) { return self.url().get_search(); }

Outcome<void> URL_set_search(Call& call, URLData& self, std::string_view value) {
  if (isTooLong(value))
    return {};
  // The pairs are read from what was given: unlike the query, they keep tabs and line ends. So the
  // params object cannot be made later from the query.
  if (value.find_first_of("\t\n\r") != std::string_view::npos &&
      JS_IsException(self.paramsObject(call)))
    return Thrown{};
  self.url().set_search(value);
  return setQuery(call, self, value);
}

Outcome<JSValue> URL_searchParams(Call& call, URLData& self) {
  return JS_DupValue(call.ctx, self.paramsObject(call));
}

Outcome<std::string_view> URL_hash(Call&, URLData& self) { return self.url().get_hash(); }

Outcome<void> URL_set_hash(Call& call, URLData& self, std::string_view value) {
  if (!isTooLong(value))
    self.url().set_hash(value);
  return done(self.changed(call));
}

Outcome<std::string_view> URL_toString(Call&, URLData& self) { return self.url().get_href(); }

Outcome<std::string_view> URL_toJSON(Call&, URLData& self) { return self.url().get_href(); }

using URLSearchParams_Self = URLSearchParamsData;

/** Web IDL's union of pairs, record and string. */
bool fillParams(const Call& call, JSValueConst init, URLSearchParamsData& data) {
  if (!JS_IsObject(init)) {
    const js::Utf8 text(call.ctx, init);
    if (!text)
      return false;
    return data.parse(call, text.view());
  }
  bool isRecord = false;
  const auto add = [&](JSValueConst name, JSValueConst value) {
    bind::kinds::String nameText;
    bind::kinds::String valueText;
    if (!nameText.convert(call, name, 0) || !valueText.convert(call, value, 0))
      return false;
    // Two keys of a record can become one when lone surrogates are replaced.
    const bool wasMended = nameText.get().find("\xEF\xBF\xBD") != std::string_view::npos;
    if (isRecord && wasMended && data.pairs().has(nameText.get())) {
      data.pairs().set(nameText.get(), valueText.get());
      return data.changed(call);
    }
    return data.append(call, nameText.get(), valueText.get());
  };
  return forEachInitPair(call, init, "a string, an object of strings, or pairs of strings", add,
                         &isRecord);
}

Outcome<JSValue> URLSearchParams_new(Call& call, JSValueConst init) {
  auto data = std::make_unique<URLSearchParamsData>(call.runtime);
  if (!JS_IsUndefined(init) && !fillParams(call, init, *data))
    return Thrown{};
  return bind::wrap(call.runtime, HostClass::URLSearchParams, data.release(), call.receiver);
}

Outcome<double> URLSearchParams_size(Call&, URLSearchParamsData& self) {
  return static_cast<double>(self.pairs().size());
}

Outcome<void> URLSearchParams_append(Call& call, URLSearchParamsData& self, std::string_view name,
                                     std::string_view value) {
  return done(self.append(call, name, value));
}

Outcome<void> URLSearchParams_delete(Call& call, URLSearchParamsData& self, std::string_view name,
                                     std::optional<std::string_view> value) {
  if (value)
    self.pairs().remove(name, *value);
  else
    self.pairs().remove(name);
  return done(self.changed(call));
}

Outcome<std::optional<std::string_view>> URLSearchParams_get(Call&, URLSearchParamsData& self,
                                                             std::string_view name) {
  return self.pairs().get(name);
}

Outcome<JSValue> URLSearchParams_getAll(Call& call, URLSearchParamsData& self,
                                        std::string_view name) {
  js::Value array(call.ctx, JS_NewArray(call.ctx));
  uint32_t index = 0;
  for (const auto& pair : self.pairs()) {
    if (pair.first != name)
      continue;
    js::Value text = js::newUtf8(call.ctx, pair.second);
    if (array.isException() || text.isException() ||
        JS_DefinePropertyValueUint32(call.ctx, array.get(), index++, text.release(),
                                     JS_PROP_C_W_E) < 0)
      return Thrown{};
  }
  return array;
}

Outcome<bool> URLSearchParams_has(Call&, URLSearchParamsData& self, std::string_view name,
                                  std::optional<std::string_view> value) {
  return value ? self.pairs().has(name, *value) : self.pairs().has(name);
}

Outcome<void> URLSearchParams_set(Call& call, URLSearchParamsData& self, std::string_view name,
                                  std::string_view value) {
  self.pairs().set(name, value);
  return done(self.changed(call));
}

Outcome<void> URLSearchParams_sort(Call& call, URLSearchParamsData& self) {
  self.pairs().sort();
  return done(self.changed(call));
}

using Pairs = PairMembers<URLSearchParamsData, searchParamAt, "URLSearchParams Iterator">;
constexpr auto* URLSearchParams_forEach = Pairs::forEach;
constexpr auto* URLSearchParams_keys = Pairs::keys;
constexpr auto* URLSearchParams_values = Pairs::values;
constexpr auto* URLSearchParams_entries = Pairs::entries;

Outcome<std::string_view> URLSearchParams_toString(Call& call, URLSearchParamsData& self) {
  return call.keep(self.pairs().to_string());
}

#define HOST_url
#include "filter-cc/bind_rows.h"

}  // namespace

std::optional<size_t> searchParamCount(Runtime& runtime, JSValueConst value) {
  const auto* data = static_cast<URLSearchParamsData*>(
      bind::tryUnwrap(runtime, value, HostClass::URLSearchParams));
  return data == nullptr ? std::nullopt : std::optional(data->pairs().size());
}

bool searchParamAt(JSContext* ctx, JSValueConst iterable, size_t index, js::Value& key,
                   js::Value& value) {
  const auto* data = static_cast<URLSearchParamsData*>(
      bind::tryUnwrap(Runtime::from(ctx), iterable, HostClass::URLSearchParams));
  if (index >= data->pairs().size())
    return false;
  const auto& pair = data->pairs().begin()[static_cast<ptrdiff_t>(index)];
  key = js::newUtf8(ctx, pair.first);
  value = js::newUtf8(ctx, pair.second);
  return true;
}

std::optional<std::string> urlText(Runtime& runtime, JSValueConst value) {
  auto* data = static_cast<URLData*>(bind::tryUnwrap(runtime, value, HostClass::URL));
  return data == nullptr ? std::nullopt : std::optional(std::string(data->url().get_href()));
}

std::optional<std::string> searchParamsText(Runtime& runtime, JSValueConst value) {
  const auto* data = static_cast<URLSearchParamsData*>(
      bind::tryUnwrap(runtime, value, HostClass::URLSearchParams));
  if (data == nullptr)
    return std::nullopt;
  return data->pairs().to_string();
}

JSValue defineURL(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::URL, kRows, URLData::kName);
}

JSValue defineURLSearchParams(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::URLSearchParams, kRows, URLSearchParamsData::kName);
}

}  // namespace fairlead
