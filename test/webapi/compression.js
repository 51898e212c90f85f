// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What CompressionStream and DecompressionStream must do. Node's own are held to most of these cases.

const formats = ['gzip', 'deflate', 'deflate-raw'];
const text = (string) => new TextEncoder().encode(string);

/** The same bytes everywhere: some that repeat, some that do not. */
function sample(size) {
  const bytes = new Uint8Array(size);
  let state = 1;
  for (let i = 0; i < size; i++) {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    bytes[i] = i % 200 < 120 ? i % 7 : state >> 16;
  }
  return bytes;
}

function cut(bytes, size) {
  const chunks = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.slice(at, at + size));
  return chunks;
}

/** What a pair of streams makes of chunks: the bytes, and the name of the error at the end. */
async function through(pair, chunks) {
  const writer = pair.writable.getWriter();
  const writes = [...chunks.map((chunk) => writer.write(chunk)), writer.close()];
  for (const write of writes) write.catch(() => {});
  const pieces = [];
  let error;
  try {
    for await (const piece of pair.readable) pieces.push(piece);
  } catch (thrown) {
    error = thrown.name + (thrown.code?.startsWith('E_') ? ` ${thrown.code}` : '');
  }
  const bytes = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    bytes.set(piece, at);
    at += piece.length;
  }
  return { bytes, error, pieces, last: await writes.at(-1).then(() => 'closed', () => 'failed') };
}

const pack = async (format, ...chunks) => (await through(new CompressionStream(format), chunks)).bytes;
const unpack = (format, ...chunks) => through(new DecompressionStream(format), chunks);
const isSame = (a, b) => a.length === b.length && a.every((byte, i) => byte === b[i]);
const join = (...parts) => new Uint8Array(parts.flatMap((part) => [...part]));

/** `hello hello hello` as others have packed it. */
const hello = {
  gzip: [31, 139, 8, 0, 0, 0, 0, 0, 0, 3, 203, 72, 205, 201, 201, 87, 200, 64, 144, 0, 128, 136, 249, 229, 17, 0, 0, 0],
  deflate: [120, 156, 203, 72, 205, 201, 201, 87, 200, 64, 144, 0, 58, 46, 6, 125],
  'deflate-raw': [203, 72, 205, 201, 201, 87, 200, 64, 144, 0],
};
/** The same gzip with a name, a comment, an extra field and a sum of the header. */
const named = [31, 139, 8, 30, 1, 2, 3, 4, 0, 3, 2, 0, 7, 7, 97, 0, 98, 0];

