// DPDK: the polling thread on one core and JavaScript on the other, beside one thread in C.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { clockOffset, workingGenerator } from '../generators.mjs';
import { cost, interleave } from '../lib/bench.mjs';
import { Pinned, program, READER_CORE, reader, SENDER_CORE } from '../lib/processes.mjs';
import { ringtap, tool } from '../lib/receivers.mjs';
import { range, reaches } from '../lib/report.mjs';
import { ratios, spread } from '../lib/stats.mjs';
import { writeTrace } from '../lib/trace.mjs';
import { trial } from '../lib/trial.mjs';

export const name = 'dpdk';
export const about = 'DPDK: batches from the polling thread beside one thread in C, and testpmd';

const PACKETS = 20_000_000;
const TURNS = 500_000;
const NEAR_NS = 250;
const IDLE_MS = 2000;
const FILTER = 'tcp port 80 or udp port 53';
/** What may wait fits into the cache: a source that floods keeps it full. */
const small = (core = SENDER_CORE) => `mbufs=2048&core=${core}&hugePages=off`;
const LATENCY_RATE = 1000;

const turnNs = ({ packets, wall }) => (wall * 1000) / packets;
const mpps = ({ packets, wall }) => packets / wall;
const peerOf = (device) => [process.execPath, join(import.meta.dirname, '../peers/testpmd.mjs'), device];

export async function run(bench) {
  if (program('peer-dpdk') === undefined) return bench.skip('dpdk', 'peer-dpdk was not built: no libdpdk');
  if (SENDER_CORE === READER_CORE) return bench.skip('dpdk', 'one core only');
  await bench.attempt('dpdk: net_null', () => flood(bench));
  await bench.attempt('dpdk: net_pcap', () => trace(bench));
  await bench.attempt('dpdk: filter', () => filter(bench));
  await bench.attempt('dpdk: idle', () => idle(bench));
  if (bench.wires === undefined) bench.skip('dpdk: latency', 'no lab');
  else for (const mode of ['backoff', 'busy']) await bench.attempt('dpdk: latency', () => latency(bench, mode));
}

/** One figure with an absolute goal. */
function figure(bench, what, values, unit, goal, note) {
  const all = spread(values);
  const pass = reaches(all.median, goal);
  bench.add({
    what,
    figures: {},
    result: `${range(all)} ${unit}`,
    n: values.length,
    goal,
    pass,
    note,
    runs: { ours: values },
  });
}

/**
 * Both threads of dpdk: pay for each cache line between two cores, and neither the C loop nor testpmd. Virtual cores move
 * on the chip while they run: what came out when they were near each other, and when they were not.
 */
function byDistance(ours, peer, turns) {
  const texts = [];
  for (const [where, is] of [
    [`< ${NEAR_NS} ns from core to core and back`, (ns) => ns < NEAR_NS],
    ['farther', (ns) => ns >= NEAR_NS],
  ]) {
    const runs = turns.flatMap((ns, i) => (is(ns) ? [i] : []));
    const pick = (values) => runs.map((i) => values[i]);
    if (runs.length > 0) texts.push(`${where}: ${range(ratios(pick(ours), pick(peer)))} ×, n ${runs.length}`);
  }
  return texts.join('; ');
}

async function flood(bench) {
  const what = 'dpdk: net_null, 64 B, one JS thread';
  const commands = {
    C: [program('peer-dpdk'), 'net_null0'],
    JS: reader('dpdk', `dpdk:net_null0?${small()}`),
    cores: [program('peer-cores'), SENDER_CORE],
  };
  const results = await interleave(commands, bench.profile.repeats, (name) => (name === 'cores' ? TURNS : PACKETS));
  bench.raw[what] = results;
  const [ours, peer] = [results.JS.map(mpps), results.C.map(mpps)];
  const turns = results.cores.map(turnNs);
  figure(bench, what, ours, 'Mpps', { least: 14.88 }, '10 Gbit/s at 64 B');
  const note = byDistance(ours, peer, turns);
  bench.ratio(what, { ours, peer, peerName: 'C loop, one thread', unit: 'Mpps', goal: { least: 0.7 }, note });
  figure(bench, 'dpdk: a cache line from core to core and back', turns, 'ns');
}

