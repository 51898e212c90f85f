// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "quickjs/engine.h"

#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <new>

#include "quickjs/engine_unit.h"

namespace fairlead::js {

namespace {

// Polls between two looks at the clock. The engine's own 10,000 lets a loop of slow calls overrun a
// deadline by hundreds of milliseconds; this many cost nothing measurable.
constexpr int kPolls = 200;
// Text of which the host's work counts as polls; what is shorter is one call like any other.
constexpr size_t kLongTextBytes = 1024;
// What a stopped script gets on top, so that the stop itself can be made an error.
constexpr size_t kStopHeadroomBytes = 64 * 1024;
constexpr size_t kDefaultStackBytes = 512 * 1024;
constexpr size_t kCompilerMemoryBytes = 512 * 1024 * 1024;
constexpr size_t kMinCollectAtBytes = 4 * 1024 * 1024;
constexpr size_t kMaxRejections = 1024;
constexpr size_t kMaxMessageBytes = 2 * 1024;
constexpr size_t kMaxStackBytes = 6 * 1024;

/// Runs what may find no memory while the engine is on the stack, for no exception may pass it.
/// False: there was none.
template <class Body> bool noThrow(Body&& body) {
#if defined(__cpp_exceptions)
  try {
    body();
  } catch (const std::bad_alloc&) {
    return false;
  }
#else
  body();
#endif
  return true;
}

// --- Clocks ---

uint64_t readClock(clockid_t clock) {
  timespec now;
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t monotonicNs() { return readClock(CLOCK_MONOTONIC); }

uint64_t threadCpuNs() {
#ifdef __wasi__
  return monotonicNs(); // there is no other clock
#else
  return readClock(CLOCK_THREAD_CPUTIME_ID);
#endif
}

// --- The engine's allocator: the process's, with a header on each block. It holds the size, for
// one that comes from the allocator itself may be missing or be another malloc's, and the
// accounting hangs on it. It links the blocks, because the engine loses some when memory is
// refused: what is left after a runtime's end is freed here. Small objects share blocks, so there
// are few. ---

struct alignas(16) Block {
  Block* next;
  Block* previous;
  size_t bytes;
};

constexpr size_t kMaxBlockBytes = SIZE_MAX - sizeof(Block);

Block* blockOf(void* memory) { return static_cast<Block*>(memory) - 1; }

void unlinkBlock(Block* block) {
  block->previous->next = block->next;
  block->next->previous = block->previous;
}

void* linkBlock(void* list, void* memory, size_t bytes) {
  if (memory == nullptr) return nullptr;
  auto* block = static_cast<Block*>(memory);
  auto* head = static_cast<Block*>(list);
  *block = {head->next, head, bytes};
  head->next->previous = block;
  head->next = block;
  return block + 1;
}

void* allocate(void* list, size_t bytes) {
  if (bytes > kMaxBlockBytes) return nullptr;
  return linkBlock(list, std::malloc(sizeof(Block) + bytes), bytes);
}

void* allocateZeroed(void* list, size_t count, size_t size) {
  size_t bytes;
  if (__builtin_mul_overflow(count, size, &bytes) || bytes > kMaxBlockBytes) return nullptr;
  return linkBlock(list, std::calloc(1, sizeof(Block) + bytes), bytes);
}

void release(void*, void* memory) {
  if (memory == nullptr) return;
  unlinkBlock(blockOf(memory));
  std::free(blockOf(memory));
}

void* reallocate(void* list, void* memory, size_t bytes) {
  if (memory == nullptr) return allocate(list, bytes);
  if (bytes > kMaxBlockBytes) return nullptr;
  Block* block = blockOf(memory);
  const size_t before = block->bytes;
  unlinkBlock(block);
  void* moved = std::realloc(block, sizeof(Block) + bytes);
  if (moved == nullptr) {
    linkBlock(list, block, before);
    return nullptr;
  }
  return linkBlock(list, moved, bytes);
}

size_t sizeOf(const void* memory) {
  return memory == nullptr ? 0 : (static_cast<const Block*>(memory) - 1)->bytes;
}

constexpr JSMallocFunctions kAllocator = {allocateZeroed, allocate, release, reallocate, sizeOf};

// --- Text for people, from strings that a script made ---

bool isControl(uint32_t point) {
  return point < 0x20 || (point >= 0x7F && point < 0xA0) || point == 0x2028 || point == 0x2029;
}

/// Appends the begin of a string as UTF-8, control characters escaped; line ends stay if `lines`.
/// Gives the number of code units left out. Allocates nothing in the engine.
size_t appendBounded(std::string& out, JSValueConst string, size_t maxBytes, bool lines) {
  const size_t whole = fairlead_string_length(string);
  std::vector<uint16_t> units(std::min(whole, maxBytes + 1));
  const size_t length = fairlead_string_begin(string, units.data(), units.size());
  const size_t end = out.size() + maxBytes;
  for (size_t i = 0; i < length; ++i) {
    const size_t first = i;
    uint32_t point = units[i];
    if (point >= 0xD800 && point < 0xDC00 && i + 1 < length && (units[i + 1] & 0xFC00) == 0xDC00) {
      point = 0x10000 + ((point - 0xD800) << 10) + (units[++i] - 0xDC00u);
    } else if (point >= 0xD800 && point < 0xE000) {
      point = 0xFFFD;
    }
    const size_t before = out.size();
    if (point == '\n' && !lines) {
      out += "\\n";
    } else if (isControl(point) && point != '\n') {
      char escape[8];
      snprintf(escape, sizeof(escape), point < 0x100 ? "\\x%02x" : "\\u%04x", point);
      out += escape;
    } else {
      appendUtf8(out, point);
    }
    if (out.size() > end) {
      out.resize(before);
      return whole - first;
    }
  }
  return whole - length;
}

/// The same as a text of its own, which says by "…" that something was left out.
std::string boundedText(JSValueConst string, size_t maxBytes, bool lines = false) {
  std::string text;
  if (appendBounded(text, string, maxBytes, lines) > 0) text += "…";
  return text;
}

// --- Reading properties without running anything ---

/// An own data property; undefined for accessors, proxies and absence.
Value ownData(JSContext* ctx, JSValueConst object, JSAtom name) {
  if (!JS_IsObject(object) || JS_IsProxy(object)) return {};
  JSPropertyDescriptor property;
  const int found = JS_GetOwnProperty(ctx, &property, object, name);
  if (found <= 0) {
    if (found < 0) JS_FreeValue(ctx, JS_GetException(ctx));
    return {};
  }
  JS_FreeValue(ctx, property.getter);
  JS_FreeValue(ctx, property.setter);
  return {ctx, property.value};
}

/// A data property of the object or of what it inherits from, as far as that is no proxy.
Value inheritedData(JSContext* ctx, JSValueConst object, JSAtom name) {
  constexpr int kMaxDepth = 16;
  Value at = Value::dup(ctx, object);
  for (int depth = 0; depth < kMaxDepth && at.isObject() && !JS_IsProxy(at.get()); ++depth) {
    JSPropertyDescriptor property;
    const int found = JS_GetOwnProperty(ctx, &property, at.get(), name);
    if (found < 0) JS_FreeValue(ctx, JS_GetException(ctx));
    if (found > 0) {
      JS_FreeValue(ctx, property.getter);
      JS_FreeValue(ctx, property.setter);
      return {ctx, property.value};
    }
    at = Value(ctx, JS_GetPrototype(ctx, at.get()));
  }
  return {};
}

/// An atom for the length of a scope.
class Atom {
public:
  Atom(JSContext* ctx, const char* name) : ctx_(ctx), atom_(JS_NewAtom(ctx, name)) {}
  ~Atom() { JS_FreeAtom(ctx_, atom_); }
  Atom(const Atom&) = delete;
  Atom& operator=(const Atom&) = delete;
  JSAtom get() const { return atom_; }

private:
  JSContext* ctx_;
  JSAtom atom_;
};

bool looksLikeCode(std::string_view text) {
  if (text.empty() || text.size() > 64 || text.front() < 'A' || text.front() > 'Z') return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
  });
}

/// Cuts `:digits` off the end.
std::optional<uint32_t> takeNumber(std::string_view& text) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == text.size() || text.size() - colon > 10) {
    return std::nullopt;
  }
  uint32_t number = 0;
  for (const char c : text.substr(colon + 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    number = number * 10 + static_cast<uint32_t>(c - '0');
  }
  text = text.substr(0, colon);
  return number;
}

