// Sending: frames by hundreds and one by one beside C, a trace flat out beside tcpreplay, and a schedule.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { probe } from 'ringtap';
import { Pinned, program, SENDER_CORE } from '../lib/processes.mjs';
import { figure } from '../lib/report.mjs';
import { median } from '../lib/stats.mjs';
import { writeTrace } from '../lib/trace.mjs';

export const name = 'sending';
export const about = 'sendBatch() and send() beside C, replay beside tcpreplay, and how late a schedule is';

const SENDER = fileURLToPath(new URL('../senders/transmit.mjs', import.meta.url));
const CLI = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
/** C senders of the same kind: sendmmsg past the queueing discipline, and a bare AF_XDP socket. */
const PEERS = {
  afpacket: (tx, size, frames) => [
    ...[program('ringtap-pktgen'), '--wait', '--iface', tx, '--method', 'sendmmsg', '--core', SENDER_CORE],
    ...['--size', size, '--count', frames, '--rate', 0, '--flows', 1],
  ],
  afxdp: (tx, size, frames) => [program('peer-xsktx'), tx, size, frames],
};
const PEER_NAMES = { afpacket: 'C, sendmmsg', afxdp: 'C, AF_XDP' };
const BATCH_GOAL = { least: 0.95 };
const SEND_GOAL = { least: 0.8 };
const REPLAY_GOALS = { afpacket: { least: 1.5 }, afxdp: { least: 2 } };
const RATE = 50_000;

export async function run(bench) {
  if (bench.wires === undefined) return bench.skip('sending', 'no lab');
  const here = (await probe()).filter(({ available }) => available).map(({ backend }) => backend);
  const methods = Object.keys(PEERS).filter((method) => here.includes(method));
  for (const size of [60, 1514]) {
    for (const method of methods) await bench.attempt(`${method}: sending`, () => beside(bench, method, size));
  }
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-bench-'));
  bench.onCleanUp(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'trace.pcap');
  await writeTrace(path, `synth:?count=${bench.profile.sending.frames}&sizes=64`);
  for (const method of methods) await bench.attempt(`${method}: replay`, () => flatOut(bench, method, path));
  for (const method of methods) await bench.attempt(`${method}: pacing`, () => paced(bench, method, path));
  rmSync(folder, { recursive: true, force: true });
}

/** kpps of a sender that says READY, starts at a line and prints JSON. */
async function rate(command) {
  const sender = new Pinned(SENDER_CORE, command);
  await sender.ready;
  sender.tell('go');
  const { pps } = await sender.result();
  await sender.end();
  return pps / 1000;
}

async function beside(bench, method, size) {
  const { runs, frames } = bench.profile.sending;
  const { tx } = bench.wires;
  const kinds = {
    batch: [process.execPath, SENDER, `${method}:${tx}`, size, frames, 0, 'batch'],
    send: [process.execPath, SENDER, `${method}:${tx}`, size, frames, 0],
    C: PEERS[method](tx, size, frames),
  };
  const rates = { batch: [], send: [], C: [] };
  for (let i = 0; i < runs; i++) {
    for (const kind of Object.keys(kinds)) rates[kind].push(await rate(kinds[kind]));
  }
  const peerName = PEER_NAMES[method];
  const wire = size + 4;
  bench.ratio(`${method}: sendBatch(), frames of ${wire} bytes`, {
    ...{ ours: rates.batch, peer: rates.C, peerName, unit: 'kpps', goal: BATCH_GOAL },
  });
  bench.ratio(`${method}: send(), frames of ${wire} bytes`, {
    ...{ ours: rates.send, peer: rates.C, peerName, unit: 'kpps', goal: SEND_GOAL },
  });
}

/** What a program prints that sends a trace and ends. */
function output(...command) {
  const { status, stdout, stderr } = spawnSync(command[0], command.slice(1), { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${command.join(' ')}: ended (${status})\n${stderr}`);
  return stdout;
}

const pinned = (...command) => output('taskset', '-c', String(SENDER_CORE), ...command);
const replay = (path, uri, ...options) => [process.execPath, CLI, 'replay', path, '-o', uri, '--json', ...options];

async function flatOut(bench, method, path) {
  const { runs } = bench.profile.sending;
  const { tx } = bench.wires;
  if (spawnSync('tcpreplay', ['--version']).status !== 0) return bench.skip(`${method}: replay`, 'no tcpreplay');
  const [ours, peer] = [[], []];
  for (let i = 0; i < runs; i++) {
    const { sent, seconds } = JSON.parse(pinned(...replay(path, `${method}:${tx}`, '--topspeed')));
    ours.push(sent / seconds / 1000);
    const text = pinned('tcpreplay', '--topspeed', '--preload-pcap', '-i', tx, path);
    const [, packets, time] = /Actual: (\d+) packets .* sent in ([\d.]+) seconds/.exec(text);
    peer.push(Number(packets) / Number(time) / 1000);
  }
  bench.ratio(`${method}: replay flat out, frames of 68 bytes`, {
    ...{ ours, peer, peerName: 'tcpreplay --topspeed --preload-pcap', unit: 'kpps', goal: REPLAY_GOALS[method] },
  });
}

/** How late frames are handed over, by the sender's own clock. */
async function paced(bench, method, path) {
  const { runs } = bench.profile.sending;
  const results = [];
  for (let i = 0; i < runs; i++) {
    // WHY not pinned: on one core the thread that spins would take turns with the event loop.
    const command = replay(path, `${method}:${bench.wires.tx}`, '--pps', String(RATE), '-c', String(RATE));
    results.push(JSON.parse(output(...command)));
  }
  bench.raw[`pacing ${method}`] = results;
  const middle = (pick) => median(results.map(pick));
  const [half, most] = [middle(({ lateness }) => lateness.p50 / 1000), middle(({ lateness }) => lateness.p99 / 1000)];
  const driftMs = middle(({ seconds, planned }) => ((seconds - planned) * 1000 * 60) / planned);
  bench.add({
    what: `${method}: 50,000 packets a second for a second`,
    figures: {
      'late, 99 %': `${figure(most)} µs`,
      rate: `${figure(middle(({ sent, seconds }) => sent / seconds))} pps`,
      'behind at the end': `${figure(driftMs / 60)} ms`,
    },
    result: `${figure(half)} µs late`,
    n: runs,
    goal: { most: 2 },
    pass: half <= 2 && most <= 60,
  });
}
