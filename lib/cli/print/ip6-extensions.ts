// The headers between IPv6 and what it carries. Each prints itself and answers its length.
import { ipv6Address } from './address.js';
import type { Line } from './line.js';

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
function lengthOf(line: Line, at: number): number {
  const length = (line.u8(at + 1) + 1) * 8;
  line.need(at, length);
  return length;
}

export interface HopByHop {
  /** undefined where an option does not fit: nothing that follows can be trusted. */
  readonly length: number | undefined;
  /** The payload length that a jumbo option gives; 0 where there is none. */
  readonly jumbo: number;
}

/** @param payloadLength that of the IPv6 header; only where it is 0 a jumbo option counts */
export function hopByHop(line: Line, at: number, payloadLength: number): HopByHop {
  line.protocol = 'hbhopt';
  const length = lengthOf(line, at);
  line.text += 'HBH ';
  let jumbo = 0;
  let isFirst = true;
  for (let i = 2; i < length; ) {
    const type = line.u8(at + i);
    const bytes = type === 0 ? 1 : i + 1 < length ? line.u8(at + i + 1) + 2 : length;
    if (i + bytes > length) return trunc(line);
    const known = OPTION_BYTES[type];
    if (known !== undefined && (known.least ? bytes < known.bytes : bytes !== known.bytes)) {
      const isCut = length - i < known.bytes;
      line.text += isCut ? `(${known.name}: trunc)` : `(${known.name}: invalid len ${bytes - 2})`;
      return trunc(line);
    }
    if (type === JUMBO && isFirst) {
      isFirst = false;
      const bytesAfter = line.u32(at + i + 2);
      if (payloadLength === 0 && bytesAfter >= JUMBO_MIN) jumbo = bytesAfter;
    }
    i += bytes;
  }
  return { length, jumbo };
}

function trunc(line: Line): HopByHop {
  line.text += ' [|hbhopt]';
  return { length: undefined, jumbo: 0 };
}

export function destinationOptions(line: Line, at: number): number {
  line.protocol = 'dstopt';
  const length = lengthOf(line, at);
  line.text += 'DSTOPT ';
  return length;
}

/** @returns undefined where the line ends with it */
export function routing(line: Line, at: number): number | undefined {
  line.need(at, 1);
  line.protocol = 'rt6';
  line.text += 'RT6';
  const units = line.u8(at + 1);
  line.text += ` (len=${units}`;
  const type = line.u8(at + 2);
  line.text += `, type=${type}${type === 0 ? ' [Deprecated]' : ''}`;
  line.text += `, segleft=${line.u8(at + 3)}`;
  if (type === 4) {
    line.text += `, last-entry=${line.u8(at + 4)}`;
    const flags = line.u8(at + 5);
    if (flags !== 0) line.text += `, flags=0x${flags.toString(16)}`;
    line.text += `, tag=${line.u16(at + 6).toString(16)}`;
  } else if (type === 0 || type === 2) {
    const reserved = line.u32(at + 4);
    if (reserved !== 0) line.text += `, rsv=0x${reserved.toString(16)}`;
  } else {
    line.text += ' (unknown type) (invalid)';
    return undefined;
  }
  if (units % 2 === 1) {
    line.text += ` (invalid length ${units}) (invalid)`;
    return undefined;
  }
  for (let i = 0; i < units / 2; i++) line.text += `, [${i}]${ipv6Address(line, at + 8 + 16 * i)}`;
  line.text += ') ';
  return (units + 1) * 8;
}
