// Who reads a trace through connections while it is written: we connect to them, or they to us.
import type { BlockList, Socket } from 'node:net';
import { onAbort } from '../errors/abort.js';
import { CaptureError, warn } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import { addon, type NativeConnection, type NativeWriter } from '../native/native.js';
import { connect, plainAddress } from '../tcp/connect.js';
import { Door, readAllow } from '../tcp/door.js';
import { handOver } from '../tcp/handover.js';
import { isListening, targetOf } from '../tcp/target.js';
import { secureServer } from '../tls/handshake.js';
import { bad } from '../uri/options.js';
import { checkTls, type TlsSettings } from '../uri/tls.js';
import { parseUri } from '../uri/uri.js';

/** Where they are, and who may be one. */
export interface ReadersSettings {
  readonly uri: string;
  readonly listens: boolean;
  readonly host: string;
  readonly port: number;
  readonly tls: TlsSettings | undefined;
  readonly reconnect: boolean;
  readonly timeoutMs: number;
  readonly allow: BlockList | undefined;
  readonly mostConnections: number;
}

/** Those of them, and of any writer, that a URI may have. */
const IN_URI = ['format', 'reconnect', 'replyMs', 'mostConnections', 'compress'];
const REPLY_MS = 5000;
const MOST_REPLY_MS = 600_000;
const MOST_CONNECTIONS = 64;
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;
/** How long what was written may take to leave through TLS. */
const PARTING_MS = 10_000;

/**
 * `host:port` of a connection's URI, and its options as the options object has them.
 * @throws CaptureError RINGTAP_BAD_URI, RINGTAP_UNKNOWN_OPTION
 */
export function streamUri(uri: string): { readonly target: string; readonly params: Record<string, unknown> } {
  const { target, params: given } = parseUri(uri);
  const params: Record<string, unknown> = {};
  for (const [name, value] of given) {
    if (!IN_URI.includes(name)) {
      throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `${uri}: a writer takes no "${name}" in its URI`, {
        uri,
        hint: `It takes ${IN_URI.join(', ')}; all others go into the options object.`,
      });
    }
    params[name] =
      value === 'true' || value === 'false' ? value === 'true' : /^\d{1,9}$/.test(value) ? Number(value) : value;
  }
  return { target, params };
}

/** @throws CaptureError RINGTAP_BAD_URI, RINGTAP_BAD_OPTION */
export function readReaders(uri: string, target: string, own: Readonly<Record<string, unknown>>): ReadersSettings {
  const at = { uri };
  const whole = (name: string, least: number, most: number, usual: number): number => {
    const { [name]: value = usual } = own;
    if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
    throw bad(at, name, `must be a whole number from ${least} to ${most}, not ${show(value)}`);
  };
  const listens = isListening(uri);
  const tls = checkTls(at, own.tls);
  if (listens && tls !== undefined && tls.cert === undefined) {
    throw bad(at, 'tls', 'lacks a certificate, which whoever serves TLS has', 'Give both as PEM: tls: { cert, key }.');
  }
  const { reconnect = false } = own;
  if (typeof reconnect !== 'boolean') throw bad(at, 'reconnect', `must be true or false, not ${show(reconnect)}`);
  if (listens && reconnect) throw bad(at, 'reconnect', 'is for who connects: tcp://');
  const [only] = ['allow', 'mostConnections'].filter((name) => !listens && own[name] !== undefined);
  if (only !== undefined) throw bad(at, only, 'is for who listens: tcp-listen://');
  return {
    uri,
    listens,
    ...targetOf({ uri, target }, listens ? 0 : 1),
    tls,
    reconnect,
    timeoutMs: whole('replyMs', 50, MOST_REPLY_MS, REPLY_MS),
    allow: readAllow(at, own.allow),
    mostConnections: whole('mostConnections', 1, 1024, MOST_CONNECTIONS),
  };
}

type WriterRequest = Parameters<ReturnType<typeof addon>['openWriter']>[0];

export class Readers {
  readonly #settings: ReadersSettings;
  readonly #native: WeakRef<NativeWriter>;
  readonly #ending = new AbortController();
  /** Sockets whose bytes pass through here. */
  readonly #passing = new Set<Socket>();
  #door: Door | undefined;

