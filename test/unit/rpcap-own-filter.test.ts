// The filter that a capture's own connections do not pass: over either version of IP, tagged or not, whole or in fragments.
import { open } from 'ringtap';
import { expect, test } from 'vitest';
import { withoutOwn } from '../../lib/rpcap/own-traffic.js';
import { temporaryFolder } from '../support/folder.js';
import { readAll } from '../support/packets.js';
import { ethernet, ipv4, ipv6, tcp, udp, writePcap } from '../support/trace.js';

const path = temporaryFolder();
const TAGS: readonly (readonly number[])[] = [[], [7], [7, 8]];
const frame = (tags: readonly number[], type: number, payload: Uint8Array) =>
  ethernet(
    type,
    payload,
    tags.map((tag) => [0x8100, tag] as const),
  );
/** As ipv6() takes it. */
const digits = (address: string) => `fd00${address.slice(-1).padStart(28, '0')}`;

const WORLDS = [
  {
    name: 'IPv4',
    type: 0x0800,
    local: '10.0.0.1',
    peer: '10.0.0.2',
    other: '10.0.0.3',
    ip: (protocol: number, source: string, destination: string, payload: Uint8Array) =>
      ipv4({ protocol, source, destination }, payload),
  },
  {
    name: 'IPv6',
    type: 0x86dd,
    local: 'fd00::1',
    peer: 'fd00::2',
    other: 'fd00::3',
    ip: (next: number, source: string, destination: string, payload: Uint8Array) =>
      ipv6({ next, source: digits(source), destination: digits(destination) }, payload),
  },
];

test.each(WORLDS)('over $name, with up to two tags', async ({ type, local, peer, other, ip }) => {
  const stream = (source: number, destination: number) => tcp({ source, destination }, Buffer.alloc(8));
  const control = (from: string, to: string) =>
    ip(6, from, to, from === local ? stream(40000, 2002) : stream(2002, 40000));
  const own = [
    control(local, peer),
    control(peer, local),
    ip(17, peer, local, udp(41000, 42000, Buffer.alloc(8))),
    // A fragment behind the first one.
    ...(type === 0x0800
      ? [later(ip(17, peer, local, Buffer.alloc(16)))]
      : [ip(44, peer, local, Buffer.from('1100000900000001', 'hex'))]),
  ];
  const others = [
    ip(6, local, other, stream(40000, 2002)),
    ip(6, local, peer, stream(40001, 2002)),
    ip(17, peer, local, udp(41000, 42001, Buffer.alloc(8))),
    ip(17, other, local, udp(41000, 42000, Buffer.alloc(8))),
  ];
  const file = path(`${type}.pcap`);
  const filter = withoutOwn({ local, peer, ports: [40000, 2002] }, { port: 42000, datagrams: true }, true);
  for (const tags of TAGS) {
    writePcap(
      file,
      [...own, ...others].map((packet) => ({ data: frame(tags, type, packet) })),
      1,
    );
    await using capture = await open(`file:${file}`, { filter });
    const seen = await readAll(capture);
    expect(seen.map(({ data }) => data.toString('hex'))).toEqual(
      others.map((packet) => frame(tags, type, packet).toString('hex')),
    );
  }
});

/** At offset 64, as the kernel cuts it. */
function later(packet: Buffer): Buffer {
  packet.writeUInt16BE(8, 6);
  return packet;
}
