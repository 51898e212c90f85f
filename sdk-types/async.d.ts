// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * A value that belongs to the code that runs, however deep in its calls, and that it keeps along `await`, promises, timers
 * and `fetch`: what a helper needs of a request without being handed its `ctx`.
 *
 * Make one at the top level, and `run` what handles a request. It is the class that `node:async_hooks` has in Node.js and
 * Cloudflare Workers: a package that imports it from there gets this one. `enterWith` and `disable` are absent.
 *
 * @see https://nodejs.org/api/async_context.html#class-asynclocalstorage
 * @since 1
 * @example
 * import { defineFilter, sleep } from "fairlead";
 *
 * const requestId = new AsyncLocalStorage<string>();
 *
 * async function load(key: string) {
 *   await sleep(10);
 *   console.log("loaded", key, "for", requestId.getStore());
 * }
 *
 * export default defineFilter({
 *   onRequest: (request) => requestId.run(request.headers.get("x-request-id") ?? "", async () => {
 *     await load("a");
 *   }),
 * });
 */
interface AsyncLocalStorage<T> {
  /**
   * The value of the innermost `run` that this code was started in, be it long over; undefined outside.
   *
   * @phase Always
   * @since 1
   * @example
   * const requestId = new AsyncLocalStorage<string>();
   * const id = requestId.run("7", () => requestId.getStore() ?? "none");
   */
  getStore(): T | undefined;

  /**
   * Calls `callback` with `args`, with `store` as the value of this storage there and in all that it starts. Gives what it
   * gives, and throws what it throws.
   *
   * @phase Always
   * @since 1
   * @example
   * const requestId = new AsyncLocalStorage<string>();
   * await requestId.run("7", async () => console.log(requestId.getStore()));
   * @throws E_ARGUMENT when `callback` is not a function
   */
  run<R, Args extends unknown[]>(store: T, callback: (...args: Args) => R, ...args: Args): R;

  /**
   * Calls `callback` with `args`, without a value there and in all that it starts.
   *
   * @phase Always
   * @since 1
   * @example
   * const requestId = new AsyncLocalStorage<string>();
   * requestId.exit(() => console.log(requestId.getStore())); // undefined
   * @throws E_ARGUMENT when `callback` is not a function
   */
  exit<R, Args extends unknown[]>(callback: (...args: Args) => R, ...args: Args): R;
}

declare var AsyncLocalStorage: {
  readonly prototype: AsyncLocalStorage<unknown>;

  /**
   * A storage without a value.
   *
   * @phase Always
   * @since 1
   * @example
   * const requestId = new AsyncLocalStorage<string>();
   */
  new <T>(): AsyncLocalStorage<T>;

  /**
   * A function that calls `callback` with the values that all storages have now, whenever it is called.
   *
   * @phase Always
   * @since 1
   * @example
   * const requestId = new AsyncLocalStorage<string>();
   * ctx.signal.addEventListener("abort", AsyncLocalStorage.bind(() => console.log(requestId.getStore())));
   * @throws E_ARGUMENT when `callback` is not a function
   */
  bind<Args extends unknown[], R>(callback: (...args: Args) => R): (...args: Args) => R;

  /**
   * A function that calls another with the values that all storages have now.
   *
   * @phase Always
   * @since 1
   * @example
   * const requestId = new AsyncLocalStorage<string>();
   * const inThisRequest = requestId.run("7", () => AsyncLocalStorage.snapshot());
   * console.log(inThisRequest(() => requestId.getStore())); // 7
   */
  snapshot(): <R, Args extends unknown[]>(callback: (...args: Args) => R, ...args: Args) => R;
};
