// The way of packets from a capture to one client: encoded natively, a batch at a time.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { Batch } from '../capture/batch.js';
import { CaptureError, wrapNative } from '../errors/errors.js';
import { Appended, addon, type NativeOutlet, type NativeOutletStats } from '../native/native.js';

/** Unix times in ns that packets are taken from. */
export interface Window {
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

/** How long the last packets may take to leave. */
export const PARTING_MS = 1000;

export abstract class Leg {
  protected readonly native: NativeOutlet;
  #isEnded = false;
  /** What it takes at most. */
  readonly memoryBytes: number;
  /** Gives that back, at its end. */
  giveBack: () => void = () => {};
  /** How many do not wait for a slow client any more. */
  #late = 0;

  protected constructor(native: NativeOutlet, memoryBytes: number) {
    this.native = native;
    this.memoryBytes = memoryBytes;
  }

  /** No packet can leave any more; called once at most. */
  onLost: (why: string) => void = () => {};

  get stats(): NativeOutletStats {
    return this.native.stats();
  }

  /** @param program code, jt, jf, k of each instruction; none: all packets */
  setFilter(program: Uint32Array): void {
    try {
      this.native.setFilter(program);
    } catch (error) {
      throw wrapNative(error);
    }
  }

  setSampling(method: number, value: number): void {
    this.native.setSampling(method, value);
  }

  /** Packets of these connections are left out: {@link OwnTraffic} makes the bytes. */
  setOwn(connections: Uint8Array): void {
    this.native.setOwn(connections);
  }

  /** Takes what there is room for, and drops the rest. */
  takeNow(batch: Batch, window: Window): void {
    let waits = true;
    for (let next: number | undefined = 0; next !== undefined && !this.#isEnded; ) {
      const before: number = next;
      // WHY not at once: what has no room in one piece of memory has it in the next.
      next = this.offer(batch, before, waits, window);
      if (next === before) waits = false;
    }
  }

  /** Takes all packets of a batch, which has to stay lent until it settles: mostly that is at once, and nothing. */
  take(batch: Batch, window: Window): Promise<void> | undefined {
    if (this.#isEnded) return undefined;
    const next = this.offer(batch, 0, this.#late === 0, window);
    return next === undefined ? undefined : this.#takeRest(batch, next, window);
  }

  /**
   * For packets that have no room then is not waited longer than this: they are dropped, and counted.
   * @returns has it wait again
   */
  hurry(ms: number): () => void {
    let late = 0;
    const timer = setTimeout(() => {
      late = 1;
      this.#late++;
      this.wake();
    }, ms);
    return () => {
      clearTimeout(timer);
      this.#late -= late;
      late = 0;
    };
  }

  /** Everything that was taken is on its way, or as much as goes in a second. */
  async end(): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    await this.finish(AbortSignal.timeout(PARTING_MS));
    this.native.close();
    this.giveBack();
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** At once, whatever is on its way. */
  destroy(): void {
    this.#isEnded = true;
    this.native.close();
    this.giveBack();
  }

  /** Undefined: the batch is done with; else how many of its packets are. */
  protected abstract offer(batch: Batch, first: number, waits: boolean, window: Window): number | undefined;
  /** Settles when another offer makes sense, or {@link wake} is called. */
  protected abstract room(): Promise<void>;
  protected wake(): void {}
  protected abstract finish(signal: AbortSignal): Promise<void>;

  protected put(batch: Batch, first: number, waits: boolean, window: Window, into?: Uint8Array): number | undefined {
    const number = Batch.lenderOf(batch)?.number ?? 0;
    const { since, until } = window;
    const done = this.native.put(number, batch.slot, batch.lease, first, waits, since, until, into);
    if (done === Appended.all) return undefined;
    if (done === Appended.released) throw new CaptureError('RINGTAP_RELEASED', 'a batch was released on its way');
    return done;
  }

  protected lost(why: string): void {
    if (this.#isEnded) return;
    this.destroy();
    this.onLost(why);
  }

  async #takeRest(batch: Batch, first: number, window: Window): Promise<void> {
    for (let next: number | undefined = first; next !== undefined && !this.#isEnded; ) {
      await (this.#late > 0 ? nextTurn() : this.room());
      if (!this.#isEnded) next = this.offer(batch, next, this.#late === 0, window);
    }
  }
}

export function openOutlet(request: Parameters<NonNullable<ReturnType<typeof addon>['openOutlet']>>[0]): NativeOutlet {
  const { openOutlet: open } = addon();
  if (open === undefined) {
    throw new CaptureError('RINGTAP_UNSUPPORTED', `no daemon on ${process.platform}`, {
      hint: 'It is made for Linux.',
    });
  }
  try {
    return open(request);
  } catch (error) {
    throw wrapNative(error);
  }
}

/** Of one that sends none. */
export const NO_DATAGRAMS = {
  ...{ datagrams: false, local: '', peer: '', port: 0, datagramBytes: 0, bufferBytes: 0 },
  ...{ againBytes: 0, token: new Uint8Array(0), trains: false },
};
