// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// For each npm package of the acceptance list a program, by the list's number; it gives a value for JSON.

import { decode, encode } from '@msgpack/msgpack';
import { blake3 } from '@noble/hashes/blake3.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { parseCookie, stringifySetCookie } from 'cookie';
import { addMonths, differenceInCalendarDays, format } from 'date-fns';
import dayjs from 'dayjs';
import utc from 'dayjs/plugin/utc.js';
import deepmerge from 'deepmerge';
import jsonpatch from 'fast-json-patch';
import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { etag } from 'hono/etag';
import { jwt, sign } from 'hono/jwt';
import { isbot } from 'isbot';
import jmespath from 'jmespath';
import * as jose from 'jose';
import { LRUCache } from 'lru-cache';
import Negotiator from 'negotiator';
import { compile, match } from 'path-to-regexp';
import qs from 'qs';
import { UAParser } from 'ua-parser-js';
import { v4, v5, v7, validate } from 'uuid';

/** What `run` rejects with. */
async function codeOf(run) {
  try {
    await run();
    return 'nothing';
  } catch (error) {
    return error.code;
  }
}

const secret = new TextEncoder().encode('0123456789abcdef0123456789abcdef');

const publicKey = {
  kty: 'EC',
  crv: 'P-256',
  kid: 'known',
  alg: 'ES256',
  x: 'AM9RST7hXh1-Jq80XawQ93rNyzpJq2R-8GZvusHV03w',
  y: '4If_n1Gyw0JE9w8fypios9LhRCEXxmk-DeJ79D9LkkI',
};
const privateKey = { ...publicKey, d: 'y-NZNDWqr9Pf-puSZpEZW1aLjyDEIA5lpL_Yg3giqLA' };
/** What the server of keys that P04 asks must answer. */
export const keySet = { keys: [publicKey] };

/** A framework's application, which also answers a request that passes. */
export const app = new Hono();
app.use(async (context, next) => {
  await next();
  context.header('x-served-by', 'hono');
});
app.get('/live/users/:id', (context) => context.json({ id: context.req.param('id'), q: context.req.query('q') }));
app.post('/live/sum', async (context) => {
  const { a, b } = await context.req.json();
  return context.text(String(a + b), 201);
});
app.post('/live/form', async (context) => context.json(await context.req.parseBody()));
app.get('/live/throws', () => {
  throw new Error('boom');
});
app.onError((error, context) => context.text(error.message, 500));

/** Status, body and some headers of an answer. */
async function told(response, ...names) {
  return [response.status, await response.text(), ...names.map((name) => response.headers.get(name))];
}

