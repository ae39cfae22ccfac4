import { onAbort } from '../errors/abort.js';
import { Drained, type NativeSession } from '../native/native.js';

/** What a call waits for: room for a frame, or that nothing is queued any more. */
type Wanted = 'room' | 'empty';

interface Waiter {
  readonly wanted: Wanted;
  /** How long to wait while nothing is sent, in ms; 0: for ever. */
  readonly patienceMs: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Waits for a port, however many calls do: one native thread sends and sleeps for all of them, and the event loop is
 * woken when one of them has what it waits for.
 */
export class Draining {
  readonly #session: NativeSession;
  readonly #wrap: (error: unknown) => unknown;
  readonly #waiters = new Set<Waiter>();
  #isRunning = false;

  constructor(session: NativeSession, wrap: (error: unknown) => unknown) {
    this.#session = session;
    this.#wrap = wrap;
  }

  /**
   * Resolves when there is what is wanted; with `patienceMs` also when nothing was sent for so long. Rejects with what
   * the interface cannot send for, or the signal's reason.
   */
  wait(wanted: Wanted, signal?: AbortSignal, patienceMs = 0): Promise<void> {
    try {
      // At once where that is enough, as it mostly is.
      const queued = this.#session.flushTx();
      if (queued === 0 || (wanted === 'room' && this.#session.hasRoomTx())) return Promise.resolve();
    } catch (error) {
      return Promise.reject(this.#wrap(error));
    }
    return new Promise((resolve, reject) => {
      let forget = () => {};
      const leave = () => {
        forget();
        this.#waiters.delete(waiter);
        this.#steer();
      };
      const waiter: Waiter = {
        wanted,
        patienceMs,
        resolve: () => {
          leave();
          resolve();
        },
        reject: (error) => {
          leave();
          reject(error);
        },
      };
      this.#waiters.add(waiter);
      if (signal !== undefined) forget = onAbort(signal, () => waiter.reject(signal.reason));
      this.#steer();
      if (!this.#isRunning) void this.#run();
    });
  }

  #steer(): void {
    const waiters = [...this.#waiters];
    const wantsRoom = waiters.some(({ wanted }) => wanted === 'room');
    const patienceMs = Math.max(0, ...waiters.map((waiter) => waiter.patienceMs));
    this.#session.steerTx(wantsRoom, patienceMs, waiters.length === 0);
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#waiters.size > 0) {
      try {
        const end = await this.#session.drainTx();
        for (const waiter of [...this.#waiters]) {
          if (isFor(waiter, end)) waiter.resolve();
        }
      } catch (error) {
        const reason = this.#wrap(error);
        for (const waiter of [...this.#waiters]) waiter.reject(reason);
      }
    }
    this.#isRunning = false;
  }
}

/** Whether the waiting ended in what this one waits for. */
function isFor({ wanted, patienceMs }: Waiter, end: number): boolean {
  if (end === Drained.room) return wanted === 'room';
  return end === Drained.nothingSent ? patienceMs > 0 : end === Drained.empty;
}
