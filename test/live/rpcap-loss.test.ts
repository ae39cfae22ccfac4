// udpstr over a way that loses datagrams: exactly the packets that touch a lost one are lost, and are counted.
import { open, serve } from 'ringtap';
import { describe, expect, test } from 'vitest';
import { lab } from '../support/lab.js';
import { LossyRelay, type Mischief, spansOf } from '../support/lossy-relay.js';
import { expectBalanced, readAll } from '../support/packets.js';

const WANTED = 1500;
const MIX = 'seed=3&sizes=imix';

describe.skipIf(lab === null)('over a way that loses datagrams', () => {
  test.each<[string, Mischief]>([
    ['nothing happens', { seed: 1, lose: 0, double: 0, delay: 0 }],
    ['one of ten is lost', { seed: 2, lose: 0.1, double: 0, delay: 0 }],
    ['they come twice', { seed: 3, lose: 0, double: 0.2, delay: 0 }],
    ['they overtake each other', { seed: 4, lose: 0, double: 0, delay: 0.1 }],
    ['all of that happens', { seed: 5, lose: 0.1, double: 0.1, delay: 0.05 }],
  ])('where %s', async (_, mischief) => {
    await using daemon = await serve({
      host: '127.0.0.1',
      port: 0,
      nullAuth: true,
      datagramBytes: 1472,
      sources: { made: `synth:?rate=20000&${MIX}` },
    });
    await using relay = await LossyRelay.open(daemon.port, mischief);
    await using capture = await open(`rpcap://127.0.0.1:${relay.port}/made`, { transport: 'udp' });
    const seen = await readAll(capture, WANTED);
    const stats = capture.stats();
    await capture.close();

    // What comes after a later one is not read.
    const taken = new Set<number>();
    for (const number of relay.passed) if (number > ([...taken].pop() ?? -1)) taken.add(number);
    const spans = spansOf(relay.sent);
    expect(relay.sent.map((datagram) => datagram.readUInt32BE(4))).toEqual([...relay.sent.keys()]);
    const survivors = [...spans.keys()].filter((i) => {
      const { first, last: end } = spans[i]!;
      for (let datagram = first; datagram <= end; datagram++) if (!taken.has(datagram)) return false;
      return true;
    });
    await using source = await open(`synth:?count=${spans.length}&${MIX}`);
    const all = await readAll(source);
    expect(seen.map(({ data }) => data)).toEqual(survivors.slice(0, seen.length).map((i) => all[i]!.data));
    expect(mischief.lose + mischief.delay > 0).toBe(survivors.length < spans.length);
    // One more may have been read, and not lent yet.
    const read = seen.length + stats.pending;
    expect(stats.drops.network).toBe(survivors[read - 1]! + 1 - read);
    expectBalanced(stats);
    if (mischief.double > 0 && mischief.lose === 0) expect(stats.details.datagramsLate).toBeGreaterThan(10);
  });
});
