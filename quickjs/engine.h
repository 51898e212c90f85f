// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The engine, wrapped: owners for its objects, limits, the one way in, the job drain, and
// exceptions as data. The only header that includes quickjs.h.
//
// Thread: a Runtime and everything made from it belong to one thread at a time. It may move to
// another thread between entries; Entry tells the engine which stack it is on.

#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "quickjs.h"

#include "quickjs/result.h"

namespace fairlead::js {

class Context;
class Entry;

/// Owns one engine value. Empty by default.
/// Requires: destroyed before its runtime.
class Value {
public:
  Value() = default;
  /// Owner: takes `value` over.
  Value(JSContext* ctx, JSValue value) : ctx_(ctx), value_(value) {}
  /// A second owner of a borrowed value.
  static Value dup(JSContext* ctx, JSValueConst value) { return {ctx, JS_DupValue(ctx, value)}; }

  Value(Value&& other) noexcept : ctx_(other.ctx_), value_(other.release()) {}
  Value& operator=(Value&& other) noexcept {
    if (this != &other) {
      reset();
      ctx_ = other.ctx_;
      value_ = other.release();
    }
    return *this;
  }
  Value(const Value&) = delete;
  Value& operator=(const Value&) = delete;
  ~Value() { reset(); }

  /// Valid until: this value is reset, released or destroyed.
  JSValueConst get() const { return value_; }
  JSContext* context() const { return ctx_; }
  Value dup() const { return ctx_ == nullptr ? Value() : dup(ctx_, value_); }

  /// Owner: the caller.
  [[nodiscard]] JSValue release() { return std::exchange(value_, JS_UNDEFINED); }
  void reset() {
    // An empty one may outlive its context.
    if (JS_VALUE_HAS_REF_COUNT(value_)) JS_FreeValue(ctx_, release());
    value_ = JS_UNDEFINED;
  }

  bool isException() const { return JS_IsException(value_); }
  bool isUndefined() const { return JS_IsUndefined(value_); }
  bool isNull() const { return JS_IsNull(value_); }
  bool isObject() const { return JS_IsObject(value_); }
  bool isString() const { return JS_IsString(value_); }
  bool isFunction() const { return ctx_ != nullptr && JS_IsFunction(ctx_, value_); }

private:
  JSContext* ctx_ = nullptr;
  JSValue value_ = JS_UNDEFINED;
};

/// Why script code ended early.
enum class Fault : uint8_t {
  None,
  /// It threw, or a promise was rejected. The runtime is fine.
  Throw,
  /// It recursed too deep and did not catch that. The runtime is fine.
  Stack,
  /// It was stopped for its time or its number of jobs. Retire the runtime.
  Cpu,
  /// An allocation was refused, caught or not. Free the runtime.
  Memory,
};

/// CPU time that one entry may use; the smaller of the two counts.
struct Budget {
  uint64_t cpuNs;
  uint64_t remainingStreamCpuNs;
};

/// An exception nobody handled: a promise rejection without a handler at the end of the turn, or a
/// throw out of a microtask.
struct Unhandled {
  /// Whose code it was.
  uint64_t owner;
  Error error;
};

/// One heap with its limits, job queue and collector. Several contexts may live in it.
class Runtime {
public:
  /// Null when there is no memory for it.
  static std::unique_ptr<Runtime> create();
  /// Requires: every Value and Context of it is gone.
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  static Runtime& from(JSRuntime* runtime) {
    return *static_cast<Runtime*>(JS_GetRuntimeOpaque(runtime));
  }
  static Runtime& from(JSContext* ctx) { return from(JS_GetRuntime(ctx)); }

  JSRuntime* raw() const { return runtime_; }

  /// Bytes the engine has allocated, ArrayBuffers included. Reads one counter.
  size_t heapBytes() const;
  /// Requires: the first context exists (a limit before it can leave a half-made context behind).
  void setMemoryLimit(size_t limitBytes);
  void setStackLimit(size_t limitBytes);
  /// Whether an allocation was refused. It stays so: free the runtime.
  bool outOfMemory() const { return *refused_; }
  /// Runs of the cycle collector that were noticed, at most one an entry.
  uint64_t collections() const { return collections_; }

  /// The embedder's own object. Owner: the embedder.
  void setOpaque(void* opaque) { opaque_ = opaque; }
  void* opaque() const { return opaque_; }

  /// The entry that is open; null outside.
  Entry* entry() const { return entry_; }

