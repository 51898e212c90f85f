// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What URL and URLSearchParams must do.

/** Input, base, and what href must be: null for what is no URL. */
const parsed = [
  ['http://example.com', undefined, 'http://example.com/'],
  ['HTTP://EXAMPLE.com:80/', undefined, 'http://example.com/'],
  ['https://example.com:443/a/../b/./c', undefined, 'https://example.com/b/c'],
  ['https://example.com:444', undefined, 'https://example.com:444/'],
  ['http://user:pass@h:21/foo;par?b#c', undefined, 'http://user:pass@h:21/foo;par?b#c'],
  ['  http://a/b \n', undefined, 'http://a/b'],
  ['ht\ntp://a/b\tc', undefined, 'http://a/bc'],
  ['\0http://a', undefined, 'http://a/'],
  ['http://a/\0', undefined, 'http://a/'],
  ['http://a/\0b', undefined, 'http://a/%00b'],
  ['http://a\0b', undefined, null],
  // Relative
  ['/x', 'http://a/b/c', 'http://a/x'],
  ['x', 'http://a/b/c', 'http://a/b/x'],
  ['../x', 'http://a/b/c/d', 'http://a/b/x'],
  ['?q', 'http://a/b/c', 'http://a/b/c?q'],
  ['#h', 'http://a/b/c?q', 'http://a/b/c?q#h'],
  ['', 'http://a/b/c?q#h', 'http://a/b/c?q'],
  ['//x/y', 'https://a/', 'https://x/y'],
  ['\\\\x\\y', 'https://a/', 'https://x/y'],
  ['http:x', 'http://a/b/', 'http://a/b/x'],
  ['http:x', 'https://a/b/', 'http://x/'],
  ['foo:bar', 'http://a/', 'foo:bar'],
  ['x', 'mailto:a', null],
  ['#f', 'mailto:a', 'mailto:a#f'],
  ['x', 'nope', null],
  ['', undefined, null],
  ['x', undefined, null],
  ['//a', undefined, null],
  ['1http://a', undefined, null],
  // Special schemes
  ['http:\\\\x\\y', undefined, 'http://x/y'],
  ['http:/x', undefined, 'http://x/'],
  ['http:///x', undefined, 'http://x/'],
  ['ws://a:80', undefined, 'ws://a/'],
  ['wss://a:443', undefined, 'wss://a/'],
  ['ftp://a:21', undefined, 'ftp://a/'],
  ['http://', undefined, null],
  ['http://:80', undefined, null],
  // Ports
  ['http://a:b', undefined, null],
  ['http://a:65535', undefined, 'http://a:65535/'],
  ['http://a:65536', undefined, null],
  ['http://a:99999', undefined, null],
  ['http://a:0', undefined, 'http://a:0/'],
  ['http://a:00000080/', undefined, 'http://a/'],
  ['http://a:/', undefined, 'http://a/'],
  // Hosts
  ['http://a b', undefined, null],
  ['http://a%20b', undefined, null],
  ['http://a%41', undefined, 'http://aa/'],
  ['http://%zz', undefined, null],
  ['http://a<b', undefined, null],
  ['http://a^b', undefined, null],
  ['http://a|b', undefined, null],
  ['http://192.168.257', undefined, 'http://192.168.1.1/'],
  ['http://0xC0A80001', undefined, 'http://192.168.0.1/'],
  ['http://3232235521', undefined, 'http://192.168.0.1/'],
  ['http://0300.0250.0.01', undefined, 'http://192.168.0.1/'],
  ['http://1.2.3.4.', undefined, 'http://1.2.3.4/'],
  ['http://256.256.256.256', undefined, null],
  ['http://1.2.3.4.5', undefined, null],
  ['http://09.2.3.4', undefined, null],
  ['http://foo.0x4', undefined, null],
  ['http://[::1]:8080/', undefined, 'http://[::1]:8080/'],
  ['http://[1:0:0:2:0:0:0:3]', undefined, 'http://[1:0:0:2::3]/'],
  ['http://[::ffff:192.168.0.1]', undefined, 'http://[::ffff:c0a8:1]/'],
  ['http://[1::2::3]', undefined, null],
  ['http://[::1', undefined, null],
  ['http://[::1%eth0]', undefined, null],
  ['http://[www.google.com]/', undefined, null],
  ['http://MÜNCHEN.de/', undefined, 'http://xn--mnchen-3ya.de/'],
  ['http://日本語。jp', undefined, 'http://xn--wgv71a119e.jp/'],
  ['http://ａ.com', undefined, 'http://a.com/'],
  ['http://faß.ExAmPlE/', undefined, 'http://xn--fa-hia.example/'],
  ['http://\u00AD', undefined, null],
  ['http://a\u00ADb/', undefined, 'http://ab/'],
  // Users
  ['http://u@:p@h/', undefined, 'http://u%40:p@h/'],
  ['http://u:p:q@h', undefined, 'http://u:p%3Aq@h/'],
  ['http://:@h', undefined, 'http://h/'],
  ['http://:p@h', undefined, 'http://:p@h/'],
  ['http://u:@h', undefined, 'http://u@h/'],
  // Files
  ['file:///etc/passwd', undefined, 'file:///etc/passwd'],
  ['file:c:\\foo\\bar', undefined, 'file:///c:/foo/bar'],
  ['file:///C|/a', undefined, 'file:///C:/a'],
  ['file://localhost/x', undefined, 'file:///x'],
  ['/c:/x', 'file:///d:/y', 'file:///c:/x'],
  ['..', 'file:///C:/', 'file:///C:/'],
  // Other schemes
  ['data:text/plain,hello world', undefined, 'data:text/plain,hello world'],
  ['data:text/plain,x ?y', undefined, 'data:text/plain,x%20?y'],
  ['mailto:x@y', undefined, 'mailto:x@y'],
  ['foo://bar/../baz', undefined, 'foo://bar/baz'],
  ['non-special://a:80/x', undefined, 'non-special://a:80/x'],
  ['non-special://A/x', undefined, 'non-special://A/x'],
  ['non-special://a b', undefined, null],
  ['web+demo:/.//not-a-host/', undefined, 'web+demo:/.//not-a-host/'],
  // Percent-encoding
  ['http://a/%41%zz%2e', undefined, 'http://a/%41%zz%2e'],
  ['http://a/b/%2e%2E', undefined, 'http://a/'],
  ['http://a/ b"<>`{}', undefined, 'http://a/%20b%22%3C%3E%60%7B%7D'],
  ['http://a/^|', undefined, 'http://a/%5E|'],
  ['http://a/?\'"<> #', undefined, 'http://a/?%27%22%3C%3E%20#'],
  ["foo://a/?'", undefined, "foo://a/?'"],
  ['http://a/#`<> "', undefined, 'http://a/#%60%3C%3E%20%22'],
  ['http://a/é?é#é', undefined, 'http://a/%C3%A9?%C3%A9#%C3%A9'],
  ['http://a/😀', undefined, 'http://a/%F0%9F%98%80'],
  ['http://a/\uD800', undefined, 'http://a/%EF%BF%BD'],
  ['http://a?b', undefined, 'http://a/?b'],
  ['http://a/?#', undefined, 'http://a/?#'],
  ['http://a/b?c?d#e#f', undefined, 'http://a/b?c?d#e#f'],
];

