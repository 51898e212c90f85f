// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What crypto must do by itself: published vectors, and every refusal. crypto.test.ts holds it to another implementation.

const { subtle } = crypto;
const bytes = (...values) => new Uint8Array(values);
const text = (value) => new TextEncoder().encode(value);
const unhex = (hex) => Uint8Array.fromHex(hex.replaceAll(' ', ''));
const hex = (buffer) => new Uint8Array(buffer).toHex();
const all = ['encrypt', 'decrypt', 'sign', 'verify', 'deriveKey', 'deriveBits', 'wrapKey', 'unwrapKey'];
const raw = (data, algorithm, usages, extractable = true) => subtle.importKey('raw', data, algorithm, extractable, usages);

/** What `promise` rejects with: the name and the code of fairlead. */
async function refusal(promise) {
  try {
    await promise;
    return 'nothing';
  } catch (error) {
    return `${error.name} ${error.code}`;
  }
}

async function vectors({ equal }) {
  // FIPS 180-4
  const abc = text('abc');
  const digests = {
    'SHA-1': 'a9993e364706816aba3e25717850c26c9cd0d89d',
    'sha-256': 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
    'SHA-384': 'cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7',
    'SHA-512':
      'ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f',
  };
  for (const [name, want] of Object.entries(digests)) {
    equal(name, hex(await subtle.digest(name, abc)), want);
    equal(`${name} as object, of a part of a buffer`, hex(await subtle.digest({ name }, text('xabcx').subarray(1, 4))), want);
  }

  // RFC 4231, test case 2
  const jefe = await raw(text('Jefe'), { name: 'HMAC', hash: 'SHA-256' }, ['sign', 'verify']);
  const what = text('what do ya want for nothing?');
  const mac = '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843';
  equal('HMAC', hex(await subtle.sign('hmac', jefe, what)), mac);
  equal('HMAC holds', await subtle.verify('HMAC', jefe, unhex(mac), what), true);
  equal('HMAC cut', await subtle.verify('HMAC', jefe, unhex(mac).subarray(1), what), false);

  // RFC 5869, test case 1
  const ikm = await raw(unhex('0b'.repeat(22)), 'HKDF', ['deriveBits'], false);
  const hkdf = { name: 'HKDF', hash: 'SHA-256', salt: unhex('000102030405060708090a0b0c'), info: unhex('f0f1f2f3f4f5f6f7f8f9') };
  const okm = '3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865';
  equal('HKDF', hex(await subtle.deriveBits(hkdf, ikm, 42 * 8)), okm);

  // RFC 7914, section 11
  const passwd = await raw(text('passwd'), 'PBKDF2', ['deriveBits'], false);
  const pbkdf2 = { name: 'PBKDF2', hash: 'SHA-256', salt: text('salt'), iterations: 1 };
  equal(
    'PBKDF2',
    hex(await subtle.deriveBits(pbkdf2, passwd, 512)),
    '55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc' +
      '49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783',
  );

  // RFC 3394, section 4.1
  const kek = await raw(unhex('000102030405060708090A0B0C0D0E0F'), 'AES-KW', ['wrapKey', 'unwrapKey']);
  const data = await raw(unhex('00112233445566778899AABBCCDDEEFF'), 'AES-GCM', ['encrypt']);
  const wrapped = '1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5';
  equal('AES-KW', hex(await subtle.wrapKey('raw', data, kek, 'AES-KW')), wrapped);
  const unwrapped = await subtle.unwrapKey('raw', unhex(wrapped), kek, 'AES-KW', 'AES-GCM', true, ['decrypt']);
  equal('AES-KW back', hex(await subtle.exportKey('raw', unwrapped)), '00112233445566778899aabbccddeeff');

  // RFC 8032, section 7.1, test 2
  const seed = '4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb';
  const d = unhex(seed).toBase64({ alphabet: 'base64url', omitPadding: true });
  const x = unhex('3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c');
  const jwk = { kty: 'OKP', crv: 'Ed25519', d, x: x.toBase64({ alphabet: 'base64url', omitPadding: true }) };
  const ed25519 = await subtle.importKey('jwk', jwk, 'Ed25519', false, ['sign']);
  const signature =
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da' +
    '085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00';
  equal('Ed25519', hex(await subtle.sign('Ed25519', ed25519, bytes(0x72))), signature);
  const publicKey = await raw(x, 'Ed25519', ['verify']);
  equal('Ed25519 holds', await subtle.verify('Ed25519', publicKey, unhex(signature), bytes(0x72)), true);
  equal('Ed25519 of others', await subtle.verify('Ed25519', publicKey, unhex(signature), bytes(0x73)), false);
}

