// The event loop beside a capture: how late a 10 ms timer fires.
import { generator } from '../generators.mjs';
import { reader, runReader } from '../lib/processes.mjs';
import { ringtap } from '../lib/receivers.mjs';
import { figure } from '../lib/report.mjs';
import { median } from '../lib/stats.mjs';
import { trial } from '../lib/trial.mjs';

export const name = 'loop';
export const about = 'how late a 10 ms timer is under load';

const MOST_MS = 20;
const GUESSED_PPS = 500_000;

export async function run(bench) {
  const { runs, seconds } = bench.profile.loop;
  const timed = ringtap('ringtap afpacket:', (iface) => `afpacket:${iface}`, '--timer');
  const count = Math.round(seconds * GUESSED_PPS);
  const traffic = { generator: generator('sendmmsg'), size: 64, count: count + 1000, warmup: 1000 };
  const idle = [];
  const busy = [];
  const live = [];
  for (let i = 0; i < runs; i++) {
    idle.push((await runReader(reader('loop', seconds))).lateness);
    busy.push((await runReader(reader('loop', seconds, 'synth:'))).lateness);
    if (bench.wires !== undefined) live.push((await trial(timed, traffic, bench.wires)).lateness);
  }
  bench.raw.loop = { idle, busy, live };
  const most = (all) => Math.max(...all.map(({ max }) => max));
  const add = (what, all) =>
    bench.add({
      what: `event loop: 10 ms timer, ${what}`,
      figures: {
        'p99 late': `${figure(median(all.map(({ p99 }) => p99)))} ms`,
        'on an idle loop: max': `${figure(most(idle))} ms`,
      },
      result: `at most ${figure(most(all))} ms late`,
      n: all.length,
      goal: { most: MOST_MS },
      pass: most(all) <= MOST_MS,
    });
  if (live.length > 0) add('afpacket: veth flat out', live);
  add('synth: flat out (the reader never waits)', busy);
}
