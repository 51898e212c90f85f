// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const repoRoot = fileURLToPath(new URL('../../', import.meta.url)).replace(/\/$/, '');
const buildDir = join(repoRoot, 'build');
const thirdParty = join(buildDir, 'third-party');

/** The Envoy release that is used where none is named. */
export const defaultEnvoyVersion = '1.40.0';

/** The Envoy releases that fairlead promises to run in; each is pinned. */
export const envoyVersions = ['1.38.3', '1.39.3', defaultEnvoyVersion] as const;

/** Where everything that set-up fetches and builds lies. */
export const paths = {
  repoRoot,
  buildDir,
  downloads: join(buildDir, 'downloads'),
  thirdParty,
  logs: join(buildDir, 'logs'),
  generated: join(buildDir, 'generated'),
  toolchain: join(repoRoot, 'bundler', 'toolchain'),
  /** The engine's source with our edits. */
  engine: join(thirdParty, 'engine'),
  zig: join(thirdParty, 'zig', 'zig'),
  cmake: join(thirdParty, 'cmake', 'bin', 'cmake'),
  ninja: join(thirdParty, 'ninja', 'ninja'),
  /** The filter for Envoy. */
  soPath: join(buildDir, 'release', 'libfairlead.so'),
  /** The folder of the same filter with memory that a test can make run out; see test/faults.cc. */
  faultsFolder: join(buildDir, 'release', 'faults'),
  /** The same core for Node and browsers. */
  wasmPath: join(buildDir, 'wasm', 'fairlead.wasm'),
  /** The C++ unit tests as a preset builds them. */
  unitTests(preset: 'asan' | 'tsan'): string {
    return join(buildDir, preset, 'fairlead_tests');
  },
  /** The Envoy to run: the pinned release of that version; with none named, ENVOY_BIN's or the default release. */
  envoyBinary(version?: string): string {
    const own = process.env['ENVOY_BIN'];
    if (own && version === undefined) return own;
    return join(thirdParty, `envoy-${version ?? defaultEnvoyVersion}`, 'envoy');
  },
} as const;
