// `ringtap doctor --fix dpdk`: builds from source, as only this host's DPDK says what the module for it looks like.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CaptureError } from '../index.js';
import { say } from './errors.js';

const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** What `--fix` can mend. */
export const FIXES = ['dpdk'] as const;

/**
 * Builds the addon with the DPDK module beside it, into the installed package. Not the module alone: it shares C++ structures with
 * the addon, and a prebuilt one has another standard library in it than this host's compiler.
 */
export async function fixDpdk(): Promise<void> {
  if (existsSync(root('build/addon/Release/ringtap.node'))) {
    throw new Error(
      'this is a clone of the repository: npm run build makes the module there, where libdpdk-dev is installed',
    );
  }
  const found = spawnSync('pkg-config', ['--exists', 'libdpdk >= 22.11'], { stdio: 'ignore' });
  if (found.status !== 0) {
    throw new CaptureError('RINGTAP_BACKEND_MISSING', 'dpdk: no libdpdk of 22.11 or newer that pkg-config knows', {
      backend: 'dpdk',
      hint: 'sudo apt-get install libdpdk-dev pkg-config cmake make g++, then npx ringtap doctor --fix dpdk again. A DPDK of your own: PKG_CONFIG_PATH=…/lib/pkgconfig.',
    });
  }
  const builder = spawn(process.execPath, [root('scripts/install.mjs'), '--build-from-source'], {
    cwd: root('.'),
    stdio: ['ignore', process.stderr, process.stderr],
  });
  const [code] = (await once(builder, 'exit')) as [number | null];
  if (code !== 0) throw new Error('the module was not built: see above');
  if (!existsSync(root('build/Release/ringtap_dpdk.so')))
    throw new Error('the build left the DPDK module out: see above');
  say('the DPDK module is built: npx ringtap doctor');
}
