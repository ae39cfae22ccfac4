/** The binaries of a release, by name. */
export const TARGETS: Readonly<
  Record<string, { readonly file: string; readonly zig: string; readonly processor: string }>
>;
/** The native sources that a binary is made of, relative to `root`. */
export function sources(root: string): string[];
/** A number for their text. */
export function sourceHash(root: string): string;
