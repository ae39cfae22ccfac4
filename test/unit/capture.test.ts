import { getMaxListeners } from 'node:events';
import { type Batch, open } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { script } from '../support/child.js';
import { count, expectBalanced, failure } from '../support/packets.js';
import { best, sleep, within } from '../support/wait.js';

/** Runs `work` beside a for-await that never ends by itself; resolves to what that loop ended with. */
async function reading(
  uri: string,
  options: Parameters<typeof open>[1],
  work: (capture: Awaited<ReturnType<typeof open>>) => unknown,
) {
  const capture = await open(uri, options);
  let batches = 0;
  const loop = (async () => {
    for await (const _ of capture) batches++;
  })().then(
    () => ({ ended: true as const, at: performance.now() }),
    (reason: unknown) => ({ ended: false as const, reason, at: performance.now() }),
  );
  await sleep(30);
  const asked = performance.now();
  await work(capture);
  const outcome = await within(loop, 'the end of the loop');
  await capture.close();
  return { capture, outcome, batches, ms: outcome.at - asked };
}

const sources = { 'flat out': 'synth:', 'at a trickle': 'synth:?rate=1', stalled: 'synth:?stallAfter=1&stallMs=60000' };

describe('readers', () => {
  test('are one at a time: a second one is RINGTAP_BUSY, whatever it reads with', async () => {
    await using capture = await open('synth:?batchSize=8');
    for await (const batch of capture) {
      for (const call of [() => capture[Symbol.asyncIterator](), () => capture.tryNext(), () => capture.nextSync(1)]) {
        const error = await failure(call);
        expect(error).toMatchObject({ code: 'RINGTAP_BUSY', uri: capture.uri, backend: 'synth' });
      }
      expect(batch.length).toBe(8);
      break;
    }
    expect(capture.tryNext()!.length).toBe(8);
  });

  test('may not call next() before the last one settled', async () => {
    await using capture = await open('synth:?rate=1');
    const iterator = capture[Symbol.asyncIterator]();
    const first = iterator.next();
    expect((await failure(() => iterator.next())).code).toBe('RINGTAP_BUSY');
    await capture.close();
    expect(await within(first, 'the first next()')).toEqual({ value: undefined, done: true });
  });

  test('may break and go on later without losing a packet', async () => {
    await using capture = await open('synth:?count=1000&batchSize=10');
    let seen = 0;
    for (let round = 0; round < 5; round++) {
      let batches = 0;
      for await (const batch of capture) {
        seen += batch.length;
        if (++batches === 7) break;
      }
    }
    expect(seen).toBe(350);
    seen += capture.tryNext()!.length;
    seen += await count(capture);
    expect(seen).toBe(1000);
    expect(await count(capture)).toBe(0);
    expect(capture.tryNext()).toBeNull();
    expect(capture.nextSync(1)).toBeNull();
  });

  test('that ended take nothing from the reader after them, and do not end it', async () => {
    await using capture = await open('synth:?count=1000&batchSize=10');
    const one = capture[Symbol.asyncIterator]();
    await one.next();
    await one.return!();
    const two = capture[Symbol.asyncIterator]();
    const { value: batch } = await two.next();
    expect(await one.next()).toEqual({ value: undefined, done: true });
    await one.return!();
    expect(batch!.length).toBe(10);
    let packets = 10 + batch!.length;
    for await (const { length } of two) packets += length;
    expect(packets).toBe(1000);
  });

  test('that break release the batch at once', async () => {
    await using capture = await open('synth:');
    let last: Batch | undefined;
    for await (const batch of capture) {
      last = batch;
      break;
    }
    expect(last!.length).toBe(0);
  });

  test('that throw leave the capture open', async () => {
    await using capture = await open('synth:?count=100&batchSize=10');
    const work = async () => {
      for await (const _ of capture) throw new Error('mine');
    };
    await expect(work()).rejects.toThrow('mine');
    expect(await count(capture)).toBe(90);
  });

  test('get the same few batch objects, step after step', async () => {
    await using capture = await open('synth:?count=2000&batchSize=20');
    const batches = new Set<Batch>();
    let last: Batch | undefined;
    for await (const batch of capture) {
      expect(batch).not.toBe(last);
      batches.add(batch);
      last = batch;
    }
    expect(batches.size).toBeLessThanOrEqual(8);
  });

  test('that throw() are over: it rejects with the reason, the batch is released, and reading can go on', async () => {
    await using capture = await open('synth:?count=100&batchSize=10');
    const iterator = capture[Symbol.asyncIterator]();
    const { value: batch } = await iterator.next();
    const reason = new Error('mine');
    await expect(iterator.throw!(reason)).rejects.toBe(reason);
    expect(batch!.length).toBe(0);
    expect(await iterator.next()).toEqual({ value: undefined, done: true });
    await expect(iterator.throw!(reason)).rejects.toBe(reason);
    expect(await count(capture)).toBe(90);
  });

  test('that throw() while they wait end the wait', async () => {
    await using capture = await open('synth:?stallAfter=1&stallMs=60000');
    const iterator = capture[Symbol.asyncIterator]();
    await iterator.next();
    const waiting = iterator.next();
    await expect(iterator.throw!('mine')).rejects.toBe('mine');
    expect(await within(waiting, 'the end of the wait')).toEqual({ value: undefined, done: true });
  });
});

