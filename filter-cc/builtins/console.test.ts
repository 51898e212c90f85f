// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Engine } from './testing/engine.ts';

let engine: Engine;

beforeEach(async () => {
  engine = await Engine.create('console');
});

afterEach(() => {
  engine.dispose();
});

/** The texts of values, each an expression, or a list of arguments in brackets. */
function formatted(...values: string[]): string[] {
  return engine.run(`return [${values.map((value) => `format(${value})`).join(', ')}]`);
}

describe('formats (W01)', () => {
  it('puts arguments in place of the specifiers and the rest behind', () => {
    expect(
      formatted(
        `'%s is %d or %i, %f', 'a', 4.9, '17px', '1.5x', 'rest', { a: 1 }`,
        `'%o %O%c|', [1], { a: 1 }, 'color: red'`,
        `'100%', 1`,
        `'%% %s %%', 'a'`,
        `'%s %s %q', 'a'`,
        `'%s'`,
        `'%%'`,
        `'%', 1`,
        `1, '%s', 'a'`,
        `'%c%c', 1`,
        `''`,
        ``,
      ),
    ).toEqual([
      'a is 4 or 17, 1.5 rest { a: 1 }',
      '[ 1 ] { a: 1 }|',
      '100% 1',
      '% a %',
      'a %s %q',
      '%s',
      '%%',
      '% 1',
      '1 %s a',
      '%c',
      '',
      '',
    ]);
  });

  it('converts by the specifier, and never by what the script wrote', () => {
    expect(
      formatted(
        `'%s|%s|%s|%s|%s', -0, 5n, Symbol('s'), null, undefined`,
        `'%s|%s|%s', { toString() { return 'called' } }, [1, [2, [3]]], class A {}`,
        `'%d|%d|%d|%d|%d|%d', '0x10', 1e21, -1.9, 5n, Symbol(), {}`,
        `'%i|%i|%f|%f', NaN, Infinity, 'x', { valueOf() { return 1 } }`,
      ),
    ).toEqual([
      '-0|5n|Symbol(s)|null|undefined',
      '{ toString: [Function: toString] }|[ 1, [Array] ]|[class A]',
      '0|1e+21|-1|5n|NaN|NaN',
      'NaN|NaN|NaN|NaN',
    ]);
  });
});

