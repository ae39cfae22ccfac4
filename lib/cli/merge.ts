import { type Command, Option } from 'commander';
import { say } from './errors.js';
import { integer } from './format.js';
import { addHelp } from './help.js';
import { addCompress } from './trace/compress.js';
import { tracesAmong } from './trace/inputs.js';
import { OutputFile, type OutputFlags, refuseInput } from './trace/output-file.js';
import { pass } from './trace/pass.js';
import { wholeRecords } from './trace/trace-name.js';

interface MergeFlags extends OutputFlags {
  write: string;
  order: 'time' | 'given';
  filter?: string;
}

export function addMerge(program: Command): void {
  addHelp(
    addCompress(
      program
        .command('merge')
        .argument('<files...>', 'traces (pcap, pcapng, ERF), patterns of names in quotes, or folders')
        .description('make one trace of several, in order of time')
        .requiredOption(
          '-w, --write <file>',
          'the trace to write: pcapng or ERF if the name ends so, else pcap, and compressed with .zst, .lz4 or .gz behind it; - is standard output',
        )
        .addOption(
          new Option('--order <how>', 'by time, or one after the other').choices(['time', 'given']).default('time'),
        )
        .option('-f, --filter <expression>', 'only packets that this pcap-filter(7) expression matches')
        .option('--force', 'overwrite an existing file'),
    ),
    {
      examples: [
        'ringtap merge -w all.pcapng eth0.pcap eth1.pcapng',
        'ringtap merge -w day.pcapng /var/captures/2026-11-30',
        'ringtap merge -w - a.pcap b.pcap | ringtap read -',
      ],
      notes: [
        'Files may be patterns in quotes ("day*.pcap") and folders. Of equal times those of the first file come first.',
        'A file that is cut or damaged: every good packet is written, then the error names it, and the exit status is 1.',
      ],
    },
  ).action(merge);
}

async function merge(named: string[], flags: MergeFlags): Promise<void> {
  const files = tracesAmong(named);
  refuseInput(flags.write, files);
  const { order, filter } = flags;
  const isWhole = filter === undefined;
  const options = { order, ...(isWhole ? {} : { filter }), ...(isWhole ? wholeRecords(flags.write) : {}) };
  await pass(files, options, async ({ linkType, plan }) => {
    const output = await OutputFile.open(flags.write, flags, { linkType });
    return {
      take: (batch) => output.write(batch),
      async finish() {
        await output.finish();
        const what = /^\d+ traces/.exec(plan.notes[0] ?? '')?.[0] ?? '1 trace';
        say(`${integer(output.writer.stats().packets)} packets of ${what} are in ${flags.write}`);
      },
      discard: () => output.discard(),
    };
  });
}