describe('ended', () => {
  test.each(['synth:?count=20&batchSize=10', 'examples/sample.pcap'])('tells that %s is at its end', async (uri) => {
    await using capture = await open(uri);
    while (capture.tryNext() !== null) expect(capture.ended).toBe(false);
    expect(capture.ended).toBe(true);
    expect(capture.tryNext()).toBeNull();
    expect(capture.nextSync()).toBeNull(); // for ever, if it were not at its end
    expect(await count(capture)).toBe(0);
    expect(capture.ended).toBe(true);
  });

  test('is true after a loop that ran to the end, and not after one that was left', async () => {
    await using capture = await open('synth:?count=20&batchSize=10');
    for await (const _ of capture) break;
    expect(capture.ended).toBe(false);
    expect(await count(capture)).toBe(10);
    expect(capture.ended).toBe(true);
  });

  test('is false while there is nothing yet', async () => {
    await using capture = await open('synth:?stallAfter=1&stallMs=60000');
    expect(capture.nextSync(1000)!.length).toBe(1);
    expect([capture.tryNext(), capture.nextSync(5)]).toEqual([null, null]);
    expect(capture.ended).toBe(false);
  });

  test('is true once it failed, and stays so', async () => {
    await using capture = await open('synth:?errorAfter=10&batchSize=10');
    expect(capture.tryNext()!.length).toBe(10);
    expect(capture.ended).toBe(false);
    for (let i = 0; i < 2; i++) {
      expect((await failure(() => capture.tryNext())).code).toBe('RINGTAP_INJECTED');
      expect(capture.ended).toBe(true);
    }
    await capture.close();
    expect(capture.ended).toBe(true);
    expect((await failure(() => capture.tryNext())).code).toBe('RINGTAP_INJECTED');
  });

  test('is true as soon as close() was called', async () => {
    const capture = await open('synth:');
    const closing = capture.close();
    expect(capture.ended).toBe(true);
    await closing;
  });

  test('is true as soon as its signal aborted', async () => {
    const controller = new AbortController();
    const capture = await open('synth:', { signal: controller.signal });
    expect(capture.ended).toBe(false);
    controller.abort('enough');
    expect(capture.ended).toBe(true);
    expect(() => capture.tryNext()).toThrow('enough');
    await capture.close();
  });

  test('stays false when held batches take all memory: the capture goes on', async () => {
    await using capture = await open('synth:?batchSize=10');
    const batch = capture.tryNext()!.hold();
    expect(
      (
        await failure(() => {
          for (;;) capture.tryNext()!.hold();
        })
      ).code,
    ).toBe('RINGTAP_NO_BUFFER');
    expect(capture.ended).toBe(false);
    batch.release();
  });
});

describe('the event loop', () => {
  test('gets its turn every few batches of a slow loop, however small they are', async () => {
    const capture = await open('synth:?batchSize=1&count=100');
    let turns = 0;
    const again = () => {
      turns++;
      turn = setImmediate(again);
    };
    let turn = setImmediate(again);
    for await (const _ of capture) {
      const end = performance.now() + 5; // longer than a turn
      while (performance.now() < end);
    }
    clearImmediate(turn);
    expect(turns).toBeGreaterThanOrEqual(18);
    await capture.close();
  });
});

describe('tryNext()', () => {
  test('never waits', async () => {
    await using capture = await open('synth:?rate=1');
    const hundred = async () => {
      const started = performance.now();
      for (let i = 0; i < 100; i++) capture.tryNext();
      return performance.now() - started;
    };
    expect(await best(200, hundred)).toBeLessThan(200);
  });

  test('releases the batch before it', async () => {
    await using capture = await open('synth:?count=20&batchSize=10');
    const first = capture.tryNext()!;
    const second = capture.tryNext()!;
    expect([first.length, second.length]).toEqual([0, 10]);
    expect(capture.tryNext()).toBeNull();
    expect(second.length).toBe(0);
  });
});

