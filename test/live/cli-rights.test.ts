// What the command says to whom has no right to capture.
import { describe, expect, test } from 'vitest';
import { cli, start } from '../support/cli.js';
import { lab, labMissing } from '../support/lab.js';

const without = ['--bounding-set', '-net_raw,-net_admin,-bpf,-sys_admin', '--inh-caps', '-all'];
const unprivileged = (...args: string[]) =>
  start('setpriv', [...without, process.execPath, cli, ...args], { env: { COLUMNS: '60' } }).outcome;

describe.skipIf(lab === null)(`without a right${labMissing ? ` (skipped: ${labMissing})` : ''}`, () => {
  test('list shows which URIs cannot be opened, and why, once for each method', async () => {
    const { code, stdout } = await unprivileged('list');
    expect(code).toBe(0);
    const rx = lab!.rx;
    expect(stdout).toMatch(new RegExp(`^${rx} +.*\\n(.*\\n)?(.*\\n)? +.*\\(afpacket:${rx}\\)`, 'm'));
    expect(stdout.match(/^ {2}\(afpacket:\)/gm)).toHaveLength(1);
    expect(stdout).toMatch(/^ {2}\(afpacket:\) .*\n(.*\n)*? {6}hint: /m);
    expect(stdout).not.toMatch(new RegExp(`[^(]afpacket:${rx}`));
    const found = JSON.parse((await unprivileged('list', '--json')).stdout) as { name: string; unusable: object[] }[];
    expect(found.find(({ name }) => name === rx)?.unusable).toContainEqual({
      uri: `afpacket:${rx}`,
      reason: expect.stringContaining('CAP_NET_RAW'),
      hint: expect.any(String),
    });
  });

  test('and with it, none is in parentheses', async () => {
    const { stdout } = await start(process.execPath, [cli, 'list']).outcome;
    expect(stdout).toContain(`afpacket:${lab!.rx}`);
    expect(stdout).not.toMatch(/\(afpacket:/);
  });

  test('doctor says unknown of what it cannot see without /proc and /sys, and is right about the rest', async () => {
    const line = 'mount -t tmpfs none /proc && mount -t tmpfs none /sys && exec "$@"';
    const { code, stdout } = await start('unshare', ['-m', 'sh', '-c', line, 'sh', process.execPath, cli, 'doctor'])
      .outcome;
    expect(code).toBe(0);
    for (const name of ['capabilities', 'user namespaces', 'huge pages', 'RLIMIT_MEMLOCK']) {
      expect(stdout).toMatch(new RegExp(`^warn +${name} +unknown: there is no /proc$`, 'm'));
    }
    expect(stdout).toMatch(/^ok +afpacket: /m);
    expect(stdout).toMatch(/\nThis host can capture\.\n$/);
  });
});
