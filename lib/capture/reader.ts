import { performance } from 'node:perf_hooks';
import { CaptureError, warn } from '../errors/errors.js';
import { addon, type NativeInfo, type NativeSession, Rx } from '../native/native.js';
import { Batch } from './batch.js';
import type { Faults } from './faults.js';
import type { Lending } from './lending.js';

/** How long batches may follow each other before timers, I/O and signals get their turn. */
const TURN_MS = 4;
/** How long nextSync blocks at a stretch: worker.terminate() waits for it. */
const BLOCK_MS = 20;

/** What a read fails with. A signal's reason may be anything, so that only the wrapping tells it from a result. */
class Failure {
  constructor(readonly reason: unknown) {}
}

type End = IteratorReturnResult<undefined>;
type Outcome = IteratorResult<Batch, undefined> | Failure;

const DONE = Object.freeze({ value: undefined, done: true as const });

/** Reads a capture, batch by batch: at once, blocking, or by an iterator that waits on the event loop. */
export class Reader {
  // WHY the object: V8 calls a native function fast when it is a method, and slowly when it is a value.
  readonly #addon = addon();
  readonly #session: NativeSession;
  readonly #number: number;
  readonly #lending: Lending;
  readonly #faults: Faults;
  /** Whether there are always packets: then there is nothing to wait for. */
  readonly #always: boolean;
  /** Why nothing comes any more. */
  #over: 'eof' | 'closed' | Failure | undefined;
  #isClosed = false;
  #isIterating = false;
  #iterators = 0;
  /** Of the promise that an iterator waits for. */
  #resolve: ((result: IteratorResult<Batch, undefined>) => void) | undefined;
  #reject: ((reason: unknown) => void) | undefined;
  #turnBegan = -1;
  #isTurnOver = false;