  /// Whose code runs now: the entry's owner, or the owner of the running job.
  uint64_t owner() const;
  /// Forgets all queued jobs of one owner; the promises they would have settled stay pending.
  void dropJobsOf(uint64_t owner);
  void dropAllJobs();
  bool hasJobs() const { return JS_IsJobPending(runtime_); }

  /// What was left unhandled since the last call, each once. Call after a drain.
  std::vector<Unhandled> takeUnhandled();
  bool hasUnhandled() const { return !rejections_.empty() || !uncaught_.empty(); }

private:
  friend class Context;
  friend class Entry;
  friend Error takeException(JSContext* ctx, Fault& fault);
  friend Error describeError(JSContext* ctx, JSValueConst value, Fault& fault);
  friend Error describeRejection(JSContext* ctx, JSValueConst promise, Fault& fault);

  struct Rejection {
    Value promise;
    uint64_t owner;
  };

  struct Blocks;

  Runtime(JSRuntime* runtime, std::unique_ptr<Blocks> blocks);

  static int onInterrupt(JSRuntime* runtime, void* opaque);
  static void onRejection(JSContext* ctx, JSValueConst promise, JSValueConst reason, bool handled,
                          void* opaque);
  static char* onNormalizeModule(JSContext* ctx, const char* base, const char* name, void* opaque);
  static JSModuleDef* onLoadModule(JSContext* ctx, const char* name, void* opaque,
                                   JSValueConst attributes);
  static int onImportAttributes(JSContext* ctx, void* opaque, JSValueConst attributes);
  static JSValue random(JSContext* ctx, JSValueConst, int, JSValueConst*);

  Fault limitMet() const;
  void armCollector();
  void addUncaught(JSContext* ctx);
  void forgetContext(JSContext* ctx);

  // All memory of the engine; what it has not freed itself goes last.
  std::unique_ptr<Blocks> blocks_;
  JSRuntime* runtime_;
  const bool* refused_;
  void* opaque_ = nullptr;
  Entry* entry_ = nullptr;
  size_t limitBytes_ = 0;
  size_t collectAtBytes_ = 0;
  uint64_t collections_ = 0;
  std::vector<Rejection> rejections_;
  std::vector<Unhandled> uncaught_;
  // Random bits in stock, so that Math.random costs no system call each time.
  std::array<uint64_t, 32> random_{};
  size_t randomLeft_ = 0;
};

/// Memory outside the heap that counts as if it were in it: what native objects of a script hold.
/// Requires: destroyed before its runtime.
class Charge {
public:
  explicit Charge(const Runtime& runtime) : runtime_(runtime.raw()) {}
  ~Charge();
  Charge(const Charge&) = delete;
  Charge& operator=(const Charge&) = delete;

  size_t bytes() const { return bytes_; }
  /// It is so much now. False: there is no room for that, and the runtime is out of memory for good.
  [[nodiscard]] bool set(size_t bytes);

private:
  JSRuntime* runtime_;
  size_t bytes_ = 0;
};

/// A native module that scripts may import. For a compiler `init` is null: only names are needed.
struct HostModule {
  std::string name;
  std::vector<std::string> exportNames;
  /// Gives the exports their values with JS_SetModuleExport; non-zero with an exception pending
  /// fails the load.
  JSModuleInitFunc* init = nullptr;
};

/// A global world inside a Runtime.
class Context {
public:
  enum class Kind : uint8_t {
    /// For scripts: no eval, no weak references, no shared memory, no ambient clock but Date; a
    /// Math.random that cannot be predicted.
    Filter,
    /// For compile() alone; never runs anything.
    Compiler,
  };

  /// Null when memory ran out or the system gives no random bytes. `modules` is all that scripts
  /// can import.
  static std::unique_ptr<Context> create(Runtime& runtime, Kind kind,
                                         std::vector<HostModule> modules = {});
  ~Context();
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  static Context& from(JSContext* ctx) { return *static_cast<Context*>(JS_GetContextOpaque(ctx)); }

  JSContext* raw() const { return ctx_; }
  Runtime& runtime() const { return runtime_; }

  /// The embedder's own object. Owner: the embedder.
  void setOpaque(void* opaque) { opaque_ = opaque; }
  void* opaque() const { return opaque_; }

  /// Compiles one module to engine bytecode, source stripped, positions kept.
  /// Requires: a Compiler context. Codes: E_SYNTAX, E_UNKNOWN_IMPORT, E_MEMORY_LIMIT.
  Result<std::vector<uint8_t>> compile(std::string_view source, const std::string& moduleName);

