// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// A source map (ECMA-426, version 3), decoded when the first position is asked for.

#pragma once

#include <cstdint>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead {

/** Thread: any. */
class SourceMap {
public:
  /** Keeps the text; it is not looked at yet. */
  explicit SourceMap(std::string json);

  /**
   * Replaces a generated position by the original one: the nearest mapping at or before it on its
   * line. Leaves everything alone where there is none, or where the map is not valid.
   * Lines and columns count from 1.
   */
  void map(std::string& file, uint32_t& line, uint32_t& column) const;

private:
  /** Lines and columns count from 0. */
  struct Mapping {
    uint32_t line;
    uint32_t column;
    uint32_t source;
    uint32_t originalLine;
    uint32_t originalColumn;
  };

  void decode() const;
  bool decodeMappings(std::string_view text) const;

  mutable std::once_flag decoded_;
  // Empty once it has been decoded.
  mutable std::string json_;
  mutable std::vector<std::string> sources_;
  // In the order of their generated positions.
  mutable std::vector<Mapping> mappings_;
};

}  // namespace fairlead
