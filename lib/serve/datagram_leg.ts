// Packets that leave in datagrams.
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Batch } from '../capture/batch.js';
import { Leg, NO_DATAGRAMS, openOutlet, type Window } from './leg.js';

/** How long a socket that takes nothing is left alone. */
const FULL_MS = 1;
/** How often a client that may lack something is listened to. */
const ATTEND_MS = 5;

/** What datagrams are made in. */
const PACKER_BYTES = 1 << 20;

/** Where datagrams go. */
export interface DatagramTarget {
  readonly local: string;
  readonly peer: string;
  readonly port: number;
  readonly snaplen: number;
  /** Of udpstr; 0: a message each. */
  readonly datagramBytes: number;
  readonly bufferBytes: number;
  /** How long a packet may wait for a datagram to be full. */
  readonly flushMs: number;
  /** Of datagrams that may be sent again; 0: none are. */
  readonly againBytes: number;
  /** What the client proves that it is the one by. */
  readonly token: Uint8Array;
  /** Datagrams are compressed together. */
  readonly trains: boolean;
}

/** @throws CaptureError where there is no zstd */
export function needZstd(): void {
  openOutlet({ ...NO_DATAGRAMS, snaplen: 1, trains: true }).close();
}

export class DatagramLeg extends Leg {
  readonly #flushMs: number;
  readonly #sendsAgain: boolean;
  #timer: NodeJS.Timeout | undefined;
  #attending: NodeJS.Timeout | undefined;

  constructor(target: DatagramTarget) {
    super(openOutlet({ ...target, datagrams: true }), PACKER_BYTES + target.againBytes);
    this.#flushMs = target.flushMs;
    this.#sendsAgain = target.againBytes > 0;
  }

  /** Ours, that datagrams leave from. */
  get port(): number {
    return this.native.port();
  }

  override destroy(): void {
    super.destroy();
    clearTimeout(this.#timer);
    clearTimeout(this.#attending);
  }

  protected override offer(batch: Batch, first: number, waits: boolean, window: Window): number | undefined {
    const next = this.put(batch, first, waits, window);
    if (this.#sendsAgain) this.#attendSoon();
    if (this.#timer === undefined && this.native.hasMore()) this.#flushIn(this.#flushMs);
    return next;
  }

  protected override async room(): Promise<void> {
    await (this.native.hasMore() ? sleep(FULL_MS) : nextTurn());
  }

  protected override async finish(signal: AbortSignal): Promise<void> {
    clearTimeout(this.#timer);
    clearTimeout(this.#attending);
    while (!this.native.flush() && !signal.aborted) await sleep(FULL_MS);
    while (this.#sendsAgain && this.native.attend() && !signal.aborted) await sleep(ATTEND_MS);
  }

  /** For as long as the client may lack something that was sent. */
  #attendSoon(): void {
    this.#attending ??= setTimeout(() => {
      this.#attending = undefined;
      if (this.native.attend()) this.#attendSoon();
    }, ATTEND_MS);
  }

  /** WHY not anew with each packet: none waits longer than was promised. */
  #flushIn(ms: number): void {
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (!this.native.flush()) this.#flushIn(FULL_MS);
      if (this.#sendsAgain) this.#attendSoon();
    }, ms);
  }
}
