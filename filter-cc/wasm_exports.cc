// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What fairlead.wasm can do: compile a module to a .qjb file, and run a filter over host_fake. Its
// callers are bundler/compiler.ts and the emulator.
//
// Requests are UTF-8 JSON in memory from fairlead_alloc. Every result is a block
//
//   u32 ok (1 or 0), u32 length, then `length` bytes
//
// little-endian, which the caller gives back with fairlead_free. With ok = 0 the bytes are
// { code, message, file, line, column, stack } as JSON.
//
//   fairlead_compile     { source, moduleName, manifest: { name, clusters, sources }, sourceMap? }
//                        → the .qjb file
//   fairlead_filter_new  { filterName, config } → { handle, log }
//                        `config` is what Envoy would hand over: an object, or text
//   fairlead_filter_free handle
//   fairlead_exchange    handle, an exchange → what came of it
//
// In exchanges a string that is a name or a value of a header, or a piece of a body, has one
// character a byte. Headers are lists of pairs, pseudo-headers included.
//
//   { request:  { headers, frames, trailers?, endWithLastFrame },
//     upstream: { kind, headers, frames, trailers?, endWithLastFrame, delayMs, early },
//     clusters: { name: [ { method?, path?, times?, kind, headers, frames, trailers?, delayMs,
//                           frameDelayMs } ] },
//     facts: { attributes: { name: value }, metadata: [ { namespace: { key: value } } ],
//              filterState: { key: text }, cluster?: { name, total, healthy, degraded }, traced },
//     clientLeavesAtMs?, bufferLimitBytes }
//
// facts.metadata is a list by MetadataSource; its values are what JSON can say.
//
// upstream.kind: answer localReply earlierReply disconnect silent (UpstreamBehavior::Kind). A call
// to a cluster gets the first entry that fits its method and path, 404 without one; its kind:
// answer refused disconnect reset silent noHost. A cluster that is not there is unknown to Envoy.
//
// Time is virtual: it goes on by itself while an exchange waits.
//
// No exceptions and no threads. A request that is not as described gives E_EMULATOR_REQUEST.

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "filter-cc/config.h"
#include "filter-cc/errors.h"
#include "filter-cc/host_fake.h"
#include "filter-cc/route.h"
#include "filter-cc/runtime_keys.h"
#include "filter-cc/script.h"
#include "quickjs/bytecode.h"
#include "quickjs/engine.h"

