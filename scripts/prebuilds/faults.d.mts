/** What is wrong with the binary of this target below `root`, a line each. */
export function binaryFaults(root: string, name: string): string[];
/** What is wrong with all of them. */
export function prebuildFaults(root: string): string[];
