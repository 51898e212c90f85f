// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// A Script is what runs, made once: bytecode, its source map, and what sets its Runtimes apart from
// those of others. It also keeps one place per worker where that worker's Runtime is found.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "filter-cc/config.h"
#include "filter-cc/files.h"
#include "filter-cc/jobs.h"
#include "filter-cc/keepalive.h"
#include "filter-cc/metrics.h"
#include "filter-cc/runtime_keys.h"
#include "filter-cc/secrets.h"
#include "filter-cc/shared.h"
#include "filter-cc/source_map.h"
#include "quickjs/result.h"

namespace fairlead {

namespace js {
struct HostModule;
}
class Runtime;

/** The functions that a filter may have. */
enum class Hook : uint8_t {
  Configure,
  OnRequest,
  OnRequestChunk,
  OnRequestTrailers,
  OnResponse,
  OnResponseChunk,
  OnResponseTrailers,
  OnLog,
  Count,
  /** A job of every(), which is no member of the filter. */
  Every = Count
};

/** `onRequest` for Hook::OnRequest. */
std::string_view hookName(Hook hook);

/** The contract version of host_api.def. */
uint32_t contractVersion();
/** FNV-1a over the text of all its rows in their order: tells two builds of one version apart. */
uint64_t contractHash();

/** The modules that a script can import, by names alone: enough to compile. */
std::vector<js::HostModule> importableModules();

/** A worker's place for its Runtime. */
struct alignas(64) WorkerSlot {
  /** The Runtime while no stream uses it. Taken and put back with an exchange, by any thread. */
  std::atomic<Runtime*> parked{nullptr};
  /** The Runtime while streams use it. Thread: the worker. */
  Runtime* active = nullptr;
  /** When the last Runtime was made after a fault. Thread: the worker. */
  uint64_t rebuiltNs = 0;
  /** Whether the worker has had one, since idle ones were freed last. Thread: any. */
  std::atomic<bool> used{false};
  /** How often one was taken from here; it wraps. Written by the worker. */
  std::atomic<uint32_t> taken{0};
  // For Script::freeIdle:
  uint32_t seenTaken = 0;
  uint32_t idleS = 0;
};

/** A script before anything of it has run. */
struct Code {
  std::vector<uint8_t> bytecode;
  /** What the engine calls the module; its source map speaks of that file. */
  std::string moduleName;
  /** Null where there is none. */
  std::unique_ptr<SourceMap> sourceMap;
  /** Of all three. */
  std::string hash;
};

/** Immutable but for its slots. Thread: made on the main thread; the slots as said there. */
class Script {
public:
  /**
   * Reads or compiles the source, evaluates it once and runs configure(), so that a bad script is
   * refused before it serves. Two configs with equal code and equal limits on memory and stack,
   * equal filter name and equal clusters get the same Script.
   * Thread: main. Codes: E_CONFIG_FILE, E_SCRIPT_…, E_CONFIGURE_THROW, E_TOP_LEVEL_PENDING,
   * E_LOAD_LIMIT, and those of the bytecode container. Positions are those of the user's files.
   */
  enum class Configure : uint8_t { Now, Later };
  static Result<std::shared_ptr<Script>> load(const Config& config, Configure configure = Configure::Now);
  /**
   * What `loaded` is, with the capabilities and limits of `config`, whose filter has `filter`: what a route's own
   * script runs as. Thread: any.
   */
  static std::shared_ptr<Script> adapted(const Script& loaded, const Script& filter, const Config& config);
  /** One without hooks. Thread: any. */
  static std::shared_ptr<Script> none();

  Script(const Script&) = delete;
  Script& operator=(const Script&) = delete;
  /** Frees the parked runtimes. Thread: any. Requires: no stream uses one. */
  ~Script();

  const std::string& filterName() const { return filterName_; }
  const std::vector<uint8_t>& bytecode() const { return code_->bytecode; }
  /** What its top level declares. */
  const std::vector<MetricShape>& metrics() const { return metrics_; }
  /** Whether the top level has been run once, so that what it declares is known. */
  bool isLoaded() const { return metricNames_ != nullptr; }
  bool hasHook(Hook hook) const { return (hooks_ & maskOf(hook)) != 0; }
  bool hasEither(Hook one, Hook other) const { return (hooks_ & (maskOf(one) | maskOf(other))) != 0; }
  const Limits& limits() const { return limits_; }
  /** What it shares with all scripts of its filter name. Thread: any. */
  SharedStore& shared() const { return *shared_; }
  /** Whether it was loaded by a proxy that only checks its configuration. */
  bool validating() const { return validating_; }
  /** The intervals of its jobs, in nanoseconds. */
  const std::vector<uint64_t>& jobs() const { return jobs_; }
  /** Requires: workerIndex < host::concurrency(), or it is that and there are jobs: the main thread's. */
  WorkerSlot& slot(uint32_t workerIndex) { return slots_[workerIndex]; }

