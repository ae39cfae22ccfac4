import { types } from 'node:util';
import { Batch } from '../capture/batch.js';
import { type Selection, SelectionFault, selectionOf } from '../capture/selection.js';
import type { WaitOptions } from '../errors/abort.js';
import { CaptureError, wrapNative } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { ErrorCode } from '../generated/errors.js';
import type { BackendName } from '../generated/options.js';
import { Appended, addon, type NativeEdits, type NativeSession } from '../native/native.js';
import { callOptions } from '../uri/options.js';
import { Draining } from './draining.js';
import { isA } from './kinds.js';
import { editsOf, type Rewrite, RewriteFault } from './rewrite.js';

/** How long close() waits for a port that takes nothing. */
const PATIENCE_MS = 1000;
/** More than any batch has. */
const ALL = 0xffff_ffff;

/** Why frames that were accepted did not go out. */
export interface TransmitFailures {
  /** Frames shorter than a link-level header. */
  readonly tooShort: number;
  /** Frames longer than the interface's MTU and a link-level header. */
  readonly tooLong: number;
  /** Frames for a link without a carrier: nobody was at its other end. */
  readonly linkDown: number;
  /** Frames that there was no memory for, or that were refused for a second while nothing else went out. */
  readonly noBuffer: number;
  /** Frames refused by the kernel or the NIC for another reason. */
  readonly malformed: number;
  /** Frames taken by the kernel, and dropped on their way out. */
  readonly dropped: number;
  /** Packets whose time to live was over: `forward()` with `ttl: 'decrement'`. */
  readonly ttl: number;
}

/** What became of the frames that were to be sent: accepted = completed + queued + all that failed, at any time. */
export interface TransmitStats {
  /** Frames taken by `send()` and `sendBatch()`. */
  readonly accepted: number;
  /** Frames taken by the kernel or NIC and given back. */
  readonly completed: number;
  /** Frames not given back yet; after `close()`: never sent. */
  readonly queued: number;
  /** Frames that were sent from where they were received, without a copy: by `forward()`. */
  readonly zeroCopy: number;
  /** Frames that did not go out, by cause. */
  readonly failed: TransmitFailures;
}

/** What to send of a batch. */
export interface SendBatchOptions {
  /** Which packets: indices, or a mask with one byte for each packet (default: all). */
  readonly select?: Selection | undefined;
  /** The first of those packets to send, counted from 0 (default): as many as earlier calls have accepted. */
  readonly from?: number | undefined;
  /** How many of them to send at most, in packets (default: all). */
  readonly count?: number | undefined;
}

/** What to pass on of a batch, and how. */
export interface ForwardOptions extends SendBatchOptions {
  /** What to change on the way (default: nothing). */
  readonly rewrite?: Rewrite | undefined;
}

