// Reading batches, and nothing else: JavaScript beside a C loop over the same packets in memory.
import { checkSame, cost, interleave } from '../lib/bench.mjs';
import { program, reader } from '../lib/processes.mjs';
import { figure, range } from '../lib/report.mjs';
import { spread } from '../lib/stats.mjs';

export const name = 'synth';
export const about = 'batches from memory beside a C loop, by batch size';

const RINGS = {
  '64 B frames, cache resident': { options: [], packets: 5_000_000, most: 2 },
  'IMIX, 350 MB ring': { options: ['sizes=imix', 'bufferBytes=350000000'], packets: 2_000_000, most: 1.15 },
};
const SWEEP_PACKETS = 2_000_000;
const SWEEP_RUNS = 5;

const commandsFor = (batch, ring) => ({
  C: [program('peer-descloop'), batch, ...ring],
  tryNext: reader('synth', 'try', batch, ...ring),
  await: reader('synth', 'await', batch, ...ring),
});

export async function run(bench) {
  const { runs, sweep } = bench.profile.synth;
  for (const [ring, { options, packets, most }] of Object.entries(RINGS)) {
    for (const batch of [64, 256]) {
      const what = `synth: ${ring}, batches of ${batch}`;
      const results = await interleave(commandsFor(batch, options), runs, packets);
      checkSame(what, results);
      bench.raw[what] = results;
      const common = { peer: results.C.map(cost), peerName: 'C loop', unit: 'ns', goal: { most } };
      bench.ratio(`${what}, tryNext()`, { ...common, ours: results.tryNext.map(cost) });
      bench.ratio(`${what}, for await`, { ...common, ours: results.await.map(cost) });
    }
  }

  const points = [];
  for (const batch of sweep) {
    const results = await interleave(commandsFor(batch, []), SWEEP_RUNS, SWEEP_PACKETS);
    const ns = Object.fromEntries(Object.entries(results).map(([who, all]) => [who, spread(all.map(cost))]));
    const rssMiB = Math.max(...results.await.map(({ rssKiB }) => rssKiB)) / 1024;
    points.push({ batch, ns, rssMiB });
  }
  bench.raw.batchSizes = points;
  bench.table({
    title: 'Cost by batch size: synth:, 64 B frames in cache, ns CPU per packet',
    note: `n = ${SWEEP_RUNS}`,
    head: ['batch', 'C loop', 'tryNext()', 'for await', 'memory, MiB'],
    rows: points.map(({ batch, ns, rssMiB }) => [
      String(batch),
      ...['C', 'tryNext', 'await'].map((who) => range(ns[who])),
      figure(rssMiB),
    ]),
  });
}
