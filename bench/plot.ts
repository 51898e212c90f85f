// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { profiles } from './profiles.ts';
import type { Report } from './report.ts';
import { variants, type VariantName } from './variants.ts';

const colours: Readonly<Record<VariantName, string>> = {
  native: '#9aa5b1',
  lua: '#e0a030',
  fairlead: '#2f6fb0',
  other: '#7fb2dd',
};

const width = 720;
const nameWidth = 100;
const barArea = 510;
const barHeight = 16;
const titleHeight = 26;
const gap = 14;

/** CPU over no filter as bars in SVG; those of one profile share a scale, for the profiles lie far apart. */
export function plot(report: Report): string {
  const parts: string[] = [];
  let y = 4;
  for (const profile of report.profiles) {
    parts.push(text(0, y + 16, `${profile} ${profiles[profile].title}`, 'font-weight="bold"'));
    y += titleHeight;
    const bars = report.variants.map((variant) => ({ variant, us: Math.max(0, report.cost(variant, profile).cpuUs ?? 0) }));
    const longest = Math.max(...bars.map(({ us }) => us));
    for (const { variant, us } of bars) {
      const length = longest === 0 ? 0 : Math.round((us / longest) * barArea);
      parts.push(
        text(nameWidth - 8, y + 12, variants[variant].title, 'text-anchor="end"'),
        `<rect x="${nameWidth}" y="${y}" width="${length}" height="${barHeight - 2}" fill="${colours[variant]}"/>`,
        text(nameWidth + length + 6, y + 12, `${us.toFixed(1)} µs`),
      );
      y += barHeight;
    }
    y += gap;
  }
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${y}" font-family="sans-serif" font-size="12" fill="#333">`,
    `<rect width="${width}" height="${y}" fill="#fff"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

function text(x: number, y: number, words: string, attributes = ''): string {
  const escaped = words.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
  return `<text x="${x}" y="${y}"${attributes === '' ? '' : ` ${attributes}`}>${escaped}</text>`;
}