describe('values (W01)', () => {
  it('shows primitives as they are written', () => {
    expect(formatted(`[1, -0, 1.5, NaN, 5n, true, null, undefined, Symbol('a b'), 'text', '']`)).toEqual([
      "[ 1, -0, 1.5, NaN, 5n, true, null, undefined, Symbol(a b), 'text', '' ]",
    ]);
  });

  it('quotes strings inside of values so that they can be told from their quotes', () => {
    expect(formatted('["it\'s", \'"\', `\'"`, `\'"\\``, "\\\\", "a\\nb"]')).toEqual([
      `[ "it's", '"', \`'"\`, '\\'"\`', '\\\\', 'a\nb' ]`,
    ]);
  });

  it('shows objects with class, keys, accessors and symbols, own and enumerable ones only', () => {
    expect(
      formatted(
        `{}`,
        `{ a: 1, 'b-c': 2, 3: 4, '': 5, $d_1: 6, '1a': 7 }`,
        `Object.create({ inherited: 1 }, { hidden: { value: 1 }, seen: { value: 2, enumerable: true } })`,
        `{ get a() { throw 1 }, set b(v) { throw 1 }, get c() { throw 1 }, set c(v) { throw 1 } }`,
        `{ [Symbol('s')]: 1, [Symbol()]: 2 }`,
        `new (class Session { id = 7; #secret = 1; get gone() { throw 1 } })()`,
        `new (class A extends (class B {}) { constructor() { super(); this.x = new Date(0) } })()`,
        `Object.create(null)`,
        `{ __proto__: { constructor: { name: 'no function' } } }`,
        `{ __proto__: { get constructor() { throw 1 } } }`,
        `Object.assign(Object.create({ constructor: Object.assign(() => {}, {}) }), { a: 1 })`,
      ),
    ).toEqual([
      '{}',
      "{ '3': 4, a: 1, 'b-c': 2, '': 5, $d_1: 6, '1a': 7 }",
      '{ seen: 2 }',
      '{ a: [Getter], b: [Setter], c: [Getter/Setter] }',
      '{ [Symbol(s)]: 1, [Symbol()]: 2 }',
      'Session { id: 7 }',
      'A { x: 1970-01-01T00:00:00.000Z }',
      '[Object: null prototype] {}',
      '{}',
      '{}',
      '{ a: 1 }',
    ]);
  });

  it('shows functions and classes', () => {
    expect(
      formatted(
        `function named() {}`,
        `[() => {}][0]`,
        `[class {}][0]`,
        `class B extends Map {}`,
        `async () => {}, function* g() {}, async function* h() {}, Map, parseInt`,
        `Object.assign(function f() {}, { a: 1 })`,
        `Object.defineProperty(function f() {}, 'name', { get() { throw 1 } })`,
      ),
    ).toEqual([
      '[Function: named]',
      '[Function (anonymous)]',
      '[class (anonymous)]',
      '[class B extends Map]',
      '[AsyncFunction (anonymous)] [GeneratorFunction: g] [AsyncGeneratorFunction: h] [class Map] [Function: parseInt]',
      '[Function: f] { a: 1 }',
      '[Function (anonymous)]',
    ]);
  });

  it('shows arrays with their holes, their other properties and how much is missing', () => {
    expect(
      formatted(
        `[]`,
        `[1, , , 2, , ]`,
        `Object.assign([1], { a: 2, '-1': 3 })`,
        `/(b)(?<n>c)/.exec('abc')`,
        `new (class List extends Array {})(3)`,
        `Object.setPrototypeOf([1], null)`,
        `Array.from({ length: 102 }, (_, i) => i).fill(0)`,
        `new Array(1e9)`,
        `Object.defineProperty([1], 0, { get() { throw 1 } })`,
      ),
    ).toEqual([
      '[]',
      '[ 1, <2 empty items>, 2, <1 empty item> ]',
      "[ 1, a: 2, '-1': 3 ]",
      "[ 'bc', 'b', 'c', index: 1, input: 'abc', groups: [Object: null prototype] { n: 'c' } ]",
      'List(3) [ <3 empty items> ]',
      '[Array: null prototype](1) [ 1 ]',
      `[ ${'0, '.repeat(100)}… (2 more) ]`,
      '[ <100 empty items>, … (999999900 more) ]',
      '[ [Getter] ]',
    ]);
  });

  it('shows collections, buffers and what wraps a primitive value', () => {
    expect(
      formatted(
        `new Map([['k', { a: 1 }], [{}, 'v']])`,
        `new Set([1, 'a', new Set()])`,
        `new (class Cache extends Map {})()`,
        `new Map(Array(1).fill([1, 2])), new Set(Array(103).keys())`,
        `new WeakMap(), new WeakSet()`,
        `new Uint8Array([1, 2]), new BigInt64Array([3n]), new Float64Array(0)`,
        `new Uint8Array(1000)`,
        `new ArrayBuffer(8), new DataView(new ArrayBuffer(1))`,
        `new Number(-0), Object('abc'), new Boolean(false), Object(5n), Object(Symbol('s'))`,
        `new Date(0), new Date(NaN), /a\\/b/dgimsuy, /x/v`,
        `Promise.resolve(1), (function* () {})(), [].values(), Math`,
        `(function () { return arguments })(1)`,
      ),
    ).toEqual([
      "Map(2) { 'k' => { a: 1 }, {} => 'v' }",
      "Set(3) { 1, 'a', Set(0) {} }",
      'Cache(0) {}',
      `Map(1) { 1 => 2 } Set(103) { ${Array.from({ length: 100 }, (_, i) => `${i}, `).join('')}… (3 more) }`,
      'WeakMap { <items unknown> } WeakSet { <items unknown> }',
      'Uint8Array(2) [ 1, 2 ] BigInt64Array(1) [ 3n ] Float64Array(0) []',
      `Uint8Array(1000) [ ${'0, '.repeat(100)}… (900 more) ]`,
      'ArrayBuffer { byteLength: 8 } DataView {}',
      "[Number: -0] [String: 'abc'] [Boolean: false] [BigInt: 5n] [Symbol: Symbol(s)]",
      '1970-01-01T00:00:00.000Z Invalid Date /a\\/b/dgimsuy /x/v',
      'Promise {} Generator {} Array Iterator {} {}',
      "Arguments { '0': 1 }",
    ]);
  });

  it('shows errors with what describes them, their code, their cause and what was put on them', () => {
    expect(
      formatted(
        `new Error('a')`,
        `{ e: new Error('b') }`,
        `Object.assign(new Error('c', { cause: new Error('d') }), { status: 1, code: 'E_X' })`,
        `Object.defineProperty(new Error('e'), 'code', { value: 'E_HIDDEN' })`,
        `new AggregateError([new Error('f')], 'g')`,
      ),
    ).toEqual([
      'Error: a at test (test.ts:1:1)',
      '{ e: [Error: b at test (test.ts:1:1)] }',
      "Error: c at test (test.ts:1:1) { [cause]: [Error: d at test (test.ts:1:1)], status: 1, code: 'E_X' }",
      "Error: e at test (test.ts:1:1) { [code]: 'E_HIDDEN' }",
      'Error: g at test (test.ts:1:1) { [errors]: [ [Error: f at test (test.ts:1:1)] ] }',
    ]);
  });

  it('shows what the host keeps behind an object', () => {
    expect(
      engine.run(`
        class Headers {}
        const headers = new Headers();
        host.entries.set(headers, [2, 'a', 'b', 'content-type', "it's"]);
        return format(headers, new Headers());`),
    ).toBe(`Headers { a: 'b', 'content-type': "it's" } Headers {}`);
  });

  it('shows what an object of the host is, and what it holds', () => {
    expect(
      engine.run(`
        class Request {}
        class URLSearchParams {}
        const request = Object.assign(new Request(), { own: 1 });
        host.members.set(request, ['method', 'GET', 'inner', new Map([[1, request]])]);
        const params = new URLSearchParams();
        host.entries.set(params, [4, 'a', "it's", '', { b: 1 }]);
        return format(request, [params]);`),
    ).toBe(
      `Request { method: 'GET', inner: Map(1) { 1 => [Circular] }, own: 1 } [ URLSearchParams { a: "it's", '': { b: 1 }, … (2 more) } ]`,
    );
  });

  it('goes four levels deep, marks cycles and does not take a value that comes twice for one', () => {
    expect(
      engine.run(`
        const deep = (n) => (n === 0 ? { end: [1] } : { a: deep(n - 1) });
        const cycle = { name: 'c' };
        cycle.self = cycle;
        cycle.list = [cycle, new Map([[cycle, cycle]])];
        const twice = { x: 1 };
        const nested = { e: { e: { e: { e: { e: new Map(), a: [], f() {}, d: new Date(0), r: /x/ } } } } };
        return [format(deep(4)), format(deep(5)), format(cycle), format([twice, twice]), format(nested)];`),
    ).toEqual([
      '{ a: { a: { a: { a: { end: [Array] } } } } }',
      '{ a: { a: { a: { a: { a: [Object] } } } } }',
      "{ name: 'c', self: [Circular], list: [ [Circular], Map(1) { [Circular] => [Circular] } ] }",
      '[ { x: 1 }, { x: 1 } ]',
      '{ e: { e: { e: { e: { e: [Map], a: [Array], f: [Function: f], d: 1970-01-01T00:00:00.000Z, r: /x/ } } } } }',
    ]);
  });
});

