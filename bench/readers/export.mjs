// node export.mjs MODE PORT: for each number of records on stdin, sends so many to PORT here, again and again the same. MODE:
// `ringtap`, or `dgram`: the same records made in JavaScript, of the columns, and sent with node:dgram.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
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
  return into.buffer.slice(0, at);
}

/** As many records as fit go into each datagram. */
const DATAGRAM_BYTES = 1400;

async function dgram() {
  const socket = createSocket('udp4');
  socket.connect(Number(port), '127.0.0.1');
  await once(socket, 'connect');
  return {
    async write(flows) {
      const bytes = new Uint8Array(pack(flows));
      let waiting = 0;
      let done;
      const gone = new Promise((resolve) => {
        done = resolve;
      });
      for (let at = 0; at < bytes.length; at += DATAGRAM_BYTES) {
        waiting++;
        socket.send(bytes.subarray(at, at + DATAGRAM_BYTES), () => {
          if (--waiting === 0) done();
        });
      }
      await gone;
    },
    close: () => socket.close(),
    stats: () => undefined,
  };
}

const exporter = mode === 'dgram' ? await dgram() : await IpfixExporter.open(`udp://127.0.0.1:${port}`);
sayReady();
for await (const line of createInterface({ input: process.stdin })) {
  const wanted = Number(line);
  const used = new Meter();
  let records = 0;
  while (records < wanted) {
    for (const flows of batches) {
      await exporter.write(flows);
      records += flows.length;
    }
  }
  const result = used.result({ packets: records, bytes: 0, sum: 0 });
  print({ ...result, stats: exporter.stats() });
}
await exporter.close();
