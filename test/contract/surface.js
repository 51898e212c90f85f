// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Everything a script can reach by name, as data: for each object its parent and its own members. A member is a text, so
// that a difference is read at once:
//
//   method get(1) wec          a function: name, required arguments; writable, enumerable, configurable
//   getter size ec             a property without a setter
//   accessor href ec           one with a setter
//   string "x" w               a value; objects are named, or `object` when they have no name
//   the same as entries wc     a symbol's function that has a name too

/** @param {Record<string, object>} reachable further objects, by the names they shall have */
export function surface(reachable) {
  /** @type {Map<object, string>} */
  const names = new Map();
  const name = (object, text) => {
    if (!names.has(object)) names.set(object, text);
  };
  const globals = Reflect.ownKeys(globalThis);
  for (const key of globals) {
    const value = globalThis[key];
    if (!isObject(value)) continue;
    name(value, show(key));
    const prototype = typeof value === 'function' ? value.prototype : undefined;
    if (isObject(prototype)) name(prototype, `${show(key)}.prototype`);
  }
  for (const [text, object] of Object.entries(reachable)) {
    const prototype = Object.getPrototypeOf(object);
    if (prototype !== null) name(prototype, `(prototype of ${text})`);
    name(object, text);
  }
  const text = (value) => {
    if (isObject(value)) return names.get(value) ?? typeof value;
    return typeof value === 'string' ? JSON.stringify(value) : String(value);
  };
  const member = (holder, key) => {
    const { value, get, set, writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(holder, key);
    const flags = (writable ? 'w' : '') + (enumerable ? 'e' : '') + (configurable ? 'c' : '');
    if (get !== undefined || set !== undefined) {
      const kind = set === undefined ? 'getter' : get === undefined ? 'setter' : 'accessor';
      const lengths = [get?.length ?? 0, set?.length ?? 1];
      return `${kind} ${(get ?? set).name}${lengths.join() === '0,1' ? '' : lengths} ${flags}`;
    }
    const twin = typeof key === 'symbol' && typeof value === 'function' ? nameIn(holder, value) : undefined;
    if (twin !== undefined) return `the same as ${twin} ${flags}`;
    if (typeof value !== 'function' || names.has(value)) return `${typeof value} ${text(value)} ${flags}`.trim();
    return `method ${value.name}(${value.length}) ${flags}`;
  };
  const objects = {};
  for (const [object, text] of names) {
    // The global object itself comes below, and a module's exports stay what they are.
    if (object === globalThis) continue;
    const parent = Object.getPrototypeOf(object);
    objects[text] = {
      parent: parent === null ? 'null' : (names.get(parent) ?? 'an object without a name'),
      members: Object.fromEntries(Reflect.ownKeys(object).map((key) => [show(key), member(object, key)])),
    };
  }
  return { globals: Object.fromEntries(globals.map((key) => [show(key), member(globalThis, key)])), objects };
}

/** The first name of a function among the members of an object. */
function nameIn(holder, value) {
  return Object.getOwnPropertyNames(holder).find((key) => Object.getOwnPropertyDescriptor(holder, key).value === value);
}

function isObject(value) {
  return typeof value === 'function' || (typeof value === 'object' && value !== null);
}

function show(key) {
  return typeof key === 'symbol' ? `[${key.description}]` : key;
}
