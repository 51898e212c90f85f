// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The running builds against host_api.def and host_errors.def: every name that a script can reach, in a real Envoy and
// in the emulator, and every error. types.test.ts holds the declarations to the same rows, bind.test.ts the C++.

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { QuickJS } from 'quickjs-wasi';
import { beforeAll, describe, expect, test } from 'vitest';
import { build } from '../bundler/index.ts';
import { paths } from '../bundler/toolchain/paths.ts';
import { readErrorRows, readRows, requiredCount, type Row } from '../sdk-types/rows.ts';
import { runInEmulator, runInEnvoy, type Result } from './conformance/hosts.ts';
import { provocations, scriptOf, unprovoked } from './contract/errors.ts';

const rows = readRows();
const hosts = { Envoy: runInEnvoy, emulator: runInEmulator };
const hostNames = ['Envoy', 'emulator'] as const;

/** An object as contract/surface.js gives it. */
interface Shape {
  parent: string;
  members: Record<string, string>;
}

interface Surface {
  globals: Record<string, string>;
  objects: Record<string, Shape>;
}

// --- What the language brings: every name is here, so that one more or one less in a later engine shows ---

const constructors = [
  ...['Object', 'Function', 'Boolean', 'Symbol', 'Number', 'BigInt', 'String', 'RegExp', 'Date', 'Promise', 'Proxy'],
  ...['Error', 'AggregateError', 'EvalError', 'RangeError', 'ReferenceError', 'SuppressedError', 'SyntaxError', 'TypeError'],
  ...['URIError', 'Iterator', 'Array', 'Map', 'Set', 'WeakMap', 'WeakSet', 'ArrayBuffer', 'DataView', 'DisposableStack'],
  ...['AsyncDisposableStack', 'Int8Array', 'Uint8Array', 'Uint8ClampedArray', 'Int16Array', 'Uint16Array', 'Int32Array'],
  ...['Uint32Array', 'BigInt64Array', 'BigUint64Array', 'Float16Array', 'Float32Array', 'Float64Array'],
  // The engine's own.
  'InternalError',
];
const functions = [
  ...['eval', 'parseInt', 'parseFloat', 'isNaN', 'isFinite', 'escape', 'unescape'],
  ...['decodeURI', 'decodeURIComponent', 'encodeURI', 'encodeURIComponent'],
];
const namespaces = ['Math', 'Reflect', 'JSON'];

const language: Record<string, string> = {
  ...Object.fromEntries([...constructors, ...functions].map((name) => [name, `function ${name} wc`])),
  ...Object.fromEntries(namespaces.map((name) => [name, `object ${name} wc`])),
  globalThis: 'object globalThis wc',
  Infinity: 'number Infinity',
  NaN: 'number NaN',
  undefined: 'undefined undefined',
  '[Symbol.toStringTag]': 'string "global" c',
};

// --- What the rows say ---

function of(cls: string, ...kinds: string[]): Row[] {
  return rows.filter((row) => row.cls === cls && kinds.includes(row.kind));
}

/** A member as surface.js writes it. */
function memberOf(row: Row): [name: string, text: string] {
  const { kind, cls, member, other } = row;
  const target = rows.find((candidate) => candidate.cls === cls && candidate.member === other);
  const texts: Record<string, string> = {
    HOST_FN: `method ${member}(${requiredCount(row)}) wec`,
    HOST_STATIC: `method ${member}(${requiredCount(row)}) wec`,
    HOST_GET: `getter get ${member} ec`,
    HOST_GETSET: `accessor get ${member} ec`,
    HOST_ALIAS: `the same as ${target?.member} wc`,
    HOST_CONST: `number ${other} e`,
  };
  return [kind === 'HOST_ALIAS' ? `[${member}]` : member, texts[kind] ?? ''];
}

function tag(name: string): Record<string, string> {
  return { '[Symbol.toStringTag]': `string "${name}" c` };
}

