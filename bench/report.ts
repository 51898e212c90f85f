// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { cellName } from './cells.ts';
import { profileNames, profiles, type ProfileName } from './profiles.ts';
import type { CellResult, Result } from './result.ts';
import { differences, median, medianRatio, quietest, seeded, type Estimate } from './statistics.ts';
import { targets } from './targets.ts';
import { baseline, variantNames, variants, type VariantName } from './variants.ts';

/** A table for a terminal or for Markdown. */
export interface Table {
  readonly title: string;
  readonly head: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** What a cell costs over no filter. */
export interface Cost {
  /** Microseconds of CPU per request: the median of the differences within a block, and the quietest tenth. */
  readonly cpuUs: number | null;
  readonly quietCpuUs: number | null;
  /** Thousands of user-mode instructions per request. */
  readonly kiloInstructions: number | null;
}

/** A result with what follows from it. */
export class Report {
  readonly result: Result;
  readonly #cells: ReadonlyMap<string, CellResult>;

  constructor(result: Result) {
    this.result = result;
    this.#cells = new Map(result.cells.map((cell) => [cell.name, cell]));
  }

  /** Profiles that were measured, in order. */
  get profiles(): ProfileName[] {
    return profileNames.filter((profile) => this.result.cells.some((cell) => cell.profile === profile));
  }

  /** Variants that were measured, in order. */
  get variants(): VariantName[] {
    return variantNames.filter((variant) => this.result.cells.some((cell) => cell.variant === variant));
  }

  cost(variant: VariantName, profile: ProfileName): Cost {
    const cell = this.#cell(cellName(variant, profile));
    const plain = this.#cell(baseline);
    const timed = cell.cpuUs.length > 0;
    const counted = cell.instructions.length > 0;
    return {
      cpuUs: timed ? median(this.#overNone(cell)) : null,
      quietCpuUs: timed ? quietest(cell.cpuUs) - quietest(plain.cpuUs) : null,
      kiloInstructions: counted ? (median(cell.instructions) - median(plain.instructions)) / 1000 : null,
    };
  }

  /** CPU over no filter of one variant as a share of another's. */
  cpuRatio(variant: VariantName, to: VariantName, profile: ProfileName): Estimate | null {
    const [cell, other] = [this.#cell(cellName(variant, profile)), this.#cell(cellName(to, profile))];
    if (cell.cpuUs.length === 0) return null;
    return medianRatio(this.#overNone(cell), this.#overNone(other), seeded(1));
  }

  tables(): Table[] {
    const plain = this.#cell(baseline);
    const titles = this.variants.map((name) => variants[name].title);
    const hasOther = this.variants.includes('other');
    const table = (title: string, extra: readonly string[], row: (profile: ProfileName) => readonly string[]): Table => ({
      title,
      head: ['profile', ...titles, ...extra],
      rows: this.profiles.map((profile) => [`${profile} ${profiles[profile].title}`, ...row(profile)]),
    });
    const tables: Table[] = [];
    if (plain.cpuUs.length > 0) {
      const ratios = [['fairlead', 'lua'], ['fairlead', 'native'], ...(hasOther ? [['other', 'fairlead'] as const] : [])] as const;
      tables.push(
        table(
          `CPU over no filter (${median(plain.cpuUs).toFixed(1)}), µs per request`,
          ratios.map(([one, other]) => `${one} ÷ ${other}`),
          (profile) => [
            ...this.variants.map((variant) => {
              const { cpuUs, quietCpuUs } = this.cost(variant, profile);
              return `${fixed(cpuUs, 1)} (${fixed(quietCpuUs, 1)})`;
            }),
            ...ratios.map(([one, other]) => interval(this.cpuRatio(one, other, profile))),
          ],
        ),
      );
    }
    if (plain.instructions.length > 0) {
      tables.push(
        table(
          `Instructions over no filter (${(median(plain.instructions) / 1000).toFixed(1)}), thousands per request`,
          ['fairlead − native', ...(hasOther ? ['other − fairlead'] : [])],
          (profile) => [
            ...this.variants.map((variant) => fixed(this.cost(variant, profile).kiloInstructions, 2)),
            fixed(this.#moreInstructions('fairlead', 'native', profile), 2),
            ...(hasOther ? [fixed(this.#moreInstructions('other', 'fairlead', profile), 2)] : []),
          ],
        ),
      );
    }
    tables.push({ title: 'Targets', head: ['what', 'target', 'measured', 'verdict'], rows: this.#verdicts() });
    return tables;
  }

  #verdicts(): string[][] {
    return this.profiles.flatMap((profile) => {
      const { taxKiloInstructions, cpuToLua } = targets[profile];
      const tax = this.#moreInstructions('fairlead', 'native', profile);
      return [
        verdict(`${profile}: thousand instructions over native`, taxKiloInstructions, tax === null ? null : { value: tax, low: tax, high: tax }),
        verdict(`${profile}: CPU ÷ Lua's`, cpuToLua, this.cpuRatio('fairlead', 'lua', profile)),
      ].filter((row) => row !== null);
    });
  }

  /** By how many thousand instructions one variant exceeds another. */
  #moreInstructions(variant: VariantName, to: VariantName, profile: ProfileName): number | null {
    const more = this.cost(variant, profile).kiloInstructions;
    const less = this.cost(to, profile).kiloInstructions;
    return more === null || less === null ? null : more - less;
  }

  #overNone(cell: CellResult): number[] {
    return differences(cell.cpuUs, this.#cell(baseline).cpuUs);
  }

  #cell(name: string): CellResult {
    const cell = this.#cells.get(name);
    if (cell === undefined) throw new Error(`the result has no '${name}'`);
    return cell;
  }
}

/** A target holds or fails when the whole interval says so. */
function verdict(what: string, target: number | null, measured: Estimate | null): string[] | null {
  if (target === null || measured === null) return null;
  const { value, low, high } = measured;
  return [what, `≤ ${target}`, value.toFixed(2), high <= target ? 'pass' : low > target ? 'FAIL' : 'undecided'];
}

function fixed(value: number | null, digits: number): string {
  return value === null ? '–' : value.toFixed(digits);
}

function interval(estimate: Estimate | null): string {
  if (estimate === null) return '–';
  return `${estimate.value.toFixed(2)} [${estimate.low.toFixed(2)} to ${estimate.high.toFixed(2)}]`;
}

/** For a terminal: columns in line. */
export function toText({ title, head, rows }: Table): string {
  const widths = head.map((name, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0), name.length));
  const line = (row: readonly string[]): string =>
    row.map((text, column) => (column === 0 ? text.padEnd(widths[column] ?? 0) : text.padStart(widths[column] ?? 0))).join('  ');
  return [title, line(head), ...rows.map(line)].join('\n');
}

/** For Markdown. */
export function toMarkdown({ title, head, rows }: Table): string {
  const line = (row: readonly string[]): string => `| ${row.join(' | ')} |`;
  const rule = head.map((_, column) => (column === 0 ? '---' : '---:'));
  return [`**${title}**`, '', line(head), line(rule), ...rows.map(line)].join('\n');
}
