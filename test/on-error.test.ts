// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Every way a script can fail, in either hook, under either mode of `on_error`: what the client gets, what the
// upstream saw, what the operator reads. The table of docs/design.md is what is measured here.

import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  fairlead,
  grpcFrame,
  patternBytes,
  request,
  request2,
  startEnvoy,
  startUpstream,
  waitFor,
  type Answer,
  type Envoy,
  type Handler,
  type HeaderList,
  type HeaderPair,
  type JsonObject,
  type Received,
  type TrafficOptions,
  type Upstream,
} from './harness.ts';

const hooks = ['onRequest', 'onResponse'] as const;
const modes = ['closed', 'open'] as const;
type Hook = (typeof hooks)[number];
type Mode = (typeof modes)[number];

/** How a hook fails; `load` is a configure() that fails on the worker alone, for it fails before any hook runs. */
interface Cause {
  statement: string;
  /** What one failing configure() more makes of the script. */
  configure?: string;
  limits?: JsonObject;
}

const roomy = { cpu_ms: 2_000, stream_cpu_ms: 20_000 };

const causes: Record<string, Cause> = {
  throw: { statement: 'throw new Error("made to fail");' },
  stack: { statement: 'const again = () => again() + 1; again();', limits: { ...roomy, stack_kb: 64 } },
  cpu: {
    // The engine places a stop inside a loop at what precedes the loop.
    statement: 'Math.random(); for (;;);',
    limits: { cpu_ms: 20 },
  },
  memory: {
    statement: 'const all = []; for (;;) all.push(new ArrayBuffer(65_536));',
    limits: { ...roomy, memory_mb: 4 },
  },
  wait: { statement: 'return new Promise(() => {});', limits: { wait_ms: 50 } },
  load: {
    statement: '',
    // The first configure() of a runtime is that of the listener that never fails.
    configure: 'configure(config) { if (calls++ === 0 || calls > config.fails + 1) return;\nthrow new Error("no"); /* fails */ },',
  },
};

/** Causes whose statement can also come after an `await`, when Envoy holds the message and its body has been taken. */
const laterCauses = ['throw', 'stack', 'cpu', 'memory'];

/** A script whose `hook` changes all it can, the body where it awaits, and then fails, for the path `/fail`; nothing follows in open mode. */
function script(hook: Hook, { statement, configure = '' }: Cause, awaits: boolean): string {
  const changes =
    hook === 'onRequest'
      ? 'message.path = "/changed"; message.method = "PUT"; message.host = "changed.example";'
      : 'message.status = 203;';
  const after = hook === 'onRequest' ? 'onResponse(response) { response.headers.set("x-hook", "ran"); },' : '';
  return `import { sleep } from "fairlead"; let calls = 0;
export default { ${configure}
  ${awaits ? 'async ' : ''}${hook}(message, ctx) { /* hook */
    message.headers.set("x-hook", "ran");
    if (!ctx.request.path.startsWith("/fail")) return;
    message.headers.delete("x-deleted");
    message.headers.set("x-set", "changed");
    message.headers.append("x-twice", "three");
    message.headers.set("x-added", "added");
    ${changes}
    ${awaits ? 'await message.bytes(); message.setBody("changed"); await sleep(1);' : ''}
    ${statement} ${configure === '' ? '/* fails */' : ''}
  },
  ${after}
};`;
}

const lines: HeaderPair[] = [
  ['x-deleted', 'back'],
  ['x-set', 'as it came'],
  ['x-twice', 'two'],
  ['x-twice', 'one'],
  ['x-twice', 'two'],
];
/** Names the request in the access log, whatever the script makes of its path. */
const named = (name: string): HeaderPair => ['x-case', name];
const body = patternBytes(100_000);
const answerBody = patternBytes(120_000, 2);

const answering: Handler = async (exchange) => {
  await exchange.whole;
  exchange.respond(201, [...lines, ['set-cookie', 'a=1'], ['set-cookie', 'b=2']], answerBody);
};

/** What differs from one exchange to the next, whoever is in between. */
const perExchange = new Set(['x-request-id', 'x-envoy-upstream-service-time', 'date', 'host']);

/** Values by name: a write that is undone may move the name among the others, never a value among its own. */
function byName(headers: HeaderList): Record<string, string[]> {
  const names = [...new Set(headers.pairs.map(([name]) => name.toLowerCase()))];
  return Object.fromEntries(
    names
      .filter((name) => !perExchange.has(name))
      .sort()
      .map((name) => [name, headers.all(name)]),
  );
}

