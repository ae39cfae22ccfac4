import { types } from 'node:util';
import type { Batch } from '../capture/batch.js';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { addon, Undecoded } from '../native/native.js';
import { Decoded, setLength } from './decoded.js';

/**
 * Reads the link, network and transport headers of a whole batch, lent or an owned copy, into columns of numbers: at the
 * speed of C, with one call a batch and no object a packet.
 *
 * Malformed packets are not errors: `decoded.flags` has a verdict for each ({@link DecodeFlags}).
 *
 * @example
 * let decoded: Decoded | undefined;
 * const bytesByPort = new Map<number, number>();
 * for await (const batch of capture) {
 *   decoded = decode(batch, decoded);                        // the same columns for every batch
 *   const { length, dstPort, payloadLength } = decoded;
 *   for (let i = 0; i < length; i++) {
 *     bytesByPort.set(dstPort[i]!, (bytesByPort.get(dstPort[i]!) ?? 0) + payloadLength[i]!);
 *   }
 * }
 * console.log(bytesByPort);
 * @param batch valid, that is not released; it is not changed, and stays lent
 * @param into columns to fill; by default new ones, with room for any batch of the same capture
 * @returns `into`. It is the caller's, and its numbers stay valid when the batch is released; its offsets point into the
 * batch's memory.
 * @throws CaptureError RINGTAP_RELEASED (the batch was released), RINGTAP_BAD_OPTION (no batch, or one of more packets than
 * `into` has room for)
 */
export function decode(batch: Batch, into?: Decoded): Decoded {
  const { arrays, length, capacity, linkType, sessionNumber, slot, lease } = seen(batch);
  if (length === 0) throw released();
  const decoded = into === undefined ? new Decoded(Math.max(length, capacity)) : into;
  const memory = memoryOf(decoded);
  if (length > decoded.capacity) {
    throw bad(
      `decode(): a batch of ${length} packets does not fit into columns for ${decoded.capacity}`,
      'Leave the columns out at the first batch, and give what decode() returned to the next ones.',
    );
  }
  if (sessionNumber === undefined) return owned(arrays, linkType, length, decoded);
  return settled(addon().decode(sessionNumber, slot, lease, memory, decoded.capacity), decoded);
}

/** What is to be known of a batch, each looked at once: it may be anything. */
function seen(batch: Batch) {
  try {
    const { offset, caplen, wirelen, flags, vlan, bytes, length, linkType, sessionNumber, slot, lease } = batch;
    if (types.isUint32Array(offset) && types.isUint8Array(bytes) && Number.isInteger(length)) {
      const arrays = { bytes, offset, caplen, wirelen, flags, vlan };
      return { arrays, length, capacity: offset.length, linkType, sessionNumber, slot, lease };
    }
  } catch {
    // It cannot be looked at.
  }
  throw bad(`decode() takes a batch, not ${show(batch)}`);
}

/** Where a packet lies, and what it is. */
export interface PacketPlace {
  /** LINKTYPE_ value: 1 for Ethernet, the default; 101 for a packet that begins with its IP header. */
  readonly linkType?: number | undefined;
  /** Where it begins; by default at the first byte. */
  readonly offset?: number | undefined;
  /** Bytes captured of it; by default up to the end. */
  readonly caplen?: number | undefined;
  /** Bytes that it had on the wire; by default as many as were captured. */
  readonly wirelen?: number | undefined;
}

const LINKTYPE_ETHERNET = 1;

const offset = new Uint32Array(1);
const caplen = new Uint32Array(1);
const wirelen = new Uint32Array(1);
const flags = new Uint32Array(1);
const vlan = new Uint16Array(1);

