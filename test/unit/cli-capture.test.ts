// `ringtap capture` on synth:, which needs no rights.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, linkSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli, lines, packetsIn, type Running, ringtap, shell, start, startRingtap } from '../support/cli.js';
import { asleep, best, sleep, until, within } from '../support/wait.js';

let folder: string;
let files = 0;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ringtap-capture-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

const outFile = (extension: string) => join(folder, `${++files}.${extension}`);
/** Waits until the run says that it captures. */
async function untilCapturing({ process }: Running): Promise<void> {
  await once(process.stderr!, 'data');
  await sleep(300);
}

describe('ringtap capture', () => {
  test('prints a line for each packet to stdout and everything else to stderr', async () => {
    const { code, stdout, stderr } = await ringtap('capture', '-t', 'synth:?count=1000&protocols=udp');
    expect(code).toBe(0);
    expect(lines(stdout)).toHaveLength(1000);
    for (const line of lines(stdout)) expect(line).toMatch(/^IP 10\.\S+ > 10\.\S+: UDP, length 22$/);
    expect(stderr).toMatch(
      /^ringtap: capturing from synth:\?\S+ with synth \(memory, Ethernet, timestamps: synthetic\)\n/,
    );
  });

  test('accounts for the packets by cause at the end', async () => {
    const uri = 'synth:?count=1000&dropEvery=10&protocols=udp,tcp';
    const { stderr } = await ringtap('capture', uri, '-q', '-f', 'udp');
    const count = (pattern: RegExp) => Number(pattern.exec(stderr)?.[1]);
    const captured = count(/^(\d+) packets captured \(/m);
    const filtered = count(/^(\d+) packets filtered$/m);
    expect(stderr).toMatch(/^100 packets dropped \(ring 0, injected 100\)$/m);
    expect(captured).toBeGreaterThan(0);
    expect(captured + filtered + 100).toBe(1000);
  });

  test('-q prints nothing but the summary', async () => {
    const { stdout, stderr } = await ringtap('capture', 'synth:', '-c', '10', '-q');
    expect(stdout).toBe('');
    expect(stderr).toMatch(/^10 packets captured .*\n0 packets filtered\n0 packets dropped .*\n$/);
  });

  test.each(['1', '255', '257', '100000'])(
    '-c %s stops after exactly as many, in lines and in a file',
    async (count) => {
      const path = outFile('pcap');
      const [printed, written] = [
        await ringtap('capture', 'synth:', '-c', count),
        await ringtap('capture', 'synth:', '-c', count, '-w', path),
      ];
      expect(lines(printed.stdout)).toHaveLength(Number(count));
      const packets = `${Number(count).toLocaleString('en-US')} ${count === '1' ? 'packet' : 'packets'}`;
      expect(printed.stderr).toContain(`${packets} captured`);
      expect(written.stderr).toContain(`${packets} written`);
      expect(await packetsIn(path)).toBe(Number(count));
    },
  );

  test.each([
    ['pcap', '4d3cb2a1'],
    ['pcapng', '0a0d0d0a'],
    ['PCAPNG', '0a0d0d0a'],
    ['anything', '4d3cb2a1'],
  ])('-w writes the format that .%s names, and the packets that it would have printed', async (extension, magic) => {
    const path = outFile(extension);
    const uri = 'synth:?count=5000&seed=7';
    const { code } = await ringtap('capture', uri, '-w', path);
    expect(code).toBe(0);
    expect(readFileSync(path).subarray(0, 4).toString('hex')).toBe(magic);
    const printed = await ringtap('capture', uri, '-t');
    expect((await ringtap('read', '-t', path)).stdout).toBe(printed.stdout);
    expect(await packetsIn(path)).toBe(5000);
  });

  test.each([
    ['pcapng.zst', 'pcapng (zstd compressed)'],
    ['PCAPNG.GZ', 'pcapng (gzip compressed)'],
    ['pcap.lz4', 'nanosecond pcap (lz4 compressed)'],
  ])('-w writes .%s compressed, in the format that is named before', async (extension, type) => {
    const path = outFile(extension);
    const { code } = await ringtap('capture', 'synth:?count=5000&seed=7', '-w', path);
    expect(code).toBe(0);
    const theirs = execFileSync('capinfos', ['-t', '-c', path], { encoding: 'utf8' });
    expect(theirs).toContain(type);
    expect(theirs).toMatch(/packets: +5000$/m);
  });

  test.each(['pcap.gzip', 'pcap.xz'])('-w refuses .%s, which no trace is written as', async (extension) => {
    const path = outFile(extension);
    const { code, stderr } = await ringtap('capture', 'synth:?count=10', '-w', path);
    expect(stderr).toMatch(/no trace is written as.*\nhint: Name it \./);
    expect({ code, isThere: existsSync(path) }).toEqual({ code: 2, isThere: false });
  });

  test('-w - writes a trace to standard output, for tcpdump to read', async () => {
    const { stdout, stderr } = await shell(
      'ringtap capture "synth:?count=1000" -w - 2>/dev/null | tcpdump -nn -r - | wc -l',
    );
    expect(stdout.trim()).toBe('1000');
    expect(stderr).toContain('reading from file -');
  });

  test('-w - refuses a terminal', async () => {
    const { stdout } = await shell(
      `script -qec '"${process.execPath}" dist/cli/main.js capture synth: -w -; echo $?' /dev/null`,
    );
    expect(stdout).toContain('a trace is not for a terminal');
    expect(stdout).toMatch(/\n2\r?\n$/);
  });

  test('ends quietly when the reader of its lines or of its trace does', async () => {
    const text = await shell(`ringtap capture synth: 2>/dev/null | head -n 2; echo \${PIPESTATUS[0]}`);
    expect(lines(text.stdout)).toHaveLength(3);
    expect(text.stdout).toMatch(/\n0\n$/);
    const trace = await shell(`ringtap capture synth: -w - | head -c 1000 | wc -c; echo \${PIPESTATUS[0]}`);
    expect(trace.stdout).toBe('1000\n0\n');
    expect(trace.stderr).not.toContain('hint');
  });

  test('ends with 1 when its lines cannot be written', async () => {
    const { stdout, stderr } = await shell('ringtap capture synth: > /dev/full; echo $?');
    expect(stdout).toBe('1\n');
    expect(stderr).toMatch(/^ringtap: .*ENOSPC/m);
  });

  test('--duration ends it in time', async () => {
    const run = async () => {
      const { code, stderr } = await ringtap('capture', 'synth:?rate=1000', '--duration', '500ms', '-q');
      expect(code).toBe(0);
      const packets = Number(/^(\d+) packets captured/.exec(stderr)?.[1]);
      expect(packets).toBeGreaterThan(400);
      return packets;
    };
    expect(await best(700, run)).toBeLessThan(700);
  });

  test('refuses to overwrite the trace that it reads, under whatever name', async () => {
    const path = outFile('pcap');
    await ringtap('capture', 'synth:?count=1000', '-w', path);
    const before = readFileSync(path);
    const link = outFile('pcap');
    linkSync(path, link);
    const { code, stderr } = await ringtap('capture', path, '-w', link);
    expect(code).toBe(2);
    expect(stderr).toContain('is the trace that is being read');
    const { stdout } = await shell(
      `ringtap capture - -w ${path} < ${path}; ringtap capture ${path} -w - >> ${path}; echo $?`,
    );
    expect(stdout).toBe('2\n');
    expect(readFileSync(path)).toEqual(before);
  });

  test('-s and --batch-size are passed on', async () => {
    const path = outFile('pcap');
    await ringtap('capture', 'synth:?count=10&sizes=500', '-s', '60', '--batch-size', '3', '-w', path);
    expect(statSync(path).size).toBe(24 + 10 * (16 + 60));
    const { stdout } = await ringtap('stats', `file:${path}`, '--json');
    expect(JSON.parse(stdout)).toMatchObject({ packets: 10, bytes: 5000 });
  });
});

describe('a trace that is being captured', () => {
  /** 200 packets, then nothing for a minute. */
  const quiet = 'synth:?stallAfter=200&stallMs=60000';

  test.each(['pcap', 'pcapng'])('is complete in the file a second later, and after SIGKILL: %s', async (extension) => {
    const path = outFile(extension);
    const run = startRingtap(['capture', quiet, '-w', path]);
    await until(async () => statSync(path, { throwIfNoEntry: false }) !== undefined, 'the file');
    await until(async () => (await packetsIn(path)) === 200, 'the packets');
    expect(run.process.exitCode).toBe(null);
    run.process.kill('SIGKILL');
    await run.outcome;
    expect(await packetsIn(path)).toBe(200);
  });

  test.each(['-w', '-Uw'])('goes on to the reader of standard output as it comes: %s -', async (flag) => {
    const { process: child, outcome } = startRingtap(['capture', `${quiet}&sizes=100`, flag, '-']);
    let read = Buffer.alloc(0);
    child.stdout!.on('data', (data: Buffer) => {
      read = Buffer.concat([read, data]);
    });
    await until(() => read.length >= 24 + 200 * (16 + 100), 'the packets');
    expect(child.exitCode).toBe(null);
    child.kill('SIGKILL');
    await outcome;
    const { stdout } = await start('tcpdump', ['-nnr', '-'], { input: read }).outcome;
    expect(lines(stdout)).toHaveLength(200);
  });
});

describe('a signal', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)(
    '%s ends a capture with a complete file and the summary',
    async (signal) => {
      const path = outFile('pcapng');
      const run = startRingtap(['capture', 'synth:?rate=10000', '-w', path]);
      await untilCapturing(run);
      run.process.kill(signal);
      const { code, stderr } = await run.outcome;
      expect(code).toBe(0);
      const captured = /^([\d,]+) packets captured/m.exec(stderr)?.[1]?.replaceAll(',', '');
      expect(Number(captured)).toBeGreaterThan(0);
      expect(await packetsIn(path)).toBe(Number(captured));
    },
  );

  test('that comes twice at once is one wish', async () => {
    const path = outFile('pcapng');
    const run = startRingtap(['capture', 'synth:?rate=100000&sizes=1500', '-w', path]);
    await untilCapturing(run);
    run.process.kill('SIGTERM');
    await sleep(1);
    run.process.kill('SIGTERM');
    run.process.kill('SIGHUP');
    const { code, stderr } = await run.outcome;
    expect(code).toBe(0);
    const written = /^([\d,]+) packets written/m.exec(stderr)?.[1]?.replaceAll(',', '');
    expect(Number(written)).toBeGreaterThan(0);
    expect(await packetsIn(path)).toBe(Number(written));
  });

  test('of timeout, which signals the command and then its group, ends it in good order', async () => {
    const path = outFile('pcap');
    const { code, stderr } = await start('timeout', [
      ...['--preserve-status', '2', process.execPath, cli],
      ...['capture', 'synth:?rate=100000&sizes=1500', '-w', path],
    ]).outcome;
    expect(code).toBe(0);
    const written = /^([\d,]+) packets written/m.exec(stderr)?.[1]?.replaceAll(',', '');
    expect(await packetsIn(path)).toBe(Number(written));
  });

  test('from a terminal that goes away ends it with a complete file', async () => {
    const path = outFile('pcapng');
    const hangUp = `
import os, pty, sys, time
child, terminal = pty.fork()
if child == 0: os.execv(sys.argv[1], sys.argv[1:])
os.read(terminal, 1)
time.sleep(1.2)
os.close(terminal)
print(os.waitpid(child, 0)[1])`;
    const args = ['-c', hangUp, process.execPath, cli, 'capture', 'synth:?rate=10000', '-w', path];
    const { stdout, stderr } = await start('python3', args).outcome;
    expect({ stdout, stderr }).toEqual({ stdout: `${constants.signals.SIGHUP}\n`, stderr: '' });
    expect(await packetsIn(path)).toBeGreaterThan(1000);
    // It ends with the counts of the capture: an interface statistics block.
    const trace = readFileSync(path);
    expect(trace.readUInt32LE(trace.length - trace.readUInt32LE(trace.length - 4))).toBe(5);
  });

  // Nobody reads its output: the first signal cannot be heeded before somebody does.
  test.each([
    ['SIGINT', ['capture', 'synth:']],
    ['SIGTERM', ['capture', 'synth:']],
    ['SIGINT', ['capture', 'synth:', '-w', '-']],
    ['SIGTERM', ['capture', 'synth:', '-w', '-']],
  ] as const)('a second %s ends it at once: %j', async (signal, args) => {
    const child = spawn(process.execPath, [cli, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
    await once(child.stderr, 'data');
    await asleep(child.pid!);
    child.kill(signal);
    await asleep(child.pid!);
    expect(child.exitCode).toBe(null);
    expect(child.signalCode).toBe(null);
    await sleep(300);
    child.kill(signal);
    const [, by] = await within(once(child, 'exit'), 'the end');
    expect(by).toBe(signal);
  });

  test('ends it at once while nobody reads the pipe that it is to write to', async () => {
    const pipe = outFile('pipe');
    execFileSync('mkfifo', [pipe]);
    const child = spawn(process.execPath, [cli, 'capture', 'synth:', '-w', pipe], { stdio: 'ignore' });
    await sleep(1000);
    expect(child.exitCode).toBe(null);
    child.kill('SIGINT');
    const [, by] = await within(once(child, 'exit'), 'the end');
    expect(by).toBe('SIGINT');
  });

  test('ends stats with the counts so far', async () => {
    const run = startRingtap(['stats', 'synth:?rate=10000', '--json']);
    await untilCapturing(run);
    run.process.kill('SIGINT');
    const { code, stdout } = await run.outcome;
    expect(code).toBe(0);
    expect(JSON.parse(stdout).packets).toBeGreaterThan(0);
  });
});

describe('on a terminal', () => {
  test('a rate line shows how it is getting on, and is wiped at the end', async () => {
    const path = outFile('pcap');
    const command = `"${process.execPath}" dist/cli/main.js capture synth:?rate=1000 -w ${path} --duration 1200ms`;
    const { stdout } = await shell(`script -qec '${command}' /dev/null`);
    expect(stdout).toMatch(/\r.\[K[\d,]+ packets {2}\S+ \S*pps {2}\S+ \S*bit\/s {2}0 dropped/);
    expect(stdout).toMatch(/\r.\[K[\d,]+ packets captured/);
  });
});
