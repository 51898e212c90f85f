// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { paths } from './paths.ts';
import { SetupError } from './process.ts';

/** One change to one engine file. The format is told in quickjs/edits/README.md. */
export interface Edit {
  readonly file: string;
  readonly where: 'after' | 'before' | 'replace';
  readonly anchor: string;
  readonly lines: string;
  /** Where the edit begins: edit file and line. */
  readonly place: string;
}

/** The text of each engine file by its name. */
export type Sources = ReadonlyMap<string, string>;

/** Reads one edit file. Throws a SetupError with file and line on anything that is not in the format. */
export function parseEdits(name: string, text: string): Edit[] {
  const edits: Edit[] = [];
  const lines = text.split('\n');
  let file: string | undefined;
  let at = 0;
  const fail = (message: string): never => {
    throw new SetupError(`${name}:${at + 1}: ${message}`);
  };
  const takeUntil = (end: string): string => {
    const begin = at;
    while (at < lines.length && lines[at] !== end) at++;
    if (at === lines.length) {
      at = begin;
      fail(`no line '${end}' below`);
    }
    return lines.slice(begin, at++).map((line) => `${line}\n`).join('');
  };
  while (at < lines.length) {
    const line = lines[at] ?? '';
    const where = /^<<< (after|before|replace)$/.exec(line)?.[1];
    if (line === '' || line.startsWith('#')) {
      at++;
    } else if (line.startsWith('@@ ')) {
      file = line.slice(3);
      at++;
    } else if (where === 'after' || where === 'before' || where === 'replace') {
      if (file === undefined) return fail(`'${line}' comes before any '@@ file'`);
      const place = `${name}:${++at}`;
      const anchor = takeUntil('===');
      const added = takeUntil('>>>');
      if (anchor.trim() === '') fail('the anchor above is empty');
      if (added === '' && where !== 'replace') fail('the edit above adds nothing');
      edits.push({ file, where, anchor, lines: added, place });
    } else {
      fail(`'${line}' is none of '@@ file', '<<< after', '<<< before', '<<< replace', comment or empty line`);
    }
  }
  return edits;
}

/** The sources after all edits, in order. Throws a SetupError when an anchor is gone or not unique. */
export function applyEdits(sources: Sources, edits: readonly Edit[]): Map<string, string> {
  const edited = new Map(sources);
  for (const { file, where, anchor, lines, place } of edits) {
    const text = edited.get(file);
    if (text === undefined) throw new SetupError(`${place}: the engine has no file ${file}`);
    const found = findLines(text, anchor);
    const at = found[0];
    if (at === undefined || found.length > 1) {
      const count = at === undefined ? 'is gone from' : `occurs ${found.length} times in`;
      throw new SetupError(`${place}: the anchor ${count} the engine's ${file}:\n${anchor}`);
    }
    const placed = where === 'after' ? anchor + lines : where === 'before' ? lines + anchor : lines;
    edited.set(file, text.slice(0, at) + placed + text.slice(at + anchor.length));
  }
  return edited;
}

/** Where these whole lines occur in a text. */
function findLines(text: string, lines: string): number[] {
  const found: number[] = [];
  for (let at = text.indexOf(lines); at >= 0; at = text.indexOf(lines, at + 1)) {
    if (at === 0 || text[at - 1] === '\n') found.push(at);
  }
  return found;
}

/** Tells apart engines whose bytecode must not be mixed: upstream's version and a hash of the edited sources. */
export function engineId(sources: Sources): string {
  const version = ['MAJOR', 'MINOR', 'PATCH'].map(
    (part) => new RegExp(`#define QJS_VERSION_${part} (\\d+)`).exec(sources.get('quickjs.h') ?? '')?.[1],
  );
  if (version.includes(undefined)) throw new SetupError('the engine does not tell its version in quickjs.h');
  const hash = createHash('sha256');
  for (const name of [...sources.keys()].sort()) {
    const text = sources.get(name) ?? '';
    hash.update(`${name}\0${Buffer.byteLength(text)}\0${text}`);
  }
  return `${version.join('.')}-${hash.digest('hex').slice(0, 16)}`;
}

/** Brings build/third-party/engine up to date. A file that stays as it is keeps its time, so nothing is compiled anew. */
export function prepareEngine(): void {
  const upstream = join(paths.thirdParty, 'quickjs-ng');
  const editsFolder = join(paths.repoRoot, 'quickjs', 'edits');
  const sources = new Map(
    readdirSync(upstream)
      .filter((name) => /\.[ch]$/.test(name))
      .map((name) => [name, readFileSync(join(upstream, name), 'utf8')]),
  );
  const edits = readdirSync(editsFolder)
    .filter((name) => name.endsWith('.edit'))
    .sort()
    .flatMap((name) => parseEdits(`quickjs/edits/${name}`, readFileSync(join(editsFolder, name), 'utf8')));
  const edited = applyEdits(sources, edits);
  edited.set('engine_id.h', `#pragma once\n#define FAIRLEAD_ENGINE_ID "${engineId(edited)}"\n`);
  writeFolder(paths.engine, edited);
}

/** Makes the folder hold these files and no others, touching only what differs. */
export function writeFolder(folder: string, files: Sources): void {
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(folder)) {
    if (!files.has(name)) rmSync(join(folder, name), { recursive: true });
  }
  for (const [name, text] of files) {
    const target = join(folder, name);
    if (!existsSync(target) || readFileSync(target, 'utf8') !== text) writeFileSync(target, text);
  }
}
