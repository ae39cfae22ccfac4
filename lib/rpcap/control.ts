// The control connection to a daemon: a request, an answer.
import type { Socket } from 'node:net';
import { onAbort } from '../errors/abort.js';
import { CaptureError, type CaptureErrorFields } from '../errors/errors.js';
import type { ErrorCode } from '../generated/errors.js';
import type { TlsSettings } from '../uri/tls.js';
import { type ConnectOptions, dial, plainAddress } from './connect.js';
import { AT_ITS_END, HEADER_BYTES, type MessageType, message, REPLY, Refusal, Type } from './messages.js';

/** The longest answer: a daemon's own buffer for a list of interfaces is a sixteenth of it. */
const MOST_PAYLOAD = 1 << 20;
/** Pieces that an answer may lie in: each costs more than the bytes in it. */
const MOST_PIECES = 64;
const MOST_TEXT = 256;
/** How long the last words to a daemon may take to go out. */
const PARTING_MS = 1000;
/** What a server of TLS answers that was not greeted so. */
const TLS_ALERT = 21;
const TLS_MAJOR = 3;

/** For whom, and how long. */
export interface ControlOptions {
  readonly uri: string;
  /** How long the daemon may take for a connection and for each answer. */
  readonly replyMs: number;
  /** Ends the connection, and with it whatever is awaited. */
  readonly signal: AbortSignal | undefined;
  readonly tls: TlsSettings | undefined;
}

interface Waiting {
  readonly type: MessageType;
  readonly resolve: (payload: Buffer) => void;
  readonly reject: (error: unknown) => void;
}

export class Control {
  readonly #options: ControlOptions;
  readonly #host: string;
  readonly #isActive: boolean;
  readonly #socket: Socket;
  readonly #waiting: Waiting[] = [];
  readonly #forgetSignal: () => void;
  #timer: NodeJS.Timeout | undefined;
  #received: Buffer[] = [];
  #bytes = 0;
  /** Of the message that arrives: nothing is joined before it is there. */
  #needed = HEADER_BYTES;
  #failure: unknown;
  #isClosed = false;

  /** What packets come by, where they pass through here: it ends with this. */
  data: Socket | undefined;

  /** Called once, when the connection is at its end but for {@link close}. */
  onEnd: (why: unknown) => void = () => {};

  /** What has ended it. */
  get failure(): unknown {
    return this.#failure;
  }

  /** The daemon has said that the capture has ended as it was to. */
  isAtItsEnd = false;

  /** Waited for then, before the connection ends. */
  lastWords: (() => Promise<void>) | undefined;

  /** Connects to the first of the host's addresses that answers. */
  static async connect(options: ControlOptions & ConnectOptions): Promise<Control> {
    return new Control(options, await dial(options), options.host);
  }

  /** Of a connection that the daemon has made. */
  static accepted(options: ControlOptions, socket: Socket): Control {
    return new Control(options, socket, plainAddress(socket.remoteAddress), true);
  }

