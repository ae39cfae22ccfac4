// What convert does to packets: which of them stay, and when they were.
import type { Batch } from '../../index.js';
import { PacketFlags } from '../../index.js';

/** Moves all times of a lent batch, exactly. */
export function shiftTimes(batch: Batch, shift: bigint): void {
  const { length, time, rest, flags } = batch;
  const by = Number(shift);
  for (let i = 0; i < length; i++) {
    const sum = time[i]! + by;
    if ((flags[i]! & PacketFlags.timeInexact) === 0 && Number.isSafeInteger(sum) && Number.isSafeInteger(by)) {
      time[i] = sum;
      continue;
    }
    const exact = BigInt(time[i]!) + shift + ((flags[i]! & PacketFlags.timeInexact) === 0 ? 0n : BigInt(rest[i]!));
    time[i] = Number(exact);
    rest[i] = Number(exact - BigInt(time[i]!));
    flags[i] = flags[i]! | PacketFlags.timeInexact;
  }
}

/** How far back a packet is compared: by packets, or by time. */
export type DedupWindow = { readonly packets: number } | { readonly ns: bigint };

/** Drops packets whose bytes and lengths are those of one shortly before. */
export class Dedup {
  readonly #window: DedupWindow;
  /** Of the last packets, the oldest first: their bytes by key, and when they were. */
  readonly #seen = new Map<number, { at: bigint; number: number; wirelen: number; bytes: Uint8Array }[]>();
  readonly #order: { key: number; number: number; at: bigint }[] = [];
  #oldest = 0;
  #number = 0;

  constructor(window: DedupWindow) {
    this.#window = window;
  }

  apply(batch: Batch, mask: Uint8Array): void {
    const { length, offset, caplen, wirelen, bytes } = batch;
    for (let i = 0; i < length; i++) {
      if (mask[i] === 0) continue;
      const data = bytes.subarray(offset[i]!, offset[i]! + caplen[i]!);
      if (this.#isDouble(data, wirelen[i]!, batch.timeNs(i))) mask[i] = 0;
    }
  }

  #isDouble(data: Uint8Array, wirelen: number, at: bigint): boolean {
    const number = this.#number++;
    this.#forget(number, at);
    const key = hashOf(data);
    const same = this.#seen.get(key) ?? [];
    const isDouble = same.some((other) => other.wirelen === wirelen && Buffer.compare(other.bytes, data) === 0);
    // A packet that is dropped is one that others are compared with, too.
    same.push({ at, number, wirelen, bytes: data.slice() });
    this.#seen.set(key, same);
    this.#order.push({ key, number, at });
    return isDouble;
  }

  /** Lets go of what is further back than the window. */
  #forget(number: number, at: bigint): void {
    const window = this.#window;
    for (; this.#oldest < this.#order.length; this.#oldest++) {
      const oldest = this.#order[this.#oldest]!;
      if ('packets' in window ? number - oldest.number <= window.packets : at - oldest.at <= window.ns) break;
      const same = this.#seen.get(oldest.key)!;
      same.shift();
      if (same.length === 0) this.#seen.delete(oldest.key);
    }
    if (this.#oldest < 4096) return;
    this.#order.splice(0, this.#oldest);
    this.#oldest = 0;
  }
}

function hashOf(data: Uint8Array): number {
  let hash = data.length;
  for (let i = 0; i < data.length; i++) hash = Math.imul(hash ^ data[i]!, 0x01000193);
  return hash >>> 0;
}
