// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { applyEdits, engineId, parseEdits, writeFolder } from './engine.ts';
import { SetupError } from './process.ts';

const source = 'int a;\nint b;\n  int b;\nint c;\n';
const engine = new Map([['engine.c', source]]);

function edited(edit: string): string | undefined {
  return applyEdits(engine, parseEdits('ours.edit', edit)).get('engine.c');
}

describe('an engine edit', () => {
  it('puts lines after, before or in place of its anchor', () => {
    expect(edited('@@ engine.c\n<<< after\nint a;\n===\nint n;\n>>>\n')).toBe('int a;\nint n;\nint b;\n  int b;\nint c;\n');
    expect(edited('@@ engine.c\n<<< before\nint a;\n===\nint n;\n>>>\n')).toBe('int n;\nint a;\nint b;\n  int b;\nint c;\n');
    expect(edited('@@ engine.c\n<<< replace\n  int b;\nint c;\n===\nint n;\n>>>\n')).toBe('int a;\nint b;\nint n;\n');
    expect(edited('@@ engine.c\n<<< replace\nint c;\n===\n>>>\n')).toBe('int a;\nint b;\n  int b;\n');
  });

  it('compares whole lines, blanks included', () => {
    expect(edited('@@ engine.c\n<<< after\nint b;\n===\nint n;\n>>>\n')).toBe('int a;\nint b;\nint n;\n  int b;\nint c;\n');
    expect(() => edited('@@ engine.c\n<<< after\nt a;\n===\nint n;\n>>>\n')).toThrow('the anchor is gone');
    expect(() => edited('@@ engine.c\n<<< after\nint\n===\nint n;\n>>>\n')).toThrow('the anchor is gone');
  });

  it('sees what the edits before it have left', () => {
    const both = '# Two.\n\n@@ engine.c\n<<< after\nint a;\n===\nint n;\n>>>\n\n<<< replace\nint n;\n===\nint m;\n>>>\n';
    expect(edited(both)).toBe('int a;\nint m;\nint b;\n  int b;\nint c;\n');
  });

  it('fails with its place and anchor when the anchor is gone', () => {
    const gone = '# Comment.\n@@ engine.c\n<<< after\nint z;\n===\nint n;\n>>>\n';
    expect(() => edited(gone)).toThrow(SetupError);
    expect(() => edited(gone)).toThrow("ours.edit:3: the anchor is gone from the engine's engine.c:\nint z;");
  });

  it('fails with its place when the anchor is not unique', () => {
    const twice = new Map([['engine.c', 'int a;\nint b;\nint a;\n']]);
    const edits = parseEdits('ours.edit', '@@ engine.c\n<<< after\nint a;\n===\nint n;\n>>>\n');
    expect(() => applyEdits(twice, edits)).toThrow("ours.edit:2: the anchor occurs 2 times in the engine's engine.c");
  });

  it('counts an anchor twice where two occurrences touch', () => {
    const touching = new Map([['engine.c', 'x\nx\n']]);
    const edits = parseEdits('ours.edit', '@@ engine.c\n<<< after\nx\n===\ny\n>>>\n');
    expect(() => applyEdits(touching, edits)).toThrow('occurs 2 times');
  });

  it('fails when the engine has no such file', () => {
    expect(() => edited('@@ other.c\n<<< after\nint a;\n===\nint n;\n>>>\n')).toThrow(
      'ours.edit:2: the engine has no file other.c',
    );
  });

  it.each([
    ['an unknown line', 'hello\n', "ours.edit:1: 'hello' is none of"],
    ['an edit before any file', '<<< after\nint a;\n===\nint n;\n>>>\n', "ours.edit:1: '<<< after' comes before any"],
    ['no separator', '@@ engine.c\n<<< after\nint a;\nint n;\n>>>\n', "ours.edit:3: no line '===' below"],
    ['no end', '@@ engine.c\n<<< after\nint a;\n===\nint n;\n', "ours.edit:5: no line '>>>' below"],
    ['an empty anchor', '@@ engine.c\n<<< after\n===\nint n;\n>>>\n', 'the anchor above is empty'],
    ['nothing to add', '@@ engine.c\n<<< after\nint a;\n===\n>>>\n', 'the edit above adds nothing'],
    ['an unknown position', '@@ engine.c\n<<< under\nint a;\n===\nint n;\n>>>\n', "ours.edit:2: '<<< under' is none of"],
  ])('is refused with its line for %s', (_, text, message) => {
    expect(() => parseEdits('ours.edit', text)).toThrow(message);
  });
});

describe('the engine id', () => {
  const version = '#define QJS_VERSION_MAJOR 1\n#define QJS_VERSION_MINOR 2\n#define QJS_VERSION_PATCH 3\n';

  it('holds the version and depends on every name and byte, not on the order', () => {
    const id = engineId(new Map([['quickjs.h', version], ['a.c', 'x'], ['b.c', 'y']]));
    expect(id).toMatch(/^1\.2\.3-[0-9a-f]{16}$/);
    expect(engineId(new Map([['b.c', 'y'], ['a.c', 'x'], ['quickjs.h', version]]))).toBe(id);
    expect(engineId(new Map([['quickjs.h', version], ['a.c', 'x'], ['b.c', 'z']]))).not.toBe(id);
    expect(engineId(new Map([['quickjs.h', version], ['a.c', 'x'], ['c.c', 'y']]))).not.toBe(id);
    expect(engineId(new Map([['quickjs.h', version], ['a.c', 'xy'], ['b.c', '']]))).not.toBe(id);
  });

  it('is refused to an engine that does not tell its version', () => {
    expect(() => engineId(new Map([['quickjs.h', 'nothing']]))).toThrow(SetupError);
  });
});

describe('the engine folder', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'fairlead-engine-'));
  });
  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  it('holds exactly the given files, and an unchanged one keeps its time', () => {
    const past = new Date('2001-02-03T04:05:06Z');
    for (const [name, text] of [['same.c', 'same'], ['other.c', 'old'], ['gone.c', 'gone']] as const) {
      writeFileSync(join(folder, name), text);
      utimesSync(join(folder, name), past, past);
    }
    writeFolder(folder, new Map([['same.c', 'same'], ['other.c', 'new'], ['added.c', 'added']]));
    expect(readdirSync(folder).sort()).toEqual(['added.c', 'other.c', 'same.c']);
    expect(readFileSync(join(folder, 'other.c'), 'utf8')).toBe('new');
    expect(statSync(join(folder, 'same.c')).mtime).toEqual(past);
    expect(statSync(join(folder, 'other.c')).mtime).not.toEqual(past);
  });
});
