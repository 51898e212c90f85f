// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What URLPattern must do, by the examples and rules of the standard.

const parts = ['protocol', 'username', 'password', 'hostname', 'port', 'pathname', 'search', 'hash'];
const partsOf = (pattern) => parts.map((part) => pattern[part]);

export const urlpattern = {
  'a pattern has the parts that it was given': async ({ equal }) => {
    equal('none', partsOf(new URLPattern()), Array(8).fill('*'));
    equal('object', partsOf(new URLPattern({ pathname: '/a/:b', hash: 'c' })), ['*', '*', '*', '*', '*', '/a/:b', '*', 'c']);
    equal('text', partsOf(new URLPattern('https://example.com/a/*')), ['https', '*', '*', 'example.com', '', '/a/*', '*', '*']);
    equal('whole', partsOf(new URLPattern('http{s}?://u\\:p@*.a.b:80*/c?d#e')), ['http{s}?', 'u', 'p', '*.a.b', '80*', '/c', 'd', 'e']);
    equal('base', partsOf(new URLPattern('/a', 'https://b.c/d?e')), ['https', '*', '*', 'b.c', '', '/a', '*', '*']);
    equal('relative', new URLPattern('a', 'https://b.c/d/e').pathname, '/d/a');
    equal('base in an object', partsOf(new URLPattern({ search: 'x', baseURL: 'https://b.c/d?e' })), ['https', '*', '*', 'b.c', '', '/d', 'x', '*']);
    equal('port', new URLPattern({ protocol: 'https', port: '443' }).port, '');
    equal('encoded', new URLPattern({ pathname: '/ü x', hash: 'ü' }).pathname, '/%C3%BC%20x');
    equal('host', new URLPattern({ hostname: 'xn--strae-oqa.EXAMPLE' }).hostname.length > 0, true);
    equal('colon', [new URLPattern({ protocol: 'https:' }).protocol, new URLPattern({ search: '?a' }).search, new URLPattern({ hash: '#a' }).hash], ['https', 'a', 'a']);
  },

  'test tells whether a URL matches': async ({ equal }) => {
    const cases = [
      [{ pathname: '/a/:b' }, 'http://x/a/c', true],
      [{ pathname: '/a/:b' }, 'http://x/a/', false],
      [{ pathname: '/a/:b' }, 'http://x/a/c/d', false],
      [{ pathname: '/a/:b+' }, 'http://x/a/c/d', true],
      [{ pathname: '/a/:b*' }, 'http://x/a', true],
      [{ pathname: '/a/:b?' }, 'http://x/a', true],
      [{ pathname: '/a{/b}?' }, 'http://x/a/b', true],
      [{ pathname: '/(\\d+)' }, 'http://x/12', true],
      [{ pathname: '/(\\d+)' }, 'http://x/1a', false],
      [{ pathname: '/:id(\\d+)\\.png' }, 'http://x/7.png', true],
      [{ hostname: '*.example.com' }, 'https://a.b.example.com/', true],
      [{ hostname: ':sub.example.com' }, 'https://a.b.example.com/', false],
      [{ hostname: '*.example.com' }, 'https://example.com/', false],
      [{ search: 'a=:v' }, 'http://x/?a=1', true],
      ['https://a.b/*', 'https://a.b/c/d', true],
      ['https://a.b/*', 'http://a.b/c/d', false],
      ['https://a.b:*/', 'https://a.b:8080/', true],
      ['https://a.b/', 'https://a.b:8080/', false],
      [{ pathname: '/A' }, 'http://x/a', false],
      [{}, 'no url', false],
      [{ pathname: '/*' }, { pathname: '/a' }, true],
      [{ protocol: 'data' }, 'data:a', true],
    ];
    for (const [pattern, input, want] of cases) {
      equal(JSON.stringify([pattern, input]), new URLPattern(pattern).test(input), want);
    }
    equal('base', new URLPattern('/a', 'http://b').test('/a', 'http://b'), true);
    equal('nothing', [new URLPattern({}).test(), new URLPattern({ pathname: '/a' }).test({})], [true, false]);
  },

  'letters of another case match when they are to': async ({ equal }) => {
    equal('pathname', new URLPattern({ pathname: '/A/:b' }, { ignoreCase: true }).test('http://x/a/C'), true);
    equal('exact', new URLPattern({ pathname: '/A' }, { ignoreCase: true }).test('http://x/a'), true);
    equal('with a base', new URLPattern('/A', 'http://x', { ignoreCase: true }).test('http://x/a'), true);
    equal('expression', new URLPattern({ pathname: '/([a-c]+)' }, { ignoreCase: true }).test('http://x/ABC'), true);
    equal('else', new URLPattern({ pathname: '/A' }, { ignoreCase: false }).test('http://x/a'), false);
  },

  'exec tells what was found': async ({ equal }) => {
    const found = new URLPattern('https://*.a.b/:x/(\\d+)/*\\?q=:q').exec('https://c.d.a.b/e/12/f/g?q=h#i');
    equal('inputs', found.inputs, ['https://c.d.a.b/e/12/f/g?q=h#i']);
    equal('hostname', found.hostname, { input: 'c.d.a.b', groups: { 0: 'c.d' } });
    equal('pathname', [found.pathname.input, found.pathname.groups.x, found.pathname.groups[0], found.pathname.groups[1]], ['/e/12/f/g', 'e', '12', 'f/g']);
    equal('search', found.search, { input: 'q=h', groups: { q: 'h' } });
    equal('hash', found.hash, { input: 'i', groups: { 0: 'i' } });
    equal('members', Object.keys(found), ['inputs', ...parts]);
    equal('none', new URLPattern({ pathname: '/a' }).exec('http://x/b'), null);
    equal('base', new URLPattern({ pathname: '/a' }).exec('/a', 'http://x').inputs, ['/a', 'http://x']);
    equal('object', new URLPattern({}).exec({ pathname: '/a', baseURL: 'http://x' }).inputs, [{ pathname: '/a', baseURL: 'http://x' }]);
    const absent = new URLPattern({ pathname: '/a/:b?' }).exec('http://x/a').pathname.groups;
    equal('absent', [Object.keys(absent), absent.b], [['b'], undefined]);
    equal('characters', new URLPattern({ pathname: '/:a' }).exec('http://x/€').pathname.groups.a, '%E2%82%AC');
    equal('names', new URLPattern({ pathname: '/:café' }).exec('http://x/a').pathname.groups['café'], 'a');
    equal('proto', Object.getOwnPropertyDescriptor(new URLPattern({ pathname: '/:__proto__' }).exec('http://x/a').pathname.groups, '__proto__')?.value, 'a');
  },

  'expressions of its own are told': async ({ equal }) => {
    equal('none', [new URLPattern({}), new URLPattern({ pathname: '/:a/*' })].map((pattern) => pattern.hasRegExpGroups), [false, false]);
    equal('some', [new URLPattern({ pathname: '/(a)' }), new URLPattern({ hash: ':b(c)' })].map((pattern) => pattern.hasRegExpGroups), [true, true]);
  },

  'what is no pattern is a TypeError': async ({ throws }) => {
    for (const pattern of ['/a', '', '(', 'https://a/(', 'https://a/:', 'https://a/(?<x>a)', 'https://a/{b']) {
      throws(pattern, () => new URLPattern(pattern), TypeError);
    }
    for (const init of [{ pathname: '/(' }, { pathname: '/:a/:a' }, { pathname: '/([)' }, { port: 'x' }, { pathname: '/{a}??' }, { baseURL: 'no' }, { pathname: '/((?R))' }]) {
      throws(JSON.stringify(init), () => new URLPattern(init), TypeError);
    }
    throws('base', () => new URLPattern({ pathname: '/' }, 'http://x'), TypeError);
    throws('bad base', () => new URLPattern('/a', 'x'), TypeError);
    throws('test with a base', () => new URLPattern({}).test({}, 'http://x'), TypeError);
    throws('exec with a base', () => new URLPattern({}).exec({}, 'http://x'), TypeError);
    throws('call', () => URLPattern({}), TypeError);
    throws('symbol', () => new URLPattern(Symbol()), TypeError);
    throws('brand', () => URLPattern.prototype.test.call({}, ''), TypeError);
  },

  'a script that has replaced what RegExp does changes nothing': async ({ equal }) => {
    const { exec } = RegExp.prototype;
    RegExp.prototype.exec = () => null;
    try {
      equal('match', new URLPattern({ pathname: '/(\\d+)' }).exec('http://x/12').pathname.groups[0], '12');
    } finally {
      RegExp.prototype.exec = exec;
    }
  },

  'errors have codes, and patterns a limit': async ({ equal, throws }) => {
    throws('code', () => new URLPattern('('), TypeError, 'E_URL_PATTERN');
    const long = (size) => new URLPattern({ pathname: `/${'a'.repeat(size - 1)}` });
    equal('long', long(8192).pathname.length, 8192);
    throws('longer', () => long(8193), RangeError, 'E_RANGE');
    throws('options', () => new URLPattern({}, '', 1), TypeError, 'E_ARGUMENT');
  },
};
