// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { RuntimeKeys } from './runtime_keys.js';
import type { Secrets } from './secrets.js';

/**
 * What a job of `every` is called with.
 *
 * @since 1
 */
export interface JobContext<Config = unknown, Settings = unknown> {
  /**
   * The `config` object of the filter in Envoy's config, as `ctx.config`.
   *
   * @since 1
   */
  readonly config: Config;

  /**
   * What `configure` has made of it, as `ctx.settings`.
   *
   * @since 1
   */
  readonly settings: Settings;

  /**
   * Aborted when the run is over, and when the filter's config goes.
   *
   * @since 1
   */
  readonly signal: AbortSignal;

  /**
   * Envoy's runtime, as `ctx.runtime`.
   *
   * @since 1
   */
  readonly runtime: RuntimeKeys;

  /**
   * The secrets that the filter's config names, as `ctx.secrets`.
   *
   * @since 1
   */
  readonly secrets: Secrets;
}

/**
 * Calls `job` again and again, without a request: the first time when the config has been taken, then every `seconds`, from
 * 0.1 to 86400. For what must be fetched before requests need it, and for what is to be sent from time to time.
 *
 * A job runs on Envoy's main thread, once in the process for each config that names the script, however many workers
 * there are. It may `fetch`, wait, log and count; workers see what it puts into `shared`, not its variables. Its limits
 * are those of a request: `cpu_ms`, `stream_cpu_ms`, and `wait_ms` for each run. A run that is due while the one before
 * still waits is left out. One that fails is logged and counted, and the next comes as if it had not. Jobs end with their
 * config: when that is replaced, as soon as Envoy has drained it and its last request is over. Envoy before 1.39 does not count what jobs do.
 *
 * @phase Load
 * @since 1
 * @example
 * import { every, shared } from "fairlead";
 *
 * every(60, async () => {
 *   const answer = await fetch("http://issuer/keys.json");
 *   if (answer.ok) shared.set("keys", await answer.text());
 * });
 * @throws E_WRONG_PHASE in configure() and in hooks
 * @throws E_ARGUMENT when `job` is not a function
 * @throws E_RANGE when `seconds` is not from 0.1 to 86400, and for more than 16 jobs
 */
export function every<Config = unknown, Settings = unknown>(
  seconds: number,
  job: (context: JobContext<Config, Settings>) => void | Promise<void>,
): void;
