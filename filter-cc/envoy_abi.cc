// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// A stock Envoy behind host.h, and the event hooks that Envoy calls.
//
// Every hook is a barrier: no C++ exception leaves it, and a stream whose hook threw is answered as
// its failure policy says, never passed on. Every hook that can end its stream holds a reference, for
// Envoy 1.38 and 1.39 destroy a filter inside our own calls.

#include "filter-cc/envoy_abi.h"

#include <algorithm>
#include <atomic>
#include <bit>
#include <ctime>

#include <exception>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <set>
#include <string>
#include <vector>

#include "filter-cc/errors.h"
#include "filter-cc/host.h"
#include "filter-cc/keeper.h"
#include "filter-cc/recycled.h"
#include "filter-cc/reload.h"
#include "filter-cc/route.h"
#include "filter-cc/stream.h"

namespace fairlead {
namespace {

using ModuleBuffer = envoy_dynamic_module_type_module_buffer;
using EnvoyBuffer = envoy_dynamic_module_type_envoy_buffer;
using ModuleHeader = envoy_dynamic_module_type_module_http_header;
using EnvoyHeader = envoy_dynamic_module_type_envoy_http_header;

// Of envoy_dynamic_module_type_attribute_id.
constexpr int kRequestProtocol = 10;
constexpr int kUpstreamAddress = 41;
// When an option is set on a socket of an upstream: before it is bound, which is early enough for every option.
constexpr int kPrebind = 0;

/** What a client sees when there is not even a stream to ask for its policy. */
constexpr uint32_t kStandInStatus = 500;
constexpr std::string_view kStandInDetails = "fairlead_no_filter";

ModuleBuffer toModule(std::string_view text) { return {text.data(), text.size()}; }
std::string_view toView(const EnvoyBuffer& buffer) { return {buffer.ptr, buffer.length}; }

std::vector<ModuleHeader> toModule(std::span<const HeaderField> fields) {
  std::vector<ModuleHeader> headers;
  headers.reserve(fields.size());
  for (const HeaderField& field : fields)
    headers.push_back(
        {field.name.data(), field.name.size(), field.value.data(), field.value.size()});
  return headers;
}

/** The headers of a reply, mostly so few that they need no memory. */
class ReplyHeaders {
public:
  explicit ReplyHeaders(std::span<const HeaderField> fields) : size_(fields.size()) {
    if (size_ > std::size(few_))
      many_ = toModule(fields);
    else
      std::transform(fields.begin(), fields.end(), few_, [](const HeaderField& field) {
        return ModuleHeader{field.name.data(), field.name.size(), field.value.data(), field.value.size()};
      });
  }
  ModuleHeader* data() { return many_.empty() ? few_ : many_.data(); }
  size_t size() const { return size_; }

private:
  const size_t size_;
  ModuleHeader few_[4];
  std::vector<ModuleHeader> many_;
};

std::vector<ModuleBuffer> toModule(std::span<const std::string_view> texts) {
  std::vector<ModuleBuffer> buffers;
  buffers.reserve(texts.size());
  for (const std::string_view text : texts)
    buffers.push_back(toModule(text));
  return buffers;
}

/** Configs of ours. Thread: any. */
class KnownConfigs {
public:
  /** Of filters: Envoy may name one that is gone when it ends its calls. */
  static KnownConfigs& instance() {
    static auto& configs = *new KnownConfigs();
    return configs;
  }
  /** Of routes: another module's can stand under our filter's name. */
  static KnownConfigs& ofRoutes() {
    static auto& configs = *new KnownConfigs();
    return configs;
  }
  void add(const void* config) {
    const std::lock_guard lock(mutex_);
    configs_.insert(config);
    ++changes_;
    none_ = false;
  }
  void remove(const void* config) {
    const std::lock_guard lock(mutex_);
    configs_.erase(config);
    ++changes_;
    none_ = configs_.empty();
  }
  bool none() const { return none_.load(std::memory_order_relaxed); }
  /** Different after each change. */
  uint64_t changes() const { return changes_.load(std::memory_order_acquire); }
  bool has(const void* config) {
    const std::lock_guard lock(mutex_);
    return configs_.contains(config);
  }

private:
  std::mutex mutex_;
  std::set<const void*> configs_;
  std::atomic<uint64_t> changes_{0};
  std::atomic<bool> none_{true};
};

using MetricUpdate = int(void* envoy, size_t id, ModuleBuffer* labels, size_t count, uint64_t value);

/** The callbacks for metrics, those of a stream or those of a config. */
struct MetricUpdates {
  MetricUpdate* incrementCounter;
  MetricUpdate* incrementGauge;
  MetricUpdate* decrementGauge;
  MetricUpdate* setGauge;
  MetricUpdate* recordHistogram;
};

void changeMetric(const MetricUpdates& updates, void* envoy, MetricKind kind, MetricChange change,
                  size_t id, std::span<const std::string_view> labels, uint64_t value) {
  std::vector<ModuleBuffer> values = toModule(labels);
  const auto updateOf = [&] {
    switch (change) {
    case MetricChange::Add:
      return kind == MetricKind::Counter ? updates.incrementCounter : updates.incrementGauge;
    case MetricChange::Subtract:
      return updates.decrementGauge;
    case MetricChange::Set:
      return updates.setGauge;
    default:
      return updates.recordHistogram;
    }
  };
  updateOf()(envoy, id, values.data(), values.size(), value);
}

/** The Background of each job of a config, by the number that Envoy knows it by. */
using JobNumbers = std::map<uint64_t, Background*>;

class EnvoyJob final : public HostJob {
public:
  EnvoyJob(void* envoy, JobNumbers& jobs, uint64_t number)
      : envoy_(envoy), jobs_(jobs), number_(number),
        scheduler_(envoy_dynamic_module_callback_http_filter_config_scheduler_new(envoy)),
        wake_(postWake, this), watch_(postWake, this) {}

  ~EnvoyJob() override {
    Keeper::instance().clear(wake_);
    if (watches_)
      Keeper::instance().unwatch(watch_);
    envoy_dynamic_module_callback_http_filter_config_scheduler_delete(scheduler_);
    jobs_.erase(number_);
  }

  void wakeAt(uint64_t deadlineNs) override { Keeper::instance().set(wake_, deadlineNs); }

  void watchFile(const std::string& path) override {
    watches_ = true;
    Keeper::instance().watch(watch_, path);
  }
  FileNews fileNews() override { return Keeper::instance().look(watch_); }

  CalloutStart startCallout(std::string_view cluster, std::span<const HeaderField> headers,
                            std::string_view body, bool endStream, uint64_t& calloutId) override {
    std::vector<ModuleHeader> fields = toModule(headers);
    constexpr uint64_t kNoTimeout = 0;
    return static_cast<CalloutStart>(
        envoy_dynamic_module_callback_http_filter_config_start_http_stream(
            envoy_, &calloutId, toModule(cluster), fields.data(), fields.size(), toModule(body),
            endStream, kNoTimeout));
  }

  bool sendCalloutData(uint64_t calloutId, std::string_view bytes, bool endStream) override {
    return envoy_dynamic_module_callback_http_filter_config_stream_send_data(
        envoy_, calloutId, toModule(bytes), endStream);
  }

  void resetCallout(uint64_t calloutId) override {
    envoy_dynamic_module_callback_http_filter_config_reset_http_stream(envoy_, calloutId);
  }

