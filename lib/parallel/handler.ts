import type { Batch } from '../capture/batch.js';
import type { Plan } from '../plan/plan.js';

/**
 * What the functions of a handler are given beside a batch.
 * @example
 * const { plan, linkType, epoch } = capture;
 * const report = (value: unknown) => {
 *   console.log(value);
 *   return true;
 * };
 * // What to try out a handler with, without workers.
 * const context: ParallelContext = { worker: 0, workers: 1, data: null, plan, linkType, epoch, report };
 * context.report('all is well');
 */
export interface ParallelContext {
  /** Which worker this is: a number from 0. */
  readonly worker: number;
  /** The number of workers. */
  readonly workers: number;
  /** What `openParallel()` was given as `data`: a copy of the worker's own. */
  readonly data: unknown;
  /** How the capture is done. */
  readonly plan: Plan;
  /** LINKTYPE_ value of the packets. */
  readonly linkType: number;
  /** Unix time in ns that `batch.time` counts from. */
  readonly epoch: bigint;
  /**
   * Sends a value to `parallel.reports()`, copied as by `structuredClone()`.
   * @param value anything that can be cloned: no batch, and no view of its memory, which would be copied whole
   * @returns false when it was dropped, and counted, because too many wait to be read
   * @throws nothing but the DataCloneError of a value that cannot be cloned
   */
  report(value: unknown): boolean;
}

/**
 * What a handler module exports, by name or together as its default: functions that run in each worker. Only `onBatch` has to
 * be there. What one of them throws ends the worker ({@link WorkerFault}).
 * @example
 * let packets = 0;
 * const handler = {
 *   onStart({ worker, workers }: ParallelContext) {
 *     console.log(`worker ${worker} of ${workers}`);
 *   },
 *   onBatch(batch: Batch) {
 *     packets += batch.length;
 *   },
 *   onIdle() {
 *     console.log('nothing comes');
 *   },
 *   onReduce() {
 *     const found = packets;
 *     packets = 0;
 *     return found;
 *   },
 *   onEnd({ report }: ParallelContext) {
 *     report('done');
 *   },
 * } satisfies ParallelHandler;
 * // export default handler;
 * const { plan, linkType, epoch } = capture;
 * const context = { worker: 0, workers: 1, data: null, plan, linkType, epoch, report: () => true };
 * // What becomes of it in a worker:
 * handler.onStart(context);
 * for await (const batch of capture) handler.onBatch(batch);
 * handler.onIdle();
 * console.log(handler.onReduce());
 * handler.onEnd(context);
 */
export interface ParallelHandler {
  /**
   * Before the first packet can arrive, in every worker. May be asynchronous. A worker that goes on where another one has ended
   * calls it, too.
   * @param context what there is to know
   * @throws nothing that is caught: it ends the worker
   */
  onStart?(context: ParallelContext): void | Promise<void>;
  /**
   * A batch of packets of this worker. It is valid until this returns, or until the promise that it returns settles; or as
   * long as it is held. As long as no promise is returned, the worker blocks where it waits for packets: its own timers and
   * what it prints get their turn every 50 ms.
   * @param batch the packets
   * @param context what else there is to know
   * @throws nothing that is caught: it ends the worker
   */
  onBatch(batch: Batch, context: ParallelContext): void | Promise<void>;
  /**
   * Nothing has come for about 20 ms; again and again as long as that is so. Not of handlers whose `onBatch` returns promises:
   * their timers run.
   * @param context what there is to know
   * @throws nothing that is caught: it ends the worker
   */
  onIdle?(context: ParallelContext): void;
  /**
   * With `reduce`: what is to be merged of what was found since it was called last.
   * @param context what there is to know
   * @returns a value that can be cloned; undefined where there is nothing to merge
   * @throws nothing that is caught: it ends the worker
   */
  onReduce?(context: ParallelContext): unknown;
  /**
   * Nothing comes any more: the trace is at its end, or the capture is being closed, which waits a second for it. May be
   * asynchronous.
   * @param context what there is to know
   * @throws nothing that is caught: it ends the worker
   */
  onEnd?(context: ParallelContext): void | Promise<void>;
}
