// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The programming interface of the bundler. A filter imports from "fairlead" as well, but what it gets there is the
// engine's module of that name, whose types are in sdk-types/.

export { build, type BuildOptions, type BuildResult } from './build.ts';
export { type Diagnostic, FairleadError, formatDiagnostic, type Place } from './diagnostics.ts';
