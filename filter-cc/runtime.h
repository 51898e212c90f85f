// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// One Script on one worker: an engine with its context, the script's hooks, the streams that use it.
//
// Thread: one at a time. A Runtime that no stream uses is parked in its Script's slot, from where
// any thread may take it.

#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "filter-cc/bind.h"
#include "filter-cc/console.h"
#include "filter-cc/metrics.h"
#include "filter-cc/once.h"
#include "filter-cc/script.h"
#include "quickjs/engine.h"

namespace fairlead {

class Stream;
struct RetryLoad;

/** The parts of the script's world that are written in TypeScript; see builtins/. */
enum class Builtin : uint8_t { Events, Console, Streams, Compression, Count };

/** Properties of a script's objects that are read on the request path; see kMemberNames. */
enum class Member : uint8_t {
  Body,
  Details,
  Headers,
  Keepalive,
  Method,
  Prototype,
  Redirect,
  Retry,
  Signal,
  Status,
  StatusText,
  TimeoutMs,
  Count,
};

class Runtime {
public:
  /** Makes an engine and runs the script's top level in it. */
  static Result<std::unique_ptr<Runtime>> create(const Script& script);
  ~Runtime();
  Runtime(const Runtime&) = delete;
  Runtime& operator=(const Runtime&) = delete;

  static Runtime& from(JSContext* ctx) {
    return *static_cast<Runtime*>(js::Context::from(ctx).opaque());
  }

  /**
   * The Runtime of this script on a worker, with one more stream in it: the active one, the parked
   * one, or a new one. Give it back with leave().
   */
  static Result<Runtime*> enter(Script& script, uint32_t workerIndex);
  /** Makes one for a worker that has none, and parks it; nothing when it cannot be made. Thread: any. */
  static void park(Script& script, uint32_t workerIndex, const Config& config);
  /** One stream less; the last one parks the Runtime, or frees it when it is retired. */
  static void leave(Runtime* runtime);

  const Script& script() const { return script_; }
  js::Runtime& engine() { return *engine_; }
  JSContext* ctx() const { return context_->raw(); }
  JSClassID classId(HostClass cls) const { return classIds_[static_cast<size_t>(cls)]; }
  /** The hook's function; undefined when the script has none. */
  JSValueConst hook(Hook hook) const { return hooks_[static_cast<size_t>(hook)].get(); }
  /** Whether the hook looks at argument `index`; where not, there is no need to make it. */
  bool takes(Hook hook, int index) const {
    return index < argumentsSeen_[static_cast<size_t>(hook)];
  }
  uint8_t hookMask() const;
  /** Puts the place of a hook's definition into an error that has none. */
  void placeAtHook(Hook hook, Error& error) const;
  /** The default export: `this` of every hook. */
  JSValueConst filter() const { return filter_.get(); }

  /** What a config is to the script: `ctx.config`, and what configure() made of it. */
  struct Settings {
    js::Value config;
    js::Value settings;
  };
  /** Runs configure() for this config, or finds what it gave before. Requires: no open Entry. */
  Result<const Settings*> settings(const Config& config);
  /** The same for a config that streams come from. */
  Result<const Settings*> settings(const FilterConfig& config);

  /** Keeps a Runtime while somebody still looks at it. */
  class Stay {
  public:
    explicit Stay(Runtime& runtime) : runtime_(runtime) { ++runtime_.streams_; }
    ~Stay() { leave(&runtime_); }
    Stay(const Stay&) = delete;
    Stay& operator=(const Stay&) = delete;

  private:
    Runtime& runtime_;
  };

  // --- Streams ---

  /** An id for the stream that is never used again; the engine's owner id of its jobs. */
  uint64_t addStream(Stream& stream);
  void removeStream(uint64_t id);
  /** Null when that stream has ended. */
  Stream* findStream(uint64_t id) const;
  /** The stream whose code runs now; null at load, and for code that outlives its stream. */
  Stream* stream() const { return findStream(engine_->owner()); }
  /** Whether the code that runs now belongs to a stream that is no more. */
  bool streamIsGone() const { return engine_->owner() != 0 && stream() == nullptr; }

