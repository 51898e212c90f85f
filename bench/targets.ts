// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { ProfileName } from './profiles.ts';

/** What fairlead is to cost at most. */
export interface Target {
  /** Instructions per request over the native module's, in thousands. */
  readonly taxKiloInstructions: number | null;
  /** CPU over no filter, as a share of what Envoy's Lua filter takes. */
  readonly cpuToLua: number;
}

export const targets: Readonly<Record<ProfileName, Target>> = {
  p0: { taxKiloInstructions: 0.7, cpuToLua: 0.6 },
  p1: { taxKiloInstructions: 3.5, cpuToLua: 0.6 },
  p2: { taxKiloInstructions: 5.0, cpuToLua: 0.55 },
  p4: { taxKiloInstructions: 5.0, cpuToLua: 0.5 },
  p5: { taxKiloInstructions: null, cpuToLua: 0.9 },
};
