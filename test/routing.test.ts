// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Where a script sends a request in a real Envoy: by another route, to another cluster, to one host.

import { describe, expect, test } from 'vitest';
import {
  clusterRoute,
  fairlead,
  request,
  startRefusing,
  startUpstream,
  expectRefused,
  upstreamChain,
  waitFor,
  withEnvoy,
  withUpstream,
  envoyMinor,
  type Envoy,
  type JsonObject,
  type Upstream,
} from './harness.ts';

/** Before, Envoy would end when a filter among those of a cluster has the route chosen anew. */
const reroutes = envoyMinor >= 39;

const limits = { cpu_ms: 1000, stream_cpu_ms: 5000 };

function filterOf(hooks: string, config: JsonObject = {}): JsonObject {
  return fairlead({ inline: `export default { ${hooks} }`, limits, ...config });
}

/** Upstreams that answer with their names. */
async function withNamed<T>(names: readonly string[], use: (upstreams: Record<string, Upstream>) => Promise<T>): Promise<T> {
  const started = await Promise.all(names.map((name) => startUpstream({ handler: (exchange) => exchange.respond(200, [], name) })));
  try {
    return await use(Object.fromEntries(names.map((name, i) => [name, started[i]!])));
  } finally {
    await Promise.all(started.map((upstream) => upstream.close()));
  }
}

/** A cluster of several hosts. */
function hosts(name: string, ports: readonly number[], more: JsonObject = {}): { settings: JsonObject } {
  const endpoints = ports.map((port) => ({ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }));
  return { settings: { load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: endpoints }] }, ...more } };
}

async function textOf(envoy: Envoy, path = '/', headers: readonly (readonly [string, string])[] = []): Promise<string> {
  const answer = await request(envoy, path, { headers: headers.map(([name, value]) => [name, value]) });
  return answer.status === 200 ? answer.text() : String(answer.status);
}

describe('a route', () => {
  const hooks = `
    onRequest(request, ctx) {
      const before = ctx.route.name;
      request.path = request.path.replace("/old", "/new");
      try {
        if (request.headers.has("x-clear")) ctx.clearRouteCache();
      } catch (error) {
        if (error.code !== "E_ENVOY_RELEASE") throw error;
      }
      request.headers.set("x-routes", before + " " + ctx.route.name + " " + ctx.cluster.name);
      if (request.headers.has("x-throw")) throw new Error("x");
    }`;
  const routes = [
    { name: 'old', ...clusterRoute('/old', 'old') },
    { name: 'new', ...clusterRoute('/new', 'new') },
    { match: { prefix: '/' }, direct_response: { status: 404 } },
  ];

  test('is chosen anew when the script asks for it, and not before (F041)', async () => {
    await withNamed(['old', 'new'], async (clusters) => {
      await withEnvoy({ clusters, routes, filters: [filterOf(hooks)], accessLog: '%ROUTE_NAME% %REQ(X-ROUTES)%' }, async (envoy) => {
        expect(await textOf(envoy, '/old/a')).toBe('old');
        expect(await textOf(envoy, '/old/a', [['x-clear', '1']])).toBe(reroutes ? 'new' : 'old');
        const after = reroutes ? 'new old new new' : 'old old old old';
        expect(await envoy.accessLog(2)).toEqual(['old old old old', after]);
      });
    });
  });

  test('is the old one again when a hook fails and on_error is open (F041, F073)', async () => {
    await withNamed(['old', 'new'], async (clusters) => {
      const filters = [filterOf(hooks, { on_error: { mode: 'open' } })];
      await withEnvoy({ clusters, routes, filters, errorsExpected: true }, async (envoy) => {
        const headers: [string, string][] = [['x-clear', '1'], ['x-throw', '1']];
        expect(await textOf(envoy, '/old/a', headers)).toBe('old');
        expect(clusters['old']?.requests.map(({ path }) => path)).toEqual(['/old/a']);
      });
    });
  });

  test('and cluster are absent where there is none (F047, F050)', async () => {
    const hook = `onRequest(request, { route, cluster }) {
      return Response.json([route.name ?? "none", cluster.name ?? "none", cluster.hosts() ?? "none"]);
    }`;
    await withEnvoy({ routes: [{ match: { path: '/known' }, direct_response: { status: 200 } }], filters: [filterOf(hook)] }, async (envoy) => {
      expect(await textOf(envoy, '/unknown')).toBe('["none","none","none"]');
      expect(await textOf(envoy, '/known')).toBe('["none","none","none"]');
    });
  });
});

