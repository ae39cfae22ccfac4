// The packages of this repository, the core first.
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const manifestIn = (root, folder) => JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));

/** Each as { folder, manifest }; `folder` from the root, '.' for ringtap itself. */
export function workspaces(root) {
  const parent = join(root, 'packages');
  const folders = existsSync(parent) ? readdirSync(parent).sort() : [];
  return ['.', ...folders.map((name) => join('packages', name))]
    .filter((folder) => existsSync(join(root, folder, 'package.json')))
    .map((folder) => ({ folder, manifest: manifestIn(root, folder) }));
}
