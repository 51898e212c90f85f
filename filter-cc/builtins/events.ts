// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Event, EventTarget, AbortController and AbortSignal (https://dom.spec.whatwg.org), in a world without a tree: an
// event has one target and no path, so there is nothing to bubble through. What may be used here stands in native.d.ts.

import { hostError, intrinsics, newDomException, now, reportException, setTimer } from 'fairlead:native';

const { apply, construct, defineProperty, getOwnPropertyDescriptor, ownKeys, setPrototypeOf } = intrinsics.Reflect;

// --- Web IDL ---

function isObject(value: unknown): value is object {
  return typeof value === 'object' ? value !== null : typeof value === 'function';
}

function requireArguments(member: string, given: number, required: number): void {
  if (given < required) throw hostError('E_MISSING_ARGUMENT', member, '' + (given + 1));
}

/** As a template literal converts, which the engine leaves to String.prototype.concat. */
function toDomString(value: unknown): string {
  return apply(intrinsics.String.concat, '', [value as string]);
}

/** A dictionary: absent, or an object to read members from. */
function toDictionary(member: string, argument: number, value: unknown): Record<string, unknown> | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isObject(value)) throw hostError('E_ARGUMENT', member, '' + argument, 'an object');
  return value as Record<string, unknown>;
}

/** Gives a class the shape of Web IDL: members that can be enumerated, a tag, a name that no minifier has changed. */
function expose(constructor: { readonly prototype: object }, name: string): void {
  const { prototype } = constructor;
  const tag = { __proto__: null, value: name, writable: false, enumerable: false, configurable: true };
  defineProperty(constructor, 'name', tag);
  defineProperty(prototype, intrinsics.toStringTag, tag);
  makeEnumerable(prototype);
  makeEnumerable(constructor);
}

function makeEnumerable(holder: object): void {
  const keys = ownKeys(holder);
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    const isOfLanguage = key === 'constructor' || key === 'prototype' || key === 'length' || key === 'name';
    if (typeof key === 'symbol' || isOfLanguage) continue;
    const property = getOwnPropertyDescriptor(holder, key)!;
    setPrototypeOf(property, null);
    property.enumerable = true;
    defineProperty(holder, key, property);
  }
}

// --- Lists ---

/** A place in a List. A removed link still knows the way on, for whoever stands on it. */
class Link<T> {
  readonly value: T;
  /** Later links have greater numbers. */
  readonly order: number;
  removed = false;
  previous: Link<T> | null = null;
  next: Link<T> | null = null;

  constructor(value: T, order: number) {
    this.value = value;
    this.order = order;
  }
}

let lastOrder = 0;

/** A list that may change while it is walked. */
class List<T> {
  first: Link<T> | null = null;
  last: Link<T> | null = null;

  /** Adds at the end, or, with the order of something older, where that belongs. */
  add(value: T, order = ++lastOrder): Link<T> {
    const link = new Link(value, order);
    let before = this.last;
    while (before !== null && before.order > order) before = before.previous;
    link.previous = before;
    link.next = before === null ? this.first : before.next;
    if (link.next === null) this.last = link;
    else link.next.previous = link;
    if (before === null) this.first = link;
    else before.next = link;
    return link;
  }

  remove(link: Link<T>): void {
    if (link.removed) return;
    link.removed = true;
    if (link.previous === null) this.first = link.next;
    else link.previous.next = link.next;
    if (link.next === null) this.last = link.previous;
    else link.next.previous = link.previous;
  }

  /** Calls `visit` for what is there now and has not been removed when its turn comes. */
  forEach(visit: (value: T, link: Link<T>) => void): void {
    const end = lastOrder;
    for (let link = this.first; link !== null && link.order <= end; link = link.next) {
      if (!link.removed) visit(link.value, link);
    }
  }
}

// --- Event ---

interface EventState {
  readonly type: string;
  readonly cancelable: boolean;
  readonly timeStamp: number;
  target: EventTarget | null;
  currentTarget: EventTarget | null;
  canceled: boolean;
  /** It is on its way through the listeners of a target. */
  dispatching: boolean;
  stopped: boolean;
  inPassiveListener: boolean;
}

let eventStateOf: (value: unknown) => EventState | undefined;

function eventState(value: unknown, member: string): EventState {
  const state = eventStateOf(value);
  if (state === undefined) throw hostError('E_ILLEGAL_INVOCATION', 'Event.' + member, 'Event');
  return state;
}

export class Event {
  readonly #state: EventState;

