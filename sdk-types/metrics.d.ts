// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * A value for each label of a metric.
 *
 * Envoy keeps a metric for each combination that it has seen, for as long as it lives: give values of a small set, no
 * paths and no names of clients.
 *
 * @since 1
 */
export type MetricLabels<Labels extends string> = { readonly [Label in Labels]: string | number | boolean };

/**
 * A number that only grows.
 *
 * @since 1
 */
export interface Counter<Labels extends string = never> {
  /**
   * Counts `n`, by default 1, rounded to a whole number.
   *
   * @phase Hooks
   * @since 1
   * @example
   * import { counter } from "fairlead";
   *
   * const denied = counter("denied", ["reason"]);
   * export default {
   *   onRequest() {
   *     denied.add({ reason: "missing" });
   *   },
   * };
   * @throws E_NO_STREAM at load
   * @throws E_STREAM_ENDED in code that goes on after its stream
   * @throws E_METRIC_LABELS when a label has no value, or a value no label
   * @throws E_RANGE when `n` is not from 0 to 2^53 - 1
   */
  add(labels?: MetricLabels<Labels>, n?: number): void;
}

/**
 * A number that goes up and down, 0 or more.
 *
 * @since 1
 */
export interface Gauge<Labels extends string = never> {
  /**
   * Sets it to `value`, rounded to a whole number.
   *
   * @phase Hooks
   * @since 1
   * @example
   * import { gauge, shared } from "fairlead";
   *
   * const keys = gauge("keys");
   * export default {
   *   onLog() {
   *     keys.set(shared.keys().length);
   *   },
   * };
   * @throws E_NO_STREAM at load
   * @throws E_STREAM_ENDED in code that goes on after its stream
   * @throws E_METRIC_LABELS when a label has no value, or a value no label
   * @throws E_RANGE when `value` is not from 0 to 2^53 - 1
   */
  set(value: number, labels?: MetricLabels<Labels>): void;

  /**
   * Adds `n`, which may be below 0, rounded to a whole number. It is for the script to see that the sum is not below 0.
   *
   * @phase Hooks
   * @since 1
   * @example
   * import { gauge } from "fairlead";
   *
   * const open = gauge("open");
   * export default {
   *   onRequest: () => open.add(1),
   *   onLog: () => open.add(-1),
   * };
   * @throws E_NO_STREAM at load
   * @throws E_STREAM_ENDED in code that goes on after its stream
   * @throws E_METRIC_LABELS when a label has no value, or a value no label
   * @throws E_RANGE when `n` is further from 0 than 2^53 - 1
   */
  add(n: number, labels?: MetricLabels<Labels>): void;
}

/**
 * How values are distributed.
 *
 * @since 1
 */
export interface Histogram<Labels extends string = never> {
  /**
   * Records `value`, rounded to a whole number: choose a unit in which that says enough.
   *
   * @phase Hooks
   * @since 1
   * @example
   * import { histogram } from "fairlead";
   *
   * const took = histogram("auth_us");
   * export default {
   *   async onRequest() {
   *     const begin = performance.now();
   *     await fetch("http://auth/");
   *     took.record((performance.now() - begin) * 1000);
   *   },
   * };
   * @throws E_NO_STREAM at load
   * @throws E_STREAM_ENDED in code that goes on after its stream
   * @throws E_METRIC_LABELS when a label has no value, or a value no label
   * @throws E_RANGE when `value` is not from 0 to 2^53 - 1
   */
  record(value: number, labels?: MetricLabels<Labels>): void;
}

/**
 * Declares a counter of Envoy, `<filter name>.<name>`, with these labels. At the top level only, and the same in each run
 * of it.
 *
 * Configs of one filter name share it, and it goes on through a reload. A config that declares a name with another kind
 * or other labels is refused as long as one that has it lives. Declaring it twice gives the same counter.
 *
 * @phase Load
 * @since 1
 * @example
 * import { counter } from "fairlead";
 *
 * const denied = counter("denied", ["reason"]);
 * @throws E_WRONG_PHASE in configure() and in hooks
 * @throws E_ARGUMENT when `labels` is not a list
 * @throws E_METRIC for a name that is not of letters, digits and `_`, one that is declared already in another way, and
 *   for too many
 */
export function counter<const Labels extends string = never>(name: string, labels?: readonly Labels[]): Counter<Labels>;

/**
 * Declares a gauge, as `counter` does a counter.
 *
 * @phase Load
 * @since 1
 * @example
 * import { gauge } from "fairlead";
 *
 * const open = gauge("open");
 * @throws E_WRONG_PHASE in configure() and in hooks
 * @throws E_ARGUMENT when `labels` is not a list
 * @throws E_METRIC as `counter`
 */
export function gauge<const Labels extends string = never>(name: string, labels?: readonly Labels[]): Gauge<Labels>;

/**
 * Declares a histogram, as `counter` does a counter.
 *
 * @phase Load
 * @since 1
 * @example
 * import { histogram } from "fairlead";
 *
 * const took = histogram("auth_us", ["result"]);
 * @throws E_WRONG_PHASE in configure() and in hooks
 * @throws E_ARGUMENT when `labels` is not a list
 * @throws E_METRIC as `counter`
 */
export function histogram<const Labels extends string = never>(name: string, labels?: readonly Labels[]): Histogram<Labels>;
