// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Answers /url, /encoding and so on with what came of the cases in the file of that name.

import { defineFilter } from 'fairlead';
import { Checks } from './checks.js';
import { clone } from './clone.js';
import { crypto_ } from './crypto.js';
import { encoding } from './encoding.js';
import { url } from './url.js';

const files = { clone, crypto: crypto_, encoding, url };

export default defineFilter({
  async onRequest(request) {
    const checks = new Checks();
    for (const [title, run] of Object.entries(files[request.path.slice(1)])) {
      const before = checks.failures.length;
      await run(checks);
      for (let i = before; i < checks.failures.length; i++) checks.failures[i] = `${title}: ${checks.failures[i]}`;
    }
    return Response.json(checks);
  },
});
