// How much is measured. Seconds are of one trial; a receiver takes about one more to start and end.

const SIZES = [64, 512, 1518, 'imix'];
/** Every size from the fastest generator that can send it. */
const traffic = (size, more) => ({
  size,
  generator: size === 'imix' ? 'txring' : 'xdp',
  kinds: ['ringtap', 'C'],
  ...more,
});
const everybody = { kinds: ['ringtap', 'C', 'tool'] };
/** Long enough for V8 to have compiled what waits, which comes by once or twice a millisecond. */
const slow = traffic(64, { rate: 200_000, seconds: 2.5 });

/** Readers that start cold. Flat out comes first: it tells what the packets cost by themselves. */
const cold = (repeats, seconds, rates, sizes = [64]) =>
  sizes.flatMap((size) => rates.map((rate) => ({ rate, size, seconds, repeats })));
const coldXdp = (repeats, seconds) => ({ backend: 'afxdp', rate: 200_000, size: 64, seconds, repeats });
const RATES = [0, 50_000, 100_000, 200_000, 500_000];

export const PROFILES = {
  quick: {
    repeats: 3,
    toolRepeats: 1,
    seconds: 0.2,
    traffics: [traffic(64)],
    search: { seconds: 0.2, precision: 0.15, confirmations: 1, sizes: [64], kinds: ['ringtap'] },
    latency: { seconds: 0.5, rate: 1000, repeats: 1 },
    synth: { runs: 5, sweep: [16, 64, 256, 1024] },
    traces: { runs: 5, packets: { 64: [2_000_000] } },
    flows: { runs: 3, traces: [[10_000, 60]], tables: [10_000, 100_000] },
    writing: { runs: 5, packets: { 64: 1_000_000, imix: 300_000 }, rotated: 5_000_000, seekBytes: 2e8, seeks: 20 },
    file: { runs: 3, packets: { 64: 1_000_000, imix: 300_000 } },
    loop: { runs: 1, seconds: 1 },
    stall: { runs: 1, seconds: 1 },
    wake: cold(1, 1.5, [100_000]),
    sending: { runs: 3, frames: 200_000 },
    inline: { runs: 2, seconds: 1 },
    parallel: { runs: 3, packets: 1_000_000 },
    cycle: { times: 1000, liveTimes: 60 },
    remote: { runs: 3, packets: 200_000, rate: 400_000 },
  },
  standard: {
    repeats: 5,
    toolRepeats: 5,
    seconds: 0.8,
    traffics: [
      traffic(64, { repeats: 7, ...everybody }),
      ...SIZES.slice(1).map((size) => traffic(size, { repeats: 3 })),
      slow,
    ],
    search: { seconds: 0.7, precision: 0.05, confirmations: 1, sizes: [64], kinds: ['ringtap', 'C'] },
    latency: { seconds: 1.5, rate: 1000, repeats: 2 },
    synth: { runs: 15, sweep: [1, 4, 16, 64, 256, 1024, 4096] },
    traces: { runs: 5, packets: { 64: [2_000_000, 20_000_000], imix: [500_000, 5_000_000] } },
    flows: {
      runs: 5,
      traces: [
        [10_000, 200],
        [100_000, 30],
        [1_000_000, 2],
      ],
      tables: [10_000, 100_000, 1_000_000],
    },
    writing: { runs: 5, packets: { 64: 5_000_000, imix: 2_000_000 }, rotated: 10_000_000, seekBytes: 1e9, seeks: 50 },
    file: { runs: 7, packets: { 64: 6_000_000, imix: 2_000_000 } },
    loop: { runs: 2, seconds: 2 },
    stall: { runs: 2, seconds: 2 },
    wake: [...cold(3, 4, [0, 100_000]), coldXdp(3, 4)],
    sending: { runs: 5, frames: 400_000 },
    inline: { runs: 5, seconds: 2 },
    parallel: { runs: 5, packets: 4_000_000 },
    cycle: { times: 2000, liveTimes: 60 },
    remote: { runs: 7, packets: 1_000_000, rate: 400_000 },
  },
  full: {
    repeats: 5,
    toolRepeats: 3,
    seconds: 0.8,
    traffics: [
      traffic(64, everybody),
      ...SIZES.slice(1).map((size) => traffic(size, { repeats: 3 })),
      slow,
      ...['sendmmsg', 'txring', 'afxdp', 'dpdk'].map((generator) => traffic(64, { generator, repeats: 2 })),
    ],
    search: { seconds: 0.7, precision: 0.05, confirmations: 1, sizes: [64, 1518], kinds: ['ringtap', 'C'] },
    latency: { seconds: 2, rate: 1000, repeats: 3 },
    synth: { runs: 21, sweep: [1, 4, 16, 64, 256, 1024, 4096] },
    traces: { runs: 7, packets: { 64: [2_000_000, 20_000_000], imix: [500_000, 5_000_000] } },
    flows: {
      runs: 7,
      traces: [
        [10_000, 200],
        [100_000, 30],
        [1_000_000, 2],
      ],
      tables: [10_000, 100_000, 1_000_000, 10_000_000],
    },
    writing: { runs: 7, packets: { 64: 5_000_000, imix: 2_000_000 }, rotated: 20_000_000, seekBytes: 1e9, seeks: 100 },
    file: { runs: 11, packets: { 64: 12_000_000, imix: 5_000_000 } },
    loop: { runs: 3, seconds: 3 },
    stall: { runs: 3, seconds: 3 },
    wake: [...cold(5, 10, RATES, [64, 'imix']), coldXdp(5, 10)],
    sending: { runs: 9, frames: 1_000_000 },
    inline: { runs: 9, seconds: 3 },
    parallel: { runs: 9, packets: 6_000_000 },
    cycle: { times: 10_000, liveTimes: 300 },
    remote: { runs: 9, packets: 2_000_000, rate: 400_000 },
  },
};