  /// Reads a module and runs its top level, microtasks included; gives its namespace object.
  /// Requires: a Filter context, no open Entry, bytecode that passed parseBytecode.
  /// Codes: E_BYTECODE, E_UNKNOWN_IMPORT, E_TOP_LEVEL_PENDING, E_CPU_LIMIT, E_MEMORY_LIMIT,
  /// E_STACK_LIMIT, E_THROWN, or the thrown error's own `code`.
  Result<Value> load(std::span<const uint8_t> bytecode, const Budget& budget);

  /// Reads and runs a module of the embedder's own whose top level awaits nothing, inside an open
  /// Entry or outside; gives its namespace object, or an exception value.
  /// Requires: a Filter context, bytecode made by this engine.
  Value loadOwn(std::span<const uint8_t> bytecode);

private:
  friend class Runtime;

  Context(Runtime& runtime, JSContext* ctx, std::vector<HostModule> modules)
      : runtime_(runtime), ctx_(ctx), modules_(std::move(modules)) {}

  const HostModule* findModule(std::string_view name) const;

  Runtime& runtime_;
  JSContext* ctx_;
  // True while imports are being resolved; at all other times an import is a dynamic one.
  bool linking_ = false;
  std::vector<HostModule> modules_;
  void* opaque_ = nullptr;
};

/// Compiles in a runtime of its own that is gone afterwards. Host modules need only their names.
Result<std::vector<uint8_t>> compile(std::string_view source, const std::string& moduleName,
                                     std::vector<HostModule> modules);

/// The one way in: everything that can run script code happens while an Entry is open. It does not
/// allocate and reads no clock until the engine has polled for the first time.
/// Entries do not nest; the inner one is refused (an assertion in test builds).
class Entry {
public:
  Entry(Runtime& runtime, const Budget& budget, uint64_t owner);
  ~Entry();
  Entry(const Entry&) = delete;
  Entry& operator=(const Entry&) = delete;

  /// Runs queued jobs, whoever owns them, until none is left or a limit is met. What jobs throw is
  /// kept for Runtime::takeUnhandled.
  Fault drain();

  /// None, Cpu or Memory; a fault stays for the rest of the entry, and no script runs after it.
  Fault fault() {
    if (fault_ == Fault::None && runtime_.outOfMemory()) stopForMemory();
    return fault_;
  }
  /// Whose code met the limit. Requires: fault() is not None.
  uint64_t faultOwner() const { return faultOwner_; }
  /// Where a fault stopped the script: file, line, column and stack; empty when that is not known.
  Error takeFaultPlace() { return faultPlace_ ? std::move(*faultPlace_) : Error{}; }
  /// What the caller learned of that place, from the exception of its own call.
  void setFaultPlace(Error place) { faultPlace_ = std::move(place); }
  /// For host functions that work long: looks at the limits as the engine does at loops and calls.
  /// False: they are met; the script is stopped when it runs on.
  bool mayGoOn() { return !onPoll(); }
  /// CPU time since the first poll; 0 when the entry was too short for one.
  uint64_t cpuUsedNs() const;

  /// Jobs that one entry may run.
  static constexpr uint32_t kMaxJobs = 100'000;

private:
  friend class Runtime;

  bool onPoll();
  void stop(Fault fault);
  void stopForMemory();

