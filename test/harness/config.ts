// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/** Anything that can stand in a JSON file. */
export type Json = string | number | boolean | null | Json[] | JsonObject;
/** A JSON object; Envoy's whole configuration is one. */
export interface JsonObject {
  [key: string]: Json;
}

/** Where a cluster's only host listens; without `port` the cluster has no host. */
export interface ClusterTarget {
  port?: number;
  /** Speak HTTP/2 without TLS to it; HTTP/1.1 by default. */
  http2?: boolean;
  /** Merged over the cluster's settings. */
  settings?: JsonObject;
}

/** What an Envoy under test is made of. Everything has a default: no filter, one route. */
export interface TrafficOptions {
  /** HTTP filters in order; the router is added behind them. */
  filters?: JsonObject[];
  /** `typed_per_filter_config` of the default route, by filter name. */
  perRoute?: JsonObject;
  /** Clusters by name. The default route goes to `upstream` when there is one, else answers 200. */
  clusters?: Record<string, ClusterTarget>;
  /** Secrets of the bootstrap, in Envoy's own form. */
  secrets?: JsonObject[];
  /** Routes in Envoy's own form, instead of the default one. */
  routes?: JsonObject[];
  /** Transport socket of the listener: clients speak TLS. */
  tls?: JsonObject;
  /** Merged over the HTTP connection manager's settings; `rds` takes the place of its routes. */
  connectionManager?: JsonObject;
  /** Connection buffer limit of listener and clusters; Envoy's default when not given. */
  bufferLimitBytes?: number;
  /** Envoy format string; one line a stream then goes to `accessLog()`. */
  accessLog?: string;
  /** Further listeners by name; of their options only those about a listener have an effect. */
  listeners?: Record<string, TrafficOptions>;
  /** The router adds no `x-envoy-…` headers. */
  suppressEnvoyHeaders?: boolean;
  /** Merged over the bootstrap. */
  settings?: JsonObject;
}

const types = 'type.googleapis.com/';
const extensions = `${types}envoy.extensions.`;

function typed(type: string, fields: JsonObject = {}): JsonObject {
  return { '@type': types + type, ...fields };
}

/**
 * The fairlead filter. An object is its usual config; a string is the bare form (`StringValue`); bytes reach
 * the module as they are (`BytesValue`); `undefined` leaves `filter_config` out.
 */
export function fairlead(config: JsonObject | string | Uint8Array | undefined, filterName = 'test'): JsonObject {
  const filter: JsonObject = {
    '@type': `${extensions}filters.http.dynamic_modules.v3.DynamicModuleFilter`,
    dynamic_module_config: { name: 'fairlead', do_not_close: true },
    filter_name: filterName,
  };
  if (typeof config === 'string') {
    filter['filter_config'] = typed('google.protobuf.StringValue', { value: config });
  } else if (config instanceof Uint8Array) {
    const value = Buffer.from(config).toString('base64');
    filter['filter_config'] = typed('google.protobuf.BytesValue', { value });
  } else if (config !== undefined) {
    filter['filter_config'] = typed('google.protobuf.Struct', { value: config });
  }
  return { name: `fairlead.${filterName}`, typed_config: filter };
}

/** `typed_per_filter_config` in which a virtual host, a route or a weighted cluster says something of that filter. */
export function perRoute(config: JsonObject | undefined, filterName = 'test'): JsonObject {
  const said: JsonObject = {
    '@type': `${extensions}filters.http.dynamic_modules.v3.DynamicModuleFilterPerRoute`,
    dynamic_module_config: { name: 'fairlead', do_not_close: true },
    filter_name: filterName,
  };
  if (config !== undefined) said['filter_config'] = typed('google.protobuf.Struct', { value: config });
  return { [`fairlead.${filterName}`]: said };
}

/** Envoy's Lua filter: what fairlead is compared with, and a second filter in a chain. */
export function lua(source: string): JsonObject {
  return {
    name: 'lua',
    typed_config: {
      '@type': `${extensions}filters.http.lua.v3.Lua`,
      default_source_code: { inline_string: source },
    },
  };
}

/** A route for `prefix` that Envoy answers itself. */
export function directRoute(prefix: string, status: number, body: string): JsonObject {
  return { match: { prefix }, direct_response: { status, body: { inline_string: body } } };
}

/** A route for `prefix` to a cluster, with Envoy's defaults. */
export function clusterRoute(prefix: string, cluster: string): JsonObject {
  return { match: { prefix }, route: { cluster } };
}

const protocolOptions = 'envoy.extensions.upstreams.http.v3.HttpProtocolOptions';

