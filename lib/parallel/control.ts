// What a worker and the thread that started it tell each other without messages: a worker that blocks hears none.

/** Places of whole numbers. */
const STOP = 0;
const BEAT = 1;
const SENT = 2;
const TAKEN = 3;
const DROPPED = 4;
const WORDS = 6;

/** Memory that a worker and those after it share with the thread that starts them. */
export class Control {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #cpu: Float64Array;

  constructor(memory = new SharedArrayBuffer(WORDS * 4 + 8)) {
    this.memory = memory;
    this.#words = new Int32Array(memory, 0, WORDS);
    this.#cpu = new Float64Array(memory, WORDS * 4, 1);
  }

  /** The worker is to end. */
  stop(): void {
    Atomics.store(this.#words, STOP, 1);
  }
  get isStopped(): boolean {
    return Atomics.load(this.#words, STOP) !== 0;
  }

  /** The worker is alive. */
  beat(): void {
    Atomics.add(this.#words, BEAT, 1);
  }
  get beats(): number {
    return Atomics.load(this.#words, BEAT);
  }

  /** Reports that were sent and not taken yet; whether there may be one more of them. */
  mayReport(limit: number): boolean {
    const waiting = (Atomics.load(this.#words, SENT) - Atomics.load(this.#words, TAKEN)) | 0;
    if (waiting < limit) {
      Atomics.add(this.#words, SENT, 1);
      return true;
    }
    Atomics.add(this.#words, DROPPED, 1);
    return false;
  }
  /** One that was announced could not be sent. */
  takeBack(): void {
    Atomics.sub(this.#words, SENT, 1);
  }
  took(): void {
    Atomics.add(this.#words, TAKEN, 1);
  }
  get reports(): { readonly sent: number; readonly dropped: number } {
    return { sent: Atomics.load(this.#words, SENT) >>> 0, dropped: Atomics.load(this.#words, DROPPED) >>> 0 };
  }

  /** Processor time of the worker that is at work, in ms. */
  get cpuMs(): number {
    return this.#cpu[0]!;
  }
  set cpuMs(ms: number) {
    this.#cpu[0] = ms;
  }
}
