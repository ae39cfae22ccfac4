import { onAbort } from '../errors/abort.js';
import type { BackendName, FilterProgram } from '../generated/options.js';
import type { NativeInfo, NativeSession } from '../native/native.js';
import type { Plan } from '../plan/plan.js';
import type { Transmitter } from '../transmit/transmit.js';
import { checkFilter, flatten } from '../uri/values.js';
import type { Batch } from './batch.js';
import { Faults } from './faults.js';
import { Lending } from './lending.js';
import type { Peer } from './peer.js';
import { Reader } from './reader.js';
import { type CaptureStats, toStats } from './stats.js';

/** Takes the listeners of collected captures off their signals. */
const forgotten = new FinalizationRegistry<() => void>((forget) => forget());

/**
 * An open capture. Read it with `for await`, {@link tryNext} or {@link nextSync}; one reader at a time.
 *
 * A `break` leaves it open, so that reading can go on later; {@link close} it, or let `await using` do so. The end of
 * a trace ends the loop; a failure rejects it with a {@link CaptureError}.
 * @example
 * await using capture = await open('synth:?count=10000');
 * for await (const batch of capture) console.log(batch.length);
 * console.log(capture.backend, capture.stats());
 */
export class Capture implements AsyncIterable<Batch>, AsyncDisposable {
  /** The URI as it was given to `open()`. */
  readonly uri: string;
  /** The capture method that was chosen. */
  readonly backend: BackendName;
  /** LINKTYPE_ value of the packets (tcpdump.org/linktypes.html); in a pcapng file that of the first interface. */
  readonly linkType: number;
  /** Unix time in ns that `batch.time` counts from. */
  readonly epoch: bigint;
  /** How the capture is done, and why so. */
  readonly plan: Plan;
  /** Sends packets through the same method; null where it cannot. */
  readonly transmit: Transmitter | null;
  /** Who connected to `listen()` with these packets; null for what was opened. */
  readonly peer: Peer | null;

  readonly #session: NativeSession;
  readonly #faults: Faults;
  readonly #lending: Lending;
  readonly #reader: Reader;
  #closing: Promise<void> | undefined;
  #forgetSignal: (() => void) | undefined;

  /** @internal Use `open()`. */
  constructor(
    session: NativeSession,
    info: NativeInfo,
    plan: Plan,
    transmit: Transmitter | null,
    signal?: AbortSignal,
    peer: Peer | null = null,
  ) {
    this.#session = session;
    this.uri = plan.uri;
    this.backend = plan.backend;
    this.plan = plan;
    this.transmit = transmit;
    this.peer = peer;
    this.linkType = info.linkType;
    this.#faults = new Faults(plan.uri, plan.backend);
    this.#lending = new Lending(this, session, info, this.#faults);
    this.#reader = new Reader(session, info, this.#lending, this.#faults);
    this.epoch = this.#lending.epoch;
    if (signal !== undefined) this.#heed(signal);
  }