  Runtime& runtime_;
  const Budget budget_;
  const uint64_t owner_;
  uint64_t faultOwner_ = 0;
  std::optional<Error> faultPlace_;
  // Set at the first poll; 0 before.
  uint64_t cpuStartNs_ = 0;
  // When, by the monotonic clock, the CPU clock is worth asking again.
  uint64_t dueNs_ = 0;
  uint32_t jobs_ = 0;
  Fault fault_ = Fault::None;
  bool polled_ = false;
  const bool entered_;
};

// --- Exceptions ---

/// Takes the pending exception of `ctx` and describes it. Runs no user code: own and inherited data
/// properties are read, getters and proxies are not asked. Everything is bounded (message one line
/// and 2 KiB, stack 8 KiB). Code: the error's own `code` if it is a string that looks like one,
/// else E_THROWN, E_STACK_LIMIT, E_CPU_LIMIT or E_MEMORY_LIMIT.
Error takeException(JSContext* ctx, Fault& fault);

/// The same for a value that was caught or is the reason of a rejection.
Error describeError(JSContext* ctx, JSValueConst value, Fault& fault);

/// The same for a rejected promise; knows the place of the throw even if no Error was thrown.
Error describeRejection(JSContext* ctx, JSValueConst promise, Fault& fault);

/// An error for a fault without an exception: a script may have caught what it was thrown.
Error describeFault(Fault fault);

// --- Promises, without touching anything scripts can replace ---

/// A pending promise; settle it with settlePromise.
Value newPromise(JSContext* ctx);

/// Fulfils or rejects a pending promise with `value` as it is: no `then` of it is looked up.
/// Requires: a promise from newPromise, not yet settled (a settled one is left alone).
void settlePromise(JSContext* ctx, JSValueConst promise, JSValueConst value, bool reject);

/// Calls one of two functions when the promise settles, as a job of the present owner. Their
/// results and throws are dropped. The promise counts as handled. False: no memory. Requires:
/// isPromise(promise).
[[nodiscard]] bool promiseThen(JSContext* ctx, JSValueConst promise, JSValueConst onFulfilled,
                               JSValueConst onRejected);

/// A promise that follows `value` as `await` does: its `then` is looked up and called.
Value promiseOf(JSContext* ctx, JSValueConst value);

/// Queues a job of `owner`. Out of memory ends the entry, or the next one, with a fault.
void enqueueJob(JSContext* ctx, uint64_t owner, JSJobFunc* job, std::span<JSValueConst> arguments);

/// The asynchronous context of the code that runs: undefined, or what a scope has set. Jobs and
/// reactions of promises keep the one that they are made in. On loan.
JSValueConst asyncContext(JSContext* ctx);

/// Makes `context` the asynchronous one for as long as the scope lives.
class AsyncContextScope {
public:
  AsyncContextScope(JSContext* ctx, JSValueConst context);
  ~AsyncContextScope();
  AsyncContextScope(const AsyncContextScope&) = delete;
  AsyncContextScope& operator=(const AsyncContextScope&) = delete;

private:
  JSContext* const ctx_;
  const JSValue before_;
};

inline bool isPromise(JSValueConst value) { return JS_IsPromise(value); }
inline JSPromiseStateEnum promiseState(JSContext* ctx, JSValueConst promise) {
  return JS_PromiseState(ctx, promise);
}
/// The value or reason of a settled promise.
inline Value promiseResult(JSContext* ctx, JSValueConst promise) {
  return {ctx, JS_PromiseResult(ctx, promise)};
}
inline void markHandled(JSContext* ctx, JSValueConst promise) {
  JS_PromiseMarkAsHandled(ctx, promise);
}

// --- Text ---

/// A string whose code units are the bytes (U+0000-00FF): header values.
Value newByteString(JSContext* ctx, std::string_view bytes);

/// A string from UTF-8; each bad byte becomes U+FFFD.
inline Value newUtf8(JSContext* ctx, std::string_view text) {
  return {ctx, JS_NewStringLen(ctx, text.data(), text.size())};
}

/// The code units of a string as bytes. A view where the engine stores it that way, else a copy.
class ByteString {
public:
  /// False for what is no string, and for one that the engine stores in another way.
  [[nodiscard]] bool view(JSValueConst value);
  /// False when a code unit is above U+00FF. Requires: a string, which outlives this object.
  [[nodiscard]] bool read(JSContext* ctx, JSValueConst string);
  /// Valid until: this object goes.
  std::string_view get() const { return view_; }
  /// The string may go.
  void keep() {
    if (copy_ == nullptr) copy_ = std::make_unique<std::string>(view_);
    view_ = *copy_;
  }

private:
  std::string_view view_;
  std::unique_ptr<std::string> copy_;
};

/// A value as UTF-8, lone surrogates replaced by U+FFFD. Converting an object runs its toString.
class Utf8 {
public:
  Utf8(JSContext* ctx, JSValueConst value);
  ~Utf8();
  Utf8(const Utf8&) = delete;
  Utf8& operator=(const Utf8&) = delete;

