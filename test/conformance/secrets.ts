// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { Case } from './case.ts';

export const secrets: readonly Case[] = [
  {
    title: 'a secret is text or bytes where it is asked for, and a mask everywhere else (F052, F085)',
    hooks: `onRequest(request, ctx) {
      const secret = ctx.secrets.get("api-key");
      console.log(secret, [secret], { secret }); console.info("%s %o", secret, secret); console.dir(secret);
      request.headers.set("x-text", secret.text());
      request.headers.set("x-bytes", secret.bytes().join());
      request.headers.set("x-masks", JSON.stringify([String(secret), "" + secret, { secret }, Object.keys(secret)]));
      try { ctx.secrets.get("api_key"); } catch (error) { request.headers.set("x-error", error.code + " " + error.message); }
    }`,
    more: { secrets: { 'api-key': { inline: 'häh' }, other: { inline: 'x' } } },
    exchanges: [
      {
        want: {
          client: { status: 200 },
          upstream: {
            headers: {
              'x-text': 'h\u00e4h',
              'x-bytes': '104,195,164,104',
              'x-masks': '["[secret api-key]","[secret api-key]",{"secret":"[secret api-key]"},[]]',
              'x-error': "E_SECRET Secrets.get: api_key is not among the secrets of this filter's config (api-key, other)",
            },
          },
        },
      },
    ],
    log: ['info Secret {} [ Secret {} ] { secret: Secret {} }', 'info Secret {} Secret {}', 'info Secret {}'],
  },
];
