// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import assert from 'node:assert/strict';
import { expectRejected, validate, type EnvoyOptions } from './envoy.ts';
import { readFault, type Fault } from './log.ts';

const longestLine = 4_096;

/**
 * A configuration that fairlead must refuse: a starting Envoy and `envoy --mode validate` both end with an exit
 * code, and say why in the same single line, which is of the promised shape and not endless. Returns that line.
 */
export async function expectRefused(options: EnvoyOptions): Promise<Fault> {
  const [started, validated] = await Promise.all([expectRejected(options), validate(options)]);
  assert.notEqual(started.exitCode, 0, 'exit code of a refusing Envoy');
  const { level, message } = started.reason;
  assert.equal(level, 'critical');
  assert.ok(message.length < longestLine, `the line has ${message.length} characters: ${message.slice(0, 200)}…`);
  assert.match(message, /^fairlead: [\w.-]+: E_\w+: .+$/);
  const fault = readFault(started.reason);
  assert.ok(fault !== undefined);
  assert.deepEqual(started.log.faults(), [fault], 'one line says why');
  assert.notEqual(validated.exitCode, 0, 'exit code of envoy --mode validate');
  assert.deepEqual(validated.log.faults(), [fault], 'envoy --mode validate says the same');
  return fault;
}
