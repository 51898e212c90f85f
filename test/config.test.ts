// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What Envoy accepts and refuses as a configuration of the filter, and what its log says then.

import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, symlink, truncate, writeFile, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  envoyMinor,
  expectRefused,
  fairlead,
  placeOf,
  readFault,
  request,
  startUpstream,
  validate,
  waitFor,
  withEnvoy,
  type Echo,
  type Envoy,
  type Fault,
  type Json,
  type JsonObject,
  type Upstream,
} from './harness.ts';

const good = `export default { onRequest() { return new Response("good"); } };`;

let upstream: Upstream;
let folder: string;
beforeAll(async () => {
  upstream = await startUpstream();
  folder = await mkdtemp(join(tmpdir(), 'fairlead-config-'));
});
afterAll(async () => {
  await upstream.close();
  await rm(folder, { recursive: true, force: true });
});

async function refusal(config: JsonObject | string | Uint8Array | undefined): Promise<Fault> {
  return await expectRefused({ filters: [fairlead(config)] });
}

async function withConfig<T>(config: JsonObject | string | Uint8Array, use: (envoy: Envoy) => Promise<T>): Promise<T> {
  expect((await validate({ filters: [fairlead(config)] })).exitCode).toBe(0);
  return await withEnvoy({ filters: [fairlead(config)], clusters: { upstream } }, use);
}