/** A URL, a part and a value, and what href becomes. */
const written = [
  ['http://a/', 'protocol', 'https', 'https://a/'],
  ['http://a/', 'protocol', 'https:foo', 'https://a/'],
  ['http://a/', 'protocol', 'ht\ntps', 'https://a/'],
  ['http://a/', 'protocol', 'foo', 'http://a/'],
  ['http://a/', 'protocol', '', 'http://a/'],
  ['foo://a', 'protocol', 'http', 'foo://a'],
  ['foo://a', 'protocol', 'bar', 'bar://a'],
  ['http://a:443/', 'protocol', 'https', 'https://a/'],
  ['http://u@a/', 'protocol', 'file', 'http://u@a/'],
  ['http://a/', 'username', 'me:@', 'http://me%3A%40@a/'],
  ['http://u:p@a/', 'username', '', 'http://:p@a/'],
  ['http://u:p@a/', 'password', '', 'http://u@a/'],
  ['http://a/', 'password', 'p/w', 'http://:p%2Fw@a/'],
  ['file:///x', 'username', 'u', 'file:///x'],
  ['http://a/', 'host', 'b:81', 'http://b:81/'],
  ['http://a:82/', 'host', 'b', 'http://b:82/'],
  ['http://a/', 'host', 'b/x', 'http://b/'],
  ['http://a/', 'host', '', 'http://a/'],
  ['foo://a/', 'host', '', 'foo:///'],
  ['http://a/', 'host', 'a b', 'http://a/'],
  ['mailto:x', 'host', 'b', 'mailto:x'],
  ['http://a:8/', 'hostname', 'b:81', 'http://a:8/'],
  ['http://a:8/', 'hostname', 'b', 'http://b:8/'],
  ['http://a/', 'hostname', '[::1]', 'http://[::1]/'],
  ['http://a/', 'hostname', '0x7f.1', 'http://127.0.0.1/'],
  ['http://a/', 'hostname', 'bücher', 'http://xn--bcher-kva/'],
  ['http://a/', 'port', '8080', 'http://a:8080/'],
  ['http://a/', 'port', 90, 'http://a:90/'],
  ['http://a:1/', 'port', '', 'http://a/'],
  ['http://a:1/', 'port', '65536', 'http://a:1/'],
  ['http://a:1/', 'port', '9x', 'http://a:9/'],
  ['http://a:1/', 'port', 'x', 'http://a:1/'],
  ['file:///x', 'port', '1', 'file:///x'],
  ['http://a/b?c#d', 'pathname', 'x y', 'http://a/x%20y?c#d'],
  ['http://a/b', 'pathname', '/x/../y', 'http://a/y'],
  ['http://a/b', 'pathname', '?x#y', 'http://a/%3Fx%23y'],
  ['http://a/b', 'pathname', '\\x', 'http://a/x'],
  ['foo://a/b', 'pathname', '\\x', 'foo://a/\\x'],
  ['foo:/b', 'pathname', '//y', 'foo:/.//y'],
  ['mailto:x', 'pathname', '/y', 'mailto:x'],
  ['http://a/b#d', 'search', 'x y', 'http://a/b?x%20y#d'],
  ['http://a/b', 'search', '??x', 'http://a/b??x'],
  ['http://a/b?x#y', 'search', '', 'http://a/b#y'],
  ['http://a/b?x', 'search', '?', 'http://a/b?'],
  ['http://a/b', 'search', '#é', 'http://a/b?%23%C3%A9'],
  ['http://a/b?x#y', 'hash', '', 'http://a/b?x'],
  ['http://a/b', 'hash', '#é `', 'http://a/b#%C3%A9%20%60'],
  ['http://a/b', 'hash', '##x', 'http://a/b##x'],
  ['http://a/b', 'href', 'https://x/?y', 'https://x/?y'],
];

