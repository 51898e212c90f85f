// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// One exchange in all the ways it can go: what a test says of it must hold, or end well, in each of them.

import type { Bytes, CalloutDescription, ExchangeDescription, ExchangeResult } from './emulator.ts';

/** A changed exchange. */
export interface Variation {
  /** What is different, as the end of "when …". */
  readonly what: string;
  readonly exchange: ExchangeDescription;
  /**
   * The same bytes come in other pieces, or the filter is loaded anew: what arrives is the same, unless it looks at pieces,
   * or knows something of earlier exchanges.
   */
  readonly keepsOutcome: boolean;
}

/** Longer bodies are not cut: the pieces of a short one are all there is to see. */
const maxCutBytes = 64;

const failures: readonly CalloutDescription[] = [
  { kind: 'refused' },
  { kind: 'disconnect' },
  { kind: 'reset', status: 200, body: 'the beginning' },
  { kind: 'silent' },
  { kind: 'noHost' },
];

/**
 * All variations of an exchange that went as `result` says: the client leaves after each of Envoy's calls, the filter is
 * loaded anew after each, each call of `fetch` fails in each way, each body is cut at each byte, into single bytes, and ends with its last frame.
 *
 * @example
 * const base = await filter.exchange(exchange);
 * for (const { what, exchange: varied } of variationsOf(exchange, base)) {
 *   const { complete, violations } = await (await emulator.filter(config)).exchange(varied);
 *   // complete, and no violations, `what`ever happens
 * }
 */
export function variationsOf(exchange: ExchangeDescription, result: ExchangeResult): readonly Variation[] {
  const leaving = Array.from({ length: Math.max(0, result.hooks - 1) }, (_, i) => ({
    what: `the client leaves after ${i + 1} of ${result.hooks} calls of the filter`,
    exchange: { ...exchange, clientLeavesAfterHooks: i + 1 },
    keepsOutcome: false,
  }));
  const reloading = leaving.map((_, i) => ({
    what: `the filter is loaded anew after ${i + 1} of ${result.hooks} calls of it`,
    exchange: { ...exchange, reloadsAfterHooks: i + 1 },
    keepsOutcome: true,
  }));
  const failing = result.callouts.flatMap((_, index) =>
    failures.map((failure) => ({
      what: `call ${index} gets: ${failure.kind}`,
      exchange: { ...exchange, failingCall: { ...failure, index } },
      keepsOutcome: false,
    })),
  );
  const { request, upstream } = exchange;
  const cutRequest = cutsOf(request?.body).map(({ what, ...message }) => ({
    what: `the request's body ${what}`,
    exchange: { ...exchange, request: { ...request, ...message } },
    keepsOutcome: true,
  }));
  const answer = upstream?.kind === undefined || upstream.kind === 'answer' ? upstream : undefined;
  const cutResponse = cutsOf(answer?.body).map(({ what, ...message }) => ({
    what: `the response's body ${what}`,
    exchange: { ...exchange, upstream: { ...answer, ...message } },
    keepsOutcome: true,
  }));
  return [...leaving, ...reloading, ...failing, ...cutRequest, ...cutResponse];
}

interface Cut {
  readonly what: string;
  readonly body: readonly Uint8Array[];
  readonly endWithLastFrame?: boolean;
}

function cutsOf(body: Bytes | readonly Bytes[] = []): readonly Cut[] {
  const frames = typeof body === 'string' || body instanceof Uint8Array ? [body] : body;
  const whole = Buffer.concat(frames.map((frame) => Buffer.from(frame)));
  if (whole.length === 0 || whole.length > maxCutBytes) return [];
  const halves = Array.from({ length: whole.length - 1 }, (_, i) => ({
    what: `is cut after ${i + 1} bytes`,
    body: [whole.subarray(0, i + 1), whole.subarray(i + 1)],
  }));
  const bytes = Array.from(whole, (byte) => Uint8Array.of(byte));
  return [
    ...halves,
    { what: 'comes byte by byte', body: bytes },
    { what: 'ends with its last frame', body: [whole], endWithLastFrame: true },
  ];
}
