// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/** What became of the tests of one suite. */
export interface SuiteResult {
  readonly name: string;
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
  readonly elapsedMs: number;
  /** What the failed tests printed, each under its name. */
  readonly failures: string;
  /** All tests of the suite, by the names that GoogleTest prints. */
  readonly tests: ReadonlyArray<{ readonly name: string; readonly passed: boolean }>;
}

/**
 * Reads what a GoogleTest program prints, line by line, so that a suite can be told as soon as it has ended and a program
 * that crashes still tells which test did it.
 */
export class GoogleTestReader {
  readonly #onSuite: (suite: SuiteResult) => void;
  #suite = '';
  #test: string | undefined;
  #output: string[] = [];
  #counts = { passed: 0, failed: 0, skipped: 0, elapsedMs: 0 };
  #failures = '';
  #tests: { name: string; passed: boolean }[] = [];

  constructor(onSuite: (suite: SuiteResult) => void) {
    this.#onSuite = onSuite;
  }

  line(text: string): void {
    const begun = /^\[ RUN {6}\] ([^.]+)\.(\S+)$/.exec(text);
    if (begun?.[1] !== undefined) {
      if (begun[1] !== this.#suite) this.#endSuite();
      this.#suite = begun[1];
      this.#test = `${begun[1]}.${begun[2]}`;
      this.#output = [];
      return;
    }
    if (this.#test === undefined) return;
    const ended = /^\[ +(OK|FAILED|SKIPPED) +\] .*\((\d+) ms\)$/.exec(text);
    if (ended === null) this.#output.push(text);
    else this.#endTest(ended[1] === 'OK' ? 'passed' : ended[1] === 'SKIPPED' ? 'skipped' : 'failed', Number(ended[2]));
  }

  /** Takes note that the program has ended. A test that had begun and not ended has failed. */
  end(): void {
    if (this.#test !== undefined) this.#endTest('failed', 0);
    this.#endSuite();
  }

  #endTest(result: 'passed' | 'failed' | 'skipped', elapsedMs: number): void {
    this.#counts[result]++;
    this.#tests.push({ name: this.#test ?? '', passed: result === 'passed' });
    this.#counts.elapsedMs += elapsedMs;
    if (result === 'failed') this.#failures += `${this.#test ?? ''}\n${this.#output.map((line) => `  ${line}\n`).join('')}`;
    this.#test = undefined;
  }

  #endSuite(): void {
    if (this.#suite !== '') this.#onSuite({ name: this.#suite, ...this.#counts, failures: this.#failures, tests: this.#tests });
    this.#suite = '';
    this.#counts = { passed: 0, failed: 0, skipped: 0, elapsedMs: 0 };
    this.#failures = '';
    this.#tests = [];
  }
}
