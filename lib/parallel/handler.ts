import type { Batch } from '../capture/batch.js';
import type { Plan } from '../plan/plan.js';

/** What the functions of a handler are given beside a batch. */
export interface ParallelContext {
  /** Which worker this is, from 0. */
  readonly worker: number;
  /** How many there are. */
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
   * @param value anything that can be cloned: no batch, and no view of its memory, which is copied whole
   * @returns false when it was dropped, and counted, because too many wait to be read
   * @throws a DataCloneError where it cannot be cloned
   * @example
   * export function onBatch(batch, context) {
   *   if (batch.length > 1000) console.log(context.report({ packets: batch.length }));
   * }
   */
  report(value: unknown): boolean;
}

/**
 * What a handler module exports: functions that run in each worker. Only `onBatch` has to be there.
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
 * export const { onBatch, onEnd } = handler;
 */
export interface ParallelHandler {
  /** Before the first packet can arrive, in every worker. May be asynchronous. */
  onStart?(context: ParallelContext): void | Promise<void>;
  /**
   * A batch of packets of this worker. It is valid until this returns, or until the promise that it returns settles; or as
   * long as it is held. A function that returns no promise is called without a turn of the event loop in between.
   */
  onBatch(batch: Batch, context: ParallelContext): void | Promise<void>;
  /** Nothing has come for about 20 ms; again and again as long as that is so. */
  onIdle?(context: ParallelContext): void;
  /** With `reduce`: what is to be merged of what was found since the last time. Nothing is merged where it is undefined. */
  onReduce?(context: ParallelContext): unknown;
  /** Nothing comes any more: the trace is at its end, or the capture is being closed. May be asynchronous. */
  onEnd?(context: ParallelContext): void | Promise<void>;
}
