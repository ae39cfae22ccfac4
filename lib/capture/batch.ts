import { type InspectOptions, inspect } from 'node:util';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { linkTypeName } from '../generated/link_types.js';
import type { NativeSession } from '../native/native.js';
import { isoTime, Packet } from './packet.js';
import { TunnelWords } from './tunnel.js';

/** Bits of `batch.flags[i]`. */
export const PacketFlags = {
  /** Sent by this host. */
  outgoing: 1,
  /** `batch.vlan[i]` holds a tag that is not in the bytes. */
  vlan: 2,
  /** Stamped by the NIC. */
  hardwareTime: 4,
  /** More than 2^53 ns (104 days) from the epoch: `batch.time[i]` is rounded, as a double must be; `timeNs(i)` is exact. */
  timeInexact: 8,
  /** Damaged on purpose by `synth:`. */
  corrupt: 16,
  /** Arrived in pieces and was joined by a copy. */
  fragmented: 32,
} as const;

/** Who lends a batch. */
export interface Lender {
  readonly session: NativeSession;
  /** The capture. */
  readonly owner: object;
  /** What native code knows the session by. */
  readonly number: number;
  readonly epoch: bigint;
  hold(batch: Batch): void;
  release(batch: Batch, lease: number | undefined): void;
}

/** Written over the offsets of a released batch, so that a DataView read with one throws RangeError. */
const POISON = 0x7fffffff;

/** Segment, link type, when the batch was received, and its generation. */
const CONTROL_WORDS = 4;
/** As DescBlock::bytes_for() in native/core/desc.h. */
const descriptorBytes = (capacity: number, tunnelWords: number) => capacity * 40 + (CONTROL_WORDS + tunnelWords) * 4;

/** The descriptors of a slot, one array for each thing that is told of a packet. */
export interface Columns {
  readonly time: Float64Array;
  readonly rest: Float64Array;
  readonly offset: Uint32Array;
  readonly caplen: Uint32Array;
  readonly wirelen: Uint32Array;
  readonly flags: Uint32Array;
  readonly hash: Uint32Array;
  readonly queue: Uint16Array;
  readonly vlan: Uint16Array;
  readonly control: Uint32Array;
  /** Empty where nothing is told of tunnels. */
  readonly tunnel: Uint32Array;
}

/** @internal Arrays over `descriptors`, laid out as native/core/desc.h says. */
export function columnsOf(descriptors: ArrayBuffer, capacity: number): Columns {
  let at = 0;
  const take = (bytes: number) => {
    const from = at;
    at += bytes * capacity;
    return from;
  };
  return {
    time: new Float64Array(descriptors, take(8), capacity),
    rest: new Float64Array(descriptors, take(8), capacity),
    offset: new Uint32Array(descriptors, take(4), capacity),
    caplen: new Uint32Array(descriptors, take(4), capacity),
    wirelen: new Uint32Array(descriptors, take(4), capacity),
    flags: new Uint32Array(descriptors, take(4), capacity),
    hash: new Uint32Array(descriptors, take(4), capacity),
    queue: new Uint16Array(descriptors, take(2), capacity),
    vlan: new Uint16Array(descriptors, take(2), capacity),
    control: new Uint32Array(descriptors, at, CONTROL_WORDS),
    tunnel: new Uint32Array(descriptors, at + CONTROL_WORDS * 4),
  };
}

/**
 * Packets lent by a capture, as a struct of arrays over the capture method's own memory: entry `i` of each is about packet
 * `i`. Loop over the batch for a {@link Packet} at a time, over the arrays for speed.
 *
 * Valid until the next step of the loop, a break or a throw; {@link hold} keeps it longer. One class serves every
 * backend and the object is reused: do not keep references to it or its arrays without `hold()`.
 *
 * Once released, `length` is 0, and what takes a packet's index throws RINGTAP_RELEASED. After {@link release}, a break, or
 * a step that found nothing its offsets are out of range (a DataView read with one throws RangeError), until a later
 * step fills the arrays again; one that goes on to the next batch does so at once, and they show that batch.
 * @example
 * let bytes = 0;
 * for await (const batch of capture) {
 *   for (const packet of batch) bytes += packet.wirelen; // convenient
 *   const { length, wirelen } = batch;
 *   for (let i = 0; i < length; i++) bytes += wirelen[i]!; // the same, three times as fast
 * }
 * console.log(bytes / 2);
 */
