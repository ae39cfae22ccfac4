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

/** Gets a batch, how many of its packets are wanted, and which capture it is of. The batch is lent until it settles. */
export type Handle = (batch: Batch, count: number, capture: number) => Promise<void> | void;

/** Reads captures until they end, a limit is reached, or the user asks it to stop; counts what came. */
export class Run {
  packets = 0;
  /** On the wire. */
  bytes = 0;
  /** Packets of each capture. */
  readonly each: number[];
  readonly #captures: readonly Capture[];
  readonly #limits: Limits;
  readonly #begin = performance.now();
  /** How to end the wait of each capture that waits. */
  readonly #waiting = new Set<() => void>();
  #seconds: number | undefined;
  #stopping = false;

  constructor(captures: readonly Capture[], limits: Limits) {
    this.#captures = captures;
    this.#limits = limits;
    this.each = captures.map(() => 0);
  }

  /** From the beginning until now, or until the run ended. */
  get seconds(): number {
    return this.#seconds ?? (performance.now() - this.#begin) / 1000;
  }

  /** Heeds signals from the call on, not from when it settles. Where one capture fails, it ends the others. */
  async handle(handle: Handle): Promise<void> {
    const stop = () => this.stop();
    onSignal(stop);
    const timer = this.#limits.durationMs === undefined ? undefined : setTimeout(stop, this.#limits.durationMs);
    const following = this.#captures.map((_, i) =>
      this.#follow(i, handle).catch((error) => {
        stop();
        throw blameData(error);
      }),
    );
    const ends = await Promise.allSettled(following);
    clearTimeout(timer);
    this.#seconds = this.seconds;
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  /** Ends it in good order. */
  stop(): void {
    this.#stopping = true;
    for (const end of this.#waiting) end();
  }

  async #follow(i: number, handle: Handle): Promise<void> {
    const batches = this.#captures[i]![Symbol.asyncIterator]();
    // WHY: only while it waits, because a return() would take away the batch that is being handled.
    const end = () => void batches.return?.();
    while (!this.#stopping) {
      this.#waiting.add(end);
      const { value: batch } = await batches.next();
      this.#waiting.delete(end);
      if (batch === undefined) break;
      await this.#take(batch, i, handle);
    }
    await batches.return?.();
    await this.#takePending(i, handle);
  }

  async #take(batch: Batch, i: number, handle: Handle): Promise<void> {
    const { count = Number.POSITIVE_INFINITY } = this.#limits;
    const taken = Math.min(batch.length, count - this.packets);
    const { wirelen } = batch;
    for (let packet = 0; packet < taken; packet++) this.bytes += wirelen[packet]!;
    this.packets += taken;
    this.each[i]! += taken;
    if (this.packets >= count) this.stop();
    if (taken > 0) await handle(batch, taken, i);
  }

  /** What had arrived when the time was up or the user stopped: it was captured, so it belongs into the result. */
  async #takePending(i: number, handle: Handle): Promise<void> {
    const { count = Number.POSITIVE_INFINITY } = this.#limits;
    const capture = this.#captures[i]!;
    for (let { pending } = capture.stats(); pending > 0 && this.packets < count; ) {
      const batch = capture.nextSync(LATE_MS); // it may lie in a block that the kernel has not handed over yet
      if (batch === null) return;
      pending -= batch.length;
      await this.#take(batch, i, handle);
    }
  }
}

/** The first signal stops in good order, a later one ends at once. For good: what was read has yet to be written. */
export function onSignal(stop: () => void): void {
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