describe('a good config', () => {
  test('is inline source, a file, or a bare string; all answer alike (F053)', async () => {
    const path = join(folder, 'good.js');
    await writeFile(path, good);
    const json = JSON.stringify({ inline: good });
    const configs = [{ inline: good }, { file: path }, good, json, Buffer.from(good), Buffer.from(json)];
    for (const config of configs) {
      await withConfig(config, async (envoy) => {
        expect((await request(envoy)).text()).toBe('good');
      });
    }
  });

  test('hands config to configure() and hooks, read-only, and its result as settings (F054)', async () => {
    const inline = `
      const attempt = (action) => { try { action(); return "done"; } catch (error) { return error.name; } };
      let configured = 0;
      export default {
        configure(config, env) {
          configured++;
          return { upper: config.realm.toUpperCase(), env, frozen: Object.isFrozen(config), pattern: /^a+$/ };
        },
        onRequest(request, ctx) {
          return Response.json({
            config: ctx.config, upper: ctx.settings.upper, env: ctx.settings.env, frozen: ctx.settings.frozen,
            pattern: ctx.settings.pattern.test("aaa"), same: ctx.config === ctx.config, configured,
            write: attempt(() => { ctx.config.realm = "x"; }), deep: attempt(() => { ctx.config.nested.list.push(1); }),
            add: attempt(() => { ctx.extra = 1; }),
          });
        },
      };`;
    const config = { realm: 'edge', nested: { list: [1, 'two', null, true, { three: 3.5 }], 'k y': '\u00e9\u20ac' } };
    await withConfig({ inline, config }, async (envoy) => {
      for (let i = 0; i < 2; i++) {
        expect((await request(envoy)).json()).toEqual({
          config,
          upper: 'EDGE',
          env: { filterName: 'test', version: expect.any(String) as string, validating: false },
          frozen: true,
          pattern: true,
          same: true,
          configured: 1,
          write: 'TypeError',
          deep: 'TypeError',
          add: 'TypeError',
        });
      }
    });
  });

  test('is read, compiled and configured by envoy --mode validate, which tells configure() so (F058)', async () => {
    const inline = `export default { configure(config, env) { if (env.validating === config.refuseWhen) throw new Error("told"); } };`;
    const told = (refuseWhen: boolean): JsonObject => fairlead({ inline, config: { refuseWhen } });
    const validated = await validate({ filters: [told(true)] });
    expect(validated.exitCode).not.toBe(0);
    expect(validated.log.faults()).toMatchObject([{ code: 'E_CONFIGURE_THROW', file: 'inline', line: 1 }]);
    expect((await validate({ filters: [told(false)] })).exitCode).toBe(0);
    await withEnvoy({ filters: [told(true)] }, async (envoy) => {
      expect(await request(envoy)).toMatchObject({ status: 200 });
    });
  });

  test('runs the language as the engine has it, with top-level await (F104)', async () => {
    const inline = `
      const late = await Promise.resolve("late");
      class Counter { static #made = 0; static { Counter.#made = 1; } get made() { return Counter.#made; } }
      const results = {
        late, made: new Counter().made, sorted: [3, 1, 2].toSorted(), last: [1, 2, 3].findLast((n) => n < 3), at: [1, 2].at(-1),
        grouped: Object.groupBy([1, 2, 3], (n) => (n % 2 ? "odd" : "even")), union: [...new Set([1]).union(new Set([2]))],
        helpers: [1, 2, 3].values().map((n) => n * 2).drop(1).toArray(), nullish: null ?? 0, big: String(2n ** 64n),
        named: /(?<year>\\d+)/v.exec("in 2026").groups.year, fromAsync: await Array.fromAsync([Promise.resolve(1), 2]),
        error: new Error("a", { cause: "b" }).cause, clone: Object.hasOwn({ a: 1 }, "a"),
      };
      export default { onRequest() { return Response.json(results); } };`;
    await withConfig({ inline }, async (envoy) => {
      expect((await request(envoy)).json()).toEqual({
        ...{ late: 'late', made: 1, sorted: [1, 2, 3], last: 2, at: 2, grouped: { odd: [1, 3], even: [2] }, union: [1, 2] },
        ...{ helpers: [4, 6], nullish: 0, big: '18446744073709551616', named: '2026', fromAsync: [1, 2], error: 'b', clone: true },
      });
    });
  });

  test('may have an async configure(), and none of the optional keys (F054)', async () => {
    const inline = `export default {
      async configure(config) { await null; return Object.keys(config).length; },
      onRequest(request, ctx) { return Response.json([ctx.config, ctx.settings]); },
    };`;
    await withConfig({ inline }, async (envoy) => {
      expect((await request(envoy)).json()).toEqual([{}, 0]);
    });
  });

  test('gives each config of one script its own settings and state of its own (F057)', async () => {
    const inline = `let count = 0;
      export default {
        configure: (config) => config.name,
        onRequest(request, ctx) { request.headers.append("x-settings", ctx.settings + ctx.config.name + ++count); },
      };`;
    const filters = [
      fairlead({ inline, config: { name: 'a' } }, 'same'),
      fairlead({ inline, config: { name: 'b' } }, 'same'),
      fairlead({ inline, config: { name: 'c' } }, 'other'),
      fairlead({ inline, config: { name: 'd' }, limits: { memory_mb: 8 } }, 'same'),
    ];
    await withEnvoy({ filters, clusters: { upstream } }, async (envoy) => {
      const { headers } = (await request(envoy)).json<Echo>();
      // One name and equal powers share a runtime; another name or limit has its own.
      expect(headers.filter(([name]) => name === 'x-settings').map(([, value]) => value)).toEqual([
        'aa1',
        'bb2',
        'cc1',
        'dd1',
      ]);
    });
  });

  test('has every limit and status at its bounds (F055)', async () => {
    const least = { cpu_ms: 1, stream_cpu_ms: 1, load_ms: 1_000, memory_mb: 2, stack_kb: 64, wait_ms: 1, body_kb: 1, fetches: 0 };
    const most = {
      cpu_ms: 10_000,
      stream_cpu_ms: 60_000,
      load_ms: 60_000,
      memory_mb: 1_024,
      stack_kb: 4_096,
      wait_ms: 3_600_000,
      body_kb: 1_048_576,
      fetches: 1_024,
    };
    for (const limits of [least, most]) {
      for (const status of [400, 599]) {
        const config = { inline: good, limits, on_error: { status, wait_status: status } };
        expect((await validate({ filters: [fairlead(config)] })).exitCode).toBe(0);
      }
    }
    await withConfig({ inline: good, limits: most }, async (envoy) => {
      expect((await request(envoy)).text()).toBe('good');
    });
  });

  test('may name clusters that Envoy does not know, in either form, and very many (H406)', async () => {
    const many = Array.from({ length: 10_000 }, (_, i) => `cluster-${i}`);
    for (const clusters of [[], ['ghost'], { 'ghost.example': 'outbound|443||ghost' }, {}, many]) {
      await withConfig({ inline: good, clusters }, async (envoy) => {
        expect((await request(envoy)).text()).toBe('good');
      });
    }
  });

  test('imports the fairlead module from inline source', async () => {
    const inline = `import { defineFilter, sleep } from "fairlead"; import * as all from "fairlead";
      export default defineFilter({ async onRequest() { await sleep(1); return Response.json(Object.keys(all).sort()); } });`;
    await withConfig({ inline }, async (envoy) => {
      const names = (await request(envoy)).json<string[]>();
      expect(names).toContain('defineFilter');
      expect(names).toContain('sleep');
    });
  });
});

