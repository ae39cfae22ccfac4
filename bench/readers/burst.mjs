// node burst.mjs LOOP URI BATCH: for each number of packets on stdin, waits until so many lie in the ring, and reads
// them. LOOP: `await` (for await) or `try` (tryNext).
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { open } from 'ringtap';
import { rehearse } from './rehearse.mjs';
import { Meter, print, sayReady, Work } from './work.mjs';

const [loop, uri, batchSize] = process.argv.slice(2);
let work = new Work();

async function readAwait(source, packets) {
  for await (const batch of source) {
    work.look(batch);
    if (work.packets >= packets) break;
  }
}

function readTry(source, packets) {
  while (work.packets < packets) {
    const batch = source.tryNext();
    if (batch !== null) work.look(batch);
  }
}

const read = loop === 'await' ? readAwait : readTry;
await rehearse(read);
const capture = await open(uri, { fallback: false, batchSize: Number(batchSize) });
sayReady();
for await (const line of createInterface({ input: process.stdin })) {
  const packets = Number(line);
  while (capture.stats().pending < packets) await sleep(1);
  work = new Work();
  const meter = new Meter();
  await read(capture, packets);
  print({ ...meter.result(work), dropped: capture.stats().dropped });
}
await capture.close();
