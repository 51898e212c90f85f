// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { Case } from './case.ts';

// Keys and signatures were made by Node, and so were the results that are wanted; crypto.test.ts has more of them.

const rsa = {
  kty: 'RSA',
  n: [
    'rNB6h4y0hjJG-6C4wolqskHK9y2s42gXeoCUL_BvWkjm7lSgShR34HGgTh0_0dmXUxL6PW8WWOZmcJ4NIX3U1xep1bHz3CM48u6LXbOg-0GVRjagA2JUEX',
    'mVlmB378w3_8LhZmoiRMnRWZ56CYw7xhmmHY7DYRmR2xvzWjB_jZ9JQSq70jL7oF9uB2BFz7DnFDL2Sx2jrAZ3Lz0V84LlywZNYoRhdHkZmFgTZYGRvP7s',
    'asLyI6NkVqM4nlyXbicBJu8PWkNq7EhVvLH3-puYl46uTfHChBS6AV0U_m7mvHsBCo5pGe9xVv2ZFI9aAXFhUrhCFSRAtsbz8hlqMVVtlQ',
  ].join(''),
  e: 'AQAB',
  d: [
    'Ki6KFf-Lie0IQ__HUV7C7yddkCdzOZ_NCU8MvMXanEZKrfZ0mJh16VA64Y5Ep2eOBw5NDAVLRmBYtVjy2g-xjd3-C8XvwPZM_oko9fJ0Uxf_RH_tX14XKJ',
    'vNnkLGS79ElPZ_16SE4FcFtXMYFTAIYBKfKDxSZudboYipRgSsAchupdqysx-dUzTI-sWE2GaYFryKMNVZeha3krGnfpQ24W2AmwgIrUFI5FivydPm-S28',
    '_J2k99h9B5mQtp67lzySgB14MbbT49i02VvaQlQY0bnAAHsH14xYFdZnZhh8_6ijygqe2KfHDFRutspw0hespl50BBamJ9PX1udLJDOreQ',
  ].join(''),
  p: [
    '0n-wcpkbYX25Rp8Yd5EkKyQZEltpXP2qncG_mLOD3syM-v8QyUzzzwFAJyZ-hmMmhAEg9hcvNYPZfwKucgwO-E8y6SikTIdNbjZaTmfNqUSX_LXEX1Uwex',
    'Svz2V0U54axDqg55J06TnVBWY8E7niH7RFmHwwLxUgsNfqIt45J10',
  ].join(''),
  q: [
    '0it1KgP58_DB1B4V36YvCxOhWuUAWsYvPNhmeDWQD7m84g2ZkRWV7KUghb239M4aAKZe-T6GUxflgXMjCtqyHjhVxoP1OwV_yMT86Pq8YH5wepRfO35svU',
    'iFCTF80tloXz2E-4eSmvbJehOA3KxtnA-EaG57bKmNFA2DESE1E5k',
  ].join(''),
  dp: [
    'YurIMwIJ4OVgxHQM3lshQPiko4C7YYx-ucWLUKnDJVbARU7JR59WzwcKa5tmR6aeOdgB8kLw11gPQ-UxrrxF6J_nD7QeiSvn0gvOohubhJiMR5_vGNGCh8',
    'Qv3ekSIh0g_OeEJ24mbFbV6MSjJK3sOfPP5JkvV2C5TQEZsKr29q0',
  ].join(''),
  dq: [
    'n6OK12M11OknEWvYyYx9Zzh984DGiCzJbLoi-2QUDR3ULxCNePqgaqPy1COLO1PhxGSa909a0HryRSWjlHcRnIrF_If3GeHPcjzOrljmBZWE8lcJDzO0fQ',
    'I8qwMAAVhKQy2DeVs9LKAP4b42v2fpygSvWnOxJJSVKIoq6DQFEOE',
  ].join(''),
  qi: [
    'D2rqVWY6eGtf15WLi_9IaAm7dCUWhF9o1bsa_-l4LeJwkwBE1Hv8l4CVRrlduuBKtMp9aHaSqdpgRxtk7SJO4WRPSShuHH0rgSubx8k2igNl84a3I_uuXh',
    'TUbcQhV-N7oh0I9Vj2ddqxxMWC3PDR6CP99IzjCF_eiE6b3I_2lpU',
  ].join(''),
};
const p256 = {
  kty: 'EC',
  crv: 'P-256',
  x: 'dNud8CXqr4jndKLwcJLRlpBm4CIvFVX-XyH4JpWSKh4',
  y: 'w-So2qf_onBnw0Igb66ks7ZsLvvxTCzaxC0O2mJ2JN0',
  d: 'ZBQGKG0TndY2VMUIksb-h--x_fUgYg3dH__iZJpBdzw',
};
const p384 = {
  kty: 'EC',
  crv: 'P-384',
  x: 'PiTjHMVi22eXID77nEJclULAtdBJ5St0MRmmXxiQFbuJOGjPc9-FISRfbcIeSpD2',
  y: 'SWX-n6v1PXBMYe7e_1SGfezOW7uge82jmpoWHUDHPlonhGnLf5zMtDl4zHBxl6UY',
  d: '4rPCTif99tAQAzZwaD6sF2fMMlLz2PhVf-ZvPHxMHSgkbrscRvXKo4EKAgJxfrI_',
};
const ed25519 = {
  kty: 'OKP',
  crv: 'Ed25519',
  x: 'QV27opz_YSgs8a0kaASQaCnyOLx_SvZ4kgZIBAMhV9I',
  d: 'ZUxmuOdPYTtwRwlWVqcJOXknkI7JBZoqn7Nm2cfIsAc',
};

