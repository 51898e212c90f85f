// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Runs the Web platform tests' data on URLs, which comes as a JSON body. A string between the cases is a comment.

/**
 * A host that the data of 2023 refuses, as the standard has it since 2026: an ASCII domain is lower-cased, whatever its
 * xn-- labels stand for.
 */
const sinceThen = (host) => (/^[!-$&-~]*$/.test(host) && /(^|\.)xn--/i.test(host) ? host.toLowerCase() : null);

/** Characters that Unicode 15 refused in a domain, and that later versions map to others, ignore or know. */
const sinceUnicode15 = /[\u04c0\u10a0-\u10c5\u115f\u1160\u17b4\u2183\uffa0\u{1d175}\u{323b0}-\u{33479}]/u;

/** The form of each file's cases: what is tested, what must come out, what did come out. */
const forms = {
  urltestdata: (cases) =>
    cases.map(({ input, base, failure, ...expected }) => ({
      name: [input, base],
      expected: failure ? null : Object.fromEntries(Object.entries(expected).filter(([key]) => key in URL.prototype)),
      url: () => new URL(input, base ?? undefined),
    })),
  setters_tests: ({ comment: _, ...setters }) =>
    Object.entries(setters).flatMap(([setter, cases]) =>
      cases.map(({ href, new_value, expected }) => ({
        name: [href, setter, new_value],
        expected,
        url: () => Object.assign(new URL(href), { [setter]: new_value }),
      })),
    ),
  // What ends the host in a URL, and a domain of no labels, are for the algorithm on domains alone.
  toascii: (cases) =>
    cases.filter(({ input }) => /^[^/?#@:\\]+$/.test(input) && !sinceUnicode15.test(input)).map(({ input, output }) => {
      const host = output ?? sinceThen(input);
      return {
        name: [input],
        expected: host === null ? null : { host, hostname: host, href: `https://${host}/x` },
        url: () => new URL(`https://${input}/x`),
      };
    }),
};

export function urlData(form, cases) {
  const failures = [];
  const tests = forms[form](Array.isArray(cases) ? cases.filter((item) => typeof item !== 'string') : cases);
  for (const { name, expected, url } of tests) {
    let made = null;
    try {
      made = url();
    } catch (error) {
      if (!(error instanceof TypeError)) failures.push({ name, wrong: [String(error)] });
    }
    if ((made === null) !== (expected === null)) failures.push({ name, wrong: [made?.href ?? null] });
    else if (expected !== null) {
      const wrong = Object.keys(expected).filter((key) => String(made[key]) !== expected[key]);
      if (wrong.length > 0) failures.push({ name, wrong: wrong.map((key) => `${key} ${made[key]}, not ${expected[key]}`) });
    }
  }
  return { count: tests.length, failures };
}
