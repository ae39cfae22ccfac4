import { type Batch, type Capture, open } from 'ringtap';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { count, failure } from '../support/packets.js';

let capture: Capture;

beforeEach(async () => {
  capture = await open('synth:?sizes=60-200&seed=5&batchSize=16&count=100000');
});

afterEach(() => capture.close());

const next = (): Batch => capture.nextSync(1000)!;

/** What is no index, though JavaScript would make one of some. */
const oddIndices = ['0', null, 0n, Symbol('0'), {}, []] as unknown[] as number[];

describe('a batch', () => {
  test('shows each packet in arrays over the memory it lies in', () => {
    const batch = next();
    expect(batch.length).toBe(16);
    for (let i = 0; i < batch.length; i++) {
      const { view, bytes } = batch;
      const [from, bytesLong] = [batch.offset[i]!, batch.caplen[i]!];
      expect(from + bytesLong).toBeLessThanOrEqual(bytes.length);
      expect(batch.wirelen[i]).toBe(bytesLong);
      expect([0x0800, 0x86dd, 0x0806]).toContain(view.getUint16(from + 12));
      expect(batch.data(i)).toEqual(bytes.subarray(from, from + bytesLong));
      expect(batch.data(i).buffer).toBe(view.buffer);
      expect(batch.timeNs(i)).toBe(capture.epoch + BigInt(batch.time[i]!));
    }
  });

  test('gives owned copies of packets', () => {
    const batch = next();
    const copy = batch.copy(3);
    expect(copy).toEqual(batch.data(3));
    expect(copy.buffer).not.toBe(batch.view.buffer);
    expect(copy.buffer.byteLength).toBe(copy.length);
  });

  test('gives an owned copy of itself, which outlives the capture', async () => {
    const batch = next();
    const before = Array.from(batch, (packet) => [
      packet.timeNs,
      packet.wirelen,
      Buffer.from(packet.data()).toString('hex'),
    ]);
    const copy = batch.copy();
    expect(copy.constructor).toBe(batch.constructor);
    next();
    await capture.close();
    expect(copy.length).toBe(16);
    expect(
      Array.from(copy, (packet) => [packet.timeNs, packet.wirelen, Buffer.from(packet.data()).toString('hex')]),
    ).toEqual(before);
    expect(copy.copy().timeNs(0)).toBe(before[0]![0]);
    copy.release();
    expect(copy.length).toBe(16);
  });

  test('refuses packets outside it', () => {
    const batch = next();
    for (const i of [-1, 16, Number.NaN, 0.5, ...oddIndices]) {
      expect(() => batch.data(i)).toThrow(RangeError);
      expect(() => batch.copy(i)).toThrow(RangeError);
      expect(() => batch.timeNs(i)).toThrow(RangeError);
    }
  });

  test('iterates with one cursor', () => {
    const batch = next();
    const packets = [...batch];
    expect(packets).toHaveLength(16);
    expect(new Set(packets).size).toBe(1);
  });
});

describe('a packet', () => {
  test('reads numbers big-endian, up to the last captured byte', () => {
    const batch = next();
    let i = 0;
    for (const packet of batch) {
      const data = Buffer.from(batch.copy(i));
      expect(packet.index).toBe(i);
      expect([packet.caplen, packet.wirelen]).toEqual([data.length, data.length]);
      expect(packet.u16(12)).toBe(data.readUInt16BE(12));
      expect(packet.u8(data.length - 1)).toBe(data.at(-1));
      expect(packet.u16(data.length - 2)).toBe(data.readUInt16BE(data.length - 2));
      expect(packet.u32(data.length - 4)).toBe(data.readUInt32BE(data.length - 4));
      expect([...packet.data()]).toEqual([...data]);
      expect([...packet.copy()]).toEqual([...data]);
      expect(packet.timeNs).toBe(batch.timeNs(i++));
    }
  });

  test('refuses to read outside its bytes', () => {
    for (const packet of next()) {
      for (const o of [-1, packet.caplen, Number.NaN, Number.POSITIVE_INFINITY, 0.5, ...oddIndices])
        expect(() => packet.u8(o)).toThrow(RangeError);
      expect(() => packet.u16(packet.caplen - 1)).toThrow(RangeError);
      expect(() => packet.u32(packet.caplen - 3)).toThrow(RangeError);
      expect(() => packet.u32(-2)).toThrow(RangeError);
    }
  });

  test('cannot be read once its batch is released', () => {
    const batch = next();
    const [packet] = batch;
    batch.release();
    expect(() => packet!.u8(0)).toThrow(RangeError);
    expect(() => packet!.data()).toThrow(expect.objectContaining({ code: 'RINGTAP_RELEASED' }));
  });
});

