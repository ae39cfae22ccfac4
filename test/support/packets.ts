// Reading captures in tests.
import type { Batch, Capture, CaptureStats } from 'ringtap';
import { CaptureError } from 'ringtap';
import { expect } from 'vitest';
import { until, within } from './wait.js';

/** `failed` of a transmitter that sent everything. */
export const NO_FAILURES = { tooShort: 0, tooLong: 0, linkDown: 0, noBuffer: 0, malformed: 0, dropped: 0, ttl: 0 };

/** A packet, copied out of its batch. */
export interface Seen {
  readonly data: Buffer;
  readonly wirelen: number;
  readonly timeNs: bigint;
  readonly flags: number;
  readonly vlan: number;
  readonly linkType: number;
}

export function see(batch: Batch): Seen[] {
  return Array.from({ length: batch.length }, (_, i) => ({
    data: Buffer.from(batch.copy(i)),
    wirelen: batch.wirelen[i]!,
    timeNs: batch.timeNs(i),
    flags: batch.flags[i]!,
    vlan: batch.vlan[i]!,
    linkType: batch.linkType,
  }));
}

/** Reads to the end of a trace, or until `most` packets were seen. */
export function readAll(capture: Capture, most = Number.POSITIVE_INFINITY): Promise<Seen[]> {
  const read = async () => {
    const seen: Seen[] = [];
    for await (const batch of capture) {
      seen.push(...see(batch));
      if (seen.length >= most) break;
    }
    return seen;
  };
  return within(read(), `reading ${capture.uri}`);
}

/** Reads without waiting until nothing has come for `quietMs`. */
export async function drain(capture: Capture, quietMs = 300): Promise<Seen[]> {
  const seen: Seen[] = [];
  let last = performance.now();
  await until(() => {
    for (let batch = capture.tryNext(); batch !== null; batch = capture.tryNext()) {
      seen.push(...see(batch));
      last = performance.now();
    }
    return performance.now() - last > quietMs;
  }, `draining ${capture.uri}`);
  return seen;
}

/** Counts packets to the end, without keeping them. */
export function count(capture: Capture): Promise<number> {
  const read = async () => {
    let packets = 0;
    for await (const batch of capture) packets += batch.length;
    return packets;
  };
  return within(read(), `counting ${capture.uri}`);
}

/** The CaptureError that a call ends in. */
export async function failure(work: () => unknown): Promise<CaptureError> {
  let result: unknown;
  try {
    result = await within(Promise.resolve(work()), 'a failure');
  } catch (error) {
    if (error instanceof CaptureError) return error;
    throw error;
  }
  throw new Error(`expected a CaptureError, got ${String(result)}`);
}

/** The identity that every ledger keeps. */
export function expectBalanced(stats: CaptureStats): void {
  const { received, delivered, filtered, dropped, pending } = stats;
  for (const value of [received, delivered, filtered, dropped, pending]) {
    expect(Number.isSafeInteger(value) && value >= 0, JSON.stringify(stats)).toBe(true);
  }
  expect(received, JSON.stringify(stats)).toBe(delivered + filtered + dropped + pending);
  // Unknown is null, which JSON can say.
  expect(JSON.parse(JSON.stringify(stats))).toEqual(stats);
  const causes = Object.values(stats.drops).reduce<number>((sum, value) => sum + (value ?? 0), 0);
  expect(dropped, JSON.stringify(stats)).toBe(causes);
}
