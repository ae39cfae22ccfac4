// node file.mjs FILE: reads the whole trace once for each line on stdin.
import { createInterface } from 'node:readline';
import { open } from 'ringtap';
import { Meter, print, sayReady, Work } from './work.mjs';

const [path] = process.argv.slice(2);
sayReady();
for await (const _ of createInterface({ input: process.stdin })) {
  const work = new Work();
  const meter = new Meter();
  const capture = await open(path);
  for await (const batch of capture) work.look(batch);
  await capture.close();
  print(meter.result(work));
}
