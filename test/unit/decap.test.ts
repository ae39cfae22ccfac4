// Packets out of their tunnels: their numbers against those of tshark, which opens tunnels, too.
import { execFileSync } from 'node:child_process';
import { type Batch, type OpenOptions, open, openWriter, type Tunnel, TunnelWords, tunnelOf } from 'ringtap';
import { decode, ipv4Text } from 'ringtap/decode';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { failure, readAll } from '../support/packets.js';
import { type TracePacket, writePcap } from '../support/trace.js';
import * as tunnels from '../support/tunnels.js';

const path = temporaryFolder();
const { inside, insideIp } = tunnels;

function trace(name: string, packets: readonly (Uint8Array | TracePacket)[]): string {
  writePcap(
    path(name),
    packets.map((packet) => ('data' in packet ? packet : { data: packet })),
  );
  return path(name);
}

interface Opened {
  readonly tunnel: Tunnel | undefined;
  readonly linkType: number;
  readonly wirelen: number;
  readonly data: Buffer;
}

function rows(batch: Batch): Opened[] {
  return Array.from({ length: batch.length }, (_, i) => ({
    tunnel: tunnelOf(batch, i),
    linkType: batch.linkType,
    wirelen: batch.wirelen[i]!,
    data: Buffer.from(batch.copy(i)),
  }));
}

async function opened(file: string, options?: OpenOptions): Promise<Opened[]> {
  const all: Opened[] = [];
  await using capture = await open(`file:${file}`, { decap: 'auto', ...options });
  for await (const batch of capture) {
    const lent = rows(batch);
    expect(rows(batch.copy())).toEqual(lent);
    all.push(...lent);
  }
  const { received, delivered, filtered, dropped, pending } = capture.stats();
  expect(received).toBe(delivered + filtered + dropped + pending);
  return all;
}

