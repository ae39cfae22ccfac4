import { type Command, InvalidArgumentError, Option } from 'commander';
import { CaptureError } from '../errors/errors.js';
import { type ReplayOptions, type ReplayProgress, type Rewrite, replay } from '../index.js';
import { UsageError } from './errors.js';
import { integer, scaled } from './format.js';
import { addHelp } from './help.js';
import { parseCount } from './options.js';
import { onSignal } from './run.js';
import { tracesAmong, tracesUri } from './trace/inputs.js';
import { addRange, RANGE_NOTE, type RangeFlags, rangeOptions } from './trace/range.js';

const CLEAR_LINE = '\r\x1b[K';
const UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9 };

interface ReplayFlags extends RangeFlags {
  output?: string;
  clientOut?: string;
  serverOut?: string;
  clients?: readonly string[];
  speed?: number;
  pps?: number;
  bps?: number;
  topspeed?: true;
  loop?: number;
  filter?: string;
  count?: number;
  oversize?: ReplayOptions['oversize'];
  late?: 'catch-up' | 'shift';
  srcMac?: string;
  dstMac?: string;
  vlanPush?: number;
  vlanSet?: number;
  vlanPop?: true;
  mapAddress?: Readonly<Record<string, string>>;
  ttl?: number | 'decrement';
  dscp?: number;
  json?: true;
  memory?: number;
}

export function addReplay(program: Command): void {
  addHelp(
    addRange(
      program
        .command('replay')
        .argument('<files...>', 'traces (pcap, pcapng, ERF), patterns of names in quotes, or folders')
        .description('send a trace again, in its own time or at another pace')
        .option('-o, --output <uri>', 'the interface to send on: eth0, afxdp:eth0, …')
        .option('--speed <times>', 'as recorded, but so many times as fast', parseRate)
        .option('--pps <packets>', 'so many packets a second, such as 50k', parseRate)
        .option('--bps <bits>', 'so many bits a second, such as 100M', parseRate)
        .option('--topspeed', 'as fast as the interface takes them')
        .option('--loop <times>', 'so many times in all; 0 is until Ctrl-C', parseWhole)
        .option('-c, --count <packets>', 'at most so many packets of the trace', parseCount)
        .option('-f, --filter <expression>', 'only packets that this pcap-filter(7) expression matches')
        .addOption(
          new Option('--oversize <what>', 'of packets longer than the MTU').choices(['refuse', 'truncate', 'skip']),
        )
        .addOption(
          new Option('--late <what>', 'after a delay send what is due at once, or all the rest later').choices([
            'catch-up',
            'shift',
          ]),
        )
        .option('--src-mac <address>', 'another source MAC address')
        .option('--dst-mac <address>', 'another destination MAC address')
        .option('--vlan-push <id>', 'a VLAN tag more', parseWhole)
        .option('--vlan-set <id>', 'another number in the outermost VLAN tag', parseWhole)
        .option('--vlan-pop', 'without the outermost VLAN tag')
        .option(
          '--map-address <from=to>',
          'addresses or networks that become others, such as 10.0.0.0/8=192.168.0.0/16; repeatable',
          collectMapping,
        )
        .option('--ttl <hops>', 'another time to live or hop limit; decrement: one less', (text: string) =>
          text === 'decrement' ? text : parseWhole(text),
        )
        .option('--dscp <value>', 'another differentiated services code point', parseWhole)
        .option('--client-out <uri>', 'where frames of clients go, instead of -o')
        .option('--server-out <uri>', 'where frames of servers go')
        .option(
          '--clients <addresses>',
          'who the clients are: networks, addresses or MAC addresses with commas between (default: who speaks first)',
          (text: string) => text.split(','),
        )
        .option('--memory <MiB>', 'what the trace may take in memory', parseCount)
        .option('--json', 'the account as one line of JSON'),
    ),
    {
      examples: [
        'ringtap replay trace.pcap -o eth0',
        'ringtap replay trace.pcapng -o afxdp:eth0 --topspeed --loop 10',
        'ringtap replay day.pcap -o eth0 --pps 50k -f "udp port 53" --dst-mac 02:00:00:00:00:01',
        'ringtap replay trace.pcap --client-out eth0 --server-out eth1 --clients 10.0.0.0/8',
      ],
      notes: [
        'The trace is read into memory before the first frame leaves. At the end: how late frames were against the schedule, and what was not sent, and why.',
        RANGE_NOTE,
      ],
    },
  ).action(run);
}

function parseRate(text: string): number {
  const [, number, unit = ''] = /^(\d+(?:\.\d+)?)([kmg]?)$/i.exec(text) ?? [];
  const rate = Number(number) * UNITS[unit.toLowerCase()]!;
  if (rate > 0) return rate;
  throw new InvalidArgumentError('Expected a number above 0, such as 0.5, 50k or 100M.');
}

function parseWhole(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('Expected a whole number.');
  return Number(text);
}

function collectMapping(text: string, previous: Readonly<Record<string, string>> = {}): Record<string, string> {
  const [from, to, ...more] = text.split('=');
  if (!from || !to || more.length > 0) throw new InvalidArgumentError('Expected from=to.');
  return { ...previous, [from]: to };
}

function outputsOf({ output, clientOut, serverOut }: ReplayFlags): { to: string; server?: string } {
  if (output !== undefined && clientOut !== undefined) {
    throw new UsageError('-o and --client-out are the same: give one of them');
  }
  const to = output ?? clientOut;
  if (to === undefined) throw new UsageError('replay: -o is missing', 'For example: ringtap replay trace.pcap -o eth0');
  if (serverOut === undefined && clientOut !== undefined) {
    throw new UsageError('--client-out needs --server-out', 'For one interface: -o.');
  }
  return serverOut === undefined ? { to } : { to, server: serverOut };
}

