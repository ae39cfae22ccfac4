// AF_XDP on veth and tap: what is taken, what is passed on, what is lost, and how it ends.
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AfXdpOptions, type Capture, open, openTransmitter, PacketFlags } from 'ringtap';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { run, script } from '../support/child.js';
import { planOf } from '../support/explain.js';
import { lab, send, traffic } from '../support/lab.js';
import { count, drain, expectBalanced, failure, NO_FAILURES, readAll } from '../support/packets.js';
import { sendRaw, sendTap } from '../support/raw.js';
import { ethernet, ipv4, udp } from '../support/trace.js';
import { sleep, until } from '../support/wait.js';

const ip = (...args: string[]) => run('ip', ...args);
const packet = (port: number, length = 18) =>
  ethernet(0x0800, ipv4({ protocol: 17 }, udp(40001, port, Buffer.alloc(length, port & 255))));

/** A process whose locked memory is limited. */
const poor = (limit: string) => [
  ...['prlimit', `--memlock=${limit}`],
  ...['setpriv', '--bounding-set', '-ipc_lock,-sys_resource'],
];

const ATTEMPT = `
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { open } from 'ringtap';
const [uri, tx] = process.argv.slice(1);
const locked = () => /^Max locked memory +(\\d+|unlimited) +(\\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'latin1'))[0];
const before = locked();
try {
  const capture = await open(uri, { filter: 'udp and (dst port 53 or tcp port 80)', fallback: false });
  execFileSync('python3', ['-c', \`
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
s.bind(("\${tx}", 0))
for _ in range(3):
    s.send(bytes.fromhex("${packet(53).toString('hex')}"))
\`]);
  let packets = 0;
  for (let batch = capture.nextSync(20_000); batch !== null; batch = packets < 3 ? capture.nextSync(20_000) : null) {
    packets += batch.length;
  }
  console.log(JSON.stringify({ plan: capture.plan, packets, limit: locked() === before ? 'as before' : locked() }));
} catch ({ code, message, hint }) {
  console.log(JSON.stringify({ code, message, hint }));
}
`;

/** Gives a link, which somebody else made, another program. */
const REPLACE = `
import ctypes, os, platform, struct, sys
libc = ctypes.CDLL(None, use_errno=True)
number = {'x86_64': 321, 'aarch64': 280}[platform.machine()]
def bpf(command, *fields):
    attr = ctypes.create_string_buffer(struct.pack('=' + ''.join(kind for kind, _ in fields), *(value for _, value in fields)), 128)
    fd = libc.syscall(number, command, attr, 128)
    if fd < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return fd
passes = ctypes.create_string_buffer(bytes.fromhex('b700000002000000' '9500000000000000'))
license = ctypes.create_string_buffer(b'GPL')
program = bpf(5, ('I', 6), ('I', 2), ('Q', ctypes.addressof(passes)), ('Q', ctypes.addressof(license)),
              ('I', 0), ('I', 0), ('Q', 0), ('I', 0), ('I', 0), ('16s', b'other'), ('I', 0), ('I', 37))
link = bpf(30, ('I', int(sys.argv[1])))
bpf(29, ('I', link), ('I', program), ('I', 0), ('I', 0))
`;

