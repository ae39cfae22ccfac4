// What the name of a trace that is to be written says of it.
import { isMethod, withoutCompression } from '../../write/compress.js';
import { UsageError } from '../errors.js';

export interface TraceName {
  readonly scheme: 'pcap' | 'pcapng';
  readonly method: 'zstd' | 'lz4' | 'gzip' | undefined;
}

/**
 * pcapng if the name ends so, before the suffix of a compression, and any other is pcap: as `openWriter()` reads a bare
 * path, for files that are written by another name first, or whose name looks like a URI.
 * @throws UsageError of what no trace is written as
 */
export function readTraceName(name: string): TraceName {
  const { path, method } = withoutCompression(name);
  if (method !== undefined && !isMethod(method)) {
    throw new UsageError(`${name}: no trace is written as ${method}`, 'Name it .zst, .lz4 or .gz.');
  }
  if (/\.gzip$/i.test(name)) throw new UsageError(`${name}: no trace is written as .gzip`, 'Name it .gz.');
  if (/\.erf$/i.test(path)) {
    throw new UsageError(`${name}: ERF is read, but not written in this version`, 'Name it .pcap or .pcapng.');
  }
  return { scheme: /\.pcapng$/i.test(path) ? 'pcapng' : 'pcap', method };
}
