// Keeps batches beyond their step: a rolling window of the last four.
import { open } from 'ringtap';

const capture = await open(process.argv[2] ?? 'synth:?count=20000');
const recent = [];
for await (const batch of capture) {
  recent.push(batch.hold());
  if (recent.length > 4) recent.shift()?.release();
}
console.log(`the last ${recent.reduce((sum, batch) => sum + batch.length, 0)} packets are still here`);
for (const batch of recent) batch.release();
await capture.close();