const rsassaSignature = [
  '22857de277b1a42365c7848918da890d4691eeea3a5b0c668328dbdc6f7e9b27876ca84102d0bf9fe90f871975b3952c78a627075d182ce1ac904b',
  '3fbdf888623caa2ce50e57cb65b4b2c6b62a460bb5f023f7fd0c7f70936ee18d0a2c32bf10a5da7bf7e7e80e6690deda467dba96bddb3e2cc84fe6',
  'd4fef5934970ee600a5be7b1671e455999529ae78680050f0eb9705f2908af7c877be7b99c206de745ca64008c40d9e24311a175275547494f419b',
  'cd5da951f760ceebcd30415ff7ab821f6d28916b4cd22785a950592266e98cbe12f46282a1da7a4993a69aef4fd6faf578c1521360c2c28786a2d8',
  '83a9eab72492339082a591f771d0411b3ccf3ed5',
].join('');
const pssSignature = [
  'a38e802e2cc25f46377cace740df676317b1da8388dcdb0c7a4a591050a5702ca9060113a6e482bc556549652ff6c00c5b331f2a71b35c4912e657',
  '4b58958562e8bec292aad8e7511fe1c07ba647119fffdaf6b5c1ee4bc08a0c1796bfb597426b37bc9203862bf3091b7151889c7d6ee99702c8bee3',
  'fac8b09ee034102bad6a12a862826c12ab1f1a4fed98bbd8062e8086c681b89cb9fc235c389879894360964aa0d3c3977cdc385da73705d14e52f7',
  '2161a279e8334fa24b26f65d5a2e8536fd67b78def1da54337092d9f2c4d2783cd4a840e62bf9f3c0ce90b6b6b4ebcaaef22c9a3958d936b555853',
  '909469306b9ad8f38a2f5d3fa27d7a65a99ad6c4',
].join('');
const unsaltedSignature = [
  '1eea99ccbd11bb400ee23394ac477296b176d130feafd5bfed6d8cd1d62aa1cab19ebcb83d1b755e56a473dcc7cc425ab14439cd9afe1b748bc523',
  '0d1631fa6daa01b880566d7c5ce558fdad966c6fb8546cd48d3594151a75b5677091649133a84bee8f5db8f38c4461d573242685000d9df481ac08',
  '63e4434d4e59fafee1e717dcd532349b2ce9c27ec467ca309dc829382bd7cf28ba0f9d7d8ae8b1e9629bba85e242c38ee70c49ab8d87dedce7a0f1',
  '0c4b9de8413e0999843894a9d31c896979064039893267007b251b1723ea85ca878ff75251b135e9e50b278c4eb29718cc91288cd9b319e93a990b',
  '0ec47fa0bf49db058bdf189cd72cccb9b6407a1f',
].join('');
const p256Signature = [
  'd6d2fe472e14b4ffa56531f3739a7c0852c9a93107bc24df53355735b63306c19615d0ac4aa9e0f77d97411b7965de7c775b8d23fe80cf49ff475e',
  'b13cbb7a34',
].join('');
const p384Signature = [
  '2b9c6cf4824a69034ce78c29790fcab8c6c3c8e5476d0cd602353ad0da5e22a1498ed5f83a57fc49171733eae5c0317a8a5dffe0c9bcb9ffc54e4b',
  'a654e8431399c0d8dff9fa4d789888dc5df4d78a027045e9527e84edca6ebeca755190deed',
].join('');
const ed25519Signature = [
  '0d1a3c0b5cf3021c33f9f518c242aed7653f1bdcc0a3be6f2ca7f7304f036aabef2e236daecab5cd5cb33ad95fd42ac4471ebc8f7da6c2f76b003b',
  '5b6d70ea0c',
].join('');

