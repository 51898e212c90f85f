// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { afterEach, beforeEach, describe, expect, it } from 'vitest';

import { Engine } from './testing/engine.ts';

let engine: Engine;

beforeEach(async () => {
  engine = await Engine.create('events');
});

afterEach(() => {
  engine.dispose();
});

/** Calls each of the functions given in the script and tells how it ended. */
const tell = `
  const tell = (...functions) => functions.map((fn) => {
    try { return fn() ?? null } catch (e) { return [e.name, e.code, e.message].join(' ') }
  });
`;

describe('the shape of Web IDL', () => {
  it('gives classes their names, tags, lengths and members that can be enumerated (W16, W17)', () => {
    const shapes = engine.run(`
      return [Event, EventTarget, AbortController, AbortSignal].map((c) => ({
        name: c.name, length: c.length, tag: Object.prototype.toString.call(c.prototype),
        members: Object.keys(c.prototype).sort().join(' '), statics: Object.keys(c).sort().join(' '),
        parent: Object.getPrototypeOf(c).name,
        fixed: !Object.getOwnPropertyDescriptor(c, 'prototype').writable,
        lengths: Object.getOwnPropertyNames(c.prototype).filter((m) => m !== 'constructor')
          .map((m) => Object.getOwnPropertyDescriptor(c.prototype, m)).map((d) => d.value?.length ?? d.get.name).join(),
      }));`);
    expect(shapes).toEqual([
      {
        name: 'Event',
        length: 1,
        tag: '[object Event]',
        members:
          'cancelable currentTarget defaultPrevented preventDefault stopImmediatePropagation target timeStamp type',
        statics: '',
        parent: '',
        fixed: true,
        lengths: 'get type,get target,get currentTarget,get defaultPrevented,get cancelable,get timeStamp,0,0',
      },
      {
        name: 'EventTarget',
        length: 0,
        tag: '[object EventTarget]',
        members: 'addEventListener dispatchEvent removeEventListener',
        statics: '',
        parent: '',
        fixed: true,
        lengths: '2,2,1',
      },
      {
        name: 'AbortController',
        length: 0,
        tag: '[object AbortController]',
        members: 'abort signal',
        statics: '',
        parent: '',
        fixed: true,
        lengths: 'get signal,0',
      },
      {
        name: 'AbortSignal',
        length: 0,
        tag: '[object AbortSignal]',
        members: 'aborted onabort reason throwIfAborted',
        statics: 'abort any timeout',
        parent: 'EventTarget',
        fixed: true,
        lengths: 'get aborted,get reason,0,get onabort',
      },
    ]);
    expect(engine.run('return [AbortSignal.abort, AbortSignal.any, AbortSignal.timeout].map((f) => f.length)')).toEqual(
      [0, 1, 1],
    );
  });

  it('refuses every member on a foreign receiver (H125)', () => {
    const told = engine.run<string[]>(`${tell}
      const calls = [];
      for (const [c, others] of [[Event, [{}, undefined, 1, Event.prototype, new Proxy(new Event('x'), {})]],
          [EventTarget, [{}, null, Event.prototype, Object.create(new EventTarget())]],
          [AbortController, [{}, AbortController.prototype, new EventTarget()]],
          [AbortSignal, [{}, AbortSignal.prototype, new EventTarget(), new AbortController()]]])
        for (const key of Object.keys(c.prototype)) {
          const { value, get, set } = Object.getOwnPropertyDescriptor(c.prototype, key);
          for (const fn of [value, get, set]) if (fn) for (const other of others) calls.push(() => fn.call(other,
            'a', () => {}));
        }
      return tell(...calls);`);
    expect(told.length).toBeGreaterThan(60);
    for (const text of told) expect(text).toMatch(/^TypeError E_ILLEGAL_INVOCATION \w+\.\w+ was called on a value/);
  });

  it('asks for required arguments and converts the others (H125)', () => {
    expect(
      engine.run(`${tell}
        const target = new EventTarget();
        return tell(() => new Event(), () => target.addEventListener('a'), () => target.removeEventListener(),
          () => target.dispatchEvent(), () => target.dispatchEvent({}), () => AbortSignal.any(),
            () => AbortSignal.timeout(),
          () => target.addEventListener('a', 1), () => target.addEventListener(Symbol(), null),
          () => target.addEventListener('a', () => {}, { signal: {} }), () => target.addEventListener('a', () => {},
            { signal: null }),
          () => new Event('a', 1), () => Event('a'), () => new AbortSignal(), () => Reflect.construct(AbortSignal,
            [], Object),
          () => { class Mine extends AbortSignal {} return new Mine() },
          () => new Event(Symbol()), () => new Event({ toString() { return 'made' },
            valueOf() { return 'wrong' } }).type,
          () => new Event(null).type, () => new Event(undefined).type, () => new Event('x', null).cancelable,
          () => target.addEventListener('a', null), () => target.addEventListener('a', undefined));`),
    ).toEqual([
      'TypeError E_MISSING_ARGUMENT Event: argument 1 is missing',
      'TypeError E_MISSING_ARGUMENT EventTarget.addEventListener: argument 2 is missing',
      'TypeError E_MISSING_ARGUMENT EventTarget.removeEventListener: argument 1 is missing',
      'TypeError E_MISSING_ARGUMENT EventTarget.dispatchEvent: argument 1 is missing',
      'TypeError E_ARGUMENT EventTarget.dispatchEvent: argument 1 must be an Event',
      'TypeError E_MISSING_ARGUMENT AbortSignal.any: argument 1 is missing',
      'TypeError E_MISSING_ARGUMENT AbortSignal.timeout: argument 1 is missing',
      'TypeError E_ARGUMENT EventTarget.addEventListener: argument 2 must be a function or an object',
      expect.stringMatching(/^TypeError/),
      'TypeError E_OPTION EventTarget.addEventListener: option signal must be an AbortSignal',
      'TypeError E_OPTION EventTarget.addEventListener: option signal must be an AbortSignal',
      'TypeError E_ARGUMENT Event: argument 2 must be an object',
      expect.stringMatching(/^TypeError/),
      'TypeError E_ILLEGAL_CONSTRUCTOR AbortSignal cannot be constructed',
      'TypeError E_ILLEGAL_CONSTRUCTOR AbortSignal cannot be constructed',
      'TypeError E_ILLEGAL_CONSTRUCTOR AbortSignal cannot be constructed',
      expect.stringMatching(/^TypeError/),
      'made',
      'null',
      'undefined',
      false,
      null,
      null,
    ]);
  });

  it('reads the members of dictionaries in the order of the standard', () => {
    expect(
      engine.run(`
        const read = [];
        const options = new Proxy({}, { get(_, key) { read.push(key) } });
        new EventTarget().addEventListener('a', () => {}, options);
        new EventTarget().removeEventListener('a', () => {}, options);
        new Event('a', options);
        return read.join()`),
    ).toBe('capture,once,passive,signal,capture,cancelable');
  });
});

