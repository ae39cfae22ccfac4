import { types } from 'node:util';
import { Batch } from '../capture/batch.js';
import { type Selection, SelectionFault, selectionOf } from '../capture/selection.js';
import type { CaptureStats } from '../capture/stats.js';
import { onAbort, type WaitOptions } from '../errors/abort.js';
import { CaptureError, warn, wrapNative } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { ErrorCode } from '../generated/errors.js';
import { Appended, type NativeSession, type NativeWriter, type OwnedPackets } from '../native/native.js';
import { callOptions } from '../uri/options.js';
import { BlockType, type NamedAddress, namesBody, secretsBody } from './blocks.js';
import { isText, SECRETS } from './describe.js';
import { FileFeed, type WrittenFile } from './files.js';
import type { Interfaces } from './interfaces.js';
import type { Readers } from './readers.js';

/** What of a batch is written, and for how long it may wait. */
export interface WriteOptions {
  /**
   * Which packets: indices (`Uint32Array` or `number[]`), which are written in the order given, one that is given twice
   * twice; or a mask (`Uint8Array` with a byte for each packet), which takes those that are not 0. It is read when
   * `write()` is called; what is done to it later changes nothing. Default: all.
   */
  select?: Selection | undefined;
  /** Which of the writer's `interfaces` they are of, from 0 on. Default: the one that has the batch's capture. */
  interface?: number | undefined;
  /**
   * Ends the waiting when it aborts: `write()` takes no more and rejects with the signal's reason. What it has taken by
   * then, which is the first packets of the batch or of the selection, goes into the file as if they had been
   * all: `stats()` counts them. The writer can be used further.
   */
  signal?: AbortSignal | undefined;
}

/** What became of the packets that were written. */
export interface WriterStats {
  /** Packets that have safely reached their file. */
  readonly packets: number;
  /** Bytes in all files, headers included. */
  readonly bytes: number;
  /** Packets that `write()` took and that are not in the file yet. */
  readonly queued: number;
  /**
   * Packets that never will be: those that found no room where `overflow` is `drop`, and after a failure, such as a full
   * disk, those that were queued, and those of each `write()` that it refuses.
   */
  readonly dropped: number;
  /** Number of files that are complete. */
  readonly files: number;
  /** Of several interfaces: packets that stand behind one of a later time, as they came later than `latenessMs`. */
  readonly late: number;
}

/** What a capture has counted, such as its `stats()`; `drops` are packets dropped by cause. */
export type WriterLedger = Pick<CaptureStats, 'received' | 'dropped'> & Partial<Pick<CaptureStats, 'drops'>>;

interface ReadOptions {
  readonly select?: unknown;
  readonly interface?: unknown;
  readonly signal?: AbortSignal | undefined;
}

const WRITE_OPTIONS = ['select', 'interface', 'signal'];
const ALL: ReadOptions = Object.freeze(Object.create(null));

/** What decrypts packets: how it is written down, or its number in the pcapng format. */
export type SecretsType = 'tls' | 'ssh' | 'wireguard' | number;

type Counts = readonly [received: number, dropped: number, causes: string];

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** How old the counts at the end of a file may be. */
const COUNT_MS = 100;
const MOST_COMMENT_BYTES = 65_535;

/** Takes packets of one batch from `first` on. Gives how many are taken by then where room was short; else none. */
type Append = (first: number) => number | undefined;

/** The addon's side of a writer, for what writes natively. */
export let nativeOf: (writer: Writer) => NativeWriter;

/**
 * A trace file being written. Batches are copied natively, without an object per packet, and written by a thread of the
 * writer's own, half a second later at the latest. One write at a time, of each of its `interfaces`: a second one beside one
 * that waits is `RINGTAP_BUSY`.
 *
 * What a settled `write()` took reaches the file also when nobody closes it: when the program ends by itself, by
 * `process.exit()` or by an uncaught error, when a worker is terminated, and when the writer is collected. A pipe gets
 * what it has room for, and always whole records of up to 4 KiB.
 * @example
 * await using writer = await openWriter('out.pcapng', { linkType: capture.linkType });
 * for await (const batch of capture) await writer.write(batch);
 * await writer.flush();
 * console.log(writer.stats()); // { packets, bytes, queued: 0, dropped: 0, files }
 */
