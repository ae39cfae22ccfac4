// Exit codes, messages and help of the command.
import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../support/child.js';
import { ringtap, start, startRingtap } from '../support/cli.js';

let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ringtap-usage-'));
  writeFileSync(join(folder, 'empty.pcap'), '');
  writeFileSync(join(folder, 'text.pcap'), 'this is no trace, though it has the name of one');
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('a command line that means nothing', () => {
  test.each([
    [['captur', 'synth:'], /^ringtap: unknown command 'captur'\n\(Did you mean capture\?\)/],
    [['capture'], /^ringtap: capture: a URI is missing\nhint: For example: ringtap capture eth0/],
    [['read'], /^ringtap: read: a file is missing\nhint: /],
    [['read', '-r', 'a', '-r', 'b'], /^ringtap: -r names one trace, not a and b\nhint: .*-r file:a,b\n$/],
    [['capture', '-r', 'a', '-r', 'b'], /^ringtap: -r names one trace, not a and b\nhint: .*-r file:a,b\n$/],
    [['convert', 'a', '-w', 'b'], /^ringtap: unknown option '-w'\nhint: write ringtap convert IN OUT\n$/],
    [
      ['read', 'a', '-w', 'b'],
      /^ringtap: unknown option '-w'\nhint: .*convert IN OUT, or ringtap capture -r IN -w OUT\n$/,
    ],
    [['capture', 'synth:', '-z', 'gzip'], /^ringtap: unknown option '-z'\nhint: .*its name ends \.zst/],
    [['capture', 'synth:', '--bogus'], /^ringtap: unknown option '--bogus'/],
    [
      ['capture', 'synth:', '-c', '0'],
      /^ringtap: option '-c, --count <packets>' argument '0' is invalid\. Expected a whole/,
    ],
    [['capture', 'synth:', '-c', '1e3'], /^ringtap: option '-c, .*Expected a whole number above 0/],
    [['capture', 'synth:', '--duration', '10 s'], /^ringtap: option '--duration .*Expected a time such as 10s/],
    [['capture', 'synth:', '--duration', '600h'], /^ringtap: option '--duration .*Expected a time such as 10s/],
    [['capture', 'synth:', '-Q', 'up'], /^ringtap: option '-Q, .*Allowed choices are in, out, inout/],
    [['capture', 'synth:', '-o', 'seed'], /^ringtap: option '-o, .*Expected name=value/],
    [['capture', 'synth:', '-ttt'], /^ringtap: -ttt: expected -t, -tt or -tttt/],
    [['capture', 'synth:', '-p'], /^ringtap: synth: synth has no option "promiscuous"\nhint: .*Options of synth:/],
    [['stats', 'synth:', '-o', 'sead=2'], /^ringtap: synth: synth has no option "sead"\nhint: Did you mean "seed"\?/],
    [['stats', 'synth:?seed=x'], /^ringtap: synth:\?seed=x: option seed must be a whole number, not "x"\nhint: /],
    [['stats', 'synth:', '-s', '3'], /^ringtap: synth: option snaplen must be 14 to 262144 bytes, not 3\nhint: /],
    [['stats', 'zynth:'], /^ringtap: zynth: there is no scheme "zynth:"\nhint: Did you mean "synth:"\?/],
    [['stats', 'afpacket:'], /^ringtap: afpacket: an interface is missing after "afpacket:"\nhint: /],
    [
      ['stats', 'synth:', '-f', 'udp prot 5'],
      /^ringtap: .*can't parse filter expression: syntax error\n {2}udp prot 5\n {6}\^\nhint: /,
    ],
    [['explain', 'synth:?bogus=1'], /^ringtap: synth:\?bogus=1: synth has no option "bogus"/],
  ])('%j ends with 2', async (args, message) => {
    const { code, stdout, stderr } = await ringtap(...args);
    expect(stderr).toMatch(message);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  });

  test('nothing at all prints the help and ends with 2', async () => {
    const { code, stderr } = await ringtap();
    expect(code).toBe(2);
    expect(stderr).toContain('Usage: ringtap');
  });
});

describe('what cannot be done', () => {
  test.each([
    [
      ['read', '/nonexistent/trace.pcap'],
      /^ringtap: .*\/nonexistent\/trace\.pcap: cannot open: No such file or directory\nhint: /,
    ],
    [['read', '.'], /^ringtap: .*\.: no trace is in this folder: .*\nhint: /],
    [['read', 'EMPTY'], /^ringtap: .*empty\.pcap: the file is empty\nhint: Known formats are pcap, pcapng and ERF/],
    [['read', 'TEXT'], /^ringtap: .*text\.pcap: .*\nhint: Known formats are pcap, pcapng and ERF/],
    [['stats', 'no-such-if0'], /^ringtap: no-such-if0: interface "no-such-if0": No such device\nhint: /],
    [
      ['capture', 'synth:', '-w', '/nonexistent/out.pcap'],
      /ringtap: .*\/nonexistent\/out\.pcap: cannot create: .*\nhint: /,
    ],
    [
      ['capture', 'synth:', '-w', '/dev/full'],
      /ringtap: .*\/dev\/full: .*No space left on device\nhint: The file system is full: make room/,
    ],
    [['stats', 'synth:?errorAfter=10'], /ringtap: .*\nhint: Remove errorAfter from the URI\.\n$/],
  ])('%j ends with 1', async (args, message) => {
    const paths: Record<string, string> = { EMPTY: join(folder, 'empty.pcap'), TEXT: join(folder, 'text.pcap') };
    const { code, stderr } = await ringtap(...args.map((arg) => paths[arg] ?? arg));
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
    expect(stderr).not.toContain('    at ');
  });

  test('comes with a stack under NODE_DEBUG=ringtap', async () => {
    const { stderr } = await startRingtap(['read', '/nonexistent'], { env: { NODE_DEBUG: 'ringtap' } }).outcome;
    expect(stderr).toContain('    at ');
  });
});

describe('a terminal', () => {
  const odd = 'x\x1b[31m\x07\x9b31m\u202ey';
  test.each([
    ['a URI', ['stats', `afpacket:${odd}`]],
    ['a URI that is explained', ['explain', `synth:?count=1&filter=${odd}`]],
    ['an option', ['stats', 'synth:', '-o', `${odd}=1`]],
    ['the value of an option', ['stats', 'synth:', '-o', `seed=${odd}`]],
    ['a filter', ['stats', 'synth:', '-f', odd]],
    ['a path', ['read', `/nonexistent/${odd}`]],
    ['a trace to write', ['capture', 'synth:?count=1', '-w', `/nonexistent/${odd}`]],
    ['a flag', ['stats', 'synth:', `--${odd}`]],
    ['the value of a flag', ['capture', 'synth:', '-c', odd]],
    ['a command', [odd]],
  ])('is shown %s as it stands, and obeys nothing in it', async (_, args) => {
    const { code, stdout, stderr } = await ringtap(...args);
    expect(code).toBeGreaterThan(0);
    expect(stdout + stderr).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}]/u);
    expect(stdout + stderr).toMatch(/x.*\[31m.*31m\\u\{202e\}y/);
  });

  test('gets no line from an argument that the command did not write', async () => {
    const lying = 'x\nringtap: all is well\n(Did you mean y?)';
    for (const args of [[lying], ['stats', lying], ['stats', 'synth:', `--${lying}`], ['read', `/${lying}`]]) {
      expect((await ringtap(...args)).stderr).not.toMatch(/^ringtap: all is well/m);
    }
  });
});

describe('help', () => {
  test.each(['list', 'doctor', 'explain', 'capture', 'stats', 'read'])('of %s has examples', async (command) => {
    const { code, stdout, stderr } = await ringtap(command, '--help');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`Usage: ringtap ${command}`);
    expect(stdout).toMatch(new RegExp(`Examples:\n(.*\n)*  \\$ .*ringtap ${command}`));
  });

  test('lists the commands', async () => {
    const { code, stdout } = await ringtap('--help');
    expect(code).toBe(0);
    expect(stdout).toContain('Examples:');
  });
});

test('bench in an installed package, which has no benchmark suite, is not offered, and says where it is', async () => {
  const installed = join(folder, 'installed');
  for (const part of ['dist', 'package.json']) cpSync(join(root, part), join(installed, part), { recursive: true });
  symlinkSync(join(root, 'node_modules'), join(installed, 'node_modules'));
  const run = (...args: string[]) => start(process.execPath, [join(installed, 'dist/cli/main.js'), ...args]).outcome;
  expect((await run('--help')).stdout).not.toContain('bench');
  expect((await ringtap('--help')).stdout).toContain('bench');
  const { code, stdout, stderr } = await run('bench');
  expect(stderr).toMatch(/^ringtap: the benchmark suite is not part of the installed package.*\nClone the repository/);
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
});
