// Two-way flows of every kind that may come apart where packets are dealt out; each frame ends with its flow's number.

const hex = (...parts: (string | Buffer)[]) =>
  Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part.replaceAll(' ', ''), 'hex') : part)));
const u16 = (value: number) => Buffer.from([(value >> 8) & 255, value & 255]);
const u32 = (value: number) => Buffer.from([value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255]);

interface Ends {
  readonly a: Buffer;
  readonly b: Buffer;
  readonly aPort: number;
  readonly bPort: number;
}
const turned = ({ a, b, aPort, bPort }: Ends): Ends => ({ a: b, b: a, aPort: bPort, bPort: aPort });

const MACS = '020000000002 020000000001';
const ether = (type: string, payload: Buffer, tags = '') => hex(MACS, tags, type, payload);
const ip4 = (ends: Pick<Ends, 'a' | 'b'>, protocol: number, payload: Buffer, id = 0, fragment = 0) => {
  const head = hex('4500', u16(20 + payload.length), u16(id), u16(fragment), Buffer.from([64, protocol]), '0000');
  return hex(head, ends.a, ends.b, payload);
};
const ip6 = (ends: Pick<Ends, 'a' | 'b'>, next: number, payload: Buffer) =>
  hex('60000000', u16(payload.length), Buffer.from([next, 64]), ends.a, ends.b, payload);
const udp = ({ aPort, bPort }: Ends, payload: Buffer) =>
  hex(u16(aPort), u16(bPort), u16(8 + payload.length), '0000', payload);

export const KINDS = [
  'v4',
  'v6',
  'vlan',
  'qinq',
  'fragments',
  'fragments6',
  'error',
  'error6',
  'vxlan',
  'gre',
] as const;

/** Frames of `flows` flows, each of one kind in turn; a flow's own in their order. */
export function flowMix(flows: number, seed = 1): Buffer[] {
  let state = seed;
  const random = (below: number) => {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    return (state >>> 8) % below;
  };
  const frames: Buffer[] = [];
  for (let flow = 0; flow < flows; flow++) {
    const kind = KINDS[flow % KINDS.length]!;
    const is6 = kind === 'v6' || kind === 'qinq' || kind === 'fragments6' || kind === 'error6';
    const ports = { aPort: 20_000 + random(20_000), bPort: 53 };
    const ends: Ends = is6
      ? {
          a: hex('20010db8000000000000000000', u16(flow), '01'),
          b: hex('20010db80000000100000000000000', Buffer.from([1 + random(20)])),
          ...ports,
        }
      : { a: hex('0a01', u16(flow)), b: hex('c0a800', Buffer.from([1 + random(200)])), ...ports };
    const marked = hex(Buffer.alloc(30), u32(flow));
    const plain = (way: Ends, tags = '') =>
      is6 ? ether('86dd', ip6(way, 17, udp(way, marked)), tags) : ether('0800', ip4(way, 17, udp(way, marked)), tags);
    const both = (frame: (way: Ends) => Buffer) => frames.push(frame(ends), frame(turned(ends)), frame(ends));
    const tag = u16(1 + (flow & 1023)).toString('hex');
    switch (kind) {
      case 'vlan':
        both((way) => plain(way, `8100${tag}`));
        break;
      case 'qinq':
        both((way) => plain(way, `88a80064 8100${tag}`));
        break;
      case 'fragments':
      case 'fragments6':
        for (const way of [ends, turned(ends)]) {
          const id = random(60_000);
          const first = hex(udp(way, Buffer.alloc(788)).subarray(0, 796), u32(flow));
          const cut = hex(Buffer.alloc(60), u32(flow));
          if (kind === 'fragments') {
            frames.push(ether('0800', ip4(way, 17, first, id, 0x2000)), ether('0800', ip4(way, 17, cut, id, 100)));
          } else {
            const piece = (offset: number, bytes: Buffer) =>
              ether('86dd', ip6(way, 44, hex('1100', u16(offset), u32(id), bytes)));
            frames.push(piece(1, first), piece(800, cut));
          }
          frames.push(plain(way));
        }
        break;
      case 'error':
      case 'error6': {
        both(plain);
        const router = is6 ? hex('20010db8ffff', Buffer.alloc(9), '07') : hex('ac10', u16(random(60_000)));
        const quote = is6 ? ip6(ends, 17, udp(ends, marked)) : ip4(ends, 17, udp(ends, marked));
        const to = { a: router, b: ends.a };
        frames.push(
          is6
            ? ether('86dd', ip6(to, 58, hex('0300000000000000', quote)))
            : ether('0800', ip4(to, 1, hex('0b00000000000000', quote))),
        );
        break;
      }
      case 'vxlan': // with a source port for each direction, as real ends have
        both((way) => {
          const outer = { ...way, aPort: 49_152 + random(16_000), bPort: 4789 };
          return ether('0800', ip4(outer, 17, udp(outer, hex('0800000000000700', plain(ends)))));
        });
        break;
      case 'gre':
        both((way) => ether('0800', ip4(way, 47, hex('00000800', ip4(way, 17, udp(way, marked))))));
        break;
      default:
        both(plain);
    }
  }
  return frames.map((frame) =>
    frame.length >= 60 ? frame : hex(frame, Buffer.alloc(56 - frame.length), frame.subarray(-4)),
  );
}
