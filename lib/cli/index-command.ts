import type { Command } from 'commander';
import { CaptureError, indexTrace } from '../index.js';
import { report, say } from './errors.js';
import { integer } from './format.js';
import { addHelp } from './help.js';
import { tracesAmong } from './trace/inputs.js';

export function addIndex(program: Command): void {
  addHelp(
    program
      .command('index')
      .argument('<files...>', 'traces that are complete, compressed or not')
      .description(
        'write an index of times beside each trace (FILE.rtidx), by which --from and --to find their packets',
      ),
    {
      examples: [
        'ringtap index day.pcap',
        'ringtap index *.pcapng.zst && ringtap read day.pcapng.zst --from 2026-11-30T10:00Z --to 2026-11-30T10:01Z',
      ],
      notes: [
        'A compressed trace keeps the sections that ringtap made when it wrote it; any other one is one section, which is passed over where it has nothing of the time.',
        'An index is not used once its trace was changed. A trace that is cut or damaged gets none.',
      ],
    },
  ).action(index);
}

async function index(files: string[]): Promise<void> {
  for (const file of tracesAmong(files)) {
    try {
      const { path, packets, sections } = await indexTrace(file);
      say(`${path}: ${integer(packets)} packets in ${integer(sections)} section${sections === 1 ? '' : 's'}`);
    } catch (error) {
      if (!(error instanceof CaptureError)) throw error;
      process.exitCode = report(error);
    }
  }
}