  bool updateMetric(MetricKind kind, MetricChange change, size_t metricId,
                    std::span<const std::string_view> labels, uint64_t value) override {
    // All five came together.
    if (envoy_dynamic_module_callback_http_filter_config_increment_counter == nullptr)
      return false;
    changeMetric({envoy_dynamic_module_callback_http_filter_config_increment_counter,
                  envoy_dynamic_module_callback_http_filter_config_increment_gauge,
                  envoy_dynamic_module_callback_http_filter_config_decrement_gauge,
                  envoy_dynamic_module_callback_http_filter_config_set_gauge,
                  envoy_dynamic_module_callback_http_filter_config_record_histogram_value},
                 envoy_, kind, change, metricId, labels, value);
    return true;
  }

  std::string secret(size_t id) override {
    EnvoyBuffer value{};
    if (!envoy_dynamic_module_callback_http_filter_config_get_generic_secret(envoy_, id, &value))
      return {};
    return std::string(toView(value));
  }

private:
  static void postWake(void* job) {
    const auto* self = static_cast<EnvoyJob*>(job);
    envoy_dynamic_module_callback_http_filter_config_scheduler_commit(self->scheduler_,
                                                                      self->number_);
  }

  void* const envoy_;
  JobNumbers& jobs_;
  const uint64_t number_;
  void* const scheduler_;
  Keeper::Entry wake_;
  Keeper::Watch watch_;
  bool watches_ = false;
};

/** What Envoy holds as our filter config. */
class EnvoyConfig final : public HostConfig {
public:
  explicit EnvoyConfig(void* envoy) : envoy_(envoy) {}

  Result<void> load(std::string_view filterName, std::string_view bytes) {
    auto live = LiveConfig::create(filterName, bytes, *this);
    if (!live)
      return std::move(live).error();
    live_ = *std::move(live);
    return {};
  }
  LiveConfig& live() const { return *live_; }

  std::unique_ptr<HostJob> newJob(Background& job) override {
    jobs_.emplace(++lastJob_, &job);
    return std::make_unique<EnvoyJob>(envoy_, jobs_, lastJob_);
  }
  /** Null: it is gone. Thread: main. */
  Background* job(uint64_t number) const {
    const auto found = jobs_.find(number);
    return found == jobs_.end() ? nullptr : found->second;
  }
  const JobNumbers& jobs() const { return jobs_; }

  size_t defineMetric(MetricKind kind, const std::string& name,
                      std::span<const std::string_view> labels) override {
    std::vector<ModuleBuffer> names = toModule(labels);
    size_t id = 0;
    const auto define = kind == MetricKind::Counter
                            ? envoy_dynamic_module_callback_http_filter_config_define_counter
                        : kind == MetricKind::Gauge
                            ? envoy_dynamic_module_callback_http_filter_config_define_gauge
                            : envoy_dynamic_module_callback_http_filter_config_define_histogram;
    define(envoy_, toModule(name), names.data(), names.size(), &id);
    return id;
  }

  size_t subscribeSecret(std::string_view name, std::string_view configSource) override {
    const auto subscribe = envoy_dynamic_module_callback_http_filter_config_generic_secret_subscribe;
    return subscribe == nullptr ? 0 : subscribe(envoy_, toModule(name), toModule(configSource));
  }

private:
  void* envoy_;
  uint64_t lastJob_ = 0;
  JobNumbers jobs_;
  // Last, so that it goes first.
  std::unique_ptr<LiveConfig> live_;
};

std::vector<std::string> toStrings(const std::vector<EnvoyBuffer>& buffers) {
  std::vector<std::string> strings;
  strings.reserve(buffers.size());
  for (const EnvoyBuffer& buffer : buffers)
    strings.emplace_back(toView(buffer));
  return strings;
}

// --- Metadata ---

/** Whether there is a value under a key. */
bool hasMetadata(void* envoy, int source, ModuleBuffer ns, std::string_view key) {
  std::vector<EnvoyBuffer> names(
      envoy_dynamic_module_callback_http_get_metadata_keys_count(envoy, source, ns));
  if (names.empty() ||
      !envoy_dynamic_module_callback_http_get_metadata_keys(envoy, source, ns, names.data()))
    return false;
  return std::any_of(names.begin(), names.end(),
                     [&](const EnvoyBuffer& name) { return toView(name) == key; });
}

/** A value of metadata, by the names that lead to it. */
std::string metadataId(MetadataSource source, std::string_view ns, std::string_view key) {
  std::string id(1, static_cast<char>('0' + static_cast<int>(source)));
  return id.append(ns).append(1, '\0').append(key);
}

/** Of what type a value was; Null stands for what cannot be read. */
struct KnownKind {
  MetadataValue::Kind kind;
  /** Of the items of a list. */
  std::vector<MetadataValue::Kind> items;
};
using KnownKinds = std::map<std::string, KnownKind, std::less<>>;

/** The types of what this thread has seen. */
KnownKinds& knownKinds() {
  static thread_local KnownKinds kinds;
  return kinds;
}

void rememberKind(std::string id, const MetadataValue& value) {
  constexpr size_t kMaxKnown = 1024;
  constexpr size_t kMaxItems = 64;
  if (knownKinds().size() >= kMaxKnown)
    knownKinds().clear();
  using Kind = MetadataValue::Kind;
  KnownKind known{value.kind == Kind::Object ? Kind::Null : value.kind, {}};
  for (size_t i = 0; i < std::min(value.items.size(), kMaxItems); ++i) {
    const Kind item = value.items[i].kind;
    known.items.push_back(item == Kind::List || item == Kind::Object ? Kind::Null : item);
  }
  knownKinds().insert_or_assign(std::move(id), std::move(known));
}

/**
 * Reads one value. Envoy cannot be asked for its type, and logs an error for most wrong guesses: so
 * what cannot go wrong is asked first, and what a key had is remembered.
 */
class MetadataReader {
public:
  using Kind = MetadataValue::Kind;

  MetadataReader(void* envoy, MetadataSource source, std::string_view ns, std::string_view key)
      : envoy_(envoy), source_(static_cast<int>(source)), ns_(toModule(ns)), key_(toModule(key)),
        id_(metadataId(source, ns, key)) {}

  std::optional<MetadataValue> read() {
    const auto known = knownKinds().find(id_);
    const bool isKnown = known != knownKinds().end();
    const Kind usual = isKnown ? known->second.kind : Kind::Null;
    if (isKnown)
      usualItems_ = known->second.items;
    if (usual != Kind::Null) {
      if (std::optional<MetadataValue> value = readAs(usual))
        return value;
    }
    if (!hasMetadata(envoy_, source_, ns_, {key_.ptr, key_.length}))
      return std::nullopt;
    if (std::optional<MetadataValue> list = readAs(Kind::List))
      return remember(std::move(list));
    if (isKnown && usual == Kind::Null)
      return std::nullopt;
    for (const Kind kind : {Kind::Text, Kind::Number, Kind::Flag}) {
      if (kind == usual)
        continue;
      if (std::optional<MetadataValue> value = readAs(kind))
        return remember(std::move(value));
    }
    return remember(std::nullopt);
  }

private:
  std::optional<MetadataValue> remember(std::optional<MetadataValue> value) {
    rememberKind(std::move(id_), value ? *value : MetadataValue());
    return value;
  }

