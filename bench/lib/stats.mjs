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
