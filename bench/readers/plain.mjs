// node plain.mjs URI LAPS COUNT [--clock NS]: what a user writes: a loop that reads a field of each packet, started
// cold. LAPS: after how many packets to take the figures, besides the end: "100000,1000000".
//   --rehearsed      lets V8 compile the loop on packets in memory first
//   --clock NS       CLOCK_TAI - CLOCK_MONOTONIC: measures how long stamped frames take to get here
// It ends when all has come, or a second after the sender has ended.
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { open } from 'ringtap';
import { percentiles } from '../lib/stats.mjs';

const PATIENCE_MS = 1000;
const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: { clock: { type: 'string' }, rehearsed: { type: 'boolean' } },
});
const [uri, lapsText, countText] = positionals;
const laps = lapsText.split(',').filter(Boolean).map(Number);
const count = Number(countText);
const clock = flags.clock === undefined ? undefined : BigInt(flags.clock);
const latencyUs = [];
const seen = [];
let start;

function figures(packets) {
  const { userCPUTime, systemCPUTime, voluntaryContextSwitches, maxRSS } = process.resourceUsage();
  return {
    ...{ packets, user: userCPUTime, system: systemCPUTime, waits: voluntaryContextSwitches, rssKiB: maxRSS },
    wall: performance.now() * 1000,
  };
}

function since(from, now) {
  const differences = ['user', 'system', 'waits', 'wall'].map((key) => [key, now[key] - from[key]]);
  return { ...now, ...Object.fromEntries(differences) };
}

function lookAtStamps({ length, offset, view }) {
  const now = process.hrtime.bigint() + clock;
  for (let i = 0; i < length; i++) latencyUs.push(Number(now - view.getBigUint64(offset[i] + 50)) / 1000);
}

async function read(capture, most) {
  const marks = [...laps, most];
  let packets = 0;
  let bytes = 0;
  let batches = 0;
  for await (const batch of capture) {
    const { length, caplen } = batch;
    for (let i = 0; i < length; i++) bytes += caplen[i];
    packets += length;
    batches++;
    if (clock !== undefined) lookAtStamps(batch);
    if (packets < marks[0]) continue;
    while (packets >= marks[0]) {
      marks.shift();
      seen.push(figures(packets));
    }
    if (marks.length === 0) break;
  }
  return { packets, bytes, batches };
}

if (flags.rehearsed) {
  const { rehearse } = await import('./rehearse.mjs');
  await rehearse(read);
  seen.length = 0;
}
const capture = await open(uri, { fallback: false });
createInterface({ input: process.stdin }).once('line', () => setTimeout(() => capture.close(), PATIENCE_MS));
start = figures(0);
process.stderr.write('READY\n');
const { packets, bytes, batches } = await read(capture, count);
const { dropped, drops } = capture.stats();
const all = since(start, packets >= count ? seen.at(-1) : figures(packets));
process.stdout.write(
  `${JSON.stringify({
    ...{ ...all, bytes, sum: bytes, batches, missing: count - packets, dropped, drops },
    laps: seen.slice(0, laps.length).map((lap) => since(start, lap)),
    latency: clock === undefined ? undefined : percentiles(latencyUs),
  })}\n`,
);
await capture.close();
process.exit();