describe('a config that is no config (H401)', () => {
  const nothing: Record<string, [JsonObject | string | Uint8Array | undefined, string]> = {
    'nothing at all': [undefined, 'E_CONFIG_SOURCE'],
    'an empty string': ['', 'E_CONFIG_SOURCE'],
    blanks: [' \n\t ', 'E_CONFIG_SOURCE'],
    'an empty object': [{}, 'E_CONFIG_SOURCE'],
    null: ['null', 'E_CONFIG_JSON'],
    'a number': ['42', 'E_CONFIG_JSON'],
    'a list': ['[1, 2]', 'E_CONFIG_JSON'],
    prose: ['this is not JSON', 'E_SCRIPT_SYNTAX'],
    'JSON that breaks off': ['{"inline": "export default {}"', 'E_CONFIG_JSON'],
    'JSON with a trailing comma': ['{"inline": "export default {}",}', 'E_CONFIG_JSON'],
    'bytes that are no UTF-8': [Buffer.from([0xff, 0xfe, 0x7b, 0x00]), 'E_CONFIG_JSON'],
    'an object a thousand levels deep': ['{"a":'.repeat(1_000) + '1' + '}'.repeat(1_000), 'E_CONFIG_KEY'],
    'a string of 50 MB': ['x'.repeat(50_000_000), 'E_\\w+'],
  };

  test.each(Object.entries(nothing))('%s is refused in one line', async (_, [config, code]) => {
    expect((await refusal(config)).code).toMatch(new RegExp(`^(${code})$`));
  });

  test('tells where JSON goes wrong', async () => {
    const { text } = await refusal('{\n  "inline": "x",\n  "limits": {"cpu_ms" 5}\n}');
    expect(text).toMatch(/3:\d+|line 3/);
  });
});

describe('an unknown key (H402)', () => {
  const known = ['inline', 'file', 'bytecode', 'config', 'clusters', 'limits', 'on_error'];
  const keys: [string, JsonObject, RegExp][] = [
    ['limit', { limit: { cpu_ms: 5 } }, /limit\b.*limits/],
    ['cluster', { cluster: ['a'] }, /cluster\b.*clusters/],
    ['on_errors', { on_errors: {} }, /on_errors.*on_error/],
    ['Inline', { Inline: good }, /Inline.*inline/],
    ['zzz', { zzz: 1 }, /zzz/],
    ['an empty one', { '': 1 }, /unknown key/],
    ['__proto__', JSON.parse('{"__proto__": {}}') as JsonObject, /__proto__/],
  ];

  test.each(keys)('%s is named, and the known ones are listed', async (_, extra, pattern) => {
    const config = JSON.stringify({ inline: good }).slice(0, -1) + ',' + JSON.stringify(extra).slice(1);
    const { code, text } = await refusal(config);
    expect(code).toBe('E_CONFIG_KEY');
    expect(text).toMatch(pattern);
    for (const key of known) expect(text).toContain(key);
  });

  const nested: [string, JsonObject, string[]][] = [
    ['limits.cpu', { limits: { cpu: 5 } }, ['cpu_ms', 'memory_mb', 'stack_kb', 'wait_ms', 'fetches']],
    ['on_error.stat', { on_error: { stat: 500 } }, ['status', 'wait_status']],
  ];

  test.each(nested)('%s is named with its path', async (path, extra, siblings) => {
    const { code, text } = await refusal({ inline: good, ...extra });
    expect(code).toBe('E_CONFIG_KEY');
    expect(text).toContain(path);
    for (const key of siblings) expect(text).toContain(key);
  });

  const later: JsonObject[] = [
    { on_error: { breaker: { failures: 5 } } },
    { isolation: 'worker' },
    { total_memory_mb: 64 },
    { verify_keys: [] },
    { deny_headers: [] },
    { record: true },
  ];

  test.each(later.map((extra) => [JSON.stringify(extra), extra] as const))(
    '%s is unknown until it works',
    async (_, extra) => {
      expect((await refusal({ inline: good, ...extra })).code).toBe('E_CONFIG_KEY');
    },
  );
});

