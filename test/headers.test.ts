// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Headers, pseudo-headers and replies of a script, seen from both ends of a real Envoy.

import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  directRoute,
  fairlead,
  grpcUnary,
  lua,
  RawSocket,
  request,
  request2,
  startUpstream,
  waitFor,
  withEnvoy,
  withUpstream,
  type Answer,
  type Echo,
  type Envoy,
  type HeaderPair,
  type Upstream,
} from './harness.ts';

let upstream: Upstream;
let upstream2: Upstream;
beforeAll(async () => {
  upstream = await startUpstream();
  upstream2 = await startUpstream({ http2: true });
});
afterAll(async () => {
  await upstream.close();
  await upstream2.close();
});

/** Runs a filter in front of the echo upstream. */
async function withFilter<T>(source: string, use: (envoy: Envoy) => Promise<T>): Promise<T> {
  const filters = [fairlead({ inline: source })];
  return await withEnvoy({ filters, clusters: { upstream } }, use);
}

/** What `body` of an `onRequest` that sees `request`, `ctx` and `attempt` evaluates to. */
async function evaluate<T>(body: string, headers: HeaderPair[] = [], path = '/'): Promise<T> {
  const source = `
    const attempt = (action) => {
      try { return { value: action() }; } catch (error) { return { name: error.name, code: error.code }; }
    };
    export default { async onRequest(request, ctx) { return Response.json(await (async () => { ${body} })()); } };`;
  return await withFilter(source, async (envoy) => (await request(envoy, path, { headers })).json<T>());
}

function headersOf(answer: Answer, prefix: string): HeaderPair[] {
  return answer.json<Echo>().headers.filter(([name]) => name.startsWith(prefix));
}

describe('header hooks', () => {
  const source = `export default {
    onRequest(request) { request.headers.set("x-from-request", "a"); },
    onResponse(response) { response.headers.set("x-from-response", "b"); },
  };`;
  const bodies = [
    ['without a body', undefined],
    ['with a body', '12345'],
  ] as const;

  test.each(bodies)('change both directions over HTTP/1.1 %s (F001)', async (_, body) => {
    await withFilter(source, async (envoy) => {
      const answer = await request(envoy, '/', body === undefined ? {} : { body });
      expect(headersOf(answer, 'x-from-')).toEqual([['x-from-request', 'a']]);
      expect(answer.json<Echo>().bodyLength).toBe(body?.length ?? 0);
      expect(answer.headers.get('x-from-response')).toBe('b');
    });
  });

  test.each(bodies)('change both directions over HTTP/2 %s (F001)', async (_, body) => {
    const filters = [fairlead({ inline: source })];
    await withEnvoy({ filters, clusters: { upstream: upstream2 } }, async (envoy) => {
      const answer = await request2(envoy, '/', body === undefined ? {} : { body });
      expect(headersOf(answer, 'x-from-')).toEqual([['x-from-request', 'a']]);
      expect(answer.json<Echo>().bodyLength).toBe(body?.length ?? 0);
      expect(answer.headers.get('x-from-response')).toBe('b');
    });
  });

  test('that are absent leave their direction alone', async () => {
    await withFilter(`export default { onResponse() {} };`, async (envoy) => {
      expect((await request(envoy, '/', { headers: [['x-a', '']] })).json<Echo>().headers).toContainEqual(['x-a', '']);
    });
    await withFilter(`export default { onRequest() {} };`, async (envoy) => {
      expect((await request(envoy)).status).toBe(200);
    });
    await withFilter(`export default {};`, async (envoy) => {
      expect((await request(envoy)).status).toBe(200);
    });
  });

  test('run in the order of the chain on requests and against it on responses', async () => {
    const marking = (name: string): string => `export default {
      onRequest(request) { request.headers.append("x-way", "${name}"); },
      onResponse(response) { response.headers.append("x-way", "${name}"); },
    };`;
    const filters = [
      fairlead({ inline: marking('first') }, 'first'),
      fairlead({ inline: marking('second') }, 'second'),
    ];
    await withEnvoy({ filters, clusters: { upstream } }, async (envoy) => {
      const answer = await request(envoy);
      expect(headersOf(answer, 'x-way')).toEqual([
        ['x-way', 'first'],
        ['x-way', 'second'],
      ]);
      expect(answer.headers.all('x-way')).toEqual(['second', 'first']);
    });
  });
});