/// How the names of the embedder's own modules begin; nobody wants to see their functions.
constexpr std::string_view kOwnModule = "fairlead:";

/// A stack without the functions of those modules, and without the native ones that they called.
std::string withoutOwnFrames(std::string_view stack) {
  const std::string ownPlace = " (" + std::string(kOwnModule);
  std::string kept;
  size_t scriptEnd = 0; // of `kept`, where native functions may follow
  while (!stack.empty()) {
    const std::string_view frame = stack.substr(0, std::min(stack.find('\n'), stack.size() - 1) + 1);
    stack.remove_prefix(frame.size());
    if (frame.find(ownPlace) != std::string_view::npos) {
      kept.resize(scriptEnd);
      continue;
    }
    kept += frame;
    if (frame.find(" (native)") == std::string_view::npos) scriptEnd = kept.size();
  }
  return kept;
}

/// Finds the first frame that has a place: `    at name (file:line:column)` or `    at
/// file:line:column`.
void readPlace(Error& error) {
  std::string_view rest = error.stack;
  while (!rest.empty()) {
    const size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    constexpr std::string_view kAt = "    at ";
    if (!line.starts_with(kAt)) continue;
    line.remove_prefix(kAt.size());
    if (line.ends_with(')')) {
      const size_t open = line.rfind(" (");
      if (open == std::string_view::npos) continue;
      line = line.substr(open + 2, line.size() - open - 3);
    }
    const auto column = takeNumber(line);
    const auto number = column ? takeNumber(line) : std::nullopt;
    if (!number) continue;
    error.file = line;
    error.line = *number;
    error.column = *column;
    return;
  }
}

/// How a value that is no Error looks in a message.
std::string describeValue(JSContext* ctx, JSValueConst value) {
  switch (JS_VALUE_GET_NORM_TAG(value)) {
  case JS_TAG_UNDEFINED:
    return "undefined";
  case JS_TAG_NULL:
    return "null";
  case JS_TAG_BOOL:
    return JS_VALUE_GET_BOOL(value) ? "true" : "false";
  case JS_TAG_INT:
  case JS_TAG_FLOAT64: {
    const Utf8 number(ctx, value);
    return number ? std::string(number.view()) : "a number";
  }
  case JS_TAG_STRING:
  case JS_TAG_STRING_ROPE:
    return '"' + boundedText(value, kMaxMessageBytes / 2) + '"';
  case JS_TAG_SYMBOL:
    return "a symbol";
  case JS_TAG_BIG_INT:
  case JS_TAG_SHORT_BIG_INT:
    return "a BigInt";
  default:
    break;
  }
  if (JS_IsProxy(value)) return "a proxy";
  if (JS_IsFunction(ctx, value)) return "a function";
  if (JS_IsArray(value)) return "an array";
  const Value message = ownData(ctx, value, Atom(ctx, "message").get());
  if (!message.isString()) return "an object";
  return "an object with the message \"" + boundedText(message.get(), kMaxMessageBytes / 2) + '"';
}

/// Takes the memory limit away for a scope in which nothing of a script runs.
class LimitLifted {
public:
  LimitLifted(JSRuntime* runtime, size_t limitBytes) : runtime_(runtime), limitBytes_(limitBytes) {
    JS_SetMemoryLimit(runtime_, 0);
  }
  ~LimitLifted() { JS_SetMemoryLimit(runtime_, limitBytes_); }
  LimitLifted(const LimitLifted&) = delete;
  LimitLifted& operator=(const LimitLifted&) = delete;

private:
  JSRuntime* runtime_;
  size_t limitBytes_;
};

} // namespace

// --- Runtime ---