describe('a mode of on_error (H407)', () => {
  test.each([['opne'], ['CLOSED'], ['']])('of %j is refused by name, with the two that there are', async (mode) => {
    const { code, text } = await refusal({ inline: good, on_error: { mode } });
    expect(code).toBe('E_CONFIG_VALUE');
    expect(text).toContain('on_error.mode');
    expect(text).toContain('"closed"');
    expect(text).toContain('"open"');
  });

  test.each([['closed'], ['open']])('of %s is accepted', async (mode) => {
    expect((await validate({ filters: [fairlead({ inline: good, on_error: { mode } })] })).exitCode).toBe(0);
  });
});

describe('a value of the wrong type (H403)', () => {
  const samples: Record<string, Json> = {
    null: null,
    boolean: true,
    number: 5,
    string: '5',
    list: [5],
    object: { five: 5 },
  };
  const rows: [path: string, accepted: string[], make: (value: Json) => JsonObject][] = [
    ['inline', ['string'], (value) => ({ inline: value })],
    ['file', ['string'], (value) => ({ file: value })],
    ['bytecode', ['string'], (value) => ({ bytecode: value })],
    ['config', ['object'], (value) => ({ inline: good, config: value })],
    ['clusters', ['list', 'object'], (value) => ({ inline: good, clusters: value })],
    ['clusters', ['string'], (value) => ({ inline: good, clusters: [value] })],
    ['clusters', ['string'], (value) => ({ inline: good, clusters: { host: value } })],
    ['limits', ['object'], (value) => ({ inline: good, limits: value })],
    ['on_error', ['object'], (value) => ({ inline: good, on_error: value })],
    ['on_error.status', ['number'], (value) => ({ inline: good, on_error: { status: value } })],
    ['on_error.wait_status', ['number'], (value) => ({ inline: good, on_error: { wait_status: value } })],
    ...['cpu_ms', 'stream_cpu_ms', 'load_ms', 'memory_mb', 'stack_kb', 'wait_ms', 'body_kb', 'fetches'].map(
      (key): [string, string[], (value: Json) => JsonObject] => [
        `limits.${key}`,
        ['number'],
        (value) => ({ inline: good, limits: { [key]: value } }),
      ],
    ),
  ];
  const cases = rows.flatMap(([path, accepted, make]) =>
    Object.entries(samples)
      .filter(([kind]) => !accepted.includes(kind))
      .map(([kind, value]): [string, string, JsonObject] => [path, kind, make(value)]),
  );

  test.each(cases)('%s as %s names the path and what it must be', async (path, _, config) => {
    const { code, text } = await refusal(config);
    expect(code).toBe('E_CONFIG_TYPE');
    expect(text).toContain(path);
    expect(text).toMatch(/must be .*got /);
  });
});

describe('a number out of its range (H403, H407)', () => {
  const ranges: [string, number, number][] = [
    ['cpu_ms', 1, 10_000],
    ['stream_cpu_ms', 1, 60_000],
    ['load_ms', 10, 60_000],
    ['memory_mb', 2, 1_024],
    ['stack_kb', 64, 4_096],
    ['wait_ms', 1, 3_600_000],
    ['body_kb', 1, 1_048_576],
    ['fetches', 0, 1_024],
  ];
  const cases = ranges.flatMap(([key, min, max]) =>
    [min - 1, max + 1, 2 ** 31, 2 ** 53, 1e308].map((value): [string, number, number, number, JsonObject] => [
      `limits.${key}`,
      value,
      min,
      max,
      { limits: { [key]: value } },
    ]),
  );
  const statuses = ['status', 'wait_status'].flatMap((key) =>
    [-1, 200, 399, 600].map((value): [string, number, number, number, JsonObject] => [
      `on_error.${key}`,
      value,
      400,
      599,
      { on_error: { [key]: value } },
    ]),
  );

  test.each([...cases, ...statuses])('%s: %d is not from %d to %d', async (path, _, min, max, extra) => {
    const { code, text } = await refusal({ inline: good, ...extra });
    expect(code).toBe('E_CONFIG_RANGE');
    expect(text).toContain(`${path} must be from ${min} to ${max}`);
  });

  test('must be whole', async () => {
    for (const [path, extra] of [
      ['limits.cpu_ms', { limits: { cpu_ms: 1.5 } }],
      ['on_error.status', { on_error: { status: 500.5 } }],
    ] as const) {
      const { code, text } = await refusal({ inline: good, ...extra });
      expect(code).toMatch(/^E_CONFIG_(TYPE|RANGE)$/);
      expect(text).toContain(path);
    }
  });
});