export class Batch implements Iterable<Packet> {
  /** Packets in the batch. */
  readonly length: number = 0;
  /** Offset in bytes at which each packet begins in {@link view} and {@link bytes}. */
  readonly offset: Uint32Array;
  /** Bytes captured of each packet. */
  readonly caplen: Uint32Array;
  /** Bytes that each packet had on the wire. */
  readonly wirelen: Uint32Array;
  /**
   * Arrival of each packet in ns since `capture.epoch`: whole numbers, exact within 104 days of it and rounded beyond,
   * where {@link PacketFlags.timeInexact} is set. {@link timeNs} is always exact.
   */
  readonly time: Float64Array;
  /** {@link PacketFlags} of each packet. */
  readonly flags: Uint32Array;
  /** RX queue, or interface index in a pcapng file, of each packet; 0 where the method does not tell. */
  readonly queue: Uint16Array;
  /** VLAN tag control information where {@link PacketFlags.vlan} is set. */
  readonly vlan: Uint16Array;
  /** Flow hash by the NIC or kernel; 0 where the method does not tell. */
  readonly hash: Uint32Array;
  /**
   * The innermost tunnel that each packet came out of: {@link TunnelWords.perPacket} words a packet, the first of which is 0
   * where it came out of none. {@link TunnelWords} says where in them things stand, and {@link tunnelOf} reads them. Empty
   * where tunnels are not opened: without `decap`, and not of a mirror.
   */
  readonly tunnel: Uint32Array;
  /** The memory that all packets of the batch lie in. */
  readonly view: DataView;
  /** The same memory as bytes. */
  readonly bytes: Uint8Array;
  /** LINKTYPE_ value of every packet in the batch (tcpdump.org/linktypes.html). */
  readonly linkType: number = 0;

  /** @internal What `time` lacks where timeInexact is set. */ readonly rest: Float64Array;
  /** @internal */ readonly control: Uint32Array;
  /** @internal */ readonly slot: number;
  /** @internal */ held = false;
  /** @internal */ readonly result: IteratorYieldResult<Batch>;
  /** @internal */ readonly resolved: Promise<IteratorResult<Batch>>;
  readonly #lender: Lender | undefined;
  readonly #packet: Packet;

  /** @internal Shows what `columns` say of `bytes`, which are those of `view`. */
  constructor(columns: Columns, view: DataView, bytes: Uint8Array, slot: number, lender?: Lender) {
    this.time = columns.time;
    this.rest = columns.rest;
    this.offset = columns.offset;
    this.caplen = columns.caplen;
    this.wirelen = columns.wirelen;
    this.flags = columns.flags;
    this.hash = columns.hash;
    this.queue = columns.queue;
    this.vlan = columns.vlan;
    this.control = columns.control;
    this.tunnel = columns.tunnel;
    this.view = view;
    this.bytes = bytes;
    this.slot = slot;
    this.#lender = lender;
    this.#packet = new Packet(this);
    this.result = { value: this, done: false };
    this.resolved = Promise.resolve(this.result);
  }

  /**
   * The number of this lending, for {@link release}: the object shows another batch later, which has another number. Read
   * it while the batch is valid. 0 for an owned copy.
   */
  get lease(): number {
    return this.control[3]!;
  }

