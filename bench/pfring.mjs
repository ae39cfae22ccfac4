// npm run lab -- node bench/pfring.mjs: what reading a PF_RING ring costs, beside the same walk in C. Without the kernel
// module both read the ring of a stand-in (native/test/pfring), which has the same layout.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { root } from '../scripts/files.mjs';
import { machine, machineLine, Watch } from './lib/machine.mjs';
import { killAll, Pinned, program, READER_CORE, reader, SENDER_CORE } from './lib/processes.mjs';
import { line, range, reaches, write } from './lib/report.mjs';
import { ratios, spread } from './lib/stats.mjs';

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '15' },
    packets: { type: 'string', default: '100000' },
    out: { type: 'string' },
  },
});
const { RINGTAP_LAB_RX: rx, RINGTAP_LAB_TX: tx } = process.env;
const packets = Number(options.packets);
const rows = [];
const raw = {};
process.on('exit', killAll);

function isLoaded() {
  try {
    return readFileSync('/proc/net/pf_ring/info', 'utf8').length > 0;
  } catch {
    return false;
  }
}

async function send(count, size) {
  const argv = ['--iface', tx, '--count', count, '--size', size, '--rate', 300_000, '--core', SENDER_CORE];
  const sender = new Pinned(SENDER_CORE, [program('ringtap-pktgen'), ...argv]);
  await sender.result();
  await sender.end();
}

async function compare(size, batch, ring) {
  const uri = `pfring:${rx}?path=ring`;
  const readers = Object.fromEntries(
    Object.entries({
      C: [program('peer-pfring'), rx, batch],
      tryNext: reader('burst', 'try', uri, batch),
      await: reader('burst', 'await', uri, batch),
    }).map(([name, command]) => [name, new Pinned(READER_CORE, command)]),
  );
  for (const one of Object.values(readers)) await one.ready;
  const results = { C: [], tryNext: [], await: [] };
  const warmUps = 3;
  for (let run = -warmUps; run < Number(options.runs); run++) {
    // All rings are filled by the same packets, and read one after the other.
    await send(packets, size);
    for (const [name, one] of Object.entries(readers)) {
      const result = await one.ask(packets);
      if (run >= 0) results[name].push(result);
    }
  }
  for (const one of Object.values(readers)) await one.end();
  const seen = (name) => results[name].map((result) => `${result.packets} ${result.bytes} ${result.sum}`).join();
  for (const name of ['tryNext', 'await']) {
    if (seen(name) !== seen('C')) throw new Error(`${name} did not read what the C walk read`);
  }
  const cost = ({ wall, packets: n }) => (wall * 1000) / n;
  const what = `pfring: ${ring}, ${size === 'imix' ? 'IMIX' : `${size} B frames`}, batches of ${batch}`;
  raw[what] = results;
  for (const [name, title] of [
    ['tryNext', 'tryNext()'],
    ['await', 'for await'],
  ]) {
    const ours = results[name].map(cost);
    const peer = results.C.map(cost);
    const ratio = ratios(ours, peer);
    const goal = { most: 1.3 };
    const row = {
      what: `${what}, ${title}`,
      figures: { ringtap: `${range(spread(ours))} ns`, 'C walk': `${range(spread(peer))} ns` },
      result: `${range(ratio)} ×`,
      goal,
      pass: reaches(ratio.median, goal),
      runs: { ours, peer },
    };
    rows.push(row);
    console.log(line(row));
  }
}

if (rx === undefined) throw new Error('needs a lab: npm run lab -- node bench/pfring.mjs');
const loaded = isLoaded();
if (!loaded) {
  process.env.LD_PRELOAD = join(root, 'build/addon/lib/libpfring-standin-module.so');
  // 350 MB, so that no cache holds what is read.
  process.env.RINGTAP_STANDIN = 'slots=210000';
}
const began = new Date().toISOString();
const watch = new Watch();
console.log(machineLine(machine()));
for (const size of ['60', 'imix']) {
  for (const batch of [64, 256]) await compare(size, batch, loaded ? "the kernel module's ring" : "a stand-in's ring");
}
const noise = watch.result();
for (const warning of noise.warnings) console.log(warning);
if (options.out !== undefined) {
  const command = 'npm run lab -- node bench/pfring.mjs';
  write(options.out, {
    title: 'ringtap: what reading a PF_RING ring costs',
    command,
    began,
    machine: machine(),
    noise,
    rows,
    raw,
  });
}
