// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/runtime.h"

#include <algorithm>
#include <cassert>
#include <exception>
#include <utility>

#include "filter-cc/host.h"
#include "filter-cc/retry.h"
#include "filter-cc/stream.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

constexpr uint64_t kNsPerMs = 1'000'000;
/** A Runtime that a script keeps overrunning is not made anew more often than this. */
constexpr uint64_t kMinRebuildNs = 1'000 * kNsPerMs;
/** Objects of a class that wait for the next stream. */
constexpr size_t kMaxSpare = 16;

// Bytecode of builtins/*.ts, made by the build.
namespace embedded {
#include "builtins.inc"
}  // namespace embedded

constexpr std::string_view kBuiltinNames[] = {"events", "console", "streams", "compression"};
static_assert(std::size(kBuiltinNames) == static_cast<size_t>(Builtin::Count));

constexpr const char* kMemberNames[] = {"body",      "details",  "headers", "keepalive", "method",
                                        "prototype", "redirect", "retry",   "signal",    "status",
                                        "statusText", "timeoutMs"};
static_assert(std::size(kMemberNames) == static_cast<size_t>(Member::Count));

/** A name of globalThis that is made when it is first read. */
struct LazyGlobal {
  const char* name;
  JSValue (*define)(Runtime&);
};

template <Builtin Module, bind::Name Export> JSValue fromBuiltin(Runtime& runtime) {
  JSValueConst exports = runtime.builtin(Module);
  return JS_IsException(exports) ? JS_EXCEPTION
                                 : JS_GetPropertyStr(runtime.ctx(), exports, Export.chars);
}

template <HostClass Class> JSValue constructorOf(Runtime& runtime) {
  JSContext* ctx = runtime.ctx();
  if (!runtime.ensureClass(Class))
    return JS_EXCEPTION;
  const js::Value prototype(ctx, JS_GetClassProto(ctx, runtime.classId(Class)));
  return JS_GetPropertyStr(ctx, prototype.get(), "constructor");
}

constexpr LazyGlobal kLazyGlobals[] = {
    {"AbortController", fromBuiltin<Builtin::Events, "AbortController">},
    {"AbortSignal", fromBuiltin<Builtin::Events, "AbortSignal">},
    {"AsyncLocalStorage", constructorOf<HostClass::AsyncLocalStorage>},
    {"Blob", constructorOf<HostClass::Blob>},
    {"CompressionStream", fromBuiltin<Builtin::Compression, "CompressionStream">},
    {"Crypto", constructorOf<HostClass::Crypto>},
    {"CryptoKey", constructorOf<HostClass::CryptoKey>},
    {"ByteLengthQueuingStrategy", fromBuiltin<Builtin::Streams, "ByteLengthQueuingStrategy">},
    {"CountQueuingStrategy", fromBuiltin<Builtin::Streams, "CountQueuingStrategy">},
    {"DecompressionStream", fromBuiltin<Builtin::Compression, "DecompressionStream">},
    {"Event", fromBuiltin<Builtin::Events, "Event">},
    {"EventTarget", fromBuiltin<Builtin::Events, "EventTarget">},
    {"File", constructorOf<HostClass::File>},
    {"FormData", constructorOf<HostClass::FormData>},
    {"Headers", constructorOf<HostClass::Headers>},
    {"ReadableByteStreamController", fromBuiltin<Builtin::Streams, "ReadableByteStreamController">},
    {"ReadableStream", fromBuiltin<Builtin::Streams, "ReadableStream">},
    {"ReadableStreamBYOBReader", fromBuiltin<Builtin::Streams, "ReadableStreamBYOBReader">},
    {"ReadableStreamBYOBRequest", fromBuiltin<Builtin::Streams, "ReadableStreamBYOBRequest">},
    {"ReadableStreamDefaultController",
     fromBuiltin<Builtin::Streams, "ReadableStreamDefaultController">},
    {"ReadableStreamDefaultReader", fromBuiltin<Builtin::Streams, "ReadableStreamDefaultReader">},
    {"Request", constructorOf<HostClass::Request>},
    {"Response", constructorOf<HostClass::Response>},
    {"SubtleCrypto", constructorOf<HostClass::SubtleCrypto>},
    {"TextDecoder", constructorOf<HostClass::TextDecoder>},
    {"TextDecoderStream", fromBuiltin<Builtin::Streams, "TextDecoderStream">},
    {"TextEncoder", constructorOf<HostClass::TextEncoder>},
    {"TextEncoderStream", fromBuiltin<Builtin::Streams, "TextEncoderStream">},
    {"TransformStream", fromBuiltin<Builtin::Streams, "TransformStream">},
    {"TransformStreamDefaultController",
     fromBuiltin<Builtin::Streams, "TransformStreamDefaultController">},
    {"URL", constructorOf<HostClass::URL>},
    {"URLPattern", constructorOf<HostClass::URLPattern>},
    {"URLSearchParams", constructorOf<HostClass::URLSearchParams>},
    {"WritableStream", fromBuiltin<Builtin::Streams, "WritableStream">},
    {"WritableStreamDefaultController",
     fromBuiltin<Builtin::Streams, "WritableStreamDefaultController">},
    {"WritableStreamDefaultWriter", fromBuiltin<Builtin::Streams, "WritableStreamDefaultWriter">},
    {"console", defineConsole},
    {"crypto", newCrypto},
    {"navigator", defineNavigator},
    {"performance", definePerformance},
    {"self", defineSelf},
};

