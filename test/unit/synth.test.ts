import { createHash } from 'node:crypto';
import { open, openWriter, PacketFlags } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { run } from '../support/child.js';
import { temporaryFolder } from '../support/folder.js';
import { count, expectBalanced, failure, readAll, type Seen, see } from '../support/packets.js';
import { best, within } from '../support/wait.js';

const path = temporaryFolder();

async function packets(query: string): Promise<Seen[]> {
  await using capture = await open(`synth:?${query}`);
  const seen = await readAll(capture);
  expectBalanced(capture.stats());
  return seen;
}

function hash(seen: readonly Seen[]): string {
  const hash = createHash('sha256');
  for (const { data, timeNs } of seen) hash.update(`${timeNs} ${data.length} `).update(data);
  return hash.digest('hex');
}

const sizes = (seen: readonly Seen[]) => seen.map(({ data }) => data.length);

describe('synth: with a seed', () => {
  const query = 'count=3000&sizes=imix&protocols=udp,tcp,icmp,udp6,tcp6,icmp6,arp';

  test('gives the same bytes and times again', async () => {
    expect(hash(await packets(`${query}&seed=7`))).toBe(hash(await packets(`${query}&seed=7`)));
  });

  test('gives the same bytes whatever the batches are', async () => {
    expect(hash(await packets(`${query}&seed=7&batchSize=1`))).toBe(
      hash(await packets(`${query}&seed=7&batchSize=4096`)),
    );
  });

  test('gives others for another seed', async () => {
    expect(hash(await packets(`${query}&seed=7`))).not.toBe(hash(await packets(`${query}&seed=8`)));
  });
});

describe('synth:', () => {
  test('ends after count packets', async () => {
    expect(await packets('count=1001')).toHaveLength(1001);
  });

  test('makes frames of one size', async () => {
    expect(new Set(sizes(await packets('count=500&sizes=128')))).toEqual(new Set([128]));
  });

  test('makes frames of a range of sizes, its ends included', async () => {
    const seen = sizes(await packets('count=5000&sizes=64-70&protocols=udp'));
    expect([...new Set(seen)].sort()).toEqual([64, 65, 66, 67, 68, 69, 70]);
  });

  test('makes IMIX frames, 7:4:1', async () => {
    const seen = sizes(await packets('count=12000&sizes=imix&bufferBytes=16m'));
    const share = (size: number) => seen.filter((bytes) => bytes === size).length / seen.length;
    expect(share(64) + share(570) + share(1518)).toBe(1);
    expect(share(64)).toBeCloseTo(7 / 12, 1);
    expect(share(570)).toBeCloseTo(4 / 12, 1);
    expect(share(1518)).toBeCloseTo(1 / 12, 1);
  });

  test('tags frames with vlanId', async () => {
    for (const { data } of await packets('count=100&vlanId=42')) {
      expect(data.readUInt16BE(12)).toBe(0x8100);
      expect(data.readUInt16BE(14) & 0xfff).toBe(42);
    }
  });

  test('makes at most as many flows as asked for', async () => {
    const seen = await packets('count=4000&flows=8&protocols=udp');
    const flows = new Set(seen.map(({ data }) => data.subarray(26, 38).toString('hex')));
    expect(flows.size).toBe(8);
  });

  test('cuts to snaplen and says how long frames were', async () => {
    for (const { data, wirelen } of await packets('count=100&sizes=500&snaplen=60')) {
      expect([data.length, wirelen]).toEqual([60, 500]);
    }
  });

  test('makes frames in which tshark finds nothing wrong', async () => {
    const file = path('sums.pcap');
    await using capture = await open(
      'synth:?count=2000&sizes=60-1518&protocols=udp,tcp,icmp,udp6,tcp6,icmp6,arp&flows=50',
    );
    const writer = await openWriter(file);
    for await (const batch of capture) await writer.write(batch);
    await writer.close();
    const checks = ['ip', 'tcp', 'udp'].flatMap((layer) => ['-o', `${layer}.check_checksum:TRUE`]);
    const fields = ['ip', 'tcp', 'udp', 'icmp', 'icmpv6'].flatMap((layer) => ['-e', `${layer}.checksum.status`]);
    const statuses = await run('tshark', '-r', file, ...checks, '-T', 'fields', ...fields);
    const lines = statuses.split('\n').slice(0, -1);
    expect(lines).toHaveLength(2000);
    // 1 is good, empty is a layer that is not there; anything else is wrong.
    expect(lines.filter((line) => !/^[1\t,]*$/.test(line))).toEqual([]);
    expect(lines.filter((line) => line.includes('1')).length).toBeGreaterThan(1500);
  });

  test('keeps the pace it is given', async () => {
    const run = async () => {
      await using capture = await open('synth:?rate=20000&count=10000');
      const started = performance.now();
      expect(await count(capture)).toBe(10000);
      const ms = performance.now() - started;
      expect(ms).toBeGreaterThan(450);
      expect(capture.stats()).toMatchObject({ received: 10000, delivered: 10000, dropped: 0, pending: 0 });
      return ms;
    };
    expect(await best(700, run)).toBeLessThan(700);
  });

  test('with a rate loses what the backlog has no room for, and counts it to the packet', async () => {
    await using capture = await open('synth:?rate=100000&count=20000&backlog=1000');
    const stop = performance.now() + 300;
    while (performance.now() < stop);
    expectBalanced(capture.stats());
    const delivered = await count(capture);
    const { received, dropped, drops } = capture.stats();
    expect(received).toBe(20000);
    expect(dropped).toBe(20000 - delivered);
    expect(drops.ring).toBe(dropped);
    expect(delivered).toBeLessThanOrEqual(20000 - 19000);
    expectBalanced(capture.stats());
  });

  test('with a rate stamps packets by the clock', async () => {
    const before = BigInt(Date.now()) * 1_000_000n;
    const seen = await packets('rate=1000&count=100');
    const after = BigInt(Date.now() + 1000) * 1_000_000n;
    for (const [i, { timeNs }] of seen.entries()) {
      expect(timeNs > before - 2_000_000_000n && timeNs < after).toBe(true);
      if (i > 0) expect(timeNs - seen[i - 1]!.timeNs).toBe(1_000_000n);
    }
  });
});

