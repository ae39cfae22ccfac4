import { isIP, isIPv4 } from 'node:net';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { faultIn } from '../uri/uri.js';

/** An address, and what it is called. */
export interface NamedAddress {
  /** IPv4 or IPv6, as text. */
  readonly address: string;
  /** At least one, each of 1 to 255 bytes. */
  readonly names: readonly string[];
}

export const BlockType = { names: 4, secrets: 10 } as const;
const RecordType = { end: 0, ipv4: 1, ipv6: 2 } as const;
const MOST_NAME_BYTES = 255;
const MOST_NAMES = 255;

// In this host's byte order.
const u16 = (value: number) => Buffer.from(new Uint16Array([value]).buffer);
const u32 = (value: number) => Buffer.from(new Uint32Array([value]).buffer);
const padded = (bytes: Uint8Array) => [bytes, Buffer.alloc(-bytes.length & 3)];

/** The body of a decryption secrets block. */
export function secretsBody(type: number, data: Uint8Array): Uint8Array {
  return Buffer.concat([u32(type), u32(data.length), ...padded(data)]);
}

/** The body of a name resolution block. */
export function namesBody(uri: string, given: unknown): Uint8Array {
  const bad = (what: string) =>
    new CaptureError('RINGTAP_BAD_OPTION', `${uri}: names() ${what}`, {
      uri,
      hint: "Write names([{ address: '192.0.2.1', names: ['www.example.net'] }]).",
    });
  let list: { address: unknown; names: unknown[] }[];
  try {
    if (!Array.isArray(given) || given.length === 0)
      throw bad(`takes a list of addresses with names, not ${show(given)}`);
    list = Array.from(given, ({ address, names }) => ({
      address,
      names: Array.isArray(names) ? Array.from(names) : [],
    }));
  } catch (error) {
    throw error instanceof CaptureError ? error : bad('takes a list of addresses with names');
  }
  const parts: Uint8Array[] = [];
  for (const { address, names } of list) {
    if (typeof address !== 'string' || isIP(address) === 0) throw bad(`takes IP addresses, not ${show(address)}`);
    const isNamed = (name: unknown) =>
      typeof name === 'string' &&
      name !== '' &&
      faultIn(name) === undefined &&
      Buffer.byteLength(name) <= MOST_NAME_BYTES;
    if (names.length < 1 || names.length > MOST_NAMES || !names.every(isNamed)) {
      throw bad(`takes 1 to ${MOST_NAMES} names of 1 to ${MOST_NAME_BYTES} bytes for each address`);
    }
    const value = Buffer.concat([bytesOf(address), ...names.map((name) => Buffer.from(`${name}\0`))]);
    parts.push(u16(isIPv4(address) ? RecordType.ipv4 : RecordType.ipv6), u16(value.length), ...padded(value));
  }
  return Buffer.concat([...parts, u16(RecordType.end), u16(0)]);
}

/** The bytes of an IP address, which is one. */
function bytesOf(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split('.').map(Number));
  const text = address.replace(/%.*$/, '');
  const tail = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
  const word = (high: string, low: string) => ((Number(high) << 8) | Number(low)).toString(16);
  const words = tail === null ? text : `${tail[1]}${word(tail[2]!, tail[3]!)}:${word(tail[4]!, tail[5]!)}`;
  const [front = '', back] = words.split('::');
  const split = (part: string) => (part === '' ? [] : part.split(':'));
  const behind = split(back ?? '');
  const before = split(front);
  const zeros = Array.from({ length: 8 - before.length - behind.length }, () => '0');
  const bytes = Buffer.alloc(16);
  for (const [i, part] of [...before, ...zeros, ...behind].entries())
    bytes.writeUInt16BE(Number.parseInt(part, 16), 2 * i);
  return bytes;
}
