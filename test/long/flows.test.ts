// Ten thousand to a million flows: every number of every flow is what was sent.
import { spawnSync } from 'node:child_process';
import { createReadStream, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { open } from 'ringtap';
import { type FlowBatch, FlowMeter } from 'ringtap/flow';
import { expect, test } from 'vitest';
import { differences, flowsOf } from '../support/flow-cases.js';
import { temporaryFolder } from '../support/folder.js';
import { writePcap } from '../support/trace.js';

const path = temporaryFolder();
const MINUTES = 60_000;
const generator = fileURLToPath(new URL('../../build/addon/bin/ringtap-flowtrace', import.meta.url));

async function metered(trace: string): Promise<[FlowMeter, FlowBatch[]]> {
  const meter = new FlowMeter();
  const all: FlowBatch[] = [];
  for await (const batch of await open(`file:${trace}`, { batchSize: 4096 })) {
    meter.add(batch);
    all.push(...meter.drain());
  }
  meter.flush();
  all.push(...meter.drain());
  return [meter, all];
}

test.each([10_000, 100_000])(
  '%d flows in VLANs, tunnels and fragments are told exactly',
  async (count) => {
    const { packets, expected } = flowsOf(count, count);
    const trace = path('flows.pcap');
    writePcap(trace, packets);
    const [meter, all] = await metered(trace);
    const records = all.flatMap((flows) => Array.from({ length: flows.length }, (_, i) => flows.record(i)));
    expect(differences(expected, records)).toEqual([]);
    const stats = { packets: packets.length, inFlows: packets.length, flows: count, active: 0, lost: 0 };
    expect(meter.stats()).toMatchObject(stats);
  },
  20 * MINUTES,
);

test(
  'a million flows, most of them open at once, are told exactly',
  async () => {
    const [trace, truth] = [path('million.pcap'), path('million.txt')];
    const { status } = spawnSync(generator, ['1000000', '2', truth], {
      stdio: ['ignore', openSync(trace, 'w'), 'inherit'],
    });
    expect(status).toBe(0);
    const [meter, all] = await metered(trace);
    expect(meter.stats()).toMatchObject({ flows: 1_000_000, active: 0, lost: 0 });
    const told = new Map<string, string>();
    for (const flows of all) for (let i = 0; i < flows.length; i++) told.set(...lineOf(flows, i));
    expect(told.size).toBe(1_000_000);
    let wrong = 0;
    for await (const line of createInterface({ input: createReadStream(truth) })) {
      if (told.get(line.slice(0, line.indexOf(' '))) !== line) wrong++;
    }
    expect(wrong).toBe(0);
  },
  20 * MINUTES,
);

/** The client's address, and all of it as the generator has it. */
function lineOf(flows: FlowBatch, i: number): [string, string] {
  const isSix = flows.ipVersion[i] === 6;
  const client = isSix
    ? Buffer.from(flows.src6.buffer, flows.src6.byteOffset).readUInt32BE(16 * i + 12)
    : flows.src4[i]!;
  const micros = (ns: number) => String((flows.epoch + BigInt(Math.round(ns))) / 1000n);
  const numbers = [
    client,
    flows.srcPort[i],
    flows.packetsToServer[i],
    flows.packetsToClient[i],
    flows.ipBytesToServer[i],
    flows.ipBytesToClient[i],
    flows.frameBytesToServer[i],
    flows.frameBytesToClient[i],
    micros(flows.start[i]!),
    micros(flows.end[i]!),
    flows.tcpFlagsToServer[i]! | flows.tcpFlagsToClient[i]!,
  ];
  return [String(client), numbers.join(' ')];
}