namespace fairlead {
namespace {

// --- Writing JSON ---

void appendEscaped(std::string& out, unsigned char c) {
  constexpr char kHex[] = "0123456789abcdef";
  out += "\\u00";
  out += kHex[c >> 4];
  out += kHex[c & 15];
}

bool needsEscape(unsigned char c) { return c < 0x20 || c == '"' || c == '\\' || c == 0x7f; }

/** A string for people. */
std::string jsonText(std::string_view text) {
  std::string out = "\"";
  while (!text.empty()) {
    const auto bad = findInvalidUtf8(text);
    for (const char c : text.substr(0, bad.value_or(text.size()))) {
      if (needsEscape(static_cast<unsigned char>(c)))
        appendEscaped(out, static_cast<unsigned char>(c));
      else
        out += c;
    }
    if (!bad)
      break;
    out += "\\ufffd";
    text.remove_prefix(*bad + 1);
  }
  return out + '"';
}

/** A string with one character a byte. */
std::string jsonBytes(std::string_view bytes) {
  std::string out = "\"";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    if (needsEscape(byte) || byte >= 0x80)
      appendEscaped(out, byte);
    else
      out += c;
  }
  return out + '"';
}

std::string jsonBool(bool value) { return value ? "true" : "false"; }

std::string jsonObject(std::initializer_list<std::pair<std::string_view, std::string>> members) {
  std::string out = "{";
  for (const auto& [key, value] : members) {
    out += out.size() > 1 ? "," : "";
    out.append("\"").append(key).append("\":").append(value);
  }
  return out + '}';
}

template <class List, class Write> std::string jsonList(const List& list, Write&& write) {
  std::string out = "[";
  for (const auto& item : list) {
    out += out.size() > 1 ? "," : "";
    out += write(item);
  }
  return out + ']';
}

std::string jsonHeaders(const HeaderList& headers) {
  return jsonList(headers, [](const auto& line) {
    return "[" + jsonBytes(line.first) + "," + jsonBytes(line.second) + "]";
  });
}

std::string jsonError(const Error& error) {
  return jsonObject({{"code", jsonText(error.code)},
                     {"message", jsonText(error.message)},
                     {"file", jsonText(error.file)},
                     {"line", std::to_string(error.line)},
                     {"column", std::to_string(error.column)},
                     {"stack", jsonText(error.stack)}});
}

std::string jsonReceived(const Received& received) {
  return jsonObject({{"starts", std::to_string(received.starts)},
                     {"ended", jsonBool(received.ended)},
                     {"reset", jsonBool(received.reset)},
                     {"headers", jsonHeaders(received.headers)},
                     {"body", jsonBytes(received.body)},
                     {"trailers", received.trailers ? jsonHeaders(*received.trailers) : "null"}});
}

std::string jsonCallout(const Callout& callout) {
  return jsonObject({{"cluster", jsonText(callout.request.cluster)},
                     {"headers", jsonHeaders(callout.request.headers)},
                     {"body", jsonBytes(callout.request.body)},
                     {"started", jsonBool(callout.id != 0)},
                     {"reset", jsonBool(callout.reset)}});
}

std::string jsonLog(const std::vector<LogLine>& log) {
  constexpr std::string_view kLevels[] = {"trace", "debug",    "info", "warn",
                                          "error", "critical", "off"};
  return jsonList(log, [&](const LogLine& line) {
    return jsonObject({{"level", jsonText(kLevels[static_cast<size_t>(line.level)])},
                       {"message", jsonText(line.message)},
                       {"file", jsonText(line.file)},
                       {"line", std::to_string(line.line)}});
  });
}

// --- Results ---

uint8_t* makeBlock(bool ok, std::string_view payload) {
  auto* block = static_cast<uint8_t*>(std::malloc(8 + payload.size()));
  if (block == nullptr)
    return nullptr;
  const uint32_t head[] = {ok ? 1U : 0U, static_cast<uint32_t>(payload.size())};
  std::memcpy(block, head, sizeof head);
  if (!payload.empty())
    std::memcpy(block + sizeof head, payload.data(), payload.size());
  return block;
}

uint8_t* failed(const Error& error) { return makeBlock(false, jsonError(error)); }

// --- Reading JSON ---

/** Reads a request; the first thing that is not as it should be is kept. */
class Reader {
public:
  explicit Reader(std::string_view json)
      : runtime_(js::Runtime::create()),
        context_(runtime_ == nullptr ? nullptr
                                     : js::Context::create(*runtime_, js::Context::Kind::Filter)) {
    if (context_ == nullptr) {
      error_ = makeError(ErrorCode::E_EMULATOR_REQUEST, {"request", "smaller than the memory"});
      return;
    }
    Result<js::Value> parsed = js::parseJson(context_->raw(), json, "request");
    if (parsed)
      root_ = std::move(*parsed);
    else
      error_ = std::move(parsed).error();
  }

  const js::Value& root() const { return root_; }
  const std::optional<Error>& error() const { return error_; }

  void fail(const std::string& path, std::string_view what) {
    if (!error_)
      error_ = makeError(ErrorCode::E_EMULATOR_REQUEST, {path, what});
  }

  /** Undefined when it is not there, or `object` is not an object. */
  js::Value member(const js::Value& object, const char* key) {
    return object.isObject() ? js::Value(ctx(), JS_GetPropertyStr(ctx(), object.get(), key))
                             : js::Value();
  }

  std::string text(const js::Value& value, const std::string& path) {
    if (!value.isString()) {
      fail(path, "a string");
      return {};
    }
    return std::string(js::Utf8(ctx(), value.get()).view());
  }

