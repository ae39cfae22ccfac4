// A million packets of many flows, and two hundred workers that are ended while they work.
import { appendFileSync, writeFileSync } from 'node:fs';
import { open, openParallel } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { flowMix } from '../support/flow-mix.js';
import { temporaryFolder } from '../support/folder.js';
import { lab, traffic } from '../support/lab.js';
import { expectBalanced } from '../support/packets.js';
import { descriptors } from '../support/resources.js';
import { until, within } from '../support/wait.js';

const rx = lab?.rx ?? '';
const handler = new URL('../support/count-flows.mjs', import.meta.url);
const file = temporaryFolder();
const residentMb = () => process.memoryUsage().rss / 2 ** 20;

describe.skipIf(lab === null)('parallel', () => {
  test('two hundred workers that end under load leave nothing behind, and each packet comes once or is counted', async () => {
    await (await open(`afpacket:${rx}`)).close();
    const before = descriptors().size;
    const faults = { throw: 0, exit: 0, hang: 0 };
    const parallel = await openParallel(`afpacket:${rx}`, {
      workers: 4,
      handler,
      bufferBytes: 16 << 20,
      // Of a restarted worker the count begins anew: it ends again and again.
      data: { victim: 2, how: 'throw', after: 2 },
      restarts: 1e6,
      hangMs: 2000,
      onFault: ({ kind }) => faults[kind]++,
    });
    const sender = traffic({ count: 100_000_000, rate: 100_000, flows: 5000 });
    let resident = 0;
    await until(
      () => {
        if (faults.throw === 50 && resident === 0) resident = residentMb();
        return faults.throw >= 200;
      },
      'two hundred faults',
      120_000,
    );
    sender.process.kill('SIGINT');
    const { sent } = await sender.sent;
    await until(() => parallel.stats().pending === 0, 'the last packet');
    const stats = parallel.stats();
    expectBalanced(stats);
    expect(stats.received).toBe(sent);
    expect(stats.delivered + stats.dropped).toBe(sent);
    for (const [i, worker] of stats.workers.entries()) if (i !== 2) expect(worker.dropped).toBe(0);
    expect(residentMb() - resident).toBeLessThan(60);
    await parallel.close();
    await until(() => descriptors().size <= before, 'descriptors to be closed');
  });

  test('one capture by eight workers and eight captures by one process are exact at once', async () => {
    const captures = await Promise.all(
      Array.from({ length: 8 }, () => open(`afpacket:${rx}`, { bufferBytes: 8 << 20 })),
    );
    const parallel = await openParallel(`afpacket:${rx}`, { workers: 8, handler, bufferBytes: 8 << 20 });
    const counts = captures.map(async (capture) => {
      let packets = 0;
      for await (const batch of capture) packets += batch.length;
      return packets;
    });
    const sender = traffic({ count: 200_000, rate: 50_000, flows: 5000 });
    const { sent } = await sender.sent;
    const all = () => [parallel, ...captures].map((one) => one.stats());
    await until(() => all().every(({ received, pending }) => received === sent && pending === 0), 'all packets');
    for (const stats of all()) expectBalanced(stats);
    expect(parallel.stats().delivered + parallel.stats().dropped).toBe(sent);
    await Promise.all([parallel.close(), ...captures.map((capture) => capture.close())]);
    expect((await Promise.all(counts)).every((packets, i) => packets === captures[i]!.stats().delivered)).toBe(true);
  });

  test.each([2, 4, 8])(
    'a trace of more than a million packets of 40,000 flows is dealt out to %i workers, flows whole',
    async (workers) => {
      const path = file('mix.pcap');
      const frames = flowMix(40_000);
      if (workers === 2) {
        const header = Buffer.alloc(24);
        for (const [i, word] of [0xa1b2c3d4, 0x00040002, 0, 0, 262144, 1].entries()) header.writeUInt32LE(word, i * 4);
        writeFileSync(path, header);
        const records = Buffer.concat(
          frames.flatMap((frame) => {
            const head = Buffer.alloc(16);
            head.writeUInt32LE(frame.length, 8);
            head.writeUInt32LE(frame.length, 12);
            return [head, frame];
          }),
        );
        // The same flows over and over.
        for (let i = 0; i < 8; i++) appendFileSync(path, records);
      }
      const seen = new Map<number, Set<number>>();
      let packets = 0;
      await using parallel = await openParallel(`file:${path}`, {
        workers,
        handler,
        reduce: {
          initial: null,
          merge(_: null, part: { packets: number; flows: [number, number][] }, worker: number) {
            packets += part.packets;
            for (const [flow] of part.flows) seen.set(flow, (seen.get(flow) ?? new Set()).add(worker));
            return null;
          },
        },
      });
      await within(parallel.finished(), 'the end', 100_000);
      expect(packets).toBe(frames.length * 8);
      expect(packets).toBeGreaterThan(1_000_000);
      expect(seen.size).toBe(40_000);
      expect([...seen.values()].filter((those) => those.size > 1)).toEqual([]);
      expect(parallel.stats().imbalance).toBeLessThan(1.1);
    },
  );
});
