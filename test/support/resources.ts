// What a process has open, for tests that nothing is left, and that nothing reaches a child.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const O_CLOEXEC = 0o2000000;

/** What each descriptor leads to. */
export function descriptors(): Map<number, string> {
  const found = new Map<number, string>();
  for (const name of readdirSync('/proc/self/fd')) {
    try {
      found.set(Number(name), readlinkSync(`/proc/self/fd/${name}`));
    } catch {} // the one that the folder was read with
  }
  return found;
}

/** Would a child get it? */
export function isInherited(fd: number): boolean {
  const flags = /^flags:\s*(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))![1]!;
  return (Number.parseInt(flags, 8) & O_CLOEXEC) === 0;
}

/** Threads of this process. */
export function threads(): number {
  return readdirSync('/proc/self/task').length;
}
