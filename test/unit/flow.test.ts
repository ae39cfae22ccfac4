// The flow meter: what it says of traces whose every number is known, and of what no trace should be.
import { execFileSync } from 'node:child_process';
import { type Batch, type Capture, open } from 'ringtap';
import { FlowBatch, FlowMeter, type FlowMeterOptions, type FlowRecord } from 'ringtap/flow';
import { afterEach, describe, expect, test } from 'vitest';
import { differences, flowsOf, keyOf } from '../support/flow-cases.js';
import { temporaryFolder } from '../support/folder.js';
import { failure } from '../support/packets.js';
import { bytes, ethernet, ipv4, type TracePacket, tcp, udp, writePcap } from '../support/trace.js';
import { vxlan } from '../support/tunnels.js';

const path = temporaryFolder();
const captures: Capture[] = [];
afterEach(() => Promise.all(captures.splice(0).map((capture) => capture.close())));

let files = 0;
function fileOf(packets: readonly TracePacket[], linkType?: number): string {
  const file = path(`${++files}.pcap`);
  writePcap(file, packets, linkType);
  return file;
}

async function opened(file: string): Promise<Capture> {
  const capture = await open(`file:${file}`, { batchSize: 256 });
  captures.push(capture);
  return capture;
}

async function batchOf(...frames: readonly Uint8Array[]): Promise<Batch> {
  const capture = await opened(fileOf(frames.map((data) => ({ data }))));
  return capture.nextSync(1000)!;
}

function recordsOf(meter: FlowMeter): FlowRecord[] {
  return [...meter.drain()].flatMap((flows) => Array.from({ length: flows.length }, (_, i) => flows.record(i)));
}

/** All records of a trace, flushed at its end. */
async function metered(file: string, options?: FlowMeterOptions, copied = false): Promise<[FlowRecord[], FlowMeter]> {
  const meter = new FlowMeter(options);
  for await (const batch of await opened(file)) meter.add(copied ? batch.copy() : batch);
  meter.flush();
  return [recordsOf(meter), meter];
}

function expectBalanced(meter: FlowMeter): void {
  const stats = meter.stats();
  const sum = (numbers: object) => Object.values(numbers).reduce((total: number, value) => total + value, 0);
  const { packets, inFlows, sampledOut, withoutMemory, malformed, notIp } = stats;
  expect(inFlows + sampledOut + withoutMemory + malformed + sum(notIp)).toBe(packets);
  expect(stats.active + stats.quiet + sum(stats.records) - stats.records.active).toBe(stats.flows);
}

const someUdp = ethernet(0x0800, ipv4({ protocol: 17 }, udp(40000, 53, Buffer.alloc(22, 7))));
const someTcp = (flags: number) => ethernet(0x0800, ipv4({ protocol: 6 }, tcp({ flags })));

describe('a trace whose flows are known', () => {
  const { packets, expected } = flowsOf(16, 600);
  const file = fileOf(packets);
  const last = Math.max(...expected.map((flow) => flow.last));

  test.each([
    ['lent batches', false],
    ['owned copies', true],
  ])('is told exactly, in both directions, from %s', async (_, copied) => {
    const [records, meter] = await metered(file, {}, copied);
    expect(differences(expected, records)).toEqual([]);
    const found = new Map(records.map((record) => [keyOf(record), record] as const));
    for (const flow of expected) {
      const record = found.get(flow.key);
      const quiet = last - flow.last;
      if (flow.closed !== undefined) expect(record!.ended).toBe(flow.closed);
      else if (quiet < 15) expect(record!.ended).toBe('flushed');
      else if (quiet > 15.6) expect(record!.ended).toBe('idle');
    }
    expectBalanced(meter);
  });

  test('is told by tshark alike, where that has no tunnels to open', async () => {
    const outside = flowsOf(17, 800).packets.filter(
      ({ data }) => data[12] === 0x08 && data[23] !== 47 && data[23] !== 17,
    );
    const trace = fileOf(outside);
    const [records] = await metered(trace);
    const text = execFileSync('tshark', ['-r', trace, '-q', '-z', 'conv,tcp'], { encoding: 'utf8' });
    const told = [...text.matchAll(/^(\S+):(\d+)\s+<->\s+(\S+):(\d+)\s+(\d+) .*?\s+(\d+) .*?\s+(\d+) /gm)].map(
      ([, a, ap, b, bp, toA, toB, both]) =>
        `${[`${a}:${ap}`, `${b}:${bp}`].sort().join(' ')} ${both} ${Math.min(Number(toA), Number(toB))}`,
    );
    const ours = records.map(({ src, srcPort, dst, dstPort, packets }) => {
      const ends = [`${src}:${srcPort}`, `${dst}:${dstPort}`].sort().join(' ');
      return `${ends} ${packets[0] + packets[1]} ${Math.min(...packets)}`;
    });
    expect(told.length).toBeGreaterThan(30);
    expect(ours.sort()).toEqual(told.sort());
  });
});

