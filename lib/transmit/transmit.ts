import { setImmediate as nextTurn } from 'node:timers/promises';
import { pause, type WaitOptions } from '../errors/abort.js';
import { CaptureError, wrapNative } from '../errors/errors.js';
import type { BackendName } from '../generated/options.js';
import type { NativeSession } from '../native/native.js';
import { callOptions } from '../uri/options.js';

/** Turns of the event loop before flush() sleeps: what can send at once has done so by then. */
const TURNS = 4;
/** The longest sleep between two looks at a port that takes nothing. */
const LONGEST_SLEEP_MS = 4;
/** How long close() waits for a port that takes nothing. */
const PATIENCE_MS = 1000;

/** What became of the frames that were sent. */
export interface TransmitStats {
  /** Frames taken by the kernel or NIC and given back. */
  readonly sent: number;
  /** Frames accepted by `send()`, not given back yet; after `close()`: never sent. */
  readonly queued: number;
  /** Frames refused as malformed. */
  readonly failed: number;
}

/**
 * Sends packets through a capture method.
 *
 * Frames are queued by `send()`, and go out together: when `flush()` asks for it, when `drain()` has to make room, or when
 * it is closed. A program that has nothing more to send for now calls `flush()`: else its last frames stay where they
 * are.
 * @example
 * await using transmitter = await openTransmitter('afxdp:eth0');
 * for (const frame of frames) {
 *   while (!transmitter.send(frame)) await transmitter.drain();
 * }
 * await transmitter.flush({ signal: AbortSignal.timeout(1000) });
 * console.log(transmitter.stats());
 * await transmitter.close();
 */
export interface Transmitter extends AsyncDisposable {
  /**
   * Queues one whole frame, link-level header included; it is copied. It is sent by the next `flush()`, `drain()` that
   * waits, or `close()` at the latest.
   * @param frame at least as long as a link-level header, at most as long as the interface's MTU and that
   * @returns false when all buffers are under way, and the frame was not taken: `await drain()` and try again
   * @throws CaptureError RINGTAP_BAD_OPTION when it is no Uint8Array, too short or too long, RINGTAP_CLOSED
   */
  send(frame: Uint8Array): boolean;
  /**
   * Resolves when `send()` would take a frame: at once where it would now. Unlike {@link flush} it does not wait until
   * everything was sent, so that there is something to send all the time.
   * @param options `signal` ends the waiting
   * @throws CaptureError RINGTAP_CLOSED, or why the interface cannot send; or the signal's reason
   */
  drain(options?: WaitOptions): Promise<void>;
  /**
   * Resolves when every queued frame has been sent, however long the port takes none.
   * @param options `signal` ends the waiting
   * @throws CaptureError RINGTAP_CLOSED, or why the interface cannot send; or the signal's reason. What is queued then
   * stays so.
   */
  flush(options?: WaitOptions): Promise<void>;
  /**
   * Frames so far. Still readable after close.
   * @throws nothing
   */
  stats(): TransmitStats;
  /**
   * Sends what is queued, as `flush()` does, and gives up on a port that has taken nothing for a second: rejects with
   * RINGTAP_SYSTEM, and `stats().queued` frames were never sent. Either way it is closed then. A capture's transmitter
   * ends with the capture, which sends nothing any more; one of `openTransmitter()` frees everything.
   * @throws CaptureError RINGTAP_SYSTEM
   */
  close(): Promise<void>;
}

/** @internal The sending side of a native session. */
export class SessionTransmitter implements Transmitter {
  readonly #session: NativeSession;
  readonly #uri: string;
  readonly #backend: BackendName;
  readonly #onClose: () => Promise<void>;
  #closing: Promise<void> | undefined;

  constructor(
    session: NativeSession,
    uri: string,
    backend: BackendName,
    onClose: () => Promise<void> = async () => {},
  ) {
    this.#session = session;
    this.#uri = uri;
    this.#backend = backend;
    this.#onClose = onClose;
  }

  send(frame: Uint8Array): boolean {
    if (this.#closing !== undefined) throw this.#closed();
    return this.#call(() => this.#session.send(frame));
  }

  async drain(options: WaitOptions = {}): Promise<void> {
    const { signal } = callOptions({ uri: this.#uri }, 'drain', options, ['signal']);
    signal?.throwIfAborted();
    if (this.#closing !== undefined) throw this.#closed();
    if (this.#call(() => this.#session.hasRoomTx())) return;
    await this.#until(() => this.#call(() => this.#session.hasRoomTx()), Number.POSITIVE_INFINITY, signal);
  }

  async flush(options: WaitOptions = {}): Promise<void> {
    const { signal } = callOptions({ uri: this.#uri }, 'flush', options, ['signal']);
    signal?.throwIfAborted();
    if (this.#closing !== undefined) throw this.#closed();
    await this.#until(() => false, Number.POSITIVE_INFINITY, signal);
  }

  /** Sends until it is enough, nothing is queued, or nothing was sent for so long. Gives what is still queued. */
  async #until(isEnough: () => boolean, patienceMs: number, signal?: AbortSignal): Promise<number> {
    let sent = -1;
    let idle = 0;
    let since = 0;
    for (;;) {
      signal?.throwIfAborted();
      const queued = this.#call(() => this.#session.flushTx());
      if (queued === 0 || isEnough()) return queued;
      const stats = this.#session.txStats();
      const now = performance.now();
      if (stats.sent + stats.failed !== sent) {
        sent = stats.sent + stats.failed;
        idle = 0;
        since = now;
      } else if (now - since >= patienceMs) {
        return queued;
      }
      if (idle++ < TURNS) await nextTurn();
      else await pause(Math.min(idle - TURNS, LONGEST_SLEEP_MS), signal);
    }
  }

  #closed(): CaptureError {
    return new CaptureError('RINGTAP_CLOSED', `${this.#uri}: the transmitter was closed`, {
      uri: this.#uri,
      backend: this.#backend,
    });
  }

  #call<T>(ask: () => T): T {
    try {
      return ask();
    } catch (error) {
      throw wrapNative(error, this.#backend, this.#uri);
    }
  }

  stats(): TransmitStats {
    return this.#session.txStats();
  }

  close(): Promise<void> {
    this.#closing ??= this.#finish();
    return this.#closing;
  }

  async #finish(): Promise<void> {
    let unsent = 0;
    try {
      unsent = await this.#until(() => false, PATIENCE_MS);
    } catch (error) {
      // The end of its capture was its own.
      if (!(error instanceof CaptureError && error.code === 'RINGTAP_CLOSED')) throw error;
    } finally {
      await this.#onClose();
    }
    if (unsent === 0) return;
    const message = `${this.#uri}: closed with ${unsent} frames that were never sent: the port took none for a second`;
    throw new CaptureError('RINGTAP_SYSTEM', message, {
      uri: this.#uri,
      backend: this.#backend,
      hint: 'See whether its link is up, and whether anybody takes frames at its other end.',
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