describe('dir and table (W01)', () => {
  it('shows one value, as deep as asked', () => {
    expect(
      engine.run(`
        const deep = { a: { b: { c: { d: { e: { f: {} } } } } } };
        return [dir('text'), dir(), dir(1, 2), dir(deep), dir(deep, { depth: 0 }), dir(deep, { depth: null }),
          dir(deep, { depth: -1 }), dir(deep, { get depth() { throw 1 } }), dir(deep, new Proxy({},
            { get() { throw 1 } }))];`),
    ).toEqual([
      "'text'",
      'undefined',
      '1',
      '{ a: { b: { c: { d: { e: [Object] } } } } }',
      '{ a: [Object] }',
      '{ a: { b: { c: { d: { e: { f: {} } } } } } }',
      '{ a: { b: { c: { d: { e: [Object] } } } } }',
      '{ a: { b: { c: { d: { e: [Object] } } } } }',
      '{ a: { b: { c: { d: { e: [Object] } } } } }',
    ]);
  });

  it('shows rows and columns', () => {
    expect(
      engine.run(`
        return [table([{ a: 1, b: 'x' }, { b: 2, c: { d: 1 } }, 5]), table({ r: { v: 1 }, s: [7] }), table([[1, 2],
          [3]]),
          table(new Map([['k', { a: 1 }]])), table(new Set(['v', null])), table([{ a: 1, b: 2 }], ['b', 'z']),
          table([]), table('text'), table(), table(new Proxy([], {})), table([{ get a() { throw 1 } }, () => 1]),
          table(Array(103).fill(1)).slice(-23), table(new Set(Array(103).keys())).slice(-24)];`),
    ).toEqual([
      "(index) | a | b | c | Values; 0 | 1 | 'x' |  | ; 1 |  | 2 | { d: 1 } | ; 2 |  |  |  | 5",
      '(index) | 0 | v; r |  | 1; s | 7 | ',
      '(index) | 0 | 1; 0 | 1 | 2; 1 | 3 | ',
      "(iteration index) | Key | Values; 0 | 'k' | { a: 1 }",
      "(iteration index) | Values; 0 | 'v'; 1 | null",
      '(index) | b | z; 0 | 2 | ',
      '[]',
      'text',
      'undefined',
      '[Proxy]',
      '(index) | a | Values; 0 | undefined | ; 1 |  | [Function (anonymous)]',
      '| 1; 99 | 1; … (3 more)',
      ' 98; 99 | 99; … (3 more)',
    ]);
  });
});

