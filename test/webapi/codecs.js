// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What atob and btoa (HTML standard) and the base64 and hex methods of Uint8Array (ECMAScript) must do.

const list = (bytes) => [...bytes];
const latin1 = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');

/** RFC 4648, section 10. */
const vectors = [
  ['', '', ''],
  ['f', 'Zg==', '66'],
  ['fo', 'Zm8=', '666f'],
  ['foo', 'Zm9v', '666f6f'],
  ['foob', 'Zm9vYg==', '666f6f62'],
  ['fooba', 'Zm9vYmE=', '666f6f6261'],
  ['foobar', 'Zm9vYmFy', '666f6f626172'],
];

function known({ equal }) {
  for (const [text, base64, hex] of vectors) {
    const bytes = new TextEncoder().encode(text);
    equal('btoa', btoa(text), base64);
    equal('atob', atob(base64), text);
    equal('toBase64', bytes.toBase64(), base64);
    equal('toBase64 without padding', bytes.toBase64({ omitPadding: true }), base64.replaceAll('=', ''));
    equal('fromBase64', list(Uint8Array.fromBase64(base64)), list(bytes));
    equal('toHex', bytes.toHex(), hex);
    equal('fromHex', list(Uint8Array.fromHex(hex)), list(bytes));
    equal('fromHex of capitals', list(Uint8Array.fromHex(hex.toUpperCase())), list(bytes));
  }
  const bytes = Uint8Array.of(0xfb, 0xff, 0xbf);
  equal('base64', bytes.toBase64(), '+/+/');
  equal('base64url', bytes.toBase64({ alphabet: 'base64url' }), '-_-_');
  equal('from base64url', list(Uint8Array.fromBase64('-_-_', { alphabet: 'base64url' })), list(bytes));
  equal('blanks', list(Uint8Array.fromBase64(' +/\t\n+\f/\r ')), list(bytes));
  equal('atob of blanks and no padding', atob(' Z m\t9\nvYg'), 'foob');
}

function roundTrips({ equal }) {
  for (let length = 0; length <= 300; length += length < 20 ? 1 : 37) {
    const bytes = crypto.getRandomValues(new Uint8Array(length));
    const text = latin1(bytes);
    const through = [
      Uint8Array.fromBase64(bytes.toBase64()),
      Uint8Array.fromBase64(bytes.toBase64({ alphabet: 'base64url', omitPadding: true }), { alphabet: 'base64url' }),
      Uint8Array.fromHex(bytes.toHex()),
      Uint8Array.from(atob(btoa(text)), (character) => character.charCodeAt(0)),
    ];
    for (const [index, result] of through.entries()) equal(`${length} bytes, codec ${index}`, list(result), list(bytes));
    equal('btoa is toBase64', btoa(text), bytes.toBase64());
  }
  const all = Uint8Array.from({ length: 256 }, (_, index) => index);
  equal('every byte', list(Uint8Array.fromHex(all.toHex())), list(all));
  const text = 'aé€😀'.repeat(50);
  for (let from = 0; from < 10; from++) {
    const part = text.slice(from * 5);
    equal('UTF-8', new TextDecoder().decode(new TextEncoder().encode(part)), part.toWellFormed());
  }
}

