// Is a prebuilt binary what its name says, and fit for strangers' machines? `npm run prebuilds` and release-check.mjs ask.
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { MARK, sourceHash, TARGETS } from './targets.mjs';

/** Node 20's own: RHEL 8, Debian 10, Ubuntu 18.10 and whatever came later. */
const NEWEST_GLIBC = '2.28';
/** What musl has since 1.2.5, and so not on Alpine before 3.20, and what it has not: there the binary would not load. */
const NOT_IN_MUSL = /^(preadv2|pwritev2|statx|fcntl64|__\w+_chk|gnu_get_libc_version|__cxa_thread_atexit_impl)$/;
const EXPORTS = { glibc: ['napi_register_module_v1', 'node_api_module_get_api_version_v1'], musl: [] };
const LIBRARIES = {
  glibc: /^(libc\.so\.6|libm\.so\.6|libpthread\.so\.0|libdl\.so\.2)$/, // musl takes all of them for itself
  musl: /^(libc\.so|ringtap\.glibc\.node)$/,
};
const MACHINES = { x64: 'X86-64', arm64: 'AArch64' };

const newer = (a, b) => a.localeCompare(b, 'en', { numeric: true }) > 0;
/** The first group of every match, each once. */
const all = (text, pattern) => [...new Set([...text.matchAll(pattern)].map(([, group]) => group))];

/** What is wrong with the binary of this target below `root`, a line each. binutils' readelf reads every machine's. */
export function binaryFaults(root, name) {
  const path = join('prebuilds', TARGETS[name].file);
  const file = join(root, path);
  if (!existsSync(file)) return [`${path} is missing: npm run prebuilds ${name}`];
  const [, arch, libc] = name.split('-');
  const faults = [];
  const fault = (text) => faults.push(`${path} ${text}`);

  let elf;
  try {
    const args = ['--wide', '--file-header', '--dynamic', '--version-info', '--dyn-syms', file];
    elf = execFileSync('readelf', args, { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C' }, stdio: 'pipe' });
  } catch (error) {
    return [`${path} cannot be read: ${error.stderr?.trim() || error.message}`];
  }
  if (!all(elf, /Machine: +(.*)/g)[0]?.includes(MACHINES[arch])) fault(`is not for ${arch}`);
  for (const library of all(elf, /\(NEEDED\) +Shared library: \[(.*)\]/g))
    if (!LIBRARIES[libc].test(library)) fault(`needs ${library}`);
  const newest = all(elf, /\bGLIBC_([\d.]+)/g).reduce((a, b) => (newer(b, a) ? b : a), '0');
  if (newer(newest, libc === 'musl' ? '0' : NEWEST_GLIBC)) fault(`needs glibc ${newest}`);
  for (const name of all(elf, / UND (\w+)/g)) if (NOT_IN_MUSL.test(name)) fault(`needs ${name}(), which musl has not`);
  if (libc === 'musl' && !elf.includes('[$ORIGIN]')) fault('does not look beside itself');
  // Num: Value Size Type Bind Vis Ndx Name: what is defined here for others to see.
  const exported = all(elf, /^ +\d+: [0-9a-f]+ +\w+ \w+ +(?:GLOBAL|WEAK|UNIQUE) +\w+ +\d+ ([^\s@]+)/gm).sort();
  if (exported.join() !== EXPORTS[libc].join()) fault(`exports ${exported.join(', ') || 'nothing'}`);

  const bytes = readFileSync(file, 'latin1');
  const paths = [root, homedir()].filter((folder) => folder.length > 1 && bytes.includes(folder));
  for (const found of [...paths, ...all(bytes, /((?:\/[\w.+-]+){2,}\.(?:cc|cpp|h|hpp))\b/g)]) fault(`names ${found}`);
  const [hash] = all(bytes, new RegExp(`${MARK}(\\w+)`, 'g'));
  const expected = sourceHash(root);
  if (hash !== expected)
    fault(`was made of other sources (${hash ?? 'unknown'}, these are ${expected}): npm run prebuilds`);
  return faults;
}

/** What is wrong with all of them. */
export const prebuildFaults = (root) => Object.keys(TARGETS).flatMap((name) => binaryFaults(root, name));