/** Settings of a cluster with HTTP filters of its own: its upstream chain. */
export function upstreamChain(filters: readonly JsonObject[]): JsonObject {
  const codec = {
    name: 'codec',
    typed_config: { '@type': `${extensions}filters.http.upstream_codec.v3.UpstreamCodec` },
  };
  const chain = { explicit_http_config: { http_protocol_options: {} }, http_filters: [...filters, codec] };
  return { typed_extension_protocol_options: { [protocolOptions]: typed(protocolOptions, chain) } };
}

function cluster(name: string, target: ClusterTarget, bufferLimitBytes?: number): JsonObject {
  const hosts: Json[] = target.port === undefined ? [] : [{ endpoint: { address: socketAddress(target.port) } }];
  // Envoy's default breakers (1,024 requests) would answer for the upstream under load.
  const roomy = { max_connections: 65_536, max_pending_requests: 65_536, max_requests: 65_536 };
  const settings: JsonObject = {
    name,
    type: 'STATIC',
    connect_timeout: '5s',
    circuit_breakers: { thresholds: [roomy] },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: hosts }] },
  };
  if (bufferLimitBytes !== undefined) {
    settings['per_connection_buffer_limit_bytes'] = bufferLimitBytes;
  }
  if (target.http2 === true) {
    settings['typed_extension_protocol_options'] = {
      [protocolOptions]: typed(protocolOptions, { explicit_http_config: { http2_protocol_options: {} } }),
    };
  }
  return { ...settings, ...target.settings };
}

function socketAddress(port: number): JsonObject {
  return { socket_address: { address: '127.0.0.1', port_value: port } };
}

function defaultRoute(options: TrafficOptions): JsonObject {
  const route =
    options.clusters?.['upstream'] === undefined
      ? directRoute('/', 200, 'no upstream\n')
      : clusterRoute('/', 'upstream');
  return { ...route, name: 'default', typed_per_filter_config: options.perRoute ?? {} };
}

/** Name of the first listener, and prefix of its HTTP statistics. */
export const listenerName = 'ingress';

/** A listener on a free port, HTTP/1.1 and HTTP/2 alike; its name is the prefix of its HTTP statistics. */
export function listener(options: TrafficOptions, name = listenerName): JsonObject {
  const router = {
    name: 'router',
    typed_config: {
      '@type': `${extensions}filters.http.router.v3.Router`,
      suppress_envoy_headers: options.suppressEnvoyHeaders ?? false,
    },
  };
  const manager: JsonObject = {
    '@type': `${extensions}filters.network.http_connection_manager.v3.HttpConnectionManager`,
    stat_prefix: name,
    codec_type: 'AUTO',
    route_config: {
      name: 'routes',
      virtual_hosts: [{ name: 'all', domains: ['*'], routes: options.routes ?? [defaultRoute(options)] }],
    },
    http_filters: [...(options.filters ?? []), router],
    ...options.connectionManager,
  };
  if (manager['rds'] !== undefined) delete manager['route_config'];
  if (options.accessLog !== undefined) {
    const log = {
      '@type': `${extensions}access_loggers.stream.v3.StdoutAccessLog`,
      log_format: { text_format_source: { inline_string: `${options.accessLog}\n` } },
    };
    manager['access_log'] = [{ name: 'stdout', typed_config: log }];
  }
  const result: JsonObject = {
    name,
    address: socketAddress(0),
    filter_chains: [{ filters: [{ name: 'http', typed_config: manager }], ...(options.tls && { transport_socket: options.tls }) }],
  };
  if (options.tls !== undefined) {
    const inspector = { '@type': `${extensions}filters.listener.tls_inspector.v3.TlsInspector` };
    result['listener_filters'] = [{ name: 'tls_inspector', typed_config: inspector }];
  }
  if (options.bufferLimitBytes !== undefined) {
    result['per_connection_buffer_limit_bytes'] = options.bufferLimitBytes;
  }
  return result;
}

/** A file for Envoy's listener discovery, so that the listener can change while Envoy runs. */
export function listenerDiscovery(options: TrafficOptions): JsonObject {
  return { resources: [{ ...typed('envoy.config.listener.v3.Listener'), ...listener(options) }] };
}

/** The whole bootstrap; with `discoveryPath` the first listener comes from that file. */
export function bootstrap(options: TrafficOptions, discoveryPath?: string): JsonObject {
  const clusters = Object.entries(options.clusters ?? {}).map(([name, target]) =>
    cluster(name, target, options.bufferLimitBytes),
  );
  const result: JsonObject = {
    node: { id: 'test', cluster: 'test' },
    admin: { address: socketAddress(0) },
    static_resources: {
      clusters,
      secrets: options.secrets ?? [],
      listeners: [
        ...(discoveryPath === undefined ? [listener(options)] : []),
        ...Object.entries(options.listeners ?? {}).map(([name, own]) => listener(own, name)),
      ],
    },
    ...options.settings,
  };
  if (discoveryPath !== undefined) {
    result['dynamic_resources'] = { lds_config: { path_config_source: { path: discoveryPath } } };
  }
  return result;
}
