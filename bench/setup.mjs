// npm run bench:setup: installs everything that ringtap can be compared with: Debian packages, and npm packages into
// build/bench-peers. Those are old, compile themselves and are needed for nothing else, so they are no dependencies.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../scripts/files.mjs';
import { nodeHeaders, setup } from '../scripts/setup.mjs';

const PACKAGES = { cap: '0.2.1', pcap: '3.1.0' };
const folder = join(root, 'build/bench-peers');

function run(cwd, file, ...args) {
  const { status, error } = spawnSync(file, args, { cwd, stdio: 'inherit', env: { ...process.env, ...nodeHeaders() } });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${error?.message ?? `exit code ${status}`}`);
}

setup({ for: 'bench' });
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, 'package.json'), JSON.stringify({ private: true, dependencies: PACKAGES }));
run(folder, 'npm', 'install', '--ignore-scripts', '--no-audit', '--no-fund');
for (const name of Object.keys(PACKAGES)) {
  run(join(folder, 'node_modules', name), join(root, 'node_modules/.bin/node-gyp'), 'rebuild', '--silent');
}
