// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Which tests show which row of docs/features.md.

/** A test of any suite, and whether it passed wherever it ran. */
export interface TestResult {
  readonly file: string;
  readonly title: string;
  readonly passed: boolean;
}

/** A test in a C++ file. */
export interface CppTest {
  readonly file: string;
  /** As GoogleTest names it, without parameters. */
  readonly name: string;
  readonly rows: readonly string[];
}

const rowPattern = /\b[FWRHP]\d{2,3}\b/g;

/** The rows that a text names. */
export function rowsIn(text: string): string[] {
  return [...new Set(text.match(rowPattern) ?? [])];
}

/** The ids of the rows that a page promises: the first cells of its tables. */
export function promisedRows(markdown: string): string[] {
  return [...markdown.matchAll(/^\| *([FWRHP]\d{2,3}) *\|/gm)].map(([, id]) => id ?? '');
}

/** The tests of a C++ file. A test names its rows in the comment on its first line, or in those right below. */
export function cppTests(file: string, source: string): CppTest[] {
  const pattern = /^TEST(?:_[FP])?\((\w+),\s*(\w+)\) \{(.*\n(?:\s*\/\/.*\n)*)/gm;
  return [...source.matchAll(pattern)].map(([, suite = '', name = '', comments = '']) => ({
    file,
    name: `${suite}.${name}`,
    rows: rowsIn(comments),
  }));
}

/** What became of a C++ test. GoogleTest puts parameters around its name: `Prefix/Suite.Name/Suffix`. */
export function cppResult(printed: string, passed: boolean, tests: readonly CppTest[]): TestResult {
  const name = /^(?:\w+\/)?(\w+\.\w+)/.exec(printed)?.[1];
  const test = tests.find((candidate) => candidate.name === name);
  return { file: test?.file ?? '', title: `${name ?? printed} (${test?.rows.join(', ') ?? ''})`, passed };
}

/** The rows as docs/coverage.md shows them: where each is shown, without what every new test would change. */
export function coveragePage(promised: readonly string[], results: readonly TestResult[]): string {
  const filesOf = (id: string): string[] =>
    [...new Set(results.filter(({ title }) => rowsIn(title).includes(id)).map(({ file }) => file))].sort();
  const lines = promised.map((id) => `| ${id} | ${filesOf(id).map((file) => `[${file}](../${file})`).join(' ')} |`);
  return `# Which tests show which row

\`npm test\` writes this page when all tests have passed, and fails when it was another. What a row says, and what of it is missing, is in [features.md](features.md).

| row | shown in |
|---|---|
${lines.join('\n')}
`;
}

/** A table of the promised rows, each with its tests, and what is wrong with it. */
export function tableOfRows(promised: readonly string[], results: readonly TestResult[]): { table: string; faults: string[] } {
  const faults: string[] = [];
  for (const id of promised.filter((row, at) => promised.indexOf(row) !== at)) faults.push(`${id} is promised twice`);
  // One test may have run with several releases or parameters: it passed when it did each time.
  const tests = new Map<string, TestResult>();
  for (const result of results) {
    const key = `${result.file}\n${result.title}`;
    tests.set(key, { ...result, passed: result.passed && (tests.get(key)?.passed ?? true) });
  }
  const lines = promised.map((id) => {
    const citing = [...tests.values()].filter(({ title }) => rowsIn(title).includes(id));
    const passed = citing.filter((test) => test.passed);
    if (citing.length === 0) faults.push(`${id} is shown by no test`);
    else if (passed.length < citing.length) faults.push(`${id} is shown by a test that failed`);
    return `${id.padEnd(4)} ${String(passed.length).padStart(4)}  ${[...new Set(citing.map(({ file }) => file))].sort().join(' ')}`;
  });
  for (const { file, title } of tests.values()) {
    for (const id of rowsIn(title)) {
      if (!promised.includes(id)) faults.push(`${file}: '${title}' names ${id}, which docs/features.md does not have`);
    }
  }
  return { table: lines.join('\n'), faults };
}
