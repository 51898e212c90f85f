// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { configDefaults, defineConfig } from 'vitest/config';

import { envoyVersions, paths } from './bundler/toolchain/paths.ts';

/** The filter seen from outside: these run once in each Envoy, all others once. */
const inEnvoy = 'test/*.test.ts';

const ownEnvoy = process.env['ENVOY_BIN'];
const envoys = ownEnvoy
  ? [{ name: 'envoy', binary: ownEnvoy }]
  : envoyVersions.map((version) => ({ name: `envoy-${version}`, binary: paths.envoyBinary(version) }));

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Envoy and its load share two cores: what is measured in time needs them alone.
    fileParallelism: false,
    // One line a file: no single slow tests between them.
    slowTestThreshold: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'once',
          include: ['{bench,bundler,test,sdk-types,filter-cc/builtins}/**/*.test.ts'],
          exclude: [...configDefaults.exclude, inEnvoy],
        },
      },
      ...envoys.map(({ name, binary }) => ({
        extends: true as const,
        test: { name, include: [inEnvoy], env: { ENVOY_BIN: binary } },
      })),
    ],
  },
});
