// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// The declarations against TypeScript, against the rows of host_api.def and host_errors.def, and against the rules that
// documentation keeps.

import { readFileSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';
import { describe, expect, test } from 'vitest';

import { provocations } from '../test/contract/errors.ts';
import { readErrorRows, readRows, requiredCount, type Row } from './rows.ts';

const folder = fileURLToPath(new URL('.', import.meta.url));
const index = join(folder, 'index.d.ts');
const declarationFiles = readdirSync(folder)
  .filter((name) => name.endsWith('.d.ts'))
  .map((name) => join(folder, name));

const options: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2023,
  lib: ['lib.es2023.d.ts'],
  types: [],
  module: ts.ModuleKind.ESNext,
  moduleResolution: ts.ModuleResolutionKind.Bundler,
  moduleDetection: ts.ModuleDetectionKind.Force,
  paths: { fairlead: [index] },
  strict: true,
  noUncheckedIndexedAccess: true,
  exactOptionalPropertyTypes: true,
  noEmit: true,
};

/** The codes of errors that scripts can see. */
const visibleCodes = readErrorRows().flatMap(({ code, cls }) => (cls === 'Log' ? [] : [code]));

// --- Reading the declarations ---

/** A member as it is declared, under the names that rows have. */
interface Declared {
  /** `Headers.get`, `Headers()` for a constructor, `Response:json` for a function of one, `globals.fetch`. */
  readonly name: string;
  readonly node: ts.Node;
  readonly place: string;
}

const program = ts.createProgram([index], { ...options, skipLibCheck: false });
program.getTypeChecker(); // gives each node its parent
const ownFiles = program.getSourceFiles().filter((file) => declarationFiles.includes(file.fileName));

function placeOf(node: ts.Node): string {
  const file = node.getSourceFile();
  return `${basename(file.fileName)}:${file.getLineAndCharacterOfPosition(node.getStart()).line + 1}`;
}

