// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What the engine brings beside the language. Its errors have no code of fairlead.

/**
 * Calls `callback` as soon as the script that runs now has returned, before any timer.
 *
 * What it throws is an unhandled error of the stream. A TypeError for what is not a function.
 *
 * @see https://html.spec.whatwg.org/multipage/timers-and-user-prompts.html#dom-queuemicrotask
 * @phase Always
 * @since 1
 * @example
 * queueMicrotask(() => console.debug("after onRequest has returned"));
 */
declare function queueMicrotask(callback: () => void): void;

/**
 * The bytes behind base64, one character a byte; blanks are skipped, padding may be missing.
 *
 * A DOMException of the name InvalidCharacterError for what is not base64.
 *
 * @see https://html.spec.whatwg.org/multipage/webappapis.html#dom-atob
 * @phase Always
 * @since 1
 * @example
 * const [user, password] = atob("YW5uOnNlY3JldA==").split(":");
 */
declare function atob(data: string): string;

/**
 * Base64 of bytes that are given as one character each.
 *
 * A DOMException of the name InvalidCharacterError for a character above U+00FF.
 *
 * @see https://html.spec.whatwg.org/multipage/webappapis.html#dom-btoa
 * @phase Always
 * @since 1
 * @example
 * request.headers.set("authorization", "Basic " + btoa("ann:secret"));
 */
declare function btoa(data: string): string;

/**
 * The numbers of `code`, by their old names.
 *
 * @see https://webidl.spec.whatwg.org/#idl-DOMException-error-names
 * @since 1
 */
interface DOMExceptionCodes {
  readonly INDEX_SIZE_ERR: 1;
  readonly DOMSTRING_SIZE_ERR: 2;
  readonly HIERARCHY_REQUEST_ERR: 3;
  readonly WRONG_DOCUMENT_ERR: 4;
  readonly INVALID_CHARACTER_ERR: 5;
  readonly NO_DATA_ALLOWED_ERR: 6;
  readonly NO_MODIFICATION_ALLOWED_ERR: 7;
  readonly NOT_FOUND_ERR: 8;
  readonly NOT_SUPPORTED_ERR: 9;
  readonly INUSE_ATTRIBUTE_ERR: 10;
  readonly INVALID_STATE_ERR: 11;
  readonly SYNTAX_ERR: 12;
  readonly INVALID_MODIFICATION_ERR: 13;
  readonly NAMESPACE_ERR: 14;
  readonly INVALID_ACCESS_ERR: 15;
  readonly VALIDATION_ERR: 16;
  readonly TYPE_MISMATCH_ERR: 17;
  readonly SECURITY_ERR: 18;
  readonly NETWORK_ERR: 19;
  readonly ABORT_ERR: 20;
  readonly URL_MISMATCH_ERR: 21;
  readonly QUOTA_EXCEEDED_ERR: 22;
  readonly TIMEOUT_ERR: 23;
  readonly INVALID_NODE_TYPE_ERR: 24;
  readonly DATA_CLONE_ERR: 25;
}

/**
 * An error that has a name of the Web's standards: `AbortError`, `TimeoutError`.
 *
 * Those that fairlead throws have a code of their own (see HostError) in the place of the number.
 *
 * @see https://webidl.spec.whatwg.org/#idl-DOMException
 * @since 1
 */
interface DOMException extends Error, DOMExceptionCodes {
  /**
   * Which error it is; this, not `code`, tells them apart.
   *
   * @see https://webidl.spec.whatwg.org/#dom-domexception-name
   * @phase Always
   * @since 1
   * @example
   * const isTimeout = (error: unknown) => error instanceof DOMException && error.name === "TimeoutError";
   */
  readonly name: string;

  /**
   * What has happened, for people.
   *
   * @see https://webidl.spec.whatwg.org/#dom-domexception-message
   * @phase Always
   * @since 1
   * @example
   * new DOMException("enough", "AbortError").message === "enough";
   */
  readonly message: string;

  /**
   * The number that some names had in old standards, 0 for the others.
   *
   * @see https://webidl.spec.whatwg.org/#dom-domexception-code
   * @phase Always
   * @since 1
   * @example
   * new DOMException("enough", "AbortError").code === 20;
   */
  readonly code: number;
}

declare var DOMException: DOMExceptionCodes & {
  readonly prototype: DOMException;

  /**
   * An error of that name, by default `Error`, with a message, by default empty.
   *
   * @see https://webidl.spec.whatwg.org/#dom-domexception-domexception
   * @phase Always
   * @since 1
   * @example
   * const error = new DOMException("the cache is full", "QuotaExceededError");
   */
  new (message?: string, name?: string): DOMException;
};