test('lines of JSON are what record() says, in the words of EVE', async () => {
  const meter = new FlowMeter();
  for await (const batch of await opened(fileOf(flowsOf(18, 100).packets))) meter.add(batch);
  meter.flush();
  for (const flows of meter.drain()) {
    const lines = Buffer.from(flows.toJsonLines()).toString().trimEnd().split('\n');
    expect(lines).toHaveLength(flows.length);
    for (const [i, line] of lines.entries()) {
      const record = flows.record(i);
      const eve = flows.eve(i);
      expect(JSON.parse(line)).toEqual(eve);
      expect(eve).toMatchObject({
        event_type: 'flow',
        flow_id: record.id,
        src_ip: record.src,
        src_port: record.srcPort,
        dest_ip: record.dst,
        dest_port: record.dstPort,
        proto: { 6: 'TCP', 17: 'UDP' }[record.protocol],
        flow: {
          pkts_toserver: record.packets[0],
          pkts_toclient: record.packets[1],
          bytes_toserver: record.frameBytes[0],
          bytes_toclient: record.frameBytes[1],
          ended: record.ended,
          state: record.state,
        },
      });
      const time = (ns: bigint) => `${new Date(Number(ns / 1_000_000n)).toISOString().slice(0, -1)}`;
      expect(eve.flow.start.slice(0, 23)).toBe(time(record.start));
      expect(eve.timestamp).toMatch(/^2023-11-14T22:1\d:\d\d\.\d{6}\+0000$/);
      expect(eve.vlan ?? []).toEqual(record.vlans);
      expect(eve.tunnel ?? { kind: 'none', id: 0 }).toEqual(record.tunnel);
    }
    const rows = Buffer.from(flows.toCsvLines()).toString().trimEnd().split('\n');
    const names = FlowBatch.csvHead.split(',');
    for (const [i, row] of rows.entries()) {
      const values = Object.fromEntries(row.split(',').map((value, n) => [names[n], value]));
      expect(Object.keys(values)).toEqual(names);
      expect(values).toMatchObject({
        src_ip: flows.src(i),
        flow_id: String(flows.id[i]),
        ended: flows.record(i).ended,
      });
    }
  }
});

test('addresses are written as inet_ntop() writes them', async () => {
  const addresses = [
    '0'.repeat(32),
    `${'0'.repeat(31)}1`,
    `${'0'.repeat(20)}ffff0a000001`,
    `20010db8${'0'.repeat(23)}1`,
    '20010db80000000100000000000000ff',
    '00010002000300040005000600070008',
    `fe80${'0'.repeat(28)}`,
    `${'0'.repeat(24)}0a000001`,
  ];
  const frames = addresses.map((source, i) =>
    ethernet(0x86dd, bytes('60000000 0008 11 40', source, `ff02${'0'.repeat(27)}2`, udp(i + 1, 9, Buffer.alloc(0)))),
  );
  const meter = new FlowMeter();
  meter.add(await batchOf(...frames));
  meter.flush();
  const [flows] = meter.drain();
  const ours = Array.from({ length: addresses.length }, (_, i) => flows!.eve(i).src_ip);
  expect(ours).toEqual(Array.from({ length: addresses.length }, (_, i) => flows!.src(i)));
  expect([...ours].sort()).toContain('::ffff:10.0.0.1');
});

