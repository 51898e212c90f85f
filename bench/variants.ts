// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { join } from 'node:path';
import { paths } from '../bundler/toolchain/paths.ts';
import { fairlead, lua, type JsonObject } from '../test/harness.ts';
import { profiles, type ProfileName } from './profiles.ts';

/** Name of the cluster that profiles ask. */
export const askCluster = 'ask';

/** What a variant's filter is made of. */
export interface Parts {
  /** The compiled filter of a profile. */
  readonly bytecodeFile: (profile: ProfileName) => string;
  /** The libfairlead.so that `other` runs. */
  readonly otherLibrary: string | undefined;
}

/** One of those that race. */
export interface Variant {
  readonly title: string;
  /** The HTTP filter in front of the router; nothing when this variant has no part in the race. */
  readonly filter: (profile: ProfileName, parts: Parts) => JsonObject | undefined;
}

/** The same Envoy without a filter is always there, and what all others are held against. */
export const baseline = 'none';

export const variants = {
  native: {
    title: 'native C++',
    filter: (profile) => moduleFilter(join(paths.buildDir, 'release', 'libbench_native.so'), { filter_name: profile }),
  },
  lua: {
    title: 'Envoy Lua',
    filter: (profile) => lua(profiles[profile].lua),
  },
  fairlead: {
    title: 'fairlead',
    filter: (profile, { bytecodeFile }) => fairleadFilter(paths.soPath, bytecodeFile(profile)),
  },
  other: {
    title: 'other fairlead',
    filter: (profile, { bytecodeFile, otherLibrary }) =>
      otherLibrary === undefined ? undefined : fairleadFilter(otherLibrary, bytecodeFile(profile)),
  },
} as const satisfies Record<string, Variant>;

export type VariantName = keyof typeof variants;

export const variantNames = Object.keys(variants) as VariantName[];

function fairleadFilter(library: string, file: string): JsonObject {
  const filter = fairlead({ file, clusters: [askCluster] });
  return moduleFilter(library, filter['typed_config'] as JsonObject);
}

/** A filter out of exactly that shared library, whatever Envoy would find under its name. */
function moduleFilter(library: string, settings: JsonObject): JsonObject {
  return {
    name: 'module',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.dynamic_modules.v3.DynamicModuleFilter',
      ...settings,
      dynamic_module_config: { module: { local: { filename: library } }, do_not_close: true },
    },
  };
}
