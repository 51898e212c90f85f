// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// `ctx`, and defineFilter.

#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

using Context_Self = ContextData;
using fairlead_Self = void;

JSValue dup(const Call& call, JSValueConst value) { return JS_DupValue(call.ctx, value); }

Outcome<JSValue> Context_request(Call& call, ContextData& self) {
  return dup(call, self.stream.requestObject());
}

Outcome<JSValue> Context_response(Call& call, ContextData& self) {
  // Absent until there is one, so that ctx.response?.status can be asked anywhere.
  return self.stream.responseSeen() ? dup(call, self.stream.responseObject()) : JS_NULL;
}

Outcome<JSValue> Context_state(Call& call, ContextData& self) {
  js::Value& state = self.stream.state();
  if (state.isUndefined())
    state = js::Value(call.ctx, JS_NewObject(call.ctx));
  return dup(call, state.get());
}

Outcome<void> Context_set_state(Call& call, ContextData& self, JSValueConst value) {
  self.stream.state() = js::Value::dup(call.ctx, value);
  return {};
}

Outcome<JSValue> Context_config(Call& call, ContextData& self) {
  return dup(call, self.stream.configValue().get());
}

Outcome<JSValue> Context_settings(Call& call, ContextData& self) {
  return dup(call, self.stream.settingsValue().get());
}

Outcome<JSValue> Context_signal(Call& call, ContextData& self) {
  return dup(call, self.stream.signalObject());
}

/** Gives the filter back; a name for its type. The Runtime checks the hooks of any default export. */
Outcome<JSValue> fairlead_defineFilter(Call& call, JSValueConst filter) {
  return dup(call, filter);
}

#define HOST_stream
#include "filter-cc/bind_rows.h"

}  // namespace

JSValue defineContext(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::Context, kRows, ContextData::kName);
}

bool defineStreamExports(Runtime& runtime, JSValueConst exports) {
  return bind::defineRows(runtime.ctx(), exports, kRows, "fairlead", bind::Place::Prototype);
}

}  // namespace fairlead
