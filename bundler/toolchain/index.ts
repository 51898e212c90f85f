// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

export { ensure, type Wanted } from './ensure.ts';
export { defaultEnvoyVersion, paths } from './paths.ts';
export { SetupError } from './process.ts';
export { seconds, step, type Report } from './progress.ts';
