import { readFileSync } from 'node:fs';
import { open, PacketFlags } from 'ringtap';
import { decode } from 'ringtap/decode';
import { describe, expect, test } from 'vitest';
import { run } from '../support/child.js';
import { lines, start } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { lab, send } from '../support/lab.js';
import { arp, mixture } from '../support/mixture.js';
import { drain, expectBalanced, readAll } from '../support/packets.js';
import { sendRaw } from '../support/raw.js';
import { ethernet, ipv4, udp, writePcap } from '../support/trace.js';
import { until } from '../support/wait.js';

const path = temporaryFolder();
const { rx, tx } = lab ?? { rx: '', tx: '' };
const ip = (port: number) => ipv4({ protocol: 17 }, udp(port, 40001, Buffer.alloc(18)));
const hex = (seen: readonly { data: Buffer }[]) => seen.map(({ data }) => data.toString('hex'));

describe.skipIf(lab === null).each(['afpacket', 'pcap'])('VLAN tags on %s', (method) => {
  test('are in the bytes, as on the wire', async () => {
    await using capture = await open(`${method}:${rx}`);
    const [seen] = await Promise.all([readAll(capture, 500), send({ count: 500, rate: 50_000, vlan: 42, size: 64 })]);
    for (const { data, wirelen, flags } of seen) {
      expect([data.length, wirelen, data.readUInt16BE(12), data.readUInt16BE(14)]).toEqual([64, 64, 0x8100, 42]);
      expect(data.readUInt16BE(16)).toBe(0x0800);
      expect(flags & PacketFlags.vlan).toBe(0);
    }
  });

  test('of any kind, single, double and with priority bits, come as they were sent', async () => {
    const frames = [
      ethernet(0x0800, ip(1), [[0x8100, 5]]),
      ethernet(0x0800, ip(2), [[0x8100, 0xe005]]),
      ethernet(0x0800, ip(3), [
        [0x88a8, 100],
        [0x8100, 5],
      ]),
      ethernet(0x0800, ip(4), [
        [0x8100, 100],
        [0x8100, 5],
      ]),
      ethernet(0x0800, ip(5), [[0x8100, 0]]),
      ethernet(0x0800, ip(6)),
      arp,
    ];
    await using capture = await open(`${method}:${rx}`);
    await sendRaw(tx, frames);
    expect(hex(await drain(capture))).toEqual(frames.map((frame) => frame.toString('hex')));
  });

  // The same words select the same packets: live, by either method, in a trace, and in tcpdump's reading of it.
  test.each([
    'vlan',
    'vlan 5',
    'vlan 5 and udp',
    'udp',
    'not vlan',
    'vlan 100 and vlan 5',
    'arp or vlan 6',
    'ip',
    'greater 100',
    'len <= 64',
    'ether[12:2] = 0x8100',
    'vlan and src port 7',
  ])('are what the filter "%s" sees: like a trace of the wire', async (filter) => {
    const frames = mixture();
    await using capture = await open(`${method}:${rx}`, { filter });
    await sendRaw(tx, frames);
    const live = await drain(capture, 100);

    writePcap(
      path('wire.pcap'),
      frames.map((data) => ({ data })),
    );
    await using trace = await open(`file:${path('wire.pcap')}`, { filter });
    const read = await readAll(trace);
    const { stdout } = await start('tcpdump', ['-r', path('wire.pcap'), '-nn', '-t', '-w', path('out.pcap'), filter])
      .outcome;
    expect(stdout).toBe('');
    const counted = lines(await run('tcpdump', '-r', path('out.pcap'), '-nn', '-t')).filter(
      (line) => !line.startsWith('\t'),
    );
    expect(hex(live)).toEqual(hex(read));
    expect(read).toHaveLength(counted.length);
    const stats = capture.stats();
    expectBalanced(stats);
    expect(stats).toMatchObject({ delivered: live.length, dropped: 0, pending: 0 });
  });
});

describe.skipIf(lab === null)('vlan: metadata on afpacket', () => {
  test('leaves the tag out of the bytes and in batch.vlan', async () => {
    await using capture = await open(`afpacket:${rx}`, { vlan: 'metadata' });
    await sendRaw(tx, [ethernet(0x0800, ip(1), [[0x8100, 0x6005]]), ethernet(0x0800, ip(2))]);
    const [tagged, plain] = await drain(capture);
    expect(tagged).toMatchObject({ vlan: 0x6005, flags: PacketFlags.vlan });
    expect(tagged!.data.toString('hex')).toBe(ethernet(0x0800, ip(1)).toString('hex'));
    expect(plain).toMatchObject({ vlan: 0, flags: 0 });
  });

  test('does not hide the tag from decoding', async () => {
    await using capture = await open(`afpacket:${rx}`, { vlan: 'metadata' });
    const twice = [
      [0x8100, 0x6005],
      [0x8100, 7],
    ] as const;
    await sendRaw(tx, [ethernet(0x0800, ip(1), twice)]);
    const { vlanCount, outerTpid, outerTci, innerTci, srcPort } = decode(capture.nextSync(10_000)!);
    expect([vlanCount[0], outerTpid[0], outerTci[0], innerTci[0], srcPort[0]]).toEqual([2, 0x8100, 0x6005, 7, 1]);
  });

  test('still lets filters see the tag', async () => {
    await using capture = await open(`afpacket:${rx}`, { vlan: 'metadata', filter: 'vlan 5 and udp' });
    await sendRaw(tx, mixture());
    const seen = await drain(capture);
    expect(seen.length).toBeGreaterThan(0);
    expect(seen.every(({ vlan }) => (vlan & 0xfff) === 5)).toBe(true);
  });
});

test.skipIf(lab === null)('tcpdump on the same interface sees the same packets as ringtap', async () => {
  const filter = 'udp';
  const dump = start('tcpdump', ['-i', rx, '-U', '-w', path('dump.pcap'), '--immediate-mode']);
  await until(() => {
    try {
      return readFileSync(path('dump.pcap')).length >= 24;
    } catch {
      return false;
    }
  }, 'tcpdump');
  await using capture = await open(`afpacket:${rx}`, { filter });
  await sendRaw(tx, mixture());
  const live = await drain(capture);
  await until(() => readFileSync(path('dump.pcap')).length > 24 + mixture().length * 60, 'the dump');
  dump.process.kill('SIGINT');
  await dump.outcome;
  await using trace = await open(`file:${path('dump.pcap')}`, { filter });
  expect(hex(live)).toEqual(hex(await readAll(trace)));
});
