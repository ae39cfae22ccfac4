// Captures into a file, with what was lost written into it: node examples/record.mjs eth0 out.pcapng
import { open, openWriter } from 'ringtap';

const capture = await open(process.argv[2] ?? 'synth:?count=50000');
const writer = await openWriter(process.argv[3] ?? '/dev/null', { linkType: capture.linkType });
/** @type {Promise<unknown> | undefined} */
let writing;
let stopping = false;
process.once('SIGINT', async () => {
  stopping = true;
  await writing; // a batch is lent until it is written
  await capture.close();
});
for await (const batch of capture) {
  writing = writer.write(batch);
  await writing;
  if (stopping) break;
}
const { received, dropped } = capture.stats();
await writer.close({ received, dropped });
console.log(`${writer.stats().packets} of ${received} packets written, ${dropped} lost`);
await capture.close();
