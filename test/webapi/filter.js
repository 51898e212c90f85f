// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Answers /url, /encoding and so on with what came of the cases in the file of that name.

import { defineFilter } from 'fairlead';
import { runAll } from './checks.js';
import { clone } from './clone.js';
import { crypto_ } from './crypto.js';
import { encoding } from './encoding.js';
import { streams } from './streams.js';
import { url } from './url.js';

const files = { clone, crypto: crypto_, encoding, streams, url };

export default defineFilter({
  async onRequest(request) {
    return Response.json(await runAll(files[request.path.slice(1)]));
  },
});