  std::string bytes(const js::Value& value, const std::string& path) {
    js::ByteString text;
    if (!value.isString() || !text.read(ctx(), value.get()))
      fail(path, "a string with one character a byte");
    return std::string(text.get());
  }

  std::optional<std::string> optionalBytes(const js::Value& value, const std::string& path) {
    return value.isUndefined() ? std::nullopt : std::optional(bytes(value, path));
  }

  uint64_t number(const js::Value& value, const std::string& path) {
    double number = -1;
    constexpr double kMax = 4e9;
    if (JS_IsNumber(value.get()))
      JS_ToFloat64(ctx(), &number, value.get());
    if (!(number >= 0 && number <= kMax)) {
      fail(path, "a number from 0");
      return 0;
    }
    return static_cast<uint64_t>(number);
  }

  double real(const js::Value& value) {
    double number = 0;
    JS_ToFloat64(ctx(), &number, value.get());
    return number;
  }

  bool boolean(const js::Value& value, const std::string& path) {
    if (!JS_IsBool(value.get()))
      fail(path, "a boolean");
    return JS_ToBool(ctx(), value.get()) > 0;
  }

  template <class Read> void each(const js::Value& list, const std::string& path, Read&& read) {
    int64_t length = 0;
    if (!JS_IsArray(list.get()) || JS_GetLength(ctx(), list.get(), &length) < 0) {
      fail(path, "a list");
      return;
    }
    for (int64_t i = 0; i < length && !error_; ++i)
      read(js::Value(ctx(), JS_GetPropertyInt64(ctx(), list.get(), i)),
           path + "[" + std::to_string(i) + "]");
  }

  template <class Read>
  void eachMember(const js::Value& object, const std::string& path, Read&& read) {
    JSPropertyEnum* names = nullptr;
    uint32_t count = 0;
    if (!object.isObject() ||
        JS_GetOwnPropertyNames(ctx(), &names, &count, object.get(), JS_GPN_STRING_MASK) < 0) {
      fail(path, "an object");
      return;
    }
    for (uint32_t i = 0; i < count && !error_; ++i) {
      const js::Value name(ctx(), JS_AtomToString(ctx(), names[i].atom));
      const std::string key = text(name, path);
      read(key, js::Value(ctx(), JS_GetProperty(ctx(), object.get(), names[i].atom)),
           path + "." + key);
    }
    JS_FreePropertyEnum(ctx(), names, count);
  }

  std::vector<std::string> texts(const js::Value& list, const std::string& path) {
    std::vector<std::string> out;
    each(list, path, [&](const js::Value& item, const std::string& where) {
      out.push_back(text(item, where));
    });
    return out;
  }

  std::vector<std::string> frames(const js::Value& list, const std::string& path) {
    std::vector<std::string> out;
    each(list, path, [&](const js::Value& item, const std::string& where) {
      out.push_back(bytes(item, where));
    });
    return out;
  }

  HeaderList headers(const js::Value& list, const std::string& path) {
    HeaderList out;
    each(list, path, [&](const js::Value& pair, const std::string& where) {
      const js::Value name(ctx(), JS_GetPropertyUint32(ctx(), pair.get(), 0));
      const js::Value value(ctx(), JS_GetPropertyUint32(ctx(), pair.get(), 1));
      std::string nameBytes = bytes(name, where + "[0]");
      out.emplace_back(std::move(nameBytes), bytes(value, where + "[1]"));
    });
    return out;
  }

  /** A whole value as JSON. */
  std::string json(const js::Value& value, const std::string& path) {
    const js::Value text(ctx(), JS_JSONStringify(ctx(), value.get(), JS_UNDEFINED, JS_UNDEFINED));
    return this->text(text, path);
  }

private:
  JSContext* ctx() const { return context_->raw(); }

