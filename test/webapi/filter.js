// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Answers /url and /encoding with what came of the cases in the file of that name.

import { defineFilter } from 'fairlead';
import { Checks } from './checks.js';
import { encoding } from './encoding.js';
import { url } from './url.js';

const files = { encoding, url };

export default defineFilter({
  onRequest(request) {
    const checks = new Checks();
    for (const [title, run] of Object.entries(files[request.path.slice(1)])) {
      const before = checks.failures.length;
      run(checks);
      for (let i = before; i < checks.failures.length; i++) checks.failures[i] = `${title}: ${checks.failures[i]}`;
    }
    return Response.json(checks);
  },
});
