import { toStats } from '../capture/stats.js';
import type { NativeShares } from '../native/native.js';
import type { Member } from './member.js';
import type { ParallelStats, WorkerStats } from './types.js';

export function statsOf(native: NativeShares, members: readonly Member[]): ParallelStats {
  const { total, shares, orphans } = native.stats();
  const workers = shares.map((share, i): WorkerStats => {
    const { cpuMs, restarts, control } = members[i]!;
    const { sent: reports, dropped: reportsDropped } = control.reports;
    return Object.freeze({ ...toStats(share), cpuMs, restarts, reports, reportsDropped });
  });
  const received = workers.map((worker) => worker.received);
  const mean = received.reduce((sum, count) => sum + count, 0) / received.length;
  const imbalance = mean === 0 ? 1 : Math.max(...received) / mean;
  return Object.freeze({ ...toStats(total), workers: Object.freeze(workers), imbalance, orphanFragments: orphans });
}
