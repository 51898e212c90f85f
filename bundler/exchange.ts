// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { request } from 'node:http';

/** Header lines in the order of the wire, names in lower case. */
export type HeaderLines = ReadonlyArray<readonly [name: string, value: string]>;

export interface RequestToSend {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: HeaderLines;
  readonly body: string;
}

/** Sends one request to a port of this machine, over a connection of its own. */
export function exchange(port: number, { method, path, headers, body }: RequestToSend): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, method, path, headers, agent: false }, (response) => {
      const pieces: Buffer[] = [];
      response.on('data', (piece: Buffer) => pieces.push(piece));
      response.on('error', reject);
      response.on('end', () => {
        resolve({
          status: response.statusCode ?? 0,
          headers: headerLines(response.rawHeaders),
          body: Buffer.concat(pieces).toString(),
        });
      });
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Node's flat list of names and values as lines. */
export function headerLines(raw: readonly string[]): HeaderLines {
  const lines: Array<readonly [string, string]> = [];
  for (let at = 0; at + 1 < raw.length; at += 2) lines.push([(raw[at] ?? '').toLowerCase(), raw[at + 1] ?? '']);
  return lines;
}
