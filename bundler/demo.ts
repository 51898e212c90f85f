// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// A few requests through a filter, and what it did to them: seen from outside, by comparing both sides of Envoy.

import type { Echo, SeenExchange } from './echo.ts';
import { type Answer, exchange, type HeaderLines, type RequestToSend } from './exchange.ts';

const host = 'shop.example.com';
const authorization = 'Bearer demo-token';

/** What `start` sends. */
export const demoRequests: readonly RequestToSend[] = [
  { method: 'GET', path: '/hello', headers: { host } },
  { method: 'GET', path: '/hello?name=Ada', headers: { host, authorization } },
  {
    method: 'POST',
    path: '/orders',
    headers: { host, authorization, 'content-type': 'application/json' },
    body: '{"item":"lead","count":2}',
  },
];

/** Lines that belong to one connection, or that Envoy adds to every request. */
const notOfTheFilter = new Set(['connection', 'keep-alive', 'transfer-encoding', 'x-forwarded-proto']);

const shownBodyLength = 400;

/** Sends a request through Envoy on `port`. Gives the story of it, with a line end. */
export async function demonstrate(
  request: RequestToSend,
  port: number,
  upstream: Echo,
  clusters: ReadonlyMap<string, Echo>,
): Promise<string> {
  for (const echo of [upstream, ...clusters.values()]) echo.seen.length = 0;
  const answer = await exchange(port, request);
  const calls = [...clusters].flatMap(([name, { seen }]) =>
    seen.map(({ method, path, answer: { status } }) => `called ${name}: ${method} ${path} → ${status}`),
  );
  const [reached] = upstream.seen;
  const there = reached ? changesOfRequest(request, reached) : ['did not pass it on: the upstream saw nothing'];
  const back = reached ? changesOfAnswer(reached.answer, answer) : [];
  const story = [
    section('client sent', [...requestLines(request), ...bodyLines(request.body ?? '')]),
    section('filter, request', [...calls, ...(there.length > 0 ? there : ['changed nothing'])]),
    ...(reached ? [section('filter, response', back.length > 0 ? back : ['changed nothing'])] : []),
    section('client got', [String(answer.status), ...fieldLines(answer.headers), ...bodyLines(answer.body)]),
  ];
  return `${request.method} ${request.path}\n${story.join('')}`;
}

function section(title: string, lines: readonly string[]): string {
  return lines.map((line, at) => `  ${(at === 0 ? title : '').padEnd(18)}${line}\n`).join('');
}

function requestLines({ method, path, headers }: RequestToSend): string[] {
  return [`${method} ${path}`, ...fieldLines(Object.entries(headers))];
}

function fieldLines(headers: HeaderLines): string[] {
  return headers.filter(([name]) => !notOfTheFilter.has(name)).map(([name, value]) => `${name}: ${value}`);
}

function bodyLines(body: string): string[] {
  if (body === '') return [];
  const shown = body.length > shownBodyLength ? `${body.slice(0, shownBodyLength)}… (${body.length} characters)` : body;
  return shown.trimEnd().split('\n');
}

function changesOfRequest(sent: RequestToSend, seen: SeenExchange): string[] {
  const before: HeaderLines = [
    ['(method)', sent.method],
    ['(path)', sent.path],
    ...(sent.body === undefined ? [] : [['content-length', String(Buffer.byteLength(sent.body))] as const]),
    ...Object.entries(sent.headers),
  ];
  return differences(before, [['(method)', seen.method], ['(path)', seen.path], ...seen.headers]);
}

function changesOfAnswer(given: SeenExchange['answer'], got: Answer): string[] {
  return differences(
    [['(status)', String(given.status)], ...given.headers],
    [['(status)', String(got.status)], ...got.headers],
  );
}

/** What was added, removed and changed, one line each; names in brackets are not headers. */
export function differences(before: HeaderLines, after: HeaderLines): string[] {
  const [old, fresh] = [byName(before), byName(after)];
  const names = [...new Set([...old.keys(), ...fresh.keys()])].filter((name) => !notOfTheFilter.has(name));
  return names.flatMap((name) => {
    const [was, is] = [old.get(name), fresh.get(name)];
    if (was === is) return [];
    if (was === undefined) return [`+ ${name}: ${is}`];
    if (is === undefined) return [`- ${name}: ${was}`];
    return [`~ ${name}: ${was} → ${is}`];
  });
}

function byName(lines: HeaderLines): Map<string, string> {
  const values = new Map<string, string>();
  for (const [name, value] of lines) {
    const earlier = values.get(name);
    values.set(name, earlier === undefined ? value : `${earlier} | ${value}`);
  }
  return values;
}
