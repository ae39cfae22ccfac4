// What interfaces do while they are captured, and what is asked of them.
import { spawn } from 'node:child_process';
import { type Capture, explain, LINKTYPE, type OpenOptions, open, PacketFlags } from 'ringtap';
import { afterEach, describe, expect, test } from 'vitest';
import { run, script } from '../support/child.js';
import { refusalOf } from '../support/explain.js';
import { lab, send } from '../support/lab.js';
import { drain, expectBalanced, failure, readAll, type Seen, see } from '../support/packets.js';
import { sendRaw } from '../support/raw.js';
import { bytes, ethernet, ipv4, udp } from '../support/trace.js';
import { best, sleep, until, within } from '../support/wait.js';

const { rx, tx } = lab ?? { rx: '', tx: '' };
const ip = (...args: string[]) => run('ip', ...args);
const packet = (port: number, length = 18) =>
  ethernet(0x0800, ipv4({ protocol: 17 }, udp(port, 40001, Buffer.alloc(length))));
const port = ({ data }: Seen, at = 34) => data.readUInt16BE(at);

/** A pair of interfaces for one test. */
let made = 0;
const pairs: string[] = [];
async function pair(): Promise<[string, string]> {
  const names: [string, string] = [`tx${++made}`, `rx${made}`];
  await ip('link', 'add', names[0], 'type', 'veth', 'peer', 'name', names[1]);
  for (const name of names) await ip('link', 'set', name, 'up');
  pairs.push(names[0]);
  return names;
}

afterEach(async () => {
  for (const name of pairs.splice(0)) await ip('link', 'delete', name).catch(() => {});
});

/** Reads on in the background, and tells what the reading ended with. */
function follow(capture: Capture) {
  const seen: Seen[] = [];
  const loop = async () => {
    for await (const batch of capture) seen.push(...see(batch));
  };
  const ended = failure(loop);
  ended.catch(() => {});
  return { seen, ended };
}