  /**
   * ns since 1970 at which packet `i` arrived, to the nanosecond.
   * @throws CaptureError RINGTAP_RELEASED; RangeError where the batch has no packet `i`
   * @example
   * console.log(new Date(Number(batch.timeNs(0) / 1_000_000n)).toISOString());
   */
  timeNs(i: number): bigint {
    this.#check(i);
    const rounded = this.epoch + BigInt(this.time[i]!);
    return this.flags[i]! & PacketFlags.timeInexact ? rounded + BigInt(this.rest[i]!) : rounded;
  }

  /**
   * The captured bytes of packet `i`, borrowed: valid as long as the batch is. Not for asynchronous calls of Node's own
   * that outlive it (zlib, crypto, fs): give them {@link copy}.
   * @throws CaptureError RINGTAP_RELEASED; RangeError where the batch has no packet `i`
   * @example
   * console.log(Buffer.from(batch.data(0)).toString('hex', 0, 14));
   */
  data(i: number): Uint8Array {
    this.#check(i);
    const from = this.offset[i]!;
    return this.bytes.subarray(from, from + this.caplen[i]!);
  }

  /**
   * The captured bytes of packet `i`, owned by the caller.
   * @throws CaptureError RINGTAP_RELEASED; RangeError where the batch has no packet `i`
   * @example
   * const kept: Uint8Array[] = [];
   * for (let i = 0; i < batch.length; i++) if (batch.wirelen[i]! > 60) kept.push(batch.copy(i));
   * console.log(kept.length);
   */
  copy(i: number): Uint8Array;
  /**
   * The whole batch, owned by the caller: it stays as it is, and needs no release.
   * @throws CaptureError RINGTAP_RELEASED
   */
  copy(): Batch;
  copy(i?: number): Uint8Array | Batch {
    return i === undefined ? this.#copyAll() : this.data(i).slice();
  }

  /**
   * Keeps the batch until {@link release}, beyond the step that lent it. The memory stays taken from the capture
   * method meanwhile; when one more would leave it none, `RINGTAP_NO_BUFFER` is thrown and nothing changes.
   * @returns this batch; the capture goes on with another
   * @throws CaptureError RINGTAP_NO_BUFFER, RINGTAP_RELEASED
   * @example
   * const last: Batch[] = [];
   * for await (const batch of capture) {
   *   last.push(batch.hold());
   *   if (last.length === 3) last.shift()!.release(); // two stay
   * }
   * console.log(last.length);
   */
  hold(): this {
    if (this.length === 0) throw new CaptureError('RINGTAP_RELEASED', 'hold(): the batch was released');
    if (!this.held) this.#lender?.hold(this);
    return this;
  }

  /**
   * Gives the memory back now: of a batch that was held, or, before the next step does so, of the current one. It ends
   * this lending and no other. After `capture.close()`, which ended all of them, and of an owned copy it does nothing.
   * @param lease number of the lending: {@link lease} as it was while the batch was valid, where the object may be kept
   * beyond its step: it is used again a few steps later, and then no longer tells that it is late
   * @throws CaptureError RINGTAP_RELEASED when the batch was released before, by this, a step or the end of a trace;
   * RINGTAP_BAD_OPTION when `lease` is no whole number
   */
  release(lease?: number): void {
    this.#lender?.release(this, lease);
  }

