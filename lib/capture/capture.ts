import { performance } from 'node:perf_hooks';
import { onAbort } from '../errors/abort.js';
import { CaptureError, warn, wrapNative } from '../errors/errors.js';
import { addon, type NativeInfo, type NativeSession, Rx } from '../native/native.js';
import type { Plan } from '../plan/plan.js';
import type { Transmitter } from '../transmit/transmit.js';
import { Batch, fill, look, poison } from './batch.js';
import { type CaptureStats, toStats } from './stats.js';

/** How long batches may follow each other before timers, I/O and signals get their turn. */
const TURN_MS = 4;
/** How long nextSync blocks at a stretch: worker.terminate() waits for it. */
const BLOCK_MS = 20;

/** What a read fails with. A signal's reason may be anything, so that only the wrapping tells it from a result. */
class Failure {
  constructor(readonly reason: unknown) {}
}

/** Native memory that a batch can be received into. */
interface Slot {
  readonly descriptors: ArrayBuffer;
  readonly number: number;
}

type Outcome = IteratorResult<Batch, undefined> | Failure;

const DONE = Object.freeze({ value: undefined, done: true as const });

/** Takes the listeners of collected captures off their signals. */
const forgotten = new FinalizationRegistry<() => void>((forget) => forget());

/**
 * An open capture. Read it with `for await`, {@link tryNext} or {@link nextSync}; one reader at a time.
 *
 * A `break` leaves it open, so that reading can go on later; {@link close} it, or let `await using` do so. The end of
 * a trace ends the loop; a failure rejects it with a {@link CaptureError}.
 */
export class Capture implements AsyncIterable<Batch>, AsyncDisposable {
  /** The URI as it was given to `open()`. */
  readonly uri: string;
  /** The capture method that was chosen. */
  readonly backend: string;
  /** LINKTYPE_ value of the packets (tcpdump.org/linktypes.html); in a pcapng file that of the first interface. */
  readonly linkType: number;
  /** Unix time in ns that `batch.time` counts from. */
  readonly epoch: bigint;
  /** How the capture is done, and why so. */
  readonly plan: Plan;
  /** Sends packets through the same method; null where it cannot. */
  readonly transmit: Transmitter | null;

  readonly #session: NativeSession;
  readonly #number: number;
  // WHY the object: V8 calls a native function fast when it is a method, and slowly when it is a value.
  readonly #addon = addon();
  readonly #maxLeases: number;
  readonly #capacity: number;
  readonly #external: boolean;
  readonly #views: { readonly view: DataView; readonly bytes: Uint8Array }[];
  readonly #spare: Slot[] = [];
  readonly #held = new Set<Batch>();
  readonly #always: boolean;
  #current: Batch;
  #reading = false;
  #readers = 0;
  #pending: ((outcome: Outcome) => void) | undefined;
  #turnBegan = -1;
  #isTurnOver = false;
  #closing: Promise<void> | undefined;
  #failure: unknown;
  #abort: Failure | undefined;
  #forgetSignal: (() => void) | undefined;

  /** @internal Use `open()`. */
  constructor(
    session: NativeSession,
    info: NativeInfo,
    plan: Plan,
    transmit: Transmitter | null,
    signal?: AbortSignal,
  ) {
    this.#session = session;
    this.#number = info.number;
    this.uri = plan.uri;
    this.backend = plan.backend;
    this.plan = plan;
    this.transmit = transmit;
    this.linkType = info.linkType;
    this.epoch = BigInt(info.epochSeconds) * 1_000_000_000n + BigInt(info.epochNanos);
    this.#maxLeases = info.external ? info.maxLeases : 1024;
    this.#capacity = info.batchSize;
    this.#external = info.external;
    this.#always = info.readiness === 'always';
    this.#views = info.segments.map((memory) => ({ view: new DataView(memory), bytes: new Uint8Array(memory) }));
    this.#current = this.#makeBatch();
    if (signal !== undefined) this.#heed(signal);
  }

