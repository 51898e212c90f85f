// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// console: one line in the proxy's log for each call, with the place in the script that made it.
// Plain values are written here; builtins/console.ts writes what has an inside.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <utility>

#include "filter-cc/console.h"
#include "filter-cc/forms.h"
#include "filter-cc/headers.h"
#include "filter-cc/host.h"
#include "filter-cc/message.h"
#include "filter-cc/pair_iterator.h"
#include "filter-cc/runtime.h"
#include "filter-cc/stream.h"
#include "filter-cc/url.h"
#include "filter-cc/world.h"

namespace fairlead {
namespace {

using console_Self = void;
using Values = std::span<JSValueConst>;

constexpr size_t kMaxLineBytes = size_t{8} * 1024;
/** Kept free for "… (N more)". */
constexpr size_t kMoreBytes = 32;
constexpr size_t kMaxLabelBytes = 256;
constexpr size_t kMaxLabels = 100;
constexpr uint32_t kMaxIndentedGroups = 20;
constexpr size_t kMaxTraceCallers = 10;
constexpr double kNsPerMs = 1e6;

/** The text of one line: of bounded length, without control characters. */
class Line {
public:
  explicit Line(uint32_t groups) : text_(2 * std::min(groups, kMaxIndentedGroups), ' ') {}

  /** Requires: printable UTF-8. */
  void add(std::string_view text) {
    if (left_ == 0 && text.size() <= room())
      text_ += text;
    else
      left_ += text.size();
  }
  /** Requires: a string. */
  void addString(JSValueConst string) {
    left_ += js::appendPrintable(text_, string, left_ == 0 ? room() : 0);
  }
  size_t size() const { return text_.size(); }
  /** What was added since the line had that size. */
  std::string_view since(size_t size) const { return std::string_view(text_).substr(size); }
  /** Takes back what was added since then. */
  void shrink(size_t size) {
    text_.resize(size);
    left_ = 0;
  }
  std::string finish() {
    if (left_ != 0)
      text_ += "… (" + std::to_string(left_) + " more)";
    return std::move(text_);
  }

private:
  size_t room() const {
    constexpr size_t kMaxTextBytes = kMaxLineBytes - kMoreBytes;
    return kMaxTextBytes - std::min(text_.size(), kMaxTextBytes);
  }

  std::string text_;
  // Characters that found no room.
  size_t left_ = 0;
};

ConsoleState& stateOf(const Call& call) {
  Stream* stream = call.stream();
  return stream == nullptr ? call.runtime.console() : stream->console();
}

/** Writes a line; its place is that of the script's call. */
void writeLine(const Call& call, LogLevel level, std::string text) {
  js::Caller caller;
  if (std::vector<js::Caller> callers = js::callers(call.ctx, 1); !callers.empty())
    caller = std::move(callers.front());
  call.runtime.script().mapPosition(caller.file, caller.line, caller.column);
  writeLogLine(call.runtime, level, text, caller.file, caller.line);
}

/** Whether a line of that level is to be written; counts it. */
bool wants(const Call& call, LogLevel level) {
  return host::logEnabled(level) && countLogLine(call.runtime);
}

/** Whether a value looks the same everywhere: a string, or what is no object, symbol or BigInt. */
bool isPlain(JSValueConst value) {
  switch (JS_VALUE_GET_NORM_TAG(value)) {
  case JS_TAG_STRING:
  case JS_TAG_STRING_ROPE:
  case JS_TAG_INT:
  case JS_TAG_BOOL:
  case JS_TAG_NULL:
  case JS_TAG_UNDEFINED:
    return true;
  case JS_TAG_FLOAT64: {
    // Zero has a sign, which a string has not.
    const double number = JS_VALUE_GET_FLOAT64(value);
    return number != 0 || !std::signbit(number);
  }
  default:
    return false;
  }
}

/** Adds plain values with blanks between. False when something else is among them, or a format. */
bool addPlain(const Call& call, Line& line, Values values) {
  if (!std::all_of(values.begin(), values.end(), isPlain))
    return false;
  const size_t begin = line.size();
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0)
      line.add(" ");
    if (JS_IsString(values[i])) {
      line.addString(values[i]);
    } else {
      const js::Utf8 text(call.ctx, values[i]);
      if (text)
        line.add(text.view());
      else  // Out of memory: the engine remembers it, here it is a gap.
        JS_FreeValue(call.ctx, JS_GetException(call.ctx));
    }
    if (i == 0 && values.size() > 1 && JS_IsString(values[0]) &&
        line.since(begin).find('%') != std::string_view::npos) {
      line.shrink(begin);
      return false;
    }
  }
  return true;
}

