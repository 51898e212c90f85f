// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { Metadata } from './metadata.js';

/**
 * The route that the request takes. It can change while `ctx.clearRouteCache()` is allowed.
 *
 * @since 1
 */
export interface Route {
  /**
   * The name of the route in Envoy's config; undefined when it has none.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (ctx.route.name === "admin") console.info("admin:", request.path);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly name: string | undefined;

  /**
   * The name of the virtual host. Since Envoy 1.40.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.route.virtualHost);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly virtualHost: string | undefined;

  /**
   * The metadata of the route.
   *
   * @phase Hooks
   * @since 1
   * @example
   * const tier = ctx.route.metadata.get("example", "tier");
   * if (typeof tier === "number" && tier > 1) request.headers.set("x-tier", String(tier));
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly metadata: Omit<Metadata, "set">;
}

/**
 * How many hosts a cluster has.
 *
 * @since 1
 */
export interface HostsResult {
  /**
   * All of them.
   *
   * @since 1
   */
  readonly total: number;

  /**
   * Those that can take requests.
   *
   * @since 1
   */
  readonly healthy: number;

  /**
   * Those that Envoy uses only when the healthy ones are too few.
   *
   * @since 1
   */
  readonly degraded: number;
}

/**
 * The cluster that the route has chosen.
 *
 * @since 1
 */
export interface Cluster {
  /**
   * The name of the cluster; undefined when there is no route, or Envoy does not know the cluster.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info("goes to", ctx.cluster.name ?? "nowhere");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly name: string | undefined;

  /**
   * How many hosts it has at a priority, 0 by default; undefined without a cluster or such a priority.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (ctx.cluster.hosts()?.healthy === 0) return new Response("try again\n", { status: 503 });
   * @throws E_DEAD_HANDLE after the stream
   * @throws E_RANGE for what is not a whole number from 0 to 127
   */
  hosts(priority?: number): HostsResult | undefined;

  /**
   * The metadata of the cluster.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.cluster.metadata.get("example", "team"));
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly metadata: Omit<Metadata, "set">;

  /**
   * The metadata of the host that has taken the request: empty before there is one.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.cluster.hostMetadata.get("envoy.lb", "version"));
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly hostMetadata: Omit<Metadata, "set">;

  /**
   * The metadata of that host's locality.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.cluster.localityMetadata.get("example", "zone"));
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly localityMetadata: Omit<Metadata, "set">;
}

/**
 * How firmly an upstream host is asked for.
 *
 * @since 1
 */
export interface UpstreamHostOptions {
  /**
   * True: without that host the request is answered with 503. False, the default: another host is taken.
   *
   * @since 1
   */
  readonly strict?: boolean;
}
