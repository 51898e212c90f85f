// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * What Envoy knows of an exchange, by its own names of attributes.
 *
 * A fact that this Envoy does not tell, or that is not known yet, is undefined. A name that is not here throws; all of
 * them can be listed with `Object.keys`.
 *
 * @since 1
 */
export interface Attributes {
  /**
   * The target of the request as it is now, query included.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["request.path"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "request.path": string | undefined;

  /**
   * The target of the request without its query.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["request.url_path"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "request.url_path": string | undefined;

  /**
   * The host that the request names: `:authority`.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["request.host"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "request.host": string | undefined;

  /**
   * The scheme of the request.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["request.scheme"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "request.scheme": string | undefined;

  /**
   * The method of the request.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["request.method"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "request.method": string | undefined;

  /**
   * The `referer` header.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["request.referer"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "request.referer": string | undefined;

  /**
   * The `user-agent` header.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["request.useragent"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "request.useragent": string | undefined;

  /**
   * The `x-request-id` header.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["request.id"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "request.id": string | undefined;

  /**
   * `HTTP/1.0`, `HTTP/1.1`, `HTTP/2` or `HTTP/3`.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["request.protocol"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "request.protocol": string | undefined;

  /**
   * The query of the target, without its question mark.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["request.query"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "request.query": string | undefined;

  /**
   * Bytes of the request's body so far. Since Envoy 1.40.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["request.size"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "request.size": number | undefined;

  /**
   * Bytes of the request so far, its headers included. Since Envoy 1.40.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["request.total_size"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "request.total_size": number | undefined;

  /**
   * The status of the response: the upstream's, and in `onLog` the one that the client got.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["response.code"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "response.code": number | undefined;

  /**
   * Why the response has its status, in Envoy's words: `via_upstream`, `route_not_found`, …. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["response.code_details"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "response.code_details": string | undefined;

  /**
   * Envoy's response flags as the bits that access logs had first; 0 is none. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["response.flags"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "response.flags": number | undefined;

  /**
   * The gRPC status; of an answer without one what Envoy makes of its status. Since Envoy 1.40.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["response.grpc_status"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "response.grpc_status": number | undefined;

  /**
   * Bytes of the response's body so far. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["response.size"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "response.size": number | undefined;

  /**
   * Bytes of the response so far, its headers included. Since Envoy 1.40.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["response.total_size"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "response.total_size": number | undefined;

  /**
   * Address and port of the client, as headers say that Envoy trusts.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["source.address"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "source.address": string | undefined;

  /**
   * Port of the client.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["source.port"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "source.port": number | undefined;

  /**
   * Address and port that the client has connected to.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["destination.address"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "destination.address": string | undefined;

  /**
   * Port that the client has connected to.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["destination.port"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "destination.port": number | undefined;

  /**
   * Number of the client's connection.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["connection.id"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "connection.id": number | undefined;

  /**
   * Whether the client has shown a certificate; absent without TLS.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["connection.mtls"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "connection.mtls": boolean | undefined;

  /**
   * The server name that the client asked for in its TLS handshake. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["connection.requested_server_name"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "connection.requested_server_name": string | undefined;

  /**
   * The version of TLS that the client speaks.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["connection.tls_version"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "connection.tls_version": string | undefined;

  /**
   * The subject of Envoy's certificate.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["connection.subject_local_certificate"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "connection.subject_local_certificate": string | undefined;

  /**
   * The subject of the client's certificate.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["connection.subject_peer_certificate"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "connection.subject_peer_certificate": string | undefined;

  /**
   * The first DNS name of Envoy's certificate.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["connection.dns_san_local_certificate"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "connection.dns_san_local_certificate": string | undefined;

  /**
   * The first DNS name of the client's certificate.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["connection.dns_san_peer_certificate"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "connection.dns_san_peer_certificate": string | undefined;

  /**
   * The first URI of Envoy's certificate.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["connection.uri_san_local_certificate"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "connection.uri_san_local_certificate": string | undefined;

  /**
   * The first URI of the client's certificate.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["connection.uri_san_peer_certificate"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "connection.uri_san_peer_certificate": string | undefined;

  /**
   * The SHA-256 of the client's certificate, in hexadecimal.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["connection.sha256_peer_certificate_digest"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "connection.sha256_peer_certificate_digest": string | undefined;

  /**
   * Why the client's TLS failed. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["connection.transport_failure_reason"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "connection.transport_failure_reason": string | undefined;

  /**
   * Why Envoy has ended the client's connection. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["connection.termination_details"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "connection.termination_details": string | undefined;

  /**
   * Address and port of the upstream host.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["upstream.address"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "upstream.address": string | undefined;

  /**
   * Port of the upstream host.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["upstream.port"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "upstream.port": number | undefined;

  /**
   * The version of TLS that the upstream speaks. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["upstream.tls_version"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "upstream.tls_version": string | undefined;

  /**
   * The subject of the certificate that Envoy showed to the upstream. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["upstream.subject_local_certificate"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "upstream.subject_local_certificate": string | undefined;

  /**
   * The subject of the upstream's certificate. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["upstream.subject_peer_certificate"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "upstream.subject_peer_certificate": string | undefined;

  /**
   * The first DNS name of the certificate that Envoy showed to the upstream. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["upstream.dns_san_local_certificate"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "upstream.dns_san_local_certificate": string | undefined;

  /**
   * The first DNS name of the upstream's certificate. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["upstream.dns_san_peer_certificate"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "upstream.dns_san_peer_certificate": string | undefined;

  /**
   * The first URI of the certificate that Envoy showed to the upstream. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["upstream.uri_san_local_certificate"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "upstream.uri_san_local_certificate": string | undefined;

  /**
   * The first URI of the upstream's certificate. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["upstream.uri_san_peer_certificate"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "upstream.uri_san_peer_certificate": string | undefined;

  /**
   * The SHA-256 of the upstream's certificate, in hexadecimal. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["upstream.sha256_peer_certificate_digest"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "upstream.sha256_peer_certificate_digest": string | undefined;

  /**
   * Address and port from which Envoy speaks to the upstream. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["upstream.local_address"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "upstream.local_address": string | undefined;

  /**
   * Why the TLS to the upstream failed. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["upstream.transport_failure_reason"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "upstream.transport_failure_reason": string | undefined;

  /**
   * How often Envoy has sent the request; 0 before the first time. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["upstream.request_attempt_count"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "upstream.request_attempt_count": number | undefined;

  /**
   * The server name that Envoy asked the upstream for in its TLS handshake. Since Envoy 1.40.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["upstream.requested_server_name"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "upstream.requested_server_name": string | undefined;

  /**
   * The version of HTTP that the upstream speaks. Since Envoy 1.40.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["upstream.protocol"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "upstream.protocol": string | undefined;

  /**
   * The cluster that the route has chosen. Since Envoy 1.40.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["xds.cluster_name"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "xds.cluster_name": string | undefined;

  /**
   * The direction of the listener: 0 is unspecified, 1 inbound, 2 outbound. Since Envoy 1.40.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["xds.listener_direction"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "xds.listener_direction": number | undefined;

  /**
   * The name of the route.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["xds.route_name"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "xds.route_name": string | undefined;

  /**
   * The name of the virtual host. Since Envoy 1.40.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["xds.virtual_host_name"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "xds.virtual_host_name": string | undefined;

  /**
   * The name of the virtual cluster. Since Envoy 1.40.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["xds.virtual_cluster_name"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "xds.virtual_cluster_name": string | undefined;

  /**
   * The name of the listener's filter chain. Since Envoy 1.40.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["xds.filter_chain_name"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "xds.filter_chain_name": string | undefined;

  /**
   * Whether the request is a health check that Envoy has told apart. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.attributes["health_check"]);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly "health_check": boolean | undefined;
}

/**
 * The client's connection. Its certificate counts as shown once Envoy has taken it.
 *
 * @since 1
 */
export interface Connection {
  /**
   * Its number in this Envoy.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info("connection", ctx.connection.id);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly id: number | undefined;

  /**
   * Address and port of the client, as headers say that Envoy trusts.
   *
   * @phase Hooks
   * @since 1
   * @example
   * const ip = ctx.connection.remoteAddress?.replace(/:\d+$/, "");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly remoteAddress: string | undefined;

  /**
   * Address and port of whoever has connected, whatever headers say. Since Envoy 1.40.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.connection.directRemoteAddress ?? ctx.connection.remoteAddress);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly directRemoteAddress: string | undefined;

  /**
   * Address and port that the client has connected to.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (ctx.connection.localAddress?.endsWith(":8443")) request.headers.set("x-port", "internal");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly localAddress: string | undefined;

  /**
   * The version of TLS that the client speaks, such as `TLSv1.3`; undefined without TLS.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (ctx.connection.tlsVersion === undefined) console.warn("not encrypted");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly tlsVersion: string | undefined;

  /**
   * The server name that the client asked for in its TLS handshake. Since Envoy 1.39.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (ctx.connection.serverName === "admin.example") request.headers.set("x-admin", "1");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly serverName: string | undefined;

  /**
   * Whether the client has shown a certificate.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (!ctx.connection.mtls) return new Response("show a certificate\n", { status: 403 });
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly mtls: boolean;

  /**
   * The subject of the client's certificate.
   *
   * @phase Hooks
   * @since 1
   * @example
   * request.headers.set("x-subject", ctx.connection.peerSubject ?? "none");
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly peerSubject: string | undefined;

  /**
   * The first DNS name of the client's certificate: Envoy does not tell the others.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.connection.peerDnsSan);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly peerDnsSan: string | undefined;

  /**
   * The first URI of the client's certificate: Envoy does not tell the others.
   *
   * @phase Hooks
   * @since 1
   * @example
   * if (ctx.connection.peerUriSan?.startsWith("spiffe://cluster/") !== true) return new Response("who?\n", { status: 403 });
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly peerUriSan: string | undefined;

  /**
   * The SHA-256 of the client's certificate, in hexadecimal.
   *
   * @phase Hooks
   * @since 1
   * @example
   * console.info(ctx.connection.peerSha256);
   * @throws E_DEAD_HANDLE after the stream
   */
  readonly peerSha256: string | undefined;
}

/**
 * Points in the life of an exchange, as far as they have come.
 *
 * All but the first are milliseconds since the request began: below 0 for what a kept connection had before.
 *
 * @since 1
 */
export interface TimingResult {
  /**
   * When the request began, in milliseconds since 1970.
   *
   * @since 1
   */
  readonly startUnixMs?: number;

