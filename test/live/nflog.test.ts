// Packets that a rule of the firewall logs. nft is the judge of how many there were.
import { open } from 'ringtap';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run, script } from '../support/child.js';
import { ringtap, startRingtap } from '../support/cli.js';
import { lab } from '../support/lab.js';
import { drain, expectBalanced, failure } from '../support/packets.js';
import { sleep } from '../support/wait.js';

const SENDER = `
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(int(sys.argv[1])):
    s.sendto(b'datagram %d' % i, ('127.0.0.1', 4242))
    time.sleep(0.001)
`;
const say = (count: number) => run('python3', '-c', SENDER, String(count));
const logged = async () =>
  Number(/counter packets (\d+)/.exec(await run('nft', 'list', 'table', 'inet', 'ringtap'))?.[1] ?? Number.NaN);

describe.skipIf(lab === null)('nflog', () => {
  beforeAll(async () => {
    await run('ip', 'link', 'set', 'lo', 'up');
    await run('nft', 'add table inet ringtap; add chain inet ringtap out { type filter hook output priority 0; }');
    await run('nft', 'add rule inet ringtap out udp dport 4242 counter log group 0');
    await run('nft', 'add rule inet ringtap out udp dport 4242 log group 5');
  });
  afterAll(async () => {
    await run('nft', 'delete table inet ringtap');
  });

  test.each(['pcap:nflog', 'nflog', 'pcap:nflog:5'])(
    '%s waits for packets, and gives each that was logged',
    async (uri) => {
      await using capture = await open(uri);
      expect(capture).toMatchObject({ backend: 'pcap', linkType: 239 });
      await sleep(200); // nothing has come: no error
      const before = await logged();
      await say(100);
      const seen = await drain(capture, 1500); // the kernel hands them over once a second
      expect((await logged()) - before).toBe(100);
      expect(seen).toHaveLength(100);
      for (const [i, { data }] of seen.entries()) expect(data.includes(`datagram ${i}`)).toBe(true);
      expectBalanced(capture.stats());
    },
  );

  test('goes on for as long as ringtap capture is asked to, without an error', async () => {
    const running = startRingtap(['capture', 'nflog', '--duration', '4s']);
    await sleep(1500);
    await say(20);
    const { code, stdout, stderr } = await running.outcome;
    expect({ code, stderr: stderr.includes('Resource temporarily') }).toEqual({ code: 0, stderr: false });
    expect(stdout.trim().split('\n')).toHaveLength(20);
  });

  test('is not what afpacket: opens, which says how it is opened', async () => {
    expect(await failure(() => open('afpacket:nflog'))).toMatchObject({
      code: 'RINGTAP_NO_INTERFACE',
      hint: 'Open it with pcap:nflog.',
    });
  });

  test('without the right says which one it is', async () => {
    const source = `import { open } from 'ringtap'; await open('pcap:nflog').catch((error) => console.log(JSON.stringify(error)));`;
    const { stdout } = await script(source, { prefix: ['setpriv', '--reuid=65534', '--clear-groups'] });
    expect(JSON.parse(stdout)).toMatchObject({
      code: 'RINGTAP_NO_PERMISSION',
      message: expect.stringMatching(/^pcap:nflog: .*needs CAP_NET_ADMIN/),
      hint: expect.stringContaining('sudo setcap cap_net_raw,cap_net_admin+ep'),
    });
  });
});

test('nfqueue, whose reader decides about packets, is neither listed nor opened', async () => {
  const { stdout } = await ringtap('list', '--json');
  expect(stdout).not.toContain('nfqueue');
  expect(await failure(() => open('pcap:nfqueue'))).toMatchObject({
    code: 'RINGTAP_NO_INTERFACE',
    hint: expect.stringContaining('pcap:nflog:5'),
  });
});
