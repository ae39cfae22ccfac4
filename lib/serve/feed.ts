// A capture that is read for clients.
import { setTimeout as sleep } from 'node:timers/promises';
import type { Batch } from '../capture/batch.js';
import type { Capture } from '../capture/capture.js';
import type { Leg, Window } from './leg.js';

/** What a client gets of it, and who hears that nothing comes any more. */
interface Subscription {
  window: Window;
  readonly onEnd: (error: unknown) => void;
}

/** How long packets that have arrived may take to be handed over. */
const LATE_MS = 250;
const LOOK_MS = 4;

/**
 * Reads one capture for one client, and then no faster than he takes the packets: what is lost is lost in the capture, and
 * counted there; or for several, of whom a slow one loses packets alone.
 */
export class Feed {
  readonly capture: Capture;
  readonly #waits: boolean;
  readonly #onClosed: () => void;
  readonly #legs = new Map<Leg, Subscription>();
  #batches: AsyncIterator<Batch, undefined> | undefined;
  #isWaiting = false;
  #isStopping = false;
  /** Why nothing comes any more. */
  #over: { readonly error: unknown } | undefined;
  #reading: Promise<void> | undefined;

  /** @param isShared it is read for several clients @param onClosed its capture has no memory any more */
  constructor(capture: Capture, isShared: boolean, onClosed: () => void) {
    this.capture = capture;
    this.#waits = !isShared;
    this.#onClosed = onClosed;
  }

  get isUsed(): boolean {
    return this.#legs.size > 0;
  }

  /** The client gets packets from now on. `onEnd`: nothing comes any more, and nobody has stopped it. */
  add(leg: Leg, window: Window, onEnd: (error: unknown) => void): void {
    this.#legs.set(leg, { window, onEnd });
    const over = this.#over;
    if (over !== undefined) queueMicrotask(() => onEnd(over.error));
    this.#reading ??= this.#read();
  }

  remove(leg: Leg): void {
    this.#legs.delete(leg);
  }

  /** From now on no client gets packets of later than that. */
  limit(until: number): void {
    for (const subscription of this.#legs.values()) subscription.window = { ...subscription.window, until };
  }

  /** Ends with what has arrived by now. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    if (this.#isWaiting) void this.#batches?.return?.();
    await this.#reading;
    await this.capture.close();
    this.#onClosed();
  }

  async #read(): Promise<void> {
    try {
      await this.#follow();
      if (this.#isStopping) await this.#takePending();
      else this.#ended(undefined);
    } catch (error) {
      if (!this.#isStopping) this.#ended(error);
    }
  }

  #ended(error: unknown): void {
    this.#over = { error };
    for (const { onEnd } of [...this.#legs.values()]) onEnd(error);
  }

  async #follow(): Promise<void> {
    const batches = this.capture[Symbol.asyncIterator]();
    this.#batches = batches;
    while (!this.#isStopping) {
      // WHY: only while it waits, because a return() would take away the batch that is being sent.
      this.#isWaiting = true;
      const { value: batch } = await batches.next();
      this.#isWaiting = false;
      if (batch === undefined) break;
      await this.#take(batch);
    }
    await batches.return?.();
  }

  /** Undefined, mostly: an await of nothing costs little, a promise for each batch more. */
  #take(batch: Batch): Promise<void> | undefined {
    if (!this.#waits) {
      for (const [leg, { window }] of this.#legs) leg.takeNow(batch, window);
      return undefined;
    }
    const [only] = this.#legs;
    return only?.[0].take(batch, only[1].window);
  }

  /** What has arrived was captured: it belongs to what is sent. */
  async #takePending(): Promise<void> {
    const begin = performance.now();
    while (performance.now() - begin < LATE_MS && this.isUsed && !this.capture.ended) {
      const batch = this.capture.tryNext();
      if (batch !== null) await this.#take(batch);
      else if (this.capture.stats().pending === 0) return;
      else await sleep(LOOK_MS);
    }
  }
}
