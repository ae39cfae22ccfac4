// Exactly the packets of udpstr that touch a lost datagram are lost.
import { type CaptureStats, open } from 'ringtap';
import { expect } from 'vitest';
import { type LossyRelay, spansOf } from './lossy-relay.js';
import { expectBalanced, readAll } from './packets.js';

interface Packet {
  readonly data: Buffer;
}

/** What a client has read through the relay. */
interface Seen {
  readonly relay: LossyRelay;
  readonly seen: readonly Packet[];
  readonly stats: CaptureStats;
}

/**
 * Of all that the daemon has sent, the packets of which every datagram was read are there, in order and to the byte, and
 * the others are counted.
 * @param source whose packets the daemon sends, from the first one on
 * @returns how many of those that the daemon has sent were lost
 */
export async function expectExactLoss({ relay, seen, stats }: Seen, source: `synth:${string}`): Promise<number> {
  // What comes after a later one is not read.
  const taken = new Set<number>();
  let latest = -1;
  for (const number of relay.passed) {
    if (number <= latest) continue;
    latest = number;
    taken.add(number);
  }
  const spans = spansOf(relay.sent);
  expect(relay.sent.map((datagram) => datagram.readUInt32BE(4))).toEqual([...relay.sent.keys()]);
  const survivors = [...spans.keys()].filter((i) => {
    const { first, last } = spans[i]!;
    for (let datagram = first; datagram <= last; datagram++) if (!taken.has(datagram)) return false;
    return true;
  });
  await using capture = await open(`${source}&count=${spans.length}`);
  const all = await readAll(capture);
  expectSame(
    seen,
    survivors.slice(0, seen.length).map((i) => all[i]!),
  );
  // One more may have been read, and not lent yet.
  const read = seen.length + stats.pending;
  expect(stats.drops.network).toBe(survivors[read - 1]! + 1 - read);
  expectBalanced(stats);
  return spans.length - survivors.length;
}

/** To the byte. WHY not toEqual(): it takes seconds for as many bytes. */
export function expectSame(seen: readonly Packet[], expected: readonly Packet[]): void {
  expect(seen.length).toBe(expected.length);
  expect(seen.findIndex(({ data }, i) => !data.equals(expected[i]!.data))).toBe(-1);
}
