// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What Blob, File, FormData and the readers of bodies must do. Node's own are held to most of these cases.

const text = (string) => new TextEncoder().encode(string);
const latin1 = (bytes) => String.fromCharCode(...bytes);

/** Names and values of a form; of a file its name, type and text. */
async function shown(form) {
  const all = [];
  for (const [name, value] of form) {
    all.push(typeof value === 'string' ? [name, value] : [name, value.name, value.type, await value.text()]);
  }
  return all;
}

const multipart = (body, boundary = 'x'.repeat(30)) =>
  new Response(body.replaceAll('\n', '\r\n').replaceAll('BOUNDARY', boundary), {
    headers: { 'content-type': `multipart/form-data; boundary=${boundary}` },
  });

const urlEncoded = (body) => new Response(body, { headers: { 'content-type': 'application/x-www-form-urlencoded' } });

const codeOf = (promise) =>
  promise.then(
    () => 'fulfilled',
    (error) => [error.name, error.code].join(' '),
  );

export const forms = {
  'a Blob is its parts': async ({ equal }) => {
    const parts = ['é', text('ab'), text('xcdx').subarray(1, 3), new DataView(text('ef').buffer), text('gh').buffer, new Blob(['ij']), 1, null, [2, 3]];
    const blob = new Blob(parts, { type: 'Text/Plain;A=B' });
    equal('members', [blob.size, blob.type, await blob.text()], [20, 'text/plain;a=b', 'éabcdefghij1null2,3']);
    equal('text of bytes', await new Blob([text('é').subarray(0, 1), 'a']).text(), '\ufffda');
    equal('no mark', await new Blob(['\ufeffa']).text(), 'a');
    equal('bytes', latin1(new Uint8Array(await new Blob(['é']).arrayBuffer())), 'Ã©');
    equal('surrogates', await new Blob(['\ud800']).text(), '\ufffd');
    equal('none', [new Blob().size, new Blob([]).size, new Blob(undefined, { type: 'a' }).type], [0, 0, 'a']);
    equal('iterables', await new Blob(new Set(['a', 'b'])).text(), 'ab');
    equal('bytes are parts', await new Blob(text('ab')).text(), '9798');
    for (const type of ['é', 'a\nb', '\u007f']) equal(type, new Blob([], { type }).type, '');
    const bytes = text('abc');
    const copy = new Blob([bytes]);
    bytes.fill(0);
    equal('copied', await copy.text(), 'abc');
  },

  'line ends of a Blob become native when it is asked': async ({ equal }) => {
    const ends = 'a\r\nb\rc\nd\r\r\n';
    equal('native', await new Blob([ends], { endings: 'native' }).text(), 'a\nb\nc\nd\n\n');
    equal('transparent', await new Blob([ends], { endings: 'transparent' }).text(), ends);
    equal('bytes', await new Blob([text('a\r\n')], { endings: 'native' }).text(), 'a\r\n');
  },

  'what is no Blob is refused': async ({ throws }) => {
    for (const parts of ['text', 1, null, {}, true]) throws(String(parts), () => new Blob(parts), TypeError);
    throws('options', () => new Blob([], 1), TypeError);
    throws('endings', () => new Blob([], { endings: 'a' }), TypeError);
    throws('symbol', () => new Blob([Symbol()]), TypeError);
    throws('call', () => Blob([]), TypeError);
    throws('brand', () => Object.getOwnPropertyDescriptor(Blob.prototype, 'size').get.call({}), TypeError);
  },

  'a slice is a part of a Blob': async ({ equal }) => {
    const blob = new Blob(['abcdef'], { type: 'a' });
    const cases = [
      [[], 'abcdef'],
      [[2], 'cdef'],
      [[2, 4], 'cd'],
      [[-2], 'ef'],
      [[-4, -2], 'cd'],
      [[4, 2], ''],
      [[100], ''],
      [[-100, 100], 'abcdef'],
      [[undefined, 1], 'a'],
    ];
    for (const [range, want] of cases) equal(String(range), await blob.slice(...range).text(), want);
    equal('type', [blob.slice(0, 1).type, blob.slice(0, 1, 'B').type], ['', 'b']);
    equal('twice', await blob.slice(1, 5).slice(1, 3).text(), 'cd');
  },

  'a Blob is a stream': async ({ equal }) => {
    let size = 0;
    for await (const chunk of new Blob(['a'.repeat(200_000)]).stream()) size += chunk.length;
    equal('size', size, 200_000);
    equal('body', await new Response(new Blob(['ab']).slice(1).stream()).text(), 'b');
  },

  'a File is a Blob with a name': async ({ equal, throws }) => {
    const file = new File(['ab'], 'ü.txt', { type: 'A/b', lastModified: 5 });
    equal('members', [file.name, file.type, file.size, file.lastModified, await file.text()], ['ü.txt', 'a/b', 2, 5, 'ab']);
    equal('kind', [file instanceof Blob, file instanceof File, new Blob() instanceof File], [true, true, false]);
    equal('tags', [String(file), String(new Blob())], ['[object File]', '[object Blob]']);
    equal('slice', [file.slice(1) instanceof File, await file.slice(1).text()], [false, 'b']);
    const before = Date.now();
    const { lastModified } = new File([], 'a');
    equal('now', before <= lastModified && lastModified <= Date.now(), true);
    throws('one', () => new File([]), TypeError);
    throws('parts', () => new File('a', 'b'), TypeError);
    throws('brand', () => Object.getOwnPropertyDescriptor(File.prototype, 'name').get.call(new Blob()), TypeError);
    class Sub extends File {}
    equal('sub', [new Sub([], 'x') instanceof Sub, new Sub([], 'x').name], [true, 'x']);
  },

  'a FormData keeps names and values in order': async ({ equal, throws }) => {
    const form = new FormData();
    form.append('a', '1');
    form.append('b', new Blob(['x'], { type: 't/x' }));
    form.append('a', 2);
    form.append('c', new Blob(['y']), 'y.txt');
    form.append('d', new File(['z'], 'z.txt'));
    equal('all', await shown(form), [['a', '1'], ['b', 'blob', 't/x', 'x'], ['a', '2'], ['c', 'y.txt', '', 'y'], ['d', 'z.txt', '', 'z']]);
    equal('get', [form.get('a'), form.get('none'), form.getAll('a'), form.getAll('none'), form.has('b'), form.has('none')], ['1', null, ['1', '2'], [], true, false]);
    equal('same', form.get('d') === form.get('d'), true);
    form.set('a', '3');
    form.set('e', '4');
    equal('set', [...form.keys()], ['a', 'b', 'c', 'd', 'e']);
    form.delete('b');
    equal('deleted', [...form.keys()], ['a', 'c', 'd', 'e']);
    const seen = [];
    form.forEach(function (value, name, self) {
      seen.push([name, self === form, this.mark]);
    }, { mark: 1 });
    equal('forEach', seen, [['a', true, 1], ['c', true, 1], ['d', true, 1], ['e', true, 1]]);
    equal('kinds', [...form.values()].map((value) => typeof value), ['string', 'object', 'object', 'string']);
    equal('entries', FormData.prototype[Symbol.iterator] === FormData.prototype.entries, true);
    throws('name', () => form.append('a', 'b', 'c'), TypeError);
    throws('form', () => new FormData({}), TypeError);
    throws('few', () => form.append('a'), TypeError);
    equal('surrogates', (form.set('\ud800', '\udfff'), form.get('\ufffd')), '\ufffd');
  },

  'a FormData as a body is multipart, and is read again': async ({ equal }) => {
    const form = new FormData();
    form.append('plain', 'a\nb\r\nc\rd');
    form.append('q"\r\n%', 'ü');
    form.append('file', new File([new Uint8Array([0, 255, 13, 10, 45, 45])], 'q"\n%22ü.bin', { type: 'a/b' }));
    form.append('empty', new File([], 'e'));
    for (const message of [new Response(form), new Request('http://a/', { method: 'POST', body: form })]) {
      const type = message.headers.get('content-type');
      equal('type', /^multipart\/form-data; boundary=[-\w]{27,70}$/.test(type), true);
      const copy = message.clone();
      const body = latin1(await copy.bytes?.() ?? new Uint8Array(await copy.arrayBuffer()));
      const boundary = type.split('=')[1];
      equal('first', body.startsWith(`--${boundary}\r\nContent-Disposition: form-data; name="plain"\r\n\r\na\r\nb\r\nc\r\nd\r\n`), true);
      equal('quoted', body.includes('name="q%22%0D%0A%"\r\n\r\nÃ¼\r\n'), true);
      equal('end', body.endsWith(`\r\n--${boundary}--\r\n`) || body.endsWith(`\r\n--${boundary}--`), true);
      const back = await message.formData();
      equal('back', (await shown(back)).slice(0, 2), [['plain', 'a\r\nb\r\nc\r\nd'], ['q"\r\n%', 'ü']]);
      const file = back.get('file');
      equal('file', [file.type, [...new Uint8Array(await file.arrayBuffer())]], ['a/b', [0, 255, 13, 10, 45, 45]]);
      equal('empty', [back.get('empty').size, back.get('empty').name, back.get('empty').type], [0, 'e', 'application/octet-stream']);
    }
    const empty = new Response(new FormData());
    equal('no parts', await shown(await empty.formData()), []);
    equal('own type', new Response(form, { headers: { 'content-type': 'a/b' } }).headers.get('content-type'), 'a/b');
  },

  'parts are read as they are written': async ({ equal }) => {
    const cases = [
      ['--BOUNDARY\nContent-Disposition: form-data; name="a"\n\nb\n--BOUNDARY--', [['a', 'b']]],
      ['--BOUNDARY\nContent-Disposition: form-data; name="a"\n\nb\n--BOUNDARY--\n', [['a', 'b']]],
      ['\n--BOUNDARY\ncontent-disposition: form-data; name="a"\n\n\n--BOUNDARY--\n', [['a', '']]],
      ['--BOUNDARY\nContent-Disposition: form-data; name="a"; filename="f"\nContent-Type: x/y\n\nb\n--BOUNDARY--\n', [['a', 'f', 'x/y', 'b']]],
      ['--BOUNDARY\nContent-Disposition: form-data; name="a"; filename="f"\n\nb\n--BOUNDARY--\n', [['a', 'f', 'text/plain', 'b']]],
      ['--BOUNDARY\nX-Other: 1\nContent-Disposition: form-data; name="a"\n\n--BOUNDARX\n--BOUNDARY--\n', [['a', '--BOUNDARX']]],
      ['--BOUNDARY\nContent-Disposition: form-data; name="%22%0D%0A%41"\n\nb\n--BOUNDARY--\n', [['"\r\n%41', 'b']]],
      ['--BOUNDARY\nContent-Disposition: form-data; name="ü"; filename="ä"\n\nö\n--BOUNDARY--\n', [['ü', 'ä', 'text/plain', 'ö']]],
      ["--BOUNDARY\nContent-Disposition: form-data; name=\"a\"; filename*=UTF-8''%e2%82%ac%20rates\n\nb\n--BOUNDARY--\n", [['a', '€ rates', 'text/plain', 'b']]],
    ];
    for (const [body, want] of cases) equal(body, await shown(await multipart(body).formData()), want);
  },

  'pairs are read as they are written': async ({ equal }) => {
    const cases = [
      ['a=1&b=x+y&a=%C3%A9', [['a', '1'], ['b', 'x y'], ['a', 'é']]],
      ['', []],
      ['&&a&=b', [['a', ''], ['', 'b']]],
      ['?a=1', [['?a', '1']]],
      ['a=%ff%41', [['a', '\ufffdA']]],
      ['a=b=c%26', [['a', 'b=c&']]],
    ];
    for (const [body, want] of cases) equal(body, await shown(await urlEncoded(body).formData()), want);
    equal('params', await shown(await new Response(new URLSearchParams({ a: 'b c' })).formData()), [['a', 'b c']]);
  },

  'what is no form is a TypeError': async ({ equal }) => {
    const bodies = [
      'no boundary',
      '--BOUNDARY',
      '--BOUNDARY\nContent-Disposition: form-data; name="a"\n\nb',
      '--BOUNDARY\nContent-Disposition: form-data; name="a"\n\nb\n--BOUNDARY',
      '--BOUNDARY\nContent-Disposition: form-data\n\nb\n--BOUNDARY--\n',
      '--BOUNDARY\n\nb\n--BOUNDARY--\n',
      '--BOUNDARY\nContent-Disposition: form-data; name="a\n\nb\n--BOUNDARY--\n',
      '--BOUNDARY\nContent-Disposition: attachment; name="a"\n\nb\n--BOUNDARY--\n',
      '--BOUNDARY\nno header\n\nb\n--BOUNDARY--\n',
      '--BOUNDARYContent-Disposition: form-data; name="a"\n\nb\n--BOUNDARY--\n',
    ];
    for (const body of bodies) equal(body, (await codeOf(multipart(body).formData())).split(' ')[0], 'TypeError');
    for (const type of ['text/plain', 'multipart/form-data', 'multipart/mixed; boundary=a']) {
      const message = new Response('a=b', { headers: { 'content-type': type } });
      equal(type, (await codeOf(message.formData())).split(' ')[0], 'TypeError');
    }
    equal('none', (await codeOf(new Response(text('a=b')).formData())).split(' ')[0], 'TypeError');
  },

  'blob() is the bytes with their type': async ({ equal }) => {
    const blob = await new Response('ab', { headers: { 'content-type': 'A/B' } }).blob();
    equal('members', [blob.size, blob.type, await blob.text()], [2, 'a/b', 'ab']);
    equal('no body', [(await new Response().blob()).size, (await new Response().blob()).type], [0, '']);
    const used = new Response('a');
    await used.blob();
    equal('used', [used.bodyUsed, (await codeOf(used.formData())).split(' ')[0]], [true, 'TypeError']);
    const file = new Response(new File(['x'], 'x.txt', { type: 'c/d' }));
    equal('type of a body', [file.headers.get('content-type'), await file.text()], ['c/d', 'x']);
    equal('no type', new Response(new Blob(['x'])).headers.get('content-type'), null);
  },

  'a form that is cut anywhere is the same form': async ({ equal }) => {
    const form = new FormData();
    form.append('ü', 'ö\r\n--x');
    form.append('f', new File(['\r\n--\r\n'], 'ä"'));
    const whole = new Response(form);
    const type = whole.headers.get('content-type');
    const bytes = new Uint8Array(await whole.arrayBuffer());
    const want = await shown(await new Response(bytes, { headers: { 'content-type': type } }).formData());
    for (let at = 0; at <= bytes.length; at++) {
      const pieces = ReadableStream.from([bytes.slice(0, at), bytes.slice(at)]);
      equal(`at ${at}`, await shown(await new Response(pieces, { headers: { 'content-type': type } }).formData()), want);
    }
  },
};

