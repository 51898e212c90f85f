// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The thread that emulator.ts runs fairlead.wasm in: one instance, calls in, replies out. Plain JavaScript, so that the
// thread starts without a compiler.

import { parentPort, workerData } from 'node:worker_threads';

// Node warns of its WASI module; that says nothing to whoever writes a filter.
process.emitWarning = () => {};
const { WASI } = await import('node:wasi');
const wasi = new WASI({ version: 'preview1' });
const instance = await WebAssembly.instantiate(workerData, wasi.getImportObject());
wasi.initialize(instance);
const { exports } = instance;
const { memory } = exports;

parentPort.on('message', (call) => {
  let reply;
  try {
    reply = run(call);
  } catch (error) {
    // A trap: whatever the instance holds is half done.
    reply = { broken: String(error) };
  }
  parentPort.postMessage(reply);
});

function run({ name, handle, request }) {
  if (request === undefined) {
    exports[name](handle);
    return { ok: true, json: 'null' };
  }
  const bytes = new TextEncoder().encode(request);
  const pointer = exports.fairlead_alloc(bytes.length);
  if (pointer === 0) return { broken: 'there is no memory left' };
  new Uint8Array(memory.buffer, pointer, bytes.length).set(bytes);
  const block = handle === undefined ? exports[name](pointer, bytes.length) : exports[name](handle, pointer, bytes.length);
  exports.fairlead_free(pointer);
  if (block === 0) return { broken: 'there is no memory left' };
  const head = new DataView(memory.buffer, block, 8);
  const json = new TextDecoder().decode(new Uint8Array(memory.buffer, block + 8, head.getUint32(4, true)));
  const ok = head.getUint32(0, true) === 1;
  exports.fairlead_free(block);
  return { ok, json };
}
