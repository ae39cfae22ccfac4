// The way of packets from a capture to one client: encoded natively, a batch at a time.
import type { Socket } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import { Batch } from '../capture/batch.js';
import { CaptureError, wrapNative } from '../errors/errors.js';
import { Appended, addon, type NativeOutlet, type NativeOutletStats } from '../native/native.js';

/** Unix times in ns that packets are taken from. */
export interface Window {
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

/** How long a socket that takes nothing is left alone. */
const FULL_MS = 1;
/** How long the last packets may take to leave. */
const PARTING_MS = 1000;
/** How often a client that may lack something is listened to. */
const ATTEND_MS = 5;

export abstract class Leg {
  protected readonly native: NativeOutlet;
  #isEnded = false;

  protected constructor(native: NativeOutlet) {
    this.native = native;
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

  /** Takes what there is room for, and drops the rest. */
  takeNow(batch: Batch, window: Window): void {
    if (!this.#isEnded) this.offer(batch, 0, false, window);
  }

  /** Takes all packets of a batch, which has to stay lent until it settles: mostly that is at once, and nothing. */
  take(batch: Batch, window: Window): Promise<void> | undefined {
    if (this.#isEnded) return undefined;
    const next = this.offer(batch, 0, true, window);
    return next === undefined ? undefined : this.#takeRest(batch, next, window);
  }

  /** Everything that was taken is on its way, or as much as goes in a second. */
  async end(): Promise<void> {
    if (this.#isEnded) return;
    this.#isEnded = true;
    await this.finish(AbortSignal.timeout(PARTING_MS));
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** At once, whatever is on its way. */
  destroy(): void {
    this.#isEnded = true;
  }

  /** Undefined: the batch is done with; else how many of its packets are. */
  protected abstract offer(batch: Batch, first: number, waits: boolean, window: Window): number | undefined;
  /** Settles when another offer makes sense. */
  protected abstract room(): Promise<void>;
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
      await this.room();
      if (!this.#isEnded) next = this.offer(batch, next, true, window);
    }
  }
}

function open(request: Parameters<NonNullable<ReturnType<typeof addon>['openOutlet']>>[0]): NativeOutlet {
  const { openOutlet } = addon();
  if (openOutlet === undefined) {
    throw new CaptureError('RINGTAP_UNSUPPORTED', `no daemon on ${process.platform}`, {
      hint: 'It is made for Linux.',
    });
  }
  try {
    return openOutlet(request);
  } catch (error) {
    throw wrapNative(error);
  }
}

const NO_DATAGRAMS = {
  ...{ datagrams: false, local: '', peer: '', port: 0, datagramBytes: 0, bufferBytes: 0 },
  ...{ againBytes: 0, token: new Uint8Array(0), trains: false },
};

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
  open({ ...NO_DATAGRAMS, snaplen: 1, trains: true });
}

export class DatagramLeg extends Leg {
  readonly #flushMs: number;
  readonly #sendsAgain: boolean;
  #timer: NodeJS.Timeout | undefined;
  #attending: NodeJS.Timeout | undefined;

  constructor(target: DatagramTarget) {
    super(open({ ...target, datagrams: true }));
    this.#flushMs = target.flushMs;
    this.#sendsAgain = target.againBytes > 0;
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

/** Memory of a stream, which is filled once and sent in pieces. */
interface Chunk {
  readonly memory: Buffer;
  used: number;
  /** Pieces that the socket has not done with. */
  pieces: number;
}

const CHUNK_BYTES = 1 << 19;
/** As many bytes may be on their way. */
const MOST_CHUNKS = 4;

export class StreamLeg extends Leg {
  readonly #leastRoom: number;
  readonly #chunks: Chunk[] = [];
  #socket: Socket | undefined;
  #waiting: (() => void) | undefined;

  /** @param snaplen of the longest packet */
  constructor(snaplen: number) {
    super(open({ ...NO_DATAGRAMS, snaplen }));
    this.#leastRoom = snaplen + 28;
  }

  /** Packets leave by this connection. */
  attach(socket: Socket): void {
    if (this.isEnded) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    socket.on('error', (error) => this.lost(`the data connection broke: ${error.message}`));
    socket.on('close', () => this.lost('the data connection was closed'));
    socket.resume(); // nothing comes on it, but its end has to be seen
    this.#hasRoom();
  }

  override destroy(): void {
    super.destroy();
    this.#socket?.destroy();
    this.#hasRoom();
  }

  protected override offer(batch: Batch, first: number, waits: boolean, window: Window): number | undefined {
    const chunk = this.#chunk();
    if (chunk === undefined || this.#socket === undefined) {
      return waits ? first : this.put(batch, first, false, window, NOTHING);
    }
    const next = this.put(batch, first, waits, window, chunk.memory.subarray(chunk.used));
    this.#send(this.#socket, chunk, this.native.written());
    return next;
  }

  #send(socket: Socket, chunk: Chunk, bytes: number): void {
    if (bytes === 0) return;
    const piece = chunk.memory.subarray(chunk.used, chunk.used + bytes);
    chunk.used += bytes;
    chunk.pieces++;
    socket.write(piece, () => {
      chunk.pieces--;
      if (chunk.pieces === 0) chunk.used = 0;
      this.#hasRoom();
    });
  }

  /** One that has room for a packet. */
  #chunk(): Chunk | undefined {
    const free = this.#chunks.find(({ memory, used }) => memory.length - used >= this.#leastRoom);
    if (free !== undefined || this.#chunks.length === MOST_CHUNKS) return free;
    const made = { memory: Buffer.allocUnsafeSlow(CHUNK_BYTES), used: 0, pieces: 0 };
    this.#chunks.push(made);
    return made;
  }

  protected override async room(): Promise<void> {
    if (this.#socket !== undefined && this.#chunk() !== undefined) return nextTurn();
    await new Promise<void>((resolve) => {
      this.#waiting = resolve;
    });
  }

  #hasRoom(): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    waiting?.();
  }

  protected override async finish(signal: AbortSignal): Promise<void> {
    const socket = this.#socket;
    this.#hasRoom();
    if (socket === undefined || socket.destroyed) return;
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
      socket.once('close', () => resolve());
      socket.end(() => resolve());
    });
    // WHY not destroyed: what was sent has yet to be read, and a reset would take it away.
    setTimeout(() => socket.destroy(), PARTING_MS).unref();
  }
}

const NOTHING = new Uint8Array(0);