export const programs = {
  async P01() {
    const sign = (exp) =>
      new jose.SignJWT({ a: 1 }).setProtectedHeader({ alg: 'HS256' }).setIssuedAt(1700000000).setExpirationTime(exp).sign(secret);
    const token = await sign(4102444800);
    const changed = token.slice(0, -2) + (token.endsWith('AA') ? 'BB' : 'AA');
    const { payload } = await jose.jwtVerify(token, secret);
    return [
      token.split('.')[2],
      payload.a,
      await codeOf(() => jose.jwtVerify(changed, secret)),
      await codeOf(async () => jose.jwtVerify(await sign(1), secret)),
    ];
  },

  async P02() {
    const names = [];
    for (const alg of ['RS256', 'PS256', 'ES256', 'ES384', 'EdDSA']) {
      const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true });
      const jwk = { ...(await jose.exportJWK(publicKey)), kid: alg, alg };
      const token = await new jose.SignJWT({ alg }).setProtectedHeader({ alg, kid: alg }).sign(privateKey);
      const { payload } = await jose.jwtVerify(token, jose.createLocalJWKSet({ keys: [jwk] }));
      names.push(payload.alg);
    }
    return names;
  },

  P03() {
    const token = 'eyJhbGciOiJIUzI1NiJ9.eyJhIjoxLCJpYXQiOjE3MDAwMDAwMDB9.x';
    return [jose.decodeJwt(token).a, jose.decodeProtectedHeader(token).alg];
  },

  async P04({ keys, silent, closed }) {
    const key = await jose.importJWK(privateKey);
    const token = (kid) => new jose.SignJWT({ a: 1 }).setProtectedHeader({ alg: 'ES256', kid }).sign(key);
    const keysOf = (url, timeoutDuration = 10_000) => jose.createRemoteJWKSet(new URL(url), { cooldownDuration: 0, timeoutDuration });
    const [known, unknown] = [await token('known'), await token('unknown')];
    const set = keysOf(keys);
    const verified = await Promise.all(Array.from({ length: 100 }, () => jose.jwtVerify(known, set)));
    return [
      verified.filter(({ payload }) => payload.a === 1).length,
      await codeOf(() => jose.jwtVerify(unknown, set)),
      await codeOf(() => jose.jwtVerify(known, keysOf(silent, 100))),
      (await codeOf(() => jose.jwtVerify(known, keysOf(closed)))) !== 'nothing',
    ];
  },

  P09() {
    const cookies = parseCookie('a=1; b=%20x; a=2; __proto__=z');
    const attributes = { httpOnly: true, maxAge: 60, sameSite: 'lax', path: '/' };
    return [cookies.a, cookies.b, {}.z === undefined, stringifySetCookie('s', 'v 1', attributes)];
  },

  P10() {
    const found = match('/users/:id/*rest')('/users/a%20b/x/y');
    return [found.params.id, found.params.rest, compile('/u/:id')({ id: 'é' }), match('/users/:id')('/a')];
  },

  async P11() {
    const ask = async (path, init) => told(await app.request(`http://a/live${path}`, init), 'x-served-by');
    return [
      await ask('/users/7?q=a%26b'),
      await ask('/sum', { method: 'POST', body: '{"a":2,"b":3}' }),
      await ask('/form', { method: 'POST', body: new URLSearchParams({ x: 'y z' }) }),
      await ask('/nowhere'),
      await ask('/throws'),
    ];
  },

  async P12() {
    const app = new Hono();
    app.use('/api/*', cors({ origin: 'https://site.example', allowMethods: ['GET', 'POST'] }));
    app.use('/tagged', etag());
    app.get('/tagged', (context) => context.text('hi'));
    app.use('/private', jwt({ secret: 'secret', alg: 'HS256' }));
    app.get('/private', (context) => context.json(context.get('jwtPayload')));
    const ask = (path, init) => app.request(`http://a${path}`, init);
    const tagged = await ask('/tagged');
    const tag = tagged.headers.get('etag');
    const preflight = { method: 'OPTIONS', headers: { origin: 'https://site.example', 'access-control-request-method': 'POST' } };
    const token = await sign({ sub: 'ann', exp: 4102444800 }, 'secret', 'HS256');
    return [
      await told(tagged, 'etag'),
      await told(await ask('/tagged', { headers: { 'if-none-match': tag } }), 'etag'),
      await told(await ask('/api/x', preflight), 'access-control-allow-origin', 'access-control-allow-methods'),
      await told(await ask('/private', { headers: { authorization: `Bearer ${token}` } })),
      (await ask('/private')).status,
    ];
  },

  async P13() {
    const cache = new LRUCache({ max: 2, ttl: 60_000 });
    cache.set('a', 1);
    cache.set('b', 2);
    cache.get('a');
    cache.set('c', 3);
    let runs = 0;
    const fetching = new LRUCache({ max: 2, fetchMethod: async () => ++runs });
    await Promise.all([fetching.fetch('k'), fetching.fetch('k')]);
    return [[...cache.keys()].join(), cache.getRemainingTTL('a') > 0, runs];
  },

  P14() {
    const ids = Array.from({ length: 1000 }, () => v4());
    const timed = [v7(), v7(), v7()];
    return [
      ids.every(validate) && timed.every(validate),
      [...timed].sort().join() === timed.join(),
      v5('hello', v5.DNS),
      new Set(ids).size,
    ];
  },

  P18() {
    const day = new Date(2026, 10, 24, 10, 0);
    return [
      format(addMonths(new Date(2026, 0, 31), 1), 'yyyy-MM-dd'),
      differenceInCalendarDays(new Date(2026, 2, 1), new Date(2026, 1, 1)),
      format(day, 'EEE d MMM yyyy HH:mm'),
    ];
  },

  P19() {
    dayjs.extend(utc);
    const late = dayjs.utc('2026-02-28T23:00:00Z');
    return [late.add(2, 'hour').format('YYYY-MM-DD HH:mm'), late.diff(late.add(1, 'day'), 'day')];
  },

  P23() {
    const { os, browser, device } = UAParser(
      'Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Mobile/15E148 Safari/604.1',
    );
    return [os.name, os.version, browser.name, device.type];
  },

  P24() {
    const agents = [
      'Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)',
      'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
      'curl/8.5.0',
    ];
    return agents.map((agent) => isbot(agent));
  },

  P25() {
    const parsed = qs.parse('a[b][]=1&a[b][]=2&c=%F0%9F%98%80&__proto__[x]=1');
    return [parsed, {}.x === undefined, decodeURI(qs.stringify({ a: { b: ['1', '2'] } }))];
  },

  P27() {
    const of = (headers) => new Negotiator({ headers });
    return [
      of({ accept: 'text/html;q=0.8, application/json, */*;q=0.1' }).mediaTypes(['text/html', 'application/json']).join(', '),
      of({ 'accept-language': 'de-CH, en;q=0.7' }).languages(['en', 'de'])[0],
      of({ 'accept-encoding': 'gzip, br;q=0.9' }).encodings(['br', 'gzip']).join(', '),
    ];
  },

  P28() {
    const value = { a: [1, -1, 2 ** 40], s: 'é', u: new Uint8Array([1, 2]), n: null };
    const bytes = encode(value);
    const back = decode(bytes);
    return [bytes.length, { ...back, u: [...back.u] }];
  },

  P30() {
    const data = { a: [{ n: 1, on: true }, { n: 2 }, { n: 3, on: true }] };
    return jmespath.search(data, '{ids: a[?on].n, max: max_by(a, &n).n}');
  },

  P31() {
    const from = { x: 1, l: [1, 2] };
    const to = { x: 2, l: [1] };
    const patch = jsonpatch.compare(from, to);
    return [patch, jsonpatch.applyPatch(from, patch).newDocument];
  },

  P35() {
    return [
      bytesToHex(sha256(utf8ToBytes('abc'))),
      bytesToHex(hmac(sha256, utf8ToBytes('k'), utf8ToBytes('abc'))),
      bytesToHex(blake3(utf8ToBytes('abc'))),
    ];
  },

  P38() {
    const merged = deepmerge({ a: { b: 1, l: [1] } }, JSON.parse('{"a":{"c":2,"l":[2]},"__proto__":{"x":1}}'));
    return [merged.a, {}.x === undefined];
  },
};
