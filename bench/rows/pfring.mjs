// PF_RING: reading its ring beside the same walk in C. Without the kernel module both read the ring of a stand-in
// (native/test/pfring), which has the same layout.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/files.mjs';
import { checkSame } from '../lib/bench.mjs';
import { Pinned, program, READER_CORE, reader, SENDER_CORE } from '../lib/processes.mjs';

export const name = 'pfring';
export const about = "PF_RING's ring beside a C walk";

const MOST = 1.3;
const PACKETS = 100_000;
const RATE = 300_000;
const MOST_WARM_UPS = 3;
const STAND_IN = join(root, 'build/addon/lib/libpfring-standin-module.so');
/** 350 MB, so that no cache holds what is read. */
const STAND_IN_SLOTS = 'slots=210000';

function isLoaded() {
  try {
    return readFileSync('/proc/net/pf_ring/info', 'utf8').length > 0;
  } catch {
    return false;
  }
}

export async function run(bench) {
  if (program('peer-pfring') === undefined) return bench.skip('pfring', 'peer-pfring was not built');
  if (bench.wires === undefined) return bench.skip('pfring', 'no lab');
  const loaded = isLoaded();
  if (!loaded && !existsSync(STAND_IN))
    return bench.skip('pfring', 'neither the kernel module nor its stand-in is here');
  const env = loaded ? {} : { LD_PRELOAD: STAND_IN, RINGTAP_STANDIN: STAND_IN_SLOTS };
  const ring = loaded ? "the kernel module's ring" : "a stand-in's ring";
  for (const size of ['60', 'imix']) {
    for (const batch of [64, 256]) await compare(bench, { size, batch, ring, env });
  }
}

async function compare(bench, { size, batch, ring, env }) {
  const { rx, tx } = bench.wires;
  const uri = `pfring:${rx}?path=ring`;
  const commands = {
    C: [program('peer-pfring'), rx, batch],
    tryNext: reader('burst', 'try', uri, batch),
    await: reader('burst', 'await', uri, batch),
  };
  const names = Object.keys(commands);
  const readers = names.map((who) => new Pinned(READER_CORE, commands[who], env));
  const results = Object.fromEntries(names.map((who) => [who, []]));
  for (const one of readers) await one.ready;
  const { repeats } = bench.profile;
  for (let round = -Math.min(MOST_WARM_UPS, repeats - 2); round < repeats; round++) {
    // All rings are filled by the same packets, and read one after the other.
    await send(tx, size);
    for (const [i, one] of readers.entries()) {
      const result = await one.ask(PACKETS);
      if (round >= 0) results[names[i]].push(result);
    }
  }
  for (const one of readers) await one.end();
  const what = `pfring: ${ring}, ${size === 'imix' ? 'IMIX' : `${size} B frames`}, batches of ${batch}`;
  checkSame(what, results);
  bench.raw[what] = results;
  const cost = ({ wall, packets }) => (wall * 1000) / packets;
  const common = { peer: results.C.map(cost), peerName: 'C walk', unit: 'ns', goal: { most: MOST } };
  bench.ratio(`${what}, tryNext()`, { ...common, ours: results.tryNext.map(cost) });
  bench.ratio(`${what}, for await`, { ...common, ours: results.await.map(cost) });
}

async function send(iface, size) {
  const argv = ['--iface', iface, '--count', PACKETS, '--size', size, '--rate', RATE, '--core', SENDER_CORE];
  const sender = new Pinned(SENDER_CORE, [program('ringtap-pktgen'), ...argv]);
  await sender.result();
  await sender.end();
}
