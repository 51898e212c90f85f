// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The harness against a plain Envoy: each part of it works before fairlead is blamed for anything.

import { existsSync } from 'node:fs';
import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  clusterRoute,
  echo,
  expectRejected,
  grpcEcho,
  grpcUnary,
  hang,
  Http2Client,
  keepAliveAgent,
  load,
  Log,
  lua,
  patternBytes,
  RawSocket,
  rawExchange,
  readFault,
  request,
  request2,
  reset,
  sha256,
  startEnvoy,
  startRefusing,
  startUpstream,
  validate,
  withEnvoy,
  withUpstream,
  type Echo,
  type Upstream,
} from './harness.ts';

let upstream: Upstream;
beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(async () => {
  await upstream.close();
});

describe('an Envoy of the harness', () => {
  test('gets a port of its own, and one more for each further Envoy', async () => {
    const first = await startEnvoy();
    const second = await startEnvoy();
    try {
      const ports = [first.port, second.port, first.adminPort, second.adminPort];
      expect(new Set(ports).size).toBe(4);
      for (const envoy of [first, second]) {
        expect((await request(envoy)).text()).toBe('no upstream\n');
        expect(await envoy.admin('/ready')).toBe('LIVE\n');
      }
    } finally {
      expect(await Promise.all([first.stop(), second.stop()])).toEqual([0, 0]);
    }
  });

  test('ends with exit code 0 on SIGTERM and leaves no process behind', async () => {
    const envoy = await startEnvoy({ clusters: { upstream } });
    const { pid } = envoy;
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    expect(await envoy.stop()).toBe(0);
    expect(existsSync(`/proc/${pid}`)).toBe(false);
    await expect(request(envoy)).rejects.toThrow('ECONNREFUSED');
  });

  test('reports a crash with its signal instead of an exit code', async () => {
    const envoy = await startEnvoy();
    process.kill(envoy.pid, 'SIGABRT');
    await expect(envoy.stop()).rejects.toThrow(/ended by SIGABRT/);
  });

  test('fails whoever let it log an error, and keeps the first failure with the end of the log', async () => {
    const filters = [lua('function envoy_on_request(h) error("made to fail") end')];
    const ask = withEnvoy({ filters }, async (envoy) => void (await request(envoy)));
    await expect(ask).rejects.toThrow(/1 unexpected errors:[^]*made to fail/);
    await withEnvoy({ filters, errorsExpected: true }, async (envoy) => void (await request(envoy)));
    const failing = withEnvoy({}, async () => {
      throw new Error('first');
    });
    await expect(failing).rejects.toThrow(/^first\nEnvoy: exit code 0; [^]*exiting/);
  });

  test('tells counters and gauges, and when no stream is left', async () => {
    await withUpstream({ handler: hang }, async (silent) => {
      const clusters = { upstream: silent };
      await withEnvoy({ clusters }, async (envoy) => {
        const leave = new AbortController();
        const pending = request(envoy, '/', { signal: leave.signal });
        await silent.arrived(1);
        expect(await envoy.gauge('downstream_rq_active')).toBe(1);
        await expect(envoy.idle(undefined, 50)).rejects.toThrow('downstream_rq_active');
        leave.abort();
        await expect(pending).rejects.toThrow('abort');
        await envoy.idle();
        const stats = await envoy.stats('http.ingress.downstream_rq_');
        expect(stats['http.ingress.downstream_rq_total']).toBe(1);
        await expect(envoy.gauge('no_such_thing')).rejects.toThrow('no statistic');
      });
    });
  });

  test('writes an access log line per stream', async () => {
    const accessLog = '%REQ(:PATH)% %RESPONSE_CODE%';
    await withEnvoy({ accessLog }, async (envoy) => {
      await request(envoy, '/a');
      await request(envoy, '/b');
      expect(await envoy.accessLog(2)).toEqual(['/a 200', '/b 200']);
    });
  });

  test('takes a new listener while it runs, and keeps the old one when the new one is bad', async () => {
    await withEnvoy({ dynamic: true }, async (envoy) => {
      const reply = (text: string): string =>
        `function envoy_on_request(h) h:respond({[":status"]="418"}, "${text}") end`;
      expect((await envoy.update({ filters: [lua(reply('new'))] })).accepted).toBe(true);
      expect((await request(envoy)).text()).toBe('new');
      const bad = await envoy.update({ filters: [lua('function (')] });
      expect(bad.accepted).toBe(false);
      expect(bad.entries.map(({ message }) => message).join('\n')).toContain('script load error');
      expect((await request(envoy)).text()).toBe('new');
    });
  });
});

