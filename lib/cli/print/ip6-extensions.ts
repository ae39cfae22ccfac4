// The headers between IPv6 and what it carries. Each prints itself and answers its length.
import { ipv6Address } from './address.js';
import type { Frame } from './frame.js';

const JUMBO = 0xc2;
/** Below it a payload is not jumbo: the header's own field holds it (RFC 2675). */
const JUMBO_MIN = 65536;
/** Option type → its length in bytes, type and length included; the length of a home address is the least. */
const OPTION_BYTES: Readonly<Record<number, { readonly name: string; readonly bytes: number; readonly least?: true }>> =
  {
    1: { name: 'padn', bytes: 2, least: true },
    5: { name: 'rtalert', bytes: 4 },
    194: { name: 'jumbo', bytes: 6 },
    201: { name: 'homeaddr', bytes: 18, least: true },
  };

/** How long an extension header is that counts in units of 8 bytes after the first. */
function lengthOf(frame: Frame, at: number): number {
  const length = (frame.u8(at + 1) + 1) * 8;
  frame.need(at, length);
  return length;
}

export interface HopByHop {
  /** undefined where an option does not fit: nothing that follows can be trusted. */
  readonly length: number | undefined;
  /** The payload length that a jumbo option gives; 0 where there is none. */
  readonly jumbo: number;
}

/** @param payloadLength that of the IPv6 header; only where it is 0 a jumbo option counts */
export function hopByHop(frame: Frame, at: number, payloadLength: number): HopByHop {
  frame.protocol = 'hbhopt';
  const length = lengthOf(frame, at);
  frame.text += 'HBH ';
  let jumbo = 0;
  let isFirst = true;
  for (let i = 2; i < length; ) {
    const type = frame.u8(at + i);
    const bytes = type === 0 ? 1 : i + 1 < length ? frame.u8(at + i + 1) + 2 : length;
    if (i + bytes > length) return trunc(frame);
    const known = OPTION_BYTES[type];
    if (known !== undefined && (known.least ? bytes < known.bytes : bytes !== known.bytes)) {
      const isCut = length - i < known.bytes;
      frame.text += isCut ? `(${known.name}: trunc)` : `(${known.name}: invalid len ${bytes - 2})`;
      return trunc(frame);
    }
    if (type === JUMBO && isFirst) {
      isFirst = false;
      const bytesAfter = frame.u32(at + i + 2);
      if (payloadLength === 0 && bytesAfter >= JUMBO_MIN) jumbo = bytesAfter;
    }
    i += bytes;
  }
  return { length, jumbo };
}

function trunc(frame: Frame): HopByHop {
  frame.text += ' [|hbhopt]';
  return { length: undefined, jumbo: 0 };
}

export function destinationOptions(frame: Frame, at: number): number {
  frame.protocol = 'dstopt';
  const length = lengthOf(frame, at);
  frame.text += 'DSTOPT ';
  return length;
}

/** @returns undefined where the line ends with it */
export function routing(frame: Frame, at: number): number | undefined {
  frame.need(at, 1);
  frame.protocol = 'rt6';
  frame.text += 'RT6';
  const units = frame.u8(at + 1);
  frame.text += ` (len=${units}`;
  const type = frame.u8(at + 2);
  frame.text += `, type=${type}${type === 0 ? ' [Deprecated]' : ''}`;
  frame.text += `, segleft=${frame.u8(at + 3)}`;
  if (type === 4) {
    frame.text += `, last-entry=${frame.u8(at + 4)}`;
    const flags = frame.u8(at + 5);
    if (flags !== 0) frame.text += `, flags=0x${flags.toString(16)}`;
    frame.text += `, tag=${frame.u16(at + 6).toString(16)}`;
  } else if (type === 0 || type === 2) {
    const reserved = frame.u32(at + 4);
    if (reserved !== 0) frame.text += `, rsv=0x${reserved.toString(16)}`;
  } else {
    frame.text += ' (unknown type) (invalid)';
    return undefined;
  }
  if (units % 2 === 1) {
    frame.text += ` (invalid length ${units}) (invalid)`;
    return undefined;
  }
  for (let i = 0; i < units / 2; i++) frame.text += `, [${i}]${ipv6Address(frame, at + 8 + 16 * i)}`;
  frame.text += ') ';
  return (units + 1) * 8;
}
