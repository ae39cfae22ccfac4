// Sending without an interface: synth: takes frames, counts them, and fails on request.
import { open, openTransmitter } from 'ringtap';
import { expect, test } from 'vitest';
import { failure, NO_FAILURES, readAll } from '../support/packets.js';
import { sleep } from '../support/wait.js';

const frame = (number: number) => Buffer.alloc(60, number);
const SAME = 'seed=3&sizes=60-400&flows=9';

test('a sink that compares knows frames in their order and byte for byte, and no others', async () => {
  await using source = await open(`synth:?count=5000&${SAME}`);
  await using sink = await openTransmitter(`synth:?verify=true&${SAME}`);
  for await (const batch of source) expect(sink.sendBatch(batch)).toBe(batch.length);
  expect(sink.stats()).toEqual({ accepted: 5000, completed: 5000, queued: 0, zeroCopy: 0, failed: NO_FAILURES });
  expect(sink.sendBatch([frame(1)])).toBe(1);
  expect(sink.stats().failed.malformed).toBe(1);
  await using swapped = await openTransmitter(`synth:?verify=true&${SAME}`);
  await using again = await open(`synth:?count=2&${SAME}`);
  const [first, second] = await readAll(again);
  expect(swapped.sendBatch([second!.data, first!.data])).toBe(2);
  expect(swapped.stats().failed.malformed).toBe(2);
});

test('drain() and flush() are woken when there is room, and when nothing is queued, without a turn of the event loop', async () => {
  await using sink = await openTransmitter('synth:?stallAfter=10&stallMs=200');
  let sent = 0;
  const fill = () => {
    while (sink.send(frame(sent & 0xff))) sent++;
    return sink.stats();
  };
  fill();
  await sink.drain(); // ten go out; then it stalls
  const { completed, queued } = fill();
  expect(completed).toBe(10);
  expect(queued).toBeGreaterThan(0);
  const before = process.cpuUsage();
  const began = performance.now();
  await Promise.all([sink.drain(), sink.flush(), sink.drain()]);
  expect(performance.now() - began).toBeGreaterThan(100);
  const { user, system } = process.cpuUsage(before);
  expect((user + system) / 1000 / (performance.now() - began)).toBeLessThan(0.8);
  expect(sink.stats()).toEqual({ accepted: sent, completed: sent, queued: 0, zeroCopy: 0, failed: NO_FAILURES });
});

test('sendBatch() accepts what has room, from the front, and goes on from there', async () => {
  await using sink = await openTransmitter('synth:?stallAfter=100&stallMs=50');
  const frames = Array.from({ length: 1000 }, (_, i) => frame(i & 0xff));
  const first = sink.sendBatch(frames);
  expect(first).toBeGreaterThanOrEqual(100);
  expect(first).toBeLessThan(1000);
  expect(sink.sendBatch(frames, { from: first })).toBe(0);
  let from = first;
  for (; from < frames.length; from += sink.sendBatch(frames, { from })) await sink.drain();
  expect(from).toBe(1000);
  await sink.flush();
  expect(sink.stats()).toMatchObject({ accepted: 1000, completed: 1000 });
  expect(sink.sendBatch(frames, { from: 990, count: 5 })).toBe(5);
  expect(sink.sendBatch(frames, { select: [1, 2, 3], from: 1 })).toBe(2);
  expect(sink.sendBatch([])).toBe(0);
});

test('what is not sent for a fault is an error, and what is lost is counted', async () => {
  const sink = await openTransmitter('synth:?dropEvery=10&errorAfter=50');
  const frames = Array.from({ length: 100 }, (_, i) => frame(i));
  expect(sink.sendBatch(frames)).toBeGreaterThanOrEqual(50);
  expect(await failure(() => sink.flush())).toMatchObject({
    code: 'RINGTAP_INJECTED',
    message: 'synth:?dropEvery=10&errorAfter=50: failed on request after 50 packets',
  });
  const stats = sink.stats();
  expect(stats.failed.dropped).toBe(5);
  expect(stats.accepted).toBe(stats.completed + stats.queued + 5);
  expect((await failure(() => sink.close())).code).toBe('RINGTAP_INJECTED');
  expect((await failure(() => sink.sendBatch(frames))).code).toBe('RINGTAP_CLOSED');
  expect(sink.stats()).toEqual(stats);
});

