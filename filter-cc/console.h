// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Lines in the proxy's log that a script asks for, and what its console remembers between calls.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "filter-cc/bind.h"
#include "filter-cc/host.h"

namespace fairlead {

/** What the console remembers: of one stream, or of code that has no stream. */
struct ConsoleState {
  /** Lines of code without a stream, those that were dropped too. A Stream counts its own. */
  uint32_t lines = 0;
  uint32_t groups = 0;
  std::map<std::string, uint32_t, std::less<>> counts;
  std::map<std::string, uint64_t, std::less<>> timersNs;
};

/** Counts a line of the code that runs now; false when there have been too many. */
bool countLogLine(Runtime& runtime);

/** Writes a line of the code that runs now, under the name of the filter and the request's id. */
void writeLogLine(Runtime& runtime, LogLevel level, std::string_view text, std::string_view file,
                  uint32_t line);

/** The top level or configure() has run: says how many lines were dropped, forgets everything. */
void endLoadConsole(Runtime& runtime);

/** What builtins/console.ts imports: classOf, describeError, entriesOf, membersOf. False: out of memory. */
bool defineConsoleNatives(Runtime& runtime, JSValueConst exports);

}  // namespace fairlead
