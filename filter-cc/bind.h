// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// From a row of sdk-types/host_api.def to a function the engine can call.
//
// An api_<stem>.cc defines one C++ function per row, named <class>_<member>, and then includes
// bind_rows.h, which turns the stem's rows into the table kRows. A row's kinds spell the signature of
// its C++ function, so a function that is missing, extra or of another shape does not compile:
//
//   HOST_FN(Headers, get, (ByteString), ByteStringOrNull, Any, 1)
//   Outcome<std::optional<std::string_view>> Headers_get(Call&, HeadersData&, std::string_view name)
//
// The trampoline around it checks the receiver and the phase, converts the arguments, catches every
// C++ exception (it is called by C code) and converts the result.
//
// Missing arguments are seen as undefined here, so `argv` is never read past `argc`, and the visible
// `length` is the number of required arguments, as the Web's standards have it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>

#include "filter-cc/errors.h"
#include "quickjs/engine.h"

namespace fairlead {

class Runtime;
class Stream;

/** Classes whose objects have C++ behind them; each has an engine class id per Runtime. */
enum class HostClass : uint8_t {
  Headers,
  Request,
  Response,
  Context,
  Attributes,
  Connection,
  Metadata,
  FilterState,
  Route,
  Cluster,
  RuntimeKeys,
  Secrets,
  Span,
  Chunk,
  PairIterator,
  URL,
  URLSearchParams,
  TextEncoder,
  TextDecoder,
  Counter,
  Gauge,
  Histogram,
  Crypto,
  SubtleCrypto,
  CryptoKey,
  URLPattern,
  Blob,
  File,
  FormData,
  BodyReader,
  BodySink,
  AsyncLocalStorage,
  Secret,
  Codec,
  Count,
};

/**
 * The C++ behind a script object. Finalizer and mark function come together with the class.
 * Owner: the script object, unless a subclass says otherwise in finalize().
 */
class NativeData {
public:
  virtual ~NativeData() = default;
  /** Tells the collector which values this object holds. Required of every class that holds some. */
  virtual void mark(JSRuntime*, JS_MarkFunc*) {}
  /**
   * The script object is gone, and its context perhaps too: values are given back to the engine
   * (JS_FreeValueRT).
   */
  virtual void finalize(JSRuntime*) { delete this; }
};

/** An exception is pending in the context. */
struct Thrown {};

/** What a host function gives back: a value, or Thrown. */
template <class T> struct Outcome {
  Outcome(T result) : value(std::move(result)) {}
  Outcome(Thrown) : thrown(true) {}
  T value{};
  bool thrown = false;
};
template <> struct Outcome<void> {
  Outcome() = default;
  Outcome(Thrown) : thrown(true) {}
  bool thrown = false;
};
/** Owner: the caller takes the value; JS_EXCEPTION means thrown. */
template <> struct Outcome<JSValue> {
  Outcome(JSValue result) : value(result) {}
  Outcome(js::Value result) : value(result.release()) {}
  Outcome(Thrown) : value(JS_EXCEPTION) {}
  JSValue value;
};

/** Where a call is legal: one bit per phase of host_api.def. */
namespace phase {
inline constexpr uint8_t Load = 1;
inline constexpr uint8_t RequestHeaders = 2;
inline constexpr uint8_t ResponseHeaders = 4;
inline constexpr uint8_t Log = 8;
inline constexpr uint8_t Job = 16;
inline constexpr uint8_t Hooks = RequestHeaders | ResponseHeaders | Log | Job;
inline constexpr uint8_t Always = Load | Hooks;
}  // namespace phase

/** One call of a host function. */
struct Call {
  JSContext* ctx;
  Runtime& runtime;
  /** `Class.member`, for messages. */
  const char* member;
  /** `this`, or `new.target` in a constructor. */
  JSValueConst receiver;