/** The id of the bpf_link that attached a program to this interface. Links of other namespaces are listed, too. */
async function linkOn(iface: string): Promise<number> {
  const [device] = JSON.parse(await ip('-j', 'link', 'show', 'dev', iface)) as [{ xdp: { prog: { id: number } } }];
  const links = JSON.parse(await run('bpftool', '-j', 'link', 'show')) as { id: number; prog_id: number }[];
  return links.find((link) => link.prog_id === device.xdp.prog.id)!.id;
}

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
    // Until the kernel has seen to both ends it drops what is sent, and says nothing.
    const works = async (name: string) => (await ip('link', 'show', 'dev', name)).includes('state UP');
    await until(async () => (await works(tx)) && (await works(rx)), 'the links');
  }
  const start = (options: AfXdpOptions = {}): Promise<Capture> => open(`afxdp:${rx}`, options);

  /** Opens a capture with a filter in a poorer process, and sends it three packets. */
  const attempt = (...prefix: string[]) => attemptOn(`afxdp:${rx}`, ...prefix);

  async function attemptOn(uri: string, ...prefix: string[]) {
    const { stdout, stderr } = await script(ATTEMPT, { prefix, args: [uri, tx] });
    expect(stdout, stderr).not.toBe('');
    return JSON.parse(stdout) as {
      code?: string;
      message?: string;
      hint?: string;
      plan?: Capture['plan'];
      packets?: number;
      limit?: string;
    };
  }

  beforeEach(() => pair());
  afterEach(() => ip('link', 'delete', tx).catch(() => {}));

  test('forwards to another interface from the memory that packets came in', async () => {
    const [from, into] = [tx, rx];
    await pair(); // the way out, and who is there
    onTestFinished(async () => void (await ip('link', 'delete', from)));
    await using there = await open(`afpacket:${rx}`, { direction: 'in', filter: 'udp' });
    await using capture = await open(`afxdp:${into}`, { transmitOn: tx, frames: 128, batchSize: 16, filter: 'udp' });
    expect(capture.plan.notes.join()).toContain(`capture.transmit sends on ${tx}`);
    await using sender = await openTransmitter(`afpacket:${from}`);
    const packets = Array.from({ length: 16 }, (_, i) => packet(i, 100 + i));
    const wanted: string[] = [];
    for (let round = 0; round < 64; round++) {
      sender.sendBatch(packets);
      for (let seen = 0; seen < packets.length; ) {
        const batch = capture.nextSync(2000)!;
        expect(capture.transmit!.forward(batch, { rewrite: { ttl: 'decrement' } })).toBe(batch.length);
        for (let i = 0; i < batch.length; i++) wanted.push(Buffer.from(batch.copy(i)).toString('hex'));
        seen += batch.length;
      }
    }
    const arrived = await readAll(there, 1024);
    expect(arrived.map(({ data }) => data.toString('hex'))).toEqual(wanted);
    expect(arrived[0]!.data[22]).toBe(packets[0]![22]! - 1);
    expect(capture.transmit!.stats()).toMatchObject({ completed: 1024, zeroCopy: 1024, failed: NO_FAILURES });
    expect(capture.stats()).toMatchObject({ delivered: 1024, dropped: 0 });
    const refused = (options: AfXdpOptions) => failure(() => open(`afxdp:${into}`, options));
    expect(await refused({ transmitOn: 'nowhere' })).toMatchObject({
      code: 'RINGTAP_NO_INTERFACE',
      message: expect.stringMatching(/transmitOn: interface "nowhere"/),
    });
    expect((await refused({ transmitOn: 'lo' })).code).toBe('RINGTAP_UNSUPPORTED');
    expect((await failure(() => openTransmitter(`afxdp:${into}`, { transmitOn: tx }))).code).toBe('RINGTAP_BAD_OPTION');
  });

  test.each(['native', 'generic'] as const)('receives exactly what was sent, in %s mode', async (mode) => {
    await using capture = await start({ mode, frames: 65536 }); // room for all, however late the reader
    expect(capture.plan).toMatchObject({ backend: 'afxdp', mode: `${mode}, copy`, takesTraffic: true, filter: 'none' });
    const counting = count(capture);
    const { sent } = await send({ iface: tx, count: 50_000, rate: 200_000 });
    await until(() => capture.stats().delivered === sent, 'everything to arrive');
    await capture.close();
    expect(await counting).toBe(sent);
    expect(capture.stats()).toMatchObject({ received: sent, delivered: sent, dropped: 0, pending: 0 });
  });

  test('lets packets gather for nextSync(), too, instead of waking up for each', async () => {
    await using capture = await start({ timeoutMs: 5, frames: 65536 });
    const count = 10_000;
    const { sent } = traffic({ iface: tx, count, rate: 20_000 }); // a hundred in 5 ms
    let batches = 0;
    for (let packets = 0; packets < count; batches++) packets += capture.nextSync(20_000)!.length;
    await sent;
    expect(count / batches).toBeGreaterThan(25);
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

  test.each(['native', 'generic'] as const)(
    'pins with a held batch what that shows, not what its filter rejected, in %s mode',
    async (mode) => {
      const arp = ethernet(0x0806, Buffer.alloc(46));
      await using capture = await start({ mode, frames: 1024, batchSize: 64, filter: 'ip protochain 17' });
      await using transmitter = await openTransmitter(`afxdp:${tx}`);
      const sendAll = async (frame: Uint8Array, count: number) => {
        const { received } = capture.stats();
        for (let i = 0; i < count; i++) while (!transmitter.send(frame)) await transmitter.flush();
        await transmitter.flush();
        await until(() => capture.stats().received === received + count, 'all of them');
      };
      await sendAll(arp, 450);
      await sendAll(packet(1), 1);
      const held = capture.nextSync(20_000)!.hold();
      expect(held.length).toBe(1);
      await sendAll(packet(2), 900);
      expect(await drain(capture)).toHaveLength(900);
      expect(capture.stats()).toMatchObject({ received: 1351, delivered: 901, filtered: 450, dropped: 0 });
    },
  );

  test.each([
    ['all of one of four queues', 4, 1500, {}],
    ['jumbo frames, which are joined by a copy', 1, 9000, { frames: 4096 }],
    ['batches of more packets than there are frames', 1, 1500, { frames: 128, batchSize: 4096 }],
    ['many queues that share few frames', 8, 1500, { frames: 128, batchSize: 256 }],
  ] as const)('goes on with all held that hold() allows: %s', async (_, queues, mtu, options) => {
    await ip('link', 'delete', tx);
    await pair(queues, mtu);
    await using capture = await start(options);
    const size = mtu - 100;
    const hold = async (): Promise<boolean> => {
      for (;;) {
        const batch = capture.tryNext();
        if (batch !== null) {
          try {
            batch.hold();
            return true;
          } catch {
            return false;
          }
        }
        await send({ iface: tx, count: 512, rate: 100_000, size });
        await until(() => capture.stats().pending > 0, 'a packet, with batches held');
      }
    };
    let held = 0;
    while (await hold()) held++;
    expect(held).toBe(capture.plan.maxLeases - 1);
    const { delivered } = capture.stats();
    while (capture.tryNext() !== null);
    for (let more = 0; more < 3; more++) {
      await send({ iface: tx, count: 64, rate: 100_000, size });
      await until(() => capture.tryNext() !== null, 'a packet, with all held');
    }
    expect(capture.stats().delivered).toBeGreaterThan(delivered);
    expectBalanced(capture.stats());
  });

  test('lets a child process start as quickly beside a quarter of a gigabyte of packet memory as without', async () => {
    const median = () => {
      const taken = Array.from({ length: 9 }, () => {
        const asked = performance.now();
        spawnSync('/bin/true');
        return performance.now() - asked;
      });
      return taken.sort((a, b) => a - b)[4]!;
    };
    const without = median();
    await using _ = await start({ frames: 131_072 });
    expect(median()).toBeLessThan(3 * without + 20);
    // Packet memory and the socket's rings.
    const kept = readFileSync('/proc/self/smaps', 'latin1').split(/^(?=[0-9a-f]+-[0-9a-f]+ )/m);
    const rings = kept.filter((mapping) => /^\S+ \S+ \S+ \S+ \d+ +(socket:|anon_inode:bpf-map)/.test(mapping));
    expect(rings.length).toBeGreaterThanOrEqual(5);
    for (const mapping of rings) expect(mapping).toMatch(/^VmFlags:.* dc /m);
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
    await until(() => capture.stats().received === sent, 'the last packet');
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
    const sending = send({ iface: tx, count: 60_000, rate: 500_000 });
    await until(() => capture.stats().pending > 0, 'the first packet');
    const stalled = performance.now() + 100;
    const givenUp = stalled + 40_000;
    while (performance.now() < stalled || (capture.stats().pending < 40_000 && performance.now() < givenUp));
    expect(capture.stats().pending).toBeGreaterThanOrEqual(40_000);
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
    /** Of 2,000 packets, in ns, between the sender's clock and the stamp. */
    const medianError = async () => {
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
      return errors.sort((a, b) => a - b)[errors.length >> 1]!;
    };
    // On a busy machine the sender may lose the CPU between its clock and the wire. Stamps of the reader's would be 25 ms off.
    let best = Number.POSITIVE_INFINITY;
    for (let tries = 0; tries < 5 && best > 100_000; tries++) best = Math.min(best, await medianError());
    expect(best).toBeLessThanOrEqual(100_000);
  });

  test('asks the driver for each packet’s time when told to, and takes the kernel’s where it has none', async () => {
    const near = async (capture: Capture, frames: number) => {
      const before = BigInt(Date.now()) * 1_000_000n;
      const seen = await drain(capture);
      expect(seen).toHaveLength(frames);
      for (const { flags, timeNs } of seen) {
        expect(flags & PacketFlags.hardwareTime).toBe(0);
        expect(Math.abs(Number(BigInt(timeNs) - before)) / 1e9).toBeLessThan(30);
      }
    };
    await using capture = await start({ timestamp: 'hardware', filter: 'udp' });
    // veth's driver answers: with no time for frames of sockets, with an error for others.
    expect(capture.plan).toMatchObject({ mode: 'native, copy', filter: 'xdp', timestamp: 'kernel' });
    expect(capture.plan.notes.join()).toContain(`no hardware timestamps from ${rx}: Operation not supported`);
    const program = await run('bpftool', '-j', 'link', 'show', 'id', String(await linkOn(rx)));
    const { prog_id: id } = JSON.parse(program) as { prog_id: number };
    // The kernel has put the driver's own function there.
    expect(await run('bpftool', 'prog', 'dump', 'xlated', 'id', String(id))).toContain('veth_xdp_rx_timestamp');
    await sendRaw(tx, [packet(1), packet(2)]);
    await near(capture, 2);
    const { sent } = await send({ iface: tx, count: 64, method: 'xdp' });
    await near(capture, sent);
  });

  test('cannot ask the driver in generic mode, and says so', async () => {
    await using capture = await start({ timestamp: 'hardware', mode: 'generic' });
    expect(capture.plan).toMatchObject({ mode: 'generic, copy', timestamp: 'kernel' });
    expect(capture.plan.notes.join()).toContain('generic XDP cannot ask the driver');
    await sendRaw(tx, [packet(1)]);
    expect(await drain(capture)).toHaveLength(1);
    await ip('link', 'set', 'lo', 'up'); // the lab's own
    await using other = await open('afxdp:lo', { timestamp: 'hardware' });
    expect(other.plan).toMatchObject({ mode: 'generic, copy', timestamp: 'kernel' });
    expect(other.plan.notes.join()).toContain('no hardware timestamps');
  });

  test('takes the reader’s clock when asked', async () => {
    await using capture = await start({ timestamp: 'user' });
    expect(capture.plan.timestamp).toBe('user');
    await sendRaw(tx, [packet(1)]);
    await sleep(50);
    const before = BigInt(Date.now()) * 1_000_000n;
    const [seen] = await drain(capture);
    expect(seen!.timeNs).toBeGreaterThanOrEqual(before);
    expect(seen!.timeNs).toBeLessThan(BigInt(Date.now() + 1) * 1_000_000n);
  });

  test('merges all queues of an interface into one capture', async () => {
    await ip('link', 'delete', tx);
    await pair(4);
    await using capture = await start();
    // One sender per CPU, because veth takes the sender's CPU for the queue.
    const senders = [0, 1].map((core) => send({ iface: tx, count: 2000, rate: 20_000, core }));
    const seen = [0, 0, 0, 0];
    const sum = () => seen.reduce((sum, n) => sum + n);
    for (let patience = 20_000; ; patience = sum() < 4000 ? 20_000 : 200) {
      const batch = capture.nextSync(patience);
      if (batch === null) break;
      for (let i = 0; i < batch.length; i++) seen[batch.queue[i]!]!++;
    }
    await Promise.all(senders);
    expect(sum()).toBe(4000);
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
    const error = await failure(() => start({ queues: 9 }));
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

  test('ends the sending when its interface is deleted, and says so', async () => {
    const transmitter = await openTransmitter(`afxdp:${tx}`);
    await ip('link', 'delete', rx);
    const error = await failure(async () => {
      while (!transmitter.send(packet(1))) await transmitter.flush();
      await transmitter.flush();
    });
    expect(error).toMatchObject({ code: 'RINGTAP_INTERFACE_GONE', uri: `afxdp:${tx}` });
    expect(error.message).toMatch(new RegExp(`^afxdp:${tx}: (?!afxdp:)`));
    expect((await failure(() => transmitter.flush())).code).toBe('RINGTAP_INTERFACE_GONE');
    // What was not sent cannot be sent any more.
    expect((await failure(() => transmitter.close())).code).toBe('RINGTAP_INTERFACE_GONE');
  });

  test('gives up waiting for a queue when it is aborted, and leaves nothing behind', async () => {
    await using transmitter = await openTransmitter(`afxdp:${rx}`);
    const asked = performance.now();
    const reason = await start({ signal: AbortSignal.timeout(100) }).catch((error) => error);
    expect(reason.name).toBe('TimeoutError');
    expect(performance.now() - asked).toBeLessThan(1500); // it would wait for 2 s
    expect(await ip('link', 'show', 'dev', rx)).not.toContain('xdp');
    await transmitter.close();
    await using capture = await start();
    await sendRaw(tx, [packet(1)]);
    expect(await drain(capture)).toHaveLength(1);
  });

  test('has given its interface back when close() resolves, whatever processes are being started', async () => {
    let over = false;
    const starting = (async () => {
      while (!over) await once(spawn('true'), 'close');
    })();
    for (let i = 0; i < 60; i++) await (await start()).close();
    over = true;
    await starting;
  });

  test('ends with an error when its interface is deleted', async () => {
    await using capture = await start();
    const ended = failure(() => count(capture));
    await ip('link', 'delete', rx);
    expect(await ended).toMatchObject({ code: 'RINGTAP_INTERFACE_GONE' });
  });

  test.each(['native', 'generic'] as const)(
    'warns each time its interface goes down, and goes on when it is up again, in %s mode',
    async (mode) => {
      const told: string[] = [];
      const note = (warning: NodeJS.ErrnoException) => {
        if (warning.code === 'RINGTAP_INTERFACE_DOWN') told.push(warning.message);
      };
      process.on('warning', note);
      try {
        await using capture = await start({ mode });
        const reading = (async () => {
          for await (const _batch of capture);
        })();
        /** The kernel lets the sender through again only some time after the link is back. */
        const arrives = (what: string) => {
          const { delivered } = capture.stats();
          const tried = async () => {
            await sendRaw(tx, [packet(2)]).catch(() => {});
            return capture.stats().delivered > delivered;
          };
          return until(tried, what);
        };
        await arrives('a packet before');
        for (let cycle = 1; cycle <= 2; cycle++) {
          await ip('link', 'set', rx, 'down');
          await until(() => told.length === cycle, 'the warning');
          expect(told[cycle - 1]).toContain(`"${rx}" went down: `);
          await ip('link', 'set', rx, 'up');
          await arrives('a packet after');
        }
        if (mode === 'native') {
          // While nobody reads: what happens meanwhile is told together.
          const batch = `link set ${rx} down\nlink set ${rx} up\nlink set ${rx} down\nlink set ${rx} up\n`;
          execFileSync('ip', ['-batch', '-'], { input: batch });
          await until(() => told.length === 3, 'the warning of both');
          expect(told[2]).toContain(`"${rx}" went down 2 times: `);
          await arrives('a packet at last');
        }
        const { received, delivered } = capture.stats();
        expect(received).toBe(delivered);
        await capture.close();
        await reading;
      } finally {
        process.off('warning', note);
      }
    },
  );

  test.each(['native', 'generic'] as const)(
    'delivers what came before, then ends, when somebody removes its program in %s mode',
    async (mode) => {
      await using capture = await start({ mode });
      let packets = 0;
      const ended = failure(async () => {
        for await (const batch of capture) packets += batch.length;
      });
      await sendRaw(tx, [packet(1), packet(2)]);
      await run('bpftool', 'link', 'detach', 'id', String(await linkOn(rx)));
      const error = await ended;
      expect(error).toMatchObject({ code: 'RINGTAP_INTERFACE_CHANGED', uri: `afxdp:${rx}` });
      expect(error.message).toContain(`somebody removed the capture's XDP program on ${rx}`);
      expect(error.hint).toContain('bpftool net');
      expect(packets).toBe(2);
      await capture.close();
      await using next = await start({ mode });
      await sendRaw(tx, [packet(3)]);
      expect(await drain(next)).toHaveLength(1);
    },
  );

  test.each(['native', 'generic'] as const)(
    'delivers what came before, then ends, when somebody replaces its program in %s mode',
    async (mode) => {
      await using capture = await start({ mode });
      let packets = 0;
      const ended = failure(async () => {
        for await (const batch of capture) packets += batch.length;
      });
      await sendRaw(tx, [packet(1), packet(2)]);
      await run('python3', '-c', REPLACE, String(await linkOn(rx)));
      const error = await ended;
      expect(error).toMatchObject({ code: 'RINGTAP_INTERFACE_CHANGED', uri: `afxdp:${rx}` });
      expect(error.message).toContain(`somebody replaced the capture's XDP program on ${rx}`);
      expect(packets).toBe(2);
      await capture.close();
      expect(await ip('link', 'show', 'dev', rx)).not.toContain('xdp');
    },
  );

  test('keeps its program against ip link, which must not take it off', async () => {
    await using capture = await start();
    await expect(ip('link', 'set', 'dev', rx, 'xdp', 'off')).rejects.toThrow();
    await expect(run('bpftool', 'net', 'detach', 'xdpdrv', 'dev', rx)).rejects.toThrow();
    await sendRaw(tx, [packet(1)]);
    expect(await drain(capture)).toHaveLength(1);
  });

  test('ends with an error when its interface gets queues that it does not read', async () => {
    await ip('link', 'delete', tx);
    await pair(4);
    for (const iface of [tx, rx]) await run('ethtool', '-L', iface, 'rx', '2', 'tx', '2');
    await using capture = await start();
    const ended = failure(() => count(capture));
    await run('ethtool', '-L', rx, 'rx', '4');
    const error = await ended;
    expect(error.code).toBe('RINGTAP_INTERFACE_CHANGED');
    expect(error.message).toContain(`${rx} has 4 RX queues now, and all 2 that it had were captured`);
  });

  test('says that another AF_XDP socket has the queue', async () => {
    const transmitter = await openTransmitter(`afxdp:${rx}`);
    const error = await failure(() => start());
    expect(error).toMatchObject({ code: 'RINGTAP_BUSY', syscall: 'bind' });
    expect(error.message).toContain(`queue 0 of ${rx} is taken by another AF_XDP socket`);
    expect(await ip('link', 'show', 'dev', rx)).not.toContain('xdp');
    await transmitter.close();
    await using capture = await start();
    await sendRaw(tx, [packet(1)]);
    expect(await drain(capture)).toHaveLength(1);
  });

  test('says that a driver has no XDP, and does without it unless that was asked for', async () => {
    await ip('link', 'set', 'lo', 'up'); // the lab's own
    const error = await failure(() => open('afxdp:lo', { mode: 'native' }));
    expect(error.code).toBe('RINGTAP_UNSUPPORTED');
    expect(error.message).toContain('lo (native XDP): the driver cannot do it');
    await using capture = await open('afxdp:lo');
    expect(capture.plan.mode).toBe('generic, copy');
    expect(capture.plan.notes.join()).toContain('no native XDP');
  });

  test.each([
    ['native', 3700],
    ['generic', 3700],
    ['native', 9000],
    ['generic', 9000],
  ] as const)('takes frames of every size up to the MTU, in %s mode at %i bytes', async (mode, mtu) => {
    await ip('link', 'delete', tx);
    await pair(1, mtu);
    for (const frameBytes of [2048, 4096]) {
      await using capture = await start({ mode, frameBytes });
      const sizes = [18, 1400, 1800, 3400, 3550, mtu - 28].filter((size) => size <= mtu - 28);
      await sendRaw(
        tx,
        sizes.map((size) => packet(size, size)),
      );
      const seen = await drain(capture);
      expect(seen.map(({ data }) => data)).toEqual(sizes.map((size) => packet(size, size)));
    }
  });

  test('counts frames that became too big for its buffers while it ran', async () => {
    await using capture = await start({ mode: 'generic' });
    for (const iface of [tx, rx]) await ip('link', 'set', iface, 'mtu', '9000');
    await sendRaw(tx, [packet(1), packet(2, 8000), packet(3)]);
    expect(await drain(capture)).toHaveLength(2);
    expect(capture.stats()).toMatchObject({ received: 3, delivered: 2, dropped: 1, drops: { rxDropped: 1 } });
  });

  test.each([
    ['net_raw', 'CAP_NET_RAW'],
    ['net_admin,-sys_admin', 'CAP_NET_ADMIN'],
    ['bpf,-sys_admin', 'CAP_BPF'],
    ['net_raw,-net_admin,-bpf,-sys_admin', 'CAP_NET_RAW and CAP_NET_ADMIN and CAP_BPF'],
  ])('names the capability that is missing: without %s', async (without, named) => {
    const { message, code, hint } = await attempt('setpriv', '--bounding-set', `-${without}`);
    expect(code).toBe('RINGTAP_NO_PERMISSION');
    expect(message).toContain(named);
    expect(hint).toMatch(/--cap-add NET_RAW|Nothing that is started from here/);
  });

  test('needs CAP_PERFMON only for speed', async () => {
    const { plan } = await attempt('setpriv', '--bounding-set', '-perfmon,-sys_admin');
    expect(plan).toMatchObject({ filter: 'xdp-load-bytes', timestamp: 'kernel' });
    expect(plan!.filterReason).toContain('CAP_PERFMON');
  });

  test.each([
    ['1048576:8388608', ['RLIMIT_MEMLOCK was raised for packet memory', 'leaves room for 2048 frames']],
    ['8388608:8388608', ['RLIMIT_MEMLOCK (8388608 bytes) leaves room for 2048 frames: grant CAP_IPC_LOCK']],
  ])('makes do with a short RLIMIT_MEMLOCK of %s, and says how', async (limit, notes) => {
    const { plan, packets, limit: afterwards } = await attempt(...poor(limit));
    expect(afterwards).toBe('as before');
    for (const note of notes) expect(plan!.notes.join('\n')).toContain(note);
    expect(packets).toBe(3);
  });

  test('says what a hopeless RLIMIT_MEMLOCK is, and what to do', async () => {
    const { code, message, hint } = await attempt(...poor('65536:65536'));
    expect(code).toBe('RINGTAP_NO_MEMORY');
    expect(message).toContain('RLIMIT_MEMLOCK is 65536 bytes');
    expect(hint).toContain('CAP_IPC_LOCK');
    expect(hint).toContain('The least that it takes are 128 frames');
    const { packets } = await attemptOn(`afxdp:${rx}?frames=256`, ...poor('1048576:1048576'));
    expect(packets).toBe(3);
  });

  test('captures a tap device, natively', async () => {
    await ip('tuntap', 'add', 'dev', 'rttap', 'mode', 'tap');
    try {
      await ip('link', 'set', 'rttap', 'up');
      await using capture = await open('afxdp:rttap');
      expect(capture.plan.mode).toBe('native, copy');
      const frames = [packet(1), packet(2, 1400), packet(3)];
      await sendTap('rttap', frames);
      expect((await drain(capture)).map(({ data }) => data)).toEqual(frames);
      expect(capture.stats()).toMatchObject({ received: 3, delivered: 3, dropped: 0 });
    } finally {
      await ip('link', 'delete', 'rttap');
    }
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
    let full = 0;
    for (let i = 0; i < 5000; i++) {
      for (; !transmitter.send(packet(i & 1023)); full++) await transmitter.drain();
    }
    expect(full).toBeGreaterThan(0);
    await transmitter.drain();
    await transmitter.flush();
    expect(transmitter.stats()).toEqual({
      accepted: 5000,
      completed: 5000,
      queued: 0,
      zeroCopy: 0,
      failed: NO_FAILURES,
    });
    await transmitter.close();
    expect(await drain(other)).toHaveLength(5000);
    for (const call of [() => transmitter.send(packet(1)), () => transmitter.drain(), () => transmitter.flush()]) {
      expect((await failure(call)).message).toBe(`afxdp:${tx}: the transmitter was closed`);
    }

    await using capture = await open(`afxdp:${tx}`);
    expect(capture.transmit!.send(packet(9))).toBe(true);
    await capture.transmit!.flush();
    expect(await drain(other)).toHaveLength(1);
    const { transmit } = capture;
    for (const method of ['flush', 'drain'] as const) {
      const call = (given: unknown) => failure(() => transmit![method](given as object));
      expect(await call({ sgnal: 1 })).toMatchObject({
        code: 'RINGTAP_UNKNOWN_OPTION',
        message: `afxdp:${tx}: ${method}() has no option "sgnal"`,
      });
      for (const given of [AbortSignal.abort(), AbortSignal.timeout(5000), [], null, 5, 'x', { signal: 5 }]) {
        expect((await call(given)).code).toBe('RINGTAP_BAD_OPTION');
      }
    }
    for (const frame of [new Uint8Array(5), new DataView(new ArrayBuffer(60)), 'frame']) {
      expect(await failure(() => transmit!.send(frame as Uint8Array))).toMatchObject({
        code: 'RINGTAP_BAD_OPTION',
        message: expect.stringContaining(`afxdp:${tx}: `),
      });
    }
    await capture.close();
    expect((await failure(() => transmit!.send(packet(9)))).code).toBe('RINGTAP_CLOSED');
    for (const method of ['flush', 'drain'] as const) {
      expect(await failure(() => transmit![method]())).toMatchObject({
        code: 'RINGTAP_CLOSED',
        message: expect.stringContaining(`afxdp:${tx}: `),
      });
    }
    await transmit!.close();
  });

  test('is not available to the root of a user namespace, as probe() says', async () => {
    const { stdout } = await script(
      `import { probe } from 'ringtap';
       const { available, code, hint } = (await probe()).find(({ backend }) => backend === 'afxdp');
       console.log(available, code, hint);`,
      { prefix: ['unshare', '--user', '--map-root-user', '--net'] },
    );
    expect(stdout).toMatch(/^false RINGTAP_NO_PERMISSION .*user namespace/);
  });

  test('is explained without taking anything', async () => {
    const plan = await planOf(`afxdp:${rx}`, { filter: 'tcp' });
    expect(plan).toMatchObject({ backend: 'afxdp', filter: 'xdp', takesTraffic: true });
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
