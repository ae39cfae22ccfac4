import type { NativeInfo, NativeSession } from '../native/native.js';
import { Batch, columnsOf, empty, fill, type Lender, look, poison } from './batch.js';
import type { Faults } from './faults.js';

/**
 * Objects that take turns in showing what is lent: who releases the one of an earlier step finds that it has ended,
 * instead of ending the current one.
 */
const TURNS = 4;
/** Batches that may be held where each is a copy of its own. */
const MOST_COPIES = 1024;

/** Native memory that a batch can be received into. */
interface Slot {
  readonly descriptors: ArrayBuffer;
  readonly number: number;
}

/** Memory that packets lie in. */
interface Segment {
  readonly view: DataView;
  readonly bytes: Uint8Array;
}

/** What a capture lends: the current batch, and those that are held. */
export class Lending implements Lender {
  readonly session: NativeSession;
  readonly number: number;
  readonly epoch: bigint;
  /** As long as a batch is kept, so is its capture, which may have a signal to heed. */
  readonly owner: object;
  /** Where the next batch is received. */
  slot = 0;
  readonly #faults: Faults;
  readonly #maxLeases: number;
  readonly #capacity: number;
  readonly #external: boolean;
  readonly #segments: Segment[];
  readonly #spare: Slot[] = [];
  readonly #held = new Set<Batch>();
  #slots = 0;
  /** All of them over one slot. */
  #turns: Batch[] = [];
  #turn = -1;
  #current: Batch;
  #isClosed = false;

  constructor(owner: object, session: NativeSession, info: NativeInfo, faults: Faults) {
    this.owner = owner;
    this.session = session;
    this.number = info.number;
    this.#faults = faults;
    this.epoch = BigInt(info.epochSeconds) * 1_000_000_000n + BigInt(info.epochNanos);
    this.#maxLeases = info.external ? info.maxLeases : MOST_COPIES;
    this.#capacity = info.batchSize;
    this.#external = info.external;
    this.#segments = info.segments.map(over);
    this.#current = this.#another();
  }

  /** The batch of the step before ends: its memory may be received into. */
  end(): void {
    empty(this.#current);
  }

  /** Shows the `count` packets that were received into {@link slot}. Valid until the next step, or as long as it is held. */
  lend(count: number): Batch {
    this.#turn = this.#turn === TURNS - 1 ? 0 : this.#turn + 1;
    const batch = this.#turn < this.#turns.length ? this.#turns[this.#turn]! : this.#twin();
    this.#current = batch;
    if (this.#external) {
      const segment = this.#segments[batch.control[0]!] ?? this.#addSegment(batch.control[0]!);
      if (batch.view !== segment.view) look(batch, segment.view, segment.bytes);
    } else {
      const { view, bytes } = over(this.session.copied(batch.slot));
      look(batch, view, bytes);
    }
    fill(batch, count, batch.control[1]!);
    return batch;
  }

  /** Releases the current batch, unless that was done. */
  releaseCurrent(): void {
    if (this.#current.length > 0) this.#giveBack(this.#current);
  }

  hold(batch: Batch): void {
    if (this.#held.size + 2 > this.#maxLeases) {
      const what = `${this.#held.size} batches are held, and ${this.#maxLeases} is all there are`;
      throw this.#faults.make('RINGTAP_NO_BUFFER', what);
    }
    if (batch === this.#current) this.#current = this.#another();
    batch.held = true;
    this.#held.add(batch);
  }

  release(batch: Batch, lease: number | undefined): void {
    if (this.#isClosed) return; // that ended it
    if (lease !== undefined && !Number.isInteger(lease)) {
      throw this.#faults.make('RINGTAP_BAD_OPTION', 'release(): a lease is the number that batch.lease was');
    }
    if (batch.length === 0 || (lease !== undefined && lease !== batch.lease)) {
      throw this.#faults.make(
        'RINGTAP_RELEASED',
        'release(): the batch was released before',
        'Release a batch once: one that was held, or the current one before the next step, which releases it.',
      );
    }
    this.#giveBack(batch);
  }

  /** Ends all that is lent. */
  close(): void {
    this.#isClosed = true;
    empty(this.#current);
    for (const batch of this.#held) empty(batch);
    this.#held.clear();
  }

  #giveBack(batch: Batch): void {
    if (this.#external) empty(batch);
    else poison(batch);
    this.session.release(batch.slot);
    if (!this.#held.delete(batch)) return;
    batch.held = false;
    // WHY not the batch itself: whoever held it may still have it, and release it once more.
    const descriptors = batch.time.buffer as ArrayBuffer;
    if (descriptors.byteLength > 0) this.#spare.push({ descriptors, number: batch.slot }); // else transferred away
  }

  /** A batch over descriptors that nobody uses. */
  #another(): Batch {
    const slot = this.#spare.pop() ?? { descriptors: this.session.addSlot(), number: this.#slots++ };
    const { view, bytes } = this.#segments[0] ?? over(new ArrayBuffer(0));
    const batch = new Batch(columnsOf(slot.descriptors, this.#capacity), view, bytes, slot.number, this);
    this.slot = slot.number;
    this.#turns = [batch];
    this.#turn = -1;
    return batch;
  }

  /** Another object over the same descriptors. */
  #twin(): Batch {
    const batch = new Batch(this.#current, this.#current.view, this.#current.bytes, this.slot, this);
    this.#turns.push(batch);
    return batch;
  }

  /** A trace with a longer record than there was room for has taken more memory. */
  #addSegment(index: number): Segment {
    const segment = over(this.session.segment(index));
    this.#segments[index] = segment;
    return segment;
  }
}

function over(memory: ArrayBuffer): Segment {
  return { view: new DataView(memory), bytes: new Uint8Array(memory) };
}
