// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { spawnSync } from 'node:child_process';
import { dirname, join } from 'node:path';

import { ensure } from './ensure.ts';
import { paths } from './paths.ts';
import { run, SetupError } from './process.ts';
import { step } from './progress.ts';
import { runTests } from './tests.ts';

/** Debian's Bazel, and the rules that it would fetch from elsewhere; `.ci/run` installs the same. See WORKSPACE. */
const aptLine =
  'apt-get install -y --no-install-recommends bazel-bootstrap bazel-rules-java bazel-rules-proto bazel-platforms';

const library = join(paths.repoRoot, 'bazel-bin', 'libfairlead.so');

/** What looks at the library file, and what sends requests through it. */
const libraryTests = ['test/binary.test.ts', 'test/bytecode.test.ts', 'test/headers.test.ts', 'test/webapi.test.ts'];

/** Sets up what BUILD.bazel reads and builds the library with Bazel; with `--test`, runs tests against it. Returns the exit code. */
export async function buildWithBazel(args: readonly string[]): Promise<number> {
  const unknown = args.find((arg) => arg !== '--test');
  if (unknown !== undefined) throw new SetupError(`'${unknown}' is not --test`);
  if (spawnSync('bazel', ['--version']).error) throw new SetupError(`Bazel is needed. As root:\n${aptLine}`);
  await ensure({ sources: true });
  await step('building with Bazel', (report) =>
    run(
      'bazel',
      [
        // Everything stays inside build/, and no server stays behind.
        ...['--batch', `--output_user_root=${join(paths.buildDir, 'bazel')}`],
        ...['build', '--color=no', '--curses=no', '--show_progress_rate_limit=1', '--nosandbox_debug', '//:fairlead'],
      ],
      {
        cwd: paths.repoRoot,
        log: join(paths.logs, 'bazel.log'),
        onLine: (line) => {
          const count = /^\[([\d,]+) \/ ([\d,]+)\]/.exec(line);
          if (count) report(`${count[1]}/${count[2]}`);
        },
      },
    ),
  );
  console.log(library);
  if (args.length === 0) return 0;
  return await runTests(libraryTests, { ENVOY_DYNAMIC_MODULES_SEARCH_PATH: dirname(library) });
}
