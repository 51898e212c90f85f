// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// crypto.subtle against Node's, both ways, with random keys and data: what Node makes the filter understands, in a real
// Envoy and in the emulator, and Node what the filter makes.

import type { webcrypto } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { runInEmulator, runInEnvoy } from './conformance/hosts.ts';

type CryptoKey = webcrypto.CryptoKey;
type CryptoKeyPair = webcrypto.CryptoKeyPair;
type EcKeyParams = webcrypto.EcKeyGenParams & webcrypto.EcKeyImportParams;
type HkdfParams = webcrypto.HkdfParams;
type JsonWebKey = webcrypto.JsonWebKey;
type KeyUsage = webcrypto.KeyUsage;

const { subtle } = globalThis.crypto;

/** What the filter is asked for: the names are those of crypto.subtle's parameters, bytes are base64. */
interface Task {
  readonly title: string;
  readonly algorithm: Record<string, unknown>;
  /** As importKey takes it. */
  readonly keyAlgorithm: Record<string, unknown>;
  readonly publicKey?: JsonWebKey;
  readonly privateKey: JsonWebKey;
  readonly data: string;
  /** What Node made of the data. */
  readonly made: string;
}

/** What the filter says to a task. */
interface Told {
  /** Of Node's result: a signature that holds, a text that is decrypted, bits that are equal. */
  readonly understood: boolean;
  /** The same of one whose first byte was changed. */
  readonly misled: boolean | string;
  readonly made: string;
  /** The key in each format that it comes in. */
  readonly formats: Record<string, string>;
}

const random = (length: number): Uint8Array<ArrayBuffer> => globalThis.crypto.getRandomValues(new Uint8Array(length));
const base64 = (bytes: ArrayBuffer | Uint8Array): string =>
  Buffer.from(bytes instanceof Uint8Array ? bytes : new Uint8Array(bytes)).toString('base64');
const unbase64 = (text: string): Uint8Array<ArrayBuffer> => new Uint8Array(Buffer.from(text, 'base64'));

// Functions of the filter; `config` is a Task whose members named in `bytes` are base64.
const source = `
const unbase64 = (text) => Uint8Array.fromBase64(text);
const base64 = (buffer) => new Uint8Array(buffer).toBase64();
const read = (params) => Object.fromEntries(Object.entries(params).map(([name, value]) =>
  [name, value?.base64 === undefined ? value : unbase64(value.base64)]));
const kinds = {
  sign: ['sign', 'verify'], encrypt: ['encrypt', 'decrypt'], oaep: ['decrypt', 'encrypt'], derive: ['deriveBits', ''],
};
async function formatsOf(key) {
  const formats = {};
  for (const format of ['raw', 'spki', 'pkcs8']) {
    try {
      formats[format] = base64(await crypto.subtle.exportKey(format, key));
    } catch (error) {
      if (error.code !== 'E_CRYPTO_ALGORITHM' && error.code !== 'E_CRYPTO_KEY') throw error;
    }
  }
  return formats;
}
async function run(task) {
  const { subtle } = crypto;
  const algorithm = read(task.algorithm);
  const keyAlgorithm = read(task.keyAlgorithm);
  const data = unbase64(task.data);
  const made = unbase64(task.made);
  const changed = made.slice();
  changed[0] ^= 1;
  const importKey = (jwk, usages) => subtle.importKey('jwk', jwk, keyAlgorithm, true, usages);
  const same = (a, b) => base64(a) === base64(b);
  const name = algorithm.name;
  if (/ECDH|X25519/.test(name)) {
    const key = await importKey(task.privateKey, ['deriveBits']);
    const peer = await importKey(task.publicKey, []);
    const bits = await subtle.deriveBits({ name, public: peer }, key, null);
    return { understood: same(bits, made), misled: same(bits, changed), made: base64(bits), formats: { ...await formatsOf(key), ...await formatsOf(peer) } };
  }
  if (/HKDF|PBKDF2/.test(name)) {
    const key = await subtle.importKey('raw', unbase64(task.privateKey.k), name, false, ['deriveBits', 'deriveKey']);
    const bits = await subtle.deriveBits(algorithm, key, made.length * 8);
    const derived = await subtle.deriveKey(algorithm, key, { name: 'AES-GCM', length: 256 }, true, ['encrypt']);
    return { understood: same(bits, made), misled: same(bits, changed), made: base64(bits), formats: await formatsOf(derived) };
  }
  const signs = /HMAC|ECDSA|Ed25519|RSASSA|PSS/.test(name);
  const [make, check] = signs ? ['sign', 'verify'] : ['encrypt', 'decrypt'];
  const onPrivate = signs ? make : check;
  const onPublic = signs ? check : make;
  const one = task.publicKey === undefined;
  const key = await importKey(task.privateKey, one ? [make, check] : [onPrivate]);
  const peer = one ? key : await importKey(task.publicKey, [onPublic]);
  const [maker, checker] = signs ? [key, peer] : [peer, key];
  const outcome = async (bytes) => {
    if (signs) return subtle.verify(algorithm, checker, bytes, data);
    try {
      return same(await subtle.decrypt(algorithm, checker, bytes), data);
    } catch (error) {
      return error.code;
    }
  };
  return {
    understood: await outcome(made),
    misled: await outcome(changed),
    made: base64(await subtle[make](algorithm, maker, data)),
    formats: { ...await formatsOf(key), ...await formatsOf(peer) },
  };
}
export default {
  async onRequest(request, ctx) {
    const told = [];
    for (const task of ctx.config.tasks) told.push(await run(task));
    return Response.json(told);
  },
};`;

