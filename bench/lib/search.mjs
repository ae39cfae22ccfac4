// The highest rate without loss, by bisection (RFC 2544, section 26.1).

/**
 * `trial(rate)` offers packets at a rate (0: flat out) and resolves to { offered, lost }, with the rate that was really
 * offered. Stops when the interval is narrower than `precision` of its upper end; the answer then has to hold
 * `confirmations` times, or gives way by one precision.
 *
 * Resolves to { rate, isGeneratorLimited, trials }: rate 0 where even the lowest rate tried lost packets. When nothing
 * was lost flat out, the generator is what has been measured: the receiver's limit lies above.
 */
export async function highestLossless(trial, { precision, confirmations, least = 1000 }) {
  const trials = [];
  const offer = async (rate) => {
    const { offered, lost } = await trial(rate);
    trials.push({ asked: rate, offered, lost });
    return trials.at(-1);
  };
  const holds = async (rate) => {
    for (let i = 0; i < confirmations; i++) if ((await offer(rate)).lost > 0) return false;
    return true;
  };

  const flatOut = await offer(0);
  if (flatOut.lost === 0 && (await holds(0))) {
    const rate = Math.min(...trials.map(({ offered }) => offered));
    return { rate, isGeneratorLimited: true, trials };
  }
  let low = 0;
  let high = Math.max(...trials.map(({ offered }) => offered));
  while (high - low > precision * high && high > least) {
    const rate = Math.round((low + high) / 2);
    const { offered, lost } = await offer(rate);
    if (lost > 0) high = rate;
    else if (offered < rate * (1 - precision)) return { rate: offered, isGeneratorLimited: true, trials };
    else low = rate;
  }
  while (low > least && !(await holds(low))) low = Math.round(low * (1 - precision));
  return { rate: low > least ? low : 0, isGeneratorLimited: false, trials };
}
