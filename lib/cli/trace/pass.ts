// From traces to traces: reads all packets, and leaves nothing half done when it is stopped.
import { constants } from 'node:os';
import { type Batch, type Capture, CaptureError, type OpenOptions, open } from '../../index.js';
import { blameData } from '../errors.js';
import { bytesOf, tracesUri } from './inputs.js';
import { Progress } from './progress.js';

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Packets at a time: nobody waits for them, and each batch has a price of its own. */
const BATCH = 4096;

/** Damage of an input: what comes before it is good, and is kept. */
export function isDamage(error: unknown): boolean {
  return (
    error instanceof CaptureError && (error.code === 'RINGTAP_FILE_TRUNCATED' || error.code === 'RINGTAP_FILE_CORRUPT')
  );
}

export interface Outputs {
  /** Gets each batch, lent until it settles. */
  take(batch: Batch): Promise<void>;
  /** All is read, or all that is good. */
  finish(): Promise<void>;
  /** It came to nothing: what was written must not stay. */
  discard(): Promise<void>;
}

/**
 * Reads the files into what `begin` makes. A signal ends it: then the outputs are discarded, and the process ends by that
 * signal.
 * @throws the damage of an input, after the outputs were finished with all that is good
 */
export async function pass(
  files: readonly string[],
  options: OpenOptions,
  begin: (capture: Capture) => Promise<Outputs>,
): Promise<void> {
  const stopping = new AbortController();
  const stop = (signal: NodeJS.Signals) => stopping.abort(signal);
  for (const signal of SIGNALS) process.once(signal, stop);
  try {
    await read(files, options, stopping.signal, begin);
  } catch (error) {
    if (error instanceof CaptureError && error.errno === constants.errno.EPIPE) return; // its reader has enough
    if (!stopping.signal.aborted) throw error;
    const signal = stopping.signal.reason as NodeJS.Signals;
    for (const each of SIGNALS) process.removeListener(each, stop);
    process.exitCode = 128 + constants.signals[signal];
    process.kill(process.pid, signal);
  } finally {
    for (const signal of SIGNALS) process.removeListener(signal, stop);
  }
}

async function read(
  files: readonly string[],
  options: OpenOptions,
  signal: AbortSignal,
  begin: (capture: Capture) => Promise<Outputs>,
): Promise<void> {
  await using capture = await open(tracesUri(files), { batchSize: BATCH, ...options, signal } as OpenOptions);
  const outputs = await begin(capture);
  const progress = new Progress(bytesOf(files, capture.plan));
  try {
    for await (const batch of capture) {
      progress.add(batch);
      await outputs.take(batch);
    }
  } catch (error) {
    if (signal.aborted || !isDamage(error)) {
      await outputs.discard();
      throw blameData(error);
    }
    progress.end();
    await outputs.finish();
    throw blameData(error);
  } finally {
    progress.end();
  }
  await outputs.finish();
}