describe.skipIf(lab === null).each(['afpacket', 'pcap'])('%s', (method) => {
  const start = (name: string, options?: OpenOptions) => open(`${method}:${name}`, options);

  test.each([
    ['in', [1]],
    ['out', [2]],
    ['both', [1, 2]],
  ] as const)('captures direction %s', async (direction, ports) => {
    await using capture = await start(rx, { direction });
    await sendRaw(tx, [packet(1)]);
    await sendRaw(rx, [packet(2)]);
    const seen = await drain(capture);
    expect(seen.map((one) => port(one))).toEqual(ports);
    if (method === 'afpacket' || direction === 'out') {
      for (const one of seen) expect(one.flags & PacketFlags.outgoing).toBe(port(one) === 2 ? PacketFlags.outgoing : 0);
    }
    expect(capture.stats()).toMatchObject({ received: ports.length, delivered: ports.length });
  });

  test('cuts to snaplen, with and without a filter, and says how long packets were', async () => {
    for (const filter of [undefined, 'udp', 'udp or vlan']) {
      await using capture = await start(rx, { snaplen: 60, filter });
      await sendRaw(tx, [packet(1, 200), packet(2, 18), ethernet(0x0800, packet(3, 100).subarray(14), [[0x8100, 5]])]);
      const seen = await drain(capture);
      const expected = [
        [60, 242],
        [60, 60],
        [60, 146],
      ];
      expect(seen.map(({ data, wirelen }) => [data.length, wirelen])).toEqual(
        filter === 'udp' ? expected.slice(0, 2) : expected,
      );
    }
  });

  test('asks for promiscuous mode unless told not to', async () => {
    const flags = async () =>
      Number((JSON.parse(await ip('-d', '-j', 'link', 'show', 'dev', rx)) as [{ promiscuity: number }])[0].promiscuity);
    {
      await using _ = await start(rx, { promiscuous: false });
      expect(await flags()).toBe(0);
    }
    const capture = await start(rx);
    expect(await flags()).toBe(1);
    await capture.close();
    expect(await flags()).toBe(0);
  });

  test('is explained without touching the interface', async () => {
    const [, mine] = await pair();
    const monitor = spawn('ip', ['-d', 'monitor', 'link'], { stdio: ['ignore', 'pipe', 'inherit'] });
    let seen = '';
    monitor.stdout.on('data', (chunk) => {
      seen += chunk;
    });
    const fence = async (number: number) => {
      await ip('link', 'set', mine, 'mtu', String(number));
      await until(() => seen.includes(`mtu ${number}`), 'the monitor');
    };
    try {
      let mtu = 2000; // another one each time: what was set before the monitor listened is not told again
      await until(async () => {
        await ip('link', 'set', mine, 'mtu', String(mtu++));
        return seen !== '';
      }, 'the monitor');
      seen = '';
      expect(await explain(`${method}:${mine}`)).toMatchObject({ ok: true });
      await fence(1401);
      expect(seen).not.toMatch(/promiscuity [1-9]/);
      await (await start(mine)).close();
      await fence(1402);
      expect(seen).toMatch(/promiscuity [1-9]/);
    } finally {
      monitor.kill();
    }
  });

  test('captures frames of a tun device as raw IP', async () => {
    const holder = `tun${++made}`;
    await ip('tuntap', 'add', 'dev', holder, 'mode', 'tun');
    pairs.push(holder);
    await ip('address', 'add', '10.99.0.1/24', 'dev', holder);
    await ip('link', 'set', holder, 'up');
    // A tun device without a program behind it has no carrier: attach one.
    const python = `
import fcntl, socket, struct, time
tun = open('/dev/net/tun', 'r+b', buffering=0)
fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH', b'${holder}', 0x1001))
time.sleep(0.3)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range(20):
    s.sendto(b'hello', ('10.99.0.2', 4242)); time.sleep(0.05)
`;
    const capture = await start(holder);
    const running = run('python3', '-c', python);
    const seen = await readAll(capture, 3);
    expect(capture.linkType).toBe(method === 'afpacket' ? 101 : capture.linkType);
    expect([12, 101, 228]).toContain(capture.linkType);
    expect(seen[0]!.data[0]).toBe(0x45);
    expect(port(seen[0]!, 22)).toBe(4242);
    await capture.close();
    await running;
  });

  test('captures every interface as any, cooked', async () => {
    await using capture = await start('any', { filter: 'udp' });
    await sendRaw(tx, [packet(1234)]);
    const seen = (await drain(capture)).filter(({ data }) => data.includes(Buffer.from('04d2', 'hex')));
    expect(capture.linkType).toBe(LINKTYPE.LINUX_SLL2);
    const header = 20;
    // Once on its way out, once on its way in.
    expect(seen).toHaveLength(2);
    for (const { data, wirelen } of seen) {
      expect(data.subarray(header, header + 1).toString('hex')).toBe('45');
      expect(data.readUInt16BE(header + 20)).toBe(1234);
      expect(wirelen).toBe(packet(1234).length - 14 + header);
      expect(data.readUInt16BE(0)).toBe(0x0800);
    }
    // libpcap does not tell which interface a packet came through.
    expect(new Set(seen.map(({ data }) => data.readUInt32BE(4))).size).toBe(method === 'afpacket' ? 2 : 1);
  });

  test('gives every packet, then RINGTAP_INTERFACE_DOWN, when the interface goes down', async () => {
    const [from, to] = await pair();
    await using capture = await start(to, { timeoutMs: 200 });
    const { seen, ended } = follow(capture);
    await send({ iface: from, count: 5000, rate: 100_000 });
    await until(() => capture.stats().received === 5000, 'the last packet');
    await ip('link', 'set', to, 'down');
    const error = await ended;
    expect(error).toMatchObject({ code: 'RINGTAP_INTERFACE_DOWN', backend: method, uri: capture.uri });
    expect(error.message).toContain(to);
    expect(seen).toHaveLength(5000);
    expect(capture.stats()).toMatchObject({ received: 5000, delivered: 5000, dropped: 0, pending: 0 });
  });

  test('gives every packet, then RINGTAP_INTERFACE_GONE, when the interface is removed', async () => {
    const [from, to] = await pair();
    await using capture = await start(to, { timeoutMs: 200 });
    const { seen, ended } = follow(capture);
    await send({ iface: from, count: 5000, rate: 100_000 });
    await until(() => capture.stats().received === 5000, 'the last packet');
    expect(capture.ended).toBe(false);
    await ip('link', 'delete', to);
    const error = await ended;
    expect(capture.ended).toBe(true);
    expect(error).toMatchObject({ code: 'RINGTAP_INTERFACE_GONE', backend: method, uri: capture.uri });
    expect(error.message).toContain(to);
    expect(seen).toHaveLength(5000);
    expectBalanced(capture.stats());
    await within(capture.close(), 'close()');
  });

  test('tells readers that do not wait on the event loop, too', async () => {
    const [, to] = await pair();
    await using capture = await start(to);
    await ip('link', 'set', to, 'down');
    const error = await failure(() => {
      const deadline = performance.now() + 20_000;
      while (performance.now() < deadline) capture.nextSync(50);
    });
    expect(error.code).toBe('RINGTAP_INTERFACE_DOWN');
    expect(capture.ended).toBe(true);
  });

  test('that nobody sends on has not ended; a loop that waits for it rejects with its signal’s reason at once', async () => {
    const [, to] = await pair();
    const abort = async () => {
      const controller = new AbortController();
      const capture = await start(to, { signal: controller.signal });
      while (capture.tryNext() !== null);
      expect(capture.ended).toBe(false);
      const loop = async () => {
        for await (const _ of capture);
      };
      const ended = expect(loop()).rejects.toBe('enough');
      await sleep(50);
      const asked = performance.now();
      controller.abort('enough');
      await ended;
      expect(capture.ended).toBe(true);
      return performance.now() - asked;
    };
    expect(await best(50, abort)).toBeLessThan(50);
  });

  test('goes on when the interface is renamed', async () => {
    const [from, to] = await pair();
    await using capture = await start(to);
    await send({ iface: from, count: 10, rate: 10_000 });
    await ip('link', 'set', to, 'name', `${to}b`);
    await send({ iface: from, count: 10, rate: 10_000 });
    expect(await drain(capture)).toHaveLength(20);
  });

  test('refuses an interface that is down', async () => {
    const [, to] = await pair();
    await ip('link', 'set', to, 'down');
    const error = await failure(() => start(to));
    expect(error).toMatchObject({ code: 'RINGTAP_INTERFACE_DOWN', uri: `${method}:${to}` });
    expect(error.message).toContain(to);
    expect(error.hint).toContain(`ip link set dev ${to} up`);
  });

  test('refuses an interface that does not exist, and names the nearest', async () => {
    const error = await failure(() => start('rt11'));
    expect(error).toMatchObject({ code: 'RINGTAP_NO_INTERFACE', uri: `${method}:rt11`, backend: method });
    expect(error.message).toContain('rt11');
    expect(error.hint).toContain('Did you mean "rt1"');
    const explained = await refusalOf(`${method}:rt11`);
    expect(explained.error.code).toBe('RINGTAP_NO_INTERFACE');
    expect(explained.candidates[0]).toMatchObject({ chosen: false, code: 'RINGTAP_NO_INTERFACE' });
  });

  test.each(['x'.repeat(200), '../rt1', 'rt1 ', 'é'])('refuses %s', async (name) => {
    expect((await failure(() => start(name))).code).toBe('RINGTAP_NO_INTERFACE');
  });

  test('without CAP_NET_RAW says which right is missing and how to get it', async () => {
    const { stdout, stderr } = await script(
      `import { open } from 'ringtap';
       for (const uri of ['${method}:${rx}', '${rx}']) {
         const { code, message, hint } = await open(uri).catch((error) => error);
         console.log(JSON.stringify({ code, text: message + ' ' + hint }));
       }`,
      { prefix: ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--securebits=+noroot'] },
    );
    expect(stderr).toBe('');
    const results = stdout
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { code: string; text: string });
    expect(results).toHaveLength(2);
    for (const { code, text } of results) {
      expect(code).toBe('RINGTAP_NO_PERMISSION');
      expect(text).toContain('CAP_NET_RAW');
      // Nothing that it starts can have it: it is no use to grant it to node.
      expect(text).toMatch(/--cap-add NET_RAW|Nothing that is started from here/);
    }
  });

  test('runs its filter in the kernel, and says so', async () => {
    await using capture = await start(rx, { filter: 'udp port 7777' });
    expect(capture.plan.filter).toBe('kernel');
    await sendRaw(tx, [packet(7777), packet(1)]);
    expect(await drain(capture)).toHaveLength(1);
    // What the kernel rejects was never received.
    expect(capture.stats()).toMatchObject({ received: 1, filtered: 0 });
  });

  test('may be left open and forgotten while traffic goes on', async () => {
    const [from, to] = await pair();
    await using capture = await start(to);
    await send({ iface: from, count: 1000, rate: 100_000 });
    await until(() => capture.stats().received === 1000, 'all received');
    expect(capture.stats()).toMatchObject({ delivered: 0, pending: 1000 });
    await capture.close();
    expect(capture.stats()).toMatchObject({ received: 1000, delivered: 0, pending: 1000 });
  });
});