test('what is in tunnels is metered where the capture has opened them, and where the meter does', async () => {
  const file = fileOf([{ data: vxlan(42, someUdp) }]);
  const [[byMeter]] = await metered(file);
  const [[asIs]] = await metered(file, { decap: false });
  const capture = await open(`file:${file}`, { decap: 'auto' });
  captures.push(capture);
  const meter = new FlowMeter({ decap: false });
  for await (const batch of capture) {
    meter.add(batch);
    meter.add(batch.copy());
  }
  meter.flush();
  const [byCapture, ...others] = recordsOf(meter);
  expect(others).toEqual([]);
  expect(byCapture).toMatchObject({
    dst: byMeter!.dst,
    dstPort: 53,
    tunnel: { kind: 'vxlan', id: 42 },
    packets: [2, 0],
  });
  expect(byMeter).toMatchObject({ tunnel: { kind: 'vxlan', id: 42 }, packets: [1, 0] });
  expect(asIs).toMatchObject({ dstPort: 4789, tunnel: { kind: 'none', id: 0 } });
});

test('flows end by the clock that they are told, and by nothing else', async () => {
  const meter = new FlowMeter({ idleTimeoutMs: 1000 });
  const batch = await batchOf(someUdp);
  const at = batch.timeNs(0);
  meter.add(batch);
  expect(meter.advance(at + 900_000_000n)).toBe(0);
  expect(meter.advance(at + 1_600_000_000n)).toBe(1);
  meter.add(batch);
  expect(meter.advance()).toBe(2); // it is later than 2023
});

test('a meter says what became of each packet', async () => {
  const meter = new FlowMeter();
  const arp = ethernet(0x0806, Buffer.alloc(28));
  meter.add(await batchOf(someUdp, someTcp(2), arp, ethernet(0x0800, Buffer.alloc(20)), someUdp.subarray(0, 30)));
  expect(meter.stats()).toMatchObject({ packets: 5, inFlows: 2, notIp: { arp: 1 }, malformed: 2, flows: 2, active: 2 });
  expectBalanced(meter);
});