const requestAsSeen = (seen: Received): unknown => ({
  method: seen.method,
  path: seen.path,
  host: seen.headers.all('host').map((host) => host.replace(/:\d+$/, '')),
  headers: byName(seen.headers),
  body: [seen.end, seen.bodyLength, seen.bodySha256],
});
const answerAsSeen = (answer: Answer): unknown => ({
  status: answer.status,
  headers: byName(answer.headers),
  body: answer.body.equals(answerBody),
});

const failing = async (port: number): Promise<Answer> =>
  await request({ port }, '/fail', { body, headers: [...lines, named('fail'), ['host', `shop.example:${port}`]] });

/** One failure of one filter, seen from all sides. */
interface Outcome {
  client: string;
  grpc: string;
  upstream: string;
  details: string;
  log: string;
}

/** The measured ones by `cause`, hook and mode; `later` ones fail after an await. */
const outcomes = new Map<string, Outcome>();
const key = (cause: string, hook: Hook, mode: Mode, awaits = false): string =>
  [cause, hook, mode, ...(awaits ? ['later'] : [])].join('-');

interface Cell {
  cause: string;
  hook: Hook;
  mode: Mode;
  awaits: boolean;
}
const cells: Cell[] = hooks.flatMap((hook) =>
  modes.flatMap((mode) => [
    ...Object.keys(causes).map((cause) => ({ cause, hook, mode, awaits: false })),
    ...laterCauses.map((cause) => ({ cause, hook, mode, awaits: true })),
  ]),
);

/** In closed mode a gRPC client is told too; it comes second. */
const asksGrpc = ({ mode, awaits }: Cell): boolean => mode === 'closed' && !awaits;

/** The listeners of a cell. A filter name of its own gives it a runtime and log lines of its own. */
function listenersOf(cell: Cell): Record<string, TrafficOptions> {
  const { cause, hook, mode, awaits } = cell;
  const name = key(cause, hook, mode, awaits);
  const recipe = causes[cause] ?? { statement: '' };
  const filter = (fails: number): TrafficOptions => ({
    filters: [
      fairlead(
        {
          inline: script(hook, recipe, awaits),
          limits: recipe.limits ?? roomy,
          on_error: { mode },
          config: { fails },
        },
        name,
      ),
    ],
    clusters: { upstream },
    accessLog: `${name} %REQ(X-CASE)% %RESPONSE_CODE_DETAILS%`,
  });
  return {
    [name]: filter(asksGrpc(cell) ? 2 : 1),
    ...(cause === 'load' ? { [`${name}-first`]: filter(0) } : {}),
  };
}

let upstream: Upstream;
let envoy: Envoy;
let plain: { request: unknown; answer: unknown };

beforeAll(async () => {
  upstream = await startUpstream({ handler: answering });
  const listeners = Object.assign({}, ...cells.map(listenersOf)) as Record<string, TrafficOptions>;
  envoy = await startEnvoy({ clusters: { upstream }, listeners });
  const answer = await failing(envoy.port);
  plain = { request: requestAsSeen(await upstream.arrived(1)), answer: answerAsSeen(answer) };
});
afterAll(async () => {
  await envoy.stop();
  await upstream.close();
});

const told = (seen: unknown): string => `something else: ${JSON.stringify(seen)}`;

function clientOutcome(answer: Answer): string {
  const seen = answerAsSeen(answer);
  if (JSON.stringify(seen) === JSON.stringify(plain.answer)) return 'the answer as it came';
  const own = answer.headers.pairs.map(([name]) => name).filter((name) => name.startsWith('x-') && !perExchange.has(name));
  return answer.body.length === 0 && own.length === 0 ? `${answer.status}, no body` : told(seen);
}

function upstreamOutcome(seen: readonly Received[]): string {
  const [first, ...more] = seen;
  if (first === undefined) return 'nothing';
  const asSeen = requestAsSeen(first);
  return more.length === 0 && JSON.stringify(asSeen) === JSON.stringify(plain.request)
    ? 'the request as it came'
    : told(seen.map(requestAsSeen));
}

async function grpcOutcome(port: number): Promise<string> {
  const answer = await request2({ port }, '/fail.Service/Call', {
    method: 'POST',
    headers: [['content-type', 'application/grpc'], ['te', 'trailers']],
    body: grpcFrame(Buffer.of()),
  });
  const status = `${answer.status}, \`grpc-status\` ${answer.headers.get('grpc-status')}`;
  return answer.body.length === 0 ? status : `${status}, and the upstream's body`;
}

/** Number of the line of `source` with `/* mark *​/`, from 1. */
const lineOf = (source: string, mark: string): number =>
  source.split('\n').findIndex((line) => line.includes(`/* ${mark} */`)) + 1;

