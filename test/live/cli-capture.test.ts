// The command on a real interface: the lab's veth pair.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cli, lines, packetsIn, type Running, ringtap, start, startRingtap, tcpdump } from '../support/cli.js';
import { lab, labMissing, send } from '../support/lab.js';
import { withoutPfring } from '../support/standin.js';
import { until } from '../support/wait.js';

const rx = lab?.rx ?? 'rt1';
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ringtap-cli-live-'));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Starts a capture and waits until it runs. */
async function startCapture(...args: string[]): Promise<Running> {
  const run = startRingtap(args);
  await once(run.process.stderr!, 'data');
  return run;
}

async function interrupt(run: Running) {
  await sleep(300);
  run.process.kill('SIGINT');
  return run.outcome;
}

describe.skipIf(lab === null)(`ringtap on an interface${labMissing ? ` (skipped: ${labMissing})` : ''}`, () => {
  describe.each(['afpacket', 'pcap'])('with %s:', (backend) => {
    const uri = `${backend}:${rx}`;

    test('writes exactly what was sent, for tcpdump to read', async () => {
      const path = join(folder, `${backend}.pcapng`);
      const run = await startCapture('capture', uri, '-f', 'udp dst port 9', '-w', path);
      const { sent } = await send({ count: 20_000, rate: 50_000 });
      const { code, stderr } = await interrupt(run);
      expect(code).toBe(0);
      expect(stderr).toMatch(/^20,000 packets captured/m);
      expect(stderr).toMatch(/^20,000 packets written$/m);
      expect(await packetsIn(path)).toBe(sent);
    });

    test('keeps nothing back on a quiet link, and is complete after SIGHUP', async () => {
      const path = join(folder, `${backend}-quiet.pcapng`);
      const run = await startCapture('capture', uri, '-f', 'udp dst port 9', '-w', path);
      await send({ count: 50, rate: 10_000 });
      await until(async () => (await packetsIn(path)) === 50, 'the packets');
      await send({ count: 50, rate: 10_000 });
      await sleep(300);
      run.process.kill('SIGHUP');
      const { code, stderr } = await run.outcome;
      expect(code).toBe(0);
      expect(stderr).toMatch(/^100 packets written$/m);
      expect(await packetsIn(path)).toBe(100);
    });

    test('-c stops after exactly as many, while more come', async () => {
      const path = join(folder, `${backend}-count.pcap`);
      const run = await startCapture('capture', uri, '-f', 'udp dst port 9', '-c', '1234', '-w', path);
      await send({ count: 5000, rate: 50_000 });
      expect((await run.outcome).code).toBe(0);
      expect(await packetsIn(path)).toBe(1234);
    });

    test('prints what tcpdump prints of its trace', async () => {
      const path = join(folder, `${backend}-lines.pcap`);
      const args = ['-f', 'vlan 5 and icmp', '-c', '20'];
      const written = await startCapture('capture', uri, ...args, '-w', path);
      const printed = await startCapture('capture', uri, ...args, '-e');
      await send({ count: 20, rate: 1000, proto: 'icmp', vlan: 5 });
      await written.outcome;
      const ours = lines((await printed.outcome).stdout).map((line) => line.slice('00:00:00.000000 '.length));
      expect(ours).toEqual(await tcpdump('-t', '-e', '-r', path));
    });

    test('counts, with null for loss that the method cannot tell', async () => {
      const run = await startCapture('stats', uri, '-f', 'udp dst port 9', '--json');
      await send({ count: 1000, rate: 50_000 });
      const { code, stdout } = await interrupt(run);
      expect(code).toBe(0);
      const { drops, ...totals } = JSON.parse(stdout);
      expect(totals).toMatchObject({ uri, backend, packets: 1000, dropped: 0 });
      expect(Object.values(drops)).toContain(0);
      for (const count of Object.values(drops)) expect([0, null]).toContain(count);
    });

    test('-Q out sees nothing of what comes in', async () => {
      const run = await startCapture('stats', uri, '-Q', 'out', '-f', 'udp', '--json');
      await send({ count: 100, rate: 10_000 });
      expect(JSON.parse((await interrupt(run)).stdout).packets).toBe(0);
    });

    test('ends with 1 when the interface goes away, and keeps the file', async () => {
      execFileSync('ip', ['link', 'add', 'gone0', 'type', 'veth', 'peer', 'name', 'gone1']);
      for (const name of ['gone0', 'gone1']) execFileSync('ip', ['link', 'set', name, 'up']);
      const path = join(folder, `${backend}-gone.pcap`);
      const run = await startCapture('capture', `${backend}:gone1`, '-f', 'udp dst port 9', '-w', path);
      await send({ count: 100, rate: 10_000, iface: 'gone0' });
      await sleep(300);
      execFileSync('ip', ['link', 'del', 'gone0']);
      const { code, stderr } = await run.outcome;
      expect(code).toBe(1);
      expect(stderr).toMatch(/^ringtap: .*gone1.*\nhint: /m);
      expect(stderr).toMatch(/^100 packets written$/m);
      expect(await packetsIn(path)).toBe(100);
    });

    test('names the capability that is missing, and how to grant it', async () => {
      const without = ['--reuid=65534', '--clear-groups', process.execPath, cli];
      const { code, stderr } = await start('setpriv', [...without, 'stats', uri, '--duration', '1s']).outcome;
      expect(code).toBe(1);
      expect(stderr).toMatch(/cap_net_raw/i);
      expect(stderr).toMatch(/^hint: .*setcap cap_net_raw/m);
    });
  });

  test('says in one line that it falls back', async () => {
    const { code, stderr } = await startRingtap(['stats', `pfring:${rx}`, '--duration', '100ms'], {
      env: withoutPfring,
    }).outcome;
    expect(code).toBe(0);
    expect(stderr).toMatch(/^ringtap: warning: pfring:rt1: using afpacket: because .*$/m);
    expect(stderr).not.toContain('(node:');
  });

  test('-B asks for a ring of so many KiB', async () => {
    const { stdout } = await ringtap('explain', `afpacket:${rx}`, '-B', '4096', '-p', '-s', '128', '-Q', 'in');
    for (const option of ['bufferBytes=4194304', 'promiscuous=false', 'snaplen=128', 'direction=in']) {
      expect(stdout).toContain(option);
    }
  });
});
