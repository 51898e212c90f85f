// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Reads host_api.def and host_errors.def, strictly: a line that is no row is an error. For the tests of every side.

import { readFileSync } from 'node:fs';

/** A row of host_api.def. Columns that its kind does not have are empty. */
export interface Row {
  readonly kind: string;
  /** The section that it stands in: `headers` for `#ifdef HOST_headers`. */
  readonly stem: string;
  readonly cls: string;
  readonly member: string;
  readonly args: readonly string[];
  /** Of a class its parent, of an alias the other name, of a constant its value, of an attribute its id. */
  readonly other: string;
  readonly returns: string;
  readonly phases: string;
  /** Of an attribute the first minor release of Envoy that tells it. */
  readonly release: string;
  readonly since: string;
}

/** A row of host_errors.def. */
export interface ErrorRow {
  readonly code: string;
  /** `TypeError`, `RangeError`, `Error`, a DOMException's name; `Log` when no script sees it. */
  readonly cls: string;
  readonly message: string;
}

/** The columns of each kind, in their order. */
const rowPatterns: Record<string, RegExp> = {
  HOST_CLASS: /^\((?<cls>\w+), (?<other>\w+), (?<since>\d+)\)$/,
  HOST_OBJECT: /^\((?<cls>\w+), (?<since>\d+)\)$/,
  HOST_NEW: /^\((?<cls>\w+), \((?<args>[\w, ]*)\), (?<phases>[\w| ]+), (?<since>\d+)\)$/,
  HOST_FN: /^\((?<cls>\w+), (?<member>\w+), \((?<args>[\w, ]*)\), (?<returns>\w+), (?<phases>[\w| ]+), (?<since>\d+)\)$/,
  HOST_STATIC: /^\((?<cls>\w+), (?<member>\w+), \((?<args>[\w, ]*)\), (?<returns>\w+), (?<phases>[\w| ]+), (?<since>\d+)\)$/,
  HOST_GET: /^\((?<cls>\w+), (?<member>\w+), (?<returns>\w+), (?<phases>[\w| ]+), (?<since>\d+)\)$/,
  HOST_GETSET: /^\((?<cls>\w+), (?<member>\w+), (?<returns>\w+), (?<phases>[\w| ]+), (?<since>\d+)\)$/,
  HOST_ALIAS: /^\((?<cls>\w+), (?<member>Symbol\.\w+), (?<other>\w+), (?<since>\d+)\)$/,
  HOST_ATTRIBUTE: /^\((?<cls>\w+), "(?<member>[\w.]+)", (?<returns>\w+), (?<other>\w+), (?<release>\d+), (?<since>\d+)\)$/,
  HOST_CONST: /^\((?<cls>\w+), (?<member>\w+), (?<other>\d+), (?<since>\d+)\)$/,
};

function linesOf(name: string): string[] {
  return readFileSync(new URL(name, import.meta.url), 'utf8').split('\n');
}

/** The rows of host_api.def, in their order. */
export function readRows(): Row[] {
  let stem = '';
  return linesOf('host_api.def').flatMap((line, i) => {
    stem = /^#ifdef HOST_(\w+)$/.exec(line)?.[1] ?? stem;
    if (/^(\/\/.*|#ifdef HOST_\w+|#endif|HOST_CONTRACT\(\d+\)|)$/.test(line)) return [];
    const [, kind = '', rest = ''] = /^(HOST_\w+)(\(.*\))$/.exec(line) ?? [];
    const groups = rowPatterns[kind]?.exec(rest)?.groups;
    if (groups === undefined) throw new Error(`host_api.def:${i + 1}: this line is no row: ${line}`);
    const { cls = '', member = '', args = '', other = '', returns = '', release = '', since = '' } = groups;
    const { phases = kind === 'HOST_ATTRIBUTE' ? 'Hooks' : 'Always' } = groups;
    return [{ kind, stem, cls, member, args: args === '' ? [] : args.split(', '), other, returns, phases, release, since }];
  });
}

/** The rows of host_errors.def, in their order. */
export function readErrorRows(): ErrorRow[] {
  return linesOf('host_errors.def').flatMap((line, i) => {
    if (/^(\/\/.*|)$/.test(line)) return [];
    const [, code, cls, message] = /^HOST_ERROR\((E_[A-Z_]+), (\w+), "(.*)"\)$/.exec(line) ?? [];
    if (code === undefined || cls === undefined || message === undefined) {
      throw new Error(`host_errors.def:${i + 1}: this line is no row: ${line}`);
    }
    return [{ code, cls, message }];
  });
}

/** How many of the arguments must be given: what a function's `length` says. */
export function requiredCount({ args }: Row): number {
  return args.filter((kind) => !/^(Opt|Rest)/.test(kind)).length;
}