describe('reading headers', () => {
  test('joins repeated names, ignores letter case, and keeps absent and empty apart (F002, R22)', async () => {
    const seen = await evaluate<unknown>(
      `const { headers } = request;
       return {
         joined: headers.get("X-Multi"), upper: headers.get("X-UPPER"), empty: headers.get("x-empty"),
         absent: headers.get("x-absent"),
         has: [headers.has("X-EMPTY"), headers.has("x-absent")],
       };`,
      [
        ['x-multi', '1'],
        ['X-Upper', 'u'],
        ['x-multi', '2, 3'],
        ['x-empty', ''],
        ['x-multi', '4'],
      ],
    );
    expect(seen).toEqual({ joined: '1, 2, 3, 4', upper: 'u', empty: '', absent: null, has: [true, false] });
  });

  test('keeps cookies of a response apart (F002)', async () => {
    const source = `export default {
      onResponse(response) {
        response.headers.set("x-cookies", JSON.stringify(response.headers.getSetCookie()));
        response.headers.set("x-joined", response.headers.get("set-cookie"));
        response.headers.set("x-entries",
          JSON.stringify([...response.headers].filter(([name]) => name === "set-cookie")));
      },
    };`;
    const cookies: HeaderPair[] = [
      ['set-cookie', 'a=1'],
      ['set-cookie', 'b=2; Path=/'],
    ];
    await withUpstream({ handler: (exchange) => exchange.respond(200, cookies) }, async (baker) => {
      await withEnvoy({ filters: [fairlead({ inline: source })], clusters: { upstream: baker } }, async (envoy) => {
        const { headers } = await request(envoy);
        expect(headers.get('x-cookies')).toBe('["a=1","b=2; Path=/"]');
        expect(headers.get('x-joined')).toBe('a=1, b=2; Path=/');
        expect(headers.get('x-entries')).toBe('[["set-cookie","a=1"],["set-cookie","b=2; Path=/"]]');
        expect(headers.all('set-cookie')).toEqual(['a=1', 'b=2; Path=/']);
      });
    });
  });

  test('iterates sorted lower-case names with joined values and no pseudo-headers (F002, F004, W06)', async () => {
    const seen = await evaluate<Record<string, unknown>>(
      `const { headers } = request;
       const each = [];
       const self = {};
       headers.forEach(function (value, name, all) { each.push([name, value, all === headers, this === self]); }, self);
       return {
         spread: [...headers], keys: [...headers.keys()], values: [...headers.values()],
         entries: [...headers.entries()], each,
         tag: Object.prototype.toString.call(headers.entries()),
       };`,
      [
        ['x-b', '2'],
        ['X-A', '1'],
        ['x-b', '3'],
      ],
    );
    const spread = seen['spread'] as [string, string][];
    const names = spread.map(([name]) => name);
    expect(spread).toContainEqual(['x-a', '1']);
    expect(spread).toContainEqual(['x-b', '2, 3']);
    expect(names).toEqual([...names].sort());
    expect(names.filter((name) => name.includes(':') || name !== name.toLowerCase())).toEqual([]);
    expect(seen['keys']).toEqual(names);
    expect(seen['values']).toEqual(spread.map(([, value]) => value));
    expect(seen['entries']).toEqual(spread);
    expect(seen['each']).toEqual(spread.map(([name, value]) => [name, value, true, true]));
    expect(seen['tag']).toBe('[object Headers Iterator]');
  });

  test('sees a hundred headers, long names and long values (F002, H302)', async () => {
    const many: HeaderPair[] = Array.from({ length: 90 }, (_, i) => [`x-n${String(i).padStart(3, '0')}`, `v${i}`]);
    const longName = `x-${'n'.repeat(198)}`;
    const seen = await evaluate<Record<string, unknown>>(
      `const { headers } = request;
       return { numbered: [...headers].filter(([name]) => name.startsWith("x-n0")).length,
                long: headers.get("${longName}").length, commas: headers.get("x-commas"), tab: headers.get("x-tab") };`,
      [...many, [longName, 'v'.repeat(40_000)], ['x-commas', 'a,, b ,'], ['x-tab', 'a\tb']],
    );
    expect(seen).toEqual({ numbered: 90, long: 40_000, commas: 'a,, b ,', tab: 'a\tb' });
  });

  test('works on the request from response hooks and onLog (F002)', async () => {
    const source = `export default {
      onResponse(response, ctx) { response.headers.set("x-saw", ctx.request.headers.get("x-mine")); },
      onLog(ctx) { console.warn("log", ctx.request.headers.get("x-mine"), ctx.response.status, ctx.request.path); },
    };`;
    await withFilter(source, async (envoy) => {
      const answer = await request(envoy, '/p?q', { headers: [['x-mine', 'hello']] });
      expect(answer.headers.get('x-saw')).toBe('hello');
      const entry = await envoy.waitForLog(({ message }) => message.includes('log hello'));
      expect(entry.message).toContain('log hello 200 /p?q');
    });
  });

  test('works in onResponse when an earlier filter answered and onRequest never ran (F002, R21)', async () => {
    const earlier = lua(`function envoy_on_request(h) h:respond({[":status"]="418"}, "tea") end`);
    const source = `export default {
      onRequest(request, ctx) { ctx.state.ran = true; },
      onResponse(response, ctx) {
        response.headers.set("x-seen", [ctx.request.headers.get("x-mine"), ctx.request.method, ctx.request.path,
          response.status, String(ctx.state.ran)].join(" "));
      },
    };`;
    const filters = [earlier, fairlead({ inline: source })];
    await withEnvoy({ filters, clusters: { upstream } }, async (envoy) => {
      const answer = await request(envoy, '/x', { headers: [['x-mine', 'm']] });
      expect(answer).toMatchObject({ status: 418 });
      expect(answer.headers.get('x-seen')).toBe('m GET /x 418 undefined');
    });
  });

  test("gives live objects of the Web's classes (W06, W07, W08)", async () => {
    const source = `export default {
      onRequest(request, ctx) {
        const same = request.headers === request.headers && ctx.request === request;
        request.headers.set("x-classes", [request instanceof Request, request.headers instanceof Headers, same].join());
      },
      onResponse(response, ctx) {
        const same = response.headers === response.headers && ctx.response === response;
        response.headers.set("x-classes", [response instanceof Response, response.headers instanceof Headers, same].join());
      },
    };`;
    await withFilter(source, async (envoy) => {
      const answer = await request(envoy);
      expect(headersOf(answer, 'x-classes')).toEqual([['x-classes', 'true,true,true']]);
      expect(answer.headers.get('x-classes')).toBe('true,true,true');
    });
  });
});

