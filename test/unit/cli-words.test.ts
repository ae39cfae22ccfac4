// What people type who come from tcpdump: its letters, the filter as trailing words, several interfaces.
import { describe, expect, test } from 'vitest';
import { lines, packetsIn, ringtap, shell, start } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';

const path = temporaryFolder();
const mixed = 'synth:?count=1000&protocols=udp,tcp&seed=3';

describe('the words behind a URI', () => {
  test.each([
    ['capture', mixed, 'udp', 'port', '53'],
    ['capture', '-i', mixed, 'udp', 'port', '53'],
    ['capture', 'udp', 'port', '53', '-i', mixed],
    ['capture', mixed, 'udp port 53'],
    ['capture', mixed, 'udp', 'port 53', '-n'],
    ['capture', `--interface=${mixed}`, '-f', 'udp port 53'],
  ])('are the filter: %s %s %s %s …', async (...args) => {
    const [wanted, found] = await Promise.all([
      ringtap('capture', '-t', '-f', 'udp port 53', mixed),
      ringtap(...args, '-t'),
    ]);
    expect(found.code).toBe(0);
    expect(found.stdout).toBe(wanted.stdout);
  });

  test('are that of stats, explain and read, too', async () => {
    const file = path('mixed.pcap');
    await ringtap('capture', mixed, '-w', file, '-q');
    const { stdout } = await ringtap('stats', mixed, 'udp', '--json');
    const count = JSON.parse(stdout).packets as number;
    expect(count).toBeGreaterThan(0);
    expect(count).toBeLessThan(1000);
    for (const args of [
      [file, 'udp'],
      ['-r', file, 'udp'],
      ['udp', '-r', file],
      ['-nn', '-r', file, '-f', 'udp'],
    ]) {
      expect(lines((await ringtap('read', ...args)).stdout)).toHaveLength(count);
    }
    expect((await ringtap('explain', 'synth:', 'udp')).stdout).toMatch(/^ {2}filter +user: /m);
    const filtered = path('udp.pcap');
    await ringtap('capture', '-r', file, '-w', filtered, 'udp');
    expect(await packetsIn(filtered)).toBe(count);
  });

  test.each([
    [['capture', 'synth:', '-f', 'tcp', 'udp'], /^ringtap: there are two filters: -f "tcp", and "udp"\nhint: /],
    [['capture', '-i', 'lo', 'synth:', 'udp'], /^ringtap: "synth:" is no filter/],
    [['stats', 'synth:', 'afpacket:lo'], /^ringtap: "afpacket:lo" is no filter.*\nhint: One at a time/],
    [['stats', '-i', 'synth:', '-i', 'lo'], /^ringtap: stats takes one URI, not synth: and lo\nhint: .*capture/],
    [['capture', '-i', 'synth:', '-r', 'x'], /^ringtap: -i captures, and -r reads/],
    [['capture', 'synth:', 'udp', 'prot', '53'], /syntax error\n {2}udp prot 53\n {6}\^\nhint: /],
    [['capture', 'synth:', '-w', 'x.pcap', '--json'], /^ringtap: -w writes a trace, and --json prints/],
    [['capture', 'synth:', '-w', 'x.pcap', '--lateness', '1s'], /^ringtap: --lateness is for a trace/],
  ])('that cannot be one are refused before anything is captured: %j', async (args, message) => {
    const { code, stdout, stderr } = await ringtap(...args);
    expect(stderr).toMatch(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });
});

describe('letters of tcpdump', () => {
  test('that only say what is so anyway are taken', async () => {
    const plain = await ringtap('capture', 'synth:', '-c', '5', '-t');
    const { code, stdout } = await ringtap('capture', '-nnlSKUt', '-c5', '-s0', '-i', 'synth:');
    expect({ code, stdout }).toEqual({ code: 0, stdout: plain.stdout });
  });

  test.each(['-a', '-d', '-E', '-F', '-I', '-j', '-L', '-O', '-y', '-z', '-Z', '-#'])(
    '%s means nothing yet, and the error says what to write',
    async (letter) => {
      const { code, stderr } = await ringtap('capture', 'synth:?count=1', letter, '5');
      expect(code).toBe(2);
      expect(stderr).toMatch(/^ringtap: unknown option '-.'\nhint: (?!.*--help).{10,}\n$/);
    },
  );

  test.each([
    [['-i', 'eth0'], 'hint: write ringtap capture -i eth0'],
    [['-ni', 'eth0'], 'hint: options come after a command: ringtap capture eth0 -n'],
    [['-D'], 'hint: write ringtap list'],
    [['-v'], 'hint: write ringtap --version'],
    [['stats', 'x.pcap', '-vv'], 'hint: `ringtap read -v` and `ringtap capture -v` print each layer'],
    [['-r', 'x.pcap'], 'hint: write ringtap read FILE'],
    [['read', '-i', 'eth0'], 'hint: write ringtap capture -i eth0'],
    [['capture'], 'hint: For example: ringtap capture eth0; `ringtap list` shows'],
    [['capture', '--nano', 'lo'], 'hint: traces and --json have nanoseconds'],
  ])('%j says where it belongs', async (args, hint) => {
    const { code, stderr } = await ringtap(...args);
    expect(code).toBe(2);
    expect(stderr).toContain(hint);
  });

  test('-D lists devices', async () => {
    const [listed, asked] = await Promise.all([ringtap('list'), ringtap('capture', '-D')]);
    expect(asked).toEqual(listed);
  });

  test('lines reach a pipe as packets come, as with -l', async () => {
    const { stdout } = await shell('ringtap capture "synth:?rate=50" -l 2>/dev/null | head -n 3 | wc -l');
    expect(stdout).toBe('3\n');
  });
});

describe('several captures', () => {
  const two = ['-i', 'synth:?count=300&seed=1&protocols=udp', '-i', 'synth:?count=200&seed=2&protocols=tcp'];

  test('print the packets of each, and account for each', async () => {
    const { code, stdout, stderr } = await ringtap('capture', '-t', ...two);
    expect(code).toBe(0);
    const printed = lines(stdout);
    expect(printed.filter((line) => line.includes('UDP'))).toHaveLength(300);
    expect(printed).toHaveLength(500);
    expect(stderr).toMatch(/^500 packets captured \(/m);
    expect(stderr).toMatch(/^synth:\?count=300\S+: 300 packets captured\n0 packets filtered\n0 packets dropped/m);
    expect(stderr).toMatch(/^synth:\?count=200\S+: 200 packets captured\n/m);
  });

  test.each(['1', '299', '450'])('stop after -c %s packets of both together', async (count) => {
    const { code, stdout } = await ringtap('capture', ...two, '-c', count);
    expect(code).toBe(0);
    expect(lines(stdout)).toHaveLength(Number(count));
  });

  test('are stopped together: by a signal, by --duration, and when one fails', async () => {
    const endless = ['-i', 'synth:?rate=1000', '-i', 'synth:?rate=1000&stallAfter=5&stallMs=60000'];
    const timed = await ringtap('capture', '-q', ...endless, '--duration', '500ms');
    expect(timed.code).toBe(0);
    const failed = await ringtap('capture', '-q', '-i', 'synth:?rate=1000', '-i', 'synth:?errorAfter=10');
    expect(failed.code).toBe(1);
    expect(failed.stderr).toContain('hint: Remove errorAfter');
    const { stdout } = await shell(
      `timeout --preserve-status -s INT 2 "${process.execPath}" dist/cli/main.js capture -q ${endless.map((arg) => `'${arg}'`).join(' ')}; echo $?`,
    );
    expect(stdout).toBe('0\n');
  });

  test('close those that are open where another cannot be opened', async () => {
    const { code, stderr } = await ringtap('capture', '-i', 'synth:', '-i', 'afpacket:no-such-if0');
    expect(code).toBe(1);
    expect(stderr).toMatch(/^ringtap: afpacket:no-such-if0: .*No such device/);
  });
});

test('a thousand words that are no filter are told in a few', async () => {
  const { code, stderr } = await start(process.execPath, [
    'dist/cli/main.js',
    'capture',
    'synth:',
    ...Array.from({ length: 1000 }, () => 'nonsense'),
  ]).outcome;
  expect(code).toBe(2);
  expect(stderr.length).toBeLessThan(5000);
});
