// Traces of flows with what a meter must say of each, made from a seed: our own generator, so that every number is known.
import { ipv6Text } from 'ringtap/decode';
import type { FlowRecord } from 'ringtap/flow';
import { bytes, ethernet, ipv4, ipv6, type TracePacket, tcp, udp } from './trace.js';
import { geneve, greIp, gretap, vxlan } from './tunnels.js';

export interface Expected {
  readonly key: string;
  readonly packets: readonly [number, number];
  readonly ipBytes: readonly [number, number];
  readonly frameBytes: readonly [number, number];
  readonly vlans: readonly number[];
  /** Seconds since 1970 of its last packet. */
  readonly last: number;
  /** … and of its first one. */
  readonly first: number;
  /** All TCP flags of both ends, together. */
  readonly flags: number;
  /** How TCP was closed, where it was. */
  readonly closed: 'fin' | 'rst' | undefined;
}

/** Numbers from 0 to below 1, the same for the same seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const address6 = (value: number) => `20010db8${value.toString(16).padStart(24, '0')}`;

type Wrap = (packet: Buffer, isSix: boolean) => Buffer;

const plain: Wrap = (packet, isSix) => ethernet(isSix ? 0x86dd : 0x0800, packet);
const tagged =
  (...ids: number[]): Wrap =>
  (packet, isSix) =>
    ethernet(
      isSix ? 0x86dd : 0x0800,
      packet,
      ids.map((id, i) => [ids.length > 1 && i === 0 ? 0x88a8 : 0x8100, id] as const),
    );

/** How packets of a flow are carried, and what of that is in its record. */
const WAYS: readonly { readonly wrap: Wrap; readonly vlans: readonly number[]; readonly tunnel: string }[] = [
  { wrap: plain, vlans: [], tunnel: 'none 0' },
  { wrap: tagged(100), vlans: [100], tunnel: 'none 0' },
  { wrap: tagged(200, 100), vlans: [200, 100], tunnel: 'none 0' },
  { wrap: (packet, isSix) => vxlan(42, plain(packet, isSix)), vlans: [], tunnel: 'vxlan 42' },
  { wrap: (packet, isSix) => geneve(43, plain(packet, isSix)), vlans: [], tunnel: 'geneve 43' },
  { wrap: (packet, isSix) => gretap(44, plain(packet, isSix)), vlans: [], tunnel: 'gre 44' },
  { wrap: (packet) => greIp(packet), vlans: [], tunnel: 'gre 0' },
];

export interface Cases {
  readonly packets: TracePacket[];
  readonly expected: Expected[];
}

export interface CaseOptions {
  /** Without VLANs, tunnels, fragments and extension headers: what every meter knows. */
  readonly plain?: boolean;
}

interface Sent {
  readonly time: number;
  readonly data: Buffer;
}

/**
 * Flows of all kinds, interleaved by time: TCP closed by FIN or by RST or left open, UDP, IPv6 with and without extension
 * headers, in VLANs and tunnels, fragments.
 */
