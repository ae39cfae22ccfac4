// node live.mjs URI WARMUP COUNT [timer] [stallMs everyMs]: reads until all has come, or nothing came for a second.
// The first packets warm it up and are not measured. `timer` measures how late a 10 ms timer fires meanwhile;
// stallMs and everyMs let the reader stand still, synchronously.
import { open } from 'ringtap';
import { Lateness } from '../lib/lateness.mjs';
import { Meter, print, sayReady, Work } from './work.mjs';

const PATIENCE_MS = 1000;
const [uri, warmupText, countText, ...modes] = process.argv.slice(2);
const warmup = Number(warmupText);
const total = warmup + Number(countText);
const measuresTimer = modes[0] === 'timer';
const [stallMs, everyMs] = modes[0] === 'stall' ? modes.slice(1).map(Number) : [0, 0];

const capture = await open(uri, { fallback: false });
let work = new Work();
let skipped = 0;
let meter;
let batches = 0;
const lateness = measuresTimer ? new Lateness() : undefined;

// Ends what would never end, because packets are missing.
let lastSeen = 0;
const patience = setInterval(() => {
  const seen = skipped + work.packets;
  if (seen > 0 && seen === lastSeen) void capture.close();
  lastSeen = seen;
}, PATIENCE_MS);

function stall() {
  const end = performance.now() + stallMs;
  while (performance.now() < end);
}

let stalls = 0;
let nextStall = Number.POSITIVE_INFINITY;
sayReady();
for await (const batch of capture) {
  work.look(batch);
  batches++;
  if (meter === undefined && work.packets >= warmup) {
    skipped = work.packets;
    work = new Work();
    batches = 0;
    lateness?.start();
    meter = new Meter();
    if (stallMs > 0) nextStall = performance.now() + everyMs;
  }
  if (skipped + work.packets >= total) break;
  if (stallMs > 0 && performance.now() > nextStall) {
    stall();
    stalls++;
    nextStall = performance.now() + everyMs;
  }
}
const result = meter?.result(work, {
  missing: total - skipped - work.packets,
  batches,
  stalls,
  lateness: lateness?.result(),
});
clearInterval(patience);
const { dropped, drops } = capture.stats();
print({ ...result, dropped, drops });
await capture.close();
