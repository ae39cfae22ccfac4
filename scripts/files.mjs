// The repository's source files.
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');

/** Files below these folders whose name matches, as sorted paths from the repository's root. */
export function filesIn(folders, pattern, at = root) {
  return folders
    .filter((folder) => existsSync(join(at, folder)))
    .flatMap((folder) => readdirSync(join(at, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && pattern.test(entry.name))
    .map((entry) => relative(at, join(entry.parentPath, entry.name)))
    .sort();
}
