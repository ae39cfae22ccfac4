#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command } from 'commander';
import { printable } from '../errors/printable.js';
import { addBench } from './bench.js';
import { addCapture } from './capture.js';
import { addDoctor } from './doctor.js';
import { report, say } from './errors.js';
import { addExplain } from './explain.js';
import { addList } from './list.js';
import { endWithOutput } from './output.js';
import { addRead } from './read.js';
import { addStats } from './stats.js';

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
  version: string;
};

const program = new Command('ringtap')
  .description('Packet capture: one command for every capture method.')
  .version(version)
  .exitOverride()
  .configureOutput({ outputError: (text, write) => write(complaint(text)) })
  .showHelpAfterError('hint: --help shows how it is used')
  .addHelpText(
    'after',
    `
Examples:
  $ ringtap list                                    what can be captured here
  $ ringtap capture eth0 -f "udp port 53"           packets as lines, as tcpdump prints them
  $ ringtap capture afpacket:eth0 -w trace.pcapng   packets into a file
  $ ringtap stats eth0 --duration 10s               rates and loss
  $ ringtap read trace.pcapng

Exit status: 0 done, 1 failed, 2 wrong usage. NODE_DEBUG=ringtap shows where an error comes from.`,
  );
/** What commander says, which quotes arguments; its own line ends are those before a suggestion and at the end. */
function complaint(text: string): string {
  const lines = text
    .trimEnd()
    .replace(/^error:/, 'ringtap:')
    .split(/\n(?=\(Did you mean )/);
  return `${lines.map((line) => printable(line)).join('\n')}\n`;
}

for (const add of [addList, addDoctor, addExplain, addCapture, addStats, addRead, addBench]) add(program);

endWithOutput();
// Node's own handler would print the process id and a code. The library warns of fallbacks this way.
process.removeAllListeners('warning').on('warning', ({ message }) => say(`warning: ${message}`));
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = report(error);
}
