// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// A google.protobuf.Struct on the wire, as Envoy 1.38 hands a route's config over.

#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fairlead {

/**
 * The Struct as JSON text; nothing when the bytes are no Struct with a member, or are nested deeper than
 * kMaxStructDepth. See https://protobuf.dev/programming-guides/encoding.
 */
std::optional<std::string> structToJson(std::string_view bytes);

inline constexpr int kMaxStructDepth = 100;

}  // namespace fairlead