  /**
   * Goes through the packets with one reused cursor: convenient, at three times the cost of reading the arrays.
   * @throws nothing; of a released batch it finds no packet
   */
  [Symbol.iterator](): IterableIterator<Packet> {
    return new Cursor(this, this.#packet);
  }

  /** @internal What `console.log(batch)` shows. */
  [inspect.custom](_: number, options: InspectOptions): string {
    const { length, linkType, lease } = this;
    if (length === 0) return 'Batch { released }';
    const sum = (values: Uint32Array) => values.subarray(0, length).reduce((total, value) => total + value, 0);
    const facts = {
      length,
      linkType: linkTypeName(linkType),
      captured: `${sum(this.caplen)} bytes`,
      onTheWire: `${sum(this.wirelen)} bytes`,
      first: isoTime(this.timeNs(0)),
      last: isoTime(this.timeNs(length - 1)),
      ...(this.#lender === undefined ? { owned: true } : { lease, held: this.held }),
    };
    return `Batch ${inspect(facts, options)}`;
  }

  #epoch = 0n;

  /** @internal Not a look-alike. */
  static is(value: unknown): value is Batch {
    return typeof value === 'object' && value !== null && #epoch in value;
  }

  /** @internal Who lends it; nobody an owned copy. */
  static lenderOf(batch: Batch): Lender | undefined {
    return batch.#lender;
  }

  /** @internal What native code knows the session by that lends it; undefined for an owned copy. */
  get sessionNumber(): number | undefined {
    return this.#lender?.number;
  }

  /** @internal ns since 1970 that `time` counts from. */
  get epoch(): bigint {
    return this.#lender?.epoch ?? this.#epoch;
  }

  #check(i: number): void {
    if (Number.isInteger(i) && i >= 0 && i < this.length) return;
    if (this.length === 0) throw new CaptureError('RINGTAP_RELEASED', `packet ${show(i)}: the batch was released`);
    throw new RangeError(`packet ${show(i)} is outside the batch of ${this.length}`);
  }

  #copyAll(): Batch {
    const n = this.length;
    if (n === 0) throw new CaptureError('RINGTAP_RELEASED', 'copy(): the batch was released');
    // Of each packet what lies in the memory: who wrote to the arrays gets what they say then.
    let total = 0;
    for (let i = 0; i < n; i++) total += this.data(i).length;
    const memory = new ArrayBuffer(total);
    const told = this.tunnel.length > 0;
    const columns = columnsOf(new ArrayBuffer(descriptorBytes(n, told ? n * TunnelWords.perPacket : 0)), n);
    const copy = new Batch(columns, new DataView(memory), new Uint8Array(memory), -1);
    for (const name of ['wirelen', 'time', 'rest', 'flags', 'hash', 'queue', 'vlan'] as const) {
      copy[name].set(this[name].subarray(0, n));
    }
    if (told) copy.tunnel.set(this.tunnel.subarray(0, n * TunnelWords.perPacket));
    let at = 0;
    for (let i = 0; i < n; i++) {
      const data = this.data(i);
      copy.bytes.set(data, at);
      copy.offset[i] = at;
      copy.caplen[i] = data.length;
      at += data.length;
    }
    copy.#epoch = this.epoch;
    fill(copy, n, this.linkType);
    return copy;
  }
}

// WHY: by hand, because a generator costs three times as much per packet.
class Cursor implements IterableIterator<Packet> {
  readonly #batch: Batch;
  readonly #packet: Packet;
  readonly #result: { value: Packet; done: false };
  #i = 0;

  constructor(batch: Batch, packet: Packet) {
    this.#batch = batch;
    this.#packet = packet;
    this.#result = { value: packet, done: false };
  }

  next(): IteratorResult<Packet> {
    if (this.#i >= this.#batch.length) return { value: undefined, done: true };
    this.#packet.index = this.#i++;
    return this.#result;
  }

  [Symbol.iterator](): this {
    return this;
  }
}

type Writable<K extends keyof Batch> = { -readonly [Name in K]: Batch[Name] };

/** @internal Makes a batch show `length` packets. */
export function fill(batch: Batch, length: number, linkType: number): void {
  const open = batch as Writable<'length' | 'linkType'>;
  open.length = length;
  open.linkType = linkType;
}

/** @internal Makes a batch show nothing. */
export function empty(batch: Batch): void {
  (batch as Writable<'length'>).length = 0;
}

/** @internal Makes a batch look at another piece of memory. */
export function look(batch: Batch, view: DataView, bytes: Uint8Array): void {
  const open = batch as Writable<'view' | 'bytes'>;
  open.view = view;
  open.bytes = bytes;
}

/** @internal What a batch looks like once released, for memory that native code cannot poison. */
export function poison(batch: Batch): void {
  batch.offset.fill(POISON);
  empty(batch);
}
