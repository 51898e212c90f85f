// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The .qjb container: a compiled filter with what is needed to refuse it. The engine does not
// verify bytecode, so nothing here reaches it before every check has passed. Any thread may call
// this.
//
//   offset  size  field (integers are little-endian)
//        0     8  magic
//        8     4  container version
//       12     4  contract version
//       16     8  contract hash
//       24    64  engine id, padded with zeros
//       88     8  payload size
//       96    32  SHA-256 of everything else (bytes 0-95 and the payload)
//      128        payload: sections in ascending order of kind, each u32 kind, u32 size, bytes

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "quickjs/result.h"

namespace fairlead {

/// What a compiled filter says about itself.
struct Manifest {
  std::string name;
  /// Clusters that the filter wants to reach.
  std::vector<std::string> clusters;
  /// Names of the source files, for diagnostics.
  std::vector<std::string> sources;
};

/// What goes into a container. Everything is borrowed for the call.
struct BytecodeParts {
  const Manifest& manifest;
  std::span<const uint8_t> bytecode;
  /// Source map as JSON; absent when there is none.
  std::optional<std::string_view> sourceMap;
  uint32_t contractVersion = 0;
  uint64_t contractHash = 0;
};

/// A container that passed every check. Valid until: the parsed bytes go.
struct BytecodeView {
  std::string_view engineId;
  uint32_t contractVersion = 0;
  uint64_t contractHash = 0;
  std::string_view manifestJson;
  std::span<const uint8_t> bytecode;
  std::optional<std::string_view> sourceMap;
};

/// The id of the engine in this build: its version and a hash of its sources and our edits.
std::string_view engineId();

/// Whether these bytes begin like a container; what a file holds is decided by this, never by name.
bool hasBytecodeMagic(std::span<const uint8_t> bytes);

/// Makes a container for this build's engine.
std::vector<uint8_t> writeBytecode(const BytecodeParts& parts);

/// Checks a container completely. `contractVersion` is the newest contract this build serves.
/// Codes: E_BYTECODE_MAGIC, E_BYTECODE_VERSION, E_BYTECODE_ENGINE, E_BYTECODE_CONTRACT,
/// E_BYTECODE_TRUNCATED, E_BYTECODE_TRAILING, E_BYTECODE_HASH, E_BYTECODE_SECTION.
Result<BytecodeView> parseBytecode(std::span<const uint8_t> bytes, uint32_t contractVersion);

/// Reads a view's manifest. Code: E_BYTECODE_MANIFEST.
Result<Manifest> parseManifest(std::string_view json);

/// SHA-256 of the pieces as if they were one.
std::array<uint8_t, 32> sha256(std::initializer_list<std::span<const uint8_t>> pieces);
inline std::array<uint8_t, 32> sha256(std::span<const uint8_t> bytes) { return sha256({bytes}); }

} // namespace fairlead
