// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Answers /P01 and so on with what the program of that number gives, and /live/ with an application of hono.

import { defineFilter } from 'fairlead';
import { app, programs } from './programs.js';

const servers = { keys: 'http://keys/', silent: 'http://silent/', closed: 'http://closed/' };

export default defineFilter({
  async onRequest(request) {
    if (request.path.startsWith('/live/')) return app.fetch(request);
    return Response.json(await programs[request.path.slice(1)](servers));
  },
});