struct Runtime::Blocks {
  Block head{&head, &head, 0};

  Blocks() = default;
  Blocks(const Blocks&) = delete;
  Blocks& operator=(const Blocks&) = delete;
  ~Blocks() {
    while (head.next != &head) release(&head, head.next + 1);
  }
};

std::unique_ptr<Runtime> Runtime::create() {
  auto blocks = std::make_unique<Blocks>();
  JSRuntime* raw = JS_NewRuntime2(&kAllocator, &blocks->head);
  if (raw == nullptr) return nullptr;
  std::unique_ptr<Runtime> runtime(new Runtime(raw, std::move(blocks)));
  JS_SetRuntimeOpaque(raw, runtime.get());
  JS_SetInterruptHandler(raw, &Runtime::onInterrupt, runtime.get());
  JS_SetHostPromiseRejectionTracker(raw, &Runtime::onRejection, runtime.get());
  JS_SetModuleLoaderFunc2(raw, &Runtime::onNormalizeModule, &Runtime::onLoadModule,
                          &Runtime::onImportAttributes, runtime.get());
  runtime->setStackLimit(kDefaultStackBytes);
  runtime->armCollector();
  return runtime;
}

Runtime::Runtime(JSRuntime* runtime, std::unique_ptr<Blocks> blocks)
    : blocks_(std::move(blocks)), runtime_(runtime), refused_(fairlead_refused(runtime)) {}

Runtime::~Runtime() {
  assert(entry_ == nullptr);
  rejections_.clear();
#ifndef NDEBUG
  // Test builds end on everything leaked, but for what the engine itself loses when out of memory.
  if (!outOfMemory()) JS_SetDumpFlags(runtime_, JS_ABORT_ON_LEAKS);
#endif
  JS_FreeRuntime(runtime_);
}

size_t Runtime::heapBytes() const { return fairlead_heap_bytes(runtime_); }

void Runtime::setMemoryLimit(size_t limitBytes) {
  limitBytes_ = limitBytes;
  JS_SetMemoryLimit(runtime_, limitBytes);
  armCollector();
}

void Runtime::setStackLimit(size_t limitBytes) { JS_SetMaxStackSize(runtime_, limitBytes); }

uint64_t Runtime::owner() const { return fairlead_owner(runtime_); }

void Runtime::dropJobsOf(uint64_t owner) { fairlead_drop_jobs(runtime_, &owner, nullptr); }

void Runtime::dropAllJobs() { fairlead_drop_jobs(runtime_, nullptr, nullptr); }

// The collector finds only cycles, which are rare, and costs time by the live heap: it runs when
// the heap is three times what was live, but well before the limit.
void Runtime::armCollector() {
  // After a run of its own the engine has put the threshold to one and a half of what lives.
  const size_t threshold = JS_GetGCThreshold(runtime_);
  const size_t live = collectAtBytes_ == 0 ? heapBytes() : std::min(heapBytes(), threshold / 3 * 2);
  collectAtBytes_ = std::max(kMinCollectAtBytes, 3 * live);
  if (limitBytes_ != 0) {
    const size_t room = limitBytes_ > live ? limitBytes_ - live : 0;
    collectAtBytes_ = std::min(collectAtBytes_, live + room / 2);
  }
  JS_SetGCThreshold(runtime_, collectAtBytes_);
}

int Runtime::onInterrupt(JSRuntime* raw, void* opaque) {
  if (Entry* entry = static_cast<Runtime*>(opaque)->entry_) return entry->onPoll();
  // The host may read and write values at any time, which polls too. Script code outside an entry
  // has no budget: it is stopped.
  const bool inFunction = fairlead_in_function(raw);
  assert(!inFunction);
  return inFunction;
}

void Runtime::onRejection(JSContext* ctx, JSValueConst promise, JSValueConst, bool handled,
                          void* opaque) {
  // A promise that is handled later says so itself when the list is read.
  if (handled) return;
  auto& runtime = *static_cast<Runtime*>(opaque);
  auto& rejections = runtime.rejections_;
  if (rejections.size() == kMaxRejections) {
    std::erase_if(rejections, [](const Rejection& rejection) {
      return fairlead_promise_is_handled(rejection.promise.get());
    });
  }
  if (rejections.size() == kMaxRejections) return;
  // At worst a report is lost.
  noThrow([&] { rejections.push_back({Value::dup(ctx, promise), runtime.owner()}); });
}

std::vector<Unhandled> Runtime::takeUnhandled() {
  if (rejections_.empty()) return std::exchange(uncaught_, {});
  std::vector<Unhandled> unhandled = std::exchange(uncaught_, {});
  for (const Rejection& rejection : std::exchange(rejections_, {})) {
    if (fairlead_promise_is_handled(rejection.promise.get())) continue;
    Fault fault;
    unhandled.push_back({rejection.owner, describeRejection(rejection.promise.context(),
                                                            rejection.promise.get(), fault)});
  }
  return unhandled;
}

void Runtime::addUncaught(JSContext* ctx) {
  Fault fault;
  Error error = takeException(ctx, fault);
  if (uncaught_.size() < kMaxRejections) uncaught_.push_back({owner(), std::move(error)});
}

void Runtime::forgetContext(JSContext* ctx) {
  std::erase_if(rejections_,
                [ctx](const Rejection& rejection) { return rejection.promise.context() == ctx; });
  fairlead_drop_jobs(runtime_, nullptr, ctx);
}

JSValue Runtime::random(JSContext* ctx, JSValueConst, int, JSValueConst*) {
  Runtime& runtime = from(ctx);
  if (runtime.randomLeft_ == 0) {
    if (!fillRandom(
            {reinterpret_cast<uint8_t*>(runtime.random_.data()), sizeof(runtime.random_)})) {
      return JS_ThrowInternalError(ctx, "the system gives no random bytes");
    }
    runtime.randomLeft_ = runtime.random_.size();
  }
  const uint64_t bits = std::exchange(runtime.random_[--runtime.randomLeft_], 0);
  return JS_NewFloat64(ctx, static_cast<double>(bits >> 11) * 0x1p-53);
}

