/** Thrown by a read beyond the captured bytes; caught once per packet. No Error: nobody needs its stack. */
export const TRUNCATED = Symbol('truncated');

/**
 * One packet being summarised: checked big-endian reads of its captured bytes, and the text so far.
 * Positions are those of the view, so that layers pass them on without copies. The object is reused for each packet.
 */
export class Frame {
  text = '';
  /** The layer at work: it is blamed when the bytes end in it. */
  protocol = '';
  /** How many IP headers lie around this one. */
  depth = 0;
  /** Whether lengths of 0 are left for the NIC to fill in. */
  isOffloaded = false;
  /** Whether link headers are printed; then IP and ARP are named by their ethertype, and not once more. */
  readonly showLink: boolean;
  #view: DataView = new DataView(new ArrayBuffer(0));
  #end = 0;

  constructor(showLink: boolean) {
    this.showLink = showLink;
  }

  start(view: DataView, offset: number, caplen: number): void {
    this.text = '';
    this.protocol = '';
    this.depth = 0;
    this.isOffloaded = false;
    this.#view = view;
    this.#end = offset + caplen;
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