function testCluster(): void {
  const routes = [{ match: { prefix: '/' }, route: { cluster_header: 'x-cluster' } }];
  const hook = `onRequest(request) {
    const tier = /tier=(\\w+)/.exec(request.headers.get("cookie") ?? "")?.[1];
    if (tier !== undefined) request.cluster = tier === "none" ? null : tier;
    request.headers.set("x-chosen", String(request.cluster));
  }`;

  test('is taken, whatever the client sends (F042)', async () => {
    await withNamed(['red', 'green', 'blue'], async (clusters) => {
      const filters = [filterOf(hook, { cluster_header: 'X-Cluster' })];
      await withEnvoy({ clusters, routes, filters }, async (envoy) => {
        for (const name of ['red', 'green', 'blue']) {
          expect(await textOf(envoy, '/', [['cookie', `tier=${name}`]])).toBe(name);
          expect(await textOf(envoy, '/', [['cookie', `tier=${name}`], ['x-cluster', 'red'], ['x-cluster', 'blue']])).toBe(name);
        }
        // Without a choice there is no route: the client's is not taken for one.
        for (const cookie of ['', 'tier=none']) expect(await textOf(envoy, '/', [['cookie', cookie], ['x-cluster', 'red']])).toBe('503');
        expect(clusters['blue']?.requests.at(-1)?.headers.all('x-chosen')).toEqual(['blue']);
      });
    });
  });

  test('that Envoy does not know gives its 503, and a line that names it (F042, F027)', async () => {
    const filters = [filterOf(hook, { cluster_header: 'x-cluster' })];
    await withEnvoy({ routes, filters, accessLog: '%RESPONSE_CODE_DETAILS%' }, async (envoy) => {
      expect(await textOf(envoy, '/', [['cookie', 'tier=mauve']])).toBe('503');
      expect(await envoy.accessLog(1)).toEqual(['cluster_not_found']);
      const lines = envoy.logs().filter(({ message }) => message.includes('E_CLUSTER_UNKNOWN'));
      expect(lines.map(({ level }) => level)).toEqual(['warning']);
      expect(lines[0]?.message).toContain('mauve');
    });
  });

  test('is dropped when a hook fails and on_error is open (F042, F073)', async () => {
    const failing = 'onRequest(request) { request.cluster = "red"; throw new Error("x"); }';
    await withNamed(['red'], async (clusters) => {
      const filters = [filterOf(failing, { cluster_header: 'x-cluster', on_error: { mode: 'open' } })];
      await withEnvoy({ clusters, routes, filters, errorsExpected: true }, async (envoy) => {
        expect(await textOf(envoy, '/', [['x-cluster', 'red']])).toBe('503');
        expect(clusters['red']?.requests).toEqual([]);
      });
    });
  });
}

if (reroutes) describe('the cluster that a script names', testCluster);
else {
  test('a config with a cluster_header is refused where the route cannot be chosen anew (F042, F055)', async () => {
    const { code } = await expectRefused({ filters: [filterOf('', { cluster_header: 'x-cluster' })] });
    expect(code).toBe('E_CONFIG_VALUE');
  });
}

describe('the cluster of a request', () => {
  test('says how many hosts it has, and how many are healthy (F044)', async () => {
    const tell = 'onRequest(request, { cluster }) { return Response.json([cluster.name, cluster.hosts(), cluster.hosts(1) ?? null]); }';
    const refusing = await startRefusing();
    const check = { timeout: '1s', interval: '0.05s', unhealthy_threshold: 1, healthy_threshold: 1, http_health_check: { path: '/' } };
    await withNamed(['a'], async ({ a }) => {
      const more = { health_checks: [check], common_lb_config: { healthy_panic_threshold: { value: 0 } } };
      const clusters = { upstream: hosts('upstream', [a!.port, refusing.port], more) };
      await withEnvoy({ clusters, filters: [filterOf(tell)] }, async (envoy) => {
        const wanted = JSON.stringify(['upstream', { total: 2, healthy: 1, degraded: 0 }, null]);
        await waitFor('one of two hosts to be healthy', async () => (await textOf(envoy)) === wanted);
      });
    });
    await refusing.close();
  });

  test('is left to its subsets by the metadata that load balancing reads (F044, F048)', async () => {
    await withNamed(['v1', 'v2'], async ({ v1, v2 }) => {
      const endpoint = (port: number, version: string): JsonObject => ({
        endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } },
        metadata: { filter_metadata: { 'envoy.lb': { version } } },
      });
      const settings = {
        load_assignment: { cluster_name: 'upstream', endpoints: [{ lb_endpoints: [endpoint(v1!.port, '1'), endpoint(v2!.port, '2')] }] },
        lb_subset_config: { fallback_policy: 'NO_FALLBACK', subset_selectors: [{ keys: ['version'] }] },
      };
      const label = 'onRequest(request, { metadata }) { metadata.set("envoy.lb", "version", request.headers.get("x-version")); }';
      const filters = [filterOf(label, { metadata: ['envoy.lb'] })];
      await withEnvoy({ clusters: { upstream: { settings } }, filters }, async (envoy) => {
        for (let i = 0; i < 5; i++) {
          expect(await textOf(envoy, '/', [['x-version', '1']])).toBe('v1');
          expect(await textOf(envoy, '/', [['x-version', '2']])).toBe('v2');
        }
        expect(await textOf(envoy, '/', [['x-version', '3']])).toBe('503');
      });
    });
  });
});

