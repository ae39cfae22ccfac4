import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { CaptureError, wrapNative } from '../errors/errors.js';
import type { NativeSession } from '../native/native.js';
import { ownOptions, signalOf } from '../uri/options.js';

/** Turns of the event loop before flush() sleeps: what can send at once has done so by then. */
const TURNS = 4;
/** The longest sleep between two looks at a port that takes nothing. */
const LONGEST_SLEEP_MS = 4;
/** How long close() waits for a port that takes nothing. */
const PATIENCE_MS = 1000;

/** What became of the frames that were sent. */
export interface TransmitStats {
  /** Taken by the kernel or NIC and given back. */
  readonly sent: number;
  /** Accepted by `send()`, not given back yet; after `close()`: never sent. */
  readonly queued: number;
  /** Refused as malformed. */
  readonly failed: number;
}

/** Sends packets through a capture method. */
export interface Transmitter extends AsyncDisposable {
  /**
   * Queues one whole frame, link-level header included; it is copied.
   * @returns false when all buffers are under way: `await flush()` and try again
   * @throws CaptureError RINGTAP_BAD_OPTION when it is no Uint8Array, too short or too long, RINGTAP_CLOSED
   */
  send(frame: Uint8Array): boolean;
  /**
   * Resolves when every queued frame has been sent, however long the port takes none. Rejects when the interface cannot
   * send, with RINGTAP_CLOSED, and with the signal's reason: what is queued then stays so.
   */
  flush(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /** Frames so far. Still readable after close. */
  stats(): TransmitStats;
  /**
   * Sends what is queued, and gives up on a port that has taken nothing for a second: rejects with RINGTAP_SYSTEM, and
   * `stats().queued` frames were never sent. Either way it is closed then. A capture's transmitter ends with the
   * capture; one of `openTransmitter()` frees everything.
   */
  close(): Promise<void>;
}

/** @internal The sending side of a native session. */
export class SessionTransmitter implements Transmitter {
  readonly #session: NativeSession;
  readonly #uri: string;
  readonly #backend: string;
  readonly #onClose: () => Promise<void>;
  #closing: Promise<void> | undefined;

  constructor(session: NativeSession, uri: string, backend: string, onClose: () => Promise<void> = async () => {}) {
    this.#session = session;
    this.#uri = uri;
    this.#backend = backend;
    this.#onClose = onClose;
  }

  send(frame: Uint8Array): boolean {
    if (this.#closing !== undefined) {
      throw new CaptureError('RINGTAP_CLOSED', `${this.#uri}: the transmitter was closed`, { uri: this.#uri });
    }
    try {
      return this.#session.send(frame);
    } catch (error) {
      throw this.#wrap(error);
    }
  }

  async flush(options: { readonly signal?: AbortSignal | undefined } = {}): Promise<void> {
    const at = { uri: this.#uri, params: new Map<string, string>() };
    const signal = signalOf(at, ownOptions(at, options));
    await this.#drain(Number.POSITIVE_INFINITY, signal);
  }

  /** Sends until nothing is queued, or nothing was sent for so long. Gives what is still queued. */
  async #drain(patienceMs: number, signal?: AbortSignal): Promise<number> {
    let sent = -1;
    let idle = 0;
    let since = 0;
    for (;;) {
      signal?.throwIfAborted();
      const queued = this.#flushOnce();
      if (queued === 0) return 0;
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
      // The loop's next turn has the signal's own reason.
      else await sleep(Math.min(idle - TURNS, LONGEST_SLEEP_MS), undefined, { signal }).catch(() => {});
    }
  }

  #flushOnce(): number {
    try {
      return this.#session.flushTx();
    } catch (error) {
      throw this.#wrap(error);
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
      unsent = await this.#drain(PATIENCE_MS);
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

  /** The sending side of a method does not know what it was opened as. */
  #wrap(error: unknown): unknown {
    const wrapped = wrapNative(error, this.#backend, this.#uri);
    if (!(wrapped instanceof CaptureError)) return wrapped;
    return new CaptureError(wrapped.code, `${this.#uri}: ${wrapped.message}`, wrapped);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
