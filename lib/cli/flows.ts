import { type Command, Option } from 'commander';
import { FlowBatch, FlowMeter, type FlowStats } from '../flow/index.js';
import type { Capture } from '../index.js';
import { tell } from './errors.js';
import { LiveTable } from './flow-live.js';
import {
  addFlowOutput,
  checkOutput,
  FlowOutput,
  type FlowOutputFlags,
  hasOutput,
  isForCollector,
} from './flow-output.js';
import { FlowTable, ROWS, TOPS, type Top } from './flow-table.js';
import { integer } from './format.js';
import { addHelp } from './help.js';
import { addOpenOptions, type OpenFlags, openOptions, parseCount, parseDuration } from './options.js';
import { print, printBytes } from './output.js';
import { onSignal, Run } from './run.js';
import { type Draw, hasScreen, Screen } from './screen.js';
import { announce, withCapture } from './session.js';
import { addSource, type SourceFlags, sourceOf, wordsOf } from './source.js';

/** So many packets cost a turn of JavaScript no more than a few do. */
const BATCH_SIZE = 4096;
/** Records that are worth a look at them. */
const WORTHWHILE = 4096;
/** How often a live capture is told the time. */
const TICK_MS = 1000;
/** What is on the table is told in parts so long, and each is told when the table is drawn: so much before its time. */
const SHOWN_MS = 250;
const SHOWN_EARLIER_MS = SHOWN_MS + 300;

interface FlowFlags extends OpenFlags, SourceFlags, FlowOutputFlags {
  count?: number;
  duration?: number;
  top?: Top;
  activeTimeout?: number;
  idleTimeout?: number;
  maxFlows?: number;
  decap: boolean;
}

export function addFlows(program: Command): void {
  const command = addSource(program.command('flows'))
    .description('tell who talks to whom: a record for each flow, in both directions')
    .addOption(new Option('--json', 'print each record as a line of EVE JSON').conflicts(['csv', 'top']))
    .addOption(new Option('--csv', 'print each record as a line, behind one with the names').conflicts('top'))
    .addOption(new Option('--top <what>', 'a table of what had the most bytes').choices(TOPS))
    .option('-c, --count <packets>', 'stop after so many', parseCount)
    .option('--duration <time>', 'stop after this time, such as 10s, 500ms or 2m', parseDuration)
    .option('--active-timeout <time>', 'tell a flow that goes on in parts of this time (default: 60s)', parseDuration)
    .option('--idle-timeout <time>', 'end a flow of which nothing came for this time (default: 15s)', parseDuration)
    .option('--max-flows <flows>', 'open at once; beyond, what was idle longest ends (default: 1048576)', parseCount)
    .option('--no-decap', 'meter tunnels, not what is in them');
  addHelp(addOpenOptions(addFlowOutput(command)), {
    examples: [
      'ringtap flows trace.pcapng',
      'ringtap flows eth0 --json tcp port 443',
      "ringtap flows '/var/captures/*.pcapng' --top pair",
      'ringtap flows trace.pcap --json | jq -c .flow',
      'ringtap flows trace.pcap --csv > flows.csv',
      'ringtap flows eth0 --ipfix collector:4739',
      'ringtap flows trace.pcap -w flows.parquet',
    ],
    notes: [
      'Without --json, --csv, --top, --ipfix, --netflow and -w: a table of the largest flows, at the end. On a terminal, that of a live capture is drawn anew each second: r, b, p, s, d sort it, q ends it.',
      'JSON has the field names of Suricata (event_type flow).',
      'SIGINT (Ctrl-C), SIGTERM and SIGHUP end it in good order, with what is open by then; a second one ends it at once.',
    ],
  }).action((uri: string | undefined, words: string[], flags: FlowFlags) => flows(wordsOf(uri, words), flags));
}

/** What becomes of records. */
interface Outcome {
  take(flows: FlowBatch): Promise<void> | void;
  /** A second went by. */
  tick?(): void;
  end(): Promise<void> | void;
}

