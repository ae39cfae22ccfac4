// The package as a stranger installs it: on a Debian with nothing in it (no compiler, no Python, no libpcap), as root and not, with
// every package manager and Node, with install scripts and without; then it captures. An arm64 Node runs it below qemu, and musl's
// loader takes the binary of musl. scripts/minbase.mjs makes these machines, scripts/prebuilds.mjs the binaries.
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { MANAGERS, minbase, NODES } from '../../scripts/minbase.mjs';
import { prebuildFaults } from '../../scripts/prebuilds/faults.mjs';
import { root } from '../support/child.js';
import { type Outcome, start } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { lab, traffic } from '../support/lab.js';
import { needed, pack, packOthers } from '../support/packed.js';
import { serveRegistry } from '../support/registry.js';

const MB = 1_000_000;
const SECONDS = 5;
const path = temporaryFolder();
const x64 = join(minbase, 'x64');
let registry: Awaited<ReturnType<typeof serveRegistry>>;
let tarball: string;

beforeAll(async () => {
  expect(lab, 'there is no lab').not.toBeNull();
  expect(prebuildFaults(root)).toEqual([]);
  tarball = (await pack(path('.'))).get('ringtap')!.tarball;
  const manifestOf = (folder: string) => JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
  const others = await packOthers(path('.'), needed());
  registry = await serveRegistry([
    { manifest: manifestOf('.'), tarball },
    // Yarn 4 installs node-gyp where any script of a package names it, if only one of its tests.
    ...needed().map((folder, i) => ({ manifest: { ...manifestOf(folder), scripts: {} }, tarball: others[i]! })),
  ]);
  mkdirSync(join(x64, 'proc'), { recursive: true });
}, 200_000);
afterAll(() => registry?.close());

/** Runs a shell script inside, in a folder of its own, with nothing of this process's environment. */
function inside(user: number, node: string, script: string, ...args: string[]): Promise<Outcome> {
  const env = ['env', '-i', `PATH=/opt/node-${node}/bin:/usr/bin:/bin`, 'NO_UPDATE_NOTIFIER=1'];
  const folders = mkdtempSync(join(x64, 'tmp/project-'));
  const at = folders.slice(x64.length);
  const prepared = `cd ${at} && export HOME=$PWD/home TMPDIR=$PWD/tmp && mkdir home tmp && ${script}`;
  const mounted = `mount -t proc proc ${x64}/proc && chown -R ${user} ${folders} && exec chroot --userspec=${user}:${user} ${x64} "$@"`;
  const argv = ['--mount', 'sh', '-c', mounted, 'sh', ...env, 'sh', '-c', prepared, 'sh', ...args];
  return start('unshare', argv).outcome.finally(() => rmSync(folders, { recursive: true, force: true }));
}

/** The command line that installs ringtap from the registry, and from nothing else. */
function command(manager: string, flags: string): string {
  const run = `node /opt/${manager}/${MANAGERS[manager]!.program}`;
  const from = `--registry ${registry.url}`;
  return {
    npm: `${run} install --no-audit --no-fund ${from} ${flags} ringtap`,
    pnpm: `${run} add ${from} ${flags} ringtap`,
    yarn: `${run} add ${from} ${flags} ringtap`,
    berry: `touch yarn.lock; YARN_NPM_REGISTRY_SERVER=${registry.url} YARN_UNSAFE_HTTP_WHITELIST=127.0.0.1 YARN_NODE_LINKER=node-modules YARN_ENABLE_TELEMETRY=0 YARN_ENABLE_SCRIPTS=${flags === '' ? 1 : 0} YARN_NPM_MINIMAL_AGE_GATE=0 ${run} add ringtap`,
  }[manager]!;
}

const COUNT = `import { open } from 'ringtap';
  let packets = 0;
  for await (const { length } of await open(process.argv[2])) packets += length;
  console.log(packets);`;

