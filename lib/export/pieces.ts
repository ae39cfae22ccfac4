// Records that are made into bytes, one piece a batch, and written into a file one after the other.
import type { FlowBatch } from '../flow/index.js';
import type { Sink } from './exporter.js';
import type { OutputFile } from './file.js';
import { Counts, type ExportStats } from './stats.js';

/** Bytes of so many records. */
export interface Piece {
  readonly bytes: Uint8Array;
  readonly records: number;
  readonly messages: number;
}

export class FileSink implements Sink {
  readonly #file: OutputFile;
  readonly #make: (flows: FlowBatch) => Piece;
  readonly #counts = new Counts();
  /** What is being written, and all that waits behind it. */
  #tail: Promise<void> = Promise.resolve();

  /** @param make what a batch becomes */
  constructor(file: OutputFile, make: (flows: FlowBatch) => Piece) {
    this.#file = file;
    this.#make = make;
  }

  /** Begins the file. @throws CaptureError RINGTAP_FILE_WRITE */
  async begin(head: Uint8Array): Promise<void> {
    try {
      await this.#file.write(head);
      this.#counts.bytes += head.length;
    } catch (error) {
      this.#file.abandon();
      throw error;
    }
  }

  write(flows: FlowBatch): Promise<void> {
    const piece = this.#make(flows);
    this.#counts.flows += flows.length;
    this.#counts.records += piece.records;
    const written = this.#tail.then(() => this.#put(piece));
    this.#tail = written.catch(() => {});
    return written;
  }

  async #put({ bytes, records, messages }: Piece): Promise<void> {
    try {
      await this.#file.write(bytes);
    } catch (error) {
      this.#counts.notSent.file += records;
      throw error;
    }
    this.#counts.sent += records;
    this.#counts.messages += messages;
    this.#counts.bytes += bytes.length;
  }

  flush(): Promise<void> {
    return this.#tail;
  }

  async close(): Promise<void> {
    await this.#tail;
    this.#file.close();
  }

  stats(): ExportStats {
    return this.#counts.told();
  }
}