  /** Weakly: a signal that lives as long as its program must not keep a forgotten capture alive. */
  #heed(signal: AbortSignal): void {
    const self = new WeakRef(this);
    // It may have been aborted since open() looked: then this calls back at once.
    this.#forgetSignal = onAbort(signal, () => {
      const capture = self.deref();
      if (capture !== undefined) capture.#onAbort(signal);
    });
    forgotten.register(this, this.#forgetSignal);
  }

  #onAbort(signal: AbortSignal): void {
    this.#abort = new Failure(signal.reason);
    void this.close();
  }

  /**
   * The next batch if there is one right now; never waits. The batch before it is released.
   * @returns null when there is none yet, or when the capture has ended
   */
  tryNext(): Batch | null {
    this.#refuseSecondReader();
    return this.#step() ?? null;
  }

  /**
   * The next batch, blocking this thread for up to `timeoutMs` (default: for ever). For workers and tools: the event
   * loop stands still meanwhile. Having read all there was it lets packets gather first, as a loop does, for as long as
   * the capture's own `timeoutMs` says. The batch before it is released.
   * @returns null when the time is up, or when the capture has ended
   */
  nextSync(timeoutMs = Number.POSITIVE_INFINITY): Batch | null {
    this.#refuseSecondReader();
    if (typeof timeoutMs !== 'number' || Number.isNaN(timeoutMs)) {
      throw new CaptureError(
        'RINGTAP_BAD_OPTION',
        `${this.uri}: nextSync(): timeoutMs must be a number of milliseconds`,
        {
          uri: this.uri,
          backend: this.backend,
        },
      );
    }
    const deadline = performance.now() + timeoutMs;
    for (let left = timeoutMs; ; ) {
      const batch = this.#step(Math.ceil(Math.min(left, BLOCK_MS)));
      if (batch !== undefined) return batch;
      left = deadline - performance.now();
      if (left <= 0) return null;
    }
  }

  /** Reads batches as they come. A second reader beside an unfinished one: `RINGTAP_BUSY`. */
  [Symbol.asyncIterator](): AsyncIterator<Batch, undefined> & AsyncIterable<Batch> {
    this.#refuseSecondReader();
    if (this.#closing !== undefined && this.#abort === undefined) throw this.#closed();
    this.#reading = true;
    const number = ++this.#readers;
    // One that was ended must not take batches from the reader after it, nor end it.
    const isOver = () => number !== this.#readers;
    return {
      next: () => (isOver() ? Promise.resolve(DONE) : this.#next()),
      return: () => (isOver() ? Promise.resolve(DONE) : this.#stop()),
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** The ledger. Exact, and still readable after close. */
  stats(): CaptureStats {
    return toStats(this.#session.stats());
  }

  /** An open capture that is being read keeps the process alive; this is the default. */
  ref(): this {
    this.#session.setRef(true);
    return this;
  }

  /** Waiting for packets does not keep the process alive. */
  unref(): this {
    this.#session.setRef(false);
    return this;
  }

  /**
   * Stops the capture, ends a running `for await`, makes every view of its memory empty and frees it. Packets that
   * were not read stay counted as pending. Idempotent. Asynchronous work of Node's own on lent bytes (zlib, crypto, fs)
   * must have ended by then: it would read memory that is gone.
   */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#forgetSignal?.();
      for (const batch of [this.#current, ...this.#held]) fill(batch, 0, batch.linkType);
      this.#held.clear();
      this.#closing = this.#session.close();
      this.#settle(this.#end());
    }
    return this.#closing;
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** @internal For a batch's hold(). */
  hold(batch: Batch): void {
    if (this.#held.size + 2 > this.#maxLeases) {
      throw new CaptureError(
        'RINGTAP_NO_BUFFER',
        `${this.uri}: ${this.#held.size} batches are held, and ${this.#maxLeases} is all there are`,
        {
          uri: this.uri,
          backend: this.backend,
        },
      );
    }
    batch.held = true;
    this.#held.add(batch);
    if (batch === this.#current) this.#current = this.#makeBatch();
  }

  /** @internal For a batch's release(). */
  release(batch: Batch): void {
    if (batch.length === 0) return;
    if (this.#external) fill(batch, 0, batch.linkType);
    else poison(batch);
    this.#session.release(batch.slot);
    if (!this.#held.delete(batch)) return;
    batch.held = false;
    // WHY not the batch itself: whoever held it may still have it, and release it once more.
    const descriptors = batch.time.buffer as ArrayBuffer;
    if (descriptors.byteLength > 0) this.#spare.push({ descriptors, number: batch.slot }); // else transferred away
  }

  /** @internal For a writer. */
  get session(): NativeSession {
    return this.#session;
  }

  /** A batch over descriptors that nobody uses. */
  #makeBatch(): Batch {
    const slot = this.#spare.pop() ?? { descriptors: this.#session.addSlot(), number: this.#slots++ };
    return new Batch(
      slot.descriptors,
      this.#capacity,
      (this.#views[0]?.view.buffer as ArrayBuffer) ?? new ArrayBuffer(0),
      slot.number,
      this,
    );
  }

  /** A trace with a longer record than there was room for has taken more memory. */
  #addView(index: number): { view: DataView; bytes: Uint8Array } {
    const memory = this.#session.segment(index);
    this.#views[index] = { view: new DataView(memory), bytes: new Uint8Array(memory) };
    return this.#views[index];
  }

  #slots = 0;

  #refuseSecondReader(): void {
    if (!this.#reading) return;
    throw new CaptureError('RINGTAP_BUSY', `${this.uri}: another reader is at work on this capture`, {
      uri: this.uri,
      backend: this.backend,
    });
  }

  #closed(): CaptureError {
    return new CaptureError('RINGTAP_CLOSED', `${this.uri}: the capture was closed`, {
      uri: this.uri,
      backend: this.backend,
    });
  }

  /**
   * One batch; null at the end; undefined when there is none yet, nor within `waitMs`, which block this thread. Throws
   * what ends the capture early.
   */
  #step(waitMs = 0): Batch | null | undefined {
    if (this.#abort !== undefined) throw this.#abort.reason;
    if (this.#failure !== undefined) throw this.#failure;
    const batch = this.#current;
    const count =
      waitMs > 0 ? this.#addon.next(this.#number, batch.slot, waitMs) : this.#addon.next(this.#number, batch.slot);
    if (count > 0) {
      if (this.#external) {
        const segment = this.#views[batch.control[0]!] ?? this.#addView(batch.control[0]!);
        if (batch.view !== segment.view) look(batch, segment.view, segment.bytes);
      } else {
        const memory = this.#session.copied(batch.slot);
        look(batch, new DataView(memory), new Uint8Array(memory));
      }
      fill(batch, count, batch.control[1]!);
      return batch;
    }
    fill(batch, 0, batch.linkType);
    switch (count) {
      case Rx.again:
      case Rx.interrupted:
        return undefined;
      case Rx.notice:
        this.#warn();
        return undefined;
      case Rx.eof:
        return null;
      case Rx.noBuffer:
        // WHY: a kernel ring is filled in order and may come round to a block that is held. A loop waits for its release;
        // who asks synchronously is the only one who can release it.
        if (this.#reading) return undefined;
        throw new CaptureError('RINGTAP_NO_BUFFER', `${this.uri}: held batches take all memory of the capture`, {
          uri: this.uri,
          backend: this.backend,
        });
      case Rx.closed:
        throw this.#closed();
      default:
        this.#failure = wrapNative(this.#session.error(), this.backend, this.uri);
        throw this.#failure;
    }
  }

  /** Something that does not end the capture, but must not pass in silence. */
  #warn(): void {
    const notice = wrapNative(this.#session.error(), this.backend, this.uri);
    if (!(notice instanceof CaptureError)) throw notice;
    warn(notice.code, notice.message);
  }

  #next(): Promise<IteratorResult<Batch, undefined>> {
    if (this.#pending !== undefined) {
      return Promise.reject(
        new CaptureError('RINGTAP_BUSY', `${this.uri}: next() was called before the last one settled`, {
          uri: this.uri,
        }),
      );
    }
    if (!this.#reading || this.#closing !== undefined) {
      const outcome = this.#reading ? this.#end() : DONE;
      this.#reading = false;
      return outcome instanceof Failure ? Promise.reject(outcome.reason) : Promise.resolve(outcome);
    }
    if (this.#isTurnOver) return this.#later(true);
    const outcome = this.#advance();
    if (outcome instanceof Batch) return outcome.resolved as Promise<IteratorResult<Batch, undefined>>;
    if (outcome instanceof Failure) return Promise.reject(outcome.reason);
    if (outcome !== undefined) return Promise.resolve(outcome);
    return this.#later(this.#always);
  }

  /** A step of the iterator: a batch, the end, what it fails with, or nothing yet. */
  #advance(): Batch | IteratorReturnResult<undefined> | Failure | undefined {
    try {
      const batch = this.#step();
      if (batch === undefined) return undefined;
      if (batch !== null) {
        this.#countTime(batch.control[2]!);
        return batch;
      }
      this.#reading = false;
      return DONE;
    } catch (error) {
      this.#reading = false;
      return new Failure(error);
    }
  }

  /** `now`: when a batch was received, in ms that wrap around. */
  #countTime(now: number): void {
    if (this.#turnBegan < 0) this.#turnBegan = now;
    this.#isTurnOver = (now - this.#turnBegan) >>> 0 >= TURN_MS;
  }

  /** Waits for packets, or, to give the event loop its turn, only for the next round of it. */
  #later(turn: boolean): Promise<IteratorResult<Batch, undefined>> {
    return new Promise((resolve, reject) => {
      this.#pending = (outcome) => {
        this.#pending = undefined;
        if (outcome instanceof Failure) reject(outcome.reason);
        else resolve(outcome);
      };
      if (turn) setImmediate(this.#resume);
      else this.#addon.wait(this.#number, this.#resume);
    });
  }

  readonly #resume = (): void => {
    if (this.#pending === undefined) return;
    this.#turnBegan = -1;
    this.#isTurnOver = false;
    const outcome = this.#advance();
    if (outcome instanceof Batch) this.#settle(outcome.result);
    else if (outcome !== undefined) this.#settle(outcome);
    else if (this.#always) setImmediate(this.#resume);
    else this.#addon.wait(this.#number, this.#resume);
  };

  #settle(outcome: Outcome): void {
    if (this.#pending === undefined) return;
    if (outcome instanceof Failure || outcome.done) this.#reading = false;
    this.#pending(outcome);
  }

  /** How a reader learns that the capture was closed under it. */
  #end(): IteratorReturnResult<undefined> | Failure {
    return this.#abort ?? DONE;
  }

  #stop(): Promise<IteratorReturnResult<undefined>> {
    this.#reading = false;
    if (this.#closing === undefined) this.release(this.#current);
    this.#settle(DONE);
    return Promise.resolve(DONE);
  }
}