  static {
    eventStateOf = (value) => (isObject(value) && #state in value ? value.#state : undefined);
  }

  constructor(type: unknown, init: unknown = undefined) {
    requireArguments('Event', arguments.length, 1);
    const name = toDomString(type);
    const options = toDictionary('Event', 2, init);
    this.#state = {
      type: name,
      cancelable: options !== undefined && !!options['cancelable'],
      timeStamp: now(),
      target: null,
      currentTarget: null,
      canceled: false,
      dispatching: false,
      stopped: false,
      inPassiveListener: false,
    };
  }

  get type(): string {
    return eventState(this, 'type').type;
  }

  get target(): EventTarget | null {
    return eventState(this, 'target').target;
  }

  get currentTarget(): EventTarget | null {
    return eventState(this, 'currentTarget').currentTarget;
  }

  get defaultPrevented(): boolean {
    return eventState(this, 'defaultPrevented').canceled;
  }

  get cancelable(): boolean {
    return eventState(this, 'cancelable').cancelable;
  }

  get timeStamp(): number {
    return eventState(this, 'timeStamp').timeStamp;
  }

  preventDefault(): void {
    preventDefault(eventState(this, 'preventDefault'));
  }

  stopImmediatePropagation(): void {
    eventState(this, 'stopImmediatePropagation').stopped = true;
  }
}
expose(Event, 'Event');

function preventDefault(event: EventState): void {
  if (event.cancelable && !event.inPassiveListener) event.canceled = true;
}

// --- EventTarget ---

interface Listener {
  readonly type: string;
  readonly callback: object;
  readonly capture: boolean;
  readonly once: boolean;
  readonly passive: boolean;
  /** Takes its place among the abort algorithms of its `signal` option back. */
  unfollow: (() => void) | null;
}

interface TargetState {
  readonly listeners: List<Listener>;
  /** Of an AbortSignal. */
  signal: SignalState | null;
}

let targetStateOf: (value: unknown) => TargetState | undefined;

function targetState(value: unknown, member: string): TargetState {
  const state = targetStateOf(value);
  if (state === undefined) throw hostError('E_ILLEGAL_INVOCATION', 'EventTarget.' + member, 'EventTarget');
  return state;
}

/** The callback of a listener; null is allowed and stands for none. */
function toCallback(member: string, value: unknown): object | null {
  if (value === undefined || value === null) return null;
  if (!isObject(value)) throw hostError('E_ARGUMENT', 'EventTarget.' + member, '2', 'a function or an object');
  return value;
}

/** `(options or boolean)`, of which this is the part that tells listeners apart. */
function toCapture(options: unknown): boolean {
  return isObject(options) ? !!(options as Record<string, unknown>)['capture'] : !!options;
}

export class EventTarget {
  readonly #state: TargetState = { listeners: new List(), signal: null };

