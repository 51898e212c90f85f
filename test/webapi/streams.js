// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What streams must do. Node's own are held to the same cases.

const bytes = (...values) => new Uint8Array(values);

/** All chunks of a stream. */
async function all(stream) {
  const chunks = [];
  for await (const chunk of stream) chunks.push(chunk);
  return chunks;
}

async function nameOf(promise) {
  return await promise.then(
    () => 'fulfilled',
    (error) => error?.name ?? error,
  );
}

/** Lets everything run that can. */
async function turns(count = 20) {
  for (let i = 0; i < count; i++) await null;
}

function thrownBy(fn) {
  try {
    fn();
  } catch (error) {
    return error.name;
  }
  return 'nothing';
}

/** A stream that gives values, and tells what it was asked. */
function source(values, log = []) {
  const left = [...values];
  return new ReadableStream(
    {
      pull(controller) {
        log.push('pull');
        if (left.length === 0) controller.close();
        else controller.enqueue(left.shift());
      },
      cancel(reason) {
        log.push(`cancel ${reason}`);
      },
    },
    { highWaterMark: 0 },
  );
}

/** A sink that keeps what is written. */
function sink(log = [], strategy) {
  return new WritableStream(
    {
      write: (chunk) => void log.push(chunk),
      close: () => void log.push('close'),
      abort: (reason) => void log.push(`abort ${reason}`),
    },
    strategy,
  );
}

const byteSource = (...pieces) =>
  new ReadableStream({
    type: 'bytes',
    pull(controller) {
      const piece = pieces.shift();
      if (piece !== undefined) {
        controller.enqueue(piece);
      } else {
        controller.close();
        controller.byobRequest?.respond(0);
      }
    },
  });

