// node export.mjs MODE [PORT]: for each number of records on stdin, exports so many, again and again the same. MODE: `null` writes
// IPFIX to /dev/null, `js` makes the same records in JavaScript, of the columns; `udp` sends them to PORT here.
import { createInterface } from 'node:readline';
import { open } from 'ringtap';
import { IpfixExporter } from 'ringtap/export';
import { FlowMeter } from 'ringtap/flow';
import { Meter, print, sayReady } from './work.mjs';

const [mode, port] = process.argv.slice(2);
const FLOWS = 65_536;

const meter = new FlowMeter();
for await (const batch of await open(`synth:?count=${4 * FLOWS}&flows=${FLOWS}&protocols=udp,tcp,tcp6`))
  meter.add(batch);
meter.flush();
const batches = [...meter.drain()];

/** What somebody would write who has a DataView: the elements of native/export/elements.h, in their order. */
function pack(flows) {
  const into = new DataView(new ArrayBuffer(flows.length * 128));
  const whole = (at, value) => {
    into.setUint32(at, value / 2 ** 32);
    into.setUint32(at + 4, value >>> 0);
  };
  const epochMs = Number(flows.epoch / 1_000_000n);
  let at = 0;
  for (let i = 0; i < flows.length; i++) {
    whole(at, flows.id[i]);
    into.setUint8(at + 8, flows.protocol[i]);
    into.setUint8(at + 9, flows.ended[i]);
    into.setUint8(at + 10, flows.initiatorKnown[i]);
    whole(at + 11, epochMs + Math.floor(flows.start[i] / 1e6));
    whole(at + 19, epochMs + Math.floor(flows.end[i] / 1e6));
    at += 27;
    if (flows.ipVersion[i] === 6) {
      for (let n = 0; n < 16; n++) into.setUint8(at + n, flows.src6[16 * i + n]);
      for (let n = 0; n < 16; n++) into.setUint8(at + 16 + n, flows.dst6[16 * i + n]);
      at += 32;
    } else {
      into.setUint32(at, flows.src4[i]);
      into.setUint32(at + 4, flows.dst4[i]);
      at += 8;
    }
    into.setUint16(at, flows.srcPort[i]);
    into.setUint16(at + 2, flows.dstPort[i]);
    at += 4;
    whole(at, flows.ipBytesToClient[i]);
    into.setUint32(at + 8, flows.packetsToClient[i]);
    whole(at + 12, flows.frameBytesToClient[i]);
    into.setUint16(at + 20, flows.minBytesToClient[i]);
    into.setUint16(at + 22, flows.maxBytesToClient[i]);
    into.setUint8(at + 24, flows.minTtlToClient[i]);
    into.setUint16(at + 25, flows.tcpFlagsToClient[i]);
    whole(at + 27, flows.ipBytesToServer[i]);
    into.setUint32(at + 35, flows.packetsToServer[i]);
    whole(at + 39, flows.frameBytesToServer[i]);
    into.setUint16(at + 47, flows.minBytesToServer[i]);
    into.setUint16(at + 49, flows.maxBytesToServer[i]);
    into.setUint8(at + 51, flows.minTtlToServer[i]);
    into.setUint16(at + 52, flows.tcpFlagsToServer[i]);
    at += 54;
  }
  return into.buffer;
}

const to = { null: 'file:/dev/null', udp: `udp://127.0.0.1:${port}` }[mode];
const exporter = to === undefined ? undefined : await IpfixExporter.open(to);
sayReady();
for await (const line of createInterface({ input: process.stdin })) {
  const wanted = Number(line);
  const used = new Meter();
  let records = 0;
  let bytes = 0;
  while (records < wanted) {
    for (const flows of batches) {
      if (exporter === undefined) bytes += pack(flows).byteLength;
      else await exporter.write(flows);
      records += flows.length;
    }
  }
  const result = used.result({ packets: records, bytes, sum: 0 });
  print({ ...result, stats: exporter?.stats() });
}
await exporter?.close();