  static {
    targetStateOf = (value) => (isObject(value) && #state in value ? value.#state : undefined);
  }

  addEventListener(type: unknown, callback: unknown, options: unknown = undefined): void {
    const target = targetState(this, 'addEventListener');
    requireArguments('EventTarget.addEventListener', arguments.length, 2);
    const name = toDomString(type);
    const called = toCallback('addEventListener', callback);
    const capture = toCapture(options);
    let once = false;
    let passive = false;
    let signal: AbortSignal | undefined;
    if (isObject(options)) {
      const members = options as Record<string, unknown>;
      once = !!members['once'];
      passive = !!members['passive'];
      const given = members['signal'];
      if (given !== undefined && !isAbortSignal(given)) {
        throw hostError('E_OPTION', 'EventTarget.addEventListener', 'signal', 'an AbortSignal');
      }
      signal = given;
    }
    if (called === null || (signal !== undefined && isAborted(signalOf(signal)))) return;
    if (findListener(target, name, called, capture) !== null) return;
    const listener: Listener = { type: name, callback: called, capture, once, passive, unfollow: null };
    const link = addListener(this, target, listener);
    if (signal !== undefined) listener.unfollow = onAbort(signal, () => removeListener(target, link));
  }

  removeEventListener(type: unknown, callback: unknown, options: unknown = undefined): void {
    const target = targetState(this, 'removeEventListener');
    requireArguments('EventTarget.removeEventListener', arguments.length, 2);
    const name = toDomString(type);
    const called = toCallback('removeEventListener', callback);
    const capture = toCapture(options);
    if (called === null) return;
    const link = findListener(target, name, called, capture);
    if (link !== null) removeListener(target, link);
  }

  dispatchEvent(event: unknown): boolean {
    const target = targetState(this, 'dispatchEvent');
    requireArguments('EventTarget.dispatchEvent', arguments.length, 1);
    const state = eventStateOf(event);
    if (state === undefined) throw hostError('E_ARGUMENT', 'EventTarget.dispatchEvent', '1', 'an Event');
    if (state.dispatching) {
      throw newDomException('InvalidStateError', 'EventTarget.dispatchEvent: the event is being dispatched already');
    }
    return dispatch(this, target, event as Event, state);
  }
}
expose(EventTarget, 'EventTarget');

function findListener(target: TargetState, type: string, callback: object, capture: boolean): Link<Listener> | null {
  for (let link = target.listeners.first; link !== null; link = link.next) {
    const listener = link.value;
    if (listener.type === type && listener.callback === callback && listener.capture === capture) return link;
  }
  return null;
}

function addListener(receiver: EventTarget, target: TargetState, listener: Listener): Link<Listener> {
  if (target.signal !== null && listener.type === 'abort') addObserver(receiver as AbortSignal, target.signal);
  return target.listeners.add(listener);
}

function removeListener(target: TargetState, link: Link<Listener>): void {
  if (link.removed) return;
  target.listeners.remove(link);
  link.value.unfollow?.();
  link.value.unfollow = null;
  if (target.signal !== null && link.value.type === 'abort') removeObserver(target.signal);
}

/** Brings an event to its listeners, those that capture first. False when one of them prevented the default. */
function dispatch(receiver: EventTarget, target: TargetState, event: Event, state: EventState): boolean {
  state.dispatching = true;
  state.target = receiver;
  state.currentTarget = receiver;
  for (let pass = 0; pass < 2; pass++) {
    const capture = pass === 0;
    target.listeners.forEach((listener, link) => {
      if (state.stopped || listener.type !== state.type || listener.capture !== capture) return;
      if (listener.once) removeListener(target, link);
      state.inPassiveListener = listener.passive;
      try {
        callListener(listener.callback, receiver, event);
      } catch (error) {
        reportException(error);
      }
      state.inPassiveListener = false;
    });
  }
  state.currentTarget = null;
  state.dispatching = false;
  state.stopped = false;
  return !state.canceled;
}

function callListener(callback: object, receiver: EventTarget, event: Event): void {
  if (callback === attributeHandler) {
    callAttributeHandler(receiver as AbortSignal, event);
  } else if (typeof callback === 'function') {
    apply(callback, receiver, [event]);
  } else {
    const handler = (callback as Record<string, unknown>)['handleEvent'];
    if (typeof handler !== 'function') {
      throw hostError('E_OPTION', 'EventTarget.addEventListener', 'handleEvent', 'a function');
    }
    apply(handler, callback, [event]);
  }
}

// --- AbortSignal ---

type Algorithm = (reason: unknown) => void;

/** It has no way back to its AbortSignal: in a cycle every signal would wait for the collector. */
interface SignalState {
  /** When it was made. */
  readonly order: number;
  aborted: boolean;
  reason: unknown;
  /** When it was aborted. */
  abortOrder: number;
  readonly algorithms: List<Algorithm>;
  /** How many algorithms and listeners for `abort` there are. */
  observers: number;
  /** What a dependent signal follows; none of these is dependent itself. */
  readonly sources: List<Source>;
  /** The signals that follow this one and are observed. */
  readonly dependents: List<AbortSignal>;
  /** The value of `onabort`, and where it stands among the listeners. */
  handler: object | null;
  handlerLink: Link<Listener> | null;
}

/**
 * A dependent signal holds on to its sources, but a source only to those dependents that are observed; the others ask
 * when they are asked. Else a source that lives long would keep all that ever followed it.
 */
interface Source {
  readonly state: SignalState;
  /** The place among the source's dependents. */
  link: Link<AbortSignal> | null;
}

/** Stands for the function in `onabort` among the listeners. */
const attributeHandler = { __proto__: null };

/** Requires: isAbortSignal(signal). */
function signalOf(signal: AbortSignal): SignalState {
  return targetStateOf(signal)!.signal!;
}

function signalState(value: unknown, member: string): SignalState {
  if (!isAbortSignal(value)) throw hostError('E_ILLEGAL_INVOCATION', 'AbortSignal.' + member, 'AbortSignal');
  return signalOf(value);
}

export class AbortSignal extends EventTarget {
  constructor() {
    super();
    throw hostError('E_ILLEGAL_CONSTRUCTOR', 'AbortSignal');
  }

