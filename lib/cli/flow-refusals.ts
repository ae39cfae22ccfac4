// Whether anybody listens to datagrams, by what the collector's host says: it may do so once a second only.
import type { ExportStats } from '../export/index.js';

/** What was sent for so long without an answer was heard. */
const SILENCE_MS = 2000;

export class Listeners {
  #refusals = 0;
  /** When the first one was sent that no answer has come to. */
  #since: number | undefined;
  #isHeard = false;

  /** Something is about to be sent. */
  sending(): void {
    this.#since ??= Date.now();
  }

  look({ refusals }: ExportStats): void {
    if (refusals === this.#refusals) return;
    this.#refusals = refusals;
    if (this.#since !== undefined && Date.now() - this.#since > SILENCE_MS) this.#isHeard = true;
    this.#since = undefined;
  }

  /** All that was sent was refused. */
  get areNone(): boolean {
    return this.#refusals > 0 && !this.#isHeard && this.#since === undefined;
  }
}
