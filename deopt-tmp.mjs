import { open } from 'ringtap';
function look({ length, offset, caplen, view }) {
  let sum = 0;
  for (let i = 0; i < length; i++) {
    if (view.getUint16(offset[i] + 12) === 0x0800) sum += caplen[i];
  }
  return sum;
}
const read = async (uri, count) => {
  const capture = await open(uri);
  let packets = 0, sum = 0;
  for await (const batch of capture) { sum += look(batch); packets += batch.length; if (packets >= count) break; }
  for (let i = 0; i < count / 256; i++) { const batch = capture.tryNext(); if (batch !== null) sum += look(batch); }
  await capture.close();
  return sum;
};
for (let phase = 0; phase < 5; phase++) {
  for (const uri of ['synth:', 'synth:?sizes=imix', process.argv[2]]) await read(uri, 1e6);
  console.log(`PHASE ${phase}`);
}
