// What the names of traces end with: lib/generated/trace_names.ts, and what native code has to know of it.
import { note, traceNames } from './tables.mjs';

const { formats, compressions } = traceNames;
const suffixes = Object.keys(compressions);

export const compressedSuffixes = `// ${note}\n${suffixes.map((suffix) => `RINGTAP_COMPRESSED_SUFFIX(".${suffix}")`).join('\n')}\n`;

/** As a union of a type. */
export const traceSuffixes = [...formats, ...suffixes].map((suffix) => `'${suffix}'`).join(' | ');

export const traceNameTable = `// ${note}

const COMPRESSIONS: Readonly<Record<string, string>> = {
${Object.entries(compressions)
  .map(([suffix, method]) => `  ${suffix}: '${method}',`)
  .join('\n')}
};

/** A name in its parts: \`day.pcap\`, \`.zst\`, and zstd, which that stands for. */
export interface NameParts {
  readonly name: string;
  readonly suffix: string;
  readonly method: string | undefined;
}

/** Takes the suffix of a compression from a name; one that ends with none has all in \`name\`. */
export function withoutCompression(name: string): NameParts {
  const suffix = /\\.(${suffixes.join('|')})$/i.exec(name)?.[0] ?? '';
  const method = suffix === '' ? undefined : COMPRESSIONS[suffix.slice(1).toLowerCase()];
  return { name: name.slice(0, name.length - suffix.length), suffix, method };
}

/** Takes the last suffix from a name, and that of a compression behind it: \`day\` and \`.pcap.zst\`. */
export function withoutSuffixes(path: string): { readonly stem: string; readonly suffixes: string } {
  const { name, suffix } = withoutCompression(path);
  const format = /(?<=[^/])\\.[^./]*$/.exec(name)?.[0] ?? '';
  return { stem: name.slice(0, name.length - format.length), suffixes: format + suffix };
}

/** Whether nothing but a trace is called so. */
export function isTraceName(name: string): boolean {
  return /\\.(${[...formats, ...suffixes].join('|')})$/i.test(name);
}
`;