function rewriteOf(flags: ReplayFlags): Rewrite | undefined {
  const { srcMac, dstMac, vlanPush, vlanSet, vlanPop, mapAddress: addresses, ttl, dscp } = flags;
  const rewrite = { srcMac, dstMac, vlanPush, vlanSet, vlanPop, addresses, ttl, dscp };
  return Object.values(rewrite).every((value) => value === undefined) ? undefined : rewrite;
}

async function run(named: string[], flags: ReplayFlags): Promise<void> {
  const { to, server } = outputsOf(flags);
  const controller = new AbortController();
  const stopped = new Error('stopped');
  onSignal(() => controller.abort(stopped));
  let last: ReplayProgress | undefined;
  let wasStopped = false;
  const { speed, pps, bps, filter, count, oversize, late } = flags;
  try {
    last = await replay(tracesUri(tracesAmong(named)), to, {
      ...rangeOptions(flags),
      speed,
      pps,
      bps,
      topSpeed: flags.topspeed,
      loop: flags.loop === 0 ? Number.POSITIVE_INFINITY : flags.loop,
      filter,
      count,
      oversize,
      late: late === 'catch-up' ? 'catchUp' : late,
      memoryBytes: flags.memory === undefined ? undefined : flags.memory * 1024 ** 2,
      rewrite: rewriteOf(flags),
      server,
      clients: flags.clients,
      signal: controller.signal,
      onProgress: (progress) => {
        last = progress;
        const room = (process.stderr.columns || 80) - 1;
        if (process.stderr.isTTY) process.stderr.write(`${CLEAR_LINE}${rateLine(progress).slice(0, room)}`);
      },
    });
  } catch (error) {
    if (error !== stopped) throw error;
    wasStopped = true;
  } finally {
    if (process.stderr.isTTY) process.stderr.write(CLEAR_LINE);
    if (last !== undefined) tell(last, flags);
  }
  if (last === undefined) return;
  const lost = lostOf(last) + (wasStopped ? 0 : last.unsent);
  if (lost > 0)
    throw new CaptureError('RINGTAP_SYSTEM', `${integer(lost)} of ${integer(last.sent)} frames were not sent`);
}

function rateLine({ sent, bytes, seconds }: ReplayProgress): string {
  const per = (amount: number, unit: string) => scaled(seconds > 0 ? amount / seconds : 0, unit);
  return `${integer(sent)} ${sent === 1 ? 'frame' : 'frames'}  ${per(sent, 'pps')}  ${per(bytes * 8, 'bit/s')}`;
}

/** Frames that were accepted, and did not get out. WHY without those whose time was over: that was asked for. */
function lostOf({ transmitter, server }: ReplayProgress): number {
  const failed = [transmitter, server].flatMap((stats) => Object.entries(stats?.failed ?? {}));
  return failed.reduce((sum, [cause, count]) => sum + (cause === 'ttl' ? 0 : count), 0);
}

const FAILURES: Readonly<Record<string, string>> = {
  tooShort: 'shorter than a link-level header',
  tooLong: 'longer than the MTU',
  linkDown: 'no carrier',
  noBuffer: 'no memory',
  malformed: 'refused by the kernel',
  dropped: 'dropped on the way out',
  ttl: 'out of time to live',
};

function tell(progress: ReplayProgress, flags: ReplayFlags): void {
  if (flags.json) {
    process.stdout.write(`${JSON.stringify(progress)}\n`);
    return;
  }
  const { sent, seconds, planned, loops, lateness } = progress;
  const lines = [`${rateLine(progress)}  in ${seconds.toFixed(3)} s${loops > 1 ? `, ${integer(loops)} loops` : ''}`];
  if (!flags.topspeed && sent > 0) {
    const [p50, p90, p99, max] = [lateness.p50, lateness.p90, lateness.p99, lateness.max].map(span);
    lines.push(
      `late: half ${p50}, 90 % ${p90}, 99 % ${p99}, at most ${max}; the schedule took ${planned.toFixed(3)} s`,
    );
  }
  lines.push(...losses(progress));
  process.stdout.write(`${lines.join('\n')}\n`);
}

/** What was not sent as it is in the trace, and why. */
function losses(progress: ReplayProgress): string[] {
  const { skipped, truncated, cut, backwards, unsent, transmitter, server } = progress;
  const counts: [number, string][] = [
    [skipped, 'packets left out: longer than the MTU, too short for a frame, or out of time to live'],
    [truncated, 'packets cut to the MTU'],
    [cut, 'packets sent as far as they were captured'],
    [backwards, 'packets earlier than one before them, sent right behind it'],
    [unsent, 'frames never sent: the port took none'],
  ];
  for (const [name, why] of Object.entries(FAILURES)) {
    const failed = [transmitter, server].map((stats) => (stats?.failed as Record<string, number> | undefined)?.[name]);
    counts.push([(failed[0] ?? 0) + (failed[1] ?? 0), `frames not sent: ${why}`]);
  }
  return counts.filter(([count]) => count > 0).map(([count, what]) => `${integer(count)} ${what}`);
}

function span(ns: number): string {
  if (ns < 1e3) return `${ns} ns`;
  return ns < 1e6 ? `${(ns / 1e3).toFixed(1)} µs` : `${(ns / 1e6).toFixed(1)} ms`;
}