function shapesOfClass({ cls, other }: Row): Record<string, Shape> {
  const [constructor] = of(cls, 'HOST_NEW');
  const constants = Object.fromEntries(of(cls, 'HOST_CONST').map(memberOf));
  return {
    [cls]: {
      // An error of the Web has an ordinary constructor.
      parent: other === 'Object' || other === 'Error' ? 'Function.prototype' : other,
      members: {
        length: `number ${constructor === undefined ? 0 : requiredCount(constructor)} c`,
        name: `string "${cls}" c`,
        prototype: `object ${cls}.prototype`,
        ...Object.fromEntries(of(cls, 'HOST_STATIC').map(memberOf)),
        ...constants,
      },
    },
    [`${cls}.prototype`]: {
      parent: `${other}.prototype`,
      members: {
        constructor: `function ${cls} wc`,
        ...Object.fromEntries(of(cls, 'HOST_FN', 'HOST_GET', 'HOST_GETSET', 'HOST_ALIAS').map(memberOf)),
        ...constants,
        ...tag(cls),
      },
    },
  };
}

/** The names of globalThis that are objects. */
const objects = ['console', 'performance', 'navigator'];

/** An object that is of no class of its own. */
function objectOf(name: string, tagName: string): Shape {
  return { parent: 'Object.prototype', members: { ...Object.fromEntries(of(name, 'HOST_FN', 'HOST_GET').map(memberOf)), ...tag(tagName) } };
}

/** Iterators of a class have one prototype, with `next` alone. */
function shapesOfIterators(cls: string, names: readonly string[]): Record<string, Shape> {
  const prototype = `(prototype of ${cls}.${names[0]}())`;
  return {
    [prototype]: { parent: 'Iterator.prototype', members: { next: 'method next(0) wec', ...tag(`${cls} Iterator`) } },
    ...Object.fromEntries(names.map((name) => [`${cls}.${name}()`, { parent: prototype, members: {} }])),
  };
}

/** The whole surface, but for the objects of the language. */
function expectedSurface(): Surface {
  const classes = rows.filter(({ kind }) => kind === 'HOST_CLASS');
  const globalFunctions = of('globals', 'HOST_FN');
  const instances: Record<string, string> = {
    request: 'Request',
    response: 'Response',
    'request.headers': 'Headers',
    'response.headers': 'Headers',
    'ctx.signal': 'AbortSignal',
    crypto: 'Crypto',
    'crypto.subtle': 'SubtleCrypto',
    state: 'Object',
    config: 'Object',
  };
  const parts: Record<string, string> = {
    ctx: 'Context',
    'ctx.attributes': 'Attributes',
    'ctx.connection': 'Connection',
    'ctx.metadata': 'Metadata',
    'ctx.filterState': 'FilterState',
    'ctx.route': 'Route',
    'ctx.cluster': 'Cluster',
    'ctx.runtime': 'RuntimeKeys',
    'ctx.secrets': 'Secrets',
    'a Secret': 'Secret',
    'ctx.span': 'Span',
  };
  const iterating = [...new Set(rows.filter(({ returns }) => returns === 'Iterator').map(({ cls }) => cls))];
  return {
    globals: {
      ...language,
      ...Object.fromEntries(classes.map(({ cls }) => [cls, `function ${cls} wc`])),
      // The engine keeps its own functions out of enumerations.
      ...Object.fromEntries(globalFunctions.map(({ member, stem }) => [member, `function ${member} ${stem === 'engine' ? 'wc' : 'wec'}`])),
      ...Object.fromEntries(objects.map((name) => [name, `object ${name} wc`])),
      self: 'object globalThis wc',
      crypto: 'object crypto wc',
    },
    objects: {
      ...Object.assign({}, ...classes.map(shapesOfClass)),
      ...Object.fromEntries(
        globalFunctions.map((row) => [
          row.member,
          {
            parent: 'Function.prototype',
            members: { length: `number ${requiredCount(row)} c`, name: `string "${row.member}" c` },
          },
        ]),
      ),
      console: {
        parent: 'an object without a name',
        members: { ...Object.fromEntries(of('console', 'HOST_FN').map(memberOf)), ...tag('console') },
      },
      performance: objectOf('performance', 'Performance'),
      navigator: objectOf('navigator', 'Navigator'),
      ...Object.fromEntries(
        ['Counter', 'Gauge', 'Histogram'].flatMap((cls) => [
          [`(prototype of a ${cls})`, objectOf(cls, cls)],
          [`a ${cls}`, { parent: `(prototype of a ${cls})`, members: {} }],
        ]),
      ),
      shared: objectOf('shared', 'shared'),
      // What a module exports cannot be changed.
      fairlead: {
        parent: 'null',
        members: {
          ...Object.fromEntries(
            of('fairlead', 'HOST_FN')
              .map(memberOf)
              .map(([name, text]) => [name, text.replace('wec', 'we')]),
          ),
          ...Object.fromEntries(of('fairlead', 'HOST_GET').map(({ member }) => [member, `object ${member} we`])),
          '[Symbol.toStringTag]': 'string "Module"',
        },
      },
      ...Object.fromEntries(
        Object.entries(parts).map(([name, cls]) => [
          `(prototype of ${name})`,
          {
            parent: 'Object.prototype',
            members: { ...Object.fromEntries(of(cls, 'HOST_GET', 'HOST_GETSET', 'HOST_FN').map(memberOf)), ...tag(cls) },
          },
        ]),
      ),
      ...Object.fromEntries(Object.keys(parts).map((name) => [name, { parent: `(prototype of ${name})`, members: {} }])),
      env: {
        parent: 'Object.prototype',
        members: { filterName: 'string "script-0" e', version: 'string "0.0.0" e', validating: 'boolean false e' },
      },
      ...Object.fromEntries(Object.entries(instances).map(([name, cls]) => [name, { parent: `${cls}.prototype`, members: {} }])),
      ...Object.assign(
        {},
        ...iterating.map((cls) =>
          shapesOfIterators(
            cls,
            rows.filter((row) => row.cls === cls && row.returns === 'Iterator').map(({ member }) => member),
          ),
        ),
      ),
    },
  };
}

