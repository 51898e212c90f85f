// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { expect, onTestFinished, test, vi } from 'vitest';

import { bundle } from './build.ts';
import { exchange } from './exchange.ts';
import { inlineYaml } from './inline.ts';
import { makePackageForTest } from './package-for-test.ts';
import { paths } from './toolchain/paths.ts';

/** What Envoy's own YAML parser makes of the blocks, put below keys of a configuration. */
async function readByEnvoy(blocks: readonly string[]): Promise<string[]> {
  const folder = makePackageForTest({});
  const adminFile = join(folder, 'admin');
  const config = [
    'admin: { address: { socket_address: { address: 127.0.0.1, port_value: 0 } } }',
    'node:',
    '  metadata:',
    ...blocks.map((block, at) => `    block${at}:\n${block.trimEnd()}`),
    '    last: here',
    '',
  ].join('\n');
  writeFileSync(join(folder, 'envoy.yaml'), config);
  const child = spawn(
    paths.envoyBinary(),
    ['--config-path', join(folder, 'envoy.yaml'), '--admin-address-path', adminFile, '--disable-hot-restart'],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let log = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
  const ended = once(child, 'close');
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  const answer = await vi.waitUntil(
    async () => {
      if (child.exitCode !== null) throw new Error(log);
      const port = existsSync(adminFile) && /:(\d+)$/.exec(readFileSync(adminFile, 'utf8'))?.[1];
      if (!port) return undefined;
      const got = await exchange(Number(port), { method: 'GET', path: '/config_dump', headers: {} }).catch(() => undefined);
      return got?.status === 200 ? got : undefined;
    },
    { timeout: 20_000, interval: 20 },
  );
  interface Dump {
    readonly configs: ReadonlyArray<{ readonly bootstrap?: { readonly node: { readonly metadata: Record<string, { inline: string }> } } }>;
  }
  const { configs } = JSON.parse(answer.body) as Dump;
  const metadata = configs.find(({ bootstrap }) => bootstrap)?.bootstrap?.node.metadata ?? {};
  expect(metadata['last']).toBe('here');
  return blocks.map((_, at) => metadata[`block${at}`]?.inline ?? '');
}

test('what is printed comes out of a YAML parser as it went in', async () => {
  const texts = [
    'export default{}',
    'let a=`one\n  two\n\n\n   \n\tthree  \n`;export default{}',
    "let s='# no comment: \"x\" {{ %RESPONSE% }} --- ...';\n---\n...\n- a\n? b\n&c *d !e |f >g @h",
    'let s="é 😀 \u00a0 \u2028 \u2029 \ufeff end"',
    'let s=`\u0001 \u007f \u0085 \u0000 \\ " / \r\n`',
    `let long="${'x'.repeat(100_000)}"`,
  ];
  expect(await readByEnvoy(texts.map((text) => inlineYaml(text, 6)))).toEqual(texts);
});

test('a bundled filter is printed as a block in plain ASCII, with no line ends around it', async () => {
  const folder = makePackageForTest({ 'filter.js': 'export default { onRequest(r) { r.x = `é\n  \u2028`; } };\n' });
  const { javascript } = await bundle({
    entry: join(folder, 'filter.js'),
    check: false,
    shortening: 'names',
    onStep: () => {},
  });
  const block = inlineYaml(javascript, 6);
  expect(block).toMatch(/^ {6}inline: \|-\n( {8}[\x20-\x7e]*\n)+$/);
  expect(await readByEnvoy([block])).toEqual([javascript.trim()]);
});

test('a block can be moved to the right', () => {
  expect(inlineYaml('a\n\nb\n', 2)).toBe('  inline: |-\n    a\n\n    b\n');
  expect(inlineYaml('a\u0001', 2)).toBe('  inline: "a\\u0001"\n');
});
