// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What a script keeps of a stream, or does to its objects, in a real Envoy: no later stream sees it.

import { afterAll, beforeAll, expect, test } from 'vitest';
import { fairlead, request, startUpstream, withEnvoy, type Answer, type Echo, type Envoy, type Upstream } from './harness.ts';

let upstream: Upstream;
beforeAll(async () => {
  upstream = await startUpstream();
});
afterAll(async () => {
  await upstream.close();
});

async function withFilter<T>(source: string, use: (envoy: Envoy) => Promise<T>): Promise<T> {
  return await withEnvoy({ filters: [fairlead({ inline: source })], clusters: { upstream } }, use);
}

/** As many streams as wait for reuse, at once, and then one alone. */
async function passStreams(envoy: Envoy, path: string): Promise<Answer[]> {
  const together = await Promise.all(Array.from({ length: 16 }, async () => await request(envoy, path)));
  return [...together, await request(envoy, path)];
}

/** Ways to keep an object: each gives a function that gets it back. */
const ways: Record<string, string> = {
  'a variable': '(object) => () => object',
  'a container': '(object) => { const map = new Map([[object, 1]]); return () => [...map.keys()][0]; }',
  'a private field': '(object) => { class Holder { #object = object; get = () => this.#object; } return new Holder().get; }',
  'its heir': '(object) => { const heir = Object.create(object); return () => Object.getPrototypeOf(heir); }',
  'a bound function': '(object) => (function () { return this; }).bind(object)',
  arguments: '(object) => (function () { return () => arguments[0]; })(object)',
  'a proxy': '(object) => { const proxy = new Proxy({}, { get: () => object }); return () => proxy.any; }',
  'the cause of an error': '(object) => { const error = new Error("", { cause: object }); return () => error.cause; }',
  'a generator': '(object) => { const all = (function* () { for (;;) yield object; })(); return () => all.next().value; }',
  'an async generator':
    '(object) => { let get; (async function* () { get = () => object; yield 1; yield object; })().next(); return () => get(); }',
  'a promise that never settles':
    '(object) => { let get; (async () => { get = () => object; await new Promise(() => {}); return object; })(); return () => get(); }',
  'a promise that has settled':
    '(object) => { let kept; Promise.resolve(object).then((value) => { kept = value; }); return () => kept; }',
};

/** Everything that can be asked of each kind of object. */
const uses = `{
  request: {
    ...gets("method", "url", "path", "host", "scheme", "headers", "redirect", "signal", "bodyUsed"),
    ...calls("clone", "text", "json", "bytes", "arrayBuffer"), ...sets("method", "path", "host", "scheme"),
    asInit: (kept) => new Request("http://a/", kept), copy: (kept) => new Request(kept), fetched: (kept) => fetch(kept),
  },
  response: {
    ...gets("status", "ok", "statusText", "headers", "redirected", "type", "url", "bodyUsed"),
    ...calls("clone", "text", "json", "bytes", "arrayBuffer"),
    setStatus: (kept) => { kept.status = 599; },
    asInit: (kept) => new Response("", kept),
  },
  headers: {
    ...calls("getSetCookie", "keys", "values", "entries"),
    get: (kept) => kept.get("x-own"), has: (kept) => kept.has("x-own"), delete: (kept) => kept.delete("x-own"),
    set: (kept) => kept.set("x-own", "foreign"), append: (kept) => kept.append("x-own", "foreign"),
    forEach: (kept) => kept.forEach(() => {}), spread: (kept) => [...kept], copy: (kept) => new Headers(kept),
    asInit: (kept) => new Response("", { headers: kept }),
  },
  ctx: { ...gets("request", "response", "state", "config", "settings", "signal"), ...sets("state") },
  iterator: { ...calls("next"), spread: (kept) => [...kept] },
}`;