/**
 * Sends packets through a capture method.
 *
 * Frames are queued by `send()`, and go out together: when `flush()` asks for it, when `drain()` has to make room, or when
 * it is closed. A program that has nothing more to send for now calls `flush()`: else its last frames stay where they
 * are. Many frames at once are faster with `sendBatch()`.
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
   * waits, `sendBatch()` or `close()` at the latest.
   * @param frame at least as long as a link-level header, at most as long as the interface's MTU and that
   * @returns false when all buffers are under way, and the frame was not taken: `await drain()` and try again
   * @throws CaptureError RINGTAP_BAD_OPTION when it is no Uint8Array, too short or too long, RINGTAP_CLOSED
   */
  send(frame: Uint8Array): boolean;
  /**
   * Sends many frames at once, behind what is queued: the packets of a batch as they lie in its memory, or frames. Those
   * that can never be sent, because they are too long or too short, are accepted, and counted as failed. The batch may be
   * released, and the frames changed, as soon as it returns.
   * @param batch a batch that is lent now, an owned copy, or whole frames, link-level header included
   * @param options which of them
   * @returns how many were accepted, always the first ones: `await drain()`, and go on `from` there
   * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_RELEASED, RINGTAP_CLOSED, or why the interface cannot send
   * @example
   * await using transmitter = await openTransmitter('synth:');
   * for await (const batch of capture) {
   *   for (let from = 0; from < batch.length; ) {
   *     from += transmitter.sendBatch(batch, { from });
   *     if (from < batch.length) await transmitter.drain();
   *   }
   * }
   * console.log(transmitter.stats().completed);
   */
  sendBatch(batch: Batch | readonly Uint8Array[], options?: SendBatchOptions): number;
  /**
   * Passes on packets that were received, as {@link sendBatch} does: those that were selected, with changes on the way.
   * Checksums follow. The batch stays lent, and is not changed. But for one of the capture that sends (`capture.transmit`),
   * by `afxdp:` and `dpdk:`: its packets go out from where they lie, without a copy (`stats().zeroCopy`), and the batch has
   * them as they were sent. It may be released at any time. Packets that were not captured whole go out as far as they
   * were: leave `snaplen` alone where packets are passed on.
   * @param batch a batch that is lent now, or an owned copy, of the link type that is sent here
   * @param options which of them, and what to change
   * @returns how many were accepted, always the first ones: `await drain()`, and go on `from` there
   * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_RELEASED, RINGTAP_CLOSED, RINGTAP_UNSUPPORTED (another link type), or
   * why the interface cannot send
   * @example
   * await using transmitter = await openTransmitter('synth:');
   * for await (const batch of capture) {
   *   const select = batch.caplen.subarray(0, batch.length).map((bytes) => Number(bytes < 1000));
   *   const rewrite = { dstMac: '02:00:00:00:00:01', ttl: 64 };
   *   transmitter.forward(batch, { select: Uint8Array.from(select), rewrite });
   * }
   * console.log(transmitter.stats());
   */
  forward(batch: Batch, options?: ForwardOptions): number;
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
  readonly #draining: Draining;
  readonly #addon = addon();
  readonly #number: number;
  #linkType: number | undefined;
  #closing: Promise<void> | undefined;

  constructor(
    session: NativeSession,
    uri: string,
    backend: BackendName,
    onClose: () => Promise<void> = async () => {},
  ) {
    this.#session = session;
    this.#number = session.info().number;
    this.#uri = uri;
    this.#backend = backend;
    this.#onClose = onClose;
    this.#draining = new Draining(session, (error) => wrapNative(error, backend, uri));
  }

  /** What native code knows it by, and the link type of its frames; an error once it was closed. */
  get sender(): { readonly number: number; readonly linkType: number; readonly uri: string } {
    if (this.#closing !== undefined) throw this.#closed();
    const { number, linkType } = this.#session.info();
    return { number, linkType, uri: this.#uri };
  }

  /** Sends what is queued and closes, as {@link close}; but what could not be sent is told elsewhere. */
  async leave(): Promise<void> {
    await this.close().catch(() => {});
  }

  send(frame: Uint8Array): boolean {
    if (this.#closing !== undefined) throw this.#closed();
    let sent: boolean | undefined;
    // WHY not #call(): it is one more call for each frame.
    try {
      sent = this.#addon.send(this.#number, frame);
    } catch (error) {
      throw wrapNative(error, this.#backend, this.#uri);
    }
    if (sent !== undefined) return sent;
    throw this.#error('RINGTAP_CLOSED', 'send(): the capture was closed');
  }

  sendBatch(batch: Batch | readonly Uint8Array[], options: SendBatchOptions = {}): number {
    const own = callOptions({ uri: this.#uri }, 'sendBatch', options, ['select', 'from', 'count']);
    if (this.#closing !== undefined) throw this.#closed();
    const from = this.#whole('from', own.from, 0);
    const count = this.#whole('count', own.count, ALL);
    if (isA(batch, Batch)) return this.#sendPackets('sendBatch', batch, own.select, from, count);
    return this.#sendFrames(batch, own.select, from, count);
  }

  forward(batch: Batch, options: ForwardOptions = {}): number {
    const own = callOptions({ uri: this.#uri }, 'forward', options, ['select', 'from', 'count', 'rewrite']);
    if (this.#closing !== undefined) throw this.#closed();
    if (!isA(batch, Batch)) {
      throw this.#error('RINGTAP_BAD_OPTION', `forward() takes a Batch, not ${show(batch)}`);
    }
    const from = this.#whole('from', own.from, 0);
    const count = this.#whole('count', own.count, ALL);
    const edits = this.#edits(own.rewrite ?? {});
    if (batch.length > 0) this.#fits(batch);
    return this.#sendPackets('forward', batch, own.select, from, count, edits);
  }

  #fits({ linkType }: Batch): void {
    this.#linkType ??= this.#session.info().linkType;
    if (linkType === this.#linkType) return;
    const message = `forward(): packets have link type ${linkType}, and frames of link type ${this.#linkType} are sent here`;
    throw this.#error('RINGTAP_UNSUPPORTED', message);
  }

  #edits(given: unknown): NativeEdits | undefined {
    try {
      return editsOf(given);
    } catch (error) {
      const what = error instanceof RewriteFault ? error.message : 'cannot be read';
      throw this.#error('RINGTAP_BAD_OPTION', `forward(): rewrite ${what}`);
    }
  }

  #sendPackets(method: string, batch: Batch, given: unknown, from: number, count: number, edits?: NativeEdits): number {
    const { length } = batch;
    const released = () => this.#error('RINGTAP_RELEASED', `${method}(): the batch was released`);
    if (length === 0) throw released();
    const select = selectionOf(given, length);
    if (select instanceof SelectionFault) throw this.#error(select.code, `${method}(): ${select.message}`);
    const session = batch.sessionNumber;
    const sent = this.#call(() =>
      session === undefined
        ? this.#session.sendOwned(from, count, select, batch.bytes, batch.offset, batch.caplen, length, edits)
        : this.#session.sendBatch(from, count, select, session, batch.slot, batch.lease, edits),
    );
    if (sent === Appended.released) throw released();
    return sent;
  }

  #sendFrames(frames: unknown, select: unknown, from: number, count: number): number {
    const own = this.#frames(frames);
    const chosen = selectionOf(select, own.length);
    if (chosen instanceof SelectionFault) throw this.#error(chosen.code, `sendBatch(): ${chosen.message}`);
    const list = chosen === undefined ? own : picked(own, chosen);
    if (list === undefined) {
      throw this.#error('RINGTAP_BAD_OPTION', `sendBatch(): select does not fit ${own.length} frames`);
    }
    return this.#call(() => this.#session.sendFrames(list, from, count));
  }

  /** A list of frames, each element looked at once. */
  #frames(given: unknown): Uint8Array[] {
    const no = (what: string) =>
      this.#error('RINGTAP_BAD_OPTION', `sendBatch() takes a Batch or a list of Uint8Array, not ${what}`);
    try {
      if (!Array.isArray(given)) throw no(show(given));
      const frames: Uint8Array[] = [];
      const { length } = given;
      for (let i = 0; i < length; i++) {
        const frame: unknown = given[i];
        if (!types.isUint8Array(frame)) throw no(`a list with ${show(frame)}`);
        frames.push(frame);
      }
      return frames;
    } catch (error) {
      throw error instanceof CaptureError ? error : no('what cannot be read');
    }
  }

  #whole(name: string, value: unknown, otherwise: number): number {
    if (value === undefined) return otherwise;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= ALL) return value;
    throw this.#error(
      'RINGTAP_BAD_OPTION',
      `sendBatch(): ${name} must be a whole number from 0 on, not ${show(value)}`,
    );
  }

  async drain(options: WaitOptions = {}): Promise<void> {
    const { signal } = callOptions({ uri: this.#uri }, 'drain', options, ['signal']);
    signal?.throwIfAborted();
    if (this.#closing !== undefined) throw this.#closed();
    if (this.#call(() => this.#session.hasRoomTx())) return;
    await this.#draining.wait('room', signal);
  }

  async flush(options: WaitOptions = {}): Promise<void> {
    const { signal } = callOptions({ uri: this.#uri }, 'flush', options, ['signal']);
    signal?.throwIfAborted();
    if (this.#closing !== undefined) throw this.#closed();
    await this.#draining.wait('empty', signal);
  }

  #closed(): CaptureError {
    return this.#error('RINGTAP_CLOSED', 'the transmitter was closed');
  }

  #error(code: ErrorCode, message: string, hint?: string): CaptureError {
    return new CaptureError(code, `${this.#uri}: ${message}`, { uri: this.#uri, backend: this.#backend, hint });
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
    try {
      await this.#draining.wait('empty', undefined, PATIENCE_MS);
    } catch (error) {
      // The end of its capture was its own.
      if (!(error instanceof CaptureError && error.code === 'RINGTAP_CLOSED')) throw error;
      return;
    } finally {
      await this.#onClose();
    }
    const unsent = this.#session.txStats().queued;
    if (unsent === 0) return;
    throw this.#error(
      'RINGTAP_SYSTEM',
      `closed with ${unsent} frames that were never sent: the port took none for a second`,
      'See whether its link is up, and whether anybody takes frames at its other end.',
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Those of the list that were chosen; undefined where the selection is not one of this list. */
function picked(list: readonly Uint8Array[], select: Uint32Array | Uint8Array): Uint8Array[] | undefined {
  if (types.isUint8Array(select))
    return select.length === list.length ? list.filter((_, i) => select[i] !== 0) : undefined;
  const chosen = Array.from(select, (index) => list[index]);
  return chosen.includes(undefined) ? undefined : (chosen as Uint8Array[]);
}
