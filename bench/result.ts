// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, release, totalmem } from 'node:os';
import { join } from 'node:path';
import { paths } from '../bundler/toolchain/paths.ts';
import type { Cell } from './cells.ts';
import type { Laps } from './race.ts';

/** A run with all that was measured: what bench/results holds as JSON. */
export interface Result {
  readonly measuredAt: string;
  readonly machine: Machine;
  readonly versions: Versions;
  readonly method: Method;
  readonly cells: readonly CellResult[];
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryMb: number;
  readonly kernel: string;
}

export interface Versions {
  readonly envoy: string;
  readonly commit: string;
  /** The working tree had changes that are not in the commit. */
  readonly dirty: boolean;
  /** Version of the contract between filter and library. */
  readonly contract: number;
  readonly node: string;
  readonly qemu: string | null;
  /** SHA-256 of the libfairlead.so that ran as `other`. */
  readonly other: string | null;
}

/** How much is measured. */
export interface Method {
  readonly connections: number;
  readonly requestsPerChunk: number;
  /** Chunks per cell; none: nothing is timed. */
  readonly blocks: number;
  /** Counts of instructions per cell; none: nothing is counted. */
  readonly counts: number;
  readonly requestsPerCount: number;
  /** Requests per cell before the counts. */
  readonly warmUp: number;
}

/** The measures of a cell; those of the laps have one number a block, in order. */
export interface CellResult extends Cell, Laps {
  /** User-mode instructions per request, one number a count. */
  readonly instructions: readonly number[];
}

export function thisMachine(): Machine {
  return {
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    memoryMb: Math.round(totalmem() / 2 ** 20),
    kernel: release(),
  };
}

export function theseVersions(qemu: string | null, otherLibrary: string | undefined): Versions {
  const contract = /^HOST_CONTRACT\((\d+)\)$/m.exec(readFileSync(join(paths.repoRoot, 'sdk-types', 'host_api.def'), 'utf8'))?.[1];
  if (contract === undefined) throw new Error('sdk-types/host_api.def names no contract version');
  const git = (...args: string[]): string => execFileSync('git', args, { cwd: paths.repoRoot, encoding: 'utf8' }).trim();
  const envoy = execFileSync(paths.envoyBinary(), ['--version'], { encoding: 'utf8' });
  return {
    envoy: /version: \w+\/([^/]+)/.exec(envoy)?.[1] ?? envoy.trim(),
    commit: git('rev-parse', 'HEAD'),
    dirty: git('status', '--porcelain') !== '',
    contract: Number(contract),
    node: process.version,
    qemu,
    other: otherLibrary === undefined ? null : createHash('sha256').update(readFileSync(otherLibrary)).digest('hex'),
  };
}

/** A result as JSON with a line for each cell. */
export function toJson({ cells, ...head }: Result): string {
  const rounded = (_: string, value: unknown): unknown => (typeof value === 'number' ? Math.round(value * 1000) / 1000 : value);
  const lines = cells.map((cell) => `  ${JSON.stringify(cell, rounded)}`);
  return `${JSON.stringify(head, null, 1).replace(/\n}$/, '')},\n "cells": [\n${lines.join(',\n')}\n ]\n}\n`;
}