/** Adds what a function of the builtin makes of the values. False: it threw. */
bool addBuiltin(const Call& call, Line& line, const char* function, Values values) {
  JSContext* ctx = call.ctx;
  JSValueConst exports = call.runtime.builtin(Builtin::Console);
  if (JS_IsException(exports))
    return false;
  const js::Value format(ctx, JS_GetPropertyStr(ctx, exports, function));
  const js::Value text(ctx, JS_Call(ctx, format.get(), JS_UNDEFINED,
                                    static_cast<int>(values.size()), values.data()));
  if (!text.isString())
    return false;
  line.addString(text.get());
  return true;
}

bool addValues(const Call& call, Line& line, Values values) {
  return addPlain(call, line, values) || addBuiltin(call, line, "format", values);
}

/** What console.log and its like do. */
Outcome<void> log(const Call& call, LogLevel level, Values values) {
  if (!wants(call, level))
    return {};
  Line line(stateOf(call).groups);
  if (!addValues(call, line, values))
    return Thrown{};
  writeLine(call, level, line.finish());
  return {};
}

/** A line of the console's own words, and values behind them. */
Outcome<void> logText(const Call& call, LogLevel level, std::string_view text, Values values = {}) {
  if (!wants(call, level))
    return {};
  Line line(stateOf(call).groups);
  line.add(text);
  if (!values.empty()) {
    line.add(" ");
    if (!addValues(call, line, values))
      return Thrown{};
  }
  writeLine(call, level, line.finish());
  return {};
}

/** A line that a function of the builtin writes. */
Outcome<void> logBuiltin(const Call& call, const char* function, Values values) {
  if (!wants(call, LogLevel::Info))
    return {};
  Line line(stateOf(call).groups);
  if (!addBuiltin(call, line, function, values))
    return Thrown{};
  writeLine(call, LogLevel::Info, line.finish());
  return {};
}

Outcome<void> console_log(Call& call, Values values) { return log(call, LogLevel::Info, values); }
Outcome<void> console_info(Call& call, Values values) { return log(call, LogLevel::Info, values); }
Outcome<void> console_warn(Call& call, Values values) { return log(call, LogLevel::Warn, values); }
Outcome<void> console_error(Call& call, Values values) {
  return log(call, LogLevel::Error, values);
}
Outcome<void> console_debug(Call& call, Values values) {
  return log(call, LogLevel::Debug, values);
}

Outcome<void> console_trace(Call& call, Values values) {
  if (!wants(call, LogLevel::Trace))
    return {};
  Line line(stateOf(call).groups);
  line.add("Trace");
  if (!values.empty()) {
    line.add(": ");
    if (!addValues(call, line, values))
      return Thrown{};
  }
  Error stack;
  for (const js::Caller& caller : js::callers(call.ctx, kMaxTraceCallers)) {
    stack.stack += "    at " + (caller.function.empty() ? "<anonymous>" : caller.function) + " (" +
                   caller.file + ":" + std::to_string(caller.line) + ":" +
                   std::to_string(caller.column) + ")\n";
  }
  call.runtime.script().mapPositions(stack);
  line.add(" ");
  line.add(foldStack(stack.stack));
  writeLine(call, LogLevel::Trace, line.finish());
  return {};
}

Outcome<void> console_assert(Call& call, Values values) {
  // An object is true without being asked.
  if (!values.empty() && JS_ToBool(call.ctx, values[0]) > 0)
    return {};
  const Values rest = values.empty() ? values : values.subspan(1);
  return logText(call, LogLevel::Error, rest.empty() ? "Assertion failed" : "Assertion failed:",
                 rest);
}

Outcome<void> console_dir(Call& call, Values values) { return logBuiltin(call, "dir", values); }
Outcome<void> console_table(Call& call, Values values) { return logBuiltin(call, "table", values); }

// --- Labels ---

/** A label as printable text, `default` when there is none. False: the conversion threw. */
bool readLabel(const Call& call, JSValueConst value, std::string& label) {
  if (JS_IsUndefined(value)) {
    label = "default";
    return true;
  }
  const js::Value string(call.ctx, JS_ToString(call.ctx, value));
  if (string.isException())
    return false;
  js::appendPrintable(label, string.get(), kMaxLabelBytes);
  return true;
}

Outcome<void> console_count(Call& call, JSValueConst value) {
  std::string label;
  if (!readLabel(call, value, label))
    return Thrown{};
  auto& counts = stateOf(call).counts;
  if (counts.size() >= kMaxLabels && counts.find(label) == counts.end())
    return logText(call, LogLevel::Warn, "console.count: more than 100 labels: " + label);
  const uint32_t count = ++counts[label];
  return logText(call, LogLevel::Info, label + ": " + std::to_string(count));
}

