// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { fetchPin, isUnpacked, readPins, type FetchPlaces, type Pin } from './fetch.ts';
import { SetupError } from './process.ts';

// A package index of one folder, with one source archive whose setup.py must not run.
let base: string;
let archive: string;
let places: FetchPlaces;
let pin: Pin;
let pipVariables: Record<string, string | undefined>;

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'fairlead-fetch-'));
  const tree = join(base, 'tinything-1.2.3');
  mkdirSync(join(tree, 'src'), { recursive: true });
  writeFileSync(join(tree, 'PKG-INFO'), 'Metadata-Version: 2.1\nName: tinything\nVersion: 1.2.3\n');
  const buildSystem = '[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n';
  writeFileSync(join(tree, 'pyproject.toml'), buildSystem);
  writeFileSync(join(tree, 'setup.py'), `open(${JSON.stringify(join(base, 'setup-ran'))}, "w")\nraise SystemExit(1)\n`);
  writeFileSync(join(tree, 'src', 'tiny.c'), 'int tiny;\n');
  mkdirSync(join(base, 'index'));
  archive = join(base, 'index', 'tinything-1.2.3.tar.gz');
  expect(spawnSync('tar', ['czf', archive, '-C', base, 'tinything-1.2.3']).status).toBe(0);
  pin = {
    package: 'tinything',
    version: '1.2.3',
    kind: 'sdist',
    sha256: createHash('sha256').update(readFileSync(archive)).digest('hex'),
    folder: 'tinything-1.2.3/src/',
  };
  places = {
    downloads: join(base, 'downloads'),
    thirdParty: join(base, 'third-party'),
    logs: join(base, 'logs'),
  };
  pipVariables = { PIP_NO_INDEX: process.env['PIP_NO_INDEX'], PIP_FIND_LINKS: process.env['PIP_FIND_LINKS'] };
  process.env['PIP_NO_INDEX'] = '1';
  process.env['PIP_FIND_LINKS'] = join(base, 'index');
});

afterEach(() => {
  for (const [name, value] of Object.entries(pipVariables)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
  rmSync(base, { recursive: true });
});

describe('a pinned archive', () => {
  it('is downloaded, checked and its folder unpacked, and its setup.py does not run', async () => {
    expect(isUnpacked('tiny', pin, places)).toBe(false);
    await fetchPin('tiny', pin, places);
    expect(readdirSync(join(places.thirdParty, 'tiny'))).toEqual(['tiny.c']);
    expect(isUnpacked('tiny', pin, places)).toBe(true);
    expect(existsSync(join(base, 'setup-ran'))).toBe(false);
  });

  it('is downloaded once for two pins that are fetched at the same time', async () => {
    await Promise.all(['one', 'two'].map((name) => fetchPin(name, pin, places)));
    for (const name of ['one', 'two']) expect(readdirSync(join(places.thirdParty, name))).toEqual(['tiny.c']);
    expect(existsSync(join(places.logs, 'download-one.log'))).toBe(true);
    expect(existsSync(join(places.logs, 'download-two.log'))).toBe(false);
  });

  it('is refused when its hash is not the pinned one, and nothing is unpacked', async () => {
    const other = { ...pin, sha256: pin.sha256.replace(/^./, (digit) => (digit === '0' ? '1' : '0')) };
    const refused = fetchPin('tiny', other, places);
    await expect(refused).rejects.toThrow(SetupError);
    await expect(refused).rejects.toThrow(/do not match the hashes[^]*pip could not download tinything 1\.2\.3/i);
    expect(existsSync(join(places.thirdParty, 'tiny'))).toBe(false);
    expect(isUnpacked('tiny', other, places)).toBe(false);
  });

  it('is taken from the downloads without pip when it is there', async () => {
    await fetchPin('tiny', pin, places);
    rmSync(archive);
    rmSync(places.thirdParty, { recursive: true });
    await fetchPin('tiny', pin, places);
    expect(readFileSync(join(places.thirdParty, 'tiny', 'tiny.c'), 'utf8')).toBe('int tiny;\n');
  });

  it('is downloaded again when the kept one was altered', async () => {
    await fetchPin('tiny', pin, places);
    const kept = join(places.downloads, 'tinything-1.2.3', 'tinything-1.2.3.tar.gz');
    writeFileSync(kept, 'altered');
    await fetchPin('tiny', pin, places);
    expect(readFileSync(kept)).toEqual(readFileSync(archive));
  });

  it('counts as not unpacked once its pin names another archive or folder', async () => {
    await fetchPin('tiny', pin, places);
    expect(isUnpacked('tiny', { ...pin, sha256: '0'.repeat(64) }, places)).toBe(false);
    expect(isUnpacked('tiny', { ...pin, folder: 'tinything-1.2.3/' }, places)).toBe(false);
  });

  it('fails when it has no such folder', async () => {
    await expect(fetchPin('tiny', { ...pin, folder: 'elsewhere/' }, places)).rejects.toThrow('there is no folder elsewhere/');
  });
});

describe('pins.json', () => {
  it('pins every archive by exact version and sha256', () => {
    const pins = Object.entries(readPins());
    expect(pins.length).toBeGreaterThan(0);
    for (const [name, { version, sha256, kind, folder }] of pins) {
      expect(version, name).toMatch(/^\d+(\.\d+)+$/);
      expect(sha256, name).toMatch(/^[0-9a-f]{64}$/);
      expect(['wheel', 'sdist'], name).toContain(kind);
      expect(folder, name).toMatch(/\/$/);
    }
  });
});