  /**
   * The one way from a stream into the script: opens an Entry, calls `body`, runs jobs, and then,
   * with no script on the stack, does what was recorded (answers, calls, resets), again and again
   * until nothing is left. `afterJobs` looks at the outcome while the Entry is still open. `stream`
   * may have ended, and this Runtime may be gone, when this returns.
   */
  template <class Body, class AfterJobs>
  void run(Stream& stream, const js::Budget& budget, Body&& body, AfterJobs&& afterJobs) {
    const Stay stay(*this);
    {
      js::Entry entry(*engine_, budget, idOf(stream));
      body();
      entry.drain();
      afterJobs(entry);
      finish(entry, &stream);
    }
    if (fault_ != js::Fault::None || !toAct_.empty())
      settleUp(budget);
  }
  /** Asks for Stream::act() after the present script call. */
  void recordAction(Stream& stream);

  /** New streams get another Runtime; those here go on. */
  void retire();
  /** No script runs here any more: the heap is full. */
  bool dead() const { return dead_; }

  // --- The script's world ---

  /** An own or inherited property; undefined when `object` is none, an exception if it throws. */
  js::Value member(JSValueConst object, Member name) const {
    return JS_IsObject(object)
               ? js::Value(ctx(), JS_GetProperty(ctx(), object, atoms_[static_cast<size_t>(name)]))
               : js::Value();
  }
  /** The exports of a builtin, loaded on first use; an exception when memory runs out. */
  JSValueConst builtin(Builtin builtin);
  /** Calls one of its exports. */
  js::Value callBuiltin(Builtin builtin, const char* name, std::span<JSValueConst> arguments);
  /** Whether a script has touched it yet. */
  bool hasBuiltin(Builtin builtin) const {
    return !builtins_[static_cast<size_t>(builtin)].isUndefined();
  }
  /** Makes sure that the class's prototype exists. False: out of memory. */
  bool ensureClass(HostClass cls);
  /** Whether that is the constructor of the class itself, not of a subclass. Requires: ensureClass. */
  bool isConstructor(HostClass cls, JSValueConst value) const {
    const js::Value& constructor = constructors_[static_cast<size_t>(cls)];
    return constructor.isObject() && JS_IsObject(value) &&
           JS_VALUE_GET_PTR(constructor.get()) == JS_VALUE_GET_PTR(value);
  }
  /** The object that was given to a constructor last: see js::KeptShape. */
  js::KeptShape& lastInit() { return lastInit_; }
  /**
   * An object of `cls` around `data`, for as long as a stream lives: one that an earlier stream has
   * given back, or a new one. Owner: the stream, until giveBack.
   */
  js::Value lend(HostClass cls, NativeData& data);
  /** The stream has ended: the object is dead for whoever holds it still. */
  void giveBack(HostClass cls, js::Value object);
  /** Whether a builtin is being read: only it may import `fairlead:native`. */
  bool loadingBuiltin() const { return loadingBuiltin_; }
  /** See Call::keep. */
  std::string& scratch() { return scratch_; }
  OnceTable& once() { return once_; }
  /** What the calls to a cluster that may be retried count up to. */
  std::shared_ptr<RetryLoad> retryLoad(const std::string& cluster);
  /** What the top level has declared so far, and whether it runs still. */
  std::vector<MetricShape>& metrics() { return metrics_; }
  bool declaring() const { return declaring_; }
  struct JobFunction {
    js::Value function;
    uint64_t intervalNs;
    /** Where the function is defined. */
    Error place;
  };
  std::vector<JobFunction>& jobs() { return jobs_; }
  /** Makes that job the hook Every; nothing where the top level declares fewer than before. */
  void selectJob(size_t index);

  // --- What is counted without the script ---