  std::unique_ptr<js::Runtime> runtime_;
  std::unique_ptr<js::Context> context_;
  js::Value root_;
  std::optional<Error> error_;
};

// --- Exchanges ---

Message readMessage(Reader& reader, const js::Value& value, const std::string& path) {
  Message message;
  message.headers = reader.headers(reader.member(value, "headers"), path + ".headers");
  message.frames = reader.frames(reader.member(value, "frames"), path + ".frames");
  const js::Value trailers = reader.member(value, "trailers");
  if (!trailers.isUndefined())
    message.trailers = reader.headers(trailers, path + ".trailers");
  message.endWithLastFrame =
      reader.boolean(reader.member(value, "endWithLastFrame"), path + ".endWithLastFrame");
  return message;
}

UpstreamBehavior readUpstream(Reader& reader, const js::Value& value) {
  using Kind = UpstreamBehavior::Kind;
  constexpr std::pair<std::string_view, Kind> kKinds[] = {{"answer", Kind::Answer},
                                                          {"localReply", Kind::LocalReply},
                                                          {"earlierReply", Kind::EarlierReply},
                                                          {"disconnect", Kind::Disconnect},
                                                          {"silent", Kind::Silent}};
  UpstreamBehavior upstream;
  const std::string kind = reader.text(reader.member(value, "kind"), "upstream.kind");
  bool known = false;
  for (const auto& [name, behavior] : kKinds) {
    if (name == kind) {
      upstream.kind = behavior;
      known = true;
    }
  }
  if (!known)
    reader.fail("upstream.kind", "answer, localReply, earlierReply, disconnect or silent");
  upstream.response = readMessage(reader, value, "upstream");
  upstream.delayMs = reader.number(reader.member(value, "delayMs"), "upstream.delayMs");
  upstream.early = reader.boolean(reader.member(value, "early"), "upstream.early");
  return upstream;
}

/** An answer of a cluster, and the calls that get it. */
struct Route {
  std::optional<std::string> method;
  std::optional<std::string> path;
  /** How many calls get it; nothing = all. */
  std::optional<uint64_t> times;
  CalloutAnswer answer;
};

Route readRoute(Reader& reader, const js::Value& value, const std::string& path) {
  Route route;
  route.method = reader.optionalBytes(reader.member(value, "method"), path + ".method");
  route.path = reader.optionalBytes(reader.member(value, "path"), path + ".path");
  const js::Value times = reader.member(value, "times");
  if (!times.isUndefined())
    route.times = reader.number(times, path + ".times");
  const std::string kind = reader.text(reader.member(value, "kind"), path + ".kind");
  CalloutAnswer& answer = route.answer;
  if (kind == "refused") {
    answer = CalloutAnswer::refused();
  } else if (kind == "disconnect") {
    answer = CalloutAnswer::disconnected();
  } else if (kind == "silent") {
    answer = CalloutAnswer::silent();
  } else if (kind == "noHost") {
    answer = CalloutAnswer::failure(CalloutStart::CannotCreateRequest);
  } else if (kind == "answer" || kind == "reset") {
    answer.headers = reader.headers(reader.member(value, "headers"), path + ".headers");
    answer.frames = reader.frames(reader.member(value, "frames"), path + ".frames");
    const js::Value trailers = reader.member(value, "trailers");
    if (!trailers.isUndefined())
      answer.trailers = reader.headers(trailers, path + ".trailers");
    if (kind == "reset")
      answer.end = CalloutAnswer::End::Reset;
  } else {
    reader.fail(path + ".kind", "answer, refused, disconnect, reset, silent or noHost");
  }
  answer.delayMs = reader.number(reader.member(value, "delayMs"), path + ".delayMs");
  answer.frameDelayMs = reader.number(reader.member(value, "frameDelayMs"), path + ".frameDelayMs");
  return route;
}

/** The call that gets another answer than its cluster's; calls are counted from 0. */
struct FailingCall {
  std::optional<CalloutAnswer> answer;
  uint64_t index = 0;
  uint64_t calls = 0;
};

CalloutHandler answerBy(std::vector<Route> routes, std::shared_ptr<FailingCall> failing) {
  return [routes = std::move(routes), failing = std::move(failing)](
             const CalloutRequest& request) mutable -> std::optional<CalloutAnswer> {
    if (failing->calls++ == failing->index && failing->answer)
      return failing->answer;
    const auto is = [&](const std::optional<std::string>& wanted, std::string_view name) {
      if (!wanted)
        return true;
      for (const auto& [key, value] : request.headers) {
        if (key == name)
          return value == *wanted;
      }
      return false;
    };
    for (Route& route : routes) {
      if (!is(route.method, ":method") || !is(route.path, ":path") || route.times == 0U)
        continue;
      if (route.times)
        --*route.times;
      return route.answer;
    }
    return CalloutAnswer::of(404);
  };
}

struct Emulator {
  FakeEnvoy envoy{FakeEnvoyOptions{.logLevel = LogLevel::Trace}};
  /** By handle - 1; null where it was given back. */
  std::vector<std::unique_ptr<FilterConfig>> filters;
  /** What routes say of a filter, by handle and JSON: equal ones are one, so that a script of theirs goes on. */
  std::map<std::pair<uint32_t, std::string>, std::unique_ptr<RouteConfig>> routes;

