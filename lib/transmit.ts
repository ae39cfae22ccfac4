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
   * @throws CaptureError RINGTAP_BAD_OPTION when the frame is too short or too long, RINGTAP_CLOSED
   */
  send(frame: Uint8Array): boolean;
  /** Resolves when every queued frame has been sent. Rejects when the interface cannot send. */
  flush(): Promise<void>;
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
      throw wrapNative(error, this.#backend, this.#uri);
    }
  }

  async flush(): Promise<void> {
    try {
      while (this.#session.flushTx() > 0) await new Promise((resolve) => setImmediate(resolve));
    } catch (error) {
      throw wrapNative(error, this.#backend, this.#uri);
    }
  }

  stats(): TransmitStats {
    return this.#session.txStats();
  }

  close(): Promise<void> {
    this.#closing ??= this.flush().finally(() => this.#onClose());
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