export class Writer implements AsyncDisposable {
  /** The URI as it was given to `openWriter()`. */
  readonly uri: string;
  readonly #native: NativeWriter;
  readonly #signal: AbortSignal | undefined;
  readonly #forgetSignal: () => void;
  readonly #files: FileFeed;
  readonly #interfaces: Interfaces;
  readonly #rotates: boolean;
  /** Whose counts the files that rotate end with, by interface. */
  readonly #sessions: (NativeSession | undefined)[] = [];
  readonly #readers: Readers | undefined;
  #countedAt = Number.NEGATIVE_INFINITY;
  #waits = 0;
  /** The writes that wait, by interface, the last of which lets those before it go first. */
  readonly #writing = new Map<number, Promise<void>>();
  #closing: Promise<void> | undefined;

  static {
    nativeOf = (writer) => writer.#native;
  }

  /** @internal Use `openWriter()`. */
  constructor(
    uri: string,
    native: NativeWriter,
    interfaces: Interfaces,
    rotates: boolean,
    signal: AbortSignal | undefined,
    forgetSignal: () => void,
    readers?: Readers,
  ) {
    this.uri = uri;
    this.#native = native;
    this.#signal = signal;
    this.#forgetSignal = forgetSignal;
    this.#files = new FileFeed(uri, native);
    this.#interfaces = interfaces;
    this.#rotates = rotates;
    this.#readers = readers;
  }

  /**
   * Number of the TCP port that others connect to, of `tcp-listen:`; else undefined.
   * @throws nothing
   */
  get port(): number | undefined {
    return this.#readers?.port;
  }

  /**
   * Number of connections that the trace is read through now; 0 of a file.
   * @throws nothing
   */
  get readers(): number {
    return this.#native.readers();
  }