describe("the reader of Envoy's log", () => {
  test('takes entries apart and joins what belongs to them', async () => {
    const log = new Log(
      Readable.from([
        '[info][main][a/b.cc:12] fir',
        'st\n[warning][lua][:] second\nmore\n',
        '[error][x.y][f.ts:3] [third]',
      ]),
    );
    await log.waitFor(({ level }) => level === 'error');
    expect(log.entries).toEqual([
      { level: 'info', logger: 'main', file: 'a/b.cc', line: 12, message: 'first' },
      { level: 'warning', logger: 'lua', file: '', line: 0, message: 'second\nmore' },
      { level: 'error', logger: 'x.y', file: 'f.ts', line: 3, message: '[third]' },
    ]);
    expect(log.errors()).toHaveLength(1);
    await expect(log.waitFor(({ level }) => level === 'critical', 10)).rejects.toThrow('[third]');
  });

  test("takes fairlead's lines about errors apart, and only those", () => {
    const read = (message: string): unknown =>
      readFault({ level: 'error', logger: 'dynamic_modules', file: '', line: 0, message });
    expect(read('fairlead: auth: E_CONFIG_KEY: unknown key a (did you mean b?)')).toEqual({
      filterName: 'auth',
      code: 'E_CONFIG_KEY',
      text: 'unknown key a (did you mean b?)',
      file: undefined,
      line: undefined,
      column: undefined,
    });
    expect(read('auth: [1-2-3] E_THROW: no (really) (src/a b.ts:3:14) at f (src/a b.ts:3:14)')).toMatchObject({
      filterName: 'auth',
      code: 'E_THROW',
      file: 'src/a b.ts',
      line: 3,
      column: 14,
    });
    expect(read('auth: hello')).toBeUndefined();
    expect(read('caught ENVOY_SIGTERM')).toBeUndefined();
  });
});

describe('a configuration that Envoy refuses', () => {
  test('is an exit code and a log entry that says why, at start and in validate mode', async () => {
    const options = { filters: [lua('function envoy_on_request(h) h:bad(')] };
    const rejection = await expectRejected(options);
    expect(rejection.exitCode).toBe(1);
    expect(rejection.reason.message).toContain('script load error');
    expect(rejection.reason.message).toContain(':1: unexpected symbol');
    const validation = await validate(options);
    expect(validation.exitCode).toBe(1);
    expect(validation.log.tail()).toContain('script load error');
  });

  test('is not a good one', async () => {
    expect((await validate({ clusters: { upstream } })).exitCode).toBe(0);
    await expect(expectRejected({})).rejects.toThrow('accepted a configuration it should refuse');
  });

  test('can be one that names an unknown field', async () => {
    const { reason } = await expectRejected({ connectionManager: { no_such_field: true } });
    expect(reason.message).toContain('no_such_field');
  });
});

