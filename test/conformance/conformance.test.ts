// What every backend must do, through the public API; native/test/conformance.h is its twin.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import type { AfPacketOptions, Batch, Capture, CaptureStats, OpenOptions } from 'ringtap';
import { type Decoded, decode, decodePacket } from 'ringtap/decode';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { root } from '../support/child.js';
import { factsOfColumns } from '../support/header-facts.js';
import { lab, labMissing } from '../support/lab.js';
import { expectBalanced, type failure } from '../support/packets.js';
import { type Subject, subjects } from '../support/subjects.js';
import { best, PATIENCE_MS, sleep, until, within } from '../support/wait.js';

if (lab === null) console.warn(`afpacket and pcap are left out: ${labMissing}`);

let capture: Capture | undefined;

afterEach(async () => {
  await capture?.close();
  capture = undefined;
});

/** Calls `each` for every batch until `count` packets have come; batches may be held. */
async function take(from: Capture, count: number, each: (batch: Batch) => void): Promise<void> {
  let seen = 0;
  const loop = async () => {
    for await (const batch of from) {
      seen += batch.length;
      each(batch);
      if (seen >= count) break;
    }
  };
  await within(loop(), `${count} packets of ${from.uri}`);
  expect(seen).toBe(count);
}

const table = (path: string) => JSON.parse(readFileSync(join(root, 'native', path), 'utf8'));
const vocabulary = table('core/vocabulary.json') as Record<'modes' | 'placements' | 'clocks', { word: string }[]>;

const numbers = (subject: Subject, batch: Batch) =>
  Array.from({ length: batch.length }, (_, i) => subject.number(batch, i));
const upTo = (count: number) => Array.from({ length: count }, (_, i) => i);
const content = (batch: Batch) =>
  Array.from({ length: batch.length }, (_, i) => Buffer.from(batch.copy(i)).toString('hex'));

/** Small leases, so that there are many of them. */
const small = { batchSize: 10 };
const smallRing = (subject: Subject): Pick<AfPacketOptions, 'batchSize' | 'bufferBytes' | 'blockBytes'> =>
  subject.name === 'afpacket' ? { batchSize: 10, bufferBytes: 65536 * 64, blockBytes: 65536 } : small;

