// Mirrors: what the kernel's own vxlan device sends from another network namespace, and what is no packet in a tunnel.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { type Batch, type Capture, open, tunnelOf } from 'ringtap';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../support/child.js';
import { lab } from '../support/lab.js';
import { expectBalanced, failure, readAll } from '../support/packets.js';
import { bytes } from '../support/trace.js';
import { inside, insideIp, tzspHeader, vxlanHeader } from '../support/tunnels.js';
import { until, within } from '../support/wait.js';

async function sendTo(port: number, ...datagrams: Uint8Array[]): Promise<void> {
  const socket = createSocket('udp4');
  for (const datagram of datagrams) {
    await new Promise((resolve) => socket.send(datagram, port, '127.0.0.1', resolve));
  }
  socket.close();
}

async function batches(capture: Capture, packets: number): Promise<Batch[]> {
  const seen: Batch[] = [];
  const read = async () => {
    for await (const batch of capture) {
      seen.push(batch.copy());
      if (seen.reduce((sum, { length }) => sum + length, 0) >= packets) break;
    }
    return seen;
  };
  return within(read(), `reading ${capture.uri}`);
}

describe.skipIf(lab === null)('a mirror', () => {
  test('delivers what is inside, with VNI, source and the time of arrival; the rest is counted', async () => {
    await using capture = await open('vxlan://127.0.0.1:31789');
    expect(capture.plan).toMatchObject({ backend: 'mirror', mode: 'socket', timestamp: 'kernel' });
    const before = BigInt(Date.now()) * 1_000_000n - 1_000_000_000n;
    await sendTo(31789, Buffer.from('nothing'), bytes(vxlanHeader(4711), inside()), Buffer.alloc(0), bytes('00'));
    const [batch] = await batches(capture, 1);
    expect(Buffer.from(batch!.copy(0))).toEqual(inside());
    expect(tunnelOf(batch!, 0)).toMatchObject({
      kind: 'vxlan',
      id: 4711,
      source: '127.0.0.1',
      depth: 1,
      outerBytes: 8,
    });
    expect(batch!.timeNs(0)).toBeGreaterThan(before);
    await until(() => {
      capture.tryNext();
      return capture.stats().filtered === 3;
    }, 'what is no packet');
    expect(capture.stats()).toMatchObject({ received: 4, delivered: 1, filtered: 3, details: { notTunnels: 3 } });
    expectBalanced(capture.stats());
  });

  test('is filtered by what is inside and by the tunnel, and opens tunnels in it with decap', async () => {
    await using capture = await open('vxlan://127.0.0.1:31790', { filter: 'tunnel vni 2 and udp port 53' });
    await sendTo(
      31790,
      bytes(vxlanHeader(1), inside(53)),
      bytes(vxlanHeader(2), inside(54)),
      bytes(vxlanHeader(2), inside(53)),
    );
    const [batch] = await batches(capture, 1);
    expect(tunnelOf(batch!, 0)?.id).toBe(2);
    expect(capture.stats()).toMatchObject({ delivered: 1, filtered: 2 });
    await using nested = await open('geneve://127.0.0.1:31791?decap=auto');
    const { vxlan } = await import('../support/tunnels.js');
    await sendTo(31791, bytes('00006558 00000700', vxlan(9, inside(), '10.9.0.5')), bytes('00000800 00000700'));
    const [opened] = await batches(nested, 1);
    expect(tunnelOf(opened!, 0)).toMatchObject({ kind: 'vxlan', id: 9, depth: 2, outerBytes: 58, source: '10.9.0.5' });
  });

  test('tells the length of what was cut, and the link type of what has no link header', async () => {
    await using capture = await open('tzsp://127.0.0.1:31792');
    await sendTo(31792, bytes(tzspHeader(1500), inside().subarray(0, 40)), bytes('01 04 0000 01'));
    const [cut] = await batches(capture, 1);
    expect([cut!.caplen[0], cut!.wirelen[0]]).toEqual([40, 1500]);
    await using geneve = await open('geneve://127.0.0.1:31793');
    await sendTo(31793, bytes('000086dd 00000700', insideIp()), bytes('00006558 00000700', inside()));
    const [ip, ethernet] = await batches(geneve, 2);
    expect([ip!.linkType, ethernet!.linkType]).toEqual([101, 1]);
  });

  test('answers a load balancer while it is read', async () => {
    await using capture = await open('vxlan://127.0.0.1:31794', { healthPort: 31880 });
    const reading = readAll(capture, 1);
    for (let i = 0; i < 3; i++) {
      const socket = connect(31880, '127.0.0.1');
      await within(once(socket, 'close'), 'the health check');
    }
    expect(capture.stats().details).toMatchObject({ healthChecks: 3 });
    await sendTo(31794, bytes(vxlanHeader(1), inside()));
    await reading;
  });

  test('shares its port with others that share it, and with nobody else', async () => {
    await using one = await open('vxlan://127.0.0.1:31795?share=1');
    await using two = await open('vxlan://127.0.0.1:31795?share=1');
    expect(await failure(() => open('vxlan://127.0.0.1:31795'))).toMatchObject({
      code: 'RINGTAP_BUSY',
      hint: expect.stringContaining('share=1'),
    });
    const count = 64;
    for (let i = 0; i < count; i++) await sendTo(31795, bytes(vxlanHeader(i), inside()));
    await until(() => {
      one.tryNext();
      two.tryNext();
      return one.stats().delivered + two.stats().delivered === count;
    }, 'the packets');
    expect(one.stats().delivered).toBeGreaterThan(0);
    expect(two.stats().delivered).toBeGreaterThan(0);
  });

  test.each([
    ['vxlan://127.0.0.1:0', 'RINGTAP_BAD_URI', 'port from 1 to 65535'],
    ['vxlan://127.0.0.1:70000', 'RINGTAP_BAD_URI', 'port from 1 to 65535'],
    ['vxlan://sensor.example', 'RINGTAP_BAD_URI', 'no address in numbers'],
    ['vxlan://[::1', 'RINGTAP_BAD_URI', 'lacks a ]'],
    ['gre://0.0.0.0:47', 'RINGTAP_BAD_URI', 'no ports'],
    ['erspan://0.0.0.0?share=3', 'RINGTAP_UNSUPPORTED', 'no ports'],
    ['vxlan://192.0.2.77', 'RINGTAP_SYSTEM', 'cannot be received at'],
  ])('%s is refused: %s', async (uri, code, words) => {
    const refused = await failure(() => open(uri));
    expect(refused).toMatchObject({ code, message: expect.stringContaining(words) });
  });
});

