import { readFileSync } from 'node:fs';
import { Batch } from '../capture/batch.js';
import { onAbort } from '../errors/abort.js';
import { CaptureError, wrapNative } from '../errors/errors.js';
import { show } from '../errors/printable.js';
import type { ErrorCode } from '../generated/errors.js';
import { Appended, addon, type NativeWriter } from '../native/native.js';
import { ownOptions, signalOf } from '../uri/options.js';
import { faultIn } from '../uri/uri.js';

/** How a trace file is written. */
export interface WriterOptions {
  /** LINKTYPE_ value of the packets; default: that of the first batch. A `pcap:` file holds one link type. */
  linkType?: number | undefined;
  /** Packets are cut to this many bytes (14 to 262144, the default). */
  snaplen?: number | undefined;
  /** Each batch is written at once. By default it may wait for others, for up to half a second. */
  packetBuffered?: boolean | undefined;
  /**
   * Gives up when it aborts: what waits for the reader of a pipe, or for a slow disk, rejects with the signal's reason.
   * What was written until then goes into the file, but for what a pipe has no room for.
   */
  signal?: AbortSignal | undefined;
}

/** What has safely reached the file. */
export interface WriterStats {
  /** Packets in the file. */
  readonly packets: number;
  /** Bytes in the file, headers included. */
  readonly bytes: number;
}

const OPTIONS = ['linkType', 'snaplen', 'packetBuffered', 'signal'] as const satisfies (keyof WriterOptions)[];
const MAX_SNAPLEN = 262144;
/** How long packets wait for others, so that they are written together. */
const DELAY_MS = 500;

/** Takes packets of one batch from `first` on. Gives the index of the first that found no room; none when all did. */
type Append = (first: number) => number | undefined;

/**
 * A trace file being written. Batches are copied natively, without an object per packet, and written by a thread of the
 * writer's own, half a second later at the latest. One write at a time: a second one beside one that waits is
 * `RINGTAP_BUSY`.
 *
 * What a settled `write()` took reaches the file also when nobody closes it: when the program ends by itself, by
 * `process.exit()` or by an uncaught error, when a worker is terminated, and when the writer is collected. A pipe gets
 * what it has room for, and always whole records of up to 4 KiB.
 */
export class Writer implements AsyncDisposable {
  /** The URI as it was given to `openWriter()`. */
  readonly uri: string;
  readonly #native: NativeWriter;
  readonly #signal: AbortSignal | undefined;
  readonly #forgetSignal: () => void;
  #writing: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /** @internal Use `openWriter()`. */
  constructor(uri: string, native: NativeWriter, signal: AbortSignal | undefined, forgetSignal: () => void) {
    this.uri = uri;
    this.#native = native;
    this.#signal = signal;
    this.#forgetSignal = forgetSignal;
  }