/** Bytes among parameters, for JSON. */
function packed(params: object): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(params).map(([name, value]) => [name, value instanceof Uint8Array ? { base64: base64(value) } : value]),
  );
}

type Params = { name: string } & Record<string, unknown>;

async function exported(key: CryptoKey): Promise<JsonWebKey> {
  const { key_ops: _ops, ext: _ext, ...jwk } = await subtle.exportKey('jwk', key);
  return jwk;
}

/** A pair that signs, or decrypts. */
async function pairTask(title: string, keyAlgorithm: Params, algorithm: Params, generation: Params = keyAlgorithm): Promise<Task> {
  const signs = algorithm.name !== 'RSA-OAEP';
  const made = await subtle.generateKey(generation as unknown as EcKeyParams, true, signs ? ['sign', 'verify'] : ['encrypt', 'decrypt']);
  const data = random(signs ? 1 + (random(1)[0] ?? 0) : 32);
  const result = signs
    ? await subtle.sign(algorithm, made.privateKey, data)
    : await subtle.encrypt(algorithm, made.publicKey, data);
  return {
    title,
    algorithm: packed(algorithm),
    keyAlgorithm: packed(keyAlgorithm),
    publicKey: await exported(made.publicKey),
    privateKey: await exported(made.privateKey),
    data: base64(data),
    made: base64(result),
  };
}

async function secretTask(title: string, keyAlgorithm: Params, algorithm: Params, length: number): Promise<Task> {
  const signs = algorithm.name === 'HMAC';
  const usages: KeyUsage[] = signs ? ['sign', 'verify'] : ['encrypt', 'decrypt'];
  const key = await subtle.importKey('raw', random(length), keyAlgorithm, true, usages);
  const data = random(1 + (random(1)[0] ?? 0) * 5);
  const result = signs ? await subtle.sign(algorithm, key, data) : await subtle.encrypt(algorithm, key, data);
  return {
    title,
    algorithm: packed(algorithm),
    keyAlgorithm: packed(keyAlgorithm),
    privateKey: await exported(key),
    data: base64(data),
    made: base64(result),
  };
}

async function agreementTask(title: string, keyAlgorithm: Params): Promise<Task> {
  const generate = (): Promise<CryptoKeyPair> =>
    subtle.generateKey(keyAlgorithm as unknown as EcKeyParams, true, ['deriveBits']) as Promise<CryptoKeyPair>;
  const [mine, other] = [await generate(), await generate()];
  const bits = await subtle.deriveBits({ name: keyAlgorithm.name, public: other.publicKey }, mine.privateKey, null as unknown as number);
  return {
    title,
    algorithm: { name: keyAlgorithm.name },
    keyAlgorithm: packed(keyAlgorithm),
    publicKey: await exported(other.publicKey),
    privateKey: await exported(mine.privateKey),
    data: '',
    made: base64(bits),
  };
}

async function derivationTask(title: string, algorithm: Params): Promise<Task> {
  const secret = random(20);
  const key = await subtle.importKey('raw', secret, algorithm.name, false, ['deriveBits']);
  const made = base64(await subtle.deriveBits(algorithm as unknown as HkdfParams, key, 256));
  return { title, algorithm: packed(algorithm), keyAlgorithm: {}, privateKey: { k: base64(secret) }, data: '', made };
}

