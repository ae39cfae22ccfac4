// node dpdk.mjs URI: opens the port for each line on stdin, as a port that floods takes a whole core, reads as many
// packets as the line asks for, and closes it.
// node dpdk.mjs URI idle: what an open capture takes while nothing comes, for as many milliseconds as the line asks for.
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';
import { open } from 'ringtap';
import { Meter, print, sayReady, Work } from './work.mjs';

const [uri, mode] = process.argv.slice(2);
const WARMUP = 1_000_000;
/** What opening leaves to do is over by then, and the polling thread sleeps as long as it ever does. */
const SETTLE_MS = 1000;

async function read(capture, packets) {
  const work = new Work();
  for await (const batch of capture) {
    work.look(batch);
    if (work.packets >= packets) break;
  }
  return work;
}

async function idle(capture, ms) {
  const waiting = capture[Symbol.asyncIterator]().next();
  await setTimeout(SETTLE_MS);
  const meter = new Meter();
  await setTimeout(ms);
  const result = meter.result(new Work());
  await capture.close();
  await waiting;
  return result;
}

async function flood(capture, packets) {
  await read(capture, WARMUP);
  const meter = new Meter();
  const result = meter.result(await read(capture, packets), { drops: capture.stats().drops });
  await capture.close();
  return result;
}

sayReady();
for await (const line of createInterface({ input: process.stdin })) {
  const capture = await open(uri);
  print(await (mode === 'idle' ? idle : flood)(capture, Number(line)));
}