/** What a batch must look like after its release. */
async function expectReleased(batch: Batch, packets: number): Promise<void> {
  expect(batch.length).toBe(0);
  expect([...batch]).toEqual([]);
  for (let i = 0; i < packets; i++) expect(() => batch.view.getUint8(batch.offset[i]!)).toThrow(RangeError);
  for (const call of [
    () => batch.data(0),
    () => batch.copy(0),
    () => batch.copy(),
    () => batch.timeNs(0),
    () => batch.hold(),
  ]) {
    expect((await failure(call)).code).toBe('RINGTAP_RELEASED');
  }
}

test('a batch whose arrays were written to is copied as far as its memory goes', () => {
  const batch = next();
  const { length } = batch.data(1);
  batch.caplen[0] = 0xffffffff;
  batch.offset[2] = 0xffffffff;
  const copy = batch.copy();
  expect(copy.data(0).length).toBe(batch.data(0).length);
  expect(copy.data(1)).toEqual(batch.data(1));
  expect([copy.caplen[1], copy.caplen[2]]).toEqual([length, 0]);
});

describe('a released batch', () => {
  test('is empty, and reads with its offsets throw', async () => {
    const batch = next();
    batch.release();
    await expectReleased(batch, 16);
  });

  test('is not released again: that is an error, and harms nobody', async () => {
    const batch = next();
    batch.release();
    const error = await failure(() => batch.release());
    expect(error).toMatchObject({ code: 'RINGTAP_RELEASED', uri: capture.uri, backend: 'synth' });
    expect(error.hint).toContain('once');
    expect(next().length).toBe(16);
    expect(capture.stats().delivered).toBe(32);
  });

  test('that was held is just as empty, and is not released again either', async () => {
    const batch = next().hold();
    next();
    batch.release();
    await expectReleased(batch, 16);
    expect(await failure(() => batch.release())).toMatchObject({ code: 'RINGTAP_RELEASED' });
  });

  test('that was held may be late: nobody else’s batch goes with it', async () => {
    const stale = next().hold();
    stale.release();
    const batch = next().hold(); // in the same memory
    const successor = next();
    expect(await failure(() => stale.release())).toMatchObject({ code: 'RINGTAP_RELEASED' });
    expect([batch.length, successor.length]).toEqual([16, 16]);
    batch.release();
  });

  test.each([1, 2, 3])('of %i steps ago is not released: the current one stays', async (steps) => {
    const stale = next();
    const bytes = () => Buffer.from(current.copy(3)).toString('hex');
    let current = stale;
    for (let i = 0; i < steps; i++) current = next();
    const before = bytes();
    expect(stale.length).toBe(0);
    for (const call of [() => stale.release(), () => stale.hold(), () => stale.data(0), () => stale.copy()]) {
      expect(await failure(call)).toMatchObject({ code: 'RINGTAP_RELEASED' });
    }
    expect([current.length, bytes()]).toEqual([16, before]);
    current.release();
  });

  test('of any number of steps ago is not released by its lease', async () => {
    const leases = new Map<Batch, number[]>();
    for (let i = 0; i < 40; i++) {
      const batch = next();
      for (const lease of leases.get(batch) ?? []) {
        expect(await failure(() => batch.release(lease))).toMatchObject({ code: 'RINGTAP_RELEASED' });
      }
      expect(batch.length).toBe(16);
      leases.set(batch, [...(leases.get(batch) ?? []), batch.lease]);
    }
    const batch = next();
    batch.release(batch.lease);
    expect(batch.length).toBe(0);
  });

  test('is released by its lease also when it is held meanwhile', async () => {
    const batch = next().hold();
    const { lease } = batch;
    for (let i = 0; i < 10; i++) next();
    expect(batch.lease).toBe(lease);
    expect(await failure(() => batch.release(lease + 1))).toMatchObject({ code: 'RINGTAP_RELEASED' });
    expect(batch.length).toBe(16);
    batch.release(lease);
    expect(batch.length).toBe(0);
  });

  test.each([[Number.NaN], [0.5], ['1'], [null], [{}]])(
    'is not released by a lease that is none (%s)',
    async (lease) => {
      const batch = next();
      expect(await failure(() => batch.release(lease as number))).toMatchObject({ code: 'RINGTAP_BAD_OPTION' });
      expect(batch.length).toBe(16);
    },
  );

  test('of the end of the trace is empty', async () => {
    await using short = await open('synth:?count=10&batchSize=16');
    const batch = short.nextSync(1000)!;
    expect(short.nextSync(0)).toBeNull();
    await expectReleased(batch, 10);
  });

  test('shows nothing beyond the packets of a shorter successor', async () => {
    await using short = await open('synth:?count=20&batchSize=16');
    const batch = short.nextSync(1000)!;
    expect(batch.offset[4]).toBeLessThan(batch.bytes.length);
    expect(short.nextSync(1000)!.length).toBe(4);
    for (let i = 4; i < 16; i++) expect(() => batch.view.getUint8(batch.offset[i]!)).toThrow(RangeError);
  });
});

