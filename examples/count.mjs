// Counts packets and bytes of any URI: node examples/count.mjs 'synth:?count=100000'
import { open } from 'ringtap';

const capture = await open(process.argv[2] ?? 'synth:?count=100000&sizes=imix');
process.once('SIGINT', () => capture.close()); // an interface has no end: Ctrl-C ends the loop
let packets = 0;
let bytes = 0;
for await (const batch of capture) {
  packets += batch.length;
  for (let i = 0; i < batch.length; i++) bytes += batch.wirelen[i];
}
console.log(`${packets} packets, ${bytes} bytes`, capture.stats().drops);
await capture.close();
