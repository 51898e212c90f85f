// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// How the console writes values: the Formatter and Printer of https://console.spec.whatwg.org, on one line. It runs
// no code of the script: getters are named, proxies are not asked, no toString is called. What may be used here stands
// in native.d.ts.

import { classOf, describeError, entriesOf, intrinsics, membersOf } from 'fairlead:native';

const { apply, getOwnPropertyDescriptor, getPrototypeOf, ownKeys, setPrototypeOf } = intrinsics.Reflect;

/** Levels below the outermost value. */
const maxDepth = 4;
/** Of one array, object, map or set. */
const maxItems = 100;
/** Of one string. */
const maxStringLength = 8192;
/** Of a whole text, nearly; a line of the log holds less. */
const maxLength = 16384;
/** A number as large as this takes long to write and is no good to read. */
const maxBigInt = 1n << 2048n;
/** Of a chain of prototypes. */
const maxPrototypes = 16;

/** What is left of maxLength. */
let room = 0;

/** The object that is being written, and those around it. */
interface Around {
  readonly object: object | null;
  readonly outer: Around | null;
  /** How many levels may follow inside. */
  readonly levels: number;
}

// --- What api_console.cc calls ---

/** The arguments of console.log and its like as one text. */
export function format(...args: unknown[]): string {
  room = maxLength;
  const around = outermost(maxDepth);
  let text = '';
  let next = 0;
  const first = args[0];
  if (typeof first === 'string' && args.length > 1) {
    next = 1;
    let from = 0;
    for (let at = -2; room > 0; ) {
      at = indexOf(first, '%', at + 2);
      if (at < 0 || at === first.length - 1) break;
      const specifier = first[at + 1]!;
      let replacement: string | undefined = '%';
      if (specifier !== '%') {
        replacement = next < args.length ? substitute(specifier, args[next]) : undefined;
        if (replacement === undefined) continue;
        next++;
      }
      text += take(cut(first, from, at)) + replacement;
      from = at + 2;
    }
    text += take(cut(first, from));
  }
  for (; next < args.length && room > 0; next++) {
    const argument = args[next];
    text += next === 0 ? '' : ' ';
    text += typeof argument === 'string' ? take(cut(argument)) : inspect(argument, around);
  }
  return text;
}

/** One value, a string in quotes. `depth` is the only option there is; null stands for all levels. */
export function dir(value?: unknown, options?: unknown): string {
  room = maxLength;
  const deepest = 64;
  const depth = isObject(options) && classOf(options) !== 'Proxy' ? ownValue(options, 'depth') : undefined;
  if (depth === null) return inspect(value, outermost(deepest));
  return inspect(value, outermost(typeof depth === 'number' && depth >= 0 && depth <= deepest ? depth : maxDepth));
}

/** Rows and columns, if the value has any: `(index) | a | b; 0 | 1 | 2`. */
export function table(data?: unknown, columns?: unknown): string {
  const kind = isObject(data) ? classOf(data) : 'Proxy';
  if (!isObject(data) || kind === 'Proxy') return format(data);
  room = maxLength;
  const rows = new Rows(kind === 'Map' || kind === 'Set' ? '(iteration index)' : '(index)');
  if (isObject(columns) && classOf(columns) === 'Array') {
    forEachProperty(columns, (_, { value }) => {
      if (typeof value === 'string') rows.addColumn(value);
      return true;
    });
    rows.fixed = true;
  }
  if (kind === 'Map') {
    forEachEntry(data, (key, value, index) => {
      rows.begin('' + index);
      rows.set('Key', key);
      rows.set(valuesColumn, value);
    });
    rows.left = readNumber(mapSizeOf, data) - rows.count;
  } else if (kind === 'Set') {
    forEachItem(data, (value, index) => {
      rows.add('' + index, value);
    });
    rows.left = readNumber(setSizeOf, data) - rows.count;
  } else {
    rows.left = forEachProperty(data, (key, { value }) => {
      if (typeof key === 'string') rows.add(key, value);
      return rows.count < maxItems && room > 0;
    });
  }
  return rows.count === 0 ? inspect(data, outermost(maxDepth)) : rows.text();
}

