// What the XDP program of afxdp: costs each packet, by the kernel's own test runs.
import { probe } from 'ringtap';
import { program, runReader } from '../lib/processes.mjs';
import { range } from '../lib/report.mjs';
import { spread } from '../lib/stats.mjs';

export const name = 'xdp';
export const about = 'filters and stamps in the XDP program';

const MOST_NS = 40;

export async function run(bench) {
  const { available } = (await probe()).find(({ backend }) => backend === 'afxdp') ?? {};
  const tool = program('ringtap-xdpcost');
  if (!available || tool === undefined) return bench.skip(name, available ? 'not built' : 'not on this host');
  await bench.attempt(name, () => measure(bench, tool));
}

async function measure(bench, tool) {
  const results = [];
  for (let i = 0; i < bench.profile.repeats; i++) results.push(await runReader([tool]));
  bench.raw.xdp = results;
  const add = (what, values, figures) => {
    const result = spread(values);
    bench.add({
      what,
      figures,
      result: `${range(result)} ns a packet`,
      n: values.length,
      goal: { most: MOST_NS },
      pass: result.median <= MOST_NS,
    });
  };
  const [{ expression, filter }] = results;
  const kinds = Object.keys(filter);
  const of = (take) => `${range(spread(results.map(take)))} ns`;
  add(
    `XDP: '${expression}' and the verdict, the dearest of ${kinds.length} packets`,
    results.map((one) => Math.max(...Object.values(one.filter))),
    Object.fromEntries([
      ['a program that does nothing', of(({ empty }) => empty)],
      ['redirect alone', of(({ redirect }) => redirect)],
      ...kinds.map((kind) => [kind, of((one) => one.filter[kind])]),
    ]),
  );
  add(
    'XDP: a stamp for each packet',
    results.map(({ stamp }) => stamp),
    { 'reading the clock alone': of(({ clock }) => clock) },
  );
}
