// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { async_ } from './async.ts';
import { body } from './body.ts';
import type { Case } from './case.ts';
import { console_ } from './console.ts';
import { crypto } from './crypto.ts';
import { facts } from './facts.ts';
import { fetch } from './fetch.ts';
import { headers } from './headers.ts';
import type { Script } from './hosts.ts';
import { message } from './message.ts';
import { route } from './route.ts';
import { scope } from './scope.ts';
import { secrets } from './secrets.ts';
import { shared } from './shared.ts';
import { stream } from './stream.ts';
import { timers } from './timers.ts';

/** The cases, by what they are about. */
export const stems: Readonly<Record<string, readonly Case[]>> = {
  headers,
  message,
  body,
  stream,
  facts,
  fetch,
  route,
  timers,
  async: async_,
  secrets,
  shared,
  scope,
  crypto,
  console: console_,
};

/** What the hosts run of a case. */
export function scriptOf({ hooks, more, http2 = false, exchanges }: Case): Script {
  const inline = `import { shared, sleep } from 'fairlead';\nexport default {\n${hooks}\n};`;
  // The time of a busy machine counts as CPU time in the emulator.
  const limits = { cpu_ms: 1000, stream_cpu_ms: 10_000, ...(more?.['limits'] as object | undefined) };
  return { filter: { inline, ...more, limits }, exchanges: exchanges.map(({ want: _, ...exchange }) => exchange), http2 };
}