  std::string takeLog() {
    std::string log = jsonLog(envoy.log());
    envoy.clearLog();
    return log;
  }
};

// Made on first use: compiling needs none. Lives as long as the instance.
Emulator& emulator() {
  static auto& instance = *new Emulator();
  return instance;
}

// --- Facts ---

#define HOST_CONTRACT(version)
#define HOST_OBJECT(...)
#define HOST_GET(...)
#define HOST_ATTRIBUTE(cls, name, type, id, release, since) {name, Attribute::id},
#define HOST_facts
constexpr std::pair<std::string_view, Attribute> kAttributes[] = {
#include "sdk-types/host_api.def"
};
#undef HOST_CONTRACT
#undef HOST_OBJECT
#undef HOST_GET
#undef HOST_ATTRIBUTE

MetadataValue readMetadata(Reader& reader, const js::Value& value, const std::string& path) {
  using Kind = MetadataValue::Kind;
  MetadataValue out;
  if (value.isNull())
    return out;
  if (JS_IsBool(value.get())) {
    out.kind = Kind::Flag;
    out.flag = reader.boolean(value, path);
  } else if (JS_IsNumber(value.get())) {
    out.kind = Kind::Number;
    out.number = reader.real(value);
  } else if (value.isString()) {
    out.kind = Kind::Text;
    out.text = reader.text(value, path);
  } else if (JS_IsArray(value.get())) {
    out.kind = Kind::List;
    reader.each(value, path, [&](const js::Value& item, const std::string& where) {
      out.items.push_back(readMetadata(reader, item, where));
    });
  } else {
    out.kind = Kind::Object;
    reader.eachMember(value, path,
                      [&](const std::string& name, const js::Value& item, const std::string& where) {
                        out.keys.push_back(name);
                        out.items.push_back(readMetadata(reader, item, where));
                      });
  }
  return out;
}

std::string jsonMetadata(const MetadataValue& value) {
  using Kind = MetadataValue::Kind;
  switch (value.kind) {
  case Kind::Null:
    return "null";
  case Kind::Flag:
    return jsonBool(value.flag);
  case Kind::Number: {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%.17g", value.number);
    return digits;
  }
  case Kind::Text:
    return jsonText(value.text);
  case Kind::List:
    return jsonList(value.items, jsonMetadata);
  case Kind::Object:
    break;
  }
  std::string out = "{";
  for (size_t i = 0; i < value.items.size(); ++i)
    out += (i == 0 ? "" : ",") + jsonText(value.keys[i]) + ":" + jsonMetadata(value.items[i]);
  return out + '}';
}

/** A map as an object. */
template <class Map, class Write> std::string jsonMap(const Map& map, Write&& write) {
  std::string out = "{";
  for (const auto& [name, value] : map)
    out += (out.size() > 1 ? "," : "") + jsonText(name) + ":" + write(value);
  return out + '}';
}

std::string jsonSpan(const FakeSpan& span) {
  return jsonObject({{"id", jsonText(span.id)},
                     {"parentId", span.parentId.empty() ? "null" : jsonText(span.parentId)},
                     {"operation", jsonText(span.operation)},
                     {"tags", jsonList(span.tags,
                                       [](const auto& tag) {
                                         return "[" + jsonText(tag.first) + "," +
                                                jsonText(tag.second) + "]";
                                       })},
                     {"events", jsonList(span.events, jsonText)},
                     {"sampled", jsonBool(span.sampled)}});
}

std::string jsonSocketOption(const std::pair<SocketOption, SocketOptionValue>& set) {
  const auto& [option, value] = set;
  const int32_t* number = std::get_if<int32_t>(&value);
  return jsonObject(
      {{"direction", option.direction == SocketDirection::Upstream ? R"("upstream")"
                                                                   : R"("downstream")"},
       {"level", std::to_string(option.level)},
       {"name", std::to_string(option.name)},
       {"value", number != nullptr ? std::to_string(*number) : jsonBytes(std::get<std::string>(value))}});
}

ExchangeFacts readFacts(Reader& reader, const js::Value& value) {
  ExchangeFacts facts;
  reader.eachMember(
      reader.member(value, "attributes"), "facts.attributes",
      [&](const std::string& name, const js::Value& fact, const std::string& path) {
        const auto* found = std::find_if(std::begin(kAttributes), std::end(kAttributes),
                                         [&](const auto& row) { return row.first == name; });
        if (found == std::end(kAttributes))
          reader.fail(path, "the name of an attribute");
        else if (JS_IsBool(fact.get()))
          facts.attributes.emplace(found->second, reader.boolean(fact, path));
        else if (JS_IsNumber(fact.get()))
          facts.attributes.emplace(found->second, reader.number(fact, path));
        else
          facts.attributes.emplace(found->second, reader.text(fact, path));
      });
  size_t source = 0;
  reader.each(reader.member(value, "metadata"), "facts.metadata",
              [&](const js::Value& namespaces, const std::string& path) {
                if (source == facts.metadata.size())
                  return reader.fail(path, "absent");
                auto& target = facts.metadata[source++];
                reader.eachMember(namespaces, path,
                                  [&](const std::string& ns, const js::Value& values,
                                      const std::string& inNs) {
                                    auto& keys = target[ns];
                                    reader.eachMember(values, inNs,
                                                      [&](const std::string& key, const js::Value& item,
                                                          const std::string& where) {
                                                        keys.emplace(key,
                                                                     readMetadata(reader, item, where));
                                                      });
                                  });
              });
  reader.eachMember(reader.member(value, "filterState"), "facts.filterState",
                    [&](const std::string& key, const js::Value& text, const std::string& path) {
                      facts.filterState.emplace(key, reader.text(text, path));
                    });
  const js::Value cluster = reader.member(value, "cluster");
  if (!cluster.isUndefined()) {
    const auto count = [&](const char* key) {
      return static_cast<size_t>(
          reader.number(reader.member(cluster, key), std::string("facts.cluster.") + key));
    };
    facts.cluster = reader.text(reader.member(cluster, "name"), "facts.cluster.name");
    facts.hosts = {count("total"), count("healthy"), count("degraded")};
  }
  facts.traced = reader.boolean(reader.member(value, "traced"), "facts.traced");
  return facts;
}

ExchangePlan readPlan(Reader& reader, FakeEnvoy& envoy) {
  const js::Value& root = reader.root();
  ExchangePlan plan;
  plan.request = readMessage(reader, reader.member(root, "request"), "request");
  plan.upstream = readUpstream(reader, reader.member(root, "upstream"));
  const auto failing = std::make_shared<FailingCall>();
  const js::Value failingCall = reader.member(root, "failingCall");
  if (!failingCall.isUndefined()) {
    failing->index = reader.number(reader.member(failingCall, "index"), "failingCall.index");
    failing->answer = readRoute(reader, failingCall, "failingCall").answer;
  }
  reader.eachMember(reader.member(root, "clusters"), "clusters",
                    [&](const std::string& name, const js::Value& list, const std::string& path) {
                      std::vector<Route> routes;
                      reader.each(list, path, [&](const js::Value& route, const std::string& at) {
                        routes.push_back(readRoute(reader, route, at));
                      });
                      envoy.setCluster(name, answerBy(std::move(routes), failing));
                    });
  plan.options.facts = readFacts(reader, reader.member(root, "facts"));
  const js::Value leaves = reader.member(root, "clientLeavesAtMs");
  if (!leaves.isUndefined())
    plan.clientLeavesAtMs = reader.number(leaves, "clientLeavesAtMs");
  const js::Value hooks = reader.member(root, "clientLeavesAfterHooks");
  if (!hooks.isUndefined())
    plan.options.clientLeavesAfterHooks =
        static_cast<uint32_t>(reader.number(hooks, "clientLeavesAfterHooks"));
  const js::Value reloads = reader.member(root, "reloadsAfterHooks");
  if (!reloads.isUndefined())
    plan.options.reloadsAfterHooks =
        static_cast<uint32_t>(reader.number(reloads, "reloadsAfterHooks"));
  plan.options.bufferLimitBytes =
      reader.number(reader.member(root, "bufferLimitBytes"), "bufferLimitBytes");
  return plan;
}

}  // namespace
}  // namespace fairlead

