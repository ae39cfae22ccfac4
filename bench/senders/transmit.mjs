// node transmit.mjs URI SIZE COUNT RATE [batch]: sends numbered frames through ringtap's own transmitter; RATE 0 is flat out.
// batch: by sendBatch(), flat out, the same frames again and again.
import { createInterface } from 'node:readline';
import { open, openTransmitter } from 'ringtap';

const IMIX = [60, 566, 60, 566, 60, 1514, 60, 566, 60, 566, 60, 60]; // 7:4:1, as ringtap-pktgen has it
const FLOWS = 4096;
const FIRST_PORT = 1024;
const BURST = 64;

/** UDP from 198.18.0.1 to 198.19.0.1 (RFC 2544), port 9: discard. Numbers and ports are filled in later. */
function frameOf(size) {
  const frame = Buffer.alloc(size);
  frame.write('020000000002020000000001080045000000', 'hex');
  frame.writeUInt16BE(size - 14, 16);
  frame.write('0000400040110000c6120001c6130001', 18, 'hex');
  let sum = 0;
  for (let at = 14; at < 34; at += 2) sum += frame.readUInt16BE(at);
  frame.writeUInt16BE(~((sum & 0xffff) + (sum >> 16)) & 0xffff, 24);
  frame.writeUInt16BE(9, 36);
  frame.writeUInt16BE(size - 34, 38);
  return frame;
}

const [uri, sizeText, countText, rateText, mode] = process.argv.slice(2);
const [count, rate] = [Number(countText), Number(rateText)];
const frames = (sizeText === 'imix' ? IMIX : [Number(sizeText)]).map(frameOf);

/** Frames in memory of one batch. */
async function batchOf(made, length) {
  const source = await open(`synth:?count=${length}&batchSize=${length}&sizes=${made[0].length}`);
  const batch = source.nextSync().copy();
  for (let i = 0; i < batch.length; i++) batch.bytes.set(made[0], batch.offset[i]);
  await source.close();
  return batch;
}

const batch = mode === 'batch' ? await batchOf(frames, 1024) : undefined;
const transmitter = await openTransmitter(uri);
process.stderr.write('READY\n');
for await (const _ of createInterface({ input: process.stdin })) break;

const start = performance.now();
let bytes = 0;
let refusals = 0;
for (let number = 0; batch !== undefined && number < count; ) {
  for (let from = 0; from < batch.length && number < count; ) {
    const sent = transmitter.sendBatch(batch, { from });
    from += sent;
    number += sent;
    bytes += sent * frames[0].length;
    if (from < batch.length) await transmitter.drain();
  }
}
for (let number = batch === undefined ? 0 : count; number < count; ) {
  const due = rate === 0 ? count : Math.min(count, ((performance.now() - start) / 1000) * rate);
  for (let end = Math.min(due, number + BURST); number < end; ) {
    const frame = frames[number % frames.length];
    frame.writeUInt16BE(FIRST_PORT + (number % FLOWS), 34);
    frame.writeUInt32BE(number, 46);
    if (transmitter.send(frame)) {
      number++;
      bytes += frame.length;
    } else {
      refusals++;
      await transmitter.flush();
    }
  }
  if (rate !== 0) await new Promise((resolve) => setImmediate(resolve));
}
await transmitter.flush();
const seconds = (performance.now() - start) / 1000;
const { completed: sent } = transmitter.stats();
await transmitter.close();
process.stdout.write(
  `${JSON.stringify({ sent, bytes, seconds, pps: Math.round(sent / seconds), errors: refusals })}\n`,
);
process.exit(0); // stdin is still open
