// Packets that come in datagrams from elsewhere, beside a recvmmsg loop in C; and what udpstr saves on the wire.
import { execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { promisify } from 'node:util';
import { open, serve } from 'ringtap';
import { cost, speed } from '../lib/bench.mjs';
import { answer, falseDaemon } from '../lib/false-daemon.mjs';
import { Pinned, program, READER_CORE, reader, SENDER_CORE } from '../lib/processes.mjs';

export const name = 'remote';
export const about = 'rpcap: and vxlan: beside a recvmmsg loop in C, datagrams and bytes of udpstr, a thousand daemons';

const PORT = 20_789;

export async function run(bench) {
  const peer = program('peer-datagrams');
  if (peer === undefined) return bench.skip('remote', 'peer-datagrams was not built: it is for Linux');
  await bench.attempt('remote: client', () =>
    beside(bench, { peer, kind: 'udpstr', size: 256, figure: cost, unit: 'ns of CPU', goal: { most: 1.5 } }),
  );
  await bench.attempt('remote: vxlan', () =>
    beside(bench, { peer, kind: 'vxlan', size: 64, figure: speed, unit: 'Mpps of CPU', goal: { least: 0.8 } }),
  );
  for (const size of [64, 1514]) await bench.attempt(`remote: wire, ${size} B`, () => wire(bench, size));
  await bench.attempt('remote: listen', () => crowd(bench));
  return undefined;
}

/** Both get the same datagrams from the same sender, in turns. */
async function beside(bench, { peer, kind, size, figure, unit, goal }) {
  const { runs, packets, rate } = bench.profile.remote;
  const warmup = Math.floor(packets / 4);
  const sender = (port) =>
    promisify(execFile)('taskset', [
      ...['-c', `${SENDER_CORE}`, peer, 'send', kind, `${port}`, `${warmup + packets}`, `${rate}`, `${size}`],
    ]);
  const read = async (command, port) => {
    const process = new Pinned(READER_CORE, command);
    await process.ready;
    await sender(await port());
    process.tell('sent');
    const result = await process.result();
    await process.end();
    return result;
  };
  const inC = () => read([peer, kind, PORT, warmup, packets], () => PORT);
  const ours = async () => {
    if (kind === 'vxlan') {
      return read(reader('live', `vxlan://127.0.0.1:${PORT}`, warmup, packets), () => PORT);
    }
    const daemon = await falseDaemon();
    const uri = `rpcap://127.0.0.1:${daemon.port}/x?transport=udp`;
    try {
      return await read(reader('live', uri, warmup, packets), () => daemon.client);
    } finally {
      daemon.close();
    }
  };
  const results = { ours: [], inC: [] };
  for (let i = 0; i < runs; i++) {
    results.ours.push(await ours());
    results.inC.push(await inC());
  }
  const missing = (side) => results[side].reduce((sum, each) => sum + each.missing, 0);
  bench.ratio(`remote: ${kind}, ${size} B, ${rate === 0 ? 'flat out' : `${rate / 1000} kpps`}, per packet`, {
    ours: results.ours.map(figure),
    peer: results.inC.map(figure),
    peerName: 'recvmmsg in C',
    unit,
    goal,
    note: `missing in all runs: ringtap ${missing('ours')}, C ${missing('inC')}`,
  });
}

/** What a daemon of ours puts on the wire for the same packets. */
async function wire(bench, size) {
  const count = 20_000;
  const sent = {};
  for (const datagramBytes of [0, 1472]) {
    const daemon = await serve({
      ...{ host: '127.0.0.1', port: 0, nullAuth: true, datagramBytes },
      sources: { made: `synth:?count=${count}&sizes=${size}&rate=100000` },
    });
    const counted = await datagramsOf(daemon.port, count, size).finally(() => daemon.close());
    sent[datagramBytes === 0 ? 'messages' : 'udpstr'] = counted;
  }
  const { messages, udpstr } = sent;
  const ratio = udpstr.packets / messages.packets;
  bench.add({
    what: `remote: packets on a wire of 1500 B for ${count} of ${size} B`,
    figures: {
      udpstr: `${udpstr.packets} packets, ${udpstr.bytes} B, ${udpstr.fragments} fragments`,
      'a message each': `${messages.packets} packets, ${messages.bytes} B, ${messages.fragments} fragments`,
    },
    result: `${ratio.toFixed(3)} ×`,
    n: 1,
    goal: size === 64 ? { most: 0.34 } : undefined,
    pass: size === 64 ? ratio <= 0.34 : undefined,
    runs: sent,
  });
}

const MTU = 1500;
const ETHERNET_BYTES = 14;
const IP_BYTES = 20;
const UDP_BYTES = 8;
/** Of each datagram, and of each packet in it. */
const DATAGRAM_BYTES = 8;
const PACKET_BYTES = 20;

/** How many datagrams a client gets, and what IP packets and bytes on Ethernet they are: { packets, bytes, fragments }. */
async function datagramsOf(port, count, size) {
  const client = await open(`rpcap://127.0.0.1:${port}/made`, { transport: 'udp' });
  let seen = 0;
  for await (const { length } of client) {
    seen += length;
    if (seen === count) break;
  }
  const { details, dropped } = client.stats();
  await client.close();
  if (seen !== count || dropped > 0) throw new Error(`${seen} of ${count} packets came, ${dropped} were lost`);
  const { datagrams } = details;
  const payload = datagrams * DATAGRAM_BYTES + count * (PACKET_BYTES + size);
  // Only a message is ever longer than what fits: a datagram of udpstr has 1472 bytes at most.
  const each = datagrams === count ? Math.ceil((UDP_BYTES + payload / count) / (MTU - IP_BYTES)) : 1;
  const packets = datagrams * each;
  const bytes = payload + datagrams * UDP_BYTES + packets * (IP_BYTES + ETHERNET_BYTES);
  return { packets, bytes, fragments: each > 1 ? packets : 0 };
}

/** A thousand daemons connected, a hundred of which send 100,000 packets a second in all. */
async function crowd(bench) {
  const daemons = 1000;
  const active = 100;
  const perSecond = 100_000;
  const inDatagram = 5;
  const seconds = 5;
  const reading = new Pinned(READER_CORE, reader('listen', PORT, daemons));
  await reading.ready;
  const connected = reading.result();
  const sockets = [];
  const ports = [];
  for (let i = 0; i < daemons; i++) {
    const socket = connect(PORT, '127.0.0.1');
    sockets.push(socket);
    const port = answer(socket);
    // One after the other: all of them come from one address, of which 64 may be on their way.
    ports.push(await port);
  }
  await connected;
  const udp = createSocket('udp4');
  reading.tell('now');
  const begun = performance.now();
  const datagrams = (perSecond * seconds) / inDatagram;
  for (let sent = 0; sent < datagrams; ) {
    const due = Math.min(datagrams, ((performance.now() - begun) / 1000) * (perSecond / inDatagram));
    for (; sent < due; sent++)
      udp.send(stretch(Math.floor(sent / active), inDatagram), ports[sent % active], '127.0.0.1');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  await new Promise((resolve) => setTimeout(resolve, 500));
  const { packets, missing, rssKiB, user, system } = await reading.ask('enough');
  udp.close();
  for (const socket of sockets) socket.destroy();
  await reading.end();
  const all = datagrams * inDatagram;
  const lost = missing + Math.max(0, all - packets - missing);
  bench.add({
    what: `remote: listen(), ${daemons} daemons connected, ${active} of which send ${perSecond / 1000} kpps in all`,
    figures: {
      memory: `${Math.round(rssKiB / 1024)} MiB`,
      CPU: `${(((user + system) * 1000) / packets).toFixed(0)} ns a packet`,
    },
    result: `${lost} of ${all} packets lost`,
    n: 1,
    goal: { most: 300 },
    pass: lost === 0 && rssKiB * 1024 <= 300e6,
    note: 'the goal is 300 MB, and none lost',
    runs: { packets, missing, rssKiB },
  });
}

/** The number-th datagram of udpstr from a daemon, full of packets of 256 bytes. */
function stretch(number, count) {
  const size = 256;
  const bytes = Buffer.alloc(DATAGRAM_BYTES + count * (PACKET_BYTES + size));
  bytes.writeUInt32BE((110 << 16) | DATAGRAM_BYTES, 0);
  bytes.writeUInt32BE(number, 4);
  for (let i = 0, at = DATAGRAM_BYTES; i < count; i++, at += PACKET_BYTES + size) {
    for (const [k, field] of [1_700_000_000, 0, size, size, number * count + i + 1].entries())
      bytes.writeUInt32BE(field, at + 4 * k);
  }
  return bytes;
}