export const compression = {
  'what is packed is unpacked again, however it is cut': async ({ equal }) => {
    for (const format of formats) {
      for (const size of [0, 1, 100, 40_000]) {
        const bytes = sample(size);
        const packed = await pack(format, bytes);
        equal(`${format} of ${size} is smaller`, size < 100 || packed.length < size, true);
        for (const step of size === 40_000 ? [997, 65_536] : [1, 7]) {
          const pieces = await pack(format, ...cut(bytes, step));
          const { bytes: back, error, last } = await unpack(format, ...cut(pieces, step));
          equal(`${format} of ${size} in steps of ${step}`, [isSame(back, bytes), error, last], [true, undefined, 'closed']);
        }
      }
    }
  },

  'a chunk that becomes much comes in pieces': async ({ equal }) => {
    for (const format of formats) {
      const { bytes, pieces } = await unpack(format, await pack(format, new Uint8Array(5_000_000)));
      equal(format, [bytes.length, pieces.length > 10, pieces.every((piece) => piece.length > 0)], [5_000_000, true, true]);
      equal('pieces', pieces.every((piece) => Object.getPrototypeOf(piece) === Uint8Array.prototype), true);
    }
  },

  'what others have packed is unpacked, and all cuts of it': async ({ equal }) => {
    for (const format of formats) {
      const packed = new Uint8Array(hello[format]);
      for (let at = 0; at <= packed.length; at++) {
        const { bytes, error } = await unpack(format, packed.slice(0, at), packed.slice(at));
        equal(`${format} cut at ${at}`, [new TextDecoder().decode(bytes), error], ['hello hello hello', undefined]);
      }
    }
  },

  'data that ends too early is a TypeError, at each byte': async ({ equal }) => {
    for (const format of formats) {
      for (let size = 0; size < hello[format].length; size++) {
        const { error, last } = await unpack(format, new Uint8Array(hello[format].slice(0, size)));
        equal(`${format} of ${size} bytes`, [error?.split(' ')[0], last], ['TypeError', 'failed']);
      }
      equal(`${format} of nothing`, (await unpack(format)).error?.split(' ')[0], 'TypeError');
    }
  },

  'what is damaged is a TypeError': async ({ equal }) => {
    const change = (format, at) => new Uint8Array(hello[format].with(at, hello[format].at(at) ^ 1));
    for (const at of [0, 1, 2, -1, -4, -5, -8]) {
      equal(`gzip with another byte ${at}`, (await unpack('gzip', change('gzip', at))).error?.split(' ')[0], 'TypeError');
    }
    for (const at of [0, 1, -1, -4]) {
      equal(`deflate with another byte ${at}`, (await unpack('deflate', change('deflate', at))).error?.split(' ')[0], 'TypeError');
    }
    equal('raw', (await unpack('deflate-raw', new Uint8Array([255, 255]))).error?.split(' ')[0], 'TypeError');
    for (const format of formats) {
      for (const other of formats) {
        const { error } = await unpack(format, new Uint8Array(hello[other]));
        equal(`${other} as ${format}`, error?.split(' ')[0], format === other ? undefined : 'TypeError');
      }
    }
  },

  'what stands behind the end is a TypeError, after what came before': async ({ equal }) => {
    for (const format of formats) {
      for (const behind of [[0], hello[format]]) {
        for (const chunks of [[join(hello[format], behind)], [new Uint8Array(hello[format]), new Uint8Array(behind)]]) {
          const { bytes, error, last } = await unpack(format, ...chunks);
          equal(`${format} with ${behind.length}`, [error?.split(' ')[0], last], ['TypeError', 'failed']);
          if (chunks.length === 2) equal(format, new TextDecoder().decode(bytes), 'hello hello hello');
        }
      }
      const { error } = await unpack(format, new Uint8Array(hello[format]), new Uint8Array());
      equal(`${format} with nothing`, error, undefined);
    }
  },

  'every view of bytes is a chunk, and nothing else is': async ({ equal }) => {
    const buffer = text('xxxxhello hello').buffer;
    for (const chunk of [buffer.slice(4), new DataView(buffer, 4), new Uint8Array(buffer, 4), new Int8Array(buffer, 4)]) {
      const { bytes } = await unpack('gzip', await pack('gzip', chunk));
      equal(chunk.constructor.name, new TextDecoder().decode(bytes), 'hello hello');
    }
    const floats = new Float64Array([1, 2]);
    equal('floats', (await unpack('gzip', await pack('gzip', floats))).bytes.length, 16);
    for (const chunk of [undefined, null, 1, 'text', [1], {}, true]) {
      for (const pair of [new CompressionStream('gzip'), new DecompressionStream('gzip')]) {
        const { error, last } = await through(pair, [chunk]);
        equal(String(chunk), [error?.split(' ')[0], last], ['TypeError', 'failed']);
      }
    }
  },

  'another format is a TypeError': async ({ throws }) => {
    for (const constructor of [CompressionStream, DecompressionStream]) {
      for (const format of ['br', 'GZIP', '', ' gzip', 'deflate-64', undefined, null, {}]) {
        throws(String(format), () => new constructor(format), TypeError);
      }
      throws('none', () => new constructor(), TypeError);
      throws('a symbol', () => new constructor(Symbol()), TypeError);
      throws('without new', () => constructor('gzip'), TypeError);
    }
  },

  'a writer waits for a reader': async ({ equal }) => {
    const { readable, writable } = new CompressionStream('gzip');
    const writer = writable.getWriter();
    const log = [];
    writer.write(text('a')).then(() => log.push('written'));
    for (let i = 0; i < 20; i++) await null;
    equal('before', [writer.desiredSize, log], [0, []]);
    const reader = readable.getReader();
    const { value } = await reader.read();
    for (let i = 0; i < 20; i++) await null;
    equal('after', [value.length > 0, log], [true, ['written']]);
  },

  'who leaves one side makes the other fail': async ({ equal }) => {
    for (const constructor of [CompressionStream, DecompressionStream]) {
      const left = new constructor('gzip');
      const writer = left.writable.getWriter();
      await left.readable.cancel(new Error('enough'));
      equal('write', await writer.write(text('a')).catch((error) => error.message), 'enough');
      const aborted = new constructor('gzip');
      const reader = aborted.readable.getReader();
      const closed = reader.closed.catch((error) => error.message);
      const read = reader.read().catch((error) => error.message);
      await aborted.writable.abort(new Error('no more'));
      equal('read', [await read, await closed], ['no more', 'no more']);
    }
  },

  'streams are piped through': async ({ equal }) => {
    const packed = new Response('hello').body.pipeThrough(new CompressionStream('deflate'));
    equal('text', await new Response(packed.pipeThrough(new DecompressionStream('deflate'))).text(), 'hello');
  },

  'gzip with a name, a comment and an extra field is unpacked': async ({ equal }) => {
    const crc = 0x4ba6;
    const packed = join(named, [crc & 255, crc >> 8], hello.gzip.slice(10));
    const { bytes, error } = await unpack('gzip', packed);
    equal('text', [new TextDecoder().decode(bytes), error], ['hello hello hello', undefined]);
  },
};

