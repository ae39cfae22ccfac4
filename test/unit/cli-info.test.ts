// `ringtap stats`, `explain`, `list` and `doctor`, where no rights are needed.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { explain } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { root } from '../support/child.js';
import { lines, ringtap, shell } from '../support/cli.js';

describe('ringtap stats', () => {
  test('--json ends with one object of fixed keys', async () => {
    const { code, stdout } = await ringtap('stats', 'synth:?count=100000&sizes=100&dropEvery=100', '--json');
    expect(code).toBe(0);
    expect(lines(stdout)).toHaveLength(1);
    const result = JSON.parse(stdout);
    expect(Object.keys(result)).toEqual('uri backend packets bytes seconds pps bps dropped drops'.split(' '));
    expect(result).toMatchObject({
      uri: 'synth:?count=100000&sizes=100&dropEvery=100',
      backend: 'synth',
      packets: 99_000,
      bytes: 9_900_000,
      dropped: 1000,
      drops: { ring: 0, injected: 1000 },
    });
    expect(result.pps).toBeCloseTo(result.packets / result.seconds, -4);
    expect(result.bps / result.pps).toBeCloseTo(800, 0);
  });

  test('prints the same for people', async () => {
    const { stdout } = await ringtap('stats', 'synth:', '-c', '1000');
    expect(stdout).toMatch(
      /^packets {2}1,000\nbytes {4}64,000\nseconds {2}\d+\.\d{3}\nrate {5}.*pps, .*bit\/s\ndropped {2}0 \(ring 0, injected 0\)\n$/,
    );
  });

  test('still prints the counts when the capture fails', async () => {
    const { code, stdout, stderr } = await ringtap('stats', 'synth:?errorAfter=1000', '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout).packets).toBe(1000);
    expect(stderr).toContain('hint: Remove errorAfter');
  });

  test('of a trace tells the time and the rate of its packets, not how fast it was read', async () => {
    const { stdout } = await shell(
      'f=$(mktemp -u).pcap; ringtap capture "synth:?count=5000" -q -w $f 2>/dev/null; ringtap stats $f --json; ringtap info --json $f; rm $f',
    );
    const [stats, info] = lines(stdout).map((line) => JSON.parse(line));
    expect(stats.packets).toBe(5000);
    expect(stats.seconds).toBeCloseTo(info.durationSeconds, 5);
    expect(stats.pps).toBe(Math.round(info.pps));
  });

  test('reads a trace from a pipe', async () => {
    const { stdout } = await shell('ringtap capture "synth:?count=5000" -q -w - 2>/dev/null | ringtap stats - --json');
    expect(JSON.parse(stdout)).toMatchObject({ backend: 'file', packets: 5000, dropped: 0 });
  });
});

describe('ringtap explain', () => {
  test('says how a URI would be captured', async () => {
    const { code, stdout, stderr } = await ringtap('explain', 'synth:?seed=5', '-f', 'udp');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^synth:\?seed=5\n {2}method +synth\n {2}mode +memory/);
    expect(stdout).toMatch(/^ {2}filter +user: \S/m);
    expect(stdout).toMatch(/^ +seed=5$/m);
    expect(stdout).toMatch(/^ {2}candidates +synth: chosen$/m);
  });

  test('--json prints the plan', async () => {
    const { stdout } = await ringtap('explain', 'synth:', '--json');
    expect(JSON.parse(stdout)).toMatchObject({
      ok: true,
      plan: { backend: 'synth', linkType: 1, timestamp: 'synthetic' },
    });
  });

  test('ends with 1 for what cannot be opened, and says why', async () => {
    const { code, stdout, stderr } = await ringtap('explain', 'afpacket:no-such-if0');
    expect(code).toBe(1);
    expect(stdout).toMatch(/^ {2}candidates +afpacket: not chosen: .*No such device\n +hint: \S/m);
    expect(stderr).toMatch(/^ringtap: .*No such device\nhint: /);
  });

  test('--json carries the error, too', async () => {
    const { code, stdout } = await ringtap('explain', 'afpacket:no-such-if0', '--json');
    expect(code).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      ok: false,
      error: {
        code: 'RINGTAP_NO_INTERFACE',
        message: expect.stringContaining('no-such-if0'),
        hint: expect.any(String),
      },
    });
  });

  test('--json is what JSON.stringify() makes of explain(), the error too', async () => {
    for (const uri of ['afpacket:no-such-if0', 'synth:?seed=5']) {
      const { stdout } = await ringtap('explain', uri, '--json');
      expect(stdout).toBe(`${JSON.stringify(await explain(uri), undefined, 2)}\n`);
    }
  });

  test('ends with 2 for a filter that cannot be parsed', async () => {
    const { code, stderr } = await ringtap('explain', 'synth:', '-f', 'udp prot 5');
    expect(code).toBe(2);
    expect(stderr).toMatch(/\nhint: `ringtap help filters` has examples; .*\n$/);
  });
});

describe('ringtap list', () => {
  test('prints devices with URIs', async () => {
    const { code, stdout } = await ringtap('list');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^lo +up, loopback\n +127\.0\.0\.1\/8.*\n +\(?afpacket:lo\b/m);
    const devices = JSON.parse((await ringtap('list', '--json')).stdout);
    expect(devices).toContainEqual(
      expect.objectContaining({ name: 'lo', loopback: true, uris: expect.arrayContaining(['afpacket:lo']) }),
    );
  });
});

describe('ringtap doctor', () => {
  test('names every finding, with a hint for each problem', async () => {
    const { stdout } = await ringtap('doctor', '--json');
    const { checks } = JSON.parse(stdout) as {
      checks: { name: string; status: string; found: string; hint?: string }[];
    };
    expect(checks.map(({ name }) => name)).toEqual([
      'ringtap',
      'Node.js',
      'kernel',
      'capabilities',
      'user namespaces',
      'huge pages',
      'RLIMIT_MEMLOCK',
      'addon',
      ...['afpacket:', 'afxdp:', 'dpdk:', 'file:', 'mirror:', 'pcap:', 'pfring:', 'rpcap:', 'synth:', 'tcp:'],
    ]);
    for (const { status, hint } of checks) expect(typeof hint).toBe(status === 'ok' ? 'undefined' : 'string');
  });

  test('names the version, where it lies, and the binary that was loaded', async () => {
    const { stdout } = await ringtap('doctor');
    const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
    expect(stdout).toContain(
      `\nok      addon            built on this host: ${root.replace(/\/$/, '')}/build/addon/Release/ringtap.node\n`,
    );
    expect(stdout).toMatch(new RegExp(`^ok {6}ringtap +${version}, in ${root}/?\n`));
  });

  test('prints them for people', async () => {
    const { code, stdout } = await ringtap('doctor');
    expect(stdout).toMatch(/^ok {6}Node\.js +v\d+/m);
    expect(code).toBe(stdout.endsWith('\nThis host can capture.\n') ? 0 : 1);
  });
});
