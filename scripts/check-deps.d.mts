/** What runs against an arrow in the tree at `root`, a line each: file, line, rule. */
export function faultsIn(root: string): string[];
