import { existsSync } from 'node:fs';
import type { Command } from 'commander';
import { parseCount } from './options.js';
import { print } from './output.js';
import { addPrintOptions, type PrintFlags, printOptions } from './print/options.js';
import { Printer } from './print/printer.js';
import { Run } from './run.js';
import { withCapture } from './session.js';

interface ReadFlags extends PrintFlags {
  filter?: string;
  count?: number;
}

export function addRead(program: Command): void {
  const command = program
    .command('read <file>')
    .description('print the packets of a trace (pcap, pcapng, ERF), a line for each; - is standard input')
    .option('-f, --filter <expression>', 'only packets that this pcap-filter(7) expression matches')
    .option('-c, --count <packets>', 'stop after so many', parseCount);
  addPrintOptions(command)
    .addHelpText(
      'after',
      `
Examples:
  $ ringtap read trace.pcapng -f "tcp[tcpflags] & tcp-syn != 0"
  $ tcpdump -i eth0 -U -w - | ringtap read -
  $ ringtap read -tttt -e trace.pcap

A file that is cut or damaged: every good packet is printed, then the error with its byte offset.`,
    )
    .action(read);
}

async function read(file: string, flags: ReadFlags): Promise<void> {
  const options = printOptions(flags);
  await withCapture(fileUri(file), { filter: flags.filter }, async (capture) => {
    const printer = new Printer(capture.epoch, options);
    const run = new Run(capture, { count: flags.count });
    await run.each((batch, count) => print(printer.lines(batch, count)));
  });
}

/** A path stands for itself, even where it looks like an interface; a file: URI is taken, too. */
function fileUri(file: string): string {
  if (/^(file|pcapfile|erf):/i.test(file) && !existsSync(file)) return file;
  // Two slashes at the start of a path are one, but at the start of a URI's target they stand for nothing.
  return `file:${file.replace(/[%?#]|(?<=^\/)\//g, encodeURIComponent)}`;
}