describe('clusters that make no sense (H406)', () => {
  test.each([
    ['an empty name', ['']],
    ['a wildcard', ['*']],
    ['a name twice', ['a', 'a']],
    ['an empty cluster in a map', { 'a.example': '' }],
    ['an empty host in a map', { '': 'a' }],
    ['a URL', ['http://a/']],
  ])('%s is refused', async (_, clusters) => {
    const { code, text } = await refusal({ inline: good, clusters });
    expect(code).toBe('E_CONFIG_VALUE');
    expect(text).toContain('clusters');
  });
});

describe('a source that is none, or not one (H404)', () => {
  test.each([
    ['inline and file', { inline: good, file: '/x' }],
    ['inline and bytecode', { inline: good, bytecode: 'AAAA' }],
    ['all three', { inline: good, file: '/x', bytecode: 'AAAA' }],
    ['none', { config: {} }],
    ['an empty inline', { inline: '' }],
    ['an empty file name', { file: '' }],
    ['an empty bytecode', { bytecode: '' }],
  ])('%s: exactly one is asked for', async (_, config) => {
    // As bytes: a Struct does not keep its keys in order, and the message names the first two.
    const { code, text } = await refusal(Buffer.from(JSON.stringify(config)));
    expect(code).toBe('E_CONFIG_SOURCE');
    expect(text).toMatch(/inline.*file.*bytecode/);
  });

  /** The place is the line and column of the mark ‸, which is taken out. */
  function marked(source: string): { inline: string; line: number; column: number } {
    const before = source.slice(0, source.indexOf('‸')).split('\n');
    return { inline: source.replace('‸', ''), line: before.length, column: (before.at(-1)?.length ?? 0) + 1 };
  }

  const broken: [string, string, string, RegExp][] = [
    ['a syntax error', `export default {\n  onRequest(request) {\n    const x = ‸;\n  },\n};`, 'E_SCRIPT_SYNTAX', /./],
    ['an unclosed brace', `export default {\n  onRequest() {\n‸`, 'E_SCRIPT_SYNTAX', /./],
    ['TypeScript', `export default {\n  onRequest(request‸: Request) {},\n};`, 'E_SCRIPT_SYNTAX', /bundle/],
    ['a TypeScript interface', `‸interface A {}\nexport default {};`, 'E_SCRIPT_SYNTAX', /bundle/],
    ['CommonJS', `const x = 1;\n‸module.exports = { onRequest() {} };`, 'E_SCRIPT_THROW', /module/],
    ['require', `\nconst fs = ‸require("fs");\nexport default {};`, 'E_SCRIPT_THROW', /require/],
    [
      'a throw at the top level',
      `const x = 1;\n\n‸throw new Error("made to fail");\nexport default {};`,
      'E_SCRIPT_THROW',
      /made to fail/,
    ],
    [
      'an await that rejects at the top level',
      `\nawait Promise.reject(‸new Error("made to fail"));\nexport default {};`,
      'E_SCRIPT_THROW',
      /made to fail/,
    ],
    ['a name that is not there', `export default {\n  onRequest: ‸missing,\n};`, 'E_SCRIPT_THROW', /missing/],
    [
      'configure() that throws',
      `export default {\n  configure() {\n    throw ‸new RangeError("bad realm");\n  },\n};`,
      'E_CONFIGURE_THROW',
      /bad realm/,
    ],
    [
      'configure() that rejects',
      `export default {\n  async configure() {\n    await null;\n    throw ‸new Error("bad realm");\n  },\n};`,
      'E_CONFIGURE_THROW',
      /bad realm/,
    ],
  ];

  test.each(broken)('%s is refused with its line and column', async (_, source, code, pattern) => {
    const { inline, line, column } = marked(source);
    const found = await refusal({ inline });
    expect(found.code).toBe(code);
    expect(found.text).toMatch(pattern);
    expect(found.file).toBeDefined();
    expect(found.line).toBe(line);
    // The engine's columns may name another token of the same expression.
    expect(Math.abs((found.column ?? -99) - column)).toBeLessThanOrEqual(12);
  });

  const shapes: [string, string, string, RegExp][] = [
    ['no default export', `export const onRequest = () => {};`, 'E_SCRIPT_EXPORT', /default/],
    ['a number as default export', `export default 5;`, 'E_SCRIPT_EXPORT', /default export is not a plain object/],
    [
      'a function as default export',
      `export default function onRequest() {}`,
      'E_SCRIPT_EXPORT',
      /default export is not a plain object/,
    ],
    ['null as default export', `export default null;`, 'E_SCRIPT_EXPORT', /default export is not a plain object/],
    ['a list as default export', `export default [];`, 'E_SCRIPT_EXPORT', /./],
    ['a promise as default export', `export default Promise.resolve({});`, 'E_SCRIPT_EXPORT', /./],
    ['a misspelt hook', `export default { onRequests() {} };`, 'E_SCRIPT_HOOK', /onRequests.*onRequest\b/],
    ['a hook in other letters', `export default { onrequest() {} };`, 'E_SCRIPT_HOOK', /onrequest.*onRequest\b/],
    ['a hook of another version', `export default { onRequestReset() {} };`, 'E_SCRIPT_HOOK', /onRequestReset/],
    ['a hook that is no function', `export default { onRequest: 5 };`, 'E_SCRIPT_HOOK', /onRequest/],
    ['a string as hook', `export default { onLog: "log" };`, 'E_SCRIPT_HOOK', /onLog/],
    [
      'defineFilter of a misspelt hook',
      `import { defineFilter } from "fairlead"; export default defineFilter({ onRespons() {} });`,
      'E_SCRIPT_\\w+',
      /onRespons/,
    ],
    [
      'an import of a package',
      `import { Hono } from "hono";\nexport default {};`,
      'E_SCRIPT_IMPORT',
      /hono.*fairlead build/,
    ],
    ['an import of a file', `import x from "./other.js";\nexport default {};`, 'E_SCRIPT_IMPORT', /other\.js/],
    ['an import of a Node module', `import fs from "node:fs";\nexport default {};`, 'E_SCRIPT_IMPORT', /node:fs/],
    [
      'an import of a name that fairlead lacks',
      `import { slep } from "fairlead";\nexport default {};`,
      'E_SCRIPT_\\w+',
      /slep/,
    ],
  ];

  test.each(shapes)('%s is refused with a message of its own', async (_, inline, code, pattern) => {
    const found = await refusal({ inline });
    expect(found.code).toMatch(new RegExp(`^${code}$`));
    expect(found.text).toMatch(pattern);
  });

  test('a string that looks like source is refused at its own place, too', async () => {
    const found = await refusal(`export default {\n  onRequest( {\n};`);
    expect(found).toMatchObject({ code: 'E_SCRIPT_SYNTAX' });
    expect(found.line).toBeGreaterThanOrEqual(2);
  });
});

