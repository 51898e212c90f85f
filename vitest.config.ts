// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { defineConfig } from 'vitest/config';

export default defineConfig({
  test: {
    include: ['{bundler,test,sdk-types,filter-cc/builtins}/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    // Envoy and its load share two cores: what is measured in time needs them alone.
    fileParallelism: false,
    // One line a file: no single slow tests between them.
    slowTestThreshold: 60_000,
  },
});