  std::optional<MetadataValue> readAs(Kind kind) const {
    MetadataValue value;
    value.kind = kind;
    EnvoyBuffer text{nullptr, 0};
    bool read = false;
    switch (kind) {
    case Kind::Text:
      read = envoy_dynamic_module_callback_http_get_metadata_string(envoy_, source_, ns_, key_,
                                                                    &text);
      value.text = std::string(toView(text));
      break;
    case Kind::Number:
      read = envoy_dynamic_module_callback_http_get_metadata_number(envoy_, source_, ns_, key_,
                                                                    &value.number);
      break;
    case Kind::Flag:
      read = envoy_dynamic_module_callback_http_get_metadata_bool(envoy_, source_, ns_, key_,
                                                                  &value.flag);
      break;
    case Kind::List:
      read = readList(value.items);
      break;
    case Kind::Null:
    case Kind::Object:
      break;
    }
    return read ? std::optional(std::move(value)) : std::nullopt;
  }

  /** Items that are neither text nor number nor flag become null. */
  bool readList(std::vector<MetadataValue>& items) const {
    size_t size = 0;
    if (!envoy_dynamic_module_callback_http_get_metadata_list_size(envoy_, source_, ns_, key_,
                                                                   &size))
      return false;
    Kind kind = Kind::Text;
    for (size_t i = 0; i < size; ++i) {
      // What is not known is mostly of the type before it.
      const Kind usual = i < usualItems_.size() ? usualItems_[i] : kind;
      if (usual != Kind::Null && !readItem(usual, i, items)) {
        for (const Kind other : {Kind::Text, Kind::Number, Kind::Flag}) {
          if (other != usual && items.size() <= i && readItem(other, i, items))
            kind = other;
        }
      }
      if (items.size() <= i)
        items.emplace_back();
    }
    return true;
  }

  bool readItem(Kind kind, size_t index, std::vector<MetadataValue>& items) const {
    MetadataValue value;
    value.kind = kind;
    EnvoyBuffer text{nullptr, 0};
    bool read = false;
    if (kind == Kind::Text) {
      read = envoy_dynamic_module_callback_http_get_metadata_list_string(envoy_, source_, ns_, key_,
                                                                         index, &text);
      value.text = std::string(toView(text));
    } else if (kind == Kind::Number) {
      read = envoy_dynamic_module_callback_http_get_metadata_list_number(envoy_, source_, ns_, key_,
                                                                         index, &value.number);
    } else {
      read = envoy_dynamic_module_callback_http_get_metadata_list_bool(envoy_, source_, ns_, key_,
                                                                       index, &value.flag);
    }
    if (read)
      items.push_back(std::move(value));
    return read;
  }

  void* envoy_;
  const int source_;
  const ModuleBuffer ns_;
  const ModuleBuffer key_;
  std::string id_;
  std::vector<Kind> usualItems_;
};

// A google.protobuf.Struct is a map<string, Value> in field 1; numbers of fields as in its .proto.

void appendVarint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7)
    out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void appendBytes(std::string& out, uint32_t field, std::string_view bytes) {
  constexpr uint32_t kLengthDelimited = 2;
  appendVarint(out, field << 3 | kLengthDelimited);
  appendVarint(out, bytes.size());
  out += bytes;
}

std::string serializeValue(const MetadataValue& value);

void appendField(std::string& out, std::string_view key, const MetadataValue& value) {
  std::string entry;
  appendBytes(entry, 1, key);
  appendBytes(entry, 2, serializeValue(value));
  appendBytes(out, 1, entry);
}

std::string serializeValue(const MetadataValue& value) {
  using Kind = MetadataValue::Kind;
  constexpr char kNullTag = 1 << 3;
  constexpr char kNumberTag = 2 << 3 | 1;
  constexpr char kFlagTag = 4 << 3;
  std::string out;
  std::string inner;
  switch (value.kind) {
  case Kind::Null:
    out = {kNullTag, 0};
    break;
  case Kind::Number: {
    const auto bits = std::bit_cast<uint64_t>(value.number);
    out += kNumberTag;
    for (int shift = 0; shift < 64; shift += 8)
      out += static_cast<char>(bits >> shift);
    break;
  }
  case Kind::Text:
    appendBytes(out, 3, value.text);
    break;
  case Kind::Flag:
    out = {kFlagTag, value.flag ? '\1' : '\0'};
    break;
  case Kind::Object:
    for (size_t i = 0; i < value.items.size(); ++i)
      appendField(inner, value.keys[i], value.items[i]);
    appendBytes(out, 5, inner);
    break;
  case Kind::List:
    for (const MetadataValue& item : value.items)
      appendBytes(inner, 1, serializeValue(item));
    appendBytes(out, 6, inner);
    break;
  }
  return out;
}

/** Before 1.40: flat lists, and only under a key that has no value yet, for Envoy appends. */
bool writeList(void* envoy, ModuleBuffer ns, ModuleBuffer key, const MetadataValue& list) {
  using Kind = MetadataValue::Kind;
  if (list.items.empty())
    return false;
  for (const MetadataValue& item : list.items) {
    if (item.kind == Kind::Text)
      envoy_dynamic_module_callback_http_add_dynamic_metadata_list_string(envoy, ns, key,
                                                                          toModule(item.text));
    else if (item.kind == Kind::Number)
      envoy_dynamic_module_callback_http_add_dynamic_metadata_list_number(envoy, ns, key,
                                                                          item.number);
    else if (item.kind == Kind::Flag)
      envoy_dynamic_module_callback_http_add_dynamic_metadata_list_bool(envoy, ns, key, item.flag);
  }
  return true;
}

bool writeMetadata(void* envoy, std::string_view nsName, std::string_view keyName,
                   const MetadataValue& value) {
  using Kind = MetadataValue::Kind;
  const ModuleBuffer ns = toModule(nsName);
  const ModuleBuffer key = toModule(keyName);
  const auto isFlat = [](const MetadataValue& item) {
    return item.kind == Kind::Text || item.kind == Kind::Number || item.kind == Kind::Flag;
  };
  if (value.kind == Kind::Text) {
    envoy_dynamic_module_callback_http_set_dynamic_metadata_string(envoy, ns, key,
                                                                   toModule(value.text));
  } else if (value.kind == Kind::Number) {
    envoy_dynamic_module_callback_http_set_dynamic_metadata_number(envoy, ns, key, value.number);
  } else if (value.kind == Kind::Flag) {
    envoy_dynamic_module_callback_http_set_dynamic_metadata_bool(envoy, ns, key, value.flag);
  } else if (envoy_dynamic_module_callback_http_set_dynamic_metadata_struct != nullptr) {
    std::string fields;
    appendField(fields, keyName, value);
    envoy_dynamic_module_callback_http_set_dynamic_metadata_struct(envoy, ns, toModule(fields));
  } else if (value.kind != Kind::List ||
             !std::all_of(value.items.begin(), value.items.end(), isFlat) ||
             hasMetadata(envoy, static_cast<int>(MetadataSource::Dynamic), ns, keyName) ||
             !writeList(envoy, ns, key, value)) {
    return false;
  }
  rememberKind(metadataId(MetadataSource::Dynamic, nsName, keyName), value);
  return true;
}

/** Answers 500 for a stream that cannot be asked for its policy any more. */
void answerStandIn(void* envoy) noexcept {
  envoy_dynamic_module_callback_http_send_response(envoy, kStandInStatus, nullptr, 0, {nullptr, 0},
                                                   toModule(kStandInDetails));
}

/** Which worker this thread is: Envoy tells only for a filter that is alive. */
uint32_t workerIndexOf(void* envoy) {
  static thread_local const uint32_t index =
      envoy_dynamic_module_callback_http_filter_get_worker_index(envoy);
  return index;
}

class EnvoyStream final : public HostStream, public Recycled<EnvoyStream> {
public:
  EnvoyStream(void* envoy, LiveConfig& config)
      : envoy_(envoy), workerIndex_(workerIndexOf(envoy)), config_(config.current(workerIndex_)),
        stream_(*this, *config_) {}

