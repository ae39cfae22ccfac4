// Packets that leave on a stream.
import type { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Batch } from '../capture/batch.js';
import { Leg, NO_DATAGRAMS, openOutlet, PARTING_MS, type Window } from './leg.js';

/** Memory of a stream, which is filled once and sent in pieces. */
interface Chunk {
  readonly memory: Buffer;
  used: number;
  /** Pieces that the socket has not done with. */
  pieces: number;
}

const CHUNK_BYTES = 1 << 19;
/** As many bytes may be on their way of a capture that waits for us; and of one that does not, which then is our ring. */
const MOST_CHUNKS = 4;
const MOST_CHUNKS_UNAWAITED = 32;

export class StreamLeg extends Leg {
  readonly #leastRoom: number;
  readonly #chunks: Chunk[] = [];
  #socket: Socket | undefined;
  #waiting: (() => void) | undefined;

  readonly #mostChunks: number;

  /** @param snaplen of the longest packet @param isAwaited the capture waits for it */
  constructor(snaplen: number, isAwaited: boolean) {
    const mostChunks = isAwaited ? MOST_CHUNKS : MOST_CHUNKS_UNAWAITED;
    super(openOutlet({ ...NO_DATAGRAMS, snaplen }), mostChunks * CHUNK_BYTES);
    this.#mostChunks = mostChunks;
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
    if (free !== undefined || this.#chunks.length === this.#mostChunks) return free;
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

  protected override wake(): void {
    this.#hasRoom();
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
    setTimeout(() => socket.destroy(), signal.aborted ? PARTING_MS / 4 : PARTING_MS).unref();
  }
}

const NOTHING = new Uint8Array(0);