  /**
   * Appends the packets of a batch, lent or an owned copy, or of these the selected ones. It settles when they are
   * copied: then the batch may be released. They are in the file within a second, or after `flush()` or `close()`.
   *
   * Mostly that is at once. Where the disk or a pipe's reader is slow it waits, and the batch has to stay lent until it
   * settles: await it, or `hold()` the batch. One that was released meanwhile is `RINGTAP_RELEASED`, and the message
   * says how many of its packets are in the file; never another batch's packets.
   *
   * @example
   * const long = new Uint8Array(batch.length);
   * for (let i = 0; i < batch.length; i++) long[i] = batch.wirelen[i]! > 60 ? 1 : 0;
   * await writer.write(batch, { select: long });
   * console.log(writer.stats().queued);
   * @param batch lent or an owned copy; it must not be released until this has settled
   * @param options which of its packets, and what ends the waiting
   * @throws CaptureError RINGTAP_FILE_WRITE (disk full …: complete records stay readable), RINGTAP_RELEASED,
   * RINGTAP_BAD_OPTION (another link type in a `pcap:` file; an index or a mask that does not fit the batch, or one of no
   * interface: nothing of it is written), RINGTAP_UNKNOWN_OPTION, RINGTAP_BUSY, RINGTAP_CLOSED; or a signal's reason
   */
  async write(batch: Batch, options?: WriteOptions): Promise<void> {
    this.#refuseToWrite(this.#interfaces.count === 1 ? 0 : -1);
    if (!Batch.is(batch)) {
      throw this.#error('RINGTAP_BAD_OPTION', `write() takes a batch, not ${show(batch)}`);
    }
    const { select, signal, ...others } = options === undefined ? ALL : this.#read('write', options, WRITE_OPTIONS);
    signal?.throwIfAborted();
    const source = this.#interfaces.of(batch, others.interface);
    const append = this.#taking(batch, select, source);
    // WHY again: looking at what was given may have run its code, which may have written or closed.
    this.#refuseToWrite(source);
    this.#interfaces.see(batch.linkType);
    const before = [...this.#writing.values()].at(-1);
    const next = before === undefined ? append(0) : 0;
    if (next === undefined) return;
    const writing = this.#takeRest(append, next, signal, before);
    this.#writing.set(source, writing);
    try {
      await writing;
    } finally {
      this.#writing.delete(source);
    }
  }

  /**
   * Resolves when everything that `write()` has taken so far has reached the file.
   * @param options `signal` ends the waiting only: it rejects with the signal's reason, and what was taken is written
   * nevertheless
   * @throws CaptureError RINGTAP_FILE_WRITE (what could not be written), RINGTAP_CLOSED; or a signal's reason
   */
  async flush(options?: WaitOptions): Promise<void> {
    const { signal } = options === undefined ? ALL : this.#read('flush', options, ['signal']);
    this.#refuseAborted();
    signal?.throwIfAborted();
    await this.#wait((number) => this.#native.flush(number), signal);
  }

  /**
   * Completes the file, after a `write()` that is under way. Idempotent. pcapng files end with the counts of `ledger`,
   * such as `capture.stats()`; with none, of the captures that the writer's interfaces name. A named pipe that nobody has
   * opened for reading is given up, and rejects.
   * @param ledger numbers of packets, of which a pcapng file tells at its end; a list of them for several interfaces
   * @param options `signal` ends the waiting for a pipe's reader: what the pipe has no room for is lost then, which is
   * RINGTAP_FILE_WRITE and says how many packets are kept
   * @throws CaptureError RINGTAP_FILE_WRITE (what could not be written), RINGTAP_BAD_OPTION (counts that are none)
   * @example
   * for await (const batch of capture) await writer.write(batch);
   * await writer.close(capture.stats());
   * console.log(writer.stats().packets);
   */
  close(ledger?: WriterLedger | readonly (WriterLedger | undefined)[], options?: WaitOptions): Promise<void> {
    let signal: AbortSignal | undefined;
    try {
      if (options !== undefined) signal = this.#read('close', options, ['signal']).signal;
    } catch (error) {
      return Promise.reject(error);
    }
    if (this.#closing === undefined) {
      const counts = this.#allCounts(ledger);
      if (counts instanceof CaptureError) return Promise.reject(counts);
      this.#closing ??= this.#finish(counts); // whoever was asked for counts may have closed it
    }
    if (signal === undefined) return this.#closing;
    const forget = onAbort(signal, () => this.#native.giveUp());
    return this.#closing.finally(forget);
  }

  /**
   * Packets and bytes so far. Still readable after close.
   * @throws nothing
   */
  stats(): WriterStats {
    return this.#native.stats();
  }

  /**
   * A remark about the next packet that is written; it replaces one that no packet came for. `pcapng:` only.
   * @example
   * writer.comment('the first one after the restart');
   * await writer.write(batch);
   * console.log(writer.stats().queued);
   * @param text 1 to 65535 bytes of UTF-8
   * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNSUPPORTED (a `pcap:` file), RINGTAP_CLOSED
   */
  comment(text: string): void {
    if (!isText(text, MOST_COMMENT_BYTES)) {
      throw this.#error('RINGTAP_BAD_OPTION', `comment() takes text of 1 to ${MOST_COMMENT_BYTES} bytes`);
    }
    this.#tell(() => this.#native.comment(text));
  }

  /**
   * What decrypts the packets that are written from now on: it stands in front of them, also in the files that follow
   * when the writer rotates. `pcapng:` only.
   * @example
   * const keys: string[] = []; // lines of `keylog` events of node:tls
   * if (keys.length > 0) writer.secrets('tls', keys.join(''));
   * await writer.write(batch);
   * console.log(writer.stats().queued);
   * @param type `tls` (lines of a key log file), `ssh`, `wireguard`, or a number of the pcapng format
   * @param data text or bytes; 512 KiB at once, 8 MiB of names and secrets together
   * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNSUPPORTED (a `pcap:` file), RINGTAP_CLOSED
   */
  secrets(type: SecretsType, data: string | Uint8Array): void {
    const number = typeof type === 'string' && Object.hasOwn(SECRETS, type) ? SECRETS[type]! : type;
    if (!isCount(number) || number > 0xffffffff) {
      throw this.#error('RINGTAP_BAD_OPTION', `secrets(): the type is ${Object.keys(SECRETS).join(', ')} or a number`);
    }
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    if (!types.isUint8Array(bytes)) throw this.#error('RINGTAP_BAD_OPTION', 'secrets() takes text or a Uint8Array');
    this.#tell(() => this.#native.block(BlockType.secrets, secretsBody(number, bytes)));
  }

  /**
   * What addresses are called, for readers that show names: in front of the packets that are written from now on, also in the
   * files that follow when the writer rotates. `pcapng:` only.
   * @example
   * writer.names([{ address: '192.0.2.1', names: ['www.example.net'] }]);
   * await writer.write(batch);
   * console.log(writer.stats().queued);
   * @param list IPv4 and IPv6 addresses, and up to 255 names of each; 512 KiB at once, 8 MiB of names and secrets together
   * @throws CaptureError RINGTAP_BAD_OPTION, RINGTAP_UNSUPPORTED (no `pcapng:` file), RINGTAP_CLOSED
   */
  names(list: readonly NamedAddress[]): void {
    const body = namesBody(this.uri, list);
    this.#tell(() => this.#native.block(BlockType.names, body));
  }

  #tell(what: () => void): void {
    try {
      what();
    } catch (error) {
      throw this.#wrap(error);
    }
  }

  /**
   * Each file once it is complete and has its name, in their order; also those before the call, unless another call had
   * them, up to 4096. It ends with the writer: what went wrong is told by `write()` and `close()`. It keeps no process
   * alive. The same is published on the `node:diagnostics_channel` `ringtap:file`, together with the writer's `uri`.
   * @example
   * const listing = (async () => {
   *   for await (const { path, packets } of writer.files()) console.log(`${path}: ${packets} packets`);
   * })();
   * for await (const batch of capture) await writer.write(batch);
   * await writer.close();
   * await listing; // it ends with the writer
   * @throws nothing
   */
  files(): AsyncIterableIterator<WrittenFile> {
    return this.#files.read();
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Options that are an object with these names only. */
  #read(method: string, options: unknown, names: readonly string[]): ReadOptions {
    const { select, signal, interface: source } = callOptions(this, method, options, names);
    return { select, signal, interface: source };
  }

  /** How packets of this batch are taken: of what is lent now, whatever the same memory shows later. */
  #taking(batch: Batch, given: unknown, source: number): Append {
    const { length } = batch;
    if (length === 0) throw this.#error('RINGTAP_RELEASED', 'write(): the batch was released');
    const select = selectionOf(given, length);
    if (select instanceof SelectionFault) throw this.#error(select.code, `write(): ${select.message}`);
    const native = this.#native;
    const isAll = select === undefined;
    // The addon reads it at the first call and keeps it: the array may be used again at once.
    let chosen: typeof select | null = select;
    const choice = () => {
      const now = chosen;
      if (now !== undefined) chosen = null;
      return now;
    };
    const lender = Batch.lenderOf(batch);
    if (lender !== undefined) {
      this.#count(source, lender);
      const { slot, lease } = batch;
      return this.#explained(isAll, (first) => native.append(first, choice(), source, lender.session, slot, lease));
    }
    const packets = this.#owned(batch);
    return this.#explained(isAll, (first) => native.appendCopy(first, choice(), source, length, ...packets));
  }

