// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What a real Envoy tells a script of an exchange, against what its access log says of the same one; and what a script
// leaves for others: metadata and filter state.

import { readFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { readRows } from '../sdk-types/rows.ts';
import { fairlead, keepAliveAgent, lua, request, startRefusing, withEnvoy, withUpstream, envoyMinor, type Envoy, type EnvoyOptions } from './harness.ts';

const limits = { cpu_ms: 1000, stream_cpu_ms: 5000 };
const attributes = readRows().filter(({ kind }) => kind === 'HOST_ATTRIBUTE');

/** What a filter told with `console.info(JSON.stringify(…))`, in order. */
async function told(envoy: Envoy): Promise<unknown[]> {
  await envoy.idle();
  return envoy.logs().flatMap(({ message, level }) => {
    const json = /^test: (?:\[[\w-]+\] )?([[{].*)$/.exec(message.replace(/ \(inline:\d+\)$/, ''))?.[1];
    return level === 'info' && json !== undefined ? [JSON.parse(json) as unknown] : [];
  });
}

/** Runs hooks before an upstream that answers 200; gives what they told. */
async function tellOf(hooks: string, options: EnvoyOptions & { config?: object } = {}, path = '/'): Promise<unknown[]> {
  const { config, filters, ...rest } = options;
  const filter = fairlead({ inline: `export default { ${hooks} }`, limits, ...config });
  return await withUpstream({}, async (upstream) => {
    return await withEnvoy({ clusters: { upstream }, ...rest, filters: [...(filters ?? []), filter] }, async (envoy) => {
      await request(envoy, path, { headers: [['referer', 'http://here/'], ['user-agent', 'me']] });
      return await told(envoy);
    });
  });
}

describe('the attributes of an exchange', () => {
  /** By attribute, the operator of the access log that says the same. */
  const operators: Record<string, string> = {
    'request.path': '%REQ(:PATH)%',
    'request.url_path': '%PATH(NQ)%',
    'request.host': '%REQ(:AUTHORITY)%',
    'request.scheme': '%REQ(:SCHEME)%',
    'request.method': '%REQ(:METHOD)%',
    'request.referer': '%REQ(REFERER)%',
    'request.useragent': '%REQ(USER-AGENT)%',
    'request.id': '%REQ(X-REQUEST-ID)%',
    'request.protocol': '%PROTOCOL%',
    'request.size': '%BYTES_RECEIVED%',
    'response.code': '%RESPONSE_CODE%',
    'response.code_details': '%RESPONSE_CODE_DETAILS%',
    'response.size': '%BYTES_SENT%',
    'source.address': '%DOWNSTREAM_REMOTE_ADDRESS%',
    'source.port': '%DOWNSTREAM_REMOTE_PORT%',
    'destination.address': '%DOWNSTREAM_LOCAL_ADDRESS%',
    'destination.port': '%DOWNSTREAM_LOCAL_PORT%',
    'connection.id': '%CONNECTION_ID%',
    'upstream.address': '%UPSTREAM_HOST%',
    'upstream.port': '%UPSTREAM_REMOTE_PORT%',
    'upstream.local_address': '%UPSTREAM_LOCAL_ADDRESS%',
    'upstream.request_attempt_count': '%UPSTREAM_REQUEST_ATTEMPT_COUNT%',
    'upstream.protocol': '%UPSTREAM_PROTOCOL%',
    'xds.cluster_name': '%UPSTREAM_CLUSTER%',
    'xds.route_name': '%ROUTE_NAME%',
  };
  // Operators that Envoy has learnt later.
  const since: Record<string, number> = { '%PATH(NQ)%': 39 };
  const compared = Object.entries(operators).filter(([name, operator]) => {
    const release = Number(attributes.find(({ member }) => member === name)?.release);
    return release <= envoyMinor && (since[operator] ?? 0) <= envoyMinor;
  });

  test('are what the access log says, and undefined where this Envoy does not tell them, without a word in its log (F050)', async () => {
    const accessLog = compared.map(([, operator]) => operator).join('|');
    const hook = 'onLog(ctx) { console.info(JSON.stringify(Object.entries(ctx.attributes))); }';
    await withUpstream({}, async (upstream) => {
      const filters = [fairlead({ inline: `export default { ${hook} }`, limits })];
      await withEnvoy({ clusters: { upstream }, filters, accessLog }, async (envoy) => {
        await request(envoy, '/a/b?c=d', { method: 'POST', body: 'body', headers: [['referer', 'http://here/'], ['user-agent', 'me']] });
        const [line = ''] = await envoy.accessLog(1);
        const [entries = []] = (await told(envoy)) as [string, unknown][][];
        expect(entries.map(([name]) => name)).toEqual(attributes.map(({ member }) => member));
        const values = Object.fromEntries(entries);
        expect(compared.length).toBeGreaterThan(envoyMinor === 38 ? 15 : 20);
        expect(compared.map(([name]) => [name, String(values[name])])).toEqual(compared.map(([name], i) => [name, line.split('|')[i]]));
        expect(values['request.query']).toBe('c=d');
        if (envoyMinor >= 40) expect(values['xds.virtual_host_name']).toBe('all');
        // JSON has null for undefined.
        const known = attributes.filter(({ release }) => Number(release) > envoyMinor);
        expect(known.map(({ member }) => values[member])).toEqual(known.map(() => null));
      });
    });
  });

  test('follow the request as the script changes it, and the exchange as it goes on (F050)', async () => {
    const look = 'const look = (ctx) => ["request.path", "response.code", "upstream.port"].map((name) => typeof ctx.attributes[name]);';
    const all = await tellOf(`
      onRequest(request, ctx) {
        request.path = "/changed?x";
        console.info(JSON.stringify([ctx.attributes["request.path"], ctx.attributes["request.query"], ctx.attributes["response.code"] ?? "none"]));
      },
      onResponse(response, ctx) { ${look} console.info(JSON.stringify(look(ctx))); },
      onLog(ctx) { ${look} console.info(JSON.stringify(look(ctx))); }`);
    expect(all).toEqual([
      ['/changed?x', 'x', 'none'],
      ['string', 'number', 'number'],
      ['string', 'number', 'number'],
    ]);
  });

  test('are read by names that exist, and cannot be changed (F050)', async () => {
    const [codes] = await tellOf(`onRequest(request, ctx) {
      const of = (use) => { try { return String(use(ctx.attributes)); } catch (error) { return error.code ?? error.name; } };
      console.info(JSON.stringify([
        of((all) => all["request.pth"]), of((all) => all.path), of((all) => "request.path" in all), of((all) => all.then),
        of((all) => all), of((all) => { all["request.path"] = "/b"; }), of((all) => { all.more = 1; }),
        of((all) => { delete all["request.path"]; }), of((all) => Object.getOwnPropertyDescriptor(all, "request.method").value),
        of((all) => JSON.parse(JSON.stringify(all))["request.method"]), of((all) => ({ ...all })["request.method"]),
      ]));
    }`);
    expect(codes).toEqual([
      ...['E_ATTRIBUTE', 'E_ATTRIBUTE', 'true', 'undefined', '[object Attributes]', 'TypeError', 'E_ATTRIBUTE', 'TypeError'],
      ...['GET', 'GET', 'GET'],
    ]);
  });
});

test('the client of a connection is the one that connected, and the one that headers tell (F050)', async () => {
  const hook = `onRequest(request, { connection: c }) {
    console.info(JSON.stringify([c.remoteAddress, c.directRemoteAddress ?? null, c.localAddress, c.id > 0, c.mtls, c.tlsVersion ?? null]));
  }`;
  await withUpstream({}, async (upstream) => {
    const connectionManager = { use_remote_address: true, xff_num_trusted_hops: 1 };
    const filters = [fairlead({ inline: `export default { ${hook} }`, limits })];
    await withEnvoy({ clusters: { upstream }, filters, connectionManager }, async (envoy) => {
      await request(envoy, '/', { headers: [['x-forwarded-for', '192.0.2.7']] });
      const direct = envoyMinor < 40 ? null : (expect.stringMatching(/^127\.0\.0\.1:\d+$/) as string);
      expect(await told(envoy)).toEqual([['192.0.2.7:0', direct, `127.0.0.1:${envoy.port}`, true, false, null]]);
    });
  });
});

test('the points in time of an exchange are in order, those that have not come are absent (F050)', async () => {
  const all = await tellOf(
    `onRequest(request, ctx) { console.info(JSON.stringify([Date.now(), ctx.timing ?? null])); },
     onLog(ctx) { console.info(JSON.stringify([Date.now(), ctx.timing ?? null])); }`,
  );
  if (envoyMinor < 40) {
    expect(all.map((entry) => (entry as unknown[])[1])).toEqual([null, null]);
    return;
  }
  const [[nowMs, begin], [, end]] = all as [[number, Record<string, number>], [number, Record<string, number>]];
  expect(Math.abs(nowMs - begin['startUnixMs']!)).toBeLessThan(5_000);
  expect(begin['firstUpstreamByteSentMs']).toBeUndefined();
  const inOrder = ['lastDownstreamHeaderReceivedMs', 'firstUpstreamByteSentMs', 'firstUpstreamByteReceivedMs', 'lastDownstreamByteSentMs', 'requestCompleteMs'];
  const values = inOrder.map((name) => end[name]);
  expect(values.every((value) => value !== undefined && value > 0)).toBe(true);
  expect([...values].sort((a, b) => a! - b!)).toEqual(values);
});

test('an answer that Envoy makes says its status and why, in onResponse and onLog; an answer of the filter does not (F027)', async () => {
  const refusing = await startRefusing();
  const hooks = `
    onRequest(request, ctx) { if (request.path === "/own") return new Response("own", { status: 403 }); },
    onResponse(response, ctx) { console.info(JSON.stringify(["onResponse", ctx.localReply])); },
    onLog(ctx) { console.info(JSON.stringify(["onLog", ctx.localReply])); }`;
  const clusters = { empty: {}, refusing: { port: refusing.port } };
  const routes = [
    { match: { path: '/empty' }, route: { cluster: 'empty' } },
    { match: { path: '/refused' }, route: { cluster: 'refusing' } },
    { match: { path: '/direct' }, direct_response: { status: 418 } },
    { match: { path: '/own' }, direct_response: { status: 200 } },
  ];
  await withEnvoy({ clusters, routes, filters: [fairlead({ inline: `export default { ${hooks} }`, limits })] }, async (envoy) => {
    for (const path of ['/empty', '/refused', '/direct', '/none', '/own']) await request(envoy, path);
    const both = (status: number, details: string | unknown): unknown[] => ['onResponse', 'onLog'].map((hook) => [hook, { status, details }]);
    expect(await told(envoy)).toEqual([
      ...both(503, 'no_healthy_upstream'),
      ...both(503, expect.stringContaining('upstream_reset_before_response_started')),
      ...both(418, 'direct_response'),
      ...both(404, 'route_not_found'),
      ['onLog', null],
    ]);
  });
  await refusing.close();
});

describe('metadata', () => {
  const values = { text: 'x', number: 3.5, flag: false, list: ['a', 2, true], empty: [], object: { a: 1 } };
  const namespaces = { filter_metadata: { ns: values, other: {} } };
  const routes = [{ match: { prefix: '/' }, name: 'r', metadata: namespaces, route: { cluster: 'upstream' } }];

  /** An upstream in a cluster whose parts all have the metadata. */
  async function withMetadata<T>(hooks: string, use: (envoy: Envoy) => Promise<T>): Promise<T> {
    return await withUpstream({}, async ({ port }) => {
      const endpoint = { address: { socket_address: { address: '127.0.0.1', port_value: port } } };
      const endpoints = [{ metadata: namespaces, lb_endpoints: [{ metadata: namespaces, endpoint }] }];
      const settings = { metadata: namespaces, load_assignment: { cluster_name: 'upstream', endpoints } };
      const filters = [fairlead({ inline: `export default { ${hooks} }`, limits })];
      return await withEnvoy({ clusters: { upstream: { port, settings } }, routes, filters, errorsExpected: true }, use);
    });
  }

  const read = `const read = (m) => [["text", "number", "flag", "list", "empty", "object", "absent"].map((key) => m.get("ns", key)),
    m.keys("ns").sort(), m.keys("none"), m.namespaces().sort(), m.get("none", "text")];`;
  const wanted = [
    // Objects cannot be told from what is absent; JSON has null for undefined.
    ['x', 3.5, false, ['a', 2, true], [], null, null],
    ['empty', 'flag', 'list', 'number', 'object', 'text'],
    [],
    // Envoy drops what is empty from some of them.
    expect.arrayContaining(['ns']),
    null,
  ];

  test('of route, cluster, host and locality is read: text, numbers, booleans, lists, names (F047)', async () => {
    const hook = `onResponse(response, { route, cluster }) { ${read}
      for (const m of [route.metadata, cluster.metadata, cluster.hostMetadata, cluster.localityMetadata]) console.info(JSON.stringify(read(m)));
    }`;
    await withMetadata(hook, async (envoy) => {
      await request(envoy);
      expect(await told(envoy)).toEqual([wanted, wanted, wanted, wanted]);
    });
  });

  test('is not there where there is no route or no host yet (F047)', async () => {
    const hook = `onRequest(request, { route, cluster, metadata }) { ${read}
      console.info(JSON.stringify([read(cluster.hostMetadata), read(metadata)]));
    }`;
    await withMetadata(hook, async (envoy) => {
      await request(envoy);
      const nothing = [[null, null, null, null, null, null, null], [], [], [], null];
      expect(await told(envoy)).toEqual([[nothing, nothing]]);
    });
  });

  test('that is read a thousand times leaves no more lines in Envoy\'s log than one read (F047)', async () => {
    const hook = `onRequest(request, { route }) {
      for (let i = 0; i < 1000; i++) for (const key of ["text", "number", "flag", "list", "object"]) route.metadata.get("ns", key);
    }`;
    await withMetadata(hook, async (envoy) => {
      await request(envoy);
      await request(envoy);
      await envoy.idle();
      const keys = envoy.logs().map(({ message }) => /(?:key|in key) (\w+) is not/.exec(message)?.[1]);
      const count = (key: string): number => keys.filter((of) => of === key).length;
      // One for each wrong guess of a type; of the list two of its items are not text, and one of those no number.
      expect(['text', 'number', 'flag', 'list', 'object'].map(count)).toEqual([0, 1, 2, 3, 3]);
    });
  });

  test('that a script writes is seen by filters behind it, by later hooks and by the access log, also when onLog writes it (F048, F090)', async () => {
    const hooks = `
      onRequest(request, { metadata }) {
        metadata.set("test", "text", "é"); metadata.set("test", "number", 1.5); metadata.set("test", "flag", true);
        metadata.set("test", "list", ["a", 1, false]); metadata.set("test", "text", "second");
      },
      onResponse(response, { metadata }) {
        console.info(JSON.stringify(["text", "number", "flag", "list"].map((key) => metadata.get("test", key))));
      },
      onLog({ metadata, localReply }) { metadata.set("test", "late", localReply?.details ?? "upstream"); }`;
    const behind = lua(`function envoy_on_request(h)
      local m = h:streamInfo():dynamicMetadata():get("test")
      h:headers():add("x-seen", m.text .. " " .. m.number .. " " .. tostring(m.flag) .. " " .. m.list[1] .. tostring(m.list[3]))
    end`);
    await withUpstream({}, async (upstream) => {
      const routes = [{ match: { path: '/none' }, direct_response: { status: 404 } }, { match: { prefix: '/' }, route: { cluster: 'upstream' } }];
      const filters = [fairlead({ inline: `export default { ${hooks} }`, limits }), behind];
      const accessLog = '%DYNAMIC_METADATA(test:late)% %DYNAMIC_METADATA(test:text)%';
      await withEnvoy({ clusters: { upstream }, routes, filters, accessLog }, async (envoy) => {
        const seen = JSON.parse((await request(envoy)).text()) as { headers: [string, string][] };
        expect(new Map(seen.headers).get('x-seen')).toBe('second 1.5 true afalse');
        await request(envoy, '/none');
        expect(await envoy.accessLog(2)).toEqual(['upstream second', 'direct_response second']);
        const own = ['second', 1.5, true, ['a', 1, false]];
        expect(await told(envoy)).toEqual([own, own]);
      });
    });
  });

  test('takes objects, null and another list from Envoy 1.40 on, and says before that it does not (F048)', async () => {
    const hook = `onRequest(request, { metadata }) {
      const of = (use) => { try { return use() ?? "done"; } catch (error) { return error.code; } };
      console.info(JSON.stringify([
        of(() => metadata.set("test", "object", { a: { b: [1, null, "x"] }, dropped: undefined })), of(() => metadata.set("test", "none", null)),
        of(() => metadata.set("test", "empty", [])), of(() => metadata.set("test", "nested", [["a"]])),
        of(() => metadata.set("test", "list", ["a"])), of(() => metadata.set("test", "list", ["b", "c"])), metadata.get("test", "list"),
      ]));
    }`;
    await withUpstream({}, async (upstream) => {
      const filters = [fairlead({ inline: `export default { ${hook} }`, limits })];
      await withEnvoy({ clusters: { upstream }, filters, accessLog: '%DYNAMIC_METADATA(test)%' }, async (envoy) => {
        await request(envoy);
        const [line = ''] = await envoy.accessLog(1);
        const refused = 'E_METADATA_VALUE';
        if (envoyMinor < 40) {
          expect(await told(envoy)).toEqual([[refused, refused, refused, refused, 'done', refused, ['a']]]);
          expect(JSON.parse(line)).toEqual({ list: ['a'] });
          return;
        }
        expect(await told(envoy)).toEqual([['done', 'done', 'done', 'done', 'done', 'done', ['b', 'c']]]);
        expect(JSON.parse(line)).toEqual({ object: { a: { b: [1, null, 'x'] } }, none: null, empty: [], nested: [['a']], list: ['b', 'c'] });
      });
    });
  });

  test('is written under the name of the filter and what its config allows, and nowhere else (F048, F083)', async () => {
    const hook = `onRequest(request, { metadata }) {
      const of = (ns) => { try { metadata.set(ns, "a", 1); return metadata.get(ns, "a"); } catch (error) { return error.code; } };
      console.info(JSON.stringify(["test", "mine", "yours", "envoy.lb", "", "Test"].map(of)));
    }`;
    const codes = ['E_METADATA_NAMESPACE', 'E_METADATA_NAMESPACE', 'E_METADATA_NAMESPACE', 'E_METADATA_NAMESPACE'];
    expect(await tellOf(hook, { config: { metadata: ['mine'] } })).toEqual([[1, 1, ...codes]]);
  });
});

describe('filter state', () => {
  test('that a script leaves is read by filters behind it, and by itself as text and as bytes (F049)', async () => {
    const hook = `onRequest(request, { filterState }) {
      const of = (use) => { try { return use() ?? null; } catch (error) { return error.code; } };
      filterState.set("key", "é");
      console.info(JSON.stringify([
        filterState.get("absent") ?? null, filterState.get("key"), [...filterState.getBytes("key")],
        of(() => filterState.set("key", "second")), filterState.get("key"),
        of(() => filterState.set("bytes", new Uint8Array([0, 255]))), [...filterState.getBytes("bytes")],
      ]));
    }`;
    const behind = lua('function envoy_on_request(h) h:headers():add("x-seen", h:streamInfo():filterState():get("key")) end');
    await withUpstream({}, async (upstream) => {
      const filters = [fairlead({ inline: `export default { ${hook} }`, limits }), behind];
      await withEnvoy({ clusters: { upstream }, filters }, async (envoy) => {
        const seen = JSON.parse((await request(envoy)).text()) as { headers: [string, string][] };
        // Envoy 1.38 would keep the first value, and say nothing.
        const [outcome, kept] = envoyMinor < 39 ? ['E_FILTER_STATE', 'é'] : [null, 'second'];
        expect(await told(envoy)).toEqual([[null, 'é', [0xc3, 0xa9], outcome, kept, null, [0, 255]]]);
        expect(Buffer.from(new Map(seen.headers).get('x-seen') ?? '', 'latin1').toString()).toBe(kept);
      });
    });
  });

  test('of a type that Envoy knows changes what Envoy does: here the address of the upstream (F049)', async () => {
    const key = 'envoy.network.transport_socket.original_dst_address';
    const hook = `onRequest(request, { filterState }) {
      const of = (use) => { try { return use() ?? "done"; } catch (error) { return error.code; } };
      console.info(JSON.stringify([
        of(() => filterState.setTyped("no.such.type", "x")), of(() => filterState.setTyped("${key}", "no address")),
        of(() => filterState.setTyped("${key}", request.headers.get("x-to"))), filterState.get("${key}"),
      ]));
    }`;
    await withUpstream({ handler: (exchange) => exchange.respond(200, [], 'here') }, async (upstream) => {
      const settings = { type: 'ORIGINAL_DST', lb_policy: 'CLUSTER_PROVIDED', load_assignment: null };
      const filters = [fairlead({ inline: `export default { ${hook} }`, limits })];
      await withEnvoy({ clusters: { upstream: { settings } }, filters }, async (envoy) => {
        const to = `127.0.0.1:${upstream.port}`;
        expect((await request(envoy, '/', { headers: [['x-to', to]] })).text()).toBe('here');
        expect(await told(envoy)).toEqual([['E_FILTER_STATE', 'E_FILTER_STATE', 'done', to]]);
      });
    });
  });
});

test('of metadata and filter state together a stream writes 64 times, and the next write throws (F072)', async () => {
  const hook = `onRequest(request, { metadata, filterState }) {
    let done = 0;
    try {
      for (; done < 40; done++) metadata.set("test", "a" + done, done);
      for (; done < 100; done++) filterState.set("b" + done, "x");
    } catch (error) { console.info(JSON.stringify([done, error.code])); }
  }`;
  expect(await tellOf(hook)).toEqual([[64, 'E_METADATA_LIMIT']]);
});

describe('options of sockets', () => {
  const [sockets, keepAlive, tcp, keepIdle] = [1, 9, 6, 4];

  /** How long, in seconds, the kernel still waits until it probes a connection of Envoy's; null where it does not. */
  async function keepAliveLeft(envoy: Envoy, end: 'local' | 'remote', port: number): Promise<(number | null)[]> {
    const table = await readFile(`/proc/${envoy.pid}/net/tcp`, 'utf8');
    const wanted = port.toString(16).toUpperCase().padStart(4, '0');
    const established = '01';
    const probes = '02';
    return table.split('\n').flatMap((line) => {
      const [, local = '', remote = '', state, , timer = ''] = line.trim().split(/\s+/);
      const [kind, jiffies = ''] = timer.split(':');
      if (state !== established || !(end === 'local' ? local : remote).endsWith(`:${wanted}`)) return [];
      return [kind === probes ? parseInt(jiffies, 16) / 100 : null];
    });
  }

  test('are those of the connection that the request is sent by, which others do not share, and of the client\'s (F050)', async () => {
    const hooks = `onRequest(request, ctx) {
      const seconds = Number(request.headers.get("x-idle"));
      if (seconds === 0) return;
      for (const end of ["upstream", "downstream"]) {
        ctx.setSocketOption(end, ${tcp}, ${keepIdle}, seconds + 500);
        ctx.setSocketOption(end, ${tcp}, ${keepIdle}, seconds);
        ctx.setSocketOption(end, ${sockets}, ${keepAlive}, new Uint8Array([1, 0, 0, 0]));
      }
    }`;
    await withUpstream({}, async (upstream) => {
      const filters = [fairlead({ inline: `export default { ${hooks} }`, limits })];
      await withEnvoy({ clusters: { upstream }, filters, concurrency: 1 }, async (envoy) => {
        const ask = (seconds: number): Promise<unknown> => request(envoy, '/', { headers: [['x-idle', String(seconds)]] });
        await ask(0);
        expect(await keepAliveLeft(envoy, 'remote', upstream.port)).toEqual([null]);
        await ask(1000);
        await ask(1000);
        await ask(2000);
        const left = (await keepAliveLeft(envoy, 'remote', upstream.port)).sort((a, b) => (a ?? 0) - (b ?? 0));
        expect(left).toEqual([null, expect.closeTo(1000, -2), expect.closeTo(2000, -2)]);
        const agent = keepAliveAgent();
        await request(envoy, '/', { headers: [['x-idle', '3000']], agent });
        expect(await keepAliveLeft(envoy, 'local', envoy.port)).toEqual([expect.closeTo(3000, -2)]);
        agent.destroy();
      });
    });
  });
});
