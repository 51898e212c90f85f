// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// URLPattern (https://urlpattern.spec.whatwg.org), by ada, over the engine's regular expressions.

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <variant>

#include "ada.h"
#include "filter-cc/runtime.h"
#include "filter-cc/world.h"
#include "quickjs/regexp.h"

namespace fairlead {
namespace {

/** A pattern's bytes, all parts together: what ada makes of them is some ten times as much. */
constexpr size_t kMaxPatternBytes = size_t{8} * 1024;
constexpr size_t kBytesOfPattern = size_t{4} * 1024;

/** ada asks for regular expressions without saying in which world. */
thread_local JSContext* current = nullptr;

/** ada works for this context until the end of the block. */
class Working {
public:
  explicit Working(JSContext* ctx) : before_(std::exchange(current, ctx)) {}
  ~Working() { current = before_; }
  Working(const Working&) = delete;
  Working& operator=(const Working&) = delete;

private:
  JSContext* before_;
};

struct EngineRegExps {
  using regex_type = js::RegExp;
  static std::optional<regex_type> create_instance(std::string_view pattern, bool ignoreCase) {
    return regex_type::compile(current, pattern, ignoreCase);
  }
  static std::optional<regex_type::Groups> regex_search(std::string_view text,
                                                        const regex_type& expression) {
    return expression.search(current, text);
  }
  static bool regex_match(std::string_view text, const regex_type& expression) noexcept {
    return expression.matches(current, text);
  }
};

using Pattern = ada::url_pattern<EngineRegExps>;
using Component = ada::url_pattern_component<EngineRegExps>;

/** A part of a URL: its name, and where each of ada's classes has it. */
struct PartRow {
  const char* name;
  std::optional<std::string> ada::url_pattern_init::*init;
  Component Pattern::*component;
  ada::url_pattern_component_result ada::url_pattern_result::*result;
};
constexpr PartRow kParts[] = {
    {"protocol", &ada::url_pattern_init::protocol, &Pattern::protocol_component,
     &ada::url_pattern_result::protocol},
    {"username", &ada::url_pattern_init::username, &Pattern::username_component,
     &ada::url_pattern_result::username},
    {"password", &ada::url_pattern_init::password, &Pattern::password_component,
     &ada::url_pattern_result::password},
    {"hostname", &ada::url_pattern_init::hostname, &Pattern::hostname_component,
     &ada::url_pattern_result::hostname},
    {"port", &ada::url_pattern_init::port, &Pattern::port_component,
     &ada::url_pattern_result::port},
    {"pathname", &ada::url_pattern_init::pathname, &Pattern::pathname_component,
     &ada::url_pattern_result::pathname},
    {"search", &ada::url_pattern_init::search, &Pattern::search_component,
     &ada::url_pattern_result::search},
    {"hash", &ada::url_pattern_init::hash, &Pattern::hash_component,
     &ada::url_pattern_result::hash},
};

/** Behind a URLPattern object. Owner: the object. */
class URLPatternData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::URLPattern;
  static constexpr const char* kName = "URLPattern";

  explicit URLPatternData(const js::Runtime& engine) : charge(engine) {}

  js::Charge charge;
  Pattern pattern;
};

using URLPattern_Self = URLPatternData;

/** Web IDL's `(USVString or URLPatternInit)`, as it is held while ada works. */
struct Input {
  std::optional<std::string> text;
  ada::url_pattern_init init;