describe('clients and upstreams', () => {
  test("see each other's header lists byte for byte", async () => {
    await withEnvoy({ clusters: { upstream } }, async (envoy) => {
      const answer = await request(envoy, '/a%20b?q=1&q=%00', {
        method: 'PATCH',
        headers: [
          ['x-twice', 'one'],
          ['x-high', '\x80\xff'],
          ['x-twice', 'two'],
          ['x-empty', ''],
        ],
      });
      const seen = answer.json<Echo>();
      expect(seen.method).toBe('PATCH');
      expect(seen.path).toBe('/a%20b?q=1&q=%00');
      const own = seen.headers.filter(([name]) => /^x-(twice|high|empty)/.test(name));
      expect(own).toEqual([
        ['x-twice', 'one'],
        ['x-high', '\x80\xff'],
        ['x-twice', 'two'],
        ['x-empty', ''],
      ]);
      expect(answer.headers.get('Content-Type')).toBe('application/json');
      expect(answer.headers.get('x-absent')).toBeNull();
    });
  });

  test.each([0, 1, 70_000, 5 * 1024 * 1024])('carry a body of %d bytes both ways', async (size) => {
    const body = patternBytes(size);
    await withEnvoy({ clusters: { upstream }, bufferLimitBytes: 65_536 }, async (envoy) => {
      for (const framing of [{}, { chunkBytes: 10_000 }]) {
        const seen = (await request(envoy, '/', { body, ...framing })).json<Echo>();
        expect(seen).toMatchObject({ bodyLength: size, bodySha256: sha256(body) });
        const framed = seen.headers.some(([name]) => name === 'transfer-encoding');
        expect(framed).toBe('chunkBytes' in framing);
      }
      for (const suffix of ['', '&chunked']) {
        const answer = await request(envoy, `/?bytes=${size}${suffix}`);
        expect(sha256(answer.body)).toBe(sha256(body));
        expect(answer.headers.has('content-length')).toBe(suffix === '');
      }
    });
  });

  test('notice when one byte of a body has changed', () => {
    const body = patternBytes(1_000);
    const hash = sha256(body);
    body.writeUInt8(body.readUInt8(500) ^ 1, 500);
    expect(sha256(body)).not.toBe(hash);
    expect(sha256(patternBytes(1_000, 2))).not.toBe(hash);
    const doubled = Buffer.concat([body.subarray(0, 100), body.subarray(0, 900)]);
    expect(sha256(doubled)).not.toBe(hash);
  });

  test('speak HTTP/2 on both sides, with trailers', async () => {
    const trailing = startUpstream({
      http2: true,
      handler: async (exchange) => {
        await exchange.whole;
        exchange.respond(200, [['x-path', exchange.received.path]], 'body', [['x-end', 'yes']]);
      },
    });
    const second = await trailing;
    try {
      await withEnvoy({ clusters: { upstream: second } }, async (envoy) => {
        const answer = await request2(envoy, '/two', {
          method: 'POST',
          body: '12345',
          headers: [
            ['x-a', '1'],
            ['x-a', '2'],
          ],
          trailers: [['x-sent', 'at the end']],
        });
        expect(answer.status).toBe(200);
        expect(answer.headers.get('x-path')).toBe('/two');
        expect(answer.text()).toBe('body');
        expect(answer.trailers.get('x-end')).toBe('yes');
        const received = await second.arrived(1);
        expect(received.headers.all('x-a')).toEqual(['1', '2']);
        expect(received.trailers.get('x-sent')).toBe('at the end');
        expect(received.bodyLength).toBe(5);
      });
    } finally {
      await second.close();
    }
  });

  test('break off HTTP/2 streams without breaking the connection', async () => {
    await withUpstream({ handler: (x) => (x.received.path === '/hang' ? undefined : echo(x)) }, async (picky) => {
      await withEnvoy({ clusters: { upstream: picky } }, async (envoy) => {
        const client = await Http2Client.connect(envoy);
        const stream = client.open('/hang');
        stream.on('error', () => undefined);
        const seen = await picky.arrived(({ path }) => path === '/hang');
        stream.close(8);
        await envoy.idle();
        expect((await client.request('/after')).json<Echo>().path).toBe('/after');
        await client.close();
        expect(seen.path).toBe('/hang');
      });
    });
  });

  test('make gRPC calls and read their status from trailers or headers', async () => {
    await withUpstream({ http2: true, handler: grpcEcho }, async (server) => {
      await withEnvoy({ clusters: { upstream: server } }, async (envoy) => {
        const message = patternBytes(3_000);
        const good = await grpcUnary(envoy, '/echo.Echo/Say', message);
        expect(good).toMatchObject({ httpStatus: 200, status: 0, headersOnly: false, message: null });
        expect(good.messages).toEqual([message]);
      });
    });
    // Envoy turns its own errors into a headers-only answer for gRPC callers.
    await withEnvoy({ clusters: { upstream: {} } }, async (envoy) => {
      const bad = await grpcUnary(envoy, '/echo.Echo/Say');
      expect(bad).toMatchObject({ httpStatus: 200, status: 14, headersOnly: true, messages: [] });
      expect(bad.message).toContain('no healthy upstream');
    });
  });

  test('exchange raw bytes, also in pieces', async () => {
    await withEnvoy({ clusters: { upstream } }, async (envoy) => {
      const head = 'GET /raw HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n';
      const whole = await rawExchange(envoy, head);
      expect(whole).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      expect(whole).toContain('"path":"/raw"');
      const socket = await RawSocket.connect(envoy);
      for (const byte of head) socket.write(byte);
      expect(await socket.until('\r\n\r\n')).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
      await socket.closed;
      expect(await rawExchange(envoy, 'nonsense\r\n\r\n')).toMatch(/^HTTP\/1\.1 400 /);
    });
  });

  test('fail as they are told: refuse, reset, hang', async () => {
    const refusing = await startRefusing();
    const resetting = await startUpstream({ handler: reset });
    const silent = await startUpstream({ handler: hang });
    try {
      const clusters = { refusing, resetting, silent, hostless: {} };
      const slow = { match: { prefix: '/silent' }, route: { cluster: 'silent', timeout: '0.05s' } };
      const others = ['refusing', 'resetting', 'hostless'].map((name) => clusterRoute(`/${name}`, name));
      await withEnvoy({ clusters, routes: [slow, ...others] }, async (envoy) => {
        const outcome = async (path: string): Promise<string> => {
          const { status, body } = await request(envoy, path);
          return `${status} ${body.toString()}`;
        };
        expect(await outcome('/refusing')).toMatch(/^503 .*connection failure/);
        expect(await outcome('/resetting')).toMatch(/^503 .*connection termination/);
        expect(await outcome('/hostless')).toBe('503 no healthy upstream');
        expect(await outcome('/silent')).toBe('504 upstream request timeout');
        expect(resetting.requests).toHaveLength(1);
        expect(silent.requests[0]).toMatchObject({ path: '/silent', end: 'complete' });
      });
    } finally {
      await Promise.all([refusing.close(), resetting.close(), silent.close()]);
    }
  });

  test('tell an upstream that its client has gone', async () => {
    await withUpstream({ handler: hang }, async (silent) => {
      await withEnvoy({ clusters: { upstream: silent } }, async (envoy) => {
        const socket = await RawSocket.connect(envoy);
        socket.write('POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\n12345');
        const received = await silent.arrived(({ bodyLength }) => bodyLength === 5);
        expect(received).toMatchObject({ end: null, cancelled: false });
        socket.reset();
        await silent.arrived(({ cancelled }) => cancelled);
        expect(received.end).toBe('aborted');
      });
    });
  });

  test('share connections when asked to', async () => {
    await withEnvoy({}, async (envoy) => {
      const agent = keepAliveAgent();
      for (let i = 0; i < 3; i++) await request(envoy, '/', { agent });
      expect(await envoy.gauge('downstream_cx_total')).toBe(1);
      agent.destroy();
      for (let i = 0; i < 3; i++) await request(envoy);
      expect(await envoy.gauge('downstream_cx_total')).toBe(4);
    });
  });

  test('make bounded load and count every outcome', async () => {
    await withUpstream({ handler: (x) => (x.received.path === '/hang' ? undefined : echo(x)) }, async (picky) => {
      await withEnvoy({ clusters: { upstream: picky } }, async (envoy) => {
        const result = await load(envoy, {
          connections: 8,
          requests: 200,
          prepare: (index) => ({ path: index % 4 === 0 ? '/hang' : `/${index}` }),
          leaveAfterMs: (index) => (index % 4 === 0 ? 5 : undefined),
          check: (answer, index) =>
            index % 10 === 5 || answer.json<Echo>().path === `/${index}` ? undefined : "another's answer",
        });
        expect(result).toMatchObject({ right: 150, left: 50, wrong: 0, failed: 0, complaints: [] });
        const wrong = await load(envoy, { connections: 2, requests: 4, check: ({ status }) => `got ${status}` });
        expect(wrong).toMatchObject({ wrong: 4, right: 0 });
        expect(wrong.complaints[0]).toBe('request 0: got 200');
      });
    });
    const failed = await load({ port: await closedPort() }, { connections: 1, requests: 2, check: () => undefined });
    expect(failed).toMatchObject({ failed: 2, right: 0, left: 0 });
  });
});