/** What Node does otherwise, or cannot know. */
export const own = {
  'errors have codes': async ({ equal, throws }) => {
    equal('damaged', (await unpack('gzip', text('hello'))).error, 'TypeError E_COMPRESSION');
    equal('short', (await unpack('gzip', new Uint8Array([31]))).error, 'TypeError E_COMPRESSION');
    equal('behind', (await unpack('gzip', join(hello.gzip, [0]))).error, 'TypeError E_COMPRESSION');
    equal('text', (await through(new CompressionStream('gzip'), ['a'])).error, 'TypeError E_COMPRESSION');
    throws('format', () => new CompressionStream('br'), TypeError, 'E_ARGUMENT');
    throws('missing', () => new DecompressionStream(), TypeError, 'E_MISSING_ARGUMENT');
  },

  'what is not read is not made': async ({ equal }) => {
    const bomb = await pack('gzip', new Uint8Array(10_000_000));
    const { readable, writable } = new DecompressionStream('gzip');
    const writer = writable.getWriter();
    let written = false;
    const write = writer.write(bomb).then(() => (written = true), () => {});
    const reader = readable.getReader();
    await reader.read();
    for (let i = 0; i < 200; i++) await null;
    equal('written', written, false);
    await reader.cancel();
    await write;
    equal('after', await writer.write(bomb).catch(() => 'refused'), 'refused');
  },

  'chunks that a script takes away are errors': async ({ equal }) => {
    const bomb = await pack('gzip', new Uint8Array(10_000_000));
    const { readable, writable } = new DecompressionStream('gzip');
    const write = writable.getWriter().write(bomb).catch((error) => error.code);
    const reader = readable.getReader();
    await reader.read();
    bomb.buffer.transfer();
    let error;
    while (error === undefined) error = await reader.read().then(() => undefined, ({ code }) => code);
    equal('codes', [error, await write], ['E_COMPRESSION', 'E_COMPRESSION']);

    const again = await pack('gzip', new Uint8Array(10_000_000));
    const shrinking = new ArrayBuffer(again.length, { maxByteLength: again.length });
    const view = new Uint8Array(shrinking);
    view.set(again);
    const other = new DecompressionStream('gzip');
    const writing = other.writable.getWriter();
    writing.write(view).catch(() => {});
    const closed = writing.close().catch((error) => error.code);
    const last = other.readable.getReader();
    await last.read();
    shrinking.resize(0);
    error = undefined;
    while (error === undefined) error = await last.read().then(() => undefined, ({ code }) => code);
    equal('shrunk', [error, await closed], ['E_COMPRESSION', 'E_COMPRESSION']);
  },

  'replaced prototypes and names change nothing of what is packed': async ({ equal, throws }) => {
    throws('brands', () => Object.getOwnPropertyDescriptor(CompressionStream.prototype, 'readable').get.call({}), TypeError);
    throws('clones', () => structuredClone(new DecompressionStream('gzip')), DOMException, 'E_DATA_CLONE');
    class Sub extends CompressionStream {}
    equal('subclass', [new Sub('gzip') instanceof CompressionStream, String(new Sub('gzip'))], [true, '[object CompressionStream]']);
  },
};
