// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { setTimeout as delay } from 'node:timers/promises';
import { keepAliveAgent, request, type Answer, type RequestOptions, type Target } from './client.ts';

/** A bounded number of requests over a bounded number of connections. */
export interface LoadOptions {
  connections: number;
  requests: number;
  /** Request number `index`; `/` without options by default. */
  prepare?: (index: number) => { path: string; options?: RequestOptions };
  /** Says what is wrong with a complete answer, or nothing when it is right. Required: no answer goes unread. */
  check: (answer: Answer, index: number) => string | undefined;
  /** The client of request `index` leaves after this many milliseconds; `undefined` lets it stay. */
  leaveAfterMs?: (index: number) => number | undefined;
}

/** What became of the requests; the four counts add up to `requests`. */
export interface LoadResult {
  right: number;
  /** Complete answers that `check` refused. */
  wrong: number;
  /** Broken off by the client before the answer was complete. */
  left: number;
  /** No complete answer although the client stayed. */
  failed: number;
  /** What was wrong or failed, the first ones. */
  complaints: string[];
  elapsedMs: number;
}

const keptComplaints = 10;

/** Sends the requests and waits for the end of all of them. Each connection has one request at a time. */
export async function load(target: Target, options: LoadOptions): Promise<LoadResult> {
  const { connections, requests, check, prepare, leaveAfterMs } = options;
  const result: LoadResult = { right: 0, wrong: 0, left: 0, failed: 0, complaints: [], elapsedMs: 0 };
  const complain = (index: number, text: string): void => {
    if (result.complaints.length < keptComplaints) result.complaints.push(`request ${index}: ${text}`);
  };
  let next = 0;
  const one = async (index: number, settings: RequestOptions): Promise<void> => {
    const { path, options: own = {} } = prepare?.(index) ?? { path: '/' };
    const leave = new AbortController();
    const leaveMs = leaveAfterMs?.(index);
    if (leaveMs !== undefined) void delay(leaveMs, undefined, { ref: false }).then(() => leave.abort());
    try {
      const answer = await request(target, path, { ...own, ...settings, signal: leave.signal });
      const complaint = check(answer, index);
      if (complaint === undefined) result.right++;
      else {
        result.wrong++;
        complain(index, complaint);
      }
    } catch (error) {
      if (leave.signal.aborted) result.left++;
      else {
        result.failed++;
        complain(index, String(error));
      }
    }
  };
  const connection = async (): Promise<void> => {
    const agent = keepAliveAgent(1);
    while (next < requests) await one(next++, { agent });
    agent.destroy();
  };
  const startMs = performance.now();
  await Promise.all(Array.from({ length: connections }, connection));
  result.elapsedMs = performance.now() - startMs;
  return result;
}