  /**
   * The client's connection began.
   *
   * @since 1
   */
  readonly downstreamConnectionBeginMs?: number;

  /**
   * The client's TLS handshake began.
   *
   * @since 1
   */
  readonly downstreamHandshakeStartMs?: number;

  /**
   * The client's TLS handshake was complete.
   *
   * @since 1
   */
  readonly downstreamHandshakeCompleteMs?: number;

  /**
   * The last byte of the request's headers came.
   *
   * @since 1
   */
  readonly lastDownstreamHeaderReceivedMs?: number;

  /**
   * The last byte of the request came.
   *
   * @since 1
   */
  readonly lastDownstreamByteReceivedMs?: number;

  /**
   * The connection to the upstream began.
   *
   * @since 1
   */
  readonly upstreamConnectStartMs?: number;

  /**
   * The connection to the upstream was there.
   *
   * @since 1
   */
  readonly upstreamConnectCompleteMs?: number;

  /**
   * The TLS handshake with the upstream was complete.
   *
   * @since 1
   */
  readonly upstreamHandshakeCompleteMs?: number;

  /**
   * The first byte went to the upstream.
   *
   * @since 1
   */
  readonly firstUpstreamByteSentMs?: number;

  /**
   * The last byte went to the upstream.
   *
   * @since 1
   */
  readonly lastUpstreamByteSentMs?: number;

