// A capture over the interface that carries it: its own connections are no part of it.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Capture, listen, open } from 'ringtap';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lab, send } from '../support/lab.js';
import { until, within } from '../support/wait.js';

const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const COUNT = 2000;
const [HERE, THERE] = ['10.79.0.1', '10.79.0.2'];
/** Accepts all. */
const ALL = [[0x06, 0, 0, 262144]] as const;

describe.skipIf(lab === null)('a capture over the interface that carries it', () => {
  let other: ChildProcess;
  const daemons: ChildProcess[] = [];
  const run = (...[program, ...args]: string[]) => execFileSync(program!, args, { stdio: 'pipe' });
  const namespaceOf = (pid: string) => readlinkSync(`/proc/${pid}/ns/net`);
  const inOther = () => ['nsenter', '-t', String(other.pid), '-n'];
  const startDaemon = async (...args: string[]) => {
    const [program, ...rest] = [...inOther(), process.execPath, cli, 'rpcapd', '-n', '-4', ...args];
    const daemon = spawn(program!, rest, { stdio: ['ignore', 'ignore', 'pipe'] });
    daemons.push(daemon);
    await once(daemon.stderr!, 'data'); // it listens, or is about to connect
    daemon.stderr!.resume();
    return daemon;
  };

  beforeAll(async () => {
    other = spawn('unshare', ['-n', 'sleep', '120'], { stdio: 'ignore' });
    const pid = String(other.pid);
    await until(() => namespaceOf(pid) !== namespaceOf('self'), 'the other namespace');
    run('ip', 'link', 'add', 'ro0', 'type', 'veth', 'peer', 'name', 'ro1', 'netns', pid);
    run('ip', 'address', 'add', `${HERE}/24`, 'dev', 'ro0');
    run('ip', 'link', 'set', 'ro0', 'up');
    run(...inOther(), 'ip', 'address', 'add', `${THERE}/24`, 'dev', 'ro1');
    run(...inOther(), 'ip', 'link', 'set', 'ro1', 'up');
    await startDaemon('-b', THERE);
  });
  // The devices go with the namespace.
  afterAll(() => {
    for (const daemon of daemons) daemon.kill();
    other.kill();
  });

  const onWire = () => Number(/ro0:\s*\d+\s+(\d+)/.exec(readFileSync('/proc/net/dev', 'utf8'))![1]);

  /** Of a capture that is read all the time: what a burst becomes, and what comes after it. */
  async function burst(capture: Capture, size: number): Promise<void> {
    const reading = (async () => {
      for await (const _ of capture);
    })();
    await send({ count: COUNT, iface: 'ro0', rate: 20_000, size });
    await until(() => capture.stats().delivered >= COUNT, 'the burst');
    const before = onWire();
    await new Promise((resolve) => setTimeout(resolve, 1500));
    expect(capture.stats()).toMatchObject({ delivered: COUNT, dropped: 0 });
    expect(onWire() - before).toBeLessThan(100);
    await capture.close();
    await reading;
  }

  test.each([
    ['over TCP', { filter: 'ip' }, 60],
    ['over UDP', { filter: 'ip', transport: 'udp' }, 60],
    ['over UDP, in fragments', { filter: 'ip', transport: 'udp' }, 1500],
    ['by a program', { filter: ALL, transport: 'udp' }, 60],
  ] as const)('has a burst to the packet, and is silent then: %s', async (_, asked, size) => {
    const capture = await open(`rpcap://${THERE}/ro1`, asked);
    if (asked.filter === ALL) await capture.setFilter('ip');
    await burst(capture, size);
  });

  test.each(['tcp', 'udp'] as const)('and so does one of a daemon that connects, over %s', async (transport) => {
    await using listener = await listen(`rpcap://${HERE}:0` as 'rpcap://', {
      allow: [THERE],
      transport,
      filter: 'ip',
    });
    const daemon = await startDaemon('-v', '-a', `${HERE},${listener.port}`);
    const { value } = await within(listener[Symbol.asyncIterator]().next(), 'a capture');
    expect((value as Capture).peer?.interface).toBe('ro1');
    await burst(value as Capture, 60);
    daemon.kill(); // it would come back, by packets that are counted
    await once(daemon, 'exit');
  });

  test('captures other connections between the two hosts', async () => {
    await using capture = await open(`rpcap://${THERE}/ro1`, { filter: 'tcp port 9' });
    const reading = (async () => {
      for await (const _ of capture) return true;
      return false;
    })();
    const refused = spawn('bash', ['-c', `: < /dev/tcp/${THERE}/9`], { stdio: 'ignore' });
    await once(refused, 'exit');
    expect(await within(reading, 'a packet')).toBe(true);
  });

  test('has its own connections where that is asked for', async () => {
    await using capture = await open(`rpcap://${THERE}/ro1`, { filter: 'tcp', ownTraffic: true });
    for await (const _ of capture) if (capture.stats().delivered > 50) break;
    expect(capture.stats().delivered).toBeGreaterThan(50);
  });
});
