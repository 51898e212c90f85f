// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// ctx.metadata and those of route, cluster and host; ctx.filterState.

#include <algorithm>
#include <cmath>

#include "filter-cc/facts.h"
#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

using Metadata_Self = MetadataData;
using FilterState_Self = FilterStateData;

/** Of one write: Envoy keeps it outside of the script's heap. */
constexpr size_t kMaxValueBytes = size_t{64} * 1024;
constexpr size_t kMaxValues = 1024;
constexpr size_t kMaxDepth = 32;

MetadataSource sourceOf(const MetadataData& self) { return static_cast<MetadataSource>(self.part); }

js::Value toScript(JSContext* ctx, const MetadataValue& value) {
  switch (value.kind) {
  case MetadataValue::Kind::Text:
    return js::newUtf8(ctx, value.text);
  case MetadataValue::Kind::Number:
    return {ctx, JS_NewNumber(ctx, value.number)};
  case MetadataValue::Kind::Flag:
    return {ctx, JS_NewBool(ctx, value.flag)};
  case MetadataValue::Kind::List: {
    js::Value list(ctx, JS_NewArray(ctx));
    for (size_t i = 0; i < value.items.size() && !list.isException(); ++i) {
      if (JS_SetPropertyUint32(ctx, list.get(), static_cast<uint32_t>(i),
                               toScript(ctx, value.items[i]).release()) < 0)
        return {ctx, JS_EXCEPTION};
    }
    return list;
  }
  case MetadataValue::Kind::Null:
  case MetadataValue::Kind::Object:
    break;
  }
  return {ctx, JS_NULL};
}

js::Value toScript(JSContext* ctx, const std::vector<std::string>& names) {
  MetadataValue list;
  list.kind = MetadataValue::Kind::List;
  for (const std::string& name : names) {
    list.items.emplace_back();
    list.items.back().kind = MetadataValue::Kind::Text;
    list.items.back().text = name;
  }
  return toScript(ctx, list);
}

/** From a script's value to what metadata can hold; an exception is pending where it cannot. */
class ValueReader {
public:
  explicit ValueReader(const Call& call) : call_(call) {}

  bool read(JSValueConst value, MetadataValue& out, size_t depth = 0) {
    using Kind = MetadataValue::Kind;
    if (++count_ > kMaxValues)
      return refuse("a value of metadata holds no more than 1024 others");
    if (depth > kMaxDepth)
      return refuse("a value of metadata is nested no deeper than 32");
    if (JS_IsNull(value))
      return true;
    if (JS_IsBool(value)) {
      out.kind = Kind::Flag;
      out.flag = JS_ToBool(call_.ctx, value) > 0;
      return true;
    }
    if (JS_IsNumber(value)) {
      out.kind = Kind::Number;
      JS_ToFloat64(call_.ctx, &out.number, value);
      return std::isfinite(out.number) || refuse("a number of metadata is finite");
    }
    if (JS_IsString(value)) {
      out.kind = Kind::Text;
      return readText(value, out.text);
    }
    if (!JS_IsObject(value) || JS_IsFunction(call_.ctx, value))
      return refuse("metadata holds text, numbers, booleans, null, lists and objects");
    out.kind = JS_IsArray(value) ? Kind::List : Kind::Object;
    return out.kind == Kind::List ? readList(value, out, depth) : readObject(value, out, depth);
  }

private:
  bool refuse(std::string_view why) {
    call_.fail(ErrorCode::E_METADATA_VALUE, {why});
    return false;
  }

  bool readText(JSValueConst value, std::string& out) {
    const js::Utf8 text(call_.ctx, value);
    if (!text)
      return false;
    bytes_ += text.view().size();
    if (bytes_ > kMaxValueBytes)
      return refuse("a value of metadata is no larger than 64 KiB");
    out = text.view();
    return true;
  }

  bool readList(JSValueConst list, MetadataValue& out, size_t depth) {
    int64_t length = 0;
    if (JS_GetLength(call_.ctx, list, &length) < 0)
      return false;
    for (int64_t i = 0; i < length; ++i) {
      const js::Value item(call_.ctx, JS_GetPropertyInt64(call_.ctx, list, i));
      if (item.isException() || !read(item.get(), out.items.emplace_back(), depth + 1))
        return false;
    }
    return true;
  }

