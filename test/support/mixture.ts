// Frames of many kinds, tagged and not.
import { bytes, ethernet, ipv4, MAC, tcp, u16, udp } from './trace.js';

export const arp: Buffer = ethernet(
  0x0806,
  bytes(u16(1), u16(0x0800), 6, 4, u16(1), MAC.a, '0a000001', '000000000000', '0a000002', '00'.repeat(18)),
);

export function mixture(): Buffer[] {
  const frames: Buffer[] = [];
  for (const tags of [
    [],
    [[0x8100, 5]],
    [[0x8100, 6]],
    [[0x8100, 0xa005]],
    [
      [0x88a8, 100],
      [0x8100, 5],
    ],
    [
      [0x8100, 100],
      [0x8100, 5],
    ],
  ] as const) {
    for (const port of [7, 53]) {
      for (const length of [18, 90])
        frames.push(ethernet(0x0800, ipv4({ protocol: 17 }, udp(port, 40001, Buffer.alloc(length, port))), tags));
      frames.push(ethernet(0x0800, ipv4({ protocol: 6 }, tcp({ source: port }, Buffer.alloc(6))), tags));
    }
  }
  frames.push(arp);
  return frames;
}
