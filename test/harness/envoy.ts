// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { paths } from '../../bundler/toolchain/paths.ts';
import { request } from './client.ts';
import { bootstrap, listenerDiscovery, listenerName, type TrafficOptions } from './config.ts';
import { LineCollector, Log, logFormat, readFault, type LogEntry, type LogLevel } from './log.ts';
import { waitFor, within } from './wait.ts';

/** How an Envoy is run; what it serves is in `TrafficOptions`. */
export interface EnvoyOptions extends TrafficOptions {
  /** Release of the stock Envoy; the one that the tests run with by default. */
  version?: string;
  /** Worker threads; one by default, so that requests meet the same runtime. */
  concurrency?: number;
  /** `info` by default. */
  logLevel?: LogLevel;
  /** Folder of `libfairlead.so`; `ENVOY_DYNAMIC_MODULES_SEARCH_PATH`, else the release build, by default. */
  libraryFolder?: string;
  /** More environment variables for Envoy. */
  environment?: Record<string, string>;
  /** The listener comes from a watched file: `update()` can then replace it. */
  dynamic?: boolean;
  /** Command and arguments in front of Envoy's own, such as `taskset -c 0`. It must become Envoy, not start it. */
  command?: readonly string[];
  /** How long Envoy may take to serve; 20,000 by default. */
  startLimitMs?: number;
  /** How long a listener that was replaced may finish what it has begun; Envoy's default is 600. */
  drainTimeS?: number;
}

/** Envoy refused its configuration, or ended before it served. */
export class EnvoyStartError extends Error {
  override readonly name = 'EnvoyStartError';
  readonly exitCode: number | null;
  readonly log: Log;

  constructor(exitCode: number | null, log: Log) {
    super(`Envoy ended with ${exitCode ?? 'a signal'} before it was ready:\n${log.tail()}`);
    this.exitCode = exitCode;
    this.log = log;
  }
}

/** Result of `envoy --mode validate`. */
export interface Validation {
  exitCode: number;
  log: Log;
}

/** A configuration that Envoy refused, and the log entry that says why. */
export interface Rejection extends Validation {
  reason: LogEntry;
}

/** What became of a changed listener. */
export interface Update {
  accepted: boolean;
  /** Log entries written from the change to the verdict. */
  entries: LogEntry[];
}

/** The minor version of the Envoy that the tests run with: 38 for 1.38.3. */
export const envoyMinor = ((): number => {
  const text = execFileSync(paths.envoyBinary(), ['--version'], { encoding: 'utf8' });
  const minor = /\/1\.(\d+)\.\d+\//.exec(text)?.[1];
  if (minor === undefined) throw new Error(`not a version of Envoy 1: ${text}`);
  return Number(minor);
})();

const startLimitMs = 20_000;
const stopLimitMs = 20_000;

/** Like ENVOY_BIN: another build, an installed one, can be put in the place of the release build. */
export const libraryFolder = process.env['ENVOY_DYNAMIC_MODULES_SEARCH_PATH'] ?? dirname(paths.soPath);

// A test runner that dies must not leave proxies behind.
const running = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of running) child.kill('SIGKILL');
});

/** A folder with the files of one Envoy, and the process started from it. */
interface Launch {
  folder: string;
  child: ChildProcess;
  log: Log;
  /** Resolves when the process has ended and all of its output has been read. */
  ended: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
  accessLog: LineCollector;
}

async function launch(options: EnvoyOptions, extraArguments: string[]): Promise<Launch> {
  const folder = await mkdtemp(join(tmpdir(), 'fairlead-envoy-'));
  const discoveryPath = options.dynamic === true ? join(folder, 'listeners.json') : undefined;
  const configPath = join(folder, 'envoy.json');
  await writeFile(configPath, JSON.stringify(bootstrap(options, discoveryPath)));
  if (discoveryPath !== undefined) {
    await writeFile(discoveryPath, JSON.stringify(listenerDiscovery(options)));
  }
  const args = [
    ...['--config-path', configPath, '--disable-hot-restart'],
    ...['--concurrency', String(options.concurrency ?? 1)],
    ...['--log-level', options.logLevel ?? 'info', '--log-format', logFormat],
    ...['--file-flush-interval-msec', '10'],
    ...(options.drainTimeS === undefined ? [] : ['--drain-time-s', String(options.drainTimeS)]),
    ...extraArguments,
  ];
  const [program = '', ...programArgs] = [...(options.command ?? []), paths.envoyBinary(options.version), ...args];
  const child = spawn(program, programArgs, {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      ...options.environment,
      ENVOY_DYNAMIC_MODULES_SEARCH_PATH: options.libraryFolder ?? libraryFolder,
    },
  });
  running.add(child);
  const ended = once(child, 'close').then(([code, signal]) => {
    running.delete(child);
    return { code: code as number | null, signal: signal as NodeJS.Signals | null };
  });
  return { folder, child, log: new Log(child.stderr), accessLog: new LineCollector(child.stdout), ended };
}

