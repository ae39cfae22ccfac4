// What `npm install ringtap` runs, and which binary is loaded afterwards: a package laid out by hand, and no tool in sight.
import { chmodSync, copyFileSync, cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { binaryFaults } from '../../scripts/prebuilds/faults.mjs';
import { withoutLoader } from '../../scripts/prebuilds/loader.mjs';
import { root, script } from '../support/child.js';
import { type Outcome, start } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';

const path = temporaryFolder();
const installed = path('node_modules/ringtap');
const BUILT = join(root, 'build/addon/Release/ringtap.node');
const prebuilt = (libc: string) => join(installed, `prebuilds/linux-${process.arch}/ringtap.${libc}.node`);

function put(file: string, from?: string): void {
  mkdirSync(dirname(file), { recursive: true });
  if (from === undefined) writeFileSync(file, 'not a library');
  else copyFileSync(from, file);
}

beforeEach(() => {
  rmSync(installed, { recursive: true, force: true });
  for (const part of ['dist', 'native', 'package.json', 'CMakeLists.txt', 'scripts'])
    cpSync(join(root, part), join(installed, part), { recursive: true });
  for (const name of ['cli-table3', 'commander', 'fastest-levenshtein', 'node-gyp-build']) {
    const there = path(`node_modules/${name}`);
    rmSync(there, { force: true });
    symlinkSync(join(root, 'node_modules', name), there);
  }
});

/** A PATH with these programs and no others: name → what it does. */
function pathWith(programs: Record<string, string>): string {
  const bin = path('bin');
  rmSync(bin, { recursive: true, force: true });
  mkdirSync(bin);
  for (const [name, text] of Object.entries(programs)) {
    writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(bin, name), 0o755);
  }
  return bin;
}

/** Runs npm's install script with these programs, and no others, in its PATH. */
function install(programs: Record<string, string> = {}, ...args: string[]): Promise<Outcome> {
  const env = { PATH: pathWith(programs), CXX: '', npm_config_build_from_source: 'false' };
  return start(process.execPath, [join(installed, 'scripts/install.mjs'), ...args], { env }).outcome;
}

/** What a program finds that uses the package. */
async function loaded(env: Record<string, string> = {}): Promise<string> {
  const source = `const { open } = await import(process.argv[1]);
    let packets = 0;
    try { for await (const { length } of await open('synth:?count=7')) packets += length; console.log(packets); }
    catch ({ code, message, hint }) { console.log(code, message, hint); }`;
  const { stdout, stderr } = await script(source, { args: [join(installed, 'dist/index.js')], env });
  return `${stdout}${stderr}`.trim();
}

describe('installation', () => {
  test('where a prebuilt binary fits needs no compiler, no Python, no cmake, and says nothing', async () => {
    put(prebuilt('glibc'), BUILT);
    expect(await install()).toMatchObject({ code: 0, stdout: '', stderr: '' });
    expect(await loaded()).toBe('7');
  });

  test('where none fits says in one message what a build lacks, what for, and the line that installs it', async () => {
    const { code, stdout, stderr } = await install();
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(/^ringtap: the native addon cannot be loaded: No native build was found .*; to build it here, these are missing:\n/);
    for (const line of [
      /^ {2}- cmake \(drives the build\)$/m,
      /^ {2}- a C\+\+20 compiler \(gcc 11, clang 14, or newer\)$/m,
      /^ {2}- make \(or ninja\)$/m,
      /^Install them, then build again with: npm rebuild ringtap$/m,
      /^ {2}Debian, Ubuntu: apt-get install cmake g\+\+ make/m,
      /^ {2}Alpine: apk add cmake g\+\+ make/m,
      /^ {2}Fedora, RHEL: dnf install cmake gcc-c\+\+ make/m,
    ])
      expect(stderr).toMatch(line);
    expect(stderr).not.toMatch(/python|gyp|\bat .*\.m?js/i);
  });

  test("names only what is missing, and only this system's command", async () => {
    const { code, stderr } = await install({ cmake: 'exit 0', make: 'exit 0', apk: 'exit 0' });
    expect(code).toBe(1);
    expect(stderr).toMatch(/\n {2}- a C\+\+20 compiler .*\nInstall them.*\n {2}Alpine: apk add g\+\+\n$/);
  });

  test('builds where it is asked to, though a prebuilt binary fits, and says where the build failed', async () => {
    put(prebuilt('glibc'), BUILT);
    const tools = { make: 'exit 0', 'g++': 'exit 0', cmake: '[ "$1" = --version ] || { echo "cmake: $1" >&2; exit 3; }' };
    const { code, stderr } = await install(tools, '--build-from-source');
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: 'cmake: -S\nringtap: the build failed, see above (cmake -S: exit code 3)\n',
    });
  });
});

