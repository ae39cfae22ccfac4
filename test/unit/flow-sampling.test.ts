// Sampling by interface: each has its rate, and each record the factor that is right for it.
import { writeFileSync } from 'node:fs';
import { open } from 'ringtap';
import { FlowMeter, type FlowMeterOptions, type FlowRecord } from 'ringtap/flow';
import { describe, expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.js';
import { failure } from '../support/packets.js';
import { Pcapng } from '../support/pcapng.js';
import { ethernet, ipv4, udp } from '../support/trace.js';

const path = temporaryFolder();
const frame = (port: number) => ethernet(0x0800, ipv4({ protocol: 17 }, udp(port, 53, Buffer.alloc(22, 7))));

/** Three interfaces that have each 1000 packets of a flow of its own, and 1000 of one that they share, in turns. */
const file = path('three.pcapng');
const trace = new Pcapng().section().interface(1).interface(1).interface(1);
for (let i = 0n; i < 1000n; i++) {
  for (const of of [0, 1, 2]) trace.packet(of, i, frame(1000 + of)).packet(of, i, frame(2000));
}
writeFileSync(file, trace.bytes());

async function metered(sampling: FlowMeterOptions['sampling'], copied: boolean): Promise<[FlowRecord[], FlowMeter]> {
  const meter = new FlowMeter({ sampling });
  await using capture = await open(`file:${file}`);
  for await (const batch of capture) meter.add(copied ? batch.copy() : batch);
  meter.flush();
  return [[...meter.drain()].flatMap((flows) => Array.from(flows.id, (_, i) => flows.record(i))), meter];
}

describe.each([
  ['lent batches', false],
  ['owned copies', true],
])('of %s', (_, copied) => {
  test('each interface has its rate, and others that of packets; a record multiplies to what was there', async () => {
    const [records, meter] = await metered({ packets: 50, interfaces: { 0: 1, 2: 10 } }, copied);
    const seen = (sampling: number) => records.filter((record) => record.sampling === sampling);
    expect(new Set(records.map(({ sampling }) => sampling))).toEqual(new Set([1, 10, 50]));
    for (const factor of [1, 10, 50]) {
      const packets = seen(factor).reduce((sum, record) => sum + record.packets[0], 0);
      expect(packets * factor).toBe(2000);
    }
    // What several rates saw of one conversation is as many records.
    expect(records.filter(({ srcPort }) => srcPort === 2000).map(({ sampling }) => sampling)).toContain(1);
    expect(meter.stats()).toMatchObject({ packets: 6000, inFlows: 2000 + 200 + 40, sampledOut: 6000 - 2240 });
  });

  test('interfaces of one rate share their flows', async () => {
    const [records] = await metered({ interfaces: { 0: 1, 1: 1 } }, copied);
    expect(records.map(({ srcPort, packets, sampling }) => [srcPort, packets[0], sampling])).toEqual([
      [1000, 1000, 1],
      [2000, 3000, 1],
      [1001, 1000, 1],
      [1002, 1000, 1],
    ]);
  });
});

test.each([
  ['no number of an interface', { interfaces: { eth0: 10 } }],
  ['more than 16 bits', { interfaces: { 65536: 10 } }],
  ['a rate of none', { interfaces: { 0: 0 } }],
  ['no object', { interfaces: [100] }],
  ['both flows and interfaces', { flows: 10, interfaces: { 0: 2 } }],
  ['17 rates', { interfaces: Object.fromEntries(Array.from({ length: 16 }, (_, i) => [i, i + 2])) }],
])('%s is told', async (_, sampling) => {
  const wrong = sampling as FlowMeterOptions['sampling'];
  expect(await failure(() => new FlowMeter({ sampling: wrong }))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
});

test('16 rates are not too many', () => {
  const interfaces = Object.fromEntries(Array.from({ length: 15 }, (_, i) => [65535 - i, i + 2]));
  expect(new FlowMeter({ sampling: { interfaces } }).stats().packets).toBe(0);
});
