// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Files that a config names. Thread: any.

#pragma once

#include <cstddef>
#include <optional>
#include <string>

namespace fairlead {

/** `file /a/b`, for messages. */
std::string describeFile(const std::string& path);

/**
 * All of a regular file that is not empty; nothing, and why not, when it cannot be read or has more than
 * `maxBytes`. Never waits, not even for the other end of a FIFO.
 */
std::optional<std::string> readFile(const std::string& path, size_t maxBytes, std::string& cause);

}  // namespace fairlead