/** What URLSearchParams is made from, and its pairs. */
const made = [
  [
    'a=1&b=2',
    [
      ['a', '1'],
      ['b', '2'],
    ],
  ],
  ['?a=1', [['a', '1']]],
  ['??a', [['?a', '']]],
  ['', []],
  ['&&a&', [['a', '']]],
  ['=', [['', '']]],
  ['a==b', [['a', '=b']]],
  ['a+b=c%20d%2B', [['a b', 'c d+']]],
  ['%zz=%', [['%zz', '%']]],
  ['%F0%9F%98%80=😀', [['😀', '😀']]],
  ['%ff%41=%c3', [['\uFFFDA', '\uFFFD']]],
  ['%ed%a0%80', [['\uFFFD\uFFFD\uFFFD', '']]],
  ['%ef%bb%bfa', [['\uFEFFa', '']]],
  ['%00=a\0b', [['\0', 'a\0b']]],
  ['\uD800=1', [['\uFFFD', '1']]],
  [undefined, []],
  [null, [['null', '']]],
  [5, [['5', '']]],
  [
    { a: 1, b: 'x' },
    [
      ['a', '1'],
      ['b', 'x'],
    ],
  ],
  [
    { 2: 'b', 1: 'a' },
    [
      ['1', 'a'],
      ['2', 'b'],
    ],
  ],
  [Object.defineProperty({ a: 1 }, 'hidden', { value: 2 }), [['a', '1']]],
  [Object.create({ inherited: 1 }), []],
  [
    { '\uD835x': '1', xx: '2', '\uD83Dx': '3' },
    [
      ['\uFFFDx', '3'],
      ['xx', '2'],
    ],
  ],
  [function () {}, []],
  [
    [
      ['a', 'b'],
      ['a', 'c'],
    ],
    [
      ['a', 'b'],
      ['a', 'c'],
    ],
  ],
  [[new Set(['x', 'y'])], [['x', 'y']]],
  [new Map([['k', 'v']]), [['k', 'v']]],
];

