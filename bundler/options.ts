// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Every command and option of the command line, once. What is not here is refused.

import { InvalidArgumentError } from 'commander';

/** The value of each option. */
export interface OptionValues {
  readonly output: string;
  readonly check: boolean;
  readonly minify: boolean;
  readonly port: number;
  readonly once: boolean;
  readonly indent: number;
}

interface Option<Value> {
  readonly flags: string;
  readonly summary: string;
  /** Checks and converts what was given; null for a switch, which takes nothing. */
  readonly parse: ((text: string) => Value) | null;
  /** null: there is none. */
  readonly standard: Value | null;
}

export const options: { readonly [Name in keyof OptionValues]: Option<OptionValues[Name]> } = {
  output: { flags: '-o, --output <file>', summary: 'where to write the .qjb file', parse: notEmpty, standard: null },
  check: { flags: '--no-check', summary: 'do not check types', parse: null, standard: true },
  minify: { flags: '--no-minify', summary: 'do not make the code smaller', parse: null, standard: true },
  port: { flags: '--port <number>', summary: 'where Envoy listens; 0 takes a free port', parse: within(0, 65_535), standard: 0 },
  once: { flags: '--once', summary: 'end after the demo requests', parse: null, standard: false },
  indent: { flags: '--indent <columns>', summary: 'move the block to the right', parse: within(0, 80), standard: 0 },
};

export interface CommandRow {
  readonly summary: string;
  /** How the filter's file is given. */
  readonly argument: '<filter.ts>' | '[filter.ts]';
  readonly options: ReadonlyArray<keyof OptionValues>;
}

export const commands = {
  build: {
    summary: 'compile a filter to a .qjb file',
    argument: '<filter.ts>',
    options: ['output', 'check', 'minify'],
  },
  run: {
    summary: 'run a filter in Envoy before an upstream that echoes',
    argument: '<filter.ts>',
    options: ['port', 'check', 'minify'],
  },
  dev: {
    summary: 'run a filter like "run", and build it anew whenever its sources change',
    argument: '<filter.ts>',
    options: ['port', 'check', 'minify'],
  },
  inline: {
    summary: 'print a filter as a YAML block for the key "inline" of an Envoy configuration',
    argument: '<filter.ts>',
    options: ['indent', 'check'],
  },
  start: {
    summary: 'run a filter like "run", and show what it does to a few requests',
    argument: '[filter.ts]',
    options: ['once', 'port', 'check', 'minify'],
  },
} as const satisfies Record<string, CommandRow>;

export type CommandName = keyof typeof commands;

function notEmpty(text: string): string {
  if (text === '') throw new InvalidArgumentError('It must not be empty.');
  return text;
}

function within(smallest: number, largest: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= smallest && value <= largest) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${smallest} to ${largest}.`);
  };
}
