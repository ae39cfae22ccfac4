// Exact counts and losses, timing, and what holding costs, against the sender and the kernel.
import { readFileSync } from 'node:fs';
import { type Batch, open } from 'ringtap';
import { beforeEach, describe, expect, test } from 'vitest';
import { lab, labMissing, send, traffic } from '../support/lab.js';
import { drain, expectBalanced, failure, readAll } from '../support/packets.js';
import { best, sleep, until, within } from '../support/wait.js';

const methods = ['afpacket', 'pcap'] as const;
const rx = lab?.rx ?? '';

/** Packets that the interface has received, as the kernel counts them. */
const received = () => Number(new RegExp(`${rx}: *\\d+ +(\\d+)`).exec(readFileSync('/proc/self/net/dev', 'utf8'))?.[1]);
const numberOf = (data: Buffer) => Number(data.readBigUInt64BE(42));

describe.skipIf(lab === null).each(methods)(`%s${labMissing ? ` (${labMissing})` : ''}`, (method) => {
  let before = 0;
  beforeEach(() => {
    before = received();
  });

  test('counts what the sender sent and the kernel received, to the packet', async () => {
    await using capture = await open(`${method}:${rx}`);
    const [seen, { sent }] = await Promise.all([readAll(capture, 30_000), send({ count: 30_000, rate: 150_000 })]);
    expect(sent).toBe(30_000);
    expect(received() - before).toBe(30_000);
    expect(seen.map(({ data }) => numberOf(data))).toEqual(Array.from({ length: 30_000 }, (_, i) => i));
    expect(capture.stats()).toMatchObject({
      received: 30_000,
      delivered: 30_000,
      filtered: 0,
      dropped: 0,
      pending: 0,
      deliveredBytes: 1_800_000,
    });
  });

  test('counts what a small buffer loses under a stalled reader, to the packet', async () => {
    const options = method === 'afpacket' ? { bufferBytes: 262144, blockBytes: 65536 } : { bufferBytes: 1 << 20 };
    await using capture = await open(`${method}:${rx}`, options);
    const { sent } = await send({ count: 60_000, rate: 200_000 });
    await until(() => capture.stats().received === sent, 'the last packet');
    expectBalanced(capture.stats());
    const seen = await drain(capture);
    const stats = capture.stats();
    expectBalanced(stats);
    expect(stats.received).toBe(sent);
    expect(stats.delivered).toBe(seen.length);
    expect(stats.dropped).toBe(sent - seen.length);
    expect(stats.dropped).toBeGreaterThan(1000);
    expect(stats.pending).toBe(0);
    // Those that were kept came in order.
    expect(seen.every(({ data }, i) => i === 0 || numberOf(data) > numberOf(seen[i - 1]!.data))).toBe(true);
  });

  test('loses nothing with default sizes while JavaScript is busy for 100 ms', async () => {
    await using capture = await open(`${method}:${rx}`);
    const sending = send({ count: 100_000, rate: 500_000, core: 0 });
    let seen = 0;
    let stalled = false;
    const loop = async () => {
      for await (const batch of capture) {
        seen += batch.length;
        if (!stalled) {
          stalled = true;
          const stop = performance.now() + 100;
          while (performance.now() < stop);
        }
        if (seen >= 100_000) break;
      }
    };
    await within(loop(), '100,000 packets');
    await sending;
    expect(capture.stats()).toMatchObject({ received: 100_000, delivered: 100_000, dropped: 0 });
  });

  test('delivers a single packet within its timeout, without another one after it', async () => {
    for (const timeoutMs of [1, 50, 200]) {
      await using capture = await open(`${method}:${rx}`, { timeoutMs });
      const iterator = capture[Symbol.asyncIterator]();
      const wait = async () => {
        const next = iterator.next();
        await send({ count: 1 });
        const sentBy = performance.now();
        const { value } = await within(next, 'the packet');
        expect(value!.length).toBe(1);
        return performance.now() - sentBy;
      };
      expect(await best(timeoutMs + 50, wait)).toBeLessThan(timeoutMs + 50);
    }
  });

  test('stamps packets between sending and delivery, with nanoseconds', async () => {
    await using capture = await open(`${method}:${rx}`);
    const start = BigInt(Date.now()) * 1_000_000n;
    const [seen] = await Promise.all([readAll(capture, 1000), send({ count: 1000, rate: 20_000 })]);
    const end = BigInt(Date.now() + 1) * 1_000_000n;
    for (const { timeNs } of seen) expect(timeNs >= start && timeNs <= end).toBe(true);
    expect(seen.every(({ timeNs }, i) => i === 0 || timeNs >= seen[i - 1]!.timeNs)).toBe(true);
    // Microseconds would end in three zeros.
    expect(seen.filter(({ timeNs }) => timeNs % 1000n !== 0n).length).toBeGreaterThan(900);
    expect(capture.plan.timestamp).toBe('kernel');
  });

  // Quickly, and slowly: a ring that hands over every 10 ms what little it has must not come round to what is held.
  // Slower than that, and it would: then it is the time that counts, so time must not decide here.
  test.each([
    { packets: 100_000, rate: 200_000, timeoutMs: 200 },
    { packets: 200, rate: 150, timeoutMs: 10 },
  ])('keeps held bytes while $packets packets go by at $rate a second', async ({ packets, rate, timeoutMs }) => {
    await using capture = await open(`${method}:${rx}`, { batchSize: 32, timeoutMs });
    const sending = send({ count: packets, rate });
    const held: { batch: Batch; hex: string }[] = [];
    const content = (batch: Batch) => Buffer.concat(Array.from(batch, (packet) => packet.copy())).toString('hex');
    let seen = 0;
    const loop = async () => {
      for await (const batch of capture) {
        seen += batch.length;
        if (held.length < 5) held.push({ batch: batch.hold(), hex: content(batch) });
        if (seen >= packets) break;
      }
    };
    await within(loop(), `${packets} packets`);
    await sending;
    for (const { batch, hex } of held) {
      expect(content(batch)).toBe(hex);
      batch.release();
    }
    expect(capture.stats()).toMatchObject({ delivered: packets, dropped: 0 });
  });

  test('costs next to no CPU while a batch is held and nothing comes', async () => {
    await using capture = await open(`${method}:${rx}`);
    const iterator = capture[Symbol.asyncIterator]();
    const first = iterator.next();
    await send({ count: 5, rate: 10_000 });
    const { value } = await within(first, 'a packet');
    value!.hold();
    const rest = iterator.next();
    rest.catch(() => {});
    await sleep(100);
    const second = async () => {
      const usage = process.cpuUsage();
      await sleep(1000);
      const { user, system } = process.cpuUsage(usage);
      return (user + system) / 1_000_000;
    };
    expect(await best(0.1, second)).toBeLessThan(0.1);
    value!.release();
  });

  test('goes on beside another capture of the same interface', async () => {
    await using one = await open(`${method}:${rx}`);
    await using two = await open(`${method}:${rx}`);
    const [first, second] = await Promise.all([
      readAll(one, 5000),
      readAll(two, 5000),
      send({ count: 5000, rate: 100_000 }),
    ]);
    expect(first.map(({ data }) => numberOf(data))).toEqual(second.map(({ data }) => numberOf(data)));
  });
});

