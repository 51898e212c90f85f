// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What structuredClone must do.

/** Values that come out as they went in: an expression, and how to look at it. */
const plain = [
  undefined,
  null,
  true,
  -0,
  NaN,
  10n ** 30n,
  'é😀\ud800',
  [],
  [1, [2, [3]]],
  { a: { b: [{ c: null }] } },
  { '': 1, __proto__x: 2, 0: 'zero' },
];

const views = [
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float16Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
  DataView,
];

function values({ equal }) {
  for (const value of plain) {
    const copy = structuredClone(value);
    equal('the value', [copy, Object.is(copy, value)], [value, typeof value !== 'object' || value === null]);
  }
  const wrapped = [new Boolean(false), new Number(5), new String('abc'), Object(7n)];
  for (const value of wrapped) {
    const copy = structuredClone(value);
    equal('a wrapped value', [typeof copy, copy.valueOf(), copy.constructor.name], ['object', value.valueOf(), value.constructor.name]);
  }
  const date = structuredClone(new Date(1e12));
  equal('Date', [date instanceof Date, date.getTime()], [true, 1e12]);
  equal('a Date of no time', Number.isNaN(structuredClone(new Date(NaN)).getTime()), true);
  const pattern = /a(?<x>b)/dgi;
  pattern.lastIndex = 2;
  const regExp = structuredClone(pattern);
  equal('RegExp', [regExp instanceof RegExp, String(regExp), regExp.lastIndex, regExp.test('xAB')], [true, '/a(?<x>b)/dgi', 0, true]);
  const sparse = [1, , 3];
  sparse.length = 9;
  sparse.named = 'n';
  const array = structuredClone(sparse);
  equal('a sparse array', [array.length, 1 in array, array.named, Array.isArray(array)], [9, false, 'n', true]);
  equal('an array of nothing', structuredClone(new Array(5)).length, 5);
  class Point {
    #secret = 1;
    x = 2;
    get y() {
      return this.#secret;
    }
  }
  const point = structuredClone(new Point());
  equal('an instance', [point, Object.getPrototypeOf(point) === Object.prototype], [{ x: 2 }, true]);
  const hidden = Object.defineProperty({ shown: 1, [Symbol.iterator]: 2 }, 'hidden', { value: 3 });
  equal('what is not enumerable, and symbols', Reflect.ownKeys(structuredClone(hidden)), ['shown']);
  equal('no prototype', structuredClone(Object.setPrototypeOf({ a: 1 }, null)).hasOwnProperty('a'), true);
  equal('a getter is called', structuredClone({ get a() { return 5; } }), { a: 5 });
  equal('arguments', structuredClone((function () { return arguments; })(1, 2)), { 0: 1, 1: 2 });
}

function collections({ equal }) {
  const key = { k: 1 };
  const map = structuredClone(new Map([[key, new Set([key])], ['a', NaN]]));
  const [[copiedKey, copiedSet], second] = map;
  equal('Map', [map instanceof Map, map.size, copiedKey, second], [true, 2, { k: 1 }, ['a', NaN]]);
  equal('one object stays one', [copiedSet.has(copiedKey), copiedKey !== key], [true, true]);
  const circle = { list: [], map: new Map(), set: new Set() };
  circle.self = circle;
  circle.list.push(circle);
  circle.map.set(circle, circle);
  circle.set.add(circle);
  const copy = structuredClone(circle);
  equal(
    'a circle',
    [copy !== circle, copy.self === copy, copy.list[0] === copy, copy.map.get(copy) === copy, copy.set.has(copy)],
    [true, true, true, true, true],
  );
  let deep = {};
  for (let i = 0; i < 20_000; i++) deep = { deep };
  let depth = 0;
  for (let at = structuredClone(deep); at.deep !== undefined; at = at.deep) depth++;
  equal('depth', depth, 20_000);
  const growing = new Map([[1, new Error('a')], [2, 2]]);
  Object.defineProperty(growing.get(1), 'name', { get: () => (growing.delete(1), growing.set(3, 3), 'Error') });
  equal('a map that changes', [...structuredClone(growing).keys()], [1, 2]);
  equal('has changed', [...growing.keys()], [2, 3]);
  const losing = { get a() { delete this.b; return 1; }, b: 2, c: 3 };
  equal('an object that changes', structuredClone(losing), { a: 1, c: 3 });
}

function errors({ equal }) {
  for (const Kind of [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError]) {
    const error = new Kind('why');
    error.extra = 1;
    const copy = structuredClone(error);
    equal(Kind.name, [copy instanceof Kind, copy.name, copy.message, copy.stack === error.stack], [true, Kind.name, 'why', true]);
    equal(`${Kind.name}: members`, [copy.extra, Object.hasOwn(copy, 'message'), Object.keys(copy)], [undefined, true, []]);
  }
  class Mine extends TypeError {
    name = 'Mine';
  }
  const mine = structuredClone(new Mine('m'));
  equal('a class of errors', [mine.constructor === Error, mine.name, mine.message], [true, 'Error', 'm']);
  equal('an error without a message', Object.hasOwn(structuredClone(new Error()), 'message'), false);
  const exception = structuredClone(new DOMException('m', 'AbortError'));
  equal('DOMException', [exception instanceof DOMException, exception.name, exception.message, exception.code], [true, 'AbortError', 'm', 20]);
}

