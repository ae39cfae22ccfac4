// The initial RAM disk of a guest: busybox, the modules that reach the host's files over 9p, and init.sh.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findProgram } from '../setup.mjs';

const MODULES = ['virtio_pci', 'virtio_console', '9pnet_virtio', '9p', 'overlay'];
const INIT = join(dirname(fileURLToPath(import.meta.url)), 'init.sh');

/** Paths of kernel modules in the order of loading, dependencies first. What is built in is not among them. */
export function loadingOrder(modulesDep, names) {
  const needs = new Map(
    modulesDep
      .trim()
      .split('\n')
      .map((line) => line.split(':'))
      .map(([path, rest]) => [path, rest.trim().split(' ').filter(Boolean)]),
  );
  const nameOf = (path) =>
    basename(path)
      .replace(/\.ko.*$/, '')
      .replaceAll('-', '_');
  const byName = new Map([...needs.keys()].map((path) => [nameOf(path), path]));
  const order = new Set();
  const add = (path) => {
    for (const needed of needs.get(path)) add(needed);
    order.add(path);
  };
  for (const name of names) if (byName.has(name)) add(byName.get(name));
  return [...order];
}

function sh(command, options) {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', command], { maxBuffer: 1 << 28, ...options });
  if (status !== 0) throw new Error(`${command}: ${stderr.toString().trim()}`);
  return stdout;
}

/** Makes the RAM disk `file` for a kernel, see kernel() of packages.mjs. */
export function makeInitrd({ release, modules }, file) {
  const source = join(modules, 'lib/modules', release);
  const work = `${file}.${process.pid}`;
  try {
    for (const name of ['bin', 'modules', 'proc', 'sys', 'dev', 'host', 'over', 'root']) {
      mkdirSync(join(work, name), { recursive: true });
    }
    copyFileSync(findProgram('busybox'), join(work, 'bin/busybox'));
    copyFileSync(INIT, join(work, 'init'));
    chmodSync(join(work, 'init'), 0o755);
    const paths = loadingOrder(readFileSync(join(source, 'modules.dep'), 'utf8'), MODULES);
    const unpacked = paths.map((path) => basename(path).replace(/\.(xz|gz|zst)$/, ''));
    paths.forEach((path, i) => {
      const tool = { '.xz': 'xz', '.gz': 'gzip', '.zst': 'zstd' }[path.match(/\.(xz|gz|zst)$/)?.[0]] ?? 'cat';
      const unpack = tool === 'cat' ? 'cat' : `${tool} -dc`;
      sh(`${unpack} '${join(source, path)}' > '${join(work, 'modules', unpacked[i])}'`);
    });
    writeFileSync(join(work, 'modules/order'), `${unpacked.join('\n')}\n`);
    sh(`find . | cpio --create --format newc --quiet | gzip -1 > '${work}.gz'`, { cwd: work });
    renameSync(`${work}.gz`, file);
  } finally {
    rmSync(work, { recursive: true, force: true });
    if (existsSync(`${work}.gz`)) rmSync(`${work}.gz`);
  }
}
