// The same trace, metered by nfpcapd: flows of one direction each, by its own decoder, table and timeouts.
import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { open } from 'ringtap';
import { FlowMeter } from 'ringtap/flow';
import { expect, test } from 'vitest';
import { flowsOf } from '../support/flow-cases.js';
import { temporaryFolder } from '../support/folder.js';
import { writePcap } from '../support/trace.js';

const path = temporaryFolder();

/** Packets and bytes by protocol and both ends, in one direction; what is told in parts is one. */
class Sums {
  readonly #sums = new Map<string, [number, number]>();

  add(key: string, packets: number, bytes: number): void {
    if (packets === 0) return;
    const sum = this.#sums.get(key) ?? [0, 0];
    this.#sums.set(key, [sum[0] + packets, sum[1] + bytes]);
  }

  sorted(): string[] {
    return [...this.#sums].map(([key, [packets, bytes]]) => `${key}: ${packets} packets, ${bytes} bytes`).sort();
  }
}

function toldByNfdump(trace: string): Sums {
  const folder = path('nfcapd');
  mkdirSync(folder);
  execFileSync('nfpcapd', ['-r', trace, '-w', folder], { stdio: 'ignore' });
  const format = 'fmt:%pr|%sa|%sp|%da|%dp|%pkt|%byt';
  const text = execFileSync('nfdump', ['-R', folder, '-q', '-N', '-6', '-o', format], { encoding: 'utf8' });
  const sums = new Sums();
  for (const line of text.trim().split('\n')) {
    const [protocol, src, srcPort, dst, dstPort, packets, bytes] = line.split('|').map((field) => field.trim());
    sums.add(`${protocol} ${src} ${srcPort} ${dst} ${dstPort}`, Number(packets), Number(bytes));
  }
  return sums;
}

async function toldByUs(trace: string): Promise<Sums> {
  const meter = new FlowMeter();
  const capture = await open(`file:${trace}`);
  for await (const batch of capture) meter.add(batch);
  meter.flush();
  const sums = new Sums();
  for (const flows of meter.drain()) {
    for (let i = 0; i < flows.length; i++) {
      const { protocol, src, dst, srcPort, dstPort, packets, ipBytes } = flows.record(i);
      sums.add(`${protocol} ${src} ${srcPort} ${dst} ${dstPort}`, packets[0], ipBytes[0]);
      sums.add(`${protocol} ${dst} ${dstPort} ${src} ${srcPort}`, packets[1], ipBytes[1]);
    }
  }
  return sums;
}

test('nfpcapd tells the same packets and bytes of every flow, in both directions', async () => {
  const { packets, expected } = flowsOf(23, 2000, { plain: true });
  const trace = path('plain.pcap');
  writePcap(trace, packets);
  const theirs = toldByNfdump(trace).sorted();
  expect(theirs.length).toBeGreaterThan(expected.length); // most flows have answers
  expect((await toldByUs(trace)).sorted()).toEqual(theirs);
});
