// What a wake-up costs, and what V8 costs until it is warm: a plain loop that starts cold, beside C.
import { probe } from 'ringtap';
import { workingGenerator } from '../generators.mjs';
import { cost } from '../lib/bench.mjs';
import { program, reader } from '../lib/processes.mjs';
import { range } from '../lib/report.mjs';
import { median, spread } from '../lib/stats.mjs';
import { trial } from '../lib/trial.mjs';

export const name = 'wake';
export const about = 'what a wake-up costs, and a loop until it is warm';

const LAPS_S = [1, 2];
/** How fast a generator is taken to be flat out, to know how many packets make a second. */
const FLAT_OUT_PPS = 550_000;
const MOST_WAKE_US = 80;

const plain = (name, uri, laps, ...flags) => ({
  name,
  command: ({ iface, count, clock }) => ({
    argv: reader('plain', uri(iface), laps, count, ...flags, ...(clock ? ['--clock', clock] : [])),
  }),
});
const native = (name, executable, laps) => ({
  name,
  command: ({ iface, count }) => ({
    argv: [program(executable), iface, 0, count],
    env: { RINGTAP_BENCH_LAPS: laps },
  }),
});

const AFPACKET = 'ringtap afpacket:';
const AFXDP = 'ringtap afxdp:';
const LIBPCAP = 'libpcap in C';
const RING = 'TPACKET_V3 in C';
const SOCKET = 'AF_XDP in C';

const METHODS = {
  afpacket: {
    ours: AFPACKET,
    receivers: (laps) => [
      plain(AFPACKET, (iface) => `afpacket:${iface}`, laps),
      plain(`${AFPACKET}, rehearsed`, (iface) => `afpacket:${iface}`, laps, '--rehearsed'),
      native(LIBPCAP, 'peer-pcaplive', laps),
      native(RING, 'peer-tpacket3', laps),
    ],
    goals: [
      { peer: LIBPCAP, most: 1 },
      { peer: RING, most: 2 },
    ],
  },
  afxdp: {
    ours: AFXDP,
    receivers: (laps) => [
      plain(AFXDP, (iface) => `afxdp:${iface}`, laps),
      plain(`${AFXDP}, rehearsed`, (iface) => `afxdp:${iface}`, laps, '--rehearsed'),
      native(SOCKET, 'peer-afxdp', laps),
    ],
    goals: [{ peer: SOCKET, most: 1.5 }],
  },
};

export async function run(bench) {
  if (bench.wires === undefined) return bench.skip(name, 'no lab');
  const here = new Set((await probe()).filter(({ available }) => available).map(({ backend }) => backend));
  const walks = new Map();
  for (const traffic of bench.profile.wake) {
    const { backend = 'afpacket' } = traffic;
    if (!here.has(backend)) bench.skip(`${name}: ${backend}`, 'not on this host: see ringtap doctor');
    else await bench.attempt(`${name}: ${backend}`, () => measure(bench, traffic, METHODS[backend], walks));
  }
}

async function measure(bench, { rate = 0, size, seconds, repeats }, method, walks) {
  const pps = rate > 0 ? rate : FLAT_OUT_PPS;
  const seconds_ = LAPS_S.filter((lap) => lap < seconds);
  const laps = seconds_.map((lap) => lap * pps).join(',');
  // Paced to the packet where it can be, and as a program sends flat out.
  const generator = workingGenerator(size === 'imix' || rate === 0 ? 'txring' : 'xdp', bench);
  const traffic = { generator, size, rate, count: pps * seconds, warmup: 0 };
  const results = new Map(method.receivers(laps).map(({ name: who }) => [who, []]));
  for (let round = 0; round < repeats; round++) {
    for (const receiver of method.receivers(laps)) {
      results.get(receiver.name).push(await trial(receiver, traffic, bench.wires));
    }
  }
  const where = `${size === 'imix' ? 'IMIX' : `${size} B`}, ${rate > 0 ? `${rate / 1000} kpps` : 'flat out'}`;
  bench.raw[`wake ${method.ours} ${where}`] = Object.fromEntries(results);
  bench.table(tableOf(where, seconds, seconds_, results));
  const ours = results.get(method.ours);
  for (const { peer, most } of method.goals) {
    const theirs = results.get(peer);
    const ratio = (what, take) =>
      bench.ratio(`${method.ours} ${where}, cold: CPU per packet ${what}, beside ${peer}`, {
        ours: ours.map(take),
        peer: theirs.map(take),
        peerName: peer,
        unit: 'ns',
        goal: { most },
      });
    ratio(`over ${seconds} s`, whole);
    if (seconds_.length > 0) ratio('after that', steady);
  }
  const key = `${method.ours} ${size}`;
  if (rate === 0) walks.set(key, median(ours.map(steady)));
  else if (walks.has(key)) addWakeUp(bench, method.ours, where, ours, walks.get(key));
}

/** What is left per wake-up when the packets cost what they cost flat out, wake-ups and all. */
function addWakeUp(bench, who, where, results, walkNs) {
  const result = spread(
    results.map((one) => {
      const { packets, user, system, waits } = rest(one);
      return (user + system - (packets * walkNs) / 1000) / waits;
    }),
  );
  bench.add({
    what: `${who} ${where}: a wake-up, beside what its packets cost flat out`,
    figures: { 'a packet flat out': `${walkNs.toFixed(1)} ns` },
    result: `${range(result)} µs`,
    n: results.length,
    goal: { most: MOST_WAKE_US },
    pass: result.median <= MOST_WAKE_US,
  });
}

const whole = ({ userNs, systemNs }) => userNs + systemNs;
const upTo = (lap) => (result) => cost(result.laps[lap]);
/** What came after the last lap. */
function rest({ packets, userNs, systemNs, waits, wall, laps = [] }) {
  const last = laps.at(-1) ?? { packets: 0, user: 0, system: 0, waits: 0, wall: 0 };
  return {
    packets: packets - last.packets,
    user: (userNs * packets) / 1000 - last.user,
    system: (systemNs * packets) / 1000 - last.system,
    waits: waits - last.waits,
    wall: wall - last.wall,
  };
}
const steady = (result) => cost(rest(result));

function tableOf(where, seconds, laps, results) {
  const of = (take) => (all) => range(spread(all.map(take)));
  const columns = [
    ...laps.map((lap, i) => [`the first ${lap > 1 ? `${lap} s` : 'second'}`, of(upTo(i))]),
    [`all ${seconds} s`, of(whole)],
    ...(laps.length > 0 ? [[`after ${laps.at(-1)} s`, of(steady)]] : []),
    ['waits a second', of((result) => (rest(result).waits / rest(result).wall) * 1e6)],
    ['CPU a wait, µs', of((result) => (rest(result).user + rest(result).system) / rest(result).waits)],
    ['lost', (all) => String(all.reduce((sum, { lost }) => sum + lost, 0))],
  ];
  return {
    title: `Wake-ups, cold: ${where}: CPU, ns a packet`,
    note: 'Nobody rehearsed, unless it says so; CPU of the whole process. A wait is a voluntary context switch of any of its threads.',
    head: ['receiver', 'n', ...columns.map(([title]) => title)],
    rows: [...results].map(([who, all]) => [who, String(all.length), ...columns.map(([, take]) => take(all))]),
  };
}