test('what is no batch and no list of frames is refused, and nothing of it is sent', async () => {
  await using sink = await openTransmitter('synth:');
  const hostile = new Proxy([frame(1)], {
    get() {
      throw new Error('no');
    },
  });
  for (const given of [null, 5, 'x', {}, [frame(1), 'x'], [undefined], new Uint8Array(60), hostile]) {
    expect((await failure(() => sink.sendBatch(given as never))).code).toBe('RINGTAP_BAD_OPTION');
  }
  expect((await failure(() => sink.sendBatch([frame(1)], { fron: 1 } as never))).code).toBe('RINGTAP_UNKNOWN_OPTION');
  for (const options of [{ from: 0.5 }, { count: -1 }, { select: 'x' }, { select: [1] }, { from: '0' }]) {
    expect((await failure(() => sink.sendBatch([frame(1)], options as never))).code).toBe('RINGTAP_BAD_OPTION');
  }
  await sleep(0);
  expect(sink.stats().accepted).toBe(0);
});

test('forward() passes on what was selected, changed on the way, and leaves the batch as it was', async () => {
  await using source = await open(`synth:?count=64&batchSize=64&${SAME}&protocols=udp`);
  const batch = source.nextSync()!;
  const before = Array.from({ length: batch.length }, (_, i) => Buffer.from(batch.copy(i)));
  await using same = await openTransmitter(`synth:?verify=true&${SAME}&protocols=udp`);
  expect(same.forward(batch)).toBe(64);
  expect(same.stats()).toMatchObject({ completed: 64, failed: NO_FAILURES });
  const owned = batch.copy();
  await using copied = await openTransmitter(`synth:?verify=true&${SAME}&protocols=udp`);
  const rewrite = { srcMac: '02:00:00:00:00:09', addresses: { '1.2.3.4': '4.3.2.1' } };
  expect(copied.forward(owned, { select: new Uint8Array(64).fill(1) })).toBe(64);
  expect(copied.forward(owned, { rewrite, count: 3 })).toBe(3);
  expect(copied.stats()).toMatchObject({ completed: 64, failed: { malformed: 3 } }); // another source
  await using changed = await openTransmitter(`synth:?verify=true&${SAME}&protocols=udp`);
  expect(changed.forward(batch, { rewrite: { ttl: 1 }, from: 10 })).toBe(54);
  expect(changed.stats().failed.malformed).toBe(54);
  expect(Array.from({ length: 64 }, (_, i) => Buffer.from(batch.copy(i)))).toEqual(before);
  // As a router does: 64 hops become 63, and of those that have none left the count says so.
  expect(changed.forward(batch, { rewrite: { ttl: 'decrement' }, count: 5 })).toBe(5);
  expect(changed.stats().failed).toMatchObject({ malformed: 59, ttl: 0 });
  batch.view.setUint8(batch.offset[1]! + 22, 1);
  batch.view.setUint8(batch.offset[4]! + 22, 0);
  expect(changed.forward(batch, { rewrite: { ttl: 'decrement' }, count: 5 })).toBe(5);
  expect(changed.stats().failed).toMatchObject({ malformed: 62, ttl: 2 });
  expect(changed.stats().accepted).toBe(64);
  for (const [given, options] of [
    [[frame(1)], {}],
    [null, {}],
    [batch, { rewrite: { ttl: 256 } }],
    [batch, { rewrite: { ttl: 'decrements' } }],
    [batch, { rewrite: 5 }],
    [batch, { select: 'x' }],
  ]) {
    expect((await failure(() => same.forward(given as never, options as never))).code).toBe('RINGTAP_BAD_OPTION');
  }
  batch.release();
  expect((await failure(() => same.forward(batch))).code).toBe('RINGTAP_RELEASED');
});