  /**
   * The first byte came from the upstream.
   *
   * @since 1
   */
  readonly firstUpstreamByteReceivedMs?: number;

  /**
   * The first byte of the body came from the upstream.
   *
   * @since 1
   */
  readonly firstUpstreamBodyByteReceivedMs?: number;

  /**
   * The last byte came from the upstream.
   *
   * @since 1
   */
  readonly lastUpstreamByteReceivedMs?: number;

  /**
   * The first byte went to the client.
   *
   * @since 1
   */
  readonly firstDownstreamByteSentMs?: number;

  /**
   * The last byte went to the client.
   *
   * @since 1
   */
  readonly lastDownstreamByteSentMs?: number;

  /**
   * The client acknowledged the last byte.
   *
   * @since 1
   */
  readonly lastDownstreamAckReceivedMs?: number;

  /**
   * The exchange was over.
   *
   * @since 1
   */
  readonly requestCompleteMs?: number;

  /**
   * The client's connection ended.
   *
   * @since 1
   */
  readonly downstreamConnectionEndMs?: number;
}

/**
 * An answer that Envoy or another filter has made, not the upstream and not this filter.
 *
 * @since 1
 */
export interface LocalReplyResult {
  /**
   * Its status; a gRPC client sees 200.
   *
   * @since 1
   */
  readonly status: number;

  /**
   * Why, in the words of whoever made it: `route_not_found`, `cluster_not_found`, ….
   *
   * @since 1
   */
  readonly details: string;
}