async function flows(words: string[], asked: FlowFlags): Promise<void> {
  const { uri, filter } = sourceOf('flows', words, asked);
  checkOutput(asked, uri);
  // Lines go to standard output by themselves.
  const { write: to, ...others } = asked;
  const flags: FlowFlags = to === '-' ? others : asked;
  const given = { batchSize: BATCH_SIZE, ...openOptions(flags, filter) };
  const options = isForCollector(flags) ? { ...given, tls: undefined } : given;
  await withCapture(uri, options, async (capture) => {
    const isLive = capture.plan.mode !== 'read';
    // WHY: the table ends records each second, and collectors get those that were asked for.
    const isShown = isLive && !flags.json && !flags.csv && !hasOutput(flags) && hasScreen();
    const meter = meterOf(isShown ? { activeTimeout: SHOWN_MS, ...flags } : flags);
    const run = new Run([capture], { count: flags.count, durationMs: flags.duration });
    const output = hasOutput(flags) ? await FlowOutput.open(flags, capture, meter) : undefined;
    const outcome = isShown ? shown(capture, meter, flags.top) : outcomeOf(flags, output);
    let passing = 0;
    const pass = async () => {
      passing++;
      try {
        for (const records of meter.drain()) await outcome.take(records);
      } finally {
        passing--;
      }
    };
    let failure: unknown;
    const failed = (error: unknown) => {
      failure ??= error;
      run.stop();
    };
    const tick = () => {
      const now = Date.now() + (isShown ? SHOWN_EARLIER_MS : 0);
      // Where one waits for a collector, it takes these records, too.
      if (meter.advance(BigInt(now) * 1_000_000n) > 0 && passing === 0) pass().catch(failed);
      outcome.tick?.();
    };
    const timer = isLive ? setInterval(tick, TICK_MS) : undefined;
    const worthwhile = isLive ? 1 : WORTHWHILE;
    if (output !== undefined) onSignal(() => output.hurry());
    try {
      const running = run.handle((batch, count) => (meter.add(batch, count) >= worthwhile ? pass() : undefined));
      if (isLive && !isShown) announce(capture.plan); // WHY: not sooner, as whoever sees it may send a signal
      await running;
      if (failure !== undefined) throw failure;
    } finally {
      clearInterval(timer);
      const { active } = meter.stats();
      meter.flush();
      try {
        await pass();
      } finally {
        try {
          await outcome.end();
        } finally {
          tell(summaryOf(meter.stats(), isShown ? active : undefined));
        }
      }
    }
  });
}

function meterOf(flags: FlowFlags): FlowMeter {
  const ms = (time: number | undefined) => (time === undefined ? undefined : Math.max(1, Math.round(time)));
  return new FlowMeter({
    activeTimeoutMs: ms(flags.activeTimeout),
    idleTimeoutMs: ms(flags.idleTimeout),
    maxFlows: flags.maxFlows,
    decap: flags.decap,
  });
}

function outcomeOf(flags: FlowFlags, output: FlowOutput | undefined): Outcome {
  const shown = shownOf(flags, output !== undefined);
  if (output === undefined || shown === undefined) return output ?? shown!;
  const take = async (records: FlowBatch) => {
    await shown.take(records);
    await output.take(records);
  };
  const end = async () => {
    await shown.end();
    await output.end();
  };
  return { take, end };
}

/** What stdout gets; nothing where records go elsewhere, unless it was asked for. */
function shownOf(flags: FlowFlags, isExported: boolean): Outcome | undefined {
  const isForFile = flags.write !== undefined;
  if (isExported && flags.top === undefined && (isForFile || !(flags.json || flags.csv))) return undefined;
  if (flags.json) return { take: (records) => printBytes(records.toJsonLines()), end: () => {} };
  if (flags.csv) {
    let head: Promise<void> | undefined;
    const begin = () => (head ??= print(`${FlowBatch.csvHead}\n`));
    const take = async (records: FlowBatch) => {
      await begin();
      await printBytes(records.toCsvLines());
    };
    return { take, end: begin };
  }
  const table = new FlowTable(flags.top);
  return { take: (records) => table.add(records), end: () => print(table.text()) };
}

/** A table that is drawn anew each second. */
function shown(capture: Capture, meter: FlowMeter, top: Top | undefined): Outcome {
  const table = new LiveTable(top);
  const draw: Draw = (size) => {
    const { packets, active } = meter.stats();
    return table.screen(capture.uri, { packets, active, dropped: capture.stats().dropped }, size);
  };
  const screen = new Screen(draw, (key) => table.press(key));
  screen.redraw();
  let before = performance.now();
  const tick = () => {
    const now = performance.now();
    table.elapse((now - before) / 1000);
    before = now;
    screen.redraw();
  };
  const end = () => {
    screen.leave();
    return print(table.text(ROWS));
  };
  return { take: (records) => table.add(records), tick, end };
}

/** @param open flows that were open at the end of a table, whose parts say nothing of how flows ended */
function summaryOf({ packets, inFlows, flows, records, notIp, malformed }: FlowStats, open?: number): string {
  const made = Object.entries(records).filter(([, count]) => count > 0);
  const without = [...Object.entries(notIp), ['malformed', malformed] as const].filter(([, count]) => count > 0);
  const listed = (counts: (readonly [string, number])[]) =>
    counts.length === 0 ? '' : ` (${counts.map(([name, count]) => `${name} ${integer(count)}`).join(', ')})`;
  const total = made.reduce((sum, [, count]) => sum + count, 0);
  return [
    `${integer(packets)} packets, ${integer(inFlows)} of them in ${integer(flows)} flows`,
    open === undefined
      ? `${integer(total)} records${listed(made)}`
      : `${integer(flows - open)} flows had ended, ${integer(open)} were open`,
    ...(without.length === 0 ? [] : [`${integer(packets - inFlows)} packets in none${listed(without)}`]),
  ].join('\n');
}