describe('a configure() that cannot end well (H408)', () => {
  test.each([
    ['throws a string', `export default { configure() { throw "bad realm"; } };`, 'E_CONFIGURE_THROW'],
    ['throws null', `export default { configure() { throw null; } };`, 'E_CONFIGURE_THROW'],
    ['rejects with undefined', `export default { configure() { return Promise.reject(); } };`, 'E_CONFIGURE_THROW'],
    ['never settles', `export default { configure() { return new Promise(() => {}); } };`, 'E_TOP_LEVEL_PENDING'],
    ['loops', `export default { configure() { for (;;); } };`, 'E_LOAD_LIMIT'],
    [
      'grows',
      `export default { configure() { const all = []; for (;;) all.push(new ArrayBuffer(1 << 20)); } };`,
      'E_MEMORY_LIMIT|E_LOAD_LIMIT',
    ],
    ['recurses', `export default { configure() { this.configure(); } };`, 'E_STACK_LIMIT|E_CONFIGURE_THROW'],
    ['fetches', `export default { async configure() { await fetch("http://a/"); } };`, 'E_CONFIGURE_THROW|E_NO_STREAM'],
    [
      'sleeps',
      `import { sleep } from "fairlead"; export default { async configure() { await sleep(1); } };`,
      'E_CONFIGURE_THROW|E_NO_STREAM',
    ],
  ])('it %s: the config is refused and startup does not hang', async (_, inline, code) => {
    const startMs = performance.now();
    const found = await refusal({ inline, limits: { load_ms: 200 } });
    expect(found.code).toMatch(new RegExp(`^(${code})$`));
    expect(performance.now() - startMs).toBeLessThan(5_000);
  });
});