describe.each([
  { memory: 'the method’s own memory', external: true },
  { memory: 'copies', external: false },
])('showing $memory', ({ external }) => {
  beforeAll(() => {
    if (!external) process.env.RINGTAP_NO_EXTERNAL_BUFFERS = '1';
    return () => {
      delete process.env.RINGTAP_NO_EXTERNAL_BUFFERS;
    };
  });

  describe.each([...subjects])('$name', (subject) => {
    const start = async (count: number, options?: OpenOptions) => {
      capture = await subject.open(count, options);
      return capture;
    };

    test('says in the plan whether it copies', async () => {
      const { plan } = await start(1);
      expect(plan.zeroCopy).toBe(external && !subject.copies);
      expect(plan.notes.some((note) => note.includes('external buffers'))).toBe(!external);
    });

    test('tells its plan and its losses in the words of the tables', async () => {
      const { plan } = await start(1, { filter: 'ether[0] & 0 = 0' });
      const words = (name: keyof typeof vocabulary) => vocabulary[name].map(({ word }) => word);
      expect(words('modes')).toContain(plan.mode);
      expect(words('placements')).toContain(plan.filter);
      expect(words('clocks')).toContain(plan.timestamp);
      const { drops = {} } = table(`backends/${plan.backend}/backend.json`) as { drops?: object };
      expect(Object.keys(capture!.stats().drops).sort()).toEqual(Object.keys(drops).sort());
    });

    test('delivers every packet once, in order, in batches no larger than asked for', async () => {
      const from = await start(5000, { batchSize: 64 });
      const sending = subject.feed(5000);
      const seen: number[] = [];
      const times: bigint[] = [];
      await take(from, 5000, (batch) => {
        expect(batch.length).toBeGreaterThan(0);
        expect(batch.length).toBeLessThanOrEqual(64);
        seen.push(...numbers(subject, batch));
        for (let i = 0; i < batch.length; i++) times.push(batch.timeNs(i));
      });
      await sending;
      expect(seen).toEqual(upTo(5000));
      expect(times.every((time, i) => i === 0 || time >= times[i - 1]!)).toBe(true);
      expect(from.stats()).toMatchObject({ received: 5000, delivered: 5000, dropped: 0, pending: 0 });
    });

    test.each(['tryNext', 'nextSync'] as const)('delivers the same to %s()', async (call) => {
      const from = await start(1000, small);
      const sending = subject.feed(1000);
      const seen: number[] = [];
      await until(() => {
        for (let batch = from[call](0); batch !== null; batch = from[call](0)) seen.push(...numbers(subject, batch));
        return seen.length >= 1000;
      }, '1000 packets');
      await sending;
      expect(seen).toEqual(upTo(1000));
    });

    test.each([
      ['in order', (held: Batch[]) => held],
      ['in reverse', (held: Batch[]) => [...held].reverse()],
      ['from the middle', (held: Batch[]) => [...held.slice(1), ...held.slice(0, 1)]],
    ])('keeps the bytes of held batches while it goes on, released %s', async (_, order) => {
      const from = await start(3000, smallRing(subject));
      const sending = subject.feed(3000);
      let held: { batch: Batch; before: string[] }[] = [];
      const check = () => {
        for (const { batch, before } of held) expect(content(batch)).toEqual(before);
        for (const batch of order(held.map(({ batch }) => batch))) batch.release();
        held = [];
      };
      const most = Math.min(from.plan.maxLeases - 1, 20);
      const seen: number[] = [];
      let step = 0;
      await take(from, 3000, (batch) => {
        seen.push(...numbers(subject, batch));
        // Held batches grow old while as many again go by.
        if (held.length < most) held.push({ batch: batch.hold(), before: content(batch) });
        else if (++step % most === 0) check();
      });
      check();
      await sending;
      expect(seen).toEqual(upTo(3000));
      expect(from.stats()).toMatchObject({ received: 3000, delivered: 3000, dropped: 0 });
    });

    test('refuses to hold what would leave it no memory, and goes on', async () => {
      const from = await start(20_000, { ...smallRing(subject), batchSize: 1 });
      const held: Batch[] = [];
      const sending = subject.feed(20_000);
      let refusal: Awaited<ReturnType<typeof failure>> | undefined;
      let seen = 0;
      await take(from, 20_000, (batch) => {
        seen += batch.length;
        if (refusal !== undefined) return;
        try {
          held.push(batch.hold());
        } catch (error) {
          refusal = error as typeof refusal;
          expect(batch.length).toBe(1);
          for (const one of held) one.release();
        }
      });
      await sending;
      expect(refusal).toMatchObject({ code: 'RINGTAP_NO_BUFFER', uri: from.uri, backend: subject.backend });
      if (external) expect(held).toHaveLength(from.plan.maxLeases - 1);
      expect(seen).toBe(20_000);
      expectBalanced(from.stats());
    });

    test('closes with leases out', async () => {
      const from = await start(2000, smallRing(subject));
      const sending = subject.feed(2000);
      const held: Batch[] = [];
      let seen = 0;
      await take(from, 2000, (batch) => {
        seen += batch.length;
        if (seen > 1900 && held.length < 3) held.push(batch.hold());
      });
      expect(held.length).toBeGreaterThan(0);
      await sending;
      const before = from.stats();
      await within(from.close(), 'close()');
      for (const batch of held) {
        expect(batch.length).toBe(0);
        batch.release();
        if (!external) continue;
        expect(batch.bytes.length).toBe(0);
        expect(batch.offset.length).toBe(0);
      }
      expect(from.stats()).toEqual(before);
    });

    test('ends a waiting reader at once when its signal aborts, with the reason', async () => {
      const abort = async () => {
        const controller = new AbortController();
        const from = await start(1, { signal: controller.signal });
        const waiting = subject.live ? take(from, 1, () => {}) : undefined;
        if (subject.live) await sleep(30);
        const asked = performance.now();
        controller.abort('enough');
        await expect(within(waiting ?? take(from, 1, () => {}), 'the abort')).rejects.toBe('enough');
        const ms = performance.now() - asked;
        await from.close();
        return ms;
      };
      expect(await best(50, abort)).toBeLessThan(50);
    });

    test('keeps a ledger that only grows and adds up, whenever it is read', async () => {
      const from = await start(5000, {
        batchSize: 50,
        filter: 'udp src port 49152 or udp src port 1024 or greater 1000',
      });
      const sending = subject.feed(5000);
      let before: CaptureStats = from.stats();
      const check = () => {
        const now = from.stats();
        expectBalanced(now);
        for (const name of ['received', 'delivered', 'filtered', 'dropped', 'deliveredBytes'] as const) {
          expect(now[name]).toBeGreaterThanOrEqual(before[name]);
        }
        before = now;
      };
      let seen = 0;
      let sent = false;
      // Live methods differ in what they can know to be pending: the end is when nothing more has come for a while.
      let received = 0;
      let since = performance.now();
      void sending.then(() => {
        sent = true;
      });
      await until(() => {
        check();
        const batch = from.tryNext();
        seen += batch?.length ?? 0;
        check();
        if (batch !== null || !sent || before.received !== received) {
          since = performance.now();
          received = before.received;
          return false;
        }
        if (!subject.live) return before.received === 5000 && before.pending === 0;
        return received > 0 && performance.now() - since > 300;
      }, 'the end');
      expect(before.pending).toBe(0);
      expect(before.delivered).toBe(seen);
      expect(seen).toBeGreaterThan(10);
      await from.close();
      check();
    });

    test('has its filter in force before the first packet', async () => {
      const stop = new AbortController();
      const flowing = subject.flood(stop.signal);
      try {
        for (let round = 0; round < (subject.live ? 10 : 1); round++) {
          const from = await start(3000, { filter: 'udp[0:2] & 63 = 7' });
          const wrong: number[] = [];
          let seen = 0;
          const begin = performance.now();
          const enough = () => (seen >= 20 ? 60 : PATIENCE_MS); // the sender may be slow to start
          while (performance.now() - begin < enough()) {
            const batch = from.nextSync(10);
            if (batch === null) {
              await turn(); // the sender may be on this thread
              continue;
            }
            for (let i = 0; i < batch.length; i++) {
              const port = batch.view.getUint16(batch.offset[i]! + 34);
              if ((port & 63) !== 7) wrong.push(port);
              seen++;
            }
          }
          expect(wrong).toEqual([]);
          expect(seen).toBeGreaterThanOrEqual(20);
          expectBalanced(from.stats());
          await from.close();
        }
      } finally {
        stop.abort();
        await flowing;
      }
    });

    test('gives all its packets although the batches are copied and released in between', async () => {
      const from = await start(500, small);
      const sending = subject.feed(500);
      const copies: Batch[] = [];
      await take(from, 500, (batch) => {
        copies.push(batch.copy());
        batch.release();
        expect(batch.length).toBe(0);
      });
      await sending;
      expect(copies.flatMap((batch) => numbers(subject, batch))).toEqual(upTo(500));
    });

    test('is decoded alike as a batch, as an owned copy and packet by packet, and with offsets of its own memory', async () => {
      const from = await start(500, small);
      const sending = subject.feed(500);
      let lent: Decoded | undefined;
      let packets = 0;
      await take(from, 500, (batch) => {
        lent = decode(batch, lent);
        expect(lent.length).toBe(batch.length);
        const owned = decode(batch.copy());
        for (let i = 0; i < batch.length; i++) {
          const facts = factsOfColumns(lent, i);
          expect(facts.src).not.toBe('');
          expect(factsOfColumns(owned, i)).toEqual(facts);
          expect(factsOfColumns(decodePacket(batch.data(i), { linkType: batch.linkType }), 0)).toEqual(facts);
          expect(batch.view.getUint16(lent.transportOffset[i]!)).toBe(lent.srcPort[i]);
          packets++;
        }
      });
      await sending;
      expect(packets).toBe(500);
    });
  });
});