async function closedPort(): Promise<number> {
  const { port, close } = await startRefusing();
  await close();
  return port;
}

describe("Envoy's Lua filter", () => {
  test('does what fairlead is to replace: read and write headers, ask a cluster, answer, log', async () => {
    const source = `
      function envoy_on_request(handle)
        local headers = handle:headers()
        if headers:get("x-stop") then handle:respond({[":status"] = "403"}, "no\\n") return end
        local answer, body = handle:httpCall("auth",
          {[":method"] = "GET", [":path"] = "/verify", [":authority"] = "auth"}, "", 1000)
        -- Lua's handles die while it waits, so the headers are fetched anew.
        handle:headers():add("x-auth", answer[":status"])
        handle:logWarn("asked for " .. handle:headers():get(":path"))
      end
      function envoy_on_response(handle) handle:headers():add("x-lua", "1") end`;
    await withUpstream({}, async (auth) => {
      await withEnvoy({ filters: [lua(source)], clusters: { upstream, auth } }, async (envoy) => {
        const answer = await request(envoy, '/in');
        expect(answer.json<Echo>().headers).toContainEqual(['x-auth', '200']);
        expect(answer.headers.get('x-lua')).toBe('1');
        expect(auth.requests.map(({ path }) => path)).toEqual(['/verify']);
        const entry = await envoy.waitForLog(
          ({ logger, message }) => logger === 'lua' && message.includes('asked for'),
        );
        expect(entry.level).toBe('warning');
        expect(entry.message).toBe('script log: asked for /in');
        const refused = await request(envoy, '/', { headers: [['x-stop', '1']] });
        expect(refused).toMatchObject({ status: 403 });
        expect(refused.text()).toBe('no\n');
      });
    });
  });
});
