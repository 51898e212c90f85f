// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { buildWithBazel } from './bazel.ts';
import { ensure } from './ensure.ts';
import { SetupError } from './process.ts';
import { runTests } from './tests.ts';

/** What stands behind the npm scripts: start, test, build, bazel and bench. Returns the exit code. */
export async function main(args: readonly string[]): Promise<number> {
  const [command, ...rest] = args;
  try {
    switch (command) {
      case 'start': {
        await ensure({ release: true, wasm: true, envoy: true });
        const commands = await import('../commands.ts');
        return await commands.main(['start', ...rest]);
      }
      case 'test':
        return await runTests(rest);
      case 'build':
        await ensure({ release: true, wasm: true });
        return 0;
      case 'bazel':
        return await buildWithBazel(rest);
      case 'bench': {
        const bench = await import('../../bench/main.ts');
        return await bench.main(rest);
      }
      default:
        throw new SetupError(`'${command ?? ''}' is none of start, test, build, bazel, bench`);
    }
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    console.error(`\n${error.message}`);
    return 1;
  }
}
