// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/config.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <set>

namespace fairlead {
namespace {

using Kind = ConfigKey::Kind;

Config parsed(std::string_view bytes) {
  auto config = parseConfig("auth", bytes);
  EXPECT_TRUE(config.ok()) << bytes << '\n' << (config.ok() ? "" : config.error().message);
  return config.ok() ? *std::move(config) : Config{};
}

Error refused(std::string_view bytes) {
  const auto config = parseConfig("auth", bytes);
  EXPECT_FALSE(config.ok()) << bytes.substr(0, 200);
  if (config.ok())
    return {};
  EXPECT_EQ(config.error().message.find('\n'), std::string::npos) << config.error().message;
  EXPECT_LT(config.error().message.size(), 1000U);
  return config.error();
}

Error refusedRoute(std::string_view bytes) {
  const auto route = parseRouteConfig("auth", bytes);
  EXPECT_FALSE(route.ok()) << bytes;
  return route.ok() ? Error{} : route.error();
}

/** One key, which may be `section.key`, and its value. */
std::string keyAndValue(std::string_view path, std::string_view json) {
  const size_t dot = path.find('.');
  std::string member = '"' + std::string(path.substr(dot == path.npos ? 0 : dot + 1)) + "\":" +
                       std::string(json);
  if (dot != path.npos)
    member = '"' + std::string(path.substr(0, dot)) + "\":{" + member + '}';
  return member;
}

std::string ofRoute(std::string_view path, std::string_view json) { return '{' + keyAndValue(path, json) + '}'; }

/** A config with a script and one more key. */
std::string withKey(std::string_view path, std::string_view json) {
  const std::string member = keyAndValue(path, json);
  const bool isSource = path == "inline" || path == "file" || path == "bytecode";
  return '{' + (isSource ? "" : std::string(R"("inline":"export default {}",)")) + member + '}';
}

#define EXPECT_REFUSED(bytes, expectedCode, expectedMessage)                                       \
  do {                                                                                             \
    const Error error = refused(bytes);                                                            \
    EXPECT_EQ(error.code, expectedCode) << error.message;                                          \
    EXPECT_EQ(error.message, expectedMessage);                                                     \
  } while (false)

constexpr std::string_view kKnown =
    "inline, file, bytecode, watch, config, clusters, cluster_header, metadata, secrets, runtime, idle_s, limits, on_error";
constexpr std::string_view kKnownLimits =
    "cpu_ms, stream_cpu_ms, load_ms, memory_mb, stack_kb, wait_ms, body_kb, "
    "fetches, keepalives, shared_kb";

std::string unknown(std::string_view path, std::string_view hint, std::string_view known = kKnown) {
  std::string text = "unknown key " + std::string(path);
  if (!hint.empty())
    text += " (did you mean " + std::string(hint) + "?)";
  return text + "; known are " + std::string(known);
}

std::string notJson(std::string_view cause) {
  return "the config is neither a JSON object nor inline source: " + std::string(cause);
}

// --- What is accepted (F053) ---

TEST(ConfigTest, TextThatIsNotJsonIsInlineSource) {
  for (const std::string_view source :
       {"export default {}", "// a comment\nexport default {}", "\"use strict\"; export default {}",
        "[1, 2].map(String)", "  \n export default {}", "nullish"}) {
    const Config config = parsed(source);
    EXPECT_EQ(config.source.kind, Source::Kind::Inline);
    EXPECT_EQ(config.source.text, source);
    EXPECT_EQ(config.filterName, "auth");
    EXPECT_EQ(config.configJson, "{}");
    EXPECT_TRUE(config.clusters.empty());
  }
}

TEST(ConfigTest, DefaultsAreThoseOfTheTable) {
  for (const std::string_view bytes : {"export default {}", R"({"file":"a.js"})",
                                       R"({"file":"a.js","limits":{},"on_error":{}})"}) {
    Config config = parsed(bytes);
    EXPECT_EQ(config.limits.cpuMs, 20U);
    EXPECT_EQ(config.limits.streamCpuMs, 200U);
    EXPECT_EQ(config.limits.loadMs, 1'000U);
    EXPECT_EQ(config.limits.memoryMb, 16U);
    EXPECT_EQ(config.limits.stackKb, 512U);
    EXPECT_EQ(config.limits.waitMs, 15'000U);
    EXPECT_EQ(config.limits.bodyKb, 1'024U);
    EXPECT_EQ(config.limits.fetches, 16U);
    EXPECT_EQ(config.limits.keepalives, 64U);
    EXPECT_EQ(config.limits.sharedKb, 1024U);
    EXPECT_EQ(config.idleS, 300U);
    EXPECT_FALSE(config.watch);
    EXPECT_EQ(config.onError.status, 500U);
    EXPECT_EQ(config.onError.waitStatus, 504U);
  }
}

TEST(ConfigTest, EverySourceIsKept) {
  Config config = parsed(R"({"inline":"export default { /* \u00e9 \u2713 */ }"})");
  EXPECT_EQ(config.source.kind, Source::Kind::Inline);
  EXPECT_EQ(config.source.text, "export default { /* é ✓ */ }");

  config = parsed(R"({"file":"/etc/fairlead/auth.qjb"})");
  EXPECT_EQ(config.source.kind, Source::Kind::File);
  EXPECT_EQ(config.source.text, "/etc/fairlead/auth.qjb");

  config = parsed(R"({"bytecode":"iVFKQg0KGgoA/w=="})");
  EXPECT_EQ(config.source.kind, Source::Kind::Bytecode);
  EXPECT_EQ(config.source.text, std::string("\x89QJB\r\n\x1A\n\0\xFF", 10));
  // A block of YAML has line ends.
  EXPECT_EQ(parsed(R"({"bytecode":"iVFK\nQg0K\nGgoA/w==\n"})").source.text, config.source.text);
}

TEST(ConfigTest, EveryWholeNumberIsReadIntoItsField) {
  for (const ConfigKey& key : configKeys()) {
    if (key.kind != Kind::Whole)
      continue;
    for (const uint32_t value : {key.min, key.max, key.fallback, key.min + 1}) {
      Config config = parsed(withKey(key.path, std::to_string(value)));
      EXPECT_EQ(key.field(config), value) << key.path;
    }
    Config config = parsed(withKey(key.path, std::to_string(key.max) + ".0e0"));
    EXPECT_EQ(key.field(config), key.max) << key.path;
  }
}

TEST(ConfigTest, TheClusterHeaderIsAHeaderOfItsOwn) {
  // F042
  EXPECT_EQ(parsed(withKey("cluster_header", R"("X-Cluster")")).clusterHeader, "x-cluster");
  EXPECT_EQ(parsed("export default {}").clusterHeader, "");
  for (const std::string_view name : {"", "a b", ":path", "x:y", "Host", "Connection",
                                      "content-length", "transfer-encoding"}) {
    const Error error = refused(withKey("cluster_header", '"' + std::string(name) + '"'));
    EXPECT_EQ(error.code, "E_CONFIG_VALUE") << name;
  }
}

TEST(ConfigTest, NamespacesOfMetadataAreAListOfNames) {
  // F083
  EXPECT_EQ(parsed(withKey("metadata", R"(["envoy.lb", "a"])")).metadata,
            (std::vector<std::string>{"envoy.lb", "a"}));
  EXPECT_EQ(parsed(withKey("metadata", "[]")).metadata, std::vector<std::string>{});
  EXPECT_EQ(refused(withKey("metadata", R"(["a", ""])")).code, "E_CONFIG_VALUE");
  EXPECT_EQ(refused(withKey("metadata", R"(["a", 1])")).code, "E_CONFIG_TYPE");
}

TEST(ConfigTest, TheTableIsComplete) {
  std::set<std::string_view> paths;
  Config config;
  std::set<uint32_t*> fields;
  for (const ConfigKey& key : configKeys()) {
    EXPECT_TRUE(paths.insert(key.path).second) << key.path;
    EXPECT_FALSE(key.doc.empty()) << key.path;
    const size_t dot = key.path.find('.');
    if (dot != std::string_view::npos) {
      EXPECT_TRUE(paths.contains(key.path.substr(0, dot))) << key.path;
    }
    ASSERT_EQ(key.kind == Kind::Whole, key.field != nullptr) << key.path;
    if (key.kind == Kind::Whole) {
      EXPECT_TRUE(fields.insert(&key.field(config)).second) << key.path;
      EXPECT_LE(key.min, key.fallback) << key.path;
      EXPECT_LE(key.fallback, key.max) << key.path;
      EXPECT_LT(key.min, key.max) << key.path;
    }
  }
  constexpr size_t kModeBytes = offsetof(OnError, status);
  constexpr size_t kIdle = 1;
  EXPECT_EQ(fields.size(), (sizeof(Limits) + sizeof(OnError) - kModeBytes) / sizeof(uint32_t) + kIdle);
}

TEST(ConfigTest, ARouteSaysWhatItsKeysAllowAndKeepsTheRestOfTheFilter) {
  // F056
  const auto route = parseRouteConfig(
      "auth", R"({"config": {"a": 1}, "limits": {"wait_ms": 5, "fetches": 99}, "on_error": {"mode": "open"}})");
  ASSERT_TRUE(route) << route.error().message;
  Config config = parsed(R"({"inline": "x", "config": {"b": 2}, "on_error": {"status": 444}})");
  EXPECT_EQ(route->layOver(config), "limits.fetches");
  EXPECT_EQ(config.limits.waitMs, 5U);
  EXPECT_EQ(config.limits.fetches, 16U);
  EXPECT_EQ(config.limits.cpuMs, 20U);
  EXPECT_EQ(config.onError.mode, OnError::Mode::Open);
  EXPECT_EQ(config.onError.status, 444U);
  EXPECT_EQ(config.configJson, R"({"b":2})");
  EXPECT_EQ(config.configPatch, R"({"a":1})");
  for (const std::string_view bytes : {"", " ", "{}"}) {
    const auto nothing = parseRouteConfig("auth", bytes);
    ASSERT_TRUE(nothing) << bytes;
    EXPECT_TRUE(nothing->given.empty());
    EXPECT_FALSE(nothing->disabled);
    EXPECT_FALSE(nothing->hasScript);
  }
  for (const std::string_view path : {"inline", "watch", "clusters", "secrets", "idle_s", "limits.memory_mb", "limits.load_ms"})
    EXPECT_EQ(refusedRoute(ofRoute(path, "1")).code, "E_CONFIG_KEY") << path;
  EXPECT_EQ(refusedRoute("no json").code, "E_CONFIG_JSON");
  EXPECT_EQ(refusedRoute("[]").code, "E_CONFIG_JSON");
}

TEST(ConfigTest, TheScriptsOwnConfigIsKeptAsJson) {
  const auto json = [](std::string_view value) {
    return parsed(withKey("config", value)).configJson;
  };
  EXPECT_EQ(json("{}"), "{}");
  EXPECT_EQ(json(R"( { "realm" : "edge" , "list": [1, 2.5, null, true] } )"),
            R"({"realm":"edge","list":[1,2.5,null,true]})");
  EXPECT_EQ(json(R"({"__proto__":{"a":1},"toJSON":"x"})"), R"({"__proto__":{"a":1},"toJSON":"x"})");
  EXPECT_EQ(json(R"({"lone":"\ud800","line":"a\nb"})"), R"({"lone":"\ud800","line":"a\nb"})");
}

TEST(ConfigTest, ClustersAreAListOrAMap) {
  using Map = std::map<std::string, std::string, std::less<>>;
  const auto clusters = [](std::string_view json) {
    return parsed(withKey("clusters", json)).clusters;
  };
  EXPECT_EQ(clusters("[]"), Map{});
  EXPECT_EQ(clusters("{}"), Map{});
  EXPECT_EQ(clusters(R"(["auth","jwt_keys"])"), (Map{{"auth", "auth"}, {"jwt_keys", "jwt_keys"}}));
  EXPECT_EQ(clusters(R"({"idp.example.com":"outbound|443||idp","a":"auth","b":"auth"})"),
            (Map{{"idp.example.com", "outbound|443||idp"}, {"a", "auth"}, {"b", "auth"}}));
  // A URL's host is in lower case, a cluster's name is not.
  EXPECT_EQ(clusters(R"(["AuthService"])"), (Map{{"authservice", "AuthService"}}));
}

TEST(ConfigTest, TenThousandClustersAreRead) {
  std::string list;
  for (int i = 0; i < 10'000; ++i)
    list += (i == 0 ? "\"c" : ",\"c") + std::to_string(i) + '"';
  const Config config = parsed(withKey("clusters", '[' + list + ']'));  // H406
  EXPECT_EQ(config.clusters.size(), 10'000U);
  EXPECT_EQ(config.clusters.find("c9999")->second, "c9999");
}

// --- H401: what is no config at all ---

TEST(ConfigTest, AnEmptyConfigIsRefused) {
  for (const std::string_view bytes : {"", " ", "\r\n\t "}) {
    EXPECT_REFUSED(bytes, "E_CONFIG_SOURCE",
                   "the config is empty; give exactly one of inline, file, bytecode");
  }
}

TEST(ConfigTest, JsonOfAnotherTypeIsRefused) {
  EXPECT_REFUSED("null", "E_CONFIG_JSON", notJson("it is null"));
  EXPECT_REFUSED(" true", "E_CONFIG_JSON", notJson("it is true"));
  EXPECT_REFUSED("-12.5\n", "E_CONFIG_JSON", notJson("it is -12.5"));
  EXPECT_REFUSED("[{\"inline\":\"\"}]", "E_CONFIG_JSON", notJson("it is an array"));
  EXPECT_REFUSED("\"export default {}\"", "E_CONFIG_JSON",
                 notJson("it is the string \"export default {}\""));
}

TEST(ConfigTest, JsonThatDoesNotParseIsRefusedWithItsPlace) {
  const Error error = refused("{\n  \"inline\": \"export default {}\",\n  \"clusters\": [a]\n}");
  EXPECT_EQ(error.code, "E_CONFIG_JSON");
  EXPECT_EQ(error.file, "config");
  EXPECT_EQ(error.line, 3U);
  EXPECT_EQ(error.column, 16U);
  EXPECT_TRUE(error.message.starts_with(notJson("SyntaxError: "))) << error.message;

  for (const std::string_view bytes :
       {"{", "{\"inline\":\"a\"", "{\"inline\":\"a\"}}", "{\"inline\":\"a\"} x", "{inline:'a'}",
        "{\"inline\":\"a\",}", "{\"inline\":\"a\nb\"}", "{/* comment */}"}) {
    const Error broken = refused(bytes);
    EXPECT_EQ(broken.code, "E_CONFIG_JSON") << bytes;
    EXPECT_EQ(broken.file, "config") << bytes;
    EXPECT_GE(broken.line, 1U) << bytes;
    EXPECT_GE(broken.column, 1U) << bytes;
  }
  EXPECT_EQ(refused(std::string_view("{\0}", 3)).code, "E_CONFIG_JSON");
}

TEST(ConfigTest, BytesThatAreNotUtf8AreRefused) {
  EXPECT_REFUSED("export default {} // \xE9", "E_CONFIG_JSON", notJson("byte 22 is not UTF-8"));
  EXPECT_REFUSED("{\"inline\":\"\xC3\"}", "E_CONFIG_JSON", notJson("byte 12 is not UTF-8"));
}

TEST(ConfigTest, Utf8IsToldFromWhatIsNot) {
  for (const std::string_view good : {"", "a", "\x7F", "\u0080", "é", "\u07FF", "\u0800", "\uFFFF",
                                      "\U00010000", "\U0010FFFF", "a\u2713b"})
    EXPECT_EQ(findInvalidUtf8(good), std::nullopt) << good;
  for (const std::string_view bad :
       {"a\x80", "a\xBF", "a\xC0\x80", "a\xC1\xBF", "a\xC3", "a\xC3z", "a\xE0\x80\x80",
        "a\xE0\x9F\xBF", "a\xE2\x82", "a\xE2\x82z", "a\xED\xA0\x80", "a\xED\xBF\xBF",
        "a\xF0\x80\x80\x80", "a\xF0\x8F\xBF\xBF", "a\xF0\x9F\x98", "a\xF4\x90\x80\x80",
        "a\xF5\x80\x80\x80", "a\xFF", "a\xFE"})
    EXPECT_EQ(findInvalidUtf8(bad), 1U) << bad;
}

TEST(ConfigTest, AHugeStringEndsInOneLine) {
  const std::string huge(50'000'000, 'a');
  EXPECT_EQ(parsed(huge).source.text.size(), huge.size());  // a very long identifier
  EXPECT_EQ(refused('"' + huge + '"').code, "E_CONFIG_JSON");
  EXPECT_EQ(refused("{\"" + huge + "\":1}").code, "E_CONFIG_KEY");
  const std::string large = huge.substr(0, 1'000'000);
  EXPECT_EQ(refused("{\"limits\":\"" + large + "\"}").code, "E_CONFIG_TYPE");
  EXPECT_EQ(refused("{\"bytecode\":\"" + large + "!\"}").code, "E_CONFIG_VALUE");
}

TEST(ConfigTest, DeepNestingIsReadOrRefused) {
  const auto nested = [](size_t depth) {
    std::string json = "1";
    std::string open, close;
    for (size_t i = 0; i < depth; ++i) {
      open += "{\"a\":";
      close += '}';
    }
    return open + json + close;
  };
  const Config config = parsed(withKey("config", nested(1'000)));
  EXPECT_EQ(config.configJson, nested(1'000));
  const Error error = refused(withKey("config", nested(1'000'000)));
  EXPECT_EQ(error.code, "E_CONFIG_JSON");
  EXPECT_EQ(error.message, notJson("it is nested too deep"));
  EXPECT_EQ(refused(nested(1'000)).code, "E_CONFIG_KEY");
}

// --- H402: keys that are not known ---

TEST(ConfigTest, AnUnknownKeyIsNamedWithTheKnownAndTheNearest) {
  EXPECT_REFUSED(withKey("limit", "{}"), "E_CONFIG_KEY", unknown("limit", "limits"));
  EXPECT_REFUSED(withKey("cluster", "[]"), "E_CONFIG_KEY", unknown("cluster", "clusters"));
  EXPECT_REFUSED(withKey("on_errors", "{}"), "E_CONFIG_KEY", unknown("on_errors", "on_error"));
  EXPECT_REFUSED(withKey("onError", "{}"), "E_CONFIG_KEY", unknown("onError", "on_error"));
  EXPECT_REFUSED(withKey("byte", "{}"), "E_CONFIG_KEY", unknown("byte", "bytecode"));
  EXPECT_REFUSED(withKey("something", "{}"), "E_CONFIG_KEY", unknown("something", ""));
  EXPECT_REFUSED(withKey("le", "{}"), "E_CONFIG_KEY", unknown("le", ""));
  EXPECT_REFUSED(withKey("", "1"), "E_CONFIG_KEY", unknown("\"\"", ""));
  EXPECT_REFUSED(withKey("__proto__", "{}"), "E_CONFIG_KEY", unknown("__proto__", ""));
  EXPECT_REFUSED(withKey("a b\\n", "{}"), "E_CONFIG_KEY", unknown("\"a b?\"", ""));
  // A dot in a key does not reach into a section.
  EXPECT_REFUSED("{\"inline\":\"a\",\"limits.cpu_ms\":1}", "E_CONFIG_KEY",
                 unknown("\"limits.cpu_ms\"", "limits"));
}

TEST(ConfigTest, AnUnknownKeyOfASectionIsNamedWithItsPath) {
  EXPECT_REFUSED(withKey("limits.cpu", "1"), "E_CONFIG_KEY",
                 unknown("limits.cpu", "limits.cpu_ms", kKnownLimits));
  EXPECT_REFUSED(withKey("limits.memoryMb", "1"), "E_CONFIG_KEY",
                 unknown("limits.memoryMb", "limits.memory_mb", kKnownLimits));
  EXPECT_REFUSED(withKey("limits.fetch", "1"), "E_CONFIG_KEY",
                 unknown("limits.fetch", "limits.fetches", kKnownLimits));
  EXPECT_REFUSED(withKey("limits.requests", "1"), "E_CONFIG_KEY",
                 unknown("limits.requests", "", kKnownLimits));
  EXPECT_REFUSED(withKey("on_error.state", "1"), "E_CONFIG_KEY",
                 unknown("on_error.state", "on_error.status", "mode, status, wait_status"));
}

TEST(ConfigTest, KeysOfOtherVersionsAreUnknown) {
  for (const std::string_view key :
       {"isolation", "total_memory_mb", "verify_keys", "deny_headers",
        "record", "on_error.breaker"})
    EXPECT_EQ(refused(withKey(key, "1")).code, "E_CONFIG_KEY") << key;
}

// --- H403: wrong types, wrong ranges ---

TEST(ConfigTest, EveryKeyRefusesEveryWrongType) {
  struct Sample {
    std::string_view json;
    std::string_view shown;
    std::set<Kind> fits;
  };
  const Sample samples[] = {
      {"null", "null", {}},
      {"true", "true", {Kind::Flag}},
      {"20", "20", {Kind::Whole}},
      {"\"20\"",
       "the string \"20\"",
       {Kind::Inline, Kind::File, Kind::Bytecode, Kind::HeaderName, Kind::Mode}},
      {"[]", "an array", {Kind::Clusters, Kind::Names}},
      {"{}", "an object", {Kind::Object, Kind::Secrets, Kind::Section, Kind::Clusters}},
  };
  for (const ConfigKey& key : configKeys()) {
    for (const Sample& sample : samples) {
      if (sample.fits.contains(key.kind))
        continue;
      const Error error = key.scope == ConfigKey::Scope::Route ? refusedRoute(ofRoute(key.path, sample.json))
                                                               : refused(withKey(key.path, sample.json));
      EXPECT_EQ(error.code, "E_CONFIG_TYPE") << key.path << ' ' << sample.json;
      const std::string_view wanted = key.kind == Kind::Flag ? " must be true or false" : " must be a";
      EXPECT_TRUE(error.message.starts_with(std::string(key.path) + std::string(wanted))) << error.message;
      EXPECT_TRUE(error.message.ends_with(", got " + std::string(sample.shown))) << error.message;
    }
  }
  EXPECT_REFUSED(withKey("limits.cpu_ms", "\"20\""), "E_CONFIG_TYPE",
                 "limits.cpu_ms must be a whole number, got the string \"20\"");
  EXPECT_REFUSED(withKey("limits.cpu_ms", "1.5"), "E_CONFIG_TYPE",
                 "limits.cpu_ms must be a whole number, got 1.5");
  EXPECT_REFUSED(withKey("config", "\"a \\\"quoted\\\" \\u0007 text\""), "E_CONFIG_TYPE",
                 "config must be an object, got the string \"a \\\"quoted\\\" ? text\"");
  // A long value is cut at a whole character, wherever the characters begin.
  std::string sharp;
  for (int i = 0; i < 100; ++i)
    sharp += "ß";
  for (const std::string before : {"", "a"}) {
    const Error error = refused(withKey("config", '"' + before + sharp + '"'));
    EXPECT_EQ(findInvalidUtf8(error.message), std::nullopt) << error.message;
    EXPECT_TRUE(error.message.ends_with("ß…\"")) << error.message;
  }
}

TEST(ConfigTest, EveryNumberOutOfRangeIsRefusedWithTheRange) {
  for (const ConfigKey& key : configKeys()) {
    if (key.kind != Kind::Whole)
      continue;
    const std::string range = std::string(key.path) + " must be from " + std::to_string(key.min) +
                              " to " + std::to_string(key.max) + ", got ";
    EXPECT_REFUSED(withKey(key.path, "-1"), "E_CONFIG_RANGE", range + "-1");
    EXPECT_REFUSED(withKey(key.path, "2147483648"), "E_CONFIG_RANGE", range + "2147483648");
    EXPECT_REFUSED(withKey(key.path, "4294967316"), "E_CONFIG_RANGE", range + "4294967316");
    EXPECT_REFUSED(withKey(key.path, "9007199254740992"), "E_CONFIG_RANGE",
                   range + "9007199254740992");
    EXPECT_REFUSED(withKey(key.path, "1e308"), "E_CONFIG_RANGE", range + "1e+308");
    EXPECT_REFUSED(withKey(key.path, "1e999"), "E_CONFIG_RANGE", range + "Infinity");
    EXPECT_REFUSED(withKey(key.path, std::to_string(key.max + 1)), "E_CONFIG_RANGE",
                   range + std::to_string(key.max + 1));
    if (key.min > 0) {
      EXPECT_REFUSED(withKey(key.path, std::to_string(key.min - 1)), "E_CONFIG_RANGE",
                     range + std::to_string(key.min - 1));
    }
  }
  EXPECT_REFUSED(withKey("limits.memory_mb", "1"), "E_CONFIG_RANGE",
                 "limits.memory_mb must be from 2 to 1024, got 1");
  EXPECT_REFUSED(withKey("limits.cpu_ms", "3600000"), "E_CONFIG_RANGE",
                 "limits.cpu_ms must be from 1 to 10000, got 3600000");
}

// --- H404: which script ---

TEST(ConfigTest, ExactlyOneSourceIsGiven) {
  EXPECT_REFUSED("{}", "E_CONFIG_SOURCE",
                 "the config names no script; give exactly one of inline, file, bytecode");
  EXPECT_REFUSED(R"({"file":"a.js","inline":"export default {}"})", "E_CONFIG_SOURCE",
                 "both file and inline are there; give exactly one of inline, file, bytecode");
  EXPECT_REFUSED(R"({"inline":"a","bytecode":"YQ=="})", "E_CONFIG_SOURCE",
                 "both bytecode and inline are there; give exactly one of inline, file, bytecode");
  for (const std::string_view key : {"inline", "file", "bytecode"}) {
    EXPECT_REFUSED(withKey(key, "\"\""), "E_CONFIG_SOURCE",
                   std::string(key) + " is empty; give exactly one of inline, file, bytecode");
  }
  EXPECT_REFUSED(withKey("inline", "\" \\n \""), "E_CONFIG_SOURCE",
                 "inline is empty; give exactly one of inline, file, bytecode");
  EXPECT_REFUSED(withKey("file", "\"a\\u0000b\""), "E_CONFIG_VALUE",
                 "file: a path cannot hold NUL");
}

TEST(ConfigTest, BytecodeThatIsNotBase64IsRefused) {
  for (const std::string_view text : {"iVFKQg0KGgo", "iVFK!g==", "iVFKQg=", "iVFKQh==", "a", "====",
                                      "iVFK-_==", "Qg==Qg=="})
    EXPECT_REFUSED(withKey("bytecode", '"' + std::string(text) + '"'), "E_CONFIG_VALUE",
                   "bytecode: it is not base64");
}

// --- H406, H407: values ---

TEST(ConfigTest, ClusterNamesAreChecked) {
  EXPECT_REFUSED(withKey("clusters", "[\"\"]"), "E_CONFIG_VALUE",
                 "clusters[0]: a name cannot be empty");
  EXPECT_REFUSED(withKey("clusters", "{\"\":\"auth\"}"), "E_CONFIG_VALUE",
                 "clusters.\"\": a name cannot be empty");
  EXPECT_REFUSED(withKey("clusters", "{\"auth\":\"\"}"), "E_CONFIG_VALUE",
                 "clusters.auth: a name cannot be empty");
  EXPECT_REFUSED(withKey("clusters", "[\"auth\",\"b\",\"auth\"]"), "E_CONFIG_VALUE",
                 "clusters[2]: \"auth\" is there twice");
  EXPECT_REFUSED(withKey("clusters", "{\"Auth\":\"a\",\"auth\":\"b\"}"), "E_CONFIG_VALUE",
                 "clusters.auth: \"auth\" is there twice");
  EXPECT_REFUSED(withKey("clusters", "[\"*\"]"), "E_CONFIG_VALUE",
                 "clusters[0]: there are no wildcards; name every host");
  EXPECT_REFUSED(withKey("clusters", "{\"*.example.com\":\"a\"}"), "E_CONFIG_VALUE",
                 "clusters.\"*.example.com\": there are no wildcards; name every host");
  EXPECT_REFUSED(withKey("clusters", "[\"outbound|443||idp\"]"), "E_CONFIG_VALUE",
                 "clusters[0]: \"outbound|443||idp\" cannot be the host of a URL; give the cluster "
                 "one: clusters: { \"name.example\": \"outbound|443||idp\" }");
  for (const std::string host :
       {"a b", "a:80", "http://a", "a/b", "a%20", "b\\u00fccher.example"}) {
    EXPECT_EQ(refused(withKey("clusters", "[\"" + host + "\"]")).code, "E_CONFIG_VALUE") << host;
  }
  EXPECT_REFUSED(withKey("clusters", "[\"a\",1]"), "E_CONFIG_TYPE",
                 "clusters[1] must be a string, got 1");
  EXPECT_REFUSED(withKey("clusters", "{\"a\":[\"b\"]}"), "E_CONFIG_TYPE",
                 "clusters.a must be a string, got an array");
}

TEST(ConfigTest, OnErrorIsChecked) {
  for (const std::string_view status : {"99", "200", "399", "600"}) {
    EXPECT_REFUSED(withKey("on_error.status", status), "E_CONFIG_RANGE",
                   "on_error.status must be from 400 to 599, got " + std::string(status));
    EXPECT_REFUSED(withKey("on_error.wait_status", status), "E_CONFIG_RANGE",
                   "on_error.wait_status must be from 400 to 599, got " + std::string(status));
  }
  EXPECT_EQ(parsed(withKey("on_error.mode", "\"closed\"")).onError.status, 500U);
  EXPECT_REFUSED(withKey("on_error.mode", "\"clsoed\""), "E_CONFIG_VALUE",
                 "on_error.mode: must be \"closed\" or \"open\", got \"clsoed\"");
  EXPECT_EQ(parsed(withKey("on_error.mode", "\"closed\"")).onError.mode, OnError::Mode::Closed);
  EXPECT_EQ(parsed(withKey("on_error.mode", "\"open\"")).onError.mode, OnError::Mode::Open);
}

}  // namespace
}  // namespace fairlead
