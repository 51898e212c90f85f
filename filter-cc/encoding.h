// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// UTF-8 as the Encoding standard decodes it.

#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace fairlead {
namespace js {
class Entry;
}

/**
 * `bytes` with each maximal ill-formed part replaced by U+FFFD: `bytes` itself when nothing had to
 * be replaced, else `mended`. A byte order mark stays. What the limits of `entry` leave no time for
 * is missing; the script is stopped when it runs on.
 */
std::string_view mendUtf8(std::string_view bytes, std::string& mended, js::Entry* entry = nullptr);

/** The same without a byte order mark at the begin: what text() gives of a body. */
std::string_view decodeUtf8(std::string_view bytes, std::string& mended, js::Entry* entry);

/** How many bytes at the end begin a character whose end has not come. */
size_t cutUtf8(std::string_view bytes);

}  // namespace fairlead
