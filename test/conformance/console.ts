// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import type { Case } from './case.ts';

const exchanges = [{ want: { client: { status: 200 } } }];

export const console_: readonly Case[] = [
  {
    title: 'each method of console has its level (F085, W01)',
    hooks: `onRequest() {
      console.log("log"); console.info("info"); console.warn("warn"); console.error("error"); console.debug("debug");
        console.trace("trace");
      console.assert(true, "no"); console.assert(false, "yes"); console.assert(false);
    }`,
    exchanges,
    log: ['info log', 'info info', 'warn warn', 'error error', 'error Assertion failed: yes', 'error Assertion failed'],
  },
  {
    title: 'values are shown on one line (F085, W01)',
    hooks: `onRequest() {
      console.log(1, -0, 1n, true, null, undefined, "a b", Symbol("s"), [1, "x", [2]], { a: { b: { c: { d: { e: {} } } } } });
      console.log("%s is %d, %i, %f, %o %c%% %x", "it", 4.5, 4.5, 4.5, { a: 1 }, "css", "rest");
      console.log(new Map([["k", 1]]), new Set([1]), new Uint8Array([1, 2]), new Date(0), /a/g, () => {}, class A {}, new Headers({
        b: "1" }));
      const cycle = { name: "c" }; cycle.self = cycle; console.log(cycle);
      console.log("line\\nbreak\\u001b[31m\\u0000é😀");
      console.dir({ a: { b: 1 } }, { depth: 0 });
    }`,
    exchanges,
    log: [
      "info 1 -0 1n true null undefined a b Symbol(s) [ 1, 'x', [ 2 ] ] { a: { b: { c: { d: { e: [Object] } } } } }",
      'info it is 4, 4, 4.5, { a: 1 } % %x rest',
      "info Map(1) { 'k' => 1 } Set(1) { 1 } Uint8Array(2) [ 1, 2 ] 1970-01-01T00:00:00.000Z /a/g [Function (anonymous)] [class A] Headers { b: '1' }",
      "info { name: 'c', self: [Circular] }",
      'info line\\nbreak\\x1b[31m\\x00é😀',
      'info { a: [Object] }',
    ],
  },
  {
    title: 'objects of the Web are shown with what they hold (F085, W01)',
    hooks: `async onRequest(request, ctx) {
      const headers = { a: "1", "content-type": "x/y" };
      console.log(new URLSearchParams("a=1&a=é&b"), new URLSearchParams(), new URL("http://u@h:1/p?q#f"), new Headers(headers));
      console.log(new Blob(["é"], { type: "a/b" }), new File(["x"], "n"), [new Request("http://a/b", { method: "POST", headers, body: "c" })]);
      console.log(new Response("b", { status: 404, headers }), Response.error());
      const form = new FormData(); form.append("a", "1"); form.append("a", new File([], "n")); console.log(form);
      const many = new URLSearchParams(); for (let i = 0; i < 102; i++) many.append("", ""); console.log(many);
      Object.defineProperty(URL.prototype, "href", { get() { throw 1; } }); Headers.prototype.entries = () => { throw 1; };
      console.log(new URL("http://a"), Object.assign(new URL("http://a"), { own: 1 }), new (class Mine extends URL {})("http://b"));
      globalThis.kept ??= request; console.log(kept === request ? 1 : kept);
    }`,
    exchanges: [
      { request: { path: '/p?q', headers: { 'x-a': 'b' } }, want: { client: { status: 200 } } },
      { request: { path: '/p?q', headers: { 'x-a': 'b' } }, want: { client: { status: 200 } } },
    ],
    log: [1, 2].flatMap((exchange) => [
      "info URLSearchParams { 'a' => '1', 'a' => 'é', 'b' => '' } URLSearchParams {} URL { href: 'http://u@h:1/p?q#f' } Headers { a: '1', 'content-type': 'x/y' }",
      "info Blob { size: 2, type: 'a/b' } File { name: 'n', size: 1, type: '' } [ Request { method: 'POST', url: 'http://a/b', headers: Headers { a: '1', 'content-type': 'x/y' } } ]",
      "info Response { status: 404, headers: Headers { a: '1', 'content-type': 'x/y' } } Response { status: 0, headers: Headers {} }",
      "info FormData { a: '1', a: File { name: 'n', size: 0, type: '' } }",
      `info URLSearchParams { ${Array(100).fill("'' => ''").join(', ')}, … (2 more) }`,
      "info URL { href: 'http://a/' } URL { href: 'http://a/', own: 1 } Mine { href: 'http://b/' }",
      exchange === 1 ? 'info 1' : 'info Request {}',
    ]),
  },
  {
    title: 'counts, groups and tables (W01)',
    hooks: `onRequest() {
      console.count(); console.count("x"); console.count(); console.countReset(); console.count(); console.countReset("none");
      console.group("outer"); console.info("in"); console.groupCollapsed(); console.info("deeper"); console.groupEnd();
        console.groupEnd(); console.groupEnd(); console.info("out");
      console.table([{ a: 1, b: "x" }, { a: 2 }]);
      console.timeEnd("never");
    }`,
    exchanges,
    log: [
      'info default: 1',
      'info x: 1',
      'info default: 2',
      'info default: 1',
      'warn console.countReset: there is no count none',
      'info outer',
      'info   in',
      'info     deeper',
      'info out',
      "info (index) | a | b; 0 | 1 | 'x'; 1 | 2 | ",
      'warn console.timeEnd: there is no timer never',
    ],
  },
  {
    title: 'a stream writes so many lines, and says how many more there were (F086)',
    hooks: `onRequest({ path }) { for (let i = 0; i < Number(path.slice(1)); i++) console.info(i); }`,
    exchanges: [{ request: { path: '/103' }, want: { client: { status: 200 } } }],
    log: [...Array.from({ length: 100 }, (_, i) => `info ${i}`), 'warn 3 log lines dropped'],
  },
];