using namespace fairlead;

#define FAIRLEAD_EXPORT(name) extern "C" __attribute__((export_name(name)))

/** Room for a request; 0 when there is none. */
FAIRLEAD_EXPORT("fairlead_alloc") void* fairlead_alloc(size_t size) {
  return std::malloc(size == 0 ? 1 : size);
}

FAIRLEAD_EXPORT("fairlead_free") void fairlead_free(void* block) { std::free(block); }

FAIRLEAD_EXPORT("fairlead_compile") uint8_t* fairlead_compile(const char* request, size_t length) {
  Reader reader({request, length});
  const js::Value& root = reader.root();
  const std::string source = reader.text(reader.member(root, "source"), "source");
  const std::string moduleName = reader.text(reader.member(root, "moduleName"), "moduleName");
  const js::Value described = reader.member(root, "manifest");
  Manifest manifest;
  manifest.name = reader.text(reader.member(described, "name"), "manifest.name");
  manifest.clusters = reader.texts(reader.member(described, "clusters"), "manifest.clusters");
  manifest.sources = reader.texts(reader.member(described, "sources"), "manifest.sources");
  const js::Value map = reader.member(root, "sourceMap");
  const std::string sourceMap = map.isUndefined() ? "" : reader.text(map, "sourceMap");
  if (reader.error())
    return failed(*reader.error());
  const auto bytecode = js::compile(source, moduleName, importableModules());
  if (!bytecode)
    return failed(bytecode.error());
  BytecodeParts parts{manifest, *bytecode, {}, contractVersion(), contractHash()};
  if (!map.isUndefined())
    parts.sourceMap = sourceMap;
  const std::vector<uint8_t> file = writeBytecode(parts);
  return makeBlock(true, {reinterpret_cast<const char*>(file.data()), file.size()});
}

