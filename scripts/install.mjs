// npm's `install` script of the package: nothing to do where a prebuilt addon loads, a build where none does. One message says what a
// build lacks. `npm rebuild ringtap --build-from-source`, or this file with --build-from-source, builds in any case: for `dpdk:`.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nodeHeaders } from './install/headers.mjs';
import { lacking, remedies } from './install/tools.mjs';
import { sourceHash } from './prebuilds/targets.mjs';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const build = join(root, 'build/cmake');
const release = join(root, 'build/Release');

/** Why no addon loads here, or undefined where one does: the library's own loader is asked. */
async function unfit() {
  const loader = join(root, 'dist/native/native.js');
  if (!existsSync(loader)) return 'this is a clone that was not built';
  try {
    const { addon } = await import(loader);
    addon();
    return undefined;
  } catch (error) {
    return error.message;
  }
}

function fail(text) {
  console.error(`ringtap: ${text}`);
  process.exit(1);
}

function cmake(...args) {
  const { status, error } = spawnSync('cmake', args, { stdio: 'inherit' });
  if (status !== 0) fail(`the build failed, see above (cmake ${args[0]}: ${error?.message ?? `exit code ${status}`})`);
}

function buildFromSource(why) {
  const missing = lacking();
  if (missing.length > 0) fail(`${why}; to build it here, these are missing:\n${remedies(missing)}`);
  const output = join(build, 'out');
  rmSync(build, { recursive: true, force: true });
  cmake(
    ...['-S', root, '-B', build, '-DCMAKE_BUILD_TYPE=Release', `-DCMAKE_JS_INC=${nodeHeaders()}`],
    ...[`-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${output}`, `-DRINGTAP_SOURCE=${sourceHash(root)}`],
  );
  const parallel = String(availableParallelism());
  cmake('--build', build, '--config', 'Release', '--target', 'ringtap_all', '--parallel', parallel);
  // Where node-gyp-build looks before it looks for a prebuilt one. Modules that are loaded on demand lie beside the addon; what
  // an earlier build made, and this one did not, would be a stranger to it.
  rmSync(release, { recursive: true, force: true });
  mkdirSync(release, { recursive: true });
  for (const file of readdirSync(output).filter((name) => /\.(node|so)$/.test(name)))
    renameSync(join(output, file), join(release, file));
  rmSync(build, { recursive: true }); // a package keeps the addon, not the objects that it was made of
}

const { npm_config_build_from_source: wish } = process.env;
const asked = process.argv.includes('--build-from-source') || wish === 'true' || wish === 'ringtap';
const reason = asked ? 'asked to build from source' : await unfit();
if (reason !== undefined) buildFromSource(reason);
