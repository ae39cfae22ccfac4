// A program that stands still: how much the defaults hold back for it.
import { probe } from 'ringtap';
import { workingGenerator } from '../generators.mjs';
import { ringtap } from '../lib/receivers.mjs';
import { range } from '../lib/report.mjs';
import { spread } from '../lib/stats.mjs';
import { trial } from '../lib/trial.mjs';

export const name = 'stall';
export const about = '100 ms of synchronous JavaScript at 500 kpps';

const RATE = 500_000;
const WARMUP = 1000;
const URIS = {
  afpacket: (iface) => `afpacket:${iface}`,
  pcap: (iface) => `pcap:${iface}`,
  afxdp: (iface) => `afxdp:${iface}?frames=65536`,
};
const SIZES = { afxdp: 'frames=65536' };

export async function run(bench) {
  if (bench.wires === undefined) return bench.skip('stall', 'no lab');
  const { runs, seconds } = bench.profile.stall;
  const here = (await probe()).filter(({ available }) => available).map(({ backend }) => backend);
  for (const backend of Object.keys(URIS).filter((known) => here.includes(known))) {
    await bench.attempt(`${backend}: stall`, () => stall(bench, backend, runs, seconds));
  }
}

async function stall(bench, backend, runs, seconds) {
  const reader = ringtap(backend, URIS[backend], '--stall', '100,400');
  const count = RATE * seconds + WARMUP;
  const results = [];
  for (let i = 0; i < runs; i++) {
    const traffic = { generator: workingGenerator('xdp', bench), size: 64, rate: RATE, count, warmup: WARMUP };
    results.push(await trial(reader, traffic, bench.wires));
  }
  bench.raw[`stall ${backend}`] = results;
  const lost = results.reduce((sum, result) => sum + result.lost, 0);
  bench.add({
    what: `${backend}: 100 ms of synchronous JS at 500 kpps, ${SIZES[backend] ?? 'default sizes'}`,
    figures: {
      stalls: String(results.reduce((sum, { stalls }) => sum + stalls, 0)),
      rate: `${range(spread(results.map(({ offered }) => offered / 1000)))} kpps`,
    },
    result: `${lost} lost`,
    n: runs,
    goal: { most: 0 },
    pass: lost === 0,
  });
}
