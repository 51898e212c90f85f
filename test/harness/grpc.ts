// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

import { Http2Client, type HeaderPair, type Target } from './client.ts';
import type { Handler } from './upstream.ts';

/** What a gRPC client makes of a unary call. */
export interface GrpcResult {
  httpStatus: number;
  contentType: string | null;
  /** `null` when the server sent no `grpc-status`, which a client treats as an error of its own. */
  status: number | null;
  /** Percent-decoded; `null` when absent. */
  message: string | null;
  /** The status came in the response headers and nothing followed. */
  headersOnly: boolean;
  messages: Buffer[];
}

/** One uncompressed, length-prefixed message. */
export function grpcFrame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Splits a body into its messages; bytes that do not add up are an error. */
export function grpcMessages(body: Buffer): Buffer[] {
  const messages: Buffer[] = [];
  let at = 0;
  while (at < body.length) {
    if (body.length - at < 5) throw new Error('gRPC frame cut in its head');
    const end = at + 5 + body.readUInt32BE(at + 1);
    if (end > body.length) throw new Error('gRPC frame cut in its message');
    messages.push(body.subarray(at + 5, end));
    at = end;
  }
  return messages;
}

/** A unary call over cleartext HTTP/2. */
export async function grpcUnary(
  target: Target,
  path: string,
  message: Uint8Array = new Uint8Array(),
  headers: readonly HeaderPair[] = [],
): Promise<GrpcResult> {
  const client = await Http2Client.connect(target);
  try {
    const answer = await client.request(path, {
      method: 'POST',
      headers: [['content-type', 'application/grpc'], ['te', 'trailers'], ...headers],
      body: grpcFrame(message),
    });
    const headersOnly = answer.headers.has('grpc-status');
    const from = headersOnly ? answer.headers : answer.trailers;
    const status = from.get('grpc-status');
    const text = from.get('grpc-message');
    return {
      httpStatus: answer.status,
      contentType: answer.headers.get('content-type'),
      status: status === null ? null : Number(status),
      message: text === null ? null : decodeURIComponent(text),
      headersOnly,
      messages: grpcMessages(answer.body),
    };
  } finally {
    await client.close();
  }
}

/** A gRPC server's part: sends each message back and ends with status 0. Requires an HTTP/2 upstream. */
export const grpcEcho: Handler = async (exchange) => {
  const { body } = await exchange.whole;
  exchange.respond(200, [['content-type', 'application/grpc']], body, [['grpc-status', '0']]);
};
