import { Readable } from 'node:stream';
import type { Batch } from '../capture/batch.js';
import { CaptureError } from '../errors/errors.js';
import { show } from '../errors/printable.js';

/** What is read: a capture, which lends one batch at a time. */
export type BatchSource = AsyncIterable<Batch> & { readonly uri: string; readonly linkType: number };

/** Whether a look at what a program gave finds what it should be: it may be anything, and throw at being looked at. */
export function isFound(look: () => boolean): boolean {
  try {
    return look();
  } catch {
    return false;
  }
}

/** The capture, if it is one. */
export function checked(capture: BatchSource, method: string): BatchSource {
  const isCapture = () =>
    typeof capture[Symbol.asyncIterator] === 'function' &&
    typeof capture.uri === 'string' &&
    Number.isInteger(capture.linkType);
  if (isFound(isCapture)) return capture;
  throw new CaptureError('RINGTAP_BAD_OPTION', `${method}() reads a capture, not ${show(capture)}`, {
    hint: "Give it what open() resolves to: await open('afpacket:eth0').",
  });
}

/** Turns a lent batch into what goes down the stream. The batch is lent only meanwhile. */
export type Take<T> = (batch: Batch) => Iterable<T>;

/**
 * Reads a capture as fast as the stream is read, and no faster: what is not read stays in the capture's own memory, whose
 * ledger says what is lost there. The capture stays the caller's.
 */
export class CaptureReadable<T> extends Readable {
  readonly #batches: AsyncIterator<Batch>;
  readonly #take: Take<T>;
  #isPulling = false;
  /** What ended the capture early: told when all that came before it is read. */
  #failure: Error | undefined;

  /** @param first what goes before all packets */
  constructor(
    capture: BatchSource,
    take: Take<T>,
    options: { objectMode: boolean; highWaterMark?: number },
    first?: T,
  ) {
    super(options);
    this.#batches = capture[Symbol.asyncIterator]();
    this.#take = take;
    if (first !== undefined) this.push(first);
  }

  override _read(): void {
    if (!this.#isPulling && this.#failure === undefined) void this.#pull();
  }

  // WHY: a stream that is destroyed drops what waits in it, and those are good packets.
  override read(size?: number): T | null {
    const piece = super.read(size) as T | null;
    if (this.#failure !== undefined && this.readableLength === 0) process.nextTick(() => this.destroy(this.#failure));
    return piece;
  }

  // WHY not by a generator: what waits for packets could not be ended.
  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    Promise.resolve(this.#batches.return?.()).then(
      () => done(error),
      (reason: unknown) => done(error ?? (reason as Error)),
    );
  }

  async #pull(): Promise<void> {
    this.#isPulling = true;
    try {
      for (let isRoom = true; isRoom; ) {
        const { value: batch, done } = await this.#batches.next();
        if (this.destroyed) return;
        if (done) {
          this.push(null);
          return;
        }
        for (const piece of this.#take(batch)) isRoom = this.push(piece);
      }
    } catch (error) {
      this.#failure = error as Error;
      if (this.readableLength === 0) this.destroy(this.#failure);
    } finally {
      this.#isPulling = false;
    }
  }
}