const USERS = [
  ['root', 0],
  ['an ordinary user', 65534],
] as const;
const WAYS = Object.keys(MANAGERS).flatMap((manager) => USERS.map(([who, user]) => [manager, who, user] as const));

describe('without compiler, Python and libpcap', () => {
  test('there is nothing to build with', async () => {
    const { stdout } = await inside(
      0,
      NODES[0]!,
      'for p in cc gcc g++ make cmake python3; do command -v $p; done; ls /usr/lib/*/libpcap*; true',
    );
    expect(stdout).toBe('');
  });

  describe.each(NODES)('Node %s', (node) => {
    // CPU time, as what else the machine does is not the package's.
    test.each(WAYS)(`%s as %s installs in ${SECONDS} s, and it captures`, async (manager, _, user) => {
      for (const flags of ['', '--ignore-scripts']) {
        const script = `printf %s "$1" > count.mjs; echo '{ "private": true }' > package.json
          begin=$(date +%s%N); (${command(manager, flags)}) > log 2>&1 || { cat log; exit 1; }
          echo $((($(date +%s%N) - begin) / 1000000)); times; node count.mjs 'synth:?count=1000'`;
        const { stdout, stderr } = await inside(user, node, script, COUNT);
        expect({ stderr, last: stdout.trim().split('\n').at(-1) }, stdout).toEqual({ stderr: '', last: '1000' });
        const [wall, , children] = stdout.split('\n');
        const seconds = [...children!.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
          (sum, [, m, s]) => sum + Number(m) * 60 + Number(s),
          0,
        );
        console.log(`Node ${node}, ${manager} ${flags} as ${user}: ${seconds.toFixed(1)} s of CPU, ${wall} ms`);
        expect(seconds).toBeGreaterThan(0);
        expect(seconds).toBeLessThan(SECONDS);
      }
    });
  });

  test('root captures what an interface receives, and an ordinary user is told which right that takes', async () => {
    const script = `echo '{ "private": true }' > package.json; (${command('npm', '--ignore-scripts')}) > log 2>&1 || { cat log; exit 1; }
      printf %s "$1" > capture.mjs; node capture.mjs`;
    const program = `import { open } from 'ringtap';
      const capture = await open('afpacket:${lab!.rx}', { promiscuous: true }).catch((error) => error);
      if (capture instanceof Error) console.log(capture.code, capture.hint);
      else {
        let packets = 0;
        for await (const { length } of capture) if ((packets += length) >= 1000) break;
        console.log(packets >= 1000, capture.backend, capture.plan.zeroCopy);
      }`;
    const done = new AbortController();
    const { sent } = traffic({ count: 10_000_000, rate: 5_000 }, done.signal);
    const { stdout } = await inside(0, NODES[1]!, script, program);
    done.abort();
    await sent;
    expect(stdout).toBe('true afpacket true\n');
    const { stdout: told } = await inside(65534, NODES[1]!, script, program);
    expect(told).toMatch(/^RINGTAP_NO_PERMISSION .*cap_net_raw/);
  });
});

test('the package is 3 MB at most', () => {
  expect(statSync(tarball).size).toBeLessThanOrEqual(3 * MB);
});

/** The package below `folder`, with what it needs beside it. */
async function unpacked(folder: string): Promise<string> {
  for (const [i, file] of [tarball, ...(await packOthers(path('.'), needed()))].entries()) {
    const there = join(folder, i === 0 ? 'node_modules/ringtap' : needed()[i - 1]!);
    mkdirSync(there, { recursive: true });
    expect((await start('tar', ['xzf', file, '-C', there, '--strip-components=1']).outcome).code).toBe(0);
  }
  return folder;
}

