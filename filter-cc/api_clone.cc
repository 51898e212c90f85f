// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// structuredClone (https://html.spec.whatwg.org/multipage/structured-data.html).

#include <vector>

#include "filter-cc/events.h"
#include "filter-cc/forms.h"
#include "filter-cc/runtime.h"
#include "filter-cc/streams.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

using globals_Self = void;

/** False: an exception is pending. */
bool readTransfer(const Call& call, JSValueConst options, std::vector<js::Value>& out) {
  if (JS_IsUndefined(options) || JS_IsNull(options))
    return true;
  if (!JS_IsObject(options)) {
    bind::throwArgument(call, 1, "an object");
    return false;
  }
  const js::Value transfer(call.ctx, JS_GetPropertyStr(call.ctx, options, "transfer"));
  if (transfer.isException() || transfer.isUndefined())
    return transfer.isUndefined();
  const js::Iteration outcome = js::iterate(call.ctx, transfer.get(), [&](JSValueConst item) {
    if (!JS_IsObject(item)) {
      call.fail(ErrorCode::E_DATA_CLONE, {"a transferred value that is no ArrayBuffer"});
      return false;
    }
    out.push_back(js::Value::dup(call.ctx, item));
    return true;
  });
  if (outcome == js::Iteration::NotIterable)
    bind::throwArgument(call, 1, "an object whose transfer is iterable");
  return outcome == js::Iteration::Done;
}

/** Of what the script's world has beside the language only a Blob can be cloned. The engine's C code calls it. */
js::Value cloneHostObject(JSContext* ctx, JSValueConst object) {
  return {ctx, bind::barrier(ctx, "structuredClone", [&] {
            Runtime& runtime = Runtime::from(ctx);
            if (isEventObject(runtime, object) || isStreamObject(runtime, object))
              return JS_NULL;
            return blobOf(runtime, object) == nullptr ? JS_UNDEFINED
                                                      : cloneBlob(runtime, object).release();
          })};
}

Outcome<JSValue> globals_structuredClone(Call& call, JSValueConst value, JSValueConst options) {
  std::vector<js::Value> transfer;
  if (!readTransfer(call, options, transfer))
    return Thrown{};
  std::vector<JSValueConst> buffers;
  for (const js::Value& buffer : transfer)
    buffers.push_back(buffer.get());
  const char* refused = nullptr;
  js::Value copy = js::structuredClone(call.ctx, value, buffers, cloneHostObject, refused);
  if (refused != nullptr)
    return call.fail(ErrorCode::E_DATA_CLONE, {refused});
  return copy;
}

#define HOST_clone
#include "filter-cc/bind_rows.h"

}  // namespace

bool defineCloneGlobals(Runtime& runtime, JSValueConst global) {
  return bind::defineRows(runtime.ctx(), global, kRows, "globals", bind::Place::Prototype);
}

}  // namespace fairlead