  ~EnvoyStream() override { onDestroy(); }

  Stream& stream() { return stream_; }

  /** Envoy's filter is gone: from here on nothing may be asked of it. */
  void onDestroy() {
    if (scheduler_ != nullptr) {
      Keeper::instance().clear(*wake_);
      envoy_dynamic_module_callback_http_filter_scheduler_delete(scheduler_);
      scheduler_ = nullptr;
    }
    envoy_ = nullptr;
  }

  /** A hook has thrown: nobody knows what the stream is at, so it ends, and nothing of it goes on. */
  void failClosed() noexcept {
    failedClosed_ = true;
    if (envoy_ != nullptr && !answered_)
      answerStandIn(envoy_);
  }
  bool failedClosed() const { return failedClosed_; }

  const FilterConfig* routeConfig(const FilterConfig& filter) override {
    KnownConfigs& known = KnownConfigs::ofRoutes();
    if (known.none() || envoy_ == nullptr)
      return nullptr;
    const uint64_t changes = known.changes();
    const void* found = envoy_dynamic_module_callback_get_most_specific_route_config(envoy_);
    // What was known a moment ago needs no lock.
    static thread_local const void* last = nullptr;
    static thread_local uint64_t lastChanges = 0;
    if (found == nullptr || ((found != last || changes != lastChanges) && !known.has(found)))
      return nullptr;
    last = found;
    lastChanges = changes;
    routeConfig_ = static_cast<const RouteConfig*>(found)->over(filter);
    return routeConfig_.get();
  }

  std::optional<HeaderLookup> header(HeaderMap map, std::string_view name, size_t index) override {
    EnvoyBuffer value{nullptr, 0};
    size_t count = 0;
    if (envoy_ == nullptr ||
        !envoy_dynamic_module_callback_http_get_header(envoy_, static_cast<int>(map),
                                                       toModule(name), &value, index, &count))
      return std::nullopt;
    return HeaderLookup{toView(value), count};
  }

  bool headers(HeaderMap map, std::vector<HeaderField>& out) override {
    out.clear();
    if (envoy_ == nullptr)
      return false;
    const int type = static_cast<int>(map);
    std::vector<EnvoyHeader> headers(
        envoy_dynamic_module_callback_http_get_headers_size(envoy_, type));
    if (headers.empty() ||
        !envoy_dynamic_module_callback_http_get_headers(envoy_, type, headers.data()))
      return false;
    out.reserve(headers.size());
    for (const EnvoyHeader& header : headers)
      out.push_back({{header.key_ptr, header.key_length}, {header.value_ptr, header.value_length}});
    return true;
  }

  void setHeader(HeaderMap map, std::string_view name, std::string_view value) override {
    if (envoy_ != nullptr)
      envoy_dynamic_module_callback_http_set_header(envoy_, static_cast<int>(map), toModule(name),
                                                    toModule(value));
  }

  void addHeader(HeaderMap map, std::string_view name, std::string_view value) override {
    if (envoy_ != nullptr)
      envoy_dynamic_module_callback_http_add_header(envoy_, static_cast<int>(map), toModule(name),
                                                    toModule(value));
  }

  void removeHeader(HeaderMap map, std::string_view name) override { setHeader(map, name, {}); }

  size_t bodySize(Direction direction, BodyPart part) override {
    return envoy_ == nullptr || isReceived(direction, part)
               ? 0
               : envoy_dynamic_module_callback_http_get_body_size(envoy_, bodyType(direction, part));
  }

  void body(Direction direction, BodyPart part, std::vector<std::string_view>& out) override {
    out.clear();
    if (envoy_ == nullptr || isReceived(direction, part))
      return;
    const int type = bodyType(direction, part);
    std::vector<EnvoyBuffer> pieces(
        envoy_dynamic_module_callback_http_get_body_chunks_size(envoy_, type));
    if (pieces.empty() ||
        !envoy_dynamic_module_callback_http_get_body_chunks(envoy_, type, pieces.data()))
      return;
    out.reserve(pieces.size());
    for (const EnvoyBuffer& piece : pieces)
      out.push_back(toView(piece));
  }

  void drainBody(Direction direction, BodyPart part, size_t bytes) override {
    if (envoy_ != nullptr && bytes > 0)
      envoy_dynamic_module_callback_http_drain_body(envoy_, bodyType(direction, part), bytes);
  }

  void appendBody(Direction direction, BodyPart part, std::string_view bytes) override {
    if (envoy_ != nullptr && !bytes.empty())
      envoy_dynamic_module_callback_http_append_body(envoy_, bodyType(direction, part),
                                                     toModule(bytes));
  }

  void raiseBufferLimit(size_t bytes) override {
    if (envoy_ == nullptr)
      return;
    const uint64_t limit = envoy_dynamic_module_callback_http_get_buffer_limit(envoy_);
    if (limit != 0 && limit < bytes)
      envoy_dynamic_module_callback_http_set_buffer_limit(envoy_, bytes);
  }

  void continueMessage(Direction direction) override {
    if (envoy_ == nullptr)
      return;
    if (direction == Direction::Request)
      envoy_dynamic_module_callback_http_filter_continue_decoding(envoy_);
    else
      envoy_dynamic_module_callback_http_filter_continue_encoding(envoy_);
  }

  void sendResponse(uint32_t status, std::span<const HeaderField> headers, std::string_view body,
                    std::string_view details) override {
    if (envoy_ == nullptr)
      return;
    ReplyHeaders fields(headers);
    answered_ = true;
    envoy_dynamic_module_callback_http_send_response(envoy_, status, fields.data(), fields.size(),
                                                     toModule(body), toModule(details));
  }

  void sendResponseHeaders(std::span<const HeaderField> headers, bool endStream) override {
    if (envoy_ == nullptr)
      return;
    std::vector<ModuleHeader> fields = toModule(headers);
    answered_ = true;
    envoy_dynamic_module_callback_http_send_response_headers(envoy_, fields.data(), fields.size(),
                                                             endStream);
  }

  void sendResponseData(std::string_view bytes, bool endStream) override {
    if (envoy_ != nullptr)
      envoy_dynamic_module_callback_http_send_response_data(envoy_, toModule(bytes), endStream);
  }

  bool canBeginResponse() override {
    // In a cluster's chain Envoy would crash. There a client's protocol is not known, and later the
    // upstream's is, but not before its address.
    EnvoyBuffer value{nullptr, 0};
    return envoy_ != nullptr &&
           envoy_dynamic_module_callback_http_filter_get_attribute_string(envoy_, kRequestProtocol,
                                                                          &value) &&
           !envoy_dynamic_module_callback_http_filter_get_attribute_string(envoy_, kUpstreamAddress,
                                                                           &value);
  }

  void endConnection() override {
    if (envoy_ != nullptr)
      envoy_dynamic_module_callback_http_filter_send_go_away_and_close(envoy_, true);
  }

  void addResponseFlag(std::string_view flag) override {
    if (envoy_ != nullptr)
      envoy_dynamic_module_callback_http_add_custom_flag(envoy_, toModule(flag));
  }