describe('writing headers', () => {
  test('set leaves one line, append adds one, delete is silent when there is none (F003)', async () => {
    const source = `
      const edit = (headers) => {
        headers.set("x-set", "only");
        headers.append("x-more", "last");
        headers.delete("x-gone");
        headers.delete("x-never-there");
        headers.set("x-new", "new");
        headers.append("set-cookie", "a=1");
        headers.append("set-cookie", "b=2");
      };
      export default { onRequest(request) { edit(request.headers); }, onResponse(response) { edit(response.headers); } };`;
    const before: HeaderPair[] = [
      ['x-set', '1'],
      ['x-set', '2'],
      ['x-set', '3'],
      ['x-more', '1'],
      ['x-more', '2'],
      ['x-gone', '1'],
      ['x-gone', '2'],
    ];
    const after = [
      ['set-cookie', 'a=1'],
      ['set-cookie', 'b=2'],
      ['x-more', '1'],
      ['x-more', '2'],
      ['x-more', 'last'],
      ['x-new', 'new'],
      ['x-set', 'only'],
    ];
    const relevant = (pairs: readonly HeaderPair[]): HeaderPair[] =>
      pairs
        .filter(([name]) => /^(set-cookie|x-(set|more|gone|new))$/.test(name))
        .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    await withUpstream({ handler: (exchange) => exchange.respond(200, before) }, async (talker) => {
      await withEnvoy({ filters: [fairlead({ inline: source })], clusters: { upstream: talker } }, async (envoy) => {
        const answer = await request(envoy, '/', { headers: before });
        expect(relevant(answer.headers.pairs)).toEqual(after);
        expect(relevant(talker.requests[0]?.headers.pairs ?? [])).toEqual(after);
      });
    });
  });

  test('is seen at once by later reads and by an iteration that has begun (W06)', async () => {
    const seen = await evaluate<unknown>(
      `const { headers } = request;
       headers.set("x-a", "1");
       const first = headers.get("x-a");
       headers.append("X-A", "2");
       const second = headers.get("x-a");
       headers.delete("x-A");
       const names = [];
       for (const [name] of headers) {
         names.push(name);
         if (name === "x-keep") headers.set("x-later", "1");
       }
       return { first, second, third: headers.get("x-a"), later: names.includes("x-later") };`,
      [['x-keep', '1']],
    );
    expect(seen).toEqual({ first: '1', second: '1, 2', third: null, later: true });
  });

  test('converts and trims values as the standard says (W06)', async () => {
    const seen = await evaluate<unknown>(
      `const { headers } = request;
       headers.set("x-number", 1.5); headers.set("x-trim", " \\t a b \\t\\r\\n");
       headers.set("x-null", null); headers.set("x-object", { toString: () => "made" });
       return ["x-number", "x-trim", "x-null", "x-object"].map((name) => headers.get(name));`,
    );
    expect(seen).toEqual(['1.5', 'a b', 'null', 'made']);
  });

  test('refuses empty values with a code, because Envoy cannot hold them (R22)', async () => {
    const seen = await evaluate<unknown>(
      `const { headers } = request;
       return {
         set: attempt(() => headers.set("x-e", "")), append: attempt(() => headers.append("x-e", "  ")),
         kept: headers.get("x-e"), own: attempt(() => { const own = new Headers(); own.set("x-e", ""); return own.get("x-e"); }),
       };`,
      [['x-e', 'old']],
    );
    const refused = { name: 'TypeError', code: 'E_EMPTY_VALUE' };
    expect(seen).toEqual({ set: refused, append: refused, kept: 'old', own: { value: '' } });
  });

  test('refuses what belongs to the framing of a message (H306)', async () => {
    const framing = ['content-length', 'transfer-encoding', 'connection', 'keep-alive', 'te', 'upgrade'];
    const source = `
      const names = ${JSON.stringify(framing)};
      const codes = (headers) => names.flatMap((name) => ["set", "append", "delete"].map((way) => {
        try { headers[way](name.toUpperCase(), "1"); return "written"; } catch (error) { return error.name + " " + error.code; }
      }));
      export default {
        onRequest(request) { request.headers.set("x-codes", [...new Set(codes(request.headers))].join()); },
        onResponse(response) { response.headers.set("x-codes", [...new Set(codes(response.headers))].join()); },
      };`;
    await withFilter(source, async (envoy) => {
      const answer = await request(envoy, '/', { body: '12345' });
      expect(headersOf(answer, 'x-codes')).toEqual([['x-codes', 'TypeError E_FRAMING_HEADER']]);
      expect(answer.headers.get('x-codes')).toBe('TypeError E_FRAMING_HEADER');
      expect(answer.json<Echo>().bodyLength).toBe(5);
    });
  });

  test('reads and writes the authority under the name host', async () => {
    const source = `export default {
      onRequest(request) {
        const before = request.headers.get("Host");
        request.headers.set("host", "other.example");
        request.headers.set("x-hosts", [before, request.host, request.headers.get("host")].join());
      },
    };`;
    await withFilter(source, async (envoy) => {
      const answer = await request(envoy, '/', { headers: [['host', 'first.example']] });
      expect(headersOf(answer, 'x-hosts')).toEqual([['x-hosts', 'first.example,other.example,other.example']]);
      expect(headersOf(answer, 'host')).toEqual([['host', 'other.example']]);
    });
  });

  test('after the headers have left throws a code and names the phase (F007)', async () => {
    const source = `
      const attempt = (action) => { try { action(); return "written"; } catch (error) { return error.code + ": " + error.message; } };
      export default {
        onResponse(response, ctx) {
          const { headers } = ctx.request;
          response.headers.set("x-late", attempt(() => headers.set("x-a", "b")));
          response.headers.set("x-late-path", attempt(() => { ctx.request.path = "/other"; }));
        },
        onLog(ctx) { console.warn("in onLog", attempt(() => ctx.response.headers.set("x-a", "b"))); },
      };`;
    await withFilter(source, async (envoy) => {
      const { headers } = await request(envoy);
      expect(headers.get('x-late')).toMatch(/^E_HEADERS_SENT: .*request.*onRequest/);
      expect(headers.get('x-late-path')).toMatch(/^E_HEADERS_SENT: /);
      const entry = await envoy.waitForLog(({ message }) => message.includes('in onLog'));
      expect(entry.message).toMatch(/in onLog E_STREAM_ENDED: /);
    });
  });

  test('stops at the cap of writes per stream (F072)', async () => {
    const seen = await evaluate<unknown>(
      `let written = 0;
       const last = attempt(() => { for (;;) { request.headers.set("x-n", String(written)); written++; } });
       return { written, last };`,
    );
    expect(seen).toEqual({ written: 256, last: { name: 'RangeError', code: 'E_HEADER_LIMIT' } });
  });
});

