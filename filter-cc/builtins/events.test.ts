import { describe, expect, it } from 'vitest';
import { Engine } from './testing/engine.ts';
describe('x', () => {
  it('y', async () => {
    const e = await Engine.create('events');
    expect(e.run(`return [Event.name, Event.length, AbortSignal.length, EventTarget.prototype.addEventListener.length]`)).toEqual(['Event', 1, 0, 2]);
    const c = await Engine.create('console');
    console.log(c.run(`
      class A { x = 1 } class B extends A {}
      const o = { a: 1, b: [1,,3], s: "it's", [Symbol('q')]: 2n, get g() { throw 1 }, set h(x) {} }; o.self = o;
      const deep = {a:{b:{c:{d:{e:{f:1}}}}}};
      return [format('a', 1, -0, 2n, null, undefined, true, Symbol('x')), format(o), format(new B), format(A, B, () => 1, function q() {}, async () => {}, function*z(){}, Map, parseInt),
       format(new Map([[1, {a:1}]]), new Set(['a']), new Uint8Array([1,2]), new ArrayBuffer(3), new Date(0), new Date(NaN), /a\\/b/gi),
       format(deep), format(new Proxy({}, {get() { throw 1 }})), format(new Error('x'), { e: new TypeError('q') }), format('%s is %d or %i %f %o %O %c %% %q', 'a', 4.2, '17px', '1.5x', [1], {}, 'css', 'more'),
       dir('a'), dir(deep, {depth: null}), table([{a:1,b:'x'},{a:2,c:3}, 5]), table(new Map([['k', 1]])), table(new Set([1])), table({x: {v: 1}}), table([{a:1,b:2}], ['b']), table('s'),
       format(Object.create(null)), format((function*(){})(), Promise.resolve(1), new WeakMap, new DataView(new ArrayBuffer(1)), (function(){return arguments})(1,2), new Number(3), Object('abc'), Object(Symbol.iterator), new DOMException('a', 'AbortError'), Math, globalThis.JSON, Reflect, new (class extends Array {})(3), [1,2,3].values(), new Map().entries(), 'a'.matchAll(/a/g), {__proto__: {constructor: 1}}, {'a-b': 1, 1: 2, '': 3}),
       format(new Array(1e9)), format(Array.from({length: 200}, (_, i) => i)), format('x'.repeat(20000)).length, format({a: 'x'.repeat(20000)}).length];
    `));
  });
});