const keeping = `
  const gets = (...names) => Object.fromEntries(names.map((name) => ["get " + name, (kept) => kept[name]]));
  const sets = (...names) => Object.fromEntries(names.map((name) => ["set " + name, (kept) => { kept[name] = "foreign"; }]));
  const calls = (...names) => Object.fromEntries(names.map((name) => [name + "()", (kept) => kept[name]()]));
  const ways = {${Object.entries(ways).map(([name, code]) => `${JSON.stringify(name)}: ${code},`).join('')}};
  const uses = ${uses};
  let kept = [];
  let way;
  const keep = (hook, objects) => {
    for (const [kind, object] of objects) kept.push([kind, hook + " " + kind, ways[way](object)]);
  };
  const ofMessage = (kind, message, ctx) => {
    const started = message.headers.entries();
    started.next();
    return [[kind, message], ["ctx", ctx], ["headers", message.headers], ["iterator", message.headers.keys()], ["iterator", started]];
  };
  const isKept = (ctx) => ctx.request.path === "/keep";
  export default {
    async onRequest(request, ctx) {
      if (isKept(ctx)) {
        kept = [];
        way = request.headers.get("x-way");
        keep("onRequest", ofMessage("request", request, ctx));
      }
      if (request.path !== "/use") return;
      const wrong = [];
      let used = 0;
      for (const [kind, name, get] of kept) {
        for (const [use, run] of Object.entries(uses[kind])) {
          used++;
          let seen = "no error";
          try { await run(get()); } catch (error) { seen = error.code ?? error.name; }
          if (seen !== "E_DEAD_HANDLE") wrong.push(name + " " + use + ": " + seen);
        }
      }
      request.headers.set("x-wrong", JSON.stringify(wrong));
      request.headers.set("x-used", String(used));
    },
    onResponse(response, ctx) { if (isKept(ctx)) keep("onResponse", ofMessage("response", response, ctx)); },
    onLog(ctx) {
      if (!isKept(ctx)) return;
      const { request, response } = ctx;
      keep("onLog", [["ctx", ctx], ["request", request], ["response", response], ["headers", response.headers]]);
    },
  };`;

// A way for itself: what one does to an object could hide what another does.
test.each(Object.keys(ways))(
  'an object that is kept by %s says in a later stream that it is dead, and leaves that stream alone (F081, R07)',
  async (way) => {
    await withFilter(keeping, async (envoy) => {
      const use = async (): Promise<void> => {
        const answer = await request(envoy, '/use', { headers: [['x-own', 'mine']] });
        expect(answer.status).toBe(200);
        expect(answer.json<Echo>()).toMatchObject({ method: 'GET', path: '/use' });
        const seen = new Map(answer.json<Echo>().headers);
        expect(JSON.parse(seen.get('x-wrong') ?? '')).toEqual([]);
        expect(Number(seen.get('x-used'))).toBeGreaterThan(100);
        expect(seen.get('x-own')).toBe('mine');
      };
      await request(envoy, '/keep', { headers: [['x-way', way]] });
      await use();
      await passStreams(envoy, '/pass');
      await use();
    });
  },
);

/** What a script can do to an object that is not its own; `leak` is what it leaves. */
const marks: Record<string, string> = {
  'an own property': 'object.leak = 1',
  'a symbol property': 'object[Symbol("leak")] = 1',
  'an element': 'object[0] = 1',
  'a hidden accessor': 'Object.defineProperty(object, "leak", { get: () => 1 })',
  'an own property in front of an inherited one': 'Object.defineProperty(object, "headers", { value: 1 })',
  'a property that was deleted again': 'object.leak = 1; delete object.leak',
  'many properties that were deleted again':
    'for (let i = 0; i < 100; i++) object["p" + i] = i; for (let i = 0; i < 100; i++) delete object["p" + i]',
  freezing: 'Object.freeze(object)',
  sealing: 'Object.seal(object)',
  'forbidden extension': 'Object.preventExtensions(object)',
  'another prototype': 'Object.setPrototypeOf(object, { leak: 1 })',
  'no prototype': 'Object.setPrototypeOf(object, null)',
  'another prototype and back':
    'const own = Object.getPrototypeOf(object); Object.setPrototypeOf(object, { leak: 1 }); Object.setPrototypeOf(object, own)',
  'an heir': 'Object.create(object).leak = 1',
  'a private field': 'new WithField(object)',
  'a private method': 'new WithMethod(object)',
  'a place in a WeakSet': 'weakSet.add(object)',
  'a place in a WeakMap': 'weakMap.set(object, { object })',
};

