// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { main } from './commands.ts';

// Whoever reads our output may stop early: `fairlead inline filter.ts | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await main(process.argv.slice(2));