/** In the order of HostClass. */
struct ClassRow {
  const char* name;
  JSValue (*define)(Runtime&);
  const JSClassExoticMethods* methods = nullptr;
};
constexpr ClassRow kClasses[] = {
    {"Headers", defineHeaders},
    {"Request", defineRequest},
    {"Response", defineResponse},
    {"Context", defineContext},
    {"Attributes", defineAttributes, &kAttributesMethods},
    {"Connection", defineConnection},
    {"Metadata", defineMetadata},
    {"FilterState", defineFilterState},
    {"Route", defineRoute},
    {"Cluster", defineCluster},
    {"RuntimeKeys", defineRuntimeKeys},
    {"Secrets", defineSecrets},
    {"Span", defineSpan},
    {"Chunk", defineChunk},
    {"Iterator", definePairIterator},
    {"URL", defineURL},
    {"URLSearchParams", defineURLSearchParams},
    {"TextEncoder", defineTextEncoder},
    {"TextDecoder", defineTextDecoder},
    {"Counter", defineCounter},
    {"Gauge", defineGauge},
    {"Histogram", defineHistogram},
    {"Crypto", defineCrypto},
    {"SubtleCrypto", defineSubtleCrypto},
    {"CryptoKey", defineCryptoKey},
    {"URLPattern", defineURLPattern},
    {"Blob", defineBlob},
    {"File", defineFile},
    {"FormData", defineFormData},
    {"BodyReader", defineBodyReader},
    {"BodySink", defineBodySink},
    {"AsyncLocalStorage", defineAsyncLocalStorage},
    {"Secret", defineSecret},
    {"Codec", defineCodec},
};
static_assert(std::size(kClasses) == static_cast<size_t>(HostClass::Count));

/** The stream's own objects are for the script to read: what it wants to keep goes into its state. */
constexpr bool isClosed(HostClass cls) {
  return cls >= HostClass::Context && cls <= HostClass::Span;
}

void finalizeNative(JSRuntime* engine, JSValueConst value) {
  JSClassID id;
  if (auto* data = static_cast<NativeData*>(JS_GetAnyOpaque(value, &id)))
    data->finalize(engine);
}

void markNative(JSRuntime* runtime, JSValueConst value, JS_MarkFunc* mark) {
  JSClassID id;
  if (auto* data = static_cast<NativeData*>(JS_GetAnyOpaque(value, &id)))
    data->mark(runtime, mark);
}

JSValue readLazyGlobal(JSContext* ctx, JSValueConst global, int magic) {
  const LazyGlobal& lazy = kLazyGlobals[magic];
  return bind::barrier(ctx, lazy.name, [&]() -> JSValue {
    js::Value value(ctx, lazy.define(Runtime::from(ctx)));
    if (value.isException() ||
        JS_DefinePropertyValueStr(ctx, global, lazy.name, value.dup().release(),
                                  JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE) < 0)
      return JS_EXCEPTION;
    return value.release();
  });
}

JSValue writeLazyGlobal(JSContext* ctx, JSValueConst global, JSValueConst value, int magic) {
  if (JS_DefinePropertyValueStr(ctx, global, kLazyGlobals[magic].name, JS_DupValue(ctx, value),
                                JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE) < 0)
    return JS_EXCEPTION;
  return JS_UNDEFINED;
}

std::vector<std::string> nativeExports() {
  return {nativeNames().begin(), nativeNames().end()};
}

/**
 * Gives a native module the `names` that `define` puts on an object. The engine calls it: no
 * exception may pass.
 */
template <class Define, class Names>
int initModule(JSContext* ctx, JSModuleDef* module, const Define& define, const Names& names) {
  const auto init = [&]() -> JSValue {
    const js::Value exports(ctx, JS_NewObject(ctx));
    if (exports.isException() || !define(Runtime::from(ctx), exports.get()))
      return JS_EXCEPTION;
    for (const std::string& name : names()) {
      js::Value value(ctx, JS_GetPropertyStr(ctx, exports.get(), name.c_str()));
      if (value.isException() ||
          JS_SetModuleExport(ctx, module, name.c_str(), value.release()) < 0)
        return JS_EXCEPTION;
    }
    return JS_UNDEFINED;
  };
  return JS_IsException(bind::barrier(ctx, "import", init)) ? -1 : 0;
}