/**
 * The same for a single packet in any bytes: a tunnel's inner packet, at `payloadOffset`, or the one that an ICMP error
 * quotes. A call of its own for each packet costs more than the decoding: batches are what {@link decode} is for.
 * @example
 * const { protocol, payloadOffset, payloadCaplen } = decode(batch);
 * for (let i = 0; i < batch.length; i++) {
 *   if (protocol[i] !== 4) continue; // IP in IP
 *   const inner = decodePacket(batch.bytes, { linkType: 101, offset: payloadOffset[i], caplen: payloadCaplen[i] });
 *   console.log(inner.src(0), inner.dst(0));
 * }
 * console.log(decodePacket(batch.copy(0)).src(0));
 * @param bytes the memory that the packet lies in; not changed
 * @param place what the packet is, and where it lies; by default Ethernet, and all of `bytes`
 * @param into columns to fill; by default new ones for one packet
 * @returns `into`, with one packet in it; its offsets count from the start of `bytes`
 * @throws CaptureError RINGTAP_BAD_OPTION (no Uint8Array, or numbers that are none or point outside it),
 * RINGTAP_UNKNOWN_OPTION (a misspelt name in `place`)
 */
export function decodePacket(bytes: Uint8Array, place: PacketPlace = {}, into: Decoded = new Decoded(1)): Decoded {
  if (!types.isUint8Array(bytes)) throw bad(`decodePacket() takes a Uint8Array, not ${show(bytes)}`);
  const own = ownOf(place);
  const linkType = whole('linkType', own.linkType ?? LINKTYPE_ETHERNET);
  const from = whole('offset', own.offset ?? 0);
  const captured = whole('caplen', own.caplen ?? Math.max(0, bytes.length - from));
  const long = whole('wirelen', own.wirelen ?? captured);
  if (from + captured > bytes.length) {
    throw bad(`decodePacket(): bytes ${from} to ${from + captured} are outside the ${bytes.length} that were given`);
  }
  offset[0] = from;
  caplen[0] = captured;
  wirelen[0] = long;
  return owned({ bytes, offset, caplen, wirelen, flags, vlan }, linkType, 1, into);
}

const PLACE = ['linkType', 'offset', 'caplen', 'wirelen'] as const satisfies (keyof PacketPlace)[];

/** Its own properties, each looked at once. */
function ownOf(place: PacketPlace): PacketPlace {
  const own = copyOf(place);
  if (own === undefined) throw bad(`decodePacket(): ${show(place)} is no place of a packet`);
  for (const name of Object.keys(own)) {
    if ((PLACE as readonly string[]).includes(name)) continue;
    throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `decodePacket(): a packet's place has no "${name}"`, {
      hint: `It has: ${PLACE.join(', ')}`,
    });
  }
  return own;
}

function copyOf(place: PacketPlace): PacketPlace | undefined {
  try {
    // A list would pass for a place that leaves everything out.
    if (typeof place !== 'object' || place === null || Symbol.iterator in place) return undefined;
    return Object.assign(Object.create(null), place);
  } catch {
    return undefined; // it cannot be looked at
  }
}

function whole(name: string, value: number): number {
  if (Number.isInteger(value) && value >= 0 && value <= 0xffffffff) return value;
  throw bad(`decodePacket(): ${name} must be a whole number below 2^32, not ${show(value)}`);
}

type Arrays = Pick<Batch, 'bytes' | 'offset' | 'caplen' | 'wirelen' | 'flags' | 'vlan'>;

/** Decodes packets in memory of JavaScript's own. */
function owned(arrays: Arrays, linkType: number, count: number, into: Decoded): Decoded {
  const { bytes, offset, caplen, wirelen, flags, vlan } = arrays;
  const memory = memoryOf(into);
  const native = addon();
  return settled(
    native.decodeOwned(bytes, offset, caplen, wirelen, flags, vlan, linkType, count, memory, into.capacity),
    into,
  );
}

function memoryOf(decoded: Decoded): ArrayBuffer {
  const memory = Decoded.memoryOf(decoded);
  if (memory === undefined) throw bad(`${show(decoded)} is no Decoded to fill`);
  return memory;
}

/** The columns, when the call has filled them. */
function settled(count: number, decoded: Decoded): Decoded {
  if (count === Undecoded.released) throw released();
  if (count === Undecoded.noColumns) throw bad('decode(): the memory of the columns was transferred away');
  setLength(decoded, count);
  return decoded;
}

function released(): CaptureError {
  return new CaptureError('RINGTAP_RELEASED', 'decode(): the batch was released');
}

function bad(message: string, hint?: string): CaptureError {
  return new CaptureError('RINGTAP_BAD_OPTION', message, { hint });
}
