// A control connection: messages out of bytes, one after the other.
import type { Socket } from 'node:net';
import { HEADER_BYTES, Refusal, Type } from '../rpcap/messages.js';
import { lacksInstruction, Refused, refusal } from './messages.js';

/** A request, whole. */
export interface Asked {
  readonly version: number;
  readonly type: number;
  readonly payload: Buffer;
}

/** The longest request, which is a filter; and of those who have not said who they are. */
const MOST_PAYLOAD = 1 << 18;
const MOST_OF_STRANGERS = 1 << 12;
/** Requests that may wait for their turn; clients send one and wait. */
const MOST_WAITING = 8;
/** Pieces that a request may lie in: each costs more than the bytes in it. */
const MOST_PIECES = 64;
/** Answers that a client may leave unread before no more is read of it, in bytes. */
const MOST_UNREAD = 1 << 16;
/** What TLS begins with, and how it is told that nobody speaks it: a fatal alert, in its own words. */
const HANDSHAKE = 22;
const NO_TLS = Buffer.from([21, 3, 1, 0, 2, 2, 40]);
/** How long the last words may take to go out. */
const PARTING_MS = 1000;

/** An address without what says that it is an IPv4 one in IPv6's clothes. */
export function plainAddress(address: string | undefined): string {
  return (address ?? '').replace(/^::ffff:(?=\d+\.)/i, '');
}

/** Whom a daemon speaks with. Requests are answered in their order, one at a time. */
export class Peer {
  readonly address: string;
  readonly port: number;
  /** Ours, as it sees it. */
  readonly local: string;
  readonly localPort: number;
  readonly #socket: Socket;
  readonly #answer: (asked: Asked) => Promise<Buffer | undefined>;
  readonly #waiting: Asked[] = [];
  #received: Buffer[] = [];
  #bytes = 0;
  #needed = HEADER_BYTES;
  #isBusy = false;
  #isEnding = false;
  #isNew = true;
  #isTrusted = false;
  /** The last request was one of those that {@link lacksInstruction} is about. */
  #lacksInstruction = false;

  /** Called once, when the connection is gone. */
  onEnd: () => void = () => {};
  /** A request has come. */
  onRequest: () => void = () => {};
  /** A request was refused. */
  onRefusal: (refused: Refused) => void = () => {};

  /** @param answer what a request is answered with; what it throws ends the connection, unless it is a {@link Refused} */
  constructor(socket: Socket, answer: (asked: Asked) => Promise<Buffer | undefined>) {
    this.address = plainAddress(socket.remoteAddress);
    this.port = socket.remotePort ?? 0;
    this.local = plainAddress(socket.localAddress);
    this.localPort = socket.localPort ?? 0;
    this.#socket = socket;
    this.#answer = answer;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    socket.on('data', (bytes: Buffer) => this.#take(bytes));
    socket.resume(); // one that we have made is paused
    socket.on('error', () => {}); // its close is what is heard
    socket.on('close', () => {
      this.#isEnding = true;
      this.onEnd();
    });
  }

  get isEnding(): boolean {
    return this.#isEnding;
  }

  /** It has said who it is: requests may be long from now on, and come before the last one is answered. */
  trust(): void {
    this.#isTrusted = true;
  }