bool defineFairlead(Runtime& runtime, JSValueConst exports) {
  return defineStreamExports(runtime, exports) && defineTimerExports(runtime, exports) &&
         defineOnceExports(runtime, exports) && defineSharedExports(runtime, exports) &&
         defineMetricExports(runtime, exports) && defineJobExports(runtime, exports);
}

int initFairlead(JSContext* ctx, JSModuleDef* module) {
  return initModule(ctx, module, defineFairlead,
                    [] { return importableModules().front().exportNames; });
}

int initNative(JSContext* ctx, JSModuleDef* module) {
  if (!Runtime::from(ctx).loadingBuiltin()) {
    JS_ThrowReferenceError(ctx, "could not load module 'fairlead:native'");
    return -1;
  }
  return initModule(ctx, module, defineNativeExports, nativeExports);
}

/** What this context can import: "fairlead", and for builtins the natives. */
std::vector<js::HostModule> importable() {
  std::vector<js::HostModule> modules = importableModules();
  modules.front().init = initFairlead;
  modules.push_back({"fairlead:native", nativeExports(), initNative});
  return modules;
}

Error noMemory(const Script& script) {
  return makeError(ErrorCode::E_MEMORY_LIMIT, {std::to_string(script.limits().memoryMb)});
}

bool isAbort(const Error& error) {
  return error.code == errorName(ErrorCode::E_ABORTED) || error.message.starts_with("AbortError");
}

/** `error`, at the place of another one. */
Error placed(Error error, const Error& place) {
  error.file = place.file;
  error.line = place.line;
  error.column = place.column;
  error.stack = place.stack;
  return error;
}

/** Where a function stands in the source. */
void placeOf(JSContext* ctx, JSValueConst function, Error& error) {
  const js::Caller place = js::placeOf(ctx, function);
  error.file = place.file;
  error.line = place.line;
  error.column = place.column;
}

/** Whether an object inherits from Object.prototype or from nothing: an instance hides its hooks. */
bool isPlainObject(JSContext* ctx, JSValueConst value) {
  if (!JS_IsObject(value) || JS_IsFunction(ctx, value) || JS_IsArray(value))
    return false;
  const js::Value plain(ctx, JS_NewObject(ctx));
  const js::Value expected(ctx, JS_GetPrototype(ctx, plain.get()));
  const js::Value prototype(ctx, JS_GetPrototype(ctx, value));
  return prototype.isNull() || JS_IsStrictEqual(ctx, prototype.get(), expected.get());
}

/** Puts a JSON merge patch (RFC 7396) into an object: objects member by member, null deletes, the rest replaces. */
bool mergePatch(JSContext* ctx, JSValueConst target, JSValueConst patch) {
  struct Pair {
    js::Value target;
    js::Value patch;
  };
  std::vector<Pair> open;
  open.push_back({js::Value::dup(ctx, target), js::Value::dup(ctx, patch)});
  const auto isMap = [](const js::Value& value) { return value.isObject() && !JS_IsArray(value.get()); };
  while (!open.empty()) {
    const Pair pair = std::move(open.back());
    open.pop_back();
    JSPropertyEnum* names = nullptr;
    uint32_t count = 0;
    if (JS_GetOwnPropertyNames(ctx, &names, &count, pair.patch.get(), JS_GPN_STRING_MASK) < 0)
      return false;
    bool ok = true;
    for (uint32_t i = 0; ok && i < count; ++i) {
      js::Value value(ctx, JS_GetProperty(ctx, pair.patch.get(), names[i].atom));
      ok = !value.isException();
      if (ok && JS_IsNull(value.get())) {
        ok = JS_DeleteProperty(ctx, pair.target.get(), names[i].atom, 0) >= 0;
        continue;
      }
      if (ok && isMap(value)) {
        // Not an inherited one.
        const int has = JS_GetOwnProperty(ctx, nullptr, pair.target.get(), names[i].atom);
        js::Value old = has > 0 ? js::Value(ctx, JS_GetProperty(ctx, pair.target.get(), names[i].atom)) : js::Value();
        const bool merges = isMap(old);
        js::Value merged = merges ? std::move(old) : js::Value(ctx, JS_NewObject(ctx));
        ok = has >= 0 && !merged.isException();
        if (ok)
          open.push_back({js::Value::dup(ctx, merged.get()), std::move(value)});
        if (merges)
          continue;
        value = std::move(merged);
      }
      ok = ok && JS_DefinePropertyValue(ctx, pair.target.get(), names[i].atom, value.release(), JS_PROP_C_W_E) >= 0;
    }
    JS_FreePropertyEnum(ctx, names, count);
    if (!ok)
      return false;
  }
  return true;
}

