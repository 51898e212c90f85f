// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Starts a stock Envoy with one filter before one upstream, for `run` and `start`. It listens on 127.0.0.1 only.

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

import { writeWhole } from './build.ts';
import { failure, shortPath } from './diagnostics.ts';
import { exchange } from './exchange.ts';
import { paths } from './toolchain/paths.ts';

export interface EnvoyOptions {
  /** The .qjb file. */
  readonly bytecode: Uint8Array;
  /** Shows in Envoy's log. */
  readonly filterName: string;
  /** Port of the upstream that the filter stands before. */
  readonly upstreamPort: number;
  /** Ports of the clusters that the filter may call, by name. */
  readonly clusterPorts: ReadonlyMap<string, number>;
  /** Where to listen; 0 takes a free port. */
  readonly port: number;
  /** Gets each line of the log that is from fairlead or the filter, and all errors of Envoy. */
  readonly onLog: (line: string) => void;
  /** Gets a line for each request; without it none are written. */
  readonly onRequest?: (line: string) => void;
}

const startLimitMs = 30_000;
const stopLimitMs = 5_000;
const upstreamCluster = 'fairlead_upstream';

/** A running Envoy. Neither it nor its files outlive this process, unless the process is killed by SIGKILL. */
export class Envoy {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #bytecodeFile: string;
  readonly #removeAll: () => void;
  readonly #ended: Promise<string>;
  #stopping = false;
  #port = 0;

