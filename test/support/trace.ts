// Packets and trace files made by hand, for tests that need to know every byte.
import { writeFileSync } from 'node:fs';

export const LinkType = {
  bsdLoopback: 0,
  ethernet: 1,
  rawIp: 101,
  openBsdLoopback: 108,
  cooked: 113,
  rawIpv4: 228,
  rawIpv6: 229,
  cooked2: 276,
} as const;

/** Bytes of numbers (one byte each), hex strings (spaces are ignored) and other pieces. */
export function bytes(...pieces: (number | string | Uint8Array)[]): Buffer {
  return Buffer.concat(
    pieces.map((piece) => {
      if (typeof piece === 'number') return Buffer.from([piece]);
      return typeof piece === 'string' ? Buffer.from(piece.replace(/\s/g, ''), 'hex') : piece;
    }),
  );
}

export function u16(value: number): Buffer {
  return Buffer.from([(value >> 8) & 255, value & 255]);
}

export function u32(value: number): Buffer {
  const buffer = Buffer.alloc(4);
  buffer.writeUInt32BE(value >>> 0);
  return buffer;
}

export interface Ipv4Fields {
  protocol: number;
  source?: string;
  destination?: string;
  /** Flags and offset, as in the header. */
  fragment?: number;
  options?: Uint8Array;
  totalLength?: number;
}

const address4 = (text: string) => Buffer.from(text.split('.').map(Number));

export function ipv4(fields: Ipv4Fields, payload: Uint8Array): Buffer {
  const { protocol, source = '10.0.0.1', destination = '10.128.0.254', fragment = 0 } = fields;
  const options = fields.options ?? Buffer.alloc(0);
  const header = 20 + options.length;
  const total = fields.totalLength ?? header + payload.length;
  const words = bytes(0x40 | (header / 4), 0, u16(total), u16(7), u16(fragment), 64, protocol, u16(0));
  return bytes(words, address4(source), address4(destination), options, payload);
}

export interface Ipv6Fields {
  next: number;
  /** 32 hex digits. */
  source?: string;
  destination?: string;
  payloadLength?: number;
}

export function ipv6(fields: Ipv6Fields, payload: Uint8Array): Buffer {
  const { next, source = `fe80${'0'.repeat(27)}1`, destination = `ff02${'0'.repeat(27)}2` } = fields;
  return bytes('60000000', u16(fields.payloadLength ?? payload.length), next, 64, source, destination, payload);
}

export function udp(source: number, destination: number, payload: Uint8Array, length = 8 + payload.length): Buffer {
  return bytes(u16(source), u16(destination), u16(length), u16(0), payload);
}

export interface TcpFields {
  source?: number;
  destination?: number;
  sequence?: number;
  acknowledged?: number;
  flags?: number;
  window?: number;
  urgent?: number;
  /** A multiple of 4 bytes. */
  options?: Uint8Array;
  headerLength?: number;
}

export function tcp(fields: TcpFields, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const { source = 40000, destination = 40001, sequence = 1, acknowledged = 0, flags = 2, window = 64240 } = fields;
  const options = fields.options ?? Buffer.alloc(0);
  const words = (fields.headerLength ?? 20 + options.length) / 4;
  const numbers = bytes(u16(source), u16(destination), u32(sequence), u32(acknowledged), words << 4, flags);
  return bytes(numbers, u16(window), u16(0), u16(fields.urgent ?? 0), options, payload);
}

export const MAC = { a: '020000000001', b: '020000000002' } as const;

export function ethernet(type: number, payload: Uint8Array, tags: readonly (readonly [number, number])[] = []): Buffer {
  return bytes(MAC.b, MAC.a, ...tags.flatMap(([tpid, tci]) => [u16(tpid), u16(tci)]), u16(type), payload);
}

export interface TracePacket {
  readonly data: Uint8Array;
  /** ns since 1970. */
  readonly time?: bigint;
  /** Bytes on the wire, where fewer were captured. */
  readonly wirelen?: number;
}

/** A pcap file with nanoseconds, of the given link type. */
export function pcapFile(packets: readonly TracePacket[], linkType: number = LinkType.ethernet): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b23c4d, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(262144, 16);
  header.writeUInt32LE(linkType, 20);
  const records = packets.flatMap(({ data, time = 1_700_000_000_123_456_789n, wirelen = data.length }) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(Number(time / 1_000_000_000n), 0);
    record.writeUInt32LE(Number(time % 1_000_000_000n), 4);
    record.writeUInt32LE(data.length, 8);
    record.writeUInt32LE(wirelen, 12);
    return [record, data];
  });
  return Buffer.concat([header, ...records]);
}

export interface PcapngInterface {
  /** The value of if_tsresol; 6, microseconds, where it is not given. */
  readonly resolution?: number;
  /** Seconds to add to every time. */
  readonly offset?: bigint;
}

/** A pcapng file of Ethernet packets; `ticks` of none makes a simple packet block, which has no time. */
export function pcapngFile(
  { resolution, offset }: PcapngInterface,
  packets: readonly { readonly data: Uint8Array; readonly ticks?: bigint }[],
): Buffer {
  const little = (...words: number[]) => Buffer.from(Uint32Array.from(words).buffer);
  const block = (type: number, body: Uint8Array) => {
    const padded = bytes(body, Buffer.alloc(-body.length & 3));
    return bytes(little(type, padded.length + 12), padded, little(padded.length + 12));
  };
  const long = Buffer.alloc(8);
  long.writeBigInt64LE(offset ?? 0n);
  const options = bytes(
    resolution === undefined ? '' : bytes(9, 0, 1, 0, resolution, 0, 0, 0),
    offset === undefined ? '' : bytes(14, 0, 8, 0, long),
  );
  return bytes(
    block(0x0a0d0d0a, little(0x1a2b3c4d, 1, 0xffffffff, 0xffffffff)),
    block(1, bytes(little(1, 262144), options)),
    ...packets.map(({ data, ticks }) =>
      ticks === undefined
        ? block(3, bytes(little(data.length), data))
        : block(6, bytes(little(0, Number(ticks >> 32n), Number(ticks & 0xffffffffn), data.length, data.length), data)),
    ),
  );
}

export function writePcap(path: string, packets: readonly TracePacket[], linkType?: number): void {
  writeFileSync(path, pcapFile(packets, linkType));
}

/** Every way to cut a packet short, as a snaplen would; from 1 byte to the whole. */
export function cuts(packet: Uint8Array): TracePacket[] {
  return Array.from({ length: packet.length }, (_, i) => ({ data: packet.subarray(0, i + 1), wirelen: packet.length }));
}