  static abort(reason: unknown = undefined): AbortSignal {
    const signal = newSignal();
    abort(signal, reason);
    return signal;
  }

  static timeout(milliseconds: unknown): AbortSignal {
    requireArguments('AbortSignal.timeout', arguments.length, 1);
    const number = +(milliseconds as number);
    const delayMs = number - (number % 1);
    // Not a number, infinite, negative or too large.
    if (!(delayMs >= 0 && delayMs <= 9007199254740991)) {
      throw hostError('E_ARGUMENT', 'AbortSignal.timeout', '1', 'a whole number from 0 to 9007199254740991');
    }
    const signal = newSignal();
    setTimer(() => {
      abort(signal, newDomException('TimeoutError', 'The operation timed out'));
    }, delayMs);
    return signal;
  }

  static any(signals: unknown): AbortSignal {
    requireArguments('AbortSignal.any', arguments.length, 1);
    const wrong = 'an iterable of AbortSignals';
    if (!isObject(signals)) throw hostError('E_ARGUMENT', 'AbortSignal.any', '1', wrong);
    const sources = new List<AbortSignal>();
    for (const signal of signals as Iterable<unknown>) {
      if (!isAbortSignal(signal)) throw hostError('E_ARGUMENT', 'AbortSignal.any', '1', wrong);
      sources.add(signal);
    }
    return newDependent(sources);
  }

  get aborted(): boolean {
    return isAborted(signalState(this, 'aborted'));
  }

  get reason(): unknown {
    const state = signalState(this, 'reason');
    return isAborted(state) ? state.reason : undefined;
  }

  throwIfAborted(): void {
    const state = signalState(this, 'throwIfAborted');
    if (isAborted(state)) throw state.reason;
  }

  get onabort(): unknown {
    return signalState(this, 'onabort').handler;
  }

  set onabort(value: unknown) {
    const state = signalState(this, 'onabort');
    const target = targetStateOf(this)!;
    state.handler = isObject(value) ? value : null;
    // Another handler keeps the place among the listeners; none gives it up.
    if (state.handler === null) {
      if (state.handlerLink !== null) removeListener(target, state.handlerLink);
      state.handlerLink = null;
    } else {
      state.handlerLink ??= addListener(this, target, {
        type: 'abort',
        callback: attributeHandler,
        capture: false,
        once: false,
        passive: false,
        unfollow: null,
      });
    }
  }
}
expose(AbortSignal, 'AbortSignal');

function callAttributeHandler(signal: AbortSignal, event: Event): void {
  const { handler } = signalOf(signal);
  if (typeof handler !== 'function') return;
  if (apply(handler, signal, [event]) === false) preventDefault(eventStateOf(event)!);
}

function newSignal(): AbortSignal {
  // The constructor of AbortSignal is for scripts, and always throws.
  const signal = construct(EventTarget, [], AbortSignal) as AbortSignal;
  targetStateOf(signal)!.signal = {
    order: ++lastOrder,
    aborted: false,
    reason: undefined,
    abortOrder: 0,
    algorithms: new List(),
    observers: 0,
    sources: new List(),
    dependents: new List(),
    handler: null,
    handlerLink: null,
  };
  return signal;
}

/** A signal that is aborted as soon as one of the others is. */
function newDependent(signals: List<AbortSignal>): AbortSignal {
  const dependent = newSignal();
  const state = signalOf(dependent);
  for (let link = signals.first; link !== null; link = link.next) {
    const signal = signalOf(link.value);
    if (isAborted(signal)) {
      markAborted(state, signal.reason);
      return dependent;
    }
  }
  signals.forEach((signal) => {
    const { sources } = signalOf(signal);
    if (sources.first === null) addSource(state, signalOf(signal));
    else sources.forEach((source) => addSource(state, source.state));
  });
  return dependent;
}

function addSource(dependent: SignalState, source: SignalState): void {
  for (let link = dependent.sources.first; link !== null; link = link.next) {
    if (link.value.state === source) return;
  }
  dependent.sources.add({ state: source, link: null });
}

/** Whether it is aborted. A signal that nobody observes learns it from its sources when it is asked. */
function isAborted(state: SignalState): boolean {
  if (state.aborted || state.observers > 0) return state.aborted;
  let first: SignalState | null = null;
  for (let link = state.sources.first; link !== null; link = link.next) {
    const source = link.value.state;
    if (source.aborted && (first === null || source.abortOrder < first.abortOrder)) first = source;
  }
  if (first !== null) markAborted(state, first.reason);
  return state.aborted;
}

function markAborted(state: SignalState, reason: unknown): void {
  state.aborted = true;
  state.reason = reason;
  state.abortOrder = ++lastOrder;
  leaveSources(state);
  state.sources.forEach((_, link) => {
    state.sources.remove(link);
  });
}

/** The first observer makes a dependent signal known to its sources. */
function addObserver(signal: AbortSignal, state: SignalState): void {
  if (!isAborted(state) && state.observers === 0) {
    state.sources.forEach((source) => {
      source.link = source.state.dependents.add(signal, state.order);
    });
  }
  state.observers++;
}

function removeObserver(state: SignalState): void {
  state.observers--;
  if (state.observers === 0) leaveSources(state);
}

function leaveSources(state: SignalState): void {
  state.sources.forEach((source) => {
    if (source.link !== null) source.state.dependents.remove(source.link);
    source.link = null;
  });
}

function abort(signal: AbortSignal, reason: unknown): void {
  const state = signalOf(signal);
  if (isAborted(state)) return;
  markAborted(state, reason === undefined ? newDomException('AbortError', 'The operation was aborted') : reason);
  // All of them are aborted before any script hears of it.
  const dependents = new List<AbortSignal>();
  state.dependents.forEach((dependent) => {
    markAborted(signalOf(dependent), state.reason);
    dependents.add(dependent);
  });
  runAbortSteps(signal);
  dependents.forEach(runAbortSteps);
}

function runAbortSteps(signal: AbortSignal): void {
  const target = targetStateOf(signal)!;
  const state = target.signal!;
  state.algorithms.forEach((algorithm, link) => {
    removeAlgorithm(state, link);
    try {
      algorithm(state.reason);
    } catch (error) {
      reportException(error);
    }
  });
  if (target.listeners.first === null) return;
  const event = new Event('abort');
  dispatch(signal, target, event, eventStateOf(event)!);
}

function removeAlgorithm(state: SignalState, link: Link<Algorithm>): void {
  if (link.removed) return;
  state.algorithms.remove(link);
  removeObserver(state);
}

// --- AbortController ---

let controlledSignal: (value: unknown) => AbortSignal | undefined;

function controllerSignal(value: unknown, member: string): AbortSignal {
  const signal = controlledSignal(value);
  if (signal === undefined) throw hostError('E_ILLEGAL_INVOCATION', 'AbortController.' + member, 'AbortController');
  return signal;
}

export class AbortController {
  readonly #signal: AbortSignal = newSignal();