describe('Event and EventTarget', () => {
  it('tells listeners about the event, in order, with the target as receiver (W17)', () => {
    expect(
      engine.run(`
        host.now = 12.5;
        const log = [];
        class Mine extends EventTarget {}
        const target = new Mine();
        const event = new Event('a');
        log.push([event.type, event.target, event.currentTarget, event.cancelable, event.defaultPrevented,
          event.timeStamp]);
        target.addEventListener('a', function (e) { log.push(['function', this === target, e === event,
          e.target === target, e.currentTarget === target]) });
        target.addEventListener('b', () => log.push('never'));
        target.addEventListener('a', { handleEvent(e) { log.push(['object', e === event, 'handleEvent' in this]) } });
        log.push(target.dispatchEvent(event));
        log.push([event.target === target, event.currentTarget]);
        log.push(target.dispatchEvent(event));
        return log.map((entry) => JSON.stringify(entry));`),
    ).toEqual([
      '["a",null,null,false,false,12.5]',
      '["function",true,true,true,true]',
      '["object",true,true]',
      'true',
      '[true,null]',
      '["function",true,true,true,true]',
      '["object",true,true]',
      'true',
    ]);
  });

  it('tells the same callback twice only if it listens with and without capture, and capture comes first', () => {
    expect(
      engine.run(`
        const log = [];
        const target = new EventTarget();
        const callback = () => log.push('callback');
        target.addEventListener('a', () => log.push('first'));
        target.addEventListener('a', callback);
        target.addEventListener('a', callback, false);
        target.addEventListener('a', callback, { capture: 0, once: true });
        target.addEventListener('a', callback, true);
        target.addEventListener('a', callback, { capture: true });
        target.dispatchEvent(new Event('a'));
        target.removeEventListener('a', callback, { capture: 'yes' });
        target.dispatchEvent(new Event('a'));
        target.removeEventListener('a', callback);
        target.dispatchEvent(new Event('a'));
        return log.join();`),
    ).toBe('callback,first,callback,first,callback,first');
  });

  it('calls a listener with once one time, and not again from inside', () => {
    expect(
      engine.run(`
        let calls = 0;
        const target = new EventTarget();
        target.addEventListener('a', () => { calls++; target.dispatchEvent(new Event('a')) }, { once: true });
        target.dispatchEvent(new Event('a'));
        target.dispatchEvent(new Event('a'));
        return calls;`),
    ).toBe(1);
  });

  it('does not call what was removed or added meanwhile', () => {
    expect(
      engine.run(`
        const log = [];
        const target = new EventTarget();
        const b = () => log.push('b'), c = () => log.push('c'), d = () => log.push('d');
        target.addEventListener('a', () => {
          log.push('a');
          target.removeEventListener('a', b);
          target.removeEventListener('a', c);
          target.addEventListener('a', c);
          target.addEventListener('a', () => log.push('new'), { once: true });
        }, { once: true });
        target.addEventListener('a', b);
        target.addEventListener('a', c);
        target.addEventListener('a', d);
        target.dispatchEvent(new Event('a'));
        log.push('|');
        target.dispatchEvent(new Event('a'));
        return log.join('');`),
    ).toBe('ad|dcnew');
  });

  it('reports what listeners throw and goes on (W17)', () => {
    expect(
      engine.run(`
        const log = [];
        const target = new EventTarget();
        target.addEventListener('a', () => { throw new RangeError('one') });
        target.addEventListener('a', {});
        target.addEventListener('a', { get handleEvent() { throw 'two' } });
        target.addEventListener('a', () => log.push('last'));
        log.push(target.dispatchEvent(new Event('a')));
        return [log.join(), host.reported.map((e) => e.code ?? String(e)).join()];`),
    ).toEqual(['last,true', 'RangeError: one,E_OPTION,two']);
  });

  it('prevents the default of a cancelable event only, and not from a passive listener', () => {
    expect(
      engine.run(`
        const target = new EventTarget();
        const prevent = (e) => e.preventDefault();
        const outcome = (init) => { const e = new Event('a', init); return [target.dispatchEvent(e),
          e.defaultPrevented].join() };
        target.addEventListener('a', prevent, { passive: true });
        const passive = outcome({ cancelable: true });
        target.addEventListener('a', prevent, true);
        const before = new Event('b', { cancelable: true });
        before.preventDefault();
        return [passive, outcome({ cancelable: true }), outcome(), before.defaultPrevented];`),
    ).toEqual(['true,false', 'false,true', 'true,false', true]);
  });

  it('stops at stopImmediatePropagation, for that one dispatch', () => {
    expect(
      engine.run(`
        const log = [];
        const target = new EventTarget();
        target.addEventListener('a', (e) => { log.push('a'); e.stopImmediatePropagation() }, { once: true });
        target.addEventListener('a', () => log.push('b'));
        const event = new Event('a');
        target.dispatchEvent(event);
        target.dispatchEvent(event);
        event.stopImmediatePropagation();
        target.dispatchEvent(event);
        target.dispatchEvent(event);
        return log.join('');`),
    ).toBe('abb');
  });

  it('refuses an event that is on its way already, with a DOMException', () => {
    expect(
      engine.run(`
        const target = new EventTarget();
        target.addEventListener('a', (e) => target.dispatchEvent(e));
        target.dispatchEvent(new Event('a'));
        const [error] = host.reported;
        return [error instanceof DOMException, error.name, error.code, host.reported.length];`),
    ).toEqual([true, 'InvalidStateError', 11, 1]);
  });

  it('takes a listener away when its signal is aborted, and the signal forgets a removed listener', () => {
    expect(
      engine.run(`
        const log = [];
        const target = new EventTarget();
        const { signal, abort } = createSignal();
        const listener = () => log.push('a');
        target.addEventListener('a', listener, { signal });
        target.addEventListener('a', () => log.push('b'), { signal, once: true });
        target.dispatchEvent(new Event('a'));
        target.dispatchEvent(new Event('a'));
        target.removeEventListener('a', listener);
        target.addEventListener('a', listener);
        abort();
        target.dispatchEvent(new Event('a'));
        target.addEventListener('a', () => log.push('c'), { signal });
        target.dispatchEvent(new Event('a'));
        return log.join('');`),
    ).toBe('abaaa');
  });
});