Outcome<void> console_countReset(Call& call, JSValueConst value) {
  std::string label;
  if (!readLabel(call, value, label))
    return Thrown{};
  if (stateOf(call).counts.erase(label) == 0)
    return logText(call, LogLevel::Warn, "console.countReset: there is no count " + label);
  return {};
}

Outcome<void> console_group(Call& call, Values values) {
  Outcome<void> outcome;
  if (!values.empty())
    outcome = log(call, LogLevel::Info, values);
  if (!outcome.thrown)
    ++stateOf(call).groups;
  return outcome;
}

Outcome<void> console_groupCollapsed(Call& call, Values values) {
  return console_group(call, values);
}

Outcome<void> console_groupEnd(Call& call) {
  uint32_t& groups = stateOf(call).groups;
  if (groups > 0)
    --groups;
  return {};
}

Outcome<void> console_time(Call& call, JSValueConst value) {
  std::string label;
  if (!readLabel(call, value, label))
    return Thrown{};
  auto& timers = stateOf(call).timersNs;
  if (timers.find(label) != timers.end())
    return logText(call, LogLevel::Warn, "console.time: timer " + label + " runs already");
  if (timers.size() >= kMaxLabels)
    return logText(call, LogLevel::Warn, "console.time: more than 100 timers: " + label);
  timers.emplace(label, host::monotonicNs());
  return {};
}

/** `label: 1.234 ms`, and more values behind it. */
Outcome<void> logTimer(const Call& call, const std::string& label, Values values, bool end) {
  auto& timers = stateOf(call).timersNs;
  const auto timer = timers.find(label);
  if (timer == timers.end())
    return logText(call, LogLevel::Warn,
                   std::string(call.member) + ": there is no timer " + label);
  char elapsed[40];
  std::snprintf(elapsed, sizeof(elapsed), ": %.3f ms",
                static_cast<double>(host::monotonicNs() - timer->second) / kNsPerMs);
  if (end)
    timers.erase(timer);
  return logText(call, LogLevel::Info, label + elapsed, values);
}

Outcome<void> console_timeLog(Call& call, Values values) {
  std::string label;
  if (!readLabel(call, values.empty() ? JS_UNDEFINED : values[0], label))
    return Thrown{};
  return logTimer(call, label, values.empty() ? values : values.subspan(1), false);
}

Outcome<void> console_timeEnd(Call& call, JSValueConst value) {
  std::string label;
  if (!readLabel(call, value, label))
    return Thrown{};
  return logTimer(call, label, {}, true);
}

#define HOST_console
#include "filter-cc/bind_rows.h"

// --- What builtins/console.ts imports ---

JSValue classOf(JSContext* ctx, JSValueConst, int, JSValueConst* argv) {
  if (JS_IsProxy(argv[0]))
    return JS_NewString(ctx, "Proxy");
  const JSAtom name = JS_GetClassName(JS_GetRuntime(ctx), JS_GetClassID(argv[0]));
  JSValue text = JS_AtomToString(ctx, name);
  JS_FreeAtom(ctx, name);
  return text;
}

JSValue describeError(JSContext* ctx, JSValueConst, int, JSValueConst* argv) {
  return bind::barrier(ctx, "console", [&] {
    js::Fault fault;
    Error error = js::describeError(ctx, argv[0], fault);
    Runtime::from(ctx).script().mapPositions(error);
    std::string text = std::move(error.message);
    if (const std::string stack = foldStack(error.stack); !stack.empty())
      text += " " + stack;
    return js::newUtf8(ctx, text).release();
  });
}

/** What the builtin takes for a list: values side by side. */
class Flat {
public:
  explicit Flat(JSContext* ctx) : ctx_(ctx), list_(ctx, JS_NewArray(ctx)) {}

  void add(js::Value value) {
    if (list_.isException())
      return;
    if (value.isException() ||
        JS_DefinePropertyValueUint32(ctx_, list_.get(), length_++, value.release(), JS_PROP_C_W_E) < 0)
      list_ = js::Value(ctx_, JS_EXCEPTION);
  }
  void add(std::string_view text) { add(js::newUtf8(ctx_, text)); }
  void add(double number) { add(js::Value(ctx_, JS_NewNumber(ctx_, number))); }
  template <class Value> void add(const char* name, Value value) {
    add(std::string_view(name));
    add(std::move(value));
  }
  JSValue release() { return list_.release(); }

private:
  JSContext* ctx_;
  js::Value list_;
  uint32_t length_ = 0;
};