  private constructor(options: ControlOptions, socket: Socket, host: string, isActive = false) {
    this.#options = options;
    this.#host = host;
    this.#isActive = isActive;
    this.#socket = socket;
    socket.setNoDelay(true);
    socket.setKeepAlive(true, 30_000);
    socket.on('data', (bytes: Buffer) => this.#take(bytes));
    socket.on('error', (error: NodeJS.ErrnoException) => this.#lost(`the control connection broke: ${error.message}`));
    socket.on('close', () => this.#lost('the daemon closed the control connection'));
    socket.resume();
    this.#forgetSignal = options.signal === undefined ? () => {} : onAbort(options.signal, () => this.#aborted());
  }

  get options(): ControlOptions {
    return this.#options;
  }

  /** Whether it was the daemon who connected: then it also opens the way for packets. */
  get isActive(): boolean {
    return this.#isActive;
  }

  /** Whom its certificate has to be for. */
  get host(): string {
    return this.#host;
  }

  /** Our address, as the daemon's host sees it. */
  get local(): string {
    return plainAddress(this.#socket.localAddress);
  }

  /** The daemon's address. */
  get peer(): string {
    const address = plainAddress(this.#socket.remoteAddress);
    const [, scope] = this.#host.split('%');
    return scope === undefined || address.includes('%') ? address : `${address}%${scope}`;
  }

  /** TCP ports of the connection: ours, and the daemon's. */
  get ports(): readonly [local: number, peer: number] {
    return [this.#socket.localPort ?? 0, this.#socket.remotePort ?? 0];
  }

  /** The payload of the daemon's answer. Rejects with a CaptureError, or the signal's reason. */
  request(type: MessageType, payload?: Uint8Array): Promise<Buffer> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => {
      this.#waiting.push({ type, resolve, reject });
      this.#socket.write(message(type, payload));
      this.#timer ??= this.#patience();
    });
  }

  /** Whether an answer is awaited. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  /** From now on it does not keep the process alive. */
  unref(): void {
    this.#socket.unref();
  }

  /** From now on it does. */
  ref(): void {
    this.#socket.ref();
  }

  /**
   * Tells the daemon that this is the end, and waits for nothing. WHY not one that has connected: told so it never comes
   * again, and left alone it does, to whoever listens then.
   */
  close(): void {
    if (this.#failure !== undefined || this.#isClosed) return;
    this.#isClosed = true;
    this.data?.destroy();
    this.#finish(this.fault('RINGTAP_CLOSED', 'the connection was closed'));
    if (this.#isActive) this.#socket.end();
    else this.#socket.end(message(Type.close));
    setTimeout(() => this.#socket.destroy(), PARTING_MS).unref();
    this.#socket.unref();
  }

  /** An error of this connection. */
  fault(code: ErrorCode, what: string, fields: CaptureErrorFields = {}): CaptureError {
    const { uri } = this.#options;
    return new CaptureError(code, `${uri}: ${what}`, { uri, backend: 'rpcap', ...fields });
  }

  /** It ends: what the daemon said cannot be used. */
  fail(code: ErrorCode, what: string): void {
    this.#fail(this.fault(code, what));
  }

  #patience(): NodeJS.Timeout {
    const { replyMs } = this.#options;
    return setTimeout(() => this.#lost(`the daemon has not answered for ${replyMs} ms`), replyMs);
  }

  #aborted(): void {
    this.#fail(this.#options.signal?.reason);
  }

  #withTls(): string {
    return `rpcaps:// in place of rpcap://${this.#isActive ? ' at listen()' : ''}`;
  }

  #daemon(): string {
    return /^rpcaps?:\/\/[^/?]+/i.exec(this.#options.uri)?.[0] ?? 'rpcap://host';
  }

  #lost(what: string): void {
    const [first, second] = this.#received[0] ?? [];
    if (first === TLS_ALERT && second === TLS_MAJOR) {
      const hint = `TLS may be what it speaks: ${this.#withTls()}.`;
      this.#fail(this.fault('RINGTAP_REMOTE_TLS', `${what}, with an alert of TLS`, { hint }));
    } else {
      this.#fail(this.fault('RINGTAP_REMOTE_LOST', what));
    }
  }

  #fail(why: unknown): void {
    if (this.#failure !== undefined || this.#isClosed) return;
    this.#finish(why);
    this.#socket.destroy();
    this.onEnd(why);
  }

  #finish(why: unknown): void {
    this.#failure = why;
    clearTimeout(this.#timer);
    this.#forgetSignal();
    this.#received = [];
    for (const { reject } of this.#waiting.splice(0)) reject(why);
  }

  #take(bytes: Buffer): void {
    this.#received.push(bytes);
    this.#bytes += bytes.length;
    if (this.#received.length > MOST_PIECES) this.#received = [Buffer.concat(this.#received)];
    while (this.#failure === undefined && this.#bytes >= this.#needed) {
      const all = this.#received.length === 1 ? this.#received[0]! : Buffer.concat(this.#received);
      const length = all.readUInt32BE(4);
      if (length > MOST_PAYLOAD) {
        this.#fail(this.fault('RINGTAP_REMOTE_PROTOCOL', `the daemon announces an answer of ${length} bytes`));
        return;
      }
      this.#received = [all];
      this.#needed = HEADER_BYTES + length;
      if (all.length < this.#needed) return;
      const rest = all.subarray(this.#needed);
      this.#received = rest.length > 0 ? [rest] : [];
      this.#bytes = rest.length;
      // A copy, so that nobody who keeps an answer keeps what came along with it.
      const payload = Buffer.from(all.subarray(HEADER_BYTES, this.#needed));
      this.#needed = HEADER_BYTES;
      this.#answer(all.readUInt8(0), all.readUInt8(1), all.readUInt16BE(2), payload);
    }
  }

  #answer(version: number, type: number, value: number, payload: Buffer): void {
    const [asked] = this.#waiting;
    if (type === Type.error && value === Refusal.read && payload.toString() === AT_ITS_END) {
      // Never an answer: another one may be on its way.
      if (this.isAtItsEnd) return;
      this.isAtItsEnd = true;
      const end = () => this.fail('RINGTAP_REMOTE_LOST', AT_ITS_END);
      if (this.lastWords === undefined) end();
      else void this.lastWords().finally(end);
    } else if (type === Type.error) {
      // WHY: that the capture has ended answers nothing; what was asked for meanwhile is answered on its own.
      const isUnasked = asked === undefined || value === Refusal.read;
      const error = this.#refusal(value, payload, isUnasked);
      if (isUnasked) this.#fail(error);
      else this.#settle()?.reject(error);
    } else if (version !== 0 || asked === undefined || type !== (asked.type | REPLY)) {
      const what = `a message of version ${version} and type ${type} that nobody asked for`;
      this.#fail(this.fault('RINGTAP_REMOTE_PROTOCOL', `the daemon sends ${what}`));
    } else {
      this.#settle()?.resolve(payload);
    }
  }

  /** What was asked first has its answer. */
  #settle(): Waiting | undefined {
    clearTimeout(this.#timer);
    const settled = this.#waiting.shift();
    this.#timer = this.#waiting.length > 0 ? this.#patience() : undefined;
    return settled;
  }

  #refusal(number: number, text: Buffer, isUnasked: boolean): CaptureError {
    const words = text.subarray(0, MOST_TEXT).toString().trim();
    const what = `the daemon says: ${words === '' ? 'nothing but a number' : words} (error ${number})`;
    switch (number) {
      case Refusal.auth:
      case Refusal.credentials:
      case Refusal.authType:
        return this.fault('RINGTAP_REMOTE_AUTH', what);
      case Refusal.host:
        return this.fault('RINGTAP_REMOTE_AUTH', what, {
          hint: 'Add this host to the list of the daemon (rpcapd -l).',
        });
      case Refusal.tls:
        return this.fault('RINGTAP_REMOTE_TLS', what, {
          hint: `It speaks nothing but TLS: ${this.#withTls()}.`,
        });
      default: {
        const isOfDaemon = !isUnasked && (number === Refusal.open || number === Refusal.network);
        const hint = isOfDaemon
          ? { hint: `ringtap list ${this.#daemon()} shows whether it answers, and what it offers.` }
          : {};
        return this.fault(isUnasked ? 'RINGTAP_REMOTE_LOST' : 'RINGTAP_REMOTE_REFUSED', what, hint);
      }
    }
  }
}
