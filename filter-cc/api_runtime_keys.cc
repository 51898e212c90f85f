// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// ctx.runtime: what Envoy's runtime says under the keys that the config names.

#include <string>

#include "filter-cc/facts.h"
#include "filter-cc/runtime.h"
#include "filter-cc/runtime_keys.h"
#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

using RuntimeKeys_Self = RuntimeKeysData;

Outcome<JSValue> RuntimeKeys_get(Call& call, RuntimeKeysData& self, std::string_view name,
                                 JSValueConst fallback) {
  const FilterConfig& config = self.stream.config();
  std::optional<RuntimeValue> value;
  if (config.runtimeKeys == nullptr || !config.runtimeKeys->get(name, value)) {
    std::string names;
    for (const std::string& known : config.config.runtimeKeys)
      names.append(names.empty() ? "" : ", ").append(known);
    return call.fail(ErrorCode::E_RUNTIME_KEY, {name, names.empty() ? "none" : names});
  }
  if (!value)
    return JS_DupValue(call.ctx, fallback);
  return value->isFlag ? JS_NewBool(call.ctx, value->number != 0)
                       : JS_NewFloat64(call.ctx, value->number);
}

#define HOST_runtime_keys
#include "filter-cc/bind_rows.h"

}  // namespace

JSValue defineRuntimeKeys(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::RuntimeKeys, kRows, RuntimeKeysData::kName);
}

}  // namespace fairlead