/** What tshark says, a row a packet: of each field the last occurrence, which is the innermost one. */
function tshark(file: string, ...fields: string[]): string[][] {
  const args = ['-n', '-r', file, '-T', 'fields', '-E', 'occurrence=a', ...fields.flatMap((field) => ['-e', field])];
  const text = execFileSync('tshark', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return text
    .trimEnd()
    .split('\n')
    .map((line) => line.split('\t'));
}

test('what is inside, and where it came out of, is what tshark finds', async () => {
  const file = trace('kinds.pcap', [
    tunnels.vxlan(4711, inside(), '10.9.0.77'),
    tunnels.geneve(12, inside(54)),
    tunnels.gretap(7, inside(55)),
    tunnels.greIp(insideIp()),
    tunnels.erspan1(inside(56)),
    tunnels.erspan2(101, inside(57)),
    tunnels.erspan3(102, inside(58)),
    tunnels.gtp(0xfedcba98, insideIp(8443)),
    tunnels.mpls(16, insideIp(4443)),
  ]);
  const found = await opened(file);
  expect(found.map(({ tunnel }) => `${tunnel?.kind} ${tunnel?.id}`)).toEqual([
    'vxlan 4711',
    'geneve 12',
    'gre 7',
    'gre undefined',
    'erspan undefined',
    'erspan 101',
    'erspan 102',
    `gtp-u ${0xfedcba98}`,
    'mpls 16',
  ]);
  expect(found.map(({ linkType }) => linkType)).toEqual([1, 1, 1, 101, 1, 1, 1, 101, 101]);
  const theirs = tshark(file, 'vxlan.vni', 'geneve.vni', 'gre.key', 'gtp.teid', 'erspan.spanid', 'mpls.label');
  const last = (text: string | undefined) => Number(text?.split(',').at(-1));
  expect(last(theirs[0]![0])).toBe(4711);
  expect(last(theirs[1]![1])).toBe(12);
  expect(last(theirs[2]![2])).toBe(7);
  expect(last(theirs[5]![4])).toBe(101);
  expect(last(theirs[6]![4])).toBe(102);
  expect(last(theirs[7]![3])).toBe(0xfedcba98);
  expect(last(theirs[8]![5])).toBe(16);
  const ports = tshark(file, 'udp.dstport', 'tcp.dstport', 'ip.src');
  for (const [i, { data, linkType, wirelen, tunnel }] of found.entries()) {
    expect(wirelen).toBe(data.length);
    const port = linkType === 1 ? data.readUInt16BE(14 + 22) : data.readUInt16BE(42);
    expect(port).toBe(last(ports[i]![linkType === 1 ? 0 : 1]));
    // Label switching has no source.
    if (tunnel?.kind !== 'mpls') expect(tunnel?.source).toBe(ports[i]![2]!.split(',')[0]);
  }
  expect(found[6]!.tunnel?.timeNs).toBe(1600n);
});

test('tunnels in each other are opened to the innermost one, which is the one that is told of', async () => {
  const file = trace('nested.pcap', [
    tunnels.geneve(1, tunnels.vxlan(2, tunnels.gretap(3, tunnels.greIp(insideIp())))),
  ]);
  const [found] = await opened(file);
  expect(found).toMatchObject({ linkType: 101, tunnel: { kind: 'gre', id: undefined, depth: 4, source: '10.9.0.2' } });
  expect(found!.data).toEqual(insideIp());
  const [outside] = await opened(file, { decap: ['geneve'] });
  expect(outside).toMatchObject({ linkType: 1, tunnel: { kind: 'geneve', id: 1, depth: 1 } });
});

test('what was captured begins outerBytes before the packet', async () => {
  const frame = tunnels.vxlan(5, inside());
  await using capture = await open(`file:${trace('before.pcap', [frame])}?decap=vxlan,gre`);
  const batch = (await capture[Symbol.asyncIterator]().next()).value as Batch;
  const { outerBytes } = tunnelOf(batch, 0)!;
  const from = batch.offset[0]! - outerBytes;
  expect(Buffer.from(batch.bytes.slice(from, from + frame.length))).toEqual(frame);
  expect(batch.tunnel[TunnelWords.id]).toBe(5);
  expect(tunnelOf(batch, 1)).toBeUndefined();
  expect(ipv4Text(decode(batch).src4[0]!)).toBe('192.168.7.1');
});

test('of what a mirror cut, the length on the wire is what the inner headers or the mirror say', async () => {
  const whole = inside(53, 1000);
  const found = await opened(
    trace('cut.pcap', [tunnels.vxlan(1, whole.subarray(0, 80)), tunnels.tzsp(whole.subarray(0, 64), 1500)]),
  );
  expect(found.map(({ data, wirelen }) => [data.length, wirelen])).toEqual([
    [80, whole.length],
    [64, 1500],
  ]);
  expect(found[1]!.tunnel?.timeNs).toBe(5_000_000_000n);
});

test('what is no tunnel passes as it is, or is rejected and counted', async () => {
  const file = trace('others.pcap', [inside(), tunnels.vxlan(1, inside()), inside()]);
  const seen = await opened(file);
  expect(seen.map(({ tunnel }) => tunnel?.kind)).toEqual([undefined, 'vxlan', undefined]);
  await using capture = await open(`file:${file}`, { decap: 'auto', decapOthers: 'drop' });
  expect(await readAll(capture)).toHaveLength(1);
  expect(capture.stats()).toMatchObject({
    received: 3,
    delivered: 1,
    filtered: 2,
    details: { tunnels: 1, notTunnels: 2 },
  });
});

test('the filter is about what is inside, and about the tunnel', async () => {
  const file = trace('filter.pcap', [
    tunnels.vxlan(1, inside(53), '10.9.0.1'),
    tunnels.vxlan(2, inside(54), '10.9.0.2'),
    tunnels.greIp(insideIp(443)),
    inside(55),
  ]);
  const count = async (filter: string) => (await opened(file, { filter })).length;
  expect(await count('udp port 53')).toBe(1);
  expect(await count('udp port 4789 or proto gre')).toBe(0);
  expect(await count('tunnel vni 2')).toBe(1);
  expect(await count('tunnel src 10.9.0.2')).toBe(2);
  expect(await count('tunnel gre and tcp port 443')).toBe(1);
  expect(await count('not tunnel')).toBe(1);
  expect(await count('tunnel vxlan and (port 53 or tunnel vni 2)')).toBe(2);
  await using capture = await open(`file:${file}`, { decap: 'auto', filter: 'tunnel' });
  expect(capture.plan.filter).toBe('user');
  expect(capture.plan.filterReason).toContain('inside');
  // Without decap the filter is about what was captured, and a tunnel is not known.
  await using outer = await open(`file:${file}`, { filter: 'udp port 4789' });
  expect(await readAll(outer)).toHaveLength(2);
  const refused = await failure(() => open(`file:${file}`, { filter: 'tunnel vni 2' }));
  expect(refused).toMatchObject({ code: 'RINGTAP_BAD_FILTER', hint: expect.stringContaining('decap') });
});

test('a trace of what was inside is what tshark reads', async () => {
  const file = trace('write.pcap', [
    tunnels.vxlan(1, inside(53)),
    tunnels.greIp(insideIp(443)),
    tunnels.vxlan(1, inside(54)),
  ]);
  await using capture = await open(`file:${file}`, { decap: 'auto' });
  await using writer = await openWriter(path('inside.pcapng'));
  for await (const batch of capture) await writer.write(batch);
  await writer.close();
  const ports = tshark(path('inside.pcapng'), 'udp.dstport', 'tcp.dstport', 'frame.encap_type');
  expect(ports).toEqual([
    ['53', '', '1'],
    ['', '443', '7'],
    ['54', '', '1'],
  ]);
});

test('a snaplen counts from where the inner packet begins', async () => {
  const [found] = await opened(trace('snap.pcap', [tunnels.vxlan(1, inside(53, 500))]), { snaplen: 40 });
  expect(found!.data).toEqual(inside(53, 500).subarray(0, 40));
  expect(found!.wirelen).toBe(inside(53, 500).length);
});

test('without decap nothing is told of tunnels', async () => {
  await using capture = await open(`file:${trace('off.pcap', [tunnels.vxlan(1, inside())])}`);
  const batch = (await capture[Symbol.asyncIterator]().next()).value as Batch;
  expect(batch.tunnel).toHaveLength(0);
  expect(tunnelOf(batch, 0)).toBeUndefined();
});

test('a tunnel that nobody knows is refused with those that there are', async () => {
  for (const decap of ['l2tp', 'vxlan,', [], ['vxlan', 7], true]) {
    const refused = await failure(() => open('synth:?count=1', { decap: decap as never }));
    expect(refused.code).toBe('RINGTAP_BAD_OPTION');
    expect(refused.message).toContain('auto, or some of vxlan, geneve, gre, erspan, tzsp, mpls, gtp-u');
  }
});