  void resetStream(std::string_view details) override {
    constexpr int kLocalReset = 0;
    if (envoy_ != nullptr)
      envoy_dynamic_module_callback_http_filter_reset_stream(envoy_, kLocalReset,
                                                             toModule(details));
  }

  CalloutStart startCallout(std::string_view cluster, std::span<const HeaderField> headers,
                            std::string_view body, bool endStream, uint64_t& calloutId) override {
    if (envoy_ == nullptr)
      return CalloutStart::CannotCreateRequest;
    std::vector<ModuleHeader> fields = toModule(headers);
    // Our own timers end a call that takes too long, and say so; Envoy's would look like an answer.
    constexpr uint64_t kNoTimeout = 0;
    return static_cast<CalloutStart>(envoy_dynamic_module_callback_http_filter_start_http_stream(
        envoy_, &calloutId, toModule(cluster), fields.data(), fields.size(), toModule(body),
        endStream, kNoTimeout));
  }

  bool sendCalloutData(uint64_t calloutId, std::string_view bytes, bool endStream) override {
    return envoy_ != nullptr && envoy_dynamic_module_callback_http_stream_send_data(
                                    envoy_, calloutId, toModule(bytes), endStream);
  }

  void resetCallout(uint64_t calloutId) override {
    if (envoy_ != nullptr)
      envoy_dynamic_module_callback_http_filter_reset_http_stream(envoy_, calloutId);
  }

  void wakeAt(uint64_t deadlineNs) override {
    if (deadlineNs == 0) {
      if (wake_)
        Keeper::instance().clear(*wake_);
      return;
    }
    if (scheduler_ == nullptr) {
      if (envoy_ == nullptr)
        return;
      scheduler_ = envoy_dynamic_module_callback_http_filter_scheduler_new(envoy_);
      wake_.emplace(postWake, scheduler_);
    }
    Keeper::instance().set(*wake_, deadlineNs);
  }

  bool updateMetric(MetricKind kind, MetricChange change, size_t metricId,
                    std::span<const std::string_view> labels, uint64_t value) override {
    if (envoy_ == nullptr)
      return false;
    changeMetric({envoy_dynamic_module_callback_http_filter_increment_counter,
                  envoy_dynamic_module_callback_http_filter_increment_gauge,
                  envoy_dynamic_module_callback_http_filter_decrement_gauge,
                  envoy_dynamic_module_callback_http_filter_set_gauge,
                  envoy_dynamic_module_callback_http_filter_record_histogram_value},
                 envoy_, kind, change, metricId, labels, value);
    return true;
  }

  std::optional<std::string_view> attributeText(Attribute attribute) override {
    EnvoyBuffer value{nullptr, 0};
    if (envoy_ == nullptr || !envoy_dynamic_module_callback_http_filter_get_attribute_string(
                                 envoy_, static_cast<int>(attribute), &value) ||
        value.length == 0)
      return std::nullopt;
    return toView(value);
  }

  std::optional<uint64_t> attributeNumber(Attribute attribute) override {
    uint64_t value = 0;
    if (envoy_ == nullptr || !envoy_dynamic_module_callback_http_filter_get_attribute_int(
                                 envoy_, static_cast<int>(attribute), &value))
      return std::nullopt;
    return value;
  }

  std::optional<bool> attributeFlag(Attribute attribute) override {
    bool value = false;
    if (envoy_ == nullptr || !envoy_dynamic_module_callback_http_filter_get_attribute_bool(
                                 envoy_, static_cast<int>(attribute), &value))
      return std::nullopt;
    return value;
  }

  bool timing(Timing& out) override {
    if (envoy_ == nullptr || envoy_dynamic_module_callback_http_get_timing_info == nullptr)
      return false;
    envoy_dynamic_module_type_timing_info_v2 info{};
    envoy_dynamic_module_callback_http_get_timing_info(envoy_, &info);
    static_assert(std::size(info.values_ns) == std::tuple_size_v<Timing>);
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = info.has_value[i] ? std::optional(info.values_ns[i]) : std::nullopt;
    return true;
  }

  std::optional<std::string_view> directRemoteAddress() override {
    EnvoyBuffer value{nullptr, 0};
    if (envoy_ == nullptr ||
        envoy_dynamic_module_callback_http_get_downstream_direct_remote_address == nullptr ||
        !envoy_dynamic_module_callback_http_get_downstream_direct_remote_address(envoy_, &value))
      return std::nullopt;
    return toView(value);
  }

  std::optional<MetadataValue> metadata(MetadataSource source, std::string_view ns,
                                        std::string_view key) override {
    return envoy_ == nullptr ? std::nullopt : MetadataReader(envoy_, source, ns, key).read();
  }

  std::vector<std::string> metadataKeys(MetadataSource source, std::string_view ns) override {
    if (envoy_ == nullptr)
      return {};
    const int from = static_cast<int>(source);
    std::vector<EnvoyBuffer> names(envoy_dynamic_module_callback_http_get_metadata_keys_count(
        envoy_, from, toModule(ns)));
    if (names.empty() || !envoy_dynamic_module_callback_http_get_metadata_keys(
                             envoy_, from, toModule(ns), names.data()))
      return {};
    return toStrings(names);
  }

  std::vector<std::string> metadataNamespaces(MetadataSource source) override {
    if (envoy_ == nullptr)
      return {};
    const int from = static_cast<int>(source);
    std::vector<EnvoyBuffer> names(
        envoy_dynamic_module_callback_http_get_metadata_namespaces_count(envoy_, from));
    if (names.empty() ||
        !envoy_dynamic_module_callback_http_get_metadata_namespaces(envoy_, from, names.data()))
      return {};
    return toStrings(names);
  }

  std::optional<std::pair<std::string_view, std::string_view>>
  typedMetadata(MetadataSource source, std::string_view ns) override {
    EnvoyBuffer type{nullptr, 0};
    EnvoyBuffer value{nullptr, 0};
    if (envoy_ == nullptr || envoy_dynamic_module_callback_http_get_typed_metadata == nullptr ||
        !envoy_dynamic_module_callback_http_get_typed_metadata(envoy_, static_cast<int>(source),
                                                               toModule(ns), &type, &value))
      return std::nullopt;
    return std::pair(toView(type), toView(value));
  }

  bool setMetadata(std::string_view ns, std::string_view key, const MetadataValue& value) override {
    return envoy_ == nullptr || writeMetadata(envoy_, ns, key, value);
  }

  std::optional<std::string_view> filterState(std::string_view key) override {
    EnvoyBuffer value{nullptr, 0};
    if (envoy_ == nullptr || !envoy_dynamic_module_callback_http_get_filter_state_typed(
                                 envoy_, toModule(key), &value))
      return std::nullopt;
    return toView(value);
  }

  FilterStateWrite setFilterState(std::string_view key, std::string_view value,
                                  bool typed) override {
    if (envoy_ == nullptr)
      return FilterStateWrite::Refused;
    // It would say that all went well.
    if (!typed && host::release() < 39 && filterState(key))
      return FilterStateWrite::Exists;
    const bool done = typed ? envoy_dynamic_module_callback_http_set_filter_state_typed(
                                  envoy_, toModule(key), toModule(value))
                            : envoy_dynamic_module_callback_http_set_filter_state_bytes(
                                  envoy_, toModule(key), toModule(value));
    return done ? FilterStateWrite::Done : FilterStateWrite::Refused;
  }

