// Huge pages for tests: reserved where this process may, and given back.
import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs';

const FILE = '/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages';

/** Why none can be reserved here: the reason for a skip. */
export const hugePagesMissing: string | undefined = (() => {
  try {
    accessSync(FILE, constants.W_OK);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  }
})();

/** Reserves so many pages of 2 MB beside those that there are; the result gives them back. */
export function reserveHugePages(count: number): () => void {
  const before = Number(readFileSync(FILE, 'utf8'));
  writeFileSync(FILE, String(before + count));
  const got = Number(readFileSync(FILE, 'utf8')) - before;
  const giveBack = () => writeFileSync(FILE, String(before));
  if (got === count) return giveBack;
  giveBack();
  throw new Error(`${got} of ${count} huge pages could be reserved`);
}