describe.skipIf(lab === null)("the kernel's vxlan device as the mirror", () => {
  let other: ChildProcess;
  const inOther = (...command: string[]) => ['nsenter', '-t', String(other.pid), '-n', ...command] as const;
  const run = ([program, ...args]: readonly string[]) => execFileSync(program!, args, { stdio: 'pipe' });

  beforeAll(async () => {
    other = spawn('unshare', ['-n', 'sleep', '120'], { stdio: 'ignore' });
    await until(
      () =>
        execFileSync('readlink', [`/proc/${other.pid}/ns/net`]).compare(
          execFileSync('readlink', ['/proc/self/ns/net']),
        ) !== 0,
      'the other namespace',
    );
    run(['ip', 'link', 'add', 'mi0', 'type', 'veth', 'peer', 'name', 'mi1', 'netns', String(other.pid)]);
    run(['ip', 'address', 'add', '10.77.0.1/24', 'dev', 'mi0']);
    run(['ip', 'link', 'set', 'mi0', 'up', 'mtu', '2000']);
    run(inOther('ip', 'address', 'add', '10.77.0.2/24', 'dev', 'mi1'));
    run(inOther('ip', 'link', 'set', 'mi1', 'up', 'mtu', '2000'));
    const device = ['type', 'vxlan', 'id', '42', 'remote', '10.77.0.1', 'local', '10.77.0.2', 'dstport', '4789'];
    run(inOther('ip', 'link', 'add', 'vx0', ...device, 'dev', 'mi1'));
    run(inOther('ip', 'link', 'set', 'vx0', 'up'));
  });
  // The devices go with the namespace.
  afterAll(() => other.kill());

  test('sends the same frames to a socket and past a capture that opens tunnels', async () => {
    const count = 500;
    const filter = 'udp and tunnel vni 42';
    await using mirror = await open('vxlan://10.77.0.1:4789', { filter });
    await using tap = await open('afpacket:mi0', { decap: ['vxlan'], decapOthers: 'drop', filter });
    run(inOther(`${root}build/addon/bin/ringtap-pktgen`, '--iface', 'vx0', '--count', String(count), '--size', 'imix'));
    const seen = await readAll(mirror, count);
    const tapped = await readAll(tap, count);
    expect(seen).toHaveLength(count);
    expect(tapped.map(({ data }) => data.toString('hex'))).toEqual(seen.map(({ data }) => data.toString('hex')));
    expect(seen.every(({ data, wirelen }) => data.length === wirelen)).toBe(true);
    for (const capture of [mirror, tap]) expectBalanced(capture.stats());
    expect(mirror.stats().drops.ring).toBe(0);
  });
});