  /** Raises an error of host_errors.def; its {0} is the member. */
  Thrown fail(ErrorCode code, ErrorArgs rest = {}) const;
  /** Keeps a text alive until the next host call, so that a view of it can be returned. */
  std::string_view keep(std::string text) const;
  /** The stream whose code runs; null at load. */
  Stream* stream() const;
};

namespace bind {

/** The Runtime behind a context. */
Runtime& runtimeOf(JSContext* ctx);
/** C++ of `value` if it is a live object of that class, else null with an exception pending. */
NativeData* unwrap(const Call& call, JSValueConst value, HostClass cls, const char* className);
/** The same without an exception. */
NativeData* tryUnwrap(Runtime& runtime, JSValueConst value, HostClass cls);
/** Whether `value` is an object of that class whose stream has ended. */
bool isDead(Runtime& runtime, JSValueConst value, HostClass cls);
/** False with an exception pending when the present phase is not in `phases`. */
bool checkPhase(const Call& call, uint8_t phases);
/** Turns the C++ exception being handled into a script exception. */
JSValue throwCurrentException(JSContext* ctx, const char* member);
/** Throws E_ARGUMENT: argument `index` (from 0) must be `what`. */
void throwArgument(const Call& call, size_t index, const char* what);

// --- Kinds of arguments: Holder converts, then get() gives the C++ value ---
// Views are made in get(), after all conversions have run, for a conversion may run user code.

namespace kinds {

struct Any {
  using Type = JSValueConst;
  static constexpr bool kRequired = true;
  bool convert(const Call&, JSValueConst value, size_t) {
    value_ = value;
    return true;
  }
  Type get() const { return value_; }
  JSValueConst value_ = JS_UNDEFINED;
};

struct OptAny : Any {
  static constexpr bool kRequired = false;
};

struct Bool {
  using Type = bool;
  static constexpr bool kRequired = true;
  bool convert(const Call& call, JSValueConst value, size_t) {
    const int truth = JS_ToBool(call.ctx, value);
    value_ = truth > 0;
    return truth >= 0;
  }
  Type get() const { return value_; }
  bool value_ = false;
};

struct Number {
  using Type = double;
  static constexpr bool kRequired = true;
  bool convert(const Call& call, JSValueConst value, size_t) {
    return JS_ToFloat64(call.ctx, &value_, value) == 0;
  }
  Type get() const { return value_; }
  double value_ = 0;
};

/** A USVString, as UTF-8. */
struct String {
  using Type = std::string_view;
  static constexpr bool kRequired = true;
  bool convert(const Call& call, JSValueConst value, size_t) {
    text_.emplace(call.ctx, value);
    return static_cast<bool>(*text_);
  }
  Type get() const { return text_->view(); }
  std::optional<js::Utf8> text_;
};

/** A ByteString: one byte a code unit, TypeError above U+00FF. */
struct ByteString {
  using Type = std::string_view;
  static constexpr bool kRequired = true;
  bool convert(const Call& call, JSValueConst value, size_t index) {
    return bytes_.view(value) || convertOther(call, value, index);
  }
  bool convertOther(const Call& call, JSValueConst value, size_t index);
  Type get() const { return bytes_.get(); }
  js::ByteString bytes_;
};

/** A BufferSource: an ArrayBuffer, or a view of one. */
struct Bytes {
  using Type = std::span<const uint8_t>;
  static constexpr bool kRequired = true;
  bool convert(const Call& call, JSValueConst value, size_t index);
  Type get() const;
  JSValueConst value_ = JS_UNDEFINED;
};

struct Function {
  using Type = JSValueConst;
  static constexpr bool kRequired = true;
  bool convert(const Call& call, JSValueConst value, size_t index) {
    value_ = value;
    if (JS_IsFunction(call.ctx, value))
      return true;
    throwArgument(call, index, "a function");
    return false;
  }
  Type get() const { return value_; }
  JSValueConst value_ = JS_UNDEFINED;
};

struct Object {
  using Type = JSValueConst;
  static constexpr bool kRequired = true;
  bool convert(const Call& call, JSValueConst value, size_t index) {
    value_ = value;
    if (JS_IsObject(value))
      return true;
    throwArgument(call, index, "an object");
    return false;
  }
  Type get() const { return value_; }
  JSValueConst value_ = JS_UNDEFINED;
};

/** Undefined counts as not given. */
template <class Kind> struct Opt {
  using Type = std::optional<typename Kind::Type>;
  static constexpr bool kRequired = false;
  bool convert(const Call& call, JSValueConst value, size_t index) {
    given_ = !JS_IsUndefined(value);
    return !given_ || kind_.convert(call, value, index);
  }
  Type get() const { return given_ ? Type(kind_.get()) : std::nullopt; }
  Kind kind_;
  bool given_ = false;
};
using OptBool = Opt<Bool>;
using OptNumber = Opt<Number>;
using OptString = Opt<String>;
using OptByteString = Opt<ByteString>;
using OptBytes = Opt<Bytes>;
using OptFunction = Opt<Function>;
using OptObject = Opt<Object>;

/** All arguments from here on. */
struct RestAny {
  using Type = std::span<JSValueConst>;
  static constexpr bool kRequired = false;
  Type get() const { return values_; }
  std::span<JSValueConst> values_;
};

}  // namespace kinds

// --- Kinds of results ---

namespace results {

struct Void {
  using Type = void;
};
struct Value {
  using Type = JSValue;
  static JSValue convert(JSContext*, JSValue value) { return value; }
};
using Any = Value;
using Object = Value;
using Promise = Value;
using Iterator = Value;
struct Bool {
  using Type = bool;
  static JSValue convert(JSContext*, bool value) { return JS_NewBool(nullptr, value); }
};
struct Number {
  using Type = double;
  static JSValue convert(JSContext* ctx, double value) { return JS_NewNumber(ctx, value); }
};
struct String {
  using Type = std::string_view;
  static JSValue convert(JSContext* ctx, std::string_view value) {
    return JS_NewStringLen(ctx, value.data(), value.size());
  }
};
struct ByteString {
  using Type = std::string_view;
  static JSValue convert(JSContext* ctx, std::string_view value) {
    return js::newByteString(ctx, value).release();
  }
};
template <class Kind> struct OrNull {
  using Type = std::optional<typename Kind::Type>;
  static JSValue convert(JSContext* ctx, Type value) {
    return value ? Kind::convert(ctx, *value) : JS_NULL;
  }
};
using StringOrNull = OrNull<String>;
using ByteStringOrNull = OrNull<ByteString>;
template <class Kind> struct OrUndefined {
  using Type = std::optional<typename Kind::Type>;
  static JSValue convert(JSContext* ctx, Type value) {
    return value ? Kind::convert(ctx, *value) : JS_UNDEFINED;
  }
};
using StringOrUndefined = OrUndefined<String>;
using NumberOrUndefined = OrUndefined<Number>;

}  // namespace results

template <class... Kinds> struct Args {
  static constexpr size_t kRequired = (size_t{0} + ... + size_t{Kinds::kRequired});
};

template <class Return, class Self, class Arguments> struct Signature;
template <class Return, class Self, class... Kinds> struct Signature<Return, Self, Args<Kinds...>> {
  using Type = Outcome<typename Return::Type>(Call&, Self&, typename Kinds::Type...);
};
/** No receiver: functions of globalThis, of a namespace object, of a constructor. */
template <class Return, class... Kinds> struct Signature<Return, void, Args<Kinds...>> {
  using Type = Outcome<typename Return::Type>(Call&, typename Kinds::Type...);
};

template <class Kind>
bool convertAt(const Call& call, Kind& kind, int argc, JSValueConst* argv, size_t index) {
  if constexpr (std::is_same_v<Kind, kinds::RestAny>) {
    if (static_cast<size_t>(argc) > index)
      kind.values_ = {argv + index, argc - index};
    return true;
  } else {
    return kind.convert(call, index < static_cast<size_t>(argc) ? argv[index] : JS_UNDEFINED, index);
  }
}

template <class Return, class T> JSValue convertResult(JSContext* ctx, Outcome<T>&& outcome) {
  if constexpr (std::is_same_v<T, JSValue>) {
    return outcome.value;
  } else {
    if (outcome.thrown)
      return JS_EXCEPTION;
    if constexpr (std::is_void_v<T>)
      return JS_UNDEFINED;
    else
      return Return::convert(ctx, outcome.value);
  }
}

/** Converts the arguments and calls `target` (a C++ function with the receiver already bound). */
template <class Return, class... Kinds, class Target>
JSValue callWith(Call& call, int argc, JSValueConst* argv, Args<Kinds...>, Target&& target) {
  constexpr size_t required = Args<Kinds...>::kRequired;
  if (static_cast<size_t>(argc) < required) {
    call.fail(ErrorCode::E_MISSING_ARGUMENT, {std::to_string(argc + 1)});
    return JS_EXCEPTION;
  }
  std::tuple<Kinds...> holders;
  size_t index = 0;
  const bool converted = std::apply(
      [&](auto&... holder) { return (convertAt(call, holder, argc, argv, index++) && ...); },
      holders);
  if (!converted)
    return JS_EXCEPTION;
  return std::apply(
      [&](auto&... holder) {
        return convertResult<Return>(call.ctx, target(holder.get()...));
      },
      holders);
}

/** Runs `body`; no C++ exception leaves it. */
template <class Body> JSValue barrier(JSContext* ctx, const char* member, Body&& body) {
#if defined(__cpp_exceptions)
  try {
    return body();
  } catch (...) {
    return throwCurrentException(ctx, member);
  }
#else
  (void)ctx, (void)member;
  return body();
#endif
}

/** A row's name as a template argument. */
template <size_t N> struct Name {
  constexpr Name(const char (&text)[N]) {
    for (size_t i = 0; i < N; ++i)
      chars[i] = text[i];
  }
  char chars[N]{};
};

template <Name Member, class Return, class Self, class Arguments, uint8_t Phases,
          typename Signature<Return, Self, Arguments>::Type* Function>
JSValue method(JSContext* ctx, JSValueConst receiver, int argc, JSValueConst* argv) {
  return barrier(ctx, Member.chars, [&]() -> JSValue {
    Call call{ctx, runtimeOf(ctx), Member.chars, receiver};
    if constexpr (std::is_void_v<Self>) {
      if (Phases != phase::Always && !checkPhase(call, Phases))
        return JS_EXCEPTION;
      return callWith<Return>(call, argc, argv, Arguments{}, [&](auto... args) {
        return Function(call, args...);
      });
    } else {
      auto* self = static_cast<Self*>(unwrap(call, receiver, Self::kClass, Self::kName));
      if (self == nullptr || (Phases != phase::Always && !checkPhase(call, Phases)))
        return JS_EXCEPTION;
      return callWith<Return>(call, argc, argv, Arguments{}, [&](auto... args) {
        return Function(call, *self, args...);
      });
    }
  });
}

template <Name Member, class Return, class Self, uint8_t Phases,
          typename Signature<Return, Self, Args<>>::Type* Function>
JSValue getter(JSContext* ctx, JSValueConst receiver) {
  return method<Member, Return, Self, Args<>, Phases, Function>(ctx, receiver, 0, nullptr);
}

template <Name Member, class Kind, class Self, uint8_t Phases,
          typename Signature<results::Void, Self, Args<Kind>>::Type* Function>
JSValue setter(JSContext* ctx, JSValueConst receiver, JSValueConst value) {
  return method<Member, results::Void, Self, Args<Kind>, Phases, Function>(ctx, receiver, 1, &value);
}

template <Name Member, class Arguments, uint8_t Phases,
          typename Signature<results::Object, void, Arguments>::Type* Function>
JSValue constructor(JSContext* ctx, JSValueConst newTarget, int argc, JSValueConst* argv) {
  return barrier(ctx, Member.chars, [&]() -> JSValue {
    Call call{ctx, runtimeOf(ctx), Member.chars, newTarget};
    if (Phases != phase::Always && !checkPhase(call, Phases))
      return JS_EXCEPTION;
    return callWith<results::Object>(call, argc, argv, Arguments{}, [&](auto... args) {
      return Function(call, args...);
    });
  });
}

/** The constructor of a class that scripts cannot make objects of. */
template <Name Class> JSValue illegalConstructor(JSContext* ctx, JSValueConst, int, JSValueConst*) {
  return barrier(ctx, Class.chars, [&] {
    return throwError(ctx, ErrorCode::E_ILLEGAL_CONSTRUCTOR, {Class.chars});
  });
}

/** Where a row's property sits. */
enum class Place : uint8_t { Prototype, Constructor, Class };

/** One row, ready for the engine. Class rows name a class and its parent. */
struct Row {
  std::string_view cls;
  Place place;
  JSCFunctionListEntry entry;
};

constexpr uint8_t kMethodFlags = JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE | JS_PROP_ENUMERABLE;
constexpr uint8_t kAccessorFlags = JS_PROP_CONFIGURABLE | JS_PROP_ENUMERABLE;

constexpr JSCFunctionListEntry functionEntry(const char* name, size_t length, JSCFunction* function) {
  JSCFunctionListEntry entry{};
  entry.name = name;
  entry.prop_flags = kMethodFlags;
  entry.def_type = JS_DEF_CFUNC;
  entry.u.func = {static_cast<uint8_t>(length), JS_CFUNC_generic, {.generic = function}};
  return entry;
}

constexpr JSCFunctionListEntry constructorEntry(const char* name, size_t length,
                                                JSCFunction* function) {
  JSCFunctionListEntry entry = functionEntry(name, length, function);
  entry.u.func.cproto = JS_CFUNC_constructor;
  return entry;
}

constexpr JSCFunctionListEntry accessorEntry(const char* name, JSValue (*get)(JSContext*, JSValueConst),
                                             JSValue (*set)(JSContext*, JSValueConst, JSValueConst)) {
  JSCFunctionListEntry entry{};
  entry.name = name;
  entry.prop_flags = kAccessorFlags;
  entry.def_type = JS_DEF_CGETSET;
  entry.u.getset = {{.getter = get}, {.setter = set}};
  return entry;
}

constexpr JSCFunctionListEntry aliasEntry(const char* name, const char* of) {
  JSCFunctionListEntry entry{};
  entry.name = name;
  entry.prop_flags = JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE;
  entry.def_type = JS_DEF_ALIAS;
  entry.u.alias = {of, -1};
  return entry;
}

/** Gives `object` the rows of one class and place. False: out of memory, an exception is pending. */
bool defineRows(JSContext* ctx, JSValueConst object, std::span<const Row> rows, std::string_view cls,
                Place place);
/**
 * Makes a class from its rows: prototype (kept by the context), toStringTag, constructor.
 * Returns the constructor, or JS_UNDEFINED for a class without one; JS_EXCEPTION out of memory.
 */
JSValue defineClass(Runtime& runtime, HostClass cls, std::span<const Row> rows, const char* name);

/** Makes a class whose objects no script sees. Gives JS_UNDEFINED; JS_EXCEPTION out of memory. */
JSValue defineHidden(Runtime& runtime, HostClass cls);

/** Wraps `data` in an object of its class; `newTarget` chooses the prototype of a subclass. */
js::Value wrap(Runtime& runtime, HostClass cls, NativeData* data,
               JSValueConst newTarget = JS_UNDEFINED);

}  // namespace bind
}  // namespace fairlead