export const streams = {
  'classes have their names and brands': ({ equal }) => {
    const instances = {
      ReadableStream: new ReadableStream(),
      WritableStream: new WritableStream(),
      TransformStream: new TransformStream(),
      ReadableStreamDefaultReader: new ReadableStream().getReader(),
      ReadableStreamBYOBReader: new ReadableStream({ type: 'bytes' }).getReader({ mode: 'byob' }),
      WritableStreamDefaultWriter: new WritableStream().getWriter(),
      CountQueuingStrategy: new CountQueuingStrategy({ highWaterMark: 1 }),
      ByteLengthQueuingStrategy: new ByteLengthQueuingStrategy({ highWaterMark: 1 }),
    };
    new ReadableStream({ start: (controller) => void (instances.ReadableStreamDefaultController = controller) });
    new ReadableStream({ type: 'bytes', start: (controller) => void (instances.ReadableByteStreamController = controller) });
    new WritableStream({ start: (controller) => void (instances.WritableStreamDefaultController = controller) });
    new TransformStream({ start: (controller) => void (instances.TransformStreamDefaultController = controller) });
    for (const [name, instance] of Object.entries(instances)) {
      equal(`name of ${name}`, globalThis[name].name, name);
      equal(`brand of ${name}`, Object.prototype.toString.call(instance), `[object ${name}]`);
      equal(`prototype of ${name}`, Object.getPrototypeOf(instance) === globalThis[name].prototype, true);
      equal(`constructor of ${name}`, instance.constructor === globalThis[name], true);
    }
  },

  'members refuse foreign receivers': async ({ equal }) => {
    const prototypes = ['ReadableStream', 'WritableStream', 'TransformStream', 'ReadableStreamDefaultReader', 'WritableStreamDefaultWriter'];
    for (const name of prototypes) {
      const { prototype } = globalThis[name];
      for (const key of Object.getOwnPropertyNames(prototype)) {
        if (key === 'constructor') continue;
        const { get, value } = Object.getOwnPropertyDescriptor(prototype, key);
        let thrown;
        try {
          thrown = await nameOf(Promise.resolve((get ?? value).call({})));
        } catch (error) {
          thrown = error.name;
        }
        equal(`${name}.${key}`, thrown, 'TypeError');
      }
    }
  },

  'constructors check what they get': ({ equal }) => {
    const refused = [
      ['a source that is a number', () => new ReadableStream(1), 'TypeError'],
      ['a source of an unknown type', () => new ReadableStream({ type: 'words' }), 'TypeError'],
      ['a pull that is no function', () => new ReadableStream({ pull: 1 }), 'TypeError'],
      ['a high-water mark below 0', () => new ReadableStream({}, { highWaterMark: -1 }), 'RangeError'],
      ['a high-water mark that is no number', () => new ReadableStream({}, { highWaterMark: 'x' }), 'RangeError'],
      ['a size for bytes', () => new ReadableStream({ type: 'bytes' }, { size: () => 1 }), 'RangeError'],
      ['a chunk size of 0', () => new ReadableStream({ type: 'bytes', autoAllocateChunkSize: 0 }), 'TypeError'],
      ['a type of sink', () => new WritableStream({ type: 'bytes' }), 'RangeError'],
      ['a type of transformer', () => new TransformStream({ readableType: 'bytes' }), 'RangeError'],
      ['a strategy without a mark', () => new CountQueuingStrategy({}), 'TypeError'],
      ['a strategy of nothing', () => new ByteLengthQueuingStrategy(), 'TypeError'],
      ['a reader of nothing', () => new ReadableStreamDefaultReader(), 'TypeError'],
      ['a reader of a locked stream', () => ((s) => (s.getReader(), new ReadableStreamDefaultReader(s)))(new ReadableStream()), 'TypeError'],
      ['a byob reader of values', () => new ReadableStream().getReader({ mode: 'byob' }), 'TypeError'],
      ['a mode of reader', () => new ReadableStream().getReader({ mode: 'words' }), 'TypeError'],
      ['a writer of nothing', () => new WritableStreamDefaultWriter(), 'TypeError'],
      ['a controller', () => new ReadableStreamDefaultController(), 'TypeError'],
      ['a byte controller', () => new ReadableByteStreamController(), 'TypeError'],
      ['a transform controller', () => new TransformStreamDefaultController(), 'TypeError'],
      ['no iterable', () => ReadableStream.from(1), 'TypeError'],
      ['an encoding', () => new TextDecoderStream('words'), 'RangeError'],
    ];
    for (const [what, make, name] of refused) equal(what, thrownBy(make), name);
    equal('start throws', thrownBy(() => new ReadableStream({ start: () => { throw new EvalError(); } })), 'EvalError');
  },

  'a reader reads, and locks': async ({ equal }) => {
    const stream = source(['a', 'b']);
    equal('before', stream.locked, false);
    const reader = stream.getReader();
    equal('locked', stream.locked, true);
    equal('first', await reader.read(), { value: 'a', done: false });
    equal('second reader', thrownBy(() => stream.getReader()), 'TypeError');
    equal('cancel of a locked stream', await nameOf(stream.cancel()), 'TypeError');
    reader.releaseLock();
    equal('released', stream.locked, false);
    equal('read after', await nameOf(reader.read()), 'TypeError');
    equal('closed after', await nameOf(reader.closed), 'TypeError');
    const other = stream.getReader();
    equal('goes on', await other.read(), { value: 'b', done: false });
    equal('end', await other.read(), { value: undefined, done: true });
    equal('closed', await nameOf(other.closed), 'fulfilled');
    const waiting = new ReadableStream().getReader();
    const read = waiting.read();
    waiting.releaseLock();
    equal('a read that waited', await nameOf(read), 'TypeError');
  },

  'a source is asked when there is room, and not while it works': async ({ equal }) => {
    const log = [];
    const lazy = source(['a', 'b'], log);
    await turns();
    equal('nobody reads', log.join(), '');
    await lazy.getReader().read();
    equal('one is read', log.join(), 'pull');
    let pulls = 0;
    let desired;
    const eager = new ReadableStream(
      {
        pull(controller) {
          desired = controller.desiredSize;
          controller.enqueue(++pulls);
        },
      },
      { highWaterMark: 3 },
    );
    await turns();
    equal('fills to the mark', [pulls, desired], [3, 1]);
    let calls = 0;
    let go;
    const slow = new ReadableStream({ pull: () => ((calls += 1), new Promise((resolve) => void (go = resolve))) }, { highWaterMark: 5 });
    await turns();
    equal('asked once', calls, 1);
    go();
    await turns();
    equal('not without need', calls, 1);
    const sized = new ReadableStream({ pull: (c) => c.enqueue('xxxx') }, { highWaterMark: 10, size: (chunk) => chunk.length });
    await turns();
    equal('by size', (await sized.getReader().read()).value, 'xxxx');
    equal('locked meanwhile', slow.locked, false);
  },

  'errors reach the reader': async ({ equal }) => {
    const failing = new ReadableStream({ pull: () => Promise.reject(new EvalError()) });
    equal('pull rejects', await nameOf(failing.getReader().read()), 'EvalError');
    const half = new ReadableStream({
      start(controller) {
        controller.enqueue('lost');
        controller.error(new EvalError());
      },
    });
    const reader = half.getReader();
    equal('what was held is lost', await nameOf(reader.read()), 'EvalError');
    equal('closed', await nameOf(reader.closed), 'EvalError');
    let controller;
    const closed = new ReadableStream({ start: (it) => void (controller = it) });
    controller.close();
    equal('enqueue after close', thrownBy(() => controller.enqueue(1)), 'TypeError');
    equal('close twice', thrownBy(() => controller.close()), 'TypeError');
    equal('error after close', thrownBy(() => controller.error(1)), 'nothing');
    equal('reads the end', await closed.getReader().read(), { value: undefined, done: true });
    const size = () => {
      throw new EvalError();
    };
    equal('size throws', thrownBy(() => new ReadableStream({ start: (it) => it.enqueue(1) }, { size, highWaterMark: 1 })), 'EvalError');
  },

  'cancel tells the source': async ({ equal }) => {
    const log = [];
    await source(['a'], log).cancel('why');
    equal('reason', log.join(), 'cancel why');
    const other = [];
    const reader = source(['a'], other).getReader();
    await reader.cancel('enough');
    equal('by a reader', [other.join(), await reader.read()], ['cancel enough', { value: undefined, done: true }]);
    equal('source throws', await nameOf(new ReadableStream({ cancel: () => { throw new EvalError(); } }).cancel()), 'EvalError');
    const log2 = [];
    for await (const chunk of source(['a', 'b'], log2)) if (chunk === 'a') break;
    equal('leaving a loop', log2.join(), 'pull,cancel undefined');
    const kept = source(['a', 'b']);
    for await (const _ of kept.values({ preventCancel: true })) break;
    equal('preventCancel', await all(kept), ['b']);
  },

  'from takes iterables': async ({ equal }) => {
    equal('array', await all(ReadableStream.from(['a', 'b'])), ['a', 'b']);
    equal('promises', await all(ReadableStream.from([Promise.resolve(1), 2])), [1, 2]);
    const log = [];
    async function* letters() {
      try {
        yield 'a';
        yield 'b';
      } finally {
        log.push('over');
      }
    }
    equal('generator', await all(ReadableStream.from(letters())), ['a', 'b']);
    const reader = ReadableStream.from(letters()).getReader();
    await reader.read();
    await reader.cancel();
    equal('finally', log, ['over', 'over']);
    equal('stream', await all(ReadableStream.from(source([1, 2]))), [1, 2]);
  },

  'tee gives the same to both': async ({ equal }) => {
    const log = [];
    const stream = source(['a', 'b'], log);
    const [one, other] = stream.tee();
    equal('locked', stream.locked, true);
    equal('one', await all(one), ['a', 'b']);
    equal('other', await all(other), ['a', 'b']);
    equal('read once', log.filter((entry) => entry === 'pull').length, 3);
    const log2 = [];
    const [left, right] = source(['a'], log2).tee();
    const gone = left.cancel('x');
    await turns();
    equal('one cancelled', log2.join(), 'pull');
    await Promise.all([gone, right.cancel('y')]);
    equal('both cancelled', log2.join(), 'pull,cancel x,y');
    const [b1, b2] = byteSource(bytes(1, 2), bytes(3)).tee();
    equal('bytes', [(await all(b1)).map((c) => [...c]), (await all(b2)).map((c) => [...c])], [[[1, 2], [3]], [[1, 2], [3]]]);
  },

  'byte streams fill buffers of the reader': async ({ equal }) => {
    const reader = byteSource(bytes(1, 2, 3), bytes(4)).getReader({ mode: 'byob' });
    const buffer = new Uint8Array(2);
    const first = await reader.read(buffer);
    equal('first', [...first.value], [1, 2]);
    equal('transferred', buffer.byteLength, 0);
    equal('rest', [...(await reader.read(new Uint8Array(2))).value], [3]);
    equal('next', [...(await reader.read(new Uint8Array(2))).value], [4]);
    const end = await reader.read(new Uint8Array(2));
    equal('end', [end.done, end.value.length], [true, 0]);
    equal('empty view', await nameOf(byteSource().getReader({ mode: 'byob' }).read(new Uint8Array(0))), 'TypeError');
    const answered = new ReadableStream({
      type: 'bytes',
      pull({ byobRequest }) {
        byobRequest.view[0] = 7;
        byobRequest.respond(1);
      },
    });
    equal('respond', [...(await answered.getReader({ mode: 'byob' }).read(new Uint8Array(4))).value], [7]);
    const allocated = new ReadableStream({
      type: 'bytes',
      autoAllocateChunkSize: 8,
      pull({ byobRequest }) {
        byobRequest.view[0] = byobRequest.view.byteLength;
        byobRequest.respond(1);
      },
    });
    equal('auto', [...(await allocated.getReader().read()).value], [8]);
    equal('a string', thrownBy(() => new ReadableStream({ type: 'bytes', start: (c) => c.enqueue('a') })), 'TypeError');
    equal('no bytes', thrownBy(() => new ReadableStream({ type: 'bytes', start: (c) => c.enqueue(bytes()) })), 'TypeError');
  },

  'a writer writes in order, and waits for the sink': async ({ equal }) => {
    const log = [];
    const stream = sink(log);
    const writer = stream.getWriter();
    equal('locked', [stream.locked, thrownBy(() => stream.getWriter())], [true, 'TypeError']);
    await Promise.all([writer.write('a'), writer.write('b'), writer.close()]);
    equal('order', log, ['a', 'b', 'close']);
    equal('closed', await nameOf(writer.closed), 'fulfilled');
    equal('close twice', await nameOf(writer.close()), 'TypeError');
    let go;
    const slow = new WritableStream({ write: () => new Promise((resolve) => void (go = resolve)) }, { highWaterMark: 2 }).getWriter();
    equal('room', slow.desiredSize, 2);
    void slow.write(1);
    void slow.write(2);
    equal('full', slow.desiredSize, 0);
    let isReady = false;
    void slow.ready.then(() => (isReady = true));
    await turns();
    equal('not ready', isReady, false);
    go();
    await turns();
    equal('ready', isReady, true);
    const released = sink().getWriter();
    released.releaseLock();
    equal('released', await nameOf(released.write(1)), 'TypeError');
  },

  'abort and failures end a writable stream': async ({ equal }) => {
    const log = [];
    const stream = sink(log);
    await stream.abort('why');
    equal('sink is told', log, ['abort why']);
    equal('write', await nameOf(stream.getWriter().write(1)), 'why');
    const failing = new WritableStream({ write: () => Promise.reject(new EvalError()) }).getWriter();
    equal('write fails', await nameOf(failing.write(1)), 'EvalError');
    equal('closed fails', await nameOf(failing.closed), 'EvalError');
    equal('room of a failed one', failing.desiredSize, null);
    let signal;
    const watched = new WritableStream({ start: (controller) => void ({ signal } = controller) });
    equal('signal before', [signal instanceof AbortSignal, signal.aborted], [true, false]);
    await watched.abort('stop');
    equal('signal after', [signal.aborted, signal.reason], [true, 'stop']);
    const errored = new WritableStream({ start: (controller) => controller.error(new EvalError()) });
    equal('controller.error', await nameOf(errored.getWriter().closed), 'EvalError');
  },

  'a transform changes what passes': async ({ equal }) => {
    const twice = new TransformStream({
      start: (controller) => controller.enqueue('start'),
      transform: (chunk, controller) => {
        controller.enqueue(chunk);
        controller.enqueue(chunk);
      },
      flush: (controller) => controller.enqueue('flush'),
    });
    equal('pipeThrough', await all(source(['a', 'b']).pipeThrough(twice)), ['start', 'a', 'a', 'b', 'b', 'flush']);
    equal('identity', await all(source([1, 2]).pipeThrough(new TransformStream())), [1, 2]);
    const failing = new TransformStream({ transform: () => Promise.reject(new EvalError()) });
    equal('fails', await nameOf(all(source([1]).pipeThrough(failing))), 'EvalError');
    const short = new TransformStream({
      transform: (chunk, controller) => {
        controller.enqueue(chunk);
        controller.terminate();
      },
    });
    const log = [];
    equal('terminate', await all(source(['a', 'b'], log).pipeThrough(short)), ['a']);
    const waits = new TransformStream();
    const writer = waits.writable.getWriter();
    let isWritten = false;
    void writer.write('a').then(() => (isWritten = true));
    await turns();
    equal('waits for a reader', isWritten, false);
    await waits.readable.getReader().read();
    await turns();
    equal('goes on', isWritten, true);
  },

  'pipeTo passes ends and errors on': async ({ equal }) => {
    const log = [];
    await source(['a', 'b']).pipeTo(sink(log));
    equal('end', log, ['a', 'b', 'close']);
    const open = [];
    await source(['a']).pipeTo(sink(open), { preventClose: true });
    equal('preventClose', open, ['a']);
    const failed = [];
    const failing = new ReadableStream({ start: (controller) => controller.error(new EvalError('x')) });
    equal('error of the source', [await nameOf(failing.pipeTo(sink(failed))), failed.join()], ['EvalError', 'abort EvalError: x']);
    const asked = [];
    const full = new WritableStream({ write: () => { throw new EvalError('full'); } });
    equal('error of the sink', await nameOf(source(['a', 'b', 'c'], asked).pipeTo(full)), 'EvalError');
    equal('source is told', asked.at(-1), 'cancel EvalError: full');
    const control = new AbortController();
    const stopped = [];
    const piped = new ReadableStream().pipeTo(sink(stopped), { signal: control.signal });
    control.abort();
    equal('signal', [await nameOf(piped), stopped[0].slice(0, 16)], ['AbortError', 'abort AbortError']);
    const locked = new ReadableStream();
    locked.getReader();
    equal('a locked source', await nameOf(locked.pipeTo(sink())), 'TypeError');
    equal('a foreign sink', await nameOf(new ReadableStream().pipeTo({})), 'TypeError');
    equal('a foreign pair', thrownBy(() => new ReadableStream().pipeThrough({})), 'TypeError');
  },

  'strategies count': ({ equal }) => {
    const count = new CountQueuingStrategy({ highWaterMark: 5 });
    equal('count', [count.highWaterMark, count.size({ byteLength: 9 }), count.size.name], [5, 1, 'size']);
    const length = new ByteLengthQueuingStrategy({ highWaterMark: 7 });
    equal('bytes', [length.highWaterMark, length.size(bytes(1, 2)), length.size.name], [7, 2, 'size']);
    equal('the same function', count.size === new CountQueuingStrategy({ highWaterMark: 1 }).size, true);
  },

  'TextDecoderStream puts cut characters together': async ({ equal }) => {
    const text = 'a\u00e9\u20ac\u{1f600}z';
    const encoded = new TextEncoder().encode(text);
    for (let one = 0; one <= encoded.length; one++) {
      for (let two = one; two <= encoded.length; two++) {
        const pieces = [encoded.slice(0, one), encoded.slice(one, two), encoded.slice(two)];
        const chunks = await all(ReadableStream.from(pieces).pipeThrough(new TextDecoderStream()));
        equal(`cut at ${one} and ${two}`, chunks.join(''), text);
      }
    }
    const decode = async (pieces, ...args) => (await all(ReadableStream.from(pieces).pipeThrough(new TextDecoderStream(...args)))).join('');
    equal('half a character', await decode([bytes(0xe2, 0x82)]), '\uFFFD');
    equal('fatal', await nameOf(decode([bytes(0xe2, 0x82)], 'utf-8', { fatal: true })), 'TypeError');
    equal('byte order mark', await decode([bytes(0xef), bytes(0xbb, 0xbf, 0x61)]), 'a');
    equal('kept', await decode([bytes(0xef, 0xbb, 0xbf, 0x61)], 'utf-8', { ignoreBOM: true }), '\uFEFFa');
    equal('utf-16', await decode([bytes(0x61), bytes(0, 0x3d), bytes(0xd8, 0x00), bytes(0xde)], 'utf-16le'), 'a\u{1f600}');
    equal('buffers', await decode([bytes(0x61).buffer, new DataView(bytes(0x62).buffer)]), 'ab');
    equal('no bytes', await nameOf(decode(['a'])), 'TypeError');
    const stream = new TextDecoderStream('latin1', { fatal: true, ignoreBOM: true });
    equal('members', [stream.encoding, stream.fatal, stream.ignoreBOM], ['windows-1252', true, true]);
    equal('sides', [stream.readable instanceof ReadableStream, stream.writable instanceof WritableStream], [true, true]);
  },

  'TextEncoderStream puts surrogates together': async ({ equal }) => {
    const encode = async (...texts) => (await all(ReadableStream.from(texts).pipeThrough(new TextEncoderStream()))).flatMap((chunk) => [...chunk]);
    const text = 'a\u00e9\u20ac\u{1f600}z';
    const encoded = [...new TextEncoder().encode(text)];
    for (let cut = 0; cut <= text.length; cut++) {
      equal(`cut at ${cut}`, await encode(text.slice(0, cut), text.slice(cut)), encoded);
      equal(`cut at ${cut}, with nothing between`, await encode(text.slice(0, cut), '', text.slice(cut)), encoded);
    }
    equal('half a pair at the end', await encode('\uD83D'), [0xef, 0xbf, 0xbd]);
    equal('two halves of a kind', await encode('\uD83D', '\uD83D\uDE00'), [0xef, 0xbf, 0xbd, 0xf0, 0x9f, 0x98, 0x80]);
    equal('a second half alone', await encode('\uDE00', 'a'), [0xef, 0xbf, 0xbd, 0x61]);
    equal('other values', await encode(1, null, { toString: () => 'x' }), [...new TextEncoder().encode('1nullx')]);
    equal('encoding', new TextEncoderStream().encoding, 'utf-8');
  },

  // Node 20 does not.
  'encoding streams have their brands, and refuse symbols': async ({ equal }) => {
    equal('TextEncoderStream', Object.prototype.toString.call(new TextEncoderStream()), '[object TextEncoderStream]');
    equal('TextDecoderStream', Object.prototype.toString.call(new TextDecoderStream()), '[object TextDecoderStream]');
    const encoded = ReadableStream.from([Symbol('a')]).pipeThrough(new TextEncoderStream());
    equal('a symbol', await nameOf(all(encoded)), 'TypeError');
  },

  'bodies are streams': async ({ equal }) => {
    const response = new Response('abc');
    equal('before', [response.body instanceof ReadableStream, response.body === response.body, response.bodyUsed], [true, true, false]);
    const reader = response.body.getReader();
    equal('text of a held body', await nameOf(response.text()), 'TypeError');
    equal('chunk', [...(await reader.read()).value], [97, 98, 99]);
    equal('used', response.bodyUsed, true);
    equal('end', (await reader.read()).done, true);
    reader.releaseLock();
    equal('text of a read body', await nameOf(response.text()), 'TypeError');
    equal('clone of a read body', thrownBy(() => response.clone()), 'TypeError');
    equal('no body', [new Response().body, new Request('http://a/').body, new Response(null).body], [null, null, null]);
    equal('empty', (await all(new Response('').body)).length, 0);
    const looked = new Response('abc');
    void looked.body;
    equal('looked at', [await looked.text(), looked.bodyUsed], ['abc', true]);
    const read = new Response('abc');
    await read.text();
    equal('stream of a read body', [read.body instanceof ReadableStream, read.body.locked], [true, true]);
    const made = new Response(new ReadableStream({ start: (c) => (c.enqueue(bytes(104)), c.enqueue(bytes(105)), c.close()) }));
    equal('no type', made.headers.get('content-type'), null);
    const copy = made.clone();
    equal('clone', [await made.text(), await copy.text()], ['hi', 'hi']);
    const locked = new ReadableStream();
    locked.getReader();
    equal('of a locked stream', thrownBy(() => new Response(locked)), 'TypeError');
    equal('of text', await nameOf(new Response(new ReadableStream({ start: (c) => (c.enqueue(5), c.close()) })).text()), 'TypeError');
    equal('fails', await nameOf(new Response(new ReadableStream({ start: (c) => c.error(new EvalError()) })).text()), 'EvalError');
    const posted = new Request('http://a/', { method: 'POST', body: ReadableStream.from([bytes(49)]), duplex: 'half' });
    const wrapped = new Request(posted);
    equal('moved', [await wrapped.json(), posted.bodyUsed], [1, true]);
    equal('204', thrownBy(() => new Response(new ReadableStream(), { status: 204 })), 'TypeError');
    equal('GET', thrownBy(() => new Request('http://a/', { body: new ReadableStream(), duplex: 'half' })), 'TypeError');
    const byob = new Response('abc').body.getReader({ mode: 'byob' });
    equal('byob', [...(await byob.read(new Uint8Array(2))).value], [97, 98]);
  },
};
