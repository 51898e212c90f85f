// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Blob, File and FormData: what forms are made of. A form that comes is limited to 1000 parts, names of 1024 bytes and
// 8 KiB of headers in a part.

/**
 * What a Blob is made from: bytes, other Blobs, and text, which becomes UTF-8.
 *
 * @since 1
 */
type BlobPart = string | ArrayBuffer | ArrayBufferView | Blob;

/**
 * What a Blob is told of itself.
 *
 * @since 1
 */
interface BlobOptions {
  /**
   * A media type, by default none; it becomes lower case, and is dropped when it is not printable ASCII.
   *
   * @since 1
   */
  type?: string | undefined;

  /**
   * Whether the line ends of texts become `\n` (`native`) or stay as they are (`transparent`, the default).
   *
   * @since 1
   */
  endings?: 'transparent' | 'native' | undefined;
}

/**
 * What a File is told of itself.
 *
 * @since 1
 */
interface FileOptions extends BlobOptions {
  /**
   * In milliseconds since 1970; by default now.
   *
   * @since 1
   */
  lastModified?: number | undefined;
}

/**
 * Bytes that do not change, with a media type. They count against `memory_mb`.
 *
 * @see https://w3c.github.io/FileAPI/#blob-section
 * @since 1
 */
interface Blob {
  /**
   * How many bytes it has.
   *
   * @see https://w3c.github.io/FileAPI/#dfn-size
   * @phase Always
   * @since 1
   * @example
   * new Blob(["é"]).size === 2;
   */
  readonly size: number;

  /**
   * The media type in lower case; empty when nobody knows.
   *
   * @see https://w3c.github.io/FileAPI/#dfn-type
   * @phase Always
   * @since 1
   * @example
   * new Blob([], { type: "Text/Plain" }).type === "text/plain";
   */
  readonly type: string;

  /**
   * The bytes from `start` up to `end`, which count from the end where they are negative. Nothing is copied.
   *
   * @see https://w3c.github.io/FileAPI/#slice-method-algo
   * @phase Always
   * @since 1
   * @example
   * new Blob(["abc"]).slice(-1).size === 1;
   */
  slice(start?: number, end?: number, type?: string): Blob;

  /**
   * The bytes as text: UTF-8, each ill-formed part as U+FFFD, without a byte order mark.
   *
   * @see https://w3c.github.io/FileAPI/#text-method-algo
   * @phase Always
   * @since 1
   * @example
   * const text = await new Blob(["hi"]).text();
   */
  text(): Promise<string>;

  /**
   * The bytes, as an ArrayBuffer of their own.
   *
   * @see https://w3c.github.io/FileAPI/#arraybuffer-method-algo
   * @phase Always
   * @since 1
   * @example
   * const buffer = await new Blob(["hi"]).arrayBuffer();
   */
  arrayBuffer(): Promise<ArrayBuffer>;

  /**
   * The bytes, as a copy.
   *
   * @see https://w3c.github.io/FileAPI/#bytes-method-algo
   * @phase Always
   * @since 1
   * @example
   * const bytes = await new Blob(["hi"]).bytes();
   */
  bytes(): Promise<Uint8Array<ArrayBuffer>>;

  /**
   * The bytes as a stream of a copy.
   *
   * @see https://w3c.github.io/FileAPI/#stream-method-algo
   * @phase Always
   * @since 1
   * @example
   * for await (const chunk of new Blob(["hi"]).stream()) console.debug(chunk.length);
   */
  stream(): ReadableStream<Uint8Array<ArrayBuffer>>;
}

declare var Blob: {
  readonly prototype: Blob;

  /**
   * The parts behind each other.
   *
   * @see https://w3c.github.io/FileAPI/#constructorBlob
   * @phase Always
   * @since 1
   * @example
   * const blob = new Blob(["a", new Uint8Array([1])], { type: "application/x-mine" });
   * @throws E_ARGUMENT for parts that are no iterable object, or options that are no object
   * @throws E_OPTION for other `endings`
   */
  new (parts?: Iterable<BlobPart>, options?: BlobOptions): Blob;
};

/**
 * A Blob with a name.
 *
 * @see https://w3c.github.io/FileAPI/#file-section
 * @since 1
 */
interface File extends Blob {
  /**
   * Its name; what a client gives as such is any text, and no path to be trusted.
   *
   * @see https://w3c.github.io/FileAPI/#dfn-name
   * @phase Always
   * @since 1
   * @example
   * new File([], "a.txt").name === "a.txt";
   */
  readonly name: string;

  /**
   * In milliseconds since 1970. Of a file in a form that came it is the time at which it was read.
   *
   * @see https://w3c.github.io/FileAPI/#dfn-lastModified
   * @phase Always
   * @since 1
   * @example
   * new File([], "a.txt", { lastModified: 0 }).lastModified === 0;
   */
  readonly lastModified: number;
}