test('an arm64 Node with glibc captures, filters, writes and reads', async () => {
  const folder = await unpacked(path('arm64'));
  copyFileSync(join(root, 'examples/sample.pcap'), join(folder, 'sample.pcap'));
  writeFileSync(
    join(folder, 'all.mjs'),
    `import { open, openWriter } from 'ringtap';
    import { decode } from 'ringtap/decode';
    const count = async (uri, options) => {
      let packets = 0;
      for await (const batch of await open(uri, options)) packets += batch.length;
      return packets;
    };
    const writer = await openWriter('out.pcapng');
    let udp = 0;
    for await (const batch of await open('synth:?count=20000&seed=1&sizes=imix')) {
      const { ipProtocol, protocol = ipProtocol } = decode(batch);
      for (const number of protocol.subarray(0, batch.length)) udp += number === 17;
      await writer.write(batch);
    }
    await writer.close();
    const filter = [[0x28, 0, 0, 12], [0x15, 0, 3, 0x800], [0x30, 0, 0, 23], [0x15, 0, 1, 17], [0x6, 0, 0, 65535], [0x6, 0, 0, 0]];
    console.log(process.arch, await count('out.pcapng'), (await count('out.pcapng', { filter })) <= udp, await count('sample.pcap'));`,
  );
  const node = join(minbase, 'node-arm64/bin/node');
  const argv = ['-L', join(minbase, 'arm64'), node, 'all.mjs'];
  const { stdout, stderr } = await start('sh', [
    '-c',
    'cd "$1" && shift && exec qemu-aarch64-static "$@"',
    'sh',
    folder,
    ...argv,
  ]).outcome;
  expect({ stdout, stderr }).toEqual({ stdout: expect.stringMatching(/^arm64 20000 true \d+\n$/), stderr: '' });
});

test("musl's loader takes the binary of musl, with everything that it needs of a libc", async () => {
  // There is no Node for musl to be had here: a program that has Node-API's and libuv's names, and calls what needs neither.
  const folder = path('musl');
  mkdirSync(folder);
  // It leads to the one that is made for glibc, which is there, and nothing else of glibc.
  const binaries = ['musl', 'glibc'].map((libc) => join(root, `prebuilds/linux-x64/ringtap.${libc}.node`));
  const { stdout: symbols } = await start('readelf', ['--wide', '--dyn-syms', ...binaries]).outcome;
  const wanted = [...new Set([...symbols.matchAll(/ UND ((?:napi|uv)_\w+)/g)].map(([, name]) => name))];
  expect(wanted.length).toBeGreaterThan(40);
  writeFileSync(
    join(folder, 'host.c'),
    `#include <dlfcn.h>
    #include <stdio.h>
    ${wanted.map((name) => `__attribute__((visibility("default"))) int ${name}(void) { return 1; }`).join('\n')}
    int main(int argc, char** argv) {
      void* library = dlopen(argv[1], RTLD_NOW);
      if (library == NULL) return puts(dlerror()), 1;
      int (*version)(void) = (int (*)(void))dlsym(library, "node_api_module_get_api_version_v1");
      return printf("Node-API %d\\n", version()), 0;
    }`,
  );
  const zig = join(root, 'build/zig/node_modules/.bin/zig');
  const cache = join(root, 'build/zig/cache');
  const host = join(x64, 'tmp/host');
  const build = [
    'cc',
    '-target',
    'x86_64-linux-musl',
    '-dynamic',
    '-rdynamic',
    '-O1',
    join(folder, 'host.c'),
    '-o',
    host,
  ];
  const built = await start(zig, build, { env: { ZIG_GLOBAL_CACHE_DIR: cache, ZIG_LOCAL_CACHE_DIR: cache } }).outcome;
  expect(built.code, built.stderr).toBe(0);
  for (const binary of binaries) copyFileSync(binary, join(x64, 'tmp', basename(binary)));
  const loader = ['/lib/ld-musl-x86_64.so.1', '/lib/x86_64-linux-musl/libc.so'].find((name) =>
    existsSync(join(x64, name)),
  )!;
  const { stdout } = await start('chroot', [x64, loader, '/tmp/host', '/tmp/ringtap.musl.node']).outcome;
  expect(stdout).toBe('Node-API 8\n');
});
