import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { FlowBatch } from '../flow/index.js';
import type { ExportStats } from './stats.js';

/** What an exporter puts records into. */
export interface Sink {
  /** Takes records; a promise where the caller is to wait before it gives more. */
  write(flows: FlowBatch): Promise<void> | undefined;
  flush(): Promise<void>;
  close(): Promise<void>;
  stats(): ExportStats;
}

/**
 * Takes records of flows and puts them somewhere: all exporters have these methods. Records of a {@link FlowBatch} are read while
 * `write()` is called; the batch is the caller's again when it returns.
 * @example
 * const exporter = await JsonLinesExporter.open('flows.jsonl', { overwrite: true });
 * const meter = new FlowMeter();
 * meter.add(batch);
 * meter.flush();
 * for (const flows of meter.drain()) {
 *   console.log(flows.src(0), flows.dst(0));
 *   await exporter.write(flows);
 * }
 * await exporter.close();
 * console.log(exporter.stats().sent);
 */
export abstract class FlowExporter {
  readonly #sink: Sink;
  readonly #name: string;
  #closing: Promise<void> | undefined;

  /** @internal */
  constructor(name: string, sink: Sink) {
    this.#name = name;
    this.#sink = sink;
  }

  /**
   * Exports all records of a batch. Await it before the next call: it resolves when there is room for more, so that who is slow
   * holds the loop back. With `overflow: 'drop'` that is at once.
   * @param flows records as `drain()` of a FlowMeter gives them
   * @throws CaptureError RINGTAP_FILE_WRITE (these records are lost, `stats().notSent.file` has them, and what was written before
   * is whole: the next call tries again), RINGTAP_CLOSED, RINGTAP_BAD_OPTION (these are no records)
   */
  async write(flows: FlowBatch): Promise<void> {
    if (this.#closing !== undefined) throw new CaptureError('RINGTAP_CLOSED', `${this.#name}: it was closed`);
    if (!isBatch(flows)) {
      throw new CaptureError('RINGTAP_BAD_OPTION', `${this.#name}: write() takes a FlowBatch, not ${show(flows)}`, {
        hint: 'Give what drain() of a FlowMeter gives.',
      });
    }
    await this.#sink.write(flows);
  }

  /**
   * Resolves when all that was given is sent or written, or lost.
   * @throws CaptureError RINGTAP_FILE_WRITE
   */
  async flush(): Promise<void> {
    await (this.#closing ?? this.#sink.flush());
  }

  /**
   * Sends what waits, completes the file or ends the connection. What cannot be sent in `closeMs` is given up, and counted.
   * @throws CaptureError RINGTAP_FILE_WRITE
   */
  close(): Promise<void> {
    this.#closing ??= this.#sink.close();
    return this.#closing;
  }

  /**
   * What became of the records so far, closed or not.
   * @throws nothing
   */
  stats(): ExportStats {
    return this.#sink.stats();
  }

  /**
   * {@link close}
   * @throws CaptureError RINGTAP_FILE_WRITE
   */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function isBatch(value: unknown): value is FlowBatch {
  try {
    return value instanceof FlowBatch;
  } catch {
    return false; // it cannot be looked at
  }
}
