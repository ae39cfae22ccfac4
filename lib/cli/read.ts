import type { Command } from 'commander';
import type { OpenOptions } from '../index.js';
import { addHelp } from './help.js';
import { addOption, parseCount } from './options.js';
import { print } from './output.js';
import { addPrintOptions, linesOf, type PrintFlags } from './print/options.js';
import { Run } from './run.js';
import { withCapture } from './session.js';
import { addFile, fileUri, type SourceFlags, sourceOf, wordsOf } from './source.js';
import { addRange, RANGE_NOTE, type RangeFlags, rangeOptions } from './trace/range.js';

interface ReadFlags extends PrintFlags, SourceFlags, RangeFlags {
  count?: number;
  follow?: true;
  option?: Readonly<Record<string, string>>;
}

export function addRead(program: Command): void {
  const command = addFile(program.command('read'))
    .description('print the packets of a trace (pcap, pcapng, ERF), a line for each')
    .option('-c, --count <packets>', 'stop after so many', parseCount)
    .option('-F, --follow', 'go on behind the end, as tail -F: with what is written later, and with the next file');
  addHelp(addPrintOptions(addRange(addOption(command))), {
    examples: [
      'ringtap read trace.pcapng tcp port 443',
      'ringtap read -X -r trace.pcapng "tcp[tcpflags] & tcp-syn != 0"',
      'ringtap read trace.pcapng --json | jq -r .src_ip | sort | uniq -c',
      'tcpdump -i eth0 -U -w - | ringtap read -',
      'ringtap read -tttt -e trace.pcap',
      'ringtap read -v -c 1 trace.pcapng icmp',
      "ringtap read -F '/var/captures/x_*.pcapng' udp port 53",
    ],
    notes: [
      '-F follows one file, or the files of a rotation: a pattern in quotes (x_*.pcap, x-%H%M.pcap) or a folder. A file that is replaced or cut is read anew. SIGINT (Ctrl-C), SIGTERM and SIGHUP end it.',
      RANGE_NOTE,
      'A file that is cut or damaged: every good packet is printed, then the error with its byte offset.',
    ],
  }).action((file: string | undefined, words: string[], flags: ReadFlags) => read(wordsOf(file, words), flags));
}

async function read(words: string[], flags: ReadFlags): Promise<void> {
  const { uri, filter } = sourceOf('read', words, flags);
  const lines = linesOf(flags);
  const from = flags.read === undefined ? fileUri(uri) : uri;
  // What only file: takes stands in its URI.
  const followed = flags.follow ? `${from}${from.includes('?') ? '&' : '?'}follow=true` : from;
  await withCapture(followed, { ...flags.option, filter, ...rangeOptions(flags) } as OpenOptions, async (capture) => {
    const text = lines(capture);
    const run = new Run([capture], { count: flags.count });
    await run.handle((batch, count) => print(text.lines(batch, count)));
  });
}
