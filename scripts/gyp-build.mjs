// The action of binding.gyp: builds the addon with CMake and puts ringtap.node where node-gyp expects it.
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const [productDir, nodeDir] = process.argv.slice(2);
const output = resolve(productDir);
const type = basename(output) === 'Debug' ? 'Debug' : 'Release';
const build = join(output, 'cmake');

function cmake(...args) {
  const { status, error } = spawnSync('cmake', args, { stdio: 'inherit' });
  if (error) console.error(`cmake: ${error.message}: building ringtap needs cmake and a C++20 compiler`);
  if (status !== 0) process.exit(1);
}

const include = join(nodeDir, 'include/node');
if (!existsSync(join(include, 'node_api.h'))) {
  console.error(`no Node headers in ${include}`);
  process.exit(1);
}
cmake(
  '-S',
  root,
  '-B',
  build,
  `-DCMAKE_BUILD_TYPE=${type}`,
  `-DCMAKE_JS_INC=${include}`,
  `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${join(build, 'out')}`,
);
cmake('--build', build, '--config', type, '--target', 'ringtap_all', '--parallel', String(availableParallelism()));
mkdirSync(output, { recursive: true });
// Modules that are loaded on demand lie beside the addon, each only where its library was found.
for (const file of readdirSync(join(build, 'out'))) {
  if (/\.(node|so)$/.test(file)) copyFileSync(join(build, 'out', file), join(output, file));
}
// An installed package keeps the addon, not the objects it was made of.
rmSync(build, { recursive: true });
