// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/// Regular expressions of the engine for C++: no script sees them, none can have changed what they do.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "quickjs.h"

namespace fairlead::js {

/// A compiled expression with the flag `v`. Its memory is the engine's. Requires: gone before its runtime.
class RegExp {
public:
  /// What the groups matched, the whole match left out.
  using Groups = std::vector<std::optional<std::string>>;

  /// Matches nothing.
  RegExp() = default;

  /// Nothing where the pattern (UTF-8) does not parse, or memory is out.
  static std::optional<RegExp> compile(JSContext* ctx, std::string_view pattern, bool ignoreCase);

  /// Looks for a match in UTF-8. Limits are looked at as for a script: where they are met there is none.
  std::optional<Groups> search(JSContext* ctx, std::string_view text) const;
  /// The same without groups. Throws nothing.
  bool matches(JSContext* ctx, std::string_view text) const noexcept;

private:
  struct Free {
    JSRuntime* runtime;
    void operator()(uint8_t* memory) const { js_free_rt(runtime, memory); }
  };
  using Memory = std::unique_ptr<uint8_t, Free>;

  /// Code units of a text, and where they begin and end in it.
  struct Match {
    Memory units{nullptr, Free{}};
    Memory captures{nullptr, Free{}};
  };
  /// False: no match, or no memory.
  bool run(JSContext* ctx, std::string_view text, Match& match) const noexcept;

  Memory code_{nullptr, Free{}};
};

}  // namespace fairlead::js
