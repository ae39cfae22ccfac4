// The command and its commands, from which parsing, help, manual page and completions are made.
import { Command } from 'commander';
import { printable } from '../errors/printable.js';
import { addBench } from './bench.js';
import { addCapture } from './capture.js';
import { addCompletion } from './completion/index.js';
import { addConvert } from './convert.js';
import { addDoctor } from './doctor.js';
import { addExplain } from './explain.js';
import { addExtcap } from './extcap/index.js';
import { addHelp } from './help.js';
import { addHelpCommand } from './help-command.js';
import { addInfo } from './info.js';
import { hintForOption } from './letters.js';
import { addList } from './list.js';
import { addListen } from './listen.js';
import { addMerge } from './merge.js';
import { addRead } from './read.js';
import { addRpcapd } from './rpcapd.js';
import { addSplit } from './split.js';
import { addStats } from './stats.js';
import { columns } from './text.js';
import { version } from './version.js';

const COMMANDS = [
  addList,
  addDoctor,
  addExplain,
  addCapture,
  addListen,
  addStats,
  addRead,
  addInfo,
  addMerge,
  addSplit,
  addConvert,
  addRpcapd,
  addExtcap,
  addBench,
  addCompletion,
  addHelpCommand,
];

export function createProgram(): Command {
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
  for (const add of COMMANDS) add(program);
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