test('a batch that was released is none, and what is no batch neither', async () => {
  const meter = new FlowMeter();
  const batch = await batchOf(someUdp);
  batch.release();
  expect(await failure(() => meter.add(batch))).toMatchObject({ code: 'RINGTAP_RELEASED' });
  expect(await failure(() => meter.add({} as Batch))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
});

test('what was scribbled over descriptors and records does no harm', async () => {
  const batch = (await batchOf(someUdp, someTcp(2), someUdp)).copy();
  batch.offset[0] = 0xffffffff;
  batch.caplen[1] = 0xffffffff;
  batch.time[2] = Number.NaN;
  batch.flags.fill(0xffffffff);
  const meter = new FlowMeter();
  meter.add(batch);
  meter.flush();
  expect(meter.stats()).toMatchObject({ packets: 3, malformed: 2, inFlows: 1 });
  const [flows] = meter.drain();
  flows!.start.fill(Number.NEGATIVE_INFINITY);
  flows!.end.fill(1e300);
  flows!.id.fill(Number.NaN);
  for (const column of [flows!.protocol, flows!.ended, flows!.state, flows!.tunnelKind]) column.fill(255);
  expect(flows!.eve(0)).toMatchObject({ flow_id: 0, proto: '255' });
  structuredClone(flows!.id.buffer, { transfer: [flows!.id.buffer as ArrayBuffer] });
  expect(await failure(() => flows!.toJsonLines())).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
  expect(await failure(() => flows!.record(0))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
});

test('records that nobody drains are bounded, and those beyond are counted', async () => {
  const frames = Array.from({ length: 200 }, (_, i) =>
    ethernet(0x0800, ipv4({ protocol: 17 }, udp(i + 1, 53, Buffer.alloc(1)))),
  );
  const [records, meter] = await metered(fileOf(frames.map((data) => ({ data }))), { maxRecords: 50 });
  expect(records).toHaveLength(50);
  expect(meter.stats()).toMatchObject({ flows: 200, records: { flushed: 200 }, waiting: 0, lost: 150 });
  expectBalanced(meter);
});

test('what each end sends first is kept on request, and no more of it than that', async () => {
  const says = (text: string, fragment = 0) =>
    ethernet(0x0800, ipv4({ protocol: 17, fragment }, udp(40000, 53, Buffer.from(text))));
  const answer = ethernet(
    0x0800,
    ipv4({ protocol: 17, source: '10.0.0.2', destination: '10.0.0.1' }, udp(53, 40000, Buffer.from('yes'))),
  );
  const ask = ethernet(
    0x0800,
    ipv4({ protocol: 17, source: '10.0.0.1', destination: '10.0.0.2' }, udp(40000, 53, Buffer.from('who is it'))),
  );
  for (const [payloadBytes, expected] of [
    [6, ['who is', 'yes']],
    [255, ['who is it', 'yes']],
    [0, ['', '']],
  ] as const) {
    const meter = new FlowMeter({ payloadBytes });
    meter.add(await batchOf(ask, answer, ask, vxlan(7, ask), someTcp(2)));
    meter.flush();
    const [flows] = meter.drain();
    const told = Array.from({ length: flows!.length }, (_, i) =>
      flows!.payload(i).map((bytes) => Buffer.from(bytes).toString()),
    );
    expect(told).toEqual([expected, [expected[0], ''], ['', '']]);
  }
  // Where slots and memory are used again, nothing of an earlier flow is left.
  const meter = new FlowMeter({ payloadBytes: 8, maxFlows: 1 });
  meter.add(await batchOf(says('something'), someTcp(2), says('x', 0)));
  meter.flush();
  const texts = [...meter.drain()].flatMap((flows) =>
    Array.from({ length: flows.length }, (_, i) => Buffer.from(flows.payload(i)[0]).toString()),
  );
  expect(texts).toEqual(['somethin', '', 'x']);
});

test('a long wait for a drain gives all records, in the order in which they were made', async () => {
  const datagram = (port: number) => ethernet(0x0800, ipv4({ protocol: 17 }, udp(port, 53, Buffer.alloc(1))));
  const times = Array.from({ length: 9000 }, (_, i) => ({ data: datagram(i + 1), time: BigInt(i) * 10_000_000n }));
  const [records] = await metered(fileOf(times));
  expect(records).toHaveLength(9000);
  expect(new Set(records.map(({ srcPort }) => srcPort)).size).toBe(9000);
  const ends = records
    .filter(({ ended }) => ended === 'idle')
    .map(({ end }) => Number((end + 15_000_000_000n) / 268_435_456n));
  expect(ends).toEqual([...ends].sort((a, b) => a - b));
});

test('what is wrong with options is told once, with its cause, and where to read on', async () => {
  const unknown = await failure(() => new FlowMeter({ unknownX: 1 } as object));
  expect(unknown.message).toContain('no "unknownX" in options');
  const wrong = await failure(() => new FlowMeter({ maxFlows: 0 }));
  expect(wrong).toMatchObject({ hint: expect.stringContaining('docs/flows.md') });
  const none = await failure(() => new FlowMeter({ protocols: [] }));
  expect(none).toMatchObject({
    code: 'RINGTAP_BAD_OPTION',
    message: expect.stringContaining('1 to 64 names, not one of 0'),
  });
  const cause = new Error('mine');
  const thrown = await failure(
    () =>
      new FlowMeter({
        get maxFlows(): number {
          throw cause;
        },
      }),
  );
  expect(thrown).toMatchObject({ code: 'RINGTAP_BAD_OPTION', cause });
  const late = await failure(() => new FlowMeter().advance(2n ** 64n));
  expect(late.message).toContain('64 bits');
});
