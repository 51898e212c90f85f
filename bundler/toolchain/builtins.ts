// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';

import type { BuildFailure } from 'esbuild';

import { writeFolder } from './engine.ts';
import { paths } from './paths.ts';
import { SetupError } from './process.ts';

/**
 * Bundles each filter-cc/builtins/<name>.ts to build/generated/builtins/<name>.js, one module that imports nothing but
 * what the core gives it, which the release build compiles to bytecode.
 */
export async function bundleBuiltins(): Promise<void> {
  const folder = join(paths.repoRoot, 'filter-cc', 'builtins');
  const entries = existsSync(folder)
    ? readdirSync(folder).filter((name) => name.endsWith('.ts') && !/\.(d|test)\.ts$/.test(name))
    : [];
  const bundles = new Map<string, string>();
  if (entries.length > 0) {
    const { build, formatMessages } = await import('esbuild');
    const result = await build({
      absWorkingDir: folder,
      entryPoints: entries,
      outdir: join(paths.generated, 'builtins'),
      write: false,
      bundle: true,
      format: 'esm',
      minify: true,
      target: 'es2023',
      platform: 'neutral',
      mainFields: ['module', 'main'],
      external: ['fairlead:*'],
      logLevel: 'silent',
    }).catch(async (error: unknown) => {
      const failure = error as Partial<BuildFailure>;
      if (failure.errors === undefined) throw error;
      throw new SetupError((await formatMessages(failure.errors, { kind: 'error' })).join('').trimEnd());
    });
    for (const file of result.outputFiles) bundles.set(basename(file.path), file.text);
  }
  writeFolder(join(paths.generated, 'builtins'), bundles);
}
