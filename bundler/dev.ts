// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Builds a filter anew whenever one of its sources changes: what `dev` does beside running it.

import { dirname, extname } from 'node:path';

import { watch } from 'chokidar';

import { build, type BuildResult, sourceFiles } from './build.ts';
import { type Diagnostic, FairleadError } from './diagnostics.ts';

export interface DevOptions {
  readonly entry: string;
  readonly minify: boolean;
  /** Whether types are checked, after each build has been told: that takes longer than the build. */
  readonly check: boolean;
  /** What the filter is made of now. */
  readonly first: BuildResult;
  /** Is given each build that worked, and how long it took. */
  readonly onBuilt: (result: BuildResult, tookMs: number) => void;
  /** Is given what is wrong: then the filter that runs stays. */
  readonly onFindings: (findings: readonly Diagnostic[]) => void;
}

const sourceEndings = new Set(['.ts', '.mts', '.cts', '.tsx', '.js', '.mjs', '.cjs', '.jsx', '.json']);
/** An editor may write several files, or one in several steps. */
const settleMs = 20;

/** Begins to watch; the function that it gives ends that. */
export async function rebuildOnChange(options: DevOptions): Promise<() => Promise<void>> {
  const { entry, minify, check, first, onBuilt, onFindings } = options;
  // The folders, not the files: an import that is missing may be created, and editors put a new file in the old one's place.
  const foldersOf = ({ manifest }: BuildResult): string[] => [...new Set(sourceFiles(entry, manifest).map((file) => dirname(file)))];
  const watcher = watch(foldersOf(first), {
    depth: 0,
    ignoreInitial: true,
    ignored: (path, stats) => stats?.isFile() === true && !sourceEndings.has(extname(path)),
  });

  let isBuilding = false;
  let changed = false;
  const rebuild = async (): Promise<void> => {
    changed = true;
    if (isBuilding) return;
    isBuilding = true;
    // Once more for what changes meanwhile.
    while (changed) {
      changed = false;
      await tell(onFindings, async () => {
        const startMs = performance.now();
        const result = await build({ entry, minify, check: false });
        onBuilt(result, performance.now() - startMs);
        watcher.add(foldersOf(result));
        if (result.warnings.length > 0) onFindings(result.warnings);
        if (!check) return;
        const { typeCheck } = await import('./typecheck.ts');
        const [entryFile = entry] = sourceFiles(entry);
        const findings = typeCheck(entryFile);
        if (findings.length > 0) onFindings(findings);
      });
    }
    isBuilding = false;
  };

  let timer: NodeJS.Timeout | undefined;
  watcher.on('all', () => {
    clearTimeout(timer);
    timer = setTimeout(() => void rebuild(), settleMs);
  });
  await new Promise<void>((resolve) => watcher.once('ready', resolve));
  return async () => {
    clearTimeout(timer);
    await watcher.close();
  };
}

async function tell(onFindings: DevOptions['onFindings'], work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof FairleadError)) throw error;
    onFindings(error.diagnostics);
  }
}