  static {
    controlledSignal = (value) => (isObject(value) && #signal in value ? value.#signal : undefined);
  }

  get signal(): AbortSignal {
    return controllerSignal(this, 'signal');
  }

  abort(reason: unknown = undefined): void {
    abort(controllerSignal(this, 'abort'), reason);
  }
}
expose(AbortController, 'AbortController');

// --- For the core; see events.h ---

/** The signal of a stream, and the function that aborts it: with the stream's end when the reason is undefined. */
export function createSignal(): { signal: AbortSignal; abort: (reason: unknown) => void } {
  const signal = newSignal();
  return {
    signal,
    abort: (reason) => {
      abort(signal, reason === undefined ? hostError('E_ABORTED', 'the stream has ended') : reason);
    },
  };
}

/** A signal that follows another one. */
export function followSignal(signal: AbortSignal): AbortSignal {
  const signals = new List<AbortSignal>();
  signals.add(signal);
  return newDependent(signals);
}

/** Whether it is an object of a class of this file: those are no mere data. */
export function isEventObject(value: unknown): boolean {
  return eventStateOf(value) !== undefined || targetStateOf(value) !== undefined || controlledSignal(value) !== undefined;
}

export function isAbortSignal(value: unknown): value is AbortSignal {
  const target = targetStateOf(value);
  return target !== undefined && target.signal !== null;
}

export function signalAborted(signal: AbortSignal): boolean {
  return isAborted(signalOf(signal));
}

/** Undefined while the signal is not aborted. */
export function signalReason(signal: AbortSignal): unknown {
  const state = signalOf(signal);
  return isAborted(state) ? state.reason : undefined;
}

/**
 * Has `algorithm` called with the reason, once, before any listener, when the signal is aborted; never for a signal
 * that is aborted already. Gives the function that takes it back.
 */
export function onAbort(signal: AbortSignal, algorithm: Algorithm): () => void {
  const state = signalOf(signal);
  if (isAborted(state)) return () => {};
  addObserver(signal, state);
  const link = state.algorithms.add(algorithm);
  return () => {
    removeAlgorithm(state, link);
  };
}
