// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/** Counts what is checked and names what does not hold. Runs inside a filter; its functions need no receiver. */
export class Checks {
  count = 0;
  /** @type {string[]} */
  failures = [];

  equal = (name, got, want) => {
    this.count++;
    if (show(got) !== show(want)) this.failures.push(`${name}: got ${show(got)}, want ${show(want)}`);
  };

  /** `code` is that of a HostError; left out, any will do. */
  throws = (name, fn, constructor, code) => {
    this.count++;
    try {
      fn();
    } catch (error) {
      if (error instanceof constructor && (code === undefined || error.code === code)) return;
      this.failures.push(`${name}: threw ${error.name} ${error.code}: ${error.message}`);
      return;
    }
    this.failures.push(`${name}: did not throw`);
  };
}

/** What comes of the cases of a file, by their titles. */
export async function runAll(cases) {
  const checks = new Checks();
  for (const [title, run] of Object.entries(cases)) {
    const before = checks.failures.length;
    await run(checks);
    for (let i = before; i < checks.failures.length; i++) checks.failures[i] = `${title}: ${checks.failures[i]}`;
  }
  return checks;
}

/** A value as text: equal values have equal texts. Other than JSON it shows undefined, NaN and lone surrogates. */
function show(value) {
  if (Array.isArray(value)) return `[${value.map(show).join(', ')}]`;
  if (value !== null && typeof value === 'object') {
    return `{${Object.entries(value)
      .map(([key, item]) => `${key}: ${show(item)}`)
      .join(', ')}}`;
  }
  return typeof value === 'string' ? JSON.stringify(value) : String(value);
}