// --- Format specifiers ---

/** What stands for an argument in place of `%s` and its like; undefined for what is no specifier. */
function substitute(specifier: string, argument: unknown): string | undefined {
  switch (specifier) {
    case 's':
      return typeof argument === 'string' ? take(cut(argument)) : inspect(argument, outermost(0));
    case 'd':
    case 'i':
      if (typeof argument === 'bigint') return bigIntText(argument);
      if (typeof argument === 'number') return '' + (argument - (argument % 1));
      return '' + (typeof argument === 'string' ? intrinsics.global.parseInt(cut(argument), 10) : NaN);
    case 'f':
      if (typeof argument === 'bigint') return bigIntText(argument);
      if (typeof argument === 'number') return '' + argument;
      return '' + (typeof argument === 'string' ? intrinsics.global.parseFloat(cut(argument)) : NaN);
    case 'o':
    case 'O':
      return inspect(argument, outermost(maxDepth));
    case 'c':
      return '';
    default:
      return undefined;
  }
}

// --- Values ---

function outermost(depth: number): Around {
  return { object: null, outer: null, levels: depth + 1 };
}

function inspect(value: unknown, around: Around): string {
  switch (typeof value) {
    case 'string':
      return take(quote(value));
    case 'number':
      return take(value === 0 && 1 / value < 0 ? '-0' : '' + value);
    case 'bigint':
      return take(bigIntText(value));
    case 'symbol':
      return take(symbolText(value));
    case 'object':
    case 'function':
      return value === null ? take('null') : inspectObject(value, around);
    default:
      return take('' + (value as undefined | boolean));
  }
}

function inspectObject(object: object, outer: Around): string {
  const kind = classOf(object);
  if (kind === 'Proxy') return take('[Proxy]');
  for (let at: Around | null = outer; at !== null; at = at.outer) {
    if (at.object === object) return take('[Circular]');
  }
  const around: Around = { object, outer, levels: outer.levels - 1 };
  if (typeof object === 'function') return inspectFunction(object, kind, around);
  switch (kind) {
    case 'Error':
    case 'DOMException':
      return inspectError(object, around);
    case 'Date':
      return withProperties(dateText(object), around);
    case 'RegExp':
      return withProperties(regExpText(object), around);
    case 'Number':
      return inspectBoxed(kind, apply(intrinsics.Number.valueOf, object, []), around);
    case 'Boolean':
      return inspectBoxed(kind, apply(intrinsics.Boolean.valueOf, object, []), around);
    case 'BigInt':
      return inspectBoxed(kind, apply(intrinsics.BigInt.valueOf, object, []), around);
    case 'Symbol':
      return inspectBoxed(kind, apply(intrinsics.Symbol.valueOf, object, []), around);
    case 'String':
      return inspectBoxed(kind, apply(intrinsics.String.valueOf, object, []), around);
  }
  const nameless = getPrototypeOf(object) === null ? '[' + kind + ': null prototype]' : kind;
  const name = constructorName(object) ?? nameless;
  if (around.levels < 0) return take(name[0] === '[' ? name : '[' + name + ']');
  const items = new Items();
  switch (kind) {
    case 'Array':
      return inspectArray(object, name, around);
    case 'Map':
      return inspectMap(object, name, around);
    case 'Set':
      return inspectSet(object, name, around);
    case 'WeakMap':
    case 'WeakSet':
      items.add(() => take('<items unknown>'));
      break;
    case 'ArrayBuffer':
      items.add(() => take('byteLength: ' + readNumber(byteLengthOf, object)));
      break;
    default:
      if (isTypedArray(kind)) return inspectTypedArray(object, name);
      addMembers(items, object, around);
      addEntries(items, object, kind, around);
  }
  addProperties(items, around);
  return items.text(name === 'Object' ? (kind === 'Object' ? '' : kind) : name, '{', '}');
}

/** A primitive value in an object of its own. The characters of a String are its properties. */
function inspectBoxed(kind: string, value: unknown, around: Around): string {
  const text = '[' + kind + ': ' + inspect(value, around) + ']';
  return kind === 'String' ? text : withProperties(text, around);
}