  bool readObject(JSValueConst object, MetadataValue& out, size_t depth) {
    JSPropertyEnum* names = nullptr;
    uint32_t count = 0;
    if (JS_GetOwnPropertyNames(call_.ctx, &names, &count, object,
                               JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0)
      return false;
    bool ok = true;
    for (uint32_t i = 0; ok && i < count; ++i) {
      const js::Value name(call_.ctx, JS_AtomToString(call_.ctx, names[i].atom));
      const js::Value member(call_.ctx, JS_GetProperty(call_.ctx, object, names[i].atom));
      // As JSON has it.
      if (member.isUndefined())
        continue;
      ok = !name.isException() && !member.isException() &&
           readText(name.get(), out.keys.emplace_back()) &&
           read(member.get(), out.items.emplace_back(), depth + 1);
    }
    JS_FreePropertyEnum(call_.ctx, names, count);
    return ok;
  }

  const Call& call_;
  size_t count_ = 0;
  size_t bytes_ = 0;
};

Outcome<JSValue> Metadata_get(Call& call, MetadataData& self, std::string_view ns,
                              std::string_view key) {
  const std::optional<MetadataValue> value = self.stream.host().metadata(sourceOf(self), ns, key);
  return value ? toScript(call.ctx, *value) : js::Value();
}

Outcome<void> Metadata_set(Call& call, MetadataData& self, std::string_view ns,
                           std::string_view key, JSValueConst value) {
  if (self.part != Part::Metadata)
    return call.fail(ErrorCode::E_METADATA_VALUE, {"metadata of the config is read-only"});
  const Config& config = self.stream.config().config;
  if (ns != config.filterName &&
      std::find(config.metadata.begin(), config.metadata.end(), ns) == config.metadata.end())
    return call.fail(ErrorCode::E_METADATA_NAMESPACE, {ns});
  MetadataValue read;
  if (!ValueReader(call).read(value, read) || !countFactWrite(call, self.stream))
    return Thrown{};
  if (!self.stream.host().setMetadata(ns, key, read))
    return call.fail(ErrorCode::E_METADATA_VALUE,
                     {"Envoy before 1.40 holds text, numbers, booleans, and lists of those, and "
                      "replaces no value by a list"});
  return {};
}

Outcome<JSValue> Metadata_keys(Call& call, MetadataData& self, std::string_view ns) {
  return toScript(call.ctx, self.stream.host().metadataKeys(sourceOf(self), ns));
}

Outcome<JSValue> Metadata_namespaces(Call& call, MetadataData& self) {
  return toScript(call.ctx, self.stream.host().metadataNamespaces(sourceOf(self)));
}

Outcome<JSValue> Metadata_getTyped(Call& call, MetadataData& self, std::string_view ns) {
  const auto found = self.stream.host().typedMetadata(sourceOf(self), ns);
  if (!found)
    return JS_UNDEFINED;
  const auto& [type, bytes] = *found;
  JSContext* ctx = call.ctx;
  js::Value object(ctx, JS_NewObject(ctx));
  if (object.isException() ||
      JS_SetPropertyStr(ctx, object.get(), "typeUrl", js::newUtf8(ctx, type).release()) < 0 ||
      JS_SetPropertyStr(ctx, object.get(), "value",
                        JS_NewUint8ArrayCopy(ctx, reinterpret_cast<const uint8_t*>(bytes.data()),
                                             bytes.size())) < 0)
    return Thrown{};
  return object;
}

// --- Filter state ---

/** Text as UTF-8, or bytes. */
bool readState(const Call& call, JSValueConst value, std::string& out) {
  bind::kinds::Bytes bytes;
  std::span<uint8_t> found;
  if (js::bytesOf(value, found) != js::BytesState::NotBytes) {
    if (!bytes.convert(call, value, 1))
      return false;
    out.assign(reinterpret_cast<const char*>(bytes.get().data()), bytes.get().size());
  } else if (JS_IsString(value)) {
    const js::Utf8 text(call.ctx, value);
    if (!text)
      return false;
    out = text.view();
  } else {
    bind::throwArgument(call, 1, "a string or bytes");
    return false;
  }
  if (out.size() <= kMaxValueBytes)
    return true;
  call.fail(ErrorCode::E_FILTER_STATE, {"a value of the filter state is no larger than 64 KiB"});
  return false;
}

Outcome<void> writeState(Call& call, FilterStateData& self, std::string_view key,
                         JSValueConst value, bool typed) {
  std::string bytes;
  if (!readState(call, value, bytes) || !countFactWrite(call, self.stream))
    return Thrown{};
  switch (self.stream.host().setFilterState(key, bytes, typed)) {
  case FilterStateWrite::Done:
    return {};
  case FilterStateWrite::Exists:
    return call.fail(ErrorCode::E_FILTER_STATE,
                     {"Envoy 1.38 keeps the value that is there: set each key once"});
  case FilterStateWrite::Refused:
    break;
  }
  return call.fail(ErrorCode::E_FILTER_STATE,
                   {typed ? "Envoy knows no type under this key, or it does not take the value"
                          : "Envoy keeps an object of another type or life span under this key"});
}

Outcome<std::optional<std::string_view>> FilterState_get(Call&, FilterStateData& self,
                                                         std::string_view key) {
  return self.stream.host().filterState(key);
}

Outcome<JSValue> FilterState_getBytes(Call& call, FilterStateData& self, std::string_view key) {
  const std::optional<std::string_view> value = self.stream.host().filterState(key);
  return value ? JS_NewUint8ArrayCopy(call.ctx, reinterpret_cast<const uint8_t*>(value->data()),
                                      value->size())
               : JS_UNDEFINED;
}

Outcome<void> FilterState_set(Call& call, FilterStateData& self, std::string_view key,
                              JSValueConst value) {
  return writeState(call, self, key, value, false);
}

Outcome<void> FilterState_setTyped(Call& call, FilterStateData& self, std::string_view key,
                                   JSValueConst value) {
  return writeState(call, self, key, value, true);
}

#define HOST_metadata
#include "filter-cc/bind_rows.h"

}  // namespace

JSValue defineMetadata(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Metadata, kRows, MetadataData::kName);
}

JSValue defineFilterState(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::FilterState, kRows, FilterStateData::kName);
}

}  // namespace fairlead