  /**
   * Appends the packets of a batch, lent or an owned copy, or the first `count` of them. It settles when they are copied:
   * then the batch may be released. They are in the file within a second, or after `flush()` or `close()`.
   *
   * Mostly that is at once. Where the disk or a pipe's reader is slow it waits, and the batch has to stay lent until it
   * settles: await it, or `hold()` the batch. One that was released meanwhile is `RINGTAP_RELEASED`, and the message
   * says how many of its packets are in the file; never another batch's packets.
   * @throws CaptureError RINGTAP_FILE_WRITE (disk full …: complete records stay readable), RINGTAP_RELEASED,
   * RINGTAP_BAD_OPTION (another link type in a `pcap:` file, a `count` that is no whole number), RINGTAP_BUSY,
   * RINGTAP_CLOSED; or the signal's reason
   */
  async write(batch: Batch, count?: number): Promise<void> {
    this.#refuseAborted();
    if (this.#closing !== undefined) throw this.#error('RINGTAP_CLOSED', 'the writer was closed');
    if (this.#writing !== undefined) {
      throw this.#error('RINGTAP_BUSY', 'write() was called before the last one settled', 'Await each write().');
    }
    const append = this.#taking(batch, count);
    const next = append(0);
    if (next === undefined) return;
    this.#writing = this.#takeRest(append, next);
    try {
      await this.#writing;
    } finally {
      this.#writing = undefined;
    }
  }

  /** Resolves when everything that `write()` has taken so far has reached the file. */
  async flush(): Promise<void> {
    this.#refuseAborted();
    await this.#settled(this.#native.flush());
  }

  /**
   * Completes the file, after a `write()` that is under way. Idempotent. pcapng files end with the counts of `ledger`,
   * such as `capture.stats()`. A named pipe that nobody has opened for reading is given up, and rejects.
   * @throws CaptureError what could not be written
   */
  close(ledger?: { readonly received: number; readonly dropped: number }): Promise<void> {
    if (this.#closing === undefined) {
      const counts = ledger === undefined ? [] : this.#countsOf(ledger);
      if (counts instanceof CaptureError) return Promise.reject(counts);
      this.#closing = this.#finish(counts);
    }
    return this.#closing;
  }

  /** What has safely reached the file. */
  stats(): WriterStats {
    return this.#native.stats();
  }

  /** {@link close} */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** How packets of this batch are taken: of what is lent now, whatever the same memory shows later. */
  #taking(batch: Batch, given: number | undefined): Append {
    if (!Batch.is(batch)) {
      throw this.#error('RINGTAP_BAD_OPTION', `write() takes a batch, not ${show(batch)}`);
    }
    const count = given ?? batch.length;
    if (!Number.isInteger(count) || count < 0) {
      throw this.#error('RINGTAP_BAD_OPTION', `write(): count must be a whole number, not ${show(count)}`);
    }
    const native = this.#native;
    const end = Math.min(count, batch.length);
    const lender = Batch.lenderOf(batch);
    if (lender !== undefined) {
      const { slot, lease } = batch;
      return this.#explained((first) => native.append(first, end, lender.session, slot, lease));
    }
    const seconds = Number(batch.epoch / 1_000_000_000n);
    const nanos = Number(batch.epoch % 1_000_000_000n);
    return this.#explained((first) => native.appendCopy(first, end, batch, seconds, nanos));
  }

  #explained(append: (first: number) => number): Append {
    return (first) => {
      let taken: number;
      try {
        taken = append(first);
      } catch (error) {
        throw this.#wrap(error);
      }
      if (taken === Appended.all) return undefined;
      if (taken !== Appended.released) return taken;
      const kept = first > 0 ? `; its first ${first} packets are in the file` : '';
      throw this.#error('RINGTAP_RELEASED', `write(): the batch was released${kept}`);
    };
  }

  async #takeRest(append: Append, first: number): Promise<void> {
    for (let next: number | undefined = first; next !== undefined; next = append(next)) {
      await this.#settled(this.#native.room());
    }
  }

  async #finish(counts: readonly number[]): Promise<void> {
    // Nobody opened the pipe: close() gives it up, and the write() that waits for it fails.
    if (this.#native.isOpen()) await this.#writing?.catch(() => {});
    try {
      await this.#native.close(...counts);
    } catch (error) {
      throw wrapNative(error, undefined, this.uri);
    } finally {
      this.#forgetSignal();
    }
  }

  /** The counts, each looked at once, or what is wrong with them. */
  #countsOf(ledger: unknown): readonly [received: number, dropped: number] | CaptureError {
    try {
      const { received, dropped } = ledger as Record<'received' | 'dropped', number>;
      if ([received, dropped].every((count) => Number.isSafeInteger(count) && count >= 0)) return [received, dropped];
    } catch {
      // It cannot be looked at.
    }
    return this.#error('RINGTAP_BAD_OPTION', 'close() takes the counts received and dropped, whole numbers');
  }

  async #settled(promise: Promise<void>): Promise<void> {
    try {
      await promise;
    } catch (error) {
      throw this.#wrap(error);
    }
  }

  #refuseAborted(): void {
    if (this.#signal?.aborted) throw this.#signal.reason;
  }

  #error(code: ErrorCode, message: string, hint?: string): CaptureError {
    return new CaptureError(code, `${this.uri}: ${message}`, { uri: this.uri, hint });
  }

  /** What a failure is to the caller: an abort is none of its own. */
  #wrap(error: unknown): unknown {
    return this.#signal?.aborted ? this.#signal.reason : wrapNative(error, undefined, this.uri);
  }
}

