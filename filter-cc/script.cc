// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/script.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "filter-cc/errors.h"
#include "filter-cc/host.h"
#include "filter-cc/runtime.h"
#include "quickjs/bytecode.h"
#include "quickjs/engine.h"

namespace fairlead {
namespace {

// --- The contract ---

constexpr uint32_t kContractVersion =
#define HOST_CONTRACT(version) version
#include "sdk-types/host_api.def"
#undef HOST_CONTRACT
    ;

/** A row as text; class and member are set where the row is about a member. */
struct ContractRow {
  std::string_view text;
  std::string_view cls;
  std::string_view member;
};

constexpr ContractRow kContractRows[] = {
#define HOST_headers
#define HOST_message
#define HOST_body
#define HOST_stream
#define HOST_facts
#define HOST_metadata
#define HOST_routing
#define HOST_tracing
#define HOST_fetch
#define HOST_timers
#define HOST_once
#define HOST_shared
#define HOST_metrics
#define HOST_runtime_keys
#define HOST_secrets
#define HOST_jobs
#define HOST_console
#define HOST_url
#define HOST_async
#define HOST_encoding
#define HOST_crypto
#define HOST_clone
#define HOST_events
#define HOST_scope
#define HOST_streams
#define HOST_urlpattern
#define HOST_forms
#define HOST_compression
#define HOST_engine
#define HOST_CONTRACT(version)
#define HOST_CLASS(...) {"CLASS " #__VA_ARGS__, {}, {}},
#define HOST_OBJECT(...) {"OBJECT " #__VA_ARGS__, {}, {}},
#define HOST_NEW(...) {"NEW " #__VA_ARGS__, {}, {}},
#define HOST_FN(cls, member, ...) {"FN " #cls ", " #member ", " #__VA_ARGS__, #cls, #member},
#define HOST_STATIC(...) {"STATIC " #__VA_ARGS__, {}, {}},
#define HOST_GET(cls, member, ...) {"GET " #cls ", " #member ", " #__VA_ARGS__, #cls, #member},
#define HOST_GETSET(...) {"GETSET " #__VA_ARGS__, {}, {}},
#define HOST_ALIAS(...) {"ALIAS " #__VA_ARGS__, {}, {}},
#define HOST_CONST(...) {"CONST " #__VA_ARGS__, {}, {}},
#define HOST_ATTRIBUTE(...) {"ATTRIBUTE " #__VA_ARGS__, {}, {}},
#include "sdk-types/host_api.def"
};

constexpr uint64_t hashRows() {
  uint64_t hash = 0xCBF29CE484222325;
  for (const ContractRow& row : kContractRows) {
    for (const char c : row.text)
      hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3;
    hash = (hash ^ '\n') * 0x100000001B3;
  }
  return hash;
}
constexpr uint64_t kContractHash = hashRows();

// --- Files ---

constexpr size_t kMaxFileBytes = size_t{64} * 1024 * 1024;

Error fileError(const std::string& path, std::string_view cause) {
  return makeError(ErrorCode::E_CONFIG_FILE, {describeFile(path), cause});
}

// --- Positions in stacks ---

struct Place {
  std::string file;
  uint32_t line = 0;
  uint32_t column = 0;
};

/** Cuts `:digits` off the end. */
bool takeNumber(std::string_view& text, uint32_t& number) {
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return false;
  const char* end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data() + colon + 1, end, number);
  text = text.substr(0, colon);
  return failed == std::errc() && stop == end;
}

std::optional<Place> readPlace(std::string_view text) {
  Place place;
  if (!takeNumber(text, place.column) || !takeNumber(text, place.line))
    return std::nullopt;
  place.file = text;
  return place;
}

/** Calls `visit` for the place in each line `    at name (place)` or `    at place`. */
template <class Visit> std::string rewriteStack(std::string_view stack, Visit&& visit) {
  constexpr std::string_view kAt = "    at ";
  std::string result;
  while (!stack.empty()) {
    const std::string_view line = stack.substr(0, std::min(stack.find('\n'), stack.size() - 1) + 1);
    stack.remove_prefix(line.size());
    std::string_view frame = line.ends_with('\n') ? line.substr(0, line.size() - 1) : line;
    const size_t open = frame.rfind(" (");
    const bool named = frame.ends_with(')') && open != std::string_view::npos;
    const size_t begin = named ? open + 2 : kAt.size();
    const size_t end = frame.size() - (named ? 1 : 0);
    std::optional<Place> place;
    if (frame.starts_with(kAt))
      place = readPlace(frame.substr(begin, end - begin));
    if (!place) {
      result += line;
      continue;
    }
    visit(*place);
    result += line.substr(0, begin);
    result += place->file + ':' + std::to_string(place->line) + ':' + std::to_string(place->column);
    result += line.substr(end);
  }
  return result;
}

// --- Code ---

std::span<const uint8_t> bytesOf(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

/** The same place, in the words of a row of host_errors.def. */
Error reworded(Error error, ErrorCode code, ErrorArgs args) {
  error.message = errorMessage(code, args);
  error.code = errorName(code);
  return error;
}

/** The row has the advice itself. */
Error importError(Error error) {
  const std::string cause = error.message.substr(0, error.message.find("; "));
  return reworded(std::move(error), ErrorCode::E_SCRIPT_IMPORT, {cause});
}

Error compileError(Error error) {
  const std::string cause = error.message;
  if (error.code == errorName(ErrorCode::E_MEMORY_LIMIT))
    return reworded(std::move(error), ErrorCode::E_LOAD_LIMIT, {"the compiler", "its memory"});
  if (error.code == errorName(ErrorCode::E_STACK_LIMIT))
    return reworded(std::move(error), ErrorCode::E_SCRIPT_SYNTAX,
                    {"the source is nested too deep"});
  if (error.code == "E_UNKNOWN_IMPORT")
    return importError(std::move(error));
  return reworded(std::move(error), ErrorCode::E_SCRIPT_SYNTAX, {cause});
}

/** For an error of the top level. One that has a code of ours, or of the script's own, keeps it. */
Error loadError(Error error) {
  const std::string cause = error.message;
  if (error.code == "E_THROWN")
    return reworded(std::move(error), ErrorCode::E_SCRIPT_THROW, {cause});
  if (error.code == "E_UNKNOWN_IMPORT")
    return importError(std::move(error));
  return error;
}

std::shared_ptr<const Code> makeCode(std::vector<uint8_t> bytecode, std::string moduleName,
                                     std::string sourceMap) {
  const std::string names = std::to_string(moduleName.size()) + ':' + moduleName + sourceMap;
  const auto hash = sha256({bytesOf(names), bytecode});
  auto map = sourceMap.empty() ? nullptr : std::make_unique<SourceMap>(std::move(sourceMap));
  return std::make_shared<const Code>(
      Code{std::move(bytecode), std::move(moduleName), std::move(map), {hash.begin(), hash.end()}});
}

Result<std::shared_ptr<const Code>> compileSource(std::string_view source, const std::string& moduleName) {
  auto bytecode = js::compile(source, moduleName, importableModules());
  if (!bytecode)
    return compileError(std::move(bytecode).error());
  return makeCode(*std::move(bytecode), moduleName, {});
}

Result<std::shared_ptr<const Code>> readContainer(std::string_view bytes) {
  const auto view = parseBytecode(bytesOf(bytes), kContractVersion);
  if (!view)
    return view.error();
  const auto manifest = parseManifest(view->manifestJson);
  if (!manifest)
    return manifest.error();
  // The bundler compiles a filter under this name.
  return makeCode({view->bytecode.begin(), view->bytecode.end()}, manifest->name + ".js",
                  std::string(view->sourceMap.value_or("")));
}

Result<std::shared_ptr<const Code>> readCode(const Source& source) {
  if (source.kind == Source::Kind::Inline)
    return compileSource(source.text, "inline");
  if (source.kind == Source::Kind::Bytecode)
    return readContainer(source.text);
  std::string cause;
  const std::optional<std::string> content = readFile(source.text, kMaxFileBytes, cause);
  if (!content)
    return fileError(source.text, cause);
  const bool isContainer = hasBytecodeMagic(bytesOf(*content));
  if (!isContainer && findInvalidUtf8(*content))
    return fileError(source.text, "it is neither a .qjb file nor JavaScript in UTF-8");
  auto code = isContainer ? readContainer(*content) : compileSource(*content, source.text);
  if (!code && code.error().file.empty())
    code.error().file = source.text;
  return code;
}

// --- Scripts that are alive ---

/** By identity. Thread: any. */
class Registry {
public:
  static Registry& instance() {
    // Never destroyed: at process exit nothing of ours is.
    static auto& registry = *new Registry();
    return registry;
  }
  std::shared_ptr<Script> find(const std::string& identity) {
    const Lock lock(mutex_);
    std::erase_if(scripts_, [](const auto& entry) { return entry.second.expired(); });
    const auto known = scripts_.find(identity);
    return known == scripts_.end() ? nullptr : known->second.lock();
  }
  std::vector<std::shared_ptr<Script>> alive() {
    const Lock lock(mutex_);
    std::vector<std::shared_ptr<Script>> found;
    for (const auto& [identity, weak] : scripts_) {
      if (std::shared_ptr<Script> script = weak.lock())
        found.push_back(std::move(script));
    }
    return found;
  }
  void add(std::string identity, const std::shared_ptr<Script>& script) {
    const Lock lock(mutex_);
    scripts_.insert_or_assign(std::move(identity), script);
  }

private:
  Mutex mutex_;
  std::map<std::string, std::weak_ptr<Script>> scripts_;
};

/** What sets a Script apart: its code, the engine, and whatever a Runtime is made by. */
std::string identityOf(const Config& config, const Code& code) {
  std::string text;
  const auto add = [&text](std::string_view part) {
    text += std::to_string(part.size()) + ':';
    text += part;
  };
  add(engineId());
  add(config.filterName);
  add(std::to_string(config.limits.memoryMb));
  add(std::to_string(config.limits.stackKb));
  for (const auto& [host, cluster] : config.clusters) {
    add(host);
    add(cluster);
  }
  add(code.hash);
  const auto hash = sha256({bytesOf(text)});
  return {hash.begin(), hash.end()};
}

}  // namespace

std::string_view hookName(Hook hook) {
  constexpr std::string_view kNames[] = {"configure",
                                         "onRequest",
                                         "onRequestChunk",
                                         "onRequestTrailers",
                                         "onResponse",
                                         "onResponseChunk",
                                         "onResponseTrailers",
                                         "onLog",
                                         "every()"};
  static_assert(std::size(kNames) == static_cast<size_t>(Hook::Every) + 1);
  return kNames[static_cast<size_t>(hook)];
}

uint32_t contractVersion() { return kContractVersion; }

uint64_t contractHash() { return kContractHash; }

std::vector<js::HostModule> importableModules() {
  js::HostModule module{.name = "fairlead", .exportNames = {}};
  for (const ContractRow& row : kContractRows) {
    if (row.cls == module.name)
      module.exportNames.emplace_back(row.member);
  }
  return {std::move(module)};
}

Result<std::shared_ptr<Script>> Script::load(const Config& config, Configure configure) {
  auto code = readCode(config.source);
  if (!code)
    return std::move(code).error();

  Registry& registry = Registry::instance();
  std::string identity = identityOf(config, **code);
  if (auto alive = registry.find(identity)) {
    // Its top level has run before; only configure() can still refuse.
    if (configure == Configure::Now && alive->hasHook(Hook::Configure)) {
      if (auto evaluated = alive->evaluate(config, configure); !evaluated)
        return std::move(evaluated).error();
    }
    alive->shared_->setLimit(size_t{config.limits.sharedKb} * 1024);
    return alive;
  }

  std::shared_ptr<Script> script(new Script());
  script->filterName_ = config.filterName;
  script->code_ = *std::move(code);
  script->limits_ = config.limits;
  script->idleS_ = config.idleS;
  script->validating_ = host::validating();
  script->shared_ = SharedStore::of(config.filterName);
  auto world = script->evaluate(config, configure);
  if (!world)
    return std::move(world).error();
  auto names = MetricNames::of(config.filterName);
  if (auto added = names->add(world->metrics); !added)
    return std::move(added).error();
  script->hooks_ = world->hooks;
  script->metrics_ = std::move(world->metrics);
  script->jobs_ = std::move(world->jobs);
  // One more for the main thread, which runs the jobs.
  script->makeSlots(std::max(host::concurrency(), 1U) + (script->jobs_.empty() ? 0 : 1));
  script->metricNames_ = std::move(names);
  script->shared_->setLimit(size_t{config.limits.sharedKb} * 1024);
  registry.add(std::move(identity), script);
  return script;
}

std::shared_ptr<Script> Script::adapted(const Script& loaded, const Script& filter, const Config& config) {
  Registry& registry = Registry::instance();
  std::string identity = identityOf(config, *loaded.code_);
  if (auto alive = registry.find(identity))
    return alive;
  std::shared_ptr<Script> script(new Script());
  script->filterName_ = config.filterName;
  script->code_ = loaded.code_;
  script->limits_ = config.limits;
  script->idleS_ = config.idleS;
  script->validating_ = loaded.validating_;
  script->shared_ = filter.shared_;
  script->metricNames_ = filter.metricNames_;
  script->hooks_ = loaded.hooks_;
  script->makeSlots(filter.slotCount_);
  registry.add(std::move(identity), script);
  return script;
}

std::shared_ptr<Script> Script::none() {
  // Never destroyed: at process exit nothing of ours is.
  static const auto& none = *new std::shared_ptr<Script>(new Script());
  return none;
}

void Script::makeSlots(uint32_t count) {
  slotCount_ = count;
  slots_ = std::make_unique<WorkerSlot[]>(count);
}

Script::~Script() {
  for (uint32_t i = 0; i < slotCount_; ++i)
    delete slots_[i].parked.exchange(nullptr);
}

void Script::prebuild(const Script& old, const Config& config) {
  for (uint32_t i = 0; i < std::min(slotCount_, old.slotCount_); ++i) {
    if (old.slots_[i].used && !slots_[i].used)
      Runtime::park(*this, i, config);
  }
}

void Script::freeIdle() {
  for (const std::shared_ptr<Script>& script : Registry::instance().alive())
    script->freeIdleHere();
}

void Script::freeIdleHere() {
  for (uint32_t i = 0; i < slotCount_; ++i) {
    WorkerSlot& slot = slots_[i];
    const uint32_t taken = slot.taken.load(std::memory_order_relaxed);
    const bool isParked = slot.parked.load(std::memory_order_relaxed) != nullptr;
    slot.idleS = isParked && taken == slot.seenTaken ? slot.idleS + 1 : 0;
    slot.seenTaken = taken;
    if (slot.idleS <= idleS_)
      continue;
    slot.idleS = 0;
    slot.used.store(false, std::memory_order_relaxed);
    delete slot.parked.exchange(nullptr, std::memory_order_acquire);
  }
}

void Script::claim() {
  ++claims_;
  superseded_ = false;
}

void Script::release() {
  if (--claims_ != 0)
    return;
  superseded_ = true;
  for (uint32_t i = 0; i < slotCount_; ++i)
    delete slots_[i].parked.exchange(nullptr);
}

Result<Script::World> Script::evaluate(const Config& config, Configure configure) const {
  const auto refused = [this](Error error) {
    mapPositions(error);
    // What concerns the module as a whole is said of its begin.
    if (error.file.empty()) {
      error.file = code_->moduleName;
      error.line = error.column = 1;
    }
    return error;
  };
  auto runtime = Runtime::create(*this);
  if (!runtime)
    return refused(loadError(std::move(runtime).error()));
  if (configure == Configure::Now) {
    if (auto settings = (*runtime)->settings(config); !settings)
      return refused(std::move(settings).error());
  }
  World world{(*runtime)->hookMask(), std::move((*runtime)->metrics()), {}};
  for (const Runtime::JobFunction& job : (*runtime)->jobs())
    world.jobs.push_back(job.intervalNs);
  return world;
}

void Script::mapPositions(Error& error) const {
  mapPosition(error.file, error.line, error.column);
  if (code_ == nullptr || code_->sourceMap == nullptr)
    return;
  error.stack = rewriteStack(error.stack, [this](Place& place) {
    mapPosition(place.file, place.line, place.column);
  });
}

void Script::mapPosition(std::string& file, uint32_t& line, uint32_t& column) const {
  // What has been mapped already, and what is not of the bundle, has another name.
  if (code_ != nullptr && code_->sourceMap != nullptr && file == code_->moduleName)
    code_->sourceMap->map(file, line, column);
}

uint64_t FilterConfig::nextId() {
  static std::atomic<uint64_t> last{0};
  return ++last;
}

Result<std::unique_ptr<FilterConfig>> FilterConfig::create(std::string_view filterName,
                                                           std::string_view bytes,
                                                           HostConfig* host) {
  auto config = parseConfig(filterName, bytes);
  if (!config)
    return std::move(config).error();
  std::shared_ptr<ConfigSecrets> secrets;
  if (!config->secrets.empty()) {
    auto read = ConfigSecrets::read(*config);
    if (!read)
      return std::move(read).error();
    secrets = *std::move(read);
  }
  const FileStamp stamp = config->watch ? lookAtFile(config->source.text) : FileStamp();
  auto script = Script::load(*config);
  if (!script)
    return std::move(script).error();
  // The script has its own form of it.
  if (config->source.kind != Source::Kind::File)
    config->source.text = std::string();
  std::unique_ptr<FilterConfig> made(new FilterConfig{*std::move(config), *std::move(script)});
  made->secrets = std::move(secrets);
  made->fileStamp = stamp;
  if (host == nullptr)
    return made;
  if (made->config.watch)
    made->reloads = std::make_shared<Reloads>();
  made->metricIds = defineMetrics(*host, filterName, made->script->metrics(), made->config.watch);
  const bool validated = made->script->validating();
  if (made->secrets != nullptr) {
    if (Result<void> started = made->secrets->start(*host, validated); !started)
      return std::move(started).error();
  }
  if (validated)
    return made;
  if (!made->config.runtimeKeys.empty()) {
    made->runtimeKeys = std::make_shared<RuntimeKeys>(made->config.runtimeKeys);
    made->runtimeKeys->start(*host);
  }
  if (!made->config.clusters.empty()) {
    made->keepalive = std::make_shared<KeepaliveCalls>(made->config, made->metricIds);
    made->keepalive->start(*host);
  }
  made->startJobs(*host);
  return made;
}

Result<std::unique_ptr<FilterConfig>> FilterConfig::reload(const FilterConfig& old) {
  auto script = Script::load(old.config);
  if (!script)
    return std::move(script).error();
  std::unique_ptr<FilterConfig> made(new FilterConfig{old.config, *std::move(script)});
  made->metricIds = old.metricIds.forDeclared(made->script->metrics());
  made->runtimeKeys = old.runtimeKeys;
  made->secrets = old.secrets;
  made->keepalive = old.keepalive;
  made->reloads = old.reloads;
  return made;
}

void FilterConfig::startJobs(HostConfig& host) {
  const std::vector<uint64_t>& intervals = script->jobs();
  for (size_t i = 0; i < intervals.size(); ++i) {
    jobs.push_back(std::make_unique<Job>(*this, i, intervals[i]));
    jobs.back()->start(host);
  }
}

}  // namespace fairlead
