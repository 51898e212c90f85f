// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/config.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

#include "filter-cc/errors.h"
#include "filter-cc/headers.h"
#include "filter-cc/host.h"
#include "filter-cc/runtime_keys.h"
#include "filter-cc/secrets.h"
#include "filter-cc/struct_json.h"
#include "quickjs/engine.h"

namespace fairlead {
namespace {

using Kind = ConfigKey::Kind;
using Scope = ConfigKey::Scope;

constexpr ConfigKey kKeys[] = {
    {"disabled", Kind::Flag, "Whether the filter is left out.", 0, 0, 0, nullptr, Scope::Route},
    {"script", Kind::Section, "Another script in the place of the filter's; it declares no metrics and no jobs.", 0, 0, 0,
     nullptr, Scope::Route},
    {"script.inline", Kind::Inline, "As `inline`.", 0, 0, 0, nullptr, Scope::Route},
    {"script.file", Kind::File, "As `file`; a change is not watched for.", 0, 0, 0, nullptr, Scope::Route},
    {"script.bytecode", Kind::Bytecode, "As `bytecode`.", 0, 0, 0, nullptr, Scope::Route},
    {"inline", Kind::Inline, "The filter as JavaScript, an ES module."},
    {"file", Kind::File, "Path of a .qjb file or of JavaScript; its first bytes decide which."},
    {"bytecode", Kind::Bytecode, "A .qjb file in base64."},
    {"watch", Kind::Flag, "Whether `file` is loaded anew when it changes."},
    {"config", Kind::Object, "What the script wants to know: configure() gets it, and ctx.config.", 0, 0, 0, nullptr,
     Scope::Both},
    {"clusters", Kind::Clusters,
     "What fetch may reach: a list of cluster names, or a map from a URL's host to a cluster."},
    {"cluster_header", Kind::HeaderName,
     "The request header by which routes choose the cluster: request.cluster writes it, and what a "
     "client sends in it is dropped."},
    {"metadata", Kind::Names,
     "Namespaces of dynamic metadata that the script may write, beside the filter's name."},
    {"secrets", Kind::Secrets,
     "What ctx.secrets gives, by name: { \"file\": path }, read anew when it changes, { \"inline\": text }, or from "
     "Envoy 1.40 on { \"sds\": SdsSecretConfig }."},
    {"runtime", Kind::Names, "Keys of Envoy's runtime that ctx.runtime tells."},
    {"idle_s", Kind::Whole, "How long a worker keeps the runtime of a script that nothing uses.", 1, 86'400, 300,
     [](Config& config) -> uint32_t& { return config.idleS; }},
    {"limits", Kind::Section, "What the script may use.", 0, 0, 0, nullptr, Scope::Both},
    {"limits.cpu_ms", Kind::Whole, "CPU time of one hook, or of what goes on after an await.", 1,
     10'000, 20, [](Config& config) -> uint32_t& { return config.limits.cpuMs; }, Scope::Both},
    {"limits.stream_cpu_ms", Kind::Whole, "CPU time of one stream in all.", 1, 60'000, 200,
     [](Config& config) -> uint32_t& { return config.limits.streamCpuMs; }, Scope::Both},
    {"limits.load_ms", Kind::Whole, "CPU time of the top level, and of configure().", 10, 60'000,
     1'000, [](Config& config) -> uint32_t& { return config.limits.loadMs; }},
    {"limits.memory_mb", Kind::Whole, "Heap of the script on one worker.", 2, 1'024, 16,
     [](Config& config) -> uint32_t& { return config.limits.memoryMb; }},
    {"limits.stack_kb", Kind::Whole, "Stack of the script.", 64, 4'096, 512,
     [](Config& config) -> uint32_t& { return config.limits.stackKb; }},
    {"limits.wait_ms", Kind::Whole, "How long a hook may keep its message waiting.", 1, 3'600'000,
     15'000, [](Config& config) -> uint32_t& { return config.limits.waitMs; }, Scope::Both},
    {"limits.body_kb", Kind::Whole, "The largest body that a script reads as a whole.", 1, 1'048'576,
     1'024, [](Config& config) -> uint32_t& { return config.limits.bodyKb; }, Scope::Both},
    {"limits.fetches", Kind::Whole,
     "Calls in flight at once in one stream; ten times as many in its life.", 0, 1'024, 16,
     [](Config& config) -> uint32_t& { return config.limits.fetches; }, Scope::Both},
    {"limits.keepalives", Kind::Whole,
     "Calls with `keepalive` in flight at once, of all exchanges of the filter.", 0, 1'024, 64,
     [](Config& config) -> uint32_t& { return config.limits.keepalives; }},
    {"limits.shared_kb", Kind::Whole,
     "Size of the store `shared`, one for all filters of this name; the newest config counts.", 0,
     1'048'576, 1'024, [](Config& config) -> uint32_t& { return config.limits.sharedKb; }},
    {"on_error", Kind::Section, "What becomes of an exchange whose script fails.", 0, 0, 0, nullptr, Scope::Both},
    {"on_error.mode", Kind::Mode,
     "closed: it is answered with `status`. open: it goes on as it came, without the script.", 0, 0, 0, nullptr,
     Scope::Both},
    {"on_error.status", Kind::Whole, "Answer after a fault.", 400, 599, 500,
     [](Config& config) -> uint32_t& { return config.onError.status; }, Scope::Both},
    {"on_error.wait_status", Kind::Whole, "Answer when a hook waited longer than wait_ms.", 400,
     599, 504, [](Config& config) -> uint32_t& { return config.onError.waitStatus; }, Scope::Both},
};

// Enough for any config; a hostile one of many small values ends here and not with the process.
constexpr size_t kMaxHeapBytes = size_t{512} * 1024 * 1024;
constexpr size_t kMaxShownBytes = 60;

// --- Text for people ---

/** Cut at a whole character. */
std::string_view cut(std::string_view text) {
  if (text.size() <= kMaxShownBytes)
    return text;
  size_t end = kMaxShownBytes;
  while (end > 0 && (text[end] & 0xC0) == 0x80)
    --end;
  return text.substr(0, end);
}

std::string quoted(std::string_view text) {
  const std::string_view shown = cut(text);
  std::string result = "\"";
  for (const char c : shown) {
    if (c == '"' || c == '\\')
      result += '\\';
    // Whatever else is there stays on one line.
    result += (c >= 0 && c < 0x20) || c == 0x7F ? '?' : c;
  }
  return result + (shown.size() < text.size() ? "…\"" : "\"");
}

/** A key as it stands in a path. */
std::string shownKey(std::string_view key) {
  const bool plain = !key.empty() && key.size() <= kMaxShownBytes &&
                     std::all_of(key.begin(), key.end(), [](char c) {
                       return c == '_' || c == '-' || (c >= '0' && c <= '9') ||
                              (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
                     });
  return plain ? std::string(key) : quoted(key);
}

std::string describe(JSContext* ctx, JSValueConst value) {
  if (JS_IsArray(value))
    return "an array";
  if (JS_IsObject(value))
    return "an object";
  const js::Utf8 text(ctx, value);
  if (!text)
    return "something else";
  return JS_IsString(value) ? "the string " + quoted(text.view()) : std::string(text.view());
}

std::string_view typeName(Kind kind) {
  switch (kind) {
  case Kind::Object:
  case Kind::Secrets:
  case Kind::Section:
    return "an object";
  case Kind::Clusters:
    return "a list of strings, or a map of strings";
  case Kind::Names:
    return "a list of strings";
  case Kind::Whole:
    return "a whole number";
  case Kind::Flag:
    return "true or false";
  default:
    return "a string";
  }
}

size_t editDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t replaced = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({replaced, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

/** The name that was meant, if that can be guessed. */
std::string_view nearest(std::string_view key, std::span<const std::string_view> names) {
  constexpr size_t kMaxDistance = 2;
  std::string_view best;
  size_t bestDistance = kMaxDistance + 1;
  if (key.size() > kMaxShownBytes)
    return best;
  for (const std::string_view name : names) {
    const size_t distance = editDistance(key, name);
    if (distance < bestDistance && distance < key.size()) {
      best = name;
      bestDistance = distance;
    }
  }
  if (!best.empty() || key.size() < 3)
    return best;
  for (const std::string_view name : names) {
    if (name.starts_with(key) || key.starts_with(name))
      return name;
  }
  return best;
}

Error jsonError(std::string_view cause) {
  return makeError(ErrorCode::E_CONFIG_JSON, {cause});
}

Error valueError(std::string_view path, std::string_view cause) {
  return makeError(ErrorCode::E_CONFIG_VALUE, {path, cause});
}

/** In the engine's words, but for its limits: it puts those as for a script. */
Error jsonError(const Error& cause) {
  const auto met = [&](js::Fault fault) {
    return cause.message == js::describeFault(fault).message;
  };
  Error error = jsonError(met(js::Fault::Stack)    ? "it is nested too deep"
                          : met(js::Fault::Memory) ? "it is too large"
                                                   : std::string_view(cause.message));
  error.file = cause.file;
  error.line = cause.line;
  error.column = cause.column;
  return error;
}

/** For engine calls that fail only when something is too big. */
Error takeEngineError(JSContext* ctx) {
  js::Fault fault;
  return jsonError(js::takeException(ctx, fault));
}

// --- Reading ---

/** Can stand as the host of a URL, and come out of a URL parser as it is. */
bool isHost(std::string_view text) {
  constexpr std::string_view kForbidden = "\"#%*/:<>?@[\\]^`{|}";
  return !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return c > 0x20 && c < 0x7F && kForbidden.find(c) == std::string_view::npos;
  });
}

class Reader {
public:
  Reader(JSContext* ctx, Config& config) : ctx_(ctx), config_(config) {}
  /** For what a route says. */
  Reader(JSContext* ctx, RouteOverrides& route) : ctx_(ctx), config_(route.values), route_(&route) {}

  Result<void> read(JSValueConst object) {
    if (auto read = readSection("", object); !read)
      return read;
    if (route_ != nullptr) {
      route_->hasScript = !source_.empty();
      return {};
    }
    if (source_.empty())
      return makeError(ErrorCode::E_CONFIG_SOURCE, {"the config names no script"});
    if (config_.watch && config_.source.kind != Source::Kind::File)
      return valueError("watch", "only a file can be watched, and the script is " + std::string(source_));
    return {};
  }

private:
  struct Member {
    std::string key;
    js::Value value;
  };

  Result<std::vector<Member>> members(JSValueConst object) {
    JSPropertyEnum* properties = nullptr;
    uint32_t count = 0;
    constexpr int kFlags = JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY;
    if (JS_GetOwnPropertyNames(ctx_, &properties, &count, object, kFlags) < 0)
      return takeEngineError(ctx_);
    std::vector<Member> found;
    bool complete = true;
    for (uint32_t i = 0; i < count && complete; ++i) {
      const js::Value name(ctx_, JS_AtomToString(ctx_, properties[i].atom));
      const js::Utf8 key(ctx_, name.get());
      js::Value value(ctx_, JS_GetProperty(ctx_, object, properties[i].atom));
      complete = key && !value.isException();
      if (complete)
        found.push_back({std::string(key.view()), std::move(value)});
    }
    JS_FreePropertyEnum(ctx_, properties, count);
    if (!complete)
      return takeEngineError(ctx_);
    return found;
  }

  Result<void> readSection(std::string_view section, JSValueConst object) {
    auto found = members(object);
    if (!found)
      return std::move(found).error();
    const std::string prefix = section.empty() ? "" : std::string(section) + '.';
    for (const Member& member : *found) {
      const auto known = [&](const ConfigKey& key) {
        return isHere(key) && key.path.starts_with(prefix) && key.path.substr(prefix.size()) == member.key;
      };
      const auto* key = std::find_if(std::begin(kKeys), std::end(kKeys), known);
      if (key == std::end(kKeys) || member.key.find('.') != std::string::npos)
        return unknownKey(prefix, member.key);
      if (auto read = readKey(*key, member.value.get()); !read)
        return read;
      if (route_ != nullptr)
        route_->given.push_back(key);
    }
    return {};
  }

  /** Whether it can stand in what is read. */
  bool isHere(const ConfigKey& key) const {
    return key.scope == Scope::Both || (key.scope == Scope::Route) == (route_ != nullptr);
  }

  Error unknownKey(const std::string& prefix, const std::string& name) {
    std::vector<std::string_view> names;
    std::string list;
    for (const ConfigKey& key : kKeys) {
      if (!isHere(key) || !key.path.starts_with(prefix))
        continue;
      const std::string_view known = key.path.substr(prefix.size());
      if (known.find('.') != std::string_view::npos)
        continue;
      names.push_back(known);
      list += (list.empty() ? "" : ", ") + std::string(known);
    }
    const std::string_view meant = nearest(name, names);
    const std::string hint =
        meant.empty() ? "" : " (did you mean " + prefix + std::string(meant) + "?)";
    return makeError(ErrorCode::E_CONFIG_KEY, {prefix + shownKey(name), hint, list});
  }

  Error wrongType(std::string_view path, std::string_view expected, JSValueConst value) {
    return makeError(ErrorCode::E_CONFIG_TYPE, {path, expected, describe(ctx_, value)});
  }

  Result<void> readKey(const ConfigKey& key, JSValueConst value) {
    const bool isMap = JS_IsObject(value) && !JS_IsArray(value);
    bool fits = false;
    switch (key.kind) {
    case Kind::Inline:
    case Kind::File:
    case Kind::Bytecode:
    case Kind::HeaderName:
    case Kind::Mode:
      fits = JS_IsString(value);
      break;
    case Kind::Object:
    case Kind::Secrets:
    case Kind::Section:
      fits = isMap;
      break;
    case Kind::Names:
      fits = JS_IsArray(value);
      break;
    case Kind::Clusters:
      fits = JS_IsObject(value);
      break;
    case Kind::Whole:
      fits = JS_IsNumber(value);
      break;
    case Kind::Flag:
      fits = JS_IsBool(value);
      break;
    }
    if (!fits)
      return wrongType(key.path, typeName(key.kind), value);

    switch (key.kind) {
    case Kind::Inline:
      return readSource(key, Source::Kind::Inline, value);
    case Kind::File:
      return readSource(key, Source::Kind::File, value);
    case Kind::Bytecode:
      return readSource(key, Source::Kind::Bytecode, value);
    case Kind::Mode:
      return readMode(key, value);
    case Kind::HeaderName:
      return readClusterHeader(key, value);
    case Kind::Names:
      return readNames(key, value);
    case Kind::Object:
      return readObject(value);
    case Kind::Secrets:
      return readSecrets(key, value);
    case Kind::Section:
      return readSection(key.path, value);
    case Kind::Clusters:
      return isMap ? readClusterMap(key, value) : readClusterList(key, value);
    case Kind::Whole:
      return readWhole(key, value);
    case Kind::Flag:
      (route_ != nullptr ? route_->disabled : config_.watch) = JS_VALUE_GET_BOOL(value);
      return {};
    }
    return {};
  }

  Result<void> readSource(const ConfigKey& key, Source::Kind kind, JSValueConst value) {
    if (!source_.empty()) {
      // Envoy does not keep the order of keys.
      const auto [first, second] = std::minmax(source_, key.path);
      const std::string cause = "both " + std::string(first) + " and " + std::string(second) + " are there";
      return makeError(ErrorCode::E_CONFIG_SOURCE, {cause});
    }
    source_ = key.path;
    config_.source.kind = kind;
    if (kind == Source::Kind::Bytecode) {
      if (auto read = readBase64(key, value); !read)
        return read;
    } else {
      const js::Utf8 text(ctx_, value);
      if (!text)
        return takeEngineError(ctx_);
      config_.source.text = text.view();
    }
    if (config_.source.text.find_first_not_of(" \t\r\n") == std::string::npos)
      return makeError(ErrorCode::E_CONFIG_SOURCE, {std::string(key.path) + " is empty"});
    if (kind == Source::Kind::File && config_.source.text.find('\0') != std::string::npos)
      return valueError(key.path, "a path cannot hold NUL");
    return {};
  }

  Result<void> readBase64(const ConfigKey& key, JSValueConst value) {
    const js::Value global(ctx_, JS_GetGlobalObject(ctx_));
    const js::Value type(ctx_, JS_GetPropertyStr(ctx_, global.get(), "Uint8Array"));
    const js::Value decode(ctx_, JS_GetPropertyStr(ctx_, type.get(), "fromBase64"));
    const js::Value options(ctx_, JS_NewObject(ctx_));
    if (options.isException() ||
        JS_SetPropertyStr(ctx_, options.get(),
                          "lastChunkHandling", JS_NewString(ctx_, "strict")) < 0)
      return takeEngineError(ctx_);
    JSValueConst arguments[] = {value, options.get()};
    const js::Value bytes(ctx_, JS_Call(ctx_, decode.get(), type.get(), 2, arguments));
    if (bytes.isException()) {
      const Error error = takeEngineError(ctx_);
      const js::Runtime& runtime = js::Runtime::from(ctx_);
      return runtime.outOfMemory() ? error : valueError(key.path, "it is not base64");
    }
    size_t size = 0;
    const uint8_t* data = JS_GetUint8Array(ctx_, &size, bytes.get());
    config_.source.text.assign(reinterpret_cast<const char*>(data), size);
    return {};
  }

  Result<void> readMode(const ConfigKey& key, JSValueConst value) {
    const js::Utf8 mode(ctx_, value);
    if (!mode)
      return takeEngineError(ctx_);
    if (mode.view() != "closed" && mode.view() != "open")
      return valueError(key.path, "must be \"closed\" or \"open\", got " + quoted(mode.view()));
    config_.onError.mode = mode.view() == "open" ? OnError::Mode::Open : OnError::Mode::Closed;
    return {};
  }

  Result<void> readObject(JSValueConst value) {
    const js::Value json(ctx_, JS_JSONStringify(ctx_, value, JS_UNDEFINED, JS_UNDEFINED));
    const js::Utf8 text(ctx_, json.get());
    if (json.isException() || !text)
      return takeEngineError(ctx_);
    (route_ != nullptr ? config_.configPatch : config_.configJson) = text.view();
    return {};
  }

  Result<void> readWhole(const ConfigKey& key, JSValueConst value) {
    double number = 0;
    if (JS_ToFloat64(ctx_, &number, value) < 0)
      return takeEngineError(ctx_);
    if (std::isfinite(number) && number != std::floor(number))
      return wrongType(key.path, typeName(key.kind), value);
    if (number < key.min || number > key.max) {
      return makeError(ErrorCode::E_CONFIG_RANGE, {key.path, std::to_string(key.min),
                                                   std::to_string(key.max), describe(ctx_, value)});
    }
    key.field(config_) = static_cast<uint32_t>(number);
    return {};
  }

  /** Calls `add` with the path and the text of each item of a list of strings. */
  template <class Add> Result<void> eachText(const ConfigKey& key, JSValueConst list, Add&& add) {
    int64_t length = 0;
    if (JS_GetLength(ctx_, list, &length) < 0)
      return takeEngineError(ctx_);
    for (int64_t i = 0; i < length; ++i) {
      const js::Value item(ctx_, JS_GetPropertyInt64(ctx_, list, i));
      const std::string path = std::string(key.path) + '[' + std::to_string(i) + ']';
      if (!item.isString())
        return wrongType(path, "a string", item.get());
      const js::Utf8 name(ctx_, item.get());
      if (!name)
        return takeEngineError(ctx_);
      if (Result<void> added = add(path, name.view()); !added)
        return added;
    }
    return {};
  }

  Result<void> readClusterList(const ConfigKey& key, JSValueConst list) {
    return eachText(key, list, [&](std::string_view path, std::string_view name) {
      return addCluster(path, name, name);
    });
  }

  Result<void> readNames(const ConfigKey& key, JSValueConst list) {
    return eachText(key, list, [&](std::string_view path, std::string_view name) -> Result<void> {
      if (name.empty())
        return valueError(path, "a name cannot be empty");
      if (key.path == "metadata") {
        config_.metadata.emplace_back(name);
        return {};
      }
      if (host::release() < kFirstRuntimeRelease)
        return makeError(ErrorCode::E_ENVOY_RELEASE, {key.path, std::to_string(kFirstRuntimeRelease)});
      if (config_.runtimeKeys.size() == kMaxRuntimeKeys)
        return valueError(path, "there are more than " + std::to_string(kMaxRuntimeKeys));
      config_.runtimeKeys.emplace_back(name);
      return {};
    });
  }

  Result<void> readClusterHeader(const ConfigKey& key, JSValueConst value) {
    const js::Utf8 name(ctx_, value);
    if (!name)
      return takeEngineError(ctx_);
    // What belongs to the framing or to Envoy's own routing would break more than it chooses.
    const std::string lower = lowerCase(name.view());
    if (!isHeaderName(lower) || isHopHeader(lower) || lower == "host")
      return valueError(key.path, quoted(name.view()) + " is not the name of a header of your own");
    if (host::release() < kFirstReroutingRelease)
      return valueError(key.path, "Envoy 1." + std::to_string(host::release()) +
                                      " cannot choose a route anew");
    config_.clusterHeader = lower;
    return {};
  }

  Result<void> readSecrets(const ConfigKey& key, JSValueConst map) {
    auto found = members(map);
    if (!found)
      return std::move(found).error();
    if (found->size() > kMaxSecrets)
      return valueError(key.path, "there are more than " + std::to_string(kMaxSecrets));
    for (const Member& member : *found) {
      const std::string path = std::string(key.path) + '.' + shownKey(member.key);
      const bool isMap = member.value.isObject() && !JS_IsArray(member.value.get());
      if (!isMap || member.key.empty())
        return wrongType(path, "an object under a name", member.value.get());
      auto sources = members(member.value.get());
      if (!sources)
        return std::move(sources).error();
      const std::string_view kind = sources->size() == 1 ? std::string_view(sources->front().key) : "";
      if (kind != "file" && kind != "inline" && kind != "sds")
        return valueError(path, R"(must be { "file": path }, { "inline": text } or { "sds": { "name": name } })");
      const js::Value& value = sources->front().value;
      if (kind == "sds") {
        auto source = readSds(path + ".sds", value);
        if (!source)
          return std::move(source).error();
        config_.secrets[member.key] = *std::move(source);
        continue;
      }
      if (!value.isString())
        return wrongType(path + '.' + std::string(kind), "a string", value.get());
      const js::Utf8 text(ctx_, value.get());
      if (!text)
        return takeEngineError(ctx_);
      if (text.view().empty() || text.view().size() > kMaxSecretBytes ||
          (kind == "file" && text.view().find('\0') != std::string_view::npos))
        return valueError(path + '.' + std::string(kind), "it is empty, too long, or no path");
      config_.secrets[member.key] = {
          kind == "file" ? SecretSource::Kind::File : SecretSource::Kind::Inline, std::string(text.view())};
    }
    return {};
  }

  /** The fields of Envoy's SdsSecretConfig. */
  Result<SecretSource> readSds(const std::string& path, const js::Value& value) {
    if (host::release() < kFirstSdsRelease)
      return makeError(ErrorCode::E_ENVOY_RELEASE, {path, std::to_string(kFirstSdsRelease)});
    if (!value.isObject() || JS_IsArray(value.get()))
      return wrongType(path, "an object", value.get());
    auto fields = members(value.get());
    if (!fields)
      return std::move(fields).error();
    SecretSource source{SecretSource::Kind::Sds, {}};
    for (const Member& field : *fields) {
      const std::string at = path + '.' + shownKey(field.key);
      const bool isName = field.key == "name";
      if (!isName && field.key != "sds_config")
        return makeError(ErrorCode::E_CONFIG_KEY, {at, "", "name, sds_config"});
      if (isName ? !field.value.isString() : !field.value.isObject() || JS_IsArray(field.value.get()))
        return wrongType(at, isName ? "a string" : "an object", field.value.get());
      const js::Value json(ctx_, isName ? JS_DupValue(ctx_, field.value.get())
                                        : JS_JSONStringify(ctx_, field.value.get(), JS_UNDEFINED, JS_UNDEFINED));
      const js::Utf8 text(ctx_, json.get());
      if (!text)
        return takeEngineError(ctx_);
      (isName ? source.text : source.configSource) = text.view();
    }
    if (source.text.empty())
      return valueError(path + ".name", "it is empty or absent");
    return source;
  }

  Result<void> readClusterMap(const ConfigKey& key, JSValueConst map) {
    auto found = members(map);
    if (!found)
      return std::move(found).error();
    for (const Member& member : *found) {
      const std::string path = std::string(key.path) + '.' + shownKey(member.key);
      if (!member.value.isString())
        return wrongType(path, "a string", member.value.get());
      const js::Utf8 cluster(ctx_, member.value.get());
      if (!cluster)
        return takeEngineError(ctx_);
      if (auto added = addCluster(path, member.key, cluster.view()); !added)
        return added;
    }
    return {};
  }

  Result<void> addCluster(std::string_view path, std::string_view host, std::string_view cluster) {
    if (host.empty() || cluster.empty())
      return valueError(path, "a name cannot be empty");
    if (host.find('*') != std::string_view::npos)
      return valueError(path, "there are no wildcards; name every host");
    if (!isHost(host)) {
      const std::string cause = quoted(host) + " cannot be the host of a URL; give the cluster " +
                                "one: clusters: { \"name.example\": " + quoted(cluster) + " }";
      return valueError(path, cause);
    }
    std::string lower(host);
    for (char& c : lower)
      c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
    if (!config_.clusters.emplace(std::move(lower), cluster).second)
      return valueError(path, quoted(host) + " is there twice");
    return {};
  }

  JSContext* const ctx_;
  Config& config_;
  RouteOverrides* route_ = nullptr;
  /** The key that named the script. */
  std::string_view source_;
};

}  // namespace

std::span<const ConfigKey> configKeys() { return kKeys; }

namespace {

/** A config in which nothing is given. */
Config emptyConfig(std::string_view filterName) {
  Config config;
  config.filterName = filterName;
  config.configJson = "{}";
  for (const ConfigKey& key : kKeys) {
    if (key.field != nullptr)
      key.field(config) = key.fallback;
  }
  return config;
}

/** Calls `read` with an engine's context and the object that the bytes are; `notJson` with what else they are. */
template <class Read, class NotJson>
Result<void> readJson(std::string_view bytes, Read&& read, NotJson&& notJson) {
  const auto runtime = js::Runtime::create();
  const auto context =
      runtime == nullptr ? nullptr : js::Context::create(*runtime, js::Context::Kind::Filter);
  if (context == nullptr)
    return jsonError("there is no memory to read it");
  runtime->setMemoryLimit(kMaxHeapBytes);
  JSContext* ctx = context->raw();
  const js::Entry entry(*runtime, {UINT64_MAX, UINT64_MAX}, 0);
  auto json = js::parseJson(ctx, bytes, "config");
  if (!json)
    return notJson(jsonError(json.error()));
  if (!json->isObject() || JS_IsArray(json->get()))
    return jsonError("it is " + describe(ctx, json->get()));
  return read(ctx, json->get());
}

}  // namespace

Result<Config> parseConfig(std::string_view filterName, std::string_view bytes) {
  if (const auto at = findInvalidUtf8(bytes))
    return jsonError("byte " + std::to_string(*at + 1) + " is not UTF-8");
  const size_t begin = bytes.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos)
    return makeError(ErrorCode::E_CONFIG_SOURCE, {"the config is empty"});
  Config config = emptyConfig(filterName);
  const auto read = readJson(
      bytes, [&](JSContext* ctx, JSValueConst json) { return Reader(ctx, config).read(json); },
      [&](Error error) -> Result<void> {
        if (bytes[begin] == '{')
          return error;
        config.source = {Source::Kind::Inline, std::string(bytes)};
        return {};
      });
  if (!read)
    return read.error();
  return config;
}

Result<RouteOverrides> parseRouteConfig(std::string_view filterName, std::string_view bytes) {
  RouteOverrides route;
  route.values = emptyConfig(filterName);
  // Envoy 1.38 hands a Struct over as it came.
  const std::optional<std::string> decoded = structToJson(bytes);
  if (decoded)
    bytes = *decoded;
  if (const auto at = findInvalidUtf8(bytes))
    return jsonError("byte " + std::to_string(*at + 1) + " is not UTF-8");
  if (bytes.find_first_not_of(" \t\r\n") == std::string_view::npos)
    return route;
  const auto read = readJson(
      bytes, [&](JSContext* ctx, JSValueConst json) { return Reader(ctx, route).read(json); },
      [](Error error) -> Result<void> { return error; });
  if (!read)
    return read.error();
  // As in the table: Envoy does not keep the order of keys.
  std::sort(route.given.begin(), route.given.end());
  return route;
}

std::string RouteOverrides::layOver(Config& filter) const {
  std::string above;
  Config own = values;
  for (const ConfigKey* key : given) {
    if (key->kind == Kind::Mode)
      filter.onError.mode = values.onError.mode;
    if (key->field == nullptr)
      continue;
    uint32_t& limit = key->field(filter);
    const uint32_t wanted = key->field(own);
    if (!key->path.starts_with("limits.") || wanted <= limit)
      limit = wanted;
    else
      above.append(above.empty() ? "" : ", ").append(key->path);
  }
  filter.configPatch = values.configPatch;
  return above;
}

std::optional<size_t> findInvalidUtf8(std::string_view text) {
  const auto byteAt = [text](size_t at) {
    return at < text.size() ? static_cast<uint8_t>(text[at]) : uint8_t{0};
  };
  for (size_t at = 0; at < text.size();) {
    const uint8_t lead = byteAt(at);
    const size_t length = lead < 0x80 ? 1 : lead < 0xC2 ? 0 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3
                          : lead < 0xF5 ? 4 : 0;
    if (length == 0)
      return at;
    // Neither longer than needed, nor a surrogate, nor above U+10FFFF.
    const uint8_t min = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    const uint8_t max = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    if (length > 1 && (byteAt(at + 1) < min || byteAt(at + 1) > max))
      return at;
    for (size_t i = 2; i < length; ++i) {
      if ((byteAt(at + i) & 0xC0) != 0x80)
        return at;
    }
    at += length;
  }
  return std::nullopt;
}

}  // namespace fairlead
