// Several workers beside one.
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Pinned, reader } from '../lib/processes.mjs';
import { range, reaches } from '../lib/report.mjs';
import { median, spread } from '../lib/stats.mjs';
import { writeTrace } from '../lib/trace.mjs';

export const name = 'parallel';
export const about = 'openParallel(): two workers beside one, and what many cost';

/** Rounds of sums that take half a µs or so. */
const ROUNDS = 280;
const GOALS = { 'synth:': { least: 1.9 }, 'file:': { least: 1.8 } };
/** A trial counts when no one else had the processors meanwhile. */
const LEAST_SHARE = 0.97;
const MOST_TRIALS = 6;
const MANY = 8;
const MOST_START_MS = 400;
const MOST_WORKER_BYTES = 15e6;

export async function run(bench) {
  if (availableParallelism() < 2) return bench.skip('parallel', 'there is one processor');
  const { packets } = bench.profile.parallel;
  const folder = mkdtempSync('/var/tmp/ringtap-bench-');
  bench.onCleanUp(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'trace.pcap');
  await writeTrace(path, `synth:?count=${packets}&sizes=64&flows=4096`);
  const uris = { 'synth:': `synth:?count=${packets}&sizes=64&flows=4096`, 'file:': `file:${path}` };
  for (const [scheme, uri] of Object.entries(uris)) {
    await bench.attempt(`parallel: ${scheme}`, () => beside(bench, scheme, uri));
  }
  await bench.attempt('parallel: many workers', () => many(bench));
  rmSync(folder, { recursive: true, force: true });
}

/** One process with so many workers, on all cores. */
async function workers(uri, count, rounds = ROUNDS) {
  const process = new Pinned(`0-${availableParallelism() - 1}`, reader('parallel', uri, count, rounds));
  await process.ready;
  return process;
}

async function beside(bench, scheme, uri) {
  const { runs } = bench.profile.parallel;
  const sides = { one: await workers(uri, 1), two: await workers(uri, 2) };
  const found = { one: [], two: [] };
  let disturbed = 0;
  for (let i = 0; i < runs * MOST_TRIALS && found.two.length < runs; i++) {
    const [one, two] = [await sides.one.ask('go'), await sides.two.ask('go')];
    const undisturbed = one.cpu / one.wall >= LEAST_SHARE && two.cpu / two.wall / 2 >= LEAST_SHARE;
    if (!undisturbed) disturbed++;
    else for (const [side, { packets, wall }] of Object.entries({ one, two })) found[side].push(packets / wall / 1000);
  }
  for (const process of Object.values(sides)) await process.end();
  if (found.two.length === 0) throw new Error(`others had the processors in all ${disturbed} trials`);
  bench.ratio(`parallel: two workers, ${scheme} half a µs a packet`, {
    ...{ ours: found.two, peer: found.one, peerName: 'one worker', unit: 'Mpps', goal: GOALS[scheme] },
    note: disturbed > 0 ? `${disturbed} trials were disturbed and do not count` : undefined,
  });
}

async function many(bench) {
  const { runs } = bench.profile.parallel;
  const all = [];
  for (let i = 0; i < runs; i++) {
    const process = await workers(`synth:?count=${MANY * 100_000}&flows=4096`, MANY, 0);
    all.push(await process.ask('go'));
    await process.end();
  }
  const started = spread(all.map(({ started }) => started));
  const each = spread(all.map(({ each }) => each / 1e6));
  bench.add({
    what: `parallel: ${MANY} workers`,
    figures: { 'each, beside its ring': `${range(each)} MB` },
    result: `${range(started)} ms until all have a batch`,
    n: runs,
    goal: { most: MOST_START_MS },
    pass:
      reaches(median(all.map(({ started }) => started)), { most: MOST_START_MS }) &&
      each.median * 1e6 <= MOST_WORKER_BYTES,
  });
}