/** What `member of holder` is, for every member: a difference names its row. */
function flat(objects: Record<string, Shape>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(objects).flatMap(([holder, { parent, members }]) => [
      [`parent of ${holder}`, parent],
      ...Object.entries(members).map(([name, text]) => [`${name} of ${holder}`, text]),
    ]),
  );
}

describe('the surface of a script', () => {
  const surfaces: Record<string, Surface> = {};
  let plainEngine: Surface;
  const expected = expectedSurface();
  const isOfLanguage = (name: string): boolean => name.replace(/\.prototype$/, '') in language;
  const only = (objects: Record<string, Shape>, wanted: (name: string) => boolean): Record<string, Shape> =>
    Object.fromEntries(Object.entries(objects).filter(([name]) => wanted(name)));

  beforeAll(async () => {
    const { bytes } = await build({ entry: fileURLToPath(new URL('./contract/filter.js', import.meta.url)), check: false });
    const limits = { cpu_ms: 10_000, stream_cpu_ms: 10_000 };
    const scripts = [{ filter: { bytecode: bytes, limits, secrets: { a: { inline: 'b' } } }, exchanges: [{}] }];
    for (const [name, run] of Object.entries(hosts)) {
      const [result] = await run(scripts);
      const text = Buffer.from(result?.outcomes[0]?.client?.body ?? '', 'latin1').toString();
      surfaces[name] = JSON.parse(text) as Surface;
    }
    const wasm = readFileSync(fileURLToPath(import.meta.resolve('quickjs-wasi/quickjs.wasm')));
    using vm = await QuickJS.create({ wasm });
    const source = readFileSync(new URL('./contract/surface.js', import.meta.url), 'utf8').replace('export function', 'function');
    using text = vm.evalCode(`${source}; JSON.stringify(surface({}))`);
    plainEngine = JSON.parse(text.toString()) as Surface;
  });

  test.each(hostNames)('has every global of the rows and of the language in %s, and no other (F079, F103, F105)', (host) => {
    expect(surfaces[host]?.globals).toEqual(expected.globals);
  });

  test.each(hostNames)('has every member of the rows in %s, and no other (F079, F103, F105)', (host) => {
    const own = only(surfaces[host]?.objects ?? {}, (name) => !isOfLanguage(name));
    // What these are changes from one exchange to the next.
    const { members: attributes = {}, parent = '' } = own['ctx.attributes'] ?? {};
    expect(Object.keys(attributes)).toEqual(of('Attributes', 'HOST_ATTRIBUTE').map(({ member }) => member));
    own['ctx.attributes'] = { parent, members: {} };
    // The polyfill of streams has steps of its own on prototypes, under symbols that no script has.
    const visible = Object.fromEntries(Object.entries(flat(own)).filter(([name]) => !name.startsWith('[[[')));
    expect(visible).toEqual(flat(expected.objects));
  });

  test.each(hostNames)('leaves the objects of the language as the engine makes them in %s (F104)', (host) => {
    const found = only(surfaces[host]?.objects ?? {}, isOfLanguage);
    expect(Object.keys(found).length).toBeGreaterThan(80);
    expect(flat(found)).toEqual(flat(only(plainEngine.objects, isOfLanguage)));
  });
});

