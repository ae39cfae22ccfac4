// What is said of refusals in the log: as much as people read, whatever anybody sends.

/** Lines at once, and how often there is one more after that. */
const MOST = 20;
const ONE_MORE_MS = 1000;

export class Refusals {
  #left = MOST;
  #since = performance.now();
  #untold = 0;

  /** What to say of one more refusal; undefined: nothing, there were too many lately. The next that is told counts those. */
  tell(what: string): string | undefined {
    const now = performance.now();
    const more = Math.floor((now - this.#since) / ONE_MORE_MS);
    this.#since += more * ONE_MORE_MS;
    this.#left = Math.min(MOST, this.#left + more);
    if (this.#left === 0) {
      this.#untold++;
      return undefined;
    }
    this.#left--;
    const untold = this.#untold === 0 ? '' : ` (and ${this.#untold} more refusals before, of whoever)`;
    this.#untold = 0;
    return `${what}${untold}`;
  }
}