export function flowsOf(seed: number, count: number, options: CaseOptions = {}): Cases {
  const { plain = false } = options;

  const random = randomOf(seed);
  const below = (n: number) => Math.floor(random() * n);
  const sent: Sent[] = [];
  const expected: Expected[] = [];
  for (let flow = 0; flow < count; flow++) {
    const way = WAYS[plain ? 0 : below(WAYS.length)]!;
    const isSix = random() < 0.3;
    const isTcp = random() < 0.6;
    const [a, b] = isSix
      ? [address6(0x10000 + flow), address6(1 + below(9))]
      : [`10.${1 + (flow >> 16)}.${(flow >> 8) & 255}.${flow & 255}`, `192.168.7.${below(9)}`];
    const [clientPort, serverPort] = [1024 + below(60_000), isTcp ? 443 : 8053];
    const packets: [number, number] = [0, 0];
    const ipBytes: [number, number] = [0, 0];
    const frameBytes: [number, number] = [0, 0];
    let time = 1_700_000_000 + random() * 20;
    const extended = isSix && random() < 0.3 && !plain;
    const put = (side: 0 | 1, payload: Buffer, fragment = 0) => {
      const protocol = isTcp ? 6 : 17;
      const [source, destination] = side === 0 ? [a, b] : [b, a];
      const inside = extended ? bytes(protocol, '00 0104 00000000', payload) : payload;
      const packet = isSix
        ? ipv6({ next: extended ? 60 : protocol, source, destination }, inside)
        : ipv4({ protocol, source, destination, fragment }, inside);
      const data = way.wrap(packet, isSix);
      sent.push({ time, data });
      packets[side]++;
      ipBytes[side] += packet.length;
      frameBytes[side] += data.length;
      time += 0.001 + random() * 2;
    };
    const start = time;
    let allFlags = 0;
    let closed: Expected['closed'];
    if (isTcp) {
      const segment = (side: 0 | 1, flags: number, length = 0) => {
        const [source, destination] = side === 0 ? [clientPort, serverPort] : [serverPort, clientPort];
        allFlags |= flags;
        put(side, tcp({ source, destination, flags }, Buffer.alloc(length, 7)));
      };
      segment(0, 2);
      segment(1, 0x12);
      segment(0, 0x10);
      for (let i = below(8); i > 0; i--) segment(random() < 0.5 ? 0 : 1, 0x18, below(900));
      const end = below(3);
      if (end === 0) {
        segment(0, 0x11);
        segment(1, 0x11);
        segment(0, 0x10);
        closed = 'fin';
      } else if (end === 1) {
        segment(1, 0x14);
        closed = 'rst';
      }
    } else {
      const datagram = (side: 0 | 1, length: number) =>
        side === 0
          ? udp(clientPort, serverPort, Buffer.alloc(length))
          : udp(serverPort, clientPort, Buffer.alloc(length));
      for (let i = 1 + below(6); i > 0; i--) {
        if (!isSix && way.tunnel === 'none 0' && random() < 0.2 && !plain) {
          const whole = datagram(0, 64);
          put(0, whole.subarray(0, 40), 0x2000);
          put(0, whole.subarray(40), 5);
        } else {
          const side = packets[0] === 0 || random() < 0.5 ? 0 : 1;
          put(side, datagram(side, below(900)));
        }
      }
    }
    const address = (text: string) => (isSix ? ipv6Text(Buffer.from(text, 'hex')) : text);
    expected.push({
      key: `${isTcp ? 6 : 17} ${address(a)} ${clientPort} ${address(b)} ${serverPort} ${way.tunnel}`,
      packets,
      ipBytes,
      frameBytes,
      vlans: way.vlans,
      first: start,
      last: sent.at(-1)!.time,
      flags: allFlags,
      closed,
    });
  }
  sent.sort((x, y) => x.time - y.time);
  const packets = sent.map(({ time, data }) => ({ data, time: BigInt(Math.round(time * 1e6)) * 1000n }));
  return { packets, expected };
}

/** Where records are not what was sent, in words: every flow, each number of it. Of all flows one record, told whole. */
export function differences(expected: readonly Expected[], records: readonly FlowRecord[]): string[] {
  const found = new Map(records.map((record) => [keyOf(record), record] as const));
  const wrong = expected.flatMap((flow) => {
    const record = found.get(flow.key);
    if (record === undefined) return [`${flow.key} is missing`];
    const ours = [
      record.packets,
      record.ipBytes,
      record.frameBytes,
      record.vlans,
      record.tcpFlags[0] | record.tcpFlags[1],
      micros(record.start),
      micros(record.end),
    ];
    const { packets, ipBytes, frameBytes, vlans, flags } = flow;
    const theirs = [
      packets,
      ipBytes,
      frameBytes,
      vlans,
      flags,
      Math.round(flow.first * 1e6),
      Math.round(flow.last * 1e6),
    ];
    const [told, sent] = [JSON.stringify(ours), JSON.stringify(theirs)];
    return told === sent ? [] : [`${flow.key}: ${told}, not ${sent}`];
  });
  if (records.length !== expected.length) wrong.push(`${records.length} records of ${expected.length} flows`);
  return wrong;
}

const micros = (ns: bigint) => Number(ns / 1000n);

export function keyOf({ protocol, src, srcPort, dst, dstPort, tunnel }: FlowRecord): string {
  return `${protocol} ${src} ${srcPort} ${dst} ${dstPort} ${tunnel.kind} ${tunnel.id}`;
}
