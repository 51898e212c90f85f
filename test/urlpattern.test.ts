// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// URLPattern against another implementation, for a table of patterns and URLs; and what a pattern can cost.

import { URLPattern as Other } from 'urlpattern-polyfill/urlpattern';
import { describe, expect, test } from 'vitest';
import { runInEmulator, runInEnvoy, type Script } from './conformance/hosts.ts';

const pathnames = [
  ...['/', '/*', '/a', '/a/*', '/:x', '/:x/:y', '/:x?', '/:x+', '/:x*', '/a/:x(\\d+)', '/(.*)', '/([^\\/]+?)', '/a{/b}?', '/a{/b}*', '/a{/b}+'],
  ...['/:x-:y', '/:x.:y', '/files/*.png', '/{:x}.html', '/a\\:b', '/a\\*', '/(a|b)/:z', '/:x(a|b)?', '/ü', '/%C3%BC', '*', ':x', '/a//b'],
  ...['/:x([\\p{L}]+)', '/(\\d{2,3})', '{/:x}?/end', '/.well-known/*', '/a b', '/:x/:y*', '/x{a}{b}?', '/((?:a/b)|c-d)', '/([a\\-z]+)-:y', '/(?:a)', '/(a)?'],
];
const paths = ['/', '/a', '/a/', '/a/b', '/a/12', '/12', '/123/end', '/end', '/a-b', '/a.b', '/files/x.png', '/x.html', '/a:b', '/a*', '/b/z', '/ü', '/a/b/b', '/a//b', '/a b', '/c-d', '/a-z-x'];
const hostnames = ['*', 'a.b', '*.a.b', ':x.b', '{:x.}?a.b', '(a|c).b', '127.0.0.1', '[\\:\\:1]', 'ü.b', 'A.B'];
const hosts = ['a.b', 'c.a.b', 'd.c.a.b', 'c.b', '127.0.0.1', '[::1]', 'ü.b', 'xn--tda.b'];
const strings = [
  ...['https://a.b/*', 'http{s}?://a.b/:x', 'https://a.b:8080/', 'https://*:*/x', 'https://a.b/x?y', 'https://a.b/x?*', 'https://a.b/x#:y', 'https://:h/'],
  ...['ws://a.b', 'https://a.b', 'https://a.b/x\\?y', 'https://u:p@a.b/', ':p://a.b/*', 'data\\:*', 'https://a.b/(', 'no', '?x', '#x', 'https://a.b/x?y#z', '{https://a.b}/x'],
];
const urls = [
  ...['https://a.b/', 'https://a.b/x', 'http://a.b/x', 'https://a.b:8080/', 'https://a.b/x?y', 'https://a.b/x?y=1&z', 'https://a.b/x#y', 'https://a.b/x?y#z'],
  ...['ws://a.b/', 'https://u:p@a.b/', 'data:x', 'no', '', 'https://c.d:1/x'],
];

/** Patterns and what is matched with each. */
const table: (readonly [pattern: string | object, inputs: readonly string[]])[] = [
  ...pathnames.map((pathname) => [{ pathname }, paths.map((path) => `https://x${path}`)] as const),
  ...hostnames.map((hostname) => [{ hostname }, hosts.map((host) => `https://${host}/`)] as const),
  ...strings.map((pattern) => [pattern, urls] as const),
];

const groups = ['protocol', 'username', 'password', 'hostname', 'port', 'pathname', 'search', 'hash'] as const;

interface Tester {
  exec(input: string): Record<(typeof groups)[number], { input: string; groups: object }> | null;
  readonly pathname: string;
  readonly hostname: string;
}

/** What a pattern is and finds, as data. */
function ask(Class: new (pattern: never, options?: { ignoreCase: boolean }) => Tester, pattern: unknown, inputs: readonly string[]): unknown {
  try {
    return [false, true].map((ignoreCase) => {
      const made = new Class(pattern as never, { ignoreCase });
      return inputs.map((input) => {
        const found = made.exec(input);
        return found && groups.map((part) => [found[part].input, found[part].groups]);
      });
    });
  } catch (error) {
    return (error as Error).name;
  }
}

describe('URLPattern', () => {
  test('is what another implementation is, for each pattern and URL, in Envoy and in the emulator (W25)', async () => {
    const script: Script = {
      filter: {
        inline: `const groups = ${JSON.stringify(groups)}; ${ask.toString().replaceAll('__name', '')}
          const table = ${JSON.stringify(table)};
          export default { onRequest: ({ path }) => Response.json(table.slice(path.slice(1), +path.slice(1) + 10)
            .map(([pattern, inputs]) => ask(URLPattern, pattern, inputs))) };`,
        limits: { cpu_ms: 5000, stream_cpu_ms: 10_000, load_ms: 5000 },
      },
      exchanges: Array.from({ length: Math.ceil(table.length / 10) }, (_, i) => ({ request: { path: `/${i * 10}` } })),
    };
    const [real] = await runInEnvoy([script]);
    const answers = real?.outcomes.flatMap(({ client }) => JSON.parse(Buffer.from(client?.body ?? '', 'latin1').toString()) as unknown[]) ?? [];
    expect(answers).toHaveLength(table.length);
    for (const [i, [pattern, inputs]] of table.entries()) {
      const wanted = JSON.parse(JSON.stringify(ask(Other as never, pattern, inputs))) as unknown;
      expect([pattern, answers[i]]).toEqual([pattern, wanted]);
    }
    const [fake] = await runInEmulator([script]);
    expect(fake).toEqual(real);
  });

  test('is stopped by the limits when its expression takes for ever (W25, F068, H103)', async () => {
    const script: Script = {
      filter: {
        inline: `const slow = new URLPattern({ pathname: "/((?:a+)+)b" });
          export default { onRequest: (request) => { if (request.path !== "/") slow.test("https://x/" + "a".repeat(40)); return new Response("served"); } };`,
        limits: { cpu_ms: 100 },
      },
      exchanges: [{ request: { path: '/slow' } }, {}],
    };
    for (const run of [runInEnvoy, runInEmulator]) {
      const [result] = await run([script]);
      expect(result?.outcomes.map(({ client }) => client?.status)).toEqual([500, 200]);
      expect(result?.log.map(({ text }) => text.split(':')[0])).toEqual(['E_CPU_LIMIT']);
    }
  });
});
