// docs/api/*.api.md: what an entry exports, as declarations. The diff of it is what a review of the API reads.
import { join } from 'node:path';
import ts from 'typescript';
import { root } from '../files.mjs';

const printer = ts.createPrinter({ removeComments: true });

/** A declaration without what nobody can use. */
export function printed(node) {
  const isHidden = (member) =>
    (member.name !== undefined && ts.isPrivateIdentifier(member.name)) ||
    (ts.getCombinedModifierFlags(member) & ts.ModifierFlags.Private) !== 0;
  const whole = ts.isVariableDeclaration(node) ? node.parent.parent : node;
  const text = printer.printNode(ts.EmitHint.Unspecified, whole, whole.getSourceFile());
  const hidden = (node.members ?? []).filter(isHidden);
  return hidden
    .reduce((rest, member) => {
      const line = printer.printNode(ts.EmitHint.Unspecified, member, member.getSourceFile());
      return rest.replace(`    ${line}\n`, '');
    }, text)
    .replace(/^export declare /, 'export ');
}

export function reportOf({ name }, exported) {
  const texts = exported.flatMap(({ nodes }) => nodes.map(printed));
  return `# ${name}

What \`${name}\` exports. Written by \`npm run api\` from the declarations; a change here is a change of the public API, and belongs into
[CHANGELOG.md](../../CHANGELOG.md).

\`\`\`ts
${texts.join('\n\n')}
\`\`\`
`;
}

/** Names of our own types that exported ones lean on, and that are not exported: nobody could write them down. */
export function leaningOn({ name: entry }, exported, checker) {
  const ours = new Set(exported.map(({ symbol }) => symbol));
  return exported.flatMap(({ name, nodes }) =>
    nodes.flatMap((node) =>
      [...missingIn(node, ours, checker)].map(
        (missing) => `${entry}: ${name} leans on ${missing}, which is not exported`,
      ),
    ),
  );
}

function missingIn(node, ours, checker) {
  const missing = new Set();
  const visit = (at) => {
    if (ts.isTypeReferenceNode(at) || ts.isExpressionWithTypeArguments(at)) {
      let symbol = checker.getSymbolAtLocation(at.typeName ?? at.expression);
      if (symbol !== undefined && symbol.flags & ts.SymbolFlags.Alias) symbol = checker.getAliasedSymbol(symbol);
      const from = symbol?.declarations?.[0];
      const isOurs = from?.getSourceFile().fileName.startsWith(join(root, 'dist/')) ?? false;
      // What an alias is computed with shows in no message; a type parameter is nobody's.
      const isHelper = ts.isTypeAliasDeclaration(node) || (from !== undefined && ts.isTypeParameterDeclaration(from));
      if (isOurs && !isHelper && !ours.has(symbol)) missing.add(symbol.name);
    }
    ts.forEachChild(at, visit);
  };
  visit(node);
  return missing;
}
