// DPDK's virtual devices through the public API: each with exact counts against its sender.
import { existsSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type Batch, type Capture, type DpdkOptions, explain, open, openTransmitter } from 'ringtap';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { run, script as runScript, type ScriptOptions } from '../support/child.js';
import { hugePagesMissing, reserveHugePages } from '../support/hugepages.js';
import { lab, send } from '../support/lab.js';
import { drain, expectBalanced, failure, NO_FAILURES, readAll } from '../support/packets.js';
import { numberedTrace } from '../support/subjects.js';
import { ethernet, ipv4, udp } from '../support/trace.js';
import { sleep, until } from '../support/wait.js';

/** DPDK takes a while to start on a busy machine. */
const script = (source: string, options: ScriptOptions = {}) => runScript(source, { timeoutMs: 60_000, ...options });
const few = { mbufs: 16384 } satisfies DpdkOptions;
const ip = (...args: string[]) => run('ip', ...args);
const frame = (port: number, payload = Buffer.alloc(18)) =>
  ethernet(0x0800, ipv4({ protocol: 17 }, udp(40001, port, payload)));
const program = (body: string) => `import { open, explain } from 'ringtap'; ${body}`;
const tell = 'const tell = (error) => console.log(error.code, error.message);';

/** A PCI network card of this host's that the kernel has: opening it must be refused before DPDK sees it. */
const kernelsNic = (() => {
  const folder = '/sys/bus/pci/devices';
  try {
    return readdirSync(folder).find((address) => {
      if (!readFileSync(join(folder, address, 'class'), 'utf8').startsWith('0x02')) return false;
      return !/^(vfio-pci|uio_pci_generic|igb_uio|mlx|mana)/.test(
        basename(readlinkSync(join(folder, address, 'driver'))),
      );
    });
  } catch {
    return undefined;
  }
})();

