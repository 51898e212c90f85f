// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/web_idl.h"

#include <memory>

namespace fairlead {
namespace {

bool visitRecord(JSContext* ctx, JSValueConst record, const PairVisitor& visit) {
  JSPropertyEnum* names = nullptr;
  uint32_t count = 0;
  if (JS_GetOwnPropertyNames(ctx, &names, &count, record, JS_GPN_STRING_MASK | JS_GPN_SYMBOL_MASK) <
      0)
    return false;
  bool ok = true;
  for (uint32_t i = 0; ok && i < count; ++i) {
    // Key by key, for a getter may change the properties that follow.
    JSPropertyDescriptor property;
    const int found = JS_GetOwnProperty(ctx, &property, record, names[i].atom);
    ok = found >= 0;
    if (found <= 0)
      continue;
    JS_FreeValue(ctx, property.value);
    JS_FreeValue(ctx, property.getter);
    JS_FreeValue(ctx, property.setter);
    if ((property.flags & JS_PROP_ENUMERABLE) == 0)
      continue;
    const js::Value key(ctx, JS_AtomToValue(ctx, names[i].atom));
    // A symbol is refused before its value is read.
    const js::Value value(ctx, JS_IsSymbol(key.get())
                                   ? JS_UNDEFINED
                                   : JS_GetProperty(ctx, record, names[i].atom));
    ok = !key.isException() && !value.isException() && visit(key.get(), value.get());
  }
  JS_FreePropertyEnum(ctx, names, count);
  return ok;
}

}  // namespace

bool forEachInitPair(const Call& call, JSValueConst init, const char* what,
                     const PairVisitor& visit, bool* isRecord) {
  JSContext* ctx = call.ctx;
  if (isRecord != nullptr)
    *isRecord = false;
  if (!JS_IsObject(init)) {
    bind::throwArgument(call, 0, what);
    return false;
  }
  const auto visitPair = [&](JSValueConst pair) {
    js::Value parts[2];
    size_t count = 0;
    const js::Iteration iteration =
        JS_IsObject(pair) ? js::iterate(ctx, pair,
                                        [&](JSValueConst part) {
                                          if (count < 2)
                                            parts[count] = js::Value::dup(ctx, part);
                                          ++count;
                                          return true;
                                        })
                          : js::Iteration::NotIterable;
    if (iteration == js::Iteration::Thrown)
      return false;
    if (iteration == js::Iteration::NotIterable || count != 2) {
      bind::throwArgument(call, 0, what);
      return false;
    }
    return visit(parts[0].get(), parts[1].get());
  };
  switch (js::iterate(ctx, init, visitPair)) {
  case js::Iteration::Thrown:
    return false;
  case js::Iteration::Done:
    return true;
  case js::Iteration::NotIterable:
    if (isRecord != nullptr)
      *isRecord = true;
    return visitRecord(ctx, init, visit);
  }
  return false;
}

}  // namespace fairlead