/** Functions and classes. */
function inspectFunction(object: object, kind: string, around: Around): string {
  const name = functionName(object);
  const prototype = ownProperty(object, 'prototype');
  // What `class` and the engine itself make cannot be given another prototype.
  if (kind !== 'Function' || prototype === undefined || prototype.writable !== false) {
    return withProperties('[' + kind + (name === null ? ' (anonymous)' : ': ' + name) + ']', around);
  }
  const parent = getPrototypeOf(object);
  const parentName = parent === null ? null : functionName(parent);
  const heritage = parentName === null ? '' : ' extends ' + parentName;
  return withProperties('[class ' + (name ?? '(anonymous)') + heritage + ']', around);
}

/** An error with its stack, its code, its cause and whatever else was put on it. */
function inspectError(object: object, around: Around): string {
  const text = take(describeError(object));
  const items = new Items();
  if (around.levels >= 0) {
    for (let i = 0; i < hiddenKeys.length; i++) {
      const key = hiddenKeys[i]!;
      const property = ownProperty(object, key);
      if (property === undefined || property.enumerable === true) continue;
      items.add(() => propertyText('[' + key + ']', property, around));
    }
    addProperties(items, around, (key) => key === 'stack' || key === 'message' || key === 'name');
  }
  const whole = items.count === 0 ? text : text + ' ' + items.text('', '{', '}');
  return around.outer?.object === null ? whole : '[' + whole + ']';
}

/** Of an error: what is worth showing though it cannot be enumerated. */
const hiddenKeys = ['code', 'cause', 'errors'] as const;

function inspectArray(object: object, name: string, around: Around): string {
  const items = new Items();
  const length = ownValue(object, 'length') as number;
  let holes = 0;
  let i = 0;
  for (; i < length && i < maxItems && room > 0; i++) {
    const property = ownProperty(object, '' + i);
    if (property === undefined) {
      holes++;
      continue;
    }
    addHoles(items, holes);
    holes = 0;
    items.add(() => propertyText(null, property, around));
  }
  addHoles(items, holes);
  items.skip(length - i);
  // In a longer one nobody looks for other properties: that would list all items first.
  if (i === length) addProperties(items, around, (key) => isIndex(key));
  return items.text(name === 'Array' ? '' : name + '(' + length + ')', '[', ']');
}

function addHoles(items: Items, holes: number): void {
  if (holes > 0) items.add(() => take('<' + holes + ' empty item' + (holes > 1 ? 's' : '') + '>'));
}

function inspectTypedArray(object: object, name: string): string {
  const items = new Items();
  const length = readNumber(typedLengthOf, object);
  const numbers = object as { readonly [index: number]: number | bigint };
  let i = 0;
  for (; i < length && i < maxItems && room > 0; i++) {
    const number = numbers[i]!;
    items.add(() => take(typeof number === 'bigint' ? '' + number + 'n' : '' + number));
  }
  items.skip(length - i);
  return items.text(name + '(' + length + ')', '[', ']');
}

function inspectMap(object: object, name: string, around: Around): string {
  const items = new Items();
  const size = readNumber(mapSizeOf, object);
  forEachEntry(object, (key, value) => {
    items.add(() => inspect(key, around) + ' => ' + inspect(value, around));
  });
  items.skip(size - items.count);
  addProperties(items, around);
  return items.text(name + '(' + size + ')', '{', '}');
}

function inspectSet(object: object, name: string, around: Around): string {
  const items = new Items();
  const size = readNumber(setSizeOf, object);
  forEachItem(object, (value) => {
    items.add(() => inspect(value, around));
  });
  items.skip(size - items.count);
  addProperties(items, around);
  return items.text(name + '(' + size + ')', '{', '}');
}

/** What the host keeps behind an object: the lines of Headers, the pairs of URLSearchParams and FormData. */
function addEntries(items: Items, object: object, kind: string, around: Around): void {
  const entries = entriesOf(object);
  if (entries === undefined) return;
  const isMap = kind === 'URLSearchParams';
  for (let i = 1; i < entries.length; i += 2) {
    const name = entries[i] as string;
    items.add(() => take(isMap ? quote(name) + ' => ' : keyText(name) + ': ') + inspect(entries[i + 1], around));
  }
  items.skip(entries[0] - (entries.length - 1) / 2);
}

