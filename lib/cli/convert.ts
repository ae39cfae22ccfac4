import { type Command, InvalidArgumentError } from 'commander';
import { say } from './errors.js';
import { integer } from './format.js';
import { addHelp } from './help.js';
import { parseCount } from './options.js';
import { Dedup, type DedupWindow, shiftTimes } from './trace/changes.js';
import { addCompress } from './trace/compress.js';
import { OutputFile, type OutputFlags, refuseInput } from './trace/output-file.js';
import { pass } from './trace/pass.js';
import { addRange, RANGE_NOTE, type RangeFlags, rangeOptions } from './trace/range.js';
import { parseSpan } from './trace/times.js';
import { wholeRecords } from './trace/trace-name.js';

interface ConvertFlags extends OutputFlags, RangeFlags {
  filter?: string;
  snaplen?: number;
  timeShift?: bigint;
  dedup?: DedupWindow;
  micro?: true;
}

export function addConvert(program: Command): void {
  addHelp(
    addRange(
      addCompress(
        program
          .command('convert')
          .argument('<in>', 'a trace, a pattern of names in quotes, a folder, or -')
          .argument('<out>', 'the trace to write')
          .description('write a trace in another format, or a part of it')
          .option('-f, --filter <expression>', 'only packets that this pcap-filter(7) expression matches')
          .option('-s, --snaplen <bytes>', 'keep so many bytes of each packet', parseCount)
          .option('--time-shift <span>', 'move all times, such as 1h or -0.25s', parseSpan)
          .option(
            '--dedup <window>',
            'drop a packet that is equal to one of so many before it (5), or of a time (10ms)',
            parseWindow,
          )
          .option('--micro', 'times in microseconds, rounded down, for readers that know no others')
          .option('--force', 'overwrite an existing file'),
      ),
    ),
    {
      examples: [
        'ringtap convert trace.pcapng trace.pcap',
        'ringtap convert day.pcapng dns.pcapng -f "udp port 53" --from 2026-11-30T10:00Z --to 2026-11-30T10:05Z',
        'ringtap convert tap.pcap once.pcap --dedup 5 -s 128',
        'ringtap convert trace.pcap trace.pcap.zst --compress zstd:9',
      ],
      notes: [
        'The output is pcapng or ERF if its name ends so, else pcap, and compressed with .zst, .lz4 or .gz behind it; - is standard output. The input may be a pattern in quotes, a folder, or -.',
        RANGE_NOTE,
        'From ERF to ERF records stay as they are, extension headers included, but with -f, -s and --dedup.',
        'A trace that is cut or damaged: every good packet is written, then the error, and the exit status is 1.',
      ],
    },
  ).action(convert);
}

function parseWindow(text: string): DedupWindow {
  if (/^\d+$/.test(text)) return { packets: parseCount(text) };
  const ns = parseSpan(text);
  if (ns < 0n) throw new InvalidArgumentError('Expected a number of packets, or a time such as 10ms.');
  return { ns };
}

async function convert(input: string, path: string, flags: ConvertFlags): Promise<void> {
  refuseInput(path, [input]);
  const { timeShift, dedup, micro } = flags;
  const double = dedup === undefined ? undefined : new Dedup(dedup);
  const isWhole = flags.filter === undefined && flags.snaplen === undefined && dedup === undefined;
  const options = {
    ...rangeOptions(flags),
    ...(flags.filter === undefined ? {} : { filter: flags.filter }),
    ...(isWhole ? wholeRecords(path) : {}),
  };
  await pass([input], options, async (capture) => {
    const { linkType } = capture;
    const { snaplen } = flags;
    // Whoever moves times may want them finer than they were.
    const nanosecond = micro ? false : timeShift === undefined ? undefined : true;
    const output = await OutputFile.open(path, flags, { linkType, snaplen, nanosecond });
    let read = 0;
    return {
      async take(batch) {
        read += batch.length;
        let select: Uint8Array | undefined;
        if (double !== undefined) {
          select = new Uint8Array(batch.length).fill(1);
          double.apply(batch, select);
        }
        if (timeShift !== undefined) shiftTimes(batch, timeShift);
        await output.write(batch, { select });
      },
      async finish() {
        await output.finish();
        const { packets } = output.writer.stats();
        say(`${integer(packets)} of ${integer(read + capture.stats().filtered)} packets are in ${path}`);
      },
      discard: () => output.discard(),
    };
  });
}
