import type { Capture } from '../capture/capture.js';
import { onAbort } from '../errors/abort.js';
import type { Door } from '../tcp/door.js';

/** What has come to a {@link Listener}, in numbers of connections. */
export interface ListenerStats {
  /** Number of connections that were let in, whatever became of them. */
  readonly accepted: number;
  /** Number of connections that were not: their address is not allowed, or there were too many. */
  readonly refused: number;
  /** Number of those let in that became no capture: a daemon that refuses us, keeps silent or talks nonsense. */
  readonly failed: number;
  /** Number of captures handed out, or waiting for it. */
  readonly captures: number;
  /** Number of connections that are open now. */
  readonly connections: number;
  /** Number of captures that wait to be taken. */
  readonly waiting: number;
}

/** @internal What a {@link Listener} is made of. */
export interface Listening {
  readonly uri: string;
  readonly signal: AbortSignal | undefined;
  open(listener: { take(capture: Capture): void; failed(): void }): Promise<Door>;
}

/**
 * Captures that come to us: those of the daemons that connect, one each. Read it with `for await`; each capture runs when
 * it is given, and is its taker's to read and to close. What is not taken waits, and so does its daemon.
 * @example
 * await using listener = await listen('rpcap://127.0.0.1:0');
 * console.log(listener.port, listener.stats().captures);
 */
export class Listener implements AsyncIterable<Capture>, AsyncDisposable {
  /** The URI as it was given to `listen()`. */
  readonly uri: string;
  readonly #signal: AbortSignal | undefined;
  readonly #waiting: Capture[] = [];
  readonly #takers: { resolve(result: IteratorResult<Capture, undefined>): void; reject(why: unknown): void }[] = [];
  #door: Door | undefined;
  #captures = 0;
  #failed = 0;
  #isClosed = false;
  #forgetSignal = () => {};

  /** @internal Use `listen()`. */
  static async open({ uri, signal, open }: Listening): Promise<Listener> {
    signal?.throwIfAborted();
    const listener = new Listener(uri, signal);
    const door = await open({ take: (capture) => listener.#take(capture), failed: () => listener.#failed++ });
    listener.#door = door;
    if (signal !== undefined) listener.#forgetSignal = onAbort(signal, () => void listener.close());
    signal?.throwIfAborted();
    return listener;
  }

  private constructor(uri: string, signal: AbortSignal | undefined) {
    this.uri = uri;
    this.#signal = signal;
  }

  /** The TCP port that it listens at: the one that the system chose, where 0 was given. */
  get port(): number {
    return this.#door?.port ?? 0;
  }

  /**
   * How many have come, and what became of them.
   * @throws nothing
   */
  stats(): ListenerStats {
    const { accepted = 0, refused = 0, connections = 0 } = this.#door ?? {};
    return Object.freeze({
      accepted,
      refused,
      failed: this.#failed,
      captures: this.#captures,
      connections,
      waiting: this.#waiting.length,
    });
  }

  /**
   * Captures as they come; ends with {@link close}.
   * @throws nothing but the signal's reason
   */
  [Symbol.asyncIterator](): AsyncIterator<Capture, undefined> & AsyncIterable<Capture> {
    const next = (): Promise<IteratorResult<Capture, undefined>> => {
      const value = this.#waiting.shift();
      if (value !== undefined) return Promise.resolve({ value, done: false });
      if (this.#signal?.aborted) return Promise.reject(this.#signal.reason);
      if (this.#isClosed) return Promise.resolve(DONE);
      return new Promise((resolve, reject) => this.#takers.push({ resolve, reject }));
    };
    return {
      next,
      return: async () => DONE,
      [Symbol.asyncIterator]() {
        return this;
      },
    };
  }

  /**
   * Waiting for daemons keeps the process alive; this is the default.
   * @throws nothing
   * @example
   * setTimeout(() => listener.close(), 10);
   * console.log(listener.ref().port); // until it is closed
   */
  ref(): this {
    this.#door?.ref(true);
    return this;
  }

  /**
   * Waiting for daemons does not keep the process alive.
   * @throws nothing
   * @example
   * console.log(listener.unref().port); // the program may end while none comes
   */
  unref(): this {
    this.#door?.ref(false);
    return this;
  }

  /**
   * Lets nobody in any more, closes the captures that nobody has taken and ends a running `for await`. Those that were
   * taken go on. Idempotent.
   * @throws nothing
   * @example
   * process.once('SIGTERM', () => listener.close()); // the loop ends
   * setTimeout(() => listener.close().then(() => console.log('closed')), 10);
   */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#forgetSignal();
    this.#door?.close();
    for (const { resolve, reject } of this.#takers.splice(0)) {
      if (this.#signal?.aborted) reject(this.#signal.reason);
      else resolve(DONE);
    }
    await Promise.all(this.#waiting.splice(0).map((capture) => capture.close()));
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #take(capture: Capture): void {
    if (this.#isClosed) return void capture.close();
    this.#captures++;
    const taker = this.#takers.shift();
    if (taker === undefined) this.#waiting.push(capture);
    else taker.resolve({ value: capture, done: false });
  }
}

const DONE = Object.freeze({ value: undefined, done: true as const });