test.each(Object.entries(marks))('%s, given to the objects of a stream, is on none of a later stream (F046, F081)', async (_, mark) => {
  const source = `
    class Given { constructor(object) { return object; } }
    class WithField extends Given { #leak = 1; static is = (object) => #leak in object; }
    class WithMethod extends Given { #leak() {} static is = (object) => #leak in object; }
    const weakSet = new WeakSet();
    const weakMap = new WeakMap();
    const prototypes = new Map();
    let marked = 0;
    let found = [];
    const look = (kind, object) => {
      const prototype = Object.getPrototypeOf(object);
      if (!prototypes.has(kind)) prototypes.set(kind, prototype);
      const marks = {
        properties: Reflect.ownKeys(object).length > 0,
        inherited: "leak" in object,
        prototype: prototype !== prototypes.get(kind),
        extensible: Object.isExtensible(object) === (kind === "ctx"),
        privates: WithField.is(object) || WithMethod.is(object),
        weak: weakSet.has(object) || weakMap.has(object),
      };
      for (const [name, isThere] of Object.entries(marks)) if (isThere) found.push(kind + " " + name);
    };
    const visit = (kind, message, ctx) => {
      const isMarked = ctx.request.headers.has("x-mark");
      if (ctx.state.stream !== undefined && ctx.state.stream !== isMarked) found.push("state");
      ctx.state.stream = isMarked;
      const objects = [["headers", message.headers], [kind, message], ["ctx", ctx]];
      for (const [kind, object] of objects) {
        look(kind, object);
        // A context can refuse.
        if (isMarked) try { ${mark}; marked++; } catch (error) { if (!(error instanceof TypeError)) throw error; }
      }
    };
    export default {
      onRequest(request, ctx) {
        if (request.path === "/found") return Response.json({ found, marked });
        visit("request", request, ctx);
      },
      onResponse(response, ctx) {
        const path = Object.getOwnPropertyDescriptor(Request.prototype, "path").get.call(ctx.request);
        // What is marked in onRequest may not have its class's properties any more.
        if (path === "/pass") visit("response", response, ctx);
        else if (path === "/marked") for (const object of [response, response.headers]) { ${mark}; marked++; }
      },
    };`;
  await withFilter(source, async (envoy) => {
    expect((await request(envoy, '/pass')).status).toBe(200);
    expect((await request(envoy, '/marked', { headers: [['x-mark', '1']] })).status).toBe(200);
    for (const answer of await passStreams(envoy, '/pass')) expect(answer.status).toBe(200);
    const { found, marked } = (await request(envoy, '/found')).json<{ found: string[]; marked: number }>();
    expect(found).toEqual([]);
    expect(marked).toBeGreaterThanOrEqual(4);
  });
});

/** Hooks that see both of their arguments, each in another way. */
const hooks: Record<string, string> = {
  'default values': '(request = 0, ctx = request) { see(request, ctx); }',
  patterns: '({ headers }, { request: { path }, state }) { see({ headers }, { state, path }); }',
  'a rest parameter': '(request, ...rest) { see(request, rest[0]); }',
  'a rest pattern': '(...[request, ctx]) { see(request, ctx); }',
  arguments: '() { see(...arguments); }',
  'arguments in an arrow of an arrow': '() { return (() => (() => see(arguments[0], arguments[1]))())(); }',
  'arguments as a default value': '(request = arguments[0], ctx = arguments[1]) { see(request, ctx); }',
  'arguments in an arrow that is a default value': '(request, ctx, all = () => arguments) { see(...all()); }',
  'arguments as the name of a property': '({ [arguments.length]: none, headers }) { see({ headers }, arguments[1]); }',
  'arguments in a class': '() { const all = arguments; class Static { static field = see(all[0], all[1]); } }',
  'arguments behind an await': '() { return Promise.resolve().then(() => see(...arguments)); }',
  'a bound function': ': (function (zero, request, ctx) { see(request, ctx); }).bind(null, 0)',
  'a proxy of a function': ': new Proxy(function () { see(...arguments); }, {})',
  'a proxy with a trap': ': new Proxy(() => {}, { apply: (target, self, all) => { see(...all); } })',
  'an async arrow': ': async (...all) => { await null; see(...all); }',
  'a method of a class': ': (class { static method() { see(...arguments); } }).method',
  'a native function': ': Function.prototype.call.bind(function (ctx) { see(this, ctx); })',
};

test.each(Object.entries(hooks))('a hook gets its arguments through %s (F046)', async (_, hook) => {
  const source = `
    const see = ({ headers }, { state }) => { headers.set("x-seen", typeof state); };
    export default { onRequest${hook}, onResponse${hook} };`;
  await withFilter(source, async (envoy) => {
    for (const answer of await passStreams(envoy, '/')) {
      expect(answer.json<Echo>().headers).toContainEqual(['x-seen', 'object']);
      expect(answer.headers.get('x-seen')).toBe('object');
    }
  });
});

test('bytes kept from one stream stay as they are while later streams read theirs (F081, R05)', async () => {
  const source = `
    const kept = [];
    export default { async onRequest(request) {
      const fill = request.headers.get("x-fill").charCodeAt(0);
      const body = new Uint8Array(4096).fill(fill);
      const answer = new Response(body);
      body.fill(0);
      kept.push([fill, await answer.clone().bytes()], [fill, new Uint8Array(await answer.arrayBuffer())]);
      const isChanged = ([fill, bytes]) => bytes.length !== 4096 || bytes.some((byte) => byte !== fill);
      return Response.json({ kept: kept.length, changed: kept.filter(isChanged).length });
    } };`;
  await withFilter(source, async (envoy) => {
    for (const [index, fill] of [...'ABCDEFGH'].entries()) {
      const answer = await request(envoy, '/', { headers: [['x-fill', fill]] });
      expect(answer.json()).toEqual({ kept: 2 * (index + 1), changed: 0 });
    }
  });
});
