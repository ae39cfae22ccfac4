// The ten busiest IPv4 senders: node examples/talkers.mjs eth0
import { open } from 'ringtap';

const capture = await open(process.argv[2] ?? 'synth:?count=200000&flows=50&sizes=imix', { filter: 'ip', snaplen: 64 });
process.once('SIGINT', () => capture.close()); // an interface has no end: Ctrl-C ends the loop
const bytesBySender = new Map();
for await (const { length, offset, wirelen, view } of capture) {
  for (let i = 0; i < length; i++) {
    const sender = view.getUint32(offset[i] + 26);
    bytesBySender.set(sender, (bytesBySender.get(sender) ?? 0) + wirelen[i]);
  }
}
/** @param {number} address */
const dotted = (address) => [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
for (const [sender, bytes] of [...bytesBySender].sort((a, b) => b[1] - a[1]).slice(0, 10)) {
  console.log(dotted(sender).padEnd(15), bytes);
}
await capture.close();