describe('dpdk', () => {
  let capture: Capture | undefined;
  const start = async (target: string, options: DpdkOptions = {}): Promise<Capture> => {
    capture = await open(`dpdk:${target}`, { ...few, ...options });
    return capture;
  };
  afterEach(async () => {
    await capture?.close();
    capture = undefined;
  });

  /** Sends frames with destination ports 1, 2, … through the capture's own port. */
  async function transmit(through: Capture, count: number): Promise<void> {
    const { transmit: transmitter } = through;
    for (let i = 1; i <= count; i++) {
      while (!transmitter!.send(frame(i))) await transmitter!.flush();
    }
    await transmitter!.flush();
    expect(transmitter!.stats()).toEqual({
      accepted: count,
      completed: count,
      queued: 0,
      zeroCopy: 0,
      failed: NO_FAILURES,
    });
  }

  /** In a process of its own, as the two share memory by file: in huge pages that takes other arguments. */
  async function virtioAndVhost(options: Record<string, string>): Promise<void> {
    const folder = mkdtempSync(join(tmpdir(), 'ringtap-vhost-'));
    const body = `import { open } from 'ringtap';
      const options = ${JSON.stringify({ mbufs: 4096, ...options })};
      const at = '${folder}/socket';
      const vhost = await open('dpdk:net_vhost0?devargs=queues=1', { ...options, unsafeDevargs: 'iface=' + at });
      const user = await open('dpdk:net_virtio_user0?devargs=queues=1', { ...options, unsafeDevargs: 'path=' + at });
      for (const [sender, reader] of [[vhost, user], [user, vhost]]) {
        const numbers = [];
        const reading = (async () => {
          for await (const { length, view, offset } of reader) {
            for (let i = 0; i < length; i++) numbers.push(view.getUint32(offset[i] + 14));
            if (numbers.length >= 2000) break;
          }
        })();
        const frame = Buffer.alloc(60, 0xff);
        for (let i = 0; i < 2000; i++) {
          frame.writeUInt32BE(i, 14);
          while (!sender.transmit.send(frame)) await sender.transmit.flush();
        }
        while (sender.transmit.stats().queued > 0) await sender.transmit.flush();
        await reading;
        const { received, delivered, dropped } = reader.stats();
        console.log(numbers.every((n, i) => n === i), numbers.length, received, delivered, dropped);
      }
      await user.close();
      await vhost.close();`;
    try {
      const line = 'true 2000 2000 2000 0\n';
      expect(await script(body)).toMatchObject({ code: 0, stdout: line + line, stderr: '' });
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  test('net_null: packets without end, none lost uncounted', async () => {
    const from = await start('net_null0', { filter: 'less 64' });
    expect(from.plan).toMatchObject({ backend: 'dpdk', mode: 'zero-copy', filter: 'user', timestamp: 'user' });
    const seen = await readAll(from, 10_000);
    expect(seen.every(({ wirelen }) => wirelen === 64)).toBe(true);
    await from.close();
    expectBalanced(from.stats());
    expect(from.stats().drops.nic).toBeNull();
  });

  test('net_ring: what is sent comes back, byte for byte', async () => {
    const from = await start('net_ring0');
    const reading = readAll(from, 1000);
    await transmit(from, 1000);
    const seen = await reading;
    expect(seen.map(({ data }) => data.equals(frame(data.readUInt16BE(36))))).not.toContain(false);
    expect(seen.map(({ data }) => data.readUInt16BE(36))).toEqual(Array.from({ length: 1000 }, (_, i) => i + 1));
  });

  test('net_pcap reads a trace with its times', async () => {
    const from = await start(`net_pcap0?rx_pcap=${numberedTrace(5000)}`);
    expect(from.plan.timestamp).toBe('file');
    const seen = await readAll(from, 5000);
    expect(seen.map(({ data }) => Number(data.readBigUInt64BE(42)))).toEqual(Array.from({ length: 5000 }, (_, i) => i));
    // pcap's microseconds.
    expect(seen[4321]!.timeNs).toBe(1_700_000_000_000_004_000n);
    expect(from.stats()).toMatchObject({ received: 5000, delivered: 5000, dropped: 0, pending: 0 });
  });

  test('one filter means the same here and in libpcap', async () => {
    const trace = numberedTrace(5000);
    for (const filter of ['udp src port 49153', 'udp src port 49153 or greater 2000', 'udp[0] & 1 != 0']) {
      const expected = await readAll(await open(`file:${trace}`, { filter }));
      const from = await start(`net_pcap0?rx_pcap=${trace}`, { filter });
      await until(() => from.stats().received === 5000, 'the whole trace');
      const seen = await drain(from);
      expect(seen.map(({ data }) => data.toString('hex'))).toEqual(expected.map(({ data }) => data.toString('hex')));
      expect(from.stats()).toMatchObject({ filtered: 5000 - expected.length, dropped: 0 });
      await from.close();
    }
  });

  test('net_tap: frames sent appear on its interface', async () => {
    const from = await start('net_tap0?iface=dtap7');
    await ip('link', 'set', 'dtap7', 'up');
    await using kernel = await open('afpacket:dtap7', { filter: 'udp' });
    await transmit(from, 200);
    expect(await readAll(kernel, 200)).toHaveLength(200);
  });

  test('net_memif: from one port to the other', async () => {
    const unsafeDevargs = 'socket-abstract=no,socket=/tmp/ringtap-memif.sock';
    const server = await open('dpdk:net_memif0?role=server&id=0', { ...few, unsafeDevargs });
    try {
      const from = await start('net_memif1?role=client&id=0', { unsafeDevargs });
      const reading = readAll(from, 500);
      // Until the two have met, frames are not taken.
      await until(() => server.transmit!.send(frame(1)) || true, 'a frame');
      for (let i = 2; i <= 500; i++) while (!server.transmit!.send(frame(i))) await server.transmit!.flush();
      await server.transmit!.flush();
      expect((await reading).map(({ data }) => data.readUInt16BE(36))).toEqual(
        Array.from({ length: 500 }, (_, i) => i + 1),
      );
    } finally {
      await server.close();
    }
  });

  test('virtio_user and vhost: from one to the other, both ways', () => virtioAndVhost({ hugePages: 'off' }));

  test('several queues are all read, and xstats counts them as the driver does', async () => {
    const from = await start('net_null0', { queues: '0-3', xstats: true });
    const queues = new Set<number>();
    await until(() => {
      const batch = from.tryNext();
      for (let i = 0; batch !== null && i < batch.length; i++) queues.add(batch.queue[i]!);
      return queues.size === 4;
    }, 'packets of four queues');
    expect([...queues].sort()).toEqual([0, 1, 2, 3]);
    // Packets keep coming between two looks: the driver's count lies between ours before and after it.
    const [before, { details }, after] = [from.stats(), from.stats(), from.stats()];
    const inFlight = 1024; // bursts that the driver has handed out, and the polling thread not counted yet
    expect(details.rx_good_packets).toBeGreaterThanOrEqual(before.received);
    expect(details.rx_good_packets).toBeLessThanOrEqual(after.received + inFlight);
    const each = [0, 1, 2, 3].map((queue) => details[`rx_q${queue}_packets`] ?? 0);
    expect(each.every((count) => count > 0)).toBe(true);
  });

  test('a driver without RSS is said to have none', async () => {
    const [one, two] = [numberedTrace(1000), numberedTrace(2000)];
    const from = await start(`net_pcap0?rx_pcap=${one}&devargs=rx_pcap=${two}`, { queues: [0, 1] });
    expect(from.plan.notes.join()).toMatch(/net_pcap has no RSS/);
    const seen = await readAll(from, 3000);
    expect(seen).toHaveLength(3000);
  });

  describe.skipIf(lab === null)('on an interface', () => {
    test.each([
      ['net_af_xdp0?iface=IFACE', 'copy'],
      ['net_af_packet0?iface=IFACE&blocksz=4096&framesz=2048&framecnt=65536', 'zero-copy'],
      ['net_pcap0?iface=IFACE', 'zero-copy'],
    ])('%s receives exactly what was sent', async (target, mode) => {
      const from = await start(target.replace('IFACE', lab!.rx), { filter: 'udp', mbufs: 65536 });
      expect(from.plan.mode).toBe(mode);
      const reading = readAll(from, 5000);
      // In portions that the kernel's own buffer holds, however late the polling thread gets its turn.
      for (let sent = 500; sent <= 5000; sent += 500) {
        await send({ count: 500 });
        await until(() => from.stats().delivered + from.stats().pending >= sent, `${sent} packets`);
      }
      await reading;
      expect(await drain(from)).toHaveLength(0);
      expect(from.stats()).toMatchObject({ delivered: 5000, dropped: 0, pending: 0 });
    });

    test.each(['net_af_packet0', 'net_af_xdp0'])(
      '%s passes on the memory that packets came in, changed as it should be, and has all of it back',
      async (device) => {
        await using there = await open(`afpacket:${lab!.tx}`, { direction: 'in', filter: 'udp or vlan' });
        const from = await start(`${device}?iface=${lab!.rx}`, { mbufs: 1024, filter: 'udp', batchSize: 64 });
        await using sender = await openTransmitter(`afpacket:${lab!.tx}`);
        const transmitter = from.transmit!;
        const held: Batch[] = [];
        const packets = Array.from({ length: 64 }, (_, i) => frame(i + 1, Buffer.alloc(18 + i, i)));
        const rewrite = { srcMac: '02:bb:00:00:00:01', ttl: 'decrement' } as const;
        const wanted: string[] = [];
        for (let round = 0; round < 20; round++) {
          sender.sendBatch(packets);
          for (let seen = 0; seen < packets.length; ) {
            const batch = from.nextSync(5000)!;
            for (let done = 0; done < batch.length; ) {
              done += transmitter.forward(batch, { rewrite, from: done });
              if (done < batch.length) await transmitter.drain();
            }
            await transmitter.flush();
            for (let i = 0; i < batch.length; i++) {
              const sent = Buffer.from(batch.copy(i));
              expect(sent.subarray(6, 12).toString('hex')).toBe('02bb00000001');
              expect(sent[22]).toBe(packets[seen + i]![22]! - 1);
              expect(sent.subarray(26)).toEqual(packets[seen + i]!.subarray(26));
              wanted.push(sent.toString('hex'));
            }
            seen += batch.length;
            if (round % 8 === 0 && held.length < 2) held.push(batch.hold());
          }
          if (round % 8 === 4) for (const batch of held.splice(0)) batch.release();
        }
        for (const batch of held) batch.release();
        const seen = (await readAll(there, wanted.length)).map(({ data }) => data.toString('hex'));
        expect(seen).toEqual(wanted);
        expect(transmitter.stats()).toMatchObject({ completed: 1280, zeroCopy: 1280, failed: NO_FAILURES });
        sender.sendBatch(packets, { count: 1 });
        const batch = from.nextSync(5000)!;
        expect(transmitter.forward(batch, { select: [0, 0], rewrite: { vlanPush: 5 } })).toBe(2);
        await transmitter.flush();
        const tagged = (await readAll(there, 2)).map(({ data }) => data.toString('hex'));
        const plain = packets[0]!.toString('hex');
        const tag = '81000005';
        expect(tagged).toEqual([1, 2].map((tags) => plain.slice(0, 24) + tag.repeat(tags) + plain.slice(24)));
        expect(transmitter.stats()).toMatchObject({ completed: 1282, zeroCopy: 1281 });
      },
    );

    test.each(['net_af_packet0', 'net_af_xdp0', 'net_pcap0'])(
      '%s leaves promiscuous mode with its capture',
      async (device) => {
        const isPromiscuous = async () => {
          const [link] = JSON.parse(await ip('-d', '-j', 'link', 'show', 'dev', lab!.rx)) as [
            { promiscuity: number; flags: string[] },
          ];
          return link.promiscuity > 0 || link.flags.includes('PROMISC');
        };
        const from = await start(`${device}?iface=${lab!.rx}`, { mbufs: 4096 });
        expect(await isPromiscuous()).toBe(true);
        await from.close();
        expect(await isPromiscuous()).toBe(false);
      },
    );

    test('net_af_xdp gives its queue back, and prints nothing', async () => {
      const body = `import { open } from 'ringtap';
        for (let i = 0; i < 3; i++) await (await open('dpdk:net_af_xdp0?iface=${lab!.rx}', { mbufs: 4096 })).close();
        const other = await open('afxdp:${lab!.rx}', { fallback: false });
        console.log(other.backend);
        await other.close();`;
      // Ours warns that afxdp: takes the traffic; what drivers print is no warning of Node's.
      const flags = ['--no-warnings'];
      expect(await script(body, { flags })).toMatchObject({ code: 0, stdout: 'afxdp\n', stderr: '' });
    });

    test('a port that waits for its queue keeps no other port waiting, and can be given up', async () => {
      await using _ = await open(`afxdp:${lab!.rx}`, { fallback: false });
      const target = `dpdk:net_af_xdp0?iface=${lab!.rx}`;
      // It waits for two seconds: on a busy machine the other one may not always be sooner.
      let wasSooner = false;
      for (let i = 0; i < 3 && !wasSooner; i++) {
        const controller = new AbortController();
        let ended = false;
        const opening = open(target, { ...few, signal: controller.signal }).catch((error) => error);
        void opening.then(() => {
          ended = true;
        });
        await sleep(200);
        await (await open('dpdk:net_null0', few)).close();
        wasSooner = !ended;
        const reason = new Error('given up');
        controller.abort(reason);
        if (wasSooner) expect(await opening).toBe(reason);
        // Until then its name is taken.
        await until(async () => {
          const explained = await explain(target as `dpdk:${string}`, few);
          return explained.ok || !explained.error.message.includes('another capture');
        }, 'its end');
      }
      expect(wasSooner).toBe(true);
    });

    test('an interface that is removed ends the capture', async () => {
      await ip('link', 'add', 'dx0', 'type', 'veth', 'peer', 'name', 'dx1');
      await ip('link', 'set', 'dx1', 'up');
      const from = await start('net_af_packet0?iface=dx1');
      const reading = failure(() => readAll(from, 1));
      await ip('link', 'delete', 'dx0');
      expect((await reading).code).toBe('RINGTAP_INTERFACE_GONE');
    });

    test('an interface that is there is not said to be removed where there are no descriptors left', async () => {
      await ip('link', 'add', 'dx0', 'type', 'veth', 'peer', 'name', 'dx1');
      await ip('link', 'set', 'dx1', 'up');
      await ip('link', 'set', 'dx0', 'up');
      const from = await start('net_af_packet0?iface=dx1');
      const reading = readAll(from, 1);
      const limit = (to: string) => `prlimit --pid ${process.pid} --nofile=${to}:`;
      const before = await run('prlimit', '--nofile', '--noheadings', '--output=SOFT', '--pid', String(process.pid));
      await run('sh', '-c', `${limit('8')}; sleep 1; ${limit(before.trim())}`);
      await send({ count: 1, iface: 'dx0' });
      expect(await reading).toHaveLength(1);
      await ip('link', 'delete', 'dx0');
    });
  });

  test('a second capture of a port is refused, another port is not, and closing gives the port back', async () => {
    const from = await start('net_null0');
    expect((await failure(() => open('dpdk:net_null0', few))).code).toBe('RINGTAP_BUSY');
    await using other = await open('dpdk:net_null1', few);
    expect(await readAll(other, 10)).not.toHaveLength(0);
    await from.close();
    await start('net_null0');
  });

  test.each([
    ['dpdk:net_nosuch0', 'RINGTAP_BAD_OPTION', /net_nosuch0/],
    ['dpdk:net_pcap0?rx_pcap=/no/such.pcap', 'RINGTAP_BAD_OPTION', /no.such\.pcap/],
    ['dpdk:net_null0?nonsense=1', 'RINGTAP_BAD_OPTION', /nonsense/],
    ['dpdk:99', 'RINGTAP_NO_INTERFACE', /port 99/],
    ['dpdk:ffff:ff:1f.7', 'RINGTAP_NO_INTERFACE', /no PCI device ffff:ff:1f\.7/],
    ['dpdk:a b', 'RINGTAP_BAD_URI', /a b/],
    ['dpdk:net_null0?eal=--help', 'RINGTAP_BAD_OPTION', /--help/],
    ['dpdk:net_null0?eal=-h', 'RINGTAP_BAD_OPTION', /-h/],
    ['dpdk:net_null0?eal=--hel', 'RINGTAP_BAD_OPTION', /--hel/],
    ['dpdk:net_null0?eal=--log-level%3Dhelp', 'RINGTAP_BAD_OPTION', /help/],
    ['dpdk:net_null0?eal=--vdev=net_null1', 'RINGTAP_BAD_OPTION', /--vdev/],
    ['dpdk:net_null0?eal=-m', 'RINGTAP_BAD_OPTION', /-m needs a value/],
    ['dpdk:net_null0?core=1023', 'RINGTAP_BAD_OPTION', /core 1023/],
    ['dpdk:net_null0?mtu=65000&mbufs=65536', 'RINGTAP_BAD_OPTION', /2 GiB/],
    ['dpdk:net_pcap0?mtu=1400&rx_pcap=TRACE', 'RINGTAP_UNSUPPORTED', /MTU/],
    ['dpdk:net_pcap0?queues=0-1&rx_pcap=TRACE', 'RINGTAP_UNSUPPORTED', /1 receive queues, not 2/],
  ])('%s is %s and leaves nothing behind', async (uri, code, words) => {
    const error = await failure(() => open(uri.replace('TRACE', numberedTrace(10))));
    expect({ code: error.code, message: error.message }).toEqual({ code, message: expect.stringMatching(words) });
    expect(error.hint).toBeTruthy();
    await using again = await open('dpdk:net_null0', few);
    expect(await readAll(again, 1)).not.toHaveLength(0);
  });

  test.skipIf(kernelsNic === undefined)("a NIC that is the kernel's is refused, with the way to bind it", async () => {
    const error = await failure(() => open(`dpdk:${kernelsNic}`));
    expect(error.code).toBe('RINGTAP_BUSY');
    expect(error.message).toMatch(/is bound to the kernel's driver [\w-]+, not to one that gives it to DPDK/);
    expect(error.hint).toMatch(`dpdk-devbind.py --bind=vfio-pci ${kernelsNic}`);
  });

  describe.skipIf(hugePagesMissing !== undefined)('in huge pages', () => {
    let giveBack = () => {};
    beforeAll(() => {
      giveBack = reserveHugePages(160);
    });
    afterAll(() => giveBack());

    test('reads every packet, and the plan has no note of ordinary memory', async () => {
      const trace = numberedTrace(5000);
      const body = `import { open } from 'ringtap';
        const c = await open('dpdk:net_pcap0?rx_pcap=${trace}', { mbufs: 8192, hugePages: 'require' });
        let sum = 0, packets = 0;
        for await (const { length, view, offset } of c) {
          for (let i = 0; i < length; i++) sum += Number(view.getBigUint64(offset[i] + 42));
          if ((packets += length) === 5000) break;
        }
        await c.close();
        const { received, delivered, dropped, pending } = c.stats();
        console.log(JSON.stringify({ sum, received, delivered, dropped, pending, notes: c.plan.notes }));`;
      const { stdout, stderr } = await script(body);
      expect(stderr).toBe('');
      expect(JSON.parse(stdout)).toEqual({
        ...{ sum: (5000 * 4999) / 2, received: 5000, delivered: 5000, dropped: 0, pending: 0 },
        notes: [],
      });
    });

    test('virtio_user and vhost meet, with the arguments that the README names', () =>
      virtioAndVhost({ hugePages: 'require', eal: '--single-file-segments -m 256' }));

    test('with too few of them says how many are missing, and then does with less', async () => {
      const body = `import { open } from 'ringtap'; ${tell}
        await open('dpdk:net_null0', { mbufs: 500000 }).catch(tell);
        const c = await open('dpdk:net_null0', { mbufs: 2048, hugePages: 'require' });
        for await (const batch of c) break;
        await c.close();
        console.log('end');`;
      expect((await script(body)).stdout).toMatch(
        /^RINGTAP_NO_MEMORY .*too few huge pages: \d+ MB are needed for packets, \d+ MB are free.*\nend\n$/,
      );
    });
  });

  describe('starting DPDK', () => {
    test.runIf(process.getuid?.() === 0)('with huge pages required where there are none is refused', async () => {
      const none = 'mount -t tmpfs none /sys/kernel/mm/hugepages && exec "$@"';
      const body = program(`${tell}
        await open('dpdk:net_null0', { hugePages: 'require' }).catch(tell);
        const c = await open('dpdk:net_null0', { mbufs: 1024 });
        await open('dpdk:net_null1', { hugePages: 'require' }).catch(tell);
        console.log(c.plan.notes.join());
        await c.close();`);
      expect((await script(body, { prefix: ['unshare', '--mount', 'sh', '-c', none, 'sh'] })).stdout).toMatch(
        /^RINGTAP_NO_MEMORY .*no huge page is free\nRINGTAP_BUSY .*without huge pages\nno huge pages: .*ordinary memory.*\n$/,
      );
    });

    test('prints nothing, and says with NODE_DEBUG=ringtap what it does', async () => {
      const body = program(
        "const c = await open('dpdk:net_null0', { mbufs: 1024 }); await c.close(); console.log('end');",
      );
      expect(await script(body)).toMatchObject({ code: 0, stdout: 'end\n', stderr: '' });
      expect((await script(body, { env: { NODE_DEBUG: 'ringtap' } })).stderr).toMatch(/EAL: /);
    });

    test('in a worker, from which another worker and the main thread go on', async () => {
      const worker = `
        const { Worker, isMainThread } = await import('node:worker_threads');
        const { open } = await import('ringtap');
        const one = async (device) => { const c = await open('dpdk:' + device, { mbufs: 1024 }); for await (const b of c) break; await c.close(); };
        const inWorker = (device) => new Promise((resolve, reject) => {
          const code = "import('ringtap').then(async ({ open }) => { const c = await open('dpdk:" + device + "', { mbufs: 1024 }); for await (const b of c) break; await c.close(); });";
          new Worker(code, { eval: true }).once('error', reject).once('exit', resolve);
        });
        console.log(await inWorker('net_null0'), await inWorker('net_null1'));
        await one('net_null0');
        console.log('end');`;
      expect(await script(worker)).toMatchObject({ code: 0, stdout: '0 0\nend\n' });
    });

    test('with bad arguments fails, and then starts with good ones; other arguments come too late', async () => {
      const body = program(`${tell}
        await open('dpdk:net_null0', { mbufs: 1024, eal: '-d /no/such.so' }).catch(tell);
        const c = await open('dpdk:net_null0', { mbufs: 1024, eal: '-m 256', hugePages: 'off' });
        await open('dpdk:net_null1', { eal: '-m 512' }).catch(tell);
        await c.close();
        console.log('end');`);
      const { code, stdout } = await script(body);
      expect(stdout).toMatch(
        /^RINGTAP_BAD_OPTION .*"-d" is not one that ringtap passes on\nRINGTAP_BUSY .*runs already in this process, with eal="-m 256"\nend\n$/,
      );
      expect(code).toBe(0);
    });

    test('with more memory than there is is refused before DPDK hears of it, and prints nothing', async () => {
      const body = program(`${tell}
        await open('dpdk:net_null0', { eal: '-m 9999999', hugePages: 'off' }).catch(tell);
        await open('dpdk:net_null0', { eal: '-r 17' }).catch(tell);
        await open('dpdk:net_null0', { eal: '--match-allocations', hugePages: 'off' }).catch(tell);
        const c = await open('dpdk:net_null0', { mbufs: 1024 });
        await c.close();
        console.log('end');`);
      const { stdout, stderr } = await script(body);
      expect(stdout).toMatch(
        /^RINGTAP_NO_MEMORY .*-m wants 9999999 MB, .*\nRINGTAP_BAD_OPTION .*-r must be 1 to 16, not "17"\nRINGTAP_BAD_OPTION .*huge pages only.*\nend\n$/,
      );
      expect(stderr).toBe('');
    });

    test('that fails says so, now and from then on, and nothing goes past the log', async () => {
      const body = program(`${tell}
        const { execFileSync } = await import('node:child_process');
        const { readFileSync } = await import('node:fs');
        const pages = Number(readFileSync('/proc/self/statm', 'latin1').split(' ')[0]);
        execFileSync('prlimit', ['--pid', process.pid, '--as=' + (pages * 4096 + 2 ** 29)]);
        await open('dpdk:net_null0', { eal: '-m 1024', hugePages: 'off' }).catch(tell);
        await open('dpdk:net_null0', { mbufs: 1024 }).catch(tell);`);
      const { stdout, stderr } = await script(body);
      expect(stdout).toMatch(
        /^RINGTAP_\w+ .*DPDK does not start: .*\nRINGTAP_SYSTEM .*cannot be started again in this process, after: .*\n$/,
      );
      expect(stderr).toBe('');
    });

    test.runIf(process.getuid?.() === 0)('without a thread to be had is an error, whichever thread it is', async () => {
      const body = program(`
        const { execFileSync } = await import('node:child_process');
        const { readdirSync } = await import('node:fs');
        const { readFile } = await import('node:fs/promises');
        await Promise.all([1, 2, 3, 4].map(() => readFile('/dev/null'))); // starts libuv's pool
        const most = readdirSync('/proc/self/task').length + Number(process.argv[1]);
        execFileSync('prlimit', ['--pid', process.pid, '--nproc=' + most]);
        const opened = [];
        for (let i = 0; i < 3; i++) {
          const c = await open('dpdk:net_null' + i, { mbufs: 1024, hugePages: 'off', eal: '-m 256' }).catch((error) => error);
          if (c instanceof Error) console.log(c.code, c.hint !== '', c.message);
          else opened.push(c);
        }
        await Promise.all(opened.map((c) => c.close()));
        const last = await explain('dpdk:net_null0', { mbufs: 1024, hugePages: 'off' });
        console.log('end', opened.length, last.error?.code);`);
      const runs = [0, 2, 3].map((more) => {
        // A user of its own, whose threads nobody else's count.
        const user = ['setpriv', `--reuid=${54321 + more}`, '--regid=54321', '--clear-groups'];
        return script(body, { prefix: user, args: [String(more)], env: { HOME: '/' } });
      });
      let starts = 0;
      for (const { code, signal, stdout, stderr } of await Promise.all(runs)) {
        expect({ code, signal, stderr }).toEqual({ code: 0, signal: null, stderr: '' });
        const lines = stdout.trimEnd().split('\n');
        const end = lines.pop();
        expect(lines).not.toHaveLength(0);
        for (const line of lines) expect(line).toMatch(/^RINGTAP_(SYSTEM|NO_MEMORY) true /);
        expect(end).toMatch(/^end \d (undefined|RINGTAP_SYSTEM)$/);
        if (lines.some((line) => /no thread can be made.* to poll the port with/.test(line))) starts++;
      }
      expect(starts).toBeGreaterThan(0); // at least one got as far as to the polling thread
    });

    test('that is killed leaves no folder behind it', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'ringtap-run-'));
      const body = program(`
        setTimeout(() => process.kill(process.pid, 'SIGKILL'), Number(process.argv[1]));
        await open('dpdk:net_null0', { mbufs: 1024, hugePages: 'off' });`);
      const kills = [20, 35, 50, 65, 80, 95].map((afterMs) =>
        script(body, { args: [String(afterMs)], env: { RUNTIME_DIRECTORY: folder } }),
      );
      for (const { signal } of await Promise.all(kills)) expect(signal).toBe('SIGKILL');
      const left = existsSync(join(folder, 'dpdk')) ? readdirSync(join(folder, 'dpdk')) : [];
      rmSync(folder, { recursive: true });
      expect(left).toEqual([]);
    });

    test('with too little memory says how much is missing', async () => {
      const body = program(`${tell} await open('dpdk:net_null0', { eal: '-m 64', hugePages: 'off' }).catch(tell);`);
      expect((await script(body)).stdout).toMatch(/^RINGTAP_NO_MEMORY .*no \d+ MB for packets are left/);
    });
  });
});
