// Dependencies point one way, in native code, in lib/ and between packages (scripts/deps/arrows.mjs), and nothing includes or
// imports itself round a corner. Finds every include and import that runs against it.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { LEFT } from './deps/arrows.mjs';
import { libFaults, userFaults } from './deps/lib.mjs';
import { nativeFaults } from './deps/native.mjs';
import { packageFaults } from './deps/packages.mjs';
import { root as here } from './files.mjs';

/** What is wrong in the tree at `root`, a line each: file, line, rule. */
export function faultsIn(root) {
  const manifest = join(root, 'package.json');
  const { exports = {} } = existsSync(manifest) ? JSON.parse(readFileSync(manifest, 'utf8')) : {};
  return [
    ...nativeFaults(root),
    ...libFaults(root),
    ...userFaults(root, Object.keys(exports)),
    ...packageFaults(root),
  ].sort();
}

if (process.argv[1] === join(here, 'scripts/check-deps.mjs')) {
  const withoutLine = (fault) => fault.replace(/:\d+: /, ': ');
  const faults = faultsIn(here).filter((fault) => !LEFT.some((left) => withoutLine(fault).startsWith(left)));
  for (const fault of faults) console.error(fault);
  process.exitCode = faults.length > 0 ? 1 : 0;
}
