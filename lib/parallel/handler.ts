import type { Batch } from '../capture/batch.js';
import type { Plan } from '../plan/plan.js';

/**
 * What the functions of a handler are given beside a batch.
 * @example
 * export function onStart({ worker, workers, data }) {
 *   console.log(`${worker + 1} of ${workers}`, data);
 * }
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
   * @example
   * export function onBatch(batch, context) {
   *   if (batch.length > 1000) console.log(context.report({ packets: batch.length }));
   * }
   */
  report(value: unknown): boolean;
}

/**
 * What a handler module exports, by name or together as its default: functions that run in each worker. Only `onBatch` has to
 * be there. What one of them throws ends the worker ({@link WorkerFault}).
 * @example
 * import type { ParallelHandler } from 'ringtap';
 * let packets = 0;
 * const handler: ParallelHandler = {
 *   onBatch(batch) {
 *     packets += batch.length;
 *   },
 *   onEnd(context) {
 *     console.log(context.worker, packets);
 *   },
 * };
 * export default handler;
 */
export interface ParallelHandler {
  /**
   * Before the first packet can arrive, in every worker. May be asynchronous. A worker that goes on where another one has ended
   * calls it, too.
   * @param context what there is to know
   * @throws nothing that is caught: it ends the worker
   * @example
   * export async function onStart({ data }) {
   *   console.log('ready with', data);
   * }
   */
  onStart?(context: ParallelContext): void | Promise<void>;
  /**
   * A batch of packets of this worker. It is valid until this returns, or until the promise that it returns settles; or as
   * long as it is held. As long as no promise is returned, the worker blocks where it waits for packets: its own timers and
   * what it prints get their turn every 50 ms.
   * @param batch the packets
   * @param context what else there is to know
   * @throws nothing that is caught: it ends the worker
   * @example
   * export function onBatch(batch, context) {
   *   console.log(context.worker, batch.length);
   * }
   */
  onBatch(batch: Batch, context: ParallelContext): void | Promise<void>;
  /**
   * Nothing has come for about 20 ms; again and again as long as that is so. Not of handlers whose `onBatch` returns promises:
   * their timers run.
   * @param context what there is to know
   * @throws nothing that is caught: it ends the worker
   * @example
   * export function onIdle({ worker }) {
   *   console.log(worker, 'has nothing to do');
   * }
   */
  onIdle?(context: ParallelContext): void;
  /**
   * With `reduce`: what is to be merged of what was found since it was called last.
   * @param context what there is to know
   * @returns a value that can be cloned; undefined where there is nothing to merge
   * @throws nothing that is caught: it ends the worker
   * @example
   * let packets = 0;
   * export function onBatch(batch) {
   *   packets += batch.length;
   * }
   * export function onReduce() {
   *   const found = packets;
   *   packets = 0;
   *   console.log(found);
   *   return found;
   * }
   */
  onReduce?(context: ParallelContext): unknown;
  /**
   * Nothing comes any more: the trace is at its end, or the capture is being closed, which waits a second for it. May be
   * asynchronous.
   * @param context what there is to know
   * @throws nothing that is caught: it ends the worker
   * @example
   * export function onEnd({ worker, report }) {
   *   console.log(report(`worker ${worker} is done`));
   * }
   */
  onEnd?(context: ParallelContext): void | Promise<void>;
}