describe('nextSync()', () => {
  test('waits for a packet', async () => {
    await using capture = await open('synth:?rate=20');
    const wait = async () => {
      while (capture.tryNext() !== null); // what is late already
      const started = performance.now();
      expect(capture.nextSync(20_000)!.length).toBeGreaterThan(0);
      return performance.now() - started;
    };
    expect(await best(500, wait)).toBeLessThan(500);
  });

  test('gives up when its time is up, not before', async () => {
    await using capture = await open('synth:?stallAfter=1&stallMs=60000');
    expect(capture.nextSync(1000)!.length).toBe(1);
    for (const timeoutMs of [0, -5, 30, 75]) {
      const wait = async () => {
        const started = performance.now();
        expect(capture.nextSync(timeoutMs)).toBeNull();
        const ms = performance.now() - started;
        expect(ms).toBeGreaterThanOrEqual(Math.max(0, timeoutMs) - 0.5);
        return ms;
      };
      expect(await best(timeoutMs + 100, wait)).toBeLessThan(timeoutMs + 100);
    }
  });

  test('refuses a time that is not a number, instead of waiting for ever', async () => {
    await using capture = await open('synth:?rate=1');
    for (const timeoutMs of [Number.NaN, 'soon', null, 10n]) {
      const { code } = await failure(() => capture.nextSync(timeoutMs as number));
      expect(code).toBe('RINGTAP_BAD_OPTION');
    }
  });
});

describe('close()', () => {
  test.each(Object.entries(sources))('ends a for await that reads %s', async (_, uri) => {
    const close = async () => {
      const { outcome, ms } = await reading(uri, {}, (capture) => void capture.close());
      expect(outcome.ended).toBe(true);
      return ms;
    };
    expect(await best(100, close)).toBeLessThan(100);
  });

  test('inside the loop ends it', async () => {
    const capture = await open('synth:');
    let batches = 0;
    for await (const batch of capture) {
      batches++;
      await capture.close();
      expect(batch.length).toBe(0);
    }
    expect(batches).toBe(1);
  });

  test('may be called again, and gives the same promise', async () => {
    const capture = await open('synth:');
    const closing = capture.close();
    expect(capture.close()).toBe(closing);
    await closing;
    await capture.close();
  });

  test('leaves the ledger readable and final', async () => {
    const capture = await open('synth:?count=1000&batchSize=10&filter=udp');
    capture.nextSync(1000);
    const before = capture.stats();
    await capture.close();
    expect(capture.stats()).toEqual(before);
    expectBalanced(capture.stats());
    expect(before.delivered).toBe(10);
  });

  test('makes every later read RINGTAP_CLOSED', async () => {
    const capture = await open('synth:');
    await capture.close();
    for (const call of [
      () => capture.tryNext(),
      () => capture.nextSync(10),
      () => capture[Symbol.asyncIterator](),
      () => count(capture),
    ]) {
      expect((await failure(call)).code).toBe('RINGTAP_CLOSED');
    }
    expect(capture.ref().unref()).toBe(capture);
  });

  test('is what await using does', async () => {
    let outside: Awaited<ReturnType<typeof open>>;
    {
      await using capture = await open('synth:');
      outside = capture;
      expect(capture.tryNext()).not.toBeNull();
    }
    expect(() => outside.tryNext()).toThrow(expect.objectContaining({ code: 'RINGTAP_CLOSED' }));
  });
});

