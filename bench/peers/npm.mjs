// What both npm packages are measured with: a reader that is called for each packet.
import { createRequire } from 'node:module';
import { Numbers } from '../readers/numbers.mjs';
import { Meter, NumberedWork, print, sayReady } from '../readers/work.mjs';

const PATIENCE_MS = 1000;

/** Loads a package from where install.mjs puts it. */
export const load = createRequire(new URL('../../build/bench-peers/package.json', import.meta.url));

/**
 * `start(iface, onPacket)` begins capturing; onPacket(buffer, caplen) does the work of all readers.
 * Prints the result when all has come, or nothing came for a second.
 */
export function measure(start) {
  const [iface, warmupText, countText] = process.argv.slice(2);
  const warmup = Number(warmupText);
  const total = warmup + Number(countText);
  const numbers = new Numbers();
  let work = new NumberedWork(numbers);
  let skipped = 0;
  let meter = new Meter();
  // A batch of one, so that it is the same code.
  const batch = { length: 1, offset: [0], caplen: [0], view: undefined };
  let buffer;

  const end = () => {
    const { reordered, duplicates } = numbers.result();
    const missing = total - skipped - work.packets + duplicates;
    print(meter.result(work, { missing, reordered, duplicates, batches: work.packets, largest: 1 }));
    process.exit(0);
  };
  start(iface, (bytes, caplen) => {
    if (bytes !== buffer) {
      buffer = bytes;
      batch.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    batch.caplen[0] = caplen;
    work.look(batch);
    if (skipped === 0 && work.packets >= warmup) {
      skipped = work.packets;
      work = new NumberedWork(numbers);
      meter = new Meter();
    }
    if (skipped + work.packets >= total) end();
  });
  let last = 0;
  setInterval(() => {
    const seen = skipped + work.packets;
    if (seen > 0 && seen === last) end();
    last = seen;
  }, PATIENCE_MS);
  sayReady();
}
