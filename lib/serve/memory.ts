// What the captures of a daemon take together, and may.
import { totalmem } from 'node:os';
import type { OpenOptions } from '../generated/options.js';
import { resolve } from '../uri/request.js';

const MIB = 1 << 20;
const MOST_DEFAULT = 2048 * MIB;

/** Unless it is said: half of what there is, and no more than this. */
export function usualMemory(): number {
  // 0: there is no limit; and where there is none, some kernels say a number without meaning.
  const limit = process.constrainedMemory?.() || Number.POSITIVE_INFINITY;
  return Math.min(MOST_DEFAULT, Math.floor(Math.min(limit, totalmem()) / 2));
}

/** Memory of captures, counted before it is asked for. */
export class Memory {
  #limit: number;
  #taken = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** From now on: what is taken stays taken. */
  set limit(bytes: number) {
    this.#limit = bytes;
  }

  /**
   * @returns gives it back, once
   * @throws Error in the words of a refusal, where it is more than there may be
   */
  take(bytes: number): () => void {
    if (this.#taken + bytes > this.#limit) {
      const mib = (n: number) => Math.ceil(n / MIB);
      throw new Error(
        `a capture takes ${mib(bytes)} MiB here, and those that run have ${mib(this.#taken)} of the ${Math.floor(this.#limit / MIB)} MiB that they may: try again when one has ended`,
      );
    }
    this.#taken += bytes;
    let isTaken = true;
    return () => {
      if (isTaken) this.#taken -= bytes;
      isTaken = false;
    };
  }
}

/** Of a capture, what its packets wait in. */
export function ringBytes(uri: string, options: OpenOptions): number {
  try {
    const { candidates, settings } = resolve(uri, options);
    return Number(settings(candidates[0]).values.bufferBytes ?? 0);
  } catch {
    return 0; // it does not open, and says why
  }
}