  /** The packets of an owned copy, each array looked at once. */
  #owned(batch: Batch): OwnedPackets {
    try {
      const { linkType, epoch, time, rest, offset, caplen, wirelen, flags, bytes } = batch;
      const [seconds, nanos] = [Number(epoch / 1_000_000_000n), Number(epoch % 1_000_000_000n)];
      return [linkType, seconds, nanos, time, rest, offset, caplen, wirelen, flags, bytes];
    } catch {
      throw this.#error('RINGTAP_BAD_OPTION', 'write(): the batch cannot be read'); // it throws when it is looked at
    }
  }

  #explained(isAll: boolean, append: (first: number) => number): Append {
    return (first) => {
      let taken: number;
      try {
        taken = append(first);
      } catch (error) {
        throw this.#located(this.#wrap(error));
      }
      if (taken === Appended.all) return undefined;
      if (taken !== Appended.released) return taken;
      const which = isAll ? `its first ${first} packets` : `the first ${first} of the selected packets`;
      const kept = first > 0 ? `; ${which} are in the file` : '';
      throw this.#error('RINGTAP_RELEASED', `write(): the batch was released${kept}`);
    };
  }

  async #takeRest(
    append: Append,
    first: number,
    signal: AbortSignal | undefined,
    before: Promise<void> | undefined,
  ): Promise<void> {
    // What went wrong is told by append(), which counts what it refuses.
    const room = (number: number) => this.#native.room(number).catch(() => {});
    let next: number | undefined = first;
    if (before !== undefined) {
      await before.catch(() => {});
      signal?.throwIfAborted();
      next = append(first);
    }
    for (; next !== undefined; next = append(next)) await this.#wait(room, signal);
  }

  /** Waits for the addon, which knows the waiting by a number, or for the signal. */
  async #wait(ask: (number: number) => Promise<void>, signal: AbortSignal | undefined): Promise<void> {
    this.#waits = (this.#waits + 1) >>> 0;
    const number = this.#waits;
    const asked = ask(number);
    const forget = signal === undefined ? undefined : onAbort(signal, () => this.#native.cancel(number));
    try {
      await asked;
    } catch (error) {
      throw this.#wrap(error);
    } finally {
      forget?.();
    }
    signal?.throwIfAborted();
  }

  async #finish(counts: readonly (Counts | undefined)[]): Promise<void> {
    // Nobody opened the pipe: close() gives it up, and the write() that waits for it fails.
    if (this.#native.isOpen()) await Promise.allSettled(this.#writing.values());
    try {
      for (const [source, of] of counts.entries()) if (of !== undefined) this.#native.ledger(source, ...of);
      this.#readers?.close();
      await this.#native.close(0);
      await this.#readers?.left();
      if (this.#native.leavesBlocksOut()) {
        const what = 'some of what the traces that were read say beside their packets is left out';
        const most = 'up to 8 MiB are kept, 512 KiB of each block, 256 KiB of each packet';
        warn('RINGTAP_BLOCKS_LEFT_OUT', `${this.uri}: ${what}: ${most}`);
      }
    } catch (error) {
      throw wrapNative(error, undefined, this.uri);
    } finally {
      this.#forgetSignal();
    }
  }

  /** The counts of each interface: what is given, or else what its capture says. */
  #allCounts(ledger: unknown): (Counts | undefined)[] | CaptureError {
    const { count, captures } = this.#interfaces;
    let given: unknown[];
    try {
      const isList = count > 1 && Array.isArray(ledger);
      if (isList ? ledger.length > count : ledger !== undefined && count > 1) {
        return this.#error('RINGTAP_BAD_OPTION', `close() takes a list of counts, one for each of ${count} interfaces`);
      }
      given = isList ? Array.from(ledger) : [ledger];
    } catch {
      return this.#error('RINGTAP_BAD_OPTION', 'close(): the list of counts cannot be read');
    }
    const all: (Counts | undefined)[] = [];
    for (let source = 0; source < count; source++) {
      const own = given[source] === undefined ? captures[source]?.stats() : given[source];
      const counts = own === undefined ? undefined : this.#countsOf(own);
      if (counts instanceof CaptureError) return counts;
      all.push(counts);
    }
    return all;
  }

  /** The counts, each looked at once, or what is wrong with them. */
  #countsOf(ledger: unknown): Counts | CaptureError {
    try {
      const { received, dropped, drops } = ledger as Record<string, unknown>;
      const causes = Object.entries((drops ?? {}) as object).filter(([, count]) => isCount(count));
      const text = causes.map(([cause, count]) => `${cause}=${count}`).join('\n');
      if (isCount(received) && isCount(dropped)) return [received, dropped, text];
    } catch {
      // It cannot be looked at.
    }
    return this.#error('RINGTAP_BAD_OPTION', 'close() takes the counts received and dropped, whole numbers');
  }

  /** Files that rotate end with what their capture counts by then; not asked for more often than is worth it. */
  #count(source: number, { session }: { readonly session: NativeSession }): void {
    const now = performance.now();
    if (!this.#rotates) return;
    const isKnown = this.#sessions[source] === session;
    this.#sessions[source] = session;
    if (isKnown && now < this.#countedAt + COUNT_MS) return;
    this.#countedAt = now;
    for (const [i, each] of this.#sessions.entries()) {
      const counts = each === undefined ? undefined : this.#countsOf(each.stats());
      if (counts !== undefined && !(counts instanceof CaptureError)) this.#native.ledger(i, ...counts);
    }
  }

  /** @param source -1: not known yet */
  #refuseToWrite(source: number): void {
    this.#refuseAborted();
    if (this.#closing !== undefined) throw this.#error('RINGTAP_CLOSED', 'the writer was closed');
    if (this.#writing.has(source)) {
      throw this.#error('RINGTAP_BUSY', 'write() was called before the last one settled', 'Await each write().');
    }
  }

  #refuseAborted(): void {
    if (this.#signal?.aborted) throw this.#signal.reason;
  }

  #error(code: ErrorCode, message: string, hint?: string): CaptureError {
    return new CaptureError(code, `${this.uri}: ${message}`, { uri: this.uri, hint });
  }

  /** The addon does not know by which URI the writer was opened. */
  #located(error: unknown): unknown {
    if (!(error instanceof CaptureError && error.message.startsWith('write(): '))) return error;
    return this.#error(error.code, error.message, error.hint);
  }

  /** What a failure is to the caller: an abort is none of its own. */
  #wrap(error: unknown): unknown {
    return this.#signal?.aborted ? this.#signal.reason : wrapNative(error, undefined, this.uri);
  }
}
