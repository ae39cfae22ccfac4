// What each worker of parallel.mjs does with packets: sums that take some time.
let first;
let last;
let packets = 0;
let sum = 0;
const now = () => performance.timeOrigin + performance.now();

export function onBatch({ length, caplen }, { data }) {
  first ??= now();
  const { rounds } = data;
  for (let i = 0; i < length; i++) {
    let x = caplen[i] | 1;
    for (let n = 0; n < rounds; n++) {
      x ^= x << 13;
      x ^= x >>> 17;
      x ^= x << 5;
    }
    sum = (sum + x) | 0;
  }
  packets += length;
  last = now();
}

export function onEnd(context) {
  context.report({ first, last, packets, sum });
}