  /**
   * Makes a Runtime with the settings of `config` for each worker that has one of `old`, so that no stream
   * has to wait for it. Thread: main.
   */
  void prebuild(const Script& old, const Config& config);
  /**
   * A second has passed: frees what has been parked, and was not taken, for as long as `idle_s` says. Thread: any, one at
   * a time.
   */
  static void freeIdle();
  /** A generation of a config that has it becomes live. Thread: main. */
  void claim();
  /** One less; of the last one frees what is parked, now and from now on: no new stream will come. Thread: main. */
  void release();
  bool isSuperseded() const { return superseded_.load(std::memory_order_relaxed); }

  /** Rewrites the positions of an error, and of its stack, to those of the user's own files. */
  void mapPositions(Error& error) const;
  /** The same for one position. */
  void mapPosition(std::string& file, uint32_t& line, uint32_t& column) const;

private:
  static_assert(static_cast<size_t>(Hook::Count) <= 8);
  static constexpr uint8_t maskOf(Hook hook) {
    return static_cast<uint8_t>(1U << static_cast<uint8_t>(hook));
  }

  Script() = default;

  /**
   * Runs the top level and configure(), in a Runtime of its own that is gone afterwards; gives the
   * hooks, metrics and jobs that there are. Workers may use the script meanwhile.
   */
  struct World {
    uint8_t hooks;
    std::vector<MetricShape> metrics;
    std::vector<uint64_t> jobs;
  };
  Result<World> evaluate(const Config& config, Configure configure) const;
  void makeSlots(uint32_t count);
  void freeIdleHere();

  std::string filterName_;
  /** Shared by those that differ in capabilities and limits alone. */
  std::shared_ptr<const Code> code_;
  std::shared_ptr<SharedStore> shared_;
  std::shared_ptr<MetricNames> metricNames_;
  std::vector<MetricShape> metrics_;
  std::vector<uint64_t> jobs_;
  Limits limits_;
  uint32_t idleS_ = 0;
  uint8_t hooks_ = 0;
  bool validating_ = false;
  std::atomic<uint32_t> claims_{0};
  std::atomic<bool> superseded_{false};
  std::unique_ptr<WorkerSlot[]> slots_;
  uint32_t slotCount_ = 0;
};

/** What the streams of all generations of a config tell of. Thread: any. */
struct Reloads {
  std::atomic<uint64_t> generation{1};
  /** That no stream has counted yet. */
  std::atomic<uint64_t> failures{0};
};

/** A config and the script it names: what a stream runs by. */
struct FilterConfig {
  /** Without the text of its source, unless that is a path. */
  Config config;
  std::shared_ptr<Script> script;
  /** Empty where there is no proxy to know them. */
  MetricIds metricIds{};
  /** Unlike that of any other config the process has had; never 0. */
  const uint64_t id = nextId();
  // What all generations share; null where the config names no keys, secrets, clusters.
  std::shared_ptr<RuntimeKeys> runtimeKeys{};
  std::shared_ptr<ConfigSecrets> secrets{};
  std::shared_ptr<KeepaliveCalls> keepalive{};
  /** Null where it does not reload. */
  std::shared_ptr<Reloads> reloads{};
  /** For others to see whether it lives. */
  std::shared_ptr<const void> life{};
  /** Of its file, before that was read. */
  FileStamp fileStamp{};
  /** What every() asked for. Last, so that they go first. Thread: main. */
  std::vector<std::unique_ptr<Job>> jobs{};

  static uint64_t nextId();
  /** Parses, loads, evaluates; makes the metrics known to `host`, and starts the jobs. Thread: main. */
  static Result<std::unique_ptr<FilterConfig>> create(std::string_view filterName,
                                                      std::string_view bytes,
                                                      HostConfig* host = nullptr);
  /** The next generation: the same config with what its file holds now. Thread: main. */
  static Result<std::unique_ptr<FilterConfig>> reload(const FilterConfig& old);
  void startJobs(HostConfig& host);
};

}  // namespace fairlead
