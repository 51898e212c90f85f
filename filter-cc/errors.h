// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The errors of sdk-types/host_errors.def: by code, as text, and as JavaScript exceptions.

#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "quickjs/engine.h"
#include "quickjs/result.h"

namespace fairlead {

/** One enumerator per row of host_errors.def, in its order. */
enum class ErrorCode : uint8_t {
#define HOST_ERROR(code, cls, message) code,
#include "sdk-types/host_errors.def"
#undef HOST_ERROR
};

/** What fills {0}, {1}, … of a message. */
using ErrorArgs = std::initializer_list<std::string_view>;

/** The code of that name; E_INTERNAL when there is none. */
ErrorCode errorCodeOf(std::string_view name);

/** `E_…`, as scripts and logs show it. */
std::string_view errorName(ErrorCode code);
/** The row's message with its blanks filled in. */
std::string errorMessage(ErrorCode code, ErrorArgs args);
/** An Error of the core, without a position. */
Error makeError(ErrorCode code, ErrorArgs args);
/** `E_CODE: message (file:line:column) at f (…) < g (…)`: the one line a log shows. */
std::string formatError(const Error& error);
/** A stack, which has a frame a line, as one line. */
std::string foldStack(std::string_view stack);
/** Raises the row's exception in `ctx`, with `code` as an own property; returns JS_EXCEPTION. */
JSValue throwError(JSContext* ctx, ErrorCode code, ErrorArgs args);
/** The same exception as a value, for rejecting a promise. Owner: the caller. */
JSValue newError(JSContext* ctx, ErrorCode code, ErrorArgs args);

}  // namespace fairlead
