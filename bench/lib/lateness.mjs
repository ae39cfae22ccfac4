// How late a 10 ms timer fires: what a program notices of a busy event loop.
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

  /** Stops it: { n, p50, p99, max } in ms. */
  result() {
    clearTimeout(this.#timer);
    const sorted = this.#late.sort((a, b) => a - b);
    const at = (share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
    return { n: sorted.length, p50: at(0.5), p99: at(0.99), max: sorted.at(-1) };
  }
}
