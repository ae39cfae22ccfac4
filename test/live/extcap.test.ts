// ringtap in the interface list of tshark, which calls it as Wireshark does.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lines, type Running, ringtap, start } from '../support/cli.js';
import { lab, labMissing, send } from '../support/lab.js';
import { best, until } from '../support/wait.js';

const rx = lab?.rx ?? 'rt1';
const name = `ringtap-afpacket-${rx}`;
/** As tshark has it in its preferences: no digit 0, no capitals. */
const preferences = `extcap.${name.replace(/[-0]/g, '_')}`;
let home: string;
let launcher: string;

beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), 'ringtap-extcap-'));
  const folder = join(home, 'wireshark/extcap');
  mkdirSync(folder, { recursive: true });
  launcher = join(folder, 'ringtap');
  expect((await ringtap('extcap', '--install', '--folder', folder)).code).toBe(0);
});

afterAll(() => rmSync(home, { recursive: true, force: true }));

/** tshark with the preferences of a user of its own. It ends by itself, whatever happens. */
function tshark(...args: string[]): Running {
  return start('timeout', ['60', 'tshark', '-n', ...args], { env: { XDG_CONFIG_HOME: home } });
}

/** Starts a capture and waits until its first bytes have come. */
async function capturing(...args: string[]): Promise<Running> {
  const run = tshark('-i', name, ...args);
  let said = '';
  run.process.stderr!.on('data', (text) => {
    said += text;
  });
  await until(() => /Capture started/.test(said), 'tshark');
  return run;
}

async function packetsIn(path: string): Promise<number> {
  const { stdout } = await start('capinfos', ['-T', '-r', '-M', '-c', path]).outcome;
  return Number(stdout.trim().split('\t')[1]);
}

describe.skipIf(lab === null)(`ringtap extcap with tshark${labMissing ? ` (skipped: ${labMissing})` : ''}`, () => {
  test('its interfaces are listed, those of this network namespace', async () => {
    const { stdout } = await tshark('-D').outcome;
    expect(stdout).toContain(`${name} (afpacket:${rx} with ringtap)`);
    expect(stdout).toContain(`ringtap-afxdp-${rx} `);
    expect(stdout).toMatch(/ ringtap \(any URI of ringtap\)$/m);
    expect(stdout).not.toContain('ringtap-afxdp-lo');
    expect(stdout).not.toContain('ringtap-afpacket-eth0');
  });

  test('what the filter matches is captured, to the packet, until tshark is told to stop', async () => {
    const path = join(home, 'stop.pcapng');
    const run = await capturing('-f', 'udp dst port 9', '-w', path);
    await send({ count: 1000, rate: 20_000, proto: 'tcp', size: 62 });
    const { sent } = await send({ count: 1000, rate: 20_000 });
    await until(async () => (await packetsIn(path)) === sent, 'the packets');
    run.process.kill('SIGINT');
    expect(await run.outcome).toMatchObject({ code: 0 });
    expect(await packetsIn(path)).toBe(sent);
  });

  test('ends when tshark has as many as it wants, and leaves no process', async () => {
    const run = await capturing('-f', 'udp dst port 9', '-c', '10');
    await send({ count: 2000, rate: 5000 });
    const { code, stdout } = await run.outcome;
    expect({ code, packets: lines(stdout).length }).toEqual({ code: 0, packets: 10 });
    const ours = async () =>
      (await start('pgrep', ['-f', `extcap --capture --extcap-interface ${name} `]).outcome).stdout;
    await until(async () => (await ours()) === '', 'the capture to end');
  });

  test('the values of its form arrive, a large number, a choice and a switch among them', async () => {
    const path = join(home, 'form.pcapng');
    const values = ['snaplen:40', 'bufferbytes:134217728', 'direction:in', 'promiscuous:false', 'timestamp:kernel'];
    const options = values.flatMap((value) => ['-o', `${preferences}.${value}`]);
    const run = await capturing(...options, '-f', 'udp dst port 9', '-c', '5', '-w', path);
    const called = (await start('pgrep', ['-af', `extcap --capture --extcap-interface ${name} `]).outcome).stdout;
    expect(called).toMatch(/--buffer-bytes 134217728\b/);
    await send({ count: 20, rate: 1000, size: 128 });
    expect((await run.outcome).code).toBe(0);
    const { stdout } = await start('tshark', ['-r', path, '-T', 'fields', '-e', 'frame.cap_len', '-e', 'frame.len'])
      .outcome;
    for (const line of lines(stdout)) expect(line).toMatch(/^40\t12[48]$/);
  });

  test('the interface without a device takes any URI', async () => {
    const { code, stdout } = await tshark('-i', 'ringtap', '-o', 'extcap.ringtap.uri:synth:?count=7').outcome;
    expect({ code, packets: lines(stdout).length }).toEqual({ code: 0, packets: 7 });
  });

  test.each([
    ['a filter that is none', ['-i', name, '-f', 'udp dst prot 9'], /unknown host 'prot'/],
    ['an option out of range', ['-i', name, '-o', `${preferences}.snaplen:3`], /snaplen/],
    ['no URI', ['-i', 'ringtap'], /no URI is given[\s\S]*hint: /],
    ['a URI of nothing', ['-i', 'ringtap', '-o', 'extcap.ringtap.uri:afpacket:nowhere0'], /nowhere0/],
  ])('%s: tshark shows why, and does not wait', async (_, args, why) => {
    const { code, stderr } = await tshark(...args, '-c', '1').outcome;
    expect(code).toBe(1);
    expect(stderr).toMatch(why);
  });

  test('answers in no more than 30 ms of CPU', async () => {
    const calls = [
      ['--extcap-interfaces', '--extcap-version=4.0'],
      ['--extcap-config', '--extcap-interface', name],
      ['--extcap-dlts', '--extcap-interface', name],
    ];
    for (const args of calls) {
      const ms = await best(30, async () => {
        const timed = 'TIMEFORMAT="%U %S"; time "$0" "$@"';
        const { stdout, stderr } = await start('bash', ['-c', timed, launcher, ...args]).outcome;
        expect(stdout).toMatch(/^(extcap|arg|dlt) \{/);
        return stderr
          .trim()
          .split(' ')
          .reduce((sum, seconds) => sum + Number(seconds) * 1000, 0);
      });
      expect(ms).toBeLessThan(30);
    }
  });
});
