// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { toMarkdown, type Report } from './report.ts';

const begin = /<!-- from results\/([\w.-]+)\.json -->\n/;
const end = '<!-- end of results -->\n';

/** Name of the raw result that a page shows. */
export function shownResult(page: string): string {
  const name = begin.exec(page)?.[1];
  if (name === undefined) throw new Error('the page has no line <!-- from results/NAME.json -->');
  return name;
}

/** The page with the tables of this result between its two markers. */
export function withResult(page: string, name: string, report: Report): string {
  const from = page.search(begin);
  const to = page.indexOf(end, from);
  if (from < 0 || to < 0) throw new Error(`the page lacks <!-- from results/NAME.json --> or ${end.trim()}`);
  const { machine, versions, method, measuredAt } = report.result;
  const state = versions.dirty ? `${versions.commit.slice(0, 12)} with changes` : versions.commit.slice(0, 12);
  const block = [
    `<!-- from results/${name}.json -->`,
    `Measured on ${measuredAt.slice(0, 10)}: ${machine.cpu}, ${machine.cores} cores, Linux ${machine.kernel}; ` +
      `Envoy ${versions.envoy}, fairlead ${state}; ${method.blocks} chunks of ${method.requestsPerChunk} requests a cell.`,
    '',
    `![CPU over no filter](results/${name}.svg)`,
    '',
    ...report.tables().flatMap((table) => [toMarkdown(table), '']),
  ];
  return `${page.slice(0, from)}${block.join('\n')}${page.slice(to)}`;
}
