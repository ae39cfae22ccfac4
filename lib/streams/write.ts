import { Writable } from 'node:stream';
import type { Batch } from '../capture/batch.js';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { isFound } from './pull.js';

/** What is written into: a writer. */
export type BatchSink = {
  /** Takes a batch, which stays as it is until this settles. */
  readonly write: (batch: Batch) => Promise<void>;
  /** Completes the file. */
  readonly close: () => Promise<void>;
};

/**
 * A stream into a writer, of owned batches: `readBatches()` gives them. The end of the stream completes the file; a stream
 * that is destroyed closes it, and what was written before is in it, all that a pipeline has brought it included: its `close`
 * event says that the file is complete.
 * @example
 * import { pipeline } from 'node:stream/promises';
 * await pipeline(readBatches(capture), writeTo(await openWriter('out.pcapng')));
 * console.log(capture.stats().delivered);
 * @param writer which nobody else writes with
 * @throws CaptureError RINGTAP_BAD_OPTION where it is no writer. The stream fails with what `writer.write()` and
 * `writer.close()` reject with
 */
export function writeTo(writer: BatchSink): Writable {
  if (!isFound(() => typeof writer.write === 'function' && typeof writer.close === 'function')) {
    throw new CaptureError('RINGTAP_BAD_OPTION', `writeTo() writes with a writer, not ${show(writer)}`, {
      hint: "Give it what openWriter() resolves to: await openWriter('out.pcapng').",
    });
  }
  const settle = (work: Promise<void>, done: (error?: Error | null) => void) => {
    work.then(
      () => done(),
      (error: unknown) => done(error as Error),
    );
  };
  let underWay: Promise<void> = Promise.resolve();
  return new Writable({
    objectMode: true,
    // WHY one: a pipeline whose source fails destroys this stream, and what waits in a stream then is dropped. The batch
    // under way is not: the file is completed after it.
    highWaterMark: 1,
    write: (batch: Batch, _, done) => {
      underWay = writer.write(batch);
      settle(underWay, done);
    },
    final: (done) => settle(writer.close(), done),
    destroy: (error, done) => {
      const failed = (failure: unknown) => done(error ?? (failure as Error));
      const close = () => writer.close().then(() => done(error), failed);
      underWay.then(close, close).catch(failed);
    },
  });
}