describe('bounds and hostile values (H124, H128)', () => {
  it('ends every text soon, however much there is to show', () => {
    const lengths = engine.run<number[]>(`
      const wide = (n) => (n === 0 ? 'x'.repeat(50) : Array.from({ length: 100 }, () => wide(n - 1)));
      const values = [['x'.repeat(1e6)], [{ a: 'x'.repeat(1e6), b: 'y'.repeat(1e6) }], [wide(2), 'more'],
        ['%s' + 'z'.repeat(1e6), 'x'.repeat(1e6), 'tail'],
        [Symbol('x'.repeat(1e6))], [{ ['k'.repeat(1e6)]: 1 }], [new RegExp('x'.repeat(1e5))], [7n ** 5000n],
          [new Map([[wide(1), wide(2)]])],
        [new Error('x'.repeat(10))], [Object.fromEntries(Array.from({ length: 1e4 }, (_, i) => ['k' + i, i]))]];
      return [...values.map((args) => format(...args).length), table(wide(2)).length, dir(wide(2),
        { depth: null }).length,
        table(Array.from({ length: 9 }, (_, i) => ({ [i + 'k'.repeat(1e5)]: 1 }))).length];`);
    for (const length of lengths) expect(length).toBeLessThan(40_000);
    const many = `Object.fromEntries(Array.from({ length: 150 }, (_, i) => ['k' + i, 0]))`;
    expect(formatted(`['x'.repeat(8200)]`, many)).toEqual([
      `[ '${'x'.repeat(8192)}'… (8 more) ]`,
      `{ ${Array.from({ length: 100 }, (_, i) => `k${i}: 0, `).join('')}… (50 more) }`,
    ]);
    expect(formatted('7n ** 5000n', '-(7n ** 5000n)')).toEqual(['[BigInt]', '[BigInt]']);
  });

  it('asks no proxy, wherever it stands', () => {
    expect(
      engine.run(`
        const trap = () => { throw new Error('trapped') };
        const handler = new Proxy({}, { get: trap });
        const proxy = new Proxy({}, handler), callable = new Proxy(function () {}, handler);
        const revoked = Proxy.revocable([], {});
        revoked.revoke();
        class A {}
        Object.defineProperty(A, 'name', { value: proxy });
        return [format(proxy, callable, revoked.proxy), format({ proxy, callable }), format(Object.create(proxy)),
          format({ constructor: callable }), format(new Map([[proxy, proxy]])), format(new A()),
            format(Object.setPrototypeOf(() => {}, callable)),
          format(Object.setPrototypeOf(class B {}, callable)), format('%s %d %o', proxy, proxy, proxy),
            table([proxy]), dir(proxy)];`),
    ).toEqual([
      '[Proxy] [Proxy] [Proxy]',
      '{ proxy: [Proxy], callable: [Proxy] }',
      '{}',
      '{ constructor: [Proxy] }',
      'Map(1) { [Proxy] => [Proxy] }',
      '{}',
      '[Function (anonymous)]',
      '[class B]',
      '[Proxy] NaN [Proxy]',
      '(index) | Values; 0 | [Proxy]',
      '[Proxy]',
    ]);
  });

  it('runs nothing of a script that has replaced what it can reach before the first call (H123)', () => {
    engine.before(`
      const { defineProperty } = Object, { ownKeys, getPrototypeOf } = Reflect;
      globalThis.values = [{ a: 1, b: [1, , 'x'] }, new Map([[1, 2]]), new Set([3]), new Date(0), /x/gi, 5n,
        Symbol('s'),
        new Uint8Array([1]), new ArrayBuffer(1), new Error('e'), function f() {}, class A {}, Object(1), Object('s'),
          "it's"];
      globalThis.ran = [];
      const holders = [Object, Reflect, Function.prototype, Array.prototype, String.prototype, Number.prototype,
        BigInt.prototype,
        Symbol.prototype, Map.prototype, Set.prototype, Date.prototype, RegExp.prototype, Error.prototype,
          ArrayBuffer.prototype,
        getPrototypeOf([].values()), getPrototypeOf(new Map().entries()), getPrototypeOf(new Set().values()),
        getPrototypeOf(Uint8Array.prototype), Object.prototype];
      for (let i = 0; i < holders.length; i++) {
        const keys = ownKeys(holders[i]);
        for (let k = 0; k < keys.length; k++) {
          const key = keys[k];
          if (key === 'constructor' || key === '__proto__' || key === 'prototype') continue;
          const evil = () => { ran[ran.length] = key; throw 'ran' };
          try { defineProperty(holders[i], key, { __proto__: null, get: evil, set: evil }) } catch {}
        }
      }
      const names = ['0', '1', 'value', 'get', 'set', 'done', 'writable', 'enumerable', 'depth', 'name', 'object',
        'outer'];
      for (let i = 0; i < names.length; i++) {
        const evil = () => { ran[ran.length] = names[i]; throw 'ran' };
        defineProperty(values[0].__proto__, names[i], { __proto__: null, get: evil, set: evil, configurable: true });
      }
      const globals = ['parseInt', 'parseFloat', 'String', 'Number', 'Object', 'Array', 'Reflect', 'Map', 'Symbol',
        'Date'];
      for (let i = 0; i < globals.length; i++) globalThis[globals[i]] = () => { ran[ran.length] = globals[i];
        throw 'ran' };`);
    expect(
      engine.run(`
        let text = '';
        for (let i = 0; i < values.length; i++) text = text + format(values[i]) + '; ';
        text = text + format('%s %d %f %o', 'a', '1', '2',
          { a: 1 }) + '; ' + dir({ a: 1 }) + '; ' + table({ r: { c: 1 } });
        return text + '; ran ' + (ran.length > 0 ? ran[0] : 'nothing');`),
    ).toBe(
      "{ a: 1, b: [ 1, <1 empty item>, 'x' ] }; Map(1) { 1 => 2 }; Set(1) { 3 }; 1970-01-01T00:00:00.000Z; /x/gi; " +
        '5n; Symbol(s); Uint8Array(1) [ 1 ]; ArrayBuffer { byteLength: 1 }; Error: e at test (test.ts:1:1); ' +
        '[Function: f]; ' +
        "[class A]; [Number: 1]; [String: 's']; it's; a 1 2 { a: 1 }; { a: 1 }; (index) | c; r | 1; ran nothing",
    );
  });
});
