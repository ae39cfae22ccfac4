import { ABSENT, Decoded, decodePacket } from '../../decode/index.js';
import type { Batch } from '../../index.js';

/** Thrown by a read beyond the captured bytes; caught once per packet. No Error: nobody needs its stack. */
export const TRUNCATED = Symbol('truncated');

/**
 * One packet being printed: its decoded headers, checked big-endian reads of its captured bytes for what the columns do
 * not hold, and the text so far. Positions are those of the view, as the columns' are. The object is reused for each
 * packet.
 */
export class Line {
  text = '';
  /** The layer at work: it is blamed when the bytes end in it. */
  protocol = '';
  /** How many IP headers lie around this one. */
  depth = 0;
  /** Whether lengths of 0 are left for the NIC to fill in. */
  isOffloaded = false;
  /** Where the headers are those of packet {@link index}. */
  headers: Decoded;
  index = 0;
  /** Whether link headers are printed; then IP and ARP are named by their ethertype, and not once more. */
  readonly showLink: boolean;
  bytes: Uint8Array = new Uint8Array(0);
  readonly #inner = new Decoded(1);
  #view: DataView = new DataView(this.bytes.buffer);
  #end = 0;

  constructor(showLink: boolean) {
    this.showLink = showLink;
    this.headers = this.#inner;
  }

  /** Begins with packet `i` of a batch, which was decoded into `headers`. */
  start({ view, bytes, offset, caplen }: Batch, headers: Decoded, i: number): void {
    this.text = '';
    this.protocol = '';
    this.depth = 0;
    this.isOffloaded = false;
    this.headers = headers;
    this.index = i;
    this.bytes = bytes;
    this.#view = view;
    this.#end = offset[i]! + caplen[i]!;
  }

  /** Goes on with the packet that lies at `at`, of `length` bytes on the wire: from here on, headers are its own. */
  enter(at: number, length: number, linkType: number): void {
    const offset = Math.min(at, this.#end); // beyond it where the header around it was cut
    const place = { linkType, offset, caplen: this.#end - offset, wirelen: length };
    this.headers = decodePacket(this.bytes, place, this.#inner);
    this.index = 0;
  }

  /** Where what the link carries begins; the end where none of it was captured. */
  get network(): number {
    const at = this.headers.networkOffset[this.index]!;
    return at === ABSENT ? this.#end : at;
  }

  get flags(): number {
    return this.headers.flags[this.index]!;
  }

  /** Where the captured bytes of the current layer end. */
  get end(): number {
    return this.#end;
  }

  /** Cuts off what follows the current layer's own length, such as Ethernet padding. */
  endAt(end: number): void {
    if (end < this.#end) this.#end = end;
  }

  has(at: number, bytes: number): boolean {
    return at + bytes <= this.#end;
  }

  need(at: number, bytes: number): void {
    if (at + bytes > this.#end) throw TRUNCATED;
  }

  u8(at: number): number {
    this.need(at, 1);
    return this.#view.getUint8(at);
  }

  u16(at: number): number {
    this.need(at, 2);
    return this.#view.getUint16(at);
  }

  u32(at: number): number {
    this.need(at, 4);
    return this.#view.getUint32(at);
  }
}
