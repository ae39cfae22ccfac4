import type { DropCause } from '../generated/vocabulary.js';
import type { NativeStats } from '../native/native.js';

/**
 * The loss ledger of a capture: `received = delivered + filtered + dropped + pending`, to the packet.
 * All counts only grow (pending excepted; and on PF_RING with `direction: 'in'`, `received` with it, as its README says)
 * and reading them changes nothing. Packets that a filter in the kernel
 * rejected were never received and stand in none of the counts.
 */
export interface CaptureStats {
  /** Packets that the capture method has accounted for, whatever became of them. */
  readonly received: number;
  /** Packets handed out in batches. */
  readonly delivered: number;
  /** Packets that ringtap's own filter rejected after they had been received. */
  readonly filtered: number;
  /** Packets lost: the sum of the known causes. */
  readonly dropped: number;
  /** Packets received, but not handed out yet. */
  readonly pending: number;
  /**
   * Of the packets handed out: how many came in fragments (jumbo frames) and were copied into one piece. All others lie
   * where the capture method put them.
   */
  readonly joined: number;
  /** Bytes on the wire of the packets handed out. */
  readonly deliveredBytes: number;
  /**
   * Loss by cause: those that the method has, so `drops.ring` is a number, null, or missing. `null` means that the method
   * cannot tell, which is not zero. docs/uri.md has the causes of each scheme.
   */
  readonly drops: Readonly<Partial<Record<DropCause, number | null>>>;
  /**
   * Numbers of what else is counted, by their own names: by the driver, where an option (`xstats` of `dpdk:`) asks for them, and
   * of datagrams by `rpcap:` over UDP; else empty. `null` is what cannot be told.
   */
  readonly details: Readonly<Record<string, number | null>>;
}

export function toStats(native: NativeStats): CaptureStats {
  return Object.freeze({ ...native, drops: Object.freeze(native.drops), details: Object.freeze(native.details) });
}
