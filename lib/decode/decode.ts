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
 * ```ts
 * import { open } from 'ringtap';
 * import { decode, Decoded } from 'ringtap/decode';
 *
 * const capture = await open('eth0');
 * let decoded: Decoded | undefined;
 * const bytesByPort = new Map<number, number>();
 * for await (const batch of capture) {
 *   decoded = decode(batch, decoded);                        // the same columns for every batch
 *   const { length, dstPort, payloadLength } = decoded;
 *   for (let i = 0; i < length; i++) {
 *     bytesByPort.set(dstPort[i]!, (bytesByPort.get(dstPort[i]!) ?? 0) + payloadLength[i]!);
 *   }
 * }
 * ```
 * @param batch valid, that is not released; it is not changed, and stays lent
 * @param into columns to fill; by default new ones, with room for any batch of the same capture
 * @returns `into`. It is the caller's, and its numbers stay valid when the batch is released; its offsets point into the
 * batch's memory.
 * @throws CaptureError RINGTAP_RELEASED (the batch was released), RINGTAP_BAD_OPTION (no batch, or one of more packets than
 * `into` has room for)
 */
export function decode(batch: Batch, into?: Decoded): Decoded {
  if (!(batch?.offset instanceof Uint32Array)) throw bad(`decode() takes a batch, not ${show(batch)}`);
  const { length, sessionNumber } = batch;
  if (length === 0) throw released('decode(): the batch was released');
  const decoded = into ?? new Decoded(Math.max(length, batch.offset.length));
  if (!(length <= decoded.capacity)) {
    throw bad(
      `decode(): a batch of ${length} packets does not fit into columns for ${show(decoded.capacity)}`,
      'Leave the columns out at the first batch, and give what decode() returned to the next ones.',
    );
  }
  const { memory, capacity } = decoded;
  if (sessionNumber === undefined) return owned(batch.bytes, batch, batch.linkType, length, decoded);
  return settled(addon().decode(sessionNumber, batch.slot, batch.lease, memory, capacity), decoded);
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

const offset = new Uint32Array(1);
const caplen = new Uint32Array(1);
const wirelen = new Uint32Array(1);
const ONE = { offset, caplen, wirelen, flags: new Uint32Array(1), vlan: new Uint16Array(1) };

/**
 * The same for a single packet in any bytes: a tunnel's inner packet, at `payloadOffset`, or the one that an ICMP error
 * quotes. A call of its own for each packet costs more than the decoding: batches are what {@link decode} is for.
 *
 * ```ts
 * const inner = decodePacket(batch.bytes, { linkType: 101, offset: payloadOffset[i], caplen: payloadCaplen[i] });
 * console.log(inner.src(0), inner.dst(0));
 * ```
 * @param bytes not changed @param into columns to fill; by default new ones for one packet
 * @returns `into`, with one packet in it; its offsets count from the start of `bytes`
 * @throws CaptureError RINGTAP_BAD_OPTION (no Uint8Array, or numbers that are none or point outside it)
 */
export function decodePacket(bytes: Uint8Array, place: PacketPlace = {}, into: Decoded = new Decoded(1)): Decoded {
  if (!(bytes instanceof Uint8Array)) throw bad(`decodePacket() takes a Uint8Array, not ${show(bytes)}`);
  const from = place.offset ?? 0;
  const captured = place.caplen ?? bytes.length - from;
  const numbers = { linkType: place.linkType ?? 1, offset: from, caplen: captured, wirelen: place.wirelen ?? captured };
  for (const [name, value] of Object.entries(numbers)) {
    if (Number.isInteger(value) && value >= 0 && value <= 0xffffffff) continue;
    throw bad(`decodePacket(): ${name} must be a whole number below 2^32, not ${show(value)}`);
  }
  if (from + captured > bytes.length) {
    throw bad(`decodePacket(): bytes ${from} to ${from + captured} are outside the ${bytes.length} that were given`);
  }
  offset[0] = from;
  caplen[0] = captured;
  wirelen[0] = numbers.wirelen;
  return owned(bytes, ONE, numbers.linkType, 1, into);
}

type Arrays = Pick<Batch, 'offset' | 'caplen' | 'wirelen' | 'flags' | 'vlan'>;

function owned(bytes: Uint8Array, arrays: Arrays, linkType: number, count: number, into: Decoded): Decoded {
  const { offset, caplen, wirelen, flags, vlan } = arrays;
  const { memory, capacity } = into;
  return settled(
    addon().decodeOwned(bytes, offset, caplen, wirelen, flags, vlan, linkType, count, memory, capacity),
    into,
  );
}

/** The columns, when the call has filled them. */
function settled(count: number, decoded: Decoded): Decoded {
  if (count === Undecoded.released) throw released('decode(): the batch was released');
  if (count === Undecoded.noColumns) throw bad('decode(): the memory of the columns was transferred away');
  setLength(decoded, count);
  return decoded;
}

function released(message: string): CaptureError {
  return new CaptureError('RINGTAP_RELEASED', message);
}

function bad(message: string, hint?: string): CaptureError {
  return new CaptureError('RINGTAP_BAD_OPTION', message, { hint });
}
