// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Answers /url, /encoding and so on with what came of the cases in the file of that name; /url-data/FORM with what came of
// those in the body.

import { defineFilter } from 'fairlead';
import { runAll } from './checks.js';
import { clone } from './clone.js';
import { codecs } from './codecs.js';
import { compression, own } from './compression.js';
import { crypto_ } from './crypto.js';
import { encoding } from './encoding.js';
import { forms, ownForms } from './forms.js';
import { streams } from './streams.js';
import { url } from './url.js';
import { urlData } from './url-data.js';
import { urlpattern } from './urlpattern.js';

const files = {
  clone,
  codecs,
  compression: { ...compression, ...own },
  crypto: crypto_,
  encoding,
  forms: { ...forms, ...ownForms },
  streams,
  url,
  urlpattern,
};

export default defineFilter({
  async onRequest(request) {
    const [, file, form] = request.path.split('/');
    if (file === 'url-data') return Response.json(urlData(form, await request.json()));
    return Response.json(await runAll(files[file]));
  },
});
