import { CaptureError, wrapNative } from './errors.js';
import type { NativeSession } from './native.js';

/** What became of the frames that were sent. */
export interface TransmitStats {
  /** Taken by the kernel or NIC and given back. */
  readonly sent: number;
  /** Accepted by `send()`, not given back yet. */
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
  /** Resolves when every queued frame has been sent. Rejects when the interface cannot send, and with RINGTAP_CLOSED. */
  flush(): Promise<void>;
  /** Frames so far. Still readable after close. */
  stats(): TransmitStats;
  /** Sends what is queued. A capture's transmitter ends with the capture; one of `openTransmitter()` frees everything. */
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

  async flush(): Promise<void> {
    try {
      while (this.#session.flushTx() > 0) await new Promise((resolve) => setImmediate(resolve));
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
    try {
      await this.flush();
    } catch (error) {
      // The end of its capture was its own.
      if (!(error instanceof CaptureError && error.code === 'RINGTAP_CLOSED')) throw error;
    } finally {
      await this.#onClose();
    }
  }

  /** The sending side of a method does not know what it was opened as. */
  #wrap(error: unknown): unknown {
    if (error instanceof Error) error.message = `${this.#uri}: ${error.message}`;
    return wrapNative(error, this.#backend, this.#uri);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
