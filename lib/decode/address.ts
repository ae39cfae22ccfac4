// Addresses as text: what costs is done when it is called for.

const OCTETS = Array.from({ length: 256 }, (_, byte) => String(byte));
const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/**
 * An IPv4 address with dots.
 * @param address as `src4` and `dst4` hold it: 0x0a000001 is 10.0.0.1
 */
export function ipv4Text(address: number): string {
  const [a, b] = [OCTETS[address >>> 24]!, OCTETS[(address >>> 16) & 255]!];
  return `${a}.${b}.${OCTETS[(address >>> 8) & 255]!}.${OCTETS[address & 255]!}`;
}

/**
 * An IPv6 address in the form of RFC 5952, as inet_ntop(3) writes it: the longest run of zeros is "::", and an IPv4 address
 * after zeros keeps its dots.
 * @param bytes the memory that it lies in @param at where its 16 bytes begin
 */
export function ipv6Text(bytes: Uint8Array, at = 0): string {
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
 * @param bytes the memory that it lies in, such as `batch.bytes` @param at where it begins @param length in bytes
 */
export function macText(bytes: Uint8Array, at = 0, length = 6): string {
  let text = '';
  for (let i = 0; i < length; i++) text += (i === 0 ? '' : ':') + HEX[bytes[at + i]!]!;
  return text;
}