describe('the upstream host that a script asks for', () => {
  const pin = `onRequest(request, ctx) {
    const { headers } = request;
    try {
      ctx.setUpstreamHost(headers.get("x-host"), { strict: headers.has("x-strict") });
    } catch (error) {
      return new Response(error.code);
    }
  }`;

  test('takes every request; when it is not there, strict is a 503 and loose another host (F043)', async () => {
    await withNamed(['a', 'b'], async ({ a, b }) => {
      await withEnvoy({ clusters: { upstream: hosts('upstream', [a!.port, b!.port]) }, filters: [filterOf(pin)] }, async (envoy) => {
        for (const strict of [[], [['x-strict', '1']]] as [string, string][][]) {
          const answers = new Set<string>();
          for (let i = 0; i < 100; i++) answers.add(await textOf(envoy, '/', [['x-host', `127.0.0.1:${b!.port}`], ...strict]));
          expect([...answers]).toEqual(['b']);
        }
        expect(await textOf(envoy, '/', [['x-host', '127.0.0.1:9'], ['x-strict', '1']])).toBe('503');
        const loose = new Set<string>();
        for (let i = 0; i < 10; i++) loose.add(await textOf(envoy, '/', [['x-host', '127.0.0.1:9']]));
        expect([...loose].sort()).toEqual(['a', 'b']);
      });
    });
  });

  test('is an IP address with a port (F043)', async () => {
    await withUpstream({}, async (upstream) => {
      await withEnvoy({ clusters: { upstream }, filters: [filterOf(pin)] }, async (envoy) => {
        for (const bad of ['localhost:80', '127.0.0.1', '127.0.0.1:', '127.0.0.1:0', '127.0.0.1:65536', '127.0.0.1:80x', '::1', ':80', '[::1]']) {
          expect([bad, await textOf(envoy, '/', [['x-host', bad]])]).toEqual([bad, 'E_UPSTREAM_HOST']);
        }
        expect(await textOf(envoy, '/', [['x-host', '[::1]:80'], ['x-strict', '1']])).toBe('503');
      });
    });
  });
});

test('after the request has left, it cannot be sent elsewhere (F041, F043)', async () => {
  const hooks = `
    onRequest(request, ctx) {
      const of = (use) => { try { use(); return "done"; } catch (error) { return error.code; } };
      setTimeout(() => console.info("later", of(() => ctx.clearRouteCache()), of(() => ctx.setUpstreamHost("127.0.0.1:80"))), 1);
    }`;
  await withUpstream({ handler: () => undefined }, async (upstream) => {
    await withEnvoy({ clusters: { upstream }, filters: [filterOf(hooks)] }, async (envoy) => {
      const asked = request(envoy, '/', { signal: AbortSignal.timeout(1_000) }).catch((error: unknown) => error);
      const { message } = await envoy.waitForLog((entry) => entry.message.includes(' later '));
      expect(message).toContain(`later ${reroutes ? 'E_HEADERS_SENT' : 'E_ENVOY_RELEASE'} E_HEADERS_SENT`);
      await asked;
    });
  });
});

test('one script serves before the router and among the filters of a cluster, where retries run it again (F045)', async () => {
  let calls = 0;
  const handler = (exchange: { respond(status: number): void }): void => exchange.respond(++calls % 2 === 1 ? 503 : 200);
  const hooks = `
    onRequest(request, ctx) {
      const of = (use) => { try { return use() ?? "done"; } catch (error) { return error.code; } };
      const routing = [of(() => ctx.clearRouteCache()), ctx.config.place === "cluster" && of(() => ctx.setUpstreamHost("127.0.0.1:9", { strict: true })), of(() => ctx.route.name), of(() => ctx.cluster.name)];
      const count = Number(request.headers.get("x-count") ?? 0) + 1;
      request.headers.set("x-count", String(count));
      ctx.metadata.set("test", "seen", count);
      console.info(JSON.stringify([ctx.config.place, count, ...routing, ctx.attributes["request.method"]]));
    },
    onResponse(response, ctx) { console.info(JSON.stringify([ctx.config.place, response.status])); }`;
  await withUpstream({ handler }, async ({ port }) => {
    const filter = (place: string): JsonObject => filterOf(hooks, { config: { place } });
    const clusters = { upstream: { port, settings: upstreamChain([filter('cluster')]) } };
    const retry = { cluster: 'upstream', retry_policy: { retry_on: '5xx', num_retries: 1 } };
    const routes = [{ match: { prefix: '/' }, name: 'r', route: retry }];
    await withEnvoy({ clusters, routes, filters: [filter('listener')] }, async (envoy) => {
      expect(await textOf(envoy)).toBe('');
      await envoy.idle();
      const lines = envoy.logs().flatMap(({ message }) => /(\[".*\])(?: \(inline:\d+\))?$/.exec(message)?.[1] ?? []);
      const clear = reroutes ? 'done' : 'E_ENVOY_RELEASE';
      const rest = ['r', 'upstream', 'GET'];
      // A host is not chosen again among a cluster's filters.
      expect(lines.map((line) => JSON.parse(line) as unknown)).toEqual([
        ['listener', 1, clear, false, ...rest],
        ['cluster', 2, clear, 'done', ...rest],
        ['cluster', 503],
        ['cluster', 3, clear, 'done', ...rest],
        ['cluster', 200],
        ['listener', 200],
      ]);
    });
  });
});