async function blobs({ equal }) {
  const blob = new Blob(['é', 'b'], { type: 'text/plain' });
  const file = new File(['abc'], 'a.txt', { type: 'a/b', lastModified: 5 });
  const copy = structuredClone({ blob, again: blob, file, part: blob.slice(1, 3) });
  equal('Blob', [copy.blob instanceof Blob, copy.blob instanceof File, copy.blob !== blob, copy.blob === copy.again], [true, false, true, true]);
  equal('type', [copy.blob.size, copy.blob.type, await copy.blob.text()], [3, 'text/plain', 'éb']);
  equal('a slice', [...(await copy.part.bytes())], [0xa9, 0x62]);
  const { file: f } = copy;
  equal('File', [f instanceof File, f.name, f.type, f.lastModified, await f.text()], [true, 'a.txt', 'a/b', 5, 'abc']);
  class Mine extends File {
    extra = 1;
  }
  const mine = structuredClone(new Mine([], 'm'));
  equal('a class of files', [Object.getPrototypeOf(mine) === File.prototype, mine.extra, mine.name], [true, undefined, 'm']);
}

function buffers({ equal, throws }) {
  for (const View of views) {
    const buffer = Uint8Array.from({ length: 32 }, (_, i) => i).buffer;
    const { a, b, c } = structuredClone({ a: new View(buffer, 8, View === DataView ? 16 : 16 / View.BYTES_PER_ELEMENT), b: buffer, c: new View(buffer) });
    equal(View.name, [a.constructor === View, a.byteOffset, a.byteLength, c.byteLength], [true, 8, 16, 32]);
    equal(`${View.name}: one buffer`, [a.buffer === b, c.buffer === b, b !== buffer, new Uint8Array(b)[31]], [true, true, true, 31]);
  }
  const resizable = structuredClone(new ArrayBuffer(4, { maxByteLength: 64 }));
  equal('a resizable buffer', [resizable.resizable, resizable.byteLength, resizable.maxByteLength], [true, 4, 64]);
  resizable.resize(64);
  equal('resized', resizable.byteLength, 64);
  const tracking = structuredClone(new Uint8Array(new ArrayBuffer(4, { maxByteLength: 8 })));
  tracking.buffer.resize(8);
  equal('a view that follows its buffer', tracking.length, 8);

  const moved = new Uint8Array([1, 2, 3]);
  const copy = structuredClone({ moved, again: moved.buffer }, { transfer: [moved.buffer] });
  equal('transfer', [[...copy.moved], copy.moved.buffer === copy.again, moved.length, moved.buffer.detached], [[1, 2, 3], true, 0, true]);
  const kept = new ArrayBuffer(1);
  throws('a failure', () => structuredClone(() => 1, { transfer: [kept] }), DOMException, 'E_DATA_CLONE');
  equal('transfers nothing', kept.detached, false);
  throws('transfer of a detached buffer', () => structuredClone(1, { transfer: [moved.buffer] }), DOMException, 'E_DATA_CLONE');
  throws('a detached buffer', () => structuredClone(moved.buffer), DOMException, 'E_DATA_CLONE');
  throws('a view of one', () => structuredClone(moved), DOMException, 'E_DATA_CLONE');
  throws('transfer of one twice', () => structuredClone(1, { transfer: [kept, kept] }), DOMException, 'E_DATA_CLONE');
  throws('transfer of a view', () => structuredClone(1, { transfer: [new Uint8Array(1)] }), DOMException, 'E_DATA_CLONE');
  throws('transfer of a number', () => structuredClone(1, { transfer: [1] }), DOMException, 'E_DATA_CLONE');
  throws('transfer that is no list', () => structuredClone(1, { transfer: 1 }), TypeError, 'E_ARGUMENT');
}

function refusals({ equal, throws }) {
  const refused = {
    function: () => 1,
    class: class {},
    symbol: Symbol('s'),
    'symbol object': Object(Symbol('s')),
    promise: Promise.resolve(),
    WeakMap: new WeakMap(),
    WeakSet: new WeakSet(),
    proxy: new Proxy({}, {}),
    iterator: [].values(),
    generator: (function* () {})(),
    Headers: new Headers(),
    Request: new Request('http://a/'),
    Response: new Response(),
    URL: new URL('http://a/'),
    URLSearchParams: new URLSearchParams(),
    TextDecoder: new TextDecoder(),
    Event: new Event('a'),
    EventTarget: new EventTarget(),
    AbortSignal: AbortSignal.abort(),
    AbortController: new AbortController(),
    ReadableStream: new ReadableStream(),
    WritableStream: new WritableStream(),
    TransformStream: new TransformStream(),
    CountQueuingStrategy: new CountQueuingStrategy({ highWaterMark: 1 }),
    TextEncoderStream: new TextEncoderStream(),
    crypto,
  };
  for (const [name, value] of Object.entries(refused)) {
    throws(name, () => structuredClone(value), DOMException, 'E_DATA_CLONE');
    throws(`${name} inside`, () => structuredClone(new Map([[1, [{ value }]]])), DOMException, 'E_DATA_CLONE');
  }
  let caught;
  try {
    structuredClone({ get a() { throw new RangeError('mine'); } });
  } catch (error) {
    caught = error.message;
  }
  equal('what a getter throws', caught, 'mine');
  throws('options that are none', () => structuredClone(1, 5), TypeError, 'E_ARGUMENT');
  throws('no value', () => structuredClone(), TypeError, 'E_MISSING_ARGUMENT');
}

export const clone = { values, collections, errors, blobs, buffers, refusals };