function characters({ equal }) {
  // Every character that begins or ends a length of UTF-8, or stands beside a gap, alone and between others.
  const edges = [0x7f, 0x80, 0xff, 0x100, 0x7ff, 0x800, 0xfff, 0x1000, 0xcfff, 0xd000, 0xd7ff, 0xe000, 0xfffd, 0xffff, 0x10000, 0x10ffff];
  for (const edge of edges) {
    for (const text of [String.fromCodePoint(edge), `a${String.fromCodePoint(edge)}b`, String.fromCodePoint(edge).repeat(9)]) {
      const bytes = new TextEncoder().encode(text);
      equal(`U+${edge.toString(16)}`, new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes), text);
    }
  }
  const illFormed = ['c0af', 'c1bf', 'e080af', 'e09fbf', 'eda080', 'edbfbf', 'f08080af', 'f48fbfbf80', 'c2', 'e282', 'c2c2a9', 'e2e282ac', 'ef', '80', 'ff'];
  const decoded = illFormed.map((hex) => new TextDecoder().decode(Uint8Array.fromHex(`61${hex}62`)));
  equal('ill-formed UTF-8', decoded, [
    'a��b', 'a��b', 'a���b', 'a���b', 'a���b', 'a���b', 'a����b', 'a\u{10ffff}�b', 'a�b', 'a�b', 'a�©b', 'a�€b', 'a�b', 'a�b', 'a�b',
  ]);
}

function refusals({ throws, equal }) {
  for (const text of ['a', 'ab=c', 'abc-', '====', 'Zg===', 'Zg=', '\u{a0}Zg==', 'Zm9v\0']) {
    throws(`atob of ${text}`, () => atob(text), DOMException);
    try {
      atob(text);
    } catch (error) {
      equal('name', error.name, 'InvalidCharacterError');
    }
  }
  throws('btoa beyond Latin-1', () => btoa('aā'), DOMException);
  throws('atob without arguments', () => atob(), TypeError);
  throws('btoa without arguments', () => btoa(), TypeError);
  equal('atob and btoa of undefined', [btoa(undefined), atob(null)], ['dW5kZWZpbmVk', '\u009e\u00e9e']);
  for (const text of ['a', 'ab=c', '-_-_', 'Zg=', 'Zg===', 'Zm9v\0', 'Zm9vā']) {
    throws(`fromBase64 of ${text}`, () => Uint8Array.fromBase64(text), SyntaxError);
  }
  for (const text of ['a', '6g', 'g6', '66 ', ' 66', '6', '0x66', '６６', '66ā6']) {
    throws(`fromHex of ${text}`, () => Uint8Array.fromHex(text), SyntaxError);
  }
  throws('strict and no padding', () => Uint8Array.fromBase64('Zg', { lastChunkHandling: 'strict' }), SyntaxError);
  throws('strict and bits behind', () => Uint8Array.fromBase64('Zh==', { lastChunkHandling: 'strict' }), SyntaxError);
  equal('stop before the last', list(Uint8Array.fromBase64('Zm9vZg', { lastChunkHandling: 'stop-before-partial' })), [102, 111, 111]);
  for (const value of [undefined, null, 66, {}, new String('66')]) {
    throws('fromHex of no string', () => Uint8Array.fromHex(value), TypeError);
    throws('fromBase64 of no string', () => Uint8Array.fromBase64(value), TypeError);
  }
  throws('another alphabet', () => Uint8Array.fromBase64('', { alphabet: 'base32' }), TypeError);
  throws('of another array', () => Uint8Array.prototype.toHex.call(new Uint16Array(1)), TypeError);
}

function targets({ equal, throws }) {
  const target = new Uint8Array(4);
  equal('setFromHex', [target.setFromHex('0102'), list(target)], [{ read: 4, written: 2 }, [1, 2, 0, 0]]);
  equal('setFromHex of more than fits', [target.setFromHex('aabbccddee'), list(target)], [{ read: 8, written: 4 }, [170, 187, 204, 221]]);
  equal('setFromBase64', [target.subarray(1).setFromBase64('Zm9v'), list(target)], [{ read: 4, written: 3 }, [170, 102, 111, 111]]);
  equal('setFromBase64 of more than fits', [target.setFromBase64('Zm9vYmFy'), list(target)], [{ read: 4, written: 3 }, [102, 111, 111, 111]]);
  target.buffer.transfer();
  throws('a detached target', () => target.setFromHex('01'), TypeError);
}

export const codecs = {
  'what the standards name': known,
  'round trips': roundTrips,
  'characters in UTF-8': characters,
  'what is refused': refusals,
  'into an array': targets,
};