  void clearRouteCache() override {
    if (envoy_ == nullptr)
      return;
    envoy_dynamic_module_callback_http_clear_route_cache(envoy_);
    // Until somebody asks for the route, its name is the old one's.
    (void)clusterName();
  }

  std::optional<std::string_view> clusterName() override {
    EnvoyBuffer value{nullptr, 0};
    if (envoy_ == nullptr || !envoy_dynamic_module_callback_http_get_cluster_name(envoy_, &value))
      return std::nullopt;
    return toView(value);
  }

  std::optional<HostCount> hostCount(uint32_t priority) override {
    HostCount count;
    if (envoy_ == nullptr ||
        !envoy_dynamic_module_callback_http_get_cluster_host_count(
            envoy_, priority, &count.total, &count.healthy, &count.degraded))
      return std::nullopt;
    return count;
  }

  bool setUpstreamHost(std::string_view address, bool strict) override {
    return envoy_ == nullptr || envoy_dynamic_module_callback_http_set_upstream_override_host(
                                    envoy_, toModule(address), strict);
  }

  // Envoy tells what was set, but some releases the first value of an option and not the last.

  std::optional<SocketOptionValue> socketOption(const SocketOption& option) override {
    const SocketOptionValue* value = socketOptions_ == nullptr ? nullptr : find(option);
    return value == nullptr ? std::nullopt : std::optional(*value);
  }

  bool setSocketOption(const SocketOption& option, const SocketOptionValue& value) override {
    const int direction = static_cast<int>(option.direction);
    const int32_t* number = std::get_if<int32_t>(&value);
    if (envoy_ == nullptr ||
        !(number != nullptr
              ? envoy_dynamic_module_callback_http_set_socket_option_int(
                    envoy_, option.level, option.name, kPrebind, direction, *number)
              : envoy_dynamic_module_callback_http_set_socket_option_bytes(
                    envoy_, option.level, option.name, kPrebind, direction,
                    toModule(std::get<std::string>(value)))))
      return false;
    if (socketOptions_ == nullptr)
      socketOptions_ = std::make_unique<SocketOptions>();
    if (SocketOptionValue* before = find(option))
      *before = value;
    else
      socketOptions_->emplace_back(option, value);
    return true;
  }

  HostSpan* activeSpan() override {
    return envoy_ == nullptr
               ? nullptr
               : toSpan(envoy_dynamic_module_callback_http_get_active_span(envoy_));
  }

  HostSpan* spawnSpan(HostSpan& parent, std::string_view operation) override {
    return envoy_ == nullptr ? nullptr
                             : toSpan(envoy_dynamic_module_callback_http_span_spawn_child(
                                   envoy_, &parent, toModule(operation)));
  }

  // A child is ours: it is there when Envoy's filter is not any more.
  void finishSpan(HostSpan& child) override {
    envoy_dynamic_module_callback_http_child_span_finish(&child);
  }

  void setSpanTag(HostSpan& span, std::string_view key, std::string_view value) override {
    envoy_dynamic_module_callback_http_span_set_tag(&span, toModule(key), toModule(value));
  }

  void logToSpan(HostSpan& span, std::string_view event) override {
    if (envoy_ != nullptr)
      envoy_dynamic_module_callback_http_span_log(envoy_, &span, toModule(event));
  }

  void setSpanOperation(HostSpan& span, std::string_view operation) override {
    envoy_dynamic_module_callback_http_span_set_operation(&span, toModule(operation));
  }

  void setSpanSampled(HostSpan& span, bool sampled) override {
    envoy_dynamic_module_callback_http_span_set_sampled(&span, sampled);
  }

  std::optional<std::string_view> spanBaggage(HostSpan& span, std::string_view key) override {
    EnvoyBuffer value{nullptr, 0};
    return envoy_dynamic_module_callback_http_span_get_baggage(&span, toModule(key), &value)
               ? std::optional(toView(value))
               : std::nullopt;
  }

  void setSpanBaggage(HostSpan& span, std::string_view key, std::string_view value) override {
    envoy_dynamic_module_callback_http_span_set_baggage(&span, toModule(key), toModule(value));
  }

  std::optional<std::string_view> traceId(HostSpan& span) override {
    EnvoyBuffer value{nullptr, 0};
    return envoy_dynamic_module_callback_http_span_get_trace_id(&span, &value)
               ? std::optional(toView(value))
               : std::nullopt;
  }

  std::optional<std::string_view> spanId(HostSpan& span) override {
    EnvoyBuffer value{nullptr, 0};
    return envoy_dynamic_module_callback_http_span_get_span_id(&span, &value)
               ? std::optional(toView(value))
               : std::nullopt;
  }

  uint32_t workerIndex() override { return workerIndex_; }

  void release() override { delete this; }

private:
  using SocketOptions = std::vector<std::pair<SocketOption, SocketOptionValue>>;

  /** What an option was set to; null where it was not. Requires: socketOptions_. */
  SocketOptionValue* find(const SocketOption& option) const {
    const auto isIt = [&](const auto& set) { return set.first == option; };
    const auto found = std::find_if(socketOptions_->begin(), socketOptions_->end(), isIt);
    return found == socketOptions_->end() ? nullptr : &found->second;
  }

  static HostSpan* toSpan(void* span) { return static_cast<HostSpan*>(span); }

  static int bodyType(Direction direction, BodyPart part) {
    return static_cast<int>(direction) * 2 + static_cast<int>(part);
  }

  /** Whether the Buffered part is what the hook that runs was given. */
  bool isReceived(Direction direction, BodyPart part) {
    if (part == BodyPart::Received ||
        envoy_dynamic_module_callback_http_get_body_size(
            envoy_, bodyType(direction, BodyPart::Received)) == 0)
      return false;
    return direction == Direction::Request
               ? envoy_dynamic_module_callback_http_received_buffered_request_body(envoy_)
               : envoy_dynamic_module_callback_http_received_buffered_response_body(envoy_);
  }

  static void postWake(void* scheduler) {
    envoy_dynamic_module_callback_http_filter_scheduler_commit(scheduler, 0);
  }

