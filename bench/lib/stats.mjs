// Figures of repeated runs.

export function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** { median, min, max, n } of some numbers. */
export function spread(values) {
  return { median: median(values), min: Math.min(...values), max: Math.max(...values), n: values.length };
}

/** The spread of a[i] / b[i]: neighbours in time, so that drift of the machine cancels out. */
export function ratios(a, b) {
  return spread(a.map((value, i) => value / b[i]));
}

/** { n, p50, p99, p999, max }; sorts in place. */
export function percentiles(values) {
  const sorted = Float64Array.from(values).sort();
  const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
  return { n: sorted.length, p50: at(0.5), p99: at(0.99), p999: at(0.999), max: at(1) };
}

const PERMUTATIONS = 20_000;

/** A generator of its own (mulberry32), so that the same numbers give the same answer. */
function seeded(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** How likely two sets of numbers differ so much in their medians when they come from the same source: p, two-sided. */
export function permutationTest(a, b) {
  const difference = (pool) => Math.abs(median(pool.slice(0, a.length)) - median(pool.slice(a.length)));
  const pool = [...a, ...b];
  const seen = difference(pool);
  const random = seeded(1);
  let asGreat = 0;
  for (let i = 0; i < PERMUTATIONS; i++) {
    for (let at = pool.length - 1; at > 0; at--) {
      const other = Math.floor(random() * (at + 1));
      [pool[at], pool[other]] = [pool[other], pool[at]];
    }
    if (difference(pool) >= seen * (1 - 1e-12)) asGreat++;
  }
  return (asGreat + 1) / (PERMUTATIONS + 1);
}
