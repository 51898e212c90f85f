// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// AsyncLocalStorage: values that a request carries along its awaits, timers and calls. The engine keeps
// one asynchronous context (AsyncContextScope); here it is an array of storages, each followed by its
// value, never changed once made. Scripts do not see it.

#include <vector>

#include "filter-cc/world.h"

namespace fairlead {
namespace {

/** Behind an AsyncLocalStorage object, which is itself the key. Owner: the object. */
class AsyncLocalStorageData final : public NativeData {
public:
  static constexpr HostClass kClass = HostClass::AsyncLocalStorage;
  static constexpr const char* kName = "AsyncLocalStorage";
};

using AsyncLocalStorage_Self = AsyncLocalStorageData;

uint32_t lengthOf(JSContext* ctx, JSValueConst context) {
  int64_t length = 0;
  if (!JS_IsUndefined(context))
    JS_GetLength(ctx, context, &length);
  return static_cast<uint32_t>(length);
}

/** Where the context has the value of `storage`: at the index behind it. 0: nowhere. */
uint32_t indexOf(JSContext* ctx, JSValueConst context, JSValueConst storage) {
  for (uint32_t i = 0, length = lengthOf(ctx, context); i < length; i += 2) {
    const js::Value key(ctx, JS_GetPropertyUint32(ctx, context, i));
    if (JS_IsStrictEqual(ctx, key.get(), storage))
      return i + 1;
  }
  return 0;
}

/** The present context with `storage` set to `value`. An exception: no memory. */
js::Value with(JSContext* ctx, JSValueConst storage, JSValueConst value) {
  const JSValueConst before = js::asyncContext(ctx);
  js::Value context(ctx, JS_NewArray(ctx));
  uint32_t length = 0;
  const auto append = [&](JSValue item) {
    if (!context.isException() &&
        JS_DefinePropertyValueUint32(ctx, context.get(), length++, item, JS_PROP_C_W_E) < 0)
      context = js::Value(ctx, JS_EXCEPTION);
  };
  const uint32_t old = indexOf(ctx, before, storage);
  for (uint32_t i = 0, end = lengthOf(ctx, before); i < end; ++i) {
    if (old == 0 || i / 2 != old / 2)
      append(JS_GetPropertyUint32(ctx, before, i));
  }
  append(JS_DupValue(ctx, storage));
  append(JS_DupValue(ctx, value));
  return context;
}

JSValue callIn(const Call& call, JSValueConst context, JSValueConst function,
               std::span<JSValueConst> arguments) {
  const js::AsyncContextScope scope(call.ctx, context);
  return JS_Call(call.ctx, function, JS_UNDEFINED, static_cast<int>(arguments.size()),
                 arguments.data());
}

Outcome<JSValue> AsyncLocalStorage_new(Call& call) {
  return bind::wrap(call.runtime, HostClass::AsyncLocalStorage, new AsyncLocalStorageData,
                    call.receiver);
}

Outcome<JSValue> AsyncLocalStorage_run(Call& call, AsyncLocalStorageData&, JSValueConst store,
                                       JSValueConst function, std::span<JSValueConst> arguments) {
  const js::Value context = with(call.ctx, call.receiver, store);
  if (context.isException())
    return Thrown{};
  return callIn(call, context.get(), function, arguments);
}

Outcome<JSValue> AsyncLocalStorage_exit(Call& call, AsyncLocalStorageData& self,
                                        JSValueConst function,
                                        std::span<JSValueConst> arguments) {
  return AsyncLocalStorage_run(call, self, JS_UNDEFINED, function, arguments);
}

Outcome<JSValue> AsyncLocalStorage_getStore(Call& call, AsyncLocalStorageData&) {
  const JSValueConst context = js::asyncContext(call.ctx);
  const uint32_t index = indexOf(call.ctx, context, call.receiver);
  return index == 0 ? JS_UNDEFINED : JS_GetPropertyUint32(call.ctx, context, index);
}

/** The function that bind() gives: data is the context, and what is called in it. */
JSValue callBound(JSContext* ctx, JSValueConst receiver, int argc, JSValueConst* argv, int,
                  JSValueConst* data) {
  const js::AsyncContextScope scope(ctx, data[0]);
  return JS_Call(ctx, data[1], receiver, argc, argv);
}

/** The function that snapshot() gives: calls its first argument with the others. */
JSValue callInSnapshot(JSContext* ctx, JSValueConst, int argc, JSValueConst* argv, int,
                       JSValueConst* data) {
  const js::AsyncContextScope scope(ctx, data[0]);
  return JS_Call(ctx, argv[0], JS_UNDEFINED, argc > 1 ? argc - 1 : 0, argv + 1);
}

Outcome<JSValue> AsyncLocalStorage_bind(Call& call, JSValueConst function) {
  JSValueConst data[] = {js::asyncContext(call.ctx), function};
  return JS_NewCFunctionData(call.ctx, callBound, 0, 0, 2, data);
}

Outcome<JSValue> AsyncLocalStorage_snapshot(Call& call) {
  JSValueConst data[] = {js::asyncContext(call.ctx)};
  return JS_NewCFunctionData(call.ctx, callInSnapshot, 1, 0, 1, data);
}

#define HOST_async
#include "filter-cc/bind_rows.h"

}  // namespace

JSValue defineAsyncLocalStorage(Runtime& runtime) {
  return bind::defineClass(runtime, HostClass::AsyncLocalStorage, kRows,
                           AsyncLocalStorageData::kName);
}

}  // namespace fairlead
