// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The emulator against a real Envoy: every case gives the same answer before both, and it is the one that is wanted.
// The cases are in conformance/, one file a stem.

import { getQuickJS } from 'quickjs-emscripten';
import { beforeAll, describe, expect, test } from 'vitest';
import { Emulator, FilterError } from '../bundler/emulator.ts';
import type { Wanted, WantedMessage } from './conformance/case.ts';
import { scriptOf, stems } from './conformance/cases.ts';
import { runInEmulator, runInEnvoy, type Message, type Outcome, type Result, type Script } from './conformance/hosts.ts';
import { language } from './conformance/language.ts';
import { refusals } from './conformance/refusals.ts';
import { expectRefused, fairlead, type JsonObject } from './harness.ts';

const cases = Object.values(stems).flat();

/** Of what has arrived the part that is wanted, in the form in which it is. */
function partOf(message: Message, { headers, body, trailers }: WantedMessage): WantedMessage {
  const linesOf = (name: string): string | string[] | null => {
    const values = message.headers.filter(([key]) => key === name).map(([, value]) => value);
    return values.length > 1 ? values : (values[0] ?? null);
  };
  return {
    ...(headers && { headers: Object.fromEntries(Object.keys(headers).map((name) => [name, linesOf(name)])) }),
    ...(body !== undefined && { body: message.body }),
    ...(trailers && { trailers: Object.fromEntries(message.trailers) }),
  };
}

/** The members of `whole` that `part` names beside those of a message. */
function membersOf(whole: object, part: object): object {
  const isWanted = ([key]: [string, unknown]): boolean => key in part && !['headers', 'body', 'trailers'].includes(key);
  return Object.fromEntries(Object.entries(whole).filter(isWanted));
}

function pick<T extends Message>(got: T | null, want: WantedMessage | null): object | null {
  return got === null || want === null ? got : { ...membersOf(got, want), ...partOf(got, want) };
}

function partOfOutcome({ client, upstream, callouts }: Outcome, want: Wanted): object {
  return {
    client: pick(client, want.client),
    ...(want.upstream !== undefined && { upstream: pick(upstream, want.upstream) }),
    ...(want.callouts && { callouts: callouts.map((callout, i) => pick(callout, want.callouts?.[i] ?? null)) }),
  };
}

const results: Record<string, readonly Result[]> = {};

beforeAll(async () => {
  const scripts = cases.map(scriptOf);
  results['Envoy'] = await runInEnvoy(scripts);
  results['emulator'] = await runInEmulator(scripts);
}, 300_000);

for (const [stem, ofStem] of Object.entries(stems)) {
  describe(stem, () => {
    for (const wanted of ofStem) {
      const i = cases.indexOf(wanted);
      test(wanted.title, () => {
        const real = results['Envoy']?.[i];
        if (real === undefined) throw new Error('the case has not run');
        expect(real.outcomes.map((outcome, at) => partOfOutcome(outcome, wanted.exchanges[at]?.want ?? { client: null }))).toEqual(
          wanted.exchanges.map(({ want }) => want),
        );
        const codeOr = (text: string): string => /^(E_\w+): /.exec(text)?.[1] ?? text;
        expect(real.log.map(({ level, text }) => `${level} ${codeOr(text)}`)).toEqual(wanted.log ?? []);
        const withoutCalls = ({ outcomes, log }: Result): Result => ({
          outcomes: outcomes.map((outcome) => ({ ...outcome, callouts: [] })),
          log,
        });
        const compared = wanted.cutsCalls === true ? withoutCalls : (result: Result): Result => result;
        const fake = results['emulator']?.[i];
        expect(fake && compared(fake)).toEqual(compared(real));
      });
    }
  });
}

describe('the language', () => {
  const expressions = Object.values(language).flat();
  const told: Record<string, readonly string[]> = {};

  beforeAll(async () => {
    const functions = expressions.map(([expression]) => `() => (${expression})`).join(',\n');
    const source = `[${functions}].map((run) => { try { return String(JSON.stringify(run())); } catch (error) { return error.name; } })`;
    const script: Script = {
      filter: {
        inline: `export default { onRequest: () => Response.json(${source}) };`,
        limits: { cpu_ms: 10_000, stream_cpu_ms: 10_000 },
      },
      exchanges: [{}],
    };
    for (const [host, run] of Object.entries({ Envoy: runInEnvoy, emulator: runInEmulator })) {
      const [result] = await run([script]);
      told[host] = JSON.parse(Buffer.from(result?.outcomes[0]?.client?.body ?? '', 'latin1').toString()) as string[];
    }
    // Another engine of the same family, built by others.
    told['other engine'] = JSON.parse((await getQuickJS()).evalCode(`'use strict'; JSON.stringify(${source})`) as string) as string[];
  });

  test.each(Object.entries(language).map(([kind, list]) => ({ kind, list })))(
    'has the same answers in Envoy, in the emulator and in another engine: $kind (F104, F112)',
    ({ list }) => {
      expect(list.length).toBeGreaterThan(5);
      for (const [host, answers] of Object.entries(told)) {
        const got = list.map(([expression]) => [expression, answers[expressions.findIndex(([other]) => other === expression)]]);
        expect([host, got]).toEqual([host, list]);
      }
    },
  );
});

describe('a config that is refused says the same before Envoy and in the emulator', () => {
  let emulator: Emulator;
  beforeAll(async () => {
    emulator = await Emulator.load();
    return () => emulator.close();
  });

  for (const { config, code, file, line, column } of refusals) {
    const shown = typeof config === 'string' ? config : (config.inline ?? Object.keys(config).join());
    test(`${code}: ${JSON.stringify(shown)} (F055, F112)`, async () => {
      const { bytecode, ...keys } = typeof config === 'string' ? {} : config;
      const base64 = bytecode && { bytecode: Buffer.from(bytecode).toString('base64') };
      const forEnvoy = typeof config === 'string' ? config : ({ ...keys, ...base64 } as JsonObject);
      const real = await expectRefused({ filters: [fairlead(forEnvoy)] });
      expect([real.code, real.file, real.line, real.column]).toEqual([code, file, line, column]);

      const refusal: unknown = await emulator.filter(config).catch((error: unknown) => error);
      if (!(refusal instanceof FilterError)) throw new Error('the emulator took it');
      const place = [refusal.file || undefined, refusal.line || undefined, refusal.column || undefined];
      expect([refusal.code, ...place]).toEqual([code, file, line, column]);
    });
  }
});