describe.skipIf(lab === null)('afpacket', () => {
  test('whose ring comes round to a held batch says RINGTAP_NO_BUFFER, counts the loss, and goes on after its release', async () => {
    await using capture = await open(`afpacket:${rx}`, { bufferBytes: 262144, blockBytes: 65536, timeoutMs: 1 });
    const sending = send({ count: 20_000, rate: 100_000 });
    const held: Batch = capture.nextSync(20_000)!.hold();
    let seen = held.length;
    const error = await failure(() => {
      const deadline = performance.now() + 20_000;
      while (performance.now() < deadline) seen += capture.nextSync(10)?.length ?? 0;
    });
    expect(error).toMatchObject({ code: 'RINGTAP_NO_BUFFER', uri: capture.uri });
    await sending;
    const { dropped, drops } = capture.stats();
    expect(dropped).toBeGreaterThan(0);
    expect(drops.ring).toBe(dropped);
    held.release();
    await send({ count: 1000, rate: 50_000 });
    seen += (await drain(capture)).length;
    const stats = capture.stats();
    expect(stats).toMatchObject({ received: 21_000, delivered: seen, pending: 0 });
    expectBalanced(stats);
  });

  test('share splits the flows of an interface between two captures, and neither packet is lost or seen twice', async () => {
    const group = 4000 + (process.pid % 1000);
    await using one = await open(`afpacket:${rx}`, { share: group });
    await using two = await open(`afpacket:${rx}`, { share: group });
    const { sent } = await send({ count: 20_000, rate: 100_000, flows: 256 });
    const [first, second] = [await drain(one), await drain(two)];
    expect(first.length).toBeGreaterThan(1000);
    expect(second.length).toBeGreaterThan(1000);
    expect(first.length + second.length).toBe(sent);
    const flows = (seen: typeof first) => new Set(seen.map(({ data }) => data.readUInt16BE(34)));
    const [left, right] = [flows(first), flows(second)];
    expect([...left].filter((port) => right.has(port))).toEqual([]);
    expect(left.size + right.size).toBe(256);
    for (const { received, delivered } of [one.stats(), two.stats()]) expect(received).toBe(delivered);
  });

  // What scribbling does to the packets is the scribbler's affair; it must not reach further.
  describe('written into at random', () => {
    let seed = 12345;
    const random = (below: number) => {
      seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    const anywhere: Record<string, (batch: Batch) => void> = {
      'in packets': ({ bytes }) => {
        for (let i = 0; i < 3000; i++) bytes[random(bytes.length)] = random(256);
      },
      'in packet headers': ({ view, offset, length }) => {
        for (let i = 0; i < 200; i++) view.setUint32((offset[random(length)]! & ~3) - 4 * random(24), random(2 ** 32));
      },
      'in block headers': ({ view, bytes }) => {
        const blocks = bytes.length / 65536;
        for (let i = 0; i < 50; i++)
          view.setUint32(
            random(blocks) * 65536 + 4 * random(12),
            [0, 1, 0xffffffff, random(2 ** 32)][random(4)]!,
            true,
          );
      },
      'in descriptors': (batch) => {
        const { control } = batch as unknown as { control: Uint32Array }; // beside those that are public
        for (const array of [batch.offset, batch.caplen, batch.wirelen, batch.flags, control]) {
          for (let i = 0; i < 100; i++) array[random(array.length)] = random(2 ** 32);
        }
        batch.time.fill(Number.NaN);
      },
    };

    test.each(Object.entries(anywhere))(
      '%s, keeps its ledger and closes, and the next capture is sound',
      async (_, scribble) => {
        const stop = new AbortController();
        const flowing = traffic({ count: 0, rate: 100_000 }, stop.signal);
        try {
          let batches = 0;
          {
            await using first = await open(`afpacket:${rx}`, { timeoutMs: 1 });
            expect(first.nextSync(20_000)).not.toBeNull(); // the traffic flows
          }
          for (let round = 0; round < 15; round++) {
            const capture = await open(`afpacket:${rx}`, { bufferBytes: 1 << 20, blockBytes: 65536, timeoutMs: 1 });
            let last = capture.stats();
            const deadline = performance.now() + 60;
            while (performance.now() < deadline) {
              const batch = capture.nextSync(5);
              const now = capture.stats();
              expectBalanced(now);
              for (const name of ['received', 'delivered', 'dropped'] as const)
                expect(now[name]).toBeGreaterThanOrEqual(last[name]);
              last = now;
              if (batch === null) continue;
              batches++;
              for (const packet of batch) packet.data();
              scribble(batch);
              for (const packet of batch) packet.data();
            }
            await within(capture.close(), 'close()');
            expectBalanced(capture.stats());
          }
          expect(batches).toBeGreaterThan(15);
        } finally {
          stop.abort();
          await flowing.sent;
        }
        await using capture = await open(`afpacket:${rx}`);
        await send({ count: 1000, rate: 50_000 });
        expect(await drain(capture)).toHaveLength(1000);
      },
    );
  });
});