/** What Node does otherwise, or cannot know. */
export const ownForms = {
  'places in a Blob are rounded to even ones': async ({ equal }) => {
    equal('half', await new Blob(['abcdef']).slice(1.5, 3.5).text(), 'cd');
    equal('others', await new Blob(['abcdef']).slice(NaN, Infinity).text(), 'abcdef');
    equal('texts', await new Blob(['abcdef']).slice('1', '3').text(), 'bc');
  },

  'errors have codes, and forms limits': async ({ equal, throws }) => {
    equal('form', await codeOf(new Response('a').formData()), 'TypeError E_FORM');
    equal('cut', await codeOf(multipart('--BOUNDARY\n').formData()), 'TypeError E_FORM');
    throws('blob', () => new Blob('a'), TypeError, 'E_ARGUMENT');
    throws('endings', () => new Blob([], { endings: 'a' }), TypeError, 'E_OPTION');
    throws('clone', () => structuredClone(new FormData()), DOMException, 'E_DATA_CLONE');

    const part = (name, more = '') => `--BOUNDARY\nContent-Disposition: form-data; name="${name}"${more}\n\nb\n`;
    const parts = (count) => multipart(part('a').repeat(count) + '--BOUNDARY--').formData();
    equal('a thousand', (await parts(1000)).getAll('a').length, 1000);
    equal('one more', await codeOf(parts(1001)), 'RangeError E_FORM_LIMIT');
    const pairs = (count) => urlEncoded(Array(count).fill('a=b').join('&')).formData();
    equal('a thousand pairs', (await pairs(1000)).getAll('a').length, 1000);
    equal('one more pair', await codeOf(pairs(1001)), 'RangeError E_FORM_LIMIT');
    const named = (size) => multipart(`${part('a'.repeat(size))}--BOUNDARY--`).formData();
    equal('long', [...(await named(1024)).keys()][0].length, 1024);
    equal('longer', await codeOf(named(1025)), 'RangeError E_FORM_LIMIT');
    equal('file name', await codeOf(multipart(`${part('a', `; filename="${'b'.repeat(1025)}"`)}--BOUNDARY--`).formData()), 'RangeError E_FORM_LIMIT');
    const headed = (size) => multipart(part('a', `\nX-A: ${'b'.repeat(size)}`) + '--BOUNDARY--').formData();
    equal('headers', [...(await headed(8000)).keys()], ['a']);
    equal('more headers', await codeOf(headed(9000)), 'RangeError E_FORM_LIMIT');
    equal('no end', await codeOf(multipart(`--BOUNDARY\n${'a'.repeat(9000)}`).formData()), 'RangeError E_FORM_LIMIT');
  },

  'names are read in each way that clients write them': async ({ equal }) => {
    const disposition = (parameters) => multipart(`--BOUNDARY\nContent-Disposition: form-data; ${parameters}\n\nb\n--BOUNDARY--`).formData();
    const cases = [
      ['name=a', [['a', 'b']]],
      ['name=a ; filename=c.txt', [['a', 'c.txt', 'text/plain', 'b']]],
      ['NAME="a";FileName="c"', [['a', 'c', 'text/plain', 'b']]],
      ['name="a\\"b"', [['a"b', 'b']]],
      ['name="a"; filename="C:\\dir\\f"', [['a', 'C:\\dir\\f', 'text/plain', 'b']]],
      ['name="a;b=c"', [['a;b=c', 'b']]],
      ["name*=utf-8''%C3%A9", [['é', 'b']]],
      ["name=a; filename=plain; filename*=iso-8859-1'en'%E9", [['a', 'é', 'text/plain', 'b']]],
      ["name=a; filename=plain; filename*=koi8-r''%C1", [['a', 'plain', 'text/plain', 'b']]],
      ["name=a; filename=plain; filename*=UTF-8''%4", [['a', 'plain', 'text/plain', 'b']]],
      ["name=a; filename*=UTF-8''%ff", [['a', '\ufffd', 'text/plain', 'b']]],
    ];
    for (const [parameters, want] of cases) equal(parameters, await shown(await disposition(parameters)), want);
    const quoted = new Response('--a b\r\nContent-Disposition: form-data; name=a\r\n\r\nb\r\n--a b--', {
      headers: { 'content-type': 'Multipart/Form-Data; charset=utf-8; boundary="a b"' },
    });
    equal('quoted boundary', await shown(await quoted.formData()), [['a', 'b']]);
    const padded = multipart('--BOUNDARY \t\nContent-Disposition: form-data; name=a\n\nb\n--BOUNDARY--\nepilogue');
    equal('padding', await shown(await padded.formData()), [['a', 'b']]);
    equal('garbage', await codeOf(multipart('--BOUNDARY\nContent-Disposition: form-data; name=a\n\nb\n--BOUNDARY--x').formData()), 'TypeError E_FORM');
    for (const boundary of ['', 'a'.repeat(71)]) {
      const message = new Response('a', { headers: { 'content-type': `multipart/form-data; boundary=${boundary}` } });
      equal(boundary, await codeOf(message.formData()), 'TypeError E_FORM');
    }
  },
};