FAIRLEAD_EXPORT("fairlead_provide")
uint8_t* fairlead_provide(const char* request, size_t length) {
  FakeEnvoy& envoy = emulator().envoy;
  Reader reader({request, length});
  reader.eachMember(reader.member(reader.root(), "secrets"), "secrets",
                    [&](const std::string& name, const js::Value& value, const std::string& path) {
                      envoy.setSecret(name, reader.bytes(value, path));
                    });
  reader.eachMember(reader.member(reader.root(), "runtime"), "runtime",
                    [&](const std::string& key, const js::Value& value, const std::string& path) {
                      const bool isFlag = JS_IsBool(value.get());
                      if (!isFlag && !JS_IsNumber(value.get()))
                        reader.fail(path, "a number or a boolean");
                      else
                        envoy.setRuntime(key, {isFlag, reader.real(value)});
                    });
  if (reader.error())
    return failed(*reader.error());
  // Filters look at the runtime once in a while.
  constexpr uint64_t kNsPerMs = 1'000'000;
  envoy.advance(kRuntimePeriodNs / kNsPerMs);
  return makeBlock(true, "null");
}

FAIRLEAD_EXPORT("fairlead_filter_new")
uint8_t* fairlead_filter_new(const char* request, size_t length) {
  Reader reader({request, length});
  const js::Value config = reader.member(reader.root(), "config");
  const std::string name = reader.text(reader.member(reader.root(), "filterName"), "filterName");
  const std::string text = config.isString() ? reader.text(config, "config")
                                             : reader.json(config, "config");
  if (reader.error())
    return failed(*reader.error());
  Emulator& host = emulator();
  host.envoy.clearLog();
  auto filter = FilterConfig::create(name, text, &host.envoy);
  if (!filter)
    return failed(filter.error());
  host.filters.push_back(*std::move(filter));
  return makeBlock(
      true, jsonObject({{"handle", std::to_string(host.filters.size())}, {"log", host.takeLog()}}));
}

