// Makes a clean clone ready: system packages, npm packages, native build, TypeScript build. Each step only if needed.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  accessSync,
  appendFileSync,
  constants,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const log = join(root, 'build/setup.log');

const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];

/** Where a program is, or undefined. */
export function findProgram(name) {
  return directories
    .map((directory) => join(directory, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

/** Is there such a program? */
export const hasProgram = (name) => findProgram(name) !== undefined;

const hasHeader = (path) =>
  ['/usr/include', '/usr/local/include'].some((directory) => existsSync(join(directory, path)));

function hasLibrary(name) {
  return ['/lib', '/usr/lib', '/usr/local/lib'].some((directory) => {
    if (!existsSync(directory)) return false;
    const multiarch = readdirSync(directory).filter((entry) => entry.endsWith('-linux-gnu'));
    return ['', ...multiarch].some((entry) => existsSync(join(directory, entry, name)));
  });
}

const programs =
  (...names) =>
  () =>
    names.every(hasProgram);

// Debian package → is what we need from it here?
const PACKAGES = {
  start: {
    'g++': programs('g++'),
    make: programs('make'),
    cmake: programs('cmake'),
    'pkg-config': programs('pkg-config'),
    'libpcap0.8': () => hasLibrary('libpcap.so.0.8') || hasLibrary('libpcap.so.1'),
    iproute2: programs('ip'),
    'util-linux': programs('unshare', 'setpriv'),
  },
  test: {
    'doctest-dev': () => hasHeader('doctest/doctest.h'),
    'libpcap-dev': () => hasHeader('pcap/pcap.h'),
    bpftool: programs('bpftool'),
    ethtool: programs('ethtool'),
    'protobuf-compiler': programs('protoc'),
    netbase: () => existsSync('/etc/services') && existsSync('/etc/protocols'), // names in filters
    nftables: programs('nft'),
    python3: programs('python3'),
    tcpdump: programs('tcpdump'),
    tshark: programs('tshark'),
    'wireshark-common': programs('editcap', 'mergecap', 'capinfos'),
    nfdump: programs('nfpcapd', 'nfdump'),
    'libtrace-tools': programs('traceconvert'), // 330 kB, and three libraries of its own
    zstd: programs('zstd'),
    lz4: programs('lz4'),
    'xz-utils': programs('xz'),
    bzip2: programs('bzip2'),
    valgrind: programs('valgrind'),
    'man-db': programs('man'),
    zsh: programs('zsh'),
    fish: programs('fish'),
  },
  // 216 packages and 160 MB, within a minute or so: only where that can be done without asking.
  dpdk: { 'libdpdk-dev': () => hasHeader('dpdk/rte_eal.h') },
  testpmd: { 'dpdk-dev': programs('dpdk-testpmd') },
  // Versions differ in what they print and complain about, so check.mjs insists on 14, which is Debian 12's.
  check: {
    'clang-format': programs('clang-format-14'),
    'clang-tidy': programs('clang-tidy-14'),
  },
  // Fuzz targets need libFuzzer; other machines to install the package on.
  long: {
    clang: programs('clang++'),
    binutils: programs('readelf'),
    mmdebstrap: programs('mmdebstrap'),
    'qemu-user-static': programs('qemu-aarch64-static'),
    pmacct: programs('nfacctd'),
  },
  // What ringtap is measured beside. Nothing else needs it.
  bench: {
    'libpcap-dev': () => hasHeader('pcap/pcap.h'),
    ethtool: programs('ethtool'),
    nfdump: programs('nfpcapd'),
    tcpdump: programs('tcpdump'),
    'wireshark-common': programs('dumpcap'),
    zstd: programs('zstd'),
    lz4: programs('lz4'),
    'netsniff-ng': programs('netsniff-ng'),
    'libtrace-tools': programs('tracestats'),
  },
};
/** Stage → the lists that it needs. */
const STAGES = {
  start: ['start'],
  test: ['start', 'test'],
  check: ['start', 'test', 'check'],
  long: ['start', 'test', 'long'],
  bench: ['start', 'bench'],
};

/** Stage → lists that it does without where they cannot be installed: tests and rows then show what is said about that. */
const WELCOME = { test: ['dpdk'], check: ['dpdk'], long: ['dpdk'], bench: ['dpdk', 'testpmd'] };

/** Debian packages of these lists that this machine lacks. */
function missingFrom(lists) {
  return lists.flatMap((name) =>
    Object.entries(PACKAGES[name])
      .filter(([, present]) => !present())
      .map(([name]) => name),
  );
}

/** Debian packages that a stage needs and this machine lacks. */
const missingPackages = (stage) => missingFrom(STAGES[stage]);

/** Runs one step quietly: a line with its time. What was wrong with it, if anything. */
function attempt(title, file, args, env = {}) {
  process.stdout.write(`· ${title} … `);
  const begin = performance.now();
  const { status, signal, error, stdout, stderr } = spawnSync(file, args, {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 28,
    env: { ...process.env, ...env },
  });
  const output = `${stdout ?? ''}${stderr ?? ''}`;
  const command = [file, ...args].join(' ');
  appendFileSync(log, `$ ${command}\n${output}\n`);
  const seconds = ((performance.now() - begin) / 1000).toFixed(1);
  console.log(status === 0 ? `${seconds} s` : `failed after ${seconds} s`);
  if (status === 0) return undefined;
  const reason = `${command}: ${error?.message ?? signal ?? `exit code ${status}`}; all of it: build/setup.log`;
  return `${output.trimEnd().split('\n').slice(-60).join('\n')}\n${reason}`;
}

/** A step that must succeed. */
function step(...args) {
  const problem = attempt(...args);
  if (problem === undefined) return;
  console.error(problem);
  process.exit(1);
}

const APT = { DEBIAN_FRONTEND: 'noninteractive' };
const INSTALL = ['install', '--yes', '--no-install-recommends'];

function installPackages(stage) {
  const missing = missingPackages(stage);
  if (missing.length === 0) return;
  if (!hasProgram('apt-get')) {
    console.error(`These Debian packages, or what your system calls them, are missing: ${missing.join(' ')}`);
    process.exit(1);
  }
  const install = [...INSTALL, ...missing];
  if (process.getuid() !== 0) {
    console.error(
      `Some system packages are missing. Run this, then try again:\n\n  sudo apt-get update && sudo apt-get ${install.join(' ')}\n`,
    );
    process.exit(1);
  }
  step('apt-get update', 'apt-get', ['update'], APT);
  step(`apt-get install ${missing.join(' ')}`, 'apt-get', install, APT);
  const still = missingPackages(stage);
  if (still.length > 0) {
    const versions = still.some((name) => name.startsWith('clang'))
      ? ' (clang-format-14 and clang-tidy-14 are needed)'
      : '';
    console.error(`Installed, but not what is needed: ${still.join(' ')}${versions}`);
    process.exit(1);
  }
}

/** What a stage can do without: a failure is a line, not the end. */
function installWelcomePackages(stage) {
  const missing = missingFrom(WELCOME[stage] ?? []);
  if (missing.length === 0) return;
  const names = missing.join(' ');
  if (!hasProgram('apt-get') || process.getuid() !== 0) return console.log(`· without ${names}`);
  const isKnown = () => spawnSync('apt-cache', ['show', ...missing]).status === 0;
  if (!isKnown()) attempt('apt-get update', 'apt-get', ['update'], APT);
  if (isKnown()) attempt(`apt-get install ${names}`, 'apt-get', [...INSTALL, ...missing], APT);
}

/** npm_config_nodedir, where Node came with its headers: spares node-gyp and cmake-js a download. */
export function nodeHeaders() {
  const prefix = dirname(dirname(process.execPath));
  const header = join(prefix, 'include/node/node_version.h');
  if (process.env.npm_config_nodedir !== undefined || !existsSync(header)) return {};
  const [major] = process.versions.node.split('.');
  const same = readFileSync(header, 'utf8').includes(`#define NODE_MAJOR_VERSION ${major}\n`);
  return same ? { npm_config_nodedir: prefix } : {};
}

function installNodeModules() {
  const stamp = join(root, 'node_modules/.ringtap-lock');
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return;
  // Our own install script would build the addon a second time.
  step('npm ci', 'npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund']);
  writeFileSync(stamp, lock);
}

/**
 * Everything that `npm start` ('start'), `npm test` ('test'), `npm run check` ('check'), `npm run test:long` ('long') or
 * `npm run bench` ('bench', with all that it can compare with) needs. Exits 1 on failure.
 */
export function setup({ for: stage }) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`Node ${process.versions.node} is too old: ringtap needs 20.19 or newer.`);
    process.exit(1);
  }
  mkdirSync(dirname(log), { recursive: true });
  writeFileSync(log, '');
  installPackages(stage);
  installWelcomePackages(stage);
  installNodeModules();
  const env = {
    ...nodeHeaders(),
    CMAKE_BUILD_PARALLEL_LEVEL: process.env.CMAKE_BUILD_PARALLEL_LEVEL ?? String(availableParallelism()),
  };
  if (STAGES[stage].includes('test')) {
    // CMake remembers it: native tests are linked from the very objects of the addon, which compile once.
    const options = ['--out', 'build/addon', '--CDRINGTAP_TESTS=ON', '--CDRINGTAP_TOOLS=ON'];
    step('native tests: configure', join(root, 'node_modules/.bin/cmake-js'), ['configure', ...options], env);
  }
  step('native build', 'npm', ['run', 'build:native'], env);
  step('TypeScript build', 'npm', ['run', 'build:ts', '--workspaces', '--if-present']);
}