describe.skipIf(lab === null)('afpacket', () => {
  test('captures the loopback once', async () => {
    await using capture = await open('afpacket:lo', { filter: 'udp port 4321' });
    await run(
      'python3',
      '-c',
      "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x' * 30, ('127.0.0.1', 4321))",
    );
    const seen = await drain(capture);
    expect(seen).toHaveLength(1);
    expect(capture.linkType).toBe(1);
  });

  test.each([100_000, 65537])('refuses blockBytes of %i', async (blockBytes) => {
    expect((await failure(() => open(`afpacket:${rx}`, { blockBytes }))).code).toBe('RINGTAP_BAD_OPTION');
  });

  test('fills whole blocks with large frames', async () => {
    await using capture = await open(`afpacket:${rx}`, { bufferBytes: 1 << 20, blockBytes: 65536 });
    const frames = Array.from({ length: 30 }, (_, i) => bytes(packet(i, 1400)));
    await sendRaw(tx, frames);
    expect((await drain(capture)).map(({ data }) => data.toString('hex'))).toEqual(
      frames.map((frame) => frame.toString('hex')),
    );
  });
});

test('afpacket: tells that the interface went down although JavaScript has hidden packets in the ring', async () => {
  const [from, to] = await pair();
  await using capture = await open(`afpacket:${to}`, { blockBytes: 65536, batchSize: 8, fallback: false });
  await send({ iface: from, count: 2000 });
  await until(() => capture.stats().received === 2000, 'the last packet');
  const first = capture.tryNext()!;
  first.view.setUint32(65536 + 12, 1, true); // the next block has one packet
  const { ended } = follow(capture);
  await ip('link', 'set', to, 'down');
  expect(await within(ended, 'the end')).toMatchObject({ code: 'RINGTAP_INTERFACE_DOWN' });
  expect(capture.stats().pending).toBeGreaterThan(0);
  expectBalanced(capture.stats());
});