  std::variant<std::string_view, ada::url_pattern_init> get() const {
    if (text)
      return std::string_view(*text);
    return init;
  }
  size_t bytes() const {
    size_t sum = text ? text->size() : 0;
    for (const PartRow& part : kParts)
      sum += (init.*part.init).value_or("").size();
    return sum + init.base_url.value_or("").size();
  }
};

bool readMember(JSContext* ctx, JSValueConst object, const char* name,
                std::optional<std::string>& out) {
  const js::Value member(ctx, JS_GetPropertyStr(ctx, object, name));
  if (member.isException() || member.isUndefined())
    return !member.isException();
  const js::Utf8 text(ctx, member.get());
  if (text)
    out = text.view();
  return static_cast<bool>(text);
}

/** False: an exception is pending. */
bool readInput(const Call& call, JSValueConst value, Input& input) {
  if (JS_IsUndefined(value) || JS_IsNull(value))
    return true;
  if (!JS_IsObject(value)) {
    const js::Utf8 text(call.ctx, value);
    if (text)
      input.text = text.view();
    return static_cast<bool>(text);
  }
  bool ok = readMember(call.ctx, value, "baseURL", input.init.base_url);
  for (const PartRow& part : kParts)
    ok = ok && readMember(call.ctx, value, part.name, input.init.*part.init);
  return ok;
}

/** Whether a pattern and a base may be given together: the base of an object is among its members. */
bool checkBase(const Call& call, const Input& input, bool hasBase) {
  if (input.text || !hasBase)
    return true;
  bind::throwArgument(call, 1, "absent, as an object has its own baseURL");
  return false;
}

Outcome<JSValue> URLPattern_new(Call& call, JSValueConst input, JSValueConst second,
                                JSValueConst third) {
  // With two arguments the second is a base where it is no dictionary.
  const bool hasBase =
      !JS_IsUndefined(third) ||
      (!JS_IsUndefined(second) && !JS_IsNull(second) && !JS_IsObject(second));
  JSValueConst options = hasBase ? third : second;
  Input given;
  std::optional<std::string> base;
  if (!readInput(call, input, given))
    return Thrown{};
  if (hasBase) {
    const js::Utf8 text(call.ctx, second);
    if (!text)
      return Thrown{};
    base = text.view();
  }
  if (!JS_IsUndefined(options) && !JS_IsNull(options) && !JS_IsObject(options)) {
    bind::throwArgument(call, hasBase ? 2 : 1, "an object");
    return Thrown{};
  }
  ada::url_pattern_options flags;
  if (JS_IsObject(options)) {
    const js::Value ignoreCase(call.ctx, JS_GetPropertyStr(call.ctx, options, "ignoreCase"));
    if (ignoreCase.isException())
      return Thrown{};
    flags.ignore_case = JS_ToBool(call.ctx, ignoreCase.get()) > 0;
  }
  if (!checkBase(call, given, base.has_value()))
    return Thrown{};
  const size_t bytes = given.bytes() + base.value_or("").size();
  if (bytes > kMaxPatternBytes)
    return call.fail(ErrorCode::E_RANGE, {"a pattern has at most " +
                                          std::to_string(kMaxPatternBytes) + " bytes"});
  auto data = std::make_unique<URLPatternData>(call.runtime.engine());
  if (!data->charge.set(kBytesOfPattern + 16 * bytes)) {
    JS_ThrowOutOfMemory(call.ctx);
    return Thrown{};
  }
  const Working working(call.ctx);
  const std::string_view baseView = base ? std::string_view(*base) : std::string_view();
  auto parsed =
      ada::parse_url_pattern<EngineRegExps>(given.get(), base ? &baseView : nullptr, &flags);
  if (!parsed)
    return call.fail(ErrorCode::E_URL_PATTERN, {given.text ? "\"" + *given.text + "\"" : "the object"});
  data->pattern = *std::move(parsed);
  return bind::wrap(call.runtime, HostClass::URLPattern, data.release(), call.receiver);
}

/** What test() and exec() have in common. False: an exception is pending. */
bool match(const Call& call, URLPatternData& self, const Input& input,
           const std::optional<std::string_view>& base,
           std::optional<ada::url_pattern_result>& result) {
  if (!checkBase(call, input, base.has_value()))
    return false;
  // ada takes a text that is no URL to be relative to an empty one.
  if (input.text && !base && !ada::can_parse(*input.text))
    return true;
  const Working working(call.ctx);
  auto matched = self.pattern.match(input.get(), base ? &*base : nullptr);
  if (matched)
    result = *std::move(matched);
  return true;
}

Outcome<bool> URLPattern_test(Call& call, URLPatternData& self, JSValueConst value,
                              std::optional<std::string_view> base) {
  Input input;
  // The base is a view, and reading an object may run code.
  const std::optional<std::string> ownBase = base ? std::optional(std::string(*base)) : std::nullopt;
  std::optional<ada::url_pattern_result> result;
  if (!readInput(call, value, input) ||
      !match(call, self, input, ownBase ? std::optional<std::string_view>(*ownBase) : std::nullopt,
             result))
    return Thrown{};
  return result.has_value();
}

/** Gives an object a member. False: an exception is pending. */
bool define(JSContext* ctx, JSValueConst object, const char* name, js::Value value) {
  return !value.isException() &&
         JS_DefinePropertyValueStr(ctx, object, name, value.release(), JS_PROP_C_W_E) >= 0;
}

js::Value componentResult(JSContext* ctx, const Component& component,
                          const ada::url_pattern_component_result& result) {
  js::Value groups(ctx, JS_NewObject(ctx));
  js::Value object(ctx, JS_NewObject(ctx));
  if (groups.isException() || object.isException())
    return {ctx, JS_EXCEPTION};
  for (const std::string& name : component.group_name_list) {
    const auto found = result.groups.find(name);
    const bool isThere = found != result.groups.end() && found->second;
    if (!define(ctx, groups.get(), name.c_str(),
                isThere ? js::newUtf8(ctx, *found->second) : js::Value()))
      return {ctx, JS_EXCEPTION};
  }
  if (!define(ctx, object.get(), "input", js::newUtf8(ctx, result.input)) ||
      !define(ctx, object.get(), "groups", std::move(groups)))
    return {ctx, JS_EXCEPTION};
  return object;
}

/** What was matched, as the result tells it. */
js::Value inputsOf(JSContext* ctx, const Input& input, const std::optional<std::string>& base) {
  js::Value first;
  if (input.text) {
    first = js::newUtf8(ctx, *input.text);
  } else {
    first = js::Value(ctx, JS_NewObject(ctx));
    bool ok = !first.isException();
    const auto add = [&](const char* name, const std::optional<std::string>& text) {
      ok = ok && (!text || define(ctx, first.get(), name, js::newUtf8(ctx, *text)));
    };
    for (const PartRow& part : kParts)
      add(part.name, input.init.*part.init);
    add("baseURL", input.init.base_url);
    if (!ok)
      return {ctx, JS_EXCEPTION};
  }
  js::Value list(ctx, JS_NewArray(ctx));
  if (list.isException() || first.isException() ||
      JS_DefinePropertyValueUint32(ctx, list.get(), 0, first.release(), JS_PROP_C_W_E) < 0)
    return {ctx, JS_EXCEPTION};
  if (base) {
    js::Value text = js::newUtf8(ctx, *base);
    if (text.isException() ||
        JS_DefinePropertyValueUint32(ctx, list.get(), 1, text.release(), JS_PROP_C_W_E) < 0)
      return {ctx, JS_EXCEPTION};
  }
  return list;
}

Outcome<JSValue> URLPattern_exec(Call& call, URLPatternData& self, JSValueConst value,
                                 std::optional<std::string_view> base) {
  Input input;
  const std::optional<std::string> ownBase = base ? std::optional(std::string(*base)) : std::nullopt;
  std::optional<ada::url_pattern_result> result;
  if (!readInput(call, value, input) ||
      !match(call, self, input, ownBase ? std::optional<std::string_view>(*ownBase) : std::nullopt,
             result))
    return Thrown{};
  if (!result)
    return JS_NULL;
  js::Value object(call.ctx, JS_NewObject(call.ctx));
  if (object.isException() ||
      !define(call.ctx, object.get(), "inputs", inputsOf(call.ctx, input, ownBase)))
    return Thrown{};
  for (const PartRow& part : kParts) {
    if (!define(call.ctx, object.get(), part.name,
                componentResult(call.ctx, self.pattern.*part.component, *result.*part.result)))
      return Thrown{};
  }
  return object;
}

template <Component Pattern::*Part>
Outcome<std::string_view> textOf(Call&, URLPatternData& self) {
  return std::string_view((self.pattern.*Part).pattern);
}
constexpr auto* URLPattern_protocol = textOf<&Pattern::protocol_component>;
constexpr auto* URLPattern_username = textOf<&Pattern::username_component>;
constexpr auto* URLPattern_password = textOf<&Pattern::password_component>;
constexpr auto* URLPattern_hostname = textOf<&Pattern::hostname_component>;
constexpr auto* URLPattern_port = textOf<&Pattern::port_component>;
constexpr auto* URLPattern_pathname = textOf<&Pattern::pathname_component>;
constexpr auto* URLPattern_search = textOf<&Pattern::search_component>;
constexpr auto* URLPattern_hash = textOf<&Pattern::hash_component>;

Outcome<bool> URLPattern_hasRegExpGroups(Call&, URLPatternData& self) {
  return self.pattern.has_regexp_groups();
}

#define HOST_urlpattern
#include "filter-cc/bind_rows.h"

}  // namespace

JSValue defineURLPattern(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::URLPattern, kRows, URLPatternData::kName);
}

}  // namespace fairlead
