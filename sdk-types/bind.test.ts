// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The C++ side of host_api.def: functions that do not agree with their rows must not compile. The functions here stand
// in for a file like filter-cc/api_timers.cc; the rows and bind_rows.h are the real ones.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

import { describe, expect, test } from 'vitest';

import { paths } from '../bundler/toolchain/paths.ts';
import { readRows } from './rows.ts';

/** A C++ function for each of some rows, by the member's name. */
type Functions = Readonly<Record<string, string>>;

const timers: Functions = {
  setTimeout: 'Outcome<double> globals_setTimeout(Call&, JSValueConst, std::optional<double>, std::span<JSValueConst>) { return 0; }',
  clearTimeout: 'Outcome<void> globals_clearTimeout(Call&, std::optional<double>) { return {}; }',
  setInterval: 'Outcome<double> globals_setInterval(Call&, JSValueConst, std::optional<double>, std::span<JSValueConst>) { return 0; }',
  clearInterval: 'Outcome<void> globals_clearInterval(Call&, std::optional<double>) { return {}; }',
  sleep: 'Outcome<JSValue> fairlead_sleep(Call&, double) { return JS_UNDEFINED; }',
};

const stream: Functions = {
  ...Object.fromEntries(
    readRows()
      .filter(({ kind, cls }) => cls === 'Context' && /^HOST_GET/.test(kind))
      .map(({ member }) => [member, `Outcome<JSValue> Context_${member}(Call&, ContextData&) { return JS_UNDEFINED; }`]),
  ),
  clearRouteCache: 'Outcome<void> Context_clearRouteCache(Call&, ContextData&) { return {}; }',
  setUpstreamHost: 'Outcome<void> Context_setUpstreamHost(Call&, ContextData&, std::string_view, JSValueConst) { return {}; }',
  socketOption: 'Outcome<JSValue> Context_socketOption(Call&, ContextData&, std::string_view, double, double) { return JS_UNDEFINED; }',
  setSocketOption:
    'Outcome<void> Context_setSocketOption(Call&, ContextData&, std::string_view, double, double, JSValueConst) { return {}; }',
  addResponseFlag: 'Outcome<void> Context_addResponseFlag(Call&, ContextData&, std::string_view) { return {}; }',
  reset: 'Outcome<void> Context_reset(Call&, ContextData&) { return {}; }',
  endConnection: 'Outcome<void> Context_endConnection(Call&, ContextData&) { return {}; }',
  set_state: 'Outcome<void> Context_set_state(Call&, ContextData&, JSValueConst) { return {}; }',
  defineFilter: 'Outcome<JSValue> fairlead_defineFilter(Call&, JSValueConst filter) { return filter; }',
};

function translationUnit(stem: string, functions: Functions): string {
  return `
#include "filter-cc/stream.h"
#include "filter-cc/world.h"
namespace fairlead {
namespace {
using Context_Self = ContextData;
using globals_Self = void;
using fairlead_Self = void;
${Object.values(functions).join('\n')}
#define HOST_${stem}
#include "filter-cc/bind_rows.h"
}  // namespace
size_t rowCount() { return kRows.size(); }
}  // namespace fairlead
`;
}

/** The errors of the machine's compiler, with the rows they are about; empty when there are none. */
async function compile(source: string): Promise<string> {
  const include = ['', 'quickjs', 'sdk-types', 'filter-cc'].map((folder) => `-I${join(paths.repoRoot, folder)}`);
  // Whether a function is used is known after the parser only, so there is no -fsyntax-only.
  const flags = ['-std=c++20', '-S', '-o', '/dev/null', '-Wall', '-Wextra', '-Werror', '-fmessage-length=0'];
  const child = spawn('g++', [...flags, ...include, '-isystem', paths.engine, '-x', 'c++', '-'], {
    stdio: ['pipe', 'ignore', 'pipe'],
    env: { ...process.env, LC_ALL: 'C' },
  });
  const ended = once(child, 'close');
  child.stdin.end(source);
  const [messages, [code]] = await Promise.all([text(child.stderr), ended]);
  expect(code !== 0).toBe(messages !== '');
  return messages;
}

describe('a C++ function', () => {
  test.each([
    { stem: 'timers', functions: timers },
    { stem: 'stream', functions: stream },
  ])('for each row of $stem compiles (F105)', async ({ stem, functions }) => {
    expect(await compile(translationUnit(stem, functions))).toBe('');
  });

  test.each<{ what: string; stem: string; functions: Functions; names: RegExp }>([
    {
      what: 'that is missing',
      stem: 'timers',
      functions: { ...timers, sleep: '' },
      names: /error: 'fairlead_sleep' was not declared/,
    },
    {
      what: 'that has no row',
      stem: 'timers',
      functions: { ...timers, nap: 'Outcome<JSValue> fairlead_nap(Call&, double) { return JS_UNDEFINED; }' },
      names: /error: [^\n]*fairlead_nap\([^\n]* defined but not used/,
    },
    {
      what: 'that takes another kind of argument',
      stem: 'timers',
      functions: { ...timers, sleep: 'Outcome<JSValue> fairlead_sleep(Call&, std::string_view) { return JS_UNDEFINED; }' },
      names: /error: no matches converting function 'method'[^]*HOST_FN\(fairlead, sleep, /,
    },
    {
      what: 'that takes an optional argument as a required one',
      stem: 'timers',
      functions: { ...timers, clearTimeout: 'Outcome<void> globals_clearTimeout(Call&, double) { return {}; }' },
      names: /error: no matches converting function 'method'[^]*HOST_FN\(globals, clearTimeout, /,
    },
    {
      what: 'that takes one argument too few',
      stem: 'timers',
      functions: { ...timers, sleep: 'Outcome<JSValue> fairlead_sleep(Call&) { return JS_UNDEFINED; }' },
      names: /error: no matches converting function 'method'[^]*HOST_FN\(fairlead, sleep, /,
    },
    {
      what: 'that gives another kind of result',
      stem: 'timers',
      functions: { ...timers, sleep: 'Outcome<double> fairlead_sleep(Call&, double) { return 0; }' },
      names: /error: no matches converting function 'method'[^]*HOST_FN\(fairlead, sleep, /,
    },
    {
      what: 'without its receiver',
      stem: 'stream',
      functions: { ...stream, config: 'Outcome<JSValue> Context_config(Call&) { return JS_UNDEFINED; }' },
      names: /error: no matches converting function 'getter'[^]*HOST_GET\(Context, config, /,
    },
    {
      what: 'that sets and is missing',
      stem: 'stream',
      functions: { ...stream, set_state: '' },
      names: /error: 'Context_set_state' was not declared/,
    },
    {
      what: 'that sets what can only be read',
      stem: 'stream',
      functions: {
        ...stream,
        set_config: 'Outcome<void> Context_set_config(Call&, ContextData&, JSValueConst) { return {}; }',
      },
      names: /error: [^\n]*Context_set_config\([^\n]* defined but not used/,
    },
  ])('$what does not, and the error names the member (F105)', async ({ stem, functions, names }) => {
    expect(await compile(translationUnit(stem, functions))).toMatch(names);
  });
});