/** What URLSearchParams refuses. */
const refused = [
  [['a']],
  [['a', 'b', 'c']],
  [[]],
  ['ab'],
  [1],
  [null],
  { [Symbol.iterator]: 5 },
  { [Symbol.iterator]: () => 5 },
  { [Symbol('s')]: 'x' },
  [[Symbol(), 'x']],
  Symbol(),
];

/** A query, and the names and values after sort(). */
const sorted = [
  [
    'z=b&a=b&z=a&a=a',
    [
      ['a', 'b'],
      ['a', 'a'],
      ['z', 'b'],
      ['z', 'a'],
    ],
  ],
  [
    '\uFFFD=x&\uFFFC&\uFFFD=a',
    [
      ['\uFFFC', ''],
      ['\uFFFD', 'x'],
      ['\uFFFD', 'a'],
    ],
  ],
  [
    'ﬃ&🌈',
    [
      ['🌈', ''],
      ['ﬃ', ''],
    ],
  ],
  [
    '\uE000&😀&\uD7FF',
    [
      ['\uD7FF', ''],
      ['😀', ''],
      ['\uE000', ''],
    ],
  ],
  [
    'a🌈&a💩',
    [
      ['a🌈', ''],
      ['a💩', ''],
    ],
  ],
  [
    'ab&a&abc&',
    [
      ['a', ''],
      ['ab', ''],
      ['abc', ''],
    ],
  ],
];

