// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Answers with the surface of its world, seen from the hook in which most can be reached.

import * as fairlead from 'fairlead';
import { surface } from './surface.js';

const metrics = { 'a Counter': fairlead.counter('a'), 'a Gauge': fairlead.gauge('b'), 'a Histogram': fairlead.histogram('c') };

export default fairlead.defineFilter({
  configure: (config, env) => ({ env }),

  onResponse(response, ctx) {
    const headers = new Headers([['a', 'b']]);
    const params = new URLSearchParams('a=b');
    const form = new FormData();
    return Response.json(
      surface({
        fairlead,
        shared: fairlead.shared,
        ...metrics,
        response,
        request: ctx.request,
        ctx,
        env: ctx.settings.env,
        state: ctx.state,
        config: ctx.config,
        'ctx.signal': ctx.signal,
        'ctx.attributes': ctx.attributes,
        'ctx.connection': ctx.connection,
        'ctx.metadata': ctx.metadata,
        'ctx.filterState': ctx.filterState,
        'ctx.route': ctx.route,
        'ctx.cluster': ctx.cluster,
        'ctx.runtime': ctx.runtime,
        'ctx.secrets': ctx.secrets,
        'a Secret': ctx.secrets.get('a'),
        'ctx.span': ctx.span,
        'crypto.subtle': crypto.subtle,
        'request.headers': ctx.request.headers,
        'response.headers': response.headers,
        'Headers.keys()': headers.keys(),
        'Headers.values()': headers.values(),
        'Headers.entries()': headers.entries(),
        'URLSearchParams.keys()': params.keys(),
        'URLSearchParams.values()': params.values(),
        'URLSearchParams.entries()': params.entries(),
        'FormData.keys()': form.keys(),
        'FormData.values()': form.values(),
        'FormData.entries()': form.entries(),
        '%IteratorPrototype%': Object.getPrototypeOf(Object.getPrototypeOf([].values())),
      }),
    );
  },
});
