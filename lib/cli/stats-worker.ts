// What each worker of `ringtap stats --workers` does: it counts.
import type { Batch, ParallelContext } from '../index.js';

/** What a worker has found since it was asked last. */
export interface Found {
  packets: number;
  /** On the wire. */
  bytes: number;
  /** Times of a trace, in ns since its epoch: its earliest packet and its latest. */
  first: number;
  last: number;
}

export const nothing = (): Found => ({
  packets: 0,
  bytes: 0,
  first: Number.POSITIVE_INFINITY,
  last: Number.NEGATIVE_INFINITY,
});

let found = nothing();

export function onBatch({ length, wirelen, time }: Batch, { plan }: ParallelContext): void {
  found.packets += length;
  for (let i = 0; i < length; i++) found.bytes += wirelen[i]!;
  if (plan.mode !== 'read') return;
  for (let i = 0; i < length; i++) {
    const at = time[i]!;
    if (at < found.first) found.first = at;
    if (at > found.last) found.last = at;
  }
}

export function onReduce(): Found {
  const told = found;
  found = nothing();
  return told;
}
