// What a guest is made of: Debian packages, unpacked in a cache of the user's, fetched by apt-get from the mirror that
// this machine is configured with. A private apt directory knows the newer suites; the machine's own apt never sees them.
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { hasProgram } from '../setup.mjs';

export const KERNELS = ['6.12', '7.2'];

export const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'ringtap-vm');
const SUITES = ['bookworm', 'bookworm-backports', 'trixie', 'trixie-backports'];
const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

// Debian package → the programs that we need of it.
const PROGRAMS = {
  'qemu-system-x86': ['qemu-system-x86_64'],
  'busybox-static': ['busybox'],
  cpio: ['cpio'],
  kmod: ['depmod'],
  'xz-utils': ['xz'],
};

const note = (text) => console.error(`lab:vm: ${text}`);

/** Runs a program to its end; its output, or an error that tells what it printed. */
function output(file, ...args) {
  const { status, stdout, stderr, error } = spawnSync(file, args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  if (status === 0) return stdout;
  throw new Error(`${file} ${args[0]}: ${error?.message ?? (stderr.trim() || `exit code ${status}`)}`);
}

/** The system packages that run a guest, installed where root may, named where not. */
export function requirePrograms() {
  const missing = Object.keys(PROGRAMS).filter((name) => !PROGRAMS[name].every(hasProgram));
  if (missing.length === 0) return;
  const install = ['install', '--yes', '--no-install-recommends', ...missing];
  if (!hasProgram('apt-get')) throw new Error(`a Debian or Ubuntu machine is needed: apt-get is missing here`);
  if (process.getuid() !== 0) {
    throw new Error(`programs are missing. Run this, then try again:\n\n  sudo apt-get ${install.join(' ')}\n`);
  }
  note(`apt-get install ${missing.join(' ')} …`);
  output('env', 'DEBIAN_FRONTEND=noninteractive', 'apt-get', '-o', 'DPkg::Lock::Timeout=300', ...install);
}

/** The mirror of Debian that this machine uses. */
function mirror() {
  const found = output('apt-get', 'indextargets', '--format', '$(LABEL) $(REPO_URI)', 'Created-By: Packages')
    .split('\n')
    .map((line) => line.split(' '))
    .find(([label]) => label === 'Debian');
  if (found === undefined) throw new Error('no Debian mirror among the sources of apt: see apt-get indextargets');
  return found[1];
}

let apt;

/** apt-get and apt-cache with a directory of their own, which is up to date. */
function privateApt() {
  if (apt !== undefined) return apt;
  const directory = join(cache, 'apt');
  mkdirSync(join(directory, 'lists/partial'), { recursive: true });
  mkdirSync(join(directory, 'cache/archives/partial'), { recursive: true });
  const signed = existsSync(KEYRING) ? `[signed-by=${KEYRING}] ` : '';
  const uri = mirror();
  writeFileSync(join(directory, 'sources.list'), SUITES.map((suite) => `deb ${signed}${uri} ${suite} main\n`).join(''));
  const options = Object.entries({
    'Dir::Etc::sourcelist': join(directory, 'sources.list'),
    'Dir::Etc::sourceparts': '-',
    'Dir::State::lists': join(directory, 'lists'),
    'Dir::Cache': join(directory, 'cache'),
    // Root's apt would fetch as a user that can't reach into a home directory.
    'APT::Sandbox::User': 'root',
  }).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
  note(`apt-get update of ${SUITES.join(', ')} …`);
  output('apt-get', ...options, 'update');
  apt = (program, ...args) => output(program, ...options, ...args);
  apt.options = options;
  return apt;
}

/** Fetches packages and unpacks them into one folder of the cache, all or nothing. */
async function unpack(folder, packages) {
  const unfinished = `${folder}.${process.pid}`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(join(unfinished, 'debs'), { recursive: true });
  const { options } = privateApt();
  try {
    for (const name of packages) {
      const begin = performance.now();
      note(`fetching ${name} …`);
      await run('apt-get', [...options, 'download', name], join(unfinished, 'debs'));
      for (const deb of readdirSync(join(unfinished, 'debs'))) {
        output('dpkg', '-x', join(unfinished, 'debs', deb), unfinished);
        rmSync(join(unfinished, 'debs', deb));
      }
      note(`${name}: ${((performance.now() - begin) / 1000).toFixed(1)} s`);
    }
    if (!existsSync(folder)) renameSync(unfinished, folder);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
  }
}

/** Like output(), but lets signals in meanwhile: downloads are long. */
function run(file, args, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.on('data', (data) => {
      stderr += data;
    });
    child.on('error', reject);
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`${file}: ${stderr.trim() || code}`))));
  });
}

const byVersion = (a, b) => a.localeCompare(b, 'en', { numeric: true });

/** The newest kernel of a series: { release, image, modules }, where modules holds lib/modules/<release>. */
export async function kernel(series) {
  const folder = join(cache, `linux-${series}`);
  if (!existsSync(folder)) {
    const pattern = `^linux-(image|binary)-${series.replaceAll('.', '\\.')}\\.[0-9]+\\+deb[0-9]+-amd64$`;
    const names = privateApt()('apt-cache', 'search', '--names-only', pattern)
      .split('\n')
      .map((line) => line.split(' ')[0])
      .filter(Boolean);
    const release = names
      .map((name) => name.replace(/^linux-[a-z]+-/, ''))
      .sort(byVersion)
      .at(-1);
    if (release === undefined) throw new Error(`no kernel ${series} in ${SUITES.join(', ')} of ${mirror()}`);
    // Since 7.1 the modules are a package of their own, and linux-image only names the two.
    const split = names.includes(`linux-binary-${release}`) && byVersion(series, '7.1') >= 0;
    await unpack(folder, split ? [`linux-binary-${release}`, `linux-modules-${release}`] : [`linux-image-${release}`]);
  }
  const modules = existsSync(join(folder, 'lib/modules')) ? folder : join(folder, 'usr');
  const [release] = readdirSync(join(modules, 'lib/modules'));
  if (!existsSync(join(modules, 'lib/modules', release, 'modules.dep'))) output('depmod', '-b', modules, release);
  const image = [join(folder, 'boot', `vmlinuz-${release}`), join(modules, 'lib/modules', release, 'vmlinuz')].find(
    existsSync,
  );
  if (image === undefined) throw new Error(`no kernel image in ${folder}; remove that folder and try again`);
  return { series, release, image, modules };
}

/** A QEMU that has igb: the machine's own, or that of backports beside it. */
export async function qemu() {
  const own = 'qemu-system-x86_64';
  if (output(own, '-device', 'help').includes('"igb"')) return [own];
  const folder = join(cache, 'qemu');
  if (!existsSync(folder)) {
    const packages = ['qemu-system-x86', 'qemu-system-common', 'qemu-system-data', 'seabios'];
    await unpack(
      folder,
      packages.map((name) => `${name}/bookworm-backports`),
    );
  }
  const firmware = ['qemu', 'seabios'].flatMap((name) => ['-L', join(folder, 'usr/share', name)]);
  return [join(folder, 'usr/bin', own), ...firmware];
}
