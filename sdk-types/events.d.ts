// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * Members of an event that is made.
 *
 * @since 1
 */
interface EventInit {
  /**
   * Whether `preventDefault` has an effect; by default false.
   *
   * @since 1
   */
  cancelable?: boolean | undefined;
}

/**
 * Something that happens to an EventTarget. There is no tree, so nothing bubbles.
 *
 * @see https://dom.spec.whatwg.org/#interface-event
 * @since 1
 */
interface Event {
  /**
   * What has happened: `abort`.
   *
   * @see https://dom.spec.whatwg.org/#dom-event-type
   * @phase Always
   * @since 1
   * @example
   * new Event("done").type === "done";
   */
  readonly type: string;

  /**
   * What it was dispatched at; null before that.
   *
   * @see https://dom.spec.whatwg.org/#dom-event-target
   * @phase Always
   * @since 1
   * @example
   * new Event("done").target === null;
   */
  readonly target: EventTarget | null;

  /**
   * Whose listener is running; null outside of listeners.
   *
   * @see https://dom.spec.whatwg.org/#dom-event-currenttarget
   * @phase Always
   * @since 1
   * @example
   * new EventTarget().addEventListener("done", (event) => console.debug(event.currentTarget === event.target));
   */
  readonly currentTarget: EventTarget | null;

  /**
   * Whether a listener has called `preventDefault` with effect.
   *
   * @see https://dom.spec.whatwg.org/#dom-event-defaultprevented
   * @phase Always
   * @since 1
   * @example
   * new Event("done").defaultPrevented === false;
   */
  readonly defaultPrevented: boolean;

  /**
   * Whether `preventDefault` has an effect.
   *
   * @see https://dom.spec.whatwg.org/#dom-event-cancelable
   * @phase Always
   * @since 1
   * @example
   * new Event("done", { cancelable: true }).cancelable === true;
   */
  readonly cancelable: boolean;

  /**
   * When it was made, in milliseconds of a clock that never goes back.
   *
   * @see https://dom.spec.whatwg.org/#dom-event-timestamp
   * @phase Always
   * @since 1
   * @example
   * const { timeStamp } = new Event("done");
   */
  readonly timeStamp: number;

  /**
   * Says that what usually follows shall not; without effect unless `cancelable` is set, and in passive listeners.
   *
   * @see https://dom.spec.whatwg.org/#dom-event-preventdefault
   * @phase Always
   * @since 1
   * @example
   * new EventTarget().addEventListener("done", (event) => event.preventDefault());
   */
  preventDefault(): void;

  /**
   * Keeps the event from the listeners that have not run yet.
   *
   * @see https://dom.spec.whatwg.org/#dom-event-stopimmediatepropagation
   * @phase Always
   * @since 1
   * @example
   * new EventTarget().addEventListener("done", (event) => event.stopImmediatePropagation());
   */
  stopImmediatePropagation(): void;
}

declare var Event: {
  readonly prototype: Event;

  /**
   * An event that a script makes.
   *
   * @see https://dom.spec.whatwg.org/#dom-event-event
   * @phase Always
   * @since 1
   * @example
   * const event = new Event("done", { cancelable: true });
   * @throws E_ARGUMENT when `init` is no object
   */
  new (type: string, init?: EventInit): Event;
};

/**
 * A function that hears of events, with the target as `this`, or an object that has one in `handleEvent`.
 *
 * @since 1
 */
type EventListenerOrEventListenerObject = ((this: EventTarget, event: Event) => unknown) | {
  /**
   * Is called for each event.
   *
   * @since 1
   */
  handleEvent(event: Event): unknown;
};

/**
 * What tells two listeners of the same function apart.
 *
 * @since 1
 */
interface EventListenerOptions {
  /**
   * Whether it is called before those that do not capture; by default false.
   *
   * @since 1
   */
  capture?: boolean | undefined;
}

/**
 * How a listener is called.
 *
 * @since 1
 */
interface AddEventListenerOptions extends EventListenerOptions {
  /**
   * Whether it is removed when it is called for the first time; by default false.
   *
   * @since 1
   */
  once?: boolean | undefined;

  /**
   * Whether its `preventDefault` is without effect; by default false.
   *
   * @since 1
   */
  passive?: boolean | undefined;

  /**
   * Removes the listener when it is aborted.
   *
   * @since 1
   */
  signal?: AbortSignal | undefined;
}

/**
 * Something that events happen to.
 *
 * @see https://dom.spec.whatwg.org/#interface-eventtarget
 * @since 1
 */
