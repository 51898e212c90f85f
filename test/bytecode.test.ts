// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Compiled filters in a real Envoy: as a file, as base64, and damaged.

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { build } from '../bundler/index.ts';
import { expectRefused, fairlead, placeOf, request, validate, withEnvoy, type Envoy, type JsonObject } from './harness.ts';

let folder: string;
let compiled: Buffer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'fairlead-bytecode-'));
  compiled = await compile('greet', {
    'greet.ts': `import { defineFilter } from 'fairlead';
      import { greeting } from './parts/greeting';
      export default defineFilter<{ name: string }>({
        onRequest(request, ctx) { return new Response(greeting(ctx.config.name, request.path ?? '')); },
      });`,
    'parts/greeting.ts': `export const greeting = (name: string, path: string): string => \`hello \${name} at \${path}\`;`,
  });
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Writes the files into a folder of their own and builds the one named `<name>.ts`. */
async function compile(name: string, files: Record<string, string>): Promise<Buffer> {
  const home = await mkdtemp(join(folder, `${name}-`));
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(home, file)), { recursive: true });
    await writeFile(join(home, file), text);
  }
  const { bytes } = await build({ entry: join(home, `${name}.ts`), check: false });
  return Buffer.from(bytes);
}

async function withConfig<T>(config: JsonObject, use: (envoy: Envoy) => Promise<T>): Promise<T> {
  const filters = [fairlead(config)];
  expect((await validate({ filters })).exitCode).toBe(0);
  return await withEnvoy({ filters, errorsExpected: true }, use);
}

describe('a compiled filter', () => {
  test('answers alike as a file of any name and as base64 in the config (F053)', async () => {
    const config = { name: 'edge' };
    for (const name of ['filter.qjb', 'filter.js', 'no-extension']) {
      const file = join(folder, name);
      await writeFile(file, compiled);
      await withConfig({ file, config }, async (envoy) => {
        expect((await request(envoy, '/x')).text()).toBe('hello edge at /x');
      });
    }
    await withConfig({ bytecode: compiled.toString('base64'), config }, async (envoy) => {
      expect((await request(envoy, '/x')).text()).toBe('hello edge at /x');
    });
  });

  test('names TypeScript files and lines in the log, for a throw, a rejection and the console (F085, F087)', async () => {
    const bytes = await compile('fail', {
      'fail.ts': `import { defineFilter } from 'fairlead';
import { deep } from './lib/deep';

interface Unused { a: string }

export default defineFilter({
  async onRequest(request) {
    if (request.path === '/log') { console.warn('here I am'); return; }
    if (request.path === '/wait') await null;
    deep(request.path ?? '');
  },
});`,
      'lib/deep.ts': `type Text = string;


export function deep(text: Text): never {
  throw new RangeError('at ' + text);
}`,
    });
    const file = join(folder, 'fail.qjb');
    await writeFile(file, bytes);
    for (const path of ['/now', '/wait']) {
      await withConfig({ file }, async (envoy) => {
        expect(await request(envoy, path)).toMatchObject({ status: 500 });
        const entry = await envoy.waitForLog(({ message }) => message.includes(`at ${path}`));
        expect(entry.message).toMatch(/\(lib\/deep\.ts:5:\d+\)/);
        expect(placeOf(entry)).toEqual({ file: expect.stringMatching(/lib\/deep\.ts$/) as string, line: 5 });
        expect(entry.message).toMatch(/fail\.ts:10:\d+/);
        expect(entry.message).not.toMatch(/fail\.js/);
      });
    }
    await withConfig({ file }, async (envoy) => {
      await request(envoy, '/log');
      const line = await envoy.waitForLog(({ message }) => message.includes('here I am'));
      expect(placeOf(line)).toEqual({ file: expect.stringMatching(/fail\.ts$/) as string, line: 8 });
    });
  });

  test('whose top level throws is refused at its TypeScript line', async () => {
    const bytes = await compile('top', {
      'top.ts': `interface A { a: number }\n\nconst a: A = JSON.parse('null');\nexport default { onRequest() {}, x: a.a };`,
    });
    const fault = await expectRefused({ filters: [fairlead({ bytecode: bytes.toString('base64') })] });
    expect(fault).toMatchObject({ code: 'E_SCRIPT_THROW', line: 4 });
    expect(fault.file).toMatch(/top\.ts$/);
  });
});

describe('a damaged compiled filter (H501, H502, H504)', () => {
  async function refusal(bytes: Uint8Array): Promise<string> {
    const file = join(folder, 'damaged.qjb');
    await writeFile(file, bytes);
    const fromFile = await expectRefused({ filters: [fairlead({ file })] });
    expect(fromFile.text + String(fromFile.file)).toContain('damaged.qjb');
    const inline = await expectRefused({ filters: [fairlead({ bytecode: Buffer.from(bytes).toString('base64') })] });
    expect(inline.code).toBe(fromFile.code);
    return fromFile.code;
  }

  test('is refused when it breaks off', async () => {
    for (const length of [16, 127, 128, compiled.length >> 1, compiled.length - 1]) {
      expect(await refusal(compiled.subarray(0, length))).toBe('E_BYTECODE_TRUNCATED');
    }
  });

  test('is refused when it goes on', async () => {
    expect(await refusal(Buffer.concat([compiled, Buffer.from([0])]))).toBe('E_BYTECODE_TRAILING');
  });

  test('is refused when a byte has changed', async () => {
    for (const at of [100, 128, 200, compiled.length >> 1, compiled.length - 1]) {
      const changed = Buffer.from(compiled);
      changed.writeUInt8(changed.readUInt8(at) ^ 1, at);
      expect(await refusal(changed)).toBe('E_BYTECODE_HASH');
    }
  });

  test('is refused when it comes from another engine, or wants a newer contract (F108)', async () => {
    const otherEngine = Buffer.from(compiled);
    otherEngine.write('0.16.0-0123456789abcdef', 24, 'latin1');
    expect(await refusal(otherEngine)).toBe('E_BYTECODE_ENGINE');
    const newer = Buffer.from(compiled);
    newer.writeUInt32LE(999, 12);
    expect(await refusal(newer)).toBe('E_BYTECODE_CONTRACT');
    const container = Buffer.from(compiled);
    container.writeUInt32LE(999, 8);
    expect(await refusal(container)).toBe('E_BYTECODE_VERSION');
  });
});