describe('a fault of synth:', () => {
  test('dropEvery loses each n-th packet and counts it', async () => {
    await using capture = await open('synth:?count=1000&dropEvery=10');
    expect(await count(capture)).toBe(900);
    expect(capture.stats()).toMatchObject({
      received: 1000,
      delivered: 900,
      dropped: 100,
      drops: { injected: 100, ring: 0 },
    });
  });

  test('corruptEvery flips one bit in each n-th packet, and flags it', async () => {
    const query = 'count=1000&seed=3&corruptEvery=7&sizes=64-200';
    const damaged = await packets(query);
    // Made the same way, but with no packet number that is a multiple: the frames before damage.
    const sound = await packets(query.replace('corruptEvery=7', 'corruptEvery=4294967295'));
    expect(damaged).toHaveLength(1000);
    for (const [i, { data, flags }] of damaged.entries()) {
      const hit = (i + 1) % 7 === 0;
      expect((flags & PacketFlags.corrupt) !== 0).toBe(hit);
      let bits = 0;
      for (const [at, byte] of data.entries()) {
        for (let difference = byte ^ sound[i]!.data[at]!; difference > 0; difference &= difference - 1) bits++;
      }
      expect(bits).toBe(hit ? 1 : 0);
    }
  });

  test('stallAfter gives nothing for stallMs, once, and loses nothing', async () => {
    await using capture = await open('synth:?count=500&stallAfter=200&stallMs=150');
    const started = performance.now();
    const first = capture.nextSync(1000)!.length;
    expect(first).toBe(200);
    const second = capture.nextSync(1000);
    expect(performance.now() - started).toBeGreaterThan(140);
    expect(second!.length).toBe(256);
    expect(capture.nextSync(1000)!.length).toBe(44);
    expect(capture.nextSync(0)).toBeNull();
    expect(capture.stats()).toMatchObject({ received: 500, delivered: 500 });
  });

  test('stallAfter makes for await wait', async () => {
    await using capture = await open('synth:?count=500&stallAfter=200&stallMs=150');
    const started = performance.now();
    expect(await count(capture)).toBe(500);
    expect(performance.now() - started).toBeGreaterThan(140);
  });

  test.each(['', '&rate=50000', '&filter=udp', '&dropEvery=3'])(
    'errorAfter%s comes after every packet before it',
    async (more) => {
      await using capture = await open(`synth:?errorAfter=700&seed=2${more}`);
      await using same = await open(`synth:?count=700&seed=2${more}`);
      const seen: Seen[] = [];
      const error = await failure(async () => {
        for await (const batch of capture) seen.push(...see(batch));
      });
      expect(error).toMatchObject({ code: 'RINGTAP_INJECTED', backend: 'synth', uri: capture.uri });
      const expected = await readAll(same);
      expect(seen.map(({ data }) => data.toString('hex'))).toEqual(expected.map(({ data }) => data.toString('hex')));
      const stats = capture.stats();
      expectBalanced(stats);
      expect(stats).toMatchObject({ received: 700, delivered: expected.length, pending: 0 });
      // A failure is final.
      expect((await failure(() => capture.tryNext())).code).toBe('RINGTAP_INJECTED');
      const again = capture[Symbol.asyncIterator]().next();
      expect((await failure(() => within(again, 'the second failure'))).code).toBe('RINGTAP_INJECTED');
    },
  );
});