  private constructor(options: EnvoyOptions) {
    const binary = paths.envoyBinary();
    for (const file of [binary, paths.soPath]) {
      if (existsSync(file)) continue;
      throw failure('E_RUN_ENVOY', `there is no ${shortPath(file)}`, { hints: ['Run "npm run build" in the folder of fairlead first.'] });
    }
    this.#folder = mkdtempSync(join(tmpdir(), 'fairlead-'));
    this.#removeAll = (): void => {
      this.#child?.kill('SIGKILL');
      rmSync(this.#folder, { recursive: true, force: true });
    };
    process.once('exit', this.#removeAll);
    const configFile = join(this.#folder, 'envoy.json');
    this.#bytecodeFile = join(this.#folder, `${options.filterName}.qjb`);
    writeFileSync(this.#bytecodeFile, options.bytecode);
    writeFileSync(configFile, JSON.stringify(bootstrap(options, this.#bytecodeFile), null, 2));
    this.#child = spawn(
      binary,
      ['--config-path', configFile, '--admin-address-path', this.#adminFile, '--disable-hot-restart']
        .concat(['--concurrency', '1', '--log-level', 'error', '--component-log-level', 'dynamic_modules:debug'])
        .concat(['--log-format', '%l|%n|%v', '--file-flush-interval-msec', '20']),
      {
        env: { ...process.env, ENVOY_DYNAMIC_MODULES_SEARCH_PATH: dirname(paths.soPath) },
        stdio: ['ignore', options.onRequest ? 'pipe' : 'ignore', 'pipe'],
        // A Ctrl-C in a terminal goes to all of its processes; this one is stopped by stop().
        detached: true,
      },
    );
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (error) => {
        resolve(`cannot be run: ${error.message}`);
      });
      // Not 'exit': what it logged last is still on its way then.
      this.#child.once('close', (code, signal) => {
        resolve(`ended with ${signal ?? `code ${code}`}`);
      });
    });
    if (this.#child.stdout && options.onRequest) createInterface({ input: this.#child.stdout }).on('line', options.onRequest);
    if (this.#child.stderr) {
      createInterface({ input: this.#child.stderr }).on('line', (line) => {
        const shown = shownLine(line);
        if (shown !== undefined) options.onLog(shown);
      });
    }
  }

  /** Puts another filter in the place of the one that runs; the log tells when it is live, or what is wrong with it. */
  async replace(bytecode: Uint8Array): Promise<void> {
    await writeWhole(this.#bytecodeFile, bytecode);
  }

  /** Starts Envoy and waits until it serves. Throws a FairleadError when it does not; its log tells why. */
  static async start(options: EnvoyOptions): Promise<Envoy> {
    const envoy = new Envoy(options);
    try {
      await envoy.#waitUntilReady();
    } catch (error) {
      await envoy.stop();
      throw error;
    }
    return envoy;
  }

  /** Where it listens. */
  get port(): number {
    return this.#port;
  }

  /** Fulfilled when it has ended, with the reason; undefined when that was stop(). */
  async ended(): Promise<string | undefined> {
    const reason = await this.#ended;
    return this.#stopping ? undefined : reason;
  }

  /** Ends it and removes its files. */
  async stop(): Promise<void> {
    this.#stopping = true;
    if (this.#child.exitCode === null && this.#child.signalCode === null && this.#child.pid !== undefined) {
      this.#child.kill('SIGTERM');
      const limit = setTimeout(() => this.#child.kill('SIGKILL'), stopLimitMs);
      await once(this.#child, 'exit');
      clearTimeout(limit);
    }
    process.off('exit', this.#removeAll);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  get #adminFile(): string {
    return join(this.#folder, 'admin');
  }

  async #waitUntilReady(): Promise<void> {
    const deadline = performance.now() + startLimitMs;
    let isOver = false;
    const over = this.#ended.then((reason) => {
      isOver = true;
      throw failure('E_RUN_ENVOY', `Envoy ${reason}; its log above says why`);
    });
    const ready = async (): Promise<void> => {
      while (!isOver && !(await this.#isReady())) {
        if (performance.now() > deadline) {
          throw failure('E_RUN_ENVOY', `Envoy is not ready after ${startLimitMs / 1000} s; its log above may say why`);
        }
        await delay(20);
      }
    };
    await Promise.race([over, ready()]);
  }

  /** True when Envoy serves; its port is known then. */
  async #isReady(): Promise<boolean> {
    const address = existsSync(this.#adminFile) ? readFileSync(this.#adminFile, 'utf8') : '';
    const adminPort = Number(/:(\d+)$/.exec(address)?.[1]);
    if (!adminPort) return false;
    const ask = (path: string): Promise<{ status: number; body: string }> =>
      exchange(adminPort, { method: 'GET', path, headers: {} }).catch(() => ({ status: 0, body: '' }));
    if ((await ask('/ready')).status !== 200) return false;
    const listeners = await ask('/listeners?format=json');
    if (listeners.status !== 200) return false;
    const { listener_statuses: [listener] = [] } = JSON.parse(listeners.body) as ListenersAnswer;
    this.#port = listener?.local_address.socket_address.port_value ?? 0;
    return this.#port !== 0;
  }
}

interface ListenersAnswer {
  readonly listener_statuses?: ReadonlyArray<{
    readonly local_address: { readonly socket_address: { readonly port_value: number } };
  }>;
}

/** What of Envoy's log concerns who runs a filter, without the parts that only Envoy's developers need. */
function shownLine(line: string): string | undefined {
  const [, level, logger, message] = /^(\w+)\|([\w.]+)\|(.*)$/.exec(line) ?? [];
  // A message may have several lines.
  if (level === undefined || message === undefined) return line;
  if (message.startsWith('Dynamic module ABI version')) return undefined;
  if (logger === 'dynamic_modules') return `[${level}] ${message}`;
  return level === 'error' || level === 'critical' ? `[${level}] ${logger}: ${message}` : undefined;
}

/** What an access log tells of a request, in one line. */
const requestLog = {
  name: 'stdout',
  typed_config: {
    '@type': 'type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog',
    log_format: {
      text_format_source: { inline_string: '%REQ(:METHOD)% %REQ(:PATH)% → %RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %DURATION% ms\n' },
    },
  },
};

function bootstrap(options: EnvoyOptions, bytecodeFile: string): object {
  const address = (port: number): object => ({ socket_address: { address: '127.0.0.1', port_value: port } });
  const type = (name: string): object => ({ '@type': `type.googleapis.com/${name}` });
  const cluster = (name: string, port: number): object => ({
    name,
    type: 'STATIC',
    connect_timeout: '1s',
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }] },
  });
  const filter = {
    name: 'fairlead',
    typed_config: {
      ...type('envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter'),
      dynamic_module_config: { name: 'fairlead' },
      filter_name: options.filterName,
      filter_config: {
        ...type('google.protobuf.Struct'),
        value: { file: bytecodeFile, watch: true, clusters: [...options.clusterPorts.keys()] },
      },
    },
  };
  const router = {
    name: 'router',
    typed_config: { ...type('envoy.extensions.filters.http.router.v3.Router'), suppress_envoy_headers: true },
  };
  const manager = {
    ...type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
    stat_prefix: 'fairlead',
    // What the demo shows as changed is to be the filter's work, not Envoy's.
    generate_request_id: false,
    server_header_transformation: 'PASS_THROUGH',
    http_filters: [filter, router],
    ...(options.onRequest && { access_log: [requestLog] }),
    route_config: {
      virtual_hosts: [
        { name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, route: { cluster: upstreamCluster, timeout: '0s' } }] },
      ],
    },
  };
  return {
    admin: { address: address(0) },
    static_resources: {
      listeners: [
        { name: 'fairlead', address: address(options.port), filter_chains: [{ filters: [{ name: 'http', typed_config: manager }] }] },
      ],
      clusters: [
        cluster(upstreamCluster, options.upstreamPort),
        ...[...options.clusterPorts].map(([name, port]) => cluster(name, port)),
      ],
    },
  };
}
