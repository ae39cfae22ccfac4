// What the benchmark suite concludes from its figures.
import { describe, expect, test } from 'vitest';
// @ts-expect-error: JavaScript
import { compare } from '../../bench/lib/compare.mjs';
// @ts-expect-error: JavaScript
import { highestLossless } from '../../bench/lib/search.mjs';
// @ts-expect-error: JavaScript
import { percentiles, permutationTest, ratios } from '../../bench/lib/stats.mjs';
// @ts-expect-error: JavaScript
import { Numbers } from '../../bench/readers/numbers.mjs';

describe('the search for the highest rate without loss', () => {
  const most = 3e6; // of the generator
  const receiver = (limit: number) => (asked: number) => {
    const offered = asked === 0 ? most : Math.min(asked, most);
    return { offered, lost: offered > limit ? Math.ceil(offered - limit) : 0 };
  };
  const options = { precision: 0.02, confirmations: 2 };

  test.each([2.9e6, 1.4e6, 200e3, 12_345])('finds %d to its precision, and never more', async (limit) => {
    const { rate, isGeneratorLimited } = await highestLossless(receiver(limit), options);
    expect(isGeneratorLimited).toBe(false);
    expect(rate).toBeLessThanOrEqual(limit);
    expect(rate).toBeGreaterThanOrEqual(limit * 0.97);
  });

  test('says that the generator is the limit when nothing is lost flat out', async () => {
    const found = await highestLossless(receiver(5e6), options);
    expect(found).toMatchObject({ rate: most, isGeneratorLimited: true });
    expect(found.trials).toHaveLength(3);
  });

  test('says that the generator is the limit when it does not keep the rate that is asked for', async () => {
    const slow = (asked: number) => (asked === 0 ? { offered: most, lost: 1 } : { offered: asked / 2, lost: 0 });
    expect(await highestLossless(slow, options)).toMatchObject({ rate: most / 4, isGeneratorLimited: true });
  });

  test('gives way when the answer does not hold', async () => {
    const seen = new Map<number, number>();
    const tired = (asked: number) => {
      const times = (seen.get(asked) ?? 0) + 1;
      seen.set(asked, times);
      const limit = times === 1 ? 2e6 : 1e6; // a rate that was just good is too much the second time
      return receiver(limit)(asked);
    };
    expect((await highestLossless(tired, options)).rate).toBeLessThanOrEqual(1e6);
  });

  test('answers 0 when every rate loses', async () => {
    const { rate } = await highestLossless((asked: number) => ({ offered: asked || most, lost: 1 }), options);
    expect(rate).toBe(0);
  });
});

describe('numbers in frames', () => {
  const see = (...list: number[]) => {
    const numbers = new Numbers();
    for (const number of list) {
      if (number === numbers.next) numbers.next++;
      else numbers.surprise(number);
    }
    return numbers.result();
  };

  test.each([
    ['in order', [0, 1, 2, 3], { reordered: 0, duplicates: 0 }],
    ['with gaps', [0, 5, 6, 9], { reordered: 0, duplicates: 0 }],
    ['late', [0, 2, 1, 3, 7, 4, 6, 5], { reordered: 4, duplicates: 0 }],
    ['twice', [0, 1, 1, 2, 0], { reordered: 0, duplicates: 2 }],
    ['late, and twice', [0, 3, 1, 1, 2, 3], { reordered: 2, duplicates: 2 }],
    ['from two queues', [0, 1, 4, 5, 2, 3, 6, 7], { reordered: 2, duplicates: 0 }],
  ])('%s', (_, list, expected) => {
    expect(see(...list)).toEqual(expected);
  });

  test('agree with a plain count on a random stream', () => {
    let state = 1;
    const random = (below: number) => {
      state = (state * 48_271) % 2_147_483_647;
      return state % below;
    };
    const list = Array.from({ length: 5000 }, (_, i) => Math.max(0, i - random(40)));
    let highest = -1;
    const seen = new Set<number>();
    const expected = { reordered: 0, duplicates: 0 };
    for (const number of list) {
      if (seen.has(number)) expected.duplicates++;
      else if (number < highest) expected.reordered++;
      seen.add(number);
      highest = Math.max(highest, number);
    }
    expect(see(...list)).toEqual(expected);
  });
});

describe('statistics', () => {
  test('ratios are those of neighbours', () => {
    expect(ratios([2, 6, 20], [1, 2, 10])).toEqual({ median: 2, min: 2, max: 3, n: 3 });
  });

  test('percentiles are ranks of the sorted values, numbers sorted as numbers', () => {
    expect(percentiles(Array.from({ length: 1000 }, (_, i) => 999 - i))).toEqual({
      n: 1000,
      p50: 500,
      p99: 990,
      p999: 999,
      max: 999,
    });
  });

  test('the permutation test tells a shift from noise', () => {
    const noise = (offset: number) => Array.from({ length: 12 }, (_, i) => offset + ((i * 7) % 12) / 12);
    expect(permutationTest(noise(10), noise(10))).toBeGreaterThan(0.5);
    expect(permutationTest(noise(10), noise(12))).toBeLessThan(0.001);
  });
});

describe('a comparison with an earlier report', () => {
  const row = (what: string, factor: number, goal: object) => ({
    what,
    goal,
    runs: {
      ours: Array.from({ length: 15 }, (_, i) => (factor * 7 + (i % 5) * 0.05) * (1 + (i % 3))),
      peer: Array.from({ length: 15 }, (_, i) => 5 * (1 + (i % 3))), // the machine's own ups and downs
    },
  });
  const compareWith = (before: object[], after: object[]) => compare('before.json', { rows: before }, { rows: after });
  const names = (list: { what: string }[]) => list.map(({ what }) => what);

  test('finds what became worse, in the direction of its goal', () => {
    const before = [row('a', 1, { most: 2 }), row('b', 1, { least: 1 }), row('c', 1, { most: 2 })];
    const after = [row('a', 1.2, { most: 2 }), row('b', 1.2, { least: 1 }), row('c', 1.01, { most: 2 })];
    const { worse, better, unclear } = compareWith(before, after);
    expect({ worse: names(worse), better: names(better), unclear }).toEqual({
      worse: ['a'],
      better: ['b'],
      unclear: [],
    });
  });

  test('does not judge by three runs', () => {
    const few = (factor: number) => {
      const { runs, ...rest } = row('a', factor, { most: 2 });
      return { ...rest, runs: { ours: runs.ours.slice(0, 3), peer: runs.peer.slice(0, 3) } };
    };
    expect(compareWith([few(1)], [few(1.5)])).toMatchObject({ worse: [], unclear: [{ what: 'a' }] });
  });
});