/** Freezes a JSON value and all that it holds. */
bool deepFreeze(JSContext* ctx, JSValueConst root) {
  std::vector<js::Value> open;
  open.push_back(js::Value::dup(ctx, root));
  while (!open.empty()) {
    const js::Value value = std::move(open.back());
    open.pop_back();
    JSPropertyEnum* names = nullptr;
    uint32_t count = 0;
    if (JS_GetOwnPropertyNames(ctx, &names, &count, value.get(), JS_GPN_STRING_MASK) < 0)
      return false;
    bool ok = true;
    for (uint32_t i = 0; ok && i < count; ++i) {
      js::Value member(ctx, JS_GetProperty(ctx, value.get(), names[i].atom));
      ok = !member.isException();
      if (member.isObject())
        open.push_back(std::move(member));
    }
    JS_FreePropertyEnum(ctx, names, count);
    if (!ok || JS_FreezeObject(ctx, value.get()) < 0)
      return false;
  }
  return true;
}

}  // namespace

// --- Making one ---

Result<std::unique_ptr<Runtime>> Runtime::create(const Script& script) {
  std::unique_ptr<Runtime> runtime(new Runtime(script));
  Result<void> made = runtime->initialize();
  endLoadConsole(*runtime);
  if (!made)
    return std::move(made).error();
  return runtime;
}

Runtime::~Runtime() {
  // Without an engine there are none.
  for (const JSAtom atom : atoms_) {
    if (atom != JS_ATOM_NULL)
      JS_FreeAtomRT(engine_->raw(), atom);
  }
}

js::Budget Runtime::loadBudget() const {
  const uint64_t ns = script_.limits().loadMs * kNsPerMs;
  return {ns, ns};
}

Result<void> Runtime::initialize() {
  engine_ = js::Runtime::create();
  if (engine_ == nullptr)
    return noMemory(script_);
  context_ = js::Context::create(*engine_, js::Context::Kind::Filter, importable());
  if (context_ == nullptr)
    return noMemory(script_);
  context_->setOpaque(this);
  engine_->setMemoryLimit(size_t{script_.limits().memoryMb} * 1024 * 1024);
  engine_->setStackLimit(size_t{script_.limits().stackKb} * 1024);
  for (size_t i = 0; i < atoms_.size(); ++i)
    atoms_[i] = JS_NewAtom(ctx(), kMemberNames[i]);
  if (!defineClasses() || !defineGlobals())
    return noMemory(script_);
  Result<js::Value> loaded = context_->load(script_.bytecode(), loadBudget());
  if (!loaded) {
    Error error = std::move(loaded).error();
    if (error.code == "E_CPU_LIMIT")
      error = makeError(ErrorCode::E_LOAD_LIMIT,
                        {"the top level", "load_ms (" + std::to_string(script_.limits().loadMs) +
                                              " ms)"});
    else if (error.code == "E_MEMORY_LIMIT")
      error = noMemory(script_);
    return error;
  }
  declaring_ = false;
  // On every thread the same, for ids go by the order.
  if (script_.isLoaded() && metrics_ != script_.metrics())
    return makeError(ErrorCode::E_METRIC_CHANGED, {});
  js::Entry entry(*engine_, loadBudget(), 0);
  return readFilter(loaded->get());
}

bool Runtime::defineClasses() {
  for (size_t i = 0; i < std::size(kClasses); ++i) {
    JS_NewClassID(engine_->raw(), &classIds_[i]);
    JSClassDef definition{};
    definition.class_name = kClasses[i].name;
    definition.finalizer = finalizeNative;
    definition.gc_mark = markNative;
    // The engine does not write to it.
    definition.exotic = const_cast<JSClassExoticMethods*>(kClasses[i].methods);
    if (JS_NewClass(engine_->raw(), classIds_[i], &definition) < 0)
      return false;
  }
  return true;
}

bool Runtime::defineGlobals() {
  const js::Value global(ctx(), JS_GetGlobalObject(ctx()));
  for (size_t i = 0; i < std::size(kLazyGlobals); ++i) {
    JSCFunctionListEntry entry{};
    entry.name = kLazyGlobals[i].name;
    entry.prop_flags = JS_PROP_CONFIGURABLE;
    entry.def_type = JS_DEF_CGETSET_MAGIC;
    entry.magic = static_cast<int16_t>(i);
    entry.u.getset = {{.getter_magic = readLazyGlobal}, {.setter_magic = writeLazyGlobal}};
    // The engine keeps no pointer to the entry of an accessor.
    if (JS_SetPropertyFunctionList(ctx(), global.get(), &entry, 1) < 0)
      return false;
  }
  return defineFetchGlobals(*this, global.get()) && defineTimerGlobals(*this, global.get()) &&
         defineScopeGlobals(*this, global.get()) && defineCloneGlobals(*this, global.get());
}

