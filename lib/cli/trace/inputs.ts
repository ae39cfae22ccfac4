// The traces that a command line names.
import { existsSync, readdirSync, type Stats, statSync } from 'node:fs';
import { join } from 'node:path';
import type { Plan } from '../../index.js';

/** Of what a shell has made of a pattern, not the indexes that lie beside traces. */
export function tracesAmong(files: readonly string[]): readonly string[] {
  const traces = files.filter((file) => !file.endsWith('.rtidx'));
  return traces.length > 0 ? traces : files;
}

/** Several traces as one URI. What exists stands for itself, whatever is in its name; the rest are patterns and URIs. */
export function tracesUri(files: readonly string[]): string {
  const [only] = files;
  if (files.length === 1 && /^(file|pcapfile|erf):/i.test(only!) && !existsSync(only!)) return only!;
  const list = files.map((file) => (existsSync(file) ? file.replace(/[,*?[\]\\]/g, '\\$&') : file)).join(',');
  // Two slashes at the start of a path are one, but at the start of a URI's target they stand for nothing.
  return `file:${list.replace(/[%?#]|(?<=^\/)\//g, encodeURIComponent)}`;
}

/**
 * The bytes of these traces, as far as their names say which they are; undefined where a pipe is among them, or what is
 * compressed, of which nobody knows how far it is read.
 */
export function bytesOf(files: readonly string[], { notes }: Plan): number | undefined {
  if (notes.some((note) => note.startsWith('compressed with'))) return undefined;
  let bytes = 0;
  for (const file of files) {
    const stats = statOf(file);
    if (stats?.isDirectory()) {
      for (const name of readdirSync(file)) {
        if (!name.startsWith('.')) bytes += statOf(join(file, name))?.size ?? 0;
      }
    } else if (stats?.isFile()) {
      bytes += stats.size;
    } else {
      return undefined;
    }
  }
  return bytes;
}

/** Nothing where there is no such file, or it may not be looked at. */
export function statOf(file: string): Stats | undefined {
  try {
    return statSync(file, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}
