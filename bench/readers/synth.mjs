// node synth.mjs LOOP BATCH [option=value…]: reads synth: batches, as many packets as each line on stdin asks for.
// LOOP: `await` (for await) or `try` (tryNext).
import { createInterface } from 'node:readline';
import { open } from 'ringtap';
import { Meter, print, sayReady, Work } from './work.mjs';

const [loop, batchSize, ...options] = process.argv.slice(2);
const capture = await open(`synth:?${[`batchSize=${batchSize}`, ...options].join('&')}`);

async function readAwait(packets, work) {
  for await (const batch of capture) {
    work.look(batch);
    if (work.packets >= packets) break;
  }
}

function readTry(packets, work) {
  while (work.packets < packets) {
    const batch = capture.tryNext();
    if (batch !== null) work.look(batch);
  }
}

const read = loop === 'await' ? readAwait : readTry;
sayReady();
for await (const line of createInterface({ input: process.stdin })) {
  const work = new Work();
  const meter = new Meter();
  await read(Number(line), work);
  print(meter.result(work));
}
await capture.close();
