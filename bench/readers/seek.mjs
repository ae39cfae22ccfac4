// node seek.mjs TRACE FIRST LAST: for each line on stdin, how many ms it takes to open the trace at a time between these
// (seconds since 1970) and to get the first packets from there.
import { createInterface } from 'node:readline';
import { open } from 'ringtap';
import { print, sayReady } from './work.mjs';

const [path, first, last] = process.argv.slice(2);
sayReady();
for await (const _ of createInterface({ input: process.stdin })) {
  const from = (Number(first) + Math.random() * (Number(last) - Number(first))).toFixed(6);
  const begin = performance.now();
  const capture = await open(`file:${path}?from=${from}`);
  const { value: batch } = await capture[Symbol.asyncIterator]().next();
  const ms = performance.now() - begin;
  const at = Number(batch.timeNs(0)) / 1e9;
  await capture.close();
  if (!(at >= Number(from) - 1e-6 && at < Number(from) + 1)) throw new Error(`from ${from} gave ${at}`);
  print({ ms });
}
