import { CaptureError, wrapNative } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { addon } from '../native/native.js';
import { faultIn } from '../uri/uri.js';

/** An index that was made. */
export interface TraceIndex {
  /** Its file: that of the trace, with `.rtidx` behind it. */
  readonly path: string;
  /** Packets of the trace. */
  readonly packets: number;
  /** The number of its parts that can be read alone: of a plain trace about 1 MiB each, of a compressed one as its writer made them. */
  readonly sections: number;
}

/**
 * Writes the index beside a trace, by which `from` and `to` of `file:` read the parts that have such packets, and leave out
 * the rest. The whole trace is read once, away from the event loop. A compressed trace has the sections that ringtap's
 * writer made and put into the index beside it; any other is one section, which is left out where it has nothing of
 * the time.
 * @param path of a file that is complete: an index is not used once the trace is longer, or was written to later
 * @throws CaptureError RINGTAP_FILE_OPEN, RINGTAP_FILE_FORMAT, RINGTAP_FILE_CORRUPT, RINGTAP_FILE_TRUNCATED where the trace
 * cannot be read; RINGTAP_FILE_WRITE where the index cannot be written, or a file that is none has its name;
 * RINGTAP_UNSUPPORTED for what is no file
 * @example
 * const writer = await openWriter('day.pcap', { overwrite: true });
 * for await (const batch of await open('synth:?count=100000')) await writer.write(batch);
 * await writer.close();
 * const { sections } = await indexTrace('day.pcap');
 * await using part = await open('file:day.pcap?from=%2B1ms&to=%2B2ms');
 * for await (const batch of part) console.log(sections, batch.length);
 */
export async function indexTrace(path: string): Promise<TraceIndex> {
  const fault = typeof path === 'string' && path !== '' ? faultIn(path) : `a path is a text, not ${show(path)}`;
  if (fault !== undefined) throw new CaptureError('RINGTAP_BAD_OPTION', `indexTrace(): ${fault}`);
  const made = await addon().indexTrace(path);
  if (made instanceof Error) throw wrapNative(made, 'file', path);
  return made;
}
