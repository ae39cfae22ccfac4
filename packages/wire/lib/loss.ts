import type { Cause, LossReport } from './generated/ringtap/v1/wire_pb.js';

/** How far each sum of a {@link LossReport} is from closing. */
export interface Gaps {
  /** Packets received that the report does not account for; negative where it accounts for more than were received. */
  readonly packets: bigint;
  /** Records made that the report does not account for; negative where it accounts for more than were made. */
  readonly records: bigint;
}

const sum = (causes: readonly Cause[]) => causes.reduce((total, { count }) => total + count, 0n);

/**
 * What a report leaves unexplained: `{ packets: 0n, records: 0n }` where both sums close. A part that is not in the report has
 * no gap. Never throws.
 *
 * @example
 * const { packets } = gaps(report);
 * if (packets !== 0n) console.warn(`${packets} packets are unaccounted for`);
 */
export function gaps({ packets, records }: LossReport): Gaps {
  return {
    packets: packets
      ? packets.received - packets.metered - sum(packets.unmetered) - sum(packets.dropped) - packets.pending
      : 0n,
    records: records ? records.made - records.stored - records.buffered - sum(records.dropped) : 0n,
  };
}
