// What DPDK's drivers open is the process's: no child gets it, and no other capture loses its own.
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Capture, open } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { script } from '../support/child.js';
import { lab, send } from '../support/lab.js';
import { failure, readAll } from '../support/packets.js';
import { sleep, within } from '../support/wait.js';

const flags = ['--no-warnings'];

test.skipIf(lab === null)('dpdk: a child inherits no descriptor of EAL or of a driver', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ringtap-inherit-'));
  const body = `
    import { execFileSync } from 'node:child_process';
    import { open } from 'ringtap';
    const few = { mbufs: 1024, hugePages: 'off' };
    // Standard error goes nowhere, so that what ls itself opens is all that is left.
    const inherited = () => execFileSync('/bin/ls', ['/proc/self/fd'], { encoding: 'utf8' }).trim().split('\\n').length;
    const before = inherited();
    const captures = [];
    for (const [target, more] of [
      ['net_af_packet0?iface=${lab?.rx}'], ['net_pcap0?iface=${lab?.rx}'], ['net_tap0?iface=dtap8'], ['net_af_xdp0?iface=${lab?.rx}'],
      ['net_memif0?role=server', { unsafeDevargs: 'socket-abstract=no,socket=${folder}/memif' }],
      ['net_vhost0?devargs=queues=1', { unsafeDevargs: 'iface=${folder}/vhost' }],
    ]) captures.push(await open('dpdk:' + target, { ...few, ...more }));
    console.log(inherited() - before);
    for (const capture of captures) await capture.close();
    console.log(inherited() - before);`;
  try {
    expect(await script(body, { flags })).toMatchObject({ code: 0, stdout: '0\n0\n', stderr: '' });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

/** Sockets that this process has mapped, as a link in /proc/self/fd names them, but has no descriptor of any more. */
function closedButMapped(): string[] {
  const open = new Set<string>();
  for (const fd of readdirSync('/proc/self/fd')) {
    try {
      open.add(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      // It was the folder's.
    }
  }
  const mapped = readFileSync('/proc/self/maps', 'latin1').match(/socket:\[\d+\]/g) ?? [];
  return [...new Set(mapped)].filter((socket) => !open.has(socket));
}

describe.skipIf(lab === null)('dpdk: net_af_xdp, while another capture has its queue', () => {
  const opening = () => open(`dpdk:net_af_xdp0?iface=${lab!.rx}`, { mbufs: 1024 });

  test('gives up, and closes its own AF_XDP sockets, but none that was opened meanwhile', async () => {
    await using _ = await open(`afxdp:${lab!.rx}`, { fallback: false });
    const failing = failure(opening);
    await sleep(700);
    // It polls as DPDK's own does, so that only whose they are tells them apart.
    await using other = await open(`afxdp:${lab!.tx}?busyPoll=20`, { fallback: false, filter: 'udp' });
    expect((await failing).message).toMatch(/Failed to create xsk socket/);
    expect(closedButMapped()).toEqual([]);
    await send({ count: 100, iface: lab!.rx });
    expect(await within(readAll(other, 100), 'the packets of the other capture')).toHaveLength(100);
  });

  test('gets it when that one is closed', async () => {
    // It waits for two seconds, which on a busy machine may be over too soon.
    let got: Capture | undefined;
    for (let i = 0; i < 3 && got === undefined; i++) {
      const first = await open(`afxdp:${lab!.rx}`, { fallback: false });
      const waiting = opening().catch(() => undefined);
      await sleep(400);
      await first.close();
      got = await waiting;
    }
    expect(got?.plan).toMatchObject({ backend: 'dpdk', mode: 'copy' });
    await got?.close();
    // And gives it back.
    await (await open(`afxdp:${lab!.rx}`, { fallback: false })).close();
  });
});
