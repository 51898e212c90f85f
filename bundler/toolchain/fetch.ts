// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { createHash } from 'node:crypto';
import { createReadStream, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { paths } from './paths.ts';
import { run, SetupError } from './process.ts';

/** One third-party archive, by exact version and hash. */
export interface Pin {
  /** Its name in the Python package index. */
  readonly package: string;
  readonly version: string;
  readonly kind: 'wheel' | 'sdist';
  readonly sha256: string;
  /** The folder inside the archive that is unpacked. */
  readonly folder: string;
}

/** Everything that set-up may fetch, by the name of its folder in build/third-party. */
export function readPins(): Readonly<Record<string, Pin>> {
  return JSON.parse(readFileSync(join(paths.toolchain, 'pins.json'), 'utf8')) as Record<string, Pin>;
}

/** Where fetched things go; tests name other places. */
export interface FetchPlaces {
  readonly downloads: string;
  readonly thirdParty: string;
  readonly logs: string;
}

/** True when the folder of this pin is unpacked already, from this very archive. */
export function isUnpacked(name: string, pin: Pin, places: FetchPlaces = paths): boolean {
  const stamp = stampFile(name, places);
  return existsSync(stamp) && readFileSync(stamp, 'utf8') === stampText(pin);
}

/** Downloads a pinned archive unless it is there, checks its hash and unpacks it to third-party/<name>. */
export async function fetchPin(name: string, pin: Pin, places: FetchPlaces = paths): Promise<void> {
  const archive = await download(name, pin, places);
  const target = join(places.thirdParty, name);
  const fresh = `${target}.new`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  await run('python3', [join(paths.toolchain, 'unpack.py'), archive, pin.folder, fresh], {
    log: join(places.logs, `unpack-${name}.log`),
  });
  rmSync(target, { recursive: true, force: true });
  renameSync(fresh, target);
  writeFileSync(stampFile(name, places), stampText(pin));
}

/** Downloads on their way, by their folder: two pins may be of one archive. */
const downloads = new Map<string, Promise<string>>();

function download(name: string, pin: Pin, places: FetchPlaces): Promise<string> {
  const folder = join(places.downloads, `${pin.package}-${pin.version}`);
  const running = downloads.get(folder);
  const own = running === undefined ? downloadTo(folder, name, pin, places) : running.then(() => downloadTo(folder, name, pin, places));
  downloads.set(folder, own);
  return own.finally(() => {
    if (downloads.get(folder) === own) downloads.delete(folder);
  });
}

async function downloadTo(folder: string, name: string, pin: Pin, places: FetchPlaces): Promise<string> {
  const kept = onlyFile(folder);
  if (kept !== undefined && (await sha256Of(kept)) === pin.sha256) return kept;

  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const requirements = join(folder, 'requirements.txt');
  writeFileSync(requirements, `${pin.package}==${pin.version} --hash=sha256:${pin.sha256}\n`);
  const kindArgs =
    pin.kind === 'wheel' ? ['--only-binary', ':all:'] : ['--no-binary', ':all:', '--no-build-isolation', '--use-pep517'];
  try {
    await run(
      'python3',
      ['-m', 'pip', 'download', '--disable-pip-version-check', '--no-deps', '--require-hashes', ...kindArgs]
        .concat(['--dest', folder, '--requirement', requirements]),
      {
        log: join(places.logs, `download-${name}.log`),
        // A source archive is to be downloaded, not run: see no-build/.
        env:
          pin.kind === 'sdist'
            ? { PYTHONPATH: join(paths.toolchain, 'no-build'), PYTHONDONTWRITEBYTECODE: '1' }
            : {},
      },
    );
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    throw new SetupError(`${error.message}\npip could not download ${pin.package} ${pin.version}.`);
  } finally {
    rmSync(requirements);
  }
  const archive = onlyFile(folder);
  if (archive === undefined) throw new SetupError(`pip left nothing in ${folder}`);
  const sha256 = await sha256Of(archive);
  if (sha256 !== pin.sha256) {
    rmSync(folder, { recursive: true });
    throw new SetupError(`${archive} has the sha256 ${sha256}, not the pinned ${pin.sha256}`);
  }
  return archive;
}

function onlyFile(folder: string): string | undefined {
  const names = existsSync(folder) ? readdirSync(folder).filter((name) => name !== 'requirements.txt') : [];
  return names.length === 1 && names[0] !== undefined ? join(folder, names[0]) : undefined;
}

function stampFile(name: string, places: FetchPlaces): string {
  return join(places.thirdParty, `${name}.pin`);
}

function stampText(pin: Pin): string {
  return `${pin.sha256} ${pin.folder}\n`;
}

async function sha256Of(file: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(file), hash);
  return hash.digest('hex');
}
