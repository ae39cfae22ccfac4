// Workers that share an interface's packets: flows stay together, and each packet comes once.
import { readdirSync } from 'node:fs';
import { open, openParallel, openTransmitter } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { script } from '../support/child.js';
import { flowMix, KINDS } from '../support/flow-mix.js';
import { lab, send } from '../support/lab.js';
import { expectBalanced } from '../support/packets.js';
import { descriptors } from '../support/resources.js';
import { until } from '../support/wait.js';

const rx = lab?.rx ?? '';
const tx = lab?.tx ?? '';
const handler = new URL('../support/count-flows.mjs', import.meta.url);

interface Part {
  readonly packets: number;
  readonly flows: readonly (readonly [number, number])[];
}
interface Sum {
  readonly packets: number;
  /** Which workers have seen a flow. */
  readonly workers: Map<number, Set<number>>;
}
const gather = () => ({
  initial: { packets: 0, workers: new Map() } as Sum,
  merge({ packets, workers }: Sum, part: Part, worker: number): Sum {
    for (const [flow] of part.flows) workers.set(flow, (workers.get(flow) ?? new Set()).add(worker));
    return { packets: packets + part.packets, workers };
  },
  intervalMs: 100,
});

async function sendAll(frames: readonly Buffer[]): Promise<void> {
  await using transmitter = await openTransmitter(`afpacket:${tx}`);
  for (const [i, frame] of frames.entries()) {
    while (!transmitter.send(frame)) await transmitter.drain();
    if (i % 256 === 255) await transmitter.flush(); // the other end's queue is short
  }
  await transmitter.flush();
}

/** Kinds of flows that more than one worker has seen. */
function split({ workers }: Sum): Record<string, number> {
  const found: Record<string, number> = {};
  for (const [flow, seen] of workers) {
    const kind = KINDS[flow % KINDS.length]!;
    if (seen.size > 1) found[kind] = (found[kind] ?? 0) + 1;
  }
  return found;
}

describe.skipIf(lab === null)('parallel', () => {
  test.each(['bidirectional', 'addresses'] as const)(
    'no flow is seen by two of four workers, tags, fragments, errors and tunnels included, by %s',
    async (hash) => {
      const frames = flowMix(6000);
      await using parallel = await openParallel(`afpacket:${rx}`, {
        workers: 4,
        hash,
        handler,
        bufferBytes: 16 << 20,
        reduce: gather(),
      });
      expect(parallel.sharing).toMatchObject({ method: 'fanout-ebpf', hash });
      await sendAll(frames);
      await until(() => parallel.stats().delivered === frames.length, 'all frames');
      await parallel.close();
      const stats = parallel.stats();
      expectBalanced(stats);
      expect(stats).toMatchObject({
        received: frames.length,
        delivered: frames.length,
        dropped: 0,
        orphanFragments: 0,
      });
      expect(parallel.complete).toBe(true);
      expect(parallel.reduced.packets).toBe(frames.length);
      expect(parallel.reduced.workers.size).toBe(6000);
      expect(split(parallel.reduced)).toEqual({});
      expect(stats.imbalance).toBeLessThan(1.1);
    },
  );

  test('a process without the right to load eBPF shares packets by addresses, and says so', async () => {
    const { stdout, stderr } = await script(
      `import { openParallel, openTransmitter } from 'ringtap';
      const [rx, tx, handler] = process.argv.slice(1);
      const parallel = await openParallel('afpacket:' + rx, { workers: 2, handler, bufferBytes: 1 << 20, blockBytes: 65536 });
      console.log(JSON.stringify([parallel.sharing, parallel.plan.notes]));
      await parallel.close();`,
      {
        args: [rx, tx, handler.pathname],
        prefix: ['setpriv', '--inh-caps=-all,+net_raw', '--bounding-set=-all,+net_raw'],
      },
    );
    expect(stderr).toBe('');
    const [sharing, notes] = JSON.parse(stdout) as [object, string[]];
    expect(sharing).toMatchObject({ method: 'fanout-cbpf', hash: 'addresses', notKept: [] });
    expect(notes.join()).toContain('by hash addresses, not bidirectional');
  });

  test.each(['afxdp', 'pcap'])('what no kernel shares is dealt out by a thread: %s', async (method) => {
    await using parallel = await openParallel(`${method}:${rx}`, { workers: 2, handler, reduce: gather() });
    expect(parallel.sharing.method).toBe('distributor');
    const frames = flowMix(1000);
    await sendAll(frames);
    await until(() => parallel.stats().delivered === frames.length, 'all frames');
    await parallel.close();
    expectBalanced(parallel.stats());
    expect(parallel.stats()).toMatchObject({ received: frames.length, dropped: 0, orphanFragments: 0 });
    expect(parallel.reduced.packets).toBe(frames.length);
    expect(split(parallel.reduced)).toEqual({});
  });

  test('workers that end under load are replaced, each packet comes once or is counted, and nothing is left open', async () => {
    const warm = await open(`afpacket:${rx}`);
    await warm.close();
    const before = descriptors().size;
    const faults: string[] = [];
    const parallel = await openParallel(`afpacket:${rx}`, {
      workers: 2,
      handler,
      bufferBytes: 8 << 20,
      data: { victim: 1, how: 'throw', after: 3 },
      restarts: 1000,
      onFault: ({ worker, kind, error, restarted }) => faults.push(`${worker} ${kind} ${error.message} ${restarted}`),
    });
    const { sent } = await send({ count: 120_000, rate: 80_000, flows: 200 });
    await until(() => parallel.stats().pending === 0, 'the last packet');
    const stats = parallel.stats();
    expectBalanced(stats);
    expect(stats.received).toBe(sent);
    expect(stats.delivered + stats.dropped).toBe(sent);
    expect(faults.length).toBeGreaterThan(2);
    expect(stats.workers.map(({ restarts }) => restarts)).toEqual([0, faults.length]);
    expect(new Set(faults)).toEqual(new Set(['1 throw on purpose true']));
    const began = performance.now();
    await parallel.close();
    expect(performance.now() - began).toBeLessThan(2000);
    await until(() => descriptors().size <= before, 'descriptors to be closed');
    expect(readdirSync('/proc/self/task').length).toBeLessThan(60);
  });
});
