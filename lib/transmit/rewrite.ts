import { isIP, isIPv6 } from 'node:net';
import { show } from '../errors/printable.js';
import type { NativeEdits } from '../native/native.js';

/** What to change in frames before they are sent. Checksums follow. What a frame does not have is left alone. */
export interface Rewrite {
  /** The source MAC address, such as `02:00:00:00:00:01`. */
  readonly srcMac?: string | undefined;
  /** The destination MAC address. */
  readonly dstMac?: string | undefined;
  /** A VLAN tag more, with this number from 0 to 4095, in front of what there is. */
  readonly vlanPush?: number | undefined;
  /** The number of the outermost VLAN tag, from 0 to 4095, of frames that have one. */
  readonly vlanSet?: number | undefined;
  /** Whether the outermost VLAN tag goes. */
  readonly vlanPop?: boolean | undefined;
  /**
   * Sources and destinations: addresses of one network become those of another one, the rest of their bits kept, such as
   * `{ '10.0.0.0/8': '192.168.0.0/16', '2001:db8::1': 'fd00::1' }`. The first that fits.
   */
  readonly addresses?: Readonly<Record<string, string>> | undefined;
  /** The source port of TCP and UDP, a number from 0 to 65535. */
  readonly srcPort?: number | undefined;
  /** The destination port of TCP and UDP, a number from 0 to 65535. */
  readonly dstPort?: number | undefined;
  /**
   * The time to live, or hop limit: a number from 0 to 255, or `'decrement'`: one less, as a router has it. A packet whose
   * time is over then is not sent.
   */
  readonly ttl?: number | 'decrement' | undefined;
  /** The differentiated services code point, a number from 0 to 63. */
  readonly dscp?: number | undefined;
}

const NAMES = ['srcMac', 'dstMac', 'vlanPush', 'vlanSet', 'vlanPop', 'addresses', 'srcPort', 'dstPort', 'ttl', 'dscp'];

/** What is wrong with a value, to be thrown by whoever knows where. */
export class RewriteFault extends Error {}

/** As the addon takes it. @throws RewriteFault */
export function editsOf(given: unknown): NativeEdits | undefined {
  if (given === undefined) return undefined;
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new RewriteFault(`must be an object { ${NAMES.join(', ')} }, not ${show(given)}`);
  }
  const own: Record<string, unknown> = Object.assign(Object.create(null), given);
  const unknown = Object.keys(own).find((name) => !NAMES.includes(name));
  if (unknown !== undefined) throw new RewriteFault(`has no "${unknown}": there are ${NAMES.join(', ')}`);
  const tags = ['vlanPush', 'vlanSet', 'vlanPop'].filter((name) => own[name] !== undefined && own[name] !== false);
  if (tags.length > 1) throw new RewriteFault(`has ${tags.join(' and ')}: one of them`);
  if (own.vlanPop !== undefined && typeof own.vlanPop !== 'boolean') {
    throw new RewriteFault(`vlanPop must be true or false, not ${show(own.vlanPop)}`);
  }
  const push = whole(own, 'vlanPush', 4095);
  const set = whole(own, 'vlanSet', 4095);
  return {
    srcMac: mac(own, 'srcMac'),
    dstMac: mac(own, 'dstMac'),
    vlan: push !== undefined ? 'push' : set !== undefined ? 'set' : own.vlanPop === true ? 'pop' : undefined,
    vlanTci: push ?? set,
    addresses: mappings(own.addresses),
    srcPort: whole(own, 'srcPort', 65535),
    dstPort: whole(own, 'dstPort', 65535),
    ttl: own.ttl === 'decrement' ? undefined : whole(own, 'ttl', 255, ", or 'decrement'"),
    decrementTtl: own.ttl === 'decrement',
    dscp: whole(own, 'dscp', 63),
  };
}

function whole(own: Record<string, unknown>, name: string, most: number, or = ''): number | undefined {
  const value = own[name];
  if (value === undefined) return undefined;
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most) return value;
  throw new RewriteFault(`${name} must be a whole number from 0 to ${most}${or}, not ${show(value)}`);
}

function mac(own: Record<string, unknown>, name: string): Uint8Array | undefined {
  const value = own[name];
  if (value === undefined) return undefined;
  const bytes = typeof value === 'string' ? macBytes(value) : undefined;
  if (bytes !== undefined) return bytes;
  throw new RewriteFault(`${name} must be a MAC address such as 02:00:00:00:00:01, not ${show(value)}`);
}

function mappings(value: unknown): Uint8Array[] {
  if (value === undefined) return [];
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new RewriteFault(`addresses must be an object { '10.0.0.0/8': '192.168.0.0/16' }, not ${show(value)}`);
  }
  return Object.entries(value).flatMap(([from, to]) => {
    const networks = [networkBytes(from), typeof to === 'string' ? networkBytes(to) : undefined];
    const [first, second] = networks;
    if (first !== undefined && second !== undefined && first.length === second.length) return [first, second];
    throw new RewriteFault(`addresses: ${show(from)} → ${show(to)} are not two networks or addresses of one family`);
  });
}

/** Its 6 bytes; undefined where it is none. */
export function macBytes(text: string): Uint8Array | undefined {
  if (!/^[0-9a-f]{1,2}(?:[:-][0-9a-f]{1,2}){5}$/i.test(text)) return undefined;
  return Uint8Array.from(text.split(/[:-]/), (byte) => Number.parseInt(byte, 16));
}

/** An address and the number of its bits that count; undefined where it is none. */
export function networkBytes(text: string): Uint8Array | undefined {
  const [address = '', bits, ...more] = text.split('/');
  const version = isIP(address);
  const most = version === 6 ? 128 : 32;
  if (version === 0 || more.length > 0 || address.includes('%')) return undefined;
  if (bits !== undefined && (!/^\d{1,3}$/.test(bits) || Number(bits) > most)) return undefined;
  const bytes = isIPv6(address) ? bytes6(address) : address.split('.').map(Number);
  return Uint8Array.from([...bytes, bits === undefined ? most : Number(bits)]);
}

function bytes6(address: string): number[] {
  // A dotted end is two words.
  const text = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a, b, c, d] = bytes.map(Number) as [number, number, number, number];
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
  });
  const [front = '', back] = text.split('::');
  const words = (part: string) => (part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16)));
  const [first, last] = [words(front), words(back ?? '')];
  const all = back === undefined ? first : [...first, ...Array(8 - first.length - last.length).fill(0), ...last];
  return all.flatMap((word) => [word >> 8, word & 0xff]);
}