describe('AbortController and AbortSignal', () => {
  it('aborts once, with an AbortError unless another reason is given (W16)', () => {
    expect(
      engine.run(`
        const controller = new AbortController();
        const { signal } = controller;
        const log = [signal === controller.signal, signal instanceof AbortSignal, signal.aborted,
          signal.reason === undefined];
        signal.throwIfAborted();
        signal.addEventListener('abort', (e) => log.push(e instanceof Event, e.type, e.target === signal,
          signal.aborted));
        controller.abort();
        controller.abort('second');
        const { reason } = signal;
        log.push(reason instanceof DOMException, reason.name, reason.code, Object.hasOwn(reason, 'code'));
        try { signal.throwIfAborted() } catch (e) { log.push(e === reason) }
        return log;`),
    ).toEqual([true, true, false, true, true, 'abort', true, true, true, 'AbortError', 20, false, true]);
    expect(
      engine.run(`
        return [AbortSignal.abort(null).reason, AbortSignal.abort(0).reason, AbortSignal.abort().reason.name,
          AbortSignal.abort(undefined).reason.name, AbortSignal.abort('x').aborted];`),
    ).toEqual([null, 0, 'AbortError', 'AbortError', true]);
  });

  it('calls onabort in its place among the listeners', () => {
    expect(
      engine.run(`
        const log = [];
        const controller = new AbortController();
        const { signal } = controller;
        log.push(signal.onabort);
        signal.onabort = () => log.push('wrong');
        signal.addEventListener('abort', () => log.push('between'));
        const handler = function (e) { log.push('handler', this === signal, e.type) };
        signal.onabort = handler;
        log.push(signal.onabort === handler);
        controller.abort();
        signal.onabort = 'text';
        log.push(signal.onabort);
        signal.onabort = handler;
        signal.onabort = null;
        signal.dispatchEvent(new Event('abort'));
        signal.onabort = {};
        signal.dispatchEvent(new Event('abort'));
        signal.onabort = () => false;
        log.push(signal.dispatchEvent(new Event('abort', { cancelable: true })));
        signal.onabort = () => { throw new Error('mine') };
        signal.dispatchEvent(new Event('abort'));
        return [JSON.stringify(log), host.reported.join()];`),
    ).toEqual([
      '[null,true,"handler",true,"abort","between",null,"between","between","between",false,"between"]',
      'Error: mine',
    ]);
  });

  it('times out with a TimeoutError, in a stream only', () => {
    expect(
      engine.run(`${tell}
        const signal = AbortSignal.timeout(250.9);
        const [timer] = host.timers;
        const before = signal.aborted;
        timer.fn();
        const { reason } = signal;
        host.atLoad = true;
        return [timer.delayMs, before, signal.aborted, reason instanceof DOMException, reason.name, reason.code,
          ...tell(() => AbortSignal.timeout(1))];`),
    ).toEqual([
      250,
      false,
      true,
      true,
      'TimeoutError',
      23,
      expect.stringMatching(/^TypeError E_NO_STREAM AbortSignal\.timeout/),
    ]);
    expect(
      engine.run<string[]>(`${tell}
        host.atLoad = false;
        host.timers.length = 0;
        const told = tell(...[-1, NaN, Infinity, 2 ** 53, 'x', {}, undefined, 1n,
          Symbol()].map((ms) => () => AbortSignal.timeout(ms)));
        for (const ms of [0, -0.9, '10', null, true, 2 ** 53 - 1]) AbortSignal.timeout(ms);
        return [...told.map((text) => text.split(' ').slice(0, 2).join(' ')),
          host.timers.map((t) => t.delayMs).join()];`),
    ).toEqual([
      ...Array<string>(7).fill('TypeError E_ARGUMENT'),
      'TypeError ',
      'TypeError ',
      '0,0,10,0,1,9007199254740991',
    ]);
  });

  it('follows the first of any signals that is aborted', () => {
    expect(
      engine.run(`${tell}
        const [a, b, c] = [new AbortController(), new AbortController(), new AbortController()];
        const any = AbortSignal.any([a.signal, b.signal]);
        const nested = AbortSignal.any([any, c.signal, c.signal]);
        const log = [any.aborted, nested.aborted, AbortSignal.any([]).aborted];
        nested.onabort = () => log.push('nested ' + nested.reason + ' ' + any.reason);
        b.abort('b');
        a.abort('a');
        log.push(any.reason, nested.reason, AbortSignal.any([any]).reason, AbortSignal.any(new Set([c.signal,
          any])).reason);
        return [...log, ...tell(() => AbortSignal.any(a.signal), () => AbortSignal.any([{}]),
          () => AbortSignal.any('x'),
          () => AbortSignal.any(null))];`),
    ).toEqual([
      false,
      false,
      false,
      'nested b b',
      'b',
      'b',
      'b',
      'b',
      expect.stringMatching(/^TypeError/),
      'TypeError E_ARGUMENT AbortSignal.any: argument 1 must be an iterable of AbortSignals',
      'TypeError E_ARGUMENT AbortSignal.any: argument 1 must be an iterable of AbortSignals',
      'TypeError E_ARGUMENT AbortSignal.any: argument 1 must be an iterable of AbortSignals',
    ]);
  });

  it('tells dependent signals after their source, in the order in which they were made', () => {
    expect(
      engine.run(`
        const controller = new AbortController();
        const signals = [controller.signal];
        signals.push(AbortSignal.any([controller.signal]), AbortSignal.any([controller.signal]));
        signals.push(AbortSignal.any([signals[0]]), AbortSignal.any([signals[1]]));
        const log = [];
        for (const i of [4, 2, 0, 3, 1]) signals[i].addEventListener('abort', () => log.push(i));
        controller.abort();
        return log.join('');`),
    ).toBe('01234');
  });

  it('marks all dependent signals aborted before a script hears of it, also when listeners abort more', () => {
    expect(
      engine.run(`
        const [a, b] = [new AbortController(), new AbortController()];
        const any = AbortSignal.any([a.signal, b.signal]);
        const late = AbortSignal.any([b.signal, a.signal]);
        const log = [];
        a.signal.onabort = () => { log.push('a', any.aborted, any.reason, late.reason); b.abort('b') };
        any.onabort = () => log.push('any', any.reason);
        b.signal.onabort = () => log.push('b', any.reason);
        a.abort('a');
        return [...log, late.reason, AbortSignal.any([b.signal, a.signal]).reason].join(' ');`),
    ).toBe('a true a a b a any a a b');
  });

  it('keeps nothing of the signals that followed a long-lived one', () => {
    engine.run(`
      globalThis.long = new AbortController();
      globalThis.work = (times) => {
        for (let i = 0; i < times; i++) {
          const unused = AbortSignal.any([long.signal, new AbortController().signal]);
          const seen = AbortSignal.any([long.signal, unused]);
          const listener = () => {};
          seen.addEventListener('abort', listener);
          seen.removeEventListener('abort', listener);
          onAbort(seen, listener)();
          new EventTarget().addEventListener('x', listener, { signal: new AbortController().signal });
          const target = new EventTarget();
          target.addEventListener('x', listener, { signal: long.signal });
          target.removeEventListener('x', listener);
          followSignal(long.signal);
        }
      };
      globalThis.onAbort = onAbort; globalThis.followSignal = followSignal;
      globalThis.AbortSignal = AbortSignal; globalThis.AbortController = AbortController;
        globalThis.EventTarget = EventTarget;
      work(100);`);
    engine.collect();
    const before = engine.heapBytes();
    engine.run('work(1000)');
    engine.collect();
    expect(engine.heapBytes() - before).toBeLessThan(20_000);
  });

  it('frees what a stream uses without the collector', () => {
    engine.run(`
      globalThis.work = (times) => {
        for (let i = 0; i < times; i++) {
          const { signal, abort } = createSignal();
          const controller = new AbortController();
          const any = AbortSignal.any([signal, controller.signal]);
          any.addEventListener('abort', () => {});
          controller.signal.onabort = () => {};
          const undo = onAbort(any, () => {});
          if (i % 2) undo();
          abort();
        }
      };
      work(100);`);
    engine.collect();
    const growths = Array.from({ length: 3 }, () => {
      const before = engine.heapBytes();
      engine.before('work(200)');
      return engine.heapBytes() - before;
    });
    // Nothing but cycles would stay: about a kilobyte for each turn, in every run. Tables of the engine grow in one of them.
    expect(Math.min(...growths)).toBeLessThan(20_000);
  });
});