describe('a file (H405)', () => {
  test.each([
    ['that is missing', 'missing.js', async () => undefined],
    ['in a folder that is missing', 'no/such/folder.js', async () => undefined],
    ['that is a folder', 'folder', async (path: string) => void (await mkdir(path))],
    ['that is a FIFO', 'fifo', async (path: string) => void execFileSync('mkfifo', [path])],
    ['that is a symlink loop', 'loop', async (path: string) => void (await symlink(path, path))],
    [
      'that is over 64 MB',
      'large.js',
      async (path: string) => {
        await writeFile(path, '');
        await truncate(path, 64 * 1024 * 1024 + 1);
      },
    ],
    ['that is empty', 'empty.js', async (path: string) => void (await writeFile(path, ''))],
  ])('%s is refused with its name and the cause', async (_, name, make) => {
    const path = join(folder, name);
    await make(path);
    const { code, text } = await refusal({ file: path });
    expect(code).toBe('E_CONFIG_FILE');
    expect(text).toContain(path);
  });

  test('that is a device is refused and not read for ever', async () => {
    expect((await refusal({ file: '/dev/zero' })).code).toBe('E_CONFIG_FILE');
  });

  test('with a name that no file can have is refused', async () => {
    for (const file of ['a'.repeat(5_000), '/a\u0000b']) {
      expect((await refusal({ file })).code).toMatch(/^E_CONFIG_(FILE|VALUE)$/);
    }
  });

  test('with a mistake is refused at its own place', async () => {
    const path = join(folder, 'mistake.js');
    await writeFile(path, `export default {\n  onRequest() {\n    return new Response("a" "b");\n  },\n};`);
    const found = await refusal({ file: path });
    expect(found).toMatchObject({ code: 'E_SCRIPT_SYNTAX', line: 3 });
    expect(found.file).toContain('mistake.js');
  });

  test('that only looks like a program is refused (H501)', async () => {
    const contents = {
      'a.elf': Buffer.from('\x7fELF\x02\x01\x01\0\0\0'),
      'a.zip': Buffer.from('PK\x03\x04\x14\0'),
      'a.bin': Buffer.from([0, 1, 2, 255, 254]),
    };
    for (const [name, bytes] of Object.entries(contents)) {
      const path = join(folder, name);
      await writeFile(path, bytes);
      expect((await refusal({ file: path })).code).toMatch(/^E_(SCRIPT_SYNTAX|CONFIG_FILE)$/);
    }
  });
});

describe('bytecode that is none (H411, H501)', () => {
  test.each([
    ['no base64', '!!!'],
    ['base64 that breaks off', 'AAAAA'],
    ['base64 of source', Buffer.from(good).toString('base64')],
    ['base64 of one byte', 'AA=='],
    ['base64 of random bytes', Buffer.from(Array.from({ length: 300 }, (_, i) => (i * 37) & 255)).toString('base64')],
  ])('%s is refused', async (_, bytecode) => {
    expect((await refusal({ bytecode })).code).toMatch(/^E_(CONFIG_VALUE|BYTECODE_\w+)$/);
  });
});

describe('a config that comes while Envoy runs', () => {
  test('replaces the old one when it is good, and changes nothing when it is bad (F055, F059)', async () => {
    const answering = (text: string): JsonObject =>
      fairlead({ inline: `export default { onRequest() { return new Response("${text}"); } };` });
    await withEnvoy({ dynamic: true, filters: [answering('one')], errorsExpected: true }, async (envoy) => {
      expect((await request(envoy)).text()).toBe('one');
      expect((await envoy.update({ filters: [answering('two')] })).accepted).toBe(true);
      expect((await request(envoy)).text()).toBe('two');
      const bad = [
        { inline: 'export default {' },
        { inline: good, limts: {} },
        { file: '/missing' },
        { inline: `throw 1; export default {};` },
      ];
      for (const config of bad) {
        const { accepted, entries } = await envoy.update({ filters: [fairlead(config)] });
        expect(accepted).toBe(false);
        expect(entries.filter(readFault)).toHaveLength(1);
        expect((await request(envoy)).text()).toBe('two');
      }
      const stats = await envoy.stats('dynamic_modules.config_init_error');
      // Envoy counts them since 1.39.
      expect(Object.values(stats).reduce((sum, value) => sum + value, 0)).toBe(envoyMinor >= 39 ? bad.length : 0);
      expect((await envoy.update({ filters: [answering('three')] })).accepted).toBe(true);
      expect((await request(envoy)).text()).toBe('three');
    });
  });

  test('leaves waiting streams on the config they began with (F059)', async () => {
    const waiting = (text: string): JsonObject =>
      fairlead({
        inline: `import { sleep } from "fairlead";
          export default { async onRequest(request, ctx) { await sleep(150); return new Response("${text} " + ctx.config.name); } };`,
        config: { name: text },
      });
    await withEnvoy({ dynamic: true, filters: [waiting('old')], clusters: { upstream } }, async (envoy) => {
      const pending = request(envoy);
      const held = async (): Promise<boolean> => (await envoy.gauge('downstream_rq_active')) === 1;
      await waitFor('a held stream', held);
      expect((await envoy.update({ filters: [waiting('new')] })).accepted).toBe(true);
      expect((await pending).text()).toBe('old old');
      expect((await request(envoy)).text()).toBe('new new');
    });
  });
});

