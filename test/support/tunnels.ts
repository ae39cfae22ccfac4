// Packets in tunnels, made by hand.
import { bytes, ethernet, ipv4, ipv6, tcp, u16, u32, udp } from './trace.js';

/** A frame that no tunnel is around. */
export const inside = (port = 53, length = 20): Buffer =>
  ethernet(0x0800, ipv4({ protocol: 17, source: '192.168.7.1' }, udp(5353, port, Buffer.alloc(length, 7))));
/** The same without the frame. */
export const insideIp = (port = 443): Buffer =>
  ipv6({ next: 6 }, tcp({ source: 50000, destination: port }, Buffer.alloc(12, 9)));

const carried = (port: number, payload: Uint8Array, source = '10.9.0.1') =>
  ethernet(0x0800, ipv4({ protocol: 17, source }, udp(49152, port, payload)));
const gre = (payload: Uint8Array, source = '10.9.0.2') => ethernet(0x0800, ipv4({ protocol: 47, source }, payload));

export const vxlanHeader = (vni: number) => bytes('08000000', u32(vni << 8));
export const geneveHeader = (vni: number, type = 0x6558) =>
  bytes('02', '00', u16(type), u32(vni << 8), '0108 0101 00000007');
export const tzspHeader = (length: number) => bytes('01 00 0001 00 0a01c8 0d0400000005 2902', u16(length), '01');
export const erspan2Header = (session: number) => bytes('1000 88be 00000001 1000', u16(session), '00000000');
export const erspan3Header = (session: number) => bytes('1000 22eb 00000001 2000', u16(session), '00000010 0000 0002');

export const vxlan = (vni: number, frame: Uint8Array, source?: string) =>
  carried(4789, bytes(vxlanHeader(vni), frame), source);
export const geneve = (vni: number, frame: Uint8Array) => carried(6081, bytes(geneveHeader(vni), frame));
export const tzsp = (frame: Uint8Array, length = frame.length) => carried(37008, bytes(tzspHeader(length), frame));
export const gretap = (key: number, frame: Uint8Array) => gre(bytes('2000 6558', u32(key), frame));
export const greIp = (packet: Uint8Array) => gre(bytes('0000', u16(packet[0]! >> 4 === 6 ? 0x86dd : 0x0800), packet));
export const erspan1 = (frame: Uint8Array) => gre(bytes('0000 88be', frame));
export const erspan2 = (session: number, frame: Uint8Array) => gre(bytes(erspan2Header(session), frame));
export const erspan3 = (session: number, frame: Uint8Array) => gre(bytes(erspan3Header(session), frame));
export const gtp = (teid: number, packet: Uint8Array) =>
  carried(2152, bytes('30ff', u16(packet.length), u32(teid), packet));
export const mpls = (label: number, packet: Uint8Array) =>
  ethernet(0x8847, bytes(u32((99 << 12) | 64), u32(((label << 12) | 0x140) >>> 0), packet));
