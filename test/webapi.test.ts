// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The Web's own classes inside a filter in a real Envoy. The cases are in webapi/, one file a stem.

import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { build } from '../bundler/index.ts';
import { fairlead, request, startEnvoy, type Envoy } from './harness.ts';

let folder: string;
let envoy: Envoy;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fairlead-webapi-'));
  const entry = fileURLToPath(new URL('./webapi/filter.js', import.meta.url));
  const { bytes } = await build({ entry, check: false });
  const file = join(folder, 'webapi.qjb');
  await writeFile(file, bytes);
  // All cases of a file run in one hook.
  envoy = await startEnvoy({ filters: [fairlead({ file, limits: { cpu_ms: 10_000, stream_cpu_ms: 10_000 } })] });
});
afterAll(async () => {
  await envoy?.stop();
  await rm(folder, { recursive: true, force: true });
});

test.each([
  ['URL and URLSearchParams do what the URL standard says (W04, W05)', 'url'],
  ['TextEncoder and TextDecoder do what the Encoding standard says (W02, W03)', 'encoding'],
])('%s', async (_, file) => {
  const answer = await request(envoy, `/${file}`);
  expect(answer.status).toBe(200);
  const { count, failures } = JSON.parse(answer.text()) as { count: number; failures: string[] };
  expect(failures).toEqual([]);
  expect(count).toBeGreaterThan(400);
});
