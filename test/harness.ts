// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Drives a stock Envoy from outside: start and stop it, upstreams behind it, clients before it.
// Used by the tests and by the bench; it knows no test runner.

export * from './harness/body.ts';
export * from './harness/client.ts';
export * from './harness/config.ts';
export * from './harness/envoy.ts';
export * from './harness/files.ts';
export * from './harness/grpc.ts';
export * from './harness/load.ts';
export * from './harness/log.ts';
export * from './harness/refusal.ts';
export * from './harness/upstream.ts';
export * from './harness/wait.ts';
