import { type Command, Option } from 'commander';
import { type EventStats, FlowMeter, type ProtocolName } from '../flow/index.js';
import { PROTOCOLS } from '../generated/events.js';
import { tell, UsageError } from './errors.js';
import { eventLine } from './event-line.js';
import { integer } from './format.js';
import { addHelp } from './help.js';
import { addOpenOptions, type OpenFlags, openOptions, parseCount, parseDuration } from './options.js';
import { printBytes, printText } from './output.js';
import { Run } from './run.js';
import { announce, withCapture } from './session.js';
import { addSource, type SourceFlags, sourceOf, wordsOf } from './source.js';

/** So many packets cost a turn of JavaScript no more than a few do. */
const BATCH_SIZE = 4096;
/** How often a live capture is told the time. */
const TICK_MS = 1000;

interface EventFlags extends OpenFlags, SourceFlags {
  count?: number;
  duration?: number;
  json?: true;
  types?: ProtocolName[];
  communityId?: true;
  decap: boolean;
}

export function addEvents(program: Command): void {
  const command = addSource(program.command('events'))
    .description('tell what is said: names, handshakes, requests, addresses, a line for each')
    .addOption(
      new Option('--types <list>', `only these, with commas between: ${PROTOCOLS.join(', ')}`).argParser(parseTypes),
    )
    .option('--json', 'print each event as a line of EVE JSON')
    .option('--community-id', 'with the Community ID of the flow, in JSON')
    .option('-c, --count <packets>', 'stop after so many', parseCount)
    .option('--duration <time>', 'stop after this time, such as 10s, 500ms or 2m', parseDuration)
    .option('--no-decap', 'look at tunnels, not at what is in them');
  addHelp(addOpenOptions(command), {
    examples: [
      'ringtap events eth0',
      'ringtap events trace.pcapng --types dns,tls',
      "ringtap events '/var/captures/*.pcapng' --json | jq -r 'select(.tls).tls.sni'",
      'ringtap events eth0 --types arp arp',
    ],
    notes: [
      'Protocols are found by what they say, on any port. JSON has the field names of Suricata.',
      'A filter must let through whole conversations: TLS and HTTP are read from their first packet on.',
      'SIGINT (Ctrl-C), SIGTERM and SIGHUP end it in good order; a second one ends it at once.',
    ],
  }).action((uri: string | undefined, words: string[], flags: EventFlags) => events(wordsOf(uri, words), flags));
}

function parseTypes(text: string): ProtocolName[] {
  return text.split(',').map((word) => {
    const name = PROTOCOLS.find((each) => each === word.trim().toLowerCase());
    if (name !== undefined) return name;
    throw new UsageError(`--types: there is no protocol "${word}"`, `There is: ${PROTOCOLS.join(', ')}.`);
  });
}

async function events(words: string[], flags: EventFlags): Promise<void> {
  const { uri, filter } = sourceOf('events', words, flags);
  const meter = new FlowMeter({
    protocols: flags.types ?? true,
    communityId: flags.communityId === true,
    decap: flags.decap,
  });
  await withCapture(uri, { batchSize: BATCH_SIZE, ...openOptions(flags, filter) }, async (capture) => {
    const run = new Run([capture], { count: flags.count, durationMs: flags.duration });
    const isLive = capture.plan.mode !== 'read';
    const pass = async () => {
      for (const _ of meter.drain()); // records of flows are what `ringtap flows` tells
      const found = meter.events();
      if (found.length === 0) return;
      if (flags.json) return printBytes(found.toJsonLines());
      let text = '';
      for (const event of found) text += `${eventLine(event)}\n`;
      await printText(text);
    };
    const tick = () => {
      meter.advance();
      void pass();
    };
    const timer = isLive ? setInterval(tick, TICK_MS) : undefined;
    try {
      const running = run.handle((batch, count) => {
        meter.add(batch, count);
        return pass();
      });
      if (isLive) announce(capture.plan); // WHY: not sooner, as whoever sees it may send a signal
      await running;
    } finally {
      clearInterval(timer);
      meter.flush();
      await pass();
      const { packets, events } = meter.stats();
      tell(summaryOf(packets, events));
    }
  });
}

function summaryOf(packets: number, events: EventStats): string {
  const { made, withheld, lost, withoutMemory, givenUp, withoutFields } = events;
  const besides = [
    ['withheld', withheld],
    ['lost', lost],
    ['packets without memory', withoutMemory],
    ['flows given up', givenUp],
    ['of HTTP 2 without header fields, for want of libnghttp2', withoutFields],
  ] as const;
  const told = besides.filter(([, count]) => count > 0).map(([name, count]) => `${name} ${integer(count)}`);
  return `${integer(packets)} packets, ${integer(made)} events${told.length === 0 ? '' : ` (${told.join(', ')})`}`;
}
