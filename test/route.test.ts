// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What a virtual host, a route or a weighted cluster says of a filter, and what streams on it run by.

import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import {
  directRoute,
  envoyMinor,
  expectRefused,
  fairlead,
  perRoute,
  request,
  startEnvoy,
  withEnvoy,
  withUpstream,
  type Envoy,
  type JsonObject,
  type TrafficOptions,
} from './harness.ts';

/** A route that Envoy answers itself, and what it says of the filter. */
function route(prefix: string, config: JsonObject | undefined): JsonObject {
  return { ...directRoute(prefix, 200, 'passed'), typed_per_filter_config: perRoute(config) };
}

const telling = `export default {
  configure(config) { return { text: JSON.stringify(config) }; },
  onRequest(request, { config, settings }) { return Response.json({ config, settings: JSON.parse(settings.text) }); },
};`;

const told = async (envoy: Envoy, path: string): Promise<string> => (await request(envoy, path)).text();

test('the config of a route is laid over that of the filter: objects by member, null deletes, the rest replaces (F056)', async () => {
  const base = { a: 1, list: [1, 2], deep: { kept: true, gone: 'x', more: { n: 1 } }, gone: 'y', text: 'é' };
  const cases: [prefix: string, patch: JsonObject, wanted: JsonObject][] = [
    ['/none', {}, base],
    ['/flat', { a: 2, b: true }, { ...base, a: 2, b: true }],
    ['/list', { list: [{ x: null }] }, { ...base, list: [{ x: null }] }],
    ['/null', { gone: null, deep: { gone: null, absent: null } }, { a: 1, list: [1, 2], deep: { kept: true, more: { n: 1 } }, text: 'é' }],
    ['/deep', { deep: { more: { m: [2] } } }, { ...base, deep: { ...base.deep, more: { n: 1, m: [2] } } }],
    ['/kind', { a: { b: null, c: 1 }, list: {}, deep: 5 }, { ...base, a: { c: 1 }, list: {}, deep: 5 }],
    ['/text', { text: 'a"\\\n\u0001ü', 'ke"y': -1.5e300 }, { ...base, text: 'a"\\\n\u0001ü', 'ke"y': -1.5e300 }],
  ];
  const routes = cases.map(([prefix, config]) => route(prefix, { config }));
  await withEnvoy({ filters: [fairlead({ inline: telling, config: base })], routes: [...routes, directRoute('/', 200, '')] }, async (envoy) => {
    for (const [prefix, , wanted] of [...cases, ['/other', {}, base] as const]) {
      const answer = (await request(envoy, prefix)).json();
      expect(answer, prefix).toEqual({ config: wanted, settings: wanted });
    }
  });
});

test('a member named __proto__ is a member (F056)', async () => {
  const source = `export default { onRequest(request, { config }) {
    return Response.json([Object.keys(config), Object.getPrototypeOf(config) === Object.prototype, ({}).x ?? "clean"]); } };`;
  const config = JSON.parse('{ "__proto__": { "x": 1 } }') as JsonObject;
  await withEnvoy({ filters: [fairlead({ inline: source })], routes: [route('/', { config })] }, async (envoy) => {
    expect(await told(envoy, '/')).toBe('[["__proto__"],true,"clean"]');
  });
});

test('the most specific of virtual host, route and weighted cluster counts (F056)', async () => {
  await withUpstream({}, async (upstream) => {
    const tell = `export default { onRequest(request, { config }) { return new Response(config.at ?? "filter"); } };`;
    const weighted = (config?: JsonObject): JsonObject => ({
      weighted_clusters: {
        clusters: [{ name: 'upstream', weight: 1, ...(config === undefined ? {} : { typed_per_filter_config: perRoute(config) }) }],
      },
    });
    const at = (place: string): JsonObject => ({ config: { at: place } });
    const options: TrafficOptions = {
      filters: [fairlead(tell)],
      clusters: { upstream },
      connectionManager: {
        route_config: {
          virtual_hosts: [
            {
              name: 'says',
              domains: ['says.example'],
              typed_per_filter_config: perRoute(at('virtual host')),
              routes: [
                { match: { prefix: '/cluster' }, route: weighted(at('cluster')), typed_per_filter_config: perRoute(at('route')) },
                { match: { prefix: '/route' }, route: weighted(), typed_per_filter_config: perRoute(at('route')) },
                { match: { prefix: '/' }, route: weighted() },
              ],
            },
            { name: 'other', domains: ['*'], routes: [{ match: { prefix: '/' }, route: weighted() }] },
          ],
        },
      },
    };
    await withEnvoy(options, async (envoy) => {
      const ask = async (path: string, host: string): Promise<string> =>
        (await request(envoy, path, { headers: [['host', host]] })).text();
      expect(await ask('/cluster', 'says.example')).toBe('cluster');
      expect(await ask('/route', 'says.example')).toBe('route');
      expect(await ask('/', 'says.example')).toBe('virtual host');
      expect(await ask('/', 'other.example')).toBe('filter');
    });
  });
});