/** What the host's own objects are: the method, URL and headers of a Request. */
function addMembers(items: Items, object: object, around: Around): void {
  const members = membersOf(object);
  if (members === undefined) return;
  for (let i = 0; i < members.length; i += 2) {
    items.add(() => take((members[i] as string) + ': ') + inspect(members[i + 1], around));
  }
}

/** Adds what can be enumerated, but for the string keys that `hidden` names. */
function addProperties(items: Items, around: Around, hidden?: (key: string) => boolean): void {
  const rest = forEachProperty(around.object!, (key, property) => {
    if (typeof key === 'symbol') {
      items.add(() => propertyText('[' + symbolText(key) + ']', property, around));
    } else if (hidden === undefined || !hidden(key)) {
      items.add(() => propertyText(keyText(key), property, around));
    }
    return items.count < maxItems && room > 0;
  });
  items.skip(rest);
}

function propertyText(name: string | null, { get, set, value }: PropertyDescriptor, around: Around): string {
  const prefix = name === null ? '' : take(name + ': ');
  if (get !== undefined) return prefix + take(set === undefined ? '[Getter]' : '[Getter/Setter]');
  return prefix + (set === undefined ? inspect(value, around) : take('[Setter]'));
}

/** The text of an object, and after it the properties that were put on it. */
function withProperties(text: string, around: Around): string {
  take(text);
  if (around.levels < 0) return text;
  const items = new Items();
  addProperties(items, around);
  return items.count === 0 ? text : text + ' ' + items.text('', '{', '}');
}

/** Items side by side, as many as there is room for. */
class Items {
  /** How many there are. */
  count = 0;
  #shown = 0;
  #text = '';

  /** `item` writes it, if it is still to be shown. */
  add(item: () => string): void {
    this.count++;
    if (this.count > maxItems || room <= 0) return;
    this.#shown++;
    this.#text += separator(this.#text) + item();
  }

  /** Counts items that nobody will write. */
  skip(items: number): void {
    this.count += items;
  }

  text(label: string, open: string, close: string): string {
    let inside = this.#text;
    if (this.count > this.#shown) inside += separator(inside) + more(this.count - this.#shown);
    const body = inside === '' ? open + close : open + ' ' + inside + ' ' + close;
    return label === '' ? body : label + ' ' + body;
  }
}

// --- Tables ---

/** Without a prototype, so that reading and writing it meets nobody's code. */
type Dictionary<T> = { [key: string]: T };

function newDictionary<T>(): Dictionary<T> {
  return { __proto__: null } as unknown as Dictionary<T>;
}

/** The rows of a table, and the columns that they have. */
class Rows {
  count = 0;
  /** How many rows there are besides. */
  left = 0;
  /** Whether there will be no columns but those that there are. */
  fixed = false;
  readonly #indexName: string;
  readonly #columns = newDictionary<true>();
  readonly #indexes = newDictionary<string>();
  readonly #rows = newDictionary<Dictionary<string>>();
  #hasValues = false;
  #around = outermost(maxDepth - 1);

  constructor(indexName: string) {
    this.#indexName = indexName;
  }

  addColumn(name: string): void {
    if (room <= 0) return;
    take(name);
    this.#columns[name] = true;
  }

  begin(index: string): void {
    this.count++;
    this.#indexes[this.count] = take(cut(index));
    this.#rows[this.count] = newDictionary();
  }