// --- Charge ---

Charge::~Charge() {
  if (!set(0)) assert(false);  // less is never refused
}

bool Charge::set(size_t bytes) {
  if (!fairlead_charge(runtime_, bytes_, bytes)) return false;
  bytes_ = bytes;
  return true;
}

// --- Modules ---

namespace {

/// Throws a TypeError with a `code`.
void throwCoded(JSContext* ctx, const char* code, const char* message) {
  JS_ThrowTypeError(ctx, "%s", message);
  JSValue error = JS_GetException(ctx);
  JSValue codeValue = JS_NewString(ctx, code);
  if (JS_IsObject(error) && !JS_IsException(codeValue)) {
    JS_DefinePropertyValueStr(ctx, error, "code", codeValue,
                              JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
  }
  JS_Throw(ctx, error);
}

} // namespace

char* Runtime::onNormalizeModule(JSContext* ctx, const char*, const char* name, void*) {
  const auto* context = static_cast<Context*>(JS_GetContextOpaque(ctx));
  if (context == nullptr || !context->linking_) {
    throwCoded(ctx, "E_DYNAMIC_IMPORT", "import() is not supported: import at the top of the file");
    return nullptr;
  }
  if (context->findModule(name) == nullptr) {
    const bool thrown = noThrow([&] {
      std::string known;
      for (const HostModule& module : context->modules_) {
        known += (known.empty() ? "'" : ", '") + module.name + "'";
      }
      const std::string message =
          "there is no module '" + std::string(name).substr(0, 100) + "'; " +
          (known.empty() ? "nothing can be imported here" : "there is " + known) +
          "; bundle everything else into the file";
      throwCoded(ctx, "E_UNKNOWN_IMPORT", message.c_str());
    });
    if (!thrown) JS_ThrowOutOfMemory(ctx);
    return nullptr;
  }
  return js_strdup(ctx, name);
}

JSModuleDef* Runtime::onLoadModule(JSContext* ctx, const char* name, void*, JSValueConst) {
  const HostModule* host = Context::from(ctx).findModule(name);
  const auto nothing = [](JSContext*, JSModuleDef*) { return 0; };
  JSModuleDef* module = JS_NewCModule(ctx, name, host->init != nullptr ? host->init : +nothing);
  if (module == nullptr) return nullptr;
  for (const std::string& exportName : host->exportNames) {
    if (JS_AddModuleExport(ctx, module, exportName.c_str()) < 0) return nullptr;
  }
  return module;
}

int Runtime::onImportAttributes(JSContext* ctx, void*, JSValueConst) {
  throwCoded(ctx, "E_UNKNOWN_IMPORT", "import attributes are not supported");
  return -1;
}

// --- Context ---

namespace {

int addFilterIntrinsics(JSContext* ctx) {
  if (JS_AddIntrinsicBaseObjects(ctx) < 0 || JS_AddIntrinsicDate(ctx) < 0 ||
      JS_AddIntrinsicRegExp(ctx) < 0 || JS_AddIntrinsicJSON(ctx) < 0 ||
      JS_AddIntrinsicProxy(ctx) < 0 || JS_AddIntrinsicMapSet(ctx) < 0 ||
      JS_AddIntrinsicTypedArrays(ctx) < 0 || JS_AddIntrinsicPromise(ctx) < 0 ||
      JS_AddIntrinsicAToB(ctx) < 0) {
    return -1;
  }
  // AToB brings it for the first context of a runtime only.
  return JS_AddIntrinsicDOMException(ctx);
}

int addCompilerIntrinsics(JSContext* ctx) {
  // Modules need promises, regular expressions their compiler; nothing is ever run.
  if (JS_AddIntrinsicBaseObjects(ctx) < 0 || JS_AddIntrinsicEval(ctx) < 0 ||
      JS_AddIntrinsicRegExp(ctx) < 0 || JS_AddIntrinsicJSON(ctx) < 0) {
    return -1;
  }
  return JS_AddIntrinsicPromise(ctx);
}

int hideSharedMemory(JSContext* ctx, JSValueConst global) {
  for (const char* name : {"SharedArrayBuffer", "Atomics"}) {
    const Atom atom(ctx, name);
    if (JS_DeleteProperty(ctx, global, atom.get(), 0) < 0) return -1;
  }
  return 0;
}

int replaceRandom(JSContext* ctx, JSValueConst global, JSCFunction* random) {
  const Value math(ctx, JS_GetPropertyStr(ctx, global, "Math"));
  Value function(ctx, JS_NewCFunction(ctx, random, "random", 0));
  if (math.isException() || function.isException()) return -1;
  return JS_DefinePropertyValueStr(ctx, math.get(), "random", function.release(),
                                   JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE);
}

} // namespace

std::unique_ptr<Context> Context::create(Runtime& runtime, Kind kind,
                                         std::vector<HostModule> modules) {
  JS_UpdateStackTop(runtime.raw());
  // One that fails half-way would stay linked in the runtime.
  const LimitLifted lifted(runtime.raw(), runtime.limitBytes_);
  JSContext* ctx = JS_NewContextRaw(runtime.raw());
  if (ctx == nullptr) return nullptr;
  std::unique_ptr<Context> context(new Context(runtime, ctx, std::move(modules)));
  JS_SetContextOpaque(ctx, context.get());
  uint32_t seed;
  if (!fillRandom({reinterpret_cast<uint8_t*>(&seed), sizeof(seed)})) return nullptr;
  fairlead_seed(ctx, seed);
  if (kind == Kind::Compiler) return addCompilerIntrinsics(ctx) < 0 ? nullptr : std::move(context);
  if (addFilterIntrinsics(ctx) < 0) return nullptr;
  const Value global(ctx, JS_GetGlobalObject(ctx));
  if (hideSharedMemory(ctx, global.get()) < 0) return nullptr;
  if (replaceRandom(ctx, global.get(), &Runtime::random) < 0) return nullptr;
#ifndef NDEBUG
  // Test builds can be asked to: what nobody holds, or no mark function shows, is then gone at once.
  // Not before: making a context makes a thousand objects, and none of them is ours.
  if (const char* every = std::getenv("FAIRLEAD_COLLECT_EVERY")) {
    fairlead_collect_every(runtime.raw(), static_cast<uint32_t>(std::atoi(every)));
  }
#endif
  return context;
}

Context::~Context() {
  runtime_.forgetContext(ctx_);
  JS_SetContextOpaque(ctx_, nullptr);
  JS_FreeContext(ctx_);
}

const HostModule* Context::findModule(std::string_view name) const {
  for (const HostModule& module : modules_) {
    if (module.name == name) return &module;
  }
  return nullptr;
}

namespace {

/// Sets the place of an error about an import: the first time the name stands in the source as a
/// quoted text or a word of its own. The engine keeps no positions of imports.
void placeImport(Error& error, std::string_view source, const std::string& file) {
  const size_t begin = error.message.find('\'');
  const size_t end = error.message.find('\'', begin + 1);
  if (begin == std::string::npos || end == std::string::npos) return;
  const std::string_view name = std::string_view(error.message).substr(begin + 1, end - begin - 1);
  const auto isWord = [](char c) {
    return c == '_' || c == '$' || (c & 0x80) != 0 ||
           std::isalnum(static_cast<unsigned char>(c)) != 0;
  };
  for (size_t at = source.find(name); at != std::string_view::npos;
       at = source.find(name, at + 1)) {
    if (at > 0 && isWord(source[at - 1])) continue;
    if (at + name.size() < source.size() && isWord(source[at + name.size()])) continue;
    const size_t lineBegin = source.substr(0, at).rfind('\n') + 1;
    error.file = file;
    error.line = static_cast<uint32_t>(
                     std::count(source.begin(), source.begin() + static_cast<long>(at), '\n')) +
                 1;
    error.column = static_cast<uint32_t>(at - lineBegin) + 1;
    return;
  }
}

} // namespace

Result<std::vector<uint8_t>> Context::compile(std::string_view source,
                                              const std::string& moduleName) {
  Entry entry(runtime_, {UINT64_MAX, UINT64_MAX}, 0);
  Fault fault;
  const auto failed = [&](const char* code) {
    Error error = takeException(ctx_, fault);
    if (error.code == "E_THROWN") error.code = code;
    if (error.code == "E_UNKNOWN_IMPORT") placeImport(error, source, moduleName);
    return error;
  };

  // The engine reads one byte past the end, which has to be zero.
  const std::string terminated(source);
  linking_ = true;
  const Value module(ctx_, JS_Eval(ctx_, terminated.c_str(), terminated.size(), moduleName.c_str(),
                                   JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY));
  linking_ = false;
  if (module.isException()) return failed("E_SYNTAX");

  size_t size = 0;
  uint8_t* bytes =
      JS_WriteObject(ctx_, &size, module.get(), JS_WRITE_OBJ_BYTECODE | JS_WRITE_OBJ_STRIP_SOURCE);
  if (bytes == nullptr) return failed("E_SYNTAX");
  std::vector<uint8_t> bytecode(bytes, bytes + size);
  js_free(ctx_, bytes);

  // After writing, for it changes the module: shows imports that the host modules do not have.
  if (fairlead_link_module(ctx_, module.get()) < 0) return failed("E_UNKNOWN_IMPORT");
  if (entry.fault() != Fault::None) return describeFault(entry.fault());
  return bytecode;
}

Result<Value> Context::load(std::span<const uint8_t> bytecode, const Budget& budget) {
  Entry entry(runtime_, budget, 0);
  Fault fault;
  const auto failed = [&](const char* code) {
    Error error = takeException(ctx_, fault);
    if (error.code == "E_THROWN") error.code = code;
    return error;
  };

  linking_ = true;
  Value read(ctx_, JS_ReadObject(ctx_, bytecode.data(), bytecode.size(), JS_READ_OBJ_BYTECODE));
  linking_ = false;
  if (read.isException()) return failed("E_BYTECODE");
  if (!JS_IsModule(read.get())) {
    return Error{.code = "E_BYTECODE", .message = "the bytecode is not that of a module"};
  }
  if (fairlead_link_module(ctx_, read.get()) < 0) return failed("E_UNKNOWN_IMPORT");

  auto* module = static_cast<JSModuleDef*>(JS_VALUE_GET_PTR(read.get()));
  const Value promise(ctx_, JS_EvalFunction(ctx_, read.release()));
  if (promise.isException()) return failed("E_THROWN");
  entry.drain();
  if (entry.fault() != Fault::None) return describeFault(entry.fault());
  switch (promiseState(ctx_, promise.get())) {
  case JS_PROMISE_FULFILLED:
    break;
  case JS_PROMISE_REJECTED: {
    markHandled(ctx_, promise.get());
    // The module's promise repeats that of the top level itself, which knows the place of the
    // throw.
    const Value reason = promiseResult(ctx_, promise.get());
    for (const Runtime::Rejection& rejection : runtime_.rejections_) {
      const Value same = promiseResult(ctx_, rejection.promise.get());
      if (rejection.promise.context() == ctx_ && JS_IsSameValue(ctx_, reason.get(), same.get())) {
        return describeRejection(ctx_, rejection.promise.get(), fault);
      }
    }
    return describeRejection(ctx_, promise.get(), fault);
  }
  default:
    return Error{.code = "E_TOP_LEVEL_PENDING",
                 .message = "the top level awaits something that never settles"};
  }
  Value exports(ctx_, JS_GetModuleNamespace(ctx_, module));
  if (exports.isException()) return failed("E_THROWN");
  if (entry.fault() != Fault::None) return describeFault(entry.fault());
  return exports;
}

Value Context::loadOwn(std::span<const uint8_t> bytecode) {
  const bool wasLinking = std::exchange(linking_, true);
  Value read(ctx_, JS_ReadObject(ctx_, bytecode.data(), bytecode.size(), JS_READ_OBJ_BYTECODE));
  linking_ = wasLinking;
  if (read.isException() || fairlead_link_module(ctx_, read.get()) < 0) return {ctx_, JS_EXCEPTION};
  auto* module = static_cast<JSModuleDef*>(JS_VALUE_GET_PTR(read.get()));
  const Value promise(ctx_, JS_EvalFunction(ctx_, read.release()));
  if (promise.isException()) return {ctx_, JS_EXCEPTION};
  if (promiseState(ctx_, promise.get()) == JS_PROMISE_REJECTED) {
    markHandled(ctx_, promise.get());
    return {ctx_, JS_Throw(ctx_, promiseResult(ctx_, promise.get()).release())};
  }
  return {ctx_, JS_GetModuleNamespace(ctx_, module)};
}

Result<std::vector<uint8_t>> compile(std::string_view source, const std::string& moduleName,
                                     std::vector<HostModule> modules) {
  const auto noMemory = [] { return describeFault(Fault::Memory); };
  const auto runtime = Runtime::create();
  if (runtime == nullptr) return noMemory();
  for (HostModule& module : modules) module.init = nullptr;
  const auto context = Context::create(*runtime, Context::Kind::Compiler, std::move(modules));
  if (context == nullptr) return noMemory();
  runtime->setMemoryLimit(kCompilerMemoryBytes);
  return context->compile(source, moduleName);
}

// --- Entry ---

Entry::Entry(Runtime& runtime, const Budget& budget, uint64_t owner)
    : runtime_(runtime), budget_(budget), owner_(owner), entered_(runtime.entry_ == nullptr) {
  assert(entered_);
  if (!entered_) {
    fault_ = Fault::Throw;
    return;
  }
  runtime.entry_ = this;
  fairlead_enter(runtime.runtime_, owner, kPolls);
}

Entry::~Entry() {
  if (!entered_) return;
  runtime_.entry_ = nullptr;
  if (fault_ != Fault::None) JS_SetMemoryLimit(runtime_.runtime_, runtime_.limitBytes_);
  if (fairlead_leave(runtime_.runtime_) != runtime_.collectAtBytes_) {
    ++runtime_.collections_;
    runtime_.armCollector();
  }
}

void Entry::stop(Fault fault) {
  fault_ = fault;
  faultOwner_ = runtime_.owner();
}

void Entry::stopForMemory() {
  fault_ = Fault::Memory;
  faultOwner_ = fairlead_refused_owner(runtime_.runtime_);
}

bool Entry::onPoll() {
  if (fault() == Fault::None) {
    const uint64_t now = monotonicNs();
    const uint64_t limitNs = std::min(budget_.cpuNs, budget_.remainingStreamCpuNs);
    if (!polled_) {
      polled_ = true;
      cpuStartNs_ = threadCpuNs();
      dueNs_ = limitNs > UINT64_MAX - now ? UINT64_MAX : now + limitNs;
    }
    if (now >= dueNs_) {
      const uint64_t usedNs = threadCpuNs() - cpuStartNs_;
      if (usedNs >= limitNs) {
        stop(Fault::Cpu);
      } else {
        dueNs_ = now + (limitNs - usedNs);
      }
    }
  }
  if (fault_ == Fault::None) {
    fairlead_set_polls(runtime_.runtime_, kPolls);
    return false;
  }
  // What runs on nevertheless (a caught failure of the stop itself) is stopped at its next poll.
  // The stop has to find memory: without it it would be an exception that can be caught.
  fairlead_set_polls(runtime_.runtime_, 1);
  if (runtime_.limitBytes_ != 0) {
    JS_SetMemoryLimit(runtime_.runtime_,
                      std::max(runtime_.limitBytes_, runtime_.heapBytes()) + kStopHeadroomBytes);
  }
  return true;
}

Fault Entry::drain() {
  if (!entered_) return fault_;
  if (!JS_IsJobPending(runtime_.runtime_)) return fault();
  JSContext* ctx = nullptr;
  while (fault() == Fault::None && JS_IsJobPending(runtime_.runtime_)) {
    if (++jobs_ > kMaxJobs) {
      stop(Fault::Cpu);
      break;
    }
    if (JS_ExecutePendingJob(runtime_.runtime_, &ctx) >= 0) continue;
    if (fault() == Fault::None) {
      runtime_.addUncaught(ctx);
    } else {
      Fault ignored;
      faultPlace_ = takeException(ctx, ignored);
    }
  }
  fairlead_set_owner(runtime_.runtime_, owner_);
  return fault_;
}

uint64_t Entry::cpuUsedNs() const { return polled_ ? threadCpuNs() - cpuStartNs_ : 0; }

// --- Exceptions ---

Error describeFault(Fault fault) {
  switch (fault) {
  case Fault::Cpu:
    return {.code = "E_CPU_LIMIT", .message = "stopped: it used more CPU time or jobs than it may"};
  case Fault::Memory:
    return {.code = "E_MEMORY_LIMIT", .message = "stopped: it used more memory than it may"};
  case Fault::Stack:
    return {.code = "E_STACK_LIMIT", .message = "it called too deep"};
  default:
    return {.code = "E_THROWN", .message = "it failed"};
  }
}

namespace {

constexpr std::string_view kTooDeep = "RangeError: Maximum call stack size exceeded";

/// Describes a thrown value; `backtrace` is where it was thrown, if the value itself does not know.
Error describe(JSContext* ctx, JSValueConst value, JSValueConst backtrace, Fault& fault) {
  Error error{.code = "E_THROWN"};
  JSValueConst domName, domMessage;
  if (JS_IsError(value)) {
    const Value name = inheritedData(ctx, value, Atom(ctx, "name").get());
    const Value message = inheritedData(ctx, value, Atom(ctx, "message").get());
    error.message = name.isString() ? boundedText(name.get(), 100) : "Error";
    const std::string text = message.isString() ? boundedText(message.get(), kMaxMessageBytes) : "";
    if (!text.empty()) error.message += (error.message.empty() ? "" : ": ") + text;
  } else if (fairlead_dom_exception(value, &domName, &domMessage)) {
    error.message = boundedText(domName, 100) + ": " + boundedText(domMessage, kMaxMessageBytes);
  } else {
    error.message = describeValue(ctx, value) + " was thrown, which is not an Error";
  }
  const Value code = ownData(ctx, value, Atom(ctx, "code").get());
  if (code.isString()) {
    std::string text = boundedText(code.get(), 64);
    if (looksLikeCode(text)) error.code = std::move(text);
  }

  JSValueConst stack = fairlead_error_stack(value);
  if (!JS_IsString(stack)) stack = backtrace;
  if (JS_IsString(stack)) {
    error.stack = withoutOwnFrames(boundedText(stack, kMaxStackBytes, true));
  }
  while (error.stack.ends_with('\n')) error.stack.pop_back();
  readPlace(error);

  if (fault == Fault::None) fault = error.message == kTooDeep ? Fault::Stack : Fault::Throw;
  if (fault == Fault::Cpu || fault == Fault::Memory || fault == Fault::Stack) {
    Error limit = describeFault(fault);
    error.code = std::move(limit.code);
    error.message = std::move(limit.message);
  }
  return error;
}

} // namespace

Fault Runtime::limitMet() const {
  if (entry_ != nullptr && entry_->fault() != Fault::None) return entry_->fault();
  return outOfMemory() ? Fault::Memory : Fault::None;
}

Error takeException(JSContext* ctx, Fault& fault) {
  Runtime& runtime = Runtime::from(ctx);
  fault = runtime.limitMet();
  const LimitLifted lifted(runtime.raw(), runtime.limitBytes_);
  const Value value(ctx, JS_GetException(ctx));
  const Value backtrace(ctx, fairlead_take_backtrace(ctx));
  return describe(ctx, value.get(), backtrace.get(), fault);
}

Error describeError(JSContext* ctx, JSValueConst value, Fault& fault) {
  Runtime& runtime = Runtime::from(ctx);
  fault = runtime.limitMet();
  const LimitLifted lifted(runtime.raw(), runtime.limitBytes_);
  return describe(ctx, value, JS_UNDEFINED, fault);
}

Error describeRejection(JSContext* ctx, JSValueConst promise, Fault& fault) {
  Runtime& runtime = Runtime::from(ctx);
  fault = runtime.limitMet();
  const LimitLifted lifted(runtime.raw(), runtime.limitBytes_);
  const Value reason = promiseResult(ctx, promise);
  return describe(ctx, reason.get(), fairlead_promise_backtrace(promise), fault);
}

// --- Promises ---

Value newPromise(JSContext* ctx) { return {ctx, fairlead_new_promise(ctx)}; }

void settlePromise(JSContext* ctx, JSValueConst promise, JSValueConst value, bool reject) {
  fairlead_settle_promise(ctx, promise, value, reject);
}

Value promiseOf(JSContext* ctx, JSValueConst value) {
  JSValue resolving[2];
  Value promise(ctx, JS_NewPromiseCapability(ctx, resolving));
  if (promise.isException()) return promise;
  const Value resolve(ctx, resolving[0]);
  const Value reject(ctx, resolving[1]);
  const Value done(ctx, JS_Call(ctx, resolve.get(), JS_UNDEFINED, 1, &value));
  return done.isException() ? Value(ctx, JS_EXCEPTION) : std::move(promise);
}

JSValueConst asyncContext(JSContext* ctx) { return fairlead_context(JS_GetRuntime(ctx)); }

AsyncContextScope::AsyncContextScope(JSContext* ctx, JSValueConst context)
    : ctx_(ctx),
      before_(fairlead_swap_context(JS_GetRuntime(ctx), JS_DupValue(ctx, context))) {}

AsyncContextScope::~AsyncContextScope() {
  JS_FreeValue(ctx_, fairlead_swap_context(JS_GetRuntime(ctx_), before_));
}

void enqueueJob(JSContext* ctx, uint64_t owner, JSJobFunc* job, std::span<JSValueConst> arguments) {
  JSRuntime* runtime = JS_GetRuntime(ctx);
  const AsyncContextScope none(ctx, JS_UNDEFINED);
  const uint64_t before = fairlead_owner(runtime);
  fairlead_set_owner(runtime, owner);
  (void)JS_EnqueueJob(ctx, job, static_cast<int>(arguments.size()), arguments.data());
  fairlead_set_owner(runtime, before);
}

bool promiseThen(JSContext* ctx, JSValueConst promise, JSValueConst onFulfilled,
                 JSValueConst onRejected) {
  assert(isPromise(promise));
  return fairlead_promise_then(ctx, promise, onFulfilled, onRejected) == 0;
}

// --- Text ---

Value newByteString(JSContext* ctx, std::string_view bytes) {
  return {ctx, fairlead_new_string8(ctx, bytes.data(), bytes.size())};
}

bool ByteString::view(JSValueConst value) {
  const char* bytes;
  size_t length;
  if (!fairlead_byte_string(value, &bytes, &length)) return false;
  view_ = {bytes, length};
  return true;
}

bool ByteString::read(JSContext* ctx, JSValueConst string) {
  if (view(string)) return true;
  const void* units;
  size_t length;
  bool wide;
  const Value flat(ctx, JS_ToString(ctx, string));
  if (!fairlead_flat_string(flat.get(), &units, &length, &wide)) return false;
  if (!wide) {
    copy_ = std::make_unique<std::string>(static_cast<const char*>(units), length);
    view_ = *copy_;
    return true;
  }
  const auto* wideUnits = static_cast<const uint16_t*>(units);
  if (std::any_of(wideUnits, wideUnits + length, [](uint16_t unit) { return unit > 0xFF; })) {
    return false;
  }
  copy_ = std::make_unique<std::string>(length, '\0');
  std::transform(wideUnits, wideUnits + length, copy_->begin(),
                 [](uint16_t unit) { return static_cast<char>(unit); });
  view_ = *copy_;
  return true;
}

Utf8::Utf8(JSContext* ctx, JSValueConst value) : ctx_(ctx) {
  size_t length = 0;
  chars_ = JS_ToCStringLen(ctx, &length, value);
  if (chars_ == nullptr) return;
  view_ = {chars_, length};
  if (length >= kLongTextBytes) fairlead_spend_text(ctx, length);
  // Pairs are one sequence of four bytes already; ED A0-BF begins a surrogate that stands alone.
  const auto surrogateAt = [this](size_t at) {
    while ((at = view_.find('\xED', at)) != view_.npos && (view_[at + 1] & 0x20) == 0) at += 3;
    return at;
  };
  size_t at = surrogateAt(0);
  if (at == std::string_view::npos) return;
  size_t copied = 0;
  for (; at != std::string_view::npos; at = surrogateAt(copied)) {
    mended_.append(view_, copied, at - copied).append("\xEF\xBF\xBD");
    copied = at + 3;
  }
  mended_.append(view_, copied);
  view_ = mended_;
}

Utf8::~Utf8() {
  if (chars_ != nullptr) JS_FreeCString(ctx_, chars_);
}

Result<Value> parseJson(JSContext* ctx, std::string_view text, const std::string& name) {
  if (Runtime::from(ctx).entry() == nullptr) JS_UpdateStackTop(JS_GetRuntime(ctx));
  // The engine reads one byte past the end, which has to be zero.
  const std::string terminated(text);
  Value value(ctx, JS_ParseJSON(ctx, terminated.c_str(), terminated.size(), name.c_str()));
  if (!value.isException()) return value;
  Fault fault;
  Error error = takeException(ctx, fault);
  if (fault != Fault::Memory) error.code = "E_JSON";
  return error;
}

// --- Iteration ---

Iteration iterate(JSContext* ctx, JSValueConst iterable,
                  const std::function<bool(JSValueConst item)>& visit) {
  const auto call = [](JSContext*, JSValueConst item, void* opaque) {
    return (*static_cast<const std::function<bool(JSValueConst)>*>(opaque))(item);
  };
  const int result =
      fairlead_iterate(ctx, iterable, call, const_cast<void*>(static_cast<const void*>(&visit)));
  if (result < 0) return Iteration::Thrown;
  return result == 0 ? Iteration::NotIterable : Iteration::Done;
}

Value iteratorPrototype(JSContext* ctx) {
  return Value::dup(ctx, fairlead_iterator_prototype(ctx));
}

// --- Classes ---

int argumentsSeen(JSValueConst function) { return fairlead_arguments_seen(function); }

bool isAsMade(JSContext* ctx, JSValueConst object, bool extensible) {
  return fairlead_as_made(ctx, object, extensible);
}

bool setTag(JSContext* ctx, JSValueConst prototype, const char* tag) {
  return fairlead_set_tag(ctx, prototype, tag) >= 0;
}

KeptShape::~KeptShape() {
  if (shape_ != nullptr) fairlead_keep_shape(runtime_, shape_, JS_UNDEFINED);
}

void KeptShape::of(JSContext* ctx, JSValueConst value) {
  runtime_ = JS_GetRuntime(ctx);
  shape_ = fairlead_keep_shape(runtime_, shape_, value);
}

// --- Buffers ---

BytesState bytesOf(JSValueConst value, std::span<uint8_t>& bytes) {
  uint8_t* data = nullptr;
  size_t length = 0;
  const int result = fairlead_bytes(value, &data, &length);
  if (result <= 0) return result == 0 ? BytesState::NotBytes : BytesState::Lost;
  bytes = {data, length};
  return BytesState::Found;
}

// --- For logs and builtins ---

Caller placeOf(JSContext* ctx, JSValueConst function) {
  Caller place;
  JSAtom file;
  int line, column;
  if (!fairlead_function_place(function, &file, &line, &column)) return place;
  if (const char* chars = JS_AtomToCString(ctx, file)) {
    place.file = chars;
    JS_FreeCString(ctx, chars);
  } else {
    JS_FreeValue(ctx, JS_GetException(ctx));
  }
  place.line = static_cast<uint32_t>(line);
  place.column = static_cast<uint32_t>(column);
  return place;
}

std::vector<Caller> callers(JSContext* ctx, size_t limit) {
  constexpr size_t kMaxNameBytes = 200;
  std::vector<Caller> found;
  JSValueConst name;
  JSAtom file;
  int line, column;
  for (uint32_t i = 0;
       found.size() < limit && fairlead_caller(ctx, i, &name, &file, &line, &column); ++i) {
    Caller caller;
    if (const char* chars = JS_AtomToCString(ctx, file)) {
      caller.file = chars;
      JS_FreeCString(ctx, chars);
    } else {
      JS_FreeValue(ctx, JS_GetException(ctx));
    }
    if (caller.file.starts_with(kOwnModule)) continue;
    if (JS_IsString(name)) caller.function = boundedText(name, kMaxNameBytes);
    caller.line = static_cast<uint32_t>(line);
    caller.column = static_cast<uint32_t>(column);
    found.push_back(std::move(caller));
  }
  return found;
}

size_t appendPrintable(std::string& out, JSValueConst string, size_t maxBytes) {
  return appendBounded(out, string, maxBytes, false);
}

Value newIntrinsics(JSContext* ctx) { return {ctx, fairlead_intrinsics(ctx)}; }

// --- Odds ---

Value structuredClone(JSContext* ctx, JSValueConst value, std::span<JSValueConst> transfer,
                      Value (*cloneHost)(JSContext* ctx, JSValueConst object), const char*& refused) {
  const auto ask = [](JSContext* context, JSValueConst object, void* opaque) {
    return (*static_cast<Value (**)(JSContext*, JSValueConst)>(opaque))(context, object).release();
  };
  return {ctx, fairlead_clone(ctx, value, transfer.data(), transfer.size(), ask, &cloneHost, &refused)};
}

bool fillRandom(std::span<uint8_t> out) {
  constexpr size_t kMaxRequestBytes = 256;
  while (!out.empty()) {
    const size_t bytes = std::min(out.size(), kMaxRequestBytes);
    if (getentropy(out.data(), bytes) != 0) return false;
    out = out.subspan(bytes);
  }
  return true;
}

} // namespace fairlead::js