test('a route leaves the filter out, or runs another script, from source, a file or bytecode (F056)', async () => {
  const other = (text: string): string => `export default { onRequest(request, ctx) { return new Response("${text} " + ctx.config.who); } };`;
  const routes = [
    route('/disabled', { disabled: true }),
    route('/enabled', { disabled: false }),
    route('/inline', { script: { inline: other('inline') }, config: { who: 'route' } }),
    route('/same', { script: { inline: other('inline') } }),
    directRoute('/', 200, ''),
  ];
  const filters = [fairlead({ inline: other('filter'), config: { who: 'filter' } })];
  await withEnvoy({ filters, routes }, async (envoy) => {
    expect(await told(envoy, '/disabled')).toBe('passed');
    expect(await told(envoy, '/enabled')).toBe('filter filter');
    expect(await told(envoy, '/inline')).toBe('inline route');
    expect(await told(envoy, '/same')).toBe('inline filter');
    expect(await told(envoy, '/')).toBe('filter filter');
  });
});

test("a route's script has the filter's capabilities, and module variables of its own (F056, F057, F080)", async () => {
  await withUpstream({ handler: (exchange) => exchange.respond(200, [], 'answered') }, async (side) => {
    const asking = `let n = 0; export default { async onRequest() {
      return new Response(++n + await fetch("http://side/").then((answer) => answer.text(), (error) => error.code)); } };`;
    const options = { clusters: { side }, routes: [route('/own', { script: { inline: `/* own */${asking}` } }), directRoute('/', 200, '')] };
    await withEnvoy({ ...options, filters: [fairlead({ inline: asking, clusters: ['side'] })] }, async (envoy) => {
      expect([await told(envoy, '/'), await told(envoy, '/own'), await told(envoy, '/own')]).toEqual(['1answered', '1answered', '2answered']);
    });
    await withEnvoy({ ...options, filters: [fairlead({ inline: asking })] }, async (envoy) => {
      expect(await told(envoy, '/own')).toBe('1E_FETCH_CLUSTER_NOT_ALLOWED');
    });
  });
});

test('routes that differ in their config alone share a runtime (F057)', async () => {
  const source = 'let n = 0; export default { onRequest(request, { config }) { return new Response(config.at + ++n); } };';
  const routes = Array.from({ length: 20 }, (_, i) => route(`/${i}/`, { config: { at: `${i} ` } }));
  await withEnvoy({ filters: [fairlead(source)], routes }, async (envoy) => {
    for (let i = 0; i < 20; i++) expect(await told(envoy, `/${i}/`)).toBe(`${i} ${i + 1}`);
  });
});

describe('limits and on_error of a route', () => {
  const source = `export default { async onRequest(request) {
    if (request.path.endsWith("/wait")) await new Promise(() => {});
    if (request.path.endsWith("/throw")) throw new Error("no");
    if (request.path.endsWith("/body")) return new Response(String((await request.text()).length));
  } };`;

  test('a tighter one counts, a looser one is the filter\'s, with one line (F056, H409)', async () => {
    const filters = [fairlead({ inline: source, limits: { body_kb: 2, wait_ms: 100 } })];
    const routes = [route('/tight/', { limits: { body_kb: 1 } }), route('/loose/', { limits: { body_kb: 3, wait_ms: 60_000 } }), directRoute('/', 200, '')];
    await withEnvoy({ filters, routes, errorsExpected: true, concurrency: 2 }, async (envoy) => {
      const post = async (path: string, kib: number): Promise<number> =>
        (await request(envoy, path, { method: 'POST', body: Buffer.alloc(kib * 1024, 'a') })).status;
      expect([await post('/tight/body', 1), await post('/tight/body', 2)]).toEqual([200, 413]);
      expect([await post('/loose/body', 2), await post('/loose/body', 3)]).toEqual([200, 413]);
      expect([await post('/body', 2), await post('/body', 3)]).toEqual([200, 413]);
      expect((await request(envoy, '/loose/wait')).status).toBe(504);
      const warnings = envoy.logs().filter(({ level, message }) => level === 'warning' && message.includes('is above the filter'));
      expect(warnings.map(({ message }) => message)).toEqual([
        "test: a route's limits.wait_ms, limits.body_kb is above the filter's, which counts",
      ]);
    });
  });

  test('each key of on_error is the route\'s own (F056, F073)', async () => {
    const filters = [fairlead({ inline: source, limits: { wait_ms: 50 }, on_error: { status: 555 } })];
    const routes = [
      route('/open/', { on_error: { mode: 'open' } }),
      route('/status/', { on_error: { status: 444, wait_status: 445 } }),
      directRoute('/', 200, 'passed'),
    ];
    await withEnvoy({ filters, routes, errorsExpected: true }, async (envoy) => {
      const status = async (path: string): Promise<number> => (await request(envoy, path)).status;
      expect([await status('/throw'), await status('/wait')]).toEqual([555, 504]);
      expect([await status('/open/throw'), await status('/open/wait')]).toEqual([200, 200]);
      expect([await status('/status/throw'), await status('/status/wait')]).toEqual([444, 445]);
    });
  });
});