  set(column: string, value: unknown): void {
    if (column === valuesColumn) {
      this.#hasValues = true;
    } else {
      if (!this.fixed && this.#columns[column] === undefined) this.addColumn(column);
      if (this.#columns[column] === undefined) return;
    }
    this.#rows[this.count]![column] = inspect(value, this.#around);
  }

  /** A row of its own for a value: a cell for each of its properties, or one for all of it. */
  add(index: string, value: unknown): void {
    this.begin(index);
    if (isObject(value) && typeof value !== 'function' && classOf(value) !== 'Proxy') {
      forEachProperty(value, (key, { value: cell }) => {
        if (typeof key === 'string') this.set(key, cell);
        return room > 0;
      });
    } else {
      this.set(valuesColumn, value);
    }
  }

  text(): string {
    const columns = ownKeys(this.#columns) as string[];
    let text = this.#indexName;
    for (let i = 0; i < columns.length; i++) text += ' | ' + cut(columns[i]!);
    if (this.#hasValues) text += ' | ' + valuesColumn;
    for (let row = 1; row <= this.count; row++) {
      const cells = this.#rows[row]!;
      text += '; ' + this.#indexes[row]!;
      for (let i = 0; i < columns.length; i++) text += ' | ' + (cells[columns[i]!] ?? '');
      if (this.#hasValues) text += ' | ' + (cells[valuesColumn] ?? '');
    }
    return this.left === 0 ? text : text + '; ' + more(this.left);
  }
}

/** The last column: what has no columns of its own. */
const valuesColumn = 'Values';

// --- Reading without running anything ---

function isObject(value: unknown): value is object {
  return typeof value === 'object' ? value !== null : typeof value === 'function';
}

/** Requires: no proxy. */
function ownProperty(object: object, key: string | symbol): PropertyDescriptor | undefined {
  const property = getOwnPropertyDescriptor(object, key);
  if (property !== undefined) setPrototypeOf(property, null);
  return property;
}

/** Undefined for accessors too. Requires: no proxy. */
function ownValue(object: object, key: string): unknown {
  return ownProperty(object, key)?.value;
}

type PropertyVisitor = (key: string | symbol, property: PropertyDescriptor) => boolean;

/** Visits what can be enumerated until told to stop; gives the number of keys left. Requires: no proxy. */
function forEachProperty(object: object, visit: PropertyVisitor): number {
  const keys = ownKeys(object);
  // Behind the items of an array comes its length.
  let hidden = classOf(object) === 'Array' ? 1 : 0;
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    if (key === 'length') hidden = 0;
    const property = ownProperty(object, key);
    if (property?.enumerable === true && !visit(key, property)) return keys.length - i - 1 - hidden;
  }
  return 0;
}

/** Visits the entries of a Map, at most maxItems. */
function forEachEntry(map: object, visit: (key: unknown, value: unknown, index: number) => void): void {
  const entries = apply(intrinsics.Map.entries, map as Map<unknown, unknown>, []);
  for (let index = 0; index < maxItems && room > 0; index++) {
    const step = apply(intrinsics.MapIterator.next, entries, []);
    if (step.done === true) return;
    visit(step.value[0], step.value[1], index);
  }
}

/** Visits the items of a Set, at most maxItems. */
function forEachItem(set: object, visit: (item: unknown, index: number) => void): void {
  const values = apply(intrinsics.Set.values, set as Set<unknown>, []);
  for (let index = 0; index < maxItems && room > 0; index++) {
    const step = apply(intrinsics.SetIterator.next, values, []);
    if (step.done === true) return;
    visit(step.value, index);
  }
}

type Getter = () => unknown;

function getterOf(holder: object, key: string): Getter {
  return ownProperty(holder, key)!.get!;
}

const mapSizeOf = getterOf(intrinsics.Map, 'size');
const setSizeOf = getterOf(intrinsics.Set, 'size');
const typedLengthOf = getterOf(intrinsics.TypedArray, 'length');
const byteLengthOf = getterOf(intrinsics.ArrayBuffer, 'byteLength');
const sourceOf = getterOf(intrinsics.RegExp, 'source');
const flagsOf = [
  { letter: 'd', isSet: getterOf(intrinsics.RegExp, 'hasIndices') },
  { letter: 'g', isSet: getterOf(intrinsics.RegExp, 'global') },
  { letter: 'i', isSet: getterOf(intrinsics.RegExp, 'ignoreCase') },
  { letter: 'm', isSet: getterOf(intrinsics.RegExp, 'multiline') },
  { letter: 's', isSet: getterOf(intrinsics.RegExp, 'dotAll') },
  { letter: 'u', isSet: getterOf(intrinsics.RegExp, 'unicode') },
  { letter: 'v', isSet: getterOf(intrinsics.RegExp, 'unicodeSets') },
  { letter: 'y', isSet: getterOf(intrinsics.RegExp, 'sticky') },
] as const;

function readNumber(getter: Getter, object: object): number {
  return apply(getter, object, []) as number;
}

/** The name of the class that made an object, by its prototypes; null when nothing tells. */
function constructorName(object: object): string | null {
  let at: object | null = object;
  for (let hops = 0; at !== null && classOf(at) !== 'Proxy' && hops < maxPrototypes; hops++) {
    const constructor = ownValue(at, 'constructor');
    const name = typeof constructor === 'function' ? functionName(constructor) : null;
    if (name !== null) return name;
    at = getPrototypeOf(at);
  }
  return null;
}

function functionName(object: object): string | null {
  const name = classOf(object) === 'Proxy' ? undefined : ownValue(object, 'name');
  return typeof name === 'string' && name !== '' ? cut(name) : null;
}

function isTypedArray(kind: string): boolean {
  return indexOf(kind, 'Array', 0) > 0 && kind[kind.length - 1] === 'y';
}

// --- Texts ---

/** Accounts for a text that is written. */
function take(text: string): string {
  room -= text.length;
  return text;
}

/** What says that something was left out. */
function more(rest: number): string {
  return '… (' + rest + ' more)';
}

function separator(before: string): string {
  return before === '' ? '' : ', ';
}

function has(text: string, part: string): boolean {
  return indexOf(text, part, 0) >= 0;
}

function indexOf(text: string, part: string, from: number): number {
  return apply(intrinsics.String.indexOf, text, [part, from]);
}

function slice(text: string, from: number, to: number): string {
  return apply(intrinsics.String.slice, text, [from, to]);
}

/** A part of a text, shortened if it is very long. */
function cut(text: string, from = 0, to = text.length): string {
  const rest = to - from - maxStringLength;
  if (rest > 0) return slice(text, from, from + maxStringLength) + more(rest);
  return from === 0 && to === text.length ? text : slice(text, from, to);
}

/** In those quotes that need no escapes, if there are such. */
function quote(text: string): string {
  const rest = text.length - maxStringLength;
  const begin = rest > 0 ? slice(text, 0, maxStringLength) : text;
  const mark = !has(begin, "'") ? "'" : !has(begin, '"') ? '"' : !has(begin, '`') ? '`' : "'";
  let quoted = begin;
  if (has(begin, '\\') || has(begin, mark)) {
    quoted = '';
    for (let i = 0; i < begin.length; i++) {
      const character = begin[i]!;
      quoted += character === '\\' || character === mark ? '\\' + character : character;
    }
  }
  return mark + quoted + mark + (rest > 0 ? more(rest) : '');
}

function keyText(key: string): string {
  for (let i = 0; i < key.length; i++) {
    const c = key[i]!;
    const isLetter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c === '_' || c === '$';
    if (!isLetter && (i === 0 || !isDigit(c))) return quote(key);
    if (i >= maxStringLength) break;
  }
  return key === '' ? quote(key) : cut(key);
}

function isDigit(character: string): boolean {
  return character >= '0' && character <= '9';
}

/** Whether it is a key of an item of an array. */
function isIndex(key: string): boolean {
  for (let i = 0; i < key.length; i++) {
    if (!isDigit(key[i]!)) return false;
  }
  return key !== '';
}

function bigIntText(value: bigint): string {
  return value < maxBigInt && value > -maxBigInt ? '' + value + 'n' : '[BigInt]';
}

function symbolText(symbol: symbol): string {
  return cut(apply(intrinsics.Symbol.toString, symbol, []));
}

function dateText(date: object): string {
  const time = apply(intrinsics.Date.getTime, date as Date, []);
  return time === time ? apply(intrinsics.Date.toISOString, date as Date, []) : 'Invalid Date';
}

function regExpText(regExp: object): string {
  let text = '/' + cut(apply(sourceOf, regExp, []) as string) + '/';
  for (let i = 0; i < flagsOf.length; i++) {
    const flag = flagsOf[i]!;
    if (apply(flag.isSet, regExp, []) === true) text += flag.letter;
  }
  return text;
}