async function randomness({ equal, throws }) {
  for (const Kind of [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, BigInt64Array]) {
    const array = new Kind(32);
    equal(`${Kind.name} is given back`, crypto.getRandomValues(array) === array, true);
    equal(`${Kind.name} is filled`, new Set(array).size > 8, true);
  }
  const around = new Uint8Array(64);
  crypto.getRandomValues(around.subarray(16, 48));
  equal('nothing before and behind is written', [...around.subarray(0, 16), ...around.subarray(48)].join(''), '0'.repeat(32));
  equal('65536 bytes', crypto.getRandomValues(new Uint8Array(65536)).byteLength, 65536);
  for (const [array, code] of [
    [new Uint8Array(65537), 'E_QUOTA'],
    [new Uint32Array(16385), 'E_QUOTA'],
    [new Float64Array(1), 'E_TYPE_MISMATCH'],
    [new DataView(new ArrayBuffer(1)), 'E_TYPE_MISMATCH'],
  ]) {
    throws(`${array.constructor.name} of ${array.byteLength}`, () => crypto.getRandomValues(array), DOMException, code);
  }
  throws('an ArrayBuffer', () => crypto.getRandomValues(new ArrayBuffer(1)), TypeError, 'E_ARGUMENT');
  throws('a list', () => crypto.getRandomValues([1]), TypeError, 'E_ARGUMENT');

  const uuids = new Set();
  let wrong = 0;
  for (let i = 0; i < 100_000; i++) {
    const uuid = crypto.randomUUID();
    uuids.add(uuid.slice(0, 18));
    if (!/^[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/.test(uuid)) wrong++;
  }
  equal('UUIDs of another form', wrong, 0);
  equal('UUIDs that differ', uuids.size, 100_000);
  const numbers = Array.from({ length: 1000 }, Math.random);
  equal('Math.random', new Set(numbers).size === 1000 && numbers.every((number) => number >= 0 && number < 1), true);
}

/** For each algorithm how its keys are made and what may be done with them. */
const kinds = [
  { algorithm: { name: 'HMAC', hash: 'SHA-256' }, secret: ['sign', 'verify'], formats: 'raw jwk' },
  { algorithm: { name: 'AES-GCM', length: 256 }, secret: ['encrypt', 'decrypt', 'wrapKey', 'unwrapKey'], formats: 'raw jwk' },
  { algorithm: { name: 'AES-CBC', length: 128 }, secret: ['encrypt', 'decrypt', 'wrapKey', 'unwrapKey'], formats: 'raw jwk' },
  { algorithm: { name: 'AES-CTR', length: 192 }, secret: ['encrypt', 'decrypt', 'wrapKey', 'unwrapKey'], formats: 'raw jwk' },
  { algorithm: { name: 'AES-KW', length: 256 }, secret: ['wrapKey', 'unwrapKey'], formats: 'raw jwk' },
  { algorithm: { name: 'ECDSA', namedCurve: 'P-256' }, private: ['sign'], public: ['verify'], formats: 'raw spki pkcs8 jwk' },
  { algorithm: { name: 'ECDH', namedCurve: 'P-384' }, private: ['deriveKey', 'deriveBits'], public: [], formats: 'raw spki pkcs8 jwk' },
  { algorithm: { name: 'Ed25519' }, private: ['sign'], public: ['verify'], formats: 'raw spki pkcs8 jwk' },
  { algorithm: { name: 'X25519' }, private: ['deriveKey', 'deriveBits'], public: [], formats: 'raw spki pkcs8 jwk' },
  {
    algorithm: { name: 'RSA-PSS', hash: 'SHA-256', modulusLength: 1024, publicExponent: bytes(1, 0, 1) },
    private: ['sign'],
    public: ['verify'],
    formats: 'spki pkcs8 jwk',
  },
];

async function keys({ equal }) {
  for (const { algorithm, formats, ...halves } of kinds) {
    const { name } = algorithm;
    const usages = [...(halves.secret ?? []), ...(halves.private ?? []), ...(halves.public ?? [])];
    const made = await subtle.generateKey(algorithm, true, usages);
    const parts = { secret: halves.secret && made, private: made.privateKey, public: made.publicKey };
    for (const [type, key] of Object.entries(parts)) {
      if (key === undefined) continue;
      equal(`${name} ${type}`, [key instanceof CryptoKey, key.type, key.extractable], [true, type, true]);
      equal(`${name} ${type} usages`, [...key.usages].sort(), [...halves[type]].sort());
      equal(`${name} ${type} keeps its objects`, [key.algorithm === key.algorithm, key.usages === key.usages], [true, true]);
      equal(`${name} ${type} algorithm`, key.algorithm.name, name);
      for (const format of ['raw', 'spki', 'pkcs8', 'jwk']) {
        const fits =
          formats.split(' ').includes(format) &&
          (format === 'jwk' || type === { raw: halves.secret ? 'secret' : 'public', spki: 'public', pkcs8: 'private' }[format]);
        const comes = formats.split(' ').includes(format);
        if (!fits) {
          const want = comes ? 'InvalidAccessError E_CRYPTO_KEY' : 'NotSupportedError E_CRYPTO_ALGORITHM';
          equal(`${name} ${type} as ${format}`, await refusal(subtle.exportKey(format, key)), want);
          continue;
        }
        const outside = await subtle.exportKey(format, key);
        const again = await subtle.importKey(format, outside, algorithm, true, halves[type]);
        const both = [await subtle.exportKey(format, again), outside];
        equal(`${name} ${type} as ${format}`, ...both.map((each) => (format === 'jwk' ? JSON.stringify(each) : hex(each))));
        const broken = format === 'jwk' ? { ...outside, kty: 'none' } : new Uint8Array(outside).subarray(1);
        // Any bytes are an HMAC key.
        if (format === 'jwk' || name !== 'HMAC') {
          equal(`${name} ${type} broken ${format}`, await refusal(subtle.importKey(format, broken, algorithm, true, halves[type])), 'DataError E_CRYPTO_DATA');
        }
      }
      const closed = await subtle.importKey('jwk', await subtle.exportKey('jwk', key), algorithm, false, halves[type]);
      const mayLeave = type === 'public' ? 'nothing' : 'InvalidAccessError E_CRYPTO_KEY';
      equal(`${name} ${type} that is not extractable`, await refusal(subtle.exportKey('jwk', closed)), mayLeave);
      const foreign = all.find((usage) => !usages.includes(usage));
      equal(
        `${name} ${type} for ${foreign}`,
        await refusal(subtle.importKey('jwk', await subtle.exportKey('jwk', key), algorithm, true, [foreign])),
        'SyntaxError E_CRYPTO_USAGES',
      );
    }
    equal(`${name} without usages`, await refusal(subtle.generateKey(algorithm, true, [])), 'SyntaxError E_CRYPTO_USAGES');
    equal(
      `${name} with a usage that is none`,
      await refusal(subtle.generateKey(algorithm, true, ['decode'])),
      'TypeError E_ARGUMENT',
    );
  }
}

async function refusals({ equal, throws }) {
  const aes = await raw(new Uint8Array(16), 'AES-GCM', ['encrypt', 'decrypt']);
  const cbc = await raw(new Uint8Array(16), 'AES-CBC', ['encrypt', 'decrypt']);
  const ctr = await raw(new Uint8Array(16), 'AES-CTR', ['encrypt']);
  const kw = await raw(new Uint8Array(16), 'AES-KW', ['wrapKey', 'unwrapKey']);
  const hmac = await raw(new Uint8Array(16), { name: 'HMAC', hash: 'SHA-256' }, ['sign']);
  const hkdf = await raw(new Uint8Array(16), 'HKDF', ['deriveBits'], false);
  const pbkdf2 = await raw(new Uint8Array(16), 'PBKDF2', ['deriveBits', 'deriveKey'], false);
  const p256 = await subtle.generateKey({ name: 'ECDH', namedCurve: 'P-256' }, false, ['deriveBits']);
  const p384 = await subtle.generateKey({ name: 'ECDH', namedCurve: 'P-384' }, false, ['deriveBits']);
  const iv = new Uint8Array(12);
  const salt = new Uint8Array();
  const stretch = { name: 'PBKDF2', hash: 'SHA-256', salt, iterations: 1 };
  const expand = { name: 'HKDF', hash: 'SHA-256', salt, info: salt };

  const usages = 'SyntaxError E_CRYPTO_USAGES';
  const operation = 'OperationError E_CRYPTO_OPERATION';
  const algorithm = 'NotSupportedError E_CRYPTO_ALGORITHM';
  const access = 'InvalidAccessError E_CRYPTO_KEY';
  const bad = 'DataError E_CRYPTO_DATA';
  const option = 'TypeError E_OPTION';
  const argument = 'TypeError E_ARGUMENT';
  const cases = {
    'an unknown algorithm': [algorithm, () => subtle.encrypt('ROT13', aes, iv)],
    'an algorithm that cannot do it': [algorithm, () => subtle.encrypt('HMAC', hmac, iv)],
    'a wrap by what only signs': [algorithm, () => subtle.wrapKey('raw', aes, hmac, 'HMAC')],
    'an unknown hash': [algorithm, () => subtle.importKey('raw', iv, { name: 'HMAC', hash: 'MD5' }, true, ['sign'])],
    'an unknown curve': [algorithm, () => subtle.generateKey({ name: 'ECDSA', namedCurve: 'K-256' }, true, ['sign'])],
    'no hash': [option, () => subtle.importKey('raw', iv, 'HMAC', true, ['sign'])],
    'no curve': [option, () => subtle.generateKey('ECDSA', true, ['sign'])],
    'no name': [option, () => subtle.digest({}, iv)],
    'no iv': [option, () => subtle.encrypt('AES-GCM', aes, iv)],
    'an iv that is text': [option, () => subtle.encrypt({ name: 'AES-GCM', iv: 'text' }, aes, iv)],
    'no salt length': [option, () => subtle.sign('RSA-PSS', hmac, iv)],
    'no length': [option, () => subtle.generateKey('AES-GCM', true, ['encrypt'])],
    'a length beyond numbers': [option, () => subtle.generateKey({ name: 'AES-GCM', length: 2 ** 32 }, true, ['encrypt'])],
    'a peer that is no key': [option, () => subtle.deriveBits({ name: 'ECDH', public: {} }, p256.privateKey, 8)],
    'what is no key': [argument, () => subtle.sign('HMAC', {}, iv)],
    'what is no bytes': [argument, () => subtle.digest('SHA-256', [1])],
    'an unknown format': [argument, () => subtle.importKey('pem', iv, 'AES-GCM', true, ['encrypt'])],
    'bytes for a JSON Web Key': [argument, () => subtle.importKey('jwk', iv, 'AES-GCM', true, ['encrypt'])],
    'a JSON Web Key for bytes': [argument, () => subtle.importKey('raw', {}, 'AES-GCM', true, ['encrypt'])],
    'usages that are no list': [argument, () => subtle.importKey('raw', iv, 'AES-GCM', true, 5)],
    'a key of another algorithm': [access, () => subtle.sign('HMAC', aes, iv)],
    'a key without the usage': [access, () => subtle.verify('HMAC', hmac, iv, iv)],
    'a cipher that may not wrap': [access, () => subtle.wrapKey('raw', aes, cbc, { name: 'AES-CBC', iv: new Uint8Array(16) })],
    'a public key that derives': [access, () => subtle.deriveBits({ name: 'ECDH', public: p256.publicKey }, p256.publicKey, 8)],
    'a private key as the peer': [access, () => subtle.deriveBits({ name: 'ECDH', public: p256.privateKey }, p256.privateKey, 8)],
    'keys of two curves': [access, () => subtle.deriveBits({ name: 'ECDH', public: p384.publicKey }, p256.privateKey, 8)],
    'HKDF that leaves': [algorithm, () => subtle.exportKey('raw', hkdf)],
    'HKDF that is extractable': [usages, () => raw(iv, 'HKDF', ['deriveBits'], true)],
    'HKDF as a JSON Web Key': [algorithm, () => subtle.importKey('jwk', {}, 'HKDF', false, ['deriveBits'])],
    'RSA as raw': [algorithm, () => raw(iv, { name: 'RSA-PSS', hash: 'SHA-1' }, ['verify'])],
    'an AES key of 15 bytes': [bad, () => raw(new Uint8Array(15), 'AES-CBC', ['encrypt'])],
    'an empty HMAC key': [bad, () => raw(salt, { name: 'HMAC', hash: 'SHA-256' }, ['sign'])],
    'an HMAC key that is shorter than told': [bad, () => raw(iv, { name: 'HMAC', hash: 'SHA-256', length: 97 }, ['sign'])],
    'a point that is on no curve': [bad, () => raw(new Uint8Array(65).fill(4), { name: 'ECDSA', namedCurve: 'P-256' }, ['verify'])],
    'a JSON Web Key of another algorithm': [
      bad,
      () => subtle.importKey('jwk', { kty: 'oct', k: 'AAAAAAAAAAAAAAAAAAAAAA', alg: 'A256GCM' }, 'AES-GCM', true, ['encrypt']),
    ],
    'a JSON Web Key for other uses': [
      bad,
      () => subtle.importKey('jwk', { kty: 'oct', k: 'AAAAAAAAAAAAAAAAAAAAAA', key_ops: ['decrypt'] }, 'AES-GCM', true, ['encrypt']),
    ],
    'a JSON Web Key with use sig': [
      bad,
      () => subtle.importKey('jwk', { kty: 'oct', k: 'AAAAAAAAAAAAAAAAAAAAAA', use: 'sig' }, 'AES-GCM', true, ['encrypt']),
    ],
    'a JSON Web Key that must not leave': [
      bad,
      () => subtle.importKey('jwk', { kty: 'oct', k: 'AAAAAAAAAAAAAAAAAAAAAA', ext: false }, 'AES-GCM', true, ['encrypt']),
    ],
    'a JSON Web Key in base64 of the other alphabet': [
      bad,
      () => subtle.importKey('jwk', { kty: 'oct', k: 'AAAAAAAAAAAAAAAAAAAA+A' }, 'AES-GCM', true, ['encrypt']),
    ],
    'an empty iv': [operation, () => subtle.encrypt({ name: 'AES-GCM', iv: salt }, aes, iv)],
    'a tag of 5 bytes': [operation, () => subtle.encrypt({ name: 'AES-GCM', iv, tagLength: 40 }, aes, iv)],
    'less than a tag': [operation, () => subtle.decrypt({ name: 'AES-GCM', iv }, aes, iv)],
    'an iv of 12 bytes for AES-CBC': [operation, () => subtle.encrypt({ name: 'AES-CBC', iv }, cbc, iv)],
    'padding that is none': [operation, () => subtle.decrypt({ name: 'AES-CBC', iv: new Uint8Array(16) }, cbc, new Uint8Array(16))],
    'a counter of no bits': [operation, () => subtle.encrypt({ name: 'AES-CTR', counter: new Uint8Array(16), length: 0 }, ctr, iv)],
    'a counter that comes round': [
      operation,
      () => subtle.encrypt({ name: 'AES-CTR', counter: new Uint8Array(16), length: 1 }, ctr, new Uint8Array(33)),
    ],
    'a wrapped key that was changed': [
      operation,
      () => subtle.unwrapKey('raw', new Uint8Array(24), kw, 'AES-KW', 'AES-GCM', true, ['encrypt']),
    ],
    'no iterations': [operation, () => subtle.deriveBits({ ...stretch, iterations: 0 }, pbkdf2, 8)],
    'no length of bits': [operation, () => subtle.deriveBits(expand, hkdf, null)],
    'a length of 9 bits': [operation, () => subtle.deriveBits(expand, hkdf, 9)],
    'more than HKDF gives': [operation, () => subtle.deriveBits(expand, hkdf, 255 * 256 + 8)],
    'more than ECDH gives': [operation, () => subtle.deriveBits({ name: 'ECDH', public: p256.publicKey }, p256.privateKey, 257)],
    'an RSA key of 100 bits': [
      operation,
      () =>
        subtle.generateKey({ name: 'RSA-PSS', hash: 'SHA-256', modulusLength: 100, publicExponent: bytes(1, 0, 1) }, true, ['sign']),
    ],
    'an even exponent': [
      operation,
      () =>
        subtle.generateKey({ name: 'RSA-PSS', hash: 'SHA-256', modulusLength: 1024, publicExponent: bytes(2) }, true, ['sign']),
    ],
    'an HMAC key of no bits': [operation, () => subtle.generateKey({ name: 'HMAC', hash: 'SHA-256', length: 0 }, true, ['sign'])],
    'a derived key pair': [algorithm, () => subtle.deriveKey(stretch, pbkdf2, 'Ed25519', true, ['sign'])],
  };
  for (const [name, [want, run]] of Object.entries(cases)) equal(name, await refusal(run()), want);

  throws('bytes of two lengths', () => subtle.timingSafeEqual(bytes(1), bytes(1, 2)), TypeError, 'E_ARGUMENT');
  equal('equal bytes', subtle.timingSafeEqual(bytes(1, 2), bytes(1, 2).buffer), true);
  equal('other bytes', [bytes(0, 2), bytes(1, 3)].map((other) => subtle.timingSafeEqual(bytes(1, 2), other)), [false, false]);
  for (const Class of [Crypto, SubtleCrypto, CryptoKey]) {
    throws(`new ${Class.name}`, () => new Class(), TypeError, 'E_ILLEGAL_CONSTRUCTOR');
  }
  equal('crypto', [crypto instanceof Crypto, subtle instanceof SubtleCrypto, crypto.subtle === subtle], [true, true, true]);
  equal('a thrown getter', await refusal(subtle.digest({ get name() { throw new RangeError('mine'); } }, iv)), 'RangeError undefined');
}

/** What a script does to its buffers and objects while they are read. */
async function hostile({ equal, throws }) {
  const argument = 'TypeError E_ARGUMENT';
  const bad = 'DataError E_CRYPTO_DATA';
  const hmac = { name: 'HMAC', hash: 'SHA-256' };
  const hkdf = await raw(bytes(1), 'HKDF', ['deriveBits'], false);
  const { publicKey } = await subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, true, ['sign', 'verify']);
  const takes = (view, value) => ({ get name() { view.buffer.transfer(); return value; } });
  const resizable = (length, start) => new Uint8Array(new ArrayBuffer(length, { maxByteLength: 64 }), start);
  const resizes = (view, length) => ({ get name() { view.buffer.resize(length); return 'SHA-1'; } });
  const gone = bytes(1);
  gone.buffer.transfer();

  const data = bytes(1, 2);
  equal('data taken away', await refusal(subtle.digest(takes(data, 'SHA-1'), data)), argument);
  const key = bytes(1, 2);
  equal('a key taken away', await refusal(subtle.importKey('raw', key, { ...hmac, hash: takes(key, 'SHA-1') }, true, ['sign'])), argument);
  const signature = new Uint8Array(64);
  const ecdsa = { name: 'ECDSA', hash: takes(signature, 'SHA-1') };
  equal('a signature taken away', await refusal(subtle.verify(ecdsa, publicKey, signature, data)), argument);
  const cut = resizable(8, 4);
  equal('a view cut off', await refusal(subtle.digest(resizes(cut, 2), cut)), argument);
  const shrunk = resizable(8);
  equal('data that shrinks', hex(await subtle.digest(resizes(shrunk, 1), shrunk)), hex(await subtle.digest('SHA-1', bytes(0))));
  const grown = resizable(1);
  equal('data that grows', hex(await subtle.digest(resizes(grown, 64), grown)), hex(await subtle.digest('SHA-1', new Uint8Array(64))));
  const salt = bytes(1, 2, 3);
  const derive = (algorithm) => subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', info: bytes(), ...algorithm }, hkdf, 64);
  const want = hex(await derive({ salt: bytes(1, 2, 3) }));
  const late = Object.assign(Object.create({ name: 'HKDF', hash: 'SHA-256' }), { salt });
  Object.defineProperty(late, 'info', { get() { salt.buffer.transfer(); return bytes(); } });
  equal('salt taken away when it was read', hex(await subtle.deriveBits(late, hkdf, 64)), want);
  equal('salt that is gone', await refusal(derive({ salt: gone })), 'TypeError E_OPTION');
  throws('bytes that are gone', () => subtle.timingSafeEqual(gone, gone), TypeError, 'E_ARGUMENT');

  const thrown = 'RangeError undefined';
  const thrower = { get() { throw new RangeError(); } };
  equal('a length that throws', await refusal(subtle.deriveBits(late, hkdf, Object.defineProperty({}, 'valueOf', thrower))), thrown);
  equal('a key that throws', await refusal(subtle.importKey('jwk', new Proxy({}, thrower), hmac, true, ['sign'])), thrown);
  const half = Object.defineProperty({ kty: 'oct' }, 'k', thrower);
  equal('a key with a getter that throws', await refusal(subtle.importKey('jwk', half, hmac, true, ['sign'])), thrown);
  equal('usages that throw', await refusal(subtle.generateKey(hmac, true, new Proxy(['sign'], thrower))), thrown);
  throws('a key that is cloned', () => structuredClone(hkdf), DOMException, 'E_DATA_CLONE');
  throws('what inherits from a key', () => Object.create(hkdf).type, TypeError, 'E_ILLEGAL_INVOCATION');

  const pss = { name: 'RSA-PSS', hash: 'SHA-256' };
  const rsa = (members) =>
    subtle.importKey('jwk', { kty: 'RSA', e: 'AQAB', ...members }, pss, true, ['d' in members ? 'sign' : 'verify']);
  const odd = (bits) => new Uint8Array(bits / 8).fill(255).toBase64({ alphabet: 'base64url', omitPadding: true });
  equal('RSA of 8192 bits', (await rsa({ n: odd(8192) })).algorithm.modulusLength, 8192);
  equal('RSA of 16384 bits', await refusal(rsa({ n: odd(16_384) })), bad);
  equal('RSA of 256 bits', await refusal(rsa({ n: odd(256) })), bad);
  equal('RSA with a large exponent', await refusal(rsa({ n: odd(2048), e: odd(2040) })), bad);
  equal('RSA with exponent 1', await refusal(rsa({ n: odd(2048), e: 'AQ' })), bad);
  const large = odd(800_000);
  equal('RSA of large parts', await refusal(rsa({ n: odd(2048), d: large, p: large, q: large, dp: large, dq: large, qi: large })), bad);
  equal('RSA without modulus', await refusal(rsa({ n: '' })), bad);
}

export const crypto_ = {
  'published vectors': vectors,
  randomness,
  keys,
  refusals,
  hostile,
};
