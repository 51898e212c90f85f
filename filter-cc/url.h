// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What other bindings need of URL and URLSearchParams.

#pragma once

#include <optional>
#include <string>

#include "filter-cc/bind.h"

namespace fairlead {

/** A URLSearchParams object as form data (`a=1&b=2`); nothing for any other value. */
std::optional<std::string> searchParamsText(Runtime& runtime, JSValueConst value);

}  // namespace fairlead