  constructor(session: NativeSession, info: NativeInfo, lending: Lending, faults: Faults) {
    this.#session = session;
    this.#number = info.number;
    this.#lending = lending;
    this.#faults = faults;
    this.#always = info.readiness === 'always';
    session.onReady(this.#resume);
  }

  get ended(): boolean {
    return this.#over !== undefined;
  }

  tryNext(): Batch | null {
    if (this.#isIterating) throw this.#busy();
    return this.#step() ?? null;
  }

  nextSync(timeoutMs: number): Batch | null {
    if (this.#isIterating) throw this.#busy();
    const deadline = performance.now() + timeoutMs;
    for (let left = timeoutMs; ; ) {
      const batch = this.#step(Math.ceil(Math.min(left, BLOCK_MS)), left > BLOCK_MS);
      if (batch !== undefined) return batch;
      left = deadline - performance.now();
      if (left <= 0) return null;
    }
  }

  iterate(): AsyncIterator<Batch, undefined> & AsyncIterable<Batch> {
    if (this.#isIterating) throw this.#busy();
    if (this.#over === 'closed') throw this.#closed();
    this.#isIterating = true;
    const number = ++this.#iterators;
    // One that was ended must not take batches from the iterator after it, nor end it.
    const isOver = () => number !== this.#iterators;
    const stop = () => {
      if (!isOver()) this.#stop();
    };
    return {
      next: () => (isOver() ? Promise.resolve(DONE) : this.#next()),
      return: async () => {
        stop();
        return DONE;
      },
      throw: async (error) => {
        stop();
        throw error;
      },
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /** The capture ends early: what is read from now on fails with `reason`. */
  abort(reason: unknown): void {
    this.#over = new Failure(reason);
  }

  /** The capture was closed: whoever waits is told. */
  close(): void {
    this.#isClosed = true;
    if (!(this.#over instanceof Failure)) this.#over = 'closed';
    this.#settle(this.#endOfClosed());
  }

  /**
   * One batch; null at the end; undefined when there is none yet, nor within `waitMs`, which block this thread, or when
   * packets gather for longer and the wait `goesOn`. Throws what ends the capture early.
   */
  #step(waitMs = 0, goesOn = false): Batch | null | undefined {
    if (this.#over !== undefined) return this.#stepBeyond();
    const lending = this.#lending;
    lending.end();
    const count =
      waitMs > 0
        ? this.#addon.next(this.#number, lending.slot, waitMs, goesOn)
        : this.#addon.next(this.#number, lending.slot);
    return count > 0 ? lending.lend(count) : this.#without(count);
  }

  #stepBeyond(): null {
    if (this.#over === 'eof') return null;
    throw this.#over instanceof Failure ? this.#over.reason : this.#closed();
  }

  /** What it means that a step brought no packets. */
  #without(result: number): null | undefined {
    switch (result) {
      case Rx.again:
        return undefined;
      case Rx.notice:
        this.#warn();
        return undefined;
      case Rx.eof:
        this.#over = 'eof';
        return null;
      case Rx.noBuffer:
        // WHY: a kernel ring is filled in order and may come round to a block that is held. A loop waits for its release;
        // who asks synchronously is the only one who can release it.
        if (this.#isIterating) return undefined;
        throw this.#faults.make('RINGTAP_NO_BUFFER', 'held batches take all memory of the capture');
      case Rx.closed:
        this.#over = 'closed';
        throw this.#closed();
      default: {
        const failure = new Failure(this.#error());
        this.#over = failure;
        throw failure.reason;
      }
    }
  }

  /** Something that does not end the capture, but must not pass in silence. */
  #warn(): void {
    const notice = this.#error();
    if (!(notice instanceof CaptureError)) throw notice;
    warn(notice.code, notice.message);
  }

  #next(): Promise<IteratorResult<Batch, undefined>> {
    if (this.#resolve !== undefined) {
      return Promise.reject(this.#faults.make('RINGTAP_BUSY', 'next() was called before the last one settled'));
    }
    if (!this.#isIterating || this.#isClosed) {
      const outcome = this.#isIterating ? this.#endOfClosed() : DONE;
      this.#isIterating = false;
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
  #advance(): Batch | End | Failure | undefined {
    try {
      const batch = this.#step();
      if (batch === undefined) return undefined;
      if (batch !== null) {
        this.#countTime(batch.control[2]!);
        return batch;
      }
      this.#isIterating = false;
      return DONE;
    } catch (error) {
      this.#isIterating = false;
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
    const promise = new Promise(this.#remember);
    if (turn) setImmediate(this.#resume);
    else this.#addon.wait(this.#number);
    return promise;
  }

  /** WHY once: a wake-up pays for each closure that is made for it. */
  readonly #remember = (
    resolve: (result: IteratorResult<Batch, undefined>) => void,
    reject: (reason: unknown) => void,
  ): void => {
    this.#resolve = resolve;
    this.#reject = reject;
  };

  readonly #resume = (): void => {
    if (this.#resolve === undefined) return;
    this.#turnBegan = -1;
    this.#isTurnOver = false;
    const outcome = this.#advance();
    if (outcome instanceof Batch) this.#settle(outcome.result);
    else if (outcome !== undefined) this.#settle(outcome);
    else if (this.#always) setImmediate(this.#resume);
    else this.#addon.wait(this.#number);
  };

  #settle(outcome: Outcome): void {
    const resolve = this.#resolve;
    const reject = this.#reject;
    if (resolve === undefined || reject === undefined) return;
    this.#resolve = undefined;
    this.#reject = undefined;
    if (outcome instanceof Failure) {
      this.#isIterating = false;
      reject(outcome.reason);
    } else {
      if (outcome.done) this.#isIterating = false;
      resolve(outcome);
    }
  }

  /** The iterator was left before the end: reading may go on later. */
  #stop(): void {
    this.#isIterating = false;
    if (!this.#isClosed) this.#lending.releaseCurrent();
    this.#settle(DONE);
  }

  /** How an iterator learns that the capture was closed under it. */
  #endOfClosed(): End | Failure {
    return this.#over instanceof Failure ? this.#over : DONE;
  }

  #error(): unknown {
    return this.#faults.wrap(this.#session.error());
  }

  #busy(): CaptureError {
    return this.#faults.make('RINGTAP_BUSY', 'another reader is at work on this capture');
  }

  #closed(): CaptureError {
    return this.#faults.make('RINGTAP_CLOSED', 'the capture was closed');
  }
}
