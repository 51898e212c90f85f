// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// Type-checks a filter against the world it will run in: the language of the engine and the globals of fairlead; no
// browser, no Node.js.

import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import ts from 'typescript';

import type { BuildCode, Diagnostic, Place } from './diagnostics.ts';

const sdkTypes = fileURLToPath(new URL('../sdk-types/index.d.ts', import.meta.url));

/** TypeScript's declarations of what the engine leaves out. */
const absentLibraries = /^lib\.(es\d+\.sharedmemory|es2021\.weakref|esnext\.(date|intl|sharedmemory|temporal))\.d\.ts$/;

/** Globals that are absent or refuse to work, but that TypeScript declares in one piece with the language. */
const absentGlobals = new Map([
  ['Intl', 'there is no Intl in a filter'],
  ['eval', 'a filter cannot generate code: eval always throws'],
  ['Function', 'a filter cannot generate code: Function always throws'],
]);

/** Findings of TypeScript in the program that begins at `entry`, an absolute path. */
export function typeCheck(entry: string): Diagnostic[] {
  const { options, errors } = compilerOptions(dirname(entry));
  const program = ts.createProgram([entry, sdkTypes], options);
  const found = [...errors, ...ts.getPreEmitDiagnostics(program)];
  return [
    ...ts.sortAndDeduplicateDiagnostics(found).map(fromTypeScript),
    ...program.getSourceFiles().flatMap((file) => (isOwnSource(program, file) ? findAbsentGlobals(program, file) : [])),
  ];
}

/**
 * The options of the nearest tsconfig.json over our defaults. What describes the platform is ours: a project may also
 * hold code for browsers or Node.js, and its `lib` and `types` speak of those.
 */
function compilerOptions(folder: string): { options: ts.CompilerOptions; errors: readonly ts.Diagnostic[] } {
  const configFile = ts.findConfigFile(folder, ts.sys.fileExists);
  // The entry is given: the files that the configuration lists are not looked for.
  const host: ts.ParseConfigHost = { ...ts.sys, readDirectory: () => [] };
  const source = configFile === undefined ? ts.parseJsonText('tsconfig.json', '{}') : ts.readJsonConfigFile(configFile, ts.sys.readFile);
  const parsed = ts.parseJsonSourceFileConfigFileContent(source, host, dirname(configFile ?? join(folder, 'none')), undefined, configFile);
  const user = parsed.options;
  const noInputs = 18003;
  return {
    errors: parsed.errors.filter(({ code }) => code !== noInputs),
    options: {
      strict: true,
      skipLibCheck: true,
      target: ts.ScriptTarget.ES2023,
      ...user,
      lib: languageLibraries(),
      types: (user.types ?? []).filter((name) => name !== 'node'),
      paths: { ...user.paths, fairlead: [sdkTypes] },
      module: ts.ModuleKind.ESNext,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      allowImportingTsExtensions: true,
      allowJs: true,
      isolatedModules: true,
      ignoreDeprecations: '6.0',
      noEmit: true,
      noLib: false,
      composite: false,
      incremental: false,
      declaration: false,
      declarationMap: false,
      emitDeclarationOnly: false,
    },
  };
}

/** The language as the engine has it. */
function languageLibraries(): string[] {
  const folder = dirname(ts.getDefaultLibFilePath({}));
  return ts.sys
    .readDirectory(folder, ['.d.ts'], undefined, ['lib.es*.d.ts'], 1)
    .map((file) => file.slice(folder.length + 1))
    // lib.es5.d.ts and lib.es2015.core.d.ts declare; lib.es2015.d.ts only names others.
    .filter((name) => /^lib\.(es5|es\w+\.\w+(\.\w+)?)\.d\.ts$/.test(name) && !name.endsWith('.full.d.ts'))
    .filter((name) => !absentLibraries.test(name));
}

function isOwnSource(program: ts.Program, file: ts.SourceFile): boolean {
  return !file.isDeclarationFile && !program.isSourceFileFromExternalLibrary(file);
}

function findAbsentGlobals(program: ts.Program, file: ts.SourceFile): Diagnostic[] {
  const checker = program.getTypeChecker();
  const found: Diagnostic[] = [];
  const visit = (node: ts.Node): void => {
    const message = ts.isIdentifier(node) && ts.isExpression(node) ? absentGlobals.get(node.text) : undefined;
    if (message !== undefined && isUse(node) && isDeclaredByLanguage(program, checker.getSymbolAtLocation(node))) {
      const code: BuildCode = 'E_BUILD_GLOBAL';
      found.push({ severity: 'error', code, message, place: placeOf(file, node.getStart(file), node.getWidth(file)) });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** `value instanceof Function` is fine, calling it is not. The other names have no use that works. */
function isUse(node: ts.Node): boolean {
  const { parent } = node;
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) return false;
  if (ts.isIdentifier(node) && node.text !== 'Function') return true;
  return (ts.isCallExpression(parent) || ts.isNewExpression(parent)) && parent.expression === node;
}

function isDeclaredByLanguage(program: ts.Program, symbol: ts.Symbol | undefined): boolean {
  const declarations = symbol?.declarations ?? [];
  return declarations.some((declaration) => program.isSourceFileDefaultLibrary(declaration.getSourceFile()));
}

function fromTypeScript(diagnostic: ts.Diagnostic): Diagnostic {
  const [first = '', ...more] = ts.flattenDiagnosticMessageText(diagnostic.messageText, '\n').split('\n');
  // TypeScript would have the user install types of browsers or Node.js.
  const unknownName = /^(Cannot find name '.*'\.) Do you need to /.exec(first)?.[1];
  const message = unknownName ?? first;
  const hints = unknownName === undefined ? more : ['A filter has the globals of fairlead: not those of browsers or Node.js.'];
  const { file, start = 0, length = 1 } = diagnostic;
  return {
    severity: diagnostic.category === ts.DiagnosticCategory.Error ? 'error' : 'warning',
    code: `TS${diagnostic.code}`,
    message,
    hints: hints.map((hint) => hint.trim()),
    ...(file && { place: placeOf(file, start, length) }),
  };
}

function placeOf(file: ts.SourceFile, start: number, length: number): Place {
  const { line, character } = file.getLineAndCharacterOfPosition(start);
  const lineStarts = file.getLineStarts();
  const lineText = file.text.slice(lineStarts[line], lineStarts[line + 1]).replace(/[\r\n]+$/, '');
  return { file: file.fileName, line: line + 1, column: character + 1, length: Math.max(1, length), lineText };
}
