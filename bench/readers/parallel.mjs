// node parallel.mjs URI WORKERS ROUNDS: for each line on stdin, reads all of URI in so many workers, whose handler does so many
// rounds of sums with each packet. Prints { packets, wall, cpu } of the time from the first batch to the last (ms), and
// { started, each } (ms, bytes): until all workers had a batch, and what is resident more for each.
import { createInterface } from 'node:readline';
import { openParallel } from 'ringtap';
import { print, sayReady } from './work.mjs';

const [uri, workers, rounds] = process.argv.slice(2);

async function once() {
  global.gc?.();
  const before = process.memoryUsage().rss;
  const called = performance.timeOrigin + performance.now();
  const spans = [];
  let most = 0;
  const timer = setInterval(() => {
    most = Math.max(most, process.memoryUsage().rss);
  }, 5);
  const parallel = await openParallel(uri, {
    workers: Number(workers),
    handler: new URL('./parallel-handler.mjs', import.meta.url),
    data: { rounds: Number(rounds) },
  });
  for await (const { value } of parallel.reports()) spans.push(value);
  const { workers: shares } = parallel.stats();
  clearInterval(timer);
  const each = (most - before) / spans.length;
  const begin = Math.min(...spans.map(({ first }) => first));
  print({
    packets: spans.reduce((sum, { packets }) => sum + packets, 0),
    wall: Math.max(...spans.map(({ last }) => last)) - begin,
    cpu: shares.reduce((sum, { cpuMs }) => sum + cpuMs, 0),
    started: Math.max(...spans.map(({ first }) => first)) - called,
    each,
  });
  await parallel.close();
}

sayReady();
for await (const _ of createInterface({ input: process.stdin })) await once();
