// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// One shape for what TypeScript, esbuild, the engine and the command line have to say about a filter.

import { readFileSync } from 'node:fs';
import { isBuiltin } from 'node:module';
import { relative, resolve } from 'node:path';

import type { Message } from 'esbuild';

/** What the bundler itself raises. TypeScript's own errors are `TS` and a number. */
export type BuildCode =
  /** An option is unknown, missing or of the wrong kind. */
  | 'E_BUILD_OPTION'
  /** A file cannot be read or written. */
  | 'E_BUILD_FILE'
  /** A source file is not JavaScript or TypeScript, or of a kind that the engine does not know. */
  | 'E_BUILD_SYNTAX'
  /** An import leads nowhere, or names what is not exported there. */
  | 'E_BUILD_IMPORT'
  /** An import names a module of Node.js. */
  | 'E_BUILD_NODE_MODULE'
  /** The entry has no default export, or is CommonJS. */
  | 'E_BUILD_EXPORT'
  /** A global that exists in JavaScript, but never in a filter. */
  | 'E_BUILD_GLOBAL'
  /** Anything else that esbuild refuses or warns of. */
  | 'E_BUILD_BUNDLE'
  /** The compiler is missing, or broke. */
  | 'E_BUILD_COMPILER'
  /** Envoy did not start, or did not stay up. */
  | 'E_RUN_ENVOY';

/** A place in a source file. Lines and columns count from 1; columns count UTF-16 units. */
export interface Place {
  /** Absolute path. */
  readonly file: string;
  readonly line: number;
  readonly column: number;
  /** How many columns the finding covers; at least 1. */
  readonly length: number;
  /** The text of the line; absent when the file cannot be read. */
  readonly lineText?: string;
}

/** One finding. */
export interface Diagnostic {
  readonly severity: 'error' | 'warning';
  /** A BuildCode, `TS` and a number, or a code of the engine. */
  readonly code: string;
  readonly message: string;
  readonly place?: Place;
  /** What to do about it, one line each. */
  readonly hints?: readonly string[];
}

/**
 * A mistake that the user can act on: shown as its diagnostics, never as a stack trace.
 *
 * @example
 * try {
 *   await build({ entry: 'filter.ts' });
 * } catch (error) {
 *   if (error instanceof FairleadError) console.error(error.message);
 *   else throw error;
 * }
 */
export class FairleadError extends Error {
  override name = 'FairleadError';

  /** All findings, the first of which gave the error its code. */
  readonly diagnostics: readonly Diagnostic[];

  /** The code of the first finding. */
  readonly code: string;

  constructor(diagnostics: readonly [Diagnostic, ...Diagnostic[]]) {
    super(diagnostics.map((diagnostic) => formatDiagnostic(diagnostic)).join('\n'));
    this.diagnostics = diagnostics;
    this.code = diagnostics[0].code;
  }
}

/** A FairleadError with one finding. */
export function failure(code: BuildCode, message: string, more: Pick<Diagnostic, 'place' | 'hints'> = {}): FairleadError {
  return new FairleadError([{ severity: 'error', code, message, ...more }]);
}

/** Throws a FairleadError when there is an error among the findings; gives the warnings back. */
export function throwErrors(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  const [first, ...rest] = diagnostics.filter(({ severity }) => severity === 'error');
  if (first) throw new FairleadError([first, ...rest]);
  return [...diagnostics];
}

/** How much of a long line is shown around the finding. */
const shownColumns = 100;

/** The finding as text: `file:line:column: error CODE: message`, the line, a caret, hints. No line end. */
export function formatDiagnostic({ severity, code, message, place, hints }: Diagnostic): string {
  const head = `${severity} ${code}: ${message}`;
  const lines = [place ? `${formatPlace(place)}: ${head}` : head];
  if (place?.lineText !== undefined) lines.push(formatExcerpt(place));
  lines.push(...(hints ?? []).map((hint) => `  ${hint}`));
  return lines.join('\n');
}

/** The line of a place and a caret below its column; nothing when the file cannot be read. */
export function formatExcerpt({ lineText, column, length }: Place): string {
  return lineText === undefined ? '' : excerpt(lineText, column - 1, length).join('\n');
}

/** `file:line:column`. */
export function formatPlace({ file, line, column }: Place): string {
  return `${shortPath(file)}:${line}:${column}`;
}

/** A path as seen from the working directory, unless that is far away. */
export function shortPath(file: string): string {
  const path = relative(process.cwd(), file);
  return path.length < file.length ? path : file;
}

function excerpt(lineText: string, column: number, length: number): string[] {
  const start = Math.max(0, column - shownColumns / 2);
  const end = start + shownColumns;
  const shown = `${start > 0 ? '…' : ''}${lineText.slice(start, end)}${lineText.length > end ? '…' : ''}`;
  // Tabs stay tabs, so that the caret stands below its column in any terminal.
  const indent = lineText.slice(start, column).replace(/[^\t]/g, ' ');
  const room = Math.min(lineText.length, end) - column;
  const caret = '^'.repeat(Math.max(1, Math.min(length, room)));
  return [`  ${shown}`, `  ${start > 0 ? ' ' : ''}${indent}${caret}`];
}

/** A place, with the text of its line from the file. */
export function placeIn(file: string, line: number, column: number): Place {
  let lineText: string | undefined;
  try {
    lineText = readFileSync(file, 'utf8').split(/\r?\n/)[line - 1];
  } catch {
    // The position is still worth telling.
  }
  return { file, line, column, length: 1, ...(lineText === undefined ? {} : { lineText }) };
}

/** A finding of esbuild, whose paths are relative to `folder`. */
export function fromEsbuild(message: Message, severity: Diagnostic['severity'], folder: string): Diagnostic {
  const unresolved = /^Could not resolve "(.*)"$/s.exec(message.text)?.[1];
  const { location } = message;
  const place = location && {
    file: resolve(folder, location.file),
    line: location.line,
    // esbuild counts bytes from 0.
    column: utf16Length(location.lineText, 0, location.column) + 1,
    length: Math.max(1, utf16Length(location.lineText, location.column, location.column + location.length)),
    lineText: location.lineText,
  };
  const hints = message.notes.map(({ text }) => text.split('\n')[0] ?? '');
  return { severity, ...(place && { place }), ...describe(message, unresolved, hints) };
}

function describe(
  message: Message,
  unresolved: string | undefined,
  hints: string[],
): { code: BuildCode; message: string; hints: string[] } {
  if (unresolved === undefined) {
    if (message.text.startsWith('No matching export ')) return { code: 'E_BUILD_IMPORT', message: message.text, hints };
    // esbuild names the kinds of its warnings, but not those of its errors: what is left are syntax errors.
    const isSyntax = message.id === '' && message.location !== null;
    return { code: isSyntax ? 'E_BUILD_SYNTAX' : 'E_BUILD_BUNDLE', message: message.text, hints };
  }
  if (isBuiltin(unresolved)) {
    return {
      code: 'E_BUILD_NODE_MODULE',
      message: `"${unresolved}" is a module of Node.js, which a filter does not have`,
      hints: ['Use the Web APIs that fairlead offers as globals, or a package that is made for browsers or edge runtimes.'],
    };
  }
  const isPackage = !/^[./]/.test(unresolved);
  return {
    code: 'E_BUILD_IMPORT',
    message: `cannot find "${unresolved}"`,
    hints: isPackage ? [`Is the package installed? "npm install" in the folder of your package.json.`] : [],
  };
}

function utf16Length(text: string, startByte: number, endByte: number): number {
  return Buffer.from(text).subarray(startByte, endByte).toString().length;
}
