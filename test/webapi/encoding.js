// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What TextEncoder and TextDecoder must do.

const R = '\uFFFD';
const bytes = (...values) => new Uint8Array(values);
const hex = (view) => [...view].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');

/** A text, and its UTF-8. */
const encoded = [
  ['', ''],
  ['abc', '61 62 63'],
  ['é€😀', 'c3 a9 e2 82 ac f0 9f 98 80'],
  ['\uD800', 'ef bf bd'],
  ['\uDC00\uD800', 'ef bf bd ef bf bd'],
  ['\uD83D\uD83D\uDE00', 'ef bf bd f0 9f 98 80'],
  ['\0\x7f\x80', '00 7f c2 80'],
  ['\uFEFF\uFFFF', 'ef bb bf ef bf bf'],
  ['\uD7FF\uE000', 'ed 9f bf ee 80 80'],
  [undefined, ''],
  [null, '6e 75 6c 6c'],
];

/** A text, the room for it, and what encodeInto() does. */
const encodedInto = [
  ['abc', 3, 3, '61 62 63'],
  ['abc', 2, 2, '61 62'],
  ['é', 1, 0, ''],
  ['aé', 2, 1, '61'],
  ['😀', 3, 0, ''],
  ['😀', 4, 2, 'f0 9f 98 80'],
  ['a😀b', 5, 3, '61 f0 9f 98 80'],
  ['\uD800x', 4, 2, 'ef bf bd 78'],
  ['\uD800x', 2, 0, ''],
  ['€€', 4, 1, 'e2 82 ac'],
  ['', 2, 0, ''],
  ['abc', 0, 0, ''],
];

const labels = {
  'utf-8': [
    'utf-8',
    'UTF8',
    ' Utf-8\n',
    '\t\f\r unicode-1-1-utf-8',
    'unicode11utf8',
    'unicode20utf8',
    'x-unicode20utf8',
  ],
  'utf-16le': ['utf-16', 'UTF-16LE', 'ucs-2', 'unicode', 'csunicode', 'iso-10646-ucs-2', 'unicodefeff'],
  'windows-1252': [
    'latin1',
    'ASCII',
    'us-ascii',
    'l1',
    'iso-8859-1',
    'windows-1252',
    'ansi_x3.4-1968',
    'cp1252',
    'cp819',
    'csisolatin1',
    'ibm819',
    'iso-ir-100',
    'iso8859-1',
    'iso88591',
    'iso_8859-1',
    'iso_8859-1:1987',
    'x-cp1252',
  ],
};
const unknownLabels = [
  '',
  'utf-9',
  'utf-16be',
  'utf8 x',
  '\u00a0utf-8',
  'utf-8\0',
  'shift_jis',
  'ＵＴＦ-8',
  'utf',
  null,
];

/** Bytes, and their text. */
const utf8 = [
  [[], ''],
  [[0x61], 'a'],
  [[0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80], 'é€😀'],
  [[0xff], R],
  [[0xc0, 0x80], R + R],
  [[0xc1, 0xbf], R + R],
  [[0x80], R],
  [[0xc3], R],
  [[0xc3, 0x28], `${R}(`],
  [[0xe2, 0x82], R],
  [[0xe2, 0x82, 0x28], `${R}(`],
  [[0xe2, 0x28, 0xa1], `${R}(${R}`],
  [[0xe0, 0x9f, 0xbf], R + R + R],
  [[0xed, 0xa0, 0x80], R + R + R],
  [[0xed, 0x9f, 0xbf], '\ud7ff'],
  [[0xf0, 0x90, 0x80, 0x41], `${R}A`],
  [[0xf0, 0x80, 0x80, 0x80], R + R + R + R],
  [[0xf4, 0x8f, 0xbf, 0xbf], '\u{10FFFF}'],
  [[0xf4, 0x90, 0x80, 0x80], R + R + R + R],
  [[0xf8], R],
  [[0x41, 0xc3, 0xf0, 0x9f, 0x42], `A${R}${R}B`],
  [[0xe1, 0x80, 0xe2, 0xf0, 0x91, 0x92, 0xf1, 0xbf, 0x41], `${R}${R}${R}${R}A`],
  [[0xef, 0xbb, 0xbf, 0x61], 'a'],
  [[0xef, 0xbb, 0xbf], ''],
  [[0xef, 0xbb, 0xbf, 0xef, 0xbb, 0xbf], '\ufeff'],
  [[0x61, 0xef, 0xbb, 0xbf], 'a\ufeff'],
  [[0xef, 0xbb], R],
  [[0xef, 0xbb, 0x61], `${R}a`],
  [[0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0xff, 0x6a], `abcdefghi${R}j`],
];

