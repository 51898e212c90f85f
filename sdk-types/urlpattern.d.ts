// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/**
 * Patterns, or values, of the parts of a URL. What is absent may be anything.
 *
 * @since 1
 */
interface URLPatternInit {
  /**
   * The protocol without its colon.
   *
   * @since 1
   */
  protocol?: string | undefined;

  /**
   * The username.
   *
   * @since 1
   */
  username?: string | undefined;

  /**
   * The password.
   *
   * @since 1
   */
  password?: string | undefined;

  /**
   * The hostname.
   *
   * @since 1
   */
  hostname?: string | undefined;

  /**
   * The port.
   *
   * @since 1
   */
  port?: string | undefined;

  /**
   * The pathname.
   *
   * @since 1
   */
  pathname?: string | undefined;

  /**
   * The search without its question mark.
   *
   * @since 1
   */
  search?: string | undefined;

  /**
   * The hash without its number sign.
   *
   * @since 1
   */
  hash?: string | undefined;

  /**
   * A URL from which the parts before the first that is given are taken.
   *
   * @since 1
   */
  baseURL?: string | undefined;
}

/**
 * How a URLPattern matches.
 *
 * @since 1
 */
interface URLPatternOptions {
  /**
   * Whether upper and lower case are the same; by default they are not.
   *
   * @since 1
   */
  ignoreCase?: boolean | undefined;
}

/**
 * What a pattern has found in a part of a URL.
 *
 * @since 1
 */
interface URLPatternComponentResult {
  /**
   * The part as it was matched.
   *
   * @since 1
   */
  input: string;

  /**
   * The groups by their names; those without are counted from 0.
   *
   * @since 1
   */
  groups: Record<string, string | undefined>;
}

/**
 * What a pattern has found in a URL.
 *
 * @since 1
 */
interface URLPatternResult {
  /**
   * The arguments of `exec()`.
   *
   * @since 1
   */
  inputs: [string | URLPatternInit] | [string, string];

  /**
   * In its protocol.
   *
   * @since 1
   */
  protocol: URLPatternComponentResult;

  /**
   * In its username.
   *
   * @since 1
   */
  username: URLPatternComponentResult;

  /**
   * In its password.
   *
   * @since 1
   */
  password: URLPatternComponentResult;

  /**
   * In its hostname.
   *
   * @since 1
   */
  hostname: URLPatternComponentResult;

  /**
   * In its port.
   *
   * @since 1
   */
  port: URLPatternComponentResult;

  /**
   * In its pathname.
   *
   * @since 1
   */
  pathname: URLPatternComponentResult;

  /**
   * In its search.
   *
   * @since 1
   */
  search: URLPatternComponentResult;

  /**
   * In its hash.
   *
   * @since 1
   */
  hash: URLPatternComponentResult;
}

/**
 * A pattern of URLs: `:name` is a segment, `*` anything, `(\\d+)` a regular expression, `{…}?` what may be absent.
 *
 * @see https://urlpattern.spec.whatwg.org/#urlpattern-class
 * @since 1
 */
interface URLPattern {
  /**
   * The pattern of the protocol.
   *
   * @see https://urlpattern.spec.whatwg.org/#dom-urlpattern-protocol
   * @phase Always
   * @since 1
   * @example
   * new URLPattern({ protocol: "http{s}?" }).protocol === "http{s}?";
   */
  readonly protocol: string;

  /**
   * The pattern of the username.
   *
   * @see https://urlpattern.spec.whatwg.org/#dom-urlpattern-username
   * @phase Always
   * @since 1
   * @example
   * new URLPattern({ username: "*" }).username === "*";
   */
  readonly username: string;

  /**
   * The pattern of the password.
   *
   * @see https://urlpattern.spec.whatwg.org/#dom-urlpattern-password
   * @phase Always
   * @since 1
   * @example
   * new URLPattern({ password: "*" }).password === "*";
   */
  readonly password: string;

  /**
   * The pattern of the hostname.
   *
   * @see https://urlpattern.spec.whatwg.org/#dom-urlpattern-hostname
   * @phase Always
   * @since 1
   * @example
   * new URLPattern({ hostname: "*.example.com" }).hostname === "*.example.com";
   */
  readonly hostname: string;

  /**
   * The pattern of the port.
   *
   * @see https://urlpattern.spec.whatwg.org/#dom-urlpattern-port
   * @phase Always
   * @since 1
   * @example
   * new URLPattern({ port: "8080" }).port === "8080";
   */
  readonly port: string;

  /**
   * The pattern of the pathname.
   *
   * @see https://urlpattern.spec.whatwg.org/#dom-urlpattern-pathname
   * @phase Always
   * @since 1
   * @example
   * new URLPattern({ pathname: "/users/:id" }).pathname === "/users/:id";
   */
  readonly pathname: string;

  /**
   * The pattern of the search.
   *
   * @see https://urlpattern.spec.whatwg.org/#dom-urlpattern-search
   * @phase Always
   * @since 1
   * @example
   * new URLPattern({ search: "*" }).search === "*";
   */
  readonly search: string;

  /**
   * The pattern of the hash.
   *
   * @see https://urlpattern.spec.whatwg.org/#dom-urlpattern-hash
   * @phase Always
   * @since 1
   * @example
   * new URLPattern({ hash: "*" }).hash === "*";
   */
  readonly hash: string;

  /**
   * Whether it has regular expressions of its own in it.
   *
   * @see https://urlpattern.spec.whatwg.org/#dom-urlpattern-hasregexpgroups
   * @phase Always
   * @since 1
   * @example
   * new URLPattern({ pathname: "/(\\d+)" }).hasRegExpGroups;
   */
  readonly hasRegExpGroups: boolean;

  /**
   * Whether a URL matches; what is no URL does not.
   *
   * @see https://urlpattern.spec.whatwg.org/#dom-urlpattern-test
   * @phase Always
   * @since 1
   * @example
   * const users = new URLPattern({ pathname: "/users/:id" });
   * if (users.test(request.url)) console.debug("a user");
   * @throws E_ARGUMENT for a base beside an object
   */
  test(input?: string | URLPatternInit, baseURL?: string): boolean;

  /**
   * What is found in a URL; null when it does not match.
   *
   * @see https://urlpattern.spec.whatwg.org/#dom-urlpattern-exec
   * @phase Always
   * @since 1
   * @example
   * const users = new URLPattern({ pathname: "/users/:id" });
   * const id = users.exec(request.url)?.pathname.groups["id"];
   * @throws E_ARGUMENT for a base beside an object
   */
  exec(input?: string | URLPatternInit, baseURL?: string): URLPatternResult | null;
}

declare var URLPattern: {
  readonly prototype: URLPattern;

  /**
   * A pattern of a whole URL, of one that is relative to a base, or of parts, of at most 8 KiB. Make it at the top level.
   *
   * @see https://urlpattern.spec.whatwg.org/#dom-urlpattern-urlpattern
   * @phase Always
   * @since 1
   * @example
   * const files = new URLPattern("https://*.example.com/files/*.:type(png|jpg)");
   * @throws E_URL_PATTERN for what is no pattern
   * @throws E_RANGE for a longer one
   * @throws E_ARGUMENT for a base beside an object, or options that are no object
   */
  new (input?: string | URLPatternInit, baseOrOptions?: string | URLPatternOptions, options?: URLPatternOptions): URLPattern;
};
