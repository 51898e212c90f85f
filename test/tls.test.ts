// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What a real Envoy tells a script of TLS: with a client that shows a certificate, and with an upstream that Envoy shows
// one to.

import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, request as requestTls, type RequestOptions } from 'node:https';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import forge from 'node-forge';
import { expect, test } from 'vitest';
import { fairlead, withEnvoy, envoyMinor, type JsonObject } from './harness.ts';

interface Identity {
  readonly cert: string;
  readonly key: string;
  /** SHA-256 of the certificate, in hexadecimal. */
  readonly digest: string;
}

/** A certificate of its own authority, with three names. */
function identity(name: string): Identity {
  const keys = forge.pki.rsa.generateKeyPair(2048);
  const certificate = forge.pki.createCertificate();
  certificate.publicKey = keys.publicKey;
  certificate.serialNumber = '01';
  certificate.validity.notBefore = new Date(Date.now() - 86_400_000);
  certificate.validity.notAfter = new Date(Date.now() + 86_400_000);
  const subject = [{ name: 'commonName', value: name }];
  certificate.setSubject(subject);
  certificate.setIssuer(subject);
  const dns = 2;
  const uri = 6;
  certificate.setExtensions([
    { name: 'basicConstraints', cA: true },
    {
      name: 'subjectAltName',
      altNames: [
        { type: dns, value: `first.${name}` },
        { type: uri, value: `spiffe://${name}/first` },
        { type: dns, value: `second.${name}` },
      ],
    },
  ]);
  certificate.sign(keys.privateKey, forge.md.sha256.create());
  const der = Buffer.from(forge.asn1.toDer(forge.pki.certificateToAsn1(certificate)).getBytes(), 'latin1');
  return {
    cert: forge.pki.certificateToPem(certificate),
    key: forge.pki.privateKeyToPem(keys.privateKey),
    digest: createHash('sha256').update(der).digest('hex'),
  };
}

const extensions = 'type.googleapis.com/envoy.extensions.';

/** The part of a TLS context that both sides have. */
function context(own: Identity, peer: Identity): JsonObject {
  return {
    tls_certificates: [{ certificate_chain: { inline_string: own.cert }, private_key: { inline_string: own.key } }],
    validation_context: { trusted_ca: { inline_string: peer.cert } },
  };
}

function socket(type: string, fields: JsonObject): JsonObject {
  const config = { '@type': `${extensions}transport_sockets.tls.v3.${type}`, ...fields };
  return { name: 'envoy.transport_sockets.tls', typed_config: config };
}

async function ask(options: RequestOptions): Promise<string> {
  const asked = requestTls({ host: '127.0.0.1', rejectUnauthorized: false, agent: false, ...options });
  asked.end();
  const [answer] = (await once(asked, 'response')) as [IncomingMessage];
  const pieces: Buffer[] = [];
  for await (const piece of answer) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString();
}

test('the certificates of client and upstream are told: version, subject, first names, digest (F051)', async () => {
  const [client, proxy, server] = [identity('client.test'), identity('proxy.test'), identity('server.test')];
  const hooks = `
    onResponse(response, { attributes: a, connection: c }) {
      const of = (side) => ["tls_version", "subject_local_certificate", "subject_peer_certificate", "dns_san_local_certificate",
        "dns_san_peer_certificate", "uri_san_local_certificate", "uri_san_peer_certificate", "sha256_peer_certificate_digest",
        "requested_server_name"].map((name) => a[side + "." + name] ?? null);
      const facts = [c.mtls, c.tlsVersion, c.serverName ?? null, c.peerSubject, c.peerDnsSan, c.peerUriSan, c.peerSha256];
      return Response.json({ mtls: a["connection.mtls"], connection: of("connection"), upstream: of("upstream"), facts });
    }`;
  const upstream = createServer({ cert: server.cert, key: server.key, ca: client.cert, requestCert: true, rejectUnauthorized: false });
  upstream.on('request', (_, response) => response.end('upstream'));
  upstream.listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  try {
    const { port } = upstream.address() as AddressInfo;
    const settings = { transport_socket: socket('UpstreamTlsContext', { sni: 'sni.server.test', common_tls_context: context(proxy, server) }) };
    const tls = socket('DownstreamTlsContext', { require_client_certificate: true, common_tls_context: context(proxy, client) });
    const limits = { cpu_ms: 1000, stream_cpu_ms: 5000 };
    const filters = [fairlead({ inline: `export default { ${hooks} }`, limits })];
    await withEnvoy({ clusters: { upstream: { port, settings } }, filters, tls }, async (envoy) => {
      const text = await ask({ port: envoy.port, cert: client.cert, key: client.key, servername: 'sni.proxy.test' });
      const facts = JSON.parse(text) as { mtls: boolean; connection: unknown[]; upstream: unknown[]; facts: unknown[] };
      const since = (release: number, value: string): string | null => (envoyMinor >= release ? value : null);
      const named = (local: string, peer: string): string[] => [
        ...[`CN=${local}`, `CN=${peer}`, `first.${local}`, `first.${peer}`],
        ...[`spiffe://${local}/first`, `spiffe://${peer}/first`],
      ];
      const down = named('proxy.test', 'client.test');
      expect(facts.mtls).toBe(true);
      expect(facts.connection).toEqual(['TLSv1.3', ...down, client.digest, since(39, 'sni.proxy.test')]);
      const up = named('proxy.test', 'server.test').map((value) => since(39, value));
      // What Envoy speaks to upstreams when it is not told otherwise.
      expect(facts.upstream).toEqual([since(39, 'TLSv1.2'), ...up, since(39, server.digest), since(40, 'sni.server.test')]);
      const [, subject, , dns, , uri] = down;
      expect(facts.facts).toEqual([true, 'TLSv1.3', since(39, 'sni.proxy.test'), subject, dns, uri, client.digest]);
    });
  } finally {
    upstream.close();
  }
});