describe('what the core uses', () => {
  it('runs algorithms before listeners, once, unless they were taken back', () => {
    expect(
      engine.run(`
        const log = [];
        const { signal, abort } = createSignal();
        signal.addEventListener('abort', () => log.push('listener'));
        const undo = onAbort(signal, () => log.push('undone'));
        onAbort(signal, (reason) => log.push('algorithm ' + reason));
        onAbort(signal, () => { throw new Error('lost') });
        undo();
        undo();
        const follower = followSignal(signal);
        onAbort(follower, (reason) => log.push('follower ' + reason));
        abort('r');
        abort('again');
        onAbort(signal, () => log.push('never'))();
        return [log.join(), host.reported.join(), isAbortSignal(signal), isAbortSignal({}),
          isAbortSignal(new EventTarget()),
          signalAborted(signal), signalReason(signal), signalReason(createSignal().signal) === undefined];`),
    ).toEqual(['algorithm r,listener,follower r', 'Error: lost', true, false, false, true, 'r', true]);
  });
});

describe('a script that has replaced what it can reach (H123)', () => {
  it('is not run by the builtin, and does not break it', () => {
    engine.before(`
      const { defineProperty } = Object, { ownKeys, getPrototypeOf } = Reflect, { DOMException: Original } = globalThis;
      globalThis.ran = [];
      const holders = [Object.prototype, Object, Reflect, Function.prototype, Array.prototype, String.prototype,
        Number.prototype, Symbol, Map.prototype, Set.prototype, WeakMap.prototype, Error.prototype,
        getPrototypeOf([].values()), Promise.prototype];
      for (let i = 0; i < holders.length; i++) {
        const keys = ownKeys(holders[i]);
        for (let k = 0; k < keys.length; k++) {
          const key = keys[k];
          if (key === 'constructor' || key === '__proto__' || key === 'prototype') continue;
          const evil = () => { ran[ran.length] = key; throw 'ran' };
          try { defineProperty(holders[i], key, { __proto__: null, get: evil, set: evil }) } catch {}
        }
      }
      const names = ['0', '1', 'value', 'get', 'set', 'done', 'signal', 'capture', 'next', 'previous', 'first',
        'then', 'type'];
      for (let i = 0; i < names.length; i++) {
        const evil = () => { ran[ran.length] = names[i]; return undefined };
        // What a script may ask for by itself is read from what it gives.
        defineProperty(holders[0], names[i], { __proto__: null, get: evil, set: evil, configurable: true });
      }
      globalThis.DOMException = class { constructor() { ran[ran.length] = 'DOMException' } };
      globalThis.Original = Original;`);
    expect(
      engine.run(`
        const own = { __proto__: null };
        const controller = new AbortController();
        let count = 0;
        const { signal } = controller;
        signal.addEventListener('abort', () => { count++ }, own);
        signal.onabort = () => { count++ };
        const target = new EventTarget();
        target.addEventListener('a', { __proto__: null, handleEvent() { count++ } }, { __proto__: null, once: true,
          signal });
        target.dispatchEvent(new Event('a', own));
        const follower = followSignal(signal);
        onAbort(follower, () => { count++ });
        controller.abort();
        AbortSignal.timeout(5);
        const first = ran[0];
        return 'count ' + count + ', aborted ' + (follower.reason instanceof Original) + ', ran ' + first;`),
    ).toBe('count 4, aborted true, ran undefined');
  });

  it('cannot put itself between AbortSignal and EventTarget', () => {
    expect(
      engine.run(`
        let ran = 0;
        Object.setPrototypeOf(AbortSignal, function () { ran++ });
        Object.defineProperty(EventTarget, Symbol.hasInstance, { value: () => { ran++ } });
        const controller = new AbortController();
        controller.abort();
        return [ran, controller.signal.aborted];`),
    ).toEqual([0, true]);
  });
});