const hashes = ['SHA-1', 'SHA-256', 'SHA-384', 'SHA-512'];
const publicExponent = new Uint8Array([1, 0, 1]);
const rsa = (name: string, hash: string): [Params, Params] => [
  { name, hash },
  { name, hash, modulusLength: 2048, publicExponent },
];
const curves = ['P-256', 'P-384', 'P-521'];

function makeTasks(): Promise<Task[]> {
  return Promise.all([
    ...hashes.map((hash) => secretTask(`HMAC ${hash}`, { name: 'HMAC', hash }, { name: 'HMAC' }, 40)),
    ...['SHA-256', 'SHA-512'].map((hash) => {
      const [key, generation] = rsa('RSASSA-PKCS1-v1_5', hash);
      return pairTask(`RSASSA-PKCS1-v1_5 ${hash}`, key, { name: key.name }, generation);
    }),
    ...[0, 32].map((saltLength) => {
      const [key, generation] = rsa('RSA-PSS', 'SHA-256');
      return pairTask(`RSA-PSS with ${saltLength} bytes of salt`, key, { name: key.name, saltLength }, generation);
    }),
    ...[{}, { label: random(9) }].map((more) => {
      const [key, generation] = rsa('RSA-OAEP', 'SHA-256');
      return pairTask(`RSA-OAEP ${Object.keys(more).join()}`, key, { name: key.name, ...more }, generation);
    }),
    ...curves.map((namedCurve, i) =>
      pairTask(`ECDSA ${namedCurve}`, { name: 'ECDSA', namedCurve }, { name: 'ECDSA', hash: hashes[i + 1] }),
    ),
    pairTask('Ed25519', { name: 'Ed25519' }, { name: 'Ed25519' }),
    ...curves.map((namedCurve) => agreementTask(`ECDH ${namedCurve}`, { name: 'ECDH', namedCurve })),
    agreementTask('X25519', { name: 'X25519' }),
    ...[16, 24, 32].flatMap((length) => [
      secretTask(`AES-GCM ${length * 8}`, { name: 'AES-GCM' }, { name: 'AES-GCM', iv: random(12) }, length),
      secretTask(
        `AES-GCM ${length * 8} with everything`,
        { name: 'AES-GCM' },
        { name: 'AES-GCM', iv: random(17), additionalData: random(33), tagLength: 96 },
        length,
      ),
      secretTask(`AES-CBC ${length * 8}`, { name: 'AES-CBC' }, { name: 'AES-CBC', iv: random(16) }, length),
      ...[128, 64, 9, 16].map((bits) =>
        secretTask(`AES-CTR ${length * 8}, ${bits} bits`, { name: 'AES-CTR' }, { name: 'AES-CTR', counter: random(16), length: bits }, length),
      ),
      // The counter comes round in the midst of the data.
      secretTask(
        `AES-CTR ${length * 8}, round`,
        { name: 'AES-CTR' },
        { name: 'AES-CTR', counter: new Uint8Array(16).fill(255), length: 11 },
        length,
      ),
    ]),
    ...hashes.flatMap((hash) => [
      derivationTask(`HKDF ${hash}`, { name: 'HKDF', hash, salt: random(10), info: random(5) }),
      derivationTask(`PBKDF2 ${hash}`, { name: 'PBKDF2', hash, salt: random(10), iterations: 1500 }),
    ]),
  ]);
}

const usagesOf: Readonly<Record<string, readonly [KeyUsage[], KeyUsage[]]>> = {
  HMAC: [['sign'], ['verify']],
  'RSASSA-PKCS1-v1_5': [['sign'], ['verify']],
  'RSA-PSS': [['sign'], ['verify']],
  ECDSA: [['sign'], ['verify']],
  Ed25519: [['sign'], ['verify']],
  'RSA-OAEP': [['decrypt'], ['encrypt']],
};

/** Whether Node understands what the filter made. */
async function nodeUnderstands(task: Task, made: string): Promise<boolean> {
  const unpacked = (params: Record<string, unknown>): Params =>
    Object.fromEntries(
      Object.entries(params).map(([name, value]) => [name, (value as { base64?: string }).base64 === undefined ? value : unbase64((value as { base64: string }).base64)]),
    ) as Params;
  const algorithm = unpacked(task.algorithm);
  const [onPrivate, onPublic] = usagesOf[algorithm.name] ?? [['encrypt'], ['decrypt']];
  const isOaep = algorithm.name === 'RSA-OAEP';
  const usages = isOaep ? onPrivate : onPublic;
  const jwk = isOaep ? task.privateKey : (task.publicKey ?? task.privateKey);
  const key = await subtle.importKey('jwk', jwk, unpacked(task.keyAlgorithm), false, [...usages]);
  const data = unbase64(task.data);
  if (!usages.includes('verify')) return base64(await subtle.decrypt(algorithm, key, unbase64(made))) === task.data;
  return subtle.verify(algorithm, key, unbase64(made), data);
}

