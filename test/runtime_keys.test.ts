// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Keys of Envoy's runtime: from Envoy 1.40 on workers see them, and changes to them; before it the config is refused.

import { expect, test } from 'vitest';
import { envoyMinor, expectRefused, fairlead, request, waitFor, withEnvoy, type TrafficOptions } from './harness.ts';

const source = `export default { onRequest(request, { runtime }) {
  return Response.json(["number", "flag", "text", "none"].map((key) => runtime.get("test." + key, "default")));
} };`;

const options: TrafficOptions = {
  filters: [fairlead({ inline: source, runtime: ['test.number', 'test.flag', 'test.text', 'test.none'] })],
  settings: {
    layered_runtime: {
      layers: [
        { name: 'static', static_layer: { 'test.number': 1.5, 'test.flag': true, 'test.text': 'words' } },
        { name: 'admin', admin_layer: {} },
      ],
    },
  },
};

if (envoyMinor >= 40) test('a value that is changed in Envoy reaches all workers, without a reload (F052)', async () => {
  await withEnvoy({ ...options, concurrency: 2 }, async (envoy) => {
    const told = async (): Promise<unknown> => (await request(envoy)).json();
    expect(await told()).toEqual([1.5, true, 'default', 'default']);
    await envoy.admin('/runtime_modify?test.number=-7&test.flag=false&test.none=42', 'POST');
    await waitFor('the new values', async () => JSON.stringify(await told()) === '[-7,false,"default",42]', 2_000);
    // Each connection may be another worker's.
    for (let i = 0; i < 8; i++) expect(await told()).toEqual([-7, false, 'default', 42]);
  });
});

else test('a config that names keys is refused by an Envoy that tells none (F052, F055)', async () => {
  const refusal = await expectRefused(options);
  expect(refusal.code).toBe('E_ENVOY_RELEASE');
  expect(refusal.text).toContain('runtime needs Envoy 1.40');
});