interface EventTarget {
  /**
   * Has `listener` called for events of a type, after those that are there; once, however often it is added. What a
   * listener throws is logged, and the others are called all the same.
   *
   * @see https://dom.spec.whatwg.org/#dom-eventtarget-addeventlistener
   * @phase Always
   * @since 1
   * @example
   * ctx.signal.addEventListener("abort", () => console.info("over"), { once: true });
   * @throws E_ARGUMENT when `listener` is no function, object or null
   * @throws E_OPTION when `signal` is no AbortSignal
   */
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: AddEventListenerOptions | boolean,
  ): void;

  /**
   * Takes a listener back: the one of that type, function and `capture`.
   *
   * @see https://dom.spec.whatwg.org/#dom-eventtarget-removeeventlistener
   * @phase Always
   * @since 1
   * @example
   * const onAbort = () => console.info("over");
   * ctx.signal.addEventListener("abort", onAbort);
   * ctx.signal.removeEventListener("abort", onAbort);
   * @throws E_ARGUMENT when `listener` is no function, object or null
   */
  removeEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: EventListenerOptions | boolean,
  ): void;

  /**
   * Calls the listeners, now; false when one of them has called `preventDefault` with effect.
   *
   * @see https://dom.spec.whatwg.org/#dom-eventtarget-dispatchevent
   * @phase Always
   * @since 1
   * @example
   * const goOn = new EventTarget().dispatchEvent(new Event("done", { cancelable: true }));
   * @throws E_ARGUMENT when `event` is no Event
   */
  dispatchEvent(event: Event): boolean;
}

declare var EventTarget: {
  readonly prototype: EventTarget;

  /**
   * Something that a script dispatches events at; classes can extend it.
   *
   * @see https://dom.spec.whatwg.org/#dom-eventtarget-eventtarget
   * @phase Always
   * @since 1
   * @example
   * class Cache extends EventTarget {}
   */
  new (): EventTarget;
};

/**
 * Says that something shall end, and why.
 *
 * @see https://dom.spec.whatwg.org/#interface-AbortSignal
 * @since 1
 */
interface AbortSignal extends EventTarget {
  /**
   * Whether it has been aborted.
   *
   * @see https://dom.spec.whatwg.org/#dom-abortsignal-aborted
   * @phase Always
   * @since 1
   * @example
   * if (ctx.signal.aborted) console.info("nobody waits any more");
   */
  readonly aborted: boolean;

  /**
   * Why: what `abort` was given, by default a DOMException of the name AbortError; undefined before that.
   *
   * @see https://dom.spec.whatwg.org/#dom-abortsignal-reason
   * @phase Always
   * @since 1
   * @example
   * AbortSignal.abort("enough").reason === "enough";
   */
  readonly reason: unknown;

  /**
   * A listener for `abort`; null for none.
   *
   * @see https://dom.spec.whatwg.org/#dom-abortsignal-onabort
   * @phase Always
   * @since 1
   * @example
   * ctx.signal.onabort = () => console.info("over");
   */
  onabort: ((this: AbortSignal, event: Event) => unknown) | null;

  /**
   * Throws the reason, if it has been aborted.
   *
   * @see https://dom.spec.whatwg.org/#dom-abortsignal-throwifaborted
   * @phase Always
   * @since 1
   * @example
   * ctx.signal.throwIfAborted();
   */
  throwIfAborted(): void;
}

declare var AbortSignal: {
  readonly prototype: AbortSignal;

  /**
   * A signal that is aborted already.
   *
   * @see https://dom.spec.whatwg.org/#dom-abortsignal-abort
   * @phase Always
   * @since 1
   * @example
   * AbortSignal.abort().aborted === true;
   */
  abort(reason?: unknown): AbortSignal;

  /**
   * A signal that is aborted in so many milliseconds, with a DOMException of the name TimeoutError. It ends with the
   * stream, and is one of its 64 timers.
   *
   * @see https://dom.spec.whatwg.org/#dom-abortsignal-timeout
   * @phase Hooks
   * @since 1
   * @example
   * const answer = await fetch("http://auth/", { signal: AbortSignal.timeout(200) });
   * @throws E_NO_STREAM at load
   * @throws E_ARGUMENT for what is not a whole number from 0 on
   * @throws E_TIMER_LIMIT for more than 64 timers at once in one stream
   */
  timeout(milliseconds: number): AbortSignal;

  /**
   * A signal that is aborted with the first of some others, for the same reason.
   *
   * @see https://dom.spec.whatwg.org/#dom-abortsignal-any
   * @phase Always
   * @since 1
   * @example
   * const signal = AbortSignal.any([ctx.signal, AbortSignal.timeout(200)]);
   * @throws E_ARGUMENT for what is no iterable of AbortSignals
   */
  any(signals: Iterable<AbortSignal>): AbortSignal;
};

/**
 * What aborts a signal.
 *
 * @see https://dom.spec.whatwg.org/#interface-abortcontroller
 * @since 1
 */
interface AbortController {
  /**
   * Its signal; always the same object.
   *
   * @see https://dom.spec.whatwg.org/#dom-abortcontroller-signal
   * @phase Always
   * @since 1
   * @example
   * const { signal } = new AbortController();
   */
  readonly signal: AbortSignal;

  /**
   * Aborts the signal; does nothing the second time. The reason is by default a DOMException of the name AbortError.
   *
   * @see https://dom.spec.whatwg.org/#dom-abortcontroller-abort
   * @phase Always
   * @since 1
   * @example
   * const controller = new AbortController();
   * setTimeout(() => controller.abort(new Error("too slow")), 100);
   */
  abort(reason?: unknown): void;
}

declare var AbortController: {
  readonly prototype: AbortController;

  /**
   * A controller with a new signal.
   *
   * @see https://dom.spec.whatwg.org/#dom-abortcontroller-abortcontroller
   * @phase Always
   * @since 1
   * @example
   * const controller = new AbortController();
   */
  new (): AbortController;
};
