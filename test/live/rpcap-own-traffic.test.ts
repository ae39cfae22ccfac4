// A capture over the interface that carries it: its own connections are no part of it.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { fileURLToPath } from 'node:url';
import { type Capture, listen, open } from 'ringtap';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { lab, send } from '../support/lab.js';
import { Rpcap } from '../support/rpcap.js';
import { RpcapClient, startOf } from '../support/rpcap-client.js';
import { until, within } from '../support/wait.js';

const cli = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));
const COUNT = 2000;
const [HERE, THERE] = ['10.79.0.1', '10.79.0.2'];
const [HERE_6, THERE_6] = ['fd79::1', 'fd79::2'];
/** What a storm would take to be seen: a packet waits no longer than that at the daemon. */
const QUICK = { timeoutMs: 20 } as const;
/** Accepts all. */
const ALL = [[0x06, 0, 0, 262144]] as const;

describe.skipIf(lab === null)('a capture over the interface that carries it', () => {
  let other: ChildProcess;
  const daemons: ChildProcess[] = [];
  const run = (...[program, ...args]: string[]) => execFileSync(program!, args, { stdio: 'pipe' });
  const namespaceOf = (pid: string) => readlinkSync(`/proc/${pid}/ns/net`);
  const inOther = () => ['nsenter', '-t', String(other.pid), '-n'];
  const startDaemon = async (...args: string[]) => {
    const [program, ...rest] = [...inOther(), process.execPath, cli, 'rpcapd', '-n', ...args];
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
    writeFileSync('/proc/sys/net/ipv6/conf/ro0/disable_ipv6', '0');
    run('ip', 'address', 'add', `${HERE}/24`, 'dev', 'ro0');
    run('ip', 'link', 'set', 'ro0', 'up');
    run(...inOther(), 'ip', 'address', 'add', `${THERE}/24`, 'dev', 'ro1');
    run('ip', 'address', 'add', `${HERE_6}/64`, 'dev', 'ro0', 'nodad');
    run(...inOther(), 'ip', 'address', 'add', `${THERE_6}/64`, 'dev', 'ro1', 'nodad');
    run(...inOther(), 'ip', 'link', 'set', 'ro1', 'up');
    await startDaemon();
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
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(capture.stats()).toMatchObject({ delivered: COUNT, dropped: 0 });
    expect(onWire() - before).toBeLessThan(33);
    await capture.close();
    await reading;
  }

  test.each([
    ['over TCP', { filter: 'ip' }, 60],
    ['over UDP', { filter: 'ip', transport: 'udp' }, 60],
    ['over UDP, in fragments', { filter: 'ip', transport: 'udp' }, 1500],
    ['by a program', { filter: ALL, transport: 'udp' }, 60],
  ] as const)('has a burst to the packet, and is silent then: %s', async (_, asked, size) => {
    const capture = await open(`rpcap://${THERE}/ro1`, { ...QUICK, ...asked });
    if (asked.filter === ALL) await capture.setFilter('ip');
    await burst(capture, size);
  });

  test.each(['tcp', 'udp'] as const)('and so does one of a daemon that connects, over %s', async (transport) => {
    await using listener = await listen(`rpcap://${HERE}:0` as 'rpcap://', {
      allow: [THERE],
      transport,
      filter: 'ip',
      ...QUICK,
    });
    const daemon = await startDaemon('-4', '-v', '-a', `${HERE},${listener.port}`);
    const { value } = await within(listener[Symbol.asyncIterator]().next(), 'a capture');
    expect((value as Capture).peer?.interface).toBe('ro1');
    await burst(value as Capture, 60);
    daemon.kill(); // it would come back, by packets that are counted
    await once(daemon, 'exit');
  });

  test('nor has it those of another capture, over either version of IP: of two, and of a client that leaves out nothing', async () => {
    const filter = 'tcp or udp';
    const captures = await Promise.all([
      open(`rpcap://${THERE}/ro1`, { ...QUICK, filter }),
      open(`rpcap://${THERE}/ro1`, { ...QUICK, filter, transport: 'udp' }),
      open(`rpcap://[${THERE_6}]/ro1`, { ...QUICK, filter }),
      open(`rpcap://[${THERE_6}]/ro1`, { ...QUICK, filter, transport: 'udp' }),
    ]);
    // One of its own making has no filter of its own at all.
    using raw = await RpcapClient.login(2002, THERE_6);
    await raw.ask(Rpcap.open, Buffer.from('ro1'));
    const { payload } = await raw.ask(Rpcap.start, startOf({ timeoutMs: 20 }));
    const data = connect(payload.readUInt16BE(4), THERE_6).resume();
    await once(data, 'connect');
    const reading = captures.map(async (capture) => {
      for await (const _ of capture);
    });
    await send({ count: COUNT, iface: 'ro0', rate: 20_000, size: 60 });
    await until(() => captures.every((capture) => capture.stats().delivered >= COUNT), 'the burst', 8000);
    const before = onWire();
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (const capture of captures) expect(capture.stats()).toMatchObject({ delivered: COUNT, dropped: 0 });
    expect(onWire() - before).toBeLessThan(5 * 33);
    const stats = await raw.stats();
    // ARP and neighbours are nobody's connection.
    expect(stats.sent).toBeGreaterThanOrEqual(COUNT);
    expect(stats.sent).toBeLessThan(COUNT + 20);
    data.destroy();
    await Promise.all(captures.map((capture) => capture.close()));
    await Promise.all(reading);
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
    await using capture = await open(`rpcap://${THERE}/ro1`, {
      ...QUICK,
      filter: 'tcp',
      ownTraffic: true,
      statsMs: 50,
    });
    for await (const _ of capture) if (capture.stats().delivered > 50) break;
    expect(capture.stats().delivered).toBeGreaterThan(50);
  });
});
