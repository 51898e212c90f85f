// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The filter's configuration: JSON to Config, by one table of keys.
// Thread: main.

#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quickjs/result.h"

namespace fairlead {

/** Where the script's code comes from; exactly one key of a config says so. */
struct Source {
  enum class Kind : uint8_t { Inline, File, Bytecode };
  Kind kind = Kind::Inline;
  /** Inline: the source. File: its path. Bytecode: the decoded bytes. */
  std::string text;
};

/** What a script may use. Bounds and defaults stand in the table of config.cc. */
struct Limits {
  uint32_t cpuMs = 0;
  uint32_t streamCpuMs = 0;
  uint32_t loadMs = 0;
  uint32_t memoryMb = 0;
  uint32_t stackKb = 0;
  uint32_t waitMs = 0;
  uint32_t bodyKb = 0;
  uint32_t fetches = 0;
  uint32_t keepalives = 0;
  uint32_t sharedKb = 0;
};

/** Where a secret comes from. */
struct SecretSource {
  enum class Kind : uint8_t { Inline, File, Sds };
  Kind kind = Kind::Inline;
  /** Inline: the secret itself. File: its path. Sds: its name in Envoy. */
  std::string text;
  /** Sds: where it comes from, Envoy's ConfigSource as JSON; empty for one of the bootstrap's. */
  std::string configSource = {};
};

/** What becomes of an exchange whose script fails. */
struct OnError {
  /** Closed: the client is answered. Open: the exchange goes on as it came. */
  enum class Mode : uint8_t { Closed, Open };
  Mode mode = Mode::Closed;
  uint32_t status = 0;
  uint32_t waitStatus = 0;
};

/** One filter's configuration, checked. */
struct Config {
  std::string filterName;
  Source source;
  /** Whether the file is loaded anew when it changes. */
  bool watch = false;
  /** The `config` object as JSON text; `{}` when there is none. */
  std::string configJson;
  /** What a route lays over it, a JSON merge patch (RFC 7396); empty: nothing. */
  std::string configPatch;
  /** Host that a script names in fetch, in lower case → Envoy's cluster. */
  std::map<std::string, std::string, std::less<>> clusters;
  /** The request header by which routes choose the cluster; empty: none. In lower case. */
  std::string clusterHeader;
  /** Namespaces of dynamic metadata that may be written, beside the filter's name. */
  std::vector<std::string> metadata;
  std::map<std::string, SecretSource, std::less<>> secrets;
  /** Keys of Envoy's runtime that may be read. */
  std::vector<std::string> runtimeKeys;
  uint32_t idleS = 0;
  Limits limits;
  OnError onError;
};

/** A key that a config may have: what reads it, and what its documentation is made from. */
struct ConfigKey {
  /** Where it can stand. */
  enum class Scope : uint8_t { Filter, Route, Both };
  enum class Kind : uint8_t { Inline, File, Bytecode, Flag, Object, Clusters, HeaderName, Names, Secrets, Section, Whole, Mode };

  /** `limits.cpu_ms`; the part before the dot is a key of kind Section. */
  std::string_view path;
  Kind kind;
  std::string_view doc;
  /** Bounds and default of a Whole. */
  uint32_t min = 0;
  uint32_t max = 0;
  uint32_t fallback = 0;
  /** Where a Whole is kept. */
  uint32_t& (*field)(Config&) = nullptr;
  Scope scope = Scope::Filter;
};

/** All keys, in the order in which people should read about them. */
std::span<const ConfigKey> configKeys();

/**
 * Reads what Envoy hands over: a JSON object is a config, any other text is inline source.
 * Codes: E_CONFIG_JSON (with line and column), E_CONFIG_KEY, E_CONFIG_TYPE, E_CONFIG_RANGE,
 * E_CONFIG_VALUE, E_CONFIG_SOURCE. The message names the path of the key (`limits.cpu_ms`).
 */
Result<Config> parseConfig(std::string_view filterName, std::string_view bytes);

/** What a route says of a filter. */
struct RouteOverrides {
  /** The filter is left out. */
  bool disabled = false;
  /** `values` has a source. */
  bool hasScript = false;
  /** `values.configPatch` is the `config`. */
  Config values;
  /** The other keys of `values` that are given. */
  std::vector<const ConfigKey*> given;

  /** Puts what is given into a filter's config. Limits above the filter's stay as they are; names them. */
  std::string layOver(Config& filter) const;
};

/** As parseConfig, for what a route may say. Empty bytes say nothing. */
Result<RouteOverrides> parseRouteConfig(std::string_view filterName, std::string_view bytes);

/** Where the first byte is that is not UTF-8; nothing when all are. */
std::optional<size_t> findInvalidUtf8(std::string_view text);

}  // namespace fairlead