describe('pseudo-headers', () => {
  test('are properties that can be read and set (F004)', async () => {
    const source = `export default {
      onRequest(request) {
        const { method, path, host, scheme, url } = request;
        request.headers.set("x-before", [method, path, host, scheme, url].join(" "));
        request.method = "PUT"; request.path = "/new?x=%20&y=z"; request.host = "new.example:81"; request.scheme = "https";
        request.headers.set("x-after", [request.method, request.path, request.host, request.scheme, request.url].join(" "));
      },
      onResponse(response) {
        response.headers.set("x-before", String(response.status));
        response.status = 299;
        response.headers.set("x-after", response.status + " " + response.ok);
      },
    };`;
    const filters = [fairlead({ inline: source })];
    await withEnvoy({ filters, clusters: { upstream: upstream2 } }, async (envoy) => {
      const answer = await request(envoy, '/old?a=1', { method: 'DELETE', headers: [['host', 'old.example']] });
      const seen = answer.json<Echo>();
      const all = Object.fromEntries(seen.headers);
      expect(all['x-before']).toBe('DELETE /old?a=1 old.example http http://old.example/old?a=1');
      expect(all['x-after']).toBe('PUT /new?x=%20&y=z new.example:81 https https://new.example:81/new?x=%20&y=z');
      expect(all).toMatchObject({
        ':method': 'PUT',
        ':path': '/new?x=%20&y=z',
        ':authority': 'new.example:81',
        ':scheme': 'https',
      });
      expect(answer.headers.get('x-before')).toBe('200');
      expect(answer.headers.get('x-after')).toBe('299 true');
      expect(answer.status).toBe(299);
    });
  });

  test('are not names that Headers accepts (W06)', async () => {
    const seen = await evaluate<{ name: string }[]>(
      `return [":path", ":status", ":x"].flatMap((name) => [
         attempt(() => request.headers.get(name)), attempt(() => request.headers.has(name)),
         attempt(() => request.headers.set(name, "x")), attempt(() => request.headers.delete(name))]);`,
    );
    expect(seen).toEqual(seen.map(() => ({ name: 'TypeError', code: 'E_HEADER_NAME' })));
    expect(seen).toHaveLength(12);
  });

  test('refuse a status that no response can have (F004)', async () => {
    const source = `export default {
      onResponse(response) {
        const codes = [99, 199, 600, 1000, -1, NaN, 200.5, "abc"].map((status) => {
          try { response.status = status; return "set " + status; } catch (error) { return error.name + " " + error.code; }
        });
        response.headers.set("x-codes", [...new Set(codes)].join());
      },
    };`;
    await withFilter(source, async (envoy) => {
      const answer = await request(envoy);
      expect(answer.headers.get('x-codes')).toBe('RangeError E_STATUS');
      expect(answer.status).toBe(200);
    });
  });

  test('leave an untouched path as it came, byte for byte (H303)', async () => {
    const path = '/%00/..%2F/%zz?a=%20+&b=%C3%A9&&c';
    const source = `export default { onRequest(request) { request.headers.set("x-path", request.path); } };`;
    const normalize = { connectionManager: { normalize_path: false } };
    const options = { filters: [fairlead({ inline: source })], clusters: { upstream }, ...normalize };
    await withEnvoy(options, async (envoy) => {
      const socket = await RawSocket.connect(envoy);
      socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`);
      await socket.until('bodySha256');
      socket.reset();
      const received = await upstream.arrived(({ path: seen }) => seen.includes('%zz'));
      expect(received.path).toBe(path);
      expect(received.headers.get('x-path')).toBe(path);
    });
  });

  test('give CONNECT no path and an absolute URL (F004, H301, R21)', async () => {
    const source = `export default {
      onRequest(request) {
        return Response.json({ method: request.method, path: request.path, host: request.host, url: request.url,
          scheme: typeof request.scheme, names: [...request.headers.keys()].filter((name) => name.includes(":")) }, { status: 403 });
      },
    };`;
    const options = {
      filters: [fairlead({ inline: source })],
      clusters: { upstream },
      routes: [
        {
          match: { connect_matcher: {} },
          route: { cluster: 'upstream', upgrade_configs: [{ upgrade_type: 'CONNECT', connect_config: {} }] },
        },
        directRoute('/', 200, 'plain'),
      ],
      connectionManager: { upgrade_configs: [{ upgrade_type: 'CONNECT' }] },
    };
    await withEnvoy(options, async (envoy) => {
      const socket = await RawSocket.connect(envoy);
      socket.write('CONNECT tunnel.example:443 HTTP/1.1\r\nhost: tunnel.example:443\r\n\r\n');
      const text = await socket.until('}');
      expect(text).toMatch(/^HTTP\/1\.1 403 /);
      const seen = JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)) as unknown;
      expect(seen).toMatchObject({
        method: 'CONNECT',
        path: null,
        host: 'tunnel.example:443',
        url: 'http://tunnel.example:443/',
        names: [],
      });
      socket.reset();
    });
  });

  test('answer for odd request lines too (H301)', async () => {
    const source = `export default {
      onRequest(request) {
        const { method, path, host, url } = request;
        return Response.json({ method, path, host, url });
      },
    };`;
    const connectionManager = {
      http_protocol_options: { accept_http_10: true, default_host_for_http_10: 'ten.example' },
    };
    const options = { filters: [fairlead({ inline: source })], connectionManager };
    await withEnvoy(options, async (envoy) => {
      const ask = async (head: string): Promise<unknown> => {
        const socket = await RawSocket.connect(envoy);
        socket.write(`${head}\r\n\r\n`);
        const text = await socket.until('}');
        socket.reset();
        return JSON.parse(text.slice(text.indexOf('{')));
      };
      const long = `/${'p'.repeat(50_000)}`;
      expect(await ask('GET http://abs.example/p?q HTTP/1.1\r\nhost: a')).toMatchObject({
        path: '/p?q',
        host: 'abs.example',
        url: 'http://abs.example/p?q',
      });
      expect(await ask('GET /ten HTTP/1.0')).toMatchObject({ path: '/ten', host: 'ten.example' });
      expect(await ask(`GET ${long} HTTP/1.1\r\nhost: a`)).toMatchObject({ path: long });
    });
  });
});

describe('bytes', () => {
  test('from 0x80 to 0xFF pass and round-trip as one code unit each (F006)', async () => {
    const high = Array.from({ length: 128 }, (_, i) => String.fromCharCode(0x80 + i)).join('');
    const source = `export default {
      onRequest(request) {
        const value = request.headers.get("x-high");
        request.headers.set("x-copy", value);
        request.headers.set("x-info", value.length + " " + value.charCodeAt(0) + " " + value.charCodeAt(127));
      },
      onResponse(response, ctx) { response.headers.set("x-copy", ctx.request.headers.get("x-copy")); },
    };`;
    await withFilter(source, async (envoy) => {
      const answer = await request(envoy, '/', { headers: [['x-high', high]] });
      const seen = Object.fromEntries(answer.json<Echo>().headers);
      expect(seen).toMatchObject({ 'x-high': high, 'x-copy': high, 'x-info': '128 128 255' });
      expect(answer.headers.get('x-copy')).toBe(high);
    });
  });

  test('above 0xFF are a TypeError that changes nothing (F006)', async () => {
    const seen = await evaluate<Record<string, { name?: string }>>(
      `const { headers } = request;
       return { value: attempt(() => headers.set("x-e", "\\u20ac")), name: attempt(() => headers.set("\\u0100", "a")),
                kept: attempt(() => headers.get("x-e")) };`,
      [['x-e', 'old']],
    );
    expect(seen).toMatchObject({ value: { name: 'TypeError' }, name: { name: 'TypeError' }, kept: { value: 'old' } });
  });

  const tokenBytes = /[!#$%&'*+\-.^_`|~0-9A-Za-z]/;

  test('that split messages are refused in names and values of live and own headers (F007, R23)', async () => {
    const seen = await evaluate<Record<string, string>>(
      `const live = request.headers, own = new Headers();
       const result = {};
       const tryAll = (kind, action) => {
         result[kind] = "";
         for (let byte = 0; byte < 256; byte++) {
           const { name, code } = attempt(() => action(String.fromCharCode(byte)));
           result[kind] += name === undefined ? "+" : name === "TypeError" && /^E_HEADER_/.test(code) ? "-" : "?";
         }
       };
       tryAll("liveName", (c) => { live.set("n" + c + "n", "v"); live.delete("n" + c + "n"); });
       tryAll("ownName", (c) => own.append("n" + c + "n", "v"));
       tryAll("initName", (c) => new Headers({ ["n" + c + "n"]: "v" }));
       tryAll("ownValue", (c) => own.set("x-v", "v" + c + "v"));
       tryAll("responseValue", (c) => new Response("", { headers: [["x-v", "v" + c + "v"]] }));
       tryAll("responseName", (c) => new Response("", { headers: { ["n" + c + "n"]: "v" } }));
       return result;`,
    );
    // The live map's budget of writes is smaller than the byte range: values get a stream of their own.
    const live = await evaluate<Record<string, string>>(
      `let result = "";
       for (let byte = 0; byte < 256; byte++) {
         const { name, code } = attempt(() => request.headers.set("x-v", "v" + String.fromCharCode(byte) + "v"));
         result += name === undefined ? "+" : name === "TypeError" && code === "E_HEADER_VALUE" ? "-" : "?";
       }
       return { liveValue: result };`,
    );
    const bytes = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i));
    const names = bytes.map((byte) => (tokenBytes.test(byte) ? '+' : '-')).join('');
    const values = bytes.map((byte) => ('\0\r\n'.includes(byte) ? '-' : '+')).join('');
    expect(seen).toEqual({
      liveName: names,
      ownName: names,
      initName: names,
      responseName: names,
      ownValue: values,
      responseValue: values,
    });
    expect(live).toEqual({ liveValue: values });
  });

  test('that split messages never reach the client or the upstream (F007, R23)', async () => {
    const source = `
      const bad = ["a\\r\\nx-smuggled: 1", "a\\nx-smuggled: 1", "a\\0b", "a\\r\\n\\r\\nGET /smuggled HTTP/1.1"];
      const silently = (action) => { try { action(); } catch {} };
      export default {
        onRequest(request) {
          for (const text of bad) {
            silently(() => request.headers.set("x-a", text));
            silently(() => request.headers.append(text, "a"));
            silently(() => { request.path = "/" + text; });
            silently(() => { request.method = text; });
            silently(() => { request.host = text; });
            silently(() => { request.scheme = text; });
          }
        },
        onResponse(response) {
          for (const text of bad) {
            silently(() => response.headers.set("x-a", text));
            silently(() => response.headers.append(text, "a"));
            silently(() => response.headers.append("set-cookie", text));
          }
        },
      };`;
    await withFilter(source, async (envoy) => {
      const socket = await RawSocket.connect(envoy);
      socket.write('GET /clean HTTP/1.1\r\nhost: a\r\n\r\n');
      const text = await socket.until('bodySha256');
      expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(text).not.toContain('smuggled');
      socket.reset();
      const received = upstream.requests.at(-1);
      expect(received).toMatchObject({ method: 'GET', path: '/clean' });
      expect(received?.headers.pairs.flat().join(' ')).not.toContain('smuggled');
    });
  });

  test('that are no part of a method or a target are refused there (F007, R23)', async () => {
    const seen = await evaluate<Record<string, string>>(
      `const result = {};
       const tryAll = (kind, action) => {
         result[kind] = "";
         for (let byte = 0; byte < 256; byte++) {
           const { name, code } = attempt(() => action(String.fromCharCode(byte)));
           result[kind] += name === undefined ? "+" : name === "TypeError" ? "-" : "? " + name + code;
         }
       };
       tryAll("ownMethod", (c) => new Request("http://a/", { method: "M" + c }));
       return result;`,
    );
    const bytes = Array.from({ length: 256 }, (_, i) => String.fromCharCode(i));
    expect(seen['ownMethod']).toBe(bytes.map((byte) => (tokenBytes.test(byte) ? '+' : '-')).join(''));
    const live = await evaluate<Record<string, { name?: string; value?: string }[]>>(
      `const set = (key, text) => attempt(() => { request[key] = text; return request[key]; });
       const controls = Array.from({ length: 33 }, (_, i) => String.fromCharCode(i)).concat("\\x7f");
       return { path: controls.map((c) => set("path", "/a" + c + "b")), method: controls.map((c) => set("method", "A" + c + "B")),
                host: controls.map((c) => set("host", "a" + c + "b")), scheme: controls.map((c) => set("scheme", "ht" + c + "tp")),
                empty: ["path", "method", "host", "scheme"].map((key) => set(key, "")) };`,
    );
    for (const outcomes of Object.values(live)) {
      expect(outcomes.map(({ name }) => name)).toEqual(outcomes.map(() => 'TypeError'));
    }
  });
});

describe('a returned Response', () => {
  const parts = `const bytes = new Uint8Array([0, 1, 13, 10, 128, 255]);
    const make = () => new Response(bytes, {
      status: 403,
      headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"], ["content-type", "application/x-test"], ["x-own", "\\xe9"]],
    });`;
  const ways = [
    ['at once', `${parts} export default { onRequest() { return make(); } };`],
    ['from an async hook', `${parts} export default { async onRequest() { return make(); } };`],
    [
      'after waiting',
      `import { sleep } from "fairlead"; ${parts}
       export default { async onRequest() { await sleep(5); return make(); } };`,
    ],
  ] as const;

  test.each(ways)('answers a request %s, and the upstream sees nothing (F020)', async (_, source) => {
    await withUpstream({}, async (unasked) => {
      const options = { filters: [fairlead({ inline: source })], clusters: { upstream: unasked } };
      await withEnvoy(options, async (envoy) => {
        for (const answer of [
          await request(envoy),
          await request(envoy, '/', { body: 'x'.repeat(100_000) }),
          await request2(envoy),
        ]) {
          expect(answer.status).toBe(403);
          expect(answer.headers.all('set-cookie')).toEqual(['a=1', 'b=2']);
          expect(answer.headers.get('content-type')).toBe('application/x-test');
          expect(answer.headers.get('content-length')).toBe('6');
          expect([...answer.body]).toEqual([0, 1, 13, 10, 128, 255]);
        }
        expect((await request(envoy)).headers.get('x-own')).toBe('\xe9');
        expect(unasked.requests).toHaveLength(0);
      });
    });
  });

  const replacements = [
    ['at once', `export default { onResponse() { return new Response("0123456789", { status: 451 }); } };`],
    [
      'after waiting',
      `import { sleep } from "fairlead";
       export default { async onResponse() { await sleep(5); return new Response("0123456789", { status: 451 }); } };`,
    ],
  ] as const;

  test.each(replacements)("replaces the upstream's %s, and nothing of it leaks (F021)", async (_, source) => {
    await withFilter(source, async (envoy) => {
      for (const path of ['/?bytes=1048576', '/?bytes=1048576&chunked', '/?bytes=0']) {
        for (const answer of [await request(envoy, path), await request2(envoy, path)]) {
          expect(answer.status).toBe(451);
          expect(answer.text()).toBe('0123456789');
          expect(answer.headers.all('content-length')).toEqual(['10']);
        }
      }
      await envoy.idle();
      const active = 'cluster.upstream.upstream_rq_active';
      await waitFor('the upstream to be let go', async () => (await envoy.stats(active))[active] === 0);
    });
  });

  test("does not pass the filter's own response hook, and onLog sees it (F022)", async () => {
    const source = `export default {
      onRequest(request) { if (request.path === "/own") return new Response("own", { status: 418 }); },
      onResponse(response) { response.headers.set("x-hook", "ran"); },
      onLog(ctx) { console.warn("logged", ctx.request.path, ctx.response.status); },
    };`;
    await withFilter(source, async (envoy) => {
      const own = await request(envoy, '/own');
      expect(own).toMatchObject({ status: 418 });
      expect(own.headers.has('x-hook')).toBe(false);
      const other = await request(envoy, '/other');
      expect(other.headers.get('x-hook')).toBe('ran');
      await envoy.waitForLog(({ message }) => message.includes('logged /own 418'));
      await envoy.waitForLog(({ message }) => message.includes('logged /other 200'));
      expect(envoy.logs().filter(({ message }) => message.includes('logged '))).toHaveLength(2);
    });
  });

  test("has the shapes of the Web's Response (W08)", async () => {
    const source = `
      const made = {
        "/json": () => Response.json({ a: [1, "\u00e9"] }, { status: 201, headers: { "x-a": "b" } }),
        "/redirect": () => Response.redirect("http://other.example/x", 307),
        "/empty": () => new Response(null, { status: 204 }),
        "/default": () => new Response(),
        "/text": () => new Response("h\u00e9\u20ac"),
        "/typed": () => new Response("{}", { headers: { "Content-Type": "application/json" } }),
        "/buffer": () => new Response(new Uint8Array([1, 2, 3, 4]).buffer),
        "/view": () => new Response(new Uint16Array([0x0201, 0x0403]).subarray(1)),
        "/params": () => new Response(new URLSearchParams({ a: "b c" })),
        "/status": () => new Response("x", { status: 599 }),
        "/cloned": () => new Response("x").clone(),
        "/read": () => { const r = new Response("x"); r.headers.get("content-type"); return r; },
        "/retyped": () => { const r = new Response("x"); r.headers.set("content-type", "text/css"); return r; },
        "/untyped": () => { const r = new Response("x"); r.headers.delete("content-type"); return r; },
        "/child": () => new (class Child extends Response { get status() { return 1; } })("x", { status: 203 }),
      };
      export default { onRequest(request) { return made[request.path](); } };`;
    await withFilter(source, async (envoy) => {
      const get = async (path: string): Promise<Answer> => await request(envoy, path);
      const json = await get('/json');
      expect(json).toMatchObject({ status: 201 });
      expect(json.json()).toEqual({ a: [1, '\u00e9'] });
      expect(json.headers.get('content-type')).toBe('application/json');
      expect(json.headers.get('x-a')).toBe('b');
      const redirect = await get('/redirect');
      expect(redirect).toMatchObject({ status: 307 });
      expect(redirect.headers.get('location')).toBe('http://other.example/x');
      const empty = await get('/empty');
      expect(empty).toMatchObject({ status: 204 });
      expect(empty.headers.has('content-length')).toBe(false);
      expect(await get('/default')).toMatchObject({ status: 200, body: Buffer.alloc(0) });
      const text = await get('/text');
      expect(text.text()).toBe('h\u00e9\u20ac');
      expect(text.headers.get('content-type')?.toLowerCase()).toBe('text/plain;charset=utf-8');
      expect((await get('/typed')).headers.all('content-type')).toEqual(['application/json']);
      const buffer = await get('/buffer');
      expect([...buffer.body]).toEqual([1, 2, 3, 4]);
      // The standard gives bytes no type; Envoy calls every reply text/plain that does not say otherwise.
      expect(buffer.headers.all('content-type')).toEqual(['text/plain']);
      expect([...(await get('/view')).body]).toEqual([3, 4]);
      expect((await get('/params')).text()).toBe('a=b+c');
      expect(await get('/status')).toMatchObject({ status: 599 });
      for (const path of ['/cloned', '/read']) {
        expect((await get(path)).headers.all('content-type')).toEqual(['text/plain;charset=UTF-8']);
      }
      expect((await get('/retyped')).headers.all('content-type')).toEqual(['text/css']);
      expect((await get('/untyped')).headers.all('content-type')).toEqual(['text/plain']);
      expect(await get('/child')).toMatchObject({ status: 203 });
    });
  });

  test('answers HEAD without a body (F010)', async () => {
    const source = `export default { onRequest() { return new Response("four", { headers: { "x-a": "b" } }); } };`;
    await withFilter(source, async (envoy) => {
      const answer = await request(envoy, '/', { method: 'HEAD' });
      expect(answer).toMatchObject({ status: 200 });
      expect(answer.body).toHaveLength(0);
      expect(answer.headers.get('x-a')).toBe('b');
      expect(answer.headers.get('content-length')).toBe('4');
    });
  });

  test('goes on unchanged when it is the response itself', async () => {
    const source = `export default { onResponse(response) { response.headers.set("x-a", "b"); return response; } };`;
    await withFilter(source, async (envoy) => {
      const answer = await request(envoy, '/kept');
      expect(answer.json<Echo>().path).toBe('/kept');
      expect(answer.headers.get('x-a')).toBe('b');
    });
  });

  test('tells gRPC callers their own status, from a script and from its failure (F023, R25)', async () => {
    const source = `export default {
      onRequest(request) {
        if (request.path === "/a.A/Throw") throw new Error("broken");
        return new Response("keep out: 100% \u20ac", { status: Number(request.headers.get("x-status")) });
      },
    };`;
    const options = {
      filters: [fairlead({ inline: source })],
      clusters: { upstream: upstream2 },
      errorsExpected: true,
    };
    await withEnvoy(options, async (envoy) => {
      const deny = async (status: string): Promise<number | null> =>
        (await grpcUnary(envoy, '/a.A/Deny', undefined, [['x-status', status]])).status;
      for (const [http, grpc] of [
        ['401', 16],
        ['403', 7],
        ['413', 8],
        ['500', 13],
        ['504', 4],
      ] as const) {
        expect([http, await deny(http)]).toEqual([http, grpc]);
      }
      for (const http of ['200', '302', '400', '404', '418', '429', '503']) {
        expect([http, await deny(http)]).not.toEqual([http, 0]);
      }
      const denied = await grpcUnary(envoy, '/a.A/Deny', undefined, [['x-status', '403']]);
      expect(denied).toMatchObject({ httpStatus: 200, status: 7, message: 'keep out: 100% \u20ac', headersOnly: true });
      expect(denied.contentType).toBe('application/grpc');
      const failed = await grpcUnary(envoy, '/a.A/Throw');
      expect(failed).toMatchObject({ httpStatus: 200, status: 13, headersOnly: true });
    });
  });
});

describe('what a hook must not return', () => {
  const mistakes = [
    ['the request', `export default { onRequest(request) { return request; } };`, 'E_RETURN_REQUEST'],
    ['a number', `export default { onRequest() { return 403; } };`, 'E_RETURN_VALUE'],
    ['a string', `export default { async onResponse() { return "no"; } };`, 'E_RETURN_VALUE'],
    ['a plain object', `export default { onRequest() { return { status: 403 }; } };`, 'E_RETURN_VALUE'],
    ['a function', `export default { onRequest() { return () => {}; } };`, 'E_RETURN_VALUE'],
    [
      'a response whose body was read',
      `export default { async onRequest() { const r = new Response("x"); await r.text(); return r; } };`,
      'E_BODY_USED',
    ],
  ] as const;

  test.each(mistakes)('%s is an error with a code, a place and a hint (H209)', async (_, source, code) => {
    const options = { filters: [fairlead({ inline: source })], clusters: { upstream }, errorsExpected: true };
    await withEnvoy(options, async (envoy) => {
      expect(await request(envoy)).toMatchObject({ status: 500 });
      const fault = await envoy.log.fault();
      expect(fault).toMatchObject({ filterName: 'test', code, line: expect.any(Number) as number });
      expect(envoy.log.errors()).toHaveLength(1);
      // The worker goes on.
      expect(await request(envoy)).toMatchObject({ status: 500 });
    });
  });
});