Result<void> Runtime::readFilter(JSValueConst moduleNamespace) {
  JSContext* ctx = this->ctx();
  js::Fault fault;
  filter_ = js::Value(ctx, JS_GetPropertyStr(ctx, moduleNamespace, "default"));
  if (filter_.isException())
    return js::takeException(ctx, fault);
  if (filter_.isUndefined())
    return makeError(ErrorCode::E_SCRIPT_EXPORT,
                     {"there is no default export; write `export default defineFilter({ … })`"});
  if (!isPlainObject(ctx, filter_.get()))
    return makeError(ErrorCode::E_SCRIPT_EXPORT,
                     {"the default export is not a plain object with hooks; write "
                      "`export default defineFilter({ … })`"});
  JSPropertyEnum* names = nullptr;
  uint32_t count = 0;
  if (JS_GetOwnPropertyNames(ctx, &names, &count, filter_.get(),
                             JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY) < 0)
    return js::takeException(ctx, fault);
  Result<void> result;
  for (uint32_t i = 0; result.ok() && i < count; ++i) {
    const char* chars = JS_AtomToCString(ctx, names[i].atom);
    const std::string name = chars == nullptr ? "" : chars;
    JS_FreeCString(ctx, chars);
    js::Value value(ctx, JS_GetProperty(ctx, filter_.get(), names[i].atom));
    if (value.isException()) {
      result = js::takeException(ctx, fault);
      break;
    }
    size_t hook = 0;
    std::string known;
    constexpr auto kHooks = static_cast<size_t>(Hook::Count);
    for (; hook < kHooks && hookName(static_cast<Hook>(hook)) != name; ++hook)
      known.append(known.empty() ? "" : ", ").append(hookName(static_cast<Hook>(hook)));
    if (hook == kHooks) {
      Error error = makeError(ErrorCode::E_SCRIPT_HOOK,
                              {"unknown hook " + name + "; known are " + known});
      placeOf(ctx, value.get(), error);
      result = std::move(error);
    } else if (!value.isFunction()) {
      result = makeError(ErrorCode::E_SCRIPT_HOOK, {name + " is not a function"});
    } else {
      placeOf(ctx, value.get(), hookPlaces_[hook]);
      argumentsSeen_[hook] = js::argumentsSeen(value.get());
      hooks_[hook] = std::move(value);
    }
  }
  JS_FreePropertyEnum(ctx, names, count);
  return result;
}

void Runtime::placeAtHook(Hook hook, Error& error) const {
  if (error.file.empty())
    error = placed(std::move(error), hookPlaces_[static_cast<size_t>(hook)]);
}

void Runtime::selectJob(size_t index) {
  constexpr auto kEvery = static_cast<size_t>(Hook::Every);
  const bool known = index < jobs_.size();
  hooks_[kEvery] = known ? js::Value::dup(ctx(), jobs_[index].function.get()) : js::Value();
  hookPlaces_[kEvery] = known ? jobs_[index].place : Error{};
  argumentsSeen_[kEvery] = 1;
}

uint8_t Runtime::hookMask() const {
  uint8_t mask = 0;
  for (size_t i = 0; i < static_cast<size_t>(Hook::Count); ++i)
    mask |= static_cast<uint8_t>(!hooks_[i].isUndefined()) << i;
  return mask;
}

Result<const Runtime::Settings*> Runtime::settings(const Config& config) {
  // JSON text has no NUL.
  const bool isPatched = !config.configPatch.empty();
  const std::string patched = isPatched ? config.configJson + '\0' + config.configPatch : "";
  const std::string& key = isPatched ? patched : config.configJson;
  const auto known = settings_.find(key);
  if (known != settings_.end())
    return &known->second;
  JSContext* ctx = this->ctx();
  Result<js::Value> parsed = js::parseJson(ctx, config.configJson, "config");
  if (!parsed)
    return std::move(parsed).error();
  Settings made;
  made.config = std::move(*parsed);
  js::Fault fault = js::Fault::None;
  {
    js::Entry entry(*engine_, loadBudget(), 0);
    if (isPatched) {
      Result<js::Value> patch = js::parseJson(ctx, config.configPatch, "config");
      if (!patch)
        return std::move(patch).error();
      if (!mergePatch(ctx, made.config.get(), patch->get()))
        return js::takeException(ctx, fault);
    }
    if (!deepFreeze(ctx, made.config.get()))
      return js::takeException(ctx, fault);
    if (JS_IsFunction(ctx, hook(Hook::Configure))) {
      js::Value env(ctx, JS_NewObject(ctx));
      js::Value filterName = js::newUtf8(ctx, script_.filterName());
      js::Value version(ctx, JS_NewString(ctx, FAIRLEAD_VERSION));
      if (env.isException() ||
          JS_SetPropertyStr(ctx, env.get(), "filterName", filterName.release()) < 0 ||
          JS_SetPropertyStr(ctx, env.get(), "version", version.release()) < 0 ||
          JS_SetPropertyStr(ctx, env.get(), "validating",
                            JS_NewBool(ctx, script_.validating())) < 0 ||
          JS_FreezeObject(ctx, env.get()) < 0)
        return js::takeException(ctx, fault);
      JSValueConst arguments[] = {made.config.get(), env.get()};
      made.settings =
          js::Value(ctx, JS_Call(ctx, hook(Hook::Configure), filter(), 2, arguments));
      std::optional<Error> failure;
      if (made.settings.isException()) {
        failure = js::takeException(ctx, fault);
      } else {
        entry.drain();
        if (js::isPromise(made.settings.get())) {
          const JSPromiseStateEnum state = js::promiseState(ctx, made.settings.get());
          if (state == JS_PROMISE_REJECTED) {
            js::markHandled(ctx, made.settings.get());
            failure = js::describeRejection(ctx, made.settings.get(), fault);
          } else if (state == JS_PROMISE_PENDING) {
            failure = makeError(ErrorCode::E_TOP_LEVEL_PENDING, {"configure()"});
            placeAtHook(Hook::Configure, *failure);
          } else {
            made.settings = js::promiseResult(ctx, made.settings.get());
          }
        }
      }
      if (entry.fault() == js::Fault::Cpu) {
        failure = makeError(ErrorCode::E_LOAD_LIMIT,
                            {"configure()",
                             "load_ms (" + std::to_string(script_.limits().loadMs) + " ms)"});
        placeAtHook(Hook::Configure, *failure);
      } else if (entry.fault() == js::Fault::Memory) {
        failure = noMemory(script_);
      } else if (failure && failure->code == "E_THROWN") {
        failure->code = errorName(ErrorCode::E_CONFIGURE_THROW);
        failure->message = errorMessage(ErrorCode::E_CONFIGURE_THROW, {failure->message});
      }
      endLoadConsole(*this);
      if (failure)
        return std::move(*failure);
    }
  }
  return &settings_.emplace(key, std::move(made)).first->second;
}

