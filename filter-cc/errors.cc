// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

#include "filter-cc/errors.h"

#include <algorithm>
#include <iterator>

namespace fairlead {
namespace {

enum class ErrorClass : uint8_t { TypeError, RangeError, Error, DomException };

struct Row {
  std::string_view code;
  std::string_view cls;
  std::string_view message;
};

constexpr Row kRows[] = {
#define HOST_ERROR(code, cls, message) {#code, #cls, message},
#include "sdk-types/host_errors.def"
#undef HOST_ERROR
};

const Row& rowOf(ErrorCode code) { return kRows[static_cast<size_t>(code)]; }

ErrorClass classOf(std::string_view cls) {
  if (cls == "TypeError")
    return ErrorClass::TypeError;
  if (cls == "RangeError")
    return ErrorClass::RangeError;
  if (cls == "Error" || cls == "Log")
    return ErrorClass::Error;
  return ErrorClass::DomException;
}

}  // namespace

ErrorCode errorCodeOf(std::string_view name) {
  const auto* row = std::find_if(std::begin(kRows), std::end(kRows),
                                 [&](const Row& candidate) { return candidate.code == name; });
  return row == std::end(kRows) ? ErrorCode::E_INTERNAL
                                : static_cast<ErrorCode>(row - std::begin(kRows));
}

std::string_view errorName(ErrorCode code) { return rowOf(code).code; }

std::string errorMessage(ErrorCode code, ErrorArgs args) {
  std::string_view pattern = rowOf(code).message;
  std::string message;
  message.reserve(pattern.size() + 64);
  for (size_t i = 0; i < pattern.size(); ++i) {
    const bool blank = pattern[i] == '{' && i + 2 < pattern.size() && pattern[i + 2] == '}';
    const size_t index = blank ? static_cast<size_t>(pattern[i + 1] - '0') : 0;
    if (blank && index < args.size()) {
      message += std::data(args)[index];
      i += 2;
    } else {
      message += pattern[i];
    }
  }
  return message;
}

Error makeError(ErrorCode code, ErrorArgs args) {
  Error error;
  error.code = errorName(code);
  error.message = errorMessage(code, args);
  return error;
}

std::string formatError(const Error& error) {
  std::string line = error.code + ": " + error.message;
  if (!error.file.empty()) {
    line += " (" + error.file;
    if (error.line != 0)
      line += ":" + std::to_string(error.line) + ":" + std::to_string(error.column);
    line += ")";
  }
  const std::string stack = foldStack(error.stack);
  return stack.empty() ? line : line + " " + stack;
}

std::string foldStack(std::string_view stack) {
  std::string line;
  while (!stack.empty()) {
    const size_t end = std::min(stack.find('\n'), stack.size());
    std::string_view frame = stack.substr(0, end);
    stack.remove_prefix(std::min(end + 1, stack.size()));
    frame.remove_prefix(std::min(frame.find_first_not_of(' '), frame.size()));
    if (!frame.empty())
      line.append(line.empty() ? "" : " < ").append(frame);
  }
  return line;
}

JSValue throwError(JSContext* ctx, ErrorCode code, ErrorArgs args) {
  const Row& row = rowOf(code);
  const std::string message = errorMessage(code, args);
  switch (classOf(row.cls)) {
  case ErrorClass::TypeError:
    JS_ThrowTypeError(ctx, "%s", message.c_str());
    break;
  case ErrorClass::RangeError:
    JS_ThrowRangeError(ctx, "%s", message.c_str());
    break;
  case ErrorClass::Error:
    JS_ThrowPlainError(ctx, "%s", message.c_str());
    break;
  case ErrorClass::DomException:
    JS_ThrowDOMException(ctx, std::string(row.cls).c_str(), "%s", message.c_str());
    break;
  }
  JSValue exception = JS_GetException(ctx);
  if (JS_IsObject(exception)) {
    JSValue text = JS_NewStringLen(ctx, row.code.data(), row.code.size());
    if (JS_IsException(text) ||
        JS_DefinePropertyValueStr(ctx, exception, "code", text,
                                  JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE) < 0) {
      JS_FreeValue(ctx, exception);
      return JS_EXCEPTION;  // out of memory is already pending
    }
  }
  return JS_Throw(ctx, exception);
}

JSValue newError(JSContext* ctx, ErrorCode code, ErrorArgs args) {
  throwError(ctx, code, args);
  return JS_GetException(ctx);
}

}  // namespace fairlead
