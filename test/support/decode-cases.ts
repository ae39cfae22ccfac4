// Frames for decoding: every stack of tags, IP headers and transports that a column tells of.
import { arp } from './mixture.js';
import { bytes, ethernet, type Ipv6Fields, ipv4, ipv6, tcp, u16, u32, udp } from './trace.js';

const TAGS = [
  [],
  [[0x8100, 0xa005]],
  [
    [0x88a8, 100],
    [0x8100, 0x7005],
  ],
  [
    [0x8100, 1],
    [0x8100, 2],
    [0x9100, 3],
  ],
] as const;

interface Carried {
  readonly protocol: number;
  readonly data: Buffer;
}

const segment = { sequence: 0x80000001, acknowledged: 0xfffffff0, window: 513 };
const TRANSPORTS: readonly Carried[] = [
  { protocol: 17, data: udp(40000, 40001, Buffer.alloc(22, 7)) },
  { protocol: 17, data: udp(40002, 40003, Buffer.alloc(0)) },
  {
    protocol: 6,
    data: tcp({ ...segment, flags: 0x18, options: bytes('0101080a0000000100000002') }, Buffer.alloc(9, 7)),
  },
  { protocol: 6, data: tcp({ source: 50001, flags: 0x12 }) },
  { protocol: 132, data: bytes(u16(40004), u16(40005), u32(1), u32(0), 0, 3, u16(16), u32(1), u32(2), u32(3)) },
  { protocol: 33, data: bytes(u16(40006), u16(40007), 4, 0, u16(0), u32(0), u32(0)) },
  { protocol: 136, data: udp(40008, 40009, Buffer.alloc(6, 7)) },
  { protocol: 253, data: Buffer.alloc(20, 7) },
];

const PADDING = '010400000000'; // the rest of an extension header of 8 bytes
const fragmentHeader = (next: number, offset: number, data: Buffer) => bytes(next, 0, u16(offset), u32(99), data);
const authentication = (next: number, data: Buffer) => bytes(next, 4, u16(0), u32(1), u32(1), '00'.repeat(12), data);

function overIpv4({ protocol, data }: Carried): Buffer[] {
  return [
    ipv4({ protocol }, data),
    ipv4({ protocol, options: bytes('01010100') }, data),
    ipv4({ protocol, fragment: 0x2000, source: '192.0.2.200' }, data),
    ipv4({ protocol, fragment: 0x20b9 }, data),
    ipv4({ protocol, fragment: 0x1fff }, data),
  ];
}

function overIpv6({ protocol, data }: Carried): Buffer[] {
  const six = (next: number, payload: Buffer, fields: Partial<Ipv6Fields> = {}) => ipv6({ next, ...fields }, payload);
  return [
    six(protocol, data),
    six(protocol, data, { source: '20010db8000000000001000000000001', destination: `${'0'.repeat(31)}1` }),
    six(0, bytes(protocol, 0, PADDING, data)),
    six(0, bytes(60, 0, PADDING, 43, 0, PADDING, 51, 0, 0, 0, u32(0), authentication(protocol, data))),
    six(44, fragmentHeader(protocol, 0, data)),
    six(44, fragmentHeader(protocol, 1, data)),
    six(44, fragmentHeader(protocol, 0x5a9, data)),
    six(0, bytes(44, 0, PADDING, fragmentHeader(protocol, 0x5a8, data))),
  ];
}

/** Whole and sound frames. */
export function decodeCases(): Buffer[] {
  const frames = TAGS.flatMap((tags) =>
    TRANSPORTS.flatMap((carried) => [
      ...overIpv4(carried).map((packet) => ethernet(0x0800, packet, tags)),
      ...overIpv6(carried).map((packet) => ethernet(0x86dd, packet, tags)),
    ]),
  );
  const padded = bytes(ethernet(0x0800, ipv4({ protocol: 6 }, tcp({ flags: 16 }))), Buffer.alloc(6, 7));
  const unknown = ethernet(0x88b5, Buffer.alloc(46, 7), [[0x8100, 5]]);
  return [...frames, padded, unknown, arp];
}
