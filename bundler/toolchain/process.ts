// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';

/** A step of the set-up that failed for a reason that the reader can act on: shown without a stack. */
export class SetupError extends Error {
  override name = 'SetupError';
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Gets all that the command prints; its tail is part of the error when the command fails. */
  readonly log: string;
  /** Sees each full line that the command prints. */
  readonly onLine?: (line: string) => void;
}

const tailLines = 40;

/** Runs a command to its end. Throws a SetupError with the last lines it printed when it fails. */
export async function run(command: string, args: readonly string[], options: RunOptions): Promise<void> {
  const code = await runForCode(command, args, options);
  if (code === 0) return;
  throw new SetupError(`${tailOf(options.log)}\n\n'${command} ${args[0] ?? ''}' ended with ${code}. All it printed: ${options.log}`);
}

/** The last lines of a log. */
export function tailOf(log: string): string {
  return readFileSync(log, 'utf8').trimEnd().split('\n').slice(-tailLines).join('\n');
}

/** Like run, for a caller who wants the exit code (or the signal's name) of a command that may fail. */
export async function runForCode(
  command: string,
  args: readonly string[],
  options: RunOptions,
): Promise<number | string> {
  mkdirSync(dirname(options.log), { recursive: true });
  const log = createWriteStream(options.log);
  const child = spawn(command, args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [child.stdout, child.stderr]) {
    let rest = '';
    stream.setEncoding('utf8').on('data', (text: string) => {
      log.write(text);
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) options.onLine?.(line);
    });
    stream.on('end', () => {
      if (rest !== '') options.onLine?.(rest);
    });
  }
  const ended = await new Promise<number | string>((resolve, reject) => {
    child.on('error', (error) => {
      reject(new SetupError(`cannot run '${command}': ${error.message}`));
    });
    child.on('close', (code, signal) => {
      resolve(code ?? signal ?? 'unknown');
    });
  }).finally(() => new Promise<void>((resolve) => log.end(resolve)));
  return ended;
}