describe('ringtap doctor --fix', () => {
  const doctor = (programs: Record<string, string>, what: string) =>
    start(process.execPath, [join(installed, 'dist/cli/main.js'), 'doctor', '--fix', what], {
      env: { PATH: pathWith(programs) },
    }).outcome;

  test('dpdk says what to install where there is no libdpdk', async () => {
    put(prebuilt('glibc'), BUILT);
    const { code, stderr } = await doctor({}, 'dpdk');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^ringtap: dpdk: no libdpdk of 22\.11 or newer .*\nhint: sudo apt-get install libdpdk-dev pkg-config /);
  });

  test('dpdk builds from source where there is one, and says when that fails', async () => {
    put(prebuilt('glibc'), BUILT);
    const { code, stderr } = await doctor({ 'pkg-config': 'exit 0' }, 'dpdk');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^ringtap: asked to build from source; to build it here, these are missing:\n {2}- cmake /);
    expect(stderr).toMatch(/\nringtap: the module was not built: see above\n$/);
  });

  test('of anything else is wrong usage', async () => {
    const { code, stderr } = await doctor({}, 'everything');
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('Allowed choices are dpdk') });
  });
});

describe('the binary that is loaded', () => {
  test('is that of the libc: glibc here, musl on Alpine', async () => {
    put(prebuilt('glibc'), BUILT);
    put(prebuilt('musl'));
    expect(await loaded()).toBe('7');
    expect(await loaded({ LIBC: 'musl' })).toMatch(/^RINGTAP_ADDON_MISSING .*ringtap\.musl\.node/);
  });

  test('is that of musl where a Linux that is not Alpine has it', async () => {
    put(prebuilt('glibc'));
    put(prebuilt('musl'), BUILT);
    expect(await loaded()).toBe('7');
  });

  test('is what was built here, before any that came along', async () => {
    put(prebuilt('glibc'));
    put(join(installed, 'build/Release/ringtap.node'), BUILT);
    expect(await loaded()).toBe('7');
  });

  test('is missed with the reason and what to do, where none loads', async () => {
    put(prebuilt('glibc'));
    expect(await loaded()).toMatch(/^RINGTAP_ADDON_MISSING .*ringtap\.glibc\.node: file too short Run `npm rebuild ringtap`: /);
  });
});

describe('a prebuilt binary', () => {
  test('may need no newer glibc than 2.28, no libstdc++, and be of these sources', () => {
    put(join(installed, 'prebuilds/linux-x64/ringtap.glibc.node'), BUILT);
    const faults = binaryFaults(installed, 'linux-x64-glibc').map((fault) => fault.replace(/^\S+ /, ''));
    // It is what this machine's compiler makes for this machine: exports and paths are in order, the rest is not.
    expect(faults).toEqual(
      expect.arrayContaining([
        'needs libstdc++.so.6',
        expect.stringMatching(/^needs glibc 2\.3\d$/),
        expect.stringMatching(/^was made of other sources \(development, these are [0-9a-f]{16}\): npm run prebuilds$/),
      ]),
    );
    expect(faults.join('\n')).not.toMatch(/exports|names|is not for/);
  });

  test('is made not to ask for the loader, which is in every process that has glibc', async () => {
    const ours = readFileSync('/proc/self/maps', 'utf8').match(/\S+\/libstdc\+\+\.so\.\S+/)![0];
    const library = join(installed, 'libstdc++.so.6');
    copyFileSync(ours, library);
    const needed = async () =>
      [...(await start('readelf', ['--dynamic', library]).outcome).stdout.matchAll(/NEEDED.*\[(.*)\]/g)].map(
        ([, name]) => name!,
      );
    const all = await needed();
    expect(all.some((name) => name.startsWith('ld-linux'))).toBe(true);
    withoutLoader(library);
    expect(await needed()).toEqual(all.filter((name) => !name.startsWith('ld-linux')));
    // It loads all the same, and finds what it needs of the loader.
    const { stdout, stderr } = await start('cat', ['/proc/self/maps'], { env: { LD_PRELOAD: library, LD_BIND_NOW: '1' } }).outcome;
    expect(stdout).toContain(library);
    expect(stderr).toBe('');
  });

  test('is for the machine and the libc that its name says', () => {
    put(join(installed, 'prebuilds/linux-arm64/ringtap.musl.node'), BUILT);
    const faults = binaryFaults(installed, 'linux-arm64-musl').join('\n');
    expect(faults).toMatch(/ is not for arm64\n/);
    expect(faults).toMatch(/ needs libc\.so\.6\n/);
  });

  test('may export what Node asks for and nothing else, and name no path of its builder', () => {
    put(join(installed, 'prebuilds/linux-x64/ringtap.glibc.node'), join(root, 'build/addon/lib/libringtap_dpdk_stranger.so'));
    const faults = binaryFaults(installed, 'linux-x64-glibc').join('\n');
    expect(faults).toMatch(/ exports (?!.*napi_register_module_v1).*ringtap_dpdk_module/);
    writeFileSync(join(installed, 'prebuilds/linux-x64/ringtap.glibc.node'), 'not a library');
    expect(binaryFaults(installed, 'linux-x64-glibc')).toEqual([
      expect.stringMatching(/^prebuilds\/linux-x64\/ringtap\.glibc\.node cannot be read: .*Failed to read file header/),
    ]);
  });
});