/** Hooks that tell the client what `expression` comes to, which the code before it may prepare. */
const told = (code: string, expression: string): string => `async onRequest() {
      const { subtle } = crypto;
      const data = new TextEncoder().encode("pay 10 to bob");
      const hex = (buffer) => new Uint8Array(buffer).toHex();
      const filled = (length, value) => new Uint8Array(length).fill(value);
      const raw = (algorithm, usages, length = 16) => subtle.importKey("raw", filled(length, 7), algorithm, false, usages);
      const refusal = (promise) => promise.then(() => "none", (error) => error.name + " " + error.code);
      ${code}
      return Response.json(${expression});
    }`;

/** One exchange that is answered with JSON of `value`. */
const answer = (value: unknown): Case['exchanges'] => [{ want: { client: { status: 200, body: JSON.stringify(value) } } }];

/** A key pair of JWK `pair` knows the signature of `data` by Node, and no other; what it signs itself it knows too. */
function signature(title: string, pair: object, keyAlgorithm: object, algorithm: object, bySomeoneElse: string, isFixed: boolean): Case {
  const code = `const pair = ${JSON.stringify(pair)};
      const algorithm = ${JSON.stringify(algorithm)};
      const { kty, crv, n, e, x, y } = pair;
      const publicKey = await subtle.importKey("jwk", { kty, crv, n, e, x, y }, ${JSON.stringify(keyAlgorithm)}, false, ["verify"]);
      const privateKey = await subtle.importKey("jwk", pair, ${JSON.stringify(keyAlgorithm)}, false, ["sign"]);
      const made = Uint8Array.fromHex("${bySomeoneElse}");
      const changed = made.with(3, made[3] ^ 1);
      const verify = (bytes, of = data) => subtle.verify(algorithm, publicKey, bytes, of);
      const own = await subtle.sign(algorithm, privateKey, data);`;
  const results =
    '[await verify(made), await verify(changed), await verify(made, data.with(0, 0)), await verify(own), hex(own) === hex(made)]';
  return {
    title: `${title}: the signature of another implementation is known, a changed one is not (F099, W13)`,
    hooks: told(code, results),
    exchanges: answer([true, false, false, true, isFixed]),
  };
}

