// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The module "fairlead", and with it the globals of a filter's world. Members are documented where they are declared:
// one file a stem, as in host_api.def. The tags:
//
//   @phase    where a member can be used: Load (top level and configure), RequestHeaders, ResponseHeaders, Log; Hooks is
//             the last three, Always is all. A continuation runs in the phase that its stream is in.
//   @since    contract version that brought it
//   @throws   code of an error (`error.code`), and when
//
// Two codes can come from anywhere and are not repeated: E_MISSING_ARGUMENT, when a required argument is absent, and
// E_ILLEGAL_INVOCATION, when a member is used on an object of another class.

/// <reference path="./headers.d.ts" />
/// <reference path="./message.d.ts" />
/// <reference path="./fetch.d.ts" />
/// <reference path="./console.d.ts" />
/// <reference path="./url.d.ts" />
/// <reference path="./async.d.ts" />
/// <reference path="./encoding.d.ts" />
/// <reference path="./crypto.d.ts" />
/// <reference path="./clone.d.ts" />
/// <reference path="./streams.d.ts" />
/// <reference path="./urlpattern.d.ts" />
/// <reference path="./forms.d.ts" />
/// <reference path="./compression.d.ts" />
/// <reference path="./events.d.ts" />
/// <reference path="./scope.d.ts" />
/// <reference path="./engine.d.ts" />

export { defineFilter } from './stream.js';
export type { Context, Environment, Filter, HookResult, SocketDirection } from './stream.js';
export type { Attributes, Connection, LocalReplyResult, TimingResult } from './facts.js';
export type { FilterState, Metadata, MetadataValueInit, MetadataValueResult, TypedMetadataResult } from './metadata.js';
export type { Cluster, HostsResult, Route, UpstreamHostOptions } from './routing.js';
export type { Span } from './tracing.js';
export type { Chunk, ChunkResult } from './body.js';
export { sleep } from './timers.js';
export { once } from './once.js';
export { every } from './jobs.js';
export type { JobContext } from './jobs.js';
export type { RuntimeKeys } from './runtime_keys.js';
export type { Secret, Secrets } from './secrets.js';
export { counter, gauge, histogram } from './metrics.js';
export type { Counter, Gauge, Histogram, MetricLabels } from './metrics.js';
export { shared } from './shared.js';
export type { Shared, SharedOptions, SharedValue, TakeOptions, TakeResult } from './shared.js';
export type { HostError, HostErrorCode } from './errors.js';