  void countExecution(Stream& stream) {
    if ((++executions_ & kReportMask) == 0)
      report(stream);
  }
  /** Puts a count in the place of a stack that this runtime has logged before. */
  void countRepeats(Error& error);
  void countShared() { sharedUsed_ = true; }
  /** Whether no other stream is here that could hand it over later. */
  bool isLastStream() const { return streams_ == 1; }
  /** Hands it over by way of a stream, unless that has just been done. */
  void report(Stream& stream);
  /** For code that has no stream. */
  ConsoleState& console() { return console_; }

private:
  explicit Runtime(const Script& script) : script_(script) {}

  static uint64_t idOf(const Stream& stream);
  /** Keeps the accounts of an entry: CPU time, what nobody handled, a fault. */
  void finish(js::Entry& entry, Stream* stream);
  /**
   * Outside any entry: hands a fault to its stream, runs the jobs of others that it held up, each
   * time under `budget`, and does what was recorded.
   */
  void settleUp(const js::Budget& budget);
  Result<void> initialize();
  bool defineClasses();
  bool defineGlobals();
  Result<void> readFilter(JSValueConst moduleNamespace);
  void onFault(js::Fault fault, uint64_t owner);
  js::Budget loadBudget() const;

  /** The hooks of a filter, and Hook::Every. */
  static constexpr size_t kHookSlots = static_cast<size_t>(Hook::Every) + 1;

  const Script& script_;
  WorkerSlot* slot_ = nullptr;
  std::unique_ptr<js::Runtime> engine_;
  std::unique_ptr<js::Context> context_;
  std::array<JSClassID, static_cast<size_t>(HostClass::Count)> classIds_{};
  std::array<JSAtom, static_cast<size_t>(Member::Count)> atoms_{};
  js::Value filter_;
  std::array<js::Value, kHookSlots> hooks_;
  std::array<js::Value, static_cast<size_t>(HostClass::Count)> constructors_;
  js::KeptShape lastInit_;
  // One object of each class that is in use, with nothing behind it.
  std::array<js::Value, static_cast<size_t>(HostClass::Count)> models_;
  // Objects of ended streams that nobody else holds, for later ones.
  std::array<std::vector<js::Value>, static_cast<size_t>(HostClass::Count)> spare_;
  std::array<int, kHookSlots> argumentsSeen_{};
  // Where the hooks are defined; read at load, for a heap that is full cannot be asked.
  std::array<Error, kHookSlots> hookPlaces_;
  std::map<std::string, Settings, std::less<>> settings_;
  // What the config that was asked for last has: mostly it is the only one.
  uint64_t lastConfigId_ = 0;
  const Settings* lastSettings_ = nullptr;
  std::array<js::Value, static_cast<size_t>(Builtin::Count)> builtins_;
  OnceTable once_;
  std::map<std::string, std::shared_ptr<RetryLoad>> retryLoads_;
  std::vector<MetricShape> metrics_;
  std::vector<JobFunction> jobs_;
  bool declaring_ = true;

  /** A worker that never rests looks at every 64th call whether it is time to tell its numbers. */
  static constexpr uint32_t kReportMask = 63;
  uint64_t reportedNs_ = 0;
  uint32_t executions_ = 0;
  uint64_t cpuNs_ = 0;
  bool sharedUsed_ = false;
  struct KnownStack {
    size_t id;
    uint64_t times;
  };
  /** How often stacks were seen, by a hash. */
  std::array<KnownStack, 16> stacks_{};
  size_t nextStack_ = 0;

  struct Place {
    Stream* stream = nullptr;
    uint32_t generation = 0;
  };
  std::vector<Place> places_;
  std::vector<uint32_t> freePlaces_;
  uint32_t streams_ = 0;

  // Each holds a reference.
  std::vector<Stream*> toAct_;
  js::Fault fault_ = js::Fault::None;
  uint64_t faultOwner_ = 0;
  std::optional<Error> faultPlace_;
  bool acting_ = false;
  bool loadingBuiltin_ = false;
  bool retired_ = false;
  bool dead_ = false;
  std::string scratch_;
  ConsoleState console_;
};

}  // namespace fairlead
