// PF_RING through the public API, with stand-ins that misbehave on request: vitest.config.ts preloads them.
import { devices, type OpeningOptions, open, openTransmitter, probe } from 'ringtap';
import { afterEach, describe, expect, test } from 'vitest';
import { root, run, script } from '../support/child.js';
import { planOf } from '../support/explain.js';
import { lab, send } from '../support/lab.js';
import { drain, expectBalanced, failure, NO_FAILURES, readAll } from '../support/packets.js';
import { sendRaw } from '../support/raw.js';
import { ethernet, ipv4, udp } from '../support/trace.js';
import { until, within } from '../support/wait.js';

const { rx, tx } = lab ?? { rx: '', tx: '' };
const strict: OpeningOptions = { fallback: false };

/** The stand-ins behave like this until the end of the test. */
const behave = (how: string) => {
  process.env.RINGTAP_STANDIN = how;
};
afterEach(() => {
  delete process.env.RINGTAP_STANDIN;
});

describe.skipIf(lab === null)('pfring:', () => {
  test('says in the plan which way was taken, where the filter runs and whose clock stamps', async () => {
    await using ring = await open(`pfring:${rx}`, { filter: 'udp' });
    expect(ring.plan).toMatchObject({
      mode: 'ring',
      filter: 'kernel',
      timestamp: 'kernel',
      zeroCopy: true,
      takesTraffic: false,
    });
    await using copy = await open(`pfringold:${rx}?path=library`, { filter: 'udp' });
    expect(copy.plan).toMatchObject({ backend: 'pfring', mode: 'copy', filter: 'kernel', zeroCopy: false });
    expect(copy.plan.notes.join()).toContain('libpfring 8.9.0');
    await using zc = await open(`pfring:zc:${rx}@0`, { filter: 'udp' });
    expect(zc.plan).toMatchObject({ mode: 'zero-copy', filter: 'user', timestamp: 'user', zeroCopy: true });
    await using stack = await open(`pfring:stack:${rx}`);
    expect(stack.plan.mode).toBe('copy');
  });

  test('is found by probe() and lists devices', async () => {
    expect((await probe()).find(({ backend }) => backend === 'pfring')).toMatchObject({ available: true });
    expect((await devices()).find(({ name }) => name === rx)?.uris).toContain(`pfring:${rx}`);
    behave('socket=97');
    expect((await probe()).find(({ backend }) => backend === 'pfring')).toMatchObject({
      available: false,
      code: 'RINGTAP_BACKEND_MISSING',
      hint: expect.stringContaining('modprobe pf_ring'),
    });
  });

  test('is not available to a process without the right to it, as probe() says', async () => {
    const { stdout } = await script(
      `import { probe } from 'ringtap';
       const { available, code, hint } = (await probe()).find(({ backend }) => backend === 'pfring');
       console.log(available, code, hint);`,
      { prefix: ['setpriv', '--bounding-set=-all', '--inh-caps=-all', '--securebits=+noroot'] },
    );
    expect(stdout).toMatch(/^false RINGTAP_NO_PERMISSION .*(--cap-add NET_RAW|Nothing that is started from here)/);
  });

  test('falls back without the module, and names it', async () => {
    behave('socket=97');
    const { candidates, backend } = await planOf(`pfring:${rx}`);
    expect(backend).toBe('afpacket');
    expect(candidates[0]).toMatchObject({
      code: 'RINGTAP_BACKEND_MISSING',
      reason: expect.stringContaining('pf_ring'),
    });
    expect((await failure(() => open(`pfring:${rx}`, strict))).hint).toContain('modprobe pf_ring');
  });

  test.each([`${rx}@0`, `${rx}?queues=0`, `${rx},${lab?.tx}`, `stack:${rx}`, `zc:${rx}@0`])(
    'names the module, not the interface, for %s, which means something to PF_RING alone',
    async (target) => {
      behave('socket=97');
      const source = `import { explain, open } from 'ringtap';
        const uri = process.argv[1];
        await open(uri).catch(({ code, hint }) => console.log(code, hint));
        const explained = await explain(uri);
        console.log(explained.ok ? 'ok' : explained.error.code);`;
      const env = { RINGTAP_LIBPFRING: '/nowhere/libpfring.so', RINGTAP_STANDIN: 'socket=97' };
      const { stdout } = await script(source, { args: [`pfring:${target}`], env });
      expect(stdout).toMatch(/^RINGTAP_BACKEND_MISSING .*\nRINGTAP_BACKEND_MISSING\n$/);
    },
  );

  test('never hides a missing right, interface or queue behind a fallback', async () => {
    expect((await failure(() => open('pfring:nosuch0'))).code).toBe('RINGTAP_NO_INTERFACE');
    expect((await failure(() => open(`pfring:${rx}@9`))).code).toBe('RINGTAP_BAD_OPTION');
    expect((await failure(() => open(`pfring:${rx}@x`))).code).toBe('RINGTAP_BAD_URI');
    expect((await failure(() => open(`pfring:${rx}?watermark=0`))).code).toBe('RINGTAP_BAD_OPTION');
    behave('socket=1');
    expect((await failure(() => open(`pfring:${rx}`))).code).toBe('RINGTAP_NO_PERMISSION');
  });

  test('names the library when that is what is missing', async () => {
    const source = `import { open } from 'ringtap';
      for (const uri of process.argv.slice(1)) {
        await open(uri, { fallback: false }).then((c) => c.close().then(() => console.log(c.plan.mode)), (e) => console.log(e.code, e.message));
      }`;
    const args = [`pfring:${rx}`, `pfring:stack:${rx}`, `pfring:zc:${rx}`, `pfring:${rx}?path=library`];
    const { stdout } = await script(source, { args, env: { RINGTAP_LIBPFRING: '/nowhere/libpfring.so' } });
    const [ring, ...others] = stdout.trim().split('\n');
    expect(ring).toBe('ring');
    expect(others).toHaveLength(3);
    for (const other of others) expect(other).toMatch(/^RINGTAP_BACKEND_MISSING .*library cannot be loaded: .*nowhere/);
    const env = { RINGTAP_LIBPFRING: '/nowhere/libpfring.so', RINGTAP_STANDIN: 'version=22' };
    const newer = await script(source, { args: [`pfring:${rx}`], env });
    expect(newer.stdout).toMatch(/^RINGTAP_\w+ .*version 22.*libpfring|^RINGTAP_\w+ .*version 22/);
  });

  test('reads a ring of another version through the library, and says so', async () => {
    behave('version=22');
    await using capture = await open(`pfring:${rx}`);
    expect(capture.plan).toMatchObject({ backend: 'pfring', mode: 'copy' });
    expect(capture.plan.notes.join()).toContain('version 22');
    const [seen] = await Promise.all([readAll(capture, 200), send({ count: 200, rate: 20_000 })]);
    expect(seen).toHaveLength(200);
  });

  test.each(['version=0', 'header=209', 'grow=1', 'slotLength=64'])('refuses a ring with %s', async (how) => {
    behave(how);
    expect((await failure(() => open(`pfring:${rx}`))).code).toBe('RINGTAP_RING_CORRUPT');
  });

  test('ends with an error, not a crash, when JavaScript writes all over the ring', async () => {
    behave('slots=256');
    for (const value of [0, 0xff, 0x41]) {
      const capture = await open(`pfring:${rx}`, { batchSize: 8 });
      const sending = send({ count: 3000, rate: 50_000 });
      const ended = await within(
        (async () => {
          for await (const batch of capture) batch.bytes.fill(value);
        })().catch((error) => error),
        'the error',
      );
      expect(ended).toMatchObject({ code: 'RINGTAP_RING_CORRUPT' });
      await sending;
      await capture.close();
    }
  });

  test('counts what a reader that stands still has lost, to the packet', async () => {
    behave('slots=512');
    for (const path of ['ring', 'library']) {
      await using capture = await open(`pfring:${rx}?path=${path}&snaplen=64`);
      await send({ count: 5000, rate: 50_000 });
      await until(() => capture.stats().received === 5000, '5000 packets');
      const full = capture.stats();
      expectBalanced(full);
      expect(full.dropped).toBeGreaterThan(3000);
      expect(full.drops.ring).toBe(full.dropped);
      const seen = await drain(capture);
      expect(seen).toHaveLength(full.pending);
      expect(capture.stats()).toMatchObject({ received: 5000, delivered: full.pending, pending: 0 });
      const [more] = await Promise.all([readAll(capture, 100), send({ count: 100, rate: 10_000 })]);
      expect(more).toHaveLength(100);
    }
  });

  test.each(['ring', 'library'])('sees VLAN tags in the bytes, and filters mean that, too (%s)', async (path) => {
    const packet = (port: number) => ipv4({ protocol: 17 }, udp(port, 40001, Buffer.alloc(18)));
    const frames = [
      ethernet(0x0800, packet(1), [[0x8100, 5]]),
      ethernet(0x0800, packet(2)),
      ethernet(0x0800, packet(3), [[0x8100, 6]]),
    ];
    const hex = (seen: readonly { data: Buffer }[]) => seen.map(({ data }) => data.toString('hex'));
    for (const [filter, expected] of [
      ['', frames],
      ['udp', [frames[1]!]],
      ['vlan', [frames[0]!, frames[2]!]],
      ['vlan 5 and udp src port 1', [frames[0]!]],
    ] as const) {
      await using capture = await open(`pfring:${rx}?path=${path}`, filter === '' ? {} : { filter });
      await sendRaw(tx, frames);
      expect(hex(await drain(capture))).toEqual(expected.map((frame) => frame.toString('hex')));
    }
  });

  test.each(['ring', 'library'])('cuts tagged frames to the shortest snaplen there is (%s)', async (path) => {
    const packet = ipv4({ protocol: 17 }, udp(1, 40001, Buffer.alloc(18)));
    const frame = ethernet(0x0800, packet, [[0x8100, 5]]);
    await using capture = await open(`pfring:${rx}?path=${path}&snaplen=14`);
    await sendRaw(tx, [frame]);
    const [seen, ...others] = await drain(capture);
    expect(others).toEqual([]);
    expect(seen?.data.toString('hex')).toBe(frame.subarray(0, 14).toString('hex'));
  });

  test.each(['ring', 'library'])('with direction=in, what was sent is not counted (%s)', async (path) => {
    await using capture = await open(`pfring:${rx}?path=${path}&direction=in`);
    const frame = ethernet(0x0800, ipv4({ protocol: 17 }, udp(1, 40001, Buffer.alloc(18))));
    await sendRaw(rx, [frame, frame, frame]);
    await sendRaw(tx, [frame, frame]);
    expect(await drain(capture)).toHaveLength(2);
    expect(capture.stats()).toMatchObject({ received: 2, delivered: 2, filtered: 0, dropped: 0, pending: 0 });
  });

  test.each(['ring', 'library'])('shares the packets among the captures of a cluster (%s)', async (path) => {
    for (const [share, shareMode] of [
      [7, 'flow'],
      [8, 'round-robin'],
    ] as const) {
      await using one = await open(`pfring:${rx}?path=${path}`, { share, shareMode });
      await using two = await open(`pfring:${rx}?path=${path}`, { share, shareMode });
      const { sent } = await send({ count: 2000, rate: 50_000, flows: 64 });
      const [first, second] = [await drain(one), await drain(two)];
      expect(first.length + second.length).toBe(sent);
      const ports = (seen: typeof first) => new Set(seen.map(({ data }) => data.readUInt16BE(34)));
      if (shareMode === 'flow') expect(ports(first).size + ports(second).size).toBe(64);
      else expect(first.length).toBe(1000);
      for (const capture of [one, two]) expectBalanced(capture.stats());
    }
  });

  test('asks for promiscuous mode unless told not to', async () => {
    const promiscuity = async () => {
      const [link] = JSON.parse(await run('ip', '-d', '-j', 'link', 'show', 'dev', rx)) as [{ promiscuity: number }];
      return link.promiscuity;
    };
    const modest = await open(`pfring:${rx}`, { promiscuous: false });
    expect(await promiscuity()).toBe(0);
    await modest.close();
    const capture = await open(`pfring:${rx}`);
    expect(await promiscuity()).toBe(1);
    await capture.close();
    expect(await promiscuity()).toBe(0);
  });

  test('joins interfaces with a comma, and any is all of them', async () => {
    await using both = await open(`pfring:${rx},lo`);
    await using any = await open('pfring:any', { filter: 'udp[0:2] & 63 = 7', direction: 'in' });
    await send({ count: 64, rate: 10_000, flows: 64 });
    expect(await drain(both)).toHaveLength(64);
    expect(await drain(any)).toHaveLength(1);
    expect(any.transmit).toBeNull();
  });

  test.each(['ring', 'library'])('sends frames that arrive as they are (%s)', async (path) => {
    await using capture = await open(`afpacket:${rx}`);
    const frames = Array.from({ length: 200 }, (_, i) =>
      ethernet(0x0800, ipv4({ protocol: 17 }, udp(i + 1, 9, Buffer.alloc(100, i)))),
    );
    await using transmitter = await openTransmitter(`pfring:${tx}?path=${path}`);
    for (const frame of frames) {
      while (!transmitter.send(frame)) await transmitter.flush();
    }
    await transmitter.flush();
    expect(transmitter.stats()).toEqual({ accepted: 200, completed: 200, queued: 0, zeroCopy: 0, failed: NO_FAILURES });
    const seen = await readAll(capture, 200);
    expect(seen.map(({ data }) => data.toString('hex'))).toEqual(frames.map((frame) => frame.toString('hex')));

    await using sender = await open(`pfring:${tx}?path=${path}`);
    expect(sender.transmit!.send(frames[7]!)).toBe(true);
    await sender.transmit!.flush();
    expect((await drain(capture)).map(({ data }) => data.toString('hex'))).toEqual([frames[7]!.toString('hex')]);
  });

  test.each(['ring', 'library'])('ends when its interface goes down or is removed (%s)', async (path) => {
    for (const [how, code] of [
      [['link', 'set', 'pfrx', 'down'], 'RINGTAP_INTERFACE_DOWN'],
      [['link', 'delete', 'pfrx'], 'RINGTAP_INTERFACE_GONE'],
    ] as const) {
      await run('ip', 'link', 'add', 'pftx', 'type', 'veth', 'peer', 'name', 'pfrx');
      for (const name of ['pftx', 'pfrx']) await run('ip', 'link', 'set', name, 'up');
      await using capture = await open(`pfring:pfrx?path=${path}`);
      const ended = failure(async () => {
        for await (const _ of capture);
      });
      await run('ip', ...how);
      expect((await within(ended, 'the end')).code).toBe(code);
      await run('ip', 'link', 'delete', 'pftx').catch(() => {});
    }
  });

  test('does all that `npm run test:pfring` asks of it', async () => {
    const args = ['--count', '2000', '--rate', '20000'];
    const { stdout, code } = await script(`await import('${root}/scripts/test-pfring.mjs');`, {
      args,
    });
    expect(stdout).not.toContain('FAILED');
    expect(stdout).toMatch(/\d+ proved, 0 failed/);
    expect(code).toBe(0);
  });

  test('`npm run test:pfring` fails where the module is missing, and says so', async () => {
    behave('socket=97');
    await expect(run(process.execPath, `${root}/scripts/test-pfring.mjs`)).rejects.toThrow(/modprobe pf_ring/);
  });
});
