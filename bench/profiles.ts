// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { HeaderPair } from '../test/harness.ts';

/** What a request met: all that a client and an upstream can see of the work of a filter. */
export interface Seen {
  readonly status: number;
  readonly responseHeaders: readonly HeaderPair[];
  readonly body: string;
  /** Header list at the upstream; nothing when the request did not get there. */
  readonly upstreamHeaders: readonly HeaderPair[] | null;
  /** Method, host and path of each call to the cluster `ask`. */
  readonly asked: readonly string[];
}

/** A piece of work that every variant does, each in its own language. */
export interface Profile {
  readonly title: string;
  /** The same as a script for Envoy's Lua filter. The C++ is in native.cc, the TypeScript in filters/. */
  readonly lua: string;
  /** What must be seen, from what is seen of the same request without a filter. */
  readonly expected: (plain: Seen, request: ReadonlyMap<string, string>) => Seen;
}

const luaRequest = `
function envoy_on_request(handle)
  local headers = handle:headers()
  local user = headers:get("x-user") or "nobody"
  local site = headers:get("x-site") or "none"
  local plan = headers:get("x-plan")
  headers:replace("x-who", user)
  headers:replace("x-pool", plan == "gold" and "first" or site)
  headers:remove("x-secret")
end
`;

/** Puts fields in the place of those of the same name; `null` only removes. */
function change(pairs: readonly HeaderPair[], changes: Readonly<Record<string, string | null>>): HeaderPair[] {
  const kept = pairs.filter(([name]) => !(name in changes));
  for (const [name, value] of Object.entries(changes)) if (value !== null) kept.push([name, value]);
  return kept;
}

function changedRequest(plain: Seen, request: ReadonlyMap<string, string>): Seen {
  const pool = request.get('x-plan') === 'gold' ? 'first' : (request.get('x-site') ?? 'none');
  const changes = { 'x-who': request.get('x-user') ?? 'nobody', 'x-pool': pool, 'x-secret': null };
  return { ...plain, upstreamHeaders: plain.upstreamHeaders && change(plain.upstreamHeaders, changes) };
}

export const profiles = {
  p0: {
    title: 'no-op hook',
    lua: 'function envoy_on_request(handle) end\n',
    expected: (plain) => plain,
  },
  p1: {
    title: 'read 3 headers, set 2, remove 1',
    lua: luaRequest,
    expected: changedRequest,
  },
  p2: {
    title: 'p1 + read 1, set 1 on the response',
    lua: `${luaRequest}
function envoy_on_response(handle)
  local headers = handle:headers()
  headers:replace("x-kind", headers:get("content-type") or "none")
end
`,
    expected: (plain, request) => {
      const kind = plain.responseHeaders.find(([name]) => name === 'content-type')?.[1] ?? 'none';
      return { ...changedRequest(plain, request), responseHeaders: change(plain.responseHeaders, { 'x-kind': kind }) };
    },
  },
  p4: {
    title: 'answer 403 with a body',
    lua: `
function envoy_on_request(handle)
  handle:respond({ [":status"] = "403", ["content-type"] = "text/plain;charset=UTF-8" }, "no entry\\n")
end
`,
    expected: (plain) => ({
      status: 403,
      responseHeaders: change(plain.responseHeaders, { 'content-length': '9', 'content-type': 'text/plain;charset=UTF-8' }),
      body: 'no entry\n',
      upstreamHeaders: null,
      asked: [],
    }),
  },
  p5: {
    title: 'ask a cluster, then go on',
    lua: `
function envoy_on_request(handle)
  local headers = handle:httpCall("ask", { [":method"] = "GET", [":path"] = "/check", [":authority"] = "ask" }, nil, 5000)
  if headers[":status"] ~= "200" then
    handle:respond({ [":status"] = "403", ["content-type"] = "text/plain;charset=UTF-8" }, "no entry\\n")
  end
end
`,
    expected: (plain) => ({ ...plain, asked: ['GET ask /check'] }),
  },
} as const satisfies Record<string, Profile>;

export type ProfileName = keyof typeof profiles;

export const profileNames = Object.keys(profiles) as ProfileName[];