async function trace(bench) {
  const { missing } = tool('dpdk-testpmd');
  if (missing !== undefined) return bench.skip('dpdk: net_pcap', missing);
  const what = 'dpdk: net_pcap, 64 B, infinite_rx';
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-bench-'));
  bench.onCleanUp(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'trace.pcap');
  await writeTrace(path, 'synth:?sizes=64&count=512');
  const testpmd = new Pinned(SENDER_CORE, peerOf(`net_pcap0,rx_pcap=${path},infinite_rx=1`));
  const js = new Pinned(READER_CORE, reader('dpdk', `dpdk:net_pcap0?rx_pcap=${path}&infinite_rx=1&${small()}`));
  const cores = new Pinned(READER_CORE, [program('peer-cores'), SENDER_CORE]);
  const results = { testpmd: [], JS: [], cores: [] };
  await Promise.all([testpmd.ready, js.ready, cores.ready]);
  for (let round = -1; round < bench.profile.repeats; round++) {
    const theirs = await testpmd.ask(1000);
    const ours = await js.ask(PACKETS / 2);
    const distance = await cores.ask(TURNS);
    if (round < 0) continue;
    results.testpmd.push(theirs);
    results.JS.push(ours);
    results.cores.push(distance);
  }
  await Promise.all([testpmd.end(), js.end(), cores.end()]);
  bench.raw[what] = results;
  const [ours, peer] = [results.JS.map(mpps), results.testpmd.map(({ pps }) => pps / 1e6)];
  const note = byDistance(ours, peer, results.cores.map(turnNs));
  bench.ratio(what, { ours, peer, peerName: 'testpmd rxonly', unit: 'Mpps', goal: { least: 0.9 }, note });
}

async function filter(bench) {
  const what = `dpdk: filter '${FILTER}' as machine code`;
  const { C } = await interleave({ C: [program('peer-dpdk'), 'filter', FILTER] }, bench.profile.repeats, PACKETS);
  bench.raw[what] = C;
  figure(bench, what, C.map(cost), 'ns a packet', { most: 30 }, 'UDP and TCP over IPv4 and IPv6, half of it accepted');
}

async function idle(bench) {
  const what = 'dpdk: CPU of a capture while nothing comes';
  const command = reader('dpdk', `dpdk:net_ring0?${small()}`, 'idle');
  const { JS } = await interleave({ JS: command }, bench.profile.repeats, IDLE_MS);
  bench.raw[what] = JS;
  figure(
    bench,
    what,
    JS.map(({ user, system, wall }) => ((user + system) / wall) * 100),
    '% of a core',
    { most: 6 },
  );
}

async function latency(bench, pollMode) {
  const { seconds, repeats } = bench.profile.latency;
  // Beside the reader, which it only wakes up: on the other core it would compete with the sender.
  const uri = (iface) => `dpdk:net_af_packet0?iface=${iface}&pollMode=${pollMode}&${small(READER_CORE)}`;
  const receiver = ringtap(`ringtap dpdk:, ${pollMode}`, uri);
  const count = Math.round(LATENCY_RATE * seconds);
  const generator = workingGenerator('sendmmsg', bench);
  const traffic = {
    generator,
    size: 64,
    rate: LATENCY_RATE,
    count,
    warmup: Math.round(count / 4),
    clock: clockOffset(),
  };
  const p50 = [];
  for (let round = 0; round < Math.max(3, repeats); round++) {
    const { latency: times } = await trial(receiver, traffic, bench.wires);
    p50.push(times.p50);
  }
  const goal = { most: pollMode === 'busy' ? 40 : 150 };
  figure(bench, `dpdk: wake-up latency, p50, ${pollMode}`, p50, 'µs', goal, `net_af_packet, ${LATENCY_RATE} pps`);
}
