import type { Node } from 'typescript';

/** What is wrong with the docstrings of what an entry exports. */
export function faultsOf(
  entry: { readonly name: string },
  exported: readonly { readonly name: string; readonly nodes: readonly Node[] }[],
  codes: ReadonlySet<string>,
): string[];
