// The ten busiest services by what TCP and UDP carry, IPv4 or IPv6, with VLANs or without: node examples/services.mjs eth0
import { open } from 'ringtap';
import { DecodeFlags, decode } from 'ringtap/decode';

const uri = process.argv[2] ?? 'synth:?count=200000&flows=50&sizes=imix&protocols=udp,tcp,udp6,tcp6';
const capture = await open(uri, { snaplen: 128 });
process.once('SIGINT', () => capture.close()); // an interface has no end: Ctrl-C ends the loop
/** @type {Map<string, number>} */
const bytesByService = new Map();
/** @type {import('ringtap/decode').Decoded | undefined} */
let decoded;
for await (const batch of capture) {
  decoded = decode(batch, decoded); // the same columns for every batch
  const { length, flags, protocol, srcPort, dstPort, payloadLength } = decoded;
  for (let i = 0; i < length; i++) {
    if ((flags[i] & DecodeFlags.ports) === 0) continue;
    const service = `${protocol[i] === 6 ? 'tcp' : 'udp'}/${Math.min(srcPort[i], dstPort[i])}`;
    bytesByService.set(service, (bytesByService.get(service) ?? 0) + payloadLength[i]);
  }
}
for (const [service, bytes] of [...bytesByService].sort((a, b) => b[1] - a[1]).slice(0, 10)) {
  console.log(service.padEnd(10), bytes);
}
await capture.close();