describe('a signal', () => {
  test('that has aborted already rejects open() with its reason', async () => {
    const reason = new Error('too early');
    await expect(open('synth:', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test('that aborts during open() rejects it with its reason, long before it would have opened', async () => {
    const uri = 'synth:?bufferBytes=256m';
    const begin = performance.now();
    await (await open(uri)).close();
    const opened = performance.now();
    const controller = new AbortController();
    const reason = new Error('meanwhile');
    const opening = open(uri, { signal: controller.signal });
    controller.abort(reason);
    await expect(within(opening, 'open()')).rejects.toBe(reason);
    expect(performance.now() - opened).toBeLessThan((opened - begin) / 2);
  });

  test('that aborts between opening and the first read is not missed', async () => {
    const controller = new AbortController();
    const { signal } = controller;
    let looks = 0;
    // The moment when open() has looked for the last time, and the capture does not listen yet.
    Object.defineProperty(signal, 'aborted', {
      get() {
        const aborted = Reflect.get(AbortSignal.prototype, 'aborted', signal) as boolean;
        if (++looks === 2) queueMicrotask(() => controller.abort('in the gap'));
        return aborted;
      },
    });
    const outcome = open('synth:?rate=1', { signal }).then((capture) => count(capture));
    await expect(within(outcome, 'the rejection')).rejects.toBe('in the gap');
  });

  test.each([8, 1000])('is listened to once by %i opens at once, and left as it was', async (many) => {
    const { signal } = new AbortController();
    const program = `
      import { getEventListeners, getMaxListeners } from 'node:events';
      import { explain, open, openWriter } from 'ringtap';
      const { signal } = new AbortController();
      const before = Reflect.ownKeys(signal);
      const uri = 'synth:?rate=1&bufferBytes=4096&batchSize=1';
      const opening = Array.from({ length: ${many} }, () => open(uri, { signal }));
      opening.push(...Array.from({ length: 8 }, () => openWriter('/dev/null', { signal })));
      const explained = Array.from({ length: 8 }, () => explain(uri, { signal }));
      const told = [getEventListeners(signal, 'abort').length];
      const all = await Promise.all(opening);
      await Promise.all(explained);
      told.push(getEventListeners(signal, 'abort').length, getMaxListeners(signal));
      await Promise.all(all.map((one) => one.close()));
      told.push(getEventListeners(signal, 'abort').length, Reflect.ownKeys(signal).length - before.length);
      console.log(told.join());`;
    const stdout = `1,1,${getMaxListeners(signal)},0,0\n`;
    expect(await script(program)).toMatchObject({ code: 0, stdout, stderr: '' });
  });

  test('that aborts ends two hundred captures, those that wait and those that are being opened', async () => {
    const { code, stdout, stderr } = await script(`
      import { open } from 'ringtap';
      const controller = new AbortController();
      const { signal } = controller;
      const uri = 'synth:?stallAfter=1&stallMs=60000&bufferBytes=4096&batchSize=1';
      const captures = await Promise.all(Array.from({ length: 100 }, () => open(uri, { signal })));
      const loops = captures.map(async (capture) => { for await (const _ of capture); });
      const openings = Array.from({ length: 100 }, () => open(uri, { signal }));
      setTimeout(() => controller.abort('enough'), 50);
      const ends = await Promise.allSettled([...loops, ...openings.map(async (opening) => {
        for await (const _ of await opening);
      })]);
      console.log(new Set(ends.map(({ status, reason }) => status + ' ' + reason)).size, ends[0].reason, captures.every(({ ended }) => ended));`);
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: '1 enough true\n', stderr: '' });
  });

  test.each(Object.entries(sources))(
    'that aborts ends a for await that reads %s, at once, with its reason',
    async (_, uri) => {
      const abort = async () => {
        const controller = new AbortController();
        const reason = new Error('enough');
        const { outcome, ms, capture } = await reading(uri, { signal: controller.signal }, () =>
          controller.abort(reason),
        );
        expect(outcome).toMatchObject({ ended: false });
        expect('reason' in outcome && outcome.reason).toBe(reason);
        expectBalanced(capture.stats());
        await expect(count(capture)).rejects.toBe(reason);
        return ms;
      };
      expect(await best(50, abort)).toBeLessThan(50);
    },
  );

  test.each([['a string'], [null], [0], [{ done: true }]])('may abort with any reason (%s)', async (reason) => {
    for (const uri of Object.values(sources)) {
      const controller = new AbortController();
      const { outcome } = await reading(uri, { signal: controller.signal }, () => controller.abort(reason));
      expect(outcome).toMatchObject({ ended: false });
      expect('reason' in outcome && outcome.reason).toBe(reason);
    }
  });

  test('that aborts inside the loop body ends the loop with its reason', async () => {
    const controller = new AbortController();
    const capture = await open('synth:', { signal: controller.signal });
    let batches = 0;
    const loop = async () => {
      for await (const batch of capture) {
        batches++;
        controller.abort('inside');
        expect(batch.length).toBe(0);
      }
    };
    await expect(within(loop(), 'the loop')).rejects.toBe('inside');
    expect(batches).toBe(1);
  });

  test('that aborts after close() changes nothing', async () => {
    const controller = new AbortController();
    const capture = await open('synth:', { signal: controller.signal });
    await capture.close();
    controller.abort();
    expect((await failure(() => capture.tryNext())).code).toBe('RINGTAP_CLOSED');
  });
});