JSValue membersOf(JSContext* ctx, JSValueConst, int, JSValueConst* argv) {
  return bind::barrier(ctx, "console", [&]() -> JSValue {
    Runtime& runtime = Runtime::from(ctx);
    const JSValueConst object = argv[0];
    Flat members(ctx);
    if (const std::optional<std::string> url = urlText(runtime, object)) {
      members.add("href", std::string_view(*url));
    } else if (const BlobData* blob = blobOf(runtime, object)) {
      if (blob->isFile)
        members.add("name", std::string_view(blob->name));
      members.add("size", static_cast<double>(blob->size));
      members.add("type", std::string_view(blob->type));
    } else if (auto* request = static_cast<RequestData*>(
                   bind::tryUnwrap(runtime, object, HostClass::Request))) {
      members.add("method", std::string_view(methodOf(*request)));
      members.add("url", std::string_view(urlOf(*request)));
      members.add("headers", headersObject(runtime, *request));
    } else if (auto* response = static_cast<ResponseData*>(
                   bind::tryUnwrap(runtime, object, HostClass::Response))) {
      members.add("status", static_cast<double>(statusOf(*response)));
      members.add("headers", headersObject(runtime, *response));
    } else {
      return JS_UNDEFINED;
    }
    return members.release();
  });
}

JSValue entriesOf(JSContext* ctx, JSValueConst, int, JSValueConst* argv) {
  return bind::barrier(ctx, "console", [&]() -> JSValue {
    // As many as the builtin shows of anything.
    constexpr size_t kMaxShown = 100;
    Runtime& runtime = Runtime::from(ctx);
    Flat entries(ctx);
    if (const auto* headers = static_cast<HeadersData*>(
            bind::tryUnwrap(runtime, argv[0], HostClass::Headers))) {
      const HeaderList lines = headers->lines();
      entries.add(static_cast<double>(lines.size()));
      for (size_t i = 0; i < std::min(lines.size(), kMaxShown); ++i) {
        entries.add(js::newByteString(ctx, lines[i].first));
        entries.add(js::newByteString(ctx, lines[i].second));
      }
      return entries.release();
    }
    const std::optional<size_t> params = searchParamCount(runtime, argv[0]);
    const std::optional<size_t> count = params ? params : formEntryCount(runtime, argv[0]);
    if (!count)
      return JS_UNDEFINED;
    entries.add(static_cast<double>(*count));
    js::Value name;
    js::Value value;
    const PairAt at = params ? searchParamAt : formEntryAt;
    for (size_t i = 0; i < kMaxShown && at(ctx, argv[0], i, name, value); ++i) {
      entries.add(std::move(name));
      entries.add(std::move(value));
    }
    return entries.release();
  });
}

constexpr JSCFunctionListEntry kNatives[] = {
    bind::functionEntry("classOf", 1, classOf),
    bind::functionEntry("describeError", 1, describeError),
    bind::functionEntry("entriesOf", 1, entriesOf),
    bind::functionEntry("membersOf", 1, membersOf),
};

}  // namespace

JSValue defineConsole(Runtime& runtime) {
  JSContext* ctx = runtime.ctx();
  // As the standard has it, there is an empty object between console and Object.prototype.
  const js::Value prototype(ctx, JS_NewObject(ctx));
  if (prototype.isException())
    return JS_EXCEPTION;
  js::Value console(ctx, JS_NewObjectProto(ctx, prototype.get()));
  if (console.isException() ||
      !bind::defineRows(ctx, console.get(), kRows, "console", bind::Place::Prototype) ||
      !js::setTag(ctx, console.get(), "console"))
    return JS_EXCEPTION;
  return console.release();
}

bool countLogLine(Runtime& runtime) {
  Stream* stream = runtime.stream();
  return stream != nullptr ? stream->countLogLine() : runtime.console().lines++ < kMaxLogLines;
}

void writeLogLine(Runtime& runtime, LogLevel level, std::string_view text, std::string_view file,
                  uint32_t line) {
  if (Stream* stream = runtime.stream())
    stream->log(level, text, file, line);
  else
    host::log(level, (runtime.script().filterName() + ": ").append(text), file, line);
}

void endLoadConsole(Runtime& runtime) {
  const ConsoleState state = std::exchange(runtime.console(), {});
  if (state.lines > kMaxLogLines)
    writeLogLine(runtime, LogLevel::Warn,
                 std::to_string(state.lines - kMaxLogLines) + " log lines dropped", {}, 0);
}

bool defineConsoleNatives(Runtime& runtime, JSValueConst exports) {
  return JS_SetPropertyFunctionList(runtime.ctx(), exports, kNatives, std::size(kNatives)) == 0;
}

}  // namespace fairlead