/** Ends a process that should have ended by itself, and waits for it. */
async function kill({ child, ended, folder }: Launch): Promise<void> {
  child.kill('SIGKILL');
  await ended.catch(() => undefined);
  await rm(folder, { recursive: true, force: true });
}

/** A running Envoy. Whoever starts one stops it; `withEnvoy` does both. */
export class Envoy {
  #launch: Launch;
  #stopped: Promise<number> | undefined;
  #ports: ReadonlyMap<string, number>;
  readonly adminPort: number;

  constructor(launched: Launch, ports: ReadonlyMap<string, number>, adminPort: number) {
    this.#launch = launched;
    this.#ports = ports;
    this.adminPort = adminPort;
  }

  /** Port of the first listener, for HTTP/1.1 and HTTP/2. */
  get port(): number {
    return this.portOf(listenerName);
  }

  /** Port of the listener of that name. */
  portOf(name: string): number {
    const port = this.#ports.get(name);
    if (port === undefined) throw new Error(`Envoy has no listener ${name}; it has ${[...this.#ports.keys()].join(', ')}`);
    return port;
  }

  get baseUrl(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get pid(): number {
    const { pid } = this.#launch.child;
    if (pid === undefined) throw new Error('Envoy was not started');
    return pid;
  }

  get log(): Log {
    return this.#launch.log;
  }

  /** All log entries so far. */
  logs(): LogEntry[] {
    return this.log.entries;
  }

  /** Waits for a log entry; entries already there count. */
  async waitForLog(predicate: (entry: LogEntry) => boolean, timeoutMs?: number): Promise<LogEntry> {
    return await this.log.waitFor(predicate, timeoutMs);
  }

  /** Waits until the access log has at least `count` lines, and returns them all. */
  async accessLog(count: number, timeoutMs = 5_000): Promise<string[]> {
    const { lines } = this.#launch.accessLog;
    return await this.#launch.accessLog.until(
      () => (lines.length >= count ? [...lines] : undefined),
      timeoutMs,
      () => new Error(`${lines.length} access log lines instead of ${count}`),
    );
  }

  /** An admin page's body. */
  async admin(path: string, method = 'GET'): Promise<string> {
    const answer = await request({ port: this.adminPort }, path, { method });
    if (answer.status !== 200) throw new Error(`admin ${path}: ${answer.status} ${answer.text()}`);
    return answer.text();
  }

  /** Counters and gauges whose names begin with `prefix`. */
  async stats(prefix: string): Promise<Record<string, number>> {
    const filter = encodeURIComponent(`^${prefix.replace(/[^\w]/g, '\\$&')}`);
    const page = JSON.parse(await this.admin(`/stats?format=json&filter=${filter}`)) as {
      stats: { name?: string; value?: number }[];
    };
    const found: Record<string, number> = {};
    for (const { name, value } of page.stats) {
      if (name !== undefined && typeof value === 'number') found[name] = value;
    }
    return found;
  }

  /** A gauge or counter of a listener's HTTP statistics, such as `downstream_rq_active`; of the first one by default. */
  async gauge(name: string, listener = listenerName): Promise<number> {
    const full = `http.${listener}.${name}`;
    const value = (await this.stats(full))[full];
    if (value === undefined) throw new Error(`Envoy has no statistic ${full}`);
    return value;
  }

  /** Waits until no HTTP stream is left on a listener, by default the first one. */
  async idle(listener = listenerName, timeoutMs = 5_000): Promise<void> {
    const none = async (): Promise<boolean> => (await this.gauge('downstream_rq_active', listener)) === 0;
    await waitFor('downstream_rq_active to become 0', none, timeoutMs);
  }