  /** Says something that nobody asked for. */
  tell(refused: Refused): void {
    if (this.#isEnding) return;
    this.#socket.write(refusal(refused));
    if (refused.isLast) this.end();
  }

  /** Hears no more; what was said goes out. */
  end(): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#waiting.length = 0;
    this.#received = [];
    this.#socket.end();
    // What comes until then is not read into memory, and not answered with a reset that would take the last words away.
    this.#socket.resume();
    setTimeout(() => this.#socket.destroy(), PARTING_MS).unref();
  }

  destroy(): void {
    this.#isEnding = true;
    this.#socket.destroy();
  }

  #take(bytes: Buffer): void {
    if (this.#isEnding) return;
    if (bytes[0] === HANDSHAKE && this.#isNew) {
      this.onRefusal(new Refused(Refusal.tls, 'it speaks TLS, and this daemon does not'));
      this.#socket.write(NO_TLS);
      this.end();
      return;
    }
    this.#isNew = false;
    this.#received.push(bytes);
    this.#bytes += bytes.length;
    if (this.#received.length > MOST_PIECES) this.#received = [Buffer.concat(this.#received)];
    this.#cutAll();
    void this.#work();
  }

  /** Requests that may wait. WHY of a stranger not one while another is answered: how long it may be depends on that. */
  get #mayWait(): boolean {
    return this.#isTrusted ? this.#waiting.length < MOST_WAITING : this.#waiting.length === 0 && !this.#isBusy;
  }

  /** Nothing more is read than may wait. */
  #cutAll(): void {
    while (!this.#isEnding && this.#mayWait && this.#bytes >= this.#needed) if (!this.#cut()) break;
    if (this.#isEnding) return;
    if (this.#mayWait) this.#socket.resume();
    // WHY of a stranger some more: that he hangs up is seen by reading.
    else if (this.#bytes >= (this.#isTrusted ? this.#needed : MOST_OF_STRANGERS)) this.#socket.pause();
  }

  /** Takes the next request out of the bytes. False: it is not whole yet, or will never be. */
  #cut(): boolean {
    const all = this.#received.length === 1 ? this.#received[0]! : Buffer.concat(this.#received);
    this.#received = [all];
    if (this.#lacksInstruction && isInstruction(all)) return this.#keep(all.subarray(HEADER_BYTES));
    const length = all.readUInt32BE(4);
    if (length > (this.#isTrusted ? MOST_PAYLOAD : MOST_OF_STRANGERS)) {
      this.#refuseLength(all, length);
      return false;
    }
    this.#needed = HEADER_BYTES + length;
    if (all.length < this.#needed) return false;
    const asked = {
      version: all.readUInt8(0),
      type: all.readUInt8(1),
      payload: Buffer.from(all.subarray(HEADER_BYTES, this.#needed)),
    };
    this.#waiting.push(asked);
    this.onRequest();
    this.#keep(all.subarray(this.#needed));
    this.#lacksInstruction = asked.type === Type.start && lacksInstruction(asked.payload);
    return true;
  }

  #keep(rest: Buffer): true {
    this.#received = rest.length > 0 ? [rest] : [];
    this.#bytes = rest.length;
    this.#needed = HEADER_BYTES;
    this.#lacksInstruction = false;
    return true;
  }

  #refuseLength(header: Buffer, length: number): void {
    // What is too old or too new, or no request at all, is the more telling fault.
    const [version, type] = [header.readUInt8(0), header.readUInt8(1)];
    const known: readonly number[] = Object.values(Type);
    const what =
      version === 0 && known.includes(type)
        ? new Refused(Refusal.type, `a request of ${length} bytes is longer than any`)
        : faultOf(version, type);
    this.onRefusal(what);
    this.#socket.write(refusal(what, version));
    this.end();
  }

  async #work(): Promise<void> {
    if (this.#isBusy) return;
    this.#isBusy = true;
    for (let asked = this.#waiting.shift(); asked !== undefined && !this.#isEnding; asked = this.#waiting.shift()) {
      await this.#reply(asked);
      if (this.#socket.writableLength > MOST_UNREAD && !this.#isEnding) await this.#drained();
      if (this.#waiting.length > 0) continue;
      this.#isBusy = false;
      this.#cutAll();
      this.#isBusy = true;
    }
    this.#isBusy = false;
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#socket.off('drain', done).off('close', done);
        resolve();
      };
      this.#socket.on('drain', done).on('close', done);
    });
  }

  async #reply(asked: Asked): Promise<void> {
    try {
      const answer = await this.#answer(asked);
      if (answer !== undefined && !this.#isEnding) this.#socket.write(answer);
    } catch (error) {
      if (error instanceof Refused) this.onRefusal(error); // also of whoever did not wait for it
      if (this.#isEnding) return;
      const refused = error instanceof Refused ? error : new Refused(Refusal.network, 'the daemon failed', true);
      this.#socket.write(refusal(refused, asked.version));
      if (refused.isLast) this.end();
      if (refused !== error) process.nextTick(() => Promise.reject(error)); // a fault of ours must be seen
    }
  }
}

/** An instruction that keeps packets, where a header would be: as such it was a CLOSE, which has no payload. */
function isInstruction(bytes: Buffer): boolean {
  return bytes.readUInt32BE(0) === 0x00060000 && bytes.readUInt32BE(4) > 0;
}

/** Why nobody answers such a message. */
export function faultOf(version: number, type: number): Refused {
  if (version !== 0) {
    return new Refused(Refusal.version, `version ${version} is not spoken here, only 0`, true);
  }
  if ((type & 0x80) !== 0) return new Refused(Refusal.type, `a client sends no message of type ${type}`, true);
  return new Refused(Refusal.type, `there is no message of type ${type}`, true);
}
