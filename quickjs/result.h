// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// A value or an Error. The core returns failures instead of throwing them.

#pragma once

#include <cassert>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>

namespace fairlead {

/// What went wrong, where, and how to name it. `line` and `column` count from 1; 0 means unknown.
struct Error {
  /// `E_` and a noun phrase; tests and callers compare this, never the message.
  std::string code{};
  /// One line for people, bounded in length.
  std::string message{};
  std::string file{};
  uint32_t line = 0;
  uint32_t column = 0;
  /// Lines `    at name (file:line:column)`, bounded; empty when there is none.
  std::string stack{};
};

/// Either a T or an Error.
template <class T> class [[nodiscard]] Result {
public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  /// Requires: ok().
  T& value() & { return *get<0>(); }
  const T& value() const& { return *get<0>(); }
  T&& value() && { return std::move(*get<0>()); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return get<0>(); }
  const T* operator->() const { return get<0>(); }

  /// Requires: !ok().
  Error& error() & { return *get<1>(); }
  const Error& error() const& { return *get<1>(); }
  Error&& error() && { return std::move(*get<1>()); }

private:
  template <size_t Index> auto* get() {
    assert(state_.index() == Index);
    return std::get_if<Index>(&state_);
  }
  template <size_t Index> const auto* get() const {
    assert(state_.index() == Index);
    return std::get_if<Index>(&state_);
  }

  std::variant<T, Error> state_;
};

/// Success, or an Error.
template <> class [[nodiscard]] Result<void> {
public:
  Result() = default;
  Result(Error error) : error_(std::move(error)) {}

  bool ok() const { return !error_.has_value(); }
  explicit operator bool() const { return ok(); }

  /// Requires: !ok().
  Error& error() & { return *error_; }
  const Error& error() const& { return *error_; }
  Error&& error() && { return std::move(*error_); }

private:
  std::optional<Error> error_;
};

} // namespace fairlead
