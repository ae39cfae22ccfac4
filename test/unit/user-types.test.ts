// The declarations in programs of users whose settings are not ours.
import { cpSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import ts from 'typescript';
import { expect, test } from 'vitest';
import { root } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';

const path = temporaryFolder();

const PROGRAM = `
import { open } from 'ringtap';
import { Decoded, decode } from 'ringtap/decode';
import { type FlowExporter, MetricsExporter } from 'ringtap/export';
import { FlowMeter } from 'ringtap/flow';

const capture = await open('synth:?count=3', { batchSize: 3 });
const headers = new Decoded(4096);
const meter = new FlowMeter({ sampling: { flows: 10 } });
let bytes = 0;
for await (const batch of capture) {
  decode(batch, headers);
  meter.add(batch);
  for (const packet of batch) bytes += packet.wirelen + headers.src(0).length;
}
const exporter: FlowExporter = new MetricsExporter();
for (const flows of meter.drain()) await exporter.write(flows);
await capture[Symbol.asyncDispose]();
export default bytes;
`;

/** What a compiler that looks at declarations, too, says of the program, in a project that has ringtap as npm puts it there. */
function complaints(name: string, lib: readonly string[], hasNodeTypes: boolean): string[] {
  const project = path(name);
  const modules = join(project, 'node_modules');
  mkdirSync(join(modules, 'ringtap'), { recursive: true });
  for (const part of ['dist', 'package.json'])
    cpSync(join(root, part), join(modules, 'ringtap', part), { recursive: true });
  if (hasNodeTypes) {
    symlinkSync(join(root, 'node_modules/@types'), join(modules, '@types'));
    symlinkSync(join(root, 'node_modules/undici-types'), join(modules, 'undici-types'));
  }
  writeFileSync(join(project, 'main.mts'), PROGRAM);
  const program = ts.createProgram([join(project, 'main.mts')], {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: lib.map((one) => `lib.${one}.d.ts`),
    types: hasNodeTypes ? ['node'] : [],
    typeRoots: [join(modules, '@types')],
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
  });
  return ts.getPreEmitDiagnostics(program).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'));
}

test('they compile with @types/node', () => {
  expect(complaints('node', ['es2022'], true)).toEqual([]);
});

test('they compile without @types/node where the DOM is known, as it is by default', () => {
  expect(complaints('dom', ['es2022', 'dom'], false)).toEqual([]);
});

test('without both they miss AbortSignal, and nothing else of the host', () => {
  const missing = complaints('bare', ['es2022'], false).filter((text) => !text.includes("'AbortSignal'"));
  expect(missing).toEqual([]);
});