  /// False: an exception is pending.
  explicit operator bool() const { return chars_ != nullptr; }
  /// Valid until: this object goes.
  std::string_view view() const { return view_; }

private:
  JSContext* ctx_;
  const char* chars_;
  std::string_view view_;
  // Holds the text when something had to be replaced.
  std::string mended_;
};

/// Parses JSON. Code: E_JSON with line and column in `text`; `name` stands for the file.
Result<Value> parseJson(JSContext* ctx, std::string_view text, const std::string& name);

// --- Iteration ---

/// What iterate() met.
enum class Iteration : uint8_t { Thrown, NotIterable, Done };

/// Visits what an iterable gives, by the language's iteration protocol. A visitor that returns
/// false leaves an exception pending and ends it.
Iteration iterate(JSContext* ctx, JSValueConst iterable,
                  const std::function<bool(JSValueConst item)>& visit);

/// What every iterator inherits from; scripts cannot replace it.
Value iteratorPrototype(JSContext* ctx);

// --- Classes ---

/// Gives a prototype its Symbol.toStringTag. (In a property list the engine would keep a pointer to
/// the entry.) False: an exception is pending.
[[nodiscard]] bool setTag(JSContext* ctx, JSValueConst prototype, const char* tag);

/// Whether an object of an embedder's class is held by the caller alone, and is as it was made but
/// for its opaque pointer and, where `extensible` is false, JS_PreventExtensions: it can serve anew.
[[nodiscard]] bool isAsMade(JSContext* ctx, JSValueConst object, bool extensible);

/// Keeps the shape of the last object that it was shown. A script makes the same literal again and
/// again, and the engine its shape each time, unless there is an object with it or somebody keeps it.
/// Requires: destroyed before its runtime.
class KeptShape {
public:
  KeptShape() = default;
  ~KeptShape();
  KeptShape(const KeptShape&) = delete;
  KeptShape& operator=(const KeptShape&) = delete;

  /// Shows it a value of any kind.
  void of(JSContext* ctx, JSValueConst value);

private:
  JSRuntime* runtime_ = nullptr;
  void* shape_ = nullptr;
};

// --- Buffers ---

/// What bytesOf() met. Lost: the buffer was detached, or the view does not lie in it any more.
enum class BytesState : uint8_t { NotBytes, Lost, Found };

/// Finds the memory of an ArrayBuffer or of a view of one (DataView too).
/// Valid until: script code runs.
[[nodiscard]] BytesState bytesOf(JSValueConst value, std::span<uint8_t>& bytes);

// --- structuredClone ---

/// Clones a value as HTML's structuredClone does, but breadth first: that shows only in the order in
/// which getters are called. `cloneHost` is asked about objects that the engine takes for ordinary ones,
/// or does not know: it gives the clone, null where there can be none, undefined where the object is not
/// the embedder's. An exception value: with `refused` null an exception is pending; else that cannot be
/// cloned.
Value structuredClone(JSContext* ctx, JSValueConst value, std::span<JSValueConst> transfer,
                      Value (*cloneHost)(JSContext* ctx, JSValueConst object), const char*& refused);

// --- Text ---

/// Appends a character as UTF-8. Inline: decoders call it for each character.
inline void appendUtf8(std::string& out, char32_t character) {
  const auto put = [&](char32_t byte) { out += static_cast<char>(byte); };
  if (character < 0x80) return put(character);
  if (character < 0x800) {
    put(0xC0 | character >> 6);
  } else {
    if (character < 0x10000) {
      put(0xE0 | character >> 12);
    } else {
      put(0xF0 | character >> 18);
      put(0x80 | (character >> 12 & 0x3F));
    }
    put(0x80 | (character >> 6 & 0x3F));
  }
  put(0x80 | (character & 0x3F));
}

// --- For logs and builtins ---

/// A function of the script that runs now. `function` is empty when it has no name; 1 is the first
/// line and column.
struct Caller {
  std::string function;
  std::string file;
  uint32_t line = 0;
  uint32_t column = 0;
};

/// How many of its arguments a function can see: those that it names, or INT_MAX where it has a rest
/// parameter, uses `arguments`, or is not a script's own.
int argumentsSeen(JSValueConst function);

/// Where a function of a script is defined; no file for other values.
Caller placeOf(JSContext* ctx, JSValueConst function);

/// The functions of scripts on the stack, the innermost first; those of the embedder's own modules
/// (`fairlead:…`) are left out, as from all stacks.
std::vector<Caller> callers(JSContext* ctx, size_t limit);

/// Appends a string as one line of UTF-8, control characters escaped, at most `maxBytes` of it;
/// gives the number of code units that found no room. Allocates nothing in the engine. Requires: a
/// string.
size_t appendPrintable(std::string& out, JSValueConst string, size_t maxBytes);

/// The engine's own functions, made anew, for modules that scripts must not be able to change by
/// replacing what is in their world: `{Reflect: {apply, …}, String: {slice, …}, …, toStringTag}`.
Value newIntrinsics(JSContext* ctx);

// --- Odds ---

/// Fills with unpredictable bytes; false when the system gives none.
[[nodiscard]] bool fillRandom(std::span<uint8_t> out);

} // namespace fairlead::js
