// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Files that a config names. Thread: any.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace fairlead {

/** What tells one state of a file from another; all zero: there is none. */
struct FileStamp {
  uint64_t device = 0;
  uint64_t inode = 0;
  int64_t size = 0;
  int64_t modifiedNs = 0;
  /** Changes with permissions and names too. */
  int64_t changedNs = 0;
  bool operator==(const FileStamp&) const = default;
};

/** The state of what `path` leads to. */
FileStamp lookAtFile(const std::string& path);

/** `file /a/b`, for messages. */
std::string describeFile(const std::string& path);

/**
 * All of a regular file that is not empty; nothing, and why not, when it cannot be read or has more than
 * `maxBytes`. Never waits, not even for the other end of a FIFO.
 */
std::optional<std::string> readFile(const std::string& path, size_t maxBytes, std::string& cause);

}  // namespace fairlead
