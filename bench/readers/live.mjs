// node live.mjs URI WARMUP COUNT [options]: reads until all has come, or nothing came for a second. The first packets
// warm it up and are not measured.
//   --sync           nextSync() instead of for await
//   --foreign        the frames are not ringtap-pktgen's: they have no numbers
//   --timer          measures how late a 10 ms timer fires meanwhile
//   --stall MS,EVERY stands still, synchronously, for so long
//   --clock NS       CLOCK_TAI - CLOCK_MONOTONIC: measures how long stamped frames take to get here
//   --seconds S      ends after this time, however much has come
import { parseArgs } from 'node:util';
import { open } from 'ringtap';
import { Lateness } from '../lib/lateness.mjs';
import { percentiles } from '../lib/stats.mjs';
import { Numbers } from './numbers.mjs';
import { Meter, NumberedWork, print, sayReady, Work } from './work.mjs';

const PATIENCE_MS = 1000;
const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sync: { type: 'boolean' },
    foreign: { type: 'boolean' },
    timer: { type: 'boolean' },
    stall: { type: 'string', default: '0,0' },
    clock: { type: 'string' },
    seconds: { type: 'string' },
  },
});
const [uri, ...counts] = positionals;
const [warmup, count] = counts.map(Number);
const [stallMs, everyMs] = flags.stall.split(',').map(Number);
const numbers = new Numbers();
const newWork = () => (flags.foreign ? new Work() : new NumberedWork(numbers));

const capture = await open(uri, { fallback: false });
let work = newWork();
let skipped = 0;
let meter;
let batches = 0;
let largest = 0;
let stalls = 0;
let nextStall = Number.POSITIVE_INFINITY;
const lateness = flags.timer ? new Lateness() : undefined;
const latencyUs = [];
const clock = flags.clock === undefined ? undefined : BigInt(flags.clock);

function warmUp() {
  skipped = work.packets;
  work = newWork();
  batches = 0;
  largest = 0;
  latencyUs.length = 0;
  lateness?.start();
  if (stallMs > 0) nextStall = performance.now() + everyMs;
  meter = new Meter();
}

function stall() {
  const end = performance.now() + stallMs;
  while (performance.now() < end);
  stalls++;
  nextStall = performance.now() + everyMs;
}

function lookAtStamps({ length, offset, view }) {
  const now = process.hrtime.bigint() + clock;
  for (let i = 0; i < length; i++) latencyUs.push(Number(now - view.getBigUint64(offset[i] + 50)) / 1000);
}

/** Reads a batch; false when it was the last. */
function take(batch) {
  if (clock !== undefined) lookAtStamps(batch);
  work.look(batch);
  batches++;
  if (batch.length > largest) largest = batch.length;
  if (meter === undefined && work.packets >= warmup) warmUp();
  if (stallMs > 0 && performance.now() > nextStall) stall();
  return skipped + work.packets < warmup + count;
}

/** Ends what would never end, because packets are missing. */
class Patience {
  #seen = 0;
  #since = performance.now();

  isOver() {
    const seen = skipped + work.packets;
    if (seen !== this.#seen || seen === 0) {
      this.#seen = seen;
      this.#since = performance.now();
    }
    return performance.now() - this.#since > PATIENCE_MS;
  }
}

async function readAsync() {
  const patience = new Patience();
  const timers = [setInterval(() => patience.isOver() && capture.close(), PATIENCE_MS / 10)];
  if (flags.seconds !== undefined) timers.push(setTimeout(() => capture.close(), flags.seconds * 1000));
  for await (const batch of capture) if (!take(batch)) break;
  for (const timer of timers) clearTimeout(timer);
}

function readSync() {
  const patience = new Patience();
  for (let goesOn = true; goesOn; ) {
    const batch = capture.nextSync(PATIENCE_MS / 10);
    goesOn = batch === null ? !patience.isOver() : take(batch);
  }
}

sayReady();
if (flags.sync) readSync();
else await readAsync();
const { reordered, duplicates } = numbers.result();
const { dropped, drops } = capture.stats();
print({
  ...(meter ?? new Meter()).result(work),
  missing: warmup + count - skipped - work.packets + duplicates,
  reordered,
  duplicates,
  dropped,
  drops,
  batches,
  largest,
  stalls,
  lateness: lateness?.result(),
  latency: clock === undefined ? undefined : percentiles(latencyUs),
});
await capture.close();
