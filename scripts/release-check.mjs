// Before `npm publish`: is what would be published what it says it is? Each package's prepublishOnly runs it; docs/releasing.md.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageFaults } from './deps/packages.mjs';
import { workspaces } from './deps/workspaces.mjs';
import { root as here } from './files.mjs';
import { prebuildFaults } from './prebuilds/faults.mjs';

const json = (path) => JSON.parse(readFileSync(path, 'utf8'));
const git = (root, ...args) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();

/** Where the repository is, is its owner's choice. Until it is made, what leads there says `.invalid`, which no name can end in. */
const placeholders = ({ folder, manifest }) =>
  ['repository', 'homepage', 'bugs']
    .filter((field) => /^""$|\.invalid\b/.test(JSON.stringify(manifest[field] ?? '')))
    .map((field) => `${join(folder, 'package.json')}: ${field} has to say where the repository is`);

/** What stands against publishing the tree at `root`, a line each. */
export function releaseFaults(root) {
  const all = workspaces(root);
  const { version } = all[0].manifest;
  const faults = [...packageFaults(root), ...all.flatMap(placeholders), ...prebuildFaults(root)];

  const lock = json(join(root, 'package-lock.json'));
  for (const { folder, manifest } of all) {
    const locked = lock.packages[folder === '.' ? '' : folder]?.version;
    if (locked !== manifest.version)
      faults.push(`package-lock.json: ${manifest.name} is ${locked} there, not ${manifest.version}: npm install`);
  }

  const changelog = join(root, 'CHANGELOG.md');
  const heading = new RegExp(`^## \\[?${version.replaceAll('.', '\\.')}\\]?`, 'm');
  if (!existsSync(changelog) || !heading.test(readFileSync(changelog, 'utf8')))
    faults.push(`CHANGELOG.md: no heading for ${version}`);

  const changed = git(root, 'status', '--porcelain');
  if (changed !== '') faults.push(`not committed:\n${changed}`);
  if (!git(root, 'tag', '--points-at', 'HEAD').split('\n').includes(`v${version}`))
    faults.push(`HEAD is not tagged v${version}`);
  return faults;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const faults = releaseFaults(here);
  for (const fault of faults) console.error(fault);
  process.exitCode = faults.length > 0 ? 1 : 0;
}