export const crypto: readonly Case[] = [
  {
    title: 'digests are those of the standard (F098, W13)',
    hooks: told(
      'const hashes = ["SHA-1", "SHA-256", "SHA-384", "SHA-512"];',
      'await Promise.all(hashes.map(async (hash) => hex(await subtle.digest(hash, data))))',
    ),
    exchanges: answer([
      '33a575f6e0026ee5be5da7b979788336017c1d7d',
      'ba0f0e7d12ea2024701f9dfbceb6b3e617c8c67fdcf80b8021fa345fc344d0eb',
      '949b8b54ff6fad895b12abca6760d8a0214e5042b9e61d1fbe6ef791750f04dd0efcb53f6a7eb38db67319e7bc505516',
      [
        'a32b35713167d307f1662b7a8724839616c26134e29cf27a65e4a8194c94dc51',
        '608f8bc578baf882ab7f8edd5441380ce39ec0669d0476648e1f7658ecc1ebc7',
      ].join(''),
    ]),
  },
  {
    title: 'a body is signed on its way up with a key that configure has made (F098, W13)',
    hooks: `async configure() {
      const hmac = { name: "HMAC", hash: "SHA-256" };
      return crypto.subtle.importKey("raw", new Uint8Array(16).fill(7), hmac, false, ["sign"]);
    },
    async onRequest(request, { settings }) {
      const body = await request.bytes();
      request.headers.set("x-signature", new Uint8Array(await crypto.subtle.sign("HMAC", settings, body)).toHex());
    }`,
    exchanges: [1, 2].map(() => ({
      request: { method: 'POST', body: 'pay 10 to bob' },
      want: {
        client: { status: 200 },
        upstream: {
          headers: { 'x-signature': '163aaad19fa33f1a8dd3eda1dcc6ea6717171e848fac7b5798f30bc1dee9bbcf' },
          body: 'pay 10 to bob',
        },
      },
    })),
  },
  signature('RSASSA-PKCS1-v1_5', rsa, { name: 'RSASSA-PKCS1-v1_5', hash: 'SHA-256' }, { name: 'RSASSA-PKCS1-v1_5' }, rsassaSignature, true),
  signature('RSA-PSS', rsa, { name: 'RSA-PSS', hash: 'SHA-256' }, { name: 'RSA-PSS', saltLength: 32 }, pssSignature, false),
  signature('RSA-PSS without salt', rsa, { name: 'RSA-PSS', hash: 'SHA-256' }, { name: 'RSA-PSS', saltLength: 0 }, unsaltedSignature, true),
  signature('ECDSA P-256', p256, { name: 'ECDSA', namedCurve: 'P-256' }, { name: 'ECDSA', hash: 'SHA-256' }, p256Signature, false),
  signature('ECDSA P-384', p384, { name: 'ECDSA', namedCurve: 'P-384' }, { name: 'ECDSA', hash: 'SHA-384' }, p384Signature, false),
  signature('Ed25519', ed25519, { name: 'Ed25519' }, { name: 'Ed25519' }, ed25519Signature, true),
  {
    title: 'AES-GCM and AES-CBC give the same ciphertext everywhere, and the text back (F099, W13, W20)',
    hooks: told(
      `const results = [];
      for (const length of [16, 32]) {
        for (const algorithm of [
          { name: "AES-GCM", iv: filled(12, 1), additionalData: new TextEncoder().encode("to") },
          { name: "AES-CBC", iv: filled(16, 1) },
        ]) {
          const key = await raw(algorithm.name, ["encrypt", "decrypt"], length);
          const made = await subtle.encrypt(algorithm, key, data);
          results.push(hex(made), hex(await subtle.decrypt(algorithm, key, made)) === hex(data));
        }
      }`,
      'results',
    ),
    exchanges: answer([
      ...['d163b5c8bb84d21d4778ca94bb14c60b853753d5cf03dd7bde10f6a36a', true],
      ...['1b73ced900482f48f580b6150e74c7b1', true],
      ...['0680f097a18fcc7abef4be4e12d1e3bf7250da723890b49d1671b30541', true],
      ...['8c848c75eb15478fa07a9cb8220595ca', true],
    ]),
  },
  {
    title: 'HKDF and PBKDF2 derive the same bits everywhere (F099, W20)',
    hooks: told(
      `const hkdf = { name: "HKDF", hash: "SHA-256", salt: filled(16, 1), info: data };
      const pbkdf2 = { name: "PBKDF2", hash: "SHA-512", salt: filled(16, 1), iterations: 1000 };
      const derived = async (algorithm) => hex(await subtle.deriveBits(algorithm, await raw(algorithm.name, ["deriveBits"]), 256));`,
      '[await derived(hkdf), await derived(pbkdf2)]',
    ),
    exchanges: answer([
      '2fd42982ae5f224ec5ba5f7e9a6befe8225935656717f2eecf421084b43e52f7',
      '1bb4050b9db1d7ef60d674cef5c724cd5c8173f8131cd0cb1a1f70662717814b',
    ]),
  },
  {
    title: 'keys are refused for other algorithms and uses, and changed ciphertext is, by the names of the standard (F099, W13)',
    hooks: told(
      `const gcm = { name: "AES-GCM", iv: filled(12, 1) };
      const aes = await raw("AES-GCM", ["encrypt"]);
      const opens = await raw("AES-GCM", ["decrypt"]);
      const hmac = await raw({ name: "HMAC", hash: "SHA-256" }, ["verify"]);`,
      `[
        await refusal(subtle.sign("HMAC", aes, data)),
        await refusal(subtle.sign("HMAC", hmac, data)),
        await refusal(subtle.decrypt(gcm, aes, data)),
        await refusal(subtle.decrypt(gcm, opens, filled(32, 0))),
        await refusal(subtle.exportKey("raw", aes)),
        await refusal(raw("AES-GCM", ["sign"])),
        await refusal(raw("AES-GCM", ["encrypt"], 15)),
        await refusal(subtle.digest("MD5", data)),
        await refusal(subtle.digest("SHA-256", "text")),
        await refusal(subtle.encrypt("AES-GCM", aes, data)),
      ]`,
    ),
    exchanges: answer([
      ...['InvalidAccessError E_CRYPTO_KEY', 'InvalidAccessError E_CRYPTO_KEY', 'InvalidAccessError E_CRYPTO_KEY'],
      ...['OperationError E_CRYPTO_OPERATION', 'InvalidAccessError E_CRYPTO_KEY', 'SyntaxError E_CRYPTO_USAGES'],
      ...['DataError E_CRYPTO_DATA', 'NotSupportedError E_CRYPTO_ALGORITHM', 'TypeError E_ARGUMENT', 'TypeError E_OPTION'],
    ]),
  },
  {
    title: 'a refusal that nobody catches ends the exchange with 500, and its code is logged (F099, F036)',
    hooks: 'onRequest: () => crypto.subtle.digest("MD5", new Uint8Array())',
    exchanges: [{ want: { client: { status: 500 }, upstream: null } }],
    log: ['error E_CRYPTO_ALGORITHM'],
  },
];
