import { channel } from 'node:diagnostics_channel';
import type { NativeWriter } from '../native/native.js';

/** A file that is complete: nothing is added to it any more. */
export interface WrittenFile {
  /** Where it is. */
  readonly path: string;
  /** How many packets it holds. */
  readonly packets: number;
  /** How many bytes it has. */
  readonly bytes: number;
  /** When its earliest packet was captured: Unix time in nanoseconds. Undefined where it has none. */
  readonly first: bigint | undefined;
  /** When its latest packet was captured. */
  readonly last: bigint | undefined;
}

interface Reader {
  readonly files: WrittenFile[];
  wake: () => void;
}

/** How many files are kept for the first who asks. */
const MOST_EARLY = 4096;

const published = channel('ringtap:file');

/** Tells of each file that is complete, to whoever reads and to the channel `ringtap:file`. */
export class FileFeed {
  readonly #uri: string;
  #early: WrittenFile[] | undefined = [];
  readonly #readers = new Set<Reader>();
  #ended = false;

  constructor(uri: string, native: NativeWriter) {
    this.#uri = uri;
    // WHY weakly: a writer that nobody uses any more is collected, and so closed.
    void this.#pump(new WeakRef(native));
  }

  /** Each file from now on, and those before that nobody was told of. Ends with the writer. */
  read(): AsyncIterableIterator<WrittenFile> {
    const reader: Reader = { files: this.#early ?? [], wake: () => {} };
    this.#early = undefined;
    this.#readers.add(reader);
    return this.#next(reader);
  }

  async *#next(reader: Reader): AsyncIterableIterator<WrittenFile> {
    try {
      for (;;) {
        const file = reader.files.shift();
        if (file !== undefined) yield file;
        else if (this.#ended) return;
        else
          await new Promise<void>((resolve) => {
            reader.wake = resolve;
          });
      }
    } finally {
      this.#readers.delete(reader);
    }
  }

  async #pump(native: WeakRef<NativeWriter>): Promise<void> {
    for (;;) {
      const files = (await native.deref()?.files()) ?? [];
      if (files.length === 0) break;
      for (const { path, packets, bytes, first, last } of files) this.#tell({ path, packets, bytes, first, last });
    }
    this.#ended = true;
    for (const reader of this.#readers) reader.wake();
  }

  #tell(file: WrittenFile): void {
    if (this.#early !== undefined && this.#early.push(file) > MOST_EARLY) this.#early.shift();
    for (const reader of this.#readers) {
      reader.files.push(file);
      reader.wake();
    }
    if (published.hasSubscribers) published.publish({ ...file, uri: this.#uri });
  }
}
