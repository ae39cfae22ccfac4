// Messages over a connection, which is made again when it is lost.
import type { Socket } from 'node:net';
import { pause } from '../errors/abort.js';
import { warn } from '../errors/errors.js';
import type { FlowBatch } from '../flow/index.js';
import type { EncodedMessages, NativeExporter } from '../native/native.js';
import { accountOf, encode, type Lost, Numbering } from './encoder.js';
import type { Sink } from './exporter.js';
import { Counts, type ExportStats, type NotSentCause } from './stats.js';

export interface StreamSettings {
  readonly uri: string;
  readonly queueBytes: number;
  readonly drops: boolean;
  readonly refreshMs: number;
  readonly closeMs: number;
}

const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 30_000;

export class StreamSink implements Sink {
  readonly #native: NativeExporter;
  readonly #settings: StreamSettings;
  readonly #connect: (signal: AbortSignal) => Promise<Socket>;
  readonly #ending = new AbortController();
  readonly #counts = new Counts();
  readonly #lost: Lost = { packets: 0, octets: 0 };
  readonly #queue: EncodedMessages[] = [];
  #queuedBytes = 0;
  #ignored = 0;
  #socket: Socket | undefined;
  #numbering = new Numbering();
  #announcedAt = 0;
  /** What the socket has taken and the kernel has not. */
  #leaving: EncodedMessages | undefined;
  /** Called when the queue is shorter. */
  #waiters: (() => void)[] = [];

  /** @param connect makes a connection, now and whenever one is lost */
  constructor(native: NativeExporter, settings: StreamSettings, connect: (signal: AbortSignal) => Promise<Socket>) {
    this.#native = native;
    this.#settings = settings;
    this.#connect = connect;
  }

  /** The first connection. @throws CaptureError RINGTAP_REMOTE_UNREACHABLE, RINGTAP_REMOTE_TLS */
  async begin(): Promise<void> {
    this.#attach(await this.#connect(this.#ending.signal));
  }

  ignore(packets: number): void {
    this.#ignored = packets;
  }

  write(flows: FlowBatch): Promise<void> | undefined {
    const made = encode(this.#native, flows);
    this.#counts.flows += flows.length;
    this.#counts.records += made.records;
    const { queueBytes, drops } = this.#settings;
    if (drops) {
      // What is oldest goes first.
      while (this.#queuedBytes + made.bytes.byteLength > queueBytes && this.#queue.length > 0)
        this.#lose('queue', this.#shift());
    }
    this.#queue.push(made);
    this.#queuedBytes += made.bytes.byteLength;
    this.#pump();
    return drops || this.#queuedBytes <= queueBytes ? undefined : this.#until(() => this.#queuedBytes <= queueBytes);
  }

  #shift(): EncodedMessages {
    const made = this.#queue.shift()!;
    this.#queuedBytes -= made.bytes.byteLength;
    return made;
  }

  #lose(cause: NotSentCause, { records, packets, octets }: EncodedMessages): void {
    this.#counts.notSent[cause] += records;
    this.#lost.packets += packets;
    this.#lost.octets += octets;
  }

  #attach(socket: Socket): void {
    this.#socket = socket;
    this.#numbering = new Numbering();
    this.#counts.connections++;
    let why = 'the collector closed it';
    socket.setKeepAlive(true, 30_000);
    socket.on('error', ({ message }) => {
      why = message;
    });
    socket.on('end', () => socket.destroy()); // nobody reads there any more
    socket.once('close', () => this.#detach(socket, why));
    socket.resume();
    // A session begins with templates, and numbers from 0.
    this.#announce(socket);
    this.#pump();
  }

  #announce(socket: Socket): void {
    this.#announcedAt = Date.now();
    const made = this.#native.announce(this.#announcedAt, accountOf(this.#counts, this.#lost, this.#ignored));
    this.#counts.messages += made.messages;
    this.#counts.bytes += made.bytes.byteLength;
    socket.write(this.#numbering.number(made));
  }

  /** Gives the socket one batch at a time, so that no more than that is on its way when it breaks. */
  #pump(): void {
    const socket = this.#socket;
    if (socket === undefined || this.#leaving !== undefined || this.#queue.length === 0) return;
    const now = Date.now();
    if (now - this.#announcedAt >= this.#settings.refreshMs) this.#announce(socket);
    const made = this.#shift();
    this.#leaving = made;
    // WHY not the buffer itself: it is sent once, and has its numbers then.
    socket.write(this.#numbering.number(made), (error) => {
      if (this.#leaving !== made) return;
      if (error !== undefined && error !== null) return; // the socket closes
      this.#leaving = undefined;
      this.#counts.sent += made.records;
      this.#counts.messages += made.messages;
      this.#counts.bytes += made.bytes.byteLength;
      this.#pump();
      this.#wake();
    });
    this.#wake();
  }

  #wake(): void {
    for (const waiter of this.#waiters.splice(0)) waiter();
  }

  async #until(isDone: () => boolean): Promise<void> {
    while (!isDone()) await new Promise<void>((resolve) => this.#waiters.push(resolve));
  }

  #detach(socket: Socket, why: string): void {
    if (this.#socket !== socket) return;
    this.#socket = undefined;
    if (this.#leaving !== undefined) this.#lose('connection', this.#leaving);
    this.#leaving = undefined;
    this.#wake();
    if (this.#ending.signal.aborted) return;
    warn('RINGTAP_REMOTE_CONNECTION', `${this.#settings.uri}: the connection was lost (${why}): connecting again`);
    void this.#again();
  }

  async #again(): Promise<void> {
    const { signal } = this.#ending;
    for (let wait = FIRST_RETRY_MS; ; wait = Math.min(2 * wait, LONGEST_RETRY_MS)) {
      // WHY not all at once: a thousand exporters lose the same collector at the same moment.
      await pause(wait * (0.75 + Math.random() / 2), signal);
      if (signal.aborted) return;
      try {
        const socket = await this.#connect(signal);
        if (signal.aborted) socket.destroy();
        else this.#attach(socket);
        return;
      } catch {
        // It is tried again until the exporter ends.
      }
    }
  }

  get #isIdle(): boolean {
    return this.#queue.length === 0 && this.#leaving === undefined;
  }

  flush(): Promise<void> {
    return this.#until(() => this.#isIdle);
  }

  async close(): Promise<void> {
    const timer = setTimeout(() => {
      this.#ending.abort();
      this.#wake();
    }, this.#settings.closeMs);
    await this.#until(() => this.#isIdle || this.#ending.signal.aborted);
    const socket = this.#socket;
    if (socket !== undefined && !this.#ending.signal.aborted) await this.#part(socket);
    clearTimeout(timer);
    this.#ending.abort();
    socket?.destroy();
    if (this.#leaving !== undefined) this.#lose('closed', this.#leaving);
    this.#leaving = undefined;
    while (this.#queue.length > 0) this.#lose('closed', this.#shift());
    this.#wake();
  }

  /** Takes the templates back, and ends the connection when all has left, or time is up. */
  #part(socket: Socket): Promise<void> {
    return new Promise((resolve) => {
      socket.once('close', () => resolve());
      this.#ending.signal.addEventListener('abort', () => resolve(), { once: true });
      this.#socket = undefined; // its end is no loss
      const made = this.#native.withdraw(Date.now());
      this.#counts.messages += made.messages;
      this.#counts.bytes += made.bytes.byteLength;
      socket.end(this.#numbering.number(made));
    });
  }

  stats(): ExportStats {
    return this.#counts.told();
  }
}