Result<const Runtime::Settings*> Runtime::settings(const FilterConfig& config) {
  if (config.id == lastConfigId_)
    return lastSettings_;
  Result<const Settings*> found = settings(config.config);
  if (found) {
    lastConfigId_ = config.id;
    lastSettings_ = *found;
  }
  return found;
}

// --- Workers ---

Result<Runtime*> Runtime::enter(Script& script, uint32_t workerIndex) {
  WorkerSlot& slot = script.slot(workerIndex);
  if (slot.active == nullptr) {
    slot.taken.store(slot.taken.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    Runtime* runtime = slot.parked.exchange(nullptr, std::memory_order_acquire);
    if (runtime == nullptr) {
      Result<std::unique_ptr<Runtime>> made = create(script);
      if (!made)
        return std::move(made).error();
      runtime = made->release();
      runtime->slot_ = &slot;
      slot.used.store(true, std::memory_order_relaxed);
      host::eachSecond(Script::freeIdle);
    }
    slot.active = runtime;
  }
  ++slot.active->streams_;
  return slot.active;
}

void Runtime::park(Script& script, uint32_t workerIndex, const Config& config) {
  Result<std::unique_ptr<Runtime>> made = create(script);
  if (!made || !(*made)->settings(config))
    return;  // the worker will meet the same, and say so
  WorkerSlot& slot = script.slot(workerIndex);
  (*made)->slot_ = &slot;
  slot.used.store(true, std::memory_order_relaxed);
  delete slot.parked.exchange(made->release(), std::memory_order_release);
}

void Runtime::leave(Runtime* runtime) {
  if (--runtime->streams_ != 0)
    return;
  if (runtime->retired_) {
    delete runtime;
    return;
  }
  WorkerSlot& slot = *runtime->slot_;
  const Script& script = runtime->script_;
  slot.active = nullptr;
  delete slot.parked.exchange(runtime, std::memory_order_acq_rel);
  // Looked at afterwards: who supersedes it looks at what is parked afterwards too.
  if (script.isSuperseded())
    delete slot.parked.exchange(nullptr, std::memory_order_acquire);
}

void Runtime::retire() {
  if (retired_)
    return;
  retired_ = true;
  if (slot_->active == this)
    slot_->active = nullptr;
}

// --- Streams ---

uint64_t Runtime::idOf(const Stream& stream) { return stream.id(); }

uint64_t Runtime::addStream(Stream& stream) {
  if (freePlaces_.empty()) {
    // With room for all: giving a place back must not fail.
    freePlaces_.reserve(places_.size() + 1);
    places_.emplace_back();
    freePlaces_.push_back(static_cast<uint32_t>(places_.size() - 1));
  }
  const uint32_t index = freePlaces_.back();
  freePlaces_.pop_back();
  places_[index].stream = &stream;
  return uint64_t{++places_[index].generation} << 32 | index;
}

void Runtime::removeStream(uint64_t id) {
  const auto index = static_cast<uint32_t>(id);
  places_[index].stream = nullptr;
  freePlaces_.push_back(index);
}

Stream* Runtime::findStream(uint64_t id) const {
  const auto index = static_cast<uint32_t>(id);
  return index < places_.size() && places_[index].generation == id >> 32 ? places_[index].stream
                                                                        : nullptr;
}

void Runtime::recordAction(Stream& stream) {
  if (stream.queuedToAct)
    return;
  toAct_.push_back(&stream);
  stream.queuedToAct = true;
  stream.ref();
}

void Runtime::finish(js::Entry& entry, Stream* stream) {
  const uint64_t cpuNs = entry.cpuUsedNs();
  cpuNs_ += cpuNs;
  if (stream != nullptr)
    stream->addCpu(cpuNs);
  if (entry.fault() != js::Fault::None) {
    fault_ = entry.fault();
    faultOwner_ = entry.faultOwner();
    faultPlace_ = entry.takeFaultPlace();
  }
  if (!engine_->hasUnhandled())
    return;
  for (js::Unhandled& unhandled : engine_->takeUnhandled()) {
    Stream* owner = findStream(unhandled.owner);
    // The end of a stream rejects what it leaves behind; nobody has to handle that.
    if (owner != nullptr && owner->ended() && isAbort(unhandled.error))
      continue;
    if (owner != nullptr)
      owner->count(ScriptMetric::Errors, 1, causeName(Cause::Throw));
    if (owner != nullptr && !owner->countLogLine())
      continue;
    countRepeats(unhandled.error);
    script_.mapPositions(unhandled.error);
    unhandled.error.message =
        errorMessage(ErrorCode::E_UNHANDLED_REJECTION,
                     {unhandled.error.code + ": " + unhandled.error.message});
    unhandled.error.code = errorName(ErrorCode::E_UNHANDLED_REJECTION);
    host::log(LogLevel::Error, script_.filterName() + ": " + formatError(unhandled.error),
              unhandled.error.file, unhandled.error.line);
  }
}

void Runtime::countRepeats(Error& error) {
  if (error.stack.empty())
    return;
  const std::hash<std::string_view> hash;
  const size_t id = hash(error.stack) ^ hash(error.code);
  auto* known = std::find_if(stacks_.begin(), stacks_.end(),
                             [&](const KnownStack& stack) { return stack.id == id; });
  if (known == stacks_.end()) {
    // Of a script that throws at ever new places, nothing is kept for long.
    stacks_[nextStack_++ % stacks_.size()] = {id, 1};
    return;
  }
  error.stack = "[" + std::to_string(++known->times) +
                " times on this worker; its stack was logged the first time]";
}

void Runtime::onFault(js::Fault fault, uint64_t owner) {
  if (fault == js::Fault::Memory) {
    dead_ = true;
    engine_->dropAllJobs();
    retire();
    // Ending a stream can end others: each is looked up again.
    for (size_t i = 0; i < places_.size(); ++i) {
      if (places_[i].stream == nullptr)
        continue;
      StreamRef stream(*places_[i].stream);
      const bool culprit = stream->id() == owner;
      stream->fail(Cause::Memory, placed(noMemory(script_), culprit && faultPlace_ ? *faultPlace_ : Error{}));
    }
    return;
  }
  engine_->dropJobsOf(owner);
  once_.leave(ctx(), owner, JS_UNDEFINED);
  // The engine is usable after a stop, so within the second the old one serves on.
  const uint64_t now = host::monotonicNs();
  if (now - slot_->rebuiltNs >= kMinRebuildNs || slot_->rebuiltNs == 0) {
    slot_->rebuiltNs = now;
    retire();
  }
  if (Stream* stream = findStream(owner)) {
    StreamRef keep(*stream);
    stream->failCpu(std::exchange(faultPlace_, std::nullopt).value_or(Error{}));
  }
}

namespace {

/** Sets a flag until the end of the block, however that comes. */
class Acting {
public:
  explicit Acting(bool& acting) : acting_(acting) { acting_ = true; }
  ~Acting() { acting_ = false; }
  Acting(const Acting&) = delete;
  Acting& operator=(const Acting&) = delete;

private:
  bool& acting_;
};

/** One stream's exception must not keep the others from acting. */
void actOrReset(Stream& stream) {
#if defined(__cpp_exceptions)
  try {
    stream.act();
  } catch (const std::exception& exception) {
    // First what needs no memory.
    stream.host().resetStream("fairlead_internal");
    host::log(LogLevel::Critical, "fairlead: E_INTERNAL: an exception was stopped", {}, 0);
    host::log(LogLevel::Critical, exception.what(), {}, 0);
  }
#else
  stream.act();
#endif
}

}  // namespace

void Runtime::settleUp(const js::Budget& budget) {
  // Several streams' code can run in one drain, and each can overrun its budget.
  constexpr int kMaxRounds = 8;
  for (int round = 0; fault_ != js::Fault::None; ++round) {
    onFault(std::exchange(fault_, js::Fault::None), faultOwner_);
    if (dead_ || !engine_->hasJobs() || engine_->entry() != nullptr)
      continue;
    if (round == kMaxRounds) {
      engine_->dropAllJobs();
      break;
    }
    js::Entry entry(*engine_, budget, 0);
    entry.drain();
    finish(entry, nullptr);
  }
  if (acting_)
    return;
  const Acting acting(acting_);
  // In the order they asked; acting can add more.
  while (!toAct_.empty()) {
    const StreamRef stream(*toAct_.front());
    toAct_.erase(toAct_.begin());
    stream->unref();
    stream->queuedToAct = false;
    actOrReset(*stream);
  }
}

void Runtime::report(Stream& stream) {
  constexpr uint64_t kNsPerUs = 1'000;
  // The proxy's tables of labels are slow.
  constexpr uint64_t kMinReportNs = 100 * kNsPerMs;
  if (executions_ == 0)
    return;
  const uint64_t now = host::monotonicNs();
  if (reportedNs_ != 0 && now - reportedNs_ < kMinReportNs)
    return;
  // The first one tells whether there is anybody to hear it.
  if (!stream.count(ScriptMetric::Executions, executions_))
    return;
  reportedNs_ = now;
  executions_ = 0;
  if (cpuNs_ >= kNsPerUs)
    stream.count(ScriptMetric::CpuMicros, cpuNs_ / kNsPerUs);
  cpuNs_ %= kNsPerUs;
  stream.count(ScriptMetric::HeapBytes, engine_->heapBytes(),
               std::to_string(stream.host().workerIndex()));
  if (Reloads* reloads = stream.config().reloads.get()) {
    stream.count(ScriptMetric::Generation, reloads->generation);
    if (const uint64_t failures = reloads->failures.exchange(0))
      stream.count(ScriptMetric::ReloadFailures, failures);
  }
  if (!std::exchange(sharedUsed_, false))
    return;
  SharedStore& store = script_.shared();
  const SharedStore::Counts counts = store.takeCounts();
  stream.count(ScriptMetric::SharedHits, counts.hits);
  stream.count(ScriptMetric::SharedMisses, counts.misses);
  stream.count(ScriptMetric::SharedEvictions, counts.evictions);
  stream.count(ScriptMetric::SharedBytes, store.bytes());
}

// --- The script's world ---

JSValueConst Runtime::builtin(Builtin builtin) {
  js::Value& exports = builtins_[static_cast<size_t>(builtin)];
  if (exports.isUndefined()) {
    const std::string_view name = kBuiltinNames[static_cast<size_t>(builtin)];
    const auto* end = embedded::kBuiltins + embedded::kBuiltinCount;
    const auto* found = std::find_if(embedded::kBuiltins, end,
                                     [&](const auto& candidate) { return candidate.name == name; });
    assert(found != end);
    const bool wasLoading = std::exchange(loadingBuiltin_, true);
    js::Value loaded = context_->loadOwn({found->bytes, found->size});
    loadingBuiltin_ = wasLoading;
    if (loaded.isException())
      return JS_EXCEPTION;
    exports = std::move(loaded);
  }
  return exports.get();
}

std::shared_ptr<RetryLoad> Runtime::retryLoad(const std::string& cluster) {
  std::shared_ptr<RetryLoad>& load = retryLoads_[cluster];
  if (load == nullptr)
    load = std::make_shared<RetryLoad>();
  return load;
}

js::Value Runtime::callBuiltin(Builtin builtin, const char* name,
                               std::span<JSValueConst> arguments) {
  JSValueConst exports = this->builtin(builtin);
  if (JS_IsException(exports))
    return {ctx(), JS_EXCEPTION};
  const js::Value function(ctx(), JS_GetPropertyStr(ctx(), exports, name));
  return {ctx(), JS_Call(ctx(), function.get(), JS_UNDEFINED, static_cast<int>(arguments.size()),
                         arguments.data())};
}

js::Value Runtime::lend(HostClass cls, NativeData& data) {
  std::vector<js::Value>& spare = spare_[static_cast<size_t>(cls)];
  if (spare.empty()) {
    // Here, for nothing may fail when a stream ends.
    spare.reserve(kMaxSpare);
    js::Value object = bind::wrap(*this, cls, &data);
    if (isClosed(cls) && !object.isException())
      JS_PreventExtensions(ctx(), object.get());
    return object;
  }
  js::Value object = std::move(spare.back());
  spare.pop_back();
  JS_SetOpaque(object.get(), &data);
  return object;
}

void Runtime::giveBack(HostClass cls, js::Value object) {
  if (!object.isObject())
    return;
  JS_SetOpaque(object.get(), nullptr);
  std::vector<js::Value>& spare = spare_[static_cast<size_t>(cls)];
  if (spare.size() < kMaxSpare && js::isAsMade(ctx(), object.get(), !isClosed(cls)))
    spare.push_back(std::move(object));
}

bool Runtime::ensureClass(HostClass cls) {
  js::Value& model = models_[static_cast<size_t>(cls)];
  if (model.isObject())
    return true;
  js::Value constructor(ctx(), kClasses[static_cast<size_t>(cls)].define(*this));
  if (constructor.isException())
    return false;
  constructors_[static_cast<size_t>(cls)] = std::move(constructor);
  // As long as there is one object of the class, the engine need not make its shape anew.
  model = js::Value(ctx(), JS_NewObjectClass(ctx(), static_cast<int>(classId(cls))));
  return model.isObject();
}

}  // namespace fairlead
