// Records as lines of text.
import { FlowBatch } from '../flow/index.js';
import { FlowExporter } from './exporter.js';
import { OutputFile } from './file.js';
import { Given, pathOf } from './options.js';
import { FileSink } from './pieces.js';

/** How a file is written. */
export interface FileExportOptions {
  /** A file that exists, and is not empty, is emptied, instead of `RINGTAP_FILE_WRITE` (EEXIST). */
  readonly overwrite?: boolean | undefined;
}

async function sinkOf(path: unknown, options: FileExportOptions, head: string, make: (flows: FlowBatch) => Uint8Array) {
  const name = pathOf(path);
  const overwrite = new Given(name, options, ['overwrite']).flag('overwrite', false);
  const file = new OutputFile(name, overwrite, false);
  const sink = new FileSink(file, (flows) => ({ bytes: make(flows), records: flows.length, messages: 1 }));
  await sink.begin(Buffer.from(head));
  return { name, sink };
}

/**
 * Writes flows as lines of JSON into a file, in the words of Suricata's EVE: what {@link FlowBatch.toJsonLines} gives. What is in
 * the file is whole lines, also when the disk is full.
 * @example
 * await using exporter = await JsonLinesExporter.open('flows.jsonl', { overwrite: true });
 * const meter = new FlowMeter();
 * meter.add(batch);
 * meter.flush();
 * for (const flows of meter.drain()) await exporter.write(flows);
 * await exporter.flush();
 * console.log(exporter.stats().bytes);
 */
export class JsonLinesExporter extends FlowExporter {
  /**
   * Creates the file.
   * @param path of the file
   * @param options whether it may replace another one
   * @throws CaptureError RINGTAP_FILE_WRITE, RINGTAP_BUSY (somebody else writes it), RINGTAP_BAD_URI, RINGTAP_BAD_OPTION,
   * RINGTAP_UNKNOWN_OPTION
   */
  static async open(path: string, options: FileExportOptions = {}): Promise<JsonLinesExporter> {
    const { name, sink } = await sinkOf(path, options, '', (flows) => flows.toJsonLines());
    return new JsonLinesExporter(name, sink);
  }
}

/**
 * Writes flows as CSV into a file, the names of the columns first: what {@link FlowBatch.csvHead} and
 * {@link FlowBatch.toCsvLines} give.
 * @example
 * await using exporter = await CsvExporter.open('flows.csv', { overwrite: true });
 * const meter = new FlowMeter();
 * meter.add(batch);
 * meter.flush();
 * for (const flows of meter.drain()) await exporter.write(flows);
 * await exporter.close();
 * console.log(exporter.stats());
 */
export class CsvExporter extends FlowExporter {
  /**
   * Creates the file.
   * @param path of the file
   * @param options whether it may replace another one
   * @throws CaptureError RINGTAP_FILE_WRITE, RINGTAP_BUSY (somebody else writes it), RINGTAP_BAD_URI, RINGTAP_BAD_OPTION,
   * RINGTAP_UNKNOWN_OPTION
   */
  static async open(path: string, options: FileExportOptions = {}): Promise<CsvExporter> {
    const { name, sink } = await sinkOf(path, options, `${FlowBatch.csvHead}\n`, (flows) => flows.toCsvLines());
    return new CsvExporter(name, sink);
  }
}
