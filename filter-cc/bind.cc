// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/bind.h"

#include <exception>
#include <new>
#include <vector>

#include "filter-cc/runtime.h"
#include "filter-cc/stream.h"

namespace fairlead {

Thrown Call::fail(ErrorCode code, ErrorArgs rest) const {
  // {0} is the member; nobody has more than three further blanks.
  const std::string_view* more = std::data(rest);
  const auto at = [&](size_t i) { return i < rest.size() ? more[i] : std::string_view(); };
  throwError(ctx, code, {member, at(0), at(1), at(2)});
  return {};
}

std::string_view Call::keep(std::string text) const {
  runtime.scratch() = std::move(text);
  return runtime.scratch();
}

Stream* Call::stream() const { return runtime.stream(); }

namespace bind {

Runtime& runtimeOf(JSContext* ctx) { return Runtime::from(ctx); }

NativeData* tryUnwrap(Runtime& runtime, JSValueConst value, HostClass cls) {
  return static_cast<NativeData*>(JS_GetOpaque(value, runtime.classId(cls)));
}

bool isDead(Runtime& runtime, JSValueConst value, HostClass cls) {
  return JS_GetClassID(value) == runtime.classId(cls) && tryUnwrap(runtime, value, cls) == nullptr;
}

namespace {

/** Apart, for what it needs on the stack. */
[[gnu::noinline]] NativeData* refuse(const Call& call, JSValueConst value, HostClass cls,
                                     const char* className) {
  if (isDead(call.runtime, value, cls))
    call.fail(ErrorCode::E_DEAD_HANDLE);
  else
    call.fail(ErrorCode::E_ILLEGAL_INVOCATION, {className});
  return nullptr;
}

}  // namespace

NativeData* unwrap(const Call& call, JSValueConst value, HostClass cls, const char* className) {
  NativeData* data = tryUnwrap(call.runtime, value, cls);
  return data != nullptr ? data : refuse(call, value, cls, className);
}

bool checkPhase(const Call& call, uint8_t phases) {
  Stream* stream = call.stream();
  const uint8_t now = stream == nullptr ? phase::Load : stream->phase();
  // Code that outlives its stream is answered by each function: see Runtime::streamIsGone.
  if ((now & phases) != 0 || (now == phase::Load && call.runtime.streamIsGone()))
    return true;
  switch (now) {
  case phase::Load:
    call.fail(ErrorCode::E_NO_STREAM);
    break;
  case phase::RequestHeaders:
    call.fail(ErrorCode::E_WRONG_PHASE, {"onRequest"});
    break;
  case phase::ResponseHeaders:
    call.fail(ErrorCode::E_WRONG_PHASE, {"onResponse"});
    break;
  default:
    call.fail(ErrorCode::E_WRONG_PHASE, {"onLog"});
    break;
  }
  return false;
}

JSValue throwCurrentException(JSContext* ctx, const char* member) {
#if defined(__cpp_exceptions)
  try {
    throw;
  } catch (const std::bad_alloc&) {
    return JS_ThrowOutOfMemory(ctx);
  } catch (...) {
    return throwError(ctx, ErrorCode::E_INTERNAL, {member});
  }
#else
  return throwError(ctx, ErrorCode::E_INTERNAL, {member});
#endif
}

void throwArgument(const Call& call, size_t index, const char* what) {
  call.fail(ErrorCode::E_ARGUMENT, {std::to_string(index + 1), what});
}

namespace kinds {

bool ByteString::convertOther(const Call& call, JSValueConst value, size_t index) {
  js::Value string;
  if (!JS_IsString(value)) {
    string = js::Value(call.ctx, JS_ToString(call.ctx, value));
    if (string.isException())
      return false;
    value = string.get();
  }
  if (bytes_.read(call.ctx, value)) {
    if (!string.isUndefined())
      bytes_.keep();
    return true;
  }
  throwArgument(call, index, "a byte string: no character above U+00FF");
  return false;
}

bool Bytes::convert(const Call& call, JSValueConst value, size_t index) {
  value_ = value;
  std::span<uint8_t> bytes;
  switch (js::bytesOf(value, bytes)) {
  case js::BytesState::Found:
    return true;
  case js::BytesState::Lost:
    throwArgument(call, index, "a buffer that is not detached");
    return false;
  case js::BytesState::NotBytes:
    throwArgument(call, index, "an ArrayBuffer or a view of one");
    return false;
  }
  return false;
}

Bytes::Type Bytes::get() const {
  // A buffer that was detached meanwhile reads as empty.
  std::span<uint8_t> bytes;
  return js::bytesOf(value_, bytes) == js::BytesState::Found ? bytes : std::span<uint8_t>();
}

}  // namespace kinds

bool defineRows(JSContext* ctx, JSValueConst object, std::span<const Row> rows, std::string_view cls,
                Place place) {
  for (const Row& row : rows) {
    if (row.cls == cls && row.place == place &&
        JS_SetPropertyFunctionList(ctx, object, &row.entry, 1) < 0)
      return false;
  }
  return true;
}

JSValue defineClass(Runtime& runtime, HostClass cls, std::span<const Row> rows, const char* name) {
  JSContext* ctx = runtime.ctx();
  js::Value prototype(ctx, JS_NewObject(ctx));
  if (prototype.isException())
    return JS_EXCEPTION;
  if (!defineRows(ctx, prototype.get(), rows, name, Place::Prototype) ||
      !js::setTag(ctx, prototype.get(), name))
    return JS_EXCEPTION;
  js::Value constructor;
  const Row* last = nullptr;
  for (const Row& row : rows) {
    if (row.cls == name && row.place == Place::Class)
      last = &row;
  }
  if (last != nullptr) {
    const auto& function = last->entry.u.func;
    constructor = js::Value(ctx, JS_NewCFunction2(ctx, function.cfunc.generic, name, function.length,
                                                  JS_CFUNC_constructor, 0));
    if (constructor.isException() ||
        !defineRows(ctx, constructor.get(), rows, name, Place::Constructor) ||
        JS_SetConstructor(ctx, constructor.get(), prototype.get()) < 0)
      return JS_EXCEPTION;
  }
  JS_SetClassProto(ctx, runtime.classId(cls), prototype.release());
  return constructor.release();
}

JSValue defineHidden(Runtime& runtime, HostClass cls) {
  const JSValue prototype = JS_NewObjectProto(runtime.ctx(), JS_NULL);
  if (JS_IsException(prototype))
    return JS_EXCEPTION;
  JS_SetClassProto(runtime.ctx(), runtime.classId(cls), prototype);
  return JS_UNDEFINED;
}

js::Value wrap(Runtime& runtime, HostClass cls, NativeData* data, JSValueConst newTarget) {
  JSContext* ctx = runtime.ctx();
  if (!runtime.ensureClass(cls)) {
    data->finalize(JS_GetRuntime(ctx));
    return {ctx, JS_EXCEPTION};
  }
  js::Value object;
  if (JS_IsUndefined(newTarget) || runtime.isConstructor(cls, newTarget)) {
    object = js::Value(ctx, JS_NewObjectClass(ctx, static_cast<int>(runtime.classId(cls))));
  } else {
    const js::Value prototype = runtime.member(newTarget, Member::Prototype);
    if (!prototype.isException())
      object = js::Value(ctx, prototype.isObject()
                                  ? JS_NewObjectProtoClass(ctx, prototype.get(), runtime.classId(cls))
                                  : JS_NewObjectClass(ctx, static_cast<int>(runtime.classId(cls))));
    else
      object = js::Value(ctx, JS_EXCEPTION);
  }
  if (object.isException())
    data->finalize(JS_GetRuntime(ctx));
  else
    JS_SetOpaque(object.get(), data);
  return object;
}

}  // namespace bind
}  // namespace fairlead