test('a merged config that configure() refuses fails its own streams by on_error (F056, F073)', async () => {
  const source = `export default { configure(config) { if (config.bad) throw new Error("bad config"); }, onRequest() { return new Response("ok"); } };`;
  const routes = [route('/bad', { config: { bad: true } }), directRoute('/', 200, '')];
  await withEnvoy({ filters: [fairlead(source)], routes, errorsExpected: true }, async (envoy) => {
    expect((await request(envoy, '/bad')).status).toBe(500);
    expect((await envoy.log.fault()).code).toBe('E_CONFIGURE_THROW');
    expect(await told(envoy, '/')).toBe('ok');
  });
});

test('a stream keeps what it began with when it clears the route (F056, F042)', async () => {
  // Older ones refuse to choose anew.
  const clear = envoyMinor >= 39 ? 'ctx.clearRouteCache();' : '';
  const source = `export default {
    onRequest(request, ctx) { ctx.state.before = ctx.config.at; request.headers.set("x-to", "b"); ${clear} },
    onResponse(response, ctx) { response.headers.set("x-at", ctx.state.before + " " + ctx.config.at); },
  };`;
  const b = { ...route('/', { config: { at: 'b' } }), match: { prefix: '/', headers: [{ name: 'x-to', string_match: { exact: 'b' } }] } };
  await withEnvoy({ filters: [fairlead(source)], routes: [b, route('/', { config: { at: 'a' } })] }, async (envoy) => {
    expect((await request(envoy, '/')).headers.get('x-at')).toBe('a a');
  });
});

test('a route that is wrong is refused in one line that names the key (F055, H409)', async () => {
  const refused = async (config: JsonObject): Promise<string> => {
    const fault = await expectRefused({ filters: [fairlead(telling)], routes: [route('/', config)] });
    return `${fault.code} ${fault.text.split(';')[0] ?? ''}`;
  };
  expect(await refused({ disabled: 'yes' })).toContain('E_CONFIG_TYPE disabled must be true or false');
  expect(await refused({ clusters: ['a'] })).toContain('E_CONFIG_KEY unknown key clusters');
  expect(await refused({ inline: telling })).toContain('E_CONFIG_KEY unknown key inline');
  expect(await refused({ limits: { memory_mb: 4 } })).toContain('E_CONFIG_KEY unknown key limits.memory_mb');
  expect(await refused({ limits: { cpu_ms: 0 } })).toContain('E_CONFIG_RANGE limits.cpu_ms');
  expect(await refused({ script: { inline: 'export default {', file: '/a' } })).toContain('E_CONFIG_SOURCE');
  expect(await refused({ script: { inline: 'export default {' } })).toContain('E_SCRIPT_SYNTAX');
  expect(await refused({ script: { file: '/not/there' } })).toContain('E_CONFIG_FILE');
  const declares = (what: string): string => `import { counter, every } from "fairlead"; ${what}; export default {};`;
  expect(await refused({ script: { inline: declares('counter("a")') } })).toContain('E_ROUTE_SCRIPT');
  expect(await refused({ script: { inline: declares('every(1, () => {})') } })).toContain('E_ROUTE_SCRIPT');
});

test('a thousand routes with configs of their own cost little (F057)', async () => {
  const resident = async (envoy: Envoy): Promise<number> =>
    Number(/VmRSS:\s+(\d+)/.exec(await readFile(`/proc/${envoy.pid}/status`, 'utf8'))?.[1]);
  const measure = async (routes: JsonObject[], paths: string[]): Promise<number> => {
    const source = 'export default { onRequest(request, { config }) { return new Response(String(config.n)); } };';
    const envoy = await startEnvoy({ filters: [fairlead(source)], routes: [...routes, directRoute('/', 200, '')] });
    try {
      for (const path of paths) await told(envoy, path);
      return await resident(envoy);
    } finally {
      await envoy.stop();
    }
  };
  const count = 1_000;
  const paths = Array.from({ length: count }, (_, i) => `/${i}/`);
  const plain = await measure(paths.map((path) => directRoute(path, 200, '')), paths);
  const own = await measure(paths.map((path, i) => route(path, { config: { n: i } })), paths);
  const each = ((own - plain) * 1024) / count;
  console.log(`a route with a config of its own: ${Math.round(each)} bytes`);
  expect(each).toBeLessThan(6_000);
});