declare var File: {
  readonly prototype: File;

  /**
   * The parts behind each other, under a name.
   *
   * @see https://w3c.github.io/FileAPI/#file-constructor
   * @phase Always
   * @since 1
   * @example
   * const file = new File(["a,b"], "table.csv", { type: "text/csv" });
   * @throws E_ARGUMENT for parts that are no iterable object, or options that are no object
   * @throws E_OPTION for other `endings`
   */
  new (parts: Iterable<BlobPart>, name: string, options?: FileOptions): File;
};

/**
 * Names with values, which are texts or files; a name can have several.
 *
 * As a body it is `multipart/form-data`, and its boundary is in the `content-type` that comes with it.
 *
 * @see https://xhr.spec.whatwg.org/#interface-formdata
 * @since 1
 */
interface FormData {
  /**
   * Adds a value behind the others. A Blob becomes a File: with `filename`, or its own name, or `blob`.
   *
   * @see https://xhr.spec.whatwg.org/#dom-formdata-append
   * @phase Always
   * @since 1
   * @example
   * const form = new FormData();
   * form.append("files", new Blob(["hi"]), "hi.txt");
   * @throws E_ARGUMENT for a `filename` with a text
   */
  append(name: string, value: string | Blob, filename?: string): void;

  /**
   * Removes all values of a name.
   *
   * @see https://xhr.spec.whatwg.org/#dom-formdata-delete
   * @phase Always
   * @since 1
   * @example
   * const form = await request.formData();
   * form.delete("csrf");
   */
  delete(name: string): void;

  /**
   * The first value of a name; null when there is none.
   *
   * @see https://xhr.spec.whatwg.org/#dom-formdata-get
   * @phase Always
   * @since 1
   * @example
   * const form = await request.formData();
   * const user = form.get("user");
   */
  get(name: string): string | File | null;

  /**
   * All values of a name.
   *
   * @see https://xhr.spec.whatwg.org/#dom-formdata-getall
   * @phase Always
   * @since 1
   * @example
   * const files = (await request.formData()).getAll("files");
   */
  getAll(name: string): (string | File)[];

  /**
   * Whether a name has a value.
   *
   * @see https://xhr.spec.whatwg.org/#dom-formdata-has
   * @phase Always
   * @since 1
   * @example
   * new FormData().has("a") === false;
   */
  has(name: string): boolean;

  /**
   * Replaces all values of a name by one, in the place of the first.
   *
   * @see https://xhr.spec.whatwg.org/#dom-formdata-set
   * @phase Always
   * @since 1
   * @example
   * const form = new FormData();
   * form.set("user", "ann");
   * @throws E_ARGUMENT for a `filename` with a text
   */
  set(name: string, value: string | Blob, filename?: string): void;

  /**
   * Calls `callback` with value, name and this object for each value.
   *
   * @phase Always
   * @since 1
   * @example
   * (await request.formData()).forEach((value, name) => console.debug(name, typeof value));
   * @throws E_ARGUMENT when `callback` is not a function
   */
  forEach(callback: (value: string | File, name: string, form: FormData) => void, thisArg?: unknown): void;

  /**
   * The names, in their order. Changes made meanwhile are seen.
   *
   * @phase Always
   * @since 1
   * @example
   * const names = new Set((await request.formData()).keys());
   */
  keys(): IteratorObject<string, undefined>;

  /**
   * The values, in their order. Changes made meanwhile are seen.
   *
   * @phase Always
   * @since 1
   * @example
   * const values = [...(await request.formData()).values()];
   */
  values(): IteratorObject<string | File, undefined>;

  /**
   * Names with their values, in their order. Changes made meanwhile are seen.
   *
   * @phase Always
   * @since 1
   * @example
   * const record = Object.fromEntries((await request.formData()).entries());
   */
  entries(): IteratorObject<[string, string | File], undefined>;

  /**
   * The same as `entries()`: what `for (const [name, value] of form)` walks.
   *
   * @phase Always
   * @since 1
   * @example
   * for (const [name, value] of await request.formData()) console.debug(name, typeof value);
   */
  [Symbol.iterator](): IteratorObject<[string, string | File], undefined>;
}

declare var FormData: {
  readonly prototype: FormData;

  /**
   * A form without values; there are no elements of HTML to take any from.
   *
   * @see https://xhr.spec.whatwg.org/#dom-formdata
   * @phase Always
   * @since 1
   * @example
   * const form = new FormData();
   * @throws E_ARGUMENT for anything else than nothing
   */
  new (form?: undefined): FormData;
};