/**
 * Opens a trace file for writing; an existing one is emptied, and must therefore not be one that is being read. It
 * belongs to one writer at a time: `RINGTAP_BUSY` where another one, of this or another process, has not closed it yet.
 * With `linkType` the file has its header from now on, else from the first batch on.
 * @param uri `pcap:out.pcap`, `pcapng:out.pcapng`, or a bare path (pcapng if it ends so, else pcap); `pcap:-` is
 * standard output. pcap files carry nanoseconds. A named pipe waits for its reader: here when `linkType` is given, else
 * at the first write.
 * @throws CaptureError RINGTAP_BAD_URI, RINGTAP_BAD_OPTION, RINGTAP_UNKNOWN_OPTION, RINGTAP_BUSY, RINGTAP_FILE_WRITE,
 * RINGTAP_SYSTEM (no thread can be made); or the signal's reason
 */
export async function openWriter(uri: string, options: WriterOptions = {}): Promise<Writer> {
  const { format, path } = parseWriterUri(uri);
  const { linkType, snaplen, packetBuffered, signal } = readOptions(uri, options);
  signal?.throwIfAborted();
  let native: NativeWriter | undefined;
  const forgetSignal = signal === undefined ? () => {} : onAbort(signal, () => native?.giveUp());
  try {
    native = addon().openWriter({
      path,
      format,
      linkType,
      snaplen,
      delayMs: packetBuffered ? 0 : DELAY_MS,
      application: `ringtap ${version()}`,
    });
    await native.tried();
    if (linkType !== undefined && !native.isOpen()) await native.room();
    return new Writer(uri, native, signal, forgetSignal);
  } catch (error) {
    forgetSignal();
    throw signal?.aborted ? signal.reason : wrapNative(error, undefined, uri);
  }
}

function readOptions(uri: string, options: unknown) {
  const own = ownOptions({ uri }, options);
  const bad = (name: string, what: string) =>
    new CaptureError('RINGTAP_BAD_OPTION', `${uri}: option ${name} must be ${what}, not ${show(own[name])}`, { uri });
  const whole = (name: string, min: number, max: number): number | undefined => {
    const value = own[name];
    if (value === undefined || (Number.isInteger(value) && (value as number) >= min && (value as number) <= max)) {
      return value as number | undefined;
    }
    throw bad(name, `a whole number from ${min} to ${max}`);
  };
  for (const name of Object.keys(own)) {
    if ((OPTIONS as readonly string[]).includes(name)) continue;
    throw new CaptureError('RINGTAP_UNKNOWN_OPTION', `${uri}: a writer has no option "${name}"`, {
      uri,
      hint: `Options of a writer: ${OPTIONS.join(', ')}`,
    });
  }
  const { packetBuffered = false } = own;
  if (typeof packetBuffered !== 'boolean') throw bad('packetBuffered', 'true or false');
  return {
    linkType: whole('linkType', 0, 65535),
    snaplen: whole('snaplen', 14, MAX_SNAPLEN) ?? MAX_SNAPLEN,
    packetBuffered,
    signal: signalOf({ uri, params: new Map() }, own),
  };
}

function parseWriterUri(uri: unknown): { format: 'pcap' | 'pcapng'; path: string } {
  const bad = (what: string) =>
    new CaptureError('RINGTAP_BAD_URI', `${show(uri)} names no trace file${what}`, {
      uri: typeof uri === 'string' ? uri : undefined,
      hint: 'Write pcap:out.pcap, pcapng:out.pcapng or a plain path.',
    });
  if (typeof uri !== 'string') throw bad('');
  const match = /^(pcap|pcapng):(.*)$/s.exec(uri);
  const path = match?.[2] ?? uri;
  if (path === '' || (match === null && /^[a-z]{2,}:/i.test(uri))) throw bad('');
  const fault = faultIn(path);
  if (fault !== undefined) throw bad(`: ${fault}`);
  const format = (match?.[1] ?? (path.endsWith('.pcapng') ? 'pcapng' : 'pcap')) as 'pcap' | 'pcapng';
  return { format, path };
}

let cachedVersion: string | undefined;

function version(): string {
  cachedVersion ??= (
    JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
  ).version;
  return cachedVersion;
}