  /** Weakly: a signal that lives as long as its program must not keep a forgotten capture alive. */
  #heed(signal: AbortSignal): void {
    const self = new WeakRef(this);
    // It may have been aborted since open() looked: then this calls back at once.
    this.#forgetSignal = onAbort(signal, () => {
      const capture = self.deref();
      if (capture === undefined) return;
      capture.#reader.abort(signal.reason);
      void capture.close();
    });
    forgotten.register(this, this.#forgetSignal);
  }

  /**
   * Whether nothing comes any more: a trace or `count` is at its end, the capture failed, was aborted or closed. While it
   * is false, `null` of {@link tryNext} and {@link nextSync} means that there is nothing yet; once it is true it stays so.
   *
   * It turns true at the step that finds the end, with its `null` or error; after `close()`, at once.
   * @example
   * while (!capture.ended) {
   *   const batch = capture.nextSync(100);
   *   if (batch !== null) console.log(batch.length);
   * }
   */
  get ended(): boolean {
    return this.#reader.ended;
  }

  /**
   * The next batch if there is one right now; never waits. The batch before it is released.
   * @returns null when there is none yet, or, where {@link ended} is true then, when none will come any more
   * @throws CaptureError what the capture fails with; RINGTAP_NO_BUFFER when held batches take all of its memory,
   * RINGTAP_BUSY beside another reader, RINGTAP_CLOSED; or the signal's reason
   * @example
   * for (let batch = capture.tryNext(); batch !== null; batch = capture.tryNext()) console.log(batch.length);
   */
  tryNext(): Batch | null {
    return this.#reader.tryNext();
  }

  /**
   * The next batch, blocking this thread for up to `timeoutMs` (default: for ever). For workers and tools: the event
   * loop stands still meanwhile. Having read all there was it lets packets gather first, as a loop does, for as long as
   * the capture's own `timeoutMs` says. The batch before it is released.
   * @param timeoutMs how long to wait, in ms
   * @returns null when the time is up, or, where {@link ended} is true then, when none will come any more
   * @throws as {@link tryNext}; RINGTAP_BAD_OPTION when `timeoutMs` is no number
   */
  nextSync(timeoutMs = Number.POSITIVE_INFINITY): Batch | null {
    if (typeof timeoutMs !== 'number' || Number.isNaN(timeoutMs)) {
      throw this.#faults.make('RINGTAP_BAD_OPTION', 'nextSync(): timeoutMs must be a number of milliseconds');
    }
    return this.#reader.nextSync(timeoutMs);
  }

  /**
   * Reads batches as they come.
   * @throws CaptureError what the capture fails with, RINGTAP_BUSY where another reader has not finished; or the signal's
   * reason
   */
  [Symbol.asyncIterator](): AsyncIterator<Batch, undefined> & AsyncIterable<Batch> {
    return this.#reader.iterate();
  }

  /**
   * Another filter for a running capture at a daemon (`rpcap:`). When it resolves the daemon filters with it, and no packet
   * is lent any more that does not match; until then packets come that match either of the two. Changes follow each other in
   * the order in which they were asked for.
   * @param filter an expression or a program, as `open()` takes it; null for none
   * @throws CaptureError RINGTAP_UNSUPPORTED where the method has no such thing, RINGTAP_BAD_FILTER, RINGTAP_REMOTE_REFUSED,
   * what the capture fails with, RINGTAP_CLOSED; the filter before stays in force then
   * @example
   * try {
   *   await capture.setFilter('udp port 53');
   * } catch (error) {
   *   console.log(error); // no capture at a daemon
   * }
   */
  async setFilter(filter: string | FilterProgram | null): Promise<void> {
    if (this.#closing !== undefined) throw this.#faults.make('RINGTAP_CLOSED', 'the capture was closed');
    if (this.#session.changeFilter === undefined) {
      const hint = 'Open a second capture with the other filter, and close the first one then.';
      throw this.#faults.make(
        'RINGTAP_UNSUPPORTED',
        `${this.backend} cannot change the filter of a running capture`,
        hint,
      );
    }
    const checked = filter === null ? undefined : checkFilter(this, filter);
    try {
      await this.#session.changeFilter(flatten(checked));
    } catch (error) {
      throw this.#faults.wrap(error);
    }
  }

  /**
   * The ledger. Exact, and still readable after close.
   * @throws nothing
   * @example
   * const { received, dropped, drops } = capture.stats();
   * console.log(`${received} received, ${dropped} lost`, drops);
   */
  stats(): CaptureStats {
    return toStats(this.#session.stats());
  }

  /**
   * An open capture that is being read keeps the process alive; this is the default.
   * @throws nothing
   */
  ref(): this {
    this.#session.setRef(true);
    return this;
  }

  /**
   * Waiting for packets does not keep the process alive.
   * @throws nothing
   * @example
   * capture.unref(); // the program may end while nothing comes
   * capture.ref(); // it may not
   * console.log(capture.ended);
   */
  unref(): this {
    this.#session.setRef(false);
    return this;
  }

  /**
   * Stops the capture, ends a running `for await`, makes every view of its memory empty and frees it. Packets that
   * were not read stay counted as pending. Idempotent. Asynchronous work of Node's own on lent bytes (zlib, crypto, fs)
   * must have ended by then: it would read memory that is gone.
   * @throws nothing that a caller could mend
   * @example
   * process.once('SIGTERM', () => capture.close()); // the loop ends
   * for await (const batch of capture) console.log(batch.length);
   * await capture.close();
   */
  close(): Promise<void> {
    if (this.#closing === undefined) {
      this.#forgetSignal?.();
      this.#lending.close();
      this.#closing = this.#session.close();
      this.#reader.close();
    }
    return this.#closing;
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
