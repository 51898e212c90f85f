// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { Readable } from 'node:stream';

const levels = ['trace', 'debug', 'info', 'warning', 'error', 'critical'] as const;

/** Envoy's own names of its log levels, mildest first. */
export type LogLevel = (typeof levels)[number];

/** One entry of Envoy's log. */
export interface LogEntry {
  level: LogLevel;
  /** The component that wrote it, such as `main`, `http` or `dynamic_modules`. */
  logger: string;
  /** Source file as Envoy knows it: of Envoy itself, or the one a module gave; empty when none. */
  file: string;
  /** Line in `file`; 0 when none. */
  line: number;
  /** The text; lines that do not begin like an entry are joined to the entry before them. */
  message: string;
}

/** Given to Envoy as `--log-format`; `parseLogLine` reads it back. */
export const logFormat = '[%l][%n][%g:%#] %v';

const linePattern = /^\[(\w+)\]\[([^\]]*)\]\[([^\]]*?):(\d*)\] (.*)$/;

/** Reads one line written with `logFormat`; `undefined` when it does not begin an entry. */
export function parseLogLine(text: string): LogEntry | undefined {
  const [, level, logger, file, line, message] = linePattern.exec(text) ?? [];
  const known = levels.find((name) => name === level);
  if (known === undefined || logger === undefined || message === undefined) return undefined;
  return { level: known, logger, file: file ?? '', line: Number(line ?? 0), message };
}

/** An entry as one line for people, used in the messages of failures. */
export function formatLogEntry(entry: LogEntry): string {
  const place = entry.file === '' ? '' : ` (${entry.file}:${entry.line})`;
  return `[${entry.level}][${entry.logger}] ${entry.message}${place}`;
}

/**
 * Where in a script a line of fairlead's comes from. Envoy shows that beside the entry since 1.40; older ones show a file
 * of their own there, and the place stands in the message.
 */
export function placeOf(entry: Pick<LogEntry, 'message' | 'file' | 'line'>): { file: string; line: number } {
  if (!entry.file.endsWith('.cc')) return { file: entry.file, line: entry.line };
  // At the end where the message does not say it by itself; there a column follows.
  const [, file, line] = / \(([^\s():]+):(\d+)\)$/.exec(entry.message) ?? /\(([^\s():]+):(\d+)(?::\d+)?\)/.exec(entry.message) ?? [];
  return { file: file ?? '', line: Number(line ?? 0) };
}

/** What fairlead says when a config is refused or a hook ends badly. */
export interface Fault {
  filterName: string;
  /** `E_…` as in `sdk-types/host_errors.def`. */
  code: string;
  /** What follows the code: message, place and stack. */
  text: string;
  /** The script's place; `undefined` where the line names none. */
  file: string | undefined;
  line: number | undefined;
  column: number | undefined;
}

/** Takes a line of fairlead about an error apart; `undefined` for every other entry. */
export function readFault(entry: LogEntry): Fault | undefined {
  const pattern = /^(?:fairlead: )?([\w.-]+): (?:\[[^\]]*\] )?(E_\w+): ([^]*)$/;
  const [, filterName, code, text] = pattern.exec(entry.message) ?? [];
  if (filterName === undefined || code === undefined || text === undefined) return undefined;
  const [, file, line, column] = /\(([^()]+):(\d+):(\d+)\)/.exec(text) ?? [];
  const number = (digits: string | undefined): number | undefined =>
    digits === undefined ? undefined : Number(digits);
  return { filterName, code, text, file, line: number(line), column: number(column) };
}

/** Collects the lines of a stream and tells whoever waits that there are new ones. */
export class LineCollector {
  readonly lines: string[] = [];
  #rest = '';
  #listeners = new Set<() => void>();

  constructor(source: Readable, onLine: (line: string) => void = () => undefined) {
    source.setEncoding('latin1');
    source.on('data', (text: string) => {
      const pieces = (this.#rest + text).split('\n');
      this.#rest = pieces.pop() ?? '';
      for (const piece of pieces) {
        const line = Buffer.from(piece, 'latin1').toString('utf8');
        this.lines.push(line);
        onLine(line);
      }
      for (const listener of this.#listeners) listener();
    });
    source.on('end', () => {
      if (this.#rest !== '') {
        this.lines.push(this.#rest);
        onLine(this.#rest);
      }
      this.#rest = '';
      for (const listener of this.#listeners) listener();
    });
  }

  /** Calls `probe` now and after each new piece of text until it gives a value. */
  async until<T>(probe: () => T | undefined, timeoutMs: number, failure: () => Error): Promise<T> {
    return await new Promise<T>((resolve, reject) => {
      const finish = (): void => {
        clearTimeout(timer);
        this.#listeners.delete(look);
      };
      const look = (): void => {
        const found = probe();
        if (found === undefined) return;
        finish();
        resolve(found);
      };
      const timer = setTimeout(() => {
        finish();
        reject(failure());
      }, timeoutMs);
      this.#listeners.add(look);
      look();
    });
  }
}

/** Envoy's log as it is written: parsed entries, and waiting for one. */
export class Log {
  readonly entries: LogEntry[] = [];
  #lines: LineCollector;

  constructor(source: Readable) {
    this.#lines = new LineCollector(source, (line) => {
      const entry = parseLogLine(line);
      const last = this.entries.at(-1);
      if (entry !== undefined) this.entries.push(entry);
      else if (last !== undefined) last.message += `\n${line}`;
      // Text before the first entry comes from the loader or from option parsing.
      else this.entries.push({ level: 'critical', logger: '', file: '', line: 0, message: line });
    });
  }

  /** Entries at `error` and above. */
  errors(): LogEntry[] {
    return this.entries.filter((entry) => entry.level === 'error' || entry.level === 'critical');
  }

  /** fairlead's own lines about errors. */
  faults(): Fault[] {
    return this.entries.map(readFault).filter((fault) => fault !== undefined);
  }

  /** Waits for the first line of fairlead about an error. */
  async fault(timeoutMs?: number): Promise<Fault> {
    const entry = await this.waitFor((candidate) => readFault(candidate) !== undefined, timeoutMs);
    return readFault(entry) as Fault;
  }

  /** Waits for an entry that fulfils `predicate`; looks at those already there first. */
  async waitFor(predicate: (entry: LogEntry) => boolean, timeoutMs = 5_000): Promise<LogEntry> {
    return await this.#lines.until(
      () => this.entries.find(predicate),
      timeoutMs,
      () => new Error(`no such log entry within ${timeoutMs} ms; the last ones:\n${this.tail()}`),
    );
  }

  /** The last entries as text, for the messages of failures. */
  tail(count = 12): string {
    return this.entries.slice(-count).map(formatLogEntry).join('\n');
  }
}