  /**
   * Opens a writer for them: where we connect, the connection is there.
   * @throws CaptureError, or the signal's reason
   */
  static async open(
    settings: ReadersSettings,
    request: WriterRequest,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly native: NativeWriter; readonly readers: Readers }> {
    const { listens, reconnect } = settings;
    const socket = listens ? undefined : await connect({ ...settings, backend: 'tcp', signal });
    try {
      const native = addon().openWriter({ ...request, readers: { listens, comesBack: reconnect } });
      const readers = new Readers(settings, native);
      if (socket !== undefined) readers.#attach(native, socket);
      else await readers.#listen();
      void readers.#watch();
      return { native, readers };
    } catch (error) {
      socket?.destroy();
      throw error;
    }
  }

  private constructor(settings: ReadersSettings, native: NativeWriter) {
    this.#settings = settings;
    this.#native = new WeakRef(native);
  }

  /** Where others connect to. */
  get port(): number | undefined {
    return this.#door?.port;
  }

  /** Nobody comes any more. */
  close(): void {
    this.#ending.abort();
    this.#door?.close();
  }

  /** What passes through here has left, or will not. */
  async left(): Promise<void> {
    const open = [...this.#passing].filter((socket) => !socket.closed);
    if (open.length === 0) return;
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => {
      timer = setTimeout(resolve, PARTING_MS);
    });
    await Promise.race([Promise.all(open.map((socket) => new Promise((done) => socket.once('close', done)))), late]);
    clearTimeout(timer);
    for (const socket of open) socket.destroy();
  }

  async #listen(): Promise<void> {
    this.#door = await Door.open(this.#settings, (socket) => this.#enter(socket));
    this.#door.ref(false);
  }

  async #enter(socket: Socket): Promise<void> {
    const { uri, tls, timeoutMs, mostConnections } = this.#settings;
    const host = plainAddress(socket.remoteAddress);
    try {
      const native = this.#native.deref();
      if (native === undefined || native.readers() >= mostConnections) {
        throw new CaptureError('RINGTAP_BUSY', `${uri}: ${mostConnections} read it already`, { uri });
      }
      const signal = this.#ending.signal;
      const plain =
        tls === undefined
          ? socket
          : await secureServer(socket, { uri, backend: 'tcp', host }, tls, { timeoutMs, signal });
      this.#attach(native, plain);
    } catch (error) {
      socket.destroy();
      if (!this.#ending.signal.aborted) warn('RINGTAP_REMOTE_CONNECTION', `${host}: ${(error as Error).message}`);
      throw error;
    }
  }

  #attach(native: NativeWriter, socket: Socket): void {
    socket.setKeepAlive(true, 30_000);
    // WHY before it is passed on: whoever hears of the end then knows whose it is.
    socket.once('end', () => passed?.end('it has closed the connection', ''));
    let passed: NativeConnection | undefined;
    const connection = handOver(socket);
    passed = connection;
    if (!socket.destroyed) {
      this.#passing.add(socket);
      socket.once('close', () => this.#passing.delete(socket));
    }
    if (native.attach(connection)) return;
    connection.close();
    throw new CaptureError('RINGTAP_CLOSED', `${this.#settings.uri}: the trace has ended`, { uri: this.#settings.uri });
  }

  /** Hears of who leaves. WHY weakly: a writer that nobody uses any more is collected, and so closed. */
  async #watch(): Promise<void> {
    const { uri, reconnect } = this.#settings;
    for (;;) {
      const why = await this.#native.deref()?.left();
      if (why === undefined) break;
      if (!reconnect || this.#ending.signal.aborted) continue;
      warn('RINGTAP_REMOTE_CONNECTION', `${uri}: the connection was lost (${why}): connecting again`);
      await this.#reconnect();
    }
    this.close();
  }

  async #reconnect(): Promise<void> {
    const { signal } = this.#ending;
    for (let wait = FIRST_RETRY_MS; !signal.aborted; wait = Math.min(2 * wait, LONGEST_RETRY_MS)) {
      // WHY not all at once: a thousand sensors lose the same collector at the same moment.
      await later(wait * (0.75 + Math.random() / 2), signal);
      try {
        const socket = await connect({ ...this.#settings, backend: 'tcp', signal });
        const native = this.#native.deref();
        if (native === undefined) socket.destroy();
        else this.#attach(native, socket);
        return;
      } catch {
        // It is tried again until the writer ends.
      }
    }
  }
}

/** WHY not referenced: who waits for it keeps the process alive, as write() does. */
function later(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    let forget = () => {};
    const done = () => {
      clearTimeout(timer);
      forget();
      resolve();
    };
    const timer = setTimeout(done, ms).unref();
    forget = onAbort(signal, done);
  });
}
