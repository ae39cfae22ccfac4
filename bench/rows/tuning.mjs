// What one setting brings: the same frames with and without it, in turns.
import { spawnSync } from 'node:child_process';
import { probe } from 'ringtap';
import { workingGenerator } from '../generators.mjs';
import { READER_CORE, SENDER_CORE } from '../lib/processes.mjs';
import { ringtap } from '../lib/receivers.mjs';
import { range } from '../lib/report.mjs';
import { ratios, spread } from '../lib/stats.mjs';
import { trial } from '../lib/trial.mjs';

export const name = 'tuning';
export const about = 'what single settings bring';
/** Takes minutes, and says nothing about ringtap itself. */
export const onlyOnRequest = true;

const option = (backend, options, traffic = {}) => ({
  what: `${backend}: ${options.replaceAll('&', ', ')}`,
  backend,
  before: ringtap('default', (iface) => `${backend}:${iface}`),
  after: ringtap('tuned', (iface) => `${backend}:${iface}?${options}`),
  traffic,
});
/** A setting of the host: `set(rx, true)` makes it, `set(rx, false)` takes it back. */
const host = (what, backend, set, traffic = {}) => {
  const reader = ringtap(what, (iface) => `${backend}:${iface}`);
  return { what: `${backend}: ${what}`, backend, before: reader, after: reader, set, traffic };
};
const frames = (what, backend, before, after) => {
  const reader = ringtap(what, (iface) => `${backend}:${iface}`);
  return { what: `${backend}: ${what}`, backend, before: reader, after: reader, traffic: before, tunedTraffic: after };
};

/** /sys shows the network of whoever mounted it: the lab's needs one of its own. */
function rps(rx, on) {
  const file = `/sys/class/net/${rx}/queues/rx-0/rps_cpus`;
  command('unshare', '--mount', 'sh', '-c', `mount -t sysfs none /sys && echo ${on ? 1 << READER_CORE : 0} > ${file}`);
}
const gro = (rx, on) => command('ethtool', '-K', rx, 'gro', on ? 'on' : 'off');

function command(file, ...args) {
  const { status, error, stderr } = spawnSync(file, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
}

const SETTINGS = [
  option('afpacket', 'batchSize=256'),
  option('afpacket', 'blockBytes=4194304&timeoutMs=50&bufferBytes=268435456'),
  option('afpacket', 'timeoutMs=1', { rate: 200_000 }),
  option('afpacket', 'snaplen=64', { size: 1518 }),
  option('afxdp', 'hugePages=true'),
  option('afxdp', 'frames=65536'),
  option('afxdp', 'busyPoll=50'),
  option('afxdp', 'timestamp=user'),
  option('afxdp', 'timeoutMs=5', { rate: 200_000 }),
  host('RPS to the reader’s core', 'afpacket', rps),
  host('GRO off', 'afpacket', (rx, on) => gro(rx, !on), { generator: 'txring' }),
  {
    what: 'afpacket: reader on the core that takes the interrupts',
    backend: 'afpacket',
    before: ringtap('default', (iface) => `afpacket:${iface}`),
    after: { ...ringtap('tuned', (iface) => `afpacket:${iface}`), core: SENDER_CORE },
    traffic: { rate: 400_000 },
  },
  frames('one flow instead of 4096', 'afpacket', { flows: 4096 }, { flows: 1 }),
  frames('60,000 flows instead of 4096', 'afpacket', { flows: 4096 }, { flows: 60_000 }),
];

export async function run(bench) {
  if (bench.wires === undefined) return bench.skip('tuning', 'no lab');
  const here = new Set((await probe()).filter(({ available }) => available).map(({ backend }) => backend));
  const rows = [];
  for (const setting of SETTINGS.filter(({ backend }) => here.has(backend))) {
    const row = await bench.attempt(setting.what, () => measure(bench, setting));
    if (row !== undefined) rows.push(row);
  }
  bench.table({
    title: 'What single settings bring',
    note: 'Beside the default, in neighbouring runs: below 1 is cheaper, or fewer packets.',
    head: [
      'setting',
      'n',
      'CPU, ns a packet',
      'CPU, × the default',
      'delivered, Mpps',
      'delivered, × the default',
      'lost, packets',
    ],
    rows,
  });
}

async function measure(bench, { what, before, after, set, traffic, tunedTraffic = traffic }) {
  const { seconds } = bench.profile;
  const repeats = Math.max(LEAST_REPEATS, bench.profile.repeats);
  const results = { before: [], after: [] };
  for (let round = 0; round < repeats; round++) {
    results.before.push(await send(bench, before, traffic, seconds));
    set?.(bench.wires.rx, true);
    try {
      results.after.push(await send(bench, after, tunedTraffic, seconds));
    } finally {
      set?.(bench.wires.rx, false);
    }
  }
  bench.raw[`tuning ${what}`] = results;
  const cost = ({ userNs, systemNs, packets }) => (packets > 0 ? userNs + systemNs : 0);
  const pps = ({ delivered }) => delivered / 1e6;
  const both = (take) => [results.after.map(take), results.before.map(take)];
  const lost = (all) => all.reduce((sum, result) => sum + result.lost, 0);
  const ofBoth = (take) =>
    both(take)
      .map((values) => range(spread(values)))
      .join(', default ');
  return [
    what,
    String(results.after.length),
    ofBoth(cost),
    range(ratios(...both(cost))),
    ofBoth(pps),
    range(ratios(...both(pps))),
    `${lost(results.after)}, default ${lost(results.before)}`,
  ];
}

const LEAST_REPEATS = 5;
const GUESSED_PPS = 1_000_000;

function send(bench, receiver, { generator: name = 'xdp', size = 64, rate = 0, flows }, seconds) {
  const count = Math.round((rate || GUESSED_PPS) * seconds);
  const warmup = Math.round(count / 4);
  return trial(receiver, { generator: workingGenerator(name, bench), size, rate, count, warmup, flows }, bench.wires);
}
