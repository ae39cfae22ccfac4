// What is promised of each way to deal packets out.
import type { KeptTogether, ParallelHash, ParallelSharing } from './types.js';

const ALL: readonly KeptTogether[] = ['directions', 'fragments', 'reordered-fragments', 'icmp-errors', 'tunnels'];

const KEPT: Readonly<Record<ParallelHash, readonly KeptTogether[]>> = {
  bidirectional: ['directions', 'fragments', 'icmp-errors', 'tunnels'],
  unidirectional: ['fragments'],
  addresses: ALL,
  src: ['fragments', 'reordered-fragments'],
  dst: ['fragments', 'reordered-fragments'],
  balanced: [],
};

export const HASHES = Object.keys(KEPT) as ParallelHash[];

export function sharingOf(method: string, hash: string): ParallelSharing {
  const kept = KEPT[hash as ParallelHash];
  return Object.freeze({
    method: method as ParallelSharing['method'],
    hash: hash as ParallelHash,
    keptTogether: kept,
    notKept: ALL.filter((what) => !kept.includes(what)),
  });
}
