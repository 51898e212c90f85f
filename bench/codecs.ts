// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// How fast bytes become text and text becomes bytes inside a filter, in a real Envoy: npx tsx bench/codecs.ts

import { ensure } from '../bundler/toolchain/ensure.ts';
import { fairlead, request, startEnvoy } from '../test/harness.ts';

const script = `
  const bytes = crypto.getRandomValues(new Uint8Array(49152));
  const text = 'Grüße, здравствуйте, 你好. '.repeat(2048);
  const base64 = bytes.toBase64();
  const base64url = bytes.toBase64({ alphabet: 'base64url' });
  const hex = bytes.toHex();
  const binary = atob(base64);
  const utf8 = new TextEncoder().encode(text);
  const codecs = {
    'Uint8Array.fromBase64': () => Uint8Array.fromBase64(base64),
    'Uint8Array.fromBase64, base64url': () => Uint8Array.fromBase64(base64url, { alphabet: 'base64url' }),
    'toBase64': () => bytes.toBase64(),
    'atob': () => atob(base64),
    'btoa': () => btoa(binary),
    'Uint8Array.fromHex': () => Uint8Array.fromHex(hex),
    'toHex': () => bytes.toHex(),
    'TextDecoder': () => new TextDecoder().decode(utf8),
    'TextEncoder': () => new TextEncoder().encode(text),
  };
  export default {
    onRequest() {
      return Response.json(Object.entries(codecs).map(([codec, run]) => {
        const size = codec.startsWith('Text') ? utf8.length : bytes.length;
        const best = Math.min(...Array.from({ length: 15 }, () => {
          const began = performance.now();
          for (let i = 0; i < 50; i++) run();
          return (performance.now() - began) / 50;
        }));
        return { codec, 'bytes, MB/s': Math.round(size / best / 1000) };
      }));
    },
  };
`;

await ensure({ release: true, envoy: true });
const envoy = await startEnvoy({
  filters: [fairlead({ inline: script, limits: { cpu_ms: 10_000, stream_cpu_ms: 10_000, memory_mb: 64 } })],
});
try {
  console.table((await request(envoy, '/')).json());
} finally {
  await envoy.stop();
}