  void* envoy_;
  const uint32_t workerIndex_;
  const LiveConfig::Ref config_;
  std::shared_ptr<const FilterConfig> routeConfig_;
  bool answered_ = false;
  bool failedClosed_ = false;
  void* scheduler_ = nullptr;
  std::optional<Keeper::Entry> wake_;
  /** Null until one is set. */
  std::unique_ptr<SocketOptions> socketOptions_;
  Stream stream_;
};

/** Stands for a filter that could not be made: Envoy before 1.40 crashes on a null one. */
constexpr char kStandIn = 0;

EnvoyStream* streamOf(const void* filter) {
  return filter == &kStandIn ? nullptr : static_cast<EnvoyStream*>(const_cast<void*>(filter));
}

void logCritical(std::string_view text) noexcept {
  envoy_dynamic_module_callback_log(static_cast<int>(LogLevel::Critical), toModule(text));
}

/** Runs a hook's body; what it throws is logged, and `failed` gives the hook's answer. */
template <class Body, class Failed>
auto barrier(const char* hook, Body&& body, Failed&& failed) noexcept {
  try {
    return body();
  } catch (const std::exception& exception) {
    logCritical("fairlead: E_INTERNAL: an exception was stopped");
    logCritical(hook);
    logCritical(exception.what());
  } catch (...) {
    logCritical("fairlead: E_INTERNAL: an unknown exception was stopped");
    logCritical(hook);
  }
  return failed();
}

/** A hook that returns nothing. */
template <class Body> void barrier(const char* hook, Body&& body) noexcept {
  barrier(hook, body, [] {});
}

/** A data-path hook: `event` runs on the stream; without one, and after a throw, it fails closed. */
template <class Event>
int onData(const char* hook, void* envoy, const void* filter, int stop, Event&& event) noexcept {
  EnvoyStream* host = streamOf(filter);
  if (host == nullptr) {
    answerStandIn(envoy);
    return stop;
  }
  if (host->failedClosed())
    return stop;
  const StreamRef keep(host->stream());
  return barrier(
      hook, [&] { return static_cast<int>(event(host->stream())); },
      [&] {
        host->failClosed();
        return stop;
      });
}

/** An event that needs no answer; what it throws ends the stream. */
template <class Event> void onEvent(const char* hook, const void* filter, Event&& event) noexcept {
  EnvoyStream* host = streamOf(filter);
  if (host == nullptr || host->failedClosed())
    return;
  const StreamRef keep(host->stream());
  barrier(hook, [&] { event(host->stream()); }, [&] { host->failClosed(); });
}

/** An event of a call that a config has made: each of its jobs looks whether it is its own. */
template <class Event> void onJobs(const char* hook, const void* config, Event&& event) noexcept {
  barrier(hook, [&] {
    if (!KnownConfigs::instance().has(config))
      return;
    for (const auto& [number, job] : static_cast<const EnvoyConfig*>(config)->jobs())
      event(*job);
  });
}

std::vector<HeaderField> toFields(const EnvoyHeader* headers, size_t count) {
  std::vector<HeaderField> fields;
  fields.reserve(count);
  for (size_t i = 0; i < count; ++i)
    fields.push_back({{headers[i].key_ptr, headers[i].key_length},
                      {headers[i].value_ptr, headers[i].value_length}});
  return fields;
}

std::vector<std::string_view> toViews(const EnvoyBuffer* pieces, size_t count) {
  std::vector<std::string_view> views;
  views.reserve(count);
  for (size_t i = 0; i < count; ++i)
    views.push_back(toView(pieces[i]));
  return views;
}

/** Why a config is not taken. */
void logRefusal(std::string_view name, const Error& error) {
  host::log(LogLevel::Critical, "fairlead: " + std::string(name) + ": " + formatError(error), error.file,
            error.line);
}

/** The end of a stream, however it came. */
void endStream(const char* hook, EnvoyStream& host) noexcept {
  barrier(hook, [&] { host.stream().onComplete(); });
}

constexpr int kStopHeaders = static_cast<int>(HeadersStatus::StopIteration);
constexpr int kStopBody = static_cast<int>(BodyStatus::StopIterationNoBuffer);
constexpr int kStopTrailers = static_cast<int>(TrailersStatus::StopIteration);

}  // namespace

// --- host.h, the process ---

namespace host {

void log(LogLevel level, std::string_view message, std::string_view file, uint32_t line) {
  if (envoy_dynamic_module_callback_log_v2 != nullptr) {
    envoy_dynamic_module_callback_log_v2(static_cast<int>(level), toModule(message), toModule(file),
                                         line);
    return;
  }
  std::string text(message);
  // The first place in a line is taken for its own.
  const std::string before = std::string(file) + ':';
  const std::string place = before + std::to_string(line);
  const size_t said = text.find(place);
  if (!file.empty() && (said == std::string::npos || text.find(before) != said))
    text.append(" (").append(place).append(")");
  envoy_dynamic_module_callback_log(static_cast<int>(level), toModule(text));
}

bool logEnabled(LogLevel level) {
  return envoy_dynamic_module_callback_log_enabled(static_cast<int>(level));
}

uint64_t monotonicNs() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

uint32_t release() {
  if (envoy_dynamic_module_callback_log_v2 != nullptr)
    return 40;
  return envoy_dynamic_module_callback_http_get_upstream_connection_id != nullptr ? 39 : 38;
}

uint32_t concurrency() { return envoy_dynamic_module_callback_get_concurrency(); }

std::optional<RuntimeValue> runtimeValue(std::string_view key) {
  if (envoy_dynamic_module_callback_get_runtime_number == nullptr)
    return std::nullopt;
  // What two defaults do not change is there.
  const ModuleBuffer name = toModule(key);
  const double number = envoy_dynamic_module_callback_get_runtime_number(name, 0);
  if (number == envoy_dynamic_module_callback_get_runtime_number(name, 1))
    return RuntimeValue{false, number};
  const bool flag = envoy_dynamic_module_callback_get_runtime_bool(name, false);
  if (flag == envoy_dynamic_module_callback_get_runtime_bool(name, true))
    return RuntimeValue{true, flag ? 1.0 : 0.0};
  return std::nullopt;
}

bool validating() { return envoy_dynamic_module_callback_is_validation_mode(); }

void eachSecond(void (*work)()) { Keeper::instance().eachSecond(work); }

}  // namespace host
}  // namespace fairlead

// --- Event hooks ---

#define FAIRLEAD_EXPORT extern "C" __attribute__((visibility("default")))

using namespace fairlead;

FAIRLEAD_EXPORT const char* envoy_dynamic_module_on_program_init(void) {
  // Envoy warns when this is not its own version; what each release has is found out symbol by symbol.
  return envoy_dynamic_module_callback_log_v2 != nullptr ? "v0.2.0" : "v0.1.0";
}

