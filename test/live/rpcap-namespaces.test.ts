// udpstr from a daemon in another network namespace, over a way that loses, doubles and reorders datagrams: with recovery no
// packet is lost, without it exactly those that touch a lost datagram.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { open, type RpcapOptions } from 'ringtap';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectExactLoss, expectSame } from '../support/exact-loss.js';
import { lab } from '../support/lab.js';
import { LossyRelay, type Mischief } from '../support/lossy-relay.js';
import { readAll } from '../support/packets.js';
import { until } from '../support/wait.js';

const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const COUNT = 3000;
/** Of the endless one. */
const WANTED = 1500;
const SOURCE = 'synth:?seed=3&sizes=imix';
/** The same, so slowly that no socket overflows. */
const MADE = `${SOURCE}&rate=20000`;
const ALL: Mischief = { seed: 5, lose: 0.1, double: 0.1, delay: 0.05 };

type Asked = Omit<RpcapOptions, 'transport'>;

describe.skipIf(lab === null)('a daemon in another network namespace', () => {
  const HOST = '10.78.0.2';
  let other: ChildProcess;
  let daemon: ChildProcess;
  const run = (...[program, ...args]: string[]) => execFileSync(program!, args, { stdio: 'pipe' });
  const namespaceOf = (pid: string) => readlinkSync(`/proc/${pid}/ns/net`);

  beforeAll(async () => {
    other = spawn('unshare', ['-n', 'sleep', '120'], { stdio: 'ignore' });
    const pid = String(other.pid);
    const inOther = ['nsenter', '-t', pid, '-n'];
    await until(() => namespaceOf(pid) !== namespaceOf('self'), 'the other namespace');
    run('ip', 'link', 'add', 're0', 'type', 'veth', 'peer', 'name', 're1', 'netns', pid);
    run('ip', 'address', 'add', '10.78.0.1/24', 'dev', 're0');
    run('ip', 'link', 'set', 're0', 'up');
    run(...inOther, 'ip', 'address', 'add', `${HOST}/24`, 'dev', 're1');
    run(...inOther, 'ip', 'link', 'set', 're1', 'up');
    const sources = ['--source', `made=${MADE}&count=${COUNT}`, '--source', `endless=${MADE}`];
    const serving = ['rpcapd', '-n', '-b', HOST, '-t', '1472', '--recovery', '4194304', '--zstd', ...sources];
    const [program, ...args] = [...inOther, process.execPath, cli, ...serving];
    daemon = spawn(program!, args, { stdio: ['ignore', 'ignore', 'pipe'] });
    await once(daemon.stderr!, 'data'); // it listens
  });
  // The devices go with the namespace.
  afterAll(() => {
    daemon.kill();
    other.kill();
  });

  test.each<[string, Mischief]>([
    ['one of ten is lost', { seed: 2, lose: 0.1, double: 0, delay: 0 }],
    ['one of ten is lost, others come twice or overtake each other', ALL],
  ])(
    'without recovery: where %s, exactly the packets that touch what was lost are lost, and counted',
    async (_, mischief) => {
      await using relay = await LossyRelay.open(2002, mischief, HOST);
      await using capture = await open(`rpcap://127.0.0.1:${relay.port}/endless`, { transport: 'udp' });
      const seen = await readAll(capture, WANTED);
      const stats = capture.stats();
      await capture.close();
      expect(stats.drops.network).toBeGreaterThan(100);
      expect(stats.details).not.toHaveProperty('datagramsRecovered');
      await expectExactLoss({ relay, seen, stats }, SOURCE);
    },
  );

  test.each<[string, Asked]>([
    ['as it is', { recovery: true }],
    ['compressed', { recovery: true, compression: 'zstd' }],
  ])('with recovery loses nothing of what comes %s', async (_, asked) => {
    await using relay = await LossyRelay.open(2002, ALL, HOST);
    await using capture = await open(`rpcap://127.0.0.1:${relay.port}/made`, { transport: 'udp', ...asked });
    const packets = await readAll(capture, COUNT);
    const { drops, details } = capture.stats();
    await using source = await open(`${SOURCE}&count=${COUNT}`);
    const all = await readAll(source);
    expectSame(packets, all);
    expect(drops.network).toBe(0);
    expect(details.datagramsRecovered).toBeGreaterThan(20);
  });
});