export const url = {
  'a URL is parsed as the standard says (W04, H303)'({ equal, throws }) {
    for (const [input, base, href] of parsed) {
      const name = `${JSON.stringify(input)} on ${base}`;
      if (href === null) {
        throws(name, () => new URL(input, base), TypeError, 'E_URL');
      } else {
        equal(name, new URL(input, base).href, href);
        equal(`${name}, again`, new URL(href).href, href);
      }
      equal(`canParse ${name}`, URL.canParse(input, base), href !== null);
      equal(`parse ${name}`, URL.parse(input, base)?.href ?? null, href);
    }
  },

  'its parts can be read (W04)'({ equal }) {
    const url = new URL('https://us%20er:pa%3Ass@sub.Example.com:8443/p/a?q=1&r=2#frag');
    equal('user', [url.username, url.password], ['us%20er', 'pa%3Ass']);
    equal(
      'place',
      [url.protocol, url.host, url.hostname, url.port],
      ['https:', 'sub.example.com:8443', 'sub.example.com', '8443'],
    );
    equal(
      'rest',
      [url.pathname, url.search, url.hash, url.origin],
      ['/p/a', '?q=1&r=2', '#frag', 'https://sub.example.com:8443'],
    );
    equal('text', [String(url), JSON.stringify([url])], [url.href, `["${url.href}"]`]);
    const bare = new URL('http://a/?#');
    equal('nothing', [bare.username, bare.password, bare.port, bare.search, bare.hash], ['', '', '', '', '']);
    for (const [text, origin] of [
      ['data:x', 'null'],
      ['file:///x', 'null'],
      ['foo://a', 'null'],
      ['blob:https://a.com:1/x', 'https://a.com:1'],
      ['blob:ftp://a', 'null'],
      ['ws://a', 'ws://a'],
    ]) {
      equal(`origin of ${text}`, new URL(text).origin, origin);
    }
  },

  'its parts can be written (W04)'({ equal, throws }) {
    for (const [start, part, value, href] of written) {
      const url = new URL(start);
      url[part] = value;
      equal(`${start} ${part} ${JSON.stringify(value)}`, url.href, href);
    }
    const url = new URL('http://a/?x=1');
    throws('bad href', () => (url.href = 'nope'), TypeError, 'E_URL');
    equal('is as it was', [url.href, url.searchParams.get('x')], ['http://a/?x=1', '1']);
    throws('origin', () => (url.origin = 'http://b'), TypeError);
    throws('searchParams', () => (url.searchParams = 1), TypeError);
  },

  'pairs come from a text, an object or pairs (W05)'({ equal, throws }) {
    for (const [init, pairs] of made) equal(`from ${String(init)}`, [...new URLSearchParams(init)], pairs);
    for (const init of refused) throws('refused', () => new URLSearchParams(init), TypeError);
    throws(
      'a getter throws',
      () =>
        new URLSearchParams({
          get a() {
            throw new EvalError();
          },
        }),
      EvalError,
    );
    const log = [];
    const spied = new Proxy(
      { a: 'b', [Symbol.for('q')]: 1 },
      {
        get: (target, key) => (log.push(`get ${String(key)}`), target[key]),
        ownKeys: (target) => (log.push('ownKeys'), Reflect.ownKeys(target)),
        getOwnPropertyDescriptor: (target, key) => (
          log.push(`describe ${String(key)}`),
          Reflect.getOwnPropertyDescriptor(target, key)
        ),
      },
    );
    throws('symbol', () => new URLSearchParams(spied), TypeError);
    equal('order', log, ['get Symbol(Symbol.iterator)', 'ownKeys', 'describe a', 'get a', 'describe Symbol(q)']);
  },

  'pairs can be read and written (W05)'({ equal, throws }) {
    const params = new URLSearchParams('a=1&b=2&a=3');
    equal(
      'get',
      [params.get('a'), params.get('c'), params.getAll('a'), params.getAll('c'), params.size],
      ['1', null, ['1', '3'], [], 3],
    );
    equal(
      'has',
      [params.has('a'), params.has('a', '3'), params.has('a', '9'), params.has('a', undefined), params.has('z')],
      [true, true, false, true, false],
    );
    params.append('a', '4');
    params.set('b', '5');
    equal('set keeps the place', String(params), 'a=1&b=5&a=3&a=4');
    params.delete('a', '3');
    equal('delete name and value', String(params), 'a=1&b=5&a=4');
    params.set('a', 'x');
    equal('set leaves one', String(params), 'a=x&b=5');
    params.delete('a', undefined);
    params.set('n', null);
    equal('the rest', String(params), 'b=5&n=null');
    throws('append', () => params.append('a'), TypeError, 'E_MISSING_ARGUMENT');
    throws('forEach', () => params.forEach(5), TypeError, 'E_ARGUMENT');
    equal(
      'text',
      String(
        new URLSearchParams([
          ['a b', 'c&d'],
          ['é', "*-._~!()'"],
          ['', '\r\n\0'],
        ]),
      ),
      'a+b=c%26d&%C3%A9=*-._%7E%21%28%29%27&=%0D%0A%00',
    );
    for (const [query, pairs] of sorted) {
      const some = new URLSearchParams(query);
      some.sort();
      equal(`sort ${query}`, [...some], pairs);
    }
  },

  'iteration sees changes, its iterators are those of Web IDL (W05)'({ equal, throws }) {
    const params = new URLSearchParams('a=1&b=2&c=3');
    equal('keys', [...params.keys()], ['a', 'b', 'c']);
    equal('values', [...params.values()], ['1', '2', '3']);
    equal(
      'entries',
      [...params.entries()],
      [
        ['a', '1'],
        ['b', '2'],
        ['c', '3'],
      ],
    );
    equal('iterator', URLSearchParams.prototype[Symbol.iterator] === URLSearchParams.prototype.entries, true);
    const iterator = params.entries();
    const prototype = Object.getPrototypeOf(iterator);
    const inherited = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
    equal(
      'inherits',
      [Object.getPrototypeOf(prototype) === inherited, iterator[Symbol.iterator]() === iterator],
      [true, true],
    );
    equal('tag', Object.prototype.toString.call(iterator), '[object URLSearchParams Iterator]');
    equal('members', Reflect.ownKeys(prototype), ['next', Symbol.toStringTag]);
    const { writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(prototype, 'next');
    equal('next', [writable, enumerable, configurable], [true, true, true]);
    equal(
      'results',
      [iterator.next(), iterator.next(), iterator.next()],
      [
        { value: ['a', '1'], done: false },
        { value: ['b', '2'], done: false },
        { value: ['c', '3'], done: false },
      ],
    );
    equal('end', iterator.next(), { value: undefined, done: true });
    params.append('d', '4');
    equal('more', iterator.next(), { value: ['d', '4'], done: false });
    for (const foreign of [undefined, {}, params, [].values(), new Headers().keys()]) {
      throws('foreign', () => iterator.next.call(foreign), TypeError, 'E_ILLEGAL_INVOCATION');
    }
    const shrinking = new URLSearchParams('a=1&b=2&c=3');
    const seen = [];
    for (const [name] of shrinking) (seen.push(name), shrinking.delete(name));
    equal('shrinking', seen, ['a', 'c']);
    const growing = new URLSearchParams('a=1');
    growing.forEach((value, name) => growing.size < 100 && growing.append(name, value));
    equal('growing', growing.size, 100);
    const calls = [];
    const self = {};
    new URLSearchParams('a=1').forEach(function (...args) {
      calls.push(args.length, args[0], args[1], this === self);
    }, self);
    equal('forEach', calls, [3, '1', 'a', true]);
    throws(
      'forEach throws',
      () =>
        params.forEach(() => {
          throw new EvalError();
        }),
      EvalError,
    );
  },

  'a URL and its pairs follow each other (W04, W05)'({ equal }) {
    const url = new URL('http://a/p?x=1&y=2#h');
    const params = url.searchParams;
    params.append('z', 'a b');
    equal('append', [url.href, url.searchParams === params], ['http://a/p?x=1&y=2&z=a+b#h', true]);
    for (const name of ['x', 'y', 'z']) params.delete(name);
    equal('empty', [url.href, url.search], ['http://a/p#h', '']);
    url.search = '??k=v';
    equal('search', [...params], [['?k', 'v']]);
    url.href = 'http://b/?m=n';
    equal('href', [...params], [['m', 'n']]);
    params.append('o', 'p');
    url.pathname = '/q';
    equal('another part', url.href, 'http://b/q?m=n&o=p');
    params.set('m', '\uD800é');
    equal('text', JSON.stringify(url), '"http://b/q?m=%EF%BF%BD%C3%A9&o=p"');
    const own = new URLSearchParams(params);
    own.append('q', '1');
    equal('a copy is not linked', params.size, 2);
    const spaced = new URL('http://a/?a=b%20c&d=%7E');
    spaced.searchParams.delete('none');
    equal('a change rewrites all', spaced.search, '?a=b+c&d=%7E');
    const tab = new URL('http://a/');
    tab.search = '?a\tb=c\n';
    equal('tabs leave the query, not the pairs', [tab.search, [...tab.searchParams]], ['?ab=c', [['a\tb', 'c\n']]]);
    const walked = new URL('http://a/?x=1&y=2&z=3');
    const seen = [];
    for (const [name] of walked.searchParams) {
      seen.push(name);
      if (name === 'x') walked.search = '?q=1&p=2&o=3';
    }
    equal('changed while walked', seen, ['x', 'p', 'o']);
    for (let i = 0; i < 5000; i++) url.searchParams.append('k', i);
    equal('many', [url.search.endsWith('&k=4999'), params.size], [true, 5002]);
  },

  'the classes have the shape of Web IDL (W04, W05)'({ equal, throws }) {
    for (const [type, length] of [
      [URL, 1],
      [URLSearchParams, 0],
    ]) {
      throws('without new', () => type('http://a'), TypeError);
      equal('length', type.length, length);
      const tag = Object.getOwnPropertyDescriptor(type.prototype, Symbol.toStringTag);
      equal('tag', tag, { value: type.name, writable: false, enumerable: false, configurable: true });
    }
    equal('tag', Object.prototype.toString.call(new URL('http://a')), '[object URL]');
    throws('no argument', () => new URL(), TypeError, 'E_MISSING_ARGUMENT');
    throws('no string', () => new URL(Symbol()), TypeError);
    throws(
      'receiver',
      () => Object.getOwnPropertyDescriptor(URL.prototype, 'href').get.call({}),
      TypeError,
      'E_ILLEGAL_INVOCATION',
    );
    throws(
      'receiver',
      () => URLSearchParams.prototype.get.call(new URL('http://a'), 'x'),
      TypeError,
      'E_ILLEGAL_INVOCATION',
    );
    const begin = 'http://a/';
    const longest = begin + 'x'.repeat(2 * 1024 * 1024 - begin.length);
    equal('long', [URL.canParse(longest), URL.parse(longest).href.length], [true, longest.length]);
    equal('too long', [URL.canParse(`${longest}x`), URL.parse(`${longest}x`), URL.canParse('b', `${longest}x`)], [false, null, false]);
    throws('too long', () => new URL(`${longest}x`), TypeError, 'E_URL');
    throws('too long', () => new Request(`${longest}x`), TypeError, 'E_URL');
    const short = new URL(begin);
    throws('too long', () => (short.href = `${longest}x`), TypeError, 'E_URL');
    short.search = short.hash = short.pathname = `${longest}x`;
    equal('too long', short.href, begin);
    class Sub extends URL {}
    equal('subclass', [new Sub('http://a') instanceof Sub, Sub.parse('http://a') instanceof Sub], [true, false]);
    const error =
      URL.canParse('x') ||
      (() => {
        try {
          new URL('x'.repeat(500));
        } catch (caught) {
          return caught;
        }
      })();
    equal('message', error.message.length < 200, true);
  },
};
