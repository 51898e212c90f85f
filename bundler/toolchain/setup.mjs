// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors
//
// The first step of each npm script (start, test, build, bazel, bench): plain JavaScript on Node alone. It
// installs the npm packages when they are missing or older than the lock file, then hands over to main.ts.

import { spawn } from 'node:child_process';
import { mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const repoRoot = fileURLToPath(new URL('../../', import.meta.url));

if (Number(process.versions.node.split('.')[0]) < 20) {
  console.error(`fairlead needs Node 20 or newer; this is ${process.version}`);
  process.exit(1);
}
if (changedMs('node_modules/.package-lock.json') < changedMs('package-lock.json')) await installPackages();

const { register } = await import('tsx/esm/api');
register();
const { main } = await import('./main.ts');
process.exitCode = await main(process.argv.slice(2));

/** When a file last changed; a missing one counts as never. */
function changedMs(file) {
  return statSync(`${repoRoot}${file}`, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

async function installPackages() {
  const began = performance.now();
  const name = 'installing npm packages';
  const notice = setTimeout(() => console.error(`• ${name} …`), 2000);
  mkdirSync(`${repoRoot}build/logs`, { recursive: true });
  const logFile = `${repoRoot}build/logs/npm.log`;
  const log = openSync(logFile, 'w');
  // npm names itself to the scripts it runs; without it (node setup.mjs) the one on the path serves.
  const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm'];
  const child = spawn(npm[0], [...npm.slice(1), 'ci'], { cwd: repoRoot, stdio: ['ignore', log, log] });
  const code = await new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message));
    child.on('close', (exitCode, signal) => resolve(exitCode ?? signal));
  });
  clearTimeout(notice);
  if (code !== 0) {
    console.error(readFileSync(logFile, 'utf8').trimEnd());
    console.error(`'npm ci' ended with ${code}`);
    process.exit(1);
  }
  const elapsedMs = performance.now() - began;
  if (elapsedMs > 2000) console.error(`✓ ${name}  ${(elapsedMs / 1000).toFixed(1)} s`);
}
