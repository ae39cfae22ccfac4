// A URI and its options are text from anywhere: DPDK must not run, load, write or connect to what they name.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { open, openTransmitter } from 'ringtap';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { script } from '../support/child.js';
import { ringtap } from '../support/cli.js';
import { failure } from '../support/packets.js';

describe('dpdk: as text from outside', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'ringtap-untrusted-'));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test('runs no program, writes no file, makes no socket, and EAL does not even start', async () => {
    const body = `
      import { readdirSync, readFileSync } from 'node:fs';
      import { explain, open, openTransmitter } from 'ringtap';
      const folder = process.argv[1];
      const program = 'touch ' + folder + '/ran; echo net_null0';
      const devices = [
        ['net_failsafe0', 'exec(' + program + ')'], ['net_failsafe0', 'fd(0)'], ['net_failsafe', 'dev(net_pcap0,tx_pcap=' + folder + '/f)'],
        ['net_bonding0', 'slave=net_pcap0'], ['net_softnic0', 'firmware=' + folder + '/f'], ['net_vdev_netvsc0', 'iface=lo'],
        ['net_pcap0', 'tx_pcap=' + folder + '/f'], ['net_pcap0', 'rx_pcap=' + process.execPath + ',tx_pcap=' + folder + '/f'],
        ['net_pcap0', 'rx_pcap=a/bus=vdev/driver=net_failsafe'], ['net_af_xdp0', 'iface=lo,xdp_prog=' + folder + '/f'],
        ['net_vhost0', 'iface=' + folder + '/s'], ['net_virtio_user0', 'path=' + folder + '/s,server=1'],
        ['net_memif0', 'role=server,socket-abstract=no,socket=' + folder + '/s'], ['net_ring0', 'internal=0x1000'],
        ['net_null0', ';touch ' + folder + '/f'], ['net_null0', '$(touch ' + folder + '/f)'], ['net_null0', 'size=|touch ' + folder + '/f'],
        ['net_null0', 'size'], ['net_null0', 'size=64\\n,copy=1'], ['net_null0', 'x'.repeat(1 << 20)], ['net_null0', 'size=64,'.repeat(1 << 17)],
        ['net_null0', 'size=' + '9'.repeat(1 << 20)], ['bus=vdev,name=net_failsafe0', 'exec(' + program + ')'],
        ['x'.repeat(1 << 20), ''], ['0000:00:00.0', 'Pkt_gen=' + folder + '/f'], ['net_null0;touch ' + folder + '/f', ''],
      ];
      const requests = [];
      for (const [device, text] of devices) {
        requests.push(['dpdk:' + encodeURIComponent(device + ',' + text)], ['dpdk:' + encodeURIComponent(device), { devargs: text }]);
        requests.push(['dpdk:' + device.slice(0, 40) + '?devargs=' + encodeURIComponent(text)]);
        requests.push(['dpdk:' + device.slice(0, 40) + '?unsafeDevargs=' + encodeURIComponent(text)]);
        const [key, ...value] = text.split('=');
        requests.push(['dpdk:' + device.slice(0, 40) + '?' + encodeURIComponent(key) + '=' + encodeURIComponent(value.join('='))]);
      }
      for (const [, text] of devices) requests.push(['dpdk:net_null0', { eal: text || '-x' }], ['dpdk:net_null0', { eal: '--vdev=' + text }]);
      for (const eal of ['-d ' + folder + '/f.so', '--file-prefix=' + folder + '/f', '--huge-dir ' + folder, '--trace=.*',
        '--vdev=net_pcap0,tx_pcap=' + folder + '/f', '-a 00:00.0,' + 'a'.repeat(1 << 20), '--socket-mem ' + '1,'.repeat(1 << 19) + '1'])
        requests.push(['dpdk:net_null0', { eal }]);
      const allowed = ['RINGTAP_BAD_OPTION', 'RINGTAP_BAD_URI', 'RINGTAP_NO_INTERFACE'];
      let refused = 0;
      const say = (request, outcome) => console.log(JSON.stringify(request).slice(0, 200), outcome);
      for (const request of requests) {
        for (const call of [open, openTransmitter, explain]) {
          const outcome = await call(...request).catch((error) => error);
          const error = call === explain && !(outcome instanceof Error) ? outcome.error : outcome;
          if (allowed.includes(error?.code) && error.hint) refused++;
          else say(request, String(error?.code ?? error));
        }
      }
      const threads = readdirSync('/proc/self/task').map((id) => readFileSync('/proc/self/task/' + id + '/comm', 'utf8').trim());
      console.log(refused === 3 * requests.length, readdirSync(folder).length, threads.filter((name) => /eal|rte|dpdk/.test(name)).length);
      const { plan, close } = await open('dpdk:net_null0', { mbufs: 1024, hugePages: 'off' }).then((c) => ({ plan: c.plan, close: () => c.close() }));
      await close();
      console.log(plan.backend);`;
    const ended = await script(body, { args: [folder] });
    expect(ended).toMatchObject({ code: 0, stdout: 'true 0 0\ndpdk\n', stderr: '' });
    expect(readdirSync(folder)).toEqual([]);
  });

  test('the command explain runs nothing either', async () => {
    const ran = join(folder, 'ran');
    const { stdout, stderr } = await ringtap('explain', `dpdk:net_failsafe0,exec(touch ${ran}; echo net_null0)`);
    expect(stdout + stderr).toMatch(/is no virtual device that ringtap passes on to DPDK/);
    expect(existsSync(ran)).toBe(false);
  });

  test('a refusal names the driver, the parameter and what is allowed', async () => {
    const error = await failure(() => open('dpdk:net_pcap0?tx_pcap=/tmp/x'));
    expect(error).toMatchObject({
      code: 'RINGTAP_BAD_OPTION',
      message: expect.stringMatching(/net_pcap: tx_pcap can write/),
      hint: expect.stringMatching(/^net_pcap takes iface .*rx_pcap.*; in unsafeDevargs, .*: tx_pcap/),
    });
  });

  test('a file is written where the program itself asks for it, and the URI cannot', async () => {
    const path = join(folder, 'sent.pcap');
    await using transmitter = await openTransmitter('dpdk:net_pcap7', {
      mbufs: 1024,
      unsafeDevargs: `tx_pcap=${path}`,
    });
    transmitter.send(Buffer.alloc(60, 1));
    await transmitter.flush();
    await transmitter.close();
    expect(readFileSync(path)).toHaveLength(24 + 16 + 60);
    const error = await failure(() => open(`dpdk:net_pcap7?unsafeDevargs=tx_pcap=${path}`));
    expect(error.message).toMatch(/unsafeDevargs goes into the options object, not the URI/);
  });
});