FAIRLEAD_EXPORT const void* envoy_dynamic_module_on_http_filter_config_new(void* envoy,
                                                                           EnvoyBuffer name,
                                                                           EnvoyBuffer config) {
  return barrier(
      "http_filter_config_new",
      [&]() -> const void* {
        auto made = std::make_unique<EnvoyConfig>(envoy);
        const Result<void> loaded = made->load(toView(name), toView(config));
        if (loaded) {
          KnownConfigs::instance().add(made.get());
          return made.release();
        }
        logRefusal(toView(name), loaded.error());
        return nullptr;
      },
      []() -> const void* { return nullptr; });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_config_destroy(const void* config) {
  barrier("http_filter_config_destroy", [&] {
    KnownConfigs::instance().remove(config);
    delete static_cast<const EnvoyConfig*>(config);
  });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_config_scheduled(void*, const void* config,
                                                                          uint64_t number) {
  barrier("http_filter_config_scheduled", [&] {
    if (!KnownConfigs::instance().has(config))
      return;
    if (Background* job = static_cast<const EnvoyConfig*>(config)->job(number))
      job->onWake();
  });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_config_http_callout_done(
    void*, const void*, uint64_t, int, EnvoyHeader*, size_t, EnvoyBuffer*, size_t) {
  // All our calls are streams.
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_config_http_stream_headers(
    void*, const void* config, uint64_t stream_id, EnvoyHeader* headers, size_t headers_size,
    bool end_stream) {
  onJobs("http_filter_config_http_stream_headers", config, [&](Background& job) {
    job.onCalloutHeaders(stream_id, toFields(headers, headers_size), end_stream);
  });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_config_http_stream_data(
    void*, const void* config, uint64_t stream_id, const EnvoyBuffer* data, size_t data_count,
    bool end_stream) {
  onJobs("http_filter_config_http_stream_data", config, [&](Background& job) {
    job.onCalloutData(stream_id, toViews(data, data_count), end_stream);
  });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_config_http_stream_trailers(
    void*, const void*, uint64_t, EnvoyHeader*, size_t) {
  // The end follows; a fetched answer does not show its trailers.
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_config_http_stream_complete(
    void*, const void* config, uint64_t stream_id) {
  onJobs("http_filter_config_http_stream_complete", config,
         [&](Background& job) { job.onCalloutComplete(stream_id); });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_config_http_stream_reset(
    void*, const void* config, uint64_t stream_id, int) {
  onJobs("http_filter_config_http_stream_reset", config,
         [&](Background& job) { job.onCalloutReset(stream_id); });
}

FAIRLEAD_EXPORT const void* envoy_dynamic_module_on_http_filter_per_route_config_new(EnvoyBuffer name,
                                                                                     EnvoyBuffer config) {
  return barrier(
      "http_filter_per_route_config_new",
      [&]() -> const void* {
        auto made = RouteConfig::create(toView(name), toView(config));
        if (made) {
          KnownConfigs::ofRoutes().add(made->get());
          return made->release();
        }
        logRefusal(toView(name), made.error());
        return nullptr;
      },
      []() -> const void* { return nullptr; });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_per_route_config_destroy(const void* config) {
  barrier("http_filter_per_route_config_destroy", [&] {
    KnownConfigs::ofRoutes().remove(config);
    delete static_cast<const RouteConfig*>(config);
  });
}

FAIRLEAD_EXPORT const void* envoy_dynamic_module_on_http_filter_new(const void* config,
                                                                    void* envoy) {
  return barrier(
      "http_filter_new",
      [&]() -> const void* {
        return new EnvoyStream(envoy, static_cast<const EnvoyConfig*>(config)->live());
      },
      []() -> const void* { return &kStandIn; });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_stream_complete(void*, const void* filter) {
  if (EnvoyStream* host = streamOf(filter))
    endStream("http_filter_stream_complete", *host);
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_destroy(const void* filter) {
  EnvoyStream* host = streamOf(filter);
  if (host == nullptr)
    return;
  // A filter in a cluster's upstream chain gets no stream_complete. What its callbacks would reach
  // may be gone by now, so its end finds nothing to read.
  host->onDestroy();
  endStream("http_filter_destroy", *host);
  host->stream().unref();
}

FAIRLEAD_EXPORT int envoy_dynamic_module_on_http_filter_request_headers(void* envoy,
                                                                        const void* filter,
                                                                        bool end_of_stream) {
  return onData("http_filter_request_headers", envoy, filter, kStopHeaders, [&](Stream& stream) {
    return stream.onHeaders(Direction::Request, end_of_stream);
  });
}

FAIRLEAD_EXPORT int envoy_dynamic_module_on_http_filter_request_body(void* envoy, const void* filter,
                                                                     bool end_of_stream) {
  return onData("http_filter_request_body", envoy, filter, kStopBody, [&](Stream& stream) {
    return stream.onBody(Direction::Request, end_of_stream);
  });
}

FAIRLEAD_EXPORT int envoy_dynamic_module_on_http_filter_request_trailers(void* envoy,
                                                                         const void* filter) {
  return onData("http_filter_request_trailers", envoy, filter, kStopTrailers,
                [](Stream& stream) { return stream.onTrailers(Direction::Request); });
}

FAIRLEAD_EXPORT int envoy_dynamic_module_on_http_filter_response_headers(void* envoy,
                                                                         const void* filter,
                                                                         bool end_of_stream) {
  return onData("http_filter_response_headers", envoy, filter, kStopHeaders, [&](Stream& stream) {
    return stream.onHeaders(Direction::Response, end_of_stream);
  });
}

FAIRLEAD_EXPORT int envoy_dynamic_module_on_http_filter_response_body(void* envoy,
                                                                      const void* filter,
                                                                      bool end_of_stream) {
  return onData("http_filter_response_body", envoy, filter, kStopBody, [&](Stream& stream) {
    return stream.onBody(Direction::Response, end_of_stream);
  });
}

FAIRLEAD_EXPORT int envoy_dynamic_module_on_http_filter_response_trailers(void* envoy,
                                                                          const void* filter) {
  return onData("http_filter_response_trailers", envoy, filter, kStopTrailers,
                [](Stream& stream) { return stream.onTrailers(Direction::Response); });
}

FAIRLEAD_EXPORT int envoy_dynamic_module_on_http_filter_local_reply(void*, const void* filter,
                                                                    uint32_t response_code,
                                                                    EnvoyBuffer details, bool) {
  onEvent("http_filter_local_reply", filter,
          [&](Stream& stream) { stream.onLocalReply(response_code, toView(details)); });
  constexpr int kContinue = 0;
  return kContinue;
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_scheduled(void*, const void* filter,
                                                                   uint64_t) {
  onEvent("http_filter_scheduled", filter, [](Stream& stream) { stream.onWake(); });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_http_callout_done(
    void*, const void*, uint64_t, int, EnvoyHeader*, size_t, EnvoyBuffer*, size_t) {
  // All our calls are streams.
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_http_stream_headers(
    void*, const void* filter, uint64_t stream_id, EnvoyHeader* headers, size_t headers_size,
    bool end_stream) {
  onEvent("http_filter_http_stream_headers", filter, [&](Stream& stream) {
    stream.onCalloutHeaders(stream_id, toFields(headers, headers_size), end_stream);
  });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_http_stream_data(
    void*, const void* filter, uint64_t stream_id, const EnvoyBuffer* data, size_t data_count,
    bool end_stream) {
  onEvent("http_filter_http_stream_data", filter, [&](Stream& stream) {
    stream.onCalloutData(stream_id, toViews(data, data_count), end_stream);
  });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_http_stream_trailers(
    void*, const void* filter, uint64_t stream_id, EnvoyHeader* trailers, size_t trailers_size) {
  onEvent("http_filter_http_stream_trailers", filter, [&](Stream& stream) {
    stream.onCalloutTrailers(stream_id, toFields(trailers, trailers_size));
  });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_http_stream_complete(void*,
                                                                              const void* filter,
                                                                              uint64_t stream_id) {
  onEvent("http_filter_http_stream_complete", filter,
          [&](Stream& stream) { stream.onCalloutComplete(stream_id); });
}

FAIRLEAD_EXPORT void envoy_dynamic_module_on_http_filter_http_stream_reset(void*, const void* filter,
                                                                           uint64_t stream_id, int) {
  onEvent("http_filter_http_stream_reset", filter,
          [&](Stream& stream) { stream.onCalloutReset(stream_id); });
}

FAIRLEAD_EXPORT void
envoy_dynamic_module_on_http_filter_downstream_above_write_buffer_high_watermark(
    void*, const void* filter) {
  onEvent("http_filter_downstream_above_write_buffer_high_watermark", filter,
          [](Stream& stream) { stream.onClientFull(true); });
}

FAIRLEAD_EXPORT void
envoy_dynamic_module_on_http_filter_downstream_below_write_buffer_low_watermark(
    void*, const void* filter) {
  onEvent("http_filter_downstream_below_write_buffer_low_watermark", filter,
          [](Stream& stream) { stream.onClientFull(false); });
}

// What the C++ runtime has for names of types is large, and only its terminate handler asks for it: that prints a name
// as it is when it gets none.
extern "C" char* __cxa_demangle(const char*, char*, size_t*, int* status) {
  constexpr int kInvalidName = -2;
  if (status != nullptr)
    *status = kInvalidName;
  return nullptr;
}
