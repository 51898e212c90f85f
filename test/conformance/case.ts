// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { ExchangeDescription, FilterDescription } from '../../bundler/emulator.ts';

/** What must have arrived at one end: what is not named is not looked at. */
export interface WantedMessage {
  /** By name; several lines in a list, null for none. */
  readonly headers?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly body?: string;
  readonly trailers?: Readonly<Record<string, string>>;
}

/** What must have come of an exchange. Null: nothing whole has arrived. */
export interface Wanted {
  readonly client: (WantedMessage & { readonly status: number }) | null;
  readonly upstream?: (WantedMessage & { readonly method?: string; readonly path?: string; readonly host?: string }) | null;
  /** All calls of `fetch`: those of a cluster in the order in which they arrived, clusters by their names. */
  readonly callouts?: readonly (WantedMessage & { readonly cluster: string; readonly method?: string; readonly path?: string })[];
}

/** One behaviour, as data: a filter, what passes through it, and what must come of it before Envoy and in the emulator. */
export interface Case {
  readonly title: string;
  /** The members of the filter's default export; `shared` and `sleep` are imported. */
  readonly hooks: string;
  /** Further keys of the filter's config. */
  readonly more?: FilterDescription;
  /** Client and upstream speak HTTP/2. */
  readonly http2?: boolean;
  readonly exchanges: readonly (ExchangeDescription & { readonly want: Wanted })[];
  /** Calls are cut off, and so may never arrive: they are not compared. */
  readonly cutsCalls?: boolean;
  /** The script tells how the bytes of a body were cut. */
  readonly seesPieces?: boolean;
  /** Lines of the log: level and text; of an error its code alone. Default: none. */
  readonly log?: readonly string[];
}
