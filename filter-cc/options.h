// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Objects of options that are fairlead's own. Those of the Web are dictionaries of Web IDL, in which a member that nobody
// knows is ignored; here it is a mistake.

#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "filter-cc/bind.h"

namespace fairlead {

/**
 * Reads the options that argument `index` (from 0) of a call is: `values[i]` becomes what `names[i]` is, undefined where
 * it is absent. False: an exception is pending, E_OPTION_NAME for a member that is not among the names.
 */
bool readOptions(const Call& call, JSValueConst options, size_t index, std::span<const std::string_view> names,
                 std::span<js::Value> values);
/** The same for an object that is an option itself, of that name. Requires: an object. */
bool readMembers(const Call& call, JSValueConst options, std::string_view option, std::span<const std::string_view> names,
                 std::span<js::Value> values);

}  // namespace fairlead
