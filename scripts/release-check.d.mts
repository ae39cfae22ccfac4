/** What stands against publishing the tree at `root`, a line each. */
export function releaseFaults(root: string): string[];