function nameOf(node: ts.Node): string {
  const name = ts.getNameOfDeclaration(node as ts.Declaration);
  return name?.getText().replace(/^\[(.*)\]$|^["'](.*)["']$/, '$1$2') ?? '';
}

/** The statements of a file, those inside `declare global` too. */
function statementsOf(file: ts.SourceFile): ts.Statement[] {
  return file.statements.flatMap((statement) =>
    ts.isModuleDeclaration(statement) && statement.body && ts.isModuleBlock(statement.body)
      ? [...statement.body.statements]
      : [statement],
  );
}

function isGlobal(statement: ts.Statement): boolean {
  return !ts.isExternalModule(statement.getSourceFile()) || ts.isModuleBlock(statement.parent);
}

/** Everything that is declared, but for names that only refer to others, as those that are imported. */
function readDeclarations(): Declared[] {
  const all: Declared[] = [];
  const add = (name: string, node: ts.Node): void => {
    all.push({ name, node, place: placeOf(node) });
  };
  for (const statement of ownFiles.flatMap(statementsOf)) {
    if (ts.isInterfaceDeclaration(statement)) {
      const { text } = statement.name;
      const owner = /^(Console|Performance|Navigator|Shared)$/.test(text) ? text.toLowerCase() : text;
      add(owner, statement);
      statement.members.forEach((member) => add(`${owner}.${nameOf(member)}`, member));
    } else if (ts.isTypeAliasDeclaration(statement)) {
      add(statement.name.text, statement);
    } else if (ts.isFunctionDeclaration(statement)) {
      add(`${isGlobal(statement) ? 'globals' : 'fairlead'}.${nameOf(statement)}`, statement);
    } else if (ts.isVariableStatement(statement)) {
      for (const declaration of statement.declarationList.declarations) {
        const { name, type } = declaration;
        if (!isGlobal(statement)) add(`fairlead.${name.getText()}`, declaration);
        const parts = type !== undefined && ts.isIntersectionTypeNode(type) ? type.types : [type];
        for (const member of parts.flatMap((part) => (part && ts.isTypeLiteralNode(part) ? [...part.members] : []))) {
          if (ts.isConstructSignatureDeclaration(member)) add(`${name.getText()}()`, member);
          else if (nameOf(member) !== 'prototype') add(`${name.getText()}:${nameOf(member)}`, member);
        }
      }
    } else if (!ts.isExportDeclaration(statement) && !ts.isImportDeclaration(statement)) {
      throw new Error(`${placeOf(statement)}: what is this?`);
    }
  }
  return all;
}

const rows = readRows();
const declarations = readDeclarations();
const declared = new Map(declarations.map((declaration) => [declaration.name, declaration]));

function nameOfRow({ kind, cls, member }: Row): string {
  if (kind === 'HOST_CLASS' || kind === 'HOST_OBJECT') return cls;
  if (kind === 'HOST_NEW') return `${cls}()`;
  if (kind === 'HOST_CONST') return `${cls}Codes.${member}`;
  return `${cls}${kind === 'HOST_STATIC' ? ':' : '.'}${member}`;
}

/** The texts of a tag. */
function tagsOf(node: ts.Node, name: string): string[] {
  return ts
    .getJSDocTags(node)
    .filter((tag) => tag.tagName.text === name)
    .map((tag) => ts.getTextOfJSDocComment(tag.comment) ?? '');
}

function summaryOf(node: ts.Node): string {
  const [comment] = ts.getJSDocCommentsAndTags(node).filter(ts.isJSDoc);
  return comment === undefined ? '' : (ts.getTextOfJSDocComment(comment.comment) ?? '');
}

// --- Checking code ---

/** Findings in texts that stand beside the declarations. */
function findingsIn(texts: ReadonlyMap<string, string>): { file: string; line: number; text: string }[] {
  const files = new Map([...texts].map(([name, text]) => [join(folder, name), text]));
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile } = host;
  host.fileExists = (name) => files.has(name) || fileExists(name);
  host.readFile = (name) => files.get(name) ?? readFile(name);
  const checked = ts.createProgram([...files.keys(), index], options, host);
  return ts.getPreEmitDiagnostics(checked).map(({ code, file, start = 0, messageText }) => ({
    file: file === undefined ? '' : basename(file.fileName),
    line: (file?.getLineAndCharacterOfPosition(start).line ?? -1) + 1,
    text: `TS${code}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
  }));
}

describe('the declarations (F105)', () => {
  test('are sound, every file reachable from the index', () => {
    expect(ts.getPreEmitDiagnostics(program).map(({ messageText }) => messageText)).toEqual([]);
    expect(ownFiles.map(({ fileName }) => fileName).sort()).toEqual([...declarationFiles].sort());
  });

  const text = readFileSync(join(folder, 'types.test-d.ts'), 'utf8');
  const findings = findingsIn(new Map([['types.test-d.ts', text]]));
  const wanted = text.split('\n').flatMap((line, i) => {
    const reason = /^\s*\/\/ fails (TS\d+: .*)$/.exec(line)?.[1];
    return reason === undefined ? [] : [{ line: i + 2, reason }];
  });

  test('accept what is right', () => {
    const lines = new Set(wanted.map(({ line }) => line));
    expect(findings.filter(({ line }) => !lines.has(line))).toEqual([]);
  });

  test.each(wanted)('refuse line $line for its reason: $reason', ({ line, reason }) => {
    const [code, ...message] = reason.split(': ');
    const texts = findings.filter((finding) => finding.line === line).map((finding) => finding.text);
    expect(texts).toHaveLength(1);
    expect(texts[0]).toContain(`${code}: `);
    expect(texts[0]).toContain(message.join(': '));
  });
});

/** Every declaration of a row: the live messages declare some members anew. */
function declarationsOf(row: Row): Declared[] {
  const name = nameOfRow(row);
  return declarations.filter((declaration) => declaration.name === name || declaration.name === `Incoming${name}`);
}

/** Lines `place name: problem`, of those declarations that have one. */
function problems(found: readonly Declared[], problemOf: (node: ts.Node) => string | undefined): string[] {
  return found.flatMap(({ place, name, node }) => {
    const problem = problemOf(node);
    return problem === undefined ? [] : [`${place} ${name}: ${problem}`];
  });
}

describe('rows and declarations (F105, F108)', () => {
  test('each row is declared', () => {
    expect(rows.filter((row) => declarationsOf(row).length === 0).map(nameOfRow)).toEqual([]);
  });

  test('each member of a class, each function and each export has its row', () => {
    // Types that only describe values.
    const noRows = new RegExp(
      '^(\\w*Algorithm(Identifier|Params)?|CryptoKeyPair|GeneratedKey|JsonWebKey|Key(Format|Type|Usage)|' +
        'DOMExceptionCodes$|Environment|Filter|HookResult|HostError|HostErrorCode|RequestInfo|RequestRedirect|ResponseType|' +
        'SharedValue|MetricLabels|JobContext|FetchRetry|CompressionFormat|BlobPart|SocketDirection|' +
        '\\w*EventListener\\w*|\\w+Init|\\w+Options|\\w+Result|' +
        'QueuingStrategy|ReadableWritablePair|Transformer|Underlying\\w+)\\b',
    );
    // Some are objects; a live message is of the class whose members it declares anew.
    const objects = ['console', 'performance', 'navigator', 'shared'];
    const known = new Set([...rows.map(nameOfRow), ...objects, 'IncomingRequest', 'IncomingResponse']);
    const isKnown = (name: string): boolean => known.has(name) || known.has(name.replace(/^Incoming/, ''));
    const unknown = declarations.filter(({ name }) => !noRows.test(name) && !isKnown(name));
    expect(problems(unknown, () => 'has no row')).toEqual([]);
  });

  test('each function takes as many arguments as its row says', () => {
    const functions = rows.filter(({ kind }) => /^HOST_(NEW|FN|STATIC)$/.test(kind));
    expect(functions.length).toBeGreaterThan(80);
    expect(
      functions.flatMap((row) =>
        problems(declarationsOf(row), (node) => {
          const { parameters } = node as ts.SignatureDeclaration;
          const isOptional = (parameter: ts.ParameterDeclaration): boolean =>
            parameter.questionToken !== undefined || parameter.dotDotDotToken !== undefined;
          const required = parameters.filter((parameter) => !isOptional(parameter)).length;
          const wanted = requiredCount(row);
          // A row's RestAny may have names here.
          const most = row.args.includes('RestAny') ? parameters.length : row.args.length;
          if (required === wanted && parameters.length === most) return undefined;
          return `needs ${required} of ${parameters.length}, not ${wanted} of ${most}`;
        }),
      ),
    ).toEqual([]);
  });

  test('each parameter and each result is of the kind that its row names', () => {
    const parameterTypes: Record<string, RegExp> = {
      Bool: /boolean/,
      Number: /number/,
      String: /string|^(CompressionFormat|SocketDirection)$/,
      ByteString: /string/,
      Bytes: /ArrayBuffer/,
      Function: /=>/,
      Object: /./,
      Any: /./,
    };
    const resultTypes: Record<string, RegExp> = {
      Void: /^void$/,
      Any: /./,
      Bool: /^boolean$/,
      Number: /^number$/,
      String: /^(string|`.*`|KeyType|RequestRedirect|ResponseType)$/,
      ByteString: /^string$/,
      StringOrNull: /^string \| null$/,
      StringOrUndefined: /^string \| undefined$/,
      NumberOrUndefined: /^number \| undefined$/,
      ByteStringOrNull: /^string \| null$/,
      Object: /^(?!(string|number|boolean|void|unknown)$)/,
      Promise: /^Promise</,
      Iterator: /^IteratorObject</,
    };
    const typeOf = (node: ts.Node): string => (node as ts.SignatureDeclaration).type?.getText() ?? '';
    expect(
      rows
        .filter(({ kind }) => /^HOST_(NEW|FN|STATIC|GET|GETSET|ATTRIBUTE)$/.test(kind))
        .flatMap((row) =>
          problems(
            declarationsOf(row).filter(({ node }) => !ts.isSetAccessor(node)),
            (node) => {
              const parameters = [...((node as ts.SignatureDeclaration).parameters ?? [])];
              const wrong = row.args.findIndex((kind, i) => {
                const wanted = parameterTypes[kind.replace(/^Opt/, '')];
                return kind !== 'RestAny' && wanted?.test(parameters[i]?.type?.getText() ?? '') !== true;
              });
              if (wrong >= 0) return `parameter ${wrong + 1} is not of the kind ${row.args[wrong]}`;
              if (row.kind === 'HOST_NEW') return typeOf(node).replace(/<.*>$/, '') === row.cls ? undefined : `does not make a ${row.cls}`;
              // Every attribute can be absent.
              if (row.kind === 'HOST_ATTRIBUTE' && !typeOf(node).endsWith(' | undefined')) return 'is never absent';
              if (row.kind === 'HOST_ATTRIBUTE') {
                return resultTypes[row.returns]?.test(typeOf(node).slice(0, -' | undefined'.length)) === true ? undefined : `is not ${row.returns}`;
              }
              return resultTypes[row.returns]?.test(typeOf(node)) === true ? undefined : `is ${typeOf(node)}, not ${row.returns}`;
            },
          ),
        ),
    ).toEqual([]);
  });

  test('each constant has its value', () => {
    const constants = rows.filter(({ kind }) => kind === 'HOST_CONST');
    const values = constants.map((row) => (declared.get(nameOfRow(row))?.node as ts.PropertySignature).type?.getText());
    expect(values).toEqual(constants.map(({ other }) => other));
    expect(declarations.filter(({ name }) => name.startsWith('DOMExceptionCodes.'))).toHaveLength(constants.length);
  });

  test('each property can be written if its row says so', () => {
    const isWritable = (node: ts.Node): boolean =>
      ts.isSetAccessor(node) ||
      (ts.isPropertySignature(node) && !node.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ReadonlyKeyword));
    const properties = rows.filter(({ kind }) => /^HOST_GET/.test(kind));
    expect(properties.length).toBeGreaterThan(40);
    // What can be written on a live message only is declared so there.
    const wrong = properties.filter(
      (row) => declarationsOf(row).some(({ node }) => isWritable(node)) !== (row.kind === 'HOST_GETSET'),
    );
    expect(wrong.map(nameOfRow)).toEqual([]);
  });

  test('HostErrorCode holds the codes that scripts can see', () => {
    const node = declared.get('HostErrorCode')!.node as ts.TypeAliasDeclaration;
    const codes = (node.type as ts.UnionTypeNode).types.map((type) => type.getText().slice(1, -1));
    expect(codes).toEqual(visibleCodes);
  });
});

describe('the documentation', () => {
  // A setter shares the text of its getter, a constant that of all of them.
  const documented = declarations.filter(
    ({ node, name }) => !ts.isSetAccessor(node) && !name.startsWith('DOMExceptionCodes.'),
  );
  const codesOf = (node: ts.Node): string[] => tagsOf(node, 'throws').map((text) => text.split(' ')[0] ?? '');

  test('every declaration says what it is, and since when', () => {
    expect(
      problems(documented, (node) => {
        if (!summaryOf(node).trim().endsWith('.')) return 'has no sentence';
        return tagsOf(node, 'since').length === 1 ? undefined : 'has no @since';
      }),
    ).toEqual([]);
  });

  test('every member names its phases and gives an example, and no errors but those that there are', () => {
    const codes = new Set(visibleCodes);
    const members = rows.filter(({ kind }) => !/^HOST_(CLASS|OBJECT|CONST)$/.test(kind));
    expect(
      members.flatMap((row) =>
        problems(
          declarationsOf(row).filter(({ node }) => !ts.isSetAccessor(node)),
          (node) => {
            const thrown = codesOf(node);
            if (tagsOf(node, 'throws').some((text) => !/^E_\w+ \S/.test(text))) return '@throws without a code or a reason';
            if (tagsOf(node, 'phase').join() !== row.phases) return `@phase is not ${row.phases}`;
            if (tagsOf(node, 'since').join() !== row.since) return `@since is not ${row.since}`;
            if (tagsOf(node, 'example').length !== 1) return 'has not one @example';
            if (new Set(thrown).size !== thrown.length) return 'names an error twice';
            const unknown = thrown.find((code) => !codes.has(code));
            return unknown === undefined ? undefined : `@throws ${unknown}, which does not exist`;
          },
        ),
      ),
    ).toEqual([]);
  });

  test('what a hook, a HostError and an Environment have is documented like a member', () => {
    const members = documented.filter(({ name }) => /^(Filter|HostError|Environment)\./.test(name));
    expect(members).toHaveLength(12);
    expect(
      problems(members, (node) =>
        tagsOf(node, 'phase').length === 1 && tagsOf(node, 'example').length === 1 ? undefined : 'has no @phase or @example',
      ),
    ).toEqual([]);
  });

  test('every member names the errors that follow from its row', () => {
    // Whose objects are a stream's.
    const ofStream = /^(Chunk|Context|Attributes|Connection|Metadata|FilterState|Route|Cluster|RuntimeKeys|Secrets|Span)$/;
    // What a row implies: a receiver that dies with its stream, a phase, a function as an argument.
    const implied = ({ kind, cls, args, phases }: Row): string[] => [
      ...((ofStream.test(cls) || /^(Request|Response|Headers)$/.test(cls)) && /^HOST_(FN|GET|GETSET|ATTRIBUTE)$/.test(kind)
        ? ['E_DEAD_HANDLE']
        : []),
      ...(phases === 'Hooks' && /^HOST_(FN|STATIC)$/.test(kind) && !ofStream.test(cls) ? ['E_NO_STREAM'] : []),
      ...(/^(Always|Hooks)$/.test(phases) ? [] : ['E_WRONG_PHASE']),
      ...(args.some((arg) => arg === 'Function' || arg === 'Object' || arg === 'ByteString') ? ['E_ARGUMENT'] : []),
    ];
    expect(
      rows
        .filter(({ stem }) => stem !== 'engine')
        .flatMap((row) =>
          problems(
            declarationsOf(row).filter(({ node }) => !ts.isSetAccessor(node)),
            (node) => {
              const missing = implied(row).filter((code) => !codesOf(node).includes(code));
              return missing.length === 0 ? undefined : `does not name ${missing.join(', ')}`;
            },
          ),
        ),
    ).toEqual([]);
  });

  test('a member that is seen to throw an error names it', () => {
    const seen = provocations.filter(({ member }) => member !== undefined);
    const silent = seen.filter(({ code, member = '' }) => {
      const found = documented.filter(({ name }) => name === member || name === `Incoming${member}`);
      return !found.some(({ node }) => codesOf(node).includes(code));
    });
    expect(silent.map(({ code, member }) => `${member} ${code}`)).toEqual([]);
  });

  test('every error that scripts can see is named by a member', () => {
    const ofNoMember = [
      // What any member can throw: see index.d.ts.
      ...['E_MISSING_ARGUMENT', 'E_ILLEGAL_INVOCATION', 'E_INTERNAL'],
      // What is not declared, since it always throws.
      ...['E_ILLEGAL_CONSTRUCTOR', 'E_DYNAMIC_IMPORT'],
    ];
    const named = new Set([...documented.flatMap(({ node }) => codesOf(node)), ...ofNoMember]);
    expect(visibleCodes.filter((code) => !named.has(code))).toEqual([]);
  });

  test('every example compiles', () => {
    const world =
      'declare const request: IncomingRequest; declare const response: IncomingResponse; declare const ctx: Context;';
    const texts = documented.flatMap(({ node, place }) =>
      tagsOf(node, 'example').map((example) => {
        // An example with imports is a whole file; another one stands in a hook.
        const code = example.includes('import ')
          ? example
          : `import { once, shared, sleep, type Context } from "fairlead"; ${world} (async () => {\n${example}\n});`;
        return [`${place.replace('.d.ts:', '-')}.ts`, code] as const;
      }),
    );
    expect(texts.length).toBeGreaterThan(150);
    expect(findingsIn(new Map(texts))).toEqual([]);
  });
});
