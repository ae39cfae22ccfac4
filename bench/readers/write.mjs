// node write.mjs: for each line on stdin, { from, to, options } as JSON, writes one capture into a trace; without `to` it
// only reads.
import { createInterface } from 'node:readline';
import { open, openWriter } from 'ringtap';
import { Meter, print, sayReady } from './work.mjs';

sayReady();
for await (const line of createInterface({ input: process.stdin })) {
  const { from, to, options } = JSON.parse(line);
  const meter = new Meter();
  let packets = 0;
  const capture = await open(from);
  const writer = to === undefined ? undefined : await openWriter(to, { linkType: capture.linkType, ...options });
  for await (const batch of capture) {
    packets += batch.length;
    await writer?.write(batch);
  }
  await writer?.close();
  await capture.close();
  print(meter.result({ packets, bytes: writer?.stats().bytes ?? 0, sum: 0 }));
}
