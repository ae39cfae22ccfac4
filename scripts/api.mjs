// `npm run api`: writes docs/api/*.api.md, what each public entry of the package exports. `--check` fails where a
// report is stale, something exported has no docstring, a public type leans on one that is not exported, or the
// declarations do not compile as a user's strict program sees them.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { root } from './files.mjs';

const pkg = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const entries = Object.entries(pkg.exports)
  .filter(([, to]) => to.types !== undefined)
  .map(([subpath, to]) => ({ name: join(pkg.name, subpath), file: join(root, to.types) }));

/** What `npm run build:ts` would write, in memory: a dist/ that is older than lib/ says nothing. */
function declarations() {
  const config = ts.getParsedCommandLineOfConfigFile(join(root, 'tsconfig.build.json'), {}, { ...ts.sys });
  const program = ts.createProgram(config.fileNames, { ...config.options, emitDeclarationOnly: true });
  const files = new Map();
  const emitted = program.emit(undefined, (path, text) => files.set(path, text));
  report(emitted.diagnostics);
  return files;
}

const problems = [];

function report(diagnostics) {
  for (const { file, start, messageText } of diagnostics) {
    const at = file === undefined ? '' : `${file.fileName}:${file.getLineAndCharacterOfPosition(start).line + 1}: `;
    problems.push(`${at}${ts.flattenDiagnosticMessageText(messageText, '\n')}`);
  }
}

function userProgram(files) {
  const options = {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ['lib.es2022.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
  };
  const host = ts.createCompilerHost(options);
  const { fileExists, readFile, getSourceFile } = host;
  host.fileExists = (path) => files.has(path) || (!path.startsWith(join(root, 'dist/')) && fileExists(path));
  const folders = new Set([...files.keys()].map(dirname));
  host.directoryExists = (path) => folders.has(path) || ts.sys.directoryExists(path);
  host.readFile = (path) => files.get(path) ?? readFile(path);
  host.getSourceFile = (path, ...rest) =>
    files.has(path) ? ts.createSourceFile(path, files.get(path), ...rest) : getSourceFile(path, ...rest);
  const program = ts.createProgram(
    entries.map(({ file }) => file),
    options,
    host,
  );
  for (const file of program.getSourceFiles()) {
    if (files.has(file.fileName)) report(program.getSemanticDiagnostics(file));
  }
  return program;
}

const printer = ts.createPrinter({ removeComments: true });

/** A declaration without what nobody can use. */
function printed(node) {
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

function isDocumented(node) {
  const owner = ts.isVariableDeclaration(node) ? node.parent.parent : node;
  return ts.getJSDocCommentsAndTags(owner).some((doc) => ts.isJSDoc(doc) && (doc.comment ?? '') !== '');
}

/** Members that a user meets, by name. What a base demands explains itself. */
function* members(node) {
  const list = node.members ?? (ts.isVariableDeclaration(node) ? literalMembers(node) : []);
  for (const member of list) {
    if (member.name === undefined || ts.isPrivateIdentifier(member.name)) continue;
    yield [member.name.getText(), member];
  }
}

const literalMembers = ({ type }) => (type !== undefined && ts.isTypeLiteralNode(type) ? type.members : []);

function describe({ name, file }, program) {
  const checker = program.getTypeChecker();
  const module = checker.getSymbolAtLocation(program.getSourceFile(file));
  const resolved = (symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol);
  const exported = new Map(checker.getExportsOfModule(module).map((symbol) => [symbol.name, resolved(symbol)]));
  const ours = new Set(exported.values());
  const texts = [];
  for (const [exportName, symbol] of [...exported].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const nodes = symbol.declarations ?? [];
    if (!nodes.some(isDocumented)) problems.push(`${name}: ${exportName} has no docstring`);
    const documented = new Set();
    for (const node of nodes) {
      for (const [member, at] of members(node)) if (isDocumented(at)) documented.add(member);
    }
    for (const node of nodes) {
      for (const [member] of members(node)) {
        if (!documented.has(member)) problems.push(`${name}: ${exportName}.${member} has no docstring`);
      }
      texts.push(printed(node));
      for (const missing of leansOn(node, ours, checker)) {
        problems.push(`${name}: ${exportName} leans on ${missing}, which is not exported`);
      }
    }
  }
  return `# ${name}

What \`${name}\` exports. Written by \`npm run api\` from the declarations; a change here is a change of the public API, and belongs into
[CHANGELOG.md](../../CHANGELOG.md).

\`\`\`ts
${texts.join('\n\n')}
\`\`\`
`;
}

/** Names of our own types in a declaration that the entry does not export: nobody could write them down. */
function leansOn(node, ours, checker) {
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

const check = process.argv.includes('--check');
const program = userProgram(declarations());
for (const entry of entries) {
  const path = `docs/api/${entry.name.replaceAll('/', '-')}.api.md`;
  const text = describe(entry, program);
  const file = join(root, path);
  if ((existsSync(file) ? readFileSync(file, 'utf8') : '') === text) continue;
  if (check) {
    problems.push(`${path} is stale: run \`npm run api\``);
  } else {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
    console.log(`wrote ${path}`);
  }
}
for (const problem of problems) console.error(problem);
if (problems.length > 0) process.exitCode = 1;
