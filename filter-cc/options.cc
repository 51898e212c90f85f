// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/options.h"

#include <algorithm>
#include <string>

namespace fairlead {
namespace {

/** False with E_OPTION_NAME pending. */
bool isKnown(const Call& call, std::string_view name, std::string_view option, std::span<const std::string_view> names) {
  if (std::find(names.begin(), names.end(), name) != names.end())
    return true;
  constexpr size_t kShownBytes = 40;
  std::string shown = option.empty() ? "" : std::string(option) + ".";
  shown.append(name.size() <= kShownBytes ? name : "…");
  std::string list;
  for (const std::string_view known : names)
    list.append(list.empty() ? "" : ", ").append(known);
  call.fail(ErrorCode::E_OPTION_NAME, {shown, list});
  return false;
}

}  // namespace

bool readOptions(const Call& call, JSValueConst options, size_t index, std::span<const std::string_view> names,
                 std::span<js::Value> values) {
  if (JS_IsUndefined(options))
    return true;
  if (!JS_IsObject(options)) {
    bind::throwArgument(call, index, "an object");
    return false;
  }
  return readMembers(call, options, {}, names, values);
}

bool readMembers(const Call& call, JSValueConst options, std::string_view option, std::span<const std::string_view> names,
                 std::span<js::Value> values) {
  JSContext* ctx = call.ctx;
  JSPropertyEnum* properties = nullptr;
  uint32_t count = 0;
  if (JS_GetOwnPropertyNames(ctx, &properties, &count, options, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0)
    return false;
  bool read = true;
  for (uint32_t i = 0; read && i < count; ++i) {
    size_t length = 0;
    const char* name = JS_AtomToCStringLen(ctx, &length, properties[i].atom);
    read = name != nullptr && isKnown(call, {name, length}, option, names);
    JS_FreeCString(ctx, name);
  }
  JS_FreePropertyEnum(ctx, properties, count);
  for (size_t i = 0; read && i < names.size(); ++i) {
    values[i] = js::Value(ctx, JS_GetPropertyStr(ctx, options, names[i].data()));
    read = !values[i].isException();
  }
  return read;
}

}  // namespace fairlead
