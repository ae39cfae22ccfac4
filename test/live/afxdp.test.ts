// AF_XDP on veth: what is taken, what is passed on, what is lost, and how it ends.
import { type Capture, explain, type OpenOptions, open, openTransmitter, PacketFlags } from 'ringtap';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { run, script } from '../support/child.js';
import { lab, send } from '../support/lab.js';
import { count, drain, expectBalanced, failure } from '../support/packets.js';
import { sendRaw } from '../support/raw.js';
import { ethernet, ipv4, udp } from '../support/trace.js';
import { sleep, until } from '../support/wait.js';

const ip = (...args: string[]) => run('ip', ...args);
const packet = (port: number, length = 18) =>
  ethernet(0x0800, ipv4({ protocol: 17 }, udp(40001, port, Buffer.alloc(length, port & 255))));

describe.skipIf(lab === null)('afxdp', () => {
  let tx = '';
  let rx = '';
  let made = 0;

  /** Fresh interfaces each time: a program that stays behind would show. */
  async function pair(queues = 1, mtu = 1500): Promise<void> {
    [tx, rx] = [`xt${++made}`, `xr${made}`];
    const many = ['numtxqueues', String(queues), 'numrxqueues', String(queues)];
    await ip('link', 'add', tx, ...many, 'type', 'veth', 'peer', 'name', rx, ...many);
    for (const name of [tx, rx]) await ip('link', 'set', name, 'mtu', String(mtu), 'up');
  }
  const start = (options: OpenOptions = {}): Promise<Capture> => open(`afxdp:${rx}`, options);

  beforeEach(() => pair());
  afterEach(() => ip('link', 'delete', tx).catch(() => {}));

  test.each(['native', 'generic'] as const)('receives exactly what was sent, in %s mode', async (mode) => {
    await using capture = await start({ mode });
    expect(capture.plan).toMatchObject({ backend: 'afxdp', mode: `${mode}, copy`, takesTraffic: true, filter: 'none' });
    const counting = count(capture);
    const { sent } = await send({ iface: tx, count: 50_000, rate: 200_000 });
    await until(() => capture.stats().delivered === sent, 'everything to arrive');
    await capture.close();
    expect(await counting).toBe(sent);
    expect(capture.stats()).toMatchObject({ received: sent, delivered: sent, dropped: 0, pending: 0 });
  });

  test.each(['native', 'generic'] as const)(
    'takes what matches its filter, and passes on the rest untouched, in %s mode',
    async (mode) => {
      await using host = await open(`afpacket:${rx}`, { direction: 'in' });
      await using capture = await start({ mode, filter: 'udp dst port 53' });
      expect(capture.plan).toMatchObject({ filter: 'xdp' });
      await sendRaw(tx, [packet(53), packet(54), packet(53), packet(55)]);
      const ports = async (from: Capture) => (await drain(from)).map(({ data }) => data.readUInt16BE(36));
      expect(await ports(capture)).toEqual([53, 53]);
      expect(await ports(host)).toEqual([54, 55]);
      expect(capture.stats()).toMatchObject({ received: 2, delivered: 2, filtered: 0 });
    },
  );

  test('runs a filter that XDP cannot in user space, and says why', async () => {
    await using capture = await start({ filter: 'ip protochain 17' });
    expect(capture.plan.filter).toBe('user');
    expect(capture.plan.filterReason).toMatch(/loop|backward/);
    await sendRaw(tx, [packet(1), ethernet(0x0806, Buffer.alloc(28)), packet(2)]);
    expect(await drain(capture)).toHaveLength(2);
    expect(capture.stats()).toMatchObject({ received: 3, delivered: 2, filtered: 1 });
  });

  test('filters VLAN tags, which are in the bytes', async () => {
    await using capture = await start({ filter: 'vlan 5 and udp' });
    const inner = ipv4({ protocol: 17 }, udp(1, 2, Buffer.alloc(18)));
    await sendRaw(tx, [ethernet(0x0800, inner, [[0x8100, 5]]), ethernet(0x0800, inner, [[0x8100, 6]]), packet(2)]);
    expect((await drain(capture)).map(({ data }) => data.readUInt16BE(14))).toEqual([5]);
  });

  test.each([
    ['the fill ring starved', 'native', { frames: 128, batchSize: 16 }, 'rxDropped'],
    ['the fill ring starved', 'generic', { frames: 128, batchSize: 16 }, 'rxDropped'],
    ['a full RX ring', 'native', { frames: 4096, rxRing: 64 }, 'rxRingFull'],
    ['a full RX ring', 'generic', { frames: 4096, rxRing: 64 }, 'rxRingFull'],
  ] as const)('counts each packet lost to %s once, in %s mode', async (_, mode, options, cause) => {
    await using capture = await start({ ...options, mode });
    const { sent } = await send({ iface: tx, count: 3004, rate: 100_000 });
    const { dropped, drops, pending } = capture.stats();
    expect(drops[cause]).toBe(dropped);
    expect(dropped).toBe(sent - pending);
    expect(dropped).toBeGreaterThan(2000);
    const seen = await drain(capture);
    const stats = capture.stats();
    expect(stats).toMatchObject({ received: sent, delivered: seen.length, dropped, pending: 0 });
    expectBalanced(stats);
  });

  test('loses nothing while the reader stands still for 100 ms at 500 kpps, with frames for it', async () => {
    await using capture = await start({ frames: 65536 });
    const sending = send({ iface: tx, count: 100_000, rate: 500_000 });
    await until(() => capture.stats().pending > 0, 'the first packet');
    const stalled = performance.now() + 100;
    while (performance.now() < stalled);
    expect(capture.stats().pending).toBeGreaterThan(10_000);
    const counting = count(capture);
    const { sent } = await sending;
    await until(() => capture.stats().delivered === sent, 'everything to arrive');
    await capture.close();
    expect(await counting).toBe(sent);
    expect(capture.stats().dropped).toBe(0);
  });

  test('stamps each packet in the kernel, whenever it is read', async () => {
    await using capture = await start();
    expect(capture.plan.timestamp).toBe('kernel');
    const sending = send({ iface: tx, count: 2000, rate: 20_000, stamp: true });
    const errors: number[] = [];
    for (let seen = 0; seen < 2000; ) {
      const stalled = performance.now() + 50;
      while (performance.now() < stalled);
      await sleep(1);
      for (let batch = capture.tryNext(); batch !== null; batch = capture.tryNext()) {
        for (let i = 0; i < batch.length; i++) {
          const sentAt = Buffer.from(batch.data(i)).readBigUInt64BE(50);
          errors.push(Math.abs(Number(batch.timeNs(i) - (sentAt - taiOffset))));
        }
        seen += batch.length;
      }
    }
    await sending;
    errors.sort((a, b) => a - b);
    expect(errors[errors.length >> 1]).toBeLessThanOrEqual(100_000);
  });

  test('takes the reader’s clock when asked', async () => {
    await using capture = await start({ timestamp: 'user' });
    expect(capture.plan.timestamp).toBe('user');
    await sendRaw(tx, [packet(1)]);
    const before = BigInt(Date.now()) * 1_000_000n;
    const [seen] = await drain(capture);
    expect(Number(BigInt(seen!.timeNs) - before) / 1e9).toBeLessThan(1);
  });

  test('merges all queues of an interface into one capture', async () => {
    await ip('link', 'delete', tx);
    await pair(4);
    await using capture = await start();
    // One sender per CPU, because veth takes the sender's CPU for the queue.
    const senders = [0, 1].map((core) => send({ iface: tx, count: 2000, rate: 20_000, core }));
    const seen = [0, 0, 0, 0];
    for (let batch = capture.nextSync(1000); batch !== null; batch = capture.nextSync(500)) {
      for (let i = 0; i < batch.length; i++) seen[batch.queue[i]!]!++;
    }
    await Promise.all(senders);
    expect(seen.reduce((sum, n) => sum + n)).toBe(4000);
    expect(seen.filter((n) => n > 0).length).toBeGreaterThan(1);
  });

  test('delivers a jumbo frame as one contiguous packet', async () => {
    await ip('link', 'delete', tx);
    await pair(1, 9000);
    await using capture = await start();
    const jumbo = packet(7, 8000);
    for (let i = 20; i < jumbo.length; i++) if (i > 42) jumbo[i] = i % 251;
    await sendRaw(tx, [packet(1), jumbo, packet(2)]);
    const seen = await drain(capture);
    expect(seen.map(({ data }) => data.length)).toEqual([60, jumbo.length, 60]);
    expect(Buffer.compare(seen[1]!.data, jumbo)).toBe(0);
    expect(seen.map(({ flags }) => flags & PacketFlags.fragmented)).toEqual([0, PacketFlags.fragmented, 0]);
    expect(capture.stats()).toMatchObject({ received: 3, delivered: 3, joined: 1 });
  });

  test('says how many queues there are when one does not exist', async () => {
    const error = await failure(() => start({ queue: 9 }));
    expect(error).toMatchObject({ code: 'RINGTAP_BAD_OPTION', uri: `afxdp:${rx}` });
    expect(error.message).toContain(`queue 9 of ${rx} does not exist`);
    expect(error.hint).toContain(`ethtool -l ${rx}`);
  });

  test('says that another XDP program is attached, and how to look', async () => {
    await using first = await start();
    const error = await failure(() => start());
    expect(error.code).toBe('RINGTAP_BUSY');
    expect(error.message).toContain('another XDP program is attached');
    expect(error.hint).toContain(`ip link show dev ${rx}`);
    await sendRaw(tx, [packet(1)]);
    expect(await drain(first)).toHaveLength(1);
  });

  test('has no zero copy on veth, and says so when it is required', async () => {
    expect(await failure(() => start({ zerocopy: 'require' }))).toMatchObject({ code: 'RINGTAP_UNSUPPORTED' });
    const error = await failure(() => start({ zerocopy: 'require', mode: 'generic' }));
    expect(error.code).toBe('RINGTAP_BAD_OPTION');
  });

  test.each([
    ['deleted', ['link', 'delete'], 'RINGTAP_INTERFACE_GONE'],
    ['set down', ['link', 'set', 'down'], 'RINGTAP_INTERFACE_DOWN'],
  ] as const)('ends with an error when its interface is %s', async (_, args, code) => {
    await using capture = await start();
    const ended = failure(async () => {
      for await (const _batch of capture);
    });
    await sleep(50);
    await ip(...args, rx);
    expect((await ended).code).toBe(code);
  });

  test('leaves nothing behind when its process is killed', async () => {
    const killed = script(`
      import { open } from 'ringtap';
      const capture = await open('afxdp:${rx}');
      setTimeout(() => process.kill(process.pid, 'SIGKILL'), 50);
      for await (const batch of capture);
    `);
    await killed.catch(() => {});
    expect(await ip('link', 'show', 'dev', rx)).not.toContain('xdp');
    await using capture = await start();
    await sendRaw(tx, [packet(1)]);
    expect(await drain(capture)).toHaveLength(1);
  });

  test('sends frames, beside a capture and without one', async () => {
    await using other = await open(`afpacket:${rx}`, { direction: 'in' });
    const transmitter = await openTransmitter(`afxdp:${tx}`);
    for (let i = 0; i < 5000; i++) {
      while (!transmitter.send(packet(i & 1023))) await transmitter.flush();
    }
    await transmitter.flush();
    expect(transmitter.stats()).toEqual({ sent: 5000, queued: 0, failed: 0 });
    await transmitter.close();
    expect(await drain(other)).toHaveLength(5000);

    await using capture = await open(`afxdp:${tx}`);
    expect(capture.transmit!.send(packet(9))).toBe(true);
    await capture.transmit!.flush();
    expect(await drain(other)).toHaveLength(1);
    expect(await failure(() => capture.transmit!.send(new Uint8Array(5)))).toMatchObject({
      code: 'RINGTAP_BAD_OPTION',
    });
  });

  test('is explained without taking anything', async () => {
    const plan = await explain(`afxdp:${rx}`, { filter: 'tcp' });
    expect(plan).toMatchObject({ backend: 'afxdp', filter: 'xdp', takesTraffic: true, error: null });
    expect(plan.notes.join()).toContain('taken away');
    expect(await ip('link', 'show', 'dev', rx)).not.toContain('xdp');
  });

  test('warns once a process that it takes traffic', async () => {
    const { stderr } = await script(`
      import { open } from 'ringtap';
      process.on('warning', ({ code }) => console.error('code', code));
      for (let i = 0; i < 2; i++) await (await open('afxdp:${rx}')).close();
    `);
    expect(stderr.match(/code RINGTAP_TAKES_TRAFFIC/g)).toHaveLength(1);
  });
});

// The kernel's TAI clock runs ahead of UTC by whole seconds, none where nobody has told it.
const taiOffset =
  BigInt(
    Math.round(
      Number(
        (await run('python3', '-c', 'import time; print(time.clock_gettime_ns(11) - time.clock_gettime_ns(0))')).trim(),
      ) / 1e9,
    ),
  ) * 1_000_000_000n;
