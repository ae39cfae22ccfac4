// The command and its commands, from which parsing, help, manual page and completions are made.
import { Command } from 'commander';
import { printable } from '../errors/printable.js';
import { addHelp } from './help.js';
import { hintForOption } from './letters.js';
import { columns } from './text.js';
import { version } from './version.js';

/** The commands, in the order of help. WHY not imported: a run has one of them, and loading all takes longer than a short run. */
const COMMANDS: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  list: async () => (await import('./list.js')).addList,
  doctor: async () => (await import('./doctor.js')).addDoctor,
  explain: async () => (await import('./explain.js')).addExplain,
  capture: async () => (await import('./capture.js')).addCapture,
  listen: async () => (await import('./listen.js')).addListen,
  stats: async () => (await import('./stats.js')).addStats,
  flows: async () => (await import('./flows.js')).addFlows,
  events: async () => (await import('./events.js')).addEvents,
  read: async () => (await import('./read.js')).addRead,
  info: async () => (await import('./info.js')).addInfo,
  index: async () => (await import('./index-command.js')).addIndex,
  merge: async () => (await import('./merge.js')).addMerge,
  split: async () => (await import('./split.js')).addSplit,
  convert: async () => (await import('./convert.js')).addConvert,
  replay: async () => (await import('./replay.js')).addReplay,
  inline: async () => (await import('./inline.js')).addInline,
  rpcapd: async () => (await import('./rpcapd.js')).addRpcapd,
  extcap: async () => (await import('./extcap/index.js')).addExtcap,
  bench: async () => (await import('./bench.js')).addBench,
  completion: async () => (await import('./completion/index.js')).addCompletion,
  help: async () => (await import('./help-command.js')).addHelpCommand,
};
/** Those that speak of all the others. */
const NEED_ALL = new Set(['help', 'completion']);

/** @param wanted the one that is going to run, so that no other is loaded; all where it is none of them */
export async function createProgram(wanted?: string): Promise<Command> {
  const program = new Command('ringtap')
    .description('Packet capture: one command for every capture method.')
    .version(version(), '-V, --version')
    .exitOverride()
    .configureHelp({ minWidthToWrap: 10, subcommandTerm: (command) => command.name() })
    .configureOutput({ getOutHelpWidth: columns, getErrHelpWidth: columns });
  addHelp(program, {
    examples: [
      ['ringtap list', 'what can be captured here'],
      ['ringtap capture eth0 udp port 53', 'packets as lines, as tcpdump prints them'],
      ['ringtap capture eth0 -w trace.pcapng', 'packets into a file'],
      ['ringtap stats eth0 --duration 10s', 'rates and loss'],
      'ringtap read trace.pcapng',
    ],
    notes: ['Exit status: 0 done, 1 failed, 2 wrong usage.', 'NODE_DEBUG=ringtap shows where an error comes from.'],
  });
  const isOne = wanted !== undefined && Object.hasOwn(COMMANDS, wanted) && !NEED_ALL.has(wanted);
  const adders = await Promise.all((isOne ? [COMMANDS[wanted]!] : Object.values(COMMANDS)).map((load) => load()));
  for (const add of adders) add(program);
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({ outputError: (text, write) => write(complaint(text, command)) });
  }
  return program;
}

/** What commander says, which quotes arguments; its own line ends are those before a suggestion and at the end. */
function complaint(text: string, command: Command): string {
  const lines = text
    .trimEnd()
    .replace(/^error:/, 'ringtap:')
    .split(/\n(?=\(Did you mean )/);
  const path = command.parent === null ? command.name() : `${command.parent.name()} ${command.name()}`;
  const flag = /^error: unknown option '(.*)'/s.exec(text)?.[1];
  const hint = flag === undefined ? `${path} --help shows how it is used` : hintForOption(flag, path);
  return `${[...lines, `hint: ${hint}`].map((line) => printable(line)).join('\n')}\n`;
}
