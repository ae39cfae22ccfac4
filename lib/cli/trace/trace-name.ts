// What the name of a trace that is to be written says of it.
import { UsageError } from '../errors.js';

export interface TraceName {
  readonly scheme: 'pcap' | 'pcapng' | 'erf';
  readonly method: 'zstd' | 'lz4' | 'gzip' | undefined;
}

const METHODS: Readonly<Record<string, TraceName['method']>> = { zst: 'zstd', zstd: 'zstd', lz4: 'lz4', gz: 'gzip' };

/**
 * pcapng or ERF if the name ends so, before the suffix of a compression, and any other is pcap: as `openWriter()` reads a bare
 * path, for files that are written by another name first, or whose name looks like a URI.
 * @throws UsageError of what no trace is written as
 */
export function readTraceName(name: string): TraceName {
  const [, path = name, suffix] = /^(.*)\.(zst|zstd|lz4|gz|xz|bz2|gzip)$/is.exec(name) ?? [];
  const method = suffix === undefined ? undefined : METHODS[suffix.toLowerCase()];
  if (suffix !== undefined && method === undefined) {
    const isGzip = suffix.toLowerCase() === 'gzip';
    throw new UsageError(
      `${name}: no trace is written as .${suffix}`,
      isGzip ? 'Name it .gz.' : 'Name it .zst, .lz4 or .gz.',
    );
  }
  return { scheme: /\.pcapng$/i.test(path) ? 'pcapng' : /\.erf$/i.test(path) ? 'erf' : 'pcap', method };
}

/** How ERF is read for what is written as ERF: by whole records, whose extension headers stay. */
export function wholeRecords(output: string): { erf?: 'records' } {
  return output !== '-' && readTraceName(output).scheme === 'erf' ? { erf: 'records' } : {};
}
