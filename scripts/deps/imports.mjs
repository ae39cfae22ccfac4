// What a TypeScript or JavaScript file imports, as the compiler reads it.
import { readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import ts from 'typescript';

const isTypeOnly = (node) =>
  (ts.isImportDeclaration(node) && node.importClause?.isTypeOnly === true) ||
  (ts.isExportDeclaration(node) && node.isTypeOnly) ||
  ts.isImportTypeNode(node);

/** The text that this node imports, if it does. */
function specifierOf(node) {
  if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) return node.moduleSpecifier;
  if (ts.isImportTypeNode(node)) return node.argument.literal;
  const [first] = ts.isCallExpression(node) ? node.arguments : [];
  const { expression } = node;
  const isImport = expression?.kind === ts.SyntaxKind.ImportKeyword;
  // createRequire() under another name is not seen: nothing here needs one.
  const isRequire = expression !== undefined && ts.isIdentifier(expression) && expression.text === 'require';
  return isImport || isRequire ? first : undefined;
}

/**
 * Each import as { specifier, line, types, target }: `types`: gone at run time (`import { type A }` is not, with
 * verbatimModuleSyntax); `target`: from the root, where the specifier is relative.
 */
export function importsOf(root, path) {
  const text = readFileSync(join(root, path), 'utf8');
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, false);
  const found = [];
  const visit = (node) => {
    const literal = specifierOf(node);
    if (literal !== undefined && ts.isStringLiteralLike(literal)) {
      const specifier = literal.text;
      const target = specifier.startsWith('.') ? normalize(join(dirname(path), specifier)) : undefined;
      const line = file.getLineAndCharacterOfPosition(literal.getStart(file)).line + 1;
      found.push({ specifier, line, types: isTypeOnly(node), target: target?.replace(/\.(m?)js$/, '.$1ts') });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

/** 'vitest/config' → 'vitest', '@bufbuild/protobuf/codegenv2' → '@bufbuild/protobuf'. */
export const packageOf = (specifier) =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
