// Addresses in a packet's bytes, where they are no columns.
import { ipv4Text, ipv6Text, macText } from '../../decode/index.js';
import type { Line } from './line.js';

export function hex(line: Line, at: number, bytes: number): string {
  line.need(at, bytes);
  return Buffer.from(line.bytes.subarray(at, at + bytes)).toString('hex');
}

export function mac(line: Line, at: number, bytes = 6): string {
  line.need(at, bytes);
  return macText(line.bytes, at, bytes);
}

export function ipv4Address(line: Line, at: number): string {
  return ipv4Text(line.u32(at));
}

export function ipv6Address(line: Line, at: number): string {
  line.need(at, 16);
  return ipv6Text(line.bytes, at);
}
