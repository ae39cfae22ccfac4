// The benchmark suite as a program: what it writes, and what is left when it is stopped.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { cli } from '../support/cli.js';
import { lab } from '../support/lab.js';

const MARK = 'RINGTAP_TEST_BENCH';
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ringtap-suite-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function start(...args: string[]): ChildProcess {
  return spawn(process.execPath, [cli, 'bench', '--out', join(folder, 'report'), '--name', 'test', ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, [MARK]: folder },
  });
}

/** Processes of this test's suite: { pid, command }. */
function processes() {
  const read = (pid: string, file: string) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0');
    } catch {
      return []; // ended meanwhile
    }
  };
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && read(name, 'environ').includes(`${MARK}=${folder}`))
    .map((pid) => ({ pid: Number(pid), command: read(pid, 'cmdline') }));
}

/** Waits for something to be there. */
async function appear<T>(find: () => T | undefined): Promise<T> {
  for (let i = 0; i < 3000; i++) {
    const found = find();
    if (found !== undefined) return found;
    await setTimeout(10);
  }
  throw new Error(`did not appear; there are ${JSON.stringify(processes())}`);
}
const nobody = () => (processes().length === 0 ? true : undefined);

/** The trace that a reader is reading. */
const trace = () =>
  processes()
    .flatMap(({ command }) => command)
    .find((arg) => arg.endsWith('/trace.pcap'));
const pidOf = (part: string) => processes().find(({ command }) => command.some((arg) => arg.endsWith(part)))?.pid;

describe.skipIf(lab === null)('ringtap bench', () => {
  test('writes a report as JSON and Markdown, and prints the JSON when asked', async () => {
    const child = start('--quick', '--only', 'file', '--json');
    const [stdout, [code]] = await Promise.all([text(child.stdout!), once(child, 'close')]);
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'))).toEqual(report);
    expect(report).toMatchObject({ host: 'test', machine: { node: process.version } });
    const judged = report.rows.filter(({ goal }: { goal?: object }) => goal !== undefined);
    expect(judged).toHaveLength(2);
    for (const row of judged) expect(row).toMatchObject({ n: 3, goal: {}, pass: expect.any(Boolean) });
    const markdown = readFileSync(join(folder, 'report.md'), 'utf8');
    expect(markdown).toContain(`| ${report.rows[0].what} |`);
    expect(markdown).toContain('pcap_dispatch');
  });

  test('measures a URI with a generator, and draws what it found', async () => {
    const child = start('--quick', '--uri', `afpacket:${lab!.rx}`, '--generator', 'txring', '--iface', lab!.tx);
    const [stdout, stderr, [code]] = await Promise.all([
      text(child.stdout!),
      text(child.stderr!),
      once(child, 'close'),
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('64 B, txring, flat out');
    const { trials } = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'));
    for (const chart of ['cost', 'loss']) {
      expect(readFileSync(join(folder, `report-${chart}.svg`), 'utf8')).toMatch(/^<svg [\s\S]*afpacket/);
    }
    for (const trial of trials) {
      expect(trial).toMatchObject({ reordered: 0, duplicates: 0 });
      expect(trial.limitedBy).toMatch(trial.lost > 0 ? /^receiver$/ : /^(generator|rate)$/);
    }
  });

  test('counts whatever comes when nobody is said to send', async () => {
    const child = start('--quick', '--uri', 'synth:?rate=10000', '--generator', 'external');
    const [stdout, [code]] = await Promise.all([text(child.stdout!), once(child, 'close')]);
    expect(code).toBe(0);
    expect(stdout).toContain('synth:?rate=10000, traffic from elsewhere');
  });

  test('leaves nothing behind after Ctrl-C', async () => {
    const child = start('--quick', '--only', 'file');
    const closed = once(child, 'close');
    const path = await appear(trace);
    child.kill('SIGINT');
    expect((await closed)[0]).toBe(130);
    await appear(nobody);
    expect(existsSync(dirname(path))).toBe(false);
  });

  test('takes its processes with it when it is killed', async () => {
    const child = start('--quick', '--only', 'file');
    const closed = once(child, 'close');
    const path = await appear(trace);
    process.kill(await appear(() => pidOf('/bench/suite.mjs')), 'SIGKILL');
    expect((await closed)[0]).toBe(137);
    await appear(nobody);
    rmSync(dirname(path), { recursive: true, force: true }); // nobody was left to do it
  });

  test.each([
    [['--compare', '/nonexistent/before.json'], /^bench: ENOENT.*before\.json/, 1],
    [['--out', '/nonexistent/report'], /^bench: ENOENT.*nonexistent/, 1],
    [['--nonsense'], /^bench: Unknown option '--nonsense'/, 2],
  ] as const)('fails before it measures: %j', async (args, expected, status) => {
    const child = start('--only', 'synth', ...args);
    const [stderr, stdout, [code]] = await Promise.all([
      text(child.stderr!),
      text(child.stdout!),
      once(child, 'close'),
    ]);
    expect(stderr).toMatch(expected);
    expect(stdout.trim().split('\n').length).toBeLessThan(3);
    expect(code).toBe(status);
  });

  test('says what it knows when it is asked for something else', async () => {
    const child = start('--only', 'nonsense');
    const [stderr, [code]] = await Promise.all([text(child.stderr!), once(child, 'close')]);
    expect(stderr).toMatch(/^bench: --only nonsense: of afpacket, .*synth, traces, tuning, wake, writing, xdp\n$/);
    expect(code).toBe(1);
  });
});