// One hidden class for all: a call site that sees several becomes ten times slower.
test('batches of all backends have the same class and shape', async () => {
  setFlagsFromString('--allow-natives-syntax');
  const sameMap = new Function('a', 'b', 'return %HaveSameMap(a, b)') as (a: unknown, b: unknown) => boolean;
  expect(sameMap({ a: 1 }, { b: 1 })).toBe(false);
  const captures: Capture[] = [];
  const batches: Batch[] = [];
  for (const subject of subjects) {
    const from = await subject.open(300, small);
    captures.push(from);
    const sending = subject.feed(300);
    await until(() => {
      const batch = from.tryNext();
      if (batch !== null) batches.push(batch.hold());
      return batch !== null;
    }, 'a batch');
    await sending;
  }
  const [first, ...rest] = batches;
  const arrays = ['offset', 'caplen', 'wirelen', 'time', 'flags', 'queue', 'vlan', 'hash', 'view', 'bytes'] as const;
  for (const batch of rest) {
    expect(batch.constructor).toBe(first!.constructor);
    expect(sameMap(batch, first)).toBe(true);
    for (const name of arrays) {
      expect(batch[name].constructor).toBe(first![name].constructor);
      expect(sameMap(batch[name], first![name]), name).toBe(true);
    }
  }
  expect(first!.offset.constructor).toBe(Uint32Array);
  expect(first!.time.constructor).toBe(Float64Array);
  expect(first!.view.constructor).toBe(DataView);
  for (const from of captures) await from.close();
});
