// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Secrets of a config in a real Envoy: what a script sees of them, and when a file has changed.

import { rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { envoyMinor, expectRefused, fairlead, put, request, waitFor, withEnvoy, withFolder, type JsonObject, type TrafficOptions } from './harness.ts';

type Source = { file: string } | { inline: string } | { sds: { name: string; sds_config?: JsonObject } };

const traffic = (source: string, secrets: Record<string, Source>): TrafficOptions => ({
  filters: [fairlead({ inline: source, secrets })],
});

const telling = `export default { onRequest(request, { secrets }) { return new Response(secrets.get(request.path.slice(1)).text()); } };`;

test('a secret that was replaced is seen by streams on all workers, without a reload (F052)', async () => {
  await withFolder(async (folder) => {
    const file = join(folder, 'key');
    await put(file, 'old');
    await withEnvoy({ ...traffic(telling, { key: { file }, fixed: { inline: 'here' } }), concurrency: 2 }, async (envoy) => {
      const told = async (name = 'key'): Promise<string> => (await request(envoy, `/${name}`)).text();
      expect([await told(), await told('fixed')]).toEqual(['old', 'here']);
      await put(file, 'new');
      await waitFor('the new one', async () => (await told()) === 'new');
      // As Kubernetes does it: a link that leads elsewhere.
      await put(join(folder, 'other'), 'linked');
      await rm(file);
      await symlink(join(folder, 'other'), file);
      await waitFor('the linked one', async () => (await told()) === 'linked');
    });
  });
});

test('a file that goes or is empty leaves the last secret, with one line for each cause (F052)', async () => {
  await withFolder(async (folder) => {
    const file = join(folder, 'key');
    await put(file, 'good');
    await withEnvoy({ ...traffic(telling, { key: { file } }), errorsExpected: true }, async (envoy) => {
      const told = async (): Promise<string> => (await request(envoy, '/key')).text();
      await rm(file);
      const fault = await envoy.log.fault();
      expect(fault.code).toBe('E_SECRET_FILE');
      expect(fault.text).toContain(`secret key: file ${file}: No such file or directory`);
      await put(file, '');
      await waitFor('the second cause', () => envoy.log.faults().length === 2);
      expect(await told()).toBe('good');
      await put(file, 'better');
      await waitFor('the better one', async () => (await told()) === 'better');
      expect(envoy.log.faults()).toHaveLength(2);
    });
  });
});

test('a file that cannot be read is refused with its path and the cause (F052, F055)', async () => {
  await withFolder(async (folder) => {
    const cases: [string, string][] = [
      [join(folder, 'none'), 'No such file or directory'],
      [folder, 'it is a directory'],
    ];
    await writeFile(join(folder, 'large'), Buffer.alloc(65_537, 120));
    cases.push([join(folder, 'large'), 'more than 64 KiB']);
    for (const [file, cause] of cases) {
      const refusal = await expectRefused(traffic(telling, { key: { file } }));
      expect(refusal.code).toBe('E_SECRET_FILE');
      expect(refusal.text).toContain(file);
      expect(refusal.text).toContain(cause);
    }
    await writeFile(join(folder, 'large'), Buffer.alloc(65_536, 120));
    await withEnvoy(traffic(telling, { key: { file: join(folder, 'large') } }), async (envoy) => {
      expect((await (await request(envoy, '/key')).text()).length).toBe(65_536);
    });
  });
});

const generic = (name: string, text: string): JsonObject => ({ name, generic_secret: { secret: { inline_string: text } } });

if (envoyMinor >= 40) {
  test('a secret of the bootstrap, and one that a control plane replaces, are seen by streams on all workers (F052)', async () => {
    await withFolder(async (folder) => {
      const file = join(folder, 'sds.json');
      const deliver = (text: string): Promise<void> =>
        put(file, JSON.stringify({ resources: [{ '@type': 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.Secret', ...generic('rotated', text) }] }));
      await deliver('old');
      const secrets = {
        fixed: { sds: { name: 'fixed' } },
        rotated: { sds: { name: 'rotated', sds_config: { path_config_source: { path: file } } } },
        file: { inline: 'beside' },
      };
      const options = { ...traffic(telling, secrets), secrets: [generic('fixed', 'of the bootstrap')], concurrency: 2 };
      await withEnvoy(options, async (envoy) => {
        const told = async (name: string): Promise<string> => (await request(envoy, `/${name}`)).text();
        expect([await told('fixed'), await told('rotated'), await told('file')]).toEqual(['of the bootstrap', 'old', 'beside']);
        await deliver('new');
        await waitFor('the new one', async () => (await told('rotated')) === 'new');
      });
    });
  });

  test('a secret that Envoy does not know is refused, and one that is empty is an error of the script (F052, F055)', async () => {
    const refusal = await expectRefused(traffic(telling, { key: { sds: { name: 'nobody' } } }));
    expect(refusal.code).toBe('E_SECRET_SDS');
    const reading = `export default { onRequest(request, { secrets }) {
      try { return new Response(secrets.get("key").text()); } catch (error) { return new Response(error.code); } } };`;
    const options = traffic(reading, { key: { sds: { name: 'empty' } } });
    await withEnvoy({ ...options, secrets: [generic('empty', '')] }, async (envoy) => {
      expect((await request(envoy)).text()).toBe('E_SECRET_PENDING');
    });
  });
} else {
  test('a secret of an Envoy that gives filters none is refused (F052, F055)', async () => {
    const refusal = await expectRefused(traffic(telling, { key: { sds: { name: 'key' } } }));
    expect(refusal.code).toBe('E_ENVOY_RELEASE');
    expect(refusal.text).toContain('secrets.key.sds needs Envoy 1.40');
  });
}
