// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { isDeepStrictEqual } from 'node:util';
import {
  clusterRoute,
  request,
  startEnvoy,
  type Answer,
  type Envoy,
  type EnvoyOptions,
  type HeaderPair,
  type TrafficOptions,
  type Upstream,
} from '../test/harness.ts';
import type { QuickUpstream } from './generator.ts';
import { profiles, type ProfileName, type Seen } from './profiles.ts';
import { askCluster, baseline, variantNames, variants, type Parts, type VariantName } from './variants.ts';

/** One place in the table: a variant at a profile's work, or no filter at all. */
export interface Cell {
  readonly name: string;
  readonly variant: VariantName | typeof baseline;
  /** Nothing for the baseline, which does no work. */
  readonly profile: ProfileName | null;
}

/** The baseline, then all cells of these profiles. */
export function cellsOf(profileNames: readonly ProfileName[], parts: Parts): Cell[] {
  const cells = profileNames.flatMap((profile) =>
    variantNames
      .filter((variant) => variants[variant].filter(profile, parts) !== undefined)
      .map((variant): Cell => ({ name: cellName(variant, profile), variant, profile })),
  );
  return [{ name: baseline, variant: baseline, profile: null }, ...cells];
}

export function cellName(variant: VariantName, profile: ProfileName): string {
  return `${variant} ${profile}`;
}

/** What stands behind Envoy. */
export interface Upstreams {
  readonly ask: QuickUpstream;
  /** Behind the path /upstream only: what is timed is answered by Envoy itself. */
  readonly upstream: Upstream;
}

/** One Envoy with a listener for each cell: all of them share its code, its heap and its one worker. */
export async function startCells(
  cells: readonly Cell[],
  parts: Parts,
  { ask, upstream }: Upstreams,
  options: Pick<EnvoyOptions, 'command' | 'startLimitMs'>,
): Promise<Envoy> {
  const routes = [
    { match: { path: timedPath }, direct_response: { status: 200, body: { inline_string: 'hello\n' } } },
    clusterRoute('/', 'upstream'),
  ];
  const listeners = Object.fromEntries(
    cells.map(({ name, variant, profile }): [string, TrafficOptions] => {
      const filter = variant === baseline || profile === null ? undefined : variants[variant].filter(profile, parts);
      return [name, { routes, filters: filter === undefined ? [] : [filter] }];
    }),
  );
  return await startEnvoy({
    ...options,
    routes,
    clusters: { upstream, [askCluster]: { port: ask.port } },
    listeners,
    concurrency: 1,
    logLevel: 'warning',
    // What the main thread does by the clock is nobody's cost.
    settings: { stats_flush_interval: '299s' },
  });
}

/** What is asked for while the clock runs; Envoy answers it itself. */
export const timedPath = '/';

/** The request that is timed. */
export const timedHeaders: readonly HeaderPair[] = [
  ['host', 'www.example.com'],
  ['user-agent', 'bench/1'],
  ['accept', '*/*'],
  ['accept-language', 'en'],
  ['x-user', 'ann'],
  ['x-site', 'north'],
  ['x-plan', 'silver'],
  ['x-secret', 'none of your business'],
];

export const timedRequest = Buffer.from(
  `GET ${timedPath} HTTP/1.1\r\n${timedHeaders.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`,
);

/** The timed request, one with other values, and one that lacks what the filters look for; the latter two go upstream. */
const probes: readonly { readonly path: string; readonly headers: readonly HeaderPair[] }[] = [
  { path: timedPath, headers: timedHeaders },
  { path: '/upstream', headers: [['host', 'a.example'], ['x-user', 'bob'], ['x-plan', 'gold'], ['x-secret', '1']] },
  { path: '/upstream', headers: [['host', 'b.example']] },
];

/** A variant does not do what its profile says, so its cost would mean nothing. */
export class BehaviourError extends Error {
  override readonly name = 'BehaviourError';
  readonly cell: string;

  constructor(cell: string, message: string) {
    super(message);
    this.cell = cell;
  }
}

/** Holds every cell's behaviour against its profile; all variants that pass behave alike. */
export async function checkBehaviour(cells: readonly Cell[], envoy: Envoy, upstreams: Upstreams): Promise<void> {
  for (const probe of probes) {
    const plain = await look(envoy.portOf(baseline), probe, upstreams);
    for (const { name, profile } of cells) {
      if (profile === null) continue;
      const expected = sorted(profiles[profile].expected(plain, new Map(probe.headers)));
      const seen = await look(envoy.portOf(name), probe, upstreams);
      if (!isDeepStrictEqual(seen, expected)) {
        throw new BehaviourError(
          name,
          `${name} (${profiles[profile].title}) does not do what it should with GET ${probe.path} ` +
            `${JSON.stringify(probe.headers)}:\nexpected ${JSON.stringify(expected)}\nseen     ${JSON.stringify(seen)}\n${envoy.log.tail()}`,
        );
      }
    }
  }
}

/** Headers whose values differ from request to request. */
const volatile = new Set(['date', 'x-request-id', 'x-envoy-upstream-service-time']);

async function look(port: number, probe: (typeof probes)[number], { ask, upstream }: Upstreams): Promise<Seen> {
  const asked: string[] = [];
  ask.onRequest = (head) => {
    const host = /\r\nhost: (.*)/i.exec(head)?.[1] ?? '';
    asked.push(head.replace(/^(\S+) (\S+) [^]*$/, `$1 ${host} $2`));
  };
  const already = upstream.requests.length;
  let answer: Answer;
  try {
    answer = await request({ port }, probe.path, { headers: probe.headers });
  } finally {
    ask.onRequest = undefined;
  }
  return sorted({
    status: answer.status,
    responseHeaders: answer.headers.pairs,
    body: answer.text(),
    upstreamHeaders: upstream.requests[already]?.headers.pairs ?? null,
    asked,
  });
}

function sorted(seen: Seen): Seen {
  const order = (pairs: readonly HeaderPair[]): HeaderPair[] =>
    pairs.filter(([name]) => !volatile.has(name)).sort(([a], [b]) => (a < b ? -1 : Number(a > b)));
  return {
    ...seen,
    responseHeaders: order(seen.responseHeaders),
    upstreamHeaders: seen.upstreamHeaders && order(seen.upstreamHeaders),
  };
}
