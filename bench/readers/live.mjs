// node live.mjs URI WARMUP COUNT [options]: reads until all has come, or nothing came for a second. The first packets
// warm it up and are not measured.
//   --sync           nextSync() instead of for await
//   --foreign        the frames are not ringtap-pktgen's: they have no numbers
//   --timer          measures how late a 10 ms timer fires meanwhile
//   --stall MS,EVERY stands still, synchronously, for so long
//   --clock NS       CLOCK_TAI - CLOCK_MONOTONIC: measures how long stamped frames take to get here
//   --arrival        the same until the kernel had them, by its stamps
//   --seconds S      ends after this time, however much has come
import { parseArgs } from 'node:util';
import { open } from 'ringtap';
import { Lateness } from '../lib/lateness.mjs';
import { percentiles } from '../lib/stats.mjs';
import { Numbers } from './numbers.mjs';
import { rehearse } from './rehearse.mjs';
import { Meter, NumberedWork, print, sayReady, Work } from './work.mjs';

const PATIENCE_MS = 1000;
const SECOND_NS = 1_000_000_000n;
const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sync: { type: 'boolean' },
    foreign: { type: 'boolean' },
    timer: { type: 'boolean' },
    stall: { type: 'string', default: '0,0' },
    clock: { type: 'string' },
    arrival: { type: 'boolean' },
    seconds: { type: 'string' },
  },
});
const [uri, ...counts] = positionals;
const [warmup, count] = counts.map(Number);
const [stallMs, everyMs] = flags.stall.split(',').map(Number);
let numbers = new Numbers();
const newWork = () => (flags.foreign ? new Work() : new NumberedWork(numbers));

let work;
let meter;
let batches;
let largest;
let skipped = 0;
let isOver = false;
let stalls = 0;
let nextStall = Number.POSITIVE_INFINITY;
const lateness = flags.timer ? new Lateness() : undefined;
const latencyUs = [];
const clock = flags.clock === undefined ? undefined : BigInt(flags.clock);

function restart() {
  work = newWork();
  batches = 0;
  largest = 0;
  latencyUs.length = 0;
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

/** WHY modulo a second: the sender's clock is this one's, and some leap seconds. */
function lookAtArrivals(batch) {
  const { length, offset, view } = batch;
  for (let i = 0; i < length; i++) {
    const ns = Number(BigInt.asIntN(64, batch.timeNs(i) - view.getBigUint64(offset[i] + 50)) % SECOND_NS);
    latencyUs.push((ns < 0 ? ns + Number(SECOND_NS) : ns) / 1000);
  }
}

/** Reads a batch; how many packets there were so far. */
function take(batch) {
  if (flags.arrival) lookAtArrivals(batch);
  else if (clock !== undefined) lookAtStamps(batch);
  work.look(batch);
  batches++;
  if (batch.length > largest) largest = batch.length;
  if (stallMs > 0 && performance.now() > nextStall) stall();
  return skipped + work.packets;
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

async function readAsync(source, until) {
  for await (const batch of source) if (take(batch) >= until) break;
}

function readSync(source, until) {
  for (let goesOn = true; goesOn && !isOver; ) {
    const batch = source.nextSync(PATIENCE_MS / 10);
    if (batch === null) endIfOver();
    else goesOn = take(batch) < until;
  }
}

const read = flags.sync ? readSync : readAsync;
restart();
await rehearse(read);
numbers = new Numbers();
restart();
const capture = await open(uri, { fallback: false });
const patience = new Patience();
function end() {
  isOver = true;
  capture.close();
}
function endIfOver() {
  if (patience.isOver()) end();
}
const timers = [setInterval(endIfOver, PATIENCE_MS / 10)];
if (flags.seconds !== undefined) timers.push(setTimeout(end, flags.seconds * 1000));
sayReady();
await read(capture, warmup);
if (!isOver) {
  skipped = work.packets;
  restart();
  lateness?.start();
  if (stallMs > 0) nextStall = performance.now() + everyMs;
  await read(capture, warmup + count);
}
for (const timer of timers) clearTimeout(timer);
const { reordered, duplicates } = numbers.result();
const { dropped, drops } = capture.stats();
print({
  ...meter.result(work),
  missing: warmup + count - skipped - work.packets + duplicates,
  reordered,
  duplicates,
  dropped,
  drops,
  batches,
  largest,
  stalls,
  lateness: lateness?.result(),
  latency: latencyUs.length === 0 ? undefined : percentiles(latencyUs),
});
await capture.close();
