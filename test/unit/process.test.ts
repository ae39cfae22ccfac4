// How a capture shares its process with everything else.
import { cpSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { root, run, script } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { best, PATIENCE_MS } from '../support/wait.js';

const program = (body: string) => `import { open } from 'ringtap'; ${body}`;

describe('a capture', () => {
  test('that waits for packets keeps the process alive', async () => {
    const { late } = await script(program("for await (const _ of await open('synth:?stallAfter=1&stallMs=60000'));"), {
      timeoutMs: 1500,
    });
    expect(late).toBe(true);
  });

  test.each([
    [
      'before reading',
      "const capture = await open('synth:?stallAfter=1&stallMs=60000'); capture.unref(); (async () => { for await (const _ of capture); })();",
    ],
    [
      'while reading waits',
      "const capture = await open('synth:?stallAfter=1&stallMs=60000'); (async () => { for await (const _ of capture); })(); setTimeout(() => capture.unref(), 50);",
    ],
  ])('with unref() %s lets the process end', async (_, body) => {
    const { code, late, stderr } = await script(program(body));
    expect({ code, late, stderr }).toEqual({ code: 0, late: false, stderr: '' });
  });

  test('with ref() after unref() keeps it alive again', async () => {
    const body =
      "const capture = (await open('synth:?stallAfter=1&stallMs=60000')).unref().ref(); for await (const _ of capture);";
    expect((await script(program(body), { timeoutMs: 1500 })).late).toBe(true);
  });

  test('that nobody reads lets the process end', async () => {
    const { code, late } = await script(program("await open('synth:?rate=10');"));
    expect({ code, late }).toEqual({ code: 0, late: false });
  });

  test('that was read and closed lets the process end', async () => {
    const body =
      "const capture = await open('synth:?rate=10'); const next = capture[Symbol.asyncIterator]().next(); await capture.close(); await next;";
    const { code, late } = await script(program(body));
    expect({ code, late }).toEqual({ code: 0, late: false });
  });
});

describe('a program that handles RINGTAP_ADDON_MISSING', () => {
  const path = temporaryFolder();
  const handles = `
    const { devices, explain, open, probe } = await import(process.argv[1]);
    for (const call of [() => open('synth:'), () => explain('synth:'), probe, devices]) {
      const { name, code, hint } = await call().then(({ error }) => error, (error) => error);
      console.log(name, code, hint);
    }`;
  const expected = (hint: RegExp) => new RegExp(`^(CaptureError RINGTAP_ADDON_MISSING ${hint.source}\\n){4}$`);

  test('goes on, and ends well', async () => {
    const installed = path('node_modules/ringtap');
    for (const part of ['dist', 'package.json']) cpSync(join(root, part), join(installed, part), { recursive: true });
    for (const name of ['fastest-levenshtein', 'node-gyp-build']) {
      symlinkSync(join(root, 'node_modules', name), path(`node_modules/${name}`));
    }
    const { code, stdout, stderr } = await script(handles, { args: [join(installed, 'dist/index.js')] });
    expect(stdout).toMatch(expected(/Run `npm rebuild ringtap`.*/));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  test.each([
    ['', 'import.meta.url'],
    [' into CommonJS, where a module has no URL', 'undefined'],
  ])('learns that a bundler took the library%s and left the addon', async (_, url) => {
    const bundled = path(`bundle-${url}/out`);
    cpSync(join(root, 'dist'), bundled, { recursive: true, dereference: true });
    symlinkSync(join(root, 'node_modules'), join(bundled, '../node_modules'));
    writeFileSync(join(bundled, '../package.json'), '{ "name": "app", "type": "module" }');
    for (const file of readdirSync(bundled).filter((name) => name.endsWith('.js'))) {
      const text = readFileSync(join(bundled, file), 'utf8');
      writeFileSync(join(bundled, file), text.replaceAll('import.meta.url', url));
    }
    const { code, stdout, stderr } = await script(handles, { args: [join(bundled, 'index.js')] });
    expect(stdout).toMatch(expected(/Leave ringtap out of the bundle \(esbuild --external:ringtap\).*/));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });

  test.each(['bun', 'deno'])('learns that it does not run on %s', async (name) => {
    const pretends = `process.versions.${name} = '1.2.3'; ${handles}`;
    const { code, stdout, stderr } = await script(pretends, { args: [join(root, 'dist/index.js')] });
    expect(stdout).toMatch(expected(/Run the program with Node\.js.*/));
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});

// What other processes do to this machine is not ours to answer for: time spent waiting for a CPU is not counted.
test.each(['synth:?sizes=imix&bufferBytes=8m', 'synth:?sizes=imix&bufferBytes=8m&filter=udp'])(
  'a 10 ms timer is never late by more than 20 ms beside a loop over %s flat out',
  async (uri) => {
    const body = `
      import { readFileSync } from 'node:fs';
      const waited = () => Number(readFileSync('/proc/self/schedstat', 'utf8').split(' ')[1]) / 1e6;
      const clock = () => performance.now() - waited();
      const capture = await open(process.argv[1]);
      let worst = 0, ticks = 0, last = clock();
      const timer = setInterval(() => {
        const now = clock();
        worst = Math.max(worst, now - last - 10);
        last = now;
        if (++ticks === 120) void capture.close();
      }, 10);
      let bytes = 0, packets = 0;
      for await (const { length, offset, caplen, view } of capture) {
        for (let i = 0; i < length; i++) if (view.getUint16(offset[i] + 12) === 0x0800) bytes += caplen[i];
        packets += length;
      }
      clearInterval(timer);
      console.log(JSON.stringify({ worst, ticks, packets }));`;
    const run = async () => {
      const { code, stdout } = await script(program(body), { args: [uri] });
      expect(code).toBe(0);
      const { worst, ticks, packets } = JSON.parse(stdout) as { worst: number; ticks: number; packets: number };
      expect(ticks).toBe(120);
      expect(packets).toBeGreaterThan(100_000);
      return worst;
    };
    expect(await best(20, run)).toBeLessThanOrEqual(20);
  },
);

describe('nothing of ours stands on libuv’s pool', () => {
  const path = temporaryFolder();
  let made = 0;
  const pipes = async (count: number) => {
    const paths = Array.from({ length: count }, () => path(`pipe${made++}`));
    await run('mkfifo', ...paths);
    return paths;
  };

  test('captures that wait for a pipe’s writer leave file access and the end of the process alone', async () => {
    const body = `
      import { readFile } from 'node:fs/promises';
      for (const path of process.argv.slice(1)) open('file:' + path).catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, 100));
      await readFile(process.execPath);
      console.log('read');
      process.on('exit', () => console.log('exit'));
      process.exit(0);`;
    const options = { args: await pipes(4), env: { UV_THREADPOOL_SIZE: '1' }, timeoutMs: PATIENCE_MS };
    expect(await script(program(body), options)).toMatchObject({ code: 0, stdout: 'read\nexit\n', late: false });
  });

  test('an open() that is aborted beside a pipe has ended when it rejects', async () => {
    const body = `
      import { readdirSync } from 'node:fs';
      const fds = () => readdirSync('/proc/self/fd').length;
      await (await open('synth:?count=1')).close();
      const before = fds();
      const controller = new AbortController();
      const openings = process.argv.slice(1).map((path) => open('file:' + path, { signal: controller.signal }).catch((error) => error));
      while (fds() < before + 4) await new Promise((resolve) => setTimeout(resolve, 5));
      controller.abort('enough');
      console.log(JSON.stringify(await Promise.all(openings)), fds() === before);`;
    const options = { args: await pipes(4), timeoutMs: PATIENCE_MS };
    const reasons = '["enough","enough","enough","enough"]';
    expect(await script(program(body), options)).toMatchObject({ code: 0, stdout: `${reasons} true\n`, late: false });
  });
});

describe('where the host allows no more threads', () => {
  const noMoreThreads = `
    import { spawnSync } from 'node:child_process';
    import { devices, openTransmitter, probe } from 'ringtap';
    const captures = [await open('synth:?rate=1000'), await open('synth:?rate=1000')];
    if (spawnSync('prlimit', ['--pid', String(process.pid), '--nproc=1:1']).status !== 0) throw new Error('prlimit');
    if (process.getuid() === 0) { process.setgroups([]); process.setgid(54321); process.setuid(54321); } // root has no limit
  `;

  test('a capture that is asked by a thread of ours is asked by a timer', async () => {
    const body = `${noMoreThreads}
      let packets = 0;
      for await (const batch of captures[0]) if ((packets += batch.length) >= 50) break;
      captures[1].unref();
      await Promise.all(captures.map((capture) => capture.close()));
      console.log(packets >= 50);`;
    expect(await script(program(body))).toMatchObject({ code: 0, signal: null, stdout: 'true\n', stderr: '' });
  });

  test('open() says so, and what looks around does without', async () => {
    const body = `${noMoreThreads}
      const { name, code, syscall, errno, hint } = await open('synth:?rate=1').catch((error) => error);
      console.log(name, code, syscall, errno, hint.includes('pids.max'));
      console.log((await probe()).length > 0, Array.isArray(await devices()));`;
    expect(await script(program(body))).toMatchObject({
      code: 0,
      signal: null,
      stdout: `CaptureError RINGTAP_SYSTEM pthread_create ${constants.errno.EAGAIN} true\ntrue true\n`,
      stderr: '',
    });
  });
});

describe('where a sandbox refuses netlink', () => {
  // A filter for this one process: socket(AF_NETLINK, …) is EAFNOSUPPORT, as RestrictAddressFamilies= of systemd has it.
  const refuse = `
import ctypes, os, platform, struct, sys
SOCKET = {'x86_64': 41, 'aarch64': 198}[platform.machine()]
insns = [(0x20, 0, 0, 0), (0x15, 0, 3, SOCKET), (0x20, 0, 0, 16), (0x15, 0, 1, 16), (6, 0, 0, 0x50000 | 97), (6, 0, 0, 0x7fff0000)]
program = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *i) for i in insns))
header = struct.pack('HxxxxxxP', len(insns), ctypes.addressof(program))
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(22, 2, ctypes.create_string_buffer(header), 0, 0) == 0
os.execvp(sys.argv[1], sys.argv[1:])`;

  test('what needs none works, and a name that does not exist is a CaptureError', async () => {
    const body = `
      import { networkInterfaces } from 'node:os';
      import { devices, explain, probe } from 'ringtap';
      try { networkInterfaces(); console.log('not refused'); } catch {}
      const capture = await open('synth:?count=5');
      console.log(capture.nextSync(1000).length, Array.isArray(await devices()), (await probe()).length > 0);
      for (const uri of ['nosuch0', 'nosuch.pcap', 'afpacket:nosuch0', 'pcap:nosuch0', 'afxdp:nosuch0']) {
        const { name, code, hint } = await open(uri, { fallback: false }).catch((error) => error);
        console.log(name, /^RINGTAP_/.test(code), hint.length > 0);
      }
      await capture.close();`;
    const { code, stdout, stderr } = await script(program(body), { prefix: ['python3', '-c', refuse] });
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toBe(`5 true true\n${'CaptureError true true\n'.repeat(5)}`);
  });
});
