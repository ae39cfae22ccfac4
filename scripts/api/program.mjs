// The package's declarations as a user's strict program sees them.

import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import ts from 'typescript';
import { root } from '../files.mjs';

const pkg = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** What a program can import: its name, and the file that declares it. */
export const entries = Object.entries(pkg.exports)
  .filter(([, to]) => to.types !== undefined)
  .map(([subpath, to]) => ({ name: join(pkg.name, subpath), file: join(root, to.types) }));

/** What `npm run build:ts` would write, in memory: a dist/ that is older than lib/ says nothing. */
function declarations(problems) {
  const config = ts.getParsedCommandLineOfConfigFile(join(root, 'tsconfig.build.json'), {}, { ...ts.sys });
  const program = ts.createProgram(config.fileNames, { ...config.options, emitDeclarationOnly: true });
  const files = new Map();
  const emitted = program.emit(undefined, (path, text) => files.set(path, text));
  report(emitted.diagnostics, problems);
  return files;
}

function report(diagnostics, problems) {
  for (const { file, start, messageText } of diagnostics) {
    const at = file === undefined ? '' : `${file.fileName}:${file.getLineAndCharacterOfPosition(start).line + 1}: `;
    problems.push(`${at}${ts.flattenDiagnosticMessageText(messageText, '\n')}`);
  }
}

/** A program over the declarations; what does not compile goes to `problems`. */
export function userProgram(problems) {
  const files = declarations(problems);
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
    if (files.has(file.fileName)) report(program.getSemanticDiagnostics(file), problems);
  }
  return program;
}

/** What an entry exports: each name with its declarations, in alphabetical order. */
export function exportsOf({ file }, checker, program) {
  const module = checker.getSymbolAtLocation(program.getSourceFile(file));
  return checker
    .getExportsOfModule(module)
    .map((symbol) => ({
      name: symbol.name,
      symbol: symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol,
    }))
    .map(({ name, symbol }) => ({ name, symbol, nodes: symbol.declarations ?? [] }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
