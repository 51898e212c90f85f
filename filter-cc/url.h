// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What other bindings need of URL and URLSearchParams.

#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "filter-cc/bind.h"

namespace fairlead {

/** A longer one is none: it is parsed in one piece, which no limit on time can stop. Browsers draw the line there too. */
inline constexpr size_t kMaxUrlBytes = size_t{2} * 1024 * 1024;

/** The text of a URL object; nothing for any other value. */
std::optional<std::string> urlText(Runtime& runtime, JSValueConst value);
/** How many pairs a URLSearchParams object has; nothing for any other value. */
std::optional<size_t> searchParamCount(Runtime& runtime, JSValueConst value);
/** These pairs, as PairAt. */
bool searchParamAt(JSContext* ctx, JSValueConst iterable, size_t index, js::Value& key,
                   js::Value& value);
/** A URLSearchParams object as form data (`a=1&b=2`); nothing for any other value. */
std::optional<std::string> searchParamsText(Runtime& runtime, JSValueConst value);

}  // namespace fairlead
