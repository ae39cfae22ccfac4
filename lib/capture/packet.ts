import { type InspectOptions, inspect } from 'node:util';
import { show } from '../errors/printable.js';

/** @internal What a cursor goes over: a batch. */
export interface PacketSource {
  readonly length: number;
  readonly view: DataView;
  readonly offset: Uint32Array;
  readonly caplen: Uint32Array;
  readonly wirelen: Uint32Array;
  readonly time: Float64Array;
  timeNs(i: number): bigint;
  data(i: number): Uint8Array;
  copy(i: number): Uint8Array;
}

/**
 * A cursor over one packet of a batch, reused for the next: copy what you keep.
 * Reads are big-endian, as on the wire, and throw RangeError outside the captured bytes. Offsets count from the packet's
 * first byte. Headers need no offsets by hand: `decode()` of `ringtap/decode` reads them, VLANs and IPv6 included.
 * @example
 * for (const packet of batch) {
 *   const type = packet.u16(12); // of untagged Ethernet
 *   if (type === 0x0800 && packet.u8(23) === 17) console.log(packet.u32(26), packet.wirelen, packet.copy());
 * }
 */
export class Packet {
  /** Position in the batch. */
  index = 0;
  readonly #batch: PacketSource;

  /** @internal Packets come from a batch. */
  constructor(batch: PacketSource) {
    this.#batch = batch;
  }

  /** Bytes captured. */
  get caplen(): number {
    return this.#batch.caplen[this.index]!;
  }

  /** Bytes on the wire. */
  get wirelen(): number {
    return this.#batch.wirelen[this.index]!;
  }

  /** ns since `capture.epoch`. */
  get time(): number {
    return this.#batch.time[this.index]!;
  }

  /** ns since 1970. */
  get timeNs(): bigint {
    return this.#batch.timeNs(this.index);
  }

  /**
   * The byte at offset `o`.
   * @throws RangeError
   */
  u8(o: number): number {
    return this.#batch.view.getUint8(this.#at(o, 1));
  }

  /**
   * The 16-bit number at offset `o`.
   * @throws RangeError
   */
  u16(o: number): number {
    return this.#batch.view.getUint16(this.#at(o, 2));
  }

  /**
   * The 32-bit number at offset `o`, unsigned.
   * @throws RangeError
   */
  u32(o: number): number {
    return this.#batch.view.getUint32(this.#at(o, 4));
  }

  /**
   * The captured bytes, borrowed: valid as long as the batch is.
   * @throws CaptureError RINGTAP_RELEASED
   * @example
   * for (const packet of batch) console.log(Buffer.from(packet.data()).toString('latin1'));
   */
  data(): Uint8Array {
    return this.#batch.data(this.index);
  }

  /**
   * The captured bytes, owned by the caller.
   * @throws CaptureError RINGTAP_RELEASED
   */
  copy(): Uint8Array {
    return this.#batch.copy(this.index);
  }

  /** @internal What `console.log(packet)` shows. */
  [inspect.custom](_: number, options: InspectOptions): string {
    if (this.index >= this.#batch.length) return 'Packet { released }';
    const { index, caplen, wirelen } = this;
    return `Packet ${inspect({ index, time: isoTime(this.timeNs), caplen, wirelen, data: shown(this.data()) }, options)}`;
  }

  #at(o: number, bytes: number): number {
    const batch = this.#batch;
    if (!(Number.isInteger(o) && o >= 0 && o + bytes <= batch.caplen[this.index]!) || this.index >= batch.length) {
      throw new RangeError(`offset ${show(o)} is outside the packet's ${batch.caplen[this.index]} captured bytes`);
    }
    return batch.offset[this.index]! + o;
  }
}

const NS = 1_000_000_000n;

/** @internal A time to the nanosecond, as people read it: 2026-11-30T09:15:00.123456789Z */
export function isoTime(ns: bigint): string {
  const rest = ((ns % NS) + NS) % NS;
  const seconds = Number((ns - rest) / NS);
  const date = new Date(seconds * 1000);
  return Number.isNaN(date.getTime())
    ? `${ns} ns`
    : date.toISOString().replace(/000Z$/, `${String(rest).padStart(9, '0')}Z`);
}

/** As a Buffer, of which Node shows the first fifty bytes. */
function shown(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}
