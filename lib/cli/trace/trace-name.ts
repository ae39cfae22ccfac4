// What the name of a trace that is to be written says of it.
import { withoutCompression } from '../../generated/trace_names.js';
import { UsageError } from '../errors.js';

export interface TraceName {
  readonly scheme: 'pcap' | 'pcapng' | 'erf';
  readonly method: string | undefined;
}

const WRITTEN: readonly (string | undefined)[] = ['zstd', 'lz4', 'gzip', undefined];

/**
 * pcapng or ERF if the name ends so, before the suffix of a compression, and any other is pcap: as `openWriter()` reads a bare
 * path, for files that are written by another name first, or whose name looks like a URI.
 * @throws UsageError of what no trace is written as
 */
export function readTraceName(path: string): TraceName {
  const { name, suffix, method } = withoutCompression(path);
  const isGzip = /\.gzip$/i.test(path);
  if (isGzip || !WRITTEN.includes(method)) {
    throw new UsageError(
      `${path}: no trace is written as ${isGzip ? '.gzip' : suffix}`,
      isGzip ? 'Name it .gz.' : 'Name it .zst, .lz4 or .gz.',
    );
  }
  return { scheme: /\.pcapng$/i.test(name) ? 'pcapng' : /\.erf$/i.test(name) ? 'erf' : 'pcap', method };
}

/** How ERF is read for what is written as ERF: by whole records, whose extension headers stay. */
export function wholeRecords(output: string): { erf?: 'records' } {
  return output !== '-' && readTraceName(output).scheme === 'erf' ? { erf: 'records' } : {};
}
