// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { expect, test } from 'vitest';

import { findCommonJs, namedHosts } from './syntax.ts';

function hosts(text: string): string[] {
  return namedHosts([{ file: '/filter.ts', text }]);
}

test.each([
  ['a string', 'fetch("http://auth/verify")', ['auth']],
  ['a host with port and dots', 'fetch("https://idp.example.com:8443/keys", { method: "GET" })', ['idp.example.com']],
  ['a template without holes', 'fetch(`http://auth`)', ['auth']],
  ['a template whose host is whole', 'fetch(`http://auth/users/${id}`)', ['auth']],
  ['a template whose host has a hole', 'fetch(`http://auth-${zone}/x`)', []],
  ['a template that may go on with the host', 'fetch(`http://auth${rest}`)', []],
  ['a URL', 'fetch(new URL("http://auth/x"))', ['auth']],
  ['a URL by its base', 'fetch(new URL("/x", "http://auth"))', ['auth']],
  ['a Request', 'fetch(new Request("http://auth/x", { method: "PUT" }))', ['auth']],
  ['a constant', 'const at = "http://auth/x"; async function f() { return await fetch(at); }', ['auth']],
  ['a constant that names itself', 'const at = at; fetch(at)', []],
  ['a variable that can change', 'let at = "http://auth/x"; fetch(at)', []],
  ['something that is no URL', 'fetch("/path")', []],
  ['another function', 'get("http://auth/x"); object.fetch("http://other/x")', []],
  ['a comment and a string', '// fetch("http://a/")\nconst text = \'fetch("http://b/")\';', []],
  ['several, sorted and once each', 'fetch("http://b/1"); fetch("http://a/"); fetch("http://b/2")', ['a', 'b']],
])('the hosts that fetch names are found in %s', (_, text, expected) => {
  expect(hosts(text)).toEqual(expected);
});

test('types and brackets do not hide the URL', () => {
  expect(hosts('const r: Response = await fetch(("http://auth/" satisfies string) as string)')).toEqual(['auth']);
});

test('a CommonJS file is told by its first word of CommonJS', () => {
  expect(findCommonJs({ file: '/f.js', text: '// module\nconst a = 1;\n  module.exports = {};\nexports.b = 2;' })).toEqual({
    line: 3,
    column: 3,
    length: 6,
  });
  expect(findCommonJs({ file: '/f.js', text: 'export default {}' })).toBeUndefined();
});
