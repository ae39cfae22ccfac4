// How late a 10 ms timer fires: what a program notices of a busy event loop.
import { percentiles } from './stats.mjs';

const PERIOD_MS = 10;

export class Lateness {
  #late = [];
  #timer;

  start() {
    const arm = () => {
      const due = performance.now() + PERIOD_MS;
      this.#timer = setTimeout(() => {
        this.#late.push(Math.max(0, performance.now() - due));
        arm();
      }, PERIOD_MS);
    };
    arm();
  }

  /** Stops it: { n, p50, p99, p999, max } in ms. */
  result() {
    clearTimeout(this.#timer);
    return percentiles(this.#late);
  }
}
