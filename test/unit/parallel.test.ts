// Workers that share a trace or packets that were made up: each packet once, faults, and how it ends.
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { open, openParallel, openWriter, type ParallelCapture, type WorkerFault } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { script } from '../support/child.js';
import { ringtap } from '../support/cli.js';
import { flowMix } from '../support/flow-mix.js';
import { temporaryFolder } from '../support/folder.js';
import { expectBalanced, failure } from '../support/packets.js';
import { within } from '../support/wait.js';

const counting = new URL('../support/count-flows.mjs', import.meta.url);
const file = temporaryFolder();

/** A handler module of its own. */
function handlerOf(name: string, source: string): URL {
  const path = file(`${name}.mjs`);
  writeFileSync(path, source);
  return pathToFileURL(path);
}
const sum = () => ({
  initial: 0,
  merge: (so: number, { packets }: { packets: number }) => so + packets,
  intervalMs: 50,
});
const finished = (parallel: ParallelCapture) => within(parallel.finished(), 'the end');

/** Frames as a trace. */
function traceOf(path: string, frames: readonly Buffer[]): void {
  const header = Buffer.alloc(24);
  for (const [i, word] of [0xa1b2c3d4, 0x00040002, 0, 0, 262144, 1].entries()) header.writeUInt32LE(word, i * 4);
  const records = frames.map((frame, i) => {
    const head = Buffer.alloc(16);
    const words = [Math.floor(i / 1e6), i % 1e6, frame.length, frame.length];
    for (const [j, word] of words.entries()) head.writeUInt32LE(word, j * 4);
    return Buffer.concat([head, frame]);
  });
  writeFileSync(path, Buffer.concat([header, ...records]));
}