FAIRLEAD_EXPORT("fairlead_filter_free") void fairlead_filter_free(uint32_t handle) {
  Emulator& host = emulator();
  if (handle == 0 || handle > host.filters.size())
    return;
  std::erase_if(host.routes, [&](const auto& route) { return route.first.first == handle; });
  host.filters[handle - 1].reset();
}

FAIRLEAD_EXPORT("fairlead_exchange")
uint8_t* fairlead_exchange(uint32_t handle, const char* request, size_t length) {
  Emulator& host = emulator();
  Reader reader({request, length});
  if (handle == 0 || handle > host.filters.size() || host.filters[handle - 1] == nullptr)
    reader.fail("handle", "of a filter that lives");
  host.envoy.clearClusters();
  host.envoy.clearLog();
  ExchangePlan plan = readPlan(reader, host.envoy);
  const FilterConfig& filter = *host.filters[handle - 1];
  const js::Value said = reader.member(reader.root(), "routeConfig");
  if (!reader.error() && !said.isUndefined()) {
    const std::string& name = filter.config.filterName;
    std::string json = reader.json(said, "routeConfig");
    std::unique_ptr<RouteConfig>& route = host.routes[{handle, json}];
    if (route == nullptr) {
      auto made = RouteConfig::create(name, json);
      if (!made)
        return failed(made.error());
      route = *std::move(made);
    }
    plan.options.route = route.get();
  }
  if (reader.error())
    return failed(*reader.error());
  const ExchangeResult result = runExchange(host.envoy, filter, plan);
  constexpr uint64_t kNsPerMs = 1'000'000;
  return makeBlock(true, jsonObject({{"complete", jsonBool(result.complete)},
                                     {"elapsedMs", std::to_string(result.elapsedNs / kNsPerMs)},
                                     {"hooks", std::to_string(result.hooks)},
                                     {"details", jsonText(result.details)},
                                     {"upstream", jsonReceived(result.upstream)},
                                     {"client", jsonReceived(result.client)},
                                     {"callouts", jsonList(result.callouts, jsonCallout)},
                                     {"metadata", jsonMap(result.facts.metadata.front(),
                                                          [](const ExchangeFacts::Values& values) {
                                                            return jsonMap(values, jsonMetadata);
                                                          })},
                                     {"filterState", jsonMap(result.facts.filterState, jsonText)},
                                     {"spans", jsonList(result.spans, jsonSpan)},
                                     {"upstreamHost", result.upstreamHost
                                                          ? jsonText(*result.upstreamHost)
                                                          : "null"},
                                     {"socketOptions", jsonList(result.facts.socketOptions,
                                                                jsonSocketOption)},
                                     {"log", host.takeLog()},
                                     {"violations", jsonList(host.envoy.finish(), jsonText)}}));
}