describe('an error that scripts can see', () => {
  const visible = readErrorRows().filter(({ cls }) => cls !== 'Log');
  const results: Record<string, readonly Result[]> = {};

  beforeAll(async () => {
    const scripts = provocations.map(scriptOf);
    for (const [name, run] of Object.entries(hosts)) results[name] = await run(scripts);
  }, 120_000);

  test('is provoked by a script, or there is a reason why none can (F108)', () => {
    const known = [...provocations.map(({ code }) => code), ...Object.keys(unprovoked)];
    expect([...new Set(known)].sort()).toEqual(visible.map(({ code }) => code).sort());
    expect(provocations.filter(({ code }) => code in unprovoked)).toEqual([]);
  });

  for (const [i, { code, run, endsHook = false }] of provocations.entries()) {
    test(`${code} comes of \`${run}\`, with its class, in Envoy and in the emulator (F108)`, () => {
      const cls = visible.find((row) => row.code === code)?.cls ?? '';
      const constructor = /^(TypeError|RangeError|Error)$/.test(cls) ? cls : 'DOMException';
      const wanted = endsHook ? `error ${code}` : `info ${JSON.stringify([constructor, cls, code])}`;
      for (const host of hostNames) {
        const lines = results[host]?.[i]?.log.map(({ level, text }) => `${level} ${endsHook ? text.split(':')[0] : text}`);
        expect([host, lines]).toEqual([host, [wanted]]);
      }
      expect(results['Envoy']?.[i]?.log).toEqual(results['emulator']?.[i]?.log);
    });
  }
});

describe('the codes of host_errors.def', () => {
  const codes = readErrorRows().map(({ code }) => code);

  /** The files of a folder, by their names' ends. */
  function filesIn(folder: string, ...ends: readonly string[]): string[] {
    const names = readdirSync(join(paths.repoRoot, folder));
    return names.filter((name) => ends.some((end) => name.endsWith(end))).map((name) => join(paths.repoRoot, folder, name));
  }

  /** Codes that stand as texts in the files, comments left out. */
  function codesIn(files: readonly string[]): Set<string> {
    const lines = files.flatMap((file) => readFileSync(file, 'utf8').split('\n')).filter((line) => !/^\s*(\/\/|\*)/.test(line));
    const texts = lines.flatMap((line) => line.match(/(['"`])(?:\\.|(?!\1).)*\1|ErrorCode::\w+/g) ?? []);
    return new Set(texts.flatMap((text) => text.match(/\bE_[A-Z_]+\b/g) ?? []));
  }

  test('are each asserted by a test (F108)', () => {
    const asserted = codesIn([
      ...filesIn('test', '.test.ts'),
      ...filesIn('test/conformance', '.ts'),
      ...filesIn('test/contract', 'errors.ts'),
      ...filesIn('test/webapi', '.js'),
      ...filesIn('bundler', '.test.ts'),
      ...filesIn('filter-cc', '_test.cc'),
      ...filesIn('filter-cc/builtins', '.test.ts'),
      ...filesIn('quickjs', '_test.cc'),
    ]);
    expect(codes.filter((code) => !asserted.has(code))).toEqual([]);
  });

  test('are all that the core and the engine raise (F108)', () => {
    const isOwn = (file: string): boolean => !file.endsWith('_test.cc');
    const raised = codesIn([
      ...filesIn('filter-cc', '.cc').filter(isOwn),
      ...filesIn('filter-cc/builtins', 'compression.ts', 'console.ts', 'events.ts'),
      ...filesIn('quickjs', '.cc').filter(isOwn),
    ]);
    // What the engine says of a compilation; script.cc and the bundler put it in words of their own.
    const reworded = ['E_BYTECODE', 'E_JSON', 'E_SYNTAX', 'E_UNKNOWN_IMPORT'];
    expect([...raised].filter((code) => !codes.includes(code)).sort()).toEqual(reworded);
    // A row that nothing raises is of no use.
    expect(codes.filter((code) => !raised.has(code))).toEqual([]);
  });
});
