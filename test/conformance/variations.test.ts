// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Every case of conformance, in each way it can go: whatever happens, each exchange ends, with one reply at most, and no
// rule of Envoy is broken. Bytes that come in other pieces give what they gave.

import { beforeAll, describe, expect, test } from 'vitest';
import { Emulator, type ExchangeDescription, type ExchangeResult, type ReceivedMessage } from '../../bundler/emulator.ts';
import { variationsOf } from '../../bundler/variations.ts';
import { scriptOf, stems } from './cases.ts';

let emulator: Emulator;
beforeAll(async () => {
  emulator = await Emulator.load();
  return () => emulator.close();
});

/** What arrived, without how long it took. */
function outcomeOf({ client, upstream, complete }: ExchangeResult): object {
  const plain = (message: ReceivedMessage | undefined): unknown =>
    message && { ...message, body: Buffer.from(message.body).toString('latin1'), headers: message.headers };
  return { complete, client: plain(client), upstream: plain(upstream) };
}

for (const [stem, cases] of Object.entries(stems)) {
  describe(stem, () => {
    for (const wanted of cases) {
      const name = wanted.title.replace(/ \([^()]*\)$/, '');
      test(`goes well in each variation: ${name} (F113, F034, F035)`, async () => {
        const { filter, exchanges } = scriptOf(wanted);
        /** Exchanges of one filter: what its script keeps goes on from one to the next. */
        const run = async (list: readonly ExchangeDescription[]): Promise<ExchangeResult[]> => {
          const fresh = await emulator.filter({ filterName: 'script', ...filter });
          const results: ExchangeResult[] = [];
          for (const exchange of list) results.push(await fresh.exchange(exchange));
          await fresh.free();
          return results;
        };
        const base = await run(exchanges);
        let varied = 0;
        for (const [i, exchange] of exchanges.entries()) {
          const before = base[i] as ExchangeResult;
          for (const { what, exchange: variation, keepsOutcome } of variationsOf(exchange, before)) {
            const results = await run(exchanges.with(i, variation));
            const result = results[i] as ExchangeResult;
            const broken = results.flatMap(({ violations, log }) => [
              ...violations,
              ...log.filter(({ message }) => /E_INTERNAL/.test(message)).map(({ message }) => message),
            ]);
            const complete = before.complete || variation.clientLeavesAfterHooks !== undefined;
            expect({ what, broken, complete: result.complete }).toEqual({ what, broken: [], complete });
            // Another generation knows nothing of earlier exchanges.
            const forgets = variation.reloadsAfterHooks !== undefined && i > 0;
            if (keepsOutcome && !forgets && wanted.seesPieces !== true)
              expect({ what, ...outcomeOf(result) }).toEqual({ what, ...outcomeOf(before) });
            varied++;
          }
        }
        expect(varied).toBeGreaterThan(0);
      });
    }
  });
}
