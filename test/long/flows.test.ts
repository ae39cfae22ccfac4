// Ten thousand to a million flows in VLANs, tunnels and fragments: every number of every flow is what was sent.
import { open } from 'ringtap';
import { FlowMeter, type FlowRecord } from 'ringtap/flow';
import { expect, test } from 'vitest';
import { differences, flowsOf } from '../support/flow-cases.js';
import { temporaryFolder } from '../support/folder.js';
import { writePcap } from '../support/trace.js';

const path = temporaryFolder();
/** Flows that are made at once. */
const MOST = 50_000;
/** Seconds between them: longer than any flow of the last ones. */
const APART = 100;

test.each([10_000, 100_000, 1_000_000])('%d flows are told exactly', async (total) => {
  const meter = new FlowMeter();
  const recordsOf = (): FlowRecord[] =>
    [...meter.drain()].flatMap((flows) => Array.from({ length: flows.length }, (_, i) => flows.record(i)));
  let last: ReturnType<typeof flowsOf>['expected'] = [];
  let packets = 0;
  for (let first = 0; first < total; first += MOST) {
    const begin = 1_700_000_000 + (first / MOST) * APART;
    const { packets: sent, expected } = flowsOf(first + 1, Math.min(MOST, total - first), { first, begin });
    const trace = path('flows.pcap');
    writePcap(trace, sent);
    packets += sent.length;
    for await (const batch of await open(`file:${trace}`, { batchSize: 4096 })) meter.add(batch);
    meter.flush();
    expect(differences(expected, recordsOf())).toEqual([]);
    last = expected;
  }
  expect(last.length).toBeGreaterThan(0);
  expect(meter.stats()).toMatchObject({ packets, inFlows: packets, flows: total, active: 0, lost: 0 });
});