  /**
   * Replaces the listener's file and waits for Envoy's verdict.
   * Requires: `dynamic`. Options that are not about the listener have no effect.
   */
  async update(options: TrafficOptions): Promise<Update> {
    const path = join(this.#launch.folder, 'listeners.json');
    const verdicts = async (): Promise<{ good: number; bad: number }> => {
      const found = await this.stats('listener_manager.lds.update_');
      return {
        good: found['listener_manager.lds.update_success'] ?? 0,
        bad: found['listener_manager.lds.update_rejected'] ?? 0,
      };
    };
    const before = await verdicts();
    const firstEntry = this.logs().length;
    await writeFile(`${path}.next`, JSON.stringify(listenerDiscovery(options)));
    await rename(`${path}.next`, path);
    const accepted = await waitFor("Envoy's verdict on the listener", async () => {
      const now = await verdicts();
      if (now.good > before.good) return { accepted: true };
      return now.bad > before.bad && { accepted: false };
    });
    return { ...accepted, entries: this.logs().slice(firstEntry) };
  }

  /**
   * Ends Envoy with SIGTERM and gives its exit code; later calls give the same.
   * An Envoy that crashed, or does not end in time, is an error with the end of its log.
   */
  async stop(): Promise<number> {
    this.#stopped ??= this.#stop();
    return await this.#stopped;
  }

  async #stop(): Promise<number> {
    const { child, ended, folder, log } = this.#launch;
    child.kill('SIGTERM');
    try {
      const { code, signal } = await within('Envoy to end on SIGTERM', stopLimitMs, ended);
      if (code === null) throw new Error(`Envoy was ended by ${signal}:\n${log.tail()}`);
      return code;
    } catch (error) {
      await kill(this.#launch);
      throw error;
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
}

/**
 * Starts a stock Envoy on free ports and waits until it serves.
 *
 * @throws EnvoyStartError when Envoy refuses the configuration.
 */
export async function startEnvoy(options: EnvoyOptions = {}): Promise<Envoy> {
  const launched = await launch(options, ['--admin-address-path', 'admin.txt']);
  const limitMs = options.startLimitMs ?? startLimitMs;
  let over: { code: number | null } | undefined;
  void launched.ended.then((end) => (over = end));
  const check = (): void => {
    if (over !== undefined) throw new EnvoyStartError(over.code, launched.log);
  };
  try {
    const adminPort = await waitFor(
      "Envoy's admin address",
      async () => {
        check();
        const text = await readFile(join(launched.folder, 'admin.txt'), 'utf8').catch(() => '');
        return /:(\d+)$/.exec(text)?.[1];
      },
      limitMs,
    );
    const admin = { port: Number(adminPort) };
    const ports = await waitFor(
      'Envoy to be ready',
      async () => {
        check();
        // Envoy may be on its way out: the next turn's check tells.
        const ready = await request(admin, '/ready').catch(() => undefined);
        if (ready?.status !== 200) return undefined;
        const page = await request(admin, '/listeners?format=json');
        return listenerPorts(page.text());
      },
      limitMs,
    );
    return new Envoy(launched, ports, admin.port);
  } catch (error) {
    await kill(launched);
    throw error;
  }
}

/** Ports by the listeners' names; nothing as long as the first listener is not there. */
function listenerPorts(page: string): ReadonlyMap<string, number> | undefined {
  const { listener_statuses: statuses = [] } = JSON.parse(page) as {
    listener_statuses?: { name: string; local_address: { socket_address: { port_value: number } } }[];
  };
  const ports = new Map(statuses.map(({ name, local_address: address }) => [name, address.socket_address.port_value]));
  return ports.has(listenerName) ? ports : undefined;
}

/**
 * Starts an Envoy for `use` and stops it, whatever happens. When `use` succeeds, Envoy must be without
 * streams, end with exit code 0, and have logged nothing at `error` and above unless `errorsExpected`.
 */
export async function withEnvoy<T>(
  options: EnvoyOptions & { errorsExpected?: boolean },
  use: (envoy: Envoy) => Promise<T>,
): Promise<T> {
  const envoy = await startEnvoy(options);
  let result: T;
  try {
    result = await use(envoy);
    await envoy.idle();
  } catch (error) {
    // The first failure is the one to report, with what Envoy had to say.
    const end = await envoy.stop().then((code) => `exit code ${code}`, String);
    if (error instanceof Error) error.message += `\nEnvoy: ${end}; the end of its log:\n${envoy.log.tail()}`;
    throw error;
  }
  const code = await envoy.stop();
  if (code !== 0) throw new Error(`Envoy ended with ${code}:\n${envoy.log.tail()}`);
  const errors = options.errorsExpected === true ? [] : envoy.log.errors();
  if (errors.length > 0) {
    throw new Error(`Envoy logged ${errors.length} unexpected errors:\n${envoy.log.tail()}`);
  }
  return result;
}

/** Runs `envoy --mode validate` over the same configuration that `startEnvoy` would use. */
export async function validate(options: EnvoyOptions): Promise<Validation> {
  const launched = await launch(options, ['--mode', 'validate']);
  try {
    const { code, signal } = await within('envoy --mode validate', startLimitMs, launched.ended);
    if (code === null) throw new Error(`envoy --mode validate: ${signal}\n${launched.log.tail()}`);
    return { exitCode: code, log: launched.log };
  } finally {
    await kill(launched);
  }
}

/**
 * Starts an Envoy that must refuse its configuration, and returns the log entry that says why:
 * fairlead's own line when there is one, else Envoy's.
 */
export async function expectRejected(options: EnvoyOptions): Promise<Rejection> {
  let envoy: Envoy;
  try {
    envoy = await startEnvoy(options);
  } catch (error) {
    if (!(error instanceof EnvoyStartError) || error.exitCode === null) throw error;
    const { exitCode, log } = error;
    return { exitCode, log, reason: rejectionReason(log) };
  }
  await envoy.stop();
  throw new Error(`Envoy accepted a configuration it should refuse:\n${envoy.log.tail()}`);
}

/** The entry that says why a configuration was refused. */
export function rejectionReason(log: Log): LogEntry {
  const reason = log.entries.find(readFault) ?? log.errors()[0];
  if (reason === undefined) throw new Error(`nothing in the log says why:\n${log.tail()}`);
  return reason;
}