describe.skipIf(process.platform !== 'linux')('parallel', () => {
  test.each([1, 2, 5])(
    'each made-up packet comes to one of %i workers, and the sum of all is exact',
    async (workers) => {
      await using parallel = await openParallel('synth:?count=300000&flows=3000', {
        workers,
        handler: workers === 1 ? { href: counting.href } : counting,
        reduce: sum(),
      });
      expect(parallel.sharing).toMatchObject({ method: 'distributor', hash: 'bidirectional' });
      expect(parallel.workers).toBe(workers);
      const ends: number[] = [];
      for await (const { worker, value } of parallel.reports()) ends[worker] = (value as { packets: number }).packets;
      await finished(parallel);
      expect(parallel.reduced).toBe(300_000);
      expect(parallel.complete).toBe(true);
      const stats = parallel.stats();
      expectBalanced(stats);
      expect(stats).toMatchObject({ received: 300_000, delivered: 300_000, dropped: 0, pending: 0 });
      expect(stats.workers.map(({ delivered }) => delivered)).toEqual(ends);
      expect(stats.imbalance).toBeLessThan(1.15);
    },
  );

  test('flows of a trace stay together, compressed or not, and a worker that is slow loses nothing', async () => {
    const frames = flowMix(2000);
    traceOf(file('mix.pcap'), frames);
    const writer = await openWriter(file('mix.pcap.gz'), { compress: 'gzip' });
    await using capture = await open(`file:${file('mix.pcap')}`);
    for await (const batch of capture) await writer.write(batch);
    await writer.close();
    for (const path of ['mix.pcap', 'mix.pcap.gz']) {
      const seen = new Map<number, Set<number>>();
      let packets = 0;
      await using parallel = await openParallel(`file:${file(path)}`, {
        workers: 3,
        batchSize: 64,
        handler: counting,
        data: { victim: 1, how: 'slow' },
        reduce: {
          initial: null,
          merge(_: null, part: { packets: number; flows: [number, number][] }, worker: number) {
            packets += part.packets;
            for (const [flow] of part.flows) seen.set(flow, (seen.get(flow) ?? new Set()).add(worker));
            return null;
          },
        },
      });
      await finished(parallel);
      expect(packets).toBe(frames.length);
      expect(seen.size).toBe(2000);
      expect([...seen.values()].filter((workers) => workers.size > 1)).toEqual([]);
      expect(parallel.stats()).toMatchObject({ delivered: frames.length, dropped: 0, orphanFragments: 0 });
    }
  });

  test.each([
    ['throw', { kind: 'throw', message: 'on purpose' }],
    ['exit', { kind: 'exit', message: 'exit code 7' }],
    ['hang', { kind: 'hang', message: 'silent' }],
  ] as const)(
    'a worker that ends by %s is told of, another one goes on, and no packet comes twice or never',
    async (how, told) => {
      const faults: WorkerFault[] = [];
      const count = how === 'hang' ? 120_000 : 150_000;
      await using parallel = await openParallel(`synth:?count=${count}&flows=500`, {
        workers: 2,
        handler: counting,
        data: { victim: 0, how, after: 100 },
        hangMs: 300,
        restarts: 100,
        onFault: (fault) => void faults.push(fault),
      });
      await finished(parallel);
      expect(faults.length).toBeGreaterThan(1);
      for (const { worker, kind, error, restarted } of faults) {
        expect({ worker, kind, restarted }).toEqual({ worker: 0, kind: told.kind, restarted: true });
        expect(error.message).toContain(told.message);
      }
      const stats = parallel.stats();
      expect(stats).toMatchObject({ received: count, delivered: count, dropped: 0, pending: 0 });
      expect(stats.workers.map(({ restarts }) => restarts)).toEqual([faults.length, 0]);
    },
  );

  test('a worker that fails more often than it may ends all, with what it threw', async () => {
    for (const options of [{ onWorkerExit: 'stop' }, { restarts: 2 }] as const) {
      await using parallel = await openParallel('synth:', {
        workers: 2,
        handler: counting,
        data: { victim: 1, how: 'throw', after: 2 },
        onFault: () => {},
        ...options,
      });
      const error = await failure(() => finished(parallel));
      expect(error).toMatchObject({ code: 'RINGTAP_WORKER_FAILED', backend: 'synth', uri: 'synth:' });
      expect(error.message).toContain('worker 1 has ended (throw)');
      expect(error.cause).toMatchObject({ name: 'TypeError', message: 'on purpose' });
      expect(
        (
          await failure(async () => {
            for await (const _ of parallel.reports());
          })
        ).code,
      ).toBe('RINGTAP_WORKER_FAILED');
      expectBalanced(parallel.stats());
    }
  });

  test('a failure that nobody asks for is a process warning', async () => {
    const warned = once(process, 'warning') as Promise<[Error & { code: string }]>;
    const data = { victim: 0, how: 'throw', after: 1 };
    await using _ = await openParallel('synth:?seed=1', { workers: 1, handler: counting, data, onWorkerExit: 'stop' });
    const [warning] = await within(warned, 'a warning');
    expect(warning).toMatchObject({ name: 'RingtapWarning', code: 'RINGTAP_WORKER' });
    expect(warning.message).toContain('synth:?seed=1: all workers end: worker 0 has ended (throw): on purpose');
  });

  test('what the capture fails with ends all, and what was found before that is there', async () => {
    const options = { workers: 2, handler: counting, reduce: sum() };
    await using parallel = await openParallel('synth:?errorAfter=5000', options);
    expect((await failure(() => finished(parallel))).code).toBe('RINGTAP_INJECTED');
    expect(parallel.stats()).toMatchObject({ received: 5000, delivered: 5000 });
    expect([parallel.reduced, parallel.complete]).toEqual([5000, true]);
    const { code, stdout } = await ringtap('stats', 'synth:?errorAfter=5000', '--workers', '2', '--json');
    expect([code, JSON.parse(stdout).packets]).toEqual([1, 5000]);
  });

  test('it closes within two seconds, whatever handlers do, and its ledger stays', async () => {
    const sources = [
      'export const onBatch = () => {};',
      'export const onBatch = () => { for (;;); };',
      'export const onBatch = async () => {}; export const onEnd = () => new Promise(() => {});',
      'setInterval(() => {}, 10); export const onBatch = () => {}; export const onIdle = () => {};',
    ];
    const opened = sources.map(async (source, i) => {
      const parallel = await openParallel('synth:', { workers: 2, handler: handlerOf(`ends-${i}`, source) });
      await new Promise((done) => setTimeout(done, 50));
      return parallel;
    });
    const all = await Promise.all(opened);
    const began = performance.now();
    await Promise.all(all.map((parallel) => parallel.close()));
    expect(performance.now() - began).toBeLessThan(2000);
    for (const parallel of all) {
      await finished(parallel);
      expectBalanced(parallel.stats());
      await parallel.close();
    }
  });

  test('an asynchronous handler has its batch until it is done, and its worker waits for packets without blocking', async () => {
    const handler = handlerOf(
      'asynchronous',
      `let ticks = 0;
      setInterval(() => ticks++, 5);
      let packets = 0;
      export async function onBatch(batch, { report }) {
        const first = batch.view.getUint32(batch.offset[0]);
        await new Promise((done) => setTimeout(done, 1));
        if (batch.length === 0 || batch.view.getUint32(batch.offset[0]) !== first) throw new Error('it is gone');
        packets += batch.length;
      }
      export const onEnd = ({ report }) => report({ packets, ticks });`,
    );
    await using parallel = await openParallel('synth:?count=20000&rate=100000', { workers: 2, handler });
    let packets = 0;
    for await (const { value } of parallel.reports()) {
      const end = value as { packets: number; ticks: number };
      packets += end.packets;
      expect(end.ticks).toBeGreaterThan(5);
    }
    expect(packets).toBe(parallel.stats().delivered);
    expect(parallel.stats()).toMatchObject({ received: 20_000, pending: 0 });
  });

  test('reports that nobody reads are bounded, and those beyond are counted', async () => {
    const handler = handlerOf('reports', 'export const onBatch = (batch, { report }) => void report(batch.length);');
    await using parallel = await openParallel('synth:?count=100000', {
      workers: 1,
      handler,
      batchSize: 100,
      reportLimit: 50,
    });
    await finished(parallel);
    const [worker] = parallel.stats().workers;
    expect(worker).toMatchObject({ reports: 50 });
    expect(worker!.reportsDropped).toBeGreaterThan(900);
    const told: unknown[] = [];
    for await (const report of parallel.reports()) told.push(report);
    expect(told).toEqual(Array.from({ length: 50 }, () => ({ worker: 0, value: 100 })));
  });

  test('handlers get their data, their place and the plan; onStart is done before the first packet', async () => {
    const handler = handlerOf(
      'context',
      `let ready = false;
      export default {
        async onStart() { await new Promise((done) => setTimeout(done, 50)); ready = true; },
        onBatch(batch) { if (!ready) throw new Error('too early'); },
        onEnd({ worker, workers, data, plan, linkType, epoch, report }) {
          report({ worker, workers, data, backend: plan.backend, linkType, epoch, ready });
        },
      };`,
    );
    const data = { list: [1n, new Map([['a', 1]])] };
    await using parallel = await openParallel('synth:?count=1000', { workers: 2, handler, data, cpus: 'auto' });
    const told: object[] = [];
    for await (const { value } of parallel.reports()) told.push(value as object);
    const common = { workers: 2, data, backend: 'synth', linkType: 1, epoch: 1600000000000000000n, ready: true };
    expect(told).toHaveLength(2);
    for (const worker of [0, 1]) expect(told).toContainEqual({ worker, ...common });
  });

  test('a signal ends it with its reason', async () => {
    const reason = new Error('enough');
    const controller = new AbortController();
    await using parallel = await openParallel('synth:', { workers: 2, handler: counting, signal: controller.signal });
    controller.abort(reason);
    await expect(finished(parallel)).rejects.toBe(reason);
    await expect(openParallel('synth:', { workers: 1, handler: counting, signal: controller.signal })).rejects.toBe(
      reason,
    );
  });

  test.each([
    ['no handler', { handler: undefined }, 'RINGTAP_BAD_HANDLER', 'is missing'],
    ['a handler that is no path', { handler: 7 }, 'RINGTAP_BAD_HANDLER', 'must be a URL or a path'],
    ['a handler that is not there', { handler: './nowhere.mjs' }, 'RINGTAP_BAD_HANDLER', 'nowhere.mjs'],
    ['no workers', { workers: 0 }, 'RINGTAP_BAD_OPTION', '1 to 256'],
    ['a thousand workers', { workers: 1000 }, 'RINGTAP_BAD_OPTION', '1 to 256'],
    ['half a worker', { workers: 1.5 }, 'RINGTAP_BAD_OPTION', '1 to 256'],
    ['a hash that there is not', { hash: 'adresses' }, 'RINGTAP_BAD_OPTION', 'one of bidirectional'],
    ['data that cannot be cloned', { data: () => {} }, 'RINGTAP_BAD_OPTION', 'cannot be cloned'],
    ['a merge that is none', { reduce: { initial: 0 } }, 'RINGTAP_BAD_OPTION', 'merge'],
    ['no processor', { cpus: [] }, 'RINGTAP_BAD_OPTION', 'processors'],
    ['an option of nobody', { wrokers: 2 }, 'RINGTAP_UNKNOWN_OPTION', 'wrokers'],
    ['onStart that throws', { data: { failStart: true } }, 'RINGTAP_WORKER_FAILED', 'no start'],
  ])('%s is refused', async (_, options, code, text) => {
    const error = await failure(() => openParallel('synth:', { handler: counting, workers: 2, ...options } as never));
    expect(error.code).toBe(code);
    expect(error.message).toContain(text);
    expect(error.uri).toBe('synth:');
    expect(error.hint.length).toBeGreaterThan(10);
  });

  test('a module that exports no onBatch, or throws when it is loaded, is refused', async () => {
    const none = handlerOf('none', 'export const onbatch = () => {};');
    const bad = handlerOf('bad', 'throw new RangeError("not today");');
    const noReduce = handlerOf('no-reduce', 'export const onBatch = () => {};');
    const refused = (handler: URL, more = {}) =>
      failure(() => openParallel('synth:', { handler, workers: 2, ...more }));
    expect(await refused(none)).toMatchObject({
      code: 'RINGTAP_BAD_HANDLER',
      message: expect.stringContaining('no function onBatch'),
    });
    const thrown = await refused(bad);
    expect(thrown).toMatchObject({ code: 'RINGTAP_BAD_HANDLER', message: expect.stringContaining('not today') });
    expect(thrown.cause).toMatchObject({ name: 'RangeError' });
    expect((await refused(noReduce, { reduce: sum() })).message).toContain('onReduce');
  });

  test('rings that are more than there is, a method with one reader, and a share of the own are refused', async () => {
    const big = { handler: counting, workers: 256, bufferBytes: 2 ** 34 };
    const refused = (uri: string, options = {}) =>
      failure(() => openParallel(uri, { handler: counting, ...options } as never));
    expect(await refused('afpacket:lo', big)).toMatchObject({ code: 'RINGTAP_NO_MEMORY' });
    expect(await refused('rpcap://127.0.0.1:1/x')).toMatchObject({ code: 'RINGTAP_UNSUPPORTED' });
    expect(await refused('afpacket:lo', { share: 7 })).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
    expect(await refused('file:nowhere.pcap')).toMatchObject({ code: 'RINGTAP_FILE_OPEN' });
  });

  test('`ringtap stats --workers` counts what one thread counts, and says what each had', async () => {
    const path = file('count.pcap');
    traceOf(path, flowMix(500));
    const alone = JSON.parse((await ringtap('stats', path, 'udp', '--json')).stdout);
    const { code, stdout } = await ringtap('stats', path, 'udp', '--workers', '3', '--json');
    const { workers, imbalance, ...together } = JSON.parse(stdout);
    expect({ code, ...together }).toEqual({ code: 0, ...alone, drops: { ring: 0 } });
    expect(workers).toHaveLength(3);
    expect(workers.reduce((sum: number, { packets }: { packets: number }) => sum + packets, 0)).toBe(alone.packets);
    expect(imbalance).toBeGreaterThanOrEqual(1);
    expect((await ringtap('stats', 'synth:?count=1000', '--workers', '2')).stdout).toMatch(/^worker 1 +\d+ packets/m);
    const refused = await Promise.all(['257', '1.5'].map((count) => ringtap('stats', 'synth:', '--workers', count)));
    for (const outcome of refused) expect(outcome).toMatchObject({ code: 2, stdout: '' });
  });

  test('a process ends while workers are at work, and from CommonJS it works, too', async () => {
    const { code, stdout, stderr } = await script(
      `import { createRequire } from 'node:module';
      const { openParallel } = createRequire(import.meta.url)('ringtap');
      const parallel = await openParallel('synth:', { workers: 2, handler: process.argv[1] });
      setTimeout(() => { console.log(parallel.stats().received > 0); process.exit(3); }, 100);`,
      { args: [counting.pathname] },
    );
    expect({ code, stdout, stderr }).toEqual({ code: 3, stdout: 'true\n', stderr: '' });
  });
});
