// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { FilterDescription } from '../../bundler/emulator.ts';

/** A config that is refused, and the place that is named, if there is one. */
export interface Refusal {
  readonly config: FilterDescription | string;
  readonly code: string;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
}

const fine = 'export default {};';

function inline(source: string, code: string, line: number, column: number): Refusal {
  return { config: { inline: source }, code, file: 'inline', line, column };
}

export const refusals: readonly Refusal[] = [
  { config: {}, code: 'E_CONFIG_SOURCE' },
  { config: { inline: fine, limit: {} }, code: 'E_CONFIG_KEY' },
  { config: { inline: fine, limits: { cpu: 1 } }, code: 'E_CONFIG_KEY' },
  { config: { inline: 5 as unknown as string }, code: 'E_CONFIG_TYPE' },
  { config: { inline: fine, clusters: 'auth' }, code: 'E_CONFIG_TYPE' },
  { config: { inline: fine, config: [] }, code: 'E_CONFIG_TYPE' },
  { config: { inline: fine, limits: { cpu_ms: 0 } }, code: 'E_CONFIG_RANGE' },
  { config: { inline: fine, on_error: { status: 200 } }, code: 'E_CONFIG_RANGE' },
  { config: { inline: fine, clusters: { '': 'a' } }, code: 'E_CONFIG_VALUE' },
  { config: { file: '/nowhere/filter.js' }, code: 'E_CONFIG_FILE' },
  { config: { inline: fine, secrets: { key: { vault: 'key' } } }, code: 'E_CONFIG_VALUE' },
  { config: { inline: fine, secrets: { key: { file: '/nowhere/key' } } }, code: 'E_SECRET_FILE' },
  { config: { bytecode: new Uint8Array(200) }, code: 'E_BYTECODE_MAGIC' },
  { config: '', code: 'E_CONFIG_SOURCE' },
  { config: '{', code: 'E_CONFIG_JSON', file: 'config', line: 1, column: 2 },
  { config: 'export default {', code: 'E_SCRIPT_SYNTAX', file: 'inline', line: 1, column: 17 },
  inline('export default {\n  onRequest( }', 'E_SCRIPT_SYNTAX', 2, 14),
  inline('let a = 1;\nlet a = 2;', 'E_SCRIPT_SYNTAX', 2, 7),
  inline('import a from "left-pad";\nexport default {};', 'E_SCRIPT_IMPORT', 1, 16),
  inline('import { cron } from "fairlead";\nexport default {};', 'E_SCRIPT_IMPORT', 1, 10),
  inline('const a = 1;\nthrow new Error("top");', 'E_SCRIPT_THROW', 2, 11),
  inline('\n  null.x;', 'E_SCRIPT_THROW', 2, 3),
  inline('const a = 1;', 'E_SCRIPT_EXPORT', 1, 1),
  inline('export default class {}', 'E_SCRIPT_EXPORT', 1, 1),
  inline('export default {\n  onRequests() {} };', 'E_SCRIPT_HOOK', 2, 3),
  inline('export default { onRequest: 5 };', 'E_SCRIPT_HOOK', 1, 1),
  inline('await new Promise(() => {});\nexport default {};', 'E_TOP_LEVEL_PENDING', 1, 1),
  inline('export default { configure() {\n throw new TypeError("no"); } };', 'E_CONFIGURE_THROW', 2, 12),
  inline('export default {\n configure: () => new Promise(() => {}) };', 'E_TOP_LEVEL_PENDING', 2, 13),
  inline('import { sleep } from "fairlead";\nexport default { configure: () => sleep(1) };', 'E_NO_STREAM', 2, 35),
  inline('fetch("http://auth/");', 'E_NO_STREAM', 1, 1),
];
