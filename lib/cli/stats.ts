import type { Command } from 'commander';
import type { Batch, Capture, CaptureStats } from '../index.js';
import { UsageError } from './errors.js';
import { causes, integer, scaled } from './format.js';
import { addHelp } from './help.js';
import { addOpenOptions, type OpenFlags, openOptions, parseCount, parseDuration, parseWorkers } from './options.js';
import { print, printJson } from './output.js';
import { showRate } from './rate.js';
import { Run } from './run.js';
import { announce, withCapture } from './session.js';
import { addSource, type SourceFlags, sourceOf, wordsOf } from './source.js';
import { statsParallel } from './stats-parallel.js';

interface StatsFlags extends OpenFlags, SourceFlags {
  count?: number;
  duration?: number;
  workers?: number | 'auto';
  json?: true;
}

/** The result; its keys in JSON are fixed. */
interface Totals {
  readonly uri: string;
  readonly backend: string;
  readonly packets: number;
  /** On the wire. */
  readonly bytes: number;
  /** That it ran; of a trace, from its earliest packet to its latest. */
  readonly seconds: number;
  readonly pps: number;
  /** Bits per second. */
  readonly bps: number;
  readonly dropped: number;
  /** By cause; null where the method cannot tell. */
  readonly drops: CaptureStats['drops'];
}

export function addStats(program: Command): void {
  const command = addSource(program.command('stats'))
    .description('count packets, bytes and loss, without a look at the packets')
    .option('-c, --count <packets>', 'stop after so many', parseCount)
    .option('--duration <time>', 'stop after this time, such as 10s, 500ms or 2m', parseDuration)
    .option(
      '--workers <n>',
      'read in so many threads, auto is one for each processor; flows stay together',
      parseWorkers,
    )
    .option('--json', 'print the result as one line of JSON');
  addHelp(addOpenOptions(command), {
    examples: [
      'ringtap stats eth0',
      'ringtap stats eth0 udp port 53',
      'ringtap stats afpacket:eth0 --duration 10s --json | jq .pps',
      'ringtap stats trace.pcapng',
      'ringtap stats afpacket:eth0 --workers auto --duration 10s',
    ],
    notes: [
      'Of a trace the seconds are those from its earliest packet to its latest, and the rate is theirs.',
      'SIGINT (Ctrl-C), SIGTERM and SIGHUP end it in good order, a second one at once.',
    ],
  }).action((uri: string | undefined, words: string[], flags: StatsFlags) => stats(wordsOf(uri, words), flags));
}

/** From the earliest packet of a trace to the latest: how fast it is read says nothing of its packets. */
class Span {
  #first = Number.POSITIVE_INFINITY;
  #last = Number.NEGATIVE_INFINITY;

  add({ time }: Batch, count: number): void {
    for (let i = 0; i < count; i++) {
      const at = time[i]!;
      if (at < this.#first) this.#first = at;
      if (at > this.#last) this.#last = at;
    }
  }

  get seconds(): number {
    return this.#last > this.#first ? (this.#last - this.#first) / 1e9 : 0;
  }
}

async function stats(words: string[], flags: StatsFlags): Promise<void> {
  const { uri, filter } = sourceOf('stats', words, flags);
  if (flags.workers !== undefined) {
    if (flags.count !== undefined)
      throw new UsageError('workers cannot stop together after so many packets: --count is for one');
    return statsParallel(uri, filter, { ...flags, workers: flags.workers });
  }
  await withCapture(uri, openOptions(flags, filter), async (capture) => {
    const run = new Run([capture], { count: flags.count, durationMs: flags.duration });
    const endRate = showRate([capture], run);
    const span = capture.plan.mode === 'read' ? new Span() : undefined;
    try {
      const running = run.handle((batch, count) => span?.add(batch, count));
      announce(capture.plan); // WHY: not sooner, as whoever sees it may send a signal
      await running;
    } finally {
      endRate();
      const totals = total(capture, run, span?.seconds ?? run.seconds);
      await (flags.json ? printJson(totals) : print(describe(capture, totals)));
    }
  });
}

function total(capture: Capture, { packets, bytes }: Run, seconds: number): Totals {
  const { uri, backend } = capture;
  const { dropped, drops } = capture.stats();
  const perSecond = (value: number) => (seconds > 0 ? Math.round(value / seconds) : 0);
  return {
    uri,
    backend,
    packets,
    bytes,
    seconds: Number(seconds.toFixed(6)),
    pps: perSecond(packets),
    bps: perSecond(bytes * 8),
    dropped,
    drops,
  };
}

function describe(capture: Capture, { packets, bytes, seconds, pps, bps, dropped }: Totals): string {
  const byCause = causes(capture.stats().drops);
  return `packets  ${integer(packets)}
bytes    ${integer(bytes)}
seconds  ${seconds.toFixed(3)}
rate     ${scaled(pps, 'pps')}, ${scaled(bps, 'bit/s')}
dropped  ${integer(dropped)}${byCause === '' ? '' : ` (${byCause})`}
`;
}
