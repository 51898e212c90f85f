// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Configs that a control plane changes while requests come: of the filter by ECDS, of its routes by RDS. Files stand for
// the control plane.

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  directRoute,
  fairlead,
  keepAliveAgent,
  load,
  perRoute,
  put,
  request,
  waitFor,
  withEnvoy,
  withFolder,
  type Envoy,
  type JsonObject,
} from './harness.ts';

const v3 = 'type.googleapis.com/envoy.config.';

/** Envoy reads the file when another one takes its place. */
async function publish(file: string, resource: JsonObject): Promise<void> {
  await put(file, JSON.stringify({ version_info: String(performance.now()), resources: [resource] }));
}

const source = (path: string): JsonObject => ({ resource_api_version: 'V3', path_config_source: { path } });

const residentKb = async (envoy: Envoy): Promise<number> =>
  Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${envoy.pid}/status`, 'utf8'))?.[1]);

/** Sends requests over 8 connections until `work` is done; none may fail, and each is checked. */
async function underLoad(envoy: Envoy, isRight: (version: number, text: string) => boolean, work: () => Promise<void>): Promise<void> {
  let over = false;
  const done = work().finally(() => (over = true));
  let rounds = 0;
  while (!over) {
    const result = await load(envoy, {
      connections: 8,
      requests: 400,
      check: (answer) => {
        const [, version = '', text = ''] = /^(\d+) (.*)$/.exec(answer.text()) ?? [];
        return answer.status === 200 && isRight(Number(version), text) ? undefined : `${answer.status} ${answer.text()}`;
      },
    });
    expect(result.complaints).toEqual([]);
    rounds++;
  }
  await done;
  expect(rounds).toBeGreaterThan(0);
}

const updates = 200;
/** What is built up first is no leak. */
const settled = 60;

test('configs of the filter that ECDS brings cost no request and no memory, and a bad one changes nothing (F059, H412)', async () => {
  await withFolder(async (folder) => {
    const file = join(folder, 'filter.json');
    const filter = fairlead('');
    const name = String(filter['name']);
    const deliver = async (version: number, inline: string): Promise<void> => {
      const config = fairlead({ inline, config: { version } })['typed_config'] as JsonObject;
      await publish(file, { '@type': `${v3}core.v3.TypedExtensionConfig`, name, typed_config: config });
    };
    // The script changes too, so that runtimes come and go.
    const good = (version: number): string => `const script = ${version % 10};
      export default { async onRequest(request, { config }) { await null; return new Response(config.version + " " + script); } };`;
    await deliver(0, good(0));
    const discovery: JsonObject = {
      name,
      config_discovery: {
        config_source: source(file),
        type_urls: ['type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter'],
      },
    };
    await withEnvoy({ filters: [discovery], concurrency: 2, errorsExpected: true }, async (envoy) => {
      const rejections = async (): Promise<number> => {
        const found = await envoy.stats('extension_config_discovery.http_filter.');
        return Object.entries(found).reduce((sum, [stat, value]) => sum + (/update_rejected|config_fail/.test(stat) ? value : 0), 0);
      };
      let early = 0;
      await underLoad(envoy, (version, text) => text === String(version % 10), async () => {
        const agent = keepAliveAgent(1);
        const told = async (): Promise<string> => (await request(envoy, '/', { agent })).text();
        for (let version = 1; version <= updates; version++) {
          if (version % 5 === 0) {
            const before = await rejections();
            await deliver(version, version % 2 === 0 ? 'export default {' : 'throw new Error("no");');
            await waitFor('the rejection', async () => (await rejections()) > before);
            expect(await told()).toBe(`${version - 1} ${(version - 1) % 10}`);
            continue;
          }
          await deliver(version, good(version));
          await waitFor(`version ${version}`, async () => (await told()) === `${version} ${version % 10}`);
          if (version === settled + 1) early = await residentKb(envoy);
        }
        agent.destroy();
      });
      expect(await residentKb(envoy)).toBeLessThan(early * 1.05);
    });
  });
}, 120_000);

test('what routes say is changed by RDS under load, and a bad one changes nothing (F056, F059)', async () => {
  await withFolder(async (folder) => {
    const file = join(folder, 'routes.json');
    const deliver = async (version: number, said: JsonObject): Promise<void> => {
      const route = { ...directRoute('/', 200, ''), typed_per_filter_config: perRoute(said) };
      const hosts: JsonObject[] = [{ name: `v${version}`, domains: ['*'], routes: [route] }];
      await publish(file, { '@type': `${v3}route.v3.RouteConfiguration`, name: 'routes', virtual_hosts: hosts });
    };
    // Every other one has a script of its own.
    const good = (version: number): JsonObject => ({
      config: { version },
      ...(version % 2 === 1 && {
        script: { inline: `export default { onRequest(request, { config }) { return new Response(config.version + " own"); } };` },
      }),
    });
    await deliver(0, good(0));
    const filter = fairlead(`export default { onRequest(request, { config }) { return new Response(config.version + " filter"); } };`);
    const connectionManager = { rds: { route_config_name: 'routes', config_source: source(file) } };
    await withEnvoy({ filters: [filter], connectionManager, concurrency: 2, errorsExpected: true }, async (envoy) => {
      const rejections = async (): Promise<number> => (await envoy.gauge('rds.routes.update_rejected')) ;
      let early = 0;
      await underLoad(envoy, (version, text) => text === (version % 2 === 1 ? 'own' : 'filter'), async () => {
        const agent = keepAliveAgent(1);
        const told = async (): Promise<string> => (await request(envoy, '/', { agent })).text();
        const wanted = (version: number): string => `${version} ${version % 2 === 1 ? 'own' : 'filter'}`;
        for (let version = 1; version <= updates; version++) {
          if (version % 5 === 0) {
            const before = await rejections();
            await deliver(version, { script: { inline: 'export default {' } });
            await waitFor('the rejection', async () => (await rejections()) > before);
            expect(await told()).toBe(wanted(version - 1));
            continue;
          }
          await deliver(version, good(version));
          await waitFor(`version ${version}`, async () => (await told()) === wanted(version));
          if (version === settled + 1) early = await residentKb(envoy);
        }
        agent.destroy();
      });
      expect(await residentKb(envoy)).toBeLessThan(early * 1.05);
    });
  });
}, 120_000);