describe('hold()', () => {
  test('returns the batch, keeps its bytes, and the capture goes on with another', () => {
    const held = next();
    expect(held.hold()).toBe(held);
    expect(held.hold()).toBe(held);
    const before = Array.from({ length: held.length }, (_, i) => Buffer.from(held.copy(i)).toString('hex'));
    for (let i = 0; i < 200; i++) expect(next()).not.toBe(held);
    expect(Array.from(held, (packet) => Buffer.from(packet.data()).toString('hex'))).toEqual(before);
    held.release();
  });

  test('is bounded: one more than the plan allows is RINGTAP_NO_BUFFER, and the capture goes on', async () => {
    const held: Batch[] = [];
    const error = await failure(() => {
      for (;;) held.push(next().hold());
    });
    expect(error).toMatchObject({ code: 'RINGTAP_NO_BUFFER', uri: capture.uri, backend: 'synth' });
    expect(error.hint).toContain('Release held batches');
    // The current batch is the last lease.
    expect(held).toHaveLength(capture.plan.maxLeases - 1);
    const last = next();
    expect(last.length).toBe(16);
    // Its refusal changed nothing.
    expect(() => last.hold()).toThrow();
    expect(last.length).toBe(16);
    held[7]!.release();
    expect(last.hold()).toBe(last);
    for (const batch of held) if (batch !== held[7]) batch.release();
    last.release();
    const rest = await count(capture);
    expect(capture.stats()).toMatchObject({ received: 100000, delivered: 100000 });
    expect(rest + (held.length + 2) * 16).toBe(100000);
  });
});

describe('close()', () => {
  test('empties every view of the capture, held batches included, and nothing crashes', async () => {
    const held = next().hold();
    const data = held.data(0);
    const current = next();
    const { offset, view } = current;
    await capture.close();
    for (const batch of [held, current]) {
      expect(batch.length).toBe(0);
      expect(batch.offset.length).toBe(0);
      expect(batch.offset[0]).toBeUndefined();
      expect(batch.bytes.length).toBe(0);
      expect(() => batch.view.getUint8(0)).toThrow(TypeError);
      // It ended them: who cleans up afterwards does nothing wrong.
      batch.release();
      batch.release(7);
      expect(() => batch.hold()).toThrow(expect.objectContaining({ code: 'RINGTAP_RELEASED' }));
    }
    expect(data.length).toBe(0);
    expect(offset.length).toBe(0);
    expect(() => view.getUint8(0)).toThrow(TypeError);
  });
});