const utf16 = [
  [[], ''],
  [[0x61, 0], 'a'],
  [[0xac, 0x20, 0x3d, 0xd8, 0, 0xde], '€😀'],
  [[0x61], R],
  [[0x61, 0, 0x62], `a${R}`],
  [[0x3d, 0xd8], R],
  [[0x3d, 0xd8, 0x00], R],
  [[0, 0xde], R],
  [[0x3d, 0xd8, 0x61, 0], `${R}a`],
  [[0x3d, 0xd8, 0x3d, 0xd8, 0, 0xde], `${R}😀`],
  [[0xff, 0xfe, 0x61, 0], 'a'],
  [[0xff, 0xfe, 0xff, 0xfe], '\ufeff'],
  [[0xfe, 0xff], '\ufffe'],
  [[0xff, 0xdb, 0xff, 0xdf], '\u{10FFFF}'],
];

/** Every way to cut the bytes in two, and one byte a call. */
function decodeCut({ equal, throws }, label, table) {
  for (const [list, text] of table) {
    const name = `${label} ${hex(list)}`;
    equal(name, new TextDecoder(label).decode(bytes(...list)), text);
    for (let cut = 0; cut <= list.length; cut++) {
      const decoder = new TextDecoder(label);
      const first = decoder.decode(bytes(...list.slice(0, cut)), { stream: true });
      equal(`${name} cut at ${cut}`, first + decoder.decode(bytes(...list.slice(cut))), text);
    }
    const decoder = new TextDecoder(label);
    const pieces = list.map((byte) => decoder.decode(bytes(byte), { stream: true }));
    equal(`${name} byte by byte`, pieces.join('') + decoder.decode(), text);
    equal(`${name} anew`, decoder.decode(bytes(...list)), text);
    const strict = new TextDecoder(label, { fatal: true });
    if (text.includes(R)) throws(`${name} strict`, () => strict.decode(bytes(...list)), TypeError, 'E_DECODE');
    else equal(`${name} strict`, strict.decode(bytes(...list)), text);
  }
}

