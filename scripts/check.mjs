// `npm run check`: everything about the sources that needs no traffic. All steps run; failures are listed at the end.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root, setup } from './setup.mjs';

setup({ for: 'check' });
const script = (name) => [process.execPath, join(root, 'scripts', name)];
const bin = (name) => [join(root, 'node_modules/.bin', name)];

const STEPS = {
  'generated files': [...script('generate.mjs'), '--check'],
  'generated messages': [...script('generate-wire.mjs'), '--check'],
  'public API': [...script('api.mjs'), '--check'],
  'dependency direction': script('check-deps.mjs'),
  types: bin('tsc').concat('--noEmit'),
  'types of the examples': bin('tsc').concat('--noEmit', '-p', 'examples'),
  'types of the packages': ['npm', 'run', '--silent', 'types', '--workspaces', '--if-present'],
  biome: bin('biome').concat('ci', '.'),
  'clang-format': script('clang-format.mjs'),
  'clang-tidy': script('clang-tidy.mjs'),
};

const failed = [];
for (const [name, [file, ...args]] of Object.entries(STEPS)) {
  const begin = performance.now();
  const { status } = spawnSync(file, args, { cwd: root, stdio: 'inherit' });
  if (status !== 0) failed.push(name);
  console.log(`${status === 0 ? 'ok    ' : 'FAILED'} ${name} (${((performance.now() - begin) / 1000).toFixed(1)} s)`);
}
if (failed.length > 0) {
  console.error(`failed: ${failed.join(', ')}`);
  process.exitCode = 1;
}
