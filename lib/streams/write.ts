import { Writable } from 'node:stream';
import type { Batch } from '../capture/batch.js';

/** What is written into: a writer. */
export type BatchSink = {
  /** Takes a batch, which stays as it is until this settles. */
  readonly write: (batch: Batch) => Promise<void>;
  /** Completes the file. */
  readonly close: () => Promise<void>;
};

/**
 * A stream into a writer, of owned batches: `readBatches()` gives them. The end of the stream completes the file; a stream
 * that is destroyed closes it, and what was written before is in it.
 * @example
 * import { pipeline } from 'node:stream/promises';
 * await pipeline(readBatches(capture), writeTo(await openWriter('out.pcapng')));
 * console.log(capture.stats().delivered);
 * @param writer which nobody else writes with
 * @throws nothing; the stream fails with what `writer.write()` and `writer.close()` reject with
 */
export function writeTo(writer: BatchSink): Writable {
  const settle = (work: Promise<void>, done: (error?: Error | null) => void) => {
    work.then(
      () => done(),
      (error: unknown) => done(error as Error),
    );
  };
  return new Writable({
    objectMode: true,
    highWaterMark: 16,
    write: (batch: Batch, _, done) => settle(writer.write(batch), done),
    final: (done) => settle(writer.close(), done),
    destroy: (error, done) => {
      writer.close().then(
        () => done(error),
        (failure: unknown) => done(error ?? (failure as Error)),
      );
    },
  });
}
