import type { CaptureStats } from '../capture/stats.js';

/** What decides which worker gets a packet. */
export type ParallelHash = 'bidirectional' | 'unidirectional' | 'addresses' | 'src' | 'dst' | 'balanced';

/** What is seen by one worker alone. */
export type KeptTogether = 'directions' | 'fragments' | 'reordered-fragments' | 'icmp-errors' | 'tunnels';

/** How packets are dealt out. */
export interface ParallelSharing {
  /** By whom: a fanout group of the kernel's with a program of ours, or a thread of ours. */
  readonly method: 'fanout-ebpf' | 'fanout-cbpf' | 'fanout-lb' | 'distributor';
  /** What is hashed: less than was asked for where the process may load no eBPF. */
  readonly hash: ParallelHash;
  /** What one worker sees all of, of each flow. */
  readonly keptTogether: readonly KeptTogether[];
  /** What may be seen by several. */
  readonly notKept: readonly KeptTogether[];
}

/** What became of a worker that ended when it was not to. */
export interface WorkerFault {
  /** Its number. */
  readonly worker: number;
  /** It threw, ended by itself, or was silent for `hangMs`. */
  readonly kind: 'throw' | 'exit' | 'hang';
  /** What it threw, or what happened to it. */
  readonly error: Error;
  /** Whether another one goes on with its share. */
  readonly restarted: boolean;
}

/** The ledger of one worker's share, and the worker itself. */
export interface WorkerStats extends CaptureStats {
  /** Processor time of the worker and those before it, in ms, as of some 100 ms ago. */
  readonly cpuMs: number;
  /** The number of times that it was started again. */
  readonly restarts: number;
  /** The number of values that it has reported. */
  readonly reports: number;
  /** The number of values that it could not report, because too many waited to be read. */
  readonly reportsDropped: number;
}

/** The ledger of a parallel capture: of all shares together, and of each. */
export interface ParallelStats extends CaptureStats {
  /** Of each worker; what was filtered or lost before packets were dealt out stands in the sum alone. */
  readonly workers: readonly WorkerStats[];
  /** Packets of the busiest worker, divided by what each would have if all had the same: 1 is even. */
  readonly imbalance: number;
  /** Packets that are fragments and came before the first one of their datagram: their worker may be another one. */
  readonly orphanFragments: number;
}

/** A value that a worker has reported. */
export interface Report<Value = unknown> {
  /** Its number. */
  readonly worker: number;
  /** A copy. */
  readonly value: Value;
}