export const encoding = {
  'text is written as UTF-8 (W02)'({ equal, throws }) {
    const encoder = new TextEncoder();
    for (const [text, want] of encoded) equal(`encode ${JSON.stringify(text)}`, hex(encoder.encode(text)), want);
    equal('type', [encoder.encoding, encoder.encode() instanceof Uint8Array], ['utf-8', true]);
    throws('symbol', () => encoder.encode(Symbol()), TypeError);
    for (const [text, room, read, want] of encodedInto) {
      const target = new Uint8Array(room);
      const result = encoder.encodeInto(text, target);
      const written = want === '' ? 0 : want.split(' ').length;
      equal(
        `encodeInto ${JSON.stringify(text)} ${room}`,
        [result, hex(target.slice(0, written))],
        [{ read, written }, want],
      );
      equal(
        'the rest',
        target.slice(written).every((byte) => byte === 0),
        true,
      );
    }
    const whole = new Uint8Array(6);
    encoder.encodeInto('wxyz', whole.subarray(2, 5));
    equal('into a part', hex(whole), '00 00 77 78 79 00');
    for (const target of [
      new Uint8ClampedArray(4),
      new Int8Array(4),
      new DataView(new ArrayBuffer(4)),
      new ArrayBuffer(4),
      [],
      null,
    ]) {
      throws('target', () => encoder.encodeInto('a', target), TypeError, 'E_ARGUMENT');
    }
    throws('no target', () => encoder.encodeInto('a'), TypeError, 'E_MISSING_ARGUMENT');
  },

  'labels are those of the standard (W03)'({ equal, throws }) {
    for (const [name, list] of Object.entries(labels)) {
      for (const label of list) equal(`label ${label}`, new TextDecoder(label).encoding, name);
    }
    for (const label of unknownLabels) throws(`label ${label}`, () => new TextDecoder(label), RangeError, 'E_ENCODING');
    const plain = new TextDecoder();
    equal('defaults', [plain.encoding, plain.fatal, plain.ignoreBOM], ['utf-8', false, false]);
    const set = new TextDecoder(undefined, { fatal: 1, ignoreBOM: 'x' });
    equal('options', [set.fatal, set.ignoreBOM], [true, true]);
    equal('null', new TextDecoder('utf-8', null).fatal, false);
    throws('no object', () => new TextDecoder('utf-8', 5), TypeError, 'E_ARGUMENT');
  },

  'UTF-8 is read, cut at any byte (W03)'(checks) {
    decodeCut(checks, 'utf-8', utf8);
    const text = 'aé€😀\ufeff\u0800\u{10000}z';
    const list = new TextEncoder().encode(text);
    for (let i = 0; i <= list.length; i++) {
      for (let j = i; j <= list.length; j++) {
        const decoder = new TextDecoder();
        const start =
          decoder.decode(list.subarray(0, i), { stream: true }) + decoder.decode(list.subarray(i, j), { stream: true });
        checks.equal(`cut at ${i} and ${j}`, start + decoder.decode(list.subarray(j)), text);
      }
    }
  },

  'UTF-16 is read, cut at any byte (W03)'(checks) {
    decodeCut(checks, 'utf-16le', utf16);
  },

  'windows-1252 is read (W03)'({ equal }) {
    const high =
      '€\x81‚ƒ„…†‡ˆ‰Š‹Œ\x8dŽ\x8f\x90‘’“”•–—˜™š›œ\x9džŸ' +
      String.fromCharCode(...Array.from({ length: 96 }, (_, i) => 0xa0 + i));
    const upper = Uint8Array.from({ length: 128 }, (_, i) => 0x80 + i);
    equal('upper half', new TextDecoder('latin1', { fatal: true }).decode(upper), high);
    equal('lower half', new TextDecoder('ascii').decode(bytes(0, 0x41, 0x7f)), '\0A\x7f');
    equal('no byte order mark', new TextDecoder('latin1').decode(bytes(0xef, 0xbb, 0xbf)), 'ï»¿');
  },

  'a byte order mark is dropped once (W03)'({ equal }) {
    equal('kept', new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes(0xef, 0xbb, 0xbf, 0x61)), '\ufeffa');
    const decoder = new TextDecoder();
    const mark = bytes(0xef, 0xbb, 0xbf);
    equal('at the begin', decoder.decode(mark, { stream: true }) + decoder.decode(mark), '\ufeff');
    equal('after nothing', decoder.decode(bytes(), { stream: true }) + decoder.decode(mark), '');
    equal('not later', decoder.decode(bytes(0x61), { stream: true }) + decoder.decode(mark), 'a\ufeff');
  },

  'a strict decoder goes on after an error (W03)'({ equal, throws }) {
    const decoder = new TextDecoder('utf-8', { fatal: true });
    equal('cut', decoder.decode(bytes(0xe2), { stream: true }), '');
    throws('at the end', () => decoder.decode(), TypeError, 'E_DECODE');
    throws('in between', () => decoder.decode(bytes(0xff, 0x41), { stream: true }), TypeError, 'E_DECODE');
    equal('after it', decoder.decode(bytes(0x62)), 'b');
  },

  'bytes come from buffers and all views of them (W03, H126)'({ equal, throws }) {
    const { buffer } = new TextEncoder().encode('abcdefgh');
    const decoder = new TextDecoder();
    equal('buffer', decoder.decode(buffer), 'abcdefgh');
    equal(
      'DataView',
      [decoder.decode(new DataView(buffer, 2, 3)), decoder.decode(new DataView(buffer, 5))],
      ['cde', 'fgh'],
    );
    equal(
      'views',
      [new Uint16Array(buffer, 2, 2), new BigInt64Array(buffer), new Uint8ClampedArray(buffer, 7)].map((view) =>
        decoder.decode(view),
      ),
      ['cdef', 'abcdefgh', 'h'],
    );
    equal(
      'empty',
      [new ArrayBuffer(0), new Uint8Array(0), new DataView(new ArrayBuffer(0)), undefined].map((view) =>
        decoder.decode(view),
      ),
      ['', '', '', ''],
    );
    for (const input of [null, 1, 'x', {}, [1]])
      throws('no bytes', () => decoder.decode(input), TypeError, 'E_ARGUMENT');
    throws('no options', () => decoder.decode(buffer, 1), TypeError, 'E_ARGUMENT');

    const resizable = new ArrayBuffer(4, { maxByteLength: 8 });
    const views = [new Uint8Array(resizable), new DataView(resizable, 1), new Uint16Array(resizable)];
    views[0].set([0x61, 0x62, 0x63, 0x64]);
    equal(
      'tracking',
      views.map((view) => decoder.decode(view)),
      ['abcd', 'bcd', 'abcd'],
    );
    resizable.resize(3);
    equal(
      'shrunk',
      views.map((view) => decoder.decode(view)),
      ['abc', 'bc', 'ab'],
    );
    const fixed = [new Uint8Array(resizable, 1, 2), new DataView(resizable, 1, 2)];
    resizable.resize(2);
    for (const view of fixed) throws('out of bounds', () => decoder.decode(view), TypeError, 'E_ARGUMENT');

    const gone = new Uint8Array(2);
    const goneView = new DataView(gone.buffer);
    gone.buffer.transfer();
    for (const view of [gone, goneView, gone.buffer])
      throws('detached', () => decoder.decode(view), TypeError, 'E_ARGUMENT');
    throws('detached target', () => new TextEncoder().encodeInto('a', gone), TypeError, 'E_ARGUMENT');
    const going = new Uint8Array(2);
    throws(
      'detached by an option',
      () =>
        decoder.decode(going, {
          get stream() {
            going.buffer.transfer();
          },
        }),
      TypeError,
      'E_ARGUMENT',
    );
    const target = new Uint8Array(2);
    throws(
      'detached by the text',
      () =>
        new TextEncoder().encodeInto(
          {
            toString() {
              target.buffer.transfer();
              return 'a';
            },
          },
          target,
        ),
      TypeError,
      'E_ARGUMENT',
    );
  },
};
