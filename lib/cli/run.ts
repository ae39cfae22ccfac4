import type { Batch, Capture } from '../index.js';
import { blameData } from './errors.js';
import { endWithTerminal } from './output.js';

/** How long packets that are pending may take to come. */
const LATE_MS = 100;
/** Asked to stop, by a user, a supervisor, or the terminal that goes. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/**
 * Signals so close together are one wish: GNU timeout signals its child and then the group that the child is in, and
 * Ctrl-C under npx comes from the terminal and from npm.
 */
const SAME_WISH_MS = 300;

export interface Limits {
  /** Stop after so many packets. */
  readonly count?: number | undefined;
  /** Stop after so many milliseconds. */
  readonly durationMs?: number | undefined;
}

/** Reads a capture until it ends, a limit is reached, or the user asks it to stop; counts what came. */
export class Run {
  packets = 0;
  /** On the wire. */
  bytes = 0;
  readonly #capture: Capture;
  readonly #limits: Limits;
  readonly #begin = performance.now();
  #seconds: number | undefined;
  #stopping = false;
  #wakeUp = () => {};

  constructor(capture: Capture, limits: Limits) {
    this.#capture = capture;
    this.#limits = limits;
  }

  /** From the beginning until now, or until the run ended. */
  get seconds(): number {
    return this.#seconds ?? (performance.now() - this.#begin) / 1000;
  }

  /** Ends it in good order. */
  stop(): void {
    this.#stopping = true;
    this.#wakeUp();
  }

  /**
   * Heeds signals from the call on, not from when it settles.
   * @param handle gets each batch, and how many of its packets are wanted; the batch is lent until it settles
   */
  async each(handle: (batch: Batch, count: number) => Promise<void> | void): Promise<void> {
    const batches = this.#capture[Symbol.asyncIterator]();
    let isWaiting = false;
    this.#wakeUp = () => {
      // WHY: only then, because a return() would take away the batch that is being handled.
      if (isWaiting) void batches.return?.();
    };
    const stop = () => this.stop();
    onSignal(stop);
    const timer = this.#limits.durationMs === undefined ? undefined : setTimeout(stop, this.#limits.durationMs);
    try {
      while (!this.#stopping) {
        isWaiting = true;
        const { value: batch } = await batches.next();
        isWaiting = false;
        if (batch === undefined) break;
        await this.#take(batch, handle);
      }
      await batches.return?.();
      await this.#takePending(handle);
    } catch (error) {
      throw blameData(error);
    } finally {
      clearTimeout(timer);
      this.#seconds = this.seconds;
    }
  }

  async #take(batch: Batch, handle: (batch: Batch, count: number) => Promise<void> | void): Promise<void> {
    const { count = Number.POSITIVE_INFINITY } = this.#limits;
    const taken = Math.min(batch.length, count - this.packets);
    const { wirelen } = batch;
    for (let i = 0; i < taken; i++) this.bytes += wirelen[i]!;
    this.packets += taken;
    if (this.packets >= count) this.#stopping = true;
    await handle(batch, taken);
  }

  /** What had arrived when the time was up or the user stopped: it was captured, so it belongs into the result. */
  async #takePending(handle: (batch: Batch, count: number) => Promise<void> | void): Promise<void> {
    const { count = Number.POSITIVE_INFINITY } = this.#limits;
    for (let { pending } = this.#capture.stats(); pending > 0 && this.packets < count; ) {
      const batch = this.#capture.nextSync(LATE_MS); // it may lie in a block that the kernel has not handed over yet
      if (batch === null) return;
      pending -= batch.length;
      await this.#take(batch, handle);
    }
  }
}

/** The first signal stops in good order, a later one ends at once. For good: what was read has yet to be written. */
function onSignal(stop: () => void): void {
  let first: number | undefined;
  const handler = (signal: NodeJS.Signals) => {
    if (signal === 'SIGHUP') endWithTerminal();
    first ??= performance.now();
    if (performance.now() - first < SAME_WISH_MS) return stop();
    // On 'exit' a writer writes what it has.
    process.once('exit', () => {
      process.removeAllListeners(signal);
      process.kill(process.pid, signal);
    });
    process.exit();
  };
  for (const signal of SIGNALS) process.on(signal, handler);
}