async function measure(cell: Cell): Promise<Outcome> {
  const { cause, hook, mode, awaits } = cell;
  const name = key(cause, hook, mode, awaits);
  const port = envoy.portOf(name);
  if (cause === 'load') await request({ port: envoy.portOf(`${name}-first`) }, '/first');
  const before = upstream.requests.length;
  const answer = await failing(port);
  // A whole answer in open mode means that the upstream has had the whole request.
  const seen = upstream.requests.slice(before);
  const grpc = asksGrpc(cell) ? await grpcOutcome(port) : '';

  // The worker goes on, and so does the script.
  const served = await request({ port }, '/next', { headers: [named('next')] });
  expect([served.status, served.headers.get('x-hook')]).toEqual([201, 'ran']);

  const failed = await waitFor('the access log', async () => {
    const all = await envoy.accessLog(0);
    return all.some((line) => line.startsWith(`${name} next `)) && all.find((line) => line.startsWith(`${name} fail `));
  });
  const failures = asksGrpc(cell) ? 2 : 1;
  const faults = await waitFor('the log', () => {
    const own = envoy.log.faults().filter(({ filterName }) => filterName === name);
    return own.length >= failures && own;
  });
  expect(faults).toHaveLength(failures);
  expect(new Set(faults.map(({ code, line, column }) => `${code} ${line} ${column}`)).size).toBe(1);
  const [fault] = faults;
  const source = script(hook, causes[cause] ?? { statement: '' }, awaits);
  const places = { 'where it stopped': lineOf(source, 'fails'), 'the hook': lineOf(source, 'hook') };
  const place = Object.entries(places).find(([, line]) => line === fault?.line && (fault.column ?? 0) > 0);
  return {
    client: clientOutcome(answer),
    grpc,
    upstream: upstreamOutcome(seen),
    details: failed.replace(/^.* /, ''),
    log: `\`${fault?.code}\`, ${place?.[0] ?? told(fault)}`,
  };
}

describe('a script that fails', () => {
  test.each(cells.filter(({ mode }) => mode === 'open'))(
    'lets the exchange go on exactly as it came in open mode: $cause in $hook, awaits: $awaits (F073)',
    async (cell) => {
      const outcome = await measure(cell);
      outcomes.set(key(cell.cause, cell.hook, cell.mode, cell.awaits), outcome);
      expect(outcome).toMatchObject({
        client: 'the answer as it came',
        upstream: 'the request as it came',
        details: 'via_upstream',
      });
    },
  );

  test.each(cells.filter(({ mode }) => mode === 'closed'))(
    'is answered in closed mode: $cause in $hook, awaits: $awaits (F073, F023)',
    async (cell) => {
      const outcome = await measure(cell);
      outcomes.set(key(cell.cause, cell.hook, cell.mode, cell.awaits), outcome);
      expect(outcome).toMatchObject({
        client: cell.cause === 'wait' ? '504, no body' : '500, no body',
        upstream: cell.hook === 'onRequest' ? 'nothing' : 'the request as it came',
        details: `fairlead_${cell.cause}`,
      });
    },
  );

  test('has the same outcome after an await as before it (F073)', () => {
    for (const { cause, hook, mode } of cells.filter(({ awaits }) => awaits)) {
      const before = outcomes.get(key(cause, hook, mode));
      // An async function whose heap is full cannot say where it was.
      const log = cause === 'memory' ? '`E_MEMORY_LIMIT`, the hook' : before?.log;
      expect([cause, outcomes.get(key(cause, hook, mode, true))]).toEqual([cause, { ...before, grpc: '', log }]);
    }
  });

  test('has the outcome that the table in docs/design.md says (F073)', async () => {
    const rows = Object.keys(causes).flatMap((cause) =>
      hooks.map((hook) => {
        const [closed, open] = modes.map((mode) => outcomes.get(key(cause, hook, mode)));
        return [
          ...[cause, `\`${hook}\``, closed?.client, closed?.grpc, closed?.upstream, `\`${closed?.details}\``],
          ...[open?.client, open?.upstream, closed?.log === open?.log ? closed?.log : told([closed?.log, open?.log])],
        ];
      }),
    );
    const head = [
      ...['cause', 'hook', 'closed: client', 'closed: gRPC client', 'closed: upstream', 'closed: response code details'],
      ...['open: client', 'open: upstream', 'log line: code and place'],
    ];
    const table = [head, head.map(() => '---'), ...rows].map((cellsOfRow) => `| ${cellsOfRow.join(' | ')} |`).join('\n');
    const design = await readFile(new URL('../docs/design.md', import.meta.url), 'utf8');
    const [, committed] = /<!-- measured by test\/on-error\.test\.ts -->\n([^]*?)\n<!-- end -->/.exec(design) ?? [];
    expect(committed).toBe(table);
  });
});
