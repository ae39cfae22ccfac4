// node cycle.mjs URI COUNT ATONCE: opens and closes a capture COUNT times, ATONCE at a time, and watches what the
// process holds meanwhile.
import { readdirSync, readFileSync } from 'node:fs';
import { open } from 'ringtap';
import { print, sayReady } from './work.mjs';

const WARMUP = 0.1; // of the count: caches, arenas and pools fill up first
const SAMPLES = 20;
const [uri, countText, atOnceText] = process.argv.slice(2);
const count = Number(countText);
const warmup = Math.ceil(count * WARMUP);

/** Two collections with a turn in between: finalizers of external memory run after the first one. */
async function settle() {
  for (let i = 0; i < 2; i++) {
    globalThis.gc?.();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function sample(opened) {
  await settle();
  const status = readFileSync('/proc/self/status', 'utf8');
  const field = (name) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(status)[1]);
  return {
    opened,
    fds: readdirSync('/proc/self/fd').length,
    threads: field('Threads'),
    rssKiB: field('VmRSS'),
    mapsKiB: field('VmSize'),
  };
}

async function cycle(times) {
  let left = times;
  const lane = async () => {
    while (left-- > 0) {
      const capture = await open(uri, { fallback: false });
      capture.tryNext();
      await capture.close();
    }
  };
  await Promise.all(Array.from({ length: Number(atOnceText) }, lane));
}

sayReady();
const samples = [];
await cycle(warmup);
samples.push(await sample(warmup));
const start = performance.now();
const step = Math.ceil((count - warmup) / SAMPLES);
for (let opened = warmup; opened < count; ) {
  const times = Math.min(step, count - opened);
  await cycle(times);
  opened += times;
  samples.push(await sample(opened));
}
print({ count, atOnce: Number(atOnceText), seconds: (performance.now() - start) / 1000, samples });
