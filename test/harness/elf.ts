// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/** An entry of a shared library's dynamic symbol table: what `nm -D` shows. */
export interface DynamicSymbol {
  name: string;
  /** `false`: the loader has to find it elsewhere. */
  defined: boolean;
  weak: boolean;
  /** Such as `GLIBC_2.17`; `undefined` for a symbol without version. */
  version: string | undefined;
}

/** The parts of a shared library that decide where it loads. */
export interface SharedLibrary {
  symbols: DynamicSymbol[];
  /** Versions wanted from each needed library, by its file name. */
  versionNeeds: Map<string, string[]>;
  /** File names of `DT_NEEDED`. */
  needed: string[];
  sectionNames: string[];
}

interface Section {
  name: string;
  type: number;
  offset: number;
  size: number;
  link: number;
  info: number;
}

const sectionType = { dynamic: 6, dynsym: 11, versionNeed: 0x6ffffffe, versionIndex: 0x6fffffff };
const dynamicTagNeeded = 1n;
const binding = { local: 0, weak: 2 };

function stringAt(file: Buffer, table: Section, offset: number): string {
  const start = table.offset + offset;
  const end = file.indexOf(0, start);
  if (end < start || end > table.offset + table.size) throw new Error('ELF string runs out of its table');
  return file.toString('utf8', start, end);
}

function readSections(file: Buffer): Section[] {
  const magic = file.subarray(0, 6).toString('latin1');
  if (magic !== '\x7fELF\x02\x01') throw new Error('not a 64-bit little-endian ELF file');
  const tableOffset = Number(file.readBigUInt64LE(0x28));
  const entrySize = file.readUInt16LE(0x3a);
  const count = file.readUInt16LE(0x3c);
  const namesIndex = file.readUInt16LE(0x3e);
  const raw = Array.from({ length: count }, (_, index) => {
    const at = tableOffset + index * entrySize;
    return {
      nameOffset: file.readUInt32LE(at),
      type: file.readUInt32LE(at + 4),
      offset: Number(file.readBigUInt64LE(at + 24)),
      size: Number(file.readBigUInt64LE(at + 32)),
      link: file.readUInt32LE(at + 40),
      info: file.readUInt32LE(at + 44),
    };
  });
  const names = raw[namesIndex];
  if (names === undefined) throw new Error('ELF file without section names');
  return raw.map((section) => ({ ...section, name: stringAt(file, { ...names, name: '' }, section.nameOffset) }));
}

/** Reads dynamic symbols, needed versions and needed libraries out of a shared library's bytes. */
export function readSharedLibrary(file: Buffer): SharedLibrary {
  const sections = readSections(file);
  const find = (type: number): Section | undefined => sections.find((section) => section.type === type);
  const stringsOf = (section: Section): Section => {
    const strings = sections[section.link];
    if (strings === undefined) throw new Error(`ELF section ${section.name} without strings`);
    return strings;
  };

  const versionNames = new Map<number, string>();
  const versionNeeds = new Map<string, string[]>();
  const need = find(sectionType.versionNeed);
  if (need !== undefined) {
    const strings = stringsOf(need);
    let at = need.offset;
    for (let left = need.info; left > 0; left--) {
      const versions: string[] = [];
      let aux = at + file.readUInt32LE(at + 8);
      for (let count = file.readUInt16LE(at + 2); count > 0; count--) {
        const name = stringAt(file, strings, file.readUInt32LE(aux + 8));
        versions.push(name);
        versionNames.set(file.readUInt16LE(aux + 6), name);
        aux += file.readUInt32LE(aux + 12);
      }
      versionNeeds.set(stringAt(file, strings, file.readUInt32LE(at + 4)), versions);
      at += file.readUInt32LE(at + 12);
    }
  }

  const table = find(sectionType.dynsym);
  if (table === undefined) throw new Error('ELF file without dynamic symbols');
  const indexes = find(sectionType.versionIndex);
  const symbols: DynamicSymbol[] = [];
  // Entry 0 is the empty one that every table begins with.
  for (let index = 1; index < table.size / 24; index++) {
    const at = table.offset + index * 24;
    const bound = file.readUInt8(at + 4) >> 4;
    // A linker may leave in what only the library's own relocations name.
    if (bound === binding.local) continue;
    const version = indexes === undefined ? 0 : file.readUInt16LE(indexes.offset + index * 2) & 0x7fff;
    symbols.push({
      name: stringAt(file, stringsOf(table), file.readUInt32LE(at)),
      defined: file.readUInt16LE(at + 6) !== 0,
      weak: bound === binding.weak,
      version: versionNames.get(version),
    });
  }

  const needed: string[] = [];
  const dynamic = find(sectionType.dynamic);
  if (dynamic !== undefined) {
    for (let at = dynamic.offset; at < dynamic.offset + dynamic.size; at += 16) {
      if (file.readBigUInt64LE(at) !== dynamicTagNeeded) continue;
      needed.push(stringAt(file, stringsOf(dynamic), Number(file.readBigUInt64LE(at + 8))));
    }
  }
  return { symbols, versionNeeds, needed, sectionNames: sections.map(({ name }) => name) };
}
