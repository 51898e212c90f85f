// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

// What can be read off a filter's source without running it.

import ts from 'typescript';

/** A source file, as text. */
export interface Source {
  /** Absolute path; its ending tells the language. */
  readonly file: string;
  readonly text: string;
}

/**
 * Hosts that `fetch` names in so many words, `fetch("http://auth/verify")`, also by way of `new URL(…)`,
 * `new Request(…)`, a template or a constant of the same file. What is put together at run time is not seen.
 */
export function namedHosts(sources: readonly Source[]): string[] {
  const hosts = new Set<string>();
  for (const source of sources) {
    const tree = parse(source);
    const constants = findConstants(tree);
    visitAll(tree, (node) => {
      if (!ts.isCallExpression(node) || !ts.isIdentifier(node.expression) || node.expression.text !== 'fetch') return;
      const host = node.arguments[0] && hostOf(node.arguments[0], constants);
      if (host !== undefined) hosts.add(host);
    });
  }
  return [...hosts].sort();
}

/** Where a CommonJS file shows what it is, line and column from 1; absent when it does not. */
export function findCommonJs(source: Source): { line: number; column: number; length: number } | undefined {
  const tree = parse(source);
  const names = new Set(['module', 'exports', 'require']);
  let found: ts.Node | undefined;
  visitAll(tree, (node) => {
    if (found === undefined && ts.isIdentifier(node) && names.has(node.text)) found = node;
  });
  if (found === undefined) return undefined;
  const { line, character } = tree.getLineAndCharacterOfPosition(found.getStart(tree));
  return { line: line + 1, column: character + 1, length: found.getWidth(tree) };
}

function parse({ file, text }: Source): ts.SourceFile {
  return ts.createSourceFile(file, text, ts.ScriptTarget.Latest);
}

function visitAll(node: ts.Node, visitor: (node: ts.Node) => void): void {
  visitor(node);
  ts.forEachChild(node, (child) => {
    visitAll(child, visitor);
  });
}

function findConstants(tree: ts.SourceFile): Map<string, ts.Expression> {
  const constants = new Map<string, ts.Expression>();
  visitAll(tree, (node) => {
    if (!ts.isVariableDeclarationList(node) || !(node.flags & ts.NodeFlags.Const)) return;
    for (const { name, initializer } of node.declarations) {
      if (ts.isIdentifier(name) && initializer) constants.set(name.text, initializer);
    }
  });
  return constants;
}

function hostOf(expression: ts.Expression, constants: ReadonlyMap<string, ts.Expression>): string | undefined {
  if (ts.isStringLiteralLike(expression)) return hostIn(expression.text);
  // The host is known when it ends before the first hole.
  if (ts.isTemplateExpression(expression)) {
    const { text } = expression.head;
    return /^\w+:\/\/[^/?#]+[/?#]/.test(text) ? hostIn(text) : undefined;
  }
  if (ts.isNewExpression(expression) && ts.isIdentifier(expression.expression)) {
    if (!['URL', 'Request'].includes(expression.expression.text)) return undefined;
    const [url, base] = expression.arguments ?? [];
    return (url && hostOf(url, constants)) ?? (base && hostOf(base, constants));
  }
  if (ts.isAsExpression(expression) || ts.isSatisfiesExpression(expression) || ts.isParenthesizedExpression(expression)) {
    return hostOf(expression.expression, constants);
  }
  if (!ts.isIdentifier(expression)) return undefined;
  const value = constants.get(expression.text);
  // A constant stands for itself only: no chains, so no cycles.
  return value && hostOf(value, new Map());
}

function hostIn(text: string): string | undefined {
  return URL.canParse(text) ? new URL(text).hostname || undefined : undefined;
}