/** The formats of a task's keys as Node writes them. */
async function nodeFormats(task: Task): Promise<Record<string, string>> {
  const { name } = task.algorithm as Params;
  if (task.publicKey === undefined) return /HKDF|PBKDF2/.test(name) ? {} : { raw: base64(unbase64((task.privateKey.k ?? '').replaceAll('-', '+').replaceAll('_', '/'))) };
  const isAgreement = /ECDH|X25519/.test(name);
  const [onPrivate, onPublic] = usagesOf[name] ?? [['deriveBits'], []];
  const importKey = (jwk: JsonWebKey, usages: readonly KeyUsage[]): Promise<CryptoKey> =>
    subtle.importKey('jwk', jwk, task.keyAlgorithm as unknown as EcKeyParams, true, isAgreement && jwk.d === undefined ? [] : [...usages]);
  const publicKey = await importKey(task.publicKey, onPublic);
  return {
    ...(/RSA/.test(name) ? {} : { raw: base64(await subtle.exportKey('raw', publicKey)) }),
    spki: base64(await subtle.exportKey('spki', publicKey)),
    pkcs8: base64(await subtle.exportKey('pkcs8', await importKey(task.privateKey, onPrivate))),
  };
}

describe.each([
  ['Envoy', runInEnvoy],
  ['the emulator', runInEmulator],
] as const)('crypto.subtle in %s and that of Node', (_, run) => {
  let tasks: Task[];
  let told: Told[];

  beforeAll(async () => {
    tasks = await makeTasks();
    const config = { tasks: tasks.map(({ title: _title, ...task }) => task) };
    const limits = { cpu_ms: 10_000, stream_cpu_ms: 10_000 };
    const [result] = await run([{ filter: { inline: source, config, limits }, exchanges: [{}] }]);
    expect(result?.log).toEqual([]);
    told = JSON.parse(result?.outcomes[0]?.client?.body ?? '') as Told[];
    expect(told).toHaveLength(tasks.length);
  }, 120_000);

  /** What `look` says of each task, by its title. */
  const each = async (look: (task: Task, told: Told) => unknown): Promise<Record<string, unknown>> =>
    Object.fromEntries(await Promise.all(tasks.map(async (task, i) => [task.title, await look(task, told[i] as Told)] as const)));
  const all = (value: unknown): Record<string, unknown> => Object.fromEntries(tasks.map(({ title }) => [title, value]));
  const isDerived = ({ algorithm }: Task): boolean => /ECDH|X25519|HKDF|PBKDF2/.test((algorithm as Params).name);

  test('understand each other (F098, F099, W13, W20)', async () => {
    expect(await each((_task, { understood }) => understood)).toEqual(all(true));
    expect(await each((task, { made }) => (isDerived(task) ? made === task.made : nodeUnderstands(task, made)))).toEqual(all(true));
  });

  test('see that a byte was changed (F098, F099, W13)', async () => {
    // AES-CTR and AES-CBC protect nothing: they give another text, or no padding.
    const seen = await each((_task, { misled }) => misled === false || misled === 'E_CRYPTO_OPERATION');
    expect(seen).toEqual(all(true));
    const guarded = tasks.filter(({ title }) => title.startsWith('AES-GCM') || title.startsWith('RSA-OAEP')).map(({ title }) => title);
    const codes = await each((_task, { misled }) => misled);
    expect(guarded.map((title) => codes[title])).toEqual(guarded.map(() => 'E_CRYPTO_OPERATION'));
  });

  test('write keys alike (F099, W13, W20)', async () => {
    const wanted = await each((task) => nodeFormats(task));
    expect(await each((task, { formats }) => (/HKDF|PBKDF2/.test(task.title) ? {} : formats))).toEqual(wanted);
    // A derived key is the bits that deriveBits gives.
    const derived = await each((task, { formats }) => !/HKDF|PBKDF2/.test(task.title) || formats['raw'] === task.made);
    expect(derived).toEqual(all(true));
  });
});
