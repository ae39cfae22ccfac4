import type { Frame } from './frame.js';

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

export function hex(frame: Frame, at: number, bytes: number, separator = ''): string {
  frame.need(at, bytes);
  let text = '';
  for (let i = 0; i < bytes; i++) text += (i === 0 ? '' : separator) + HEX[frame.u8(at + i)]!;
  return text;
}

export function mac(frame: Frame, at: number, bytes = 6): string {
  return hex(frame, at, bytes, ':');
}

export function ipv4Address(frame: Frame, at: number): string {
  const address = frame.u32(at);
  return `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
}

/** The longest run of zeros is written "::"; an IPv4 address embedded after zeros keeps its dots. */
export function ipv6Address(frame: Frame, at: number): string {
  frame.need(at, 16);
  let best = 0;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && frame.u16(at + 2 * (i + length)) === 0) length++;
    if (length > bestLength) {
      best = i;
      bestLength = length;
    }
    i += length;
  }
  const group = (i: number) => frame.u16(at + 2 * i).toString(16);
  if (bestLength < 2) return Array.from({ length: 8 }, (_, i) => group(i)).join(':');
  const isMapped = bestLength === 5 && frame.u16(at + 10) === 0xffff;
  if (best === 0 && (bestLength === 6 || isMapped)) {
    return `::${isMapped ? 'ffff:' : ''}${ipv4Address(frame, at + 12)}`;
  }
  let text = '';
  for (let i = 0; i < best; i++) text += (i === 0 ? '' : ':') + group(i);
  text += '::';
  for (let i = best + bestLength; i < 8; i++) text += group(i) + (i === 7 ? '' : ':');
  return text;
}
