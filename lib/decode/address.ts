// Addresses as text: what costs is done when it is called for.

import { types } from 'node:util';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';

const OCTETS = Array.from({ length: 256 }, (_, byte) => String(byte));
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/**
 * An IPv4 address with dots.
 * @param address a number as `src4` and `dst4` hold it: 0x0a000001 is 10.0.0.1
 * @throws CaptureError RINGTAP_BAD_OPTION when it is no whole number from 0 to 2^32 - 1
 * @example
 * console.log(ipv4Text(0x0a000001)); // 10.0.0.1
 */
export function ipv4Text(address: number): string {
  if (typeof address !== 'number' || address >>> 0 !== address) {
    throw bad(`ipv4Text() takes a whole number from 0 to 0xffffffff, not ${show(address)}`);
  }
  const [a, b] = [OCTETS[address >>> 24]!, OCTETS[(address >>> 16) & 255]!];
  return `${a}.${b}.${OCTETS[(address >>> 8) & 255]!}.${OCTETS[address & 255]!}`;
}

/**
 * An IPv6 address in the form of RFC 5952, as inet_ntop(3) writes it: the longest run of zeros is "::", and an IPv4 address
 * after zeros keeps its dots.
 * @param bytes the memory that it lies in
 * @param at offset of its 16 bytes
 * @throws CaptureError RINGTAP_BAD_OPTION when they do not lie there
 * @example
 * const { src6, ipVersion } = decode(batch);
 * for (let i = 0; i < batch.length; i++) if (ipVersion[i] === 6) console.log(ipv6Text(src6, 16 * i));
 * console.log(ipv6Text(new Uint8Array(16))); // ::
 */
export function ipv6Text(bytes: Uint8Array, at = 0): string {
  refuseOutside('ipv6Text', bytes, at, 16);
  const group = (i: number) => (bytes[at + 2 * i]! << 8) | bytes[at + 2 * i + 1]!;
  let best = 0;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && group(i + length) === 0) length++;
    if (length > bestLength) {
      best = i;
      bestLength = length;
    }
    i += length;
  }
  if (bestLength < 2) return Array.from({ length: 8 }, (_, i) => group(i).toString(16)).join(':');
  const isMapped = bestLength === 5 && group(5) === 0xffff;
  if (best === 0 && (bestLength === 6 || isMapped)) {
    return `::${isMapped ? 'ffff:' : ''}${ipv4Text(((group(6) << 16) | group(7)) >>> 0)}`;
  }
  let text = '';
  for (let i = 0; i < best; i++) text += (i === 0 ? '' : ':') + group(i).toString(16);
  text += '::';
  for (let i = best + bestLength; i < 8; i++) text += group(i).toString(16) + (i === 7 ? '' : ':');
  return text;
}

/**
 * A hardware address, with colons.
 * @param bytes the memory that it lies in, such as `batch.bytes`
 * @param at offset of its first byte
 * @param length in bytes
 * @throws CaptureError RINGTAP_BAD_OPTION when it does not lie there
 * @example
 * console.log(macText(batch.bytes, batch.offset[0]!)); // the destination, of Ethernet
 */
export function macText(bytes: Uint8Array, at = 0, length = 6): string {
  refuseOutside('macText', bytes, at, length);
  let text = '';
  for (let i = 0; i < length; i++) text += (i === 0 ? '' : ':') + HEX[bytes[at + i]!]!;
  return text;
}

function refuseOutside(method: string, bytes: Uint8Array, at: number, length: number): void {
  if (!types.isUint8Array(bytes)) throw bad(`${method}() takes a Uint8Array, not ${show(bytes)}`);
  if (Number.isInteger(at) && at >= 0 && Number.isInteger(length) && length >= 0 && at + length <= bytes.length) return;
  throw bad(`${method}(): ${show(length)} bytes at ${show(at)} are outside the ${bytes.length} that were given`);
}

function bad(message: string): CaptureError {
  return new CaptureError('RINGTAP_BAD_OPTION', message);
}
