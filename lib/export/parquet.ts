import type { ParquetWriter } from 'hyparquet-writer';
import { CaptureError } from '../errors/errors.js';
import type { FlowBatch } from '../flow/index.js';
import { FlowExporter, type Sink } from './exporter.js';
import { OutputFile } from './file.js';
import type { FileExportOptions } from './lines.js';
import { Given, pathOf } from './options.js';
import { PARQUET_SCHEMA, Rows } from './parquet-columns.js';
import { Counts, type ExportStats } from './stats.js';

/** How a Parquet file is written. */
export interface ParquetOptions extends FileExportOptions {
  /** A row group is written when it has so many rows, 1024 to 1048576: a number, 65536 by default, at about 400 bytes each. */
  readonly rowGroupRows?: number | undefined;
  /** … or when its first row has waited for so long, in ms; 60000 by default. It is looked at when records come. */
  readonly rowGroupMs?: number | undefined;
}

/** The package that makes Parquet: nobody who does not write it has to have it. */
async function library(path: string): Promise<typeof import('hyparquet-writer')> {
  try {
    return await import('hyparquet-writer');
  } catch (cause) {
    throw new CaptureError(
      'RINGTAP_LIBRARY_MISSING',
      `${path}: Parquet is made by hyparquet-writer, which is not installed`,
      {
        uri: path,
        hint: 'npm install hyparquet-writer',
        cause,
      },
    );
  }
}

/** The file of one exporter: row groups behind each other, and what they are at its end. */
class ParquetSink implements Sink {
  readonly #file: OutputFile;
  readonly #writer: ParquetWriter;
  readonly #bytes: InstanceType<typeof import('hyparquet-writer').ByteWriter>;
  readonly #rows: Rows;
  readonly #rowGroupMs: number;
  readonly #counts = new Counts();
  #since = 0;
  #tail: Promise<void> = Promise.resolve();

  constructor(file: OutputFile, made: typeof import('hyparquet-writer'), rowGroupRows: number, rowGroupMs: number) {
    this.#file = file;
    this.#bytes = new made.ByteWriter(1 << 20);
    this.#writer = new made.ParquetWriter({ writer: this.#bytes, schema: PARQUET_SCHEMA, createdBy: 'ringtap' });
    this.#rows = new Rows(rowGroupRows);
    this.#rowGroupMs = rowGroupMs;
  }

  write(flows: FlowBatch): Promise<void> {
    const written = this.#tail.then(() => this.#take(flows));
    this.#counts.flows += flows.length;
    this.#counts.records += flows.length;
    this.#tail = written.catch(() => {});
    return written;
  }

  async #take(flows: FlowBatch): Promise<void> {
    for (let from = 0; from < flows.length; ) {
      if (this.#rows.count === 0) this.#since = Date.now();
      from += this.#rows.add(flows, from);
      const isLate = Date.now() - this.#since >= this.#rowGroupMs;
      if (this.#rows.isFull || isLate) await this.#putGroup();
    }
  }

  /** Rows become a group, or are lost: what is in the file stays as it was. */
  async #putGroup(): Promise<void> {
    const rows = this.#rows.count;
    if (rows === 0) return;
    const writer = this.#writer;
    const before = { offset: this.#bytes.offset, index: this.#bytes.index, indexes: writer.pendingIndexes.length };
    try {
      writer.write({ columnData: this.#rows.columns(), rowGroupSize: rows });
      await this.#put();
    } catch (error) {
      writer.row_groups.pop();
      writer.pendingIndexes.length = before.indexes;
      writer.num_rows -= BigInt(rows);
      // What stood before this group and was not written yet is written with the next one.
      this.#bytes.offset = before.offset;
      this.#bytes.index = before.index;
      this.#counts.notSent.file += rows;
      throw error;
    } finally {
      this.#rows.clear();
    }
    this.#counts.sent += rows;
    this.#counts.messages++;
  }

  async #put(): Promise<void> {
    const bytes = this.#bytes.getBytes();
    await this.#file.write(bytes);
    this.#counts.bytes += bytes.length;
    this.#bytes.index = 0;
  }

  /** A row group may not be complete: it waits. */
  flush(): Promise<void> {
    return this.#tail;
  }

  async close(): Promise<void> {
    await this.#tail;
    let failure: unknown;
    // Also without the last group the file is one.
    await this.#putGroup().catch((error: unknown) => {
      failure = error;
    });
    try {
      void this.#writer.finish();
      await this.#put();
    } catch (error) {
      this.#file.abandon();
      throw error;
    }
    this.#file.close();
    if (failure !== undefined) throw failure;
  }

  stats(): ExportStats {
    return this.#counts.told();
  }
}

/**
 * Writes flows into a Parquet file, in columns with the names that {@link FlowBatch.csvHead} has: `start` and `end` are timestamps in
 * ns, addresses are text. The file is called `….part` until `close()` has completed it. The package `hyparquet-writer` makes it,
 * which is installed beside ringtap: `npm install hyparquet-writer`.
 *
 * When the disk is full, the rows of that group are lost and counted, `write()` rejects, and the next group is tried again. Without
 * room for its end, which `close()` writes, there is no file.
 * @example
 * await using exporter = await ParquetExporter.open('flows.parquet', { overwrite: true });
 * const meter = new FlowMeter();
 * meter.add(batch);
 * meter.flush();
 * for (const flows of meter.drain()) await exporter.write(flows);
 * await exporter.close();
 * console.log(exporter.stats().sent, 'rows');
 */
export class ParquetExporter extends FlowExporter {
  /**
   * Creates the file.
   * @param path of the file
   * @param options when row groups end, and whether it may replace another file
   * @throws CaptureError RINGTAP_LIBRARY_MISSING (hyparquet-writer is not installed), RINGTAP_FILE_WRITE, RINGTAP_BUSY (somebody
   * else writes it), RINGTAP_BAD_URI, RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION
   */
  static async open(path: string, options: ParquetOptions = {}): Promise<ParquetExporter> {
    const name = pathOf(path);
    const given = new Given(name, options, ['overwrite', 'rowGroupRows', 'rowGroupMs']);
    const overwrite = given.flag('overwrite', false);
    const rowGroupRows = given.whole('rowGroupRows', 1024, 1 << 20, 65_536);
    const rowGroupMs = given.whole('rowGroupMs', 100, 86_400_000, 60_000);
    const made = await library(name);
    const file = new OutputFile(name, overwrite, true);
    return new ParquetExporter(name, new ParquetSink(file, made, rowGroupRows, rowGroupMs));
  }
}
