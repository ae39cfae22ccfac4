// A capture that outlives the connection that it came by.
import { Socket } from 'node:net';
import { pause } from '../errors/abort.js';
import { warn } from '../errors/errors.js';
import { addon, type NativeConnection, type NativeSession } from '../native/native.js';

const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;

/** Passes on what comes by one connection after the other, each of which begins a trace of its own. */
export class Returning {
  readonly connection: NativeConnection;
  readonly #uri: string;
  readonly #connect: (signal: AbortSignal) => Promise<Socket>;
  readonly #end: Socket;
  readonly #ending = new AbortController();
  #passed = 0;

  /**
   * @param socket the first one, paused
   * @param connect makes another one
   */
  constructor(uri: string, socket: Socket, connect: (signal: AbortSignal) => Promise<Socket>) {
    const [connection, fd] = addon().pair();
    this.connection = connection;
    this.#uri = uri;
    this.#connect = connect;
    this.#end = new Socket({ fd, readable: true, writable: true, allowHalfOpen: true });
    this.#end.on('error', () => {});
    // It was closed at the native end.
    this.#end.on('close', () => this.stop());
    this.#end.resume();
    this.#end.unref();
    void this.#passOn(socket);
  }

  /** Until it is closed, or nobody has it any more. */
  until(session: NativeSession): void {
    const close = session.close.bind(session);
    // WHY not an assignment: the addon's methods are read-only.
    Object.defineProperty(session, 'close', {
      value: () => {
        this.stop();
        return close();
      },
    });
  }

  stop(): void {
    this.#ending.abort();
    this.#end.destroy();
  }

  async #passOn(first: Socket): Promise<void> {
    const { signal } = this.#ending;
    for (let socket: Socket | undefined = first; socket !== undefined; socket = await this.#again()) {
      const why = await this.#until(socket);
      if (signal.aborted) return;
      this.connection.cut(this.#passed);
      warn('RINGTAP_REMOTE_CONNECTION', `${this.#uri}: the connection was lost (${why}): connecting again`);
    }
  }

  /** Why it has ended. */
  #until(socket: Socket): Promise<string> {
    return new Promise((resolve) => {
      let why = 'the other end closed it';
      const abandon = () => socket.destroy();
      this.#ending.signal.addEventListener('abort', abandon, { once: true });
      socket.on('error', ({ message }) => {
        why = message;
      });
      socket.on('data', (piece: Buffer) => {
        this.#passed += piece.length;
      });
      // It ends its side, too: nothing else is sent by it.
      socket.on('end', () => socket.end());
      socket.on('close', () => {
        this.#ending.signal.removeEventListener('abort', abandon);
        socket.unpipe(this.#end);
        resolve(why);
      });
      socket.pipe(this.#end, { end: false });
      // Who waits for packets keeps the process alive, and not the connection.
      socket.unref();
    });
  }

  async #again(): Promise<Socket | undefined> {
    const { signal } = this.#ending;
    for (let wait = FIRST_RETRY_MS; ; wait = Math.min(2 * wait, LONGEST_RETRY_MS)) {
      // WHY not all at once: a thousand collectors lose the same sensor at the same moment.
      await pause(wait * (0.75 + Math.random() / 2), signal);
      if (signal.aborted) return undefined;
      try {
        const socket = await this.#connect(signal);
        if (!signal.aborted) return socket;
        socket.destroy();
        return undefined;
      } catch {
        // It is tried again until the capture ends.
      }
    }
  }
}
