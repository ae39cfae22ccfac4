// The code blocks of the documents: found, made into programs, and run as a reader would run them.
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import ts from 'typescript';
import { root } from './child.js';
import { cli, type Outcome, start } from './cli.js';
import { bytes, ethernet, ipv4, ipv6, pcapFile, tcp, udp } from './trace.js';
import { capturing } from './wait.js';

const inFolder = (folder: string) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith('.md') && !name.endsWith('.api.md'))
    .map((name) => join(folder, name));

/** Whose blocks are looked at. */
export const DOCUMENTS: readonly string[] = [
  'README.md',
  'SECURITY.md',
  'docs/decode.md',
  'docs/export.md',
  'docs/events.md',
  'docs/flows.md',
  'docs/installing.md',
  'docs/parallel.md',
  'docs/tunnels.md',
  'docs/writing-and-sending.md',
  ...inFolder('docs/api'),
  ...inFolder('docs/guides'),
  ...readdirSync(join(root, 'native/backends'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join('native/backends', name, 'README.md')),
];

/**
 * What is done with a block: the word after its language.
 * - `run`: it is run to its end, or, where a comment of it says Ctrl-C, until it gets that. It must succeed, print
 *   something, and complain of nothing.
 * - `check`: it is compiled, or parsed: what cannot be done here, such as installing.
 * - `signature`: nothing; it is a declaration, of the API's pages.
 */
const TREATMENTS: Readonly<Record<string, readonly string[]>> = {
  ts: ['run', 'check', 'signature'],
  js: ['run', 'check'],
  sh: ['run', 'check'],
  json: ['check'],
  ini: ['check'],
  yaml: ['check'],
  dockerfile: ['check'],
  text: [''],
};

export interface Block {
  /** File and line, for people. */
  readonly name: string;
  readonly language: string;
  readonly treatment: string;
  readonly code: string;
}

export const blocks: readonly Block[] = DOCUMENTS.flatMap((file) => {
  const text = readFileSync(join(root, file), 'utf8');
  return [...text.matchAll(/^```(\S*)[ \t]*([^\n]*)\n([\s\S]*?)^```$/gm)].map((match) => {
    const [, language = '', treatment = '', code = ''] = match;
    const line = text.slice(0, match.index).split('\n').length;
    return { name: `${file}:${line}`, language, treatment, code };
  });
});

export const isMarked = ({ language, treatment }: Block) => TREATMENTS[language]?.includes(treatment) ?? false;

export const ofLanguage = (...languages: readonly string[]) =>
  blocks.filter(({ language, treatment }) => languages.includes(language) && treatment !== 'signature');

export const isRun = ({ treatment }: Block) => treatment === 'run';
/** It needs an interface: `eth0` is the lab's. */
export const needsLab = ({ code }: Block) => /\beth0\b/.test(code);

/** What a block that does not import ringtap may use without saying what it is: the pages of the API say so to their readers. */
const CONTEXT: Readonly<Record<string, string>> = {
  capture: "const capture = await open('synth:?count=2000&protocols=udp,tcp6&sizes=imix');",
  batch: "const batch = (await open('synth:?count=200&protocols=udp,tcp6')).nextSync()!.copy();",
  listener: "const listener = await listen('rpcap://127.0.0.1:0');",
  parallel:
    "const parallel = await openParallel('synth:?count=2000', { workers: 2, handler: new URL('./handler.mjs', import.meta.url) });",
  writer: "const writer = await openWriter('context.pcapng');",
  frames: 'const frames: Uint8Array[] = Array.from({ length: 8 }, () => new Uint8Array(60));',
};

/** Every name that the package exports, with its entry. */
const EXPORTS: ReadonlyMap<string, string> = new Map(
  Object.entries({
    'ringtap/streams': 'ringtap-streams',
    'ringtap/decode': 'ringtap-decode',
    'ringtap/export': 'ringtap-export',
    'ringtap/flow': 'ringtap-flow',
    ringtap: 'ringtap',
  }).flatMap(([entry, file]) => {
    const report = readFileSync(join(root, `docs/api/${file}.api.md`), 'utf8');
    return [...report.matchAll(/^export (?:(?:abstract )?class|interface|type|const|function) (\w+)/gm)].map(
      ([, name]) => [name!, entry] as const,
    );
  }),
);

/** A TypeScript block as a whole program, and how many lines were put before it. */
export function programOf({ code }: Block): { readonly text: string; readonly before: number } {
  if (/^import .* from 'ringtap/m.test(code)) return { text: code, before: 0 };
  const context: string[] = [];
  for (const [name, line] of Object.entries(CONTEXT)) {
    const isDeclared = new RegExp(`^(?:await using|const|let|using) ${name}\\b`, 'm').test(code);
    const isUsed = new RegExp(`(?<!\\.)\\b${name}\\b`).test(code.replace(new RegExp(`const ${name} of`, 'g'), ''));
    const isOfLoops = name === 'batch' && /const batch of/.test(code);
    if (isUsed && !isDeclared && !isOfLoops) context.push(line);
  }
  const body = [...context, code].join('\n');
  const imports = [...EXPORTS]
    .filter(([name]) => new RegExp(`(?<![.\\w'])${name}\\b`).test(body))
    .map(([name, entry]) => `import { ${name} } from '${entry}';`);
  const before = [...imports, ...context];
  return { text: [...before, code, 'export {};'].join('\n'), before: before.length };
}

/** The handler that documents speak of. */
const HANDLER = `let packets = 0;
export const onBatch = (batch) => void (packets += batch.length);
export const onReduce = () => [packets, (packets = 0)][0];
export const onEnd = ({ report }) => void report(packets);
`;

/** A folder in which 'ringtap' is ours, and `ringtap`, `npx ringtap` and `sudo` are, too. */
export function workshop(folder: string): void {
  chmodSync(folder, 0o755); // for blocks that give up their rights
  mkdirSync(join(folder, 'node_modules'), { recursive: true });
  symlinkSync(root, join(folder, 'node_modules/ringtap'));
  symlinkSync(join(root, 'node_modules/@types'), join(folder, 'node_modules/@types'));
  writeFileSync(join(folder, 'handler.mjs'), HANDLER);
  mkdirSync(join(folder, 'bin'));
  const command = (name: string, line: string) =>
    writeFileSync(join(folder, 'bin', name), `#!/bin/sh\nexec ${line}\n`, { mode: 0o755 });
  command('ringtap', `"${process.execPath}" "${cli}" "$@"`);
  command('npx', '"$@"');
  command('sudo', '"$@"');
}

/** What the compiler says of all TypeScript blocks, as a strict user has it: one line for each complaint. */
export function complaints(folder: string): string[] {
  const files = new Map(
    ofLanguage('ts').map((block) => {
      const { text, before } = programOf(block);
      const path = join(folder, `${block.name.replaceAll(/[/:]/g, '-')}.mts`);
      writeFileSync(path, text);
      return [path, { block, before }];
    }),
  );
  const program = ts.createProgram([...files.keys()], {
    target: ts.ScriptTarget.ES2022,
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    lib: ['lib.es2022.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
  });
  return ts.getPreEmitDiagnostics(program).map(({ file, start = 0, messageText }) => {
    const { block, before } = files.get(file?.fileName ?? '') ?? { block: undefined, before: 0 };
    const line = file === undefined ? 0 : file.getLineAndCharacterOfPosition(start).line + 1 - before;
    const text = ts.flattenDiagnosticMessageText(messageText, '\n');
    return `${block?.name ?? file?.fileName}, line ${line} of it: ${text}`;
  });
}

/** Frames of all kinds that the documents' filters look for. */
export const FRAMES: readonly Uint8Array[] = [
  ethernet(0x0800, ipv4({ protocol: 17 }, udp(5353, 53, bytes('000101000001000000000000', '0161', 0, '00010001')))),
  ethernet(0x0800, ipv4({ protocol: 17 }, udp(40000, 9, Buffer.alloc(100)))),
  ethernet(0x0800, ipv4({ protocol: 6 }, tcp({ destination: 443 }))),
  ethernet(0x0800, ipv4({ protocol: 6 }, tcp({ destination: 80 }, Buffer.from('GET / HTTP/1.1\r\n\r\n')))),
  ethernet(0x86dd, ipv6({ next: 17 }, udp(5353, 53, Buffer.alloc(20)))),
  ethernet(0x0800, ipv4({ protocol: 17 }, udp(5353, 53, Buffer.alloc(20))), [[0x8100, 5]]),
];

/** Long enough for what a block does once, and for packets that wait for others. */
const UNTIL_CTRL_C_MS = 2_500;
const PATIENCE_MS = 60_000;

/** Runs a block in a folder of its own, in which trace.pcap and trace.pcapng are. */
export async function runBlock(block: Block, folder: string): Promise<Outcome> {
  const name = block.name.replaceAll(/[/:]/g, '-');
  const place = join(folder, name);
  mkdirSync(place);
  const trace = pcapFile(
    [...FRAMES, ...FRAMES].map((data, i) => ({ data, time: 1_700_000_000_000_000_000n + BigInt(i) })),
  );
  for (const file of ['trace.pcap', 'trace.pcapng']) writeFileSync(join(place, file), trace);
  const here = (code: string) => code.replaceAll(/\beth0\b/g, process.env.RINGTAP_LAB_RX ?? 'rt1');
  const env = { PATH: `${join(folder, 'bin')}:${dirname(process.execPath)}:${process.env.PATH}`, NO_COLOR: '1' };
  let args: string[];
  let file = process.execPath;
  if (block.language === 'sh') {
    file = 'bash';
    args = ['-e', '-o', 'pipefail', '-c', here(block.code)];
  } else {
    const options = { target: ts.ScriptTarget.ES2022, module: ts.ModuleKind.ES2022 };
    const { outputText } = ts.transpileModule(here(programOf(block).text), { compilerOptions: options });
    const script = join(folder, `${name}.mjs`);
    writeFileSync(script, outputText);
    args = [script];
  }
  const { process: child, outcome } = start(file, args, { env, cwd: place, group: true });
  const end = (signal: NodeJS.Signals) => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, signal);
  };
  const ended = new AbortController();
  const pressesCtrlC = block.code.includes('Ctrl-C');
  const begun = pressesCtrlC && needsLab(block) ? capturing(child.pid!).catch(() => {}) : Promise.resolve();
  const timer = begun
    .then(() => sleep(pressesCtrlC ? UNTIL_CTRL_C_MS : PATIENCE_MS, undefined, { signal: ended.signal }))
    .then(
      () => end(pressesCtrlC ? 'SIGINT' : 'SIGKILL'),
      () => {},
    );
  try {
    return await outcome;
  } finally {
    ended.abort();
    await timer;
  }
}

/** Of a command that says on stderr what it does, what is a complaint. */
const COMPLAINT = /^(hint|fix):|^ringtap: (?!capturing from )|warning|error/i;
const EXPECTED = /RINGTAP_(TAKES_TRAFFIC|FALLBACK)|--trace-warnings/;

/** What a good run is compared with: it succeeded, said something, and complained of nothing but what it was told to do. */
export function verdict({ code, signal, stdout, stderr }: Outcome, { code: text, language }: Block) {
  const lines = stderr.split('\n').filter((line) => line !== '' && !EXPECTED.test(line));
  const complaints = language === 'sh' ? lines.filter((line) => COMPLAINT.test(line)) : lines;
  const stopped = text.includes('Ctrl-C') && signal === 'SIGINT';
  return { succeeded: code === 0 || stopped || `${code ?? signal}`, silent: stdout === '', complaints };
}
