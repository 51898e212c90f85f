// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { styleText } from 'node:util';

/** A step is told to the reader only when it takes longer than this. */
const quietMs = 2000;
const redrawMs = 250;

/** Tells how far a step has come, such as '7/17'. */
export type Report = (detail: string) => void;

/**
 * Runs one step of a longer task. One that takes over two seconds is shown on standard error with its name and the time
 * it takes: on a terminal as a line that counts, elsewhere as a line at the start and one at the end.
 */
export async function step<T>(name: string, work: (report: Report) => Promise<T>): Promise<T> {
  const out = process.stderr;
  const began = performance.now();
  const elapsed = (): string => seconds(performance.now() - began);
  let detail = '';
  let shown = false;
  const draw = (): void => {
    if (out.isTTY) out.write(`\r\x1b[2K${styleText('cyan', '•')} ${name}  ${elapsed()}  ${detail}`);
    else if (!shown) out.write(`• ${name} …\n`);
    shown = true;
  };
  let timer = setTimeout(() => {
    draw();
    if (out.isTTY) timer = setInterval(draw, redrawMs);
  }, quietMs);
  const finish = (mark: string): void => {
    clearTimeout(timer);
    if (shown) out.write(`${out.isTTY ? '\r\x1b[2K' : ''}${mark} ${name}  ${elapsed()}\n`);
  };
  try {
    const result = await work((text) => {
      detail = text;
    });
    finish(out.isTTY ? styleText('green', '✓') : '✓');
    return result;
  } catch (error) {
    finish(out.isTTY ? styleText('red', '✗') : '✗');
    throw error;
  }
}

/** A duration for a reader: '0.4 s', '75 s'. */
export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(ms < 9950 ? 1 : 0)} s`;
}