describe('the console', () => {
  test("writes to Envoy's log at the right level with the script's file and line (F085)", async () => {
    const inline = `export default { onRequest(request) {
      console.log("log", 1, { a: [1, { b: null }] }, "x");
      console.info("info %s %d %j", "s", 5);
      console.warn("warn");
      console.error("error", new Error("inside"));
      console.debug("debug");
      console.trace("trace");
      console.assert(true, "not written");
      console.assert(false, "assert");
      console.info("two\\nlines \\x1b[31mred\\0");
      console.info("y".repeat(20_000));
    } };`;
    const filters = [fairlead({ inline })];
    await withEnvoy({ filters, clusters: { upstream }, logLevel: 'trace', errorsExpected: true }, async (envoy) => {
      await request(envoy);
      await envoy.waitForLog(({ message }) => message.includes('yyyy'));
      const entries = envoy.logs().filter(({ logger }) => logger === 'dynamic_modules');
      const find = (text: string): { level: string; line: number; message: string } => {
        const found = entries.filter(({ message }) => message.includes(text));
        const [entry] = found;
        if (entry === undefined) return { level: 'none', line: 0, message: '' };
        expect(found).toHaveLength(1);
        // Envoy takes the place beside the text since 1.40.
        expect(entry.file === 'inline').toBe(envoyMinor >= 40);
        return { level: entry.level, line: placeOf(entry).line, message: entry.message };
      };
      expect(find('log 1')).toMatchObject({ level: 'info', line: 2 });
      // Filter and request are named.
      expect(find('log 1').message).toMatch(/^test: \[[0-9a-f-]{36}\] log 1 \{ a: \[ 1, \{ b: null \} \] \} x/);
      expect(find('info s 5')).toMatchObject({ level: 'info', line: 3 });
      expect(find('warn')).toMatchObject({ level: 'warning', line: 4 });
      expect(find('inside')).toMatchObject({ level: 'error', line: 5 });
      expect(find('debug')).toMatchObject({ level: 'debug', line: 6 });
      expect(find('trace')).toMatchObject({ level: 'trace', line: 7 });
      expect(find('not written').level).toBe('none');
      expect(find('assert').line).toBe(9);
      expect(find('red').message).toMatch(/two\\nlines .*red/);
      expect(find('yyyy').message.length).toBeLessThan(8_192 + 200);
    });
  });

  test('has a cap on lines per stream (F086, H128)', async () => {
    const inline = `export default { onRequest() { for (let i = 0; i < 10_000; i++) console.info("line", i, "end"); } };`;
    const options = { filters: [fairlead({ inline, limits: { cpu_ms: 1_000 } })], clusters: { upstream } };
    await withEnvoy(options, async (envoy) => {
      await request(envoy);
      await envoy.waitForLog(({ message }) => /dropped/.test(message));
      expect(envoy.logs().filter(({ message }) => /line \d+ end/.test(message))).toHaveLength(100);
      expect(envoy.logs().filter(({ message }) => /dropped/.test(message))).toHaveLength(1);
    });
  });

  test('works at the top level and in configure()', async () => {
    const inline = `console.warn("at the top"); export default { configure() { console.warn("configuring"); } };`;
    await withEnvoy({ filters: [fairlead({ inline })] }, async (envoy) => {
      await envoy.waitForLog(({ message }) => message.includes('at the top'));
      await envoy.waitForLog(({ message }) => message.includes('configuring'));
      expect(await request(envoy)).toMatchObject({ status: 200 });
    });
  });
});
