// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// https://webidl.spec.whatwg.org/#idl-iterable

#include "filter-cc/pair_iterator.h"

#include <memory>
#include <string>

#include "filter-cc/runtime.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

/** One running iteration. Owner: its script object. */
class PairIteratorData final : public NativeData {
public:
  PairIteratorData(JSContext* ctx, JSValueConst iterable, PairPart part, PairAt at)
      : engine_(JS_GetRuntime(ctx)), iterable_(JS_DupValue(ctx, iterable)), part_(part), at_(at) {}
  // The context may have gone before the last objects; the engine goes after them.
  ~PairIteratorData() override { JS_FreeValueRT(engine_, iterable_); }
  void mark(JSRuntime* runtime, JS_MarkFunc* markFunction) override {
    JS_MarkValue(runtime, iterable_, markFunction);
  }

  /** The engine's class of what is iterated: iterators of two classes are not interchangeable. */
  JSClassID iterableClass() const { return JS_GetClassID(iterable_); }

  /** The next key, value or pair; sets `done` when there is none. */
  JSValue step(JSContext* ctx, bool& done) {
    js::Value key;
    js::Value value;
    done = !at_(ctx, iterable_, index_, key, value);
    if (done)
      return JS_UNDEFINED;
    if (key.isException() || value.isException())
      return JS_EXCEPTION;
    ++index_;
    switch (part_) {
    case PairPart::Key:
      return key.release();
    case PairPart::Value:
      return value.release();
    case PairPart::Both:
      break;
    }
    JSValue both[] = {key.release(), value.release()};
    return JS_NewArrayFrom(ctx, 2, both);
  }

private:
  JSRuntime* engine_;
  JSValue iterable_;
  PairPart part_;
  PairAt at_;
  size_t index_ = 0;
};

JSValue throwForeignReceiver(JSContext* ctx, JSClassID iterableClass) {
  const JSAtom atom = JS_GetClassName(JS_GetRuntime(ctx), iterableClass);
  const char* chars = JS_AtomToCString(ctx, atom);
  JS_FreeAtom(ctx, atom);
  if (chars == nullptr)
    return JS_EXCEPTION;
  const std::string name = std::string(chars) + " Iterator";
  JS_FreeCString(ctx, chars);
  return throwError(ctx, ErrorCode::E_ILLEGAL_INVOCATION, {name + ".next", name});
}

/** `next` of every prototype; `iterableClass` says of which. */
JSValue iteratorNext(JSContext* ctx, JSValueConst receiver, int, JSValueConst*, int* done,
                     int iterableClass) {
  *done = 0;
  return bind::barrier(ctx, "next", [&]() -> JSValue {
    auto* data = static_cast<PairIteratorData*>(
        bind::tryUnwrap(Runtime::from(ctx), receiver, HostClass::PairIterator));
    const auto wanted = static_cast<JSClassID>(iterableClass);
    if (data == nullptr || data->iterableClass() != wanted)
      return throwForeignReceiver(ctx, wanted);
    bool over = false;
    const JSValue item = data->step(ctx, over);
    *done = over ? 1 : 0;
    return item;
  });
}

/** The prototype of the iterators over one class; made on first use. */
js::Value prototypeOf(Runtime& runtime, JSClassID iterableClass, const char* name) {
  JSContext* ctx = runtime.ctx();
  const js::Value prototypes(ctx, JS_GetClassProto(ctx, runtime.classId(HostClass::PairIterator)));
  js::Value prototype(ctx, JS_GetPropertyUint32(ctx, prototypes.get(), iterableClass));
  if (!prototype.isUndefined())
    return prototype;
  const js::Value parent = js::iteratorPrototype(ctx);
  prototype = js::Value(ctx, JS_NewObjectProto(ctx, parent.get()));
  JSCFunctionType next;
  next.iterator_next = iteratorNext;
  if (prototype.isException() ||
      JS_DefinePropertyValueStr(ctx, prototype.get(), "next",
                                JS_NewCFunction2(ctx, next.generic, "next", 0,
                                                 JS_CFUNC_iterator_next,
                                                 static_cast<int>(iterableClass)),
                                JS_PROP_C_W_E) < 0 ||
      !js::setTag(ctx, prototype.get(), name) ||
      JS_DefinePropertyValueUint32(ctx, prototypes.get(), iterableClass, prototype.dup().release(),
                                   JS_PROP_C_W_E) < 0)
    return {ctx, JS_EXCEPTION};
  return prototype;
}

}  // namespace

JSValue definePairIterator(Runtime& runtime) {
  // There is one class in the engine and a prototype for each class that is iterated, so what the
  // context keeps for the class is the collection of these, which no script can reach.
  const JSValue prototypes = JS_NewObjectProto(runtime.ctx(), JS_NULL);
  if (JS_IsException(prototypes))
    return JS_EXCEPTION;
  JS_SetClassProto(runtime.ctx(), runtime.classId(HostClass::PairIterator), prototypes);
  return JS_UNDEFINED;
}

js::Value newPairIterator(Runtime& runtime, JSValueConst iterable, PairPart part, PairAt at,
                          const char* name) {
  JSContext* ctx = runtime.ctx();
  if (!runtime.ensureClass(HostClass::PairIterator))
    return {ctx, JS_EXCEPTION};
  const js::Value prototype = prototypeOf(runtime, JS_GetClassID(iterable), name);
  if (prototype.isException())
    return {ctx, JS_EXCEPTION};
  auto data = std::make_unique<PairIteratorData>(ctx, iterable, part, at);
  js::Value iterator(ctx, JS_NewObjectProtoClass(ctx, prototype.get(),
                                                 runtime.classId(HostClass::PairIterator)));
  if (!iterator.isException())
    JS_SetOpaque(iterator.get(), data.release());
  return iterator;
}

bool forEachPair(JSContext* ctx, JSValueConst iterable, PairAt at, JSValueConst callback,
                 JSValueConst thisArg) {
  js::Value key;
  js::Value value;
  for (size_t index = 0; at(ctx, iterable, index, key, value); ++index) {
    if (key.isException() || value.isException())
      return false;
    JSValueConst arguments[] = {value.get(), key.get(), iterable};
    const js::Value result(ctx, JS_Call(ctx, callback, thisArg, 3, arguments));
    if (result.isException())
      return false;
  }
  return true;
}

}  // namespace fairlead
